//! The producers of a log that is opened: the newest good snapshot, and the batches behind it.

use std::{io, sync::Arc};

use super::{Files, LoadError, Loader};
use crate::log::{
    disk::read_file,
    ordered_scan::Step,
    producer_state::{EndMarker, ProducerStates, snapshot},
    scan::read_batch,
    segment::Segment,
    transaction_index::AbortedTransaction,
};

/// The producers as of the log's end.
pub(super) struct Loaded {
    pub(super) states: ProducerStates,
    /// Offset of the snapshot that they were read from.
    pub(super) snapshot: Option<i64>,
}

impl Loader<'_> {
    /// Reads them, and removes the snapshots of what is not in the log any more.
    pub(super) fn load_producers(
        &self,
        files: &Files,
        segments: &[Arc<Segment>],
        log_start: i64,
        log_end: i64,
        recovery_point: i64,
    ) -> Result<Loaded, LoadError> {
        let mut newest: Option<(i64, ProducerStates)> = None;
        let offsets = files.keys().filter_map(|name| name.strip_suffix(snapshot::SUFFIX)?.parse().ok());
        let mut offsets: Vec<i64> = offsets.collect();
        let mut is_any_damaged = false;
        offsets.sort_unstable_by_key(|offset| std::cmp::Reverse(*offset));
        for offset in offsets {
            let is_in_log = log_start < offset && offset <= log_end;
            // A later one does not say which transactions were aborted between the recovery point and itself.
            let is_known = is_in_log && offset <= recovery_point;
            if is_known && newest.is_none() {
                newest = self.read_snapshot(offset).map(|states| (offset, states));
                is_any_damaged |= newest.is_none();
            }
            if !is_known || newest.is_none() {
                self.remove_snapshot(offset).map_err(|e| self.error(e))?;
            }
        }
        let (mut states, snapshot) = match newest {
            Some((offset, states)) => (states, Some(offset)),
            // A broker that stopped cleanly has written one, unless it knew of no producers.
            None if self.known.clean && !is_any_damaged => {
                return Ok(Loaded { states: ProducerStates::default(), snapshot: None });
            }
            None => (ProducerStates::default(), None),
        };
        let unsynced = segments.partition_point(|segment| segment.base_offset() <= recovery_point).saturating_sub(1);
        if !self.known.clean {
            for segment in &segments[unsynced..] {
                segment.aborted().truncate(recovery_point).map_err(|e| self.error(e))?;
            }
        }
        let from = snapshot.unwrap_or(log_start);
        let first = segments.partition_point(|segment| segment.base_offset() <= from).saturating_sub(1);
        if from < log_end {
            segments[first..].iter().try_for_each(|segment| self.replay(segment, from, recovery_point, &mut states))?;
        }
        // Everything that is left of the log is about to be flushed and seen.
        states.see(log_end);
        Ok(Loaded { states, snapshot })
    }

    fn read_snapshot(&self, offset: i64) -> Option<ProducerStates> {
        let path = self.path.join(snapshot::file_name(offset));
        let content = read_file(self.disk(), &path).map_err(|error| error.to_string());
        let decoded = content.and_then(|content| snapshot::decode(&content.into()).map_err(|error| error.to_string()));
        let said = |error: &String| {
            tracing::warn!(path = %path.display(), error, "a snapshot of producers is rebuilt from the log");
        };
        decoded.inspect_err(said).ok()
    }

    fn remove_snapshot(&self, offset: i64) -> io::Result<()> {
        match self.remove(&snapshot::file_name(offset)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Takes in the batches of a segment from `from` on, and enters the transactions that were aborted at `recovery_point`
    /// or later. Damaged batches are passed over: they cannot be read by anybody.
    fn replay(
        &self,
        segment: &Segment,
        from: i64,
        recovery_point: i64,
        states: &mut ProducerStates,
    ) -> Result<(), LoadError> {
        if segment.size() == 0 {
            return Ok(());
        }
        let file = segment.log().get().map_err(|e| self.error(e))?;
        let mut scan = segment.walk(&*file, from)?;
        while let Some(step) = scan.next_step().map_err(|e| segment.error(e))? {
            let Step::Batch(batch) = step else { continue };
            if batch.header.base_offset < from {
                continue;
            }
            let marker = || EndMarker::in_batch(&read_batch(&*file, &batch).ok()?);
            let ended = states.replay(&batch.header, marker).filter(|end| end.last_offset >= recovery_point);
            if let Some(aborted) = ended.as_ref().and_then(AbortedTransaction::of) {
                segment.aborted().append(&aborted).map_err(|e| self.error(e))?;
            }
        }
        Ok(())
    }
}
