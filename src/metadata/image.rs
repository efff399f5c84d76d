//! The state of the cluster after a certain record of the metadata log. Pure: a fold, the same live and at start.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use uuid::Uuid;

pub use super::partition::Partition;
use super::{
    kept::Kept,
    level::{METADATA_VERSION_FEATURE, MetadataLevel},
    record::MetadataRecord,
    users::Users,
};
use crate::{
    config::topic_name,
    protocol::messages::{
        BrokerRegistrationChangeRecord, ConfigRecord, FeatureLevelRecord, PartitionChangeRecord, PartitionRecord,
        RegisterBrokerRecord, TopicRecord,
    },
};

/// Topics, configurations, features, brokers, users, and what is kept for Kafka.
#[derive(Clone, Debug, Default)]
pub struct Image {
    topics: BTreeMap<Arc<str>, Arc<Topic>>,
    names: HashMap<Uuid, Arc<str>>,
    /// Names with every '.' as '_', of the topics that could collide by that.
    collisions: HashMap<String, Arc<str>>,
    /// Partitions of all topics.
    partitions: usize,
    configs: BTreeMap<ConfigResource, BTreeMap<String, String>>,
    features: BTreeMap<String, i16>,
    next_producer_id: i64,
    brokers: BTreeMap<i32, RegisterBrokerRecord>,
    users: Users,
    kept: Kept,
    /// Offset after the last record that went in.
    offset: i64,
}

/// A topic and its partitions.
#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    /// The name.
    pub name: Arc<str>,
    /// The id, which a topic of the same name created later does not share.
    pub id: Uuid,
    /// By index, without gaps.
    pub partitions: Vec<Partition>,
}

impl Topic {
    /// Whether it has a partition with this index.
    #[must_use]
    pub fn has_partition(&self, index: i32) -> bool {
        usize::try_from(index).is_ok_and(|index| index < self.partitions.len())
    }
}

/// What a configuration belongs to: Kafka's resource type, and a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigResource {
    /// One of the constants below, or another of Kafka's.
    pub kind: i8,
    /// Topic name, node id or group id.
    pub name: String,
}

impl ConfigResource {
    /// Resource type of a topic.
    pub const TOPIC: i8 = 2;
    /// Resource type of a broker; without a name, of all brokers.
    pub const BROKER: i8 = 4;
    /// Resource type of a broker's loggers.
    pub const BROKER_LOGGER: i8 = 8;
    /// Resource type of a subscription to clients' metrics.
    pub const CLIENT_METRICS: i8 = 16;
    /// Resource type of a group.
    pub const GROUP: i8 = 32;

    /// The configuration of a topic.
    #[must_use]
    pub fn topic(name: &str) -> Self {
        Self { kind: Self::TOPIC, name: name.to_owned() }
    }

    /// What is set for one broker.
    #[must_use]
    pub fn broker(id: i32) -> Self {
        Self { kind: Self::BROKER, name: id.to_string() }
    }

    /// What is set as the default of all brokers.
    #[must_use]
    pub fn brokers() -> Self {
        Self { kind: Self::BROKER, name: String::new() }
    }
}

/// As logs name it: `topic "a"`, `broker "1"`, `all brokers`.
impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Self::TOPIC => "topic",
            Self::BROKER if self.name.is_empty() => return f.write_str("all brokers"),
            Self::BROKER => "broker",
            Self::BROKER_LOGGER => "loggers of broker",
            Self::CLIENT_METRICS => "client metrics",
            Self::GROUP => "group",
            kind => return write!(f, "resource {:?} of type {kind}", self.name),
        };
        write!(f, "{kind} {:?}", self.name)
    }
}

/// A record that does not fit what came before it, or means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// A partition or removal of a topic that is not there.
    #[error("no topic has the id {0}")]
    UnknownTopicId(Uuid),
    /// A change of a partition that is not there.
    #[error("topic {topic} has no partition {partition}")]
    UnknownPartition {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
    },
    /// A change of a broker that is not registered, or not under this epoch.
    #[error("no broker {id} is registered with epoch {epoch}")]
    UnknownBroker {
        /// The broker.
        id: i32,
        /// The epoch.
        epoch: i64,
    },
    /// A topic whose name or id is taken.
    #[error("topic {0} is there already")]
    TopicExists(String),
    /// A partition out of order.
    #[error("topic {topic} has {count} partitions, then comes partition {partition}")]
    PartitionGap {
        /// The topic.
        topic: Arc<str>,
        /// Partitions so far.
        count: usize,
        /// The record's partition.
        partition: i32,
    },
    /// A credential that no user can have.
    #[error("the credential of user {user:?} has mechanism {mechanism} and {iterations} iterations")]
    Credential {
        /// The user.
        user: String,
        /// The mechanism's number.
        mechanism: i8,
        /// How often the password was hashed.
        iterations: i32,
    },
}

