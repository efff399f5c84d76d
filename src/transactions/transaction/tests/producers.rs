//! Producers that begin, and whom that shuts out.

use super::context::{Context, LAST, V0, V2, producer};
use crate::{
    coordinator::machine::Machine,
    protocol::transaction_version::TransactionVersion,
    transactions::{
        error::TransactionError::{
            ConcurrentTransactions, InvalidProducerIdMapping, InvalidTxnState, ProducerFenced, TransactionalIdNotFound,
        },
        state::{
            Outcome::{Abort, Commit},
            State::{CompleteAbort, CompleteCommit, Empty, Ongoing, PrepareAbort, PrepareCommit},
        },
        transaction::Initialisation,
        transaction_metadata::Partitions,
    },
};

#[test]
fn the_first_producer_has_a_new_id() {
    let mut context = Context::new();
    assert_eq!(context.transaction.describe(&mut Default::default()).map(|_| ()), Err(TransactionalIdNotFound));
    assert_eq!(context.init(None), Ok(producer(1, 0)));
    let metadata = context.metadata();
    assert_eq!((metadata.state, metadata.previous_id, metadata.next_id), (Empty, Some(1), None));
    assert_eq!((metadata.started_at, metadata.updated_at), (None, context.wall));
    assert_eq!(metadata.timeout_ms, 60_000);
}

/// What it was before does not matter where nothing is known of it.
#[test]
fn a_producer_that_was_forgotten_has_a_new_id() {
    let mut context = Context::new();
    assert_eq!(context.init(Some(producer(77, 3))), Ok(producer(1, 0)));
}

#[test]
fn each_state_without_an_expected_producer() {
    let cases = [
        (Empty, Ok(producer(1, 6)), Ok(producer(1, 6))),
        (Ongoing, Err(ConcurrentTransactions), Err(ConcurrentTransactions)),
        (PrepareCommit, Err(ConcurrentTransactions), Err(ConcurrentTransactions)),
        (PrepareAbort, Err(ConcurrentTransactions), Err(ConcurrentTransactions)),
        (CompleteCommit, Ok(producer(1, 6)), Ok(producer(1, 7))),
        (CompleteAbort, Ok(producer(1, 6)), Ok(producer(1, 7))),
    ];
    for (state, without_bump, with_bump) in cases {
        for (version, expected) in [(V0, without_bump), (TransactionVersion::V1, without_bump), (V2, with_bump)] {
            let (mut context, current) = Context::in_state(version, state);
            context.wall += 5;
            assert_eq!(context.init(None), expected, "{state:?}, {version:?}");
            if expected.is_ok() {
                let metadata = context.metadata();
                assert_eq!((metadata.state, metadata.started_at, metadata.updated_at), (Empty, None, context.wall));
                assert_eq!(context.add(current), Err(ProducerFenced), "who was there before is shut out");
                assert_eq!(context.end(current, Abort), Err(ProducerFenced));
            }
        }
    }
}

#[test]
fn each_state_with_an_expected_producer() {
    for state in [Empty, CompleteCommit, CompleteAbort] {
        for version in [V0, TransactionVersion::V1, V2] {
            let (mut context, current) = Context::in_state(version, state);
            for epoch in [0, current.epoch - 1, current.epoch + 1, i16::MAX, -1, i16::MIN] {
                assert_eq!(context.init(Some(producer(1, epoch))), Err(ProducerFenced), "{state:?}");
            }
            for id in [0, 2, -1] {
                assert_eq!(context.init(Some(producer(id, current.epoch))), Err(ProducerFenced), "{state:?}");
                assert_eq!(context.init(Some(producer(id, LAST))), Err(ProducerFenced), "{state:?}");
            }
            assert_eq!(context.init(Some(current)), Ok(current.bumped()));
            assert_eq!(context.state(), Empty);
        }
    }
    for state in [Ongoing, PrepareCommit, PrepareAbort] {
        for version in [V0, V2] {
            let (mut context, current) = Context::in_state(version, state);
            assert_eq!(context.init(Some(producer(2, current.epoch))), Err(ProducerFenced), "{state:?}");
            assert_eq!(context.due.len(), usize::from(state != Ongoing), "{state:?}: who is not it aborts nothing");
            assert_eq!(context.init(Some(current)), Err(ConcurrentTransactions), "{state:?}");
        }
    }
}

/// The one that has the id now is shut out, by two epochs where its own end takes one.
#[test]
fn a_new_producer_aborts_an_open_transaction() {
    for (version, aborted, next) in [(V0, 6, 7), (TransactionVersion::V1, 6, 7), (V2, 7, 8)] {
        let (mut context, old) = Context::ongoing(version, 5);
        assert_eq!(context.init(None), Err(ConcurrentTransactions));
        let end = context.one_due();
        assert_eq!((context.state(), end.outcome), (PrepareAbort, Abort));
        assert_eq!(end.producer, producer(1, aborted));
        assert!(end.partitions.contains("one", 0));
        assert_eq!(context.end(old, Commit), Err(ProducerFenced));
        assert_eq!(context.add(old), Err(ProducerFenced));
        assert_eq!(context.init(None), Err(ConcurrentTransactions), "not yet");
        assert_eq!(context.due.len(), 1, "it is not aborted again");
        context.complete_all();
        for outcome in [Commit, Abort] {
            assert_eq!(context.end(old, outcome), Err(ProducerFenced));
        }
        assert_eq!(context.init(Some(old)), Err(ProducerFenced));
        assert_eq!(context.init(None), Ok(producer(1, next)));
        assert_eq!(context.init(Some(old)), Err(ProducerFenced));
    }
}

