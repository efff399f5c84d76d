use std::{collections::BTreeMap, fs, sync::Arc, time::SystemTime};

use uuid::Uuid;

use super::*;
use crate::log::{
    disk::{OpenMode, RealDisk, replace_file, sim::SimDisk},
    log_config::LogConfig,
    log_dir::{LogDir, LogDirSettings},
    partition_log::test_batches::batch,
    scan::BatchScan,
};

const DIR: &str = "/data";
const PARTITION: &str = "/data/orders-0";
const FIRST_LOG: &str = "/data/orders-0/00000000000000000000.log";

/// A directory with one partition: three segments, two leader epochs, closed cleanly.
fn write_dir(disk: Arc<dyn Disk>, path: &Path) {
    let config = LogConfig { segment_bytes: 320, index_interval_bytes: 80, ..LogConfig::default() };
    let settings = LogDirSettings { config, ..LogDirSettings::for_tests() };
    let dir = LogDir::open(Arc::clone(&disk), path, &settings, 0).expect("opened");
    let properties = MetaProperties { cluster_id: "c".to_owned(), node_id: 1, directory_id: None };
    properties.write(&*disk, path).expect("written");
    let log = dir.create_partition(&TopicPartition::new("orders", 0), Uuid::from_u128(1), config, 0, 0);
    let log = log.expect("created");
    for n in 0..9 {
        let epoch = i32::from(n >= 4);
        log.begin_epoch(epoch);
        // Timestamps go up and down.
        log.append(&batch(1 + n % 3, 1_000 + i64::from(n ^ 1), 20), epoch, 0).expect("appended");
    }
    dir.close(0).expect("closed");
}

fn sim_dir() -> SimDisk {
    let disk = SimDisk::new(1);
    write_dir(Arc::new(disk.clone()), Path::new(DIR));
    disk
}

fn findings(disk: &dyn Disk) -> Vec<String> {
    let mut lines = Vec::new();
    verify(disk, Path::new(DIR), &mut |finding| lines.push(finding.to_string())).expect("checked");
    lines
}

/// What a broker holds room with is no stranger, on a disk that has an end.
#[test]
fn files_that_only_hold_room_are_known() {
    let disk = SimDisk::new(1);
    disk.set_capacity(1 << 30, 1000);
    write_dir(Arc::new(disk.clone()), Path::new(DIR));
    let names = sorted(&disk, Path::new(DIR)).expect("listed").into_iter().map(|entry| entry.name);
    assert_eq!(names.filter(|name| name.starts_with(".ottla-reserve")).count(), 16);
    assert_eq!(findings(&disk), Vec::<String>::new());
    disk.open(&Path::new(DIR).join(".ottla-reserved"), OpenMode::Create).expect("created");
    assert_eq!(findings(&disk).len(), 1);
}

#[test]
fn a_segment_may_be_named_after_the_last_offset_there_is() {
    let disk = sim_dir();
    for suffix in ["log", "index", "timeindex", "txnindex"] {
        let path = Path::new(PARTITION).join(format!("{:020}.{suffix}", i64::MAX));
        disk.open(&path, OpenMode::Create).expect("created");
    }
    let ends = format!("offset 18 of orders-0 after a clean stop, but its log ends at {}", i64::MAX);
    assert_eq!(findings(&disk), [format!("/data/recovery-point-offset-checkpoint: {ends}")]);
}

fn logs(disk: &SimDisk) -> Vec<PathBuf> {
    let entries = sorted(disk, Path::new(PARTITION)).expect("listed");
    let names = entries.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(".log"));
    names.map(|name| Path::new(PARTITION).join(name)).collect()
}

/// Flips every bit of every log, one after the other, and returns those that nothing was said about: which log, and
/// where.
fn unseen_flips(disk: &SimDisk) -> (usize, Vec<(usize, u64)>) {
    let (mut flips, mut unseen) = (0, Vec::new());
    for (log, path) in logs(disk).iter().enumerate() {
        let file = disk.open(path, OpenMode::Existing).expect("there");
        for (position, byte) in (0..).zip(read_file(disk, path).expect("read")) {
            for bit in 0..8 {
                file.write_all_at(&[&[byte ^ (1 << bit)]], position).expect("flipped");
                flips += 1;
                let mut seen = false;
                let summary = verify(disk, Path::new(DIR), &mut |finding| seen |= !finding.problem.is_note());
                assert_eq!(seen, summary.expect("checked").findings > 0);
                if !seen {
                    unseen.push((log, position));
                }
            }
            file.write_all_at(&[&[byte]], position).expect("put back");
        }
    }
    (flips, unseen)
}

#[test]
fn nothing_is_wrong_with_a_sound_directory_and_nothing_is_changed() {
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let path = temporary.path();
    write_dir(Arc::new(RealDisk), path);
    let before = tree(path);
    let summary = verify(&RealDisk, path, &mut |finding| panic!("{finding}")).expect("checked");
    assert_eq!((summary.partitions, summary.segments, summary.batches, summary.findings), (1, 3, 9, 0));
    assert_eq!(tree(path), before);
}

