//! Committed offsets by topic and partition, as small as they get: a broker has a million of them.
//!
//! The name of a topic is there once for all its partitions, and so is its id. What few offsets have stands apart: metadata,
//! an expiry of its own, the id of another topic of the same name.

use std::{collections::BTreeMap, sync::Arc};

use uuid::Uuid;

use super::CommittedOffset;
use crate::clock::TimestampMs;

/// Committed offsets.
#[derive(Debug, Default)]
pub(super) struct Table {
    topics: BTreeMap<Arc<str>, Topic>,
}

#[derive(Debug)]
struct Topic {
    /// Of every offset that does not say otherwise.
    id: Option<Uuid>,
    partitions: BTreeMap<i32, Offset>,
}

#[derive(Debug)]
struct Offset {
    offset: i64,
    leader_epoch: Option<i32>,
    commit_timestamp: TimestampMs,
    rare: Option<Box<Rare>>,
}

const _: () = assert!(size_of::<Offset>() == 32);

#[derive(Debug)]
struct Rare {
    metadata: Arc<str>,
    topic_id: Option<Uuid>,
    expire_timestamp: Option<TimestampMs>,
}

impl Table {
    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    pub(super) fn contains(&self, topic: &str, partition: i32) -> bool {
        self.topics.get(topic).is_some_and(|topic| topic.partitions.contains_key(&partition))
    }

    pub(super) fn get(&self, topic: &str, partition: i32) -> Option<CommittedOffset> {
        let topic = self.topics.get(topic)?;
        Some(topic.partitions.get(&partition)?.unpacked(topic.id))
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, i32, CommittedOffset)> {
        self.topics.iter().flat_map(|(name, topic)| {
            topic.partitions.iter().map(move |(partition, offset)| (name, *partition, offset.unpacked(topic.id)))
        })
    }

    pub(super) fn put(&mut self, topic: &str, partition: i32, offset: CommittedOffset) {
        if !self.topics.contains_key(topic) {
            self.topics.insert(Arc::from(topic), Topic { id: offset.topic_id, partitions: BTreeMap::new() });
        }
        let topic = self.topics.get_mut(topic).expect("it was there, or has just been put there");
        topic.partitions.insert(partition, Offset::packed(offset, topic.id));
    }

    pub(super) fn remove(&mut self, topic: &str, partition: i32) {
        let Some(of_topic) = self.topics.get_mut(topic) else { return };
        of_topic.partitions.remove(&partition);
        if of_topic.partitions.is_empty() {
            self.topics.remove(topic);
        }
    }
}

impl Offset {
    fn packed(committed: CommittedOffset, id_of_topic: Option<Uuid>) -> Self {
        let CommittedOffset { offset, leader_epoch, metadata, topic_id, commit_timestamp, expire_timestamp } =
            committed;
        let is_plain = metadata.is_empty() && topic_id == id_of_topic && expire_timestamp.is_none();
        let rare = (!is_plain).then(|| Box::new(Rare { metadata, topic_id, expire_timestamp }));
        Self { offset, leader_epoch, commit_timestamp, rare }
    }

    fn unpacked(&self, id_of_topic: Option<Uuid>) -> CommittedOffset {
        let (metadata, topic_id, expire_timestamp) = match self.rare.as_deref() {
            Some(rare) => (rare.metadata.clone(), rare.topic_id, rare.expire_timestamp),
            None => (Arc::default(), id_of_topic, None),
        };
        CommittedOffset {
            offset: self.offset,
            leader_epoch: self.leader_epoch,
            metadata,
            topic_id,
            commit_timestamp: self.commit_timestamp,
            expire_timestamp,
        }
    }
}
