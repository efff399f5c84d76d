use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::protocol::records::{
    builder::{BatchBuilder, NewRecord},
    record::{RecordError, RecordHeader, RecordIter},
    varint::{write_varint, write_varlong},
};

const NOW: i64 = 1_000_000;
const VERSION: i16 = 11;
const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

const RULES: Rules = Rules {
    max_records: usize::MAX,
    max_message_bytes: 1 << 20,
    max_decompressed_bytes: usize::MAX,
    segment_bytes: 1 << 30,
    compacted: false,
    timestamp_type: TimestampType::CreateTime,
    timestamp_before_max_ms: i64::MAX,
    timestamp_after_max_ms: 3_600_000,
    compression: TargetCompression::Producer,
};

/// A batch of three records with the timestamps NOW, NOW + 10, NOW + 5.
fn sample(codec: Compression) -> RecordBatch {
    let mut builder = BatchBuilder::new(0).compression(codec, None);
    for (timestamp, value) in [(NOW, "a"), (NOW + 10, "b"), (NOW + 5, "c")] {
        let value = Some(value.as_bytes());
        builder.append(&NewRecord { timestamp, key: Some(b"key"), value, headers: &[] }).expect("fits");
    }
    builder.build().expect("not empty")
}

/// The sample with its header changed and the CRC of the change.
fn changed(change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let batch = sample(Compression::None);
    let mut header = *batch.header();
    change(&mut header);
    RecordBatch::assemble(header, &batch.payload()).expect("short").bytes().clone()
}

/// A batch that declares `record_count` records around this payload.
fn with_payload(record_count: i32, codec: Compression, payload: &[u8]) -> Bytes {
    let mut header = *sample(codec).header();
    header.record_count = record_count;
    header.last_offset_delta = record_count - 1;
    let payload = compress(codec, None, &Bytes::copy_from_slice(payload)).expect("memory suffices");
    RecordBatch::assemble(header, &payload).expect("short").bytes().clone()
}

/// A record without key, value and headers.
fn bare_record(offset_delta: i32, timestamp_delta: i64) -> Vec<u8> {
    let mut body = vec![0];
    write_varlong(&mut body, timestamp_delta);
    write_varint(&mut body, offset_delta);
    body.extend([1, 1, 0]);
    let mut record = Vec::new();
    write_varint(&mut record, i32::try_from(body.len()).expect("short"));
    record.extend(body);
    record
}

fn accept(records: &Bytes, rules: &Rules) -> ValidBatch {
    let valid = validate(Some(records), VERSION, rules, NOW).expect("valid");
    let stored = [&valid.header.to_bytes(), valid.payload.as_ref()].concat();
    let stored = RecordBatch::split_from(&mut stored.into()).expect("whole");
    assert_eq!(stored.header(), &valid.header);
    assert_eq!(stored.check_crc(), Ok(()));
    valid
}

fn refuse(records: &Bytes, rules: &Rules) -> ValidateError {
    validate(Some(records), VERSION, rules, NOW).expect_err("invalid")
}

fn invalid_batch(records: &Bytes) -> InvalidBatch {
    match refuse(records, &RULES) {
        ValidateError::InvalidBatch(why) => why,
        other => panic!("not INVALID_RECORD: {other}"),
    }
}

#[test]
fn a_batch_of_too_many_records_is_refused_before_it_is_unpacked() {
    let three = Rules { max_records: 3, ..RULES };
    for codec in CODECS {
        accept(sample(codec).bytes(), &three);
        for count in [4, 1_000_000, i32::MAX] {
            let error = refuse(&with_payload(count, codec, b"no records"), &three);
            let expected = usize::try_from(count).expect("positive");
            assert!(
                matches!(error, ValidateError::TooManyRecords { count, max: 3 } if count == expected),
                "{codec:?}: {error}"
            );
        }
    }
}

#[test]
fn a_batch_is_kept_as_it_came() {
    for codec in CODECS {
        let batch = sample(codec);
        let valid = accept(batch.bytes(), &RULES);
        assert_eq!(valid.header, *batch.header());
        assert_eq!(valid.payload.as_ptr(), batch.payload().as_ptr(), "a copy");
        assert_eq!(valid.offset_delta_of_max_timestamp, 1);
    }
}

#[test]
fn nothing_is_no_batch() {
    assert!(matches!(validate(None, VERSION, &RULES, NOW), Err(ValidateError::InvalidBatch(InvalidBatch::NoBatch))));
    assert_eq!(invalid_batch(&Bytes::new()), InvalidBatch::NoBatch);
}

