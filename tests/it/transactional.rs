//! Transactional producers, and what the tests of transactions ask.
//!
//! Every expectation can be held against another broker, such as Apache Kafka 4.4.0, which has to run already and whose logs of
//! transactions and groups are best given few partitions:
//!
//! ```text
//! OTTLA_IT_REFEREE=127.0.0.1:9092 cargo test --test it transactions
//! ```
//!
//! What this broker answers otherwise on purpose says so by [`Stage::expects`].

use std::{
    env,
    net::SocketAddr,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use ottla::protocol::{
    error_code::ErrorCode,
    messages::{
        AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeTransactionsRequest, EndTxnRequest, FetchRequest,
        FindCoordinatorRequest, InitProducerIdRequest, InitProducerIdResponse, ListOffsetsRequest, ProduceRequest,
        TxnOffsetCommitRequest,
        add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction},
        describe_transactions_response::TransactionState,
        fetch_response::PartitionData,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic},
    },
    records::{
        Records,
        batch::RecordBatch,
        builder::{BatchBuilder, NewRecord},
    },
};

use crate::{
    groups::{GROUP_SETTINGS, Member},
    support::{
        RawClient, TestBroker, TestTopic, batches, build, error, fetch_request, only_partition, produce_request,
        record, records, results, within,
    },
};

/// Names a broker that the requests go to instead.
const REFEREE: &str = "OTTLA_IT_REFEREE";
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const READ_UNCOMMITTED: i8 = 0;
pub(crate) const READ_COMMITTED: i8 = 1;
const LATEST: i64 = -1;
/// Who asks if it is no replica.
const CONSUMER: i32 = -1;
/// How long a transaction may stay open where that does not matter.
pub(crate) const TIMEOUT_MS: i32 = 60_000;
/// The wait between two questions whether something has happened.
const POLL: Duration = Duration::from_millis(2);

/// The newest versions.
pub(crate) const INIT: i16 = 5;
pub(crate) const END: i16 = 5;
pub(crate) const PRODUCE: i16 = 12;
pub(crate) const COMMIT_OFFSETS: i16 = 5;
/// The newest ones of clients that have one epoch for many transactions.
pub(crate) const OLD_END: i16 = 4;
pub(crate) const OLD_PRODUCE: i16 = 11;
pub(crate) const OLD_ADD: i16 = 3;

/// A broker for transactions, and names that nobody has used on it.
pub(crate) struct Stage {
    broker: Option<TestBroker>,
    address: SocketAddr,
    suffix: String,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With settings of the broker, which a referee has to have been given.
    pub(crate) async fn with(settings: &[&str]) -> Self {
        if let Ok(referee) = env::var(REFEREE) {
            let address = referee.parse().expect("an address");
            return Self { broker: None, address, suffix: format!("-{}", now_ms()) };
        }
        let broker = transaction_broker(settings).await;
        Self { address: broker.address(), broker: Some(broker), suffix: String::new() }
    }

    /// A client that has found the coordinators.
    pub(crate) async fn client(&self) -> RawClient {
        transaction_client(self.address).await
    }

    pub(crate) async fn topic(&self, client: &mut RawClient, name: &str, partitions: i32) -> TestTopic {
        let topic = client.create_topic(&self.name(name), partitions, &[]).await;
        // Kafka has a topic some time after it has created it.
        within(async {
            for partition in 0..partitions {
                while latest(client, &topic, partition, READ_UNCOMMITTED, 9).await.is_err() {
                    tokio::time::sleep(POLL).await;
                }
            }
        })
        .await;
        topic
    }

    /// A name that nobody has used.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{name}{}", self.suffix)
    }

    /// What is to be expected where Apache Kafka 4.4.0 says something else.
    pub(crate) fn expects<T>(&self, ours: T, kafkas: T) -> T {
        if self.is_referee() { kafkas } else { ours }
    }

    pub(crate) fn is_referee(&self) -> bool {
        self.broker.is_none()
    }

    /// The same with the broker restarted, and something done to its directory in between.
    pub(crate) async fn restarted_after(self, change: impl FnOnce(&Path)) -> Self {
        let broker = self.broker.expect("no referee").restarted_after(change).await;
        Self { address: broker.address(), broker: Some(broker), suffix: self.suffix }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The data directory, unless it is a referee's.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.broker.as_ref().map(TestBroker::path)
    }
}

/// A broker with few partitions in its own topics.
pub(crate) async fn transaction_broker(settings: &[&str]) -> TestBroker {
    let few = ["transaction.state.log.num.partitions=3"];
    TestBroker::with(&[&GROUP_SETTINGS, &few[..], settings].concat()).await
}

