//! Batches for tests: the header is right, the records are arbitrary bytes.

use bytes::Bytes;

use super::{AppendBatch, AppendOrigin};
use crate::{
    clock::TimestampMs,
    protocol::records::batch::{BatchHeader, HEADER_SIZE, LOG_OVERHEAD, compute_crc},
};

/// A batch of `records` records, `payload` bytes of nothing much, and one timestamp.
pub(crate) fn batch(records: i32, timestamp: TimestampMs, payload: usize) -> AppendBatch {
    let header = BatchHeader {
        base_offset: 0,
        length: i32::try_from(HEADER_SIZE - LOG_OVERHEAD + payload).expect("small"),
        partition_leader_epoch: 0,
        crc: 0,
        attributes: 0,
        last_offset_delta: records - 1,
        base_timestamp: timestamp,
        max_timestamp: timestamp,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        record_count: records,
    };
    let payload: Vec<u8> = (0..payload).map(|n| u8::try_from(n % 251).expect("small")).collect();
    let crc = compute_crc(&[header.to_bytes().as_slice(), &payload].concat());
    let header = BatchHeader { crc, ..header };
    AppendBatch { header, payload: Bytes::from(payload), origin: AppendOrigin::Client }
}

/// The bytes of such a batch in the log.
pub(crate) fn batch_bytes(base_offset: i64, records: i32, timestamp: TimestampMs, payload: usize) -> Vec<u8> {
    let AppendBatch { header, payload, .. } = batch(records, timestamp, payload);
    [BatchHeader { base_offset, ..header }.to_bytes().as_slice(), &payload].concat()
}
