//! The files of a data directory, as a disk may give them back.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use ottla::{
    log::{
        batch_reader::BatchReader,
        checkpoints,
        disk::{
            Disk, OpenMode,
            sim::{Crash, SimDisk},
        },
        files::{Directory, FileKind, FilePool, PooledFile},
        group_commit::Durability,
        leader_epochs::LeaderEpochs,
        log_config::LogConfig,
        log_dir::{CLEAN_SHUTDOWN_FILE, LogDir, LogDirSettings, parse_dir_name},
        meta_properties::{self, MetaProperties},
        offset_index::{OffsetIndex, OffsetPosition},
        partition_log::{AppendBatch, AppendOrigin, PartitionLog},
        partition_metadata,
        producer_state::snapshot,
        time_index::{TimeIndex, TimestampOffset},
        transaction_index::TransactionIndex,
        verify::verify,
    },
    metadata::quorum::{self, QuorumState},
    protocol::{
        ids::TopicPartition,
        records::builder::{BatchBuilder, NewRecord},
    },
};

use super::{input::Input, records::sealed};

const NOW: i64 = 1_800_000_000_000;
/// Offset of the segment that index files belong to.
const BASE: i64 = 1000;
/// The bytes of a producer snapshot that its CRC is not about: version and CRC.
const SNAPSHOT_CRC: std::ops::Range<usize> = 2..6;

/// A disk with one directory and a file in it.
fn disk_with(path: &Path, content: &[u8]) -> SimDisk {
    let disk = SimDisk::new(1);
    disk.create_dir(path.parent().expect("a file in a directory")).expect("created");
    put(&disk, path, content);
    disk
}

/// Writes a file.
pub(super) fn put(disk: &SimDisk, path: &Path, content: &[u8]) {
    let file = disk.open(path, OpenMode::CreateEmpty).expect("created");
    file.write_all_at(&[content], 0).expect("written");
}

fn segment_file(kind: FileKind, content: &[u8]) -> PooledFile {
    let disk = disk_with(&Path::new("/d").join(kind.file_name(BASE)), content);
    let pool = FilePool::new(Arc::new(disk), Path::new("/d"), 8);
    PooledFile::new(pool, Directory::new("/d".into()), BASE, kind)
}

pub(super) fn offset_index(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (wanted, end) = (input.int64(), input.int64());
    let index = OffsetIndex::open(segment_file(FileKind::OffsetIndex, input.rest()), BASE).expect("a readable file");
    let _ = (index.lookup(wanted).expect("read"), index.last());
    index.truncate_to(end).expect("cut");
    let before = index.size();
    assert!(index.append(OffsetPosition { offset: BASE + 7, position: 99 }));
    index.write().expect("written");
    assert_eq!(index.size(), before + 8);
    assert_eq!(index.last(), Some(OffsetPosition { offset: BASE + 7, position: 99 }));
}

pub(super) fn time_index(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (wanted, end) = (input.int64(), input.int64());
    let index = TimeIndex::open(segment_file(FileKind::TimeIndex, input.rest()), BASE).expect("a readable file");
    let _ = (index.lookup(wanted).expect("read"), index.last());
    index.truncate_to(end).expect("cut");
    index.append_if_later(TimestampOffset { timestamp: i64::MAX, offset: BASE + 7 });
    index.write().expect("written");
    assert_eq!(index.last().map(|last| last.timestamp), Some(i64::MAX));
}

pub(super) fn transaction_index(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (from, up_to, end) = (input.int64(), input.int64(), input.int64());
    let index = TransactionIndex::new(segment_file(FileKind::TransactionIndex, input.rest()), BASE);
    let mut found = Vec::new();
    index.collect(from, up_to, &mut found).expect("read");
    assert!(found.iter().all(|aborted| aborted.last_offset >= from && aborted.first_offset < up_to));
    index.truncate(end).expect("cut");
}

