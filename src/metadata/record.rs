//! Records of the metadata log, framed as KRaft frames them (`MetadataRecordSerde`).
//!
//! | part          | encoding                                |
//! |---------------|-----------------------------------------|
//! | frame version | unsigned varint, always 1               |
//! | record type   | unsigned varint, the schema's api key   |
//! | version       | unsigned varint                         |
//! | record        | in that version                         |
//!
//! Every type that Apache Kafka 4.4.0 knows is read. What this broker acts on has a variant of its own; the rest is
//! [kept] as it stands. A type that 4.4.0 does not know is refused, as 4.4.0 refuses it.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use bytes::Bytes;

use super::{
    kept::{self, KeptRecord},
    level::MetadataLevel,
};
use crate::protocol::{
    message::Message,
    messages::{
        AbortTransactionRecord, BeginTransactionRecord, BrokerRegistrationChangeRecord, ClearElrRecord, ConfigRecord,
        EndTransactionRecord, FeatureLevelRecord, FenceBrokerRecord, NoOpRecord, PartitionChangeRecord,
        PartitionRecord, ProducerIdsRecord, RegisterBrokerRecord, RemoveTopicRecord, RemoveUserScramCredentialRecord,
        TopicRecord, UnfenceBrokerRecord, UnregisterBrokerRecord, UserScramCredentialRecord,
    },
    wire::{DecodeError, EncodeError, Reader, Writer},
};

const FRAME_VERSION: u32 = 1;

/// A record of the metadata log.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the schema's record")]
pub enum MetadataRecord {
    RegisterBroker(RegisterBrokerRecord),
    UnregisterBroker(UnregisterBrokerRecord),
    Topic(TopicRecord),
    Partition(PartitionRecord),
    Config(ConfigRecord),
    PartitionChange(PartitionChangeRecord),
    FenceBroker(FenceBrokerRecord),
    UnfenceBroker(UnfenceBrokerRecord),
    RemoveTopic(RemoveTopicRecord),
    UserScramCredential(UserScramCredentialRecord),
    FeatureLevel(FeatureLevelRecord),
    ProducerIds(ProducerIdsRecord),
    BrokerRegistrationChange(BrokerRegistrationChangeRecord),
    NoOp(NoOpRecord),
    RemoveUserScramCredential(RemoveUserScramCredentialRecord),
    BeginTransaction(BeginTransactionRecord),
    EndTransaction(EndTransactionRecord),
    AbortTransaction(AbortTransactionRecord),
    ClearElr(ClearElrRecord),
    /// Of no concern here, but not to be lost.
    Kept(KeptRecord),
}

/// Why a record of the metadata log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The frame or the record does not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A framing that no release writes.
    #[error("frame version {0}, expected {FRAME_VERSION}")]
    FrameVersion(u32),
    /// A type that Apache Kafka 4.4.0 does not know.
    #[error("unknown record type {0}")]
    UnknownType(u32),
    /// A version beyond what fits one.
    #[error("record version {0} is out of range")]
    Version(u32),
}

impl MetadataRecord {
    /// Reads a record's value.
    pub fn decode(value: &Bytes) -> Result<Self, RecordError> {
        let mut r = Reader::new(value);
        let frame = r.unsigned_varint()?;
        if frame != FRAME_VERSION {
            return Err(RecordError::FrameVersion(frame));
        }
        let record_type = r.unsigned_varint()?;
        let version = r.unsigned_varint()?;
        let version = i16::try_from(version).map_err(|_| RecordError::Version(version))?;
        let record = Self::decode_body(&mut r, record_type, version, value)?;
        r.finish()?;
        Ok(record)
    }

    fn decode_body(r: &mut Reader<'_>, record_type: u32, version: i16, value: &Bytes) -> Result<Self, RecordError> {
        Ok(match record_type {
            0 => Self::RegisterBroker(Message::decode(r, version)?),
            1 => Self::UnregisterBroker(Message::decode(r, version)?),
            2 => Self::Topic(Message::decode(r, version)?),
            3 => Self::Partition(Message::decode(r, version)?),
            4 => Self::Config(Message::decode(r, version)?),
            5 => Self::PartitionChange(Message::decode(r, version)?),
            7 => Self::FenceBroker(Message::decode(r, version)?),
            8 => Self::UnfenceBroker(Message::decode(r, version)?),
            9 => Self::RemoveTopic(Message::decode(r, version)?),
            11 => Self::UserScramCredential(Message::decode(r, version)?),
            12 => Self::FeatureLevel(Message::decode(r, version)?),
            15 => Self::ProducerIds(Message::decode(r, version)?),
            17 => Self::BrokerRegistrationChange(Message::decode(r, version)?),
            20 => Self::NoOp(Message::decode(r, version)?),
            22 => Self::RemoveUserScramCredential(Message::decode(r, version)?),
            23 => Self::BeginTransaction(Message::decode(r, version)?),
            24 => Self::EndTransaction(Message::decode(r, version)?),
            25 => Self::AbortTransaction(Message::decode(r, version)?),
            28 => Self::ClearElr(Message::decode(r, version)?),
            other => {
                let kept = kept::decode(r, other, version, value)?;
                Self::Kept(kept.ok_or(RecordError::UnknownType(other))?)
            }
        })
    }

