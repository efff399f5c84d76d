//! The open connections: how many there may be, and how all of them learn that the server stops.
//!
//! A connection looks at one atomic per wake-up; the wakers are kept here only to wake all of them once.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::Waker,
    time::Instant,
};

use tokio::sync::Notify;

/// The set of open connections.
#[derive(Debug)]
pub(super) struct Connections {
    limit: AtomicUsize,
    next_id: AtomicU64,
    open: Mutex<HashMap<u64, Option<Waker>>>,
    stop_at: OnceLock<Instant>,
    empty: Notify,
}

impl Connections {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        let (limit, open) = (AtomicUsize::new(limit), Mutex::default());
        Arc::new(Self { limit, next_id: AtomicU64::new(0), open, stop_at: OnceLock::new(), empty: Notify::new() })
    }

    /// How many there may be.
    pub(super) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// Changes how many there may be. Those that are open stay.
    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Relaxed);
    }

    /// A place for one more connection, if there is one.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Entry> {
        let mut open = self.open();
        if open.len() >= self.limit() {
            return None;
        }
        let id = self.next_id.fetch_add(1, Relaxed);
        open.insert(id, None);
        Some(Entry { id, connections: Arc::clone(self) })
    }

    /// Tells every connection to finish what is in flight, until `deadline`.
    pub(super) fn stop(&self, deadline: Instant) {
        self.stop_at.get_or_init(|| deadline);
        self.open().values().flatten().for_each(Waker::wake_by_ref);
    }

    /// Returns when no connection is open.
    pub(super) async fn all_closed(&self) {
        loop {
            let emptied = self.empty.notified();
            if self.open().is_empty() {
                return;
            }
            emptied.await;
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Option<Waker>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place in the set. Dropping it gives it up.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: u64,
    connections: Arc<Connections>,
}

impl Entry {
    /// Names what to wake when the server stops: the connection's task, whose waker never changes.
    pub(super) fn register(&self, waker: &Waker) {
        self.connections.open().insert(self.id, Some(waker.clone()));
    }

    /// The end of the time to finish in, once the server stops.
    pub(super) fn stop_at(&self) -> Option<Instant> {
        self.connections.stop_at.get().copied()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.remove(&self.id);
        if open.is_empty() {
            self.connections.empty.notify_waiters();
        }
    }
}
