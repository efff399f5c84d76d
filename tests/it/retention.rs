//! Segments that retention takes, and the files of what is deleted.

use std::{fs, path::Path, time::Duration};

use ottla::protocol::{
    error_code::ErrorCode,
    messages::{
        DeleteTopicsRequest, ListOffsetsRequest,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
    },
    records::builder::{BatchBuilder, NewRecord},
};

use crate::support::{
    RawClient, TestBroker, TestTopic, blocking, build, consume_with_librdkafka, error, record, records, within,
};

const EARLIEST: i64 = -2;
const LATEST: i64 = -1;
/// Segments of a mebibyte, the least, of which three of these records fill one.
const SEGMENT_BYTES: (&str, &str) = ("segment.bytes", "1048576");
const RECORD_SIZE: usize = 300_000;
pub(crate) const OFTEN: &str = "log.retention.check.interval.ms=10";

pub(crate) async fn offset(client: &mut RawClient, topic: &TestTopic, timestamp: i64) -> i64 {
    let partition = ListOffsetsPartition { timestamp, ..ListOffsetsPartition::default() };
    let topic = ListOffsetsTopic {
        name: topic.name.as_str().into(),
        partitions: vec![partition],
        ..ListOffsetsTopic::default()
    };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
    let response = client.call(&request, 7).await;
    let partition = &response.topics[0].partitions[0];
    assert_eq!(error(partition.error_code), ErrorCode::None);
    partition.offset
}

/// Looks again and again until the log starts there.
pub(crate) async fn starts_at(client: &mut RawClient, topic: &TestTopic, expected: i64) {
    within(async {
        while offset(client, topic, EARLIEST).await != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Looks again and again until it is so.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    within(async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

fn any_ends_with(directory: &Path, end: &str) -> bool {
    names(directory).iter().any(|name| name.ends_with(end))
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("listed").file_name().into_string().expect("a name")).collect();
    names.sort();
    names
}

pub(crate) fn logs(directory: &Path) -> Vec<String> {
    names(directory).into_iter().filter(|name| name.ends_with(".log")).collect()
}

pub(crate) async fn append(client: &mut RawClient, topic: &TestTopic, count: usize) {
    let value = "v".repeat(RECORD_SIZE);
    for _ in 0..count {
        client.append(topic, 0, &[&value]).await;
    }
}

#[tokio::test]
async fn a_topic_keeps_its_size() {
    let broker = TestBroker::with(&[OFTEN]).await;
    let configs =
        [SEGMENT_BYTES, ("retention.bytes", "1500000"), ("retention.ms", "-1"), ("file.delete.delay.ms", "0")];
    let topic = broker.create_topic_with("t", 1, &configs).await;
    let mut client = broker.client().await;
    append(&mut client, &topic, 10).await;
    // Ten records in segments of three: 3 MB, of which five records have to stay, so seven do.
    starts_at(&mut client, &topic, 3).await;
    let fetched = client.fetch(&topic, 0, 2).await;
    assert_eq!(error(fetched.error_code), ErrorCode::OffsetOutOfRange);
    assert_eq!(fetched.log_start_offset, -1);
    let fetched = client.fetch(&topic, 0, 3).await;
    assert_eq!((records(&fetched)[0].0, fetched.log_start_offset), (3, 3));
    let directory = broker.path().join("t-0");
    let expected = [3, 6, 9].map(|base| format!("{base:020}.log"));
    until(|| logs(&directory) == expected && !any_ends_with(&directory, ".deleted")).await;
    let address = broker.address();
    let consumed = blocking(move || consume_with_librdkafka(address, "t", 7)).await;
    assert_eq!(consumed.iter().map(|(offset, _, _)| *offset).collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8, 9]);

    let broker = broker.restarted().await;
    let mut client = broker.client().await;
    assert_eq!(offset(&mut client, &topic, EARLIEST).await, 3);
    append(&mut client, &topic, 3).await;
    starts_at(&mut client, &topic, 6).await;
}

#[tokio::test]
async fn a_topic_of_old_records_is_emptied_and_goes_on() {
    let broker = TestBroker::with(&[OFTEN]).await;
    // The records of these tests are of 2023.
    let delays = [("file.delete.delay.ms", "86400000"), SEGMENT_BYTES];
    let old = broker.create_topic_with("old", 1, &[&[("retention.ms", "1000")], &delays[..]].concat()).await;
    let compacted = [("retention.ms", "1000"), ("cleanup.policy", "compact")];
    let kept = broker.create_topic_with("kept", 1, &[&compacted, &delays[..]].concat()).await;
    let mut client = broker.client().await;
    assert_eq!(append_with_key(&mut client, &kept).await, 0);
    client.append(&old, 0, &["a", "b", "c"]).await;
    starts_at(&mut client, &old, 3).await;
    assert_eq!(offset(&mut client, &old, LATEST).await, 3);
    assert_eq!(offset(&mut client, &kept, EARLIEST).await, 0, "its policy is not to delete");
    let directory = broker.path().join("old-0");
    let deleted = format!("{:020}.log.deleted", 0);
    until(|| names(&directory).contains(&deleted)).await;

    // Neither the delay nor the empty log outlives the process.
    let broker = broker.restarted().await;
    assert!(!names(&directory).contains(&deleted));
    assert_eq!(logs(&directory), [format!("{:020}.log", 3)]);
    let mut client = broker.client().await;
    assert_eq!(client.append(&old, 0, &["d"]).await, 3);
    starts_at(&mut client, &old, 4).await;
}

/// A record with a key, which a compacted topic asks for. Returns its offset.
async fn append_with_key(client: &mut RawClient, topic: &TestTopic) -> i64 {
    let record = NewRecord { key: Some(b"k"), ..record("v") };
    let batch = build(BatchBuilder::new(0), [record]).bytes().clone();
    let result = client.produce(topic, 0, batch, 9).await;
    assert_eq!(error(result.error_code), ErrorCode::None);
    result.base_offset
}

#[tokio::test]
async fn a_deleted_topics_directory_is_removed_after_the_delay() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    broker.create_topic_with("soon", 1, &[("file.delete.delay.ms", "0")]).await;
    broker.create_topic_with("later", 1, &[("file.delete.delay.ms", "9223372036854775807")]).await;
    for name in ["later", "soon"] {
        let request =
            DeleteTopicsRequest { topic_names: vec![name.into()], timeout_ms: 1000, ..DeleteTopicsRequest::default() };
        let response = client.call(&request, 5).await;
        assert_eq!(error(response.responses[0].error_code), ErrorCode::None);
    }
    let left = || names(broker.path()).into_iter().filter(|name| name.ends_with("-delete")).collect::<Vec<_>>();
    until(|| left().len() == 1).await;
    assert!(left()[0].starts_with("later-0."), "{:?}", left());
    let broker = broker.restarted().await;
    until(|| !any_ends_with(broker.path(), "-delete")).await;
}
