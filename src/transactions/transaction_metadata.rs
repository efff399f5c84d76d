//! What is known of a transactional id (Kafka's `TransactionMetadata`): values that follow each other, each by one of the
//! transitions that there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    record::{self, TransactionRecord},
    state::{Outcome, State},
};
use crate::{
    clock::TimestampMs,
    protocol::{
        ids::ProducerIdAndEpoch,
        messages::{TransactionLogKey, TransactionLogValue, transaction_log_value::PartitionsSchema},
        transaction_version::TransactionVersion,
        wire::StrBytes,
    },
};

/// Partitions by topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partitions(BTreeMap<Arc<str>, BTreeSet<i32>>);

impl Partitions {
    /// Adds one.
    pub fn insert(&mut self, topic: &str, partition: i32) {
        match self.0.get_mut(topic) {
            Some(partitions) => drop(partitions.insert(partition)),
            None => drop(self.0.insert(Arc::from(topic), BTreeSet::from([partition]))),
        }
    }

    /// Whether it is among them.
    #[must_use]
    pub fn contains(&self, topic: &str, partition: i32) -> bool {
        self.0.get(topic).is_some_and(|partitions| partitions.contains(&partition))
    }

    /// Whether all of `others` are among them.
    #[must_use]
    pub fn includes(&self, others: &Self) -> bool {
        others.0.iter().all(|(topic, partitions)| self.0.get(topic).is_some_and(|own| own.is_superset(partitions)))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, i32)> {
        self.0.iter().flat_map(|(topic, partitions)| partitions.iter().map(move |partition| (topic, *partition)))
    }

    /// The topics, with the partitions of each.
    pub fn topics(&self) -> impl Iterator<Item = (&Arc<str>, &BTreeSet<i32>)> {
        self.0.iter()
    }

    fn with(&self, added: &Self) -> Self {
        let mut all = self.clone();
        for (topic, partition) in added.iter() {
            all.insert(topic, partition);
        }
        all
    }
}

impl<'a> FromIterator<(&'a str, i32)> for Partitions {
    fn from_iter<I: IntoIterator<Item = (&'a str, i32)>>(partitions: I) -> Self {
        let mut all = Self::default();
        partitions.into_iter().for_each(|(topic, partition)| all.insert(topic, partition));
        all
    }
}

/// What is known of a transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionMetadata {
    /// The id.
    pub id: Arc<str>,
    /// The producer that writes, in its current epoch. While the end of a transaction is on its way, it is the one that the
    /// markers have.
    pub producer: ProducerIdAndEpoch,
    /// The producer id before the last transition.
    pub previous_id: Option<i64>,
    /// The producer id that follows once every partition knows of the end, where the epochs of this one are used up.
    pub next_id: Option<i64>,
    /// How long a transaction may be open, in milliseconds.
    pub timeout_ms: i32,
    /// Where it stands.
    pub state: State,
    /// The partitions of the transaction.
    pub partitions: Partitions,
    /// When the transaction began.
    pub started_at: Option<TimestampMs>,
    /// The time of the last transition.
    pub updated_at: TimestampMs,
    /// How the client talked when it last added to the transaction or ended it.
    pub client_version: TransactionVersion,
}

/// Transitions.
impl TransactionMetadata {
    /// An id that was not known.
    #[must_use]
    pub fn new(id: &str, producer: ProducerIdAndEpoch, timeout_ms: i32, now: TimestampMs) -> Self {
        Self {
            id: Arc::from(id),
            producer,
            previous_id: Some(producer.id),
            next_id: None,
            timeout_ms,
            state: State::Empty,
            partitions: Partitions::default(),
            started_at: None,
            updated_at: now,
            client_version: TransactionVersion::V0,
        }
    }

    /// A producer begins, or begins anew.
    #[must_use]
    pub fn initialised(&self, producer: ProducerIdAndEpoch, timeout_ms: i32, now: TimestampMs) -> Self {
        let goes_on = producer == self.producer || producer == self.producer.bumped() || producer.epoch == 0;
        assert!(goes_on, "a producer goes on in the same epoch or the next, or with a new id: {self:?}, {producer:?}");
        Self {
            producer,
            timeout_ms,
            partitions: Partitions::default(),
            started_at: None,
            updated_at: now,
            ..self.in_state(State::Empty)
        }
    }

    /// Partitions take part in the transaction, which begins with the first.
    #[must_use]
    pub fn with_partitions(&self, added: &Partitions, client_version: TransactionVersion, now: TimestampMs) -> Self {
        let started_at = if self.state.is_closed() { Some(now) } else { self.started_at };
        Self {
            partitions: self.partitions.with(added),
            started_at,
            updated_at: now,
            client_version,
            ..self.in_state(State::Ongoing)
        }
    }

