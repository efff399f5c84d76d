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
    ordered_scan::{EpochOf, NO_EPOCHS, OrderedScan, Step, Surroundings},
    retention::SegmentFacts,
    scan::{BatchAt, BatchScan, ScanError, check_crc, read_batch},
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

/// Reading.
impl Segment {
    /// From the batch that has `offset`, or the next one if it was compacted away, to `max_bytes` or to `up_to`, which
    /// is where a batch begins. With `whole_first` the first batch is whole even if it is larger than `max_bytes`.
    /// `None` if there is nothing in this segment.
    pub fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        whole_first: bool,
        up_to: i64,
        epoch_of: EpochOf<'_>,
    ) -> Result<Option<SegmentSlice>, SegmentError> {
        let Some((first, end)) = self.locate(offset, up_to, epoch_of)? else { return Ok(None) };
        let first_batch_size = usize::try_from(first.end - first.position).unwrap_or(usize::MAX);
        let wanted = if whole_first { max_bytes.max(first_batch_size) } else { max_bytes };
        let available = usize::try_from(end.saturating_sub(first.position)).unwrap_or(usize::MAX);
        let length = self.in_order(first, wanted.min(available), epoch_of)?;
        if length == 0 {
            return Ok(None);
        }
        let source: Arc<dyn DiskFile> = self.open_log()?;
        let records = FileRange { source, position: first.position, length };
        Ok(Some(SegmentSlice { records, first_batch_size }))
    }

    /// Whether the batch with `offset` is among the latest appends, whose positions are in memory.
    #[must_use]
    pub fn is_recent(&self, offset: i64) -> bool {
        let state = lock(&self.state);
        state.recent.extent_of(offset, state.size).is_some()
    }

    /// Where the batch with `offset` stands, and where the bytes end that precede `up_to`.
    fn locate(&self, offset: i64, up_to: i64, epoch_of: EpochOf<'_>) -> Result<Option<(Extent, u64)>, SegmentError> {
        let (size, first, end) = {
            let state = lock(&self.state);
            let end = match state.flushed {
                _ if up_to >= state.next_offset => Some(state.size),
                Some((flushed, position)) if up_to == flushed => Some(position),
                _ => state.recent.end_before(up_to, state.size),
            };
            (state.size, state.recent.extent_of(offset, state.size), end)
        };
        let first = match first {
            Some(first) => first,
            None => match self.search(offset, size, epoch_of)? {
                Some(batch) => {
                    let BatchHeader { base_offset, partition_leader_epoch, .. } = batch.header;
                    let leader_epoch = Some(partition_leader_epoch);
                    Extent { position: batch.position, end: batch.end(), base_offset, leader_epoch }
                }
                None => return Ok(None),
            },
        };
        let end = match end {
            Some(end) => end,
            None => match self.search(up_to, size, epoch_of) {
                Ok(batch) => batch.map_or(size, |batch| batch.position),
                // What stands in front of it can be read.
                Err(SegmentError { source: ScanError::Corrupt { position, .. }, .. }) => position,
                Err(error) => return Err(error),
            },
        };
        Ok(Some((first, end)))
    }

    /// The first batch that ends at `offset` or later, by index and headers. An error if that is damaged.
    fn search(&self, offset: i64, size: u64, epoch_of: EpochOf<'_>) -> Result<Option<BatchAt>, SegmentError> {
        // From one that comes before, so that what is found has been held against it.
        let (position, expected) = self.begin_search(offset.saturating_sub(1))?;
        let file = self.open_log()?;
        let mut scan = OrderedScan::new(&*file, position, size, expected, self.surroundings(epoch_of));
        loop {
            match scan.next_step().map_err(|e| self.error(e))? {
                None => return Ok(None),
                Some(Step::Batch(batch)) if batch.header.last_offset() >= offset => return Ok(Some(batch)),
                Some(Step::Damage(damage)) if damage.has(offset) => return Err(self.error(damage.error())),
                Some(_) => {}
            }
        }
    }

    /// How many of the `length` bytes from a batch on have their batches in order. What this process wrote has.
    fn in_order(&self, first: Extent, length: usize, epoch_of: EpochOf<'_>) -> Result<usize, SegmentError> {
        let (size, known, to) = {
            let state = lock(&self.state);
            let to = (first.position + length as u64).min(state.appended_from);
            (state.size, state.in_order.clone(), to)
        };
        if to <= first.position || (known.contains(&first.position) && to <= known.end) {
            return Ok(length);
        }
        let file = self.open_log()?;
        let around = self.surroundings(epoch_of);
        let scan = OrderedScan::new(&*file, first.position, size, first.base_offset, around);
        let mut scan = scan.from_epoch(first.leader_epoch);
        let mut end = first.position;
        let mut damage = None;
        while end < to {
            match scan.next_step().map_err(|e| self.error(e))? {
                None => break,
                Some(Step::Batch(batch)) => end = batch.end(),
                Some(Step::Damage(found)) => {
                    damage = Some(found);
                    break;
                }
            }
        }
        let mut state = lock(&self.state);
        let touches = first.position <= state.in_order.end && end >= state.in_order.start;
        let before = if touches { state.in_order.clone() } else { end..end };
        state.in_order = first.position.min(before.start)..end.max(before.end);
        match damage {
            None => Ok(length),
            Some(damage) if end == first.position => Err(self.error(damage.error())),
            Some(_) => Ok(length.min(usize::try_from(end - first.position).unwrap_or(usize::MAX))),
        }
    }

    /// Whether all its batches are known to be in order.
    pub(super) fn is_in_order(&self) -> bool {
        let state = lock(&self.state);
        state.appended_from == 0 || state.in_order == (0..state.size)
    }

    /// Notes that its batches, to which none is added any more, are in order.
    pub(super) fn set_in_order(&self) {
        let mut state = lock(&self.state);
        state.in_order = 0..state.size;
    }

    /// What is known of it, for a walk through its log.
    pub(super) fn surroundings<'a>(&self, epoch_of: EpochOf<'a>) -> Surroundings<'a> {
        let state = lock(&self.state);
        let next_offset = Some(state.next_offset).filter(|next_offset| *next_offset < i64::MAX);
        Surroundings {
            base_offset: self.base_offset,
            limit: state.next_offset,
            next_offset: next_offset.or(state.expected_end),
            epoch_of,
        }
    }

    /// A walk through `file`, its log, that meets all batches from `offset` on, and may begin before.
    pub(super) fn walk<'a>(&self, file: &'a dyn DiskFile, offset: i64) -> Result<OrderedScan<'a>, SegmentError> {
        let (position, expected) = self.begin_search(offset)?;
        Ok(OrderedScan::new(file, position, self.size(), expected, self.surroundings(NO_EPOCHS)))
    }

    /// Where to begin to look for the batch with `offset`.
    pub(super) fn indexed_position(&self, offset: i64) -> Result<u64, SegmentError> {
        Ok(self.begin_search(offset)?.0)
    }

    /// Where to begin to look for the batch with `offset`, and the base offset of the batch that stands there. An index that
    /// turns out to be wrong is rebuilt.
    fn begin_search(&self, offset: i64) -> Result<(u64, i64), SegmentError> {
        for is_rebuilt in [false, true] {
            let entry = self.indexes()?.offset.lookup(offset).map_err(|e| self.io_error(e))?;
            let Some(entry) = entry else { break };
            if entry.offset <= offset
                && let Some(batch) = self.batch_of(entry, self.size())?
            {
                return Ok((entry.position, batch.header.base_offset));
            }
            if !is_rebuilt {
                self.rebuild_indexes("an entry of the offset index disagrees with the log")?;
            }
        }
        Ok((0, self.base_offset))
    }

    /// The last entry of the time index that is not later than `timestamp`. An index that turns out to be wrong is rebuilt.
    fn time_entry(&self, timestamp: TimestampMs) -> Result<Option<TimestampOffset>, SegmentError> {
        for is_rebuilt in [false, true] {
            let entry = self.indexes()?.time.lookup(timestamp).map_err(|e| self.io_error(e))?;
            let Some(entry) = entry else { break };
            if entry.timestamp <= timestamp && self.has_timestamp(&*self.indexes()?, entry, self.size())? {
                return Ok(Some(entry));
            }
            if !is_rebuilt {
                self.rebuild_indexes("an entry of the time index disagrees with the log")?;
            }
        }
        Ok(None)
    }

    /// The greatest timestamp in the segment and the last offset of the first batch that has it. `None` where no batch
    /// has a timestamp.
    pub fn max_timestamp(&self) -> Result<Option<TimestampOffset>, SegmentError> {
        if self.size() > 0 {
            self.indexes()?;
        }
        Ok(lock(&self.state).max_timestamp)
    }

    /// The first record from `start` on, and below `up_to`, whose timestamp is at least `timestamp`.
    pub fn find_by_timestamp(
        &self,
        timestamp: TimestampMs,
        start: i64,
        up_to: i64,
        epoch_of: EpochOf<'_>,
        times: RecordTimes<'_>,
    ) -> Result<Option<FoundRecord>, SegmentError> {
        let entry = self.time_entry(timestamp)?;
        // An entry with the very timestamp stands for the first batch that has it.
        let from = entry.map_or(start, |entry| entry.offset.max(start));
        let (position, expected) = self.begin_search(from)?;
        let file = self.open_log()?;
        let mut scan = OrderedScan::new(&*file, position, self.size(), expected, self.surroundings(epoch_of));
        loop {
            let batch = match scan.next_step().map_err(|e| self.error(e))? {
                Some(Step::Batch(batch)) if batch.header.base_offset < up_to => batch,
                // What is damaged cannot be read either.
                Some(Step::Damage(_)) => continue,
                _ => return Ok(None),
            };
            if batch.header.max_timestamp < timestamp || batch.header.last_offset() < start {
                continue;
            }
            match check_crc(&*file, &batch) {
                Err(ScanError::Corrupt { .. }) => continue,
                checked => checked.map_err(|e| self.error(e))?,
            }
            if let Some(found) = self.find_in_batch(&*file, &batch, timestamp, start, times)? {
                return Ok(Some(found));
            }
        }
    }

    fn find_in_batch(
        &self,
        file: &dyn DiskFile,
        batch: &BatchAt,
        timestamp: TimestampMs,
        start: i64,
        times: RecordTimes<'_>,
    ) -> Result<Option<FoundRecord>, SegmentError> {
        let header = &batch.header;
        let found = |timestamp, offset| FoundRecord { timestamp, offset, leader_epoch: header.partition_leader_epoch };
        let by_header = found(header.max_timestamp, header.base_offset.max(start));
        if header.is_log_append_time() {
            return Ok(Some(by_header));
        }
        let whole = read_batch(file, batch).map_err(|e| self.error(e))?;
        Ok(match times(&whole, &|offset, time| time >= timestamp && offset >= start) {
            Ok(record) => record.map(|(offset, time)| found(time, offset)),
            Err(Unreadable) => Some(by_header),
        })
    }
}

