//! Builds record batches: for the logs that the broker writes itself, and for control records.

use bytes::Bytes;

use super::{
    batch::{BatchHeader, HEADER_SIZE, RecordBatch},
    compression::{CompressError, Compression, compress},
    control::ControlRecordType,
    record::RecordHeader,
    varint::{write_varint, write_varlong},
};

/// A record to be put into a batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewRecord<'a> {
    /// Its timestamp. Ignored in a batch with LogAppendTime.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: &'a [RecordHeader],
}

/// Why a batch cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A batch has at least one record.
    #[error("a batch without records")]
    Empty,
    /// A length or count that the format has no room for.
    #[error("{what} of {size} is beyond the record format")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        size: usize,
    },
    /// The codec failed.
    #[error(transparent)]
    Compress(#[from] CompressError),
}

/// Builds one batch. Offsets are consecutive, the first record's timestamp is the base.
#[derive(Debug)]
pub struct BatchBuilder {
    header: BatchHeader,
    codec: Compression,
    level: Option<i32>,
    log_append_time: Option<i64>,
    payload: Vec<u8>,
    /// Where a record's body is put together before its length is known.
    body: Vec<u8>,
}

impl BatchBuilder {
    /// Starts a batch whose first record has the offset `base_offset`: not compressed, without a producer, of no epoch.
    #[must_use]
    pub fn new(base_offset: i64) -> Self {
        let header = BatchHeader {
            base_offset,
            length: 0,
            partition_leader_epoch: -1,
            crc: 0,
            attributes: 0,
            last_offset_delta: -1,
            base_timestamp: -1,
            max_timestamp: -1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            record_count: 0,
        };
        let codec = Compression::None;
        Self { header, codec, level: None, log_append_time: None, payload: Vec::new(), body: Vec::new() }
    }

    /// Sets the leader's epoch.
    #[must_use]
    pub fn leader_epoch(mut self, epoch: i32) -> Self {
        self.header.partition_leader_epoch = epoch;
        self
    }

    /// Sets who produced the batch. A control batch has the base sequence -1.
    #[must_use]
    pub fn producer(mut self, producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Self {
        self.header.producer_id = producer_id;
        self.header.producer_epoch = producer_epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Makes the batch part of its producer's transaction.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.header.set_transactional();
        self
    }

    /// Makes it a control batch.
    #[must_use]
    pub fn control(mut self) -> Self {
        self.header.set_control();
        self
    }

    /// Compresses the records.
    #[must_use]
    pub fn compression(mut self, codec: Compression, level: Option<i32>) -> Self {
        self.codec = codec;
        self.level = level;
        self
    }

    /// Makes `timestamp` the time of all records.
    #[must_use]
    pub fn log_append_time(mut self, timestamp: i64) -> Self {
        self.log_append_time = Some(timestamp);
        self
    }

    /// Appends a record. After an error the batch is as it was before.
    pub fn append(&mut self, record: &NewRecord<'_>) -> Result<(), BuildError> {
        let count = self
            .header
            .record_count
            .checked_add(1)
            .ok_or(BuildError::TooLarge { what: "a record count", size: usize::MAX })?;
        let base_timestamp = if count == 1 { record.timestamp } else { self.header.base_timestamp };
        self.encode_body(record, base_timestamp)?;
        write_varint(&mut self.payload, fit("a record", self.body.len())?);
        self.payload.extend_from_slice(&self.body);
        self.header.base_timestamp = base_timestamp;
        self.header.max_timestamp = self.header.max_timestamp.max(record.timestamp);
        self.header.last_offset_delta = self.header.record_count;
        self.header.record_count = count;
        Ok(())
    }

    /// Appends a control record.
    pub fn append_control(&mut self, kind: ControlRecordType, timestamp: i64, value: &[u8]) -> Result<(), BuildError> {
        self.append(&NewRecord { timestamp, key: Some(&kind.to_key()), value: Some(value), headers: &[] })
    }

    /// Records so far.
    #[must_use]
    pub fn record_count(&self) -> i32 {
        self.header.record_count
    }

    /// Bytes of the batch so far, before compression.
    #[must_use]
    pub fn size(&self) -> usize {
        HEADER_SIZE.saturating_add(self.payload.len())
    }

    /// Finishes the batch.
    pub fn build(mut self) -> Result<RecordBatch, BuildError> {
        if self.header.record_count == 0 {
            return Err(BuildError::Empty);
        }
        if let Some(timestamp) = self.log_append_time {
            self.header.set_log_append_time(timestamp);
        }
        self.header.set_compression_id(self.codec.id());
        let payload = compress(self.codec, self.level, &Bytes::from(self.payload))?;
        RecordBatch::assemble(self.header, &payload)
            .ok_or_else(|| BuildError::TooLarge { what: "a batch", size: HEADER_SIZE.saturating_add(payload.len()) })
    }

    fn encode_body(&mut self, record: &NewRecord<'_>, base_timestamp: i64) -> Result<(), BuildError> {
        let body = &mut self.body;
        body.clear();
        body.push(0);
        write_varlong(body, record.timestamp.wrapping_sub(base_timestamp));
        write_varint(body, self.header.record_count);
        write_nullable(body, "a key", record.key)?;
        write_nullable(body, "a value", record.value)?;
        write_varint(body, fit("a header count", record.headers.len())?);
        for header in record.headers {
            write_nullable(body, "a header key", Some(&header.key))?;
            write_nullable(body, "a header value", header.value.as_deref())?;
        }
        Ok(())
    }
}

fn write_nullable(out: &mut Vec<u8>, what: &'static str, bytes: Option<&[u8]>) -> Result<(), BuildError> {
    match bytes {
        None => write_varint(out, -1),
        Some(bytes) => {
            write_varint(out, fit(what, bytes.len())?);
            out.extend_from_slice(bytes);
        }
    }
    Ok(())
}

fn fit(what: &'static str, size: usize) -> Result<i32, BuildError> {
    i32::try_from(size).map_err(|_| BuildError::TooLarge { what, size })
}

#[cfg(test)]
mod tests;
