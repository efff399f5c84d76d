//! How transactions end, and who may end them.

use super::context::{Context, LAST, TIMEOUT, V0, V2, producer};
use crate::{
    protocol::{ids::ProducerIdAndEpoch, transaction_version::TransactionVersion},
    transactions::{
        error::TransactionError::{ConcurrentTransactions, InvalidProducerIdMapping, InvalidTxnState, ProducerFenced},
        state::{
            Outcome::{Abort, Commit},
            State::{CompleteAbort, CompleteCommit, Empty, Ongoing, PrepareAbort, PrepareCommit},
        },
        transaction_metadata::TransactionMetadata,
    },
};

const fn before(producer: ProducerIdAndEpoch) -> ProducerIdAndEpoch {
    ProducerIdAndEpoch { epoch: producer.epoch - 1, ..producer }
}

/// The table of Kafka's coordinator, with the states that it leaves out: (state, abort again, abort, commit again, commit).
/// While an end is on its way Kafka shuts out who ends the next transaction, which it never began.
#[test]
fn each_end_in_each_state() {
    let (fenced, wrong, soon) = (Err(ProducerFenced), Err(InvalidTxnState), Err(ConcurrentTransactions));
    // What it goes on with: its epoch in the setting is 6, or 5 before the first end.
    let (done, to_7, to_6) = (Ok(producer(1, 6)), Ok(producer(1, 7)), Ok(producer(1, 6)));
    let table = [
        (Empty, [fenced, to_6, fenced, wrong]),
        (Ongoing, [fenced, to_6, fenced, to_6]),
        (PrepareCommit, [wrong, soon, soon, soon]),
        (PrepareAbort, [soon, soon, wrong, soon]),
        (CompleteCommit, [wrong, to_7, done, wrong]),
        (CompleteAbort, [done, to_7, wrong, wrong]),
    ];
    for (state, [abort_again, abort, commit_again, commit]) in table {
        let ends =
            [(true, Abort, abort_again), (false, Abort, abort), (true, Commit, commit_again), (false, Commit, commit)];
        for (is_again, outcome, expected) in ends {
            let (mut context, current) = Context::in_state(V2, state);
            let asks = if is_again { before(current) } else { current };
            let written = context.journal.len();
            assert_eq!(context.end(asks, outcome), expected, "{state:?}, again: {is_again}, {outcome:?}");
            let decides = expected == to_7 || (expected == to_6 && state != CompleteAbort && state != CompleteCommit);
            assert_eq!(context.journal.len(), written + usize::from(decides), "{state:?} {outcome:?}");
        }
    }
}

/// The table of versions 0 and 1, where an epoch lasts.
#[test]
fn each_end_in_each_state_without_a_bump() {
    let (wrong, soon, done) = (Err(InvalidTxnState), Err(ConcurrentTransactions), Ok(producer(1, 5)));
    let table = [
        (Empty, [wrong, wrong]),
        (Ongoing, [done, done]),
        (PrepareCommit, [wrong, soon]),
        (PrepareAbort, [soon, wrong]),
        (CompleteCommit, [wrong, done]),
        (CompleteAbort, [done, wrong]),
    ];
    for version in [V0, TransactionVersion::V1] {
        for (state, answers) in table {
            for (outcome, expected) in [Abort, Commit].into_iter().zip(answers) {
                let (mut context, current) = Context::in_state(version, state);
                assert_eq!(current, producer(1, 5));
                for other in [producer(1, 4), producer(1, 6)] {
                    assert_eq!(context.end(other, outcome), Err(ProducerFenced), "{state:?}");
                }
                let written = context.journal.len();
                assert_eq!(context.end(current, outcome), expected, "{state:?}, {outcome:?}");
                assert_eq!(context.journal.len(), written + usize::from(state == Ongoing));
            }
        }
    }
}

