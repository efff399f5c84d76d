//! Offsets of transactions that have not ended.
//!
//! The offset that counts in the end is the one whose record stands last in the log, not the one whose transaction ends last.
//! So a pending offset that something committed has overtaken no longer counts; but until its transaction ends, the
//! partition is not stable.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::CommittedOffset;

/// Pending offsets of all producers.
#[derive(Debug, Default)]
pub(super) struct Pending {
    partitions: BTreeMap<Arc<str>, BTreeMap<i32, BTreeMap<i64, PendingOffset>>>,
    /// Which partitions a producer has something pending for.
    producers: BTreeMap<i64, BTreeSet<(Arc<str>, i32)>>,
}

/// An offset that counts if its transaction commits.
#[derive(Debug)]
pub(super) struct PendingOffset {
    /// Where its record stands.
    pub(super) written_at: i64,
    /// `None` if it has been overtaken.
    pub(super) offset: Option<CommittedOffset>,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    pub(super) fn contains(&self, topic: &str, partition: i32) -> bool {
        self.partitions.get(topic).is_some_and(|partitions| partitions.contains_key(&partition))
    }

    /// Every partition that has one.
    pub(super) fn partitions(&self) -> impl Iterator<Item = (&Arc<str>, i32)> {
        self.partitions
            .iter()
            .flat_map(|(topic, partitions)| partitions.keys().map(move |partition| (topic, *partition)))
    }

    /// Those of a partition that may count yet.
    pub(super) fn of(&self, topic: &str, partition: i32) -> impl Iterator<Item = &CommittedOffset> {
        let producers = self.partitions.get(topic).and_then(|partitions| partitions.get(&partition));
        producers.into_iter().flatten().filter_map(|(_, pending)| pending.offset.as_ref())
    }

    pub(super) fn put(
        &mut self,
        producer_id: i64,
        topic: &str,
        partition: i32,
        written_at: i64,
        offset: CommittedOffset,
    ) {
        let topic = self.name(topic);
        self.producers.entry(producer_id).or_default().insert((topic.clone(), partition));
        let producers = self.partitions.entry(topic).or_default().entry(partition).or_default();
        producers.insert(producer_id, PendingOffset { written_at, offset: Some(offset) });
    }

    /// The name, from where it is already.
    fn name(&self, topic: &str) -> Arc<str> {
        self.partitions.get_key_value(topic).map_or_else(|| Arc::from(topic), |(topic, _)| topic.clone())
    }

    /// An offset is committed whose record stands at `written_at`: those before it no longer count.
    pub(super) fn overtake(&mut self, topic: &str, partition: i32, written_at: i64) {
        let producers = self.partitions.get_mut(topic).and_then(|partitions| partitions.get_mut(&partition));
        for pending in producers.into_iter().flat_map(BTreeMap::values_mut) {
            if pending.written_at < written_at {
                pending.offset = None;
            }
        }
    }

    /// Takes away what a partition has pending.
    pub(super) fn forget(&mut self, topic: &str, partition: i32) {
        let Some((name, _)) = self.partitions.get_key_value(topic) else { return };
        let entry = (name.clone(), partition);
        let Some(partitions) = self.partitions.get_mut(topic) else { return };
        let Some(producers) = partitions.remove(&partition) else { return };
        if partitions.is_empty() {
            self.partitions.remove(topic);
        }
        for producer_id in producers.into_keys() {
            let Some(of_producer) = self.producers.get_mut(&producer_id) else { continue };
            of_producer.remove(&entry);
            if of_producer.is_empty() {
                self.producers.remove(&producer_id);
            }
        }
    }

    /// Takes away what a producer has pending; `None` if that is nothing.
    pub(super) fn take(&mut self, producer_id: i64) -> Option<Vec<(Arc<str>, i32, PendingOffset)>> {
        let partitions = self.producers.remove(&producer_id)?;
        let taken = partitions.into_iter().filter_map(|(topic, partition)| {
            let pending = self.take_one(producer_id, &topic, partition)?;
            Some((topic, partition, pending))
        });
        Some(taken.collect())
    }

    fn take_one(&mut self, producer_id: i64, topic: &str, partition: i32) -> Option<PendingOffset> {
        let partitions = self.partitions.get_mut(topic)?;
        let producers = partitions.get_mut(&partition)?;
        let pending = producers.remove(&producer_id);
        if producers.is_empty() {
            partitions.remove(&partition);
        }
        if partitions.is_empty() {
            self.partitions.remove(topic);
        }
        pending
    }
}
