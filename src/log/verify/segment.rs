//! The walk over a log, its indexes read along with it.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use super::{LogEnd, Problem, Report};
use crate::{
    clock::TimestampMs,
    log::{
        disk::{Disk, DiskFile, OpenMode},
        files::FileKind,
        index_file::Entries,
        leader_epochs::EpochEntry,
        offset_index::{self, OffsetPosition},
        scan::{BatchAt, BatchScan, ScanError, check_crc, find_valid_batch},
        time_index::{self, TimestampOffset},
        transaction_index::{self, AbortedTransaction},
    },
    protocol::records::batch::BatchHeader,
};

/// The walk from a log's first segment to its last.
pub(super) struct Walk<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    epochs: Vec<EpochEntry>,
    trusted_end: i64,
    /// The offset after the last batch.
    next_offset: i64,
    /// Whether bytes follow it that are no good batch.
    ends_in_damage: bool,
    /// Epoch of the last batch that had a plausible one.
    leader_epoch: i32,
    /// An epoch that was told of: the batches that follow with the same one are not worth a line each.
    bad_epoch: Option<i32>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(disk: &'a dyn Disk, dir: &'a Path, epochs: Vec<EpochEntry>, trusted_end: i64) -> Self {
        Self {
            disk,
            dir,
            epochs,
            trusted_end,
            next_offset: 0,
            ends_in_damage: false,
            leader_epoch: -1,
            bad_epoch: None,
        }
    }

    /// The offset after the last batch that has a place in the log.
    pub(super) fn log_end(&self) -> LogEnd {
        (!self.ends_in_damage).then_some(self.next_offset)
    }

    /// Checks the segment at `base`, behind which the one at `next_base` begins.
    pub(super) fn segment(&mut self, base: i64, next_base: Option<i64>, report: &mut Report<'_>) {
        let path = self.dir.join(FileKind::Log.file_name(base));
        let opened = self.disk.open(&path, OpenMode::ReadOnly).and_then(|file| Ok((file.len()?, file)));
        let (len, file) = match opened {
            Ok(opened) => opened,
            Err(error) => return report.file(&path, error),
        };
        report.begin_segment(len);
        self.next_offset = base;
        // An index holds offsets relative to the base as 31 bits.
        let end = next_base.unwrap_or(i64::MAX).min(base.saturating_add(1 << 31));
        let mut indexes = Indexes::open(self.disk, self.dir, base, report);
        let mut end_of_good = 0;
        let is_whole = walk_batches(&*file, len, &path, report, base, |event, report| match event {
            Event::Batch(batch) => {
                end_of_good = batch.end();
                if self.check_batch(&path, batch, end, report) {
                    indexes.see(batch, report);
                } else {
                    indexes.skip_to(batch.end(), batch.header.last_offset().saturating_add(1), report);
                }
            }
            Event::Resumed(batch) => indexes.skip_to(batch.position, batch.header.base_offset, report),
        });
        self.ends_in_damage = end_of_good < len;
        let is_final = is_whole && next_base.is_some_and(|next| next <= self.trusted_end);
        indexes.finish(is_whole, is_final, report);
    }

    /// Whether the batch has its place in the log.
    fn check_batch(&mut self, path: &Path, batch: &BatchAt, end: i64, report: &mut Report<'_>) -> bool {
        let BatchAt { position, header } = *batch;
        let BatchHeader { base_offset: first, last_offset_delta, record_count, .. } = header;
        let last = header.last_offset();
        report.begin_batch();
        if last_offset_delta < 0 || record_count < 0 || record_count.saturating_sub(1) > last_offset_delta {
            report.at(path, position, Problem::Counts { last_offset_delta, record_count });
            return false;
        }
        if last >= end {
            report.at(path, position, Problem::BeyondSegment { first, last, end });
            return false;
        }
        let expected = self.next_offset;
        let in_order = first >= expected;
        if !in_order {
            report.at(path, position, Problem::Disorder { first, last, expected });
        }
        self.next_offset = last.saturating_add(1);
        self.check_epoch(path, batch, report);
        in_order
    }

    fn check_epoch(&mut self, path: &Path, batch: &BatchAt, report: &mut Report<'_>) {
        let (offset, found) = (batch.header.base_offset, batch.header.partition_leader_epoch);
        let problem = match self.epoch_of(offset) {
            Some(expected) if found != expected && !self.is_newer(offset, found) => {
                Some(Problem::LeaderEpoch { offset, found, expected })
            }
            _ if found < self.leader_epoch => {
                Some(Problem::LeaderEpochOrder { offset, found, before: self.leader_epoch })
            }
            _ => None,
        };
        let Some(problem) = problem else {
            (self.leader_epoch, self.bad_epoch) = (found, None);
            return;
        };
        if self.bad_epoch.replace(found) != Some(found) {
            report.at(path, batch.position, problem);
        }
    }

    /// The epoch that `offset` belongs to, as the checkpoint has it.
    fn epoch_of(&self, offset: i64) -> Option<i32> {
        let after = self.epochs.partition_point(|entry| entry.start_offset <= offset);
        self.epochs.get(after.checked_sub(1)?).map(|entry| entry.epoch)
    }

    /// Whether the epoch may have begun after the checkpoint was written.
    fn is_newer(&self, offset: i64, epoch: i32) -> bool {
        offset >= self.trusted_end && self.epochs.last().is_none_or(|last| last.epoch < epoch)
    }
}

