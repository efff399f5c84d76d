//! One segment: a `.log` file with its two indexes.
//!
//! Invariants: every offset in a segment is at least its base offset and below the next segment's; positions fit into
//! 31 bits and offsets into 31 bits relative to the base offset, or they could not be indexed. Only the last segment of
//! a log, the active one, is appended to, by one writer at a time; readers see a batch once it is written whole.
//!
//! A segment is opened by name and size. Its indexes are opened, checked, and if need be rebuilt when they are first
//! used. The positions of the latest appends are kept in memory: a read at the tail touches no index.
//!
//! No byte on disk is believed by itself. An index entry counts if the batch is there that it speaks of, or the indexes are
//! rebuilt; and what was there before this process is walked, header by header, before it is sent the first time: a reader
//! gets what stands in front of damage, or is told of it, or gets what stands behind.

mod indexing;
mod reading;

use std::{
    collections::VecDeque,
    io,
    ops::Range,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    disk::DiskFile,
    files::{Directory, FileKind, FilePool, PooledFile, Stage},
    log_config::LogConfig,
    offset_index::{self, OffsetIndex, OffsetPosition},
    retention::SegmentFacts,
    scan::{BatchScan, ScanError},
    sync::lock,
    time_index::{self, TimeIndex, TimestampOffset},
    transaction_index::TransactionIndex,
};
use crate::{
    clock::TimestampMs,
    protocol::{
        file_range::FileRange,
        records::batch::{BatchHeader, RecordBatch},
    },
};

/// Appends whose positions are kept in memory.
const RECENT_MAX: usize = 256;
/// The largest segment: a position is a 32-bit signed number in the index.
pub const SEGMENT_SIZE_MAX: u64 = i32::MAX as u64;

/// A segment could not be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct SegmentError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub source: ScanError,
}

/// A record that a look-up by timestamp found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundRecord {
    /// Its timestamp.
    pub timestamp: TimestampMs,
    /// Its offset.
    pub offset: i64,
    /// The epoch of the leader that appended it.
    pub leader_epoch: i32,
}

/// Takes a batch apart into offset and timestamp of each record, up to the first that the second argument accepts, which
/// is the answer. An error where that is not possible: the look-up then answers with what the batch's header says.
pub type RecordTimes<'a> =
    &'a dyn Fn(&RecordBatch, &dyn Fn(i64, TimestampMs) -> bool) -> Result<Option<(i64, TimestampMs)>, Unreadable>;

/// A batch that cannot be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// A range of the log that begins with a whole batch.
#[derive(Clone, Debug)]
pub struct SegmentSlice {
    /// The bytes. They may end within a batch.
    pub records: FileRange,
    /// Size of the first batch.
    pub first_batch_size: usize,
}

/// A segment.
pub struct Segment {
    base_offset: i64,
    index_interval_bytes: u64,
    pool: Arc<FilePool>,
    dir: Arc<Directory>,
    log: Arc<PooledFile>,
    indexes: Mutex<Option<Arc<Indexes>>>,
    /// Entries are added, or all are replaced, by one at a time.
    indexing: Mutex<()>,
    aborted: TransactionIndex,
    state: Mutex<State>,
    /// Another segment follows it.
    is_closed: AtomicBool,
    /// Its files are being removed.
    retired: AtomicBool,
}

/// Both indexes, checked against the log.
pub struct Indexes {
    /// Offset to position.
    pub offset: OffsetIndex,
    /// Timestamp to offset.
    pub time: TimeIndex,
}

struct State {
    size: u64,
    /// The offset after the last batch, which is the next segment's base offset unless compaction took what was there;
    /// unreachable as long as nobody knows it.
    next_offset: i64,
    /// What `next_offset` should turn out to be.
    expected_end: Option<i64>,
    /// This process wrote what is there from here on.
    appended_from: u64,
    /// A range in front of that whose batches were found to be in order.
    in_order: Range<u64>,
    created_ms: TimestampMs,
    /// Bytes from the last indexed batch on.
    bytes_since_index_entry: u64,
    /// Greatest timestamp of the first batch, once it is known.
    first_timestamp: Option<TimestampMs>,
    /// Known once the indexes are open.
    max_timestamp: Option<TimestampOffset>,
    recent: Recent,
    /// An offset up to which everything is on disk, and where it stands.
    flushed: Option<(i64, u64)>,
}

