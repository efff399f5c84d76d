//! The data directory that is damaged: every kind of file, and what is known of each.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use ottla::{
    broker::{Broker, Identity},
    config::{broker::BrokerConfig, sources::CommandLine},
    log::{
        disk::{
            Disk, EntryKind, read_file,
            sim::{Crash, SimDisk},
        },
        group_commit::Durability,
        log_config::LogConfig,
        log_dir::{LogDir, LogDirSettings},
        meta_properties::MetaProperties,
        partition_log::{AppendBatch, AppendOrigin, Appended, PartitionLog},
        producer_state::TransactionEnd,
        retention::Retention,
        validate::TimestampType,
    },
    metadata::topics::{Layout, NewTopic},
    protocol::{
        ids::TopicPartition,
        records::{
            batch::{BatchHeader, RecordBatch},
            builder::{BatchBuilder, NewRecord},
            compression::Compression,
        },
        transaction_version::TransactionVersion,
    },
};
use uuid::Uuid;

pub(crate) const DATA: &str = "/data";
/// The partitions of all topics.
pub(crate) const PARTITIONS: [(&str, i32); 4] = [("plain", 0), ("plain", 1), ("txn", 0), ("other.topic", 0)];
/// The time of the last append, near enough.
pub(crate) const NOW: i64 = 1_800_000_000_000;
/// How long records are kept: longer than they are old, and shorter than any that lost a high bit of its time.
const RETENTION_MS: i64 = 1_000_000;
const NODE: i32 = 1;
/// Restarts after a kill, each of which begins a leader epoch.
const GENERATIONS: i64 = 3;
const ROUNDS: i64 = 7;

/// How the directory was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Closed.
    Clean,
    /// Killed, with batches above the recovery point.
    Killed,
}

/// A batch as it stands in a log.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) header: BatchHeader,
    pub(crate) bytes: Bytes,
}

impl Stored {
    pub(crate) fn first(&self) -> i64 {
        self.header.base_offset
    }

    pub(crate) fn last(&self) -> i64 {
        self.header.last_offset()
    }
}

/// The directory, and what was appended.
pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) batches: BTreeMap<TopicPartition, Vec<Stored>>,
    sequences: BTreeMap<i64, i32>,
    now: i64,
}

pub(crate) fn partitions() -> impl Iterator<Item = TopicPartition> {
    PARTITIONS.iter().map(|(topic, index)| TopicPartition::new(*topic, *index))
}

impl World {
    pub(crate) fn new(stop: Stop) -> Self {
        let mut world =
            Self { disk: SimDisk::new(1), batches: BTreeMap::new(), sequences: BTreeMap::new(), now: NOW - 500_000 };
        world.disk.create_dir(Path::new(DATA)).expect("created");
        for generation in 0..GENERATIONS {
            let broker = start(&world.disk).expect("starts");
            world.fill(&broker, generation);
            let is_last = generation + 1 == GENERATIONS;
            if !is_last {
                broker.snapshot_if_due().expect("written");
            }
            if is_last && stop == Stop::Clean {
                broker.close().expect("closed");
            } else {
                broker.logs().checkpoint().expect("written");
                if is_last {
                    (0..2).for_each(|round| world.round(&broker, generation, ROUNDS + round));
                    broker.logs().group_commit().commit().expect("flushed");
                }
            }
            drop(broker);
            world.disk.crash(Crash::KeepAll);
        }
        world
    }

    fn fill(&mut self, broker: &Arc<Broker>, generation: i64) {
        if generation == 0 {
            let topic = |name: &str, count, configs: &[(&str, &str)]| NewTopic {
                name: name.to_owned(),
                layout: Layout::Count(Some(count)),
                configs: configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
                ..NewTopic::default()
            };
            let topics = [
                topic("plain", 2, &[("max.message.bytes", "77777")]),
                topic("txn", 1, &[]),
                topic("other.topic", 1, &[("compression.type", "zstd"), ("retention.ms", "1000000")]),
            ];
            let created = broker.create_topics_blocking(&topics).expect("committed");
            assert!(created.iter().all(Result::is_ok));
            set_configs(broker);
        }
        (0..ROUNDS).for_each(|round| self.round(broker, generation, round));
        // Some of the metadata is in the log alone.
        let late =
            NewTopic { name: format!("late-{generation}"), layout: Layout::Count(Some(1)), ..NewTopic::default() };
        broker.create_topics_blocking(&[late]).expect("committed").remove(0).expect("created");
        broker.logs().group_commit().commit().expect("flushed");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(broker.new_producer_id()).expect("there are some");
        if generation == 1 {
            let log = log(broker, &TopicPartition::new("plain", 1));
            log.advance_log_start(17);
        }
    }

