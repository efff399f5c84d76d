//! A log's producers: what an append asks of them and tells them, and their snapshots.

use std::{io, path::PathBuf, sync::atomic::Ordering};

use super::{AppendBatch, AppendError, AppendOrigin, Appended, PartitionLog, ReadError, Writer};
use crate::{
    clock::TimestampMs,
    log::{
        disk::{OpenMode, read_file},
        ordered_scan::Step,
        producer_state::{Confirmation, EndMarker, ProducerError, ProducerStates, Verdict, WantedBatches, snapshot},
        scan::{BatchScan, ScanError, check_crc, read_batch},
        segment::{Segment, SegmentError},
        sync::lock,
        transaction_index::AbortedTransaction,
    },
    protocol::records::batch::BatchHeader,
};

/// Bytes of a log that are looked through at most for earlier batches of a producer,
const SEARCH_BYTES: u64 = 16 << 20;
/// in so many segments.
const SEARCH_SEGMENTS: usize = 2;
/// How many offsets the search goes back at first,
const SEARCH_OFFSETS: i64 = 1024;
/// and how many times as many the next time.
const SEARCH_GROWTH: u64 = 8;

/// How long a snapshot is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// As long as the segment that begins where it was taken.
    WithSegment,
    /// Until the next one is on disk.
    UntilNext,
}

/// The snapshots that a writer has written.
#[derive(Debug)]
pub(super) struct SnapshotFiles {
    /// Offset of the newest.
    last: Option<i64>,
    /// Written and not synced.
    unsynced: Vec<PathBuf>,
    /// To be removed once the recovery point of a newer one is written down.
    superseded: Vec<PathBuf>,
    /// The newest is superseded by the next.
    replaceable: Option<PathBuf>,
}

impl SnapshotFiles {
    pub(super) fn new(last: Option<i64>) -> Self {
        Self { last, unsynced: Vec::new(), superseded: Vec::new(), replaceable: None }
    }

    /// Whether the newest is the one as of `offset`.
    pub(super) fn is_last(&self, offset: i64) -> bool {
        self.last == Some(offset)
    }

    /// What a flush has to sync.
    pub(super) fn take_unsynced(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.unsynced)
    }
}

/// The aborted transactions that ended in a segment which these producers begin, and its end. With `is_checked` the CRC of
/// each batch that counts is computed, and damage is an error.
fn aborted_in(
    segment: &Segment,
    mut states: ProducerStates,
    is_checked: bool,
) -> io::Result<(Vec<AbortedTransaction>, i64)> {
    let mut found = Vec::new();
    let mut end = segment.base_offset();
    let file = segment.log().get()?;
    let mut scan = segment.walk(&*file, segment.base_offset()).map_err(io::Error::other)?;
    while let Some(step) = scan.next_step().map_err(io::Error::other)? {
        let batch = match step {
            Step::Batch(batch) => batch,
            Step::Damage(damage) if is_checked => return Err(io::Error::other(damage.error())),
            Step::Damage(_) => continue,
        };
        end = batch.header.last_offset() + 1;
        if is_checked {
            check_crc(&*file, &batch).map_err(io::Error::other)?;
        }
        let marker = || EndMarker::in_batch(&read_batch(&*file, &batch).ok()?);
        let ended = states.replay(&batch.header, marker);
        found.extend(ended.as_ref().and_then(AbortedTransaction::of));
    }
    Ok((found, end))
}

impl PartitionLog {
    /// Where the batch is, if its producer has sent it before; an error if another one should have come first.
    pub(super) fn check_producer(
        &self,
        batch: &AppendBatch,
        confirmation: Confirmation,
    ) -> Result<Option<Appended>, AppendError> {
        let header = &batch.header;
        if !header.has_producer_id() {
            return Ok(None);
        }
        let mut producers = lock(&self.producers);
        if batch.origin != AppendOrigin::Client {
            producers.check_unsequenced(header, confirmation)?;
            return Ok(None);
        }
        let mut checked = producers.check(header, confirmation);
        if let Err(ProducerError::OutOfOrder { .. } | ProducerError::NoTransaction { .. }) = checked
            && let Some(wanted) = producers.wanted_for(header)
        {
            let found = self.find_earlier(wanted);
            producers.add_earlier(&wanted, &found);
            checked = producers.check(header, confirmation);
        }
        Ok(match checked? {
            Verdict::New => None,
            Verdict::Duplicate(known) => Some(Appended {
                first_offset: known.first_offset(),
                last_offset: known.last_offset,
                rolled: false,
                max_timestamp: known.timestamp,
                is_duplicate: true,
            }),
        })
    }

