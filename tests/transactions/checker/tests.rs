//! For every class a history that shows it, and one that almost does.

use super::{
    Action, Class, History, Key, Operation, Outcome, Pipeline, Polled, Record, Sent, Step, Transaction, Value, check,
};

const A: Key = Key { topic: "a", partition: 0 };
const B: Key = Key { topic: "b", partition: 0 };

/// A history in the order in which it is written: each operation ends before the next one begins, unless it says otherwise.
#[derive(Default)]
struct Told(History);

impl Told {
    fn then(mut self, process: u32, action: Action) -> Self {
        let invoked = self.now();
        self.0.operations.push(Operation { process, invoked, completed: invoked + 2, action });
        self
    }

    fn now(&self) -> u64 {
        10 * self.0.operations.len() as u64
    }

    fn transaction(self, process: u32, outcome: Outcome, steps: impl Into<Vec<Step>>) -> Self {
        let commit_asked = (outcome != Outcome::Aborted).then_some(self.now() + 1);
        self.then(process, Action::Transaction(Transaction { steps: steps.into(), outcome, commit_asked }))
    }

    fn committed(self, process: u32, steps: impl Into<Vec<Step>>) -> Self {
        self.transaction(process, Outcome::Committed, steps)
    }

    fn poll(self, process: u32, key: Key, records: &[(i64, u64)]) -> Self {
        self.then(process, Action::Poll(Polled::from([(key, self::records(records))])))
    }

    fn final_poll(self, key: Key, records: &[(i64, u64)]) -> Self {
        self.then(99, Action::FinalPoll { key, records: self::records(records) })
    }

    /// The last operation ends after the whole history.
    fn without_end(mut self) -> Self {
        let last = self.0.operations.last_mut().expect("an operation");
        last.completed = u64::MAX;
        self
    }

    #[track_caller]
    fn shows(self, classes: &[Class]) {
        let anomalies = check(&self.0);
        let mut found: Vec<Class> = anomalies.iter().map(|anomaly| anomaly.class).collect();
        found.dedup();
        assert_eq!(found, classes, "{}", super::report(&self.0, &anomalies));
        let named = |anomaly: &super::Anomaly| !anomaly.operations.is_empty() || anomaly.class == Class::Unprocessed;
        assert!(anomalies.iter().all(named), "an anomaly without an operation: {anomalies:?}");
    }
}

fn records(records: &[(i64, u64)]) -> Vec<Record> {
    records.iter().map(|(offset, value)| Record { offset: *offset, value: Value(*value) }).collect()
}

/// A value, sent; the broker said where it is.
fn send(key: Key, value: u64, offset: i64) -> Step {
    Step::Send(Sent { key, value: Value(value), offset: Some(offset) })
}

/// A value, sent without an answer.
fn send_unanswered(key: Key, value: u64) -> Step {
    Step::Send(Sent { key, value: Value(value), offset: None })
}

fn polled(key: Key, of: &[(i64, u64)]) -> Step {
    Step::Poll(Polled::from([(key, records(of))]))
}

#[test]
fn aborted_read() {
    let aborted = || Told::default().transaction(1, Outcome::Aborted, [send(A, 1, 0)]).committed(2, [send(A, 2, 2)]);
    aborted().final_poll(A, &[(0, 1), (2, 2)]).shows(&[Class::AbortedRead]);
    aborted().final_poll(A, &[(2, 2)]).shows(&[]);
    let unknown = Told::default().transaction(1, Outcome::Unknown, [send(A, 1, 0)]).committed(2, [send(A, 2, 2)]);
    unknown.final_poll(A, &[(0, 1), (2, 2)]).shows(&[]);
}

#[test]
fn precommitted_read() {
    let own = Told::default().committed(1, [send(A, 1, 0), polled(A, &[(0, 1)])]);
    own.final_poll(A, &[(0, 1)]).shows(&[Class::PrecommittedRead]);
    let other = Told::default().committed(1, [send(A, 1, 0)]).committed(1, [send(A, 2, 2), polled(A, &[(0, 1)])]);
    other.final_poll(A, &[(0, 1), (2, 2)]).shows(&[]);
    let early = Told::default().poll(1, A, &[(0, 1)]).committed(2, [send(A, 1, 0)]);
    early.final_poll(A, &[(0, 1)]).shows(&[Class::PrecommittedRead]);
    let concurrent = Told::default().poll(1, A, &[(0, 1)]).without_end().committed(2, [send(A, 1, 0)]);
    concurrent.final_poll(A, &[(0, 1)]).shows(&[]);
}

