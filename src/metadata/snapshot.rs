//! Snapshots of the metadata: `<end offset>-<epoch>.checkpoint` sums up the log below that offset.
//!
//! A snapshot begins with a header and ends with a footer, control records both; between them are the voters and the
//! records that make the image. It is written under another name and renamed once it is on disk, so that there is a whole
//! one or none. The one at offset 0 is how a directory is formatted: its records are those that the log has to begin with,
//! and only its voters count by themselves.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::{
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::{
    batches::{self, Entry, MetadataBatchError, WriteBatchError},
    image::Image,
    kept::KeptKind,
    level::{METADATA_VERSION_FEATURE, MetadataLevel},
    quorum::Quorum,
    record::MetadataRecord,
};
use crate::{
    clock::TimestampMs,
    log::disk::{Disk, OpenMode, file_len, read_file, read_full},
    protocol::{
        message::Message,
        messages::{
            ConfigRecord, FeatureLevelRecord, ProducerIdsRecord, SnapshotFooterRecord, SnapshotHeaderRecord,
            TopicRecord,
        },
        records::{
            batch::{BatchError, RecordBatch},
            control::ControlRecordType,
        },
        wire::EncodeError,
    },
};

const SUFFIX: &str = ".checkpoint";
const PART_SUFFIX: &str = ".checkpoint.part";
const DELETED_SUFFIX: &str = ".checkpoint.deleted";

/// What the first batch, of header and voters, has at most.
const HEADER_BATCH_MAX: usize = 1 << 20;

/// Which snapshot it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotId {
    /// Offset after the last record that it sums up.
    pub end_offset: i64,
    /// Epoch of that record.
    pub epoch: i32,
}

/// What is in a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The quorum.
    pub quorum: Quorum,
    /// Time of the last record that it sums up.
    pub last_timestamp: TimestampMs,
    /// The records.
    pub records: Vec<MetadataRecord>,
}

/// Why a snapshot cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum SnapshotError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    Batch { path: PathBuf, source: MetadataBatchError },
    #[error("{}: {source}", path.display())]
    Split { path: PathBuf, source: BatchError },
    #[error("{}: it has no {missing}", path.display())]
    Incomplete { path: PathBuf, missing: &'static str },
    #[error("a metadata snapshot: {0}")]
    Write(#[from] WriteBatchError),
}

impl From<EncodeError> for SnapshotError {
    fn from(error: EncodeError) -> Self {
        Self::Write(error.into())
    }
}

impl SnapshotId {
    /// The one that a directory is formatted with.
    pub const BOOTSTRAP: Self = Self { end_offset: 0, epoch: 0 };

    fn file_name(self, suffix: &str) -> String {
        format!("{:020}-{:010}{suffix}", self.end_offset, self.epoch)
    }

    fn parse(name: &str) -> Option<Self> {
        let (end_offset, epoch) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        let id = Self { end_offset: end_offset.parse().ok()?, epoch: epoch.parse().ok()? };
        (id.file_name(SUFFIX) == name).then_some(id)
    }
}

/// A snapshot that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Which.
    pub id: SnapshotId,
    /// Bytes of its file.
    pub size: u64,
}

/// The snapshots in the metadata log's directory, oldest first.
pub fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<Listed>, SnapshotError> {
    let entries = disk.list_dir(dir).map_err(|source| SnapshotError::Io { path: dir.to_owned(), source })?;
    let listed =
        entries.iter().filter_map(|entry| Some(Listed { id: SnapshotId::parse(&entry.name)?, size: entry.len }));
    let mut listed: Vec<_> = listed.collect();
    listed.sort_unstable();
    Ok(listed)
}

/// Removes what an interrupted writing or deletion left, and the snapshots that end below the log's start.
pub fn remove_leftovers(disk: &dyn Disk, dir: &Path, log_start: i64) -> Result<(), SnapshotError> {
    let error = |source| SnapshotError::Io { path: dir.to_owned(), source };
    for entry in disk.list_dir(dir).map_err(error)? {
        let is_part = [PART_SUFFIX, DELETED_SUFFIX].iter().any(|suffix| entry.name.ends_with(suffix));
        if is_part || SnapshotId::parse(&entry.name).is_some_and(|id| id.end_offset < log_start) {
            disk.remove_file(&dir.join(&entry.name)).map_err(error)?;
        }
    }
    Ok(())
}

/// Gives a snapshot the name of one that is to be removed. Returns its path.
pub fn mark_deleted(disk: &dyn Disk, dir: &Path, id: SnapshotId) -> Result<PathBuf, SnapshotError> {
    let (path, deleted) = (dir.join(id.file_name(SUFFIX)), dir.join(id.file_name(DELETED_SUFFIX)));
    disk.rename(&path, &deleted).map_err(|source| SnapshotError::Io { path, source })?;
    Ok(deleted)
}

