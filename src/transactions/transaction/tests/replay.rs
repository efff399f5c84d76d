//! What a restart brings back, of this broker's records and of Kafka's.

use std::collections::BTreeMap;

use super::context::{Context, EPOCH, TIMEOUT, V0, V2, producer};
use crate::{
    coordinator::machine::{Machine, Place, Record, Ticket},
    protocol::{ids::ProducerIdAndEpoch, messages::TransactionLogValue, transaction_version::TransactionVersion},
    transactions::{
        error::TransactionError::{ConcurrentTransactions, ProducerFenced},
        record::{
            TransactionRecord,
            tests::{Written, in_order, written_by_kafka},
        },
        state::{
            Outcome::{Abort, Commit},
            State::{self, CompleteAbort, CompleteCommit, Empty, Ongoing, PrepareAbort, PrepareCommit},
        },
        transaction::{Addition, Ending, Initialisation, Transaction},
        transaction_metadata::TransactionMetadata,
    },
};

#[test]
fn what_was_decided_is_given_out_again() {
    for (version, state) in [(V0, PrepareCommit), (V2, PrepareCommit), (V0, PrepareAbort), (V2, PrepareAbort)] {
        let (mut context, current) = Context::in_state(version, state);
        let end = context.one_due();
        context.restart();
        assert_eq!(context.one_due(), end);
        assert_eq!(context.dependency + 1, i64::try_from(context.journal.len()).expect("few"));
        context.complete(&end);
        assert_eq!((context.metadata().outcome(), context.metadata().producer), (None, current));
        context.complete_all();
        assert_eq!(context.add(current), Ok(()), "it was done twice and is as if it were once");
    }
}

#[test]
fn what_is_known_everywhere_is_not_given_out() {
    for state in [Empty, Ongoing, CompleteCommit, CompleteAbort] {
        let (mut context, _) = Context::in_state(V2, state);
        context.restart();
        assert_eq!((context.state(), context.due.len()), (state, 0));
    }
}

#[test]
fn who_was_shut_out_stays_so() {
    for version in [V0, TransactionVersion::V1, V2] {
        let (mut context, old) = Context::ongoing(version, 5);
        assert_eq!(context.init(None), Err(ConcurrentTransactions));
        for _ in 0..2 {
            context.restart();
            for outcome in [Commit, Abort] {
                assert_eq!(context.end(old, outcome), Err(ProducerFenced));
            }
            assert_eq!(context.add(old), Err(ProducerFenced));
            context.complete_all();
        }
        assert_eq!(context.init(Some(old)), Err(ProducerFenced));
    }
}

#[test]
fn an_end_of_before_the_restart_completes_no_later_one() {
    let (mut context, current) = Context::in_state(V0, PrepareCommit);
    let old = context.one_due();
    context.restart();
    context.complete_all();
    context.pass(TIMEOUT);
    assert_eq!(context.add(current), Ok(()));
    context.end(current, Commit).expect("it may");
    context.complete(&old);
    assert_eq!(context.state(), PrepareCommit);
}

#[test]
fn an_open_transaction_is_open_again() {
    let (mut context, current) = Context::ongoing(V2, 5);
    context.restart();
    assert_eq!((context.partitions(), context.metadata().started_at), (vec![("one", 0)], Some(EPOCH)));
    assert_eq!(context.ended(current, Commit), producer(1, 6));
}

/// What Kafka wrote of each id, in order, by level of the feature.
fn stories() -> BTreeMap<(TransactionVersion, String), Vec<TransactionRecord>> {
    let mut stories = BTreeMap::<_, Vec<_>>::new();
    for Written { version, key, value } in written_by_kafka() {
        let record = TransactionRecord::decode(&key, value.as_ref()).expect("it can be read").expect("it is known");
        stories.entry((version, record.id().to_owned())).or_default().push(record);
    }
    stories
}

fn value(record: &TransactionRecord) -> Option<&TransactionLogValue> {
    record.value.as_ref().map(|(_, value)| value)
}

