//! What a partition knows of its producers: which batches are duplicates, which are out of order, which transactions are
//! open (Kafka's `ProducerStateManager`). Pure: a fold over the log's batches, with a snapshot to begin from.
//!
//! A producer that is not known here, because it is new, has been idle for `producer.id.expiration.ms`, or lost its records
//! to retention, may begin with any sequence number (KAFKA-8710).

mod description;
mod expected;
mod marker;
pub mod snapshot;
#[cfg(test)]
mod tests;
mod transaction_end;

pub use self::{
    description::{OpenTransaction, ProducerDescription},
    expected::{Confirmation, ExpectedTransactions, Place},
    transaction_end::{EndVerdict, TransactionEnd},
};

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::{clock::TimestampMs, protocol::records::batch::BatchHeader};

/// Batches of a producer that are recognised when they come again: as many as a client may have in flight.
const BATCHES_REMEMBERED: usize = 5;

/// The last batch of a range of sequence numbers, and its place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducedBatch {
    /// Sequence number of its last record.
    pub last_sequence: i32,
    /// Offset of its last record.
    pub last_offset: i64,
    /// Records before the last.
    pub offset_delta: i32,
    /// Its greatest timestamp.
    pub timestamp: TimestampMs,
}

impl ProducedBatch {
    fn new(header: &BatchHeader) -> Self {
        Self {
            last_sequence: sequence_after(header.base_sequence, header.last_offset_delta),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        }
    }

    /// Sequence number of its first record.
    #[must_use]
    pub fn first_sequence(&self) -> i32 {
        sequence_before(self.last_sequence, self.offset_delta)
    }

    /// Offset of its first record.
    #[must_use]
    pub fn first_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }
}

/// `count` sequence numbers on. After the greatest comes 0.
fn sequence_after(sequence: i32, count: i32) -> i32 {
    let (sum, overflowed) = sequence.overflowing_add(count);
    if overflowed { sum & i32::MAX } else { sum }
}

/// `count` sequence numbers back.
fn sequence_before(sequence: i32, count: i32) -> i32 {
    let difference = sequence.wrapping_sub(count);
    if difference < 0 { difference & i32::MAX } else { difference }
}

/// A producer of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Its epoch: one with a lower one is a zombie.
    pub epoch: i16,
    /// Epoch of the transaction coordinator that wrote the last marker; -1 if there was none.
    pub coordinator_epoch: i32,
    /// Time of its last batch or marker.
    pub last_timestamp: TimestampMs,
    /// First offset of the transaction that is open.
    pub open_transaction: Option<i64>,
    /// Its last batches of this epoch, in order.
    batches: VecDeque<ProducedBatch>,
    /// A snapshot told of the last batch alone: the log may have others of this epoch before the first that is known.
    is_partly_known: bool,
}

impl Producer {
    fn new(epoch: i16) -> Self {
        let batches = VecDeque::new();
        Self {
            epoch,
            coordinator_epoch: -1,
            last_timestamp: -1,
            open_transaction: None,
            batches,
            is_partly_known: false,
        }
    }

    /// Its last batch.
    #[must_use]
    pub fn last_batch(&self) -> Option<&ProducedBatch> {
        self.batches.back()
    }

    /// Whether a transaction of this epoch is open.
    fn has_open(&self, epoch: i16) -> bool {
        self.epoch == epoch && self.open_transaction.is_some()
    }

    /// The batch with the same sequence numbers.
    fn find(&self, header: &BatchHeader) -> Option<&ProducedBatch> {
        let last_sequence = sequence_after(header.base_sequence, header.last_offset_delta);
        let is_same = |known: &&ProducedBatch| {
            known.first_sequence() == header.base_sequence && known.last_sequence == last_sequence
        };
        self.batches.iter().find(is_same).filter(|_| header.producer_epoch == self.epoch)
    }

    /// The batch that is sent again. One of a transaction that has ended is not: its producer has given up what it did not
    /// know to be written, and numbers the next transaction's records alike (librdkafka, where an epoch lasts). Kafka
    /// acknowledges those, and they are lost.
    fn find_again(&self, header: &BatchHeader) -> Option<&ProducedBatch> {
        let is_of_it = |known: &&ProducedBatch| {
            !header.is_transactional() || self.open_transaction.is_some_and(|first| known.first_offset() >= first)
        };
        self.find(header).filter(is_of_it)
    }

    fn enter_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches.clear();
            self.is_partly_known = false;
        }
    }

    fn remember(&mut self, batch: ProducedBatch) {
        if self.batches.len() == BATCHES_REMEMBERED {
            self.batches.pop_front();
        }
        self.last_timestamp = batch.timestamp;
        self.batches.push_back(batch);
    }
}

