//! What was found, in words.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::{
    anomaly::{Anomaly, Class},
    history::{Action, History, Operation, Polled, Record, Step},
};

/// How many anomalies of a class are told in full.
const SHOWN: usize = 5;
/// How many records of a log an operation's text has.
const RECORDS_SHOWN: usize = 20;

/// How many there are of each class, the first few of each, and in full the operations that show them.
pub(crate) fn report(history: &History, anomalies: &[Anomaly]) -> String {
    let mut classes: BTreeMap<Class, Vec<&Anomaly>> = BTreeMap::new();
    for anomaly in anomalies {
        classes.entry(anomaly.class).or_default().push(anomaly);
    }
    let mut text = String::new();
    let mut operations = BTreeSet::new();
    for (class, anomalies) in classes {
        let _ = writeln!(text, "{class:?}, {} of it:", anomalies.len());
        for anomaly in anomalies.iter().take(SHOWN) {
            let _ = writeln!(text, "  {anomaly}");
            operations.extend(anomaly.operations.iter().copied());
        }
    }
    for index in operations {
        let _ = writeln!(text, "{}", describe(index, &history.operations[index]));
    }
    text
}

fn describe(index: usize, operation: &Operation) -> String {
    let Operation { process, invoked, completed, action } = operation;
    let action = match action {
        Action::Transaction(transaction) => {
            let steps: Vec<String> = transaction.steps.iter().map(step).collect();
            let asked = transaction.commit_asked.map_or_else(String::new, |at| format!(", asked to commit at {at}"));
            format!("transaction, {:?}{asked}: {}", transaction.outcome, steps.join("; "))
        }
        Action::Poll(records) => polled(records),
        Action::Assign => "assign".to_owned(),
        Action::Seek(keys) => format!("seek {keys:?}"),
        Action::FinalPoll { key, records } => format!("final poll of {key}: {}", of_log(records)),
    };
    format!("operation {index}, process {process}, {invoked} to {completed}: {action}")
}

fn step(step: &Step) -> String {
    match step {
        Step::Send(sent) => {
            let offset = sent.offset.map_or_else(|| "?".to_owned(), |offset| offset.to_string());
            format!("send {} to {} (at {offset})", sent.value, sent.key)
        }
        Step::Poll(records) => polled(records),
    }
}

fn polled(polled: &Polled) -> String {
    let logs: Vec<String> = polled.iter().map(|(key, records)| format!("{key}: {}", of_log(records))).collect();
    format!("poll {{{}}}", logs.join("; "))
}

fn of_log(records: &[Record]) -> String {
    let shown: Vec<String> =
        records.iter().take(RECORDS_SHOWN).map(|record| format!("{} {}", record.offset, record.value)).collect();
    let more = records.len().saturating_sub(RECORDS_SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
