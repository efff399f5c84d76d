//! `metadata.version`: which versions of records a metadata log may hold.

/// The name of the feature.
pub const METADATA_VERSION_FEATURE: &str = "metadata.version";

/// A level of the feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetadataLevel(i16);

impl MetadataLevel {
    /// 4.4-IV2: what this broker formats a directory with, and the highest that Apache Kafka 4.4.0 has.
    pub const LATEST: Self = Self(33);
    /// 3.3-IV3: the lowest that Apache Kafka 4.4.0 starts on.
    pub const LOWEST: Self = Self(7);
    /// 3.8-IV0: what this broker wrote before it formatted directories.
    pub const UNFORMATTED: Self = Self(20);

    /// 3.4-IV0.
    const MIGRATION: Self = Self(8);
    /// 3.5-IV2.
    const SCRAM: Self = Self(11);
    /// 3.7-IV2.
    const DIRECTORIES: Self = Self(17);
    /// 4.0-IV1.
    const ELIGIBLE_LEADER_REPLICAS: Self = Self(23);
    /// 4.3-IV0.
    const CORDONED_DIRECTORIES: Self = Self(30);

    /// The level of this number.
    #[must_use]
    pub const fn new(level: i16) -> Self {
        Self(level)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i16 {
        self.0
    }

    /// Of PartitionRecord and PartitionChangeRecord.
    #[must_use]
    pub fn partition_version(self) -> i16 {
        if self >= Self::ELIGIBLE_LEADER_REPLICAS { 2 } else { i16::from(self.has_directories()) }
    }

    /// Of RegisterBrokerRecord.
    #[must_use]
    pub fn register_broker_version(self) -> i16 {
        let steps = [Self::MIGRATION, Self::DIRECTORIES, Self::CORDONED_DIRECTORIES];
        (1..).zip(steps).filter(|(_, step)| self >= *step).map(|(before, _)| before + 1).last().unwrap_or(1)
    }

    /// Whether there are users.
    #[must_use]
    pub fn has_scram(self) -> bool {
        self >= Self::SCRAM
    }

    /// Whether partitions say which directories they are in.
    #[must_use]
    pub fn has_directories(self) -> bool {
        self >= Self::DIRECTORIES
    }

    /// Whether partitions have eligible leader replicas.
    #[must_use]
    pub fn has_eligible_leader_replicas(self) -> bool {
        self >= Self::ELIGIBLE_LEADER_REPLICAS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `MetadataVersion` of Apache Kafka 4.4.0 answers.
    #[test]
    fn versions_are_kafkas() {
        let versions = |level| {
            let level = MetadataLevel::new(level);
            (level.register_broker_version(), level.partition_version())
        };
        assert_eq!([7, 8, 16].map(versions), [(1, 0), (2, 0), (2, 0)]);
        assert_eq!([17, 22, 23, 29].map(versions), [(3, 1), (3, 1), (3, 2), (3, 2)]);
        assert_eq!([30, 33].map(versions), [(4, 2), (4, 2)]);
    }
}
