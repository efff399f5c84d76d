use std::num::NonZeroUsize;

use uuid::Uuid;

use super::*;
use crate::{
    clock::monotonic,
    log::{
        disk::sim::{Crash, SimDisk},
        group_commit::Durability,
        log_config::LogConfig,
        log_dir::{LogDir, LogDirSettings},
        partition_log::{AppendBatch, AppendError, AppendOrigin, PartitionLog, test_batches::batch},
        retention::Retention,
    },
    protocol::ids::TopicPartition,
};

const MIB: u64 = 1024 * 1024;
const BLOCK: u64 = 4096;
/// Of the simulated file system; clients leave 1 MiB of it.
const TOTAL: u64 = 100 * MIB;
const INODES: u64 = 1000;
const DIR: &str = "/data";

fn disk() -> SimDisk {
    let disk = SimDisk::new(1);
    disk.create_dir(Path::new(DIR)).expect("created");
    disk.set_capacity(TOTAL, INODES);
    disk
}

fn reserve(disk: &SimDisk) -> Arc<Reserve> {
    let reserve = Reserve::new(Arc::new(disk.clone()), Path::new(DIR));
    reserve.watch(1);
    reserve
}

fn held(disk: &SimDisk) -> Option<u64> {
    let file = disk.open(&Path::new(DIR).join(FILE_NAME), OpenMode::ReadOnly).ok()?;
    Some(file.len().expect("told"))
}

#[test]
fn without_an_end_nothing_is_kept_back() {
    let disk = SimDisk::new(1);
    disk.create_dir(Path::new(DIR)).expect("created");
    let reserve = reserve(&disk);
    assert_eq!(held(&disk), None);
    for _ in 0..10 {
        reserve.admit(usize::MAX / 100).expect("there is no end");
    }
    reserve.doubt();
    reserve.admit(1).expect("it was full once, and may not be any more");
    reserve.admit(1).expect("it was full once, and may not be any more");
}

/// Whatever other programs do, a client that is let in leaves what is kept back, by what was there when it was looked.
#[test]
fn a_fast_writer_cannot_run_through_the_reserve_between_two_looks() {
    for size in [100, 4096, 100_000, 3_000_000] {
        let disk = disk();
        let reserve = reserve(&disk);
        disk.leave(20 * MIB, INODES);
        reserve.watch(1);
        let file = disk.open(&Path::new(DIR).join("client"), OpenMode::Create).expect("created");
        let (mut len, mut admitted) = (0, 0);
        while reserve.admit(size).is_ok() {
            len += size as u64;
            file.set_len(len).expect("there is room");
            admitted += 1;
            assert!(admitted < 1_000_000, "it is never refused");
        }
        let left = disk.room(Path::new(DIR)).expect("told").expect("an end").free_bytes;
        let most = MIB + size as u64 + 2 * BLOCK;
        assert!((MIB - BLOCK..most).contains(&left), "{left} bytes are left after batches of {size}");
    }
}

#[test]
fn clients_are_refused_below_and_served_again_above() {
    let disk = disk();
    let reserve = reserve(&disk);
    assert_eq!(held(&disk), Some(104_857));
    reserve.admit(100).expect("there is room");
    disk.leave(MIB - BLOCK, INODES);
    reserve.watch(1);
    assert!(reserve.is_short());
    assert_eq!(reserve.admit(1), Err(BelowReserve));
    assert_eq!(reserve.admit(5000), Err(BelowReserve));
    disk.leave(MIB + MIB / 16, INODES);
    reserve.watch(1);
    assert_eq!(reserve.admit(1), Err(BelowReserve), "a little more is not enough");
    disk.leave(MIB + MIB / 8 + BLOCK, INODES);
    reserve.watch(1);
    assert_eq!(reserve.admit(1), Err(BelowReserve), "the larger batch would not fit");
    disk.leave(MIB + MIB / 8 + 2 * BLOCK, INODES);
    reserve.watch(1);
    assert!(!reserve.is_short());
    reserve.admit(1).expect("there is room again");
    disk.leave(50 * MIB, 10);
    reserve.watch(1);
    reserve.admit(1).expect("the last inode but ten is for clients");
    disk.leave(50 * MIB, 9);
    reserve.watch(1);
    assert_eq!(reserve.admit(1), Err(BelowReserve));
    disk.leave(50 * MIB, 11);
    reserve.watch(1);
    reserve.admit(1).expect("there are inodes again");
}

