use std::{num::NonZeroUsize, path::Path, task::Waker, time::Duration};

use proptest::prelude::*;

use super::{
    test_batches::{append_confirmed, batch, transaction_end},
    *,
};
use crate::{
    clock::monotonic,
    log::{
        disk::{
            Disk, OpenMode, RealDisk, read_file,
            sim::{Crash, SimDisk},
        },
        log_dir::{LogDir, LogDirSettings},
        retention::Retention,
        scan::{BatchAt, BatchScan, check_crc},
        segment::Unreadable,
    },
    protocol::records::batch::RecordBatch,
};

const DIR: &str = "/data";

pub(super) fn small() -> LogConfig {
    LogConfig { segment_bytes: 4000, index_interval_bytes: 200, ..LogConfig::default() }
}

fn settings(config: LogConfig) -> LogDirSettings {
    LogDirSettings { open_files_max: 6, recovery_threads: NonZeroUsize::MIN, durability: Durability::Fsync, config }
}

pub(super) fn partition() -> TopicPartition {
    TopicPartition::new("orders", 0)
}

pub(super) fn open(disk: &SimDisk, config: LogConfig) -> (LogDir, Arc<PartitionLog>) {
    try_open(disk, config).expect("the directory opens")
}

fn try_open(disk: &SimDisk, config: LogConfig) -> Result<(LogDir, Arc<PartitionLog>), Box<dyn std::error::Error>> {
    let dir = LogDir::open(Arc::new(disk.clone()), Path::new(DIR), &settings(config), 0)?;
    let log = match dir.partition(&partition()) {
        Some(log) => log,
        None => dir.create_partition(&partition(), Uuid::from_u128(1), config, 0, 0)?,
    };
    Ok((dir, log))
}

pub(super) fn append(log: &Arc<PartitionLog>, records: i32, timestamp: i64, payload: usize) -> Appended {
    log.append(&batch(records, timestamp, payload), 0, timestamp).expect("appended")
}

/// The batches that a read of everything finds, each with its CRC checked.
pub(super) fn read_all(log: &PartitionLog) -> Vec<(i64, i64, usize)> {
    let offsets = log.offsets();
    let (mut offset, mut found) = (offsets.log_start(), Vec::new());
    while offset < offsets.log_end() {
        let slice = log.read(offset, 1, true, offsets.log_end()).expect("readable");
        let mut bytes = slice.records.expect("a batch").read().expect("there");
        let batch = RecordBatch::split_from(&mut bytes).expect("whole");
        assert_eq!(bytes.len(), 0, "only the first batch is larger than the limit");
        batch.check_crc().expect("undamaged");
        found.push((batch.header().base_offset, batch.header().last_offset(), batch.bytes().len()));
        offset = batch.header().last_offset() + 1;
    }
    found
}

pub(super) fn file(name: &str) -> PathBuf {
    Path::new(DIR).join("orders-0").join(name)
}

#[test]
fn batches_get_offsets_and_come_back() {
    let disk = SimDisk::new(1);
    let (_dir, log) = open(&disk, small());
    assert_eq!(
        append(&log, 3, 100, 10),
        Appended { first_offset: 0, last_offset: 2, rolled: false, max_timestamp: 100, is_duplicate: false }
    );
    assert_eq!(
        append(&log, 1, 100, 0),
        Appended { first_offset: 3, last_offset: 3, rolled: false, max_timestamp: 100, is_duplicate: false }
    );
    assert_eq!(read_all(&log), [(0, 2, 71), (3, 3, 61)]);
    let offsets = log.offsets();
    assert_eq!((offsets.log_start(), offsets.high_watermark(), offsets.log_end()), (0, 0, 4), "not on disk yet");
    log.commit_now().expect("flushed");
    let offsets = log.offsets();
    assert_eq!((offsets.log_start(), offsets.high_watermark(), offsets.log_end()), (0, 4, 4));
    assert_eq!(log.recovery_point(), 0, "a start looks at the indexes");
    assert_eq!(log.counters().messages_in.load(Ordering::Relaxed), 4);
    assert_eq!(log.size(), 132);
}

#[test]
fn times_by_the_log_do_not_go_back() {
    let disk = SimDisk::new(1);
    let (_dir, log) = open(&disk, small());
    let append_at = |now| {
        let mut batch = batch(2, now, 50);
        batch.header.set_log_append_time(now);
        assert!(batch.header.seal(&batch.payload));
        log.append(&batch, 0, now).expect("appended").max_timestamp
    };
    assert_eq!([2_000, 1_000, 3_000].map(append_at), [2_000, 2_000, 3_000]);
    assert_eq!(append(&log, 1, 5, 0).max_timestamp, 5, "a producer's time is its own");
    assert_eq!(read_all(&log).len(), 4, "each with the CRC of what it says now");
}

#[test]
fn a_read_honours_its_limits() {
    let disk = SimDisk::new(1);
    let (_dir, log) = open(&disk, small());
    (0..4).for_each(|n| {
        append(&log, 2, n, 39);
    });
    let length = |offset, max, min_one, up_to| {
        let slice = log.read(offset, max, min_one, up_to).expect("readable");
        slice.records.map_or(0, |records| records.length)
    };
    assert_eq!(length(0, 1000, false, 8), 400);
    assert_eq!(length(3, 1000, false, 8), 300, "from the batch that has the offset");
    assert_eq!(length(0, 150, false, 8), 150, "the last batch may be cut");
    assert_eq!(length(0, 1000, false, 4), 200, "nothing at or above the limit");
    assert_eq!(length(0, 10, true, 8), 100);
    assert_eq!(length(0, 10, false, 8), 0);
    assert_eq!(length(8, 1000, true, 8), 0);
    assert_eq!(length(5, 1000, true, 4), 0);
    for offset in [-1, 9] {
        let error = log.read(offset, 10, true, 8).expect_err("out of range");
        assert!(matches!(error, ReadError::OffsetOutOfRange { log_start: 0, log_end: 8, .. }));
    }
}

