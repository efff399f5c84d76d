//! What runs the machines of a coordinator: finds the shard of an id, reads the clocks, loads, keeps the timers.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard},
    thread,
};

use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    task::{AbortHandle, JoinHandle},
};

use super::{
    effect::DueEffect,
    error::CoordinatorError,
    machine::{Cx, Machine, Now, Outputs, Ticket},
    pending::Pending,
    placement::partition_for,
    seats::Seats,
    shard::{Shard, Step},
    timers,
    transaction::Transaction,
};
use crate::{
    clock::{TimestampMs, monotonic, wall_clock_ms},
    log::{partition_log::TransactionGuard, producer_state::TransactionEnd},
    protocol::{ids::ProducerIdAndEpoch, transaction_version::TransactionVersion},
};

pub use super::home::Home;

/// The machines of a coordinator.
pub struct Runtime<M: Machine> {
    settings: Arc<M::Settings>,
    seats: Arc<Seats>,
    effects: UnboundedSender<DueEffect<M::Effect>>,
    hosted: RwLock<Hosted<M>>,
}

/// The shards, by partition, and their timers.
struct Hosted<M: Machine> {
    shards: Vec<Arc<Shard<M>>>,
    timers: Vec<AbortHandle>,
}

impl<M: Machine> Default for Hosted<M> {
    fn default() -> Self {
        Self { shards: Vec::new(), timers: Vec::new() }
    }
}

impl<M: Machine> Hosted<M> {
    fn shard(&self, partition: i32) -> Result<Arc<Shard<M>>, CoordinatorError> {
        let shard = usize::try_from(partition).ok().and_then(|index| self.shards.get(index));
        shard.cloned().ok_or(CoordinatorError::NotHere)
    }
}

impl<M: Machine> Drop for Hosted<M> {
    fn drop(&mut self) {
        self.timers.iter().for_each(AbortHandle::abort);
    }
}

impl<M: Machine> Runtime<M> {
    /// Machines with these settings, as many as there are seats, which are nowhere yet, and what they will have others do.
    /// That is kept until it is received, from the first shard on that is loaded.
    #[must_use]
    pub fn new(settings: M::Settings, seats: Seats) -> (Self, UnboundedReceiver<DueEffect<M::Effect>>) {
        let (effects, due) = mpsc::unbounded_channel();
        let (settings, seats) = (Arc::new(settings), Arc::new(seats));
        (Self { settings, seats, effects, hosted: RwLock::default() }, due)
    }

    /// The settings of all machines.
    #[must_use]
    pub fn settings(&self) -> &M::Settings {
        &self.settings
    }

    /// Begins to load a shard for each partition, in the place of those that there were: these are done for before that, so
    /// no log has two. All are loaded when the result says so. Needs a tokio runtime.
    pub fn host(&self, homes: Vec<Home>) -> impl Future<Output = ()> + use<M> {
        let (settings, seats) = (&self.settings, &self.seats);
        let shard = |home| Arc::new(Shard::new(home, Arc::clone(settings), Arc::clone(seats), self.effects.clone()));
        let shards: Vec<_> = homes.into_iter().map(shard).collect();
        let timers = shards.iter().map(|shard| tokio::spawn(timers::run(Arc::clone(shard))).abort_handle()).collect();
        self.shards().iter().for_each(|shard| shard.retire());
        let loading = load(shards.clone());
        *self.hosted.write().unwrap_or_else(PoisonError::into_inner) = Hosted { shards, timers };
        async move {
            for worker in loading {
                if let Err(error) = worker.await {
                    tracing::error!(%error, "a coordinator's logs could not be loaded");
                }
            }
        }
    }

