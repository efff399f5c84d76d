//! A transaction as its producer goes through it, written down when it is over.

use std::time::{Duration, Instant};

use rdkafka::{
    error::KafkaError,
    producer::{BaseRecord, Producer as _},
};

use super::{
    PATIENCE, Workload,
    clients::{Delivery, TransactionalProducer},
};
use crate::checker::{Action, Key, Outcome, Polled, Sent, Step, Transaction, Value};

const STEP: Duration = Duration::from_millis(1);

/// What a transaction has done so far; the answers to its sends may come later.
enum Done {
    Sent { key: Key, value: Value, delivery: Delivery },
    Polled(Polled),
}

pub(super) struct OpenTransaction<'a> {
    workload: &'a Workload,
    process: u32,
    invoked: u64,
    done: Vec<Done>,
}

/// How a commit went.
pub(super) struct Committing {
    pub(super) outcome: Outcome,
    asked: Option<u64>,
}

impl<'a> OpenTransaction<'a> {
    pub(super) fn new(workload: &'a Workload, process: u32) -> Self {
        Self { workload, process, invoked: workload.recorder.tick(), done: Vec::new() }
    }

    /// Another process goes on with it.
    pub(super) fn hand_to(mut self, process: u32) -> Self {
        self.process = process;
        self
    }

    pub(super) fn polled(&mut self, polled: Polled) {
        self.done.push(Done::Polled(polled));
    }

    pub(super) fn send(&mut self, producer: &TransactionalProducer, key: Key) -> Result<Value, KafkaError> {
        let value = self.workload.recorder.value();
        let delivery = Delivery::new();
        self.done.push(Done::Sent { key, value, delivery: delivery.clone() });
        let (topic, payload) = (self.workload.clients.name(key.topic), value.0.to_string());
        let record = BaseRecord::<'_, (), String, _>::with_opaque_to(&topic, delivery.opaque());
        let sent = producer.send(record.partition(key.partition).payload(&payload));
        sent.map(|()| value).map_err(|(error, _)| error)
    }

    /// Commits, and asks again for as long as there is only no answer.
    pub(super) fn commit(&self, producer: &TransactionalProducer) -> Committing {
        let begun = Instant::now();
        // librdkafka's binding waits for these in steps of 100 ms.
        while producer.in_flight_count() > 0 && begun.elapsed() < PATIENCE {
            producer.poll(STEP);
        }
        let asked = Some(self.workload.recorder.tick());
        let mut is_first = true;
        loop {
            match producer.commit_transaction(PATIENCE) {
                Ok(()) => return Committing { outcome: Outcome::Committed, asked },
                // What was sent before is not there yet: the commit itself was not asked for.
                Err(KafkaError::Flush(_)) if is_first => return Committing { outcome: Outcome::Aborted, asked: None },
                Err(KafkaError::Transaction(error)) if error.is_retriable() && begun.elapsed() < PATIENCE => {}
                Err(_) => return Committing { outcome: Outcome::Unknown, asked },
            }
            is_first = false;
        }
    }

    /// Writes down that no commit was asked for.
    pub(super) fn aborted(self) {
        self.end(Committing { outcome: Outcome::Aborted, asked: None });
    }

    /// Writes down how the commit went.
    pub(super) fn end(self, Committing { outcome, asked: commit_asked }: Committing) {
        let steps = self.done.into_iter().map(|done| match done {
            Done::Sent { key, value, delivery } => Step::Send(Sent { key, value, offset: delivery.offset() }),
            Done::Polled(polled) => Step::Poll(polled),
        });
        let transaction = Transaction { steps: steps.collect(), outcome, commit_asked };
        self.workload.recorder.note(self.process, self.invoked, Action::Transaction(transaction));
    }
}
