//! The threads that compact logs.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use super::steady_clock::SteadyClock;
use crate::{
    broker::Broker,
    clock::{monotonic, wall_clock_ms},
    config::broker::{BrokerConfig, CleanerConfig},
    log::cleaner::{CleanerSettings, LogCleaner},
};

/// Cleaners at work, as many as the settings say, or as the system allows. None, where nothing is compacted.
pub(super) struct Cleaners {
    broker: Arc<Broker>,
    /// What is deleted too early stays deleted when somebody sets the clock right.
    clock: Arc<Mutex<SteadyClock>>,
    /// Nothing after the stop.
    crew: Mutex<Option<Crew>>,
}

/// Threads that share settings.
struct Crew {
    config: Option<CleanerConfig>,
    cleaner: Arc<LogCleaner>,
    threads: Vec<JoinHandle<()>>,
}

impl Cleaners {
    /// Starts them, and has them follow the settings.
    pub(super) fn start(broker: &Arc<Broker>) -> Arc<Self> {
        let cleaners = Arc::new(Self {
            broker: Arc::clone(broker),
            clock: Arc::new(Mutex::new(SteadyClock::new(wall_clock_ms(), monotonic()))),
            crew: Mutex::default(),
        });
        *cleaners.crew() = Some(cleaners.hire(broker.config().log_cleaner));
        let follower = Arc::downgrade(&cleaners);
        broker.watch_config(move |config| {
            if let Some(cleaners) = follower.upgrade() {
                cleaners.follow(config);
            }
        });
        cleaners
    }

    /// Interrupts them and waits for their end. An error if one of them has panicked.
    pub(super) fn stop(&self) -> thread::Result<()> {
        let crew = self.crew().take();
        crew.map_or(Ok(()), Crew::dismiss)
    }

    /// Goes by other settings. Of a change of the rate alone the work under way hears; else it is begun anew.
    fn follow(&self, config: &BrokerConfig) {
        let config = config.log_cleaner;
        let mut crew = self.crew();
        let Some(at_work) = crew.as_mut().filter(|crew| crew.config != config) else { return };
        if let (Some(before), Some(now)) = (at_work.config, config)
            && before == (CleanerConfig { io_max_bytes_per_second: before.io_max_bytes_per_second, ..now })
        {
            at_work.cleaner.set_rate(now.io_max_bytes_per_second);
            at_work.config = config;
            return;
        }
        if crew.take().is_some_and(|crew| crew.dismiss().is_err()) {
            tracing::error!("a thread that compacts logs has failed");
        }
        *crew = Some(self.hire(config));
    }

    /// As many as there can be: with fewer, compaction takes longer.
    fn hire(&self, config: Option<CleanerConfig>) -> Crew {
        let cleaner = Arc::new(LogCleaner::new(config.as_ref().map_or_else(CleanerSettings::default, settings)));
        let mut crew = Crew { config, cleaner, threads: Vec::new() };
        for n in 0..config.map_or(0, |config| config.threads) {
            let (cleaner, broker, clock) =
                (Arc::clone(&crew.cleaner), Arc::clone(&self.broker), Arc::clone(&self.clock));
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
                Ok(thread) => crew.threads.push(thread),
                Err(error) => {
                    let (wanted, found) = (config.map_or(0, |config| config.threads), crew.threads.len());
                    tracing::warn!(wanted, found, %error, "fewer threads compact logs than log.cleaner.threads says");
                    break;
                }
            }
        }
        crew
    }

    fn crew(&self) -> MutexGuard<'_, Option<Crew>> {
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Crew {
    /// Interrupts them and waits for their end. An error if one of them has panicked.
    fn dismiss(self) -> thread::Result<()> {
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
