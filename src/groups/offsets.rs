//! The offsets that a group has committed, as Kafka's `OffsetMetadataManager` keeps them.
//!
//! An offset belongs to a partition of a topic that has an id. A topic may go and another come under its name: what was
//! committed for the one is never told of the other, whether the request names the topic by its name or by its id. (Kafka
//! 4.4.0 compares the ids only where the request has one. It forgets the offsets of a topic when the topic is deleted, so
//! this shows only if it is stopped in between: then a new topic gets the old one's offsets by name, and with all offsets of
//! the group also by id.) An offset without an id, of an older release, counts for whatever has the name.
//!
//! What a transaction commits is pending until it ends (`offsets/pending.rs`).

mod pending;
mod table;

use std::sync::Arc;

use uuid::Uuid;

use self::{pending::Pending, table::Table};
use super::{
    error::GroupError,
    records::{GroupRecord, NO_TIMESTAMP},
};
use crate::{
    clock::TimestampMs,
    coordinator::machine::Place,
    protocol::{
        messages::{OffsetCommitKey, OffsetCommitValue},
        wire::StrBytes,
    },
};

/// An offset to be committed.
#[derive(Clone, Debug, PartialEq)]
pub struct NewOffset {
    /// The topic.
    pub topic: Arc<str>,
    /// The topic's id.
    pub topic_id: Option<Uuid>,
    /// The partition.
    pub partition: i32,
    /// The next offset to be read.
    pub offset: i64,
    /// The epoch of the leader that the last record was read from.
    pub leader_epoch: Option<i32>,
    /// What the client keeps with it.
    pub metadata: Arc<str>,
    /// When the client says it was committed (version 1).
    pub commit_timestamp: Option<TimestampMs>,
    /// How long it is to be kept, if not as the broker is set (versions 2 to 4).
    pub retention_ms: Option<i64>,
}

/// An offset that was committed.
#[derive(Clone, Debug, PartialEq)]
pub struct CommittedOffset {
    /// The next offset to be read.
    pub offset: i64,
    /// The epoch of the leader that the last record was read from.
    pub leader_epoch: Option<i32>,
    /// What the client keeps with it.
    pub metadata: Arc<str>,
    /// The topic's id.
    pub topic_id: Option<Uuid>,
    /// When it was committed.
    pub commit_timestamp: TimestampMs,
    /// When it expires, if not as the broker is set.
    pub expire_timestamp: Option<TimestampMs>,
}

/// Which partitions are asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Topics {
    /// All that have an offset.
    All,
    /// These, by topic: name, the topic's present id if there is one, partitions.
    These(Vec<(Arc<str>, Option<Uuid>, Vec<i32>)>),
}

/// What is known of a partition's offset.
#[derive(Clone, Debug, PartialEq)]
pub struct OffsetOf {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset, if there is one.
    pub committed: Result<Option<CommittedOffset>, GroupError>,
}

/// From when on the retention of a group's offsets runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetainedFrom {
    /// From each commit.
    Commit,
    /// From when the last member left.
    Emptied(TimestampMs),
    /// It does not run, nor does an expiry that an offset has of its own: it is in use.
    Never,
}

/// Which of a group's offsets have expired.
pub struct Expiry<'a> {
    /// The time.
    pub now: TimestampMs,
    /// From when on the retention runs.
    pub retained_from: RetainedFrom,
    /// For how long an offset is retained that does not say so itself.
    pub retention_ms: i64,
    /// Whether a member subscribes to a topic: its offsets are in use.
    pub is_subscribed: &'a dyn Fn(&str) -> bool,
}

/// All offsets of a group.
#[derive(Debug)]
pub struct Offsets {
    committed: Table,
    pending: Pending,
    written_at: i64,
}

impl Default for Offsets {
    fn default() -> Self {
        Self { committed: Table::default(), pending: Pending::default(), written_at: -1 }
    }
}