/// Bytes and time of change of every file, and of every directory.
fn tree(path: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let modified = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).expect("known");
    let mut files = BTreeMap::from([(path.to_owned(), (Vec::new(), modified(path)))]);
    for entry in fs::read_dir(path).expect("listed") {
        let path = entry.expect("listed").path();
        if path.is_dir() {
            files.extend(tree(&path));
        } else {
            files.insert(path.clone(), (fs::read(&path).expect("read"), modified(&path)));
        }
    }
    files
}

#[test]
fn every_flipped_bit_of_a_log_is_found() {
    let disk = sim_dir();
    assert_eq!(findings(&disk), [""; 0]);
    let (flips, unseen) = unseen_flips(&disk);
    assert_eq!(flips, 9 * (61 + 20) * 8);
    assert_eq!(unseen, []);
}

#[test]
fn nothing_is_wrong_after_a_kill_before_the_first_checkpoint() {
    let disk = sim_dir();
    disk.remove_file(&Path::new(DIR).join(CLEAN_SHUTDOWN_FILE)).expect("removed");
    disk.remove_file(&Path::new(DIR).join(RECOVERY_POINT_FILE)).expect("removed");
    disk.remove_file(&Path::new(PARTITION).join("leader-epoch-checkpoint")).expect("removed");
    disk.open(&Path::new(PARTITION).join("00000000000000000000.timeindex"), OpenMode::CreateEmpty).expect("emptied");
    assert_eq!(findings(&disk), [""; 0]);
    let file = Path::new(DIR).join(CLEAN_SHUTDOWN_FILE);
    replace_file(&disk, &file, b"{}").expect("written");
    assert_eq!(findings(&disk).len(), 2, "after a clean stop both have to be there");
}

#[test]
fn after_a_crash_only_what_lies_outside_the_crc_of_the_last_batch_goes_unseen() {
    let disk = sim_dir();
    for name in [CLEAN_SHUTDOWN_FILE, RECOVERY_POINT_FILE, HIGH_WATERMARK_FILE] {
        disk.remove_file(&Path::new(DIR).join(name)).expect("removed");
    }
    let (_, unseen) = unseen_flips(&disk);
    let logs = logs(&disk);
    let last_log = logs.len() - 1;
    let file = disk.open(&logs[last_log], OpenMode::ReadOnly).expect("there");
    let mut scan = BatchScan::new(&*file, 0, file.len().expect("known"));
    let mut last = 0;
    while let Some(batch) = scan.next_batch().expect("good") {
        last = batch.position;
    }
    let is_outside = |&(log, position): &(usize, u64)| {
        log == last_log && ((last..last + 8).contains(&position) || (last + 12..last + 16).contains(&position))
    };
    assert!(unseen.iter().all(is_outside), "{unseen:?}");
    assert!(!unseen.is_empty(), "or the documentation is too modest");
}

