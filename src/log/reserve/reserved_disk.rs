//! A disk on which the broker's own writes do not fail for want of room while there is a reserve for them.

use std::{fs::File, io, path::Path, sync::Arc};

use super::Reserve;
use crate::{
    clock::TimestampMs,
    log::disk::{DirEntry, Disk, DiskFile, Filesystem, LockError, OpenMode, Room, is_full},
    protocol::file_range::RangeSource,
};

/// Does everything on another disk, and what fails there for want of room once more after the reserve was given up. Not
/// syncs: what fails in one is lost.
pub(in crate::log) struct ReservedDisk {
    disk: Arc<dyn Disk>,
    reserve: Arc<Reserve>,
}

impl ReservedDisk {
    pub(in crate::log) fn new(disk: Arc<dyn Disk>, reserve: Arc<Reserve>) -> Self {
        Self { disk, reserve }
    }
}

impl Reserve {
    /// Does something that may need room, and if there is none, gives the reserve up and does it again.
    fn make_room_for<T>(&self, work: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match work() {
            Err(error) if is_full(&error) && self.give_up() => work(),
            done => done,
        }
    }
}

impl Disk for ReservedDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.reserve.make_room_for(|| self.disk.create_dir(path))
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.reserve.make_room_for(|| self.disk.open(path, mode))?;
        Ok(Arc::new(ReservedFile { file, reserve: Arc::clone(&self.reserve) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.reserve.make_room_for(|| self.disk.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.reserve.make_room_for(|| self.disk.remove_file(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.reserve.make_room_for(|| self.disk.remove_dir(path))
    }

    fn list_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.list_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn make_private(&self, path: &Path) -> io::Result<bool> {
        self.disk.make_private(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }

    fn filesystem(&self, path: &Path) -> io::Result<Option<Box<dyn Filesystem>>> {
        self.disk.filesystem(path)
    }

    fn room(&self, path: &Path) -> io::Result<Option<Room>> {
        self.disk.room(path)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Send + Sync>, LockError> {
        self.disk.lock(path)
    }

    fn lock_shared(&self, path: &Path) -> Result<Option<Box<dyn Send + Sync>>, LockError> {
        self.disk.lock_shared(path)
    }
}

struct ReservedFile {
    file: Arc<dyn DiskFile>,
    reserve: Arc<Reserve>,
}

impl RangeSource for ReservedFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }

    fn as_file(&self) -> Option<&File> {
        self.file.as_file()
    }
}

impl DiskFile for ReservedFile {
    fn write_all_at(&self, parts: &[&[u8]], position: u64) -> io::Result<()> {
        self.reserve.make_room_for(|| self.file.write_all_at(parts, position))
    }

    fn write_unreserved_at(&self, parts: &[&[u8]], position: u64) -> io::Result<()> {
        self.file.write_all_at(parts, position)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.reserve.make_room_for(|| self.file.set_len(len))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.reserve.make_room_for(|| self.file.allocate(len))
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn modified_ms(&self) -> io::Result<TimestampMs> {
        self.file.modified_ms()
    }

    fn set_modified_ms(&self, modified_ms: TimestampMs) -> io::Result<()> {
        self.file.set_modified_ms(modified_ms)
    }

    fn is_empty(&self) -> io::Result<bool> {
        self.file.is_empty()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn drop_cached(&self) -> io::Result<()> {
        self.file.drop_cached()
    }
}
