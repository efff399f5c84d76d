//! Transactions are visible once they commit: wholly, and only then.

use std::collections::HashSet;

use super::{
    anomaly::{Anomaly, Class},
    facts::{Facts, Reader, Writer, transactions},
    history::{Action, Outcome, Sent, Transaction, Value},
};

pub(super) fn check(facts: &Facts<'_>, found: &mut Vec<Anomaly>) {
    for (value, readers) in &facts.readers {
        for reader in readers {
            found.extend(premature(facts, *value, reader));
        }
    }
    for (value, writer) in &facts.writers {
        found.extend(missing(facts, *value, writer));
    }
    for (index, operation) in facts.history.operations.iter().enumerate() {
        if matches!(operation.action, Action::FinalPoll { .. }) {
            gone(facts, index, found);
        }
    }
    for (index, transaction) in transactions(facts.history) {
        found.extend(torn(facts, index, transaction));
    }
}

/// A poll of what could not be there, or not yet.
fn premature(facts: &Facts<'_>, value: Value, reader: &Reader) -> Option<Anomaly> {
    let got = || format!("{} polled {value} from {} at {}", facts.name(reader.operation), reader.key, reader.offset);
    let Some(writer) = facts.writers.get(&value).filter(|writer| writer.sent.key == reader.key) else {
        let text = format!("{}, to where nobody sent it", got());
        return Some(Anomaly::new(Class::UnwrittenRead, [reader.operation], text));
    };
    let operations = [writer.operation, reader.operation];
    let transaction = facts.history.operations[writer.operation].action.transaction()?;
    if transaction.outcome == Outcome::Aborted {
        let text = format!("{}, which {} had sent", got(), facts.name(writer.operation));
        return Some(Anomaly::new(Class::AbortedRead, operations, text));
    }
    if writer.operation == reader.operation {
        let text = format!("{}, which it had sent itself", got());
        return Some(Anomaly::new(Class::PrecommittedRead, operations, text));
    }
    let completed = facts.history.operations[reader.operation].completed;
    let asked = transaction.commit_asked.filter(|asked| completed < *asked)?;
    let name = facts.name(writer.operation);
    let text = format!("{} by time {completed}; {name} asked for its commit at {asked}", got());
    Some(Anomaly::new(Class::PrecommittedRead, operations, text))
}

/// A value whose commit succeeded, and that nobody ever polled.
fn missing(facts: &Facts<'_>, value: Value, writer: &Writer) -> Option<Anomaly> {
    let transaction = facts.history.operations[writer.operation].action.transaction()?;
    if transaction.outcome != Outcome::Committed || facts.is_polled(value) {
        return None;
    }
    let key = writer.sent.key;
    let text = format!("{} sent {value} to {key}, and nobody polled it", facts.name(writer.operation));
    match (writer.sent.offset, facts.last_polled(key)) {
        (Some(offset), Some(last)) if offset <= last => {
            let text = format!("{text} at {offset}, though {key} was polled up to {last}");
            Some(Anomaly::new(Class::LostWrite, [writer.operation], text))
        }
        _ => {
            let finals = facts.final_polls(key).iter().copied();
            Some(Anomaly::new(Class::Unseen, [writer.operation].into_iter().chain(finals), text))
        }
    }
}

/// What others polled of a log and its final poll has not.
fn gone(facts: &Facts<'_>, index: usize, found: &mut Vec<Anomaly>) {
    let Action::FinalPoll { key, records } = &facts.history.operations[index].action else { return };
    let there: HashSet<Value> = records.iter().map(|record| record.value).collect();
    let Some(log) = facts.logs.get(key) else { return };
    for value in log.visible().filter(|value| facts.is_polled(*value) && !there.contains(value)) {
        let readers = facts.readers(value).iter().map(|reader| reader.operation);
        let text = format!("{value} of {key} was polled once and is not in {}", facts.name(index));
        let operations = facts.writers.get(&value).map(|writer| writer.operation).into_iter().chain(readers);
        found.push(Anomaly::new(Class::LostWrite, operations.chain([index]), text));
    }
}

/// A transaction some of whose values were polled, while others are missing.
fn torn(facts: &Facts<'_>, index: usize, transaction: &Transaction) -> Option<Anomaly> {
    if !facts.is_committed(index) {
        return None;
    }
    let is_missing = |sent: &&Sent| {
        let passed = sent.offset.is_some_and(|offset| Some(offset) <= facts.last_polled(sent.key));
        !facts.is_polled(sent.value) && (passed || !facts.final_polls(sent.key).is_empty())
    };
    let seen = transaction.sends().find(|sent| facts.is_polled(sent.value))?;
    let missing: Vec<&Sent> = transaction.sends().filter(is_missing).collect();
    let first = missing.first()?;
    let reader = facts.readers(seen.value).first().map(|reader| reader.operation);
    let text = format!(
        "of {} {} of {} was polled, but not {} of {} and {} more",
        facts.name(index),
        seen.value,
        seen.key,
        first.value,
        first.key,
        missing.len() - 1
    );
    let finals = facts.final_polls(first.key).iter().copied();
    Some(Anomaly::new(Class::TornTransaction, [index].into_iter().chain(reader).chain(finals), text))
}
