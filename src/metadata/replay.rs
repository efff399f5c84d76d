//! What a start makes of snapshot and log: the image, the quorum, and where the log was left.
//!
//! The records of a transaction count once its end is there; an aborted one never was. The newest snapshot that is whole
//! counts, and the log from its offset on.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::{collections::HashMap, path::Path, sync::Arc};

use uuid::Uuid;

use super::{
    batches::{self, Entry, MetadataBatchError},
    image::{ApplyError, Image},
    quorum::Quorum,
    record::MetadataRecord,
    snapshot::{self, Snapshot, SnapshotError, SnapshotId},
};
use crate::{
    clock::TimestampMs,
    log::{
        batch_reader::{BatchReadError, BatchReader},
        disk::{Disk, file_len},
        partition_log::{PartitionLog, ReadError},
    },
    protocol::{
        ids::TopicPartition,
        records::batch::{BatchHeader, RecordBatch},
    },
};

/// Why the metadata log could not be replayed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum ReplayError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("reading the metadata log: {0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Batch(#[from] MetadataBatchError),
    #[error("metadata record at offset {offset}: {source}")]
    Apply { offset: i64, source: ApplyError },
    #[error("metadata record at offset {offset}: {what}")]
    Transaction { offset: i64, what: &'static str },
    #[error("the metadata log ends at offset {end}, but there is nothing at offset {offset}")]
    Gap { offset: i64, end: i64 },
    #[error("the metadata log has nothing at offset {offset}, it goes on at {next}")]
    Missing { offset: i64, next: i64 },
    #[error("the metadata log starts at offset {log_start}, and no snapshot that can be read goes that far")]
    NoSnapshot { log_start: i64 },
    #[error("the metadata log ends at offset {log_end}, and its snapshot at offset {snapshot_end}")]
    Truncated { log_end: i64, snapshot_end: i64 },
}

impl From<BatchReadError> for ReplayError {
    fn from(error: BatchReadError) -> Self {
        match error {
            BatchReadError::Read(error) => error.into(),
            BatchReadError::Io { source, .. } => source.into(),
            BatchReadError::Batch { offset, source } => MetadataBatchError::Batch { offset, source }.into(),
            BatchReadError::Backwards { offset, .. } => {
                MetadataBatchError::Records { offset, reason: error.to_string() }.into()
            }
        }
    }
}

/// What was replayed.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    pub(super) image: Image,
    pub(super) quorum: Quorum,
    /// Whether the log itself says who votes, or a snapshot of it does.
    pub(super) quorum_in_log: bool,
    /// The records that the log has to begin with, as the directory was formatted.
    pub(super) bootstrap: Option<Vec<MetadataRecord>>,
    /// Epoch of the last record.
    pub(super) epoch: i32,
    /// Time of the last record.
    pub(super) last_timestamp: TimestampMs,
    /// Bytes of the log since the snapshot.
    pub(super) bytes_since_snapshot: u64,
    /// The records of a transaction that has not ended.
    pub(super) open: Option<Vec<(i64, MetadataRecord)>>,
    pub(super) removed: RemovedTopics,
}

/// The topics that the log removes since the snapshot: of these a crash may have left partitions.
#[derive(Debug, Default)]
pub struct RemovedTopics(HashMap<Uuid, RemovedTopic>);

#[derive(Debug)]
struct RemovedTopic {
    name: Arc<str>,
    partitions: usize,
}

impl RemovedTopics {
    /// Whether a directory of this name and topic id belongs to one of them. Without an id the name decides, as it does
    /// for a topic that is there.
    #[must_use]
    pub fn include(&self, partition: &TopicPartition, topic_id: Option<Uuid>) -> bool {
        let index = usize::try_from(partition.partition).unwrap_or(usize::MAX);
        let had = |removed: &RemovedTopic| removed.name == partition.topic && index < removed.partitions;
        topic_id.map_or_else(|| self.0.values().any(had), |id| self.0.contains_key(&id))
    }
}

/// Replays what is in `dir`, whose log is `log`.
pub(super) fn replay(disk: &dyn Disk, dir: &Path, log: &PartitionLog) -> Result<Replayed, ReplayError> {
    let mut replayed = Replayed::default();
    let from = replayed.load_snapshot(disk, dir, log)?;
    replayed.load_log(log, from)?;
    Ok(replayed)
}

