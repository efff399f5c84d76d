//! Transactions that last too long.

use std::time::Duration;

use super::context::{Context, EPOCH, MS, TIMEOUT, V0, V2, producer};
use crate::{
    coordinator::machine::Machine,
    protocol::transaction_version::TransactionVersion,
    transactions::{
        state::{
            Outcome::{Abort, Commit},
            State::{CompleteAbort, Ongoing, PrepareAbort, PrepareCommit},
        },
        transaction_metadata::TransactionMetadata,
    },
};

#[test]
fn a_transaction_is_aborted_when_it_has_lasted_too_long() {
    for (version, aborted) in [(V0, 6), (TransactionVersion::V1, 6), (V2, 7)] {
        let (mut context, _) = Context::ongoing(version, 5);
        assert_eq!(context.transaction.next_deadline(), Some(context.now + TIMEOUT));
        context.pass(TIMEOUT - MS);
        assert_eq!(context.state(), Ongoing);
        context.pass(MS);
        let end = context.one_due();
        assert_eq!((context.state(), end.outcome, end.producer), (PrepareAbort, Abort, producer(1, aborted)));
        assert!(end.partitions.contains("one", 0));
        assert_eq!(context.transaction.next_deadline(), None);
        context.complete_all();
        assert_eq!(context.state(), CompleteAbort);
    }
}

#[test]
fn the_time_runs_from_the_first_partition_on() {
    let (mut context, current) = Context::ongoing(V2, 5);
    let deadline = context.transaction.next_deadline();
    for partition in 1..6 {
        context.pass(TIMEOUT / 6);
        context.ask(current, &[("one", partition)], V2);
        assert_eq!(context.transaction.next_deadline(), deadline);
    }
    context.pass(TIMEOUT / 6);
    assert_eq!(context.state(), PrepareAbort);
}

/// The wall clock says nothing of how long a transaction has been open, wherever it is set.
#[test]
fn a_wall_clock_that_is_set_changes_nothing() {
    for wall in [0, i64::MIN, i64::MAX, EPOCH] {
        let (mut context, current) = Context::ongoing(V2, 5);
        context.pass(TIMEOUT / 2);
        context.wall = wall;
        let deadline = context.transaction.next_deadline();
        context.ask(current, &[("one", 1)], V2);
        assert_eq!(context.transaction.next_deadline(), deadline, "{wall}");
        context.wall = 0;
        context.pass(TIMEOUT / 2 - MS);
        assert_eq!(context.state(), Ongoing);
        context.pass(MS);
        assert_eq!(context.state(), PrepareAbort);
    }
}

#[test]
fn each_transaction_has_a_time_of_its_own() {
    let (mut context, first) = Context::ongoing(V2, 5);
    context.pass(TIMEOUT / 2);
    let second = context.ended(first, Commit);
    assert_eq!(context.transaction.next_deadline(), None);
    context.pass(TIMEOUT);
    assert_eq!(context.add(second), Ok(()));
    assert_eq!(context.transaction.next_deadline(), Some(context.now + TIMEOUT));
    context.end(second, Commit).expect("it may");
    context.pass(2 * TIMEOUT);
    assert_eq!(context.state(), PrepareCommit, "what was decided stays");
}

#[test]
fn after_a_restart_it_has_the_rest_of_its_time() {
    let (mut context, current) = Context::ongoing(V2, 5);
    context.pass(TIMEOUT / 4);
    context.ask(current, &[("one", 1)], V2);
    context.restart();
    assert_eq!(context.transaction.next_deadline(), Some(context.now + TIMEOUT * 3 / 4));
    context.pass(TIMEOUT * 3 / 4);
    assert_eq!(context.state(), PrepareAbort);
}

#[test]
fn after_a_restart_no_clock_gives_it_more_than_all_of_its_time() {
    for (wall, left) in [(0, TIMEOUT), (i64::MIN, TIMEOUT), (EPOCH - 1, TIMEOUT), (EPOCH + 60_000, Duration::ZERO)] {
        let (mut context, _) = Context::ongoing(V2, 5);
        context.wall = wall;
        context.restart();
        assert_eq!(context.transaction.next_deadline(), Some(context.now + left), "{wall}");
    }
    let (mut context, _) = Context::ongoing(V2, 5);
    context.wall = i64::MAX;
    context.restart();
    context.tick();
    assert_eq!((context.state(), context.due.len()), (PrepareAbort, 1));
}

#[test]
fn an_abort_that_could_not_be_written_is_tried_again() {
    let (mut context, current) = Context::ongoing(V2, 5);
    context.refuses = true;
    context.pass(TIMEOUT);
    assert_eq!(context.transaction.next_deadline(), Some(context.now + Duration::from_secs(1)));
    context.pass(Duration::from_secs(10));
    assert_eq!((context.state(), context.due.len()), (Ongoing, 0));
    assert_eq!(context.metadata().producer, current, "it is not shut out yet");
    context.refuses = false;
    context.pass(Duration::from_secs(1));
    assert_eq!((context.state(), context.metadata().producer), (PrepareAbort, producer(1, 7)));
}

/// What a client could not write does not put off the time.
#[test]
fn an_addition_that_could_not_be_written_gives_no_time() {
    let (mut context, current) = Context::ongoing(V2, 5);
    context.pass(TIMEOUT / 2);
    let deadline = context.transaction.next_deadline();
    context.refuses = true;
    context.ask(current, &[("one", 1)], V2);
    assert_eq!(context.try_end(current, Commit, V2), None);
    assert_eq!(context.transaction.next_deadline(), deadline);
}

#[test]
fn after_a_stall_it_has_all_of_its_time() {
    let (mut context, _) = Context::ongoing(V2, 5);
    context.pass(TIMEOUT / 2);
    context.step(|transaction, cx, _| transaction.after_stall(cx));
    assert_eq!(context.transaction.next_deadline(), Some(context.now + TIMEOUT));
    let (mut context, _) = Context::in_state(V2, PrepareCommit);
    context.step(|transaction, cx, _| transaction.after_stall(cx));
    assert_eq!(context.transaction.next_deadline(), None);
}

#[test]
fn a_time_that_no_client_can_have_is_none() {
    for timeout_ms in [0, -1, i32::MIN] {
        let (mut context, _) = Context::ongoing(V2, 5);
        let there = TransactionMetadata { timeout_ms, ..context.metadata().clone() };
        context.rewrite(&there);
        context.tick();
        assert_eq!(context.state(), PrepareAbort);
    }
    let (mut context, _) = Context::ongoing(V2, 5);
    let there = TransactionMetadata { timeout_ms: i32::MAX, started_at: None, ..context.metadata().clone() };
    context.rewrite(&there);
    assert_eq!(context.transaction.next_deadline(), Some(context.now + Duration::from_millis(0x7fff_ffff)));
}
