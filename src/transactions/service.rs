//! The transaction coordinator of a broker: its runtime, over the partitions of `__transaction_state`, and who tells the
//! partitions of a transaction how it has ended.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc::UnboundedReceiver, task::JoinSet};

use super::{
    error::TransactionError,
    settings::TransactionSettings,
    state::Outcome,
    transaction::{Cx, End, Ending, Initialisation, Out, Transaction},
};
use crate::{
    broker::{Broker, CoordinatorTopic, CreateTopicFailure, ProducerIdError},
    clock::{TimestampMs, wall_clock_ms},
    config::{
        broker::TransactionConfig,
        topic::TopicCompression,
        topic_name::{GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC},
    },
    coordinator::{effect::DueEffect, error::CoordinatorError, pending::Pending, runtime::Runtime, seats::Seats},
    log::{
        partition_log::{AppendError, PartitionLog},
        producer_state::{ProducerError, TransactionEnd},
    },
    metadata::topics::{Layout, NewTopic},
    protocol::{
        ids::ProducerIdAndEpoch,
        transaction_version::{TRANSACTION_VERSION_FEATURE, TransactionVersion},
    },
};

/// The wait before a partition is told again that could not be told, at first
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// and at last.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Partitions that are told before others on the same thread get their turn.
const TURN_PARTITIONS: usize = 64;
/// How long a stop waits for ends that are on their way. The next start goes on with what is left.
const LAST_ENDS: Duration = Duration::from_secs(1);

/// Ends transactions in a partition of `__consumer_offsets`, whose one writer is the group coordinator.
pub type EndOffsets = Box<dyn Fn(i32, &TransactionEnd) -> Pending<()> + Send + Sync>;

