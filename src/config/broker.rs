//! The keys of the broker: one table, and the values that a broker runs with.
//!
//! The table has the keys that the broker acts on, the synonyms of topic keys, and keys that Kafka's usual files set and
//! that mean nothing here: those are checked and then ignored. A key that grants, limits or encrypts access is never in
//! that third group: ignoring it would be a lie. The table is held against Kafka 4.4's by a test.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use super::{
    dynamic::Scope,
    key::{
        ConfigKey, ConfigType,
        ConfigType::{Boolean, Double, Int, List, Long, Short, String as Text},
        Effect, Importance,
        Importance::{High, Low, Medium},
        Validator,
        Validator::{Any, AtLeast, Between, BetweenOr, ListOf, OneOf},
        Value,
    },
    listener::{Endpoint, Listener},
    topic::{COMPRESSION_TYPES, LONG_MAX, TopicCompression},
};

#[cfg(test)]
mod tests;

/// A key of the broker.
#[derive(Clone, Copy, Debug)]
pub struct BrokerKey {
    /// The key itself.
    pub key: ConfigKey,
    /// How Kafka lets it be changed while the broker runs.
    pub update_mode: UpdateMode,
}

/// How a key can be changed while a broker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateMode {
    /// Not at all.
    ReadOnly,
    /// For one broker.
    PerBroker,
    /// For one broker, or as the default of all.
    ClusterWide,
}

