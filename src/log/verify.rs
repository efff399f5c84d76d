//! Checks a data directory that no broker uses, and changes nothing in it.
//!
//! Every batch is held against its CRC, its place and its neighbours; every index against the log; every checkpoint
//! against where the logs begin and end. One pass, and memory for the names of one directory and the bounds of each
//! partition.
//!
//! A flipped bit within a batch breaks its CRC, but for two fields that lie outside: the base offset, found because
//! offsets ascend, and because a log that was closed cleanly ends where its recovery point is; and the leader epoch, held
//! against `leader-epoch-checkpoint`. After an unclean stop the last batch has neither, nor does the first one after a
//! gap that compaction left.

mod partition;
mod problem;
mod segment;

use std::{
    collections::HashMap,
    fmt, io,
    path::{Path, PathBuf},
};

pub use self::problem::{Finding, Problem};
use super::{
    checkpoints::{self, CLEANER_FILE, HIGH_WATERMARK_FILE, LOG_START_FILE, RECOVERY_POINT_FILE},
    disk::{DirEntry, Disk, EntryKind, LockError, read_file},
    log_dir::{CLEAN_SHUTDOWN_FILE, DirName, LOCK_FILE, parse_dir_name},
    meta_properties::{self, MetaProperties, MetaPropertiesError},
    reserve, secret,
};
use crate::protocol::ids::TopicPartition;

/// Files of a data directory that are not looked into.
const OTHER_FILES: [&str; 4] = [LOCK_FILE, CLEAN_SHUTDOWN_FILE, "bootstrap.checkpoint", secret::FILE_NAME];

/// Why a directory could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A broker uses it.
    #[error("{}: the directory is in use, its lock is {source}", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Who has the lock.
        source: LockError,
    },
    /// It could not be listed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Partitions.
    pub partitions: u64,
    /// Segments of their logs.
    pub segments: u64,
    /// Good batches.
    pub batches: u64,
    /// Bytes of the logs.
    pub bytes: u64,
    /// Things that are wrong.
    pub findings: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partitions, segments, batches, bytes, findings } = self;
        write!(f, "{partitions} partitions, {segments} segments, {batches} good batches, {bytes} bytes: ")?;
        match findings {
            0 => write!(f, "all is well"),
            1 => write!(f, "1 finding"),
            more => write!(f, "{more} findings"),
        }
    }
}

/// Checks the directory and tells each finding as it is made. Blocks.
pub fn verify(disk: &dyn Disk, path: &Path, on_finding: &mut dyn FnMut(&Finding)) -> Result<Summary, VerifyError> {
    let lock = disk.lock_shared(&path.join(LOCK_FILE));
    let _lock = lock.map_err(|source| VerifyError::Locked { path: path.to_owned(), source })?;
    let entries = sorted(disk, path).map_err(|source| VerifyError::Io { path: path.to_owned(), source })?;
    let mut report = Report { on_finding, summary: Summary::default() };
    DirCheck { disk, path, was_clean: entries.iter().any(|entry| entry.name == CLEAN_SHUTDOWN_FILE) }
        .check(&entries, &mut report);
    Ok(report.summary)
}

/// What is in a directory, by name.
fn sorted(disk: &dyn Disk, path: &Path) -> io::Result<Vec<DirEntry>> {
    let mut entries = disk.list_dir(path)?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// Where findings go.
struct Report<'a> {
    on_finding: &'a mut dyn FnMut(&Finding),
    summary: Summary,
}

impl Report<'_> {
    /// A segment of so many bytes is looked at.
    fn begin_segment(&mut self, bytes: u64) {
        self.summary.segments += 1;
        self.summary.bytes += bytes;
    }

    /// A batch is looked at.
    fn begin_batch(&mut self) {
        self.summary.batches += 1;
    }

    /// Something about a file.
    fn file(&mut self, path: &Path, problem: impl Into<Problem>) {
        self.add(Finding { path: path.to_owned(), position: None, problem: problem.into() });
    }

    /// Something at a position of a file.
    fn at(&mut self, path: &Path, position: u64, problem: impl Into<Problem>) {
        self.add(Finding { path: path.to_owned(), position: Some(position), problem: problem.into() });
    }

    fn add(&mut self, finding: Finding) {
        self.summary.findings += u64::from(!finding.problem.is_note());
        (self.on_finding)(&finding);
    }
}

