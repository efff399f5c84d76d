//! What the log cleaner asks of a log, and how it puts a cleaned segment in the place of others.
//!
//! The order of Kafka's `replaceSegments`, so that whatever a crash leaves is the log before or after:
//!
//! 1. The cleaned segment is whole and on disk, its files named `.cleaned`: a start removes them.
//! 2. They are renamed to `.swap`, the log first. A start that finds both names takes that back; one that finds `.swap`
//!    alone goes on with the next step. From here on readers get the cleaned segment.
//! 3. What it replaces is renamed to `.deleted`, to be removed later. Who reads it goes on.
//! 4. It gets its own name.
//!
//! Below the recovery point that is written down, a start takes a gap for what compaction left. So everything that is
//! replaced has to lie below it.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Instant,
};

use super::{FlushError, PartitionLog, retention::Leftovers};
use crate::log::{
    files::{FileKind, Stage},
    log_config::LogConfig,
    producer_state::{LastEntry, snapshot},
    segment::Segment,
    sync::{lock, read, write},
};

/// What the log knows of its compaction.
pub(super) struct CompactionState {
    /// Up to where it has been compacted; -1 if it never was.
    cleaned: AtomicI64,
    /// The recovery point that is written down.
    checkpointed: AtomicI64,
    /// A cleaner is at work on it.
    is_claimed: AtomicBool,
    /// It is damaged.
    is_uncleanable: AtomicBool,
    /// No cleaner is to have it before.
    resting_until: Mutex<Option<Instant>>,
    /// Segments that were replaced, and by which: the names are still to be changed.
    unsettled: Mutex<Vec<Replaced>>,
}

struct Replaced {
    old: Vec<Arc<Segment>>,
    new: Arc<Segment>,
}

impl CompactionState {
    pub(super) fn new(cleaned: Option<i64>, checkpointed: i64) -> Self {
        Self {
            cleaned: AtomicI64::new(cleaned.unwrap_or(-1)),
            checkpointed: AtomicI64::new(checkpointed),
            is_claimed: AtomicBool::new(false),
            is_uncleanable: AtomicBool::new(false),
            resting_until: Mutex::default(),
            unsettled: Mutex::default(),
        }
    }
}

/// Why a cleaned segment was not put in place. The log is as it was.
#[derive(Debug, thiserror::Error)]
pub(in crate::log) enum SwapError {
    /// Retention or a deletion has taken some of what it was to replace.
    #[error("the log has changed meanwhile")]
    Changed,
    /// A name could not be changed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The names could not be made durable: that is final.
    #[error(transparent)]
    Sync(FlushError),
}

/// For the cleaner.
impl PartitionLog {
    /// Its settings.
    pub(in crate::log) fn config(&self) -> LogConfig {
        lock(&self.writer).config
    }

    /// All segments; the last one is active.
    pub(in crate::log) fn segments(&self) -> Vec<Arc<Segment>> {
        read(&self.segments).clone()
    }

    /// Up to where it has been compacted, if it has.
    #[must_use]
    pub fn cleaned(&self) -> Option<i64> {
        Some(self.compaction.cleaned.load(Ordering::Acquire)).filter(|cleaned| *cleaned >= 0)
    }

    /// Notes up to where it has been compacted.
    pub(in crate::log) fn set_cleaned(&self, offset: i64) {
        self.compaction.cleaned.store(offset, Ordering::Release);
    }

    /// The recovery point that is written down.
    pub(in crate::log) fn checkpointed(&self) -> i64 {
        self.compaction.checkpointed.load(Ordering::Acquire)
    }

    /// Notes that this recovery point is written down.
    pub(in crate::log) fn set_checkpointed(&self, recovery_point: i64) {
        self.compaction.checkpointed.store(recovery_point, Ordering::Release);
    }

    /// Takes it for one cleaner. `false` if another one has it, or nobody is to.
    pub(in crate::log) fn claim(&self, now: Instant) -> bool {
        let is_resting = lock(&self.compaction.resting_until).is_some_and(|until| now < until);
        !self.is_uncleanable() && !is_resting && !self.compaction.is_claimed.swap(true, Ordering::AcqRel)
    }

    /// Has no cleaner take it before this time.
    pub(in crate::log) fn rest_until(&self, until: Instant) {
        *lock(&self.compaction.resting_until) = Some(until);
    }

    /// Gives it back.
    pub(in crate::log) fn release(&self) {
        self.compaction.is_claimed.store(false, Ordering::Release);
    }

    /// Whether it is left alone because it is damaged.
    #[must_use]
    pub fn is_uncleanable(&self) -> bool {
        self.compaction.is_uncleanable.load(Ordering::Acquire)
    }

    /// Has it left alone from now on.
    pub(in crate::log) fn set_uncleanable(&self) {
        self.compaction.is_uncleanable.store(true, Ordering::Release);
    }

    /// What the state of each producer hangs on.
    pub(in crate::log) fn last_entries_of_producers(&self) -> HashMap<i64, LastEntry> {
        lock(&self.producers).last_entries()
    }

    /// A segment beside the log that begins where `base_offset` says.
    pub(in crate::log) fn create_cleaned(&self, base_offset: i64, config: &LogConfig) -> io::Result<Segment> {
        self.remove_unused(base_offset, Stage::Cleaned);
        Segment::create_cleaned(&self.pool, &self.dir, base_offset, config, 0)
    }

