//! `FetchRequest`: request, api key 1, versions 4-18, flexible from 12.

use uuid::Uuid;

use crate::protocol::{
    message::{Message, Request},
    messages::ApiKey,
    wire::{
        DecodeError, EncodeError, InField, Reader, StrBytes, UnknownTaggedFields, Writer,
    },
};

/// The request `FetchRequest`.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchRequest {
    /// The clusterId if known. This is used to validate metadata fetches prior to broker registration.
    ///
    /// Versions 12+, nullable 12+, tag 0 in 12+.
    pub cluster_id: Option<StrBytes>,
    /// The broker ID of the follower, of -1 if this request is from a consumer.
    ///
    /// Versions 0-14, a brokerId.
    pub replica_id: i32,
    /// The state of the replica in the follower.
    ///
    /// Versions 15+, tag 1 in 15+.
    pub replica_state: ReplicaState,
    /// The maximum time in milliseconds to wait for the response.
    ///
    /// Versions 0+.
    pub max_wait_ms: i32,
    /// The minimum bytes to accumulate in the response.
    ///
    /// Versions 0+.
    pub min_bytes: i32,
    /// The maximum bytes to fetch. See KIP-74 for cases where this limit may not be honored.
    ///
    /// Versions 3+.
    pub max_bytes: i32,
    /// This setting controls the visibility of transactional records. Using READ\_UNCOMMITTED
    /// (isolation\_level = 0) makes all records visible. With READ\_COMMITTED (isolation\_level = 1),
    /// non-transactional and COMMITTED transactional records are visible. To be more concrete,
    /// READ\_COMMITTED returns all data from offsets smaller than the current LSO (last stable offset), and
    /// enables the inclusion of the list of aborted transactions in the result, which allows consumers to
    /// discard ABORTED transactional records.
    ///
    /// Versions 4+.
    pub isolation_level: i8,
    /// The fetch session ID.
    ///
    /// Versions 7+.
    pub session_id: i32,
    /// The fetch session epoch, which is used for ordering requests in a session.
    ///
    /// Versions 7+.
    pub session_epoch: i32,
    /// The topics to fetch.
    ///
    /// Versions 0+.
    pub topics: Vec<FetchTopic>,
    /// In an incremental fetch request, the partitions to remove.
    ///
    /// Versions 7+.
    pub forgotten_topics_data: Vec<ForgottenTopic>,
    /// Rack ID of the consumer making this request.
    ///
    /// Versions 11+.
    pub rack_id: StrBytes,
    /// Tagged fields that the schema does not know.
    pub unknown_tagged_fields: UnknownTaggedFields,
}

impl Default for FetchRequest {
    fn default() -> Self {
        Self {
            cluster_id: None,
            replica_id: -1,
            replica_state: ReplicaState::default(),
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: i32::MAX,
            isolation_level: 0,
            session_id: 0,
            session_epoch: -1,
            topics: Vec::new(),
            forgotten_topics_data: Vec::new(),
            rack_id: StrBytes::default(),
            unknown_tagged_fields: UnknownTaggedFields::default(),
        }
    }
}

impl Message for FetchRequest {
    const NAME: &'static str = "FetchRequest";
    const LOWEST_VERSION: i16 = 4;
    const HIGHEST_VERSION: i16 = 18;

    fn read(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 12;
        let mut cluster_id = None;
        let replica_id = if version <= 14 {
            r.int32().in_field("replicaId")?
        } else {
            -1
        };
        let mut replica_state = ReplicaState::default();
        let max_wait_ms = r.int32().in_field("maxWaitMs")?;
        let min_bytes = r.int32().in_field("minBytes")?;
        let max_bytes = r.int32().in_field("maxBytes")?;
        let isolation_level = r.int8().in_field("isolationLevel")?;
        let session_id = if version >= 7 { r.int32().in_field("sessionId")? } else { 0 };
        let session_epoch = if version >= 7 {
            r.int32().in_field("sessionEpoch")?
        } else {
            -1
        };
        let topics = r
            .array(flexible, 3, |r| FetchTopic::read(r, version))
            .in_field("topics")?;
        let forgotten_topics_data = if version >= 7 {
            r.array(flexible, 3, |r| ForgottenTopic::read(r, version))
                .in_field("forgottenTopicsData")?
        } else {
            Vec::new()
        };
        let rack_id = if version >= 11 {
            r.string(flexible).in_field("rackId")?
        } else {
            StrBytes::default()
        };
        let unknown_tagged_fields = if flexible {
            r.tagged_fields(|r, tag| {
                match tag {
                    0 => cluster_id = r.nullable_string(true).in_field("clusterId")?,
                    1 if version >= 15 => {
                        replica_state = ReplicaState::read(r, version)
                            .in_field("replicaState")?;
                    }
                    _ => return Ok(false),
                }
                Ok(true)
            })?
        } else {
            UnknownTaggedFields::default()
        };
        Ok(Self {
            cluster_id,
            replica_id,
            replica_state,
            max_wait_ms,
            min_bytes,
            max_bytes,
            isolation_level,
            session_id,
            session_epoch,
            topics,
            forgotten_topics_data,
            rack_id,
            unknown_tagged_fields,
        })
    }