/// With its CRC as it is, or made right.
pub(super) fn producer_snapshot(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let is_sealed = input.flag();
    let mut content = input.rest().to_vec();
    if is_sealed && content.len() >= SNAPSHOT_CRC.end {
        let crc = crc32c::crc32c(&content[SNAPSHOT_CRC.end..]);
        content[SNAPSHOT_CRC].copy_from_slice(&crc.to_be_bytes());
    }
    let Ok(states) = snapshot::decode(&Bytes::from(content)) else { return };
    let _ = (states.first_unstable_offset(), states.last_entries());
    let written = Bytes::from(snapshot::encode(&states));
    let again = snapshot::decode(&written).expect("what was written");
    assert_eq!(snapshot::encode(&again), written);
    let mut expired = states;
    expired.expire(i64::MAX, 1);
}

pub(super) fn checkpoints(bytes: &[u8]) {
    let path = Path::new("/d/recovery-point-offset-checkpoint");
    let disk = disk_with(path, bytes);
    let offsets = checkpoints::read_offsets(&disk, path).expect("a readable file");
    let offsets: Vec<_> = offsets.into_iter().collect();
    checkpoints::write_offsets(&disk, path, &offsets).expect("written");
    assert_eq!(checkpoints::read_offsets(&disk, path).expect("read"), offsets.into_iter().collect());
}

pub(super) fn leader_epochs(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (offset, epoch) = (input.int64(), i32::from(input.int16()));
    let path = Path::new("/d/leader-epoch-checkpoint");
    let mut epochs = LeaderEpochs::read(&disk_with(path, input.rest()), path).expect("a readable file");
    let _ = (epochs.epoch_for(offset), epochs.end_offset_for(epoch, offset), epochs.earliest(), epochs.latest());
    epochs.truncate_from_start(offset);
    epochs.forget_before(offset / 2);
    epochs.truncate_from_end(offset.saturating_mul(2));
    epochs.assign_later(epoch, offset);
    let _ = (epochs.earliest(), epochs.end_offset_for(epoch, offset));
}

/// The files that say what the directory is, and the names of those in it.
pub(super) fn small_files(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let kind = input.byte() % 4;
    let content = input.rest();
    let path = |name: &str| PathBuf::from("/d").join(name);
    match kind {
        0 => {
            let disk = disk_with(&path(meta_properties::FILE_NAME), content);
            if let Ok(Some(properties)) = MetaProperties::read(&disk, Path::new("/d")) {
                properties.write(&disk, Path::new("/d")).expect("written");
                assert_eq!(MetaProperties::read(&disk, Path::new("/d")).expect("read"), Some(properties));
            }
        }
        1 => {
            let path = path(partition_metadata::FILE_NAME);
            let disk = disk_with(&path, content);
            if let Some(id) = partition_metadata::read(&disk, &path).expect("a readable file") {
                partition_metadata::write(&disk, &path, id).expect("written");
                assert_eq!(partition_metadata::read(&disk, &path).expect("read"), Some(id));
            }
        }
        2 => {
            let disk = disk_with(&path(quorum::FILE_NAME), content);
            if let Ok(Some(state)) = QuorumState::read(&disk, Path::new("/d")) {
                let _ = state.voters();
                state.write(&disk, Path::new("/d")).expect("written");
            }
        }
        _ => {
            let _ = parse_dir_name(&String::from_utf8_lossy(content));
        }
    }
}

const DATA: &str = "/data";

fn settings() -> LogDirSettings {
    LogDirSettings {
        open_files_max: 100,
        recovery_threads: NonZeroUsize::MIN,
        durability: Durability::Fsync,
        config: LogConfig { segment_bytes: 2000, index_interval_bytes: 100, ..LogConfig::default() },
    }
}