/// The offset after a log's last batch; `None` where the log ends with damage.
type LogEnd = Option<i64>;

/// The data directory itself.
struct DirCheck<'a> {
    disk: &'a dyn Disk,
    path: &'a Path,
    was_clean: bool,
}

impl DirCheck<'_> {
    fn check(&self, entries: &[DirEntry], report: &mut Report<'_>) {
        if !entries.iter().any(|entry| entry.name == meta_properties::FILE_NAME) {
            report.file(&self.path.join(meta_properties::FILE_NAME), Problem::Missing);
        }
        let recovery_points = self.recovery_points();
        let mut bounds = HashMap::new();
        for entry in entries.iter().filter(|entry| entry.kind == EntryKind::Directory) {
            let path = self.path.join(&entry.name);
            match parse_dir_name(&entry.name) {
                DirName::Partition(partition) => {
                    let recovery_point = recovery_points.get(&partition).copied().unwrap_or(0);
                    let trusted_end = if self.was_clean { i64::MAX } else { recovery_point };
                    report.summary.partitions += 1;
                    if let Some(log) = partition::check(self.disk, &path, trusted_end, report) {
                        bounds.insert(partition, log);
                    }
                }
                DirName::Deleted | DirName::Stray => report.file(&path, Problem::Retired),
                DirName::Unknown => report.file(&path, Problem::Unknown),
            }
        }
        for entry in entries.iter().filter(|entry| entry.kind != EntryKind::Directory) {
            self.check_file(&entry.name, &bounds, report);
        }
    }

    /// The recovery points, without a word about what may be wrong with them: that comes later.
    fn recovery_points(&self) -> HashMap<TopicPartition, i64> {
        let bytes = read_file(self.disk, &self.path.join(RECOVERY_POINT_FILE)).unwrap_or_default();
        checkpoints::parse_entries(&bytes, checkpoints::parse_offset).unwrap_or_default().into_iter().collect()
    }

    fn check_file(&self, name: &str, bounds: &HashMap<TopicPartition, LogEnd>, report: &mut Report<'_>) {
        let path = self.path.join(name);
        match name {
            RECOVERY_POINT_FILE | LOG_START_FILE | HIGH_WATERMARK_FILE | CLEANER_FILE => {
                self.check_offsets(name, bounds, report);
            }
            meta_properties::FILE_NAME => {
                if let Err(error) = MetaProperties::read(self.disk, self.path) {
                    report.file(
                        &path,
                        match error {
                            MetaPropertiesError::Io(error) => Problem::Unreadable(error),
                            other => Problem::MetaProperties(other),
                        },
                    );
                }
            }
            _ if OTHER_FILES.contains(&name) || reserve::is_holding_room(name) => {}
            _ => report.file(&path, Problem::Unknown),
        }
    }

    /// Holds a checkpoint of offsets against the logs.
    fn check_offsets(&self, name: &str, bounds: &HashMap<TopicPartition, LogEnd>, report: &mut Report<'_>) {
        let path = self.path.join(name);
        let bytes = match read_file(self.disk, &path) {
            Ok(bytes) => bytes,
            Err(error) => return report.file(&path, Problem::Unreadable(error)),
        };
        let entries = match checkpoints::parse_entries(&bytes, checkpoints::parse_offset) {
            Ok(entries) => entries,
            Err(error) => return report.file(&path, Problem::Checkpoint(error)),
        };
        for (partition, offset) in entries {
            match bounds.get(&partition) {
                None => report.file(&path, Problem::NoSuchPartition { partition }),
                Some(&Some(log_end)) if offset > log_end => {
                    report.file(&path, Problem::BeyondLogEnd { partition, offset, log_end });
                }
                Some(&Some(log_end)) if offset < log_end && name == RECOVERY_POINT_FILE && self.was_clean => {
                    report.file(&path, Problem::BeforeLogEnd { partition, offset, log_end });
                }
                Some(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
