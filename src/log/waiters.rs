//! Who waits for a partition's next append.
//!
//! A parked fetch has one [`Waiter`] and registers it with every partition it asked for. It registers first, then looks
//! at the offsets, then waits: an append that comes after the look wakes it, one that came before is seen. An append that
//! nobody waits for pays a fence and a load.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering, fence},
};

use tokio::sync::Notify;

use super::sync::lock;

/// One who waits, with any number of partitions at once. It keeps one wake-up that came before it waited.
#[derive(Debug, Default)]
pub struct Waiter(Notify);

impl Waiter {
    /// One who waits.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Returns at the next wake-up, or at once if there was one since the last return. Dropping the future loses nothing.
    pub async fn woken(&self) {
        self.0.notified().await;
    }

    /// Wakes it.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// The waiters of one partition.
#[derive(Debug, Default)]
pub struct Waiters {
    count: AtomicUsize,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    waiters: Vec<Option<Arc<Waiter>>>,
    free: Vec<usize>,
}

impl Waiters {
    /// Wakes everybody. What they are to see has been stored before.
    pub fn wake_all(&self) {
        // Pairs with the fence in `add`: either this sees the waiter, or the waiter sees what was stored.
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        lock(&self.slots).waiters.iter().flatten().for_each(|waiter| waiter.wake());
    }

    /// Registers a waiter and returns its place, for [`Waiters::remove`].
    pub(super) fn add(&self, waiter: Arc<Waiter>) -> usize {
        let mut slots = lock(&self.slots);
        let place = slots.add(waiter);
        self.count.fetch_add(1, Ordering::Relaxed);
        drop(slots);
        fence(Ordering::SeqCst);
        place
    }

    /// Takes the waiter at `place` out.
    pub(super) fn remove(&self, place: usize) {
        let mut slots = lock(&self.slots);
        slots.waiters[place] = None;
        slots.free.push(place);
        if self.count.fetch_sub(1, Ordering::Relaxed) == 1 {
            *slots = Slots::default();
        }
    }

    /// How many wait.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Slots {
    fn add(&mut self, waiter: Arc<Waiter>) -> usize {
        if let Some(place) = self.free.pop() {
            self.waiters[place] = Some(waiter);
            return place;
        }
        self.waiters.push(Some(waiter));
        self.waiters.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    fn is_woken(waiter: &Waiter) -> bool {
        let mut woken = pin!(waiter.woken());
        woken.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn a_wake_up_before_the_wait_is_kept() {
        let (waiters, waiter) = (Waiters::default(), Waiter::new());
        let place = waiters.add(Arc::clone(&waiter));
        assert!(!is_woken(&waiter));
        waiters.wake_all();
        waiters.wake_all();
        assert!(is_woken(&waiter));
        assert!(!is_woken(&waiter), "two wake-ups are one");
        waiters.remove(place);
        waiters.wake_all();
        assert!(!is_woken(&waiter));
    }

    #[test]
    fn places_are_used_again_and_given_back() {
        let waiters = Waiters::default();
        let places: Vec<_> = (0..3).map(|_| waiters.add(Waiter::new())).collect();
        waiters.remove(places[1]);
        let waiter = Waiter::new();
        assert_eq!(waiters.add(Arc::clone(&waiter)), places[1]);
        waiters.wake_all();
        assert!(is_woken(&waiter));
        places.into_iter().for_each(|place| waiters.remove(place));
        assert_eq!((waiters.count(), lock(&waiters.slots).waiters.len()), (0, 0));
    }
}
