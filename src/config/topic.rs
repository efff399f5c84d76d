//! The keys of a topic: one table, and the values that a topic ends up with.
//!
//! A value comes from the topic itself, else from the broker key that is the topic key's synonym, else from the table.
//! The table is Kafka 4.4's, held against it by a test; cross-checks and their words are those of Kafka's `LogConfig`.

use std::collections::BTreeMap;

use super::{
    broker::BrokerValues,
    key::{
        ConfigKey, ConfigType,
        ConfigType::{Boolean, Double, Int, List, Long, String as Text},
        Effect, Importance, InvalidValue, Validator,
        Validator::{Any, AtLeast, Between, BetweenOr, ListOf, OneOf, ThrottledReplicas},
        Value, row_of,
    },
    topic_name::{GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC},
};

#[cfg(test)]
mod tests;

/// A key of a topic, and the broker keys that give its default.
#[derive(Clone, Copy, Debug)]
pub struct TopicKey {
    /// The key itself.
    pub key: ConfigKey,
    /// The broker keys, strongest first: the first that has a value counts.
    pub synonyms: &'static [Synonym],
}

/// A broker key that gives a topic key's default.
#[derive(Clone, Copy, Debug)]
pub struct Synonym {
    /// The broker key's name.
    pub name: &'static str,
    /// What its number counts, where the topic key counts milliseconds.
    pub unit: Unit,
}

/// What a broker key's value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// The same as the topic key's.
    Same,
    /// Milliseconds, any below zero for no limit.
    Milliseconds,
    /// Minutes, for a key in milliseconds.
    Minutes,
    /// Hours, for a key in milliseconds.
    Hours,
}

/// The largest LONG: for a time or a count, never.
pub(super) const LONG_MAX: &str = "9223372036854775807";

