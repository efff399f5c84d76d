#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;
use crate::{coordinator::machine::Record, transactions::transaction_metadata::TransactionMetadata};

/// A record that Apache Kafka 4.4.0 wrote: under which level of the feature, and key and value.
pub(crate) struct Written {
    pub(crate) version: TransactionVersion,
    pub(crate) key: Bytes,
    pub(crate) value: Option<Bytes>,
}

/// What Apache Kafka 4.4.0 wrote, in order.
pub(crate) fn written_by_kafka() -> Vec<Written> {
    include_str!("../../../tests/fixtures/transaction-state.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .map(|fields| Written {
            version: TransactionVersion::from_level(fields[0].parse().unwrap()),
            key: bytes(fields[2]),
            value: (fields[3] != "null").then(|| bytes(fields[3])),
        })
        .collect()
}

fn bytes(hex: &str) -> Bytes {
    let digits: Vec<_> = hex.bytes().map(|digit| char::from(digit).to_digit(16).unwrap()).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

fn decode(key: &str, value: Option<&str>) -> Result<Option<TransactionRecord>, DecodeError> {
    TransactionRecord::decode(&bytes(key), value.map(bytes).as_ref())
}

#[test]
fn kafkas_own_records_are_written_as_they_were() {
    let records = written_by_kafka();
    assert_eq!(records.len(), 152);
    for Written { version, key, value } in records {
        let record = TransactionRecord::decode(&key, value.as_ref()).unwrap().unwrap();
        assert_eq!(record.encode().unwrap(), (key, value), "{record:?}");
        assert!(record.value.is_none_or(|(written, _)| written == value_version(version)));
    }
}

/// With topics and partitions in an order that can be compared.
pub(crate) fn in_order(value: &mut TransactionLogValue) {
    if let Some(topics) = &mut value.transaction_partitions {
        topics.sort_by(|one, other| one.topic.cmp(&other.topic));
        topics.iter_mut().for_each(|topic| topic.partition_ids.sort_unstable());
    }
}

/// Nothing of a record is lost by what is known of it, but for the order of topics and partitions, which has no meaning.
#[test]
fn what_is_known_of_an_id_is_what_kafka_wrote() {
    for Written { version, key, value } in written_by_kafka() {
        let mut record = TransactionRecord::decode(&key, value.as_ref()).unwrap().unwrap();
        let Some((_, value)) = &mut record.value else { continue };
        let known = TransactionMetadata::of(&record.key, value);
        in_order(value);
        assert_eq!(known.record(version), record);
    }
}

#[test]
fn an_unknown_type_is_passed_over() {
    for record_type in ["0001", "7fff", "ffff"] {
        assert_eq!(decode(record_type, Some("0063")).unwrap(), None, "{record_type}");
    }
}

#[test]
fn a_version_that_is_too_new_is_an_error() {
    let error = decode("0000000161", Some("0002")).unwrap_err().to_string();
    assert_eq!(error, "TransactionLogValue v2: version 2 is outside 0-1, at byte 2");
}

#[test]
fn a_state_that_no_record_has_is_an_error() {
    for status in ["06", "07", "08", "ff"] {
        let value = format!("00000000000000000001000000000001{status}ffffffff00000000000000000000000000000000");
        assert!(decode("0000000161", Some(&value)).is_err(), "{status}");
    }
    let value = "0000000000000000000100000000000100ffffffff00000000000000000000000000000000";
    assert!(decode("0000000161", Some(value)).is_ok());
}

proptest! {
    #[test]
    fn hostile_bytes_are_refused_without_a_panic(
        key in proptest::collection::vec(any::<u8>(), 0..40),
        value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..60)),
        record_type in -1_i16..2,
        version in 0_i16..3,
    ) {
        let key: Bytes = record_type.to_be_bytes().into_iter().chain(key).collect();
        let value: Option<Bytes> = value.map(|value| version.to_be_bytes().into_iter().chain(value).collect());
        let _ = TransactionRecord::decode(&key, value.as_ref());
    }

    #[test]
    fn what_a_flipped_byte_leaves_is_refused_or_known(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), nth in 0_usize..152,
    ) {
        let Written { version, key, value } = written_by_kafka().swap_remove(nth);
        let mut all = [key.as_ref(), value.as_deref().unwrap_or_default()].concat();
        let at = at.index(all.len());
        all[at] = byte;
        let all = Bytes::from(all);
        let decoded = TransactionRecord::decode(&all.slice(..key.len()), value.map(|_| all.slice(key.len()..)).as_ref());
        if let Ok(Some(TransactionRecord { key, value: Some((_, value)) })) = decoded {
            let _ = TransactionMetadata::of(&key, &value).record(version).encode();
        }
    }
}
