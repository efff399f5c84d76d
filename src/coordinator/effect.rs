//! What a machine has done outside itself, once what its step has written is durable.

use std::sync::{Arc, Weak};

use super::error::CoordinatorError;
use crate::log::partition_log::PartitionLog;

/// As long as this is there, what a shard has given out counts.
pub(super) type Tenure = Arc<()>;

/// Something that is to be done, and what has to be durable before.
///
/// It is void once its shard is retired, by a successor or because the partition was deleted: its machine is not there
/// any more, and if another has come out of the same log it gives out by itself what is still to be done.
#[derive(Debug)]
pub struct DueEffect<E> {
    /// Whose it is.
    pub id: Arc<str>,
    /// What is to be done.
    pub effect: E,
    /// The leader epoch of the shard's partition: the coordinator epoch.
    pub leader_epoch: i32,
    pub(super) log: Arc<PartitionLog>,
    /// Everything below this offset has to be durable.
    pub(super) after: i64,
    pub(super) tenure: Weak<()>,
}

impl<E> DueEffect<E> {
    /// Waits until it may be done. [`CoordinatorError::NotHere`] if it is void.
    pub async fn durable(&self) -> Result<(), CoordinatorError> {
        let committed = self.log.committed(self.after).await;
        if self.is_void() {
            return Err(CoordinatorError::NotHere);
        }
        committed.map_err(|error| CoordinatorError::Lost(Arc::new(error)))
    }

    /// Whether nobody wants it done any more.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.tenure.strong_count() == 0 || self.log.is_deleted()
    }
}