/// KIP-360: a producer that goes on after an error, and asks again because it did not hear of the answer.
#[test]
fn who_goes_on_and_asks_again_is_told_again() {
    for version in [V0, V2] {
        let (mut context, old) = Context::at_epoch(version, 5);
        let new = old.bumped();
        for _ in 0..3 {
            assert_eq!(context.init(Some(old)), Ok(new));
        }
        assert_eq!(context.init(Some(producer(1, 4))), Err(ProducerFenced));
        assert_eq!(context.init(Some(new)), Ok(producer(1, 7)), "it goes on again");
        assert_eq!(context.init(Some(old)), Err(ProducerFenced), "it knows of what came after");
        assert_eq!(context.init(None), Ok(producer(1, 8)), "another takes its place");
        assert_eq!(context.init(Some(new)), Err(ProducerFenced));
        assert_eq!(context.init(Some(producer(1, 7))), Err(ProducerFenced));
    }
}

#[test]
fn who_goes_on_with_the_last_epoch_has_a_new_id() {
    for version in [V0, V2] {
        let (mut context, last) = Context::at_epoch(version, LAST);
        for _ in 0..2 {
            assert_eq!(context.init(Some(last)), Ok(producer(2, 0)), "also if it asks again");
        }
        assert_eq!(context.init(Some(producer(3, LAST))), Err(ProducerFenced));
        assert_eq!(context.init(Some(producer(1, LAST - 1))), Err(ProducerFenced));
        assert_eq!(context.init(None), Ok(producer(2, 1)));
        assert_eq!(context.init(Some(last)), Err(ProducerFenced));
    }
}

/// So a restart in between makes the client begin anew; Kafka's does too.
#[test]
fn who_goes_on_is_forgotten_by_a_restart() {
    let (mut context, old) = Context::at_epoch(V2, 5);
    assert_eq!(context.init(Some(old)), Ok(old.bumped()));
    context.restart();
    assert_eq!(context.init(Some(old)), Err(ProducerFenced));
    assert_eq!(context.init(Some(old.bumped())), Ok(producer(1, 7)));
}

#[test]
fn epochs_end_one_before_the_greatest() {
    for version in [V0, V2] {
        let (mut context, _) = Context::at_epoch(version, LAST - 1);
        assert_eq!(context.init(None), Ok(producer(1, LAST)));
        assert_eq!(context.init(None), Ok(producer(2, 0)));
        assert_eq!(context.metadata().previous_id, if version == V0 { None } else { Some(1) });
        assert_eq!(
            context.end(producer(1, LAST), Abort),
            Err(if version == V0 { InvalidProducerIdMapping } else { ProducerFenced })
        );
    }
}

/// Without a new id nothing happens: the caller has to come again with one.
#[test]
fn an_id_is_taken_only_where_one_is_needed() {
    let init = Initialisation { timeout_ms: 1, expected: None };
    let mut context = Context::new();
    let asked = context.step(|transaction, cx, out| transaction.init_producer(cx, "id", init, None, out));
    assert_eq!((asked, context.journal.len()), (Some(Ok(None)), 0));
    assert!(context.transaction.is_vacant());
    let (mut context, last) = Context::at_epoch(V2, LAST - 1);
    let fresh = context.fresh;
    assert_eq!(context.init(None), Ok(last.bumped()));
    assert_eq!(context.fresh, fresh);
    let asked = context.step(|transaction, cx, out| transaction.init_producer(cx, "id", init, None, out));
    assert_eq!((asked, context.journal.len()), (Some(Ok(None)), 2));
}

#[test]
fn a_producer_that_could_not_be_written_does_not_begin() {
    let mut context = Context::new();
    context.refuses = true;
    assert_eq!(context.try_init(None), None);
    assert!(context.transaction.is_vacant());
    context.refuses = false;
    assert_eq!(context.init(None), Ok(producer(2, 0)));
    context.refuses = true;
    assert_eq!(context.try_init(None), None);
    context.refuses = false;
    assert_eq!(context.add(producer(2, 0)), Ok(()), "nobody was shut out");
    context.refuses = true;
    assert_eq!(context.try_init(None), None);
    assert_eq!((context.state(), context.due.len()), (Ongoing, 0));
    context.refuses = false;
    assert_eq!(context.init(None), Err(ConcurrentTransactions));
    assert_eq!(context.one_due().producer, producer(2, 2), "it is shut out once");
}

