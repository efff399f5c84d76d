use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::protocol::records::{
    batch::compute_crc,
    control::ControlRecordKey,
    record::{Record, RecordMeta, walk},
    stream::RecordStream,
};

#[derive(Clone, Debug)]
struct Sample {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<RecordHeader>,
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let blob = || option::of(vec(any::<u8>(), 0..200));
    let header = (vec(any::<u8>(), 0..20), blob())
        .prop_map(|(key, value)| RecordHeader { key: key.into(), value: value.map(Bytes::from) });
    (any::<i64>(), blob(), blob(), vec(header, 0..4)).prop_map(|(timestamp, key, value, headers)| Sample {
        timestamp,
        key,
        value,
        headers,
    })
}

fn any_codec() -> impl Strategy<Value = Compression> {
    (0i16..5).prop_map(|id| Compression::from_id(id).expect("five codecs"))
}

fn build(samples: &[Sample], codec: Compression) -> RecordBatch {
    let mut builder = BatchBuilder::new(1_000).compression(codec, None);
    for Sample { timestamp, key, value, headers } in samples {
        let (key, value) = (key.as_deref(), value.as_deref());
        builder.append(&NewRecord { timestamp: *timestamp, key, value, headers }).expect("fits");
    }
    builder.build().expect("not empty")
}

fn expected(index: usize, sample: &Sample, base_timestamp: i64) -> Record {
    Record {
        attributes: 0,
        timestamp_delta: sample.timestamp.wrapping_sub(base_timestamp),
        offset_delta: i32::try_from(index).expect("few"),
        key: sample.key.clone().map(Bytes::from),
        value: sample.value.clone().map(Bytes::from),
        headers: sample.headers.clone(),
    }
}

proptest! {
    #[test]
    fn what_is_built_is_read(samples in vec(any_sample(), 1..30), codec in any_codec()) {
        let batch = build(&samples, codec);
        let header = *batch.header();
        prop_assert_eq!(BatchHeader::parse(batch.bytes()), Ok(header));
        prop_assert_eq!(batch.check_crc(), Ok(()));
        prop_assert_eq!(header.record_count, header.last_offset_delta + 1);

        let records: Vec<_> = batch.records(1 << 20).expect("valid").collect::<Result<_, _>>().expect("valid");
        let expected: Vec<_> =
            samples.iter().enumerate().map(|(index, it)| expected(index, it, header.base_timestamp)).collect();
        prop_assert_eq!(&records, &expected);
        for (record, sample) in records.iter().zip(&samples) {
            prop_assert_eq!(header.record_timestamp(record.timestamp_delta), sample.timestamp);
        }
    }

    #[test]
    fn all_readers_agree(samples in vec(any_sample(), 1..30), codec in any_codec()) {
        let batch = build(&samples, codec);
        let meta = |it: Record| RecordMeta {
            timestamp_delta: it.timestamp_delta,
            offset_delta: it.offset_delta,
            has_key: it.key.is_some(),
        };
        let read: Vec<_> = batch.records(1 << 20).expect("valid").map(|it| meta(it.expect("valid"))).collect();
        let payload = batch.payload();
        let streamed: Vec<_> =
            RecordStream::new(codec, &payload, 1 << 20).expect("valid").collect::<Result<_, _>>().expect("valid");
        prop_assert_eq!(&read, &streamed);
        if codec == Compression::None {
            prop_assert_eq!(read, walk(&payload).collect::<Result<Vec<_>, _>>().expect("valid"));
        }
    }
}

#[test]
fn fields_are_where_the_format_has_them() {
    let mut builder = BatchBuilder::new(7).leader_epoch(3).producer(9, 2, 11).transactional();
    builder.append(&NewRecord { timestamp: 100, value: Some(b"a"), ..Default::default() }).expect("fits");
    builder.append(&NewRecord { timestamp: 90, key: Some(b"k"), ..Default::default() }).expect("fits");
    assert_eq!((builder.record_count(), builder.size()), (2, 61 + 8 + 8));
    let batch = builder.build().expect("not empty");
    let expected = BatchHeader {
        base_offset: 7,
        length: 65,
        partition_leader_epoch: 3,
        crc: compute_crc(batch.bytes()),
        attributes: 0x10,
        last_offset_delta: 1,
        base_timestamp: 100,
        max_timestamp: 100,
        producer_id: 9,
        producer_epoch: 2,
        base_sequence: 11,
        record_count: 2,
    };
    assert_eq!(*batch.header(), expected);
    assert_eq!(batch.payload().as_ref(), [14, 0, 0, 0, 1, 2, b'a', 0, 14, 0, 19, 2, 2, b'k', 1, 0]);
}

#[test]
fn a_control_record_has_its_type_as_key() {
    let mut builder = BatchBuilder::new(0).producer(1, 0, -1).transactional().control();
    builder.append_control(ControlRecordType::Commit, 5, b"value").expect("fits");
    let batch = builder.build().expect("not empty");
    assert!(batch.header().is_control() && batch.header().is_transactional());
    let record = batch.records(1_000).expect("valid").next().expect("one").expect("valid");
    let key = ControlRecordKey::parse(&record.key.expect("a key")).expect("valid");
    assert_eq!(key.kind, Ok(ControlRecordType::Commit));
    assert_eq!(record.value.as_deref(), Some(&b"value"[..]));
}

#[test]
fn log_append_time_is_the_time_of_all_records() {
    let mut builder = BatchBuilder::new(0).log_append_time(500);
    builder.append(&NewRecord { timestamp: 900, ..Default::default() }).expect("fits");
    let batch = builder.build().expect("not empty");
    assert!(batch.header().is_log_append_time());
    assert_eq!((batch.header().max_timestamp, batch.header().record_timestamp(0)), (500, 500));
    assert_eq!(batch.check_crc(), Ok(()));
}

#[test]
fn a_batch_has_a_record() {
    assert!(matches!(BatchBuilder::new(0).build(), Err(BuildError::Empty)));
}
