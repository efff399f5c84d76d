//! `IncrementalAlterConfigs` and `AlterConfigs` for the broker, for the default of all brokers, and for loggers.

use ottla::protocol::error_code::ErrorCode;

use crate::{
    configs::{
        ALL_BROKERS, BROKER, BROKER_LOGGER, BY_BROKER, BY_CLUSTER, BY_DEFAULT, DUPLICATE_KEYS, DUPLICATE_RESOURCES,
        NULLS, OWN_ID, REPLACING, TOPIC, alone, alter, alter_all, append, assert_shown, delete, done, invalid_config,
        invalid_request, invalid_value, operation, replace, replace_all, replacement, resource, set, shown, subtract,
        synonyms, validate,
    },
    support::{RawClient, metadata_batches},
    transactional::Stage,
};

const OWN: (i8, &str) = (BROKER, OWN_ID);
const ALL: (i8, &str) = (BROKER, ALL_BROKERS);
const NO_NUMBER: &str = "Not a number of type LONG";

async fn stage() -> (Stage, RawClient) {
    let stage = Stage::start().await;
    let client = RawClient::connect(stage.address()).await;
    (stage, client)
}

/// What a referee's brokers all have set, and must go on to have.
fn kept(stage: &Stage) -> Vec<(&'static str, Option<&'static str>)> {
    stage.expects(vec![], vec![("min.insync.replicas", Some("1"))])
}

#[tokio::test]
async fn a_brokers_setting_goes_before_the_default_of_all_brokers() {
    let (stage, mut client) = stage().await;
    let _alone = alone(&stage).await;
    let key = "log.index.interval.bytes";
    assert_eq!(alter(&mut client, BROKER, ALL_BROKERS, &[set(key, "6000")]).await, done());
    assert_shown(&stage, &mut client, OWN, key, ("6000", BY_CLUSTER)).await;
    assert_shown(&stage, &mut client, ALL, key, ("6000", BY_CLUSTER)).await;
    assert_eq!(alter(&mut client, BROKER, OWN_ID, &[set(key, "5000")]).await, done());
    assert_shown(&stage, &mut client, OWN, key, ("5000", BY_BROKER)).await;
    assert_shown(&stage, &mut client, ALL, key, ("6000", BY_CLUSTER)).await;
    let expected = [("5000", BY_BROKER), ("6000", BY_CLUSTER), ("4096", BY_DEFAULT)];
    let expected = expected.map(|(value, source)| (key.to_owned(), value.to_owned(), source));
    assert_eq!(synonyms(&mut client, BROKER, OWN_ID, key).await, expected);
    assert_eq!(synonyms(&mut client, BROKER, ALL_BROKERS, key).await, expected[1..2]);
    assert_eq!(alter(&mut client, BROKER, ALL_BROKERS, &[delete(key)]).await, done());
    assert_shown(&stage, &mut client, OWN, key, ("5000", BY_BROKER)).await;
    assert_eq!(alter(&mut client, BROKER, OWN_ID, &[delete(key)]).await, done());
    assert_shown(&stage, &mut client, OWN, key, ("4096", BY_DEFAULT)).await;
}