#[test]
fn a_cut_batch_is_invalid_at_every_byte() {
    let batch = sample(Compression::None);
    for available in 1..batch.bytes().len() {
        let why = invalid_batch(&batch.bytes().slice(..available));
        assert!(matches!(why, InvalidBatch::Truncated { available: seen, .. } if seen == available), "{why}");
    }
}

#[test]
fn there_is_exactly_one_batch() {
    let batch = sample(Compression::None);
    let two = [batch.bytes().as_ref(), batch.bytes()].concat();
    assert_eq!(invalid_batch(&two.into()), InvalidBatch::BytesAfterBatch { bytes: batch.bytes().len() });
    let with_byte = [batch.bytes().as_ref(), &[0]].concat();
    assert_eq!(invalid_batch(&with_byte.into()), InvalidBatch::BytesAfterBatch { bytes: 1 });
}

#[test]
fn every_flipped_bit_that_the_crc_covers_is_corruption() {
    let batch = sample(Compression::None);
    for at in 17..batch.bytes().len() {
        for bit in 0..8 {
            let mut bytes = batch.bytes().to_vec();
            bytes[at] ^= 1 << bit;
            let error = refuse(&bytes.into(), &RULES);
            assert!(matches!(error, ValidateError::Corrupt(CorruptBatch::Batch(BatchError::Crc { .. }))), "{error}");
        }
    }
}

#[test]
fn a_length_below_the_header_is_corruption() {
    for length in [i32::MIN, -1, 0, 48] {
        let mut bytes = sample(Compression::None).bytes().to_vec();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        let error = refuse(&bytes.into(), &RULES);
        let too_short = CorruptBatch::Batch(BatchError::TooShort { length });
        assert!(matches!(error, ValidateError::Corrupt(why) if why == too_short));
    }
}

#[test]
fn magics_are_told_apart() {
    let with_magic = |magic: i8| {
        let mut bytes = sample(Compression::None).bytes().to_vec();
        bytes[16] = magic.cast_unsigned();
        refuse(&bytes.into(), &RULES)
    };
    for old in [0, 1] {
        assert!(matches!(with_magic(old), ValidateError::UnsupportedForMessageFormat { magic } if magic == old));
    }
    for unknown in [3, -1] {
        let why = CorruptBatch::Batch(BatchError::Magic { magic: unknown });
        assert!(matches!(with_magic(unknown), ValidateError::Corrupt(corrupt) if corrupt == why));
    }
}

#[test]
fn a_header_that_makes_no_sense_is_invalid() {
    type Change = fn(&mut BatchHeader);
    let cases: [(Change, InvalidBatch); 14] = [
        (|it| it.base_offset = 1, InvalidBatch::BaseOffset { base_offset: 1 }),
        (|it| it.base_offset = i64::MIN, InvalidBatch::BaseOffset { base_offset: i64::MIN }),
        (|it| it.record_count = 0, InvalidBatch::RecordCount { record_count: 0 }),
        (|it| it.record_count = i32::MIN, InvalidBatch::RecordCount { record_count: i32::MIN }),
        (|it| it.record_count = 2, InvalidBatch::OffsetRange { last_offset_delta: 2, record_count: 2 }),
        (
            |it| (it.record_count, it.last_offset_delta) = (i32::MAX, i32::MIN),
            InvalidBatch::OffsetRange { last_offset_delta: i32::MIN, record_count: i32::MAX },
        ),
        (|it| it.attributes = 0x20, InvalidBatch::Control),
        (|it| it.attributes = 0x40, InvalidBatch::DeleteHorizon),
        (|it| it.attributes = 0x80, InvalidBatch::UnknownAttributes { bits: 0x80 }),
        (|it| it.attributes = i16::MIN, InvalidBatch::UnknownAttributes { bits: 0x8000 }),
        (|it| it.producer_id = 7, InvalidBatch::Sequence { producer_id: 7, base_sequence: -1 }),
        (
            |it| (it.producer_id, it.base_sequence) = (7, 0),
            InvalidBatch::ProducerEpoch { producer_id: 7, producer_epoch: -1 },
        ),
        (|it| it.attributes = 0x10, InvalidBatch::NoProducer),
        (
            |it| (it.record_count, it.last_offset_delta) = (i32::MAX, i32::MAX - 1),
            InvalidBatch::FewerRecords { declared: i32::MAX, found: 3 },
        ),
    ];
    for (change, why) in cases {
        assert_eq!(invalid_batch(&changed(change)), why);
    }
}

