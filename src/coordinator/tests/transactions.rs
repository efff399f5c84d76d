//! What machines have pending of transactions.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    coordinator::{replay::replay, runtime::Runtime, transaction::Transaction},
    log::{
        batch_reader::BatchReader,
        partition_log::AppendError,
        producer_state::{ProducerError, TransactionEnd},
    },
    protocol::{ids::ProducerIdAndEpoch, transaction_version::TransactionVersion},
};

const VERSION: TransactionVersion = TransactionVersion::V1;

fn producer(id: i64) -> ProducerIdAndEpoch {
    ProducerIdAndEpoch { id, epoch: 0 }
}

fn end(producer_id: i64, is_commit: bool) -> TransactionEnd {
    TransactionEnd { producer_id, producer_epoch: 0, is_commit, coordinator_epoch: 0, version: VERSION }
}

impl Fixture {
    /// A producer sets the sum of an id, in its transaction.
    fn set_in_transaction(&self, producer_id: i64, id: &str, sum: i32) -> Pending<()> {
        let producer = producer(producer_id);
        let guard = self.shard.expect_transaction(producer, VERSION).expect("loaded");
        let step = Step::of(id, self.now).within(Transaction { producer, guard: guard.as_ref() });
        self.shard.run(step, |_, _, out| out.write(Sum(id.to_owned(), Some(sum))))
    }

    fn end(&self, producer_id: i64, is_commit: bool) -> Pending<()> {
        self.shard.end_transaction(&end(producer_id, is_commit), self.now)
    }

    fn delete(&self, id: &str) -> Pending<()> {
        self.shard.run(Step::of(id, self.now), |_, _, out| out.write(Sum(id.to_owned(), None)))
    }

    /// The sum of an id, and how many are pending.
    fn sums(&self, id: &str) -> Option<(i32, usize)> {
        self.look(id, |tally| (tally.sum, tally.pending.len()))
    }
}

#[test]
fn what_a_transaction_has_pending_counts_once_it_is_committed() {
    let f = Fixture::new();
    drop(f.add("a", 1));
    for (producer_id, id, sum) in [(7, "a", 10), (7, "b", 20), (8, "a", 30), (9, "c", 40)] {
        drop(f.set_in_transaction(producer_id, id, sum));
    }
    let sums = |f: &Fixture| ["a", "b", "c"].map(|id| f.sums(id));
    assert_eq!(sums(&f), [Some((1, 2)), Some((0, 1)), Some((0, 1))]);
    drop((f.end(8, false), f.end(7, true)));
    let expected = [Some((10, 0)), Some((20, 0)), Some((0, 1))];
    assert_eq!(sums(&f), expected);
    f.flush();
    let f = f.crashed();
    assert_eq!(sums(&f), expected);
    drop(f.end(9, true));
    assert_eq!(f.sums("c"), Some((40, 0)), "who was loaded with something pending learns the end of it");
}

#[test]
fn what_is_written_in_a_transaction_is_one_batch_of_its_producer() {
    let f = Fixture::new();
    drop(f.set_in_transaction(7, "a", 10));
    let batch = BatchReader::new(f.shard.log(), 0).next_batch().expect("read").expect("a batch");
    let header = batch.header();
    let found = (header.is_transactional(), header.producer_id, header.producer_epoch, header.base_sequence);
    assert_eq!(found, (true, 7, 0, 0));
}

#[test]
fn a_transaction_that_nobody_has_confirmed_does_not_begin() {
    let f = Fixture::new();
    drop(f.add("a", 1));
    let set = |guard| {
        let step = Step::of("a", f.now).within(Transaction { producer: producer(7), guard });
        poll(f.shard.run(step, |_, _, out| out.write(Sum("a".to_owned(), Some(10)))))
    };
    let is_refused = |answer| {
        let Some(Err(CoordinatorError::Append(error))) = answer else { return false };
        matches!(*error, AppendError::Producer(ProducerError::NoTransaction { producer_id: 7, .. }))
    };
    assert!(is_refused(set(None)));
    let guard = f.shard.expect_transaction(producer(7), VERSION).expect("loaded").expect("it has not begun");
    drop(f.end(7, false));
    assert!(is_refused(set(Some(&guard))), "it has ended meanwhile");
    assert_eq!(f.look("a", |tally| (tally.sum, tally.pending.len(), tally.refusals)), Some((1, 0, 2)));
    drop(f.set_in_transaction(7, "a", 10));
    assert!(f.shard.expect_transaction(producer(7), VERSION).expect("loaded").is_none());
    assert!(set(None).is_none(), "it has begun");
    let stale = f.shard.expect_transaction(ProducerIdAndEpoch { id: 7, epoch: -1 }, VERSION);
    assert!(matches!(stale, Err(CoordinatorError::Append(_))));
}

