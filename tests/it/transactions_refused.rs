//! What nobody may do with transactions. It is refused, and nothing is written.

use bytes::Bytes;
use ottla::protocol::{
    error_code::ErrorCode,
    messages::{ApiKey, ProduceRequest, ProduceResponse},
    records::{builder::BatchBuilder, control::ControlRecordType},
};
use uuid::Uuid;

use crate::{
    groups::Member,
    support::{RawClient, TestTopic, build, error, produce_request, record, results},
    transactional::{
        COMMIT_OFFSETS, END, INIT, OLD_ADD, PRODUCE, Producer, Stage, added, committed_offset, high_watermark,
        init_request, now_ms, state, state_name, transaction_broker, transaction_client,
    },
};

async fn refused(client: &mut RawClient, request: &ProduceRequest, version: i16) -> Vec<ErrorCode> {
    errors(client.call(request, version).await)
}

fn errors(response: ProduceResponse) -> Vec<ErrorCode> {
    results(response).iter().map(|result| error(result.error_code)).collect()
}

/// What a batch is refused for that is no part of a transaction, where the version does not make it one.
fn not_added(version: i16, otherwise: ErrorCode) -> ErrorCode {
    match version {
        ..11 => ErrorCode::InvalidTxnState,
        11 => ErrorCode::TransactionAbortable,
        _ => otherwise,
    }
}

/// A marker as a coordinator would write it.
fn marker(producer: &Producer) -> Bytes {
    let mut builder = BatchBuilder::new(0).producer(producer.id, producer.epoch, -1).transactional().control();
    builder.append_control(ControlRecordType::Commit, now_ms(), &[0, 0, 0, 0, 0, 0]).expect("a record");
    builder.build().expect("a batch").bytes().clone()
}

#[tokio::test]
async fn records_that_are_not_the_clients_to_write() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "refused", 2).await;
    let producer = Producer::init(&mut client, &stage.name("refused")).await;
    let other = Producer::init(&mut client, &stage.name("refused-other")).await;
    for version in [9, 11, PRODUCE] {
        let one = producer.produce_request(&topic, vec![(0, Some(producer.batch(0, &["a"])))]);
        let without_id = ProduceRequest { transactional_id: None, ..one.clone() };
        let refusal = refused(&mut client, &without_id, version).await;
        assert_eq!(refusal, [ErrorCode::TransactionalIdAuthorizationFailed], "version {version}");
        let unknown = ProduceRequest { transactional_id: Some(stage.name("nobody").as_str().into()), ..one.clone() };
        let refusal = refused(&mut client, &unknown, version).await;
        assert_eq!(refusal, [ErrorCode::InvalidProducerIdMapping], "version {version}");
        let foreign = ProduceRequest { transactional_id: Some(other.transactional_id.as_str().into()), ..one.clone() };
        let refusal = refused(&mut client, &foreign, version).await;
        assert_eq!(refusal, [ErrorCode::InvalidProducerIdMapping], "version {version}");
        let empty = ProduceRequest { transactional_id: Some("".into()), ..one };
        let refusal = refused(&mut client, &empty, version).await;
        assert_eq!(refusal, [ErrorCode::InvalidRequest], "version {version}");
        let two = vec![(0, Some(producer.batch(0, &["a"]))), (1, Some(other.batch(0, &["b"])))];
        let refusal = refused(&mut client, &producer.produce_request(&topic, two), version).await;
        assert_eq!(refusal, [ErrorCode::InvalidProducerIdMapping; 2], "version {version}");
        let control = producer.produce_request(&topic, vec![(0, Some(marker(&producer)))]);
        let refusal = refused(&mut client, &control, version).await;
        assert_eq!(refusal, [not_added(version, ErrorCode::InvalidRecord)], "version {version}");
        let newer = producer.in_epoch(producer.epoch + 1);
        let refusal = newer.produce(&mut client, &topic, 0, "a", version).await;
        assert_eq!(refusal, ErrorCode::InvalidProducerEpoch, "version {version}");
        nothing_written(&mut client, &topic).await;
        // Where producing begins a transaction, the marker has; there is nothing in it.
        let begun = if version < PRODUCE { "Empty" } else { "Ongoing" };
        assert_eq!(state_name(&mut client, &producer.transactional_id).await, begun);
        assert_eq!(state_name(&mut client, &other.transactional_id).await, "Empty");
    }
}

