//! Histories of a right broker have no anomaly, and each way of spoiling one is found as what it is.

use super::{
    Action, Class, History, Key, Outcome, Polled, Record, Sent, Step, Value, check, model::Run, report, violations,
};
use crate::random::Random;

const SEEDS: u64 = 100;
/// The least share of the histories in which a mutation has to find something to spoil, as one in so many.
const SPOILT_ONE_IN: u64 = 4;

/// Spoils a history, if there is in it what it takes.
type Spoil = fn(&mut Spoiler) -> Option<()>;

/// Each way to spoil a history, and the classes of which one has to be found then.
const MUTATIONS: [(&str, Spoil, &[Class]); 18] = [
    ("a committed value is nowhere", forget, &[Class::LostWrite, Class::Unseen]),
    ("the last value is nowhere", forget_last, &[Class::Unseen]),
    ("a value vanishes in the end", vanish, &[Class::LostWrite]),
    ("an aborted value is polled", expose_aborted, &[Class::AbortedRead]),
    ("a transaction polls its own value", read_own, &[Class::PrecommittedRead]),
    ("a value is polled before the commit", read_early, &[Class::PrecommittedRead]),
    ("a log of a transaction is missing", tear, &[Class::TornTransaction]),
    ("a value is nobody's", invent, &[Class::UnwrittenRead]),
    ("a value is there twice", double, &[Class::Duplicate]),
    ("two values are swapped in one poll", swap_values, &[Class::InconsistentOffsets]),
    ("two transactions polled each other", cross_reads, &[Class::ReadCycle]),
    ("a consumer goes back", go_back, &[Class::NonmonotonicPoll]),
    ("a consumer leaves out the first", skip_first, &[Class::PollSkip]),
    ("two records of a poll are swapped", swap_records, &[Class::IntNonmonotonicPoll]),
    ("a poll has a hole", skip_within, &[Class::IntPollSkip]),
    ("transactions of a producer are swapped", swap_across_transactions, &[Class::NonmonotonicSend]),
    ("values of a transaction are swapped", swap_within_transaction, &[Class::IntNonmonotonicSend]),
    ("a consumer goes on without its assignment", forget_assignment, &[Class::NonmonotonicPoll, Class::PollSkip]),
];

#[test]
fn a_right_broker_shows_no_anomaly() {
    let mut outcomes = [0; 3];
    for seed in 0..SEEDS {
        let history = Run::history(seed);
        let anomalies = violations(check(&history));
        assert!(anomalies.is_empty(), "seed {seed}: {}", report(&history, &anomalies));
        for transaction in history.operations.iter().filter_map(|operation| operation.action.transaction()) {
            outcomes[transaction.outcome as usize] += 1;
        }
    }
    assert!(outcomes.iter().all(|count| *count > SEEDS * 2), "the histories are too quiet: {outcomes:?}");
}

#[test]
fn what_is_spoilt_is_found() {
    for (name, spoil, classes) in MUTATIONS {
        let mut spoilt = 0;
        for seed in 0..SEEDS {
            let mut spoiler = Spoiler { random: Random::new(seed ^ 0x5eed), history: Run::history(seed) };
            if spoil(&mut spoiler).is_none() {
                continue;
            }
            spoilt += 1;
            let anomalies = violations(check(&spoiler.history));
            let is_found = anomalies.iter().any(|anomaly| classes.contains(&anomaly.class));
            assert!(is_found, "{name}, seed {seed}: {}", report(&spoiler.history, &anomalies));
        }
        assert!(spoilt * SPOILT_ONE_IN >= SEEDS, "{name}: only {spoilt} of {SEEDS} histories could be spoilt");
    }
}

struct Spoiler {
    random: Random,
    history: History,
}

/// A value that was sent.
#[derive(Clone, Copy)]
struct Write {
    operation: usize,
    outcome: Outcome,
    sent: Sent,
}

/// A record that was polled outside of a transaction.
#[derive(Clone, Copy)]
struct Read {
    operation: usize,
    process: u32,
    key: Key,
    at: usize,
    record: Record,
}

