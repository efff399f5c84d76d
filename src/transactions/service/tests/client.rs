//! A transactional producer: what its requests amount to.

use std::sync::Arc;

use super::{
    history::{Attempt, Fate, History, values},
    world::{PARTITIONS, Stopped, TOPIC, World},
};
use crate::{
    clock::{monotonic, wall_clock_ms},
    config::topic_name::GROUP_METADATA_TOPIC,
    groups::group::{Asking, NewOffset},
    log::partition_log::{AppendBatch, AppendOrigin, PartitionLog},
    protocol::{
        ids::ProducerIdAndEpoch,
        records::builder::{BatchBuilder, NewRecord},
        transaction_version::TransactionVersion,
    },
    transactions::{
        state::{Outcome, State},
        transaction::{Addition, Ending},
        transaction_metadata::Partitions,
    },
};

/// How long a client waits. Longer than any test takes.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(10);

/// A producer, whose group has the same name.
pub(super) struct Client<'a> {
    world: &'a World,
    id: &'static str,
    version: TransactionVersion,
    pub(super) producer: ProducerIdAndEpoch,
    sequences: [i32; PARTITIONS as usize],
}

impl<'a> Client<'a> {
    /// It begins, and talks as this version does.
    pub(super) async fn begin(
        world: &'a World,
        id: &'static str,
        version: TransactionVersion,
    ) -> Result<Self, Stopped> {
        let producer = world.init(id).await?;
        Ok(Self { world, id, version, producer, sequences: [0; PARTITIONS as usize] })
    }

    /// Writes everything that a transaction has, and remembers it.
    pub(super) async fn write(&mut self, history: &mut History) -> Result<(), Stopped> {
        let number = i64::try_from(history.0.len()).expect("few") + 1;
        history.0.push(Attempt { number, id: self.id, fate: Fate::Open, has_offsets: true });
        if !self.version.bumps_epoch() {
            let partitions = (0..PARTITIONS).map(|partition| (TOPIC, partition)).collect();
            self.add(partitions).await?;
        }
        for partition in 0..PARTITIONS {
            for value in values(number, partition) {
                self.produce(partition, value).await?;
            }
        }
        self.commit_offset(number).await
    }

    /// Ends what was written.
    pub(super) async fn end(&mut self, history: &mut History, outcome: Outcome) -> Result<(), Stopped> {
        let own = |attempt: &&mut Attempt| attempt.id == self.id;
        let attempt = history.0.iter_mut().rfind(own).expect("written");
        attempt.fate = if outcome == Outcome::Commit { Fate::Undecided } else { Fate::Aborted };
        let ending = Ending { producer: self.producer, outcome, client_version: self.version };
        let next = self
            .world
            .insist(async || match self.world.transactions.end(self.id, ending).await {
                Ok(Ok(next)) => Ok(next),
                other => Err(format!("{other:?}")),
            })
            .await?;
        if outcome == Outcome::Commit {
            attempt.fate = Fate::Committed;
        }
        if next != self.producer {
            self.sequences = [0; PARTITIONS as usize];
        }
        self.producer = next;
        Ok(())
    }

    /// Where its transaction stands.
    pub(super) fn state(&self) -> Option<State> {
        let mut state = None;
        let look = |id: &str, transaction: &crate::transactions::transaction::Transaction| {
            if id == self.id {
                state = transaction.metadata().map(|metadata| metadata.state);
            }
        };
        self.world.transactions.runtime().visit(look).expect("loaded");
        state
    }

    async fn add(&self, partitions: Partitions) -> Result<(), Stopped> {
        self.world.insist(async || self.try_add(partitions.clone()).await).await
    }

    pub(super) async fn try_add(&self, partitions: Partitions) -> Result<(), String> {
        let (producer, client_version) = (self.producer, self.version);
        let addition = Addition { producer, partitions, client_version, until: monotonic() + PATIENCE };
        let added = self.world.transactions.runtime().ask(self.id, |transaction, cx, ticket, out| {
            transaction.add_partitions(cx, ticket, addition, out);
        });
        added.done().await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    /// Has a partition that nothing was written to confirmed, as this version does it.
    async fn confirm(&self, topic: &str, partition: i32) -> Result<(), String> {
        if self.version.bumps_epoch() {
            return self.try_add(Partitions::from_iter([(topic, partition)])).await;
        }
        let named = [(Arc::from(topic), partition)];
        let verified = self
            .world
            .transactions
            .runtime()
            .run(self.id, |transaction, _, out| transaction.verify(self.producer, &named, out));
        match verified.done().await {
            Ok(Ok(is_in)) if is_in == [true] => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }

    async fn produce(&mut self, partition: i32, value: i64) -> Result<(), Stopped> {
        let (log, leader_epoch) = self.world.log(TOPIC, partition);
        let sequence = &mut self.sequences[usize::try_from(partition).expect("small")];
        let ProducerIdAndEpoch { id, epoch } = self.producer;
        let mut builder = BatchBuilder::new(0).producer(id, epoch, *sequence).transactional();
        *sequence += 1;
        let (timestamp, value) = (wall_clock_ms(), value.to_be_bytes());
        builder.append(&NewRecord { timestamp, value: Some(&value), ..NewRecord::default() }).expect("small");
        let batch = builder.build().expect("built");
        let batch = AppendBatch { header: *batch.header(), payload: batch.payload(), origin: AppendOrigin::Client };
        self.world.insist(async || self.try_produce(&log, leader_epoch, partition, &batch).await).await
    }

    async fn try_produce(
        &self,
        log: &Arc<PartitionLog>,
        leader_epoch: i32,
        partition: i32,
        batch: &AppendBatch,
    ) -> Result<(), String> {
        let ProducerIdAndEpoch { id, epoch } = self.producer;
        let expected = log.expect_transaction(id, epoch, self.version).map_err(|error| error.to_string())?;
        let appended = match expected {
            Some(guard) => {
                self.confirm(TOPIC, partition).await?;
                log.append_verified(batch, &guard, leader_epoch, wall_clock_ms())
            }
            None => log.append(batch, leader_epoch, wall_clock_ms()),
        };
        let end = appended.map_err(|error| error.to_string())?.last_offset + 1;
        log.committed(end).await.map_err(|error| error.to_string())
    }

    async fn commit_offset(&self, offset: i64) -> Result<(), Stopped> {
        if !self.version.bumps_epoch() {
            let partition = self.world.groups.runtime().partition_of(self.id).expect("hosted");
            self.add(Partitions::from_iter([(GROUP_METADATA_TOPIC, partition)])).await?;
        }
        self.world.insist(async || self.try_commit_offset(offset).await).await
    }

    async fn try_commit_offset(&self, offset: i64) -> Result<(), String> {
        let runtime = self.world.groups.runtime();
        let expected = runtime.expect_transaction(self.id, self.producer, self.version);
        let (partition, guard) = expected.map_err(|error| error.to_string())?;
        if guard.is_some() {
            self.confirm(GROUP_METADATA_TOPIC, partition).await?;
        }
        let topic_id = Some(self.world.broker.topic(TOPIC).expect("hosted").id());
        let offset = NewOffset {
            topic: TOPIC.into(),
            topic_id,
            partition: 0,
            offset,
            leader_epoch: None,
            metadata: Arc::default(),
            commit_timestamp: None,
            retention_ms: None,
        };
        let committed = runtime.run_in_transaction(self.id, self.producer, guard.as_ref(), |group, cx, out| {
            group.commit_offsets_in_transaction(cx, self.id, &Asking::default(), &[offset], out)
        });
        match committed.done().await {
            Ok(Ok(done)) if done == [Ok(())] => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }
}
