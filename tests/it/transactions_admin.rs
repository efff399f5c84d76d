//! What there is to see of transactions and their producers.

use ottla::protocol::{
    error_code::ErrorCode,
    messages::{
        DescribeProducersRequest, DescribeTransactionsRequest, ListTransactionsRequest,
        describe_producers_request::TopicRequest,
        describe_producers_response::{PartitionResponse, ProducerState},
    },
};

use crate::{
    support::{RawClient, TestTopic, error},
    transactional::{END, OLD_ADD, OLD_END, OLD_PRODUCE, Producer, Stage, TIMEOUT_MS, high_watermark, now_ms, state},
};

#[tokio::test]
async fn transactions_are_described() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "described", 2).await;
    let producer = Producer::init(&mut client, &stage.name("described")).await;
    let before = now_ms();
    producer.produced(&mut client, &topic, 0, "a").await;
    let after = now_ms();
    let unknown = stage.name("unknown");
    let ids = [&*producer.transactional_id, &unknown, ""];
    let transactional_ids = ids.iter().map(|id| (*id).into()).collect();
    let request = DescribeTransactionsRequest { transactional_ids, ..DescribeTransactionsRequest::default() };
    let states = client.call(&request, 0).await.transaction_states;
    let errors: Vec<_> = states.iter().map(|state| (&*state.transactional_id, error(state.error_code))).collect();
    let expected = [ErrorCode::None, ErrorCode::TransactionalIdNotFound, ErrorCode::InvalidRequest];
    assert_eq!(errors, ids.into_iter().zip(expected).collect::<Vec<_>>());
    let open = &states[0];
    assert_eq!((&*open.transaction_state, open.transaction_timeout_ms), ("Ongoing", TIMEOUT_MS));
    assert!((before..=after).contains(&open.transaction_start_time_ms), "{open:?}");
    assert_eq!((open.producer_id, open.producer_epoch), (producer.id, producer.epoch));
    assert_eq!((&*open.topics[0].topic, &*open.topics[0].partitions), (topic.name.as_str(), &[0][..]));
    let next = producer.ended(&mut client, true, END).await;
    let ended = state(&mut client, &producer.transactional_id).await;
    assert_eq!(
        (&*ended.transaction_state, ended.producer_epoch, ended.topics.len()),
        ("CompleteCommit", next.epoch, 0)
    );
    assert_eq!(ended.transaction_start_time_ms, open.transaction_start_time_ms);
}

/// Ids and states of those that a filter lets through, of these alone.
async fn listed(
    client: &mut RawClient,
    request: &ListTransactionsRequest,
    version: i16,
    of: &[&Producer],
) -> Vec<(String, String)> {
    let response = client.call(request, version).await;
    assert_eq!(error(response.error_code), ErrorCode::None);
    let states = response.transaction_states.iter();
    let states = states.filter(|state| of.iter().any(|producer| state.producer_id == producer.id));
    let mut listed: Vec<_> =
        states.map(|state| (state.transactional_id.to_string(), state.transaction_state.to_string())).collect();
    listed.sort();
    listed
}