#[test]
fn torn_transaction() {
    let unknown = || Told::default().transaction(1, Outcome::Unknown, [send_unanswered(A, 1), send_unanswered(B, 2)]);
    unknown().final_poll(A, &[(0, 1)]).final_poll(B, &[]).shows(&[Class::TornTransaction]);
    unknown().final_poll(A, &[(0, 1)]).final_poll(B, &[(0, 2)]).shows(&[]);
    unknown().final_poll(A, &[]).final_poll(B, &[]).shows(&[]);
    // Nobody has read the other log yet.
    unknown().final_poll(A, &[(0, 1)]).shows(&[]);
    let committed = Told::default().committed(1, [send(A, 1, 0), send(B, 2, 0)]);
    let seen_in_part = committed.final_poll(A, &[(0, 1)]).final_poll(B, &[]);
    seen_in_part.shows(&[Class::TornTransaction, Class::Unseen]);
}

#[test]
fn lost_write() {
    let two = || Told::default().committed(1, [send(A, 1, 0)]).committed(1, [send(A, 2, 2)]);
    two().poll(3, A, &[(2, 2)]).final_poll(A, &[(2, 2)]).shows(&[Class::LostWrite]);
    two().poll(3, A, &[(2, 2)]).final_poll(A, &[(0, 1), (2, 2)]).shows(&[]);
    // Seen once, gone at the end.
    two().poll(3, A, &[(0, 1), (2, 2)]).final_poll(A, &[(2, 2)]).shows(&[Class::LostWrite]);
    let unknown = Told::default().transaction(1, Outcome::Unknown, [send(A, 1, 0)]).committed(1, [send(A, 2, 2)]);
    unknown.final_poll(A, &[(2, 2)]).shows(&[]);
}

#[test]
fn unseen() {
    let two = || Told::default().committed(1, [send(A, 1, 0)]).committed(1, [send(A, 2, 2)]);
    two().final_poll(A, &[(0, 1)]).shows(&[Class::Unseen]);
    two().shows(&[Class::Unseen]);
    let last_unknown = Told::default().committed(1, [send(A, 1, 0)]).transaction(1, Outcome::Unknown, [send(A, 2, 2)]);
    last_unknown.final_poll(A, &[(0, 1)]).shows(&[]);
}

#[test]
fn unwritten_read() {
    let one = || Told::default().committed(1, [send(A, 1, 0)]);
    one().final_poll(A, &[(0, 1), (1, 7)]).shows(&[Class::UnwrittenRead]);
    one().final_poll(A, &[(0, 1)]).final_poll(B, &[(0, 1)]).shows(&[Class::UnwrittenRead]);
    one().final_poll(A, &[(0, 1)]).final_poll(B, &[]).shows(&[]);
}

#[test]
fn duplicate() {
    let one = || Told::default().committed(1, [send(A, 1, 0)]);
    one().final_poll(A, &[(0, 1), (3, 1)]).shows(&[Class::Duplicate]);
    one().final_poll(A, &[(3, 1)]).shows(&[Class::Duplicate]);
    one().final_poll(A, &[(0, 1)]).final_poll(A, &[(0, 1)]).shows(&[]);
}

#[test]
fn inconsistent_offsets() {
    let two = |offset| Told::default().committed(1, [send(A, 1, 0)]).committed(2, [send(A, 2, offset)]);
    two(0).final_poll(A, &[(0, 1), (2, 2)]).shows(&[Class::Duplicate, Class::InconsistentOffsets]);
    let aborted = Told::default().committed(1, [send(A, 1, 0)]).transaction(2, Outcome::Aborted, [send(A, 2, 0)]);
    aborted.final_poll(A, &[(0, 1)]).shows(&[Class::InconsistentOffsets]);
    two(2).final_poll(A, &[(0, 1), (2, 2)]).shows(&[]);
}

