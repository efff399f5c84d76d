//! Topics: created, described and deleted.

use ottla::protocol::{
    error_code::ErrorCode,
    messages::{
        CreateTopicsRequest, DeleteTopicsRequest, DescribeClusterRequest, DescribeTopicPartitionsRequest,
        MetadataRequest,
        create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig},
        create_topics_response::CreatableTopicResult,
        delete_topics_request::DeleteTopicState,
        describe_topic_partitions_request::{Cursor, TopicRequest},
        metadata_request::MetadataRequestTopic,
    },
};
use uuid::Uuid;

use crate::support::{
    LONG_WAIT_MS, RawClient, TestBroker, batch, error, fetch_request, metadata_batches, only_partition,
};

const HIGHEST: i16 = 7;

fn topic(name: &str, num_partitions: i32) -> CreatableTopic {
    CreatableTopic { name: name.into(), num_partitions, replication_factor: 1, ..CreatableTopic::default() }
}

fn config(name: &str, value: Option<&str>) -> CreatableTopicConfig {
    CreatableTopicConfig { name: name.into(), value: value.map(Into::into), ..CreatableTopicConfig::default() }
}

fn create(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest { topics, timeout_ms: 10_000, ..CreateTopicsRequest::default() }
}

async fn outcome(client: &mut RawClient, topic: CreatableTopic) -> (ErrorCode, String) {
    let mut response = client.call(&create(vec![topic]), HIGHEST).await;
    assert_eq!(response.topics.len(), 1);
    let CreatableTopicResult { error_code, error_message, .. } = response.topics.remove(0);
    (error(error_code), error_message.unwrap_or_default().to_string())
}

async fn topic_names(client: &mut RawClient) -> Vec<String> {
    let all = client.call(&MetadataRequest { topics: None, ..MetadataRequest::default() }, 12).await;
    let mut names: Vec<_> =
        all.topics.iter().map(|topic| topic.name.as_deref().unwrap_or_default().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_topic_is_created_in_every_version() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    for version in 0..=HIGHEST {
        let name = format!("t{version}");
        let response = client.call(&create(vec![topic(&name, 2)]), version).await;
        let created = &response.topics[0];
        assert_eq!((error(created.error_code), created.name.as_str()), (ErrorCode::None, name.as_str()));
        if version >= 5 {
            assert_eq!((created.num_partitions, created.replication_factor), (2, 1));
        }
        assert_eq!(version >= 7, !created.topic_id.is_nil());
    }
    assert_eq!(topic_names(&mut client).await.len(), 8);
}

#[tokio::test]
async fn the_answer_has_the_topics_configuration() {
    let broker = TestBroker::with(&["log.retention.ms=1234567"]).await;
    let mut client = broker.client().await;
    let configs = vec![config("cleanup.policy", Some("compact"))];
    let response = client.call(&create(vec![CreatableTopic { configs, ..topic("t", 1) }]), HIGHEST).await;
    let configs = response.topics[0].configs.as_ref().expect("configs");
    let find = |name: &str| {
        let config = configs.iter().find(|config| config.name == name).expect("every key is there");
        (config.value.as_deref(), config.config_source)
    };
    assert_eq!(find("cleanup.policy"), (Some("compact"), 1), "the topic's own");
    assert_eq!(find("retention.ms"), (Some("1234567"), 4), "the broker's");
    assert_eq!(find("segment.bytes"), (Some("1073741824"), 5), "the default");
}

#[tokio::test]
async fn defaults_are_asked_for_with_minus_one() {
    let broker = TestBroker::with(&["num.partitions=3"]).await;
    let mut client = broker.client().await;
    let asked = CreatableTopic { replication_factor: -1, ..topic("t", -1) };
    let response = client.call(&create(vec![asked]), HIGHEST).await;
    assert_eq!((response.topics[0].num_partitions, response.topics[0].replication_factor), (3, 1));
    let replicated = CreatableTopic { replication_factor: 3, ..topic("u", 1) };
    assert_eq!(outcome(&mut client, replicated).await.0, ErrorCode::None, "one broker is the one replica");
}

#[tokio::test]
async fn a_topic_that_cannot_be_is_refused_with_a_reason() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    broker.create_topic("a.b", 1).await;
    let too_long = "x".repeat(250);
    let with = |config| CreatableTopic { configs: vec![config], ..topic("t", 1) };
    let cases = [
        (topic("a.b", 1), ErrorCode::TopicAlreadyExists),
        (topic("a_b", 1), ErrorCode::InvalidTopicException),
        (topic("", 1), ErrorCode::InvalidTopicException),
        (topic("..", 1), ErrorCode::InvalidTopicException),
        (topic("a/b", 1), ErrorCode::InvalidTopicException),
        (topic(&too_long, 1), ErrorCode::InvalidTopicException),
        (topic("t", 0), ErrorCode::InvalidPartitions),
        (topic("t", -2), ErrorCode::InvalidPartitions),
        (topic("t", i32::MAX), ErrorCode::PolicyViolation),
        (CreatableTopic { replication_factor: 0, ..topic("t", 1) }, ErrorCode::InvalidReplicationFactor),
        (with(config("cleanup.policy", Some("burn"))), ErrorCode::InvalidConfig),
        (with(config("no.such.key", Some("1"))), ErrorCode::InvalidConfig),
        (with(config("retention.ms", None)), ErrorCode::InvalidConfig),
    ];
    for (topic, expected) in cases {
        let name = topic.name.clone();
        let (error, message) = outcome(&mut client, topic).await;
        assert_eq!(error, expected, "{name:?}: {message}");
        assert_ne!(message, "", "{name:?}");
    }
    assert_eq!(topic_names(&mut client).await, ["a.b"]);
}

