//! One partition's directory: its segments in order, and the small files beside them.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Bound,
    path::{Path, PathBuf},
};

use super::{LogEnd, Problem, Report, segment, sorted};
use crate::log::{
    checkpoints,
    disk::{Disk, EntryKind, read_file},
    files::{FileKind, base_offset_of},
    leader_epochs::{self, EpochEntry},
    partition_metadata,
};

const LOG: &str = ".log";
const INDEX: &str = ".index";
const TIME_INDEX: &str = ".timeindex";
const TXN_INDEX: &str = ".txnindex";
const PRODUCER_SNAPSHOT: &str = ".snapshot";
const METADATA_SNAPSHOT: &str = ".checkpoint";
const QUORUM_STATE: &str = "quorum-state";
const DELETED: &str = ".deleted";

/// Bytes of a producer snapshot before its entries: version and CRC.
const SNAPSHOT_HEAD: usize = 6;
const SNAPSHOT_VERSION: i16 = 1;

/// Checks a partition. What its indexes and epochs say is complete below `trusted_end`; above it a crash may have left
/// them behind the log. `None` if the directory cannot be read.
pub(super) fn check(disk: &dyn Disk, dir: &Path, trusted_end: i64, report: &mut Report<'_>) -> Option<LogEnd> {
    let entries = match sorted(disk, dir) {
        Ok(entries) => entries,
        Err(error) => {
            report.file(dir, error);
            return None;
        }
    };
    let names: BTreeSet<_> =
        entries.iter().filter(|entry| entry.kind == EntryKind::File).map(|entry| entry.name.as_str()).collect();
    let check = PartitionCheck { disk, dir, names };
    check.topic_id(report);
    let epochs = check.leader_epochs(trusted_end, report);
    let log_end = check.segments(epochs.clone(), trusted_end, report);
    check.epoch_bounds(&epochs, log_end, report);
    check.others(log_end, report);
    for entry in entries.iter().filter(|entry| entry.kind != EntryKind::File) {
        report.file(&dir.join(&entry.name), Problem::Unknown);
    }
    Some(log_end)
}

struct PartitionCheck<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    names: BTreeSet<&'a str>,
}

