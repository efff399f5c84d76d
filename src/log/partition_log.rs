//! The log of one partition: its segments in order, its offsets, who waits for it.
//!
//! One writer at a time holds the writer's lock for the length of an append. Readers take none of it: the list of segments
//! changes only at a roll, offsets are atomics, and a batch is published after it was written whole. Offsets are read
//! from the lowest to the highest, and each only grows: so what a reader sees is in order.
//!
//! Nothing is synced during an append or a roll: both queue the log for the next round of [`GroupCommit`], which makes it
//! durable and then moves the flushed offset.

mod compaction;
#[cfg(test)]
mod damage_tests;
mod flush;
mod producers;
mod record_deletion;
mod retention;
#[cfg(test)]
pub(crate) mod test_batches;
#[cfg(test)]
mod tests;
mod transactions;

pub(super) use self::{
    compaction::SwapError,
    flush::FlushPlan,
    retention::{Leftovers, Trim},
};
pub use self::{record_deletion::DeleteRecordsError, transactions::TransactionGuard};

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, RwLock,
        atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use uuid::Uuid;

use self::{
    compaction::CompactionState,
    producers::{Keep, SnapshotFiles},
};
use super::{
    append_time::AppendTime,
    disk::is_full,
    files::{Directory, FileKind, FilePool},
    group_commit::{Durability, GroupCommit},
    leader_epochs::{EpochEnd, LeaderEpochs},
    log_config::LogConfig,
    partition_metadata,
    producer_state::{Confirmation, EndMarker, ExpectedTransactions, ProducerError, ProducerStates},
    reserve::BelowReserve,
    scan::{Damage, ScanError},
    segment::{AppendFailure, FoundRecord, RecordTimes, SEGMENT_SIZE_MAX, Segment, SegmentError},
    sync::{lock, read, write},
    waiters::{Waiter, Waiters},
};
use crate::{
    clock::TimestampMs,
    protocol::{
        file_range::FileRange,
        ids::TopicPartition,
        records::batch::{BatchHeader, HEADER_SIZE},
    },
};

/// Who appends a batch, in the words of Kafka's enum of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A producer. It waits when there is no room above what is kept back.
    Client,
    /// A coordinator, whose records let consumers go on where producers wait for room. It leaves the files that hold room to
    /// the quorum.
    Coordinator,
    /// The metadata quorum, whose records also say what is deleted.
    RaftLeader,
}

/// One validated batch. The log assigns base offset and leader epoch, which the CRC does not cover.
#[derive(Clone, Debug)]
pub struct AppendBatch {
    /// The header. Its length is that of the payload, its delta and CRC are right.
    pub header: BatchHeader,
    /// What follows the header.
    pub payload: Bytes,
    /// Who appends it.
    pub origin: AppendOrigin,
}

impl AppendBatch {
    /// What would make the log unreadable never gets into it.
    fn assert_sound(&self) {
        let is_marker = self.header.is_control() && self.header.has_producer_id();
        assert!(!is_marker, "a transaction is ended by `PartitionLog::end_transaction`");
        assert!(self.header.last_offset_delta >= 0, "a validated batch has offsets that grow");
        assert_eq!(self.header.size(), HEADER_SIZE + self.payload.len(), "a validated batch has its length");
    }
}

/// Where a batch was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub first_offset: i64,
    /// Offset of its last record.
    pub last_offset: i64,
    /// Whether a segment was completed before it.
    pub rolled: bool,
    /// Its greatest timestamp, as it is in the log.
    pub max_timestamp: TimestampMs,
    /// The batch was in the log already: its producer has sent it again.
    pub is_duplicate: bool,
}

