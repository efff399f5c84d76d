//! The batches of a log, one after the other, as somebody wants them who replays it.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::io;

use bytes::Bytes;

use super::partition_log::{PartitionLog, ReadError};
use crate::protocol::records::batch::{BatchError, RecordBatch};

/// Bytes read at a time, if a batch is not larger.
const PIECE_BYTES: usize = 1 << 20;

/// Reads the batches of a log up to where it ended when this was made. CRCs are not looked at.
pub struct BatchReader<'a> {
    log: &'a PartitionLog,
    offset: i64,
    end: i64,
    /// What was read and not given out. It may end within a batch, which the next piece begins with.
    piece: Bytes,
}

/// Why there is no next batch.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum BatchReadError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("offset {offset}: {source}")]
    Io { offset: i64, source: io::Error },
    #[error("batch at offset {offset}: {source}")]
    Batch { offset: i64, source: BatchError },
    #[error("batch at offset {offset}: its last offset is {last}")]
    Backwards { offset: i64, last: i64 },
}

impl<'a> BatchReader<'a> {
    /// Begins with the batch that has `offset`.
    #[must_use]
    pub fn new(log: &'a PartitionLog, offset: i64) -> Self {
        Self { log, offset, end: log.offsets().log_end(), piece: Bytes::new() }
    }

    /// The offset that the next batch has, or comes after if compaction has left a gap there.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// The offset after the last batch.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.end
    }

    /// The next batch. There may be none before the end: compaction may have left nothing up to it.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>, BatchReadError> {
        let offset = self.offset;
        let batch = match RecordBatch::split_from(&mut self.piece) {
            Ok(batch) => batch,
            Err(_) if offset >= self.end => return Ok(None),
            Err(_) => {
                let Some(range) = self.log.read(offset, PIECE_BYTES, true, self.end)?.records else { return Ok(None) };
                self.piece = range.read().map_err(|source| BatchReadError::Io { offset, source })?;
                RecordBatch::split_from(&mut self.piece).map_err(|source| BatchReadError::Batch { offset, source })?
            }
        };
        let last = batch.header().last_offset();
        if last < offset {
            return Err(BatchReadError::Backwards { offset, last });
        }
        self.offset = last.saturating_add(1);
        Ok(Some(batch))
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use uuid::Uuid;

    use super::*;
    use crate::{
        log::{
            disk::sim::SimDisk,
            log_config::LogConfig,
            log_dir::{LogDir, LogDirSettings},
            partition_log::test_batches::batch,
        },
        protocol::ids::TopicPartition,
    };

    #[test]
    fn batches_come_in_order_whatever_the_pieces_and_segments_end_with() {
        let settings = LogDirSettings::for_tests();
        let dir = LogDir::open(Arc::new(SimDisk::new(1)), Path::new("/data"), &settings, 0).expect("opened");
        let config = LogConfig { segment_bytes: 5 * PIECE_BYTES as u64 / 2, ..LogConfig::default() };
        let partition = TopicPartition::new("t", 0);
        let log = dir.create_partition(&partition, Uuid::from_u128(1), config, 0, 0).expect("created");
        // Of very different sizes, some of them larger than a piece.
        for size in [100, PIECE_BYTES / 3, PIECE_BYTES, PIECE_BYTES + 1, 7, PIECE_BYTES / 2, PIECE_BYTES / 2, 7, 7] {
            log.append(&batch(2, 1, size), 0, 1).expect("appended");
        }
        let offsets = |from| {
            let mut reader = BatchReader::new(&log, from);
            let mut offsets = Vec::new();
            while let Some(batch) = reader.next_batch().expect("readable") {
                offsets.push(batch.header().base_offset);
            }
            assert_eq!(reader.offset(), reader.end());
            offsets
        };
        assert_eq!(offsets(0), [0, 2, 4, 6, 8, 10, 12, 14, 16]);
        assert_eq!(offsets(5), [4, 6, 8, 10, 12, 14, 16], "from the batch that has the offset");
        assert!(offsets(18).is_empty());
    }
}
