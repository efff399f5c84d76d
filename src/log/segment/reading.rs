//! How a batch is found in a segment, by offset and by time, and what of it may be sent.

use std::sync::Arc;

use super::{Extent, FoundRecord, RecordTimes, Segment, SegmentError, SegmentSlice, Unreadable};
use crate::{
    clock::TimestampMs,
    log::{
        disk::DiskFile,
        ordered_scan::{EpochOf, NO_EPOCHS, OrderedScan, Step, Surroundings},
        scan::{BatchAt, ScanError, check_crc, read_batch},
        sync::lock,
        time_index::TimestampOffset,
    },
    protocol::{file_range::FileRange, records::batch::BatchHeader},
};

impl Segment {
    /// From the batch that has `offset`, or the next one if it was compacted away, to `max_bytes` or to `up_to`, which
    /// is where a batch begins. With `whole_first` the first batch is whole even if it is larger than `max_bytes`.
    /// `None` if there is nothing in this segment.
    pub fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        whole_first: bool,
        up_to: i64,
        epoch_of: EpochOf<'_>,
    ) -> Result<Option<SegmentSlice>, SegmentError> {
        let Some((first, end)) = self.locate(offset, up_to, epoch_of)? else { return Ok(None) };
        let first_batch_size = usize::try_from(first.end - first.position).unwrap_or(usize::MAX);
        let wanted = if whole_first { max_bytes.max(first_batch_size) } else { max_bytes };
        let available = usize::try_from(end.saturating_sub(first.position)).unwrap_or(usize::MAX);
        let length = self.in_order(first, wanted.min(available), epoch_of)?;
        if length == 0 {
            return Ok(None);
        }
        let source: Arc<dyn DiskFile> = self.open_log()?;
        let records = FileRange { source, position: first.position, length };
        Ok(Some(SegmentSlice { records, first_batch_size }))
    }

    /// Whether the batch with `offset` is among the latest appends, whose positions are in memory.
    #[must_use]
    pub fn is_recent(&self, offset: i64) -> bool {
        let state = lock(&self.state);
        state.recent.extent_of(offset, state.size).is_some()
    }

    /// Where the batch with `offset` stands, and where the bytes end that precede `up_to`.
    fn locate(&self, offset: i64, up_to: i64, epoch_of: EpochOf<'_>) -> Result<Option<(Extent, u64)>, SegmentError> {
        let (size, first, end) = {
            let state = lock(&self.state);
            let end = match state.flushed {
                _ if up_to >= state.next_offset => Some(state.size),
                Some((flushed, position)) if up_to == flushed => Some(position),
                _ => state.recent.end_before(up_to, state.size),
            };
            (state.size, state.recent.extent_of(offset, state.size), end)
        };
        let first = match first {
            Some(first) => first,
            None => match self.search(offset, size, epoch_of)? {
                Some(batch) => {
                    let BatchHeader { base_offset, partition_leader_epoch, .. } = batch.header;
                    let leader_epoch = Some(partition_leader_epoch);
                    Extent { position: batch.position, end: batch.end(), base_offset, leader_epoch }
                }
                None => return Ok(None),
            },
        };
        let end = match end {
            Some(end) => end,
            None => match self.search(up_to, size, epoch_of) {
                Ok(batch) => batch.map_or(size, |batch| batch.position),
                // What stands in front of it can be read.
                Err(SegmentError { source: ScanError::Corrupt { position, .. }, .. }) => position,
                Err(error) => return Err(error),
            },
        };
        Ok(Some((first, end)))
    }

    /// The first batch that ends at `offset` or later, by index and headers. An error if that is damaged.
    fn search(&self, offset: i64, size: u64, epoch_of: EpochOf<'_>) -> Result<Option<BatchAt>, SegmentError> {
        // From one that comes before, so that what is found has been held against it.
        let (position, expected) = self.begin_search(offset.saturating_sub(1))?;
        let file = self.open_log()?;
        let mut scan = OrderedScan::new(&*file, position, size, expected, self.surroundings(epoch_of));
        loop {
            match scan.next_step().map_err(|e| self.error(e))? {
                None => return Ok(None),
                Some(Step::Batch(batch)) if batch.header.last_offset() >= offset => return Ok(Some(batch)),
                Some(Step::Damage(damage)) if damage.has(offset) => return Err(self.error(damage.error())),
                Some(_) => {}
            }
        }
    }

    /// How many of the `length` bytes from a batch on have their batches in order. What this process wrote has.
    fn in_order(&self, first: Extent, length: usize, epoch_of: EpochOf<'_>) -> Result<usize, SegmentError> {
        let (size, known, to) = {
            let state = lock(&self.state);
            let to = (first.position + length as u64).min(state.appended_from);
            (state.size, state.in_order.clone(), to)
        };
        if to <= first.position || (known.contains(&first.position) && to <= known.end) {
            return Ok(length);
        }
        let file = self.open_log()?;
        let around = self.surroundings(epoch_of);
        let scan = OrderedScan::new(&*file, first.position, size, first.base_offset, around);
        let mut scan = scan.from_epoch(first.leader_epoch);
        let mut end = first.position;
        let mut damage = None;
        while end < to {
            match scan.next_step().map_err(|e| self.error(e))? {
                None => break,
                Some(Step::Batch(batch)) => end = batch.end(),
                Some(Step::Damage(found)) => {
                    damage = Some(found);
                    break;
                }
            }
        }
        let mut state = lock(&self.state);
        let touches = first.position <= state.in_order.end && end >= state.in_order.start;
        let before = if touches { state.in_order.clone() } else { end..end };
        state.in_order = first.position.min(before.start)..end.max(before.end);
        match damage {
            None => Ok(length),
            Some(damage) if end == first.position => Err(self.error(damage.error())),
            Some(_) => Ok(length.min(usize::try_from(end - first.position).unwrap_or(usize::MAX))),
        }
    }

    /// Whether all its batches are known to be in order.
    pub(in crate::log) fn is_in_order(&self) -> bool {
        let state = lock(&self.state);
        state.appended_from == 0 || state.in_order == (0..state.size)
    }

    /// Notes that its batches, to which none is added any more, are in order.
    pub(in crate::log) fn set_in_order(&self) {
        let mut state = lock(&self.state);
        state.in_order = 0..state.size;
    }

    /// What is known of it, for a walk through its log.
    pub(in crate::log) fn surroundings<'a>(&self, epoch_of: EpochOf<'a>) -> Surroundings<'a> {
        let state = lock(&self.state);
        let next_offset = Some(state.next_offset).filter(|next_offset| *next_offset < i64::MAX);
        Surroundings {
            base_offset: self.base_offset,
            limit: state.next_offset,
            next_offset: next_offset.or(state.expected_end),
            epoch_of,
        }
    }

    /// A walk through `file`, its log, that meets all batches from `offset` on, and may begin before.
    pub(in crate::log) fn walk<'a>(
        &self,
        file: &'a dyn DiskFile,
        offset: i64,
    ) -> Result<OrderedScan<'a>, SegmentError> {
        let (position, expected) = self.begin_search(offset)?;
        Ok(OrderedScan::new(file, position, self.size(), expected, self.surroundings(NO_EPOCHS)))
    }

    /// Where to begin to look for the batch with `offset`.
    pub(in crate::log) fn indexed_position(&self, offset: i64) -> Result<u64, SegmentError> {
        Ok(self.begin_search(offset)?.0)
    }

    /// Where to begin to look for the batch with `offset`, and the base offset of the batch that stands there. An index that
    /// turns out to be wrong is rebuilt.
    fn begin_search(&self, offset: i64) -> Result<(u64, i64), SegmentError> {
        for is_rebuilt in [false, true] {
            let entry = self.indexes()?.offset.lookup(offset).map_err(|e| self.io_error(e))?;
            let Some(entry) = entry else { break };
            if entry.offset <= offset
                && let Some(batch) = self.batch_of(entry, self.size())?
            {
                return Ok((entry.position, batch.header.base_offset));
            }
            if !is_rebuilt {
                self.rebuild_indexes("an entry of the offset index disagrees with the log")?;
            }
        }
        Ok((0, self.base_offset))
    }

    /// The last entry of the time index that is not later than `timestamp`. An index that turns out to be wrong is rebuilt.
    fn time_entry(&self, timestamp: TimestampMs) -> Result<Option<TimestampOffset>, SegmentError> {
        for is_rebuilt in [false, true] {
            let entry = self.indexes()?.time.lookup(timestamp).map_err(|e| self.io_error(e))?;
            let Some(entry) = entry else { break };
            if entry.timestamp <= timestamp && self.has_timestamp(&*self.indexes()?, entry, self.size())? {
                return Ok(Some(entry));
            }
            if !is_rebuilt {
                self.rebuild_indexes("an entry of the time index disagrees with the log")?;
            }
        }
        Ok(None)
    }

    /// The greatest timestamp in the segment and the last offset of the first batch that has it. `None` where no batch
    /// has a timestamp.
    pub fn max_timestamp(&self) -> Result<Option<TimestampOffset>, SegmentError> {
        if self.size() > 0 {
            self.indexes()?;
        }
        Ok(lock(&self.state).max_timestamp)
    }

    /// The first record from `start` on, and below `up_to`, whose timestamp is at least `timestamp`.
    pub fn find_by_timestamp(
        &self,
        timestamp: TimestampMs,
        start: i64,
        up_to: i64,
        epoch_of: EpochOf<'_>,
        times: RecordTimes<'_>,
    ) -> Result<Option<FoundRecord>, SegmentError> {
        let entry = self.time_entry(timestamp)?;
        // An entry with the very timestamp stands for the first batch that has it.
        let from = entry.map_or(start, |entry| entry.offset.max(start));
        let (position, expected) = self.begin_search(from)?;
        let file = self.open_log()?;
        let mut scan = OrderedScan::new(&*file, position, self.size(), expected, self.surroundings(epoch_of));
        loop {
            let batch = match scan.next_step().map_err(|e| self.error(e))? {
                Some(Step::Batch(batch)) if batch.header.base_offset < up_to => batch,
                // What is damaged cannot be read either.
                Some(Step::Damage(_)) => continue,
                _ => return Ok(None),
            };
            if batch.header.max_timestamp < timestamp || batch.header.last_offset() < start {
                continue;
            }
            match check_crc(&*file, &batch) {
                Err(ScanError::Corrupt { .. }) => continue,
                checked => checked.map_err(|e| self.error(e))?,
            }
            if let Some(found) = self.find_in_batch(&*file, &batch, timestamp, start, times)? {
                return Ok(Some(found));
            }
        }
    }

    fn find_in_batch(
        &self,
        file: &dyn DiskFile,
        batch: &BatchAt,
        timestamp: TimestampMs,
        start: i64,
        times: RecordTimes<'_>,
    ) -> Result<Option<FoundRecord>, SegmentError> {
        let header = &batch.header;
        let found = |timestamp, offset| FoundRecord { timestamp, offset, leader_epoch: header.partition_leader_epoch };
        let by_header = found(header.max_timestamp, header.base_offset.max(start));
        if header.is_log_append_time() {
            return Ok(Some(by_header));
        }
        let whole = read_batch(file, batch).map_err(|e| self.error(e))?;
        Ok(match times(&whole, &|offset, time| time >= timestamp && offset >= start) {
            Ok(record) => record.map(|(offset, time)| found(time, offset)),
            Err(Unreadable) => Some(by_header),
        })
    }
}
