//! A transactional id with invented clocks, a log that can refuse, and partitions that are told when a test says so.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{
    clock::{self, TimestampMs},
    coordinator::machine::{Machine, Now, Place, Record, Ticket},
    protocol::{ids::ProducerIdAndEpoch, transaction_version::TransactionVersion},
    transactions::{
        error::TransactionError,
        record::TransactionRecord,
        settings::TransactionSettings,
        state::{Outcome, State},
        transaction::{Addition, Cx, End, Ending, Initialisation, Out, Reply, Transaction},
        transaction_metadata::TransactionMetadata,
    },
};

pub(super) const ID: &str = "id";
pub(super) const V0: TransactionVersion = TransactionVersion::V0;
pub(super) const V2: TransactionVersion = TransactionVersion::V2;
/// How long a transaction may be open.
pub(super) const TIMEOUT: Duration = Duration::from_mins(1);
/// How long an addition waits for the last transaction.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
pub(super) const MS: Duration = Duration::from_millis(1);
/// Where the wall clock stands when a test begins.
pub(super) const EPOCH: TimestampMs = 1_000_000;
/// The last epoch that a client gets.
pub(super) const LAST: i16 = i16::MAX - 1;

/// What came of a request that is answered later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Reply(Reply),
    /// What it would have said rests on records that could not be written.
    NotWritten,
}

pub(super) struct Context {
    pub(super) transaction: Transaction,
    pub(super) settings: TransactionSettings,
    pub(super) now: Instant,
    pub(super) wall: TimestampMs,
    /// What is on disk.
    pub(super) journal: Vec<TransactionRecord>,
    /// Whether the log refuses all that is appended.
    pub(super) refuses: bool,
    pub(super) answers: BTreeMap<Ticket, Answer>,
    /// Who is to be told what.
    pub(super) due: Vec<End>,
    /// In the order given.
    pub(super) answered: Vec<Ticket>,
    /// The record that the last step's replies and effects wait for.
    pub(super) dependency: i64,
    tickets: u64,
    /// The next producer id that is new.
    pub(super) fresh: i64,
}

pub(super) const fn producer(id: i64, epoch: i16) -> ProducerIdAndEpoch {
    ProducerIdAndEpoch { id, epoch }
}

impl Context {
    /// Under the latest level of the feature.
    pub(super) fn new() -> Self {
        Self::under(V2)
    }

    pub(super) fn under(version: TransactionVersion) -> Self {
        Self {
            transaction: Transaction::default(),
            settings: TransactionSettings { version, ..TransactionSettings::default() },
            now: clock::monotonic(),
            wall: EPOCH,
            journal: Vec::new(),
            refuses: false,
            answers: BTreeMap::new(),
            due: Vec::new(),
            answered: Vec::new(),
            dependency: -1,
            tickets: 0,
            fresh: 1,
        }
    }

    /// A producer with this epoch that has no transaction.
    pub(super) fn at_epoch(version: TransactionVersion, epoch: i16) -> (Self, ProducerIdAndEpoch) {
        let mut context = Self::under(version);
        let first = context.init(None).expect("an id that is new");
        let producer = ProducerIdAndEpoch { epoch, ..first };
        let there = TransactionMetadata { producer, ..context.metadata().clone() };
        context.rewrite(&there);
        (context, producer)
    }

    /// A producer with this epoch that has a transaction with `one-0`.
    pub(super) fn ongoing(version: TransactionVersion, epoch: i16) -> (Self, ProducerIdAndEpoch) {
        let (mut context, producer) = Self::at_epoch(version, epoch);
        assert_eq!(context.add(producer), Ok(()));
        (context, producer)
    }

    /// Puts into the log what would take too long to come to.
    pub(super) fn rewrite(&mut self, metadata: &TransactionMetadata) {
        self.journal = vec![metadata.record(self.settings.version)];
        self.restart();
    }

