//! The table of the broker's keys.
//!
//! It has the keys that the broker acts on, the synonyms of topic keys, and keys that Kafka's usual files set and that
//! mean nothing here: those are checked, and say why they have no effect. A key that grants, limits or encrypts access
//! is never among the latter: ignoring it would be a lie. Those have a file of their own. The tables are held against
//! Kafka 4.4's by a test.

use std::fmt;

use self::security::SECURITY_KEYS;
use crate::config::{
    client_metrics::NO_CLIENT_METRICS,
    key::{
        ConfigKey, ConfigType,
        ConfigType::{Boolean, Double, Int, List, Long, Short, String as Text},
        Effect, Importance,
        Importance::{High, Low, Medium},
        Validator,
        Validator::{Any, AtLeast, Between, BetweenOr, ListOf, OneOf, OneOfIgnoringCase},
        row_of,
    },
    topic::{
        COMPRESSION_TYPES, LONG_MAX, NO_PREALLOCATION, NO_REPLICATION, NO_SHARE_GROUPS, NO_TIERED_STORAGE, ONE_REPLICA,
    },
};

mod security;

/// A key of the broker.
#[derive(Clone, Copy, Debug)]
pub struct BrokerKey {
    /// The key itself.
    pub key: ConfigKey,
    /// How it can be changed while the broker runs.
    pub update_mode: UpdateMode,
    /// Whether Kafka could change it while it runs, which here takes a restart.
    pub restart_only: bool,
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
pub const BROKER_KEYS: &[BrokerKey] =
    &merge::<{ GENERAL_KEYS.len() + SECURITY_KEYS.len() }>(GENERAL_KEYS, SECURITY_KEYS);

/// Those that have nothing to do with access.
const GENERAL_KEYS: &[BrokerKey] = &[
    broker("add.partitions.to.txn.retry.backoff.max.ms", Int, Some("100"), AtLeast(0), High)
        .doc("The longest wait before a coordinator of transactions is asked again.")
        .without_effect(OWN_COORDINATORS),
    broker("add.partitions.to.txn.retry.backoff.ms", Int, Some("20"), AtLeast(1), High)
        .doc("The wait before a coordinator of transactions is asked again.")
        .without_effect(OWN_COORDINATORS),
    broker("advertised.listeners", List, None, Any, High)
        .doc("The addresses that clients are told, as NAME://host:port; those of the listeners if it is not set."),
    broker("alter.log.dirs.replication.quota.window.num", Int, Some("11"), AtLeast(1), Low)
        .doc("How many samples the rate of moves between directories is measured by.")
        .without_effect(NO_REPLICATION),
    broker("alter.log.dirs.replication.quota.window.size.seconds", Int, Some("1"), AtLeast(1), Low)
        .doc("How long a sample of the rate of moves between directories is.")
        .without_effect(NO_REPLICATION),
    broker("auto.create.topics.enable", Boolean, Some("true"), Any, High)
        .doc("Whether a topic that a client asks for by name is created when it does not exist."),
    broker("auto.leader.rebalance.enable", Boolean, Some("true"), Any, High)
        .doc("Whether leadership returns to preferred replicas.")
        .without_effect(ONE_REPLICA),
    broker("background.threads", Int, Some("10"), AtLeast(1), High)
        .doc("Threads for background work.")
        .cluster_wide()
        .without_effect(THREADS),
    broker("broker.heartbeat.interval.ms", Int, Some("2000"), Any, Medium)
        .doc("How often a broker tells its controller that it is there.")
        .without_effect(OWN_CONTROLLER),
    broker("broker.id", Int, Some("-1"), Any, High).doc("The old name of node.id."),
    broker("broker.rack", Text, None, Any, Medium)
        .doc("The rack of the broker, for the placement of replicas.")
        .without_effect(ONE_REPLICA),
    broker("broker.session.timeout.ms", Int, Some("9000"), Any, Medium)
        .doc("After how much silence a broker counts as gone.")
        .without_effect(OWN_CONTROLLER),
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
        .without_effect(ONE_REPLICA),
    broker("controller.listener.names", List, None, Any, High)
        .doc("Listeners of the controller. They are not opened: the controller is part of this process."),
    broker("controller.quorum.append.linger.ms", Int, Some("25"), AtLeast(0), Medium)
        .doc("How long a controller gathers records before it writes them.")
        .without_effect(OWN_CONTROLLER),
    broker("controller.quorum.auto.join.enable", Boolean, Some("false"), Any, Low)
        .doc("Whether a controller joins those that vote by itself.")
        .without_effect(OWN_CONTROLLER),
    broker("controller.quorum.bootstrap.servers", List, Some(""), Any, High)
        .doc("Where to find the controllers.")
        .without_effect(OWN_CONTROLLER),
    broker("controller.quorum.election.backoff.max.ms", Int, Some("1000"), AtLeast(0), High)
        .doc("The longest wait between two elections of a controller.")
        .without_effect(OWN_CONTROLLER),
    broker("controller.quorum.election.timeout.ms", Int, Some("1000"), AtLeast(0), High)
        .doc("How long a controller waits for an election.")
        .without_effect(OWN_CONTROLLER),
    broker("controller.quorum.fetch.max.bytes", Int, Some("1048576"), AtLeast(1), Low)
        .doc("How much a controller fetches of the metadata log at a time.")
        .without_effect(OWN_CONTROLLER),
    broker("controller.quorum.fetch.snapshot.max.bytes", Int, Some("1048576"), AtLeast(1), Low)
        .doc("How much a controller fetches of a snapshot at a time.")
        .without_effect(OWN_CONTROLLER),
    broker("controller.quorum.fetch.timeout.ms", Int, Some("2000"), AtLeast(0), High)
        .doc("How long a controller waits for its leader.")
        .without_effect(OWN_CONTROLLER),
    broker("controller.quorum.request.timeout.ms", Int, Some("2000"), AtLeast(0), Medium)
        .doc("How long a controller waits for an answer.")
        .without_effect(OWN_CONTROLLER),
    broker("controller.quorum.retry.backoff.ms", Int, Some("20"), AtLeast(0), Low)
        .doc("The wait before a controller asks again.")
        .without_effect(OWN_CONTROLLER),
    broker("controller.quorum.voters", List, Some(""), Any, High)
        .doc("The controllers that vote, as id@host:port.")
        .without_effect(OWN_CONTROLLER),
    broker("controller.socket.timeout.ms", Int, Some("30000"), Any, Medium)
        .doc("How long a broker waits for its controller.")
        .without_effect(OWN_CONTROLLER),
    broker("cordoned.log.dirs", List, Some(""), Any, Medium)
        .doc("Directories that get no new partitions.")
        .per_broker()
        .only_default("there is one data directory, which takes all partitions"),
    broker("default.replication.factor", Int, Some("1"), Any, Medium)
        .doc("The replicas of topics created without a number of their own.")
        .without_effect(NO_REPLICATION),
    broker("delete.records.purgatory.purge.interval.requests", Int, Some("1"), Any, Medium)
        .doc("How often finished waiting deletions of records are cleared away.")
        .without_effect(NOTHING_WAITS_IN_VAIN),
    broker("delete.topic.enable", Boolean, Some("true"), Any, High).doc("Whether topics can be deleted."),
    broker("early.start.listeners", List, None, Any, High)
        .doc("Listeners that open before the start is complete.")
        .without_effect("all listeners open together, once clients can be served"),
    broker("errors.deadletterqueue.auto.create.topics.enable", Boolean, Some("false"), Any, Medium)
        .doc("Whether topics for records that share groups gave up on are created by themselves.")
        .cluster_wide()
        .only_default(NO_SHARE_GROUPS),
    broker("errors.deadletterqueue.topic.name.prefix", Text, Some("dlq."), Any, Medium)
        .doc("How the names of topics begin that records of share groups may be sent to when they are given up.")
        .cluster_wide()
        .without_effect(NO_SHARE_GROUPS),
    broker("fetch.max.bytes", Int, Some("57671680"), AtLeast(1024), Medium)
        .doc("The most bytes of records in one Fetch response."),
    broker("fetch.purgatory.purge.interval.requests", Int, Some("1000"), Any, Medium)
        .doc("How often finished waiting fetches are cleared away.")
        .without_effect(NOTHING_WAITS_IN_VAIN),
    broker("follower.fetch.last.tiered.offset.enable", Boolean, Some("false"), Any, Medium)
        .doc("Whether a new follower begins after what tiered storage has.")
        .cluster_wide()
        .without_effect(NO_TIERED_STORAGE),
    broker("follower.replication.throttled.rate", Long, Some(LONG_MAX), AtLeast(0), Medium)
        .doc("Bytes a second for the followers that are slowed down.")
        .cluster_wide()
        .only_default(NO_REPLICATION),
    broker("group.consumer.assignment.interval.ms", Int, Some("1000"), AtLeast(0), Medium)
        .doc("The default of the group key consumer.assignment.interval.ms.")
        .cluster_wide()
        .without_effect(NO_CONSUMER_GROUPS),
    broker("group.consumer.assignors", List, Some("uniform,range"), Any, Medium)
        .doc("What assigns work to the members of groups of the consumer protocol; the first is the default.")
        .without_effect(NO_CONSUMER_GROUPS),
    broker("group.consumer.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), Medium)
        .doc("The default of the group key consumer.heartbeat.interval.ms.")
        .without_effect(NO_CONSUMER_GROUPS),
    broker("group.consumer.max.assignment.interval.ms", Int, Some("15000"), AtLeast(0), Medium)
        .doc("The largest value of the group key consumer.assignment.interval.ms.")
        .without_effect(NO_CONSUMER_GROUPS),
    broker("group.consumer.max.heartbeat.interval.ms", Int, Some("15000"), AtLeast(1), Medium)
        .doc("The largest value of the group key consumer.heartbeat.interval.ms.")
        .without_effect(NO_CONSUMER_GROUPS),
    broker("group.consumer.max.session.timeout.ms", Int, Some("60000"), AtLeast(1), Medium)
        .doc("The largest value of the group key consumer.session.timeout.ms.")
        .without_effect(NO_CONSUMER_GROUPS),
    broker("group.consumer.max.size", Int, Some("2147483647"), AtLeast(1), Medium)
        .doc("The most members of one of the groups of the consumer protocol.")
        .without_effect(NO_CONSUMER_GROUPS),
    broker(
        "group.consumer.migration.policy",
        Text,
        Some("bidirectional"),
        OneOfIgnoringCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]),
        Medium,
    )
    .doc("Whether a group may go from the classic protocol to the consumer protocol, and back.")
    .without_effect(NO_CONSUMER_GROUPS),
    broker("group.consumer.min.assignment.interval.ms", Int, Some("0"), AtLeast(0), Medium)
        .doc("The smallest value of the group key consumer.assignment.interval.ms.")
        .without_effect(NO_CONSUMER_GROUPS),
    broker("group.consumer.min.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), Medium)
        .doc("The smallest value of the group key consumer.heartbeat.interval.ms.")
        .without_effect(NO_CONSUMER_GROUPS),
    broker("group.consumer.min.session.timeout.ms", Int, Some("45000"), AtLeast(1), Medium)
        .doc("The smallest value of the group key consumer.session.timeout.ms.")
        .without_effect(NO_CONSUMER_GROUPS),
    broker("group.consumer.session.timeout.ms", Int, Some("45000"), AtLeast(1), Medium)
        .doc("The default of the group key consumer.session.timeout.ms.")
        .without_effect(NO_CONSUMER_GROUPS),
    broker("group.coordinator.append.linger.ms", Int, Some("-1"), AtLeast(-1), Medium)
        .doc("How long the coordinator of groups gathers records before it writes them; -1 adapts.")
        .without_effect(GROUP_COMMIT),
    broker("group.coordinator.background.threads", Int, Some("2"), AtLeast(1), High)
        .doc("Threads that compute assignments.")
        .without_effect(THREADS),
    broker("group.coordinator.cached.buffer.max.bytes", Int, Some("1048588"), AtLeast(524_288), Medium)
        .doc("The largest buffer that the coordinator of groups keeps.")
        .cluster_wide()
        .without_effect(NO_BUFFERS),
    broker(
        "group.coordinator.rebalance.protocols",
        List,
        Some("classic,consumer,streams"),
        ListOf(&["consumer", "classic", "share", "streams"]),
        Medium,
    )
    .doc("The kinds of groups.")
    .without_effect("classic groups are served, and no others"),
    broker("group.coordinator.threads", Int, Some("4"), AtLeast(1), High)
        .doc("Threads of the group coordinator.")
        .without_effect(THREADS),
    broker("group.initial.rebalance.delay.ms", Int, Some("3000"), Any, Medium)
        .doc("How long a new group waits for more members before its first rebalance."),
    broker("group.max.session.timeout.ms", Int, Some("1800000"), Any, Medium)
        .doc("The longest session time-out that a group member may ask for."),
    broker("group.max.size", Int, Some("2147483647"), AtLeast(1), Medium).doc("The most members of a group."),
    broker("group.min.session.timeout.ms", Int, Some("6000"), Any, Medium)
        .doc("The shortest session time-out that a group member may ask for."),
    broker("group.share.assignment.interval.ms", Int, Some("1000"), AtLeast(0), Medium)
        .doc("The default of the group key share.assignment.interval.ms.")
        .cluster_wide()
        .without_effect(NO_SHARE_GROUPS),
    broker("group.share.assignors", List, Some("simple"), Any, Medium)
        .doc("What assigns work to the members of share groups; the first is the default.")
        .without_effect(NO_SHARE_GROUPS),
    broker("group.share.delivery.count.limit", Int, Some("5"), Between(2, 10), Medium)
        .doc("The default of the group key share.delivery.count.limit.")
        .without_effect(NO_SHARE_GROUPS),
    broker("group.share.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), Medium)
        .doc("The default of the group key share.heartbeat.interval.ms.")
        .without_effect(NO_SHARE_GROUPS),
    broker("group.share.max.assignment.interval.ms", Int, Some("15000"), AtLeast(0), Medium)
        .doc("The largest value of the group key share.assignment.interval.ms.")
        .without_effect(NO_SHARE_GROUPS),
    broker("group.share.max.delivery.count.limit", Int, Some("10"), Between(5, 25), Medium)
        .doc("The largest value of the group key share.delivery.count.limit.")
        .without_effect(NO_SHARE_GROUPS),
    broker("group.share.max.heartbeat.interval.ms", Int, Some("15000"), AtLeast(1), Medium)
        .doc("The largest value of the group key share.heartbeat.interval.ms.")
        .without_effect(NO_SHARE_GROUPS),
    broker("group.share.max.partition.max.record.locks", Int, Some("4000"), Between(2000, 10000), Medium)
        .doc("The largest value of the group key share.partition.max.record.locks.")
        .without_effect(NO_SHARE_GROUPS),
    broker("group.share.max.record.lock.duration.ms", Int, Some("60000"), Between(30000, 3_600_000), Medium)
        .doc("The largest value of the group key share.record.lock.duration.ms.")
        .without_effect(NO_SHARE_GROUPS),
    broker("group.share.max.session.timeout.ms", Int, Some("60000"), AtLeast(1), Medium)
        .doc("The largest value of the group key share.session.timeout.ms.")
        .without_effect(NO_SHARE_GROUPS),
    broker("group.share.max.share.sessions", Int, Some("2000"), AtLeast(1), Medium)
        .doc("The most sessions of members of share groups.")
        .without_effect(NO_SHARE_GROUPS),
    broker("group.share.max.size", Int, Some("200"), Between(1, 1000), Medium)
        .doc("The most members of one of the share groups.")
        .without_effect(NO_SHARE_GROUPS),
    broker("group.share.min.assignment.interval.ms", Int, Some("0"), AtLeast(0), Medium)
        .doc("The smallest value of the group key share.assignment.interval.ms.")
        .without_effect(NO_SHARE_GROUPS),
    broker("group.share.min.delivery.count.limit", Int, Some("2"), Between(2, 5), Medium)
        .doc("The smallest value of the group key share.delivery.count.limit.")
        .without_effect(NO_SHARE_GROUPS),
    broker("group.share.min.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), Medium)
        .doc("The smallest value of the group key share.heartbeat.interval.ms.")
        .without_effect(NO_SHARE_GROUPS),
    broker("group.share.min.partition.max.record.locks", Int, Some("100"), Between(100, 2000), Medium)
        .doc("The smallest value of the group key share.partition.max.record.locks.")
        .without_effect(NO_SHARE_GROUPS),
    broker("group.share.min.record.lock.duration.ms", Int, Some("15000"), Between(1000, 30000), Medium)
        .doc("The smallest value of the group key share.record.lock.duration.ms.")
        .without_effect(NO_SHARE_GROUPS),
    broker("group.share.min.session.timeout.ms", Int, Some("45000"), AtLeast(1), Medium)
        .doc("The smallest value of the group key share.session.timeout.ms.")
        .without_effect(NO_SHARE_GROUPS),
    broker("group.share.partition.max.record.locks", Int, Some("2000"), Between(100, 10000), Medium)
        .doc("The default of the group key share.partition.max.record.locks.")
        .without_effect(NO_SHARE_GROUPS),
    broker("group.share.record.lock.duration.ms", Int, Some("30000"), Between(1000, 3_600_000), Medium)
        .doc("The default of the group key share.record.lock.duration.ms.")
        .without_effect(NO_SHARE_GROUPS),
    broker("group.share.session.timeout.ms", Int, Some("45000"), AtLeast(1), Medium)
        .doc("The default of the group key share.session.timeout.ms.")
        .without_effect(NO_SHARE_GROUPS),
    broker("group.streams.assignment.interval.ms", Int, Some("1000"), AtLeast(0), Medium)
        .doc("The default of the group key streams.assignment.interval.ms.")
        .cluster_wide()
        .without_effect(NO_STREAMS_GROUPS),
    broker("group.streams.assignors", List, Some("sticky"), Any, Medium)
        .doc("What assigns work to the members of streams groups; the first is the default.")
        .without_effect(NO_STREAMS_GROUPS),
    broker("group.streams.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), Medium)
        .doc("The default of the group key streams.heartbeat.interval.ms.")
        .without_effect(NO_STREAMS_GROUPS),
    broker("group.streams.initial.rebalance.delay.ms", Int, Some("3000"), AtLeast(0), Medium)
        .doc("The default of the group key streams.initial.rebalance.delay.ms.")
        .without_effect(NO_STREAMS_GROUPS),
    broker("group.streams.max.assignment.interval.ms", Int, Some("15000"), AtLeast(0), Medium)
        .doc("The largest value of the group key streams.assignment.interval.ms.")
        .without_effect(NO_STREAMS_GROUPS),
    broker("group.streams.max.heartbeat.interval.ms", Int, Some("15000"), AtLeast(1), Medium)
        .doc("The largest value of the group key streams.heartbeat.interval.ms.")
        .without_effect(NO_STREAMS_GROUPS),
    broker("group.streams.max.session.timeout.ms", Int, Some("60000"), AtLeast(1), Medium)
        .doc("The largest value of the group key streams.session.timeout.ms.")
        .without_effect(NO_STREAMS_GROUPS),
    broker("group.streams.max.size", Int, Some("2147483647"), AtLeast(1), Medium)
        .doc("The most members of one of the streams groups.")
        .without_effect(NO_STREAMS_GROUPS),
    broker("group.streams.max.standby.replicas", Int, Some("2"), AtLeast(0), Medium)
        .doc("The largest value of the group key streams.num.standby.replicas.")
        .without_effect(NO_STREAMS_GROUPS),
    broker("group.streams.min.assignment.interval.ms", Int, Some("0"), AtLeast(0), Medium)
        .doc("The smallest value of the group key streams.assignment.interval.ms.")
        .without_effect(NO_STREAMS_GROUPS),
    broker("group.streams.min.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), Medium)
        .doc("The smallest value of the group key streams.heartbeat.interval.ms.")
        .without_effect(NO_STREAMS_GROUPS),
    broker("group.streams.min.session.timeout.ms", Int, Some("45000"), AtLeast(1), Medium)
        .doc("The smallest value of the group key streams.session.timeout.ms.")
        .without_effect(NO_STREAMS_GROUPS),
    broker("group.streams.num.standby.replicas", Int, Some("0"), AtLeast(0), Medium)
        .doc("The default of the group key streams.num.standby.replicas.")
        .without_effect(NO_STREAMS_GROUPS),
    broker("group.streams.rack.aware.assignment.tags", List, Some(""), Any, Low)
        .doc("The default of the group key streams.rack.aware.assignment.tags.")
        .without_effect(NO_STREAMS_GROUPS),
    broker("group.streams.session.timeout.ms", Int, Some("45000"), AtLeast(1), Medium)
        .doc("The default of the group key streams.session.timeout.ms.")
        .without_effect(NO_STREAMS_GROUPS),
    broker("initial.broker.registration.timeout.ms", Int, Some("60000"), Any, Medium)
        .doc("How long a start waits for the controller.")
        .without_effect(OWN_CONTROLLER),
    broker("inter.broker.listener.name", Text, None, Any, Medium)
        .doc("The listener that brokers use among themselves.")
        .without_effect(ONE_BROKER),
    broker("leader.imbalance.check.interval.seconds", Long, Some("300"), AtLeast(1), High)
        .doc("How often the balance of leaders is looked at.")
        .without_effect(ONE_REPLICA),
    broker("leader.replication.throttled.rate", Long, Some(LONG_MAX), AtLeast(0), Medium)
        .doc("Bytes a second for the leaders that are slowed down.")
        .cluster_wide()
        .only_default(NO_REPLICATION),
    broker(
        "listener.security.protocol.map",
        Text,
        Some("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"),
        Any,
        Low,
    )
    .doc("The protocol of each listener, as NAME:PROTOCOL. Listeners speak PLAINTEXT only.")
    .by_restart_only(),
    broker("listeners", List, Some("PLAINTEXT://127.0.0.1:9092"), Any, High)
        .doc("The addresses to listen on, as NAME://host:port; without a host, on every interface.")
        .by_restart_only(),
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
    broker("log.cleaner.threads", Int, Some("1"), AtLeast(0), Medium)
        .doc("Threads of the log cleaner, at most 64.")
        .cluster_wide(),
    broker("log.cleanup.policy", List, Some("delete"), ListOf(&["compact", "delete"]), Medium)
        .doc("The default of the topic key cleanup.policy.")
        .cluster_wide(),
    broker("log.dir", List, None, Any, High).doc("Another name of log.dirs, which goes first."),
    broker("log.dir.failure.timeout.ms", Long, Some("30000"), AtLeast(1), Low)
        .doc("How long a broker may fail to tell of a failed directory before it stops.")
        .without_effect("the broker stops when its only directory fails"),
    broker("log.dirs", List, Some("./data"), Any, High).doc("The data directory: one, not several."),
    broker("log.flush.interval.messages", Long, Some(LONG_MAX), AtLeast(1), High)
        .doc("The default of the topic key flush.messages.")
        .cluster_wide(),
    broker("log.flush.interval.ms", Long, None, Any, High)
        .doc("The default of the topic key flush.ms; log.flush.scheduler.interval.ms if it is not set.")
        .cluster_wide(),
    broker("log.flush.offset.checkpoint.interval.ms", Int, Some("60000"), AtLeast(0), High)
        .doc("How often it is written down up to where logs are flushed.")
        .without_effect(EVERY_MINUTE),
    broker("log.flush.scheduler.interval.ms", Long, Some(LONG_MAX), Any, High)
        .doc("The default of log.flush.interval.ms."),
    broker("log.flush.start.offset.checkpoint.interval.ms", Int, Some("60000"), AtLeast(0), High)
        .doc("How often it is written down where logs start.")
        .without_effect(EVERY_MINUTE),
    broker("log.index.interval.bytes", Int, Some("4096"), AtLeast(0), Medium)
        .doc("The default of the topic key index.interval.bytes.")
        .cluster_wide(),
    broker("log.index.size.max.bytes", Int, Some("10485760"), AtLeast(4), Medium)
        .doc("The default of the topic key segment.index.bytes.")
        .cluster_wide(),
    broker("log.local.retention.bytes", Long, Some("-2"), AtLeast(-2), Medium)
        .doc("The default of the topic key local.retention.bytes.")
        .cluster_wide()
        .without_effect(NO_TIERED_STORAGE),
    broker("log.local.retention.ms", Long, Some("-2"), AtLeast(-2), Medium)
        .doc("The default of the topic key local.retention.ms.")
        .cluster_wide()
        .without_effect(NO_TIERED_STORAGE),
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
        .only_default(NO_PREALLOCATION),
    broker("log.remote.copy.lag.bytes", Long, Some("-1"), AtLeast(-1), Medium)
        .doc("The default of the topic key remote.copy.lag.bytes.")
        .cluster_wide()
        .without_effect(NO_TIERED_STORAGE),
    broker("log.remote.copy.lag.ms", Long, Some("0"), AtLeast(-1), Medium)
        .doc("The default of the topic key remote.copy.lag.ms.")
        .cluster_wide()
        .without_effect(NO_TIERED_STORAGE),
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
    broker("metadata.log.dir", Text, None, Any, High)
        .doc("Where the metadata log is, if not in the data directory.")
        .only_default("the metadata log is in the data directory"),
    broker("metadata.log.max.record.bytes.between.snapshots", Long, Some("20971520"), AtLeast(1), High)
        .doc("How much is added to the metadata log before it is summed up."),
    broker("metadata.log.max.snapshot.interval.ms", Long, Some("3600000"), AtLeast(0), High)
        .doc("How long the metadata log goes without being summed up once something was added; 0 for no limit."),
    broker("metadata.log.segment.bytes", Int, Some("1073741824"), AtLeast(8_388_608), High)
        .doc("The largest size of a segment of the metadata log."),
    broker("metadata.log.segment.ms", Long, Some("604800000"), Any, High)
        .doc("After how long a segment of the metadata log is rolled."),
    broker("metadata.max.idle.interval.ms", Int, Some("500"), AtLeast(0), Low)
        .doc("How often a record is added to the metadata log while nothing happens; 0 for never.")
        .without_effect("nobody waits for such records"),
    broker("metadata.max.retention.bytes", Long, Some("104857600"), Any, High)
        .doc("How large metadata log and snapshots may be together before the oldest go; one snapshot stays."),
    broker("metadata.max.retention.ms", Long, Some("604800000"), Any, High).doc(
        "How old the oldest snapshot of the metadata may be if there is another; it goes with the log below the next.",
    ),
    broker("metrics.num.samples", Int, Some("2"), AtLeast(1), Low)
        .doc("How many samples a metric is computed from.")
        .without_effect(NO_SAMPLES),
    broker("metrics.recording.level", Text, Some("INFO"), Any, Low)
        .doc("How much is measured.")
        .without_effect(NO_SAMPLES),
    broker("metrics.sample.window.ms", Long, Some("30000"), AtLeast(1), Low)
        .doc("How long a sample of a metric is.")
        .without_effect(NO_SAMPLES),
    broker("min.insync.replicas", Int, Some("1"), AtLeast(1), High)
        .doc("The default of the topic key min.insync.replicas.")
        .cluster_wide()
        .without_effect(ONE_REPLICA),
    broker("node.id", Int, Some("1"), AtLeast(0), High).doc("The broker's number. The data directory keeps it."),
    broker("num.io.threads", Int, Some("8"), AtLeast(1), High)
        .doc("Threads that handle requests.")
        .cluster_wide()
        .without_effect(THREADS),
    broker("num.network.threads", Int, Some("3"), AtLeast(1), High)
        .doc("Threads that serve sockets.")
        .cluster_wide()
        .without_effect(THREADS),
    broker("num.partitions", Int, Some("1"), AtLeast(1), Medium)
        .doc("The partitions of topics created without a number of their own."),
    broker("num.recovery.threads.per.data.dir", Int, Some("2"), AtLeast(1), High)
        .doc("Threads that open logs.")
        .cluster_wide()
        .without_effect(THREADS),
    broker("num.replica.alter.log.dirs.threads", Int, None, Any, High)
        .doc("Threads that move replicas between directories.")
        .without_effect("there is one data directory"),
    broker("num.replica.fetchers", Int, Some("1"), AtLeast(1), High)
        .doc("Threads that fetch from other brokers.")
        .cluster_wide()
        .without_effect(NO_REPLICATION),
    broker("offset.metadata.max.bytes", Int, Some("4096"), Any, High)
        .doc("How long the text may be that a client keeps with an offset."),
    broker("offsets.commit.timeout.ms", Int, Some("5000"), AtLeast(1), High)
        .doc("How long a commit of offsets waits to be replicated.")
        .without_effect(NO_REPLICATION),
    broker("offsets.load.buffer.size", Int, Some("5242880"), AtLeast(1), High)
        .doc("How much of __consumer_offsets is read at a time.")
        .without_effect(LOADING),
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
        .without_effect(NO_REPLICATION),
    broker("offsets.topic.segment.bytes", Int, Some("104857600"), AtLeast(1), High)
        .doc("The segment size of __consumer_offsets, when it is created."),
    broker("ottla.batch.records.max", Int, Some("1000000"), AtLeast(1), Medium)
        .doc("The most records of a batch. One with more is refused with MESSAGE_TOO_LARGE before it is unpacked."),
    broker("ottla.durability", Text, Some("fsync"), OneOf(DURABILITIES), High)
        .doc("fsync: acknowledged with acks=all means on disk. kafka: in the page cache, flushed by log.flush.*."),
    broker("ottla.groups.max", Int, Some("100000"), AtLeast(1), Medium)
        .doc("The most groups in all. One that would be more is refused; those that are there go on, even if a start has a lower limit."),
    broker("ottla.partitions.max", Int, Some("100000"), AtLeast(1), Medium)
        .doc("The most partitions of all topics. Whatever would be more is refused: topics, and partitions added to them. Those of groups and transactions count and are never refused, nor is what is there at a start."),
    broker("ottla.transactional.ids.max", Int, Some("100000"), AtLeast(1), Medium)
        .doc("The most transactional ids in all. One that would be more is refused; those that are there go on, even if a start has a lower limit."),
    broker("process.roles", List, Some("broker,controller"), ListOf(&["broker", "controller"]), High)
        .doc("What this process is.")
        .without_effect("this process is both broker and controller"),
    broker("producer.id.expiration.ms", Int, Some("86400000"), AtLeast(1), Low)
        .doc("How long a partition remembers a producer that appends nothing.")
        .cluster_wide(),
    broker("producer.purgatory.purge.interval.requests", Int, Some("1000"), Any, Medium)
        .doc("How often finished waiting produce requests are cleared away.")
        .without_effect(NOTHING_WAITS_IN_VAIN),
    broker("queued.max.request.bytes", Long, Some("-1"), Any, Medium)
        .doc("The most bytes that requests may hold together while they arrive; -1 for 128 MiB, or what the greatest needs if that is more. ottla.requests.memory.max is for what comes afterwards."),
    broker("queued.max.requests", Int, Some("500"), AtLeast(1), High)
        .doc("Requests that wait for a thread.")
        .without_effect("a connection is not read from while its requests wait"),
    broker("remote.log.storage.system.enable", Boolean, Some("false"), Any, Medium)
        .doc("Whether there is tiered storage.")
        .only_default(NO_TIERED_STORAGE),
    broker("replica.alter.log.dirs.io.max.bytes.per.second", Long, Some(LONG_MAX), AtLeast(0), Medium)
        .doc("Bytes a second for moves of replicas between directories.")
        .cluster_wide()
        .only_default("there is one data directory"),
    broker("replica.fetch.backoff.ms", Int, Some("1000"), AtLeast(0), Medium)
        .doc("The wait of a follower after a failed fetch.")
        .without_effect(NO_REPLICATION),
    broker("replica.fetch.max.bytes", Int, Some("1048576"), AtLeast(0), Medium)
        .doc("How much a follower fetches of a partition.")
        .without_effect(NO_REPLICATION),
    broker("replica.fetch.min.bytes", Int, Some("1"), Any, High)
        .doc("How little a follower fetches at least.")
        .without_effect(NO_REPLICATION),
    broker("replica.fetch.response.max.bytes", Int, Some("10485760"), AtLeast(0), Medium)
        .doc("How much a follower fetches at a time.")
        .without_effect(NO_REPLICATION),
    broker("replica.fetch.wait.max.ms", Int, Some("500"), Any, High)
        .doc("How long a fetch of a follower waits.")
        .without_effect(NO_REPLICATION),
    broker("replica.high.watermark.checkpoint.interval.ms", Long, Some("5000"), Any, High)
        .doc("How often high watermarks are written down.")
        .without_effect("the high watermark is what is on disk"),
    broker("replica.lag.time.max.ms", Long, Some("30000"), Any, High)
        .doc("How far a follower may be behind.")
        .without_effect(NO_REPLICATION),
    broker("replica.selector.class", Text, None, Any, Medium)
        .doc("What chooses the replica that a consumer reads from.")
        .without_effect(ONE_REPLICA),
    broker("replica.socket.receive.buffer.bytes", Int, Some("65536"), Any, High)
        .doc("The size of a follower's receive buffer.")
        .without_effect(NO_REPLICATION),
    broker("replica.socket.timeout.ms", Int, Some("30000"), Any, High)
        .doc("How long a follower waits for an answer.")
        .without_effect(NO_REPLICATION),
    broker("replication.quota.window.num", Int, Some("11"), AtLeast(1), Low)
        .doc("How many samples the rate of replication is measured by.")
        .without_effect(NO_REPLICATION),
    broker("replication.quota.window.size.seconds", Int, Some("1"), AtLeast(1), Low)
        .doc("How long a sample of the rate of replication is.")
        .without_effect(NO_REPLICATION),
    broker("request.timeout.ms", Int, Some("30000"), Any, High)
        .doc("How long a broker waits for the answer of another.")
        .without_effect(ONE_BROKER),
    broker("share.coordinator.append.linger.ms", Int, Some("-1"), AtLeast(-1), Medium)
        .doc("How long the coordinator of share groups gathers records before it writes them; -1 adapts.")
        .without_effect(NO_SHARE_GROUPS),
    broker("share.coordinator.cached.buffer.max.bytes", Int, Some("1048588"), AtLeast(524_288), Medium)
        .doc("The largest buffer that the coordinator of share groups keeps.")
        .cluster_wide()
        .without_effect(NO_SHARE_GROUPS),
    broker("share.coordinator.load.buffer.size", Int, Some("5242880"), AtLeast(1), High)
        .doc("How much of __share_group_state is read at a time.")
        .without_effect(NO_SHARE_GROUPS),
    broker("share.coordinator.snapshot.update.records.per.snapshot", Int, Some("500"), Between(0, 500), Medium)
        .doc("How many changes of a share group are written before it is summed up.")
        .without_effect(NO_SHARE_GROUPS),
    broker("share.coordinator.state.topic.compression.codec", Int, Some("0"), Any, High)
        .doc("The codec of __share_group_state.")
        .without_effect(NO_SHARE_GROUPS),
    broker("share.coordinator.state.topic.min.isr", Short, Some("2"), AtLeast(1), High)
        .doc("The replicas of __share_group_state that must have a record.")
        .without_effect(NO_SHARE_GROUPS),
    broker("share.coordinator.state.topic.num.partitions", Int, Some("50"), AtLeast(1), High)
        .doc("The partitions of __share_group_state.")
        .without_effect(NO_SHARE_GROUPS),
    broker("share.coordinator.state.topic.replication.factor", Short, Some("3"), AtLeast(1), High)
        .doc("The replicas of __share_group_state.")
        .without_effect(NO_SHARE_GROUPS),
    broker("share.coordinator.state.topic.segment.bytes", Int, Some("104857600"), AtLeast(1), High)
        .doc("The segment size of __share_group_state.")
        .without_effect(NO_SHARE_GROUPS),
    broker("share.coordinator.threads", Int, Some("1"), AtLeast(1), Medium)
        .doc("Threads of the coordinator of share groups.")
        .without_effect(NO_SHARE_GROUPS),
    broker("share.coordinator.write.timeout.ms", Int, Some("5000"), AtLeast(1), High)
        .doc("How long the coordinator of share groups waits for a write.")
        .without_effect(NO_SHARE_GROUPS),
    broker("share.fetch.purgatory.purge.interval.requests", Int, Some("1000"), Any, Medium)
        .doc("How often finished waiting fetches of share groups are cleared away.")
        .without_effect(NO_SHARE_GROUPS),
    broker("socket.connection.setup.timeout.max.ms", Long, Some("30000"), Any, Medium)
        .doc("How long a broker waits at most for a connection to another.")
        .without_effect(ONE_BROKER),
    broker("socket.connection.setup.timeout.ms", Long, Some("10000"), Any, Medium)
        .doc("How long a broker waits for a connection to another.")
        .without_effect(ONE_BROKER),
    broker("socket.listen.backlog.size", Int, Some("50"), AtLeast(1), Medium)
        .doc("Connections that wait to be accepted.")
        .without_effect(BACKLOG),
    broker("socket.receive.buffer.bytes", Int, Some("102400"), Any, High)
        .doc("The size of each socket's receive buffer; -1 leaves it to the system."),
    broker("socket.request.max.bytes", Int, Some("104857600"), AtLeast(1), High)
        .doc("The most bytes of a request. A connection that announces more is closed."),
    broker("socket.send.buffer.bytes", Int, Some("102400"), Any, High)
        .doc("The size of each socket's send buffer; -1 leaves it to the system."),
    broker("telemetry.max.bytes", Int, Some("1048576"), AtLeast(1), Low)
        .doc("The most bytes of metrics that a client may send at a time.")
        .without_effect(NO_CLIENT_METRICS),
    broker("transaction.abort.timed.out.transaction.cleanup.interval.ms", Int, Some("10000"), AtLeast(1), Low)
        .doc("How often transactions are looked at that may have timed out.")
        .without_effect("a transaction ends when its time has come"),
    broker("transaction.max.timeout.ms", Int, Some("900000"), AtLeast(1), High)
        .doc("How long a transaction may stay open at most, whatever its producer asks for."),
    broker("transaction.partition.verification.enable", Boolean, Some("true"), Any, Low)
        .doc("Whether a partition asks the coordinator before the first records of a transaction.")
        .cluster_wide()
        .only_default("it always does"),
    broker("transaction.remove.expired.transaction.cleanup.interval.ms", Int, Some("3600000"), AtLeast(1), Low)
        .doc("How often transactional ids are looked at that may have expired."),
    broker("transaction.state.log.load.buffer.size", Int, Some("5242880"), AtLeast(1), High)
        .doc("How much of __transaction_state is read at a time.")
        .without_effect(LOADING),
    broker("transaction.state.log.min.isr", Int, Some("2"), AtLeast(1), High)
        .doc("The replicas of __transaction_state that must have a record.")
        .without_effect(ONE_REPLICA),
    broker("transaction.state.log.num.partitions", Int, Some("50"), AtLeast(1), High)
        .doc("The partitions of __transaction_state, when it is created."),
    broker("transaction.state.log.replication.factor", Short, Some("3"), AtLeast(1), High)
        .doc("The replicas of __transaction_state.")
        .without_effect(NO_REPLICATION),
    broker("transaction.state.log.segment.bytes", Int, Some("104857600"), AtLeast(1), High)
        .doc("The segment size of __transaction_state, when it is created."),
    broker("transaction.two.phase.commit.enable", Boolean, Some("false"), Any, Low)
        .doc("Whether producers may keep transactions open without a time-out.")
        .only_default("every transaction has a time-out"),
    broker("transactional.id.expiration.ms", Int, Some("604800000"), AtLeast(1), High)
        .doc("How long a transactional id is kept that has no transaction."),
    broker("unclean.leader.election.enable", Boolean, Some("false"), Any, High)
        .doc("The default of the topic key unclean.leader.election.enable.")
        .cluster_wide()
        .without_effect(ONE_REPLICA),
];

/// The key that names a codec by its number.
pub(in crate::config) const OFFSETS_CODEC: &str = "offsets.topic.compression.codec";

/// What `ottla.durability` can be.
const DURABILITIES: &[&str] = &["fsync", "kafka"];

/// Why keys have no effect.
const BACKLOG: &str = "1024 connections may wait";
const EVERY_MINUTE: &str = "it is done every minute";
const GROUP_COMMIT: &str = "what comes while the disk is busy is written together";
const LOADING: &str = "the size is fixed";
pub(in crate::config) const NO_CONSUMER_GROUPS: &str = "groups of the consumer protocol are not served";
pub(in crate::config) const NO_STREAMS_GROUPS: &str = "streams groups are not served";
const NO_BUFFERS: &str = "no buffers are kept";
const NO_SAMPLES: &str = "there are no metrics of this kind";
const NOTHING_WAITS_IN_VAIN: &str = "what is finished waits no longer";
const ONE_BROKER: &str = "there is no other broker";
const OWN_CONTROLLER: &str = "the controller is part of this process";
const OWN_COORDINATORS: &str = "the coordinators are part of this process";
const THREADS: &str = "work is spread over the cores of the machine as it comes";

/// A row of the table.
const fn broker(
    name: &'static str,
    config_type: ConfigType,
    default: Option<&'static str>,
    valid: Validator,
    importance: Importance,
) -> BrokerKey {
    BrokerKey {
        key: ConfigKey::new(name, config_type, default, valid, importance),
        update_mode: UpdateMode::ReadOnly,
        restart_only: false,
    }
}

/// Both tables as one in the order of names.
const fn merge<const N: usize>(one: &[BrokerKey], other: &[BrokerKey]) -> [BrokerKey; N] {
    let mut merged = [one[0]; N];
    let (mut from_one, mut from_other) = (0, 0);
    while from_one + from_other < N {
        let takes_one = from_other == other.len()
            || from_one < one.len() && is_before(one[from_one].key.name, other[from_other].key.name);
        merged[from_one + from_other] = if takes_one { one[from_one] } else { other[from_other] };
        if takes_one { from_one += 1 } else { from_other += 1 }
    }
    merged
}

/// Whether a name comes before another, in the order of bytes.
const fn is_before(name: &str, other: &str) -> bool {
    let (name, other) = (name.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < name.len() && at < other.len() {
        if name[at] != other[at] {
            return name[at] < other[at];
        }
        at += 1;
    }
    name.len() < other.len()
}

/// The row of a broker key.
#[must_use]
pub fn broker_key(name: &str) -> Option<&'static BrokerKey> {
    row_of(BROKER_KEYS, |row| row.key.name, name)
}

impl BrokerKey {
    const fn doc(mut self, doc: &'static str) -> Self {
        self.key.doc = doc;
        self
    }

    const fn without_effect(mut self, reason: &'static str) -> Self {
        self.key.effect = Effect::None(reason);
        self
    }

    const fn only_default(mut self, reason: &'static str) -> Self {
        self.key.effect = Effect::OnlyDefault(reason);
        self
    }

    const fn refused(mut self, reason: &'static str) -> Self {
        self.key.effect = Effect::Refused(reason);
        self
    }

    const fn per_broker(mut self) -> Self {
        self.update_mode = UpdateMode::PerBroker;
        self
    }

    /// Kafka changes it while it runs; here it takes a restart.
    const fn by_restart_only(mut self) -> Self {
        self.restart_only = true;
        self
    }

    const fn cluster_wide(mut self) -> Self {
        self.update_mode = UpdateMode::ClusterWide;
        self
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
