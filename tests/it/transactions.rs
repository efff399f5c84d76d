//! What may go wrong with transactions, each as clients see it.

use std::{fs, path::Path, time::Duration};

use bytes::Bytes;
use ottla::config::topic_name::TRANSACTION_STATE_TOPIC;
use ottla::protocol::{
    error_code::ErrorCode,
    messages::{
        AddPartitionsToTxnRequest, DescribeProducersRequest, DescribeTransactionsRequest, EndTxnRequest,
        ProduceRequest, TxnOffsetCommitRequest, describe_producers_request::TopicRequest,
    },
    records::{
        batch::RecordBatch,
        builder::{BatchBuilder, NewRecord},
    },
    wire::StrBytes,
};
use tokio::task::JoinSet;

use crate::{
    groups::Member,
    support::{RawClient, TestTopic, build, error, record, results, within},
    transactional::{
        COMMIT_OFFSETS, END, INIT, OLD_ADD, OLD_END, OLD_PRODUCE, PRODUCE, Producer, Stage, TIMEOUT_MS, added,
        all_batches, committed_values, high_watermark, init_request, initialised, last_stable_offset, state,
        state_name,
    },
};

const FIRST_SEGMENT: &str = "00000000000000000000.log";
/// The first versions of clients that know of producers that were shut out.
const FENCED_END: i16 = 2;

/// The late Produce of a transaction that was aborted does not get into the next.
#[tokio::test]
async fn delayed_produce() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "delayed-produce", 1).await;
    let first = Producer::init(&mut client, &stage.name("delayed-produce")).await;
    first.produced(&mut client, &topic, 0, "a").await;
    let second = first.ended(&mut client, false, END).await;
    assert_eq!((second.id, second.epoch), (first.id, first.epoch + 1));
    for version in [OLD_PRODUCE, PRODUCE] {
        let late = first.produce(&mut client, &topic, 1, "late", version).await;
        assert_eq!(late, ErrorCode::InvalidProducerEpoch, "version {version}, before the next");
    }
    second.produced(&mut client, &topic, 0, "b").await;
    for version in [OLD_PRODUCE, PRODUCE] {
        let late = first.produce(&mut client, &topic, 1, "late", version).await;
        assert_eq!(late, ErrorCode::InvalidProducerEpoch, "version {version}, within the next");
    }
    second.ended(&mut client, true, END).await;
    assert_eq!(committed_values(&mut client, &topic).await, ["b"]);
}

/// The end of a transaction that comes again is answered as it was, and ends nothing else.
#[tokio::test]
async fn delayed_endtxn() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "delayed-endtxn", 1).await;
    let first = Producer::init(&mut client, &stage.name("delayed-endtxn")).await;
    first.produced(&mut client, &topic, 0, "a").await;
    let second = first.ended(&mut client, true, END).await;
    assert_eq!(first.end(&mut client, true, END).await, Ok(second.clone()), "the same end again");
    let other = first.end(&mut client, false, END).await;
    assert_eq!(other, Err(ErrorCode::InvalidTxnState), "another end than it had");
    second.produced(&mut client, &topic, 0, "b").await;
    for commits in [true, false] {
        assert_eq!(first.end(&mut client, commits, END).await, Err(ErrorCode::ProducerFenced));
    }
    assert_eq!(state_name(&mut client, &second.transactional_id).await, "Ongoing");
    second.ended(&mut client, true, END).await;
    assert_eq!(committed_values(&mut client, &topic).await, ["a", "b"]);
}

const LAST_EPOCH: i16 = i16::MAX - 1;
const NEAR: i16 = LAST_EPOCH - 3;
/// Producers that begin anew side by side with a referee, each in the epoch after another's.
const SIDE_BY_SIDE: i16 = 64;

/// A stage where the epoch of a transactional id is a few below the last.
async fn near_the_last_epoch(stage: Stage, transactional_id: &str) -> Stage {
    let mut client = stage.client().await;
    let producer = Producer::init(&mut client, transactional_id).await;
    if !stage.is_referee() {
        return stage.restarted_after(|directory| set_epoch(directory, &producer, NEAR)).await;
    }
    let mut clients = JoinSet::new();
    for _ in 0..SIDE_BY_SIDE {
        let mut client = stage.client().await;
        let request = init_request(transactional_id, TIMEOUT_MS);
        clients.spawn(async move {
            for _ in 0..NEAR / SIDE_BY_SIDE {
                initialised(&mut client, &request, INIT).await;
            }
        });
    }
    clients.join_all().await;
    stage
}

