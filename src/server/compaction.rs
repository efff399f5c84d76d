//! The threads that compact logs.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use super::steady_clock::SteadyClock;
use crate::{
    broker::Broker,
    clock::{monotonic, wall_clock_ms},
    config::broker::CleanerConfig,
    log::cleaner::{CleanerSettings, LogCleaner},
};

/// Cleaners at work. None, where nothing is compacted.
pub(super) struct Cleaners {
    cleaner: Arc<LogCleaner>,
    threads: Vec<JoinHandle<()>>,
}

impl Cleaners {
    /// Starts as many as the settings say.
    pub(super) fn start(broker: &Arc<Broker>) -> io::Result<Self> {
        let config = broker.config().log_cleaner;
        let cleaner = Arc::new(LogCleaner::new(config.as_ref().map_or_else(CleanerSettings::default, settings)));
        let mut cleaners = Self { cleaner, threads: Vec::new() };
        // What is deleted too early stays deleted when somebody sets the clock right.
        let clock = Arc::new(Mutex::new(SteadyClock::new(wall_clock_ms(), monotonic())));
        for n in 0..config.map_or(0, |config| config.threads) {
            let (cleaner, broker, clock) = (Arc::clone(&cleaners.cleaner), Arc::clone(broker), Arc::clone(&clock));
            let backoff = config.map(|config| config.backoff).unwrap_or_default();
            let now = move || {
                let mut clock = clock.lock().unwrap_or_else(PoisonError::into_inner);
                clock.read(wall_clock_ms(), monotonic())
            };
            let work = move || {
                while cleaner.wait(backoff) {
                    cleaner.clean_due(broker.logs(), &now);
                }
            };
            match thread::Builder::new().name(format!("cleaner-{n}")).spawn(work) {
                Ok(thread) => cleaners.threads.push(thread),
                Err(error) => {
                    drop(cleaners.stop());
                    return Err(error);
                }
            }
        }
        Ok(cleaners)
    }

    /// Interrupts them and waits for their end. An error if one of them has panicked.
    pub(super) fn stop(self) -> thread::Result<()> {
        self.cleaner.stop();
        let results: Vec<_> = self.threads.into_iter().map(JoinHandle::join).collect();
        results.into_iter().collect()
    }
}

fn settings(config: &CleanerConfig) -> CleanerSettings {
    let to_usize = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    CleanerSettings {
        threads: to_usize(config.threads.into()),
        dedupe_buffer_bytes: to_usize(config.dedupe_buffer_size),
        load_factor: config.io_buffer_load_factor,
        io_buffer_bytes: to_usize(config.io_buffer_size.into()),
        io_bytes_per_second_max: config.io_max_bytes_per_second,
    }
}
