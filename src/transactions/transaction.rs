//! The transactions of one transactional id: a machine of the coordinator.
//!
//! A transaction ends in two steps. That it is to commit, or to abort, is decided once the record of that is durable; then
//! every partition is told, which is an [effect](End) of the step; then that is written too. Whatever a crash leaves of
//! this, the next start goes on where the log ends.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    error::TransactionError,
    record::TransactionRecord,
    settings::TransactionSettings,
    state::{Outcome, State},
    transaction_metadata::{Partitions, TransactionMetadata},
};
use crate::{
    clock::TimestampMs,
    coordinator::machine::{self, Machine, Outputs, Place, Ticket},
    protocol::{ids::ProducerIdAndEpoch, transaction_version::TransactionVersion},
};

/// Who waits for the end of the last transaction at most: a client has a handful of requests in flight.
const PARKED_MAX: usize = 100;

/// After an abort that could not be written, the wait before it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What a transactional id is given beside a request.
pub type Cx<'a> = machine::Cx<'a, TransactionSettings>;
/// What it gives out.
pub type Out = Outputs<Transaction>;

/// To an id that partitions are added to.
pub type Reply = Result<(), TransactionError>;

/// What every partition of a transaction is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The producer of the markers.
    pub producer: ProducerIdAndEpoch,
    /// What was decided.
    pub outcome: Outcome,
    /// How the client talked that decided it.
    pub version: TransactionVersion,
    /// Who is to be told.
    pub partitions: Partitions,
    /// When it was decided. That tells it from the end before where one epoch has many transactions.
    pub decided_at: TimestampMs,
}

/// A producer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Initialisation {
    /// How long its transactions may be open, in milliseconds.
    pub timeout_ms: i32,
    /// What it was before, if it goes on after an error (KIP-360).
    pub expected: Option<ProducerIdAndEpoch>,
}

/// Partitions are to take part in a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition {
    /// Who asks.
    pub producer: ProducerIdAndEpoch,
    /// The partitions.
    pub partitions: Partitions,
    /// How the client talks.
    pub client_version: TransactionVersion,
    /// How long it waits for the last transaction to end everywhere.
    pub until: Instant,
}

/// A transaction is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Who asks.
    pub producer: ProducerIdAndEpoch,
    /// How it is to end.
    pub outcome: Outcome,
    /// How the client talks.
    pub client_version: TransactionVersion,
}

/// A transactional id.
#[derive(Debug, Default)]
pub struct Transaction {
    metadata: Option<TransactionMetadata>,
    /// The offset after its last record.
    written_below: i64,
    /// The last producer that went on after an error. If it asks again, it has not heard of that.
    renewal: Option<Renewal>,
    /// What the producer was that goes on with the record which is being written.
    renewing: Option<ProducerIdAndEpoch>,
    /// Who waits until every partition knows of the end.
    parked: Vec<(Ticket, Addition)>,
    /// When the open transaction has lasted too long.
    times_out_at: Option<Instant>,
}

/// What a producer was, and what it has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Renewal {
    from: ProducerIdAndEpoch,
    to: ProducerIdAndEpoch,
}

/// What becomes of an addition.
enum Added {
    /// All of it is there.
    Already,
    /// With this.
    With(TransactionMetadata),
    /// Once the last transaction has ended everywhere.
    Later,
}