/// Why a batch was not appended. Nothing of it is in the log.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The batch can never fit into a segment.
    #[error("batch of {size} bytes is larger than segment.bytes, {segment_bytes}")]
    LargerThanSegment {
        /// Bytes of the batch.
        size: usize,
        /// The limit.
        segment_bytes: u64,
    },
    /// The partition has no offsets left for it.
    #[error("no offsets left after {log_end}")]
    OffsetsExhausted {
        /// The log's end.
        log_end: i64,
    },
    /// It does not follow what its producer has appended before.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// There is no room on the disk. It may be tried again.
    #[error("no space left on the device")]
    DiskFull,
    /// There is no room above what is kept back for the broker's own writes. It may be tried again.
    #[error("no space left on the device but what is kept back")]
    BelowReserve,
    /// The write failed. It may be tried again.
    #[error("{}: {source}", path.display())]
    Write {
        /// What was written to.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The segment cannot be used.
    #[error(transparent)]
    Segment(SegmentError),
    /// An earlier failure has taken the data directory offline.
    #[error("data directory is offline: {reason}")]
    Offline {
        /// That failure.
        reason: String,
    },
    /// The log has been closed, or its partition deleted.
    #[error("the log is closed")]
    Closed,
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The offset is not in the log.
    #[error("offset {offset} is outside the log, {log_start} to {log_end}")]
    OffsetOutOfRange {
        /// The offset asked for.
        offset: i64,
        /// The first offset.
        log_start: i64,
        /// The offset after the last.
        log_end: i64,
    },
    /// The bytes at the offset are damaged.
    #[error("{}: position {position}: {source}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where a batch should be.
        position: u64,
        /// What is wrong with it.
        source: Damage,
    },
    /// The file could not be read.
    #[error("{}: position {position}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Where.
        position: u64,
        /// Why.
        source: io::Error,
    },
    /// The partition has been deleted.
    #[error("the partition has been deleted")]
    Deleted,
}

impl From<SegmentError> for ReadError {
    fn from(SegmentError { path, source }: SegmentError) -> Self {
        match source {
            ScanError::Corrupt { position, source } => Self::Corrupt { path, position, source },
            ScanError::Io { position, source } => Self::Io { path, position, source },
        }
    }
}

/// Why a flush failed.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// Something could not be written. Nothing is lost, it may be tried again.
    #[error("{}: {source}", path.display())]
    Write {
        /// The partition's directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A sync failed, now or earlier: what was not synced may be lost. The data directory is offline.
    #[error("data directory is offline: {reason}")]
    Offline {
        /// That failure.
        reason: String,
    },
}

/// Bytes of the log, from a batch's beginning on.
#[derive(Clone, Debug)]
pub struct LogSlice {
    /// The bytes. They may end within a batch. `None` if there are none to be sent.
    pub records: Option<FileRange>,
    /// Size of the first batch, 0 if there is none.
    pub first_batch_size: usize,
    /// Whether a later segment has more: a read ends with its segment.
    pub from_older_segment: bool,
}

impl LogSlice {
    const NOTHING: Self = Self { records: None, first_batch_size: 0, from_older_segment: false };
}

/// The four offsets of a partition. Invariant: `log_start <= last_stable <= high_watermark <= log_end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOffsets {
    log_start: i64,
    last_stable: i64,
    high_watermark: i64,
    log_end: i64,
}

impl LogOffsets {
    fn new(log_start: i64, last_stable: i64, high_watermark: i64, log_end: i64) -> Self {
        let ordered = log_start <= last_stable && last_stable <= high_watermark && high_watermark <= log_end;
        assert!(ordered, "offsets out of order: {log_start}, {last_stable}, {high_watermark}, {log_end}");
        Self { log_start, last_stable, high_watermark, log_end }
    }

    /// The first offset that can be read.
    #[must_use]
    pub fn log_start(&self) -> i64 {
        self.log_start
    }

    /// Everything below it is decided: no open transaction has records there.
    #[must_use]
    pub fn last_stable(&self) -> i64 {
        self.last_stable
    }

    /// What consumers may read lies below it.
    #[must_use]
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// The offset that the next record gets.
    #[must_use]
    pub fn log_end(&self) -> i64 {
        self.log_end
    }
}

/// What has happened in a log since it was opened.
#[derive(Debug, Default)]
pub struct LogCounters {
    /// Records appended.
    pub messages_in: AtomicU64,
    /// Batches appended.
    pub batches_in: AtomicU64,
    /// Bytes appended.
    pub bytes_in: AtomicU64,
    /// Flushes that had something to do.
    pub flushes: AtomicU64,
}

