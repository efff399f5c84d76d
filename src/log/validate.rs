//! What a producer's batch must satisfy before it is appended, and how it is stored. Pure: bytes and rules in, bytes out.
//!
//! The order is: what is cheap first, then the CRC, then everything that the CRC vouches for. Every record is walked, so
//! that what is in the log is readable; the contents of keys and values are not looked at. Sequences, epochs and offsets
//! depend on the log's state and are checked there.
//!
//! Nothing that the producer says about the batch as a whole is stored unchecked: counts and offsets must agree with the
//! records, and the greatest timestamp, which retention and the time index go by, is the one that was found. A batch that
//! is stored as it came stays the producer's memory; only its header is written anew. (Apache Kafka: `LogValidator`,
//! `UnifiedLog.analyzeAndValidateRecords`, `ProduceRequest.validateRecords`.)
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

mod error;

use std::ops::RangeInclusive;

use bytes::Bytes;

pub use self::error::{CorruptBatch, InvalidBatch, RecordRejection, RejectedRecords, ValidateError};
use crate::protocol::records::{
    batch::{BatchError, BatchHeader, HEADER_SIZE, RecordBatch},
    compression::{Compression, DecompressError, compress, decompress},
    record::{RecordMeta, walk},
    stream::{RecordStream, StreamError},
};

/// A timestamp that is not set. Not held against the allowed range, as in Kafka.
const NO_TIMESTAMP: i64 = -1;
/// The first Produce version that may carry zstd.
const ZSTD_VERSION_MIN: i16 = 7;
/// Rejected records that are described one by one. Kafka describes all, which lets a small batch ask for a huge answer.
const REJECTIONS_MAX: usize = 100;

/// What a batch may grow to when decompressed: this many times `max.message.bytes` …
const DECOMPRESSED_RATIO_MAX: usize = 32;
/// … or this, if that is more.
const DECOMPRESSED_BYTES_MIN: usize = 64 * 1024 * 1024;

/// Most bytes of an uncompressed batch for which a walk (and a CRC) is light work: a millisecond or so.
const LIGHT_PLAIN_BYTES: usize = 4 * 1024 * 1024;
/// Most bytes of a compressed batch for which decompression may be light work.
const LIGHT_COMPRESSED_BYTES: usize = 16 * 1024;
/// Most bytes of a batch for which compression may be light work.
const LIGHT_RECOMPRESSED_BYTES: usize = 4 * 1024;
/// Decompressed bytes at which light work ends.
const LIGHT_DECOMPRESSED_BYTES: usize = 256 * 1024;

/// What a topic asks of its batches.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Most records of a batch: `ottla.batch.records.max`.
    pub max_records: usize,
    /// Most bytes of a batch, as sent and as stored: `max.message.bytes`.
    pub max_message_bytes: usize,
    /// Most bytes of a batch's records when decompressed: `max.decompressed.message.bytes`.
    pub max_decompressed_bytes: usize,
    /// Most bytes of a segment: `segment.bytes`.
    pub segment_bytes: usize,
    /// Whether `cleanup.policy` has `compact`: then every record needs a key.
    pub compacted: bool,
    /// Whose timestamps count: `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// How far a record may lie in the past: `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// How far a record may lie in the future: `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// How batches are stored: `compression.type` with its level.
    pub compression: TargetCompression,
}

/// Whose timestamps count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's.
    LogAppendTime,
}

/// How batches are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetCompression {
    /// As they were sent.
    Producer,
    /// With this codec. What was sent with the same codec stays as it is, whatever its level.
    Codec {
        /// The codec.
        codec: Compression,
        /// Its level, or the default.
        level: Option<i32>,
    },
}

/// A batch that may be appended.
///
/// The log sets [`base_offset`](BatchHeader::base_offset) and
/// [`partition_leader_epoch`](BatchHeader::partition_leader_epoch), which the CRC does not cover, and writes the header's
/// bytes followed by the payload.
#[derive(Clone, Debug)]
pub struct ValidBatch {
    /// The header, in agreement with the payload and the topic's timestamp type. The CRC is right.
    pub header: BatchHeader,
    /// What follows the header.
    pub payload: Bytes,
    /// Offset, less the base offset, of the first record with the greatest timestamp.
    pub offset_delta_of_max_timestamp: i32,
}

/// Validates the records that version `version` of Produce brings for one partition.
pub fn validate(
    records: Option<&Bytes>,
    version: i16,
    rules: &Rules,
    now_ms: i64,
) -> Result<ValidBatch, ValidateError> {
    Validation { rules, now_ms, decompressed_limit: rules.decompressed_limit() }.run(records, version)
}