#[tokio::test]
async fn partitions_are_assigned_to_this_broker_or_not_at_all() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let assigned = |name: &str, partitions: &[(i32, &[i32])]| {
        let assignments = partitions.iter().map(|(partition_index, brokers)| CreatableReplicaAssignment {
            partition_index: *partition_index,
            broker_ids: brokers.to_vec(),
            ..CreatableReplicaAssignment::default()
        });
        CreatableTopic { replication_factor: -1, assignments: assignments.collect(), ..topic(name, -1) }
    };
    assert_eq!(outcome(&mut client, assigned("t", &[(0, &[1]), (1, &[1])])).await.0, ErrorCode::None);
    for bad in [&[(0, &[2][..])][..], &[(0, &[])], &[(0, &[1]), (0, &[1])], &[(1, &[1])]] {
        assert_eq!(outcome(&mut client, assigned("u", bad)).await.0, ErrorCode::InvalidReplicaAssignment, "{bad:?}");
    }
    let both = CreatableTopic { num_partitions: 1, ..assigned("u", &[(0, &[1])]) };
    assert_eq!(outcome(&mut client, both).await.0, ErrorCode::InvalidRequest);
}

#[tokio::test]
async fn each_topic_of_a_request_stands_for_itself() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topics = vec![topic("twice", 1), topic("good", 1), topic("bad name", 1), topic("twice", 2)];
    let response = client.call(&create(topics), HIGHEST).await;
    let mut outcomes: Vec<_> = response.topics.iter().map(|t| (t.name.as_str(), error(t.error_code))).collect();
    outcomes.sort();
    let expected = [
        ("bad name", ErrorCode::InvalidTopicException),
        ("good", ErrorCode::None),
        ("twice", ErrorCode::InvalidRequest),
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(topic_names(&mut client).await, ["good"]);
}

#[tokio::test]
async fn the_topics_of_a_request_are_created_in_one_commit() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let before = metadata_batches(broker.path());
    let response = client.call(&create(vec![topic("a.b", 1), topic("a_b", 1), topic("c", 2)]), HIGHEST).await;
    let outcomes: Vec<_> = response.topics.iter().map(|topic| error(topic.error_code)).collect();
    assert_eq!(outcomes, [ErrorCode::None, ErrorCode::InvalidTopicException, ErrorCode::None]);
    assert_eq!(metadata_batches(broker.path()), before + 1);
}

