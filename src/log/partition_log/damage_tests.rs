//! What damage to one file does to a log, and what it must not do.

use std::path::Path;

use super::{
    tests::{append, file, open, read_all, small},
    *,
};
use crate::log::{
    disk::{Disk, OpenMode, read_file, sim::SimDisk},
    segment::Unreadable,
};

const LOG: &str = "00000000000000000000.log";
const INDEX: &str = "00000000000000000000.index";
const TIME_INDEX: &str = "00000000000000000000.timeindex";
/// Bytes of a batch.
const SIZE: usize = 161;

/// A log of twelve batches of one record in one segment, closed cleanly.
fn closed() -> SimDisk {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, small());
    (0..12).for_each(|n| {
        append(&log, 1, 1_000 + n, 100);
    });
    dir.close(0).expect("closed");
    disk
}

fn flip(disk: &SimDisk, name: &str, at: usize, mask: u8) {
    let bytes = read_file(disk, &file(name)).expect("read");
    disk.corrupt(&file(name), at, &[bytes[at] ^ mask]).expect("corrupted");
}

/// The offsets at which a batch can be read.
fn readable(log: &PartitionLog) -> Vec<i64> {
    let end = log.offsets().log_end();
    let is_there = |offset: &i64| log.read(*offset, 1, true, end).is_ok_and(|slice| slice.records.is_some());
    (0..end).filter(is_there).collect()
}

#[test]
fn a_wrong_index_leads_nobody_to_a_wrong_offset_and_is_rebuilt() {
    let whole = read_file(&closed(), &file(INDEX)).expect("read");
    assert!(whole.len() >= 3 * 8, "there is something to be halved");
    for at in 0..whole.len() {
        for bit in 0..8 {
            let disk = closed();
            flip(&disk, INDEX, at, 1 << bit);
            let (_dir, log) = open(&disk, small());
            assert_eq!(read_all(&log).len(), 12, "byte {at}, bit {bit}");
            let left = read_file(&disk, &file(INDEX)).expect("read");
            // An entry that nobody went by may still be wrong.
            assert!(left.len() == whole.len(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn a_wrong_time_index_neither_finds_a_later_record_nor_ages_a_segment() {
    let whole = read_file(&closed(), &file(TIME_INDEX)).expect("read");
    for at in 0..whole.len() {
        for bit in 0..8 {
            let disk = closed();
            flip(&disk, TIME_INDEX, at, 1 << bit);
            let (_dir, log) = open(&disk, small());
            for offset in 0..12 {
                let found = log.offset_for_timestamp(1_000 + offset, &|_, _| Err(Unreadable)).expect("readable");
                assert_eq!(found.map(|found| found.offset), Some(offset), "byte {at}, bit {bit}");
            }
            let found = log.max_timestamp(&|_, _| Err(Unreadable)).expect("readable");
            assert_eq!(found.map(|found| found.timestamp), Some(1_011), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn damage_ends_a_read_in_front_of_it_and_what_is_behind_it_is_served() {
    // Base offset, length, leader epoch, magic.
    for at in [0, 7, 8, 11, 12, 16] {
        let disk = closed();
        flip(&disk, LOG, 5 * SIZE + at, 0x04);
        let (_dir, log) = open(&disk, small());
        let whole: Vec<i64> = (0..12).filter(|offset| *offset != 5).collect();
        assert_eq!(readable(&log), whole, "byte {at}");
        let slice = log.read(2, 10_000, true, 12).expect("readable");
        assert_eq!(slice.records.map(|records| records.length), Some(3 * SIZE), "byte {at}");
        assert!(matches!(log.read(5, 10_000, true, 12), Err(ReadError::Corrupt { .. })), "byte {at}");
    }
}

#[test]
fn a_damaged_last_batch_of_a_closed_log_keeps_its_offset() {
    for at in [0, 8, 16] {
        let disk = closed();
        flip(&disk, LOG, 11 * SIZE + at, 0x04);
        let before = read_file(&disk, &file(LOG)).expect("read");
        let (_dir, log) = open(&disk, small());
        assert_eq!(log.offsets().log_end(), 12, "byte {at}: the checkpoint knows it");
        assert_eq!(append(&log, 1, 2_000, 100).first_offset, 12);
        log.commit_now().expect("flushed");
        assert_eq!(readable(&log), (0..13).filter(|offset| *offset != 11).collect::<Vec<_>>(), "byte {at}");
        assert!(read_file(&disk, &file(LOG)).expect("read").starts_with(&before), "nothing is cut off");
    }
}

#[test]
fn a_damaged_first_batch_keeps_nobody_from_appending() {
    let disk = closed();
    flip(&disk, LOG, 8, 0x40);
    let (_dir, log) = open(&disk, small());
    assert_eq!(append(&log, 1, 2_000, 100).first_offset, 12);
}

#[test]
fn the_only_snapshot_of_producers_is_not_missed() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, small());
    let mut idempotent = test_batches::batch(1, 1_000, 100);
    (idempotent.header.producer_id, idempotent.header.producer_epoch, idempotent.header.base_sequence) = (7, 0, 0);
    assert!(idempotent.header.seal(&idempotent.payload));
    log.append(&idempotent, 0, 0).expect("appended");
    dir.close(0).expect("closed");
    drop((dir, log));
    flip(&disk, "00000000000000000001.snapshot", 20, 1);
    let (_dir, log) = open(&disk, small());
    let again = log.append(&idempotent, 0, 0).expect("known");
    assert_eq!((again.max_timestamp, again.is_duplicate), (1_000, true));
}

#[test]
fn a_log_start_behind_the_end_of_a_closed_log_is_not_believed() {
    let disk = closed();
    let path = Path::new("/data/log-start-offset-checkpoint");
    let checkpoint = disk.open(path, OpenMode::CreateEmpty).expect("opened");
    checkpoint.write_all_at(&[b"0\n1\norders 0 73\n"], 0).expect("written");
    let (_dir, log) = open(&disk, small());
    assert_eq!((log.offsets().log_start(), read_all(&log).len()), (0, 12));
}
