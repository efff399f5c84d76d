use bytes::Bytes;

use super::{
    Confirmation::{Absent, Given, Withdrawn},
    snapshot::SnapshotError,
    *,
};
use crate::{log::partition_log::test_batches::batch, protocol::transaction_version::TransactionVersion};

const PRODUCER: i64 = 7;

/// A batch of the producer at an offset.
fn header(epoch: i16, base_sequence: i32, records: i32, base_offset: i64) -> BatchHeader {
    let header = batch(records, 1000 + base_offset, 0).header;
    BatchHeader { producer_id: PRODUCER, producer_epoch: epoch, base_sequence, base_offset, ..header }
}

fn transactional(header: BatchHeader) -> BatchHeader {
    BatchHeader { attributes: header.attributes | 0x10, ..header }
}

fn marker(producer_id: i64, offset: i64) -> BatchHeader {
    BatchHeader {
        producer_id,
        producer_epoch: 0,
        base_sequence: -1,
        base_offset: offset,
        attributes: 0x30,
        ..header(0, 0, 1, 0)
    }
}

const COMMIT: EndMarker = EndMarker { is_commit: true, coordinator_epoch: 3 };
const ABORT: EndMarker = EndMarker { is_commit: false, coordinator_epoch: 3 };

fn after(headers: &[BatchHeader]) -> ProducerStates {
    let mut states = ProducerStates::default();
    headers.iter().for_each(|header| states.add(header));
    states
}

#[test]
fn sequences_have_to_follow_each_other() {
    let states = after(&[header(0, 0, 3, 0)]);
    assert_eq!(states.check(&header(0, 3, 2, 3), Absent), Ok(Verdict::New));
    let out_of_order = |sequence| Err(ProducerError::OutOfOrder { producer_id: PRODUCER, sequence, last: 2 });
    assert_eq!(states.check(&header(0, 4, 1, 3), Absent), out_of_order(4), "something is missing");
    assert_eq!(states.check(&header(0, 1, 1, 3), Absent), out_of_order(1), "part of a batch is not the batch");
    assert_eq!(states.check(&header(0, 0, 2, 3), Absent), out_of_order(0));
}

#[test]
fn a_producer_that_is_not_known_begins_anywhere() {
    assert_eq!(ProducerStates::default().check(&header(4, 17, 1, 0), Absent), Ok(Verdict::New));
}

#[test]
fn a_new_epoch_begins_with_zero_and_shuts_the_old_one_out() {
    let mut states = after(&[header(1, 0, 3, 0)]);
    let refused = ProducerError::OutOfOrder { producer_id: PRODUCER, sequence: 3, last: -1 };
    assert_eq!(states.check(&header(2, 3, 1, 3), Absent), Err(refused));
    assert_eq!(states.check(&header(2, 0, 1, 3), Absent), Ok(Verdict::New));
    states.add(&header(2, 0, 1, 3));
    let refused = ProducerError::StaleEpoch { producer_id: PRODUCER, epoch: 1, current: 2 };
    assert_eq!(states.check(&header(1, 3, 1, 4), Absent), Err(refused.clone()));
    assert_eq!(states.check(&header(1, 0, 3, 4), Absent), Err(refused), "an old batch is no duplicate any more");
}

#[test]
fn the_last_five_batches_are_known_again() {
    let headers: Vec<_> = (0..7).map(|n| header(0, n * 2, 2, i64::from(n) * 2)).collect();
    let states = after(&headers);
    for header in &headers[2..] {
        let Ok(Verdict::Duplicate(known)) = states.check(header, Absent) else { panic!("not known: {header:?}") };
        assert_eq!((known.first_offset(), known.last_offset), (header.base_offset, header.last_offset()));
    }
    for header in &headers[..2] {
        assert!(matches!(states.check(header, Absent), Err(ProducerError::OutOfOrder { last: 13, .. })));
    }
}

#[test]
fn sequences_begin_again_after_the_greatest() {
    let states = after(&[header(0, i32::MAX - 1, 2, 0)]);
    assert_eq!(states.check(&header(0, 0, 1, 2), Absent), Ok(Verdict::New));
    let states = after(&[header(0, i32::MAX - 1, 4, 0)]);
    let last = states.get(PRODUCER).expect("known").last_batch().expect("one");
    assert_eq!((last.first_sequence(), last.last_sequence), (i32::MAX - 1, 1));
    assert_eq!(states.check(&header(0, 2, 1, 4), Absent), Ok(Verdict::New));
    assert!(matches!(states.check(&header(0, i32::MAX - 1, 4, 4), Absent), Ok(Verdict::Duplicate(_))));
}

