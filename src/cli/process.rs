//! What the process gives up before it serves anybody.

#[cfg(target_os = "linux")]
mod landlock;

use rustix::process::{Resource, Rlimit, geteuid, setrlimit};

use crate::{
    config::{broker::BrokerConfig, security::SecurityProtocol},
    network::Endpoint,
};

/// Gives up what the broker has no need of. What cannot be given up is told, and no reason not to start. Before the first
/// thread is there, for each has its own privileges.
pub(super) fn confine(config: &BrokerConfig, endpoints: &[Endpoint]) {
    if geteuid().is_root() {
        tracing::warn!("running as root: whoever breaks into this process has the machine; use a user of its own");
    }
    give_up("privileges of programs that are started", forbid_new_privileges());
    if has_secrets(config) {
        give_up("core dumps, which would have keys and passwords in them", forbid_core_dumps());
    }
    #[cfg(target_os = "linux")]
    if config.landlock {
        // Not as an argument of the macro, which is left alone where nobody wants its line.
        let outcome = landlock::confine(config, endpoints);
        tracing::debug!("{outcome}");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = endpoints;
}

/// Whether there are private keys and passwords in memory.
fn has_secrets(config: &BrokerConfig) -> bool {
    config.listeners.iter().any(|listener| listener.security.protocol != SecurityProtocol::Plaintext)
}

fn give_up(what: &str, outcome: rustix::io::Result<()>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "could not give up {what}");
    }
}

#[cfg(target_os = "linux")]
fn forbid_new_privileges() -> rustix::io::Result<()> {
    rustix::thread::set_no_new_privs(true)
}

#[cfg(not(target_os = "linux"))]
fn forbid_new_privileges() -> rustix::io::Result<()> {
    Ok(())
}

fn forbid_core_dumps() -> rustix::io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // The limit does not keep the kernel from piping one to a program.
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
