//! `IncrementalAlterConfigs` and `AlterConfigs` for topics, and for what is neither topic nor broker.

use ottla::protocol::error_code::ErrorCode;

use crate::{
    configs::{
        BROKER, BROKER_LOGGER, BY_DEFAULT, BY_TOPIC, CLIENT_METRICS, DUPLICATE_KEYS, DUPLICATE_RESOURCES, GROUP,
        INCREMENTAL, NULLS, OWN_ID, Outcome, REPLACING, TOPIC, alone, alter, alter_all, append, assert_shown, call,
        delete, done, invalid_config, invalid_request, invalid_value, operation, replace, replace_all, replacement,
        resource, set, shown, subtract, validate,
    },
    support::{RawClient, metadata_batches},
    transactional::Stage,
};

const NEVER: &str = "9223372036854775807";
const NO_NUMBER: &str = "Not a number of type LONG";

/// A broker, a client, and a topic that sets nothing.
async fn stage_with_topic(name: &str) -> (Stage, RawClient, String) {
    let stage = Stage::start().await;
    let mut client = RawClient::connect(stage.address()).await;
    let topic = stage.topic(&mut client, name, 1).await.name;
    (stage, client, topic)
}

fn unknown_topic(name: &str) -> Outcome {
    (ErrorCode::UnknownTopicOrPartition, format!("The topic '{name}' does not exist."))
}

#[tokio::test]
async fn a_topics_setting_is_set_and_deleted() {
    let (stage, mut client, topic) = stage_with_topic("set-and-deleted").await;
    assert_eq!(alter(&mut client, TOPIC, &topic, &[set("flush.ms", "1000")]).await, done());
    assert_shown(&stage, &mut client, (TOPIC, &topic), "flush.ms", ("1000", BY_TOPIC)).await;
    assert_eq!(alter(&mut client, TOPIC, &topic, &[set("flush.ms", "2000"), set("segment.ms", "5")]).await, done());
    assert_shown(&stage, &mut client, (TOPIC, &topic), "flush.ms", ("2000", BY_TOPIC)).await;
    assert_shown(&stage, &mut client, (TOPIC, &topic), "segment.ms", ("5", BY_TOPIC)).await;
    assert_eq!(alter(&mut client, TOPIC, &topic, &[delete("flush.ms")]).await, done());
    assert_shown(&stage, &mut client, (TOPIC, &topic), "flush.ms", (NEVER, BY_DEFAULT)).await;
    assert_shown(&stage, &mut client, (TOPIC, &topic), "segment.ms", ("5", BY_TOPIC)).await;
}

#[tokio::test]
async fn every_version_of_both_requests_alters() {
    let (stage, mut client, topic) = stage_with_topic("every-version").await;
    for (version, value) in (0..=INCREMENTAL).zip(["1", "2"]) {
        let change = resource(TOPIC, &topic, &[set("flush.ms", value)]);
        assert_eq!(call(&mut client, &[change], false, version).await, [done()]);
        assert_shown(&stage, &mut client, (TOPIC, &topic), "flush.ms", (value, BY_TOPIC)).await;
    }
    for (version, value) in (0..=REPLACING).zip(["3", "4", "5"]) {
        let change = replacement(TOPIC, &topic, &[("flush.ms", Some(value))]);
        assert_eq!(replace_all(&mut client, &[change], false, version).await, [done()]);
        assert_shown(&stage, &mut client, (TOPIC, &topic), "flush.ms", (value, BY_TOPIC)).await;
    }
}

