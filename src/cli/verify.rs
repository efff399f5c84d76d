//! `ottla verify`: checks a data directory that no broker uses.

use std::{
    io::{BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;

use crate::log::{disk::RealDisk, verify::verify};

/// Arguments of `ottla verify`.
#[derive(Args, Clone, Debug)]
#[command(
    about = "Checks a data directory that no broker uses",
    long_about = "Checks a data directory that no broker uses, and changes nothing in it: CRCs, offsets and leader epochs \
                  of all batches, the indexes against the log, the checkpoints against both. Prints each finding on a \
                  line and a summary; the exit status is 1 if anything is wrong. Notes are about what was not checked."
)]
pub struct VerifyArgs {
    /// The data directory (a broker's --data-dir or log.dirs).
    #[arg(value_name = "DIR")]
    data_dir: PathBuf,
}

impl VerifyArgs {
    /// Checks the directory and writes a line for each finding, then one for all.
    pub fn run(self, output: impl Write) -> anyhow::Result<ExitCode> {
        let mut output = BufWriter::new(output);
        let mut written = Ok(());
        let summary = verify(&RealDisk, &self.data_dir, &mut |finding| {
            if written.is_ok() {
                written = writeln!(output, "{finding}");
            }
        })?;
        written?;
        writeln!(output, "{}: {summary}", self.data_dir.display())?;
        output.flush()?;
        Ok(if summary.findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