/// Why a producer's batch does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// A newer instance of the producer has been here.
    #[error("epoch {epoch} of producer {producer_id} is smaller than the last seen epoch {current}")]
    StaleEpoch {
        /// The producer.
        producer_id: i64,
        /// The batch's epoch.
        epoch: i16,
        /// The greatest known.
        current: i16,
    },
    /// A batch before this one is missing.
    #[error("out of order sequence number {sequence} of producer {producer_id}, the last one was {last}")]
    OutOfOrder {
        /// The producer.
        producer_id: i64,
        /// The batch's first sequence number.
        sequence: i32,
        /// The last one that was appended; -1 if there was none in this epoch.
        last: i32,
    },
    /// A batch outside the transaction that its producer has open.
    #[error("producer {producer_id} has a transaction open since offset {first_offset}, the batch is not part of it")]
    NotTransactional {
        /// The producer.
        producer_id: i64,
        /// Where the transaction began.
        first_offset: i64,
    },
    /// A batch of a transaction that is not open here, and that the coordinator has not confirmed or has ended since.
    #[error("producer {producer_id} has no transaction open in epoch {epoch}")]
    NoTransaction {
        /// The producer.
        producer_id: i64,
        /// The batch's epoch.
        epoch: i16,
    },
    /// A marker of a coordinator that has been replaced.
    #[error(
        "coordinator epoch {epoch} of a marker for producer {producer_id} is smaller than the last seen, {current}"
    )]
    StaleCoordinator {
        /// The producer.
        producer_id: i64,
        /// The marker's.
        epoch: i32,
        /// The greatest known.
        current: i32,
    },
}

/// What is to be done with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is to be appended.
    New,
    /// It is in the log.
    Duplicate(ProducedBatch),
}

/// Batches of a producer that are wanted from the log: those before the first that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedBatches {
    producer_id: i64,
    epoch: i16,
    /// How many at most.
    pub count: usize,
    /// They lie below this offset,
    pub before: i64,
    /// and the last of them ends before this sequence number.
    sequence: i32,
}

impl WantedBatches {
    /// Whether a batch is one of the producer's.
    #[must_use]
    pub fn is_of_producer(&self, header: &BatchHeader) -> bool {
        header.producer_id == self.producer_id && header.producer_epoch == self.epoch && !header.is_control()
    }

    /// What is wanted after `header`, the batch right before; `None` if it is another one, or not as its producer sent it.
    #[must_use]
    pub fn after(self, header: &BatchHeader) -> Option<Self> {
        let batch = ProducedBatch::new(header);
        let is_next = self.is_of_producer(header)
            && header.record_count.checked_sub(1) == Some(header.last_offset_delta)
            && header.base_sequence >= 0
            && sequence_after(batch.last_sequence, 1) == self.sequence
            && header.last_offset() < self.before;
        let count = self.count.checked_sub(1).filter(|_| is_next)?;
        Some(Self { count, before: header.base_offset, sequence: header.base_sequence, ..self })
    }
}

/// The end of a transaction, as a control batch says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndMarker {
    /// Committed, or else aborted.
    pub is_commit: bool,
    /// Epoch of the coordinator that wrote it.
    pub coordinator_epoch: i32,
}

/// A transaction that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletedTransaction {
    /// Whose it was.
    pub producer_id: i64,
    /// Its first offset.
    pub first_offset: i64,
    /// Offset of the marker.
    pub last_offset: i64,
    /// Its records are not to be read.
    pub is_aborted: bool,
    /// What was decided once it ended lies below it.
    pub last_stable_offset: i64,
}

/// What of a producer has to stay in a log that is compacted, or a start would not know what it knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastEntry {
    /// The batch with its last sequence number.
    Batch {
        /// Offset of the batch's last record.
        last_offset: i64,
    },
    /// The markers of its epoch.
    Marker {
        /// The epoch.
        epoch: i16,
    },
}

impl LastEntry {
    /// Whether it is this batch.
    #[must_use]
    pub fn is(&self, header: &BatchHeader) -> bool {
        match *self {
            Self::Batch { last_offset } => header.last_offset() == last_offset,
            Self::Marker { epoch } => header.is_control() && header.producer_epoch == epoch,
        }
    }
}

/// The producers of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerStates {
    producers: HashMap<i64, Producer>,
    /// Open transactions: first offset, producer.
    open: BTreeMap<i64, i64>,
    /// Ended ones whose marker consumers do not see yet: first offset, offset of the marker.
    unseen: BTreeMap<i64, i64>,
}

impl ProducerStates {
    /// How many producers are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// A producer.
    #[must_use]
    pub fn get(&self, producer_id: i64) -> Option<&Producer> {
        self.producers.get(&producer_id)
    }