/// The indexes' life.
impl Segment {
    /// The indexes. At first use they are opened, checked against the log, and completed or rebuilt.
    pub fn indexes(&self) -> Result<Arc<Indexes>, SegmentError> {
        let mut slot = lock(&self.indexes);
        if let Some(indexes) = &*slot {
            return Ok(Arc::clone(indexes));
        }
        if self.is_retired() {
            return Err(self.io_error(io::ErrorKind::NotFound.into()));
        }
        let (indexes, _) = self.open_indexes()?;
        let indexes = Arc::new(indexes);
        *slot = Some(Arc::clone(&indexes));
        Ok(indexes)
    }

    /// Opens the indexes and tells where the good batches end, which a walk from the last index entry finds out.
    pub fn open_tail(&self) -> Result<Tail, SegmentError> {
        let mut tail = Tail { position: 0, next_offset: self.base_offset };
        if self.size() > 0 {
            let (indexes, found) = self.open_indexes()?;
            *lock(&self.indexes) = Some(Arc::new(indexes));
            tail = found;
        }
        lock(&self.state).next_offset = tail.next_offset;
        Ok(tail)
    }

    /// Whether it has a batch that ends at `offset` or later.
    pub fn reaches(&self, offset: i64) -> Result<bool, SegmentError> {
        if self.size() == 0 {
            return Ok(false);
        }
        let last = self.open_sane_indexes()?.ok().and_then(|(_, last)| last);
        let file = self.open_log()?;
        let mut scan = BatchScan::new(&*file, last.map_or(0, |batch| batch.position), self.size());
        match scan.find(|header| header.last_offset() >= offset) {
            Ok(found) => Ok(found.is_some()),
            Err(ScanError::Corrupt { .. }) => Ok(false),
            Err(e) => Err(self.error(e)),
        }
    }

