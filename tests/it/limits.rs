//! What clients may make the broker keep: one too many is refused, and who is there already goes on.

use std::path::Path;

use ottla::protocol::{
    error_code::ErrorCode,
    messages::{
        DeleteGroupsRequest, DescribeGroupsRequest, ListGroupsRequest, ListTransactionsRequest, MetadataRequest,
        OffsetCommitRequest, OffsetFetchRequest,
        metadata_request::MetadataRequestTopic,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_fetch_request::OffsetFetchRequestGroup,
    },
    records::{builder::BatchBuilder, compression::Compression},
};
use tempfile::TempDir;

use crate::{
    groups::{GROUP_SETTINGS, Member, group_client_at, heartbeat, loaded, stable_member},
    support::{
        BrokerProcess, RawClient, TestBroker, TestTopic, batch, build, error, produce_request, record, records, results,
    },
    transactional::{
        COMMIT_OFFSETS, INIT, Producer, TIMEOUT_MS, init_request, initialised, state_name, transaction_broker,
        transaction_client,
    },
};

/// A broker that keeps no more groups than this.
fn limited(directory: &Path, groups: u32) -> BrokerProcess {
    let limit = format!("ottla.groups.max={groups}");
    let settings = [&GROUP_SETTINGS[..], &[&limit]].concat();
    let args: Vec<_> = settings.iter().flat_map(|setting| ["--override", setting]).collect();
    BrokerProcess::start_with(directory, &args)
}

