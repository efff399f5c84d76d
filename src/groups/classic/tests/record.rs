use bytes::Bytes;

use super::context::{Context, assignment, by_id, join, secs, static_join, sync};
use crate::{
    coordinator::machine::{Machine, Place},
    groups::{
        classic::{Join, Sync, protocols::tests::subscription},
        description::{GroupType, Listed},
        error::GroupError,
        group::Asking,
        records::GroupRecord,
    },
    protocol::messages::{GroupMetadataKey, GroupMetadataValue, group_metadata_value::MemberMetadata},
};

fn asking(member_id: Option<&str>, generation: Option<i32>) -> Asking {
    Asking { member_id: member_id.map(Into::into), group_instance_id: None, generation }
}

impl Context {
    /// Restarts on a log that says this at its end.
    fn restart_with(&mut self, value: Option<GroupMetadataValue>) {
        let key = GroupMetadataKey { group: "group".into() };
        self.journal.push(GroupRecord::Group(key, value));
        self.restart();
    }
}

#[test]
fn a_group_outlives_its_broker() {
    let mut context = Context::new();
    let (ids, generation) = context.stable(vec![join("a"), static_join("b")]);
    let before = context.classic().hard_state();
    context.restart();
    assert_eq!(context.classic().hard_state(), before);
    for id in &ids {
        assert_eq!(context.heartbeat(id, generation), Ok(()));
        let ticket = context.sync(sync(id, generation));
        assert_eq!(context.synced(ticket).assignment, assignment(generation, id));
    }
    context.pass(secs(10));
    assert_eq!(context.state(), "Empty", "nothing was heard of anybody");
}

#[test]
fn a_generation_that_was_not_synced_is_lost_with_its_broker() {
    let mut context = Context::new();
    let (ids, generation) = context.completing(vec![join("a")]);
    context.restart();
    assert_eq!(context.state(), "Empty");
    assert_eq!(context.heartbeat(&ids[0], generation), Err(GroupError::UnknownMemberId));
    let (_, next) = context.stable(vec![join("a")]);
    assert_eq!(next, 1);
}

#[test]
fn a_group_that_is_too_large_after_a_restart_gets_smaller() {
    let mut context = Context::new();
    let (ids, generation) = context.stable(vec![join("a"), join("b"), join("c")]);
    context.settings.max_size = 2;
    context.restart();
    assert_eq!(context.heartbeat(&ids[0], generation), Err(GroupError::RebalanceInProgress));
    let tickets: Vec<_> =
        ids.iter().map(|id| context.join(Join { member_id: Some(id.clone()), ..join("again") })).collect();
    assert_eq!(context.refused(tickets[2]).0, GroupError::GroupMaxSizeReached);
    assert_eq!(context.joined(tickets[0]).members.len(), 2);
    context.joined(tickets[1]);
}

#[test]
fn a_group_that_is_deleted_is_gone() {
    let mut context = Context::new();
    let (ids, _) = context.stable(vec![join("a")]);
    let id = "group";
    let deleted = context.step(|group, _, out| group.delete(id, out));
    assert_eq!(deleted, Some(Err(GroupError::NonEmptyGroup)));
    context.leave(&[by_id(&ids[0])]);
    let deleted = context.step(|group, _, out| group.delete(id, out));
    assert_eq!(deleted, Some(Ok(())));
    assert!(context.group.is_vacant() && context.replayed().is_vacant());
    let deleted = context.step(|group, _, out| group.delete(id, out));
    assert!(matches!(deleted, Some(Err(GroupError::GroupIdNotFound(_)))));
    let (_, generation) = context.stable(vec![join("a")]);
    assert_eq!(generation, 1);
}

#[test]
fn a_group_is_empty_even_if_that_could_not_be_written() {
    let mut context = Context::new();
    let (ids, generation) = context.stable(vec![join("a")]);
    context.refuses = true;
    let left = context.step(|group, cx, out| group.leave(cx, &[by_id(&ids[0])], out));
    assert!(left.is_none());
    assert_eq!(context.state(), "Empty");
    context.refuses = false;
    let (_, next) = context.stable(vec![join("b")]);
    assert_eq!(next, generation + 2);
}