#[tokio::test]
async fn a_client_may_create_an_internal_topic_that_is_compacted() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let (error, message) = outcome(&mut client, topic("__consumer_offsets", 3)).await;
    assert_eq!(error, ErrorCode::InvalidConfig, "Kafka has its records deleted after a week");
    assert!(message.contains("cleanup.policy=compact"));
    client.create_topic("__consumer_offsets", 3, &[("cleanup.policy", "compact")]).await;
    let request = MetadataRequestTopic { name: Some("__consumer_offsets".into()), ..Default::default() };
    let described =
        client.call(&MetadataRequest { topics: Some(vec![request]), ..MetadataRequest::default() }, 12).await;
    assert_eq!((described.topics[0].is_internal, described.topics[0].partitions.len()), (true, 3));
}

#[tokio::test]
async fn what_is_only_validated_is_not_created() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let request = CreateTopicsRequest { validate_only: true, ..create(vec![topic("t", 5), topic("bad name", 1)]) };
    let response = client.call(&request, HIGHEST).await;
    let outcomes: Vec<_> = response.topics.iter().map(|topic| error(topic.error_code)).collect();
    assert_eq!(outcomes, [ErrorCode::None, ErrorCode::InvalidTopicException]);
    assert_eq!((response.topics[0].num_partitions, response.topics[0].topic_id), (5, Uuid::nil()));
    assert_eq!(topic_names(&mut client).await, <[&str; 0]>::default());
}

#[tokio::test]
async fn one_request_cannot_ask_for_too_much() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let response = client.call(&create(vec![topic("t", 5_000), topic("u", 5_001)]), HIGHEST).await;
    assert!(response.topics.iter().all(|topic| error(topic.error_code) == ErrorCode::PolicyViolation));
    assert_eq!(topic_names(&mut client).await, <[&str; 0]>::default());
}

fn delete(names: &[&str]) -> DeleteTopicsRequest {
    DeleteTopicsRequest { topic_names: names.iter().map(|name| (*name).into()).collect(), ..Default::default() }
}

fn delete_state(topics: &[(Option<&str>, Uuid)]) -> DeleteTopicsRequest {
    let topics = topics.iter().map(|(name, topic_id)| DeleteTopicState {
        name: name.map(Into::into),
        topic_id: *topic_id,
        ..DeleteTopicState::default()
    });
    DeleteTopicsRequest { topics: topics.collect(), ..DeleteTopicsRequest::default() }
}

async fn deletions(client: &mut RawClient, request: DeleteTopicsRequest, version: i16) -> Vec<ErrorCode> {
    let response = client.call(&request, version).await;
    response.responses.iter().map(|topic| error(topic.error_code)).collect()
}

#[tokio::test]
async fn a_topic_is_deleted_in_every_version() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    for version in 0..=5 {
        broker.create_topic("t", 2).await;
        let errors = deletions(&mut client, delete(&["t", "none"]), version).await;
        assert_eq!(errors, [ErrorCode::None, ErrorCode::UnknownTopicOrPartition], "v{version}");
    }
    let created = broker.create_topic("t", 1).await;
    assert_eq!(deletions(&mut client, delete_state(&[(Some("t"), Uuid::nil())]), 6).await, [ErrorCode::None]);
    assert_eq!(deletions(&mut client, delete_state(&[(None, created.id)]), 6).await, [ErrorCode::UnknownTopicId]);
    let created = broker.create_topic("t", 1).await;
    let response = client.call(&delete_state(&[(None, created.id)]), 6).await;
    assert_eq!(response.responses[0].name.as_deref(), Some("t"));
    assert_eq!(response.responses[0].topic_id, created.id);
    assert_eq!(topic_names(&mut client).await, <[&str; 0]>::default());
}

#[tokio::test]
async fn a_topic_is_named_in_one_way_and_once() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let created = broker.create_topic("t", 1).await;
    for bad in [&[(Some("t"), created.id)][..], &[(None, Uuid::nil())], &[(None, created.id), (None, created.id)]] {
        assert_eq!(deletions(&mut client, delete_state(bad), 6).await, [ErrorCode::InvalidRequest], "{bad:?}");
    }
    assert_eq!(deletions(&mut client, delete(&["t", "t"]), 5).await, [ErrorCode::InvalidRequest]);
    // By name and by id in one request: the same topic twice.
    let both = delete_state(&[(Some("t"), Uuid::nil()), (None, created.id)]);
    assert!(deletions(&mut client, both, 6).await.iter().all(|error| *error == ErrorCode::InvalidRequest));
    assert_eq!(topic_names(&mut client).await, ["t"]);
}

