use std::{
    future::{self, Future},
    path::Path,
    pin::pin,
    sync::{LazyLock, mpsc},
    task::Poll,
    thread,
    time::Duration,
};

use tokio::runtime;

use super::*;
use crate::{
    config::{key::Value, sources::CommandLine},
    log::{
        disk::{
            Disk,
            sim::{Crash, SimDisk},
        },
        group_commit::Durability,
        log_dir::LogDirSettings,
        partition_log::{AppendBatch, AppendError, AppendOrigin, test_batches::batch},
    },
    metadata::{
        configs::{Alteration, Change, Edit},
        growth::Growth,
        level::{METADATA_VERSION_FEATURE, MetadataLevel},
        snapshot::feature_record,
        topics::Layout,
    },
    protocol::{
        messages::{ConfigRecord, PartitionRecord},
        records::builder::{BatchBuilder, NewRecord},
    },
};

const ENOSPC: i32 = 28;

static DEFAULTS: LazyLock<BrokerConfig> = LazyLock::new(|| {
    let (config, _) = crate::config::load(&CommandLine::default(), std::iter::empty()).expect("the defaults");
    config
});

fn open_logs(disk: &SimDisk) -> Result<LogDir, LogDirError> {
    open_logs_with(disk, &LogDirSettings::for_tests())
}

fn open_logs_with(disk: &SimDisk, settings: &LogDirSettings) -> Result<LogDir, LogDirError> {
    LogDir::open(Arc::new(disk.clone()), Path::new("/data"), settings, 0)
}

/// A broker with the default settings.
pub(crate) fn open(disk: &SimDisk) -> Result<Arc<Broker>, LoadError> {
    open_with(disk, Durability::Fsync, |_| {})
}

/// A broker with other settings.
pub(crate) fn open_with(
    disk: &SimDisk,
    durability: Durability,
    change: impl FnOnce(&mut BrokerConfig),
) -> Result<Arc<Broker>, LoadError> {
    let logs = open_logs_with(disk, &LogDirSettings { durability, ..LogDirSettings::for_tests() })?;
    let mut config = DEFAULTS.clone();
    config.metadata_log_max_record_bytes_between_snapshots = 1;
    change(&mut config);
    let identity = Identity { cluster_id: "c".to_owned(), directory_id: Uuid::from_u128(9) };
    Broker::load(config, identity, logs).map(Arc::new)
}

fn topic(name: &str, partitions: i32) -> NewTopic {
    NewTopic { name: name.to_owned(), layout: Layout::Count(Some(partitions)), ..NewTopic::default() }
}

fn create(broker: &Broker, topic: &NewTopic) -> Result<CreatedTopic, CreateTopicFailure> {
    broker.create_topics_blocking(std::slice::from_ref(topic))?.remove(0)
}

fn delete(broker: &Broker, id: Uuid) -> Result<(), Box<dyn std::error::Error>> {
    Ok(broker.delete_topics_blocking(&[id])?.remove(0)?)
}

fn partitions(broker: &Broker) -> Vec<String> {
    let mut names: Vec<_> = broker.logs().partitions().iter().map(|log| log.topic_partition().to_string()).collect();
    names.sort();
    names
}

fn append(broker: &Broker, name: &str, count: i64) {
    let topic = broker.topic(name).expect("hosted");
    let (log, epoch) = topic.partition(0).expect("there");
    for n in 0..count {
        log.append(&batch(1, n, 50), epoch, n).expect("appended");
    }
    log.commit_now().expect("flushed");
}

#[test]
fn a_topic_whose_directories_cannot_be_made_is_not_there() {
    let disk = SimDisk::new(1);
    let calls = {
        let broker = open(&disk).expect("opened");
        let before = disk.calls();
        create(&broker, &topic("before", 2)).expect("created");
        disk.calls() - before
    };
    for n in 1..=calls {
        let disk = SimDisk::new(n);
        let broker = open(&disk).expect("opened");
        disk.fail_nth(n, ENOSPC);
        let created = create(&broker, &topic("t", 2));
        disk.heal();
        let offline = broker.logs().group_commit().failure().is_some();
        assert_eq!(broker.topic("t").is_some(), created.is_ok(), "call {n}: {created:?}");
        if !offline {
            assert_eq!(broker.image().topic("t").is_some(), created.is_ok(), "call {n}: {created:?}");
            assert_eq!(partitions(&broker).len(), if created.is_ok() { 3 } else { 1 }, "call {n}: {created:?}");
        }
        drop(broker);
        disk.crash(Crash::LoseAll);
        let broker = open(&disk).expect("what was answered is what is there");
        assert!(created.is_err() || broker.topic("t").is_some(), "call {n}");
        assert_eq!(broker.topic("t").is_some(), broker.image().topic("t").is_some(), "call {n}");
        // A change after one that failed must not contradict it.
        if broker.topic("t").is_none() {
            create(&broker, &topic("t", 1)).expect("created");
        }
        drop(broker);
        open(&disk).expect("replayed");
    }
}

