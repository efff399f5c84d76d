//! A producer and a consumer that behave, and notice everything.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use ottla::protocol::{
    messages::{
        CreateTopicsRequest, FetchRequest, ProduceRequest,
        create_topics_request::CreatableTopic,
        fetch_request::{FetchPartition, FetchTopic},
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    records::{
        Records,
        batch::RecordBatch,
        builder::{BatchBuilder, NewRecord},
    },
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

use crate::{BOUND, wire::Client};

const TOPIC: &str = "canary";
/// What a record holds beside its number, now and then so much that the batch needs room for itself.
const VALUE_SIZES: [usize; 4] = [10, 1000, 10, 100_000];
const VALUE_SIZE_MAX: usize = 200_000;
const PAUSE: Duration = Duration::from_millis(10);

/// The two at work.
pub(crate) struct Canary {
    stopped: Arc<AtomicBool>,
    /// Whether what was produced is all that will be.
    is_all: Arc<AtomicBool>,
    produced: Arc<AtomicI64>,
    producer: JoinHandle<Vec<Duration>>,
    consumer: JoinHandle<i64>,
}

/// What they have seen.
pub(crate) struct Seen {
    pub(crate) records: i64,
    pub(crate) median: Duration,
    pub(crate) most: Duration,
    pub(crate) latest: Duration,
}

impl Canary {
    /// One for each of the two.
    pub(crate) const CONNECTIONS: usize = 2;

    pub(crate) async fn start(address: SocketAddr) -> Self {
        let mut client = Client::connect(address).await.expect("the broker listens");
        let id = create_topic(&mut client, TOPIC, 1).await;
        let [stopped, is_all] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let produced = Arc::new(AtomicI64::new(0));
        let producer = tokio::spawn(produce(client, Arc::clone(&stopped), Arc::clone(&produced)));
        let consumer = tokio::spawn(consume(address, id, Arc::clone(&is_all), Arc::clone(&produced)));
        Self { stopped, is_all, produced, producer, consumer }
    }

    /// Stops producing, and waits until all is consumed: each record once, in order.
    pub(crate) async fn stop(self) -> Seen {
        self.stopped.store(true, SeqCst);
        let mut latencies = timeout(BOUND, self.producer).await.expect("in time").expect("the producer is served");
        self.is_all.store(true, SeqCst);
        let consumed = timeout(BOUND, self.consumer).await.expect("in time").expect("the consumer is served");
        assert_eq!(consumed, self.produced.load(SeqCst), "what was acknowledged is there");
        latencies.sort_unstable();
        let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied().unwrap_or_default();
        let latest = latencies.last().copied().unwrap_or_default();
        Seen { records: consumed, median: at(50), most: at(99), latest }
    }
}

/// Creates a topic, and returns its id.
pub(crate) async fn create_topic(client: &mut Client, name: &str, partitions: i32) -> Uuid {
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    let created = client.call(&request, 7).await.expect("an answer");
    assert_eq!(created.topics[0].error_code, 0);
    created.topics[0].topic_id
}

/// Produces numbers in ascending order until it is told to stop, and returns how long each took.
async fn produce(mut client: Client, stopped: Arc<AtomicBool>, produced: Arc<AtomicI64>) -> Vec<Duration> {
    let mut latencies = Vec::new();
    for number in 0.. {
        if stopped.load(SeqCst) {
            break;
        }
        let filler = VALUE_SIZES[usize::try_from(number).expect("positive") % VALUE_SIZES.len()];
        let request = produce_request(TOPIC, batch_of(&format!("{number} {}", "x".repeat(filler))));
        let begun = Instant::now();
        let response = client.call(&request, 9).await.expect("the connection stays");
        latencies.push(begun.elapsed());
        let result = &response.responses[0].partition_responses[0];
        assert_eq!((result.error_code, result.base_offset), (0, number));
        produced.store(number + 1, SeqCst);
        sleep(PAUSE).await;
    }
    latencies
}

fn batch_of(value: &str) -> Bytes {
    let mut builder = BatchBuilder::new(0);
    let record = NewRecord { timestamp: 1_700_000_000_000, value: Some(value.as_bytes()), ..NewRecord::default() };
    builder.append(&record).expect("it fits");
    builder.build().expect("a batch").bytes().clone()
}

/// A batch for the first partition of a topic.
pub(crate) fn produce_request(topic: &str, records: Bytes) -> ProduceRequest {
    let partition = PartitionProduceData { records: Some(Records::Bytes(records)), ..PartitionProduceData::default() };
    let topic = TopicProduceData { name: topic.into(), partition_data: vec![partition], ..TopicProduceData::default() };
    ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..ProduceRequest::default() }
}

/// Consumes until all that was produced is read, and returns how much that was.
async fn consume(address: SocketAddr, id: Uuid, is_all: Arc<AtomicBool>, produced: Arc<AtomicI64>) -> i64 {
    let mut client = Client::connect(address).await.expect("the broker listens");
    let mut next = 0;
    while !is_all.load(SeqCst) || next < produced.load(SeqCst) {
        let partition = FetchPartition {
            fetch_offset: next,
            partition_max_bytes: i32::try_from(VALUE_SIZE_MAX).expect("small"),
            ..FetchPartition::default()
        };
        let topic = FetchTopic { topic_id: id, partitions: vec![partition], ..FetchTopic::default() };
        let request = FetchRequest {
            max_wait_ms: 100,
            min_bytes: 1,
            max_bytes: i32::MAX,
            session_epoch: -1,
            topics: vec![topic],
            ..FetchRequest::default()
        };
        let response = client.call(&request, 16).await.expect("the connection stays");
        let partition = &response.responses[0].partitions[0];
        assert_eq!(partition.error_code, 0);
        if let Some(Records::Bytes(bytes)) = &partition.records {
            next = check(bytes.clone(), next);
        }
    }
    next
}

/// Holds the records against the numbers that come next.
fn check(mut bytes: Bytes, mut next: i64) -> i64 {
    while !bytes.is_empty() {
        let batch = RecordBatch::split_from(&mut bytes).expect("whole batches");
        batch.check_crc().expect("a right CRC");
        for record in batch.records(VALUE_SIZE_MAX).expect("not compressed") {
            let value = record.expect("a record").value.expect("a value");
            let text = std::str::from_utf8(&value).expect("text");
            let number: i64 = text.split(' ').next().expect("a first word").parse().expect("a number");
            assert_eq!(number, next, "each once and in order");
            next += 1;
        }
    }
    next
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, median, most, latest } = self;
        write!(f, "{records} records, answered after {median:.1?} (median), {most:.1?} (99 %), {latest:.1?} (latest)")
    }
}
