//! What a shard has appended that may not be durable, and since when: whether the disk stands still.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Appends within such a time are noted as one.
const AT_ONCE: Duration = Duration::from_millis(100);

/// Appends that were not durable when they were last looked at, the oldest first.
///
/// It is not enough to know the oldest: a flush may cover that one, and the next stand still with those that came meanwhile.
#[derive(Debug, Default)]
pub(super) struct Unflushed(VecDeque<Appended>);

#[derive(Debug)]
struct Appended {
    /// The offset after the last of them.
    end: i64,
    /// When the first was appended.
    since: Instant,
}

impl Unflushed {
    /// Something was appended, up to this offset. What is below `flushed` is durable.
    pub(super) fn note(&mut self, end: i64, now: Instant, flushed: i64) {
        self.forget(flushed);
        match self.0.back_mut() {
            Some(last) if now.saturating_duration_since(last.since) < AT_ONCE => last.end = end,
            _ => self.0.push_back(Appended { end, since: now }),
        }
    }

    /// Up to where it takes longer than `patience` to become durable, if anything does.
    pub(super) fn stalled_below(&mut self, now: Instant, flushed: i64, patience: Duration) -> Option<i64> {
        self.forget(flushed);
        let oldest = self.0.front()?;
        (now.saturating_duration_since(oldest.since) > patience).then_some(oldest.end)
    }

    fn forget(&mut self, flushed: i64) {
        while self.0.pop_front_if(|oldest| oldest.end <= flushed).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const PATIENCE: Duration = Duration::from_secs(1);

    #[test]
    fn a_flush_that_stands_still_after_another_is_noticed() {
        let begin = clock::monotonic();
        let mut unflushed = Unflushed::default();
        unflushed.note(1, begin, 0);
        unflushed.note(2, begin + AT_ONCE, 0);
        let late = begin + AT_ONCE + 2 * PATIENCE;
        assert_eq!(unflushed.stalled_below(begin + PATIENCE, 1, PATIENCE), None);
        assert_eq!(unflushed.stalled_below(late, 1, PATIENCE), Some(2));
        assert_eq!(unflushed.stalled_below(late, 2, PATIENCE), None);
    }

    #[test]
    fn a_log_that_is_never_quite_flushed_does_not_stand_still() {
        let begin = clock::monotonic();
        let mut unflushed = Unflushed::default();
        for end in 1..10_000 {
            let now = begin + Duration::from_millis(1) * end;
            let end = i64::from(end);
            unflushed.note(end, now, end - 200);
            assert_eq!(unflushed.stalled_below(now, end - 200, PATIENCE), None);
            assert!(unflushed.0.len() < 5, "what is durable is not kept");
        }
    }
}
