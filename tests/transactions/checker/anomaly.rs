//! What a check can find.

use std::fmt;

/// A kind of thing that should not be, the most severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    /// A value of a transaction that never asked for a commit was polled (G1a).
    AbortedRead,
    /// A value was polled before its transaction asked for the commit, or by that transaction itself.
    PrecommittedRead,
    /// A transaction is visible in part.
    TornTransaction,
    /// A committed value is missing where later ones were polled, or was seen once and is gone at the end.
    LostWrite,
    /// A committed value that nobody ever polled.
    Unseen,
    /// A value was polled that nobody sent there.
    UnwrittenRead,
    /// A value stands at more than one offset.
    Duplicate,
    /// An offset has more than one value.
    InconsistentOffsets,
    /// Transactions that each polled what the next one wrote, all the way round (G1c).
    ReadCycle,
    /// A consumer went back between two operations.
    NonmonotonicPoll,
    /// A consumer left something out between two operations.
    PollSkip,
    /// A consumer went back within an operation.
    IntNonmonotonicPoll,
    /// A consumer left something out within an operation.
    IntPollSkip,
    /// What a producer sent later stands before what its earlier transaction sent.
    NonmonotonicSend,
    /// What a transaction sent later stands before what it sent earlier.
    IntNonmonotonicSend,
    /// An input that no output was made of.
    Unprocessed,
    /// An input that more than one output was made of.
    ProcessedTwice,
    /// Another transaction's value stands between two of a transaction.
    IntSendSkip,
    /// Transactions that each wrote before the next one, in some log, all the way round (G0).
    WriteCycle,
}

impl Class {
    /// True of what Kafka's transactions do not promise: that their writes are apart from each other.
    pub(crate) fn is_allowed(self) -> bool {
        matches!(self, Self::IntSendSkip | Self::WriteCycle)
    }
}

/// One case of a class.
#[derive(Clone, Debug)]
pub(crate) struct Anomaly {
    pub(crate) class: Class,
    /// The operations that show it, by their index in the history.
    pub(crate) operations: Vec<usize>,
    /// What they show.
    pub(crate) text: String,
}

impl Anomaly {
    pub(super) fn new(class: Class, operations: impl IntoIterator<Item = usize>, text: String) -> Self {
        let mut distinct: Vec<usize> = Vec::new();
        for operation in operations {
            if !distinct.contains(&operation) {
                distinct.push(operation);
            }
        }
        Self { class, operations: distinct, text }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {} (operations {:?})", self.class, self.text, self.operations)
    }
}