/// Producers.
impl Transaction {
    /// A producer begins, or begins anew: whoever had the id is shut out, and its transaction aborted. `None`: it takes a
    /// new producer id, which is to be given as `fresh`.
    pub fn init_producer(
        &mut self,
        cx: Cx<'_>,
        id: &str,
        init: Initialisation,
        fresh: Option<i64>,
        out: &mut Out,
    ) -> Result<Option<ProducerIdAndEpoch>, TransactionError> {
        out.depends_on(self.written_below - 1);
        let (now, timeout_ms) = (cx.now.wall, init.timeout_ms);
        let Some(metadata) = &self.metadata else {
            let Some(producer) = fresh.map(ProducerIdAndEpoch::first) else { return Ok(None) };
            self.write(cx, &TransactionMetadata::new(id, producer, timeout_ms, now), out);
            return Ok(Some(producer));
        };
        if !init.expected.is_none_or(|expected| self.may_go_on(metadata.producer, expected)) {
            return Err(TransactionError::ProducerFenced);
        }
        if metadata.state.is_prepared() {
            return Err(TransactionError::ConcurrentTransactions);
        }
        if metadata.state == State::Ongoing {
            let aborted = metadata.aborted_by_coordinator(cx);
            // One that has left a transaction open shuts itself out, and comes again as what it was (librdkafka).
            self.renewing = init.expected.filter(|expected| *expected == metadata.producer);
            self.write_end(cx, &aborted, out);
            return Err(TransactionError::ConcurrentTransactions);
        }
        let Some(producer) = self.next_producer(metadata.producer, init.expected, fresh)? else { return Ok(None) };
        let initialised = metadata.initialised(producer, timeout_ms, now);
        self.renewing = init.expected;
        self.write(cx, &initialised, out);
        Ok(Some(producer))
    }

    /// What a producer is after it has begun anew.
    fn next_producer(
        &self,
        current: ProducerIdAndEpoch,
        expected: Option<ProducerIdAndEpoch>,
        fresh: Option<i64>,
    ) -> Result<Option<ProducerIdAndEpoch>, TransactionError> {
        match expected {
            Some(from) if self.has_gone_on(from, current) && current.epoch < i16::MAX => Ok(Some(current)),
            Some(from) if from != current && !self.has_gone_on(from, current) => Err(TransactionError::ProducerFenced),
            Some(_) | None if current.is_exhausted() => Ok(fresh.map(ProducerIdAndEpoch::first)),
            Some(_) | None => Ok(Some(current.bumped())),
        }
    }

    /// Whether a client may go on that says what it was: this producer, in whatever epoch, or the one before, which had to
    /// change its id.
    fn may_go_on(&self, current: ProducerIdAndEpoch, expected: ProducerIdAndEpoch) -> bool {
        expected.id == current.id || self.has_gone_on(expected, current)
    }

    fn has_gone_on(&self, from: ProducerIdAndEpoch, to: ProducerIdAndEpoch) -> bool {
        self.renewal == Some(Renewal { from, to })
    }
}

/// Partitions.
impl Transaction {
    /// Partitions take part in the transaction, which begins with the first. It answers as soon as that is durable; while
    /// the end of the last transaction is on its way, it waits for that.
    pub fn add_partitions(&mut self, cx: Cx<'_>, ticket: Ticket, addition: Addition, out: &mut Out) {
        out.depends_on(self.written_below - 1);
        let added = match &self.metadata {
            Some(metadata) => metadata.add(&addition, cx.now.wall),
            None => Err(TransactionError::InvalidProducerIdMapping),
        };
        match added {
            Ok(Added::Later) if self.parked.len() < PARKED_MAX => self.parked.push((ticket, addition)),
            Ok(Added::Later) => out.reply(ticket, Err(TransactionError::ConcurrentTransactions)),
            Ok(Added::Already) => out.reply(ticket, Ok(())),
            Ok(Added::With(metadata)) => {
                self.write(cx, &metadata, out);
                out.reply(ticket, Ok(()));
            }
            Err(error) => out.reply(ticket, Err(error)),
        }
    }

    /// Which of these partitions take part in the producer's transaction, in the order given.
    pub fn verify(
        &self,
        producer: ProducerIdAndEpoch,
        partitions: &[(Arc<str>, i32)],
        out: &mut Out,
    ) -> Result<Vec<bool>, TransactionError> {
        out.depends_on(self.written_below - 1);
        let metadata = self.metadata.as_ref().ok_or(TransactionError::InvalidProducerIdMapping)?;
        metadata.check_producer(producer)?;
        if metadata.state.is_prepared() {
            return Err(TransactionError::ConcurrentTransactions);
        }
        Ok(partitions.iter().map(|(topic, partition)| metadata.partitions.contains(topic, *partition)).collect())
    }
}