#[test]
fn kafkas_records_are_taken_in() {
    use TransactionVersion::V1;
    let ends = [
        (V0, "aborts", Empty, producer(2, 1), None, 40_000),
        (V0, "commits", CompleteCommit, producer(1, 0), None, 60_000),
        (V0, "is-fenced", CompleteCommit, producer(3, 2), None, 45_000),
        (V0, "renews", CompleteAbort, producer(4, 2), None, 50_000),
        (V0, "rolls-over", Empty, producer(7, 1), None, 60_000),
        (V0, "times-out", Empty, producer(0, 2), None, 3_000),
        (V1, "aborts", Empty, producer(2, 1), Some(2), 40_000),
        (V1, "commits", CompleteCommit, producer(1, 0), Some(1), 60_000),
        (V1, "is-fenced", CompleteCommit, producer(3, 2), Some(3), 45_000),
        (V1, "renews", CompleteAbort, producer(4, 2), Some(4), 50_000),
        (V1, "times-out", Empty, producer(0, 2), Some(0), 3_000),
        (V2, "aborts", Empty, producer(2, 3), Some(2), 40_000),
        (V2, "commits", CompleteCommit, producer(1, 2), Some(1), 60_000),
        (V2, "ends-empty", CompleteAbort, producer(5, 2), Some(5), 60_000),
        (V2, "fenced-last", Empty, producer(11, 1), Some(11), 60_000),
        (V2, "is-fenced", CompleteCommit, producer(3, 3), Some(3), 45_000),
        (V2, "renews", Empty, producer(4, 2), Some(4), 60_000),
        (V2, "rolls-over", CompleteCommit, producer(9, 0), Some(8), 60_000),
        (V2, "times-out", Empty, producer(0, 2), Some(0), 3_000),
    ];
    let stories = stories();
    assert_eq!(stories.len(), ends.len());
    for (version, id, state, producer, previous_id, timeout_ms) in ends {
        let (mut transaction, mut last) = (Transaction::default(), None);
        for (offset, record) in (0..).zip(&stories[&(version, id.to_owned())]) {
            transaction.apply(Place { offset, producer_id: None }, record);
            last = transaction.metadata().cloned().or(last);
            assert_eq!(transaction.is_vacant(), record.value.is_none());
        }
        let last = last.expect("there was one");
        let found = (last.state, last.producer, last.previous_id, last.timeout_ms, last.next_id);
        assert_eq!(found, (state, producer, previous_id, timeout_ms, None), "{id} under {version:?}");
    }
}

/// Does what Kafka was asked when it wrote a story, at the same times.
struct Retelling {
    context: Context,
    version: TransactionVersion,
    /// So many epochs further than in the story: who is shut out under version 2 is two epochs back, not one.
    ahead: i16,
}

impl Retelling {
    fn record(&mut self, told: &[TransactionRecord], nth: usize) {
        let Some(value) = value(&told[nth]) else {
            self.context.wall += self.context.settings.id_expiration_ms;
            self.context.step(|transaction, cx, out| transaction.expire(cx, out));
            return;
        };
        self.context.wall = value.transaction_last_update_timestamp_ms;
        let id = told[nth].id().to_owned();
        match State::from_code(value.transaction_status) {
            Some(Empty) => self.init(&id, value, told.get(nth + 1)),
            Some(Ongoing) => self.add(&told[nth]),
            Some(PrepareCommit) => self.end(Commit, value),
            Some(PrepareAbort) if self.is_by_coordinator(&id) => self.abort(),
            Some(PrepareAbort) => self.end(Abort, value),
            _ => self.context.complete_all(),
        }
    }

    /// Of these ids the first transaction is aborted by the coordinator.
    fn is_by_coordinator(&self, id: &str) -> bool {
        let is_first = self
            .context
            .journal
            .iter()
            .all(|record| value(record).is_none_or(|value| value.transaction_status <= Ongoing.code()));
        let is_late = id == "rolls-over" && self.version == V0;
        is_first && (is_late || ["times-out", "is-fenced", "renews"].contains(&id))
    }

