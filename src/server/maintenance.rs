//! What is done from time to time, off the threads that serve sockets.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::steady_clock::SteadyClock;
use crate::{
    broker::Broker,
    clock::{self, TimestampMs},
    config::broker::BrokerConfig,
    groups::service::GroupCoordinator,
    log::scrub::Scrub,
    network::Shutdown,
    transactions::service::TransactionCoordinator,
};

/// How often flushes that are due and files that are to be removed are looked for.
const TICK: Duration = Duration::from_secs(1);
/// How often it is written down up to where the logs are on disk (`log.flush.offset.checkpoint.interval.ms`).
const CHECKPOINT_INTERVAL: Duration = Duration::from_mins(1);
/// When retention is looked at first, if not sooner: Kafka's `InitialTaskDelayMs`.
const RETENTION_FIRST: Duration = Duration::from_secs(30);
/// A longer interval is cut: no process waits for its end, and a clock can be asked for this one.
const INTERVAL_MAX: Duration = Duration::from_hours(10 * 365 * 24);

/// The coordinators, whose records expire.
#[derive(Clone)]
pub(super) struct Coordinators {
    pub(super) groups: Arc<GroupCoordinator>,
    pub(super) transactions: Arc<TransactionCoordinator>,
}

/// Runs until the shutdown begins.
pub(super) async fn run(broker: Arc<Broker>, coordinators: Coordinators, shutdown: Shutdown) {
    let mut schedule = Schedule::new(clock::monotonic(), Intervals::of(&broker.config()));
    let scrub = Arc::new(Mutex::new(Scrub::new(clock::monotonic())));
    let mut steady = SteadyClock::new(clock::wall_clock_ms(), clock::monotonic());
    loop {
        let pause = schedule.next().saturating_duration_since(clock::monotonic());
        if tokio::time::timeout(pause, shutdown.begun()).await.is_ok() {
            return;
        }
        let due = schedule.take_due(clock::monotonic());
        let now = steady.read(clock::wall_clock_ms(), clock::monotonic());
        let (broker, coordinators, scrub) = (Arc::clone(&broker), coordinators.clone(), Arc::clone(&scrub));
        let work = move || {
            work(&broker, due, now);
            if due.offsets {
                coordinators.groups.expire_offsets(now);
            }
            if due.transactional_ids {
                coordinators.transactions.expire_ids(now);
            }
            if due.tick {
                let mut scrub = scrub.lock().unwrap_or_else(PoisonError::into_inner);
                scrub.work(broker.logs(), clock::monotonic());
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(work).await {
            tracing::error!(%error, "maintenance failed");
        }
    }
}

fn work(broker: &Broker, due: Due, now: TimestampMs) {
    if due.retention {
        let enforced = broker.logs().enforce_retention(now, clock::monotonic());
        warn_of(enforced, "not everything that is to be deleted could be");
    }
    if due.tick {
        warn_of(broker.snapshot_if_due(), "the metadata could not be summed up");
    }
    if due.checkpoint {
        warn_of(broker.logs().checkpoint(), "checkpoint failed");
        broker.remove_deleted();
        warn_of(broker.clean_metadata(now), "old metadata snapshots are left for now");
        let expiration_ms = broker.config().producer_id_expiration_ms;
        let now = clock::wall_clock_ms();
        broker.logs().partitions().iter().for_each(|log| log.expire_producers(now, expiration_ms));
    }
    if due.tick {
        warn_of(broker.logs().flush_due(clock::wall_clock_ms()), "a timed flush failed");
        warn_of(broker.logs().remove_deleted(clock::monotonic()), "what is deleted is left behind for now");
        broker.logs().watch_room();
    }
}

fn warn_of<E: std::fmt::Display>(result: Result<(), E>, what: &str) {
    if let Err(error) = result {
        tracing::warn!(%error, "{what}");
    }
}

/// When what is to be done next.
struct Schedule {
    tick: Every,
    checkpoint: Every,
    retention: Every,
    offsets: Every,
    transactional_ids: Every,
}

/// What is set of it.
#[derive(Clone, Copy)]
struct Intervals {
    retention: Duration,
    offsets: Duration,
    transactional_ids: Duration,
}

impl Intervals {
    fn of(config: &BrokerConfig) -> Self {
        Self {
            retention: config.log_retention_check_interval,
            offsets: config.groups.offsets_retention_check_interval,
            transactional_ids: config.transactions.id_expiration_check_interval,
        }
    }
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Due {
    tick: bool,
    checkpoint: bool,
    retention: bool,
    offsets: bool,
    transactional_ids: bool,
}

impl Schedule {
    fn new(now: Instant, intervals: Intervals) -> Self {
        let Intervals { retention, offsets, transactional_ids } = intervals;
        Self {
            tick: Every::new(now, TICK, TICK),
            checkpoint: Every::new(now, CHECKPOINT_INTERVAL, CHECKPOINT_INTERVAL),
            retention: Every::new(now, RETENTION_FIRST.min(retention), retention),
            offsets: Every::new(now, offsets, offsets),
            transactional_ids: Every::new(now, transactional_ids, transactional_ids),
        }
    }

    fn next(&self) -> Instant {
        let all = [&self.checkpoint, &self.retention, &self.offsets, &self.transactional_ids];
        all.into_iter().map(|every| every.at).fold(self.tick.at, Instant::min)
    }

    fn take_due(&mut self, now: Instant) -> Due {
        Due {
            tick: self.tick.take_due(now),
            checkpoint: self.checkpoint.take_due(now),
            retention: self.retention.take_due(now),
            offsets: self.offsets.take_due(now),
            transactional_ids: self.transactional_ids.take_due(now),
        }
    }
}

/// Something that is done again and again.
struct Every {
    at: Instant,
    interval: Duration,
}

impl Every {
    fn new(now: Instant, first: Duration, interval: Duration) -> Self {
        Self { at: now + first.min(INTERVAL_MAX), interval: interval.min(INTERVAL_MAX) }
    }

    fn take_due(&mut self, now: Instant) -> bool {
        let is_due = now >= self.at;
        if is_due {
            self.at = now + self.interval;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn intervals(retention: Duration, offsets: Duration) -> Intervals {
        Intervals { retention, offsets, transactional_ids: DAY }
    }

    #[test]
    fn everything_comes_due_at_its_own_pace() {
        let begin = clock::monotonic();
        let mut schedule = Schedule::new(begin, intervals(Duration::from_mins(5), Duration::from_mins(3)));
        let (mut ticks, mut checkpoints, mut retentions, mut offsets) = (0, Vec::new(), Vec::new(), Vec::new());
        while schedule.next() <= begin + Duration::from_mins(10) {
            let now = schedule.next();
            let due = schedule.take_due(now);
            assert!(schedule.next() > now);
            ticks += u32::from(due.tick);
            let second = now.duration_since(begin).as_secs();
            checkpoints.extend(due.checkpoint.then_some(second));
            retentions.extend(due.retention.then_some(second));
            offsets.extend(due.offsets.then_some(second));
        }
        assert_eq!((ticks, checkpoints), (600, (1..=10).map(|minute| minute * 60).collect()));
        assert_eq!((retentions, offsets), (vec![30, 330], vec![180, 360, 540]));
    }

    #[test]
    fn a_short_interval_is_kept_from_the_beginning_and_a_long_one_can_be_added() {
        let begin = clock::monotonic();
        let short = Duration::from_millis(10);
        assert_eq!(Schedule::new(begin, intervals(short, DAY)).next(), begin + short);
        assert_eq!(Schedule::new(begin, intervals(DAY, short)).next(), begin + short);
        let long = Duration::from_millis(u64::MAX);
        let mut schedule = Schedule::new(begin, intervals(long, long));
        assert!(schedule.take_due(begin + RETENTION_FIRST).retention);
        let due = schedule.take_due(begin + 10 * RETENTION_FIRST);
        assert!(!due.retention && !due.offsets);
    }
}
