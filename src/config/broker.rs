//! The keys of the broker: one table, and the values that a broker runs with.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

pub use self::keys::{BROKER_KEYS, BrokerKey, UpdateMode, broker_key};
pub(super) use self::keys::{NO_CONSUMER_GROUPS, NO_STREAMS_GROUPS, OFFSETS_CODEC};
use super::{
    authorizer::AuthorizerConfig,
    clients::ClientLimits,
    dynamic::Scope,
    key::Value,
    listener::{Endpoint, Listener},
    listener_keys::ListenerKey,
    topic::TopicCompression,
    users::FirstUser,
};

mod keys;
#[cfg(test)]
mod tests;

/// Milliseconds of a minute.
const MINUTE_MS: i64 = 60 * 1000;

/// What a broker runs with.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerConfig {
    /// `node.id`.
    pub node_id: i32,
    /// The cluster's id, if it was given; else the data directory has it, or a new one is made.
    pub cluster_id: Option<String>,
    /// `log.dirs`.
    pub data_dir: PathBuf,
    /// `listeners` and `advertised.listeners`, without those of a controller. Never empty.
    pub listeners: Vec<Listener>,
    /// The listener of the controller, where `listeners` has one. It is not opened.
    pub controller: Option<Endpoint>,
    /// `authorizer.class.name`, and what it reads.
    pub authorizer: AuthorizerConfig,
    /// The users that this start brings.
    pub first_users: Vec<FirstUser>,
    /// What clients may take of the network layer.
    pub clients: ClientLimits,
    /// `auto.create.topics.enable`.
    pub auto_create_topics_enable: bool,
    /// `ottla.batch.records.max`.
    pub batch_records_max: u32,
    /// `connections.max.idle.ms`; `None` for no limit.
    pub connections_max_idle: Option<Duration>,
    /// `delete.topic.enable`.
    pub delete_topic_enable: bool,
    /// `ottla.durability`: whether what is acknowledged is on disk.
    pub acknowledges_durable: bool,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: u32,
    /// `group.*` and `offsets.*`.
    pub groups: GroupConfig,
    /// `ottla.landlock`: whether the process is confined, as far as the system can.
    pub landlock: bool,
    /// `log.retention.check.interval.ms`.
    pub log_retention_check_interval: Duration,
    /// `log.cleaner.*`; `None` where nothing is compacted.
    pub log_cleaner: Option<CleanerConfig>,
    /// `max.connections`.
    pub max_connections: u32,
    /// `max.incremental.fetch.session.cache.slots`.
    pub max_incremental_fetch_session_cache_slots: u32,
    /// `max.request.partition.size.limit`.
    pub max_request_partition_size_limit: u32,
    /// `metadata.log.max.record.bytes.between.snapshots`.
    pub metadata_log_max_record_bytes_between_snapshots: u64,
    /// `metadata.log.max.snapshot.interval.ms`; `None` for no limit.
    pub metadata_log_max_snapshot_interval_ms: Option<i64>,
    /// `metadata.log.segment.bytes`.
    pub metadata_log_segment_bytes: u64,
    /// `metadata.log.segment.ms`, at least 1.
    pub metadata_log_segment_ms: i64,
    /// `metadata.max.retention.bytes`; `None` for no limit.
    pub metadata_max_retention_bytes: Option<u64>,
    /// `metadata.max.retention.ms`; `None` for no limit.
    pub metadata_max_retention_ms: Option<i64>,
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `ottla.partitions.max`.
    pub partitions_max: u32,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
    /// `transaction.*` and `transactional.id.*`.
    pub transactions: TransactionConfig,
    /// `socket.receive.buffer.bytes`; `None` leaves it to the system.
    pub socket_receive_buffer_bytes: Option<u32>,
    /// `socket.request.max.bytes`.
    pub socket_request_max_bytes: u32,
    /// `socket.send.buffer.bytes`; `None` leaves it to the system.
    pub socket_send_buffer_bytes: Option<u32>,
    /// The values of all keys: the defaults of topics come from them.
    pub values: BrokerValues,
}

/// How groups of consumers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `ottla.groups.max`.
    pub groups_max: u32,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay: Duration,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout: Duration,
    /// `group.max.size`.
    pub max_size: u32,
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout: Duration,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_max_bytes: u32,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval: Duration,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.topic.compression.codec`, at the codec's own level.
    pub offsets_topic_compression: TopicCompression,
    /// `offsets.topic.num.partitions`.
    pub offsets_topic_num_partitions: i32,
    /// `offsets.topic.segment.bytes`.
    pub offsets_topic_segment_bytes: u32,
}

/// How transactions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionConfig {
    /// `ottla.transactional.ids.max`.
    pub ids_max: u32,
    /// `transactional.id.expiration.ms`.
    pub id_expiration_ms: i64,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`.
    pub id_expiration_check_interval: Duration,
    /// `transaction.max.timeout.ms`.
    pub max_timeout: Duration,
    /// `transaction.state.log.num.partitions`.
    pub topic_num_partitions: i32,
    /// `transaction.state.log.segment.bytes`.
    pub topic_segment_bytes: u32,
}

