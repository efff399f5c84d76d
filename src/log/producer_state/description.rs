//! What of the producers is shown to operators.

use super::ProducerStates;
use crate::clock::TimestampMs;

/// A producer of a partition, as `DescribeProducers` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerDescription {
    /// Its id.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// Sequence number of its last record in this epoch.
    pub last_sequence: Option<i32>,
    /// Time of its last batch or marker.
    pub last_timestamp: TimestampMs,
    /// Epoch of the coordinator that wrote its last marker.
    pub coordinator_epoch: Option<i32>,
    /// First offset of the transaction that is open.
    pub open_transaction: Option<i64>,
}

/// A transaction that is open in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenTransaction {
    /// Whose it is.
    pub producer_id: i64,
    /// Its first offset.
    pub first_offset: i64,
    /// Time of its last batch: one that is left behind stays at it (Kafka's `hasLateTransaction`).
    pub last_timestamp: TimestampMs,
}

impl ProducerStates {
    /// All producers, by id.
    #[must_use]
    pub fn describe(&self) -> Vec<ProducerDescription> {
        let describe = |(producer_id, producer): (i64, &super::Producer)| ProducerDescription {
            producer_id,
            epoch: producer.epoch,
            last_sequence: producer.last_batch().map(|batch| batch.last_sequence),
            last_timestamp: producer.last_timestamp,
            coordinator_epoch: Some(producer.coordinator_epoch).filter(|epoch| *epoch >= 0),
            open_transaction: producer.open_transaction,
        };
        let mut described: Vec<_> = self.iter().map(describe).collect();
        described.sort_unstable_by_key(|producer| producer.producer_id);
        described
    }

    /// The open transaction that began first.
    #[must_use]
    pub fn oldest_open_transaction(&self) -> Option<OpenTransaction> {
        let (&first_offset, &producer_id) = self.open.first_key_value()?;
        let last_timestamp = self.get(producer_id)?.last_timestamp;
        Some(OpenTransaction { producer_id, first_offset, last_timestamp })
    }
}