#[test]
fn old_and_odd_records_are_read() {
    let member = MemberMetadata {
        member_id: "a-1".into(),
        group_instance_id: Some("a".into()),
        rebalance_timeout: -1,
        session_timeout: 7_000,
        subscription: subscription(0, &["topic"]),
        assignment: Bytes::from_static(b"all"),
        ..MemberMetadata::default()
    };
    let newer = MemberMetadata { member_id: "a-2".into(), ..member.clone() };
    let value = GroupMetadataValue {
        protocol_type: "consumer".into(),
        generation: i32::MAX,
        protocol: Some("range".into()),
        leader: Some("nobody".into()),
        members: vec![member.clone(), newer],
        ..GroupMetadataValue::default()
    };
    let mut context = Context::at_once();
    context.group = context.replayed();
    context.journal.push(GroupRecord::Group(GroupMetadataKey { group: "group".into() }, Some(value)));
    context.group = context.replayed();
    let classic = context.group.classic().expect("a group");
    assert_eq!((classic.current_state_timestamp(), classic.members.len()), (None, 1));
    assert_eq!(classic.members.rebalance_timeout(), secs(7));

    let nameless = GroupMetadataValue { members: vec![member], ..GroupMetadataValue::default() };
    context.journal.clear();
    context.journal.push(GroupRecord::Group(GroupMetadataKey::default(), Some(nameless)));
    context.group = context.replayed();
    context.step(|group, cx, out| group.loaded(cx, out));
    context.pass(secs(7));
    assert_eq!(context.state(), "Empty");
}

#[test]
fn the_generation_after_the_last_is_the_first() {
    let mut context = Context::at_once();
    let empty = GroupMetadataValue { generation: i32::MAX, protocol: None, leader: None, ..Default::default() };
    context.restart_with(Some(empty));
    let (_, generation) = context.stable(vec![join("a")]);
    assert_eq!(generation, 0);
}

#[test]
fn what_is_kept_of_a_record_does_not_hold_the_log() {
    let chunk = Bytes::from(vec![7; 1000]);
    let member = MemberMetadata {
        member_id: "a".into(),
        subscription: chunk.slice(..100),
        assignment: chunk.slice(100..200),
        ..MemberMetadata::default()
    };
    let value = GroupMetadataValue { members: vec![member], ..GroupMetadataValue::default() };
    let mut context = Context::new();
    let record = GroupRecord::Group(GroupMetadataKey { group: "group".into() }, Some(value));
    context.group.apply(Place { offset: 0, producer_id: None }, &record);
    drop(record);
    assert!(chunk.is_unique());
    assert_eq!(context.classic().members.len(), 1);
}

#[test]
fn who_may_commit_depends_on_the_state() {
    let mut context = Context::new();
    let (ids, generation) = context.completing(vec![join("a"), join("b")]);
    let me = Some(&*ids[0]);
    let unknown = || Err(GroupError::UnknownMemberId);
    assert_eq!(context.check_commit(&asking(me, Some(generation))), Err(GroupError::RebalanceInProgress));
    context.sync_all(&ids, generation);
    assert_eq!(context.check_commit(&asking(me, Some(generation))), Ok(()));
    assert_eq!(context.check_commit(&asking(me, Some(generation - 1))), Err(GroupError::IllegalGeneration));
    assert_eq!(context.check_commit(&asking(me, None)), Err(GroupError::IllegalGeneration));
    assert_eq!(context.check_commit(&asking(Some("who"), Some(generation))), unknown());
    assert_eq!(context.check_commit(&asking(None, Some(generation))), unknown());
    assert_eq!(context.check_commit(&asking(None, None)), unknown());
    let named = Asking { group_instance_id: Some("who".into()), ..asking(None, None) };
    assert_eq!(context.check_commit(&named), unknown());

    context.join(join("c"));
    assert_eq!(context.check_commit(&asking(me, Some(generation))), Ok(()), "of the generation that ends");
    context.restart();
    context.leave(&[by_id(&ids[0]), by_id(&ids[1])]);
    assert_eq!(context.check_commit(&asking(None, None)), Ok(()));
    assert_eq!(context.check_commit(&asking(Some("who"), None)), Ok(()));
    assert_eq!(context.check_commit(&asking(me, Some(generation))), unknown());
}

#[test]
fn who_may_commit_with_a_transaction_does_not_depend_on_the_state() {
    let mut context = Context::new();
    let (ids, generation) = context.completing(vec![join("a"), join("b")]);
    let me = Some(&*ids[0]);
    let check = |context: &Context| {
        let unknown = || Err(GroupError::UnknownMemberId);
        assert_eq!(context.check_transactional_commit(&asking(me, Some(generation))), Ok(()));
        assert_eq!(context.check_transactional_commit(&asking(None, None)), Ok(()), "an old client");
        let of_another = asking(me, Some(generation - 1));
        assert_eq!(context.check_transactional_commit(&of_another), Err(GroupError::IllegalGeneration));
        assert_eq!(context.check_transactional_commit(&asking(me, None)), Err(GroupError::IllegalGeneration));
        assert_eq!(context.check_transactional_commit(&asking(Some("who"), Some(generation))), unknown());
        assert_eq!(context.check_transactional_commit(&asking(Some("who"), None)), unknown());
        assert_eq!(context.check_transactional_commit(&asking(None, Some(generation))), unknown());
        let named = Asking { group_instance_id: Some("who".into()), ..asking(None, None) };
        assert_eq!(context.check_transactional_commit(&named), unknown());
    };
    check(&context);
    context.sync_all(&ids, generation);
    check(&context);
    context.join(join("c"));
    check(&context);

    context.restart();
    context.leave(&[by_id(&ids[0]), by_id(&ids[1])]);
    assert_eq!(context.check_transactional_commit(&asking(None, None)), Ok(()));
    assert_eq!(context.check_transactional_commit(&asking(Some("who"), None)), Ok(()));
    let gone = context.check_transactional_commit(&asking(me, Some(generation)));
    assert_eq!(gone, Err(GroupError::UnknownMemberId));
}

