//! The broker's state: what the metadata says, and the partition logs that it says are there. Knows no requests.
//!
//! A topic is hosted when its logs are open. That follows the metadata log, live and at start, so that a crash between
//! the two is mended by the next start.

mod access_lists;
mod configs;
mod coordinator_topic;
mod hosted_topic;
mod partitions;
mod producer_ids;
mod record_deletion;
#[cfg(test)]
pub(crate) mod tests;
mod users;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use uuid::Uuid;

pub use self::{
    access_lists::AccessListsError,
    configs::Altered,
    coordinator_topic::CoordinatorTopic,
    hosted_topic::HostedTopic,
    partitions::GrowthFailure,
    record_deletion::{Before, DeleteRecordsFailure},
    users::FirstUsersError,
};
use self::{
    configs::{Watcher, effective_config},
    hosted_topic::codec,
    producer_ids::ProducerIds,
};
use crate::{
    auth::random::random_bytes,
    clock::{TimestampMs, monotonic, wall_clock_ms},
    config::{
        broker::BrokerConfig,
        key::{InvalidValue, one_line},
        listener::Advertised,
        topic::{TopicConfig, TopicConfigError, check_coordinator_policy, invalid, unhonoured, unknown},
        topic_name::{self, CLUSTER_METADATA_TOPIC},
    },
    log::{
        log_config::LogConfig,
        log_dir::{LogDir, LogDirError},
        partition_log::PartitionLog,
        partition_metadata::is_misread,
        secret,
    },
    metadata::{
        draft::Draft,
        image::{ConfigResource, Image, Partition, Topic},
        journal::{CommitError, Found, Journal, JournalSettings, OpenError, RemovedTopics},
        record::MetadataRecord,
        registration::{self, Node},
        retention::Retention,
        snapshot::SnapshotError,
        topics::{self, CreateTopicError, Home, NewTopic},
    },
    protocol::{
        ids::{TopicPartition, random_uuid},
        messages::{ProducerIdsRecord, voters_record::Endpoint},
    },
};

/// Where Kafka is told that the controller is, if the settings do not say so.
const CONTROLLER: (&str, &str, u16) = ("CONTROLLER", LOCALHOST, 9093);
/// The host of a listener on every interface that advertises none.
const LOCALHOST: &str = "localhost";

/// Everything that handlers work on.
pub struct Broker {
    /// With what was altered since the start.
    config: RwLock<Arc<BrokerConfig>>,
    watchers: Mutex<Vec<Watcher>>,
    cluster_id: String,
    home: Home,
    /// Epoch of this start's registration.
    broker_epoch: i64,
    logs: LogDir,
    journal: Journal,
    hosted: RwLock<Hosted>,
    /// Topics and settings are changed one at a time, and so is what follows from that.
    changing: Mutex<()>,
    producer_ids: Mutex<ProducerIds>,
    secret: Arc<[u8; 32]>,
}

/// The hosted topics by name and by id.
#[derive(Default)]
struct Hosted {
    by_name: HashMap<Arc<str>, Arc<HostedTopic>>,
    by_id: HashMap<Uuid, Arc<HostedTopic>>,
}

/// Which cluster, node and directory this is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The cluster's id.
    pub cluster_id: String,
    /// The data directory's id.
    pub directory_id: Uuid,
}

