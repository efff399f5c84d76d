//! Adding partitions to topics: what is asked for goes in, records or a refusal come out. Pure.
//!
//! The rules and the texts, which clients see, are those of Kafka's `ReplicationControlManager.createPartitions`.

use super::{
    image::{Image, Topic},
    record::MetadataRecord,
    topics::{self, AssignmentError, Home, PARTITIONS_PER_REQUEST_MAX, PartitionLimitError},
};
use crate::{config::topic_name, protocol::messages::PartitionRecord};

/// A topic that is to have more partitions.
#[derive(Clone, Debug, Default)]
pub struct Growth {
    /// Its name.
    pub topic: String,
    /// How many it is to have.
    pub count: i32,
    /// The brokers of each new partition, where they are given.
    pub assignment: Option<Vec<Vec<i32>>>,
}

/// Why a topic gets no more partitions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrowthError {
    /// There is no such topic.
    #[error("This server does not host this topic-partition.")]
    Unknown,
    /// Kafka allows it, and who looks for a group or a transaction by the new count finds nothing of it from then on.
    #[error(
        "The internal topic {0} keeps its partitions: groups and transactions are found by their number, and would be lost."
    )]
    Internal(String),
    /// As many as it has.
    #[error("Topic already has {0} partition(s).")]
    Same(usize),
    /// Fewer than it has.
    #[error("The topic {topic} currently has {current} partition(s); {asked} would not be an increase.")]
    Fewer {
        /// The topic.
        topic: String,
        /// Partitions that it has.
        current: usize,
        /// Partitions asked for.
        asked: i32,
    },
    /// An assignment for another number of partitions.
    #[error("Attempted to add {additional} additional partition(s), but only {assigned} assignment(s) were specified.")]
    Assignments {
        /// Partitions to be added.
        additional: usize,
        /// Those that are assigned.
        assigned: usize,
    },
    /// An assignment that is none.
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    /// More partitions than one request may create.
    #[error(
        "Excessively large number of additional partitions per request: {0}, {PARTITIONS_PER_REQUEST_MAX} are allowed."
    )]
    TooMany(usize),
    /// More partitions than the broker takes.
    #[error(transparent)]
    Limit(#[from] PartitionLimitError),
}

/// The records that add partitions to a topic, in a request that has added so many before.
pub fn grow(image: &Image, growth: &Growth, home: Home, before: usize) -> Result<Vec<PartitionRecord>, GrowthError> {
    let topic = image.topic(&growth.topic).ok_or(GrowthError::Unknown)?;
    if topic_name::is_internal(&topic.name) {
        return Err(GrowthError::Internal(growth.topic.clone()));
    }
    let additional = additional(topic, growth.count)?;
    if let Some(assignment) = &growth.assignment {
        check_assignment(assignment, additional, home)?;
    }
    if before.saturating_add(additional) > PARTITIONS_PER_REQUEST_MAX {
        return Err(GrowthError::TooMany(before.saturating_add(additional)));
    }
    topics::check_limit(image, &topic.name, additional, home)?;
    let first = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    Ok((first..growth.count).map(|partition| topics::partition_record(topic.id, partition, home)).collect())
}

/// The records of the metadata that these are.
pub fn records(partitions: Vec<PartitionRecord>) -> impl Iterator<Item = MetadataRecord> {
    partitions.into_iter().map(MetadataRecord::Partition)
}

fn additional(topic: &Topic, asked: i32) -> Result<usize, GrowthError> {
    let current = topic.partitions.len();
    match usize::try_from(asked).ok().and_then(|asked| asked.checked_sub(current)) {
        None => Err(GrowthError::Fewer { topic: topic.name.to_string(), current, asked }),
        Some(0) => Err(GrowthError::Same(current)),
        Some(additional) => Ok(additional),
    }
}

