//! Transactions over several partitions, and all the ways in which they end.

use std::{thread, time::Duration};

use rdkafka::producer::Producer as _;

use super::{INPUT, LEDGER, PATIENCE, PAUSE, Workload, clients::TransactionalProducer, transaction::OpenTransaction};
use crate::{
    checker::{Key, Outcome},
    random::Random,
};

const SENDS_MAX: i64 = 6;
/// How long a slow producer thinks between two sends, at most.
const THOUGHT_MS: u64 = 20;

/// What becomes of a transaction.
#[derive(Clone, Copy)]
enum Fate {
    Commit,
    Abort,
    /// Its producer is gone without a word; another one of the id comes.
    Vanish,
    /// Another one of the id comes, and the old one goes on as if nothing had happened.
    Zombie,
    /// It takes about as long as the broker allows, or longer, and is committed then.
    Overrun,
}

pub(super) struct Writer<'a> {
    workload: &'a Workload,
    process: u32,
    random: Random,
    producer: Option<TransactionalProducer>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(workload: &'a Workload, process: u32) -> Self {
        Self { workload, process, random: workload.random(process), producer: None }
    }

    pub(super) fn run(mut self) {
        while !self.workload.is_over() {
            if self.transaction().is_none() {
                self.producer = None;
                thread::sleep(PAUSE);
            }
        }
        // Nothing that vanished is left open, unless the broker is to see to that.
        if !self.workload.settings.overrun && self.producer.is_none() {
            self.producer = self.start();
        }
    }

    /// A producer with the right to its transactional id.
    fn start(&self) -> Option<TransactionalProducer> {
        let producer = self.workload.clients.producer(&format!("writer-{}", self.process));
        producer.init_transactions(PATIENCE).ok().map(|()| producer)
    }

    /// None if the producer is of no use any more.
    fn transaction(&mut self) -> Option<()> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => self.start()?,
        };
        let fate = self.fate();
        producer.begin_transaction().ok()?;
        let mut open = OpenTransaction::new(self.workload, self.process);
        if self.send(&producer, &mut open).is_none() {
            open.aborted();
            return None;
        }
        match fate {
            Fate::Commit => self.commit(producer, open),
            Fate::Abort => self.abort(producer, open),
            Fate::Vanish => {
                open.aborted();
                Some(())
            }
            Fate::Zombie => self.fence(producer, open),
            Fate::Overrun => self.overrun(producer, open),
        }
    }

    fn fate(&mut self) -> Fate {
        match self.random.below(200) {
            0..20 => Fate::Abort,
            20..26 => Fate::Vanish,
            26..34 => Fate::Zombie,
            34 if self.workload.settings.overrun => Fate::Overrun,
            _ => Fate::Commit,
        }
    }

    fn send(&mut self, producer: &TransactionalProducer, open: &mut OpenTransaction<'_>) -> Option<()> {
        let is_slow = self.random.one_in(3);
        for _ in 0..self.random.between(1, SENDS_MAX) {
            let key = self.key();
            open.send(producer, key).ok()?;
            if is_slow {
                thread::sleep(Duration::from_millis(self.random.below(THOUGHT_MS)));
            }
        }
        Some(())
    }

    fn key(&mut self) -> Key {
        let topic = if self.random.one_in(3) { INPUT } else { LEDGER };
        *self.random.pick(&self.workload.clients.keys(topic)).expect("a topic has partitions")
    }

    fn commit(&mut self, producer: TransactionalProducer, open: OpenTransaction<'_>) -> Option<()> {
        let committing = open.commit(&producer);
        let is_committed = committing.outcome == Outcome::Committed;
        open.end(committing);
        // What went wrong may be mended by an abort; if not, by a new producer.
        if !is_committed {
            producer.abort_transaction(PATIENCE).ok()?;
        }
        self.producer = Some(producer);
        Some(())
    }

    fn abort(&mut self, producer: TransactionalProducer, open: OpenTransaction<'_>) -> Option<()> {
        let aborted = producer.abort_transaction(PATIENCE);
        open.aborted();
        aborted.ok()?;
        self.producer = Some(producer);
        Some(())
    }

    /// The new producer aborts what the old one left, so whatever that one does then must come to nothing.
    fn fence(&mut self, old: TransactionalProducer, open: OpenTransaction<'_>) -> Option<()> {
        let mut open = open.hand_to(self.workload.recorder.zombie());
        let Some(new) = self.start() else {
            open.aborted();
            return None;
        };
        self.producer = Some(new);
        if self.random.one_in(2) {
            self.in_between();
        }
        let key = self.key();
        // If it knows already that it is fenced, all the better.
        let _ = open.send(&old, key);
        let committing = open.commit(&old);
        match committing.outcome {
            Outcome::Committed => open.end(committing),
            Outcome::Aborted | Outcome::Unknown => open.aborted(),
        }
        Some(())
    }

    /// A transaction of the new producer while the old one has not noticed.
    fn in_between(&mut self) {
        let Some(producer) = self.producer.take() else { return };
        if producer.begin_transaction().is_err() {
            return;
        }
        let mut open = OpenTransaction::new(self.workload, self.process);
        match self.send(&producer, &mut open) {
            // Without a usable producer the next transaction starts one.
            Some(()) => drop(self.commit(producer, open)),
            None => open.aborted(),
        }
    }

    fn overrun(&mut self, producer: TransactionalProducer, open: OpenTransaction<'_>) -> Option<()> {
        let allowed = self.workload.settings.transaction_timeout;
        let early = Duration::from_millis(self.random.below(200));
        let late = Duration::from_millis(self.random.below(2000));
        thread::sleep((allowed + late).saturating_sub(early));
        self.commit(producer, open)
    }
}