/// Puts another epoch into the one record that there is of a producer.
fn set_epoch(directory: &Path, producer: &Producer, epoch: i16) {
    let is_log = |path: &Path| {
        let name = path.to_str().expect("a path in UTF-8");
        name.contains(TRANSACTION_STATE_TOPIC) && fs::metadata(path.join(FIRST_SEGMENT)).is_ok_and(|log| log.len() > 0)
    };
    let partitions = fs::read_dir(directory).expect("the directory").map(|entry| entry.expect("an entry").path());
    let log = partitions.filter(|path| is_log(path)).map(|path| path.join(FIRST_SEGMENT)).next().expect("a record");
    let batch = RecordBatch::split_from(&mut fs::read(&log).expect("a log").into()).expect("a batch");
    let record = batch.records(1 << 10).expect("readable").next().expect("one").expect("a record");
    let mut value = record.value.expect("no tombstone").to_vec();
    // Behind the version, first the id, then the epoch.
    assert_eq!(value[2..10], producer.id.to_be_bytes());
    value[10..12].copy_from_slice(&epoch.to_be_bytes());
    let timestamp = batch.header().base_timestamp;
    let builder = BatchBuilder::new(0).leader_epoch(batch.header().partition_leader_epoch);
    let record = NewRecord { timestamp, key: record.key.as_deref(), value: Some(&value), ..NewRecord::default() };
    fs::write(&log, build(builder, [record]).bytes()).expect("written");
}

/// After the last epoch of a producer id there is another id; who ended a transaction with the old one is known by it.
#[tokio::test]
async fn epoch_rollover() {
    let stage = Stage::start().await;
    let id = stage.name("epoch-rollover");
    let stage = near_the_last_epoch(stage, &id).await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "epoch-rollover", 1).await;
    let mut producer = Producer::init(&mut client, &id).await;
    let first_id = producer.id;
    assert!(producer.epoch > NEAR - SIDE_BY_SIDE, "{producer:?}");
    while producer.epoch < LAST_EPOCH {
        let before = producer.epoch;
        producer = Producer::init(&mut client, &id).await;
        assert_eq!((producer.id, producer.epoch), (first_id, before + 1));
    }
    producer.produced(&mut client, &topic, 0, "last epoch").await;
    let next = producer.ended(&mut client, true, END).await;
    assert_eq!(next.epoch, 0);
    assert_ne!(next.id, first_id);
    assert_eq!(producer.end(&mut client, true, END).await, Ok(next.clone()), "the same end again");
    next.produced(&mut client, &topic, 0, "first epoch").await;
    let late = producer.produce(&mut client, &topic, 1, "late", PRODUCE).await;
    assert_eq!(late, ErrorCode::InvalidProducerEpoch);
    assert_eq!(producer.end(&mut client, true, END).await, Err(ErrorCode::InvalidProducerIdMapping));
    next.ended(&mut client, true, END).await;
    assert_eq!(committed_values(&mut client, &topic).await, ["last epoch", "first epoch"]);
}

/// Who begins anew in the last epoch gets another id too.
#[tokio::test]
async fn epoch_rollover_of_an_initialisation() {
    let stage = Stage::start().await;
    let id = stage.name("epoch-rollover-init");
    let stage = near_the_last_epoch(stage, &id).await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "epoch-rollover-init", 1).await;
    let mut producer = Producer::init(&mut client, &id).await;
    while producer.epoch < LAST_EPOCH {
        producer = Producer::init(&mut client, &id).await;
    }
    producer.produced(&mut client, &topic, 0, "a").await;
    let next = Producer::init(&mut client, &id).await;
    assert_ne!(next.id, producer.id, "what was open has been aborted, in an epoch that no client has");
    // Kafka's abort takes the new id, and the initialisation an epoch of that.
    assert_eq!(next.epoch, stage.expects(0, 1));
    next.produced(&mut client, &topic, 0, "b").await;
    next.ended(&mut client, true, END).await;
    assert_eq!(committed_values(&mut client, &topic).await, ["b"]);
}

