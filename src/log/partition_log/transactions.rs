//! A log's part in transactions: their first batches come in once the coordinator has confirmed them, their ends by itself.
//!
//! What an append needs and a marker takes away is decided under the writer's lock. So a transaction is open in a partition
//! only while its coordinator knows that, and will end it.

use std::{fmt, sync::Arc};

use super::{AppendBatch, AppendError, AppendOrigin, Appended, PartitionLog};
use crate::{
    clock::TimestampMs,
    log::{
        producer_state::{
            Confirmation, EndVerdict, OpenTransaction, Place, ProducerDescription, ProducerError, TransactionEnd,
        },
        sync::lock,
    },
    protocol::transaction_version::TransactionVersion,
};

/// The place kept for the first batch of a producer's transaction while the coordinator is asked. Dropping it gives the
/// place up.
#[must_use]
pub struct TransactionGuard {
    log: Arc<PartitionLog>,
    place: Place,
    version: TransactionVersion,
}

impl TransactionGuard {
    /// Whether the batch is one that the place was kept for, and it was not taken away. Asked by the writer.
    pub(super) fn confirmation(&self, log: &PartitionLog, batch: &AppendBatch) -> Confirmation {
        let is_for_it = std::ptr::eq(&raw const *self.log, log)
            && self.place.producer_id() == batch.header.producer_id
            && self.place.epoch() == batch.header.producer_epoch;
        if is_for_it && lock(&log.expected).holds(&self.place) {
            Confirmation::Given(self.version)
        } else {
            Confirmation::Withdrawn
        }
    }
}

impl Drop for TransactionGuard {
    fn drop(&mut self) {
        lock(&self.log.expected).give_up(&self.place);
    }
}

impl fmt::Debug for TransactionGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransactionGuard({}, {:?})", self.log.topic_partition, self.place)
    }
}

impl PartitionLog {
    /// Keeps a place for the first batch of a transaction. To be called before the coordinator is asked, and anew before it
    /// is asked again.
    ///
    /// `None` where the producer's transaction is open in this partition already: its coordinator knows it then. An error
    /// where the epoch is stale.
    pub fn expect_transaction(
        self: &Arc<Self>,
        producer_id: i64,
        epoch: i16,
        version: TransactionVersion,
    ) -> Result<Option<TransactionGuard>, ProducerError> {
        if lock(&self.producers).has_open(producer_id, epoch)? {
            return Ok(None);
        }
        let place = lock(&self.expected).take(producer_id, epoch);
        Ok(Some(TransactionGuard { log: Arc::clone(self), place, version }))
    }

    /// Appends the first batch of a transaction that the coordinator has confirmed after the guard was taken. Otherwise as
    /// [`PartitionLog::append`].
    pub fn append_verified(
        self: &Arc<Self>,
        batch: &AppendBatch,
        guard: &TransactionGuard,
        leader_epoch: i32,
        now: TimestampMs,
    ) -> Result<Appended, AppendError> {
        self.append_unless_known(batch, Some(guard), leader_epoch, now)
    }

    /// Ends a transaction. Nobody begins it here from now on, whatever this returns.
    ///
    /// `None` where there is nothing to end: what ended it is in the log, and durable once the log's present end is.
    /// [`ProducerError::StaleEpoch`] says that it has ended, too, but a later transaction of the producer is open here.
    pub fn end_transaction(
        self: &Arc<Self>,
        end: &TransactionEnd,
        leader_epoch: i32,
        now: TimestampMs,
    ) -> Result<Option<Appended>, AppendError> {
        let mut writer = lock(&self.writer);
        lock(&self.expected).revoke(end);
        self.make_writable(&mut writer)?;
        let verdict = lock(&self.producers).check_end(end)?;
        if verdict == EndVerdict::Over {
            return Ok(None);
        }
        let batch = end.batch(now, writer.config.timestamp_type);
        let batch =
            AppendBatch { header: *batch.header(), payload: batch.payload(), origin: AppendOrigin::Coordinator };
        self.append_checked(writer, &batch, Some(end.marker()), leader_epoch, now).map(Some)
    }

    /// The producers that it knows, by id.
    #[must_use]
    pub fn active_producers(&self) -> Vec<ProducerDescription> {
        lock(&self.producers).describe()
    }

    /// Whether a producer has a transaction open here, in whatever epoch.
    #[must_use]
    pub fn has_open_transaction(&self, producer_id: i64) -> bool {
        lock(&self.producers).get(producer_id).is_some_and(|producer| producer.open_transaction.is_some())
    }

    /// The open transaction that began first.
    #[must_use]
    pub fn oldest_open_transaction(&self) -> Option<OpenTransaction> {
        lock(&self.producers).oldest_open_transaction()
    }
}

#[cfg(test)]
mod tests;
