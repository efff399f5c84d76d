//! The one reader of the system's clocks. Everything below the shell takes the time as an argument.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

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
