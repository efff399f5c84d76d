//! The binary as a process of its own, and what it holds.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::BOUND;

/// What the ready line says before the address.
const READY: &str = "ready: listening on ";
/// Open files that a broker should have; it goes on with less where the system does not allow it.
const FILES_WANTED: u32 = 24_000;

/// A broker on a directory of its own.
pub(crate) struct BrokerProcess {
    child: Child,
    addresses: Vec<SocketAddr>,
    _directory: TempDir,
}

impl BrokerProcess {
    /// With a listener for anybody, and more where the arguments say so.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_in(TempDir::new().expect("a directory"), args)
    }

    /// With a listener for anybody, one with TLS, and one that wants authentication.
    pub(crate) fn start_secured() -> Self {
        let directory = TempDir::new().expect("a directory");
        let path = |name: &str| directory.path().join(name).display().to_string();
        let certs = Command::new(env!("CARGO_BIN_EXE_ottla")).args(["certs", "--dir", &path("certs")]).output();
        assert!(certs.expect("the binary starts").status.success());
        let users = path("users");
        fs::write(&users, "alice:open sesame\n").expect("written");
        fs::set_permissions(&users, fs::Permissions::from_mode(0o600)).expect("allowed");
        let args = ["--listen", "SSL://127.0.0.1:0", "--listen", "SASL_PLAINTEXT://127.0.0.1:0"];
        let store = path("certs/server.pem");
        let secrets = ["--tls", &store, "--users-file", &users];
        Self::start_in(directory, &[&args[..], &secrets[..]].concat())
    }

    fn start_in(directory: TempDir, args: &[&str]) -> Self {
        let mut command = Command::new("/bin/sh");
        let limited = format!(r#"ulimit -n {FILES_WANTED} 2>/dev/null; exec "$0" "$@""#);
        command.args(["-c", &limited, env!("CARGO_BIN_EXE_ottla"), "--listen", "127.0.0.1:0", "--data-dir"]);
        command.arg(directory.path().join("data")).args(args);
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        while !line.contains(READY) {
            line.clear();
            assert_ne!(stderr.read_line(&mut line).expect("text"), 0, "the broker ended");
        }
        let after = line.split_once(READY).expect("it is ready").1;
        let addresses = after.split(' ').filter_map(|word| word.parse().ok()).collect();
        // What it says of each attacker must not fill the pipe.
        thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Self { child, addresses, _directory: directory }
    }

    /// Where anybody is let in.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where it listens.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    fn proc(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.child.id())
    }

    /// Resident bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(self.proc("status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a number");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
    }

    /// The most that it holds at a time until then.
    pub(crate) async fn most_memory_until(&self, until: Instant) -> u64 {
        let mut peak = self.memory();
        while Instant::now() < until {
            sleep(Duration::from_millis(100)).await;
            peak = peak.max(self.memory());
        }
        peak
    }

    /// Its sockets. What it opens for itself, such as a coordinator's topic that a stray request made, is not counted.
    pub(crate) fn open_sockets(&self) -> usize {
        let files = fs::read_dir(self.proc("fd")).expect("it runs").flatten();
        let targets = files.filter_map(|file| fs::read_link(file.path()).ok());
        targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
    }

    /// How many files it may open.
    pub(crate) fn file_limit(&self) -> u64 {
        let limits = fs::read_to_string(self.proc("limits")).expect("it runs");
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a limit");
        line.split_whitespace().next().expect("a number").parse().unwrap_or(u64::MAX)
    }

    /// Waits until it has no more sockets than it had.
    pub(crate) async fn until_open_sockets_are(&self, before: usize) {
        let back = async {
            while self.open_sockets() > before {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(BOUND, back)
            .await
            .unwrap_or_else(|_| panic!("{} sockets are open, {before} were", self.open_sockets()));
    }

    /// Asks it to stop, which it must do cleanly.
    pub(crate) fn stop(mut self) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it runs");
        assert_eq!(self.child.wait().expect("it ends").code(), Some(0));
    }
}

/// A test that fails leaves no process behind.
impl Drop for BrokerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