#[test]
fn records_of_an_open_transaction_are_unstable_until_its_end_is_seen() {
    let mut states = after(&[transactional(header(0, 0, 2, 10)), transactional(header(0, 2, 1, 12))]);
    let other = BatchHeader { producer_id: 8, ..transactional(header(0, 0, 1, 13)) };
    states.add(&other);
    assert_eq!(states.first_unstable_offset(), Some(10));
    let refused = ProducerError::NotTransactional { producer_id: PRODUCER, first_offset: 10 };
    assert_eq!(states.check(&header(0, 3, 1, 14), Absent), Err(refused));
    let ended = CompletedTransaction {
        producer_id: PRODUCER,
        first_offset: 10,
        last_offset: 14,
        is_aborted: true,
        last_stable_offset: 13,
    };
    assert_eq!(states.ended_by(&marker(PRODUCER, 14), ABORT), Some(ended));
    states.add_marker(&marker(PRODUCER, 14), ABORT);
    assert_eq!(states.first_unstable_offset(), Some(10), "nobody has seen the marker");
    states.see(14);
    assert_eq!(states.first_unstable_offset(), Some(10));
    states.see(15);
    assert_eq!(states.first_unstable_offset(), Some(13));
    let ended = states.ended_by(&marker(8, 15), COMMIT).expect("it was open");
    states.add_marker(&marker(8, 15), COMMIT);
    assert_eq!((ended.last_stable_offset, ended.is_aborted), (16, false));
    assert_eq!(states.ended_by(&marker(8, 16), COMMIT), None, "there is nothing to end");
    states.see(17);
    assert_eq!((states.first_unstable_offset(), states.has_unseen()), (None, false));
}

const V1: Confirmation = Given(TransactionVersion::V1);
const V2: Confirmation = Given(TransactionVersion::V2);

#[test]
fn a_delayed_produce_is_not_part_of_the_next_transaction() {
    let first = transactional(header(0, 0, 2, 10));
    let mut states = after(&[first]);
    let next = transactional(header(0, 2, 1, 12));
    assert_eq!(states.check(&next, Absent), Ok(Verdict::New), "the transaction is open");
    states.add_marker(&marker(PRODUCER, 12), ABORT);
    let refused = Err(ProducerError::NoTransaction { producer_id: PRODUCER, epoch: 0 });
    assert_eq!(states.check(&next, Absent), refused);
    assert_eq!(states.check(&next, V1), Ok(Verdict::New));
    assert_eq!(
        states.check(&BatchHeader { producer_id: 8, ..next }, Absent),
        Err(ProducerError::NoTransaction { producer_id: 8, epoch: 0 })
    );
    for confirmation in [Absent, Withdrawn] {
        assert_eq!(states.check(&first, confirmation), refused, "it came in one that has ended");
    }
    states.add(&BatchHeader { base_offset: 13, ..next });
    let late = transactional(header(0, 3, 1, 14));
    assert_eq!(states.check(&late, Withdrawn), refused, "it was part of the one before");
    assert_eq!(states.check(&late, Absent), Ok(Verdict::New));
}

#[test]
fn a_transaction_of_another_epoch_is_another_one() {
    let states = after(&[transactional(header(1, 0, 2, 10))]);
    let next = transactional(header(2, 0, 1, 12));
    assert_eq!(states.check(&next, Absent), Err(ProducerError::NoTransaction { producer_id: PRODUCER, epoch: 2 }));
    assert_eq!(states.check(&next, V2), Ok(Verdict::New));
    assert_eq!((states.has_open(PRODUCER, 1), states.has_open(PRODUCER, 2)), (Ok(true), Ok(false)));
}

#[test]
fn stale_epoch_first_then_the_transaction_then_the_sequence() {
    let states = after(&[header(1, 0, 2, 10)]);
    let batch = |epoch, sequence| transactional(header(epoch, sequence, 1, 12));
    let stale = ProducerError::StaleEpoch { producer_id: PRODUCER, epoch: 0, current: 1 };
    for confirmation in [Absent, V1, V2, Withdrawn] {
        assert_eq!(states.check(&batch(0, 9), confirmation), Err(stale.clone()));
        assert_eq!(states.check_unsequenced(&batch(0, 0), confirmation), Err(stale.clone()));
    }
    assert_eq!(states.has_open(PRODUCER, 0), Err(stale));
    assert_eq!(
        states.check(&batch(1, 9), Absent),
        Err(ProducerError::NoTransaction { producer_id: PRODUCER, epoch: 1 })
    );
    let out_of_order = ProducerError::OutOfOrder { producer_id: PRODUCER, sequence: 9, last: 1 };
    assert_eq!(states.check(&batch(1, 9), V1), Err(out_of_order));
}

