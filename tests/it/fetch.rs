//! `Fetch`: how long it waits, how much it brings, what it refuses, and sessions.

use std::time::{Duration, Instant};

use ottla::{
    handlers::fetch::session::PARTITIONS_MAX,
    protocol::{
        error_code::ErrorCode,
        messages::{
            DeleteTopicsRequest, FetchRequest, FetchResponse,
            fetch_request::{FetchPartition, ForgottenTopic, ReplicaState},
            fetch_response::PartitionData,
        },
        records::{Records, compression::Compression},
    },
};
use uuid::Uuid;

use crate::support::{
    LONG_WAIT_MS, RawClient, TestBroker, TestTopic, batch, batches, error, fetch_request, only_partition, partitions,
    records,
};

/// The last version that names topics, and the last one.
const BY_NAME: i16 = 12;
const HIGHEST: i16 = 18;
/// How long an append may take to reach a consumer that waits for it. Far below any wait that a request here asks for.
const SOON: Duration = Duration::from_millis(200);

fn waiting(request: FetchRequest) -> FetchRequest {
    FetchRequest { max_wait_ms: LONG_WAIT_MS, ..request }
}

/// Changes the one partition of a request.
fn with(mut request: FetchRequest, change: impl FnOnce(&mut FetchPartition)) -> FetchRequest {
    change(&mut request.topics[0].partitions[0]);
    request
}

fn len(partition: &PartitionData) -> usize {
    partition.records.as_ref().map_or(0, Records::len)
}

fn values(partition: &PartitionData) -> Vec<String> {
    records(partition).into_iter().map(|(_, value)| value).collect()
}

#[tokio::test]
async fn records_are_read_in_every_version() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    client.append(&topic, 0, &["a", "b"]).await;
    client.append(&topic, 0, &["c"]).await;
    for version in 4..=HIGHEST {
        let partition = only_partition(client.call(&fetch_request(&topic, 0, 1), version).await);
        assert_eq!(error(partition.error_code), ErrorCode::None, "v{version}");
        // From the batch on that has the offset.
        assert_eq!(values(&partition), ["a", "b", "c"], "v{version}");
        let offsets = (partition.log_start_offset, partition.last_stable_offset, partition.high_watermark);
        assert_eq!(offsets, (if version >= 5 { 0 } else { -1 }, 3, 3), "v{version}");
        assert_eq!(partition.aborted_transactions, None);
    }
}

#[tokio::test]
async fn read_committed_brings_its_fields() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    client.append(&topic, 0, &["a"]).await;
    let request = FetchRequest { isolation_level: 1, ..fetch_request(&topic, 0, 0) };
    for version in [4, BY_NAME, HIGHEST] {
        let partition = only_partition(client.call(&request, version).await);
        assert_eq!((partition.last_stable_offset, partition.aborted_transactions.as_deref()), (1, Some(&[][..])));
        assert_eq!(values(&partition), ["a"]);
    }
}

#[tokio::test]
async fn a_long_poll_is_woken_by_an_append() {
    let broker = TestBroker::start().await;
    let (mut consumer, mut producer) = (broker.client().await, broker.client().await);
    let topic = broker.create_topic("t", 1).await;
    let mut quickest = Duration::MAX;
    for offset in 0..5 {
        let id = consumer.send(&waiting(fetch_request(&topic, 0, offset)), HIGHEST).await;
        let start = Instant::now();
        producer.append(&topic, 0, &["a"]).await;
        let partition = only_partition(consumer.receive::<FetchRequest>(id, HIGHEST).await);
        quickest = quickest.min(start.elapsed());
        assert_eq!(records(&partition), [(offset, "a".to_owned())]);
    }
    assert!(quickest < SOON, "{quickest:?}");
}

#[tokio::test]
async fn a_long_poll_over_many_partitions_is_woken_by_any() {
    let broker = TestBroker::start().await;
    let (mut consumer, mut producer) = (broker.client().await, broker.client().await);
    let topic = broker.create_topic("t", 20).await;
    let mut request = waiting(fetch_request(&topic, 0, 0));
    let first = request.topics[0].partitions[0].clone();
    request.topics[0].partitions = (0..20).map(|partition| FetchPartition { partition, ..first.clone() }).collect();
    let id = consumer.send(&request, HIGHEST).await;
    producer.append(&topic, 13, &["a"]).await;
    let answered = partitions(consumer.receive::<FetchRequest>(id, HIGHEST).await);
    assert_eq!(answered.len(), 20, "without a session all are named");
    let with_records: Vec<_> = answered.iter().filter(|p| len(p) > 0).map(|p| p.partition_index).collect();
    assert_eq!(with_records, [13]);
}

