//! One log, compacted once: a walk over the dirty part finds the latest offset of each key, a walk over everything up to
//! its end writes anew what stays.

use std::{collections::HashMap, io, sync::Arc};

use super::{
    batches::Batches,
    candidate::Candidate,
    filter::{Filter, Left, Standing, payload_of},
    groups::{self, Limits, Sizes},
    offset_map::OffsetMap,
    transactions::{Marker, Transactions},
};
use crate::{
    clock::TimestampMs,
    log::{
        log_config::{Compaction, LogConfig},
        ordered_scan::{OrderedScan, Step},
        partition_log::{FlushError, Leftovers, PartitionLog, ReadError, SwapError},
        producer_state::LastEntry,
        scan::ScanError,
        segment::{SEGMENT_SIZE_MAX, Segment, SegmentError},
        transaction_index::AbortedTransaction,
    },
    protocol::records::{
        batch::{BatchHeader, HEADER_SIZE, RecordBatch},
        record::raw,
    },
};

/// Why a log was not compacted, or not to the end. It is whole: what was done is done, and what was not is as it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum CleanError {
    /// The broker stops, or the partition was deleted.
    #[error("interrupted")]
    Interrupted,
    /// Retention has taken segments meanwhile.
    #[error("the log has changed meanwhile")]
    Changed,
    /// Bytes in it are damaged.
    #[error(transparent)]
    Damaged(SegmentError),
    /// A file could not be read or written. It may be tried again.
    #[error("{0}")]
    Io(io::Error),
    /// There is no room for what is written anew.
    #[error("no room for {bytes} bytes beside the log")]
    NoRoom {
        /// How much might be written.
        bytes: u64,
    },
    /// A single batch has more keys than there is room for.
    #[error("log.cleaner.dedupe.buffer.size: {bytes} bytes a thread are too few for the keys of one batch")]
    MapTooSmall {
        /// Bytes for keys.
        bytes: usize,
    },
    /// The data directory is offline.
    #[error(transparent)]
    Offline(FlushError),
}

impl From<SegmentError> for CleanError {
    fn from(error: SegmentError) -> Self {
        match error.source {
            ScanError::Corrupt { .. } => Self::Damaged(error),
            ScanError::Io { source, .. } => Self::Io(source),
        }
    }
}

impl From<SwapError> for CleanError {
    fn from(error: SwapError) -> Self {
        match error {
            SwapError::Changed => Self::Changed,
            SwapError::Io(error) => Self::Io(error),
            SwapError::Sync(error) => Self::Offline(error),
        }
    }
}

/// What there is to work with.
pub(super) struct Means<'a> {
    /// Bytes for the offsets of keys.
    pub(super) map_bytes: usize,
    /// Which part of that may be filled.
    pub(super) load_factor: f64,
    /// Bytes that are read, and written, at once.
    pub(super) piece_size: usize,
    /// Is told of bytes read and written; waits, or says that it is time to stop.
    pub(super) spend: &'a dyn Fn(usize) -> Result<(), CleanError>,
    /// Whether so many bytes may be written beside the log.
    pub(super) has_room: &'a dyn Fn(u64) -> bool,
    /// Takes files that are to be removed after a while.
    pub(super) leave: &'a dyn Fn(Leftovers),
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Keys in the dirty part.
    pub(super) keys: usize,
    /// Bytes read by either walk.
    pub(super) bytes_read: u64,
    /// Bytes and segments before, of what was written anew,
    pub(super) bytes_before: u64,
    pub(super) segments_before: usize,
    /// and after.
    pub(super) bytes_after: u64,
    pub(super) segments_after: usize,
    /// Batches that could not be taken apart, and stay.
    pub(super) unreadable: u64,
}

/// A log that is being compacted.
pub(super) struct Cleaning<'a> {
    log: &'a PartitionLog,
    config: LogConfig,
    compaction: Compaction,
    candidate: &'a Candidate,
    segments: &'a [Arc<Segment>],
    means: &'a Means<'a>,
    now: TimestampMs,
    tally: Tally,
}

