use super::context::{Context, by_id, join, static_join, sync};
use crate::groups::{
    classic::{Join, Leaving},
    error::GroupError,
};

fn by_instance(instance: &str) -> Leaving {
    Leaving { member_id: None, group_instance_id: Some(instance.into()), reason: Some("scaled down".into()) }
}

#[test]
fn each_of_a_batch_has_its_own_outcome() {
    let mut context = Context::new();
    let (ids, generation) = context.stable(vec![join("a"), static_join("b"), static_join("c"), join("d")]);
    let fenced = Leaving { group_instance_id: Some("c".into()), ..by_id(&ids[3]) };
    let nobody = Leaving { member_id: None, group_instance_id: None, reason: None };
    let named = Leaving { group_instance_id: Some("c".into()), ..by_id(&ids[2]) };
    let outcomes = context.leave(&[
        by_id(&ids[0]),
        by_instance("b"),
        fenced,
        by_id(&"who".into()),
        by_instance("who"),
        nobody,
        named,
        by_id(&ids[0]),
    ]);
    let unknown = || Err(GroupError::UnknownMemberId);
    let expected =
        [Ok(()), Ok(()), Err(GroupError::FencedInstanceId), unknown(), unknown(), unknown(), Ok(()), unknown()];
    assert_eq!(outcomes, expected);
    assert_eq!(context.heartbeat(&ids[3], generation), Err(GroupError::RebalanceInProgress));
}

#[test]
fn who_does_not_leave_disturbs_nobody() {
    let mut context = Context::new();
    assert_eq!(context.leave(&[by_id(&"who".into())]), [Err(GroupError::UnknownMemberId)]);
    context.stable(vec![join("a")]);
    assert_eq!(context.leave(&[by_id(&"who".into())]), [Err(GroupError::UnknownMemberId)]);
    assert_eq!(context.dependency, 1, "the record of this generation");
    assert_eq!(context.leave(&[]), []);
    assert_eq!(context.state(), "Stable");
}

#[test]
fn an_id_that_was_given_out_can_be_given_back() {
    let mut context = Context::at_once();
    let (ids, _) = context.stable(vec![join("a")]);
    let ticket = context.join(Join { requires_member_id: true, ..join("b") });
    let (_, pending) = context.refused(ticket);
    let waiting = context.join(Join { member_id: Some(ids[0].clone()), ..join("a") });
    context.waits(waiting);
    assert_eq!(context.leave(&[by_id(&pending.expect("an id"))]), [Ok(())]);
    assert_eq!(context.joined(waiting).members.len(), 1);
}

#[test]
fn who_leaves_waits_no_longer() {
    let mut context = Context::new();
    let (ids, generation) = context.completing(vec![join("a"), join("b")]);
    let syncing = context.sync(sync(&ids[1], generation));
    context.leave(&[by_id(&ids[1])]);
    assert_eq!(context.refused(syncing), (GroupError::UnknownMemberId, None));
    let joining = context.join(Join { member_id: Some(ids[0].clone()), ..join("a") });
    context.joined(joining);

    context.join(join("c"));
    let joining = context.join(join("d"));
    let id = context.classic().members.by_arrival().last().expect("a member").id.clone();
    context.leave(&[by_id(&id)]);
    assert_eq!(context.refused(joining), (GroupError::UnknownMemberId, None));
}

#[test]
fn a_rebalance_has_one_less_to_wait_for() {
    let mut context = Context::new();
    let (ids, generation) = context.stable(vec![join("a"), join("b")]);
    let new = context.join(join("c"));
    let waiting = context.join(Join { member_id: Some(ids[1].clone()), ..join("b") });
    context.waits(waiting);
    context.leave(&[by_id(&ids[0])]);
    assert_eq!(context.joined(new).generation, generation + 1);
    let joined = context.joined(waiting);
    assert_eq!((&joined.leader, joined.generation), (&ids[1], generation + 1));
}

#[test]
fn the_last_leaves_an_empty_group() {
    let mut context = Context::new();
    let (ids, generation) = context.stable(vec![join("a"), join("b")]);
    context.leave(&[by_id(&ids[0]), by_id(&ids[1])]);
    assert_eq!((context.state(), context.last_record().generation), ("Empty", generation + 1));
    assert_eq!(context.leave(&[by_id(&ids[0])]), [Err(GroupError::UnknownMemberId)]);
}
