//! LogAppendTime of one partition: later records do not have earlier times.

use crate::clock::TimestampMs;

/// A clock that is set back by more was wrong, and is followed.
const BACK_MAX_MS: i64 = 60 * 60 * 1000;

/// The time that the last batch was given by this process.
#[derive(Debug, Default)]
pub(super) struct AppendTime(Option<TimestampMs>);

impl AppendTime {
    /// The time for the next batch, to which the clock gave `clock`: that, or the one before if it is a little later.
    /// Batches are given times before they are put in order, and clocks are set.
    pub(super) fn next(&mut self, clock: TimestampMs) -> TimestampMs {
        let back = self.0.map_or(0, |last| last.saturating_sub(clock));
        let time = if (0..=BACK_MAX_MS).contains(&back) { clock + back } else { clock };
        self.0 = Some(time);
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_while_the_clock_goes_back_a_little() {
        let mut times = AppendTime::default();
        let given = [1000, 999, 1000, 1001, 0].map(|clock| times.next(clock));
        assert_eq!(given, [1000, 1000, 1000, 1001, 1001]);
    }

    #[test]
    fn a_clock_that_was_wrong_by_far_is_followed() {
        let mut times = AppendTime::default();
        let given = [BACK_MAX_MS + 1, 0, BACK_MAX_MS, i64::MAX, i64::MIN].map(|clock| times.next(clock));
        assert_eq!(given, [BACK_MAX_MS + 1, 0, BACK_MAX_MS, i64::MAX, i64::MIN]);
    }
}