#[tokio::test]
async fn deletion_can_be_disabled() {
    let broker = TestBroker::with(&["delete.topic.enable=false"]).await;
    let mut client = broker.client().await;
    broker.create_topic("t", 1).await;
    assert_eq!(deletions(&mut client, delete(&["t"]), 5).await, [ErrorCode::TopicDeletionDisabled]);
    assert_eq!(deletions(&mut client, delete(&["t"]), 2).await, [ErrorCode::InvalidRequest], "not known before 3");
    assert_eq!(topic_names(&mut client).await, ["t"]);
}

#[tokio::test]
async fn a_topic_that_is_created_again_is_another_one() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let first = broker.create_topic("t", 1).await;
    client.append(&first, 0, &["old"]).await;
    assert_eq!(deletions(&mut client, delete(&["t"]), 5).await, [ErrorCode::None]);
    let second = broker.create_topic("t", 1).await;
    assert_ne!(first.id, second.id);
    assert_eq!(client.append(&second, 0, &["new"]).await, 0, "nothing is left of the first");
    let old = client.produce(&first, 0, batch(&["x"]), 13).await;
    assert_eq!(error(old.error_code), ErrorCode::UnknownTopicId);
    let old = client.fetch(&first, 0, 0).await;
    assert_eq!(error(old.error_code), ErrorCode::UnknownTopicId);
    assert_eq!(error(client.fetch(&second, 0, 0).await.error_code), ErrorCode::None);
}

#[tokio::test]
async fn a_deletion_ends_the_waiting_of_consumers() {
    let broker = TestBroker::start().await;
    let (mut consumer, mut admin) = (broker.client().await, broker.client().await);
    let created = broker.create_topic("t", 1).await;
    let mut request = fetch_request(&created, 0, 0);
    request.max_wait_ms = LONG_WAIT_MS;
    let waiting = consumer.send(&request, 12).await;
    // The fetch may arrive before or after: it is answered either way.
    assert_eq!(deletions(&mut admin, delete(&["t"]), 5).await, [ErrorCode::None]);
    let response = consumer.receive::<ottla::protocol::messages::FetchRequest>(waiting, 12).await;
    assert_eq!(error(only_partition(response).error_code), ErrorCode::UnknownTopicOrPartition);
}

fn page(names: &[&str], limit: i32, cursor: Option<(&str, i32)>) -> DescribeTopicPartitionsRequest {
    DescribeTopicPartitionsRequest {
        topics: names.iter().map(|name| TopicRequest { name: (*name).into(), ..TopicRequest::default() }).collect(),
        response_partition_limit: limit,
        cursor: cursor.map(|(topic, partition_index)| Cursor {
            topic_name: topic.into(),
            partition_index,
            ..Cursor::default()
        }),
        ..DescribeTopicPartitionsRequest::default()
    }
}

#[tokio::test]
async fn topics_are_described_a_page_at_a_time() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    for (name, partitions) in [("a", 3), ("b", 1), ("c", 4)] {
        broker.create_topic(name, partitions).await;
    }
    for limit in 1..=9 {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let from = cursor.as_ref().map(|(topic, partition): &(String, i32)| (topic.as_str(), *partition));
            let response = client.call(&page(&[], limit, from), 0).await;
            let mut partitions = 0;
            for topic in &response.topics {
                let name = topic.name.as_deref().expect("a name").to_owned();
                seen.extend(topic.partitions.iter().map(|partition| (name.clone(), partition.partition_index)));
                partitions += topic.partitions.len();
            }
            assert!(partitions <= usize::try_from(limit).expect("positive"));
            match response.next_cursor {
                Some(next) => cursor = Some((next.topic_name.to_string(), next.partition_index)),
                None => break,
            }
        }
        let expected: Vec<_> = [("a", 3), ("b", 1), ("c", 4)]
            .into_iter()
            .flat_map(|(name, partitions)| (0..partitions).map(move |partition| (name.to_owned(), partition)))
            .collect();
        assert_eq!(seen, expected, "limit {limit}");
    }
}