#[tokio::test]
async fn a_fetch_waits_for_enough_bytes() {
    let broker = TestBroker::start().await;
    let (mut consumer, mut producer) = (broker.client().await, broker.client().await);
    let topic = broker.create_topic("t", 1).await;
    let one = i32::try_from(batch(&["a"]).len()).expect("short");
    let request = FetchRequest { min_bytes: 2 * one + 1, ..waiting(fetch_request(&topic, 0, 0)) };
    let id = consumer.send(&request, HIGHEST).await;
    for _ in 0..3 {
        producer.append(&topic, 0, &["a"]).await;
    }
    let partition = only_partition(consumer.receive::<FetchRequest>(id, HIGHEST).await);
    assert_eq!(values(&partition).len(), 3, "two are not enough");
}

#[tokio::test]
async fn what_was_appended_long_ago_is_read_and_waited_for_too() {
    let broker = TestBroker::start().await;
    let (mut consumer, mut producer) = (broker.client().await, broker.client().await);
    let topic = broker.create_topic("t", 2).await;
    // More than the log remembers the positions of.
    for _ in 0..100 {
        producer.append(&topic, 0, &["a"]).await;
    }
    assert_eq!(values(&consumer.fetch(&topic, 0, 5).await).len(), 95);
    let size = i32::try_from(len(&consumer.fetch(&topic, 0, 5).await)).expect("short");
    let mut request = FetchRequest { min_bytes: size + 1, ..waiting(fetch_request(&topic, 0, 5)) };
    request.topics.extend(fetch_request(&topic, 1, 0).topics);
    let id = consumer.send(&request, HIGHEST).await;
    producer.append(&topic, 1, &["b"]).await;
    let answered = partitions(consumer.receive::<FetchRequest>(id, HIGHEST).await);
    assert_eq!(answered.iter().map(|partition| values(partition).len()).collect::<Vec<_>>(), [95, 1]);
}

#[tokio::test]
async fn a_fetch_does_not_wait_for_more_than_it_may_get() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    client.append(&topic, 0, &["a"]).await;
    let request = FetchRequest { min_bytes: 1 << 20, max_bytes: 10, ..waiting(fetch_request(&topic, 0, 0)) };
    assert_eq!(values(&only_partition(client.call(&request, HIGHEST).await)), ["a"]);
}

#[tokio::test]
async fn a_fetch_does_not_wait_at_the_end_of_an_older_segment() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic_with("t", 1, &[("segment.bytes", "1048576")]).await;
    let big = "a".repeat(700_000);
    for _ in 0..2 {
        client.append(&topic, 0, &[&big]).await;
    }
    let request = FetchRequest { min_bytes: 1_200_000, ..waiting(fetch_request(&topic, 0, 0)) };
    let request = with(request, |partition| partition.partition_max_bytes = 2_000_000);
    assert_eq!(values(&only_partition(client.call(&request, HIGHEST).await)).len(), 1);
}

#[tokio::test]
async fn a_consumer_older_than_zstd_gets_it_nevertheless() {
    // Apache Kafka refused this up to 3.9.
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic_with("t", 1, &[("compression.type", "zstd")]).await;
    client.append(&topic, 0, &["a"]).await;
    for version in [4, 9, 10] {
        let partition = only_partition(client.call(&fetch_request(&topic, 0, 0), version).await);
        assert_eq!(batches(&partition)[0].header().compression_id(), Compression::Zstd.id(), "v{version}");
    }
}

#[tokio::test]
async fn a_fetch_of_no_bytes_waits_for_none() {
    let broker = TestBroker::start().await;
    let mut consumer = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    let request = FetchRequest { min_bytes: 0, max_wait_ms: i32::MAX, ..waiting(fetch_request(&topic, 0, 0)) };
    let id = consumer.send(&request, HIGHEST).await;
    let partition = only_partition(consumer.receive::<FetchRequest>(id, HIGHEST).await);
    assert_eq!(values(&partition).len(), 0);
}

#[tokio::test]
async fn a_fetch_that_may_not_wait_any_longer_is_answered_empty() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    for max_wait_ms in [0, -1, 30] {
        let start = Instant::now();
        let request = FetchRequest { max_wait_ms, ..fetch_request(&topic, 0, 0) };
        let partition = only_partition(client.call(&request, HIGHEST).await);
        assert_eq!((error(partition.error_code), len(&partition)), (ErrorCode::None, 0));
        let wait = Duration::from_millis(max_wait_ms.try_into().unwrap_or(0));
        assert!(start.elapsed() >= wait, "{max_wait_ms}");
    }
}