impl Image {
    /// Offset after the last record that went in; 0 before the first.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// A topic by name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    /// A topic by id.
    #[must_use]
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.topics.get(self.names.get(&id)?)
    }

    /// How many partitions all topics have.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.partitions
    }

    /// All topics by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    /// All topics from `name` on, that one included.
    pub fn topics_from<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Arc<Topic>> {
        use std::ops::Bound;
        self.topics.range::<str, _>((Bound::Included(name), Bound::Unbounded)).map(|(_, topic)| topic)
    }

    /// The topic that `name` would collide with: the same but for '.' and '_'.
    #[must_use]
    pub fn collision(&self, name: &str) -> Option<&Arc<str>> {
        if !topic_name::has_collision_chars(name) {
            return None;
        }
        self.collisions.get(&topic_name::unify_collision_chars(name)).filter(|other| other.as_ref() != name)
    }

    /// What was set for a resource; empty where nothing was.
    #[must_use]
    pub fn config(&self, resource: &ConfigResource) -> &BTreeMap<String, String> {
        static NOTHING: BTreeMap<String, String> = BTreeMap::new();
        self.configs.get(resource).unwrap_or(&NOTHING)
    }

    /// The finalized level of each feature.
    #[must_use]
    pub fn features(&self) -> &BTreeMap<String, i16> {
        &self.features
    }

    /// The first producer id that no block has given away.
    #[must_use]
    pub fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }

    /// The configurations of everything that has one.
    pub fn configs(&self) -> impl Iterator<Item = (&ConfigResource, &BTreeMap<String, String>)> {
        self.configs.iter()
    }

    /// The level of the records in the log, once one is set.
    #[must_use]
    pub fn metadata_level(&self) -> Option<MetadataLevel> {
        self.features.get(METADATA_VERSION_FEATURE).copied().map(MetadataLevel::new)
    }

    /// The registrations by broker.
    #[must_use]
    pub fn brokers(&self) -> &BTreeMap<i32, RegisterBrokerRecord> {
        &self.brokers
    }

    /// Who can prove a password.
    #[must_use]
    pub fn users(&self) -> &Users {
        &self.users
    }

    /// What is kept for Kafka.
    #[must_use]
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Takes in the record at `offset`. Begin and end of transactions are the replay's to respect.
    pub fn apply(&mut self, offset: i64, record: &MetadataRecord) -> Result<(), ApplyError> {
        match record {
            MetadataRecord::Topic(record) => self.add_topic(record)?,
            MetadataRecord::Partition(record) => self.add_partition(record)?,
            MetadataRecord::PartitionChange(record) => self.change_partition(record)?,
            MetadataRecord::RemoveTopic(record) => self.remove_topic(record.topic_id)?,
            MetadataRecord::ClearElr(record) => self.clear_elr(&record.topic_name),
            MetadataRecord::Config(record) => self.set_config(record),
            MetadataRecord::FeatureLevel(record) => self.set_feature(record),
            MetadataRecord::RegisterBroker(record) => {
                self.brokers.insert(record.broker_id, record.clone());
            }
            MetadataRecord::ProducerIds(record) => self.next_producer_id = record.next_producer_id,
            MetadataRecord::UnregisterBroker(record) => {
                self.broker(record.broker_id, record.broker_epoch)?;
                self.brokers.remove(&record.broker_id);
            }
            MetadataRecord::BrokerRegistrationChange(record) => self.change_broker(record)?,
            MetadataRecord::FenceBroker(record) => self.broker(record.id, record.epoch)?.fenced = true,
            MetadataRecord::UnfenceBroker(record) => self.broker(record.id, record.epoch)?.fenced = false,
            MetadataRecord::UserScramCredential(record) => self.users.apply(record)?,
            MetadataRecord::RemoveUserScramCredential(record) => self.users.apply_removal(record)?,
            MetadataRecord::Kept(record) => self.kept.apply(record),
            MetadataRecord::NoOp(_)
            | MetadataRecord::BeginTransaction(_)
            | MetadataRecord::EndTransaction(_)
            | MetadataRecord::AbortTransaction(_) => {}
        }
        self.pass_over(offset + 1);
        Ok(())
    }

    /// Notes that everything below `offset` went in.
    pub(super) fn pass_over(&mut self, offset: i64) {
        self.offset = offset;
    }

    fn set_feature(&mut self, record: &FeatureLevelRecord) {
        if record.feature_level == 0 {
            self.features.remove(record.name.as_str());
        } else {
            self.features.insert(record.name.to_string(), record.feature_level);
        }
    }

    fn broker(&mut self, id: i32, epoch: i64) -> Result<&mut RegisterBrokerRecord, ApplyError> {
        let broker = self.brokers.get_mut(&id).filter(|broker| broker.broker_epoch == epoch);
        broker.ok_or(ApplyError::UnknownBroker { id, epoch })
    }

    fn change_broker(&mut self, record: &BrokerRegistrationChangeRecord) -> Result<(), ApplyError> {
        let broker = self.broker(record.broker_id, record.broker_epoch)?;
        match record.fenced {
            0 => {}
            fenced => broker.fenced = fenced > 0,
        }
        if record.in_controlled_shutdown != 0 {
            broker.in_controlled_shutdown = true;
        }
        if !record.log_dirs.is_empty() {
            broker.log_dirs.clone_from(&record.log_dirs);
        }
        if record.cordoned_log_dirs.is_some() {
            broker.cordoned_log_dirs.clone_from(&record.cordoned_log_dirs);
        }
        Ok(())
    }

    fn add_topic(&mut self, record: &TopicRecord) -> Result<(), ApplyError> {
        let name: Arc<str> = record.name.as_str().into();
        if self.topics.contains_key(&name) || self.names.contains_key(&record.topic_id) {
            return Err(ApplyError::TopicExists(name.to_string()));
        }
        self.names.insert(record.topic_id, name.clone());
        if topic_name::has_collision_chars(&name) {
            self.collisions.insert(topic_name::unify_collision_chars(&name), name.clone());
        }
        let topic = Topic { name: name.clone(), id: record.topic_id, partitions: Vec::new() };
        self.topics.insert(name, Arc::new(topic));
        Ok(())
    }

    fn topic_mut(&mut self, id: Uuid) -> Result<&mut Topic, ApplyError> {
        let name = self.names.get(&id).ok_or(ApplyError::UnknownTopicId(id))?;
        self.topics.get_mut(name).map(Arc::make_mut).ok_or(ApplyError::UnknownTopicId(id))
    }

    fn add_partition(&mut self, record: &PartitionRecord) -> Result<(), ApplyError> {
        let topic = self.topic_mut(record.topic_id)?;
        let partition = Partition::from(record);
        let count = topic.partitions.len();
        match usize::try_from(record.partition_id) {
            Ok(index) if index < count => topic.partitions[index] = partition,
            Ok(index) if index == count => {
                topic.partitions.push(partition);
                self.partitions += 1;
            }
            _ => {
                let topic = topic.name.clone();
                return Err(ApplyError::PartitionGap { topic, count, partition: record.partition_id });
            }
        }
        Ok(())
    }

    fn change_partition(&mut self, record: &PartitionChangeRecord) -> Result<(), ApplyError> {
        let topic = self.topic_mut(record.topic_id)?;
        let index = usize::try_from(record.partition_id).unwrap_or(usize::MAX);
        match topic.partitions.get_mut(index) {
            Some(partition) => partition.apply(record),
            None => {
                let (topic, partition) = (topic.name.clone(), record.partition_id);
                return Err(ApplyError::UnknownPartition { topic, partition });
            }
        }
        Ok(())
    }

    /// Of one topic, or of all where the name is empty.
    fn clear_elr(&mut self, name: &str) {
        let is_meant = |topic: &Topic| name.is_empty() || topic.name.as_ref() == name;
        for topic in self.topics.values_mut().filter(|topic| is_meant(topic)) {
            Arc::make_mut(topic).partitions.iter_mut().for_each(Partition::clear_elr);
        }
    }

    fn remove_topic(&mut self, id: Uuid) -> Result<(), ApplyError> {
        let name = self.names.remove(&id).ok_or(ApplyError::UnknownTopicId(id))?;
        self.partitions -= self.topics.remove(&name).map_or(0, |topic| topic.partitions.len());
        self.collisions.remove(&topic_name::unify_collision_chars(&name));
        self.configs.remove(&ConfigResource::topic(&name));
        Ok(())
    }

    fn set_config(&mut self, record: &ConfigRecord) {
        let resource = ConfigResource { kind: record.resource_type, name: record.resource_name.to_string() };
        let config = self.configs.entry(resource.clone()).or_default();
        match &record.value {
            Some(value) => {
                config.insert(record.name.to_string(), value.to_string());
            }
            None => {
                config.remove(record.name.as_str());
            }
        }
        if config.is_empty() {
            self.configs.remove(&resource);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::messages::RemoveTopicRecord;

    fn topic(name: &str, id: u128) -> MetadataRecord {
        let topic_id = Uuid::from_u128(id);
        MetadataRecord::Topic(TopicRecord { name: name.into(), topic_id, ..TopicRecord::default() })
    }

    fn partition(id: u128, partition_id: i32) -> MetadataRecord {
        let topic_id = Uuid::from_u128(id);
        MetadataRecord::Partition(PartitionRecord { topic_id, partition_id, ..PartitionRecord::default() })
    }

    fn config(name: &str, key: &str, value: Option<&str>) -> MetadataRecord {
        MetadataRecord::Config(ConfigRecord {
            resource_type: ConfigResource::TOPIC,
            resource_name: name.into(),
            name: key.into(),
            value: value.map(Into::into),
            ..ConfigRecord::default()
        })
    }

    fn image(records: &[MetadataRecord]) -> Image {
        let mut image = Image::default();
        for (offset, record) in (0..).zip(records) {
            image.apply(offset, record).expect("fits");
        }
        image
    }

    #[test]
    fn topics_are_found_by_name_and_by_id() {
        let image = image(&[topic("a", 1), partition(1, 0), partition(1, 1), topic("b.c", 2)]);
        assert_eq!((image.offset(), image.partition_count()), (4, 2));
        let a = image.topic("a").expect("is there");
        assert_eq!(a.partitions.len(), 2);
        assert_eq!(image.topic_by_id(Uuid::from_u128(1)), Some(a));
        assert_eq!(image.topic_by_id(Uuid::from_u128(3)), None);
        assert_eq!(image.collision("b_c").map(AsRef::as_ref), Some("b.c"));
        assert_eq!(image.collision("b.c"), None);
        assert_eq!(image.topics_from("ab").map(|topic| topic.name.as_ref()).collect::<Vec<_>>(), ["b.c"]);
    }

    #[test]
    fn a_removed_topic_leaves_nothing() {
        let remove = MetadataRecord::RemoveTopic(RemoveTopicRecord {
            topic_id: Uuid::from_u128(1),
            ..RemoveTopicRecord::default()
        });
        let a = [topic("a.b", 1), partition(1, 0), partition(1, 1), config("a.b", "retention.ms", Some("5"))];
        let image = image(&[&a[..], &[remove, topic("a_b", 2), partition(2, 0)]].concat());
        assert_eq!(image.partition_count(), 1);
        assert!(image.topic("a.b").is_none());
        assert!(image.config(&ConfigResource::topic("a.b")).is_empty());
        assert_eq!(image.collision("a_b"), None);
    }

    #[test]
    fn a_null_value_unsets_a_configuration() {
        let records = [topic("a", 1), config("a", "x", Some("1")), config("a", "y", Some("2")), config("a", "x", None)];
        let image = image(&records);
        let expected = BTreeMap::from([("y".to_owned(), "2".to_owned())]);
        assert_eq!(*image.config(&ConfigResource::topic("a")), expected);
    }

    #[test]
    fn records_that_do_not_fit_are_refused() {
        let mut image = image(&[topic("a", 1)]);
        assert_eq!(image.apply(1, &topic("a", 2)), Err(ApplyError::TopicExists("a".into())));
        assert_eq!(image.apply(1, &partition(7, 0)), Err(ApplyError::UnknownTopicId(Uuid::from_u128(7))));
        let gap = ApplyError::PartitionGap { topic: "a".into(), count: 0, partition: 1 };
        assert_eq!(image.apply(1, &partition(1, 1)), Err(gap));
        assert_eq!(image.offset(), 1);
    }
}
