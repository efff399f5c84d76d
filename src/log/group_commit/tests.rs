use std::path::Path;

use uuid::Uuid;

use super::*;
use crate::{
    clock::monotonic,
    log::{
        disk::sim::{Crash, SimDisk},
        log_config::LogConfig,
        log_dir::{LogDir, LogDirSettings},
        partition_log::{AppendError, test_batches::batch},
    },
    protocol::ids::TopicPartition,
};

fn open(disk: &SimDisk, durability: Durability) -> LogDir {
    let settings = LogDirSettings { durability, ..LogDirSettings::for_tests() };
    LogDir::open(Arc::new(disk.clone()), Path::new("/data"), &settings, 0).expect("the directory opens")
}

fn create(dir: &LogDir, index: i32, config: LogConfig) -> Arc<PartitionLog> {
    let partition = TopicPartition::new("orders", index);
    dir.create_partition(&partition, Uuid::from_u128(1), config, 0, 0).expect("created")
}

fn append(log: &Arc<PartitionLog>) -> i64 {
    log.append(&batch(1, 1, 50), 0, 1).expect("appended").last_offset
}

#[test]
fn one_round_flushes_all_logs_and_each_once() {
    for has_filesystem in [false, true] {
        let disk = SimDisk::new(1);
        disk.set_filesystem(has_filesystem);
        let dir = open(&disk, Durability::Fsync);
        let logs: Vec<_> = (0..40).map(|index| create(&dir, index, LogConfig::default())).collect();
        for offset in 0..3 {
            logs.iter().for_each(|log| assert_eq!(append(log), offset));
        }
        let commit = dir.group_commit();
        commit.commit().expect("flushed");
        assert!(logs.iter().all(|log| log.high_watermark() == 3));
        assert_eq!(commit.counters().rounds.load(Ordering::Relaxed), 1);
        assert_eq!(commit.counters().logs.load(Ordering::Relaxed), 40);
        assert_eq!(commit.counters().filesystem_syncs.load(Ordering::Relaxed), u64::from(has_filesystem));
        let calls = disk.calls();
        commit.commit().expect("nothing to do");
        assert_eq!(disk.calls(), calls);
        drop((dir, logs));
        disk.crash(Crash::LoseAll);
        let dir = open(&disk, Durability::Fsync);
        assert!(dir.partitions().iter().all(|log| log.high_watermark() == 3), "after one round everything is durable");
        assert_eq!(dir.partitions().len(), 40);
    }
}

