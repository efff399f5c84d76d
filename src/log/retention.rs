//! Which segments have to go, oldest first. Pure: what is known of them goes in, how many and why comes out.
//!
//! Kafka's rules and their order (`UnifiedLog.deleteOldSegments`): what lies below the log start offset, then what is too
//! much for `retention.bytes`, then what is older than `retention.ms`. Each takes from the front and ends with the first
//! segment that may stay; none takes what is not below the high watermark, nor an active segment that is empty.
//!
//! One thing differs. A segment is as old as its greatest timestamp, and in Kafka one that lies far ahead keeps it for as
//! long. Here a timestamp later than a producer may send (`message.timestamp.after.max.ms`) says nothing, and the time at
//! which the file was last written stands in for it, as it does for a segment without timestamps.

use std::fmt;

use crate::clock::TimestampMs;

/// What a topic's settings say about how much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// `retention.bytes`: bytes that a log may have. `None` for no limit, and where `cleanup.policy` is without `delete`.
    pub bytes: Option<u64>,
    /// `retention.ms`: how old a segment may be. `None` likewise.
    pub ms: Option<i64>,
    /// `message.timestamp.after.max.ms`: how far ahead of the clock a timestamp may be to be believed.
    pub timestamp_after_max_ms: i64,
}

impl Retention {
    /// Only what lies below the log start offset goes.
    pub const UNLIMITED: Self = Self { bytes: None, ms: None, timestamp_after_max_ms: i64::MAX };
}

/// What is known of a segment without looking into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFacts {
    /// Its base offset.
    pub base_offset: i64,
    /// Bytes of its log.
    pub size: u64,
}

/// The offsets of the log that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Nothing below it is read any more.
    pub log_start: i64,
    /// Nothing at or above it goes.
    pub high_watermark: i64,
    /// Where the last segment ends.
    pub log_end: i64,
}

/// What has to be looked up in a segment. It is asked for as few as possible.
pub trait SegmentTimes {
    /// The greatest timestamp of the segment at this place. `None` if there is none, or it cannot be told.
    fn greatest_timestamp(&mut self, at: usize) -> Option<TimestampMs>;
    /// When its log was last written. `None` if that cannot be told: the segment stays.
    fn written_at(&mut self, at: usize) -> Option<TimestampMs>;
}

/// How many segments go from the front, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// They end at or below the log start offset.
    pub below_log_start: usize,
    /// The log is larger than `retention.bytes` without them.
    pub by_size: usize,
    /// They are older than `retention.ms`.
    pub by_age: usize,
}

impl Plan {
    /// All of them.
    #[must_use]
    pub fn count(&self) -> usize {
        self.below_log_start + self.by_size + self.by_age
    }

    /// The same without the last segment.
    #[must_use]
    pub fn without_last(mut self) -> Self {
        let last = [&mut self.by_age, &mut self.by_size, &mut self.below_log_start].into_iter().find(|n| **n > 0);
        if let Some(last) = last {
            *last -= 1;
        }
        self
    }
}

/// The reasons, for the broker's log.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = [
            (self.below_log_start, "below the log start offset"),
            (self.by_size, "beyond retention.bytes"),
            (self.by_age, "beyond retention.ms"),
        ];
        let mut separator = "";
        for (count, reason) in reasons.iter().filter(|(count, _)| *count > 0) {
            write!(f, "{separator}{count} {reason}")?;
            separator = ", ";
        }
        Ok(())
    }
}

/// Decides. `segments` are those of the log, in order.
pub fn plan(
    segments: &[SegmentFacts],
    bounds: Bounds,
    retention: &Retention,
    now: TimestampMs,
    times: &mut impl SegmentTimes,
) -> Plan {
    let below_log_start = below(segments, bounds.log_start).count();
    let mut front = Front { segments, bounds, taken: below_log_start };
    let by_size = retention.bytes.map_or(0, |most| front.take_excess(most));
    let by_age = retention.ms.map_or(0, |most| {
        front.take_while(|at, _, _| {
            age_from(times, at, retention, now).is_some_and(|from| now.saturating_sub(from) > most)
        })
    });
    Plan { below_log_start, by_size, by_age }
}

