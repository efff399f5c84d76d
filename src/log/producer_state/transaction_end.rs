//! The end of a transaction as its coordinator wants it, and whether a partition needs a marker for it.

use super::{EndMarker, Producer, ProducerError, ProducerStates};
use crate::{
    clock::TimestampMs,
    log::validate::TimestampType,
    protocol::{
        message::Message,
        records::{batch::RecordBatch, builder::BatchBuilder, control::ControlRecordType},
        stored::EndTxnMarker,
        transaction_version::TransactionVersion,
        wire::Writer,
    },
};

/// The version of the marker's value that is written.
const VERSION: i16 = 0;

/// The end of a transaction, to be written into a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionEnd {
    /// Whose it is.
    pub producer_id: i64,
    /// The epoch that the marker gets: that of the transaction, or a higher one that shuts it out.
    pub producer_epoch: i16,
    /// Committed, or else aborted.
    pub is_commit: bool,
    /// Epoch of the coordinator.
    pub coordinator_epoch: i32,
    /// How the transaction was made. It says whether the marker's epoch is above the transaction's.
    pub version: TransactionVersion,
}

/// What is to be done about the end of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndVerdict {
    /// Its marker is to be appended.
    New,
    /// The transaction is not open, and its producer cannot go on with it.
    Over,
}

impl TransactionEnd {
    /// Whether a transaction of the producer that has this epoch is over with it.
    #[must_use]
    pub fn is_of(&self, epoch: i16) -> bool {
        epoch < self.producer_epoch || epoch == self.producer_epoch && !self.version.bumps_epoch()
    }

    /// What its marker says.
    #[must_use]
    pub fn marker(&self) -> EndMarker {
        EndMarker { is_commit: self.is_commit, coordinator_epoch: self.coordinator_epoch }
    }

    /// The control batch, as Kafka writes it: never compressed, and with the topic's type of timestamps.
    #[must_use]
    pub fn batch(&self, now: TimestampMs, timestamp_type: TimestampType) -> RecordBatch {
        let kind = if self.is_commit { ControlRecordType::Commit } else { ControlRecordType::Abort };
        let mut value = Writer::new();
        value.int16(VERSION).expect("it fits");
        let marker = EndTxnMarker { coordinator_epoch: self.coordinator_epoch };
        marker.encode(&mut value, VERSION).expect("every field has a place in every version");
        let builder = BatchBuilder::new(0).producer(self.producer_id, self.producer_epoch, -1);
        let mut builder = builder.transactional().control();
        if timestamp_type == TimestampType::LogAppendTime {
            builder = builder.log_append_time(now);
        }
        builder.append_control(kind, now, &value.into_bytes()).expect("a marker is small");
        builder.build().expect("it has a record")
    }
}

impl ProducerStates {
    /// What is to be done about the end of a transaction.
    ///
    /// | the producer's epoch    | a transaction is open                  | none is open         |
    /// |-------------------------|----------------------------------------|----------------------|
    /// | not known, or lower     | the marker is appended                 | the same             |
    /// | the marker's, before V2 | the marker is appended                 | over                 |
    /// | the marker's, V2        | it is the next one: `StaleEpoch`       | over                 |
    /// | higher                  | it is a later one: `StaleEpoch`        | over                 |
    ///
    /// Where none is open Kafka appends one more marker, or refuses one of a lower epoch for good, and the coordinator never
    /// gets done. But any client can raise the epoch of a producer id where no transaction is open: what counts is that
    /// there is nothing to end, and that the epoch shuts out whatever of the transaction is still to come.
    pub fn check_end(&self, end: &TransactionEnd) -> Result<EndVerdict, ProducerError> {
        let Some(producer) = self.get(end.producer_id) else { return Ok(EndVerdict::New) };
        let is_open = producer.open_transaction.is_some();
        if is_open && !end.is_of(producer.epoch) {
            return Err(stale_epoch(end, producer));
        }
        if producer.coordinator_epoch > end.coordinator_epoch {
            return Err(ProducerError::StaleCoordinator {
                producer_id: end.producer_id,
                epoch: end.coordinator_epoch,
                current: producer.coordinator_epoch,
            });
        }
        let is_over = !is_open && producer.epoch >= end.producer_epoch;
        Ok(if is_over { EndVerdict::Over } else { EndVerdict::New })
    }
}

fn stale_epoch(end: &TransactionEnd, producer: &Producer) -> ProducerError {
    let &TransactionEnd { producer_id, producer_epoch: epoch, .. } = end;
    ProducerError::StaleEpoch { producer_id, epoch, current: producer.epoch }
}

#[cfg(test)]
mod tests;
