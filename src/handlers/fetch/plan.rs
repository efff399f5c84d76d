//! How the byte budget of one fetch is spent over its partitions.
//!
//! Partitions are read in order, each within its own limit and what is left of the request's. The first batch that is
//! found is returned whole, even if it is larger than both (KIP-74): a consumer always gets on.

use std::sync::Arc;

use crate::{
    handlers::errors,
    log::{
        leader_epochs::EpochEnd,
        partition_log::{LogOffsets, PartitionLog},
        transaction_index::AbortedTransaction,
    },
    protocol::{error_code::ErrorCode, file_range::FileRange},
};

use super::session::{Outcome, Position};

/// Up to where a consumer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isolation {
    /// To the high watermark.
    ReadUncommitted,
    /// To the last stable offset.
    ReadCommitted,
}

/// The limits of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Most bytes of all partitions together.
    pub(super) max_bytes: usize,
    /// Up to where is read.
    pub(super) isolation: Isolation,
}

/// A partition to read from.
pub(super) struct Target {
    /// The name of its topic, where it was found by its id.
    pub(super) topic_name: Option<Arc<str>>,
    /// What is asked of it.
    pub(super) position: Position,
    /// Its log and the current leader epoch, or why it cannot be read.
    pub(super) source: Result<(Arc<PartitionLog>, i32), Unreadable>,
}

/// Why a partition cannot be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unreadable {
    pub(super) error: ErrorCode,
    /// That of the partition, if there is one.
    pub(super) leader_epoch: Option<i32>,
}

impl From<ErrorCode> for Unreadable {
    fn from(error: ErrorCode) -> Self {
        Self { error, leader_epoch: None }
    }
}

/// What was read of a partition.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) error: ErrorCode,
    /// Where the log stood, unless the error hides it.
    pub(super) offsets: Option<LogOffsets>,
    pub(super) records: Option<FileRange>,
    /// Whether the log has more than one read can bring.
    pub(super) from_older_segment: bool,
    /// The aborted transactions that a reader of committed records has to leave out.
    pub(super) aborted: Vec<AbortedTransaction>,
    /// Where the client's log and this one part, if they do.
    pub(super) diverging: Option<EpochEnd>,
    /// None if there is no such partition.
    pub(super) leader_epoch: Option<i32>,
}

impl Reading {
    pub(super) fn failed(error: ErrorCode, leader_epoch: Option<i32>) -> Self {
        Self {
            error,
            offsets: None,
            records: None,
            from_older_segment: false,
            aborted: Vec::new(),
            diverging: None,
            leader_epoch,
        }
    }

    /// Bytes read.
    pub(super) fn len(&self) -> usize {
        self.records.as_ref().map_or(0, |range| range.length)
    }

    /// What a session remembers of it.
    pub(super) fn outcome(&self, target: &Target) -> Outcome {
        Outcome {
            topic_name: target.topic_name.clone(),
            error: self.error,
            high_watermark: self.offsets.map_or(-1, |offsets| offsets.high_watermark()),
            log_start_offset: self.offsets.map_or(-1, |offsets| offsets.log_start()),
            has_records: self.len() > 0 || self.diverging.is_some(),
        }
    }
}

/// Reads the targets in order.
pub(super) fn read_all(targets: &[Target], bounds: Bounds) -> Vec<Reading> {
    let mut left = bounds.max_bytes;
    let mut found = false;
    let mut readings = Vec::with_capacity(targets.len());
    for target in targets {
        let own = target.position.max_bytes.try_into().unwrap_or(0);
        let reading = target.read(left.min(own), !found, bounds.isolation);
        found |= reading.len() > 0;
        left = left.saturating_sub(reading.len());
        readings.push(reading);
    }
    readings
}

impl Target {
    /// The log and its end, if that is what is read and consumers do not see all of it yet.
    pub(super) fn unseen_end(&self) -> Option<(Arc<PartitionLog>, i64)> {
        let (log, _) = self.source.as_ref().ok()?;
        let offsets = log.offsets();
        let is_unseen = offsets.high_watermark() < offsets.log_end();
        (is_unseen && self.position.fetch_offset >= offsets.high_watermark())
            .then(|| (Arc::clone(log), offsets.log_end()))
    }