    /// A few batches for each partition.
    fn round(&mut self, broker: &Broker, generation: i64, round: i64) {
        let n = generation * (ROUNDS + 3) + round;
        for codec in [Compression::None, [Compression::Lz4, Compression::Zstd, Compression::Gzip][index(n, 3)]] {
            self.now += 10;
            let time = self.now - n % 3 * 15;
            self.append(broker, "plain", 0, records(1 + n % 3, time, 30 + n).compression(codec, None));
        }
        let sequence = self.sequence(7);
        self.append(broker, "plain", 1, records(2, self.now, 100).producer(7, 0, sequence));
        self.append(broker, "other.topic", 0, records(1, self.now, 20 + n * 5).compression(Compression::Snappy, None));
        // Transactions of two producers that overlap. Some are committed, some aborted, and one is left open.
        let (producer, other) = (1_000 + n % 2, 1_000 + (n + 1) % 2);
        let sequence = self.sequence(producer);
        self.append(broker, "txn", 0, records(2, self.now, 40).producer(producer, 0, sequence).transactional());
        if self.sequences.contains_key(&other) {
            self.end_transaction(broker, other, n % 4 >= 2);
        }
        let sequence = self.sequence(producer);
        self.append(broker, "txn", 0, records(2, self.now, 50).producer(producer, 0, sequence).transactional());
    }

    /// The first sequence number of a producer's next two records.
    fn sequence(&mut self, producer: i64) -> i32 {
        let next = self.sequences.entry(producer).or_default();
        *next += 2;
        *next - 2
    }

    fn append(&mut self, broker: &Broker, topic: &str, partition: i32, batch: BatchBuilder) {
        let partition = TopicPartition::new(topic, partition);
        let batch = batch.build().expect("fits");
        let epoch = leader_epoch(broker, &partition);
        let new = AppendBatch { header: *batch.header(), payload: batch.payload(), origin: AppendOrigin::Client };
        let log = log(broker, &partition);
        let &BatchHeader { producer_id, producer_epoch, .. } = batch.header();
        let guard = match batch.header().is_transactional() {
            true => log.expect_transaction(producer_id, producer_epoch, TransactionVersion::V1).expect("not stale"),
            false => None,
        };
        let appended = match guard {
            Some(guard) => log.append_verified(&new, &guard, epoch, self.now),
            None => log.append(&new, epoch, self.now),
        };
        let appended = appended.expect("appended");
        assert!(!appended.is_duplicate);
        self.store(partition, epoch, &batch, appended);
    }

    /// Ends the transaction of the producer in the partition that has some, if it is open.
    fn end_transaction(&mut self, broker: &Broker, producer_id: i64, is_commit: bool) {
        let partition = TopicPartition::new("txn", 0);
        let epoch = leader_epoch(broker, &partition);
        let version = TransactionVersion::V1;
        let end = TransactionEnd { producer_id, producer_epoch: 0, is_commit, coordinator_epoch: 1, version };
        let appended = log(broker, &partition).end_transaction(&end, epoch, self.now).expect("appended");
        if let Some(appended) = appended {
            self.store(partition, epoch, &end.batch(self.now, TimestampType::CreateTime), appended);
        }
    }

    fn store(&mut self, partition: TopicPartition, epoch: i32, batch: &RecordBatch, appended: Appended) {
        let header =
            BatchHeader { base_offset: appended.first_offset, partition_leader_epoch: epoch, ..*batch.header() };
        let bytes = Bytes::from([header.to_bytes().as_slice(), &batch.payload()].concat());
        self.batches.entry(partition).or_default().push(Stored { header, bytes });
    }
}