/// The log of one partition.
pub struct PartitionLog {
    topic_partition: TopicPartition,
    topic_id: Mutex<Option<Uuid>>,
    pool: Arc<FilePool>,
    dir: Arc<Directory>,
    commit: Arc<GroupCommit>,
    writer: Mutex<Writer>,
    /// Ascending, never empty; the last is the active one.
    segments: RwLock<Vec<Arc<Segment>>>,
    /// Held by whoever changes that list anywhere but at its end, or the directory's name. Taken before the writer's lock.
    reshaping: Mutex<()>,
    compaction: CompactionState,
    epochs: Mutex<LeaderEpochs>,
    /// Changed by the writer alone.
    producers: Mutex<ProducerStates>,
    /// Taken after the writer's lock.
    expected: Mutex<ExpectedTransactions>,
    /// Where the first transaction begins that is not decided, or whose end consumers do not see; `i64::MAX` if there is
    /// none.
    first_unstable: AtomicI64,
    log_start: AtomicI64,
    /// The log start that is written down, as far as this process knows.
    durable_log_start: AtomicI64,
    log_end: AtomicI64,
    flushed: AtomicI64,
    recovery_point: AtomicI64,
    /// What the next round is to do with it.
    queued: AtomicU8,
    deleted: AtomicBool,
    waiters: Waiters,
    counters: LogCounters,
}

struct Writer {
    config: LogConfig,
    active: Arc<Segment>,
    /// What `segment.jitter.ms` amounts to for the active segment.
    jitter_ms: i64,
    append_time: AppendTime,
    condition: Condition,
    new_names: NewNames,
    snapshots: SnapshotFiles,
    /// When the first of the records was appended that no whole flush was about.
    unflushed_since: Option<TimestampMs>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Open,
    /// A failed append left bytes behind the end, which have to be cut off first.
    Torn,
    Closed,
}

/// Names that a crash may lose.
#[derive(Clone, Copy, Default)]
pub(super) struct NewNames {
    /// In the partition's directory.
    pub(super) files: bool,
    /// The directory itself, and the contents of its metadata file.
    pub(super) directory: bool,
}

/// What a log is made of when it is opened.
pub(super) struct Parts {
    pub(super) topic_partition: TopicPartition,
    pub(super) topic_id: Option<Uuid>,
    pub(super) pool: Arc<FilePool>,
    pub(super) dir: Arc<Directory>,
    pub(super) commit: Arc<GroupCommit>,
    pub(super) config: LogConfig,
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) epochs: LeaderEpochs,
    pub(super) producers: ProducerStates,
    /// The offset of the newest snapshot of them.
    pub(super) last_snapshot: Option<i64>,
    pub(super) log_start: i64,
    pub(super) log_end: i64,
    pub(super) flushed: i64,
    pub(super) recovery_point: i64,
    /// The recovery point that is written down.
    pub(super) checkpointed: i64,
    /// Up to where it has been compacted, if it has.
    pub(super) cleaned: Option<i64>,
    /// Nobody knows whether the directory's names are on disk.
    pub(super) names_unsynced: bool,
}

/// Life and identity.
impl PartitionLog {
    pub(super) fn new(parts: Parts) -> Self {
        let active = parts.segments.last().expect("a log has at least one segment");
        let writer = Writer {
            config: parts.config,
            active: Arc::clone(active),
            jitter_ms: jitter(&parts.config),
            append_time: AppendTime::default(),
            condition: Condition::Open,
            new_names: NewNames { files: parts.names_unsynced, directory: parts.names_unsynced },
            snapshots: SnapshotFiles::new(parts.last_snapshot),
            unflushed_since: None,
        };
        Self {
            topic_partition: parts.topic_partition,
            topic_id: Mutex::new(parts.topic_id),
            pool: parts.pool,
            dir: parts.dir,
            commit: parts.commit,
            writer: Mutex::new(writer),
            segments: RwLock::new(parts.segments),
            reshaping: Mutex::default(),
            compaction: CompactionState::new(parts.cleaned, parts.checkpointed),
            epochs: Mutex::new(parts.epochs),
            first_unstable: AtomicI64::new(parts.producers.first_unstable_offset().unwrap_or(i64::MAX)),
            producers: Mutex::new(parts.producers),
            expected: Mutex::default(),
            log_start: AtomicI64::new(parts.log_start),
            durable_log_start: AtomicI64::new(0),
            log_end: AtomicI64::new(parts.log_end),
            flushed: AtomicI64::new(parts.flushed),
            recovery_point: AtomicI64::new(parts.recovery_point),
            queued: AtomicU8::new(0),
            deleted: AtomicBool::new(false),
            waiters: Waiters::default(),
            counters: LogCounters::default(),
        }
    }

