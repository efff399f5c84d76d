//! What the two indexes share: a file of entries of one size, sorted, searched by halving.
//!
//! The newest entries wait in memory and are written in pieces, so that an append costs no second system call. What a
//! killed process did not write is rebuilt from the log: nothing depends on it.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::{io, sync::Arc, vec};

use super::{
    disk::{DiskFile, file_len, read_full},
    files::PooledFile,
};

/// Entries that may wait in memory.
const TAIL_MAX: usize = 64;
/// The search ends with one read of this many entries.
const BLOCK: usize = 256;

/// A file of entries of `N` bytes each.
pub(super) struct IndexFile<const N: usize> {
    file: Arc<PooledFile>,
    /// Entries in the file.
    written: usize,
    /// The last of those, so that a read that fails cannot keep an entry from being added.
    last_written: Option<[u8; N]>,
    /// Entries that follow them.
    tail: Vec<[u8; N]>,
}

impl<const N: usize> IndexFile<N> {
    /// An index whose `file` is empty.
    #[must_use]
    pub(super) fn new(file: PooledFile) -> Self {
        Self { file: Arc::new(file), written: 0, last_written: None, tail: Vec::new() }
    }

    /// Opens the file and leaves out a rest that is no entry, and the slots at the end that `is_empty` says were never
    /// filled: Kafka allocates an index in advance and trims it when it closes it.
    pub(super) fn open(file: PooledFile, is_empty: impl Fn(&[u8; N]) -> bool) -> io::Result<Self> {
        let len = file.get()?.len()?;
        let slots = whole_entries::<N>(usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?);
        let mut index = Self { written: slots, ..Self::new(file) };
        index.last_written = index.read_last(slots)?;
        if index.last_written.is_some_and(|entry| is_empty(&entry)) {
            index.written = index.view()?.partition_point(|entry| !is_empty(entry))?;
            index.last_written = index.read_last(index.written)?;
        }
        let written_len = position_of::<N>(index.written);
        if len != written_len {
            index.file.set_len(written_len)?;
        }
        Ok(index)
    }

    /// Bytes of all entries, written or not.
    #[must_use]
    pub(super) fn size(&self) -> u64 {
        position_of::<N>(self.written.saturating_add(self.tail.len()))
    }

    /// The last entry.
    #[must_use]
    pub(super) fn last(&self) -> Option<[u8; N]> {
        self.tail.last().copied().or(self.last_written)
    }

    /// The last of the first `written` entries in the file.
    fn read_last(&self, written: usize) -> io::Result<Option<[u8; N]>> {
        written.checked_sub(1).map(|at| self.view()?.entry(at)).transpose()
    }

    /// Adds an entry. It is written now or later; a failure to write leaves it waiting.
    pub(super) fn push(&mut self, entry: [u8; N]) {
        self.tail.push(entry);
        if self.tail.len() >= TAIL_MAX
            && let Err(error) = self.write_tail()
        {
            tracing::warn!(path = %self.file.path().display(), %error, "index entries could not be written, they wait");
        }
    }

    /// Writes the entries that wait.
    pub(super) fn write_tail(&mut self) -> io::Result<()> {
        if self.tail.is_empty() {
            return Ok(());
        }
        self.file.write_all_at(&[self.tail.as_flattened()], position_of::<N>(self.written))?;
        self.written = self.written.saturating_add(self.tail.len());
        self.last_written = self.tail.pop();
        self.tail.clear();
        Ok(())
    }

    /// The waiting entry that is the last one for which `before` holds, if `before` holds for the first of them.
    #[must_use]
    pub(super) fn last_waiting(&self, before: impl Fn(&[u8; N]) -> bool) -> Option<[u8; N]> {
        let count = self.tail.partition_point(before);
        self.tail.get(count.checked_sub(1)?).copied()
    }

    /// The entries in the file, for a search without the index's lock.
    pub(super) fn view(&self) -> io::Result<IndexView<N>> {
        Ok(IndexView { file: self.file.get()?, entries: self.written })
    }

    /// Keeps the first entries, those for which `keep` holds.
    pub(super) fn truncate(&mut self, keep: impl Fn(&[u8; N]) -> bool) -> io::Result<()> {
        self.write_tail()?;
        let kept = self.view()?.partition_point(keep)?;
        if kept < self.written {
            self.last_written = self.read_last(kept)?;
            self.written = kept;
            self.file.set_len(position_of::<N>(kept))?;
        }
        Ok(())
    }