/// Base offset and position of the latest appends, in order, without a gap up to the end of the segment.
#[derive(Default)]
struct Recent(VecDeque<(i64, u32)>);

/// What the walk that completes the indexes found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Where the last good batch ends.
    pub position: u64,
    /// The offset after it.
    pub next_offset: i64,
}

impl Segment {
    /// A segment whose `.log` has `size` bytes. Nothing is opened.
    #[must_use]
    pub fn existing(
        pool: &Arc<FilePool>,
        dir: &Arc<Directory>,
        base_offset: i64,
        size: u64,
        config: &LogConfig,
        now: TimestampMs,
    ) -> Self {
        Self::at_stage(Stage::InPlace, pool, dir, base_offset, size, config, now)
    }

    fn at_stage(
        stage: Stage,
        pool: &Arc<FilePool>,
        dir: &Arc<Directory>,
        base_offset: i64,
        size: u64,
        config: &LogConfig,
        now: TimestampMs,
    ) -> Self {
        let file = |kind| PooledFile::new(Arc::clone(pool), Arc::clone(dir), base_offset, kind).at_stage(stage);
        let state = State {
            size,
            next_offset: i64::MAX,
            expected_end: None,
            appended_from: size,
            in_order: 0..0,
            created_ms: now,
            bytes_since_index_entry: 0,
            first_timestamp: None,
            max_timestamp: None,
            recent: Recent::default(),
            flushed: None,
        };
        Self {
            base_offset,
            index_interval_bytes: config.index_interval_bytes,
            pool: Arc::clone(pool),
            dir: Arc::clone(dir),
            log: Arc::new(file(FileKind::Log)),
            indexes: Mutex::new(None),
            indexing: Mutex::new(()),
            aborted: TransactionIndex::new(file(FileKind::TransactionIndex), base_offset),
            state: Mutex::new(state),
            is_closed: AtomicBool::new(false),
            retired: AtomicBool::new(false),
        }
    }

    /// Creates the files of an empty segment, or empties them.
    pub fn create(
        pool: &Arc<FilePool>,
        dir: &Arc<Directory>,
        base_offset: i64,
        config: &LogConfig,
        now: TimestampMs,
    ) -> io::Result<Self> {
        Self::existing(pool, dir, base_offset, 0, config, now).created()
    }

    /// The same for a segment that is written beside the log, to take the place of others.
    pub fn create_cleaned(
        pool: &Arc<FilePool>,
        dir: &Arc<Directory>,
        base_offset: i64,
        config: &LogConfig,
        now: TimestampMs,
    ) -> io::Result<Self> {
        Self::at_stage(Stage::Cleaned, pool, dir, base_offset, 0, config, now).created()
    }

    fn created(self) -> io::Result<Self> {
        lock(&self.state).next_offset = self.base_offset;
        self.aborted.set_checked();
        self.log.create()?;
        *lock(&self.indexes) = Some(Arc::new(self.create_indexes()?));
        Ok(self)
    }

    /// A lower bound of the offsets in it, and its name.
    #[must_use]
    pub fn base_offset(&self) -> i64 {
        self.base_offset
    }

    /// Bytes of the log.
    #[must_use]
    pub fn size(&self) -> u64 {
        lock(&self.state).size
    }

    /// What is known without looking into it.
    pub(super) fn facts(&self) -> SegmentFacts {
        SegmentFacts { base_offset: self.base_offset, size: self.size() }
    }

    /// The `.log` file.
    #[must_use]
    pub fn log(&self) -> &PooledFile {
        &self.log
    }

    /// The aborted transactions that ended in it.
    #[must_use]
    pub fn aborted(&self) -> &TransactionIndex {
        &self.aborted
    }