    /// The partition.
    #[must_use]
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.topic_partition
    }

    /// The topic's id, as `partition.metadata` has it.
    #[must_use]
    pub fn topic_id(&self) -> Option<Uuid> {
        *lock(&self.topic_id)
    }

    /// Writes the topic's id down where it was missing.
    pub fn set_topic_id(&self, topic_id: Uuid) -> io::Result<()> {
        let mut current = lock(&self.topic_id);
        partition_metadata::write(self.pool.disk(), &self.dir.join(partition_metadata::FILE_NAME), topic_id)?;
        lock(&self.writer).new_names = NewNames { files: true, directory: true };
        *current = Some(topic_id);
        Ok(())
    }

    /// Changes the settings from the next append on.
    pub fn set_config(&self, config: LogConfig) {
        let mut writer = lock(&self.writer);
        writer.config = config;
        writer.jitter_ms = jitter(&config);
    }

    /// `max.message.bytes`, for batches that the broker writes itself.
    #[must_use]
    pub fn max_message_bytes(&self) -> usize {
        lock(&self.writer).config.max_message_bytes
    }

    /// Bytes of all `.log` files.
    #[must_use]
    pub fn size(&self) -> u64 {
        read(&self.segments).iter().map(|segment| segment.size()).sum()
    }

    /// The same without what retention takes once the log starts at `log_start`.
    #[must_use]
    pub fn size_from(&self, log_start: i64) -> u64 {
        self.segments_from(log_start).iter().map(|segment| segment.size()).sum()
    }

    /// Base offset of the first segment.
    #[must_use]
    pub fn first_segment_offset(&self) -> i64 {
        read(&self.segments).first().map_or(0, |segment| segment.base_offset())
    }

    /// The segments that are not appended to any more.
    pub(super) fn closed_segments(&self) -> Vec<Arc<Segment>> {
        let mut segments = self.segments();
        segments.pop();
        segments
    }

    /// What has happened since the log was opened.
    #[must_use]
    pub fn counters(&self) -> &LogCounters {
        &self.counters
    }

    /// Ends appending, and has the next round make everything durable as a clean stop leaves it.
    pub fn close(self: &Arc<Self>) -> Result<(), FlushError> {
        let mut writer = lock(&self.writer);
        if self.is_deleted() {
            return Ok(());
        }
        writer.condition = Condition::Closed;
        writer.active.close_indexes().map_err(|source| self.write_failed(source))?;
        drop(writer);
        self.request_flush();
        Ok(())
    }

    /// Ends everything and renames the directory to `to`. Whoever waits is woken and finds the partition gone.
    pub(super) fn retire(&self, to: PathBuf) -> io::Result<()> {
        let _reshaping = lock(&self.reshaping);
        let mut writer = lock(&self.writer);
        read(&self.segments).iter().for_each(|segment| segment.close_files());
        self.dir.rename(self.pool.disk(), to)?;
        writer.condition = Condition::Closed;
        self.deleted.store(true, Ordering::Release);
        drop(writer);
        self.waiters.wake_all();
        self.commit.wake();
        Ok(())
    }
}

/// Appending.
impl PartitionLog {
    /// Appends one batch: one write. It is in the log when this returns, and on disk after the next round: see
    /// [`PartitionLog::committed`]. The first batch of a transaction goes through [`PartitionLog::append_verified`].
    pub fn append(
        self: &Arc<Self>,
        batch: &AppendBatch,
        leader_epoch: i32,
        now: TimestampMs,
    ) -> Result<Appended, AppendError> {
        self.append_unless_known(batch, None, leader_epoch, now)
    }

    fn append_unless_known(
        self: &Arc<Self>,
        batch: &AppendBatch,
        guard: Option<&TransactionGuard>,
        leader_epoch: i32,
        now: TimestampMs,
    ) -> Result<Appended, AppendError> {
        batch.assert_sound();
        let mut writer = lock(&self.writer);
        self.make_writable(&mut writer)?;
        let confirmation = guard.map_or(Confirmation::Absent, |guard| guard.confirmation(self, batch));
        if let Some(duplicate) = self.check_producer(batch, confirmation)? {
            return Ok(duplicate);
        }
        self.append_checked(writer, batch, None, leader_epoch, now)
    }