/// Why the broker's state could not be built from its directory.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum LoadError {
    #[error(transparent)]
    Logs(#[from] LogDirError),
    #[error(transparent)]
    Metadata(#[from] OpenError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error("topic {topic}: {source}")]
    TopicConfig { topic: Arc<str>, source: InvalidValue },
    #[error("{}: there are partitions, but no {CLUSTER_METADATA_TOPIC}-0 that knows them: restore it, or use another directory", path.display())]
    NoMetadata { path: PathBuf },
    #[error(transparent)]
    AccessLists(#[from] AccessListsError),
}

/// Why the metadata could not be summed up.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum SnapshotFailure {
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("what is left of deleted topics is in the way: {0}")]
    Logs(#[from] LogDirError),
}

/// Why the broker's state could not be put away.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum CloseError {
    #[error(transparent)]
    Logs(#[from] LogDirError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Why a topic was not created.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum CreateTopicFailure {
    #[error(transparent)]
    Refused(#[from] CreateTopicError),
    #[error(transparent)]
    Config(#[from] TopicConfigError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Logs(#[from] LogDirError),
}

impl CreateTopicFailure {
    /// Whether it is only that the topic is there already.
    #[must_use]
    pub fn is_exists(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.is_exists())
    }
}

/// Why a topic was not deleted.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum DeleteTopicFailure {
    #[error("this server does not host a topic with this id")]
    Unknown,
    #[error(transparent)]
    Logs(#[from] LogDirError),
}

/// Why there is no new producer id.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum ProducerIdError {
    #[error("all producer ids have been given away")]
    Exhausted,
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// A topic that was created, or could be.
#[derive(Clone, Debug)]
pub struct CreatedTopic {
    /// Its id.
    pub id: Uuid,
    /// How many partitions it has.
    pub partitions: i32,
}

/// Life.
impl Broker {
    /// Replays the metadata log and hosts the topics in it. Blocks.
    pub fn load(config: BrokerConfig, identity: Identity, logs: LogDir) -> Result<Self, LoadError> {
        let home = Home {
            node_id: config.node_id,
            directory_id: identity.directory_id,
            default_partitions: config.num_partitions,
            partitions_max: usize::try_from(config.partitions_max).unwrap_or(usize::MAX),
        };
        let (found, config) = read_metadata(&config, &identity, &logs).inspect_err(|_| logs.leave_as_found())?;
        let is_new = found.image().brokers().is_empty();
        let (journal, removed) = Journal::open(found, wall_clock_ms())?;
        keep_keys_private(&logs, is_new);
        let secret = Arc::new(secret::read_or_make(&**logs.disk(), logs.path(), random_bytes()));
        let node = Node {
            id: config.node_id,
            directory_id: identity.directory_id,
            incarnation_id: random_uuid(),
            endpoints: advertised_endpoints(&config),
        };
        let broker_epoch = take_over(&journal, &node, !logs.was_clean())?;
        let broker = Self {
            config: RwLock::new(Arc::new(config)),
            watchers: Mutex::default(),
            cluster_id: identity.cluster_id,
            home,
            broker_epoch,
            logs,
            journal,
            hosted: RwLock::default(),
            changing: Mutex::new(()),
            producer_ids: Mutex::default(),
            secret,
        };
        let image = broker.image();
        name_kept(&image);
        name_unhonoured(&image);
        broker.put_unknown_aside(&image, &removed)?;
        for topic in image.topics() {
            broker.host(&image, topic)?;
        }
        broker.logs.flush_epochs()?;
        Ok(broker)
    }

    /// Takes this broker out of service, ends appending, makes everything durable, and leaves the mark of a clean stop. Blocks.
    pub fn close(&self) -> Result<(), CloseError> {
        let fenced = self.journal.change(wall_clock_ms(), |_| {
            Ok::<_, CommitError>((vec![registration::fence(self.home.node_id, self.broker_epoch)], ()))
        });
        self.logs.close(self.broker_epoch)?;
        Ok(fenced?)
    }

    /// Sums up the metadata log if it has grown enough. Blocks.
    pub fn snapshot_if_due(&self) -> Result<(), SnapshotFailure> {
        let now = wall_clock_ms();
        if !self.journal.is_snapshot_due(now) {
            return Ok(());
        }
        let begun = {
            let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
            self.delete_leftovers()?;
            self.logs.sync_names()?;
            self.journal.begin_snapshot(now)
        };
        if let Some(begun) = begun {
            self.journal.write_snapshot(&begun, now)?;
        }
        Ok(())
    }

    /// Takes out the snapshots of the metadata that are too old or too many. Blocks.
    pub fn clean_metadata(&self, now: TimestampMs) -> Result<(), SnapshotError> {
        let files = self.journal.clean(now)?;
        self.logs.remove_later(self.journal.log(), files, monotonic());
        Ok(())
    }

    /// Partitions that the metadata does not have, or has under another id, leave the way: those of a topic that was removed
    /// are deleted, for a crash came between the two, and those that it never knew are put aside.
    fn put_unknown_aside(&self, image: &Image, removed: &RemovedTopics) -> Result<(), LogDirError> {
        let mut left = Vec::new();
        for log in self.logs.partitions() {
            let partition = log.topic_partition();
            let topic = image.topic(&partition.topic);
            let known = topic.is_some_and(|topic| topic.has_partition(partition.partition) && is_of(&log, topic));
            if known || partition.topic.as_ref() == CLUSTER_METADATA_TOPIC {
                continue;
            }
            // Nothing was ever written to one that was to be added when the crash came.
            let is_unborn = topic.is_some_and(|topic| is_of(&log, topic)) && log.offsets().log_end() == 0;
            if is_unborn || removed.include(partition, log.topic_id()) {
                left.push(partition.clone());
            } else {
                self.logs.set_stray(partition)?;
            }
        }
        if left.is_empty() { Ok(()) } else { self.logs.delete_left_over(&left) }
    }
}

/// What there is.
impl Broker {
    /// The settings as of now.
    #[must_use]
    pub fn config(&self) -> Arc<BrokerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The cluster's id.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// What only this data directory knows, from its first start on.
    #[must_use]
    pub fn secret(&self) -> &Arc<[u8; 32]> {
        &self.secret
    }

    /// This node's id.
    #[must_use]
    pub fn node_id(&self) -> i32 {
        self.home.node_id
    }

    /// What the listener of this name advertises.
    #[must_use]
    pub fn advertised(&self, listener: &str) -> Option<Advertised> {
        let config = self.config();
        let listener = config.listeners.iter().find(|known| known.endpoint.name == listener)?;
        Some(listener.advertised.clone())
    }

    /// The metadata as of now.
    #[must_use]
    pub fn image(&self) -> Arc<Image> {
        self.journal.image()
    }

    /// The data directory.
    #[must_use]
    pub fn logs(&self) -> &LogDir {
        &self.logs
    }

    /// A hosted topic by name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<Arc<HostedTopic>> {
        self.hosted.read().unwrap_or_else(PoisonError::into_inner).by_name.get(name).cloned()
    }

    /// A hosted topic by id.
    #[must_use]
    pub fn topic_by_id(&self, id: Uuid) -> Option<Arc<HostedTopic>> {
        self.hosted.read().unwrap_or_else(PoisonError::into_inner).by_id.get(&id).cloned()
    }
}

/// Changes. Each blocks for as long as the disk takes, so the async ones leave the threads that serve sockets.
impl Broker {
    /// Creates topics, all that can be in one commit; they are durable and hosted when this returns. One that is refused
    /// leaves the others alone; the outer failure is that of all.
    pub async fn create_topics(
        self: &Arc<Self>,
        topics: Vec<NewTopic>,
    ) -> Result<Vec<Result<CreatedTopic, CreateTopicFailure>>, CommitError> {
        let broker = Arc::clone(self);
        blocking(move || broker.create_topics_blocking(&topics)).await
    }

    /// Whether a topic could be created, and what it would be.
    pub fn validate_topic(&self, topic: &NewTopic) -> Result<CreatedTopic, CreateTopicFailure> {
        self.check_config(topic)?;
        let records = topics::create(&self.image(), topic, self.home, Uuid::nil())?;
        Ok(CreatedTopic { id: Uuid::nil(), partitions: partitions_in(&records) })
    }

    /// Deletes topics by their ids, in one commit; their partitions are gone when this returns, the files are some time
    /// later (`file.delete.delay.ms`). The outer failure is that of all.
    pub async fn delete_topics(
        self: &Arc<Self>,
        ids: Vec<Uuid>,
    ) -> Result<Vec<Result<(), DeleteTopicFailure>>, CommitError> {
        let broker = Arc::clone(self);
        blocking(move || broker.delete_topics_blocking(&ids)).await
    }

    /// An id that no producer has had.
    pub async fn new_producer_id(self: &Arc<Self>) -> Result<i64, ProducerIdError> {
        // Whoever fetches a block holds the lock for as long as the disk takes.
        if let Ok(mut ids) = self.producer_ids.try_lock()
            && let Some(id) = ids.next()
        {
            return Ok(id);
        }
        let broker = Arc::clone(self);
        blocking(move || broker.new_producer_id_blocking()).await
    }

    fn new_producer_id_blocking(&self) -> Result<i64, ProducerIdError> {
        let mut ids = self.producer_ids.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = ids.next() {
            return Ok(id);
        }
        let block = self.journal.change(wall_clock_ms(), |image| {
            let block = producer_ids::block_from(image.next_producer_id()).ok_or(ProducerIdError::Exhausted)?;
            let record = MetadataRecord::ProducerIds(ProducerIdsRecord {
                broker_id: self.home.node_id,
                broker_epoch: self.broker_epoch,
                next_producer_id: block.end,
                ..ProducerIdsRecord::default()
            });
            Ok::<_, ProducerIdError>((vec![record], block))
        })?;
        ids.refill(block);
        ids.next().ok_or(ProducerIdError::Exhausted)
    }

    /// Removes the files of deleted topics and segments whose time has come, and what an earlier deletion could not.
    pub fn remove_deleted(&self) {
        let leftovers = {
            let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
            self.delete_leftovers()
        };
        if let Err(error) = leftovers {
            tracing::warn!(%error, "partitions of a deleted topic are left behind for now");
        }
        if let Err(error) = self.logs.remove_deleted(monotonic()) {
            tracing::warn!(%error, "what is deleted is left behind for now");
        }
    }

    /// What [`Broker::create_topics`] does, on the caller's thread.
    pub fn create_topics_blocking(
        &self,
        topics: &[NewTopic],
    ) -> Result<Vec<Result<CreatedTopic, CreateTopicFailure>>, CommitError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let created = self.journal.change(wall_clock_ms(), |image| {
            let mut draft = Draft::new(image);
            let created: Vec<_> = topics.iter().map(|topic| self.draft_topic(&mut draft, topic)).collect();
            Ok::<_, CommitError>((draft.into_records(), created))
        })?;
        let image = self.image();
        let mut unhosted = Vec::new();
        let hosted = created.into_iter().map(|created| {
            let created = created?;
            if let Some(topic) = image.topic_by_id(created.id)
                && let Err(error) = self.host(&image, topic)
            {
                unhosted.push(created.id);
                return Err(error.into());
            }
            Ok(created)
        });
        let hosted = hosted.collect();
        self.take_back(&unhosted);
        Ok(hosted)
    }

    /// Whether a topic may be configured so.
    fn check_config(&self, topic: &NewTopic) -> Result<(), TopicConfigError> {
        let values = &self.config().values;
        TopicConfig::check_asked(values, &BTreeMap::new(), &topic.configs)?;
        if topic_name::is_internal(&topic.name) {
            let config = TopicConfig::resolve(values, &topic.configs);
            check_coordinator_policy(&topic.name, None, config.cleanup_policy)?;
        }
        Ok(())
    }

    /// Adds a topic to a draft of the metadata.
    fn draft_topic(&self, draft: &mut Draft<'_>, topic: &NewTopic) -> Result<CreatedTopic, CreateTopicFailure> {
        self.check_config(topic)?;
        let id = random_uuid();
        let records = topics::create(draft.image(), topic, self.home, id)?;
        let created = CreatedTopic { id, partitions: partitions_in(&records) };
        draft.extend(records);
        Ok(created)
    }

    /// Topics whose directories cannot be created were not created.
    fn take_back(&self, topics: &[Uuid]) {
        if topics.is_empty() {
            return;
        }
        let removed = self.journal.change(wall_clock_ms(), |image| {
            Ok::<_, CommitError>((topics.iter().filter_map(|id| topics::delete(image, *id)).collect(), ()))
        });
        let removed = removed.map_err(|error| error.to_string());
        let deleted = self.delete_leftovers().map_err(|error| error.to_string());
        if let Err(error) = removed.and(deleted) {
            tracing::warn!(count = topics.len(), error, "topics that could not be created are not wholly removed");
        }
    }

    /// Deletes the partitions that the metadata does not have any more, and what is left of those that could not be created.
    fn delete_leftovers(&self) -> Result<(), LogDirError> {
        self.logs.delete_unfinished()?;
        let image = self.image();
        let is_left = |log: &Arc<PartitionLog>| {
            log.topic_partition().topic.as_ref() != CLUSTER_METADATA_TOPIC
                && log.topic_id().is_some_and(|id| {
                    !image.topic_by_id(id).is_some_and(|topic| topic.has_partition(log.topic_partition().partition))
                })
        };
        let logs = self.logs.partitions();
        let left: Vec<_> = logs.iter().filter(|log| is_left(log)).map(|log| log.topic_partition().clone()).collect();
        if left.is_empty() { Ok(()) } else { self.logs.delete_partitions(&left, monotonic()) }
    }

    /// Opens the logs of a topic, creating those that are missing.
    fn host(&self, image: &Image, topic: &Topic) -> Result<(), LogDirError> {
        let config = topic_config(&self.config(), image, topic);
        let log_config = hosted_topic::log_config(&config);
        let mut logs = Vec::with_capacity(topic.partitions.len());
        for (index, partition) in (0..).zip(&topic.partitions) {
            logs.push(self.open_log(topic, index, partition, log_config)?);
        }
        self.publish(HostedTopic::new(topic, config, self.config().batch_records_max, logs));
        Ok(())
    }

    /// Has a topic found.
    fn publish(&self, topic: HostedTopic) {
        let topic = Arc::new(topic);
        let mut all = self.hosted.write().unwrap_or_else(PoisonError::into_inner);
        all.by_id.insert(topic.id(), Arc::clone(&topic));
        all.by_name.insert(topic.name().into(), topic);
    }

    /// The log of a topic's partition, which is created if it is missing.
    fn open_log(
        &self,
        topic: &Topic,
        index: i32,
        partition: &Partition,
        config: LogConfig,
    ) -> Result<Arc<PartitionLog>, LogDirError> {
        let name = TopicPartition::new(topic.name.clone(), index);
        if let Some(log) = self.logs.partition(&name) {
            if is_of(&log, topic) {
                if log.topic_id() != Some(topic.id) {
                    tracing::warn!(partition = %name, "its topic id is missing or damaged and written anew");
                    log.set_topic_id(topic.id).map_err(|source| self.logs.error(source))?;
                }
                log.set_config(config);
                log.begin_epoch(partition.leader_epoch);
                return Ok(log);
            }
            // It is of a topic that was deleted, and could not be renamed then.
            self.logs.delete_partitions(std::slice::from_ref(&name), monotonic())?;
        }
        self.logs.create_partition(&name, topic.id, config, partition.leader_epoch, wall_clock_ms())
    }

    /// What [`Broker::delete_topics`] does, on the caller's thread.
    pub fn delete_topics_blocking(&self, ids: &[Uuid]) -> Result<Vec<Result<(), DeleteTopicFailure>>, CommitError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let removed: Vec<bool> = self.journal.change(wall_clock_ms(), |image| {
            let mut seen = HashSet::new();
            let records: Vec<_> =
                ids.iter().map(|id| topics::delete(image, *id).filter(|_| seen.insert(*id))).collect();
            let removed = records.iter().map(Option::is_some).collect();
            Ok::<_, CommitError>((records.into_iter().flatten().collect(), removed))
        })?;
        let outcomes = ids.iter().zip(removed).map(|(id, removed)| {
            if !removed {
                return Err(DeleteTopicFailure::Unknown);
            }
            let topic = self.unhost(*id);
            let logs = topic.iter().flat_map(|topic| topic.logs());
            let partitions: Vec<_> = logs.map(|log| log.topic_partition().clone()).collect();
            Ok(self.logs.delete_partitions(&partitions, monotonic())?)
        });
        Ok(outcomes.collect())
    }

    fn unhost(&self, id: Uuid) -> Option<Arc<HostedTopic>> {
        let mut all = self.hosted.write().unwrap_or_else(PoisonError::into_inner);
        let topic = all.by_id.remove(&id)?;
        all.by_name.remove(topic.name());
        Some(topic)
    }
}