impl Spoiler {
    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        self.random.pick(from).copied()
    }

    fn writes(&self, outcome: Outcome) -> Vec<Write> {
        let mut writes = Vec::new();
        for (operation, transaction) in super::facts::transactions(&self.history) {
            let sends = transaction.sends().map(|sent| Write { operation, outcome: transaction.outcome, sent: *sent });
            writes.extend(sends.filter(|write| write.outcome == outcome));
        }
        writes
    }

    /// What polls outside of transactions got.
    fn reads(&self) -> Vec<Read> {
        let mut reads = Vec::new();
        for (index, operation) in self.history.operations.iter().enumerate() {
            let Action::Poll(polled) = &operation.action else { continue };
            for (key, records) in polled {
                reads.extend(records.iter().enumerate().map(|(at, record)| Read {
                    operation: index,
                    process: operation.process,
                    key: *key,
                    at,
                    record: *record,
                }));
            }
        }
        reads
    }

    fn is_final_poll(action: &Action) -> bool {
        matches!(action, Action::FinalPoll { .. })
    }

    fn final_poll(&mut self, of: Key) -> &mut Vec<Record> {
        let finals = self.history.operations.iter_mut().filter_map(|operation| match &mut operation.action {
            Action::FinalPoll { key, records } if *key == of => Some(records),
            _ => None,
        });
        finals.last().expect("each log has one")
    }

    fn polled(&mut self, read: Read) -> &mut Vec<Record> {
        match &mut self.history.operations[read.operation].action {
            Action::Poll(polled) => polled.get_mut(&read.key).expect("it was read there"),
            _ => panic!("no poll"),
        }
    }

    fn add_step(&mut self, operation: usize, step: Step) {
        match &mut self.history.operations[operation].action {
            Action::Transaction(transaction) => transaction.steps.push(step),
            _ => panic!("no transaction"),
        }
    }

    /// Takes values out of all polls.
    fn remove(&mut self, is_removed: impl Fn(Value) -> bool) {
        let clean = |records: &mut Vec<Record>| records.retain(|record| !is_removed(record.value));
        for operation in &mut self.history.operations {
            match &mut operation.action {
                Action::Transaction(transaction) => {
                    for step in &mut transaction.steps {
                        if let Step::Poll(polled) = step {
                            polled.values_mut().for_each(clean);
                        }
                    }
                }
                Action::Poll(polled) => polled.values_mut().for_each(clean),
                Action::FinalPoll { records, .. } => clean(records),
                Action::Assign | Action::Seek(_) => {}
            }
        }
    }

    /// Exchanges the offsets of two values of one log, for everybody.
    fn swap_offsets(&mut self, first: (Value, i64), second: (Value, i64)) {
        for operation in &mut self.history.operations {
            match &mut operation.action {
                Action::Transaction(transaction) => {
                    for step in &mut transaction.steps {
                        match step {
                            Step::Send(sent) => {
                                sent.offset = sent.offset.map(|at| swapped(sent.value, at, first, second))
                            }
                            Step::Poll(polled) => {
                                polled.values_mut().for_each(|records| swap_in(records, first, second))
                            }
                        }
                    }
                }
                Action::Poll(polled) => polled.values_mut().for_each(|records| swap_in(records, first, second)),
                Action::FinalPoll { records, .. } => swap_in(records, first, second),
                Action::Assign | Action::Seek(_) => {}
            }
        }
    }

    /// Two reads of a log by one process with nothing between, in two operations.
    fn successive_reads(&self) -> Vec<(Read, Read)> {
        let reads = self.reads();
        let mut pairs = Vec::new();
        for later in reads.iter().filter(|read| read.at == 0) {
            let is_before = |read: &&Read| (read.process, read.key) == (later.process, later.key);
            let earlier = reads.iter().take_while(|read| read.operation < later.operation).filter(is_before).last();
            if let Some(earlier) = earlier.filter(|earlier| self.is_continuous(earlier.operation, later.operation)) {
                pairs.push((*earlier, *later));
            }
        }
        pairs
    }

    /// True if the process of two operations was moved nowhere between, and has no poll there that has records.
    fn is_continuous(&self, from: usize, to: usize) -> bool {
        let process = self.history.operations[from].process;
        self.history.operations[from + 1..to].iter().filter(|operation| operation.process == process).all(|operation| {
            !matches!(operation.action, Action::Assign | Action::Seek(_)) && operation.action.records().is_empty()
        })
    }
}

fn swapped(value: Value, offset: i64, first: (Value, i64), second: (Value, i64)) -> i64 {
    match value {
        value if value == first.0 => second.1,
        value if value == second.0 => first.1,
        _ => offset,
    }
}

