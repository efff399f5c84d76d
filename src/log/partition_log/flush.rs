//! What of a log has to be made durable, and what is known once it is.
//!
//! Two offsets follow the log's end. Below the flushed offset the records are on disk, which is what acknowledgements and
//! consumers wait for. Below the recovery point the indexes and the leader epochs are too, so that a start reads nothing
//! there. A plan for the first syncs the `.log` files alone.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

use super::{AppendError, Condition, FlushError, NewNames, PartitionLog, Writer, producers::Keep};
use crate::{
    clock::TimestampMs,
    log::{
        disk::Replacement,
        files::PooledFile,
        group_commit::Durability,
        leader_epochs, partition_metadata,
        segment::Segment,
        sync::{lock, read},
    },
};

/// The log is in the queue of the next round.
const QUEUED: u8 = 1;
/// Its recovery point is to be moved too.
const WHOLE: u8 = 2;

/// What a round makes durable of one log.
pub(in crate::log) struct FlushPlan {
    pub(in crate::log) log: Arc<PartitionLog>,
    up_to: i64,
    /// Size of the active segment, the last one, at `up_to`.
    position: u64,
    segments: Vec<Arc<Segment>>,
    /// The segments' files that it is about.
    pub(in crate::log) files: Vec<Arc<PooledFile>>,
    /// Of a plan that moves the recovery point.
    is_whole: bool,
    pub(in crate::log) epochs: Option<Replacement>,
    /// Snapshots of the producers.
    pub(in crate::log) snapshots: Vec<PathBuf>,
    pub(in crate::log) new_names: NewNames,
}

impl FlushPlan {
    /// It is durable.
    pub(in crate::log) fn publish(self) {
        let log = &self.log;
        if let Some(active) = self.segments.last() {
            active.set_flushed(self.up_to, self.position);
        }
        log.flushed.store(self.up_to, Ordering::Release);
        if self.is_whole {
            log.recovery_point.store(self.up_to, Ordering::Release);
        }
        log.counters.flushes.fetch_add(1, Ordering::Relaxed);
        log.see_transactions();
        log.waiters.wake_all();
    }
}

/// Flushing.
impl PartitionLog {
    /// What is known to be on disk lies below it.
    #[must_use]
    pub fn flushed(&self) -> i64 {
        self.flushed.load(Ordering::Acquire)
    }

    /// What a start after a crash need not read lies below it.
    #[must_use]
    pub fn recovery_point(&self) -> i64 {
        self.recovery_point.load(Ordering::Acquire)
    }

    /// Has the next round make it durable.
    pub(super) fn request_commit(self: &Arc<Self>) {
        self.enqueue(QUEUED);
    }

    /// Has the next round make it durable, and move its recovery point.
    pub fn request_flush(self: &Arc<Self>) {
        self.enqueue(QUEUED | WHOLE);
    }

    fn enqueue(self: &Arc<Self>, wanted: u8) {
        // With the swap in `plan_flush`: either that sees what was appended before this, or this queues the log again.
        if self.queued.fetch_or(wanted, Ordering::AcqRel) & QUEUED == 0 {
            self.commit.add(Arc::clone(self));
        }
    }

    /// Whether there are leader epochs that the next whole flush has to write down.
    pub(in crate::log) fn has_new_epochs(&self) -> bool {
        lock(&self.epochs).is_changed()
    }

    /// Has it made durable as soon as possible: somebody waits for it.
    pub fn hurry(&self) {
        self.commit.hurry();
    }

    /// Makes durable what was appended before the call, whatever `ottla.durability` says. Blocks.
    ///
    /// What is in the log needs no more room, so there is one error: the data directory went offline.
    pub fn commit_now(self: &Arc<Self>) -> Result<(), FlushError> {
        let end = self.log_end.load(Ordering::Acquire);
        self.request_commit();
        // A round has an error of its own for every log.
        let result = self.commit.commit();
        if self.flushed() >= end { Ok(()) } else { result }
    }

    /// Makes everything durable that was appended before the call, and moves the recovery point; of a deleted partition,
    /// nothing. Blocks.
    pub fn flush(self: &Arc<Self>) -> Result<(), FlushError> {
        self.request_flush();
        self.commit.commit()
    }

    /// Waits until consumers may see what is below `offset`, which was appended before: until it is on disk, where that is
    /// what an acknowledgement means.
    pub async fn committed(&self, offset: i64) -> Result<(), AppendError> {
        loop {
            let mut round_ended = std::pin::pin!(self.commit.round_ended());
            round_ended.as_mut().enable();
            if self.high_watermark() >= offset {
                return Ok(());
            }
            if let Some(reason) = self.commit.failure() {
                return Err(AppendError::Offline { reason: reason.to_owned() });
            }
            if self.is_deleted() {
                return Err(AppendError::Closed);
            }
            self.hurry();
            round_ended.await;
        }
    }

