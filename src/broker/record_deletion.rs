//! Records deleted from the front of partitions because a client says so.

use std::sync::Arc;

use super::{Broker, blocking};
use crate::{
    clock::monotonic,
    log::partition_log::{DeleteRecordsError, PartitionLog},
};

/// Why records of a partition were not deleted.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum DeleteRecordsFailure {
    #[error(transparent)]
    Refused(#[from] DeleteRecordsError),
    #[error("where the log starts could not be written down")]
    Unsettled,
}

/// Up to where a partition's records are to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Those before this offset.
    Offset(i64),
    /// All that consumers may read.
    HighWatermark,
}

impl Broker {
    /// Deletes records. Returns where each log starts now, which is on disk.
    pub async fn delete_records(
        self: &Arc<Self>,
        wanted: Vec<(Arc<PartitionLog>, Before)>,
    ) -> Vec<Result<i64, DeleteRecordsFailure>> {
        let broker = Arc::clone(self);
        blocking(move || broker.delete_records_blocking(&wanted)).await
    }

    /// What [`Broker::delete_records`] does, on the caller's thread.
    pub fn delete_records_blocking(
        &self,
        wanted: &[(Arc<PartitionLog>, Before)],
    ) -> Vec<Result<i64, DeleteRecordsFailure>> {
        let mut starts: Vec<_> = wanted
            .iter()
            .map(|(log, before)| {
                let offset = match before {
                    Before::Offset(offset) => *offset,
                    Before::HighWatermark => log.high_watermark(),
                };
                log.delete_records_before(offset).map_err(DeleteRecordsFailure::from)
            })
            .collect();
        let moved = wanted.iter().zip(&starts).filter(|(_, start)| start.is_ok());
        let moved: Vec<_> = moved.map(|((log, _), _)| Arc::clone(log)).collect();
        if let Err(error) = self.logs.settle_log_starts(&moved, monotonic()) {
            tracing::warn!(%error, "log starts could not be written down");
            starts
                .iter_mut()
                .filter(|start| start.is_ok())
                .for_each(|start| *start = Err(DeleteRecordsFailure::Unsettled));
        }
        starts
    }
}
