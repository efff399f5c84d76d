//! `<base offset>.txnindex`: the aborted transactions that ended in a segment, in Kafka's format. A consumer that reads
//! committed records only leaves out what they name.
//!
//! An entry has 34 bytes, in the order of the markers:
//!
//! | bytes | what                                                  |
//! |------:|-------------------------------------------------------|
//! |     2 | version, 0                                            |
//! |     8 | producer id                                           |
//! |     8 | first offset of the transaction                       |
//! |     8 | offset of its marker                                  |
//! |     8 | last stable offset once it had ended                  |
//!
//! Most segments have no such file. It is created with the first entry.
//!
//! Not checksummed: [`PartitionLog`](super::partition_log::PartitionLog) holds it against the log before it believes it.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    disk::{file_len, read_full},
    files::{PooledFile, Stage},
    producer_state::CompletedTransaction,
    sync::lock,
};
use crate::protocol::fixed::field;

/// Bytes of an entry.
pub const ENTRY_SIZE: usize = 34;
/// The only version of an entry.
pub const VERSION: i16 = 0;

/// A transaction whose records are not to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose it was.
    pub producer_id: i64,
    /// Its first offset.
    pub first_offset: i64,
    /// Offset of its marker.
    pub last_offset: i64,
    /// What was decided once it had ended lies below it.
    pub last_stable_offset: i64,
}

impl AbortedTransaction {
    /// The entry of a transaction that was aborted.
    #[must_use]
    pub fn of(completed: &CompletedTransaction) -> Option<Self> {
        let &CompletedTransaction { producer_id, first_offset, last_offset, is_aborted, last_stable_offset } =
            completed;
        is_aborted.then_some(Self { producer_id, first_offset, last_offset, last_stable_offset })
    }

    fn encode(&self) -> [u8; ENTRY_SIZE] {
        let mut entry = [0; ENTRY_SIZE];
        entry[..2].copy_from_slice(&VERSION.to_be_bytes());
        let fields = [self.producer_id, self.first_offset, self.last_offset, self.last_stable_offset];
        for (bytes, field) in entry[2..].chunks_exact_mut(8).zip(fields) {
            bytes.copy_from_slice(&field.to_be_bytes());
        }
        entry
    }

    /// Reads an entry: its version and its numbers, whatever they are.
    #[must_use]
    pub fn decode(entry: &[u8; ENTRY_SIZE]) -> (i16, Self) {
        let decoded = Self {
            producer_id: i64::from_be_bytes(field::<2, _, _>(entry)),
            first_offset: i64::from_be_bytes(field::<10, _, _>(entry)),
            last_offset: i64::from_be_bytes(field::<18, _, _>(entry)),
            last_stable_offset: i64::from_be_bytes(field::<26, _, _>(entry)),
        };
        (i16::from_be_bytes(field::<0, _, _>(entry)), decoded)
    }

    /// `None` where the bytes cannot be an entry.
    fn decode_sound(entry: &[u8; ENTRY_SIZE]) -> Option<Self> {
        let (version, decoded) = Self::decode(entry);
        (version == VERSION && (0..decoded.last_offset).contains(&decoded.first_offset)).then_some(decoded)
    }
}

/// The index of one segment.
pub struct TransactionIndex {
    base_offset: i64,
    file: Arc<PooledFile>,
    /// Bytes of whole entries; unknown until it is used first.
    size: Mutex<Option<u64>>,
    /// The entries are known to be those that the log gives.
    is_checked: AtomicBool,
}

impl TransactionIndex {
    /// The index in `file`, which need not exist. Nothing is opened.
    #[must_use]
    pub fn new(file: PooledFile, base_offset: i64) -> Self {
        Self { base_offset, file: Arc::new(file), size: Mutex::new(None), is_checked: AtomicBool::new(false) }
    }

    /// Its file, if it has entries that this process has seen.
    pub(super) fn file(&self) -> Option<Arc<PooledFile>> {
        lock(&self.size).is_some_and(|size| size > 0).then(|| Arc::clone(&self.file))
    }

    /// Gives up its file's name.
    pub(super) fn retire(&self) {
        self.file.retire();
    }

    /// Gives its file, if there is one, the name of another stage.
    pub(super) fn rename(&self, to: Stage) -> io::Result<()> {
        self.file.rename_if_there(to)
    }

    /// Whether there are entries that were not held against the log.
    pub(super) fn is_to_be_checked(&self) -> io::Result<bool> {
        if !self.is_checked() && self.known_size(&mut lock(&self.size))? == 0 {
            self.set_checked();
        }
        Ok(!self.is_checked())
    }

    /// Whether it was held against the log.
    pub(super) fn is_checked(&self) -> bool {
        self.is_checked.load(Ordering::Acquire)
    }

    /// Notes that the entries are those that the log gives.
    pub(super) fn set_checked(&self) {
        self.is_checked.store(true, Ordering::Release);
    }

    /// The entries, up to the first that is damaged, and whether that is all there is.
    pub(super) fn entries(&self) -> io::Result<(Vec<AbortedTransaction>, bool)> {
        let mut size = lock(&self.size);
        let entries = self.read(&mut size)?;
        let is_all = len_of(entries.len()) == self.known_size(&mut size)?;
        Ok((entries, is_all))
    }

    /// Puts other entries in the place of those that are there.
    pub(super) fn replace(&self, entries: &[AbortedTransaction]) -> io::Result<()> {
        let mut size = lock(&self.size);
        let bytes: Vec<u8> = entries.iter().flat_map(AbortedTransaction::encode).collect();
        self.file.write_all_at(&[&bytes], 0)?;
        let end = len_of(entries.len());
        self.file.set_len(end)?;
        *size = Some(end);
        Ok(())
    }

