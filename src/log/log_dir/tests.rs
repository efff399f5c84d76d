use super::*;
use crate::{
    clock::monotonic,
    log::{
        disk::{
            OpenMode, RealDisk, read_file,
            sim::{Crash, SimDisk},
        },
        partition_log::test_batches::batch,
    },
};

fn settings() -> LogDirSettings {
    let recovery_threads = NonZeroUsize::new(2).expect("not zero");
    LogDirSettings { recovery_threads, ..LogDirSettings::for_tests() }
}

fn create(dir: &LogDir, topic: &str) -> Result<Arc<PartitionLog>, LogDirError> {
    dir.create_partition(&TopicPartition::new(topic, 0), Uuid::from_u128(1), LogConfig::default(), 0, 0)
}

#[test]
fn names_say_what_directories_are() {
    let partition = |topic: &str, index| DirName::Partition(TopicPartition::new(topic, index));
    for (name, expected) in [
        ("orders-0", partition("orders", 0)),
        ("a.b_c-d-12", partition("a.b_c-d", 12)),
        ("__cluster_metadata-0", partition("__cluster_metadata", 0)),
        ("orders-0.0123456789abcdef0123456789abcdef-delete", DirName::Deleted),
        ("orders-0.0123456789abcdef0123456789abcdef-stray", DirName::Stray),
        ("orders-0.0123456789abcdef0123456789abcdef-future", DirName::Unknown),
        ("orders-delete", DirName::Unknown),
        ("orders", DirName::Unknown),
        ("-0", DirName::Unknown),
        ("orders-", DirName::Unknown),
        ("orders-+1", DirName::Unknown),
        ("orders-01", DirName::Unknown),
        ("orders--1", partition("orders-", 1)),
        ("or ders-0", DirName::Unknown),
        ("..-0", DirName::Unknown),
        ("lost+found", DirName::Unknown),
    ] {
        assert_eq!(parse_dir_name(name), expected, "{name}");
    }
}

#[test]
fn no_topic_leaves_the_directory() {
    let disk = Arc::new(SimDisk::new(1));
    let dir = LogDir::open(disk, Path::new("/data"), &settings(), 0).expect("opened");
    for name in ["", ".", "..", "../up", "a/b", "a\0b", "a b", "ä", &"x".repeat(250)] {
        assert!(matches!(create(&dir, name), Err(LogDirError::InvalidTopicName { .. })), "{name:?}");
    }
    create(&dir, &"x".repeat(249)).expect("the longest name");
    assert!(matches!(create(&dir, &"x".repeat(249)), Err(LogDirError::Exists { .. })));
}

#[test]
fn a_long_name_is_cut_for_the_deletion() {
    let partition = TopicPartition::new("x".repeat(249), 12);
    let name = retired_dir_name(&partition, Uuid::nil(), DELETE_SUFFIX);
    assert_eq!(name.len(), 255);
    assert!(name.ends_with("xx-12.00000000000000000000000000000000-delete"));
    assert_eq!(parse_dir_name(&name), DirName::Deleted);
}

#[test]
fn a_directory_in_use_is_refused() {
    let path = tempfile::tempdir().expect("a temporary directory");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let first = LogDir::open(Arc::clone(&disk), path.path(), &settings(), 0).expect("opened");
    let error = LogDir::open(Arc::clone(&disk), path.path(), &settings(), 0).err().expect("refused");
    assert!(error.to_string().contains(&format!("in use, its lock is held by process {}", std::process::id())));
    drop(first);
    LogDir::open(disk, path.path(), &settings(), 0).expect("free again");
}

