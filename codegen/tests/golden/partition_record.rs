//! `PartitionRecord`: metadata record, api key 3, versions 0-2, flexible from 0.

use uuid::Uuid;

use crate::protocol::{
    message::Message,
    wire::{DecodeError, EncodeError, InField, Reader, UnknownTaggedFields, Writer},
};

/// The metadata record `PartitionRecord`.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionRecord {
    /// The partition id.
    ///
    /// Versions 0+.
    pub partition_id: i32,
    /// The unique ID of this topic.
    ///
    /// Versions 0+.
    pub topic_id: Uuid,
    /// The replicas of this partition, sorted by preferred order.
    ///
    /// Versions 0+, a brokerId.
    pub replicas: Vec<i32>,
    /// The in-sync replicas of this partition
    ///
    /// Versions 0+.
    pub isr: Vec<i32>,
    /// The replicas that we are in the process of removing.
    ///
    /// Versions 0+, a brokerId.
    pub removing_replicas: Vec<i32>,
    /// The replicas that we are in the process of adding.
    ///
    /// Versions 0+, a brokerId.
    pub adding_replicas: Vec<i32>,
    /// The lead replica, or -1 if there is no leader.
    ///
    /// Versions 0+, a brokerId.
    pub leader: i32,
    /// 1 if the partition is recovering from an unclean leader election; 0 otherwise.
    ///
    /// Versions 0+, tag 0 in 0+.
    pub leader_recovery_state: i8,
    /// The epoch of the partition leader.
    ///
    /// Versions 0+.
    pub leader_epoch: i32,
    /// An epoch that gets incremented each time we change anything in the partition.
    ///
    /// Versions 0+.
    pub partition_epoch: i32,
    /// The log directory hosting each replica, sorted in the same exact order as the Replicas field.
    ///
    /// Versions 1+.
    pub directories: Vec<Uuid>,
    /// The eligible leader replicas of this partition.
    ///
    /// Versions 2+, nullable 2+, tag 1 in 2+, a brokerId.
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// The last known eligible leader replicas of this partition.
    ///
    /// Versions 2+, nullable 2+, tag 2 in 2+, a brokerId.
    pub last_known_elr: Option<Vec<i32>>,
    /// Tagged fields that the schema does not know.
    pub unknown_tagged_fields: UnknownTaggedFields,
}

impl Default for PartitionRecord {
    fn default() -> Self {
        Self {
            partition_id: -1,
            topic_id: Uuid::nil(),
            replicas: Vec::new(),
            isr: Vec::new(),
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            leader: -1,
            leader_recovery_state: 0,
            leader_epoch: -1,
            partition_epoch: -1,
            directories: Vec::new(),
            eligible_leader_replicas: None,
            last_known_elr: None,
            unknown_tagged_fields: UnknownTaggedFields::default(),
        }
    }
}

impl Message for PartitionRecord {
    const NAME: &'static str = "PartitionRecord";
    const LOWEST_VERSION: i16 = 0;
    const HIGHEST_VERSION: i16 = 2;

    fn read(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let partition_id = r.int32().in_field("partitionId")?;
        let topic_id = r.uuid().in_field("topicId")?;
        let replicas = r.array(true, 4, Reader::int32).in_field("replicas")?;
        let isr = r.array(true, 4, Reader::int32).in_field("isr")?;
        let removing_replicas = r
            .array(true, 4, Reader::int32)
            .in_field("removingReplicas")?;
        let adding_replicas = r
            .array(true, 4, Reader::int32)
            .in_field("addingReplicas")?;
        let leader = r.int32().in_field("leader")?;
        let mut leader_recovery_state = 0;
        let leader_epoch = r.int32().in_field("leaderEpoch")?;
        let partition_epoch = r.int32().in_field("partitionEpoch")?;
        let directories = if version >= 1 {
            r.array(true, 16, Reader::uuid).in_field("directories")?
        } else {
            Vec::new()
        };
        let mut eligible_leader_replicas = None;
        let mut last_known_elr = None;
        let unknown_tagged_fields = r
            .tagged_fields(|r, tag| {
                match tag {
                    0 => {
                        leader_recovery_state = r.int8().in_field("leaderRecoveryState")?;
                    }
                    1 if version >= 2 => {
                        eligible_leader_replicas = r
                            .nullable_array(true, 4, Reader::int32)
                            .in_field("eligibleLeaderReplicas")?;
                    }
                    2 if version >= 2 => {
                        last_known_elr = r
                            .nullable_array(true, 4, Reader::int32)
                            .in_field("lastKnownElr")?;
                    }
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        Ok(Self {
            partition_id,
            topic_id,
            replicas,
            isr,
            removing_replicas,
            adding_replicas,
            leader,
            leader_recovery_state,
            leader_epoch,
            partition_epoch,
            directories,
            eligible_leader_replicas,
            last_known_elr,
            unknown_tagged_fields,
        })
    }

    fn write(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        w.int32(self.partition_id).in_field("partitionId")?;
        w.uuid(self.topic_id).in_field("topicId")?;
        w.array(&self.replicas, true, |w, &element| w.int32(element))
            .in_field("replicas")?;
        w.array(&self.isr, true, |w, &element| w.int32(element)).in_field("isr")?;
        w.array(&self.removing_replicas, true, |w, &element| w.int32(element))
            .in_field("removingReplicas")?;
        w.array(&self.adding_replicas, true, |w, &element| w.int32(element))
            .in_field("addingReplicas")?;
        w.int32(self.leader).in_field("leader")?;
        w.int32(self.leader_epoch).in_field("leaderEpoch")?;
        w.int32(self.partition_epoch).in_field("partitionEpoch")?;
        if version >= 1 {
            w.array(&self.directories, true, |w, &element| w.uuid(element))
                .in_field("directories")?;
        } else if !self.directories.is_empty() {
            return Err(EncodeError::not_in_version("directories"));
        }
        if version < 2 && self.eligible_leader_replicas.is_some() {
            return Err(EncodeError::not_in_version("eligibleLeaderReplicas"));
        }
        if version < 2 && self.last_known_elr.is_some() {
            return Err(EncodeError::not_in_version("lastKnownElr"));
        }
        let has_leader_recovery_state = self.leader_recovery_state != 0;
        let has_eligible_leader_replicas = version >= 2
            && self.eligible_leader_replicas.is_some();
        let has_last_known_elr = version >= 2 && self.last_known_elr.is_some();
        w.tagged_field_count(
            &self.unknown_tagged_fields,
            &[
                has_leader_recovery_state,
                has_eligible_leader_replicas,
                has_last_known_elr,
            ],
        );
        if has_leader_recovery_state {
            w.tagged_field(0, |w| w.int8(self.leader_recovery_state))
                .in_field("leaderRecoveryState")?;
        }
        if has_eligible_leader_replicas {
            w.tagged_field(
                    1,
                    |w| {
                        w
                            .nullable_array(
                                self.eligible_leader_replicas.as_ref(),
                                true,
                                |w, &element| w.int32(element),
                            )
                    },
                )
                .in_field("eligibleLeaderReplicas")?;
        }
        w.unknown_tagged_fields_between(&self.unknown_tagged_fields, 1, 2);
        if has_last_known_elr {
            w.tagged_field(
                    2,
                    |w| {
                        w
                            .nullable_array(
                                self.last_known_elr.as_ref(),
                                true,
                                |w, &element| w.int32(element),
                            )
                    },
                )
                .in_field("lastKnownElr")?;
        }
        w.unknown_tagged_fields_from(&self.unknown_tagged_fields, 2);
        Ok(())
    }
}
