//! The metadata log, `__cluster_metadata-0`: the only home of what the cluster is. Decide, append, flush, apply.
//!
//! A change is decided against the current image, its records are appended as one batch, or as a transaction where that
//! would be too large, and flushed; then the same function applies them that a start replays the log with. Whoever reads
//! the image sees only what is on disk.
//!
//! This process is the quorum: each start begins an epoch of its own, as a newly elected leader does.

#[cfg(test)]
mod tests;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use bytes::Bytes;
use uuid::Uuid;

pub use super::replay::{RemovedTopics, ReplayError};
use super::{
    batches::{self, WriteBatchError},
    image::Image,
    level::{METADATA_VERSION_FEATURE, MetadataLevel},
    quorum::{self, Quorum, QuorumState, QuorumStateError},
    record::MetadataRecord,
    registration::{self, NotAReplica},
    replay::{self, Replayed},
    retention::{self, Retention},
    snapshot::{self, Listed, Snapshot, SnapshotError, SnapshotId, feature_record},
};
use crate::{
    clock::TimestampMs,
    log::{
        disk::Disk,
        partition_log::{AppendBatch, AppendError, AppendOrigin, FlushError, PartitionLog},
    },
    protocol::{
        message::Message,
        messages::{AbortTransactionRecord, BeginTransactionRecord, EndTransactionRecord, voters_record::Endpoint},
        records::{batch::RecordBatch, control::ControlRecordType},
        transaction_version::{TRANSACTION_VERSION_FEATURE, TransactionVersion},
        wire::EncodeError,
    },
};

/// What the journal has to know of its node.
#[derive(Clone, Debug)]
pub struct JournalSettings {
    /// The node's id.
    pub node_id: i32,
    /// The data directory's id.
    pub directory_id: Uuid,
    /// Where Kafka would find the controller; a new directory says so.
    pub controller: Endpoint,
    /// `metadata.log.max.record.bytes.between.snapshots`.
    pub bytes_between_snapshots: u64,
    /// `metadata.log.max.snapshot.interval.ms`: the longest that a log which has grown goes without a snapshot.
    pub snapshot_interval_ms: Option<i64>,
    /// How much is kept.
    pub retention: Retention,
}

/// The metadata log and the image that it amounts to.
pub struct Journal {
    log: Arc<PartitionLog>,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    settings: JournalSettings,
    epoch: i32,
    quorum: Quorum,
    image: RwLock<Arc<Image>>,
    /// One change at a time, from its decision to its being applied.
    deciding: Mutex<Deciding>,
}

struct Deciding {
    /// The log ends within a transaction.
    open_transaction: bool,
    last_timestamp: TimestampMs,
    bytes_since_snapshot: u64,
    snapshot_at: TimestampMs,
}

impl Deciding {
    fn is_snapshot_due(&self, settings: &JournalSettings, now: TimestampMs) -> bool {
        let grown = self.bytes_since_snapshot;
        let since = now.saturating_sub(self.snapshot_at);
        let is_time = settings.snapshot_interval_ms.is_some_and(|interval| since >= interval);
        let is_due = grown >= settings.bytes_between_snapshots || grown > 0 && is_time;
        // In the middle of a transaction the image is not what the log amounts to up to its end.
        is_due && !self.open_transaction
    }
}

/// A snapshot that is to be written.
pub struct BegunSnapshot {
    id: SnapshotId,
    last_timestamp: TimestampMs,
    image: Arc<Image>,
}

/// Why the metadata log could not be opened.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum OpenError {
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error(transparent)]
    Quorum(#[from] QuorumStateError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    NotAReplica(#[from] NotAReplica),
    #[error("the metadata quorum has the voters {voters:?}, this node is {node} and can only be the single one")]
    Voters { voters: Vec<i32>, node: i32 },
    #[error("metadata.version {level} is outside {}-{}", MetadataLevel::LOWEST.number(), MetadataLevel::LATEST.number())]
    Level { level: i16 },
}