/// How logs are compacted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CleanerConfig {
    /// `log.cleaner.threads`, at least 1.
    pub threads: u32,
    /// `log.cleaner.backoff.ms`: the wait when nothing is to be compacted.
    pub backoff: Duration,
    /// `log.cleaner.dedupe.buffer.size`: bytes for keys, of all threads.
    pub dedupe_buffer_size: u64,
    /// `log.cleaner.io.buffer.load.factor`: which part of them may be filled.
    pub io_buffer_load_factor: f64,
    /// `log.cleaner.io.buffer.size`: bytes read and written at once, of all threads.
    pub io_buffer_size: u32,
    /// `log.cleaner.io.max.bytes.per.second`.
    pub io_max_bytes_per_second: f64,
}

/// The value of each broker key: what was set, by whoever goes first, else the table's default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BrokerValues {
    /// Set for this broker while it runs, and kept by the metadata.
    of_broker: Values,
    /// Set as the default of all brokers while they run, and kept by the metadata.
    of_cluster: Values,
    /// Set by the command line, the environment or the file.
    of_start: Values,
    /// The same for one listener, by the whole name.
    of_listeners: BTreeMap<String, Value>,
}

/// Parsed values by key.
pub type Values = BTreeMap<&'static str, Value>;

/// Who set the value of a broker key. The first that did counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueSource {
    /// Somebody, for this broker while it runs.
    Broker,
    /// Somebody, as the default of all brokers while they run.
    Cluster,
    /// The command line, the environment or the file.
    Start,
    /// Nobody: it is the table's default.
    Default,
}

impl BrokerValues {
    /// The value of a key; `None` if it is not set and has no default, or is not a broker key.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value> {
        self.in_order(name).next().map(|(value, _)| value)
    }

    /// The values of a key and who set them: the first counts, each other would if those before it were not.
    pub fn in_order(&self, name: &str) -> impl Iterator<Item = (Value, ValueSource)> {
        let set = [
            (&self.of_broker, ValueSource::Broker),
            (&self.of_cluster, ValueSource::Cluster),
            (&self.of_start, ValueSource::Start),
        ];
        let set = set.into_iter().filter_map(|(values, source)| Some((values.get(name)?.clone(), source)));
        let default = std::iter::once_with(move || broker_key(name)?.key.default_value()).flatten();
        set.chain(default.map(|value| (value, ValueSource::Default)))
    }

    /// Whether the key was set, be it to its default.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.in_order(name).next().is_some_and(|(_, source)| source != ValueSource::Default)
    }

    pub(crate) fn set(&mut self, name: &'static str, value: Value) {
        self.of_start.insert(name, value);
    }

    pub(super) fn set_of_listener(&mut self, name: String, value: Value) {
        self.of_listeners.insert(name, value);
    }

    /// What was set for one listener: the whole name, the key that it sets there, and the value.
    pub fn of_listeners(&self) -> impl Iterator<Item = (&str, &'static BrokerKey, &Value)> {
        self.of_listeners.iter().filter_map(|(name, value)| Some((name.as_str(), ListenerKey::parse(name)?.row, value)))
    }

    /// These, with other values in place of those that were set in a scope while the broker runs.
    #[must_use]
    pub fn with(&self, scope: Scope, set: Values) -> Self {
        let mut values = self.clone();
        match scope {
            Scope::Broker => values.of_broker = set,
            Scope::Cluster => values.of_cluster = set,
        }
        values
    }
}

impl BrokerConfig {
    /// Types the values. `values` must have been parsed by the table, `listeners` not be empty.
    pub(super) fn new(
        values: BrokerValues,
        cluster_id: Option<String>,
        data_dir: PathBuf,
        listeners: Vec<Listener>,
    ) -> Self {
        Self {
            node_id: values.int("node.id"),
            cluster_id,
            data_dir,
            listeners,
            controller: None,
            authorizer: AuthorizerConfig::default(),
            first_users: Vec::new(),
            clients: ClientLimits::new(&values),
            auto_create_topics_enable: values.boolean("auto.create.topics.enable"),
            batch_records_max: values.size("ottla.batch.records.max"),
            connections_max_idle: values.duration("connections.max.idle.ms"),
            delete_topic_enable: values.boolean("delete.topic.enable"),
            acknowledges_durable: values.get("ottla.durability").as_ref().and_then(Value::as_str) == Some("fsync"),
            fetch_max_bytes: values.size("fetch.max.bytes"),
            groups: GroupConfig::new(&values),
            landlock: values.boolean("ottla.landlock"),
            log_retention_check_interval: values.duration("log.retention.check.interval.ms").unwrap_or_default(),
            log_cleaner: CleanerConfig::new(&values),
            max_connections: values.size("max.connections"),
            max_incremental_fetch_session_cache_slots: values.size("max.incremental.fetch.session.cache.slots"),
            max_request_partition_size_limit: values.size("max.request.partition.size.limit"),
            metadata_log_max_record_bytes_between_snapshots: values
                .long("metadata.log.max.record.bytes.between.snapshots")
                .unsigned_abs(),
            metadata_log_max_snapshot_interval_ms: Some(values.long("metadata.log.max.snapshot.interval.ms"))
                .filter(|interval| *interval > 0),
            metadata_log_segment_bytes: values.size("metadata.log.segment.bytes").into(),
            metadata_log_segment_ms: values.long("metadata.log.segment.ms").max(1),
            metadata_max_retention_bytes: u64::try_from(values.long("metadata.max.retention.bytes")).ok(),
            metadata_max_retention_ms: Some(values.long("metadata.max.retention.ms")).filter(|ms| *ms >= 0),
            num_partitions: values.int("num.partitions"),
            partitions_max: values.size("ottla.partitions.max"),
            producer_id_expiration_ms: values.long("producer.id.expiration.ms"),
            transactions: TransactionConfig::new(&values),
            socket_receive_buffer_bytes: values.buffer("socket.receive.buffer.bytes"),
            socket_request_max_bytes: values.size("socket.request.max.bytes"),
            socket_send_buffer_bytes: values.buffer("socket.send.buffer.bytes"),
            values,
        }
    }

