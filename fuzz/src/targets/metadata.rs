//! The metadata: its records, its log, its snapshots.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use ottla::{
    broker::{Broker, Identity},
    config::{broker::BrokerConfig, sources::CommandLine},
    log::{
        disk::{
            Disk, OpenMode,
            sim::{Crash, SimDisk},
        },
        group_commit::Durability,
        log_config::LogConfig,
        log_dir::{LogDir, LogDirSettings},
    },
    metadata::{
        image::Image,
        level::MetadataLevel,
        record::MetadataRecord,
        snapshot::{self, SnapshotId},
    },
    protocol::{
        ids::TopicPartition,
        records::builder::{BatchBuilder, NewRecord},
    },
};
use uuid::Uuid;

use super::{files::put, input::Input, records::sealed};

const NOW: i64 = 1_800_000_000_000;
const DATA: &str = "/data";

/// Records, each a block: whatever they do to an image, a snapshot of it makes the same image.
pub(super) fn metadata_records(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut image = Image::default();
    let mut offset = 0;
    while !input.is_empty() {
        let value = Bytes::copy_from_slice(input.block());
        let Ok(record) = MetadataRecord::decode(&value) else { continue };
        let _ = record.encode(MetadataLevel::LATEST);
        if image.apply(offset, &record).is_ok() {
            offset += 1;
        }
    }
    let mut again = Image::default();
    for (offset, record) in (0..).zip(snapshot::records_of(&image)) {
        again.apply(offset, &record).unwrap_or_else(|error| panic!("a snapshot of an image is none: {error}"));
    }
    assert_eq!(snapshot::records_of(&again), snapshot::records_of(&image));
}

/// A snapshot's file: batches, whose CRCs are made right if that is wanted.
pub(super) fn metadata_snapshot(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let is_sealed = input.flag();
    let mut file = Vec::new();
    if is_sealed {
        while !input.is_empty() {
            file.extend(sealed(input.block()).unwrap_or_default());
        }
    } else {
        file.extend(input.rest());
    }
    let disk = SimDisk::new(1);
    disk.create_dir(Path::new("/d")).expect("created");
    let id = SnapshotId { end_offset: 7, epoch: 1 };
    put(&disk, Path::new("/d/00000000000000000007-0000000001.checkpoint"), &file);
    let read = snapshot::read(&disk, Path::new("/d"), id);
    let timestamp = snapshot::last_timestamp(&disk, Path::new("/d"), id);
    if let Ok(snapshot) = read {
        assert_eq!(timestamp.ok(), Some(snapshot.last_timestamp));
    }
}

/// The data directory of a broker that was started once.
static FORMATTED: LazyLock<SimDisk> = LazyLock::new(|| {
    let disk = SimDisk::new(1);
    drop(load(&disk).unwrap_or_else(|error| panic!("a new directory: {error}")));
    disk.crash(Crash::KeepAll);
    disk
});

fn settings() -> LogDirSettings {
    LogDirSettings {
        open_files_max: 100,
        recovery_threads: NonZeroUsize::MIN,
        durability: Durability::Fsync,
        config: LogConfig::default(),
    }
}

fn logs(disk: &SimDisk) -> Result<LogDir, String> {
    LogDir::open(Arc::new(disk.clone()), Path::new(DATA), &settings(), NOW).map_err(|error| error.to_string())
}

fn load(disk: &SimDisk) -> Result<Broker, String> {
    let logs = logs(disk)?;
    let (config, _) = ottla::config::load(&CommandLine::default(), std::iter::empty()).expect("the defaults");
    let config = BrokerConfig { metadata_log_max_record_bytes_between_snapshots: 1, ..config };
    let identity = Identity { cluster_id: "a-cluster".to_owned(), directory_id: Uuid::from_u128(9) };
    Broker::load(config, identity, logs).map_err(|error| error.to_string())
}

/// A metadata log that ends with a batch of the input's records, as one, as a transaction, or with noise behind it: the
/// broker starts or says why it does not. One that started goes on to.
pub(super) fn metadata_log(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let disk = FORMATTED.copy(2);
    let path = PathBuf::from(DATA).join("__cluster_metadata-0/00000000000000000000.log");
    let file = disk.open(&path, OpenMode::Existing).expect("a started broker has one");
    let epoch = i32::from(input.byte());
    let mut builder = BatchBuilder::new(*END).leader_epoch(epoch);
    let mut values = Vec::new();
    while !input.is_empty() && values.len() < 100 {
        values.push(input.block());
    }
    if values.is_empty() {
        return;
    }
    for value in values {
        builder.append(&NewRecord { timestamp: NOW, value: Some(value), ..NewRecord::default() }).expect("fits");
    }
    let batch = builder.build().expect("fits");
    file.write_all_at(&[batch.bytes()], file.len().expect("its length")).expect("written");
    drop(file);
    disk.crash(Crash::KeepAll);
    let Ok(broker) = load(&disk) else { return };
    let image = broker.image();
    let _ = broker.snapshot_if_due();
    let _ = broker.close();
    drop(broker);
    disk.crash(Crash::KeepAll);
    let again = load(&disk).unwrap_or_else(|error| panic!("it started, was closed and does not start again: {error}"));
    let names = |image: &Image| image.topics().map(|topic| topic.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&again.image()), names(&image));
}

/// The offset after the last record of that directory's metadata.
static END: LazyLock<i64> = LazyLock::new(|| {
    let logs = logs(&FORMATTED.copy(3)).unwrap_or_else(|error| panic!("a formatted directory: {error}"));
    let metadata = logs.partition(&TopicPartition::new("__cluster_metadata", 0));
    metadata.expect("it has a metadata log").offsets().log_end()
});
