//! A crash, an error and a stop at every step of a scenario that goes through everything.

use super::{
    client::Client,
    history::History,
    world::{Stopped, World, live},
};
use crate::{
    log::{
        disk::sim::{Crash, SimDisk},
        group_commit::Durability,
    },
    protocol::transaction_version::TransactionVersion,
    transactions::state::{Outcome, State},
};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
/// Of the calls that a process dies at, every so many-th is one that the next process has trouble after,
const STEP: usize = 64;
/// at every so many-th of its own calls.
const NEXT_STEP: usize = 7;
/// Where nothing waits for a sync, every so many-th call is one that a process is killed at.
const KILL_STEP: usize = 4;

/// One producer of each kind, whose transactions overlap. The last of them is left open.
async fn scenario(world: &World, history: &mut History) -> Result<(), Stopped> {
    let mut old = Client::begin(world, "old", TransactionVersion::V0).await?;
    let mut new = Client::begin(world, "new", TransactionVersion::V2).await?;
    old.write(history).await?;
    new.write(history).await?;
    old.end(history, Outcome::Commit).await?;
    new.end(history, Outcome::Commit).await?;
    new.write(history).await?;
    old.write(history).await?;
    old.end(history, Outcome::Abort).await?;
    new.end(history, Outcome::Abort).await?;
    assert_eq!(new.state(), Some(State::PrepareAbort), "what is added now waits for the markers");
    new.write(history).await?;
    new.end(history, Outcome::Commit).await?;
    new.write(history).await
}

/// Lets everything end that a process before has left.
async fn finish(world: &World, by_time_out: bool) -> Result<(), Stopped> {
    world.loaded().await?;
    if !by_time_out {
        world.init("old").await?;
        world.init("new").await?;
    }
    world
        .until(|| {
            if by_time_out {
                world.time_out();
            }
            world.unfinished() == 0
        })
        .await
}

/// One more transaction of each producer.
async fn go_on(world: &World, history: &mut History) -> Result<(), Stopped> {
    for (id, version) in [("old", TransactionVersion::V0), ("new", TransactionVersion::V2)] {
        let mut client = Client::begin(world, id, version).await?;
        client.write(history).await?;
        client.end(history, Outcome::Commit).await?;
    }
    world.until(|| world.unfinished() == 0).await
}

/// All of this on a disk that does not fail.
async fn recover(world: &World, history: &mut History, by_time_out: bool, context: &str) -> Result<(), Stopped> {
    finish(world, by_time_out).await?;
    history.check(world, context);
    go_on(world, history).await?;
    history.check(world, context);
    Ok(())
}

/// How many calls of the disk the scenario has.
fn calls(furnished: &SimDisk, durability: Durability) -> u64 {
    let disk = furnished.copy(1);
    live(async {
        let world = World::open(&disk, durability).expect("opened");
        world.loaded().await.expect("loaded");
        let before = disk.calls();
        scenario(&world, &mut History::default()).await.expect("nothing fails");
        disk.calls() - before
    })
}

/// How the disk of a process fails.
#[derive(Clone, Copy, Debug)]
enum Failure {
    /// The process dies at this call.
    Death(u64),
    /// This call fails.
    Error(u64, i32),
}

impl Failure {
    fn happen(self, world: &mut World) {
        world.is_mortal = matches!(self, Self::Death(_));
        self.happen_on(&world.disk);
    }

    fn happen_on(self, disk: &SimDisk) {
        match self {
            Self::Death(n) => disk.fail_from(n, EIO),
            Self::Error(n, errno) => disk.fail_nth(n, errno),
        }
    }
}

/// The scenario on a disk that fails. Whatever happens, the process could end where this returns.
fn first_life(disk: &SimDisk, durability: Durability, failure: Failure, context: &str) -> History {
    let mut history = History::default();
    live(async {
        let mut world = World::open(disk, durability).expect("opened");
        world.loaded().await.expect("loaded");
        failure.happen(&mut world);
        match scenario(&world, &mut history).await {
            Ok(()) => {
                disk.heal();
                // A disk that is well again is good for everything.
                let recovered = recover(&world, &mut history, false, context).await;
                assert!(matches!(recovered, Ok(()) | Err(Stopped::Dead)), "{context}: {recovered:?}");
            }
            Err(Stopped::Dead) => {}
            Err(Stopped::Refused(error)) => panic!("{context}: {error}"),
        }
    });
    history
}