#[tokio::test]
async fn a_value_that_its_key_does_not_allow_is_refused_with_key_value_and_rule() {
    let (_stage, mut client, topic) = stage_with_topic("not-allowed").await;
    let no_int = "Not a number of type INT";
    let codecs = "String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer";
    let policies = "String must be one of: compact, delete";
    let gzip = "Value must be between 1 and 9 or equal to -1";
    let cases = [
        ("retention.ms", "x", NO_NUMBER),
        ("retention.ms", "", NO_NUMBER),
        ("retention.ms", "1.5", NO_NUMBER),
        ("retention.ms", "99999999999999999999", NO_NUMBER),
        ("retention.ms", "-2", "Value must be at least -1"),
        ("segment.bytes", "1048575", "Value must be at least 1048576"),
        ("segment.bytes", "3000000000", no_int),
        ("segment.ms", "0", "Value must be at least 1"),
        ("segment.index.bytes", "3", "Value must be at least 4"),
        ("flush.messages", "0", "Value must be at least 1"),
        ("flush.ms", "-1", "Value must be at least 0"),
        ("max.message.bytes", "-1", "Value must be at least 0"),
        ("max.compaction.lag.ms", "0", "Value must be at least 1"),
        ("delete.retention.ms", "-1", "Value must be at least 0"),
        ("file.delete.delay.ms", "-1", "Value must be at least 0"),
        ("min.insync.replicas", "0", "Value must be at least 1"),
        ("local.retention.ms", "-3", "Value must be at least -2"),
        ("min.cleanable.dirty.ratio", "1.5", "Value must be no more than 1"),
        ("min.cleanable.dirty.ratio", "x", "Not a number of type DOUBLE"),
        ("preallocate", "yes", "Expected value to be either true or false"),
        ("compression.type", "foo", codecs),
        ("compression.type", "", codecs),
        ("compression.gzip.level", "0", gzip),
        ("compression.gzip.level", "10", gzip),
        ("compression.lz4.level", "18", "Value must be no more than 17"),
        ("compression.zstd.level", "23", "Value must be no more than 22"),
        ("message.timestamp.type", "foo", "String must be one of: CreateTime, LogAppendTime"),
        ("cleanup.policy", "Compact", policies),
    ];
    for (key, value, rule) in cases {
        let expected = invalid_config(&invalid_value(key, value, rule));
        assert_eq!(alter(&mut client, TOPIC, &topic, &[set(key, value)]).await, expected);
        assert_eq!(validate(&mut client, TOPIC, &topic, &[set(key, value)]).await, expected);
        assert_eq!(replace(&mut client, TOPIC, &topic, &[(key, Some(value))]).await, expected);
    }
}

#[tokio::test]
async fn a_value_at_the_edge_is_taken_and_shown_as_it_is_understood() {
    let (stage, mut client, topic) = stage_with_topic("the-edge").await;
    let cases = [
        ("retention.ms", "0", "0"),
        ("retention.ms", "-1", "-1"),
        ("retention.ms", " 77 ", "77"),
        ("retention.bytes", "-2", "-2"),
        ("unclean.leader.election.enable", "TRUE", "true"),
        ("segment.bytes", "1048576", "1048576"),
        ("min.insync.replicas", "2", "2"),
        ("cleanup.policy", "", ""),
        ("cleanup.policy", " compact , delete ", "compact,delete"),
    ];
    for (key, value, expected) in cases {
        assert_eq!(alter(&mut client, TOPIC, &topic, &[set(key, value)]).await, done(), "{key}={value}");
        assert_shown(&stage, &mut client, (TOPIC, &topic), key, (expected, BY_TOPIC)).await;
    }
}

#[tokio::test]
async fn a_key_that_topics_do_not_have_can_be_deleted_but_not_set() {
    let (_stage, mut client, topic) = stage_with_topic("no-such-key").await;
    for key in ["no.such.key", "", "log.retention.ms", "message.format.version"] {
        let expected = invalid_config(&format!("Unknown topic config name: {key}"));
        assert_eq!(alter(&mut client, TOPIC, &topic, &[set(key, "1")]).await, expected);
        assert_eq!(replace(&mut client, TOPIC, &topic, &[(key, Some("1"))]).await, expected);
        assert_eq!(alter(&mut client, TOPIC, &topic, &[delete(key)]).await, done());
    }
    let both = [set("retention.ms", "x"), set("no.such.key", "1")];
    let expected = invalid_config("Unknown topic config name: no.such.key");
    assert_eq!(alter(&mut client, TOPIC, &topic, &both).await, expected, "names come before values");
}