#[test]
fn an_idempotent_and_a_transactional_batch_are_fine() {
    let producer = |it: &mut BatchHeader| (it.producer_id, it.producer_epoch, it.base_sequence) = (7, 0, 0);
    accept(&changed(|it| producer(it)), &RULES);
    let transactional = changed(|it| {
        producer(it);
        it.set_transactional();
    });
    assert!(accept(&transactional, &RULES).header.is_transactional());
}

#[test]
fn codecs_that_are_unknown_or_too_new_are_unsupported() {
    for id in 5..8 {
        let error = refuse(&changed(|it| it.set_compression_id(id)), &RULES);
        assert!(matches!(error, ValidateError::UnknownCodec { id: seen } if seen == id));
    }
    let zstd = sample(Compression::Zstd);
    let early = validate(Some(zstd.bytes()), 6, &RULES, NOW);
    assert!(matches!(early, Err(ValidateError::ZstdTooEarly { version: 6 })));
    validate(Some(zstd.bytes()), 7, &RULES, NOW).expect("valid");
}

#[test]
fn counts_and_offsets_are_those_of_the_records() {
    let three = [bare_record(0, 0), bare_record(1, 0), bare_record(2, 0)].concat();
    for codec in CODECS {
        accept(&with_payload(3, codec, &three), &RULES);
        let why = |count, payload: &[u8]| invalid_batch(&with_payload(count, codec, payload));
        assert_eq!(why(4, &three), InvalidBatch::FewerRecords { declared: 4, found: 3 });
        assert_eq!(why(2, &three), InvalidBatch::MoreRecords { declared: 2 });
        assert_eq!(why(1, &[]), InvalidBatch::FewerRecords { declared: 1, found: 0 });
        for delta in [0, 2, -1, i32::MAX] {
            let payload = [bare_record(0, 0), bare_record(delta, 0)].concat();
            assert_eq!(why(2, &payload), InvalidBatch::OffsetDelta { index: 1, delta });
        }
    }
}

#[test]
fn a_record_that_lies_is_invalid_under_every_codec() {
    for codec in CODECS {
        let mut payload = [bare_record(0, 0), bare_record(1, 0)].concat();
        let at = payload.len() - 1;
        payload[at] = 126;
        let error = RecordError::Length { field: "header count", length: 63, remaining: 0 };
        assert_eq!(invalid_batch(&with_payload(2, codec, &payload)), InvalidBatch::Record { index: 1, error });
        payload.truncate(at);
        let error = RecordError::Length { field: "record length", length: 6, remaining: 5 };
        assert_eq!(invalid_batch(&with_payload(2, codec, &payload)), InvalidBatch::Record { index: 1, error });
    }
}

#[test]
fn a_payload_that_its_codec_cannot_read_is_corruption() {
    let plain = sample(Compression::None);
    for codec in &CODECS[1..] {
        let error = refuse(&changed(|it| it.set_compression_id(codec.id())), &RULES);
        assert!(matches!(error, ValidateError::Corrupt(CorruptBatch::Payload(_))), "{codec:?}: {error}");
        let mut header = *sample(*codec).header();
        let whole = sample(*codec).payload();
        assert!(header.seal(&whole[..whole.len() - 1]));
        let cut = [&header.to_bytes(), &whole[..whole.len() - 1]].concat();
        let error = refuse(&cut.into(), &RULES);
        assert!(matches!(error, ValidateError::Corrupt(CorruptBatch::Payload(_))), "{codec:?}: {error}");
    }
    accept(plain.bytes(), &RULES);
}

#[test]
fn decompression_ends_at_the_limit() {
    let zeros = vec![0; 3 << 20];
    let mut builder = BatchBuilder::new(0);
    builder.append(&NewRecord { timestamp: NOW, value: Some(&zeros), ..Default::default() }).expect("fits");
    let bomb = builder.build().expect("not empty").payload();
    let limit = 1 << 20;
    let targets = [TargetCompression::Producer, TargetCompression::Codec { codec: Compression::Lz4, level: None }];
    for (codec, compression) in CODECS[1..].iter().flat_map(|codec| targets.map(|target| (*codec, target))) {
        let records = with_payload(1, codec, &bomb);
        let rules = Rules { max_decompressed_bytes: limit, compression, ..RULES };
        let error = refuse(&records, &rules);
        let is_limit = |why| why == InvalidBatch::DecompressedSize { limit };
        assert!(matches!(error, ValidateError::InvalidBatch(why) if is_limit(why)), "{codec:?}: {error}");
        accept(&records, &Rules { compression, ..RULES });
    }
}

