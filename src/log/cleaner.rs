//! The log cleaner: compacts logs with `cleanup.policy=compact`, the one in greatest need first.
//!
//! What a reader of a compacted log can rely on, as with Kafka: the last value of each key is there; records keep their
//! offsets and their order; a tombstone stays for `delete.retention.ms` after all that it deletes is gone; the active
//! segment, and what is not decided for consumers, is as it was appended.
//!
//! A cleaner works beside appends and readers, on segments that nobody writes to, and puts each segment that it has
//! written in the place of others when that is on disk. It can be interrupted at any time, and nothing is lost by that but
//! its work. Memory: the table of keys (`log.cleaner.dedupe.buffer.size`, or what the keys need if that is less), what is
//! read and written at once (`log.cleaner.io.buffer.size`), and a batch, unpacked.

mod batches;
mod candidate;
mod clean;
mod filter;
mod groups;
mod offset_map;
#[cfg(test)]
mod tests;
mod throttle;
mod transactions;

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use self::{
    candidate::{Bounds, Candidate},
    clean::{CleanError, Cleaning, Means, Tally},
    throttle::Throttle,
};
use super::{
    log_config::{Compaction, LogConfig},
    log_dir::LogDir,
    partition_log::{FlushError, PartitionLog},
    segment::Segment,
};
use crate::clock::{TimestampMs, monotonic};

/// How cleaners work, all of them together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CleanerSettings {
    /// `log.cleaner.threads`: how many there are, at least one.
    pub threads: usize,
    /// `log.cleaner.dedupe.buffer.size`: bytes for keys.
    pub dedupe_buffer_bytes: usize,
    /// `log.cleaner.io.buffer.load.factor`: which part of them may be filled, from 0 to 1.
    pub load_factor: f64,
    /// `log.cleaner.io.buffer.size`: bytes read and written at once.
    pub io_buffer_bytes: usize,
    /// `log.cleaner.io.max.bytes.per.second`.
    pub io_bytes_per_second_max: f64,
}

/// Kafka's defaults.
impl Default for CleanerSettings {
    fn default() -> Self {
        Self {
            threads: 1,
            dedupe_buffer_bytes: 128 * 1024 * 1024,
            load_factor: 0.9,
            io_buffer_bytes: 512 * 1024,
            io_bytes_per_second_max: f64::MAX,
        }
    }
}

/// When a log is tried again that there is not enough room or memory for: what was done for it is done in vain each time.
const REST: Duration = Duration::from_mins(5);

/// Least bytes that are read at once.
const PIECE_SIZE_MIN: usize = 4096;

/// What the cleaners of a data directory share.
pub struct LogCleaner {
    settings: CleanerSettings,
    throttle: Throttle,
    is_stopped: Mutex<bool>,
    stopped: Condvar,
}

/// A log that is claimed for a cleaner.
struct Claim {
    log: Arc<PartitionLog>,
    config: LogConfig,
    compaction: Compaction,
    segments: Vec<Arc<Segment>>,
    candidate: Candidate,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.log.release();
    }
}

impl LogCleaner {
    /// Cleaners that work like this.
    #[must_use]
    pub fn new(settings: CleanerSettings) -> Self {
        let throttle = Throttle::new(settings.io_bytes_per_second_max);
        Self { settings, throttle, is_stopped: Mutex::new(false), stopped: Condvar::new() }
    }

    /// Changes how many bytes a second they read and write at most, while they work.
    pub fn set_rate(&self, bytes_per_second: f64) {
        self.throttle.set_rate(bytes_per_second);
    }

    /// Interrupts all cleaners, and lets none begin again.
    pub fn stop(&self) {
        *self.is_stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stopped.notify_all();
    }