#[test]
fn nonmonotonic_poll() {
    let two = || Told::default().committed(1, [send(A, 1, 0), send(A, 2, 1)]).poll(3, A, &[(0, 1), (1, 2)]);
    let end = |told: Told| told.final_poll(A, &[(0, 1), (1, 2)]);
    end(two().poll(3, A, &[(1, 2)])).shows(&[Class::NonmonotonicPoll]);
    end(two().poll(4, A, &[(1, 2)])).shows(&[]);
    end(two().then(3, Action::Assign).poll(3, A, &[(0, 1), (1, 2)])).shows(&[]);
    end(two().then(3, Action::Seek(vec![A])).poll(3, A, &[(1, 2)])).shows(&[]);
    end(two().then(3, Action::Seek(vec![B])).poll(3, A, &[(1, 2)])).shows(&[Class::NonmonotonicPoll]);
}

#[test]
fn poll_skip() {
    let three = || Told::default().committed(1, [send(A, 1, 0), send(A, 2, 1), send(A, 3, 2)]).poll(3, A, &[(0, 1)]);
    let end = |told: Told| told.final_poll(A, &[(0, 1), (1, 2), (2, 3)]);
    end(three().poll(3, A, &[(2, 3)])).shows(&[Class::PollSkip]);
    end(three().poll(3, A, &[(1, 2), (2, 3)])).shows(&[]);
    end(three().then(3, Action::Assign).poll(3, A, &[(2, 3)])).shows(&[]);
    // What was aborted is nothing.
    let hole = Told::default().committed(1, [send(A, 1, 0)]).transaction(1, Outcome::Aborted, [send(A, 2, 2)]);
    let hole = hole.committed(1, [send(A, 3, 4)]).poll(3, A, &[(0, 1)]).poll(3, A, &[(4, 3)]);
    hole.final_poll(A, &[(0, 1), (4, 3)]).shows(&[]);
}

#[test]
fn int_nonmonotonic_poll() {
    let two = || Told::default().committed(1, [send(A, 1, 0), send(A, 2, 1)]);
    let end = |told: Told| told.final_poll(A, &[(0, 1), (1, 2)]);
    end(two().poll(3, A, &[(1, 2), (0, 1)])).shows(&[Class::IntNonmonotonicPoll]);
    let of_transaction = two().committed(3, [polled(A, &[(0, 1), (1, 2)]), polled(A, &[(1, 2)])]);
    end(of_transaction).shows(&[Class::IntNonmonotonicPoll]);
    end(two().committed(3, [polled(A, &[(0, 1)]), polled(A, &[(1, 2)])])).shows(&[]);
}

#[test]
fn int_poll_skip() {
    let three = || Told::default().committed(1, [send(A, 1, 0), send(A, 2, 1), send(A, 3, 2)]);
    let end = |told: Told| told.final_poll(A, &[(0, 1), (1, 2), (2, 3)]);
    end(three().poll(3, A, &[(0, 1), (2, 3)])).shows(&[Class::IntPollSkip]);
    end(three().committed(3, [polled(A, &[(0, 1)]), polled(A, &[(2, 3)])])).shows(&[Class::IntPollSkip]);
    end(three().committed(3, [polled(A, &[(0, 1)]), polled(A, &[(1, 2), (2, 3)])])).shows(&[]);
}

#[test]
fn nonmonotonic_send() {
    let two = |first, second| Told::default().committed(1, [send(A, 1, first)]).committed(second, [send(A, 2, 0)]);
    two(2, 1).final_poll(A, &[(0, 2), (2, 1)]).shows(&[Class::NonmonotonicSend]);
    two(2, 2).final_poll(A, &[(0, 2), (2, 1)]).shows(&[]);
    let seen = Told::default().committed(1, [send_unanswered(A, 1)]).committed(1, [send_unanswered(A, 2)]);
    seen.final_poll(A, &[(0, 2), (2, 1)]).shows(&[Class::NonmonotonicSend]);
}