#[test]
fn the_decompressed_limit_is_the_lower_of_setting_and_ratio() {
    let limit = |max_message_bytes, max_decompressed_bytes| {
        Rules { max_message_bytes, max_decompressed_bytes, ..RULES }.decompressed_limit()
    };
    assert_eq!(limit(1_000_000, usize::MAX), 64 << 20);
    assert_eq!(limit(10_000_000, usize::MAX), 320_000_000);
    assert_eq!(limit(10_000_000, 5_000), 5_000);
    assert_eq!(limit(usize::MAX, usize::MAX), usize::MAX);
}

#[test]
fn sizes_are_limited() {
    let batch = sample(Compression::None);
    let size = batch.bytes().len();
    accept(batch.bytes(), &Rules { max_message_bytes: size, segment_bytes: size, ..RULES });
    let error = refuse(batch.bytes(), &Rules { max_message_bytes: size - 1, ..RULES });
    assert!(matches!(error, ValidateError::MessageTooLarge { size: seen, max } if (seen, max) == (size, size - 1)));
    let error = refuse(batch.bytes(), &Rules { segment_bytes: size - 1, ..RULES });
    assert!(matches!(error, ValidateError::RecordListTooLarge { size: seen, max } if (seen, max) == (size, size - 1)));
}

#[test]
fn sizes_are_limited_after_compression_too() {
    let mut builder = BatchBuilder::new(0).compression(Compression::Gzip, None);
    builder.append(&NewRecord { timestamp: NOW, value: Some(&[0; 10_000]), ..Default::default() }).expect("fits");
    let small = builder.build().expect("not empty").bytes().clone();
    let compression = TargetCompression::Codec { codec: Compression::None, level: None };
    let rules = Rules { max_message_bytes: 1_000, compression, ..RULES };
    assert!(matches!(refuse(&small, &rules), ValidateError::MessageTooLarge { size: 10_000.., max: 1_000 }));
    let rules = Rules { segment_bytes: 1_000, compression, ..RULES };
    assert!(matches!(refuse(&small, &rules), ValidateError::RecordListTooLarge { size: 10_000.., max: 1_000 }));
}

