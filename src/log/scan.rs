//! Walks over the batches of a `.log` file by their headers, and tells good bytes from bad ones.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::io;

use bytes::Bytes;

use super::disk::{DiskFile, file_len, read_full};
use crate::protocol::records::batch::{BatchError, BatchHeader, HEADER_SIZE, MAGIC_V2, RecordBatch};

/// Read at once: the headers of small batches come many at a time.
const CHUNK: usize = 4096;
/// Read at once where all bytes are read.
const LARGE_CHUNK: usize = 256 * 1024;
/// Where the CRC's range begins in a batch: the CRC field ends there.
const CRC_END: usize = 21;
/// Where the magic byte stands in a batch.
const MAGIC_AT: usize = 16;

/// A batch in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchAt {
    /// Where it begins.
    pub position: u64,
    /// Its header. The records may be anything.
    pub header: BatchHeader,
}

impl BatchAt {
    /// Where the next batch begins.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.position.saturating_add(file_len(self.header.size()))
    }
}

/// What is wrong where a batch should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The bytes are not a batch.
    #[error(transparent)]
    Batch(BatchError),
    /// It is a batch, but its offsets have no place there.
    #[error("batch with offsets {first} to {last} out of order, expected {expected} or later")]
    Disorder {
        /// Its base offset.
        first: i64,
        /// Its last offset.
        last: i64,
        /// The offset after the batch before it.
        expected: i64,
    },
    /// It is a batch, but of another leader epoch than its neighbours and its offset.
    #[error("batch at offset {offset} of leader epoch {found}, expected {expected}")]
    LeaderEpoch {
        /// Its base offset.
        offset: i64,
        /// Its epoch.
        found: i32,
        /// The epoch that it should have.
        expected: i32,
    },
}

/// Why a walk ended before the end of the file.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// There is no batch where one should be.
    #[error("no batch at position {position}: {source}")]
    Corrupt {
        /// Where the batch should begin.
        position: u64,
        /// What is wrong with it.
        source: Damage,
    },
    /// The file could not be read.
    #[error("read at position {position}: {source}")]
    Io {
        /// Where.
        position: u64,
        /// Why.
        source: io::Error,
    },
}

impl ScanError {
    /// What went wrong, without the place.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Corrupt { source, .. } => source.to_string(),
            Self::Io { source, .. } => source.to_string(),
        }
    }
}

/// The batches of a file from one position to another, header by header.
pub struct BatchScan<'a> {
    file: &'a dyn DiskFile,
    position: u64,
    end: u64,
    chunk: Vec<u8>,
    chunk_at: u64,
}

impl<'a> BatchScan<'a> {
    /// Begins at `position`, where a batch begins, and ends at `end`.
    #[must_use]
    pub fn new(file: &'a dyn DiskFile, position: u64, end: u64) -> Self {
        Self { file, position, end, chunk: Vec::new(), chunk_at: 0 }
    }

    /// Where the next batch begins.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next batch; `None` at the end. After an error the walk stands still.
    pub fn next_batch(&mut self) -> Result<Option<BatchAt>, ScanError> {
        let position = self.position;
        if position >= self.end {
            return Ok(None);
        }
        let header = BatchHeader::parse(self.header_bytes()?);
        let header = header.map_err(|e| corrupt(position, e))?;
        let batch = BatchAt { position, header };
        if batch.end() > self.end {
            let available = usize::try_from(self.end.saturating_sub(position)).unwrap_or(usize::MAX);
            return Err(corrupt(position, BatchError::Truncated { needed: header.size(), available }));
        }
        self.position = batch.end();
        Ok(Some(batch))
    }

