//! Which snapshots of the metadata have to go, oldest first. Pure: what is known of them goes in, the oldest that stays
//! comes out. The log starts where that one ends.
//!
//! Kafka's rules and their order (`KafkaRaftLog.maybeClean`): the oldest goes while log and snapshots are together larger
//! than `metadata.max.retention.bytes`, then while it is older than `metadata.max.retention.ms`. The newest stays. The one
//! that the directory was formatted with is no exception: the log has had its records since the first start.

use super::snapshot::Listed;
use crate::clock::TimestampMs;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// `metadata.max.retention.bytes`; `None` for no limit.
    pub bytes: Option<u64>,
    /// `metadata.max.retention.ms`; `None` for no limit.
    pub ms: Option<i64>,
}

/// The place of the oldest snapshot that stays, of at least one.
///
/// `log_size` tells how large the log is if it starts at an offset; `last_timestamp` the time of the last record in a
/// snapshot, `None` if that cannot be read: as the oldest of several it is worth nothing. That is asked for as seldom as
/// possible.
pub fn oldest_kept(
    snapshots: &[Listed],
    retention: Retention,
    now: TimestampMs,
    log_size: impl Fn(i64) -> u64,
    mut last_timestamp: impl FnMut(&Listed) -> Option<TimestampMs>,
) -> usize {
    let newest = snapshots.len().saturating_sub(1);
    let mut oldest = 0;
    let mut size: u64 = snapshots.iter().map(|snapshot| snapshot.size).sum();
    let is_too_large = |oldest: usize, size| {
        retention.bytes.is_some_and(|most| log_size(snapshots[oldest].id.end_offset).saturating_add(size) > most)
    };
    while oldest < newest && is_too_large(oldest, size) {
        size -= snapshots[oldest].size;
        oldest += 1;
    }
    let Some(most_ms) = retention.ms else { return oldest };
    let mut is_too_old =
        |snapshot| last_timestamp(snapshot).is_none_or(|timestamp| now.saturating_sub(timestamp) > most_ms);
    while oldest < newest && is_too_old(&snapshots[oldest]) {
        oldest += 1;
    }
    oldest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::snapshot::SnapshotId;

    /// Four snapshots, 10 offsets and 100 bytes each, the last record of each at ten times its offset.
    fn snapshots() -> Vec<Listed> {
        (0..4).map(|n| Listed { id: SnapshotId { end_offset: n * 10, epoch: 1 }, size: 100 }).collect()
    }

    /// The log has a segment of 1,000 bytes every 20 offsets.
    fn log_size(start: i64) -> u64 {
        3_000 - 1_000 * (start / 20).unsigned_abs()
    }

    fn kept(bytes: Option<u64>, ms: Option<i64>) -> usize {
        let last_timestamp = |snapshot: &Listed| Some(snapshot.id.end_offset * 10);
        oldest_kept(&snapshots(), Retention { bytes, ms }, 400, log_size, last_timestamp)
    }

    #[test]
    fn the_oldest_go_until_log_and_snapshots_fit() {
        for (bytes, oldest) in [(3_400, 0), (3_399, 1), (3_300, 1), (3_299, 2), (2_200, 2), (2_199, 3), (0, 3)] {
            assert_eq!(kept(Some(bytes), None), oldest, "{bytes}");
        }
        assert_eq!(kept(None, None), 0);
    }

    #[test]
    fn the_oldest_go_until_one_is_young_enough() {
        for (ms, oldest) in [(400, 0), (399, 1), (300, 1), (299, 2), (200, 2), (0, 3)] {
            assert_eq!(kept(None, Some(ms)), oldest, "{ms}");
        }
        assert_eq!(kept(Some(3_299), Some(399)), 2, "the first rule that takes more counts");
    }

    #[test]
    fn the_last_one_stays_whatever_it_is() {
        let none = |_: &Listed| None;
        let retention = Retention { bytes: Some(0), ms: Some(0) };
        for count in 0..=4 {
            let oldest = oldest_kept(&snapshots()[..count], retention, 400, log_size, none);
            assert_eq!(oldest, count.saturating_sub(1));
        }
    }
}
