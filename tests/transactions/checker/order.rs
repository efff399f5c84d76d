//! A process polls and sends in the order of each log, and leaves nothing out.

use std::collections::{BTreeMap, HashMap};

use super::{
    anomaly::{Anomaly, Class},
    facts::{Facts, transactions},
    history::{Action, Key, Record, Transaction, Value},
};

/// How many of what was left out a text names.
const SKIPPED_SHOWN: usize = 5;

/// Where a process was last in a log.
#[derive(Clone, Copy)]
struct Position {
    offset: i64,
    operation: usize,
}

pub(super) fn check(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    interleaved(facts, found);
    for operations in processes(facts).values() {
        Consumer { facts, positions: HashMap::new() }.follow(operations, found);
        Producer { facts, positions: HashMap::new() }.follow(operations, found);
    }
}

/// The operations of each process, in its order.
fn processes(facts: &Facts<'_>) -> BTreeMap<u32, Vec<usize>> {
    let mut processes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (index, operation) in facts.history.operations.iter().enumerate() {
        processes.entry(operation.process).or_default().push(index);
    }
    for operations in processes.values_mut() {
        operations.sort_by_key(|index| facts.history.operations[*index].invoked);
    }
    processes
}

/// The consuming half of a process.
struct Consumer<'a> {
    facts: &'a Facts<'a>,
    positions: HashMap<Key, Position>,
}

impl Consumer<'_> {
    fn follow(mut self, operations: &[usize], found: &mut Vec<Anomaly>) {
        for index in operations {
            match &self.facts.history.operations[*index].action {
                Action::Assign => self.positions.clear(),
                Action::Seek(keys) => self.positions.retain(|key, _| !keys.contains(key)),
                // Begins at the start, whatever came before.
                Action::FinalPoll { key, .. } => drop(self.positions.remove(key)),
                Action::Transaction(_) | Action::Poll(_) => {}
            }
            for (key, record) in self.facts.history.operations[*index].action.records() {
                self.poll(*index, key, record, found);
            }
        }
    }

    fn poll(&mut self, operation: usize, key: Key, record: Record, found: &mut Vec<Anomaly>) {
        let Record { offset, value } = record;
        let Some(last) = self.positions.insert(key, Position { offset, operation }) else { return };
        let is_internal = last.operation == operation;
        let name = self.facts.name(operation);
        if offset <= last.offset {
            let class = if is_internal { Class::IntNonmonotonicPoll } else { Class::NonmonotonicPoll };
            let text = format!("{name} polled {value} of {key} at {offset} after what is at {}", last.offset);
            found.push(Anomaly::new(class, [last.operation, operation], text));
            return;
        }
        let skipped: Vec<(i64, Value)> = self.facts.logs[&key].between(last.offset, offset).collect();
        if !skipped.is_empty() {
            let class = if is_internal { Class::IntPollSkip } else { Class::PollSkip };
            let text = format!(
                "{name} polled {value} of {key} at {offset} next after what is at {} and left out {}",
                last.offset,
                some_of(&skipped)
            );
            let writers = skipped.iter().take(SKIPPED_SHOWN).filter_map(|(_, value)| self.facts.writers.get(value));
            let operations = [last.operation, operation].into_iter().chain(writers.map(|writer| writer.operation));
            found.push(Anomaly::new(class, operations, text));
        }
    }
}

/// The producing half of a process.
struct Producer<'a> {
    facts: &'a Facts<'a>,
    positions: HashMap<Key, Position>,
}

impl Producer<'_> {
    fn follow(mut self, operations: &[usize], found: &mut Vec<Anomaly>) {
        for index in operations {
            if let Some(transaction) = self.facts.history.operations[*index].action.transaction() {
                self.send(*index, transaction, found);
            }
        }
    }

    fn send(&mut self, operation: usize, transaction: &Transaction, found: &mut Vec<Anomaly>) {
        for sent in transaction.sends() {
            let Some(offset) = self.facts.offset(sent) else { continue };
            let Some(last) = self.positions.insert(sent.key, Position { offset, operation }) else { continue };
            if offset > last.offset {
                continue;
            }
            let is_internal = last.operation == operation;
            let class = if is_internal { Class::IntNonmonotonicSend } else { Class::NonmonotonicSend };
            let text = format!(
                "{} sent {} to {}, where it is at {offset}, after what is at {}",
                self.facts.name(operation),
                sent.value,
                sent.key,
                last.offset
            );
            found.push(Anomaly::new(class, [last.operation, operation], text));
        }
    }
}

/// What other transactions wrote between two values of one: allowed, and a sign that they do run at the same time.
fn interleaved(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    for (index, transaction) in transactions(facts.history) {
        let mut last: HashMap<Key, i64> = HashMap::new();
        for sent in transaction.sends() {
            let Some(offset) = facts.offset(sent) else { continue };
            let Some(former) = last.insert(sent.key, offset) else { continue };
            let Some(log) = facts.logs.get(&sent.key) else { continue };
            let between: Vec<(i64, Value)> = log.between(former, offset).collect();
            let writers = between.iter().filter_map(|(_, value)| facts.writers.get(value));
            let others: Vec<usize> = writers.map(|writer| writer.operation).filter(|other| *other != index).collect();
            if !others.is_empty() {
                let name = facts.name(index);
                let text = format!("between two values that {name} sent to {} stand {}", sent.key, some_of(&between));
                found.push(Anomaly::new(Class::IntSendSkip, [index].into_iter().chain(others), text));
            }
        }
    }
}

fn some_of(skipped: &[(i64, Value)]) -> String {
    let shown: Vec<String> =
        skipped.iter().take(SKIPPED_SHOWN).map(|(offset, value)| format!("{value} at {offset}")).collect();
    let more = skipped.len().saturating_sub(SKIPPED_SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