#[tokio::test]
async fn a_list_is_appended_to_and_subtracted_from_each_element_once() {
    let (stage, mut client, topic) = stage_with_topic("lists").await;
    let _alone = alone(&stage).await;
    let key = "cleanup.policy";
    let steps = [
        (append(key, "compact"), "delete,compact"),
        (append(key, "compact"), "delete,compact"),
        (append(key, "compact,delete"), "delete,compact"),
        (subtract(key, "delete"), "compact"),
        (subtract(key, "delete"), "compact"),
        (subtract(key, "compact"), ""),
        (append(key, "compact"), "compact"),
        (append(key, "delete"), "compact,delete"),
        (subtract(key, "delete,compact"), ""),
        (set(key, "delete,delete"), "delete"),
    ];
    for (step, expected) in steps {
        assert_eq!(alter(&mut client, TOPIC, &topic, std::slice::from_ref(&step)).await, done(), "{step:?}");
        assert_shown(&stage, &mut client, (TOPIC, &topic), key, (expected, BY_TOPIC)).await;
    }
}

#[tokio::test]
async fn what_is_not_set_is_appended_to_and_subtracted_from_as_it_is_by_default() {
    let (stage, mut client, topic) = stage_with_topic("default-lists").await;
    let _alone = alone(&stage).await;
    for (step, expected) in [
        (append("cleanup.policy", "compact"), "delete,compact"),
        (append("cleanup.policy", "delete"), "delete"),
        (subtract("cleanup.policy", "delete"), ""),
        (subtract("cleanup.policy", "compact"), "delete"),
    ] {
        assert_eq!(alter(&mut client, TOPIC, &topic, &[delete("cleanup.policy")]).await, done());
        assert_shown(&stage, &mut client, (TOPIC, &topic), "cleanup.policy", ("delete", BY_DEFAULT)).await;
        assert_eq!(alter(&mut client, TOPIC, &topic, std::slice::from_ref(&step)).await, done(), "{step:?}");
        assert_shown(&stage, &mut client, (TOPIC, &topic), "cleanup.policy", (expected, BY_TOPIC)).await;
    }
}

#[tokio::test]
async fn a_list_has_no_empty_and_no_unknown_elements() {
    let (stage, mut client, topic) = stage_with_topic("elements").await;
    let _alone = alone(&stage).await;
    let unknown = invalid_value("cleanup.policy", "burn", "String must be one of: compact, delete");
    for step in [set("cleanup.policy", ","), set("cleanup.policy", "delete,,compact"), append("cleanup.policy", "")] {
        let (code, message) = alter(&mut client, TOPIC, &topic, std::slice::from_ref(&step)).await;
        assert_eq!(code, ErrorCode::InvalidConfig, "{step:?}");
        assert!(message.contains("cleanup.policy") && message.contains("values must not be empty"), "{message}");
    }
    for step in [set("cleanup.policy", "delete,burn"), append("cleanup.policy", "burn")] {
        let found = alter(&mut client, TOPIC, &topic, std::slice::from_ref(&step)).await;
        assert_eq!(found, invalid_config(&unknown), "{step:?}");
    }
}

#[tokio::test]
async fn only_lists_are_appended_to_and_subtracted_from() {
    let (_stage, mut client, topic) = stage_with_topic("no-lists").await;
    for key in ["retention.ms", "compression.type", "no.such.key"] {
        let expected = |verb| invalid_config(&format!("Can't {verb} to key {key} because its type is not LIST."));
        assert_eq!(alter(&mut client, TOPIC, &topic, &[append(key, "5")]).await, expected("APPEND"));
        assert_eq!(alter(&mut client, TOPIC, &topic, &[subtract(key, "5")]).await, expected("SUBTRACT"));
    }
}

