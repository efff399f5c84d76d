//! What clients did and were told, in the terms of the checker.
//!
//! Times are ticks of one counter that all processes share: what happened before has the smaller tick.

use std::{collections::BTreeMap, fmt};

/// A partition, which is a log of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) topic: &'static str,
    pub(crate) partition: i32,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// What a record holds. No two records are sent with the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Value(pub(crate) u64);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

/// A record as a consumer gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) offset: i64,
    pub(crate) value: Value,
}

/// What a consumer got in one poll, each log's records in the order in which they came.
pub(crate) type Polled = BTreeMap<Key, Vec<Record>>;

/// A record that was given to a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) key: Key,
    pub(crate) value: Value,
    /// Where the broker said that it is.
    pub(crate) offset: Option<i64>,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Sent),
    Poll(Polled),
}

/// How a transaction ended, as far as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The commit succeeded.
    Committed,
    /// A commit was never asked for, or was refused for good.
    Aborted,
    /// A commit was asked for, and the answer is not known.
    Unknown,
}

#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) steps: Vec<Step>,
    pub(crate) outcome: Outcome,
    /// When the commit was asked for: nobody may see what it sent before then.
    pub(crate) commit_asked: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) enum Action {
    Transaction(Transaction),
    /// A poll by a consumer that has no transaction.
    Poll(Polled),
    /// The consumer was given other partitions: it may begin anywhere in all of them.
    Assign,
    /// The consumer was moved in these.
    Seek(Vec<Key>),
    /// When everything has ended, all that a log has, from its start to its end.
    FinalPoll {
        key: Key,
        records: Vec<Record>,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// A client that does one thing at a time.
    pub(crate) process: u32,
    pub(crate) invoked: u64,
    pub(crate) completed: u64,
    pub(crate) action: Action,
}

/// Outputs that were made of inputs, each of one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pipeline {
    pub(crate) inputs: Vec<Key>,
    pub(crate) outputs: Vec<Key>,
    /// Of each output the input, also of those whose transaction was aborted.
    pub(crate) sources: BTreeMap<Value, Value>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) operations: Vec<Operation>,
    pub(crate) pipeline: Option<Pipeline>,
}

impl Action {
    pub(crate) fn transaction(&self) -> Option<&Transaction> {
        match self {
            Self::Transaction(transaction) => Some(transaction),
            Self::Poll(_) | Self::Assign | Self::Seek(_) | Self::FinalPoll { .. } => None,
        }
    }

    /// The records that it got, each log's in the order in which they came.
    pub(super) fn records(&self) -> Vec<(Key, Record)> {
        let of = |polled: &Polled| -> Vec<(Key, Record)> {
            polled.iter().flat_map(|(key, records)| records.iter().map(|record| (*key, *record))).collect()
        };
        match self {
            Self::Transaction(transaction) => transaction
                .steps
                .iter()
                .flat_map(|step| match step {
                    Step::Send(_) => Vec::new(),
                    Step::Poll(polled) => of(polled),
                })
                .collect(),
            Self::Poll(polled) => of(polled),
            Self::FinalPoll { key, records } => records.iter().map(|record| (*key, *record)).collect(),
            Self::Assign | Self::Seek(_) => Vec::new(),
        }
    }
}

impl Transaction {
    pub(crate) fn sends(&self) -> impl Iterator<Item = &Sent> {
        self.steps.iter().filter_map(|step| match step {
            Step::Send(sent) => Some(sent),
            Step::Poll(_) => None,
        })
    }
}