fn swap_in(records: &mut [Record], first: (Value, i64), second: (Value, i64)) {
    for record in records.iter_mut() {
        record.offset = swapped(record.value, record.offset, first, second);
    }
    records.sort_by_key(|record| record.offset);
}

fn forget(s: &mut Spoiler) -> Option<()> {
    let write = s.writes(Outcome::Committed);
    let write = s.pick(&write)?;
    s.remove(|value| value == write.sent.value);
    Some(())
}

fn forget_last(s: &mut Spoiler) -> Option<()> {
    let write =
        s.writes(Outcome::Committed).into_iter().find(|write| {
            write.sent.offset.is_none()
                && s.history.operations.iter().filter(|operation| Spoiler::is_final_poll(&operation.action)).any(
                    |last| last.action.records().last().is_some_and(|(_, record)| record.value == write.sent.value),
                )
        })?;
    s.remove(|value| value == write.sent.value);
    Some(())
}

fn vanish(s: &mut Spoiler) -> Option<()> {
    let reads = s.reads();
    let read = s.pick(&reads)?;
    s.final_poll(read.key).retain(|record| record.value != read.record.value);
    Some(())
}

fn expose_aborted(s: &mut Spoiler) -> Option<()> {
    let writes: Vec<Write> =
        s.writes(Outcome::Aborted).into_iter().filter(|write| write.sent.offset.is_some()).collect();
    let Sent { key, value, offset } = s.pick(&writes)?.sent;
    let records = s.final_poll(key);
    records.push(Record { offset: offset?, value });
    records.sort_by_key(|record| record.offset);
    Some(())
}

fn read_own(s: &mut Spoiler) -> Option<()> {
    let writes: Vec<Write> =
        s.writes(Outcome::Committed).into_iter().filter(|write| write.sent.offset.is_some()).collect();
    let Write { operation, sent, .. } = s.pick(&writes)?;
    let record = Record { offset: sent.offset?, value: sent.value };
    s.add_step(operation, Step::Poll(Polled::from([(sent.key, vec![record])])));
    Some(())
}

fn read_early(s: &mut Spoiler) -> Option<()> {
    let reads = s.reads();
    let read = s.pick(&reads)?;
    let completed = s.history.operations[read.operation].completed;
    let of = |action: &Action| {
        action.transaction().is_some_and(|transaction| transaction.sends().any(|sent| sent.value == read.record.value))
    };
    let writer = s.history.operations.iter_mut().find(|operation| of(&operation.action))?;
    let Action::Transaction(transaction) = &mut writer.action else { return None };
    transaction.commit_asked = Some(completed + 1);
    Some(())
}

fn tear(s: &mut Spoiler) -> Option<()> {
    let writes = [s.writes(Outcome::Committed), s.writes(Outcome::Unknown)].concat();
    let write = s.pick(&writes)?;
    let of: Vec<Write> = writes.into_iter().filter(|other| other.operation == write.operation).collect();
    let (gone, left): (Vec<Write>, Vec<Write>) = of.into_iter().partition(|other| other.sent.key == write.sent.key);
    let is_there = left.iter().any(|other| s.final_poll(other.sent.key).iter().any(|r| r.value == other.sent.value));
    s.remove(|value| gone.iter().any(|write| write.sent.value == value));
    is_there.then_some(())
}

fn invent(s: &mut Spoiler) -> Option<()> {
    let reads = s.reads();
    let read = s.pick(&reads)?;
    s.polled(read)[read.at].value = Value(u64::MAX);
    Some(())
}

fn double(s: &mut Spoiler) -> Option<()> {
    let reads = s.reads();
    let read = s.pick(&reads)?;
    let records = s.final_poll(read.key);
    let end = records.last()?.offset;
    records.push(Record { offset: end + 2, value: read.record.value });
    Some(())
}

fn swap_values(s: &mut Spoiler) -> Option<()> {
    let reads: Vec<Read> = s.reads().into_iter().filter(|read| read.at > 0).collect();
    let read = s.pick(&reads)?;
    let records = s.polled(read);
    let former = records[read.at - 1].value;
    records[read.at - 1].value = std::mem::replace(&mut records[read.at].value, former);
    Some(())
}