/// Of these the segments that end at or below the log's start. The last one stays.
#[must_use]
pub fn below(segments: &[SegmentFacts], log_start: i64) -> Plan {
    let followed = segments.iter().skip(1);
    Plan { below_log_start: followed.take_while(|next| next.base_offset <= log_start).count(), ..Plan::default() }
}

/// From when on a segment ages.
fn age_from(times: &mut impl SegmentTimes, at: usize, retention: &Retention, now: TimestampMs) -> Option<TimestampMs> {
    let latest = now.saturating_add(retention.timestamp_after_max_ms);
    let timestamp = times.greatest_timestamp(at).filter(|timestamp| (0..=latest).contains(timestamp));
    timestamp.or_else(|| times.written_at(at))
}

/// The front of the list, of which some are taken already.
struct Front<'a> {
    segments: &'a [SegmentFacts],
    bounds: Bounds,
    taken: usize,
}

impl Front<'_> {
    /// Takes segments for as long as `goes`, which gets place and end of one and whether it is the last.
    fn take_while(&mut self, mut goes: impl FnMut(usize, i64, bool) -> bool) -> usize {
        let before = self.taken;
        while let Some(segment) = self.segments.get(self.taken) {
            let next = self.segments.get(self.taken + 1);
            let end = next.map_or(self.bounds.log_end, |next| next.base_offset);
            let is_last = next.is_none();
            let may_go = end <= self.bounds.high_watermark && !(is_last && segment.size == 0);
            if !may_go || !goes(self.taken, end, is_last) {
                break;
            }
            self.taken += 1;
        }
        self.taken - before
    }

    /// Takes the segments without which there are still at least `most` bytes.
    fn take_excess(&mut self, most: u64) -> usize {
        let segments = self.segments;
        let size: u64 = segments[self.taken..].iter().map(|segment| segment.size).sum();
        let Some(mut excess) = size.checked_sub(most) else { return 0 };
        self.take_while(|at, _, _| match excess.checked_sub(segments[at].size) {
            Some(rest) => {
                excess = rest;
                true
            }
            None => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Greatest timestamps and file times.
    struct Table<'a>(&'a [(Option<TimestampMs>, Option<TimestampMs>)], usize);

    impl SegmentTimes for Table<'_> {
        fn greatest_timestamp(&mut self, at: usize) -> Option<TimestampMs> {
            self.1 += 1;
            self.0[at].0
        }

        fn written_at(&mut self, at: usize) -> Option<TimestampMs> {
            self.0[at].1
        }
    }

    const NOW: TimestampMs = 1_000_000;

    /// Four segments of ten offsets and 100 bytes each.
    fn segments() -> Vec<SegmentFacts> {
        (0..4).map(|n| SegmentFacts { base_offset: n * 10, size: 100 }).collect()
    }

    fn bounds(log_start: i64, high_watermark: i64) -> Bounds {
        Bounds { log_start, high_watermark, log_end: 40 }
    }

    fn counts(plan: Plan) -> [usize; 3] {
        [plan.below_log_start, plan.by_size, plan.by_age]
    }

    fn by_start_and_size(bounds: Bounds, bytes: Option<u64>) -> [usize; 3] {
        let retention = Retention { bytes, ..Retention::UNLIMITED };
        counts(plan(&segments(), bounds, &retention, NOW, &mut Table(&[], 0)))
    }

    fn by_age(times: &[(Option<TimestampMs>, Option<TimestampMs>)], high_watermark: i64) -> [usize; 3] {
        let retention = Retention { bytes: None, ms: Some(500), timestamp_after_max_ms: 1000 };
        counts(plan(&segments(), bounds(0, high_watermark), &retention, NOW, &mut Table(times, 0)))
    }

    #[test]
    fn what_ends_below_the_log_start_goes() {
        for (log_start, expected) in [(0, 0), (9, 0), (10, 1), (29, 2), (30, 3), (40, 3)] {
            assert_eq!(by_start_and_size(bounds(log_start, 40), None), [expected, 0, 0], "{log_start}");
        }
    }

    #[test]
    fn a_log_shrinks_to_its_size_and_not_below() {
        for (bytes, expected) in [(500, 0), (400, 0), (301, 0), (300, 1), (299, 1), (100, 3), (1, 3), (0, 4)] {
            assert_eq!(by_start_and_size(bounds(0, 40), Some(bytes)), [0, expected, 0], "{bytes}");
        }
        assert_eq!(by_start_and_size(bounds(20, 40), Some(100)), [2, 1, 0], "what is gone is not counted");
    }

    #[test]
    fn nothing_above_the_high_watermark_goes() {
        assert_eq!(by_start_and_size(bounds(0, 29), Some(0)), [0, 2, 0]);
        assert_eq!(by_start_and_size(bounds(0, 39), Some(0)), [0, 3, 0]);
        let old = (Some(1), None);
        assert_eq!(by_age(&[old; 4], 20), [0, 0, 2]);
    }

    #[test]
    fn age_is_that_of_the_greatest_timestamp() {
        let at = |timestamp| (Some(timestamp), Some(NOW));
        assert_eq!(
            by_age(&[at(NOW - 501), at(NOW - 500), at(0), at(0)], 40),
            [0, 0, 1],
            "the first that may stay ends it"
        );
        assert_eq!(by_age(&[at(0); 4], 40), [0, 0, 4], "the active one too");
        assert_eq!(by_age(&[at(NOW + 1000), at(0), at(0), at(0)], 40), [0; 3], "a producer may be ahead that much");
    }

    #[test]
    fn a_file_time_stands_in_for_a_timestamp_that_says_nothing() {
        for timestamp in [None, Some(-1), Some(NOW + 1001), Some(i64::MAX)] {
            assert_eq!(by_age(&[(timestamp, Some(NOW - 501)); 4], 40), [0, 0, 4], "{timestamp:?}");
            assert_eq!(by_age(&[(timestamp, Some(NOW - 500)); 4], 40), [0; 3], "{timestamp:?}");
            assert_eq!(by_age(&[(timestamp, None); 4], 40), [0; 3], "{timestamp:?}");
        }
    }

    #[test]
    fn an_empty_active_segment_stays() {
        let segments = [SegmentFacts { base_offset: 0, size: 100 }, SegmentFacts { base_offset: 40, size: 0 }];
        let retention = Retention { bytes: Some(0), ms: Some(0), timestamp_after_max_ms: 0 };
        let mut times = Table(&[(Some(0), None); 2], 0);
        assert_eq!(counts(plan(&segments, bounds(0, 40), &retention, NOW, &mut times)), [0, 1, 0]);
        let retention = Retention { bytes: None, ..retention };
        assert_eq!(counts(plan(&segments, bounds(0, 40), &retention, NOW, &mut times)), [0, 0, 1]);
    }

    #[test]
    fn as_few_segments_as_possible_are_looked_into() {
        let mut times = Table(&[(Some(0), None), (Some(NOW), None), (Some(0), None), (Some(0), None)], 0);
        let retention = Retention { ms: Some(10), ..Retention::UNLIMITED };
        plan(&segments(), bounds(0, 40), &retention, NOW, &mut times);
        assert_eq!(times.1, 2);
        plan(&segments(), bounds(0, 40), &Retention::UNLIMITED, NOW, &mut times);
        assert_eq!(times.1, 2, "none without a limit");
    }

    #[test]
    fn a_plan_says_why() {
        let plan = Plan { below_log_start: 1, by_size: 0, by_age: 2 };
        assert_eq!(plan.to_string(), "1 below the log start offset, 2 beyond retention.ms");
        let lesser = [plan.without_last(), plan.without_last().without_last()];
        assert_eq!(lesser.map(counts), [[1, 0, 1], [1, 0, 0]]);
        assert_eq!(Plan::default().without_last().count(), 0);
    }
}