    /// Names the `.log` file in an error.
    pub fn error(&self, source: ScanError) -> SegmentError {
        SegmentError { path: self.log.path(), source }
    }

    fn io_error(&self, source: io::Error) -> SegmentError {
        self.error(ScanError::Io { position: 0, source })
    }

    fn open_log(&self) -> Result<Arc<dyn DiskFile>, SegmentError> {
        self.log.get().map_err(|e| self.io_error(e))
    }
}

/// Appending and rolling.
impl Segment {
    /// Whether a batch has to go into a new segment (Kafka's `LogSegment.shouldRoll`).
    pub fn should_roll(
        &self,
        batch: &BatchHeader,
        config: &LogConfig,
        jitter_ms: i64,
        now: TimestampMs,
    ) -> Result<bool, SegmentError> {
        let size = self.size();
        if size == 0 {
            return Ok(false);
        }
        let segment_bytes = config.segment_bytes.min(SEGMENT_SIZE_MAX);
        Ok(size + batch.size() as u64 > segment_bytes
            || batch.last_offset() - self.base_offset > i64::from(i32::MAX)
            || self.indexes_are_full(config)?
            || self.time_waited(batch.max_timestamp, now)? > config.segment_ms.saturating_sub(jitter_ms))
    }

    /// Writes one batch, in two parts, at the end, with room of the reserve if it `may_use_reserve`. After an error the file
    /// is as it was, unless cutting it fails too.
    pub fn append(&self, header: &BatchHeader, payload: &[u8], may_use_reserve: bool) -> Result<(), AppendFailure> {
        let indexes = self.indexes().map_err(AppendFailure::Segment)?;
        let position = self.size();
        let header_bytes = header.to_bytes();
        let parts: [&[u8]; 2] = [&header_bytes, payload];
        let written = match may_use_reserve {
            true => self.log.write_all_at(&parts, position),
            false => self.log.write_unreserved_at(&parts, position),
        };
        if let Err(source) = written {
            let cut = self.log.set_len(position);
            return Err(AppendFailure::Write { source, torn: cut.is_err() });
        }
        self.index(&indexes, header, position);
        Ok(())
    }

    /// Writes batches that stand one after the other in `bytes` at the end.
    pub fn append_all(&self, headers: &[BatchHeader], bytes: &[u8]) -> Result<(), SegmentError> {
        let indexes = self.indexes()?;
        let mut position = self.size();
        self.log.write_unreserved_at(&[bytes], position).map_err(|e| self.io_error(e))?;
        for header in headers {
            self.index(&indexes, header, position);
            position += header.size() as u64;
        }
        // Offsets may be missing between them, which the memory of appends knows nothing of.
        lock(&self.state).recent = Recent::default();
        Ok(())
    }

    /// Cuts off what a failed append left behind.
    pub fn cut_torn_append(&self) -> io::Result<()> {
        self.log.set_len(self.size())
    }

    /// Writes down what only a closed segment has: the final entry of the time index. The active segment's successor
    /// exists, or the log is being closed.
    pub fn close_indexes(&self) -> io::Result<()> {
        let Some(indexes) = self.opened_indexes() else { return Ok(()) };
        let max_timestamp = lock(&self.state).max_timestamp;
        indexes.write_with(max_timestamp)
    }

    /// The files that a flush is about: the log, and the indexes if they have been opened.
    pub(super) fn files(&self, with_indexes: bool) -> Vec<Arc<PooledFile>> {
        let mut files = vec![Arc::clone(&self.log)];
        if let Some(indexes) = self.opened_indexes().filter(|_| with_indexes) {
            files.extend([indexes.offset.file(), indexes.time.file()]);
        }
        files.extend(self.aborted.file().filter(|_| with_indexes));
        files
    }

    /// Takes all its files for written: a killed process leaves its writes in the page cache, where nobody knows that they
    /// are not on disk.
    pub(super) fn set_dirty(&self) {
        self.files(true).iter().for_each(|file| file.set_dirty());
    }

