//! How long a client may take, and the one timer by which a connection notices.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::time::{Sleep, sleep_until};

use super::NetworkSettings;
use crate::clock;

/// When a frame whose first bytes have waited since `since` must be whole. Without `size`, the prefix itself is not.
pub(super) fn frame_deadline(settings: &NetworkSettings, since: Instant, size: Option<usize>) -> Instant {
    match size {
        None => clock::after(since, settings.header_deadline),
        Some(size) => {
            clock::after(clock::after(since, settings.frame_deadline), earned(size as u64, settings.rate_min))
        }
    }
}

/// When a response that has waited since `since`, and of which `taken` bytes were taken, must be taken wholly or further.
pub(super) fn response_deadline(settings: &NetworkSettings, since: Instant, taken: u64) -> Instant {
    clock::after(clock::after(since, settings.write_deadline), earned(taken, settings.rate_min))
}

/// The time that `size` bytes take at `rate` bytes per second.
fn earned(size: u64, rate: usize) -> Duration {
    Duration::from_millis(size.saturating_mul(1000) / rate.max(1) as u64)
}

/// A timer for a deadline that moves with every request. It is set anew only where the deadline comes nearer; one that
/// moved away is noticed when the timer fires. So a busy connection pays for a timer once in many seconds.
pub(super) struct Timer {
    sleep: Pin<Box<Sleep>>,
    armed: Instant,
}

impl Timer {
    /// A timer that first fires at `deadline`.
    pub(super) fn new(deadline: Instant) -> Self {
        Self { sleep: Box::pin(sleep_until(deadline.into())), armed: deadline }
    }

    /// Ready when `deadline` is over.
    pub(super) fn poll(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if deadline < self.armed {
            self.arm(deadline);
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            if clock::monotonic() >= deadline {
                return Poll::Ready(());
            }
            self.arm(deadline);
        }
        Poll::Pending
    }

    fn arm(&mut self, deadline: Instant) {
        self.sleep.as_mut().reset(deadline.into());
        self.armed = deadline;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_earns_time_by_its_size() {
        let (settings, since) = (NetworkSettings::default(), clock::monotonic());
        let allowed = |size| frame_deadline(&settings, since, size) - since;
        assert_eq!(allowed(None), Duration::from_secs(10));
        assert_eq!(allowed(Some(1)), Duration::from_secs(30));
        assert_eq!(allowed(Some(64 << 10)), Duration::from_secs(31));
        assert_eq!(allowed(Some(100 << 20)), Duration::from_secs(1630));
    }

    #[test]
    fn who_takes_a_response_earns_time_by_what_is_taken() {
        let (settings, since) = (NetworkSettings::default(), clock::monotonic());
        let allowed = |taken| response_deadline(&settings, since, taken) - since;
        assert_eq!(allowed(0), Duration::from_mins(1));
        assert_eq!(allowed(10 * (64 << 10)), Duration::from_secs(70));
    }
}
