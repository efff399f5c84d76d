//! The header of a record batch, and a batch whose header agrees with its bytes.
//!
//! | at | bytes | field                  | in the CRC |
//! |---:|------:|------------------------|------------|
//! |  0 |     8 | base offset            | no         |
//! |  8 |     4 | length after this field| no         |
//! | 12 |     4 | partition leader epoch | no         |
//! | 16 |     1 | magic, 2               | no         |
//! | 17 |     4 | CRC-32C of the rest    | –          |
//! | 21 |     2 | attributes             | yes        |
//! | 23 |     4 | last offset delta      | yes        |
//! | 27 |     8 | base timestamp         | yes        |
//! | 35 |     8 | max timestamp          | yes        |
//! | 43 |     8 | producer id            | yes        |
//! | 51 |     2 | producer epoch         | yes        |
//! | 53 |     4 | base sequence          | yes        |
//! | 57 |     4 | record count           | yes        |
//! | 61 |       | records                | yes        |
//!
//! A broker assigns base offset and leader epoch without touching the CRC: that is why they lie outside it.

use bytes::Bytes;

use super::{
    compression::{self, Compression, DecompressError},
    record::RecordIter,
};
use crate::protocol::fixed::field;

/// Bytes of the header, and so the least size of a batch.
pub const HEADER_SIZE: usize = 61;
/// Bytes before the part that the length field counts.
pub const LOG_OVERHEAD: usize = 12;
/// The least that the length field says: a header without records.
const LENGTH_MIN: usize = HEADER_SIZE - LOG_OVERHEAD;
/// The only magic that is written today.
pub const MAGIC_V2: i8 = 2;

/// Where the magic byte stands in every record format.
const MAGIC_AT: usize = 16;
/// Where the CRC stands.
const CRC_AT: usize = 17;
/// The first byte that the CRC covers.
const ATTRIBUTES_AT: usize = 21;

const COMPRESSION_MASK: i16 = 0x07;
const TIMESTAMP_TYPE_BIT: i16 = 0x08;
const TRANSACTIONAL_BIT: i16 = 0x10;
const CONTROL_BIT: i16 = 0x20;
const DELETE_HORIZON_BIT: i16 = 0x40;
const KNOWN_BITS: i16 = 0x7f;

/// A batch's header as it was read. Numbers only: whether they make sense is the reader's to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Bytes after the length field. Parsing assures that it is at least the rest of the header.
    pub length: i32,
    /// Epoch of the leader that appended the batch.
    pub partition_leader_epoch: i32,
    /// CRC-32C over everything from the attributes on.
    pub crc: u32,
    /// Codec, timestamp type and flags.
    pub attributes: i16,
    /// Offset of the last record less the base offset. Stays when compaction removes that record.
    pub last_offset_delta: i32,
    /// Timestamp that the records' deltas refer to; with a delete horizon, that horizon.
    pub base_timestamp: i64,
    /// Greatest timestamp in the batch; with LogAppendTime, the time of all its records.
    pub max_timestamp: i64,
    /// The producer's id, or -1.
    pub producer_id: i64,
    /// The producer's epoch, or -1.
    pub producer_epoch: i16,
    /// Sequence of the first record, or -1.
    pub base_sequence: i32,
    /// Number of records.
    pub record_count: i32,
}

/// Why bytes are not a record batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Fewer bytes than the header or the length field asks for.
    #[error("batch needs {needed} bytes, {available} are there")]
    Truncated {
        /// Bytes that the batch needs.
        needed: usize,
        /// Bytes that are there.
        available: usize,
    },
    /// The length field is less than the header itself.
    #[error("batch length {length} is less than the least, {LENGTH_MIN}")]
    TooShort {
        /// The length field.
        length: i32,
    },
    /// Not the format that this module reads.
    #[error("record format (magic) {magic} is not supported, only {MAGIC_V2} is")]
    Magic {
        /// The magic byte.
        magic: i8,
    },
    /// The stored CRC is not that of the bytes.
    #[error("batch at offset {base_offset}: stored CRC {stored:#010x}, computed {computed:#010x}")]
    Crc {
        /// Base offset of the batch.
        base_offset: i64,
        /// The CRC in the header.
        stored: u32,
        /// The CRC of the bytes.
        computed: u32,
    },
}

