//! What clients know of their transactions, and whether the logs agree.

use std::sync::mpsc;

use super::world::{PARTITIONS, TOPIC, World};
use crate::{
    config::topic_name::GROUP_METADATA_TOPIC,
    groups::group::{Asking, Topics},
    log::{batch_reader::BatchReader, partition_log::PartitionLog, producer_state::EndMarker},
};

/// What a client knows of the end of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It has not asked for one.
    Open,
    /// It has asked for a commit and not been answered.
    Undecided,
    /// The commit was answered.
    Committed,
    /// It has asked for an abort.
    Aborted,
}

/// A transaction, as its client sees it.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// Its values begin with it; its offset of the group is this.
    pub(super) number: i64,
    /// Whose it is. The group has the same name.
    pub(super) id: &'static str,
    pub(super) fate: Fate,
    pub(super) has_offsets: bool,
}

/// All transactions.
#[derive(Debug, Default)]
pub(super) struct History(pub(super) Vec<Attempt>);

/// The values of a transaction in a partition.
pub(super) fn values(number: i64, partition: i32) -> [i64; 2] {
    [0, 1].map(|index| number * 100 + i64::from(partition) * 10 + index)
}

impl History {
    /// Holds what is in the logs against it, once no transaction is open any more.
    pub(super) fn check(&self, world: &World, context: &str) {
        let partitions: Vec<_> = (0..PARTITIONS).map(|partition| committed(&world.log(TOPIC, partition).0)).collect();
        let is_visible: Vec<_> = self.0.iter().map(|attempt| attempt.check(&partitions, context)).collect();
        let expected: usize = is_visible.iter().map(|is_visible| usize::from(*is_visible) * 2).sum();
        assert!(partitions.iter().all(|values| values.len() == expected), "{context}: {partitions:?} of {self:?}");
        let mut offsets = std::collections::BTreeMap::new();
        for (attempt, is_visible) in self.0.iter().zip(is_visible) {
            let committed: &mut Option<i64> = offsets.entry(attempt.id).or_default();
            if is_visible && attempt.has_offsets {
                *committed = Some(attempt.number);
            }
        }
        for (id, expected) in offsets {
            assert_eq!(offset(world, id), expected, "{context}: the offset of {id} of {self:?}");
        }
        for topic in [TOPIC, GROUP_METADATA_TOPIC] {
            (0..PARTITIONS).for_each(|partition| check_log(&world.log(topic, partition).0, context));
        }
    }
}

impl Attempt {
    /// Whether it counts, which it does everywhere or nowhere.
    fn check(&self, partitions: &[Vec<i64>], context: &str) -> bool {
        let found: Vec<_> = (0..)
            .zip(partitions)
            .map(|(partition, all)| {
                let own = values(self.number, partition);
                let found: Vec<_> = all.iter().copied().filter(|value| value / 100 == self.number).collect();
                assert!(found.is_empty() || found == own, "{context}: {self:?} is there in part: {found:?}");
                !found.is_empty()
            })
            .collect();
        let is_visible = found[0];
        assert!(found.iter().all(|found| *found == is_visible), "{context}: {self:?} is not everywhere: {found:?}");
        match self.fate {
            Fate::Open | Fate::Aborted => assert!(!is_visible, "{context}: {self:?} is visible"),
            Fate::Committed => assert!(is_visible, "{context}: {self:?} is lost"),
            Fate::Undecided => {}
        }
        is_visible
    }
}

/// What a consumer of committed records reads.
fn committed(log: &PartitionLog) -> Vec<i64> {
    let end = log.offsets().last_stable();
    let aborted = log.aborted_transactions(0, end).expect("readable");
    let mut batches = BatchReader::new(log, 0);
    let mut values = Vec::new();
    while let Some(batch) = batches.next_batch().expect("readable") {
        let header = *batch.header();
        let is_aborted = aborted.iter().any(|aborted| {
            aborted.producer_id == header.producer_id
                && (aborted.first_offset..=aborted.last_offset).contains(&header.base_offset)
        });
        if header.base_offset >= end || header.is_control() || is_aborted {
            continue;
        }
        for record in batch.records(1 << 20).expect("readable") {
            let value = record.expect("readable").value.expect("it has a value");
            values.push(i64::from_be_bytes(value[..].try_into().expect("eight bytes")));
        }
    }
    values
}

/// What a group has committed that is stable.
fn offset(world: &World, group: &str) -> Option<i64> {
    let id = world.broker.topic(TOPIC).expect("hosted").id();
    let topics = Topics::These(vec![(TOPIC.into(), Some(id), vec![0])]);
    let (sender, receiver) = mpsc::channel();
    drop(world.groups.runtime().run(group, |group, _, out| {
        let offsets = group.fetch_offsets(&Asking::default(), &topics, true, out);
        sender.send(offsets).expect("it is waited for");
    }));
    let mut offsets = receiver.recv().expect("the group is there").expect("fetched");
    offsets.remove(0).committed.expect("stable").map(|committed| committed.offset)
}

/// Nothing hangs, and each marker has the epoch of the coordinator that wrote it: all partitions have been led by the same.
fn check_log(log: &PartitionLog, context: &str) {
    let offsets = log.offsets();
    let ends = (offsets.last_stable(), offsets.high_watermark());
    assert_eq!(ends, (offsets.log_end(), offsets.log_end()), "{context}: {} hangs", log.topic_partition());
    let mut batches = BatchReader::new(log, 0);
    while let Some(batch) = batches.next_batch().expect("readable") {
        if let Some(marker) = EndMarker::in_batch(&batch) {
            assert_eq!(marker.coordinator_epoch, batch.header().partition_leader_epoch, "{context}: {marker:?}");
        }
    }
}
