//! Records of the metadata log, framed as KRaft frames them (`MetadataRecordSerde`).
//!
//! | part          | encoding                                |
//! |---------------|-----------------------------------------|
//! | frame version | unsigned varint, always 1               |
//! | record type   | unsigned varint, the schema's api key   |
//! | version       | unsigned varint                         |
//! | record        | in that version                         |

use bytes::Bytes;

use crate::protocol::{
    message::Message,
    messages::{ConfigRecord, FeatureLevelRecord, PartitionRecord, ProducerIdsRecord, RemoveTopicRecord, TopicRecord},
    wire::{DecodeError, EncodeError, Reader, Writer},
};

const FRAME_VERSION: u32 = 1;

/// A record of the metadata log that this broker understands.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the schema's record")]
pub enum MetadataRecord {
    Topic(TopicRecord),
    Partition(PartitionRecord),
    Config(ConfigRecord),
    RemoveTopic(RemoveTopicRecord),
    FeatureLevel(FeatureLevelRecord),
    ProducerIds(ProducerIdsRecord),
}

/// The schemas' api keys, and the version that each type is written in.
const TOPIC: (u32, i16) = (2, 0);
const PARTITION: (u32, i16) = (3, 1);
const CONFIG: (u32, i16) = (4, 0);
const REMOVE_TOPIC: (u32, i16) = (9, 0);
const FEATURE_LEVEL: (u32, i16) = (12, 0);
const PRODUCER_IDS: (u32, i16) = (15, 0);

/// Record types of other releases and other duties, which say nothing about topics: registrations, fencing, quotas, users, no-ops. Their highest api key.
const LAST_KNOWN_TYPE: u32 = 27;

/// Why a record of the metadata log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The frame or the record does not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A framing that no release writes.
    #[error("frame version {0}, expected {FRAME_VERSION}")]
    FrameVersion(u32),
    /// A type that no schema describes.
    #[error("unknown record type {0}")]
    UnknownType(u32),
    /// A version beyond what fits one.
    #[error("record version {0} is out of range")]
    Version(u32),
}

impl MetadataRecord {
    /// Reads a record's value. `None` for a type that is known and of no concern here.
    pub fn decode(value: &Bytes) -> Result<Option<Self>, RecordError> {
        let mut r = Reader::new(value);
        let frame = r.unsigned_varint()?;
        if frame != FRAME_VERSION {
            return Err(RecordError::FrameVersion(frame));
        }
        let record_type = r.unsigned_varint()?;
        let version = r.unsigned_varint()?;
        let version = i16::try_from(version).map_err(|_| RecordError::Version(version))?;
        let record = match record_type {
            2 => Self::Topic(TopicRecord::decode(&mut r, version)?),
            3 => Self::Partition(PartitionRecord::decode(&mut r, version)?),
            4 => Self::Config(ConfigRecord::decode(&mut r, version)?),
            9 => Self::RemoveTopic(RemoveTopicRecord::decode(&mut r, version)?),
            12 => Self::FeatureLevel(FeatureLevelRecord::decode(&mut r, version)?),
            15 => Self::ProducerIds(ProducerIdsRecord::decode(&mut r, version)?),
            0..=LAST_KNOWN_TYPE => return Ok(None),
            other => return Err(RecordError::UnknownType(other)),
        };
        r.finish()?;
        Ok(Some(record))
    }

    /// The record's value.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        match self {
            Self::Topic(record) => frame(TOPIC, record),
            Self::Partition(record) => frame(PARTITION, record),
            Self::Config(record) => frame(CONFIG, record),
            Self::RemoveTopic(record) => frame(REMOVE_TOPIC, record),
            Self::FeatureLevel(record) => frame(FEATURE_LEVEL, record),
            Self::ProducerIds(record) => frame(PRODUCER_IDS, record),
        }
    }
}

fn frame<M: Message>((record_type, version): (u32, i16), record: &M) -> Result<Bytes, EncodeError> {
    let mut w = Writer::new();
    w.unsigned_varint(FRAME_VERSION);
    w.unsigned_varint(record_type);
    w.unsigned_varint(u32::from(version.unsigned_abs()));
    record.encode(&mut w, version)?;
    Ok(w.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_framed_as_kraft_frames_it() {
        let record = MetadataRecord::FeatureLevel(FeatureLevelRecord {
            name: "metadata.version".into(),
            feature_level: 29,
            ..FeatureLevelRecord::default()
        });
        let value = record.encode().expect("fits");
        assert_eq!(value, b"\x01\x0c\x00\x11metadata.version\x00\x1d\x00".as_slice());
        assert_eq!(MetadataRecord::decode(&value).expect("decodes"), Some(record));
    }

    #[test]
    fn what_is_of_no_concern_is_passed_over_and_what_is_unknown_is_not() {
        let no_op = Bytes::from_static(b"\x01\x14\x00\x00");
        assert_eq!(MetadataRecord::decode(&no_op).expect("known"), None);
        let errors = [&b"\x02\x0c\x00"[..], b"\x01\x7f\x00", b"\x01\x0c\x09", b"\x01\x0c\x00\x05ab", b""];
        let errors =
            errors.map(|bytes| MetadataRecord::decode(&Bytes::from_static(bytes)).expect_err("bad").to_string());
        assert_eq!(
            errors,
            [
                "frame version 2, expected 1",
                "unknown record type 127",
                "FeatureLevelRecord v9: version 9 is outside 0-0, at byte 3",
                "FeatureLevelRecord v0: name: 4 bytes needed, 2 left, at byte 4",
                "1 bytes needed, 0 left, at byte 0",
            ]
        );
    }
}