#[test]
fn every_offset_is_found_with_and_without_memory_of_the_appends() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, small());
    (0..500).for_each(|n| {
        append(&log, 1 + n % 3, 1000 + i64::from(n), 5 + usize::try_from(n).expect("small") % 60);
    });
    let expected = read_all(&log);
    assert_eq!(expected.len(), 500);
    dir.close(1).expect("closed");
    drop((dir, log));
    let (_dir, log) = open(&disk, small());
    assert_eq!(read_all(&log), expected);
    for (first, last, size) in expected {
        for offset in first..=last {
            let slice = log.read(offset, 1, true, log.high_watermark()).expect("readable");
            assert_eq!(slice.first_batch_size, size);
            let exact = log.read(offset, usize::MAX, true, last + 1).expect("readable");
            assert_eq!(exact.records.expect("bytes").length, size);
        }
    }
}

#[test]
fn segments_roll_by_size_age_and_full_index() {
    let rolls = |config: LogConfig, timestamps: &[i64]| -> Vec<bool> {
        let disk = SimDisk::new(1);
        let (_dir, log) = open(&disk, config);
        timestamps.iter().map(|timestamp| append(&log, 1, *timestamp, 39).rolled).collect()
    };
    let by_size = LogConfig { segment_bytes: 250, ..small() };
    assert_eq!(rolls(by_size, &[0, 0, 0, 0, 0]), [false, false, true, false, true]);
    let by_age = LogConfig { segment_ms: 10, ..small() };
    assert_eq!(rolls(by_age, &[100, 110, 111, 105, 121, 122]), [false, false, true, false, false, true]);
    let full = LogConfig { segment_index_bytes: 24, index_interval_bytes: 1, ..small() };
    assert_eq!(rolls(full, &[1, 2, 3, 4]), [false, false, true, false]);
}

#[test]
fn a_read_says_whether_a_later_segment_has_more() {
    let (_dir, log) = open(&SimDisk::new(1), LogConfig { segment_bytes: 250, ..small() });
    let older = |offset, up_to| log.read(offset, 1 << 20, true, up_to).expect("readable").from_older_segment;
    assert_eq!([0; 3].map(|_| append(&log, 1, 0, 39).rolled), [false, false, true]);
    assert_eq!([0, 1, 2, 3].map(|offset| older(offset, 3)), [true, true, false, false]);
    assert!(!older(1, 2), "the rest of the log is not to be read");
}

#[test]
fn what_was_appended_last_is_at_hand() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, LogConfig { segment_bytes: 100_000, ..small() });
    assert!(log.is_at_hand(0), "there is nothing");
    for _ in 0..400 {
        append(&log, 2, 0, 0);
    }
    assert_eq!(
        [-1, 0, 1, 798, 799, 800, 801].map(|at| log.is_at_hand(at)),
        [true, false, false, true, true, true, true]
    );
    dir.close(1).expect("closed");
    drop((dir, log));
    let (_dir, log) = open(&disk, LogConfig { segment_bytes: 100_000, ..small() });
    assert_eq!([-1, 0, 799, 800].map(|at| log.is_at_hand(at)), [true, false, false, true]);
    append(&log, 1, 0, 0);
    assert_eq!([799, 800].map(|at| log.is_at_hand(at)), [false, true]);
}

#[test]
fn files_are_named_and_filled_as_kafka_does() {
    let disk = SimDisk::new(1);
    let (_dir, log) = open(&disk, LogConfig { segment_bytes: 300, index_interval_bytes: 90, ..small() });
    (0..5).for_each(|n| {
        append(&log, 2, 1000 + n, 39);
    });
    log.flush().expect("flushed");
    let mut names: Vec<_> = disk.list_dir(&file("")).expect("listed").into_iter().map(|e| (e.name, e.len)).collect();
    names.sort();
    let expected = [
        ("00000000000000000000.index", 16),
        ("00000000000000000000.log", 300),
        ("00000000000000000000.timeindex", 24),
        ("00000000000000000006.index", 8),
        ("00000000000000000006.log", 200),
        ("00000000000000000006.snapshot", 10),
        ("00000000000000000006.timeindex", 12),
        ("00000000000000000010.snapshot", 10),
        ("leader-epoch-checkpoint", 8),
        ("partition.metadata", 43),
    ];
    assert_eq!(names, expected.map(|(name, len)| (name.to_owned(), len)));
    let index = read_file(&disk, &file("00000000000000000000.index")).expect("read");
    assert_eq!(index, [0, 0, 0, 3, 0, 0, 0, 100, 0, 0, 0, 5, 0, 0, 0, 200]);
    let index = read_file(&disk, &file("00000000000000000000.timeindex")).expect("read");
    assert_eq!(index, [0, 0, 0, 0, 0, 0, 3, 233, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 3, 234, 0, 0, 0, 5]);
}

/// Takes the test batches apart: record n of a batch has the batch's timestamp less what is left to the last record.
pub(super) fn times(
    batch: &RecordBatch,
    is_wanted: &dyn Fn(i64, i64) -> bool,
) -> Result<Option<(i64, i64)>, Unreadable> {
    let header = batch.header();
    let offsets = header.base_offset..=header.last_offset();
    let mut records = offsets.map(|offset| (offset, header.max_timestamp - (header.last_offset() - offset)));
    Ok(records.find(|(offset, time)| is_wanted(*offset, *time)))
}

#[test]
fn timestamps_lead_to_the_first_record_that_is_not_older() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, small());
    for n in 0..200 {
        append(&log, 3, 1000 + i64::from(n) * 10 - i64::from(n % 7) * 25, 20);
    }
    let records: Vec<(i64, i64)> =
        (0..200_i64).flat_map(|n| (0..3).map(move |k| (n * 3 + k, 1000 + n * 10 - n % 7 * 25 - (2 - k)))).collect();
    let check = |log: &PartitionLog| {
        for timestamp in (900..3100).step_by(3) {
            let expected = records.iter().find(|(_, time)| *time >= timestamp);
            let found = log.offset_for_timestamp(timestamp, &times).expect("readable");
            assert_eq!(found.map(|found| (found.offset, found.timestamp)), expected.copied(), "{timestamp}");
        }
        let max = log.max_timestamp(&times).expect("readable").expect("there are records");
        let greatest = records.iter().map(|(_, time)| *time).max().expect("not empty");
        assert_eq!(max.timestamp, greatest);
        assert_eq!(max.offset, records.iter().find(|(_, time)| *time == greatest).expect("it is one").0);
    };
    check(&log);
    dir.close(1).expect("closed");
    drop((dir, log));
    check(&open(&disk, small()).1);
}

