//! Opens a partition's log: completes what a crash interrupted, and after an unclean stop makes sure of what was not
//! known to be on disk.
//!
//! Below the recovery point nothing is read, however much there is; damage there is rot, which stays where it is and is
//! found by whoever reads it. Above it every batch is checked, and the log ends before the first bad one, for pages reach
//! a disk in any order. (But not in the metadata's log, which is synced batch by batch: what good batches follow is rot
//! there too.) What follows is copied to `<offset>.log.corrupt` if there are good batches in it; Kafka leaves such
//! files alone. One line of the log says what was cut. What is kept is synced before anybody gets to see it.
//!
//! Leftovers are treated by Kafka's rules (its `LogLoader`): `.deleted` and `.cleaned` go; `.swap` replaces the
//! segments it covers, unless a `.cleaned` at or below it shows that it was not complete.

mod producers;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    disk::{Disk, DiskFile, EntryKind, OpenMode, read_full},
    files::{Directory, FileKind, FilePool, base_offset_of},
    group_commit::GroupCommit,
    leader_epochs::{self, LeaderEpochs},
    log_config::LogConfig,
    ordered_scan::{DamagedRange, OrderedScan, Step, Surroundings},
    partition_log::{PartitionLog, Parts},
    partition_metadata,
    producer_state::snapshot,
    scan::{BatchScan, ScanError, check_crc, find_valid_batch},
    segment::{Segment, SegmentError, Tail},
};
use crate::{clock::TimestampMs, protocol::ids::TopicPartition};

const COPY_CHUNK: usize = 1024 * 1024;

/// The topic of the metadata, whose log is synced after every batch: a crash can take its last one and no other.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// Why a partition could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file or the directory could not be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// The partition's directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A segment could not be read.
    #[error(transparent)]
    Segment(#[from] SegmentError),
}

/// What is known of a partition before its directory is read.
pub(super) struct Known {
    pub(super) topic_partition: TopicPartition,
    /// It was closed by a clean stop.
    pub(super) clean: bool,
    pub(super) recovery_point: i64,
    pub(super) log_start: i64,
    /// Up to where it has been compacted, if it has.
    pub(super) cleaned: Option<i64>,
    pub(super) config: LogConfig,
    pub(super) now: TimestampMs,
}

/// Opens the log in `path`. After an unclean stop it is to be flushed before anybody gets to see it.
pub(super) fn load(
    pool: &Arc<FilePool>,
    commit: &Arc<GroupCommit>,
    path: PathBuf,
    known: Known,
) -> Result<PartitionLog, LoadError> {
    let mut loader = Loader { pool, dir: Directory::new(path.clone()), known, path };
    let files = loader.clean_up().map_err(|e| loader.error(e))?;
    let mut segments = loader.segments(&files)?;
    let epochs_path = loader.path.join(leader_epochs::FILE_NAME);
    let mut epochs = LeaderEpochs::read(pool.disk(), &epochs_path).map_err(|e| loader.error(e))?;
    let log_end = loader.find_end(&mut segments, &mut epochs)?;
    let metadata_path = loader.path.join(partition_metadata::FILE_NAME);
    let topic_id = partition_metadata::read(pool.disk(), &metadata_path).map_err(|e| loader.error(e))?;
    let first = segments.first().map_or(0, |segment| segment.base_offset());
    let log_start = loader.known.log_start.max(first);
    epochs.truncate_from_end(log_end);
    epochs.truncate_from_start(log_start);
    for pair in segments.windows(2) {
        pair[0].set_closed(pair[1].base_offset());
    }
    let checkpointed = loader.known.recovery_point.min(log_end);
    let recovery_point = if loader.known.clean { log_end } else { checkpointed };
    let producers = loader.load_producers(&files, &segments, log_start, log_end, recovery_point)?;
    if !loader.known.clean {
        let unknown = segments.partition_point(|segment| segment.base_offset() <= recovery_point).saturating_sub(1);
        segments[unknown..].iter().for_each(|segment| segment.set_dirty());
    }
    Ok(PartitionLog::new(Parts {
        topic_partition: loader.known.topic_partition.clone(),
        topic_id,
        pool: Arc::clone(pool),
        dir: loader.dir,
        commit: Arc::clone(commit),
        config: loader.known.config,
        segments,
        epochs,
        producers: producers.states,
        last_snapshot: producers.snapshot,
        log_start,
        log_end,
        flushed: recovery_point,
        recovery_point,
        checkpointed,
        cleaned: loader.known.cleaned,
        names_unsynced: !loader.known.clean,
    }))
}

