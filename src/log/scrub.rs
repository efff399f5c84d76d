//! Looks for rot where nobody reads: walks over all closed segments, slowly, again and again.
//!
//! Every batch is held against its CRC, its neighbours and the next segment. What is found is told in one line each time
//! a pass comes by, and counted; nothing is changed. Kafka finds such damage when a consumer does.
//!
//! It works in slices, for which somebody calls it about once a second. In between it holds no file and no lock, only where it
//! was; a segment that was deleted or replaced meanwhile is left out. What it reads goes through the page cache, a
//! second's worth at a time, and is read once: the kernel gives up such pages before those that are used.
//!
//! A start begins a new pass, so a broker that is restarted before a pass ends does not get to the last partitions.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    log_dir::LogDir,
    ordered_scan::{OrderedScan, Step},
    partition_log::PartitionLog,
    scan::{ScanError, check_crc},
    segment::{Segment, SegmentError},
};
use crate::protocol::ids::TopicPartition;

/// How much is read in a second: a terabyte in a day and a half.
pub const BYTES_PER_SECOND: u64 = 8 << 20;
/// How long after a pass began the next one begins, or when it is done.
pub const PASS_INTERVAL: Duration = Duration::from_hours(7 * 24);
/// How long after a start the first pass begins: there is other work then.
pub const FIRST_PASS: Duration = Duration::from_mins(10);

/// What a segment costs besides its bytes, in bytes: small ones are not for nothing.
const SEGMENT_COST: i64 = 64 << 10;

/// What has been done since the start.
#[derive(Debug, Default)]
pub struct ScrubCounters {
    /// Bytes looked at.
    pub bytes: AtomicU64,
    /// Passes that have ended.
    pub passes: AtomicU64,
    /// Damaged ranges found, in each pass anew.
    pub findings: AtomicU64,
}

/// The work, and how far it is.
#[derive(Debug)]
pub struct Scrub {
    pass_at: Instant,
    /// When it last worked, within a pass.
    worked_at: Option<Instant>,
    /// Bytes that may be read now. A large batch may take more: then there are fewer the next time.
    allowance: i64,
    /// The last segment that is done.
    done: Option<(TopicPartition, i64)>,
    current: Option<Current>,
}

/// A segment that is under way.
#[derive(Debug)]
struct Current {
    partition: TopicPartition,
    base_offset: i64,
    segment: Weak<Segment>,
    position: u64,
    /// The offset that should be there.
    expected: i64,
}

