//! What machines have others do.

use super::*;
use crate::coordinator::runtime::Runtime;

/// Whose it is, what, and whether it may be done; `None` if it has to wait.
type Due = (String, i32, Option<Result<(), CoordinatorError>>);

fn due(f: &mut Fixture) -> Vec<Due> {
    let mut due = Vec::new();
    while let Ok(effect) = f.effects.try_recv() {
        due.push((effect.id.to_string(), effect.effect, poll_once(effect.durable())));
    }
    due
}

#[test]
fn an_effect_is_due_once_what_its_step_wrote_is_durable() {
    let mut f = Fixture::new();
    let add = |f: &Fixture, id: &str, what| {
        drop(f.shard.run(Step::of(id, f.now), |tally, _, out| {
            out.effect(what);
            tally.add(id, what, out);
        }));
    };
    add(&f, "a", 1);
    add(&f, "a", 2);
    let (first, second) = (f.effects.try_recv().expect("given out"), f.effects.try_recv().expect("given out"));
    assert_eq!((&*first.id, first.effect, first.leader_epoch, second.effect), ("a", 1, 0, 2));
    assert!(poll_once(first.durable()).is_none());
    f.flush();
    assert!(matches!(poll_once(first.durable()), Some(Ok(()))));
    drop(f.add("b", 1));
    assert!(matches!(poll_once(second.durable()), Some(Ok(()))), "what others write meanwhile does not matter");
}

#[test]
fn an_effect_that_rests_on_what_was_read_waits_for_that() {
    let mut f = Fixture::new();
    drop(f.add("a", 1));
    let look = |f: &Fixture| {
        drop(f.shard.run(Step::of("a", f.now), |tally, _, out| {
            tally.written_at.into_iter().for_each(|offset| out.depends_on(offset));
            out.effect(tally.sum);
        }));
    };
    look(&f);
    assert!(matches!(due(&mut f)[..], [(_, 1, None)]));
    f.flush();
    look(&f);
    assert!(matches!(due(&mut f)[..], [(_, 1, Some(Ok(())))]));
}

#[test]
fn a_refused_step_has_no_effect() {
    let mut f = Fixture::new();
    f.disk.fail_nth(1, ENOSPC);
    let refused = f.shard.run(Step::of("a", f.now), |tally, _, out| {
        out.effect(1);
        tally.add("a", 1, out)
    });
    assert!(matches!(poll(refused), Some(Err(CoordinatorError::Append(_)))));
    assert!(due(&mut f).is_empty());
}

#[test]
fn what_a_load_and_a_deadline_have_done_is_given_out() {
    let f = Fixture::new();
    drop(f.add("a", 7));
    f.flush();
    let mut f = f.crashed();
    assert!(matches!(&due(&mut f)[..], [(id, 7, Some(Ok(())))] if id == "a"));
    f.pass(10 * SECOND);
    f.tick();
    assert!(matches!(&due(&mut f)[..], [(id, -1, Some(Ok(())))] if id == "a"));
}

#[test]
fn effects_of_a_shard_that_is_gone_are_void() {
    let give = |f: &mut Fixture| {
        drop(f.shard.run(Step::of("a", f.now), |_, _, out| out.effect(1)));
        f.effects.try_recv().expect("given out")
    };
    let mut f = Fixture::new();
    let effect = give(&mut f);
    assert!(!effect.is_void() && matches!(poll_once(effect.durable()), Some(Ok(()))));
    f.shard.retire();
    assert!(effect.is_void() && matches!(poll_once(effect.durable()), Some(Err(CoordinatorError::NotHere))));
    let mut f = Fixture::new();
    let effect = give(&mut f);
    f.dir.delete_partitions(std::slice::from_ref(f.shard.log().topic_partition()), f.now.monotonic).expect("deleted");
    assert!(effect.is_void() && matches!(poll_once(effect.durable()), Some(Err(CoordinatorError::NotHere))));
}

#[tokio::test]
async fn effects_are_kept_until_they_are_received_or_their_shards_replaced() {
    let f = Fixture::new();
    drop(f.add("a", 7));
    f.flush();
    let home =
        |log: &Arc<PartitionLog>| Home { log: Arc::clone(log), leader_epoch: 3, codec: Compression::None, level: None };
    let (runtime, mut effects) = Runtime::<Tally>::new(10 * SECOND, Seats::new("the.key", u32::MAX));
    runtime.host(vec![home(f.shard.log())]).await;
    let due = effects.try_recv().expect("given out while it was loaded");
    assert_eq!((&*due.id, due.effect, due.leader_epoch, due.is_void()), ("a", 7, 3, false));
    runtime.host(vec![home(f.shard.log())]).await;
    let again = effects.try_recv().expect("given out by the successor");
    assert!(due.is_void() && !again.is_void());
}