#[test]
fn a_batch_that_does_not_fit_is_refused_though_others_would() {
    let disk = disk();
    let reserve = reserve(&disk);
    disk.leave(2 * MIB, INODES);
    reserve.watch(1);
    let size = usize::try_from(MIB).expect("small");
    assert_eq!(reserve.admit(size + 1), Err(BelowReserve));
    reserve.watch(1);
    assert!(reserve.is_short(), "it would only be refused again");
}

#[test]
fn what_is_held_makes_room_once_and_is_made_again() {
    let disk = disk();
    let reserve = reserve(&disk);
    let reserved: Arc<dyn Disk> = Arc::new(ReservedDisk::new(Arc::new(disk.clone()), Arc::clone(&reserve)));
    let path = Path::new(DIR).join("f");
    let file = reserved.open(&path, OpenMode::Create).expect("created");
    disk.leave(0, 0);
    assert!(file.write_unreserved_at(&[b"client"], 0).is_err());
    assert_eq!(held(&disk), Some(104_857), "a client's write leaves it alone");
    file.write_all_at(&[b"metadata"], 0).expect("it has room");
    assert_eq!(held(&disk), None);
    let create = |number: u64| reserved.open(&Path::new(DIR).join(number.to_string()), OpenMode::Create);
    (0..16).for_each(|number| drop(create(number).expect("there were inodes too")));
    assert!(create(16).is_err(), "there is nothing more");
    assert_eq!(reserve.admit(1), Err(BelowReserve));
    reserve.watch(1);
    assert_eq!(held(&disk), None);
    disk.leave(50 * MIB, 500);
    reserve.watch(1);
    assert_eq!(held(&disk), Some(104_857));
    reserve.admit(1).expect("there is room again");
    reserve.watch(100);
    assert_eq!(held(&disk), Some(MIB), "more partitions need more");
}

#[test]
fn a_disk_that_fails_otherwise_keeps_what_is_held() {
    let disk = disk();
    let reserve = reserve(&disk);
    let reserved = ReservedDisk::new(Arc::new(disk.clone()), reserve);
    disk.fail_nth(1, 5);
    assert!(reserved.create_dir(&Path::new(DIR).join("d")).is_err());
    assert!(held(&disk).is_some());
    disk.fail_nth(1, 122);
    reserved.create_dir(&Path::new(DIR).join("d")).expect("a quota is an end too");
    assert!(held(&disk).is_none());
}

/// Where the file system tells of room that a quota does not give, the file that cannot be made tells of the quota.
#[test]
fn clients_wait_for_what_is_to_be_held() {
    let disk = disk();
    let reserve = Reserve::new(Arc::new(disk.clone()), Path::new(DIR));
    disk.fail_nth(2, 122);
    reserve.watch(1);
    assert_eq!(held(&disk), None, "nothing half made is left");
    assert_eq!(reserve.admit(1), Err(BelowReserve));
    reserve.watch(1);
    reserve.admit(1).expect("it could be made");
    let reserve = Reserve::new(Arc::new(disk.clone()), Path::new(DIR));
    disk.remove_file(&Path::new(DIR).join(FILE_NAME)).expect("removed");
    disk.fail_nth(1, 5);
    reserve.watch(1);
    reserve.admit(1).expect("what is not to be had is not waited for");
}

fn partition() -> TopicPartition {
    TopicPartition::new("orders", 0)
}

fn open(disk: &SimDisk, config: LogConfig) -> (LogDir, Arc<PartitionLog>) {
    let recovery_threads = NonZeroUsize::MIN;
    let settings = LogDirSettings { open_files_max: 9, recovery_threads, durability: Durability::Fsync, config };
    let dir = LogDir::open(Arc::new(disk.clone()), Path::new(DIR), &settings, 0).expect("opened");
    let log = dir.partition(&partition());
    let log =
        log.unwrap_or_else(|| dir.create_partition(&partition(), Uuid::from_u128(1), config, 0, 0).expect("created"));
    (dir, log)
}

