#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::coordinator::machine::Record;

const GROUP: &str = "g";
const HOUR: i64 = 3_600_000;

/// Offsets, and the log that they are written to.
#[derive(Default)]
struct World {
    offsets: Offsets,
    log: Vec<Logged>,
    model: Model,
}

#[derive(Clone)]
enum Logged {
    Record(Option<i64>, (bytes::Bytes, Option<bytes::Bytes>)),
    Marker(i64, bool),
}

impl World {
    fn write(&mut self, producer_id: Option<i64>, record: &GroupRecord) {
        let place = Place { offset: self.next_offset(), producer_id };
        let GroupRecord::Offset(key, value) = record else { panic!("an offset") };
        self.offsets.apply(place, key, value.as_ref());
        self.model.apply(place, key, value.as_ref());
        self.log.push(Logged::Record(producer_id, record.encode().unwrap()));
    }

    fn write_all(&mut self, records: &[GroupRecord]) {
        records.iter().for_each(|record| self.write(None, record));
    }

    fn end(&mut self, producer_id: i64, is_commit: bool) {
        self.offsets.end_transaction(self.next_offset(), producer_id, is_commit);
        self.model.end_transaction(producer_id, is_commit);
        self.log.push(Logged::Marker(producer_id, is_commit));
    }

    fn next_offset(&self) -> i64 {
        i64::try_from(self.log.len()).unwrap()
    }

    fn commit(&mut self, topic: &str, partition: i32, offset: i64) {
        self.write(None, &new_offset(topic, partition, offset).record(GROUP, 0));
    }

    fn commit_pending(&mut self, producer_id: i64, topic: &str, partition: i32, offset: i64) {
        self.write(Some(producer_id), &new_offset(topic, partition, offset).record(GROUP, 0));
    }

    /// What a restart makes of the log.
    fn replayed(&self) -> Offsets {
        let mut offsets = Offsets::default();
        for (at, logged) in (0..).zip(&self.log) {
            match logged {
                Logged::Record(producer_id, (key, value)) => {
                    let record = GroupRecord::decode(key, value.as_ref()).unwrap();
                    let Some(GroupRecord::Offset(key, value)) = record else { panic!("an offset") };
                    offsets.apply(Place { offset: at, producer_id: *producer_id }, &key, value.as_ref());
                }
                Logged::Marker(producer_id, is_commit) => offsets.end_transaction(at, *producer_id, *is_commit),
            }
        }
        offsets
    }
}

fn new_offset(topic: &str, partition: i32, offset: i64) -> NewOffset {
    NewOffset {
        topic: Arc::from(topic),
        topic_id: None,
        partition,
        offset,
        leader_epoch: None,
        metadata: Arc::from(""),
        commit_timestamp: None,
        retention_ms: None,
    }
}

fn fetched(offsets: &Offsets, topic: &str, id: Option<Uuid>, partition: i32) -> Option<i64> {
    let these = Topics::These(vec![(Arc::from(topic), id, vec![partition])]);
    let [one] = offsets.fetch(&these, false).try_into().unwrap();
    one.committed.unwrap().map(|committed| committed.offset)
}

fn all(offsets: &Offsets) -> Vec<(String, i32, i64)> {
    let all = offsets.fetch(&Topics::All, false).into_iter();
    all.map(|of| (of.topic.to_string(), of.partition, of.committed.unwrap().unwrap().offset)).collect()
}

fn is_unstable(offsets: &Offsets, topic: &str, partition: i32) -> bool {
    let these = Topics::These(vec![(Arc::from(topic), None, vec![partition])]);
    offsets.fetch(&these, true)[0].committed == Err(GroupError::UnstableOffsetCommit)
}

fn expired(offsets: &Offsets, now: i64, retained_from: RetainedFrom) -> (Vec<i32>, bool) {
    let (records, is_all) = offsets
        .expired(GROUP, &Expiry { now, retained_from, retention_ms: HOUR, is_subscribed: &|topic| topic == "in use" });
    let partition = |record| match record {
        GroupRecord::Offset(key, None) => key.partition,
        other => panic!("{other:?}"),
    };
    (records.into_iter().map(partition).collect(), is_all)
}