/// It shuts itself out, and asks again until its transaction has been aborted.
#[test]
fn who_goes_on_may_have_left_a_transaction_open() {
    for version in [V0, V2] {
        let (mut context, old) = Context::ongoing(version, 5);
        for _ in 0..2 {
            assert_eq!(context.init(Some(old)), Err(ConcurrentTransactions));
        }
        context.complete_all();
        let next = context.metadata().producer;
        assert!(next.epoch > old.epoch, "nobody has had it");
        for _ in 0..2 {
            assert_eq!(context.init(Some(old)), Ok(next), "also if it asks again");
        }
        assert_eq!(context.add(old), Err(ProducerFenced));
        assert_eq!(context.add(next), Ok(()));
        assert_eq!(context.init(None), Err(ConcurrentTransactions), "another takes its place");
        context.complete_all();
        assert_eq!(context.init(Some(old)), Err(ProducerFenced));
        assert_eq!(context.init(Some(next)), Err(ProducerFenced));
    }
}

/// Where the abort takes the greatest epoch, which no client has.
#[test]
fn who_left_a_transaction_open_in_one_of_the_last_epochs_has_a_new_id() {
    for (version, epoch) in [(V0, LAST), (V2, LAST), (V2, LAST - 1)] {
        let (mut context, old) = Context::ongoing(version, epoch);
        assert_eq!(context.init(Some(old)), Err(ConcurrentTransactions));
        context.complete_all();
        for _ in 0..2 {
            assert_eq!(context.init(Some(old)), Ok(producer(2, 0)), "{version:?}, {epoch}");
        }
    }
}

/// What was open another aborted, or the time.
#[test]
fn who_is_shut_out_by_another_does_not_go_on() {
    let (mut context, old) = Context::ongoing(V2, 5);
    context.refuses = true;
    assert_eq!(context.try_init(Some(old)), None);
    context.refuses = false;
    assert_eq!(context.init(None), Err(ConcurrentTransactions));
    context.complete_all();
    assert_eq!(context.init(Some(old)), Err(ProducerFenced));
}

/// A producer that could not go on has not: whoever has the epoch afterwards is somebody else.
#[test]
fn who_could_not_go_on_is_not_told_of_anothers_epoch() {
    let (mut context, old) = Context::at_epoch(V0, 5);
    context.refuses = true;
    assert_eq!(context.try_init(Some(old)), None);
    context.refuses = false;
    assert_eq!(context.add(old), Ok(()));
    assert_eq!(context.init(None), Err(ConcurrentTransactions));
    context.complete_all();
    assert_eq!(context.metadata().producer, old.bumped());
    assert_eq!(context.init(Some(old)), Err(ProducerFenced));
}

/// One that could not be shut out goes on, and may ask again for what it was told before.
#[test]
fn what_could_not_be_written_is_not_in_the_way_of_who_asks_again() {
    let (mut context, old) = Context::at_epoch(V2, 5);
    assert_eq!(context.init(Some(old)), Ok(old.bumped()));
    context.refuses = true;
    assert_eq!(context.try_init(None), None);
    context.refuses = false;
    assert_eq!(context.init(Some(old)), Ok(old.bumped()));
}

#[test]
fn an_id_expires_that_has_no_transaction() {
    for state in [Empty, CompleteCommit, CompleteAbort, Ongoing, PrepareAbort, PrepareCommit] {
        let (mut context, current) = Context::in_state(V2, state);
        let updated_at = context.metadata().updated_at;
        context.wall = updated_at + context.settings.id_expiration_ms - 1;
        context.step(|transaction, cx, out| transaction.expire(cx, out));
        assert_eq!(context.state(), state);
        context.wall += 1;
        context.refuses = true;
        context.step(|transaction, cx, out| transaction.expire(cx, out));
        assert_eq!(context.state(), state);
        context.refuses = false;
        context.step(|transaction, cx, out| transaction.expire(cx, out));
        assert_eq!(context.transaction.is_vacant(), state.is_closed(), "{state:?}");
        if state.is_closed() {
            assert_eq!(context.add(current), Err(InvalidProducerIdMapping));
            assert_eq!(context.end(current, Abort), Err(InvalidProducerIdMapping));
            assert_eq!(context.init(Some(current)), Ok(producer(2, 0)));
        }
    }
}

#[test]
fn a_clock_that_was_set_back_expires_nothing() {
    let (mut context, _) = Context::in_state(V2, Empty);
    context.wall = i64::MIN;
    context.step(|transaction, cx, out| transaction.expire(cx, out));
    assert_eq!(context.state(), Empty);
}

#[test]
fn what_is_described_rests_on_the_last_record() {
    let (mut context, current) = Context::in_state(V2, PrepareCommit);
    let described = context.step(|transaction, _, out| transaction.describe(out)).expect("nothing is written");
    let described = described.expect("it is known");
    assert_eq!((described.producer, described.state), (current, PrepareCommit));
    assert_eq!(described.partitions, Partitions::from_iter([("one", 0)]));
    assert_eq!(context.dependency + 1, i64::try_from(context.journal.len()).expect("few"));
    assert_eq!(context.end(current.bumped(), Commit), Err(ProducerFenced));
    assert_eq!(context.init(None), Err(ConcurrentTransactions));
    assert_eq!(context.end(producer(1, 5), Abort), Err(InvalidTxnState));
}
