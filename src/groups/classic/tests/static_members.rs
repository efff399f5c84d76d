use std::{sync::Arc, time::Duration};

use super::context::{Context, assignment, by_id, join, secs, static_join, sync};
use crate::groups::{
    classic::{Join, Leaving, Sync, protocols::tests::subscription},
    error::GroupError,
    group::Asking,
};

/// A stable group of the static members a, its leader, and b.
fn two() -> (Context, Vec<Arc<str>>, i32) {
    let mut context = Context::new();
    let (ids, generation) = context.stable(vec![static_join("a"), static_join("b")]);
    (context, ids, generation)
}

#[test]
fn a_member_that_comes_back_disturbs_nobody() {
    let (mut context, ids, generation) = two();
    let ticket = context.join(Join { client_id: "other".into(), ..static_join("b") });
    let joined = context.joined(ticket);
    assert_ne!(joined.member_id, ids[1]);
    assert!(joined.member_id.starts_with("b-"));
    assert_eq!((joined.generation, &joined.leader, joined.skip_assignment), (generation, &ids[0], false));
    assert!(joined.members.is_empty());
    assert_eq!(context.state(), "Stable");
    assert_eq!(context.heartbeat(&ids[0], generation), Ok(()));

    let synced = context.sync(sync(&joined.member_id, generation));
    assert_eq!(context.synced(synced).assignment, assignment(generation, &ids[1]), "what its older self had");
    let record = context.last_record();
    let written = [0, 1].map(|index| &*record.members[index].member_id);
    assert_eq!((record.generation, written), (generation, [&*ids[0], &*joined.member_id]));
    assert_eq!(&*record.members[1].client_id, "client", "as in Kafka");
}

#[test]
fn a_leader_that_comes_back_is_told_to_assign_nothing() {
    let (mut context, ids, generation) = two();
    let other = vec![("range".into(), subscription(1, &["topic"]))];
    let ticket = context.join(Join { protocols: other.clone(), ..static_join("a") });
    let joined = context.joined(ticket);
    assert_eq!((&joined.leader, joined.skip_assignment, joined.generation), (&joined.member_id, true, generation));
    let members: Vec<_> = joined.members.iter().map(|member| &member.member_id).collect();
    assert_eq!(members, [&joined.member_id, &ids[1]]);
    assert_eq!(joined.members[0].metadata, other[0].1);
    assert_eq!(context.last_record().leader.as_deref(), Some(&*joined.member_id));
    let again = context.join(Join { member_id: Some(joined.member_id), ..static_join("a") });
    context.waits(again);
    assert_eq!(context.state(), "PreparingRebalance", "it is the leader");
}

#[test]
fn a_leader_that_cannot_be_told_so_is_called_a_follower() {
    let (mut context, ids, generation) = two();
    let ticket = context.join(Join { can_skip_assignment: false, ..static_join("a") });
    let joined = context.joined(ticket);
    assert_eq!((&joined.leader, joined.skip_assignment, joined.generation), (&ids[0], false, generation));
    assert!(joined.members.is_empty() && joined.member_id != ids[0]);
}

#[test]
fn the_older_self_is_fenced() {
    let (mut context, ids, generation) = two();
    let ticket = context.join(static_join("b"));
    let new = context.joined(ticket).member_id;
    let instance: Option<Arc<str>> = Some("b".into());

    let ticket = context.join(Join { member_id: Some(ids[1].clone()), ..static_join("b") });
    assert_eq!(context.refused(ticket), (GroupError::FencedInstanceId, Some(ids[1].clone())));
    let ticket = context.sync(Sync { group_instance_id: instance.clone(), ..sync(&ids[1], generation) });
    assert_eq!(context.refused(ticket).0, GroupError::FencedInstanceId);
    let beat = context.step(|group, cx, out| group.heartbeat(cx, &ids[1], instance.as_deref(), generation, out));
    assert_eq!(beat, Some(Err(GroupError::FencedInstanceId)));
    let leaving = Leaving { group_instance_id: instance.clone(), ..by_id(&ids[1]) };
    assert_eq!(context.leave(&[leaving]), [Err(GroupError::FencedInstanceId)]);
    let mut asking =
        Asking { member_id: Some(ids[1].clone()), group_instance_id: instance, generation: Some(generation) };
    assert_eq!(context.check_commit(&asking), Err(GroupError::FencedInstanceId));
    assert_eq!(context.check_transactional_commit(&asking), Err(GroupError::FencedInstanceId));
    asking.member_id = Some(new);
    assert_eq!(context.check_commit(&asking), Ok(()));
    assert_eq!(context.heartbeat(&ids[1], generation), Err(GroupError::UnknownMemberId), "without its instance id");
}

#[test]
fn a_member_that_would_change_the_protocol_begins_a_rebalance() {
    let mut context = Context::new();
    let protocols = |names: [&str; 2]| names.map(|name| (name.into(), subscription(0, &["topic"]))).to_vec();
    let with = |instance, names| Join { protocols: protocols(names), ..static_join(instance) };
    let (ids, generation) = context.stable(vec![with("a", ["x", "y"]), with("b", ["x", "y"]), with("c", ["y", "x"])]);
    assert_eq!(context.last_record().protocol.as_deref(), Some("x"));
    let ticket = context.join(with("b", ["y", "x"]));
    context.waits(ticket);
    for (id, instance) in [(&ids[0], "a"), (&ids[2], "c")] {
        assert_eq!(context.heartbeat(id, generation), Err(GroupError::RebalanceInProgress));
        context.join(Join { member_id: Some(id.clone()), ..with(instance, ["y", "x"]) });
    }
    assert_eq!(context.joined(ticket).protocol_name.as_deref(), Some("y"));
}

