//! The log's start, where a client moves it: in memory here, on disk by [`LogDir::settle_log_starts`].
//!
//! [`LogDir::settle_log_starts`]: crate::log::log_dir::LogDir::settle_log_starts

use std::sync::atomic::Ordering;

use super::PartitionLog;
use crate::log::sync::lock;

/// Why records were not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteRecordsError {
    /// Consumers do not see the record before that offset yet, or there is no such offset.
    #[error("a log with the high watermark {high_watermark} cannot start at {offset}")]
    OutOfRange {
        /// The offset asked for.
        offset: i64,
        /// The last offset at which it could.
        high_watermark: i64,
    },
    /// The partition has been deleted.
    #[error("the partition has been deleted")]
    Deleted,
}

impl PartitionLog {
    /// Has the log start at `offset`, or leaves it where it starts later; returns where. Whoever waits is woken. A crash
    /// forgets it before [`LogDir::settle_log_starts`].
    ///
    /// [`LogDir::settle_log_starts`]: crate::log::log_dir::LogDir::settle_log_starts
    pub fn delete_records_before(&self, offset: i64) -> Result<i64, DeleteRecordsError> {
        if self.is_deleted() {
            return Err(DeleteRecordsError::Deleted);
        }
        let high_watermark = self.high_watermark();
        if offset < 0 || offset > high_watermark {
            return Err(DeleteRecordsError::OutOfRange { offset, high_watermark });
        }
        if self.advance_log_start(offset) {
            tracing::info!(partition = %self.topic_partition, log_start = offset, "records deleted as requested");
            self.waiters.wake_all();
        }
        Ok(self.log_start.load(Ordering::Acquire))
    }

    /// The log start that no crash takes back.
    pub(in crate::log) fn durable_log_start(&self) -> i64 {
        self.durable_log_start.load(Ordering::Acquire)
    }

    /// Notes that this log start is written down: leader epochs from before are forgotten for good.
    pub(in crate::log) fn set_durable_log_start(&self, log_start: i64) {
        self.durable_log_start.fetch_max(log_start, Ordering::AcqRel);
        lock(&self.epochs).forget_before(log_start);
    }
}

#[cfg(test)]
mod tests;