/// Every key of the broker, by name.
pub const BROKER_KEYS: &[BrokerKey] = &[
    broker("advertised.listeners", List, None, Any, High)
        .doc("The addresses that clients are told, as NAME://host:port; those of the listeners if it is not set."),
    broker("auto.create.topics.enable", Boolean, Some("true"), Any, High)
        .doc("Whether a topic that a client asks for by name is created when it does not exist."),
    broker("auto.leader.rebalance.enable", Boolean, Some("true"), Any, High)
        .doc("Whether leadership returns to preferred replicas.")
        .without_effect(),
    broker("background.threads", Int, Some("10"), AtLeast(1), High)
        .doc("Threads for background work.")
        .cluster_wide()
        .without_effect(),
    broker("broker.id", Int, Some("-1"), Any, High).doc("The old name of node.id."),
    broker("broker.rack", Text, None, Any, Medium)
        .doc("The rack of the broker, for the placement of replicas.")
        .without_effect(),
    broker("compression.gzip.level", Int, Some("-1"), BetweenOr(1, 9, -1), Medium)
        .doc("The default of the topic key compression.gzip.level.")
        .cluster_wide(),
    broker("compression.lz4.level", Int, Some("9"), Between(1, 17), Medium)
        .doc("The default of the topic key compression.lz4.level.")
        .cluster_wide(),
    broker("compression.type", Text, Some("producer"), OneOf(COMPRESSION_TYPES), High)
        .doc("The default of the topic key compression.type.")
        .cluster_wide(),
    broker("compression.zstd.level", Int, Some("3"), Between(-131_072, 22), Medium)
        .doc("The default of the topic key compression.zstd.level.")
        .cluster_wide(),
    broker("connections.max.idle.ms", Long, Some("600000"), Any, Medium)
        .doc("How long a connection may be without a request before it is closed; negative for ever."),
    broker("controlled.shutdown.enable", Boolean, Some("true"), Any, Medium)
        .doc("Whether leadership moves away before a shutdown.")
        .without_effect(),
    broker("controller.listener.names", List, None, Any, High)
        .doc("Listeners of the controller. They are not opened: the controller is part of this process."),
    broker("controller.quorum.bootstrap.servers", List, Some(""), Any, High)
        .doc("Where to find the controllers.")
        .without_effect(),
    broker("controller.quorum.election.backoff.max.ms", Int, Some("1000"), AtLeast(0), High)
        .doc("The longest wait between two elections of a controller.")
        .without_effect(),
    broker("controller.quorum.election.timeout.ms", Int, Some("1000"), AtLeast(0), High)
        .doc("How long a controller waits for an election.")
        .without_effect(),
    broker("controller.quorum.fetch.timeout.ms", Int, Some("2000"), AtLeast(0), High)
        .doc("How long a controller waits for its leader.")
        .without_effect(),
    broker("controller.quorum.request.timeout.ms", Int, Some("2000"), AtLeast(0), Medium)
        .doc("How long a controller waits for an answer.")
        .without_effect(),
    broker("controller.quorum.retry.backoff.ms", Int, Some("20"), AtLeast(0), Low)
        .doc("The wait before a controller asks again.")
        .without_effect(),
    broker("controller.quorum.voters", List, Some(""), Any, High)
        .doc("The controllers that vote, as id@host:port.")
        .without_effect(),
    broker("controller.socket.timeout.ms", Int, Some("30000"), Any, Medium)
        .doc("How long a broker waits for its controller.")
        .without_effect(),
    broker("default.replication.factor", Int, Some("1"), Any, Medium)
        .doc("The replicas of topics created without a number of their own.")
        .without_effect(),
    broker("delete.topic.enable", Boolean, Some("true"), Any, High).doc("Whether topics can be deleted."),
    broker("fetch.max.bytes", Int, Some("57671680"), AtLeast(1024), Medium)
        .doc("The most bytes of records in one Fetch response."),
    broker("fetch.purgatory.purge.interval.requests", Int, Some("1000"), Any, Medium)
        .doc("How often finished waiting fetches are cleared away.")
        .without_effect(),
    broker(
        "group.coordinator.rebalance.protocols",
        List,
        Some("classic,consumer,streams"),
        ListOf(&["consumer", "classic", "share", "streams"]),
        Medium,
    )
    .doc("The kinds of groups.")
    .without_effect(),
    broker("group.coordinator.threads", Int, Some("4"), AtLeast(1), High)
        .doc("Threads of the group coordinator.")
        .without_effect(),
    broker("group.initial.rebalance.delay.ms", Int, Some("3000"), Any, Medium)
        .doc("How long a new group waits for more members before its first rebalance."),
    broker("group.max.session.timeout.ms", Int, Some("1800000"), Any, Medium)
        .doc("The longest session time-out that a group member may ask for."),
    broker("group.max.size", Int, Some("2147483647"), AtLeast(1), Medium).doc("The most members of a group."),
    broker("group.min.session.timeout.ms", Int, Some("6000"), Any, Medium)
        .doc("The shortest session time-out that a group member may ask for."),
    broker("inter.broker.listener.name", Text, None, Any, Medium)
        .doc("The listener that brokers use among themselves.")
        .without_effect(),
    broker("leader.imbalance.check.interval.seconds", Long, Some("300"), AtLeast(1), High)
        .doc("How often the balance of leaders is looked at.")
        .without_effect(),
    broker(
        "listener.security.protocol.map",
        Text,
        Some("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"),
        Any,
        Low,
    )
    .doc("The protocol of each listener, as NAME:PROTOCOL. Listeners speak PLAINTEXT only.")
    .per_broker(),
    broker("listeners", List, Some("PLAINTEXT://127.0.0.1:9092"), Any, High)
        .doc("The addresses to listen on, as NAME://host:port; without a host, on every interface.")
        .per_broker(),
    broker("log.cleaner.backoff.ms", Long, Some("15000"), AtLeast(0), Medium)
        .doc("The wait of the log cleaner when nothing is to be cleaned.")
        .cluster_wide(),
    broker("log.cleaner.dedupe.buffer.size", Long, Some("134217728"), Any, Medium)
        .doc("Memory for the keys that compaction compares.")
        .cluster_wide(),
    broker("log.cleaner.delete.retention.ms", Long, Some("86400000"), AtLeast(0), Medium)
        .doc("The default of the topic key delete.retention.ms.")
        .cluster_wide(),
    broker("log.cleaner.enable", Boolean, Some("true"), Any, Medium).doc("Whether logs are compacted."),
    broker("log.cleaner.io.buffer.load.factor", Double, Some("0.9"), Any, Medium)
        .doc("How full the memory for keys may be.")
        .cluster_wide(),
    broker("log.cleaner.io.buffer.size", Int, Some("524288"), AtLeast(0), Medium)
        .doc("Memory for what the log cleaner reads and writes.")
        .cluster_wide(),
    broker("log.cleaner.io.max.bytes.per.second", Double, Some("1.7976931348623157E308"), Any, Medium)
        .doc("How many bytes a second the log cleaner reads and writes at most.")
        .cluster_wide(),
    broker("log.cleaner.max.compaction.lag.ms", Long, Some(LONG_MAX), AtLeast(1), Medium)
        .doc("The default of the topic key max.compaction.lag.ms.")
        .cluster_wide(),
    broker("log.cleaner.min.cleanable.ratio", Double, Some("0.5"), Between(0, 1), Medium)
        .doc("The default of the topic key min.cleanable.dirty.ratio.")
        .cluster_wide(),
    broker("log.cleaner.min.compaction.lag.ms", Long, Some("0"), AtLeast(0), Medium)
        .doc("The default of the topic key min.compaction.lag.ms.")
        .cluster_wide(),
    broker("log.cleaner.threads", Int, Some("1"), AtLeast(0), Medium).doc("Threads of the log cleaner.").cluster_wide(),
    broker("log.cleanup.policy", List, Some("delete"), ListOf(&["compact", "delete"]), Medium)
        .doc("The default of the topic key cleanup.policy.")
        .cluster_wide(),
    broker("log.dir", List, None, Any, High).doc("Another name of log.dirs, which goes first."),
    broker("log.dirs", List, Some("./data"), Any, High).doc("The data directory: one, not several."),
    broker("log.flush.interval.messages", Long, Some(LONG_MAX), AtLeast(1), High)
        .doc("The default of the topic key flush.messages.")
        .cluster_wide(),
    broker("log.flush.interval.ms", Long, None, Any, High)
        .doc("The default of the topic key flush.ms; log.flush.scheduler.interval.ms if it is not set.")
        .cluster_wide(),
    broker("log.flush.offset.checkpoint.interval.ms", Int, Some("60000"), AtLeast(0), High)
        .doc("How often it is written down up to where logs are flushed.")
        .without_effect(),
    broker("log.flush.scheduler.interval.ms", Long, Some(LONG_MAX), Any, High)
        .doc("The default of log.flush.interval.ms."),
    broker("log.flush.start.offset.checkpoint.interval.ms", Int, Some("60000"), AtLeast(0), High)
        .doc("How often it is written down where logs start.")
        .without_effect(),
    broker("log.index.interval.bytes", Int, Some("4096"), AtLeast(0), Medium)
        .doc("The default of the topic key index.interval.bytes.")
        .cluster_wide(),
    broker("log.index.size.max.bytes", Int, Some("10485760"), AtLeast(4), Medium)
        .doc("The default of the topic key segment.index.bytes.")
        .cluster_wide(),
    broker("log.local.retention.bytes", Long, Some("-2"), AtLeast(-2), Medium)
        .doc("The default of the topic key local.retention.bytes.")
        .cluster_wide()
        .without_effect(),
    broker("log.local.retention.ms", Long, Some("-2"), AtLeast(-2), Medium)
        .doc("The default of the topic key local.retention.ms.")
        .cluster_wide()
        .without_effect(),
    broker("log.message.timestamp.after.max.ms", Long, Some("3600000"), AtLeast(0), Medium)
        .doc("The default of the topic key message.timestamp.after.max.ms.")
        .cluster_wide(),
    broker("log.message.timestamp.before.max.ms", Long, Some(LONG_MAX), AtLeast(0), Medium)
        .doc("The default of the topic key message.timestamp.before.max.ms.")
        .cluster_wide(),
    broker("log.message.timestamp.type", Text, Some("CreateTime"), OneOf(&["CreateTime", "LogAppendTime"]), Medium)
        .doc("The default of the topic key message.timestamp.type.")
        .cluster_wide(),
    broker("log.preallocate", Boolean, Some("false"), Any, Medium)
        .doc("The default of the topic key preallocate.")
        .cluster_wide()
        .without_effect(),
    broker("log.remote.copy.lag.bytes", Long, Some("-1"), AtLeast(-1), Medium)
        .doc("The default of the topic key remote.copy.lag.bytes.")
        .cluster_wide()
        .without_effect(),
    broker("log.remote.copy.lag.ms", Long, Some("0"), AtLeast(-1), Medium)
        .doc("The default of the topic key remote.copy.lag.ms.")
        .cluster_wide()
        .without_effect(),
    broker("log.retention.bytes", Long, Some("-1"), Any, High)
        .doc("The default of the topic key retention.bytes.")
        .cluster_wide(),
    broker("log.retention.check.interval.ms", Long, Some("300000"), AtLeast(1), Medium)
        .doc("How often segments are looked at that may be too old."),
    broker("log.retention.hours", Int, Some("168"), Any, High)
        .doc("The default of the topic key retention.ms, in hours."),
    broker("log.retention.minutes", Int, None, Any, High)
        .doc("The default of the topic key retention.ms, in minutes. Goes before log.retention.hours."),
    broker("log.retention.ms", Long, None, Any, High)
        .doc("The default of the topic key retention.ms. Goes before log.retention.minutes and log.retention.hours.")
        .cluster_wide(),
    broker("log.roll.hours", Int, Some("168"), AtLeast(1), High)
        .doc("The default of the topic key segment.ms, in hours."),
    broker("log.roll.jitter.hours", Int, Some("0"), AtLeast(0), High)
        .doc("The default of the topic key segment.jitter.ms, in hours."),
    broker("log.roll.jitter.ms", Long, None, Any, High)
        .doc("The default of the topic key segment.jitter.ms. Goes before log.roll.jitter.hours.")
        .cluster_wide(),
    broker("log.roll.ms", Long, None, Any, High)
        .doc("The default of the topic key segment.ms. Goes before log.roll.hours.")
        .cluster_wide(),
    broker("log.segment.bytes", Int, Some("1073741824"), AtLeast(1_048_576), High)
        .doc("The default of the topic key segment.bytes.")
        .cluster_wide(),
    broker("log.segment.delete.delay.ms", Long, Some("60000"), AtLeast(0), High)
        .doc("The default of the topic key file.delete.delay.ms.")
        .cluster_wide(),
    broker("max.connections", Int, Some("2147483647"), AtLeast(0), Medium)
        .doc("The most connections at a time.")
        .cluster_wide(),
    broker("max.decompressed.message.bytes", Int, Some("2147483639"), Between(1, 2_147_483_639), Medium)
        .doc("The default of the topic key max.decompressed.message.bytes.")
        .cluster_wide(),
    broker("max.incremental.fetch.session.cache.slots", Int, Some("1000"), AtLeast(0), Medium)
        .doc("The most fetch sessions that are remembered at a time."),
    broker("max.request.partition.size.limit", Int, Some("2000"), AtLeast(1), Medium)
        .doc("The most partitions in one answer to a client that pages through topics."),
    broker("message.max.bytes", Int, Some("1048588"), AtLeast(0), High)
        .doc("The default of the topic key max.message.bytes.")
        .cluster_wide(),
    broker("metadata.log.max.record.bytes.between.snapshots", Long, Some("20971520"), AtLeast(1), High)
        .doc("How much is added to the metadata log before it is summed up."),
    broker("metadata.log.max.snapshot.interval.ms", Long, Some("3600000"), AtLeast(0), High)
        .doc("How long the metadata log goes without being summed up once something was added; 0 for no limit."),
    broker("metadata.log.segment.bytes", Int, Some("1073741824"), AtLeast(8_388_608), High)
        .doc("The largest size of a segment of the metadata log."),
    broker("metadata.log.segment.ms", Long, Some("604800000"), Any, High)
        .doc("After how long a segment of the metadata log is rolled."),
    broker("metadata.max.retention.bytes", Long, Some("104857600"), Any, High)
        .doc("How large metadata log and snapshots may be together before the oldest go; one snapshot stays."),
    broker("metadata.max.retention.ms", Long, Some("604800000"), Any, High).doc(
        "How old the oldest snapshot of the metadata may be if there is another; it goes with the log below the next.",
    ),
    broker("min.insync.replicas", Int, Some("1"), AtLeast(1), High)
        .doc("The default of the topic key min.insync.replicas.")
        .cluster_wide(),
    broker("node.id", Int, Some("1"), AtLeast(0), High).doc("The broker's number. The data directory keeps it."),
    broker("num.io.threads", Int, Some("8"), AtLeast(1), High)
        .doc("Threads that handle requests.")
        .cluster_wide()
        .without_effect(),
    broker("num.network.threads", Int, Some("3"), AtLeast(1), High)
        .doc("Threads that serve sockets.")
        .cluster_wide()
        .without_effect(),
    broker("num.partitions", Int, Some("1"), AtLeast(1), Medium)
        .doc("The partitions of topics created without a number of their own."),
    broker("num.recovery.threads.per.data.dir", Int, Some("2"), AtLeast(1), High)
        .doc("Threads that open logs.")
        .cluster_wide()
        .without_effect(),
    broker("num.replica.fetchers", Int, Some("1"), AtLeast(1), High)
        .doc("Threads that fetch from other brokers.")
        .cluster_wide()
        .without_effect(),
    broker("offset.metadata.max.bytes", Int, Some("4096"), Any, High)
        .doc("How long the text may be that a client keeps with an offset."),
    broker("offsets.retention.check.interval.ms", Long, Some("600000"), AtLeast(1), High)
        .doc("How often offsets are looked at that may have expired."),
    broker("offsets.retention.minutes", Int, Some("10080"), AtLeast(1), High)
        .doc("How long offsets are kept once the group is empty, or no longer subscribes to their topic."),
    broker("offsets.topic.compression.codec", Int, Some("0"), Any, High)
        .doc("The codec of committed offsets: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd."),
    broker("offsets.topic.num.partitions", Int, Some("50"), AtLeast(1), High)
        .doc("The partitions of __consumer_offsets, when it is created."),
    broker("offsets.topic.replication.factor", Short, Some("3"), AtLeast(1), High)
        .doc("The replicas of __consumer_offsets.")
        .without_effect(),
    broker("offsets.topic.segment.bytes", Int, Some("104857600"), AtLeast(1), High)
        .doc("The segment size of __consumer_offsets, when it is created."),
    broker("ottla.durability", Text, Some("fsync"), OneOf(DURABILITIES), High)
        .doc("fsync: acknowledged with acks=all means on disk. kafka: in the page cache, flushed by log.flush.*."),
    broker("ottla.partitions.max", Int, Some("100000"), AtLeast(1), Medium)
        .doc("The most partitions of all topics. Whatever would be more is refused: topics, and partitions added to them. Those of groups and transactions count and are never refused, nor is what is there at a start."),
    broker("process.roles", List, Some("broker,controller"), ListOf(&["broker", "controller"]), High)
        .doc("What this process is: both, whatever is set.")
        .without_effect(),
    broker("producer.id.expiration.ms", Int, Some("86400000"), AtLeast(1), Low)
        .doc("How long a partition remembers a producer that appends nothing.")
        .cluster_wide(),
    broker("producer.purgatory.purge.interval.requests", Int, Some("1000"), Any, Medium)
        .doc("How often finished waiting produce requests are cleared away.")
        .without_effect(),
    broker("queued.max.requests", Int, Some("500"), AtLeast(1), High)
        .doc("Requests that wait for a thread.")
        .without_effect(),
    broker("replica.fetch.max.bytes", Int, Some("1048576"), AtLeast(0), Medium)
        .doc("How much a follower fetches of a partition.")
        .without_effect(),
    broker("replica.lag.time.max.ms", Long, Some("30000"), Any, High)
        .doc("How far a follower may be behind.")
        .without_effect(),
    broker("share.coordinator.state.topic.min.isr", Short, Some("2"), AtLeast(1), High)
        .doc("The replicas of __share_group_state that must have a record.")
        .without_effect(),
    broker("share.coordinator.state.topic.num.partitions", Int, Some("50"), AtLeast(1), High)
        .doc("The partitions of __share_group_state.")
        .without_effect(),
    broker("share.coordinator.state.topic.replication.factor", Short, Some("3"), AtLeast(1), High)
        .doc("The replicas of __share_group_state.")
        .without_effect(),
    broker("socket.listen.backlog.size", Int, Some("50"), AtLeast(1), Medium)
        .doc("Connections that wait to be accepted.")
        .without_effect(),
    broker("socket.receive.buffer.bytes", Int, Some("102400"), Any, High)
        .doc("The size of each socket's receive buffer; -1 leaves it to the system."),
    broker("socket.request.max.bytes", Int, Some("104857600"), AtLeast(1), High)
        .doc("The most bytes of a request. A connection that announces more is closed."),
    broker("socket.send.buffer.bytes", Int, Some("102400"), Any, High)
        .doc("The size of each socket's send buffer; -1 leaves it to the system."),
    broker("transaction.abort.timed.out.transaction.cleanup.interval.ms", Int, Some("10000"), AtLeast(1), Low)
        .doc("How often transactions are looked at that may have timed out. Here they end when their time comes.")
        .without_effect(),
    broker("transaction.max.timeout.ms", Int, Some("900000"), AtLeast(1), High)
        .doc("How long a transaction may stay open at most, whatever its producer asks for."),
    broker("transaction.remove.expired.transaction.cleanup.interval.ms", Int, Some("3600000"), AtLeast(1), Low)
        .doc("How often transactional ids are looked at that may have expired."),
    broker("transaction.state.log.load.buffer.size", Int, Some("5242880"), AtLeast(1), High)
        .doc("How much of __transaction_state is read at a time.")
        .without_effect(),
    broker("transaction.state.log.min.isr", Int, Some("2"), AtLeast(1), High)
        .doc("The replicas of __transaction_state that must have a record.")
        .without_effect(),
    broker("transaction.state.log.num.partitions", Int, Some("50"), AtLeast(1), High)
        .doc("The partitions of __transaction_state, when it is created."),
    broker("transaction.state.log.replication.factor", Short, Some("3"), AtLeast(1), High)
        .doc("The replicas of __transaction_state.")
        .without_effect(),
    broker("transaction.state.log.segment.bytes", Int, Some("104857600"), AtLeast(1), High)
        .doc("The segment size of __transaction_state, when it is created."),
    broker("transactional.id.expiration.ms", Int, Some("604800000"), AtLeast(1), High)
        .doc("How long a transactional id is kept that has no transaction."),
    broker("unclean.leader.election.enable", Boolean, Some("false"), Any, High)
        .doc("The default of the topic key unclean.leader.election.enable.")
        .cluster_wide()
        .without_effect(),
];