#[test]
fn what_was_committed_is_told_with_all_that_belongs_to_it() {
    let id = Uuid::from_u128(7);
    let mut world = World::default();
    let new = NewOffset {
        topic_id: Some(id),
        leader_epoch: Some(3),
        metadata: Arc::from("m"),
        commit_timestamp: Some(50),
        ..new_offset("t", 1, 42)
    };
    world.write(None, &new.record(GROUP, 100));
    let [of] = world.offsets.fetch(&Topics::All, false).try_into().unwrap();
    let committed = CommittedOffset {
        offset: 42,
        leader_epoch: Some(3),
        metadata: Arc::from("m"),
        topic_id: Some(id),
        commit_timestamp: 50,
        expire_timestamp: None,
    };
    assert_eq!(of, OffsetOf { topic: Arc::from("t"), partition: 1, committed: Ok(Some(committed)) });
    assert_eq!(world.offsets.written_at(), 0);
}

#[test]
fn a_retention_of_its_own_becomes_an_expiry() {
    let new = NewOffset {
        retention_ms: Some(5),
        topic_id: Some(Uuid::from_u128(7)),
        leader_epoch: Some(1),
        ..new_offset("t", 1, 42)
    };
    let GroupRecord::Offset(_, Some(value)) = new.record(GROUP, 100) else { panic!("an offset") };
    assert_eq!((value.commit_timestamp, value.expire_timestamp), (100, 105));
    assert_eq!((value.leader_epoch, value.topic_id), (-1, Uuid::nil()), "what the record's version has no place for");

    let for_ever = NewOffset { retention_ms: Some(i64::MAX), ..new };
    let GroupRecord::Offset(_, Some(value)) = for_ever.record(GROUP, 100) else { panic!("an offset") };
    assert_eq!(value.expire_timestamp, i64::MAX);
}

#[test]
fn partitions_are_answered_in_the_order_asked_for() {
    let mut world = World::default();
    world.commit("a", 0, 10);
    world.commit("b", 2, 12);
    let these = Topics::These(vec![(Arc::from("b"), None, vec![2, 0]), (Arc::from("a"), None, vec![0])]);
    let answered: Vec<_> = world.offsets.fetch(&these, false).into_iter().map(|of| (of.topic, of.partition)).collect();
    assert_eq!(answered, [(Arc::from("b"), 2), (Arc::from("b"), 0), (Arc::from("a"), 0)]);
    assert_eq!(fetched(&world.offsets, "b", None, 0), None);
}

#[test]
fn an_offset_of_another_topic_of_the_same_name_is_not_told() {
    let [old, new] = [1, 2].map(Uuid::from_u128);
    let mut world = World::default();
    world.write(None, &NewOffset { topic_id: Some(old), ..new_offset("t", 0, 42) }.record(GROUP, 0));
    world.write(None, &new_offset("t", 1, 43).record(GROUP, 0));
    assert_eq!(fetched(&world.offsets, "t", Some(old), 0), Some(42));
    assert_eq!(fetched(&world.offsets, "t", Some(new), 0), None);
    assert_eq!(fetched(&world.offsets, "t", None, 0), Some(42), "there is no topic of that name");
    assert_eq!(fetched(&world.offsets, "t", Some(new), 1), Some(43), "an older release did not say which topic it was");
}

#[test]
fn metadata_are_measured_as_java_measures_them() {
    let with = |metadata: &str| NewOffset { metadata: Arc::from(metadata), ..new_offset("t", 0, 1) };
    assert!(!with("abcd").has_too_much_metadata(4));
    assert!(with("abcde").has_too_much_metadata(4));
    assert!(!with("äöüß").has_too_much_metadata(4), "four characters of two bytes each");
    assert!(with("😀😀a").has_too_much_metadata(4), "an astral character counts twice");
}

#[test]
fn a_transactions_offset_counts_once_it_has_committed() {
    let mut world = World::default();
    world.commit("t", 0, 1);
    world.commit_pending(9, "t", 0, 2);
    assert!(is_unstable(&world.offsets, "t", 0));
    assert_eq!(all(&world.offsets), [("t".to_owned(), 0, 1)]);
    world.end(9, true);
    assert!(!is_unstable(&world.offsets, "t", 0));
    assert_eq!(all(&world.offsets), [("t".to_owned(), 0, 2)]);
    assert_eq!(world.offsets.written_at(), 2, "the marker changed it");
}

