//! The state of a partition as the metadata has it, and what a change does to it (Kafka's `PartitionRegistration`).

use uuid::Uuid;

use super::level::MetadataLevel;
use crate::protocol::messages::{PartitionChangeRecord, PartitionRecord};

/// A change that leaves the leader alone.
const NO_LEADER_CHANGE: i32 = -2;
/// A change that leaves the recovery state alone.
const NO_RECOVERY_CHANGE: i8 = -1;
/// The recovery state of a leader that has nothing to recover.
const RECOVERED: i8 = 0;
/// The directory of a replica that was there before directories were recorded (`DirectoryId.MIGRATING`).
const MIGRATING: Uuid = Uuid::nil();

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The brokers that have it, the preferred leader first.
    pub replicas: Vec<i32>,
    /// The directory of each replica.
    pub directories: Vec<Uuid>,
    /// The replicas in sync.
    pub isr: Vec<i32>,
    /// Replicas on their way out.
    pub removing_replicas: Vec<i32>,
    /// Replicas on their way in.
    pub adding_replicas: Vec<i32>,
    /// The leader, or -1.
    pub leader: i32,
    /// Epoch of its leader.
    pub leader_epoch: i32,
    /// Counts the changes to the partition.
    pub partition_epoch: i32,
    /// 1 where an unclean election is still to be recovered from.
    pub leader_recovery_state: i8,
    /// Replicas out of sync that may lead all the same (KIP-966).
    pub eligible_leader_replicas: Vec<i32>,
    /// The last that were eligible.
    pub last_known_elr: Vec<i32>,
}

impl From<&PartitionRecord> for Partition {
    fn from(record: &PartitionRecord) -> Self {
        let mut partition = Self {
            replicas: record.replicas.clone(),
            directories: record.directories.clone(),
            isr: record.isr.clone(),
            removing_replicas: record.removing_replicas.clone(),
            adding_replicas: record.adding_replicas.clone(),
            leader: record.leader,
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
            leader_recovery_state: record.leader_recovery_state,
            eligible_leader_replicas: record.eligible_leader_replicas.clone().unwrap_or_default(),
            last_known_elr: record.last_known_elr.clone().unwrap_or_default(),
        };
        partition.complete_directories();
        partition
    }
}

impl Partition {
    /// Takes in a change: what it does not mention stays. A leader that is mentioned begins a new epoch, also where it is
    /// the same. An epoch that a damaged log has put at the end of its numbers stays there.
    pub(super) fn apply(&mut self, change: &PartitionChangeRecord) {
        let set = |to: &mut Vec<i32>, from: &Option<Vec<i32>>| {
            if let Some(from) = from {
                to.clone_from(from);
            }
        };
        set(&mut self.replicas, &change.replicas);
        set(&mut self.isr, &change.isr);
        set(&mut self.removing_replicas, &change.removing_replicas);
        set(&mut self.adding_replicas, &change.adding_replicas);
        set(&mut self.eligible_leader_replicas, &change.eligible_leader_replicas);
        set(&mut self.last_known_elr, &change.last_known_elr);
        if let Some(directories) = &change.directories {
            self.directories.clone_from(directories);
        }
        self.complete_directories();
        if change.leader != NO_LEADER_CHANGE {
            self.leader = change.leader;
            self.leader_epoch = self.leader_epoch.saturating_add(1);
        }
        if change.leader_recovery_state != NO_RECOVERY_CHANGE {
            self.leader_recovery_state = change.leader_recovery_state;
        }
        self.partition_epoch = self.partition_epoch.saturating_add(1);
    }

    /// Records of before directories name none.
    fn complete_directories(&mut self) {
        if self.directories.is_empty() {
            self.directories = vec![MIGRATING; self.replicas.len()];
        }
    }

    /// Forgets who is eligible.
    pub(super) fn clear_elr(&mut self) {
        self.eligible_leader_replicas.clear();
        self.last_known_elr.clear();
    }

    /// The change after which `node` leads alone, out of the directory with this id; `None` where it does, and `new_epoch`
    /// is not asked for.
    #[must_use]
    pub fn lead_alone(
        &self,
        node: i32,
        directory: Uuid,
        new_epoch: bool,
        level: MetadataLevel,
    ) -> Option<PartitionChangeRecord> {
        let mut change = PartitionChangeRecord::default();
        let wanted = change.clone();
        if self.leader != node || new_epoch {
            change.leader = node;
        }
        if self.isr != [node] {
            change.isr = Some(vec![node]);
        }
        if self.leader_recovery_state != RECOVERED {
            change.leader_recovery_state = RECOVERED;
        }
        if level.has_eligible_leader_replicas() {
            let emptied = |elr: &Vec<i32>| (!elr.is_empty()).then(Vec::new);
            change.eligible_leader_replicas = emptied(&self.eligible_leader_replicas);
            change.last_known_elr = emptied(&self.last_known_elr);
        }
        if level.has_directories() {
            change.directories = self.directories_with(node, directory);
        }
        (change != wanted).then_some(change)
    }