#[test]
fn a_log_without_timestamps_answers_nothing() {
    let disk = SimDisk::new(1);
    let (_dir, log) = open(&disk, small());
    assert_eq!(log.max_timestamp(&times).expect("readable"), None);
    (0..100).for_each(|_| {
        append(&log, 1, -1, 50);
    });
    assert_eq!(log.max_timestamp(&times).expect("readable"), None);
    assert_eq!(log.offset_for_timestamp(0, &times).expect("readable"), None);
}

#[test]
fn epochs_follow_the_appends() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, small());
    append(&log, 2, 1, 0);
    log.append(&batch(3, 1, 0), 4, 1).expect("appended");
    assert_eq!(log.leader_epoch(), Some(4));
    assert_eq!(log.end_offset_for_epoch(0), Some(EpochEnd { epoch: 0, end_offset: 2 }));
    assert_eq!(log.end_offset_for_epoch(4), Some(EpochEnd { epoch: 4, end_offset: 5 }));
    assert_eq!(log.earliest(), OffsetAndEpoch { offset: 0, leader_epoch: Some(0) });
    log.commit_now().expect("flushed");
    log.advance_log_start(3);
    assert_eq!(log.earliest(), OffsetAndEpoch { offset: 3, leader_epoch: Some(4) });
    dir.close(1).expect("closed");
    drop((dir, log));
    let (_dir, log) = open(&disk, small());
    assert_eq!(log.earliest(), OffsetAndEpoch { offset: 3, leader_epoch: Some(4) });
    assert!(matches!(log.read(2, 1, true, 5), Err(ReadError::OffsetOutOfRange { log_start: 3, .. })));
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let disk = SimDisk::new(1);
    let (_dir, log) = open(&disk, small());
    append(&log, 1, 1, 50);
    // The write is short, and is cut back.
    disk.fail_nth(1, 28);
    assert!(matches!(log.append(&batch(1, 1, 50), 0, 1), Err(AppendError::DiskFull)));
    assert_eq!(read_file(&disk, &file("00000000000000000000.log")).expect("read").len(), 111);
    assert_eq!(log.offsets().log_end(), 1);
    assert_eq!(append(&log, 1, 1, 50).first_offset, 1);
    assert_eq!(read_all(&log).len(), 2);
}

#[test]
fn a_failed_sync_takes_the_directory_offline() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, small());
    append(&log, 1, 1, 50);
    log.flush().expect("flushed");
    append(&log, 1, 1, 50);
    disk.fail_nth(1, 5);
    assert!(matches!(log.commit_now(), Err(FlushError::Offline { .. })));
    assert!(matches!(log.flush(), Err(FlushError::Offline { .. })));
    assert!(matches!(log.append(&batch(1, 1, 50), 0, 1), Err(AppendError::Offline { .. })));
    assert_eq!(log.recovery_point(), 1);
    assert!(dir.group_commit().failure().is_some() && dir.close(1).is_err());
    assert_eq!(log.high_watermark(), 1, "what may be lost is not shown");
    assert_eq!(read_all(&log).len(), 2, "reading goes on");
}

#[test]
fn a_batch_larger_than_a_segment_is_refused() {
    let disk = SimDisk::new(1);
    let (_dir, log) = open(&disk, small());
    assert!(matches!(log.append(&batch(1, 1, 4000), 0, 1), Err(AppendError::LargerThanSegment { size: 4061, .. })));
    assert_eq!(log.offsets().log_end(), 0);
}

#[test]
fn waiters_learn_of_what_is_on_disk_and_of_the_end() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, small());
    let waiter = Waiter::new();
    let is_woken = || {
        let mut woken = std::pin::pin!(waiter.woken());
        Future::poll(woken.as_mut(), &mut std::task::Context::from_waker(Waker::noop())).is_ready()
    };
    let registration = log.register(&waiter);
    append(&log, 1, 1, 0);
    assert!(!is_woken(), "nobody may see it yet");
    log.commit_now().expect("flushed");
    assert!(is_woken());
    dir.delete_partitions(std::slice::from_ref(&partition()), monotonic()).expect("deleted");
    assert!(is_woken() && registration.log().is_deleted());
    assert!(matches!(log.read(0, 1, true, 1), Err(ReadError::Deleted)));
    assert!(matches!(log.append(&batch(1, 1, 0), 0, 1), Err(AppendError::Closed)));
    drop(registration);
    assert_eq!(log.waiters.count(), 0);
    dir.remove_deleted(monotonic() + Duration::from_mins(1)).expect("removed");
    log.flush().expect("nothing to do");
    log.close().expect("nothing to do");
    assert_eq!(dir.group_commit().failure(), None);
}

#[test]
fn readers_see_whole_batches_while_others_append() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = LogConfig { segment_bytes: 20_000, ..small() };
    let log_dir = LogDir::open(Arc::new(RealDisk), dir.path(), &settings(config), 0).expect("opened");
    let log = log_dir.create_partition(&partition(), Uuid::from_u128(1), config, 0, 0).expect("created");
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let log = &log;
            scope.spawn(move || {
                (0..300).for_each(|n| {
                    append(log, 1 + writer, n, 100);
                })
            });
        }
        scope.spawn(|| {
            while log.offsets().log_end() < 900 {
                read_all(&log);
                log.flush().expect("flushed");
            }
        });
    });
    assert_eq!(read_all(&log).len(), 600);
}

