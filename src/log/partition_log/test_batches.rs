//! Batches for tests: the header is right, the records are arbitrary bytes.

use std::sync::Arc;

use bytes::Bytes;

use super::{AppendBatch, AppendError, AppendOrigin, Appended, PartitionLog};
use crate::{
    clock::TimestampMs,
    log::producer_state::TransactionEnd,
    protocol::{
        records::batch::{BatchHeader, HEADER_SIZE, LOG_OVERHEAD, compute_crc},
        transaction_version::TransactionVersion,
    },
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

/// Appends a batch of a transaction that the coordinator knows.
pub(crate) fn append_confirmed(
    log: &Arc<PartitionLog>,
    batch: &AppendBatch,
    now: TimestampMs,
) -> Result<Appended, AppendError> {
    let &BatchHeader { producer_id, producer_epoch, .. } = &batch.header;
    match log.expect_transaction(producer_id, producer_epoch, TransactionVersion::V1)? {
        Some(guard) => log.append_verified(batch, &guard, 0, now),
        None => log.append(batch, 0, now),
    }
}

/// The end of a producer's transactions of epoch 0.
pub(crate) fn transaction_end(producer_id: i64, is_commit: bool) -> TransactionEnd {
    let version = TransactionVersion::V1;
    TransactionEnd { producer_id, producer_epoch: 0, is_commit, coordinator_epoch: 2, version }
}
