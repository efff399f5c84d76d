//! Every API of transactions in every version, and what each version says where something is wrong.

use ottla::protocol::{
    error_code::ErrorCode,
    messages::{FindCoordinatorRequest, InitProducerIdRequest},
};
use uuid::Uuid;

use crate::{
    groups::Member,
    support::{RawClient, TestTopic, error, results},
    transactional::{
        END, INIT, OLD_ADD, OLD_END, OLD_PRODUCE, Producer, Stage, TIMEOUT_MS, added, all_batches, committed_offset,
        fetch_committed, high_watermark, init_request, initialised, last_stable_offset, state, state_name,
    },
};

const TRANSACTION: i8 = 1;
/// The first versions of clients that know of producers that were shut out.
const FENCED_INIT: i16 = 4;
const FENCED: i16 = 2;

fn shut_out(version: i16, known_from: i16) -> ErrorCode {
    if version < known_from { ErrorCode::InvalidProducerEpoch } else { ErrorCode::ProducerFenced }
}

#[tokio::test]
async fn the_coordinator_is_found() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    for version in 1..=6 {
        let mut request = FindCoordinatorRequest { key_type: TRANSACTION, ..FindCoordinatorRequest::default() };
        if version < 4 {
            request.key = "found".into();
        } else {
            request.coordinator_keys = vec!["found".into(), "other".into()];
        }
        let response = client.call(&request, version).await;
        let (code, port) = match &response.coordinators[..] {
            [] => (response.error_code, response.port),
            [first, second] => {
                assert_eq!((&*first.key, &*second.key), ("found", "other"));
                (first.error_code, second.port)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!((error(code), port), (ErrorCode::None, i32::from(stage.address().port())), "version {version}");
    }
}

#[tokio::test]
async fn a_producer_is_initialised() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    for version in 0..=INIT {
        let id = stage.name(&format!("initialised-{version}"));
        let request = init_request(&id, TIMEOUT_MS);
        let first = initialised(&mut client, &request, version).await;
        assert_eq!((error(first.error_code), first.producer_epoch), (ErrorCode::None, 0), "version {version}");
        let second = initialised(&mut client, &request, version).await;
        let expected = (ErrorCode::None, first.producer_id, 1);
        assert_eq!((error(second.error_code), second.producer_id, second.producer_epoch), expected);
        let described = state(&mut client, &id).await;
        assert_eq!((&*described.transaction_state, described.producer_epoch), ("Empty", 1));
        assert_eq!((described.transaction_timeout_ms, described.transaction_start_time_ms), (TIMEOUT_MS, -1));
    }
}

/// After an error a client goes on from what it was (KIP-360).
#[tokio::test]
async fn a_producer_goes_on_from_what_it_was() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    for version in 3..=INIT {
        let id = stage.name(&format!("going-on-{version}"));
        let producer = Producer::init(&mut client, &id).await;
        let from = |producer_id, producer_epoch| InitProducerIdRequest {
            producer_id,
            producer_epoch,
            ..init_request(&id, TIMEOUT_MS)
        };
        for again in [false, true] {
            let next = initialised(&mut client, &from(producer.id, producer.epoch), version).await;
            let expected = (ErrorCode::None, producer.id, producer.epoch + 1);
            assert_eq!((error(next.error_code), next.producer_id, next.producer_epoch), expected, "again: {again}");
        }
        let newer = Producer::init(&mut client, &id).await;
        assert_eq!(newer.epoch, producer.epoch + 2);
        for (id, epoch) in [(producer.id, producer.epoch), (producer.id, 100), (producer.id + 1_000_000, 0)] {
            let refused = initialised(&mut client, &from(id, epoch), version).await;
            assert_eq!(error(refused.error_code), shut_out(version, FENCED_INIT), "version {version}, {id}, {epoch}");
            assert_eq!((refused.producer_id, refused.producer_epoch), (-1, -1));
        }
        for (id, epoch) in [(producer.id, -1), (-1, 0)] {
            let refused = initialised(&mut client, &from(id, epoch), version).await;
            assert_eq!(error(refused.error_code), ErrorCode::InvalidRequest);
        }
    }
    // One that nobody remembers begins as a new one.
    let unknown = InitProducerIdRequest {
        producer_id: 7,
        producer_epoch: 3,
        ..init_request(&stage.name("going-on-unknown"), TIMEOUT_MS)
    };
    let begun = initialised(&mut client, &unknown, INIT).await;
    assert_eq!((error(begun.error_code), begun.producer_epoch), (ErrorCode::None, 0));
}

/// Also with a transaction open, which is how librdkafka aborts after an error.
#[tokio::test]
async fn a_producer_goes_on_from_an_open_transaction() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "going-on-open", 1).await;
    for version in 3..=INIT {
        let producer = Producer::init(&mut client, &stage.name(&format!("going-on-open-{version}"))).await;
        producer.produced(&mut client, &topic, 0, "aborted").await;
        let request = InitProducerIdRequest {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            ..init_request(&producer.transactional_id, TIMEOUT_MS)
        };
        for again in [false, true] {
            let next = initialised(&mut client, &request, version).await;
            assert_eq!((error(next.error_code), next.producer_id), (ErrorCode::None, producer.id), "again: {again}");
            // The abort that shuts it out takes two epochs here.
            assert_eq!(next.producer_epoch, producer.epoch + stage.expects(2, 1), "again: {again}");
        }
    }
    assert_eq!(last_stable_offset(&mut client, &topic, 0, 9).await, 6, "a record and a marker of each");
}

