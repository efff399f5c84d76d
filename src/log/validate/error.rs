//! Why a producer's batch is refused, grouped by the error that Kafka's protocol has for it.

use crate::protocol::records::{
    batch::BatchError,
    compression::{CompressError, DecompressError},
    record::RecordError,
};

use super::REJECTIONS_MAX;

/// Why a batch is refused.
#[derive(Debug, thiserror::Error)]
pub enum ValidateError {
    /// CORRUPT_MESSAGE.
    #[error(transparent)]
    Corrupt(#[from] CorruptBatch),
    /// INVALID_RECORD.
    #[error(transparent)]
    InvalidBatch(#[from] InvalidBatch),
    /// INVALID_RECORD, with record errors.
    #[error("{} record(s) are invalid, the first one because {}", .0.total, .0.first_message())]
    InvalidRecords(RejectedRecords),
    /// INVALID_TIMESTAMP, with record errors.
    #[error("{} record(s) are invalid, at least one for its timestamp, the first one because {}", .0.total, .0.first_message())]
    InvalidTimestamps(RejectedRecords),
    /// INVALID_TIMESTAMP: the batch says LogAppendTime, which only a broker may.
    #[error("the timestamp type LogAppendTime is set by the broker, not by producers")]
    LogAppendTimeByProducer,
    /// MESSAGE_TOO_LARGE: the batch, as sent or as it would be stored.
    #[error("the batch has {size} bytes, max.message.bytes is {max}")]
    MessageTooLarge {
        /// Bytes of the batch.
        size: usize,
        /// The setting.
        max: usize,
    },
    /// MESSAGE_TOO_LARGE, for the Java producer then sends the records again in smaller batches.
    #[error("the batch has {count} records, ottla.batch.records.max is {max}")]
    TooManyRecords {
        /// Records of the batch.
        count: usize,
        /// The setting.
        max: usize,
    },
    /// RECORD_LIST_TOO_LARGE: the batch does not fit into a segment.
    #[error("the batch has {size} bytes, segment.bytes is {max}")]
    RecordListTooLarge {
        /// Bytes of the batch.
        size: usize,
        /// The setting.
        max: usize,
    },
    /// UNSUPPORTED_COMPRESSION_TYPE: the format knows no such codec.
    #[error("unknown compression codec {id}")]
    UnknownCodec {
        /// The number in the attributes.
        id: i16,
    },
    /// UNSUPPORTED_COMPRESSION_TYPE: zstd in a version of Produce that is older than it.
    #[error("Produce version {version} may not carry zstd, version {} and later may", super::ZSTD_VERSION_MIN)]
    ZstdTooEarly {
        /// The request's version.
        version: i16,
    },
    /// UNSUPPORTED_FOR_MESSAGE_FORMAT: a format from before record batches.
    #[error("message format (magic) {magic} is not supported, only 2 is")]
    UnsupportedForMessageFormat {
        /// The magic byte, 0 or 1.
        magic: i8,
    },
    /// UNKNOWN_SERVER_ERROR: the topic's codec failed on a good batch.
    #[error(transparent)]
    Compress(#[from] CompressError),
}

/// Bytes that are not what their producer meant to send: CORRUPT_MESSAGE, which clients retry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CorruptBatch {
    /// The CRC is not that of the bytes, the length is below the header's, or the magic is none that ever was.
    #[error(transparent)]
    Batch(BatchError),
    /// The CRC is right, yet the codec cannot read the records.
    #[error(transparent)]
    Payload(DecompressError),
}

/// A batch that its producer should not have made: INVALID_RECORD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBatch {
    /// No bytes, or null.
    #[error("there is no record batch")]
    NoBatch,
    /// The batch's length reaches beyond the bytes.
    #[error("there is no whole record batch: it needs {needed} bytes, {available} are there")]
    Truncated {
        /// Bytes that the batch needs.
        needed: usize,
        /// Bytes that are there.
        available: usize,
    },
    /// A second batch, or a part of one.
    #[error("{bytes} bytes follow the record batch, of which there must be exactly one")]
    BytesAfterBatch {
        /// Bytes behind the first batch.
        bytes: usize,
    },
    /// Bits that the format does not define.
    #[error("unknown attribute bits {bits:#06x}")]
    UnknownAttributes {
        /// Those bits.
        bits: u16,
    },
    /// Control records are the broker's.
    #[error("clients are not allowed to write control records")]
    Control,
    /// Delete horizons are the log cleaner's.
    #[error("clients are not allowed to set a delete horizon")]
    DeleteHorizon,
    /// A producer knows no offsets.
    #[error("the base offset is {base_offset}, it must be 0")]
    BaseOffset {
        /// The base offset.
        base_offset: i64,
    },
    /// No record, or fewer.
    #[error("invalid record count {record_count}")]
    RecordCount {
        /// The count.
        record_count: i32,
    },
    /// Count and last offset disagree.
    #[error("the last offset delta {last_offset_delta} does not belong to {record_count} records")]
    OffsetRange {
        /// The last offset delta.
        last_offset_delta: i32,
        /// The count.
        record_count: i32,
    },
    /// A producer id without a sequence.
    #[error("invalid sequence {base_sequence} in a batch of producer {producer_id}")]
    Sequence {
        /// The producer's id.
        producer_id: i64,
        /// The base sequence.
        base_sequence: i32,
    },
    /// A producer id without an epoch.
    #[error("invalid epoch {producer_epoch} in a batch of producer {producer_id}")]
    ProducerEpoch {
        /// The producer's id.
        producer_id: i64,
        /// The epoch.
        producer_epoch: i16,
    },
    /// A transactional batch that belongs to nobody's transaction.
    #[error("a transactional batch has no producer id")]
    NoProducer,
    /// A record cannot be read.
    #[error("record {index}: {error}")]
    Record {
        /// Place of the record in the batch.
        index: i32,
        /// What is wrong with it.
        error: RecordError,
    },
    /// Offsets are not consecutive.
    #[error("record {index} has the offset delta {delta}")]
    OffsetDelta {
        /// Place of the record in the batch.
        index: i32,
        /// Its offset delta.
        delta: i32,
    },
    /// More records than the header says.
    #[error("the header declares {declared} records, there are more")]
    MoreRecords {
        /// The header's count.
        declared: i32,
    },
    /// Fewer records than the header says.
    #[error("the header declares {declared} records, there are {found}")]
    FewerRecords {
        /// The header's count.
        declared: i32,
        /// Records that are there.
        found: i32,
    },
    /// A decompression bomb, or a record whose length makes it one.
    #[error("the records have more than {limit} bytes when decompressed")]
    DecompressedSize {
        /// Bytes that are allowed.
        limit: usize,
    },
}

/// The records for whose sake a batch is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectedRecords {
    /// How many there are.
    pub total: usize,
    /// The first of them, by their place in the batch.
    pub first: Vec<RecordRejection>,
    for_timestamp: bool,
}

/// A record that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRejection {
    /// Place of the record in the batch.
    pub batch_index: i32,
    /// Why.
    pub message: String,
}

impl RejectedRecords {
    pub(super) fn add_invalid(&mut self, batch_index: i32, message: impl FnOnce() -> String) {
        self.total = self.total.saturating_add(1);
        if self.first.len() < REJECTIONS_MAX {
            self.first.push(RecordRejection { batch_index, message: message() });
        }
    }

    pub(super) fn add_timestamp(&mut self, batch_index: i32, message: impl FnOnce() -> String) {
        self.for_timestamp = true;
        self.add_invalid(batch_index, message);
    }

    /// An error if there are any. One bad timestamp makes it INVALID_TIMESTAMP, as in Kafka.
    pub(super) fn into_result(self) -> Result<(), ValidateError> {
        match self {
            Self { total: 0, .. } => Ok(()),
            Self { for_timestamp: true, .. } => Err(ValidateError::InvalidTimestamps(self)),
            Self { for_timestamp: false, .. } => Err(ValidateError::InvalidRecords(self)),
        }
    }

    fn first_message(&self) -> &str {
        self.first.first().map_or("", |rejection| &rejection.message)
    }
}