/// Reads the metadata log, and what it says of the settings. What this broker cannot host is refused before anything is
/// written.
fn read_metadata(
    config: &BrokerConfig,
    identity: &Identity,
    logs: &LogDir,
) -> Result<(Found, BrokerConfig), LoadError> {
    let log = metadata_log(logs)?;
    log.set_config(metadata_log_config(config));
    let settings = JournalSettings {
        node_id: config.node_id,
        directory_id: identity.directory_id,
        controller: controller_endpoint(config),
        bytes_between_snapshots: config.metadata_log_max_record_bytes_between_snapshots,
        snapshot_interval_ms: config.metadata_log_max_snapshot_interval_ms,
        retention: Retention { bytes: config.metadata_max_retention_bytes, ms: config.metadata_max_retention_ms },
    };
    let dir = logs.path().join(TopicPartition::new(CLUSTER_METADATA_TOPIC, 0).to_string());
    let found = Found::read(log, Arc::clone(logs.disk()), dir, settings)?;
    for topic in found.image().topics() {
        if let Some(source) = invalid(found.image().config(&ConfigResource::topic(&topic.name))) {
            return Err(LoadError::TopicConfig { topic: topic.name.clone(), source });
        }
    }
    access_lists::check(config, found.image())?;
    let config = effective_config(config, found.image());
    Ok((found, config))
}