#[test]
fn an_end_is_told_once_it_is_durable() {
    let f = Fixture::new();
    drop(f.set_in_transaction(7, "a", 10));
    f.flush();
    let (first, again) = (f.end(7, true), f.end(7, true));
    let end = f.shard.log().offsets().log_end();
    assert!(poll(f.end(7, true)).is_none(), "the marker is there, but may be lost");
    assert_eq!(f.shard.log().offsets().log_end(), end);
    f.flush();
    value(first);
    value(again);
    value(f.end(7, true));
}

#[test]
fn an_end_that_cannot_be_written_changes_nothing() {
    let f = Fixture::new();
    drop(f.set_in_transaction(7, "a", 10));
    f.disk.fail_nth(1, ENOSPC);
    assert!(matches!(poll(f.end(7, true)), Some(Err(CoordinatorError::Append(_)))));
    assert_eq!(f.sums("a"), Some((0, 1)));
    drop(f.end(7, true));
    assert_eq!(f.sums("a"), Some((10, 0)));
}

#[test]
fn what_an_abort_leaves_nothing_of_is_not_kept() {
    let mut f = Fixture::new();
    drop(f.set_in_transaction(7, "a", 10));
    drop(f.shard.run(Step::of("a", f.now), |tally, cx, _| tally.deadline = Some(cx.now.monotonic + *cx.settings)));
    f.flush();
    drop(f.end(7, false));
    assert_eq!(f.sums("a"), None);
    assert!(poll(f.read("a")).is_none(), "that it is gone may be lost");
    f.pass(10 * SECOND);
    assert!(matches!(f.tick(), Next::Wait(None)), "its deadline is gone with it");
    f.flush();
    assert_eq!(value(f.read("a")), 0);
}

#[test]
fn an_end_leaves_deadlines_as_they_are() {
    let mut f = Fixture::new();
    drop(f.set_in_transaction(7, "a", 10));
    drop(f.shard.run(Step::of("a", f.now), |tally, cx, _| tally.deadline = Some(cx.now.monotonic + *cx.settings)));
    drop(f.end(7, true));
    f.flush();
    f.pass(10 * SECOND);
    f.tick();
    assert_eq!(f.look("a", |tally| tally.ticks), Some(1));
}

#[test]
fn what_was_deleted_meanwhile_does_not_come_back() {
    let f = Fixture::new();
    drop((f.set_in_transaction(7, "a", 10), f.set_in_transaction(7, "b", 20)));
    drop((f.delete("a"), f.delete("b"), f.add("b", 1)));
    drop(f.end(7, true));
    assert_eq!((f.sums("a"), f.sums("b")), (None, Some((1, 0))));
}

#[test]
fn no_transaction_begins_or_ends_before_the_log_is_loaded_or_after_it_is_gone() {
    let f = Fixture::loading(&SimDisk::new(1));
    let expect = |f: &Fixture| f.shard.expect_transaction(producer(7), VERSION).map(|_| ());
    assert!(matches!(expect(&f), Err(CoordinatorError::Loading)));
    assert!(matches!(poll(f.end(7, true)), Some(Err(CoordinatorError::Loading))));
    f.shard.load(f.now);
    f.shard.retire();
    assert!(matches!(expect(&f), Err(CoordinatorError::NotHere)));
    assert!(matches!(poll(f.end(7, true)), Some(Err(CoordinatorError::NotHere))));
}

#[test]
#[should_panic(expected = "written whole")]
fn what_is_part_of_a_transaction_is_not_split() {
    let f = Fixture::new();
    let guard = f.shard.expect_transaction(producer(7), VERSION).expect("loaded");
    let step = Step::of("a", f.now).within(Transaction { producer: producer(7), guard: guard.as_ref() });
    drop(f.shard.run(step, |_, _, out| out.may_be_split()));
}

#[tokio::test]
async fn a_transaction_goes_where_its_ids_are() {
    let disk = SimDisk::new(1);
    let dir = LogDir::open(Arc::new(disk), Path::new("/data"), &LogDirSettings::for_tests(), 0).expect("it opens");
    let home = |partition| {
        let partition = TopicPartition::new("__tallies", partition);
        let log = dir.create_partition(&partition, Uuid::from_u128(1), LogConfig::default(), 0, 0).expect("created");
        Home { log, leader_epoch: 0, codec: Compression::None, level: None }
    };
    let homes: Vec<_> = (0..3).map(home).collect();
    let logs: Vec<_> = homes.iter().map(|home| Arc::clone(&home.log)).collect();
    let (runtime, _effects) = Runtime::<Tally>::new(10 * SECOND, Seats::new("the.key", u32::MAX));
    assert!(matches!(runtime.partition_of("b"), Err(CoordinatorError::NotHere)));
    runtime.host(homes).await;
    let (partition, guard) = runtime.expect_transaction("b", producer(7), VERSION).expect("loaded");
    assert_eq!((partition, runtime.partition_of("b").expect("it is here")), (2, 2));
    let set = |tally: &mut Tally, _: Cx<'_, Duration>, out: &mut Outputs<Tally>| {
        assert_eq!(tally.sum, 0);
        out.write(Sum("b".to_owned(), Some(10)));
    };
    drop(runtime.run_in_transaction("b", producer(7), guard.as_ref(), set));
    assert!(matches!(poll(runtime.end_transaction(3, &end(7, true))), Some(Err(CoordinatorError::NotHere))));
    drop(runtime.end_transaction(partition, &end(7, true)));
    logs[2].commit_now().expect("flushed");
    assert_eq!(value(runtime.run("b", |tally, _, _| tally.sum)), 10);
    assert_eq!(logs.iter().map(|log| log.offsets().log_end()).collect::<Vec<_>>(), [0, 0, 2]);
}

