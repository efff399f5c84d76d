//! The end of a transaction as it stands in the log: a control batch with one record.

use super::EndMarker;
use crate::protocol::{
    message::Message,
    records::{
        batch::RecordBatch,
        control::{ControlRecordKey, ControlRecordType},
    },
    stored::EndTxnMarker,
    wire::Reader,
};

/// A control batch is not compressed, and small.
const BATCH_BYTES_MAX: usize = 1 << 16;

impl EndMarker {
    /// Reads the marker off a control batch. `None` for one of another type, or one that compaction has emptied.
    #[must_use]
    pub fn in_batch(batch: &RecordBatch) -> Option<Self> {
        if !batch.header().is_control() {
            return None;
        }
        let record = batch.records(BATCH_BYTES_MAX).ok()?.next()?.ok()?;
        let (key, value) = (record.key?, record.value?);
        let is_commit = match ControlRecordKey::parse(&key).ok()?.kind {
            Ok(ControlRecordType::Commit) => true,
            Ok(ControlRecordType::Abort) => false,
            _ => return None,
        };
        Some(Self { is_commit, coordinator_epoch: coordinator_epoch(&value)? })
    }
}

/// The value: a version, and what that has. Later versions may add to it.
fn coordinator_epoch(value: &bytes::Bytes) -> Option<i32> {
    let mut r = Reader::new(value);
    let version = r.int16().ok()?.clamp(EndTxnMarker::LOWEST_VERSION, EndTxnMarker::HIGHEST_VERSION);
    Some(EndTxnMarker::decode(&mut r, version).ok()?.coordinator_epoch)
}