#[test]
fn int_nonmonotonic_send() {
    let two = |first, second| Told::default().committed(1, [send(A, 1, first), send(A, 2, second)]);
    two(1, 0).final_poll(A, &[(0, 2), (1, 1)]).shows(&[Class::IntNonmonotonicSend]);
    two(0, 1).final_poll(A, &[(0, 1), (1, 2)]).shows(&[]);
}

#[test]
fn int_send_skip() {
    let interleaved = Told::default().committed(1, [send(A, 1, 0), send(A, 2, 2)]).committed(2, [send(A, 3, 1)]);
    interleaved.final_poll(A, &[(0, 1), (1, 3), (2, 2)]).shows(&[Class::IntSendSkip, Class::WriteCycle]);
    let apart = Told::default().committed(1, [send(A, 1, 0), send(A, 2, 1)]).committed(2, [send(A, 3, 3)]);
    apart.final_poll(A, &[(0, 1), (1, 2), (3, 3)]).shows(&[]);
}

#[test]
fn write_cycle() {
    let crossed =
        Told::default().committed(1, [send(A, 1, 0), send(B, 2, 1)]).committed(2, [send(A, 3, 1), send(B, 4, 0)]);
    crossed.final_poll(A, &[(0, 1), (1, 3)]).final_poll(B, &[(0, 4), (1, 2)]).shows(&[Class::WriteCycle]);
    let parallel =
        Told::default().committed(1, [send(A, 1, 0), send(B, 2, 0)]).committed(2, [send(A, 3, 1), send(B, 4, 1)]);
    parallel.final_poll(A, &[(0, 1), (1, 3)]).final_poll(B, &[(0, 2), (1, 4)]).shows(&[]);
}

#[test]
fn read_cycle() {
    let end = |told: Told| told.final_poll(A, &[(0, 1)]).final_poll(B, &[(0, 2)]);
    let first = |outcome| Told::default().transaction(1, outcome, [polled(B, &[(0, 2)]), send(A, 1, 0)]).without_end();
    let second = |told: Told| told.committed(2, [polled(A, &[(0, 1)]), send(B, 2, 0)]);
    end(second(first(Outcome::Committed))).shows(&[Class::ReadCycle]);
    end(second(first(Outcome::Unknown))).shows(&[Class::ReadCycle]);
    let one_way = Told::default().committed(1, [send(A, 1, 0)]).committed(2, [polled(A, &[(0, 1)]), send(B, 2, 0)]);
    end(one_way).shows(&[]);
}

/// Another transaction of a process made of what only its next one leads to.
#[test]
fn read_cycle_through_a_process() {
    let history = |first| {
        let told = Told::default().committed(first, [polled(B, &[(0, 2)])]).without_end().committed(1, [send(A, 1, 0)]);
        told.committed(2, [polled(A, &[(0, 1)]), send(B, 2, 0)]).final_poll(A, &[(0, 1)]).final_poll(B, &[(0, 2)])
    };
    history(1).shows(&[Class::ReadCycle]);
    history(3).shows(&[]);
}

#[test]
fn pipelines() {
    let history = |outputs: &[(i64, u64)], second: Outcome| {
        let mut told = Told::default()
            .committed(1, [send(A, 1, 0)])
            .transaction(2, Outcome::Unknown, [send_unanswered(B, 10)])
            .transaction(2, second, [send_unanswered(B, 11)])
            .final_poll(A, &[(0, 1)])
            .final_poll(B, outputs);
        let sources = [(Value(10), Value(1)), (Value(11), Value(1))].into();
        told.0.pipeline = Some(Pipeline { inputs: vec![A], outputs: vec![B], sources });
        told
    };
    history(&[], Outcome::Unknown).shows(&[Class::Unprocessed]);
    history(&[(0, 10)], Outcome::Unknown).shows(&[]);
    history(&[(2, 11)], Outcome::Committed).shows(&[]);
    history(&[(0, 10), (2, 11)], Outcome::Committed).shows(&[Class::ProcessedTwice]);
}

#[test]
#[should_panic(expected = "v1 was sent twice")]
fn values_are_sent_once() {
    check(&Told::default().committed(1, [send(A, 1, 0)]).committed(2, [send(B, 1, 0)]).0);
}