/// Every key of a topic, by name.
pub const TOPIC_KEYS: &[TopicKey] = &[
    topic("cleanup.policy", List, Some("delete"), ListOf(&["compact", "delete"]), &[same("log.cleanup.policy")]).doc(
        "What happens to old segments: delete drops them whole, compact keeps the last record of each key, \
             both together do both; an empty list keeps everything.",
    ),
    topic("compression.gzip.level", Int, Some("-1"), BetweenOr(1, 9, -1), &[same("compression.gzip.level")])
        .doc("How hard the broker compresses with gzip; -1 is the codec's own default."),
    topic("compression.lz4.level", Int, Some("9"), Between(1, 17), &[same("compression.lz4.level")])
        .doc("How hard the broker compresses with lz4."),
    topic("compression.type", Text, Some("producer"), OneOf(COMPRESSION_TYPES), &[same("compression.type")]).doc(
        "The codec of stored batches. With producer they stay as they were sent; any other re-compresses what \
             came with another codec.",
    ),
    topic("compression.zstd.level", Int, Some("3"), Between(-131_072, 22), &[same("compression.zstd.level")])
        .doc("How hard the broker compresses with zstd."),
    topic("delete.retention.ms", Long, Some("86400000"), AtLeast(0), &[same("log.cleaner.delete.retention.ms")])
        .doc("How long compaction keeps a tombstone, so that a reader from the start still learns of the deletion."),
    topic("errors.deadletterqueue.group.enable", Boolean, Some("false"), Any, &[])
        .doc("Whether share groups may send records they gave up on to this topic.")
        .only_default(NO_SHARE_GROUPS),
    topic("file.delete.delay.ms", Long, Some("60000"), AtLeast(0), &[same("log.segment.delete.delay.ms")])
        .doc("How long the files of a deleted segment stay on disk."),
    topic("flush.messages", Long, Some(LONG_MAX), AtLeast(1), &[same("log.flush.interval.messages")])
        .doc("After how many appended records the log is flushed to disk."),
    topic(
        "flush.ms",
        Long,
        Some(LONG_MAX),
        AtLeast(0),
        &[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")],
    )
    .doc("After how much time with unflushed records the log is flushed to disk."),
    topic("follower.replication.throttled.replicas", List, Some(""), ThrottledReplicas, &[])
        .doc("Followers whose replication is slowed down.")
        .only_default(NO_REPLICATION),
    topic("index.interval.bytes", Int, Some("4096"), AtLeast(0), &[same("log.index.interval.bytes")])
        .doc("How many bytes of records lie between two entries of a segment's indexes."),
    topic("internal.segment.bytes", Int, None, Any, &[])
        .doc("Replaces segment.bytes without its lower bound, for tests.")
        .internal(),
    topic("leader.replication.throttled.replicas", List, Some(""), ThrottledReplicas, &[])
        .doc("Leaders whose replication is slowed down.")
        .only_default(NO_REPLICATION),
    topic("local.retention.bytes", Long, Some("-2"), AtLeast(-2), &[same("log.local.retention.bytes")])
        .doc("With tiered storage, the size up to which segments stay on this disk; -2 follows retention.bytes.")
        .without_effect(NO_TIERED_STORAGE),
    topic("local.retention.ms", Long, Some("-2"), AtLeast(-2), &[same("log.local.retention.ms")])
        .doc("With tiered storage, how long segments stay on this disk; -2 follows retention.ms.")
        .without_effect(NO_TIERED_STORAGE),
    topic("max.compaction.lag.ms", Long, Some(LONG_MAX), AtLeast(1), &[same("log.cleaner.max.compaction.lag.ms")])
        .doc("How long a record of a compacted topic may stay uncompacted."),
    topic(
        "max.decompressed.message.bytes",
        Int,
        Some("2147483639"),
        Between(1, 2_147_483_639),
        &[same("max.decompressed.message.bytes")],
    )
    .doc("The most bytes that a batch may have once it is decompressed."),
    topic("max.message.bytes", Int, Some("1048588"), AtLeast(0), &[same("message.max.bytes")])
        .doc("The most bytes of a batch, as it is stored."),
    topic(
        "message.timestamp.after.max.ms",
        Long,
        Some("3600000"),
        AtLeast(0),
        &[same("log.message.timestamp.after.max.ms")],
    )
    .doc("How far a record's timestamp may be ahead of the broker's clock. Of no concern with LogAppendTime."),
    topic(
        "message.timestamp.before.max.ms",
        Long,
        Some(LONG_MAX),
        AtLeast(0),
        &[same("log.message.timestamp.before.max.ms")],
    )
    .doc("How far a record's timestamp may be behind the broker's clock. Of no concern with LogAppendTime."),
    topic(
        "message.timestamp.type",
        Text,
        Some("CreateTime"),
        OneOf(&["CreateTime", "LogAppendTime"]),
        &[same("log.message.timestamp.type")],
    )
    .doc("Whose clock a record's timestamp shows: the producer's (CreateTime) or the broker's (LogAppendTime)."),
    topic("min.cleanable.dirty.ratio", Double, Some("0.5"), Between(0, 1), &[same("log.cleaner.min.cleanable.ratio")])
        .doc("The part of a compacted log that must be uncompacted before a pass is worth its while."),
    topic("min.compaction.lag.ms", Long, Some("0"), AtLeast(0), &[same("log.cleaner.min.compaction.lag.ms")])
        .doc("How long a record of a compacted topic is safe from compaction."),
    topic("min.insync.replicas", Int, Some("1"), AtLeast(1), &[same("min.insync.replicas")])
        .doc("How many replicas must have a record before acks=all is answered.")
        .without_effect(ONE_REPLICA),
    topic("preallocate", Boolean, Some("false"), Any, &[same("log.preallocate")])
        .doc("Whether a new segment's file is given its full size at once.")
        .only_default(NO_PREALLOCATION),
    topic("remote.copy.lag.bytes", Long, Some("-1"), AtLeast(-1), &[same("log.remote.copy.lag.bytes")])
        .doc("With tiered storage, how many bytes may wait to be copied.")
        .without_effect(NO_TIERED_STORAGE),
    topic("remote.copy.lag.ms", Long, Some("0"), AtLeast(-1), &[same("log.remote.copy.lag.ms")])
        .doc("With tiered storage, how long a segment may wait to be copied.")
        .without_effect(NO_TIERED_STORAGE),
    topic("remote.log.copy.disable", Boolean, Some("false"), Any, &[])
        .doc("Whether tiered data is only read.")
        .without_effect(NO_TIERED_STORAGE),
    topic("remote.log.delete.on.disable", Boolean, Some("false"), Any, &[])
        .doc("Whether tiered data is deleted when tiered storage is turned off.")
        .without_effect(NO_TIERED_STORAGE),
    topic("remote.storage.enable", Boolean, Some("false"), Any, &[])
        .doc("Whether segments go to tiered storage.")
        .only_default(NO_TIERED_STORAGE),
    topic("retention.bytes", Long, Some("-1"), Any, &[same("log.retention.bytes")])
        .doc("The size of a partition beyond which its oldest segments are deleted; negative for no limit."),
    topic(
        "retention.ms",
        Long,
        Some("604800000"),
        AtLeast(-1),
        &[milliseconds("log.retention.ms"), minutes("log.retention.minutes"), hours("log.retention.hours")],
    )
    .doc("The age at which a segment is deleted; -1 for never."),
    topic("segment.bytes", Int, Some("1073741824"), AtLeast(1_048_576), &[same("log.segment.bytes")])
        .doc("The size at which a segment is closed and a new one begins."),
    topic("segment.index.bytes", Int, Some("10485760"), AtLeast(4), &[same("log.index.size.max.bytes")])
        .doc("The most bytes of each index of a segment; a full index closes its segment."),
    topic(
        "segment.jitter.ms",
        Long,
        Some("0"),
        AtLeast(0),
        &[same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")],
    )
    .doc("By how much, at most and at random, segment.ms is shortened, so that partitions do not roll all at once."),
    topic("segment.ms", Long, Some("604800000"), AtLeast(1), &[same("log.roll.ms"), hours("log.roll.hours")])
        .doc("The age at which a segment that has records is closed, full or not."),
    topic("unclean.leader.election.enable", Boolean, Some("false"), Any, &[same("unclean.leader.election.enable")])
        .doc("Whether a replica that lacks records may become leader.")
        .without_effect(ONE_REPLICA),
];

/// Why keys have no effect, or may only have their default.
pub(super) const NO_PREALLOCATION: &str = "files grow as they are written";
pub(super) const NO_REPLICATION: &str = "a single broker replicates nothing";
pub(super) const NO_SHARE_GROUPS: &str = "there are no share groups";
pub(super) const NO_TIERED_STORAGE: &str = "there is no tiered storage";
pub(super) const ONE_REPLICA: &str = "on a single broker the only replica of a partition leads it, in sync with itself";

/// What `compression.type` may be.
pub(super) const COMPRESSION_TYPES: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];

/// A row of the table. Kafka gives every topic key the same importance.
const fn topic(
    name: &'static str,
    config_type: ConfigType,
    default: Option<&'static str>,
    valid: Validator,
    synonyms: &'static [Synonym],
) -> TopicKey {
    TopicKey { key: ConfigKey::new(name, config_type, default, valid, Importance::Medium), synonyms }
}

const fn same(name: &'static str) -> Synonym {
    Synonym { name, unit: Unit::Same }
}

const fn milliseconds(name: &'static str) -> Synonym {
    Synonym { name, unit: Unit::Milliseconds }
}

const fn minutes(name: &'static str) -> Synonym {
    Synonym { name, unit: Unit::Minutes }
}

const fn hours(name: &'static str) -> Synonym {
    Synonym { name, unit: Unit::Hours }
}

/// The values that a topic ends up with.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    /// `cleanup.policy`.
    pub cleanup_policy: CleanupPolicy,
    /// `compression.type`, with the level of its codec.
    pub compression: TopicCompression,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: i64,
    /// `flush.messages`.
    pub flush_messages: i64,
    /// `flush.ms`.
    pub flush_ms: i64,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u32,
    /// `max.compaction.lag.ms`.
    pub max_compaction_lag_ms: i64,
    /// `max.decompressed.message.bytes`.
    pub max_decompressed_message_bytes: u32,
    /// `max.message.bytes`.
    pub max_message_bytes: u32,
    /// `message.timestamp.after.max.ms`.
    pub message_timestamp_after_max_ms: i64,
    /// `message.timestamp.before.max.ms`.
    pub message_timestamp_before_max_ms: i64,
    /// `message.timestamp.type`.
    pub message_timestamp_type: TimestampType,
    /// `min.cleanable.dirty.ratio`.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: i64,
    /// `min.insync.replicas`.
    pub min_insync_replicas: u32,
    /// `retention.bytes`; `None` for no limit.
    pub retention_bytes: Option<u64>,
    /// `retention.ms`; `None` for no limit.
    pub retention_ms: Option<i64>,
    /// `segment.bytes`, or `internal.segment.bytes` where it is set.
    pub segment_bytes: u32,
    /// `segment.index.bytes`.
    pub segment_index_bytes: u32,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: i64,
    /// `segment.ms`.
    pub segment_ms: i64,
}

