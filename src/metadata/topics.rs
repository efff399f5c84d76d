//! Creating and deleting topics: what is asked for goes in, records or a refusal come out. Pure.
//!
//! The rules and the texts, which clients see, are those of Kafka's `ReplicationControlManager`. One broker is the one
//! replica of every partition, so any replication factor is accepted.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{
    image::{ConfigResource, Image},
    record::MetadataRecord,
};
use crate::{
    config::topic_name::{self, CLUSTER_METADATA_TOPIC, TopicNameError},
    protocol::messages::{ConfigRecord, PartitionRecord, RemoveTopicRecord, TopicRecord},
};

/// The most partitions that one request may create.
pub const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

/// A topic to create.
#[derive(Clone, Debug, Default)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// Its layout.
    pub layout: Layout,
    /// Replication factor asked for; `None` for the default.
    pub replication_factor: Option<i16>,
    /// Its own configuration.
    pub configs: BTreeMap<String, String>,
}

/// How many partitions, and where.
#[derive(Clone, Debug)]
pub enum Layout {
    /// So many, or the default number.
    Count(Option<i32>),
    /// The brokers of each partition by its index.
    Manual(Vec<(i32, Vec<i32>)>),
}

impl Default for Layout {
    fn default() -> Self {
        Self::Count(None)
    }
}

/// What the broker brings to the decision.
#[derive(Clone, Copy, Debug)]
pub struct Home {
    /// This broker, the leader of every partition.
    pub node_id: i32,
    /// The directory that holds every partition.
    pub directory_id: Uuid,
    /// Partitions of a topic that asks for the default.
    pub default_partitions: i32,
    /// `ottla.partitions.max`: the most partitions of all topics.
    pub partitions_max: usize,
}

/// A broker that has as many partitions as it may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{asked} partition(s) more than the {current} that are there would be more than ottla.partitions.max, {most}.")]
pub struct PartitionLimitError {
    asked: usize,
    current: usize,
    most: usize,
}

/// A manual assignment that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The manual partition assignment {0}")]
pub struct AssignmentError(String);