#[test]
fn mixed_mode_is_refused_after_the_sequence() {
    let states = after(&[transactional(header(0, 0, 2, 10))]);
    let out_of_order = ProducerError::OutOfOrder { producer_id: PRODUCER, sequence: 9, last: 1 };
    assert_eq!(states.check(&header(0, 9, 1, 12), Absent), Err(out_of_order));
    let refused = Err(ProducerError::NotTransactional { producer_id: PRODUCER, first_offset: 10 });
    assert_eq!(states.check(&header(0, 2, 1, 12), Absent), refused);
    assert_eq!(states.check(&header(1, 0, 1, 12), Absent), refused, "nor in a later epoch");
    assert_eq!(states.check_unsequenced(&header(0, 0, 1, 12), Absent), refused.map(drop));
}

#[test]
fn a_transaction_with_an_epoch_of_its_own_begins_with_zero() {
    let unknown = ProducerStates::default();
    let batch = |sequence| transactional(header(4, sequence, 1, 0));
    assert_eq!(unknown.check(&batch(17), V1), Ok(Verdict::New), "it has been forgotten");
    let refused = Err(ProducerError::OutOfOrder { producer_id: PRODUCER, sequence: 17, last: -1 });
    assert_eq!(unknown.check(&batch(17), V2), refused, "the batch before it is still to come");
    assert_eq!(unknown.check(&batch(0), V2), Ok(Verdict::New));
}

#[test]
fn batches_of_coordinators_have_no_sequence() {
    let batch = transactional(header(0, 0, 2, 10));
    let states = after(&[batch]);
    assert_eq!(states.check_unsequenced(&batch, Absent), Ok(()), "none is a duplicate");
    let other = BatchHeader { producer_id: 8, ..batch };
    let refused = Err(ProducerError::NoTransaction { producer_id: 8, epoch: 0 });
    assert_eq!(states.check_unsequenced(&other, Absent), refused);
    assert_eq!(states.check_unsequenced(&other, V2), Ok(()));
}

#[test]
fn producers_are_described_by_id() {
    let mut states = after(&[transactional(header(3, 0, 2, 10)), transactional(header(3, 2, 1, 12))]);
    states.add(&BatchHeader { producer_id: 5, ..transactional(header(0, 0, 1, 13)) });
    states.add_marker(&marker(5, 14), COMMIT);
    states.add_marker(&marker(6, 15), COMMIT);
    let ended = ProducerDescription {
        producer_id: 5,
        epoch: 0,
        last_sequence: Some(0),
        last_timestamp: 1000,
        coordinator_epoch: Some(3),
        open_transaction: None,
    };
    let expected = [
        ended,
        ProducerDescription { producer_id: 6, last_sequence: None, ..ended },
        ProducerDescription {
            producer_id: PRODUCER,
            epoch: 3,
            last_sequence: Some(2),
            last_timestamp: 1012,
            coordinator_epoch: None,
            open_transaction: Some(10),
        },
    ];
    assert_eq!(states.describe(), expected);
    let oldest = OpenTransaction { producer_id: PRODUCER, first_offset: 10, last_timestamp: 1012 };
    assert_eq!(states.oldest_open_transaction(), Some(oldest));
    assert_eq!(restarted(&states).describe(), expected);
    states.add_marker(&marker(PRODUCER, 16), ABORT);
    assert_eq!(states.oldest_open_transaction(), None);
}

#[test]
fn idle_producers_are_forgotten_unless_a_transaction_is_open() {
    let mut states = after(&[header(0, 0, 1, 0)]);
    states.add(&BatchHeader { producer_id: 8, ..transactional(header(0, 0, 1, 1)) });
    states.expire(1000 + 99, 100);
    assert_eq!(states.len(), 2);
    states.expire(1000 + 5000, 100);
    assert!(states.get(PRODUCER).is_none() && states.get(8).is_some());
}

