//! Partitions added, records deleted, directories described, as an administrator asks for it.
//!
//! The expectations can be held against another broker, as those of [`transactional`](crate::transactional):
//!
//! ```text
//! OTTLA_IT_REFEREE=127.0.0.1:9092 cargo test --test it partitions_admin
//! ```

use std::{collections::BTreeMap, fs, path::Path};

use ottla::protocol::{
    error_code::ErrorCode,
    messages::{
        CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
        DescribeLogDirsRequest, ListOffsetsRequest, MetadataRequest, OffsetForLeaderEpochRequest,
        create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic},
        create_topics_request::CreatableTopic,
        delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
        describe_log_dirs_request::DescribableLogDirTopic,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        metadata_request::MetadataRequestTopic,
        offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic},
    },
};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewPartitions},
    client::DefaultClientContext,
};

use crate::{
    support::{
        BOUND, BrokerProcess, LONG_WAIT_MS, RawClient, TestBroker, TestTopic, client_config, error, fetch_request,
        metadata_batches, only_partition, records, within,
    },
    transactional::Stage,
};

const GROW: i16 = 3;
const DELETE: i16 = 2;
const DESCRIBE: i16 = 5;
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;
const MAX_TIMESTAMP: i64 = -3;

fn topic_to_grow(name: &str, count: i32) -> CreatePartitionsTopic {
    CreatePartitionsTopic { name: name.into(), count, assignments: None, ..CreatePartitionsTopic::default() }
}

fn assigned(name: &str, count: i32, brokers: &[&[i32]]) -> CreatePartitionsTopic {
    let assignments = brokers.iter().map(|brokers| CreatePartitionsAssignment {
        broker_ids: brokers.to_vec(),
        ..CreatePartitionsAssignment::default()
    });
    CreatePartitionsTopic { assignments: Some(assignments.collect()), ..topic_to_grow(name, count) }
}

fn grow(topics: Vec<CreatePartitionsTopic>) -> CreatePartitionsRequest {
    CreatePartitionsRequest { topics, timeout_ms: 10_000, ..CreatePartitionsRequest::default() }
}

/// Error and text by topic.
async fn grown(
    client: &mut RawClient,
    request: &CreatePartitionsRequest,
    version: i16,
) -> BTreeMap<String, (ErrorCode, String)> {
    let results = client.call(request, version).await.results;
    let count = results.len();
    let by_topic: BTreeMap<_, _> = results
        .into_iter()
        .map(|result| {
            let message = result.error_message.unwrap_or_default().to_string();
            (result.name.to_string(), (error(result.error_code), message))
        })
        .collect();
    assert_eq!(by_topic.len(), count, "each topic is answered once");
    by_topic
}

async fn grow_one(client: &mut RawClient, topic: CreatePartitionsTopic) -> (ErrorCode, String) {
    let mut results = grown(client, &grow(vec![topic]), GROW).await;
    assert_eq!(results.len(), 1);
    results.pop_first().expect("one").1
}

async fn partition_count(client: &mut RawClient, topic: &str) -> usize {
    let topic = MetadataRequestTopic { name: Some(topic.into()), ..MetadataRequestTopic::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() };
    client.call(&request, 12).await.topics[0].partitions.len()
}