fn check_assignment(assignment: &[Vec<i32>], additional: usize, home: Home) -> Result<(), GrowthError> {
    let assigned = assignment.len();
    if assigned != additional {
        return Err(GrowthError::Assignments { additional, assigned });
    }
    Ok(assignment.iter().try_for_each(|brokers| topics::check_brokers(brokers, home))?)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        config::topic_name::GROUP_METADATA_TOPIC,
        metadata::topics::{Layout, NewTopic},
    };

    const HOME: Home =
        Home { node_id: 1, directory_id: Uuid::from_u128(9), default_partitions: 1, partitions_max: 20_000 };

    fn image(names: &[&str]) -> Image {
        let mut image = Image::default();
        for (id, name) in (1..).zip(names) {
            let topic = NewTopic { name: (*name).into(), layout: Layout::Count(Some(2)), ..NewTopic::default() };
            let records = topics::create(&image, &topic, HOME, Uuid::from_u128(id)).expect("can be created");
            records.iter().for_each(|record| image.apply(image.offset(), record).expect("fits"));
        }
        image
    }

    fn growth(topic: &str, count: i32, assignment: Option<&[&[i32]]>) -> Growth {
        let assignment = assignment.map(|all| all.iter().map(|brokers| brokers.to_vec()).collect());
        Growth { topic: topic.to_owned(), count, assignment }
    }

    fn added(count: i32, assignment: Option<&[&[i32]]>) -> Result<Vec<i32>, String> {
        let records = grow(&image(&["a"]), &growth("a", count, assignment), HOME, 0);
        let records = records.map_err(|error| error.to_string())?;
        assert!(records.iter().all(|record| record.leader == 1 && record.topic_id == Uuid::from_u128(1)));
        Ok(records.iter().map(|record| record.partition_id).collect())
    }

    #[test]
    fn a_topic_grows_and_never_shrinks() {
        assert_eq!(added(5, None), Ok(vec![2, 3, 4]));
        assert_eq!(added(2, None).expect_err("the same"), "Topic already has 2 partition(s).");
        for count in [1, 0, -1, i32::MIN] {
            let said = added(count, None).expect_err("fewer");
            assert!(said.ends_with(&format!("has 2 partition(s); {count} would not be an increase.")), "{said}");
        }
    }

    #[test]
    fn an_assignment_is_for_the_new_partitions_alone() {
        assert_eq!(added(4, Some(&[&[1], &[1]])), Ok(vec![2, 3]));
        let said = |assignment| added(4, Some(assignment)).expect_err("no assignment of two partitions");
        assert!(said(&[&[1]]).contains("add 2 additional partition(s), but only 1 assignment(s)"));
        assert!(said(&[&[1], &[1], &[1]]).contains("but only 3"));
        assert!(said(&[&[1], &[]]).contains("empty replica list"));
        assert!(said(&[&[1], &[2]]).contains("includes broker 2, but no such broker is registered"));
        assert!(said(&[&[1, 1], &[1]]).contains("broker 1 more than once"));
    }

    #[test]
    fn what_is_not_there_and_what_is_internal_does_not_grow() {
        let image = image(&["a", GROUP_METADATA_TOPIC]);
        let grow = |topic| grow(&image, &growth(topic, 9, None), HOME, 0).expect_err("refused");
        assert_eq!(grow("b"), GrowthError::Unknown);
        assert_eq!(grow(GROUP_METADATA_TOPIC), GrowthError::Internal(GROUP_METADATA_TOPIC.to_owned()));
    }

    #[test]
    fn requests_and_brokers_have_their_limits() {
        let image = image(&["a"]);
        let grow = |count, before, partitions_max| {
            grow(&image, &growth("a", count, None), Home { partitions_max, ..HOME }, before)
                .map(|records| records.len())
        };
        assert_eq!(grow(10_002, 0, 20_000), Ok(10_000));
        assert_eq!(grow(10_002, 1, 20_000), Err(GrowthError::TooMany(10_001)));
        assert_eq!(grow(i32::MAX, 0, usize::MAX), Err(GrowthError::TooMany(2_147_483_645)));
        assert_eq!(grow(5, 0, 5), Ok(3));
        let said = grow(6, 0, 5).expect_err("too many").to_string();
        assert!(said.contains('4') && said.contains('5') && said.contains("ottla.partitions.max"), "{said}");
    }
}