/// Validates unless that turns out to be heavy work: then `None`, and [`validate`] is to be called on a thread that serves
/// no sockets.
///
/// The size of a compressed batch says little about its content's, so decompression starts and gives up early.
pub fn validate_if_light(
    records: Option<&Bytes>,
    version: i16,
    rules: &Rules,
    now_ms: i64,
) -> Option<Result<ValidBatch, ValidateError>> {
    if records.is_some_and(|records| is_heavy(records, rules)) {
        return None;
    }
    let decompressed_limit = rules.decompressed_limit().min(LIGHT_DECOMPRESSED_BYTES);
    match (Validation { rules, now_ms, decompressed_limit }).run(records, version) {
        Err(ValidateError::InvalidBatch(InvalidBatch::DecompressedSize { limit }))
            if limit < rules.decompressed_limit() =>
        {
            None
        }
        done => Some(done),
    }
}

/// Whether the header alone says that validation is heavy work.
#[must_use]
pub fn is_heavy(records: &[u8], rules: &Rules) -> bool {
    let header = BatchHeader::parse(records).ok();
    let Some(source) = header.and_then(|header| Compression::from_id(header.compression_id())) else {
        return false;
    };
    let light_bytes = match Work::for_batch(source, rules.compression) {
        Work::Walk => LIGHT_PLAIN_BYTES,
        Work::Stream { .. } => LIGHT_COMPRESSED_BYTES,
        Work::Recompress { .. } => LIGHT_RECOMPRESSED_BYTES,
    };
    records.len() > light_bytes
}

impl Rules {
    /// Most bytes that a batch may have when decompressed.
    #[must_use]
    pub fn decompressed_limit(&self) -> usize {
        decompressed_limit(self.max_message_bytes, self.max_decompressed_bytes)
    }
}

/// Most bytes that a batch may have when decompressed, of a topic with these settings.
#[must_use]
pub fn decompressed_limit(max_message_bytes: usize, max_decompressed_bytes: usize) -> usize {
    let by_ratio = max_message_bytes.saturating_mul(DECOMPRESSED_RATIO_MAX);
    max_decompressed_bytes.min(by_ratio.max(DECOMPRESSED_BYTES_MIN))
}

/// What there is to do with a batch's payload.
enum Work {
    /// Not compressed, and to stay so.
    Walk,
    /// Compressed, and to stay so.
    Stream { codec: Compression },
    /// To be stored with another codec, which may be none.
    Recompress { source: Compression, target: Compression, level: Option<i32> },
}

impl Work {
    fn for_batch(source: Compression, target: TargetCompression) -> Self {
        match target {
            TargetCompression::Codec { codec, level } if codec != source => {
                Self::Recompress { source, target: codec, level }
            }
            _ if source == Compression::None => Self::Walk,
            _ => Self::Stream { codec: source },
        }
    }
}

/// One validation under way.
struct Validation<'a> {
    rules: &'a Rules,
    now_ms: i64,
    decompressed_limit: usize,
}

/// The greatest timestamp of a batch, and its first record that has it.
struct MaxTimestamp {
    timestamp: i64,
    offset_delta: i32,
}