/// A client that has found the coordinators.
pub(crate) async fn transaction_client(address: SocketAddr) -> RawClient {
    let mut client = RawClient::connect(address).await;
    for key_type in [GROUP, TRANSACTION] {
        let request = FindCoordinatorRequest {
            key_type,
            coordinator_keys: vec!["any".into()],
            ..FindCoordinatorRequest::default()
        };
        within(async {
            while error(client.call(&request, 4).await.coordinators[0].error_code) != ErrorCode::None {
                tokio::time::sleep(POLL).await;
            }
        })
        .await;
    }
    client
}

pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set");
    i64::try_from(now.as_millis()).expect("not that late")
}

/// A transactional producer: what it calls itself, and what it was given.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Producer {
    pub(crate) transactional_id: String,
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

pub(crate) fn init_request(transactional_id: &str, transaction_timeout_ms: i32) -> InitProducerIdRequest {
    let transactional_id = Some(transactional_id.into());
    InitProducerIdRequest { transactional_id, transaction_timeout_ms, ..InitProducerIdRequest::default() }
}

/// Initialises a producer, again for as long as a transaction before it is on its way out.
pub(crate) async fn initialised(
    client: &mut RawClient,
    request: &InitProducerIdRequest,
    version: i16,
) -> InitProducerIdResponse {
    let passing = [
        ErrorCode::ConcurrentTransactions,
        ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotCoordinator,
    ];
    within(async {
        loop {
            let response = client.call(request, version).await;
            if !passing.contains(&error(response.error_code)) {
                return response;
            }
            tokio::time::sleep(POLL).await;
        }
    })
    .await
}

impl Producer {
    pub(crate) async fn init(client: &mut RawClient, transactional_id: &str) -> Self {
        Self::init_with(client, transactional_id, TIMEOUT_MS).await
    }

    /// With a limit to how long a transaction may stay open.
    pub(crate) async fn init_with(client: &mut RawClient, transactional_id: &str, timeout_ms: i32) -> Self {
        let response = initialised(client, &init_request(transactional_id, timeout_ms), INIT).await;
        assert_eq!(error(response.error_code), ErrorCode::None);
        let (id, epoch) = (response.producer_id, response.producer_epoch);
        Self { transactional_id: transactional_id.to_owned(), id, epoch }
    }

    /// The same in another epoch.
    pub(crate) fn in_epoch(&self, epoch: i16) -> Self {
        Self { epoch, ..self.clone() }
    }

    /// A batch of a transaction.
    pub(crate) fn batch(&self, sequence: i32, values: &[&str]) -> Bytes {
        let builder = BatchBuilder::new(0).producer(self.id, self.epoch, sequence).transactional();
        // Of now, as markers are: a segment does not span years.
        let timestamp = now_ms();
        let records = values.iter().map(|value| NewRecord { timestamp, ..record(value) });
        build(builder, records).bytes().clone()
    }

    pub(crate) fn produce_request(&self, topic: &TestTopic, partitions: Vec<(i32, Option<Bytes>)>) -> ProduceRequest {
        let transactional_id = Some(self.transactional_id.as_str().into());
        ProduceRequest { transactional_id, ..produce_request(topic, partitions) }
    }

    /// Produces a record to partition 0.
    pub(crate) async fn produce(
        &self,
        client: &mut RawClient,
        topic: &TestTopic,
        sequence: i32,
        value: &str,
        version: i16,
    ) -> ErrorCode {
        let request = self.produce_request(topic, vec![(0, Some(self.batch(sequence, &[value])))]);
        error(results(client.call(&request, version).await).remove(0).error_code)
    }

    /// Produces a record to partition 0, in the newest way, which must be taken.
    pub(crate) async fn produced(&self, client: &mut RawClient, topic: &TestTopic, sequence: i32, value: &str) {
        assert_eq!(self.produce(client, topic, sequence, value, PRODUCE).await, ErrorCode::None);
    }