    /// Has it flushed if its oldest record that is not on disk is older than `flush.ms`.
    pub(in crate::log) fn flush_if_due(self: &Arc<Self>, now: TimestampMs) {
        let due = {
            let writer = lock(&self.writer);
            writer.unflushed_since.is_some_and(|since| now.saturating_sub(since) >= writer.config.flush_ms)
        };
        if due {
            self.request_flush();
        }
    }

    /// Has it flushed where Kafka's settings say so, or lets the round know of an append.
    pub(super) fn appended(self: &Arc<Self>, rolled: bool, flush_messages: i64) {
        match self.commit.durability() {
            _ if rolled => self.request_flush(),
            Durability::Fsync => self.request_commit(),
            Durability::Kafka => {
                if self.unflushed() >= flush_messages {
                    self.request_flush();
                }
            }
        }
        if self.high_watermark() < self.log_end.load(Ordering::Relaxed) && self.waiters.count() > 0 {
            self.hurry();
        }
    }

    fn unflushed(&self) -> i64 {
        self.log_end.load(Ordering::Acquire) - self.recovery_point()
    }

    /// What is to be synced of a log that was taken out of the queue, and what could not be written for it. Writes what
    /// waits in memory; takes over the new names, which have to be synced from here.
    pub(in crate::log) fn plan_flush(log: &Arc<Self>) -> (Option<FlushPlan>, Option<FlushError>) {
        let is_wanted_whole = log.queued.swap(0, Ordering::AcqRel) & WHOLE != 0;
        if log.is_deleted() {
            return (None, None);
        }
        let mut writer = lock(&log.writer);
        let up_to = log.log_end.load(Ordering::Relaxed);
        let (epochs, unwritten) = match is_wanted_whole.then(|| log.write_what_waits(&mut writer)) {
            Some(Err(error)) => (None, Some(error)),
            Some(Ok(epochs)) => (epochs, None),
            None => (None, None),
        };
        // What is in the log waits for nothing but its own file.
        let is_whole = is_wanted_whole && unwritten.is_none();
        if is_whole {
            writer.unflushed_since = None;
        }
        let snapshots = if is_whole { writer.snapshots.take_unsynced() } else { Vec::new() };
        let new_names = std::mem::take(&mut writer.new_names);
        let position = writer.active.size();
        let is_closed = writer.condition == Condition::Closed;
        drop(writer);
        let known = if is_whole { log.recovery_point() } else { log.flushed() };
        // Closing adds a last entry to an index of a log that may have been flushed to its end.
        let has_work = up_to != known || new_names.files || new_names.directory || (is_whole && is_closed);
        if !has_work {
            return (None, unwritten);
        }
        let segments = log.segments_from(known);
        let files = segments.iter().flat_map(|segment| segment.files(is_whole)).collect();
        let log = Arc::clone(log);
        let plan = FlushPlan { log, up_to, position, segments, files, is_whole, epochs, snapshots, new_names };
        (Some(plan), unwritten)
    }

    fn write_what_waits(&self, writer: &mut Writer) -> Result<Option<Replacement>, FlushError> {
        writer.active.write_indexes().map_err(|source| self.write_failed(source))?;
        let log_end = self.log_end.load(Ordering::Relaxed);
        if log_end > self.recovery_point() {
            let written = self.write_snapshot(writer, log_end, Keep::UntilNext);
            written.map_err(|source| self.write_failed(source))?;
        }
        let path = self.dir.join(leader_epochs::FILE_NAME);
        let written = lock(&self.epochs).write_if_changed(self.pool.disk(), &path);
        let epochs = written.map_err(|source| self.write_failed(source))?;
        writer.new_names.files |= epochs.is_some();
        Ok(epochs)
    }

    /// From the one that has `offset` on.
    pub(super) fn segments_from(&self, offset: i64) -> Vec<Arc<Segment>> {
        let segments = read(&self.segments);
        let after = segments.partition_point(|segment| segment.base_offset() <= offset);
        segments[after.saturating_sub(1)..].to_vec()
    }

    pub(in crate::log) fn dir_path(&self) -> PathBuf {
        self.dir.path()
    }

    pub(in crate::log) fn metadata_path(&self) -> PathBuf {
        self.dir.join(partition_metadata::FILE_NAME)
    }
}