    /// What a producer appended before the batches that a snapshot has told of, the latest first. What cannot be read, or is
    /// too far away, is not found. Called by the writer, once for a producer after a start.
    fn find_earlier(&self, mut wanted: WantedBatches) -> Vec<BatchHeader> {
        let log_start = self.log_start.load(Ordering::Acquire);
        let segments = self.segments();
        let mut found = Vec::new();
        let mut budget = SEARCH_BYTES;
        let before = wanted.before;
        let below = segments.iter().rev().filter(|segment| segment.base_offset() < before).take(SEARCH_SEGMENTS);
        for segment in below {
            match search(segment, &mut wanted, log_start, &mut budget, &mut found) {
                // It may go on in the segment before.
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::debug!(partition = %self.topic_partition, %error, "earlier batches of a producer are not found");
                    break;
                }
            }
        }
        found
    }

    /// The transaction that a marker aborts.
    pub(super) fn aborted_by(&self, header: &BatchHeader, marker: EndMarker) -> Option<AbortedTransaction> {
        AbortedTransaction::of(&lock(&self.producers).ended_by(header, marker)?)
    }

    /// The aborted transactions that have records from `from` on and below `up_to`: what a reader of committed records has to
    /// leave out.
    pub fn aborted_transactions(&self, from: i64, up_to: i64) -> Result<Vec<AbortedTransaction>, ReadError> {
        'anew: loop {
            let mut found = Vec::new();
            for segment in self.segments_from(from.max(self.log_start.load(Ordering::Acquire))) {
                let is_checked = self.check_aborted(&segment);
                match is_checked.and_then(|()| segment.aborted().collect(from, up_to, &mut found)) {
                    // A marker may come many segments after the records that it is about.
                    Ok(false) => {}
                    Ok(true) => break,
                    // See `look_through`.
                    Err(_) if segment.is_retired() => continue 'anew,
                    Err(source) => return Err(self.index_error(source)),
                }
            }
            return Ok(found);
        }
    }

    /// Holds the index of aborted transactions of a segment against its log, once, and writes it anew if they differ: with
    /// a wrong entry a reader of committed records would get others. Where the log is damaged, or it is not known
    /// which transactions were open when the segment began, the index is believed.
    fn check_aborted(&self, segment: &Segment) -> io::Result<()> {
        if !segment.aborted().is_to_be_checked()? {
            return Ok(());
        }
        // Compaction leaves no records that were aborted, nor all that the entries could be computed from.
        let is_compacted = self.cleaned().is_some_and(|cleaned| segment.base_offset() < cleaned);
        let Some(begin) = self.producers_at(segment.base_offset()).filter(|_| !is_compacted) else {
            segment.aborted().set_checked();
            return Ok(());
        };
        let (entries, is_all) = segment.aborted().entries()?;
        let (computed, end) = aborted_in(segment, begin.clone(), false)?;
        // An append may be under way: its entry is written first.
        let agree = is_all
            && entries.iter().zip(&computed).all(|(entry, computed)| entry == computed)
            && entries.iter().skip(computed.len()).all(|entry| entry.last_offset >= end)
            && (entries.len() >= computed.len() || !segment.is_closed());
        if !agree {
            // Nobody appends to a closed one.
            let _writer = (!segment.is_closed()).then(|| lock(&self.writer));
            match aborted_in(segment, begin, true) {
                Ok((computed, _)) => {
                    tracing::warn!(segment = %segment.log().path().display(), "rebuilding the index of aborted transactions");
                    segment.aborted().replace(&computed)?;
                }
                Err(error) => {
                    tracing::warn!(segment = %segment.log().path().display(), %error, "its index of aborted transactions cannot be checked");
                }
            }
        }
        segment.aborted().set_checked();
        Ok(())
    }

    /// The producers as of the beginning of a segment, if that is known.
    fn producers_at(&self, base_offset: i64) -> Option<ProducerStates> {
        if base_offset == 0 {
            return Some(ProducerStates::default());
        }
        let content = read_file(self.pool.disk(), &self.dir.join(&snapshot::file_name(base_offset))).ok()?;
        snapshot::decode(&content.into()).ok()
    }

    fn index_error(&self, source: io::Error) -> ReadError {
        if self.is_deleted() {
            return ReadError::Deleted;
        }
        ReadError::Io { path: self.dir.path(), position: 0, source }
    }

    /// Takes note of a batch that was written. Before the log's end moves, or a reader could take it for stable.
    pub(super) fn add_to_producers(&self, header: &BatchHeader, marker: Option<EndMarker>) {
        if !header.has_producer_id() {
            return;
        }
        let mut producers = lock(&self.producers);
        match marker {
            Some(marker) => producers.add_marker(header, marker),
            None => producers.add(header),
        }
        self.publish_unstable(&producers);
    }

    fn publish_unstable(&self, producers: &ProducerStates) {
        self.first_unstable.store(producers.first_unstable_offset().unwrap_or(i64::MAX), Ordering::Release);
    }

    /// Transactions whose end is below the high watermark are decided for consumers.
    pub(super) fn see_transactions(&self) {
        let mut producers = lock(&self.producers);
        if producers.has_unseen() {
            producers.see(self.high_watermark());
            self.publish_unstable(&producers);
        }
    }

    /// Forgets the producers that have been idle for long (`producer.id.expiration.ms`).
    pub fn expire_producers(&self, now: TimestampMs, expiration_ms: i64) {
        lock(&self.producers).expire(now, expiration_ms);
    }

    /// How many producers it knows.
    #[must_use]
    pub fn producer_count(&self) -> usize {
        lock(&self.producers).len()
    }

    /// Writes the producers down as of the log's end, `offset`. The next whole flush makes it durable.
    pub(super) fn write_snapshot(&self, writer: &mut Writer, offset: i64, keep: Keep) -> io::Result<()> {
        if writer.snapshots.last == Some(offset) && keep == Keep::UntilNext {
            return Ok(());
        }
        let path = self.dir.join(&snapshot::file_name(offset));
        let content = snapshot::encode(&lock(&self.producers));
        self.pool.disk().open(&path, OpenMode::CreateEmpty)?.write_all_at(&[&content], 0)?;
        let files = &mut writer.snapshots;
        let before = match keep {
            Keep::WithSegment => files.replaceable.take(),
            Keep::UntilNext => files.replaceable.replace(path.clone()),
        };
        // One that was taken at a flush may be where a segment begins now.
        files.superseded.extend(before.filter(|before| *before != path));
        files.unsynced.push(path);
        files.last = Some(offset);
        writer.new_names.files = true;
        Ok(())
    }

    /// The snapshots that a newer one has made superfluous. They may go once a recovery point is written down that is not
    /// below the newer one.
    pub(in crate::log) fn take_superseded_snapshots(&self) -> Vec<PathBuf> {
        std::mem::take(&mut lock(&self.writer).snapshots.superseded)
    }
}

