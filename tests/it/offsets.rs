//! `ListOffsets` and `OffsetForLeaderEpoch`.

use ottla::protocol::{
    error_code::ErrorCode,
    messages::{
        ListOffsetsRequest, OffsetForLeaderEpochRequest,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        list_offsets_response::ListOffsetsPartitionResponse,
        offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic},
    },
    records::{
        builder::{BatchBuilder, NewRecord},
        compression::Compression,
    },
};

use crate::support::{RawClient, TestBroker, TestTopic, build, error};

const HIGHEST: i16 = 11;
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

fn partition(partition_index: i32, timestamp: i64) -> ListOffsetsPartition {
    ListOffsetsPartition { partition_index, timestamp, ..ListOffsetsPartition::default() }
}

fn request(topic: &str, partitions: Vec<ListOffsetsPartition>) -> ListOffsetsRequest {
    let topic = ListOffsetsTopic { name: topic.into(), partitions, ..ListOffsetsTopic::default() };
    ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() }
}

async fn look_up(
    client: &mut RawClient,
    topic: &str,
    partition: ListOffsetsPartition,
    version: i16,
) -> ListOffsetsPartitionResponse {
    let mut response = client.call(&request(topic, vec![partition]), version).await;
    assert_eq!(response.topics.len(), 1);
    assert_eq!(response.topics[0].partitions.len(), 1);
    response.topics.remove(0).partitions.remove(0)
}

/// Offset and timestamp that were found.
async fn found(client: &mut RawClient, topic: &TestTopic, timestamp: i64) -> (i64, i64) {
    let found = look_up(client, &topic.name, partition(0, timestamp), HIGHEST).await;
    assert_eq!(error(found.error_code), ErrorCode::None, "{timestamp}");
    (found.offset, found.timestamp)
}

/// Appends a batch with records of these times.
async fn append(client: &mut RawClient, topic: &TestTopic, codec: Compression, times: &[i64]) {
    let records =
        times.iter().map(|timestamp| NewRecord { timestamp: *timestamp, value: Some(b"v"), ..NewRecord::default() });
    let batch = build(BatchBuilder::new(0).compression(codec, None), records);
    let result = client.produce(topic, 0, batch.bytes().clone(), 9).await;
    assert_eq!(error(result.error_code), ErrorCode::None);
}

#[tokio::test]
async fn the_ends_of_a_log_are_found_in_every_version() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    client.append(&topic, 0, &["a", "b", "c"]).await;
    for version in 1..=HIGHEST {
        let latest = look_up(&mut client, "t", partition(0, LATEST), version).await;
        assert_eq!((error(latest.error_code), latest.offset, latest.timestamp), (ErrorCode::None, 3, -1), "v{version}");
        let earliest = look_up(&mut client, "t", partition(0, EARLIEST), version).await;
        assert_eq!((error(earliest.error_code), earliest.offset), (ErrorCode::None, 0), "v{version}");
        assert_eq!((latest.leader_epoch, earliest.leader_epoch), if version >= 4 { (0, 0) } else { (-1, -1) });
    }
    let committed = ListOffsetsRequest { isolation_level: 1, ..request("t", vec![partition(0, LATEST)]) };
    assert_eq!(client.call(&committed, HIGHEST).await.topics[0].partitions[0].offset, 3);
}

#[tokio::test]
async fn an_empty_log_has_ends_and_nothing_between() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    assert_eq!(found(&mut client, &topic, LATEST).await, (0, -1));
    assert_eq!(found(&mut client, &topic, EARLIEST).await, (0, -1));
    assert_eq!(found(&mut client, &topic, MAX_TIMESTAMP).await, (-1, -1));
    assert_eq!(found(&mut client, &topic, 0).await, (-1, -1));
}

#[tokio::test]
async fn an_offset_is_found_by_time_inside_every_kind_of_batch() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let codecs = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for codec in codecs {
        let topic = broker.create_topic(codec.name(), 1).await;
        // Times need not ascend: 1300 comes before 1200.
        append(&mut client, &topic, codec, &[1_000, 1_100]).await;
        append(&mut client, &topic, codec, &[1_300, 1_200, 1_250]).await;
        append(&mut client, &topic, codec, &[1_300, 1_250]).await;
        for (timestamp, expected) in [
            (0, (0, 1_000)),
            (1_000, (0, 1_000)),
            (1_001, (1, 1_100)),
            (1_100, (1, 1_100)),
            (1_101, (2, 1_300)),
            (1_300, (2, 1_300)),
            (1_301, (-1, -1)),
            (MAX_TIMESTAMP, (2, 1_300)),
        ] {
            assert_eq!(found(&mut client, &topic, timestamp).await, expected, "{}: {timestamp}", codec.name());
        }
    }
}

