//! Brokers to try: in this process, as a process that can be killed, or one that runs already.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use ottla::{
    config::{self, sources::CommandLine},
    server::Server,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How long a start may take.
const START: Duration = Duration::from_secs(60);
/// What the ready line says before the address.
const READY: &str = "ready: listening on ";

/// A broker in this process, on a free port.
pub(crate) struct InProcess {
    runtime: Runtime,
    server: Server,
    _directory: TempDir,
}

impl InProcess {
    pub(crate) fn start() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let command_line = CommandLine {
            listen: vec!["127.0.0.1:0".to_owned()],
            data_dir: Some(directory.path().to_str().expect("a path in UTF-8").to_owned()),
            ..CommandLine::default()
        };
        let (config, _) = config::load(&command_line, std::iter::empty()).expect("a valid configuration");
        let runtime = Runtime::new().expect("a runtime");
        let server = runtime.block_on(Server::start(config)).expect("the broker starts");
        Self { runtime, server, _directory: directory }
    }

    pub(crate) fn bootstrap(&self) -> String {
        self.server.listeners()[0].address.to_string()
    }

    pub(crate) fn stop(self) {
        self.runtime.block_on(self.server.stop()).expect("a clean stop");
    }
}

/// The binary, which comes back where it was.
pub(crate) struct Process {
    directory: TempDir,
    bootstrap: String,
    child: Child,
}

impl Process {
    pub(crate) fn start() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let bootstrap = free.local_addr().expect("it is bound").to_string();
        drop(free);
        let child = spawn(directory.path(), &bootstrap);
        let mut process = Self { directory, bootstrap, child };
        process.await_ready();
        process
    }

    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Kills it without a warning and starts it again.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.child = spawn(self.directory.path(), &self.bootstrap);
        self.await_ready();
    }

    fn await_ready(&mut self) {
        let said = BufReader::new(self.child.stderr.take().expect("a pipe that nobody took"));
        let (ready, is_ready) = mpsc::channel();
        thread::spawn(move || listen(said, &ready));
        is_ready.recv_timeout(START).expect("the broker is ready in time");
    }

    fn kill(&mut self) {
        let ended = self.child.try_wait().expect("its state");
        assert!(ended.is_none() || thread::panicking(), "the broker ended by itself: {ended:?}");
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

/// Nothing stays behind. One that ended by itself has failed the test.
impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts the binary with nothing of this process's environment.
fn spawn(directory: &Path, bootstrap: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command.env_clear().arg("--listen").arg(bootstrap).arg("--data-dir").arg(directory);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().expect("the binary starts")
}

/// Says when the broker is ready, and reads on after that, or the pipe would fill up.
fn listen(said: impl BufRead, ready: &mpsc::Sender<()>) {
    for line in said.lines().map_while(Result::ok) {
        if line.contains(READY) {
            // Nobody waits for it any more if it came too late.
            let _ = ready.send(());
        } else if ["WARN", "ERROR", "panicked"].iter().any(|word| line.contains(word)) {
            eprintln!("broker: {line}");
        }
    }
}