/// Waits where a broker answers before it has what it was told to have, as Kafka does.
async fn with_partitions(client: &mut RawClient, topic: &TestTopic, count: i32) {
    within(async {
        for partition in 0..count {
            while earliest(client, topic, partition).await.is_err() {
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
    assert_eq!(partition_count(client, &topic.name).await, usize::try_from(count).expect("few"));
}

fn delete_request(topics: &[(&str, &[(i32, i64)])]) -> DeleteRecordsRequest {
    let topics = topics.iter().map(|(name, partitions)| {
        let partitions = partitions.iter().map(|(partition_index, offset)| DeleteRecordsPartition {
            partition_index: *partition_index,
            offset: *offset,
            ..DeleteRecordsPartition::default()
        });
        DeleteRecordsTopic { name: (*name).into(), partitions: partitions.collect(), ..DeleteRecordsTopic::default() }
    });
    DeleteRecordsRequest { topics: topics.collect(), timeout_ms: 10_000, ..DeleteRecordsRequest::default() }
}

/// Error and low watermark by partition.
async fn deleted(
    client: &mut RawClient,
    request: &DeleteRecordsRequest,
    version: i16,
) -> BTreeMap<(String, i32), (ErrorCode, i64)> {
    let topics = client.call(request, version).await.topics;
    let partitions = topics.into_iter().flat_map(|topic| {
        let name = topic.name.to_string();
        topic
            .partitions
            .into_iter()
            .map(move |p| ((name.clone(), p.partition_index), (error(p.error_code), p.low_watermark)))
    });
    partitions.collect()
}

async fn delete_to(client: &mut RawClient, topic: &TestTopic, partition: i32, offset: i64) -> (ErrorCode, i64) {
    let request = delete_request(&[(&topic.name, &[(partition, offset)])]);
    let mut results = deleted(client, &request, DELETE).await;
    results.remove(&(topic.name.clone(), partition)).expect("it is answered")
}

async fn list(
    client: &mut RawClient,
    topic: &TestTopic,
    partition_index: i32,
    timestamp: i64,
) -> Result<(i64, i32), ErrorCode> {
    let partition = ListOffsetsPartition { partition_index, timestamp, ..ListOffsetsPartition::default() };
    let topic = ListOffsetsTopic {
        name: topic.name.as_str().into(),
        partitions: vec![partition],
        ..ListOffsetsTopic::default()
    };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
    let answer = client.call(&request, 9).await.topics.remove(0).partitions.remove(0);
    match error(answer.error_code) {
        ErrorCode::None => Ok((answer.offset, answer.leader_epoch)),
        error => Err(error),
    }
}

async fn earliest(client: &mut RawClient, topic: &TestTopic, partition: i32) -> Result<(i64, i32), ErrorCode> {
    list(client, topic, partition, EARLIEST).await
}

/// Epoch and offset at which an epoch of partition 0 ended.
async fn epoch_end(client: &mut RawClient, topic: &TestTopic, leader_epoch: i32) -> (i32, i64) {
    let partition = OffsetForLeaderPartition {
        partition: 0,
        current_leader_epoch: -1,
        leader_epoch,
        ..OffsetForLeaderPartition::default()
    };
    let topic = OffsetForLeaderTopic {
        topic: topic.name.as_str().into(),
        partitions: vec![partition],
        ..OffsetForLeaderTopic::default()
    };
    let request = OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
    let answer = client.call(&request, 4).await.topics.remove(0).partitions.remove(0);
    assert_eq!(error(answer.error_code), ErrorCode::None);
    (answer.leader_epoch, answer.end_offset)
}

#[tokio::test]
async fn a_topic_grows_in_every_version_and_is_used_at_once() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "t1", 1).await;
    for version in 0..=GROW {
        let count = i32::from(version) + 2;
        let results = grown(&mut client, &grow(vec![topic_to_grow(&topic.name, count)]), version).await;
        assert_eq!(results[&topic.name], (ErrorCode::None, String::new()), "version {version}");
        if stage.is_referee() {
            with_partitions(&mut client, &topic, count).await;
        }
        assert_eq!(partition_count(&mut client, &topic.name).await, usize::try_from(count).expect("few"));
        assert_eq!(earliest(&mut client, &topic, count - 1).await, Ok((0, 0)));
        assert_eq!(client.append(&topic, count - 1, &["a"]).await, 0);
        assert_eq!(records(&client.fetch(&topic, count - 1, 0).await), [(0, "a".to_owned())]);
        assert_eq!(earliest(&mut client, &topic, count).await, Err(ErrorCode::UnknownTopicOrPartition));
    }
}

#[tokio::test]
async fn what_is_no_growth_is_refused_in_kafkas_words() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "t2", 2).await;
    let name = topic.name.as_str();
    let none = stage.name("none2");
    let fewer = |count| format!("The topic {name} currently has 2 partition(s); {count} would not be an increase.");
    let assignments =
        |n| format!("Attempted to add 2 additional partition(s), but only {n} assignment(s) were specified.");
    let brokers = |what| format!("The manual partition assignment includes {what}");
    let cases = [
        (topic_to_grow(name, 2), ErrorCode::InvalidPartitions, "Topic already has 2 partition(s).".to_owned()),
        (topic_to_grow(name, 1), ErrorCode::InvalidPartitions, fewer(1)),
        (topic_to_grow(name, 0), ErrorCode::InvalidPartitions, fewer(0)),
        (topic_to_grow(name, -1), ErrorCode::InvalidPartitions, fewer(-1)),
        (
            topic_to_grow(&none, 3),
            ErrorCode::UnknownTopicOrPartition,
            stage.expects("This server does not host this topic-partition.", "").to_owned(),
        ),
        (assigned(name, 4, &[]), ErrorCode::InvalidReplicaAssignment, assignments(0)),
        (assigned(name, 4, &[&[1], &[1], &[1]]), ErrorCode::InvalidReplicaAssignment, assignments(3)),
        (
            assigned(name, 4, &[&[1], &[7]]),
            ErrorCode::InvalidReplicaAssignment,
            brokers("broker 7, but no such broker is registered."),
        ),
        (assigned(name, 4, &[&[], &[1]]), ErrorCode::InvalidReplicaAssignment, brokers("an empty replica list.")),
        (
            assigned(name, 4, &[&[1, 1], &[1]]),
            ErrorCode::InvalidReplicaAssignment,
            brokers("the broker 1 more than once."),
        ),
    ];
    for (asked, expected, message) in cases {
        assert_eq!(grow_one(&mut client, asked.clone()).await, (expected, message), "{asked:?}");
    }
    let (refused, message) = grow_one(&mut client, topic_to_grow(name, i32::MAX)).await;
    assert_eq!(refused, ErrorCode::PolicyViolation);
    assert!(message.starts_with("Excessively large number of additional partitions per request"), "{message}");
    assert_eq!(partition_count(&mut client, name).await, 2);
    assert_eq!(grow_one(&mut client, assigned(name, 4, &[&[1], &[1]])).await.0, ErrorCode::None);
    with_partitions(&mut client, &topic, 4).await;
}