/// A commit that comes after the time is up finds the producer shut out.
#[tokio::test]
async fn commit_vs_timeout() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "commit-vs-timeout", 1).await;
    let producer = Producer::init_with(&mut client, &stage.name("commit-vs-timeout"), 50).await;
    producer.produced(&mut client, &topic, 0, "a").await;
    producer.comes_to(&mut client, |state| state == "CompleteAbort").await;
    for version in 0..=END {
        let expected = if version < FENCED_END { ErrorCode::InvalidProducerEpoch } else { ErrorCode::ProducerFenced };
        // Kafka's time-out leaves the epoch that an end by the client would have left, and so takes this for an end that
        // comes again (KAFKA-20785).
        let next = producer.in_epoch(producer.epoch + 1);
        let kafkas = [Err(ErrorCode::InvalidTxnState), Ok(next)];
        for (commits, kafkas) in [true, false].into_iter().zip(kafkas) {
            let kafkas = if version < END { Err(expected) } else { kafkas };
            let ended = producer.end(&mut client, commits, version).await;
            assert_eq!(ended, stage.expects(Err(expected), kafkas), "version {version}");
        }
    }
    let late = producer.produce(&mut client, &topic, 1, "late", PRODUCE).await;
    assert_eq!(late, ErrorCode::InvalidProducerEpoch);
    assert_eq!(committed_values(&mut client, &topic).await, [""; 0]);
    let next = Producer::init(&mut client, &producer.transactional_id).await;
    next.produced(&mut client, &topic, 0, "b").await;
    next.ended(&mut client, true, END).await;
    assert_eq!(committed_values(&mut client, &topic).await, ["b"]);
}

/// Epochs and whether each batch of partition 0 is a marker.
async fn epochs(client: &mut RawClient, topic: &TestTopic) -> Vec<(i16, bool)> {
    let batches = all_batches(client, topic).await;
    batches.iter().map(|batch| (batch.header().producer_epoch, batch.header().is_control())).collect()
}

/// One marker ends one transaction: of clients with an epoch for each it has the next one, of others there is one and no
/// more. What the log makes of one that comes twice, nobody can send.
#[tokio::test]
async fn stale_marker() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "stale-marker", 1).await;
    let first = Producer::init(&mut client, &stage.name("stale-marker")).await;
    first.produced(&mut client, &topic, 0, "a").await;
    let second = first.ended(&mut client, true, END).await;
    assert_eq!(first.end(&mut client, true, END).await, Ok(second.clone()));
    second.produced(&mut client, &topic, 0, "b").await;
    second.ended(&mut client, false, END).await;
    assert_eq!(epochs(&mut client, &topic).await, [(0, false), (1, true), (1, false), (2, true)]);

    let topic = stage.topic(&mut client, "stale-marker-old", 1).await;
    let old = Producer::init(&mut client, &stage.name("stale-marker-old")).await;
    for sequence in 0..2 {
        assert_eq!(old.add(&mut client, &topic.name, &[0], OLD_ADD).await, [(0, ErrorCode::None)]);
        assert_eq!(old.produce(&mut client, &topic, sequence, "a", OLD_PRODUCE).await, ErrorCode::None);
        old.ended(&mut client, true, OLD_END).await;
        assert_eq!(old.end(&mut client, true, OLD_END).await, Ok(old.clone()), "the same end again");
        old.settled(&mut client).await;
    }
    assert_eq!(epochs(&mut client, &topic).await, [(0, false), (0, true), (0, false), (0, true)]);
}

/// A producer that was shut out learns that first, not that its transaction is not there (KAFKA-19690).
#[tokio::test]
async fn stale_epoch_first() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "stale-epoch-first", 1).await;
    let id = stage.name("stale-epoch-first");
    let first = Producer::init(&mut client, &id).await;
    first.produced(&mut client, &topic, 0, "a").await;
    let second = Producer::init(&mut client, &id).await;
    assert!(second.epoch > first.epoch);
    for version in 3..=PRODUCE {
        let stale = first.produce(&mut client, &topic, 1, "late", version).await;
        assert_eq!(stale, ErrorCode::InvalidProducerEpoch, "version {version}");
    }
    assert_eq!(high_watermark(&mut client, &topic, 0).await, 2, "a record and a marker");
}

