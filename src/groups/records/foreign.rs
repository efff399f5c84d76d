//! Records of groups of other kinds: KIP-848 (`consumer`), share and streams groups.
//!
//! Each key begins with the group's id; that of a member's record goes on with the member's id. A record is kept as it was
//! read beside what of it matters here, so a tombstone has exactly the key that it is to take away.

use bytes::Bytes;

use super::GroupRecord;
use crate::{
    coordinator::machine::Record,
    groups::description::GroupType,
    protocol::{
        message::Message,
        messages::{
            ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataValue,
            ConsumerGroupTargetAssignmentMetadataValue, StreamsGroupCurrentMemberAssignmentValue,
            StreamsGroupMetadataValue, StreamsGroupTargetAssignmentMetadataValue, StreamsGroupTopologyValue,
        },
        wire::{DecodeError, DecodeReason, Reader, StrBytes},
    },
};

/// A record of a group that is not of the classic protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignRecord {
    group: StrBytes,
    member: Option<StrBytes>,
    kind: GroupType,
    part: Part,
    value: Option<ForeignValue>,
    key_bytes: Bytes,
    value_bytes: Option<Bytes>,
}

/// What a record is about. The order is that in which Kafka takes the records of a group away, and without which it would not
/// load them: a member may go once its assignment is gone, the group once its members are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What a member has.
    CurrentAssignment,
    /// What a member is to have.
    TargetAssignment,
    /// The epoch of all target assignments.
    TargetEpoch,
    /// Who a member is.
    Member,
    /// What has been set up for a share group in `__share_group_state`.
    ShareState,
    /// Anything else.
    Other,
    /// The group's epoch. It stands for the group: without it there is none.
    Group,
}

impl Part {
    /// Whether its records are each of one member.
    #[must_use]
    pub fn is_of_member(self) -> bool {
        match self {
            Self::CurrentAssignment | Self::TargetAssignment | Self::Member => true,
            Self::TargetEpoch | Self::ShareState | Self::Other | Self::Group => false,
        }
    }
}

/// What of a record's value matters here.
#[derive(Clone, Debug, PartialEq)]
pub enum ForeignValue {
    /// The group's epoch; of a streams group also that of the topology which was found to be complete.
    Group {
        /// The group's.
        epoch: i32,
        /// The topology's.
        validated_topology: Option<i32>,
    },
    /// The epoch of the target assignments.
    TargetEpoch(i32),
    /// A member of a consumer group.
    Member {
        /// The topics that it subscribes to by name.
        topics: Vec<StrBytes>,
        /// Whether it also subscribes to topics by a pattern.
        has_pattern: bool,
        /// Whether it is of the classic protocol, in a group that is being moved to or from it.
        is_classic: bool,
    },
    /// How far a member has come.
    CurrentAssignment {
        /// Its epoch.
        epoch: i32,
        /// Whether it has all of its target, and nothing else.
        is_stable: bool,
    },
    /// The epoch of a streams group's topology.
    TopologyEpoch(i32),
    /// Of no concern here.
    Other,
}

/// `MemberState.STABLE` of consumer groups.
const STABLE_CONSUMER: i8 = 0;
/// `MemberState.STABLE` of streams groups.
const STABLE_STREAMS: i8 = 1;
/// The version of all these values, up to 4.4.0.
const VERSION: i16 = 0;

impl ForeignRecord {
    /// Reads a record; `None` for a type that Kafka 4.4.0 does not know. `r` stands behind the type.
    pub(super) fn decode(
        record_type: i16,
        mut r: Reader<'_>,
        key: &Bytes,
        value: Option<&Bytes>,
    ) -> Result<Option<Self>, DecodeError> {
        let Some((kind, part)) = meaning(record_type) else { return Ok(None) };
        let group = r.string(false)?;
        let member = if part.is_of_member() { Some(r.string(false)?) } else { None };
        Ok(Some(Self {
            group,
            member,
            kind,
            part,
            value: value.map(|value| decode_value(record_type, value)).transpose()?,
            key_bytes: key.clone(),
            value_bytes: value.cloned(),
        }))
    }

    /// The record that takes away what is under a key which was [read](Self::key_bytes) before.
    #[must_use]
    #[expect(clippy::panic, reason = "a key that was read before is no input")]
    pub fn tombstone(key: &Bytes) -> Self {
        match GroupRecord::decode(key, None) {
            Ok(Some(GroupRecord::Foreign(record))) => record,
            other => panic!("not the key of a foreign record: {key:?}, which reads as {other:?}"),
        }
    }

    /// The group.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The member, of a member's record.
    #[must_use]
    pub fn member(&self) -> Option<&str> {
        self.member.as_deref()
    }

