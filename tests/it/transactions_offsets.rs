//! Offsets of groups that are committed with a transaction.

use std::{net::SocketAddr, time::Instant};

use ottla::protocol::{
    error_code::ErrorCode,
    messages::{
        OffsetFetchRequest,
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
    },
};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use crate::{
    groups::{Member, stable_member},
    support::{BOUND, RawClient, TestTopic, blocking, client_config, consume_up_to_with_librdkafka, error, within},
    transactional::{
        COMMIT_OFFSETS, END, OLD_END, Producer, Stage, committed_offset, high_watermark, state, transaction_broker,
        transaction_client,
    },
};

/// The newest version of clients that add offsets before they commit them, and of those that know stable offsets by name.
const OLD_COMMIT_OFFSETS: i16 = 4;
const OFFSET_FETCH: i16 = 9;

/// What a group has committed for partition 0.
async fn offset(
    client: &mut RawClient,
    group: &str,
    topic: &TestTopic,
    require_stable: bool,
) -> Result<i64, ErrorCode> {
    let topics = vec![OffsetFetchRequestTopics {
        name: topic.name.as_str().into(),
        partition_indexes: vec![0],
        ..OffsetFetchRequestTopics::default()
    }];
    let group =
        OffsetFetchRequestGroup { group_id: group.into(), topics: Some(topics), ..OffsetFetchRequestGroup::default() };
    let request = OffsetFetchRequest { groups: vec![group], require_stable, ..OffsetFetchRequest::default() };
    let response = within(async {
        loop {
            let response = client.call(&request, OFFSET_FETCH).await;
            match error(response.groups[0].error_code) {
                ErrorCode::CoordinatorLoadInProgress => {}
                error => break (error, response),
            }
        }
    });
    let (group_error, response) = response.await;
    assert_eq!(group_error, ErrorCode::None);
    let partition = &response.groups[0].topics[0].partitions[0];
    match error(partition.error_code) {
        ErrorCode::None => Ok(partition.committed_offset),
        error => Err(error),
    }
}

/// Asks for a stable offset until there is one.
pub(crate) async fn stable_offset(client: &mut RawClient, group: &str, topic: &TestTopic) -> i64 {
    within(async {
        loop {
            match offset(client, group, topic, true).await {
                Ok(offset) => return offset,
                Err(error) => assert_eq!(error, ErrorCode::UnstableOffsetCommit),
            }
        }
    })
    .await
}

const UNSTABLE: Result<i64, ErrorCode> = Err(ErrorCode::UnstableOffsetCommit);

#[tokio::test]
async fn offsets_count_once_the_transaction_commits() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "offsets", 1).await;
    let group = stage.name("offsets");
    let mut producer = Producer::init(&mut client, &stage.name("offsets")).await;
    let mut before = -1;
    for (next, commits) in [(1, false), (2, true), (3, false), (4, true)] {
        let committed = producer.commit_offset(&mut client, &group, &topic, next, COMMIT_OFFSETS).await;
        assert_eq!(committed, ErrorCode::None);
        assert_eq!(offset(&mut client, &group, &topic, false).await, Ok(before));
        assert_eq!(offset(&mut client, &group, &topic, true).await, UNSTABLE);
        producer = producer.ended(&mut client, commits, END).await;
        if commits {
            before = next;
        }
        assert_eq!(stable_offset(&mut client, &group, &topic).await, before);
        assert_eq!(offset(&mut client, &group, &topic, false).await, Ok(before));
    }
}

