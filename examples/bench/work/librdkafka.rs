//! Loads by librdkafka: the client as most programs outside the JVM have it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext},
};

use super::{Cost, Sizes, Writing, latency, measure, payload, with_topic};
use crate::{process::Broker, table::Figure};

/// How long records may take to be acknowledged, and to come back.
const BOUND: Duration = Duration::from_mins(2);
/// Different records that are sent in turn.
const PAYLOADS: usize = 1000;
/// The rate of the paced load, in records per second.
const RATE: u32 = 2000;
const PACED_PARTITIONS: i32 = 6;

/// Counts what was not acknowledged.
#[derive(Clone, Default)]
struct Deliveries(Arc<AtomicUsize>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, delivery: &DeliveryResult<'_>, (): ()) {
        if delivery.is_err() {
            self.0.fetch_add(1, Relaxed);
        }
    }
}

/// A producer, and what it failed to deliver.
struct Writer {
    producer: BaseProducer<Deliveries>,
    failed: Deliveries,
}

impl Writer {
    fn new(broker: &Broker, settings: &[(&str, &str)]) -> Result<Self> {
        let failed = Deliveries::default();
        let mut config = config(broker);
        config.set("enable.idempotence", "false").set("queue.buffering.max.kbytes", "262144");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        let producer = config.create_with_context(failed.clone())?;
        Ok(Self { producer, failed })
    }

    /// Puts a record into the queue, when there is room.
    fn send(&self, topic: &str, partition: i32, payload: &[u8]) -> Result<()> {
        let mut record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(payload);
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    record = refused;
                    self.producer.poll(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    /// Waits until everything is acknowledged.
    fn finish(&self) -> Result<()> {
        self.producer.flush(BOUND)?;
        let failed = self.failed.0.load(Relaxed);
        ensure!(failed == 0, "{failed} records were not acknowledged");
        Ok(())
    }
}

fn config(broker: &Broker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.address().to_string()).set("client.id", "bench");
    config
}

/// A consumer of all partitions from their start.
fn reader(broker: &Broker, topic: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<BaseConsumer> {
    let mut config = config(broker);
    config.set("group.id", "bench").set("enable.auto.commit", "false").set("queued.max.messages.kbytes", "262144");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    let consumer: BaseConsumer = config.create()?;
    let mut assigned = TopicPartitionList::new();
    for partition in 0..partitions {
        assigned.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&assigned)?;
    Ok(consumer)
}

/// Receives so many records. Returns the time from the first to the last: before it a client looks for the broker and
/// for its own position.
fn receive(consumer: &BaseConsumer, count: usize, mut each: impl FnMut(&[u8])) -> Result<Duration> {
    let mut first = None;
    for received in 0..count {
        let message = consumer.poll(BOUND).with_context(|| format!("only {received} of {count} records came"))??;
        first.get_or_insert_with(Instant::now);
        each(message.payload().unwrap_or_default());
    }
    Ok(first.map(|first| first.elapsed()).unwrap_or_default())
}

/// Reads so many records of all partitions from their start, and returns the time from the first to the last.
pub(super) fn read_all(
    broker: &Broker,
    topic: &str,
    partitions: i32,
    settings: &[(&str, &str)],
    count: usize,
) -> Result<Duration> {
    receive(&reader(broker, topic, partitions, settings)?, count, |_| ())
}

/// Writes records as fast as they are taken, then reads them back.
pub(super) fn write_and_read(name: &str, broker: &Broker, writing: Writing, sizes: &Sizes) -> Result<Vec<Figure>> {
    let Writing { acks, record_bytes, codec, partitions } = writing;
    let count = usize::try_from(sizes.mb)? * 1_000_000 / record_bytes;
    let payloads: Vec<_> = (0..PAYLOADS as u64).map(|seed| payload(seed, record_bytes)).collect();
    with_topic(broker, partitions, |topic| {
        let settings = [("acks", acks), ("linger.ms", "5"), ("compression.type", codec)];
        let writer = Writer::new(broker, &settings)?;
        let ((), written) = measure(broker, || {
            for ((_, payload), partition) in (0..count).zip(payloads.iter().cycle()).zip((0..partitions).cycle()) {
                writer.send(topic, partition, payload)?;
            }
            writer.finish()
        })?;
        let (time, read) = measure(broker, || read_all(broker, topic, partitions, &[], count))?;
        let read = Cost { time, ..read };
        let bytes = count * record_bytes;
        let mut figures = written.of_bytes(&format!("produce {name}"), bytes);
        // How the records were acknowledged makes no difference when they are read.
        let reading = name.replace(", acks=1", "").replace(", acks=all", "");
        figures.extend(read.of_bytes(&format!("consume {reading}"), bytes));
        Ok(figures)
    })
}

/// Records at a steady rate, each timed from its sending to its receipt by a consumer that waits for it.
pub(super) fn paced(name: &str, broker: &Broker, acks: &str, sizes: &Sizes) -> Result<Vec<Figure>> {
    let count = usize::try_from(sizes.paced_seconds * RATE)?;
    with_topic(broker, PACED_PARTITIONS, |topic| {
        let consumer = reader(broker, topic, PACED_PARTITIONS, &[])?;
        let settings = [("acks", acks), ("linger.ms", "0"), ("socket.nagle.disable", "true")];
        let writer = Writer::new(broker, &settings)?;
        // Connections and first requests are not what is measured.
        writer.send(topic, 0, &[])?;
        writer.finish()?;
        receive(&consumer, 1, |_| ())?;
        let (latencies, Cost { cpu, .. }) = measure(broker, || send_and_time(&writer, topic, consumer, count))?;
        let [p50, p99] = latency(name, latencies);
        Ok(vec![p50, p99, Figure::new(name, "CPU µs/record", cpu * 1e6 / count as f64)])
    })
}

/// Sends on this thread and receives on another. A record says when it was sent.
fn send_and_time(writer: &Writer, topic: &str, consumer: BaseConsumer, count: usize) -> Result<Vec<f64>> {
    let began = Instant::now();
    let receiver = thread::spawn(move || -> Result<Vec<f64>> {
        let mut latencies = Vec::with_capacity(count);
        receive(&consumer, count, |payload| {
            let sent = payload.first_chunk().map_or(f64::NAN, |sent| f64::from_le_bytes(*sent));
            latencies.push((began.elapsed().as_secs_f64() - sent) * 1e3);
        })?;
        Ok(latencies)
    });
    let mut record = payload(1, 1000);
    for (number, partition) in (0..u32::try_from(count)?).zip((0..PACED_PARTITIONS).cycle()) {
        let due = began + Duration::from_secs(1) * number / RATE;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        record[..8].copy_from_slice(&began.elapsed().as_secs_f64().to_le_bytes());
        writer.send(topic, partition, &record)?;
    }
    writer.finish()?;
    let Ok(latencies) = receiver.join() else { bail!("the receiver panicked") };
    latencies
}
