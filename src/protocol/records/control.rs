//! The key of a control record: what the record says about the log rather than to its readers.
//!
//! | bytes | field                                     |
//! |-------|-------------------------------------------|
//! | 2     | version, 0                                |
//! | 2     | type, see [`ControlRecordType`]           |
//! |       | whatever a later version adds, ignored    |
//!
//! The value belongs to the type; its schema is a message of its own (`EndTxnMarker`, `LeaderChangeMessage` …).

/// The version of the key that is written.
const VERSION: i16 = 0;
/// Bytes of a key of that version.
const KEY_SIZE: usize = 4;

/// What a control record marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlRecordType {
    /// A transaction's records in this partition are to be ignored.
    Abort,
    /// A transaction's records in this partition count.
    Commit,
    /// A KRaft leader begins its epoch.
    LeaderChange,
    /// First record of a metadata snapshot.
    SnapshotHeader,
    /// Last record of a metadata snapshot.
    SnapshotFooter,
    /// The quorum's protocol version.
    KraftVersion,
    /// The quorum's voters.
    KraftVoters,
}

/// A control record's key as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlRecordKey {
    /// Version of the key. Later ones only add fields, so they are read as this one.
    pub version: i16,
    /// The type, or the number of one that is not known and to be skipped.
    pub kind: Result<ControlRecordType, i16>,
}

/// Why bytes are not a control record's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlKeyError {
    /// Too few bytes.
    #[error("control record key has {size} bytes, at least {KEY_SIZE} are needed")]
    TooShort {
        /// Bytes that are there.
        size: usize,
    },
    /// A version below zero.
    #[error("control record key has the invalid version {version}")]
    Version {
        /// The version.
        version: i16,
    },
}

impl ControlRecordType {
    /// The number of the type.
    #[must_use]
    pub fn id(self) -> i16 {
        match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::LeaderChange => 2,
            Self::SnapshotHeader => 3,
            Self::SnapshotFooter => 4,
            Self::KraftVersion => 5,
            Self::KraftVoters => 6,
        }
    }

    /// The type with this number.
    #[must_use]
    pub fn from_id(id: i16) -> Option<Self> {
        Some(match id {
            0 => Self::Abort,
            1 => Self::Commit,
            2 => Self::LeaderChange,
            3 => Self::SnapshotHeader,
            4 => Self::SnapshotFooter,
            5 => Self::KraftVersion,
            6 => Self::KraftVoters,
            _ => return None,
        })
    }

    /// The key of a record of this type.
    #[must_use]
    pub fn to_key(self) -> [u8; KEY_SIZE] {
        let [v0, v1] = VERSION.to_be_bytes();
        let [t0, t1] = self.id().to_be_bytes();
        [v0, v1, t0, t1]
    }
}

impl ControlRecordKey {
    /// Reads a key.
    pub fn parse(key: &[u8]) -> Result<Self, ControlKeyError> {
        let &[v0, v1, t0, t1] = key.first_chunk::<KEY_SIZE>().ok_or(ControlKeyError::TooShort { size: key.len() })?;
        let version = i16::from_be_bytes([v0, v1]);
        if version < 0 {
            return Err(ControlKeyError::Version { version });
        }
        let id = i16::from_be_bytes([t0, t1]);
        Ok(Self { version, kind: ControlRecordType::from_id(id).ok_or(id) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_survives_its_key() {
        for id in 0..=6 {
            let kind = ControlRecordType::from_id(id).expect("known");
            assert_eq!(kind.id(), id);
            assert_eq!(ControlRecordKey::parse(&kind.to_key()), Ok(ControlRecordKey { version: 0, kind: Ok(kind) }));
        }
        assert_eq!(ControlRecordType::Commit.to_key(), [0, 0, 0, 1]);
    }

    #[test]
    fn later_versions_and_unknown_types_are_read() {
        let key = ControlRecordKey::parse(&[0, 9, 0, 7, 0xff]);
        assert_eq!(key, Ok(ControlRecordKey { version: 9, kind: Err(7) }));
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        assert_eq!(ControlRecordKey::parse(&[0, 0, 0]), Err(ControlKeyError::TooShort { size: 3 }));
        assert_eq!(ControlRecordKey::parse(&[0xff, 0xff, 0, 1]), Err(ControlKeyError::Version { version: -1 }));
    }
}
