//! Idempotent producers: ids, duplicates, gaps, also after a restart. And what their transactions leave in a partition.

use bytes::Bytes;
use ottla::{
    log::{
        partition_log::{AppendBatch, AppendOrigin},
        producer_state::TransactionEnd,
    },
    protocol::{
        error_code::ErrorCode,
        messages::{FetchRequest, InitProducerIdRequest, ProduceRequest, fetch_response::PartitionData},
        records::builder::BatchBuilder,
        transaction_version::TransactionVersion,
    },
};

use crate::support::{
    RawClient, TestBroker, TestTopic, batches, blocking, build, consume_with_librdkafka, error, fetch_request,
    only_partition, produce_request, produce_with_librdkafka, record, results,
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

/// Batches of transactions, put into the log as a coordinator will.
#[tokio::test]
async fn a_reader_of_committed_records_is_told_what_was_aborted() {
    let broker = TestBroker::start().await;
    let topic = broker.create_topic("t", 1).await;
    let hosted = broker.server().broker().topic("t").expect("hosted");
    let (log, epoch) = hosted.partition(0).expect("there");
    let version = TransactionVersion::V1;
    let data = |producer_id, sequence| {
        let batch = build(BatchBuilder::new(0).producer(producer_id, 0, sequence).transactional(), [record("a")]);
        let batch = AppendBatch { header: *batch.header(), payload: batch.payload(), origin: AppendOrigin::Client };
        let guard = log.expect_transaction(producer_id, 0, version).expect("not stale").expect("none is open");
        log.append_verified(&batch, &guard, epoch, 0).expect("appended").last_offset
    };
    let end = |producer_id, is_commit| {
        let end = TransactionEnd { producer_id, producer_epoch: 0, is_commit, coordinator_epoch: 1, version };
        log.end_transaction(&end, epoch, 0).expect("appended").expect("it was open").last_offset
    };
    data(1, 0);
    data(2, 0);
    end(1, false);
    let open = data(3, 0);
    end(2, true);
    data(1, 1);
    let last = end(1, false);
    log.committed(last + 1).await.expect("on disk");
    let mut client = broker.client().await;
    let committed = FetchRequest { isolation_level: 1, ..fetch_request(&topic, 0, 0) };
    let partition = only_partition(client.call(&committed, 12).await);
    assert_eq!((partition.last_stable_offset, partition.high_watermark), (open, last + 1));
    let aborted = |partition: &PartitionData| -> Vec<_> {
        let aborted = partition.aborted_transactions.as_deref().expect("a list");
        aborted.iter().map(|aborted| (aborted.producer_id, aborted.first_offset)).collect()
    };
    assert_eq!(aborted(&partition), [(1, 0)]);
    assert_eq!(batches(&partition).len(), 3, "nothing of the transaction that is open, nor behind it");
    let last = end(3, true);
    log.committed(last + 1).await.expect("on disk");
    let partition = only_partition(client.call(&committed, 12).await);
    assert_eq!(partition.last_stable_offset, last + 1);
    assert_eq!(aborted(&partition), [(1, 0), (1, 5)]);
    let uncommitted = only_partition(client.call(&fetch_request(&topic, 0, 0), 12).await);
    assert_eq!(uncommitted.aborted_transactions, None);
}
