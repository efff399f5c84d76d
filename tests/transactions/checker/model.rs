//! A broker's transactions as they should be, in memory, and clients that write down what they see of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, History, Key, Operation, Outcome, Polled, Record, Sent, Step, Transaction, Value};
use crate::random::Random;

const LOGS: i32 = 3;
const PRODUCERS: u32 = 4;
/// Of these each has a transaction too, for some of its polls.
const CONSUMERS: u32 = 3;
const STEPS: usize = 220;
const POLL_RECORDS_MAX: u64 = 6;

#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    Committed,
    Aborted,
}

/// What a log has at an offset: a value of a transaction, or a marker.
#[derive(Clone, Copy)]
enum Entry {
    Value { value: Value, transaction: usize },
    Marker,
}

struct Broker {
    logs: BTreeMap<Key, Vec<Entry>>,
    /// Of each transaction its state and the logs that it wrote to.
    transactions: Vec<(State, BTreeSet<Key>)>,
}

impl Broker {
    fn new() -> Self {
        let keys = (0..LOGS).map(|partition| Key { topic: "t", partition });
        Self { logs: keys.map(|key| (key, Vec::new())).collect(), transactions: Vec::new() }
    }

    fn begin(&mut self) -> usize {
        self.transactions.push((State::Open, BTreeSet::new()));
        self.transactions.len() - 1
    }

    fn append(&mut self, transaction: usize, key: Key, value: Value) -> i64 {
        self.transactions[transaction].1.insert(key);
        let log = self.logs.get_mut(&key).expect("a log");
        log.push(Entry::Value { value, transaction });
        log.len() as i64 - 1
    }

    fn end(&mut self, transaction: usize, state: State) {
        self.transactions[transaction].0 = state;
        for key in self.transactions[transaction].1.clone() {
            self.logs.get_mut(&key).expect("a log").push(Entry::Marker);
        }
    }

    /// What is committed from a position on, up to the first open transaction; and the position behind it.
    fn read(&self, key: Key, position: usize, count: usize) -> (Vec<Record>, usize) {
        let mut records = Vec::new();
        let mut next = position;
        for entry in &self.logs[&key][position..] {
            if let Entry::Value { value, transaction } = entry {
                match self.transactions[*transaction].0 {
                    State::Open => break,
                    State::Committed if records.len() == count => break,
                    State::Committed => records.push(Record { offset: next as i64, value: *value }),
                    State::Aborted => {}
                }
            }
            next += 1;
        }
        (records, next)
    }
}

/// A transaction that a process is in.
struct Open {
    transaction: usize,
    invoked: u64,
    steps: Vec<Step>,
}

/// A run of clients of a broker that does everything right.
pub(super) struct Run {
    random: Random,
    broker: Broker,
    now: u64,
    open: BTreeMap<u32, Open>,
    /// Transactions whose producers vanished.
    abandoned: Vec<usize>,
    positions: BTreeMap<(u32, Key), usize>,
    values: u64,
    history: History,
}

impl Run {
    pub(super) fn history(seed: u64) -> History {
        let mut run = Self {
            random: Random::new(seed),
            broker: Broker::new(),
            now: 0,
            open: BTreeMap::new(),
            abandoned: Vec::new(),
            positions: BTreeMap::new(),
            values: 0,
            history: History::default(),
        };
        for _ in 0..STEPS {
            run.step();
        }
        run.finish();
        run.history
    }

    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    fn step(&mut self) {
        if self.random.one_in(20) {
            self.time_out();
        }
        let process = u32::try_from(self.random.below(u64::from(PRODUCERS + CONSUMERS))).expect("small");
        let consumes = process >= PRODUCERS;
        match self.random.below(10) {
            0 if consumes => self.move_consumer(process),
            0..4 if consumes => self.poll(process),
            0..7 => self.send(process),
            _ => self.end(process),
        }
    }

    fn open(&mut self, process: u32) -> &mut Open {
        if !self.open.contains_key(&process) {
            let invoked = self.tick();
            let transaction = self.broker.begin();
            self.open.insert(process, Open { transaction, invoked, steps: Vec::new() });
        }
        self.open.get_mut(&process).expect("just opened")
    }

