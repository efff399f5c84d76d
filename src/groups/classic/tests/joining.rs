use std::time::Duration;

use bytes::Bytes;

use super::context::{Context, by_id, join, secs, static_join, sync};
use crate::{
    coordinator::machine::Machine,
    groups::{
        classic::{Join, protocols::tests::subscription},
        error::GroupError,
    },
};

/// A join of a client that knows to join again with the id that it is given.
fn recent_join(client: &str) -> Join {
    Join { requires_member_id: true, ..join(client) }
}

fn with_protocols(join: Join, names: &[&str]) -> Join {
    let protocols = names.iter().map(|&name| (name.into(), subscription(0, &["topic"]))).collect();
    Join { protocols, ..join }
}

#[test]
fn a_new_member_joins_with_the_id_that_it_is_given() {
    let mut context = Context::at_once();
    let ticket = context.join(recent_join("client"));
    let (error, id) = context.refused(ticket);
    let id = id.expect("an id");
    assert_eq!((error, context.state()), (GroupError::MemberIdRequired, "Empty"));
    assert_eq!(&*id, "client-00000000-0000-0000-0000-000000000001");

    let ticket = context.join(Join { member_id: Some(id.clone()), ..recent_join("client") });
    let joined = context.joined(ticket);
    assert_eq!((&joined.member_id, &joined.leader, joined.generation), (&id, &id, 1));
    assert_eq!(joined.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    assert_eq!((joined.members.len(), joined.skip_assignment), (1, false));
    assert_eq!(joined.members[0].metadata, subscription(0, &["topic"]));
}

#[test]
fn a_group_is_written_down_when_it_begins() {
    let mut context = Context::new();
    let ticket = context.join(join("client"));
    context.waits(ticket);
    let record = context.last_record();
    assert_eq!((&*record.protocol_type, record.generation, record.members.len()), ("", 0, 0));
    assert_eq!((&record.protocol, &record.leader, record.current_state_timestamp), (&None, &None, 1_000_000));
    context.join(join("another"));
    assert_eq!(context.journal.len(), 1);
}

#[test]
fn of_a_group_that_could_not_be_written_down_no_id_is_kept() {
    let mut context = Context::new();
    context.refuses = true;
    let ticket = context.join(recent_join("client"));
    context.is_not_written(ticket);
    assert!(context.group.is_vacant());
    assert_eq!(context.group.next_deadline(), None);
}

#[test]
fn a_group_goes_on_that_could_not_be_written_down() {
    let mut context = Context::new();
    context.refuses = true;
    let id_required = context.join(recent_join("client"));
    context.is_not_written(id_required);
    let waiting = context.join(join("client"));
    context.waits(waiting);
    context.refuses = false;
    context.pass(secs(3));
    assert_eq!(context.joined(waiting).generation, 1);
}

#[test]
fn an_id_that_is_not_used_expires() {
    let mut context = Context::new();
    let ticket = context.join(recent_join("client"));
    let (_, id) = context.refused(ticket);
    context.pass(secs(10));
    let ticket = context.join(Join { member_id: id.clone(), ..join("client") });
    assert_eq!(context.refused(ticket), (GroupError::UnknownMemberId, id));
}

#[test]
fn a_rebalance_waits_for_ids_that_were_given_out() {
    let mut context = Context::at_once();
    let (ids, _) = context.stable(vec![join("a")]);
    let ticket = context.join(recent_join("b"));
    let (_, pending) = context.refused(ticket);
    let again = context.join(Join { member_id: Some(ids[0].clone()), ..join("a") });
    context.waits(again);
    context.pass(Duration::from_millis(9_999));
    context.waits(again);
    let new = context.join(Join { member_id: pending, ..join("b") });
    assert_eq!((context.joined(again).members.len(), context.joined(new).generation), (2, 2));
}

#[test]
fn a_rebalance_goes_on_when_an_id_has_expired() {
    let mut context = Context::at_once();
    let (ids, _) = context.stable(vec![join("a")]);
    context.join(recent_join("b"));
    let again = context.join(Join { member_id: Some(ids[0].clone()), ..join("a") });
    context.pass(secs(10));
    assert_eq!(context.joined(again).members.len(), 1);
}

#[test]
fn a_session_is_as_long_as_the_broker_allows() {
    let with = |session_timeout_ms| Join { member_id: Some("me".into()), session_timeout_ms, ..join("client") };
    for ms in [i32::MIN, -1, 0, 5_999, 1_800_001, i32::MAX] {
        let mut context = Context::new();
        let ticket = context.join(with(ms));
        assert_eq!(context.refused(ticket), (GroupError::InvalidSessionTimeout, Some("me".into())), "{ms}");
    }
    for ms in [6_000, 1_800_000] {
        let mut context = Context::at_once();
        let ticket = context.join(Join { member_id: None, ..with(ms) });
        context.joined(ticket);
    }
}

#[test]
fn a_negative_rebalance_timeout_is_that_of_the_session_or_none() {
    for (ms, expected) in [(-1, secs(10)), (-7, Duration::ZERO), (i32::MIN, Duration::ZERO)] {
        let mut context = Context::new();
        context.join(Join { rebalance_timeout_ms: ms, ..join("client") });
        assert_eq!(context.classic().members.rebalance_timeout(), expected);
    }
}

#[test]
fn who_has_an_id_is_unknown_where_no_group_is() {
    let mut context = Context::new();
    for protocols in [join("client").protocols, Vec::new()] {
        let ticket = context.join(Join { member_id: Some("me".into()), protocols, ..join("client") });
        assert_eq!(context.refused(ticket), (GroupError::UnknownMemberId, Some("me".into())));
    }
    assert!(context.journal.is_empty());
    assert!(context.group.listed().is_none());
}

#[test]
fn who_knows_no_protocol_makes_no_group() {
    for hostile in [Join { protocol_type: "".into(), ..join("a") }, Join { protocols: Vec::new(), ..join("a") }] {
        let mut context = Context::new();
        let ticket = context.join(hostile);
        assert_eq!(context.refused(ticket), (GroupError::InconsistentGroupProtocol, None));
        assert!(context.journal.is_empty() && context.group.listed().is_none());
    }
}

#[test]
fn members_have_a_protocol_in_common() {
    let mut context = Context::at_once();
    let (ids, _) = context.stable(vec![with_protocols(join("a"), &["x", "y"])]);
    let other_type = Join { protocol_type: "connect".into(), ..with_protocols(join("b"), &["x"]) };
    let known = Join { member_id: Some(ids[0].clone()), ..with_protocols(join("a"), &["z"]) };
    let others = [with_protocols(join("b"), &["z"]), with_protocols(join("b"), &[]), other_type, known];
    for other in others {
        let member_id = other.member_id.clone();
        let ticket = context.join(other);
        assert_eq!(context.refused(ticket), (GroupError::InconsistentGroupProtocol, member_id));
    }
    assert_eq!(context.state(), "Stable");

    let new = context.join(with_protocols(join("b"), &["z", "y"]));
    let old = context.join(Join { member_id: Some(ids[0].clone()), ..with_protocols(join("a"), &["x", "y"]) });
    assert_eq!(context.joined(new).protocol_name.as_deref(), Some("y"));
    assert_eq!(context.joined(old).protocol_name.as_deref(), Some("y"));
}

#[test]
fn who_has_missed_that_a_generation_began_is_told_again() {
    let mut context = Context::new();
    let (ids, generation) = context.completing(vec![join("a"), join("b")]);
    for (id, sees) in ids.iter().zip([2, 0]) {
        let ticket = context.join(Join { member_id: Some(id.clone()), ..join("again") });
        let joined = context.joined(ticket);
        assert_eq!((joined.generation, joined.members.len(), &joined.leader), (generation, sees, &ids[0]));
    }
    assert_eq!(context.state(), "CompletingRebalance");
}

#[test]
fn other_metadata_begin_a_rebalance_while_one_completes() {
    let mut context = Context::new();
    let (ids, generation) = context.completing(vec![join("a"), join("b")]);
    let waiting = context.sync(sync(&ids[1], generation));
    let changed = vec![("range".into(), subscription(0, &["another"]))];
    let again = context.join(Join { member_id: Some(ids[1].clone()), protocols: changed, ..join("b") });
    assert_eq!(context.refused(waiting).0, GroupError::RebalanceInProgress);
    context.waits(again);
    assert_eq!(context.heartbeat(&ids[0], generation), Err(GroupError::RebalanceInProgress));
}

#[test]
fn a_follower_with_the_same_metadata_does_not_disturb() {
    let mut context = Context::new();
    let (ids, generation) = context.stable(vec![join("a"), join("b")]);
    let ticket = context.join(Join { member_id: Some(ids[1].clone()), ..join("b") });
    let joined = context.joined(ticket);
    assert_eq!((joined.generation, joined.members.len(), &joined.leader), (generation, 0, &ids[0]));
    assert_eq!(context.dependency, 1, "the record of this generation");
    assert_eq!(context.state(), "Stable");
}

#[test]
fn a_leader_that_joins_again_begins_a_rebalance() {
    let mut context = Context::new();
    let (ids, _) = context.stable(vec![join("a"), join("b")]);
    let ticket = context.join(Join { member_id: Some(ids[0].clone()), ..join("a") });
    context.waits(ticket);
    assert_eq!(context.state(), "PreparingRebalance");
}

#[test]
fn a_follower_with_other_metadata_begins_a_rebalance() {
    let mut context = Context::new();
    let (ids, _) = context.stable(vec![join("a"), join("b")]);
    let changed = vec![("range".into(), Bytes::from_static(b"else"))];
    let ticket = context.join(Join { member_id: Some(ids[1].clone()), protocols: changed, ..join("b") });
    context.waits(ticket);
    assert_eq!(context.state(), "PreparingRebalance");
}

#[test]
fn who_joins_twice_hears_the_second_answer() {
    let mut context = Context::new();
    let (ids, _) = context.stable(vec![join("a"), join("b")]);
    let again = || Join { member_id: Some(ids[0].clone()), ..join("a") };
    let first = context.join(again());
    let second = context.join(again());
    assert_eq!(context.refused(first), (GroupError::RebalanceInProgress, Some(ids[0].clone())));
    context.join(Join { member_id: Some(ids[1].clone()), ..join("b") });
    assert_eq!(context.joined(second).generation, 2);
}

#[test]
fn members_of_an_empty_group_are_unknown() {
    let mut context = Context::new();
    let (ids, _) = context.stable(vec![join("a")]);
    context.leave(&[by_id(&ids[0])]);
    assert_eq!(context.state(), "Empty");
    let ticket = context.join(Join { member_id: Some(ids[0].clone()), ..join("a") });
    assert_eq!(context.refused(ticket), (GroupError::UnknownMemberId, Some(ids[0].clone())));
}

#[test]
fn a_full_group_takes_nobody() {
    let mut context = Context::new();
    context.settings.max_size = 2;
    let (ids, _) = context.stable(vec![join("a"), static_join("b")]);
    let ticket = context.join(join("c"));
    assert_eq!(context.refused(ticket), (GroupError::GroupMaxSizeReached, None));
    assert_eq!(context.state(), "Stable");

    let first = context.join(Join { member_id: Some(ids[0].clone()), ..join("a") });
    let second = context.join(Join { member_id: Some(ids[1].clone()), ..static_join("b") });
    assert_eq!((context.joined(first).generation, context.joined(second).generation), (2, 2));
}

#[test]
fn who_asks_first_has_a_place_in_a_rebalance() {
    let mut context = Context::new();
    context.settings.max_size = 2;
    let (ids, _) = context.stable(vec![join("a"), join("b")]);
    let first = context.join(Join { member_id: Some(ids[0].clone()), ..join("a") });
    let new = context.join(join("c"));
    context.waits(new);
    let late = context.join(Join { member_id: Some(ids[1].clone()), ..join("b") });
    assert_eq!(context.refused(late), (GroupError::GroupMaxSizeReached, None));
    assert_eq!(context.joined(first).members.len(), 2, "nobody else has to be waited for");
    assert_eq!(context.joined(new).generation, 2);
}

#[test]
fn a_member_that_waits_has_its_place() {
    let mut context = Context::new();
    context.settings.max_size = 1;
    let first = context.join(join("a"));
    let other = context.join(join("b"));
    assert_eq!(context.refused(other).0, GroupError::GroupMaxSizeReached);
    context.pass(secs(3));
    context.joined(first);
}

#[test]
fn an_id_is_worth_nothing_in_a_full_group() {
    let mut context = Context::at_once();
    context.settings.max_size = 1;
    let ticket = context.join(recent_join("late"));
    let (_, late) = context.refused(ticket);
    context.stable(vec![join("a")]);
    for expected in [GroupError::GroupMaxSizeReached, GroupError::GroupMaxSizeReached] {
        let ticket = context.join(Join { member_id: late.clone(), ..join("late") });
        assert_eq!(context.refused(ticket).0, expected);
    }
    context.settings.max_size = 2;
    let ticket = context.join(Join { member_id: late, ..join("late") });
    assert_eq!(context.refused(ticket).0, GroupError::UnknownMemberId);
}

#[test]
fn a_new_member_waits_for_five_minutes_at_most() {
    let mut context = Context::new();
    let patient = Join { rebalance_timeout_ms: 3_600_000, ..join("a") };
    let (ids, generation) = context.stable(vec![patient]);
    let new = context.join(join("b"));
    for _ in 0..59 {
        context.pass(secs(5));
        assert_eq!(context.heartbeat(&ids[0], generation), Err(GroupError::RebalanceInProgress));
    }
    context.waits(new);
    context.pass(secs(5));
    assert_eq!(context.refused(new), (GroupError::UnknownMemberId, None));
}

#[test]
fn an_id_that_expires_does_not_cut_the_first_rebalance_short() {
    let mut context = Context::new();
    let first = context.join(join("a"));
    context.join(Join { session_timeout_ms: 6_000, ..recent_join("silent") });
    for client in ["b", "c"] {
        context.pass(secs(2));
        context.join(join(client));
    }
    context.pass(secs(3));
    context.waits(first);
    context.pass(secs(2));
    assert_eq!(context.joined(first).members.len(), 3);
}

#[test]
fn ids_that_nobody_joins_with_are_given_out_up_to_a_limit() {
    let mut context = Context::new();
    let long = Join { client_id: "x".repeat(30_000).into(), ..recent_join("") };
    let ticket = context.join(long.clone());
    assert_eq!(context.refused(ticket).0, GroupError::MemberIdRequired);
    let given_out = (0..1000).filter(|_| context.gets_an_id(&long)).count();
    assert!((400..600).contains(&given_out), "{given_out}");
    context.pass(secs(10));
    assert!(context.gets_an_id(&long), "the others have expired");
}