fn index(n: i64, of: i64) -> usize {
    usize::try_from(n % of).expect("small")
}

/// A batch of records of `size` bytes.
pub(crate) fn records(count: i64, time: i64, size: i64) -> BatchBuilder {
    let mut builder = BatchBuilder::new(0);
    for n in 0..count {
        let value: Vec<u8> = (0..size).map(|at| (at * 7 + n).to_le_bytes()[0] % 40).collect();
        let timestamp = time - (count - 1 - n);
        builder.append(&NewRecord { timestamp, value: Some(&value), ..NewRecord::default() }).expect("fits");
    }
    builder
}

pub(crate) fn leader_epoch(broker: &Broker, partition: &TopicPartition) -> i32 {
    let image = broker.image();
    let topic = image.topic(&partition.topic).expect("there");
    topic.partitions[usize::try_from(partition.partition).expect("an index")].leader_epoch
}

pub(crate) fn log(broker: &Broker, partition: &TopicPartition) -> Arc<PartitionLog> {
    broker.logs().partition(partition).expect("there")
}

fn small_logs() -> LogConfig {
    LogConfig {
        segment_bytes: 1_300,
        index_interval_bytes: 200,
        retention: Retention { ms: Some(RETENTION_MS), ..Retention::UNLIMITED },
        ..LogConfig::default()
    }
}

fn config() -> BrokerConfig {
    let (config, _) = ottla::config::load(&CommandLine::default(), std::iter::empty()).expect("the defaults");
    BrokerConfig { metadata_log_max_record_bytes_between_snapshots: 1, ..config }
}

/// What a server does before it listens.
pub(crate) fn start(disk: &SimDisk) -> Result<Arc<Broker>, String> {
    let path = Path::new(DATA);
    let known = MetaProperties::read(disk, path).map_err(|error| error.to_string())?;
    if let Some(known) = &known {
        known.check(None, NODE).map_err(|error| error.to_string())?;
    }
    let settings = LogDirSettings {
        open_files_max: 200,
        recovery_threads: NonZeroUsize::MIN,
        durability: Durability::Fsync,
        // Nothing is too old in the metadata's log, whose times are the clock's.
        config: LogConfig { retention: Retention::UNLIMITED, ..small_logs() },
    };
    let logs = LogDir::open(Arc::new(disk.clone()), path, &settings, NOW).map_err(|error| error.to_string())?;
    let properties = known.unwrap_or_else(|| {
        let directory_id = Some(Uuid::from_u128(9));
        let properties = MetaProperties { cluster_id: "a-cluster".to_owned(), node_id: NODE, directory_id };
        properties.write(disk, path).expect("written");
        properties
    });
    let directory_id = properties.directory_id.unwrap_or_else(|| Uuid::from_u128(9));
    let identity = Identity { cluster_id: properties.cluster_id, directory_id };
    let broker = Broker::load(config(), identity, logs).map_err(|error| error.to_string())?;
    set_configs(&broker);
    Ok(Arc::new(broker))
}

fn set_configs(broker: &Broker) {
    let partitions: Vec<_> = partitions().collect();
    let logs = broker.logs().partitions();
    logs.iter().filter(|log| partitions.contains(log.topic_partition())).for_each(|log| log.set_config(small_logs()));
}

/// All files with their bytes, by path.
pub(crate) fn files(disk: &SimDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    collect(disk, Path::new(DATA), &mut found);
    found.sort();
    found
}

fn collect(disk: &SimDisk, path: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in disk.list_dir(path).expect("listed") {
        let path = path.join(&entry.name);
        match entry.kind {
            EntryKind::Directory => collect(disk, &path, found),
            _ => {
                let bytes = read_file(disk, &path).expect("read");
                found.push((path, bytes));
            }
        }
    }
}

/// The first batch of `bytes`, if there is a whole one.
pub(crate) fn first_batch(bytes: &mut Bytes) -> Option<RecordBatch> {
    RecordBatch::split_from(bytes).ok()
}
