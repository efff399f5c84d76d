//! A machine that keeps a tally, on a simulated disk and at invented times.

mod effects;
mod seats;
mod transactions;

use std::{
    future::Future,
    path::Path,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use uuid::Uuid;

use super::{
    effect::DueEffect,
    error::CoordinatorError,
    home::Home,
    machine::{Cx, Machine, Now, Outputs, Place, Record, Ticket},
    pending::Pending,
    seats::Seats,
    shard::{Next, STALL, Shard, Step},
};
use crate::{
    clock::monotonic,
    log::{
        disk::sim::{Crash, SimDisk},
        log_config::LogConfig,
        log_dir::{LogDir, LogDirSettings},
        partition_log::{AppendBatch, AppendOrigin, PartitionLog},
    },
    protocol::{
        ids::TopicPartition,
        records::{
            builder::{BatchBuilder, NewRecord},
            compression::Compression,
        },
        wire::{DecodeError, EncodeError},
    },
};

const ENOSPC: i32 = 28;
const SECOND: Duration = Duration::from_secs(1);

/// Adds up. Its log says what the sum is.
#[derive(Debug, Default)]
struct Tally {
    sum: i32,
    written_at: Option<i64>,
    pending: Vec<(i64, i32)>,
    waiting: Option<Ticket>,
    deadline: Option<Instant>,
    ticks: u32,
    refusals: u32,
    stalls: u32,
}

/// The sum of an id; none takes it away.
#[derive(Clone, Debug, PartialEq)]
struct Sum(String, Option<i32>);

impl Record for Sum {
    fn id(&self) -> &str {
        &self.0
    }

    fn encode(&self) -> Result<(Bytes, Option<Bytes>), EncodeError> {
        Ok((self.0.clone().into(), self.1.map(|sum| Bytes::copy_from_slice(&sum.to_be_bytes()))))
    }

    fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Option<Self>, DecodeError> {
        let Ok(id) = String::from_utf8(key.to_vec()) else { return Ok(None) };
        let sum = value.map(|value| i32::from_be_bytes(value[..].try_into().expect("four bytes")));
        Ok(Some(Self(id, sum)))
    }
}

impl Tally {
    fn add(&self, id: &str, what: i32, out: &mut Outputs<Self>) -> i32 {
        let sum = self.sum + what;
        out.write(Sum(id.to_owned(), Some(sum)));
        sum
    }
}

impl Machine for Tally {
    type Settings = Duration;
    type Record = Sum;
    type Reply = i32;
    type Effect = i32;

    fn apply(&mut self, place: Place, Sum(_, sum): &Sum) {
        match (place.producer_id, sum) {
            (Some(producer_id), sum) => self.pending.push((producer_id, sum.unwrap_or(0))),
            (None, Some(sum)) => {
                self.sum = *sum;
                self.written_at = Some(place.offset);
            }
            (None, None) => *self = Self::default(),
        }
    }

    fn end_transaction(&mut self, _: i64, producer_id: i64, is_commit: bool) {
        for (_, sum) in self.pending.extract_if(.., |(owner, _)| *owner == producer_id) {
            if is_commit {
                self.sum = sum;
            }
        }
    }

    fn loaded(&mut self, cx: Cx<'_, Duration>, out: &mut Outputs<Self>) {
        self.deadline = Some(cx.now.monotonic + *cx.settings);
        out.effect(self.sum);
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn tick(&mut self, cx: Cx<'_, Duration>, out: &mut Outputs<Self>) {
        if self.deadline.is_some_and(|deadline| deadline <= cx.now.monotonic) {
            self.ticks += 1;
            self.deadline = None;
            out.effect(-1);
            if let Some(ticket) = self.waiting.take() {
                out.reply(ticket, -1);
            }
        }
    }

    fn refused(&mut self, _: Cx<'_, Duration>, records: &[Sum], _: &mut Outputs<Self>) {
        assert!(!records.is_empty());
        self.refusals += 1;
    }

    fn after_stall(&mut self, cx: Cx<'_, Duration>) {
        self.stalls += 1;
        self.deadline = self.deadline.map(|_| cx.now.monotonic + *cx.settings);
    }

    fn is_vacant(&self) -> bool {
        self.sum == 0 && self.waiting.is_none() && self.pending.is_empty()
    }
}

/// Seats for as many as there are.
fn plenty() -> Arc<Seats> {
    Arc::new(Seats::new("the.key", u32::MAX))
}

/// A shard on a simulated disk. Nothing is flushed unless a test says so.
struct Fixture {
    disk: SimDisk,
    dir: LogDir,
    shard: Shard<Tally>,
    effects: UnboundedReceiver<DueEffect<i32>>,
    now: Now,
}

fn open(disk: &SimDisk) -> (LogDir, Arc<PartitionLog>) {
    let settings = LogDirSettings::for_tests();
    let dir = LogDir::open(Arc::new(disk.clone()), Path::new("/data"), &settings, 0).expect("the directory opens");
    let partition = TopicPartition::new("__tallies", 0);
    let log = dir.partition(&partition).unwrap_or_else(|| {
        dir.create_partition(&partition, Uuid::from_u128(1), LogConfig::default(), 0, 0).expect("created")
    });
    log.set_config(LogConfig { max_message_bytes: 1000, ..LogConfig::default() });
    (dir, log)
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self::loading(&SimDisk::new(1));
        fixture.shard.load(fixture.now);
        fixture
    }

    fn loading(disk: &SimDisk) -> Self {
        Self::compressing(disk, Compression::None)
    }

    fn compressing(disk: &SimDisk, codec: Compression) -> Self {
        Self::with(disk, codec, &plenty())
    }

    fn with(disk: &SimDisk, codec: Compression, seats: &Arc<Seats>) -> Self {
        let (dir, log) = open(disk);
        let home = Home { log, leader_epoch: 0, codec, level: None };
        let (sender, effects) = unbounded_channel();
        let shard = Shard::new(home, Arc::new(10 * SECOND), Arc::clone(seats), sender);
        Self { disk: disk.clone(), dir, shard, effects, now: Now { monotonic: monotonic(), wall: 1000 } }
    }

    /// The state after a crash that loses all that was not flushed.
    fn crashed(self) -> Self {
        let Self { disk, dir, shard, .. } = self;
        drop((dir, shard));
        disk.crash(Crash::LoseAll);
        let fixture = Self::loading(&disk);
        fixture.shard.load(fixture.now);
        fixture
    }

    fn flush(&self) {
        self.shard.log().commit_now().expect("flushed");
    }

    fn pass(&mut self, time: Duration) {
        self.now.monotonic += time;
    }

    fn add(&self, id: &str, what: i32) -> Pending<i32> {
        self.shard.run(Step::of(id, self.now), |tally, _, out| tally.add(id, what, out))
    }

    /// What everybody may know.
    fn read(&self, id: &str) -> Pending<i32> {
        self.shard.run(Step::of(id, self.now), |tally, _, out| {
            tally.written_at.into_iter().for_each(|offset| out.depends_on(offset));
            tally.sum
        })
    }

    fn look<T>(&self, id: &str, look: impl Fn(&Tally) -> T) -> Option<T> {
        let mut found = None;
        let visit = &mut |known: &str, tally: &Tally| {
            if known == id {
                found = Some(look(tally));
            }
        };
        self.shard.visit(visit).expect("loaded");
        found
    }

    fn tick(&self) -> Next {
        self.shard.tick(self.now)
    }

    fn append(&self, builder: BatchBuilder) {
        let batch = builder.build().expect("a batch");
        let origin = AppendOrigin::Coordinator;
        let batch = AppendBatch { header: *batch.header(), payload: batch.payload(), origin };
        self.shard.log().append(&batch, 0, 0).expect("appended");
    }
}

/// What has become of an answer by now.
fn poll<T>(pending: Pending<T>) -> Option<Result<T, CoordinatorError>> {
    poll_once(pending.done())
}

fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn value<T>(pending: Pending<T>) -> T {
    poll(pending).expect("decided and durable").expect("no error")
}

#[test]
fn an_answer_waits_until_what_it_says_is_durable() {
    let f = Fixture::new();
    let (first, second) = (f.add("a", 3), f.add("a", 4));
    assert!(poll(f.read("a")).is_none(), "who reads waits for the same");
    assert_eq!(value(f.read("b")), 0, "but not for what others have written");
    f.flush();
    assert_eq!((value(first), value(second), value(f.read("a"))), (3, 7, 7));
    assert!(f.add("a", 1).now().is_err());
    assert!(f.read("b").now().is_ok());
}

#[test]
fn a_replay_amounts_to_what_was_durable() {
    let f = Fixture::new();
    drop((f.add("a", 3), f.add("b", 1)));
    f.flush();
    drop(f.add("a", 100));
    let f = f.crashed();
    assert_eq!((value(f.read("a")), value(f.read("b"))), (3, 1));
    drop(f.shard.run(Step::of("b", f.now), |_, _, out| out.write(Sum("b".into(), None))));
    f.flush();
    let f = f.crashed();
    assert_eq!((f.look("a", |tally| tally.sum), f.look("b", |tally| tally.sum)), (Some(3), None));
}

#[test]
fn that_nobody_is_there_is_said_once_it_is_durable() {
    let f = Fixture::new();
    drop((f.add("a", 3), f.add("b", 1)));
    f.flush();
    drop(f.shard.run(Step::of("a", f.now), |_, _, out| out.write(Sum("a".into(), None))));
    assert_eq!(f.look("a", |_| ()), None);
    assert!(poll(f.read("a")).is_none());
    assert_eq!(value(f.read("b")), 1);
    f.flush();
    assert_eq!(value(f.read("a")), 0);
}

#[test]
fn a_refused_append_changes_nothing_and_everybody_learns_it() {
    let f = Fixture::new();
    drop(f.add("a", 3));
    f.flush();
    let waiting = f.shard.ask("a", f.now, |tally, _, ticket, _| tally.waiting = Some(ticket));
    f.disk.fail_nth(1, ENOSPC);
    let refused = f.shard.run(Step::of("a", f.now), |tally, _, out| {
        out.reply(tally.waiting.take().expect("waits"), 1);
        tally.add("a", 1, out)
    });
    assert!(matches!(poll(refused), Some(Err(CoordinatorError::Append(_)))));
    assert!(matches!(poll(waiting), Some(Err(CoordinatorError::Append(_)))));
    assert_eq!(f.look("a", |tally| (tally.sum, tally.refusals)), Some((3, 1)));
    drop(f.add("a", 1));
    f.flush();
    assert_eq!(value(f.crashed().read("a")), 4);
}

#[test]
fn a_batch_that_the_topic_would_not_take_is_refused() {
    let f = Fixture::new();
    let id = "x".repeat(1000);
    let Some(Err(CoordinatorError::TooLarge { size, limit: 1000 })) = poll(f.add(&id, 1)) else { panic!("refused") };
    assert!(size > 1000);
    assert_eq!(f.look(&id, |_| ()), None, "nothing is left of what came into being with it");
}

#[test]
fn a_batch_that_only_compression_makes_small_is_refused() {
    let f = Fixture::compressing(&SimDisk::new(1), Compression::Gzip);
    f.shard.load(f.now);
    let id = "x".repeat(200);
    let many = |count: usize| {
        poll(f.shard.run(Step::of(&id, f.now), |tally, _, out| {
            for _ in 0..count {
                tally.add(&id, 1, out);
            }
        }))
    };
    assert!(many(70).is_none(), "more than its limit, but not by far");
    let Some(Err(CoordinatorError::TooLarge { size, limit: 1000 })) = many(90) else { panic!("refused") };
    assert!(size > 16_000, "{size}");
}

#[test]
fn no_more_records_are_kept_than_a_batch_could_have() {
    let f = Fixture::new();
    let mut kept = 0;
    let refused = f.shard.run(Step::of("a", f.now), |tally, _, out| {
        for _ in 0..100_000 {
            tally.add("a", 1, out);
        }
        kept = out.records().len();
    });
    assert!(matches!(poll(refused), Some(Err(CoordinatorError::TooLarge { .. }))));
    assert!(kept < 1000, "{kept}");
}

#[test]
fn what_may_be_split_is_written_in_as_many_batches_as_it_takes() {
    let f = Fixture::new();
    let many = || {
        f.shard.run(Step::of("a", f.now), |tally, _, out| {
            out.may_be_split();
            for what in 0..100 {
                tally.add("a", what, out);
            }
        })
    };
    assert!(poll(many()).is_none());
    f.flush();
    assert_eq!(f.look("a", |tally| (tally.sum, tally.written_at)), Some((99, Some(99))));
    f.disk.fail_nth(2, ENOSPC);
    assert!(matches!(poll(many()), Some(Err(CoordinatorError::Append(_)))));
    let (sum, refusals) = f.look("a", |tally| (tally.sum, tally.refusals)).expect("there");
    assert!((100..198).contains(&sum), "what was written before counts: {sum}");
    assert_eq!(refusals, 1);
    f.flush();
    assert_eq!(value(f.crashed().read("a")), sum);
}

#[test]
fn who_waits_is_answered_by_a_later_step_or_a_deadline() {
    let mut f = Fixture::new();
    let ask = |f: &Fixture, id: &str| {
        f.shard.ask(id, f.now, |tally, cx, ticket, _| {
            tally.waiting = Some(ticket);
            tally.deadline = Some(cx.now.monotonic + *cx.settings);
        })
    };
    let (answered, in_vain) = (ask(&f, "a"), ask(&f, "b"));
    drop(f.shard.run(Step::of("a", f.now), |tally, _, out| out.reply(tally.waiting.take().expect("waits"), 7)));
    assert_eq!(value(answered), 7);
    f.pass(10 * SECOND);
    assert!(matches!(f.tick(), Next::Wait(None)));
    assert_eq!(value(in_vain), -1);
    assert_eq!(f.look("b", |_| ()), None, "what is vacant again is not kept");
}

#[test]
fn a_deadline_that_moves_on_is_looked_at_when_the_old_one_comes() {
    let mut f = Fixture::new();
    drop(f.add("a", 1));
    let set = |f: &Fixture, seconds: u32| {
        drop(
            f.shard
                .run(Step::of("a", f.now), |tally, cx, _| tally.deadline = Some(cx.now.monotonic + seconds * SECOND)),
        );
    };
    f.flush();
    let begin = f.now.monotonic;
    set(&f, 10);
    set(&f, 20);
    assert!(matches!(f.tick(), Next::Wait(Some(due)) if due == begin + 10 * SECOND));
    f.pass(10 * SECOND);
    assert!(matches!(f.tick(), Next::Wait(Some(due)) if due == begin + 20 * SECOND));
    set(&f, 2);
    assert!(matches!(f.tick(), Next::Wait(Some(due)) if due == begin + 12 * SECOND), "an earlier one counts at once");
    f.pass(2 * SECOND);
    assert!(matches!(f.tick(), Next::Wait(None)));
    assert_eq!(f.look("a", |tally| tally.ticks), Some(1));
}

#[test]
fn no_time_passes_while_the_disk_stands_still() {
    let f = Fixture::new();
    drop(f.add("a", 1));
    f.flush();
    let mut f = f.crashed();
    f.pass(9 * SECOND);
    drop(f.add("b", 1));
    let end = f.shard.log().offsets().log_end();
    f.pass(SECOND + STALL);
    assert!(matches!(f.tick(), Next::Stalled(below) if below == end));
    assert_eq!(f.look("a", |tally| tally.ticks), Some(0));
    f.flush();
    f.shard.resume(f.now);
    assert!(matches!(f.tick(), Next::Wait(Some(due)) if due == f.now.monotonic + 10 * SECOND));
    assert_eq!(f.look("a", |tally| (tally.ticks, tally.stalls)), Some((0, 1)));
    f.pass(10 * SECOND);
    assert!(matches!(f.tick(), Next::Wait(None)));
    assert_eq!(f.look("a", |tally| tally.ticks), Some(1));
}

#[test]
fn no_time_passes_while_the_process_stands_still() {
    let f = Fixture::new();
    drop(f.add("a", 1));
    f.flush();
    let mut f = f.crashed();
    f.pass(60 * SECOND);
    assert!(matches!(f.tick(), Next::Wait(Some(due)) if due == f.now.monotonic + 10 * SECOND));
    f.pass(10 * SECOND + STALL);
    assert!(matches!(f.tick(), Next::Wait(None)));
}

#[test]
fn nobody_is_served_before_the_log_is_loaded_or_after_it_is_gone() {
    let f = Fixture::loading(&SimDisk::new(1));
    assert!(matches!(poll(f.add("a", 1)), Some(Err(CoordinatorError::Loading))));
    assert!(matches!(f.tick(), Next::Wait(None)));
    f.shard.load(f.now);
    let waiting = f.shard.ask("a", f.now, |tally, _, ticket, _| tally.waiting = Some(ticket));
    let written = f.add("b", 1);
    f.dir.delete_partitions(std::slice::from_ref(f.shard.log().topic_partition()), f.now.monotonic).expect("deleted");
    assert!(matches!(poll(f.add("a", 1)), Some(Err(CoordinatorError::NotHere))));
    assert!(matches!(poll(waiting), Some(Err(CoordinatorError::NotHere))));
    assert!(matches!(poll(written), Some(Err(CoordinatorError::Lost(_)))), "its log went before it was durable");
    assert!(matches!(f.tick(), Next::End));
}

#[test]
fn whoever_waits_in_a_retired_shard_learns_it() {
    let f = Fixture::new();
    let waiting = f.shard.ask("a", f.now, |tally, _, ticket, _| tally.waiting = Some(ticket));
    f.shard.retire();
    assert!(matches!(poll(waiting), Some(Err(CoordinatorError::NotHere))));
    f.shard.load(f.now);
    assert!(matches!(poll(f.add("a", 1)), Some(Err(CoordinatorError::NotHere))), "it does not come back");
    assert!(matches!(f.tick(), Next::End));
}

#[test]
fn many_that_are_due_at_once_are_ticked_by_and_by() {
    let mut f = Fixture::new();
    let ids: Vec<_> = (0..25).map(|number| number.to_string()).collect();
    for id in &ids {
        drop(f.shard.run(Step::of(id, f.now), |tally, cx, _| {
            tally.sum = 1;
            tally.deadline = Some(cx.now.monotonic + *cx.settings);
        }));
    }
    f.pass(10 * SECOND);
    let ticked = |f: &Fixture| ids.iter().filter(|id| f.look(id, |tally| tally.ticks) == Some(1)).count();
    for expected in [10, 20] {
        assert!(matches!(f.tick(), Next::Wait(Some(due)) if due <= f.now.monotonic));
        assert_eq!(ticked(&f), expected);
    }
    assert!(matches!(f.tick(), Next::Wait(None)));
    assert_eq!(ticked(&f), 25);
}

#[test]
fn a_log_that_cannot_be_read_serves_nobody() {
    let f = Fixture::loading(&SimDisk::new(1));
    let mut builder = BatchBuilder::new(0).control();
    builder.append(&NewRecord { key: Some(b"?"), ..NewRecord::default() }).expect("fits");
    f.append(builder);
    f.shard.load(f.now);
    assert!(matches!(poll(f.add("a", 1)), Some(Err(CoordinatorError::NotHere))));
}
