//! What an acknowledgement means, and that whoever has one finds what it is about.

use ottla::protocol::{
    error_code::ErrorCode,
    messages::{
        ListOffsetsRequest, ProduceRequest,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
    },
};

use crate::support::{
    RawClient, TestBroker, TestTopic, batch, error, fetch_request, only_partition, produce_request, records, results,
};

/// A version that names topics.
const BY_NAME: i16 = 9;
const LATEST: i64 = -1;

async fn produce(client: &mut RawClient, topic: &TestTopic, acks: i16, value: &str) -> i64 {
    let request = ProduceRequest { acks, ..produce_request(topic, vec![(0, Some(batch(&[value])))]) };
    let result = results(client.call(&request, BY_NAME).await).remove(0);
    assert_eq!(error(result.error_code), ErrorCode::None);
    result.base_offset
}

async fn latest(client: &mut RawClient, topic: &TestTopic) -> i64 {
    let partition = ListOffsetsPartition { timestamp: LATEST, ..ListOffsetsPartition::default() };
    let topic = ListOffsetsTopic {
        name: topic.name.as_str().into(),
        partitions: vec![partition],
        ..ListOffsetsTopic::default()
    };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
    client.call(&request, 7).await.topics[0].partitions[0].offset
}

#[tokio::test]
async fn what_was_acknowledged_is_found_at_once() {
    for durability in ["fsync", "kafka"] {
        let broker = TestBroker::with(&[&format!("ottla.durability={durability}")]).await;
        let topic = broker.create_topic("t", 1).await;
        let (mut producer, mut consumer) = (broker.client().await, broker.client().await);
        for expected in 0..60 {
            let acks = if expected % 3 == 0 { -1 } else { 1 };
            let value = expected.to_string();
            assert_eq!(produce(&mut producer, &topic, acks, &value).await, expected);
            if expected % 2 == 0 {
                assert_eq!(latest(&mut consumer, &topic).await, expected + 1);
            }
            // Without any time to wait.
            let fetched = consumer.call(&fetch_request(&topic, 0, expected), 12).await;
            assert_eq!(records(&only_partition(fetched)), [(expected, value)]);
        }
    }
}

#[tokio::test]
async fn the_high_watermark_reaches_the_end_without_another_append() {
    let broker = TestBroker::start().await;
    let topic = broker.create_topic("t", 1).await;
    let mut client = broker.client().await;
    produce(&mut client, &topic, 1, "a").await;
    let hosted = broker.server().broker().topic("t").expect("hosted");
    let (log, _) = hosted.partition(0).expect("there");
    log.committed(1).await.expect("on disk");
    assert_eq!((log.high_watermark(), log.flushed()), (1, 1));
}

#[tokio::test]
async fn produces_in_flight_share_the_disk() {
    let broker = TestBroker::start().await;
    let topic = broker.create_topic("t", 1).await;
    let mut client = broker.client().await;
    let mut sent = Vec::new();
    for _ in 0..10 {
        sent.push(client.send(&produce_request(&topic, vec![(0, Some(batch(&["a"])))]), BY_NAME).await);
    }
    for (expected, id) in (0..).zip(sent) {
        let result = results(client.receive::<ProduceRequest>(id, BY_NAME).await).remove(0);
        assert_eq!((error(result.error_code), result.base_offset), (ErrorCode::None, expected));
    }
}
