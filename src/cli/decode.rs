//! `ottla decode`: the bytes of a Kafka message as JSON.

use std::{
    io::{self, Read, Write},
    process::ExitCode,
};

use clap::Args;
use ottla_codegen::interpret::json_text;

use super::codec::{Target, batch, from_hex};

const EXAMPLES: &str = "\
Examples:
  echo 0008 6d792d67726f7570 | ottla decode --message FindCoordinatorRequest --version 0 --hex
  ottla decode --header --hex < request.hex
  ottla decode --header --message FetchResponse --version 12 < response.bin
  printf 'ResponseHeader\\t0\\t0000002a\\n' | ottla decode --batch

Bytes and records are shown in base64, UUIDs in Kafka's own text. Unknown tagged fields are not shown.";

/// Arguments of `ottla decode`.
#[derive(Args, Clone, Debug)]
#[command(about = "Shows the bytes of a Kafka message as JSON", after_help = EXAMPLES)]
pub struct DecodeArgs {
    #[command(flatten)]
    target: Target,
    /// Read hex digits instead of raw bytes. White space between them does not matter.
    #[arg(long)]
    hex: bool,
    /// Read lines `NAME<tab>VERSION<tab>HEX` and print a line of JSON for each. A line that cannot be decoded becomes
    /// {"error": …}, and the exit status 1.
    #[arg(long, conflicts_with_all = ["message", "version", "hex", "pretty"])]
    batch: bool,
    /// Print JSON on several lines, as on a terminal.
    #[arg(long)]
    pub pretty: bool,
}

impl DecodeArgs {
    /// Reads `input` to its end and writes JSON.
    pub fn run(self, input: impl Read, output: impl Write) -> anyhow::Result<ExitCode> {
        if self.batch {
            return self.run_batch(input, output);
        }
        let json = self.target.decode(&self.bytes(input)?)?;
        writeln!(&mut { output }, "{}", json_text(&json, self.pretty))?;
        Ok(ExitCode::SUCCESS)
    }

    fn run_batch(self, input: impl Read, output: impl Write) -> anyhow::Result<ExitCode> {
        let all_well = batch(input, output, self.target.header, |target, hex| {
            Ok(json_text(&target.decode(&from_hex(hex)?)?, false))
        })?;
        Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn bytes(&self, mut input: impl Read) -> anyhow::Result<Vec<u8>> {
        if self.hex {
            return Ok(from_hex(&io::read_to_string(input)?)?);
        }
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