/// Looks for batches in a segment, further and further back. Whether it was looked through to its beginning, and more may
/// be before it.
fn search(
    segment: &Segment,
    wanted: &mut WantedBatches,
    log_start: i64,
    budget: &mut u64,
    found: &mut Vec<BatchHeader>,
) -> Result<bool, SegmentError> {
    let file = segment.log().get().map_err(|source| segment.error(ScanError::Io { position: 0, source }))?;
    let before = wanted.before;
    let mut offsets = SEARCH_OFFSETS;
    loop {
        let from = before.saturating_sub(offsets).max(segment.base_offset());
        let position = if from == segment.base_offset() { 0 } else { segment.indexed_position(from)? };
        let mut scan = BatchScan::new(&*file, position, segment.size());
        let mut batches = Vec::new();
        while let Some(batch) = scan.next_batch().map_err(|error| segment.error(error))? {
            if batch.header.base_offset >= before {
                break;
            }
            if wanted.is_of_producer(&batch.header) {
                batches.push(batch);
            }
            if scan.position() - position > *budget {
                return Ok(false);
            }
        }
        let looked_through = scan.position() - position;
        let is_enough = batches.len() >= wanted.count || position == 0;
        if !is_enough && looked_through * SEARCH_GROWTH <= *budget {
            offsets = offsets.saturating_mul(i64::from(u32::try_from(SEARCH_GROWTH).unwrap_or(u32::MAX)));
            continue;
        }
        *budget -= looked_through;
        for batch in batches.iter().rev() {
            let Some(next) = wanted.after(&batch.header).filter(|_| batch.header.base_offset >= log_start) else {
                return Ok(false);
            };
            check_crc(&*file, batch).map_err(|error| segment.error(error))?;
            found.push(batch.header);
            *wanted = next;
        }
        return Ok(position == 0 && wanted.count > 0);
    }
}