/// The end.
impl Transaction {
    /// Commits the transaction, or aborts it. Returns the producer that the client goes on with. `None`: it takes a new
    /// producer id, which is to be given as `fresh`.
    pub fn end(
        &mut self,
        cx: Cx<'_>,
        ending: Ending,
        fresh: Option<i64>,
        out: &mut Out,
    ) -> Result<Option<ProducerIdAndEpoch>, TransactionError> {
        out.depends_on(self.written_below - 1);
        let metadata = self.metadata.as_ref().ok_or(TransactionError::InvalidProducerIdMapping)?;
        // A client that could do more does what the cluster can.
        let version = ending.client_version.min(cx.settings.version);
        let is_due = if version.bumps_epoch() {
            metadata.check_end(ending)?
        } else {
            metadata.check_end_without_bump(ending)?
        };
        if !is_due {
            return Ok(Some(metadata.producer));
        }
        let next_id = if version.bumps_epoch() && metadata.producer.is_exhausted() {
            let Some(fresh) = fresh else { return Ok(None) };
            Some(fresh)
        } else {
            None
        };
        let prepared = metadata.prepared(ending.outcome, version, next_id, cx.now.wall);
        let successor = prepared.successor();
        self.write_end(cx, &prepared, out);
        Ok(Some(successor))
    }

    /// Every partition knows of this end. Said again, or too late, it means nothing.
    pub fn complete(&mut self, cx: Cx<'_>, end: &End, out: &mut Out) {
        let is_told = |metadata: &&TransactionMetadata| metadata.end().as_ref() == Some(end);
        let Some(metadata) = self.metadata.as_ref().filter(is_told) else { return };
        let mut metadata = metadata.completed(cx.now.wall);
        self.write(cx, &metadata, out);
        for (ticket, addition) in mem::take(&mut self.parked) {
            match metadata.add(&addition, cx.now.wall) {
                Ok(Added::Later) => unreachable!("the end is known everywhere"),
                Ok(Added::Already) => out.reply(ticket, Ok(())),
                Ok(Added::With(with)) => {
                    metadata = with;
                    out.reply(ticket, Ok(()));
                }
                Err(error) => out.reply(ticket, Err(error)),
            }
        }
        // All that was added in one record: each would have the partitions of those before it.
        if metadata.state == State::Ongoing {
            self.write(cx, &metadata, out);
        }
    }

    /// Forgets an id that has had no transaction for long (`transactional.id.expiration.ms`).
    pub fn expire(&self, cx: Cx<'_>, out: &mut Out) {
        let Some(metadata) = &self.metadata else { return };
        let age = cx.now.wall.saturating_sub(metadata.updated_at);
        if metadata.state.is_closed() && age >= cx.settings.id_expiration_ms {
            assert!(State::Dead.may_follow(metadata.state), "an id expires that has no transaction");
            out.write(TransactionRecord::tombstone(&metadata.id));
        }
    }
}

/// Out.
impl Transaction {
    fn write(&mut self, cx: Cx<'_>, metadata: &TransactionMetadata, out: &mut Out) {
        let begins = metadata.state == State::Ongoing && !self.is_ongoing();
        if begins {
            self.times_out_at = Some(cx.now.monotonic + metadata.timeout());
        }
        out.write(metadata.record(cx.settings.version));
    }

    /// Writes that a transaction ends; once that is durable, the partitions are told.
    fn write_end(&mut self, cx: Cx<'_>, prepared: &TransactionMetadata, out: &mut Out) {
        out.effect(prepared.end().expect("it is prepared"));
        out.must_be_written();
        self.write(cx, prepared, out);
    }
}

/// What there is to see.
impl Transaction {
    /// What is known of it.
    pub fn describe(&self, out: &mut Out) -> Result<TransactionMetadata, TransactionError> {
        out.depends_on(self.written_below - 1);
        self.metadata.clone().ok_or(TransactionError::TransactionalIdNotFound)
    }

    /// The same, of what may not be durable yet.
    #[must_use]
    pub fn metadata(&self) -> Option<&TransactionMetadata> {
        self.metadata.as_ref()
    }
}

impl TransactionMetadata {
    fn aborted_by_coordinator(&self, cx: Cx<'_>) -> Self {
        self.fenced().prepared(Outcome::Abort, cx.settings.version, None, cx.now.wall)
    }

