//! `OffsetCommitRequest`: request, api key 8, versions 0-10, flexible from 8.

use uuid::Uuid;

use crate::protocol::{
    message::{Message, Request},
    messages::ApiKey,
    wire::{
        DecodeError, EncodeError, InField, Reader, StrBytes, UnknownTaggedFields, Writer,
    },
};

/// The request `OffsetCommitRequest`.
#[derive(Clone, Debug, PartialEq)]
pub struct OffsetCommitRequest {
    /// The unique group identifier.
    ///
    /// Versions 0+, a groupId.
    pub group_id: StrBytes,
    /// The generation of the group if using the classic group protocol or the member epoch if using the
    /// consumer protocol.
    ///
    /// Versions 1+.
    pub generation_id_or_member_epoch: i32,
    /// The member ID assigned by the group coordinator.
    ///
    /// Versions 1+.
    pub member_id: StrBytes,
    /// The unique identifier of the consumer instance provided by end user.
    ///
    /// Versions 7+, nullable 7+.
    pub group_instance_id: Option<StrBytes>,
    /// The time period in ms to retain the offset.
    ///
    /// Versions 2-4.
    pub retention_time_ms: i64,
    /// The topics to commit offsets for.
    ///
    /// Versions 0+.
    pub topics: Vec<OffsetCommitRequestTopic>,
    /// Tagged fields that the schema does not know.
    pub unknown_tagged_fields: UnknownTaggedFields,
}

impl Default for OffsetCommitRequest {
    fn default() -> Self {
        Self {
            group_id: StrBytes::default(),
            generation_id_or_member_epoch: -1,
            member_id: StrBytes::default(),
            group_instance_id: None,
            retention_time_ms: -1,
            topics: Vec::new(),
            unknown_tagged_fields: UnknownTaggedFields::default(),
        }
    }
}

impl Message for OffsetCommitRequest {
    const NAME: &'static str = "OffsetCommitRequest";
    const LOWEST_VERSION: i16 = 0;
    const HIGHEST_VERSION: i16 = 10;

    fn read(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 8;
        let group_id = r.string(flexible).in_field("groupId")?;
        let generation_id_or_member_epoch = if version >= 1 {
            r.int32().in_field("generationIdOrMemberEpoch")?
        } else {
            -1
        };
        let member_id = if version >= 1 {
            r.string(flexible).in_field("memberId")?
        } else {
            StrBytes::default()
        };
        let group_instance_id = if version >= 7 {
            r.nullable_string(flexible).in_field("groupInstanceId")?
        } else {
            None
        };
        let retention_time_ms = if (2..=4).contains(&version) {
            r.int64().in_field("retentionTimeMs")?
        } else {
            -1
        };
        let topics = r
            .array(flexible, 3, |r| OffsetCommitRequestTopic::read(r, version))
            .in_field("topics")?;
        let unknown_tagged_fields = if flexible {
            r.tagged_fields(|_, _| Ok(false))?
        } else {
            UnknownTaggedFields::default()
        };
        Ok(Self {
            group_id,
            generation_id_or_member_epoch,
            member_id,
            group_instance_id,
            retention_time_ms,
            topics,
            unknown_tagged_fields,
        })
    }

    fn write(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 8;
        w.string(&self.group_id, flexible).in_field("groupId")?;
        if version >= 1 {
            w.int32(self.generation_id_or_member_epoch)
                .in_field("generationIdOrMemberEpoch")?;
            w.string(&self.member_id, flexible).in_field("memberId")?;
        }
        if version >= 7 {
            w.nullable_string(self.group_instance_id.as_ref(), flexible)
                .in_field("groupInstanceId")?;
        } else if self.group_instance_id.is_some() {
            return Err(EncodeError::not_in_version("groupInstanceId"));
        }
        if (2..=4).contains(&version) {
            w.int64(self.retention_time_ms).in_field("retentionTimeMs")?;
        }
        w.array(&self.topics, flexible, |w, element| element.write(w, version))
            .in_field("topics")?;
        if flexible {
            w.unknown_tagged_fields(&self.unknown_tagged_fields);
        } else if self.unknown_tagged_fields.count() > 0 {
            return Err(EncodeError::not_in_version("unknownTaggedFields"));
        }
        Ok(())
    }
}

impl Request for OffsetCommitRequest {
    const KEY: ApiKey = ApiKey::OffsetCommit;
    type Response = super::offset_commit_response::OffsetCommitResponse;
}

