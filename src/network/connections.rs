//! The open connections: how many there may be, and how all of them learn that the server stops.
//!
//! A connection looks at one atomic per wake-up; the wakers are kept here only to wake all of them once.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Waker,
    time::Instant,
};

use tokio::sync::Notify;

use super::limits::{Census, ConnectionLimits, Full};

/// The set of open connections.
#[derive(Debug)]
pub(super) struct Connections {
    limits: Mutex<Arc<ConnectionLimits>>,
    next_id: AtomicU64,
    open: Mutex<Open>,
    stop_at: OnceLock<Instant>,
    empty: Notify,
}

/// What is open.
#[derive(Debug, Default)]
struct Open {
    wakers: HashMap<u64, Option<Waker>>,
    census: Census,
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits) -> Arc<Self> {
        let (limits, open) = (Mutex::new(Arc::new(limits)), Mutex::default());
        Arc::new(Self { limits, next_id: AtomicU64::new(0), open, stop_at: OnceLock::new(), empty: Notify::new() })
    }

    /// What holds now.
    pub(super) fn limits(&self) -> Arc<ConnectionLimits> {
        Arc::clone(&self.limits.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes how many there may be. Those that are open stay.
    pub(super) fn set_limits(&self, limits: ConnectionLimits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits);
    }

    /// A place for one more connection, if there is one.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr, listener: &Arc<str>) -> Result<Entry, Full> {
        let limits = self.limits();
        let mut open = self.open();
        open.census.enter(address, listener, &limits)?;
        let id = self.next_id.fetch_add(1, Relaxed);
        open.wakers.insert(id, None);
        Ok(Entry { id, address, listener: Arc::clone(listener), connections: Arc::clone(self) })
    }

    /// Tells every connection to finish what is in flight, until `deadline`.
    pub(super) fn stop(&self, deadline: Instant) {
        self.stop_at.get_or_init(|| deadline);
        self.open().wakers.values().flatten().for_each(Waker::wake_by_ref);
    }

    /// Returns when no connection is open.
    pub(super) async fn all_closed(&self) {
        loop {
            let emptied = self.empty.notified();
            if self.open().wakers.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place in the set. Dropping it gives it up.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: u64,
    address: IpAddr,
    listener: Arc<str>,
    connections: Arc<Connections>,
}

impl Entry {
    /// Names what to wake when the server stops: the connection's task, whose waker never changes.
    pub(super) fn register(&self, waker: &Waker) {
        self.connections.open().wakers.insert(self.id, Some(waker.clone()));
    }

    /// The end of the time to finish in, once the server stops.
    pub(super) fn stop_at(&self) -> Option<Instant> {
        self.connections.stop_at.get().copied()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.wakers.remove(&self.id);
        open.census.leave(self.address, &self.listener);
        if open.wakers.is_empty() {
            self.connections.empty.notify_waiters();
        }
    }
}
