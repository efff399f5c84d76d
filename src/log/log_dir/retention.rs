//! Deletion, of segments and of partitions: renamed now, removed after a while, so that who has found something in time
//! still gets it.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{LogDir, LogDirError, first_error};
use crate::{
    clock::TimestampMs,
    log::{
        disk::{Disk, EntryKind},
        partition_log::{FlushError, Leftovers, PartitionLog, Trim},
        sync::lock,
    },
};

/// A longer delay is cut: no process waits for its end, and a clock can be asked for this one.
const DELAY_MAX: Duration = Duration::from_hours(10 * 365 * 24);

/// When what could not be removed is tried again.
const RETRY: Duration = Duration::from_mins(1);

/// A file or directory that is to be removed.
pub(super) struct Doomed {
    path: PathBuf,
    kind: EntryKind,
    /// When. `None` for one that an earlier process left.
    due: Option<Instant>,
}

impl Doomed {
    /// A segment's file that was deleted at `at`.
    fn file(path: PathBuf, at: Instant, delay: Duration) -> Self {
        Self { path, kind: EntryKind::File, due: Some(at + delay.min(DELAY_MAX)) }
    }

    /// A partition's directory that was deleted at `at`.
    pub(super) fn directory(path: PathBuf, at: Instant, delay: Duration) -> Self {
        Self { kind: EntryKind::Directory, ..Self::file(path, at, delay) }
    }

    /// A directory whose deletion an earlier process left undone.
    pub(super) fn left_over(path: PathBuf) -> Self {
        Self { path, kind: EntryKind::Directory, due: None }
    }

    fn remove(&self, disk: &dyn Disk) -> io::Result<()> {
        let removed = match self.kind {
            EntryKind::Directory => remove_tree(disk, &self.path),
            EntryKind::File | EntryKind::Other => disk.remove_file(&self.path),
        };
        match removed {
            // It went with its directory.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

impl LogDir {
    /// Takes out of every log the segments that are too old or too many by its settings, or lie below its start. Blocks.
    ///
    /// `now` is the wall clock's time, which timestamps are held against; `at` that of the delays.
    pub fn enforce_retention(&self, now: TimestampMs, at: Instant) -> Result<(), LogDirError> {
        let trims: Vec<_> = self.partitions().iter().filter_map(|log| log.plan_trim(now)).collect();
        if trims.is_empty() {
            return Ok(());
        }
        self.commit_what_can_be()?;
        trims.iter().for_each(Trim::move_log_start);
        if let Err(error) = self.write_checkpoints() {
            tracing::warn!(%error, "log start offsets that have moved could not be written down");
        }
        self.carry_out(trims, at)
    }

    /// Runs a round for segments that are to go.
    pub(super) fn commit_what_can_be(&self) -> Result<(), FlushError> {
        match self.commit.commit() {
            // What could not be written are indexes. A full disk is no reason to keep what fills it.
            Err(error @ FlushError::Write { .. }) => {
                tracing::warn!(%error, "a log could not be flushed");
                Ok(())
            }
            committed => committed,
        }
    }

    /// Has files removed when their delay, which begins at `at`, is over.
    pub(in crate::log) fn remove_leftovers(&self, leftovers: Leftovers, at: Instant) {
        let files = leftovers.files.into_iter().map(|file| Doomed::file(file, at, leftovers.delay));
        lock(&self.doomed).extend(files);
    }

    /// Has files of a log that were deleted at `at`, and bear another name, removed after its `file.delete.delay.ms`.
    pub fn remove_later(&self, log: &PartitionLog, files: Vec<PathBuf>, at: Instant) {
        self.remove_leftovers(Leftovers { files, delay: log.file_delete_delay() }, at);
    }

    /// Removes the files of deleted segments and the directories of deleted partitions whose time has come; while producers
    /// are refused for want of room, that is at once. What cannot be removed is tried again a minute later. Blocks.
    pub fn remove_deleted(&self, at: Instant) -> Result<(), LogDirError> {
        let is_short = self.pool.reserve().is_short();
        let is_due = |doomed: &mut Doomed| is_short || doomed.due.is_none_or(|due| due <= at);
        let due: Vec<_> = lock(&self.doomed).extract_if(.., is_due).collect();
        first_error(due.into_iter().map(|doomed| self.remove(doomed, at)))
    }

    fn remove(&self, doomed: Doomed, at: Instant) -> Result<(), LogDirError> {
        let Err(source) = doomed.remove(&*self.disk) else { return Ok(()) };
        let path = doomed.path.clone();
        lock(&self.doomed).push(Doomed { due: Some(at + RETRY), ..doomed });
        Err(LogDirError::Io { path, source })
    }
}

fn remove_tree(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    for entry in disk.list_dir(path)? {
        let path = path.join(&entry.name);
        match entry.kind {
            EntryKind::Directory => remove_tree(disk, &path)?,
            EntryKind::File | EntryKind::Other => disk.remove_file(&path)?,
        }
    }
    disk.remove_dir(path)
}