    /// Waits, up to `pause`. `false` as soon as it is time to stop.
    pub fn wait(&self, pause: Duration) -> bool {
        let is_stopped = self.is_stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.stopped.wait_timeout_while(is_stopped, pause, |is_stopped| !*is_stopped);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Compacts logs until none is due, or all that are due have failed: those come again with the next call. Blocks.
    ///
    /// `now` tells the wall clock's time, which tombstones and lags are held against.
    pub fn clean_due(&self, logs: &LogDir, mut now: impl FnMut() -> TimestampMs) {
        let mut failed: Vec<Arc<PartitionLog>> = Vec::new();
        while self.wait(Duration::ZERO) {
            let now = now();
            let Some(claim) = claim_dirtiest(logs, &failed, now) else { return };
            match self.clean(logs, &claim, now) {
                Ok(()) => {}
                Err(CleanError::Interrupted | CleanError::Changed) => failed.push(Arc::clone(&claim.log)),
                Err(CleanError::Offline(_)) => return,
                Err(error) => {
                    tell(&claim, &error);
                    failed.push(Arc::clone(&claim.log));
                }
            }
        }
    }

    fn clean(&self, logs: &LogDir, claim: &Claim, now: TimestampMs) -> Result<(), CleanError> {
        let log = &claim.log;
        let at = monotonic();
        let leave = |leftovers| logs.remove_leftovers(leftovers, at);
        let (leftovers, settled) = log.settle_names();
        leave(leftovers);
        settled.map_err(CleanError::Io)?;
        make_recovery_point(logs, log, claim.candidate.dirty.end)?;
        let spend = |bytes: usize| {
            let pause = self.throttle.pause(bytes, monotonic());
            if self.wait(pause) && !log.is_deleted() { Ok(()) } else { Err(CleanError::Interrupted) }
        };
        let means = Means {
            map_bytes: self.settings.dedupe_buffer_bytes / self.settings.threads,
            load_factor: self.settings.load_factor,
            piece_size: (self.settings.io_buffer_bytes / self.settings.threads / 2).max(PIECE_SIZE_MIN),
            spend: &spend,
            has_room: &|bytes| logs.has_room_for(bytes),
            leave: &leave,
        };
        let settings = (claim.config, claim.compaction);
        let segments = claim.segments.get(..claim.candidate.segments).unwrap_or_default();
        let cleaned = Cleaning::new(log, settings, segments, &claim.candidate, &means, now).run();
        let is_changed = log.is_deleted() || segments.iter().any(|segment| segment.is_retired());
        let (end, tally) = match cleaned {
            // What was looked for went meanwhile.
            Err(CleanError::Io(_)) if is_changed => return Err(CleanError::Changed),
            cleaned => cleaned?,
        };
        log.set_cleaned(end);
        say(claim, end, &tally, at);
        logs.write_checkpoints().map_err(|error| CleanError::Io(std::io::Error::other(error)))
    }
}

/// The log that is to be compacted next, for the caller alone.
fn claim_dirtiest(logs: &LogDir, failed: &[Arc<PartitionLog>], now: TimestampMs) -> Option<Claim> {
    let mut dirtiest: Option<Claim> = None;
    for log in logs.partitions() {
        let config = log.config();
        let Some(compaction) = config.compaction else { continue };
        if failed.iter().any(|failed| Arc::ptr_eq(failed, &log)) || !log.claim(monotonic()) {
            continue;
        }
        let segments = log.segments();
        let candidate = candidate(&log, &segments, &compaction, now);
        let claim = Claim { log, config, compaction, segments, candidate };
        let is_due = claim.candidate.is_due(&compaction);
        let is_dirtier = |than: &Claim| claim.candidate.compare(&than.candidate).is_gt();
        if is_due && dirtiest.as_ref().is_none_or(is_dirtier) {
            dirtiest = Some(claim);
        }
    }
    dirtiest
}

fn candidate(log: &PartitionLog, segments: &[Arc<Segment>], compaction: &Compaction, now: TimestampMs) -> Candidate {
    let offsets = log.offsets();
    let bounds = Bounds {
        log_start: offsets.log_start(),
        last_stable: offsets.last_stable(),
        log_end: offsets.log_end(),
        cleaned: log.cleaned(),
    };
    let facts: Vec<_> = segments.iter().map(|segment| segment.facts()).collect();
    Candidate::of(&facts, bounds, compaction, now, &mut Times(segments))
}

/// Looks into segments. One that cannot be looked into has no times.
struct Times<'a>(&'a [Arc<Segment>]);

impl candidate::SegmentTimes for Times<'_> {
    fn greatest(&mut self, at: usize) -> Option<TimestampMs> {
        self.0[at].max_timestamp().ok().flatten().map(|greatest| greatest.timestamp)
    }

    fn first(&mut self, at: usize) -> Option<TimestampMs> {
        self.0[at].first_timestamp().ok().flatten()
    }
}

/// A start takes gaps for what compaction left where it does not have to recover: below the recovery point.
fn make_recovery_point(logs: &LogDir, log: &Arc<PartitionLog>, end: i64) -> Result<(), CleanError> {
    if log.checkpointed() >= end {
        return Ok(());
    }
    log.flush().map_err(|error| match error {
        FlushError::Write { source, .. } => CleanError::Io(source),
        offline @ FlushError::Offline { .. } => CleanError::Offline(offline),
    })?;
    logs.write_checkpoints().map_err(|error| CleanError::Io(std::io::Error::other(error)))?;
    if log.checkpointed() >= end { Ok(()) } else { Err(CleanError::Changed) }
}

fn tell(claim: &Claim, error: &CleanError) {
    let partition = claim.log.topic_partition();
    if let CleanError::Damaged(_) = error {
        claim.log.set_uncleanable();
        tracing::error!(%partition, %error, "the log is damaged and is not compacted until the next start");
        return;
    }
    if let CleanError::NoRoom { .. } | CleanError::MapTooSmall { .. } = error {
        claim.log.rest_until(monotonic() + REST);
    }
    tracing::warn!(%partition, %error, "the log could not be compacted, it is tried again later");
}

fn say(claim: &Claim, end: i64, tally: &Tally, begun: Instant) {
    let took = monotonic().saturating_duration_since(begun);
    let bytes_per_ms = u128::from(tally.bytes_read) / took.as_millis().max(1);
    tracing::info!(
        partition = %claim.log.topic_partition(),
        from = claim.candidate.dirty.start,
        to = end,
        keys = tally.keys,
        bytes_before = tally.bytes_before,
        bytes_after = tally.bytes_after,
        segments_before = tally.segments_before,
        segments_after = tally.segments_after,
        read_kb_per_s = bytes_per_ms,
        took_ms = took.as_millis(),
        "compacted"
    );
    if tally.unreadable > 0 {
        let partition = claim.log.topic_partition();
        tracing::warn!(%partition, batches = tally.unreadable, "batches that cannot be unpacked were left as they are");
    }
}