/// Reading.
impl Offsets {
    /// Whether there are none, not even pending ones.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.pending.is_empty()
    }

    /// The offset of the last record that changed any; -1 if none did.
    #[must_use]
    pub fn written_at(&self) -> i64 {
        self.written_at
    }

    /// The committed offsets of these partitions, or of all that have one.
    #[must_use]
    pub fn fetch(&self, topics: &Topics, require_stable: bool) -> Vec<OffsetOf> {
        match topics {
            Topics::All => self.fetch_all(require_stable),
            Topics::These(topics) => of_each(topics, |topic, present_id, partition| {
                self.unless_unstable(topic, partition, require_stable, || {
                    self.committed.get(topic, partition).filter(|offset| offset.is_of(present_id))
                })
            }),
        }
    }

    /// What is known of these partitions if nothing is.
    #[must_use]
    pub fn fetch_nothing(topics: &Topics) -> Vec<OffsetOf> {
        match topics {
            Topics::All => Vec::new(),
            Topics::These(topics) => of_each(topics, |_, _, _| Ok(None)),
        }
    }

    /// A partition that has nothing but a pending offset is not among them, as in Kafka.
    fn fetch_all(&self, require_stable: bool) -> Vec<OffsetOf> {
        let of = |(topic, partition, offset): (&Arc<str>, i32, CommittedOffset)| {
            let committed = self.unless_unstable(topic, partition, require_stable, || Some(offset));
            OffsetOf { topic: topic.clone(), partition, committed }
        };
        self.committed.iter().map(of).collect()
    }

    fn unless_unstable(
        &self,
        topic: &str,
        partition: i32,
        require_stable: bool,
        committed: impl FnOnce() -> Option<CommittedOffset>,
    ) -> Result<Option<CommittedOffset>, GroupError> {
        if require_stable && self.pending.contains(topic, partition) {
            return Err(GroupError::UnstableOffsetCommit);
        }
        Ok(committed())
    }
}

/// Deciding: what is to be written.
impl Offsets {
    /// The record that takes away whatever there is for a partition; `None` if there is nothing.
    #[must_use]
    pub fn deletion(&self, group: impl Into<StrBytes>, topic: &str, partition: i32) -> Option<GroupRecord> {
        let is_there = self.committed.contains(topic, partition) || self.pending.contains(topic, partition);
        is_there.then(|| tombstone(group.into(), topic, partition))
    }

    /// The records that take away everything.
    #[must_use]
    pub fn deletions(&self, group: &str) -> Vec<GroupRecord> {
        self.gone(group, &|_, _| true)
    }

    /// The records that take away the offsets of topics that are gone. What is told of a topic is its name and the id that an
    /// offset was committed for. A partition stays for which there is also something of a topic that is not gone: its
    /// tombstone would take away both.
    #[must_use]
    pub fn gone(&self, group: &str, is_gone: &dyn Fn(&str, Option<Uuid>) -> bool) -> Vec<GroupRecord> {
        let are_pending_gone =
            |topic: &str, partition| self.pending.of(topic, partition).all(|offset| is_gone(topic, offset.topic_id));
        let committed = self
            .committed
            .iter()
            .filter(|(topic, partition, offset)| is_gone(topic, offset.topic_id) && are_pending_gone(topic, *partition))
            .map(|(topic, partition, _)| (topic, partition));
        let only_pending = self
            .pending
            .partitions()
            .filter(|(topic, partition)| !self.committed.contains(topic, *partition))
            .filter(|(topic, partition)| are_pending_gone(topic, *partition));
        let group = StrBytes::from(group);
        committed.chain(only_pending).map(|(topic, partition)| tombstone(group.clone(), topic, partition)).collect()
    }

    /// The records that take away what has expired, and whether nothing is left then.
    #[must_use]
    pub fn expired(&self, group: &str, expiry: &Expiry<'_>) -> (Vec<GroupRecord>, bool) {
        let group = StrBytes::from(group);
        let mut records = Vec::new();
        let mut is_all = self.pending.is_empty();
        for (topic, partition, offset) in self.committed.iter() {
            let is_in_use = (expiry.is_subscribed)(topic) || self.pending.contains(topic, partition);
            if !is_in_use && expiry.has_expired(&offset) {
                records.push(tombstone(group.clone(), topic, partition));
            } else {
                is_all = false;
            }
        }
        (records, is_all)
    }
}

/// Applying.
impl Offsets {
    /// Takes a record in.
    pub fn apply(&mut self, place: Place, key: &OffsetCommitKey, value: Option<&OffsetCommitValue>) {
        let (topic, partition) = (key.topic.as_str(), key.partition);
        match (value.map(CommittedOffset::from), place.producer_id) {
            (Some(offset), None) => self.commit(topic, partition, place.offset, offset),
            (Some(offset), Some(producer_id)) => {
                self.pending.put(producer_id, topic, partition, place.offset, offset);
            }
            (None, _) => {
                self.committed.remove(topic, partition);
                self.pending.forget(topic, partition);
            }
        }
        self.written_at = self.written_at.max(place.offset);
    }

    /// A transaction has ended, with the marker at this offset.
    pub fn end_transaction(&mut self, marker: i64, producer_id: i64, is_commit: bool) {
        let Some(ended) = self.pending.take(producer_id) else { return };
        for (topic, partition, pending) in ended {
            if let (true, Some(offset)) = (is_commit, pending.offset) {
                self.commit(&topic, partition, pending.written_at, offset);
            }
        }
        self.written_at = self.written_at.max(marker);
    }

