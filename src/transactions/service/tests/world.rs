//! A broker and its coordinators, from their start to their end, on one thread. Time stands still while anything can go on;
//! when nothing can, the disk gets its turn, and then time passes. So the calls of the disk are the same in every run.

use std::{cell::Cell, fmt, future::Future, sync::Arc, time::Duration};

use tokio::{runtime, sync::oneshot, task::JoinHandle};

use crate::{
    broker::{self, Broker, LoadError},
    config::broker::BrokerConfig,
    coordinator::machine::{Cx, Machine, Now},
    groups::service::GroupCoordinator,
    log::{disk::sim::SimDisk, group_commit::Durability, partition_log::PartitionLog},
    metadata::topics::{Layout, NewTopic},
    protocol::ids::ProducerIdAndEpoch,
    transactions::{service::TransactionCoordinator, transaction::Initialisation},
};

/// The topic that transactions write to,
pub(super) const TOPIC: &str = "t";
/// and how many partitions it has.
pub(super) const PARTITIONS: i32 = 2;
/// No transaction of these tests lasts longer by itself.
pub(super) const TIMEOUT_MS: i32 = 60_000;

/// Between two looks at what may have happened.
const TICK: Duration = Duration::from_millis(10);
/// Looks after which nothing will happen any more: longer than any pause before something is tried again.
const TICKS_MAX: usize = 500;

/// Why a process does not go on.
#[derive(Debug)]
pub(super) enum Stopped {
    /// It is dead, or as good as dead.
    Dead,
    /// It refuses something, however often it is asked.
    Refused(String),
}

/// A broker with its coordinators.
pub(super) struct World {
    pub(super) disk: SimDisk,
    pub(super) broker: Arc<Broker>,
    pub(super) groups: Arc<GroupCoordinator>,
    pub(super) transactions: Arc<TransactionCoordinator>,
    /// A call that fails is the end of the process.
    pub(super) is_mortal: bool,
    /// Turns of the disk after which nobody asks for anything any more.
    pub(super) turns_left: Cell<Option<u64>>,
    stop: oneshot::Sender<()>,
    ends: JoinHandle<()>,
}

/// Runs what a process does.
pub(super) fn live<T>(life: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("built").block_on(life)
}

impl World {
    /// To be called in [`live`].
    pub(super) fn open(disk: &SimDisk, durability: Durability) -> Result<Self, LoadError> {
        Self::open_with(disk, durability, |_| {})
    }

    /// The same with other settings.
    pub(super) fn open_with(
        disk: &SimDisk,
        durability: Durability,
        change: impl FnOnce(&mut BrokerConfig),
    ) -> Result<Self, LoadError> {
        let broker = broker::tests::open_with(disk, durability, |config| {
            config.groups.offsets_topic_num_partitions = PARTITIONS;
            config.transactions.topic_num_partitions = PARTITIONS;
            change(config);
        })?;
        let groups = GroupCoordinator::start(Arc::clone(&broker));
        let ending = Arc::clone(&groups);
        let (transactions, due) = TransactionCoordinator::start(
            Arc::clone(&broker),
            Box::new(move |partition, end| ending.runtime().end_transaction(partition, end)),
        );
        let (stop, stopped) = oneshot::channel();
        let carried_out = Arc::clone(&transactions).carry_out(due, async move { drop(stopped.await) });
        let ends = tokio::spawn(carried_out);
        Ok(Self {
            disk: disk.clone(),
            broker,
            groups,
            transactions,
            is_mortal: false,
            turns_left: Cell::new(None),
            stop,
            ends,
        })
    }

    /// A disk on which a broker has been, with everything that transactions need.
    pub(super) fn furnished() -> SimDisk {
        let disk = SimDisk::new(1);
        live(async {
            let world = Self::open(&disk, Durability::Fsync).expect("opened");
            let topic =
                NewTopic { name: TOPIC.to_owned(), layout: Layout::Count(Some(PARTITIONS)), ..NewTopic::default() };
            world.broker.create_topics(vec![topic]).await.expect("written").remove(0).expect("created");
            world.groups.ensure_topic().await.expect("created");
            world.transactions.ensure_topic().await.expect("created");
            world.stop(false).await;
        });
        disk
    }

