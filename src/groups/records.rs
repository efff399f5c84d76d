//! The records of `__consumer_offsets` (`GroupCoordinatorRecordSerde`, `GroupCoordinatorRecordHelpers`).
//!
//! | part          | encoding                                                         |
//! |---------------|------------------------------------------------------------------|
//! | key           | the record's type (int16), then the type's key schema, version 0 |
//! | value         | its version (int16), then the type's value schema                |
//!
//! | type  | record                        | written in version                    | read in |
//! |-------|-------------------------------|---------------------------------------|---------|
//! | 0     | an offset, of releases to 0.8 | never                                 | 0       |
//! | 1     | an offset                     | 4; 1 if it has an expiry of its own   | 0–4     |
//! | 2     | the members of a classic group| 3                                     | 0–4     |
//! | 3–23  | a group of [another kind]     | tombstones                            | 0       |
//!
//! A type that no release up to 4.4.0 knows is passed over, as 4.4.0 does; a version that is too new for a known type is an
//! error, as it is there: what it says cannot be guessed.
//!
//! [another kind]: foreign
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

pub mod foreign;

use bytes::Bytes;

use self::foreign::ForeignRecord;
use crate::{
    clock::TimestampMs,
    coordinator::{machine::Record, versioned},
    protocol::{
        message::Message,
        messages::{
            GroupMetadataKey, GroupMetadataValue, LegacyOffsetCommitKey, LegacyOffsetCommitValue, OffsetCommitKey,
            OffsetCommitValue,
        },
        wire::{DecodeError, EncodeError, Reader},
    },
};

const LEGACY_OFFSET: i16 = 0;
const OFFSET: i16 = 1;
const GROUP: i16 = 2;

const GROUP_VERSION: i16 = 3;
const OFFSET_VERSION: i16 = 4;
/// The only one with an expire timestamp. It knows neither leader epoch nor topic id.
const EXPIRING_OFFSET_VERSION: i16 = 1;
/// What stands for an expire timestamp that is not there.
pub(super) const NO_TIMESTAMP: TimestampMs = -1;

/// A record of `__consumer_offsets`.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupRecord {
    /// An offset was committed, or is forgotten.
    Offset(OffsetCommitKey, Option<OffsetCommitValue>),
    /// The members of a classic group, or it is gone.
    Group(GroupMetadataKey, Option<GroupMetadataValue>),
    /// Of a group of another kind.
    Foreign(ForeignRecord),
}

impl Record for GroupRecord {
    fn id(&self) -> &str {
        match self {
            Self::Offset(key, _) => &key.group,
            Self::Group(key, _) => &key.group,
            Self::Foreign(record) => record.group(),
        }
    }

    fn encode(&self) -> Result<(Bytes, Option<Bytes>), EncodeError> {
        match self {
            Self::Offset(key, value) => encoded(OFFSET, key, offset_version, value.as_ref()),
            Self::Group(key, value) => encoded(GROUP, key, |_| GROUP_VERSION, value.as_ref()),
            Self::Foreign(record) => Ok(record.to_bytes()),
        }
    }

    fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Option<Self>, DecodeError> {
        let mut r = Reader::new(key);
        Ok(match r.int16()? {
            LEGACY_OFFSET => {
                let key = versioned::decode_key(&mut r)?;
                let value: Option<LegacyOffsetCommitValue> = value.map(decoded).transpose()?;
                Some(Self::Offset(key_of_legacy(key), value.map(value_of_legacy)))
            }
            OFFSET => {
                let key = versioned::decode_key(&mut r)?;
                Some(Self::Offset(key, value.map(decoded).transpose()?))
            }
            GROUP => {
                let key = versioned::decode_key(&mut r)?;
                Some(Self::Group(key, value.map(decoded).transpose()?))
            }
            other => ForeignRecord::decode(other, r, key, value)?.map(Self::Foreign),
        })
    }
}

fn offset_version(value: &OffsetCommitValue) -> i16 {
    if value.expire_timestamp == NO_TIMESTAMP { OFFSET_VERSION } else { EXPIRING_OFFSET_VERSION }
}

fn encoded<V: Message>(
    record_type: i16,
    key: &impl Message,
    version_of: impl FnOnce(&V) -> i16,
    value: Option<&V>,
) -> Result<(Bytes, Option<Bytes>), EncodeError> {
    let value = value.map(|value| versioned::encode_value(version_of(value), value)).transpose()?;
    Ok((versioned::encode_key(record_type, key)?, value))
}

fn decoded<V: Message>(value: &Bytes) -> Result<V, DecodeError> {
    versioned::decode_value(value).map(|(_, value)| value)
}

fn key_of_legacy(key: LegacyOffsetCommitKey) -> OffsetCommitKey {
    let LegacyOffsetCommitKey { group, topic, partition } = key;
    OffsetCommitKey { group, topic, partition }
}

fn value_of_legacy(value: LegacyOffsetCommitValue) -> OffsetCommitValue {
    let LegacyOffsetCommitValue { offset, metadata, commit_timestamp } = value;
    OffsetCommitValue { offset, metadata, commit_timestamp, ..Default::default() }
}

#[cfg(test)]
pub(super) mod tests;
