//! A log as all its clients together saw it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    anomaly::{Anomaly, Class},
    facts::Facts,
    history::{Key, Value},
};

/// A partition's values at their offsets: those that were polled, and those that a producer was told of.
#[derive(Default)]
pub(super) struct Log {
    at: BTreeMap<i64, BTreeSet<Value>>,
    /// What everybody who reads past it has to see.
    visible: BTreeMap<i64, Value>,
    last_polled: Option<i64>,
}

impl Log {
    pub(super) fn sent(&mut self, offset: i64, value: Value, is_visible: bool) {
        self.at.entry(offset).or_default().insert(value);
        if is_visible {
            self.visible.insert(offset, value);
        }
    }

    pub(super) fn polled(&mut self, offset: i64, value: Value, is_visible: bool) {
        self.sent(offset, value, is_visible);
        self.last_polled = self.last_polled.max(Some(offset));
    }

    pub(super) fn last_polled(&self) -> Option<i64> {
        self.last_polled
    }

    /// What is visible between two offsets, without them.
    pub(super) fn between(&self, after: i64, before: i64) -> impl Iterator<Item = (i64, Value)> {
        // An inverted range is empty, not an error.
        let from = after.saturating_add(1).min(before);
        self.visible.range(from..before).map(|(offset, value)| (*offset, *value))
    }

    /// What is visible, in the order of offsets.
    pub(super) fn visible(&self) -> impl Iterator<Item = Value> {
        self.visible.values().copied()
    }
}

/// Offsets with more than one value, and values with more than one offset.
pub(super) fn check(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    for (key, log) in &facts.logs {
        let mut places: HashMap<Value, Vec<i64>> = HashMap::new();
        for (offset, values) in &log.at {
            for value in values {
                places.entry(*value).or_default().push(*offset);
            }
            if values.len() > 1 {
                found.push(inconsistent(facts, *key, *offset, values));
            }
        }
        for (value, offsets) in places {
            if offsets.len() > 1 {
                found.push(duplicate(facts, *key, value, &offsets));
            }
        }
    }
}

fn inconsistent(facts: &Facts<'_>, key: Key, offset: i64, values: &BTreeSet<Value>) -> Anomaly {
    let mut operations = Vec::new();
    let mut claims = Vec::new();
    for value in values {
        let claim = witness(facts, key, offset, *value);
        operations.extend(claim);
        claims.push(format!("{value} by {}", claim.map_or_else(|| "nobody".to_owned(), |claim| facts.name(claim))));
    }
    let text = format!("offset {offset} of {key} has several values: {}", claims.join(", "));
    Anomaly::new(Class::InconsistentOffsets, operations, text)
}

fn duplicate(facts: &Facts<'_>, key: Key, value: Value, offsets: &[i64]) -> Anomaly {
    let operations = offsets.iter().filter_map(|offset| witness(facts, key, *offset, value));
    Anomaly::new(Class::Duplicate, operations, format!("{value} is in {key} at offsets {offsets:?}"))
}

/// An operation by which this value is at this offset.
fn witness(facts: &Facts<'_>, key: Key, offset: i64, value: Value) -> Option<usize> {
    let reader = facts.readers(value).iter().find(|reader| (reader.key, reader.offset) == (key, offset));
    let writer = || {
        let writer = facts.writers.get(&value)?;
        ((writer.sent.key, writer.sent.offset) == (key, Some(offset))).then_some(writer.operation)
    };
    reader.map(|reader| reader.operation).or_else(writer)
}
