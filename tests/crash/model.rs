//! What was answered and shown so far, and so has to be there after a crash.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla::{
    log::partition_log::{AppendBatch, AppendOrigin},
    protocol::records::batch::{BatchHeader, HEADER_SIZE, LOG_OVERHEAD, compute_crc},
};
use uuid::Uuid;

/// Each partition has one.
const PRODUCER_ID: i64 = 7;

/// The topics by name.
pub(crate) type Topics = BTreeMap<String, Known>;

/// What is known of a name that was used.
pub(crate) enum Known {
    /// The topic was answered as created.
    There(Topic),
    /// It was answered as deleted.
    Gone,
    /// A creation or deletion failed: either, and with so many partitions if it is a new one.
    InDoubt { before: Option<Topic>, partitions: usize },
}

pub(crate) struct Topic {
    pub(crate) id: Uuid,
    pub(crate) partitions: Vec<Partition>,
}

impl Topic {
    pub(crate) fn new(id: Uuid, partitions: usize) -> Self {
        Self { id, partitions: (0..partitions).map(|_| Partition::default()).collect() }
    }
}

#[derive(Default)]
pub(crate) struct Partition {
    /// In order, without gaps.
    pub(crate) batches: Vec<Stored>,
    /// The offset after the last.
    pub(crate) end: i64,
    /// No power cut takes what is below it: it was acknowledged or shown.
    pub(crate) kept: i64,
    /// The greatest high watermark that was shown since the start.
    pub(crate) shown: i64,
    /// The log start is not below this after a crash, for it was written down,
    pub(crate) least_start: i64,
    /// nor above this, for it was never there.
    pub(crate) start: i64,
}

impl Partition {
    pub(crate) fn push(&mut self, batch: Stored) {
        self.end = batch.last + 1;
        self.batches.push(batch);
    }

    /// The batches of its producer, the latest first.
    pub(crate) fn produced(&self) -> impl Iterator<Item = &Stored> {
        self.batches.iter().rev().filter(|batch| batch.sent.header.has_producer_id())
    }

    /// The sequence number that its producer goes on with.
    pub(crate) fn next_sequence(&self) -> i32 {
        self.produced().next().map_or(0, |last| last.sent.header.base_sequence + last.sent.header.record_count)
    }
}

/// A batch as it has to stand in the log.
pub(crate) struct Stored {
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) timestamp: i64,
    pub(crate) epoch: i32,
    pub(crate) bytes: Vec<u8>,
    /// As it was appended.
    pub(crate) sent: AppendBatch,
}

impl Stored {
    pub(crate) fn new(first: i64, epoch: i32, batch: &AppendBatch) -> Self {
        let header = BatchHeader { base_offset: first, partition_leader_epoch: epoch, ..batch.header };
        Self {
            first,
            last: header.last_offset(),
            timestamp: header.max_timestamp,
            epoch,
            bytes: [header.to_bytes().as_slice(), &batch.payload].concat(),
            sent: batch.clone(),
        }
    }
}

/// A batch whose header is right, of arbitrary bytes; with a sequence number, of the partition's producer.
pub(crate) fn batch(records: i32, timestamp: i64, payload: Vec<u8>, sequence: Option<i32>) -> AppendBatch {
    let header = BatchHeader {
        base_offset: 0,
        length: i32::try_from(HEADER_SIZE - LOG_OVERHEAD + payload.len()).expect("small"),
        partition_leader_epoch: 0,
        crc: 0,
        attributes: 0,
        last_offset_delta: records - 1,
        base_timestamp: timestamp,
        max_timestamp: timestamp,
        producer_id: sequence.map_or(-1, |_| PRODUCER_ID),
        producer_epoch: sequence.map_or(-1, |_| 0),
        base_sequence: sequence.unwrap_or(-1),
        record_count: records,
    };
    let crc = compute_crc(&[header.to_bytes().as_slice(), &payload].concat());
    let header = BatchHeader { crc, ..header };
    AppendBatch { header, payload: Bytes::from(payload), origin: AppendOrigin::Client }
}
