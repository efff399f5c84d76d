//! A file system in memory that fails when told to and forgets what was not synced.
//!
//! Each directory has the entries that programs see and those that a crash would leave; so has each file with its
//! bytes. Between the two lie the operations that were not synced. [`SimDisk::crash`] keeps of a directory's a prefix
//! (file systems order them), and of a file's any subset of its 512-byte sectors and any length in between.
//! Deterministic: the seed and the calls decide everything.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use super::{DirEntry, Disk, DiskFile, EntryKind, Filesystem, LockError, OpenMode};
use crate::{clock::TimestampMs, log::sync::lock, protocol::file_range::RangeSource};

const SECTOR: usize = 512;

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

/// The simulated disk. Clones share the files.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

struct State {
    dirs: BTreeMap<PathBuf, Dir>,
    files: BTreeMap<u64, Content>,
    next_file: u64,
    locked: Vec<PathBuf>,
    /// Whether it can be synced as a whole.
    has_filesystem: bool,
    /// Files opened before a crash are of no use after it.
    generation: u64,
    calls: u64,
    fail_at: Option<(u64, i32)>,
    random: Random,
    /// What files that are written get as their time.
    now_ms: TimestampMs,
}

#[derive(Default)]
struct Dir {
    live: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    /// What leads from `durable` to `live`.
    pending: Vec<Change>,
    /// Whether the directory itself survives: its parent was synced after its creation or renaming.
    parent_synced: bool,
}

#[derive(Clone)]
enum Change {
    Link(String, u64),
    Unlink(String),
    Rename(String, String),
}

#[derive(Default)]
struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
    modified_ms: TimestampMs,
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            dirs: BTreeMap::new(),
            files: BTreeMap::new(),
            next_file: 0,
            locked: Vec::new(),
            has_filesystem: false,
            generation: 0,
            calls: 0,
            fail_at: None,
            random: Random(seed),
            now_ms: 0,
        })))
    }

    /// Lets the disk be synced as a whole from here on, or not any more.
    pub fn set_filesystem(&self, has_filesystem: bool) {
        lock(&self.0).has_filesystem = has_filesystem;
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
        state.fail_at = Some((state.calls + n, errno));
    }

    /// Takes back [`SimDisk::fail_nth`].
    pub fn heal(&self) {
        lock(&self.0).fail_at = None;
    }

    /// Power is lost and comes back. Open files and locks are gone.
    pub fn crash(&self, crash: Crash) {
        let state = &mut *lock(&self.0);
        state.generation += 1;
        state.locked.clear();
        state.fail_at = None;
        if crash != Crash::KeepAll {
            state.lose_entries(crash);
            state.lose_bytes(crash);
        }
    }

    /// Changes bytes behind everybody's back, durably.
    pub fn corrupt(&self, path: &Path, position: usize, bytes: &[u8]) -> io::Result<()> {
        let mut state = lock(&self.0);
        let id = state.find(path)?;
        let content = state.content(id);
        let end = position + bytes.len();
        if content.live.len() < end {
            content.live.resize(end, 0);
        }
        content.live[position..end].copy_from_slice(bytes);
        content.durable = content.live.clone();
        Ok(())
    }
}