/// The latest offsets of the keys in the dirty part.
struct Mapped {
    map: OffsetMap,
    /// Up to where, this included, it knows them.
    to: i64,
}

impl<'a> Cleaning<'a> {
    /// Of the log's `segments`, those that the candidate is about.
    pub(super) fn new(
        log: &'a PartitionLog,
        (config, compaction): (LogConfig, Compaction),
        segments: &'a [Arc<Segment>],
        candidate: &'a Candidate,
        means: &'a Means<'a>,
        now: TimestampMs,
    ) -> Self {
        Self { log, config, compaction, candidate, segments, means, now, tally: Tally::default() }
    }

    /// Does it. Returns up to where the log is compacted.
    pub(super) fn run(mut self) -> Result<(i64, Tally), CleanError> {
        let mapped = self.map_keys()?;
        if mapped.to < self.candidate.dirty.start {
            return Err(CleanError::MapTooSmall { bytes: self.means.map_bytes });
        }
        self.tally.keys = mapped.map.len();
        let wanted = self.segments.partition_point(|segment| segment.base_offset() <= mapped.to);
        let segments = &self.segments[..wanted];
        let sizes = segments.iter().map(sizes).collect::<Result<Vec<_>, _>>()?;
        let limits =
            Limits { log: self.config.segment_bytes.min(SEGMENT_SIZE_MAX), index: self.config.segment_index_bytes };
        let mut transactions = Transactions::default();
        for group in groups::group(&sizes, self.candidate.dirty.end, limits) {
            let end = self.segments.get(group.end).map_or(self.candidate.dirty.end, |next| next.base_offset());
            self.rewrite(&segments[group], end, &mapped, &mut transactions)?;
        }
        Ok((mapped.to + 1, self.tally))
    }

    fn spend(&mut self, bytes: usize) -> Result<(), CleanError> {
        self.tally.bytes_read += bytes as u64;
        (self.means.spend)(bytes)
    }

    /// The aborted transactions that have records in a range.
    fn aborted(&self, from: i64, to: i64) -> Result<Vec<AbortedTransaction>, CleanError> {
        self.log.aborted_transactions(from, to).map_err(|error| match error {
            ReadError::Deleted => CleanError::Interrupted,
            ReadError::Io { source, .. } => CleanError::Io(source),
            other => CleanError::Io(io::Error::other(other)),
        })
    }
}

fn sizes(segment: &Arc<Segment>) -> Result<Sizes, SegmentError> {
    let log = segment.size();
    let (offset_index, time_index) = if log == 0 { (0, 0) } else { segment.index_sizes()? };
    Ok(Sizes { base_offset: segment.base_offset(), log, offset_index, time_index })
}