    fn write(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 12;
        if version <= 14 {
            w.int32(self.replica_id).in_field("replicaId")?;
        } else if self.replica_id != -1 {
            return Err(EncodeError::not_in_version("replicaId"));
        }
        if version < 15 && self.replica_state != ReplicaState::default() {
            return Err(EncodeError::not_in_version("replicaState"));
        }
        w.int32(self.max_wait_ms).in_field("maxWaitMs")?;
        w.int32(self.min_bytes).in_field("minBytes")?;
        w.int32(self.max_bytes).in_field("maxBytes")?;
        w.int8(self.isolation_level).in_field("isolationLevel")?;
        if version >= 7 {
            w.int32(self.session_id).in_field("sessionId")?;
            w.int32(self.session_epoch).in_field("sessionEpoch")?;
        }
        w.array(&self.topics, flexible, |w, element| element.write(w, version))
            .in_field("topics")?;
        if version >= 7 {
            w.array(
                    &self.forgotten_topics_data,
                    flexible,
                    |w, element| element.write(w, version),
                )
                .in_field("forgottenTopicsData")?;
        } else if !self.forgotten_topics_data.is_empty() {
            return Err(EncodeError::not_in_version("forgottenTopicsData"));
        }
        if version >= 11 {
            w.string(&self.rack_id, flexible).in_field("rackId")?;
        }
        if flexible {
            let has_cluster_id = self.cluster_id.is_some();
            let has_replica_state = version >= 15
                && self.replica_state != ReplicaState::default();
            w.tagged_field_count(
                &self.unknown_tagged_fields,
                &[has_cluster_id, has_replica_state],
            );
            if has_cluster_id {
                w.tagged_field(0, |w| w.nullable_string(self.cluster_id.as_ref(), true))
                    .in_field("clusterId")?;
            }
            if has_replica_state {
                w.tagged_field(1, |w| self.replica_state.write(w, version))
                    .in_field("replicaState")?;
            }
            w.unknown_tagged_fields_from(&self.unknown_tagged_fields, 1);
        } else if self.unknown_tagged_fields.count() > 0 {
            return Err(EncodeError::not_in_version("unknownTaggedFields"));
        }
        Ok(())
    }
}

impl Request for FetchRequest {
    const KEY: ApiKey = ApiKey::Fetch;
    type Response = super::fetch_response::FetchResponse;
}

/// Part of [`FetchRequest`].
#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaState {
    /// The replica ID of the follower, or -1 if this request is from a consumer.
    ///
    /// Versions 15+, a brokerId.
    pub replica_id: i32,
    /// The epoch of this follower, or -1 if not available.
    ///
    /// Versions 15+.
    pub replica_epoch: i64,
    /// Tagged fields that the schema does not know.
    pub unknown_tagged_fields: UnknownTaggedFields,
}

impl Default for ReplicaState {
    fn default() -> Self {
        Self {
            replica_id: -1,
            replica_epoch: -1,
            unknown_tagged_fields: UnknownTaggedFields::default(),
        }
    }
}

impl ReplicaState {
    fn read(r: &mut Reader<'_>, _version: i16) -> Result<Self, DecodeError> {
        let replica_id = r.int32().in_field("replicaId")?;
        let replica_epoch = r.int64().in_field("replicaEpoch")?;
        let unknown_tagged_fields = r.tagged_fields(|_, _| Ok(false))?;
        Ok(Self {
            replica_id,
            replica_epoch,
            unknown_tagged_fields,
        })
    }