async fn nothing_written(client: &mut RawClient, topic: &TestTopic) {
    for partition in 0..2 {
        assert_eq!(high_watermark(client, topic, partition).await, 0);
    }
}

/// A marker that is no transaction's, from somebody who is no producer at all.
#[tokio::test]
async fn control_batches() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "control", 2).await;
    let mut builder = BatchBuilder::new(0).control();
    builder.append_control(ControlRecordType::LeaderChange, now_ms(), b"").expect("a record");
    let control = builder.build().expect("a batch").bytes().clone();
    let plain = build(BatchBuilder::new(0).control(), [record("no control record")]).bytes().clone();
    for version in 3..=PRODUCE {
        for batch in [&control, &plain] {
            let request = produce_request(&topic, vec![(0, Some(batch.clone()))]);
            assert_eq!(refused(&mut client, &request, version).await, [ErrorCode::InvalidRecord], "version {version}");
        }
    }
    nothing_written(&mut client, &topic).await;
}

#[tokio::test]
async fn initialisations() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let id = stage.name("no-init");
    let longest = 900_000;
    for version in 0..=INIT {
        for timeout_ms in [0, -1, i32::MIN, longest + 1, i32::MAX] {
            let response = client.call(&init_request(&id, timeout_ms), version).await;
            let expected = (ErrorCode::InvalidTransactionTimeout, -1, -1);
            assert_eq!((error(response.error_code), response.producer_id, response.producer_epoch), expected);
        }
        for timeout_ms in [0, 1000] {
            let response = client.call(&init_request("", timeout_ms), version).await;
            assert_eq!(error(response.error_code), ErrorCode::InvalidRequest, "version {version}");
        }
    }
    assert_eq!(error(state(&mut client, &id).await.error_code), ErrorCode::TransactionalIdNotFound);
    Producer::init_with(&mut client, &id, longest).await;
}

#[tokio::test]
async fn partitions() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "no-add", 2).await;
    let producer = Producer::init(&mut client, &stage.name("no-add")).await;
    for version in 0..=OLD_ADD {
        let beyond = producer.add(&mut client, &topic.name, &[0, 2, 1], version).await;
        let (not_tried, not_there) = (ErrorCode::OperationNotAttempted, ErrorCode::UnknownTopicOrPartition);
        assert_eq!(beyond, [(0, not_tried), (1, not_tried), (2, not_there)], "version {version}");
        let unknown = producer.add(&mut client, "no-such-topic", &[0], version).await;
        assert_eq!(unknown, [(0, not_there)], "version {version}");
        for internal in ["__consumer_offsets", "__transaction_state"] {
            let refused = producer.add(&mut client, internal, &[0], version).await;
            assert_eq!(refused, [(0, ErrorCode::TopicAuthorizationFailed)], "version {version}");
        }
        let nobody = Producer { transactional_id: String::new(), ..producer.clone() };
        let refused = nobody.add(&mut client, &topic.name, &[0, 1], version).await;
        assert_eq!(refused, [0, 1].map(|partition| (partition, ErrorCode::InvalidRequest)), "version {version}");
    }
    for version in 4..=5 {
        let request = producer.add_request("no-such-topic", &[0], version);
        let unknown = added(&mut client, &request, version).await;
        assert_eq!(unknown, [(0, ErrorCode::UnknownTopicOrPartition)], "version {version}");
        let nobody = Producer { transactional_id: String::new(), ..producer.clone() };
        let refused = nobody.add(&mut client, &topic.name, &[0], version).await;
        assert_eq!(refused, [(0, ErrorCode::InvalidRequest)], "version {version}");
    }
    assert_eq!(state_name(&mut client, &producer.transactional_id).await, "Empty");
}