impl State {
    /// Counts a call, which fails if it is the chosen one.
    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        match self.fail_at {
            Some((n, errno)) if n == self.calls => Err(io::Error::from_raw_os_error(errno)),
            _ => Ok(()),
        }
    }

    fn dir(&mut self, path: &Path) -> io::Result<&mut Dir> {
        self.dirs.get_mut(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn find(&mut self, path: &Path) -> io::Result<u64> {
        let (parent, name) = split(path)?;
        self.dir(parent)?.live.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn content(&mut self, id: u64) -> &mut Content {
        self.files.entry(id).or_default()
    }

    fn create(&mut self, path: &Path) -> io::Result<u64> {
        let (parent, name) = split(path)?;
        let id = self.next_file;
        let dir = self.dir(parent)?;
        dir.live.insert(name.to_owned(), id);
        dir.pending.push(Change::Link(name.to_owned(), id));
        self.next_file += 1;
        Ok(id)
    }

    fn rename_dir(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if self.dirs.contains_key(to) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let dir = self.dirs.remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.dirs.insert(to.to_owned(), dir);
        Ok(())
    }

    fn lose_entries(&mut self, crash: Crash) {
        let random = &mut self.random;
        self.dirs.retain(|_, dir| dir.parent_synced || (crash == Crash::Tear && random.below(2) == 0));
        for dir in self.dirs.values_mut() {
            let kept = if crash == Crash::Tear { random.below(dir.pending.len() + 1) } else { 0 };
            for change in dir.pending.drain(..).take(kept) {
                change.apply(&mut dir.durable);
            }
            dir.live = dir.durable.clone();
            dir.parent_synced = true;
        }
    }

    fn lose_bytes(&mut self, crash: Crash) {
        for content in self.files.values_mut() {
            if crash == Crash::Tear {
                content.tear(&mut self.random);
            }
            content.live = content.durable.clone();
        }
    }
}

impl Change {
    fn apply(self, entries: &mut BTreeMap<String, u64>) {
        match self {
            Self::Link(name, id) => drop(entries.insert(name, id)),
            Self::Unlink(name) => drop(entries.remove(&name)),
            Self::Rename(from, to) => {
                if let Some(id) = entries.remove(&from) {
                    entries.insert(to, id);
                }
            }
        }
    }
}

impl Content {
    fn tear(&mut self, random: &mut Random) {
        let (least, most) = (self.durable.len().min(self.live.len()), self.durable.len().max(self.live.len()));
        let len = match random.below(3) {
            0 => self.durable.len(),
            1 => self.live.len(),
            _ => least + random.below(most - least + 1),
        };
        self.durable.resize(len, 0);
        for (sector, live) in self.durable.chunks_mut(SECTOR).zip(self.live.chunks(SECTOR)) {
            if random.below(2) == 0 {
                let common = sector.len().min(live.len());
                sector[..common].copy_from_slice(&live[..common]);
            }
        }
    }
}

fn split(path: &Path) -> io::Result<(&Path, &str)> {
    let name = path.file_name().and_then(|name| name.to_str());
    path.parent().zip(name).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

impl Disk for SimDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = lock(&self.0);
        state.call()?;
        let parent_is_root = path.parent().is_none_or(|parent| !state.dirs.contains_key(parent));
        // What lies above the data directory is taken as durable.
        state.dirs.entry(path.to_owned()).or_insert_with(|| Dir { parent_synced: parent_is_root, ..Dir::default() });
        Ok(())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = lock(&self.0);
        state.call()?;
        let id = match state.find(path) {
            Ok(id) => id,
            Err(e) if matches!(mode, OpenMode::ReadOnly | OpenMode::Existing) => return Err(e),
            Err(_) => state.create(path)?,
        };
        if mode == OpenMode::CreateEmpty {
            state.content(id).live.clear();
        }
        Ok(Arc::new(SimFile { disk: self.clone(), id, generation: state.generation }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = lock(&self.0);
        state.call()?;
        if state.dirs.contains_key(from) {
            return state.rename_dir(from, to);
        }
        let ((from_dir, from), (to_dir, to)) = (split(from)?, split(to)?);
        if from_dir != to_dir {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        let dir = state.dir(from_dir)?;
        let id = dir.live.remove(from).ok_or(io::ErrorKind::NotFound)?;
        dir.live.insert(to.to_owned(), id);
        dir.pending.push(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = lock(&self.0);
        state.call()?;
        let (parent, name) = split(path)?;
        let dir = state.dir(parent)?;
        dir.live.remove(name).ok_or(io::ErrorKind::NotFound)?;
        dir.pending.push(Change::Unlink(name.to_owned()));
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = lock(&self.0);
        state.call()?;
        if !state.dir(path)?.live.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        state.dirs.remove(path);
        Ok(())
    }

    fn list_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut state = lock(&self.0);
        state.call()?;
        let files: Vec<_> = state.dir(path)?.live.clone().into_iter().collect();
        let mut entries: Vec<_> = files
            .into_iter()
            .map(|(name, id)| DirEntry { name, kind: EntryKind::File, len: state.content(id).live.len() as u64 })
            .collect();
        let children = state.dirs.keys().filter(|dir| dir.parent() == Some(path));
        entries.extend(children.filter_map(|dir| {
            let name = dir.file_name()?.to_str()?.to_owned();
            Some(DirEntry { name, kind: EntryKind::Directory, len: 0 })
        }));
        Ok(entries)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = lock(&self.0);
        state.call()?;
        let dir = state.dir(path)?;
        dir.durable = dir.live.clone();
        dir.pending.clear();
        for (child, dir) in &mut state.dirs {
            dir.parent_synced |= child.parent() == Some(path);
        }
        Ok(())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let mut state = lock(&self.0);
        state.call()?;
        Ok(state.dirs.contains_key(path) || state.find(path).is_ok())
    }

    fn filesystem(&self, _path: &Path) -> io::Result<Option<Box<dyn Filesystem>>> {
        let mut state = lock(&self.0);
        state.call()?;
        let generation = state.generation;
        let filesystem = state.has_filesystem.then(|| SimFilesystem { disk: self.clone(), generation });
        Ok(filesystem.map(|filesystem| Box::new(filesystem) as Box<dyn Filesystem>))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Send + Sync>, LockError> {
        let mut state = lock(&self.0);
        state.call().map_err(LockError::Io)?;
        if state.locked.iter().any(|locked| locked == path) {
            return Err(LockError::Held { pid: None });
        }
        if state.find(path).is_err() {
            state.create(path).map_err(LockError::Io)?;
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
        let mut state = lock(&self.disk.0);
        if state.generation != self.generation {
            return Err(io::Error::other("opened before the crash"));
        }
        state.call()?;
        for dir in state.dirs.values_mut() {
            dir.durable = dir.live.clone();
            dir.pending.clear();
            dir.parent_synced = true;
        }
        state.files.values_mut().for_each(|content| content.durable.clone_from(&content.live));
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
    /// Counts a call and works on the file. `half` is what a failing write leaves behind.
    fn with<T>(&self, half: impl FnOnce(&mut Content), whole: impl FnOnce(&mut Content) -> T) -> io::Result<T> {
        let mut state = lock(&self.disk.0);
        if state.generation != self.generation {
            return Err(io::Error::other("opened before the crash"));
        }
        let called = state.call();
        let content = state.content(self.id);
        match called {
            Ok(()) => Ok(whole(content)),
            Err(e) => {
                half(content);
                Err(e)
            }
        }
    }
}

impl SimFile {
    /// Notes the time, for a write.
    fn touch(&self) {
        let mut state = lock(&self.disk.0);
        let now_ms = state.now_ms;
        state.content(self.id).modified_ms = now_ms;
    }
}

impl RangeSource for SimFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let position = usize::try_from(position).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.with(
            |_| (),
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
        self.with(
            |content| content.write(&bytes[..bytes.len() / 2], position),
            |content| content.write(&bytes, position),
        )
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.touch();
        self.with(|_| (), |content| content.live.resize(len, 0))
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|_| (), |content| content.live.len() as u64)
    }

    fn modified_ms(&self) -> io::Result<TimestampMs> {
        self.with(|_| (), |content| content.modified_ms)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|_| (), |content| content.durable.clone_from(&content.live))
    }
}

impl Content {
    fn write(&mut self, bytes: &[u8], position: usize) {
        let end = position + bytes.len();
        if self.live.len() < end {
            self.live.resize(end, 0);
        }
        self.live[position..end].copy_from_slice(bytes);
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    /// A number below `bound`, which is at least 1.
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % bound as u64).expect("less than a usize")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::disk::read_file;

    fn disk_with_file() -> (SimDisk, PathBuf, Arc<dyn DiskFile>) {
        let disk = SimDisk::new(1);
        disk.create_dir(Path::new("/d")).expect("created");
        let path = PathBuf::from("/d/f");
        let file = disk.open(&path, OpenMode::Create).expect("created");
        (disk, path, file)
    }

    #[test]
    fn a_crash_loses_what_was_not_synced() {
        let (disk, path, file) = disk_with_file();
        file.write_all_at(&[b"synced"], 0).expect("written");
        file.sync_data().expect("synced");
        disk.sync_dir(Path::new("/d")).expect("synced");
        file.write_all_at(&[b"SYNCED and more"], 0).expect("written");
        disk.open(Path::new("/d/g"), OpenMode::Create).expect("created");
        disk.crash(Crash::LoseAll);
        assert_eq!(read_file(&disk, &path).expect("still there"), b"synced");
        assert!(!disk.exists(Path::new("/d/g")).expect("answered"));
        assert!(file.len().is_err(), "a file from before the crash");
    }

    #[test]
    fn an_unsynced_entry_takes_its_synced_bytes_along() {
        let (disk, path, file) = disk_with_file();
        file.write_all_at(&[b"bytes"], 0).expect("written");
        file.sync_data().expect("synced");
        disk.crash(Crash::LoseAll);
        assert!(!disk.exists(&path).expect("answered"));
    }

    #[test]
    fn a_torn_file_mixes_old_and_new_sectors() {
        let (disk, path, file) = disk_with_file();
        let (old, new) = (vec![1; 64 * SECTOR], vec![2; 64 * SECTOR]);
        file.write_all_at(&[&old], 0).expect("written");
        file.sync_data().expect("synced");
        disk.sync_dir(Path::new("/d")).expect("synced");
        file.write_all_at(&[&new], 0).expect("written");
        disk.crash(Crash::Tear);
        let bytes = read_file(&disk, &path).expect("still there");
        assert_eq!(bytes.len(), old.len());
        assert!(bytes.chunks(SECTOR).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
        assert!(bytes.contains(&1) && bytes.contains(&2));
    }

    #[test]
    fn the_chosen_call_fails_and_a_write_is_short() {
        let (disk, path, file) = disk_with_file();
        disk.fail_nth(2, 28);
        file.write_all_at(&[b"abcd"], 0).expect("the first call");
        let error = file.write_all_at(&[b"efgh"], 4).expect_err("the second call");
        assert_eq!(error.raw_os_error(), Some(28));
        assert_eq!(read_file(&disk, &path).expect("the next calls are fine"), b"abcdef");
    }
}
