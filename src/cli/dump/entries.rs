//! The three indexes: a line an entry.

use std::io;

use super::{Dump, File};
use crate::log::{
    files::base_offset_of,
    index_file::Entries,
    offset_index::{self, OffsetPosition},
    time_index::{self, TimestampOffset},
    transaction_index::{self, AbortedTransaction},
};

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
    dump_entries::<{ transaction_index::ENTRY_SIZE }>(dump, file, |entry| {
        let (version, transaction) = AbortedTransaction::decode(entry);
        if version != transaction_index::VERSION {
            return Err(format!("aborted transaction has version {version}"));
        }
        let AbortedTransaction { producer_id, first_offset, last_offset, last_stable_offset } = transaction;
        Ok(format!(
            "version: {version} producerId: {producer_id} firstOffset: {first_offset} lastOffset: {last_offset} lastStableOffset: {last_stable_offset}"
        ))
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
