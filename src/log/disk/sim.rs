//! A file system in memory that fails when told to and forgets what was not synced.
//!
//! Each directory has the entries that programs see and those that a crash would leave, subdirectories among them; so has
//! each file with its bytes. Between the two lie the operations that were not synced. [`SimDisk::crash`] keeps of a
//! directory's a prefix (file systems order them; those of different directories they do not), and of a file's any subset
//! of its 512-byte sectors and any length in between. A sync that fails loses a part for good: the next one has nothing to
//! do, and says that all is well. Deterministic: the seed and the calls decide everything.
//!
//! It has no end, unless [`SimDisk::set_capacity`] gives it one.

mod content;
pub(in crate::log) mod random;
#[cfg(test)]
mod tests;
mod tree;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use self::{content::Content, random::Random, tree::Tree};
use super::{DirEntry, Disk, DiskFile, EntryKind, Filesystem, Inodes, LockError, OpenMode, Room, is_out_of_files};
use crate::{clock::TimestampMs, log::sync::lock, protocol::file_range::RangeSource};

/// What a crash leaves of the writes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Nothing.
    LoseAll,
    /// Everything: a killed process under a living operating system.
    KeepAll,
    /// A random part, torn at sectors.
    Tear,
}

const ENOSPC: i32 = 28;
/// Files take whole blocks.
const BLOCK: u64 = 4096;

/// The simulated disk. Clones share the files.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

struct State {
    tree: Tree,
    locked: Vec<PathBuf>,
    /// Whether it can be synced as a whole.
    has_filesystem: bool,
    /// Files opened before a crash are of no use after it.
    generation: u64,
    calls: u64,
    failure: Option<Failure>,
    interruption: Option<Interruption>,
    capacity: Option<Capacity>,
    random: Random,
    /// What files that are written get as their time.
    now_ms: TimestampMs,
}

/// How much there is room for.
#[derive(Clone, Copy)]
struct Capacity {
    bytes: u64,
    inodes: u64,
    /// What other programs have of it.
    others: (u64, u64),
}

/// What is done before a call.
struct Interruption {
    at: u64,
    work: Box<dyn FnOnce() + Send>,
}

/// Which calls fail.
struct Failure {
    first: u64,
    last: u64,
    errno: i32,
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            tree: Tree::default(),
            locked: Vec::new(),
            has_filesystem: false,
            generation: 0,
            calls: 0,
            failure: None,
            interruption: None,
            capacity: None,
            random: Random(seed),
            now_ms: 0,
        })))
    }

    /// Another disk with the same files, of which none is open or locked.
    #[must_use]
    pub fn copy(&self, seed: u64) -> Self {
        let copy = Self::new(seed);
        lock(&copy.0).tree = lock(&self.0).tree.clone();
        copy
    }

    /// Lets the disk be synced as a whole from here on, or not any more.
    pub fn set_filesystem(&self, has_filesystem: bool) {
        lock(&self.0).has_filesystem = has_filesystem;
    }

    /// Gives it an end: room for so many bytes, in whole blocks, and for so many files and directories.
    pub fn set_capacity(&self, bytes: u64, inodes: u64) {
        lock(&self.0).capacity = Some(Capacity { bytes, inodes, others: (0, 0) });
    }

    /// Has other programs take of a disk with an end what they need to leave this much.
    pub fn leave(&self, bytes: u64, inodes: u64) {
        let mut state = lock(&self.0);
        let (used_bytes, used_inodes) = state.tree.usage(BLOCK);
        if let Some(capacity) = &mut state.capacity {
            let others = |all: u64, used: u64, left: u64| all.saturating_sub(used).saturating_sub(left);
            capacity.others = (others(capacity.bytes, used_bytes, bytes), others(capacity.inodes, used_inodes, inodes));
        }
    }

    /// Sets the clock of the file system.
    pub fn set_time(&self, now_ms: TimestampMs) {
        lock(&self.0).now_ms = now_ms;
    }

    /// How many calls there have been. A write that fails halfway counts once.
    #[must_use]
    pub fn calls(&self) -> u64 {
        lock(&self.0).calls
    }

    /// Lets the `n`-th call from now (1 is the next) fail with this `errno`. A write then writes half of its bytes.
    pub fn fail_nth(&self, n: u64, errno: i32) {
        let mut state = lock(&self.0);
        let at = state.calls + n;
        state.failure = Some(Failure { first: at, last: at, errno });
    }

    /// Lets the `n`-th call from now and all that follow fail, until [`SimDisk::heal`] or a crash.
    pub fn fail_from(&self, n: u64, errno: i32) {
        let mut state = lock(&self.0);
        let first = state.calls + n;
        state.failure = Some(Failure { first, last: u64::MAX, errno });
    }

    /// Has `work` done, on the caller's thread, before the `n`-th call from now, if that is one that names a path.
    pub fn interrupt_nth(&self, n: u64, work: impl FnOnce() + Send + 'static) {
        let mut state = lock(&self.0);
        let at = state.calls + n;
        state.interruption = Some(Interruption { at, work: Box::new(work) });
    }

    /// Whether a call has failed since it was told to.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        let state = lock(&self.0);
        state.failure.as_ref().is_some_and(|failure| failure.first <= state.calls)
    }

    /// Takes back [`SimDisk::fail_nth`] and [`SimDisk::fail_from`].
    pub fn heal(&self) {
        lock(&self.0).failure = None;
    }

    /// Power is lost and comes back. Open files and locks are gone.
    pub fn crash(&self, crash: Crash) {
        let state = &mut *lock(&self.0);
        state.generation += 1;
        state.locked.clear();
        state.failure = None;
        state.tree.crash(crash, &mut state.random);
    }

    /// Changes bytes behind everybody's back, durably.
    pub fn corrupt(&self, path: &Path, position: usize, bytes: &[u8]) -> io::Result<()> {
        let mut state = lock(&self.0);
        let id = state.tree.file_id(path)?;
        let content = state.tree.file(id);
        content.write(bytes, position);
        content.set_durable();
        Ok(())
    }

    /// The state, after a call was counted that opens a file or a directory.
    fn opened(&self) -> io::Result<MutexGuard<'_, State>> {
        self.interrupt();
        let mut state = lock(&self.0);
        state.call()?;
        Ok(state)
    }

    /// The state, after a call was counted that opens nothing.
    fn called(&self) -> io::Result<MutexGuard<'_, State>> {
        self.interrupt();
        let mut state = lock(&self.0);
        state.call_unopened()?;
        Ok(state)
    }

    fn interrupt(&self) {
        let mut state = lock(&self.0);
        let next = state.calls + 1;
        let due = state.interruption.take_if(|interruption| interruption.at == next);
        drop(state);
        if let Some(Interruption { work, .. }) = due {
            work();
        }
    }
}