#[tokio::test]
async fn a_topic_that_does_not_set_a_key_shows_the_brokers_value_and_where_it_is_from() {
    let (stage, mut client) = stage().await;
    let _alone = alone(&stage).await;
    let topic = stage.topic(&mut client, "follows", 1).await.name;
    let shields = stage.topic(&mut client, "shields", 1).await.name;
    assert_eq!(alter(&mut client, TOPIC, &shields, &[set("retention.ms", "7")]).await, done());
    assert_eq!(alter(&mut client, BROKER, ALL_BROKERS, &[set("log.retention.ms", "6000")]).await, done());
    assert_shown(&stage, &mut client, (TOPIC, &topic), "retention.ms", ("6000", BY_CLUSTER)).await;
    assert_eq!(alter(&mut client, BROKER, OWN_ID, &[set("log.retention.ms", "5000")]).await, done());
    assert_shown(&stage, &mut client, (TOPIC, &topic), "retention.ms", ("5000", BY_BROKER)).await;
    let brokers = [
        ("log.retention.ms", "5000", BY_BROKER),
        ("log.retention.ms", "6000", BY_CLUSTER),
        ("log.retention.hours", "168", BY_DEFAULT),
    ];
    let owned = |(name, value, source): (&str, &str, i8)| (name.to_owned(), value.to_owned(), source);
    assert_eq!(synonyms(&mut client, TOPIC, &topic, "retention.ms").await, brokers.map(owned));
    let own = [("retention.ms", "7", 1)].into_iter().chain(brokers).map(owned);
    assert_eq!(synonyms(&mut client, TOPIC, &shields, "retention.ms").await, own.collect::<Vec<_>>());
    for name in [OWN_ID, ALL_BROKERS] {
        assert_eq!(alter(&mut client, BROKER, name, &[delete("log.retention.ms")]).await, done());
    }
    assert_shown(&stage, &mut client, (TOPIC, &topic), "retention.ms", ("604800000", BY_DEFAULT)).await;
}

#[tokio::test]
async fn a_broker_is_named_by_its_own_number_or_not_at_all() {
    let (_stage, mut client) = stage().await;
    let cases = [
        ("2", "Unexpected broker id, expected 1, but received 2"),
        ("-1", "Unexpected broker id, expected 1, but received -1"),
        ("x", "Node id must be an integer, but it is: x"),
        (" 1", "Node id must be an integer, but it is:  1"),
        ("99999999999", "Node id must be an integer, but it is: 99999999999"),
    ];
    for (name, message) in cases {
        let expected = invalid_request(message);
        assert_eq!(alter(&mut client, BROKER, name, &[set("log.retention.ms", "5")]).await, expected);
        assert_eq!(alter(&mut client, BROKER, name, &[set("log.retention.ms", "x")]).await, expected);
        assert_eq!(alter(&mut client, BROKER, name, &[set("node.id", "5")]).await, expected);
        assert_eq!(alter(&mut client, BROKER, name, &[]).await, expected);
        assert_eq!(validate(&mut client, BROKER, name, &[]).await, expected);
        assert_eq!(replace(&mut client, BROKER, name, &[("log.retention.ms", Some("5"))]).await, expected);
    }
}

#[tokio::test]
async fn what_can_be_set_at_a_start_only_is_refused_by_name_before_any_value_is_looked_at() {
    let (stage, mut client) = stage().await;
    let _alone = alone(&stage).await;
    let keys = [
        "node.id",
        "broker.id",
        "log.dirs",
        "num.partitions",
        "auto.create.topics.enable",
        "default.replication.factor",
        "delete.topic.enable",
        "group.initial.rebalance.delay.ms",
        "log.retention.hours",
        "log.retention.minutes",
        "log.roll.hours",
        "log.retention.check.interval.ms",
        "log.flush.scheduler.interval.ms",
        "log.cleaner.enable",
        "offsets.topic.num.partitions",
        "process.roles",
        "connections.max.idle.ms",
    ];
    for key in keys {
        let expected = invalid_request(&format!("Cannot update these configs dynamically: [{key}]"));
        let changes = [set("log.retention.ms", "x"), set(key, "5")];
        for name in [OWN_ID, ALL_BROKERS] {
            assert_eq!(alter(&mut client, BROKER, name, &changes).await, expected);
            assert_eq!(validate(&mut client, BROKER, name, &changes).await, expected);
            assert_eq!(replace(&mut client, BROKER, name, &[(key, Some("5"))]).await, expected);
        }
        assert_eq!(alter(&mut client, BROKER, OWN_ID, &[delete(key)]).await, done(), "there is nothing to delete");
    }
}