    fn current(&self) -> ProducerIdAndEpoch {
        self.context.metadata().producer
    }

    fn init(&mut self, id: &str, value: &TransactionLogValue, next: Option<&TransactionRecord>) {
        let before = self.context.transaction.metadata().map(|metadata| metadata.producer);
        let there = producer(value.producer_id, value.producer_epoch);
        let is_again = before == Some(ProducerIdAndEpoch { epoch: there.epoch + self.ahead, ..there });
        let is_asked_again = next.and_then(self::value).is_some_and(|next| {
            next.transaction_status == Empty.code()
                && (next.producer_id, next.producer_epoch) == (there.id, there.epoch)
        });
        let expected = match before {
            Some(before) if is_again => Some(ProducerIdAndEpoch { epoch: before.epoch - 1, ..before }),
            before => before.filter(|_| is_asked_again),
        };
        let init = Initialisation { timeout_ms: value.transaction_timeout_ms, expected };
        let fresh = Some(value.producer_id);
        let begun = self.context.step(|transaction, cx, out| transaction.init_producer(cx, id, init, fresh, out));
        assert!(matches!(begun, Some(Ok(Some(_)))), "{begun:?}");
    }

    fn add(&mut self, told: &TransactionRecord) {
        let (producer, until) = (self.current(), self.context.now);
        let all = TransactionMetadata::of(&told.key, value(told).expect("it is one"));
        let client_version = all.client_version;
        let addition = Addition { producer, partitions: all.partitions, client_version, until };
        let ticket = Ticket(u64::try_from(self.context.journal.len()).expect("few"));
        self.context.step(|transaction, cx, out| transaction.add_partitions(cx, ticket, addition, out));
        assert_eq!(self.context.reply(ticket), Ok(()));
    }

    fn end(&mut self, outcome: crate::transactions::state::Outcome, value: &TransactionLogValue) {
        let client_version = TransactionVersion::from_level(value.client_transaction_version);
        let ending = Ending { producer: self.current(), outcome, client_version };
        let fresh = Some(value.next_producer_id);
        let ended = self.context.step(|transaction, cx, out| transaction.end(cx, ending, fresh, out));
        assert!(matches!(ended, Some(Ok(Some(_)))), "{ended:?}");
    }

    fn abort(&mut self) {
        let init = Initialisation { timeout_ms: 1, expected: None };
        let begun = self.context.step(|transaction, cx, out| transaction.init_producer(cx, "", init, None, out));
        assert_eq!(begun, Some(Err(ConcurrentTransactions)));
        self.ahead += i16::from(self.version == V2);
    }
}

/// But for the epoch of who is shut out, field by field.
#[test]
fn what_is_written_is_what_kafka_writes() {
    for ((version, id), told) in stories() {
        // Kafka takes who was shut out for one that asks again: at the last epoch for that of the end, which is told the new
        // id, and in one that it goes on from for that of another error.
        let alike = match (version, id.as_str()) {
            (V2, "fenced-last") => 2,
            (V2, "renews") => 6,
            _ => told.len(),
        };
        let mut retelling = Retelling { context: Context::under(version), version, ahead: 0 };
        if value(&told[0]).is_some_and(|value| value.producer_epoch > 0) {
            retelling.context.journal.push(told[0].clone());
            retelling.context.restart();
        }
        for nth in retelling.context.journal.len()..alike {
            retelling.record(&told, nth);
            let mut expected = told[nth].clone();
            if let Some((_, value)) = &mut expected.value {
                in_order(value);
                value.producer_epoch += retelling.ahead;
            }
            assert_eq!(retelling.context.journal.len(), nth + 1, "{id} under {version:?}");
            assert_eq!(retelling.context.journal[nth], expected, "{id} under {version:?}, {nth}");
        }
    }
}
