//! How many machines there may be.

use super::*;

/// A shard whose seats are these.
fn seated(disk: &SimDisk, seats: &Arc<Seats>) -> Fixture {
    let f = Fixture::with(disk, Compression::None, seats);
    f.shard.load(f.now);
    f
}

fn seats(most: u32) -> Arc<Seats> {
    Arc::new(Seats::new("the.key", most))
}

fn is_full<T>(pending: Pending<T>) -> bool {
    matches!(poll(pending), Some(Err(CoordinatorError::Full(_))))
}

impl Fixture {
    fn take_away(&self, id: &str) {
        drop(self.shard.run(Step::of(id, self.now), |_, _, out| out.write(Sum(id.to_owned(), None))));
    }

    fn log_end(&self) -> i64 {
        self.shard.log().offsets().log_end()
    }
}

#[test]
fn one_too_many_is_refused_and_writes_nothing() {
    let mut f = seated(&SimDisk::new(1), &seats(2));
    drop((f.add("a", 1), f.add("b", 1)));
    let end = f.log_end();
    assert!(is_full(f.add("c", 1)));
    let said = f.shard.run(Step::of("c", f.now), |tally, _, out| {
        out.effect(1);
        tally.add("c", 1, out);
    });
    let said = poll(said).expect("decided").expect_err("refused").to_string();
    assert_eq!(said, "nothing new comes into being: there are as many as the.key allows, 2");
    assert_eq!((f.look("c", |_| ()), f.log_end()), (None, end));
    assert!(f.effects.try_recv().is_err(), "what is refused has nothing done");
    assert!(poll(f.add("a", 1)).is_none(), "those that are there go on");
    f.flush();
    assert_eq!(value(f.read("a")), 2);
    assert_eq!(value(f.read("c")), 0, "who only asks needs no seat");
}

#[test]
fn who_would_have_waited_with_one_too_many_learns_it() {
    let f = seated(&SimDisk::new(1), &seats(1));
    let wait = |id: &str| f.shard.ask(id, f.now, |tally, _, ticket, _| tally.waiting = Some(ticket));
    let waiting = wait("a");
    assert!(is_full(wait("b")));
    let at_once = f.shard.ask("b", f.now, |tally, _, ticket, out| {
        out.reply(ticket, 1);
        tally.add("b", 1, out);
    });
    assert!(is_full(at_once));
    assert!(poll(waiting).is_none(), "it is not concerned");
    let not_kept = f.shard.ask("b", f.now, |_, _, ticket, out| out.reply(ticket, 7));
    assert_eq!(value(not_kept), 7, "what leaves nothing behind needs no seat");
}

#[test]
fn whoever_goes_leaves_a_seat() {
    let mut f = seated(&SimDisk::new(1), &seats(1));
    drop(f.add("a", 1));
    assert!(is_full(f.add("b", 1)));
    f.take_away("a");
    drop(f.shard.ask("b", f.now, |tally, cx, ticket, _| {
        tally.waiting = Some(ticket);
        tally.deadline = Some(cx.now.monotonic + *cx.settings);
    }));
    assert!(is_full(f.add("c", 1)));
    f.flush();
    f.pass(10 * SECOND);
    f.tick();
    f.disk.fail_nth(1, ENOSPC);
    assert!(matches!(poll(f.add("c", 1)), Some(Err(CoordinatorError::Append(_)))), "there is a seat, but no room");
    assert!(poll(f.add("d", 1)).is_none());
    assert!(is_full(f.add("c", 1)));
}

#[test]
fn what_the_log_has_is_there_whatever_the_limit_is() {
    let f = Fixture::new();
    drop((f.add("a", 1), f.add("b", 2), f.add("c", 3)));
    f.flush();
    let disk = f.disk.clone();
    drop(f);
    let f = seated(&disk, &seats(2));
    assert_eq!(["a", "b", "c"].map(|id| value(f.read(id))), [1, 2, 3]);
    drop(f.add("a", 1));
    f.take_away("b");
    assert!(is_full(f.add("d", 1)));
    f.take_away("c");
    assert!(poll(f.add("d", 1)).is_none());
}

#[test]
fn all_shards_have_the_same_seats_and_a_retired_one_has_none() {
    let seats = seats(2);
    let (f, g) = (seated(&SimDisk::new(1), &seats), seated(&SimDisk::new(2), &seats));
    drop((f.add("a", 1), f.add("b", 1)));
    assert!(is_full(g.add("c", 1)));
    f.shard.retire();
    assert!(poll(g.add("c", 1)).is_none());
    assert!(poll(g.add("d", 1)).is_none());
    assert!(is_full(g.add("e", 1)));
}
