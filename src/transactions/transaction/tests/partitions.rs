//! Partitions that take part, and who waits to add them.

use std::sync::Arc;

use super::context::{Answer, Context, LAST, MS, PATIENCE, TIMEOUT, V0, V2, producer};
use crate::{
    coordinator::machine::{Machine, Ticket},
    protocol::{ids::ProducerIdAndEpoch, transaction_version::TransactionVersion},
    transactions::{
        error::TransactionError::{self, ConcurrentTransactions, InvalidProducerIdMapping, ProducerFenced},
        state::{
            Outcome::{Abort, Commit},
            State::{CompleteAbort, CompleteCommit, Empty, Ongoing, PrepareAbort, PrepareCommit},
        },
    },
};

#[test]
fn a_transaction_begins_with_its_first_partition() {
    for state in [Empty, CompleteCommit, CompleteAbort] {
        for version in [V0, TransactionVersion::V1, V2] {
            let (mut context, current) = Context::in_state(version, state);
            context.wall += 3;
            let begun = context.wall;
            let ticket = context.ask(current, &[("two", 1), ("one", 0), ("two", 0)], version);
            assert_eq!(context.reply(ticket), Ok(()));
            context.wall += 3;
            let ticket = context.ask(current, &[("three", 0)], version);
            assert_eq!(context.reply(ticket), Ok(()));
            assert_eq!(context.partitions(), [("one", 0), ("three", 0), ("two", 0), ("two", 1)]);
            let metadata = context.metadata();
            assert_eq!((metadata.state, metadata.started_at, metadata.updated_at), (Ongoing, Some(begun), begun + 3));
        }
    }
}

#[test]
fn partitions_that_are_there_are_not_written_again() {
    let (mut context, current) = Context::ongoing(V2, 5);
    let written = context.journal.len();
    assert_eq!(context.add(current), Ok(()));
    assert_eq!(context.journal.len(), written);
    assert_eq!(context.dependency + 1, i64::try_from(written).expect("few"), "they may not be durable yet");
    let ticket = context.ask(current, &[("one", 0), ("one", 1)], V2);
    assert_eq!(context.reply(ticket), Ok(()));
    assert_eq!((context.journal.len(), context.partitions()), (written + 1, vec![("one", 0), ("one", 1)]));
}

#[test]
fn how_the_client_talks_is_written() {
    let (mut context, current) = Context::at_epoch(V2, 5);
    context.ask(current, &[("one", 0)], V0);
    assert_eq!(context.metadata().client_version, V0);
    context.ask(current, &[("one", 1)], V2);
    assert_eq!(context.metadata().client_version, V2);
}

/// delayed-produce: what comes late does not become part of a later transaction.
#[test]
fn delayed_produce() {
    let (mut context, first) = Context::ongoing(V2, 5);
    let second = context.end(first, Commit).expect("it may");
    assert_eq!(context.add(first), Err(ProducerFenced), "on the way");
    context.complete_all();
    assert_eq!(context.add(first), Err(ProducerFenced), "known everywhere");
    assert_eq!(context.add(second), Ok(()));
    assert_eq!(context.add(first), Err(ProducerFenced), "in the next");
    assert_eq!(context.add(producer(1, 7)), Err(ProducerFenced));
    assert_eq!(context.add(producer(2, 6)), Err(InvalidProducerIdMapping));
    assert_eq!(Context::new().add(second), Err(InvalidProducerIdMapping));
}

fn verify(
    context: &mut Context,
    producer: ProducerIdAndEpoch,
    partitions: &[(&str, i32)],
) -> Result<Vec<bool>, TransactionError> {
    let partitions: Vec<(Arc<str>, i32)> =
        partitions.iter().map(|(topic, partition)| (Arc::from(*topic), *partition)).collect();
    context.step(|transaction, _, out| transaction.verify(producer, &partitions, out)).expect("nothing is written")
}

#[test]
fn partitions_are_verified_in_the_order_given() {
    let (mut context, current) = Context::ongoing(V0, 5);
    context.ask(current, &[("two", 3)], V0);
    let asked = [("two", 3), ("one", 1), ("one", 0), ("three", 0)];
    assert_eq!(verify(&mut context, current, &asked), Ok(vec![true, false, true, false]));
    assert_eq!(context.dependency + 1, i64::try_from(context.journal.len()).expect("few"));
    assert_eq!(verify(&mut context, producer(1, 4), &asked), Err(ProducerFenced));
    assert_eq!(verify(&mut context, producer(2, 5), &asked), Err(InvalidProducerIdMapping));
    context.end(current, Commit).expect("it may");
    assert_eq!(verify(&mut context, current, &asked), Err(ConcurrentTransactions));
    context.complete_all();
    assert_eq!(verify(&mut context, current, &asked), Ok(vec![false; 4]));
    assert_eq!(verify(&mut Context::new(), current, &asked), Err(InvalidProducerIdMapping));
}