    /// A step as the runtime takes it. `None` if its records were refused.
    pub(super) fn step<T>(&mut self, work: impl FnOnce(&mut Transaction, Cx<'_>, &mut Out) -> T) -> Option<T> {
        let settings = self.settings;
        let cx = Cx { now: Now { monotonic: self.now, wall: self.wall }, settings: &settings };
        let mut out = Out::default();
        let result = work(&mut self.transaction, cx, &mut out);
        self.dependency = out.dependency();
        let records = out.take_records();
        let is_refused = self.refuses && !records.is_empty();
        if is_refused {
            out.take_effects();
            let replies = out.take_replies();
            self.deliver(replies.into_iter().map(|(ticket, _)| (ticket, Answer::NotWritten)));
            self.transaction.refused(cx, &records, &mut out);
            assert!(out.records().is_empty() && out.take_effects().is_empty(), "nothing is done instead");
        } else {
            records.into_iter().for_each(|record| self.append(&record));
        }
        let replies = out.take_replies();
        self.deliver(replies.into_iter().map(|(ticket, reply)| (ticket, Answer::Reply(reply))));
        self.due.extend(out.take_effects());
        self.check_replay();
        (!is_refused).then_some(result)
    }

    /// As it will be read, if it is.
    fn append(&mut self, record: &TransactionRecord) {
        let (key, value) = record.encode().expect("it fits");
        let record = TransactionRecord::decode(&key, value.as_ref()).expect("it can be read").expect("it is known");
        check_transition(self.transaction.metadata(), &record);
        self.transaction.apply(self.end_of_log(), &record);
        self.journal.push(record);
    }

    fn end_of_log(&self) -> Place {
        Place { offset: i64::try_from(self.journal.len()).expect("few"), producer_id: None }
    }

    /// What a restart brings back is what there is.
    fn check_replay(&self) {
        let mut replayed = Transaction::default();
        if let Some(last) = self.journal.last() {
            replayed.apply(Place { offset: 0, producer_id: None }, last);
        }
        assert_eq!(replayed.metadata(), self.transaction.metadata());
    }

    fn deliver(&mut self, answers: impl Iterator<Item = (Ticket, Answer)>) {
        for (ticket, answer) in answers {
            assert!(self.answers.insert(ticket, answer).is_none(), "{ticket:?} is answered twice");
            self.answered.push(ticket);
        }
    }
}

/// One state comes of the other, and a producer's epoch does not go down.
fn check_transition(before: Option<&TransactionMetadata>, record: &TransactionRecord) {
    let after = record.value.as_ref().map(|(_, value)| TransactionMetadata::of(&record.key, value));
    let (Some(before), Some(after)) = (before, &after) else {
        let is_new = after.as_ref().is_none_or(|after| after.state == State::Empty);
        let may_go = before.is_none_or(|before| before.state.is_closed());
        return assert!(is_new && may_go, "{before:?} to {after:?}");
    };
    assert!(after.state.may_follow(before.state), "{before:?} to {after:?}");
    assert!(after.producer.id != before.producer.id || after.producer.epoch >= before.producer.epoch);
    assert!(after.producer.id >= before.producer.id, "producer ids are not used again");
    if let Some(outcome) = before.outcome() {
        assert_eq!(after.state, outcome.completed(), "one outcome");
        assert_eq!(after.producer, before.successor());
    }
}

/// Time.
impl Context {
    /// Lets time pass by both clocks, with all that it brings.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut ticks_at_once = 0;
        while let Some(due) = self.transaction.next_deadline().filter(|due| *due <= end) {
            ticks_at_once = if due > self.now { 0 } else { ticks_at_once + 1 };
            assert!(ticks_at_once < 3, "a deadline does not go away");
            self.advance_to(self.now.max(due));
            self.tick();
        }
        self.advance_to(end);
    }

    fn advance_to(&mut self, now: Instant) {
        self.wall += i64::try_from((now - self.now).as_millis()).expect("not that long");
        self.now = now;
    }

    pub(super) fn tick(&mut self) {
        self.step(|transaction, cx, out| transaction.tick(cx, out));
        assert!(self.transaction.next_deadline().is_none_or(|at| at > self.now), "a deadline does not go away");
    }

    /// The broker is killed and started anew: who waits is never answered.
    pub(super) fn restart(&mut self) {
        self.due.clear();
        self.transaction = Transaction::default();
        for (offset, record) in (0..).zip(&self.journal) {
            self.transaction.apply(Place { offset, producer_id: None }, record);
        }
        self.step(|transaction, cx, out| transaction.loaded(cx, out));
    }
}

/// Requests.
impl Context {
    /// A producer begins.
    pub(super) fn init(
        &mut self,
        expected: Option<ProducerIdAndEpoch>,
    ) -> Result<ProducerIdAndEpoch, TransactionError> {
        self.try_init(expected).expect("written")
    }

    /// The same; `None` if it could not be written.
    pub(super) fn try_init(
        &mut self,
        expected: Option<ProducerIdAndEpoch>,
    ) -> Option<Result<ProducerIdAndEpoch, TransactionError>> {
        let timeout_ms = i32::try_from(TIMEOUT.as_millis()).expect("short");
        let init = Initialisation { timeout_ms, expected };
        let tried = self.step(|transaction, cx, out| transaction.init_producer(cx, ID, init, None, out))?;
        let Some(done) = tried.transpose() else {
            let fresh = self.fresh();
            let tried = self.step(|transaction, cx, out| transaction.init_producer(cx, ID, init, Some(fresh), out))?;
            return Some(tried.map(|producer| producer.expect("it has a new id")));
        };
        Some(done)
    }

