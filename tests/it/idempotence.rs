//! Idempotent producers: ids, duplicates, gaps, also after a restart.

use bytes::Bytes;
use ottla::protocol::{
    error_code::ErrorCode,
    messages::{InitProducerIdRequest, ProduceRequest},
    records::builder::BatchBuilder,
};

use crate::support::{
    RawClient, TestBroker, TestTopic, blocking, build, consume_with_librdkafka, error, produce_request,
    produce_with_librdkafka, record, results,
};

/// A version that names topics.
const BY_NAME: i16 = 9;

async fn new_producer(client: &mut RawClient) -> i64 {
    let request = InitProducerIdRequest { transactional_id: None, ..InitProducerIdRequest::default() };
    let response = client.call(&request, 4).await;
    assert_eq!((error(response.error_code), response.producer_epoch), (ErrorCode::None, 0));
    response.producer_id
}

fn batch(producer_id: i64, epoch: i16, sequence: i32, values: &[&str]) -> Bytes {
    let builder = BatchBuilder::new(0).producer(producer_id, epoch, sequence);
    build(builder, values.iter().map(|value| record(value))).bytes().clone()
}

async fn send(client: &mut RawClient, topic: &TestTopic, acks: i16, batch: Bytes) -> (ErrorCode, i64) {
    let request = ProduceRequest { acks, ..produce_request(topic, vec![(0, Some(batch))]) };
    let result = results(client.call(&request, BY_NAME).await).remove(0);
    (error(result.error_code), result.base_offset)
}

#[tokio::test]
async fn an_id_is_given_once() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(new_producer(&mut client).await);
    }
    let broker = broker.restarted().await;
    let mut client = broker.client().await;
    for _ in 0..1002 {
        ids.push(new_producer(&mut client).await);
    }
    assert!(ids[0] >= 0 && ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    for (transactional_id, refusal) in [("", ErrorCode::InvalidRequest), ("t", ErrorCode::UnsupportedVersion)] {
        let request = InitProducerIdRequest { transactional_id: Some(transactional_id.into()), ..Default::default() };
        assert_eq!(error(client.call(&request, 4).await.error_code), refusal);
    }
}

#[tokio::test]
async fn what_is_sent_again_is_not_appended_again() {
    let mut broker = TestBroker::start().await;
    let topic = broker.create_topic("t", 1).await;
    let mut client = broker.client().await;
    let id = new_producer(&mut client).await;
    for sequence in 0..5 {
        let sent = send(&mut client, &topic, -1, batch(id, 0, sequence * 2, &["a", "b"])).await;
        assert_eq!(sent, (ErrorCode::None, i64::from(sequence) * 2));
    }
    for acks in [-1, 1] {
        for sequence in 0..5 {
            let again = send(&mut client, &topic, acks, batch(id, 0, sequence * 2, &["a", "b"])).await;
            assert_eq!(again, (ErrorCode::None, i64::from(sequence) * 2));
        }
    }
    for restarts in 0..2 {
        assert_eq!(
            send(&mut client, &topic, -1, batch(id, 0, 8, &["a", "b"])).await,
            (ErrorCode::None, 8),
            "after {restarts} restarts"
        );
        let gap = send(&mut client, &topic, -1, batch(id, 0, 11, &["a"])).await;
        assert_eq!(gap, (ErrorCode::OutOfOrderSequenceNumber, -1));
        broker = broker.restarted().await;
        client = broker.client().await;
    }
    assert_eq!(send(&mut client, &topic, -1, batch(id, 1, 0, &["a"])).await, (ErrorCode::None, 10));
    let zombie = send(&mut client, &topic, -1, batch(id, 0, 10, &["a"])).await;
    assert_eq!(zombie, (ErrorCode::InvalidProducerEpoch, -1));
    let unknown = send(&mut client, &topic, -1, batch(id + 1, 0, 17, &["a"])).await;
    assert_eq!(unknown, (ErrorCode::None, 11), "a producer that is not known begins anywhere");
}

#[tokio::test]
async fn librdkafkas_idempotent_producer_works() {
    let broker = TestBroker::start().await;
    let address = broker.address();
    blocking(move || {
        let sent: Vec<_> = (0..1000).map(|n| (format!("key {n}"), format!("value {n}"))).collect();
        let settings = [("enable.idempotence", "true"), ("batch.num.messages", "20")];
        produce_with_librdkafka(address, &settings, "t", &sent);
        let consumed = consume_with_librdkafka(address, "t", sent.len());
        let expected: Vec<_> = (0..).zip(sent).map(|(offset, (key, value))| (offset, key, value)).collect();
        assert!(consumed == expected, "something is missing, doubled or out of order");
    })
    .await;
    let hosted = broker.server().broker().topic("t").expect("hosted");
    assert_eq!(hosted.partition(0).expect("there").0.producer_count(), 1);
}