/// What happens to old segments. Neither: they stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// They are deleted when they are too old, or the log too big.
    pub delete: bool,
    /// They are compacted. Records need keys.
    pub compact: bool,
}

/// How batches are compressed when they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicCompression {
    /// As the producer sent them.
    Producer,
    /// Not at all.
    Uncompressed,
    /// With gzip at a level from 1 to 9, or -1 for the codec's own.
    Gzip(i32),
    /// With snappy.
    Snappy,
    /// With lz4 at a level from 1 to 17.
    Lz4(i32),
    /// With zstd at a level from -131072 to 22.
    Zstd(i32),
}

impl TopicCompression {
    /// The codec with this number in Kafka's `CompressionType`, at its own level.
    pub(super) fn from_codec_id(id: i64) -> Option<Self> {
        match id {
            0 => Some(Self::Uncompressed),
            1 => Some(Self::Gzip(-1)),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4(9)),
            4 => Some(Self::Zstd(3)),
            _ => None,
        }
    }
}

/// Whose clock a record's timestamp shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's.
    LogAppendTime,
}

/// Why a topic cannot be configured so, in the words that clients see.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicConfigError {
    /// No such key.
    #[error("Unknown topic config name: {}", super::key::one_line(.0))]
    Unknown(String),
    /// A key does not allow its value.
    #[error(transparent)]
    Invalid(#[from] InvalidValue),
    /// Records may not be compacted before they must be.
    #[error("conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})")]
    CompactionLag {
        /// `min.compaction.lag.ms`.
        min: i64,
        /// `max.compaction.lag.ms`.
        max: i64,
    },
    /// A coordinator would lose what it knows.
    #[error("{0} needs cleanup.policy=compact and nothing else: what groups or transactions have would be deleted")]
    Uncompacted(String),
    /// `remote.storage.enable` is true.
    #[error(
        "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
    )]
    TieredStorage,
}