/// The first walk.
impl Cleaning<'_> {
    fn map_keys(&mut self) -> Result<Mapped, CleanError> {
        let dirty = self.candidate.dirty.clone();
        let first = self.segments.partition_point(|segment| segment.base_offset() <= dirty.start).saturating_sub(1);
        let (clean, segments) = self.segments.split_at(first);
        clean
            .iter()
            .filter(|segment| !segment.is_in_order())
            .try_for_each(|segment| self.examine(segment).map(drop))?;
        let mut records = 0;
        for segment in segments {
            records += self.examine(segment)?;
        }
        let map = OffsetMap::new(self.means.map_bytes, self.means.load_factor, records);
        let mut mapped = Mapped { map, to: dirty.start - 1 };
        let mut transactions = Transactions::default();
        transactions.expect(&self.aborted(dirty.start, dirty.end)?);
        for (at, segment) in segments.iter().enumerate() {
            if !self.map_segment(segment, &mut mapped, &mut transactions)? {
                return Ok(mapped);
            }
            // Offsets that are missing at its end are no one's.
            mapped.to = segments.get(at + 1).map_or(dirty.end, |next| next.base_offset()) - 1;
        }
        Ok(mapped)
    }

    /// How many records there are in a segment at most, by the batches' headers. What lies outside their CRCs is held against
    /// the neighbours: nobody could tell any more when it has been written anew.
    fn examine(&self, segment: &Segment) -> Result<u64, CleanError> {
        let file = segment.log().get().map_err(CleanError::Io)?;
        let epoch_of = |offset| self.log.epoch_of(offset);
        let (size, around) = (segment.size(), segment.surroundings(&epoch_of));
        let mut scan = OrderedScan::new(&*file, 0, size, segment.base_offset(), around);
        let mut records = 0;
        while let Some(step) = scan.next_step().map_err(|source| segment.error(source))? {
            match step {
                Step::Batch(batch) => records += u64::try_from(batch.header.record_count).unwrap_or(0),
                Step::Damage(damage) => return Err(segment.error(damage.error()).into()),
            }
            (self.means.spend)(HEADER_SIZE)?;
        }
        segment.set_in_order();
        Ok(records)
    }

    /// Whether all of it has found room.
    fn map_segment(
        &mut self,
        segment: &Segment,
        mapped: &mut Mapped,
        transactions: &mut Transactions,
    ) -> Result<bool, CleanError> {
        if segment.size() == 0 {
            return Ok(true);
        }
        let from = self.candidate.dirty.start;
        let position = segment.indexed_position(from)?;
        let mut batches = Batches::new(segment, position, self.means.piece_size)?;
        while let Some(batch) = batches.next()? {
            self.spend(batch.bytes().len())?;
            let header = *batch.header();
            let is_about_keys = if header.is_control() {
                transactions.control(&batch);
                false
            } else {
                !transactions.is_aborted(&header)
            };
            if is_about_keys && !map_batch(&batch, from, &mut mapped.map, self.compaction.decompressed_bytes_max) {
                return Ok(false);
            }
            mapped.to = mapped.to.max(header.last_offset());
        }
        Ok(true)
    }
}

/// Whether there was room for all keys of a batch. One that cannot be taken apart stays whole, and what its keys had before
/// does too.
fn map_batch(batch: &RecordBatch, from: i64, map: &mut OffsetMap, limit: usize) -> bool {
    let Some(payload) = payload_of(batch, limit) else { return true };
    let base_offset = batch.header().base_offset;
    raw(&payload).map_while(Result::ok).all(|record| {
        let offset = base_offset.saturating_add(i64::from(record.offset_delta));
        let Some(key) = record.key.filter(|_| offset >= from) else { return true };
        map.put(key, offset)
    })
}

