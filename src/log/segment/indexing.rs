//! The life of a segment's indexes: opened and held against the log, completed, rebuilt, cut.

use std::{io, sync::Arc};

use super::{Indexes, Recent, Segment, SegmentError, Tail};
use crate::log::{
    files::{FileKind, PooledFile},
    offset_index::{OffsetIndex, OffsetPosition},
    ordered_scan::{NO_EPOCHS, OrderedScan, Step},
    scan::{BatchAt, BatchScan, ScanError},
    sync::lock,
    time_index::{TimeIndex, TimestampOffset},
};

impl Segment {
    /// The indexes. At first use they are opened, checked against the log, and completed or rebuilt.
    pub fn indexes(&self) -> Result<Arc<Indexes>, SegmentError> {
        let mut slot = lock(&self.indexes);
        if let Some(indexes) = &*slot {
            return Ok(Arc::clone(indexes));
        }
        if self.is_retired() {
            return Err(self.io_error(io::ErrorKind::NotFound.into()));
        }
        let (indexes, _) = self.open_indexes()?;
        let indexes = Arc::new(indexes);
        *slot = Some(Arc::clone(&indexes));
        Ok(indexes)
    }

    /// Opens the indexes and tells where the good batches end, which a walk from the last index entry finds out.
    pub fn open_tail(&self) -> Result<Tail, SegmentError> {
        let mut tail = Tail { position: 0, next_offset: self.base_offset };
        if self.size() > 0 {
            let (indexes, found) = self.open_indexes()?;
            *lock(&self.indexes) = Some(Arc::new(indexes));
            tail = found;
        }
        lock(&self.state).next_offset = tail.next_offset;
        Ok(tail)
    }

    /// Whether it has a batch that ends at `offset` or later.
    pub fn reaches(&self, offset: i64) -> Result<bool, SegmentError> {
        if self.size() == 0 {
            return Ok(false);
        }
        let last = self.open_sane_indexes()?.ok().and_then(|(_, last)| last);
        let file = self.open_log()?;
        let mut scan = BatchScan::new(&*file, last.map_or(0, |batch| batch.position), self.size());
        match scan.find(|header| header.last_offset() >= offset) {
            Ok(found) => Ok(found.is_some()),
            Err(ScanError::Corrupt { .. }) => Ok(false),
            Err(e) => Err(self.error(e)),
        }
    }

    /// Replaces the indexes by empty ones.
    fn reset_indexes(&self) -> Result<Arc<Indexes>, SegmentError> {
        let indexes = Arc::new(self.create_indexes().map_err(|e| self.io_error(e))?);
        *lock(&self.indexes) = Some(Arc::clone(&indexes));
        let mut state = lock(&self.state);
        state.max_timestamp = None;
        state.bytes_since_index_entry = 0;
        Ok(indexes)
    }

    /// Forgets the index entries for `offset` and later. Returns the last batch that is still indexed.
    pub fn rewind_indexes(&self, offset: i64) -> Result<(Arc<Indexes>, Option<BatchAt>), SegmentError> {
        if offset <= self.base_offset || self.size() == 0 {
            return Ok((self.reset_indexes()?, None));
        }
        // Not completed first: a time index that a crash left longer than the other one would tell of what is to come.
        let Ok((indexes, _)) = self.open_sane_indexes()? else { return Ok((self.reset_indexes()?, None)) };
        let truncated = indexes.offset.truncate_to(offset).and_then(|()| indexes.time.truncate_to(offset));
        truncated.map_err(|e| self.io_error(e))?;
        let (last, max_timestamp) = (indexes.offset.last(), indexes.time.last());
        let batch = match last {
            None => None,
            Some(entry) => self.batch_of(entry, self.size())?,
        };
        let is_true = batch.is_some() || last.is_none();
        if !is_true || !max_timestamp.map_or(Ok(false), |entry| self.has_timestamp(&indexes, entry, self.size()))? {
            return Ok((self.reset_indexes()?, None));
        }
        let indexes = Arc::new(indexes);
        *lock(&self.indexes) = Some(Arc::clone(&indexes));
        let mut state = lock(&self.state);
        state.max_timestamp = max_timestamp;
        state.bytes_since_index_entry = 0;
        Ok((indexes, batch))
    }