#[tokio::test]
async fn a_null_value_is_for_deletions_alone() {
    let (_stage, mut client, topic) = stage_with_topic("nulls").await;
    for code in [0, 2, 3] {
        let nulls = [operation(code, "flush.ms", None), operation(code, "cleanup.policy", None)];
        let expected = invalid_request(&format!("{NULLS}flush.ms, cleanup.policy"));
        assert_eq!(alter(&mut client, TOPIC, &topic, &nulls).await, expected);
        assert_eq!(alter(&mut client, TOPIC, "no-such-topic", &nulls).await, expected, "that comes first");
    }
    let nulls = [("flush.ms", None), ("retention.ms", Some("5")), ("segment.ms", None)];
    let expected = invalid_request(&format!("{NULLS}flush.ms, segment.ms"));
    assert_eq!(replace(&mut client, TOPIC, &topic, &nulls).await, expected);
    let deletion = operation(1, "flush.ms", Some("no matter"));
    assert_eq!(alter(&mut client, TOPIC, &topic, &[deletion]).await, done());
}

#[tokio::test]
async fn a_key_appears_once_in_a_resource() {
    let (_stage, mut client, topic) = stage_with_topic("twice").await;
    let twice = [
        [set("flush.ms", "1"), set("flush.ms", "1")],
        [set("flush.ms", "1"), delete("flush.ms")],
        [append("cleanup.policy", "compact"), subtract("cleanup.policy", "delete")],
        [operation(0, "flush.ms", None), set("flush.ms", "1")],
    ];
    for configs in twice {
        assert_eq!(alter(&mut client, TOPIC, &topic, &configs).await, invalid_request(DUPLICATE_KEYS));
    }
    let twice = [("flush.ms", Some("1")), ("flush.ms", Some("2"))];
    assert_eq!(replace(&mut client, TOPIC, &topic, &twice).await, invalid_request(DUPLICATE_KEYS));
    assert_eq!(shown(&mut client, TOPIC, &topic, "flush.ms").await, (NEVER.to_owned(), BY_DEFAULT));
}

#[tokio::test]
async fn a_resource_that_appears_twice_is_altered_not_at_all() {
    let (stage, mut client, topic) = stage_with_topic("resource-twice").await;
    let other = stage.topic(&mut client, "resource-once", 1).await.name;
    let changes = [
        resource(TOPIC, &topic, &[set("flush.ms", "1")]),
        resource(TOPIC, &other, &[set("flush.ms", "2")]),
        resource(TOPIC, &topic, &[set("segment.ms", "3")]),
    ];
    let expected = [invalid_request(DUPLICATE_RESOURCES), done(), invalid_request(DUPLICATE_RESOURCES)];
    assert_eq!(alter_all(&mut client, &changes).await, expected);
    assert_shown(&stage, &mut client, (TOPIC, &other), "flush.ms", ("2", BY_TOPIC)).await;
    assert_eq!(shown(&mut client, TOPIC, &topic, "flush.ms").await, (NEVER.to_owned(), BY_DEFAULT));
    // Apache Kafka never answers this.
    if !stage.is_referee() {
        let changes = [&topic, &other, &topic].map(|name| replacement(TOPIC, name, &[("flush.ms", Some("9"))]));
        assert_eq!(replace_all(&mut client, &changes, false, REPLACING).await, expected);
        assert_eq!(shown(&mut client, TOPIC, &topic, "flush.ms").await, (NEVER.to_owned(), BY_DEFAULT));
        assert_eq!(shown(&mut client, TOPIC, &other, "flush.ms").await, ("9".to_owned(), BY_TOPIC));
    }
}