    /// Runs the machine of an id, which answers at once. What it does has taken effect when this returns; only the answer
    /// may have to wait for the disk.
    pub fn run<T>(&self, id: &str, work: impl FnOnce(&mut M, Cx<'_, M::Settings>, &mut Outputs<M>) -> T) -> Pending<T> {
        match self.shard(id) {
            Ok((_, shard)) => shard.run(Step::of(id, now()), work),
            Err(error) => Pending::refused(error),
        }
    }

    /// Runs the machine of an id, which answers when it likes.
    pub fn ask(
        &self,
        id: &str,
        work: impl FnOnce(&mut M, Cx<'_, M::Settings>, Ticket, &mut Outputs<M>),
    ) -> Pending<M::Reply> {
        match self.shard(id) {
            Ok((_, shard)) => shard.ask(id, now(), work),
            Err(error) => Pending::refused(error),
        }
    }

    /// Runs every machine, each in a step of its own, with `wall` as the time that records are written with. Blocks for
    /// as long as it takes to look at all.
    pub fn each(
        &self,
        wall: TimestampMs,
        mut work: impl FnMut(&Arc<str>, &mut M, Cx<'_, M::Settings>, &mut Outputs<M>),
    ) {
        let now = Now { wall, ..now() };
        self.shards().iter().for_each(|shard| shard.each(now, &mut work));
    }

    /// Looks at every machine. The error is that of a shard that is not loaded; one that is gone has none.
    pub fn visit(&self, mut look: impl FnMut(&str, &M)) -> Result<(), CoordinatorError> {
        for shard in self.shards() {
            match shard.visit(&mut look) {
                Ok(()) | Err(CoordinatorError::NotHere) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Transactions.
impl<M: Machine> Runtime<M> {
    /// The partition that an id belongs to.
    pub fn partition_of(&self, id: &str) -> Result<i32, CoordinatorError> {
        Ok(self.shard(id)?.0)
    }

    /// The partition that an id belongs to, and what lets a producer's transaction begin there; `None` if it has begun. To be
    /// called before the transaction's coordinator is asked whether the partition is part of it.
    pub fn expect_transaction(
        &self,
        id: &str,
        producer: ProducerIdAndEpoch,
        version: TransactionVersion,
    ) -> Result<(i32, Option<TransactionGuard>), CoordinatorError> {
        let (partition, shard) = self.shard(id)?;
        Ok((partition, shard.expect_transaction(producer, version)?))
    }

    /// Runs the machine of an id as [`Runtime::run`] does; what it writes is part of the transaction that the producer has
    /// open in the log, or that begins with it by virtue of the guard. Without either it is refused.
    pub fn run_in_transaction<T>(
        &self,
        id: &str,
        producer: ProducerIdAndEpoch,
        guard: Option<&TransactionGuard>,
        work: impl FnOnce(&mut M, Cx<'_, M::Settings>, &mut Outputs<M>) -> T,
    ) -> Pending<T> {
        match self.shard(id) {
            Ok((_, shard)) => shard.run(Step::of(id, now()).within(Transaction { producer, guard }), work),
            Err(error) => Pending::refused(error),
        }
    }

    /// Ends a transaction in a partition of the coordinator's topic: what it has pending there counts, or is forgotten.
    /// While the partition is being loaded that cannot be done: come again. A stale epoch says that the transaction has ended, but
    /// a later one is open.
    pub fn end_transaction(&self, partition: i32, end: &TransactionEnd) -> Pending<()> {
        let shard = self.hosted().shard(partition);
        match shard {
            Ok(shard) => shard.end_transaction(end, now()),
            Err(error) => Pending::refused(error),
        }
    }
}

/// Shards.
impl<M: Machine> Runtime<M> {
    fn hosted(&self) -> RwLockReadGuard<'_, Hosted<M>> {
        self.hosted.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn shards(&self) -> Vec<Arc<Shard<M>>> {
        self.hosted().shards.clone()
    }

    fn shard(&self, id: &str) -> Result<(i32, Arc<Shard<M>>), CoordinatorError> {
        let hosted = self.hosted();
        let partitions = i32::try_from(hosted.shards.len()).ok().filter(|count| *count > 0);
        let partition = partition_for(id, partitions.ok_or(CoordinatorError::NotHere)?);
        Ok((partition, hosted.shard(partition)?))
    }
}

/// The time.
pub(super) fn now() -> Now {
    Now { monotonic: monotonic(), wall: wall_clock_ms() }
}

/// Loads shards on threads of their own, as many at a time as there are processors.
fn load<M: Machine>(mut shards: Vec<Arc<Shard<M>>>) -> Vec<JoinHandle<()>> {
    shards.reverse();
    let left = Arc::new(Mutex::new(shards));
    let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let start = |_| {
        let left = Arc::clone(&left);
        tokio::task::spawn_blocking(move || {
            let next = || left.lock().unwrap_or_else(PoisonError::into_inner).pop();
            while let Some(shard) = next() {
                shard.load(now());
            }
        })
    };
    (0..workers).map(start).collect()
}
