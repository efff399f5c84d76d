//! `ottla encode`: JSON as the bytes of a Kafka message.

use std::{
    io::{self, Read, Write},
    process::ExitCode,
};

use clap::Args;

use super::codec::{CodecError, Target, batch, to_hex};

const EXAMPLES: &str = "\
Examples:
  echo '{\"key\": \"my-group\"}' | ottla encode --message FindCoordinatorRequest --version 0 --hex
  ottla encode --header < request.json > request.bin
  printf 'ResponseHeader\\t0\\t{\"correlationId\": 42}\\n' | ottla encode --batch

A field may only be missing where it is a tagged one. With --header, JSON is {\"header\": {…}, \"body\": {…}}.";

/// Arguments of `ottla encode`.
#[derive(Args, Clone, Debug)]
#[command(about = "Turns JSON into the bytes of a Kafka message", after_help = EXAMPLES)]
pub struct EncodeArgs {
    #[command(flatten)]
    target: Target,
    /// Print hex digits instead of raw bytes.
    #[arg(long)]
    hex: bool,
    /// Read lines `NAME<tab>VERSION<tab>JSON` and print a line of hex digits for each. A line that cannot be encoded becomes
    /// {"error": …}, and the exit status 1.
    #[arg(long, conflicts_with_all = ["message", "version", "hex"])]
    batch: bool,
}

impl EncodeArgs {
    /// Reads `input` to its end and writes bytes or their hex digits.
    pub fn run(self, input: impl Read, mut output: impl Write) -> anyhow::Result<ExitCode> {
        if self.batch {
            return self.run_batch(input, output);
        }
        let bytes = encode(&self.target, &io::read_to_string(input)?)?;
        if self.hex {
            writeln!(output, "{}", to_hex(&bytes))?;
        } else {
            output.write_all(&bytes)?;
            output.flush()?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn run_batch(self, input: impl Read, output: impl Write) -> anyhow::Result<ExitCode> {
        let all_well = batch(input, output, self.target.header, |target, json| Ok(to_hex(&encode(target, json)?)))?;
        Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn encode(target: &Target, json: &str) -> Result<Vec<u8>, CodecError> {
    target.encode(&serde_json::from_str(json)?)
}