/// What a full disk refuses is producers, for as long as there is room left of what is kept back.
#[test]
fn topics_come_and_go_on_a_full_disk() {
    let disk = SimDisk::new(1);
    disk.set_capacity(1 << 30, 1000);
    let broker = open(&disk).expect("opened");
    create(&broker, &topic("t", 1)).expect("created");
    append(&broker, "t", 3);
    disk.leave(0, 0);
    let id = create(&broker, &topic("u", 1)).expect("created with what was held back").id;
    let (log, epoch) = {
        let topic = broker.topic("t").expect("hosted");
        let (log, epoch) = topic.partition(0).expect("there");
        (Arc::clone(log), epoch)
    };
    assert!(matches!(log.append(&batch(1, 4, 50), epoch, 4), Err(AppendError::BelowReserve)));
    delete(&broker, id).expect("deleted");
    broker.remove_deleted();
    broker.logs().checkpoint().expect("written");
    assert_eq!(log.offsets().high_watermark(), 3);
    broker.close().expect("stopped cleanly");
    drop((log, broker));
    let broker = open(&disk).expect("starts on a disk that is nearly full");
    assert!(broker.logs().was_clean() && broker.topic("t").is_some() && broker.topic("u").is_none());
    disk.leave(1 << 29, 500);
    broker.logs().watch_room();
    append(&broker, "t", 1);
    drop(broker);
    disk.leave(0, 0);
    disk.crash(Crash::KeepAll);
    let broker = open(&disk).expect("starts on a full disk");
    assert_eq!(broker.topic("t").expect("hosted").partition(0).expect("there").0.offsets().high_watermark(), 4);
    broker.close().expect("stopped cleanly");
}

#[test]
fn what_cannot_be_deleted_is_deleted_later() {
    let mut mended = 0;
    for n in 1..=12 {
        let disk = SimDisk::new(1);
        let broker = open(&disk).expect("opened");
        let id = create(&broker, &topic("t", 3)).expect("created").id;
        disk.fail_nth(n, 5);
        let deleted = delete(&broker, id);
        disk.heal();
        if broker.logs().group_commit().failure().is_some() || broker.image().topic("t").is_some() {
            continue;
        }
        assert!(broker.topic("t").is_none(), "it is gone for clients");
        mended += usize::from(deleted.is_err());
        broker.remove_deleted();
        assert_eq!(partitions(&broker), ["__cluster_metadata-0"], "call {n}");
    }
    assert!(mended >= 3, "a rename failed for each partition");
}

#[test]
fn a_topic_that_takes_a_name_is_not_taken_for_its_predecessor() {
    let disk = SimDisk::new(1);
    let broker = open(&disk).expect("opened");
    let id = create(&broker, &topic("t", 1)).expect("created").id;
    append(&broker, "t", 100);
    broker.logs().checkpoint().expect("written");
    delete(&broker, id).expect("deleted");
    create(&broker, &topic("t", 1)).expect("created again");
    append(&broker, "t", 2);
    let log = Arc::clone(broker.topic("t").expect("hosted").partition(0).expect("there").0);
    let path = Path::new("/data/t-0/00000000000000000000.log");
    log.append(&batch(1, 1, 50), 0, 1).expect("appended");
    drop((broker, log));
    disk.crash(Crash::KeepAll);
    // The last batch is torn: it was never acknowledged.
    disk.corrupt(path, 2 * 111 + 80, &[0xff; 8]).expect("corrupted");
    let broker = open(&disk).expect("opened");
    let offsets = broker.topic("t").expect("hosted").partition(0).expect("there").0.offsets();
    assert_eq!((offsets.log_start(), offsets.log_end()), (0, 2), "everything was checked");
}