#[test]
fn only_the_producer_of_the_id_ends_its_transactions() {
    for version in [V0, V2] {
        let (mut context, current) = Context::ongoing(version, 5);
        for id in [0, 2, -1, i64::MIN] {
            assert_eq!(context.end(producer(id, 5), Commit), Err(InvalidProducerIdMapping));
        }
        for epoch in [4, 6, 7, -1, i16::MIN, i16::MAX] {
            assert_eq!(context.end(producer(current.id, epoch), Commit), Err(ProducerFenced));
        }
        assert_eq!(context.state(), Ongoing);
        let mut unknown = Context::under(version);
        assert_eq!(unknown.end(current, Commit), Err(InvalidProducerIdMapping));
    }
}

#[test]
fn an_end_is_written_before_the_partitions_are_told_and_after() {
    for (outcome, prepared, completed) in
        [(Commit, PrepareCommit, CompleteCommit), (Abort, PrepareAbort, CompleteAbort)]
    {
        let (mut context, current) = Context::ongoing(V2, 5);
        let begun = context.metadata().started_at;
        context.wall += 10;
        assert_eq!(context.end(current, outcome), Ok(producer(1, 6)));
        let end = context.one_due();
        assert_eq!((end.producer, end.outcome, end.version), (producer(1, 6), outcome, V2));
        assert!(end.partitions.contains("one", 0));
        assert_eq!((context.state(), context.partitions()), (prepared, vec![("one", 0)]));
        context.wall += 10;
        context.complete_all();
        assert_eq!((context.state(), context.partitions()), (completed, vec![]));
        let metadata = context.metadata();
        assert_eq!((metadata.started_at, metadata.updated_at), (begun, context.wall));
        assert_eq!(metadata.producer, producer(1, 6));
    }
}

#[test]
fn without_a_bump_the_epoch_stays() {
    for version in [V0, TransactionVersion::V1] {
        let (mut context, current) = Context::ongoing(version, 5);
        assert_eq!(context.end(current, Commit), Ok(current));
        let end = context.one_due();
        assert_eq!((end.producer, end.version), (current, V0));
        context.complete_all();
        assert_eq!(context.metadata().producer, current);
    }
}

/// A client that can do more than the cluster does what the cluster can, and an old one what it can.
#[test]
fn the_lower_version_counts() {
    let (mut context, current) = Context::ongoing(TransactionVersion::V1, 5);
    assert_eq!(context.end_as(current, Commit, V2), Ok(current));
    let (mut context, current) = Context::ongoing(V2, 5);
    assert_eq!(context.end_as(current, Commit, V0), Ok(current));
    assert_eq!(context.metadata().client_version, V0);
}

/// It says that nobody knows which transaction it was: the next has another epoch.
#[test]
fn a_transaction_can_be_aborted_that_has_not_begun() {
    let (mut context, current) = Context::at_epoch(V2, 5);
    context.wall += 7;
    assert_eq!(context.end(current, Abort), Ok(producer(1, 6)));
    assert!(context.one_due().partitions.is_empty());
    assert_eq!(context.metadata().started_at, Some(context.wall), "it has a time in any case");
    context.complete_all();
    assert_eq!((context.state(), context.metadata().producer), (CompleteAbort, producer(1, 6)));
}

/// delayed-endtxn: an end that comes late or again ends nothing but the transaction that it was for.
#[test]
fn delayed_endtxn() {
    for outcome in [Commit, Abort] {
        let (mut context, first) = Context::ongoing(V2, 5);
        let second = context.ended(first, outcome);
        assert_eq!(context.end(first, outcome), Ok(second), "it asks again");
        assert_eq!(context.add(second), Ok(()));
        for late in [Commit, Abort] {
            assert_eq!(context.end(first, late), Err(ProducerFenced));
        }
        assert_eq!((context.state(), context.due.len()), (Ongoing, 0));
        let third = context.ended(second, Commit);
        for late in [Commit, Abort] {
            assert_eq!(context.end(first, late), Err(ProducerFenced));
        }
        assert_eq!(context.end(second, Commit), Ok(third));
    }
}