    /// Removes the files of a segment that did not get there. What is left all the same, a start removes.
    pub(in crate::log) fn remove_cleaned(&self, segment: &Segment) {
        segment.retire();
        self.remove_unused(segment.base_offset(), Stage::Cleaned);
    }

    fn remove_unused(&self, base_offset: i64, stage: Stage) {
        for kind in FileKind::ALL {
            let path = self.dir.join(&(kind.file_name(base_offset) + stage.suffix()));
            match self.pool.disk().remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %error, "left behind by a compaction");
                }
                _ => {}
            }
        }
    }

    /// Makes a cleaned segment durable.
    pub(in crate::log) fn sync_cleaned(&self, segment: &Segment) -> Result<(), SwapError> {
        segment.close_indexes()?;
        for file in segment.files(true) {
            match file.sync() {
                // What goes wrong with the files of a deleted partition does not matter.
                Err(_) if self.is_deleted() => return Err(SwapError::Changed),
                synced => synced.map_err(|source| SwapError::Sync(self.commit.sync_failed(&file.path(), source)))?,
            }
        }
        self.sync_names()
    }

    fn sync_names(&self) -> Result<(), SwapError> {
        let dir = self.dir.path();
        match self.pool.disk().sync_dir(&dir) {
            // It belongs to a partition that was deleted.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(SwapError::Changed),
            synced => synced.map_err(|source| SwapError::Sync(self.commit.sync_failed(&dir, source))),
        }
    }

    /// Puts a segment that is durable in the place of `old`. What it replaces is to be removed after a while.
    pub(in crate::log) fn replace(&self, old: &[Arc<Segment>], new: Segment) -> Result<Leftovers, SwapError> {
        let _reshaping = lock(&self.reshaping);
        let place = self.place_of(old).filter(|_| !self.is_deleted());
        let Some((first, (place, end))) = old.first().zip(place) else {
            self.remove_cleaned(&new);
            return Err(SwapError::Changed);
        };
        assert!(self.checkpointed() >= end, "a start would take what compaction leaves for damage");
        assert!(old.iter().all(|segment| segment.stage() == Stage::InPlace), "names are in order before a compaction");
        assert_eq!(new.base_offset(), first.base_offset(), "a segment begins where the first of the old ones did");
        if let Err(error) = new.rename(Stage::Swap) {
            // A start that finds one of them takes the others back; so does this.
            self.remove_unused(new.base_offset(), Stage::Swap);
            self.remove_cleaned(&new);
            return Err(error.into());
        }
        self.sync_names()?;
        let new = Arc::new(new);
        write(&self.segments).splice(place..place + old.len(), [Arc::clone(&new)]);
        old.iter().for_each(|segment| segment.retire());
        lock(&self.compaction.unsettled).push(Replaced { old: old.to_vec(), new });
        let (leftovers, settled) = self.settle();
        if let Err(error) = settled {
            tracing::warn!(partition = %self.topic_partition, %error, "a compacted segment does not have its name yet");
        }
        Ok(leftovers)
    }

    /// Gives the names of replaced segments to those that took their places. A start would do the same, so what cannot be done
    /// now can wait. For whoever holds `reshaping`.
    pub(super) fn settle(&self) -> (Leftovers, io::Result<()>) {
        let mut leftovers = Leftovers { files: Vec::new(), delay: self.file_delete_delay() };
        let mut unsettled = lock(&self.compaction.unsettled);
        while let Some(Replaced { old, new }) = unsettled.first() {
            // Once the new log has its name, nothing is left of the old ones.
            let left = if new.stage() == Stage::InPlace { &[][..] } else { old };
            let deleted = left.iter().try_for_each(|segment| self.rename_deleted(segment, &mut leftovers.files));
            if let Err(error) = deleted.and_then(|()| new.rename(Stage::InPlace)) {
                return (leftovers, Err(error));
            }
            unsettled.remove(0);
        }
        lock(&self.writer).new_names.files = true;
        (leftovers, Ok(()))
    }

    /// Has the names in order before anything else is done with the log. Files that were in the way are to be removed after
    /// a while.
    pub(in crate::log) fn settle_names(&self) -> (Leftovers, io::Result<()>) {
        let _reshaping = lock(&self.reshaping);
        self.settle()
    }

    /// Renames the files of a segment that was replaced; a snapshot of producers too, unless a segment begins there or it is
    /// the newest.
    fn rename_deleted(&self, segment: &Segment, renamed: &mut Vec<PathBuf>) -> io::Result<()> {
        let base_offset = segment.base_offset();
        let is_snapshot_needed = read(&self.segments).iter().any(|segment| segment.base_offset() == base_offset)
            || lock(&self.writer).snapshots.is_last(base_offset);
        let snapshot = (!is_snapshot_needed).then(|| snapshot::file_name(base_offset));
        let files = FileKind::ALL.iter().map(|kind| kind.file_name(base_offset));
        files.chain(snapshot).try_for_each(|name| self.rename_to_deleted(&name, renamed))
    }

    /// Where these segments stand in the list, one after the other, and the offset at which the next one begins.
    fn place_of(&self, old: &[Arc<Segment>]) -> Option<(usize, i64)> {
        let all = read(&self.segments);
        let first = old.first()?;
        let place = all.iter().position(|segment| Arc::ptr_eq(segment, first))?;
        let there = all.get(place..place + old.len())?;
        let next = all.get(place + old.len())?.base_offset();
        there.iter().zip(old).all(|(a, b)| Arc::ptr_eq(a, b)).then_some((place, next))
    }
}