/// The metadata log holds the keys of users: only the owner of its directory may look into it.
fn keep_keys_private(logs: &LogDir, is_new: bool) {
    let dir = logs.path().join(TopicPartition::new(CLUSTER_METADATA_TOPIC, 0).to_string());
    match logs.disk().make_private(&dir) {
        Ok(was_wider) if is_new || !was_wider => {}
        Ok(_) => {
            tracing::info!(path = %dir.display(), "only its owner may read it from now on: it holds users' keys")
        }
        Err(error) => tracing::warn!(path = %dir.display(), %error, "others may read users' keys in it"),
    }
}

/// The settings of a topic that the metadata has.
fn topic_config(config: &BrokerConfig, image: &Image, topic: &Topic) -> TopicConfig {
    TopicConfig::resolve(&config.values, image.config(&ConfigResource::topic(&topic.name)))
}

/// Whether a log is that of a topic's partition, also where its topic id is missing or damaged.
fn is_of(log: &PartitionLog, topic: &Topic) -> bool {
    log.topic_id().is_none_or(|id| id == topic.id || is_misread(id, topic.id))
}

/// Registers this start of the node and makes it the leader of everything; returns the epoch of the registration.
fn take_over(journal: &Journal, node: &Node, new_epochs: bool) -> Result<i64, CommitError> {
    let now = wall_clock_ms();
    let broker_epoch = journal.change(now, |image| {
        let (record, epoch) = registration::register(image, node);
        Ok::<_, CommitError>((vec![record], epoch))
    })?;
    journal.change(now, |image| {
        Ok::<_, CommitError>((registration::take_over(image, node, broker_epoch, new_epochs), ()))
    })?;
    Ok(broker_epoch)
}