    /// Makes both anew from the log.
    pub(super) fn rebuild_indexes(&self, reason: &str) -> Result<(), SegmentError> {
        tracing::warn!(segment = %self.log.path().display(), reason, "rebuilding the indexes");
        let indexes = self.indexes()?;
        let _one_at_a_time = lock(&self.indexing);
        indexes.offset.clear().and_then(|()| indexes.time.clear()).map_err(|e| self.io_error(e))?;
        self.complete(&indexes, None)?;
        let max_timestamp = lock(&self.state).max_timestamp;
        indexes.write_with(max_timestamp).map_err(|e| self.io_error(e))
    }

    /// Tells the segment which offset follows its last batch.
    pub fn set_next_offset(&self, offset: i64) {
        lock(&self.state).next_offset = offset;
    }

    /// Tells the segment which offset should turn out to follow its last batch.
    pub(in crate::log) fn set_expected_end(&self, offset: i64) {
        lock(&self.state).expected_end = Some(offset);
    }

    /// Cuts the log at `position`, where the batch with `next_offset` would begin, and the indexes with it.
    pub fn cut(&self, tail: Tail) -> Result<(), SegmentError> {
        let indexes = self.indexes()?;
        let cut = self
            .log
            .set_len(tail.position)
            .and_then(|()| indexes.offset.truncate_to(tail.next_offset))
            .and_then(|()| indexes.time.truncate_to(tail.next_offset));
        cut.map_err(|e| self.io_error(e))?;
        let mut state = lock(&self.state);
        state.size = tail.position;
        state.next_offset = tail.next_offset;
        state.recent = Recent::default();
        state.flushed = None;
        state.appended_from = state.appended_from.min(tail.position);
        state.in_order = 0..0;
        Ok(())
    }

    /// Adds a batch that stands in the log to the indexes, as an append would have.
    pub fn index_recovered(&self, indexes: &Indexes, batch: &BatchAt) {
        let mut state = lock(&self.state);
        state.see_timestamp(&batch.header);
        if state.bytes_since_index_entry > self.index_interval_bytes {
            state.bytes_since_index_entry = 0;
            let entry = OffsetPosition { offset: batch.header.last_offset(), position: batch.position };
            indexes.add(entry, state.max_timestamp);
        }
        state.bytes_since_index_entry += batch.header.size() as u64;
    }

    pub(super) fn opened_indexes(&self) -> Option<Arc<Indexes>> {
        lock(&self.indexes).clone()
    }

    pub(super) fn create_indexes(&self) -> io::Result<Indexes> {
        Ok(Indexes {
            offset: OffsetIndex::create(self.file(FileKind::OffsetIndex), self.base_offset)?,
            time: TimeIndex::create(self.file(FileKind::TimeIndex), self.base_offset)?,
        })
    }

    fn file(&self, kind: FileKind) -> PooledFile {
        let file = PooledFile::new(Arc::clone(&self.pool), Arc::clone(&self.dir), self.base_offset, kind);
        file.at_stage(self.stage())
    }

    fn open_indexes(&self) -> Result<(Indexes, Tail), SegmentError> {
        let (indexes, last) = match self.open_sane_indexes()? {
            Ok(opened) => opened,
            Err(reason) => {
                tracing::warn!(segment = %self.log.path().display(), reason, "rebuilding the indexes");
                (self.create_indexes().map_err(|e| self.io_error(e))?, None)
            }
        };
        let tail = self.complete(&indexes, last)?;
        let max_timestamp = lock(&self.state).max_timestamp;
        indexes.write_with(max_timestamp).map_err(|e| self.io_error(e))?;
        Ok((indexes, tail))
    }