    /// Notes up to where it is on disk: a place where many readers end.
    pub(super) fn set_flushed(&self, offset: i64, position: u64) {
        lock(&self.state).flushed = Some((offset, position));
    }

    /// Writes the index entries that wait in memory.
    pub fn write_indexes(&self) -> io::Result<()> {
        let Some(indexes) = self.opened_indexes() else { return Ok(()) };
        indexes.offset.write()?;
        indexes.time.write()
    }

    /// Closes its files. They are opened again when they are used again.
    pub fn close_files(&self) {
        self.log.close();
        if let Some(indexes) = self.opened_indexes() {
            indexes.offset.file().close();
            indexes.time.file().close();
        }
        if let Some(aborted) = self.aborted.file() {
            aborted.close();
        }
    }

    /// Gives up the names of its files: nobody opens or creates them from here on. Whoever reads one goes on.
    pub(super) fn retire(&self) {
        let mut indexes = lock(&self.indexes);
        self.retired.store(true, Ordering::Release);
        self.log.retire();
        if let Some(indexes) = indexes.take() {
            indexes.offset.file().retire();
            indexes.time.file().retire();
        }
        self.aborted.retire();
    }

    /// Gives its files the names of another stage, the log first. A start that finds it between two stages takes it for
    /// what it was before.
    pub(super) fn rename(&self, to: Stage) -> io::Result<()> {
        self.log.rename(to)?;
        if let Some(indexes) = self.opened_indexes() {
            indexes.offset.file().rename(to)?;
            indexes.time.file().rename(to)?;
        }
        self.aborted.rename(to)
    }

    /// Under which name it stands.
    pub(super) fn stage(&self) -> Stage {
        self.log.stage()
    }

    /// Bytes of the two indexes.
    pub(super) fn index_sizes(&self) -> Result<(u64, u64), SegmentError> {
        let indexes = self.indexes()?;
        Ok((indexes.offset.size(), indexes.time.size()))
    }

    /// Whether it is known where the next segment begins.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Another segment follows it.
    pub(super) fn set_closed(&self, next_base: i64) {
        self.set_next_offset(next_base);
        self.is_closed.store(true, Ordering::Release);
    }

    /// Whether its files are being removed, which would explain an error.
    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// When something was last written to its log.
    pub(super) fn modified_ms(&self) -> io::Result<TimestampMs> {
        self.log.get()?.modified_ms()
    }

    fn index(&self, indexes: &Indexes, header: &BatchHeader, position: u64) {
        let _one_at_a_time = lock(&self.indexing);
        let last_offset = header.last_offset();
        let mut state = lock(&self.state);
        if position == 0 {
            state.first_timestamp = Some(header.max_timestamp);
        }
        state.see_timestamp(header);
        let due = state.bytes_since_index_entry > self.index_interval_bytes;
        let max_timestamp = state.max_timestamp;
        if due {
            state.bytes_since_index_entry = 0;
        }
        state.bytes_since_index_entry += header.size() as u64;
        state.size = position + header.size() as u64;
        state.next_offset = last_offset + 1;
        state.recent.push(header.base_offset, position);
        drop(state);
        if due {
            indexes.add(OffsetPosition { offset: last_offset, position }, max_timestamp);
        }
    }

    fn indexes_are_full(&self, config: &LogConfig) -> Result<bool, SegmentError> {
        let indexes = self.indexes()?;
        let offset_entries_max = config.segment_index_bytes / offset_index::ENTRY_SIZE as u64;
        let time_entries_max = config.segment_index_bytes / time_index::ENTRY_SIZE as u64;
        // One slot of the time index is kept for the entry that is added when the segment is closed.
        Ok(indexes.offset.size() / offset_index::ENTRY_SIZE as u64 >= offset_entries_max
            || indexes.time.size() / time_index::ENTRY_SIZE as u64 + 1 >= time_entries_max)
    }