/// What a crash may leave: everything flushed, and a prefix of the rest.
#[derive(Debug, Clone)]
enum Step {
    Append { records: i32, payload: usize, timestamp: i64 },
    Commit,
    Flush,
    Checkpoint,
    CloseAndReopen,
    Crash(u8),
    AdvanceLogStart(u8),
    Retain { bytes: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (1..4_i32, 0..300_usize, 0..50_i64)
            .prop_map(|(records, payload, timestamp)| Step::Append { records, payload, timestamp }),
        2 => Just(Step::Commit),
        1 => Just(Step::Flush),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::CloseAndReopen),
        2 => (0..3_u8).prop_map(Step::Crash),
        1 => any::<u8>().prop_map(Step::AdvanceLogStart),
        1 => (0..20_000_u64).prop_map(|bytes| Step::Retain { bytes }),
    ]
}

#[derive(Default)]
struct Model {
    /// First offset, last offset, size.
    batches: Vec<(i64, i64, usize)>,
    /// Batches below it are on disk.
    flushed: i64,
    log_start: i64,
    /// What of it was written down.
    known_log_start: i64,
    /// Where the log begins that has no batches.
    floor: i64,
    clock: i64,
}

impl Model {
    fn end(&self) -> i64 {
        self.batches.last().map_or(self.floor, |(_, last, _)| last + 1)
    }

    fn check(&self, log: &PartitionLog) {
        let offsets = log.offsets();
        assert_eq!((offsets.log_start(), offsets.log_end()), (self.log_start, self.end()));
        assert_eq!(offsets.high_watermark(), self.flushed.max(self.log_start), "consumers see what is on disk");
        let found = read_all(log);
        let expected: Vec<_> = self.batches.iter().filter(|(_, last, _)| *last >= self.log_start).copied().collect();
        assert_eq!(found, expected);
    }

    /// Takes over what a crash left, if it is allowed.
    fn recover(&mut self, log: &PartitionLog, crash: Crash) {
        let end = log.offsets().log_end();
        assert!(end >= self.flushed, "flushed up to {}, but the log ends at {end}", self.flushed);
        assert!(crash != Crash::KeepAll || end == self.end(), "a killed process loses nothing");
        let log_start = log.offsets().log_start();
        let known = self.known_log_start..=self.log_start;
        assert!(known.contains(&log_start), "the log starts at {log_start}, which is not in {known:?}");
        self.batches.retain(|(_, last, _)| *last < end);
        if self.end() < end {
            assert_eq!(end, log_start, "the log ends between batches, or begins empty where it was known to start");
            self.batches.clear();
            self.floor = end;
        }
        self.log_start = log_start;
        self.flushed = end;
    }
}

fn check_indexes(disk: &SimDisk, log: &PartitionLog) {
    let segments = read(&log.segments).clone();
    for segment in segments {
        let Ok(bytes) = read_file(disk, &segment.log().path()) else { continue };
        assert_eq!(bytes.len() as u64, segment.size());
        let file = segment.log().get().expect("there");
        let mut scan = BatchScan::new(&*file, 0, segment.size());
        let mut batches: Vec<BatchAt> = Vec::new();
        while let Some(batch) = scan.next_batch().expect("good") {
            check_crc(&*file, &batch).expect("undamaged");
            batches.push(batch);
        }
        let indexes = segment.indexes().expect("opened");
        for batch in &batches {
            let entry = indexes.offset.lookup(batch.header.last_offset()).expect("read");
            assert!(entry.is_none_or(|entry| entry.position <= batch.position));
            assert!(batch.position - entry.map_or(0, |entry| entry.position) <= 600, "the index is sparse, not empty");
        }
        let greatest = batches.iter().map(|batch| batch.header.max_timestamp).max();
        let max = segment.max_timestamp().expect("read");
        assert_eq!(max.map(|max| max.timestamp), greatest);
    }
}

fn run(seed: u64, steps: &[Step]) {
    let disk = SimDisk::new(seed);
    disk.set_filesystem(seed.is_multiple_of(2));
    let mut model = Model::default();
    let (mut dir, mut log) = open(&disk, small());
    for step in steps {
        match step {
            Step::Append { records, payload, timestamp } => {
                model.clock += 1;
                let appended = append(&log, *records, model.clock + timestamp, *payload);
                assert_eq!(appended.first_offset, model.end());
                model.batches.push((appended.first_offset, appended.last_offset, payload + 61));
            }
            Step::Commit => {
                log.commit_now().expect("flushed");
                model.flushed = model.end();
            }
            Step::Flush => {
                log.flush().expect("flushed");
                model.flushed = model.end();
                assert_eq!(log.recovery_point(), model.flushed);
            }
            Step::Checkpoint => {
                dir.checkpoint().expect("written");
                model.flushed = model.end();
                model.known_log_start = model.log_start;
                assert_eq!(log.recovery_point(), model.flushed);
            }
            Step::Retain { bytes } => {
                let before = log.size();
                let retention = Retention { bytes: Some(*bytes), ..Retention::UNLIMITED };
                log.set_config(LogConfig { retention, ..small() });
                dir.enforce_retention(0, monotonic()).expect("enforced");
                let log_start = log.offsets().log_start();
                assert!(*bytes <= before || log_start == model.log_start, "{before} bytes are not too many");
                assert!(log_start >= model.log_start && log_start <= log.flushed());
                if log.size() < before {
                    model.flushed = model.end();
                    model.log_start = log_start;
                    model.known_log_start = log_start;
                }
            }
            Step::AdvanceLogStart(part) => {
                let offset = model.log_start + (model.flushed - model.log_start) * i64::from(*part) / 255;
                log.advance_log_start(offset);
                model.log_start = offset;
            }
            Step::CloseAndReopen => {
                dir.close(1).expect("closed");
                drop((dir, log));
                (dir, log) = open(&disk, small());
                assert!(dir.was_clean());
                model.flushed = model.end();
                model.known_log_start = model.log_start;
            }
            Step::Crash(kind) => {
                let crash = [Crash::LoseAll, Crash::KeepAll, Crash::Tear][usize::from(*kind)];
                drop((dir, log));
                disk.crash(crash);
                (dir, log) = open(&disk, small());
                assert!(!dir.was_clean());
                model.recover(&log, crash);
            }
        }
        model.check(&log);
    }
    check_indexes(&disk, &log);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_log_agrees_with_a_model(seed: u64, steps in prop::collection::vec(step(), 1..80)) {
        run(seed, &steps);
    }
}