    fn commit(&mut self, topic: &str, partition: i32, written_at: i64, offset: CommittedOffset) {
        self.pending.overtake(topic, partition, written_at);
        self.committed.put(topic, partition, offset);
    }
}

impl Expiry<'_> {
    fn has_expired(&self, offset: &CommittedOffset) -> bool {
        let retained_from = match self.retained_from {
            RetainedFrom::Commit => offset.commit_timestamp,
            RetainedFrom::Emptied(timestamp) => timestamp,
            RetainedFrom::Never => return false,
        };
        offset.expire_timestamp.map_or_else(|| self.is_over(retained_from), |timestamp| self.now >= timestamp)
    }

    fn is_over(&self, from: TimestampMs) -> bool {
        self.now.saturating_sub(from) >= self.retention_ms
    }
}

impl NewOffset {
    /// The record that commits it.
    ///
    /// The version of the record that has an expiry knows neither leader epoch nor topic id, so these are left out at once:
    /// a restart would not bring them back. No version of the request has both.
    #[must_use]
    pub fn record(&self, group: impl Into<StrBytes>, now: TimestampMs) -> GroupRecord {
        let expire_timestamp = self.retention_ms.map(|retention| now.saturating_add(retention));
        let lasts = expire_timestamp.is_none();
        let value = OffsetCommitValue {
            offset: self.offset,
            leader_epoch: self.leader_epoch.filter(|_| lasts).unwrap_or(NO_EPOCH),
            metadata: StrBytes::from(&*self.metadata),
            commit_timestamp: self.commit_timestamp.unwrap_or(now),
            expire_timestamp: expire_timestamp.unwrap_or(NO_TIMESTAMP),
            topic_id: self.topic_id.filter(|_| lasts).unwrap_or_default(),
            ..Default::default()
        };
        GroupRecord::Offset(key(group.into(), &self.topic, self.partition), Some(value))
    }

    /// Whether its metadata are larger than `most`, in the units that Kafka measures them in: those of UTF-16.
    #[must_use]
    pub fn has_too_much_metadata(&self, most: usize) -> bool {
        self.metadata.len() > most && self.metadata.encode_utf16().count() > most
    }
}

impl CommittedOffset {
    /// Whether it can be one of the topic with this id. Where an id is not known, the name decides.
    #[must_use]
    pub fn is_of(&self, present_id: Option<Uuid>) -> bool {
        self.topic_id.is_none_or(|id| present_id.is_none_or(|present_id| id == present_id))
    }
}

/// What stands in a record for a leader epoch that is not there.
const NO_EPOCH: i32 = -1;

/// Copied out of the record, which is a slice of the log.
impl From<&OffsetCommitValue> for CommittedOffset {
    fn from(value: &OffsetCommitValue) -> Self {
        Self {
            offset: value.offset,
            leader_epoch: Some(value.leader_epoch).filter(|epoch| *epoch != NO_EPOCH),
            metadata: if value.metadata.is_empty() { Arc::default() } else { Arc::from(value.metadata.as_str()) },
            topic_id: Some(value.topic_id).filter(|id| !id.is_nil()),
            commit_timestamp: value.commit_timestamp,
            expire_timestamp: Some(value.expire_timestamp).filter(|timestamp| *timestamp != NO_TIMESTAMP),
        }
    }
}

/// The group's name is shared: one request may have a long one and very many partitions.
fn key(group: StrBytes, topic: &str, partition: i32) -> OffsetCommitKey {
    OffsetCommitKey { group, topic: StrBytes::from(topic), partition }
}

fn tombstone(group: StrBytes, topic: &str, partition: i32) -> GroupRecord {
    GroupRecord::Offset(key(group, topic, partition), None)
}

fn of_each(
    topics: &[(Arc<str>, Option<Uuid>, Vec<i32>)],
    committed: impl Fn(&str, Option<Uuid>, i32) -> Result<Option<CommittedOffset>, GroupError>,
) -> Vec<OffsetOf> {
    let of_topic = |(topic, id, partitions): &(Arc<str>, Option<Uuid>, Vec<i32>)| {
        let of = |partition: &i32| OffsetOf {
            topic: topic.clone(),
            partition: *partition,
            committed: committed(topic, *id, *partition),
        };
        partitions.iter().map(of).collect::<Vec<_>>()
    };
    topics.iter().flat_map(of_topic).collect()
}

#[cfg(test)]
mod tests;