/// What a walk meets.
enum Event<'a> {
    /// A batch with the right CRC.
    Batch(&'a BatchAt),
    /// The same, the first after damage; it comes again as a batch.
    Resumed(&'a BatchAt),
}

/// Walks over all good batches of a file and tells of every damaged range. Whether there was none.
fn walk_batches(
    file: &dyn DiskFile,
    len: u64,
    path: &Path,
    report: &mut Report<'_>,
    base_offset: i64,
    mut on_event: impl FnMut(Event<'_>, &mut Report<'_>),
) -> bool {
    let mut scan = BatchScan::new(file, 0, len);
    let mut is_whole = true;
    loop {
        let position = scan.position();
        match next_good_batch(file, &mut scan) {
            Ok(None) => return is_whole,
            Ok(Some(batch)) => on_event(Event::Batch(&batch), report),
            Err(error) => {
                is_whole = false;
                report.at(path, position, error);
                match find_valid_batch(file, position.saturating_add(1), len, base_offset) {
                    Ok(Some(batch)) => {
                        on_event(Event::Resumed(&batch), report);
                        scan = BatchScan::new(file, batch.position, len);
                    }
                    Ok(None) => return is_whole,
                    Err(error) => {
                        report.file(path, error);
                        return is_whole;
                    }
                }
            }
        }
    }
}

fn next_good_batch(file: &dyn DiskFile, scan: &mut BatchScan<'_>) -> Result<Option<BatchAt>, ScanError> {
    let Some(batch) = scan.next_batch()? else { return Ok(None) };
    check_crc(file, &batch)?;
    Ok(Some(batch))
}

/// Both indexes of a segment.
struct Indexes {
    offset: Option<IndexWalk<{ offset_index::ENTRY_SIZE }, OffsetPosition>>,
    time: Option<IndexWalk<{ time_index::ENTRY_SIZE }, TimestampOffset>>,
    /// The greatest timestamp so far.
    max_timestamp: TimestampMs,
    /// Timestamp of the last entry of the time index.
    indexed_timestamp: TimestampMs,
}

impl Indexes {
    fn open(disk: &dyn Disk, dir: &Path, base: i64, report: &mut Report<'_>) -> Self {
        let path = |kind: FileKind| dir.join(kind.file_name(base));
        let offset = IndexWalk::open(disk, path(FileKind::OffsetIndex), base, OffsetPosition::decode, report);
        let time = IndexWalk::open(disk, path(FileKind::TimeIndex), base, TimestampOffset::decode, report);
        Self { offset, time, max_timestamp: -1, indexed_timestamp: -1 }
    }

    /// Holds the entries for a batch against it.
    fn see(&mut self, batch: &BatchAt, report: &mut Report<'_>) {
        let last_offset = batch.header.last_offset();
        let timestamp = batch.header.max_timestamp;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        if let Some(index) = &mut self.offset {
            index.check_entry(report, |&OffsetPosition { offset, position }| match position {
                target if target < batch.position => Err(Problem::NoBatchAt { offset, target }),
                target if target > batch.position => Ok(false),
                _ if offset == last_offset => Ok(true),
                target => Err(Problem::OtherOffset { offset, target, found: last_offset }),
            });
        }
        if let Some(index) = &mut self.time {
            let (max_timestamp, indexed) = (self.max_timestamp, &mut self.indexed_timestamp);
            index.check_entry(report, |entry| match entry.offset {
                offset if offset < last_offset => Err(Problem::NoBatchWith { offset, timestamp: entry.timestamp }),
                offset if offset > last_offset => Ok(false),
                _ if entry.timestamp == timestamp && timestamp == max_timestamp => {
                    *indexed = timestamp;
                    Ok(true)
                }
                offset => Err(Problem::OtherTimestamp { offset, timestamp: entry.timestamp, found: max_timestamp }),
            });
        }
    }

    /// Passes over the entries for what could not be read.
    fn skip_to(&mut self, position: u64, offset: i64, report: &mut Report<'_>) {
        if let Some(index) = &mut self.offset {
            index.skip_while(report, |entry| entry.position < position);
        }
        if let Some(index) = &mut self.time {
            index.skip_while(report, |entry| entry.offset < offset);
        }
    }

    /// There are no more batches. `is_final`: the segment was closed, and its greatest timestamp should be in the index.
    fn finish(self, is_whole: bool, is_final: bool, report: &mut Report<'_>) {
        if let Some(index) = self.offset.filter(|_| is_whole) {
            index.finish(report, |&OffsetPosition { offset, position: target }| Problem::NoBatchAt { offset, target });
        }
        let Some(index) = self.time.filter(|_| is_whole) else { return };
        let (path, is_good) = (index.path.clone(), index.is_good);
        index.finish(report, |&TimestampOffset { offset, timestamp }| Problem::NoBatchWith { offset, timestamp });
        if is_final && is_good && self.indexed_timestamp < self.max_timestamp {
            report.file(&path, Problem::NoFinalTimestamp { timestamp: self.max_timestamp });
        }
    }
}

/// An index that is read along with its log. Its first problem is told, and the rest is not looked at: an index is rebuilt
/// as a whole.
struct IndexWalk<const N: usize, E> {
    path: PathBuf,
    base: i64,
    entries: Entries<N>,
    decode: fn(&[u8; N], i64) -> E,
    /// The next entry, its position and its bytes.
    next: Option<(u64, [u8; N])>,
    is_good: bool,
}

impl<const N: usize, E> IndexWalk<N, E> {
    fn open(
        disk: &dyn Disk,
        path: PathBuf,
        base: i64,
        decode: fn(&[u8; N], i64) -> E,
        report: &mut Report<'_>,
    ) -> Option<Self> {
        match disk.open(&path, OpenMode::ReadOnly).and_then(Entries::new) {
            Ok(entries) => {
                let mut index = Self { path, base, entries, decode, next: None, is_good: true };
                if index.entries.odd_bytes() > 0 {
                    let bytes = index.entries.odd_bytes();
                    report.file(&index.path, Problem::OddBytes { bytes });
                }
                index.advance(report);
                return Some(index);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => report.file(&path, Problem::Missing),
            Err(error) => report.file(&path, error),
        }
        None
    }

    /// Lets `check` look at the next entry: whether it is done with it, or what is wrong.
    fn check_entry(&mut self, report: &mut Report<'_>, check: impl FnOnce(&E) -> Result<bool, Problem>) {
        let Some((position, entry)) = self.next else { return };
        match check(&(self.decode)(&entry, self.base)) {
            Ok(true) => self.advance(report),
            Ok(false) => {}
            Err(problem) => self.give_up(position, problem, report),
        }
    }

    fn skip_while(&mut self, report: &mut Report<'_>, is_before: impl Fn(&E) -> bool) {
        while let Some((_, entry)) = self.next
            && is_before(&(self.decode)(&entry, self.base))
        {
            self.advance(report);
        }
    }

    fn finish(mut self, report: &mut Report<'_>, problem: impl FnOnce(&E) -> Problem) {
        if let Some((position, entry)) = self.next {
            let problem = problem(&(self.decode)(&entry, self.base));
            self.give_up(position, problem, report);
        }
    }

    /// Goes to the next entry. A slot of zeros was never filled: Kafka allocates its indexes in advance.
    fn advance(&mut self, report: &mut Report<'_>) {
        let before = self.next.take();
        let position = self.entries.position();
        match self.entries.next_entry() {
            Ok(Some(entry)) if entry != [0; N] => {
                // Both kinds begin with a number that grows, and no negative one occurs but by damage.
                if before.is_some_and(|(_, before)| entry <= before) || entry[0] >= 0x80 {
                    self.give_up(position, Problem::EntryOrder, report);
                } else {
                    self.next = Some((position, entry));
                }
            }
            Ok(_) => {}
            Err(error) => self.give_up(position, error.into(), report),
        }
    }

    fn give_up(&mut self, position: u64, problem: Problem, report: &mut Report<'_>) {
        (self.next, self.is_good) = (None, false);
        report.at(&self.path, position, problem);
    }
}

/// Checks that the aborted transactions of a segment end in it, in order.
pub(super) fn check_txn_index(disk: &dyn Disk, path: &Path, offsets: Range<i64>, report: &mut Report<'_>) {
    let opened = disk.open(path, OpenMode::ReadOnly).and_then(Entries::<{ transaction_index::ENTRY_SIZE }>::new);
    let mut entries = match opened {
        Ok(entries) => entries,
        Err(error) => return report.file(path, error),
    };
    if entries.odd_bytes() > 0 {
        report.file(path, Problem::OddBytes { bytes: entries.odd_bytes() });
    }
    let mut least = offsets.start;
    loop {
        let position = entries.position();
        let entry = match entries.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => return,
            Err(error) => return report.at(path, position, error),
        };
        let (version, AbortedTransaction { first_offset: first, last_offset: last, .. }) =
            AbortedTransaction::decode(&entry);
        if version != transaction_index::VERSION {
            report.at(path, position, Problem::AbortedVersion(version));
        } else if first > last || !(least..offsets.end).contains(&last) {
            report.at(path, position, Problem::AbortedRange { first, last });
        } else {
            least = last.saturating_add(1);
        }
    }
}

/// Checks a metadata snapshot: good batches in order, a control batch at either end.
pub(super) fn check_metadata_snapshot(disk: &dyn Disk, path: &Path, report: &mut Report<'_>) {
    let opened = disk.open(path, OpenMode::ReadOnly).and_then(|file| Ok((file.len()?, file)));
    let (len, file) = match opened {
        Ok(opened) => opened,
        Err(error) => return report.file(path, error),
    };
    let mut expected = 0;
    let (mut first_is_control, mut last_is_control) = (None, false);
    let is_whole = walk_batches(&*file, len, path, report, 0, |event, report| {
        let Event::Batch(batch) = event else { return };
        let (first, last) = (batch.header.base_offset, batch.header.last_offset());
        if first < expected {
            report.at(path, batch.position, Problem::Disorder { first, last, expected });
        }
        expected = last.saturating_add(1);
        first_is_control.get_or_insert_with(|| batch.header.is_control());
        last_is_control = batch.header.is_control();
    });
    if is_whole && first_is_control != Some(true) {
        report.file(path, Problem::SnapshotControl("begin"));
    }
    if is_whole && !last_is_control {
        report.file(path, Problem::SnapshotControl("end"));
    }
}