/// The epoch before was another producer's if the last end did not raise it.
#[test]
fn who_was_shut_out_is_not_taken_for_one_that_asks_again() {
    let (mut context, old) = Context::at_epoch(V2, 5);
    let new = context.init(None).expect("it may");
    assert_eq!(context.add(new), Ok(()));
    assert_eq!(context.end_as(new, Abort, V0), Ok(new));
    assert_eq!(context.end(old, Abort), Err(ProducerFenced), "on its way");
    context.complete_all();
    assert_eq!(context.end(old, Abort), Err(ProducerFenced), "known everywhere");
}

#[test]
fn an_end_said_again_completes_nothing_else() {
    for version in [V0, V2] {
        let (mut context, first) = Context::ongoing(version, 5);
        let second = context.end(first, Commit).expect("it may");
        let old = context.one_due();
        context.complete_all();
        let written = context.journal.len();
        context.complete(&old);
        context.wall += 1;
        assert_eq!(context.add(second), Ok(()));
        context.complete(&old);
        context.end(second, Commit).expect("it may");
        context.complete(&old);
        assert_eq!((context.state(), context.journal.len()), (PrepareCommit, written + 2));
        context.complete_all();
        assert_eq!(context.state(), CompleteCommit);
    }
}

#[test]
fn the_end_of_an_id_that_is_gone_is_nothing() {
    let (mut context, current) = Context::ongoing(V2, 5);
    context.end(current, Commit).expect("it may");
    let end = context.one_due();
    let mut other = Context::new();
    other.complete(&end);
    assert!(other.journal.is_empty() && other.transaction.metadata().is_none());
}

/// epoch-rollover: the last epoch ends with a new producer id; the client has both pairs, one after the other.
#[test]
fn epoch_rollover() {
    for outcome in [Commit, Abort] {
        let (mut context, current) = Context::ongoing(V2, LAST - 1);
        let last = context.ended(current, outcome);
        assert_eq!(last, producer(1, LAST), "the last epoch is used");
        assert_eq!(context.add(last), Ok(()));
        let next = context.end(last, outcome).expect("it may");
        assert_eq!(next, producer(2, 0));
        let end = context.one_due();
        assert_eq!(end.producer, producer(1, i16::MAX), "the markers end the old id");
        assert_eq!(context.metadata().next_id, Some(2));
        assert_eq!(context.end(last, outcome), Err(ConcurrentTransactions), "it asks again, on the way");
        context.complete_all();
        let metadata = context.metadata().clone();
        assert_eq!((metadata.producer, metadata.previous_id, metadata.next_id), (next, Some(1), None));
        for _ in 0..2 {
            assert_eq!(context.end(last, outcome), Ok(next), "it asks again, and hears of the new id");
            context.restart();
        }
        assert_eq!(context.add(next), Ok(()));
        assert_eq!(context.end(last, outcome), Err(InvalidProducerIdMapping), "now it is too late");
        assert_eq!(context.ended(next, Commit), producer(2, 1));
    }
}

/// Also where no transaction was open.
#[test]
fn epoch_rollover_of_an_empty_abort() {
    let (mut context, last) = Context::at_epoch(V2, LAST);
    assert_eq!(context.end(last, Abort), Ok(producer(2, 0)));
    context.complete_all();
    assert_eq!(context.metadata().producer, producer(2, 0));
}

/// A producer id that is new is not one that follows another.
#[test]
fn the_last_epoch_of_a_new_id_is_not_the_one_before() {
    let (mut context, new) = Context::at_epoch(V2, 0);
    assert_eq!(context.add(new), Ok(()));
    assert_eq!(context.end_as(new, Commit, V0), Ok(new));
    context.complete_all();
    assert_eq!(context.end(producer(new.id, LAST), Commit), Err(ProducerFenced));
}