    /// Whether it is the producer's turn. No client has the greatest epoch, which shuts out those who had the one before.
    fn check_producer(&self, producer: ProducerIdAndEpoch) -> Result<(), TransactionError> {
        let current = self.successor();
        if producer.id != current.id {
            return Err(TransactionError::InvalidProducerIdMapping);
        }
        if producer.epoch != current.epoch || producer.epoch == i16::MAX {
            return Err(TransactionError::ProducerFenced);
        }
        Ok(())
    }

    fn add(&self, addition: &Addition, now: TimestampMs) -> Result<Added, TransactionError> {
        self.check_producer(addition.producer)?;
        if self.state.is_prepared() {
            return Ok(Added::Later);
        }
        if self.state == State::Ongoing && self.partitions.includes(&addition.partitions) {
            return Ok(Added::Already);
        }
        Ok(Added::With(self.with_partitions(&addition.partitions, addition.client_version, now)))
    }

    /// Whether the end is to be decided, by a client whose epoch lasts for many transactions; `false` if it has been decided
    /// and is known everywhere.
    fn check_end_without_bump(&self, ending: Ending) -> Result<bool, TransactionError> {
        if ending.producer.id != self.producer.id {
            return Err(TransactionError::InvalidProducerIdMapping);
        }
        if ending.producer.epoch != self.producer.epoch || ending.producer.epoch == i16::MAX {
            return Err(TransactionError::ProducerFenced);
        }
        match self.state {
            State::Ongoing => Ok(true),
            state if state == ending.outcome.completed() => Ok(false),
            state if state == ending.outcome.prepared() => Err(TransactionError::ConcurrentTransactions),
            _ => Err(TransactionError::InvalidTxnState),
        }
    }

    /// Whether the end is to be decided, by a client that has an epoch for each transaction; `false` if it asks again for what
    /// is known everywhere. One that asks again has the epoch before this one, or the last of the producer id before.
    ///
    /// | state          | abort, again | abort        | commit, again | commit       |
    /// |----------------|--------------|--------------|---------------|--------------|
    /// | Empty          | fenced       | to be aborted| fenced        | wrong state  |
    /// | CompleteAbort  | done         | to be aborted| wrong state   | wrong state  |
    /// | CompleteCommit | wrong state  | to be aborted| done          | wrong state  |
    fn check_end(&self, ending: Ending) -> Result<bool, TransactionError> {
        let ProducerIdAndEpoch { id, epoch } = ending.producer;
        if self.state.is_prepared() && ending.producer == self.successor() && epoch < i16::MAX {
            // The next transaction, ended before anything was added to it. Kafka shuts such a client out.
            return Err(TransactionError::ConcurrentTransactions);
        }
        let is_last = self.previous_id == Some(id) && epoch == i16::MAX - 1;
        let is_rollover = is_last && self.producer.epoch == 0;
        let is_before = id == self.producer.id && epoch.checked_add(1) == Some(self.producer.epoch);
        let is_again = self.has_bumped_epoch() && (is_rollover || is_before);
        if id != self.producer.id && !is_rollover {
            return Err(TransactionError::InvalidProducerIdMapping);
        }
        let is_current = epoch == self.producer.epoch && epoch < i16::MAX;
        let is_valid = match self.state {
            State::Empty | State::Ongoing | State::Dead | State::PrepareEpochFence => is_current,
            State::PrepareCommit | State::PrepareAbort => is_again,
            State::CompleteCommit | State::CompleteAbort => is_again || is_current,
        };
        if !is_valid {
            return Err(TransactionError::ProducerFenced);
        }
        match (self.state, ending.outcome) {
            (State::Ongoing, _) => Ok(true),
            (state, outcome) if state == outcome.prepared() => Err(TransactionError::ConcurrentTransactions),
            (state, outcome) if is_again && state == outcome.completed() => Ok(false),
            (state, Outcome::Abort) if state.is_closed() && !is_again => Ok(true),
            _ => Err(TransactionError::InvalidTxnState),
        }
    }