    fn write(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.int32(self.replica_id).in_field("replicaId")?;
        w.int64(self.replica_epoch).in_field("replicaEpoch")?;
        w.unknown_tagged_fields(&self.unknown_tagged_fields);
        Ok(())
    }
}

/// Part of [`FetchRequest`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchTopic {
    /// The name of the topic to fetch.
    ///
    /// Versions 0-12, a topicName.
    pub topic: StrBytes,
    /// The unique topic ID.
    ///
    /// Versions 13+.
    pub topic_id: Uuid,
    /// The partitions to fetch.
    ///
    /// Versions 0+.
    pub partitions: Vec<FetchPartition>,
    /// Tagged fields that the schema does not know.
    pub unknown_tagged_fields: UnknownTaggedFields,
}

impl FetchTopic {
    fn read(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 12;
        let topic = if version <= 12 {
            r.string(flexible).in_field("topic")?
        } else {
            StrBytes::default()
        };
        let topic_id = if version >= 13 {
            r.uuid().in_field("topicId")?
        } else {
            Uuid::nil()
        };
        let partitions = r
            .array(flexible, 16, |r| FetchPartition::read(r, version))
            .in_field("partitions")?;
        let unknown_tagged_fields = if flexible {
            r.tagged_fields(|_, _| Ok(false))?
        } else {
            UnknownTaggedFields::default()
        };
        Ok(Self {
            topic,
            topic_id,
            partitions,
            unknown_tagged_fields,
        })
    }