#[test]
fn partitions_without_metadata_stop_the_start() {
    let disk = SimDisk::new(1);
    let broker = open(&disk).expect("opened");
    create(&broker, &topic("t", 1)).expect("created");
    append(&broker, "t", 1);
    broker.close().expect("closed");
    drop(broker);
    for entry in disk.list_dir(Path::new("/data/__cluster_metadata-0")).expect("listed") {
        disk.remove_file(&Path::new("/data/__cluster_metadata-0").join(entry.name)).expect("removed");
    }
    disk.remove_dir(Path::new("/data/__cluster_metadata-0")).expect("removed");
    let error = open(&disk).err().expect("refused").to_string();
    assert!(error.contains("no __cluster_metadata-0"), "{error}");
    assert!(disk.exists(Path::new("/data/t-0")).expect("looked"), "nothing was put aside");
}

#[test]
fn retention_leaves_the_metadata_alone() {
    let disk = SimDisk::new(1);
    let broker = open(&disk).expect("opened");
    create(&broker, &topic("t", 1)).expect("created");
    append(&broker, "t", 3);
    // Everything is older than anything may be.
    broker.logs().enforce_retention(i64::MAX, monotonic()).expect("enforced");
    let starts = |broker: &Broker| {
        let start = |name: &str| {
            let log = broker.logs().partition(&TopicPartition::new(name, 0)).expect("there");
            log.offsets().log_start()
        };
        (start("t"), start(CLUSTER_METADATA_TOPIC))
    };
    assert_eq!(starts(&broker), (3, 0));
    broker.close().expect("closed");
    drop(broker);
    assert_eq!(starts(&open(&disk).expect("opened")), (3, 0));
}

fn partition(broker: &Broker) -> Partition {
    broker.image().topic("t").expect("is there").partitions[0].clone()
}

#[test]
fn every_start_after_an_unclean_stop_takes_a_new_leader_epoch() {
    let disk = SimDisk::new(1);
    let broker = open(&disk).expect("opened");
    create(&broker, &topic("t", 1)).expect("created");
    append(&broker, "t", 3);
    drop(broker);
    disk.crash(Crash::LoseAll);
    let broker = open(&disk).expect("opened");
    assert_eq!(partition(&broker).leader_epoch, 1);
    let (log, epoch) = {
        let topic = broker.topic("t").expect("hosted");
        let (log, epoch) = topic.partition(0).expect("there");
        (Arc::clone(log), epoch)
    };
    assert_eq!((epoch, log.leader_epoch()), (1, Some(1)), "the log knows it before the first append");
    assert_eq!(
        log.end_offset_for_epoch(0).map(|end| end.end_offset),
        Some(3),
        "a client finds where the old one ended"
    );
    broker.close().expect("closed");
    drop((broker, log));
    let broker = open(&disk).expect("opened");
    assert_eq!(partition(&broker).leader_epoch, 1, "a clean stop takes none");
}

