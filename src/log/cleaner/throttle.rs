//! How fast cleaners read and write (`log.cleaner.io.max.bytes.per.second`), all of them together. Pure but for the times
//! that it is told.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::log::sync::lock;

/// A pause is at most this long, so that a stop is heard. The rest of it comes with the next bytes.
const PAUSE_MAX: Duration = Duration::from_millis(300);

/// Hands out time for bytes.
pub(super) struct Throttle {
    pace: Mutex<Pace>,
}

struct Pace {
    bytes_per_second: f64,
    /// When the bytes so far would have been done at that speed.
    due: Option<Instant>,
}

impl Throttle {
    /// For this many bytes a second.
    pub(super) fn new(bytes_per_second: f64) -> Self {
        Self { pace: Mutex::new(Pace { bytes_per_second, due: None }) }
    }

    /// Changes the speed, from the next bytes on.
    pub(super) fn set_rate(&self, bytes_per_second: f64) {
        *lock(&self.pace) = Pace { bytes_per_second, due: None };
    }

    /// For how long to wait after `bytes` more, at `now`.
    #[expect(clippy::cast_precision_loss, reason = "less than 2^53")]
    pub(super) fn pause(&self, bytes: usize, now: Instant) -> Duration {
        let mut pace = lock(&self.pace);
        if pace.bytes_per_second == f64::MAX {
            // The default: no limit.
            return Duration::ZERO;
        }
        let takes = Duration::try_from_secs_f64(bytes as f64 / pace.bytes_per_second).unwrap_or(Duration::MAX);
        // What was not used before is not saved up.
        let from = pace.due.map_or(now, |due| due.max(now));
        let next = from.checked_add(takes).unwrap_or(from);
        pace.due = Some(next);
        next.saturating_duration_since(now).min(PAUSE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;

    #[test]
    fn bytes_take_their_time() {
        let throttle = Throttle::new(1_000.0);
        let begin = monotonic();
        let mut now = begin;
        for _ in 0..50 {
            now += throttle.pause(100, now);
        }
        assert_eq!(now - begin, Duration::from_secs(5));
        now += Duration::from_secs(100);
        assert_eq!(throttle.pause(100, now), Duration::from_millis(100), "idle time is not saved up");
        throttle.set_rate(10_000.0);
        assert_eq!(throttle.pause(100, now), Duration::from_millis(10), "from now on it is faster");
    }

    #[test]
    fn a_long_pause_is_cut_into_short_ones() {
        let throttle = Throttle::new(1_000.0);
        let begin = monotonic();
        let mut now = begin + throttle.pause(1_000, begin);
        assert_eq!(now - begin, PAUSE_MAX);
        for _ in 0..3 {
            now += throttle.pause(0, now);
        }
        assert_eq!(now - begin, Duration::from_secs(1));
    }

    #[test]
    fn without_a_limit_there_is_no_pause() {
        assert_eq!(Throttle::new(f64::MAX).pause(usize::MAX, monotonic()), Duration::ZERO);
    }
}
