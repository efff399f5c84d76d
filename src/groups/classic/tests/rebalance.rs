use std::{sync::Arc, time::Duration};

use super::context::{Context, by_id, join, secs, static_join, sync};
use crate::coordinator::machine::Machine;
use crate::groups::{classic::Join, error::GroupError, group::Group};

fn again(member_id: &Arc<str>, client: &str) -> Join {
    Join { member_id: Some(member_id.clone()), ..join(client) }
}

#[test]
fn the_first_rebalance_gives_others_time_to_come() {
    let mut context = Context::new();
    let first = context.join(join("a"));
    context.pass(Duration::from_millis(2_999));
    context.waits(first);
    context.pass(Duration::from_millis(1));
    assert_eq!(context.joined(first).members.len(), 1);
}

#[test]
fn the_time_is_longer_while_others_come_but_not_for_ever() {
    let mut context = Context::new();
    let hasty = |client| Join { rebalance_timeout_ms: 7_000, ..join(client) };
    let first = context.join(hasty("a"));
    context.pass(secs(2));
    context.join(hasty("b"));
    context.pass(secs(3));
    context.waits(first);
    context.join(hasty("c"));
    context.pass(Duration::from_millis(1_999));
    context.waits(first);
    context.join(hasty("d"));
    context.pass(Duration::from_millis(1));
    assert_eq!(context.joined(first).members.len(), 4, "seven seconds after the first");
}

#[test]
fn the_time_ends_when_nobody_comes_any_more() {
    let mut context = Context::new();
    let first = context.join(join("a"));
    context.pass(secs(1));
    context.join(join("b"));
    context.pass(Duration::from_millis(4_999));
    context.waits(first);
    context.pass(Duration::from_millis(1));
    assert_eq!(context.joined(first).members.len(), 2, "twice three seconds after the first");
}

#[test]
fn a_group_that_gives_no_time_begins_at_once() {
    let mut context = Context::at_once();
    let first = context.join(join("a"));
    assert_eq!(context.joined(first).generation, 1);
    assert_eq!(context.journal.len(), 1, "that the group is there");
}

#[test]
fn all_leave_before_the_first_generation() {
    let mut context = Context::new();
    let only = context.join(static_join("a"));
    let id = context.classic().members.static_id("a").cloned().expect("a member");
    context.leave(&[by_id(&id)]);
    assert_eq!(context.refused(only), (GroupError::UnknownMemberId, None));
    context.pass(secs(3));
    assert_eq!((context.state(), context.last_record().generation), ("Empty", 1));
}

#[test]
fn a_generation_begins_when_all_have_joined() {
    let mut context = Context::new();
    let (ids, generation) = context.stable(vec![join("a"), join("b")]);
    let new = context.join(join("c"));
    let follower = context.join(again(&ids[1], "b"));
    context.waits(new);
    let leader = context.join(again(&ids[0], "a"));
    let joined = context.joined(leader);
    assert_eq!((joined.generation, joined.members.len()), (generation + 1, 3));
    assert_eq!(joined.leader, ids[0]);
    for follower in [new, follower] {
        let joined = context.joined(follower);
        assert_eq!((joined.leader, joined.members.len()), (ids[0].clone(), 0));
    }
}

#[test]
fn who_is_late_is_removed_but_for_static_members() {
    let mut context = Context::new();
    let hasty = |join| Join { rebalance_timeout_ms: 5_000, ..join };
    let joins = vec![hasty(join("a")), hasty(join("b")), hasty(static_join("c"))];
    let (ids, generation) = context.stable(joins);
    let new = context.join(hasty(join("new")));
    let waiting = context.join(hasty(again(&ids[1], "b")));
    context.pass(Duration::from_millis(4_999));
    context.waits(waiting);
    context.pass(Duration::from_millis(1));
    let joined = context.joined(waiting);
    assert_eq!((joined.generation, &joined.leader), (generation + 1, &ids[1]), "who has been there longest");
    let members: Vec<_> = joined.members.iter().map(|member| member.group_instance_id.as_deref()).collect();
    assert_eq!(members, [None, Some("c"), None]);
    context.joined(new);
    assert_eq!(context.heartbeat(&ids[0], generation), Err(GroupError::UnknownMemberId));
    assert_eq!(context.heartbeat(&ids[2], generation), Err(GroupError::IllegalGeneration));
}

#[test]
fn a_rebalance_that_nobody_joins_goes_on() {
    let mut context = Context::new();
    let (ids, generation) = context.stable(vec![static_join("a")]);
    context.join(static_join("b"));
    let b = context.classic().members.static_id("b").cloned().expect("a member");
    context.leave(&[by_id(&b)]);
    for _ in 0..30 {
        context.pass(secs(5));
        assert_eq!(context.heartbeat(&ids[0], generation), Err(GroupError::RebalanceInProgress));
    }
    context.pass(secs(10));
    assert_eq!((context.state(), context.last_record().generation), ("Empty", generation + 1));
}

#[test]
fn who_does_not_sync_is_removed() {
    let mut context = Context::new();
    let hasty = |join| Join { rebalance_timeout_ms: 8_000, ..join };
    let (ids, generation) = context.completing(vec![hasty(join("a")), hasty(join("b")), hasty(static_join("c"))]);
    let leader = context.sync(sync(&ids[0], generation));
    context.synced(leader);
    for _ in 0..2 {
        context.pass(secs(3));
        for id in &ids {
            context.heartbeat(id, generation).expect("stable");
        }
    }
    context.pass(secs(2));
    assert_eq!(context.state(), "PreparingRebalance");
    assert_eq!(context.heartbeat(&ids[0], generation), Err(GroupError::RebalanceInProgress));
    for id in &ids[1..] {
        assert_eq!(context.heartbeat(id, generation), Err(GroupError::UnknownMemberId));
    }
}