/// Why a batch's records cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordsError {
    /// The format knows no codec with this number.
    #[error("unknown compression codec {id}")]
    Codec {
        /// The number in the attributes.
        id: i16,
    },
    /// The payload cannot be decompressed.
    #[error(transparent)]
    Decompress(#[from] DecompressError),
}

impl BatchHeader {
    /// Reads a header. The batch's records need not be in `bytes`; its length is checked against the least possible.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let available = bytes.len();
        if let Some(magic) = bytes.get(MAGIC_AT).map(|byte| byte.cast_signed())
            && magic != MAGIC_V2
        {
            return Err(BatchError::Magic { magic });
        }
        let header: &[u8; HEADER_SIZE] =
            bytes.first_chunk().ok_or(BatchError::Truncated { needed: HEADER_SIZE, available })?;
        let header = Self {
            base_offset: i64::from_be_bytes(field::<0, _, _>(header)),
            length: i32::from_be_bytes(field::<8, _, _>(header)),
            partition_leader_epoch: i32::from_be_bytes(field::<12, _, _>(header)),
            crc: u32::from_be_bytes(field::<CRC_AT, _, _>(header)),
            attributes: i16::from_be_bytes(field::<ATTRIBUTES_AT, _, _>(header)),
            last_offset_delta: i32::from_be_bytes(field::<23, _, _>(header)),
            base_timestamp: i64::from_be_bytes(field::<27, _, _>(header)),
            max_timestamp: i64::from_be_bytes(field::<35, _, _>(header)),
            producer_id: i64::from_be_bytes(field::<43, _, _>(header)),
            producer_epoch: i16::from_be_bytes(field::<51, _, _>(header)),
            base_sequence: i32::from_be_bytes(field::<53, _, _>(header)),
            record_count: i32::from_be_bytes(field::<57, _, _>(header)),
        };
        match usize::try_from(header.length) {
            Ok(length) if length >= LENGTH_MIN => Ok(header),
            _ => Err(BatchError::TooShort { length: header.length }),
        }
    }

    /// The header's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        bytes[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.length.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.partition_leader_epoch.to_be_bytes());
        bytes[MAGIC_AT] = MAGIC_V2.cast_unsigned();
        bytes[17..21].copy_from_slice(&self.crc.to_be_bytes());
        bytes[21..23].copy_from_slice(&self.attributes.to_be_bytes());
        bytes[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        bytes[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        bytes[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        bytes[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        bytes[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        bytes[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        bytes[57..61].copy_from_slice(&self.record_count.to_be_bytes());
        bytes
    }

    /// Bytes of the whole batch.
    #[must_use]
    pub fn size(&self) -> usize {
        // A parsed length is positive; a hand-made header with another is a bug that this makes visible as an empty batch.
        usize::try_from(self.length).map_or(0, |length| length.saturating_add(LOG_OVERHEAD))
    }

    /// Offset of the last record (or of the last that was, before compaction).
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// The codec's number, 0 for none.
    #[must_use]
    pub fn compression_id(&self) -> i16 {
        self.attributes & COMPRESSION_MASK
    }

    /// Whether the timestamps are the broker's (LogAppendTime), not the producer's.
    #[must_use]
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & TIMESTAMP_TYPE_BIT != 0
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Whether the batch holds a control record.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// Whether the base timestamp is a delete horizon (KIP-534).
    #[must_use]
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes & DELETE_HORIZON_BIT != 0
    }

    /// From when on the tombstones and markers in it may go.
    #[must_use]
    pub fn delete_horizon(&self) -> Option<i64> {
        self.has_delete_horizon().then_some(self.base_timestamp)
    }

    /// The attribute bits that the format does not define.
    #[must_use]
    pub fn unknown_attributes(&self) -> i16 {
        self.attributes & !KNOWN_BITS
    }

    /// Whether an idempotent or transactional producer wrote the batch.
    #[must_use]
    pub fn has_producer_id(&self) -> bool {
        self.producer_id >= 0
    }

    /// The timestamp of a record of this batch.
    #[must_use]
    pub fn record_timestamp(&self, timestamp_delta: i64) -> i64 {
        if self.is_log_append_time() { self.max_timestamp } else { self.base_timestamp.wrapping_add(timestamp_delta) }
    }

    /// Sets the codec's number.
    pub fn set_compression_id(&mut self, id: i16) {
        self.attributes = self.attributes & !COMPRESSION_MASK | id & COMPRESSION_MASK;
    }

    /// Makes `timestamp` the time of all records: LogAppendTime.
    pub fn set_log_append_time(&mut self, timestamp: i64) {
        self.attributes |= TIMESTAMP_TYPE_BIT;
        self.max_timestamp = timestamp;
    }

    /// Marks the batch as part of a transaction.
    pub fn set_transactional(&mut self) {
        self.attributes |= TRANSACTIONAL_BIT;
    }

    /// Marks the batch as one that holds a control record.
    pub fn set_control(&mut self) {
        self.attributes |= CONTROL_BIT;
    }

    /// Says from when on the tombstones and markers in it may go. The records' deltas refer to that from here on.
    pub fn set_delete_horizon(&mut self, horizon: Option<i64>) {
        self.attributes &= !DELETE_HORIZON_BIT;
        if let Some(horizon) = horizon {
            self.attributes |= DELETE_HORIZON_BIT;
            self.base_timestamp = horizon;
        }
    }

    /// Sets the length and the CRC to those of this header before `payload`. False if the batch is too long to have one.
    #[must_use]
    pub fn seal(&mut self, payload: &[u8]) -> bool {
        let Ok(length) = i32::try_from(LENGTH_MIN.saturating_add(payload.len())) else { return false };
        self.length = length;
        self.crc = crc32c::crc32c_append(compute_crc(&self.to_bytes()), payload);
        true
    }
}

/// The CRC that belongs into the header of this batch. `batch` is the whole batch; what ends before the first byte that
/// is covered has the CRC of no bytes.
#[must_use]
pub fn compute_crc(batch: &[u8]) -> u32 {
    crc32c::crc32c(batch.get(ATTRIBUTES_AT..).unwrap_or_default())
}

/// One batch, whole: the header is the one in `bytes`, the length is right. The CRC is not implied.
#[derive(Clone, Debug)]
pub struct RecordBatch {
    header: BatchHeader,
    bytes: Bytes,
}

impl RecordBatch {
    /// Cuts the first batch off `bytes`.
    pub fn split_from(bytes: &mut Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        let needed = header.size();
        if bytes.len() < needed {
            return Err(BatchError::Truncated { needed, available: bytes.len() });
        }
        Ok(Self { header, bytes: bytes.split_to(needed) })
    }

    /// Puts a header before its payload and sets its length and CRC. `None` if the batch is too long to have a length.
    #[must_use]
    pub fn assemble(mut header: BatchHeader, payload: &[u8]) -> Option<Self> {
        if !header.seal(payload) {
            return None;
        }
        Some(Self { header, bytes: [&header.to_bytes(), payload].concat().into() })
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch, header included.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What follows the header: records, compressed as the header says.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        self.bytes.slice(HEADER_SIZE..)
    }

    /// The records, decompressed to `limit` bytes at most.
    pub fn records(&self, limit: usize) -> Result<RecordIter, RecordsError> {
        let id = self.header.compression_id();
        let codec = Compression::from_id(id).ok_or(RecordsError::Codec { id })?;
        Ok(RecordIter::new(compression::decompress(codec, &self.payload(), limit)?))
    }

    /// Holds the stored CRC against the bytes.
    pub fn check_crc(&self) -> Result<(), BatchError> {
        let computed = compute_crc(&self.bytes);
        if computed == self.header.crc {
            return Ok(());
        }
        Err(BatchError::Crc { base_offset: self.header.base_offset, stored: self.header.crc, computed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> BatchHeader {
        BatchHeader {
            base_offset: 0x0102_0304_0506_0708,
            length: 60,
            partition_leader_epoch: 7,
            crc: 0xdead_beef,
            attributes: 0x14,
            last_offset_delta: 4,
            base_timestamp: 1_000,
            max_timestamp: 2_000,
            producer_id: 99,
            producer_epoch: 3,
            base_sequence: 12,
            record_count: 5,
        }
    }

    #[test]
    fn a_header_survives_its_bytes() {
        let header = sample();
        assert_eq!(BatchHeader::parse(&header.to_bytes()), Ok(header));
        assert_eq!(header.size(), 72);
        assert_eq!(header.last_offset(), header.base_offset + 4);
        assert_eq!(header.compression_id(), 4);
        assert!(header.is_transactional() && !header.is_control() && !header.is_log_append_time());
    }

    #[test]
    fn a_sealed_header_belongs_to_its_payload() {
        for payload in [&b""[..], b"x", &[7; 1_000]] {
            let batch = RecordBatch::assemble(sample(), payload).expect("short");
            assert_eq!(batch.check_crc(), Ok(()));
            assert_eq!(batch.header().size(), HEADER_SIZE + payload.len());
            let mut rest = batch.bytes().clone();
            assert_eq!(RecordBatch::split_from(&mut rest).expect("whole").header(), batch.header());
        }
    }

    #[test]
    fn attributes_are_set_one_by_one() {
        let mut header = BatchHeader { attributes: 3, ..sample() };
        header.set_compression_id(4);
        header.set_transactional();
        header.set_control();
        assert_eq!((header.attributes, header.record_timestamp(5)), (0x34, 1_005));
        header.set_log_append_time(9);
        assert_eq!((header.attributes, header.record_timestamp(5)), (0x3c, 9));
        header.set_delete_horizon(Some(77));
        assert_eq!((header.attributes, header.base_timestamp, header.delete_horizon()), (0x7c, 77, Some(77)));
        header.set_delete_horizon(None);
        assert_eq!((header.attributes, header.delete_horizon()), (0x3c, None));
        assert_eq!(BatchHeader { attributes: -1, ..header }.unknown_attributes(), -128);
    }

    #[test]
    fn what_is_not_a_batch_is_refused() {
        let bytes = sample().to_bytes();
        assert_eq!(BatchHeader::parse(&bytes[..60]), Err(BatchError::Truncated { needed: HEADER_SIZE, available: 60 }));
        let short = BatchHeader { length: 48, ..sample() };
        assert_eq!(BatchHeader::parse(&short.to_bytes()), Err(BatchError::TooShort { length: 48 }));
        let mut old = bytes;
        old[MAGIC_AT] = 1;
        assert_eq!(BatchHeader::parse(&old), Err(BatchError::Magic { magic: 1 }));
    }

    #[test]
    fn a_batch_is_cut_off_whole_or_not_at_all() {
        let mut bytes = sample().to_bytes().to_vec();
        bytes.extend([0; 10]);
        let mut input = Bytes::from(bytes.clone());
        assert_eq!(
            RecordBatch::split_from(&mut input).expect_err("one byte is missing"),
            BatchError::Truncated { needed: 72, available: 71 }
        );
        bytes.extend([0, 0xff]);
        let mut input = Bytes::from(bytes);
        let batch = RecordBatch::split_from(&mut input).expect("whole");
        assert_eq!(input.as_ref(), [0xff]);
        assert_eq!(batch.payload().len(), 11);
        assert!(matches!(batch.check_crc(), Err(BatchError::Crc { stored: 0xdead_beef, .. })));
    }
}