    /// All producers, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.producers.iter().map(|(id, producer)| (*id, producer))
    }

    /// Whether a client's batch follows what its producer has appended before.
    ///
    /// A batch that comes again, within its transaction, is known whatever else is wrong with it. Then the epoch counts before the transaction: a producer that is
    /// shut out may learn that and begin anew, while it takes a wrong state for the end (KAFKA-19690). The sequence
    /// comes last, as in Kafka.
    pub fn check(&self, header: &BatchHeader, confirmation: Confirmation) -> Result<Verdict, ProducerError> {
        if !header.has_producer_id() {
            return Ok(Verdict::New);
        }
        let producer = self.get(header.producer_id);
        if let Some(known) = producer.and_then(|producer| producer.find_again(header)) {
            return Ok(Verdict::Duplicate(*known));
        }
        check_transaction(header, producer, confirmation)?;
        check_sequence(header, producer, confirmation)?;
        check_mode(header, producer)?;
        Ok(Verdict::New)
    }

    /// The same of a batch that a coordinator writes for a producer. All of those have the sequence number 0.
    pub fn check_unsequenced(&self, header: &BatchHeader, confirmation: Confirmation) -> Result<(), ProducerError> {
        if !header.has_producer_id() {
            return Ok(());
        }
        let producer = self.get(header.producer_id);
        check_transaction(header, producer, confirmation)?;
        check_mode(header, producer)
    }

    /// Whether a transaction of this producer and epoch is open; an error if there is a newer epoch.
    pub fn has_open(&self, producer_id: i64, epoch: i16) -> Result<bool, ProducerError> {
        let Some(producer) = self.get(producer_id) else { return Ok(false) };
        check_epoch(producer_id, epoch, producer)?;
        Ok(producer.has_open(epoch))
    }

    /// What the log may have that would tell a batch that is out of order for a duplicate. Asked for once: what is found is
    /// to be added.
    #[must_use]
    pub fn wanted_for(&self, header: &BatchHeader) -> Option<WantedBatches> {
        let producer = self.producers.get(&header.producer_id).filter(|producer| producer.is_partly_known)?;
        let first = producer.batches.front().filter(|_| producer.epoch == header.producer_epoch)?;
        let (count, sequence) = (BATCHES_REMEMBERED - producer.batches.len(), first.first_sequence());
        // Half of the sequence numbers lie before any of them.
        let is_before = (1..=i32::MAX / 2).contains(&sequence_before(sequence, header.base_sequence));
        let &BatchHeader { producer_id, producer_epoch: epoch, .. } = header;
        let wanted = WantedBatches { producer_id, epoch, count, before: first.first_offset(), sequence };
        (is_before && count > 0).then_some(wanted)
    }

    /// Takes in what was found, the latest batch first.
    pub fn add_earlier(&mut self, wanted: &WantedBatches, found: &[BatchHeader]) {
        let Some(producer) = self.producers.get_mut(&wanted.producer_id) else { return };
        assert_eq!(producer.epoch, wanted.epoch, "nothing is appended while earlier batches are looked for");
        for header in found.iter().take(wanted.count) {
            producer.batches.push_front(ProducedBatch::new(header));
        }
        producer.is_partly_known = false;
    }

    /// Takes in a batch that is in the log, whatever a check would have said of it.
    pub fn add(&mut self, header: &BatchHeader) {
        if !header.has_producer_id() || header.is_control() {
            return;
        }
        let new = || Producer::new(header.producer_epoch);
        let producer = self.producers.entry(header.producer_id).or_insert_with(new);
        producer.enter_epoch(header.producer_epoch);
        producer.remember(ProducedBatch::new(header));
        if header.is_transactional() && producer.open_transaction.is_none() {
            producer.open_transaction = Some(header.base_offset);
            self.open.insert(header.base_offset, header.producer_id);
        }
    }

    /// The transaction that a marker ends, unless that had no records here.
    #[must_use]
    pub fn ended_by(&self, header: &BatchHeader, marker: EndMarker) -> Option<CompletedTransaction> {
        let first_offset = self.producers.get(&header.producer_id)?.open_transaction?;
        let last_offset = header.last_offset();
        let next = self.open.keys().find(|open| **open != first_offset);
        Some(CompletedTransaction {
            producer_id: header.producer_id,
            first_offset,
            last_offset,
            is_aborted: !marker.is_commit,
            last_stable_offset: next.map_or(last_offset + 1, |open| *open),
        })
    }

    /// Takes in a marker that is in the log.
    pub fn add_marker(&mut self, header: &BatchHeader, marker: EndMarker) {
        let new = || Producer::new(header.producer_epoch);
        let producer = self.producers.entry(header.producer_id).or_insert_with(new);
        producer.enter_epoch(header.producer_epoch);
        producer.coordinator_epoch = marker.coordinator_epoch;
        producer.last_timestamp = header.max_timestamp;
        if let Some(first_offset) = producer.open_transaction.take() {
            self.open.remove(&first_offset);
            self.unseen.insert(first_offset, header.last_offset());
        }
    }

    /// Takes in any batch that is in the log; `marker` reads the one of a control batch. Returns the transaction that it
    /// ends.
    pub fn replay(
        &mut self,
        header: &BatchHeader,
        marker: impl FnOnce() -> Option<EndMarker>,
    ) -> Option<CompletedTransaction> {
        if !header.has_producer_id() || !header.is_control() {
            self.add(header);
            return None;
        }
        let marker = marker()?;
        let ended = self.ended_by(header, marker);
        self.add_marker(header, marker);
        ended
    }

    /// The first offset of a transaction that is open, or whose end consumers do not see yet.
    #[must_use]
    pub fn first_unstable_offset(&self) -> Option<i64> {
        let (open, unseen) = (self.open.keys().next(), self.unseen.keys().next());
        open.into_iter().chain(unseen).min().copied()
    }

    /// Consumers see everything below `high_watermark`.
    pub fn see(&mut self, high_watermark: i64) {
        self.unseen.retain(|_, marker| *marker >= high_watermark);
    }

    /// Whether there are transactions whose end waits to be seen.
    #[must_use]
    pub fn has_unseen(&self) -> bool {
        !self.unseen.is_empty()
    }

    /// What the state of each producer hangs on: its last batch, or else a marker of its epoch.
    #[must_use]
    pub fn last_entries(&self) -> HashMap<i64, LastEntry> {
        let last = |producer: &Producer| match producer.last_batch() {
            Some(batch) => LastEntry::Batch { last_offset: batch.last_offset },
            None => LastEntry::Marker { epoch: producer.epoch },
        };
        self.producers.iter().map(|(id, producer)| (*id, last(producer))).collect()
    }

    /// Forgets the producers that have done nothing for `expiration_ms`, apart from those with a transaction open.
    pub fn expire(&mut self, now: TimestampMs, expiration_ms: i64) {
        self.producers.retain(|_, producer| {
            producer.open_transaction.is_some() || now.saturating_sub(producer.last_timestamp) < expiration_ms
        });
    }

    fn load(&mut self, producer_id: i64, producer: Producer) {
        if let Some(first_offset) = producer.open_transaction {
            self.open.insert(first_offset, producer_id);
        }
        self.producers.insert(producer_id, producer);
    }
}

