//! Random histories of one log, compacted now and then, with crashes and disk errors at every call of a compaction. Whoever
//! reads the log from its start ends with the same map of keys and values as one who has read all that was ever committed.

use std::{collections::BTreeMap, num::NonZeroUsize, path::Path};

use super::*;
use crate::{
    log::{
        disk::{
            Disk,
            sim::{Crash, SimDisk, random::Random},
        },
        group_commit::Durability,
        log_dir::{LogDirSettings, parse_dir_name},
        partition_log::{
            AppendBatch, AppendError, AppendOrigin,
            test_batches::{append_confirmed, transaction_end},
        },
        producer_state::ProducerError,
        retention::Retention,
    },
    protocol::{
        ids::TopicPartition,
        records::{
            batch::RecordBatch,
            builder::{BatchBuilder, NewRecord},
            compression::Compression,
        },
    },
};

const DATA: &str = "/data";
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const CRASHES: [Crash; 3] = [Crash::LoseAll, Crash::KeepAll, Crash::Tear];
const KEYS: usize = 12;
const PRODUCERS: i64 = 3;
const DELETE_RETENTION_MS: i64 = 500;
const COMPACTION: Compaction = Compaction {
    min_dirty_ratio: 0.0,
    min_lag_ms: 0,
    max_lag_ms: i64::MAX,
    delete_retention_ms: DELETE_RETENTION_MS,
    decompressed_bytes_max: 1 << 20,
};

