//! `ottla health`: a broker that is ready, and all that is not.

use std::{
    net::TcpListener,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::support::BrokerProcess;

/// The exit code, and what is said.
fn health(args: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command.env_clear().envs(environment.iter().copied()).arg("health").args(args).stdin(Stdio::null());
    let output = command.output().expect("the binary starts");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    (output.status.code(), String::from_utf8(output.stdout).expect("text"))
}

#[test]
fn a_broker_is_ready_while_it_serves() {
    let directory = TempDir::new().expect("a directory");
    let broker = BrokerProcess::start(directory.path());
    let (address, port) = (broker.address().to_string(), broker.address().port());
    let ready = (Some(0), format!("ready: {address}\n"));
    assert_eq!(health(&["--connect", &address], &[]), ready);
    assert_eq!(health(&["--listen", &address], &[]), ready, "as the broker was told itself");
    let listeners = format!("CONTROLLER://:1,PLAINTEXT://:{port}");
    let environment = [
        ("KAFKA_LISTENERS", listeners.as_str()),
        ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://elsewhere.example:9092"),
        ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
        ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"),
    ];
    assert_eq!(health(&[], &environment), ready, "as a container is told");
    broker.terminate();
    assert_eq!(broker.wait().0, Some(0));
    let (code, said) = health(&["--connect", &address], &[]);
    assert_eq!(code, Some(1));
    assert_eq!(said, format!("not ready: {address}: Connection refused (os error 111)\n"));
}

#[test]
fn whatever_does_not_answer_is_not_ready() {
    // Connections wait to be accepted, and nobody does.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let said = health(&["--connect", &address, "--timeout", "0.2"], &[]);
    assert_eq!(said, (Some(1), format!("not ready: {address}: no answer within 0.2 seconds\n")));
}

#[test]
fn settings_that_no_broker_starts_with_are_not_ready() {
    let (code, said) = health(&[], &[("KAFKA_NUM_PARTITIONS", "x")]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("not ready: KAFKA_NUM_PARTITIONS: Invalid value x"), "{said}");
    let (code, said) = health(&["--listen", "127.0.0.1:0"], &[]);
    assert_eq!((code, said.starts_with("not ready: the port of the first listener")), (Some(1), true), "{said}");
}
