//! What is left for the next start by a sync that failed.
//!
//! The kernel keeps pages that it could not write, takes them for clean, and tells of it once: a later process reads
//! them, syncs them with success, and finds them gone after a power cut. So whoever learns of a failed sync leaves a file
//! behind. It need not be durable: what it warns of is gone with the page cache too. The start that finds it has
//! everything read from the disk.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::disk::{Disk, EntryKind, OpenMode};

/// The file's name. Apache Kafka leaves it alone.
pub const FILE_NAME: &str = ".ottla-sync-failed";

/// Leaves the file in the data directory at `path`, if that can be done.
pub(super) fn leave(disk: &dyn Disk, path: &Path) {
    if let Err(error) = disk.open(&marker(path), OpenMode::Create) {
        tracing::warn!(%error, "the next start will not know of the failed sync: restart the machine before it");
    }
}

/// Whether there was a failed sync. Then nothing in memory is believed any more of the files in the directory and its
/// partitions.
pub(super) fn heed(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    if !disk.exists(&marker(path))? {
        return Ok(false);
    }
    tracing::warn!(path = %path.display(), "a sync failed before this start: everything is read from the disk");
    drop_cached(disk, path)?;
    Ok(true)
}

/// What is there is known to be on disk.
pub(super) fn forget(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    disk.remove_file(&marker(path))?;
    disk.sync_dir(path)
}

fn marker(path: &Path) -> PathBuf {
    path.join(FILE_NAME)
}

fn drop_cached(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    for entry in disk.list_dir(path)? {
        let path = path.join(entry.name);
        match entry.kind {
            EntryKind::Directory => drop_cached(disk, &path)?,
            EntryKind::File => {
                let file = disk.open(&path, OpenMode::Existing)?;
                file.sync_data()?;
                file.drop_cached()?;
            }
            EntryKind::Other => {}
        }
    }
    Ok(())
}
