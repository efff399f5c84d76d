//! `CreateTopicsRequest`: request, api key 19, versions 7, flexible from 7.

use crate::protocol::{
    message::{Message, Request},
    messages::ApiKey,
    wire::{
        DecodeError, EncodeError, InField, Reader, StrBytes, UnknownTaggedFields, Writer,
    },
};

/// The request `CreateTopicsRequest`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTopicsRequest {
    /// The topics to create.
    ///
    /// Versions 0+.
    pub topics: Vec<CreatableTopic>,
    /// How long to wait in milliseconds before timing out the request.
    ///
    /// Versions 0+.
    pub timeout_ms: i32,
    /// If true, check that the topics can be created as specified, but don't create anything.
    ///
    /// Versions 1+.
    pub validate_only: bool,
    /// Tagged fields that the schema does not know.
    pub unknown_tagged_fields: UnknownTaggedFields,
}

impl Default for CreateTopicsRequest {
    fn default() -> Self {
        Self {
            topics: Vec::new(),
            timeout_ms: 60000,
            validate_only: false,
            unknown_tagged_fields: UnknownTaggedFields::default(),
        }
    }
}

impl Message for CreateTopicsRequest {
    const NAME: &'static str = "CreateTopicsRequest";
    const LOWEST_VERSION: i16 = 7;
    const HIGHEST_VERSION: i16 = 7;

    fn read(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let topics = r
            .array(true, 10, |r| CreatableTopic::read(r, version))
            .in_field("topics")?;
        let timeout_ms = r.int32().in_field("timeoutMs")?;
        let validate_only = r.bool().in_field("validateOnly")?;
        let unknown_tagged_fields = r.tagged_fields(|_, _| Ok(false))?;
        Ok(Self {
            topics,
            timeout_ms,
            validate_only,
            unknown_tagged_fields,
        })
    }

    fn write(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        w.array(&self.topics, true, |w, element| element.write(w, version))
            .in_field("topics")?;
        w.int32(self.timeout_ms).in_field("timeoutMs")?;
        w.bool(self.validate_only).in_field("validateOnly")?;
        w.unknown_tagged_fields(&self.unknown_tagged_fields);
        Ok(())
    }
}

impl Request for CreateTopicsRequest {
    const KEY: ApiKey = ApiKey::CreateTopics;
    type Response = super::create_topics_response::CreateTopicsResponse;
}

/// Part of [`CreateTopicsRequest`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CreatableTopic {
    /// The topic name.
    ///
    /// Versions 0+, a topicName.
    pub name: StrBytes,
    /// The number of partitions to create in the topic, or -1 if we are either specifying a manual
    /// partition assignment or using the default partitions.
    ///
    /// Versions 0+.
    pub num_partitions: i32,
    /// The number of replicas to create for each partition in the topic, or -1 if we are either specifying
    /// a manual partition assignment or using the default replication factor.
    ///
    /// Versions 0+.
    pub replication_factor: i16,
    /// The manual partition assignment, or the empty array if we are using automatic assignment.
    ///
    /// Versions 0+.
    pub assignments: Vec<CreatableReplicaAssignment>,
    /// The custom topic configurations to set.
    ///
    /// Versions 0+.
    pub configs: Vec<CreatableTopicConfig>,
    /// Tagged fields that the schema does not know.
    pub unknown_tagged_fields: UnknownTaggedFields,
}

impl CreatableTopic {
    fn read(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let name = r.string(true).in_field("name")?;
        let num_partitions = r.int32().in_field("numPartitions")?;
        let replication_factor = r.int16().in_field("replicationFactor")?;
        let assignments = r
            .array(true, 6, |r| CreatableReplicaAssignment::read(r, version))
            .in_field("assignments")?;
        let configs = r
            .array(true, 3, |r| CreatableTopicConfig::read(r, version))
            .in_field("configs")?;
        let unknown_tagged_fields = r.tagged_fields(|_, _| Ok(false))?;
        Ok(Self {
            name,
            num_partitions,
            replication_factor,
            assignments,
            configs,
            unknown_tagged_fields,
        })
    }

    fn write(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        w.string(&self.name, true).in_field("name")?;
        w.int32(self.num_partitions).in_field("numPartitions")?;
        w.int16(self.replication_factor).in_field("replicationFactor")?;
        w.array(&self.assignments, true, |w, element| element.write(w, version))
            .in_field("assignments")?;
        w.array(&self.configs, true, |w, element| element.write(w, version))
            .in_field("configs")?;
        w.unknown_tagged_fields(&self.unknown_tagged_fields);
        Ok(())
    }
}

/// Part of [`CreateTopicsRequest`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CreatableReplicaAssignment {
    /// The partition index.
    ///
    /// Versions 0+.
    pub partition_index: i32,
    /// The brokers to place the partition on.
    ///
    /// Versions 0+, a brokerId.
    pub broker_ids: Vec<i32>,
    /// Tagged fields that the schema does not know.
    pub unknown_tagged_fields: UnknownTaggedFields,
}

impl CreatableReplicaAssignment {
    fn read(r: &mut Reader<'_>, _version: i16) -> Result<Self, DecodeError> {
        let partition_index = r.int32().in_field("partitionIndex")?;
        let broker_ids = r.array(true, 4, Reader::int32).in_field("brokerIds")?;
        let unknown_tagged_fields = r.tagged_fields(|_, _| Ok(false))?;
        Ok(Self {
            partition_index,
            broker_ids,
            unknown_tagged_fields,
        })
    }

    fn write(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.int32(self.partition_index).in_field("partitionIndex")?;
        w.array(&self.broker_ids, true, |w, &element| w.int32(element))
            .in_field("brokerIds")?;
        w.unknown_tagged_fields(&self.unknown_tagged_fields);
        Ok(())
    }
}

/// Part of [`CreateTopicsRequest`].
#[derive(Clone, Debug, PartialEq)]
pub struct CreatableTopicConfig {
    /// The configuration name.
    ///
    /// Versions 0+.
    pub name: StrBytes,
    /// The configuration value.
    ///
    /// Versions 0+, nullable 0+.
    pub value: Option<StrBytes>,
    /// Tagged fields that the schema does not know.
    pub unknown_tagged_fields: UnknownTaggedFields,
}

impl Default for CreatableTopicConfig {
    fn default() -> Self {
        Self {
            name: StrBytes::default(),
            value: Some(StrBytes::default()),
            unknown_tagged_fields: UnknownTaggedFields::default(),
        }
    }
}

impl CreatableTopicConfig {
    fn read(r: &mut Reader<'_>, _version: i16) -> Result<Self, DecodeError> {
        let name = r.string(true).in_field("name")?;
        let value = r.nullable_string(true).in_field("value")?;
        let unknown_tagged_fields = r.tagged_fields(|_, _| Ok(false))?;
        Ok(Self {
            name,
            value,
            unknown_tagged_fields,
        })
    }

    fn write(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.string(&self.name, true).in_field("name")?;
        w.nullable_string(self.value.as_ref(), true).in_field("value")?;
        w.unknown_tagged_fields(&self.unknown_tagged_fields);
        Ok(())
    }
}