#[tokio::test]
async fn partitions_are_added() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "added", 3).await;
    for version in 0..=5 {
        let producer = Producer::init(&mut client, &stage.name(&format!("added-{version}"))).await;
        for partitions in [&[0, 2][..], &[2, 0], &[1]] {
            let mut expected: Vec<_> = partitions.iter().map(|partition| (*partition, ErrorCode::None)).collect();
            expected.sort_unstable();
            assert_eq!(producer.add(&mut client, &topic.name, partitions, version).await, expected);
        }
        let described = state(&mut client, &producer.transactional_id).await;
        assert_eq!((&*described.transaction_state, &*described.topics[0].topic), ("Ongoing", topic.name.as_str()));
        let mut partitions = described.topics[0].partitions.clone();
        partitions.sort_unstable();
        assert_eq!(partitions, [0, 1, 2]);
        for (wrong, refusal) in wrongs(&producer, version, FENCED, stage.name("nobody")) {
            assert_eq!(wrong.add(&mut client, &topic.name, &[0], version).await, [(0, refusal)], "version {version}");
        }
        producer.ended(&mut client, false, OLD_END).await;
    }
}

/// Producers that are not whom they should be, and what they are told.
fn wrongs(producer: &Producer, version: i16, known_from: i16, nobody: String) -> Vec<(Producer, ErrorCode)> {
    let other_id = Producer { id: producer.id + 1_000_000, ..producer.clone() };
    let unknown = Producer { transactional_id: nobody, ..producer.clone() };
    vec![
        (producer.in_epoch(producer.epoch + 1), shut_out(version, known_from)),
        (producer.in_epoch(-1), shut_out(version, known_from)),
        (other_id, ErrorCode::InvalidProducerIdMapping),
        (unknown, ErrorCode::InvalidProducerIdMapping),
    ]
}

#[tokio::test]
async fn several_transactions_get_partitions_at_once() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "at-once", 2).await;
    for version in 4..=5 {
        let one = Producer::init(&mut client, &stage.name(&format!("at-once-{version}-1"))).await;
        let two = Producer::init(&mut client, &stage.name(&format!("at-once-{version}-2"))).await;
        let mut request = one.add_request(&topic.name, &[0], version);
        request.transactions.extend(two.in_epoch(9).add_request(&topic.name, &[1], version).transactions);
        let all = added(&mut client, &request, version).await;
        assert_eq!(all, [(0, ErrorCode::None), (1, ErrorCode::ProducerFenced)]);
        let mut results = client.call(&request, version).await.results_by_transaction;
        results.sort_by(|a, b| a.transactional_id.as_str().cmp(&b.transactional_id));
        let ids: Vec<_> = results.iter().map(|result| result.transactional_id.as_str()).collect();
        assert_eq!(ids, [&*one.transactional_id, &*two.transactional_id]);
        assert_eq!(state_name(&mut client, &two.transactional_id).await, "Empty");
        one.ended(&mut client, false, END).await;
    }
}

#[tokio::test]
async fn offsets_are_added() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    for version in 0..=4 {
        let producer = Producer::init(&mut client, &stage.name(&format!("offsets-added-{version}"))).await;
        for group in ["a group", "a group", "another"] {
            assert_eq!(producer.add_offsets(&mut client, group, version).await, ErrorCode::None, "version {version}");
        }
        let described = state(&mut client, &producer.transactional_id).await;
        assert_eq!((&*described.transaction_state, &*described.topics[0].topic), ("Ongoing", "__consumer_offsets"));
        for (wrong, refusal) in wrongs(&producer, version, FENCED, stage.name("nobody")) {
            assert_eq!(wrong.add_offsets(&mut client, "a group", version).await, refusal, "version {version}");
        }
        producer.ended(&mut client, false, OLD_END).await;
    }
}

#[tokio::test]
async fn transactions_end() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "ending", 1).await;
    for version in 0..=END {
        let mut producer = Producer::init(&mut client, &stage.name(&format!("ending-{version}"))).await;
        let not_begun = producer.end(&mut client, true, version).await;
        assert_eq!(not_begun, Err(ErrorCode::InvalidTxnState), "version {version}");
        if version < END {
            assert_eq!(producer.end(&mut client, false, version).await, Err(ErrorCode::InvalidTxnState));
        } else {
            let next = producer.ended(&mut client, false, version).await;
            assert_eq!(next, producer.in_epoch(producer.epoch + 1), "an abort is for a new epoch too");
            producer = next;
        }
        for (wrong, refusal) in wrongs(&producer, version, FENCED, stage.name("nobody")) {
            assert_eq!(wrong.end(&mut client, true, version).await, Err(refusal), "version {version}, {wrong:?}");
        }
        for commits in [true, false] {
            let added = producer.add(&mut client, &topic.name, &[0], OLD_ADD).await;
            assert_eq!(added, [(0, ErrorCode::None)]);
            let next = producer.ended(&mut client, commits, version).await;
            let bumped = if version < END { 0 } else { 1 };
            assert_eq!(next, producer.in_epoch(producer.epoch + bumped), "version {version}");
            let name = if commits { "CompleteCommit" } else { "CompleteAbort" };
            assert_eq!(state_name(&mut client, &producer.transactional_id).await, name);
            assert_eq!(producer.end(&mut client, commits, version).await, Ok(next.clone()), "the same end again");
            assert_eq!(producer.end(&mut client, !commits, version).await, Err(ErrorCode::InvalidTxnState));
            producer = next;
        }
    }
}