#[tokio::test]
async fn an_error_ends_the_waiting_for_all() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    let mut request = waiting(fetch_request(&topic, 0, 0));
    let first = request.topics[0].partitions[0].clone();
    request.topics[0].partitions.push(FetchPartition { partition: 9, ..first });
    let errors: Vec<_> = partitions(client.call(&request, HIGHEST).await).iter().map(|p| error(p.error_code)).collect();
    assert_eq!(errors, [ErrorCode::None, ErrorCode::UnknownTopicOrPartition]);
    let nothing = FetchRequest { topics: Vec::new(), ..waiting(fetch_request(&topic, 0, 0)) };
    assert_eq!(partitions(client.call(&nothing, HIGHEST).await), []);
}

#[tokio::test]
async fn limits_are_kept_but_for_the_first_batch() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 2).await;
    let size = batch(&["a"]).len();
    for partition in [0, 1] {
        for _ in 0..4 {
            client.append(&topic, partition, &["a"]).await;
        }
    }
    let bytes = |count: usize| i32::try_from(count).expect("few");
    for (max_bytes, partition_max_bytes, expected) in [
        (1, 1, [1, 0]),
        (0, 0, [1, 0]),
        (bytes(size), 1 << 20, [1, 0]),
        (bytes(3 * size), bytes(2 * size), [2, 1]),
        (bytes(100 * size), bytes(2 * size), [2, 2]),
        (bytes(100 * size), 1, [1, 0]),
        (i32::MAX, i32::MAX, [4, 4]),
    ] {
        let limits = |partition: &mut FetchPartition| partition.partition_max_bytes = partition_max_bytes;
        let mut request = with(FetchRequest { max_bytes, ..fetch_request(&topic, 0, 0) }, limits);
        let first = request.topics[0].partitions[0].clone();
        request.topics[0].partitions.push(FetchPartition { partition: 1, ..first });
        let answered = partitions(client.call(&request, HIGHEST).await);
        // Apart from the first, a batch may come in part: that is no record, and costs what it has.
        let whole: Vec<_> = answered.iter().map(|partition| len(partition) / size).collect();
        assert_eq!(whole, expected, "{max_bytes} {partition_max_bytes}");
        let total: usize = answered.iter().map(len).sum();
        assert!(total <= usize::try_from(max_bytes).expect("positive").max(size));
    }
}

#[tokio::test]
async fn offsets_out_of_range_are_told() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    client.append(&topic, 0, &["a", "b"]).await;
    for (offset, expected) in [
        (2, ErrorCode::None),
        (3, ErrorCode::OffsetOutOfRange),
        (-1, ErrorCode::OffsetOutOfRange),
        (i64::MAX, ErrorCode::OffsetOutOfRange),
    ] {
        assert_eq!(error(client.fetch(&topic, 0, offset).await.error_code), expected, "{offset}");
    }
    let waited = only_partition(client.call(&waiting(fetch_request(&topic, 0, 3)), HIGHEST).await);
    assert_eq!(error(waited.error_code), ErrorCode::OffsetOutOfRange);
}

#[tokio::test]
async fn partitions_that_are_not_there_are_told() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    let unknown = TestTopic { name: "unknown".to_owned(), id: Uuid::from_u128(3) };
    for (version, expected) in [(BY_NAME, ErrorCode::UnknownTopicOrPartition), (HIGHEST, ErrorCode::UnknownTopicId)] {
        let partition = only_partition(client.call(&fetch_request(&unknown, 0, 0), version).await);
        assert_eq!(error(partition.error_code), expected);
        assert_eq!((partition.high_watermark, len(&partition)), (-1, 0));
        assert_eq!(partition.aborted_transactions, Some(Vec::new()), "empty and not null, as Kafka has it");
        for missing in [1, -1] {
            let partition = only_partition(client.call(&fetch_request(&topic, missing, 0), version).await);
            assert_eq!(error(partition.error_code), ErrorCode::UnknownTopicOrPartition);
        }
    }
}

#[tokio::test]
async fn a_client_with_another_leader_epoch_is_told() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    client.append(&topic, 0, &["a"]).await;
    for (epoch, expected) in [(-1, ErrorCode::None), (0, ErrorCode::None), (1, ErrorCode::UnknownLeaderEpoch)] {
        let request = with(fetch_request(&topic, 0, 0), |partition| partition.current_leader_epoch = epoch);
        let partition = only_partition(client.call(&request, HIGHEST).await);
        assert_eq!(error(partition.error_code), expected, "{epoch}");
    }
}