/// Why a topic is not created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateTopicError {
    /// The name is taken.
    #[error("Topic '{0}' already exists.")]
    Exists(String),
    /// The name is not one.
    #[error(transparent)]
    Name(#[from] TopicNameError),
    /// The metadata log is there already, though not as a topic.
    #[error("Creation of internal topic {CLUSTER_METADATA_TOPIC} is prohibited.")]
    MetadataLog,
    /// Zero or fewer partitions.
    #[error("Number of partitions was set to an invalid non-positive value.")]
    Partitions,
    /// Zero or fewer replicas.
    #[error("Replication factor must be larger than 0, or -1 to use the default value.")]
    ReplicationFactor,
    /// More partitions than one request may create.
    #[error("{0} partitions are more than the {PARTITIONS_PER_REQUEST_MAX} that one request may create.")]
    TooManyPartitions(usize),
    /// More partitions than the broker takes.
    #[error(transparent)]
    Limit(#[from] PartitionLimitError),
    /// A manual assignment that is none.
    #[error("{0}")]
    Assignment(String),
}

impl CreateTopicError {
    /// Whether it is only that the topic is there already.
    #[must_use]
    pub fn is_exists(&self) -> bool {
        matches!(self, Self::Exists(_))
    }
}

/// The records that create `topic` under `id`.
pub fn create(image: &Image, topic: &NewTopic, home: Home, id: Uuid) -> Result<Vec<MetadataRecord>, CreateTopicError> {
    if topic.name == CLUSTER_METADATA_TOPIC {
        return Err(CreateTopicError::MetadataLog);
    }
    topic_name::validate(&topic.name)?;
    if image.topic(&topic.name).is_some() {
        return Err(CreateTopicError::Exists(topic.name.clone()));
    }
    if let Some(existing) = image.collision(&topic.name) {
        let (name, existing) = (topic.name.clone(), existing.to_string());
        return Err(TopicNameError::Collision { name, existing }.into());
    }
    if topic.replication_factor.is_some_and(|factor| factor <= 0) {
        return Err(CreateTopicError::ReplicationFactor);
    }
    let partitions = partition_count(&topic.layout, home)?;
    check_limit(image, &topic.name, usize::try_from(partitions).unwrap_or(0), home)?;
    let topic_record = TopicRecord { name: topic.name.as_str().into(), topic_id: id, ..TopicRecord::default() };
    let mut records = vec![MetadataRecord::Topic(topic_record)];
    records.extend((0..partitions).map(|partition| MetadataRecord::Partition(partition_record(id, partition, home))));
    records.extend(topic.configs.iter().map(|(key, value)| config_record(&topic.name, key, value)));
    Ok(records)
}

/// The records that delete the topic with this id, if there is one.
#[must_use]
pub fn delete(image: &Image, id: Uuid) -> Option<MetadataRecord> {
    image.topic_by_id(id)?;
    Some(MetadataRecord::RemoveTopic(RemoveTopicRecord { topic_id: id, ..RemoveTopicRecord::default() }))
}

/// Whether a topic may have so many partitions more. Those of coordinators may: whoever commits an offset or a transaction
/// has asked for no topic.
pub(super) fn check_limit(image: &Image, topic: &str, asked: usize, home: Home) -> Result<(), PartitionLimitError> {
    let (current, most) = (image.partition_count(), home.partitions_max);
    if topic_name::is_internal(topic) || current.saturating_add(asked) <= most {
        return Ok(());
    }
    Err(PartitionLimitError { asked, current, most })
}

fn partition_count(layout: &Layout, home: Home) -> Result<i32, CreateTopicError> {
    let count = match layout {
        Layout::Count(None) => home.default_partitions,
        Layout::Count(Some(count)) => *count,
        Layout::Manual(assignment) => assigned_partitions(assignment, home)?,
    };
    match usize::try_from(count) {
        Ok(1..=PARTITIONS_PER_REQUEST_MAX) => Ok(count),
        Ok(0) | Err(_) => Err(CreateTopicError::Partitions),
        Ok(more) => Err(CreateTopicError::TooManyPartitions(more)),
    }
}

/// A manual assignment names each partition from 0 on once, and no broker but this one.
fn assigned_partitions(assignment: &[(i32, Vec<i32>)], home: Home) -> Result<i32, CreateTopicError> {
    let refuse = |reason: String| Err(CreateTopicError::Assignment(reason));
    let mut seen = BTreeSet::new();
    for (partition, brokers) in assignment {
        if !seen.insert(*partition) {
            return refuse(format!("Found multiple manual partition assignments for partition {partition}"));
        }
        check_brokers(brokers, home).map_err(|error| CreateTopicError::Assignment(error.to_string()))?;
    }
    match seen.iter().zip(0..).find(|(partition, expected)| *partition != expected) {
        Some(_) => refuse("partitions should be a consecutive 0-based integer sequence".to_owned()),
        None => Ok(i32::try_from(seen.len()).unwrap_or(i32::MAX)),
    }
}

/// A partition is assigned to this broker, once.
pub(super) fn check_brokers(brokers: &[i32], home: Home) -> Result<(), AssignmentError> {
    let refuse = |reason| Err(AssignmentError(reason));
    if brokers.is_empty() {
        return refuse("includes an empty replica list.".to_owned());
    }
    if let Some(unknown) = brokers.iter().find(|broker| **broker != home.node_id) {
        return refuse(format!("includes broker {unknown}, but no such broker is registered."));
    }
    if brokers.len() > 1 {
        return refuse(format!("includes the broker {} more than once.", home.node_id));
    }
    Ok(())
}

pub(super) fn partition_record(topic_id: Uuid, partition_id: i32, home: Home) -> PartitionRecord {
    PartitionRecord {
        partition_id,
        topic_id,
        replicas: vec![home.node_id],
        isr: vec![home.node_id],
        leader: home.node_id,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: vec![home.directory_id],
        ..PartitionRecord::default()
    }
}

fn config_record(topic: &str, key: &str, value: &str) -> MetadataRecord {
    MetadataRecord::Config(ConfigRecord {
        resource_type: ConfigResource::TOPIC,
        resource_name: topic.into(),
        name: key.into(),
        value: Some(value.into()),
        ..ConfigRecord::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ids::random_uuid;

    const HOME: Home =
        Home { node_id: 1, directory_id: Uuid::from_u128(9), default_partitions: 3, partitions_max: 10_000 };

    fn new_topic(name: &str, layout: Layout) -> NewTopic {
        NewTopic { name: name.to_owned(), layout, ..NewTopic::default() }
    }

    fn creates(layout: Layout) -> Result<usize, CreateTopicError> {
        let image = Image::default();
        let records = create(&image, &new_topic("a", layout), HOME, Uuid::from_u128(1))?;
        let mut after = image;
        for (offset, record) in (0..).zip(&records) {
            after.apply(offset, record).expect("what was decided fits");
        }
        Ok(after.topic("a").expect("was created").partitions.len())
    }

    #[test]
    fn a_topic_gets_the_partitions_asked_for() {
        assert_eq!(creates(Layout::Count(None)), Ok(3));
        assert_eq!(creates(Layout::Count(Some(10_000))), Ok(10_000));
        assert_eq!(creates(Layout::Manual(vec![(1, vec![1]), (0, vec![1])])), Ok(2));
        assert_eq!(creates(Layout::Count(Some(0))), Err(CreateTopicError::Partitions));
        assert_eq!(creates(Layout::Count(Some(-5))), Err(CreateTopicError::Partitions));
        assert_eq!(creates(Layout::Count(Some(10_001))), Err(CreateTopicError::TooManyPartitions(10_001)));
    }

    #[test]
    fn an_assignment_names_every_partition_once_and_this_broker_alone() {
        let said = |assignment: &[(i32, &[i32])]| {
            let assignment = assignment.iter().map(|(partition, brokers)| (*partition, brokers.to_vec())).collect();
            creates(Layout::Manual(assignment)).expect_err("must be refused").to_string()
        };
        assert!(said(&[(0, &[1]), (0, &[1])]).contains("multiple manual partition assignments for partition 0"));
        assert!(said(&[(0, &[])]).contains("empty replica list"));
        assert!(said(&[(0, &[2])]).contains("broker 2, but no such broker"));
        assert!(said(&[(0, &[1, 1])]).contains("more than once"));
        assert!(said(&[(0, &[1]), (2, &[1])]).contains("consecutive"));
        assert!(said(&[(-1, &[1])]).contains("consecutive"));
    }

    #[test]
    fn names_are_checked_against_rules_and_other_topics() {
        let mut image = Image::default();
        let records =
            create(&image, &new_topic("a.b", Layout::Count(Some(1))), HOME, Uuid::from_u128(1)).expect("good");
        for (offset, record) in (0..).zip(&records) {
            image.apply(offset, record).expect("fits");
        }
        let said = |name: &str| {
            let topic = new_topic(name, Layout::Count(Some(1)));
            create(&image, &topic, HOME, Uuid::from_u128(2)).expect_err("must be refused")
        };
        assert_eq!(said("a.b"), CreateTopicError::Exists("a.b".into()));
        assert!(matches!(said("a_b"), CreateTopicError::Name(TopicNameError::Collision { .. })));
        assert!(matches!(said("../a"), CreateTopicError::Name(TopicNameError::Characters(_))));
        assert_eq!(said(CLUSTER_METADATA_TOPIC), CreateTopicError::MetadataLog);
    }

    #[test]
    fn a_broker_has_no_more_partitions_than_it_may() {
        let mut image = Image::default();
        let home = Home { partitions_max: 4, ..HOME };
        let mut create = |name: &str, partitions| {
            let topic = new_topic(name, Layout::Count(Some(partitions)));
            let records = create(&image, &topic, home, random_uuid())?;
            records.iter().for_each(|record| image.apply(image.offset(), record).expect("fits"));
            Ok::<_, CreateTopicError>(())
        };
        assert_eq!(create("a", 3), Ok(()));
        let said = create("b", 2).expect_err("one too many").to_string();
        assert_eq!(said, "2 partition(s) more than the 3 that are there would be more than ottla.partitions.max, 4.");
        assert_eq!(create("b", 1), Ok(()));
        assert_eq!(create(topic_name::GROUP_METADATA_TOPIC, 50), Ok(()), "nobody asked for that one");
        assert!(matches!(create("c", 1), Err(CreateTopicError::Limit(_))));
    }

    #[test]
    fn what_is_not_there_is_not_deleted() {
        assert_eq!(delete(&Image::default(), Uuid::from_u128(1)), None);
    }
}