#[test]
fn a_start_registers_and_a_clean_stop_fences() {
    let disk = SimDisk::new(1);
    let mut incarnations = Vec::new();
    for _ in 0..2 {
        let broker = open(&disk).expect("opened");
        let registered = broker.image().brokers()[&1].clone();
        assert!(!registered.fenced);
        assert_eq!(registered.log_dirs, [Uuid::from_u128(9)]);
        assert_eq!((registered.end_points[0].host.as_str(), registered.end_points[0].port), ("127.0.0.1", 9092));
        incarnations.push((registered.incarnation_id, registered.broker_epoch));
        broker.close().expect("closed");
        assert!(broker.image().brokers()[&1].fenced);
        let mark = crate::log::disk::read_file(&disk, Path::new("/data/.kafka_cleanshutdown")).expect("is there");
        let expected = format!(r#"{{"version":0,"brokerEpoch":{}}}"#, registered.broker_epoch);
        assert_eq!(String::from_utf8_lossy(&mark), expected);
    }
    assert_ne!(incarnations[0].0, incarnations[1].0);
    assert!(incarnations[0].1 < incarnations[1].1);
}

#[test]
fn producer_ids_end_with_an_error() {
    let disk = SimDisk::new(1);
    let broker = open(&disk).expect("opened");
    let given = |next_producer_id| {
        let record = ProducerIdsRecord { next_producer_id, ..ProducerIdsRecord::default() };
        let change = |_: &Image| Ok::<_, CommitError>((vec![MetadataRecord::ProducerIds(record)], ()));
        broker.journal.change(0, change).expect("committed");
    };
    given(i64::MAX - 1000);
    assert_eq!(broker.new_producer_id_blocking().expect("the last block"), i64::MAX - 1000);
    for left in 1..1000 {
        assert_eq!(broker.new_producer_id_blocking().expect("of the last block"), i64::MAX - 1000 + left);
    }
    assert!(matches!(broker.new_producer_id_blocking(), Err(ProducerIdError::Exhausted)));
}

#[test]
fn who_asks_for_a_producer_id_while_a_block_is_fetched_does_not_hold_up_a_thread_of_sockets() {
    let broker = open(&SimDisk::new(1)).expect("opened");
    let fetching = broker.producer_ids.lock().expect("nobody panics");
    let (polled, has_polled) = mpsc::channel();
    let asking = Arc::clone(&broker);
    let asker = thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().build().expect("built");
        runtime.block_on(async {
            let mut id = pin!(asking.new_producer_id());
            let is_pending = future::poll_fn(|cx| Poll::Ready(id.as_mut().poll(cx).is_pending())).await;
            polled.send(is_pending).expect("the test waits");
            id.await
        })
    });
    assert!(has_polled.recv_timeout(Duration::from_secs(10)).expect("the thread is not held up"));
    drop(fetching);
    asker.join().expect("no panic").expect("an id");
}

/// The names in the data directory that end with `suffix`.
fn names(disk: &SimDisk, suffix: &str) -> Vec<String> {
    let entries = disk.list_dir(Path::new("/data")).expect("listed");
    entries.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(suffix)).collect()
}

#[test]
fn a_deletion_that_a_crash_interrupts_is_finished() {
    let mut finished = 0;
    for n in 1..=20 {
        for crash in [Crash::KeepAll, Crash::LoseAll, Crash::Tear] {
            let disk = SimDisk::new(n);
            let broker = open(&disk).expect("opened");
            let id = create(&broker, &topic("t", 3)).expect("created").id;
            append(&broker, "t", 3);
            disk.fail_from(n, 5);
            drop(delete(&broker, id));
            drop(broker);
            disk.heal();
            disk.crash(crash);
            let broker = open(&disk).expect("opened");
            if broker.topic("t").is_some() {
                continue;
            }
            finished += usize::from(!names(&disk, "-delete").is_empty());
            assert_eq!(names(&disk, "-stray"), <[&str; 0]>::default(), "call {n}, {crash:?}");
            broker.remove_deleted();
            assert_eq!(partitions(&broker), ["__cluster_metadata-0"], "call {n}, {crash:?}");
        }
    }
    assert!(finished >= 3, "there was something to be finished");
}

#[test]
fn a_snapshot_waits_for_the_deletions_before_it() {
    for n in 1..=12 {
        let disk = SimDisk::new(1);
        let broker = open(&disk).expect("opened");
        let id = create(&broker, &topic("t", 3)).expect("created").id;
        append(&broker, "t", 3);
        disk.fail_nth(n, 5);
        drop(delete(&broker, id));
        disk.heal();
        if broker.logs().group_commit().failure().is_some() {
            continue;
        }
        broker.snapshot_if_due().expect("written");
        drop(broker);
        disk.crash(Crash::LoseAll);
        let broker = open(&disk).expect("opened");
        assert_eq!(names(&disk, "-stray"), <[&str; 0]>::default(), "call {n}");
        assert_eq!(broker.topic("t").is_some(), partitions(&broker).len() == 4, "call {n}");
    }
}

fn growth(topic: &str, count: i32) -> Growth {
    Growth { topic: topic.to_owned(), count, assignment: None }
}

