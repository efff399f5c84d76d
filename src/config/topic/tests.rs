use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::config::broker::broker_key;

/// Kafka 4.4's own table: name, type, default, valid values, importance, broker-level synonym.
const KAFKAS_TABLE: &str = include_str!("../../../tests/fixtures/topic-configs.tsv");

/// The values of a topic with these settings, on a broker with those.
fn resolve(broker: &[(&'static str, &str)], topic: &[(&str, &str)]) -> Result<TopicConfig, TopicConfigError> {
    let mut values = BrokerValues::default();
    for (name, text) in broker {
        values.set(name, broker_key(name).expect(name).key.parse(text).expect(text));
    }
    let topic = settings(topic);
    TopicConfig::check_asked(&values, &BTreeMap::new(), &topic)?;
    Ok(TopicConfig::resolve(&values, &topic))
}

fn settings(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    list.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// The refusal of one setting, as a client sees it.
fn refusal(name: &str, text: &str) -> String {
    let asked = settings(&[(name, text)]);
    TopicConfig::check_asked(&BrokerValues::default(), &BTreeMap::new(), &asked).expect_err(name).to_string()
}

#[test]
fn the_table_is_kafkas() {
    let ours = TOPIC_KEYS.iter().map(|row| {
        let key = &row.key;
        let default = match (key.config_type, key.default) {
            (_, None) => "null".to_owned(),
            (List, Some(text)) => format!("[{text}]"),
            (_, Some(text)) => text.to_owned(),
        };
        let synonym = row.synonyms.first().map_or("null", |synonym| synonym.name);
        format!("{}\t{}\t{default}\t{}\t{}\t{synonym}", key.name, key.config_type, key.valid, key.importance)
    });
    assert_eq!(ours.collect::<Vec<_>>(), KAFKAS_TABLE.lines().skip(1).collect::<Vec<_>>());
}

#[test]
fn every_row_is_whole() {
    for row in TOPIC_KEYS {
        let name = row.key.name;
        assert!(row.key.doc.ends_with('.'), "{name} is documented");
        assert_eq!(row.key.default_value().is_some(), row.key.default.is_some(), "{name}");
        for synonym in row.synonyms {
            let broker = &broker_key(synonym.name).expect(synonym.name).key;
            if synonym.unit == Unit::Same {
                assert_eq!(broker.config_type, row.key.config_type, "{name}");
                assert_eq!(broker.effect, row.key.effect, "{name}");
            }
        }
    }
    let names: BTreeSet<_> = TOPIC_KEYS.iter().map(|row| row.key.name).collect();
    assert_eq!(names.len(), TOPIC_KEYS.len());
}

#[test]
fn without_settings_a_topic_has_kafkas_defaults() {
    let expected = TopicConfig {
        cleanup_policy: CleanupPolicy { delete: true, compact: false },
        compression: TopicCompression::Producer,
        delete_retention_ms: 86_400_000,
        file_delete_delay_ms: 60_000,
        flush_messages: i64::MAX,
        flush_ms: i64::MAX,
        index_interval_bytes: 4096,
        max_compaction_lag_ms: i64::MAX,
        max_decompressed_message_bytes: 2_147_483_639,
        max_message_bytes: 1_048_588,
        message_timestamp_after_max_ms: 3_600_000,
        message_timestamp_before_max_ms: i64::MAX,
        message_timestamp_type: TimestampType::CreateTime,
        min_cleanable_dirty_ratio: 0.5,
        min_compaction_lag_ms: 0,
        min_insync_replicas: 1,
        retention_bytes: None,
        retention_ms: Some(604_800_000),
        segment_bytes: 1_073_741_824,
        segment_index_bytes: 10_485_760,
        segment_jitter_ms: 0,
        segment_ms: 604_800_000,
    };
    assert_eq!(resolve(&[], &[]), Ok(expected));
}

#[test]
fn a_topics_own_setting_goes_before_the_brokers() {
    let broker = [("log.segment.bytes", "2000000"), ("message.max.bytes", "500"), ("compression.zstd.level", "7")];
    let topic = [("segment.bytes", "3000000"), ("compression.type", "zstd"), ("retention.bytes", "4096")];
    let config = resolve(&broker, &topic).expect("valid");
    assert_eq!(config.segment_bytes, 3_000_000);
    assert_eq!(config.max_message_bytes, 500);
    assert_eq!(config.compression, TopicCompression::Zstd(7));
    assert_eq!(config.retention_bytes, Some(4096));
}

#[test]
fn the_finer_unit_goes_before_the_coarser() {
    let ms = |broker: &[(&'static str, &str)]| resolve(broker, &[]).expect("valid").retention_ms;
    let (hours, minutes, exact) =
        (("log.retention.hours", "2"), ("log.retention.minutes", "3"), ("log.retention.ms", "4"));
    assert_eq!(ms(&[hours]), Some(7_200_000));
    assert_eq!(ms(&[hours, minutes]), Some(180_000));
    assert_eq!(ms(&[hours, minutes, exact]), Some(4));
    assert_eq!(ms(&[("log.retention.hours", "-1")]), None);
    assert_eq!(ms(&[("log.retention.hours", "2147483647")]), Some(7_730_941_129_200_000));

    let roll = |broker: &[(&'static str, &str)]| {
        let config = resolve(broker, &[]).expect("valid");
        (config.segment_ms, config.segment_jitter_ms)
    };
    assert_eq!(roll(&[("log.roll.hours", "1"), ("log.roll.jitter.hours", "2")]), (3_600_000, 7_200_000));
    assert_eq!(roll(&[("log.roll.hours", "1"), ("log.roll.ms", "5"), ("log.roll.jitter.ms", "6")]), (5, 6));
    let flush = resolve(&[("log.flush.scheduler.interval.ms", "1000")], &[]).expect("valid").flush_ms;
    assert_eq!(flush, 1000);
}

#[test]
fn each_choice_has_its_type() {
    let compression = |text| resolve(&[], &[("compression.type", text)]).expect(text).compression;
    let codecs = ["uncompressed", "gzip", "snappy", "lz4", "zstd", "producer"].map(compression);
    use TopicCompression::*;
    assert_eq!(codecs, [Uncompressed, Gzip(-1), Snappy, Lz4(9), Zstd(3), Producer]);

    let policy = |text| resolve(&[], &[("cleanup.policy", text)]).expect(text).cleanup_policy;
    assert_eq!(policy("compact , delete"), CleanupPolicy { delete: true, compact: true });
    assert_eq!(policy("compact"), CleanupPolicy { delete: false, compact: true });
    assert_eq!(policy("delete,delete"), CleanupPolicy { delete: true, compact: false });
    assert_eq!(policy(""), CleanupPolicy { delete: false, compact: false });

    let config = resolve(&[], &[("message.timestamp.type", "LogAppendTime")]).expect("valid");
    assert_eq!(config.message_timestamp_type, TimestampType::LogAppendTime);
}

#[test]
fn a_compacted_topic_rolls_in_time_to_be_compacted() {
    let lag = ("max.compaction.lag.ms", "10");
    assert_eq!(resolve(&[], &[lag]).expect("valid").max_segment_ms(), 604_800_000);
    assert_eq!(resolve(&[], &[lag, ("cleanup.policy", "compact")]).expect("valid").max_segment_ms(), 10);
}

/// The last ones are ours: Kafka lets these values pass.
#[test]
fn a_refusal_has_kafkas_words() {
    let cases = [
        ("foo", "1", "Unknown topic config name: foo"),
        ("segment.bytes", "10", "Invalid value 10 for configuration segment.bytes: Value must be at least 1048576"),
        (
            "cleanup.policy",
            "delete,foo",
            "Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete",
        ),
        (
            "compression.gzip.level",
            "0",
            "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
        ),
        (
            "leader.replication.throttled.replicas",
            "0-1",
            "Invalid value 0-1 for configuration leader.replication.throttled.replicas: \
             leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following \
             format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
        ),
        (
            "remote.storage.enable",
            "true",
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log \
             storage.",
        ),
        (
            "internal.segment.bytes",
            "0",
            "Invalid value 0 for configuration internal.segment.bytes: Value must be at least 1",
        ),
        (
            "min.cleanable.dirty.ratio",
            "NaN",
            "Invalid value NaN for configuration min.cleanable.dirty.ratio: Not a number of type DOUBLE",
        ),
        (
            "preallocate",
            "true",
            "Invalid value true for configuration preallocate: Only the default is accepted: files grow as they are \
             written",
        ),
        (
            "leader.replication.throttled.replicas",
            "*",
            "Invalid value * for configuration leader.replication.throttled.replicas: Only the default is accepted: a \
             single broker replicates nothing",
        ),
    ];
    for (name, text, expected) in cases {
        assert_eq!(refusal(name, text), expected);
    }
}

#[test]
fn what_a_topic_brings_stays_though_it_is_not_honoured() {
    let brought = settings(&[("preallocate", "true"), ("remote.storage.enable", "true"), ("retention.ms", "5")]);
    let found: Vec<_> = unhonoured(&brought).map(|(row, value, _)| format!("{}={value}", row.key.name)).collect();
    assert_eq!(found, ["preallocate=true", "remote.storage.enable=true"]);
    let broker = BrokerValues::default();

    let mut asked = brought.clone();
    asked.insert("retention.ms".to_owned(), "6".to_owned());
    TopicConfig::check_asked(&broker, &brought, &asked).expect("nothing new is promised");
    let error = TopicConfig::check_asked(&broker, &settings(&[("preallocate", "false")]), &asked);
    assert!(error.expect_err("it is new").to_string().starts_with("Invalid value true for configuration preallocate"));
}

#[test]
fn every_key_is_found_by_its_name() {
    assert!(TOPIC_KEYS.is_sorted_by_key(|row| row.key.name));
    for row in TOPIC_KEYS {
        assert_eq!(topic_key(row.key.name).map(|found| found.key.name), Some(row.key.name));
    }
    assert!(topic_key("").is_none() && topic_key("retention").is_none());
}

#[test]
fn every_default_can_be_asked_for() {
    let defaults: Vec<_> = TOPIC_KEYS.iter().filter_map(|row| Some((row.key.name, row.key.default?))).collect();
    assert!(TopicConfig::check_asked(&BrokerValues::default(), &BTreeMap::new(), &settings(&defaults)).is_ok());
}

#[test]
fn compaction_lags_are_held_against_each_other_wherever_they_come_from() {
    let expected = "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)";
    let (min, max) = (("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5"));
    assert_eq!(resolve(&[], &[min, max]).expect_err("a conflict").to_string(), expected);
    let broker = [("log.cleaner.max.compaction.lag.ms", "5")];
    assert_eq!(resolve(&broker, &[min]).expect_err("a conflict").to_string(), expected);
    assert!(resolve(&broker, &[("min.compaction.lag.ms", "5")]).is_ok());
}

#[test]
fn tests_can_have_small_segments() {
    let config = resolve(&[], &[("internal.segment.bytes", "100")]).expect("valid");
    assert_eq!(config.segment_bytes, 100);
}
