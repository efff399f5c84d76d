//! The states of a transactional id, and which may follow which (Kafka's `TransactionState`).

/// Where the transaction of a transactional id stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// There has been no transaction since the producer was initialised.
    Empty,
    /// One is open.
    Ongoing,
    /// It is decided that it commits; not every partition has been told.
    PrepareCommit,
    /// It is decided that it aborts; not every partition has been told.
    PrepareAbort,
    /// Every partition knows that it committed.
    CompleteCommit,
    /// Every partition knows that it aborted.
    CompleteAbort,
    /// The id has expired. Never written: a tombstone says it.
    Dead,
    /// The producer of the open one is shut out, and it is about to be aborted. Never written: that is one step.
    PrepareEpochFence,
}

impl State {
    /// Each, by its code.
    pub const ALL: [Self; 8] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
        Self::Dead,
        Self::PrepareEpochFence,
    ];

    /// What stands in a record for it.
    #[must_use]
    pub const fn code(self) -> i8 {
        match self {
            Self::Empty => 0,
            Self::Ongoing => 1,
            Self::PrepareCommit => 2,
            Self::PrepareAbort => 3,
            Self::CompleteCommit => 4,
            Self::CompleteAbort => 5,
            Self::Dead => 6,
            Self::PrepareEpochFence => 7,
        }
    }

    /// The state with this code.
    #[must_use]
    pub fn from_code(code: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    /// As Kafka spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
            Self::Dead => "Dead",
            Self::PrepareEpochFence => "PrepareEpochFence",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether an id may come to this state from `previous`.
    #[must_use]
    pub const fn may_follow(self, previous: Self) -> bool {
        let is_closed = previous.is_closed();
        match self {
            Self::Empty | Self::Dead => is_closed,
            Self::Ongoing => is_closed || matches!(previous, Self::Ongoing),
            Self::PrepareCommit | Self::PrepareEpochFence => matches!(previous, Self::Ongoing),
            // Also where none is open: its end gives the producer a new epoch (KIP-890).
            Self::PrepareAbort => is_closed || matches!(previous, Self::Ongoing | Self::PrepareEpochFence),
            Self::CompleteCommit => matches!(previous, Self::PrepareCommit),
            Self::CompleteAbort => matches!(previous, Self::PrepareAbort),
        }
    }

    /// Whether a record can have it.
    #[must_use]
    pub const fn is_written(self) -> bool {
        !matches!(self, Self::Dead | Self::PrepareEpochFence)
    }

    /// No transaction is open, nor is the end of one on its way.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Empty | Self::CompleteCommit | Self::CompleteAbort)
    }

    /// The end of a transaction is decided, and on its way to the partitions.
    #[must_use]
    pub const fn is_prepared(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Its records count.
    Commit,
    /// Nobody reads them.
    Abort,
}

impl Outcome {
    pub(super) const fn prepared(self) -> State {
        match self {
            Self::Commit => State::PrepareCommit,
            Self::Abort => State::PrepareAbort,
        }
    }

    pub(super) const fn completed(self) -> State {
        match self {
            Self::Commit => State::CompleteCommit,
            Self::Abort => State::CompleteAbort,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_lead_back() {
        for state in State::ALL {
            assert_eq!((State::from_code(state.code()), State::from_name(state.name())), (Some(state), Some(state)));
        }
        assert_eq!((State::from_code(8), State::from_name("empty")), (None, None));
    }

    /// As `TransactionState.validPreviousStates` of Apache Kafka 4.4.0 has it.
    #[test]
    fn states_follow_each_other_as_in_kafka() {
        use State::{
            CompleteAbort, CompleteCommit, Dead, Empty, Ongoing, PrepareAbort, PrepareCommit, PrepareEpochFence,
        };
        let before = |state: State| State::ALL.into_iter().filter(move |previous| state.may_follow(*previous));
        let expected: [(State, &[State]); 8] = [
            (Empty, &[Empty, CompleteCommit, CompleteAbort]),
            (Ongoing, &[Empty, Ongoing, CompleteCommit, CompleteAbort]),
            (PrepareCommit, &[Ongoing]),
            (PrepareAbort, &[Empty, Ongoing, CompleteCommit, CompleteAbort, PrepareEpochFence]),
            (CompleteCommit, &[PrepareCommit]),
            (CompleteAbort, &[PrepareAbort]),
            (Dead, &[Empty, CompleteCommit, CompleteAbort]),
            (PrepareEpochFence, &[Ongoing]),
        ];
        for (state, previous) in expected {
            assert_eq!(before(state).collect::<Vec<_>>(), previous, "{state:?}");
        }
    }
}