fn check_epoch(producer_id: i64, epoch: i16, producer: &Producer) -> Result<(), ProducerError> {
    if epoch < producer.epoch {
        return Err(ProducerError::StaleEpoch { producer_id, epoch, current: producer.epoch });
    }
    Ok(())
}

/// A transaction begins only where the coordinator has confirmed it.
fn check_transaction(
    header: &BatchHeader,
    producer: Option<&Producer>,
    confirmation: Confirmation,
) -> Result<(), ProducerError> {
    let &BatchHeader { producer_id, producer_epoch: epoch, .. } = header;
    producer.map_or(Ok(()), |producer| check_epoch(producer_id, epoch, producer))?;
    let is_open = producer.is_some_and(|producer| producer.has_open(epoch));
    let is_admitted = match confirmation {
        Confirmation::Absent => is_open,
        Confirmation::Given(_) => true,
        Confirmation::Withdrawn => false,
    };
    if header.is_transactional() && !is_admitted {
        return Err(ProducerError::NoTransaction { producer_id, epoch });
    }
    Ok(())
}

fn check_sequence(
    header: &BatchHeader,
    producer: Option<&Producer>,
    confirmation: Confirmation,
) -> Result<(), ProducerError> {
    let last = producer.filter(|producer| producer.epoch == header.producer_epoch).and_then(Producer::last_batch);
    let last = last.map(|batch| batch.last_sequence);
    let sequence = header.base_sequence;
    // An epoch begins with 0, and so does a transaction that has an epoch of its own. Of another producer that is not known
    // nobody can tell.
    let is_known = producer.is_some() || matches!(confirmation, Confirmation::Given(version) if version.bumps_epoch());
    if is_known && sequence != last.map_or(0, |last| sequence_after(last, 1)) {
        let producer_id = header.producer_id;
        return Err(ProducerError::OutOfOrder { producer_id, sequence, last: last.unwrap_or(-1) });
    }
    Ok(())
}

/// All batches of a producer are part of the transaction that it has open.
fn check_mode(header: &BatchHeader, producer: Option<&Producer>) -> Result<(), ProducerError> {
    match producer.and_then(|producer| producer.open_transaction) {
        Some(first_offset) if !header.is_transactional() => {
            Err(ProducerError::NotTransactional { producer_id: header.producer_id, first_offset })
        }
        _ => Ok(()),
    }
}
