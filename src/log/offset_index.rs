//! Offset index of one segment: offset → position, sparse, sorted.
//!
//! | bytes | field                                                    |
//! |------:|----------------------------------------------------------|
//! |     4 | last offset of a batch − the segment's base offset        |
//! |     4 | position of that batch in the `.log`                      |
//!
//! Not checksummed: it can be rebuilt from the log, and is, when it disagrees with it. The first entry is never for
//! position 0, so a position of 0 marks a slot that was allocated and not filled.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::{
    io,
    sync::{Arc, Mutex},
};

use super::{files::PooledFile, index_file::IndexFile, sync::lock};

/// Bytes of an entry.
pub const ENTRY_SIZE: usize = 8;

/// One entry: the batch at `position` ends with `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetPosition {
    /// Last offset of the batch.
    pub offset: i64,
    /// Where the batch begins in the log.
    pub position: u64,
}

/// The index. Entries are added by one writer and looked up by anybody.
pub struct OffsetIndex {
    base_offset: i64,
    file: Mutex<IndexFile<ENTRY_SIZE>>,
}

impl OffsetIndex {
    /// Creates an empty index.
    pub fn create(file: PooledFile, base_offset: i64) -> io::Result<Self> {
        file.create()?;
        Ok(Self { base_offset, file: Mutex::new(IndexFile::new(file)) })
    }

    /// Opens an index and trims what is no entry.
    pub fn open(file: PooledFile, base_offset: i64) -> io::Result<Self> {
        let file = IndexFile::open(file, |entry| split(entry).1 == 0)?;
        Ok(Self { base_offset, file: Mutex::new(file) })
    }

    /// The last entry with an offset of at most `offset`. Without one, a look-up begins at position 0.
    pub fn lookup(&self, offset: i64) -> io::Result<Option<OffsetPosition>> {
        let relative = offset.saturating_sub(self.base_offset);
        let before = |entry: &[u8; ENTRY_SIZE]| i64::from(split(entry).0) <= relative;
        let view = {
            let file = lock(&self.file);
            if let Some(entry) = file.last_waiting(before) {
                return Ok(Some(self.decode(&entry)));
            }
            file.view()?
        };
        Ok(view.last_before(before)?.map(|entry| self.decode(&entry)))
    }

    /// The last entry.
    #[must_use]
    pub fn last(&self) -> Option<OffsetPosition> {
        lock(&self.file).last().map(|entry| self.decode(&entry))
    }

    /// Adds an entry. `false` if the offset is too far from the base offset, or the position too large, to be written down.
    pub fn append(&self, entry: OffsetPosition) -> bool {
        let relative = i32::try_from(entry.offset.saturating_sub(self.base_offset));
        let (Ok(relative), Ok(position)) = (relative, i32::try_from(entry.position)) else { return false };
        let mut bytes = [0; ENTRY_SIZE];
        bytes[..4].copy_from_slice(&relative.to_be_bytes());
        bytes[4..].copy_from_slice(&position.to_be_bytes());
        lock(&self.file).push(bytes);
        true
    }

    /// Forgets the entries for `offset` and later.
    pub fn truncate_to(&self, offset: i64) -> io::Result<()> {
        let relative = offset.saturating_sub(self.base_offset);
        lock(&self.file).truncate(|entry| i64::from(split(entry).0) < relative)
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

    fn decode(&self, entry: &[u8; ENTRY_SIZE]) -> OffsetPosition {
        OffsetPosition::decode(entry, self.base_offset)
    }
}

impl OffsetPosition {
    /// Reads an entry of the index of the segment at `base_offset`.
    #[must_use]
    pub fn decode(entry: &[u8; ENTRY_SIZE], base_offset: i64) -> Self {
        let (relative, position) = split(entry);
        let offset = base_offset.saturating_add(i64::from(relative));
        Self { offset, position: u64::from(position.cast_unsigned()) }
    }
}

fn split(entry: &[u8; ENTRY_SIZE]) -> (i32, i32) {
    let [a, b, c, d, e, f, g, h] = *entry;
    (i32::from_be_bytes([a, b, c, d]), i32::from_be_bytes([e, f, g, h]))
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
        PooledFile::new(pool, Directory::new("/d".into()), 1000, FileKind::OffsetIndex)
    }

    fn entry(n: i64) -> OffsetPosition {
        OffsetPosition { offset: 1000 + n * 10, position: u64::try_from(n).expect("positive") * 100 }
    }

    #[test]
    fn every_entry_is_found_written_or_not() {
        let disk = SimDisk::new(1);
        let index = OffsetIndex::create(file(&disk), 1000).expect("created");
        assert_eq!(index.lookup(i64::MAX).expect("empty"), None);
        for n in 1..=1000 {
            assert!(index.append(entry(n)));
            assert_eq!(index.last(), Some(entry(n)));
        }
        for n in 1..=1000 {
            assert_eq!(index.lookup(entry(n).offset).expect("read"), Some(entry(n)));
            assert_eq!(index.lookup(entry(n).offset + 9).expect("read"), Some(entry(n)));
            assert_eq!(index.lookup(entry(n).offset - 1).expect("read"), (n > 1).then(|| entry(n - 1)));
        }
        index.write().expect("written");
        let bytes = read_file(&disk, &file(&disk).path()).expect("read");
        assert_eq!((bytes.len(), &bytes[..8]), (8000, &[0, 0, 0, 10, 0, 0, 0, 100][..]));
    }

    #[test]
    fn truncation_forgets_the_offset_itself() {
        let disk = SimDisk::new(1);
        let index = OffsetIndex::create(file(&disk), 1000).expect("created");
        (1..=600).for_each(|n| assert!(index.append(entry(n))));
        index.truncate_to(entry(500).offset).expect("cut");
        assert_eq!(index.last(), Some(entry(499)));
        index.truncate_to(0).expect("cut");
        assert_eq!((index.last(), index.size()), (None, 0));
    }

    #[test]
    fn what_a_killed_kafka_allocated_is_trimmed() {
        let disk = SimDisk::new(1);
        let index = OffsetIndex::create(file(&disk), 1000).expect("created");
        (1..=700).for_each(|n| assert!(index.append(entry(n))));
        index.write().expect("written");
        let path = file(&disk).path();
        disk.open(&path, OpenMode::Existing).expect("there").set_len(10_000_003).expect("extended");
        let index = OffsetIndex::open(file(&disk), 1000).expect("opened");
        assert_eq!(index.last(), Some(entry(700)));
        assert_eq!(read_file(&disk, &path).expect("read").len(), 5600);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let disk = SimDisk::new(1);
        let index = OffsetIndex::create(file(&disk), 1000).expect("created");
        assert!(!index.append(OffsetPosition { offset: 1000 + (1 << 31), position: 1 }));
        assert!(!index.append(OffsetPosition { offset: 1001, position: 1 << 31 }));
    }
}