#[test]
fn nothing_has_changed_if_it_could_not_be_written() {
    let (mut context, ids, generation) = two();
    let before = context.classic().hard_state();
    context.refuses = true;
    let ticket = context.join(static_join("b"));
    context.is_not_written(ticket);
    assert_eq!(context.classic().hard_state(), before);
    assert_eq!(context.heartbeat(&ids[1], generation), Ok(()));
    context.refuses = false;
    let ticket = context.join(static_join("b"));
    assert_eq!(context.joined(ticket).generation, generation);
}

#[test]
fn an_older_self_that_joins_is_fenced() {
    let (mut context, ids, generation) = two();
    let older = context.join(Join { member_id: Some(ids[0].clone()), ..static_join("a") });
    let newer = context.join(static_join("a"));
    assert_eq!(context.refused(older), (GroupError::FencedInstanceId, Some(ids[0].clone())));
    context.waits(newer);
    let other = context.join(Join { member_id: Some(ids[1].clone()), ..static_join("b") });
    let joined = context.joined(newer);
    assert_eq!((joined.generation, &joined.leader), (generation + 1, &joined.member_id));
    assert_eq!(context.joined(other).leader, joined.member_id);
}

#[test]
fn a_member_that_has_come_back_is_not_new() {
    let (mut context, ids, generation) = two();
    context.join(static_join("c"));
    let newer = context.join(static_join("c"));
    for _ in 0..4 {
        context.pass(secs(5));
        for id in &ids {
            assert_eq!(context.heartbeat(id, generation), Err(GroupError::RebalanceInProgress));
        }
    }
    context.waits(newer);
    assert_eq!(context.classic().members.len(), 3, "who waits need not be heard of");
}

#[test]
fn an_older_self_that_syncs_is_fenced() {
    let mut context = Context::new();
    let joins = vec![static_join("a"), static_join("b"), join("c")];
    let (ids, generation) = context.completing(joins);
    let older = context.sync(sync(&ids[1], generation));
    let other = context.sync(sync(&ids[2], generation));
    let newer = context.join(static_join("b"));
    assert_eq!(context.refused(older).0, GroupError::FencedInstanceId);
    assert_eq!(context.refused(other).0, GroupError::RebalanceInProgress);
    context.waits(newer);
}

#[test]
fn a_member_that_has_come_back_has_a_session() {
    let (mut context, ids, generation) = two();
    context.pass(secs(9));
    let ticket = context.join(Join { session_timeout_ms: 20_000, ..static_join("b") });
    let new = context.joined(ticket).member_id;
    assert_eq!(context.heartbeat(&ids[0], generation), Ok(()));
    context.pass(secs(9));
    assert_eq!(context.heartbeat(&ids[0], generation), Ok(()));
    context.pass(secs(9));
    assert_eq!(context.heartbeat(&ids[0], generation), Ok(()));
    assert_eq!(context.state(), "Stable");
    context.pass(secs(2));
    assert_eq!(context.heartbeat(&new, generation), Err(GroupError::UnknownMemberId));
    assert_eq!(context.state(), "PreparingRebalance");
}

#[test]
fn a_member_that_has_come_back_has_to_sync_if_its_older_self_had_to() {
    let mut context = Context::new();
    let (ids, generation) = context.completing(vec![static_join("a"), static_join("b")]);
    context.sync(sync(&ids[0], generation));
    let ticket = context.join(static_join("b"));
    let new = context.joined(ticket).member_id;
    for _ in 0..11 {
        context.pass(secs(5));
        assert_eq!(context.heartbeat(&ids[0], generation), Ok(()));
        assert_eq!(context.heartbeat(&new, generation), Ok(()));
    }
    context.pass(secs(5));
    assert_eq!(context.heartbeat(&new, generation), Err(GroupError::UnknownMemberId));
}

#[test]
fn a_static_member_is_expected_back_until_its_session_ends() {
    let (mut context, _, generation) = two();
    context.pass(Duration::from_millis(9_999));
    let ticket = context.join(static_join("b"));
    assert_eq!(context.joined(ticket).generation, generation);
    context.pass(Duration::from_millis(1));
    assert_eq!(context.state(), "PreparingRebalance", "the other is gone");
    let ticket = context.join(static_join("a"));
    context.waits(ticket);
}

#[test]
fn a_rolling_restart_of_members_and_broker_needs_no_rebalance() {
    let (mut context, mut ids, generation) = two();
    for _ in 0..3 {
        for (index, instance) in ["a", "b"].into_iter().enumerate() {
            context.restart();
            let ticket = context.join(static_join(instance));
            let joined = context.joined(ticket);
            assert_eq!((joined.generation, context.state()), (generation, "Stable"));
            ids[index] = joined.member_id;
            let ticket = context.sync(sync(&ids[index], generation));
            assert!(!context.synced(ticket).assignment.is_empty());
        }
    }
}
