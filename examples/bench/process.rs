//! Brokers as processes: started on a directory of their own, watched through /proc, stopped by their ids.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{client::Client, machine};

/// How long a broker may take to start, or to stop.
const BOUND: Duration = Duration::from_mins(1);
/// How often it is looked at meanwhile.
const PAUSE: Duration = Duration::from_millis(1);
/// Ticks per second in /proc/PID/stat. It is 100 on every Linux, whatever the kernel's own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// A broker that takes part, and how it is started.
#[derive(Clone, Debug)]
pub(crate) struct Competitor {
    pub(crate) name: String,
    pub(crate) start: Start,
}

#[derive(Clone, Debug)]
pub(crate) enum Start {
    /// This binary with these overrides.
    Ottla { binary: PathBuf, overrides: Vec<String> },
    /// A shell command, which finds `$PORT` and `$DIR`. It may end or stay when the broker runs.
    Command(String),
}

/// A broker that runs. Dropping it kills it.
pub(crate) struct Broker {
    address: SocketAddr,
    /// Of the broker itself, which a start command may have left behind.
    pid: Pid,
    child: Child,
    /// From the spawn to the first answer.
    pub(crate) started_in: Duration,
}

impl Broker {
    /// Starts it on `directory` and waits until it answers.
    pub(crate) fn start(competitor: &Competitor, directory: &Path) -> Result<Self> {
        let port = free_port()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let output_path = directory.join("output.log");
        let output = File::create(&output_path)?;
        let mut command = competitor.start.command(address, directory);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let began = Instant::now();
        let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
        let started = until_it_answers(address, &mut child, began);
        let started_in = started.with_context(|| {
            format!("{} did not start: {}", competitor.name, fs::read_to_string(&output_path).unwrap_or_default())
        })?;
        let pid = match competitor.start {
            Start::Ottla { .. } => Pid::from_child(&child),
            Start::Command(_) => listener(port)?,
        };
        Ok(Self { address, pid, child, started_in })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn client(&self) -> Result<Client> {
        Client::connect(self.address)
    }

    /// User and system time so far, in seconds.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let fields = stat(self.pid)?;
        let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<u32>().ok());
        // Of the fields of proc(5), those behind the name: utime and stime.
        let (user, system) = ticks(11).zip(ticks(12)).context("no times in /proc/PID/stat")?;
        Ok(f64::from(user + system) / TICKS_PER_SECOND)
    }

    /// Resident memory in MB.
    pub(crate) fn resident_mb(&self) -> Result<f64> {
        let bytes = machine::resident_bytes(self.pid.as_raw_nonzero().get().unsigned_abs());
        Ok(bytes.context("no VmRSS")? as f64 / 1e6)
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> Result<()> {
        kill_process(self.pid, Signal::TERM)?;
        let began = Instant::now();
        while self.is_running() {
            ensure!(began.elapsed() < BOUND, "process {:?} does not stop", self.pid);
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Whether broker and command are still there.
    fn is_running(&mut self) -> bool {
        let command_runs = matches!(self.child.try_wait(), Ok(None));
        // A process that nobody has asked for its end is a zombie.
        let broker_runs = stat(self.pid).is_ok_and(|fields| fields.first().is_some_and(|state| state != "Z"));
        command_runs || broker_runs
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.is_running() {
            // Both fail if it has ended in between, which is well.
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Start {
    fn command(&self, address: SocketAddr, directory: &Path) -> Command {
        match self {
            Self::Ottla { binary, overrides } => {
                let mut command = Command::new(binary);
                command.arg("--listen").arg(address.to_string()).arg("--data-dir").arg(directory.join("data"));
                for setting in overrides {
                    command.arg("--override").arg(setting);
                }
                command
            }
            Self::Command(text) => {
                let mut command = Command::new("sh");
                command.args(["-c", text]).env("PORT", address.port().to_string()).env("DIR", directory);
                command
            }
        }
    }
}

/// A directory for a broker, with room for its data and what it says.
pub(crate) fn directory(parent: Option<&Path>) -> Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("ottla-bench-");
    Ok(parent.map_or_else(|| builder.tempdir(), |parent| builder.tempdir_in(parent))?)
}

/// A port that is free, as is the one above it: Kafka's controller wants one too.
fn free_port() -> io::Result<u16> {
    loop {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        if port < u16::MAX && TcpListener::bind((Ipv4Addr::LOCALHOST, port + 1)).is_ok() {
            return Ok(port);
        }
    }
}

fn until_it_answers(address: SocketAddr, child: &mut Child, began: Instant) -> Result<Duration> {
    while began.elapsed() < BOUND {
        if Client::connect(address).is_ok_and(|mut client| client.api_versions().is_ok()) {
            return Ok(began.elapsed());
        }
        if let Some(status) = child.try_wait()?
            && !status.success()
        {
            bail!("it ended with {status}");
        }
        thread::sleep(PAUSE);
    }
    child.kill()?;
    bail!("no answer within {BOUND:?}")
}

/// The fields of /proc/PID/stat behind the name, which may have blanks in it.
fn stat(pid: Pid) -> Result<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))?;
    let (_, behind) = text.rsplit_once(')').context("no name in /proc/PID/stat")?;
    Ok(behind.split_whitespace().map(str::to_owned).collect())
}

/// The process that listens on `port`.
fn listener(port: u16) -> Result<Pid> {
    let inodes: Vec<String> =
        ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().filter_map(|table| socket_on(table, port)).collect();
    for process in fs::read_dir("/proc")? {
        let process = process?;
        let id = process.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        // A process of somebody else, or one that has just ended, shows nothing.
        let Some((id, files)) = id.zip(fs::read_dir(process.path().join("fd")).ok()) else { continue };
        let mut files = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
        if files.any(|file| file.to_str().is_some_and(|file| inodes.iter().any(|inode| file == inode))) {
            return Ok(id);
        }
    }
    bail!("no process of this user listens on port {port}")
}

/// What a process's link to the listening socket on `port` says.
fn socket_on(table: &str, port: u16) -> Option<String> {
    const LISTENING: &str = "0A";
    let (text, port) = (fs::read_to_string(table).ok()?, format!(":{port:04X}"));
    let mut rows = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.len() > 9 && row[1].ends_with(&port) && row[3] == LISTENING)?;
    Some(format!("socket:[{}]", row[9]))
}
