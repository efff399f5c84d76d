//! Which part of a log is to be compacted, and how much it is in need of it (Kafka's `LogCleanerManager` and
//! `LogToClean`). Pure: what is known of the log goes in.
//!
//! A log that is compacted has a head, which was not looked at since it was appended (dirty), and a tail that was
//! compacted before. Only whole segments count, and never the active one, nor what is not decided for consumers, nor what
//! is younger than `min.compaction.lag.ms`.

use std::{cmp::Ordering, ops::Range};

use crate::{
    clock::TimestampMs,
    log::{log_config::Compaction, retention::SegmentFacts},
};

/// The offsets of the log that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) log_start: i64,
    pub(super) last_stable: i64,
    pub(super) log_end: i64,
    /// Up to where it has been compacted, if it has.
    pub(super) cleaned: Option<i64>,
}

/// What has to be looked up in a segment. It is asked for as few as possible.
pub(super) trait SegmentTimes {
    /// Greatest timestamp of the segment at this place. `None` if there is none, or it cannot be told.
    fn greatest(&mut self, at: usize) -> Option<TimestampMs>;
    /// Timestamp of its first batch. `None` likewise.
    fn first(&mut self, at: usize) -> Option<TimestampMs>;
}

/// What could be compacted of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The dirty offsets. The end is where a segment begins.
    pub(super) dirty: Range<i64>,
    /// How many segments there are before that end: those that are written anew.
    pub(super) segments: usize,
    /// Bytes of the segments that were compacted before.
    pub(super) clean_bytes: u64,
    /// Bytes of the dirty segments.
    pub(super) dirty_bytes: u64,
    /// Some of them are older than `max.compaction.lag.ms` allows.
    is_overdue: bool,
}

impl Candidate {
    /// What there is in a log with these segments, in order.
    pub(super) fn of(
        segments: &[SegmentFacts],
        bounds: Bounds,
        compaction: &Compaction,
        now: TimestampMs,
        times: &mut impl SegmentTimes,
    ) -> Self {
        let begin = begin(bounds);
        let place_of = |offset| segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1);
        let first_dirty = place_of(begin);
        let last = segments.len().saturating_sub(1);
        let mut end = last.min(place_of(bounds.last_stable));
        if compaction.min_lag_ms > 0 {
            let is_young = |at: &usize| {
                times.greatest(*at).is_some_and(|greatest| greatest > now.saturating_sub(compaction.min_lag_ms))
            };
            end = (first_dirty..end).find(is_young).unwrap_or(end);
        }
        let latest = now.saturating_sub(compaction.max_lag_ms);
        // Nothing is as old as the default allows.
        let is_old = |at| times.first(at).is_some_and(|first| first > 0 && first < latest);
        let is_overdue = latest > 0 && (first_dirty..last).any(is_old);
        let size =
            |range: Range<usize>| segments.get(range).unwrap_or_default().iter().map(|segment| segment.size).sum();
        // A segment of which a part was compacted counts as dirty, and as clean as well.
        let is_partly_clean = segments.get(first_dirty).is_some_and(|segment| segment.base_offset < begin);
        let end_offset = segments.get(end).map_or(begin, |segment| segment.base_offset);
        Self {
            dirty: begin..end_offset.max(begin),
            segments: end,
            clean_bytes: size(0..(first_dirty + usize::from(is_partly_clean)).min(segments.len())),
            dirty_bytes: size(first_dirty..end.max(first_dirty)),
            is_overdue,
        }
    }

    /// Whether it is to be compacted now.
    pub(super) fn is_due(&self, compaction: &Compaction) -> bool {
        self.dirty_bytes > 0 && (self.is_overdue || self.dirty_ratio() > compaction.min_dirty_ratio)
    }

    /// Which one of two is in greater need.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        self.dirty_ratio().total_cmp(&other.dirty_ratio())
    }

    /// Bytes that were not compacted yet in proportion to all that could be.
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    pub(super) fn dirty_ratio(&self) -> f64 {
        self.dirty_bytes as f64 / (self.clean_bytes + self.dirty_bytes).max(1) as f64
    }
}