#[tokio::test]
async fn each_topic_of_a_growth_stands_for_itself_and_validation_changes_nothing() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let mut topics = Vec::new();
    for name in ["a", "b", "c"] {
        topics.push(stage.topic(&mut client, &format!("{name}3"), 1).await);
    }
    let [a, b, c] = &topics[..] else { unreachable!("three") };
    let asked = vec![
        topic_to_grow(&a.name, 3),
        topic_to_grow(&b.name, 1),
        topic_to_grow(&c.name, 2),
        topic_to_grow(&c.name, 2),
    ];
    let expected = [ErrorCode::None, ErrorCode::InvalidPartitions, ErrorCode::InvalidRequest];
    for validate_only in [true, false] {
        let request = CreatePartitionsRequest { validate_only, ..grow(asked.clone()) };
        let results = grown(&mut client, &request, GROW).await;
        assert_eq!([a, b, c].map(|topic| results[&topic.name].0), expected);
        assert_eq!(results[&c.name].1, "Duplicate topic name.");
        if validate_only {
            assert_eq!(partition_count(&mut client, &a.name).await, 1);
        }
    }
    with_partitions(&mut client, a, 3).await;
    assert_eq!(partition_count(&mut client, &c.name).await, 1);
}

#[tokio::test]
async fn internal_topics_keep_what_groups_and_transactions_are_found_by() {
    let stage = Stage::start().await;
    // It has found its coordinators, so their topics are there.
    let mut client = stage.client().await;
    if stage.is_referee() {
        // Kafka would grow them, and delete them.
        return;
    }
    for name in ["__consumer_offsets", "__transaction_state"] {
        let count = partition_count(&mut client, name).await;
        let (refused, message) = grow_one(&mut client, topic_to_grow(name, 60)).await;
        assert_eq!(refused, ErrorCode::InvalidRequest);
        assert!(message.contains(name) && message.contains("groups and transactions"), "{message}");
        let delete = DeleteTopicsRequest { topic_names: vec![name.into()], ..DeleteTopicsRequest::default() };
        let answer = client.call(&delete, 5).await.responses.remove(0);
        assert_eq!(error(answer.error_code), ErrorCode::InvalidRequest);
        assert!(answer.error_message.expect("a reason").contains("cannot be deleted"));
        assert_eq!(partition_count(&mut client, name).await, count);
    }
}