/// Whatever fails, and wherever a crash comes: a topic has the partitions that the metadata says, before and after it.
#[test]
fn partitions_that_cannot_be_added_are_not_there() {
    let (mut refused, mut unborn) = (0, 0);
    for crash in [Crash::LoseAll, Crash::KeepAll] {
        for n in 1..=30 {
            let disk = SimDisk::new(n);
            let broker = open(&disk).expect("opened");
            for name in ["t", "u"] {
                create(&broker, &topic(name, 2)).expect("created");
                append(&broker, name, 3);
            }
            disk.fail_nth(n, ENOSPC);
            let grown = broker.add_partitions_blocking(&[growth("t", 4), growth("u", 3), growth("t", 2)]);
            disk.heal();
            let offline = broker.logs().group_commit().failure().is_some();
            let counts =
                |broker: &Broker| ["t", "u"].map(|name| broker.image().topic(name).map(|t| t.partitions.len()));
            let known = counts(&broker);
            match grown.as_deref() {
                Ok([t, u, same]) => {
                    assert_eq!(known, [Some(2 + 2 * usize::from(t.is_ok())), Some(2 + usize::from(u.is_ok()))]);
                    assert!(matches!(same, Err(GrowthFailure::Refused(_))));
                    refused += usize::from(t.is_err() || u.is_err());
                }
                Ok(others) => panic!("{} outcomes of three", others.len()),
                Err(_) => refused += 1,
            }
            if !offline {
                let hosted: usize = known.iter().flatten().sum();
                assert_eq!(partitions(&broker).len(), 1 + hosted, "call {n}: {grown:?}");
                assert_eq!(broker.topic("t").expect("hosted").logs().count(), known[0].expect("there"));
            }
            let before = names(&disk, "-stray").len();
            drop(broker);
            disk.crash(crash);
            let broker = open(&disk).expect("opened");
            assert!(grown.is_err() || counts(&broker) == known, "call {n}: {grown:?}");
            for name in ["t", "u"] {
                let count = broker.image().topic(name).expect("there").partitions.len();
                assert_eq!(broker.topic(name).expect("hosted").logs().count(), count);
            }
            assert_eq!(names(&disk, "-stray").len(), before, "an empty partition is nobody's loss");
            unborn += usize::from(!names(&disk, "-delete").is_empty());
            append(&broker, "t", 1);
        }
    }
    assert!(refused >= 4 && unborn >= 1, "{refused}, {unborn}");
}

/// What a topic costs does not depend on how many there are.
#[test]
fn topics_come_and_go_at_the_same_price() {
    let disk = SimDisk::new(1);
    let broker = open(&disk).expect("opened");
    let price = |work: &dyn Fn()| {
        let before = disk.calls();
        work();
        disk.calls() - before
    };
    let life = || {
        let id = create(&broker, &topic("t", 1)).expect("created").id;
        broker.add_partitions_blocking(&[growth("t", 2)]).expect("committed").remove(0).expect("added");
        delete(&broker, id).expect("deleted");
        broker.logs().checkpoint().expect("written");
    };
    life();
    let alone = price(&life);
    // Few enough for their files to stay open.
    let many: Vec<_> = (0..20).map(|n| topic(&format!("t{n}"), 1)).collect();
    let created = broker.create_topics_blocking(&many).expect("committed");
    broker.logs().checkpoint().expect("written");
    assert_eq!(price(&life), alone);
    let ids: Vec<_> = created.into_iter().map(|topic| topic.expect("created").id).collect();
    let all = price(&|| drop(broker.delete_topics_blocking(&ids).expect("committed")));
    assert!(all < 20 + 10, "{all}: a rename for each partition, and one commit");
    assert_eq!(partitions(&broker), ["__cluster_metadata-0"]);
}

#[test]
fn a_crash_before_the_record_leaves_no_partition() {
    let disk = SimDisk::new(1);
    let id = {
        let broker = open(&disk).expect("opened");
        create(&broker, &topic("t", 1)).expect("created").id
    };
    let logs = open_logs(&disk).expect("opened");
    let name = TopicPartition::new("t", 1);
    drop(logs.create_partition(&name, id, LogConfig::default(), 0, 0).expect("created"));
    drop(logs);
    let broker = open(&disk).expect("opened");
    assert_eq!(partitions(&broker), ["__cluster_metadata-0", "t-0"]);
    assert_eq!((names(&disk, "-stray").len(), names(&disk, "-delete").len()), (0, 1));
    let grown = broker.add_partitions_blocking(&[growth("t", 2)]).expect("committed").remove(0);
    grown.expect("added");
    assert_eq!(partitions(&broker), ["__cluster_metadata-0", "t-0", "t-1"]);
}