#[test]
fn a_snapshot_comes_back_with_the_last_batch_of_each_producer() {
    let mut states = after(&[header(3, 0, 2, 0), header(3, 2, 5, 2), transactional(header(3, 7, 1, 7))]);
    states.add_marker(&marker(9, 8), COMMIT);
    let bytes = Bytes::from(snapshot::encode(&states));
    let loaded = snapshot::decode(&bytes).expect("whole");
    assert_eq!(loaded.first_unstable_offset(), Some(7));
    assert_eq!(loaded.get(9), states.get(9));
    let (before, after) = (states.get(PRODUCER).expect("known"), loaded.get(PRODUCER).expect("known"));
    assert_eq!(before.last_batch(), after.last_batch());
    assert_eq!(Bytes::from(snapshot::encode(&loaded)), bytes);
}

#[test]
fn a_damaged_snapshot_is_noticed() {
    let bytes = snapshot::encode(&after(&[header(0, 0, 2, 0)]));
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        snapshot::decode(&bytes.into()).expect_err("one bit is wrong");
    }
    for len in 0..bytes.len() {
        snapshot::decode(&Bytes::copy_from_slice(&bytes[..len])).expect_err("it is cut");
    }
    let other = Bytes::from_static(b"\0\x02\0\0\0\0\0\0\0\0");
    assert!(matches!(snapshot::decode(&other), Err(SnapshotError::Version(2))));
}

/// The states as a restart has them.
fn restarted(states: &ProducerStates) -> ProducerStates {
    snapshot::decode(&Bytes::from(snapshot::encode(states))).expect("decodes")
}

#[test]
fn earlier_batches_are_wanted_once_and_only_by_a_batch_before_those_that_are_known() {
    let mut states = restarted(&after(&[header(2, 0, 3, 10), header(2, 3, 2, 20)]));
    let again = header(2, 0, 3, 0);
    let wanted = states.wanted_for(&again).expect("the log may have it");
    assert_eq!((wanted.count, wanted.before), (4, 20));
    assert_eq!(states.wanted_for(&header(2, 6, 1, 0)), None, "it is ahead");
    assert_eq!(states.wanted_for(&header(3, 0, 1, 0)), None, "another epoch");
    assert_eq!(after(&[header(2, 3, 2, 20)]).wanted_for(&again), None, "all is known");
    let mut followed = states.clone();
    for n in 0..4 {
        followed.add(&header(2, 5 + n, 1, 30 + i64::from(n)));
    }
    assert_eq!(followed.wanted_for(&again), None, "five are known");
    states.add_earlier(&wanted, &[header(2, 0, 3, 10)]);
    assert!(matches!(states.check(&again, Absent), Ok(Verdict::Duplicate(known)) if known.first_offset() == 10));
    assert_eq!(states.wanted_for(&header(2, i32::MAX, 1, 0)), None, "it has been asked for");
}

#[test]
fn an_earlier_batch_is_the_one_right_before_as_it_was_sent() {
    let wanted = WantedBatches { producer_id: PRODUCER, epoch: 2, count: 4, before: 20, sequence: 3 };
    let found = header(2, 0, 3, 10);
    let after_it = wanted.after(&found).expect("it is");
    assert_eq!((after_it.count, after_it.before, after_it.sequence), (3, 10, 0));
    assert!(after_it.after(&header(2, i32::MAX, 1, 5)).is_some(), "0 follows the greatest");
    for other in [
        header(2, 0, 2, 10),
        header(1, 0, 3, 10),
        header(2, 0, 3, 18),
        BatchHeader { record_count: 2, ..found },
        BatchHeader { producer_id: 8, ..found },
        BatchHeader { base_sequence: -1, ..found },
        marker(PRODUCER, 10),
    ] {
        assert_eq!(wanted.after(&other), None, "{other:?}");
    }
    assert_eq!(WantedBatches { count: 0, ..wanted }.after(&found), None);
}

#[test]
fn what_came_in_a_transaction_that_has_ended_does_not_come_again_in_the_next() {
    let begun = transactional(header(0, 0, 1, 10));
    let mut states = after(&[begun]);
    assert!(matches!(states.check(&begun, Absent), Ok(Verdict::Duplicate(known)) if known.first_offset() == 10));
    states.add_marker(&marker(PRODUCER, 11), ABORT);
    let refused = |last| Err(ProducerError::OutOfOrder { producer_id: PRODUCER, sequence: 0, last });
    assert_eq!(states.check(&begun, V1), refused(0), "as the first of the next");
    let next = transactional(header(0, 1, 1, 12));
    states.add(&next);
    assert_eq!(states.check(&begun, Absent), refused(1), "within the next");
    assert!(matches!(states.check(&next, Absent), Ok(Verdict::Duplicate(known)) if known.first_offset() == 12));
}