#[tokio::test]
async fn transactions_are_listed() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "listed", 1).await;
    let open = Producer::init(&mut client, &stage.name("listed-1-open")).await;
    let idle = Producer::init(&mut client, &stage.name("listed-2-idle")).await;
    open.produced(&mut client, &topic, 0, "a").await;
    let both = [&open, &idle];
    let [is_open, is_idle] = [(&open, "Ongoing"), (&idle, "Empty")]
        .map(|(producer, state)| vec![(producer.transactional_id.clone(), state.to_owned())]);
    let are_both = [is_open.clone(), is_idle.clone()].concat();
    let all = ListTransactionsRequest { duration_filter: -1, ..ListTransactionsRequest::default() };
    for version in 0..=2 {
        assert_eq!(listed(&mut client, &all, version, &both).await, are_both);
        for (state, expected) in [("Ongoing", &is_open), ("Empty", &is_idle)] {
            let request = ListTransactionsRequest { state_filters: vec![state.into()], ..all.clone() };
            assert_eq!(listed(&mut client, &request, version, &both).await, *expected, "version {version}");
        }
        let request = ListTransactionsRequest { producer_id_filters: vec![idle.id, i64::MAX], ..all.clone() };
        assert_eq!(listed(&mut client, &request, version, &both).await, is_idle, "version {version}");
        let request = ListTransactionsRequest { state_filters: vec!["Asleep".into(), "Empty".into()], ..all.clone() };
        assert_eq!(listed(&mut client, &request, version, &both).await, is_idle, "version {version}");
        assert_eq!(client.call(&request, version).await.unknown_state_filters, ["Asleep"]);
    }
    for version in 1..=2 {
        let long = ListTransactionsRequest { duration_filter: 3_600_000, ..all.clone() };
        // One that has not begun began at -1.
        assert_eq!(listed(&mut client, &long, version, &both).await, is_idle, "version {version}");
    }
    for (pattern, expected) in
        [("listed-.*", are_both.clone()), ("listed-[^1].*", is_idle.clone()), ("listed-1-ope", vec![]), ("", are_both)]
    {
        let request = ListTransactionsRequest { transactional_id_pattern: Some(pattern.into()), ..all.clone() };
        assert_eq!(listed(&mut client, &request, 2, &both).await, expected, "{pattern}");
    }
    let request = ListTransactionsRequest { transactional_id_pattern: Some("(".into()), ..all };
    let response = client.call(&request, 2).await;
    assert_eq!(error(response.error_code), ErrorCode::InvalidRegularExpression);
    open.ended(&mut client, false, END).await;
}

async fn described(client: &mut RawClient, topic: &str, partitions: &[i32]) -> Vec<PartitionResponse> {
    let topic = TopicRequest { name: topic.into(), partition_indexes: partitions.to_vec(), ..TopicRequest::default() };
    let request = DescribeProducersRequest { topics: vec![topic], ..DescribeProducersRequest::default() };
    client.call(&request, 0).await.topics.remove(0).partitions
}

async fn producer_of(client: &mut RawClient, topic: &TestTopic) -> ProducerState {
    let partition = described(client, &topic.name, &[0]).await.remove(0);
    assert_eq!((error(partition.error_code), partition.active_producers.len()), (ErrorCode::None, 1));
    partition.active_producers[0].clone()
}

#[tokio::test]
async fn producers_are_described() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "producers", 2).await;
    let producer = Producer::init(&mut client, &stage.name("producers")).await;
    client.append(&topic, 0, &["nobody's"]).await;
    let before = now_ms();
    producer.produced(&mut client, &topic, 0, "a").await;
    let seen = producer_of(&mut client, &topic).await;
    assert_eq!((seen.producer_id, seen.producer_epoch), (producer.id, producer.epoch.into()));
    assert_eq!((seen.last_sequence, seen.coordinator_epoch, seen.current_txn_start_offset), (0, -1, 1));
    assert!((before..=now_ms()).contains(&seen.last_timestamp), "{seen:?}");
    let next = producer.ended(&mut client, true, END).await;
    let seen = producer_of(&mut client, &topic).await;
    assert_eq!((seen.producer_epoch, seen.last_sequence, seen.current_txn_start_offset), (next.epoch.into(), -1, -1));
    assert!(seen.coordinator_epoch >= 0, "{seen:?}");
    // An epoch for many transactions goes on with its sequence numbers.
    next.add(&mut client, &topic.name, &[0], OLD_ADD).await;
    assert_eq!(next.produce(&mut client, &topic, 0, "b", OLD_PRODUCE).await, ErrorCode::None);
    next.ended(&mut client, true, OLD_END).await;
    let seen = producer_of(&mut client, &topic).await;
    assert_eq!((seen.producer_epoch, seen.last_sequence, seen.current_txn_start_offset), (next.epoch.into(), 0, -1));
    assert_eq!(high_watermark(&mut client, &topic, 0).await, 5);

    let partitions = described(&mut client, &topic.name, &[1, 2]).await;
    let errors: Vec<_> = partitions.iter().map(|p| (p.partition_index, error(p.error_code))).collect();
    assert_eq!(errors, [(1, ErrorCode::None), (2, ErrorCode::UnknownTopicOrPartition)]);
    for (name, expected) in [
        ("no-such-topic", ErrorCode::UnknownTopicOrPartition),
        ("not a name", ErrorCode::InvalidTopicException),
        ("", ErrorCode::InvalidTopicException),
    ] {
        assert_eq!(error(described(&mut client, name, &[0]).await[0].error_code), expected, "{name}");
    }
}