/// The time of the last record that a snapshot sums up, as its header says it.
pub fn last_timestamp(disk: &dyn Disk, dir: &Path, id: SnapshotId) -> Result<TimestampMs, SnapshotError> {
    let path = dir.join(id.file_name(SUFFIX));
    let read = || {
        let file = disk.open(&path, OpenMode::ReadOnly)?;
        let mut bytes = vec![0; usize::try_from(file.len()?).map_or(HEADER_BATCH_MAX, |len| len.min(HEADER_BATCH_MAX))];
        let read = read_full(&*file, &mut bytes, 0)?;
        bytes.truncate(read);
        Ok(Bytes::from(bytes))
    };
    let mut bytes = read().map_err(|source| SnapshotError::Io { path: path.clone(), source })?;
    let batch = RecordBatch::split_from(&mut bytes);
    let batch = batch.map_err(|source| SnapshotError::Split { path: path.clone(), source })?;
    let entries = batches::entries(&batch).map_err(|source| SnapshotError::Batch { path: path.clone(), source })?;
    match entries.first() {
        Some((_, Entry::SnapshotHeader(last_timestamp))) => Ok(*last_timestamp),
        _ => Err(SnapshotError::Incomplete { path, missing: "header" }),
    }
}

/// Reads a snapshot, all of it.
pub fn read(disk: &dyn Disk, dir: &Path, id: SnapshotId) -> Result<Snapshot, SnapshotError> {
    let path = dir.join(id.file_name(SUFFIX));
    let bytes = read_file(disk, &path).map_err(|source| SnapshotError::Io { path: path.clone(), source })?;
    let mut bytes = Bytes::from(bytes);
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let batch = RecordBatch::split_from(&mut bytes);
        let batch = batch.map_err(|source| SnapshotError::Split { path: path.clone(), source })?;
        let more = batches::entries(&batch);
        entries.extend(more.map_err(|source| SnapshotError::Batch { path: path.clone(), source })?);
    }
    let mut entries = entries.into_iter().map(|(_, entry)| entry);
    let Some(Entry::SnapshotHeader(last_timestamp)) = entries.next() else {
        return Err(SnapshotError::Incomplete { path, missing: "header" });
    };
    if entries.next_back() != Some(Entry::SnapshotFooter) {
        return Err(SnapshotError::Incomplete { path, missing: "footer" });
    }
    let mut snapshot = Snapshot { quorum: Quorum::default(), last_timestamp, records: Vec::new() };
    for entry in entries {
        match entry {
            Entry::Record(record) => snapshot.records.push(record),
            Entry::KraftVersion(version) => snapshot.quorum.kraft_version = version,
            Entry::Voters(voters) => snapshot.quorum.voters = Some(voters),
            Entry::SnapshotHeader(_) | Entry::SnapshotFooter | Entry::Other => {}
        }
    }
    Ok(snapshot)
}

/// Writes a snapshot, durably.
pub fn write(
    disk: &dyn Disk,
    dir: &Path,
    id: SnapshotId,
    snapshot: &Snapshot,
    level: MetadataLevel,
    now: TimestampMs,
) -> Result<(), SnapshotError> {
    let batches = encode(id.epoch, snapshot, level, now)?;
    let (part, path) = (dir.join(id.file_name(PART_SUFFIX)), dir.join(id.file_name(SUFFIX)));
    let written = || -> io::Result<()> {
        let file = disk.open(&part, OpenMode::CreateEmpty)?;
        let mut position = 0_u64;
        for batch in &batches {
            file.write_all_at(&[batch.bytes()], position)?;
            position = position.saturating_add(file_len(batch.bytes().len()));
        }
        file.sync_data()?;
        drop(file);
        disk.rename(&part, &path)?;
        // One whose name may not be on disk must not be taken for one that the log can be cut at.
        disk.sync_dir(dir).inspect_err(|_| drop(disk.remove_file(&path)))
    };
    written().map_err(|source| SnapshotError::Io { path: path.clone(), source })
}