impl Validation<'_> {
    fn run(&self, records: Option<&Bytes>, version: i16) -> Result<ValidBatch, ValidateError> {
        let batch = only_batch(records)?;
        self.check_message_size(batch.bytes().len())?;
        check_crc(&batch)?;
        let source = check_header(batch.header(), version)?;
        let header = batch.header();
        self.check_record_count(header)?;
        match Work::for_batch(source, self.rules.compression) {
            Work::Walk => {
                let max = self.walk_plain(header, &batch.payload())?;
                self.keep(&batch, &max)
            }
            Work::Stream { codec } => {
                let payload = batch.payload();
                let records = RecordStream::new(codec, &payload, self.decompressed_limit)?;
                let max = self.check_records(header, records)?;
                self.keep(&batch, &max)
            }
            Work::Recompress { source, target, level } => {
                let plain = decompress(source, &batch.payload(), self.decompressed_limit)?;
                let max = self.walk_plain(header, &plain)?;
                self.replace(header, target, compress(target, level, &plain)?, &max)
            }
        }
    }

    fn walk_plain(&self, header: &BatchHeader, payload: &[u8]) -> Result<MaxTimestamp, ValidateError> {
        self.check_records(header, walk(payload).map(|record| record.map_err(StreamError::Record)))
    }

    /// Holds each record against the header and the rules.
    fn check_records(
        &self,
        header: &BatchHeader,
        records: impl Iterator<Item = Result<RecordMeta, StreamError>>,
    ) -> Result<MaxTimestamp, ValidateError> {
        let declared = header.record_count;
        let allowed = self.allowed_timestamps();
        let mut max = MaxTimestamp { timestamp: NO_TIMESTAMP, offset_delta: 0 };
        let mut rejected = RejectedRecords::default();
        let mut index = 0_i32;
        for record in records {
            let record = record.map_err(|error| unreadable(index, error))?;
            check_place(index, declared, &record)?;
            let timestamp = header.base_timestamp.checked_add(record.timestamp_delta);
            if self.rules.compacted && !record.has_key {
                rejected.add_invalid(index, || "a record of a compacted topic needs a key".into());
            } else if !allows(allowed.as_ref(), timestamp) {
                rejected.add_timestamp(index, || describe_range(timestamp, allowed.as_ref()));
            }
            if let Some(timestamp) = timestamp.filter(|&timestamp| timestamp > max.timestamp) {
                max = MaxTimestamp { timestamp, offset_delta: index };
            }
            index = index.saturating_add(1);
        }
        if index < declared {
            return Err(InvalidBatch::FewerRecords { declared, found: index }.into());
        }
        rejected.into_result().map(|()| max)
    }

    /// The timestamps that a record may have; any if the broker's will take their place.
    fn allowed_timestamps(&self) -> Option<RangeInclusive<i64>> {
        let earliest = self.now_ms.saturating_sub(self.rules.timestamp_before_max_ms);
        let latest = self.now_ms.saturating_add(self.rules.timestamp_after_max_ms);
        (self.rules.timestamp_type == TimestampType::CreateTime).then_some(earliest..=latest)
    }

    /// The batch as it came, with its header corrected.
    fn keep(&self, batch: &RecordBatch, max: &MaxTimestamp) -> Result<ValidBatch, ValidateError> {
        let (header, offset_delta_of_max_timestamp) = self.stamp(*batch.header(), max);
        let valid = ValidBatch { header, payload: batch.payload(), offset_delta_of_max_timestamp };
        if header == *batch.header() { self.check_segment_size(valid) } else { self.seal(valid) }
    }

    /// The batch with another payload.
    fn replace(
        &self,
        header: &BatchHeader,
        codec: Compression,
        payload: Bytes,
        max: &MaxTimestamp,
    ) -> Result<ValidBatch, ValidateError> {
        let (mut header, offset_delta_of_max_timestamp) = self.stamp(*header, max);
        header.set_compression_id(codec.id());
        self.check_message_size(HEADER_SIZE.saturating_add(payload.len()))?;
        self.seal(ValidBatch { header, payload, offset_delta_of_max_timestamp })
    }

    fn seal(&self, mut batch: ValidBatch) -> Result<ValidBatch, ValidateError> {
        if !batch.header.seal(&batch.payload) {
            let size = HEADER_SIZE.saturating_add(batch.payload.len());
            return Err(ValidateError::MessageTooLarge { size, max: self.rules.max_message_bytes });
        }
        self.check_segment_size(batch)
    }

    /// Sets the header's timestamps as the topic wants them. The base stays: the records' deltas refer to it.
    fn stamp(&self, mut header: BatchHeader, max: &MaxTimestamp) -> (BatchHeader, i32) {
        match self.rules.timestamp_type {
            TimestampType::CreateTime => {
                header.max_timestamp = max.timestamp;
                (header, max.offset_delta)
            }
            TimestampType::LogAppendTime => {
                header.set_log_append_time(self.now_ms);
                (header, 0)
            }
        }
    }

    /// Each record costs time, and a compressed batch may have very many.
    fn check_record_count(&self, header: &BatchHeader) -> Result<(), ValidateError> {
        let max = self.rules.max_records;
        let count = usize::try_from(header.record_count).expect("the header was checked: it is positive");
        if count > max { Err(ValidateError::TooManyRecords { count, max }) } else { Ok(()) }
    }

    fn check_segment_size(&self, batch: ValidBatch) -> Result<ValidBatch, ValidateError> {
        let (size, max) = (batch.header.size(), self.rules.segment_bytes);
        if size > max { Err(ValidateError::RecordListTooLarge { size, max }) } else { Ok(batch) }
    }

    fn check_message_size(&self, size: usize) -> Result<(), ValidateError> {
        let max = self.rules.max_message_bytes;
        if size > max { Err(ValidateError::MessageTooLarge { size, max }) } else { Ok(()) }
    }
}

