//! DescribeConfigs: topics, the broker, groups and subscriptions, as Kafka's ConfigHelper answers.

use ottla::protocol::{
    error_code::ErrorCode,
    messages::{
        CreateTopicsRequest, DescribeConfigsRequest,
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
        describe_configs_request::DescribeConfigsResource,
        describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult},
    },
};

use crate::{
    configs::{alter_all, replace_all, replacement, resource as alteration},
    support::{RawClient, TestBroker, error},
};

const HIGHEST: i16 = 4;

/// Resource types.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// Sources of values.
const OF_TOPIC: i8 = 1;
const OF_START: i8 = 4;
const DEFAULT: i8 = 5;

fn resource(resource_type: i8, name: &str) -> DescribeConfigsResource {
    DescribeConfigsResource { resource_type, resource_name: name.into(), ..DescribeConfigsResource::default() }
}

fn keys(resource_type: i8, name: &str, keys: &[&str]) -> DescribeConfigsResource {
    let configuration_keys = Some(keys.iter().map(|key| (*key).into()).collect());
    DescribeConfigsResource { configuration_keys, ..resource(resource_type, name) }
}

async fn describe(client: &mut RawClient, resources: Vec<DescribeConfigsResource>) -> Vec<DescribeConfigsResult> {
    let request = DescribeConfigsRequest { resources, include_synonyms: true, ..DescribeConfigsRequest::default() };
    client.call(&request, HIGHEST).await.results
}

/// The configuration of one resource, which must be there.
async fn configs(client: &mut RawClient, resource: DescribeConfigsResource) -> Vec<DescribeConfigsResourceResult> {
    let result = describe(client, vec![resource]).await.remove(0);
    assert_eq!((error(result.error_code), result.error_message), (ErrorCode::None, None));
    result.configs
}

/// A key's value and source, and its synonyms as `name=value source`.
fn summary(config: &DescribeConfigsResourceResult) -> (Option<&str>, i8, Vec<String>) {
    let synonyms = config
        .synonyms
        .iter()
        .map(|synonym| format!("{}={} {}", synonym.name, synonym.value.as_deref().unwrap_or("null"), synonym.source));
    (config.value.as_deref(), config.config_source, synonyms.collect())
}

fn find<'a>(configs: &'a [DescribeConfigsResourceResult], name: &str) -> &'a DescribeConfigsResourceResult {
    configs.iter().find(|config| config.name == name).unwrap_or_else(|| panic!("{name} is described"))
}

#[tokio::test]
async fn a_topics_values_come_with_who_set_them() {
    let broker = TestBroker::with(&["log.retention.hours=2", "message.max.bytes=5000", "log.roll.ms=7"]).await;
    let mut client = broker.client().await;
    let set =
        [("max.message.bytes", "4000"), ("min.cleanable.dirty.ratio", "1"), ("cleanup.policy", "compact , delete")];
    broker.create_topic_with("t", 1, &set).await;
    let configs = configs(&mut client, resource(TOPIC, "t")).await;
    assert_eq!(configs.len(), 37, "all but the internal one");
    assert!(configs.iter().all(|config| !config.read_only && !config.is_sensitive && config.documentation.is_none()));
    let of = |name| summary(find(&configs, name));
    let synonyms = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        of("max.message.bytes"),
        (
            Some("4000"),
            OF_TOPIC,
            synonyms(&["max.message.bytes=4000 1", "message.max.bytes=5000 4", "message.max.bytes=1048588 5"])
        )
    );
    assert_eq!(
        of("min.cleanable.dirty.ratio"),
        (
            Some("1.0"),
            OF_TOPIC,
            synonyms(&["min.cleanable.dirty.ratio=1.0 1", "log.cleaner.min.cleanable.ratio=0.5 5"])
        )
    );
    assert_eq!(of("cleanup.policy").0, Some("compact,delete"), "as it was understood");
    // As Kafka has it: who set the hours is not said.
    assert_eq!(of("retention.ms"), (Some("7200000"), DEFAULT, synonyms(&[])));
    assert_eq!(of("segment.ms"), (Some("7"), OF_START, synonyms(&["log.roll.ms=7 4", "log.roll.hours=168 5"])));
    assert_eq!(of("preallocate"), (Some("false"), DEFAULT, synonyms(&["log.preallocate=false 5"])));
    assert_eq!(of("remote.storage.enable"), (Some("false"), DEFAULT, synonyms(&[])));
    let types = ["preallocate", "compression.type", "segment.bytes", "segment.ms", "cleanup.policy"];
    assert_eq!(types.map(|name| find(&configs, name).config_type), [1, 2, 3, 5, 7]);
    assert_eq!(find(&configs, "min.cleanable.dirty.ratio").config_type, 6);
}

