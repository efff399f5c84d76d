//! What a shard writes to, and the batches that it writes.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    error::CoordinatorError,
    machine::{Fit, Now, Record},
    replay,
    transaction::Transaction,
};
use crate::{
    log::{
        partition_log::{AppendBatch, AppendError, AppendOrigin, Appended, PartitionLog},
        producer_state::TransactionEnd,
    },
    protocol::records::{
        batch::RecordBatch,
        builder::{BatchBuilder, NewRecord},
        compression::Compression,
    },
};

/// How many times its size a compressed batch may be without compression. It is put together under the shard's lock, and a
/// replay has to be able to take it apart.
const EXPANSION_MAX: usize = 16;

/// What a record takes in a batch beside its key and value, at most.
const RECORD_OVERHEAD: usize = 40;

/// What a record takes in a batch at least: its length, attributes, timestamp, offset, those of key and value, headers.
const RECORD_SIZE_MIN: usize = 7;

/// The sequence number of a coordinator's transactional batches: it has none to count, and nobody checks it.
const BASE_SEQUENCE: i32 = 0;

/// What a shard writes to.
#[derive(Clone)]
pub struct Home {
    /// Its partition.
    pub log: Arc<PartitionLog>,
    /// Of this broker.
    pub leader_epoch: i32,
    /// How batches are compressed.
    pub codec: Compression,
    /// The codec's level, or its own.
    pub level: Option<i32>,
}

impl Home {
    /// So many records no batch has room for, however small they are.
    pub(super) fn too_many(&self) -> usize {
        self.room(Fit::Whole, self.limit(Fit::Whole)) / RECORD_SIZE_MIN + 1
    }

    /// A batch of these records, or of as many as have room in it. Says how many that are.
    pub(super) fn batch<R: Record>(
        &self,
        records: &[R],
        fit: Fit,
        transaction: Option<Transaction<'_>>,
        now: Now,
    ) -> Result<(RecordBatch, usize), CoordinatorError> {
        let limit = self.limit(fit);
        let room = self.room(fit, limit);
        let unwritable = |error: &dyn ToString| CoordinatorError::Unwritable(error.to_string());
        let mut builder = self.builder(transaction);
        let mut count = 0;
        for record in records {
            let (key, value) = record.encode().map_err(|error| unwritable(&error))?;
            let size = key.len() + value.as_ref().map_or(0, Bytes::len) + RECORD_OVERHEAD;
            if fit == Fit::Divisible && count > 0 && builder.size() + size > room {
                break;
            }
            let record =
                NewRecord { timestamp: now.wall, key: Some(&key), value: value.as_deref(), ..NewRecord::default() };
            builder.append(&record).map_err(|error| unwritable(&error))?;
            if builder.size() > room {
                return Err(CoordinatorError::TooLarge { size: builder.size(), limit });
            }
            count += 1;
        }
        let batch = builder.build().map_err(|error| unwritable(&error))?;
        let size = batch.bytes().len();
        if size > limit { Err(CoordinatorError::TooLarge { size, limit }) } else { Ok((batch, count)) }
    }

    fn builder(&self, transaction: Option<Transaction<'_>>) -> BatchBuilder {
        let builder = BatchBuilder::new(0).compression(self.codec, self.level);
        match transaction {
            Some(Transaction { producer, .. }) => {
                builder.producer(producer.id, producer.epoch, BASE_SEQUENCE).transactional()
            }
            None => builder,
        }
    }

    /// Bytes that a batch may have.
    fn limit(&self, fit: Fit) -> usize {
        match fit {
            Fit::Whole | Fit::Divisible => self.log.max_message_bytes(),
            Fit::Exempt => replay::BATCH_BYTES_MAX,
        }
    }

    /// Bytes that a batch may have before it is compressed, where it may have so many after that.
    fn room(&self, fit: Fit, limit: usize) -> usize {
        let is_compressed = self.codec != Compression::None;
        let room = if is_compressed && fit != Fit::Divisible { limit.saturating_mul(EXPANSION_MAX) } else { limit };
        room.min(replay::BATCH_BYTES_MAX)
    }

    /// Appends a batch.
    pub(super) fn append(
        &self,
        batch: &RecordBatch,
        transaction: Option<Transaction<'_>>,
        now: Now,
    ) -> Result<Appended, CoordinatorError> {
        let batch =
            AppendBatch { header: *batch.header(), payload: batch.payload(), origin: AppendOrigin::Coordinator };
        let appended = match transaction.and_then(|transaction| transaction.guard) {
            Some(guard) => self.log.append_verified(&batch, guard, self.leader_epoch, now.wall),
            None => self.log.append(&batch, self.leader_epoch, now.wall),
        };
        appended.map_err(not_appended)
    }

    /// Appends the marker that ends a transaction; `None` if it is there already.
    pub(super) fn end_transaction(&self, end: &TransactionEnd, now: Now) -> Result<Option<Appended>, CoordinatorError> {
        self.log.end_transaction(end, self.leader_epoch, now.wall).map_err(not_appended)
    }
}

fn not_appended(error: AppendError) -> CoordinatorError {
    match error {
        AppendError::Closed => CoordinatorError::NotHere,
        error => CoordinatorError::Append(Arc::new(error)),
    }
}