#[test]
fn a_compacted_topic_needs_keys() {
    let mut builder = BatchBuilder::new(0);
    for key in [Some(&b"k"[..]), None, Some(b""), None] {
        builder.append(&NewRecord { timestamp: NOW, key, ..Default::default() }).expect("fits");
    }
    let batch = builder.build().expect("not empty");
    accept(batch.bytes(), &RULES);
    let error = refuse(batch.bytes(), &Rules { compacted: true, ..RULES });
    let ValidateError::InvalidRecords(rejected) = error else { panic!("not by record: {error}") };
    assert_eq!(rejected.first.iter().map(|it| it.batch_index).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(rejected.first[0].message, "a record of a compacted topic needs a key");
    accept(sample(Compression::Zstd).bytes(), &Rules { compacted: true, ..RULES });
}

#[test]
fn only_some_rejections_are_described() {
    let mut builder = BatchBuilder::new(0);
    for _ in 0..5_000 {
        builder.append(&NewRecord { timestamp: NOW, ..Default::default() }).expect("fits");
    }
    let batch = builder.build().expect("not empty");
    let error = refuse(batch.bytes(), &Rules { compacted: true, ..RULES });
    assert!(matches!(error, ValidateError::InvalidRecords(it) if it.total == 5_000 && it.first.len() == 100));
}

#[test]
fn timestamps_are_held_against_the_range() {
    let rules = Rules { timestamp_before_max_ms: 1_000, timestamp_after_max_ms: 500, ..RULES };
    let batch = |timestamps: &[i64]| {
        let mut builder = BatchBuilder::new(0);
        for &timestamp in timestamps {
            builder.append(&NewRecord { timestamp, ..Default::default() }).expect("fits");
        }
        builder.build().expect("not empty").bytes().clone()
    };
    assert_eq!(accept(&batch(&[NOW - 1_000, -1, NOW + 500]), &rules).header.max_timestamp, NOW + 500);
    for outside in [NOW - 1_001, NOW + 501, 0, -2, i64::MIN, i64::MAX] {
        let error = refuse(&batch(&[NOW, outside]), &rules);
        let ValidateError::InvalidTimestamps(rejected) = error else { panic!("not by timestamp: {error}") };
        assert_eq!((rejected.total, rejected.first[0].batch_index), (1, 1), "{outside}");
    }
    let error = refuse(&batch(&[NOW, 0]), &rules);
    assert!(error.to_string().ends_with("timestamp 0 is not within 999000 to 1000500"), "{error}");
    let log_append_time = Rules { timestamp_type: TimestampType::LogAppendTime, ..rules };
    accept(&batch(&[NOW, 0, i64::MAX]), &log_append_time);
}

#[test]
fn a_timestamp_beyond_64_bits_is_out_of_range() {
    // The second would wrap to -2, which the range allows.
    let payload = [bare_record(0, NOW - i64::MAX), bare_record(1, i64::MAX)].concat();
    let mut header = *sample(Compression::None).header();
    (header.base_timestamp, header.record_count, header.last_offset_delta) = (i64::MAX, 2, 1);
    let batch = RecordBatch::assemble(header, &payload).expect("short");
    let error = refuse(batch.bytes(), &RULES);
    let ValidateError::InvalidTimestamps(rejected) = error else { panic!("not by timestamp: {error}") };
    assert_eq!((rejected.total, rejected.first[0].batch_index), (1, 1));
}

#[test]
fn one_bad_timestamp_decides_the_error() {
    let mut builder = BatchBuilder::new(0);
    builder.append(&NewRecord { timestamp: NOW, ..Default::default() }).expect("fits");
    builder.append(&NewRecord { timestamp: i64::MAX, key: Some(b"k"), ..Default::default() }).expect("fits");
    let batch = builder.build().expect("not empty");
    let error = refuse(batch.bytes(), &Rules { compacted: true, ..RULES });
    assert!(matches!(error, ValidateError::InvalidTimestamps(it) if it.total == 2 && it.first.len() == 2));
}

#[test]
fn log_append_time_is_the_brokers() {
    let log_append_time = Rules { timestamp_type: TimestampType::LogAppendTime, ..RULES };
    for rules in [RULES, log_append_time] {
        let error = refuse(&changed(|it| it.set_log_append_time(NOW)), &rules);
        assert!(matches!(error, ValidateError::LogAppendTimeByProducer));
    }
    for codec in CODECS {
        let batch = sample(codec);
        let valid = accept(batch.bytes(), &log_append_time);
        assert!(valid.header.is_log_append_time());
        assert_eq!((valid.header.max_timestamp, valid.header.base_timestamp), (NOW, NOW));
        assert_eq!(valid.offset_delta_of_max_timestamp, 0);
        assert_eq!(valid.payload.as_ptr(), batch.payload().as_ptr(), "a copy");
    }
}

#[test]
fn the_greatest_timestamp_is_found_not_believed() {
    for lie in [i64::MAX, i64::MIN, -1, NOW] {
        let valid = accept(&changed(|it| it.max_timestamp = lie), &RULES);
        assert_eq!((valid.header.max_timestamp, valid.offset_delta_of_max_timestamp), (NOW + 10, 1));
    }
}

#[test]
fn records_are_compressed_as_the_topic_wants() {
    let targets = CODECS.map(|codec| TargetCompression::Codec { codec, level: None });
    for (source, compression) in CODECS.iter().flat_map(|source| targets.map(|target| (*source, target))) {
        let TargetCompression::Codec { codec, .. } = compression else { continue };
        let batch = sample(source);
        let valid = accept(batch.bytes(), &Rules { compression, ..RULES });
        assert_eq!(valid.header.compression_id(), codec.id());
        let plain = decompress(codec, &valid.payload, 1 << 20).expect("valid");
        assert_eq!(plain, sample(Compression::None).payload(), "{source:?} to {codec:?}");
        let same = valid.payload.as_ptr() == batch.payload().as_ptr();
        assert_eq!(same, source == codec, "{source:?} to {codec:?}");
    }
}

#[test]
fn heavy_work_is_known_by_the_header_or_found_out() {
    let batch = |codec, size: u64| {
        let value: Vec<u8> =
            (0..size / 8).flat_map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()).collect();
        let mut builder = BatchBuilder::new(0).compression(codec, None);
        builder.append(&NewRecord { timestamp: NOW, value: Some(&value), ..Default::default() }).expect("fits");
        builder.build().expect("not empty").bytes().clone()
    };
    let to_lz4 = Rules { compression: TargetCompression::Codec { codec: Compression::Lz4, level: None }, ..RULES };
    assert!(!is_heavy(&batch(Compression::None, 1 << 20), &RULES));
    assert!(is_heavy(&batch(Compression::None, 5 << 20), &RULES));
    assert!(is_heavy(&batch(Compression::None, 8_192), &to_lz4));
    assert!(!is_heavy(&batch(Compression::None, 1_024), &to_lz4));
    assert!(is_heavy(&batch(Compression::Snappy, 64 << 10), &RULES));
    assert!(!is_heavy(&batch(Compression::Snappy, 8 << 10), &RULES));
    assert!(!is_heavy(b"no batch", &RULES));

    let light = |records| validate_if_light(Some(&records), VERSION, &RULES, NOW);
    assert!(matches!(light(batch(Compression::Zstd, 8_192)), Some(Ok(_))));
    assert!(light(batch(Compression::Zstd, 64 << 10)).is_none());
    assert!(matches!(validate_if_light(None, VERSION, &RULES, NOW), Some(Err(_))));
    let zeros = [bare_record(0, 0), vec![0xfe, 0xff, 0x7f], vec![0; 1 << 20]].concat();
    assert!(light(with_payload(2, Compression::Zstd, &zeros)).is_none());
    let own_limit = Rules { max_decompressed_bytes: 1_000, ..RULES };
    let refused = validate_if_light(Some(&with_payload(2, Compression::Zstd, &zeros)), VERSION, &own_limit, NOW);
    assert!(matches!(refused, Some(Err(ValidateError::InvalidBatch(InvalidBatch::DecompressedSize { limit: 1_000 })))));
}