#[test]
fn a_partition_that_nobody_knows_is_put_aside_and_stays() {
    let disk = SimDisk::new(1);
    let id = {
        let broker = open(&disk).expect("opened");
        create(&broker, &topic("t", 1)).expect("created").id
    };
    let logs = open_logs(&disk).expect("opened");
    let foreign = [("t", 1, id), ("foreign", 0, Uuid::from_u128(77))];
    for (topic, index, id) in foreign {
        let name = TopicPartition::new(topic, index);
        let log = logs.create_partition(&name, id, LogConfig::default(), 0, 0).expect("created");
        log.append(&batch(1, 1, 50), 0, 1).expect("appended");
        log.commit_now().expect("flushed");
    }
    drop(logs);
    for _ in 0..2 {
        let broker = open(&disk).expect("opened");
        assert_eq!(partitions(&broker), ["__cluster_metadata-0", "t-0"]);
        broker.remove_deleted();
        assert_eq!(names(&disk, "-stray").len(), 2);
    }
}

#[test]
fn the_epochs_of_a_start_are_on_disk_before_the_first_append() {
    let disk = SimDisk::new(1);
    let broker = open(&disk).expect("opened");
    create(&broker, &topic("t", 3)).expect("created");
    append(&broker, "t", 3);
    drop(broker);
    disk.crash(Crash::LoseAll);
    let epochs = |broker: &Broker| -> Vec<_> {
        let topic = broker.topic("t").expect("hosted");
        let epoch = |log: &Arc<PartitionLog>| log.leader_epoch().expect("begun");
        topic.logs().map(epoch).collect()
    };
    let written = |disk: &SimDisk, index: i32| {
        let path = format!("/data/t-{index}/leader-epoch-checkpoint");
        String::from_utf8(crate::log::disk::read_file(disk, Path::new(&path)).expect("there")).expect("text")
    };
    let broker = open(&disk).expect("opened");
    assert_eq!(epochs(&broker), [1, 1, 1]);
    drop(broker);
    disk.crash(Crash::LoseAll);
    assert_eq!(
        (0..3).map(|index| written(&disk, index)).collect::<Vec<_>>(),
        ["0\n2\n0 0\n1 3\n", "0\n1\n1 0\n", "0\n1\n1 0\n"]
    );

    let broker = open(&disk).expect("opened");
    broker.close().expect("closed");
    drop(broker);
    let broker = open(&disk).expect("opened");
    let rounds =
        |broker: &Broker| broker.logs().group_commit().counters().logs.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(epochs(&broker), [2, 2, 2], "a clean stop begins none");
    let before = rounds(&broker);
    broker.logs().flush_epochs().expect("nothing to do");
    assert_eq!(rounds(&broker), before);
}

/// Has the metadata log end with a record that is not for this broker.
fn append_to_metadata(disk: &SimDisk, record: &MetadataRecord) {
    let logs = open_logs(disk).expect("opened");
    let log = logs.partition(&TopicPartition::new(CLUSTER_METADATA_TOPIC, 0)).expect("there");
    let value = record.encode(MetadataLevel::LATEST).expect("fits");
    let mut builder = BatchBuilder::new(0);
    builder.append(&NewRecord { value: Some(&value), ..NewRecord::default() }).expect("fits");
    let batch = builder.build().expect("built");
    log.append(
        &AppendBatch { header: *batch.header(), payload: batch.payload(), origin: AppendOrigin::RaftLeader },
        9,
        0,
    )
    .expect("appended");
    logs.close(3).expect("closed");
}

