//! The memory that large requests of all connections may hold together while they arrive.
//!
//! A connection charges what its buffer grows by, before it grows, and gives it back when the request has taken effect.
//! At the limit it waits. As every waiter may hold a part of a frame, one of them at a time may overdraw: it finishes,
//! and its bytes come back. The most that is ever held is the limit and one greatest request.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// The budget, shared by all connections.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    overdrawn: bool,
    waiting: Vec<Waker>,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, state: Mutex::default() })
    }

    /// Nothing, to be grown.
    pub(super) fn charge(self: &Arc<Self>) -> Charge {
        Charge { budget: Arc::clone(self), bytes: 0, overdraws: false }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one request holds of the budget. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
    overdraws: bool,
}

impl Charge {
    /// Raises the charge to `bytes` as soon as there is room.
    pub(super) fn poll_grow(&mut self, bytes: usize, cx: &mut Context<'_>) -> Poll<()> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Poll::Ready(());
        }
        let mut state = self.budget.state();
        if state.used.saturating_add(more) > self.budget.limit && !self.overdraws {
            if state.overdrawn {
                state.waiting.push(cx.waker().clone());
                return Poll::Pending;
            }
            state.overdrawn = true;
            self.overdraws = true;
        }
        state.used += more;
        self.bytes = bytes;
        Poll::Ready(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut state = self.budget.state();
        state.used -= self.bytes;
        state.overdrawn &= !self.overdraws;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_limit_one_goes_on_and_the_others_wait_for_it() {
        let budget = Budget::new(100);
        let cx = &mut Context::from_waker(Waker::noop());
        let [mut first, mut second, mut third] = [(); 3].map(|()| budget.charge());
        assert!(first.poll_grow(60, cx).is_ready());
        assert!(second.poll_grow(40, cx).is_ready());
        assert!(third.poll_grow(30, cx).is_ready(), "the one overdraft");
        assert!(first.poll_grow(61, cx).is_pending());
        assert!(third.poll_grow(90, cx).is_ready(), "it goes on");
        drop(third);
        assert!(first.poll_grow(61, cx).is_ready(), "the next overdraft");
        assert!(second.poll_grow(41, cx).is_pending());
        drop(first);
        assert!(second.poll_grow(100, cx).is_ready());
        drop(second);
        assert_eq!(budget.state().used, 0);
        assert!(!budget.state().overdrawn);
    }
}
