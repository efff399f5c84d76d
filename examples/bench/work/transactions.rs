//! Loads on the transaction coordinator: producers that end a transaction and begin the next, as clients of
//! `transaction.version` 2 do it.

use std::{
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, bail, ensure};
use ottla::protocol::{
    ids::ProducerIdAndEpoch,
    messages::{
        EndTxnRequest, FindCoordinatorRequest, InitProducerIdRequest, ProduceRequest,
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    records::{
        Records,
        builder::{BatchBuilder, NewRecord},
    },
};

use super::{Cost, Sizes, latency, librdkafka, measure, payload, with_topic};
use crate::{
    client::{Client, frame},
    process::Broker,
    table::Figure,
};

/// The versions that requests are made in: those of the Java client, topics by name.
const FIND_COORDINATOR: i16 = 3;
const INIT_PRODUCER_ID: i16 = 5;
const PRODUCE: i16 = 12;
const END_TXN: i16 = 5;
/// What `FindCoordinator` is asked for.
const TRANSACTION: i8 = 1;

/// A coordinator that is not ready, a partition that cannot ask it, an end that is still on its way: come again.
const COME_AGAIN: [i16; 5] = [14, 15, 16, 19, 51];
/// The wait before that: `retry.backoff.ms` of the clients.
const PAUSE: Duration = Duration::from_millis(100);

const RECORD_BYTES: usize = 1000;
const PARTITIONS: i32 = 6;
/// Partitions of a transaction: one record to each.
const PARTITIONS_EACH: i32 = 2;
/// Requests of [`Sizes`] for one transaction.
const REQUESTS_EACH: usize = 25;
/// Records in a transaction of what is read.
const RECORDS_READ_EACH: usize = 100;

/// Transactions of so many producers at once.
pub(super) fn commit(name: &str, broker: &Broker, producers: usize, sizes: &Sizes) -> Result<Vec<Figure>> {
    let each = (sizes.requests / REQUESTS_EACH / producers).max(1);
    with_topic(broker, PARTITIONS, |topic| {
        let producers =
            (0..producers).map(|number| Producer::new(broker, topic, number)).collect::<Result<Vec<_>>>()?;
        let (latencies, Cost { time, cpu }) = measure(broker, || run(producers, each))?;
        let count = latencies.len() as f64;
        let [p50, p99] = latency(name, latencies);
        let rate = Figure::new(name, "transactions/s", count / time.as_secs_f64());
        Ok(vec![rate, p50, p99, Figure::new(name, "CPU µs/transaction", cpu * 1e6 / count)])
    })
}

/// The same committed records, read with either isolation level.
pub(super) fn read(name: &str, broker: &Broker, sizes: &Sizes) -> Result<Vec<Figure>> {
    let transactions = usize::try_from(sizes.mb)? * 1_000_000 / (RECORDS_READ_EACH * RECORD_BYTES);
    let count = transactions * RECORDS_READ_EACH;
    with_topic(broker, PARTITIONS, |topic| {
        let mut producer = Producer::new(broker, topic, 0)?;
        for (_, partition) in (0..transactions).zip((0..PARTITIONS).cycle()) {
            producer.transact(&[partition], RECORDS_READ_EACH)?;
        }
        let mut figures = Vec::new();
        for isolation in ["read_uncommitted", "read_committed"] {
            let settings = [("isolation.level", isolation)];
            let (time, read) = measure(broker, || librdkafka::read_all(broker, topic, PARTITIONS, &settings, count))?;
            figures.extend(Cost { time, ..read }.of_bytes(&format!("{name}, {isolation}"), count * RECORD_BYTES));
        }
        Ok(figures)
    })
}

/// Has every producer run so many transactions. Returns how long each took, in milliseconds.
fn run(producers: Vec<Producer>, each: usize) -> Result<Vec<f64>> {
    thread::scope(|scope| {
        let work = |mut producer: Producer| (0..each).map(|_| producer.timed()).collect::<Result<Vec<_>>>();
        let threads: Vec<_> = producers.into_iter().map(|producer| scope.spawn(move || work(producer))).collect();
        let mut latencies = Vec::with_capacity(each * threads.len());
        for thread in threads {
            let Ok(of_one) = thread.join() else { bail!("a producer panicked") };
            latencies.extend(of_one?);
        }
        Ok(latencies)
    })
}

/// A transactional producer with a connection of its own.
struct Producer {
    client: Client,
    topic: String,
    transactional_id: String,
    id_and_epoch: ProducerIdAndEpoch,
    /// The partition that its next transaction begins with.
    next: i32,
}

impl Producer {
    fn new(broker: &Broker, topic: &str, number: usize) -> Result<Self> {
        let transactional_id = format!("{topic}-{number}");
        let mut client = broker.client()?;
        let find = FindCoordinatorRequest {
            key: transactional_id.as_str().into(),
            key_type: TRANSACTION,
            ..FindCoordinatorRequest::default()
        };
        again(|| Ok(((), client.call(FIND_COORDINATOR, &find)?.error_code)))?;
        let init = InitProducerIdRequest {
            transactional_id: Some(transactional_id.as_str().into()),
            transaction_timeout_ms: 60_000,
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdRequest::default()
        };
        let id_and_epoch = again(|| {
            let response = client.call(INIT_PRODUCER_ID, &init)?;
            let producer = ProducerIdAndEpoch { id: response.producer_id, epoch: response.producer_epoch };
            Ok((producer, response.error_code))
        })?;
        let next = i32::try_from(number)? % PARTITIONS;
        Ok(Self { client, topic: topic.to_owned(), transactional_id, id_and_epoch, next })
    }

    fn timed(&mut self) -> Result<f64> {
        let partitions: Vec<_> = (0..PARTITIONS_EACH).map(|place| (self.next + place) % PARTITIONS).collect();
        self.next = (self.next + PARTITIONS_EACH) % PARTITIONS;
        let began = Instant::now();
        self.transact(&partitions, 1)?;
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }

    /// One transaction, with a batch of so many records to each partition.
    fn transact(&mut self, partitions: &[i32], records: usize) -> Result<()> {
        let produce = frame(PRODUCE, &self.produce(partitions, records)?)?;
        again(|| {
            self.client.send(&produce)?;
            let response = self.client.receive::<ProduceRequest>(PRODUCE)?;
            let mut all = response.responses.iter().flat_map(|topic| &topic.partition_responses);
            Ok(((), all.find(|partition| partition.error_code != 0).map_or(0, |refused| refused.error_code)))
        })?;
        let end = EndTxnRequest {
            transactional_id: self.transactional_id.as_str().into(),
            producer_id: self.id_and_epoch.id,
            producer_epoch: self.id_and_epoch.epoch,
            committed: true,
            ..EndTxnRequest::default()
        };
        self.id_and_epoch = again(|| {
            let response = self.client.call(END_TXN, &end)?;
            let producer = ProducerIdAndEpoch { id: response.producer_id, epoch: response.producer_epoch };
            Ok((producer, response.error_code))
        })?;
        Ok(())
    }

    fn produce(&self, partitions: &[i32], records: usize) -> Result<ProduceRequest> {
        let ProducerIdAndEpoch { id, epoch } = self.id_and_epoch;
        let mut builder = BatchBuilder::new(0).producer(id, epoch, 0).transactional();
        // As of now, which is when the markers are: records that are older by far would be in segments of their own.
        let timestamp = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        for seed in 0..records as u64 {
            let value = payload(seed, RECORD_BYTES);
            builder.append(&NewRecord { timestamp, value: Some(&value), ..NewRecord::default() })?;
        }
        let batch = builder.build()?.bytes().clone();
        let partition_data = partitions.iter().map(|index| PartitionProduceData {
            index: *index,
            records: Some(Records::Bytes(batch.clone())),
            ..PartitionProduceData::default()
        });
        let topic = TopicProduceData {
            name: self.topic.as_str().into(),
            partition_data: partition_data.collect(),
            ..TopicProduceData::default()
        };
        Ok(ProduceRequest {
            transactional_id: Some(self.transactional_id.as_str().into()),
            acks: -1,
            timeout_ms: 30_000,
            topic_data: vec![topic],
            ..ProduceRequest::default()
        })
    }
}

/// Asks until the answer is not to come again.
fn again<T>(mut ask: impl FnMut() -> Result<(T, i16)>) -> Result<T> {
    loop {
        let (answer, code) = ask()?;
        if COME_AGAIN.contains(&code) {
            thread::sleep(PAUSE);
            continue;
        }
        ensure!(code == 0, "error {code}");
        return Ok(answer);
    }
}