/// Why a producer was not answered.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum Unanswered {
    #[error(transparent)]
    Coordinator(#[from] CoordinatorError),
    #[error(transparent)]
    ProducerId(#[from] ProducerIdError),
}

/// What a transactional id answers through its coordinator.
pub type Answered<T> = Result<Result<T, TransactionError>, Unanswered>;

/// What a transactional id decides about its producer; `None` if that takes a producer id that is new.
type Decided = Result<Option<ProducerIdAndEpoch>, TransactionError>;

/// The transaction coordinator.
pub struct TransactionCoordinator {
    topic: CoordinatorTopic<Transaction>,
    end_offsets: EndOffsets,
}

/// Ends of transactions that are to be carried out.
pub struct DueEnds(UnboundedReceiver<DueEffect<End>>);

/// Why an end is still on its way.
#[derive(Debug, thiserror::Error)]
enum NotTold {
    #[error("{0}")]
    Partition(AppendError),
    #[error("{0}")]
    Offsets(CoordinatorError),
    /// This process will not do it.
    #[error("the logs are closed")]
    Stopped,
}

impl TransactionCoordinator {
    /// Begins to load the transactions, if there were any. What they have decided comes out of the second result. Needs a
    /// tokio runtime.
    #[must_use]
    pub fn start(broker: Arc<Broker>, end_offsets: EndOffsets) -> (Arc<Self>, DueEnds) {
        let config = broker.config().transactions;
        let level = broker.image().features().get(TRANSACTION_VERSION_FEATURE).copied();
        let version = level.map_or(TransactionVersion::V0, TransactionVersion::from_level);
        let seats = Seats::new("ottla.transactional.ids.max", config.ids_max);
        let (runtime, due) = Runtime::new(TransactionSettings::new(&config, version), seats);
        let to_create = to_create(&config);
        let (topic, loading) = CoordinatorTopic::start(broker, runtime, to_create, TopicCompression::Uncompressed);
        if let Some(loading) = loading {
            tokio::spawn(loading);
        }
        (Arc::new(Self { topic, end_offsets }), DueEnds(due))
    }

    /// What runs the transactional ids.
    #[must_use]
    pub fn runtime(&self) -> &Runtime<Transaction> {
        self.topic.runtime()
    }

    /// Makes sure that `__transaction_state` is there. If it is new, its partitions are ready when this returns.
    pub async fn ensure_topic(&self) -> Result<(), CreateTopicFailure> {
        self.topic.ensure().await
    }

    /// A producer begins. The answer is durable.
    pub async fn init_producer(&self, id: &str, init: Initialisation) -> Answered<ProducerIdAndEpoch> {
        self.decide(id, |transaction, cx, fresh, out| transaction.init_producer(cx, id, init, fresh, out)).await
    }

    /// A transaction ends. The answer, with the producer that the client goes on with, is durable.
    pub async fn end(&self, id: &str, ending: Ending) -> Answered<ProducerIdAndEpoch> {
        self.decide(id, |transaction, cx, fresh, out| transaction.end(cx, ending, fresh, out)).await
    }

    /// Has an id decide; anew, with a producer id that is new, if that takes one.
    async fn decide(
        &self,
        id: &str,
        work: impl Fn(&mut Transaction, Cx<'_>, Option<i64>, &mut Out) -> Decided,
    ) -> Answered<ProducerIdAndEpoch> {
        let mut fresh = None;
        loop {
            let done = self.runtime().run(id, |transaction, cx, out| work(transaction, cx, fresh, out));
            match done.done().await? {
                Ok(None) => fresh = Some(self.topic.broker().new_producer_id().await?),
                Ok(Some(producer)) => return Ok(Ok(producer)),
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// Forgets transactional ids that have had no transaction for long. Blocks for as long as it takes to look at all.
    pub fn expire_ids(&self, wall: TimestampMs) {
        self.runtime().each(wall, |_, transaction, cx, out| transaction.expire(cx, out));
    }
}

/// Carrying out ends.
impl TransactionCoordinator {
    /// Tells partitions how transactions have ended, until `until`.
    pub async fn carry_out(self: Arc<Self>, mut due: DueEnds, until: impl Future<Output = ()>) {
        let mut under_way = JoinSet::new();
        tokio::pin!(until);
        loop {
            tokio::select! {
                () = &mut until => break,
                Some(end) = due.0.recv() => drop(under_way.spawn(Arc::clone(&self).carry_out_one(end))),
                Some(ended) = under_way.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "the end of a transaction is not carried out before the next start");
                    }
                }
            }
        }
        let finished = async { while under_way.join_next().await.is_some() {} };
        drop(tokio::time::timeout(LAST_ENDS, finished).await);
        // The logs may be closed once this returns: nobody looks at them any more.
        under_way.shutdown().await;
    }

    async fn carry_out_one(self: Arc<Self>, due: DueEffect<End>) {
        if due.durable().await.is_err() {
            return;
        }
        let mut pause = PAUSE_MIN;
        while !due.is_void() {
            let Err(error) = self.tell_all(&due).await else { return self.complete(&due).await };
            if matches!(error, NotTold::Stopped) {
                return;
            }
            let next = (pause * 2).min(PAUSE_MAX);
            if pause < PAUSE_MAX && next == PAUSE_MAX {
                tracing::warn!(id = %due.id, %error, "the end of a transaction does not get to all partitions");
            } else {
                tracing::debug!(id = %due.id, %error, "the end of a transaction is still on its way");
            }
            tokio::time::sleep(pause).await;
            pause = next;
        }
    }

    /// Writes the marker into every partition, and waits until all are durable.
    async fn tell_all(&self, due: &DueEffect<End>) -> Result<(), NotTold> {
        let End { producer, outcome, version, partitions, .. } = &due.effect;
        let end = TransactionEnd {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            is_commit: *outcome == Outcome::Commit,
            coordinator_epoch: due.leader_epoch,
            version: *version,
        };
        let mut failure = Ok(());
        let (mut logs, mut offsets) = (Vec::new(), Vec::new());
        for (number, (topic, partition)) in partitions.iter().enumerate() {
            if number % TURN_PARTITIONS == TURN_PARTITIONS - 1 {
                tokio::task::yield_now().await;
            }
            if **topic == *GROUP_METADATA_TOPIC {
                offsets.push((partition, (self.end_offsets)(partition, &end)));
                continue;
            }
            match self.tell(topic, partition, &end) {
                Ok(told) => logs.extend(told),
                Err(error) => failure = Err(error),
            }
        }
        if let Some((log, _)) = logs.first() {
            log.hurry();
        }
        for (partition, pending) in offsets {
            match pending.done().await {
                Err(error) if !self.has_nothing_of(partition, &end) => failure = Err(NotTold::Offsets(error)),
                Ok(()) | Err(_) => {}
            }
        }
        for (log, end) in logs {
            match log.committed(end).await {
                Err(_) if !log.is_deleted() => return Err(NotTold::Stopped),
                Ok(()) | Err(_) => {}
            }
        }
        failure
    }

    /// Whether a partition of `__consumer_offsets` that cannot be told need not be: it was deleted, or all that is in it is
    /// durable and nothing of the transaction. That nothing comes any more the transaction's state sees to.
    fn has_nothing_of(&self, partition: i32, end: &TransactionEnd) -> bool {
        let Some(hosted) = self.topic.broker().topic(GROUP_METADATA_TOPIC) else { return true };
        let Some((log, _)) = hosted.partition(partition) else { return true };
        let offsets = log.offsets();
        let is_durable = offsets.high_watermark() == offsets.log_end();
        log.is_deleted() || is_durable && !log.has_open_transaction(end.producer_id)
    }

    /// Writes the marker into a partition. What has to be durable then is below the offset; nothing of a partition that has
    /// been deleted.
    fn tell(
        &self,
        topic: &str,
        partition: i32,
        end: &TransactionEnd,
    ) -> Result<Option<(Arc<PartitionLog>, i64)>, NotTold> {
        let Some(hosted) = self.topic.broker().topic(topic) else { return Ok(None) };
        let Some((log, leader_epoch)) = hosted.partition(partition) else { return Ok(None) };
        match log.end_transaction(end, leader_epoch, wall_clock_ms()) {
            Ok(_) => Ok(Some((Arc::clone(log), log.offsets().log_end()))),
            Err(_) if log.is_deleted() => Ok(None),
            Err(AppendError::Closed | AppendError::Offline { .. }) => Err(NotTold::Stopped),
            Err(AppendError::Producer(error @ ProducerError::StaleEpoch { .. })) => {
                tracing::error!(partition = %log.topic_partition(), %error, "a transaction has nothing to end here");
                Ok(None)
            }
            Err(error) => Err(NotTold::Partition(error)),
        }
    }

    async fn complete(&self, due: &DueEffect<End>) {
        let mut pause = PAUSE_MIN;
        while !due.is_void() {
            let done = self.runtime().run(&due.id, |transaction, cx, out| transaction.complete(cx, &due.effect, out));
            // Nobody waits for this record: if a crash takes it, the partitions are told again.
            match done.is_done() {
                Some(Err(error)) => {
                    tracing::debug!(id = %due.id, %error, "the end of a transaction is not written down yet")
                }
                Some(Ok(())) | None => return,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// `__transaction_state`, with the configuration that Kafka gives it. There is one replica to have every record.
fn to_create(config: &TransactionConfig) -> NewTopic {
    let configs = [
        ("cleanup.policy", "compact".to_owned()),
        ("compression.type", "uncompressed".to_owned()),
        ("min.insync.replicas", "1".to_owned()),
        ("segment.bytes", config.topic_segment_bytes.to_string()),
        ("unclean.leader.election.enable", "false".to_owned()),
    ];
    NewTopic {
        name: TRANSACTION_STATE_TOPIC.to_owned(),
        layout: Layout::Count(Some(config.topic_num_partitions)),
        replication_factor: None,
        configs: configs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
    }
}

#[cfg(test)]
mod tests;