/// A producer that vanishes holds readers up for no longer than it may.
#[tokio::test]
async fn lso_advances() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "lso-advances", 1).await;
    let vanishing = Producer::init_with(&mut client, &stage.name("lso-advances"), 300).await;
    vanishing.produced(&mut client, &topic, 0, "never").await;
    client.append(&topic, 0, &["behind it"]).await;
    assert_eq!(last_stable_offset(&mut client, &topic, 0, 9).await, 0);
    drop(client);
    let mut client = stage.client().await;
    // The bound is twice what there is time for.
    within(async {
        while last_stable_offset(&mut client, &topic, 0, 9).await < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(high_watermark(&mut client, &topic, 0).await, 3);
    assert_eq!(committed_values(&mut client, &topic).await, ["behind it"]);
    let described = state(&mut client, &vanishing.transactional_id).await;
    assert!(described.producer_epoch > vanishing.epoch, "it is shut out");
}

fn not_transactional(producer: &Producer, sequence: i32) -> Bytes {
    let builder = BatchBuilder::new(0).producer(producer.id, producer.epoch, sequence);
    build(builder, [record("outside")]).bytes().clone()
}

/// With a transaction open its producer cannot write outside it.
#[tokio::test]
async fn mixed_mode() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "mixed-mode", 1).await;
    let producer = Producer::init(&mut client, &stage.name("mixed-mode")).await;
    producer.produced(&mut client, &topic, 0, "a").await;
    for version in [9, OLD_PRODUCE, PRODUCE] {
        let refused = client.produce(&topic, 0, not_transactional(&producer, 1), version).await;
        assert_eq!(error(refused.error_code), ErrorCode::InvalidTxnState, "version {version}");
    }
    assert_eq!(high_watermark(&mut client, &topic, 0).await, 1);
    producer.produced(&mut client, &topic, 1, "b").await;
    producer.ended(&mut client, true, END).await;
    assert_eq!(committed_values(&mut client, &topic).await, ["a", "b"]);
}

/// A client with one epoch for many transactions has to have its partition added before it writes. What of an ended
/// transaction comes late while the next is open in the same partition looks like part of that: nothing tells the two
/// apart, here as with Kafka, and only newer clients are safe from it.
#[tokio::test]
async fn tv1_window() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "tv1-window", 2).await;
    let producer = Producer::init(&mut client, &stage.name("tv1-window")).await;
    assert_eq!(producer.add(&mut client, &topic.name, &[1], OLD_ADD).await, [(1, ErrorCode::None)]);
    for version in 3..=OLD_PRODUCE {
        let not_added =
            if version < OLD_PRODUCE { ErrorCode::InvalidTxnState } else { ErrorCode::TransactionAbortable };
        let refused = producer.produce(&mut client, &topic, 0, "not added", version).await;
        assert_eq!(refused, not_added, "version {version}");
    }
    assert_eq!(high_watermark(&mut client, &topic, 0).await, 0);
    assert_eq!(producer.add(&mut client, &topic.name, &[0], OLD_ADD).await, [(0, ErrorCode::None)]);
    assert_eq!(producer.produce(&mut client, &topic, 0, "a", OLD_PRODUCE).await, ErrorCode::None);
    producer.ended(&mut client, false, OLD_END).await;
    let late = producer.produce(&mut client, &topic, 1, "late", OLD_PRODUCE).await;
    assert_eq!(late, ErrorCode::TransactionAbortable, "between transactions");
    assert_eq!(producer.add(&mut client, &topic.name, &[1], OLD_ADD).await, [(1, ErrorCode::None)]);
    let late = producer.produce(&mut client, &topic, 1, "late", OLD_PRODUCE).await;
    assert_eq!(late, ErrorCode::TransactionAbortable, "while the next has other partitions");
    assert_eq!(producer.add(&mut client, &topic.name, &[0], OLD_ADD).await, [(0, ErrorCode::None)]);
    let late = producer.produce(&mut client, &topic, 1, "late", OLD_PRODUCE).await;
    assert_eq!(late, ErrorCode::None, "while the next has this one");
    producer.ended(&mut client, true, OLD_END).await;
    assert_eq!(committed_values(&mut client, &topic).await, ["late"]);
}

/// What brokers ask each other: whether partitions take part, which changes nothing.
#[tokio::test]
async fn verify_only() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "verify-only", 2).await;
    let producer = Producer::init(&mut client, &stage.name("verify-only")).await;
    for version in 4..=5 {
        let mut request = producer.add_request(&topic.name, &[0, 1], version);
        request.transactions[0].verify_only = true;
        let ask =
            async |client: &mut RawClient, request: &AddPartitionsToTxnRequest| added(client, request, version).await;
        let none = ask(&mut client, &request).await;
        assert_eq!(none, [(0, ErrorCode::TransactionAbortable), (1, ErrorCode::TransactionAbortable)]);
        assert!(!state_name(&mut client, &producer.transactional_id).await.starts_with("Ongoing"));
        assert_eq!(producer.add(&mut client, &topic.name, &[1], OLD_ADD).await, [(1, ErrorCode::None)]);
        let one = ask(&mut client, &request).await;
        assert_eq!(one, [(0, ErrorCode::TransactionAbortable), (1, ErrorCode::None)]);
        let described = state(&mut client, &producer.transactional_id).await;
        assert_eq!(described.topics[0].partitions, [1], "nothing was added");
        request.transactions[0].producer_epoch += 1;
        assert_eq!(ask(&mut client, &request).await, [0, 1].map(|partition| (partition, ErrorCode::ProducerFenced)));
        producer.ended(&mut client, false, OLD_END).await;
    }
}