/// A start on a disk that fails; it may come to nothing.
fn next_life(disk: &SimDisk, failure: Failure, history: &mut History) {
    failure.happen_on(disk);
    live(async {
        let Ok(mut world) = World::open(disk, Durability::Fsync) else { return };
        world.is_mortal = matches!(failure, Failure::Death(_));
        let begun = async {
            finish(&world, true).await?;
            go_on(&world, history).await
        };
        if let Err(Stopped::Refused(_)) = begun.await {
            // One of the coordinators could not read its log; the other goes on.
            drop(world.pass_time().await);
        }
    });
    disk.heal();
}

/// A start on a disk that does not fail.
fn last_life(disk: &SimDisk, durability: Durability, history: &mut History, by_time_out: bool, context: &str) -> u64 {
    let before = disk.calls();
    live(async {
        let world = World::open(disk, durability).expect("opened");
        recover(&world, history, by_time_out, context).await.expect("nothing fails");
    });
    disk.calls() - before
}

#[test]
fn what_was_decided_is_carried_out_whatever_call_the_process_dies_at() {
    let furnished = World::furnished();
    for n in 1..=calls(&furnished, Durability::Fsync) {
        let other = [Crash::KeepAll, Crash::LoseAll][usize::from(n / 2 % 2 == 0)];
        for (seed, crash) in [(n, Crash::Tear), (n + 1000, Crash::Tear), (n, other)] {
            let context = format!("call {n}, seed {seed}, {crash:?}");
            let disk = furnished.copy(seed);
            let mut history = first_life(&disk, Durability::Fsync, Failure::Death(n), &context);
            disk.crash(crash);
            last_life(&disk, Durability::Fsync, &mut history, n % 2 == 0, &context);
        }
    }
}

/// Where a write into the page cache counts, that is all there is to be said.
#[test]
fn a_process_that_is_killed_loses_nothing_that_it_has_written() {
    let furnished = World::furnished();
    for n in (1..=calls(&furnished, Durability::Kafka)).step_by(KILL_STEP) {
        let context = format!("call {n}");
        let disk = furnished.copy(n);
        let mut history = first_life(&disk, Durability::Kafka, Failure::Death(n), &context);
        disk.crash(Crash::KeepAll);
        last_life(&disk, Durability::Kafka, &mut history, n % 2 == 0, &context);
    }
}

#[test]
fn what_was_decided_is_carried_out_whatever_call_fails() {
    let furnished = World::furnished();
    for n in 1..=calls(&furnished, Durability::Fsync) {
        // Writes and syncs alternate in places.
        let (errno, crash) = if n / 2 % 2 == 0 { (EIO, Crash::LoseAll) } else { (ENOSPC, Crash::KeepAll) };
        let context = format!("call {n}, error {errno}");
        let disk = furnished.copy(n);
        let mut history = first_life(&disk, Durability::Fsync, Failure::Error(n, errno), &context);
        disk.crash(crash);
        last_life(&disk, Durability::Fsync, &mut history, true, &context);
    }
}

#[test]
fn what_was_decided_is_carried_out_whatever_happens_to_the_start_after_a_crash() {
    let furnished = World::furnished();
    for n in (1..=calls(&furnished, Durability::Fsync)).step_by(STEP) {
        let crashed = furnished.copy(n);
        let history = first_life(&crashed, Durability::Fsync, Failure::Death(n), "the first");
        crashed.crash(Crash::LoseAll);
        let copy = || (crashed.copy(n), History(history.0.clone()));
        let (disk, mut undisturbed) = copy();
        let calls = last_life(&disk, Durability::Fsync, &mut undisturbed, true, "undisturbed");
        for m in (1 + n % NEXT_STEP as u64..=calls).step_by(NEXT_STEP) {
            for (failure, crash) in [(Failure::Death(m), Crash::LoseAll), (Failure::Error(m, EIO), Crash::KeepAll)] {
                let context = format!("call {n}, then {failure:?}");
                let (disk, mut history) = copy();
                next_life(&disk, failure, &mut history);
                disk.crash(crash);
                last_life(&disk, Durability::Fsync, &mut history, m % 2 == 0, &context);
            }
        }
    }
}

/// Whatever is under way, it is not said to be done.
#[test]
fn a_stop_may_come_at_any_turn() {
    let furnished = World::furnished();
    for is_standing_still in [false, true] {
        let mut turn = 0;
        let mut is_whole = false;
        while !is_whole {
            let context = format!("turn {turn}");
            let disk = furnished.copy(turn);
            let mut history = History::default();
            live(async {
                let world = World::open(&disk, Durability::Fsync).expect("opened");
                world.turns_left.set(Some(turn));
                is_whole = scenario(&world, &mut history).await.is_ok();
                world.stop(is_standing_still).await;
            });
            last_life(&disk, Durability::Fsync, &mut history, turn % 2 == 0, &context);
            turn += 1;
        }
        assert!(turn > 20, "{turn}");
    }
}