    /// The group's kind.
    #[must_use]
    pub fn kind(&self) -> GroupType {
        self.kind
    }

    /// What it is about.
    #[must_use]
    pub fn part(&self) -> Part {
        self.part
    }

    /// What it says; `None` of a tombstone.
    #[must_use]
    pub fn value(&self) -> Option<&ForeignValue> {
        self.value.as_ref()
    }

    /// Its key, as it was read.
    #[must_use]
    pub fn key_bytes(&self) -> &Bytes {
        &self.key_bytes
    }

    pub(super) fn to_bytes(&self) -> (Bytes, Option<Bytes>) {
        (self.key_bytes.clone(), self.value_bytes.clone())
    }
}

/// Kafka's `CoordinatorRecordType`. 9 and 18 were never in a release.
fn meaning(record_type: i16) -> Option<(GroupType, Part)> {
    use GroupType::{Consumer, Share, Streams};
    Some(match record_type {
        3 => (Consumer, Part::Group),
        4 | 16 => (Consumer, Part::Other),
        5 => (Consumer, Part::Member),
        6 => (Consumer, Part::TargetEpoch),
        7 => (Consumer, Part::TargetAssignment),
        8 => (Consumer, Part::CurrentAssignment),
        10 => (Share, Part::Member),
        11 => (Share, Part::Group),
        12 => (Share, Part::TargetEpoch),
        13 => (Share, Part::TargetAssignment),
        14 => (Share, Part::CurrentAssignment),
        15 => (Share, Part::ShareState),
        17 => (Streams, Part::Group),
        19 => (Streams, Part::Member),
        20 => (Streams, Part::TargetEpoch),
        21 => (Streams, Part::TargetAssignment),
        22 => (Streams, Part::CurrentAssignment),
        23 => (Streams, Part::Other),
        _ => return None,
    })
}

fn decode_value(record_type: i16, value: &Bytes) -> Result<ForeignValue, DecodeError> {
    let mut r = Reader::new(value);
    let version = r.int16()?;
    Ok(match record_type {
        3 => group_of_consumers(ConsumerGroupMetadataValue::decode(&mut r, version)?),
        5 => member_of_consumers(ConsumerGroupMemberMetadataValue::decode(&mut r, version)?),
        6 => {
            let target = ConsumerGroupTargetAssignmentMetadataValue::decode(&mut r, version)?;
            ForeignValue::TargetEpoch(target.assignment_epoch)
        }
        8 => {
            let current = ConsumerGroupCurrentMemberAssignmentValue::decode(&mut r, version)?;
            ForeignValue::CurrentAssignment { epoch: current.member_epoch, is_stable: current.state == STABLE_CONSUMER }
        }
        17 => group_of_streams(&StreamsGroupMetadataValue::decode(&mut r, version)?),
        20 => {
            let target = StreamsGroupTargetAssignmentMetadataValue::decode(&mut r, version)?;
            ForeignValue::TargetEpoch(target.assignment_epoch)
        }
        22 => {
            let current = StreamsGroupCurrentMemberAssignmentValue::decode(&mut r, version)?;
            ForeignValue::CurrentAssignment { epoch: current.member_epoch, is_stable: current.state == STABLE_STREAMS }
        }
        23 => ForeignValue::TopologyEpoch(StreamsGroupTopologyValue::decode(&mut r, version)?.epoch),
        _ => unread(version)?,
    })
}

fn group_of_consumers(value: ConsumerGroupMetadataValue) -> ForeignValue {
    ForeignValue::Group { epoch: value.epoch, validated_topology: None }
}

fn group_of_streams(value: &StreamsGroupMetadataValue) -> ForeignValue {
    ForeignValue::Group { epoch: value.epoch, validated_topology: Some(value.validated_topology_epoch) }
}

fn member_of_consumers(value: ConsumerGroupMemberMetadataValue) -> ForeignValue {
    ForeignValue::Member {
        topics: value.subscribed_topic_names,
        has_pattern: value.subscribed_topic_regex.is_some_and(|pattern| !pattern.is_empty()),
        is_classic: value.classic_member_metadata.is_some(),
    }
}

/// A value that nobody here reads. Its version is held against Kafka's all the same: a newer one may mean that the whole group
/// is to be read otherwise.
fn unread(version: i16) -> Result<ForeignValue, DecodeError> {
    if version == VERSION {
        return Ok(ForeignValue::Other);
    }
    Err(DecodeError::new(0, DecodeReason::Version { version, lowest: VERSION, highest: VERSION })
        .in_message("coordinator record value", version))
}