/// Part of [`OffsetCommitRequest`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetCommitRequestTopic {
    /// The topic name.
    ///
    /// Versions 0-9, a topicName.
    pub name: StrBytes,
    /// The topic ID.
    ///
    /// Versions 10+.
    pub topic_id: Uuid,
    /// Each partition to commit offsets for.
    ///
    /// Versions 0+.
    pub partitions: Vec<OffsetCommitRequestPartition>,
    /// Tagged fields that the schema does not know.
    pub unknown_tagged_fields: UnknownTaggedFields,
}

impl OffsetCommitRequestTopic {
    fn read(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 8;
        let name = if version <= 9 {
            r.string(flexible).in_field("name")?
        } else {
            StrBytes::default()
        };
        let topic_id = if version >= 10 {
            r.uuid().in_field("topicId")?
        } else {
            Uuid::nil()
        };
        let partitions = r
            .array(flexible, 14, |r| OffsetCommitRequestPartition::read(r, version))
            .in_field("partitions")?;
        let unknown_tagged_fields = if flexible {
            r.tagged_fields(|_, _| Ok(false))?
        } else {
            UnknownTaggedFields::default()
        };
        Ok(Self {
            name,
            topic_id,
            partitions,
            unknown_tagged_fields,
        })
    }

    fn write(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 8;
        if version <= 9 {
            w.string(&self.name, flexible).in_field("name")?;
        }
        if version >= 10 {
            w.uuid(self.topic_id).in_field("topicId")?;
        }
        w.array(&self.partitions, flexible, |w, element| element.write(w, version))
            .in_field("partitions")?;
        if flexible {
            w.unknown_tagged_fields(&self.unknown_tagged_fields);
        } else if self.unknown_tagged_fields.count() > 0 {
            return Err(EncodeError::not_in_version("unknownTaggedFields"));
        }
        Ok(())
    }
}

/// Part of [`OffsetCommitRequest`].
#[derive(Clone, Debug, PartialEq)]
pub struct OffsetCommitRequestPartition {
    /// The partition index.
    ///
    /// Versions 0+.
    pub partition_index: i32,
    /// The message offset to be committed.
    ///
    /// Versions 0+.
    pub committed_offset: i64,
    /// The leader epoch of this partition.
    ///
    /// Versions 6+.
    pub committed_leader_epoch: i32,
    /// The timestamp of the commit.
    ///
    /// Versions 1.
    pub commit_timestamp: i64,
    /// Any associated metadata the client wants to keep.
    ///
    /// Versions 0+, nullable 0+.
    pub committed_metadata: Option<StrBytes>,
    /// Tagged fields that the schema does not know.
    pub unknown_tagged_fields: UnknownTaggedFields,
}

impl Default for OffsetCommitRequestPartition {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            commit_timestamp: -1,
            committed_metadata: Some(StrBytes::default()),
            unknown_tagged_fields: UnknownTaggedFields::default(),
        }
    }
}

impl OffsetCommitRequestPartition {
    fn read(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 8;
        let partition_index = r.int32().in_field("partitionIndex")?;
        let committed_offset = r.int64().in_field("committedOffset")?;
        let committed_leader_epoch = if version >= 6 {
            r.int32().in_field("committedLeaderEpoch")?
        } else {
            -1
        };
        let commit_timestamp = if version == 1 {
            r.int64().in_field("commitTimestamp")?
        } else {
            -1
        };
        let committed_metadata = r
            .nullable_string(flexible)
            .in_field("committedMetadata")?;
        let unknown_tagged_fields = if flexible {
            r.tagged_fields(|_, _| Ok(false))?
        } else {
            UnknownTaggedFields::default()
        };
        Ok(Self {
            partition_index,
            committed_offset,
            committed_leader_epoch,
            commit_timestamp,
            committed_metadata,
            unknown_tagged_fields,
        })
    }

    fn write(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 8;
        w.int32(self.partition_index).in_field("partitionIndex")?;
        w.int64(self.committed_offset).in_field("committedOffset")?;
        if version >= 6 {
            w.int32(self.committed_leader_epoch).in_field("committedLeaderEpoch")?;
        }
        if version == 1 {
            w.int64(self.commit_timestamp).in_field("commitTimestamp")?;
        } else if self.commit_timestamp != -1 {
            return Err(EncodeError::not_in_version("commitTimestamp"));
        }
        w.nullable_string(self.committed_metadata.as_ref(), flexible)
            .in_field("committedMetadata")?;
        if flexible {
            w.unknown_tagged_fields(&self.unknown_tagged_fields);
        } else if self.unknown_tagged_fields.count() > 0 {
            return Err(EncodeError::not_in_version("unknownTaggedFields"));
        }
        Ok(())
    }
}