/// next-txn-during-markers: who begins the next transaction early is answered once the last one is known everywhere.
#[test]
fn next_txn_during_markers() {
    for (version, state) in [(V0, PrepareCommit), (V2, PrepareCommit), (V0, PrepareAbort), (V2, PrepareAbort)] {
        let (mut context, next) = Context::in_state(version, state);
        context.answered.clear();
        let asked: Vec<_> = (0..3).map(|partition| context.ask(next, &[("two", partition)], version)).collect();
        let again = context.ask(next, &[("two", 1)], version);
        asked.iter().for_each(|ticket| context.waits(*ticket));
        let written = context.journal.len();
        context.wall += 9;
        context.complete_all();
        assert_eq!(context.answered, [asked.as_slice(), &[again]].concat(), "in order");
        asked.into_iter().chain([again]).for_each(|ticket| assert_eq!(context.reply(ticket), Ok(())));
        assert_eq!(context.journal.len(), written + 2, "the end, and all that was added");
        assert_eq!((context.state(), context.partitions()), (Ongoing, vec![("two", 0), ("two", 1), ("two", 2)]));
        assert_eq!(context.metadata().started_at, Some(context.wall));
        assert_eq!(context.due, [], "nothing more is due");
        assert_eq!(context.transaction.next_deadline(), Some(context.now + TIMEOUT));
    }
}

#[test]
fn next_txn_during_markers_of_a_new_producer_id() {
    let (mut context, last) = Context::ongoing(V2, LAST);
    let next = context.end(last, Commit).expect("it may");
    let early = context.ask(next, &[("two", 0)], V2);
    context.waits(early);
    assert_eq!(context.add(last), Err(InvalidProducerIdMapping));
    context.complete_all();
    assert_eq!(context.reply(early), Ok(()));
    assert_eq!((context.metadata().producer, context.partitions()), (producer(2, 0), vec![("two", 0)]));
}

#[test]
fn next_txn_during_markers_waits_as_long_as_it_said() {
    let (mut context, next) = Context::in_state(V2, PrepareCommit);
    let first = context.ask(next, &[("two", 0)], V2);
    context.pass(PATIENCE / 2);
    let second = context.ask(next, &[("two", 1)], V2);
    context.pass(PATIENCE / 2 - MS);
    context.waits(first);
    context.pass(MS);
    assert_eq!(context.reply(first), Err(ConcurrentTransactions));
    context.waits(second);
    context.complete_all();
    assert_eq!(context.reply(second), Ok(()));
    assert_eq!(context.partitions(), [("two", 1)], "what was given up does not take part");
}

#[test]
fn next_txn_during_markers_has_room_for_a_hundred() {
    let (mut context, next) = Context::in_state(V2, PrepareCommit);
    let waiting: Vec<_> = (0..100).map(|partition| context.ask(next, &[("two", partition)], V2)).collect();
    let one_more = context.ask(next, &[("two", 100)], V2);
    assert_eq!(context.reply(one_more), Err(ConcurrentTransactions));
    context.waits(waiting[99]);
    context.complete_all();
    waiting.into_iter().for_each(|ticket| assert_eq!(context.reply(ticket), Ok(())));
    assert_eq!(context.partitions().len(), 100);
}

#[test]
fn next_txn_during_markers_refuses_at_once_who_has_no_turn() {
    let (mut context, next) = Context::in_state(V2, PrepareCommit);
    for (asks, error) in
        [(producer(1, 5), ProducerFenced), (next.bumped(), ProducerFenced), (producer(2, 0), InvalidProducerIdMapping)]
    {
        assert_eq!(context.add(asks), Err(error));
    }
}

/// If the end cannot be written, who waits for it is told so; it may come again.
#[test]
fn next_txn_during_markers_that_could_not_be_written() {
    let (mut context, next) = Context::in_state(V2, PrepareCommit);
    let early = context.ask(next, &[("two", 0)], V2);
    context.refuses = true;
    context.complete(&context.one_due());
    assert_eq!(context.answers.remove(&early), Some(Answer::NotWritten));
    assert_eq!((context.state(), context.transaction.next_deadline()), (PrepareCommit, None));
    context.refuses = false;
    let again = context.ask(next, &[("two", 0)], V2);
    context.complete_all();
    assert_eq!(context.reply(again), Ok(()));
}

#[test]
fn an_addition_that_could_not_be_written_adds_nothing() {
    let (mut context, current) = Context::at_epoch(V2, 5);
    context.refuses = true;
    let ticket = context.ask(current, &[("one", 0)], V2);
    assert_eq!(context.answers.remove(&ticket), Some(Answer::NotWritten));
    assert_eq!((context.state(), context.transaction.next_deadline()), (Empty, None));
    context.refuses = false;
    context.pass(10 * MS);
    assert_eq!(context.add(current), Ok(()));
    assert_eq!(context.transaction.next_deadline(), Some(context.now + TIMEOUT));
    context.refuses = true;
    context.ask(current, &[("one", 1)], V2);
    assert_eq!(context.partitions(), [("one", 0)]);
}

#[test]
fn who_waits_keeps_the_machine() {
    let (mut context, next) = Context::in_state(V2, PrepareAbort);
    assert_eq!(context.ask(next, &[("one", 0)], V2), Ticket(2));
    assert!(!context.transaction.is_vacant());
    assert_eq!(context.end(next, Abort), Err(ConcurrentTransactions), "the last end is on its way");
}