#[tokio::test]
async fn added_partitions_are_one_commit_and_survive_a_restart_and_a_kill() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let (t, u) = (broker.create_topic("t", 1).await, broker.create_topic("u", 2).await);
    let before = metadata_batches(broker.path());
    let results = grown(&mut client, &grow(vec![topic_to_grow("t", 3), topic_to_grow("u", 4)]), GROW).await;
    assert!(results.values().all(|(error, _)| *error == ErrorCode::None));
    assert_eq!(metadata_batches(broker.path()), before + 1);
    assert_eq!(client.append(&t, 2, &["a"]).await, 0);
    let broker = broker.restarted().await;
    let mut client = broker.client().await;
    assert_eq!(records(&client.fetch(&t, 2, 0).await), [(0, "a".to_owned())]);
    assert_eq!(client.append(&u, 3, &["b"]).await, 0);
    let directory = broker.stop().await;

    let process = BrokerProcess::start(directory.path());
    let mut client = RawClient::connect(process.address()).await;
    assert_eq!(grow_one(&mut client, topic_to_grow("t", 5)).await.0, ErrorCode::None);
    process.kill();
    let process = BrokerProcess::start(directory.path());
    let mut client = RawClient::connect(process.address()).await;
    assert_eq!(partition_count(&mut client, "t").await, 5);
    assert_eq!(client.append(&t, 4, &["c"]).await, 0);
    assert_eq!(records(&client.fetch(&t, 2, 0).await), [(0, "a".to_owned())]);
    process.kill();
}

#[tokio::test]
async fn a_broker_has_no_more_partitions_than_it_is_set_to() {
    let broker =
        TestBroker::with(&["ottla.partitions.max=5", "num.partitions=2", "offsets.topic.num.partitions=3"]).await;
    let mut client = broker.client().await;
    let created = async |client: &mut RawClient, names: &[(&str, i32)]| {
        let topics = names.iter().map(|(name, num_partitions)| CreatableTopic {
            name: (*name).into(),
            num_partitions: *num_partitions,
            replication_factor: 1,
            ..CreatableTopic::default()
        });
        let request = CreateTopicsRequest { topics: topics.collect(), ..CreateTopicsRequest::default() };
        let topics = client.call(&request, 7).await.topics.into_iter();
        topics.map(|t| (error(t.error_code), t.error_message.unwrap_or_default().to_string())).collect::<Vec<_>>()
    };
    let outcomes = created(&mut client, &[("a", 3), ("b", 3), ("c", 1)]).await;
    let errors: Vec<_> = outcomes.iter().map(|(error, _)| *error).collect();
    assert_eq!(errors, [ErrorCode::None, ErrorCode::PolicyViolation, ErrorCode::None]);
    let limit = "3 partition(s) more than the 3 that are there would be more than ottla.partitions.max, 5.";
    assert_eq!(outcomes[1].1, limit);
    let (refused, message) = grow_one(&mut client, topic_to_grow("a", 5)).await;
    assert_eq!(refused, ErrorCode::PolicyViolation);
    assert!(message.contains("ottla.partitions.max, 5"), "{message}");
    let topic = MetadataRequestTopic { name: Some("auto".into()), ..MetadataRequestTopic::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), allow_auto_topic_creation: true, ..Default::default() };
    assert_eq!(error(client.call(&request, 12).await.topics[0].error_code), ErrorCode::PolicyViolation);
    // The group's topic comes all the same, and counts.
    let _client = crate::transactional::transaction_client(broker.address()).await;
    assert_eq!(partition_count(&mut client, "__consumer_offsets").await, 3);
    assert_eq!(grow_one(&mut client, topic_to_grow("c", 2)).await.0, ErrorCode::PolicyViolation);
    let broker = broker.restarted().await;
    assert_eq!(partition_count(&mut broker.client().await, "a").await, 3, "what is there stays");
}

#[tokio::test]
async fn records_are_deleted_in_every_version() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "t5", 2).await;
    let other = stage.topic(&mut client, "u5", 1).await;
    for partition in [0, 1] {
        client.append(&topic, partition, &["a", "b", "c", "d", "e"]).await;
    }
    let none = stage.name("none5");
    for version in 0..=DELETE {
        let request = delete_request(&[
            (&topic.name, &[(0, i64::from(version) + 1), (1, -1), (2, 0)]),
            (&none, &[(0, 0)]),
            (&other.name, &[(0, -1)]),
        ]);
        let results = deleted(&mut client, &request, version).await;
        let unknown = (ErrorCode::UnknownTopicOrPartition, -1);
        let result = |topic: &str, partition| results[&(topic.to_owned(), partition)];
        assert_eq!(result(&topic.name, 0), (ErrorCode::None, i64::from(version) + 1));
        assert_eq!(result(&topic.name, 1), (ErrorCode::None, 5));
        assert_eq!(result(&topic.name, 2), unknown);
        assert_eq!(result(&none, 0), unknown);
        assert_eq!(result(&other.name, 0), (ErrorCode::None, 0), "there is nothing to delete");
    }
    assert_eq!(earliest(&mut client, &topic, 0).await.map(|(offset, _)| offset), Ok(3));
    assert_eq!(error(client.fetch(&topic, 0, 2).await.error_code), ErrorCode::OffsetOutOfRange);
    let fetched = client.fetch(&topic, 0, 3).await;
    assert_eq!(fetched.log_start_offset, 3);
    assert_eq!(records(&fetched).last(), Some(&(4, "e".to_owned())));
    assert_eq!(list(&mut client, &topic, 0, LATEST).await.map(|(offset, _)| offset), Ok(5));
    assert_eq!(delete_to(&mut client, &topic, 0, 1).await, (ErrorCode::None, 3), "it starts later already");
}