/// A little of everything. Stops at the first error, and says up to where the log was flushed.
fn busy_work(disk: &SimDisk) -> (i64, Option<Box<dyn std::error::Error>>) {
    let mut flushed = 0;
    let mut work = || -> Result<(), Box<dyn std::error::Error>> {
        let config = LogConfig { segment_bytes: 900, ..small() };
        let (dir, log) = try_open(disk, config)?;
        for n in 0..30 {
            log.append(&batch(2, n, 100), 0, n)?;
            if n % 7 == 0 {
                log.flush()?;
                flushed = 2 * (n + 1);
            }
            if n % 10 == 0 {
                log.read(0, 1000, true, log.high_watermark())?;
                log.max_timestamp(&times)?;
                dir.checkpoint()?;
            }
        }
        let other = TopicPartition::new("other", 3);
        dir.create_partition(&other, Uuid::from_u128(2), config, 0, 0)?;
        dir.delete_partitions(std::slice::from_ref(&other), monotonic())?;
        dir.remove_deleted(monotonic() + Duration::from_mins(1))?;
        dir.close(1)?;
        flushed = 60;
        drop((dir, log));
        let (_dir, log) = try_open(disk, config)?;
        log.offset_for_timestamp(13, &times)?;
        Ok(())
    };
    let error = work().err();
    (flushed, error)
}

#[test]
fn any_call_may_fail_once_and_the_log_opens_again() {
    let healthy = SimDisk::new(1);
    assert!(busy_work(&healthy).1.is_none());
    let calls = healthy.calls();
    assert!(calls > 150, "{calls} calls are not much work");
    for n in 1..=calls {
        for (errno, crash) in [(5, Crash::LoseAll), (28, Crash::Tear), (28, Crash::KeepAll)] {
            let disk = SimDisk::new(n);
            disk.set_filesystem(n.is_multiple_of(2));
            disk.fail_nth(n, errno);
            let (flushed, error) = busy_work(&disk);
            disk.crash(crash);
            let (_dir, log) = open(&disk, small());
            let end = log.offsets().log_end();
            assert!(end >= flushed, "call {n}: flushed up to {flushed}, ends at {end}, after {error:?}");
            assert_eq!(read_all(&log).len() as i64 * 2, end, "call {n}");
            append(&log, 1, 1, 10);
            log.flush().expect("flushed");
            assert_eq!(log.high_watermark(), log.offsets().log_end());
        }
    }
}

/// A batch of producer 7.
fn produced(epoch: i16, base_sequence: i32, records: i32, attributes: i16) -> AppendBatch {
    let AppendBatch { header, payload, origin } = batch(records, 1000, 30);
    let header = BatchHeader { producer_id: 7, producer_epoch: epoch, base_sequence, attributes, ..header };
    let bytes = [header.to_bytes().as_slice(), &payload].concat();
    let crc = crate::protocol::records::batch::compute_crc(&bytes);
    AppendBatch { header: BatchHeader { crc, ..header }, payload, origin }
}

fn snapshots(disk: &SimDisk) -> Vec<String> {
    let entries = disk.list_dir(&Path::new(DIR).join("orders-0")).expect("listed");
    let mut names: Vec<_> = entries.into_iter().map(|e| e.name).filter(|name| name.ends_with(".snapshot")).collect();
    names.sort();
    names
}

#[test]
fn a_batch_that_comes_again_is_found_where_it_is() {
    let disk = SimDisk::new(1);
    let (mut dir, mut log) = open(&disk, small());
    let send = |log: &Arc<PartitionLog>, sequence, records| log.append(&produced(0, sequence, records, 0), 0, 1);
    append(&log, 1, 1, 0);
    assert_eq!(send(&log, 0, 2).expect("appended").first_offset, 1);
    assert_eq!(send(&log, 2, 3).expect("appended").first_offset, 3);
    for restart in [None, Some(Crash::KeepAll), Some(Crash::LoseAll), None] {
        let again = send(&log, 2, 3).expect("known");
        assert_eq!(
            again,
            Appended { first_offset: 3, last_offset: 5, rolled: false, max_timestamp: 1000, is_duplicate: true }
        );
        let error = send(&log, 6, 1).expect_err("something is missing");
        assert!(matches!(error, AppendError::Producer(ProducerError::OutOfOrder { last: 4, .. })), "{error}");
        assert_eq!(log.offsets().log_end(), 6, "nothing was appended");
        match restart {
            None => dir.close(1).expect("closed"),
            Some(_) => log.commit_now().expect("flushed"),
        }
        drop((dir, log));
        if let Some(crash) = restart {
            disk.crash(crash);
        }
        (dir, log) = open(&disk, small());
    }
    assert_eq!(send(&log, 5, 1).expect("it follows").first_offset, 6);
    assert!(log.append(&produced(1, 0, 1, 0), 0, 1).is_ok());
    let error = send(&log, 6, 1).expect_err("a zombie");
    assert!(matches!(error, AppendError::Producer(ProducerError::StaleEpoch { .. })), "{error}");
    drop(dir);
}

