//! Transactions and a broker that stops, or dies, and comes back.

use std::{fs, path::Path};

use bytes::Bytes;
use ottla::{
    config::topic_name::TRANSACTION_STATE_TOPIC,
    coordinator::machine::Record as _,
    protocol::{error_code::ErrorCode, records::batch::RecordBatch},
    transactions::{record::TransactionRecord, state::State},
};
use tempfile::TempDir;

use crate::{
    groups::GROUP_SETTINGS,
    support::{BrokerProcess, RawClient, TestTopic},
    transactional::{
        END, OLD_ADD, OLD_END, OLD_PRODUCE, PRODUCE, Producer, committed_values, high_watermark, last_stable_offset,
        state_name, transaction_broker, transaction_client,
    },
    transactions_offsets::stable_offset,
};

/// Partitions whose markers a crash comes between.
const MANY: i32 = 50;

#[tokio::test]
async fn a_producer_goes_on_after_a_restart() {
    let broker = transaction_broker(&[]).await;
    let mut client = transaction_client(broker.address()).await;
    let topic = broker.create_topic("rest", 1).await;
    let producer = Producer::init(&mut client, "rest").await;
    producer.produced(&mut client, &topic, 0, "a").await;
    let next = producer.ended(&mut client, true, END).await;
    let broker = broker.restarted().await;
    let mut client = transaction_client(broker.address()).await;
    assert_eq!(state_name(&mut client, "rest").await, "CompleteCommit");
    assert_eq!(producer.end(&mut client, true, END).await, Ok(next.clone()), "the same end again");
    let late = producer.produce(&mut client, &topic, 1, "late", PRODUCE).await;
    assert_eq!(late, ErrorCode::InvalidProducerEpoch);
    next.produced(&mut client, &topic, 0, "b").await;
    next.ended(&mut client, true, END).await;
    assert_eq!(committed_values(&mut client, &topic).await, ["a", "b"]);
}

/// Also for a client that has one epoch for many transactions, and whose batch comes again.
#[tokio::test]
async fn an_open_transaction_goes_on_after_a_restart() {
    let broker = transaction_broker(&[]).await;
    let mut client = transaction_client(broker.address()).await;
    let topic = broker.create_topic("open", 1).await;
    let other = broker.create_topic("open-old", 1).await;
    let new = Producer::init(&mut client, "open").await;
    let old = Producer::init(&mut client, "open-old").await;
    new.produced(&mut client, &topic, 0, "a").await;
    old.add(&mut client, &other.name, &[0], OLD_ADD).await;
    assert_eq!(old.produce(&mut client, &other, 0, "a", OLD_PRODUCE).await, ErrorCode::None);
    let broker = broker.restarted().await;
    let mut client = transaction_client(broker.address()).await;
    for (producer, topic, produce, end) in [(&new, &topic, PRODUCE, END), (&old, &other, OLD_PRODUCE, OLD_END)] {
        assert_eq!(state_name(&mut client, &producer.transactional_id).await, "Ongoing");
        assert_eq!(last_stable_offset(&mut client, topic, 0, 9).await, 0);
        for (sequence, value) in [(0, "a"), (1, "b")] {
            assert_eq!(producer.produce(&mut client, topic, sequence, value, produce).await, ErrorCode::None);
        }
        assert_eq!(high_watermark(&mut client, topic, 0).await, 2, "what comes again is not appended again");
        producer.ended(&mut client, true, end).await;
        assert_eq!(committed_values(&mut client, topic).await, ["a", "b"]);
    }
}

/// Time passes while the broker is away.
#[tokio::test]
async fn an_open_transaction_times_out_after_a_restart() {
    let broker = transaction_broker(&[]).await;
    let mut client = transaction_client(broker.address()).await;
    let topic = broker.create_topic("timing-out", 1).await;
    let producer = Producer::init_with(&mut client, "timing-out", 1500).await;
    producer.produced(&mut client, &topic, 0, "a").await;
    let broker = broker.restarted().await;
    let mut client = transaction_client(broker.address()).await;
    producer.comes_to(&mut client, |state| state == "CompleteAbort").await;
    assert_eq!(producer.end(&mut client, true, END).await, Err(ErrorCode::ProducerFenced));
    assert_eq!(last_stable_offset(&mut client, &topic, 0, 9).await, 2);
    assert_eq!(committed_values(&mut client, &topic).await, [""; 0]);
}