/// The batch, which must be the only one.
fn only_batch(records: Option<&Bytes>) -> Result<RecordBatch, ValidateError> {
    let mut rest = records.cloned().unwrap_or_default();
    if rest.is_empty() {
        return Err(InvalidBatch::NoBatch.into());
    }
    let batch = RecordBatch::split_from(&mut rest).map_err(|error| match error {
        BatchError::Truncated { needed, available } => InvalidBatch::Truncated { needed, available }.into(),
        BatchError::Magic { magic: magic @ 0..=1 } => ValidateError::UnsupportedForMessageFormat { magic },
        other => CorruptBatch::Batch(other).into(),
    })?;
    if rest.is_empty() { Ok(batch) } else { Err(InvalidBatch::BytesAfterBatch { bytes: rest.len() }.into()) }
}

fn check_crc(batch: &RecordBatch) -> Result<(), ValidateError> {
    batch.check_crc().map_err(|error| CorruptBatch::Batch(error).into())
}

/// Checks everything that the header alone can tell, and returns the codec.
fn check_header(header: &BatchHeader, version: i16) -> Result<Compression, ValidateError> {
    check_attributes(header)?;
    check_offsets(header)?;
    check_producer(header)?;
    let id = header.compression_id();
    match Compression::from_id(id) {
        None => Err(ValidateError::UnknownCodec { id }),
        Some(Compression::Zstd) if version < ZSTD_VERSION_MIN => Err(ValidateError::ZstdTooEarly { version }),
        Some(codec) => Ok(codec),
    }
}

fn check_attributes(header: &BatchHeader) -> Result<(), ValidateError> {
    let bits = header.unknown_attributes();
    if bits != 0 {
        return Err(InvalidBatch::UnknownAttributes { bits: bits.cast_unsigned() }.into());
    }
    if header.is_control() {
        return Err(InvalidBatch::Control.into());
    }
    if header.has_delete_horizon() {
        return Err(InvalidBatch::DeleteHorizon.into());
    }
    if header.is_log_append_time() {
        return Err(ValidateError::LogAppendTimeByProducer);
    }
    Ok(())
}

fn check_offsets(header: &BatchHeader) -> Result<(), InvalidBatch> {
    let &BatchHeader { base_offset, last_offset_delta, record_count, .. } = header;
    if base_offset != 0 {
        return Err(InvalidBatch::BaseOffset { base_offset });
    }
    if record_count <= 0 {
        return Err(InvalidBatch::RecordCount { record_count });
    }
    if last_offset_delta != record_count.saturating_sub(1) {
        return Err(InvalidBatch::OffsetRange { last_offset_delta, record_count });
    }
    Ok(())
}

fn check_producer(header: &BatchHeader) -> Result<(), InvalidBatch> {
    let &BatchHeader { producer_id, producer_epoch, base_sequence, .. } = header;
    if !header.has_producer_id() {
        return if header.is_transactional() { Err(InvalidBatch::NoProducer) } else { Ok(()) };
    }
    if base_sequence < 0 {
        return Err(InvalidBatch::Sequence { producer_id, base_sequence });
    }
    if producer_epoch < 0 {
        return Err(InvalidBatch::ProducerEpoch { producer_id, producer_epoch });
    }
    Ok(())
}

#[inline]
fn check_place(index: i32, declared: i32, record: &RecordMeta) -> Result<(), InvalidBatch> {
    if index == declared {
        return Err(InvalidBatch::MoreRecords { declared });
    }
    if record.offset_delta != index {
        return Err(InvalidBatch::OffsetDelta { index, delta: record.offset_delta });
    }
    Ok(())
}

#[inline]
fn allows(allowed: Option<&RangeInclusive<i64>>, timestamp: Option<i64>) -> bool {
    let Some(allowed) = allowed else { return true };
    timestamp.is_some_and(|timestamp| timestamp == NO_TIMESTAMP || allowed.contains(&timestamp))
}

fn unreadable(index: i32, error: StreamError) -> ValidateError {
    match error {
        StreamError::Decompress(error) => error.into(),
        StreamError::Record(error) => InvalidBatch::Record { index, error }.into(),
    }
}

impl From<DecompressError> for ValidateError {
    fn from(error: DecompressError) -> Self {
        match error {
            DecompressError::TooLarge { limit } => InvalidBatch::DecompressedSize { limit }.into(),
            corrupt @ DecompressError::Corrupt { .. } => CorruptBatch::Payload(corrupt).into(),
        }
    }
}

fn describe_range(timestamp: Option<i64>, allowed: Option<&RangeInclusive<i64>>) -> String {
    match (timestamp, allowed) {
        (Some(timestamp), Some(allowed)) => {
            format!("timestamp {timestamp} is not within {} to {}", allowed.start(), allowed.end())
        }
        _ => "the timestamp is beyond 64 bits".into(),
    }
}

#[cfg(test)]
mod tests;
