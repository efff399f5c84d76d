use super::*;
use crate::protocol::records::builder::{BatchBuilder, NewRecord};

const NOW: TimestampMs = 10_000;
const RETENTION: i64 = 1_000;
const GOES: Standing = Standing { is_superfluous: false, stays_empty: false };
const STAYS: Standing = Standing { is_superfluous: false, stays_empty: true };

/// Records with the keys and values given, at offset 100 and on, a second apart.
fn batch(codec: Compression, records: &[(Option<&str>, Option<&str>)]) -> RecordBatch {
    let mut builder = BatchBuilder::new(100).leader_epoch(3).producer(7, 1, 40).compression(codec, None);
    for ((key, value), timestamp) in records.iter().zip((5_000..).step_by(1_000)) {
        let (key, value) = (key.map(str::as_bytes), value.map(str::as_bytes));
        builder.append(&NewRecord { timestamp, key, value, headers: &[] }).expect("fits");
    }
    builder.build().expect("not empty")
}

fn map(latest: &[(&str, i64)]) -> OffsetMap {
    let mut map = OffsetMap::new(4096, 0.9, 100);
    latest.iter().for_each(|(key, offset)| assert!(map.put(key.as_bytes(), *offset)));
    map
}

fn apply(batch: &RecordBatch, latest: &[(&str, i64)], mapped_to: i64, now: TimestampMs, standing: Standing) -> Left {
    let filter =
        Filter { map: &map(latest), mapped_to, now, delete_retention_ms: RETENTION, decompressed_bytes_max: 1 << 20 };
    filter.apply(batch, standing)
}

fn part(left: Left) -> RecordBatch {
    match left {
        Left::Part(batch) => {
            batch.check_crc().expect("it has its CRC");
            batch
        }
        other => panic!("{other:?}"),
    }
}

/// Offset, timestamp, key and whether there is a value, of each record.
fn contents(batch: &RecordBatch) -> Vec<(i64, i64, String, bool)> {
    let header = *batch.header();
    let text = |key: Bytes| String::from_utf8_lossy(&key).into_owned();
    let records = batch.records(1 << 20).expect("readable").map(|record| {
        let record = record.expect("whole");
        let offset = header.base_offset + i64::from(record.offset_delta);
        let timestamp = header.record_timestamp(record.timestamp_delta);
        (offset, timestamp, record.key.map(text).unwrap_or_default(), record.value.is_some())
    });
    records.collect()
}

const A1: (Option<&str>, Option<&str>) = (Some("a"), Some("1"));
const B1: (Option<&str>, Option<&str>) = (Some("b"), Some("1"));
const B_GONE: (Option<&str>, Option<&str>) = (Some("b"), None);

#[test]
fn the_latest_record_of_each_key_stays_where_it_was() {
    for codec in [Compression::None, Compression::Gzip, Compression::Lz4, Compression::Snappy, Compression::Zstd] {
        let batch = batch(codec, &[A1, B1, A1, (None, Some("x"))]);
        let left = part(apply(&batch, &[("a", 102), ("b", 101)], 200, NOW, GOES));
        assert_eq!(contents(&left), [(101, 6_000, "b".into(), true), (102, 7_000, "a".into(), true)]);
        let (before, after) = (batch.header(), left.header());
        assert_eq!(after.attributes, before.attributes);
        assert_eq!((after.base_offset, after.last_offset(), after.record_count), (100, 103, 2));
        assert_eq!((after.producer_id, after.producer_epoch, after.base_sequence), (7, 1, 40));
        assert_eq!((after.partition_leader_epoch, after.base_timestamp, after.max_timestamp), (3, 6_000, 7_000));
    }
}

#[test]
fn a_batch_of_which_nothing_goes_is_not_touched() {
    let whole = batch(Compression::None, &[A1, B1]);
    assert!(matches!(apply(&whole, &[("a", 100), ("b", 101)], 200, NOW, GOES), Left::Whole));
    assert!(matches!(apply(&whole, &[], 200, NOW, GOES), Left::Whole), "keys of the clean part are not in the map");
    assert!(matches!(apply(&whole, &[("a", 300), ("b", 300)], 99, NOW, GOES), Left::Whole), "it is not mapped yet");
}

#[test]
fn a_batch_that_is_partly_mapped_is_cleaned_partly() {
    let left = part(apply(&batch(Compression::None, &[A1, B1]), &[("a", 300), ("b", 300)], 100, NOW, GOES));
    assert_eq!(contents(&left), [(101, 6_000, "b".into(), true)]);
}

