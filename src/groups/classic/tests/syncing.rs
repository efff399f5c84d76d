use bytes::Bytes;

use super::context::{Context, assignment, assignments, by_id, join, static_join, sync};
use crate::groups::{
    classic::{Join, Sync},
    error::GroupError,
};

#[test]
fn everybody_waits_for_the_leader() {
    let mut context = Context::new();
    let (ids, generation) = context.completing(vec![join("a"), static_join("b"), join("c")]);
    let follower = context.sync(sync(&ids[1], generation));
    context.waits(follower);
    let assignments = assignments(generation, &ids[..2]);
    let leader = context.sync(Sync { assignments, ..sync(&ids[0], generation) });
    for (id, ticket) in ids.iter().zip([leader, follower]) {
        let synced = context.synced(ticket);
        assert_eq!(synced.assignment, assignment(generation, id));
        assert_eq!(synced.protocol_type.as_deref(), Some("consumer"));
        assert_eq!(synced.protocol_name.as_deref(), Some("range"));
    }
    let late = context.sync(sync(&ids[2], generation));
    assert_eq!(context.synced(late).assignment, Bytes::new(), "the leader has left it out");
    assert_eq!(context.dependency, 1, "the record of this generation");
}

#[test]
fn what_the_leader_says_is_written_down() {
    let mut context = Context::new();
    let (ids, generation) = context.completing(vec![join("a"), static_join("b")]);
    let mut assignments = assignments(generation, &ids[1..]);
    assignments.push(("a stranger".into(), Bytes::from_static(b"x")));
    context.sync(Sync { assignments, ..sync(&ids[0], generation) });
    let record = context.last_record();
    assert_eq!((&*record.protocol_type, record.generation), ("consumer", generation));
    assert_eq!(record.protocol.as_deref(), Some("range"));
    assert_eq!(record.leader.as_deref(), Some(&*ids[0]));
    assert_eq!(record.current_state_timestamp, 1_006_000, "when the generation began");
    let written: Vec<_> = record.members.iter().map(|member| (&*member.member_id, member.assignment.clone())).collect();
    assert_eq!(written, [(&*ids[0], Bytes::new()), (&*ids[1], assignment(generation, &ids[1]))]);
    let second = &record.members[1];
    assert_eq!(second.group_instance_id.as_deref(), Some("b"));
    assert_eq!((&*second.client_id, &*second.client_host), ("client", "/127.0.0.1"));
    assert_eq!((second.session_timeout, second.rebalance_timeout), (10_000, 60_000));
    assert_eq!(second.subscription, join("b").protocols[0].1);
}

#[test]
fn a_sync_that_comes_again_gets_the_same() {
    let mut context = Context::new();
    let (ids, generation) = context.stable(vec![join("a"), join("b")]);
    for id in &ids {
        let ticket = context.sync(sync(id, generation));
        assert_eq!(context.synced(ticket).assignment, assignment(generation, id));
    }
    assert_eq!(context.journal.len(), 2, "nothing is written for that");
}

#[test]
fn who_syncs_twice_hears_the_second_answer() {
    let mut context = Context::new();
    let (ids, generation) = context.completing(vec![join("a"), join("b")]);
    let first = context.sync(sync(&ids[1], generation));
    let second = context.sync(sync(&ids[1], generation));
    assert_eq!(context.refused(first).0, GroupError::RebalanceInProgress);
    context.sync(sync(&ids[0], generation));
    context.synced(second);
}

#[test]
fn who_is_of_another_generation_or_protocol_gets_nothing() {
    let mut context = Context::new();
    let (ids, generation) = context.completing(vec![join("a"), static_join("b")]);
    let mine = || sync(&ids[0], generation);
    let foreign = [
        (Sync { member_id: "who".into(), ..mine() }, GroupError::UnknownMemberId),
        (Sync { group_instance_id: Some("who".into()), ..mine() }, GroupError::UnknownMemberId),
        (Sync { group_instance_id: Some("b".into()), ..mine() }, GroupError::FencedInstanceId),
        (Sync { generation: generation - 1, ..mine() }, GroupError::IllegalGeneration),
        (Sync { generation: generation + 1, ..mine() }, GroupError::IllegalGeneration),
        (Sync { protocol_type: Some("connect".into()), ..mine() }, GroupError::InconsistentGroupProtocol),
        (Sync { protocol_name: Some("sticky".into()), ..mine() }, GroupError::InconsistentGroupProtocol),
    ];
    for (request, expected) in foreign {
        let ticket = context.sync(request);
        assert_eq!(context.refused(ticket).0, expected);
    }
    let named = Sync { protocol_type: Some("consumer".into()), protocol_name: Some("range".into()), ..mine() };
    let ticket = context.sync(named);
    context.synced(ticket);
}

#[test]
fn there_is_nothing_to_get_without_a_generation() {
    let mut context = Context::new();
    let ticket = context.sync(sync(&"me".into(), 0));
    assert_eq!(context.refused(ticket).0, GroupError::UnknownMemberId);
    let (ids, generation) = context.stable(vec![join("a"), join("b")]);
    context.join(Join { member_id: Some(ids[0].clone()), ..join("a") });
    let ticket = context.sync(sync(&ids[1], generation));
    assert_eq!(context.refused(ticket).0, GroupError::RebalanceInProgress);
    context.leave(&[by_id(&ids[0]), by_id(&ids[1])]);
    let ticket = context.sync(sync(&ids[1], generation));
    assert_eq!(context.refused(ticket).0, GroupError::UnknownMemberId);
}

#[test]
fn a_generation_that_cannot_be_written_assigns_nothing() {
    let mut context = Context::new();
    let (ids, generation) = context.completing(vec![join("a"), join("b")]);
    let follower = context.sync(sync(&ids[1], generation));
    context.refuses = true;
    let leader = context.sync(Sync { assignments: assignments(generation, &ids), ..sync(&ids[0], generation) });
    context.is_not_written(leader);
    context.is_not_written(follower);
    assert_eq!((context.state(), context.journal.len()), ("PreparingRebalance", 1));

    context.refuses = false;
    let tickets: Vec<_> =
        ids.iter().map(|id| context.join(Join { member_id: Some(id.clone()), ..join("again") })).collect();
    for ticket in tickets {
        assert_eq!(context.joined(ticket).generation, generation + 1);
    }
    context.sync_all(&ids, generation + 1);
}

#[test]
fn a_heartbeat_tells_whether_to_join_again() {
    let mut context = Context::new();
    assert_eq!(context.heartbeat("me", 0), Err(GroupError::UnknownMemberId));
    let (ids, generation) = context.completing(vec![join("a"), join("b")]);
    assert_eq!(context.heartbeat(&ids[0], generation), Ok(()));
    assert_eq!(context.heartbeat(&ids[0], generation - 1), Err(GroupError::IllegalGeneration));
    context.sync_all(&ids, generation);
    assert_eq!(context.heartbeat(&ids[0], generation), Ok(()));
    assert_eq!(context.heartbeat("me", generation), Err(GroupError::UnknownMemberId));
    context.join(join("c"));
    assert_eq!(context.heartbeat(&ids[0], generation), Err(GroupError::RebalanceInProgress));
}