impl State {
    /// Counts a call, which fails if it is a chosen one.
    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        match &self.failure {
            Some(failure) if (failure.first..=failure.last).contains(&self.calls) => {
                Err(io::Error::from_raw_os_error(failure.errno))
            }
            _ => Ok(()),
        }
    }

    /// The same for a call that opens nothing: it does not fail because too many files are open.
    fn call_unopened(&mut self) -> io::Result<()> {
        match self.call() {
            Err(error) if is_out_of_files(&error) => Ok(()),
            called => called,
        }
    }

    /// What is left, where it has an end.
    fn room(&mut self) -> Option<Room> {
        let Capacity { bytes, inodes, others } = self.capacity?;
        let (used_bytes, used_inodes) = self.tree.usage(BLOCK);
        Some(Room {
            free_bytes: bytes.saturating_sub(used_bytes + others.0),
            total_bytes: bytes,
            inodes: Some(Inodes { free: inodes.saturating_sub(used_inodes + others.1), total: inodes }),
        })
    }

    /// Fails where there is no room for one more file or directory.
    fn need_inode(&mut self) -> io::Result<()> {
        match self.room().and_then(|room| room.inodes) {
            Some(Inodes { free: 0, .. }) => Err(io::Error::from_raw_os_error(ENOSPC)),
            _ => Ok(()),
        }
    }

    /// How long a file of `len` bytes can become on the way to `wanted`.
    fn reach(&mut self, len: usize, wanted: usize) -> usize {
        let Some(room) = self.room() else { return wanted };
        let most = (len as u64).next_multiple_of(BLOCK) + room.free_bytes / BLOCK * BLOCK;
        wanted.min(usize::try_from(most).unwrap_or(usize::MAX))
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.called()?;
        if state.tree.find(path).is_err() {
            state.need_inode()?;
        }
        state.tree.create_dir(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.opened()?;
        let id = match state.tree.file_id(path) {
            Ok(_) if mode == OpenMode::CreatePrivate => return Err(io::ErrorKind::AlreadyExists.into()),
            Ok(id) => id,
            Err(e)
                if matches!(mode, OpenMode::ReadOnly | OpenMode::Existing) || e.kind() != io::ErrorKind::NotFound =>
            {
                return Err(e);
            }
            Err(_) => {
                state.need_inode()?;
                state.tree.create_file(path)?
            }
        };
        if mode == OpenMode::CreateEmpty {
            state.tree.file(id).set_len(0);
        }
        Ok(Arc::new(SimFile { disk: self.clone(), id, generation: state.generation }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.called()?.tree.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.called()?.tree.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.called()?.tree.remove_dir(path)
    }

    fn list_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut state = self.opened()?;
        let names = state.tree.dir(path)?.live.clone();
        let entries = names.into_iter().map(|(name, id)| match state.tree.file_len(id) {
            Some(len) => DirEntry { name, kind: EntryKind::File, len },
            None => DirEntry { name, kind: EntryKind::Directory, len: 0 },
        });
        Ok(entries.collect())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.opened()?.tree.dir(path)?.sync();
        Ok(())
    }

    fn make_private(&self, path: &Path) -> io::Result<bool> {
        // There is nobody else.
        self.called()?.tree.find(path).map(|_| false)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.called()?.tree.find(path).is_ok())
    }

    fn filesystem(&self, _path: &Path) -> io::Result<Option<Box<dyn Filesystem>>> {
        let state = self.opened()?;
        let generation = state.generation;
        let filesystem = state.has_filesystem.then(|| SimFilesystem { disk: self.clone(), generation });
        Ok(filesystem.map(|filesystem| Box::new(filesystem) as Box<dyn Filesystem>))
    }

    fn room(&self, _path: &Path) -> io::Result<Option<Room>> {
        // Not counted: it is asked for at every turn, and changes nothing.
        Ok(lock(&self.0).room())
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Send + Sync>, LockError> {
        let mut state = self.opened().map_err(LockError::Io)?;
        if state.locked.iter().any(|locked| locked == path) {
            return Err(LockError::Held { pid: None });
        }
        if state.tree.file_id(path).is_err() {
            state.need_inode().map_err(LockError::Io)?;
            state.tree.create_file(path).map_err(LockError::Io)?;
        }
        state.locked.push(path.to_owned());
        Ok(Box::new(SimLock { disk: self.clone(), path: path.to_owned(), generation: state.generation }))
    }

    fn lock_shared(&self, path: &Path) -> Result<Option<Box<dyn Send + Sync>>, LockError> {
        if !self.exists(path).map_err(LockError::Io)? {
            return Ok(None);
        }
        // Stricter than it has to be: only one at a time.
        self.lock(path).map(Some)
    }
}

struct SimFilesystem {
    disk: SimDisk,
    generation: u64,
}

impl Filesystem for SimFilesystem {
    fn sync(&self) -> io::Result<()> {
        let state = &mut *lock(&self.disk.0);
        if state.generation != self.generation {
            return Err(io::Error::other("opened before the crash"));
        }
        match state.call_unopened() {
            Ok(()) => state.tree.sync(),
            Err(e) => {
                state.tree.fail_sync(&mut state.random);
                return Err(e);
            }
        }
        Ok(())
    }
}

struct SimLock {
    disk: SimDisk,
    path: PathBuf,
    generation: u64,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = lock(&self.disk.0);
        if state.generation == self.generation {
            state.locked.retain(|locked| *locked != self.path);
        }
    }
}