#[tokio::test]
async fn offsets_are_committed() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "committing", 1).await;
    for version in 0..=6 {
        let group = stage.name(&format!("committing-{version}"));
        let producer = Producer::init(&mut client, &group).await;
        if version <= 4 {
            assert_eq!(producer.add_offsets(&mut client, &group, 3).await, ErrorCode::None);
        }
        let mut request = producer.offsets_request(&Member::new(&group), &topic, 5);
        let mut not_there = request.topics[0].clone();
        not_there.partitions[0].partition_index = 1;
        request.topics.push(not_there);
        let mut unknown = request.topics[0].clone();
        (unknown.name, unknown.topic_id) = ("no-such-topic".into(), Uuid::from_u128(7));
        request.topics.push(unknown);
        let response = client.call(&request, version).await;
        let mut errors: Vec<_> = response
            .topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|partition| (partition.partition_index, error(partition.error_code)))
            .collect();
        errors.sort_unstable();
        let unknown = if version < 6 { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::UnknownTopicId };
        let not_there = (1, ErrorCode::UnknownTopicOrPartition);
        assert_eq!(errors, [(0, ErrorCode::None), (0, unknown), not_there], "version {version}");
        request.topics.truncate(1);
        request.producer_id += 1_000_000;
        let foreign = committed_offset(&mut client, &request, version).await;
        assert_eq!(foreign, ErrorCode::InvalidProducerIdMapping, "version {version}");
        producer.ended(&mut client, true, END).await;
    }
}

#[tokio::test]
async fn records_are_produced_and_read() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    for version in 3..=13 {
        let topic = stage.topic(&mut client, &format!("records-{version}"), 1).await;
        let producer = Producer::init(&mut client, &stage.name(&format!("records-{version}"))).await;
        if version <= OLD_PRODUCE {
            producer.add(&mut client, &topic.name, &[0], OLD_ADD).await;
        }
        let request = producer.produce_request(&topic, vec![(0, Some(producer.batch(0, &["a", "b"])))]);
        for again in [false, true] {
            let result = results(client.call(&request, version).await).remove(0);
            let expected = (ErrorCode::None, 0);
            assert_eq!((error(result.error_code), result.base_offset), expected, "version {version}, again: {again}");
        }
        assert_eq!(state_name(&mut client, &producer.transactional_id).await, "Ongoing");
        producer.ended(&mut client, false, END).await;
        let batches = all_batches(&mut client, &topic).await;
        let (data, marker) = (batches[0].header(), batches[1].header());
        assert_eq!((data.is_transactional(), data.is_control()), (true, false));
        assert_eq!((marker.is_transactional(), marker.is_control()), (true, true));
        assert_eq!((marker.producer_id, marker.producer_epoch), (producer.id, producer.epoch + 1));
        assert_eq!((batches.len(), marker.base_offset, marker.base_sequence), (2, 2, -1));
    }
    let topic = stage.topic(&mut client, "read", 1).await;
    aborted_and_open(&stage, &mut client, &topic).await;
}

/// One transaction that was aborted, one that committed, one that is open, and what readers are told.
async fn aborted_and_open(stage: &Stage, client: &mut RawClient, topic: &TestTopic) {
    let aborted = Producer::init(client, &stage.name("read")).await;
    aborted.produced(client, topic, 0, "aborted").await;
    let committed = aborted.ended(client, false, END).await;
    committed.produced(client, topic, 0, "committed").await;
    let open = committed.ended(client, true, END).await;
    open.produced(client, topic, 0, "open").await;
    client.append(topic, 0, &["behind it"]).await;
    for version in 4..=18 {
        let partition = fetch_committed(client, topic, version).await;
        assert_eq!((partition.last_stable_offset, partition.high_watermark), (4, 6), "version {version}");
        let told = partition.aborted_transactions.expect("a list");
        let told: Vec<_> = told.iter().map(|told| (told.producer_id, told.first_offset)).collect();
        assert_eq!(told, [(aborted.id, 0)], "version {version}");
    }
    for version in 2..=11 {
        assert_eq!(last_stable_offset(client, topic, 0, version).await, 4, "version {version}");
    }
    assert_eq!(high_watermark(client, topic, 0).await, 6);
    open.ended(client, true, END).await;
    assert_eq!(last_stable_offset(client, topic, 0, 11).await, 7);
}