impl Replayed {
    /// Takes in the newest snapshot that can be read; returns the offset to go on from.
    fn load_snapshot(&mut self, disk: &dyn Disk, dir: &Path, log: &PartitionLog) -> Result<i64, ReplayError> {
        let (log_start, log_end) = (log.offsets().log_start(), log.offsets().log_end());
        let ids: Vec<_> = snapshot::list(disk, dir)?.into_iter().map(|listed| listed.id).collect();
        if let Some(newest) = ids.last().filter(|newest| newest.end_offset > log_end) {
            return Err(ReplayError::Truncated { log_end, snapshot_end: newest.end_offset });
        }
        let mut unreadable = None;
        for id in ids.into_iter().rev().filter(|id| id.end_offset >= log_start) {
            match snapshot::read(disk, dir, id) {
                Ok(snapshot) => {
                    self.take_in(id, snapshot)?;
                    return Ok(id.end_offset);
                }
                // What 4.4.0 does not know is refused, not passed over.
                Err(error @ SnapshotError::Batch { source: MetadataBatchError::Record { .. }, .. }) => {
                    return Err(error.into());
                }
                Err(error) => {
                    tracing::warn!(%error, "a metadata snapshot cannot be read, an older one is used");
                    unreadable.get_or_insert(error);
                }
            }
        }
        match unreadable {
            _ if log_start == 0 => Ok(0),
            Some(error) => Err(error.into()),
            None => Err(ReplayError::NoSnapshot { log_start }),
        }
    }

    fn take_in(&mut self, id: SnapshotId, snapshot: Snapshot) -> Result<(), ReplayError> {
        self.quorum = snapshot.quorum;
        self.epoch = id.epoch;
        self.last_timestamp = snapshot.last_timestamp;
        if id.end_offset == 0 {
            self.bootstrap = Some(snapshot.records);
            return Ok(());
        }
        self.quorum_in_log = self.quorum.voters.is_some();
        for (offset, record) in (0..).zip(&snapshot.records) {
            self.image.apply(offset, record).map_err(|source| ReplayError::Apply { offset, source })?;
        }
        self.image.pass_over(id.end_offset);
        Ok(())
    }

    fn load_log(&mut self, log: &PartitionLog, offset: i64) -> Result<(), ReplayError> {
        let mut batches = BatchReader::new(log, offset);
        loop {
            let from = batches.offset();
            match batches.next_batch()? {
                Some(batch) => self.apply_batch(&batch, from)?,
                None if from < batches.end() => return Err(ReplayError::Gap { offset: from, end: batches.end() }),
                None => return Ok(()),
            }
        }
    }

    /// Applies what a batch has from `from` on.
    fn apply_batch(&mut self, batch: &RecordBatch, from: i64) -> Result<(), ReplayError> {
        let BatchHeader { base_offset, .. } = *batch.header();
        if base_offset > from {
            return Err(ReplayError::Missing { offset: from, next: base_offset });
        }
        for (offset, entry) in batches::entries(batch)? {
            match entry {
                _ if offset < from => {}
                Entry::Record(record) => self.apply(offset, record)?,
                Entry::KraftVersion(version) => self.quorum.kraft_version = version,
                Entry::Voters(voters) => {
                    self.quorum.voters = Some(voters);
                    self.quorum_in_log = true;
                }
                Entry::SnapshotHeader(_) | Entry::SnapshotFooter | Entry::Other => {}
            }
        }
        let header = batch.header();
        let end = header.last_offset().saturating_add(1);
        self.image.pass_over(end);
        self.epoch = self.epoch.max(header.partition_leader_epoch);
        self.last_timestamp = header.max_timestamp;
        self.bytes_since_snapshot = self.bytes_since_snapshot.saturating_add(file_len(header.size()));
        Ok(())
    }

    fn apply(&mut self, offset: i64, record: MetadataRecord) -> Result<(), ReplayError> {
        let misplaced = |what| Err(ReplayError::Transaction { offset, what });
        match (record, &mut self.open) {
            (MetadataRecord::BeginTransaction(_), Some(_)) => misplaced("a transaction begins within another"),
            (MetadataRecord::BeginTransaction(_), open) => {
                *open = Some(Vec::new());
                Ok(())
            }
            (MetadataRecord::EndTransaction(_), open) => match open.take() {
                None => misplaced("a transaction ends that has not begun"),
                Some(records) => self.apply_all(records),
            },
            (MetadataRecord::AbortTransaction(_), open) => match open.take() {
                None => misplaced("a transaction is aborted that has not begun"),
                Some(_) => Ok(()),
            },
            (record, Some(open)) => {
                open.push((offset, record));
                Ok(())
            }
            (record, None) => self.apply_all(vec![(offset, record)]),
        }
    }

    fn apply_all(&mut self, records: Vec<(i64, MetadataRecord)>) -> Result<(), ReplayError> {
        for (offset, record) in records {
            if let MetadataRecord::RemoveTopic(removal) = &record
                && let Some(topic) = self.image.topic_by_id(removal.topic_id)
            {
                let removed = RemovedTopic { name: Arc::clone(&topic.name), partitions: topic.partitions.len() };
                self.removed.0.insert(topic.id, removed);
            }
            self.image.apply(offset, &record).map_err(|source| ReplayError::Apply { offset, source })?;
        }
        Ok(())
    }
}
