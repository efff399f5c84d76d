//! The metadata log, `__cluster_metadata-0`: the only home of what the cluster is. Decide, append, flush, apply.
//!
//! A change is decided against the current image, its records are appended as one batch, which is atomic, and flushed;
//! then the same function applies them that a start replays the log with. Whoever reads the image sees only what is on
//! disk.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::{
    image::{ApplyError, Image},
    record::{MetadataRecord, RecordError},
};
use crate::{
    clock::TimestampMs,
    log::partition_log::{AppendBatch, AppendError, FlushError, PartitionLog, ReadError},
    protocol::{
        records::{
            batch::{BatchError, RecordBatch},
            builder::{BatchBuilder, BuildError, NewRecord},
        },
        wire::EncodeError,
    },
};

/// Epoch of the one controller there is, this process.
const LEADER_EPOCH: i32 = 1;
/// Bytes read at once while replaying.
const REPLAY_BYTES: usize = 1 << 20;
/// Bytes of a decompressed batch of metadata; Apache Kafka writes 8 MiB at most.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// The metadata log and the image that it amounts to.
pub struct Journal {
    log: Arc<PartitionLog>,
    image: RwLock<Arc<Image>>,
    /// One change at a time, from its decision to its being applied.
    deciding: Mutex<()>,
}

/// Why the metadata log could not be replayed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum ReplayError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("reading the metadata log: {0}")]
    Io(#[from] std::io::Error),
    #[error("metadata batch at offset {offset}: {source}")]
    Batch { offset: i64, source: BatchError },
    #[error("metadata batch at offset {offset}: {reason}")]
    Records { offset: i64, reason: String },
    #[error("metadata record at offset {offset}: {source}")]
    Record { offset: i64, source: RecordError },
    #[error("metadata record at offset {offset}: {source}")]
    Apply { offset: i64, source: ApplyError },
    #[error("the metadata log ends at offset {end}, but there is nothing at offset {offset}")]
    Gap { offset: i64, end: i64 },
}

/// Why a change was not made. Nothing of it is in the image.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum CommitError {
    #[error("a metadata record cannot be written: {0}")]
    Encode(#[from] EncodeError),
    #[error("a metadata batch cannot be built: {0}")]
    Build(#[from] BuildError),
    #[error("the metadata log: {0}")]
    Append(#[from] AppendError),
    #[error("the metadata log: {0}")]
    Flush(#[from] FlushError),
}

impl Journal {
    /// Replays the log.
    pub fn open(log: Arc<PartitionLog>) -> Result<Self, ReplayError> {
        let image = replay(&log)?;
        log.begin_epoch(LEADER_EPOCH);
        Ok(Self { log, image: RwLock::new(Arc::new(image)), deciding: Mutex::new(()) })
    }

    /// The current image.
    #[must_use]
    pub fn image(&self) -> Arc<Image> {
        Arc::clone(&self.image.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The log itself.
    #[must_use]
    pub fn log(&self) -> &Arc<PartitionLog> {
        &self.log
    }

    /// Makes the change that `decide` makes of the current image: its records are on disk and in the image when this
    /// returns. Blocks for as long as the disk takes.
    pub fn change<T, E: From<CommitError>>(
        &self,
        now: TimestampMs,
        decide: impl FnOnce(&Image) -> Result<(Vec<MetadataRecord>, T), E>,
    ) -> Result<T, E> {
        let _deciding = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        let (records, decision) = decide(&self.image())?;
        if !records.is_empty() {
            self.commit(&records, now)?;
        }
        Ok(decision)
    }

    fn commit(&self, records: &[MetadataRecord], now: TimestampMs) -> Result<(), CommitError> {
        let appended = self.log.append(&batch(records, now)?, LEADER_EPOCH, now)?;
        // It fails for good or not at all: no later change can be decided without these records.
        self.log.commit_now()?;
        let mut image = self.image.write().unwrap_or_else(PoisonError::into_inner);
        let image = Arc::make_mut(&mut image);
        for (offset, record) in (appended.first_offset..).zip(records) {
            image.apply(offset, record).expect("the records were decided against this very image");
        }
        Ok(())
    }
}

fn batch(records: &[MetadataRecord], now: TimestampMs) -> Result<AppendBatch, CommitError> {
    let mut builder = BatchBuilder::new(0);
    for record in records {
        let value = record.encode()?;
        builder.append(&NewRecord { timestamp: now, value: Some(&value), ..NewRecord::default() })?;
    }
    let batch = builder.build()?;
    Ok(AppendBatch { header: *batch.header(), payload: batch.payload() })
}

fn replay(log: &PartitionLog) -> Result<Image, ReplayError> {
    let mut image = Image::default();
    let offsets = log.offsets();
    let mut offset = offsets.log_start();
    while offset < offsets.log_end() {
        let slice = log.read(offset, REPLAY_BYTES, true, offsets.log_end())?;
        let range = slice.records.ok_or_else(|| ReplayError::Gap { offset, end: offsets.log_end() })?;
        let mut bytes = range.read()?;
        let first = RecordBatch::split_from(&mut bytes).map_err(|source| ReplayError::Batch { offset, source })?;
        offset = replay_batch(&mut image, &first)?;
        // The slice may end within a batch, which the next one begins with.
        while let Ok(batch) = RecordBatch::split_from(&mut bytes) {
            offset = replay_batch(&mut image, &batch)?;
        }
    }
    Ok(image)
}

/// Applies a batch; returns the offset after it.
fn replay_batch(image: &mut Image, batch: &RecordBatch) -> Result<i64, ReplayError> {
    let header = batch.header();
    let offset = header.base_offset;
    batch.check_crc().map_err(|source| ReplayError::Batch { offset, source })?;
    if !header.is_control() {
        let bad = |reason: String| ReplayError::Records { offset, reason };
        for record in batch.records(BATCH_BYTES_MAX).map_err(|error| bad(error.to_string()))? {
            let record = record.map_err(|error| bad(error.to_string()))?;
            let offset = header.base_offset + i64::from(record.offset_delta);
            let value = record.value.unwrap_or_default();
            let decoded = MetadataRecord::decode(&value).map_err(|source| ReplayError::Record { offset, source })?;
            if let Some(record) = decoded {
                image.apply(offset, &record).map_err(|source| ReplayError::Apply { offset, source })?;
            }
        }
    }
    Ok(header.last_offset() + 1)
}