/// Names and sizes of the files in a directory.
type Files = BTreeMap<String, u64>;

struct Loader<'a> {
    pool: &'a Arc<FilePool>,
    dir: Arc<Directory>,
    path: PathBuf,
    known: Known,
}

impl Loader<'_> {
    fn disk(&self) -> &dyn Disk {
        self.pool.disk()
    }

    fn error(&self, source: io::Error) -> LoadError {
        LoadError::Io { path: self.path.clone(), source }
    }

    fn list(&self) -> io::Result<Files> {
        let entries = self.disk().list_dir(&self.path)?;
        Ok(entries.into_iter().filter(|e| e.kind == EntryKind::File).map(|e| (e.name, e.len)).collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk().remove_file(&self.path.join(name))
    }
}

/// Leftovers.
impl Loader<'_> {
    /// Finishes or takes back what was under way, and lists what is left.
    fn clean_up(&self) -> io::Result<Files> {
        let mut files = self.list()?;
        let mut changed = false;
        for step in [Self::remove_temporary, Self::complete_swaps, Self::remove_orphans] {
            if step(self, &files)? {
                files = self.list()?;
                changed = true;
            }
        }
        if changed {
            self.disk().sync_dir(&self.path)?;
        }
        Ok(files)
    }

    fn remove_temporary(&self, files: &Files) -> io::Result<bool> {
        let least_cleaned =
            files.keys().filter(|name| name.ends_with(".cleaned")).filter_map(|n| base_offset_of(n)).min();
        let doomed = |name: &str| {
            let is_snapshot = name.ends_with(".checkpoint.deleted");
            let incomplete = || base_offset_of(name).zip(least_cleaned).is_some_and(|(base, least)| base >= least);
            (name.ends_with(".deleted") && !is_snapshot)
                || name.ends_with(".cleaned")
                || (name.ends_with(".swap") && incomplete())
        };
        let mut any = false;
        for name in files.keys().filter(|name| doomed(name)) {
            self.remove(name)?;
            any = true;
        }
        Ok(any)
    }

    /// Removes the segments that the swap files cover, then gives these their names.
    fn complete_swaps(&self, files: &Files) -> io::Result<bool> {
        let swaps: Vec<&str> = files.keys().filter_map(|name| name.strip_suffix(".swap")).collect();
        let mut covered: Option<(i64, i64)> = None;
        for name in swaps.iter().filter(|name| name.ends_with(".log")) {
            let swap = format!("{name}.swap");
            let Some(base_offset) = base_offset_of(name) else { continue };
            // One without batches still takes the place of what has its name.
            let end = self.next_offset_in(&swap, files[&swap])?.unwrap_or(base_offset).max(base_offset + 1);
            covered = Some(covered.map_or((base_offset, end), |(low, high)| (low.min(base_offset), high.max(end))));
        }
        if let Some((low, high)) = covered {
            // What an earlier start kept aside stays.
            let is_replaced = |name: &&String| {
                let is_in_place = |base| {
                    let mut names = FileKind::ALL.iter().map(|kind| kind.file_name(base));
                    names.any(|own| own == **name) || snapshot::file_name(base) == **name
                };
                base_offset_of(name).is_some_and(|base| (low..high).contains(&base) && is_in_place(base))
            };
            for name in files.keys().filter(is_replaced) {
                self.remove(name)?;
            }
        }
        for name in &swaps {
            self.disk().rename(&self.path.join(format!("{name}.swap")), &self.path.join(name))?;
        }
        Ok(!swaps.is_empty())
    }

    fn next_offset_in(&self, name: &str, size: u64) -> io::Result<Option<i64>> {
        let file = self.disk().open(&self.path.join(name), OpenMode::Existing)?;
        let mut scan = BatchScan::new(&*file, 0, size);
        let mut next_offset = None;
        while let Ok(Some(batch)) = scan.next_batch() {
            next_offset = Some(batch.header.last_offset().saturating_add(1));
        }
        Ok(next_offset)
    }

    /// Removes indexes without a log.
    fn remove_orphans(&self, files: &Files) -> io::Result<bool> {
        let is_index = |name: &str| [".index", ".timeindex", ".txnindex"].iter().any(|suffix| name.ends_with(suffix));
        let mut any = false;
        for name in files.keys().filter(|name| is_index(name)) {
            let Some(base_offset) = base_offset_of(name) else { continue };
            let log = FileKind::Log.file_name(base_offset);
            if !files.contains_key(&log) {
                tracing::warn!(path = %self.path.join(name).display(), "removing an index without a log");
                self.remove(name)?;
                any = true;
            }
        }
        Ok(any)
    }
}

