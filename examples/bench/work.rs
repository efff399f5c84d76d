//! The loads, as a table: a name, and what is done to one broker in one round.

mod groups;
mod librdkafka;
mod raw;
mod transactions;

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Args;

use crate::{
    process::Broker,
    table::{Figure, percentile},
};

/// How much is done. The defaults take some ten minutes for two brokers.
#[derive(Args, Clone, Debug)]
pub(crate) struct Sizes {
    /// MB of records that each throughput load writes, then reads.
    #[arg(long, default_value_t = 500)]
    pub(crate) mb: u32,
    /// Requests of the loads with one record a request.
    #[arg(long, default_value_t = 50_000)]
    pub(crate) requests: usize,
    /// How long the paced loads last.
    #[arg(long, default_value_t = 10)]
    pub(crate) paced_seconds: u32,
    /// MB that are written to 1, 10, 100 and 1,000 busy partitions each.
    #[arg(long, default_value_t = 200)]
    pub(crate) sweep_mb: u32,
}

/// A load.
pub(crate) struct Load {
    pub(crate) name: String,
    run: Run,
}

type Run = Box<dyn Fn(&Broker, &Sizes) -> Result<Vec<Figure>>>;

impl Load {
    pub(crate) fn run(&self, broker: &Broker, sizes: &Sizes) -> Result<Vec<Figure>> {
        (self.run)(broker, sizes)
    }
}

fn load(name: impl Into<String>, run: impl Fn(&str, &Broker, &Sizes) -> Result<Vec<Figure>> + 'static) -> Load {
    let name = name.into();
    Load { name: name.clone(), run: Box::new(move |broker, sizes| run(&name, broker, sizes)) }
}

/// How a load's records are written.
#[derive(Clone, Copy, Debug)]
struct Writing {
    acks: &'static str,
    record_bytes: usize,
    codec: &'static str,
    partitions: i32,
}

/// Every load, in the order in which they run.
pub(crate) fn loads() -> Vec<Load> {
    let plain = Writing { acks: "1", record_bytes: 1000, codec: "none", partitions: 6 };
    let through = |name: &str, writing: Writing| {
        load(name, move |name, broker, sizes| librdkafka::write_and_read(name, broker, writing, sizes))
    };
    let mut loads = vec![
        through("1 KB records, acks=1", plain),
        through("1 KB records, acks=all", Writing { acks: "all", ..plain }),
        through("1 KB records, acks=all, 100 partitions", Writing { acks: "all", partitions: 100, ..plain }),
        through("1 KB records, acks=1, lz4", Writing { codec: "lz4", ..plain }),
        through("100 B records, acks=1", Writing { record_bytes: 100, ..plain }),
    ];
    for (acks, code) in [("1", 1), ("all", -1)] {
        let name = format!("one 1 KB record a request, acks={acks}");
        loads.push(load(name, move |name, broker, sizes| raw::one_record_a_request(name, broker, code, sizes)));
    }
    for acks in ["1", "all"] {
        let name = format!("2,000 records/s, acks={acks}");
        loads.push(load(name, move |name, broker, sizes| librdkafka::paced(name, broker, acks, sizes)));
    }
    for (acks, code) in [("all", -1), ("1", 1)] {
        for partitions in [1, 10, 100, 1000] {
            let name = format!("busy partitions: {partitions}, acks={acks}");
            loads.push(load(name, move |name, broker, sizes| {
                raw::busy_partitions(name, broker, code, partitions, sizes)
            }));
        }
    }
    loads.push(load("heartbeats", groups::heartbeats));
    loads.push(load("offset commits", groups::commits));
    loads.push(load("a group of 500 rebalances", groups::rebalance));
    for producers in [1, 10, 100] {
        let name = format!("transactions of {producers} producers");
        loads.push(load(name, move |name, broker, sizes| transactions::commit(name, broker, producers, sizes)));
    }
    loads.push(load("consume transactions of 100 records", transactions::read));
    loads
}

/// A name that no topic has yet.
fn new_topic() -> String {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    format!("bench-{}", MADE.fetch_add(1, Relaxed))
}

/// Makes a topic for as long as `act` needs it.
fn with_topic<T>(broker: &Broker, partitions: i32, act: impl FnOnce(&str) -> Result<T>) -> Result<T> {
    let topic = new_topic();
    broker.client()?.create_topic(&topic, partitions)?;
    let result = act(&topic)?;
    broker.client()?.delete_topic(&topic)?;
    Ok(result)
}

/// What something took: on the clock, and of the broker's CPU time in seconds.
#[derive(Clone, Copy, Debug)]
struct Cost {
    time: Duration,
    cpu: f64,
}

fn measure<T>(broker: &Broker, act: impl FnOnce() -> Result<T>) -> Result<(T, Cost)> {
    let (cpu_before, began) = (broker.cpu_seconds()?, Instant::now());
    let result = act()?;
    let time = began.elapsed();
    Ok((result, Cost { time, cpu: broker.cpu_seconds()? - cpu_before }))
}

impl Cost {
    /// For so many bytes of records.
    fn of_bytes(self, work: &str, bytes: usize) -> Vec<Figure> {
        let bytes = bytes as f64;
        vec![
            Figure::new(work, "MB/s", bytes / 1e6 / self.time.as_secs_f64()),
            Figure::new(work, "CPU s/GB", self.cpu / (bytes / 1e9)),
        ]
    }
}

/// The latencies' two figures that matter.
fn latency(work: &str, mut latencies_ms: Vec<f64>) -> [Figure; 2] {
    latencies_ms.sort_by(f64::total_cmp);
    let at = |share| percentile(&latencies_ms, share);
    [Figure::new(work, "p50 ms", at(0.5)), Figure::new(work, "p99 ms", at(0.99))]
}

/// Text of words that come again, which compresses about as records do; different for each `seed`.
fn payload(seed: u64, length: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "\"order\":",
        "\"customer\":",
        "\"created\":",
        "\"amount\":",
        "\"status\":",
        "\"paid\",",
        "\"open\",",
        "\"item\":",
        "{",
        "},",
        "true,",
        "\"Oslo\",",
        "\"Lagos\",",
        "\"Lima\",",
        "null,",
        "\"price\":",
    ];
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut text = Vec::with_capacity(length + 16);
    while text.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.extend_from_slice(WORDS[usize::from(state.to_le_bytes()[1] & 15)].as_bytes());
        text.extend_from_slice(&state.to_string().as_bytes()[..4]);
    }
    text.truncate(length);
    text
}