/// The row of a topic key.
#[must_use]
pub fn topic_key(name: &str) -> Option<&'static TopicKey> {
    row_of(TOPIC_KEYS, |row| row.key.name, name)
}

impl TopicKey {
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

    const fn internal(mut self) -> Self {
        self.key.internal = true;
        self
    }

    /// The value of a topic that does not set the key itself, and the synonym that gives it, if one does.
    #[must_use]
    pub fn default_from(&self, broker: &BrokerValues) -> Option<(Value, Option<&'static Synonym>)> {
        self.synonyms
            .iter()
            .find_map(|synonym| Some((synonym.unit.to_topic(broker.get(synonym.name)?), Some(synonym))))
            .or_else(|| Some((self.key.default_value()?, None)))
    }
}

impl Unit {
    /// A broker value in the topic key's unit. A negative time means no limit, which a topic writes as -1.
    fn to_topic(self, value: Value) -> Value {
        let factor = match self {
            Self::Same => return value,
            Self::Milliseconds => 1,
            Self::Minutes => 60_000,
            Self::Hours => 3_600_000,
        };
        value.as_long().map_or(value, |number| Value::Long(number.saturating_mul(factor).max(-1)))
    }
}

impl TopicConfig {
    /// What a topic with these settings of its own ends up with on this broker. They are taken as they are: this broker may
    /// not honour what Kafka wrote, nor know it, and they may not go together with defaults that were altered since.
    #[must_use]
    pub fn resolve(broker: &BrokerValues, overrides: &BTreeMap<String, String>) -> Self {
        let known = overrides.iter().filter_map(|(name, text)| {
            let key = &topic_key(name)?.key;
            Some((key.name, key.parse(text).ok()?))
        });
        TopicValues { overrides: known.collect(), broker }.to_config()
    }

