//! `transaction.version`: how transactional producers and the broker talk (KIP-890; Kafka's `TransactionVersion`).

/// The name of the feature.
pub const TRANSACTION_VERSION_FEATURE: &str = "transaction.version";

/// A level of the feature; also how a client talks, which its requests show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionVersion {
    /// Clients add partitions to a transaction before they produce, and an epoch lasts for many transactions.
    #[default]
    V0,
    /// The same, with records of transactions that later releases can add to.
    V1,
    /// Producing adds partitions, and each transaction has an epoch of its own.
    V2,
}

impl TransactionVersion {
    /// What this broker formats a directory with, and the highest that Apache Kafka 4.4.0 has.
    pub const LATEST: Self = Self::V2;

    /// The version of a feature level, or of a record. What is higher than the latest is taken for that.
    #[must_use]
    pub const fn from_level(level: i16) -> Self {
        match level {
            i16::MIN..=0 => Self::V0,
            1 => Self::V1,
            2.. => Self::V2,
        }
    }

    /// The feature level.
    #[must_use]
    pub const fn level(self) -> i16 {
        match self {
            Self::V0 => 0,
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }

    /// Whether the end of a transaction raises the producer's epoch: what comes late, of the transaction or of its end, is then
    /// known by its epoch.
    #[must_use]
    pub const fn bumps_epoch(self) -> bool {
        matches!(self, Self::V2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_the_feature() {
        for version in [TransactionVersion::V0, TransactionVersion::V1, TransactionVersion::V2] {
            assert_eq!(TransactionVersion::from_level(version.level()), version);
        }
        assert_eq!([-1, 3, i16::MAX].map(|level| TransactionVersion::from_level(level).level()), [0, 2, 2]);
    }
}