#[tokio::test]
async fn offsets_that_are_none_delete_nothing() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "t6", 1).await;
    client.append(&topic, 0, &["a", "b", "c"]).await;
    for offset in [4, 5, i64::MAX, -2, -3, i64::MIN] {
        assert_eq!(delete_to(&mut client, &topic, 0, offset).await, (ErrorCode::OffsetOutOfRange, -1), "{offset}");
    }
    assert_eq!(delete_to(&mut client, &topic, -1, 0).await, (ErrorCode::UnknownTopicOrPartition, -1));
    assert_eq!(earliest(&mut client, &topic, 0).await.map(|(offset, _)| offset), Ok(0));
    assert_eq!(delete_to(&mut client, &topic, 0, 3).await, (ErrorCode::None, 3));
    assert_eq!(client.append(&topic, 0, &["d"]).await, 3);
}

#[tokio::test]
async fn a_partition_that_is_named_often_is_asked_for_once() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "t14", 2).await;
    let empty = stage.topic(&mut client, "u14", 1).await;
    client.append(&topic, 0, &["a", "b", "c"]).await;
    let name = topic.name.as_str();
    let often = vec![(0, 3); 1000];
    let asked =
        delete_request(&[(name, &often), (&empty.name, &[]), (name, &[(7, 0), (1, 0), (0, 99)]), (name, &[(0, 1)])]);
    let answered = client.call(&asked, DELETE).await.topics;
    let [answered] = answered.try_into().expect("one topic of which partitions are named");
    let mut partitions: Vec<_> = answered.partitions.iter().collect();
    partitions.sort_by_key(|partition| partition.partition_index);
    let partitions: Vec<_> =
        partitions.iter().map(|p| (p.partition_index, error(p.error_code), p.low_watermark)).collect();
    let unknown = (7, ErrorCode::UnknownTopicOrPartition, -1);
    assert_eq!(partitions, [(0, ErrorCode::None, 1), (1, ErrorCode::None, 0), unknown], "the last offset counts");
    assert_eq!(earliest(&mut client, &topic, 0).await.map(|(offset, _)| offset), Ok(1));
}

#[tokio::test]
async fn segments_that_go_are_told_of_once() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let process = BrokerProcess::start(directory.path());
    let mut client = RawClient::connect(process.address()).await;
    let topic = client.create_topic("t", 1, &[("segment.bytes", "1048576")]).await;
    let value = "x".repeat(700_000);
    for _ in 0..3 {
        client.append(&topic, 0, &[&value]).await;
    }
    let asked = delete_request(&[("t", &[(0, -1); 100])]);
    assert_eq!(deleted(&mut client, &asked, DELETE).await[&("t".to_owned(), 0)], (ErrorCode::None, 3));
    process.terminate();
    let (code, said) = process.wait();
    assert_eq!((code, said.matches("segments deleted").count()), (Some(0), 1), "{said}");
}