/// What a client tells of its group is held against the group (KIP-447).
#[tokio::test]
async fn a_member_that_is_behind_commits_nothing() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "behind", 1).await;
    let member = stable_member(&mut client, &stage.name("behind"), b"subscription").await;
    let producer = Producer::init(&mut client, &stage.name("behind")).await;
    let other_id = Member { id: "nobody".to_owned(), ..member.clone() };
    let older = Member { generation: member.generation - 1, ..member.clone() };
    let newer = Member { generation: member.generation + 1, ..member.clone() };
    let not_static = Member { instance: Some("nobody".to_owned()), ..member.clone() };
    let outside = Member::new(&member.group);
    let refused = [
        (&other_id, ErrorCode::UnknownMemberId),
        (&older, ErrorCode::IllegalGeneration),
        (&newer, ErrorCode::IllegalGeneration),
        (&not_static, ErrorCode::UnknownMemberId),
    ];
    for version in [3, OLD_COMMIT_OFFSETS, COMMIT_OFFSETS] {
        if version < COMMIT_OFFSETS {
            assert_eq!(producer.add_offsets(&mut client, &member.group, 3).await, ErrorCode::None);
        }
        for (asking, refusal) in refused {
            let request = producer.offsets_request(asking, &topic, 7);
            let committed = committed_offset(&mut client, &request, version).await;
            assert_eq!(committed, refusal, "version {version}, {asking:?}");
        }
        assert_eq!(offset(&mut client, &member.group, &topic, true).await, Ok(-1), "nothing is pending");
    }
    // Clients before version 3 say nothing of themselves.
    for asking in [&outside, &member] {
        let request = producer.offsets_request(asking, &topic, 8);
        assert_eq!(committed_offset(&mut client, &request, COMMIT_OFFSETS).await, ErrorCode::None, "{asking:?}");
    }
    producer.ended(&mut client, true, END).await;
    assert_eq!(stable_offset(&mut client, &member.group, &topic).await, 8);
}

/// A producer that was shut out commits no offsets.
#[tokio::test]
async fn a_producer_that_is_shut_out_commits_no_offsets() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "shut-out", 1).await;
    let group = stage.name("shut-out");
    let first = Producer::init(&mut client, &stage.name("shut-out")).await;
    assert_eq!(first.commit_offset(&mut client, &group, &topic, 1, COMMIT_OFFSETS).await, ErrorCode::None);
    let second = Producer::init(&mut client, &first.transactional_id).await;
    for version in 0..=COMMIT_OFFSETS {
        let refused = first.commit_offset(&mut client, &group, &topic, 2, version).await;
        assert_eq!(refused, ErrorCode::InvalidProducerEpoch, "version {version}");
    }
    assert_eq!(stable_offset(&mut client, &group, &topic).await, -1);
    assert_eq!(second.commit_offset(&mut client, &group, &topic, 3, COMMIT_OFFSETS).await, ErrorCode::None);
    second.ended(&mut client, true, END).await;
    assert_eq!(stable_offset(&mut client, &group, &topic).await, 3);
}

/// Offsets and a transaction of older clients: the group's partition has to be added before.
#[tokio::test]
async fn older_clients_add_the_group_first() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let topic = stage.topic(&mut client, "add-first", 1).await;
    let group = stage.name("add-first");
    let producer = Producer::init(&mut client, &stage.name("add-first")).await;
    for version in 0..=OLD_COMMIT_OFFSETS {
        let expected =
            if version < OLD_COMMIT_OFFSETS { ErrorCode::InvalidTxnState } else { ErrorCode::TransactionAbortable };
        let refused = producer.commit_offset(&mut client, &group, &topic, 1, version).await;
        assert_eq!(refused, expected, "version {version}");
        assert_eq!(producer.add_offsets(&mut client, &group, 3).await, ErrorCode::None);
        let next = i64::from(version) + 10;
        let committed = producer.commit_offset(&mut client, &group, &topic, next, version).await;
        assert_eq!(committed, ErrorCode::None, "version {version}");
        producer.ended(&mut client, true, OLD_END).await;
        assert_eq!(stable_offset(&mut client, &group, &topic).await, next);
    }
}

#[tokio::test]
async fn offsets_of_an_open_transaction_outlast_a_restart() {
    let broker = transaction_broker(&[]).await;
    let mut client = transaction_client(broker.address()).await;
    let topic = broker.create_topic("restart", 1).await;
    let committing = Producer::init(&mut client, "committing").await;
    let aborting = Producer::init(&mut client, "aborting").await;
    for (producer, group) in [(&committing, "commits"), (&aborting, "aborts")] {
        assert_eq!(producer.commit_offset(&mut client, group, &topic, 5, COMMIT_OFFSETS).await, ErrorCode::None);
    }
    let broker = broker.restarted().await;
    let mut client = transaction_client(broker.address()).await;
    for (group, producer) in [("commits", &committing), ("aborts", &aborting)] {
        assert_eq!(offset(&mut client, group, &topic, true).await, UNSTABLE);
        assert_eq!(offset(&mut client, group, &topic, false).await, Ok(-1));
        let described = state(&mut client, &producer.transactional_id).await;
        assert_eq!((&*described.transaction_state, &*described.topics[0].topic), ("Ongoing", "__consumer_offsets"));
    }
    committing.ended(&mut client, true, END).await;
    aborting.ended(&mut client, false, END).await;
    assert_eq!(stable_offset(&mut client, "commits", &topic).await, 5);
    assert_eq!(stable_offset(&mut client, "aborts", &topic).await, -1);
    let broker = broker.restarted().await;
    let mut client = transaction_client(broker.address()).await;
    assert_eq!(stable_offset(&mut client, "commits", &topic).await, 5);
    assert_eq!(stable_offset(&mut client, "aborts", &topic).await, -1);
}

