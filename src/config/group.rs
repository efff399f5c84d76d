//! The keys of a group: one table, held against Kafka 4.4's by a test.
//!
//! They are those of groups of kinds that are not served yet, so that none has an effect: they are shown, with what a
//! directory of Kafka's brought, and cannot be set.

use super::{
    broker::{BrokerValues, NO_CONSUMER_GROUPS, NO_STREAMS_GROUPS},
    key::{
        ConfigKey, ConfigType,
        ConfigType::{Boolean, Int, List, Long, String as Text},
        Effect, Importance, Validator,
        Validator::{Any, AtLeast, OffsetReset, OneOf},
        Value,
    },
    topic::NO_SHARE_GROUPS,
};

/// What a client is told that sets one.
pub const NOT_ALTERABLE: &str =
    "Groups of the consumer, share and streams protocols are not served: a group configuration would have no effect.";

/// A key of a group, and the broker key that gives its default.
#[derive(Clone, Copy, Debug)]
pub struct GroupKey {
    /// The key itself.
    pub key: ConfigKey,
    /// The broker key.
    pub synonym: Option<&'static str>,
}

/// Every key of a group, by name.
pub const GROUP_KEYS: &[GroupKey] = &[
    group(
        "consumer.assignment.interval.ms",
        Int,
        Some("1000"),
        AtLeast(0),
        Some("group.consumer.assignment.interval.ms"),
        NO_CONSUMER_GROUPS,
    )
    .doc("How long an assignment stands at least before the next."),
    group("consumer.assignor.offload.enable", Boolean, Some("true"), Any, None, NO_CONSUMER_GROUPS)
        .doc("Whether assignments are computed on a thread of their own.")
        .internal(),
    group(
        "consumer.heartbeat.interval.ms",
        Int,
        Some("5000"),
        AtLeast(1),
        Some("group.consumer.heartbeat.interval.ms"),
        NO_CONSUMER_GROUPS,
    )
    .doc("How often members are to send a heartbeat."),
    group(
        "consumer.session.timeout.ms",
        Int,
        Some("45000"),
        AtLeast(1),
        Some("group.consumer.session.timeout.ms"),
        NO_CONSUMER_GROUPS,
    )
    .doc("How long a member may be silent before it is taken for gone."),
    group("errors.deadletterqueue.copy.record.enable", Boolean, Some("false"), Any, None, NO_SHARE_GROUPS)
        .doc("Whether a record that was given up is copied as a whole, or only named."),
    group("errors.deadletterqueue.topic.name", Text, Some(""), Any, None, NO_SHARE_GROUPS)
        .doc("The topic for records that a share group gave up on; none if it is empty."),
    group(
        "share.assignment.interval.ms",
        Int,
        Some("1000"),
        AtLeast(0),
        Some("group.share.assignment.interval.ms"),
        NO_SHARE_GROUPS,
    )
    .doc("How long an assignment stands at least before the next."),
    group("share.assignor.offload.enable", Boolean, Some("true"), Any, None, NO_SHARE_GROUPS)
        .doc("Whether assignments are computed on a thread of their own.")
        .internal(),
    group("share.auto.offset.reset", Text, Some("latest"), OffsetReset, None, NO_SHARE_GROUPS)
        .doc("Where a share group begins: latest, earliest, or as far back as by_duration says."),
    group(
        "share.delivery.count.limit",
        Int,
        Some("5"),
        AtLeast(2),
        Some("group.share.delivery.count.limit"),
        NO_SHARE_GROUPS,
    )
    .doc("How often a record is delivered before it is given up."),
    group(
        "share.heartbeat.interval.ms",
        Int,
        Some("5000"),
        AtLeast(1),
        Some("group.share.heartbeat.interval.ms"),
        NO_SHARE_GROUPS,
    )
    .doc("How often members are to send a heartbeat."),
    group(
        "share.isolation.level",
        Text,
        Some("read_uncommitted"),
        OneOf(&["read_committed", "read_uncommitted"]),
        None,
        NO_SHARE_GROUPS,
    )
    .doc("Whether records of transactions that are open or aborted are delivered."),
    group(
        "share.partition.max.record.locks",
        Int,
        Some("2000"),
        AtLeast(100),
        Some("group.share.partition.max.record.locks"),
        NO_SHARE_GROUPS,
    )
    .doc("How many records of a partition may be out with members at a time."),
    group(
        "share.record.lock.duration.ms",
        Int,
        Some("30000"),
        AtLeast(1000),
        Some("group.share.record.lock.duration.ms"),
        NO_SHARE_GROUPS,
    )
    .doc("How long a member has for a record."),
    group("share.renew.acknowledge.enable", Boolean, Some("true"), Any, None, NO_SHARE_GROUPS)
        .doc("Whether a member may ask for more time for a record."),
    group(
        "share.session.timeout.ms",
        Int,
        Some("45000"),
        AtLeast(1),
        Some("group.share.session.timeout.ms"),
        NO_SHARE_GROUPS,
    )
    .doc("How long a member may be silent before it is taken for gone."),
    group("streams.acceptable.recovery.lag", Long, Some("10000"), AtLeast(0), None, NO_STREAMS_GROUPS)
        .doc("How many records a member may be behind and still count as caught up.")
        .internal(),
    group(
        "streams.assignment.interval.ms",
        Int,
        Some("1000"),
        AtLeast(0),
        Some("group.streams.assignment.interval.ms"),
        NO_STREAMS_GROUPS,
    )
    .doc("How long an assignment stands at least before the next."),
    group("streams.assignor.name", Text, None, Any, Some("group.streams.assignors"), NO_STREAMS_GROUPS)
        .doc("What assigns tasks; the first of group.streams.assignors if it is not set."),
    group("streams.assignor.offload.enable", Boolean, Some("true"), Any, None, NO_STREAMS_GROUPS)
        .doc("Whether assignments are computed on a thread of their own.")
        .internal(),
    group(
        "streams.heartbeat.interval.ms",
        Int,
        Some("5000"),
        AtLeast(1),
        Some("group.streams.heartbeat.interval.ms"),
        NO_STREAMS_GROUPS,
    )
    .doc("How often members are to send a heartbeat."),
    group(
        "streams.initial.rebalance.delay.ms",
        Int,
        Some("3000"),
        AtLeast(0),
        Some("group.streams.initial.rebalance.delay.ms"),
        NO_STREAMS_GROUPS,
    )
    .doc("How long a new group waits for more members before its first rebalance."),
    group(
        "streams.num.standby.replicas",
        Int,
        Some("0"),
        AtLeast(0),
        Some("group.streams.num.standby.replicas"),
        NO_STREAMS_GROUPS,
    )
    .doc("How many standby replicas each task has."),
    group("streams.num.warmup.replicas", Int, Some("2"), AtLeast(0), None, NO_STREAMS_GROUPS)
        .doc("How many tasks may warm up at a time.")
        .internal(),
    group(
        "streams.rack.aware.assignment.tags",
        List,
        Some(""),
        Any,
        Some("group.streams.rack.aware.assignment.tags"),
        NO_STREAMS_GROUPS,
    )
    .doc("Tags of clients over which standby replicas are spread.")
    .low(),
    group(
        "streams.session.timeout.ms",
        Int,
        Some("45000"),
        AtLeast(1),
        Some("group.streams.session.timeout.ms"),
        NO_STREAMS_GROUPS,
    )
    .doc("How long a member may be silent before it is taken for gone."),
    group("streams.task.offset.interval.ms", Int, Some("60000"), AtLeast(1), None, NO_STREAMS_GROUPS)
        .doc("How often members tell how far their tasks are.")
        .internal(),
];

