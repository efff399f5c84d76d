use std::{num::NonZeroUsize, path::Path, sync::Arc};

use super::*;
use crate::{
    clock::monotonic,
    log::{
        disk::{
            Disk,
            sim::{Crash, SimDisk},
        },
        group_commit::Durability,
        leader_epochs::EpochEnd,
        log_dir::{LogDir, LogDirSettings},
        partition_log::{
            ReadError,
            test_batches::{append_confirmed, batch, transaction_end},
            tests::{append, file, open, partition, read_all, small},
        },
        waiters::Waiter,
    },
};

const CRASHES: [Crash; 3] = [Crash::LoseAll, Crash::KeepAll, Crash::Tear];
/// Twenty batches of one record fill a segment.
const BATCH: usize = 139;

fn fill(log: &Arc<PartitionLog>, count: i64) {
    for n in 0..count {
        append(log, 1, n, BATCH);
    }
    log.commit_now().expect("flushed");
}

fn settle(dir: &LogDir, log: &Arc<PartitionLog>) {
    dir.settle_log_starts(std::slice::from_ref(log), monotonic()).expect("settled");
}

fn ends(log: &PartitionLog) -> (i64, i64) {
    (log.offsets().log_start(), log.offsets().log_end())
}

/// Base offsets of the segments in the directory.
fn bases(disk: &SimDisk) -> Vec<i64> {
    let entries = disk.list_dir(&file("")).expect("listed").into_iter();
    let mut bases: Vec<_> =
        entries.filter_map(|entry| entry.name.strip_suffix(".log").map(|base| base.parse().expect("a base"))).collect();
    bases.sort_unstable();
    bases
}

#[test]
fn records_go_up_to_the_high_watermark_and_not_beyond() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, small());
    fill(&log, 50);
    append(&log, 1, 50, BATCH);
    for (offset, expected) in [(5, 5), (0, 5), (5, 5), (50, 50), (7, 50)] {
        assert_eq!(log.delete_records_before(offset).expect("in range"), expected);
    }
    for offset in [-1, -2, 51, 52, i64::MIN, i64::MAX] {
        let refused = log.delete_records_before(offset);
        assert!(
            matches!(refused, Err(DeleteRecordsError::OutOfRange { high_watermark: 50, .. })),
            "{offset}: {refused:?}"
        );
    }
    assert_eq!(ends(&log), (50, 51));
    assert!(matches!(log.read(49, 100, true, 50), Err(ReadError::OffsetOutOfRange { log_start: 50, .. })));
    dir.delete_partitions(&[partition()], monotonic()).expect("deleted");
    assert!(matches!(log.delete_records_before(50), Err(DeleteRecordsError::Deleted)));
    settle(&dir, &log);
}

#[test]
fn what_is_answered_is_there_after_any_crash() {
    for crash in CRASHES {
        for (start, left) in [(5_i64, vec![0, 20, 40]), (20, vec![20, 40]), (39, vec![20, 40]), (50, vec![40])] {
            let disk = SimDisk::new(start.unsigned_abs());
            let (dir, log) = open(&disk, small());
            fill(&log, 50);
            assert_eq!(log.delete_records_before(start).expect("in range"), start);
            settle(&dir, &log);
            assert_eq!(bases(&disk), left, "whole segments below {start} are gone");
            drop((dir, log));
            disk.crash(crash);
            let (dir, log) = open(&disk, small());
            assert_eq!(ends(&log), (start, 50), "{crash:?}");
            assert_eq!(read_all(&log).len(), usize::try_from(50 - start).expect("not negative"));
            fill(&log, 1);
            assert_eq!(log.delete_records_before(51).expect("in range"), 51);
            settle(&dir, &log);
            drop((dir, log));
            disk.crash(crash);
            assert_eq!(ends(&open(&disk, small()).1), (51, 51));
        }
    }
}

#[test]
fn any_call_may_fail_and_the_log_is_as_before_or_as_wanted() {
    let (mut settled, mut failed) = (0, 0);
    for crash in CRASHES {
        for n in 1..=60 {
            let disk = SimDisk::new(n);
            let (dir, log) = open(&disk, small());
            fill(&log, 50);
            disk.fail_nth(n, if n % 2 == 0 { 28 } else { 5 });
            log.delete_records_before(45).expect("in range");
            let is_settled = dir.settle_log_starts(std::slice::from_ref(&log), monotonic()).is_ok();
            disk.heal();
            *(if is_settled { &mut settled } else { &mut failed }) += 1;
            drop((dir, log));
            disk.crash(crash);
            let (_dir, log) = open(&disk, small());
            let (log_start, log_end) = ends(&log);
            assert_eq!(log_end, 50, "call {n}, {crash:?}");
            assert!(log_start == 45 || !is_settled && log_start == 0, "call {n}, {crash:?}: {log_start}");
            assert_eq!(read_all(&log).len(), usize::try_from(50 - log_start).expect("not negative"));
        }
    }
    assert!(settled > 60 && failed > 10, "{settled}, {failed}");
}

