//! Which segments are written into one (Kafka's `Cleaner.groupSegmentsBySize`): else they would become ever smaller and
//! ever more. Pure.

use std::ops::Range;

/// What is known of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) base_offset: i64,
    pub(super) log: u64,
    pub(super) offset_index: u64,
    pub(super) time_index: u64,
}

/// How large a segment may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) log: u64,
    pub(super) index: u64,
}

/// Groups neighbours, of which each becomes one segment. `end` is the offset after the last of them.
pub(super) fn group(segments: &[Sizes], end: i64, limits: Limits) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let mut from = 0;
    while from < segments.len() {
        let mut to = from + 1;
        let mut sum = segments[from];
        while let Some(next) = segments.get(to) {
            let merged = Sizes {
                base_offset: sum.base_offset,
                log: sum.log + next.log,
                offset_index: sum.offset_index + next.offset_index,
                time_index: sum.time_index + next.time_index,
            };
            let fits =
                merged.log <= limits.log && merged.offset_index <= limits.index && merged.time_index <= limits.index;
            let last = segments.get(to + 1).map_or(end, |after| after.base_offset) - 1;
            // An index holds offsets relative to the base as 31 bits. An empty segment has none.
            let in_reach = next.log == 0 || last - sum.base_offset <= i64::from(i32::MAX);
            if !(fits && in_reach) {
                break;
            }
            (sum, to) = (merged, to + 1);
        }
        groups.push(from..to);
        from = to;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(base_offset: i64, log: u64, offset_index: u64, time_index: u64) -> Sizes {
        Sizes { base_offset, log, offset_index, time_index }
    }

    const LIMITS: Limits = Limits { log: 100, index: 10 };

    #[test]
    fn neighbours_fill_a_segment() {
        let of = |logs: &[u64]| {
            let segments: Vec<_> = (0..).zip(logs).map(|(n, log)| sizes(n, *log, 0, 0)).collect();
            group(&segments, 100, LIMITS)
        };
        assert_eq!(of(&[40, 60, 1, 99, 101, 0, 100]), [0..2, 2..4, 4..5, 5..7]);
        assert!(of(&[]).is_empty());
    }

    #[test]
    fn indexes_stay_within_their_size() {
        let segments = [sizes(0, 1, 6, 0), sizes(1, 1, 4, 0), sizes(2, 1, 1, 7), sizes(3, 1, 0, 4)];
        assert_eq!(group(&segments, 4, LIMITS), [0..2, 2..3, 3..4]);
    }

    #[test]
    fn offsets_stay_within_reach_of_an_index() {
        let far = i64::from(i32::MAX);
        let segments = [sizes(0, 1, 0, 0), sizes(10, 1, 0, 0)];
        assert_eq!(group(&segments, far + 1, LIMITS).as_slice(), std::slice::from_ref(&(0..2)));
        assert_eq!(group(&segments, far + 2, LIMITS), [0..1, 1..2]);
        let segments = [sizes(0, 1, 0, 0), sizes(10, 0, 0, 0), sizes(far + 2, 1, 0, 0)];
        assert_eq!(group(&segments, far + 3, LIMITS), [0..2, 2..3], "an empty one has no offsets");
    }
}