    /// How old the segment is: by the timestamps of its first batch and the one to be appended, or by the clock where
    /// the first batch has none.
    fn time_waited(&self, timestamp: TimestampMs, now: TimestampMs) -> Result<i64, SegmentError> {
        match self.first_timestamp()? {
            Some(first) if first >= 0 => Ok(timestamp.saturating_sub(first)),
            _ => Ok(now.saturating_sub(lock(&self.state).created_ms)),
        }
    }

    /// The greatest timestamp of its first batch.
    pub(super) fn first_timestamp(&self) -> Result<Option<TimestampMs>, SegmentError> {
        let (known, size) = {
            let state = lock(&self.state);
            (state.first_timestamp, state.size)
        };
        if known.is_some() {
            return Ok(known);
        }
        let file = self.open_log()?;
        let first = match BatchScan::new(&*file, 0, size).next_batch() {
            // Damage does not keep anybody from appending.
            Err(ScanError::Corrupt { .. }) => None,
            first => first.map_err(|e| self.error(e))?,
        };
        let timestamp = first.map(|batch| batch.header.max_timestamp);
        lock(&self.state).first_timestamp = timestamp;
        Ok(timestamp)
    }
}

/// Why an append failed.
#[derive(Debug)]
pub enum AppendFailure {
    /// The segment's files could not be used. Nothing was written.
    Segment(SegmentError),
    /// The write failed.
    Write {
        /// Why.
        source: io::Error,
        /// Part of the batch may still stand behind the end.
        torn: bool,
    },
}

impl Indexes {
    /// Writes what waits, and the time index's final entry.
    fn write_with(&self, max_timestamp: Option<TimestampOffset>) -> io::Result<()> {
        if let Some(max_timestamp) = max_timestamp {
            self.time.append_if_later(max_timestamp);
        }
        self.offset.write()?;
        self.time.write()
    }

    fn add(&self, entry: OffsetPosition, max_timestamp: Option<TimestampOffset>) {
        let added = self.offset.append(entry);
        debug_assert!(added, "a segment that {entry:?} does not fit into is rolled before");
        if let Some(max_timestamp) = max_timestamp {
            self.time.append_if_later(max_timestamp);
        }
    }
}

impl State {
    fn see_timestamp(&mut self, header: &BatchHeader) {
        if header.max_timestamp > self.max_timestamp.map_or(-1, |max| max.timestamp) {
            self.max_timestamp =
                Some(TimestampOffset { timestamp: header.max_timestamp, offset: header.last_offset() });
        }
    }
}

/// Where a batch begins and ends.
#[derive(Clone, Copy)]
struct Extent {
    position: u64,
    end: u64,
    base_offset: i64,
    /// Unknown for an append of this process.
    leader_epoch: Option<i32>,
}

impl Recent {
    fn push(&mut self, base_offset: i64, position: u64) {
        // A position that does not fit cannot be reached: the segment is rolled before.
        let Ok(position) = u32::try_from(position) else { return self.0.clear() };
        if self.0.len() == RECENT_MAX {
            self.0.pop_front();
        }
        self.0.push_back((base_offset, position));
    }

    /// The batch with `offset`, unless it is older than what is remembered.
    fn extent_of(&self, offset: i64, size: u64) -> Option<Extent> {
        let next = self.0.partition_point(|(base_offset, _)| *base_offset <= offset);
        let (base_offset, position) = *self.0.get(next.checked_sub(1)?)?;
        let end = self.0.get(next).map_or(size, |(_, position)| u64::from(*position));
        Some(Extent { position: u64::from(position), end, base_offset, leader_epoch: None })
    }

    /// Where the batches end that precede `offset`, unless it is older than what is remembered.
    fn end_before(&self, offset: i64, size: u64) -> Option<u64> {
        let (oldest, _) = self.0.front()?;
        if offset < *oldest {
            return None;
        }
        let next = self.0.partition_point(|(base_offset, _)| *base_offset < offset);
        Some(self.0.get(next).map_or(size, |(_, position)| u64::from(*position)))
    }
}
