//! Logs and metadata snapshots: a line a batch, and a line a record.

use std::io;

use bytes::Bytes;

use super::{
    Dump,
    records::{RecordFormat, control_text, text_or_hex},
};
use crate::{
    log::{
        disk::DiskFile,
        files::base_offset_of,
        scan::{BatchAt, BatchScan, check_crc, find_valid_batch, read_batch},
    },
    protocol::records::{
        batch::BatchHeader,
        compression::Compression,
        record::{Record, RecordHeader},
    },
};

/// Decompressed bytes of a batch that are looked at.
const RECORDS_BYTES_MAX: usize = 1 << 30;

pub(super) fn dump_log(
    dump: &mut Dump<'_>,
    file: &dyn DiskFile,
    name: &str,
    format: Option<RecordFormat>,
) -> io::Result<()> {
    match base_offset_of(name).filter(|_| name.contains(".log")) {
        Some(base_offset) => dump.line(format_args!("Log starting offset: {base_offset}"))?,
        None => dump_snapshot_id(dump, name)?,
    }
    let len = match file.len() {
        Ok(len) => len,
        Err(error) => return dump.fail(None, error),
    };
    let mut scan = BatchScan::new(file, 0, len);
    loop {
        let position = scan.position();
        match scan.next_batch() {
            Ok(None) => return Ok(()),
            Ok(Some(batch)) => dump_batch(dump, file, &batch, format)?,
            Err(error) => {
                dump.fail(Some(position), error.reason())?;
                match find_valid_batch(file, position.saturating_add(1), len, 0) {
                    Ok(Some(next)) => scan = BatchScan::new(file, next.position, len),
                    Ok(None) => return Ok(()),
                    Err(error) => return dump.fail(Some(position), error.reason()),
                }
            }
        }
    }
}

/// A metadata snapshot's name: the offset that it ends before, and the epoch of the record before that.
fn dump_snapshot_id(dump: &mut Dump<'_>, name: &str) -> io::Result<()> {
    let id = name.split('.').next().and_then(|id| id.split_once('-'));
    let numbers = id.and_then(|(offset, epoch)| Some((offset.parse::<i64>().ok()?, epoch.parse::<i32>().ok()?)));
    match numbers {
        Some((offset, epoch)) => dump.line(format_args!("Snapshot end offset: {offset}, epoch: {epoch}")),
        None => Ok(()),
    }
}

fn dump_batch(
    dump: &mut Dump<'_>,
    file: &dyn DiskFile,
    batch: &BatchAt,
    format: Option<RecordFormat>,
) -> io::Result<()> {
    let crc = check_crc(file, batch);
    dump.line(batch_line(batch, crc.is_ok()))?;
    match (crc, format) {
        (Err(error), _) => dump.fail(Some(batch.position), error.reason()),
        (Ok(()), Some(format)) => dump_records(dump, file, batch, format),
        (Ok(()), None) => Ok(()),
    }
}

fn batch_line(batch: &BatchAt, is_valid: bool) -> String {
    let header = &batch.header;
    let delete_horizon = if header.has_delete_horizon() {
        format!("OptionalLong[{}]", header.base_timestamp)
    } else {
        "OptionalLong.empty".to_owned()
    };
    let codec = header.compression_id();
    let codec =
        Compression::from_id(codec).map_or_else(|| format!("unknown({codec})"), |codec| codec.name().to_owned());
    format!(
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} producerEpoch: {} \
         partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: {delete_horizon} position: {} {}: {} \
         size: {} magic: 2 compresscodec: {codec} crc: {} isvalid: {is_valid}",
        header.base_offset,
        header.last_offset(),
        header.record_count,
        header.base_sequence,
        sequence(header, header.last_offset_delta),
        header.producer_id,
        header.producer_epoch,
        header.partition_leader_epoch,
        header.is_transactional(),
        header.is_control(),
        batch.position,
        timestamp_type(header),
        header.max_timestamp,
        header.size(),
        header.crc,
    )
}

/// The sequence of a record. They go from 0 to the greatest `i32` and on with 0.
fn sequence(header: &BatchHeader, offset_delta: i32) -> i32 {
    if header.base_sequence < 0 {
        return -1;
    }
    let next = i64::from(header.base_sequence).saturating_add(offset_delta.into()).rem_euclid(1 << 31);
    i32::try_from(next).unwrap_or(-1)
}

fn timestamp_type(header: &BatchHeader) -> &'static str {
    if header.is_log_append_time() { "LogAppendTime" } else { "CreateTime" }
}

fn dump_records(dump: &mut Dump<'_>, file: &dyn DiskFile, batch: &BatchAt, format: RecordFormat) -> io::Result<()> {
    let position = Some(batch.position);
    let records = match read_batch(file, batch) {
        Ok(batch) => batch.records(RECORDS_BYTES_MAX),
        Err(error) => return dump.fail(position, error.reason()),
    };
    let records = match records {
        Ok(records) => records,
        Err(error) => return dump.fail(position, error),
    };
    for record in records {
        let record = match record {
            Ok(record) => record,
            Err(error) => return dump.fail(position, error),
        };
        let offset = batch.header.base_offset.saturating_add(i64::from(record.offset_delta));
        let contents = if batch.header.is_control() { control_text(&record) } else { format.text(&record) };
        let head = record_head(&batch.header, offset, &record);
        match contents {
            Ok(contents) => dump.line(head + &contents)?,
            Err(error) => {
                dump.line(head + &format.unread_text(&record))?;
                dump.fail(position, format_args!("record at offset {offset}: {error}"))?;
            }
        }
    }
    Ok(())
}

fn record_head(header: &BatchHeader, offset: i64, record: &Record) -> String {
    let size = |bytes: &Option<Bytes>| bytes.as_ref().map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(-1));
    let headers: Vec<_> = record.headers.iter().map(header_text).collect();
    format!(
        "| offset: {offset} {}: {} keySize: {} valueSize: {} sequence: {} headers: [{}]",
        timestamp_type(header),
        header.record_timestamp(record.timestamp_delta),
        size(&record.key),
        size(&record.value),
        sequence(header, record.offset_delta),
        headers.join(","),
    )
}

/// `key=value`; a null value has no `=` either.
fn header_text(header: &RecordHeader) -> String {
    let key = text_or_hex(&header.key);
    header.value.as_deref().map_or_else(|| key.clone(), |value| format!("{key}={}", text_or_hex(value)))
}