/// A start finishes what was decided: the directory is put back to the moment when that was durable and no more.
#[tokio::test]
async fn a_prepared_transaction_is_finished_after_a_restart() {
    for commits in [true, false] {
        let broker = transaction_broker(&[]).await;
        let mut client = transaction_client(broker.address()).await;
        let topic = broker.create_topic("prepared", 1).await;
        let producer = Producer::init(&mut client, "prepared").await;
        producer.produced(&mut client, &topic, 0, "a").await;
        let committed = producer.commit_offset(&mut client, "prepared", &topic, 7, 5).await;
        assert_eq!(committed, ErrorCode::None);
        let next = producer.ended(&mut client, commits, END).await;
        let broker = broker.restarted_after(take_completion_back).await;
        let mut client = transaction_client(broker.address()).await;
        let expected = if commits { "CompleteCommit" } else { "CompleteAbort" };
        producer.comes_to(&mut client, |state| state == expected).await;
        assert_eq!(high_watermark(&mut client, &topic, 0).await, 2, "one marker is enough");
        assert_eq!(stable_offset(&mut client, "prepared", &topic).await, if commits { 7 } else { -1 });
        assert_eq!(producer.end(&mut client, commits, END).await, Ok(next.clone()), "the same end again");
        next.produced(&mut client, &topic, 0, "b").await;
        next.ended(&mut client, true, END).await;
        let values = committed_values(&mut client, &topic).await;
        assert_eq!(values, if commits { vec!["a", "b"] } else { vec!["b"] });
    }
}

/// Cuts the last record off the one log of transactions that has any: it must be that everybody knows.
fn take_completion_back(directory: &Path) {
    let is_log = |path: &Path| path.to_str().is_some_and(|name| name.contains(TRANSACTION_STATE_TOPIC));
    let partitions = fs::read_dir(directory).expect("the directory").map(|entry| entry.expect("an entry").path());
    let logs = partitions.filter(|path| is_log(path)).map(|path| path.join("00000000000000000000.log"));
    for log in logs {
        let bytes = Bytes::from(fs::read(&log).expect("a log"));
        let mut rest = bytes.clone();
        let mut last = None;
        while !rest.is_empty() {
            let start = bytes.len() - rest.len();
            last = Some((start, RecordBatch::split_from(&mut rest).expect("whole batches")));
        }
        let Some((start, batch)) = last else { continue };
        let record = batch.records(1 << 10).expect("readable").last().expect("one").expect("a record");
        let record = TransactionRecord::decode(&record.key.expect("a key"), record.value.as_ref());
        let (_, value) = record.expect("readable").expect("a transaction").value.expect("no tombstone");
        let state = State::from_code(value.transaction_status).expect("a state");
        assert!(matches!(state, State::CompleteCommit | State::CompleteAbort), "{state:?}");
        fs::write(&log, &bytes[..start]).expect("written");
        return;
    }
    panic!("no log of transactions has records");
}

async fn produced_everywhere(client: &mut RawClient, producer: &Producer, topic: &TestTopic) {
    let batches = (0..MANY).map(|partition| (partition, Some(producer.batch(0, &["a"]))));
    client.call(&producer.produce_request(topic, batches.collect()), PRODUCE).await;
}

/// However far the markers had come when the broker died, all are there in the end, and one in each partition.
#[tokio::test]
async fn an_end_outlasts_a_kill() {
    let directory = TempDir::new().expect("a temporary directory");
    let settings: Vec<_> = GROUP_SETTINGS
        .iter()
        .chain(&["transaction.state.log.num.partitions=3"])
        .flat_map(|s| ["--override", s])
        .collect();
    let mut process = BrokerProcess::start_with(directory.path(), &settings);
    let mut client = transaction_client(process.address()).await;
    let topic = client.create_topic("killed", MANY, &[]).await;
    let mut producer = Producer::init(&mut client, "killed").await;
    let rounds = 4;
    for round in 1..=rounds {
        produced_everywhere(&mut client, &producer, &topic).await;
        let next = producer.end(&mut client, true, END).await.expect("decided");
        process.kill();
        process = BrokerProcess::start_with(directory.path(), &settings);
        client = transaction_client(process.address()).await;
        producer.settled(&mut client).await;
        assert_eq!(state_name(&mut client, "killed").await, "CompleteCommit");
        assert_eq!(producer.end(&mut client, true, END).await, Ok(next.clone()), "the same end again");
        for partition in 0..MANY {
            let expected = 2 * round;
            assert_eq!(high_watermark(&mut client, &topic, partition).await, expected, "partition {partition}");
            assert_eq!(last_stable_offset(&mut client, &topic, partition, 9).await, expected);
        }
        producer = next;
    }
}