    /// Stops as a server does. Ends that are under way get a last chance, unless the disk stands still.
    pub(super) async fn stop(self, is_standing_still: bool) {
        self.stop.send(()).expect("it is carried out");
        let mut ends = self.ends;
        while !ends.is_finished() {
            tokio::select! {
                biased;
                ended = &mut ends => ended.expect("carried out"),
                () = tokio::time::sleep(TICK), if !is_standing_still => {
                    self.broker.logs().group_commit().commit().expect("flushed");
                }
            }
        }
        self.broker.close().expect("closed");
    }

    /// Waits for something; the disk goes on whenever nothing else does.
    pub(super) async fn done<T>(&self, work: impl Future<Output = T>) -> Result<T, Stopped> {
        tokio::pin!(work);
        for _ in 0..TICKS_MAX {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = tokio::time::sleep(TICK) => self.flush()?,
            }
        }
        panic!("it hangs: {:?}", self.broker.logs().group_commit().failure());
    }

    /// Waits until something is so, if it ever is.
    pub(super) async fn until(&self, mut is_so: impl FnMut() -> bool) -> Result<(), Stopped> {
        for _ in 0..TICKS_MAX {
            if is_so() {
                return Ok(());
            }
            tokio::time::sleep(TICK).await;
            self.flush()?;
        }
        Err(Stopped::Refused("it never is so".to_owned()))
    }

    /// A turn of the disk.
    fn flush(&self) -> Result<(), Stopped> {
        match self.turns_left.get() {
            Some(0) => return Err(Stopped::Dead),
            left => self.turns_left.set(left.map(|left| left - 1)),
        }
        // What fails here is done again, or the disk is dead.
        drop(self.broker.logs().group_commit().commit());
        if self.is_dead() { Err(Stopped::Dead) } else { Ok(()) }
    }

    /// Lets everything come to rest.
    pub(super) async fn pass_time(&self) -> Result<(), Stopped> {
        for _ in 0..TICKS_MAX {
            tokio::time::sleep(TICK).await;
            self.flush()?;
        }
        Ok(())
    }

    fn is_dead(&self) -> bool {
        self.is_mortal && self.disk.has_failed() || self.broker.logs().group_commit().failure().is_some()
    }

    /// Tries something until it succeeds.
    pub(super) async fn insist<T, E: fmt::Debug>(&self, work: impl AsyncFn() -> Result<T, E>) -> Result<T, Stopped> {
        let mut refused = String::new();
        for _ in 0..TICKS_MAX {
            match self.done(work()).await? {
                Ok(done) => return Ok(done),
                Err(error) => refused = format!("{error:?}"),
            }
            tokio::time::sleep(TICK).await;
            self.flush()?;
        }
        Err(Stopped::Refused(refused))
    }

    /// Waits until both coordinators have read their logs. One that cannot does not answer in this life.
    pub(super) async fn loaded(&self) -> Result<(), Stopped> {
        self.insist(async || {
            self.groups.runtime().visit(|_, _| {})?;
            self.transactions.runtime().visit(|_, _| {})
        })
        .await
    }

    pub(super) fn log(&self, topic: &str, partition: i32) -> (Arc<PartitionLog>, i32) {
        let hosted = self.broker.topic(topic).expect("hosted");
        let (log, leader_epoch) = hosted.partition(partition).expect("there");
        (Arc::clone(log), leader_epoch)
    }

    /// How many transactional ids have a transaction that has not ended everywhere.
    pub(super) fn unfinished(&self) -> usize {
        let mut count = 0;
        let look = |_: &str, transaction: &crate::transactions::transaction::Transaction| {
            count += usize::from(transaction.metadata().is_some_and(|metadata| !metadata.state.is_closed()));
        };
        self.transactions.runtime().visit(look).expect("loaded");
        count
    }

    /// A producer begins, and shuts out whoever had the id.
    pub(super) async fn init(&self, id: &str) -> Result<ProducerIdAndEpoch, Stopped> {
        let init = Initialisation { timeout_ms: TIMEOUT_MS, expected: None };
        self.insist(async || match self.transactions.init_producer(id, init).await {
            Ok(Ok(producer)) => Ok(producer),
            other => Err(format!("{other:?}")),
        })
        .await
    }

    /// The time-out of every open transaction comes.
    pub(super) fn time_out(&self) {
        let later = Duration::from_millis(u64::try_from(TIMEOUT_MS).expect("positive"));
        self.transactions.runtime().each(crate::clock::wall_clock_ms(), |_, transaction, cx, out| {
            let now = Now { monotonic: cx.now.monotonic + later, ..cx.now };
            transaction.tick(Cx { now, ..cx }, out);
        });
    }
}
