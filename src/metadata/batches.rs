//! Batches of the metadata log and its snapshots: records and control records in, bytes out, and back.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use bytes::Bytes;

use super::record::{MetadataRecord, RecordError};
use crate::{
    clock::TimestampMs,
    protocol::{
        message::Message,
        messages::{KRaftVersionRecord, SnapshotHeaderRecord, VotersRecord},
        records::{
            batch::{BatchError, RecordBatch},
            builder::{BatchBuilder, BuildError, NewRecord},
            control::{ControlRecordKey, ControlRecordType},
        },
        wire::{DecodeError, EncodeError},
    },
};

/// Bytes of a decompressed batch of metadata; Apache Kafka writes 8 MiB at most.
const BATCH_BYTES_MAX: usize = 64 << 20;
/// Bytes of a batch that is written, if it has more than one record.
const BATCH_BYTES_WANTED: usize = 1 << 20;

/// Why a batch of metadata cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetadataBatchError {
    #[error("metadata batch at offset {offset}: {source}")]
    Batch { offset: i64, source: BatchError },
    #[error("metadata batch at offset {offset}: {reason}")]
    Records { offset: i64, reason: String },
    #[error("metadata record at offset {offset}: {source}")]
    Record { offset: i64, source: RecordError },
    #[error("control record at offset {offset}: {source}")]
    Control { offset: i64, source: DecodeError },
}

/// Why a batch of metadata cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteBatchError {
    #[error("a metadata record cannot be written: {0}")]
    Encode(#[from] EncodeError),
    #[error("a metadata batch cannot be built: {0}")]
    Build(#[from] BuildError),
}

/// One record of a batch.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Entry {
    /// A record.
    Record(MetadataRecord),
    /// The first of a snapshot, with the time of the last record that it sums up.
    SnapshotHeader(TimestampMs),
    /// The last of a snapshot.
    SnapshotFooter,
    /// `kraft.version`.
    KraftVersion(i16),
    /// The voters.
    Voters(VotersRecord),
    /// A leader's election, which its epoch says too, or something that does not concern the metadata.
    Other,
}

/// The entries of a batch, each with its offset.
pub(super) fn entries(batch: &RecordBatch) -> Result<Vec<(i64, Entry)>, MetadataBatchError> {
    let header = batch.header();
    let offset = header.base_offset;
    batch.check_crc().map_err(|source| MetadataBatchError::Batch { offset, source })?;
    let bad = |reason: String| MetadataBatchError::Records { offset, reason };
    let mut entries = Vec::new();
    for record in batch.records(BATCH_BYTES_MAX).map_err(|error| bad(error.to_string()))? {
        let record = record.map_err(|error| bad(error.to_string()))?;
        let offset = header.base_offset.saturating_add(i64::from(record.offset_delta));
        let value = record.value.unwrap_or_default();
        let entry = if header.is_control() {
            let key = ControlRecordKey::parse(&record.key.unwrap_or_default()).map_err(|e| bad(e.to_string()))?;
            control(key, &value).map_err(|source| MetadataBatchError::Control { offset, source })?
        } else {
            let record = MetadataRecord::decode(&value);
            Entry::Record(record.map_err(|source| MetadataBatchError::Record { offset, source })?)
        };
        entries.push((offset, entry));
    }
    Ok(entries)
}

fn control(key: ControlRecordKey, value: &Bytes) -> Result<Entry, DecodeError> {
    Ok(match key.kind {
        Ok(ControlRecordType::SnapshotHeader) => {
            Entry::SnapshotHeader(SnapshotHeaderRecord::decode_all(value, 0)?.last_contained_log_timestamp)
        }
        Ok(ControlRecordType::SnapshotFooter) => Entry::SnapshotFooter,
        Ok(ControlRecordType::KraftVersion) => {
            Entry::KraftVersion(KRaftVersionRecord::decode_all(value, 0)?.k_raft_version)
        }
        Ok(ControlRecordType::KraftVoters) => Entry::Voters(VotersRecord::decode_all(value, 0)?),
        Ok(ControlRecordType::LeaderChange | ControlRecordType::Abort | ControlRecordType::Commit) | Err(_) => {
            Entry::Other
        }
    })
}

/// A control batch of these records.
pub(super) fn control_batch(
    base_offset: i64,
    epoch: i32,
    now: TimestampMs,
    records: &[(ControlRecordType, Bytes)],
) -> Result<RecordBatch, WriteBatchError> {
    let mut builder = BatchBuilder::new(base_offset).leader_epoch(epoch).control();
    for (kind, value) in records {
        builder.append_control(*kind, now, value)?;
    }
    Ok(builder.build()?)
}

/// As many batches as it takes for these values, the first at `base_offset`.
pub(super) fn batches(
    base_offset: i64,
    epoch: i32,
    now: TimestampMs,
    values: &[Bytes],
) -> Result<Vec<RecordBatch>, WriteBatchError> {
    let mut batches = Vec::new();
    let begin = |offset| BatchBuilder::new(offset).leader_epoch(epoch);
    let mut builder = begin(base_offset);
    for (offset, value) in (base_offset..).zip(values) {
        if builder.record_count() > 0 && builder.size().saturating_add(value.len()) > BATCH_BYTES_WANTED {
            batches.push(std::mem::replace(&mut builder, begin(offset)).build()?);
        }
        builder.append(&NewRecord { timestamp: now, value: Some(value), ..NewRecord::default() })?;
    }
    if builder.record_count() > 0 {
        batches.push(builder.build()?);
    }
    Ok(batches)
}
