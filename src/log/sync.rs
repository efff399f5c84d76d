//! Locks of the log.
//!
//! A panic inside a critical section leaves offsets, indexes and files in doubt. Serving from such a log could lose or
//! invent records, so whoever meets a poisoned lock stops the process; the next start recovers from the files.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Locks `mutex`, or stops the process if a panic poisoned it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(stop)
}

/// Locks for reading, or stops the process if a panic poisoned the lock.
pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(stop)
}

/// Locks for writing, or stops the process if a panic poisoned the lock.
pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(stop)
}

fn stop<T>(_: PoisonError<T>) -> T {
    tracing::error!("a thread panicked while it held a lock of the log: stopping, the next start recovers");
    std::process::abort()
}