#[tokio::test]
async fn all_that_can_be_set_at_a_start_only_is_named_at_once_and_nothing_is_altered() {
    let (stage, mut client) = stage().await;
    let _alone = alone(&stage).await;
    let changes = [set("log.index.interval.bytes", "7"), set("num.partitions", "5"), set("node.id", "5")];
    let (code, message) = alter(&mut client, BROKER, OWN_ID, &changes).await;
    assert_eq!(code, ErrorCode::InvalidRequest);
    let names = message.strip_prefix("Cannot update these configs dynamically: [").expect("the reason");
    let mut names: Vec<_> = names.trim_end_matches(']').split(", ").collect();
    // Apache Kafka has them in no order.
    names.sort_unstable();
    assert_eq!(names, ["node.id", "num.partitions"]);
    assert_eq!(shown(&mut client, BROKER, OWN_ID, "log.index.interval.bytes").await, ("4096".to_owned(), BY_DEFAULT));
}

/// The listeners are open before anything is asked here, and stay so.
#[tokio::test]
async fn listeners_are_not_changed_while_the_broker_runs() {
    let (stage, mut client) = stage().await;
    let _alone = alone(&stage).await;
    let changes = [set("listeners", "PLAINTEXT://127.0.0.1:1")];
    // Apache Kafka would, were it not its own controller as well.
    let (code, message) = alter(&mut client, BROKER, OWN_ID, &changes).await;
    assert_eq!(code, ErrorCode::InvalidRequest, "{message}");
    assert_ne!(message, "");
    let (code, message) = alter(&mut client, BROKER, ALL_BROKERS, &changes).await;
    assert_ne!(code, ErrorCode::None);
    assert_ne!(message, "");
}

#[tokio::test]
async fn keys_that_mean_nothing_here_are_refused_with_a_reason() {
    let (stage, mut client) = stage().await;
    let _alone = alone(&stage).await;
    // Apache Kafka keeps keys it does not know, for its plugins.
    for key in ["no.such.key", "retention.ms", "follower.replication.throttled.rate"] {
        for name in [OWN_ID, ALL_BROKERS] {
            let (code, message) = alter(&mut client, BROKER, name, &[set(key, "5")]).await;
            assert_eq!(code, stage.expects(ErrorCode::InvalidConfig, ErrorCode::None), "{key}: {message}");
            assert_eq!(message.contains(key), !stage.is_referee(), "{message}");
            assert_eq!(alter(&mut client, BROKER, name, &[delete(key)]).await, done());
        }
    }
}

#[tokio::test]
async fn a_value_that_its_key_does_not_allow_is_refused_with_key_value_and_rule() {
    let (stage, mut client) = stage().await;
    let _alone = alone(&stage).await;
    let not_negative = "Value must be at least 0";
    let codecs = "String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer";
    let cases = [
        ("log.retention.ms", "x", NO_NUMBER),
        ("log.retention.ms", "", NO_NUMBER),
        ("log.segment.bytes", "5", "Value must be at least 1048576"),
        ("log.cleanup.policy", "burn", "String must be one of: compact, delete"),
        ("log.message.timestamp.type", "foo", "String must be one of: CreateTime, LogAppendTime"),
        ("log.message.timestamp.before.max.ms", "-1", not_negative),
        ("log.index.size.max.bytes", "3", "Value must be at least 4"),
        ("log.index.interval.bytes", "-1", not_negative),
        ("log.segment.delete.delay.ms", "-1", not_negative),
        ("log.cleaner.io.max.bytes.per.second", "x", "Not a number of type DOUBLE"),
        ("log.cleaner.backoff.ms", "-1", not_negative),
        ("log.cleaner.delete.retention.ms", "-1", not_negative),
        ("message.max.bytes", "-1", not_negative),
        ("compression.type", "foo", codecs),
        ("compression.gzip.level", "0", "Value must be between 1 and 9 or equal to -1"),
        ("max.connections", "-1", not_negative),
        ("producer.id.expiration.ms", "0", "Value must be at least 1"),
    ];
    for (key, value, rule) in cases {
        let expected = invalid_request(&invalid_value(key, value, rule));
        for name in [OWN_ID, ALL_BROKERS] {
            assert_eq!(alter(&mut client, BROKER, name, &[set(key, value)]).await, expected);
            assert_eq!(validate(&mut client, BROKER, name, &[set(key, value)]).await, expected);
            let replaced = [&[(key, Some(value))], &kept(&stage)[..]].concat();
            assert_eq!(replace(&mut client, BROKER, name, &replaced).await, expected);
        }
    }
}

