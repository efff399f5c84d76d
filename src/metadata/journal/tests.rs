use std::path::Path;

use super::*;
use crate::{
    clock,
    log::{
        disk::{
            OpenMode, read_file,
            sim::{Crash, SimDisk},
        },
        log_config::LogConfig,
        log_dir::{LogDir, LogDirSettings},
    },
    protocol::{
        ids::TopicPartition,
        messages::{PartitionRecord, ProducerIdsRecord, RemoveTopicRecord, TopicRecord},
    },
};

const DIR: &str = "/data/__cluster_metadata-0";
const TOPIC: Uuid = Uuid::from_u128(7);

fn settings() -> JournalSettings {
    let controller =
        Endpoint { name: "CONTROLLER".into(), host: "localhost".into(), port: 9093, ..Endpoint::default() };
    JournalSettings {
        node_id: 1,
        directory_id: Uuid::from_u128(9),
        controller,
        bytes_between_snapshots: 1 << 20,
        snapshot_interval_ms: None,
        retention: Retention { bytes: None, ms: None },
    }
}

fn log(disk: &SimDisk) -> (LogDir, Arc<PartitionLog>) {
    let dir_settings = LogDirSettings::for_tests();
    let logs = LogDir::open(Arc::new(disk.clone()), Path::new("/data"), &dir_settings, 0).expect("opened");
    let name = TopicPartition::new("__cluster_metadata", 0);
    let log = logs.partition(&name);
    let log = log.unwrap_or_else(|| {
        logs.create_partition(&name, Uuid::from_u128(1), LogConfig::default(), 0, 0).expect("created")
    });
    (logs, log)
}

fn open_with(disk: &SimDisk, settings: JournalSettings) -> Result<Journal, OpenError> {
    let (_logs, log) = log(disk);
    open_log(disk, log, settings)
}

fn open_log(disk: &SimDisk, log: Arc<PartitionLog>, settings: JournalSettings) -> Result<Journal, OpenError> {
    let found = Found::read(log, Arc::new(disk.clone()), PathBuf::from(DIR), settings)?;
    Journal::open(found, 5).map(|(journal, _)| journal)
}

fn snapshot_if_due(journal: &Journal, now: TimestampMs) -> bool {
    let begun = journal.begin_snapshot(now);
    begun.is_some_and(|begun| journal.write_snapshot(&begun, now).map(|()| true).expect("written"))
}

fn open(disk: &SimDisk) -> Journal {
    open_with(disk, settings()).expect("opened")
}

fn commit(journal: &Journal, records: Vec<MetadataRecord>) {
    journal.change(6, |_| Ok::<_, CommitError>((records, ()))).expect("committed");
}

fn topic() -> MetadataRecord {
    MetadataRecord::Topic(TopicRecord { name: "t".into(), topic_id: TOPIC, ..TopicRecord::default() })
}

fn partition(partition_id: i32, replicas: &[i32]) -> MetadataRecord {
    MetadataRecord::Partition(PartitionRecord {
        partition_id,
        topic_id: TOPIC,
        replicas: replicas.to_vec(),
        isr: replicas.to_vec(),
        leader: replicas[0],
        leader_epoch: 3,
        partition_epoch: 4,
        directories: vec![Uuid::from_u128(9); replicas.len()],
        ..PartitionRecord::default()
    })
}

/// Appends records past the journal.
fn append_raw(disk: &SimDisk, values: &[Bytes]) {
    let (_logs, log) = log(disk);
    for batch in batches::batches(0, 1, 4, values).expect("fits") {
        let batch = AppendBatch { header: *batch.header(), payload: batch.payload(), origin: AppendOrigin::RaftLeader };
        log.append(&batch, 1, 4).expect("appended");
    }
    log.commit_now().expect("flushed");
}

fn values(records: &[MetadataRecord]) -> Vec<Bytes> {
    records.iter().map(|record| record.encode(MetadataLevel::LATEST).expect("fits")).collect()
}

