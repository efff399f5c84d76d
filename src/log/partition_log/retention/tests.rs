use std::{path::Path, time::Instant};

use super::*;
use crate::{
    clock::monotonic,
    log::{
        disk::{
            Disk,
            sim::{Crash, SimDisk},
        },
        log_config::LogConfig,
        log_dir::LogDir,
        partition_log::{
            ReadError,
            tests::{append, file, open, read_all, small, times},
        },
        retention::Retention,
    },
};

/// Twenty batches of one record fill a segment; one more goes into the next.
const BATCH: usize = 139;
const PER_SEGMENT: i64 = 20;
const DELAY: Duration = Duration::from_mins(1);

fn with(retention: Retention) -> LogConfig {
    LogConfig { retention, ..small() }
}

fn by_age(ms: i64) -> LogConfig {
    with(Retention { bytes: None, ms: Some(ms), timestamp_after_max_ms: 1000 })
}

fn by_size(bytes: u64) -> LogConfig {
    with(Retention { bytes: Some(bytes), ..Retention::UNLIMITED })
}

/// Appends with timestamps that are the offsets.
fn fill(log: &Arc<PartitionLog>, count: i64) {
    for timestamp in log.offsets().log_end()..log.offsets().log_end() + count {
        append(log, 1, timestamp, BATCH);
    }
    log.commit_now().expect("flushed");
}

fn ends(log: &PartitionLog) -> (i64, i64) {
    (log.offsets().log_start(), log.offsets().log_end())
}

fn names(disk: &SimDisk, end: &str) -> Vec<String> {
    let entries = disk.list_dir(&file("")).expect("listed");
    let mut names: Vec<_> = entries.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(end)).collect();
    names.sort();
    names
}

fn logs(bases: &[i64]) -> Vec<String> {
    bases.iter().map(|base| format!("{base:020}.log")).collect()
}

fn reopen(disk: &SimDisk, crash: Option<Crash>, dir: LogDir, log: Arc<PartitionLog>) -> (LogDir, Arc<PartitionLog>) {
    match crash {
        Some(crash) => disk.crash(crash),
        None => dir.close(1).expect("closed"),
    }
    drop((dir, log));
    open(disk, small())
}

#[test]
fn old_segments_go_and_readers_of_them_get_a_clean_answer() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, by_age(100));
    fill(&log, 50);
    log.append(&super::super::test_batches::batch(1, 50, 0), 4, 50).expect("appended");
    log.commit_now().expect("flushed");
    let reader = log.read(0, 1 << 20, true, 51).expect("readable").records.expect("bytes");
    let begin = monotonic();
    dir.enforce_retention(119, begin).expect("enforced");
    assert_eq!(ends(&log), (0, 51), "the first segment is exactly as old as it may be");
    dir.enforce_retention(139, begin).expect("enforced");
    assert_eq!(ends(&log), (20, 51));
    assert!(matches!(log.read(19, 1, true, 51), Err(ReadError::OffsetOutOfRange { log_start: 20, log_end: 51, .. })));
    assert_eq!(read_all(&log).len(), 31);
    assert_eq!(log.earliest().offset, 20);
    assert_eq!(log.offset_for_timestamp(0, &times).expect("readable").map(|found| found.offset), Some(20));
    assert_eq!(reader.read().expect("it was open").len(), 20 * 200);
    assert_eq!(names(&disk, ".log"), logs(&[20, 40]));
    let renamed = ["index", "log", "timeindex"].map(|suffix| format!("{:020}.{suffix}.deleted", 0));
    assert_eq!(names(&disk, ".deleted"), renamed);
    dir.remove_deleted(begin + DELAY - Duration::from_millis(1)).expect("nothing to do");
    assert_eq!(names(&disk, ".deleted"), renamed);
    dir.remove_deleted(begin + DELAY).expect("removed");
    assert_eq!(names(&disk, ".deleted"), [""; 0]);
    assert_eq!(reader.read().expect("it was open").len(), 20 * 200);
}