#[tokio::test]
async fn named_topics_are_described_with_their_errors() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let created = broker.create_topic("t", 1).await;
    let response = client.call(&page(&["t", "none", "bad name"], 100, None), 0).await;
    let mut outcomes: Vec<_> = response
        .topics
        .iter()
        .map(|topic| (topic.name.as_deref().unwrap_or_default(), error(topic.error_code)))
        .collect();
    outcomes.sort();
    let expected = [
        ("bad name", ErrorCode::InvalidTopicException),
        ("none", ErrorCode::UnknownTopicOrPartition),
        ("t", ErrorCode::None),
    ];
    assert_eq!(outcomes, expected);
    let described = response.topics.iter().find(|topic| topic.topic_id == created.id).expect("t");
    assert_eq!(described.partitions[0].replica_nodes, [1]);
    let metadata = client.call(&MetadataRequest::default(), 12).await;
    assert!(metadata.topics.iter().all(|topic| topic.name.as_deref() == Some("t")), "nothing was created");
}

#[tokio::test]
async fn a_cursor_stands_at_a_topic_that_is_asked_for() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    broker.create_topic("a", 1).await;
    broker.create_topic("b", 1).await;
    for cursor in [("a", -1), ("c", 0)] {
        let response = client.call(&page(&["a", "b"], 10, Some(cursor)), 0).await;
        let outcomes: Vec<_> = response.topics.iter().map(|topic| error(topic.error_code)).collect();
        assert_eq!(outcomes, [ErrorCode::InvalidRequest; 2], "{cursor:?}");
    }
    let response = client.call(&page(&["a", "b"], 10, Some(("b", 0))), 0).await;
    assert_eq!(response.topics.iter().filter_map(|topic| topic.name.as_deref()).collect::<Vec<_>>(), ["b"]);
}

#[tokio::test]
async fn the_cluster_is_described() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    for version in 0..=2 {
        let response = client.call(&DescribeClusterRequest::default(), version).await;
        assert_eq!((error(response.error_code), response.controller_id), (ErrorCode::None, 1), "v{version}");
        assert_eq!(response.cluster_id.as_str(), broker.server().broker().cluster_id());
        let brokers: Vec<_> = response.brokers.iter().map(|b| (b.broker_id, b.host.as_str(), b.port)).collect();
        assert_eq!(brokers, [(1, "127.0.0.1", i32::from(broker.address().port()))]);
        assert_eq!(response.cluster_authorized_operations, i32::MIN);
    }
    let controllers = DescribeClusterRequest { endpoint_type: 2, ..DescribeClusterRequest::default() };
    let response = client.call(&controllers, 1).await;
    assert_eq!(error(response.error_code), ErrorCode::MismatchedEndpointType);
    let neither = DescribeClusterRequest { endpoint_type: 3, ..DescribeClusterRequest::default() };
    assert_eq!(error(client.call(&neither, 1).await.error_code), ErrorCode::UnsupportedEndpointType);
}

/// An auto-created topic is one that Metadata names.
#[tokio::test]
async fn two_clients_may_create_the_same_topic_at_once() {
    let broker = TestBroker::start().await;
    let create = |mut client: RawClient| async move {
        let topic = MetadataRequestTopic { name: Some("t".into()), ..MetadataRequestTopic::default() };
        let request = MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() };
        let response = client.call(&request, 12).await;
        (error(response.topics[0].error_code), response.topics[0].topic_id)
    };
    let (a, b) = (broker.client().await, broker.client().await);
    let (a, b) = tokio::join!(create(a), create(b));
    assert_eq!((a, a.0), (b, ErrorCode::None));
}

#[tokio::test]
async fn the_metadata_log_is_no_topic() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    assert_eq!(outcome(&mut client, topic("__cluster_metadata", 1)).await.0, ErrorCode::InvalidRequest);
    assert_eq!(deletions(&mut client, delete(&["__cluster_metadata"]), 5).await, [ErrorCode::InvalidRequest]);
    broker.create_topic("t", 1).await;
    let broker = broker.restarted().await;
    assert_eq!(topic_names(&mut broker.client().await).await, ["t"], "it is where it was");
}