#[tokio::test]
async fn a_topic_has_to_have_a_valid_name_and_to_exist() {
    let (stage, mut client, _topic) = stage_with_topic("names").await;
    let control = stage.expects("a\\u{1}", "a\u{1}");
    let long = "a".repeat(250);
    let longest = "a".repeat(249);
    let invalid = |reason: &str| (ErrorCode::InvalidTopicException, format!("Topic name is invalid: {reason}"));
    let characters = "contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'";
    let cases = [
        ("", invalid_request("Default topic resources are not allowed.")),
        (".", invalid("'.' is not allowed")),
        ("..", invalid("'..' is not allowed")),
        ("a b", invalid(&format!("'a b' {characters}"))),
        ("a\u{1}", invalid(&format!("'{control}' {characters}"))),
        (&long, invalid(&format!("the length of '{long}' is longer than the max allowed length 249"))),
        (&longest, unknown_topic(&longest)),
        ("no-such-topic", unknown_topic("no-such-topic")),
    ];
    for (name, expected) in cases {
        assert_eq!(alter(&mut client, TOPIC, name, &[set("flush.ms", "1")]).await, expected);
        assert_eq!(alter(&mut client, TOPIC, name, &[delete("flush.ms")]).await, expected);
        assert_eq!(alter(&mut client, TOPIC, name, &[]).await, expected, "though there is nothing to do");
        assert_eq!(validate(&mut client, TOPIC, name, &[set("flush.ms", "1")]).await, expected);
        assert_eq!(replace(&mut client, TOPIC, name, &[("flush.ms", Some("1"))]).await, expected);
        assert_eq!(replace(&mut client, TOPIC, name, &[]).await, expected);
    }
}

#[tokio::test]
async fn that_a_topic_does_not_exist_is_said_after_what_is_wrong_with_the_change() {
    let (_stage, mut client, _topic) = stage_with_topic("order").await;
    let cases = [
        ("none", set("no.such.key", "1"), "Unknown topic config name: no.such.key".to_owned()),
        ("none", set("retention.ms", "x"), invalid_value("retention.ms", "x", NO_NUMBER)),
        ("none", append("flush.ms", "1"), "Can't APPEND to key flush.ms because its type is not LIST.".to_owned()),
    ];
    for (name, change, message) in cases {
        assert_eq!(alter(&mut client, TOPIC, name, &[change]).await, invalid_config(&message));
    }
    let change = set("no.such.key", "1");
    let (code, _) = alter(&mut client, TOPIC, "a b", &[change]).await;
    assert_eq!(code, ErrorCode::InvalidTopicException, "but what is no name can have no keys");
}

#[tokio::test]
async fn records_may_not_be_compacted_before_they_must_be() {
    let (stage, mut client, topic) = stage_with_topic("lag").await;
    let _alone = alone(&stage).await;
    let conflict =
        invalid_config("conflict topic config setting min.compaction.lag.ms (100) > max.compaction.lag.ms (50)");
    let both = [set("min.compaction.lag.ms", "100"), set("max.compaction.lag.ms", "50")];
    assert_eq!(alter(&mut client, TOPIC, &topic, &both).await, conflict);
    let both = [("min.compaction.lag.ms", Some("100")), ("max.compaction.lag.ms", Some("50"))];
    assert_eq!(replace(&mut client, TOPIC, &topic, &both).await, conflict);
    assert_eq!(alter(&mut client, TOPIC, &topic, &[set("min.compaction.lag.ms", "100")]).await, done());
    assert_eq!(alter(&mut client, TOPIC, &topic, &[set("max.compaction.lag.ms", "50")]).await, conflict);
    let both = [delete("min.compaction.lag.ms"), set("max.compaction.lag.ms", "50")];
    assert_eq!(alter(&mut client, TOPIC, &topic, &both).await, done());
    assert_shown(&stage, &mut client, (TOPIC, &topic), "max.compaction.lag.ms", ("50", BY_TOPIC)).await;
}

#[tokio::test]
async fn tiered_storage_cannot_be_turned_on() {
    let (_stage, mut client, topic) = stage_with_topic("tiered").await;
    let message =
        "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.";
    let on = set("remote.storage.enable", "true");
    assert_eq!(alter(&mut client, TOPIC, &topic, &[on]).await, invalid_config(message));
    assert_eq!(alter(&mut client, TOPIC, &topic, &[set("remote.storage.enable", "false")]).await, done());
}

