#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::{
    coordinator::machine::{Machine, Now, Record, Ticket},
    groups::{
        group::{Cx, Group, Leaving, NewOffset, Reply, Sync, Topics},
        records::tests::written_by_kafka,
        settings::GroupSettings,
    },
};

/// Members of the groups that Kafka had.
const CONSUMER: &str = "YrmPLKZKSq2R1BXsTI8zcA";
const STREAMS: &str = "Mt9XQkV4TIqBskvQMtB0Bg";

/// A group as it was when Kafka had written its record at this offset, in the same log.
struct World {
    id: &'static str,
    group: Group,
    settings: GroupSettings,
    now: Now,
    next_offset: i64,
}

impl World {
    fn new(id: &'static str, last_offset: i64) -> Self {
        let mut group = Group::default();
        for (place, key, value) in written_by_kafka() {
            let record = GroupRecord::decode(&key, value.as_ref()).unwrap().unwrap();
            if record.id() == id && place.offset <= last_offset {
                group.apply(place, &record);
            }
        }
        let now = Now { monotonic: Instant::now(), wall: 1_000_000 };
        let mut world = Self { id, group, settings: GroupSettings::default(), now, next_offset: last_offset + 1 };
        world.step(|group, cx, out| group.loaded(cx, out));
        world
    }

