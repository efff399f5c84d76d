//! A consumer that polls what is committed.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    Offset,
    consumer::{BaseConsumer, Consumer as _},
};

use super::{
    LEDGER, OUTPUT, Workload,
    clients::{Clients, Isolation},
};
use crate::{
    checker::{Action, Key, Polled},
    random::Random,
};

const POLL_RECORDS_MAX: usize = 50;
const POLL_WAIT: Duration = Duration::from_millis(50);
/// It begins anew after so many polls, on average.
const POLLS: u64 = 40;

pub(super) struct Reader<'a> {
    workload: &'a Workload,
    process: u32,
    random: Random,
    consumer: BaseConsumer,
    /// Where each partition goes on.
    positions: BTreeMap<Key, i64>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(workload: &'a Workload, process: u32) -> Self {
        let keys = workload.clients.keys(LEDGER).into_iter().chain(workload.clients.keys(OUTPUT));
        Self {
            workload,
            process,
            random: workload.random(process),
            consumer: workload.clients.consumer(Isolation::Committed),
            positions: keys.map(|key| (key, 0)).collect(),
        }
    }

    pub(super) fn run(mut self) {
        self.assign();
        while !self.workload.is_over() {
            if self.random.one_in(POLLS) {
                self.move_back();
                self.assign();
            }
            self.poll();
        }
    }

    /// From some place of each partition on, which may lie within a transaction.
    fn move_back(&mut self) {
        for position in self.positions.values_mut() {
            *position = self.random.between(0, *position);
        }
    }

    fn assign(&self) {
        let invoked = self.workload.recorder.tick();
        let offsets = self.positions.iter().map(|(key, position)| (*key, Offset::Offset(*position)));
        self.consumer.assign(&self.workload.clients.list(offsets)).expect("partitions that are there");
        self.workload.recorder.note(self.process, invoked, Action::Assign);
    }

    fn poll(&mut self) {
        let invoked = self.workload.recorder.tick();
        let polled = poll(&self.workload.clients, &self.consumer);
        for (key, records) in &polled {
            self.positions.insert(*key, records.last().expect("a log with records").offset + 1);
        }
        if !polled.is_empty() {
            self.workload.recorder.note(self.process, invoked, Action::Poll(polled));
        }
    }
}

/// What is there, if anything comes within a short while.
fn poll(clients: &Clients, consumer: &BaseConsumer) -> Polled {
    let mut polled = Polled::new();
    let mut wait = POLL_WAIT;
    for _ in 0..POLL_RECORDS_MAX {
        match consumer.poll(wait) {
            None => break,
            Some(Ok(message)) => {
                let (key, record) = clients.record(&message);
                polled.entry(key).or_default().push(record);
                wait = Duration::ZERO;
            }
            // The end of a partition, or a broker that is away: the client goes on from where it was.
            Some(Err(_)) => {}
        }
    }
    polled
}