/// Segments and the log's end.
impl Loader<'_> {
    fn segments(&self, files: &Files) -> Result<Vec<Arc<Segment>>, LoadError> {
        let mut segments = Vec::new();
        for (name, size) in files {
            let Some(base_offset) = base_offset_of(name) else { continue };
            if *name == FileKind::Log.file_name(base_offset) {
                let segment = self.existing(base_offset, *size);
                if *size > 0 && !self.is_checked_later(base_offset) && !indexes_look_whole(files, base_offset) {
                    segment.indexes()?;
                }
                segments.push(Arc::new(segment));
            }
        }
        self.drop_leftovers(&mut segments)?;
        Ok(segments)
    }

    /// Removes empty segments that the log went on without: a roll that failed left them.
    fn drop_leftovers(&self, segments: &mut Vec<Arc<Segment>>) -> Result<(), LoadError> {
        let mut at = 0;
        while at < segments.len() {
            let base_offset = segments[at].base_offset();
            if segments[at].size() == 0 && at > 0 && segments[at - 1].reaches(base_offset)? {
                let leftover = segments.remove(at);
                tracing::warn!(path = %leftover.log().path().display(), "removing an empty segment that a failed roll left");
                self.remove_segment(&leftover, false).map_err(|e| self.error(e))?;
            } else {
                at += 1;
            }
        }
        Ok(())
    }

    fn existing(&self, base_offset: i64, size: u64) -> Segment {
        let Known { config, now, .. } = &self.known;
        Segment::existing(self.pool, &self.dir, base_offset, size, config, *now)
    }

    fn is_checked_later(&self, base_offset: i64) -> bool {
        !self.known.clean && base_offset >= self.known.recovery_point
    }

    fn find_end(&mut self, segments: &mut Vec<Arc<Segment>>, epochs: &mut LeaderEpochs) -> Result<i64, LoadError> {
        let mut log_end = match segments.last() {
            None => None,
            Some(active) if self.known.clean => Some(self.clean_end(&Arc::clone(active), segments, epochs)?),
            Some(_) => Some(self.recover(segments, epochs)?),
        };
        if self.known.clean && log_end.is_some_and(|end| end < self.known.log_start) {
            let (partition, log_start) = (self.known.topic_partition.clone(), self.known.log_start);
            tracing::warn!(%partition, log_start, ?log_end, "a log start offset behind the log's end is not believed");
            self.known.log_start = 0;
        }
        if log_end.is_some_and(|end| end < self.known.log_start) {
            let (partition, log_start) = (&self.known.topic_partition, self.known.log_start);
            tracing::warn!(%partition, log_start, ?log_end, "the log ends before its start offset: it is set aside");
            self.set_aside(std::mem::take(segments), 0)?;
            log_end = None;
        }
        if let Some(log_end) = log_end {
            return Ok(log_end);
        }
        let log_start = self.known.log_start;
        let created = Segment::create(self.pool, &self.dir, log_start, &self.known.config, self.known.now);
        segments.push(Arc::new(created.map_err(|e| self.error(e))?));
        Ok(log_start)
    }

    /// The end of a log that was closed cleanly, from the last index entry on. If there is damage behind it, it was not.
    fn clean_end(
        &self,
        active: &Segment,
        segments: &mut Vec<Arc<Segment>>,
        epochs: &mut LeaderEpochs,
    ) -> Result<i64, LoadError> {
        // Where a clean stop saw the end, which a damaged last batch would not know.
        if self.known.recovery_point > active.base_offset() {
            active.set_expected_end(self.known.recovery_point);
        }
        let tail = active.open_tail()?;
        if tail.position == active.size() {
            return Ok(tail.next_offset);
        }
        self.recover(segments, epochs)
    }

    /// Checks everything above the recovery point, and cuts the log at the first bad batch.
    fn recover(&self, segments: &mut Vec<Arc<Segment>>, epochs: &mut LeaderEpochs) -> Result<i64, LoadError> {
        let recovery_point = self.known.recovery_point;
        let first = segments.partition_point(|segment| segment.base_offset() <= recovery_point).saturating_sub(1);
        let mut log_end = segments.get(first).map_or(0, |segment| segment.base_offset());
        let mut was_dense = true;
        for at in first..segments.len() {
            let segment = Arc::clone(&segments[at]);
            let (before, base_offset) = (log_end, segment.base_offset());
            let may_be_compacted = self.known.cleaned.is_some_and(|cleaned| base_offset <= cleaned);
            if was_dense && base_offset > before && !may_be_compacted {
                self.drop_after_gap(before, segments.split_off(at))?;
                break;
            }
            let next_base = segments.get(at + 1).map(|next| next.base_offset());
            let recovered = self.recover_segment(&segment, before, next_base, epochs)?;
            (log_end, was_dense) = (recovered.tail.next_offset, recovered.is_dense);
            if let Some(damage) = recovered.damage {
                self.cut(&segment, recovered.tail, &damage, segments.split_off(at + 1))?;
                break;
            }
            let is_last = at + 1 == segments.len();
            let done = if is_last { segment.write_indexes() } else { segment.close_indexes() };
            done.map_err(|e| self.error(e))?;
        }
        if let Some(active) = segments.last() {
            active.set_next_offset(log_end);
        }
        Ok(log_end)
    }
}