    /// Whether reading it waits for no disk.
    pub(super) fn is_at_hand(&self, isolation: Isolation) -> bool {
        let offset = self.position.fetch_offset;
        self.source.as_ref().map_or(true, |(log, _)| {
            log.is_at_hand(offset) && (isolation == Isolation::ReadUncommitted || log.are_aborted_at_hand(offset))
        })
    }

    fn read(&self, max_bytes: usize, min_one_batch: bool, isolation: Isolation) -> Reading {
        let (log, leader_epoch) = match &self.source {
            Ok((log, leader_epoch)) => (log, *leader_epoch),
            Err(Unreadable { error, leader_epoch }) => return Reading::failed(*error, *leader_epoch),
        };
        if let Err(error) = check_leader_epoch(self.position.current_leader_epoch, leader_epoch) {
            return Reading::failed(error, Some(leader_epoch));
        }
        let offsets = log.offsets();
        let divergence = match self.divergence(log) {
            Ok(divergence) => divergence,
            Err(error) => return Reading::failed(error, Some(leader_epoch)),
        };
        if let Some(diverging) = divergence {
            let reading = Reading::failed(ErrorCode::None, Some(leader_epoch));
            return Reading { offsets: Some(offsets), diverging: Some(diverging), ..reading };
        }
        let up_to = match isolation {
            Isolation::ReadUncommitted => offsets.high_watermark(),
            Isolation::ReadCommitted => offsets.last_stable(),
        };
        let fetch_offset = self.position.fetch_offset;
        let read = log.read(fetch_offset, max_bytes, min_one_batch, up_to).and_then(|slice| {
            let may_have_aborted = isolation == Isolation::ReadCommitted && slice.records.is_some();
            let aborted = if may_have_aborted { log.aborted_transactions(fetch_offset, up_to)? } else { Vec::new() };
            Ok((slice, aborted))
        });
        match read {
            Ok((slice, aborted)) => Reading {
                error: ErrorCode::None,
                offsets: Some(offsets),
                records: slice.records,
                from_older_segment: slice.from_older_segment,
                aborted,
                diverging: None,
                leader_epoch: Some(leader_epoch),
            },
            Err(error) => {
                tracing::debug!(partition = %log.topic_partition(), %error, "fetch failed");
                Reading::failed(errors::read(&error), Some(leader_epoch))
            }
        }
    }

    /// Where the epoch of the client's last record ended here, if that is before the client's offset (KIP-595). An epoch
    /// that this log cannot place leaves the client without an offset to go on from.
    fn divergence(&self, log: &PartitionLog) -> Result<Option<EpochEnd>, ErrorCode> {
        let Some(last_fetched) = self.position.last_fetched_epoch else { return Ok(None) };
        divergence(last_fetched, self.position.fetch_offset, log.end_offset_for_epoch(last_fetched))
    }
}

fn divergence(last_fetched: i32, fetch_offset: i64, end: Option<EpochEnd>) -> Result<Option<EpochEnd>, ErrorCode> {
    let end = end.ok_or(ErrorCode::OffsetOutOfRange)?;
    Ok((end.epoch < last_fetched || end.end_offset < fetch_offset).then_some(end))
}

/// A client with another leader epoch than the current one has to look for the leader again, or to wait (KIP-320).
pub(in crate::handlers) fn check_leader_epoch(given: Option<i32>, current: i32) -> Result<(), ErrorCode> {
    match given {
        Some(given) if given < current => Err(ErrorCode::FencedLeaderEpoch),
        Some(given) if given > current => Err(ErrorCode::UnknownLeaderEpoch),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_diverges_behind_the_end_of_its_last_epoch() {
        let end = |epoch, end_offset| EpochEnd { epoch, end_offset };
        assert_eq!(divergence(3, 10, Some(end(3, 10))), Ok(None));
        assert_eq!(divergence(3, 11, Some(end(3, 10))), Ok(Some(end(3, 10))));
        assert_eq!(divergence(3, 5, Some(end(2, 8))), Ok(Some(end(2, 8))));
        assert_eq!(divergence(3, 5, None), Err(ErrorCode::OffsetOutOfRange));
    }
}
