//! Looks in a history for what a Kafka broker must never let its clients see.
//!
//! The classes are those of Jepsen's Kafka workload (`jepsen.tests.kafka`), and a few that whole final polls and the times of
//! commits make possible. Everything is inferred from values that are written once: who sent a value, where it stands in its
//! log, who polled it. No I/O, no clock, no broker: a history is all there is.
//!
//! Two classes are no fault of a broker ([`Class::is_allowed`]): transactions write into the log before they commit, so what
//! they write may interleave, in a single log and, the one way here and the other way there, in several.

mod anomaly;
mod cycles;
mod facts;
mod history;
mod log;
mod model;
mod mutations;
mod order;
mod pipeline;
mod report;
mod tests;
mod visibility;

use self::facts::Facts;
pub(crate) use self::{
    anomaly::{Anomaly, Class},
    history::{Action, History, Key, Operation, Outcome, Pipeline, Polled, Record, Sent, Step, Transaction, Value},
    report::report,
};

/// Everything that stands out in a history, the most severe class first.
pub(crate) fn check(history: &History) -> Vec<Anomaly> {
    let facts = Facts::new(history);
    let mut found = Vec::new();
    visibility::check(&facts, &mut found);
    log::check(&facts, &mut found);
    order::check(&facts, &mut found);
    cycles::check(&facts, &mut found);
    pipeline::check(&facts, &mut found);
    found.sort_by(|a, b| (a.class, &a.operations).cmp(&(b.class, &b.operations)));
    found
}

/// Of what stands out, what no broker may do.
pub(crate) fn violations(mut found: Vec<Anomaly>) -> Vec<Anomaly> {
    found.retain(|anomaly| !anomaly.class.is_allowed());
    found
}