struct Recovered {
    tail: Tail,
    /// No offset is missing, as in a segment that was never compacted.
    is_dense: bool,
    damage: Option<ScanError>,
}

/// One segment.
impl Loader<'_> {
    /// Walks from the last index entry below the recovery point to the end, and writes the indexes anew from there.
    fn recover_segment(
        &self,
        segment: &Segment,
        before: i64,
        next_base: Option<i64>,
        epochs: &mut LeaderEpochs,
    ) -> Result<Recovered, LoadError> {
        let recovery_point = self.known.recovery_point;
        let (indexes, indexed) = segment.rewind_indexes(recovery_point)?;
        let base_offset = segment.base_offset();
        let begin = (0, before.max(base_offset));
        let (position, expected) = indexed.map_or(begin, |batch| (batch.position, batch.header.base_offset));
        let size = segment.size();
        let file = segment.log().get().map_err(|e| self.error(e))?;
        let known_epochs = epochs.clone();
        let closed_at = (recovery_point > base_offset && self.known.clean).then_some(recovery_point);
        let around = Surroundings {
            base_offset,
            limit: next_base.unwrap_or(i64::MAX),
            next_offset: next_base.or(closed_at),
            // The file may not have those that began above it.
            epoch_of: &|offset| known_epochs.epoch_for(offset).filter(|_| offset < recovery_point),
        };
        let mut scan = OrderedScan::new(&*file, position, size, expected, around);
        let mut tail = Tail { position, next_offset: expected };
        let mut is_dense = true;
        while let Some(step) = scan.next_step().map_err(|e| segment.error(e))? {
            let batch = match step {
                Step::Batch(batch) => batch,
                Step::Damage(damage) => {
                    match self.end_of_rot(&damage, next_base) {
                        Some(end) => self.tell_of_rot(&damage, end),
                        None => return Ok(Recovered { tail, is_dense, damage: Some(damage.error()) }),
                    }
                    is_dense = false;
                    if damage.next.is_none() {
                        let next_offset = self.end_of_rot(&damage, next_base).unwrap_or(tail.next_offset);
                        tail = Tail { position: size, next_offset: next_offset.max(tail.next_offset) };
                    }
                    continue;
                }
            };
            if batch.header.last_offset() >= recovery_point {
                match check_crc(&*file, &batch) {
                    // No batch reaches over the recovery point: it is rot, and the last there is.
                    Err(ScanError::Corrupt { source, .. }) if batch.header.base_offset < recovery_point => {
                        let from = batch.header.base_offset;
                        let damage = DamagedRange { position: batch.position, from, next: None, source };
                        self.tell_of_rot(&damage, recovery_point);
                        tail = Tail { position: size, next_offset: recovery_point };
                        return Ok(Recovered { tail, is_dense: false, damage: None });
                    }
                    Err(damage @ ScanError::Corrupt { .. }) if !self.is_metadata() || batch.end() == size => {
                        return Ok(Recovered { tail, is_dense, damage: Some(damage) });
                    }
                    Err(ScanError::Corrupt { .. }) => {}
                    checked => checked.map_err(|e| segment.error(e))?,
                }
            }
            segment.index_recovered(&indexes, &batch);
            epochs.assign_later(batch.header.partition_leader_epoch, batch.header.base_offset);
            is_dense &= position == batch.position || batch.header.base_offset == tail.next_offset;
            is_dense &= batch.header.record_count.checked_sub(1) == Some(batch.header.last_offset_delta);
            tail = Tail { position: batch.end(), next_offset: batch.header.last_offset() + 1 };
        }
        Ok(Recovered { tail, is_dense, damage: None })
    }

    /// The offset with which the log goes on behind damage in what was on disk already; the damage stays where it is. `None`
    /// if it may be what a crash left.
    fn end_of_rot(&self, damage: &DamagedRange, next_base: Option<i64>) -> Option<i64> {
        let recovery_point = self.known.recovery_point;
        match (damage.next, next_base) {
            (Some(next), _) if damage.from < recovery_point || self.is_metadata() => Some(next.header.base_offset),
            (None, Some(next_base)) if next_base <= recovery_point || self.is_metadata() => Some(next_base),
            (None, None) if damage.from < recovery_point => Some(recovery_point),
            _ => None,
        }
    }

    fn tell_of_rot(&self, damage: &DamagedRange, next_good_offset: i64) {
        tracing::warn!(
            partition = %self.known.topic_partition,
            from = damage.from,
            next_good_offset,
            "records that were on disk are damaged: they are left as they are and cannot be read: {}",
            damage.source
        );
    }

    fn is_metadata(&self) -> bool {
        self.known.topic_partition.topic.as_ref() == METADATA_TOPIC
    }
}