#[test]
fn who_commits_is_alive() {
    let mut context = Context::new();
    let (ids, generation) = context.stable(vec![join("a")]);
    for _ in 0..3 {
        context.pass(secs(9));
        assert_eq!(context.check_commit(&asking(Some(&ids[0]), Some(generation))), Ok(()));
    }
    assert_eq!(context.state(), "Stable");
}

#[test]
fn whose_producer_commits_is_not_alive_for_that() {
    let mut context = Context::new();
    let (ids, generation) = context.stable(vec![join("a")]);
    context.pass(secs(9));
    assert_eq!(context.check_transactional_commit(&asking(Some(&ids[0]), Some(generation))), Ok(()));
    context.pass(secs(2));
    assert_eq!(context.state(), "Empty");
}

#[test]
fn the_group_knows_what_its_consumers_subscribe_to() {
    let with = |client, topic| Join { protocols: vec![("range".into(), subscription(3, &[topic]))], ..join(client) };
    let mut context = Context::new();
    context.stable(vec![with("a", "x"), with("b", "y")]);
    let asked = |context: &Context| ["x", "y", "z"].map(|topic| context.classic().subscribes_to(topic));
    assert_eq!(asked(&context), [Some(true), Some(true), Some(false)]);
    context.restart();
    assert_eq!(asked(&context), [Some(true), Some(true), Some(false)]);
    context.pass(secs(10));
    assert_eq!(asked(&context), [Some(false); 3], "nobody is left");

    let unreadable = Join { protocols: vec![("range".into(), Bytes::from_static(b"?"))], ..join("c") };
    let (ids, _) = context.stable(vec![unreadable, with("a", "x")]);
    assert_eq!(asked(&context), [None; 3]);
    context.leave(&[by_id(&ids[0]), by_id(&ids[1])]);
    context.stable(vec![Join { protocol_type: "connect".into(), ..with("d", "x") }]);
    assert_eq!(asked(&context), [None; 3]);
}

#[test]
fn a_group_is_listed_and_described() {
    let mut context = Context::new();
    assert!(context.group.listed().is_none());
    let described = |context: &mut Context| context.step(|group, _, out| group.describe("group", out)).expect("read");
    assert!(matches!(described(&mut context), Err(GroupError::GroupIdNotFound(_))));

    let (ids, generation) = context.completing(vec![join("a"), static_join("b")]);
    let description = described(&mut context).expect("a group");
    assert_eq!((description.state, &*description.protocol_name), ("CompletingRebalance", ""));
    assert!(description.members.iter().all(|member| member.metadata.is_empty() && member.assignment.is_empty()));

    context.sync_all(&ids, generation);
    let description = described(&mut context).expect("a group");
    assert_eq!((&*description.protocol_type, &*description.protocol_name), ("consumer", "range"));
    assert_eq!(context.dependency, 1, "the record of this generation");
    let [a, b] = &description.members[..] else { panic!("{description:?}") };
    assert_eq!((&a.member_id, &a.group_instance_id), (&ids[0], &None));
    assert_eq!((&*b.client_id, &*b.client_host, b.group_instance_id.as_deref()), ("client", "/127.0.0.1", Some("b")));
    assert_eq!((&b.metadata, &b.assignment), (&subscription(0, &["topic"]), &assignment(generation, &ids[1])));

    let listed = Listed { group_type: GroupType::Classic, state: "Stable", protocol_type: "consumer".into() };
    assert_eq!(context.group.listed(), Some(listed));
    context.leave(&[by_id(&ids[0]), by_id(&ids[1])]);
    let description = described(&mut context).expect("a group");
    assert_eq!((description.state, &*description.protocol_type, description.members.len()), ("Empty", "consumer", 0));
}

#[test]
fn the_last_assignment_of_a_member_counts() {
    let mut context = Context::new();
    let (ids, generation) = context.completing(vec![join("a")]);
    let twice = vec![(ids[0].clone(), Bytes::from_static(b"1")), (ids[0].clone(), Bytes::from_static(b"2"))];
    let ticket = context.sync(Sync { assignments: twice, ..sync(&ids[0], generation) });
    assert_eq!(context.synced(ticket).assignment, Bytes::from_static(b"2"));
    assert_eq!(context.last_record().members[0].assignment, Bytes::from_static(b"2"));
}