#[test]
fn a_log_that_is_old_altogether_goes_on_where_it_was() {
    for crash in [None, Some(Crash::LoseAll), Some(Crash::KeepAll)] {
        let disk = SimDisk::new(1);
        let (dir, log) = open(&disk, by_age(100));
        fill(&log, 50);
        dir.enforce_retention(1000, monotonic()).expect("enforced");
        assert_eq!((ends(&log), log.size()), ((50, 50), 0));
        assert_eq!(names(&disk, ".log"), logs(&[50]));
        dir.enforce_retention(2000, monotonic()).expect("nothing to do");
        assert_eq!(names(&disk, ".log"), logs(&[50]), "an empty log is left alone");
        let (_dir, log) = reopen(&disk, crash, dir, log);
        assert_eq!(ends(&log), (50, 50), "{crash:?}");
        fill(&log, 1);
        assert_eq!(read_all(&log), [(50, 50, 200)]);
    }
}

#[test]
fn what_is_not_on_disk_stays() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, by_size(0));
    fill(&log, 50);
    append(&log, 1, 0, BATCH);
    dir.enforce_retention(0, monotonic()).expect("enforced");
    assert_eq!((ends(&log), log.high_watermark()), ((40, 51), 51), "the active segment had more than that");
    dir.enforce_retention(0, monotonic()).expect("enforced");
    assert_eq!(ends(&log), (51, 51));
}

#[test]
fn the_files_time_counts_where_timestamps_say_nothing() {
    for timestamp in [-1, 1_000_000] {
        let disk = SimDisk::new(1);
        let (dir, log) = open(&disk, by_age(100));
        for now in 0..25 {
            disk.set_time(now);
            append(&log, 1, timestamp, BATCH);
        }
        log.commit_now().expect("flushed");
        dir.enforce_retention(119, monotonic()).expect("enforced");
        assert_eq!(ends(&log), (0, 25), "written at {}", PER_SEGMENT - 1);
        dir.enforce_retention(120, monotonic()).expect("enforced");
        assert_eq!(ends(&log), (PER_SEGMENT, 25));
    }
}

#[test]
fn nothing_is_deleted_without_a_limit() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, small());
    fill(&log, 50);
    dir.enforce_retention(i64::MAX, monotonic()).expect("nothing to do");
    assert_eq!(names(&disk, ".log"), logs(&[0, 20, 40]));
    log.advance_log_start(39);
    dir.enforce_retention(i64::MAX, monotonic()).expect("enforced");
    assert_eq!((names(&disk, ".log"), ends(&log)), (logs(&[20, 40]), (39, 50)), "but what lies below the log start");
}

#[test]
fn a_log_start_within_a_segment_is_remembered() {
    for crash in [None, Some(Crash::LoseAll), Some(Crash::Tear), Some(Crash::KeepAll)] {
        let disk = SimDisk::new(1);
        let (dir, log) = open(&disk, small());
        fill(&log, 50);
        log.advance_log_start(27);
        // A crash before it was written down may forget it; a stop does not.
        if crash.is_some() {
            dir.checkpoint().expect("written");
        }
        let (dir, log) = reopen(&disk, crash, dir, log);
        assert_eq!(ends(&log), (27, 50), "{crash:?}");
        dir.enforce_retention(0, monotonic()).expect("enforced");
        let (dir, log) = reopen(&disk, crash, dir, log);
        assert_eq!(ends(&log), (27, 50), "{crash:?}");
        // A crash may bring back what was renamed, as long as nobody gets to see it.
        dir.enforce_retention(0, monotonic()).expect("enforced");
        assert_eq!((ends(&log), names(&disk, ".log")), ((27, 50), logs(&[20, 40])), "{crash:?}");
    }
}