#[tokio::test]
async fn the_broker_is_described_by_its_id() {
    let broker = TestBroker::with(&["num.partitions=3", "node.id=7", "log.retention.ms=5"]).await;
    let mut client = broker.client().await;
    let configs = configs(&mut client, resource(BROKER, "7")).await;
    let of = |name| summary(find(&configs, name));
    let synonyms = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(of("num.partitions"), (Some("3"), OF_START, synonyms(&["num.partitions=3 4", "num.partitions=1 5"])));
    assert_eq!(
        of("log.retention.ms"),
        (Some("5"), OF_START, synonyms(&["log.retention.ms=5 4", "log.retention.hours=168 5"]))
    );
    assert_eq!(of("log.roll.ms"), (None, DEFAULT, synonyms(&[])));
    assert_eq!(of("log.cleaner.io.max.bytes.per.second").0, Some("1.7976931348623157E308"));
    assert_eq!((of("node.id").0, of("broker.id").0), (Some("7"), Some("7")));
    let read_only = |name| find(&configs, name).read_only;
    assert!(read_only("num.partitions") && read_only("listeners"), "the latter takes a restart here");
    assert!(!read_only("log.retention.ms"));
}

#[tokio::test]
async fn without_an_id_there_is_what_was_set_for_all_brokers() {
    let broker = TestBroker::with(&["num.partitions=3"]).await;
    let mut client = broker.client().await;
    assert_eq!(configs(&mut client, resource(BROKER, "")).await, []);
}

#[tokio::test]
async fn groups_and_subscriptions_have_their_defaults() {
    let broker = TestBroker::with(&["group.share.session.timeout.ms=50000"]).await;
    let mut client = broker.client().await;
    let group = configs(&mut client, resource(GROUP, "no such group")).await;
    assert_eq!(group.len(), 21);
    let (value, source, synonyms) = summary(find(&group, "share.session.timeout.ms"));
    assert_eq!((value, source), (Some("50000"), OF_START));
    assert_eq!(synonyms, ["group.share.session.timeout.ms=50000 4", "group.share.session.timeout.ms=45000 5"]);
    let (value, source, synonyms) = summary(find(&group, "share.isolation.level"));
    assert_eq!((value, source), (Some("read_uncommitted"), DEFAULT));
    assert_eq!(synonyms, ["share.isolation.level=read_uncommitted 5"]);
    assert_eq!(summary(find(&group, "streams.assignor.name")).0, Some("sticky"));

    let subscription = configs(&mut client, resource(CLIENT_METRICS, "s")).await;
    let values: Vec<_> = subscription.iter().map(|config| (config.name.as_str(), summary(config))).collect();
    let default = |text| (Some(text), DEFAULT, Vec::<String>::new());
    assert_eq!(values, [("interval.ms", default("300000")), ("match", default("")), ("metrics", default(""))]);
}

#[tokio::test]
async fn named_keys_alone_are_answered_and_unknown_ones_not_at_all() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    broker.create_topic("t", 1).await;
    let asked = vec![
        keys(TOPIC, "t", &["segment.ms", "no.such.key", "segment.ms", "flush.ms"]),
        keys(TOPIC, "t", &["no.such.key"]),
        keys(TOPIC, "t", &[]),
        keys(BROKER, "1", &["node.id"]),
        keys(GROUP, "g", &["share.isolation.level"]),
        keys(CLIENT_METRICS, "m", &["match"]),
    ];
    let results = describe(&mut client, asked).await;
    let names = |result: &DescribeConfigsResult| {
        result.configs.iter().map(|config| config.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&results[0]), ["flush.ms", "segment.ms"]);
    assert_eq!(names(&results[1]), [""; 0]);
    assert_eq!(results[2].configs.len(), 37, "none named are all");
    assert_eq!([names(&results[3]), names(&results[4])].concat(), ["node.id", "share.isolation.level"]);
    assert_eq!(names(&results[5]), ["match"]);
}