/// Why a change was not made. Nothing of it is in the image.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum CommitError {
    #[error(transparent)]
    Batch(#[from] WriteBatchError),
    #[error("the metadata log: {0}")]
    Append(#[from] AppendError),
    #[error("the metadata log: {0}")]
    Flush(#[from] FlushError),
}

impl From<EncodeError> for CommitError {
    fn from(error: EncodeError) -> Self {
        Self::Batch(error.into())
    }
}

/// A metadata log that was read, and that this node may go on with. Nothing is written yet.
pub struct Found {
    log: Arc<PartitionLog>,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    settings: JournalSettings,
    state: Option<QuorumState>,
    replayed: Replayed,
}

impl Found {
    /// Replays the snapshot and the log in `dir`. Writes nothing.
    pub fn read(
        log: Arc<PartitionLog>,
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        settings: JournalSettings,
    ) -> Result<Self, OpenError> {
        let state = match QuorumState::read(&*disk, &dir) {
            // The log has all of it: who leads, who votes, and the epochs.
            Err(QuorumStateError::Damaged(error)) => {
                tracing::warn!(path = %dir.join(quorum::FILE_NAME).display(), %error, "it is damaged and written anew");
                None
            }
            state => state?,
        };
        let replayed = replay::replay(&*disk, &dir, &log)?;
        check(&replayed, state.as_ref(), settings.node_id)?;
        Ok(Self { log, disk, dir, settings, state, replayed })
    }

    /// What the log amounts to.
    #[must_use]
    pub fn image(&self) -> &Image {
        &self.replayed.image
    }
}

/// Opening.
impl Journal {
    /// Formats what is new, and begins an epoch. Tells which topics the log removes.
    pub fn open(found: Found, now: TimestampMs) -> Result<(Self, RemovedTopics), OpenError> {
        let Found { log, disk, dir, settings, state, mut replayed } = found;
        snapshot::remove_leftovers(&*disk, &dir, log.offsets().log_start())?;
        let is_unformatted = state.is_none() && replayed.bootstrap.is_none() && replayed.image.brokers().is_empty();
        if is_unformatted {
            format(&*disk, &dir, &settings, &mut replayed, now)?;
        }
        let before = state.map_or(0, |state| state.leader_epoch).max(replayed.epoch);
        let epoch = before.max(log.leader_epoch().unwrap_or(0)).saturating_add(1);
        QuorumState::led_by(settings.node_id, epoch, replayed.quorum.kraft_version).write(&*disk, &dir)?;
        let deciding = Deciding {
            open_transaction: replayed.open.is_some(),
            last_timestamp: replayed.last_timestamp,
            bytes_since_snapshot: replayed.bytes_since_snapshot,
            snapshot_at: now,
        };
        let journal = Self {
            log,
            disk,
            dir,
            settings,
            epoch,
            quorum: replayed.quorum,
            image: RwLock::new(Arc::new(replayed.image)),
            deciding: Mutex::new(deciding),
        };
        journal.begin_epoch(replayed.quorum_in_log, now)?;
        journal.bootstrap(replayed.bootstrap, is_unformatted, now)?;
        Ok((journal, replayed.removed))
    }

    /// The first batch of the epoch says who leads it, and who votes if the log does not say so yet.
    fn begin_epoch(&self, quorum_in_log: bool, now: TimestampMs) -> Result<(), CommitError> {
        let message = quorum::leader_change(self.settings.node_id);
        let mut records = vec![(ControlRecordType::LeaderChange, message.to_bytes(0)?)];
        if !quorum_in_log {
            records.extend(snapshot::quorum_records(&self.quorum)?);
        }
        let batch = batches::control_batch(0, self.epoch, now, &records)?;
        let mut deciding = self.lock();
        self.append(&mut deciding, &batch, now)?;
        self.abort_open_transaction(&mut deciding, now)
    }

    /// The log begins with the levels of the features.
    fn bootstrap(
        &self,
        formatted_with: Option<Vec<MetadataRecord>>,
        is_unformatted: bool,
        now: TimestampMs,
    ) -> Result<(), CommitError> {
        self.change(now, |image| {
            let is_missing = match image.metadata_level() {
                None => true,
                // The levels of a directory that Kafka formatted stay as they are.
                Some(level) => is_unformatted && level == MetadataLevel::UNFORMATTED,
            };
            let records = match formatted_with {
                _ if !is_missing => Vec::new(),
                Some(records) if records.iter().any(is_metadata_level) => records,
                Some(_) | None => latest_levels().into(),
            };
            Ok::<_, CommitError>((records, ()))
        })
    }
}

/// What 4.4.0 would refuse, or this broker cannot do, is refused before anything is written.
fn check(replayed: &Replayed, state: Option<&QuorumState>, node: i32) -> Result<(), OpenError> {
    let voters = replayed.quorum.voter_ids().or_else(|| state?.voters());
    if let Some(voters) = voters.filter(|voters| *voters != [node]) {
        return Err(OpenError::Voters { voters, node });
    }
    let is_known = |level: &MetadataLevel| (MetadataLevel::LOWEST..=MetadataLevel::LATEST).contains(level);
    if let Some(level) = replayed.image.metadata_level().filter(|level| !is_known(level)) {
        return Err(OpenError::Level { level: level.number() });
    }
    Ok(registration::check_replicas(&replayed.image, node)?)
}

/// Writes what `StorageTool format --standalone` writes.
fn format(
    disk: &dyn Disk,
    dir: &std::path::Path,
    settings: &JournalSettings,
    replayed: &mut Replayed,
    now: TimestampMs,
) -> Result<(), SnapshotError> {
    replayed.quorum = Quorum::alone(settings.node_id, settings.directory_id, settings.controller.clone());
    let level = MetadataLevel::LATEST;
    let snapshot = Snapshot { quorum: replayed.quorum.clone(), last_timestamp: now, records: latest_levels().into() };
    snapshot::write(disk, dir, SnapshotId::BOOTSTRAP, &snapshot, level, now)
}

/// The levels of the features in a directory that is new.
fn latest_levels() -> [MetadataRecord; 2] {
    [
        feature_record(METADATA_VERSION_FEATURE, MetadataLevel::LATEST.number()),
        feature_record(TRANSACTION_VERSION_FEATURE, TransactionVersion::LATEST.level()),
    ]
}

fn is_metadata_level(record: &MetadataRecord) -> bool {
    matches!(record, MetadataRecord::FeatureLevel(record) if record.name.as_str() == METADATA_VERSION_FEATURE)
}

/// Reading and changing.
impl Journal {
    /// The current image.
    #[must_use]
    pub fn image(&self) -> Arc<Image> {
        Arc::clone(&self.image.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The log itself.
    #[must_use]
    pub fn log(&self) -> &Arc<PartitionLog> {
        &self.log
    }

    /// Makes the change that `decide` makes of the current image: its records are on disk and in the image when this
    /// returns. Blocks for as long as the disk takes.
    pub fn change<T, E: From<CommitError>>(
        &self,
        now: TimestampMs,
        decide: impl FnOnce(&Image) -> Result<(Vec<MetadataRecord>, T), E>,
    ) -> Result<T, E> {
        let mut deciding = self.lock();
        self.abort_open_transaction(&mut deciding, now)?;
        let (records, decision) = decide(&self.image())?;
        if !records.is_empty() {
            self.commit(&mut deciding, records, now)?;
        }
        Ok(decision)
    }

    fn lock(&self) -> MutexGuard<'_, Deciding> {
        self.deciding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit(
        &self,
        deciding: &mut Deciding,
        mut records: Vec<MetadataRecord>,
        now: TimestampMs,
    ) -> Result<(), CommitError> {
        let first_offset = self.image().offset();
        let mut batches = self.batches(first_offset, &records, now)?;
        let is_transaction = batches.len() > 1;
        if is_transaction {
            records.insert(0, MetadataRecord::BeginTransaction(BeginTransactionRecord::default()));
            records.push(MetadataRecord::EndTransaction(EndTransactionRecord::default()));
            batches = self.batches(first_offset, &records, now)?;
        }
        for batch in &batches {
            self.append(deciding, batch, now)?;
            deciding.open_transaction = is_transaction;
        }
        deciding.open_transaction = false;
        let mut image = self.image.write().unwrap_or_else(PoisonError::into_inner);
        let image = Arc::make_mut(&mut image);
        for (offset, record) in (first_offset..).zip(&records) {
            image.apply(offset, record).expect("the records were decided against this very image");
        }
        Ok(())
    }

    fn batches(
        &self,
        first_offset: i64,
        records: &[MetadataRecord],
        now: TimestampMs,
    ) -> Result<Vec<RecordBatch>, CommitError> {
        let level = self.image().metadata_level().unwrap_or(MetadataLevel::LATEST);
        let values = records.iter().map(|record| record.encode(level)).collect::<Result<Vec<Bytes>, _>>()?;
        Ok(batches::batches(first_offset, self.epoch, now, &values)?)
    }

    /// Appends a batch, durably: after a crash nothing good follows what was torn, or it is rot. The image goes on behind
    /// it, also if the rest of a transaction is not to be appended.
    fn append(&self, deciding: &mut Deciding, batch: &RecordBatch, now: TimestampMs) -> Result<(), CommitError> {
        let origin = AppendOrigin::RaftLeader;
        let batch = AppendBatch { header: *batch.header(), payload: batch.payload(), origin };
        let appended = self.log.append(&batch, self.epoch, now)?;
        deciding.last_timestamp = now;
        deciding.bytes_since_snapshot += batch.header.size() as u64;
        let mut image = self.image.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut image).pass_over(appended.last_offset + 1);
        drop(image);
        // It fails for good or not at all: no later change can be decided without these records.
        self.log.commit_now()?;
        Ok(())
    }

    /// What a crash or an error left of a transaction never was.
    fn abort_open_transaction(&self, deciding: &mut Deciding, now: TimestampMs) -> Result<(), CommitError> {
        if deciding.open_transaction {
            let abort = [MetadataRecord::AbortTransaction(AbortTransactionRecord::default())];
            for batch in self.batches(self.image().offset(), &abort, now)? {
                self.append(deciding, &batch, now)?;
            }
            deciding.open_transaction = false;
        }
        Ok(())
    }
}

/// Snapshots.
impl Journal {
    /// Whether the log has grown enough since the last snapshot for another one.
    #[must_use]
    pub fn is_snapshot_due(&self, now: TimestampMs) -> bool {
        self.lock().is_snapshot_due(&self.settings, now)
    }

    /// Begins a snapshot of what the image is now, if one is due. Nothing is written yet.
    ///
    /// A start from it will not be told of the topics that were removed before: what is left of their partitions has to be
    /// out of the way, durably.
    #[must_use]
    pub fn begin_snapshot(&self, now: TimestampMs) -> Option<BegunSnapshot> {
        let mut deciding = self.lock();
        let image = self.image();
        // What a failed flush left behind may be lost, and the log must not end before its snapshot.
        if !deciding.is_snapshot_due(&self.settings, now) || self.log.flushed() < image.offset() {
            return None;
        }
        // One that fails is tried again when the next is due.
        deciding.bytes_since_snapshot = 0;
        deciding.snapshot_at = now;
        let id = SnapshotId { end_offset: image.offset(), epoch: self.epoch };
        Some(BegunSnapshot { id, last_timestamp: deciding.last_timestamp, image })
    }

    /// Writes a snapshot. Blocks.
    pub fn write_snapshot(&self, begun: &BegunSnapshot, now: TimestampMs) -> Result<(), SnapshotError> {
        let BegunSnapshot { id, last_timestamp, image } = begun;
        let level = image.metadata_level().unwrap_or(MetadataLevel::LATEST);
        let snapshot = Snapshot {
            quorum: self.quorum.clone(),
            last_timestamp: *last_timestamp,
            records: snapshot::records_of(image),
        };
        snapshot::write(&*self.disk, &self.dir, *id, &snapshot, level, now)
    }

    /// Takes out the snapshots that are too old or too many, and has the log start at the oldest that is left. Returns the
    /// paths of the files that are to be removed. Blocks.
    ///
    /// A crash may take back the log's start, and then it is below the oldest snapshot. The log's segments go later, by the
    /// log's own retention.
    pub fn clean(&self, now: TimestampMs) -> Result<Vec<PathBuf>, SnapshotError> {
        let (disk, dir) = (&*self.disk, &self.dir);
        let snapshots = snapshot::list(disk, dir)?;
        let log_size = |start| self.log.size_from(start);
        let last_timestamp = |listed: &Listed| snapshot::last_timestamp(disk, dir, listed.id).ok();
        let oldest = retention::oldest_kept(&snapshots, self.settings.retention, now, log_size, last_timestamp);
        let log_start = self.log.offsets().log_start();
        let (gone, left) = snapshots.split_at(oldest);
        let Some(first) = left.first() else { return Ok(Vec::new()) };
        if gone.is_empty() && first.id.end_offset <= log_start {
            return Ok(Vec::new());
        }
        // Nothing else will have what it says: it has to be whole, and its name on disk.
        snapshot::read(disk, dir, first.id)?;
        disk.sync_dir(dir).map_err(|source| SnapshotError::Io { path: dir.clone(), source })?;
        self.log.advance_log_start(first.id.end_offset);
        tracing::info!(snapshots = gone.len(), log_start = first.id.end_offset, "old metadata snapshots deleted");
        gone.iter().map(|listed| snapshot::mark_deleted(disk, dir, listed.id)).collect()
    }
}