    /// Appends a batch that the producers admit.
    fn append_checked(
        self: &Arc<Self>,
        mut writer: MutexGuard<'_, Writer>,
        batch: &AppendBatch,
        marker: Option<EndMarker>,
        leader_epoch: i32,
        now: TimestampMs,
    ) -> Result<Appended, AppendError> {
        let mut header = self.assign_offsets(batch, leader_epoch)?;
        keep_time_in_order(&mut header, &batch.payload, &mut writer.append_time);
        check_size(&header, &writer.config)?;
        self.check_room(batch)?;
        let rolled = self.roll_if_due(&mut writer, &header, now)?;
        // Before the marker: without the entry, records that were aborted would be read.
        if let Some(aborted) = marker.and_then(|marker| self.aborted_by(&header, marker)) {
            writer.active.aborted().append(&aborted).map_err(|source| self.write_error(source))?;
            writer.new_names.files = true;
        }
        let may_use_reserve = batch.origin == AppendOrigin::RaftLeader;
        if let Err(failure) = writer.active.append(&header, &batch.payload, may_use_reserve) {
            return Err(self.append_failed(&mut writer, failure));
        }
        lock(&self.epochs).assign_later(leader_epoch, header.base_offset);
        let (first_offset, last_offset) = (header.base_offset, header.last_offset());
        let max_timestamp = header.max_timestamp;
        let appended = Appended { first_offset, last_offset, rolled, max_timestamp, is_duplicate: false };
        self.add_to_producers(&header, marker);
        self.log_end.store(appended.last_offset + 1, Ordering::Release);
        writer.unflushed_since.get_or_insert(now);
        let flush_messages = writer.config.flush_messages;
        drop(writer);
        self.count(&header);
        self.appended(rolled, flush_messages);
        if self.commit.durability() == Durability::Kafka {
            self.see_transactions();
            self.waiters.wake_all();
        }
        Ok(appended)
    }

    /// Notes that a leader of this epoch writes from the log's end on.
    pub fn begin_epoch(&self, leader_epoch: i32) {
        let _writer = lock(&self.writer);
        lock(&self.epochs).assign_later(leader_epoch, self.log_end.load(Ordering::Relaxed));
    }

    fn make_writable(&self, writer: &mut Writer) -> Result<(), AppendError> {
        if let Some(reason) = self.commit.failure() {
            return Err(AppendError::Offline { reason: reason.to_owned() });
        }
        match writer.condition {
            Condition::Open => Ok(()),
            Condition::Closed => Err(AppendError::Closed),
            Condition::Torn => {
                writer.active.cut_torn_append().map_err(|source| self.write_error(source))?;
                writer.condition = Condition::Open;
                Ok(())
            }
        }
    }

    fn assign_offsets(&self, batch: &AppendBatch, leader_epoch: i32) -> Result<BatchHeader, AppendError> {
        let log_end = self.log_end.load(Ordering::Relaxed);
        let fits = log_end.checked_add(i64::from(batch.header.last_offset_delta)).is_some_and(|last| last < i64::MAX);
        if !fits {
            return Err(AppendError::OffsetsExhausted { log_end });
        }
        Ok(BatchHeader { base_offset: log_end, partition_leader_epoch: leader_epoch, ..batch.header })
    }

    fn check_room(&self, batch: &AppendBatch) -> Result<(), AppendError> {
        match batch.origin {
            AppendOrigin::Client => {
                let admitted = self.pool.reserve().admit(batch.header.size());
                admitted.map_err(|BelowReserve| AppendError::BelowReserve)
            }
            AppendOrigin::Coordinator | AppendOrigin::RaftLeader => Ok(()),
        }
    }

    fn roll_if_due(&self, writer: &mut Writer, header: &BatchHeader, now: TimestampMs) -> Result<bool, AppendError> {
        let due = writer.active.should_roll(header, &writer.config, writer.jitter_ms, now);
        if !due.map_err(AppendError::Segment)? {
            return Ok(false);
        }
        self.roll(writer, header.base_offset, now).map_err(|source| self.write_error(source))?;
        Ok(true)
    }

    fn roll(&self, writer: &mut Writer, base_offset: i64, now: TimestampMs) -> io::Result<()> {
        assert!(base_offset > writer.active.base_offset(), "a segment that is rolled is not empty");
        writer.active.close_indexes()?;
        writer.new_names.files = true;
        self.write_snapshot(writer, base_offset, Keep::WithSegment)?;
        let created = Segment::create(&self.pool, &self.dir, base_offset, &writer.config, now);
        let next = Arc::new(created.inspect_err(|_| self.remove_leftovers(base_offset))?);
        writer.active.set_closed(base_offset);
        write(&self.segments).push(Arc::clone(&next));
        writer.active = next;
        writer.jitter_ms = jitter(&writer.config);
        Ok(())
    }

