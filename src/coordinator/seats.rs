//! How many machines a coordinator may have in all, in all its shards: one that would be one too many does not come into
//! being. Those that are there go on, and what a log has is taken in whatever the limit is.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How often it is said aloud that there is no room. Whoever asks is told each time.
const PERIOD: Duration = Duration::from_mins(1);

/// The places of all machines.
#[derive(Debug)]
pub struct Seats {
    key: &'static str,
    most: usize,
    taken: AtomicUsize,
    refused: Mutex<Refused>,
}

/// What was said of late.
#[derive(Debug, Default)]
struct Refused {
    said_at: Option<Instant>,
    unsaid: u64,
}

/// Every place is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are as many as {key} allows, {most}")]
pub struct Full {
    key: &'static str,
    most: usize,
}

/// The place of one machine, as long as it is there.
#[derive(Debug)]
pub(super) struct Seat(Arc<Seats>);

impl Seats {
    /// So many places, which is what the key says.
    #[must_use]
    pub fn new(key: &'static str, most: u32) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { key, most, taken: AtomicUsize::new(0), refused: Mutex::default() }
    }

    /// A place, if there is one.
    pub(super) fn take(self: &Arc<Self>) -> Result<Seat, Full> {
        let one_more = |taken| (taken < self.most).then_some(taken + 1);
        match self.taken.fetch_update(Relaxed, Relaxed, one_more) {
            Ok(_) => Ok(Seat(Arc::clone(self))),
            Err(_) => Err(Full { key: self.key, most: self.most }),
        }
    }

    /// A place for a machine that has been there before, even if there is none.
    pub(super) fn take_anyway(self: &Arc<Self>) -> Seat {
        self.taken.fetch_add(1, Relaxed);
        Seat(Arc::clone(self))
    }

    /// Says that somebody was refused, if that has not been said of late.
    pub(super) fn complain(&self, full: Full, now: Instant) {
        let unsaid = self.refused.lock().unwrap_or_else(PoisonError::into_inner).add(now);
        if let Some(unsaid) = unsaid {
            tracing::warn!(unsaid, "what would be new is refused: {full}; said once a minute");
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Relaxed);
    }
}

impl Refused {
    /// Whether it is said now, and of how many it was not since the last time.
    fn add(&mut self, now: Instant) -> Option<u64> {
        if self.said_at.is_some_and(|said| now.saturating_duration_since(said) < PERIOD) {
            self.unsaid += 1;
            return None;
        }
        self.said_at = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::clock;

    #[test]
    fn there_are_never_more_than_there_may_be() {
        let seats = Arc::new(Seats::new("the.key", 100));
        let taken: Vec<Seat> = thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..50).filter_map(|_| seats.take().ok()).collect::<Vec<_>>())).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
        });
        assert_eq!(taken.len(), 100);
        let full = seats.take().expect_err("full").to_string();
        assert_eq!(full, "there are as many as the.key allows, 100");
        drop(taken);
        assert_eq!(seats.taken.load(Relaxed), 0);
        assert!(seats.take().is_ok());
    }

    #[test]
    fn what_was_there_before_has_a_place_and_leaves_no_more_than_there_are() {
        let seats = Arc::new(Seats::new("the.key", 1));
        let (first, second) = (seats.take_anyway(), seats.take_anyway());
        assert!(seats.take().is_err());
        drop(first);
        assert!(seats.take().is_err());
        drop(second);
        assert!(seats.take().is_ok());
    }

    #[test]
    fn it_is_said_once_a_minute() {
        let (mut refused, now) = (Refused::default(), clock::monotonic());
        assert_eq!([0, 1, 59].map(|second| refused.add(now + Duration::from_secs(second))), [Some(0), None, None]);
        assert_eq!(refused.add(now + PERIOD), Some(2));
    }
}