#[test]
fn the_thread_flushes_what_others_append_and_wakes_them() {
    let disk = SimDisk::new(1);
    let dir = open(&disk, Durability::Fsync);
    let log = create(&dir, 0, LogConfig::default());
    let commit = Arc::clone(dir.group_commit());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    thread::scope(|scope| {
        scope.spawn(|| commit.run());
        for _ in 0..100 {
            let offset = append(&log);
            runtime.block_on(log.committed(offset + 1)).expect("durable");
            assert!(log.flushed() > offset);
        }
        commit.stop();
    });
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_and_everybody_learns_it() {
    let disk = SimDisk::new(1);
    let dir = open(&disk, Durability::Fsync);
    let log = create(&dir, 0, LogConfig::default());
    log.commit_now().expect("flushed");
    let offset = append(&log);
    let commit = Arc::clone(dir.group_commit());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    disk.fail_nth(1, 5);
    thread::scope(|scope| {
        scope.spawn(|| commit.run());
        let error = runtime.block_on(log.committed(offset + 1)).expect_err("not durable");
        assert!(matches!(error, AppendError::Offline { .. }), "{error}");
        assert!(runtime.block_on(commit.failed()).contains(".log"), "the file is named");
    });
    assert!(matches!(log.commit_now(), Err(FlushError::Offline { .. })), "it is not tried again");
    assert_eq!(log.high_watermark(), 0);
}

#[test]
fn a_deleted_partition_fails_nobody_elses_round() {
    let disk = SimDisk::new(1);
    let dir = open(&disk, Durability::Fsync);
    let (doomed, other) = (create(&dir, 0, LogConfig::default()), create(&dir, 1, LogConfig::default()));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let offset = append(&doomed);
    append(&other);
    dir.delete_partitions(std::slice::from_ref(doomed.topic_partition()), monotonic()).expect("deleted");
    dir.remove_deleted(monotonic() + Duration::from_mins(1)).expect("removed");
    dir.group_commit().commit().expect("the other is flushed");
    assert_eq!((other.high_watermark(), doomed.high_watermark()), (1, 0));
    let error = runtime.block_on(doomed.committed(offset + 1)).expect_err("gone");
    assert!(matches!(error, AppendError::Closed));
}

#[test]
fn kafkas_way_acknowledges_at_once_and_flushes_by_its_settings() {
    let disk = SimDisk::new(1);
    let dir = open(&disk, Durability::Kafka);
    let log = create(&dir, 0, LogConfig { flush_messages: 3, ..LogConfig::default() });
    append(&log);
    append(&log);
    assert_eq!(log.high_watermark(), 2);
    dir.group_commit().commit().expect("nothing to do");
    assert_eq!(log.flushed(), 0);
    append(&log);
    dir.group_commit().commit().expect("flushed");
    assert_eq!((log.flushed(), log.recovery_point()), (3, 3));
    append(&log);
    log.commit_now().expect("flushed");
    assert_eq!(log.flushed(), 4, "the metadata log is always durable");
    let aged = create(&dir, 1, LogConfig { flush_ms: 100, ..LogConfig::default() });
    append(&aged);
    dir.flush_due(100).expect("nothing to do");
    assert_eq!(aged.flushed(), 0);
    dir.flush_due(101).expect("flushed");
    assert_eq!((aged.flushed(), log.recovery_point()), (1, 3));
    dir.flush_due(1000).expect("nothing to do");
    append(&aged);
    dir.flush_due(50).expect("nothing to do");
    assert_eq!(aged.flushed(), 1, "the time begins anew with the next record");
}

#[test]
fn a_full_disk_delays_the_indexes_but_no_acknowledgement() {
    let disk = SimDisk::new(1);
    let dir = open(&disk, Durability::Fsync);
    let log = create(&dir, 0, LogConfig { index_interval_bytes: 1, ..LogConfig::default() });
    append(&log);
    append(&log);
    append(&log);
    log.request_flush();
    // The first call writes the index entries.
    disk.fail_nth(1, 28);
    assert!(matches!(dir.group_commit().commit(), Err(FlushError::Write { .. })));
    assert_eq!((log.flushed(), log.recovery_point()), (3, 0));
    log.flush().expect("there is room again");
    assert_eq!(log.recovery_point(), 3);
}

#[test]
fn a_round_takes_as_many_logs_as_it_may_hold_files_open_for() {
    for has_filesystem in [false, true] {
        let disk = SimDisk::new(1);
        disk.set_filesystem(has_filesystem);
        let settings = LogDirSettings { open_files_max: 12, ..LogDirSettings::for_tests() };
        let dir = LogDir::open(Arc::new(disk.clone()), Path::new("/data"), &settings, 0).expect("the directory opens");
        let logs: Vec<_> = (0..10).map(|index| create(&dir, index, LogConfig::default())).collect();
        logs.iter().for_each(|log| assert_eq!(append(log), 0));
        logs.iter().for_each(|log| log.request_flush());
        let commit = dir.group_commit();
        commit.commit().expect("flushed");
        // Each has a leader epoch to be written down.
        assert_eq!(commit.counters().rounds.load(Ordering::Relaxed), 4);
        assert!(logs.iter().all(|log| (log.flushed(), log.recovery_point()) == (1, 1)));
        logs.iter().for_each(|log| assert_eq!(append(log), 1));
        commit.commit().expect("flushed");
        assert_eq!(commit.counters().rounds.load(Ordering::Relaxed), 5, "these hold nothing open");
        drop((dir, logs));
        disk.crash(Crash::LoseAll);
        let dir = open(&disk, Durability::Fsync);
        assert!(dir.partitions().iter().all(|log| (log.high_watermark(), log.latest().leader_epoch) == (2, Some(0))));
    }
}

#[test]
fn a_file_that_cannot_be_opened_for_now_is_no_failed_sync() {
    for errno in [23, 24] {
        let mut unwritten = 0;
        for n in 1..30 {
            let disk = SimDisk::new(1);
            // Files are closed again and again.
            let settings = LogDirSettings { open_files_max: 2, ..LogDirSettings::for_tests() };
            let dir = LogDir::open(Arc::new(disk.clone()), Path::new("/data"), &settings, 0).expect("opened");
            let logs: Vec<_> = (0..3).map(|index| create(&dir, index, LogConfig::default())).collect();
            logs.iter().for_each(|log| assert_eq!(append(log), 0));
            logs.iter().for_each(|log| log.request_flush());
            disk.fail_nth(n, errno);
            match dir.group_commit().commit() {
                Err(FlushError::Write { .. }) => unwritten += 1,
                committed => committed.unwrap_or_else(|error| panic!("call {n}: {error}")),
            }
            assert!(logs.iter().all(|log| log.flushed() == 1), "call {n}");
            drop((dir, logs));
            disk.crash(Crash::LoseAll);
            assert!(
                open(&disk, Durability::Fsync).partitions().iter().all(|log| log.high_watermark() == 1),
                "call {n}"
            );
        }
        assert!(unwritten < 15, "syncs were among what failed");
    }
}