    fn write(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 12;
        if version <= 12 {
            w.string(&self.topic, flexible).in_field("topic")?;
        }
        if version >= 13 {
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

/// Part of [`FetchRequest`].
#[derive(Clone, Debug, PartialEq)]
pub struct FetchPartition {
    /// The partition index.
    ///
    /// Versions 0+.
    pub partition: i32,
    /// The current leader epoch of the partition.
    ///
    /// Versions 9+.
    pub current_leader_epoch: i32,
    /// The message offset.
    ///
    /// Versions 0+.
    pub fetch_offset: i64,
    /// The epoch of the last fetched record or -1 if there is none.
    ///
    /// Versions 12+.
    pub last_fetched_epoch: i32,
    /// The earliest available offset of the follower replica. The field is only used when the request is
    /// sent by the follower.
    ///
    /// Versions 5+.
    pub log_start_offset: i64,
    /// The maximum bytes to fetch from this partition. See KIP-74 for cases where this limit may not be
    /// honored.
    ///
    /// Versions 0+.
    pub partition_max_bytes: i32,
    /// The directory id of the follower fetching.
    ///
    /// Versions 17+, tag 0 in 17+.
    pub replica_directory_id: Uuid,
    /// The high-watermark known by the replica. -1 if the high-watermark is not known and 9223372036854775807
    /// if the feature is not supported.
    ///
    /// Versions 18+, tag 1 in 18+.
    pub high_watermark: i64,
    /// Tagged fields that the schema does not know.
    pub unknown_tagged_fields: UnknownTaggedFields,
}

impl Default for FetchPartition {
    fn default() -> Self {
        Self {
            partition: 0,
            current_leader_epoch: -1,
            fetch_offset: 0,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: 0,
            replica_directory_id: Uuid::nil(),
            high_watermark: i64::MAX,
            unknown_tagged_fields: UnknownTaggedFields::default(),
        }
    }
}

impl FetchPartition {
    fn read(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 12;
        let partition = r.int32().in_field("partition")?;
        let current_leader_epoch = if version >= 9 {
            r.int32().in_field("currentLeaderEpoch")?
        } else {
            -1
        };
        let fetch_offset = r.int64().in_field("fetchOffset")?;
        let last_fetched_epoch = if version >= 12 {
            r.int32().in_field("lastFetchedEpoch")?
        } else {
            -1
        };
        let log_start_offset = if version >= 5 {
            r.int64().in_field("logStartOffset")?
        } else {
            -1
        };
        let partition_max_bytes = r.int32().in_field("partitionMaxBytes")?;
        let mut replica_directory_id = Uuid::nil();
        let mut high_watermark = i64::MAX;
        let unknown_tagged_fields = if flexible {
            r.tagged_fields(|r, tag| {
                match tag {
                    0 if version >= 17 => {
                        replica_directory_id = r.uuid().in_field("replicaDirectoryId")?;
                    }
                    1 if version >= 18 => {
                        high_watermark = r.int64().in_field("highWatermark")?;
                    }
                    _ => return Ok(false),
                }
                Ok(true)
            })?
        } else {
            UnknownTaggedFields::default()
        };
        Ok(Self {
            partition,
            current_leader_epoch,
            fetch_offset,
            last_fetched_epoch,
            log_start_offset,
            partition_max_bytes,
            replica_directory_id,
            high_watermark,
            unknown_tagged_fields,
        })
    }

    fn write(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 12;
        w.int32(self.partition).in_field("partition")?;
        if version >= 9 {
            w.int32(self.current_leader_epoch).in_field("currentLeaderEpoch")?;
        }
        w.int64(self.fetch_offset).in_field("fetchOffset")?;
        if version >= 12 {
            w.int32(self.last_fetched_epoch).in_field("lastFetchedEpoch")?;
        } else if self.last_fetched_epoch != -1 {
            return Err(EncodeError::not_in_version("lastFetchedEpoch"));
        }
        if version >= 5 {
            w.int64(self.log_start_offset).in_field("logStartOffset")?;
        }
        w.int32(self.partition_max_bytes).in_field("partitionMaxBytes")?;
        if flexible {
            let has_replica_directory_id = version >= 17
                && !self.replica_directory_id.is_nil();
            let has_high_watermark = version >= 18 && self.high_watermark != i64::MAX;
            w.tagged_field_count(
                &self.unknown_tagged_fields,
                &[has_replica_directory_id, has_high_watermark],
            );
            if has_replica_directory_id {
                w.tagged_field(0, |w| w.uuid(self.replica_directory_id))
                    .in_field("replicaDirectoryId")?;
            }
            w.unknown_tagged_fields_between(&self.unknown_tagged_fields, 0, 1);
            if has_high_watermark {
                w.tagged_field(1, |w| w.int64(self.high_watermark))
                    .in_field("highWatermark")?;
            }
            w.unknown_tagged_fields_from(&self.unknown_tagged_fields, 1);
        } else if self.unknown_tagged_fields.count() > 0 {
            return Err(EncodeError::not_in_version("unknownTaggedFields"));
        }
        Ok(())
    }
}

/// Part of [`FetchRequest`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ForgottenTopic {
    /// The topic name.
    ///
    /// Versions 7-12, a topicName.
    pub topic: StrBytes,
    /// The unique topic ID.
    ///
    /// Versions 13+.
    pub topic_id: Uuid,
    /// The partitions indexes to forget.
    ///
    /// Versions 7+.
    pub partitions: Vec<i32>,
    /// Tagged fields that the schema does not know.
    pub unknown_tagged_fields: UnknownTaggedFields,
}

impl ForgottenTopic {
    fn read(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 12;
        let topic = if version <= 12 {
            r.string(flexible).in_field("topic")?
        } else {
            StrBytes::default()
        };
        let topic_id = if version >= 13 {
            r.uuid().in_field("topicId")?
        } else {
            Uuid::nil()
        };
        let partitions = r.array(flexible, 4, Reader::int32).in_field("partitions")?;
        let unknown_tagged_fields = if flexible {
            r.tagged_fields(|_, _| Ok(false))?
        } else {
            UnknownTaggedFields::default()
        };
        Ok(Self {
            topic,
            topic_id,
            partitions,
            unknown_tagged_fields,
        })
    }

    fn write(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 12;
        if version <= 12 {
            w.string(&self.topic, flexible).in_field("topic")?;
        }
        if version >= 13 {
            w.uuid(self.topic_id).in_field("topicId")?;
        }
        w.array(&self.partitions, flexible, |w, &element| w.int32(element))
            .in_field("partitions")?;
        if flexible {
            w.unknown_tagged_fields(&self.unknown_tagged_fields);
        } else if self.unknown_tagged_fields.count() > 0 {
            return Err(EncodeError::not_in_version("unknownTaggedFields"));
        }
        Ok(())
    }
}