    /// The first batch that `wanted` holds for.
    pub fn find(&mut self, wanted: impl Fn(&BatchHeader) -> bool) -> Result<Option<BatchAt>, ScanError> {
        while let Some(batch) = self.next_batch()? {
            if wanted(&batch.header) {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// Up to a header's worth of bytes at the position.
    fn header_bytes(&mut self) -> Result<&[u8], ScanError> {
        let available = self.end.saturating_sub(self.position);
        let wanted = usize::try_from(available).unwrap_or(usize::MAX).min(HEADER_SIZE);
        if self.rest_of_chunk().len() < wanted {
            self.fill(available)?;
        }
        let rest = self.rest_of_chunk();
        Ok(rest.get(..wanted).unwrap_or(rest))
    }

    /// What the chunk has from the position on.
    fn rest_of_chunk(&self) -> &[u8] {
        let at = self.position.checked_sub(self.chunk_at).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.chunk.get(at..)).unwrap_or_default()
    }

    fn fill(&mut self, available: u64) -> Result<(), ScanError> {
        let position = self.position;
        self.chunk.resize(usize::try_from(available).unwrap_or(usize::MAX).min(CHUNK), 0);
        let read = read_full(self.file, &mut self.chunk, position);
        self.chunk.truncate(read.map_err(|source| ScanError::Io { position, source })?);
        self.chunk_at = position;
        Ok(())
    }
}

/// Reads a whole batch into memory.
pub fn read_batch(file: &dyn DiskFile, batch: &BatchAt) -> Result<RecordBatch, ScanError> {
    let position = batch.position;
    let mut bytes = vec![0; batch.header.size()];
    let read = read_full(file, &mut bytes, position).map_err(|source| ScanError::Io { position, source })?;
    bytes.truncate(read);
    RecordBatch::split_from(&mut Bytes::from(bytes)).map_err(|e| corrupt(position, e))
}

fn corrupt(position: u64, source: BatchError) -> ScanError {
    ScanError::Corrupt { position, source: Damage::Batch(source) }
}

/// Holds the batch's CRC against its bytes, without holding them all in memory.
pub fn check_crc(file: &dyn DiskFile, batch: &BatchAt) -> Result<(), ScanError> {
    let mut position = batch.position.saturating_add(file_len(CRC_END));
    let mut left = batch.header.size().saturating_sub(CRC_END);
    let mut chunk = vec![0; left.min(LARGE_CHUNK)];
    let mut computed = 0;
    while left > 0 {
        chunk.truncate(left);
        let read = read_full(file, &mut chunk, position).map_err(|source| ScanError::Io { position, source })?;
        if read < chunk.len() {
            return Err(ScanError::Io { position, source: io::ErrorKind::UnexpectedEof.into() });
        }
        computed = crc32c::crc32c_append(computed, &chunk);
        position = position.saturating_add(file_len(read));
        left = left.saturating_sub(read);
    }
    if computed == batch.header.crc {
        return Ok(());
    }
    let BatchHeader { base_offset, crc: stored, .. } = batch.header;
    Err(corrupt(batch.position, BatchError::Crc { base_offset, stored, computed }))
}

/// The first whole and undamaged batch at or after `position` whose base offset is at least `base_offset`, wherever it
/// begins. Its CRC decides.
pub fn find_valid_batch(
    file: &dyn DiskFile,
    mut position: u64,
    end: u64,
    base_offset: i64,
) -> Result<Option<BatchAt>, ScanError> {
    let mut chunk = vec![0; LARGE_CHUNK];
    while position.saturating_add(file_len(HEADER_SIZE)) <= end {
        let read = read_full(file, &mut chunk, position).map_err(|source| ScanError::Io { position, source })?;
        let windows = chunk.get(..read).unwrap_or_default().array_windows::<HEADER_SIZE>();
        let passed = windows.len();
        for (position, window) in (position..).zip(windows) {
            if window[MAGIC_AT].cast_signed() != MAGIC_V2 {
                continue;
            }
            let Ok(header) = BatchHeader::parse(window) else { continue };
            let batch = BatchAt { position, header };
            if is_plausible(&batch, end, base_offset) && check_crc(file, &batch).is_ok() {
                return Ok(Some(batch));
            }
        }
        if passed == 0 {
            break;
        }
        position = position.saturating_add(file_len(passed));
    }
    Ok(None)
}

fn is_plausible(batch: &BatchAt, end: u64, base_offset: i64) -> bool {
    let distance = batch.header.base_offset.checked_sub(base_offset);
    batch.header.last_offset_delta >= 0
        && batch.end() <= end
        && distance.is_some_and(|distance| (0..=i64::from(i32::MAX)).contains(&distance))
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::log::{
        disk::{Disk, OpenMode, sim::SimDisk},
        partition_log::test_batches::batch_bytes,
    };

    fn file_of(parts: &[&[u8]]) -> (Arc<dyn DiskFile>, u64) {
        let disk = SimDisk::new(1);
        disk.create_dir(Path::new("/d")).expect("created");
        let file = disk.open(Path::new("/d/f"), OpenMode::Create).expect("created");
        file.write_all_at(parts, 0).expect("written");
        let end = file.len().expect("known");
        (file, end)
    }

    #[test]
    fn a_walk_meets_every_batch() {
        let batches: Vec<_> =
            (0..200).map(|n| batch_bytes(n, 1, 100 + n, usize::try_from(n).expect("small") * 7)).collect();
        let parts: Vec<&[u8]> = batches.iter().map(Vec::as_slice).collect();
        let (file, end) = file_of(&parts);
        let mut scan = BatchScan::new(&*file, 0, end);
        for n in 0..200 {
            let batch = scan.next_batch().expect("good").expect("there");
            assert_eq!(batch.header.base_offset, n);
            check_crc(&*file, &batch).expect("undamaged");
        }
        assert!(scan.next_batch().expect("good").is_none());
    }

    #[test]
    fn a_torn_batch_ends_the_walk() {
        let (whole, torn) = (batch_bytes(0, 1, 0, 10), batch_bytes(1, 1, 0, 10));
        for kept in [1, 16, 40, 61, torn.len() - 1] {
            let (file, end) = file_of(&[&whole, &torn[..kept]]);
            let mut scan = BatchScan::new(&*file, 0, end);
            scan.next_batch().expect("good").expect("there");
            assert!(matches!(scan.next_batch(), Err(ScanError::Corrupt { .. })), "{kept} bytes");
        }
    }

    #[test]
    fn a_flipped_bit_is_seen_and_the_next_good_batch_is_found() {
        let mut batches = [batch_bytes(0, 1, 0, 300_000), batch_bytes(1, 1, 0, 50), batch_bytes(2, 3, 0, 300_000)];
        batches[0][400] ^= 1;
        batches[1][10] ^= 0x40;
        let (file, end) = file_of(&[&batches[0], &batches[1], &batches[2]]);
        let first = BatchScan::new(&*file, 0, end).next_batch().expect("a header").expect("there");
        assert!(matches!(check_crc(&*file, &first), Err(ScanError::Corrupt { position: 0, .. })));
        let found = find_valid_batch(&*file, 0, end, 0).expect("read").expect("the third is good");
        assert_eq!(found.position, (batches[0].len() + batches[1].len()) as u64);
        assert!(find_valid_batch(&*file, found.position + 1, end, 0).expect("read").is_none());
        assert!(find_valid_batch(&*file, 0, end, 3).expect("read").is_none());
    }
}