    /// The producer is shut out, whatever it sends from now on.
    #[must_use]
    pub fn fenced(&self) -> Self {
        Self { producer: self.producer.bumped(), ..self.in_state(State::PrepareEpochFence) }
    }

    /// The end is decided. `next_id` goes on where this producer's epochs are used up.
    #[must_use]
    pub fn prepared(
        &self,
        outcome: Outcome,
        client_version: TransactionVersion,
        next_id: Option<i64>,
        now: TimestampMs,
    ) -> Self {
        let is_last = self.producer.epoch == i16::MAX;
        assert!(!is_last || outcome == Outcome::Abort, "no client has the greatest epoch: {self:?}");
        // One may be ended that was never begun.
        let started_at = if self.state.is_closed() { Some(now) } else { self.started_at };
        let bumps_epoch = client_version.bumps_epoch();
        Self {
            producer: if bumps_epoch { self.producer.bumped() } else { self.producer },
            next_id,
            started_at,
            updated_at: now,
            // Kafka knows no other that does not.
            client_version: if bumps_epoch { client_version } else { TransactionVersion::V0 },
            ..self.in_state(outcome.prepared())
        }
    }

    /// Every partition knows of the end.
    #[must_use]
    pub fn completed(&self, now: TimestampMs) -> Self {
        let outcome = self.outcome().expect("what is completed was decided");
        Self {
            producer: self.successor(),
            next_id: None,
            partitions: Partitions::default(),
            updated_at: now,
            ..self.in_state(outcome.completed())
        }
    }

    fn in_state(&self, state: State) -> Self {
        assert!(
            state.may_follow(self.state),
            "a transaction does not come from {:?} to {state:?}: {self:?}",
            self.state
        );
        Self { state, previous_id: Some(self.producer.id), ..self.clone() }
    }
}

/// What follows from it.
impl TransactionMetadata {
    /// What was decided, while it is on its way.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self.state {
            State::PrepareCommit => Some(Outcome::Commit),
            State::PrepareAbort => Some(Outcome::Abort),
            State::Empty
            | State::Ongoing
            | State::CompleteCommit
            | State::CompleteAbort
            | State::Dead
            | State::PrepareEpochFence => None,
        }
    }

    /// The producer that goes on once the end is known everywhere, or else the one there is.
    #[must_use]
    pub fn successor(&self) -> ProducerIdAndEpoch {
        self.next_id.map_or(self.producer, ProducerIdAndEpoch::first)
    }
}

/// What stands in a record for a time or an id that is not there.
const NONE: i64 = -1;

/// From and to what a record says.
impl TransactionMetadata {
    /// Its record, under this level of the feature. Where values have version 0 there is no room for what KIP-890 added.
    #[must_use]
    pub fn record(&self, version: TransactionVersion) -> TransactionRecord {
        let version = record::value_version(version);
        let partitions = self.partitions.topics().map(|(topic, partitions)| PartitionsSchema {
            topic: StrBytes::from(&**topic),
            partition_ids: partitions.iter().copied().collect(),
            ..PartitionsSchema::default()
        });
        let has_room = version >= 1;
        let value = TransactionLogValue {
            producer_id: self.producer.id,
            producer_epoch: self.producer.epoch,
            transaction_timeout_ms: self.timeout_ms,
            transaction_status: self.state.code(),
            transaction_partitions: (self.state != State::Empty).then(|| partitions.collect()),
            transaction_last_update_timestamp_ms: self.updated_at,
            transaction_start_timestamp_ms: self.started_at.unwrap_or(NONE),
            previous_producer_id: self.previous_id.filter(|_| has_room).unwrap_or(NONE),
            next_producer_id: self.next_id.filter(|_| has_room).unwrap_or(NONE),
            client_transaction_version: if has_room { self.client_version.level() } else { 0 },
            ..TransactionLogValue::default()
        };
        TransactionRecord::new(&self.id, version, value)
    }

    /// Copied out of a record, which is a slice of the log.
    #[must_use]
    pub fn of(key: &TransactionLogKey, value: &TransactionLogValue) -> Self {
        let topics = value.transaction_partitions.iter().flatten();
        let partitions =
            topics.flat_map(|topic| topic.partition_ids.iter().map(|partition| (topic.topic.as_str(), *partition)));
        let known = |number: i64| Some(number).filter(|number| *number != NONE);
        Self {
            id: Arc::from(&key.transactional_id),
            producer: ProducerIdAndEpoch { id: value.producer_id, epoch: value.producer_epoch },
            previous_id: known(value.previous_producer_id),
            next_id: known(value.next_producer_id),
            timeout_ms: value.transaction_timeout_ms,
            state: State::from_code(value.transaction_status).expect("a record has a state that there is"),
            partitions: partitions.collect(),
            started_at: known(value.transaction_start_timestamp_ms),
            updated_at: value.transaction_last_update_timestamp_ms,
            client_version: TransactionVersion::from_level(value.client_transaction_version),
        }
    }
}
