//! Time index of one segment: timestamp → offset, sparse, sorted by both.
//!
//! | bytes | field                                                                  |
//! |------:|------------------------------------------------------------------------|
//! |     8 | greatest timestamp in the segment so far                                |
//! |     4 | last offset of the first batch with it − the segment's base offset      |
//!
//! An entry is added with each one of the offset index, if the timestamp has grown since, and when the segment is
//! rolled or closed: its last entry tells the greatest timestamp of the segment. Batches after an entry's may be older.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::{
    io,
    sync::{Arc, Mutex},
};

use super::{files::PooledFile, index_file::IndexFile, sync::lock};
use crate::clock::TimestampMs;

/// Bytes of an entry.
pub const ENTRY_SIZE: usize = 12;

/// One entry: no batch up to `offset` is younger than `timestamp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    /// The timestamp.
    pub timestamp: TimestampMs,
    /// Last offset of the batch that has it.
    pub offset: i64,
}

/// The index. Entries are added by one writer and looked up by anybody.
pub struct TimeIndex {
    base_offset: i64,
    file: Mutex<IndexFile<ENTRY_SIZE>>,
}

impl TimeIndex {
    /// Creates an empty index.
    pub fn create(file: PooledFile, base_offset: i64) -> io::Result<Self> {
        file.create()?;
        Ok(Self { base_offset, file: Mutex::new(IndexFile::new(file)) })
    }

    /// Opens an index and trims what is no entry.
    pub fn open(file: PooledFile, base_offset: i64) -> io::Result<Self> {
        let file = IndexFile::open(file, |entry| *entry == [0; ENTRY_SIZE])?;
        Ok(Self { base_offset, file: Mutex::new(file) })
    }

    /// The last entry with a timestamp of at most `timestamp`. Without one, a search begins at the base offset.
    pub fn lookup(&self, timestamp: TimestampMs) -> io::Result<Option<TimestampOffset>> {
        let before = |entry: &[u8; ENTRY_SIZE]| split(entry).0 <= timestamp;
        let view = {
            let file = lock(&self.file);
            if let Some(entry) = file.last_waiting(before) {
                return Ok(Some(self.decode(&entry)));
            }
            file.view()?
        };
        Ok(view.last_before(before)?.map(|entry| self.decode(&entry)))
    }

    /// The last entry: the greatest timestamp of a segment that was rolled or closed.
    #[must_use]
    pub fn last(&self) -> Option<TimestampOffset> {
        lock(&self.file).last().map(|entry| self.decode(&entry))
    }

    /// Adds an entry if its timestamp is greater than the last one's. An offset that does not fit is left out.
    pub fn append_if_later(&self, entry: TimestampOffset) {
        let mut file = lock(&self.file);
        let last = file.last().map_or(-1, |last| split(&last).0);
        if let Ok(relative) = i32::try_from(entry.offset.saturating_sub(self.base_offset))
            && entry.timestamp > last
        {
            let mut bytes = [0; ENTRY_SIZE];
            bytes[..8].copy_from_slice(&entry.timestamp.to_be_bytes());
            bytes[8..].copy_from_slice(&relative.to_be_bytes());
            file.push(bytes);
        }
    }

    /// Forgets the entries for `offset` and later.
    pub fn truncate_to(&self, offset: i64) -> io::Result<()> {
        let relative = offset.saturating_sub(self.base_offset);
        lock(&self.file).truncate(|entry| i64::from(split(entry).1) < relative)
    }

    /// Forgets all entries.
    pub fn clear(&self) -> io::Result<()> {
        lock(&self.file).clear()
    }

    /// Bytes, of which some may still wait to be written.
    #[must_use]
    pub fn size(&self) -> u64 {
        lock(&self.file).size()
    }

    /// Writes the entries that wait.
    pub fn write(&self) -> io::Result<()> {
        lock(&self.file).write_tail()
    }

    /// The file, to be synced without the index's lock.
    #[must_use]
    pub fn file(&self) -> Arc<PooledFile> {
        lock(&self.file).file()
    }

    fn decode(&self, entry: &[u8; ENTRY_SIZE]) -> TimestampOffset {
        TimestampOffset::decode(entry, self.base_offset)
    }
}

impl TimestampOffset {
    /// Reads an entry of the index of the segment at `base_offset`.
    #[must_use]
    pub fn decode(entry: &[u8; ENTRY_SIZE], base_offset: i64) -> Self {
        let (timestamp, relative) = split(entry);
        Self { timestamp, offset: base_offset.saturating_add(i64::from(relative)) }
    }
}

fn split(entry: &[u8; ENTRY_SIZE]) -> (TimestampMs, i32) {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *entry;
    (TimestampMs::from_be_bytes([a, b, c, d, e, f, g, h]), i32::from_be_bytes([i, j, k, l]))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::log::{
        disk::{Disk, OpenMode, read_file, sim::SimDisk},
        files::{Directory, FileKind, FilePool},
    };

    fn file(disk: &SimDisk) -> PooledFile {
        disk.create_dir(Path::new("/d")).expect("created");
        let pool = FilePool::new(Arc::new(disk.clone()), Path::new("/d"), 8);
        PooledFile::new(pool, Directory::new("/d".into()), 7, FileKind::TimeIndex)
    }

    fn entry(n: i64) -> TimestampOffset {
        TimestampOffset { timestamp: 5_000 + n * 10, offset: 7 + n }
    }

    #[test]
    fn only_later_timestamps_are_added() {
        let disk = SimDisk::new(1);
        let index = TimeIndex::create(file(&disk), 7).expect("created");
        index.append_if_later(TimestampOffset { timestamp: -1, offset: 7 });
        assert_eq!(index.last(), None);
        for n in 1..=300 {
            index.append_if_later(entry(n));
            index.append_if_later(TimestampOffset { timestamp: entry(n).timestamp, offset: 9_999 });
        }
        assert_eq!(index.size(), 3600);
        for n in 1..=300 {
            assert_eq!(index.lookup(entry(n).timestamp + 9).expect("read"), Some(entry(n)));
            assert_eq!(index.lookup(entry(n).timestamp - 1).expect("read"), (n > 1).then(|| entry(n - 1)));
        }
        index.truncate_to(entry(200).offset).expect("cut");
        assert_eq!(index.last(), Some(entry(199)));
    }

    #[test]
    fn what_a_killed_kafka_allocated_is_trimmed() {
        let disk = SimDisk::new(1);
        let index = TimeIndex::create(file(&disk), 7).expect("created");
        (1..=5).for_each(|n| index.append_if_later(entry(n)));
        index.write().expect("written");
        let path = file(&disk).path();
        disk.open(&path, OpenMode::Existing).expect("there").set_len(12_000).expect("extended");
        let index = TimeIndex::open(file(&disk), 7).expect("opened");
        assert_eq!(index.last(), Some(entry(5)));
        assert_eq!(read_file(&disk, &path).expect("read").len(), 60);
    }

    #[test]
    fn an_entry_is_added_whether_the_file_can_be_read_or_not() {
        let disk = SimDisk::new(1);
        let index = TimeIndex::create(file(&disk), 7).expect("created");
        index.append_if_later(entry(1));
        index.write().expect("written");
        disk.fail_nth(1, 5);
        index.append_if_later(entry(2));
        disk.heal();
        index.write().expect("written");
        let index = TimeIndex::open(file(&disk), 7).expect("opened");
        assert_eq!(index.last(), Some(entry(2)));
    }
}