#[tokio::test]
async fn the_broker_s_time_is_found_too() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic_with("t", 1, &[("message.timestamp.type", "LogAppendTime")]).await;
    append(&mut client, &topic, Compression::Lz4, &[1_000, 2_000]).await;
    let (offset, timestamp) = found(&mut client, &topic, 5_000).await;
    assert_eq!(offset, 0, "all records have the time of the append");
    assert!(timestamp > 2_000);
    assert_eq!(found(&mut client, &topic, MAX_TIMESTAMP).await, (0, timestamp));
}

#[tokio::test]
async fn special_timestamps_have_a_first_version() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    client.append(&topic, 0, &["a", "b"]).await;
    for (timestamp, first, offset) in
        [(MAX_TIMESTAMP, 7, 0), (EARLIEST_LOCAL, 8, 0), (LATEST_TIERED, 9, -1), (EARLIEST_PENDING_UPLOAD, 11, -1)]
    {
        for version in 1..=HIGHEST {
            let found = look_up(&mut client, "t", partition(0, timestamp), version).await;
            let expected =
                if version < first { (ErrorCode::UnsupportedVersion, -1) } else { (ErrorCode::None, offset) };
            assert_eq!((error(found.error_code), found.offset), expected, "{timestamp} v{version}");
        }
    }
    for unknown in [-7, i64::MIN] {
        let found = look_up(&mut client, "t", partition(0, unknown), HIGHEST).await;
        assert_eq!((error(found.error_code), found.offset), (ErrorCode::UnsupportedVersion, -1), "{unknown}");
    }
}

#[tokio::test]
async fn what_cannot_be_looked_up_says_why() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    broker.create_topic("t", 2).await;
    let with_epoch = |current_leader_epoch| ListOffsetsPartition { current_leader_epoch, ..partition(0, LATEST) };
    for (topic, partition, expected) in [
        ("none", partition(0, LATEST), ErrorCode::UnknownTopicOrPartition),
        ("t", partition(2, LATEST), ErrorCode::UnknownTopicOrPartition),
        ("t", partition(-1, LATEST), ErrorCode::UnknownTopicOrPartition),
        ("t", with_epoch(0), ErrorCode::None),
        ("t", with_epoch(1), ErrorCode::UnknownLeaderEpoch),
    ] {
        let found = look_up(&mut client, topic, partition, HIGHEST).await;
        assert_eq!(error(found.error_code), expected, "{topic}");
    }
    let twice = request("t", vec![partition(0, LATEST), partition(1, LATEST), partition(0, EARLIEST)]);
    let response = client.call(&twice, HIGHEST).await;
    let errors: Vec<_> =
        response.topics[0].partitions.iter().map(|p| (p.partition_index, error(p.error_code))).collect();
    assert!(errors.contains(&(0, ErrorCode::InvalidRequest)) && errors.contains(&(1, ErrorCode::None)), "{errors:?}");
}

#[tokio::test]
async fn an_epoch_ends_where_the_log_does() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    client.append(&topic, 0, &["a", "b"]).await;
    let ask = |topic: &str, partition, current_leader_epoch, leader_epoch| {
        let partition = OffsetForLeaderPartition {
            partition,
            current_leader_epoch,
            leader_epoch,
            ..OffsetForLeaderPartition::default()
        };
        let topic = OffsetForLeaderTopic { topic: topic.into(), partitions: vec![partition], ..Default::default() };
        OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![topic], ..Default::default() }
    };
    for version in 0..=4 {
        let response = client.call(&ask("t", 0, -1, 0), version).await;
        let end = &response.topics[0].partitions[0];
        assert_eq!((error(end.error_code), end.end_offset), (ErrorCode::None, 2), "v{version}");
        assert_eq!(end.leader_epoch, if version >= 1 { 0 } else { -1 });
    }
    for (request, expected) in [
        (ask("t", 0, 0, 5), (ErrorCode::None, -1)),
        (ask("t", 0, 1, 0), (ErrorCode::UnknownLeaderEpoch, -1)),
        (ask("t", 1, -1, 0), (ErrorCode::UnknownTopicOrPartition, -1)),
        (ask("none", 0, -1, 0), (ErrorCode::UnknownTopicOrPartition, -1)),
    ] {
        let response = client.call(&request, 4).await;
        let end = &response.topics[0].partitions[0];
        assert_eq!((error(end.error_code), end.end_offset), expected);
    }
}