/// Some bytes that name the same thing again and again would get it again and again. Apache Kafka answers so.
#[tokio::test]
async fn what_is_named_twice_is_not_described() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "named-twice", 2).await;
    let producer = Producer::init(&mut client, &stage.name("named-twice")).await;
    producer.produced(&mut client, &topic, 0, "a").await;
    let twice = stage.expects(ErrorCode::InvalidRequest, ErrorCode::None);
    let ids = [&producer.transactional_id, "unknown", &producer.transactional_id];
    let transactional_ids = ids.map(|id| id.into()).to_vec();
    let request = DescribeTransactionsRequest { transactional_ids, ..DescribeTransactionsRequest::default() };
    let described = client.call(&request, 0).await.transaction_states;
    let errors: Vec<_> = described.iter().map(|state| error(state.error_code)).collect();
    assert_eq!(errors, [twice, ErrorCode::TransactionalIdNotFound, twice]);
    let name = StrBytes::from(topic.name.as_str());
    let topic = TopicRequest { name, partition_indexes: vec![0, 1, 0], ..TopicRequest::default() };
    let request = DescribeProducersRequest { topics: vec![topic], ..DescribeProducersRequest::default() };
    let described = client.call(&request, 0).await.topics.remove(0).partitions;
    let errors: Vec<_> = described.iter().map(|partition| error(partition.error_code)).collect();
    assert_eq!(errors, [twice, ErrorCode::None, twice]);
    producer.ended(&mut client, true, END).await;
}

/// Partitions of a transaction whose markers take a while.
const MANY: i32 = 200;

/// The end of a transaction is answered before every partition knows. The next one may begin at once.
#[tokio::test]
async fn next_txn_during_markers() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "next-txn", MANY).await;
    let mut producer = Producer::init(&mut client, &stage.name("next-txn")).await;
    let passing = [ErrorCode::None, ErrorCode::NotEnoughReplicas, ErrorCode::ConcurrentTransactions];
    let is_right = |error| stage.expects(error == ErrorCode::None, passing.contains(&error));
    for round in 0..5 {
        let batches = (0..MANY).map(|partition| (partition, Some(producer.batch(0, &["a"]))));
        let produced = client.call(&producer.produce_request(&topic, batches.collect()), PRODUCE).await;
        let errors: Vec<_> = results(produced).iter().map(|result| error(result.error_code)).collect();
        assert!(errors.iter().all(|error| is_right(*error)), "{errors:?}");
        let next = producer.in_epoch(producer.epoch + 1);
        // All three at once: the next transaction begins as soon as the last is decided.
        let end = client.send(&producer.end_request(round % 2 == 0), END).await;
        let offsets = next.offsets_request(&Member::new("next-txn"), &topic, round);
        let offsets = client.send(&offsets, COMMIT_OFFSETS).await;
        let batch = (0, Some(next.batch(0, &["b"])));
        let produce = client.send(&next.produce_request(&topic, vec![batch]), PRODUCE).await;
        let ended = client.receive::<EndTxnRequest>(end, END).await;
        assert_eq!((error(ended.error_code), ended.producer_epoch), (ErrorCode::None, next.epoch));
        let committed = client.receive::<TxnOffsetCommitRequest>(offsets, COMMIT_OFFSETS).await;
        let committed = error(committed.topics[0].partitions[0].error_code);
        assert!(is_right(committed), "{committed:?}");
        let produced = client.receive::<ProduceRequest>(produce, PRODUCE).await;
        let produced = error(results(produced).remove(0).error_code);
        assert!(is_right(produced), "{produced:?}");
        // Where the referee refused both, there is nothing to commit.
        producer = next.ended(&mut client, stage.expects(true, false), END).await;
    }
    if !stage.is_referee() {
        let values = committed_values(&mut client, &topic).await;
        assert_eq!(values, ["a", "b", "b", "a", "b", "b", "a", "b"], "every other one before was aborted");
    }
}