#[test]
fn the_last_five_batches_are_known_after_a_restart() {
    let segments = LogConfig { segment_bytes: 900, index_interval_bytes: 100, ..small() };
    for (config, between) in [(small(), 1), (segments, 1), (segments, 3_000)] {
        let disk = SimDisk::new(1);
        let (dir, log) = open(&disk, config);
        let send = |log: &Arc<PartitionLog>, sequence| log.append(&produced(0, sequence, 2, 0), 0, 1);
        let mut offsets = Vec::new();
        for sequence in 0..7 {
            append(&log, 1, between, 0);
            offsets.push(send(&log, sequence * 2).expect("appended").first_offset);
        }
        dir.close(1).expect("closed");
        drop((dir, log));
        let (_dir, log) = open(&disk, config);
        for sequence in [2, 6, 3, 4, 5] {
            let again = send(&log, sequence * 2).expect("known");
            let first_offset = offsets[usize::try_from(sequence).expect("an index")];
            assert_eq!(
                (again.first_offset, again.max_timestamp, again.is_duplicate),
                (first_offset, 1000, true),
                "{sequence}"
            );
        }
        for sequence in [0, 1, 7] {
            let error = send(&log, sequence * 2 + i32::from(sequence == 7)).expect_err("not one of the last five");
            assert!(matches!(error, AppendError::Producer(ProducerError::OutOfOrder { last: 13, .. })), "{error}");
        }
        assert!(!send(&log, 14).expect("it follows").is_duplicate);
        assert!(send(&log, 6).expect("known").is_duplicate);
        assert!(send(&log, 4).is_err(), "it is not one of the last five any more");
    }
}

#[test]
fn earlier_batches_are_looked_for_once_and_taken_as_far_as_they_are_whole() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, small());
    for sequence in 0..5 {
        log.append(&produced(0, sequence, 1, 0), 0, 1).expect("appended");
    }
    let size = usize::try_from(log.size()).expect("small") / 5;
    dir.close(1).expect("closed");
    drop((dir, log));
    disk.corrupt(&file("00000000000000000000.log"), size + 70, &[0xff; 8]).expect("corrupted");
    let (_dir, log) = open(&disk, small());
    let is_known = |sequence| log.append(&produced(0, sequence, 1, 0), 0, 1).is_ok();
    assert!(!is_known(1), "its bytes are not those that were sent");
    let calls = disk.calls();
    assert_eq!([0, 1, 2, 3, 4].map(is_known), [false, false, true, true, true]);
    assert_eq!(disk.calls(), calls, "nothing is read again");
}

#[test]
fn batches_of_another_epoch_are_not_known_after_a_restart() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, small());
    log.append(&produced(0, 0, 1, 0), 0, 1).expect("appended");
    log.append(&produced(1, 0, 1, 0), 0, 1).expect("appended");
    log.append(&produced(1, 1, 1, 0), 0, 1).expect("appended");
    dir.close(1).expect("closed");
    drop((dir, log));
    let (_dir, log) = open(&disk, small());
    let again = log.append(&produced(1, 0, 1, 0), 0, 1).expect("known");
    assert_eq!(again.first_offset, 1, "that of this epoch");
}

#[test]
fn snapshots_of_producers_follow_segments_and_flushes() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, LogConfig { segment_bytes: 250, ..small() });
    for sequence in 0..5 {
        log.append(&produced(0, sequence, 1, 0), 0, 1).expect("appended");
    }
    assert_eq!(snapshots(&disk), ["00000000000000000002.snapshot", "00000000000000000004.snapshot"]);
    log.flush().expect("flushed");
    assert_eq!(snapshots(&disk).last().map(String::as_str), Some("00000000000000000005.snapshot"));
    log.append(&produced(0, 5, 1, 0), 0, 1).expect("appended");
    dir.checkpoint().expect("flushed");
    let expected = [2, 4, 6].map(|offset| format!("{offset:020}.snapshot"));
    assert_eq!(snapshots(&disk), expected, "that of the flush before is gone");
    // Damaged ones are passed over, the log has what they said.
    for name in &expected[1..] {
        disk.corrupt(&file(name), 12, b"x").expect("corrupted");
    }
    drop((dir, log));
    disk.crash(Crash::KeepAll);
    let (_dir, log) = open(&disk, small());
    assert_eq!(log.producer_count(), 1);
    assert!(log.append(&produced(0, 5, 1, 0), 0, 1).expect("known").is_duplicate);
    assert_eq!(log.append(&produced(0, 6, 1, 0), 0, 1).expect("appended").first_offset, 6);
    log.expire_producers(1000 + 500, 500);
    assert_eq!(log.producer_count(), 0);
    assert_eq!(log.append(&produced(0, 99, 1, 0), 0, 1).expect("anything goes").first_offset, 7);
}

#[test]
fn records_of_an_open_transaction_are_above_the_last_stable_offset() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, small());
    append(&log, 1, 1, 0);
    append_confirmed(&log, &produced(0, 0, 2, 0x10), 1).expect("appended");
    append(&log, 1, 1, 0);
    log.commit_now().expect("flushed");
    let ends = |log: &PartitionLog| (log.offsets().last_stable(), log.offsets().high_watermark());
    assert_eq!(ends(&log), (1, 4));
    drop((dir, log));
    disk.crash(Crash::LoseAll);
    let (dir, log) = open(&disk, small());
    assert_eq!(ends(&log), (1, 4), "it is still open");
    end_transaction(&log, 7, true);
    assert_eq!(ends(&log), (1, 4), "nobody sees the marker yet");
    log.commit_now().expect("flushed");
    assert_eq!(ends(&log), (5, 5));
    dir.close(1).expect("closed");
    drop((dir, log));
    let (_dir, log) = open(&disk, small());
    assert_eq!(ends(&log), (5, 5));
}

/// Appends the end of a transaction of a producer.
fn end_transaction(log: &Arc<PartitionLog>, producer_id: i64, is_commit: bool) {
    log.end_transaction(&transaction_end(producer_id, is_commit), 0, 1).expect("appended").expect("it was open");
}

