//! Groups without members: consumers that commit offsets and do not join.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::coordinator::machine::Now;

const DAY: i64 = 24 * 60 * 60 * 1000;

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
    fn step<T>(&mut self, step: impl FnOnce(&mut Group, Cx<'_>, &mut Out) -> T) -> (T, usize) {
        let mut out = Out::default();
        let result = step(&mut self.group, Cx { now: self.now, settings: &self.settings }, &mut out);
        let records = out.take_records();
        for record in &records {
            self.group.apply(Place { offset: self.next_offset, producer_id: None }, record);
            self.next_offset += 1;
        }
        (result, records.len())
    }

    fn commit(&mut self, asking: &Asking, offsets: &[NewOffset]) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        self.step(|group, cx, out| group.commit_offsets(cx, &Arc::from("g"), asking, offsets, out)).0
    }
}

fn new_offset(partition: i32, metadata: &str) -> NewOffset {
    NewOffset {
        topic: Arc::from("t"),
        topic_id: None,
        partition,
        offset: 42,
        leader_epoch: None,
        metadata: Arc::from(metadata),
        commit_timestamp: None,
        retention_ms: None,
    }
}

fn outside() -> Asking {
    Asking::default()
}

fn member() -> Asking {
    Asking { member_id: Some(Arc::from("m")), group_instance_id: None, generation: Some(1) }
}

#[test]
fn the_first_commit_makes_the_group() {
    let mut world = World::new();
    assert_eq!(world.group.listed(), None);
    assert_eq!(world.commit(&outside(), &[new_offset(0, "")]), Ok(vec![Ok(())]));
    let listed = Listed { group_type: GroupType::Classic, state: "Empty", protocol_type: Arc::from("") };
    assert_eq!(world.group.listed(), Some(listed));
    let described = world.group.describe("g", &mut Out::default()).unwrap();
    assert_eq!((described.state, &*described.protocol_type, described.members.len()), ("Empty", "", 0));
}

#[test]
fn who_believes_in_a_generation_cannot_commit() {
    let mut world = World::new();
    assert_eq!(world.commit(&member(), &[new_offset(0, "")]), Err(GroupError::GroupIdNotFound("g".to_owned())));
    world.commit(&outside(), &[new_offset(0, "")]).unwrap();
    assert_eq!(world.commit(&member(), &[new_offset(0, "")]), Err(GroupError::UnknownMemberId));
}

#[test]
fn metadata_that_are_too_large_are_refused_by_partition() {
    let mut world = World::new();
    world.settings.offset_metadata_max_bytes = 3;
    let offsets = [new_offset(0, "abcd"), new_offset(1, "abc")];
    let outcomes = vec![Err(GroupError::OffsetMetadataTooLarge), Ok(())];
    assert_eq!(world.commit(&outside(), &offsets), Ok(outcomes));
    let mut out = Out::default();
    let fetched = world.group.fetch_offsets(&outside(), &Topics::All, false, &mut out).unwrap();
    assert_eq!(fetched.iter().map(|of| of.partition).collect::<Vec<_>>(), [1]);
}

#[test]
fn offsets_are_deleted_if_they_are_there() {
    let mut world = World::new();
    let partitions = [(Arc::from("t"), 0), (Arc::from("t"), 5), (Arc::from("u"), 0)];
    let not_found = GroupError::GroupIdNotFound("g".to_owned());
    assert_eq!(world.step(|group, _, out| group.delete_offsets("g", &partitions, out)), (Err(not_found), 0));
    world.commit(&outside(), &[new_offset(0, ""), new_offset(1, "")]).unwrap();
    let all_done = Ok(vec![Ok(()), Ok(()), Ok(())]);
    assert_eq!(world.step(|group, _, out| group.delete_offsets("g", &partitions, out)), (all_done, 1));
    assert!(!world.group.is_vacant());
}

#[test]
fn the_last_offset_is_the_end_of_the_group() {
    let mut world = World::new();
    world.commit(&outside(), &[new_offset(0, ""), new_offset(1, "")]).unwrap();
    assert_eq!(world.step(|group, _, out| group.forget_topics("g", &|topic, _| topic == "t", out)), ((), 2));
    assert!(world.group.is_vacant());
    assert_eq!(world.group.listed(), None);
}

#[test]
fn offsets_expire_after_their_commit() {
    let mut world = World::new();
    world.commit(&outside(), &[new_offset(0, "")]).unwrap();
    world.now.wall = 999 + 7 * DAY;
    assert_eq!(world.step(|group, cx, out| group.expire_offsets(cx, "g", out)).1, 0);
    world.now.wall += 1;
    assert_eq!(world.step(|group, cx, out| group.expire_offsets(cx, "g", out)).1, 1);
    assert!(world.group.is_vacant());
}

#[test]
fn the_group_can_be_deleted() {
    let mut world = World::new();
    let not_found = GroupError::GroupIdNotFound("g".to_owned());
    assert_eq!(world.step(|group, _, out| group.delete("g", out)), (Err(not_found), 0));
    world.commit(&outside(), &[new_offset(0, ""), new_offset(1, "")]).unwrap();
    assert_eq!(world.step(|group, _, out| group.delete("g", out)), (Ok(()), 2));
    assert!(world.group.is_vacant());
}

#[test]
fn what_is_told_waits_for_what_was_written_last() {
    let mut world = World::new();
    world.next_offset = 5;
    world.commit(&outside(), &[new_offset(0, ""), new_offset(1, "")]).unwrap();
    let mut out = Out::default();
    world.group.fetch_offsets(&outside(), &Topics::All, false, &mut out).unwrap();
    assert!(format!("{out:?}").contains("depends_on: 6"), "{out:?}");
}