#[test]
fn files_of_a_deleted_partition_are_left_to_its_deletion() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, by_size(0));
    fill(&log, 50);
    let trim = log.plan_trim(0).expect("all of it");
    let partition = log.topic_partition().clone();
    let begin = monotonic();
    dir.delete_partitions(std::slice::from_ref(&partition), begin).expect("deleted");
    let (_same_dir, successor) = {
        let config = by_size(0);
        let log = dir.create_partition(&partition, uuid::Uuid::from_u128(2), config, 0, 0).expect("created");
        fill(&log, 5);
        (&dir, log)
    };
    trim.move_log_start();
    let (leftovers, done) = trim.carry_out();
    done.expect("nothing to do");
    assert_eq!((leftovers.files.len(), names(&disk, ".log")), (0, logs(&[0])), "the files are another's");
    assert_eq!(read_all(&successor).len(), 5);
    dir.remove_deleted(begin + DELAY).expect("removed");
    assert_eq!(read_all(&successor).len(), 5);
}

/// Sixty records, of which all but ten are to go.
fn filled(disk: &SimDisk, config: LogConfig) -> (LogDir, Arc<PartitionLog>) {
    let (dir, log) = open(disk, config);
    fill(&log, 50);
    dir.checkpoint().expect("written");
    (dir, log)
}

fn retain(dir: &LogDir, begin: Instant) {
    // An error is to be expected, and says nothing about the log.
    let _ = dir.enforce_retention(1000, begin);
    let _ = dir.remove_deleted(begin + DELAY);
}

#[test]
fn a_crash_at_any_call_leaves_a_segment_or_not_and_never_a_hole() {
    for config in [by_size(1000), by_size(0), by_age(1)] {
        let healthy = SimDisk::new(1);
        let (dir, log) = filled(&healthy, config);
        let before = healthy.calls();
        retain(&dir, monotonic());
        let (calls, start) = (healthy.calls() - before, ends(&log).0);
        assert!(calls > 20 && start > 0, "{calls} calls");
        for n in 1..=calls {
            for crash in [Crash::LoseAll, Crash::Tear, Crash::KeepAll] {
                for is_power_cut in [true, false] {
                    let disk = SimDisk::new(n);
                    disk.set_filesystem(n.is_multiple_of(2));
                    let (dir, log) = filled(&disk, config);
                    if is_power_cut {
                        disk.fail_from(n, 5)
                    } else {
                        disk.fail_nth(n, 28)
                    }
                    retain(&dir, monotonic());
                    let (_dir, log) = reopen(&disk, Some(crash), dir, log);
                    check_after_crash(&disk, &log, start, &format!("call {n}, {crash:?}, {is_power_cut}"));
                }
            }
        }
    }
}

fn check_after_crash(disk: &SimDisk, log: &Arc<PartitionLog>, start: i64, case: &str) {
    let (log_start, log_end) = ends(log);
    assert!(log_end == 50 && log_start <= start, "{case}: {log_start} to {log_end}");
    assert_eq!(read_all(log).len() as i64, log_end - log_start, "{case}: there is a hole");
    let bases: Vec<_> = read(&log.segments).iter().map(|segment| segment.base_offset()).collect();
    assert!(bases.windows(2).all(|pair| pair[1] - pair[0] == PER_SEGMENT || pair[1] == 50), "{case}: {bases:?}");
    assert_eq!(names(disk, ".deleted"), [""; 0], "{case}: a start removes them");
    fill(log, 1);
}

#[test]
fn what_could_not_be_deleted_is_deleted_later() {
    let count = |disk: &SimDisk| disk.list_dir(Path::new("/data/orders-0")).expect("listed").len();
    let healthy = SimDisk::new(1);
    let (dir, _log) = filled(&healthy, by_size(0));
    let before = healthy.calls();
    retain(&dir, monotonic());
    let calls = healthy.calls() - before;
    let mut offline = 0;
    for n in 1..=calls {
        let disk = SimDisk::new(n);
        let (dir, log) = filled(&disk, by_size(0));
        let begin = monotonic();
        disk.fail_nth(n, 28);
        retain(&dir, begin);
        if dir.group_commit().failure().is_some() {
            offline += 1;
            continue;
        }
        disk.heal();
        dir.enforce_retention(1000, begin).expect("enforced");
        dir.remove_deleted(begin + 3 * DELAY).expect("removed");
        assert_eq!((ends(&log), count(&disk)), ((50, 50), count(&healthy)), "call {n}");
        fill(&log, 1);
    }
    assert!(offline < calls / 2, "only a failed sync is final");
}