#[test]
fn aborted_transactions_are_found_and_survive_every_crash() {
    for crash in [None, Some(Crash::KeepAll), Some(Crash::LoseAll), Some(Crash::Tear)] {
        let disk = SimDisk::new(3);
        let (dir, log) = open(&disk, LogConfig { segment_bytes: 600, ..small() });
        for n in 0..20 {
            // Two aborted transactions of every three, with records between.
            append_confirmed(&log, &produced(0, n, 1, 0x10), 1).expect("appended");
            append(&log, 1, 1, 10);
            end_transaction(&log, 7, n % 3 == 0);
            match n {
                6 => dir.checkpoint().expect("written"),
                12 => log.flush().expect("flushed"),
                _ => {}
            }
        }
        log.commit_now().expect("flushed");
        let expected: Vec<i64> = (0..20).filter(|n| n % 3 != 0).map(|n| n * 3).collect();
        let found = |log: &PartitionLog, from, up_to| {
            let found = log.aborted_transactions(from, up_to).expect("readable");
            found.iter().map(|aborted| aborted.first_offset).collect::<Vec<_>>()
        };
        assert_eq!(found(&log, 0, 60), expected);
        assert_eq!(found(&log, 13, 20), [12, 15], "those with records there");
        match crash {
            None => dir.close(1).expect("closed"),
            Some(crash) => disk.crash(crash),
        }
        drop((dir, log));
        let (_dir, log) = open(&disk, LogConfig { segment_bytes: 600, ..small() });
        assert_eq!(found(&log, 0, 60), expected, "{crash:?}");
        assert_eq!(log.offsets().last_stable(), 60);
    }
}

/// A start on a full disk is tried again and again, and half copies would take what room there is.
#[test]
fn what_cannot_be_kept_aside_for_want_of_room_is_left_where_it_is() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, small());
    (0..15).for_each(|n| {
        append(&log, 1, n, 139);
    });
    log.commit_now().expect("flushed");
    drop((dir, log));
    disk.crash(Crash::KeepAll);
    disk.corrupt(&file("00000000000000000000.log"), 1000 + 100, b"rot").expect("there");
    disk.set_capacity(1 << 20, 1000);
    disk.leave(0, 1000);
    let aside = || {
        let names = disk.list_dir(&file("")).expect("listed").into_iter().map(|entry| entry.name);
        names.filter(|name| name.contains("corrupt")).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        try_open(&disk, small()).err().expect("there is no room for a copy");
        assert_eq!(aside(), Vec::<String>::new());
    }
    disk.leave(1 << 19, 1000);
    let (_dir, log) = open(&disk, small());
    assert_eq!((log.offsets().log_end(), aside().len()), (5, 1));
}

#[test]
fn a_transaction_that_was_aborted_much_later_is_found_where_it_has_records() {
    let disk = SimDisk::new(1);
    let (_dir, log) = open(&disk, LogConfig { segment_bytes: 600, ..small() });
    append_confirmed(&log, &produced(0, 0, 1, 0x10), 1).expect("appended");
    for n in 0..40 {
        append(&log, 1, n, 100);
    }
    end_transaction(&log, 7, false);
    log.commit_now().expect("flushed");
    let found = log.aborted_transactions(0, 2).expect("readable");
    assert_eq!(found.iter().map(|aborted| aborted.first_offset).collect::<Vec<_>>(), [0]);
}

#[test]
fn what_was_cut_off_is_kept_aside_if_it_is_good() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, small());
    (0..3).for_each(|n| {
        append(&log, 1, n, 139);
    });
    log.flush().expect("flushed");
    dir.checkpoint().expect("written");
    (0..40).for_each(|n| {
        append(&log, 1, n, 139);
    });
    log.flush().expect("flushed");
    drop((dir, log));
    disk.crash(Crash::KeepAll);
    disk.corrupt(&file("00000000000000000000.log"), 1000 + 100, b"rot").expect("there");
    let (_dir, log) = open(&disk, small());
    assert_eq!(log.offsets().log_end(), 5);
    let names: Vec<_> = disk.list_dir(&file("")).expect("listed").into_iter().map(|entry| entry.name).collect();
    let aside: Vec<_> = names.iter().filter(|name| name.contains("corrupt")).collect();
    assert_eq!(
        aside,
        ["00000000000000000005.log.corrupt", "00000000000000000020.log.corrupt", "00000000000000000040.log.corrupt"]
    );
    let saved = read_file(&disk, &file("00000000000000000005.log.corrupt")).expect("read");
    assert_eq!(saved.len(), 15 * 200);
    append(&log, 1, 1, 0);
    assert_eq!(read_all(&log).len(), 6);
}

#[test]
fn rot_below_the_recovery_point_stays_where_it_is() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, small());
    (0..30).for_each(|n| {
        append(&log, 1, n, 139);
    });
    log.flush().expect("flushed");
    dir.checkpoint().expect("written");
    (0..5).for_each(|n| {
        append(&log, 1, n, 139);
    });
    drop((dir, log));
    disk.crash(Crash::KeepAll);
    // The header of the sixth batch of the first segment, and of one just below the recovery point.
    disk.corrupt(&file("00000000000000000000.log"), 1000 + 8, &[0xff; 9]).expect("there");
    disk.corrupt(&file("00000000000000000020.log"), 9 * 200 + 8, &[0xff; 9]).expect("there");
    let (_dir, log) = open(&disk, small());
    assert_eq!(log.offsets().log_end(), 35);
    assert!(matches!(log.read(5, 1, true, 35), Err(ReadError::Corrupt { position: 1000, .. })));
    assert!(matches!(log.read(29, 1, true, 35), Err(ReadError::Corrupt { .. })));
    for offset in [0, 4, 20, 28, 30, 34] {
        assert!(log.read(offset, 1, true, 35).expect("readable").records.is_some(), "{offset}");
    }
}