    pub(crate) fn add_request(&self, topic: &str, partitions: &[i32], version: i16) -> AddPartitionsToTxnRequest {
        let topics = vec![AddPartitionsToTxnTopic {
            name: topic.into(),
            partitions: partitions.to_vec(),
            ..AddPartitionsToTxnTopic::default()
        }];
        if version <= OLD_ADD {
            return AddPartitionsToTxnRequest {
                v3_and_below_transactional_id: self.transactional_id.as_str().into(),
                v3_and_below_producer_id: self.id,
                v3_and_below_producer_epoch: self.epoch,
                v3_and_below_topics: topics,
                ..AddPartitionsToTxnRequest::default()
            };
        }
        AddPartitionsToTxnRequest {
            transactions: vec![AddPartitionsToTxnTransaction {
                transactional_id: self.transactional_id.as_str().into(),
                producer_id: self.id,
                producer_epoch: self.epoch,
                topics,
                ..AddPartitionsToTxnTransaction::default()
            }],
            ..AddPartitionsToTxnRequest::default()
        }
    }

    /// Adds partitions of one topic; the error of each.
    pub(crate) async fn add(
        &self,
        client: &mut RawClient,
        topic: &str,
        partitions: &[i32],
        version: i16,
    ) -> Vec<(i32, ErrorCode)> {
        added(client, &self.add_request(topic, partitions, version), version).await
    }