    /// Replaces the indexes by empty ones.
    fn reset_indexes(&self) -> Result<Arc<Indexes>, SegmentError> {
        let indexes = Arc::new(self.create_indexes().map_err(|e| self.io_error(e))?);
        *lock(&self.indexes) = Some(Arc::clone(&indexes));
        let mut state = lock(&self.state);
        state.max_timestamp = None;
        state.bytes_since_index_entry = 0;
        Ok(indexes)
    }

    /// Forgets the index entries for `offset` and later. Returns the last batch that is still indexed.
    pub fn rewind_indexes(&self, offset: i64) -> Result<(Arc<Indexes>, Option<BatchAt>), SegmentError> {
        if offset <= self.base_offset || self.size() == 0 {
            return Ok((self.reset_indexes()?, None));
        }
        // Not completed first: a time index that a crash left longer than the other one would tell of what is to come.
        let Ok((indexes, _)) = self.open_sane_indexes()? else { return Ok((self.reset_indexes()?, None)) };
        let truncated = indexes.offset.truncate_to(offset).and_then(|()| indexes.time.truncate_to(offset));
        truncated.map_err(|e| self.io_error(e))?;
        let (last, max_timestamp) = (indexes.offset.last(), indexes.time.last());
        let batch = match last {
            None => None,
            Some(entry) => self.batch_of(entry, self.size())?,
        };
        let is_true = batch.is_some() || last.is_none();
        if !is_true || !max_timestamp.map_or(Ok(false), |entry| self.has_timestamp(&indexes, entry, self.size()))? {
            return Ok((self.reset_indexes()?, None));
        }
        let indexes = Arc::new(indexes);
        *lock(&self.indexes) = Some(Arc::clone(&indexes));
        let mut state = lock(&self.state);
        state.max_timestamp = max_timestamp;
        state.bytes_since_index_entry = 0;
        Ok((indexes, batch))
    }

