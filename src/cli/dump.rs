//! `ottla dump`: the files of a data directory as text, one entry a line, in the form of Kafka's `kafka-dump-log`.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::{
    fmt::Display,
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Args;

use crate::log::{
    checkpoints::{CLEANER_FILE, HIGH_WATERMARK_FILE, LOG_START_FILE, RECOVERY_POINT_FILE},
    disk::{Disk, DiskFile, OpenMode, RealDisk},
    leader_epochs,
    log_dir::{CLEAN_SHUTDOWN_FILE, DirName, parse_dir_name},
    meta_properties, partition_metadata,
};

mod batches;
mod entries;
mod records;
mod small;

use records::RecordFormat;

const EXAMPLES: &str = "\
Examples:
  ottla dump data/orders-0/00000000000000000000.log
  ottla dump --records data/__cluster_metadata-0/*.log data/__cluster_metadata-0/*.checkpoint
  ottla dump data/orders-0/*.index data/recovery-point-offset-checkpoint

A file's name says what it is, its directory's name which topic it belongs to. Keys and values are shown as text where they
are UTF-8, else as 0x and hex digits; records of Kafka's internal topics as JSON, without passwords and keys of users.";

/// Arguments of `ottla dump`.
#[derive(Args, Clone, Debug)]
#[command(about = "Shows the files of a data directory as text", after_help = EXAMPLES)]
pub struct DumpArgs {
    /// Show the records of each batch too.
    #[arg(long)]
    pub records: bool,
    /// The topic that the records belong to, where the directory's name does not say it.
    #[arg(long, value_name = "NAME")]
    pub topic: Option<String>,
    /// Logs, indexes, snapshots, checkpoints: any file of a data directory.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

impl DumpArgs {
    /// Writes each file's entries to `output` and what is wrong with it to `errors`, and goes on with the next.
    pub fn run(self, output: impl Write, mut errors: impl Write) -> anyhow::Result<ExitCode> {
        let mut output = BufWriter::new(output);
        let mut failed = false;
        for path in &self.files {
            let mut dump = Dump { path, output: &mut output, errors: &mut errors, failed: false };
            dump.line(format_args!("Dumping {}", path.display()))?;
            self.dump(&mut dump)?;
            failed |= dump.failed;
        }
        output.flush()?;
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn dump(&self, dump: &mut Dump<'_>) -> io::Result<()> {
        // Links are followed here: the path is the user's own.
        let opened = fs::canonicalize(dump.path).and_then(|path| Ok((RealDisk.open(&path, OpenMode::ReadOnly)?, path)));
        let (file, path) = match opened {
            Ok(opened) => opened,
            Err(error) => return dump.fail(None, error),
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match FileType::of(&name) {
            Some(FileType::Log) => batches::dump_log(dump, &*file, &name, self.format(&path, &name)),
            Some(FileType::OffsetIndex) => entries::dump_offset_index(dump, file, &name),
            Some(FileType::TimeIndex) => entries::dump_time_index(dump, file, &name),
            Some(FileType::TxnIndex) => entries::dump_txn_index(dump, file),
            Some(FileType::ProducerSnapshot) => small::dump_producer_snapshot(dump, &*file),
            Some(FileType::Offsets) => small::dump_offsets(dump, &*file),
            Some(FileType::LeaderEpochs) => small::dump_leader_epochs(dump, &*file),
            Some(FileType::PartitionMetadata) => small::dump_partition_metadata(dump, &*file),
            Some(FileType::Properties) => small::dump_properties(dump, &*file),
            Some(FileType::Json) => small::dump_json(dump, &*file),
            None => dump.fail(None, "not a file of a data directory, as far as its name says"),
        }
    }

    /// How the records of a file are to be shown; `None` if they are not.
    fn format(&self, path: &Path, name: &str) -> Option<RecordFormat> {
        if !self.records {
            return None;
        }
        let directory = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        let topic = match (&self.topic, parse_dir_name(&directory)) {
            (Some(topic), _) => topic.clone(),
            (None, _) if name.ends_with(".checkpoint") => records::METADATA_TOPIC.to_owned(),
            (None, DirName::Partition(partition)) => partition.topic.to_string(),
            (None, _) => String::new(),
        };
        Some(RecordFormat::of_topic(&topic))
    }
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileType {
    Log,
    OffsetIndex,
    TimeIndex,
    TxnIndex,
    ProducerSnapshot,
    Offsets,
    LeaderEpochs,
    PartitionMetadata,
    Properties,
    Json,
}

impl FileType {
    fn of(name: &str) -> Option<Self> {
        match name {
            RECOVERY_POINT_FILE | LOG_START_FILE | HIGH_WATERMARK_FILE | CLEANER_FILE => return Some(Self::Offsets),
            leader_epochs::FILE_NAME => return Some(Self::LeaderEpochs),
            partition_metadata::FILE_NAME => return Some(Self::PartitionMetadata),
            meta_properties::FILE_NAME => return Some(Self::Properties),
            "quorum-state" | CLEAN_SHUTDOWN_FILE => return Some(Self::Json),
            _ => {}
        }
        // A segment's file keeps its kind while it is deleted, cleaned or swapped.
        let set_aside = [".deleted", ".cleaned", ".swap", ".corrupt", ".part"];
        let name = set_aside.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
        match name.rsplit_once('.')?.1 {
            "log" | "checkpoint" => Some(Self::Log),
            "index" => Some(Self::OffsetIndex),
            "timeindex" => Some(Self::TimeIndex),
            "txnindex" => Some(Self::TxnIndex),
            "snapshot" => Some(Self::ProducerSnapshot),
            _ => None,
        }
    }
}

/// One file's way to the output.
struct Dump<'a> {
    path: &'a Path,
    output: &'a mut dyn Write,
    errors: &'a mut dyn Write,
    failed: bool,
}

impl Dump<'_> {
    fn line(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.output, "{text}")
    }

    /// Tells what is wrong with the file. An error is one of the output, not of the file.
    fn fail(&mut self, position: Option<u64>, error: impl Display) -> io::Result<()> {
        self.failed = true;
        // In the order of what it is about, where both go to a terminal.
        self.output.flush()?;
        let path = self.path.display();
        match position {
            Some(position) => writeln!(self.errors, "error: {path}: position {position}: {error}"),
            None => writeln!(self.errors, "error: {path}: {error}"),
        }
    }
}

/// An open file, shared with its reader.
type File = Arc<dyn DiskFile>;

#[cfg(test)]
mod tests;