/// The second walk.
impl Cleaning<'_> {
    /// Writes segments, of which the last ends at `end`, into one, and puts that in their place.
    fn rewrite(
        &mut self,
        old: &[Arc<Segment>],
        end: i64,
        mapped: &Mapped,
        transactions: &mut Transactions,
    ) -> Result<(), CleanError> {
        let Some(first) = old.first() else { return Ok(()) };
        let bytes_before: u64 = old.iter().map(|segment| segment.size()).sum();
        if !(self.means.has_room)(bytes_before) {
            return Err(CleanError::NoRoom { bytes: bytes_before });
        }
        let cleaned = self.log.create_cleaned(first.base_offset(), &self.config).map_err(CleanError::Io)?;
        let written = self.write_all(old, end, &cleaned, mapped, transactions);
        cleaned.set_closed(end);
        let finished = written.and_then(|()| Ok(self.finish(old, &cleaned)?));
        if let Err(error) = finished {
            self.log.remove_cleaned(&cleaned);
            return Err(error);
        }
        let bytes_after = cleaned.size();
        let leftovers = self.log.replace(old, cleaned)?;
        (self.means.leave)(leftovers);
        self.tally.segments_before += old.len();
        self.tally.bytes_before += bytes_before;
        self.tally.segments_after += 1;
        self.tally.bytes_after += bytes_after;
        Ok(())
    }

    /// Makes it durable. It is as old as the newest of what it replaces.
    fn finish(&self, old: &[Arc<Segment>], cleaned: &Segment) -> Result<(), SwapError> {
        if let Some(last) = old.last() {
            cleaned.log().get()?.set_modified_ms(last.modified_ms()?)?;
        }
        self.log.sync_cleaned(cleaned)
    }

    fn write_all(
        &mut self,
        old: &[Arc<Segment>],
        end: i64,
        cleaned: &Segment,
        mapped: &Mapped,
        transactions: &mut Transactions,
    ) -> Result<(), CleanError> {
        let producers = self.log.last_entries_of_producers();
        let filter = Filter {
            map: &mapped.map,
            mapped_to: mapped.to,
            now: self.now,
            delete_retention_ms: self.compaction.delete_retention_ms,
            decompressed_bytes_max: self.compaction.decompressed_bytes_max,
        };
        let to_come = old.iter().map(|segment| segment.size()).sum();
        let mut out = Out { segment: cleaned, headers: Vec::new(), bytes: Vec::new(), to_come };
        for (at, segment) in old.iter().enumerate() {
            let segment_end = old.get(at + 1).map_or(end, |next| next.base_offset());
            transactions.expect(&self.aborted(segment.base_offset(), segment_end)?);
            if segment.size() == 0 {
                continue;
            }
            let mut batches = Batches::new(segment, 0, self.means.piece_size)?;
            while let Some(batch) = batches.next()? {
                self.spend(batch.bytes().len())?;
                out.to_come -= batch.bytes().len() as u64;
                let standing = self.standing(&batch, cleaned, &producers, transactions)?;
                match filter.apply(&batch, standing) {
                    Left::Nothing => {}
                    Left::Part(part) if out.has_room_for(&part) => out.push(&part),
                    Left::Whole | Left::Part(_) => out.push(&batch),
                    Left::Unreadable => {
                        self.tally.unreadable += 1;
                        out.push(&batch);
                    }
                }
                if out.bytes.len() >= self.means.piece_size {
                    (self.means.spend)(out.bytes.len())?;
                    out.write()?;
                }
            }
        }
        (self.means.spend)(out.bytes.len())?;
        Ok(out.write()?)
    }

    fn standing(
        &self,
        batch: &RecordBatch,
        cleaned: &Segment,
        producers: &HashMap<i64, LastEntry>,
        transactions: &mut Transactions,
    ) -> Result<Standing, CleanError> {
        let header = batch.header();
        let is_superfluous = if header.is_control() {
            match transactions.control(batch) {
                Marker::Needed => false,
                Marker::Superfluous => true,
                Marker::Aborts(aborted) => {
                    cleaned.aborted().append(&aborted).map_err(CleanError::Io)?;
                    false
                }
            }
        } else {
            transactions.is_aborted(header)
        };
        let is_last_of_producer =
            header.has_producer_id() && producers.get(&header.producer_id).is_some_and(|last| last.is(header));
        // The end of what is compacted is still where it was.
        let is_last = header.last_offset().saturating_add(1) == self.candidate.dirty.end;
        Ok(Standing { is_superfluous, stays_empty: is_last_of_producer || is_last })
    }
}

/// Batches on their way into a segment.
struct Out<'a> {
    segment: &'a Segment,
    headers: Vec<BatchHeader>,
    bytes: Vec<u8>,
    /// Bytes that are still to be read.
    to_come: u64,
}

impl Out<'_> {
    /// A batch may be larger than before, with other timestamps or compressed anew. It stays as it was where there would be
    /// no room for what comes after it.
    fn has_room_for(&self, batch: &RecordBatch) -> bool {
        let so_far = self.segment.size() + (self.bytes.len() + batch.bytes().len()) as u64;
        so_far + self.to_come <= SEGMENT_SIZE_MAX
    }

    fn push(&mut self, batch: &RecordBatch) {
        self.headers.push(*batch.header());
        self.bytes.extend_from_slice(batch.bytes());
    }

    fn write(&mut self) -> Result<(), SegmentError> {
        if !self.headers.is_empty() {
            self.segment.append_all(&self.headers, &self.bytes)?;
            self.headers.clear();
            self.bytes.clear();
        }
        Ok(())
    }
}