/// Where the dirty part begins. A place that the log does not have any more says nothing.
fn begin(bounds: Bounds) -> i64 {
    let known = bounds.cleaned.filter(|cleaned| (bounds.log_start..=bounds.log_end).contains(cleaned));
    known.unwrap_or(bounds.log_start)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPACTION: Compaction = Compaction {
        min_dirty_ratio: 0.5,
        min_lag_ms: 0,
        max_lag_ms: i64::MAX,
        delete_retention_ms: 0,
        decompressed_bytes_max: usize::MAX,
    };
    const NOW: TimestampMs = 1_000;

    /// The timestamps of first batch and greatest, of each segment.
    struct Table<'a>(&'a [(i64, i64)]);

    impl SegmentTimes for Table<'_> {
        fn greatest(&mut self, at: usize) -> Option<TimestampMs> {
            Some(self.0[at].1)
        }

        fn first(&mut self, at: usize) -> Option<TimestampMs> {
            Some(self.0[at].0)
        }
    }

    /// Four segments of ten offsets and 100 bytes each, the last one active.
    fn candidate(bounds: Bounds, compaction: &Compaction, times: &[(i64, i64)]) -> Candidate {
        let segments: Vec<_> = (0..4).map(|n| SegmentFacts { base_offset: n * 10, size: 100 }).collect();
        Candidate::of(&segments, bounds, compaction, NOW, &mut Table(times))
    }

    fn bounds(log_start: i64, last_stable: i64, cleaned: Option<i64>) -> Bounds {
        Bounds { log_start, last_stable, log_end: 40, cleaned }
    }

    fn found(bounds: Bounds) -> (Range<i64>, usize, u64, u64) {
        let candidate = candidate(bounds, &COMPACTION, &[]);
        (candidate.dirty, candidate.segments, candidate.clean_bytes, candidate.dirty_bytes)
    }

    #[test]
    fn whole_segments_count_up_to_the_active_one_and_to_what_is_undecided() {
        assert_eq!(found(bounds(0, 40, None)), (0..30, 3, 0, 300));
        assert_eq!(found(bounds(0, 30, None)), (0..30, 3, 0, 300));
        assert_eq!(found(bounds(0, 29, None)), (0..20, 2, 0, 200));
        assert_eq!(found(bounds(0, 5, None)), (0..0, 0, 0, 0));
    }

    #[test]
    fn what_was_compacted_before_is_clean() {
        assert_eq!(found(bounds(0, 40, Some(10))), (10..30, 3, 100, 200));
        assert_eq!(found(bounds(0, 40, Some(15))), (15..30, 3, 200, 200), "the map was full in the middle");
        assert_eq!(found(bounds(0, 40, Some(30))), (30..30, 3, 300, 0));
        assert_eq!(found(bounds(0, 15, Some(30))), (30..30, 1, 300, 0), "less is decided than was compacted");
    }

    #[test]
    fn a_place_outside_the_log_is_not_believed() {
        assert_eq!(found(bounds(12, 40, Some(10))), (12..30, 3, 200, 200));
        assert_eq!(found(bounds(0, 40, Some(41))), (0..30, 3, 0, 300));
    }

    #[test]
    fn young_records_are_left_alone() {
        let compaction = Compaction { min_lag_ms: 100, ..COMPACTION };
        let ends = |times: &[(i64, i64)], cleaned| candidate(bounds(0, 40, cleaned), &compaction, times).dirty;
        assert_eq!(ends(&[(0, 900), (0, 901), (0, 0)], None), 0..10);
        assert_eq!(ends(&[(0, 900), (0, 900), (0, 900)], None), 0..30);
        assert_eq!(ends(&[(0, 950), (0, 900), (0, 901)], Some(10)), 10..20, "those compacted before do not matter");
    }

    #[test]
    fn a_log_is_due_when_more_than_a_share_of_it_is_dirty() {
        let due = |cleaned| candidate(bounds(0, 40, cleaned), &COMPACTION, &[]).is_due(&COMPACTION);
        assert_eq!([None, Some(10), Some(20), Some(30)].map(due), [true, true, false, false]);
        let greedy = Compaction { min_dirty_ratio: 0.0, ..COMPACTION };
        assert!(candidate(bounds(0, 40, Some(20)), &greedy, &[]).is_due(&greedy));
        assert!(!candidate(bounds(0, 40, Some(30)), &greedy, &[]).is_due(&greedy), "there is nothing to be done");
    }

    #[test]
    fn a_log_is_due_when_records_have_waited_too_long() {
        let compaction = Compaction { max_lag_ms: 100, ..COMPACTION };
        let due = |times: &[(i64, i64)], cleaned| {
            candidate(bounds(0, 40, Some(cleaned)), &compaction, times).is_due(&compaction)
        };
        assert!(due(&[(0, 0), (0, 0), (899, 899)], 20));
        assert!(!due(&[(0, 0), (0, 0), (900, 900)], 20));
        assert!(!due(&[(5, 5), (5, 5), (950, 950)], 20), "what was compacted before may be old");
        assert!(!due(&[(5, 5), (5, 5), (5, 5)], 30), "the active segment waits until it is closed");
    }
}