fn encode(
    epoch: i32,
    snapshot: &Snapshot,
    level: MetadataLevel,
    now: TimestampMs,
) -> Result<Vec<RecordBatch>, SnapshotError> {
    let header = SnapshotHeaderRecord {
        version: 0,
        last_contained_log_timestamp: snapshot.last_timestamp,
        ..SnapshotHeaderRecord::default()
    };
    let mut first = vec![(ControlRecordType::SnapshotHeader, header.to_bytes(0)?)];
    first.extend(quorum_records(&snapshot.quorum)?);
    let values = snapshot.records.iter().map(|record| record.encode(level)).collect::<Result<Vec<_>, _>>()?;
    let first_offset = i64::try_from(first.len()).unwrap_or(i64::MAX);
    let end_offset = first_offset.saturating_add(i64::try_from(values.len()).unwrap_or(i64::MAX));
    let mut all = vec![batches::control_batch(0, epoch, now, &first)?];
    all.extend(batches::batches(first_offset, epoch, now, &values)?);
    let footer = SnapshotFooterRecord::default().to_bytes(0)?;
    all.push(batches::control_batch(end_offset, epoch, now, &[(ControlRecordType::SnapshotFooter, footer)])?);
    Ok(all)
}

/// The control records that say who votes; none before `kraft.version` 1.
pub(super) fn quorum_records(quorum: &Quorum) -> Result<Vec<(ControlRecordType, Bytes)>, EncodeError> {
    let Some(voters) = &quorum.voters else { return Ok(Vec::new()) };
    Ok(vec![
        (ControlRecordType::KraftVersion, quorum.version_record().to_bytes(0)?),
        (ControlRecordType::KraftVoters, voters.to_bytes(0)?),
    ])
}

/// The records that make `image` out of nothing, in the order in which Kafka writes them.
#[must_use]
pub fn records_of(image: &Image) -> Vec<MetadataRecord> {
    let level = image.metadata_level().unwrap_or(MetadataLevel::LATEST);
    let mut records = feature_records(image);
    let mut kept = image.kept().iter().map(|(kind, value)| (kind, MetadataRecord::decode(value))).peekable();
    let mut kept_up_to = |records: &mut Vec<MetadataRecord>, last: KeptKind| {
        while let Some((_, record)) = kept.next_if(|(kind, _)| *kind <= last) {
            records.push(record.expect("it was decoded when it was kept"));
        }
    };
    records.extend(image.brokers().values().map(|broker| {
        let mut broker = broker.clone();
        if level.register_broker_version() < 4 {
            broker.cordoned_log_dirs = None;
        }
        MetadataRecord::RegisterBroker(broker)
    }));
    kept_up_to(&mut records, KeptKind::Controller);
    records.extend(topic_records(image, level));
    records.extend(config_records(image));
    kept_up_to(&mut records, KeptKind::ClientQuota);
    records.extend(producer_ids_record(image));
    kept_up_to(&mut records, KeptKind::AccessControlEntry);
    records.extend(image.users().records());
    kept_up_to(&mut records, KeptKind::DelegationToken);
    records
}

/// Where the next block of producer ids begins, once there has been one.
fn producer_ids_record(image: &Image) -> Option<MetadataRecord> {
    let next_producer_id = Some(image.next_producer_id()).filter(|next| *next > 0)?;
    Some(MetadataRecord::ProducerIds(ProducerIdsRecord {
        broker_id: -1,
        broker_epoch: -1,
        next_producer_id,
        ..ProducerIdsRecord::default()
    }))
}

/// The level of the records comes first.
fn feature_records(image: &Image) -> Vec<MetadataRecord> {
    let mut features: Vec<_> = image.features().iter().collect();
    features.sort_by_key(|(name, _)| name.as_str() != METADATA_VERSION_FEATURE);
    features.into_iter().map(|(name, level)| feature_record(name, *level)).collect()
}

/// That a feature has a level.
#[must_use]
pub fn feature_record(name: &str, feature_level: i16) -> MetadataRecord {
    let record = FeatureLevelRecord { name: name.into(), feature_level, ..FeatureLevelRecord::default() };
    MetadataRecord::FeatureLevel(record)
}

fn topic_records(image: &Image, level: MetadataLevel) -> impl Iterator<Item = MetadataRecord> {
    image.topics().flat_map(move |topic| {
        let record = TopicRecord { name: topic.name.as_ref().into(), topic_id: topic.id, ..TopicRecord::default() };
        let partitions = (0..)
            .zip(&topic.partitions)
            .map(move |(index, partition)| MetadataRecord::Partition(partition.to_record(topic.id, index, level)));
        std::iter::once(MetadataRecord::Topic(record)).chain(partitions)
    })
}

fn config_records(image: &Image) -> impl Iterator<Item = MetadataRecord> {
    image.configs().flat_map(|(resource, values)| {
        values.iter().map(|(name, value)| {
            MetadataRecord::Config(ConfigRecord {
                resource_type: resource.kind,
                resource_name: resource.name.as_str().into(),
                name: name.as_str().into(),
                value: Some(value.as_str().into()),
                ..ConfigRecord::default()
            })
        })
    })
}
