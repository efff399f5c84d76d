//! The small files: producer snapshots, checkpoints, properties.

use std::io;

use ottla_codegen::interpret::{self, json_text};
use serde_json::Value as Json;

use super::{Dump, records::text_or_hex};
use crate::{
    log::{
        checkpoints,
        disk::{DiskFile, file_len, read_all},
        leader_epochs, partition_metadata,
    },
    protocol::{ids::uuid_to_base64, schemas::schemas},
};

/// Reads the file and hands its bytes on.
fn with_bytes(
    dump: &mut Dump<'_>,
    file: &dyn DiskFile,
    show: impl FnOnce(&mut Dump<'_>, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    match read_all(file) {
        Ok(bytes) => show(dump, &bytes),
        Err(error) => dump.fail(None, error),
    }
}

pub(super) fn dump_producer_snapshot(dump: &mut Dump<'_>, file: &dyn DiskFile) -> io::Result<()> {
    with_bytes(dump, file, |dump, bytes| {
        // The schema's message begins with the CRC, which is over what follows it.
        let version = bytes.split_first_chunk();
        let Some((version, message, (crc, covered))) =
            version.and_then(|(version, message)| Some((version, message, message.split_first_chunk()?)))
        else {
            return dump.fail(Some(0), format_args!("{} bytes, too few for version and CRC", bytes.len()));
        };
        let (version, stored) = (i16::from_be_bytes(*version), u32::from_be_bytes(*crc));
        let computed = crc32c::crc32c(covered);
        if stored != computed {
            dump.fail(Some(2), format_args!("stored CRC {stored:#010x}, computed {computed:#010x}"))?;
        }
        let Some(schema) = schemas().get("ProducerSnapshot") else { return Ok(()) };
        let decoded = interpret::decode(schema, version, message)
            .and_then(|(value, _)| interpret::to_json(schema, version, &value));
        match decoded {
            Ok(json) => {
                let mut producers = json.get("producerEntries").and_then(Json::as_array).into_iter().flatten();
                producers.try_for_each(|producer| dump.line(producer_line(producer)))
            }
            Err(error) => dump.fail(Some(0), error),
        }
    })
}

/// The schema's fields under the names that Kafka's tool prints.
fn producer_line(entry: &Json) -> String {
    let number = |name: &str| entry.get(name).and_then(Json::as_i64).unwrap_or(-1);
    let mut line = format!(
        "producerId: {} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: {} lastTimestamp: {}",
        number("producerId"),
        number("epoch"),
        number("coordinatorEpoch"),
        match number("currentTxnFirstOffset") {
            offset @ 0.. => format!("OptionalLong[{offset}]"),
            _ => "OptionalLong.empty".to_owned(),
        },
        number("timestamp"),
    );
    if number("lastSequence") >= 0 {
        let (last, delta) = (number("lastSequence"), number("offsetDelta"));
        // Sequences go on with 0 after the greatest `i32`.
        let first = last.wrapping_sub(delta).rem_euclid(1 << 31);
        let (offset, timestamp) = (number("lastOffset"), number("timestamp"));
        line.push_str(&format!(
            " firstSequence: {first} lastSequence: {last} lastOffset: {offset} offsetDelta: {delta} timestamp: {timestamp}"
        ));
    }
    line
}

pub(super) fn dump_offsets(dump: &mut Dump<'_>, file: &dyn DiskFile) -> io::Result<()> {
    with_bytes(dump, file, |dump, bytes| match checkpoints::parse_entries(bytes, checkpoints::parse_offset) {
        Ok(entries) => entries.iter().try_for_each(|(partition, offset)| {
            let (topic, partition) = (&partition.topic, partition.partition);
            dump.line(format_args!("topic: {topic} partition: {partition} offset: {offset}"))
        }),
        Err(error) => dump.fail(None, error),
    })
}

pub(super) fn dump_leader_epochs(dump: &mut Dump<'_>, file: &dyn DiskFile) -> io::Result<()> {
    with_bytes(dump, file, |dump, bytes| match checkpoints::parse_entries(bytes, leader_epochs::parse) {
        Ok(entries) => entries.iter().try_for_each(|entry| {
            dump.line(format_args!("epoch: {} startOffset: {}", entry.epoch, entry.start_offset))
        }),
        Err(error) => dump.fail(None, error),
    })
}

pub(super) fn dump_partition_metadata(dump: &mut Dump<'_>, file: &dyn DiskFile) -> io::Result<()> {
    with_bytes(dump, file, |dump, bytes| match std::str::from_utf8(bytes).ok().and_then(partition_metadata::parse) {
        Some(id) => dump.line(format_args!("version: 0 topicId: {}", uuid_to_base64(id))),
        None => dump.fail(Some(0), "not version and topic id"),
    })
}

pub(super) fn dump_properties(dump: &mut Dump<'_>, file: &dyn DiskFile) -> io::Result<()> {
    with_bytes(dump, file, |dump, bytes| {
        let mut position = 0_u64;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match std::str::from_utf8(line).map(str::trim) {
                Ok(text) if text.is_empty() || text.starts_with(['#', '!']) => {}
                Ok(text) if text.contains(['=', ':']) => dump.line(text_or_hex(text.as_bytes()))?,
                _ => dump.fail(Some(position), format_args!("not a property: {}", text_or_hex(line)))?,
            }
            position = position.saturating_add(file_len(line.len()));
        }
        Ok(())
    })
}

pub(super) fn dump_json(dump: &mut Dump<'_>, file: &dyn DiskFile) -> io::Result<()> {
    with_bytes(dump, file, |dump, bytes| match serde_json::from_slice::<Json>(bytes) {
        Ok(json) => dump.line(json_text(&json, false)),
        Err(error) => dump.fail(None, error),
    })
}