    /// Whether a topic that has the settings `before` may have those `asked` instead: they hold together, and what is new
    /// among them can be honoured.
    pub fn check_asked(
        broker: &BrokerValues,
        before: &BTreeMap<String, String>,
        asked: &BTreeMap<String, String>,
    ) -> Result<(), TopicConfigError> {
        let is_new = |name: &str| before.get(name) != asked.get(name);
        let values = TopicValues { overrides: parse_all(asked, is_new)?, broker };
        values.check()?;
        match unhonoured(asked).find(|(row, _, _)| is_new(row.key.name)) {
            None => Ok(()),
            Some((row, _, _)) if row.key.name == "remote.storage.enable" => Err(TopicConfigError::TieredStorage),
            Some((row, value, reason)) => Err(row.key.refuse_unhonoured(&value, reason).into()),
        }
    }

    /// The longest that a segment stays open: a compacted log must roll for its records to be compacted in time.
    #[must_use]
    pub fn max_segment_ms(&self) -> i64 {
        if self.cleanup_policy.compact { self.segment_ms.min(self.max_compaction_lag_ms) } else { self.segment_ms }
    }
}

/// The settings of a topic that this broker does not honour, and why.
pub fn unhonoured(
    overrides: &BTreeMap<String, String>,
) -> impl Iterator<Item = (&'static TopicKey, Value, &'static str)> {
    overrides.iter().filter_map(|(name, text)| {
        let row = topic_key(name)?;
        let value = row.key.parse(text).ok()?;
        let reason = row.key.unhonoured(&value)?;
        Some((row, value, reason))
    })
}

/// What is not understood is refused where it is new, and else passed over.
fn parse_all(
    overrides: &BTreeMap<String, String>,
    is_new: impl Fn(&str) -> bool,
) -> Result<BTreeMap<&'static str, Value>, TopicConfigError> {
    let mut values = BTreeMap::new();
    for (name, text) in overrides {
        match topic_key(name).map(|row| (row.key.name, row.key.parse(text))) {
            Some((name, Ok(value))) => drop(values.insert(name, value)),
            None if is_new(name) => return Err(TopicConfigError::Unknown(name.clone())),
            Some((name, Err(error))) if is_new(name) => return Err(error.into()),
            None | Some((_, Err(_))) => {}
        }
    }
    Ok(values)
}

/// Whether a coordinator's topic may have this `cleanup.policy`, in place of `before` if it is there: but for compaction alone
/// its state would be lost. Kafka lets that happen.
pub fn check_coordinator_policy(
    topic: &str,
    before: Option<CleanupPolicy>,
    after: CleanupPolicy,
) -> Result<(), TopicConfigError> {
    let is_coordinator = [GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC].contains(&topic);
    if !is_coordinator || after.compact && !after.delete || before == Some(after) {
        return Ok(());
    }
    Err(TopicConfigError::Uncompacted(topic.to_owned()))
}

/// The keys of a topic that nobody knows here: a release of Kafka has or had them.
pub fn unknown(overrides: &BTreeMap<String, String>) -> impl Iterator<Item = &str> {
    overrides.keys().map(String::as_str).filter(|name| topic_key(name).is_none())
}

/// A value that its key does not allow. What the topic was to be is not to be guessed: the default could delete records.
#[must_use]
pub fn invalid(overrides: &BTreeMap<String, String>) -> Option<InvalidValue> {
    overrides.iter().find_map(|(name, text)| topic_key(name)?.key.parse(text).err())
}

/// A topic's values before they are typed.
struct TopicValues<'a> {
    overrides: BTreeMap<&'static str, Value>,
    broker: &'a BrokerValues,
}

