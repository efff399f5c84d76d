//! Transactions that write into a coordinator's log.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{log::partition_log::TransactionGuard, protocol::ids::ProducerIdAndEpoch};

/// What the records of a step are part of.
#[derive(Clone, Copy)]
pub(super) struct Transaction<'a> {
    pub(super) producer: ProducerIdAndEpoch,
    /// Says that the transaction is one if the log does not know of it yet.
    pub(super) guard: Option<&'a TransactionGuard>,
}

/// Which producers have something pending with which machines. That ends with the marker of the transaction.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Participants(HashMap<i64, HashSet<Arc<str>>>);

impl Participants {
    pub(super) fn add(&mut self, producer_id: i64, id: &str) {
        let ids = self.0.entry(producer_id).or_default();
        if !ids.contains(id) {
            ids.insert(Arc::from(id));
        }
    }

    /// Those of a transaction that has ended.
    pub(super) fn take(&mut self, producer_id: i64) -> HashSet<Arc<str>> {
        self.0.remove(&producer_id).unwrap_or_default()
    }
}