    /// Makes both anew from the log.
    fn rebuild_indexes(&self, reason: &str) -> Result<(), SegmentError> {
        tracing::warn!(segment = %self.log.path().display(), reason, "rebuilding the indexes");
        let indexes = self.indexes()?;
        let _one_at_a_time = lock(&self.indexing);
        indexes.offset.clear().and_then(|()| indexes.time.clear()).map_err(|e| self.io_error(e))?;
        self.complete(&indexes, None)?;
        let max_timestamp = lock(&self.state).max_timestamp;
        indexes.write_with(max_timestamp).map_err(|e| self.io_error(e))
    }

    /// Tells the segment which offset follows its last batch.
    pub fn set_next_offset(&self, offset: i64) {
        lock(&self.state).next_offset = offset;
    }

    /// Tells the segment which offset should turn out to follow its last batch.
    pub(super) fn set_expected_end(&self, offset: i64) {
        lock(&self.state).expected_end = Some(offset);
    }

    /// Cuts the log at `position`, where the batch with `next_offset` would begin, and the indexes with it.
    pub fn cut(&self, tail: Tail) -> Result<(), SegmentError> {
        let indexes = self.indexes()?;
        let cut = self
            .log
            .set_len(tail.position)
            .and_then(|()| indexes.offset.truncate_to(tail.next_offset))
            .and_then(|()| indexes.time.truncate_to(tail.next_offset));
        cut.map_err(|e| self.io_error(e))?;
        let mut state = lock(&self.state);
        state.size = tail.position;
        state.next_offset = tail.next_offset;
        state.recent = Recent::default();
        state.flushed = None;
        state.appended_from = state.appended_from.min(tail.position);
        state.in_order = 0..0;
        Ok(())
    }

    /// Adds a batch that stands in the log to the indexes, as an append would have.
    pub fn index_recovered(&self, indexes: &Indexes, batch: &BatchAt) {
        let mut state = lock(&self.state);
        state.see_timestamp(&batch.header);
        if state.bytes_since_index_entry > self.index_interval_bytes {
            state.bytes_since_index_entry = 0;
            let entry = OffsetPosition { offset: batch.header.last_offset(), position: batch.position };
            indexes.add(entry, state.max_timestamp);
        }
        state.bytes_since_index_entry += batch.header.size() as u64;
    }

    fn opened_indexes(&self) -> Option<Arc<Indexes>> {
        lock(&self.indexes).clone()
    }

    fn create_indexes(&self) -> io::Result<Indexes> {
        Ok(Indexes {
            offset: OffsetIndex::create(self.file(FileKind::OffsetIndex), self.base_offset)?,
            time: TimeIndex::create(self.file(FileKind::TimeIndex), self.base_offset)?,
        })
    }

    fn file(&self, kind: FileKind) -> PooledFile {
        let file = PooledFile::new(Arc::clone(&self.pool), Arc::clone(&self.dir), self.base_offset, kind);
        file.at_stage(self.stage())
    }

    fn open_indexes(&self) -> Result<(Indexes, Tail), SegmentError> {
        let (indexes, last) = match self.open_sane_indexes()? {
            Ok(opened) => opened,
            Err(reason) => {
                tracing::warn!(segment = %self.log.path().display(), reason, "rebuilding the indexes");
                (self.create_indexes().map_err(|e| self.io_error(e))?, None)
            }
        };
        let tail = self.complete(&indexes, last)?;
        let max_timestamp = lock(&self.state).max_timestamp;
        indexes.write_with(max_timestamp).map_err(|e| self.io_error(e))?;
        Ok((indexes, tail))
    }

