//! What takes long or much memory: unpacking batches, or describing and checking thousands of topics. On threads that serve
//! no sockets, and not more at once than there are cores: more would not be done sooner, and each may hold as much as a
//! batch unpacks to.

use std::{sync::Arc, thread};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The room for such work, shared by its clones.
#[derive(Clone, Debug)]
pub struct HeavyWork(Arc<Semaphore>);

impl Default for HeavyWork {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        // With one alone a long look-up would keep every producer waiting.
        Self::new(cores.max(2))
    }
}

impl HeavyWork {
    /// Room for hashing passwords: whoever guesses many takes no more than half of the machine.
    pub(crate) fn of_passwords() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self::new((cores / 2).max(1))
    }

    fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }

    /// Does `work` when there is room for it. Once begun it goes on to its end, even if nobody waits for it any more.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.turn().await.run(work).await
    }

    /// Waits for room.
    pub async fn turn(&self) -> Turn {
        Turn(Arc::clone(&self.0).acquire_owned().await.expect("the semaphore is never closed"))
    }
}

/// Room for one piece of work.
#[derive(Debug)]
pub struct Turn(OwnedSemaphorePermit);

impl Turn {
    /// Does `work`. Once begun it goes on to its end, even if nobody waits for it any more.
    pub async fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let work = move || {
            let done = work();
            drop(self.0);
            done
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
        time::Duration,
    };

    use super::*;

    #[tokio::test]
    async fn no_more_is_done_at_once_than_there_is_room_for() {
        let heavy = Arc::new(HeavyWork::new(2));
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                let (heavy, running, most) = (Arc::clone(&heavy), Arc::clone(&running), Arc::clone(&most));
                let work = move || {
                    most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                    // Long enough for all to run together, if they could.
                    thread::sleep(Duration::from_millis(10));
                    running.fetch_sub(1, SeqCst);
                    n
                };
                tokio::spawn(async move { heavy.run(work).await })
            })
            .collect();
        for (n, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.expect("no panic"), n);
        }
        assert!(most.load(SeqCst) <= 2, "{most:?} at once");
    }
}