#[test]
fn a_transactions_offset_is_forgotten_if_it_aborts() {
    let mut world = World::default();
    world.commit_pending(9, "t", 0, 2);
    assert!(!world.offsets.is_empty());
    assert!(all(&world.offsets).is_empty());
    world.end(9, false);
    assert!(world.offsets.is_empty());
}

#[test]
fn another_producers_marker_changes_nothing() {
    let mut world = World::default();
    world.commit_pending(9, "t", 0, 2);
    world.end(8, true);
    assert!(is_unstable(&world.offsets, "t", 0));
    assert_eq!(world.offsets.written_at(), 0);
}

#[test]
fn the_offset_that_was_written_last_wins() {
    let mut world = World::default();
    world.commit_pending(9, "t", 0, 2);
    world.commit("t", 0, 3);
    assert!(is_unstable(&world.offsets, "t", 0), "the transaction has not ended");
    world.end(9, true);
    assert_eq!(all(&world.offsets), [("t".to_owned(), 0, 3)]);

    world.commit_pending(1, "t", 1, 10);
    world.commit_pending(2, "t", 1, 20);
    world.end(2, true);
    world.end(1, true);
    assert_eq!(fetched(&world.offsets, "t", None, 1), Some(20));
}

#[test]
fn a_tombstone_takes_pending_offsets_too() {
    let mut world = World::default();
    world.commit("t", 0, 1);
    world.commit_pending(9, "t", 0, 2);
    world.commit_pending(9, "t", 1, 3);
    let deletion = world.offsets.deletion(GROUP, "t", 0).unwrap();
    world.write(None, &deletion);
    assert_eq!(world.offsets.deletion(GROUP, "t", 0), None);
    world.end(9, true);
    assert_eq!(all(&world.offsets), [("t".to_owned(), 1, 3)]);
}

#[test]
fn everything_can_be_taken_away() {
    let mut world = World::default();
    world.commit("t", 0, 1);
    world.commit_pending(9, "t", 0, 2);
    world.commit_pending(8, "u", 5, 2);
    let deletions = world.offsets.deletions(GROUP);
    assert_eq!(deletions.len(), 2);
    world.write_all(&deletions);
    assert!(world.offsets.is_empty());
}

#[test]
fn offsets_of_a_topic_that_is_gone_are_taken_away() {
    let [old, new] = [1, 2].map(Uuid::from_u128);
    let mut world = World::default();
    let committed =
        |topic, partition, id| NewOffset { topic_id: id, ..new_offset(topic, partition, 1) }.record(GROUP, 0);
    world.write(None, &committed("gone", 0, None));
    world.write(None, &committed("again", 0, Some(old)));
    world.write(None, &committed("again", 1, Some(new)));
    world.write(None, &committed("again", 2, None));
    world.write(Some(9), &committed("gone", 7, Some(old)));
    world.write(None, &committed("again", 3, Some(old)));
    world.write(Some(9), &committed("again", 3, Some(new)));
    let is_gone = |topic: &str, id: Option<Uuid>| topic == "gone" || id.is_some_and(|id| id != new);
    let gone = world.offsets.gone(GROUP, &is_gone);
    world.write_all(&gone);
    world.end(9, true);
    let left: Vec<_> = all(&world.offsets).into_iter().map(|(topic, partition, _)| (topic, partition)).collect();
    assert_eq!(left, [("again".to_owned(), 1), ("again".to_owned(), 2), ("again".to_owned(), 3)]);
    assert_eq!(fetched(&world.offsets, "again", Some(new), 3), Some(1));
}

#[test]
fn an_offset_expires_after_its_commit() {
    let mut world = World::default();
    world.write(None, &new_offset("t", 0, 1).record(GROUP, 1_000));
    world.write(None, &new_offset("t", 1, 1).record(GROUP, 2_000));
    assert_eq!(expired(&world.offsets, HOUR + 999, RetainedFrom::Commit), (vec![], false));
    assert_eq!(expired(&world.offsets, HOUR + 1_000, RetainedFrom::Commit), (vec![0], false));
    assert_eq!(expired(&world.offsets, HOUR + 2_000, RetainedFrom::Commit), (vec![0, 1], true));
    assert_eq!(expired(&world.offsets, 9 * HOUR, RetainedFrom::Never), (vec![], false));
}