#[tokio::test]
async fn each_resource_is_answered_by_itself_in_the_order_asked() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    broker.create_topic("t", 1).await;
    let too_long = "x".repeat(250);
    let cases = [
        (resource(TOPIC, "nope"), ErrorCode::UnknownTopicOrPartition, ""),
        (resource(TOPIC, "__cluster_metadata"), ErrorCode::UnknownTopicOrPartition, ""),
        (
            resource(TOPIC, ""),
            ErrorCode::InvalidTopicException,
            "Topic name is invalid: the empty string is not allowed",
        ),
        (resource(TOPIC, ".."), ErrorCode::InvalidTopicException, "Topic name is invalid: '..' is not allowed"),
        (
            resource(TOPIC, "a\u{1b}b"),
            ErrorCode::InvalidTopicException,
            "Topic name is invalid: 'a\\u{1b}b' contains one or more characters other than ASCII alphanumerics, '.', \
             '_' and '-'",
        ),
        (resource(TOPIC, "t"), ErrorCode::None, ""),
        (
            resource(BROKER, "2"),
            ErrorCode::InvalidRequest,
            "Unexpected broker id, expected 1 or empty string, but received 2",
        ),
        (resource(BROKER, "x"), ErrorCode::InvalidRequest, "Broker id must be an integer, but it is: x"),
        (
            resource(BROKER, "99999999999"),
            ErrorCode::InvalidRequest,
            "Broker id must be an integer, but it is: 99999999999",
        ),
        (resource(GROUP, ""), ErrorCode::InvalidRequest, "Group name must not be empty"),
        (resource(CLIENT_METRICS, ""), ErrorCode::InvalidRequest, "Client metrics subscription name must not be empty"),
        (resource(99, "x"), ErrorCode::InvalidRequest, "Unexpected resource type 99 for resource x"),
        (resource(0, ""), ErrorCode::InvalidRequest, "Unexpected resource type 0 for resource "),
        (resource(TOPIC, "t"), ErrorCode::None, ""),
    ];
    let results = describe(&mut client, cases.iter().map(|(resource, ..)| resource.clone()).collect()).await;
    assert_eq!(results.len(), cases.len());
    for (result, (resource, code, message)) in results.iter().zip(&cases) {
        assert_eq!((result.resource_type, &result.resource_name), (resource.resource_type, &resource.resource_name));
        assert_eq!(error(result.error_code), *code, "{}", result.resource_name);
        assert_eq!(result.error_message.as_deref().unwrap_or_default(), *message);
        assert_eq!(result.configs.len(), if *code == ErrorCode::None { 37 } else { 0 });
    }
    let long = describe(&mut client, vec![resource(TOPIC, &too_long)]).await.remove(0);
    assert_eq!(error(long.error_code), ErrorCode::InvalidTopicException);
}

#[tokio::test]
async fn every_version_is_answered() {
    let broker = TestBroker::with(&["num.partitions=3"]).await;
    let mut client = broker.client().await;
    for version in 0..=HIGHEST {
        let request = DescribeConfigsRequest {
            resources: vec![keys(BROKER, "1", &["num.partitions", "fetch.max.bytes"])],
            include_synonyms: version >= 1,
            include_documentation: version >= 3,
            ..DescribeConfigsRequest::default()
        };
        let configs = client.call(&request, version).await.results.remove(0).configs;
        let [fetch, partitions] = configs.as_slice() else { panic!("two keys are described") };
        assert_eq!((fetch.name.as_str(), partitions.value.as_deref()), ("fetch.max.bytes", Some("3")));
        assert!(partitions.read_only);
        match version {
            0 => assert_eq!((fetch.is_default, partitions.is_default), (true, false)),
            _ => assert_eq!((fetch.config_source, partitions.config_source), (DEFAULT, OF_START)),
        }
        assert_eq!(partitions.synonyms.len(), if version >= 1 { 2 } else { 0 });
        assert_eq!(partitions.config_type, if version >= 3 { 3 } else { 0 });
        let documentation = partitions.documentation.as_deref().unwrap_or_default();
        assert_eq!(documentation.starts_with("The partitions of topics"), version >= 3, "{documentation}");
    }
}

