//! Where all processes write down what they do.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use super::FIRST_ZOMBIE;
use crate::checker::{Action, History, Key, Operation, Pipeline, Value};

#[derive(Default)]
pub(super) struct Recorder {
    ticks: AtomicU64,
    values: AtomicU64,
    zombies: AtomicU32,
    operations: Mutex<Vec<Operation>>,
    sources: Mutex<BTreeMap<Value, Value>>,
}

impl Recorder {
    /// The time: later than all that was told before.
    pub(super) fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    /// A value that nobody else has.
    pub(super) fn value(&self) -> Value {
        Value(self.values.fetch_add(1, Ordering::SeqCst))
    }

    /// A process that nobody else is.
    pub(super) fn zombie(&self) -> u32 {
        FIRST_ZOMBIE + self.zombies.fetch_add(1, Ordering::SeqCst)
    }

    /// Writes down an operation that is over.
    pub(super) fn note(&self, process: u32, invoked: u64, action: Action) {
        let completed = self.tick();
        let operation = Operation { process, invoked, completed, action };
        self.operations.lock().expect("no process panicked here").push(operation);
    }

    /// Writes down of which input an output is made.
    pub(super) fn made(&self, output: Value, input: Value) {
        self.sources.lock().expect("no process panicked here").insert(output, input);
    }

    pub(super) fn history(&self, inputs: Vec<Key>, outputs: Vec<Key>) -> History {
        let operations = std::mem::take(&mut *self.operations.lock().expect("no process panicked here"));
        let sources = std::mem::take(&mut *self.sources.lock().expect("no process panicked here"));
        History { operations, pipeline: Some(Pipeline { inputs, outputs, sources }) }
    }
}
