//! Offsets that a transaction commits.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::coordinator::machine::Now;

const DAY: i64 = 24 * 60 * 60 * 1000;
const PRODUCER: i64 = 9;

/// A group and the offset of its next record.
struct World {
    group: Group,
    settings: GroupSettings,
    now: Now,
    next_offset: i64,
}

impl World {
    fn new() -> Self {
        let now = Now { monotonic: Instant::now(), wall: 1_000 };
        Self { group: Group::default(), settings: GroupSettings::default(), now, next_offset: 0 }
    }

    /// A step, with its records applied; says how many there were.
    fn step<T>(
        &mut self,
        producer_id: Option<i64>,
        step: impl FnOnce(&mut Group, Cx<'_>, &mut Out) -> T,
    ) -> (T, usize) {
        let mut out = Out::default();
        let result = step(&mut self.group, Cx { now: self.now, settings: &self.settings }, &mut out);
        let records = out.take_records();
        for record in &records {
            self.group.apply(Place { offset: self.next_offset, producer_id }, record);
            self.next_offset += 1;
        }
        (result, records.len())
    }

    fn commit(&mut self, partition: i32, offset: i64) {
        let offsets = [new_offset(partition, offset)];
        let commit = |group: &mut Group, cx: Cx<'_>, out: &mut Out| {
            group.commit_offsets(cx, "g", &Asking::default(), &offsets, out)
        };
        assert_eq!(self.step(None, commit).0, Ok(vec![Ok(())]));
    }

    fn commit_in_transaction(
        &mut self,
        asking: &Asking,
        offsets: &[NewOffset],
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let commit = |group: &mut Group, cx: Cx<'_>, out: &mut Out| {
            group.commit_offsets_in_transaction(cx, "g", asking, offsets, out)
        };
        self.step(Some(PRODUCER), commit).0
    }

    /// From a client that does not say on whose behalf.
    fn commit_pending(&mut self, partition: i32, offset: i64) {
        let committed = self.commit_in_transaction(&Asking::default(), &[new_offset(partition, offset)]);
        assert_eq!(committed, Ok(vec![Ok(())]));
    }

    fn end(&mut self, is_commit: bool) {
        self.group.end_transaction(self.next_offset, PRODUCER, is_commit);
        self.next_offset += 1;
    }

    fn fetch(&self, require_stable: bool, partition: i32) -> Result<Option<i64>, GroupError> {
        let topics = Topics::These(vec![(Arc::from("t"), None, vec![partition])]);
        let fetched = self.group.fetch_offsets(&Asking::default(), &topics, require_stable, &mut Out::default());
        let committed = fetched.unwrap().remove(0).committed?;
        Ok(committed.map(|committed| committed.offset))
    }
}

fn new_offset(partition: i32, offset: i64) -> NewOffset {
    NewOffset {
        topic: Arc::from("t"),
        topic_id: None,
        partition,
        offset,
        leader_epoch: None,
        metadata: Arc::default(),
        commit_timestamp: None,
        retention_ms: None,
    }
}

const UNSTABLE: Result<Option<i64>, GroupError> = Err(GroupError::UnstableOffsetCommit);

#[test]
fn an_offset_is_pending_until_its_transaction_ends() {
    let mut world = World::new();
    world.commit(0, 1);
    world.commit_pending(0, 2);
    world.commit_pending(1, 3);
    assert_eq!((world.fetch(true, 0), world.fetch(true, 1)), (UNSTABLE, UNSTABLE));
    assert_eq!((world.fetch(false, 0), world.fetch(false, 1)), (Ok(Some(1)), Ok(None)));
    assert_eq!(world.fetch(true, 2), Ok(None), "another partition is stable");
    world.end(true);
    assert_eq!((world.fetch(true, 0), world.fetch(true, 1)), (Ok(Some(2)), Ok(Some(3))));

    world.commit_pending(0, 7);
    world.end(false);
    assert_eq!(world.fetch(true, 0), Ok(Some(2)));
}

#[test]
fn what_is_told_after_the_end_waits_for_the_marker() {
    let mut world = World::new();
    world.commit_pending(0, 2);
    world.end(true);
    let mut out = Out::default();
    world.group.fetch_offsets(&Asking::default(), &Topics::All, true, &mut out).unwrap();
    assert_eq!(out.dependency(), 1);
}

