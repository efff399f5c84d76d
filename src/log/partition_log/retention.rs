//! Takes segments from the front of a log, as [`retention`] decided, in three steps.
//!
//! 1. [`PartitionLog::plan_trim`]: if the active segment is to go, a new one follows it first, for offsets are never given
//!    out twice. What the log has left is durable before the next step.
//! 2. [`Trim::move_log_start`]: the log starts behind the segments, in memory, and then in the checkpoint. From here on
//!    nobody reads them, and a start that finds them has them removed.
//! 3. [`Trim::carry_out`]: their files are renamed to `.deleted`, from the oldest on and the `.log` first, so that a
//!    crash leaves a log without a gap; a start removes what has that name. They are removed later.
//!
//! A reader that has a file open goes on reading it.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use super::{Condition, FlushError, PartitionLog};
use crate::{
    clock::TimestampMs,
    log::{
        files::FileKind,
        producer_state::snapshot,
        retention::{self, Bounds, Plan, SegmentTimes},
        segment::Segment,
        sync::{lock, read, write},
    },
};

/// What their names get.
const DELETED_SUFFIX: &str = ".deleted";

/// Segments that are about to go.
pub(in crate::log) struct Trim {
    log: Arc<PartitionLog>,
    plan: Plan,
    segments: Vec<Arc<Segment>>,
    /// Where the first begins that stays.
    log_start: i64,
}

/// Files that are to be removed after a while.
pub(in crate::log) struct Leftovers {
    pub(in crate::log) files: Vec<PathBuf>,
    pub(in crate::log) delay: Duration,
}

impl PartitionLog {
    /// How long what is deleted of it stays under another name.
    pub(in crate::log) fn file_delete_delay(&self) -> Duration {
        lock(&self.writer).config.file_delete_delay
    }

    /// What has to go by now, if anything. The log is queued for the next round, which has to come before the next step.
    pub(in crate::log) fn plan_trim(self: &Arc<Self>, now: TimestampMs) -> Option<Trim> {
        if self.is_deleted() {
            return None;
        }
        let settings = lock(&self.writer).config.retention;
        let mut segments = self.segments();
        let facts: Vec<_> = segments.iter().map(|segment| segment.facts()).collect();
        let offsets = self.offsets();
        let bounds =
            Bounds { log_start: offsets.log_start, high_watermark: offsets.high_watermark, log_end: offsets.log_end };
        let mut plan = retention::plan(&facts, bounds, &settings, now, &mut Times(&segments));
        let mut log_start = facts.get(plan.count()).map_or(offsets.log_end, |segment| segment.base_offset);
        if plan.count() == segments.len() && !self.roll_behind(&segments, offsets.log_end, now) {
            plan = plan.without_last();
            log_start = facts[plan.count()].base_offset;
        }
        segments.truncate(plan.count());
        if segments.is_empty() {
            return None;
        }
        self.request_flush();
        Some(Trim { log: Arc::clone(self), plan, segments, log_start })
    }

    /// What lies below the log's start, if anything. A recovery point above it has to be written down before it goes: the
    /// log is queued for the next round.
    pub(in crate::log) fn plan_trim_below_start(self: &Arc<Self>) -> Option<Trim> {
        let mut segments = self.segments();
        let facts: Vec<_> = segments.iter().map(|segment| segment.facts()).collect();
        let log_start = self.offsets().log_start;
        let plan = retention::below(&facts, log_start);
        segments.truncate(plan.count());
        if segments.is_empty() {
            return None;
        }
        self.request_flush();
        Some(Trim { log: Arc::clone(self), plan, segments, log_start })
    }

    /// Has a new active segment follow these, unless there was an append since they were looked at. That may happen: they
    /// are looked at without the writer's lock.
    fn roll_behind(&self, segments: &[Arc<Segment>], log_end: i64, now: TimestampMs) -> bool {
        let mut writer = lock(&self.writer);
        let is_last = segments.last().is_some_and(|last| Arc::ptr_eq(last, &writer.active));
        if !is_last || writer.condition != Condition::Open || self.offsets().log_end != log_end {
            return false;
        }
        let rolled = self.roll(&mut writer, log_end, now);
        if let Err(error) = &rolled {
            tracing::warn!(partition = %self.topic_partition, %error, "the active segment cannot be rolled and stays");
        }
        rolled.is_ok()
    }
}

impl Trim {
    /// Has the log start behind the segments.
    pub(in crate::log) fn move_log_start(&self) {
        self.log.advance_log_start(self.log_start);
        self.log.waiters.wake_all();
    }

    /// Renames the segments' files. After an error the rest is tried again by the next plan: it lies below the log start.
    pub(in crate::log) fn carry_out(self) -> (Leftovers, Result<(), FlushError>) {
        let mut leftovers = Leftovers { files: Vec::new(), delay: self.log.file_delete_delay() };
        let mut removed = 0_usize;
        let carried_out = self.segments.iter().try_for_each(|segment| {
            removed += usize::from(self.log.remove_first(segment, &mut leftovers.files)?);
            Ok(())
        });
        // Another plan may have been there first.
        if removed > 0 {
            tracing::info!(
                partition = %self.log.topic_partition,
                segments = removed,
                reason = %self.plan,
                log_start = self.log_start,
                "segments deleted"
            );
        }
        (leftovers, carried_out.map_err(|error| self.log.write_failed(error)))
    }
}

impl PartitionLog {
    /// Takes out the first segment, if it is this one. Returns whether it was.
    fn remove_first(&self, segment: &Arc<Segment>, renamed: &mut Vec<PathBuf>) -> io::Result<bool> {
        // A deletion of the partition renames the directory under this lock: its name may be another's then.
        let _reshaping = lock(&self.reshaping);
        let is_first = read(&self.segments).first().is_some_and(|first| Arc::ptr_eq(first, segment));
        if self.is_deleted() || !is_first {
            return Ok(false);
        }
        let (settled, in_order) = self.settle();
        renamed.extend(settled.files);
        in_order?;
        segment.retire();
        let base_offset = segment.base_offset();
        let files = FileKind::ALL.iter().map(|kind| kind.file_name(base_offset));
        let mut all = files.chain([snapshot::file_name(base_offset)]);
        all.try_for_each(|name| self.rename_to_deleted(&name, renamed))?;
        write(&self.segments).remove(0);
        Ok(true)
    }

    /// Has a file of the directory, if there is one of this name, removed by the next start at the latest.
    pub(super) fn rename_to_deleted(&self, name: &str, renamed: &mut Vec<PathBuf>) -> io::Result<()> {
        let (from, to) = (self.dir.join(name), self.dir.join(&format!("{name}{DELETED_SUFFIX}")));
        match self.pool.disk().rename(&from, &to) {
            Ok(()) => renamed.push(to),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }
}

/// Looks into segments. One that cannot be looked into ages by its file.
struct Times<'a>(&'a [Arc<Segment>]);

impl SegmentTimes for Times<'_> {
    fn greatest_timestamp(&mut self, at: usize) -> Option<TimestampMs> {
        let greatest = self.0[at].max_timestamp();
        let greatest = greatest.inspect_err(|error| tracing::warn!(%error, "the age of a segment is that of its file"));
        greatest.ok().flatten().map(|greatest| greatest.timestamp)
    }

    fn written_at(&mut self, at: usize) -> Option<TimestampMs> {
        let segment = &self.0[at];
        let written = segment.modified_ms();
        written
            .inspect_err(|error| {
                let path = segment.log().path();
                tracing::warn!(path = %path.display(), %error, "a segment of unknown age stays");
            })
            .ok()
    }
}

#[cfg(test)]
mod tests;