/// The key that names a codec by its number.
pub(super) const OFFSETS_CODEC: &str = "offsets.topic.compression.codec";

/// Milliseconds of a minute.
const MINUTE_MS: i64 = 60 * 1000;

/// What `ottla.durability` can be.
const DURABILITIES: &[&str] = &["fsync", "kafka"];

/// A row of the table.
const fn broker(
    name: &'static str,
    config_type: ConfigType,
    default: Option<&'static str>,
    valid: Validator,
    importance: Importance,
) -> BrokerKey {
    BrokerKey { key: ConfigKey::new(name, config_type, default, valid, importance), update_mode: UpdateMode::ReadOnly }
}

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
    /// `auto.create.topics.enable`.
    pub auto_create_topics_enable: bool,
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

/// The row of a broker key.
#[must_use]
pub fn broker_key(name: &str) -> Option<&'static BrokerKey> {
    BROKER_KEYS.iter().find(|row| row.key.name == name)
}

impl BrokerKey {
    const fn doc(mut self, doc: &'static str) -> Self {
        self.key.doc = doc;
        self
    }

    const fn without_effect(mut self) -> Self {
        self.key.effect = Effect::None;
        self
    }

    const fn per_broker(mut self) -> Self {
        self.update_mode = UpdateMode::PerBroker;
        self
    }