#[tokio::test]
async fn a_mistake_leaves_the_resource_as_it_was() {
    let (_stage, mut client, topic) = stage_with_topic("as-it-was").await;
    let message = invalid_config(&invalid_value("retention.ms", "x", NO_NUMBER));
    let changes = [set("flush.ms", "5"), set("retention.ms", "x")];
    assert_eq!(alter(&mut client, TOPIC, &topic, &changes).await, message);
    let changes = [("flush.ms", Some("5")), ("retention.ms", Some("x"))];
    assert_eq!(replace(&mut client, TOPIC, &topic, &changes).await, message);
    assert_eq!(shown(&mut client, TOPIC, &topic, "flush.ms").await, (NEVER.to_owned(), BY_DEFAULT));
}

#[tokio::test]
async fn each_resource_succeeds_or_fails_by_itself() {
    let (stage, mut client, topic) = stage_with_topic("fails").await;
    let other = stage.topic(&mut client, "succeeds", 1).await.name;
    let no_number = invalid_config(&invalid_value("retention.ms", "x", NO_NUMBER));
    let unknown_type = invalid_request("Unknown resource type 5");
    let changes = [
        resource(TOPIC, &topic, &[set("retention.ms", "x")]),
        resource(5, "any", &[]),
        resource(TOPIC, &other, &[set("flush.ms", "2")]),
        resource(TOPIC, "no-such-topic", &[set("flush.ms", "2")]),
    ];
    let expected = [no_number.clone(), unknown_type, done(), unknown_topic("no-such-topic")];
    assert_eq!(alter_all(&mut client, &changes).await, expected);
    assert_shown(&stage, &mut client, (TOPIC, &other), "flush.ms", ("2", BY_TOPIC)).await;
    let changes = [
        replacement(TOPIC, &topic, &[("retention.ms", Some("x"))]),
        replacement(TOPIC, &other, &[("flush.ms", Some("3"))]),
    ];
    assert_eq!(replace_all(&mut client, &changes, false, REPLACING).await, [no_number, done()]);
    assert_shown(&stage, &mut client, (TOPIC, &other), "flush.ms", ("3", BY_TOPIC)).await;
}

#[tokio::test]
async fn what_is_only_validated_changes_nothing() {
    let (stage, mut client, topic) = stage_with_topic("validated").await;
    assert_eq!(alter(&mut client, TOPIC, &topic, &[set("flush.ms", "7")]).await, done());
    assert_shown(&stage, &mut client, (TOPIC, &topic), "flush.ms", ("7", BY_TOPIC)).await;
    let changes = [set("flush.ms", "8"), set("segment.ms", "9")];
    assert_eq!(validate(&mut client, TOPIC, &topic, &changes).await, done());
    let nothing = replacement(TOPIC, &topic, &[]);
    assert_eq!(replace_all(&mut client, &[nothing], true, REPLACING).await, [done()]);
    // A change after it: what had been changed by then would be shown.
    assert_eq!(alter(&mut client, TOPIC, &topic, &[set("flush.messages", "3")]).await, done());
    assert_shown(&stage, &mut client, (TOPIC, &topic), "flush.messages", ("3", BY_TOPIC)).await;
    assert_eq!(shown(&mut client, TOPIC, &topic, "flush.ms").await, ("7".to_owned(), BY_TOPIC));
}