#[test]
fn partitions_come_back_and_deleted_ones_do_not() {
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let path = temporary.path();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let dir = LogDir::open(Arc::clone(&disk), path, &settings(), 0).expect("opened");
    assert!(!dir.was_clean());
    for topic in ["kept", "gone", "stray"] {
        create(&dir, topic).expect("created").append(&batch(5, 1, 100), 0, 1).expect("appended");
    }
    std::fs::create_dir(path.join("not a partition")).expect("created");
    dir.delete_partitions(std::slice::from_ref(&TopicPartition::new("gone", 0)), monotonic()).expect("deleted");
    dir.set_stray(&TopicPartition::new("stray", 0)).expect("put aside");
    assert!(matches!(
        dir.delete_partitions(&[TopicPartition::new("gone", 0)], monotonic()),
        Err(LogDirError::Unknown { .. })
    ));
    dir.close(7).expect("closed");
    drop(dir);
    assert_eq!(read_file(&*disk, &path.join(CLEAN_SHUTDOWN_FILE)).expect("read"), br#"{"version":0,"brokerEpoch":7}"#);
    assert_eq!(read_file(&*disk, &path.join(RECOVERY_POINT_FILE)).expect("read"), b"0\n1\nkept 0 5\n");

    let dir = LogDir::open(Arc::clone(&disk), path, &settings(), 0).expect("opened");
    assert!(dir.was_clean() && !disk.exists(&path.join(CLEAN_SHUTDOWN_FILE)).expect("answered"));
    let [log] = dir.partitions().try_into().expect("one partition");
    assert_eq!((log.topic_partition().to_string().as_str(), log.topic_id()), ("kept-0", Some(Uuid::from_u128(1))));
    assert_eq!(log.offsets().log_end(), 5);
    let count = |suffix: &str| {
        let entries = disk.list_dir(path).expect("listed");
        entries.iter().filter(|entry| entry.name.ends_with(suffix)).count()
    };
    assert_eq!((count(DELETE_SUFFIX), count(STRAY_SUFFIX)), (1, 1));
    dir.remove_deleted(monotonic() + Duration::from_mins(1)).expect("removed");
    assert_eq!((count(DELETE_SUFFIX), count(STRAY_SUFFIX)), (0, 1));
}

#[test]
fn a_clean_start_opens_no_file_that_is_not_needed() {
    let disk = SimDisk::new(1);
    let path = Path::new("/data");
    let config = LogConfig { segment_bytes: 1000, ..LogConfig::default() };
    let settings = LogDirSettings { config, ..settings() };
    let calls_to_open = |segments: i64| {
        let dir = LogDir::open(Arc::new(disk.clone()), path, &settings, 0).expect("opened");
        let partition = TopicPartition::new("orders", 0);
        let log = match dir.partition(&partition) {
            Some(log) => log,
            None => dir.create_partition(&partition, Uuid::nil(), config, 0, 0).expect("created"),
        };
        (0..segments).for_each(|n| {
            log.append(&batch(1, n, 700), 0, n).expect("appended");
        });
        dir.close(0).expect("closed");
        drop((dir, log));
        let before = disk.calls();
        let dir = LogDir::open(Arc::new(disk.clone()), path, &settings, 0).expect("opened");
        let calls = disk.calls() - before;
        dir.close(0).expect("closed");
        calls
    };
    assert_eq!(calls_to_open(2), calls_to_open(200), "a start takes as long with two segments as with two hundred");
}

#[test]
fn a_mark_that_survived_a_crash_is_not_believed_twice() {
    let disk = SimDisk::new(1);
    let open = || LogDir::open(Arc::new(disk.clone()), Path::new("/data"), &settings(), 0).expect("opened");
    open().close(0).expect("closed");
    assert!(open().was_clean());
    disk.crash(Crash::LoseAll);
    assert!(!open().was_clean());
    disk.open(Path::new("/data/recovery-point-offset-checkpoint"), OpenMode::CreateEmpty).expect("damaged");
    assert!(!open().was_clean());
}

#[test]
fn a_partition_does_not_start_where_one_of_its_name_did() {
    for is_restarted in [false, true] {
        let disk = SimDisk::new(1);
        let open = || LogDir::open(Arc::new(disk.clone()), Path::new("/data"), &settings(), 0).expect("opened");
        let mut dir = open();
        let log = create(&dir, "a").expect("created");
        log.append(&batch(100, 1, 50), 0, 1).expect("appended");
        log.flush().expect("flushed");
        log.advance_log_start(90);
        dir.checkpoint().expect("written");
        dir.delete_partitions(std::slice::from_ref(log.topic_partition()), monotonic()).expect("deleted");
        if is_restarted {
            disk.sync_dir(Path::new("/data")).expect("synced");
            drop(dir);
            disk.crash(Crash::LoseAll);
            dir = open();
        }
        let before = disk.calls();
        create(&dir, "b").expect("there was never one of its name");
        let others = disk.calls() - before;
        disk.fail_nth(1, 28);
        create(&dir, "a").expect_err("no room for a checkpoint");
        let before = disk.calls();
        let log = create(&dir, "a").expect("created");
        assert!(disk.calls() - before > others, "the checkpoints are written");
        log.append(&batch(100, 1, 50), 0, 1).expect("appended");
        log.commit_now().expect("flushed");
        drop((dir, log));
        disk.crash(Crash::LoseAll);
        let offsets = open().partition(&TopicPartition::new("a", 0)).expect("there").offsets();
        assert_eq!((offsets.log_start(), offsets.log_end()), (0, 100));
    }
}

#[test]
fn a_name_is_stale_until_the_checkpoints_without_it_are_on_disk() {
    let mut interrupted = 0;
    for n in 1..=20 {
        let disk = SimDisk::new(n);
        let open = |disk: &SimDisk| {
            Arc::new(LogDir::open(Arc::new(disk.clone()), Path::new("/data"), &settings(), 0).expect("opened"))
        };
        let dir = open(&disk);
        let log = create(&dir, "a").expect("created");
        log.append(&batch(100, 1, 50), 0, 1).expect("appended");
        log.flush().expect("flushed");
        log.advance_log_start(90);
        dir.write_checkpoints().expect("written");
        dir.delete_partitions(std::slice::from_ref(log.topic_partition()), monotonic()).expect("deleted");
        // What another thread could do while the checkpoints are written, if it need not wait for them; then power is lost.
        let left = Arc::new(Mutex::new(None));
        disk.interrupt_nth(n, {
            let (dir, disk, left) = (Arc::clone(&dir), disk.clone(), Arc::clone(&left));
            move || {
                let must_wait = lock(&dir.stale).contains(&TopicPartition::new("a", 0));
                if !must_wait {
                    let log = create(&dir, "a").expect("created");
                    log.append(&batch(100, 1, 50), 0, 1).expect("appended");
                    log.commit_now().expect("flushed");
                }
                *lock(&left) = Some((disk.copy(n), must_wait));
            }
        });
        dir.write_checkpoints().expect("written");
        assert!(lock(&dir.stale).is_empty());
        let Some((disk, must_wait)) = lock(&left).take() else { continue };
        interrupted += 1;
        disk.crash(Crash::LoseAll);
        if !must_wait {
            let offsets = open(&disk).partition(&TopicPartition::new("a", 0)).expect("there").offsets();
            assert_eq!((offsets.log_start(), offsets.log_end()), (0, 100), "call {n}");
        }
    }
    assert!(interrupted > 5, "{interrupted}");
}

#[test]
fn after_a_failed_sync_the_page_cache_is_not_believed() {
    for seed in 0..10 {
        let disk = SimDisk::new(seed);
        let open = || LogDir::open(Arc::new(disk.clone()), Path::new("/data"), &settings(), 0).expect("opened");
        let dir = open();
        let log = create(&dir, "a").expect("created");
        log.append(&batch(10, 1, 50), 0, 1).expect("appended");
        log.flush().expect("flushed");
        log.append(&batch(10, 1, 50_000), 0, 1).expect("appended");
        disk.fail_nth(1, 5);
        log.commit_now().expect_err("the sync fails");
        drop((dir, log));
        disk.crash(Crash::KeepAll);
        let dir = open();
        let shown = dir.partition(&TopicPartition::new("a", 0)).expect("there").high_watermark();
        assert_eq!(shown, 10, "the pages that were not written are still in memory");
        assert!(!disk.exists(&Path::new("/data").join(distrust::FILE_NAME)).expect("looked"));
        drop(dir);
        disk.crash(Crash::LoseAll);
        assert_eq!(open().partition(&TopicPartition::new("a", 0)).expect("there").high_watermark(), shown);
    }
}

#[test]
fn a_log_that_cannot_be_written_does_not_keep_the_others_from_their_checkpoint() {
    let mut unwritten = 0;
    for n in 1..20 {
        let disk = SimDisk::new(1);
        let dir = LogDir::open(Arc::new(disk.clone()), Path::new("/data"), &settings(), 0).expect("opened");
        for topic in ["a", "b"] {
            create(&dir, topic).expect("created").append(&batch(1, 1, 20), 0, 1).expect("appended");
        }
        disk.fail_nth(n, 28);
        let written = dir.checkpoint();
        disk.heal();
        if matches!(written, Err(LogDirError::Flush(FlushError::Write { .. }))) {
            let points = checkpoints::read_offsets(&disk, &Path::new("/data").join(RECOVERY_POINT_FILE));
            let mut points: Vec<_> = points.expect("read").into_values().collect();
            points.sort_unstable();
            assert_eq!(points, [0, 1], "call {n}");
            unwritten += 1;
        }
    }
    assert!(unwritten > 0, "it was never one log alone");
}