    /// Opens the indexes and holds them against the log where that is cheap. The inner error says why they have to be
    /// rebuilt.
    fn open_sane_indexes(&self) -> Result<Result<(Indexes, Option<BatchAt>), &'static str>, SegmentError> {
        let opened = OffsetIndex::open(self.file(FileKind::OffsetIndex), self.base_offset).and_then(|offset| {
            let time = TimeIndex::open(self.file(FileKind::TimeIndex), self.base_offset)?;
            Ok(Indexes { offset, time })
        });
        let indexes = match opened {
            Ok(indexes) => indexes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Err("an index is missing")),
            Err(e) => return Err(self.io_error(e)),
        };
        let size = self.size();
        let (last, last_time) = (indexes.offset.last(), indexes.time.last());
        if size > 0 && last_time.is_none() {
            return Ok(Err("the time index is empty"));
        }
        if last_time.is_some_and(|entry| entry.offset < self.base_offset) {
            return Ok(Err("the time index ends before the segment's base offset"));
        }
        let last = match last {
            None => None,
            Some(entry) => match self.batch_of(entry, size)? {
                Some(batch) => Some(batch),
                None => return Ok(Err("the offset index disagrees with the log")),
            },
        };
        // What it says decides when the segment is too old.
        if let Some(entry) = last_time
            && !self.has_timestamp(&indexes, entry, size)?
        {
            return Ok(Err("the time index disagrees with the log"));
        }
        Ok(Ok((indexes, last)))
    }

    /// The batch that an entry of the offset index speaks of: it ends with the entry's offset, or stands before others that
    /// do, for Kafka writes one entry for several batches that it appends together.
    pub(super) fn batch_of(&self, entry: OffsetPosition, size: u64) -> Result<Option<BatchAt>, SegmentError> {
        let file = self.open_log()?;
        let first = match BatchScan::new(&*file, entry.position, size).next_batch() {
            Ok(Some(first)) => first,
            Ok(None) | Err(ScanError::Corrupt { .. }) => return Ok(None),
            Err(e) => return Err(self.error(e)),
        };
        if first.header.last_offset() == entry.offset {
            return Ok(Some(first));
        }
        let around = self.surroundings(NO_EPOCHS);
        let mut scan = OrderedScan::new(&*file, entry.position, size, first.header.base_offset, around);
        while let Some(Step::Batch(batch)) = scan.next_step().map_err(|e| self.error(e))? {
            if batch.header.last_offset() >= entry.offset {
                return Ok((batch.header.last_offset() == entry.offset).then_some(first));
            }
        }
        Ok(None)
    }

    /// Whether the batch that an entry of the time index speaks of has its timestamp.
    pub(super) fn has_timestamp(
        &self,
        indexes: &Indexes,
        entry: TimestampOffset,
        size: u64,
    ) -> Result<bool, SegmentError> {
        let at = indexes.offset.lookup(entry.offset).map_err(|e| self.io_error(e))?;
        let position = match at {
            None => 0,
            Some(at) if at.offset <= entry.offset && self.batch_of(at, size)?.is_some() => at.position,
            Some(_) => return Ok(false),
        };
        let file = self.open_log()?;
        let mut scan = BatchScan::new(&*file, position, size);
        match scan.find(|header| header.last_offset() >= entry.offset) {
            Ok(found) => Ok(found.is_some_and(|batch| {
                batch.header.base_offset <= entry.offset && batch.header.max_timestamp == entry.timestamp
            })),
            Err(ScanError::Corrupt { .. }) => Ok(false),
            Err(e) => Err(self.error(e)),
        }
    }

    /// Walks from the last index entry to the end, adds the entries that are missing, and learns the greatest
    /// timestamp. Passes over damage; what is behind the last good batch is not part of the tail.
    fn complete(&self, indexes: &Indexes, last: Option<BatchAt>) -> Result<Tail, SegmentError> {
        let last_time = indexes.time.last();
        let size = {
            let mut state = lock(&self.state);
            state.max_timestamp = last_time;
            state.bytes_since_index_entry = 0;
            state.size
        };
        let (position, expected) =
            last.map_or((0, self.base_offset), |batch| (batch.position, batch.header.base_offset));
        let mut tail = Tail { position, next_offset: expected };
        let file = self.open_log()?;
        let mut scan = OrderedScan::new(&*file, position, size, expected, self.surroundings(NO_EPOCHS));
        while let Some(step) = scan.next_step().map_err(|e| self.error(e))? {
            if let Step::Batch(batch) = step {
                self.index_recovered(indexes, &batch);
                tail = Tail { position: batch.end(), next_offset: batch.header.last_offset() + 1 };
            }
        }
        Ok(tail)
    }
}