/// What it is called, how it is done, and how the lines about it begin.
type Case<'a> = (&'a str, &'a dyn Fn(&SimDisk), &'a [&'a str]);

#[test]
fn damage_is_told_with_its_place() {
    let cut = |disk: &SimDisk, path: &str, len: u64| {
        disk.open(Path::new(path), OpenMode::Existing).expect("there").set_len(len).expect("cut");
    };
    let write = |disk: &SimDisk, path: &str, content: &[u8]| {
        replace_file(disk, Path::new(path), content).expect("written");
    };
    let cases: [Case; 11] = [
        (
            "a torn log",
            &|disk| cut(disk, FIRST_LOG, 200),
            &["/data/orders-0/00000000000000000000.log: position 162: batch needs"],
        ),
        (
            "an index entry for the middle of a batch",
            &|disk| write(disk, "/data/orders-0/00000000000000000000.index", &[0, 0, 0, 5, 0, 0, 0, 100]),
            &[
                "/data/orders-0/00000000000000000000.index: position 0: offset 5 is said to be at position 100, where no",
            ],
        ),
        (
            "index entries out of order, and half a one",
            &|disk| {
                write(
                    disk,
                    "/data/orders-0/00000000000000000000.index",
                    &[0, 0, 0, 2, 0, 0, 0, 81, 0, 0, 0, 1, 0, 0, 0, 80, 9],
                )
            },
            &[
                "/data/orders-0/00000000000000000000.index: 1 bytes behind the last whole entry",
                "/data/orders-0/00000000000000000000.index: position 8: entry is not greater than the one before it",
            ],
        ),
        (
            "a time index that lost its last entry",
            &|disk| write(disk, "/data/orders-0/00000000000000000000.timeindex", b""),
            &["/data/orders-0/00000000000000000000.timeindex: the greatest timestamp of the closed segment"],
        ),
        (
            "no index",
            &|disk| disk.remove_file(Path::new("/data/orders-0/00000000000000000000.index")).expect("removed"),
            &["/data/orders-0/00000000000000000000.index: is missing"],
        ),
        (
            "no topic id",
            &|disk| write(disk, "/data/orders-0/partition.metadata", b"version: 0\n"),
            &["/data/orders-0/partition.metadata: holds no topic id"],
        ),
        (
            "epochs that go back",
            &|disk| write(disk, "/data/orders-0/leader-epoch-checkpoint", b"0\n3\n0 0\n1 7\n1 7\n"),
            &["/data/orders-0/leader-epoch-checkpoint: epoch 1 from offset 7 on does not follow epoch 1 from 7 on"],
        ),
        (
            "a high watermark beyond the log",
            &|disk| write(disk, "/data/replication-offset-checkpoint", b"0\n2\norders 0 99\ngone 0 1\n"),
            &[
                "/data/replication-offset-checkpoint: offset 99 of orders-0 is beyond its log's end, 18",
                "/data/replication-offset-checkpoint: note: gone-0 does not exist",
            ],
        ),
        (
            "a checkpoint that is none",
            &|disk| write(disk, "/data/recovery-point-offset-checkpoint", b"0\n1\norders 0\n"),
            &["/data/recovery-point-offset-checkpoint: line 3: \"orders 0\" where an entry should be"],
        ),
        (
            "a producer snapshot with a flipped bit",
            &|disk| write(disk, "/data/orders-0/00000000000000000018.snapshot", &[0, 1, 0, 0, 0, 1, 0, 0, 0, 0]),
            &["/data/orders-0/00000000000000000018.snapshot: producer snapshot: stored CRC 0x00000001, computed"],
        ),
        (
            "what does not belong there",
            &|disk| {
                disk.create_dir(Path::new("/data/lost+found")).expect("created");
                write(disk, "/data/orders-0/notes.txt", b"");
            },
            &["/data/lost+found: note: not a file of a data", "/data/orders-0/notes.txt: note: not a file of a data"],
        ),
    ];
    for (case, damage, expected) in cases {
        let disk = sim_dir();
        damage(&disk);
        let lines = findings(&disk);
        let agree =
            lines.len() == expected.len() && lines.iter().zip(expected).all(|(line, start)| line.starts_with(start));
        assert!(agree, "{case}: {lines:#?}");
    }
}

#[test]
fn a_batch_after_a_damaged_one_is_checked_and_the_indexes_are_not_blamed() {
    let disk = sim_dir();
    let file = disk.open(Path::new(FIRST_LOG), OpenMode::Existing).expect("there");
    file.write_all_at(&[b"damage"], 100).expect("written");
    let mut lines = Vec::new();
    let summary = verify(&disk, Path::new(DIR), &mut |finding| lines.push(finding.to_string())).expect("checked");
    assert_eq!((summary.batches, summary.findings), (8, 1), "{lines:#?}");
    assert!(lines[0].starts_with("/data/orders-0/00000000000000000000.log: position 81: "), "{lines:#?}");
}

#[test]
fn where_a_damaged_log_ends_nobody_is_told() {
    let disk = sim_dir();
    let last = logs(&disk).pop().expect("three");
    let file = disk.open(&last, OpenMode::Existing).expect("there");
    let len = file.len().expect("known");
    file.write_all_at(&[b"damage"], len - 6).expect("written");
    let lines = findings(&disk);
    assert!(lines.len() == 1 && lines[0].starts_with(&format!("{}: position ", last.display())), "{lines:#?}");
}

#[test]
fn a_directory_in_use_is_refused() {
    let disk = sim_dir();
    let _broker = disk.lock(&Path::new(DIR).join(LOCK_FILE)).expect("free");
    let error = verify(&disk, Path::new(DIR), &mut |_| {}).expect_err("refused");
    assert!(error.to_string().starts_with("/data: the directory is in use"), "{error}");
    let error = verify(&disk, Path::new("/none"), &mut |_| {}).expect_err("refused");
    assert!(matches!(error, VerifyError::Io { .. }));
}

/// Bytes that mean nothing, in every file at once: told, and survived.
#[test]
fn garbage_is_survived() {
    let disk = sim_dir();
    let mut seed = 1_u32;
    for path in [DIR, PARTITION] {
        for entry in sorted(&disk, Path::new(path)).expect("listed") {
            if entry.kind == EntryKind::File && entry.name != LOCK_FILE {
                let garbage: Vec<u8> = (0..997)
                    .map(|_| {
                        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        seed.to_be_bytes()[0]
                    })
                    .collect();
                let file = disk.open(&Path::new(path).join(entry.name), OpenMode::CreateEmpty).expect("there");
                file.write_all_at(&[&garbage], 0).expect("written");
            }
        }
    }
    assert!(findings(&disk).len() > 9);
}