#[test]
fn a_log_that_is_not_flushed_is_so_before_it_starts_late() {
    let disk = SimDisk::new(1);
    let open = || {
        let config = small();
        let durability = Durability::Kafka;
        let settings = LogDirSettings { open_files_max: 6, recovery_threads: NonZeroUsize::MIN, durability, config };
        LogDir::open(Arc::new(disk.clone()), Path::new("/data"), &settings, 0).expect("opened")
    };
    let dir = open();
    let log = dir.create_partition(&partition(), uuid::Uuid::from_u128(1), small(), 0, 0).expect("created");
    for n in 0..10 {
        append(&log, 1, n, BATCH);
    }
    assert_eq!((log.high_watermark(), log.flushed()), (10, 0));
    assert_eq!(log.delete_records_before(8).expect("in range"), 8);
    settle(&dir, &log);
    drop((dir, log));
    disk.crash(Crash::LoseAll);
    let log = open().partition(&partition()).expect("there");
    assert_eq!(ends(&log), (8, 10));
    assert_eq!(read_all(&log).len(), 2);
}

#[test]
fn what_is_settled_costs_nothing_more() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, small());
    fill(&log, 10);
    let calls = |work: &dyn Fn()| {
        let before = disk.calls();
        work();
        disk.calls() - before
    };
    log.delete_records_before(3).expect("in range");
    let first = calls(&|| settle(&dir, &log));
    assert_eq!(calls(&|| settle(&dir, &log)), 0);
    log.delete_records_before(2).expect("in range");
    assert_eq!(calls(&|| settle(&dir, &log)), 0, "it starts later already");
    assert!(first <= 6, "one small file is replaced, in {first} calls");
}

#[test]
fn who_waits_is_woken() {
    let disk = SimDisk::new(1);
    let (_dir, log) = open(&disk, small());
    fill(&log, 10);
    let waiter = Waiter::new();
    let _registration = log.register(&waiter);
    let is_woken = || {
        let mut woken = std::pin::pin!(waiter.woken());
        woken.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    };
    assert!(!is_woken());
    log.delete_records_before(10).expect("in range");
    assert!(is_woken());
    log.delete_records_before(10).expect("in range");
    assert!(!is_woken(), "nothing has moved");
}

#[test]
fn epochs_before_the_start_end_where_it_is() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, small());
    for epoch in [0, 2, 5] {
        for n in 0..10 {
            log.append(&batch(1, n, BATCH), epoch, n).expect("appended");
        }
    }
    log.flush().expect("flushed");
    let end = |log: &PartitionLog, epoch| log.end_offset_for_epoch(epoch).map(|end| (end.epoch, end.end_offset));
    assert_eq!(
        [0, 1, 2, 5, 6].map(|epoch| end(&log, epoch)),
        [Some((0, 10)), Some((0, 10)), Some((2, 20)), Some((5, 30)), None]
    );
    log.delete_records_before(15).expect("in range");
    let expected = [Some((0, 15)), Some((1, 15)), Some((2, 20)), Some((5, 30)), None];
    assert_eq!([0, 1, 2, 5, 6].map(|epoch| end(&log, epoch)), expected);
    settle(&dir, &log);
    assert_eq!([0, 1, 2, 5, 6].map(|epoch| end(&log, epoch)), expected);
    assert_eq!((log.earliest().offset, log.earliest().leader_epoch), (15, Some(2)));
    drop((dir, log));
    disk.crash(Crash::LoseAll);
    let (dir, log) = open(&disk, small());
    assert_eq!([0, 1, 2, 5, 6].map(|epoch| end(&log, epoch)), expected, "after a crash");
    assert_eq!((log.earliest().offset, log.earliest().leader_epoch), (15, Some(2)));
    log.delete_records_before(30).expect("in range");
    settle(&dir, &log);
    assert_eq!(log.end_offset_for_epoch(2), Some(EpochEnd { epoch: 2, end_offset: 30 }));
    assert_eq!((log.earliest().offset, log.earliest().leader_epoch), (30, Some(5)));
}

#[test]
fn an_open_transaction_whose_first_records_are_deleted_still_ends() {
    for crash in [None, Some(Crash::LoseAll), Some(Crash::KeepAll)] {
        let disk = SimDisk::new(1);
        let (mut dir, mut log) = open(&disk, small());
        fill(&log, 30);
        for sequence in 0..2 {
            let mut batch = batch(1, 1, BATCH);
            batch.header.producer_id = 7;
            batch.header.producer_epoch = 0;
            batch.header.base_sequence = sequence;
            batch.header.attributes |= 0x10;
            append_confirmed(&log, &batch, 0).expect("appended");
        }
        log.commit_now().expect("flushed");
        assert_eq!(log.offsets().last_stable(), 30);
        log.delete_records_before(31).expect("in range");
        assert_eq!(
            (log.offsets().log_start(), log.offsets().last_stable()),
            (31, 31),
            "what is left of it is undecided"
        );
        settle(&dir, &log);
        if let Some(crash) = crash {
            drop((dir, log));
            disk.crash(crash);
            (dir, log) = open(&disk, small());
            assert_eq!((log.offsets().log_start(), log.offsets().last_stable()), (31, 31), "{crash:?}");
        }
        log.end_transaction(&transaction_end(7, false), 0, 1).expect("ended");
        log.commit_now().expect("flushed");
        assert_eq!((log.offsets().last_stable(), log.offsets().log_end()), (33, 33));
        let aborted = log.aborted_transactions(31, 33).expect("readable");
        assert_eq!(aborted.iter().map(|one| (one.producer_id, one.last_offset)).collect::<Vec<_>>(), [(7, 32)]);
        drop(dir);
    }
}