fn append(log: &Arc<PartitionLog>, size: usize) -> Result<i64, AppendError> {
    log.append(&batch(1, 1, size), 0, 1).map(|appended| appended.first_offset)
}

fn free(disk: &SimDisk) -> u64 {
    disk.room(Path::new(DIR)).expect("told").expect("an end").free_bytes
}

/// Segments of some ten batches of 100 kB, of which retention keeps about one.
fn by_size() -> LogConfig {
    let retention = Retention { bytes: Some(MIB), ..Retention::UNLIMITED };
    LogConfig { segment_bytes: MIB, retention, ..LogConfig::default() }
}

#[test]
fn below_the_reserve_all_but_producing_goes_on() {
    let disk = disk();
    let (dir, log) = open(&disk, by_size());
    for _ in 0..50 {
        append(&log, 100_000).expect("there is room");
    }
    log.commit_now().expect("flushed");
    disk.leave(MIB / 2, INODES);
    dir.watch_room();
    assert!(matches!(append(&log, 100), Err(AppendError::BelowReserve)));
    let offsets = log.offsets();
    let read = log.read(0, 100_000, true, offsets.log_end()).expect("readable").records.expect("bytes");
    assert_eq!(read.read().expect("read").len(), read.length);
    let quorum = AppendBatch { origin: AppendOrigin::RaftLeader, ..batch(1, 1, 100) };
    log.append(&quorum, 0, 1).expect("metadata goes on");
    let other = TopicPartition::new("other", 0);
    dir.create_partition(&other, Uuid::from_u128(2), LogConfig::default(), 0, 0).expect("created");
    assert!(log.advance_log_start(5));
    dir.checkpoint().expect("written");
    dir.enforce_retention(1, monotonic()).expect("enforced");
    dir.delete_partitions(&[other], monotonic()).expect("deleted");
    dir.remove_deleted(monotonic()).expect("removed at once, for there is no room");
    assert!(free(&disk) > 3 * MIB, "{} bytes are free", free(&disk));
    dir.watch_room();
    append(&log, 100).expect("there is room again");
    dir.close(1).expect("closed");
}

/// Not a block is left, and not an inode.
#[test]
fn on_a_full_disk_what_frees_room_goes_on() {
    for (bytes, inodes) in [(0, INODES), (TOTAL, 0), (0, 0)] {
        let disk = disk();
        let (dir, log) = open(&disk, by_size());
        for _ in 0..100 {
            append(&log, 100_000).expect("there is room");
        }
        log.commit_now().expect("flushed");
        disk.leave(bytes, inodes);
        dir.checkpoint().expect("written with what was held back");
        assert!(matches!(append(&log, 100), Err(AppendError::BelowReserve)), "{bytes} {inodes}");
        dir.enforce_retention(1, monotonic()).expect("enforced");
        dir.remove_deleted(monotonic()).expect("removed");
        dir.watch_room();
        append(&log, 100).expect("there is room again");
        dir.delete_partitions(&[partition()], monotonic()).expect("deleted");
        dir.close(1).expect("closed");
    }
}

#[test]
fn a_start_on_a_full_disk_works() {
    for crash in [None, Some(Crash::KeepAll), Some(Crash::Tear), Some(Crash::LoseAll)] {
        let disk = disk();
        let (dir, log) = open(&disk, by_size());
        disk.sync_dir(Path::new("/")).ok();
        for _ in 0..15 {
            append(&log, 100_000).expect("there is room");
        }
        dir.checkpoint().expect("written");
        for _ in 0..15 {
            append(&log, 100_000).expect("there is room");
        }
        log.commit_now().expect("flushed");
        match crash {
            None => dir.close(1).expect("closed"),
            Some(crash) => disk.crash(crash),
        }
        drop((dir, log));
        disk.leave(0, 0);
        let (dir, log) = open(&disk, by_size());
        assert_eq!(log.offsets().high_watermark(), 30, "{crash:?}");
        assert!(append(&log, 100).is_err(), "{crash:?}");
        dir.close(1).expect("stopped cleanly");
        drop((dir, log));
        let (dir, log) = open(&disk, by_size());
        assert_eq!((log.offsets().high_watermark(), dir.was_clean()), (30, true), "{crash:?}");
    }
}