    /// Forgets all entries.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.tail.clear();
        self.written = 0;
        self.last_written = None;
        self.file.set_len(0)
    }

    /// The file.
    #[must_use]
    pub(super) fn file(&self) -> Arc<PooledFile> {
        Arc::clone(&self.file)
    }
}

/// Where entry `at` begins in a file of them.
fn position_of<const N: usize>(at: usize) -> u64 {
    file_len(at.saturating_mul(N))
}

/// How many whole entries `len` bytes are.
fn whole_entries<const N: usize>(len: usize) -> usize {
    len.checked_div(N).unwrap_or_default()
}

/// The entries of a file one after the other, read in blocks. Looks at nothing but their size.
pub struct Entries<const N: usize> {
    file: Arc<dyn DiskFile>,
    len: u64,
    position: u64,
    block: vec::IntoIter<[u8; N]>,
}

impl<const N: usize> Entries<N> {
    /// The entries of `file`.
    pub fn new(file: Arc<dyn DiskFile>) -> io::Result<Self> {
        let len = file.len()?;
        Ok(Self { file, len, position: 0, block: Vec::new().into_iter() })
    }

    /// Where the next entry begins.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes behind the last whole entry.
    #[must_use]
    pub fn odd_bytes(&self) -> u64 {
        self.len.checked_rem(file_len(N)).unwrap_or_default()
    }

    /// The next entry. The bytes behind the last whole one are none.
    pub fn next_entry(&mut self) -> io::Result<Option<[u8; N]>> {
        if self.block.len() == 0 {
            self.block = self.read_block()?.into_iter();
        }
        let entry = self.block.next();
        if entry.is_some() {
            self.position = self.position.saturating_add(file_len(N));
        }
        Ok(entry)
    }

    fn read_block(&self) -> io::Result<Vec<[u8; N]>> {
        let mut block = vec![[0; N]; BLOCK];
        let read = read_full(&*self.file, block.as_flattened_mut(), self.position)?;
        block.truncate(whole_entries::<N>(read));
        Ok(block)
    }
}

/// The entries that were in the file at one moment. They never change, they are only added to.
pub(super) struct IndexView<const N: usize> {
    file: Arc<dyn DiskFile>,
    entries: usize,
}

impl<const N: usize> IndexView<N> {
    /// The last entry for which `before` holds; `before` holds for a prefix of the entries.
    pub(super) fn last_before(&self, before: impl Fn(&[u8; N]) -> bool) -> io::Result<Option<[u8; N]>> {
        let (first, block) = self.block_of(&before)?;
        let in_block = block.partition_point(&before).checked_sub(1).and_then(|at| block.get(at));
        match (in_block, first.checked_sub(1)) {
            (Some(entry), _) => Ok(Some(*entry)),
            (None, Some(before_block)) => self.entry(before_block).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// How many entries `before` holds for; it holds for a prefix of them.
    pub(super) fn partition_point(&self, before: impl Fn(&[u8; N]) -> bool) -> io::Result<usize> {
        let (first, block) = self.block_of(&before)?;
        Ok(first.saturating_add(block.partition_point(&before)))
    }

    /// The entry at `at`.
    pub(super) fn entry(&self, at: usize) -> io::Result<[u8; N]> {
        let mut entry = [0; N];
        self.read(entry.as_mut_slice(), at)?;
        Ok(entry)
    }

    /// Halves until one read is enough. The partition point lies in the block or at its end.
    fn block_of(&self, before: &impl Fn(&[u8; N]) -> bool) -> io::Result<(usize, Vec<[u8; N]>)> {
        let mut range = 0..self.entries;
        while range.len() > BLOCK {
            let middle = range.start.midpoint(range.end);
            if before(&self.entry(middle)?) {
                range.start = middle.saturating_add(1);
            } else {
                range.end = middle;
            }
        }
        let mut block = vec![[0; N]; range.len()];
        self.read(block.as_flattened_mut(), range.start)?;
        Ok((range.start, block))
    }

    fn read(&self, bytes: &mut [u8], at: usize) -> io::Result<()> {
        if read_full(&*self.file, bytes, position_of::<N>(at))? < bytes.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}