fn config() -> LogConfig {
    LogConfig { segment_bytes: 900, index_interval_bytes: 100, compaction: Some(COMPACTION), ..LogConfig::default() }
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn open(disk: &SimDisk, now: TimestampMs) -> LogDir {
    let settings = LogDirSettings {
        open_files_max: 8,
        recovery_threads: NonZeroUsize::MIN,
        durability: Durability::Fsync,
        config: config(),
    };
    LogDir::open(Arc::new(disk.clone()), Path::new(DATA), &settings, now).expect("opened")
}

fn cleaner() -> LogCleaner {
    LogCleaner::new(CleanerSettings { io_buffer_bytes: 600, ..CleanerSettings::default() })
}

type Pairs = Vec<(Vec<u8>, Option<Vec<u8>>)>;
type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// What one producer has done.
#[derive(Clone, Default)]
struct Producer {
    next_sequence: i32,
    /// The offset of its last batch.
    last: Option<(i64, AppendBatch)>,
    /// What it has written in the transaction that is open.
    open: Option<Vec<(i64, Pairs)>>,
}

/// What has to be in the log.
#[derive(Clone, Default)]
struct Model {
    /// Keys and values by offset, of whatever was committed.
    committed: BTreeMap<i64, (Vec<u8>, Option<Vec<u8>>)>,
    producers: BTreeMap<i64, Producer>,
    /// The log's end.
    end: i64,
}

impl Model {
    /// What a reader of everything below `end` has.
    fn map(&self, end: i64) -> Map {
        let mut map = Map::new();
        for (key, value) in self.committed.range(..end).map(|(_, record)| record.clone()) {
            match value {
                Some(value) => drop(map.insert(key, value)),
                None => drop(map.remove(&key)),
            }
        }
        map
    }

    fn commit(&mut self, first_offset: i64, pairs: Pairs) {
        self.committed.extend((first_offset..).zip(pairs));
    }
}

struct History {
    disk: SimDisk,
    logs: LogDir,
    log: Arc<PartitionLog>,
    random: Random,
    model: Model,
    now: TimestampMs,
}

impl History {
    fn new(seed: u64) -> Self {
        let disk = SimDisk::new(seed);
        let logs = open(&disk, 0);
        let log = logs.create_partition(&partition(), uuid::Uuid::from_u128(5), config(), 0, 0).expect("created");
        logs.checkpoint().expect("written down");
        Self { disk, logs, log, random: Random(seed), model: Model::default(), now: 1_000 }
    }

    /// A number from 0 to `bound` - 1.
    fn number(&mut self, bound: i64) -> i64 {
        i64::try_from(self.random.below(usize::try_from(bound).expect("positive"))).expect("small")
    }

    /// True once in `n` times.
    fn one_in(&mut self, n: usize) -> bool {
        self.random.below(n) == 0
    }

    /// Some steps, after which everything is decided and on disk.
    fn go_on(&mut self, steps: usize) {
        (0..steps).for_each(|_| self.step());
        (0..PRODUCERS).for_each(|_| self.end_transaction());
        self.log.flush().expect("flushed");
    }

    fn step(&mut self) {
        self.now += self.number(40);
        match self.random.below(20) {
            0..9 => self.produce(None),
            9..15 => {
                let id = self.number(PRODUCERS);
                self.produce(Some(id));
            }
            15..18 => self.end_transaction(),
            18 => self.logs.checkpoint().expect("written down"),
            _ => {
                self.log.flush().expect("flushed");
                self.log.expire_producers(self.now, 2_000);
            }
        }
    }

    /// Appends a batch: of no producer, or of one within a transaction or, before one begins, without.
    fn produce(&mut self, id: Option<i64>) {
        let (builder, pairs) = self.batch();
        let Some(id) = id else {
            let first = self.append(&to_append(builder));
            return self.model.commit(first, pairs);
        };
        let begins = self.one_in(2);
        let producer = self.model.producers.entry(id).or_default();
        let sequence = producer.next_sequence;
        let mut builder = builder.producer(id, 0, sequence);
        if begins || producer.open.is_some() {
            producer.open.get_or_insert_default();
            builder = builder.transactional();
        }
        let batch = to_append(builder);
        let first = self.append(&batch);
        let producer = self.model.producers.entry(id).or_default();
        producer.next_sequence = sequence + batch.header.record_count;
        producer.last = Some((first, batch));
        match &mut producer.open {
            Some(open) => open.push((first, pairs)),
            None => self.model.commit(first, pairs),
        }
    }

    fn batch(&mut self) -> (BatchBuilder, Pairs) {
        const CODECS: [Compression; 3] = [Compression::None, Compression::None, Compression::Lz4];
        let codec = CODECS[self.random.below(3)];
        let mut builder = BatchBuilder::new(0).compression(codec, None);
        let mut pairs = Pairs::new();
        for n in 0..=self.number(4) {
            let key = format!("key-{}", self.random.below(KEYS)).into_bytes();
            let value = (!self.one_in(4)).then(|| {
                let length = self.random.below(60);
                format!("{}-{n}-{}", self.model.end, "v".repeat(length)).into_bytes()
            });
            let timestamp = self.now + n;
            let record = NewRecord { timestamp, key: Some(&key), value: value.as_deref(), headers: &[] };
            builder.append(&record).expect("fits");
            pairs.push((key, value));
        }
        (builder, pairs)
    }

    fn end_transaction(&mut self) {
        let open = self.model.producers.iter().find(|(_, producer)| producer.open.is_some());
        let Some((&id, _)) = open else { return };
        let is_commit = !self.one_in(3);
        let ended = self.log.end_transaction(&transaction_end(id, is_commit), 0, self.now).expect("appended");
        self.model.end = ended.expect("it was open").last_offset + 1;
        let producer = self.model.producers.get_mut(&id).expect("it is there");
        for (first, pairs) in producer.open.take().into_iter().flatten().filter(|_| is_commit) {
            self.model.commit(first, pairs);
        }
    }

    fn append(&mut self, batch: &AppendBatch) -> i64 {
        let appended = append_confirmed(&self.log, batch, self.now).expect("appended");
        self.model.end = appended.last_offset + 1;
        appended.first_offset
    }

    fn clean(&mut self) {
        let now = self.now;
        cleaner().clean_due(&self.logs, || now);
    }

    /// The broker is gone, by a crash or a kill, and comes back.
    fn restart(&mut self, crash: Crash) {
        self.disk.crash(crash);
        self.logs = open(&self.disk, self.now);
        self.log = self.logs.partition(&partition()).expect("it is there");
    }

    /// Holds the log against what has to be in it.
    fn check(&self) {
        let offsets = self.log.offsets();
        let end = offsets.last_stable();
        assert_eq!(read(&self.log, end), self.model.map(end), "up to {end} of {offsets:?}");
    }

    /// After a restart: what was flushed is there, and producers go on where they were.
    fn check_restarted(&mut self, flushed: i64) {
        let end = self.log.offsets().log_end();
        assert!(flushed <= end && end <= self.model.end, "{flushed} to {end}, {}", self.model.end);
        self.check();
        for producer in self.model.producers.values() {
            let Some((first, batch)) = producer.last.clone().filter(|(first, _)| *first < flushed) else { continue };
            let again = self.log.append(&batch, 0, self.now);
            match again {
                Ok(appended) if appended.is_duplicate => assert_eq!(appended.first_offset, first),
                // Expired, or ended by a marker of another transaction's state.
                Err(AppendError::Producer(ProducerError::OutOfOrder { .. } | ProducerError::NoTransaction { .. })) => {}
                Ok(appended) => panic!("{appended:?} was at {first} before"),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn file_names(&self) -> Vec<String> {
        let path = Path::new(DATA).join(partition().to_string());
        self.disk.list_dir(&path).expect("listed").into_iter().map(|entry| entry.name).collect()
    }
}

fn to_append(builder: BatchBuilder) -> AppendBatch {
    let batch = builder.build().expect("not empty");
    AppendBatch { header: *batch.header(), payload: batch.payload(), origin: AppendOrigin::Client }
}

/// All that a consumer of committed records gets below `end`, applied one after the other.
fn read(log: &PartitionLog, end: i64) -> Map {
    let start = log.offsets().log_start();
    let aborted = log.aborted_transactions(start, end).expect("readable");
    let mut map = Map::new();
    for batch in batches(log, end) {
        let header = batch.header();
        let is_aborted = header.is_transactional()
            && aborted.iter().any(|transaction| {
                transaction.producer_id == header.producer_id
                    && (transaction.first_offset..=transaction.last_offset).contains(&header.base_offset)
            });
        if header.is_control() || is_aborted {
            continue;
        }
        for record in batch.records(1 << 20).expect("readable") {
            let record = record.expect("whole");
            let key = record.key.expect("every record has one").to_vec();
            match record.value {
                Some(value) => drop(map.insert(key, value.to_vec())),
                None => drop(map.remove(&key)),
            }
        }
    }
    map
}

/// All batches below `end`, fetched a few at a time.
fn batches(log: &PartitionLog, end: i64) -> Vec<RecordBatch> {
    let mut offset = log.offsets().log_start();
    let mut batches: Vec<RecordBatch> = Vec::new();
    while offset < end {
        let Some(records) = log.read(offset, 300, true, end).expect("readable").records else { break };
        let mut bytes = records.read().expect("read");
        while let Ok(batch) = RecordBatch::split_from(&mut bytes) {
            batch.check_crc().expect("undamaged");
            let before = batches.last().map_or(-1, |before| before.header().last_offset());
            assert!(batch.header().base_offset > before, "{} after {before}", batch.header().base_offset);
            offset = batch.header().last_offset() + 1;
            batches.push(batch);
        }
    }
    batches
}

/// How many histories there are, if somebody has said so: then every call of a compaction is looked at too.
fn long_run() -> Option<u64> {
    std::env::var("OTTLA_COMPACTION_SEEDS").ok().map(|text| text.parse().expect("a number of seeds"))
}

/// The calls that are looked at: a share of them, another one for each `round`.
fn calls(round: u64) -> impl Iterator<Item = u64> {
    const SHARE: u64 = 8;
    let step = if long_run().is_some() { 1 } else { SHARE };
    (1 + round % step..).step_by(usize::try_from(step).expect("small"))
}

#[test]
fn a_reader_from_the_start_ends_with_the_same_map() {
    let seeds = long_run().unwrap_or(30);
    println!("seeds 0 to {seeds}");
    for seed in 0..seeds {
        let mut history = History::new(seed);
        for _ in 0..300 {
            history.step();
            if history.one_in(25) {
                history.log.flush().expect("flushed");
                history.clean();
                history.check();
            }
            if history.one_in(80) {
                history.log.flush().expect("flushed");
                let crash = CRASHES[history.random.below(3)];
                let end = history.model.end;
                history.restart(crash);
                history.check_restarted(end);
            }
        }
    }
}

#[test]
fn a_log_shrinks_to_its_keys() {
    let mut history = History::new(7);
    history.go_on(400);
    let (before, segments) = (history.log.size(), history.log.segments().len());
    history.clean();
    let after = history.log.size();
    assert!(after * 3 < before, "{before} to {after}");
    history.check();
    // Segments are grouped by the size that they have before.
    history.go_on(20);
    history.clean();
    let left = history.log.segments().len();
    assert!(left * 3 < segments, "{segments} segments to {left}");
    history.check();
    assert!(history.log.cleaned() == Some(history.log.segments().last().expect("one").base_offset()));
    let names = history.file_names();
    assert!(names.iter().any(|name| name.ends_with(".log.deleted")), "{names:?}");
    let later = monotonic() + Duration::from_hours(1);
    history.logs.remove_deleted(later).expect("removed");
    let names = history.file_names();
    assert!(!names.iter().any(|name| name.ends_with(".deleted") || name.ends_with(".swap")), "{names:?}");
    let again = history.log.size();
    history.clean();
    assert_eq!(history.log.size(), again, "there is nothing to be done");
}

#[test]
fn tombstones_stay_for_a_while_and_go() {
    let mut history = History::new(3);
    let append = |history: &mut History, key: &[u8], value: Option<&[u8]>| {
        let mut builder = BatchBuilder::new(0);
        builder.append(&NewRecord { timestamp: history.now, key: Some(key), value, headers: &[] }).expect("fits");
        history.append(&to_append(builder))
    };
    let roll = |history: &mut History| {
        for n in 0..40 {
            append(history, format!("filler-{n}").as_bytes(), Some(b"some text that takes room"));
        }
        history.log.flush().expect("flushed");
    };
    append(&mut history, b"k", Some(b"v"));
    let tombstone = append(&mut history, b"k", None);
    let has_tombstone = |history: &History| {
        let batches = batches(&history.log, history.model.end);
        batches.iter().any(|batch| batch.header().base_offset == tombstone && batch.header().record_count == 1)
    };
    roll(&mut history);
    history.clean();
    assert!(has_tombstone(&history));
    let first = batches(&history.log, 2).first().map(|batch| batch.header().base_offset);
    assert_eq!(first, Some(tombstone), "what it deletes is gone");
    history.now += DELETE_RETENTION_MS - 1;
    roll(&mut history);
    history.clean();
    assert!(has_tombstone(&history));
    history.now += 1;
    roll(&mut history);
    history.clean();
    assert!(!has_tombstone(&history));
}

/// A log with something to be compacted, and something that was compacted before.
fn prepared(seed: u64) -> History {
    let mut history = History::new(seed);
    history.go_on(35);
    history.clean();
    history.go_on(35);
    history
}

/// Histories that begin with the same log, each on a disk of its own.
struct Copies {
    disk: SimDisk,
    model: Model,
    now: TimestampMs,
}

impl Copies {
    fn of(history: History) -> Self {
        history.logs.close(1).expect("closed");
        Self { disk: history.disk, model: history.model, now: history.now }
    }

    fn another(&self, seed: u64) -> History {
        let disk = self.disk.copy(seed);
        let logs = open(&disk, self.now);
        let log = logs.partition(&partition()).expect("it is there");
        History { disk, logs, log, random: Random(seed), model: self.model.clone(), now: self.now }
    }
}

#[test]
fn a_crash_at_any_call_of_a_compaction_leaves_the_log_before_or_after() {
    for seed in 0..2 {
        let copies = Copies::of(prepared(seed));
        for (round, crash) in (3 * seed..).zip(CRASHES) {
            for call in calls(round) {
                let mut history = copies.another(call);
                let end = history.model.end;
                history.disk.fail_from(call, EIO);
                history.clean();
                let is_over = !history.disk.has_failed();
                history.restart(crash);
                history.check_restarted(end);
                let names = history.file_names();
                let is_odd =
                    |name: &String| [".swap", ".cleaned", ".deleted", ".corrupt"].iter().any(|end| name.contains(end));
                assert!(!names.iter().any(is_odd), "call {call}, {crash:?}: {names:?}");
                history.clean();
                history.check();
                if is_over {
                    assert!(call > 60, "{call} calls are hardly a compaction");
                    break;
                }
            }
        }
    }
}

#[test]
fn an_error_at_any_call_of_a_compaction_leaves_a_log_that_works() {
    let copies = Copies::of(prepared(1));
    for (round, errno) in [(0, EIO), (5, ENOSPC)] {
        for call in calls(round) {
            let mut history = copies.another(call);
            history.disk.fail_nth(call, errno);
            history.clean();
            let is_over = !history.disk.has_failed();
            history.disk.heal();
            history.check();
            if history.logs.group_commit().failure().is_none() {
                history.go_on(20);
                history.clean();
                history.check();
                assert!(history.log.is_uncleanable() || history.log.cleaned() > Some(0), "call {call}");
                let end = history.model.end;
                history.restart(Crash::LoseAll);
                history.check_restarted(end);
            } else {
                history.restart(Crash::LoseAll);
                history.check();
            }
            if is_over {
                assert!(call > 60, "{call} calls are hardly a compaction");
                break;
            }
        }
    }
}

#[test]
fn a_damaged_log_is_left_alone_and_the_others_are_not() {
    // A payload, and what lies outside the CRC: base offset, length, leader epoch.
    for (position, bytes) in [(70, &[0xff, 0x55][..]), (5, &[1]), (9, &[0x40]), (15, &[9])] {
        damaged_log_is_left_alone(position, bytes);
    }
}

fn damaged_log_is_left_alone(position: usize, bytes: &[u8]) {
    let mut history = prepared(4);
    let other = TopicPartition::new("u", 0);
    let other = history.logs.create_partition(&other, uuid::Uuid::from_u128(6), config(), 0, 0).expect("created");
    for n in 0..100_i64 {
        let mut builder = BatchBuilder::new(0);
        builder.append(&NewRecord { timestamp: n, key: Some(b"k"), value: Some(b"v"), headers: &[] }).expect("fits");
        other.append(&to_append(builder), 0, n).expect("appended");
    }
    other.flush().expect("flushed");
    let segments = history.log.segments();
    let dirty = &segments[segments.len() - 2];
    // What this process has written is believed.
    history.logs.close(1).expect("closed");
    history.disk.crash(Crash::KeepAll);
    let path = dirty.log().path();
    history.disk.corrupt(&path, position, bytes).expect("corrupted");
    history.logs = open(&history.disk, history.now);
    history.log = history.logs.partition(&partition()).expect("it is there");
    let other = history.logs.partition(&TopicPartition::new("u", 0)).expect("it is there");
    let segments = history.log.segments();
    let size = other.size();
    history.clean();
    assert!(history.log.is_uncleanable() && other.size() * 3 < size);
    assert!(history.log.segments().iter().zip(&segments).all(|(a, b)| Arc::ptr_eq(a, b)), "nothing was replaced");
    let names = history.file_names();
    assert!(!names.iter().any(|name| name.ends_with(".cleaned") || name.ends_with(".swap")), "{names:?}");
}

#[test]
fn retention_and_deletion_beside_a_compaction_win() {
    let history = prepared(5);
    let log = Arc::clone(&history.log);
    let old = log.segments();
    let cleaned = log.create_cleaned(old[0].base_offset(), &log.config()).expect("created");
    log.sync_cleaned(&cleaned).expect("synced");
    let limits = LogConfig { retention: Retention { bytes: Some(0), ..Retention::UNLIMITED }, ..config() };
    log.set_config(limits);
    history.logs.enforce_retention(history.now, monotonic()).expect("deleted");
    let replaced = log.replace(&old[..2], cleaned);
    assert!(matches!(replaced, Err(crate::log::partition_log::SwapError::Changed)));
    let names = history.file_names();
    assert!(
        !names.iter().any(|name| name.ends_with(".cleaned")),
        "a start would take back what is swapped later: {names:?}"
    );

    let history = prepared(5);
    let log = Arc::clone(&history.log);
    let old = log.segments();
    let cleaned = log.create_cleaned(old[0].base_offset(), &log.config()).expect("created");
    log.sync_cleaned(&cleaned).expect("synced");
    history.logs.delete_partitions(&[partition()], monotonic()).expect("deleted");
    let replaced = log.replace(&old[..2], cleaned);
    assert!(matches!(replaced, Err(crate::log::partition_log::SwapError::Changed)));
    history.logs.remove_deleted(monotonic() + Duration::from_hours(1)).expect("removed");
    let left = history.disk.list_dir(Path::new(DATA)).expect("listed");
    assert!(!left.iter().any(|entry| matches!(parse_dir_name(&entry.name), crate::log::log_dir::DirName::Deleted)));
}

#[test]
fn a_map_that_is_too_small_for_all_keys_takes_several_passes() {
    let mut history = History::new(9);
    for _ in 0..200 {
        history.step();
    }
    history.log.flush().expect("flushed");
    let settings = CleanerSettings { dedupe_buffer_bytes: 24 * 8, load_factor: 1.0, ..CleanerSettings::default() };
    let now = history.now;
    LogCleaner::new(settings).clean_due(&history.logs, || now);
    history.check();
    assert!(history.log.cleaned().is_some_and(|cleaned| cleaned > 100), "{:?}", history.log.cleaned());
}

#[test]
fn a_stop_is_heard_in_the_middle() {
    let history = prepared(6);
    let before = history.log.segments().len();
    let slow = CleanerSettings { io_bytes_per_second_max: 1.0, ..CleanerSettings::default() };
    let cleaner = LogCleaner::new(slow);
    let now = history.now;
    std::thread::scope(|scope| {
        let cleaning = scope.spawn(|| cleaner.clean_due(&history.logs, || now));
        cleaner.stop();
        cleaning.join().expect("it ends");
    });
    assert!(!cleaner.wait(Duration::from_hours(1)), "it begins no more");
    assert_eq!(history.log.segments().len(), before);
    history.check();
}

#[test]
fn a_file_system_without_room_is_left_alone() {
    let mut history = prepared(1);
    let before = history.log.segments();
    history.logs.checkpoint().expect("written down");
    history.disk.set_capacity(1 << 20, 1_000);
    history.disk.leave(5_000, 500);
    history.clean();
    let is_same = |log: &PartitionLog| log.segments().iter().zip(&before).all(|(a, b)| Arc::ptr_eq(a, b));
    assert!(is_same(&history.log) && history.log.segments().len() == before.len());
    history.disk.leave(500_000, 500);
    history.logs.watch_room();
    history.clean();
    assert!(is_same(&history.log), "it is left alone for a while");
    history.log.rest_until(monotonic());
    history.clean();
    assert!(!is_same(&history.log));
    history.check();
}