#[test]
fn a_pending_offset_makes_the_group_and_an_abort_ends_it() {
    let mut world = World::new();
    world.commit_pending(0, 2);
    assert_eq!(world.group.listed().map(|listed| listed.state), Some(EMPTY));
    world.end(false);
    assert!(world.group.is_vacant());
}

#[test]
fn a_producer_that_believes_in_a_generation_is_fenced() {
    let mut world = World::new();
    let asking = Asking { member_id: Some(Arc::from("m")), group_instance_id: None, generation: Some(1) };
    let not_found = GroupError::GroupIdNotFound("g".to_owned());
    assert_eq!(world.commit_in_transaction(&asking, &[new_offset(0, 1)]), Err(not_found));
    world.commit(0, 1);
    assert_eq!(world.commit_in_transaction(&asking, &[new_offset(0, 1)]), Err(GroupError::UnknownMemberId));
    let outside = Asking { generation: None, ..asking };
    assert_eq!(world.commit_in_transaction(&outside, &[new_offset(0, 1)]), Ok(vec![Ok(())]));
}

#[test]
fn metadata_that_are_too_large_are_refused_by_partition() {
    let mut world = World::new();
    world.settings.offset_metadata_max_bytes = 3;
    let offsets = [("abcd", 0), ("abc", 1)]
        .map(|(metadata, partition)| NewOffset { metadata: Arc::from(metadata), ..new_offset(partition, 1) });
    let outcomes = vec![Err(GroupError::OffsetMetadataTooLarge), Ok(())];
    assert_eq!(world.commit_in_transaction(&Asking::default(), &offsets), Ok(outcomes));
    assert_eq!((world.fetch(true, 0), world.fetch(true, 1)), (Ok(None), UNSTABLE));
}

#[test]
fn offsets_that_are_deleted_while_they_are_pending_do_not_come_back() {
    let mut world = World::new();
    world.commit_pending(0, 2);
    world.commit_pending(1, 3);
    let partitions = [(Arc::from("t"), 0)];
    let deleted = world.step(None, |group, _, out| group.delete_offsets("g", &partitions, out));
    assert_eq!(deleted, (Ok(vec![Ok(())]), 1));
    assert_eq!((world.fetch(true, 0), world.fetch(true, 1)), (Ok(None), UNSTABLE));
    world.end(true);
    assert_eq!((world.fetch(true, 0), world.fetch(true, 1)), (Ok(None), Ok(Some(3))));
}

#[test]
fn a_group_that_is_deleted_with_pending_offsets_does_not_come_back() {
    let mut world = World::new();
    world.commit(0, 1);
    world.commit_pending(0, 2);
    world.commit_pending(1, 3);
    assert_eq!(world.step(None, |group, _, out| group.delete("g", out)), (Ok(()), 2));
    assert!(world.group.is_vacant());
    world.commit_pending(2, 4);
    world.end(true);
    assert_eq!([0, 1, 2].map(|partition| world.fetch(true, partition)), [Ok(None), Ok(None), Ok(Some(4))]);
}

#[test]
fn nothing_expires_that_a_transaction_is_about_to_commit() {
    let mut world = World::new();
    world.commit(0, 1);
    world.commit(1, 1);
    world.commit_pending(0, 2);
    world.now.wall = 1_000 + 7 * DAY;
    let expire = |world: &mut World| world.step(None, |group, cx, out| group.expire_offsets(cx, "g", out)).1;
    assert_eq!(expire(&mut world), 1);
    assert_eq!((world.fetch(false, 0), world.fetch(false, 1)), (Ok(Some(1)), Ok(None)));
    world.end(false);
    assert_eq!(expire(&mut world), 1);
    assert!(world.group.is_vacant());
}

#[test]
fn pending_offsets_of_a_topic_that_is_gone_are_forgotten() {
    let [old, new] = [1, 2].map(Uuid::from_u128);
    let mut world = World::new();
    let offsets =
        [(0, old), (1, new)].map(|(partition, id)| NewOffset { topic_id: Some(id), ..new_offset(partition, 5) });
    assert_eq!(world.commit_in_transaction(&Asking::default(), &offsets), Ok(vec![Ok(()), Ok(())]));
    let is_gone = |_: &str, id: Option<Uuid>| id == Some(old);
    assert_eq!(world.step(None, |group, _, out| group.forget_topics("g", &is_gone, out)), ((), 1));
    world.end(true);
    assert_eq!((world.fetch(true, 0), world.fetch(true, 1)), (Ok(None), Ok(Some(5))));
}