#[test]
fn an_offset_of_a_group_that_was_left_expires_after_that() {
    let mut world = World::default();
    world.write(None, &new_offset("t", 0, 1).record(GROUP, 1_000));
    assert_eq!(expired(&world.offsets, 2 * HOUR, RetainedFrom::Emptied(HOUR + 1)), (vec![], false));
    assert_eq!(expired(&world.offsets, 2 * HOUR + 1, RetainedFrom::Emptied(HOUR + 1)), (vec![0], true));
}

#[test]
fn an_expiry_of_its_own_is_kept_to() {
    let mut world = World::default();
    world.write(None, &NewOffset { retention_ms: Some(5), ..new_offset("t", 0, 1) }.record(GROUP, 1_000));
    assert_eq!(expired(&world.offsets, 1_004, RetainedFrom::Commit), (vec![], false));
    assert_eq!(expired(&world.offsets, 1_005, RetainedFrom::Emptied(1_004)), (vec![0], true));
}

#[test]
fn no_expiry_of_its_own_takes_an_offset_from_members() {
    let mut world = World::default();
    world.write(None, &NewOffset { retention_ms: Some(5), ..new_offset("t", 0, 1) }.record(GROUP, 1_000));
    assert_eq!(expired(&world.offsets, 9 * HOUR, RetainedFrom::Never), (vec![], false));
}

#[test]
fn what_is_in_use_does_not_expire() {
    let mut world = World::default();
    world.commit("in use", 0, 1);
    world.commit("t", 1, 1);
    world.commit("t", 2, 1);
    world.commit_pending(9, "t", 2, 1);
    assert_eq!(expired(&world.offsets, 9 * HOUR, RetainedFrom::Commit), (vec![1], false));
}

#[test]
fn a_pending_offset_keeps_the_group() {
    let mut world = World::default();
    assert_eq!(expired(&world.offsets, 0, RetainedFrom::Commit), (vec![], true), "nothing is left of nothing");
    world.commit_pending(9, "t", 0, 1);
    assert_eq!(expired(&world.offsets, 9 * HOUR, RetainedFrom::Commit), (vec![], false));
}

/// Offsets in the way that Kafka keeps them: each with the place of its record.
#[derive(Default)]
struct Model {
    committed: Placed,
    pending: BTreeMap<i64, Placed>,
}

type Placed = BTreeMap<(String, i32), (i64, CommittedOffset)>;

impl Model {
    fn apply(&mut self, place: Place, key: &OffsetCommitKey, value: Option<&OffsetCommitValue>) {
        let partition = (key.topic.to_string(), key.partition);
        match (value.map(CommittedOffset::from), place.producer_id) {
            (Some(offset), None) => {
                self.committed.insert(partition, (place.offset, offset));
            }
            (Some(offset), Some(producer_id)) => {
                self.pending.entry(producer_id).or_default().insert(partition, (place.offset, offset));
            }
            (None, _) => {
                self.committed.remove(&partition);
                self.pending.values_mut().for_each(|pending| {
                    pending.remove(&partition);
                });
            }
        }
    }

    fn end_transaction(&mut self, producer_id: i64, is_commit: bool) {
        let ended = self.pending.remove(&producer_id).filter(|_| is_commit).unwrap_or_default();
        for (partition, (written_at, offset)) in ended {
            if self.committed.get(&partition).is_none_or(|(committed_at, _)| written_at > *committed_at) {
                self.committed.insert(partition, (written_at, offset));
            }
        }
    }

