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

#[cfg(test)]
mod tests {
    use std::{
        env,
        os::unix::process::ExitStatusExt,
        panic::{AssertUnwindSafe, catch_unwind},
        process::Command,
    };

    use super::*;

    /// Says to a test that it runs in a process of its own, which may end.
    const ALONE: &str = "OTTLA_TEST_ALONE";

    #[test]
    fn after_a_panic_under_a_lock_the_process_stops() {
        if env::var_os(ALONE).is_some() {
            let mutex = Mutex::new(());
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                let _held = lock(&mutex);
                panic!("in the middle of something");
            }));
            assert!(panicked.is_err());
            drop(lock(&mutex));
            return;
        }
        let name = "log::sync::tests::after_a_panic_under_a_lock_the_process_stops";
        let program = env::current_exe().expect("this test");
        let output = Command::new(program).args(["--exact", name]).env(ALONE, "1").output().expect("it runs");
        let aborted = rustix::process::Signal::ABORT.as_raw();
        assert_eq!(output.status.signal(), Some(aborted), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