    fn decide<T>(&mut self, step: impl FnOnce(&mut Group, Cx<'_>, &mut Out) -> T) -> (T, Out) {
        let mut out = Out::default();
        let result = step(&mut self.group, Cx { now: self.now, settings: &self.settings }, &mut out);
        (result, out)
    }

    /// A step, with its records applied; says how many there were.
    fn step<T>(&mut self, step: impl FnOnce(&mut Group, Cx<'_>, &mut Out) -> T) -> (T, usize) {
        let (result, mut out) = self.decide(step);
        let records = out.take_records();
        for record in &records {
            self.group.apply(Place { offset: self.next_offset, producer_id: None }, record);
            self.next_offset += 1;
        }
        (result, records.len())
    }

    fn listed(&self) -> Option<(GroupType, &'static str, String)> {
        self.group.listed().map(|listed| (listed.group_type, listed.state, listed.protocol_type.to_string()))
    }

    fn commit(&mut self, member_id: Option<&str>, generation: Option<i32>) -> Result<(), GroupError> {
        let offset = NewOffset {
            topic: Arc::from("one"),
            topic_id: None,
            partition: 0,
            offset: 7,
            leader_epoch: None,
            metadata: Arc::from("m"),
            commit_timestamp: None,
            retention_ms: None,
        };
        let (id, asking) = (self.id, asking(member_id, generation));
        self.step(|group, cx, out| group.commit_offsets(cx, id, &asking, &[offset], out)).0.map(drop)
    }

    /// Whether a producer may commit with its transaction.
    fn check_transactional_commit(
        &mut self,
        member_id: Option<&str>,
        generation: Option<i32>,
    ) -> Result<(), GroupError> {
        let (id, asking) = (self.id, asking(member_id, generation));
        self.decide(|group, cx, out| group.commit_offsets_in_transaction(cx, id, &asking, &[], out)).0.map(drop)
    }

    fn fetch(&mut self, member_id: Option<&str>, generation: Option<i32>) -> Result<Vec<Option<i64>>, GroupError> {
        let topics = Topics::These(vec![(Arc::from("one"), None, vec![0])]);
        let asking = asking(member_id, generation);
        let fetched = self.step(|group, _, out| group.fetch_offsets(&asking, &topics, false, out)).0?;
        Ok(fetched.into_iter().map(|of| of.committed.unwrap().map(|committed| committed.offset)).collect())
    }

    fn delete_offset(&mut self, topic: &str) -> Result<Result<(), GroupError>, GroupError> {
        let (id, partitions) = (self.id, [(Arc::from(topic), 1)]);
        let outcomes = self.step(|group, _, out| group.delete_offsets(id, &partitions, out)).0?;
        let [outcome] = outcomes.try_into().unwrap();
        Ok(outcome)
    }

    /// The answer to a join, and how many records were written for it.
    fn join(&mut self, member_id: Option<&str>, protocol_type: &str) -> (JoinRefused, usize) {
        let join = join(self.id, member_id, protocol_type);
        let mut replies = Vec::new();
        let ((), written) = self.step(|group, cx, out| {
            group.join(cx, Ticket(1), join, out);
            replies = out.take_replies();
        });
        match replies.as_slice() {
            [(Ticket(1), Reply::Join(Err(refused)))] => (refused.clone(), written),
            other => panic!("{other:?}"),
        }
    }

    fn delete(&mut self) -> (Result<(), GroupError>, usize) {
        let id = self.id;
        self.step(|group, _, out| group.delete(id, out))
    }
}

fn asking(member_id: Option<&str>, generation: Option<i32>) -> Asking {
    Asking { member_id: member_id.map(Arc::from), group_instance_id: None, generation }
}

fn join(group_id: &str, member_id: Option<&str>, protocol_type: &str) -> Join {
    Join {
        group_id: Arc::from(group_id),
        member_id: member_id.map(Arc::from),
        group_instance_id: None,
        client_id: Arc::from("c"),
        client_host: Arc::from("/127.0.0.1"),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: Arc::from(protocol_type),
        protocols: vec![(Arc::from("range"), Bytes::new())],
        requires_member_id: true,
        can_skip_assignment: true,
        reason: None,
        fresh_id: uuid::Uuid::from_u128(1),
    }
}

fn refused(error: GroupError, member_id: Option<&str>) -> JoinRefused {
    JoinRefused { error, member_id: member_id.map(Arc::from) }
}

fn not_found(id: &str) -> GroupError {
    GroupError::GroupIdNotFound(id.to_owned())
}

#[test]
fn groups_are_in_the_state_that_kafka_would_list() {
    let states = |id, offsets: &[i64]| -> Vec<_> {
        offsets.iter().map(|offset| World::new(id, *offset).listed().map(|(_, state, _)| state)).collect()
    };
    let consumer = states("consumer-asked", &[4, 6, 8, 9, 12, 15, 16, 25]);
    let expected = [None, Some("Assigning"), Some("Reconciling"), Some("Stable"), Some("Assigning")];
    assert_eq!(consumer[..5], expected);
    assert_eq!(consumer[5..], [Some("Reconciling"), Some("Reconciling"), Some("Empty")], "offsets are left in the end");
    assert_eq!(states("regex-group", &[95, 102, 105]), [Some("Stable"), Some("Empty"), Some("Empty")]);
    assert_eq!(states("share-asked", &[36, 46, 51, 56]), [Some("Stable"), Some("Stable"), Some("Empty"), None]);
    let streams = states("streams-asked", &[57, 58, 59, 62, 63, 69]);
    let expected = [Some("NotReady"), Some("NotReady"), Some("Assigning"), Some("Reconciling"), Some("Stable")];
    assert_eq!(streams[..5], expected);
    assert_eq!(streams[5], Some("Empty"));
}

#[test]
fn groups_are_listed_with_their_kind() {
    let listed = [("consumer-asked", 9), ("share-asked", 46), ("streams-asked", 63)]
        .map(|(id, offset)| World::new(id, offset).listed().unwrap());
    let stable = |kind, protocol_type: &str| (kind, "Stable", protocol_type.to_owned());
    let expected = [
        stable(GroupType::Consumer, "consumer"),
        stable(GroupType::Share, "share"),
        stable(GroupType::Streams, "streams"),
    ];
    assert_eq!(listed, expected);
}

#[test]
fn to_a_description_of_a_classic_group_they_are_not_there() {
    for (id, offset) in [("consumer-asked", 9), ("regex-group", 105), ("share-asked", 46), ("streams-asked", 63)] {
        let group = World::new(id, offset).group;
        assert_eq!(group.describe(id, &mut Out::default()).unwrap_err(), not_found(id));
    }
}

/// What 4.4.0 answered when it was asked.
#[test]
fn members_commit_under_their_epoch() {
    use GroupError::{StaleMemberEpoch, UnknownMemberId};
    for (id, offset, member) in [("consumer-asked", 9, CONSUMER), ("streams-asked", 63, STREAMS)] {
        let mut world = World::new(id, offset);
        assert_eq!(world.commit(None, None), Err(UnknownMemberId));
        assert_eq!(world.commit(Some("nobody"), Some(2)), Err(UnknownMemberId));
        assert_eq!(world.commit(Some("nobody"), None), Err(UnknownMemberId));
        assert_eq!(world.commit(Some(member), Some(1)), Err(StaleMemberEpoch));
        assert_eq!(world.commit(Some(member), Some(3)), Err(StaleMemberEpoch));
        assert_eq!(world.commit(Some(member), None), Err(StaleMemberEpoch));
        assert_eq!(world.commit(Some(member), Some(2)), Ok(()));

        assert_eq!(world.fetch(None, None), Ok(vec![Some(7)]));
        assert_eq!(world.fetch(Some(member), Some(2)), Ok(vec![Some(7)]));
        assert_eq!(world.fetch(Some(member), Some(1)), Err(StaleMemberEpoch));
        assert_eq!(world.fetch(Some(member), Some(3)), Err(StaleMemberEpoch));
        assert_eq!(world.fetch(Some(member), None), Err(StaleMemberEpoch));
        assert_eq!(world.fetch(Some("nobody"), Some(2)), Err(UnknownMemberId));
    }
}

#[test]
fn a_producer_commits_for_a_member_under_its_epoch_or_says_nothing() {
    use GroupError::{StaleMemberEpoch, UnknownMemberId};
    for (id, offset, member) in [("consumer-asked", 9, CONSUMER), ("streams-asked", 63, STREAMS)] {
        let mut world = World::new(id, offset);
        assert_eq!(world.check_transactional_commit(None, None), Ok(()));
        assert_eq!(world.check_transactional_commit(Some("nobody"), Some(2)), Err(UnknownMemberId));
        assert_eq!(world.check_transactional_commit(None, Some(2)), Err(UnknownMemberId));
        assert_eq!(world.check_transactional_commit(Some(member), Some(1)), Err(StaleMemberEpoch));
        assert_eq!(world.check_transactional_commit(Some(member), Some(3)), Err(StaleMemberEpoch));
        assert_eq!(world.check_transactional_commit(Some(member), Some(2)), Ok(()));
    }
    for (id, offset) in [("regex-group", 105), ("streams-asked", 69)] {
        let mut world = World::new(id, offset);
        assert_eq!(world.check_transactional_commit(Some("nobody"), Some(2)), Err(UnknownMemberId));
        assert_eq!(world.check_transactional_commit(Some("nobody"), None), Ok(()));
    }
}

#[test]
fn a_classic_member_among_consumers_has_a_generation() {
    let mut world = World::new("consumer-asked", 16);
    assert_eq!(world.check_transactional_commit(Some("nobody"), Some(2)), Err(GroupError::IllegalGeneration));
    assert_eq!(world.check_transactional_commit(Some("nobody"), Some(3)), Ok(()));
    assert_eq!(world.commit(Some("nobody"), Some(2)), Err(GroupError::IllegalGeneration));
    assert_eq!(world.commit(Some("nobody"), Some(3)), Ok(()));
}

#[test]
fn without_members_offsets_are_committed_from_outside() {
    for (id, offset) in [("regex-group", 105), ("streams-asked", 69)] {
        let mut world = World::new(id, offset);
        assert_eq!(world.commit(Some("nobody"), Some(2)), Err(GroupError::UnknownMemberId));
        assert_eq!(world.commit(Some("nobody"), None), Ok(()));
        assert_eq!(world.commit(None, None), Ok(()));
        assert_eq!(world.fetch(None, None), Ok(vec![Some(7)]));
        assert_eq!(world.fetch(Some("nobody"), Some(2)), Err(GroupError::UnknownMemberId));
    }
}

#[test]
fn a_share_group_has_no_offsets() {
    for offset in [46, 51] {
        let mut world = World::new("share-asked", offset);
        assert_eq!(world.commit(None, None), Err(not_found("share-asked")));
        assert_eq!(world.check_transactional_commit(None, None), Err(not_found("share-asked")));
        assert_eq!(world.fetch(Some("nobody"), Some(3)), Ok(vec![None]));
        assert_eq!(world.delete_offset("one"), Err(not_found("share-asked")));
    }
}

#[test]
fn offsets_of_a_topic_in_use_are_not_deleted() {
    let mut world = World::new("consumer-asked", 9);
    assert_eq!(world.delete_offset("one"), Ok(Err(GroupError::GroupSubscribedToTopic)));
    assert_eq!(world.delete_offset("two"), Ok(Ok(())));
    let mut with_a_pattern = World::new("regex-group", 95);
    assert_eq!(with_a_pattern.delete_offset("one"), Ok(Err(GroupError::GroupSubscribedToTopic)));
    let mut empty = World::new("regex-group", 105);
    assert_eq!(empty.delete_offset("one"), Ok(Ok(())));
    let mut streams = World::new("streams-asked", 63);
    assert_eq!(streams.delete_offset("one"), Ok(Err(GroupError::GroupSubscribedToTopic)));
}

#[test]
fn classic_requests_know_no_member() {
    for (id, offset) in [("consumer-asked", 9), ("regex-group", 105), ("share-asked", 46), ("streams-asked", 63)] {
        let mut world = World::new(id, offset);
        let (beat, _) = world.step(|group, cx, out| group.heartbeat(cx, CONSUMER, None, 2, out));
        assert_eq!(beat, Err(GroupError::UnknownMemberId));
        let leaving = [Leaving { member_id: Some(Arc::from("nobody")), group_instance_id: None, reason: None }];
        let (left, _) = world.step(|group, cx, out| group.leave(cx, &leaving, out));
        assert_eq!(left, [Err(GroupError::UnknownMemberId)]);
        let sync = Sync {
            group_id: Arc::from(id),
            member_id: Arc::from(CONSUMER),
            group_instance_id: None,
            generation: 2,
            protocol_type: None,
            protocol_name: None,
            assignments: Vec::new(),
        };
        let ((), mut out) = world.decide(|group, cx, out| group.sync(cx, Ticket(1), sync, out));
        assert_eq!(out.take_replies(), [(Ticket(1), Reply::Sync(Err(GroupError::UnknownMemberId)))]);
    }
}

#[test]
fn an_empty_group_gives_way_to_a_classic_member() {
    for (id, offset, records) in [("regex-group", 105, 2), ("streams-asked", 69, 3)] {
        let mut world = World::new(id, offset);
        assert_eq!(world.join(Some("m"), "consumer"), (refused(GroupError::UnknownMemberId, Some("m")), 0));
        assert_eq!(world.join(None, "consumer"), (refused(GroupError::GivingWay, None), records));
        let listed = world.listed();
        assert_eq!(listed, Some((GroupType::Classic, "Empty", String::new())), "the offsets are still there");
    }
}

#[test]
fn consumers_give_way_to_a_classic_one() {
    let mut world = World::new("consumer-asked", 16);
    assert_eq!(world.join(None, "connect"), (refused(GroupError::InconsistentGroupProtocol, None), 0));
    assert_eq!(world.join(Some("nobody"), "consumer"), (refused(GroupError::UnknownMemberId, Some("nobody")), 0));
    assert_eq!(world.join(None, "consumer"), (refused(GroupError::GivingWay, None), 8));
    assert_eq!(world.commit(Some(CONSUMER), Some(2)), Err(GroupError::UnknownMemberId));
}

#[test]
fn share_groups_and_streams_groups_with_members_do_not_give_way() {
    for (id, offset) in [("share-asked", 46), ("share-asked", 51), ("streams-asked", 63)] {
        let mut world = World::new(id, offset);
        for member_id in [None, Some("nobody")] {
            let inconsistent = refused(GroupError::InconsistentGroupProtocol, None);
            assert_eq!(world.join(member_id, "consumer"), (inconsistent, 0));
        }
    }
}

/// Kafka wrote these when it had the classic member that came last take the group over. It also takes away what no release since
/// 4.0 has written.
#[test]
fn records_are_taken_away_in_kafkas_order() {
    let mut world = World::new("consumer-asked", 16);
    let ((), out) = world.decide(|group, cx, out| group.join(cx, Ticket(1), join("", None, "consumer"), out));
    let ours: Vec<_> = out.records().iter().map(|record| record.encode().unwrap()).collect();
    let kafkas: Vec<_> = written_by_kafka()
        .into_iter()
        .filter(|(place, _, _)| (17..=25).contains(&place.offset) && place.offset != 24)
        .map(|(_, key, value)| (key, value))
        .collect();
    assert_eq!(ours, kafkas);
}

#[test]
fn a_group_without_members_is_deleted() {
    assert_eq!(World::new("consumer-asked", 9).delete(), (Err(GroupError::NonEmptyGroup), 0));
    assert_eq!(World::new("share-asked", 46).delete(), (Err(GroupError::NonEmptyGroup), 0));
    assert_eq!(World::new("share-asked", 53).delete(), (Err(GroupError::UnsupportedForGroup), 0));
    for (id, offset, records) in [("share-asked", 55, 1), ("regex-group", 105, 6), ("streams-asked", 69, 4)] {
        let mut world = World::new(id, offset);
        assert_eq!(world.delete(), (Ok(()), records), "{id}");
        assert!(world.group.is_vacant());
    }
}

#[test]
fn members_last_for_a_session() {
    let mut world = World::new("consumer-asked", 9);
    let end = world.now.monotonic + SESSION_TIMEOUT;
    assert_eq!(world.group.next_deadline(), Some(end));
    world.now.monotonic = end - Duration::from_millis(1);
    assert_eq!(world.step(|group, cx, out| group.tick(cx, out)).1, 0);
    world.now.monotonic = end;
    assert_eq!(world.step(|group, cx, out| group.tick(cx, out)).1, 3);
    assert_eq!(world.listed(), Some((GroupType::Consumer, "Empty", "consumer".to_owned())));
    assert_eq!(world.group.next_deadline(), None);
    assert_eq!(world.step(|group, cx, out| group.tick(cx, out)).1, 0);
    assert_eq!(world.commit(None, None), Ok(()));
}

#[test]
fn members_that_cannot_be_taken_away_have_another_session() {
    let mut world = World::new("consumer-asked", 9);
    world.now.monotonic += SESSION_TIMEOUT;
    let ((), mut out) = world.decide(|group, cx, out| group.tick(cx, out));
    let records = out.take_records();
    world.step(|group, cx, out| group.refused(cx, &records, out));
    assert_eq!(world.group.next_deadline(), Some(world.now.monotonic + SESSION_TIMEOUT));
    assert_eq!(world.listed().unwrap().1, "Stable");
}

#[test]
fn a_session_begins_anew_after_a_stall() {
    let mut world = World::new("consumer-asked", 9);
    world.now.monotonic += Duration::from_secs(20);
    world.step(|group, cx, _| group.after_stall(cx));
    assert_eq!(world.group.next_deadline(), Some(world.now.monotonic + SESSION_TIMEOUT));
}

#[test]
fn the_group_expires_with_its_last_offset() {
    let expire = |world: &mut World| {
        let id = world.id;
        world.step(|group, cx, out| group.expire_offsets(cx, id, out)).1
    };
    let mut world = World::new("regex-group", 105);
    assert_eq!(expire(&mut world), 0);
    world.now.wall = i64::MAX;
    assert_eq!(expire(&mut world), 6, "four offsets and two records of the group");
    assert!(world.group.is_vacant());

    let mut with_members = World::new("regex-group", 99);
    with_members.now.wall = i64::MAX;
    assert_eq!(expire(&mut with_members), 0, "its members may subscribe to any topic");

    let mut share = World::new("share-asked", 51);
    assert_eq!(expire(&mut share), 0, "a share group stays");
}

#[test]
fn a_tombstone_of_another_kind_says_nothing() {
    let mut world = World::new("share-asked", 51);
    let key = Bytes::from_static(b"\x00\x03\x00\x0bshare-asked");
    let tombstone = GroupRecord::Foreign(ForeignRecord::tombstone(&key));
    world.group.apply(Place { offset: 60, producer_id: None }, &tombstone);
    assert_eq!(world.listed().unwrap().0, GroupType::Share);
}
