//! What is in a record: by its topic's schemas, or as text, or in hex.
//!
//! What lets somebody in, or helps to, is not shown, where Kafka's `kafka-dump-log` shows it: a dump is made to be passed
//! on.

use std::fmt::Write;

use bytes::Bytes;
use ottla_codegen::{
    Message,
    interpret::{self, InterpretError, json_text},
    model::snake_case,
    sensitive::is_sensitive,
    spec::MessageKind,
};
use serde_json::{Value as Json, json};

use crate::{
    cli::codec::to_hex,
    config::sources::may_be_secret,
    protocol::{
        records::{
            control::{ControlKeyError, ControlRecordKey, ControlRecordType},
            record::Record,
        },
        schemas::schemas,
        wire::{DecodeError, Reader},
    },
};

/// The topic of the cluster's metadata.
pub(super) const METADATA_TOPIC: &str = "__cluster_metadata";
/// The only framing of metadata records.
const FRAME_VERSION: u32 = 1;

/// What stands for a secret, as in the log of Kafka's controller.
const REDACTED: &str = "(redacted)";
/// The broker among the resources that have configurations.
const BROKER_RESOURCE: i8 = 4;

/// How a topic's records are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordFormat {
    /// Anybody's records.
    Plain,
    /// `__cluster_metadata`.
    Metadata,
    /// `__remote_log_metadata`, framed the same way.
    RemoteLogMetadata,
    /// `__consumer_offsets`.
    Groups,
    /// `__transaction_state`.
    Transactions,
    /// `__share_group_state`.
    ShareGroups,
}