    const fn fresh(&mut self) -> i64 {
        self.fresh += 1;
        self.fresh - 1
    }

    /// Asks for partitions; the answer may come later.
    pub(super) fn ask(
        &mut self,
        producer: ProducerIdAndEpoch,
        partitions: &[(&str, i32)],
        client_version: TransactionVersion,
    ) -> Ticket {
        self.tickets += 1;
        let (ticket, until) = (Ticket(self.tickets), self.now + PATIENCE);
        let partitions = partitions.iter().copied().collect();
        let addition = Addition { producer, partitions, client_version, until };
        self.step(|transaction, cx, out| transaction.add_partitions(cx, ticket, addition, out));
        ticket
    }

    #[track_caller]
    pub(super) fn reply(&mut self, ticket: Ticket) -> Reply {
        match self.answers.remove(&ticket) {
            Some(Answer::Reply(reply)) => reply,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn waits(&self, ticket: Ticket) {
        assert_eq!(self.answers.get(&ticket), None);
    }

    /// `one-0` takes part; it is answered at once.
    #[track_caller]
    pub(super) fn add(&mut self, producer: ProducerIdAndEpoch) -> Reply {
        let ticket = self.ask(producer, &[("one", 0)], self.settings.version);
        self.reply(ticket)
    }

    /// Ends it the way the cluster does.
    #[track_caller]
    pub(super) fn end(
        &mut self,
        producer: ProducerIdAndEpoch,
        outcome: Outcome,
    ) -> Result<ProducerIdAndEpoch, TransactionError> {
        self.end_as(producer, outcome, self.settings.version)
    }

    #[track_caller]
    pub(super) fn end_as(
        &mut self,
        producer: ProducerIdAndEpoch,
        outcome: Outcome,
        client_version: TransactionVersion,
    ) -> Result<ProducerIdAndEpoch, TransactionError> {
        self.try_end(producer, outcome, client_version).expect("written")
    }

    /// The same; `None` if it could not be written.
    pub(super) fn try_end(
        &mut self,
        producer: ProducerIdAndEpoch,
        outcome: Outcome,
        client_version: TransactionVersion,
    ) -> Option<Result<ProducerIdAndEpoch, TransactionError>> {
        let ending = Ending { producer, outcome, client_version };
        let tried = self.step(|transaction, cx, out| transaction.end(cx, ending, None, out))?;
        let Some(done) = tried.transpose() else {
            let fresh = self.fresh();
            let tried = self.step(|transaction, cx, out| transaction.end(cx, ending, Some(fresh), out))?;
            return Some(tried.map(|producer| producer.expect("it has a new id")));
        };
        Some(done)
    }

    /// The same, and every partition is told.
    #[track_caller]
    pub(super) fn ended(&mut self, producer: ProducerIdAndEpoch, outcome: Outcome) -> ProducerIdAndEpoch {
        let next = self.end(producer, outcome).expect("it may");
        self.complete_all();
        next
    }

    pub(super) fn complete(&mut self, end: &End) {
        self.step(|transaction, cx, out| transaction.complete(cx, end, out));
    }

    /// Every partition is told of what there is.
    pub(super) fn complete_all(&mut self) {
        for end in std::mem::take(&mut self.due) {
            self.complete(&end);
        }
    }

    /// The end that is due, alone.
    #[track_caller]
    pub(super) fn one_due(&self) -> End {
        assert_eq!(self.due.len(), 1, "{:?}", self.due);
        self.due[0].clone()
    }
}

/// What there is to see.
impl Context {
    #[track_caller]
    pub(super) fn metadata(&self) -> &TransactionMetadata {
        self.transaction.metadata().expect("it is known")
    }

    #[track_caller]
    pub(super) fn state(&self) -> State {
        self.metadata().state
    }

    #[track_caller]
    pub(super) fn partitions(&self) -> Vec<(&str, i32)> {
        self.metadata().partitions.iter().map(|(topic, partition)| (&**topic, partition)).collect()
    }

    /// A closed, open or prepared one, by the states that lead there.
    pub(super) fn in_state(version: TransactionVersion, state: State) -> (Self, ProducerIdAndEpoch) {
        let (mut context, producer) = Self::ongoing(version, 5);
        let outcome = match state {
            State::Empty => return Self::at_epoch(version, 5),
            State::Ongoing => return (context, producer),
            State::PrepareCommit | State::CompleteCommit => Outcome::Commit,
            _ => Outcome::Abort,
        };
        let next = context.end(producer, outcome).expect("it may");
        if !state.is_prepared() {
            context.complete_all();
        }
        assert_eq!(context.state(), state);
        (context, next)
    }
}