    fn send(&mut self, process: u32) {
        let key = self.key();
        let transaction = self.open(process).transaction;
        self.values += 1;
        let value = Value(self.values);
        let offset = self.broker.append(transaction, key, value);
        let is_answered = !self.random.one_in(4);
        self.open(process).steps.push(Step::Send(Sent { key, value, offset: is_answered.then_some(offset) }));
    }

    fn key(&mut self) -> Key {
        let partition = self.random.between(0, i64::from(LOGS) - 1);
        Key { topic: "t", partition: i32::try_from(partition).expect("small") }
    }

    fn poll(&mut self, process: u32) {
        let invoked = self.tick();
        let mut polled = Polled::new();
        for key in self.broker.logs.keys().copied().collect::<Vec<_>>() {
            let count = usize::try_from(self.random.below(POLL_RECORDS_MAX)).expect("small");
            let position = self.positions.get(&(process, key)).copied().unwrap_or(0);
            let (records, next) = self.broker.read(key, position, count);
            self.positions.insert((process, key), next);
            if !records.is_empty() {
                polled.insert(key, records);
            }
        }
        match self.open.get_mut(&process) {
            Some(open) => open.steps.push(Step::Poll(polled)),
            None => self.note(process, invoked, Action::Poll(polled)),
        }
    }

    /// A consumer begins anew, or goes to some place in one log. Not amid an operation.
    fn move_consumer(&mut self, process: u32) {
        if self.open.contains_key(&process) {
            return;
        }
        let invoked = self.tick();
        let key = self.key();
        if self.random.one_in(2) {
            self.positions.retain(|(of, _), _| *of != process);
            self.note(process, invoked, Action::Assign);
        } else {
            let position = self.random.below(self.broker.logs[&key].len() as u64 + 1);
            self.positions.insert((process, key), usize::try_from(position).expect("small"));
            self.note(process, invoked, Action::Seek(vec![key]));
        }
    }

    fn note(&mut self, process: u32, invoked: u64, action: Action) {
        let completed = self.tick();
        self.history.operations.push(Operation { process, invoked, completed, action });
    }

    /// Commits, aborts, or vanishes: then a commit may have come through, may not have, or the time runs out much later.
    fn end(&mut self, process: u32) {
        let Some(Open { transaction, invoked, steps }) = self.open.remove(&process) else { return };
        let asked = self.tick();
        let (outcome, state) = match self.random.below(8) {
            0..4 => (Outcome::Committed, Some(State::Committed)),
            4..6 => (Outcome::Aborted, Some(State::Aborted)),
            6 => (Outcome::Unknown, Some(State::Committed)),
            _ => (Outcome::Unknown, self.random.one_in(2).then_some(State::Aborted)),
        };
        match state {
            Some(state) => self.broker.end(transaction, state),
            None => self.abandoned.push(transaction),
        }
        let commit_asked = (outcome != Outcome::Aborted).then_some(asked);
        self.note(process, invoked, Action::Transaction(Transaction { steps, outcome, commit_asked }));
    }

    fn time_out(&mut self) {
        for transaction in std::mem::take(&mut self.abandoned) {
            self.broker.end(transaction, State::Aborted);
        }
    }

    /// Aborts what is open, and polls everything.
    fn finish(&mut self) {
        for process in self.open.keys().copied().collect::<Vec<_>>() {
            let Open { transaction, invoked, steps } = self.open.remove(&process).expect("a key of it");
            self.broker.end(transaction, State::Aborted);
            let transaction = Transaction { steps, outcome: Outcome::Aborted, commit_asked: None };
            self.note(process, invoked, Action::Transaction(transaction));
        }
        self.time_out();
        for key in self.broker.logs.keys().copied().collect::<Vec<_>>() {
            let invoked = self.tick();
            let (records, _) = self.broker.read(key, 0, usize::MAX);
            self.note(PRODUCERS + CONSUMERS, invoked, Action::FinalPoll { key, records });
        }
    }
}
