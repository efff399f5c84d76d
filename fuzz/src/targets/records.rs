//! Batches of records, as Produce validates them and as logs read them.

use bytes::Bytes;
use ottla::{
    log::validate::{Rules, TargetCompression, TimestampType, ValidBatch, validate, validate_if_light},
    protocol::records::{
        batch::{BatchHeader, HEADER_SIZE, RecordBatch},
        compression::{Compression, compress, decompress},
        control::ControlRecordKey,
        stream::RecordStream,
    },
};

use super::input::Input;

/// What a batch may become. Small, so that what goes over it is met often.
const DECOMPRESSED_MAX: usize = 1 << 20;
const NOW: i64 = 1_800_000_000_000;
const PRODUCE_VERSIONS: [i16; 5] = [3, 6, 7, 9, 13];

/// A codec, now and then one that there is not.
fn codec(input: &mut Input<'_>) -> Compression {
    Compression::from_id(i16::from(input.byte() % 5)).expect("five of them")
}

fn rules(input: &mut Input<'_>) -> Rules {
    let bits = input.byte();
    let is_set = |bit: u8| bits & 1 << bit != 0;
    let target = codec(input);
    Rules {
        max_records: usize::MAX,
        max_message_bytes: 1 << 16,
        max_decompressed_bytes: DECOMPRESSED_MAX,
        segment_bytes: 1 << 20,
        compacted: is_set(0),
        timestamp_type: if is_set(1) { TimestampType::LogAppendTime } else { TimestampType::CreateTime },
        timestamp_before_max_ms: if is_set(2) { 1000 } else { i64::MAX },
        timestamp_after_max_ms: if is_set(3) { 1000 } else { i64::MAX },
        compression: match is_set(4) {
            true => TargetCompression::Producer,
            false => TargetCompression::Codec { codec: target, level: None },
        },
    }
}

fn check(records: &Bytes, version: i16, rules: &Rules) {
    let light = validate_if_light(Some(records), version, rules, NOW);
    let valid = validate(Some(records), version, rules, NOW);
    if let Some(light) = light {
        assert_eq!(light.is_ok(), valid.is_ok(), "the two ways to validate disagree");
    }
    if let Ok(valid) = valid {
        check_valid(&valid, rules);
    }
}

/// What may be appended is whole, says of itself what is so, and can be read by whoever fetches it.
fn check_valid(valid: &ValidBatch, rules: &Rules) {
    let ValidBatch { header, payload, offset_delta_of_max_timestamp } = valid;
    let mut stored = Bytes::from([&header.to_bytes()[..], payload].concat());
    assert!(stored.len() <= rules.max_message_bytes.max(rules.segment_bytes));
    let batch = RecordBatch::split_from(&mut stored).expect("a batch");
    assert!(stored.is_empty(), "bytes behind it");
    batch.check_crc().expect("the CRC of what is stored");
    assert!(!header.is_control() && !header.has_delete_horizon());
    let records = batch.records(DECOMPRESSED_MAX.max(64 << 20)).expect("a known codec");
    let (mut count, mut latest) = (0, i64::MIN);
    let mut at_latest = 0;
    for record in records {
        let record = record.expect("readable");
        assert_eq!(record.offset_delta, count);
        assert!(!rules.compacted || record.key.is_some());
        let timestamp = header.record_timestamp(record.timestamp_delta);
        if timestamp > latest {
            (latest, at_latest) = (timestamp, count);
        }
        count += 1;
    }
    assert_eq!((header.record_count, header.last_offset_delta), (count, count - 1));
    // No time is below that of a record without one, as in Kafka.
    assert_eq!(header.max_timestamp, latest.max(-1));
    if !header.is_log_append_time() && latest > -1 {
        assert_eq!(*offset_delta_of_max_timestamp, at_latest);
    }
}

/// Records of a Produce, as they come.
pub(super) fn batch(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let version = PRODUCE_VERSIONS[input.below(PRODUCE_VERSIONS.len())];
    let rules = rules(&mut input);
    let records = input.rest_bytes();
    check(&records, version, &rules);
}

/// The same with length and CRC set right: what lies behind them is reached.
pub(super) fn batch_sealed(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let version = PRODUCE_VERSIONS[input.below(PRODUCE_VERSIONS.len())];
    let rules = rules(&mut input);
    if let Some(sealed) = sealed(input.rest()) {
        check(&sealed, version, &rules);
    }
}

/// The bytes as one batch whose length and CRC are right.
pub(super) fn sealed(bytes: &[u8]) -> Option<Bytes> {
    let payload = bytes.get(HEADER_SIZE..)?;
    let mut fixed = *bytes.first_chunk::<HEADER_SIZE>()?;
    fixed[8..12].copy_from_slice(&49_i32.to_be_bytes());
    fixed[16] = 2;
    let header = BatchHeader::parse(&fixed).ok()?;
    Some(RecordBatch::assemble(header, payload)?.bytes().clone())
}

/// The bytes as the content of a batch, compressed here by each codec.
pub(super) fn records_compressed(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let version = PRODUCE_VERSIONS[input.below(PRODUCE_VERSIONS.len())];
    let (rules, codec) = (rules(&mut input), codec(&mut input));
    let count = i32::from(input.byte());
    let payload = compress(codec, None, &input.rest_bytes()).expect("memory for it");
    let mut header = BatchHeader {
        base_offset: 0,
        length: 0,
        partition_leader_epoch: -1,
        crc: 0,
        attributes: 0,
        last_offset_delta: count - 1,
        base_timestamp: NOW,
        max_timestamp: NOW,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        record_count: count,
    };
    header.set_compression_id(codec.id());
    if let Some(batch) = RecordBatch::assemble(header, &payload) {
        check(batch.bytes(), version, &rules);
    }
}

/// What a codec makes of noise, whole and record by record.
pub(super) fn codecs(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let codec = codec(&mut input);
    let limit = 1 + input.below(usize::from(u16::MAX)) * 16;
    let payload = input.rest_bytes();
    let whole = decompress(codec, &payload, limit);
    if let Ok(content) = &whole {
        assert!(content.len() <= limit || codec == Compression::None);
    }
    let Ok(stream) = RecordStream::new(codec, &payload, limit) else { return };
    let mut read = 0;
    for record in stream {
        let Ok(_) = record else { return };
        // A record has a byte at least.
        read += 1;
        assert!(read <= limit, "more records than bytes");
    }
    // Where all records were read, all bytes were.
    assert!(whole.is_ok(), "a stream was read to its end that is none");
}

/// A batch of a log: whoever replays one walks it without Produce's checks.
pub(super) fn stored_batch(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let is_sealed = input.flag();
    let mut bytes = match is_sealed {
        true => sealed(input.rest()).unwrap_or_default(),
        false => input.rest_bytes(),
    };
    while let Ok(batch) = RecordBatch::split_from(&mut bytes) {
        let header = batch.header();
        assert_eq!(header.to_bytes()[..], batch.bytes()[..HEADER_SIZE]);
        let _ = (batch.check_crc(), header.last_offset(), header.record_timestamp(i64::MAX), header.delete_horizon());
        for record in batch.records(DECOMPRESSED_MAX).into_iter().flatten() {
            let Ok(record) = record else { break };
            let _ = record.key.map(|key| ControlRecordKey::parse(&key));
        }
    }
}
