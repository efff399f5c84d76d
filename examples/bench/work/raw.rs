//! Loads by frames made beforehand, where a client library would be what is measured.

use std::thread;

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use ottla::protocol::records::builder::{BatchBuilder, NewRecord};

use super::{Cost, Sizes, latency, measure, payload, with_topic};
use crate::{
    client::{Client, produce_frame},
    process::Broker,
    table::Figure,
};

const RECORD_BYTES: usize = 1000;
/// So many clients, each with as many requests in flight as a producer has by default.
pub(super) const CLIENTS: usize = 10;
pub(super) const IN_FLIGHT: usize = 5;
/// Partitions of the load with one record a request.
const PARTITIONS: i32 = 6;
/// A request to busy partitions: a batch of so many records to so many of them, or to all.
const BATCH_RECORDS: usize = 16;
const PARTITIONS_A_REQUEST: usize = 10;

/// Requests with one record each.
pub(super) fn one_record_a_request(name: &str, broker: &Broker, acks: i16, sizes: &Sizes) -> Result<Vec<Figure>> {
    with_topic(broker, PARTITIONS, |topic| {
        let batch = batch(1)?;
        let frames = (0..PARTITIONS).map(|partition| produce_frame(topic, acks, [partition], &batch));
        let frames = frames.collect::<Result<Vec<_>>>()?;
        let (latencies, Cost { time, cpu }) = measure(broker, || produce(broker, &frames, sizes.requests))?;
        let requests = latencies.len() as f64;
        let [p50, p99] = latency(name, latencies);
        let rate = Figure::new(name, "requests/s", requests / time.as_secs_f64());
        Ok(vec![rate, p50, p99, Figure::new(name, "CPU µs/request", cpu * 1e6 / requests)])
    })
}

/// Batches to so many partitions in turn.
pub(super) fn busy_partitions(
    name: &str,
    broker: &Broker,
    acks: i16,
    partitions: i32,
    sizes: &Sizes,
) -> Result<Vec<Figure>> {
    with_topic(broker, partitions, |topic| {
        let batch = batch(BATCH_RECORDS)?;
        let all: Vec<i32> = (0..partitions).collect();
        let frames = all.chunks(PARTITIONS_A_REQUEST).map(|some| produce_frame(topic, acks, some.to_vec(), &batch));
        let frames = frames.collect::<Result<Vec<_>>>()?;
        let request_bytes = all.len().min(PARTITIONS_A_REQUEST) * BATCH_RECORDS * RECORD_BYTES;
        let count = usize::try_from(sizes.sweep_mb)? * 1_000_000 / request_bytes;
        let (latencies, cost) = measure(broker, || produce(broker, &frames, count))?;
        let mut figures = cost.of_bytes(name, latencies.len() * request_bytes);
        figures.extend(latency(name, latencies));
        Ok(figures)
    })
}

fn batch(records: usize) -> Result<Bytes> {
    let mut builder = BatchBuilder::new(0);
    for seed in 0..records as u64 {
        let value = payload(seed, RECORD_BYTES);
        builder.append(&NewRecord { timestamp: 1_700_000_000_000, value: Some(&value), ..NewRecord::default() })?;
    }
    Ok(builder.build()?.bytes().clone())
}

/// Sends about `count` requests from all clients at once, and returns how long each took, in milliseconds.
fn produce(broker: &Broker, frames: &[Bytes], count: usize) -> Result<Vec<f64>> {
    from_all_clients(broker, count, |client, each, connection| {
        // Each begins elsewhere, so that they do not go through the partitions in step.
        let mut frames = frames.to_vec();
        let first = client * frames.len() / CLIENTS;
        frames.rotate_left(first);
        connection.produce(&frames, each, IN_FLIGHT)
    })
}

/// Has every client send its share of about `count` requests, all at once.
pub(super) fn from_all_clients(
    broker: &Broker,
    count: usize,
    act: impl Fn(usize, usize, &mut Client) -> Result<Vec<f64>> + Sync,
) -> Result<Vec<f64>> {
    let each = count / CLIENTS;
    ensure!(each > 0, "{count} requests are too few for {CLIENTS} clients");
    thread::scope(|scope| {
        let act = &act;
        let clients =
            (0..CLIENTS).map(|client| scope.spawn(move || act(client, each, &mut Client::connect(broker.address())?)));
        let clients: Vec<_> = clients.collect();
        let mut latencies = Vec::with_capacity(count);
        for client in clients {
            let Ok(of_client) = client.join() else { bail!("a client panicked") };
            latencies.extend(of_client?);
        }
        Ok(latencies)
    })
}