impl PartitionCheck<'_> {
    fn read(&self, name: &str, report: &mut Report<'_>) -> Option<(PathBuf, Vec<u8>)> {
        let path = self.dir.join(name);
        match read_file(self.disk, &path) {
            Ok(bytes) => return Some((path, bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => report.file(&path, Problem::Missing),
            Err(error) => report.file(&path, error),
        }
        None
    }

    fn topic_id(&self, report: &mut Report<'_>) {
        if let Some((path, bytes)) = self.read(partition_metadata::FILE_NAME, report)
            && std::str::from_utf8(&bytes).ok().and_then(partition_metadata::parse).is_none()
        {
            report.file(&path, Problem::NoTopicId);
        }
    }

    fn leader_epochs(&self, trusted_end: i64, report: &mut Report<'_>) -> Vec<EpochEntry> {
        if trusted_end == 0 && !self.names.contains(leader_epochs::FILE_NAME) {
            // It is written with the first flush of the indexes, which a crash came before.
            return Vec::new();
        }
        let Some((path, bytes)) = self.read(leader_epochs::FILE_NAME, report) else { return Vec::new() };
        let epochs = match checkpoints::parse_entries(&bytes, leader_epochs::parse) {
            Ok(epochs) => epochs,
            Err(error) => {
                report.file(&path, Problem::Checkpoint(error));
                return Vec::new();
            }
        };
        for &[before, after] in epochs.array_windows() {
            if after.epoch <= before.epoch || after.start_offset <= before.start_offset {
                let EpochEntry { epoch, start_offset } = after;
                let (before, start_before) = (before.epoch, before.start_offset);
                report.file(&path, Problem::EpochEntries { epoch, start_offset, before, start_before });
            }
        }
        epochs
    }

    fn epoch_bounds(&self, epochs: &[EpochEntry], log_end: LogEnd, report: &mut Report<'_>) {
        let (Some(last), Some(log_end)) = (epochs.last(), log_end) else { return };
        let EpochEntry { epoch, start_offset } = *last;
        if start_offset > log_end {
            let path = self.dir.join(leader_epochs::FILE_NAME);
            report.file(&path, Problem::EpochBeyondLogEnd { epoch, start_offset, log_end });
        }
    }

    /// Checks the segments; returns the log's end.
    fn segments(&self, epochs: Vec<EpochEntry>, trusted_end: i64, report: &mut Report<'_>) -> LogEnd {
        let mut bases = self.names.iter().filter_map(|name| segment_base(name, LOG)).peekable();
        if bases.peek().is_none() {
            report.file(self.dir, Problem::NoSegment);
        }
        let mut walk = segment::Walk::new(self.disk, self.dir, epochs, trusted_end);
        while let Some(base) = bases.next() {
            walk.segment(base, bases.peek().copied(), report);
        }
        walk.log_end()
    }

    /// The files that are neither log nor one of its two indexes.
    fn others(&self, log_end: LogEnd, report: &mut Report<'_>) {
        let logs: BTreeMap<i64, ()> =
            self.names.iter().filter_map(|name| segment_base(name, LOG)).map(|base| (base, ())).collect();
        for name in &self.names {
            let path = self.dir.join(name);
            if [LOG, INDEX, TIME_INDEX, TXN_INDEX].iter().any(|suffix| segment_base(name, suffix).is_some()) {
                let base = base_offset_of(name).unwrap_or_default();
                if !logs.contains_key(&base) {
                    report.file(&path, Problem::Orphan);
                } else if name.ends_with(TXN_INDEX) {
                    let next = logs.range((Bound::Excluded(base), Bound::Unbounded)).next();
                    let next = next.map_or_else(|| log_end.unwrap_or(i64::MAX), |(next, ())| *next);
                    segment::check_txn_index(self.disk, &path, base..next, report);
                }
            } else if let Some(offset) = segment_base(name, PRODUCER_SNAPSHOT) {
                self.producer_snapshot(name, offset, log_end, report);
            } else if is_metadata_snapshot(name) {
                segment::check_metadata_snapshot(self.disk, &path, report);
            } else if name.ends_with(DELETED) {
                // It is removed in time, or by the next start.
            } else if ![partition_metadata::FILE_NAME, leader_epochs::FILE_NAME, QUORUM_STATE].contains(name) {
                report.file(&path, Problem::Unknown);
            }
        }
    }

    fn producer_snapshot(&self, name: &str, offset: i64, log_end: LogEnd, report: &mut Report<'_>) {
        let Some((path, bytes)) = self.read(name, report) else { return };
        if let Err(problem) = check_producer_snapshot(&bytes) {
            report.file(&path, problem);
        } else if let Some(log_end) = log_end.filter(|log_end| offset > *log_end) {
            report.file(&path, Problem::SnapshotBeyondLogEnd { offset, log_end });
        }
    }
}

fn check_producer_snapshot(bytes: &[u8]) -> Result<(), Problem> {
    let split = bytes.split_first_chunk::<SNAPSHOT_HEAD>();
    let (&[v0, v1, crc @ ..], covered) = split.ok_or(Problem::ShortSnapshot(bytes.len()))?;
    let (version, stored) = (i16::from_be_bytes([v0, v1]), u32::from_be_bytes(crc));
    if version != SNAPSHOT_VERSION {
        return Err(Problem::SnapshotVersion(version));
    }
    let computed = crc32c::crc32c(covered);
    if stored == computed { Ok(()) } else { Err(Problem::SnapshotCrc { stored, computed }) }
}

/// The offset that a segment's file is named after: 20 digits and the suffix.
fn segment_base(name: &str, suffix: &str) -> Option<i64> {
    let digits = name.strip_suffix(suffix)?;
    let base = base_offset_of(digits)?;
    (FileKind::Log.file_name(base).strip_suffix(LOG) == Some(digits)).then_some(base)
}

/// Whether it is `<20 digits>-<10 digits>.checkpoint`.
fn is_metadata_snapshot(name: &str) -> bool {
    let is_number = |digits: &str, len| digits.len() == len && digits.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = name.strip_suffix(METADATA_SNAPSHOT).and_then(|numbers| numbers.split_once('-'));
    numbers.is_some_and(|(offset, epoch)| is_number(offset, 20) && is_number(epoch, 10))
}