#[tokio::test]
async fn records_that_a_policy_keeps_or_a_coordinator_needs_are_not_deleted() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let expected = [
        ("delete", ErrorCode::None, 0),
        ("compact", ErrorCode::PolicyViolation, -1),
        ("compact,delete", ErrorCode::None, 0),
    ];
    for (policy, code, low_watermark) in expected {
        let name = stage.name(&policy.replace(',', "-"));
        let topic = client.create_topic(&name, 1, &[("cleanup.policy", policy)]).await;
        with_partitions(&mut client, &topic, 1).await;
        assert_eq!(delete_to(&mut client, &topic, 0, -1).await, (code, low_watermark), "{policy}");
    }
    for name in ["__consumer_offsets", "__transaction_state"] {
        let results = deleted(&mut client, &delete_request(&[(name, &[(0, -1), (999, -1)])]), DELETE).await;
        assert_eq!(results[&(name.to_owned(), 0)], (ErrorCode::InvalidTopicException, -1));
        assert_eq!(results[&(name.to_owned(), 999)], (ErrorCode::UnknownTopicOrPartition, -1));
    }
}

#[tokio::test]
async fn a_waiting_fetch_learns_that_its_records_are_gone() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "t8", 1).await;
    client.append(&topic, 0, &["a", "b"]).await;
    let mut consumer = RawClient::connect(stage.address()).await;
    let mut request = fetch_request(&topic, 0, 0);
    (request.max_wait_ms, request.min_bytes) = (LONG_WAIT_MS, 1 << 20);
    let correlation_id = consumer.send(&request, 16).await;
    if stage.is_referee() {
        // Kafka looks again only when something is appended.
        return;
    }
    // It has its place before it reads, and it is read before the next request that comes after it.
    assert_eq!(delete_to(&mut client, &topic, 0, -1).await, (ErrorCode::None, 2));
    let answer = only_partition(consumer.receive::<ottla::protocol::messages::FetchRequest>(correlation_id, 16).await);
    assert_eq!(error(answer.error_code), ErrorCode::OffsetOutOfRange);
}

#[tokio::test]
async fn a_deleted_record_stays_deleted_when_the_broker_is_killed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let process = BrokerProcess::start(directory.path());
    let mut client = RawClient::connect(process.address()).await;
    let topic = client.create_topic("t", 3, &[]).await;
    for partition in 0..3 {
        for value in ["a", "b", "c"] {
            client.append(&topic, partition, &[value]).await;
        }
    }
    let results = deleted(&mut client, &delete_request(&[("t", &[(0, 2), (1, -1)])]), DELETE).await;
    process.kill();
    assert!(results.values().all(|(error, _)| *error == ErrorCode::None), "{results:?}");
    let process = BrokerProcess::start(directory.path());
    let mut client = RawClient::connect(process.address()).await;
    for (partition, expected) in [(0, 2), (1, 3), (2, 0)] {
        assert_eq!(earliest(&mut client, &topic, partition).await.map(|(offset, _)| offset), Ok(expected));
        assert_eq!(list(&mut client, &topic, partition, LATEST).await, Ok((3, 1)), "a new epoch");
    }
    assert_eq!(records(&client.fetch(&topic, 0, 2).await), [(2, "c".to_owned())]);
    assert_eq!(list(&mut client, &topic, 0, MAX_TIMESTAMP).await, Ok((2, 0)));
    assert_eq!(list(&mut client, &topic, 1, MAX_TIMESTAMP).await, Ok((-1, -1)), "nothing is left");
    assert_eq!(list(&mut client, &topic, 0, 0).await, Ok((2, 0)), "the first that is left");
    process.kill();
}

#[tokio::test]
async fn epochs_end_where_they_did_after_restarts_clean_and_unclean() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut expected: Vec<(i32, i64)> = Vec::new();
    let mut topic = None;
    for (start, is_clean) in [true, false, false, true, false].into_iter().enumerate() {
        let process = BrokerProcess::start(directory.path());
        let mut client = RawClient::connect(process.address()).await;
        let topic = match &topic {
            Some(topic) => topic,
            None => topic.insert(client.create_topic("t", 1, &[]).await),
        };
        let (_, epoch) = list(&mut client, topic, 0, LATEST).await.expect("answered");
        client.append(topic, 0, &["a", "b"]).await;
        let end = 2 * (i64::try_from(start).expect("few") + 1);
        match expected.last_mut() {
            Some(last) if last.0 == epoch => last.1 = end,
            _ => expected.push((epoch, end)),
        }
        for known in &expected {
            assert_eq!(epoch_end(&mut client, topic, known.0).await, *known, "start {start}");
        }
        assert_eq!(epoch_end(&mut client, topic, epoch + 1).await, (-1, -1));
        if start == 3 {
            // In the middle of the second epoch.
            assert_eq!(delete_to(&mut client, topic, 0, 5).await, (ErrorCode::None, 5));
            assert_eq!(epoch_end(&mut client, topic, expected[0].0).await, (expected[0].0, 5));
            expected.retain(|(_, end)| *end > 5);
        }
        if is_clean {
            process.terminate();
            assert_eq!(process.wait().0, Some(0));
        } else {
            process.kill();
        }
    }
    assert_eq!(expected.iter().map(|(epoch, _)| *epoch).collect::<Vec<_>>(), [1, 2], "each unclean stop begins one");
}

