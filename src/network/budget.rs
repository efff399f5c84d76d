//! The memory that all connections may hold together: large requests while they arrive and take effect, what they
//! decode to, and responses that wait to be sent.
//!
//! What a request will take is charged before it is taken; at the limit the connection waits. As every waiter may hold a
//! part of a request, one of them at a time may overdraw: it finishes, its response is sent, and its bytes come back.
//! How large a response is shows when it is there; it is charged then, and while the budget is overdrawn, no request is
//! taken up, but for that one connection's. So what is held is bounded by the limit, one greatest request, and the
//! responses to the requests that were taken up before the limit was met.
//!
//! A client that does not read its responses holds what they take. Where such hold more than half of the limit, a
//! connection takes up no request while it has a response of its own to send, and who takes them too slowly is closed. So
//! the other half is for those who read.
//!
//! What may have to wait for as long as a client likes would hold up everybody else: long polls, and responses behind
//! them. It has a second account with the same limit, and where that is full, it is refused.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};

/// The budget, shared by all connections.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    /// Changed under the lock alone; read without it where there is room.
    used: AtomicUsize,
    /// The part of it that is for responses which are not sent.
    unsent: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    overdrawn: bool,
    parked: usize,
    /// By the account that waits.
    waiting: HashMap<u64, Waker>,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        let (used, unsent) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { limit, used, unsent, state: Mutex::default() })
    }

    /// The account of the connection `id`, which holds nothing yet.
    pub(super) fn account(self: &Arc<Self>, id: u64) -> Arc<Account> {
        let (held, unsent, overdraws) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
        Arc::new(Account { budget: Arc::clone(self), id, held, unsent, overdraws })
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `more` would fit.
    fn has_room(&self, more: usize) -> bool {
        self.used.load(Relaxed).saturating_add(more) <= self.limit
    }

    /// Lets those who wait look again.
    fn wake(mut state: MutexGuard<'_, State>) {
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_values().for_each(Waker::wake);
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    #[cfg(test)]
    pub(super) fn parked(&self) -> usize {
        self.state().parked
    }
}

/// What one connection holds of the budget. Used by its task alone, and changed under the budget's lock; dropping it
/// gives everything back.
#[derive(Debug)]
pub(super) struct Account {
    budget: Arc<Budget>,
    id: u64,
    held: AtomicUsize,
    /// The part of it that is for responses which are not sent.
    unsent: AtomicUsize,
    overdraws: AtomicBool,
}

impl Account {
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Whether all hold less than the limit.
    pub(super) fn has_room(&self) -> bool {
        self.budget.has_room(0)
    }

    /// Whether responses that are not sent hold more than half of what all may hold.
    pub(super) fn is_crowded(&self) -> bool {
        self.budget.unsent.load(Relaxed) > self.budget.limit / 2
    }

    /// What the responses of this connection hold that are not sent.
    pub(super) fn unsent(&self) -> usize {
        self.unsent.load(Relaxed)
    }

    /// Holds so many bytes for responses that are there and not sent, in place of what it held for such.
    pub(super) fn set_unsent(&self, bytes: usize) {
        let before = self.unsent.swap(bytes, Relaxed);
        if bytes > before {
            self.budget.unsent.fetch_add(bytes - before, Relaxed);
            self.grow_now(bytes - before);
        } else if bytes < before {
            self.budget.unsent.fetch_sub(before - bytes, Relaxed);
            self.shrink(before - bytes);
        }
    }

    /// Holds `more` bytes as soon as there is room.
    pub(super) fn poll_grow(&self, more: usize, cx: &mut Context<'_>) -> Poll<()> {
        if more == 0 {
            return Poll::Ready(());
        }
        let mut state = self.budget.state();
        std::task::ready!(self.poll_room(more, &mut state, cx));
        self.hold(more);
        Poll::Ready(())
    }

    /// Ready when another request may be taken up.
    pub(super) fn poll_admit(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.budget.has_room(0) {
            return Poll::Ready(());
        }
        self.poll_room(0, &mut self.budget.state(), cx)
    }

    fn poll_room(&self, more: usize, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        if self.budget.has_room(more) || self.overdraws.load(Relaxed) {
            return Poll::Ready(());
        }
        if state.overdrawn {
            state.waiting.insert(self.id, cx.waker().clone());
            return Poll::Pending;
        }
        state.overdrawn = true;
        self.overdraws.store(true, Relaxed);
        Poll::Ready(())
    }

    /// Holds `more` bytes that are there already.
    pub(super) fn grow_now(&self, more: usize) {
        let _state = self.budget.state();
        self.hold(more);
    }

    /// With the lock held.
    fn hold(&self, more: usize) {
        self.held.fetch_add(more, Relaxed);
        self.budget.used.fetch_add(more, Relaxed);
    }

    /// Gives `less` bytes back.
    pub(super) fn shrink(&self, less: usize) {
        if less > 0 {
            let state = self.budget.state();
            self.held.fetch_sub(less, Relaxed);
            self.budget.used.fetch_sub(less, Relaxed);
            Budget::wake(state);
        }
    }

    /// Lets another one overdraw.
    pub(super) fn end_overdraft(&self) {
        if self.overdraws.swap(false, Relaxed) {
            let mut state = self.budget.state();
            state.overdrawn = false;
            Budget::wake(state);
        }
    }

    /// Room for `bytes` that may be needed for as long as a client likes; none if there is none.
    pub(super) fn park(&self, bytes: usize) -> Option<Parked> {
        if bytes > 0 {
            let mut state = self.budget.state();
            let parked = state.parked.checked_add(bytes).filter(|parked| *parked <= self.budget.limit)?;
            state.parked = parked;
        }
        Some(Parked { budget: Arc::clone(&self.budget), bytes })
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.set_unsent(0);
        self.shrink(self.held.load(Relaxed));
        self.end_overdraft();
        self.budget.state().waiting.remove(&self.id);
    }
}

/// Bytes in the second account. Dropping it gives them back.
#[derive(Debug)]
pub(super) struct Parked {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Parked {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.state().parked -= self.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_limit_one_goes_on_and_the_others_wait_for_it() {
        let budget = Budget::new(100);
        let cx = &mut Context::from_waker(Waker::noop());
        let [first, second, third] = [1, 2, 3].map(|id| budget.account(id));
        assert!(first.poll_grow(60, cx).is_ready());
        assert!(second.poll_grow(40, cx).is_ready());
        assert!(third.poll_grow(30, cx).is_ready(), "the one overdraft");
        assert!(first.poll_grow(1, cx).is_pending());
        assert!(third.poll_grow(60, cx).is_ready(), "it goes on");
        third.shrink(90);
        assert!(first.poll_grow(1, cx).is_pending(), "it has not said that it is done");
        third.end_overdraft();
        assert!(first.poll_grow(1, cx).is_ready(), "the next overdraft");
        assert!(second.poll_grow(1, cx).is_pending());
        drop(first);
        assert!(second.poll_grow(60, cx).is_ready());
        assert!(!second.overdraws.load(Relaxed));
        drop(second);
        assert_eq!(budget.used(), 0);
        assert!(!budget.state().overdrawn);
    }

    #[test]
    fn nothing_new_is_taken_up_while_what_is_there_is_over_the_limit() {
        let budget = Budget::new(100);
        let cx = &mut Context::from_waker(Waker::noop());
        let [holder, first, second] = [1, 2, 3].map(|id| budget.account(id));
        holder.grow_now(100);
        assert!(first.poll_admit(cx).is_ready());
        holder.grow_now(1);
        assert!(first.poll_admit(cx).is_ready(), "the one overdraft");
        assert!(second.poll_admit(cx).is_pending());
        assert_eq!(budget.state().waiting.len(), 1);
        holder.shrink(1);
        assert_eq!(budget.state().waiting.len(), 0, "it was woken");
        assert!(second.poll_admit(cx).is_ready());
    }

    #[test]
    fn responses_that_are_not_sent_leave_half_to_others() {
        let budget = Budget::new(100);
        let [one, other] = [1, 2].map(|id| budget.account(id));
        one.grow_now(90);
        one.set_unsent(50);
        assert!(!other.is_crowded(), "what takes effect does not count");
        other.set_unsent(2);
        assert!(one.is_crowded());
        one.set_unsent(48);
        assert!(!one.is_crowded());
        assert_eq!((one.unsent(), budget.used()), (48, 140));
        drop(one);
        assert_eq!((budget.used(), budget.unsent.load(Relaxed)), (2, 2));
    }

    #[test]
    fn what_waits_for_a_client_has_an_account_of_its_own() {
        let budget = Budget::new(100);
        let account = budget.account(1);
        account.grow_now(1000);
        let parked = account.park(70).expect("room");
        assert!(account.park(31).is_none());
        assert!(account.park(usize::MAX).is_none());
        drop((parked, account.park(30).expect("room")));
        assert_eq!(budget.parked(), 0);
    }

    #[test]
    fn who_waits_for_nothing_any_more_is_forgotten() {
        let budget = Budget::new(0);
        let cx = &mut Context::from_waker(Waker::noop());
        let [holder, waiter] = [1, 2].map(|id| budget.account(id));
        assert!(holder.poll_grow(1, cx).is_ready());
        assert!(waiter.poll_grow(1, cx).is_pending());
        drop(waiter);
        assert!(budget.state().waiting.is_empty());
    }
}