    const fn cluster_wide(mut self) -> Self {
        self.update_mode = UpdateMode::ClusterWide;
        self
    }
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
            auto_create_topics_enable: values.boolean("auto.create.topics.enable"),
            connections_max_idle: values.duration("connections.max.idle.ms"),
            delete_topic_enable: values.boolean("delete.topic.enable"),
            acknowledges_durable: values.get("ottla.durability").as_ref().and_then(Value::as_str) == Some("fsync"),
            fetch_max_bytes: values.size("fetch.max.bytes"),
            groups: GroupConfig::new(&values),
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
        let (cluster_id, data_dir) = (self.cluster_id.clone(), self.data_dir.clone());
        Self { controller: self.controller.clone(), ..Self::new(values, cluster_id, data_dir, self.listeners.clone()) }
    }
}

impl GroupConfig {
    fn new(values: &BrokerValues) -> Self {
        Self {
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
    fn boolean(&self, name: &str) -> bool {
        self.get(name).and_then(|value| value.as_bool()).expect("the key is a BOOLEAN with a default")
    }

    fn long(&self, name: &str) -> i64 {
        self.get(name).and_then(|value| value.as_long()).expect("the key is a number with a default")
    }

    fn double(&self, name: &str) -> f64 {
        self.get(name).and_then(|value| value.as_double()).expect("the key is a DOUBLE with a default")
    }

    fn int(&self, name: &str) -> i32 {
        i32::try_from(self.long(name)).expect("the key is an INT")
    }

    fn size(&self, name: &str) -> u32 {
        u32::try_from(self.long(name)).expect("the key is an INT that is never negative")
    }

    /// A buffer's size; zero and less leave it to the system.
    fn buffer(&self, name: &str) -> Option<u32> {
        u32::try_from(self.long(name)).ok().filter(|bytes| *bytes > 0)
    }

    /// A time in milliseconds; negative for no limit.
    fn duration(&self, name: &str) -> Option<Duration> {
        u64::try_from(self.long(name)).ok().map(Duration::from_millis)
    }
}

/// As Kafka's documentation writes it.
impl fmt::Display for UpdateMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "read-only",
            Self::PerBroker => "per-broker",
            Self::ClusterWide => "cluster-wide",
        })
    }
}