fn controller_endpoint(config: &BrokerConfig) -> Endpoint {
    let (name, host, port) = CONTROLLER;
    let endpoint =
        |name: &str, host: &str, port| Endpoint { name: name.into(), host: host.into(), port, ..Endpoint::default() };
    match &config.controller {
        Some(set) => endpoint(&set.name, set.host.as_deref().unwrap_or(host), set.port),
        None => endpoint(name, host, port),
    }
}

fn advertised_endpoints(config: &BrokerConfig) -> Vec<(String, String, u16)> {
    let endpoints = config.listeners.iter().map(|listener| {
        let endpoint = &listener.endpoint;
        let (host, port) = match &listener.advertised {
            Advertised::Fixed { host, port } => (host.clone(), if *port == 0 { endpoint.port } else { *port }),
            Advertised::AsConnected => (endpoint.host.clone().unwrap_or_else(|| LOCALHOST.to_owned()), endpoint.port),
        };
        (endpoint.name.clone(), host, port)
    });
    endpoints.collect()
}

/// One line says what Kafka left here that this broker does not act on.
fn name_kept(image: &Image) {
    let counts = image.kept().counts();
    let counts = counts.iter().filter(|(kind, _)| kind.is_unserved()).map(|(kind, n)| format!("{n} {}", kind.name()));
    let kept = counts.collect::<Vec<_>>().join(", ");
    if !kept.is_empty() {
        tracing::info!("kept as Apache Kafka wrote it, without effect here: {kept}");
    }
}