fn any_batch() -> impl Strategy<Value = RecordBatch> {
    let blob = || option::of(vec(any::<u8>(), 0..100));
    let header = (vec(any::<u8>(), 0..10), blob())
        .prop_map(|(key, value)| RecordHeader { key: key.into(), value: value.map(Bytes::from) });
    let record = (0..NOW, blob(), blob(), vec(header, 0..3));
    (vec(record, 1..20), 0..CODECS.len()).prop_map(|(records, codec)| {
        let mut builder = BatchBuilder::new(0).compression(CODECS[codec], None);
        for (timestamp, key, value, headers) in &records {
            let (key, value) = (key.as_deref(), value.as_deref());
            builder.append(&NewRecord { timestamp: *timestamp, key, value, headers }).expect("fits");
        }
        builder.build().expect("not empty")
    })
}

proptest! {
    #[test]
    fn what_is_accepted_is_readable(batch in any_batch(), target in 0..CODECS.len()) {
        let codec = CODECS[target];
        let rules = Rules { compression: TargetCompression::Codec { codec, level: None }, ..RULES };
        let valid = accept(batch.bytes(), &rules);
        let stored = RecordIter::new(decompress(codec, &valid.payload, 1 << 20).expect("valid"));
        let sent = batch.records(1 << 20).expect("valid");
        prop_assert!(stored.eq(sent));
    }

    /// With a CRC that fits, so that the mutation reaches what comes after it. What is accepted must be readable.
    #[test]
    fn mutated_batches_are_refused_or_readable(
        batch in any_batch(),
        mutations in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = batch.bytes().to_vec();
        for (at, byte) in mutations {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let length = i32::try_from(bytes.len() - 12).expect("short");
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        let crc = crate::protocol::records::batch::compute_crc(&bytes);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        let Ok(valid) = validate(Some(&bytes.into()), VERSION, &RULES, NOW) else { return Ok(()) };
        let codec = Compression::from_id(valid.header.compression_id()).expect("known");
        let plain = decompress(codec, &valid.payload, RULES.decompressed_limit()).expect("valid");
        let records: Vec<_> = RecordIter::new(plain).collect::<Result<_, _>>().expect("valid");
        prop_assert_eq!(i32::try_from(records.len()), Ok(valid.header.record_count));
        let greatest = records.iter().map(|it| valid.header.record_timestamp(it.timestamp_delta)).max();
        prop_assert_eq!(greatest.map(|it| it.max(-1)), Some(valid.header.max_timestamp));
    }
}
