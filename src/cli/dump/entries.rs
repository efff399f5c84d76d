//! The three indexes: a line an entry.

use std::io;

use super::{Dump, File};
use crate::log::{
    files::base_offset_of,
    index_file::Entries,
    offset_index::{self, OffsetPosition},
    time_index::{self, TimestampOffset},
};

/// Bytes of an aborted transaction: version, producer id, first and last offset, last stable offset.
const ABORTED_SIZE: usize = 34;

pub(super) fn dump_offset_index(dump: &mut Dump<'_>, file: File, name: &str) -> io::Result<()> {
    let Some(base) = base_offset_of(name) else { return no_base_offset(dump) };
    dump_entries::<{ offset_index::ENTRY_SIZE }>(dump, file, |entry| {
        let OffsetPosition { offset, position } = OffsetPosition::decode(entry, base);
        Ok(format!("offset: {offset} position: {position}"))
    })
}

pub(super) fn dump_time_index(dump: &mut Dump<'_>, file: File, name: &str) -> io::Result<()> {
    let Some(base) = base_offset_of(name) else { return no_base_offset(dump) };
    dump_entries::<{ time_index::ENTRY_SIZE }>(dump, file, |entry| {
        let TimestampOffset { timestamp, offset } = TimestampOffset::decode(entry, base);
        Ok(format!("timestamp: {timestamp} offset: {offset}"))
    })
}

pub(super) fn dump_txn_index(dump: &mut Dump<'_>, file: File) -> io::Result<()> {
    dump_entries::<ABORTED_SIZE>(dump, file, |entry| {
        let number = |at: usize| entry[at..].first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes));
        match i16::from_be_bytes([entry[0], entry[1]]) {
            0 => Ok(format!(
                "version: 0 producerId: {} firstOffset: {} lastOffset: {} lastStableOffset: {}",
                number(2),
                number(10),
                number(18),
                number(26)
            )),
            version => Err(format!("aborted transaction has version {version}")),
        }
    })
}

fn no_base_offset(dump: &mut Dump<'_>) -> io::Result<()> {
    dump.fail(None, "the name does not begin with a base offset, which the entries refer to")
}

fn dump_entries<const N: usize>(
    dump: &mut Dump<'_>,
    file: File,
    text: impl Fn(&[u8; N]) -> Result<String, String>,
) -> io::Result<()> {
    let mut entries = match Entries::<N>::new(file) {
        Ok(entries) => entries,
        Err(error) => return dump.fail(None, error),
    };
    loop {
        let position = entries.position();
        match entries.next_entry() {
            // Kafka allocates its indexes in advance.
            Ok(Some(entry)) if entry == [0; N] => return Ok(()),
            Ok(Some(entry)) => match text(&entry) {
                Ok(text) => dump.line(text)?,
                Err(error) => dump.fail(Some(position), error)?,
            },
            Ok(None) if entries.odd_bytes() == 0 => return Ok(()),
            Ok(None) => {
                let bytes = entries.odd_bytes();
                return dump.fail(Some(position), format_args!("{bytes} bytes behind the last whole entry"));
            }
            Err(error) => return dump.fail(Some(position), error),
        }
    }
}