    /// The same broker with other values.
    pub(super) fn with_values(&self, values: BrokerValues) -> Self {
        let start = self.clone();
        Self {
            controller: start.controller,
            authorizer: start.authorizer,
            first_users: start.first_users,
            ..Self::new(values, start.cluster_id, start.data_dir, start.listeners)
        }
    }
}

impl GroupConfig {
    fn new(values: &BrokerValues) -> Self {
        Self {
            groups_max: values.size("ottla.groups.max"),
            initial_rebalance_delay: values.duration("group.initial.rebalance.delay.ms").unwrap_or_default(),
            max_session_timeout: values.duration("group.max.session.timeout.ms").unwrap_or_default(),
            max_size: values.size("group.max.size"),
            min_session_timeout: values.duration("group.min.session.timeout.ms").unwrap_or_default(),
            offset_metadata_max_bytes: u32::try_from(values.long("offset.metadata.max.bytes")).unwrap_or(0),
            offsets_retention_check_interval: values
                .duration("offsets.retention.check.interval.ms")
                .unwrap_or_default(),
            offsets_retention_ms: values.long("offsets.retention.minutes") * MINUTE_MS,
            offsets_topic_compression: TopicCompression::from_codec_id(values.long(OFFSETS_CODEC))
                .expect("the codec was checked"),
            offsets_topic_num_partitions: values.int("offsets.topic.num.partitions"),
            offsets_topic_segment_bytes: values.size("offsets.topic.segment.bytes"),
        }
    }
}

impl TransactionConfig {
    fn new(values: &BrokerValues) -> Self {
        Self {
            ids_max: values.size("ottla.transactional.ids.max"),
            id_expiration_ms: values.long("transactional.id.expiration.ms"),
            id_expiration_check_interval: values
                .duration("transaction.remove.expired.transaction.cleanup.interval.ms")
                .unwrap_or_default(),
            max_timeout: values.duration("transaction.max.timeout.ms").unwrap_or_default(),
            topic_num_partitions: values.int("transaction.state.log.num.partitions"),
            topic_segment_bytes: values.size("transaction.state.log.segment.bytes"),
        }
    }
}

impl CleanerConfig {
    fn new(values: &BrokerValues) -> Option<Self> {
        let threads = values.size("log.cleaner.threads");
        (values.boolean("log.cleaner.enable") && threads > 0).then(|| Self {
            threads,
            backoff: values.duration("log.cleaner.backoff.ms").unwrap_or_default(),
            dedupe_buffer_size: u64::try_from(values.long("log.cleaner.dedupe.buffer.size")).unwrap_or(0),
            io_buffer_load_factor: values.double("log.cleaner.io.buffer.load.factor"),
            io_buffer_size: values.size("log.cleaner.io.buffer.size"),
            io_max_bytes_per_second: values.double("log.cleaner.io.max.bytes.per.second"),
        })
    }
}

impl BrokerValues {
    pub(super) fn boolean(&self, name: &str) -> bool {
        self.get(name).and_then(|value| value.as_bool()).expect("the key is a BOOLEAN with a default")
    }

    pub(super) fn long(&self, name: &str) -> i64 {
        self.get(name).and_then(|value| value.as_long()).expect("the key is a number with a default")
    }

    fn double(&self, name: &str) -> f64 {
        self.get(name).and_then(|value| value.as_double()).expect("the key is a DOUBLE with a default")
    }

    fn int(&self, name: &str) -> i32 {
        i32::try_from(self.long(name)).expect("the key is an INT")
    }

    pub(super) fn size(&self, name: &str) -> u32 {
        u32::try_from(self.long(name)).expect("the key is an INT that is never negative")
    }

    /// A buffer's size; zero and less leave it to the system.
    fn buffer(&self, name: &str) -> Option<u32> {
        u32::try_from(self.long(name)).ok().filter(|bytes| *bytes > 0)
    }

    /// A time in milliseconds; negative for no limit.
    pub(super) fn duration(&self, name: &str) -> Option<Duration> {
        u64::try_from(self.long(name)).ok().map(Duration::from_millis)
    }
}