/// CVE-2018-1288: nobody may read as a replica of a partition that has none.
#[tokio::test]
async fn a_follower_is_not_served() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    client.append(&topic, 0, &["a"]).await;
    let old = FetchRequest { replica_id: 2, ..fetch_request(&topic, 0, 0) };
    let replica_state = ReplicaState { replica_id: 2, replica_epoch: 1, ..ReplicaState::default() };
    let new = FetchRequest { replica_state, ..fetch_request(&topic, 0, 0) };
    for (request, version) in [(old, 14), (new, HIGHEST)] {
        let partition = only_partition(client.call(&request, version).await);
        assert_eq!((error(partition.error_code), len(&partition)), (ErrorCode::NotLeaderOrFollower, 0), "v{version}");
        assert_eq!(partition.aborted_transactions, None);
        let leader = (partition.current_leader.leader_id, partition.current_leader.leader_epoch);
        assert_eq!(leader, if version == HIGHEST { (1, 0) } else { (-1, -1) }, "v{version}");
    }
}

/// A fetch that opens a session over partitions 0 to `count` of a topic.
fn opening(topic: &TestTopic, count: i32) -> FetchRequest {
    let mut request = fetch_request(topic, 0, 0);
    let first = request.topics[0].partitions[0].clone();
    request.topics[0].partitions = (0..count).map(|partition| FetchPartition { partition, ..first.clone() }).collect();
    FetchRequest { session_id: 0, session_epoch: 0, ..request }
}

/// A fetch within a session that changes nothing of it.
fn next(session_id: i32, session_epoch: i32) -> FetchRequest {
    FetchRequest { session_id, session_epoch, min_bytes: 1, max_bytes: 50 << 20, max_wait_ms: 0, ..Default::default() }
}

fn named(response: &FetchResponse) -> Vec<i32> {
    assert_eq!(error(response.error_code), ErrorCode::None);
    response.responses.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.partition_index).collect()
}

#[tokio::test]
async fn a_session_names_only_what_changed() {
    for version in [7, BY_NAME, HIGHEST] {
        let broker = TestBroker::start().await;
        let mut client = broker.client().await;
        let topic = broker.create_topic("t", 3).await;
        let full = client.call(&opening(&topic, 3), version).await;
        assert_eq!(named(&full), [0, 1, 2], "v{version}");
        let id = full.session_id;
        assert!(id > 0);
        let quiet = client.call(&next(id, 1), version).await;
        assert_eq!((quiet.session_id, named(&quiet)), (id, vec![]));
        client.append(&topic, 1, &["a"]).await;
        assert_eq!(named(&client.call(&next(id, 2), version).await), [1]);
        // The client moves on, and says so.
        let moved = FetchRequest { topics: fetch_request(&topic, 1, 1).topics, ..next(id, 3) };
        let after = client.call(&moved, version).await;
        assert!(partitions(after).iter().all(|partition| len(partition) == 0));
        let forgotten = ForgottenTopic {
            topic: "t".into(),
            topic_id: topic.id,
            partitions: vec![1, 2],
            ..ForgottenTopic::default()
        };
        let forget = FetchRequest { forgotten_topics_data: vec![forgotten], ..next(id, 4) };
        assert_eq!(named(&client.call(&forget, version).await), <[i32; 0]>::default());
        for partition in 0..3 {
            client.append(&topic, partition, &["b"]).await;
        }
        assert_eq!(named(&client.call(&next(id, 5), version).await), [0], "the others are forgotten");
    }
}

#[tokio::test]
async fn a_session_s_long_poll_is_woken_by_an_append() {
    let broker = TestBroker::start().await;
    let (mut consumer, mut producer) = (broker.client().await, broker.client().await);
    let topic = broker.create_topic("t", 2).await;
    let session = consumer.call(&opening(&topic, 2), HIGHEST).await.session_id;
    let id = consumer.send(&waiting(next(session, 1)), HIGHEST).await;
    producer.append(&topic, 1, &["a"]).await;
    let response = consumer.receive::<FetchRequest>(id, HIGHEST).await;
    assert_eq!(named(&response), [1]);
    assert_eq!(batches(&partitions(response)[0]).len(), 1);
}

async fn session_error(client: &mut RawClient, request: &FetchRequest, version: i16) -> ErrorCode {
    let response = client.call(request, version).await;
    assert_eq!((response.session_id, response.responses.len()), (0, 0));
    error(response.error_code)
}