fn describe(topics: Option<&[(&str, &[i32])]>) -> DescribeLogDirsRequest {
    let topics = topics.map(|topics| {
        let topics = topics.iter().map(|(topic, partitions)| DescribableLogDirTopic {
            topic: (*topic).into(),
            partitions: partitions.to_vec(),
            ..DescribableLogDirTopic::default()
        });
        topics.collect()
    });
    DescribeLogDirsRequest { topics, ..DescribeLogDirsRequest::default() }
}

/// The directory's path, and the size of each partition of it that is told.
async fn sizes(client: &mut RawClient, request: &DescribeLogDirsRequest) -> (String, BTreeMap<(String, i32), i64>) {
    let mut response = client.call(request, DESCRIBE).await;
    assert_eq!((error(response.error_code), response.results.len()), (ErrorCode::None, 1));
    let result = response.results.remove(0);
    let partitions = result.topics.into_iter().flat_map(|topic| {
        let name = topic.name.to_string();
        topic.partitions.into_iter().map(move |partition| {
            assert_eq!((partition.offset_lag, partition.is_future_key), (0, false));
            ((name.clone(), partition.partition_index), partition.partition_size)
        })
    });
    (result.log_dir.to_string(), partitions.collect())
}

/// Bytes of all `.log` files in a partition's directory.
fn bytes_on_disk(log_dir: &str, topic: &str, partition: i32) -> i64 {
    let files = fs::read_dir(Path::new(log_dir).join(format!("{topic}-{partition}"))).expect("a partition's directory");
    let files = files.map(|file| file.expect("listed").path());
    let logs = files.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.map(|path| i64::try_from(fs::metadata(path).expect("there").len()).expect("a size")).sum()
}

#[tokio::test]
async fn the_directory_is_described_in_every_version() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "t9", 1).await;
    client.append(&topic, 0, &["a"]).await;
    for version in i16::from(stage.is_referee())..=DESCRIBE {
        let response = client.call(&describe(Some(&[(&topic.name, &[0])])), version).await;
        assert_eq!((error(response.error_code), response.results.len()), (ErrorCode::None, 1));
        let result = &response.results[0];
        assert_eq!(error(result.error_code), ErrorCode::None);
        assert!(Path::new(result.log_dir.as_str()).is_absolute(), "{}", result.log_dir);
        assert_eq!((result.topics.len(), result.topics[0].partitions.len()), (1, 1));
        let room = (result.total_bytes, result.usable_bytes);
        if version >= 4 {
            assert!(0 < room.1 && room.1 <= room.0, "{room:?}");
        } else {
            assert_eq!(room, (-1, -1), "version {version} has no such field");
        }
        assert!(!result.is_cordoned);
    }
}

#[tokio::test]
async fn the_sizes_are_those_of_the_files() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let configs = [("segment.bytes", "1048576"), ("file.delete.delay.ms", "0")];
    let topic = client.create_topic(&stage.name("t10"), 3, &configs).await;
    with_partitions(&mut client, &topic, 3).await;
    let large = "x".repeat(600_000);
    for _ in 0..3 {
        client.append(&topic, 0, &[&large]).await;
    }
    client.append(&topic, 1, &["a"]).await;
    let request = describe(Some(&[(&topic.name, &[0, 1, 2, 3, -1]), (&stage.name("none10"), &[0])]));
    let check = async |client: &mut RawClient| {
        let (log_dir, sizes) = sizes(client, &request).await;
        let told: Vec<_> = sizes.into_iter().map(|((name, partition), size)| (name, partition, size)).collect();
        let on_disk =
            (0..3).map(|partition| (topic.name.clone(), partition, bytes_on_disk(&log_dir, &topic.name, partition)));
        assert_eq!(told, on_disk.collect::<Vec<_>>());
        told[0].2
    };
    let before = check(&mut client).await;
    assert!(before > 1_800_000);
    assert_eq!(delete_to(&mut client, &topic, 0, 2).await, (ErrorCode::None, 2));
    if !stage.is_referee() {
        // Kafka's retention takes the segments some time later.
        assert!(check(&mut client).await < 700_000, "the segments below the start are gone");
    }
}

