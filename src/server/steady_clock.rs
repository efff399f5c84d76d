//! The wall clock as retention is to see it. A clock that jumps ahead makes everything old at once, and what was deleted
//! stays deleted when somebody sets the clock right. So a jump is believed only when it has lasted for a while.

use std::time::{Duration, Instant};

use crate::clock::TimestampMs;

/// How much further than the monotonic clock the wall clock may go at once.
const JUMP_MAX_MS: i64 = 60 * 60 * 1000;
/// How long a jump has to last.
const DOUBT: Duration = Duration::from_hours(1);

/// The last time that was believed, and whether the clock has said something else since.
pub(super) struct SteadyClock {
    wall: TimestampMs,
    at: Instant,
    believed_from: Option<Instant>,
}

impl SteadyClock {
    /// Begins by believing the wall clock.
    pub(super) fn new(wall: TimestampMs, at: Instant) -> Self {
        Self { wall, at, believed_from: None }
    }

    /// The time, when the wall clock says `wall` and the monotonic one `at`.
    pub(super) fn read(&mut self, wall: TimestampMs, at: Instant) -> TimestampMs {
        let passed = at.saturating_duration_since(self.at).as_millis();
        let expected = self.wall.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX));
        let ahead = wall.saturating_sub(expected);
        if ahead <= JUMP_MAX_MS {
            *self = Self::new(wall, at);
            return wall;
        }
        let believed_from = *self.believed_from.get_or_insert_with(|| {
            tracing::warn!(ahead_ms = ahead, "the clock jumped ahead: retention follows it in an hour");
            at + DOUBT
        });
        if at < believed_from {
            return expected;
        }
        *self = Self::new(wall, at);
        wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;

    const HOUR: i64 = JUMP_MAX_MS;
    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn a_clock_that_goes_on_is_believed() {
        let begin = monotonic();
        let mut clock = SteadyClock::new(0, begin);
        // A little faster than it should be, all the time.
        for n in 1..100 {
            assert_eq!(clock.read(i64::from(n) * 100_000, begin + n * MINUTE), i64::from(n) * 100_000);
        }
        assert_eq!(clock.read(5, begin + 100 * MINUTE), 5, "back is harmless");
        assert_eq!(clock.read(5 + HOUR, begin + 100 * MINUTE), 5 + HOUR);
    }

    #[test]
    fn a_jump_ahead_is_believed_when_it_lasts() {
        let begin = monotonic();
        let mut clock = SteadyClock::new(0, begin);
        let year = 365 * 24 * HOUR;
        assert_eq!(clock.read(year, begin + MINUTE), 60_000);
        assert_eq!(clock.read(year + 59 * 60_000, begin + 60 * MINUTE), HOUR);
        assert_eq!(clock.read(year + HOUR, begin + 61 * MINUTE), year + HOUR);
        assert_eq!(clock.read(year + HOUR + 60_000, begin + 62 * MINUTE), year + HOUR + 60_000);
    }

    #[test]
    fn a_jump_that_was_put_right_leaves_no_doubt() {
        let begin = monotonic();
        let mut clock = SteadyClock::new(0, begin);
        assert_eq!(clock.read(i64::MAX, begin + MINUTE), 60_000);
        assert_eq!(clock.read(120_000, begin + 2 * MINUTE), 120_000);
        assert_eq!(clock.read(i64::MAX, begin + 70 * MINUTE), 70 * 60_000, "the next one begins anew");
    }
}