/// One line says which settings of topics are kept, but not honoured or not even known.
fn name_unhonoured(image: &Image) {
    let settings = image.topics().flat_map(|topic| {
        let set = image.config(&ConfigResource::topic(&topic.name));
        let not_honoured = unhonoured(set).map(|(row, value, _)| format!("{}: {}={value}", topic.name, row.key.name));
        not_honoured.chain(unknown(set).map(|key| format!("{}: {}", topic.name, one_line(key))))
    });
    let settings = settings.collect::<Vec<_>>().join(", ");
    if !settings.is_empty() {
        tracing::warn!("kept as Apache Kafka wrote it, but not honoured here: {settings}");
    }
}

/// The log of the metadata, new or as it was left.
fn metadata_log(logs: &LogDir) -> Result<Arc<PartitionLog>, LoadError> {
    let name = TopicPartition::new(CLUSTER_METADATA_TOPIC, 0);
    match logs.partition(&name) {
        Some(log) => Ok(log),
        None if !logs.partitions().is_empty() => Err(LoadError::NoMetadata { path: logs.path().to_owned() }),
        None => Ok(logs.create_partition(&name, METADATA_TOPIC_ID, LogConfig::default(), 0, wall_clock_ms())?),
    }
}

/// What `metadata.log.*` says of it.
fn metadata_log_config(config: &BrokerConfig) -> LogConfig {
    LogConfig {
        segment_bytes: config.metadata_log_segment_bytes,
        segment_ms: config.metadata_log_segment_ms,
        ..LogConfig::default()
    }
}

/// The id that every cluster's metadata topic has (`Uuid.METADATA_TOPIC_ID`).
const METADATA_TOPIC_ID: Uuid = Uuid::from_u128(1);

fn partitions_in(records: &[MetadataRecord]) -> i32 {
    let partitions = records.iter().filter(|record| matches!(record, MetadataRecord::Partition(_)));
    i32::try_from(partitions.count()).unwrap_or(i32::MAX)
}

/// Runs what blocks on a thread that serves no sockets.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
