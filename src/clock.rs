//! The one reader of the system's clocks. Everything below the shell takes the time as an argument.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What is as good as for ever: no process runs so long, and an [`Instant`] has room for it many times over.
const FOR_EVER: Duration = Duration::from_hours(100 * 365 * 24);

/// Wall-clock time in milliseconds since the Unix epoch, as records carry it.
pub type TimestampMs = i64;

/// The wall clock, for record timestamps and nothing else: it may jump.
#[must_use]
pub fn wall_clock_ms() -> TimestampMs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs::try_from(since_epoch.as_millis()).unwrap_or(TimestampMs::MAX)
}

/// The monotonic clock, for every time-out.
#[must_use]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// When `wait` is over that began at `since`. A setting may be as long as its type allows: it then means for ever.
#[must_use]
pub fn after(since: Instant, wait: Duration) -> Instant {
    since + wait.min(FOR_EVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_ends_later_than_any_other() {
        let now = monotonic();
        assert_eq!(after(now, Duration::from_millis(1)), now + Duration::from_millis(1));
        let twice = after(after(now, Duration::MAX), Duration::from_millis(i64::MAX.unsigned_abs()));
        assert!(twice > now + Duration::from_hours(24 * 365));
    }
}
