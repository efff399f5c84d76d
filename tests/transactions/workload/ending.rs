//! What has to be true when nobody writes any more.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset,
    consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext},
    error::KafkaError,
};

use super::{FIRST_FINAL, INPUT, PATIENCE, PAUSE, Workload, clients::Isolation, pipeline::GROUP};
use crate::checker::{Action, Key, Record};

/// What a broker may take to notice that a transaction's time is over.
const GRACE: Duration = Duration::from_secs(10);
/// How long the pipelines may take to get on with what is left.
const STANDSTILL: Duration = Duration::from_secs(60);
/// How many consumers poll everything at the end.
const FINAL_CONSUMERS: u32 = 2;

/// Waits until no transaction is open in these: each partition's last stable offset is its high watermark.
pub(super) fn await_stability(workload: &Workload, keys: &[Key]) -> Result<(), String> {
    let clients = &workload.clients;
    let stable = clients.consumer(Isolation::Committed);
    let all = clients.consumer(Isolation::Uncommitted);
    let end = |consumer: &BaseConsumer, key: Key| {
        let watermarks = consumer.fetch_watermarks(&clients.name(key.topic), key.partition, PATIENCE);
        watermarks.map(|(_, end)| end).map_err(|error| error.to_string())
    };
    let bound = workload.settings.transaction_timeout + GRACE;
    until(bound, || {
        let hanging = keys.iter().filter_map(|key| {
            let (stable, all) = (end(&stable, *key), end(&all, *key));
            (stable.is_err() || stable != all).then(|| format!("{key} is stable up to {stable:?} of {all:?}"))
        });
        nothing_of(hanging)
    })
    .map_err(|hanging| format!("after {bound:?} a transaction hangs: {hanging}"))
}

/// Waits until the pipelines have committed everything that is in their input.
pub(super) fn drain(workload: &Workload) -> Result<(), String> {
    let inputs = workload.clients.keys(INPUT);
    await_stability(workload, &inputs)?;
    let group = workload.clients.member(GROUP, DefaultConsumerContext);
    let last: BTreeMap<Key, i64> = poll_to_the_end(workload, &inputs)
        .into_iter()
        .filter_map(|(key, records)| Some((key, records.last()?.offset + 1)))
        .collect();
    let list = workload.clients.list(last.keys().map(|key| (*key, Offset::Invalid)));
    while_it_moves(STANDSTILL, || {
        let committed = group.committed_offsets(list.clone(), PATIENCE).map_err(|error| error.to_string())?;
        nothing_of(last.iter().filter_map(|(key, last)| {
            let of_key = committed.find_partition(&workload.clients.name(key.topic), key.partition)?;
            let committed = of_key.offset().to_raw().unwrap_or(-1);
            (committed < *last).then(|| format!("{key} is processed up to {committed} of {last}"))
        }))
    })
    .map_err(|left| format!("for {STANDSTILL:?} the pipelines did not get on: {left}"))
}

/// Asks until the answer is good, or the time is over.
fn until(bound: Duration, ask: impl Fn() -> Result<(), String>) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        match ask() {
            Err(reason) if begun.elapsed() > bound => return Err(reason),
            Err(_) => thread::sleep(PAUSE),
            Ok(()) => return Ok(()),
        }
    }
}

/// Asks until the answer is good, or stays the same for too long.
fn while_it_moves(bound: Duration, ask: impl Fn() -> Result<(), String>) -> Result<(), String> {
    let mut last = ask();
    while let Err(reason) = &last {
        let moved = || ask().err().filter(|now| now == reason).map_or(Ok(()), Err);
        until(bound, moved)?;
        last = ask();
    }
    Ok(())
}

fn nothing_of(left: impl Iterator<Item = String>) -> Result<(), String> {
    let left: Vec<String> = left.collect();
    if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
}

/// Writes down all that there is, as several consumers see it.
pub(super) fn poll_everything(workload: &Workload) {
    let keys = workload.clients.all_keys();
    for process in FIRST_FINAL..FIRST_FINAL + FINAL_CONSUMERS {
        let invoked = workload.recorder.tick();
        for (key, records) in poll_to_the_end(workload, &keys) {
            workload.recorder.note(process, invoked, Action::FinalPoll { key, records });
        }
    }
}

/// Everything that is committed, each partition from its beginning until it is said to end.
fn poll_to_the_end(workload: &Workload, keys: &[Key]) -> BTreeMap<Key, Vec<Record>> {
    let consumer = workload.clients.consumer(Isolation::Committed);
    let beginnings = keys.iter().map(|key| (*key, Offset::Beginning));
    consumer.assign(&workload.clients.list(beginnings)).expect("partitions that are there");
    let mut polled: BTreeMap<Key, Vec<Record>> = keys.iter().map(|key| (*key, Vec::new())).collect();
    let mut ended = 0;
    while ended < keys.len() {
        match consumer.poll(PATIENCE).expect("a record or an end in time") {
            Ok(message) => {
                let (key, record) = workload.clients.record(&message);
                polled.entry(key).or_default().push(record);
            }
            Err(KafkaError::PartitionEOF(_)) => ended += 1,
            // A broker that was away: the client goes on from where it was.
            Err(_) => {}
        }
    }
    polled
}