    /// The record's value, in the version that belongs to the log's level.
    pub fn encode(&self, level: MetadataLevel) -> Result<Bytes, EncodeError> {
        match self {
            Self::RegisterBroker(record) => frame(0, level.register_broker_version(), record),
            Self::UnregisterBroker(record) => frame(1, 0, record),
            Self::Topic(record) => frame(2, 0, record),
            Self::Partition(record) => frame(3, level.partition_version(), record),
            Self::Config(record) => frame(4, 0, record),
            Self::PartitionChange(record) => frame(5, level.partition_version(), record),
            Self::FenceBroker(record) => frame(7, 0, record),
            Self::UnfenceBroker(record) => frame(8, 0, record),
            Self::RemoveTopic(record) => frame(9, 0, record),
            Self::UserScramCredential(record) => frame(11, 0, record),
            Self::FeatureLevel(record) => frame(12, 0, record),
            Self::ProducerIds(record) => frame(15, 0, record),
            Self::BrokerRegistrationChange(record) => frame(17, 0, record),
            Self::NoOp(record) => frame(20, 0, record),
            Self::RemoveUserScramCredential(record) => frame(22, 0, record),
            Self::BeginTransaction(record) => frame(23, 0, record),
            Self::EndTransaction(record) => frame(24, 0, record),
            Self::AbortTransaction(record) => frame(25, 0, record),
            Self::ClearElr(record) => frame(28, 0, record),
            Self::Kept(record) => Ok(record.value.clone()),
        }
    }
}

fn frame<M: Message>(record_type: u32, version: i16, record: &M) -> Result<Bytes, EncodeError> {
    let mut w = Writer::new();
    w.unsigned_varint(FRAME_VERSION);
    w.unsigned_varint(record_type);
    w.unsigned_varint(u32::from(version.unsigned_abs()));
    record.encode(&mut w, version)?;
    Ok(w.into_bytes())
}

#[cfg(test)]
mod tests {
    use ottla_codegen::spec::MessageKind;

    use super::*;
    use crate::protocol::schemas::schemas;

    const LEVEL: MetadataLevel = MetadataLevel::LATEST;

    #[test]
    fn a_record_is_framed_as_kraft_frames_it() {
        let record = MetadataRecord::FeatureLevel(FeatureLevelRecord {
            name: "metadata.version".into(),
            feature_level: 29,
            ..FeatureLevelRecord::default()
        });
        let value = record.encode(LEVEL).expect("fits");
        assert_eq!(value, b"\x01\x0c\x00\x11metadata.version\x00\x1d\x00".as_slice());
        assert_eq!(MetadataRecord::decode(&value).expect("decodes"), record);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
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

    /// The types are those of the schemas, each in all its versions: an empty body is too short for some, but a type or
    /// a version that is not known says so.
    #[test]
    fn every_type_of_the_schemas_is_read_and_no_other() {
        // Those of remote storage have numbers of their own.
        let is_record = |m: &&ottla_codegen::Message| m.kind == MessageKind::Metadata && !m.name.starts_with("Remote");
        let known: Vec<_> = schemas().iter().filter(is_record).collect();
        assert_eq!(known.len(), 27);
        for message in &known {
            let key = u8::try_from(message.api_key.expect("a metadata record has one")).expect("is small");
            let error_of = |version: u8| match MetadataRecord::decode(&Bytes::from(vec![1, key, version])) {
                Ok(_) => String::new(),
                Err(error) => error.to_string(),
            };
            let (_, last) = message.versions.ends().expect("has versions");
            let last = u8::try_from(last).expect("is small");
            for version in 0..=last {
                let said = error_of(version);
                assert!(said.is_empty() || said.starts_with(&message.name) && !said.contains("is outside"), "{said}");
            }
            assert!(error_of(last + 1).contains("is outside"), "{}", message.name);
        }
        for record_type in 0..=u8::MAX >> 1 {
            let is_known = known.iter().any(|message| message.api_key == Some(i16::from(record_type)));
            let decoded = MetadataRecord::decode(&Bytes::from(vec![1, record_type, 0]));
            assert_eq!(matches!(decoded, Err(RecordError::UnknownType(_))), !is_known, "type {record_type}");
        }
    }
}