    fn check(&self, offsets: &Offsets) {
        let committed: Vec<_> = self.committed.iter().map(|(key, (_, offset))| (key.clone(), offset.clone())).collect();
        let found: Vec<_> = offsets
            .fetch(&Topics::All, false)
            .into_iter()
            .map(|of| ((of.topic.to_string(), of.partition), of.committed.unwrap().unwrap()))
            .collect();
        assert_eq!(found, committed);
        for (topic, partition) in TOPICS.iter().flat_map(|topic| PARTITIONS.map(|partition| (*topic, partition))) {
            let is_pending = self.pending.values().any(|pending| pending.contains_key(&(topic.to_owned(), partition)));
            assert_eq!(is_unstable(offsets, topic, partition), is_pending, "{topic}-{partition}");
        }
        let is_empty = self.committed.is_empty() && self.pending.values().all(BTreeMap::is_empty);
        assert_eq!(offsets.is_empty(), is_empty);
    }
}

const TOPICS: [&str; 2] = ["t", "in use"];
const PARTITIONS: [i32; 3] = [0, 1, -1];

#[derive(Clone, Debug)]
enum Step {
    Commit { producer_id: Option<i64>, offset: NewOffset },
    End { producer_id: i64, is_commit: bool },
    Delete { topic: &'static str, partition: i32 },
    DeleteAll,
    Forget { id: u128 },
    Expire { retained_from: RetainedFrom },
}

fn step() -> impl Strategy<Value = Step> {
    let topic = prop::sample::select(&TOPICS[..]);
    let partition = prop::sample::select(&PARTITIONS[..]);
    let producer_id = 0_i64..3;
    let offset = (
        (topic.clone(), partition.clone(), any::<i64>(), prop::option::of(0_i32..5)),
        prop::option::of((0_u128..3).prop_map(Uuid::from_u128)),
        prop::sample::select(vec!["", "m", "größe"]),
        (prop::option::of(0_i64..100), prop::option::of(-10_i64..1_000)),
    )
        .prop_map(
            |((topic, partition, offset, leader_epoch), topic_id, metadata, (commit_timestamp, retention_ms))| {
                let metadata = Arc::from(metadata);
                NewOffset {
                    leader_epoch,
                    topic_id,
                    metadata,
                    commit_timestamp,
                    retention_ms,
                    ..new_offset(topic, partition, offset)
                }
            },
        );
    let retained_from = prop_oneof![
        Just(RetainedFrom::Commit),
        Just(RetainedFrom::Never),
        (0_i64..100).prop_map(RetainedFrom::Emptied)
    ];
    prop_oneof![
        6 => (prop::option::of(producer_id.clone()), offset)
            .prop_map(|(producer_id, offset)| Step::Commit { producer_id, offset }),
        3 => (producer_id, any::<bool>()).prop_map(|(producer_id, is_commit)| Step::End { producer_id, is_commit }),
        1 => (topic, partition).prop_map(|(topic, partition)| Step::Delete { topic, partition }),
        1 => Just(Step::DeleteAll),
        1 => (0_u128..3).prop_map(|id| Step::Forget { id }),
        1 => retained_from.prop_map(|retained_from| Step::Expire { retained_from }),
    ]
}

fn run(world: &mut World, now: i64, step: Step) {
    let records = match step {
        Step::Commit { producer_id, offset } => return world.write(producer_id, &offset.record(GROUP, now)),
        Step::End { producer_id, is_commit } => return world.end(producer_id, is_commit),
        Step::Delete { topic, partition } => world.offsets.deletion(GROUP, topic, partition).into_iter().collect(),
        Step::DeleteAll => world.offsets.deletions(GROUP),
        Step::Forget { id } => world.offsets.gone(GROUP, &|_, of| of == Some(Uuid::from_u128(id))),
        Step::Expire { retained_from } => {
            let expiry = Expiry { now, retained_from, retention_ms: 50, is_subscribed: &|topic| topic == "in use" };
            world.offsets.expired(GROUP, &expiry).0
        }
    };
    world.write_all(&records);
}

proptest! {
    #[test]
    fn a_restart_brings_back_what_there_was(steps in prop::collection::vec(step(), 0..60)) {
        let mut world = World::default();
        for (now, step) in (0..).zip(steps) {
            run(&mut world, now, step);
            world.model.check(&world.offsets);
        }
        let replayed = world.replayed();
        world.model.check(&replayed);
        prop_assert_eq!(replayed.written_at(), world.offsets.written_at());
    }
}
