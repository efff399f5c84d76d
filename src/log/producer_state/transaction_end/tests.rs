use super::*;
use crate::protocol::records::batch::BatchHeader;

const PRODUCER: i64 = 7;

/// The producer after batches and markers: the epoch of each, and whether it is a batch of a transaction, another one, or a marker.
fn after(history: &[(i16, Step)]) -> ProducerStates {
    let mut states = ProducerStates::default();
    for ((epoch, step), offset) in history.iter().zip(0..) {
        let end = TransactionEnd { producer_epoch: *epoch, ..end(TransactionVersion::V1) };
        let header = BatchHeader { base_offset: offset, ..*end.batch(5, TimestampType::CreateTime).header() };
        match step {
            Transactional => states.add(&BatchHeader { attributes: 0x10, base_sequence: 0, ..header }),
            Plain => states.add(&BatchHeader { attributes: 0, base_sequence: 0, ..header }),
            Marker => states.add_marker(&header, end.marker()),
        }
    }
    states
}

#[derive(Clone, Copy)]
enum Step {
    Transactional,
    Plain,
    Marker,
}
use Step::{Marker, Plain, Transactional};

/// An end with the epoch 3.
fn end(version: TransactionVersion) -> TransactionEnd {
    TransactionEnd { producer_id: PRODUCER, producer_epoch: 3, is_commit: true, coordinator_epoch: 9, version }
}

/// What is said of it in each version.
fn verdicts(history: &[(i16, Step)]) -> [Result<EndVerdict, ProducerError>; 3] {
    let states = after(history);
    [TransactionVersion::V0, TransactionVersion::V1, TransactionVersion::V2]
        .map(|version| states.check_end(&end(version)))
}

const NEW: Result<EndVerdict, ProducerError> = Ok(EndVerdict::New);
const OVER: Result<EndVerdict, ProducerError> = Ok(EndVerdict::Over);

fn stale(current: i16) -> Result<EndVerdict, ProducerError> {
    Err(ProducerError::StaleEpoch { producer_id: PRODUCER, epoch: 3, current })
}

#[test]
fn an_end_is_written_where_it_ends_or_shuts_out_something() {
    assert_eq!(verdicts(&[]), [NEW, NEW, NEW], "it shuts the epochs below out");
    assert_eq!(verdicts(&[(2, Transactional)]), [NEW, NEW, NEW]);
    assert_eq!(verdicts(&[(2, Plain)]), [NEW, NEW, NEW]);
    assert_eq!(verdicts(&[(2, Transactional), (2, Marker)]), [NEW, NEW, NEW]);
}

#[test]
fn a_stale_marker_does_not_end_the_next_transaction() {
    assert_eq!(verdicts(&[(3, Transactional)]), [NEW, NEW, stale(3)], "the epoch tells it from the next in V2 alone");
    assert_eq!(verdicts(&[(2, Transactional), (3, Marker), (3, Transactional)]), [NEW, NEW, stale(3)]);
    assert_eq!(verdicts(&[(4, Transactional)]), [stale(4), stale(4), stale(4)]);
}

#[test]
fn an_end_that_was_written_is_not_written_again() {
    assert_eq!(verdicts(&[(2, Transactional), (3, Marker)]), [OVER, OVER, OVER]);
    assert_eq!(verdicts(&[(3, Transactional), (3, Marker)]), [OVER, OVER, OVER]);
}

#[test]
fn an_epoch_that_was_raised_without_a_transaction_keeps_no_coordinator_waiting() {
    assert_eq!(verdicts(&[(3, Plain)]), [OVER, OVER, OVER]);
    assert_eq!(verdicts(&[(i16::MAX, Plain)]), [OVER, OVER, OVER]);
}

#[test]
fn a_replaced_coordinator_ends_nothing() {
    for history in [&[(2, Marker)][..], &[(2, Marker), (2, Transactional)], &[(3, Marker)]] {
        let states = after(history);
        let end = TransactionEnd { coordinator_epoch: 8, ..end(TransactionVersion::V2) };
        let refused = ProducerError::StaleCoordinator { producer_id: PRODUCER, epoch: 8, current: 9 };
        assert_eq!(states.check_end(&end), Err(refused));
    }
}

/// What Apache Kafka 4.4.0 writes (`MemoryRecords.withEndTransactionMarker`).
#[test]
fn a_marker_is_kafkas_byte_for_byte() {
    let written = |is_commit| {
        let (version, coordinator_epoch) = (TransactionVersion::V2, 17);
        let end = TransactionEnd { producer_id: 4711, producer_epoch: 3, is_commit, coordinator_epoch, version };
        let batch = end.batch(1_700_000_000_000, TimestampType::CreateTime);
        assert_eq!(EndMarker::in_batch(&batch), Some(end.marker()));
        batch.bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let kafkas = |crc, kind| {
        format!(
            "000000000000000000000042ffffffff02{crc}0030000000000000018bcfe568000000018bcfe568000000000000001267\
             0003ffffffff0000000120000000080000000{kind}0c00000000001100"
        )
    };
    assert_eq!(written(true), kafkas("0a0bb508", 1));
    assert_eq!(written(false), kafkas("fe356340", 0));
}

#[test]
fn a_marker_has_the_topics_type_of_timestamps() {
    let batch = end(TransactionVersion::V2).batch(5, TimestampType::LogAppendTime);
    assert_eq!((batch.header().attributes, batch.header().max_timestamp), (0x38, 5));
    assert_eq!(batch.check_crc(), Ok(()));
}
