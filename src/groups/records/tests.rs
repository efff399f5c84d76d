#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::{
    foreign::{ForeignValue, Part},
    *,
};
use crate::{coordinator::machine::Place, groups::description::GroupType, protocol::wire::StrBytes};

/// Records that Apache Kafka 4.4.0 wrote, in order: where they stand, key and value.
pub(crate) fn written_by_kafka() -> Vec<(Place, Bytes, Option<Bytes>)> {
    include_str!("../../../tests/fixtures/consumer-offsets.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|fields| fields[1] != "C")
        .map(|fields| {
            let place = Place { offset: fields[0].parse().unwrap(), producer_id: fields[1].parse().ok() };
            (place, bytes(fields[2]), (fields[3] != "null").then(|| bytes(fields[3])))
        })
        .collect()
}

fn bytes(hex: &str) -> Bytes {
    let digits: Vec<_> = hex.bytes().map(|digit| char::from(digit).to_digit(16).unwrap()).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

fn decode(key: &str, value: Option<&str>) -> Result<Option<GroupRecord>, DecodeError> {
    GroupRecord::decode(&bytes(key), value.map(bytes).as_ref())
}

#[test]
fn kafkas_own_records_are_written_as_they_were() {
    let records = written_by_kafka();
    assert_eq!(records.len(), 109);
    for (_, key, value) in records {
        let record = GroupRecord::decode(&key, value.as_ref()).unwrap().unwrap();
        assert_eq!(record.encode().unwrap(), (key, value), "{record:?}");
    }
}

#[test]
fn an_offset_has_its_topics_id() {
    let key = "00010006706c61696e3800036f6e6500000000";
    let value = "0004000000000000000700000000086772c3b6c39f65000001a21ce0a1d40100102ee3655d659d425e8f42c4bdc4f1969d";
    let Ok(Some(GroupRecord::Offset(key, Some(value)))) = decode(key, Some(value)) else { panic!("an offset") };
    assert_eq!((&*key.group, &*key.topic, key.partition), ("plain8", "one", 0));
    assert_eq!((value.offset, value.leader_epoch, &*value.metadata), (7, 0, "größe"));
    assert_eq!(value.topic_id.to_string(), "2ee3655d-659d-425e-8f42-c4bdc4f1969d");
}

#[test]
fn an_offset_with_an_expiry_of_its_own_is_written_in_the_version_that_has_one() {
    let key = OffsetCommitKey { group: "g".into(), topic: "t".into(), partition: 1 };
    let value = OffsetCommitValue { offset: 5, commit_timestamp: 10, expire_timestamp: 20, ..Default::default() };
    let record = GroupRecord::Offset(key, Some(value));
    let (key, value) = record.encode().unwrap();
    assert_eq!(value.as_ref().unwrap()[..2], [0, 1]);
    assert_eq!(GroupRecord::decode(&key, value.as_ref()).unwrap(), Some(record));
}

#[test]
fn older_versions_are_read() {
    let key = "0001000167000174".to_owned() + "00000003";
    let offset = "0000000000000009";
    let metadata = "00016d";
    let committed = "0000000000000064";
    let versions = [
        format!("0000{offset}{metadata}{committed}"),
        format!("0001{offset}{metadata}{committed}00000000000000c8"),
        format!("0002{offset}{metadata}{committed}"),
        format!("0003{offset}00000002{metadata}{committed}"),
    ];
    let read = versions.map(|value| match decode(&key, Some(&value)) {
        Ok(Some(GroupRecord::Offset(key, Some(value)))) if key.partition == 3 && &*value.metadata == "m" => {
            (value.offset, value.leader_epoch, value.commit_timestamp, value.expire_timestamp)
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(read, [(9, -1, 100, -1), (9, -1, 100, 200), (9, -1, 100, -1), (9, 2, 100, -1)]);
}

#[test]
fn an_offset_of_the_oldest_releases_is_an_offset() {
    let legacy = decode("000000016700017400000003", Some("0000000000000000000900016d0000000000000064")).unwrap();
    let Some(GroupRecord::Offset(key, Some(value))) = legacy else { panic!("an offset") };
    assert_eq!((&*key.group, &*key.topic, key.partition), ("g", "t", 3));
    assert_eq!((value.offset, &*value.metadata, value.commit_timestamp), (9, "m", 100));
    let tombstone = decode("000000016700017400000003", None).unwrap();
    assert!(matches!(tombstone, Some(GroupRecord::Offset(_, None))));
}

#[test]
fn an_unknown_type_is_passed_over() {
    for record_type in ["0009", "0012", "0018", "7fff", "ffff"] {
        assert_eq!(decode(record_type, Some("0063")).unwrap(), None, "{record_type}");
    }
}

#[test]
fn a_version_that_is_too_new_is_an_error() {
    let error = |key, value| decode(key, Some(value)).unwrap_err().to_string();
    assert_eq!(error("000100016700017400000003", "0005"), "OffsetCommitValue v5: version 5 is outside 0-4, at byte 2");
    assert_eq!(error("0002000167", "0005"), "GroupMetadataValue v5: version 5 is outside 0-4, at byte 2");
    assert_eq!(error("0003000167", "0001"), "ConsumerGroupMetadataValue v1: version 1 is outside 0-0, at byte 2");
    assert_eq!(error("000b000167", "0001"), "coordinator record value v1: version 1 is outside 0-0, at byte 0");
}

#[test]
fn a_foreign_record_says_whose_it_is() {
    let key = "0008000167000161";
    let value = "0000000000070000000600".to_owned() + "010100";
    let Ok(Some(GroupRecord::Foreign(record))) = decode(key, Some(&value)) else { panic!("a foreign record") };
    assert_eq!((record.group(), record.member(), record.kind()), ("g", Some("a"), GroupType::Consumer));
    assert_eq!(record.part(), Part::CurrentAssignment);
    assert_eq!(record.value(), Some(&ForeignValue::CurrentAssignment { epoch: 7, is_stable: true }));

    let tombstone = ForeignRecord::tombstone(record.key_bytes());
    assert_eq!(GroupRecord::Foreign(tombstone).encode().unwrap(), (bytes(key), None));
}

fn text() -> impl Strategy<Value = StrBytes> {
    "\\PC{0,8}".prop_map(StrBytes::from)
}

fn offset() -> impl Strategy<Value = GroupRecord> {
    let committed = (any::<i64>(), any::<i32>(), text(), any::<i64>(), any::<u128>()).prop_map(
        |(offset, leader_epoch, metadata, commit_timestamp, id)| OffsetCommitValue {
            offset,
            leader_epoch,
            metadata,
            commit_timestamp,
            topic_id: uuid::Uuid::from_u128(id),
            ..Default::default()
        },
    );
    (text(), text(), any::<i32>(), proptest::option::of(committed)).prop_map(|(group, topic, partition, value)| {
        GroupRecord::Offset(OffsetCommitKey { group, topic, partition }, value)
    })
}

proptest! {
    #[test]
    fn an_offset_is_read_as_it_was_written(record in offset()) {
        let (key, value) = record.encode().unwrap();
        prop_assert_eq!(GroupRecord::decode(&key, value.as_ref()).unwrap(), Some(record));
    }

    #[test]
    fn hostile_bytes_are_refused_without_a_panic(
        record_type in -1_i16..26,
        key in proptest::collection::vec(any::<u8>(), 0..40),
        value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..60)),
        version in 0_i16..6,
    ) {
        let key: Bytes = record_type.to_be_bytes().into_iter().chain(key).collect();
        let value: Option<Bytes> = value.map(|value| version.to_be_bytes().into_iter().chain(value).collect());
        let _ = GroupRecord::decode(&key, value.as_ref());
    }

    #[test]
    fn what_a_flipped_byte_leaves_is_refused_or_read(at in any::<prop::sample::Index>(), byte in any::<u8>(), nth in 0_usize..109) {
        let (_, key, value) = written_by_kafka().swap_remove(nth);
        let mut all = [key.as_ref(), value.as_deref().unwrap_or_default()].concat();
        let at = at.index(all.len());
        all[at] = byte;
        let all = Bytes::from(all);
        let _ = GroupRecord::decode(&all.slice(..key.len()), value.map(|_| all.slice(key.len()..)).as_ref());
    }
}