/// Why a record is not what its topic's records are.
#[derive(Debug, thiserror::Error)]
pub(super) enum ContentError {
    #[error(transparent)]
    Interpret(#[from] InterpretError),
    #[error(transparent)]
    Wire(#[from] DecodeError),
    #[error("{message} v{version}: {left} bytes too many")]
    TrailingBytes { message: String, version: i16, left: usize },
    #[error("frame version {0}, expected {FRAME_VERSION}")]
    FrameVersion(u32),
    #[error("no record of this topic has type {0}")]
    UnknownType(i64),
    #[error("record version {0} is out of range")]
    Version(u32),
    #[error("the {0} is missing")]
    Missing(&'static str),
    #[error(transparent)]
    ControlKey(#[from] ControlKeyError),
}

impl RecordFormat {
    pub(super) fn of_topic(topic: &str) -> Self {
        match topic {
            METADATA_TOPIC => Self::Metadata,
            "__remote_log_metadata" => Self::RemoteLogMetadata,
            "__consumer_offsets" => Self::Groups,
            "__transaction_state" => Self::Transactions,
            "__share_group_state" => Self::ShareGroups,
            _ => Self::Plain,
        }
    }

    /// Key and value of a record, to be added to its line.
    pub(super) fn text(self, record: &Record) -> Result<String, ContentError> {
        match self {
            Self::Plain => Ok(plain_text(record)),
            Self::Metadata | Self::RemoteLogMetadata => {
                let value = record.value.as_deref().ok_or(ContentError::Missing("value"))?;
                Ok(format!(" payload: {}", json_text(&self.framed(value)?, false)))
            }
            Self::Groups | Self::Transactions | Self::ShareGroups => self.coordinator_text(record),
        }
    }

    /// Key and value of a record of which [`Self::text`] makes nothing. Of metadata, it may be a newer version of a secret.
    pub(super) fn unread_text(self, record: &Record) -> String {
        match self {
            Self::Metadata if record.value.is_some() => key_text(record) + " payload: " + REDACTED,
            _ => plain_text(record),
        }
    }

    /// A record that says itself what it is: frame version, type, version, content.
    fn framed(self, value: &[u8]) -> Result<Json, ContentError> {
        let bytes = Bytes::copy_from_slice(value);
        let mut reader = Reader::new(&bytes);
        let frame = reader.unsigned_varint()?;
        if frame != FRAME_VERSION {
            return Err(ContentError::FrameVersion(frame));
        }
        let record_type = reader.unsigned_varint()?;
        let version = reader.unsigned_varint()?;
        let version = i16::try_from(version).map_err(|_| ContentError::Version(version))?;
        let message = self.find(MessageKind::Metadata, record_type.into())?;
        let mut data = decode(message, version, &reader.take(reader.remaining())?)?;
        redact(message, &mut data);
        Ok(json!({ "type": snake_case(&message.name).to_uppercase(), "version": version, "data": data }))
    }

    /// A coordinator's record: the key begins with its type, the value with its version.
    fn coordinator_text(self, record: &Record) -> Result<String, ContentError> {
        let (record_type, key) = split_number(record.key.as_deref(), "key")?;
        let message = self.find(MessageKind::CoordinatorKey, record_type.into())?;
        let version = message.versions.ends().map_or(0, |(lowest, _)| lowest);
        let key = json!({ "type": record_type.to_string(), "data": decode(message, version, key)? });
        let key = json_text(&key, false);
        if record.value.is_none() {
            return Ok(format!(" key: {key} payload: <DELETE>"));
        }
        let (version, value) = split_number(record.value.as_deref(), "value")?;
        let message = self.find(MessageKind::CoordinatorValue, record_type.into())?;
        let value = json!({ "version": version.to_string(), "data": decode(message, version, value)? });
        Ok(format!(" key: {key} payload: {}", json_text(&value, false)))
    }

    /// The schema of a record type. Several coordinators count their types from 0.
    fn find(self, kind: MessageKind, record_type: i64) -> Result<&'static Message, ContentError> {
        let is_it = |message: &&Message| {
            message.kind == kind && message.api_key.map(i64::from) == Some(record_type) && self.owns(&message.name)
        };
        schemas().iter().find(is_it).ok_or(ContentError::UnknownType(record_type))
    }

    fn owns(self, name: &str) -> bool {
        let is_remote = name.starts_with("RemoteLog") || name.starts_with("RemotePartition");
        let is_transaction = name.starts_with("TransactionLog");
        let is_share = name.starts_with("ShareSnapshot") || name.starts_with("ShareUpdate");
        match self {
            Self::Plain => false,
            Self::Metadata => !is_remote,
            Self::RemoteLogMetadata => is_remote,
            Self::Groups => !is_transaction && !is_share,
            Self::Transactions => is_transaction,
            Self::ShareGroups => is_share,
        }
    }
}

/// Key and value as they are. What is null is left out: the sizes tell.
fn plain_text(record: &Record) -> String {
    let value = record.value.as_deref().map(|value| format!(" payload: {}", text_or_hex(value)));
    key_text(record) + &value.unwrap_or_default()
}

fn key_text(record: &Record) -> String {
    record.key.as_deref().map(|key| format!(" key: {}", text_or_hex(key))).unwrap_or_default()
}

/// A control record by its type.
pub(super) fn control_text(record: &Record) -> Result<String, ContentError> {
    let key = record.key.as_deref().ok_or(ContentError::Missing("key"))?;
    let key = ControlRecordKey::parse(key)?;
    let (label, name) = match key.kind {
        Ok(ControlRecordType::Abort) => ("endTxnMarker: ABORT", "EndTxnMarker"),
        Ok(ControlRecordType::Commit) => ("endTxnMarker: COMMIT", "EndTxnMarker"),
        Ok(ControlRecordType::LeaderChange) => ("LeaderChange", "LeaderChangeMessage"),
        Ok(ControlRecordType::SnapshotHeader) => ("SnapshotHeader", "SnapshotHeaderRecord"),
        Ok(ControlRecordType::SnapshotFooter) => ("SnapshotFooter", "SnapshotFooterRecord"),
        Ok(ControlRecordType::KraftVersion) => ("KRaftVersion", "KRaftVersionRecord"),
        Ok(ControlRecordType::KraftVoters) => ("KRaftVoters", "VotersRecord"),
        Err(id) => return Ok(format!(" controlType: UNKNOWN({id}){}", plain_text(record))),
    };
    let (version, rest) = split_number(record.value.as_deref(), "value")?;
    let message = schemas().get(name).ok_or(ContentError::Missing("schema"))?;
    if name == "EndTxnMarker" {
        let data = decode(message, version, rest)?;
        let epoch = data.get("coordinatorEpoch").unwrap_or(&Json::Null);
        return Ok(format!(" {label} coordinatorEpoch: {epoch}"));
    }
    // The others have their version as a field of the message.
    let value = record.value.as_deref().unwrap_or_default();
    Ok(format!(" {label} {}", json_text(&decode(message, version, value)?, false)))
}

/// The whole of `bytes` as a message.
fn decode(message: &Message, version: i16, bytes: &[u8]) -> Result<Json, ContentError> {
    let (value, consumed) = interpret::decode(message, version, bytes)?;
    let left = bytes.len().saturating_sub(consumed);
    if left > 0 {
        return Err(ContentError::TrailingBytes { message: message.name.clone(), version, left });
    }
    Ok(interpret::to_json(message, version, &value)?)
}

/// Takes secrets out of a record.
fn redact(message: &Message, data: &mut Json) {
    if message.name == "ConfigRecord" {
        let is_of_broker = data["resourceType"] == BROKER_RESOURCE;
        if is_of_broker && !data["value"].is_null() && data["name"].as_str().is_none_or(may_be_secret) {
            data["value"] = REDACTED.into();
        }
    }
    let fields = message.structs.first().into_iter().flat_map(|own| &own.fields);
    for field in fields.filter(|field| is_sensitive(&message.name, &field.name)) {
        data[field.camel_case_name()] = REDACTED.into();
    }
}

fn split_number<'a>(bytes: Option<&'a [u8]>, what: &'static str) -> Result<(i16, &'a [u8]), ContentError> {
    let (number, rest) = bytes.and_then(<[u8]>::split_first_chunk).ok_or(ContentError::Missing(what))?;
    Ok((i16::from_be_bytes(*number), rest))
}

/// Text on one line: what would end or hide it is escaped. What is no text, in hex.
pub(super) fn text_or_hex(bytes: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(bytes) else { return format!("0x{}", to_hex(bytes)) };
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\\' => escaped.push_str("\\\\"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                // Writing to a string does not fail.
                let _ = write!(escaped, "\\u{{{:x}}}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    escaped
}