/// What stands in a file of a log: batches one after the other, with their lengths and CRCs made right if that is wanted.
fn log_file(content: &[u8], is_sealed: bool) -> Vec<u8> {
    if !is_sealed {
        return content.to_vec();
    }
    let mut input = Input::new(content);
    let mut file = Vec::new();
    while !input.is_empty() {
        file.extend(sealed(input.block()).unwrap_or_default());
    }
    file
}

/// A partition, all of whose files are the input's: it can be checked, opened or refused, and what was opened goes on.
pub(super) fn partition_directory(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let flags = input.byte();
    let (is_sealed, is_clean) = (flags & 1 != 0, flags & 2 != 0);
    let disk = SimDisk::new(1);
    let partition = Path::new(DATA).join("t-0");
    disk.create_dir(Path::new(DATA)).expect("created");
    disk.create_dir(&partition).expect("created");
    let names = [
        "00000000000000000000.log",
        "00000000000000000000.index",
        "00000000000000000000.timeindex",
        "00000000000000000000.txnindex",
        "00000000000000000003.log",
        "00000000000000000003.snapshot",
        "leader-epoch-checkpoint",
        "partition.metadata",
    ];
    for name in names {
        let content = input.block();
        let is_log = name.ends_with(".log");
        if !content.is_empty() {
            put(&disk, &partition.join(name), &if is_log { log_file(content, is_sealed) } else { content.to_vec() });
        }
    }
    for name in [checkpoints::RECOVERY_POINT_FILE, checkpoints::LOG_START_FILE, checkpoints::CLEANER_FILE] {
        put(&disk, &Path::new(DATA).join(name), input.block());
    }
    if is_clean {
        put(&disk, &Path::new(DATA).join(CLEAN_SHUTDOWN_FILE), input.block());
    }
    disk.crash(Crash::KeepAll);
    verify(&disk, Path::new(DATA), &mut |finding| drop(finding.to_string())).expect("nobody uses it");
    let Some(end) = open_and_use(&disk) else { return };
    disk.crash(Crash::KeepAll);
    let again = open_and_use(&disk).expect("what was opened once can be opened again");
    assert!(again > end, "what was appended is gone: the log ended at {end}, then at {again}");
}

/// Where the log ends after one more batch; `None` if the directory is refused.
fn open_and_use(disk: &SimDisk) -> Option<i64> {
    let dir = LogDir::open(Arc::new(disk.clone()), Path::new(DATA), &settings(), NOW).ok()?;
    let log = dir.partition(&TopicPartition::new("t", 0))?;
    use_log(&log);
    let mut builder = BatchBuilder::new(0);
    builder.append(&NewRecord { timestamp: NOW, value: Some(b"one more"), ..NewRecord::default() }).expect("fits");
    let batch = builder.build().expect("fits");
    let new = AppendBatch { header: *batch.header(), payload: batch.payload(), origin: AppendOrigin::Client };
    let epoch = log.leader_epoch().unwrap_or(0).max(0);
    // An epoch or an offset may be at the end of its numbers: that is told.
    let appended = log.append(&new, epoch, NOW).ok()?;
    log.commit_now().expect("flushed");
    assert_eq!(appended.last_offset + 1, log.offsets().log_end());
    dir.close(1).expect("closed");
    Some(log.offsets().log_end())
}

/// Reads all that clients can ask of a log.
fn use_log(log: &Arc<PartitionLog>) {
    let offsets = log.offsets();
    let mut batches = BatchReader::new(log, offsets.log_start());
    while let Ok(Some(batch)) = batches.next_batch() {
        let _ = batch.records(1 << 20).map(|records| records.take_while(Result::is_ok).count());
    }
    let _ = log.aborted_transactions(offsets.log_start(), offsets.log_end());
    let _ = (log.active_producers(), log.oldest_open_transaction(), log.earliest(), log.latest());
    let _ = (log.end_offset_for_epoch(0), log.end_offset_for_epoch(i32::MAX));
    log.expire_producers(i64::MAX, 1);
}