#[tokio::test]
async fn groups_and_ends() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "no-group", 2).await;
    let producer = Producer::init(&mut client, &stage.name("no-group")).await;
    let nobody = Producer { transactional_id: String::new(), ..producer.clone() };
    for version in 0..=4 {
        let refused = nobody.add_offsets(&mut client, "a group", version).await;
        assert_eq!(refused, ErrorCode::InvalidRequest, "version {version}");
    }
    for version in 0..=6 {
        let request = producer.offsets_request(&Member::new(""), &topic, 1);
        let refused = committed_offset(&mut client, &request, version).await;
        assert_eq!(refused, ErrorCode::InvalidGroupId, "version {version}");
        let request = nobody.offsets_request(&Member::new("a group"), &topic, 1);
        let refused = committed_offset(&mut client, &request, version).await;
        assert_eq!(refused, ErrorCode::InvalidRequest, "version {version}");
    }
    for version in 0..=END {
        let refused = nobody.end(&mut client, true, version).await;
        assert_eq!(refused, Err(ErrorCode::InvalidRequest), "version {version}");
    }
    assert_eq!(state_name(&mut client, &producer.transactional_id).await, "Empty");
    for version in 0..=4 {
        // That it is no group is told by what commits the offsets.
        assert_eq!(producer.add_offsets(&mut client, "", version).await, ErrorCode::None, "version {version}");
    }
    assert_eq!(producer.commit_offset(&mut client, "a group", &topic, 1, COMMIT_OFFSETS).await, ErrorCode::None);
    producer.ended(&mut client, false, END).await;
}

/// Internal topics take part in no client's transaction.
#[tokio::test]
async fn internal_topics() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let producer = Producer::init(&mut client, &stage.name("internal")).await;
    for name in ["__consumer_offsets", "__transaction_state"] {
        let topic = TestTopic { name: name.to_owned(), id: Uuid::nil() };
        for version in [9, 11, PRODUCE] {
            let request = producer.produce_request(&topic, vec![(0, Some(producer.batch(0, &["a"])))]);
            let refusal = refused(&mut client, &request, version).await;
            // Kafka looks at the transaction first, and lets the topic into it.
            let expected = ErrorCode::InvalidTopicException;
            let expected = stage.expects(expected, not_added(version, expected));
            assert_eq!(refusal, [expected], "version {version}, {name}");
        }
    }
    let expected = stage.expects("Empty", "Ongoing");
    assert_eq!(state_name(&mut client, &producer.transactional_id).await, expected);
}

/// Markers are what brokers send each other; there is no other broker.
#[tokio::test]
async fn markers() {
    let broker = transaction_broker(&[]).await;
    let mut client = transaction_client(broker.address()).await;
    let topic = broker.create_topic("markers", 2).await;
    let producer = Producer::init(&mut client, "markers").await;
    producer.produced(&mut client, &topic, 0, "a").await;
    // One marker of version 1: the producer, commit, partition 0 of the topic, the coordinator's epoch.
    let body = [
        &[2][..],
        &producer.id.to_be_bytes(),
        &producer.epoch.to_be_bytes(),
        &[1, 2, 8],
        b"markers",
        &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let response = client.call_bytes(ApiKey::WriteTxnMarkers, 1, &body, 1).await;
    assert!(response.windows(2).any(|code| code == ErrorCode::UnsupportedVersion.code().to_be_bytes()), "{response:?}");
    assert_eq!(high_watermark(&mut client, &topic, 0).await, 1);
    assert_eq!(state_name(&mut client, "markers").await, "Ongoing");
}