    pub(crate) async fn add_offsets(&self, client: &mut RawClient, group: &str, version: i16) -> ErrorCode {
        let request = AddOffsetsToTxnRequest {
            transactional_id: self.transactional_id.as_str().into(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            group_id: group.into(),
            ..AddOffsetsToTxnRequest::default()
        };
        error(client.call(&request, version).await.error_code)
    }

    pub(crate) fn offsets_request(&self, member: &Member, topic: &TestTopic, offset: i64) -> TxnOffsetCommitRequest {
        let partition = TxnOffsetCommitRequestPartition {
            partition_index: 0,
            committed_offset: offset,
            committed_metadata: Some("kept".into()),
            ..TxnOffsetCommitRequestPartition::default()
        };
        let topic = TxnOffsetCommitRequestTopic {
            name: topic.name.as_str().into(),
            topic_id: topic.id,
            partitions: vec![partition],
            ..TxnOffsetCommitRequestTopic::default()
        };
        TxnOffsetCommitRequest {
            transactional_id: self.transactional_id.as_str().into(),
            group_id: member.group.as_str().into(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            generation_id_or_member_epoch: member.generation,
            member_id: member.id.as_str().into(),
            group_instance_id: member.instance.as_deref().map(Into::into),
            topics: vec![topic],
            ..TxnOffsetCommitRequest::default()
        }
    }

    /// Commits an offset of partition 0 with the transaction, for somebody outside the group.
    pub(crate) async fn commit_offset(
        &self,
        client: &mut RawClient,
        group: &str,
        topic: &TestTopic,
        offset: i64,
        version: i16,
    ) -> ErrorCode {
        committed_offset(client, &self.offsets_request(&Member::new(group), topic, offset), version).await
    }

    pub(crate) fn end_request(&self, committed: bool) -> EndTxnRequest {
        EndTxnRequest {
            transactional_id: self.transactional_id.as_str().into(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed,
            ..EndTxnRequest::default()
        }
    }

    /// Ends the transaction: the producer that goes on, or the error.
    pub(crate) async fn end(&self, client: &mut RawClient, commits: bool, version: i16) -> Result<Self, ErrorCode> {
        let response = client.call(&self.end_request(commits), version).await;
        match error(response.error_code) {
            ErrorCode::None if version < END => Ok(self.clone()),
            ErrorCode::None => Ok(Self { id: response.producer_id, epoch: response.producer_epoch, ..self.clone() }),
            error => Err(error),
        }
    }

    /// Ends the transaction, which has to succeed, and waits until every partition knows.
    pub(crate) async fn ended(&self, client: &mut RawClient, commits: bool, version: i16) -> Self {
        let next = self.end(client, commits, version).await.expect("it ends");
        self.settled(client).await;
        next
    }

    /// Waits until no end is on its way.
    pub(crate) async fn settled(&self, client: &mut RawClient) {
        self.comes_to(client, |state| !state.starts_with("Prepare")).await;
    }

    /// Waits for a state.
    pub(crate) async fn comes_to(&self, client: &mut RawClient, is_reached: impl Fn(&str) -> bool) {
        within(async {
            while !is_reached(&state(client, &self.transactional_id).await.transaction_state) {
                tokio::time::sleep(POLL).await;
            }
        })
        .await;
    }
}

pub(crate) async fn added(
    client: &mut RawClient,
    request: &AddPartitionsToTxnRequest,
    version: i16,
) -> Vec<(i32, ErrorCode)> {
    let response = client.call(request, version).await;
    assert_eq!(error(response.error_code), ErrorCode::None);
    let batched = response.results_by_transaction.into_iter().flat_map(|transaction| transaction.topic_results);
    let topics = response.results_by_topic_v3_and_below.into_iter().chain(batched);
    let partitions = topics.flat_map(|topic| topic.results_by_partition);
    let mut errors: Vec<_> =
        partitions.map(|partition| (partition.partition_index, error(partition.partition_error_code))).collect();
    // Kafka's are in the order of a hash table.
    errors.sort_unstable();
    errors
}

/// The error of the one partition that an offset is committed for.
pub(crate) async fn committed_offset(
    client: &mut RawClient,
    request: &TxnOffsetCommitRequest,
    version: i16,
) -> ErrorCode {
    let response = client.call(request, version).await;
    error(response.topics[0].partitions[0].error_code)
}

/// What the coordinator tells of an id, once it has loaded what it knows.
pub(crate) async fn state(client: &mut RawClient, transactional_id: &str) -> TransactionState {
    let transactional_ids = vec![transactional_id.into()];
    let request = DescribeTransactionsRequest { transactional_ids, ..DescribeTransactionsRequest::default() };
    within(async {
        loop {
            let state = client.call(&request, 0).await.transaction_states.remove(0);
            if error(state.error_code) != ErrorCode::CoordinatorLoadInProgress {
                return state;
            }
        }
    })
    .await
}

/// The name of the state of an id.
pub(crate) async fn state_name(client: &mut RawClient, transactional_id: &str) -> String {
    let state = state(client, transactional_id).await;
    assert_eq!(error(state.error_code), ErrorCode::None);
    state.transaction_state.to_string()
}

async fn latest(
    client: &mut RawClient,
    topic: &TestTopic,
    partition: i32,
    isolation_level: i8,
    version: i16,
) -> Result<i64, ErrorCode> {
    let partition =
        ListOffsetsPartition { partition_index: partition, timestamp: LATEST, ..ListOffsetsPartition::default() };
    let topic = ListOffsetsTopic {
        name: topic.name.as_str().into(),
        partitions: vec![partition],
        ..ListOffsetsTopic::default()
    };
    let request = ListOffsetsRequest {
        replica_id: CONSUMER,
        isolation_level,
        topics: vec![topic],
        ..ListOffsetsRequest::default()
    };
    let partition = client.call(&request, version).await.topics.remove(0).partitions.remove(0);
    match error(partition.error_code) {
        ErrorCode::None => Ok(partition.offset),
        error => Err(error),
    }
}

/// The high watermark of a partition.
pub(crate) async fn high_watermark(client: &mut RawClient, topic: &TestTopic, partition: i32) -> i64 {
    latest(client, topic, partition, READ_UNCOMMITTED, 9).await.expect("it is there")
}

/// The last stable offset of a partition.
pub(crate) async fn last_stable_offset(client: &mut RawClient, topic: &TestTopic, partition: i32, version: i16) -> i64 {
    latest(client, topic, partition, READ_COMMITTED, version).await.expect("it is there")
}

/// Reads partition 0 from its start, for one who wants committed records alone.
pub(crate) async fn fetch_committed(client: &mut RawClient, topic: &TestTopic, version: i16) -> PartitionData {
    let request = FetchRequest { isolation_level: READ_COMMITTED, ..fetch_request(topic, 0, 0) };
    only_partition(client.call(&request, version).await)
}

/// Every batch of partition 0.
pub(crate) async fn all_batches(client: &mut RawClient, topic: &TestTopic) -> Vec<RecordBatch> {
    batches(&client.fetch(topic, 0, 0).await)
}

/// The values that a reader of committed records sees of partition 0, as a client works them out.
pub(crate) async fn committed_values(client: &mut RawClient, topic: &TestTopic) -> Vec<String> {
    let partition = fetch_committed(client, topic, 12).await;
    let mut aborted = partition.aborted_transactions.clone().expect("a list");
    let mut ignored: Vec<i64> = Vec::new();
    let mut values = Vec::new();
    for batch in batches(&partition) {
        let header = batch.header();
        let producer_id = header.producer_id;
        for begun in aborted.extract_if(.., |aborted| aborted.first_offset <= header.last_offset()) {
            ignored.push(begun.producer_id);
        }
        if header.is_control() {
            ignored.retain(|id| *id != producer_id);
        } else if !header.is_transactional() || !ignored.contains(&producer_id) {
            let only =
                PartitionData { records: Some(Records::Bytes(batch.bytes().clone())), ..PartitionData::default() };
            values.extend(records(&only).into_iter().map(|(_, value)| value));
        }
    }
    values
}
