//! What is left of a batch: the rules of Kafka's `Cleaner` and `MemoryRecords.filterTo`. Pure.
//!
//! A batch keeps its first and last offset, its producer and its sequence numbers whatever becomes of its records, so that
//! the log goes on without a gap that somebody would miss and a producer is still checked against it. A record that stays
//! keeps its offset. A tombstone, or a marker with nothing left to end, goes once its delete horizon has passed (KIP-534):
//! that is set, in the batch, the first time that it could have gone.

use bytes::Bytes;

use super::offset_map::OffsetMap;
use crate::{
    clock::TimestampMs,
    protocol::records::{
        batch::{BatchHeader, RecordBatch},
        compression::{Compression, compress, decompress},
        record::{RawRecord, raw},
        varint::{write_varint, write_varlong},
    },
};

/// The least that a record takes: its length, attributes and five numbers.
const RECORD_SIZE_MIN: usize = 7;

/// What there is to go by.
pub(super) struct Filter<'a> {
    /// The latest offsets of keys,
    pub(super) map: &'a OffsetMap,
    /// and up to where, this included, it knows them.
    pub(super) mapped_to: i64,
    pub(super) now: TimestampMs,
    /// `delete.retention.ms`.
    pub(super) delete_retention_ms: i64,
    /// Most bytes that a batch is decompressed to.
    pub(super) decompressed_bytes_max: usize,
}

/// What is known of a batch besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Its records were aborted, or, for a marker, nothing is left of what it ended.
    pub(super) is_superfluous: bool,
    /// It stays without any record: the state of a producer, or the end of what is cleaned, hangs on it.
    pub(super) stays_empty: bool,
}

/// What is left.
#[derive(Debug)]
pub(super) enum Left {
    /// All of it.
    Whole,
    /// This.
    Part(RecordBatch),
    /// Nothing.
    Nothing,
    /// All of it, since it cannot be taken apart.
    Unreadable,
}

/// The records of a batch, decompressed to `limit` bytes at most. `None` where that cannot be done.
pub(super) fn payload_of(batch: &RecordBatch, limit: usize) -> Option<Bytes> {
    match Compression::from_id(batch.header().compression_id())? {
        Compression::None => Some(batch.payload()),
        codec => decompress(codec, &batch.payload(), limit).ok(),
    }
}

impl Filter<'_> {
    /// Decides.
    pub(super) fn apply(&self, batch: &RecordBatch, standing: Standing) -> Left {
        let header = batch.header();
        let has_passed = header.delete_horizon().is_some_and(|horizon| horizon <= self.now);
        let drops_all = standing.is_superfluous && (has_passed || !header.is_control());
        if drops_all {
            return self.emptied(header, standing);
        }
        let Some(payload) = payload_of(batch, self.decompressed_bytes_max) else { return Left::Unreadable };
        let mut kept = Vec::with_capacity(capacity(header, &payload));
        let (mut is_whole, mut has_tombstone) = (true, false);
        for record in raw(&payload) {
            let Ok(record) = record else { return Left::Unreadable };
            if header.is_control() || self.keeps(header, &record, has_passed) {
                has_tombstone |= !record.has_value;
                kept.push(record);
            } else {
                is_whole = false;
            }
        }
        if kept.is_empty() {
            return self.emptied(header, standing);
        }
        let is_last_call = has_tombstone || header.is_control() && standing.is_superfluous;
        let sets_horizon = is_last_call && !header.has_delete_horizon();
        if is_whole && !sets_horizon {
            return Left::Whole;
        }
        let horizon = if sets_horizon {
            Some(self.now.saturating_add(self.delete_retention_ms))
        } else {
            header.delete_horizon()
        };
        rebuild(header, &kept, horizon)
    }

    fn keeps(&self, header: &BatchHeader, record: &RawRecord<'_>, has_passed: bool) -> bool {
        let offset = header.base_offset.saturating_add(i64::from(record.offset_delta));
        if offset > self.mapped_to {
            return true;
        }
        let Some(key) = record.key else { return false };
        let is_latest = self.map.get(key).is_none_or(|latest| offset >= latest);
        is_latest && (record.has_value || !has_passed)
    }

    fn emptied(&self, header: &BatchHeader, standing: Standing) -> Left {
        if !standing.stays_empty {
            return Left::Nothing;
        }
        let mut header = BatchHeader { base_timestamp: -1, record_count: 0, ..*header };
        header.set_delete_horizon(None);
        header.set_compression_id(Compression::None.id());
        RecordBatch::assemble(header, &[]).map_or(Left::Unreadable, Left::Part)
    }
}

/// A bound for the records in a payload, which the header may lie about.
fn capacity(header: &BatchHeader, payload: &[u8]) -> usize {
    usize::try_from(header.record_count).unwrap_or(0).min(payload.len() / RECORD_SIZE_MIN)
}

/// The batch with these records only. Their timestamps are written anew where they refer to another one.
fn rebuild(header: &BatchHeader, kept: &[RawRecord<'_>], horizon: Option<i64>) -> Left {
    let timestamps = || kept.iter().map(|record| header.record_timestamp(record.timestamp_delta));
    let mut new = *header;
    new.base_timestamp = timestamps().next().unwrap_or(-1);
    new.set_delete_horizon(horizon);
    if !header.is_log_append_time() {
        new.max_timestamp = timestamps().max().unwrap_or(-1);
    }
    new.record_count = i32::try_from(kept.len()).expect("no more than there were");
    let mut payload = Vec::with_capacity(kept.iter().map(|record| record.bytes.len()).sum());
    let mut start = Vec::new();
    for (record, timestamp) in kept.iter().zip(timestamps()) {
        let delta = timestamp.wrapping_sub(new.base_timestamp);
        if delta == record.timestamp_delta {
            payload.extend_from_slice(record.bytes);
            continue;
        }
        start.clear();
        start.push(record.attributes.cast_unsigned());
        write_varlong(&mut start, delta);
        let Ok(length) = i32::try_from(start.len() + record.after_timestamp.len()) else { return Left::Unreadable };
        write_varint(&mut payload, length);
        payload.extend_from_slice(&start);
        payload.extend_from_slice(record.after_timestamp);
    }
    let codec = Compression::from_id(header.compression_id()).unwrap_or(Compression::None);
    let compressed = compress(codec, None, &Bytes::from(payload)).ok();
    let rebuilt = compressed.and_then(|payload| RecordBatch::assemble(new, &payload));
    // A codec that fails, for want of memory, leaves the batch as it was.
    rebuilt.map_or(Left::Unreadable, Left::Part)
}

#[cfg(test)]
mod tests;