    /// Removes what there is of a segment that could not be created: the active one may grow beyond its base offset. What
    /// is left all the same, the next start finds.
    fn remove_leftovers(&self, base_offset: i64) {
        for kind in [FileKind::Log, FileKind::OffsetIndex, FileKind::TimeIndex] {
            let path = self.dir.join(&kind.file_name(base_offset));
            match self.pool.disk().remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %error, "left behind by a roll that failed");
                }
                _ => {}
            }
        }
    }

    fn append_failed(&self, writer: &mut Writer, failure: AppendFailure) -> AppendError {
        match failure {
            AppendFailure::Segment(error) => AppendError::Segment(error),
            AppendFailure::Write { source, torn } => {
                if torn {
                    writer.condition = Condition::Torn;
                }
                self.write_error(source)
            }
        }
    }

    fn write_error(&self, source: io::Error) -> AppendError {
        if is_full(&source) {
            self.pool.reserve().doubt();
            return AppendError::DiskFull;
        }
        AppendError::Write { path: self.dir.path(), source }
    }

    fn count(&self, header: &BatchHeader) {
        let records = u64::try_from(header.record_count).unwrap_or(0);
        self.counters.messages_in.fetch_add(records, Ordering::Relaxed);
        self.counters.batches_in.fetch_add(1, Ordering::Relaxed);
        self.counters.bytes_in.fetch_add(header.size() as u64, Ordering::Relaxed);
    }
}

/// Moves the time that a batch has by LogAppendTime to that of the batch before it, if that is a little later.
fn keep_time_in_order(header: &mut BatchHeader, payload: &Bytes, times: &mut AppendTime) {
    if !header.is_log_append_time() {
        return;
    }
    let time = times.next(header.max_timestamp);
    if time != header.max_timestamp {
        header.set_log_append_time(time);
        assert!(header.seal(payload), "its length is as it was");
    }
}

fn check_size(header: &BatchHeader, config: &LogConfig) -> Result<(), AppendError> {
    let (size, segment_bytes) = (header.size(), config.segment_bytes.min(SEGMENT_SIZE_MAX));
    if size as u64 > segment_bytes {
        return Err(AppendError::LargerThanSegment { size, segment_bytes });
    }
    Ok(())
}

/// A different part of `segment.jitter.ms` for each segment, so that those of many partitions are not rolled together.
fn jitter(config: &LogConfig) -> i64 {
    match u64::try_from(config.segment_jitter_ms.min(config.segment_ms)) {
        Ok(most @ 1..) => (RandomState::new().hash_one(()) % most).cast_signed(),
        _ => 0,
    }
}

/// Reading.
impl PartitionLog {
    /// The four offsets, which agree with each other.
    #[must_use]
    pub fn offsets(&self) -> LogOffsets {
        let log_start = self.log_start.load(Ordering::Acquire);
        let high_watermark = self.high_watermark();
        let last_stable = self.first_unstable.load(Ordering::Acquire).clamp(log_start, high_watermark);
        let log_end = self.log_end.load(Ordering::Acquire);
        LogOffsets::new(log_start, last_stable, high_watermark, log_end)
    }

    /// What consumers may read lies below it.
    #[must_use]
    pub fn high_watermark(&self) -> i64 {
        match self.commit.durability() {
            Durability::Fsync => self.flushed(),
            Durability::Kafka => self.log_end.load(Ordering::Acquire),
        }
    }

    /// The bytes from the batch with `offset` on, at most `max_bytes` and none at `up_to` or later, which is one of
    /// [`PartitionLog::offsets`]. With `min_one_batch` the first batch is whole even if it is larger; without, there are no
    /// bytes then.
    pub fn read(&self, offset: i64, max_bytes: usize, min_one_batch: bool, up_to: i64) -> Result<LogSlice, ReadError> {
        if self.deleted.load(Ordering::Acquire) {
            return Err(ReadError::Deleted);
        }
        let offsets = self.offsets();
        if offset < offsets.log_start || offset > offsets.log_end {
            let (log_start, log_end) = (offsets.log_start, offsets.log_end);
            return Err(ReadError::OffsetOutOfRange { offset, log_start, log_end });
        }
        let up_to = up_to.min(offsets.log_end);
        if offset >= up_to {
            return Ok(LogSlice::NOTHING);
        }
        let slice = self.read_below(offset, max_bytes, min_one_batch, up_to);
        let log_start = self.log_start.load(Ordering::Acquire);
        if offset < log_start {
            // What was looked for has gone meanwhile.
            return Err(ReadError::OffsetOutOfRange { offset, log_start, log_end: offsets.log_end });
        }
        slice
    }

