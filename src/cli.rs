//! The command line: which command, and its exit code.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

pub mod broker;
pub mod certs;
mod codec;
pub mod decode;
pub mod dump;
pub mod encode;
pub mod health;
mod nearest;
mod process;
pub mod verify;

pub use broker::BrokerArgs;
pub use certs::CertsArgs;
pub use decode::DecodeArgs;
pub use dump::DumpArgs;
pub use encode::EncodeArgs;
pub use health::HealthArgs;
pub use verify::VerifyArgs;

/// A Kafka broker in one binary: without a subcommand, the broker.
#[derive(Debug, Parser)]
#[command(name = "ottla", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    broker: BrokerArgs,
}

/// What to do instead of being the broker.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows the bytes of a Kafka message as JSON.
    Decode(DecodeArgs),
    /// Turns JSON into the bytes of a Kafka message.
    Encode(EncodeArgs),
    /// Shows the files of a data directory as text.
    Dump(DumpArgs),
    /// Checks a data directory that no broker uses.
    Verify(VerifyArgs),
    /// Makes certificates for a try-out of TLS.
    Certs(CertsArgs),
    /// Says whether a broker is ready.
    Health(HealthArgs),
}

/// Runs the program on the arguments of this process.
pub fn run() -> ExitCode {
    match execute(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            if !is_broken_pipe(&error) {
                // An error tells its causes itself.
                eprintln!("error: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Some(Command::Decode(mut args)) => {
            args.pretty |= io::stdout().is_terminal();
            args.run(io::stdin().lock(), io::stdout().lock())
        }
        Some(Command::Encode(args)) => args.run(io::stdin().lock(), io::stdout().lock()),
        Some(Command::Dump(args)) => args.run(io::stdout().lock(), io::stderr().lock()),
        Some(Command::Verify(args)) => args.run(io::stdout().lock()),
        Some(Command::Certs(args)) => args.run(io::stdout().lock()),
        Some(Command::Health(args)) => args.run(broker::environment(), io::stdout().lock()),
        None => broker::run(cli.broker),
    }
}

/// Whether the reader of our output went away, as `head` does. There is nobody to tell.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests;