    /// Whether the end that was decided last gave the client its epoch, so that who has the one before may ask again. If a
    /// client decides it, the greatest epoch is on the way to a new producer id; else it shuts a client out.
    const fn has_bumped_epoch(&self) -> bool {
        let shuts_out = self.producer.epoch == i16::MAX && self.next_id.is_none();
        self.client_version.bumps_epoch() && !shuts_out
    }

    fn end(&self) -> Option<End> {
        self.outcome().map(|outcome| End {
            producer: self.producer,
            outcome,
            version: self.client_version,
            partitions: self.partitions.clone(),
            decided_at: self.updated_at,
        })
    }

    /// Whether the last step gave the producer its epoch, or the one that it will have.
    const fn gives_epoch(&self) -> bool {
        matches!(self.state, State::Empty | State::PrepareAbort | State::PrepareCommit)
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.timeout_ms).unwrap_or(0))
    }

    /// How long the transaction may go on, by the clock of its records.
    fn time_left(&self, now: TimestampMs) -> Duration {
        let elapsed = now.saturating_sub(self.started_at.unwrap_or(now));
        // A clock that was set back does not give it more time than it had.
        let elapsed = Duration::from_millis(u64::try_from(elapsed).unwrap_or(0));
        self.timeout().saturating_sub(elapsed)
    }
}

impl Machine for Transaction {
    type Settings = TransactionSettings;
    type Record = TransactionRecord;
    type Reply = Reply;
    type Effect = End;

    fn apply(&mut self, place: Place, record: &TransactionRecord) {
        self.metadata = record.value.as_ref().map(|(_, value)| TransactionMetadata::of(&record.key, value));
        self.written_below = place.offset + 1;
        let renewed = self.renewing.take();
        if let Some(metadata) = self.metadata.as_ref().filter(|metadata| metadata.gives_epoch()) {
            self.renewal = renewed.map(|from| Renewal { from, to: metadata.successor() });
        }
    }

    /// Nothing of its own is part of a transaction.
    fn end_transaction(&mut self, _offset: i64, _producer_id: i64, _is_commit: bool) {}

    fn loaded(&mut self, cx: Cx<'_>, out: &mut Out) {
        let Some(metadata) = &self.metadata else { return };
        if metadata.state == State::Ongoing {
            self.times_out_at = Some(cx.now.monotonic + metadata.time_left(cx.now.wall));
        }
        if let Some(end) = metadata.end() {
            out.depends_on(self.written_below - 1);
            out.effect(end);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let parked = self.parked.iter().map(|(_, addition)| addition.until).min();
        let times_out_at = self.times_out_at.filter(|_| self.is_ongoing());
        times_out_at.into_iter().chain(parked).min()
    }

    fn tick(&mut self, cx: Cx<'_>, out: &mut Out) {
        let now = cx.now.monotonic;
        for (ticket, _) in self.parked.extract_if(.., |(_, addition)| addition.until <= now) {
            out.reply(ticket, Err(TransactionError::ConcurrentTransactions));
        }
        if self.times_out_at.is_none_or(|at| at > now) {
            return;
        }
        let Some(metadata) = self.metadata.as_ref().filter(|metadata| metadata.state == State::Ongoing) else { return };
        let aborted = metadata.aborted_by_coordinator(cx);
        self.write_end(cx, &aborted, out);
    }

    fn refused(&mut self, cx: Cx<'_>, _records: &[TransactionRecord], _out: &mut Out) {
        self.renewing = None;
        let is_overdue = self.times_out_at.is_some_and(|at| at <= cx.now.monotonic);
        if is_overdue && self.is_ongoing() {
            self.times_out_at = Some(cx.now.monotonic + RETRY);
        }
    }

    fn after_stall(&mut self, cx: Cx<'_>) {
        if let Some(metadata) = self.metadata.as_ref().filter(|metadata| metadata.state == State::Ongoing) {
            self.times_out_at = Some(cx.now.monotonic + metadata.timeout());
        }
    }

    fn is_vacant(&self) -> bool {
        self.metadata.is_none() && self.parked.is_empty()
    }
}

impl Transaction {
    fn is_ongoing(&self) -> bool {
        self.metadata.as_ref().is_some_and(|metadata| metadata.state == State::Ongoing)
    }
}

#[cfg(test)]
mod tests;