#[tokio::test]
async fn times_are_unlimited_or_at_least_a_millisecond() {
    let (stage, mut client) = stage().await;
    let _alone = alone(&stage).await;
    for (key, value) in [("log.retention.ms", "0"), ("log.roll.ms", "0"), ("log.roll.jitter.ms", "-1")] {
        let (code, message) = alter(&mut client, BROKER, OWN_ID, &[set(key, value)]).await;
        assert_eq!(code, ErrorCode::InvalidRequest, "{key}");
        assert!(message.contains(key), "{message}");
    }
    assert_eq!(alter(&mut client, BROKER, OWN_ID, &[set("log.retention.ms", "-1")]).await, done());
    assert_shown(&stage, &mut client, OWN, "log.retention.ms", ("-1", BY_BROKER)).await;
    assert_eq!(alter(&mut client, BROKER, OWN_ID, &[delete("log.retention.ms")]).await, done());
}

#[tokio::test]
async fn cleaner_threads_change_by_half_or_twice_their_number_at_most() {
    let (stage, mut client) = stage().await;
    let _alone = alone(&stage).await;
    let (code, message) = alter(&mut client, BROKER, OWN_ID, &[set("log.cleaner.threads", "3")]).await;
    assert_eq!(code, ErrorCode::InvalidRequest);
    assert!(message.contains("double the current value 1"), "{message}");
    assert_eq!(validate(&mut client, BROKER, OWN_ID, &[set("log.cleaner.threads", "2")]).await, done());
    let (code, message) = alter(&mut client, BROKER, OWN_ID, &[set("log.cleaner.dedupe.buffer.size", "5")]).await;
    assert_eq!(code, ErrorCode::InvalidRequest);
    assert!(message.contains("log.cleaner.dedupe.buffer.size"), "{message}");
}

#[tokio::test]
async fn nobody_can_shut_all_connections_out() {
    let (stage, mut client) = stage().await;
    let _alone = alone(&stage).await;
    let (code, message) = alter(&mut client, BROKER, ALL_BROKERS, &[set("max.connections", "0")]).await;
    assert_eq!(code, ErrorCode::InvalidRequest);
    assert!(message.contains("max.connections"), "{message}");
}

#[tokio::test]
async fn a_brokers_list_is_appended_to_and_subtracted_from() {
    let (stage, mut client) = stage().await;
    let _alone = alone(&stage).await;
    let key = "log.cleanup.policy";
    for (step, expected) in [
        (append(key, "compact"), "delete,compact"),
        (subtract(key, "delete"), "compact"),
        (subtract(key, "compact"), ""),
        (set(key, "compact,delete"), "compact,delete"),
    ] {
        assert_eq!(alter(&mut client, BROKER, OWN_ID, std::slice::from_ref(&step)).await, done(), "{step:?}");
        assert_shown(&stage, &mut client, OWN, key, (expected, BY_BROKER)).await;
    }
    assert_eq!(alter(&mut client, BROKER, OWN_ID, &[delete(key)]).await, done());
    assert_shown(&stage, &mut client, OWN, key, ("delete", BY_DEFAULT)).await;
}