impl TopicValues<'_> {
    fn check(&self) -> Result<(), TopicConfigError> {
        let (min, max) = (self.long("min.compaction.lag.ms"), self.long("max.compaction.lag.ms"));
        if min > max {
            return Err(TopicConfigError::CompactionLag { min, max });
        }
        match self.get("internal.segment.bytes").as_ref().and_then(Value::as_long) {
            // Kafka lets any number pass, and then fails at the first append.
            Some(bytes) if bytes < 1 => Err(InvalidValue {
                key: "internal.segment.bytes".to_owned(),
                value: bytes.to_string(),
                reason: "Value must be at least 1".to_owned(),
            }
            .into()),
            _ => Ok(()),
        }
    }

    fn to_config(&self) -> TopicConfig {
        TopicConfig {
            cleanup_policy: self.cleanup_policy(),
            compression: self.compression(),
            delete_retention_ms: self.long("delete.retention.ms"),
            file_delete_delay_ms: self.long("file.delete.delay.ms"),
            flush_messages: self.long("flush.messages"),
            flush_ms: self.long("flush.ms"),
            index_interval_bytes: self.size("index.interval.bytes"),
            max_compaction_lag_ms: self.long("max.compaction.lag.ms"),
            max_decompressed_message_bytes: self.size("max.decompressed.message.bytes"),
            max_message_bytes: self.size("max.message.bytes"),
            message_timestamp_after_max_ms: self.long("message.timestamp.after.max.ms"),
            message_timestamp_before_max_ms: self.long("message.timestamp.before.max.ms"),
            message_timestamp_type: self.timestamp_type(),
            min_cleanable_dirty_ratio: self.double("min.cleanable.dirty.ratio"),
            min_compaction_lag_ms: self.long("min.compaction.lag.ms"),
            min_insync_replicas: self.size("min.insync.replicas"),
            retention_bytes: u64::try_from(self.long("retention.bytes")).ok(),
            retention_ms: Some(self.long("retention.ms")).filter(|ms| *ms >= 0),
            segment_bytes: self.segment_bytes(),
            segment_index_bytes: self.size("segment.index.bytes"),
            segment_jitter_ms: self.long("segment.jitter.ms"),
            segment_ms: self.long("segment.ms"),
        }
    }

    fn cleanup_policy(&self) -> CleanupPolicy {
        let policies = self.get("cleanup.policy");
        let has = |name: &str| policies.iter().flat_map(Value::as_list).any(|policy| policy == name);
        CleanupPolicy { delete: has("delete"), compact: has("compact") }
    }

    fn compression(&self) -> TopicCompression {
        let level = |name| i32::try_from(self.long(name)).expect("the key is an INT");
        match self.text("compression.type").as_str() {
            "uncompressed" => TopicCompression::Uncompressed,
            "gzip" => TopicCompression::Gzip(level("compression.gzip.level")),
            "snappy" => TopicCompression::Snappy,
            "lz4" => TopicCompression::Lz4(level("compression.lz4.level")),
            "zstd" => TopicCompression::Zstd(level("compression.zstd.level")),
            _ => TopicCompression::Producer,
        }
    }

    fn timestamp_type(&self) -> TimestampType {
        match self.text("message.timestamp.type").as_str() {
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        }
    }

    fn segment_bytes(&self) -> u32 {
        match self.get("internal.segment.bytes") {
            Some(_) => u32::try_from(self.long("internal.segment.bytes")).unwrap_or(0).max(1),
            None => self.size("segment.bytes"),
        }
    }

    fn get(&self, name: &str) -> Option<Value> {
        self.overrides.get(name).cloned().or_else(|| Some(topic_key(name)?.default_from(self.broker)?.0))
    }

    fn long(&self, name: &str) -> i64 {
        self.get(name).and_then(|value| value.as_long()).expect("a test resolves every number that is asked for")
    }

    fn size(&self, name: &str) -> u32 {
        u32::try_from(self.long(name)).expect("the key is an INT that is never negative")
    }

    fn double(&self, name: &str) -> f64 {
        self.get(name).and_then(|value| value.as_double()).expect("a test resolves every number that is asked for")
    }

    fn text(&self, name: &str) -> String {
        self.get(name).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    }
}