#[test]
fn a_leader_that_does_not_sync_lets_nobody_wait() {
    let mut context = Context::new();
    let hasty = |join| Join { rebalance_timeout_ms: 8_000, ..join };
    let (ids, generation) = context.completing(vec![hasty(join("a")), hasty(join("b"))]);
    let waiting = context.sync(sync(&ids[1], generation));
    context.pass(secs(5));
    context.heartbeat(&ids[0], generation).expect("completing");
    context.pass(secs(3));
    assert_eq!(context.refused(waiting).0, GroupError::RebalanceInProgress);
    let joined = context.join(Join { rebalance_timeout_ms: 8_000, ..again(&ids[1], "b") });
    assert_eq!(context.joined(joined).leader, ids[1]);
}

#[test]
fn a_member_that_is_silent_is_removed() {
    let mut context = Context::new();
    let (ids, generation) = context.stable(vec![join("a"), join("b")]);
    context.pass(Duration::from_millis(9_999));
    context.heartbeat(&ids[1], generation).expect("alive");
    assert_eq!(context.dependency, 1, "the record of this generation");
    context.pass(Duration::from_millis(1));
    assert_eq!(context.heartbeat(&ids[0], generation), Err(GroupError::UnknownMemberId));
    assert_eq!(context.heartbeat(&ids[1], generation), Err(GroupError::RebalanceInProgress));
    context.pass(secs(10));
    assert_eq!(context.state(), "Empty");
}

#[test]
fn a_silent_member_disturbs_a_rebalance_that_completes() {
    let mut context = Context::new();
    let (ids, generation) = context.completing(vec![join("a"), join("b")]);
    let waiting = context.sync(sync(&ids[1], generation));
    context.pass(secs(10));
    assert_eq!(context.refused(waiting).0, GroupError::RebalanceInProgress);
    let rejoined = context.join(again(&ids[1], "b"));
    assert_eq!(context.joined(rejoined).members.len(), 1);
}

#[test]
fn who_waits_need_not_be_heard_of() {
    let mut context = Context::new();
    let (ids, generation) = context.stable(vec![join("a"), join("b")]);
    let waiting = context.join(again(&ids[0], "a"));
    for _ in 0..11 {
        context.pass(secs(5));
        assert_eq!(context.heartbeat(&ids[1], generation), Err(GroupError::RebalanceInProgress));
    }
    context.waits(waiting);
    context.join(again(&ids[1], "b"));
    assert_eq!(context.joined(waiting).members.len(), 2);
    context.pass(secs(10));
    assert_eq!(context.heartbeat(&ids[0], generation + 1), Err(GroupError::UnknownMemberId), "its session goes on");
}

#[test]
fn a_new_member_disturbs_a_rebalance_that_completes() {
    let mut context = Context::new();
    let (ids, generation) = context.completing(vec![join("a"), join("b")]);
    let waiting = context.sync(sync(&ids[1], generation));
    let new = context.join(join("c"));
    assert_eq!(context.refused(waiting).0, GroupError::RebalanceInProgress);
    context.waits(new);
    let late = context.sync(sync(&ids[0], generation));
    assert_eq!(context.refused(late).0, GroupError::RebalanceInProgress);
}

#[test]
fn generations_are_counted_over_an_empty_group() {
    let mut context = Context::new();
    let (ids, generation) = context.stable(vec![join("a")]);
    context.leave(&[by_id(&ids[0])]);
    let record = context.last_record();
    assert_eq!((&*record.protocol_type, record.generation), ("consumer", generation + 1));
    assert_eq!((&record.protocol, &record.leader, record.members.len()), (&None, &None, 0));
    assert_eq!(record.current_state_timestamp, 1_006_000);
    let (_, next) = context.stable(vec![Join { protocol_type: "connect".into(), ..join("b") }]);
    assert_eq!(next, generation + 2);
    assert_eq!(&*context.last_record().protocol_type, "connect");
}

#[test]
fn nobody_is_late_for_a_stall() {
    let mut context = Context::new();
    let (ids, generation) = context.stable(vec![join("a"), join("b")]);
    let waiting = context.join(again(&ids[0], "a"));
    let stall = |context: &mut Context| {
        context.now += secs(59);
        context.step(|group: &mut Group, cx, _| group.after_stall(cx));
    };
    stall(&mut context);
    stall(&mut context);
    context.pass(Duration::from_millis(9_999));
    context.waits(waiting);
    assert_eq!(context.heartbeat(&ids[1], generation), Err(GroupError::RebalanceInProgress));
    context.join(again(&ids[1], "b"));
    context.joined(waiting);
    stall(&mut context);
    stall(&mut context);
    context.pass(secs(5));
    assert_eq!(context.state(), "CompletingRebalance", "there is time to sync");
    context.pass(secs(5));
    assert_eq!(context.state(), "Empty", "nothing was heard of anybody");
}

#[test]
fn members_without_patience_do_not_keep_the_broker_busy() {
    let impatient = |join| Join { rebalance_timeout_ms: 0, ..join };
    let mut context = Context::at_once();
    let ticket = context.join(impatient(static_join("a")));
    let member = context.joined(ticket);
    let ticket = context.sync(sync(&member.member_id, member.generation));
    context.synced(ticket);
    context.join(impatient(static_join("b")));
    let b = context.classic().members.static_id("b").cloned().expect("a member");
    context.leave(&[by_id(&b)]);
    context.pass(secs(9));
    assert_eq!(context.heartbeat(&member.member_id, member.generation), Err(GroupError::RebalanceInProgress));
    context.pass(secs(10));
    assert_eq!(context.state(), "Empty");
}