#[test]
fn an_emptied_batch_goes_unless_something_hangs_on_it() {
    let latest = [("a", 300)];
    let batch = batch(Compression::Zstd, &[A1, A1]);
    assert!(matches!(apply(&batch, &latest, 400, NOW, GOES), Left::Nothing));
    let empty = part(apply(&batch, &latest, 400, NOW, STAYS));
    let header = empty.header();
    assert_eq!((header.base_offset, header.last_offset(), header.record_count), (100, 101, 0));
    assert_eq!((header.base_timestamp, header.max_timestamp, header.compression_id()), (-1, 6_000, 0));
    assert_eq!((header.producer_id, header.base_sequence), (7, 40));
    assert!(matches!(apply(&empty, &[], 400, NOW, GOES), Left::Nothing), "when nothing hangs on it any more");
}

#[test]
fn a_tombstone_goes_when_its_horizon_has_passed() {
    let whole = batch(Compression::None, &[A1, B_GONE]);
    let latest = [("a", 100), ("b", 101)];
    let marked = part(apply(&whole, &latest, 200, NOW, GOES));
    assert_eq!(marked.header().delete_horizon(), Some(NOW + RETENTION));
    assert_eq!(contents(&marked), contents(&whole), "the timestamps are the same");
    assert!(matches!(apply(&marked, &latest, 200, NOW + RETENTION - 1, GOES), Left::Whole), "it is set once");
    let later = part(apply(&marked, &latest, 200, NOW + RETENTION, GOES));
    assert_eq!(contents(&later), [(100, 5_000, "a".into(), true)]);
    assert_eq!(later.header().delete_horizon(), Some(NOW + RETENTION));
    let superseded = part(apply(&marked, &[("a", 100), ("b", 300)], 400, NOW, GOES));
    assert_eq!(contents(&superseded), [(100, 5_000, "a".into(), true)], "a later value need not wait");
}

#[test]
fn log_append_time_stays() {
    let mut builder = BatchBuilder::new(100).log_append_time(9_999);
    for key in ["a", "b", "c"] {
        builder.append(&NewRecord { timestamp: 1, key: Some(key.as_bytes()), ..NewRecord::default() }).expect("fits");
    }
    let left = part(apply(&builder.build().expect("not empty"), &[("a", 300)], 400, NOW, GOES));
    assert_eq!(contents(&left), [(101, 9_999, "b".into(), false), (102, 9_999, "c".into(), false)]);
    assert!(left.header().is_log_append_time() && left.header().has_delete_horizon());
}

#[test]
fn aborted_records_go_whatever_they_are() {
    let aborted = Standing { is_superfluous: true, stays_empty: false };
    let batch = batch(Compression::None, &[A1, B1]);
    assert!(matches!(apply(&batch, &[], 0, NOW, aborted), Left::Nothing), "beyond the map too");
    let empty = part(apply(&batch, &[], 0, NOW, Standing { stays_empty: true, ..aborted }));
    assert_eq!(empty.header().record_count, 0);
}

#[test]
fn a_marker_goes_some_time_after_what_it_ended() {
    use crate::protocol::records::control::ControlRecordType::Commit;
    let mut builder = BatchBuilder::new(100).producer(7, 1, -1).transactional().control();
    builder.append_control(Commit, 5_000, &[0, 0, 0, 0, 0, 0]).expect("fits");
    let marker = builder.build().expect("not empty");
    assert!(matches!(apply(&marker, &[], 200, NOW, GOES), Left::Whole));
    let superfluous = Standing { is_superfluous: true, stays_empty: false };
    let marked = part(apply(&marker, &[], 200, NOW, superfluous));
    assert_eq!((marked.header().delete_horizon(), marked.header().record_count), (Some(NOW + RETENTION), 1));
    assert!(matches!(apply(&marked, &[], 200, NOW + RETENTION - 1, superfluous), Left::Whole));
    assert!(matches!(apply(&marked, &[], 200, NOW + RETENTION, superfluous), Left::Nothing));
    let empty = part(apply(&marked, &[], 200, NOW + RETENTION, Standing { stays_empty: true, ..superfluous }));
    assert!(empty.header().is_control() && empty.header().is_transactional() && empty.header().record_count == 0);
}

#[test]
fn what_cannot_be_unpacked_stays() {
    let good = batch(Compression::Zstd, &[A1, B1]);
    let bad = RecordBatch::assemble(*good.header(), b"not zstd").expect("short");
    assert!(matches!(apply(&bad, &[("a", 300)], 400, NOW, GOES), Left::Unreadable));
    let mut header = *good.header();
    header.set_compression_id(0);
    let bad = RecordBatch::assemble(header, b"\x02").expect("short");
    assert!(matches!(apply(&bad, &[("a", 300)], 400, NOW, GOES), Left::Unreadable));
    let large = "x".repeat(2 << 20);
    let large = batch(Compression::Gzip, &[(Some("a"), Some(&large))]);
    assert!(matches!(apply(&large, &[("a", 300)], 400, NOW, GOES), Left::Unreadable), "more than it may be");
}