const INPUTS: usize = 60;
const TRANSACTION_INPUTS: usize = 7;

/// Reads, writes on and commits both with a transaction, of which every third is aborted and done again.
#[tokio::test]
async fn librdkafka_loses_and_doubles_nothing_between_two_topics() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let input = stage.topic(&mut client, "pipeline-in", 1).await;
    let output = stage.topic(&mut client, "pipeline-out", 1).await;
    let values: Vec<_> = (0..INPUTS).map(|number| number.to_string()).collect();
    client.append(&input, 0, &values.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let group = stage.name("pipeline");
    let pipeline = Pipeline {
        address: stage.address(),
        transactional_id: group.clone(),
        group: group.clone(),
        input: input.name.clone(),
        output: output.name.clone(),
    };
    blocking(move || pipeline.run()).await;
    assert_eq!(stable_offset(&mut client, &group, &input).await, i64::try_from(INPUTS).expect("few"));
    let last = high_watermark(&mut client, &output, 0).await - 1;
    let (address, name) = (stage.address(), output.name.clone());
    // The last offset is a marker's.
    let written = blocking(move || consume_up_to_with_librdkafka(address, &name, last - 1)).await;
    let written: Vec<_> = written.into_iter().map(|(_, _, value)| value).collect();
    assert_eq!(written, values);
}

struct Pipeline {
    address: SocketAddr,
    transactional_id: String,
    group: String,
    input: String,
    output: String,
}

impl Pipeline {
    fn run(&self) {
        let settings = [("transactional.id", self.transactional_id.as_str())];
        let producer: BaseProducer = client_config(self.address, &settings).create().expect("a producer");
        producer.init_transactions(BOUND).expect("an id");
        let settings =
            [("group.id", self.group.as_str()), ("enable.auto.commit", "false"), ("auto.offset.reset", "earliest")];
        let mut config = client_config(self.address, &settings);
        config.remove("message.timeout.ms");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        consumer.subscribe(&[&self.input]).expect("a topic");
        let mut done = 0;
        let mut number = 0;
        while done < INPUTS {
            let size = TRANSACTION_INPUTS.min(INPUTS - done);
            number += 1;
            let commits = number % 3 != 0;
            self.transaction(&producer, &consumer, size, commits);
            if commits {
                done += size;
            } else {
                let from = Offset::Offset(i64::try_from(done).expect("few"));
                consumer.seek(&self.input, 0, from, BOUND).expect("assigned");
            }
        }
    }

    fn transaction(&self, producer: &BaseProducer, consumer: &BaseConsumer, size: usize, commits: bool) {
        producer.begin_transaction().expect("none is open");
        let began = Instant::now();
        let mut next = 0;
        for _ in 0..size {
            // It returns without one where the group changes.
            let mut polled = (0..).map(|_| consumer.poll(BOUND)).take_while(|_| began.elapsed() < BOUND).flatten();
            let message = polled.next().expect("a record in time").expect("no error");
            next = message.offset() + 1;
            let record =
                BaseRecord::<(), _>::to(&self.output).partition(0).payload(message.payload().expect("a value"));
            producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
        }
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&self.input, 0, Offset::Offset(next)).expect("an offset");
        let metadata = consumer.group_metadata().expect("in a group");
        producer.send_offsets_to_transaction(&offsets, &metadata, BOUND).expect("taken");
        if commits {
            producer.commit_transaction(BOUND).expect("committed");
        } else {
            producer.flush(BOUND).expect("written");
            producer.abort_transaction(BOUND).expect("aborted");
        }
    }
}