    /// The directories with that of `node` put right; `None` where it is.
    fn directories_with(&self, node: i32, directory: Uuid) -> Option<Vec<Uuid>> {
        let place = self.replicas.iter().position(|replica| *replica == node)?;
        let mut directories = self.directories.clone();
        directories.resize(self.replicas.len(), MIGRATING);
        if directories[place] == directory && directories.len() == self.directories.len() {
            return None;
        }
        directories[place] = directory;
        Some(directories)
    }

    /// The record that says all of it.
    pub(super) fn to_record(&self, topic_id: Uuid, partition_id: i32, level: MetadataLevel) -> PartitionRecord {
        let elr = |replicas: &Vec<i32>| {
            (level.has_eligible_leader_replicas() && !replicas.is_empty()).then(|| replicas.clone())
        };
        PartitionRecord {
            partition_id,
            topic_id,
            replicas: self.replicas.clone(),
            isr: self.isr.clone(),
            removing_replicas: self.removing_replicas.clone(),
            adding_replicas: self.adding_replicas.clone(),
            leader: self.leader,
            leader_recovery_state: self.leader_recovery_state,
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            directories: if level.has_directories() { self.directories.clone() } else { Vec::new() },
            eligible_leader_replicas: elr(&self.eligible_leader_replicas),
            last_known_elr: elr(&self.last_known_elr),
            ..PartitionRecord::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRECTORY: Uuid = Uuid::from_u128(9);

    fn led_by(leader: i32) -> Partition {
        Partition::from(&PartitionRecord {
            replicas: vec![1],
            isr: vec![1],
            leader,
            leader_epoch: 5,
            partition_epoch: 7,
            directories: vec![DIRECTORY],
            ..PartitionRecord::default()
        })
    }

    fn lead_alone(partition: &Partition, new_epoch: bool) -> Option<PartitionChangeRecord> {
        partition.lead_alone(1, DIRECTORY, new_epoch, MetadataLevel::LATEST)
    }

    #[test]
    fn a_change_touches_what_it_mentions() {
        let mut partition = led_by(1);
        partition.apply(&PartitionChangeRecord { isr: Some(vec![]), ..Default::default() });
        let expected = Partition { isr: vec![], partition_epoch: 8, ..led_by(1) };
        assert_eq!(partition, expected);
        partition.apply(&PartitionChangeRecord {
            leader: 1,
            eligible_leader_replicas: Some(vec![1]),
            last_known_elr: Some(vec![2]),
            leader_recovery_state: 1,
            directories: Some(vec![Uuid::from_u128(3)]),
            ..Default::default()
        });
        let expected = Partition {
            leader_epoch: 6,
            partition_epoch: 9,
            eligible_leader_replicas: vec![1],
            last_known_elr: vec![2],
            leader_recovery_state: 1,
            directories: vec![Uuid::from_u128(3)],
            ..expected
        };
        assert_eq!(partition, expected, "the same leader begins an epoch too");
    }

    #[test]
    fn what_kafkas_clean_stop_left_is_mended() {
        let mut partition = led_by(1);
        partition.apply(&PartitionChangeRecord {
            leader: -1,
            isr: Some(vec![]),
            eligible_leader_replicas: Some(vec![1]),
            last_known_elr: Some(vec![1]),
            ..Default::default()
        });
        let change = lead_alone(&partition, false).expect("there is nobody who leads");
        partition.apply(&change);
        assert_eq!(partition, Partition { leader_epoch: 7, partition_epoch: 9, ..led_by(1) });
        assert_eq!(lead_alone(&partition, false), None);
    }

    #[test]
    fn a_new_epoch_is_all_that_an_unclean_stop_takes() {
        let change = lead_alone(&led_by(1), true).expect("a new epoch");
        assert_eq!(change, PartitionChangeRecord { leader: 1, ..Default::default() });
    }

    #[test]
    fn a_partition_of_before_directories_gets_one() {
        let mut partition = Partition::from(&PartitionRecord {
            replicas: vec![2, 1],
            isr: vec![1],
            leader: 1,
            ..PartitionRecord::default()
        });
        let change = lead_alone(&partition, false).expect("it has no directory");
        partition.apply(&change);
        assert_eq!(partition.directories, [MIGRATING, DIRECTORY]);
        assert_eq!(partition.lead_alone(1, DIRECTORY, false, MetadataLevel::new(16)), None);
    }
}