fn cross_reads(s: &mut Spoiler) -> Option<()> {
    let writes: Vec<Write> =
        s.writes(Outcome::Committed).into_iter().filter(|write| write.sent.offset.is_some()).collect();
    let first = s.pick(&writes)?;
    let others: Vec<Write> = writes.into_iter().filter(|write| write.operation != first.operation).collect();
    let second = s.pick(&others)?;
    for (reader, read) in [(first.operation, second.sent), (second.operation, first.sent)] {
        let record = Record { offset: read.offset?, value: read.value };
        s.add_step(reader, Step::Poll(Polled::from([(read.key, vec![record])])));
    }
    Some(())
}

fn go_back(s: &mut Spoiler) -> Option<()> {
    let pairs = s.successive_reads();
    let (earlier, later) = s.pick(&pairs)?;
    s.polled(later).insert(0, earlier.record);
    Some(())
}

fn skip_first(s: &mut Spoiler) -> Option<()> {
    let pairs = s.successive_reads();
    let pairs: Vec<_> = pairs.into_iter().filter(|(_, later)| s.polled(*later).len() > 1).collect();
    let (_, later) = s.pick(&pairs)?;
    s.polled(later).remove(0);
    Some(())
}

fn swap_records(s: &mut Spoiler) -> Option<()> {
    let reads: Vec<Read> = s.reads().into_iter().filter(|read| read.at > 0).collect();
    let read = s.pick(&reads)?;
    s.polled(read).swap(read.at - 1, read.at);
    Some(())
}

fn skip_within(s: &mut Spoiler) -> Option<()> {
    let reads = s.reads();
    let reads: Vec<Read> =
        reads.into_iter().filter(|read| read.at > 0 && s.polled(*read).len() > read.at + 1).collect();
    let read = s.pick(&reads)?;
    s.polled(read).remove(read.at);
    Some(())
}

/// Two values that a process sent to one log, of which both offsets are known.
fn pairs_of_sends(s: &Spoiler, is_pair: impl Fn(&Write, &Write) -> bool) -> Vec<(Write, Write)> {
    let writes: Vec<Write> =
        s.writes(Outcome::Committed).into_iter().filter(|write| write.sent.offset.is_some()).collect();
    let mut pairs = Vec::new();
    for (at, first) in writes.iter().enumerate() {
        let is_pair = |second: &&Write| first.sent.key == second.sent.key && is_pair(first, second);
        pairs.extend(writes[at + 1..].iter().filter(is_pair).map(|second| (*first, *second)));
    }
    pairs
}

fn swap_sends(s: &mut Spoiler, pairs: &[(Write, Write)]) -> Option<()> {
    let (first, second) = s.pick(pairs)?;
    s.swap_offsets((first.sent.value, first.sent.offset?), (second.sent.value, second.sent.offset?));
    Some(())
}

fn swap_across_transactions(s: &mut Spoiler) -> Option<()> {
    let process = |write: &Write| s.history.operations[write.operation].process;
    let sends = |write: &Write| -> Vec<Sent> {
        let transaction = s.history.operations[write.operation].action.transaction();
        transaction.expect("it wrote").sends().filter(|sent| sent.key == write.sent.key).copied().collect()
    };
    // Others of the same transaction would be out of order first.
    let is_outer = |a: &Write, b: &Write| sends(a).last() == Some(&a.sent) && sends(b).first() == Some(&b.sent);
    let pairs = pairs_of_sends(s, |a, b| a.operation != b.operation && process(a) == process(b) && is_outer(a, b));
    swap_sends(s, &pairs)
}

fn swap_within_transaction(s: &mut Spoiler) -> Option<()> {
    let pairs = pairs_of_sends(s, |a, b| a.operation == b.operation);
    swap_sends(s, &pairs)
}

fn forget_assignment(s: &mut Spoiler) -> Option<()> {
    let is_move = |action: &Action| matches!(action, Action::Assign | Action::Seek(_));
    let before = violations(check(&s.history)).len();
    for operation in 0..s.history.operations.len() {
        if !is_move(&s.history.operations[operation].action) {
            continue;
        }
        let kept = std::mem::replace(&mut s.history.operations[operation].action, Action::Poll(Polled::new()));
        if violations(check(&s.history)).len() > before {
            return Some(());
        }
        s.history.operations[operation].action = kept;
    }
    None
}