    /// Adds an entry. After an error there may be half of one, which the next one overwrites.
    pub fn append(&self, transaction: &AbortedTransaction) -> io::Result<()> {
        let mut size = lock(&self.size);
        let end = self.known_size(&mut size)?;
        if end == 0 {
            self.file.create()?;
        }
        self.file.write_all_at(&[&transaction.encode()], end)?;
        *size = Some(end.saturating_add(len_of(1)));
        Ok(())
    }

    /// Forgets what ended at `offset` or later, and what comes behind an entry that is damaged.
    pub fn truncate(&self, offset: i64) -> io::Result<()> {
        let mut size = lock(&self.size);
        if self.known_size(&mut size)? == 0 {
            return Ok(());
        }
        let kept = self.read(&mut size)?.iter().take_while(|entry| entry.last_offset < offset).count();
        let end = len_of(kept);
        self.file.set_len(end)?;
        *size = Some(end);
        Ok(())
    }

    /// Adds to `found` the transactions that have records from `from` on and below `up_to`. Whether later segments have
    /// none.
    pub fn collect(&self, from: i64, up_to: i64, found: &mut Vec<AbortedTransaction>) -> io::Result<bool> {
        let entries = self.read(&mut lock(&self.size))?;
        for entry in entries {
            if entry.last_offset >= from && entry.first_offset < up_to {
                found.push(entry);
            }
            if entry.last_stable_offset >= up_to {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn read(&self, size: &mut Option<u64>) -> io::Result<Vec<AbortedTransaction>> {
        let len = self.known_size(size)?;
        if len == 0 {
            return Ok(Vec::new());
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?];
        let read = read_full(&*self.file.get()?, &mut bytes, 0)?;
        bytes.truncate(read);
        let (entries, _) = bytes.as_chunks::<ENTRY_SIZE>();
        let sound = entries.iter().map_while(AbortedTransaction::decode_sound);
        Ok(sound.take_while(|entry| entry.last_offset >= self.base_offset).collect())
    }

    fn known_size(&self, size: &mut Option<u64>) -> io::Result<u64> {
        if let Some(size) = *size {
            return Ok(size);
        }
        let len = match self.file.get() {
            Ok(file) => file.len()?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => 0,
            Err(e) => return Err(e),
        };
        let entries = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)? / ENTRY_SIZE;
        Ok(*size.insert(len_of(entries)))
    }
}

/// Bytes of so many entries.
fn len_of(entries: usize) -> u64 {
    file_len(entries.saturating_mul(ENTRY_SIZE))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::log::{
        disk::{Disk, sim::SimDisk},
        files::{Directory, FileKind, FilePool},
    };

    fn index(disk: &SimDisk) -> TransactionIndex {
        let pool = FilePool::new(Arc::new(disk.clone()), Path::new("/d"), 4);
        TransactionIndex::new(PooledFile::new(pool, Directory::new("/d".into()), 5, FileKind::TransactionIndex), 5)
    }

    fn aborted(first_offset: i64, last_offset: i64, last_stable_offset: i64) -> AbortedTransaction {
        AbortedTransaction { producer_id: 7, first_offset, last_offset, last_stable_offset }
    }

    fn collect(index: &TransactionIndex, from: i64, up_to: i64) -> (Vec<i64>, bool) {
        let mut found = Vec::new();
        let is_all = index.collect(from, up_to, &mut found).expect("readable");
        (found.iter().map(|entry| entry.first_offset).collect(), is_all)
    }

    #[test]
    fn what_was_aborted_is_found_where_it_has_records() {
        let disk = SimDisk::new(1);
        disk.create_dir(Path::new("/d")).expect("created");
        assert_eq!(collect(&index(&disk), 0, 100), (vec![], false));
        assert!(!disk.exists(Path::new("/d/00000000000000000005.txnindex")).expect("looked"), "no file for nothing");
        let written = index(&disk);
        for entry in [aborted(2, 10, 5), aborted(5, 15, 16), aborted(20, 30, 31)] {
            written.append(&entry).expect("written");
        }
        for index in [written, index(&disk)] {
            assert_eq!(collect(&index, 0, 100), (vec![2, 5, 20], false));
            assert_eq!(collect(&index, 11, 20), (vec![5], true), "later ones are not looked at");
            assert_eq!(collect(&index, 31, 100), (vec![], false));
            assert_eq!(collect(&index, 0, 4), (vec![2], true));
        }
    }

    #[test]
    fn the_end_is_cut_with_the_log() {
        let disk = SimDisk::new(1);
        disk.create_dir(Path::new("/d")).expect("created");
        let written = index(&disk);
        written.append(&aborted(5, 15, 16)).expect("written");
        written.append(&aborted(20, 30, 31)).expect("written");
        disk.fail_nth(1, 28);
        written.append(&aborted(40, 50, 51)).expect_err("half of it");
        let index = index(&disk);
        assert_eq!(collect(&index, 0, 100), (vec![5, 20], false));
        index.truncate(30).expect("cut");
        assert_eq!(collect(&index, 0, 100), (vec![5], false));
        index.append(&aborted(33, 40, 41)).expect("written");
        assert_eq!(collect(&index, 0, 100), (vec![5, 33], false));
        disk.corrupt(Path::new("/d/00000000000000000005.txnindex"), 0, &[9]).expect("corrupted");
        index.truncate(100).expect("cut");
        assert_eq!(collect(&index, 0, 100), (vec![], false));
    }
}