#[test]
fn indexes_are_rebuilt_when_they_are_missing_or_wrong() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, small());
    (0..60).for_each(|n| {
        append(&log, 1, n, 139);
    });
    dir.close(1).expect("closed");
    drop((dir, log));
    let index = |base: i64| file(&format!("{base:020}.index"));
    let time = |base: i64| file(&format!("{base:020}.timeindex"));
    let sound: Vec<_> = [0, 20, 40].map(|base| read_file(&disk, &index(base)).expect("read")).to_vec();
    let damage: [&dyn Fn(); 6] = [
        &|| disk.remove_file(&index(0)).expect("removed"),
        &|| disk.remove_file(&time(20)).expect("removed"),
        &|| disk.open(&index(0), OpenMode::Existing).expect("there").set_len(13).expect("cut"),
        &|| disk.open(&time(0), OpenMode::Existing).expect("there").set_len(0).expect("cut"),
        &|| disk.corrupt(&index(20), 72, &[0x77; 8]).expect("there"),
        &|| disk.corrupt(&index(40), 80, &[0; 4096]).expect("there"),
    ];
    for (case, damage) in damage.iter().enumerate() {
        damage();
        let (dir, log) = open(&disk, small());
        assert_eq!(read_all(&log).len(), 60, "case {case}");
        assert_eq!(log.max_timestamp(&times).expect("read").map(|max| max.offset), Some(59), "case {case}");
        check_indexes(&disk, &log);
        dir.close(1).expect("closed");
        let repaired: Vec<_> = [0, 20, 40].map(|base| read_file(&disk, &index(base)).expect("read")).to_vec();
        assert_eq!(repaired, sound, "case {case}");
    }
}

#[test]
fn leftovers_are_treated_by_kafkas_rules() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, small());
    (0..60).for_each(|n| {
        append(&log, 1, n, 139);
    });
    dir.close(1).expect("closed");
    drop((dir, log));
    // A cleaner was stopped after it had renamed what replaces the first two segments.
    let log_bytes: Vec<u8> = [0, 20]
        .into_iter()
        .flat_map(|base: i64| read_file(&disk, &file(&format!("{base:020}.log"))).expect("read"))
        .collect();
    let put = |name: &str, bytes: &[u8]| {
        disk.open(&file(name), OpenMode::Create).expect("created").write_all_at(&[bytes], 0).expect("written");
    };
    put("00000000000000000000.log.swap", &log_bytes);
    put("00000000000000000040.log.swap", b"of an incomplete split");
    put("00000000000000000040.log.cleaned", b"of an incomplete split");
    put("00000000000000000007.log.deleted", b"gone");
    put("00000000000000000007.index", b"orphaned");
    let (_dir, log) = open(&disk, small());
    assert_eq!(read_all(&log).len(), 60);
    let mut names: Vec<_> = disk.list_dir(&file("")).expect("listed").into_iter().map(|entry| entry.name).collect();
    names.retain(|name| name.starts_with('0') && !name.ends_with(".snapshot"));
    let left = ["00000000000000000000", "00000000000000000040"];
    let expected: Vec<_> =
        left.iter().flat_map(|base| ["index", "log", "timeindex"].map(|s| format!("{base}.{s}"))).collect();
    names.sort();
    assert_eq!(names, expected);
}

#[test]
fn a_roll_that_failed_leaves_nothing_that_hides_later_records() {
    // The calls of a roll: three files are created, and what is left of them is removed. Of those one may fail too.
    for (n, is_removed) in [(1, true), (2, true), (3, true), (2, false)] {
        for stop in ["clean", "killed"] {
            let disk = SimDisk::new(1);
            let (dir, log) = open(&disk, LogConfig { index_interval_bytes: 100_000, ..small() });
            append(&log, 10, 1, 3_000);
            // The calls before write the time index's last entry, and the snapshot of the producers.
            disk.fail_nth(3 + n, 28);
            if !is_removed {
                disk.fail_from(3 + n, 28);
            }
            log.append(&batch(1, 1, 2_000), 0, 1).expect_err("there is no room to roll");
            disk.heal();
            let leftover = file("00000000000000000010.log");
            assert_eq!(disk.exists(&leftover).expect("looked"), !is_removed, "call {n}");
            append(&log, 1, 1, 100);
            log.flush().expect("flushed");
            if stop == "clean" {
                dir.close(0).expect("closed");
            }
            drop((dir, log));
            disk.crash(Crash::KeepAll);
            let (_dir, log) = open(&disk, small());
            assert_eq!(read_all(&log), [(0, 9, 3_061), (10, 10, 161)], "call {n}, {stop}");
            assert!(!disk.exists(&leftover).expect("looked"));
            assert_eq!(append(&log, 1, 1, 100).first_offset, 11);
        }
    }
}

#[test]
fn epochs_begin_where_they_did_until_the_log_start_is_on_disk() {
    for is_written in [false, true] {
        let disk = SimDisk::new(1);
        let (dir, log) = open(&disk, small());
        for epoch in 0..6 {
            log.append(&batch(10, 1, 10), epoch / 2, 1).expect("appended");
        }
        log.flush().expect("flushed");
        log.advance_log_start(35);
        if is_written {
            dir.checkpoint().expect("written");
        }
        log.flush().expect("flushed");
        assert_eq!(log.end_offset_for_epoch(0).map(|end| end.end_offset), Some(35));
        drop((dir, log));
        disk.crash(Crash::LoseAll);
        let (_dir, log) = open(&disk, small());
        let start = if is_written { 35 } else { 0 };
        assert_eq!(log.offsets().log_start(), start);
        let end = log.end_offset_for_epoch(0).map(|end| end.end_offset);
        assert_eq!(end, Some(if is_written { 35 } else { 20 }));
    }
}

#[test]
fn a_time_index_that_is_ahead_of_the_other_does_not_hide_records() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, LogConfig { index_interval_bytes: 100_000, ..small() });
    for n in 0..8 {
        append(&log, 2, 107 - n, 200);
    }
    log.flush().expect("flushed");
    dir.checkpoint().expect("written");
    append(&log, 4, 300, 10);
    // What closing wrote reached the disk, the log's last batch did not.
    let index = disk.open(&file("00000000000000000000.timeindex"), OpenMode::Existing).expect("there");
    index.write_all_at(&[&300_u64.to_be_bytes(), &19_u32.to_be_bytes()], 0).expect("written");
    index.sync_data().expect("synced");
    drop((dir, log));
    disk.crash(Crash::LoseAll);
    let (_dir, log) = open(&disk, small());
    assert_eq!(log.offsets().log_end(), 16);
    for n in 0..8 {
        let found = log.offset_for_timestamp(100 + n, &|_, _| Err(Unreadable)).expect("readable");
        assert_eq!(found.map(|found| found.offset), Some(0), "the first is the latest");
    }
}