#[tokio::test]
async fn a_replacement_takes_away_what_it_does_not_name() {
    let (stage, mut client, topic) = stage_with_topic("replaced").await;
    assert_eq!(alter(&mut client, TOPIC, &topic, &[set("flush.ms", "5"), set("segment.ms", "5")]).await, done());
    let settings = [("flush.ms", Some("6")), ("cleanup.policy", Some(" compact , delete"))];
    assert_eq!(replace(&mut client, TOPIC, &topic, &settings).await, done());
    assert_shown(&stage, &mut client, (TOPIC, &topic), "flush.ms", ("6", BY_TOPIC)).await;
    assert_shown(&stage, &mut client, (TOPIC, &topic), "cleanup.policy", ("compact,delete", BY_TOPIC)).await;
    assert_shown(&stage, &mut client, (TOPIC, &topic), "segment.ms", ("604800000", BY_DEFAULT)).await;
    assert_eq!(replace(&mut client, TOPIC, &topic, &[]).await, done());
    assert_shown(&stage, &mut client, (TOPIC, &topic), "flush.ms", (NEVER, BY_DEFAULT)).await;
}

#[tokio::test]
async fn unknown_resource_types_are_refused_by_their_number() {
    let (_stage, mut client, topic) = stage_with_topic("types").await;
    for resource_type in [0, 1, 3, 5, 64, 127, -1] {
        let expected = invalid_request(&format!("Unknown resource type {resource_type}"));
        assert_eq!(alter(&mut client, resource_type, &topic, &[set("flush.ms", "1")]).await, expected);
        assert_eq!(alter(&mut client, resource_type, &topic, &[]).await, expected);
        assert_eq!(replace(&mut client, resource_type, &topic, &[]).await, expected);
    }
}

#[tokio::test]
async fn unknown_operations_are_refused() {
    let (stage, mut client, topic) = stage_with_topic("operations").await;
    for code in [4, -1, 127] {
        let (found, _) = alter(&mut client, TOPIC, &topic, &[operation(code, "flush.ms", Some("1"))]).await;
        // Apache Kafka stumbles.
        assert_eq!(found, stage.expects(ErrorCode::InvalidRequest, ErrorCode::UnknownServerError));
    }
    assert_eq!(shown(&mut client, TOPIC, &topic, "flush.ms").await, (NEVER.to_owned(), BY_DEFAULT));
}

#[tokio::test]
async fn nothing_to_alter_is_answered_with_nothing() {
    let (_stage, mut client, topic) = stage_with_topic("nothing").await;
    assert_eq!(alter_all(&mut client, &[]).await, []);
    assert_eq!(replace_all(&mut client, &[], false, REPLACING).await, []);
    assert_eq!(alter(&mut client, TOPIC, &topic, &[]).await, done());
}

/// Groups and subscriptions to clients' metrics read no settings yet: none is kept that would do nothing.
#[tokio::test]
async fn groups_and_client_metrics_are_not_altered_here() {
    let (stage, mut client, _topic) = stage_with_topic("groups").await;
    let cases = [(GROUP, "share.session.timeout.ms", "45000"), (CLIENT_METRICS, "interval.ms", "1000")];
    for (resource_type, key, value) in cases {
        let name = stage.name("resource");
        let (found, message) = alter(&mut client, resource_type, &name, &[set(key, value)]).await;
        assert_eq!(found, stage.expects(ErrorCode::InvalidConfig, ErrorCode::None), "{message}");
        assert_eq!(message.is_empty(), stage.is_referee(), "a refusal has a reason");
        let (found, message) = replace(&mut client, resource_type, &name, &[(key, Some(value))]).await;
        assert_eq!(found, stage.expects(ErrorCode::InvalidConfig, ErrorCode::None), "{message}");
        assert_eq!(replace(&mut client, resource_type, &name, &[(key, None)]).await.0, ErrorCode::InvalidRequest);
        if stage.is_referee() {
            assert_eq!(alter(&mut client, resource_type, &name, &[delete(key)]).await, done());
        }
    }
}