struct SimFile {
    disk: SimDisk,
    id: u64,
    generation: u64,
}

impl SimFile {
    /// Counts a call and works on the file. `failing` is what a failing call does to it.
    fn with<T>(
        &self,
        failing: impl FnOnce(&mut Content, &mut Random),
        working: impl FnOnce(&mut Content) -> T,
    ) -> io::Result<T> {
        let state = &mut *lock(&self.disk.0);
        if state.generation != self.generation {
            return Err(io::Error::other("opened before the crash"));
        }
        let called = state.call_unopened();
        let content = state.tree.file(self.id);
        match called {
            Ok(()) => Ok(working(content)),
            Err(e) => {
                failing(content, &mut state.random);
                Err(e)
            }
        }
    }
}

impl SimFile {
    /// How long it can become on the way to `wanted` bytes.
    fn fitting(&self, wanted: usize) -> usize {
        let mut state = lock(&self.disk.0);
        let len = state.tree.file(self.id).live.len();
        state.reach(len, wanted)
    }

    /// Notes the time, for a write.
    fn touch(&self) {
        let mut state = lock(&self.disk.0);
        let now_ms = state.now_ms;
        state.tree.file(self.id).modified_ms = now_ms;
    }
}

impl RangeSource for SimFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let position = usize::try_from(position).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.with(
            |_, _| (),
            |content| {
                let available = content.live.get(position..).unwrap_or_default();
                let len = available.len().min(buffer.len());
                buffer[..len].copy_from_slice(&available[..len]);
                len
            },
        )
    }
}

impl DiskFile for SimFile {
    fn write_all_at(&self, parts: &[&[u8]], position: u64) -> io::Result<()> {
        let position = usize::try_from(position).map_err(|_| io::ErrorKind::InvalidInput)?;
        let bytes = parts.concat();
        self.touch();
        let fitting = self.fitting(position + bytes.len()).saturating_sub(position).min(bytes.len());
        self.with(
            |content, _| content.write(&bytes[..fitting.min(bytes.len() / 2)], position),
            |content| content.write(&bytes[..fitting], position),
        )?;
        if fitting < bytes.len() { Err(io::Error::from_raw_os_error(ENOSPC)) } else { Ok(()) }
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        let fits = self.fitting(len) == len;
        self.with(
            |_, _| (),
            |content| {
                if fits {
                    content.set_len(len)
                }
            },
        )?;
        if fits { Ok(()) } else { Err(io::Error::from_raw_os_error(ENOSPC)) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.with(|_, _| (), |content| content.set_len(len))
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|_, _| (), |content| content.live.len() as u64)
    }

    fn modified_ms(&self) -> io::Result<TimestampMs> {
        self.with(|_, _| (), |content| content.modified_ms)
    }

    fn set_modified_ms(&self, modified_ms: TimestampMs) -> io::Result<()> {
        self.with(|_, _| (), |content| content.modified_ms = modified_ms)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(Content::fail_sync, Content::sync)
    }

    fn drop_cached(&self) -> io::Result<()> {
        self.with(|_, _| (), Content::drop_cached)
    }
}