/// Who is shut out at the last epoch has the epoch before the one that is left, as if it had ended the transaction itself.
#[test]
fn epoch_rollover_shuts_out_for_good() {
    for epoch in [LAST - 1, LAST] {
        for is_time_out in [false, true] {
            let (mut context, old) = Context::ongoing(V2, epoch);
            if is_time_out {
                context.pass(TIMEOUT);
            } else {
                assert_eq!(context.init(None), Err(ConcurrentTransactions));
            }
            assert_eq!(context.metadata().producer, producer(1, i16::MAX));
            for _ in 0..2 {
                for outcome in [Commit, Abort] {
                    for asks in [old, producer(1, LAST), producer(1, i16::MAX)] {
                        assert_eq!(context.end(asks, outcome), Err(ProducerFenced), "{:?}", context.state());
                    }
                }
                context.complete_all();
            }
            assert_eq!(context.state(), CompleteAbort);
            assert_eq!(context.init(None), Ok(producer(2, 0)), "a new producer is not shut out by that");
            assert_eq!(context.add(producer(2, 0)), Ok(()));
        }
    }
}

/// commit-vs-timeout (KAFKA-20785): to a client that comes too late it is over, but its program may begin anew.
#[test]
fn commit_vs_timeout() {
    for version in [V0, TransactionVersion::V1, V2] {
        let (mut context, current) = Context::ongoing(version, 5);
        context.pass(TIMEOUT);
        assert_eq!(context.state(), PrepareAbort);
        for outcome in [Commit, Abort] {
            assert_eq!(context.end(current, outcome), Err(ProducerFenced));
        }
        context.complete_all();
        assert_eq!(context.state(), CompleteAbort);
        for outcome in [Commit, Abort] {
            assert_eq!(context.end(current, outcome), Err(ProducerFenced));
        }
        assert_eq!(context.add(current), Err(ProducerFenced));
    }
}

#[test]
fn an_end_that_could_not_be_written_has_not_been() {
    for version in [V0, V2] {
        let (mut context, current) = Context::ongoing(version, LAST);
        context.refuses = true;
        assert_eq!(context.try_end(current, Commit, version), None);
        assert_eq!((context.state(), context.due.len()), (Ongoing, 0));
        assert_eq!(context.try_end(current, Abort, version), None);
        context.refuses = false;
        let next = context.end(current, Abort).expect("it may");
        context.refuses = true;
        context.complete(&context.one_due());
        assert_eq!(context.state(), PrepareAbort);
        context.refuses = false;
        context.complete_all();
        assert_eq!((context.state(), context.metadata().producer), (CompleteAbort, next));
    }
}

#[test]
fn what_is_answered_rests_on_what_was_read() {
    let (mut context, current) = Context::in_state(V2, CompleteCommit);
    let last = i64::try_from(context.journal.len()).expect("few") - 1;
    assert_eq!(context.end(before(current), Commit), Ok(current));
    assert_eq!(context.dependency, last);
    assert_eq!(context.end(current, Commit), Err(InvalidTxnState));
    assert_eq!(context.dependency, last);
}

/// No client has the greatest epoch, whatever one says.
#[test]
fn the_greatest_epoch_is_nobodys() {
    for version in [V0, V2] {
        for state in [Empty, Ongoing, PrepareAbort, PrepareCommit, CompleteAbort, CompleteCommit] {
            let (mut context, current) = Context::in_state(version, state);
            let greatest = ProducerIdAndEpoch { epoch: i16::MAX, ..current };
            let there = TransactionMetadata { producer: greatest, ..context.metadata().clone() };
            context.rewrite(&there);
            for outcome in [Commit, Abort] {
                for client in [V0, V2] {
                    let refused = context.end_as(greatest, outcome, client);
                    assert_eq!(refused, Err(ProducerFenced), "{state:?}");
                }
            }
            assert_eq!(context.add(greatest), Err(ProducerFenced));
            if state == Ongoing {
                context.pass(TIMEOUT);
                assert_eq!(context.metadata().producer, greatest);
            }
            context.complete_all();
            assert_eq!(context.init(Some(greatest)), Ok(producer(2, 0)));
        }
    }
}