#[tokio::test]
async fn what_changes_nothing_writes_nothing() {
    let (stage, mut client, topic) = stage_with_topic("unchanged").await;
    // Where the metadata of another broker is, is not known.
    let Some(directory) = stage.path() else { return };
    assert_eq!(alter(&mut client, TOPIC, &topic, &[set("flush.ms", "31")]).await, done());
    let written = metadata_batches(directory);
    assert_eq!(alter(&mut client, TOPIC, &topic, &[set("flush.ms", "31")]).await, done());
    assert_eq!(alter(&mut client, TOPIC, &topic, &[delete("segment.ms")]).await, done());
    assert_eq!(replace(&mut client, TOPIC, &topic, &[("flush.ms", Some("31"))]).await, done());
    assert_eq!(metadata_batches(directory), written);
    assert_eq!(alter(&mut client, TOPIC, &topic, &[set("segment.ms", "604800000")]).await, done());
    assert_eq!(metadata_batches(directory), written + 1, "to set the default's value is a change");
}

#[tokio::test]
async fn what_was_altered_is_there_after_a_restart() {
    let (stage, mut client, topic) = stage_with_topic("restarted").await;
    if stage.is_referee() {
        return;
    }
    let changes = [set("flush.ms", "31"), append("cleanup.policy", "compact"), set("retention.ms", " 5 ")];
    assert_eq!(alter(&mut client, TOPIC, &topic, &changes).await, done());
    assert_eq!(alter(&mut client, TOPIC, &topic, &[delete("flush.ms")]).await, done());
    let stage = stage.restarted_after(|_| {}).await;
    let mut client = RawClient::connect(stage.address()).await;
    assert_eq!(shown(&mut client, TOPIC, &topic, "flush.ms").await, (NEVER.to_owned(), BY_DEFAULT));
    assert_eq!(shown(&mut client, TOPIC, &topic, "cleanup.policy").await, ("delete,compact".to_owned(), BY_TOPIC));
    assert_eq!(shown(&mut client, TOPIC, &topic, "retention.ms").await, ("5".to_owned(), BY_TOPIC));
}

#[tokio::test]
async fn what_is_as_long_as_a_string_may_be_is_refused_with_an_answer() {
    let (stage, mut client, topic) = stage_with_topic("longest").await;
    if stage.is_referee() {
        // Apache Kafka cannot encode its answer, alters nothing, and says that it does not know why.
        return;
    }
    let longest = "x".repeat(32_767);
    let good = resource(TOPIC, &topic, &[set("flush.ms", "1000")]);
    let bad = resource(TOPIC, "longest-other", &[set("flush.ms", &longest)]);
    let answers = alter_all(&mut client, &[good, bad]).await;
    assert_eq!((&answers[0], answers[1].0), (&done(), ErrorCode::InvalidConfig));
    assert!(answers[1].1.contains("xxx… for configuration flush.ms"), "{}", answers[1].1);
    assert_shown(&stage, &mut client, (TOPIC, &topic), "flush.ms", ("1000", BY_TOPIC)).await;

    let names: Vec<_> = (0..5000).map(|n| format!("name-{n}")).collect();
    let nulls: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
    assert_eq!(replace(&mut client, TOPIC, &topic, &nulls).await.0, ErrorCode::InvalidRequest);
    for (kind, name, change, error) in [
        (TOPIC, topic.as_str(), set(&longest, "1"), ErrorCode::InvalidConfig),
        (TOPIC, &topic, append(&longest, "1"), ErrorCode::InvalidConfig),
        (TOPIC, &longest, set("flush.ms", "1"), ErrorCode::InvalidTopicException),
        (BROKER, &longest, set("flush.ms", "1"), ErrorCode::InvalidRequest),
        (BROKER, OWN_ID, set(&longest, "1"), ErrorCode::InvalidConfig),
        (BROKER_LOGGER, OWN_ID, set(&longest, "INFO"), ErrorCode::InvalidConfig),
        (BROKER_LOGGER, OWN_ID, set("root", &longest), ErrorCode::InvalidConfig),
    ] {
        let (refused, message) = alter(&mut client, kind, name, &[change]).await;
        assert_eq!(refused, error, "{message}");
        assert!(message.chars().count() <= 1000, "{message}");
    }
}
