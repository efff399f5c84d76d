//! Log starts that somebody has asked for: durable before they are answered, and the segments below them gone.

use std::{collections::HashSet, sync::Arc, time::Instant};

use super::{LogDir, LogDirError};
use crate::log::partition_log::{PartitionLog, Trim};

impl LogDir {
    /// Makes durable where these logs start, in one step for all, and takes out the segments that lie before. Blocks.
    ///
    /// A segment goes once a recovery point above it is written down, as in [`LogDir::enforce_retention`]; where none goes,
    /// the starts alone are written. One that cannot be taken out is left to retention. A log may be named twice.
    pub fn settle_log_starts(&self, logs: &[Arc<PartitionLog>], at: Instant) -> Result<(), LogDirError> {
        if logs.iter().all(|log| log.durable_log_start() >= log.offsets().log_start()) {
            return Ok(());
        }
        let mut seen = HashSet::new();
        let logs: Vec<_> = logs.iter().filter(|log| seen.insert(Arc::as_ptr(log))).collect();
        let trims: Vec<_> = logs.iter().filter_map(|log| log.plan_trim_below_start()).collect();
        // The log must not end before it starts.
        let unflushed = logs.iter().filter(|log| log.flushed() < log.offsets().log_start());
        let unflushed = unflushed.map(|log| log.request_flush()).count();
        if trims.is_empty() && unflushed == 0 {
            return self.write_log_starts();
        }
        self.commit_what_can_be()?;
        self.write_checkpoints()?;
        if let Err(error) = self.carry_out(trims, at) {
            tracing::warn!(%error, "segments below a log's start are left behind for now");
        }
        Ok(())
    }

    /// Renames the files of segments, and has them removed later.
    pub(super) fn carry_out(&self, trims: Vec<Trim>, at: Instant) -> Result<(), LogDirError> {
        let carried_out = super::first_error(trims.into_iter().map(|trim| {
            let (leftovers, carried_out) = trim.carry_out();
            self.remove_leftovers(leftovers, at);
            carried_out
        }));
        Ok(carried_out?)
    }
}