/// A commit of somebody outside the group.
async fn commit(client: &mut RawClient, group: &str, topic: &TestTopic) -> ErrorCode {
    let partition = OffsetCommitRequestPartition { committed_offset: 7, ..OffsetCommitRequestPartition::default() };
    let topic = OffsetCommitRequestTopic {
        topic_id: topic.id,
        partitions: vec![partition],
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest { group_id: group.into(), topics: vec![topic], ..OffsetCommitRequest::default() };
    error(client.call(&request, 10).await.topics[0].partitions[0].error_code)
}

async fn join(client: &mut RawClient, group: &str) -> ErrorCode {
    error(client.call(&Member::new(group).join(), 9).await.error_code)
}

async fn delete(client: &mut RawClient, group: &str) -> ErrorCode {
    let request = DeleteGroupsRequest { groups_names: vec![group.into()], ..DeleteGroupsRequest::default() };
    error(client.call(&request, 2).await.results[0].error_code)
}

/// What is answered of a group that is not there, if one only asks.
async fn asked(client: &mut RawClient, group: &str) -> [ErrorCode; 2] {
    let describe = DescribeGroupsRequest { groups: vec![group.into()], ..DescribeGroupsRequest::default() };
    let described = client.call(&describe, 6).await.groups[0].error_code;
    let fetched =
        OffsetFetchRequestGroup { group_id: group.into(), topics: None, ..OffsetFetchRequestGroup::default() };
    let fetch = OffsetFetchRequest { groups: vec![fetched], ..OffsetFetchRequest::default() };
    [described, client.call(&fetch, 9).await.groups[0].error_code].map(error)
}

async fn groups(client: &mut RawClient) -> Vec<String> {
    let listed = client.call(&ListGroupsRequest::default(), 5).await.groups;
    let mut names: Vec<_> = listed.iter().map(|group| group.group_id.to_string()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_group_too_many_is_refused_and_the_others_go_on() {
    let directory = TempDir::new().expect("a temporary directory");
    let broker = limited(directory.path(), 2);
    let mut client = group_client_at(broker.address()).await;
    let topic = client.create_topic("t", 1, &[]).await;
    let member = stable_member(&mut client, "members", b"s").await;
    assert_eq!(commit(&mut client, "offsets", &topic).await, ErrorCode::None);
    for group in ["third", "fourth"] {
        assert_eq!(join(&mut client, group).await, ErrorCode::PolicyViolation);
        assert_eq!(commit(&mut client, group, &topic).await, ErrorCode::PolicyViolation);
        assert_eq!(asked(&mut client, group).await, [ErrorCode::GroupIdNotFound, ErrorCode::None]);
    }
    assert_eq!(groups(&mut client).await, ["members", "offsets"]);
    assert_eq!(heartbeat(&mut client, &member).await, ErrorCode::None);
    assert_eq!(commit(&mut client, "offsets", &topic).await, ErrorCode::None);
    assert_eq!(delete(&mut client, "offsets").await, ErrorCode::None);
    assert_eq!(join(&mut client, "third").await, ErrorCode::MemberIdRequired, "there is room again");
    assert_eq!(commit(&mut client, "offsets", &topic).await, ErrorCode::PolicyViolation);
    broker.terminate();
    let (_, said) = broker.wait();
    let lines: Vec<_> = said.lines().filter(|line| line.contains("as many as ottla.groups.max allows, 2")).collect();
    assert!(matches!(lines[..], [line] if line.contains("WARN")), "{said}");
}

#[tokio::test]
async fn a_lower_limit_takes_no_group_away() {
    let directory = TempDir::new().expect("a temporary directory");
    let broker = limited(directory.path(), 2);
    let mut client = group_client_at(broker.address()).await;
    let topic = client.create_topic("t", 1, &[]).await;
    for group in ["first", "second"] {
        assert_eq!(commit(&mut client, group, &topic).await, ErrorCode::None);
    }
    broker.kill();
    let broker = limited(directory.path(), 1);
    let mut client = group_client_at(broker.address()).await;
    for group in ["first", "second"] {
        loaded(&mut client, group).await;
        assert_eq!(commit(&mut client, group, &topic).await, ErrorCode::None);
    }
    assert_eq!(groups(&mut client).await, ["first", "second"]);
    assert_eq!(delete(&mut client, "first").await, ErrorCode::None);
    assert_eq!(commit(&mut client, "first", &topic).await, ErrorCode::PolicyViolation);
}

#[tokio::test]
async fn a_transactional_id_too_many_is_refused_and_the_others_go_on() {
    let broker = transaction_broker(&["ottla.transactional.ids.max=1", "ottla.groups.max=1"]).await;
    let mut client = transaction_client(broker.address()).await;
    let topic = client.create_topic("t", 1, &[]).await;
    let producer = Producer::init(&mut client, "first").await;
    let refused = initialised(&mut client, &init_request("second", TIMEOUT_MS), INIT).await;
    assert_eq!(error(refused.error_code), ErrorCode::PolicyViolation);
    let listed = client.call(&ListTransactionsRequest::default(), 2).await.transaction_states;
    assert_eq!(listed.len(), 1);
    // Offsets of a transaction bring a group into being too.
    assert_eq!(commit(&mut client, "simple", &topic).await, ErrorCode::None);
    let refused = producer.commit_offset(&mut client, "other", &topic, 1, COMMIT_OFFSETS).await;
    assert_eq!(refused, ErrorCode::PolicyViolation);
    let taken = producer.commit_offset(&mut client, "simple", &topic, 1, COMMIT_OFFSETS).await;
    assert_eq!(taken, ErrorCode::None);
    producer.ended(&mut client, true, 5).await;
    producer.settled(&mut client).await;
    assert_eq!(state_name(&mut client, "first").await, "CompleteCommit");
    let broker = broker.restarted().await;
    let mut client = transaction_client(broker.address()).await;
    let refused = initialised(&mut client, &init_request("second", TIMEOUT_MS), INIT).await;
    assert_eq!(error(refused.error_code), ErrorCode::PolicyViolation);
    Producer::init(&mut client, "first").await;
}

/// A batch of so many records, which tells its readers that there are more before it is unpacked.
#[tokio::test]
async fn a_batch_of_too_many_records_is_refused_and_the_others_are_written() {
    let broker = TestBroker::with(&["ottla.batch.records.max=3"]).await;
    let mut client = broker.client().await;
    let topic = client.create_topic("t", 3, &[]).await;
    let packed = |values: &[&str]| {
        let builder = BatchBuilder::new(0).compression(Compression::Zstd, None);
        build(builder, values.iter().map(|value| record(value))).bytes().clone()
    };
    let batches = [batch(&["a", "b", "c"]), batch(&["a", "b", "c", "d"]), packed(&["a", "b", "c", "d"])];
    let request = produce_request(&topic, (0..).zip(batches.map(Some)).collect());
    let answers = results(client.call(&request, 13).await);
    let codes: Vec<_> = answers.iter().map(|answer| error(answer.error_code)).collect();
    assert_eq!(codes, [ErrorCode::None, ErrorCode::MessageTooLarge, ErrorCode::MessageTooLarge]);
    let said = answers[1].error_message.as_deref();
    assert_eq!(said, Some("the batch has 4 records, ottla.batch.records.max is 3"));
    assert_eq!(records(&client.fetch(&topic, 0, 0).await).len(), 3);
    assert_eq!(records(&client.fetch(&topic, 1, 0).await), []);
}

#[tokio::test]
async fn a_request_that_takes_too_much_memory_is_not_read() {
    let broker = TestBroker::with(&["socket.request.max.bytes=65536", "ottla.requests.memory.max=65536"]).await;
    let naming = |count: usize| {
        let topic = |number| MetadataRequestTopic {
            name: Some(format!("t{number}").into()),
            ..MetadataRequestTopic::default()
        };
        MetadataRequest { topics: Some((0..count).map(topic).collect()), ..MetadataRequest::default() }
    };
    let mut client = broker.client().await;
    assert_eq!(client.call(&naming(100), 12).await.topics.len(), 100);
    assert!(!client.is_served(&naming(2500), 12).await, "what it decodes to is more than its bytes");
    let mut client = broker.client().await;
    assert_eq!(client.call(&naming(100), 12).await.topics.len(), 100);
}
