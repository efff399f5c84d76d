//! `DescribeTopicPartitionsResponse`: response, api key 75, versions 0, flexible from 0.

use uuid::Uuid;

use crate::protocol::{
    message::Message,
    wire::{
        DecodeError, EncodeError, InField, Reader, StrBytes, UnknownTaggedFields, Writer,
    },
};

/// The response `DescribeTopicPartitionsResponse`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescribeTopicPartitionsResponse {
    /// The duration in milliseconds for which the request was throttled due to a quota violation, or zero
    /// if the request did not violate any quota.
    ///
    /// Versions 0+.
    pub throttle_time_ms: i32,
    /// Each topic in the response.
    ///
    /// Versions 0+.
    pub topics: Vec<DescribeTopicPartitionsResponseTopic>,
    /// The next topic and partition index to fetch details for.
    ///
    /// Versions 0+, nullable 0+.
    pub next_cursor: Option<Cursor>,
    /// Tagged fields that the schema does not know.
    pub unknown_tagged_fields: UnknownTaggedFields,
}

impl Message for DescribeTopicPartitionsResponse {
    const NAME: &'static str = "DescribeTopicPartitionsResponse";
    const LOWEST_VERSION: i16 = 0;
    const HIGHEST_VERSION: i16 = 0;

    fn read(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let throttle_time_ms = r.int32().in_field("throttleTimeMs")?;
        let topics = r
            .array(true, 26, |r| DescribeTopicPartitionsResponseTopic::read(r, version))
            .in_field("topics")?;
        let next_cursor = r
            .nullable_struct(|r| Cursor::read(r, version))
            .in_field("nextCursor")?;
        let unknown_tagged_fields = r.tagged_fields(|_, _| Ok(false))?;
        Ok(Self {
            throttle_time_ms,
            topics,
            next_cursor,
            unknown_tagged_fields,
        })
    }

    fn write(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        w.int32(self.throttle_time_ms).in_field("throttleTimeMs")?;
        w.array(&self.topics, true, |w, element| element.write(w, version))
            .in_field("topics")?;
        w.nullable_struct(self.next_cursor.as_ref(), |w, value| value.write(w, version))
            .in_field("nextCursor")?;
        w.unknown_tagged_fields(&self.unknown_tagged_fields);
        Ok(())
    }
}

/// Part of [`DescribeTopicPartitionsResponse`].
#[derive(Clone, Debug, PartialEq)]
pub struct DescribeTopicPartitionsResponseTopic {
    /// The topic error, or 0 if there was no error.
    ///
    /// Versions 0+.
    pub error_code: i16,
    /// The topic name.
    ///
    /// Versions 0+, nullable 0+, a topicName.
    pub name: Option<StrBytes>,
    /// The topic id.
    ///
    /// Versions 0+.
    pub topic_id: Uuid,
    /// True if the topic is internal.
    ///
    /// Versions 0+.
    pub is_internal: bool,
    /// Each partition in the topic.
    ///
    /// Versions 0+.
    pub partitions: Vec<DescribeTopicPartitionsResponsePartition>,
    /// 32-bit bitfield to represent authorized operations for this topic.
    ///
    /// Versions 0+.
    pub topic_authorized_operations: i32,
    /// Tagged fields that the schema does not know.
    pub unknown_tagged_fields: UnknownTaggedFields,
}

impl Default for DescribeTopicPartitionsResponseTopic {
    fn default() -> Self {
        Self {
            error_code: 0,
            name: Some(StrBytes::default()),
            topic_id: Uuid::nil(),
            is_internal: false,
            partitions: Vec::new(),
            topic_authorized_operations: i32::MIN,
            unknown_tagged_fields: UnknownTaggedFields::default(),
        }
    }
}

impl DescribeTopicPartitionsResponseTopic {
    fn read(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let error_code = r.int16().in_field("errorCode")?;
        let name = r.nullable_string(true).in_field("name")?;
        let topic_id = r.uuid().in_field("topicId")?;
        let is_internal = r.bool().in_field("isInternal")?;
        let partitions = r
            .array(
                true,
                20,
                |r| DescribeTopicPartitionsResponsePartition::read(r, version),
            )
            .in_field("partitions")?;
        let topic_authorized_operations = r
            .int32()
            .in_field("topicAuthorizedOperations")?;
        let unknown_tagged_fields = r.tagged_fields(|_, _| Ok(false))?;
        Ok(Self {
            error_code,
            name,
            topic_id,
            is_internal,
            partitions,
            topic_authorized_operations,
            unknown_tagged_fields,
        })
    }

    fn write(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        w.int16(self.error_code).in_field("errorCode")?;
        w.nullable_string(self.name.as_ref(), true).in_field("name")?;
        w.uuid(self.topic_id).in_field("topicId")?;
        w.bool(self.is_internal).in_field("isInternal")?;
        w.array(&self.partitions, true, |w, element| element.write(w, version))
            .in_field("partitions")?;
        w.int32(self.topic_authorized_operations).in_field("topicAuthorizedOperations")?;
        w.unknown_tagged_fields(&self.unknown_tagged_fields);
        Ok(())
    }
}