#[tokio::test]
async fn a_session_out_of_step_is_told() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    let id = client.call(&opening(&topic, 1), HIGHEST).await.session_id;
    let other = if id == 1 { 2 } else { 1 };
    assert_eq!(session_error(&mut client, &next(other, 1), HIGHEST).await, ErrorCode::FetchSessionIdNotFound);
    assert_eq!(session_error(&mut client, &next(id, 2), HIGHEST).await, ErrorCode::InvalidFetchSessionEpoch);
    assert_eq!(session_error(&mut client, &next(id, 1), BY_NAME).await, ErrorCode::FetchSessionTopicIdError);
    assert_eq!(named(&client.call(&next(id, 1), HIGHEST).await), <[i32; 0]>::default(), "it is still there");
    let closing = FetchRequest { session_id: id, ..fetch_request(&topic, 0, 0) };
    assert_eq!(client.call(&closing, HIGHEST).await.session_id, 0);
    assert_eq!(session_error(&mut client, &next(id, 2), HIGHEST).await, ErrorCode::FetchSessionIdNotFound);
}

#[tokio::test]
async fn a_session_learns_of_topics_that_come_and_go() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = TestTopic { name: "t".to_owned(), id: Uuid::nil() };
    let early = client.call(&opening(&topic, 1), BY_NAME).await;
    let id = early.session_id;
    assert_eq!(error(partitions(early)[0].error_code), ErrorCode::UnknownTopicOrPartition);
    let topic = broker.create_topic("t", 1).await;
    client.append(&topic, 0, &["a"]).await;
    let found = client.call(&next(id, 1), BY_NAME).await;
    assert_eq!(values(&partitions(found)[0]), ["a"]);
}

#[tokio::test]
async fn a_session_by_id_does_not_go_over_to_a_topic_of_the_same_name() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let first = broker.create_topic("t", 1).await;
    let id = client.call(&opening(&first, 1), HIGHEST).await.session_id;
    client.call(&DeleteTopicsRequest { topic_names: vec!["t".into()], ..Default::default() }, 5).await;
    let second = broker.create_topic("t", 1).await;
    client.append(&second, 0, &["a"]).await;
    let partition = only_partition(client.call(&next(id, 1), HIGHEST).await);
    assert_eq!((error(partition.error_code), len(&partition)), (ErrorCode::InconsistentTopicId, 0));
    client.call(&DeleteTopicsRequest { topic_names: vec!["t".into()], ..Default::default() }, 5).await;
    let partition = only_partition(client.call(&next(id, 2), HIGHEST).await);
    assert_eq!(error(partition.error_code), ErrorCode::UnknownTopicOrPartition);
    let anew = client.call(&opening(&first, 1), HIGHEST).await;
    assert_eq!(error(partitions(anew)[0].error_code), ErrorCode::UnknownTopicId, "a new session knows no name");
}

#[tokio::test]
async fn a_partition_that_is_named_twice_is_read_once_where_it_was_named_last() {
    for version in [4, BY_NAME, HIGHEST] {
        let broker = TestBroker::start().await;
        let mut client = broker.client().await;
        let topic = broker.create_topic("t", 2).await;
        for value in ["a", "b"] {
            client.append(&topic, 0, &[value]).await;
        }
        let mut request = fetch_request(&topic, 0, 0);
        request.topics.extend(fetch_request(&topic, 1, 0).topics);
        request.topics.extend(fetch_request(&topic, 0, 1).topics);
        let answered = partitions(client.call(&request, version).await);
        assert_eq!(answered.iter().map(|it| it.partition_index).collect::<Vec<_>>(), [0, 1], "v{version}");
        assert_eq!(values(&answered[0]), ["b"]);
    }
}

#[tokio::test]
async fn a_request_names_no_more_partitions_than_it_may() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    let mut most = fetch_request(&topic, 0, 0);
    most.topics[0].partitions = vec![most.topics[0].partitions[0].clone(); PARTITIONS_MAX];
    assert_eq!(named(&client.call(&most, 7).await), [0]);
    let mut more = most.clone();
    more.topics.extend(fetch_request(&topic, 0, 0).topics);
    let refused = client.call(&more, 7).await;
    assert_eq!((error(refused.error_code), refused.responses.len()), (ErrorCode::InvalidRequest, 0));
    // A response without a place for an error.
    client.send(&more, 6).await;
    client.closed().await;
}

#[tokio::test]
async fn only_so_many_sessions_are_kept() {
    let broker = TestBroker::with(&["max.incremental.fetch.session.cache.slots=2"]).await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(client.call(&opening(&topic, 1), HIGHEST).await.session_id);
    }
    assert!(ids[0] > 0 && ids[1] > 0 && ids[0] != ids[1]);
    assert_eq!(ids[2], 0, "that one goes on without");
}