#[tokio::test]
async fn operations_have_to_suit_the_brokers_key() {
    let (stage, mut client) = stage().await;
    let _alone = alone(&stage).await;
    let key = "log.retention.ms";
    let cases = [
        (append(key, "5"), ErrorCode::InvalidConfig),
        (subtract(key, "5"), ErrorCode::InvalidConfig),
        (append("no.such.key", "5"), ErrorCode::InvalidConfig),
        (subtract("no.such.key", "5"), ErrorCode::InvalidConfig),
        (operation(9, key, Some("5")), ErrorCode::InvalidRequest),
        (operation(0, key, None), ErrorCode::InvalidRequest),
    ];
    for (step, expected) in cases {
        for name in [OWN_ID, ALL_BROKERS] {
            let (code, message) = alter(&mut client, BROKER, name, std::slice::from_ref(&step)).await;
            assert_eq!(code, expected, "{step:?}");
            assert_ne!(message, "", "{step:?}");
        }
    }
    let twice = [set(key, "5"), delete(key)];
    assert_eq!(alter(&mut client, BROKER, OWN_ID, &twice).await, invalid_request(DUPLICATE_KEYS));
    let twice = [(key, Some("5")), (key, Some("6"))];
    assert_eq!(replace(&mut client, BROKER, OWN_ID, &twice).await, invalid_request(DUPLICATE_KEYS));
    let twice = [resource(BROKER, OWN_ID, &[]), resource(BROKER, ALL_BROKERS, &[]), resource(BROKER, OWN_ID, &[])];
    let expected = [invalid_request(DUPLICATE_RESOURCES), done(), invalid_request(DUPLICATE_RESOURCES)];
    assert_eq!(alter_all(&mut client, &twice).await, expected);
}

#[tokio::test]
async fn a_replacement_takes_away_what_the_broker_had_set() {
    let (stage, mut client) = stage().await;
    let _alone = alone(&stage).await;
    let (interval, delay) = ("log.index.interval.bytes", "log.segment.delete.delay.ms");
    for (resource, source) in [(OWN, BY_BROKER), (ALL, BY_CLUSTER)] {
        let (_, name) = resource;
        let kept = if name == ALL_BROKERS { kept(&stage) } else { vec![] };
        let with = |settings: &[(&'static str, Option<&'static str>)]| [settings, &kept].concat();
        assert_eq!(replace(&mut client, BROKER, name, &with(&[(interval, Some("5000"))])).await, done());
        assert_shown(&stage, &mut client, OWN, interval, ("5000", source)).await;
        let replaced = replacement(BROKER, name, &with(&[(delay, Some("6000"))]));
        assert_eq!(replace_all(&mut client, &[replaced], true, REPLACING).await, [done()], "which is only asked");
        assert_eq!(replace(&mut client, BROKER, name, &with(&[(delay, Some("6000"))])).await, done());
        assert_shown(&stage, &mut client, OWN, delay, ("6000", source)).await;
        assert_shown(&stage, &mut client, OWN, interval, ("4096", BY_DEFAULT)).await;
        assert_eq!(replace(&mut client, BROKER, name, &with(&[])).await, done());
        assert_shown(&stage, &mut client, OWN, delay, ("60000", BY_DEFAULT)).await;
    }
}

#[tokio::test]
async fn a_brokers_mistake_leaves_it_as_it_was_and_other_resources_go_on() {
    let (stage, mut client) = stage().await;
    let _alone = alone(&stage).await;
    let topic = stage.topic(&mut client, "goes-on", 1).await.name;
    let no_number = invalid_request(&invalid_value("log.retention.ms", "x", NO_NUMBER));
    let changes = [
        resource(BROKER, OWN_ID, &[set("log.index.interval.bytes", "5"), set("log.retention.ms", "x")]),
        resource(TOPIC, &topic, &[set("flush.ms", "2")]),
        resource(BROKER_LOGGER, OWN_ID, &[set("no.such.logger", "INFO")]),
    ];
    let expected = [no_number, done(), invalid_config("Logger no.such.logger does not exist!")];
    assert_eq!(alter_all(&mut client, &changes).await, expected);
    assert_shown(&stage, &mut client, (TOPIC, &topic), "flush.ms", ("2", 1)).await;
    assert_eq!(shown(&mut client, BROKER, OWN_ID, "log.index.interval.bytes").await, ("4096".to_owned(), BY_DEFAULT));
}