    /// Whether [`PartitionLog::read`] knows without index and scan, which may wait for the disk, what is at `offset`:
    /// nothing, or one of the latest appends.
    #[must_use]
    pub fn is_at_hand(&self, offset: i64) -> bool {
        let offsets = self.offsets();
        offset < offsets.log_start
            || offset >= offsets.log_end
            || self.segment_at(offset).is_some_and(|(segment, _)| segment.is_recent(offset))
    }

    /// Whether [`PartitionLog::aborted_transactions`] knows without reading a segment whole what there is from `offset` on.
    #[must_use]
    pub fn are_aborted_at_hand(&self, offset: i64) -> bool {
        self.segments_from(offset).iter().all(|segment| segment.aborted().is_checked())
    }

    fn read_below(
        &self,
        offset: i64,
        max_bytes: usize,
        min_one_batch: bool,
        up_to: i64,
    ) -> Result<LogSlice, ReadError> {
        let mut floor = offset;
        while let Some((segment, next_base)) = self.segment_at(floor) {
            let last = next_base.is_none_or(|next_base| next_base > up_to);
            let end = if last { up_to } else { i64::MAX };
            let slice = match segment.read(offset, max_bytes, min_one_batch, end, &|offset| self.epoch_of(offset)) {
                // Compaction has put another in its place meanwhile; one that lies below the log start is nobody's.
                Err(_) if segment.is_retired() && offset >= self.log_start.load(Ordering::Acquire) => continue,
                slice => slice?,
            };
            if let Some(slice) = slice {
                let fits = min_one_batch || slice.first_batch_size <= max_bytes;
                let first_batch_size = slice.first_batch_size;
                let from_older_segment = next_base.is_some_and(|next_base| next_base < up_to);
                return Ok(LogSlice { records: fits.then_some(slice.records), first_batch_size, from_older_segment });
            }
            // Compaction may have emptied this segment's end: the next one goes on.
            match next_base {
                Some(next_base) if !last => floor = next_base,
                _ => break,
            }
        }
        Ok(LogSlice::NOTHING)
    }

    /// The leader epoch that `offset` belongs to.
    pub(super) fn epoch_of(&self, offset: i64) -> Option<i32> {
        lock(&self.epochs).epoch_for(offset)
    }

    /// The segment that `offset` belongs to, and the base offset of the next one.
    fn segment_at(&self, offset: i64) -> Option<(Arc<Segment>, Option<i64>)> {
        let segments = read(&self.segments);
        let next = segments.partition_point(|segment| segment.base_offset() <= offset);
        // An offset below the first segment is answered from its beginning.
        let at = next.saturating_sub(1);
        let segment = segments.get(at)?;
        Some((Arc::clone(segment), segments.get(at + 1).map(|next| next.base_offset())))
    }

    /// The first offset, with the epoch of the leader that appended it.
    #[must_use]
    pub fn earliest(&self) -> OffsetAndEpoch {
        let offset = self.log_start.load(Ordering::Acquire);
        let earliest = lock(&self.epochs).earliest();
        let leader_epoch = earliest.filter(|entry| entry.start_offset <= offset).map(|entry| entry.epoch);
        OffsetAndEpoch { offset, leader_epoch }
    }

    /// The offset after the last that consumers may read, with the current leader's epoch.
    #[must_use]
    pub fn latest(&self) -> OffsetAndEpoch {
        OffsetAndEpoch { offset: self.high_watermark(), leader_epoch: self.leader_epoch() }
    }

    /// The epoch of the leader that writes, or wrote last.
    #[must_use]
    pub fn leader_epoch(&self) -> Option<i32> {
        lock(&self.epochs).latest().map(|entry| entry.epoch)
    }

