//! The seam to the file system. Everything that log, metadata and coordinators do with files goes through [`Disk`]: the
//! [real one](RealDisk), and a [simulated one](sim::SimDisk) that fails on demand and loses what was not synced.
//!
//! The contract is the file system's: a file's bytes and length survive a crash once [`DiskFile::sync_data`] returned,
//! a directory's entries (creations, renames, removals) once [`Disk::sync_dir`] did.

pub mod real;
pub mod sim;

pub use real::RealDisk;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::io::Errno;

use crate::{clock::TimestampMs, protocol::file_range::RangeSource};

/// Files and directories.
pub trait Disk: Send + Sync {
    /// Creates a directory and its missing parents. One that exists is fine.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Opens a file for reading and, unless the mode says otherwise, writing. Never follows a symbolic link.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames a file or a directory within its parent directory, replacing a file that has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// What is in a directory, in no order. Names that are not UTF-8 are left out.
    fn list_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>>;

    /// Makes the entries of a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Takes from others than its owner every right to a file or directory. Whether they had one.
    fn make_private(&self, path: &Path) -> io::Result<bool>;

    /// Whether a file or directory has this name.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// The file system that `path` is on, where syncing it as a whole is known to be right. `None` elsewhere.
    fn filesystem(&self, path: &Path) -> io::Result<Option<Box<dyn Filesystem>>>;

    /// What is left of the file system that `path` is on. `None` where it does not tell.
    fn room(&self, path: &Path) -> io::Result<Option<Room>>;

    /// Takes the lock that lives in the file `path` for as long as the result lives, against other processes too.
    fn lock(&self, path: &Path) -> Result<Box<dyn Send + Sync>, LockError>;

    /// Keeps others from taking the lock, for as long as the result lives, without a change to the file. `None` where the
    /// file does not exist: nobody has the lock.
    fn lock_shared(&self, path: &Path) -> Result<Option<Box<dyn Send + Sync>>, LockError>;
}

/// An open file. Positions are explicit: no operation depends on another's.
pub trait DiskFile: RangeSource {
    /// Writes all of `parts`, one after the other, from `position` on: one system call unless it comes up short.
    /// After an error any prefix may have been written.
    fn write_all_at(&self, parts: &[&[u8]], position: u64) -> io::Result<()>;

    /// [`DiskFile::write_all_at`] for what may wait: it leaves alone what is kept back for writes that may not.
    fn write_unreserved_at(&self, parts: &[&[u8]], position: u64) -> io::Result<()> {
        self.write_all_at(parts, position)
    }

    /// Cuts the file, or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Extends a file of zeros, and takes the room for them.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// The file's length.
    fn len(&self) -> io::Result<u64>;

    /// When its bytes were last changed, by the file system's clock.
    fn modified_ms(&self) -> io::Result<TimestampMs>;

    /// Sets that time.
    fn set_modified_ms(&self, modified_ms: TimestampMs) -> io::Result<()>;

    /// Whether the file is empty.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Makes bytes and length durable. After an error nothing is known of what was written since the last success, and
    /// another call may lie.
    fn sync_data(&self) -> io::Result<()>;

    /// Forgets what is held of it in memory, so that reads tell what is on disk. After [`DiskFile::sync_data`].
    fn drop_cached(&self) -> io::Result<()>;
}

/// A file system that can be synced as a whole.
pub trait Filesystem: Send + Sync {
    /// Makes everything durable that was written to it before: bytes, lengths, names. After an error nothing is known,
    /// and another call may lie.
    fn sync(&self) -> io::Result<()>;
}

/// What is left of a file system for this process, and how much there is of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that can be written.
    pub free_bytes: u64,
    /// Bytes that it has.
    pub total_bytes: u64,
    /// Where it counts them.
    pub inodes: Option<Inodes>,
}

/// Files and directories that a file system can still have, and can have at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inodes {
    /// Those that can be created.
    pub free: u64,
    /// All.
    pub total: u64,
}

/// Whether an error says that there is no room: no byte, no inode, or none within the quota.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether an error says that this process, or the system, can have no more files open: nothing was done, and later it may
/// be.
#[must_use]
pub fn is_out_of_files(error: &io::Error) -> bool {
    let errnos = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|errno| errnos.contains(&errno))
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// It has to exist, and is only read.
    ReadOnly,
    /// It has to exist.
    Existing,
    /// It is created where it does not exist.
    Create,
    /// It is created, or emptied where it exists.
    CreateEmpty,
    /// It is created, for its owner alone, and must not exist.
    CreatePrivate,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The name, without the directory.
    pub name: String,
    /// What it names.
    pub kind: EntryKind,
    /// Bytes of a file; 0 for anything else.
    pub len: u64,
}

/// What a name in a directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, a socket, or another thing that has no place in a data directory.
    Other,
}

/// Why a lock was not to be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("held by {}", pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}")))]
    Held {
        /// The holder, where it is known.
        pid: Option<u32>,
    },
    /// The lock file could not be used.
    #[error("{0}")]
    Io(io::Error),
}

/// All bytes of a file.
pub fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    read_all(&*disk.open(path, OpenMode::ReadOnly)?)
}

/// All bytes of an open file.
pub fn read_all(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; len];
    let read = read_full(file, &mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Fills `buffer` from `position` on. Returns how many bytes there were before the end of the file.
pub fn read_full(file: &(impl RangeSource + ?Sized), buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// A length in memory as one in a file. No memory is greater than a file may be.
#[must_use]
pub fn file_len(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Replaces a small file so that a crash leaves the old or the new content: a temporary file, synced, renamed, and the
/// directory synced.
pub fn replace_file(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let replacement = Replacement::write(disk, path, content)?;
    replacement.sync()?;
    replacement.install(disk)?;
    disk.sync_dir(path.parent().unwrap_or_else(|| Path::new(".")))
}

/// The new content of a small file under a temporary name. Apart from [`replace_file`] for those who have to tell a
/// failed write from a failed sync, or who sync the directory later.
pub struct Replacement {
    file: Arc<dyn DiskFile>,
    temporary: PathBuf,
    path: PathBuf,
}

impl Replacement {
    /// Writes the temporary file.
    pub fn write(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<Self> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        let file = disk.open(&temporary, OpenMode::CreateEmpty)?;
        file.write_all_at(&[content], 0)?;
        Ok(Self { file, temporary, path: path.to_owned() })
    }

    /// Makes the content durable.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Puts it in the place of the file. Its name is durable once the directory is synced.
    pub fn install(self, disk: &dyn Disk) -> io::Result<()> {
        drop(self.file);
        disk.rename(&self.temporary, &self.path)
    }
}