impl Scrub {
    /// Begins some time after `now`, the start.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { pass_at: now + FIRST_PASS, worked_at: None, allowance: 0, done: None, current: None }
    }

    /// Does what has become due since the last call, but no more than for a second. Blocks for as long as that takes.
    pub fn work(&mut self, logs: &LogDir, now: Instant) {
        match self.worked_at {
            None if now < self.pass_at => return,
            None => {
                self.pass_at = now + PASS_INTERVAL;
                self.allowance = 0;
            }
            Some(before) => {
                let elapsed = now.saturating_duration_since(before).min(Duration::from_secs(1));
                let due = u64::try_from(elapsed.as_millis()).unwrap_or(1_000) * BYTES_PER_SECOND / 1_000;
                self.allowance += due.cast_signed();
            }
        }
        self.worked_at = Some(now);
        while self.allowance > 0 {
            let Some((log, segment)) = self.segment(logs) else {
                logs.scrub_counters().passes.fetch_add(1, Ordering::Relaxed);
                (self.done, self.worked_at) = (None, None);
                return;
            };
            if let Err(error) = self.look_at(logs, &log, &segment) {
                if !segment.is_retired() && !log.is_deleted() {
                    tracing::warn!(partition = %log.topic_partition(), %error, "a segment cannot be checked");
                }
                self.finish();
            }
        }
    }

    /// The segment that is under way, or the next one. `None` at the end of a pass.
    fn segment(&mut self, logs: &LogDir) -> Option<(Arc<PartitionLog>, Arc<Segment>)> {
        if let Some(current) = &self.current {
            let log = logs.partition(&current.partition);
            let segment = current.segment.upgrade();
            if let (Some(log), Some(segment)) = (log, segment)
                && log.closed_segments().iter().any(|closed| Arc::ptr_eq(closed, &segment))
            {
                return Some((log, segment));
            }
            self.finish();
        }
        let done = self.done.as_ref().map(|(partition, base_offset)| (partition, *base_offset));
        let is_left = |log: &PartitionLog, segment: &Segment| {
            done.is_none_or(|done| (log.topic_partition(), segment.base_offset()) > done)
        };
        let logs = logs.partitions();
        // They are in order: those in front have nothing left, however many there are.
        let first = logs.partition_point(|log| done.is_some_and(|(partition, _)| log.topic_partition() < partition));
        let (log, segment) = logs[first..].iter().find_map(|log| {
            let segment = log.closed_segments().into_iter().find(|segment| is_left(log, segment))?;
            Some((Arc::clone(log), segment))
        })?;
        self.allowance -= SEGMENT_COST;
        self.current = Some(Current {
            partition: log.topic_partition().clone(),
            base_offset: segment.base_offset(),
            segment: Arc::downgrade(&segment),
            position: 0,
            expected: segment.base_offset(),
        });
        Some((log, segment))
    }

    /// Goes on to the next segment.
    fn finish(&mut self) {
        if let Some(current) = self.current.take() {
            self.done = Some((current.partition, current.base_offset));
        }
    }

    /// Walks on through the segment until the allowance is used up.
    fn look_at(&mut self, logs: &LogDir, log: &PartitionLog, segment: &Segment) -> Result<(), SegmentError> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let size = segment.size();
        let file = segment.log().get().map_err(|source| segment.error(ScanError::Io { position: 0, source }))?;
        let epoch_of = |offset| log.epoch_of(offset);
        let around = segment.surroundings(&epoch_of);
        let mut scan = OrderedScan::new(&*file, current.position, size, current.expected, around);
        let counters = logs.scrub_counters();
        while self.allowance > 0 {
            let step = scan.next_step().map_err(|e| segment.error(e))?;
            let (at, damage) = match step {
                None => {
                    self.finish();
                    return Ok(());
                }
                Some(Step::Batch(batch)) => {
                    let next = (batch.end(), batch.header.last_offset() + 1);
                    match check_crc(&*file, &batch) {
                        Err(damage @ ScanError::Corrupt { .. }) => (next, Some((damage, batch.header.base_offset))),
                        checked => (next, checked.map(|()| None).map_err(|e| segment.error(e))?),
                    }
                }
                Some(Step::Damage(damage)) => {
                    let next = damage.next.map_or((size, i64::MAX), |next| (next.position, next.header.base_offset));
                    (next, Some((damage.error(), damage.from)))
                }
            };
            let (position, expected) = at;
            let bytes = position.saturating_sub(current.position);
            self.allowance -= bytes.cast_signed();
            counters.bytes.fetch_add(bytes, Ordering::Relaxed);
            if let Some((damage, from)) = damage
                && !segment.is_retired()
                && !log.is_deleted()
            {
                counters.findings.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    partition = %log.topic_partition(),
                    file = %segment.log().path().display(),
                    from,
                    next_good_offset = (expected < i64::MAX).then_some(expected),
                    "records are damaged: {damage}"
                );
            }
            (current.position, current.expected) = (position, expected);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use uuid::Uuid;

    use super::*;
    use crate::{
        clock,
        log::{
            disk::sim::SimDisk, log_config::LogConfig, log_dir::LogDirSettings, partition_log::test_batches::batch,
            retention::Retention,
        },
    };

    const DATA: &str = "/data";
    const FIRST_LOG: &str = "/data/orders-0/00000000000000000000.log";
    /// Payload of a batch.
    const BYTES: usize = 1 << 20;

    /// Two partitions of batches of a mebibyte, `segments` closed segments each, of two batches.
    fn logs(disk: &SimDisk, segments: usize) -> LogDir {
        let retention = Retention { ms: Some(1_000), ..Retention::UNLIMITED };
        let config = LogConfig { segment_bytes: 5 * (BYTES as u64) / 2, retention, ..LogConfig::default() };
        let settings = LogDirSettings { config, ..LogDirSettings::for_tests() };
        let logs = LogDir::open(Arc::new(disk.clone()), Path::new(DATA), &settings, 0).expect("opened");
        for topic in ["orders", "others"] {
            let name = TopicPartition::new(topic, 0);
            let log = logs.create_partition(&name, Uuid::new_v4(), config, 0, 0).expect("created");
            for _ in 0..=2 * segments {
                log.append(&batch(1, 0, BYTES), 0, 0).expect("appended");
            }
        }
        logs.group_commit().commit().expect("flushed");
        logs
    }

    /// Works once a second until a pass has ended; returns how many seconds that took.
    fn pass(scrub: &mut Scrub, logs: &LogDir, now: &mut Instant) -> u32 {
        let passes = logs.scrub_counters().passes.load(Ordering::Relaxed);
        let mut seconds = 0;
        while logs.scrub_counters().passes.load(Ordering::Relaxed) == passes {
            scrub.work(logs, *now);
            *now += Duration::from_secs(1);
            seconds += 1;
        }
        seconds
    }

    fn findings(logs: &LogDir) -> u64 {
        logs.scrub_counters().findings.load(Ordering::Relaxed)
    }

    #[test]
    fn a_flipped_bit_is_found_once_in_each_pass() {
        let disk = SimDisk::new(1);
        let logs = logs(&disk, 3);
        let mut now = clock::monotonic();
        let mut scrub = Scrub::new(now);
        now += FIRST_PASS;
        pass(&mut scrub, &logs, &mut now);
        assert_eq!(findings(&logs), 0);
        // A record; then the same batch's base offset too; then the next one's length, which is another damaged range.
        for (position, expected) in [(100, 1), (3, 1), (BYTES + 61 + 8, 1)] {
            let before = findings(&logs);
            disk.corrupt(Path::new(FIRST_LOG), position, &[0xff]).expect("corrupted");
            now += PASS_INTERVAL;
            pass(&mut scrub, &logs, &mut now);
            assert_eq!(findings(&logs) - before, expected, "position {position}");
        }
    }

    #[test]
    fn the_rate_is_kept_and_the_next_pass_waits() {
        let logs = logs(&SimDisk::new(1), 12);
        let mut now = clock::monotonic();
        let mut scrub = Scrub::new(now);
        scrub.work(&logs, now + FIRST_PASS - Duration::from_millis(1));
        assert_eq!(logs.scrub_counters().bytes.load(Ordering::Relaxed), 0, "not yet");
        now += FIRST_PASS;
        let begun = now;
        let mut most = 0;
        while logs.scrub_counters().passes.load(Ordering::Relaxed) == 0 {
            let before = logs.scrub_counters().bytes.load(Ordering::Relaxed);
            scrub.work(&logs, now);
            most = most.max(logs.scrub_counters().bytes.load(Ordering::Relaxed) - before);
            now += Duration::from_millis(250);
        }
        let bytes = logs.scrub_counters().bytes.load(Ordering::Relaxed);
        assert_eq!(bytes, 2 * 24 * (BYTES as u64 + 61), "all but the active segments");
        let seconds = (now - begun).as_secs();
        assert!((bytes / BYTES_PER_SECOND..=bytes / BYTES_PER_SECOND + 2).contains(&seconds), "{seconds} s");
        assert!(most <= BYTES_PER_SECOND / 4 + BYTES as u64 + 61, "{most} bytes at once");
        scrub.work(&logs, begun + PASS_INTERVAL - Duration::from_secs(1));
        scrub.work(&logs, begun + PASS_INTERVAL - Duration::from_millis(1));
        assert_eq!(logs.scrub_counters().bytes.load(Ordering::Relaxed), bytes, "the pass is over");
        scrub.work(&logs, begun + PASS_INTERVAL);
        scrub.work(&logs, begun + PASS_INTERVAL + Duration::from_secs(1));
        assert!(logs.scrub_counters().bytes.load(Ordering::Relaxed) > bytes, "and begins again");
    }

    #[test]
    fn what_is_deleted_meanwhile_is_no_finding() {
        let disk = SimDisk::new(1);
        let logs = logs(&disk, 4);
        let mut now = clock::monotonic();
        let mut scrub = Scrub::new(now);
        now += FIRST_PASS;
        scrub.work(&logs, now);
        now += Duration::from_millis(200);
        scrub.work(&logs, now);
        let current = scrub.current.as_ref().expect("under way");
        assert_eq!((current.base_offset, current.partition.topic.as_ref()), (0, "orders"));
        assert!(current.position > 0);
        // The whole of one log goes, and the other's partition.
        disk.set_time(0);
        logs.enforce_retention(1_000_000, now).expect("deleted");
        logs.delete_partitions(&[TopicPartition::new("others", 0)], now).expect("deleted");
        now += Duration::from_millis(200);
        pass(&mut scrub, &logs, &mut now);
        assert_eq!(findings(&logs), 0);
    }
}