#[test]
fn an_empty_directory_is_formatted() {
    let disk = SimDisk::new(1);
    let journal = open(&disk);
    assert_eq!(journal.image().metadata_level(), Some(MetadataLevel::LATEST));
    let snapshot = snapshot::read(&disk, Path::new(DIR), SnapshotId::BOOTSTRAP).expect("is there");
    let quorum = Quorum::alone(1, Uuid::from_u128(9), settings().controller);
    assert_eq!(snapshot.quorum, quorum);
    let levels = [feature_record(METADATA_VERSION_FEATURE, 33), feature_record(TRANSACTION_VERSION_FEATURE, 2)];
    assert_eq!(snapshot.records, levels);
    let state = read_file(&disk, &Path::new(DIR).join("quorum-state")).expect("read");
    assert!(String::from_utf8_lossy(&state).contains(r#""leaderEpoch":1,"#), "{state:?}");
    // Leader change, version, voters, levels.
    assert_eq!(journal.image().offset(), 5);
}

#[test]
fn each_start_begins_an_epoch_and_keeps_what_was_there() {
    let disk = SimDisk::new(1);
    commit(&open(&disk), vec![topic(), partition(0, &[1])]);
    disk.crash(Crash::LoseAll);
    let journal = open(&disk);
    assert_eq!((journal.epoch, journal.log().leader_epoch()), (2, Some(2)));
    assert_eq!(journal.image().offset(), 8, "one more leader change, and no second set of voters");
    assert_eq!(journal.image().topic("t").expect("is there").partitions[0].leader_epoch, 3);
}

#[test]
fn a_directory_of_before_formatting_gets_what_is_missing() {
    let disk = SimDisk::new(1);
    append_raw(&disk, &values(&[feature_record(METADATA_VERSION_FEATURE, 20), topic(), partition(0, &[1])]));
    let journal = open(&disk);
    assert_eq!(journal.image().metadata_level(), Some(MetadataLevel::LATEST));
    assert_eq!(journal.epoch, 2);
    assert_eq!(journal.image().topic("t").map(|topic| topic.id), Some(TOPIC));
    assert!(snapshot::read(&disk, Path::new(DIR), SnapshotId::BOOTSTRAP).is_ok());
}

#[test]
fn a_transaction_counts_from_its_end_on() {
    let disk = SimDisk::new(1);
    drop(open(&disk));
    let begin = MetadataRecord::BeginTransaction(BeginTransactionRecord::default());
    let end = MetadataRecord::EndTransaction(EndTransactionRecord::default());
    let abort = MetadataRecord::AbortTransaction(AbortTransactionRecord::default());
    append_raw(&disk, &values(&[begin.clone(), topic(), abort, begin.clone(), topic(), partition(0, &[1]), end]));
    append_raw(&disk, &values(&[begin, partition(1, &[1])]));
    for _ in 0..2 {
        let journal = open(&disk);
        let count = journal.image().topic("t").expect("is there").partitions.len();
        assert_eq!(count, 1, "the one that did not end is aborted, also for the next start");
        assert!(!journal.lock().open_transaction);
    }
}

#[test]
fn a_change_beyond_one_batch_is_a_transaction() {
    let disk = SimDisk::new(1);
    let journal = open(&disk);
    let first = journal.image().offset();
    let mut records = vec![topic()];
    records.extend((0..20_000).map(|index| partition(index, &[1])));
    commit(&journal, records);
    assert_eq!(journal.image().offset(), first + 20_003, "with its begin and its end");
    drop(journal);
    assert_eq!(open(&disk).image().topic("t").expect("is there").partitions.len(), 20_000);
}

#[test]
fn what_a_failed_transaction_left_never_was() {
    let mut aborted = 0;
    for n in 1..=8 {
        let disk = SimDisk::new(1);
        let journal = open(&disk);
        let mut records = vec![topic()];
        records.extend((0..20_000).map(|index| partition(index, &[1])));
        disk.fail_nth(n, 28);
        let changed = journal.change(6, |_| Ok::<_, CommitError>((records, ())));
        disk.heal();
        if changed.is_ok() || matches!(changed, Err(CommitError::Flush(_))) {
            continue;
        }
        aborted += usize::from(journal.lock().open_transaction);
        commit(&journal, vec![topic(), partition(0, &[1])]);
        drop(journal);
        assert_eq!(open(&disk).image().topic("t").expect("is there").partitions.len(), 1, "call {n}");
    }
    assert!(aborted > 0, "an append failed in the middle");
}

#[test]
fn a_snapshot_stands_for_the_log_below_it() {
    let disk = SimDisk::new(1);
    let small = JournalSettings { bytes_between_snapshots: 300, ..settings() };
    let journal = open_with(&disk, small).expect("opened");
    let ids = ProducerIdsRecord { broker_id: 1, next_producer_id: 1000, ..ProducerIdsRecord::default() };
    commit(&journal, vec![topic(), partition(0, &[1]), partition(1, &[1]), MetadataRecord::ProducerIds(ids)]);
    assert!(snapshot_if_due(&journal, 7));
    assert!(!snapshot_if_due(&journal, 8));
    let image = journal.image();
    drop(journal);
    let newest = *snapshot::list(&disk, Path::new(DIR)).expect("listed").last().expect("is there");
    assert_eq!(newest.id, SnapshotId { end_offset: image.offset(), epoch: 1 });
    let (_logs, log) = log(&disk);
    let replayed = replay::replay(&disk, Path::new(DIR), &log).expect("replayed");
    assert_eq!(replayed.bytes_since_snapshot, 0, "the log below the snapshot is not read");
    assert_eq!(snapshot::records_of(&replayed.image), snapshot::records_of(&image));
    assert_eq!(replayed.image.topic("t"), image.topic("t"));
    assert_eq!(replayed.image.next_producer_id(), 1000);
}

#[test]
fn a_snapshot_that_is_not_whole_is_passed_over() {
    let disk = SimDisk::new(1);
    let small = JournalSettings { bytes_between_snapshots: 1, ..settings() };
    let journal = open_with(&disk, small).expect("opened");
    commit(&journal, vec![topic(), partition(0, &[1])]);
    assert!(snapshot_if_due(&journal, 7));
    let end = journal.image().offset();
    drop(journal);
    let path = Path::new(DIR).join(format!("{end:020}-0000000001.checkpoint"));
    let file = disk.open(&path, OpenMode::Existing).expect("is there");
    let len = file.len().expect("known");
    file.set_len(len - 1).expect("cut");
    drop(file);
    assert!(open(&disk).image().topic("t").is_some());
}

#[test]
fn what_is_not_for_this_node_alone_is_refused() {
    let disk = SimDisk::new(1);
    append_raw(&disk, &values(&[topic(), partition(0, &[1]), partition(1, &[2, 3])]));
    let error = open_with(&disk, settings()).err().expect("refused").to_string();
    assert_eq!(error, "partition t-1 is on brokers [2, 3], and not on this node, 1");
    assert!(!disk.exists(&Path::new(DIR).join("quorum-state")).expect("looked"), "nothing was written");

    let disk = SimDisk::new(1);
    drop(open(&disk));
    let error = open_with(&disk, JournalSettings { node_id: 2, ..settings() }).err().expect("refused").to_string();
    assert_eq!(error, "the metadata quorum has the voters [1], this node is 2 and can only be the single one");
}

#[test]
fn a_type_that_kafka_does_not_know_is_named_with_its_offset() {
    let disk = SimDisk::new(1);
    append_raw(&disk, &[values(&[topic()]), vec![Bytes::from_static(b"\x01\x63\x00\x00")]].concat());
    let error = open_with(&disk, settings()).err().expect("refused").to_string();
    assert_eq!(error, "metadata record at offset 1: unknown record type 99");
}

#[test]
fn a_log_that_lost_what_its_snapshot_sums_up_is_refused() {
    let disk = SimDisk::new(1);
    let journal = open_with(&disk, JournalSettings { bytes_between_snapshots: 1, ..settings() }).expect("opened");
    commit(&journal, vec![topic(), partition(0, &[1])]);
    assert!(snapshot_if_due(&journal, 7));
    drop(journal);
    let log = disk.open(&Path::new(DIR).join("00000000000000000000.log"), OpenMode::Existing).expect("there");
    log.set_len(70).expect("cut");
    let error = open_with(&disk, settings()).err().expect("refused").to_string();
    assert_eq!(error, "the metadata log ends at offset 0, and its snapshot at offset 7");
}

const KEEP_ONE: Retention = Retention { bytes: Some(0), ms: None };

fn ids(disk: &SimDisk) -> Vec<SnapshotId> {
    snapshot::list(disk, Path::new(DIR)).expect("listed").iter().map(|listed| listed.id).collect()
}

/// A journal with a snapshot for each of `changes`, beside the one that it was formatted with; its log has small
/// segments.
fn with_snapshots(disk: &SimDisk, retention: Retention, changes: i32) -> (LogDir, Journal) {
    let (logs, log) = log(disk);
    log.set_config(LogConfig { segment_bytes: 400, ..LogConfig::default() });
    let settings = JournalSettings { bytes_between_snapshots: 1, retention, ..settings() };
    let journal = open_log(disk, log, settings).expect("opened");
    commit(&journal, vec![topic()]);
    for index in 0..changes {
        commit(&journal, vec![partition(index, &[1])]);
        assert!(snapshot_if_due(&journal, 7));
    }
    (logs, journal)
}

fn partitions(journal: &Journal) -> usize {
    journal.image().topic("t").expect("is there").partitions.len()
}

#[test]
fn old_snapshots_go_with_the_log_below_the_oldest_that_stays() {
    let disk = SimDisk::new(1);
    let (logs, journal) = with_snapshots(&disk, KEEP_ONE, 9);
    let newest = *ids(&disk).last().expect("is there");
    let deleted = journal.clean(8).expect("cleaned");
    assert_eq!(deleted.len(), 9);
    assert!(deleted[0].ends_with("00000000000000000000-0000000000.checkpoint.deleted"), "{deleted:?}");
    assert_eq!(ids(&disk), [newest]);
    assert_eq!(journal.log().offsets().log_start(), newest.end_offset);
    assert_eq!(journal.clean(9).expect("cleaned"), <[PathBuf; 0]>::default(), "there is nothing left to do");
    logs.enforce_retention(9, clock::monotonic()).expect("enforced");
    let first = journal.log().first_segment_offset();
    assert!((1..=newest.end_offset).contains(&first), "{first}");
    drop((logs, journal));
    disk.crash(Crash::LoseAll);
    assert_eq!(partitions(&open(&disk)), 9);
    assert!(deleted.iter().all(|path| !disk.exists(path).expect("answered")), "the start has removed them");
}

#[test]
fn what_is_below_the_log_start_is_removed_by_a_start() {
    let disk = SimDisk::new(1);
    let (logs, journal) = with_snapshots(&disk, KEEP_ONE, 3);
    let all = ids(&disk);
    journal.log().advance_log_start(all[2].end_offset);
    logs.checkpoint().expect("written");
    drop((logs, journal));
    assert_eq!(partitions(&open(&disk)), 3);
    assert_eq!(ids(&disk), all[2..]);
}

#[test]
fn a_crash_between_the_steps_of_cleaning_loses_nothing() {
    for (retention, calls) in [(KEEP_ONE, 1..20), (Retention { bytes: None, ms: Some(0) }, 1..30)] {
        let mut failed = 0;
        for n in calls {
            let disk = SimDisk::new(n);
            let (logs, journal) = with_snapshots(&disk, retention, 4);
            disk.fail_from(n, 5);
            let cleaned = journal.clean(8);
            drop(logs.checkpoint());
            drop(logs.enforce_retention(8, clock::monotonic()));
            failed += usize::from(cleaned.is_err());
            drop((logs, journal));
            disk.heal();
            disk.crash(Crash::Tear);
            assert_eq!(partitions(&open(&disk)), 4, "call {n}");
        }
        assert!(failed > 0, "it failed in the middle");
    }
}

#[test]
fn nothing_goes_for_a_snapshot_that_cannot_be_read() {
    let disk = SimDisk::new(1);
    let (_logs, journal) = with_snapshots(&disk, KEEP_ONE, 3);
    let all = ids(&disk);
    let newest = all[all.len() - 1];
    let path = Path::new(DIR).join(format!("{:020}-0000000001.checkpoint", newest.end_offset));
    disk.corrupt(&path, 70, &[0xff; 8]).expect("corrupted");
    journal.clean(8).expect_err("refused");
    assert_eq!((ids(&disk), journal.log().offsets().log_start()), (all, 0));
}

#[test]
fn a_log_whose_beginning_is_gone_needs_a_snapshot() {
    let disk = SimDisk::new(1);
    let (logs, journal) = with_snapshots(&disk, KEEP_ONE, 3);
    journal.clean(8).expect("cleaned");
    logs.checkpoint().expect("written");
    drop((logs, journal));
    let end = ids(&disk)[0].end_offset;
    let path = Path::new(DIR).join(format!("{end:020}-0000000001.checkpoint"));
    disk.corrupt(&path, 70, &[0xff; 8]).expect("corrupted");
    let error = open_with(&disk, settings()).err().expect("refused").to_string();
    assert!(error.starts_with(&path.display().to_string()), "{error}");
    disk.remove_file(&path).expect("removed");
    let error = open_with(&disk, settings()).err().expect("refused").to_string();
    let expected = format!("the metadata log starts at offset {end}, and no snapshot that can be read goes that far");
    assert_eq!(error, expected);
}

#[test]
fn time_alone_makes_a_snapshot_due_unless_the_interval_is_0() {
    for (interval, is_due) in [(Some(10), true), (None, false)] {
        let disk = SimDisk::new(1);
        let journal = open_with(&disk, JournalSettings { snapshot_interval_ms: interval, ..settings() });
        let journal = journal.expect("opened");
        commit(&journal, vec![topic()]);
        assert!(!snapshot_if_due(&journal, 14));
        assert_eq!(snapshot_if_due(&journal, 15), is_due);
    }
}

#[test]
fn a_start_is_told_which_topics_were_removed_since_the_snapshot() {
    let disk = SimDisk::new(1);
    let journal = open_with(&disk, JournalSettings { bytes_between_snapshots: 1, ..settings() }).expect("opened");
    let create = |id, name: &str| {
        let topic = TopicRecord { name: name.into(), topic_id: Uuid::from_u128(id), ..TopicRecord::default() };
        let partition =
            PartitionRecord { topic_id: Uuid::from_u128(id), partition_id: 0, ..PartitionRecord::default() };
        vec![MetadataRecord::Topic(topic), MetadataRecord::Partition(partition)]
    };
    let remove = |id| {
        vec![MetadataRecord::RemoveTopic(RemoveTopicRecord {
            topic_id: Uuid::from_u128(id),
            ..RemoveTopicRecord::default()
        })]
    };
    commit(&journal, [create(1, "early"), create(2, "late"), create(3, "there"), remove(1)].concat());
    assert!(snapshot_if_due(&journal, 7));
    commit(&journal, remove(2));
    drop(journal);
    let (_logs, log) = log(&disk);
    let removed = replay::replay(&disk, Path::new(DIR), &log).expect("replayed").removed;
    let includes =
        |name, index, id: Option<u128>| removed.include(&TopicPartition::new(name, index), id.map(Uuid::from_u128));
    assert!(includes("late", 0, Some(2)) && includes("late", 0, None) && includes("another", 7, Some(2)));
    assert!(!includes("late", 1, None), "it had one partition");
    assert!(!includes("late", 0, Some(4)), "nobody knows this one");
    assert!(!includes("early", 0, Some(1)) && !includes("early", 0, None) && !includes("there", 0, Some(3)));
}

#[test]
fn what_may_be_lost_is_not_summed_up() {
    let disk = SimDisk::new(1);
    let journal = open_with(&disk, JournalSettings { bytes_between_snapshots: 1, ..settings() }).expect("opened");
    commit(&journal, vec![topic()]);
    disk.fail_from(2, 5);
    journal.change(6, |_| Ok::<_, CommitError>((vec![partition(0, &[1])], ()))).expect_err("the sync fails");
    disk.heal();
    assert!(journal.log().flushed() < journal.image().offset());
    assert!(!snapshot_if_due(&journal, 7));
}

#[test]
fn rot_is_passed_over_where_a_snapshot_has_it_and_refused_where_none_has() {
    let log = Path::new(DIR).join("00000000000000000000.log");
    for bytes_between_snapshots in [1, 1 << 20] {
        let disk = SimDisk::new(1);
        let settings = JournalSettings { bytes_between_snapshots, ..settings() };
        let journal = open_with(&disk, settings.clone()).expect("opened");
        commit(&journal, vec![topic(), partition(0, &[1])]);
        let is_summed_up = snapshot_if_due(&journal, 7);
        commit(&journal, vec![partition(1, &[1])]);
        drop(journal);
        disk.corrupt(&log, 70, &[0xff; 8]).expect("corrupted");
        match open_with(&disk, settings) {
            Ok(journal) => assert!(is_summed_up && journal.image().topics().count() == 1),
            Err(error) => assert!(!is_summed_up && error.to_string().contains("CRC"), "{error}"),
        }
    }
}