/// What may happen to a shard.
#[derive(Clone, Debug)]
enum Event {
    Add(&'static str, i32),
    SetInTransaction(i64, &'static str, i32),
    End(i64, bool),
    Delete(&'static str),
    Crash { is_flushed: bool },
}

fn event() -> impl Strategy<Value = Event> {
    let id = prop::sample::select(vec!["a", "b", "c"]);
    let producer_id = 7..9_i64;
    prop_oneof![
        2 => (id.clone(), 1..100).prop_map(|(id, what)| Event::Add(id, what)),
        4 => (producer_id.clone(), id.clone(), 1..100).prop_map(|(producer, id, sum)| Event::SetInTransaction(producer, id, sum)),
        3 => (producer_id, any::<bool>()).prop_map(|(producer, is_commit)| Event::End(producer, is_commit)),
        1 => id.prop_map(Event::Delete),
        1 => any::<bool>().prop_map(|is_flushed| Event::Crash { is_flushed }),
    ]
}

fn apply(f: Fixture, event: &Event) -> Fixture {
    match *event {
        Event::Add(id, what) => drop(f.add(id, what)),
        Event::SetInTransaction(producer_id, id, sum) => drop(f.set_in_transaction(producer_id, id, sum)),
        Event::End(producer_id, is_commit) => drop(f.end(producer_id, is_commit)),
        Event::Delete(id) => drop(f.delete(id)),
        Event::Crash { is_flushed } => {
            if is_flushed {
                f.flush();
            }
            return f.crashed();
        }
    }
    f
}

/// The sum of each id and what it has pending.
type Sums = BTreeMap<String, (i32, Vec<(i64, i32)>)>;

fn live(f: &Fixture) -> Sums {
    let mut sums = Sums::new();
    let visit = &mut |id: &str, tally: &Tally| {
        sums.insert(id.to_owned(), (tally.sum, tally.pending.clone()));
    };
    f.shard.visit(visit).expect("loaded");
    sums
}

fn replayed(f: &Fixture) -> Sums {
    let machines = replay::<Tally>(f.shard.log()).expect("replayed").by_id;
    machines.into_iter().map(|(id, tally)| (id.to_string(), (tally.sum, tally.pending))).collect()
}

/// The same, by nothing but the events.
#[derive(Clone, Debug, Default)]
struct Model {
    sums: Sums,
    durable: Sums,
}

impl Model {
    fn apply(&mut self, event: &Event) {
        match *event {
            Event::Add(id, what) => self.sums.entry(id.to_owned()).or_default().0 += what,
            Event::SetInTransaction(producer_id, id, sum) => {
                self.sums.entry(id.to_owned()).or_default().1.push((producer_id, sum));
            }
            Event::End(producer_id, is_commit) => {
                for (sum, pending) in self.sums.values_mut() {
                    let last = pending.iter().rfind(|(owner, _)| *owner == producer_id);
                    *sum = last.filter(|_| is_commit).map_or(*sum, |(_, last)| *last);
                    pending.retain(|(owner, _)| *owner != producer_id);
                }
            }
            Event::Delete(id) => drop(self.sums.remove(id)),
            Event::Crash { is_flushed: true } => self.durable.clone_from(&self.sums),
            Event::Crash { is_flushed: false } => self.sums.clone_from(&self.durable),
        }
        self.sums.retain(|_, (sum, pending)| *sum != 0 || !pending.is_empty());
    }
}

proptest! {
    #[test]
    fn a_replay_at_any_point_amounts_to_what_there_is(events in prop::collection::vec(event(), 0..40)) {
        let mut f = Fixture::new();
        let mut model = Model::default();
        for event in &events {
            f = apply(f, event);
            model.apply(event);
            prop_assert_eq!(&live(&f), &model.sums);
            prop_assert_eq!(&replayed(&f), &model.sums);
        }
    }
}