/// A row of the table.
const fn group(
    name: &'static str,
    config_type: ConfigType,
    default: Option<&'static str>,
    valid: Validator,
    synonym: Option<&'static str>,
    no_effect: &'static str,
) -> GroupKey {
    let mut key = ConfigKey::new(name, config_type, default, valid, Importance::Medium);
    key.effect = Effect::None(no_effect);
    GroupKey { key, synonym }
}

/// The row of a group key.
#[must_use]
pub fn group_key(name: &str) -> Option<&'static GroupKey> {
    GROUP_KEYS.iter().find(|row| row.key.name == name)
}

impl GroupKey {
    const fn doc(mut self, doc: &'static str) -> Self {
        self.key.doc = doc;
        self
    }

    const fn low(mut self) -> Self {
        self.key.importance = Importance::Low;
        self
    }

    const fn internal(mut self) -> Self {
        self.key.internal = true;
        self
    }

    /// The value of a group that does not set the key itself. Where the broker has a list to choose from, the first of it
    /// counts.
    #[must_use]
    pub fn default_from(&self, broker: &BrokerValues) -> Option<Value> {
        match self.synonym.and_then(|name| broker.get(name)) {
            Some(Value::List(choices)) if self.key.config_type == Text => choices.into_iter().next().map(Value::String),
            Some(value) => Some(value),
            None => self.key.default_value(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::broker::broker_key;

    /// Kafka 4.4's own table: name, type, default, valid values, importance, internal, broker-level synonym.
    const KAFKAS_TABLE: &str = include_str!("../../tests/fixtures/group-configs.tsv");

    /// Synonyms that Kafka has among its internal broker keys, which are not known here.
    const INTERNAL_SYNONYMS: [&str; 6] = [
        "group.consumer.assignor.offload.enable",
        "group.share.assignor.offload.enable",
        "group.streams.acceptable.recovery.lag",
        "group.streams.assignor.offload.enable",
        "group.streams.num.warmup.replicas",
        "group.streams.task.offset.interval.ms",
    ];

    #[test]
    fn the_table_is_kafkas() {
        let ours = GROUP_KEYS.iter().map(|GroupKey { key, synonym }| {
            let default = match (key.config_type, key.default) {
                (_, None) => "null".to_owned(),
                (List, Some(text)) => format!("[{text}]"),
                (_, Some(text)) => text.to_owned(),
            };
            let ConfigKey { name, config_type, valid, importance, internal, .. } = key;
            let synonym = synonym.unwrap_or("null");
            format!("{name}\t{config_type}\t{default}\t{valid}\t{importance}\t{internal}\t{synonym}")
        });
        let kafkas = KAFKAS_TABLE.lines().skip(1).map(|line| match line.rsplit_once('\t') {
            Some((row, synonym)) if INTERNAL_SYNONYMS.contains(&synonym) => format!("{row}\tnull"),
            _ => line.to_owned(),
        });
        assert_eq!(ours.collect::<Vec<_>>(), kafkas.collect::<Vec<_>>());
    }

    #[test]
    fn every_row_is_whole() {
        for row in GROUP_KEYS {
            let name = row.key.name;
            assert!(row.key.doc.ends_with('.'), "{name} is documented");
            assert_eq!(row.key.default_value().is_some(), row.key.default.is_some(), "{name}");
            if let Some(synonym) = row.synonym {
                assert_eq!(broker_key(synonym).expect(synonym).key.effect, row.key.effect, "{name}");
            }
        }
    }

    #[test]
    fn a_group_keys_default_is_the_brokers() {
        let mut broker = BrokerValues::default();
        let default = |broker: &BrokerValues, name| group_key(name).expect(name).default_from(broker);
        for row in GROUP_KEYS.iter().filter(|row| row.key.name != "streams.assignor.name") {
            assert_eq!(row.default_from(&broker), row.key.default_value(), "{}", row.key.name);
        }
        assert_eq!(default(&broker, "streams.assignor.name"), Some(Value::String("sticky".to_owned())));
        broker.set("group.share.session.timeout.ms", Value::Int(50_000));
        assert_eq!(default(&broker, "share.session.timeout.ms"), Some(Value::Int(50_000)));
        assert_eq!(default(&broker, "streams.session.timeout.ms"), Some(Value::Int(45_000)));
    }
}