    /// Where the largest epoch up to `epoch` ended.
    #[must_use]
    pub fn end_offset_for_epoch(&self, epoch: i32) -> Option<EpochEnd> {
        let log_end = self.log_end.load(Ordering::Acquire);
        lock(&self.epochs).end_offset_for(epoch, log_end)
    }

    /// The first record whose timestamp is at least `timestamp`. It reads and unpacks batches.
    pub fn offset_for_timestamp(
        &self,
        timestamp: TimestampMs,
        times: RecordTimes<'_>,
    ) -> Result<Option<FoundRecord>, ReadError> {
        let offsets = self.offsets();
        self.look_through(offsets.log_start, |segment| {
            if segment.max_timestamp()?.is_none_or(|max| max.timestamp < timestamp) {
                return Ok(None);
            }
            let epoch_of = |offset| self.epoch_of(offset);
            segment.find_by_timestamp(timestamp, offsets.log_start, offsets.log_end, &epoch_of, times)
        })
    }

    /// The first record that has the greatest timestamp of the log. It reads and unpacks a batch.
    pub fn max_timestamp(&self, times: RecordTimes<'_>) -> Result<Option<FoundRecord>, ReadError> {
        // Compaction may take the record between the two looks: then there are two more.
        for _ in 0..2 {
            let mut greatest: Option<TimestampMs> = None;
            self.look_through::<()>(self.log_start.load(Ordering::Acquire), |segment| {
                greatest = greatest.max(segment.max_timestamp()?.map(|max| max.timestamp));
                Ok(None)
            })?;
            let Some(timestamp) = greatest else { return Ok(None) };
            if let Some(found) = self.offset_for_timestamp(timestamp, times)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Looks into the segments from the one with `offset` on until something is found. If one of them goes meanwhile, it begins anew:
    /// compaction has put another in its place, or retention has moved the log's start.
    fn look_through<T>(
        &self,
        offset: i64,
        mut look: impl FnMut(&Segment) -> Result<Option<T>, SegmentError>,
    ) -> Result<Option<T>, ReadError> {
        'anew: loop {
            for segment in self.segments_from(offset.max(self.log_start.load(Ordering::Acquire))) {
                match look(&segment) {
                    Ok(None) => {}
                    Err(_) if segment.is_retired() => continue 'anew,
                    found => return Ok(found?),
                }
            }
            return Ok(None);
        }
    }

    /// Moves the log's start up. Records before it are no longer read. `false` if it is there already; an offset above
    /// the high watermark is the caller's mistake. A crash forgets it before the next [`LogDir::checkpoint`].
    ///
    /// [`LogDir::checkpoint`]: super::log_dir::LogDir::checkpoint
    pub fn advance_log_start(&self, offset: i64) -> bool {
        assert!(offset <= self.high_watermark(), "the log start is moved over records that nobody could read");
        let _writer = lock(&self.writer);
        let before = self.log_start.fetch_max(offset, Ordering::AcqRel);
        if before < offset {
            lock(&self.epochs).truncate_from_start(offset);
        }
        before < offset
    }

    /// Has `waiter` woken whenever there is more to be read, and by the partition's deletion, until the result is dropped. Look at the
    /// offsets after this and before waiting.
    #[must_use]
    pub fn register(self: &Arc<Self>, waiter: &Arc<Waiter>) -> Registration {
        let registration = Registration { place: self.waiters.add(Arc::clone(waiter)), log: Arc::clone(self) };
        if self.high_watermark() < self.log_end.load(Ordering::Acquire) {
            // It came after an append that nobody waited for.
            self.hurry();
        }
        registration
    }

    /// Whether the partition was deleted.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }
}

/// An offset and the epoch of a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetAndEpoch {
    /// The offset.
    pub offset: i64,
    /// The epoch, where one is known.
    pub leader_epoch: Option<i32>,
}

/// A waiter's place with a partition.
pub struct Registration {
    log: Arc<PartitionLog>,
    place: usize,
}

impl Registration {
    /// The partition's log.
    #[must_use]
    pub fn log(&self) -> &Arc<PartitionLog> {
        &self.log
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.log.waiters.remove(self.place);
    }
}

impl PartitionLog {
    fn write_failed(&self, source: io::Error) -> FlushError {
        FlushError::Write { path: self.dir.path(), source }
    }
}

impl fmt::Debug for PartitionLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartitionLog({}, {:?})", self.topic_partition, self.offsets())
    }
}