#[tokio::test]
async fn a_brokers_settings_are_there_after_a_restart_and_unchanged_ones_write_nothing() {
    let (stage, mut client) = stage().await;
    if stage.is_referee() {
        return;
    }
    let key = "log.index.interval.bytes";
    for (name, value) in [(OWN_ID, "5000"), (ALL_BROKERS, "6000")] {
        assert_eq!(alter(&mut client, BROKER, name, &[set(key, value)]).await, done());
        let written = metadata_batches(stage.path().expect("a directory"));
        assert_eq!(alter(&mut client, BROKER, name, &[set(key, value), delete("log.roll.ms")]).await, done());
        assert_eq!(metadata_batches(stage.path().expect("a directory")), written);
    }
    let stage = stage.restarted_after(|_| {}).await;
    let mut client = RawClient::connect(stage.address()).await;
    assert_eq!(shown(&mut client, BROKER, OWN_ID, key).await, ("5000".to_owned(), BY_BROKER));
    assert_eq!(shown(&mut client, BROKER, ALL_BROKERS, key).await, ("6000".to_owned(), BY_CLUSTER));
}

#[tokio::test]
async fn a_loggers_level_is_set_by_its_name_in_capitals() {
    let (stage, mut client) = stage().await;
    let _alone = alone(&stage).await;
    let before = shown(&mut client, BROKER_LOGGER, OWN_ID, "root").await;
    for level in ["DEBUG", "WARN", "ERROR", "INFO"] {
        assert_eq!(alter(&mut client, BROKER_LOGGER, OWN_ID, &[set("root", level)]).await, done());
        assert_shown(&stage, &mut client, (BROKER_LOGGER, OWN_ID), "root", (level, 6)).await;
    }
    assert_eq!(validate(&mut client, BROKER_LOGGER, OWN_ID, &[set("root", "DEBUG")]).await, done());
    assert_eq!(shown(&mut client, BROKER_LOGGER, OWN_ID, "root").await, ("INFO".to_owned(), 6));
    for level in ["debug", "NONSENSE", "OFF", ""] {
        let message = format!(
            "Cannot set the log level of root to {level} as it is not a supported log level. \
             Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN"
        );
        let expected = invalid_config(&message);
        assert_eq!(alter(&mut client, BROKER_LOGGER, OWN_ID, &[set("root", level)]).await, expected);
        assert_eq!(validate(&mut client, BROKER_LOGGER, OWN_ID, &[set("root", level)]).await, expected);
    }
    let (level, _) = before;
    assert_eq!(alter(&mut client, BROKER_LOGGER, OWN_ID, &[set("root", &level)]).await, done());
}

#[tokio::test]
async fn loggers_are_not_invented_and_the_root_is_not_taken_away() {
    let (stage, mut client) = stage().await;
    let _alone = alone(&stage).await;
    let unknown = invalid_config("Logger no.such.logger does not exist!");
    let refused = |verb| invalid_request(&format!("{verb} operation is not allowed for the BROKER_LOGGER resource"));
    let cases = [
        (set("no.such.logger", "INFO"), unknown.clone()),
        (delete("no.such.logger"), unknown),
        (delete("root"), invalid_request("Removing the log level of the root logger is not allowed")),
        (append("root", "INFO"), refused("APPEND")),
        (subtract("root", "INFO"), refused("SUBTRACT")),
        (operation(0, "root", None), invalid_request(&format!("{NULLS}root"))),
        (
            operation(9, "root", Some("INFO")),
            invalid_request("Unknown operation type 9 is not allowed for the BROKER_LOGGER resource"),
        ),
    ];
    for (step, expected) in cases {
        let found = alter(&mut client, BROKER_LOGGER, OWN_ID, std::slice::from_ref(&step)).await;
        assert_eq!(found, expected, "{step:?}");
    }
    for name in ["", "x", "2"] {
        let (code, message) = alter(&mut client, BROKER_LOGGER, name, &[set("root", "INFO")]).await;
        assert_eq!(code, ErrorCode::InvalidRequest);
        assert!(message.contains("id"), "{message}");
    }
    let replaced = replace(&mut client, BROKER_LOGGER, OWN_ID, &[("root", Some("INFO"))]).await;
    assert_eq!(replaced, invalid_request("Unknown resource type 8"), "levels are altered one by one only");
}
