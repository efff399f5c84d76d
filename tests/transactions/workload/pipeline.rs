//! Consume, transform, produce: each input becomes one output, and its offset is committed with that.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rdkafka::{
    ClientContext, Offset,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance},
    producer::Producer as _,
};

use super::{INPUT, OUTPUT, PATIENCE, PAUSE, Workload, clients::TransactionalProducer, transaction::OpenTransaction};
use crate::{
    checker::{Action, Key, Outcome, Polled, Record},
    random::Random,
};

pub(super) const GROUP: &str = "pipeline";
const BATCH: usize = 20;
/// Of so many transactions one is left open and one aborted, and the worker starts anew.
const DEATHS: u64 = 50;
const POLL_WAIT: Duration = Duration::from_millis(100);

/// Notes that the group gave or took partitions.
struct Rebalances(Arc<AtomicBool>);

impl ClientContext for Rebalances {}

impl ConsumerContext for Rebalances {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A consumer and a producer that live and die together.
struct Pair {
    consumer: BaseConsumer<Rebalances>,
    rebalanced: Arc<AtomicBool>,
    producer: TransactionalProducer,
}

pub(super) struct PipelineWorker<'a> {
    workload: &'a Workload,
    process: u32,
    random: Random,
}

impl<'a> PipelineWorker<'a> {
    pub(super) fn new(workload: &'a Workload, process: u32) -> Self {
        Self { workload, process, random: workload.random(process) }
    }

    /// Starts anew, from what is committed, whenever something went wrong.
    pub(super) fn run(mut self) {
        while !self.workload.is_drained() {
            if let Some(pair) = self.start() {
                self.process(&pair);
            }
            thread::sleep(PAUSE);
        }
    }

    fn start(&self) -> Option<Pair> {
        let clients = &self.workload.clients;
        let producer = clients.producer(&format!("pipeline-{}", self.process));
        producer.init_transactions(PATIENCE).ok()?;
        let rebalanced = Arc::new(AtomicBool::new(false));
        let consumer = clients.member(GROUP, Rebalances(Arc::clone(&rebalanced)));
        consumer.subscribe(&[&clients.name(INPUT)]).ok()?;
        self.workload.recorder.note(self.process, self.workload.recorder.tick(), Action::Assign);
        Some(Pair { consumer, rebalanced, producer })
    }

    /// Until one of the two is of no use any more, or the worker dies of itself.
    fn process(&mut self, pair: &Pair) {
        while !self.workload.is_drained() {
            let polled = self.poll(pair);
            if !polled.is_empty() && self.transaction(pair, polled).is_none() {
                return;
            }
        }
    }

    /// A few records of the partitions that it has now. What came before a rebalance is not its own any more.
    fn poll(&self, pair: &Pair) -> Polled {
        let mut polled = Polled::new();
        let mut wait = POLL_WAIT;
        for _ in 0..BATCH {
            let next = pair.consumer.poll(wait);
            if pair.rebalanced.swap(false, Ordering::SeqCst) {
                polled.clear();
                self.workload.recorder.note(self.process, self.workload.recorder.tick(), Action::Assign);
            }
            match next {
                None => break,
                Some(Ok(message)) => {
                    let (key, record) = self.workload.clients.record(&message);
                    polled.entry(key).or_default().push(record);
                    wait = Duration::ZERO;
                }
                Some(Err(_)) => {}
            }
        }
        polled
    }

    /// None if the pair is to be started anew.
    fn transaction(&mut self, pair: &Pair, polled: Polled) -> Option<()> {
        pair.producer.begin_transaction().ok()?;
        let mut open = OpenTransaction::new(self.workload, self.process);
        let next: BTreeMap<Key, i64> =
            polled.iter().filter_map(|(key, records)| Some((*key, next(records)?))).collect();
        let inputs: Vec<Record> = polled.values().flatten().copied().collect();
        open.polled(polled);
        let is_whole = inputs.into_iter().all(|input| self.transform(pair, &mut open, input).is_some());
        // A worker that dies here leaves everything to the next.
        if !is_whole || self.random.one_in(DEATHS) || self.send_offsets(pair, next).is_none() {
            open.aborted();
            return None;
        }
        if self.random.one_in(DEATHS) {
            // If that fails, the next one of the id does it.
            let _ = pair.producer.abort_transaction(PATIENCE);
            open.aborted();
            return None;
        }
        let committing = open.commit(&pair.producer);
        let is_committed = committing.outcome == Outcome::Committed;
        open.end(committing);
        is_committed.then_some(())
    }

    fn transform(&mut self, pair: &Pair, open: &mut OpenTransaction<'_>, input: Record) -> Option<()> {
        let key = *self.random.pick(&self.workload.clients.keys(OUTPUT)).expect("a topic has partitions");
        let output = open.send(&pair.producer, key).ok()?;
        self.workload.recorder.made(output, input.value);
        Some(())
    }

    fn send_offsets(&self, pair: &Pair, next: BTreeMap<Key, i64>) -> Option<()> {
        let offsets = next.into_iter().map(|(key, offset)| (key, Offset::Offset(offset)));
        let offsets = self.workload.clients.list(offsets);
        let group = pair.consumer.group_metadata()?;
        pair.producer.send_offsets_to_transaction(&offsets, &group, PATIENCE).ok()
    }
}

/// Where a consumer goes on.
fn next(records: &[Record]) -> Option<i64> {
    records.last().map(|record| record.offset + 1)
}