#[tokio::test]
async fn what_a_client_does_not_ask_for_is_left_out() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let resources = vec![keys(BROKER, "1", &["num.partitions"])];
    let request = DescribeConfigsRequest { resources, ..DescribeConfigsRequest::default() };
    let config = client.call(&request, HIGHEST).await.results.remove(0).configs.remove(0);
    assert_eq!((config.synonyms, config.documentation), (vec![], None));
}

#[tokio::test]
async fn a_setting_that_nothing_honours_is_refused_to_clients() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let cases = [
        ("preallocate", "true"),
        ("remote.storage.enable", "true"),
        ("errors.deadletterqueue.group.enable", "true"),
        ("leader.replication.throttled.replicas", "*"),
        ("follower.replication.throttled.replicas", "0:1"),
    ];
    for (key, value) in cases {
        let (code, message) = create_with(&mut client, key, value).await;
        assert_eq!(code, ErrorCode::InvalidConfig, "{key}");
        assert!(message.contains(key) || message.starts_with("Tiered Storage functionality is disabled"), "{message}");
    }
    for (key, value) in [("preallocate", "false"), ("remote.storage.enable", "false"), ("local.retention.ms", "5")] {
        assert_eq!(create_with(&mut client, key, value).await, (ErrorCode::None, String::new()), "{key}");
    }
}

/// What becomes of a topic with this setting that a client asks for.
async fn create_with(client: &mut RawClient, key: &str, value: &str) -> (ErrorCode, String) {
    let configs =
        vec![CreatableTopicConfig { name: key.into(), value: Some(value.into()), ..CreatableTopicConfig::default() }];
    let topic = CreatableTopic {
        name: "t".into(),
        num_partitions: 1,
        replication_factor: 1,
        configs,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], validate_only: true, ..CreateTopicsRequest::default() };
    let result = client.call(&request, 7).await.topics.remove(0);
    (error(result.error_code), result.error_message.as_deref().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn more_resources_than_one_request_may_name_are_all_refused() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let (most, refused) =
        (10_000, (ErrorCode::InvalidRequest, Some("One request may name no more than 10000 resources.")));
    for (count, expected) in [(most, (ErrorCode::UnknownTopicOrPartition, None)), (most + 1, refused)] {
        let results = describe(&mut client, vec![resource(TOPIC, "nope"); count]).await;
        assert_eq!(results.len(), count);
        let outcome = |result: &DescribeConfigsResult| (error(result.error_code), result.error_message.clone());
        assert!(results.iter().map(outcome).all(|(error, message)| (error, message.as_deref()) == expected));
    }
    let named = |count: usize| (0..count).map(|n| alteration(TOPIC, &format!("t{n}"), &[])).collect::<Vec<_>>();
    for (count, expected) in [(most, ErrorCode::UnknownTopicOrPartition), (most + 1, ErrorCode::InvalidRequest)] {
        let outcomes = alter_all(&mut client, &named(count)).await;
        assert!(outcomes.len() == count && outcomes.iter().all(|(error, _)| *error == expected), "{:?}", outcomes[0]);
    }
    let replaced: Vec<_> = (0..=most).map(|n| replacement(TOPIC, &format!("t{n}"), &[])).collect();
    let outcomes = replace_all(&mut client, &replaced, true, 2).await;
    assert!(outcomes.len() == most + 1 && outcomes.iter().all(|(error, _)| *error == ErrorCode::InvalidRequest));
}
