//! Reading a coordinator's log from its start: the machines that it amounts to.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::{collections::HashMap, sync::Arc};

use super::{
    machine::{Machine, Place, Record},
    transaction::Participants,
};
use crate::{
    log::{
        batch_reader::{BatchReadError, BatchReader},
        partition_log::PartitionLog,
    },
    protocol::{
        records::{
            batch::{BatchError, RecordBatch},
            control::{ControlRecordKey, ControlRecordType},
        },
        wire::DecodeError,
    },
};

/// Bytes of a decompressed batch: more than Kafka lets a coordinator write. A shard writes no larger one.
pub(super) const BATCH_BYTES_MAX: usize = 256 << 20;

/// Why a coordinator's log cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    #[error(transparent)]
    Read(#[from] BatchReadError),
    #[error("batch at offset {offset}: {source}")]
    Batch { offset: i64, source: BatchError },
    #[error("batch at offset {offset}: {reason}")]
    Records { offset: i64, reason: String },
    #[error("record at offset {offset}: {source}")]
    Record { offset: i64, source: DecodeError },
}

/// The machines of a partition, and which of them have something pending of transactions.
pub(super) struct Machines<M> {
    pub(super) by_id: HashMap<Arc<str>, M>,
    pub(super) participants: Participants,
}

impl<M> Default for Machines<M> {
    fn default() -> Self {
        Self { by_id: HashMap::new(), participants: Participants::default() }
    }
}

/// What the log amounts to. Blocks.
pub(super) fn replay<M: Machine>(log: &PartitionLog) -> Result<Machines<M>, ReplayError> {
    let mut machines = Machines::<M>::default();
    let mut batches = BatchReader::new(log, log.offsets().log_start());
    while let Some(batch) = batches.next_batch()? {
        machines.take_in(&batch)?;
    }
    machines.by_id.retain(|_, machine| !machine.is_vacant());
    Ok(machines)
}

impl<M: Machine> Machines<M> {
    /// Applies a batch.
    fn take_in(&mut self, batch: &RecordBatch) -> Result<(), ReplayError> {
        let header = *batch.header();
        let base = header.base_offset;
        batch.check_crc().map_err(|source| ReplayError::Batch { offset: base, source })?;
        let bad = |reason: String| ReplayError::Records { offset: base, reason };
        let producer_id = header.is_transactional().then_some(header.producer_id);
        for record in batch.records(BATCH_BYTES_MAX).map_err(|error| bad(error.to_string()))? {
            let record = record.map_err(|error| bad(error.to_string()))?;
            let offset = base.saturating_add(i64::from(record.offset_delta));
            // Coordinators write none without a key.
            let Some(key) = record.key else { continue };
            if header.is_control() {
                let key = ControlRecordKey::parse(&key).map_err(|error| bad(error.to_string()))?;
                self.end_transaction(offset, header.producer_id, key.kind);
                continue;
            }
            let decoded = M::Record::decode(&key, record.value.as_ref());
            match decoded.map_err(|source| ReplayError::Record { offset, source })? {
                Some(record) => self.apply(Place { offset, producer_id }, &record),
                None => tracing::debug!(offset, "a record of a kind that is not known is passed over"),
            }
        }
        Ok(())
    }

    fn apply(&mut self, place: Place, record: &M::Record) {
        let id = record.id();
        if !self.by_id.contains_key(id) {
            self.by_id.insert(Arc::from(id), M::default());
        }
        if let Some(producer_id) = place.producer_id {
            self.participants.add(producer_id, id);
        }
        if let Some(machine) = self.by_id.get_mut(id) {
            machine.apply(place, record);
        }
    }

    fn end_transaction(&mut self, offset: i64, producer_id: i64, kind: Result<ControlRecordType, i16>) {
        let is_commit = match kind {
            Ok(ControlRecordType::Commit) => true,
            Ok(ControlRecordType::Abort) => false,
            Ok(_) | Err(_) => return,
        };
        for id in self.participants.take(producer_id) {
            if let Some(machine) = self.by_id.get_mut(&id) {
                machine.end_transaction(offset, producer_id, is_commit);
            }
        }
    }
}