/// Part of [`DescribeTopicPartitionsResponse`].
#[derive(Clone, Debug, PartialEq)]
pub struct DescribeTopicPartitionsResponsePartition {
    /// The partition error, or 0 if there was no error.
    ///
    /// Versions 0+.
    pub error_code: i16,
    /// The partition index.
    ///
    /// Versions 0+.
    pub partition_index: i32,
    /// The ID of the leader broker.
    ///
    /// Versions 0+, a brokerId.
    pub leader_id: i32,
    /// The leader epoch of this partition.
    ///
    /// Versions 0+.
    pub leader_epoch: i32,
    /// The set of all nodes that host this partition.
    ///
    /// Versions 0+, a brokerId.
    pub replica_nodes: Vec<i32>,
    /// The set of nodes that are in sync with the leader for this partition.
    ///
    /// Versions 0+, a brokerId.
    pub isr_nodes: Vec<i32>,
    /// The new eligible leader replicas otherwise.
    ///
    /// Versions 0+, nullable 0+, a brokerId.
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// The last known ELR.
    ///
    /// Versions 0+, nullable 0+, a brokerId.
    pub last_known_elr: Option<Vec<i32>>,
    /// The set of offline replicas of this partition.
    ///
    /// Versions 0+, a brokerId.
    pub offline_replicas: Vec<i32>,
    /// Tagged fields that the schema does not know.
    pub unknown_tagged_fields: UnknownTaggedFields,
}

impl Default for DescribeTopicPartitionsResponsePartition {
    fn default() -> Self {
        Self {
            error_code: 0,
            partition_index: 0,
            leader_id: 0,
            leader_epoch: -1,
            replica_nodes: Vec::new(),
            isr_nodes: Vec::new(),
            eligible_leader_replicas: None,
            last_known_elr: None,
            offline_replicas: Vec::new(),
            unknown_tagged_fields: UnknownTaggedFields::default(),
        }
    }
}

impl DescribeTopicPartitionsResponsePartition {
    fn read(r: &mut Reader<'_>, _version: i16) -> Result<Self, DecodeError> {
        let error_code = r.int16().in_field("errorCode")?;
        let partition_index = r.int32().in_field("partitionIndex")?;
        let leader_id = r.int32().in_field("leaderId")?;
        let leader_epoch = r.int32().in_field("leaderEpoch")?;
        let replica_nodes = r.array(true, 4, Reader::int32).in_field("replicaNodes")?;
        let isr_nodes = r.array(true, 4, Reader::int32).in_field("isrNodes")?;
        let eligible_leader_replicas = r
            .nullable_array(true, 4, Reader::int32)
            .in_field("eligibleLeaderReplicas")?;
        let last_known_elr = r
            .nullable_array(true, 4, Reader::int32)
            .in_field("lastKnownElr")?;
        let offline_replicas = r
            .array(true, 4, Reader::int32)
            .in_field("offlineReplicas")?;
        let unknown_tagged_fields = r.tagged_fields(|_, _| Ok(false))?;
        Ok(Self {
            error_code,
            partition_index,
            leader_id,
            leader_epoch,
            replica_nodes,
            isr_nodes,
            eligible_leader_replicas,
            last_known_elr,
            offline_replicas,
            unknown_tagged_fields,
        })
    }

    fn write(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.int16(self.error_code).in_field("errorCode")?;
        w.int32(self.partition_index).in_field("partitionIndex")?;
        w.int32(self.leader_id).in_field("leaderId")?;
        w.int32(self.leader_epoch).in_field("leaderEpoch")?;
        w.array(&self.replica_nodes, true, |w, &element| w.int32(element))
            .in_field("replicaNodes")?;
        w.array(&self.isr_nodes, true, |w, &element| w.int32(element))
            .in_field("isrNodes")?;
        w.nullable_array(
                self.eligible_leader_replicas.as_ref(),
                true,
                |w, &element| w.int32(element),
            )
            .in_field("eligibleLeaderReplicas")?;
        w.nullable_array(
                self.last_known_elr.as_ref(),
                true,
                |w, &element| w.int32(element),
            )
            .in_field("lastKnownElr")?;
        w.array(&self.offline_replicas, true, |w, &element| w.int32(element))
            .in_field("offlineReplicas")?;
        w.unknown_tagged_fields(&self.unknown_tagged_fields);
        Ok(())
    }
}

/// Part of [`DescribeTopicPartitionsResponse`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cursor {
    /// The name for the first topic to process.
    ///
    /// Versions 0+, a topicName.
    pub topic_name: StrBytes,
    /// The partition index to start with.
    ///
    /// Versions 0+.
    pub partition_index: i32,
    /// Tagged fields that the schema does not know.
    pub unknown_tagged_fields: UnknownTaggedFields,
}

impl Cursor {
    fn read(r: &mut Reader<'_>, _version: i16) -> Result<Self, DecodeError> {
        let topic_name = r.string(true).in_field("topicName")?;
        let partition_index = r.int32().in_field("partitionIndex")?;
        let unknown_tagged_fields = r.tagged_fields(|_, _| Ok(false))?;
        Ok(Self {
            topic_name,
            partition_index,
            unknown_tagged_fields,
        })
    }

    fn write(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.string(&self.topic_name, true).in_field("topicName")?;
        w.int32(self.partition_index).in_field("partitionIndex")?;
        w.unknown_tagged_fields(&self.unknown_tagged_fields);
        Ok(())
    }
}