/// What is cut off.
impl Loader<'_> {
    fn cut(
        &self,
        segment: &Segment,
        tail: Tail,
        damage: &ScanError,
        later: Vec<Arc<Segment>>,
    ) -> Result<(), LoadError> {
        let size = segment.size();
        let saved = self.save_rest(segment, tail).map_err(|e| self.error(e))?;
        segment.cut(tail)?;
        segment.write_indexes().map_err(|e| self.error(e))?;
        let later_bytes: u64 = later.iter().map(|segment| segment.size()).sum();
        let set_aside = self.set_aside(later, tail.next_offset)?;
        tracing::warn!(
            partition = %self.known.topic_partition,
            log_end = tail.next_offset,
            bytes = size - tail.position + later_bytes,
            files_kept_aside = set_aside + usize::from(saved),
            "the log was cut after an unclean stop: {damage}"
        );
        Ok(())
    }

    /// Sets the segments aside that follow a segment whose end is missing.
    ///
    /// A crash can take the end of a segment, at a batch's end, and leave the next one. Compaction leaves such gaps too, but
    /// hardly without others within the segment.
    fn drop_after_gap(&self, log_end: i64, later: Vec<Arc<Segment>>) -> Result<(), LoadError> {
        let bytes: u64 = later.iter().map(|segment| segment.size()).sum();
        let files_kept_aside = self.set_aside(later, log_end)?;
        tracing::warn!(
            partition = %self.known.topic_partition,
            log_end,
            bytes,
            files_kept_aside,
            "the log was cut after an unclean stop: the end of a segment is missing"
        );
        Ok(())
    }

    /// Copies what follows `tail` if there are good batches in it.
    fn save_rest(&self, segment: &Segment, tail: Tail) -> io::Result<bool> {
        let file = segment.log().get()?;
        let size = segment.size();
        let worth_it = find_valid_batch(&*file, tail.position, size, tail.next_offset).map_err(io::Error::other)?;
        if worth_it.is_none() {
            return Ok(false);
        }
        let path = self.aside_path(tail.next_offset)?;
        let copied = self.copy(&*file, tail.position, size, &path);
        if copied.is_err() {
            // The next start begins anew, and half a copy would take the room for it.
            if let Err(error) = self.disk().remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "half a copy is left");
            }
        }
        copied.map(|()| true)
    }

    fn copy(&self, file: &dyn DiskFile, from: u64, to: u64, path: &Path) -> io::Result<()> {
        let copy = self.disk().open(path, OpenMode::CreateEmpty)?;
        let mut chunk = vec![0; COPY_CHUNK];
        let mut position = from;
        while position < to {
            let read = read_full(file, &mut chunk, position)?;
            if read == 0 {
                break;
            }
            copy.write_all_at(&[&chunk[..read]], position - from)?;
            position += read as u64;
        }
        copy.sync_data()?;
        self.disk().sync_dir(&self.path)
    }

    /// Removes segments; the logs among them that hold good batches from `least_offset` on are renamed instead. Returns
    /// how many were.
    fn set_aside(&self, segments: Vec<Arc<Segment>>, least_offset: i64) -> Result<usize, LoadError> {
        let mut renamed = 0;
        for segment in segments {
            let aside = self.is_worth_keeping(&segment, least_offset)?;
            renamed += usize::from(aside);
            self.remove_segment(&segment, aside).map_err(|e| self.error(e))?;
        }
        Ok(renamed)
    }

    fn is_worth_keeping(&self, segment: &Segment, least_offset: i64) -> Result<bool, LoadError> {
        let file = segment.log().get().map_err(|e| self.error(e))?;
        let least_offset = least_offset.max(segment.base_offset());
        let found = find_valid_batch(&*file, 0, segment.size(), least_offset).map_err(|e| segment.error(e))?;
        Ok(found.is_some())
    }

    fn remove_segment(&self, segment: &Segment, aside: bool) -> io::Result<()> {
        segment.close_files();
        let base_offset = segment.base_offset();
        for kind in [FileKind::OffsetIndex, FileKind::TimeIndex] {
            match self.remove(&kind.file_name(base_offset)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        let log = segment.log().path();
        if aside { self.disk().rename(&log, &self.aside_path(base_offset)?) } else { self.disk().remove_file(&log) }
    }

    /// A name that is free for what was cut off at `offset`.
    fn aside_path(&self, offset: i64) -> io::Result<PathBuf> {
        let name = format!("{offset:020}.log.corrupt");
        let mut path = self.path.join(&name);
        let mut count = 1;
        while self.disk().exists(&path)? {
            path = self.path.join(format!("{name}.{count}"));
            count += 1;
        }
        Ok(path)
    }
}

/// Whether the indexes are there and have a size that they can have.
fn indexes_look_whole(files: &Files, base_offset: i64) -> bool {
    let size = |kind: FileKind| files.get(&kind.file_name(base_offset)).copied();
    let offset_index = size(FileKind::OffsetIndex).is_some_and(|size| size % 8 == 0);
    offset_index && size(FileKind::TimeIndex).is_some_and(|size| size % 12 == 0 && size > 0)
}