#[test]
fn a_start_that_is_refused_leaves_the_directory_as_it_was_found() {
    let of_a_topic = |disk: &SimDisk| {
        let id = open(disk).expect("opened").image().topic("t").expect("there").id;
        MetadataRecord::Partition(PartitionRecord {
            topic_id: id,
            partition_id: 1,
            replicas: vec![7],
            ..PartitionRecord::default()
        })
    };
    let config = |_: &SimDisk| {
        MetadataRecord::Config(ConfigRecord {
            resource_type: 2,
            resource_name: "t".into(),
            name: "retention.ms".into(),
            value: Some("never".into()),
            ..ConfigRecord::default()
        })
    };
    let level = |_: &SimDisk| feature_record(METADATA_VERSION_FEATURE, MetadataLevel::LATEST.number() + 1);
    let records: [&dyn Fn(&SimDisk) -> MetadataRecord; 3] = [&of_a_topic, &config, &level];
    for record in records {
        let disk = SimDisk::new(1);
        {
            let broker = open(&disk).expect("opened");
            create(&broker, &topic("t", 1)).expect("created");
        }
        let record = record(&disk);
        append_to_metadata(&disk, &record);
        let mark = Path::new("/data/.kafka_cleanshutdown");
        let state = Path::new("/data/__cluster_metadata-0/quorum-state");
        let content = |path| crate::log::disk::read_file(&disk, path).expect("there");
        let (found, epoch) = (content(mark), content(state));
        for _ in 0..2 {
            open(&disk).err().expect("refused");
            disk.crash(Crash::LoseAll);
            assert_eq!((content(mark), content(state)), (found.clone(), epoch.clone()), "{record:?}");
        }
        assert_eq!(found, br#"{"version":0,"brokerEpoch":3}"#);
    }
}

#[test]
fn a_misread_topic_id_sets_no_partition_aside_and_deletes_none() {
    let disk = SimDisk::new(1);
    let broker = open(&disk).expect("opened");
    create(&broker, &topic("t", 1)).expect("created");
    append(&broker, "t", 3);
    drop(broker);
    disk.crash(Crash::KeepAll);
    for dir in ["t-0", "__cluster_metadata-0"] {
        let path = Path::new("/data").join(dir).join("partition.metadata");
        let at = crate::log::disk::read_file(&disk, &path).expect("read").len() - 4;
        disk.corrupt(&path, at, b"B").expect("corrupted");
    }
    let broker = open(&disk).expect("opened");
    broker.remove_deleted();
    assert_eq!(partitions(&broker), ["__cluster_metadata-0", "t-0"]);
    let end = broker.topic("t").expect("hosted").partition(0).expect("there").0.offsets().log_end();
    assert_eq!(end, 3);
}

#[test]
fn a_damaged_quorum_state_is_written_anew() {
    let disk = SimDisk::new(1);
    create(&open(&disk).expect("opened"), &topic("t", 1)).expect("created");
    disk.crash(Crash::KeepAll);
    disk.corrupt(Path::new("/data/__cluster_metadata-0/quorum-state"), 3, b"\xff").expect("corrupted");
    let broker = open(&disk).expect("opened");
    assert!(broker.topic("t").is_some());
    drop(broker);
    disk.crash(Crash::KeepAll);
    open(&disk).expect("it is whole again");
}

#[test]
fn what_is_altered_in_two_scopes_at_once_holds_or_is_refused() {
    let disk = SimDisk::new(1);
    let broker = open(&disk).expect("opened");
    let edit = |resource, key: &str, text: &str| Alteration {
        resource,
        change: Change::Edit(BTreeMap::from([(key.to_owned(), Edit::Set(text.to_owned()))])),
    };
    let both = vec![
        edit(ConfigResource::brokers(), "log.cleaner.min.compaction.lag.ms", "100"),
        edit(ConfigResource::broker(1), "log.cleaner.max.compaction.lag.ms", "50"),
    ];
    let runtime = runtime::Builder::new_current_thread().build().expect("built");
    let altered = runtime.block_on(broker.alter_configs(both)).expect("committed");
    assert_eq!(altered.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false], "{altered:?}");
    let config = broker.config();
    assert_eq!(config.values.get("log.cleaner.min.compaction.lag.ms"), Some(Value::Long(100)));
    assert_eq!(config.values.get("log.cleaner.max.compaction.lag.ms"), Some(Value::Long(i64::MAX)));
}

#[test]
fn a_topics_setting_that_nobody_knows_does_not_stop_a_start() {
    let disk = SimDisk::new(1);
    let broker = open(&disk).expect("opened");
    let topic = NewTopic { name: "t".to_owned(), ..NewTopic::default() };
    broker.create_topics_blocking(&[topic]).expect("committed").remove(0).expect("created");
    let resource = ConfigResource::topic("t");
    let records = [("message.format.version", "2.8"), ("flush.ms", "7")];
    let records = records.map(|(key, text)| crate::metadata::configs::record(&resource, key, Some(text)));
    let changed = broker.journal.change(0, |_| Ok::<_, CommitError>((records.into(), ())));
    changed.expect("as an earlier Kafka wrote them");
    drop(broker);
    let broker = open(&disk).expect("opened");
    assert_eq!(broker.topic("t").expect("hosted").config().flush_ms, 7);
}