    /// Opens the indexes and holds them against the log where that is cheap. The inner error says why they have to be
    /// rebuilt.
    fn open_sane_indexes(&self) -> Result<Result<(Indexes, Option<BatchAt>), &'static str>, SegmentError> {
        let opened = OffsetIndex::open(self.file(FileKind::OffsetIndex), self.base_offset).and_then(|offset| {
            let time = TimeIndex::open(self.file(FileKind::TimeIndex), self.base_offset)?;
            Ok(Indexes { offset, time })
        });
        let indexes = match opened {
            Ok(indexes) => indexes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Err("an index is missing")),
            Err(e) => return Err(self.io_error(e)),
        };
        let size = self.size();
        let (last, last_time) = (indexes.offset.last(), indexes.time.last());
        if size > 0 && last_time.is_none() {
            return Ok(Err("the time index is empty"));
        }
        if last_time.is_some_and(|entry| entry.offset < self.base_offset) {
            return Ok(Err("the time index ends before the segment's base offset"));
        }
        let last = match last {
            None => None,
            Some(entry) => match self.batch_of(entry, size)? {
                Some(batch) => Some(batch),
                None => return Ok(Err("the offset index disagrees with the log")),
            },
        };
        // What it says decides when the segment is too old.
        if let Some(entry) = last_time
            && !self.has_timestamp(&indexes, entry, size)?
        {
            return Ok(Err("the time index disagrees with the log"));
        }
        Ok(Ok((indexes, last)))
    }

    /// The batch that an entry of the offset index speaks of: it ends with the entry's offset, or stands before others that
    /// do, for Kafka writes one entry for several batches that it appends together.
    fn batch_of(&self, entry: OffsetPosition, size: u64) -> Result<Option<BatchAt>, SegmentError> {
        let file = self.open_log()?;
        let first = match BatchScan::new(&*file, entry.position, size).next_batch() {
            Ok(Some(first)) => first,
            Ok(None) | Err(ScanError::Corrupt { .. }) => return Ok(None),
            Err(e) => return Err(self.error(e)),
        };
        if first.header.last_offset() == entry.offset {
            return Ok(Some(first));
        }
        let around = self.surroundings(NO_EPOCHS);
        let mut scan = OrderedScan::new(&*file, entry.position, size, first.header.base_offset, around);
        while let Some(Step::Batch(batch)) = scan.next_step().map_err(|e| self.error(e))? {
            if batch.header.last_offset() >= entry.offset {
                return Ok((batch.header.last_offset() == entry.offset).then_some(first));
            }
        }
        Ok(None)
    }

    /// Whether the batch that an entry of the time index speaks of has its timestamp.
    fn has_timestamp(&self, indexes: &Indexes, entry: TimestampOffset, size: u64) -> Result<bool, SegmentError> {
        let at = indexes.offset.lookup(entry.offset).map_err(|e| self.io_error(e))?;
        let position = match at {
            None => 0,
            Some(at) if at.offset <= entry.offset && self.batch_of(at, size)?.is_some() => at.position,
            Some(_) => return Ok(false),
        };
        let file = self.open_log()?;
        let mut scan = BatchScan::new(&*file, position, size);
        match scan.find(|header| header.last_offset() >= entry.offset) {
            Ok(found) => Ok(found.is_some_and(|batch| {
                batch.header.base_offset <= entry.offset && batch.header.max_timestamp == entry.timestamp
            })),
            Err(ScanError::Corrupt { .. }) => Ok(false),
            Err(e) => Err(self.error(e)),
        }
    }

    /// Walks from the last index entry to the end, adds the entries that are missing, and learns the greatest
    /// timestamp. Passes over damage; what is behind the last good batch is not part of the tail.
    fn complete(&self, indexes: &Indexes, last: Option<BatchAt>) -> Result<Tail, SegmentError> {
        let last_time = indexes.time.last();
        let size = {
            let mut state = lock(&self.state);
            state.max_timestamp = last_time;
            state.bytes_since_index_entry = 0;
            state.size
        };
        let (position, expected) =
            last.map_or((0, self.base_offset), |batch| (batch.position, batch.header.base_offset));
        let mut tail = Tail { position, next_offset: expected };
        let file = self.open_log()?;
        let mut scan = OrderedScan::new(&*file, position, size, expected, self.surroundings(NO_EPOCHS));
        while let Some(step) = scan.next_step().map_err(|e| self.error(e))? {
            if let Step::Batch(batch) = step {
                self.index_recovered(indexes, &batch);
                tail = Tail { position: batch.end(), next_offset: batch.header.last_offset() + 1 };
            }
        }
        Ok(tail)
    }
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