#[tokio::test]
async fn all_partitions_are_described_and_the_metadata_log_is_none() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "t11", 2).await;
    let (_, all) = sizes(&mut client, &describe(None)).await;
    assert!(all.contains_key(&(topic.name.clone(), 0)) && all.contains_key(&(topic.name.clone(), 1)));
    assert!(all.contains_key(&("__consumer_offsets".to_owned(), 0)));
    assert!(!all.keys().any(|(name, _)| name == "__cluster_metadata"));
    let nothing = describe(Some(&[]));
    assert_eq!(sizes(&mut client, &nothing).await.1.len(), 0);
    let metadata = describe(Some(&[("__cluster_metadata", &[0])]));
    assert_eq!(sizes(&mut client, &metadata).await.1.len(), 0);
}

#[tokio::test]
async fn librdkafka_adds_partitions_and_deletes_records() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "t12", 1).await;
    client.append(&topic, 0, &["a", "b", "c"]).await;
    let mut config = client_config(stage.address(), &[]);
    config.remove("message.timeout.ms");
    let admin: AdminClient<DefaultClientContext> = config.create().expect("an admin client");
    let options = AdminOptions::new().operation_timeout(Some(BOUND)).request_timeout(Some(BOUND));
    let grown = within(admin.create_partitions(&[NewPartitions::new(&topic.name, 4)], &options)).await;
    assert_eq!(grown.expect("answered"), [Ok(topic.name.clone())]);
    let refused = within(admin.create_partitions(&[NewPartitions::new(&topic.name, 4)], &options)).await;
    let refused = refused.expect("answered").remove(0).expect_err("as many as there are");
    assert_eq!(refused.1, rdkafka::types::RDKafkaErrorCode::InvalidPartitions);
    with_partitions(&mut client, &topic, 4).await;
    let mut offsets = rdkafka::TopicPartitionList::new();
    offsets.add_partition_offset(&topic.name, 0, rdkafka::Offset::Offset(2)).expect("an offset");
    offsets.add_partition_offset(&topic.name, 1, rdkafka::Offset::End).expect("an offset");
    let deleted = within(admin.delete_records(&offsets, &options)).await.expect("answered");
    let low = deleted.elements_for_topic(&topic.name);
    assert_eq!(
        low.iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::offset).collect::<Vec<_>>(),
        [rdkafka::Offset::Offset(2), rdkafka::Offset::Offset(0)]
    );
    assert_eq!(earliest(&mut client, &topic, 0).await.map(|(offset, _)| offset), Ok(2));
}

#[tokio::test]
async fn hundreds_of_topics_come_grow_are_described_and_go() {
    const TOPICS: usize = 500;
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let name = |n: usize| format!("t{n}");
    let topics = (0..TOPICS).map(|n| CreatableTopic {
        name: name(n).into(),
        num_partitions: 1,
        replication_factor: 1,
        ..CreatableTopic::default()
    });
    let create = CreateTopicsRequest { topics: topics.collect(), ..CreateTopicsRequest::default() };
    let created = client.call(&create, 7).await.topics;
    assert!(created.iter().all(|topic| error(topic.error_code) == ErrorCode::None));
    let asked = (0..TOPICS).map(|n| topic_to_grow(&name(n), 2)).collect();
    let results = grown(&mut client, &grow(asked), GROW).await;
    assert!(results.values().all(|(error, _)| *error == ErrorCode::None));
    let produced = TestTopic { name: name(7), id: created[7].topic_id };
    assert_eq!(client.append(&produced, 1, &["a"]).await, 0);
    assert_eq!(sizes(&mut client, &describe(None)).await.1.len(), 2 * TOPICS);
    let delete = DeleteTopicsRequest {
        topic_names: (0..TOPICS).map(|n| name(n).into()).collect(),
        ..DeleteTopicsRequest::default()
    };
    let before = metadata_batches(broker.path());
    let gone = client.call(&delete, 5).await.responses;
    assert!(gone.iter().all(|topic| error(topic.error_code) == ErrorCode::None));
    assert_eq!(metadata_batches(broker.path()), before + 1);
    assert_eq!(sizes(&mut client, &describe(None)).await.1.len(), 0);
}
