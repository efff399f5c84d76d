//! A bounded number of open files for an unbounded number of partitions.
//!
//! A [`PooledFile`] knows its path and is opened when it is used. Above the bound the pool closes a file that was not
//! used lately (second chance). Whoever holds the `Arc` of a file keeps it alive, so closing never disturbs a read.
//!
//! A file with unsynced writes is synced before it is closed: an error of its write-back must not vanish with the last
//! descriptor. A failed sync is remembered, and every later [`PooledFile::sync`] repeats it, for the kernel would not.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, RwLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    disk::{Disk, DiskFile, OpenMode},
    distrust,
    reserve::{Reserve, ReservedDisk},
    sync::{lock, read, write},
};

/// A partition's directory, whose name changes when the partition is deleted.
#[derive(Debug)]
pub struct Directory(RwLock<PathBuf>);

impl Directory {
    /// The directory at `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Arc<Self> {
        Arc::new(Self(RwLock::new(path)))
    }

    /// Where it is now.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        read(&self.0).clone()
    }

    /// The path of a file in it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        read(&self.0).join(name)
    }

    /// Renames it on `disk`. Nobody opens a file by the old name from then on.
    pub fn rename(&self, disk: &dyn Disk, to: PathBuf) -> io::Result<()> {
        let mut path = write(&self.0);
        disk.rename(&path, &to)?;
        *path = to;
        Ok(())
    }
}

/// What kind of a segment's files one is. The number in front of the suffix is the segment's base offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// `.log`: record batches.
    Log,
    /// `.index`: offset to position.
    OffsetIndex,
    /// `.timeindex`: timestamp to offset.
    TimeIndex,
    /// `.txnindex`: aborted transactions.
    TransactionIndex,
}

impl FileKind {
    /// All of them; a start takes a segment for one that has the first.
    pub(super) const ALL: [Self; 4] = [Self::Log, Self::OffsetIndex, Self::TimeIndex, Self::TransactionIndex];

    /// What the file's name ends with.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Log => ".log",
            Self::OffsetIndex => ".index",
            Self::TimeIndex => ".timeindex",
            Self::TransactionIndex => ".txnindex",
        }
    }

    /// The name of the file of this kind in the segment at `base_offset`: 20 digits and the suffix.
    #[must_use]
    pub fn file_name(self, base_offset: i64) -> String {
        format!("{base_offset:020}{}", self.suffix())
    }
}

/// Under which name a file stands: one that is to take the place of another gets there in two steps, so that a start can
/// tell whether it was ready (Kafka's `replaceSegments`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Its own.
    #[default]
    InPlace,
    /// It is being written: a start removes it.
    Cleaned,
    /// It is whole: a start gives it its name.
    Swap,
}

impl Stage {
    /// What follows the file's own name.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::InPlace => "",
            Self::Cleaned => ".cleaned",
            Self::Swap => ".swap",
        }
    }
}

/// The open files of a data directory.
pub struct FilePool {
    disk: Arc<dyn Disk>,
    reserve: Arc<Reserve>,
    /// The data directory.
    path: PathBuf,
    open_max: usize,
    /// Open files, the one to be looked at first for closing in front.
    open: Mutex<VecDeque<Weak<Slot>>>,
}

#[derive(Default)]
struct Slot {
    file: Mutex<Option<Arc<dyn DiskFile>>>,
    /// Used since the pool last looked.
    used: AtomicBool,
    /// Written since the last sync. Set after a write and before anybody is told of it.
    dirty: AtomicBool,
    /// Its name is taken from it: nobody opens or creates it any more.
    retired: AtomicBool,
    /// Held during a sync, so that nobody takes a file for clean that is just being synced. The error of a failed one.
    sync_failure: Mutex<Option<(io::ErrorKind, String)>>,
}

impl FilePool {
    /// A pool for the data directory at `path` that keeps at most about `open_max` files open. Those in use at the moment come on top.
    pub fn new(disk: Arc<dyn Disk>, path: &Path, open_max: usize) -> Arc<Self> {
        let reserve = Reserve::new(Arc::clone(&disk), path);
        let disk = Arc::new(ReservedDisk::new(disk, Arc::clone(&reserve)));
        Arc::new(Self { disk, reserve, path: path.to_owned(), open_max: open_max.max(1), open: Mutex::default() })
    }

    /// The disk that the files are on. What is written there falls back on the reserve.
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// The same, for others who write to it.
    pub(super) fn shared_disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    /// What is kept back on it.
    pub(super) fn reserve(&self) -> &Reserve {
        &self.reserve
    }

    fn admit(&self, slot: &Arc<Slot>) {
        let victims = self.register(slot);
        for victim in victims {
            if victim.close_synced().is_err() {
                tracing::warn!("a file that was to be closed could not be synced");
                distrust::leave(&*self.disk, &self.path);
            }
        }
    }

    /// Adds an open file and takes out what is too much.
    fn register(&self, slot: &Arc<Slot>) -> Vec<Arc<Slot>> {
        let mut open = lock(&self.open);
        open.push_back(Arc::downgrade(slot));
        let mut victims = Vec::new();
        let mut chances = open.len();
        while open.len() > self.open_max {
            let Some(candidate) = open.pop_front() else { break };
            let Some(candidate) = candidate.upgrade() else { continue };
            if Arc::ptr_eq(&candidate, slot) || (candidate.used.swap(false, Ordering::Relaxed) && chances > 0) {
                open.push_back(Arc::downgrade(&candidate));
                chances = chances.saturating_sub(1);
            } else {
                victims.push(candidate);
            }
        }
        victims
    }
}

impl Slot {
    fn close_synced(&self) -> io::Result<()> {
        let mut file = lock(&self.file);
        let synced = file.as_deref().map_or(Ok(()), |open| self.sync(|| open.sync_data()));
        *file = None;
        synced
    }

    /// Waits for a sync that is under way.
    fn wait_for_sync(&self) -> io::Result<()> {
        check(&lock(&self.sync_failure))
    }

    /// Syncs with `sync_data` if there are writes to be synced. It must not ask for another file.
    fn sync(&self, sync_data: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut failure = lock(&self.sync_failure);
        check(&failure)?;
        if !self.dirty.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        sync_data().inspect_err(|e| *failure = Some((e.kind(), e.to_string())))
    }
}

fn check(failure: &Option<(io::ErrorKind, String)>) -> io::Result<()> {
    failure.as_ref().map_or(Ok(()), |(kind, text)| Err(io::Error::new(*kind, text.clone())))
}

/// A file of a segment, open or not.
pub struct PooledFile {
    pool: Arc<FilePool>,
    dir: Arc<Directory>,
    base_offset: i64,
    kind: FileKind,
    stage: Mutex<Stage>,
    slot: Arc<Slot>,
}

impl PooledFile {
    /// The file of `kind` that belongs to the segment at `base_offset` in `dir`. Nothing is opened.
    #[must_use]
    pub fn new(pool: Arc<FilePool>, dir: Arc<Directory>, base_offset: i64, kind: FileKind) -> Self {
        Self { pool, dir, base_offset, kind, stage: Mutex::default(), slot: Arc::default() }
    }

    /// The same, under the name of this stage.
    #[must_use]
    pub fn at_stage(self, stage: Stage) -> Self {
        Self { stage: Mutex::new(stage), ..self }
    }

    /// Under which name it stands.
    #[must_use]
    pub fn stage(&self) -> Stage {
        *lock(&self.stage)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.path_at(self.stage())
    }

    fn path_at(&self, stage: Stage) -> PathBuf {
        self.dir.join(&(self.kind.file_name(self.base_offset) + stage.suffix()))
    }

    /// Gives it the name of another stage. Whoever reads it goes on, and nobody opens it by the old name meanwhile.
    pub fn rename(&self, to: Stage) -> io::Result<()> {
        let mut slot = lock(&self.slot.file);
        *slot = None;
        let mut stage = lock(&self.stage);
        if *stage == to {
            return Ok(());
        }
        self.pool.disk.rename(&self.path_at(*stage), &self.path_at(to))?;
        *stage = to;
        Ok(())
    }

    /// The same for a file that need not exist.
    pub fn rename_if_there(&self, to: Stage) -> io::Result<()> {
        match self.rename(to) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                *lock(&self.stage) = to;
                Ok(())
            }
            renamed => renamed,
        }
    }

    /// Opens it if it is not open.
    pub fn get(&self) -> io::Result<Arc<dyn DiskFile>> {
        self.get_as(OpenMode::Existing)
    }

    /// Creates it, empty.
    pub fn create(&self) -> io::Result<()> {
        self.close();
        self.get_as(OpenMode::CreateEmpty)?;
        self.slot.dirty.store(true, Ordering::Release);
        Ok(())
    }

    /// Writes `parts` from `position` on. After an error any prefix may have been written.
    pub fn write_all_at(&self, parts: &[&[u8]], position: u64) -> io::Result<()> {
        let result = self.get()?.write_all_at(parts, position);
        self.slot.dirty.store(true, Ordering::Release);
        result
    }

    /// The same for what may wait until there is room: it leaves the reserve alone.
    pub fn write_unreserved_at(&self, parts: &[&[u8]], position: u64) -> io::Result<()> {
        let result = self.get()?.write_unreserved_at(parts, position);
        self.slot.dirty.store(true, Ordering::Release);
        result
    }

    /// Cuts or extends the file.
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        let result = self.get()?.set_len(len);
        self.slot.dirty.store(true, Ordering::Release);
        result
    }

    /// Makes what was written durable. A failure is final: every later call fails too.
    pub fn sync(&self) -> io::Result<()> {
        if !self.is_dirty() {
            return self.slot.wait_for_sync();
        }
        // Opened before the sync begins: opening may close another file, and that one may wait for this one's turn.
        let file = match self.get() {
            Err(_) if self.is_retired() => return Ok(()),
            file => file?,
        };
        self.slot.sync(|| file.sync_data())
    }

    /// Whether it was written since the last sync.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.slot.dirty.load(Ordering::Acquire)
    }

    /// Takes it for written: another process, or this one before a restart, may have left bytes in the page cache.
    pub fn set_dirty(&self) {
        self.slot.dirty.store(true, Ordering::Release);
    }

    /// Takes it for synced: the file system is about to be synced as a whole, and if that fails, everything is over. Tells of
    /// a sync of this file that failed before.
    pub fn begin_sync_by_others(&self) -> io::Result<()> {
        self.slot.sync(|| Ok(()))
    }

    /// Closes it. It is opened again when it is used again.
    pub fn close(&self) {
        *lock(&self.slot.file) = None;
    }

    /// Closes it for good: its name is about to be another, and what was not synced need not be. Whoever reads it goes on.
    pub(super) fn retire(&self) {
        self.slot.retired.store(true, Ordering::Release);
        self.close();
        let _no_sync_under_way = lock(&self.slot.sync_failure);
        self.slot.dirty.store(false, Ordering::Release);
    }

    fn is_retired(&self) -> bool {
        self.slot.retired.load(Ordering::Acquire)
    }

    fn get_as(&self, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut slot = lock(&self.slot.file);
        if self.is_retired() {
            return Err(io::ErrorKind::NotFound.into());
        }
        if let Some(file) = &*slot {
            self.slot.used.store(true, Ordering::Relaxed);
            return Ok(Arc::clone(file));
        }
        let file = self.pool.disk.open(&self.path(), mode)?;
        *slot = Some(Arc::clone(&file));
        drop(slot);
        self.pool.admit(&self.slot);
        Ok(file)
    }
}

/// Reads the base offset off a file name: the digits in front of the first dot.
#[must_use]
pub fn base_offset_of(name: &str) -> Option<i64> {
    let digits = name.split('.').next()?;
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if valid { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::log::disk::sim::SimDisk;

    fn pool(open_max: usize) -> (SimDisk, Arc<FilePool>, Arc<Directory>) {
        let disk = SimDisk::new(1);
        disk.create_dir(Path::new("/d")).expect("created");
        let pool = FilePool::new(Arc::new(disk.clone()), Path::new("/d"), open_max);
        (disk, pool, Directory::new("/d".into()))
    }

    fn is_open(file: &PooledFile) -> bool {
        lock(&file.slot.file).is_some()
    }

    #[test]
    fn the_bound_closes_files_that_were_not_used_lately() {
        let (_, pool, dir) = pool(2);
        let files: Vec<_> =
            (0..4).map(|base| PooledFile::new(Arc::clone(&pool), Arc::clone(&dir), base, FileKind::Log)).collect();
        for file in &files {
            file.create().expect("created");
            files[0].get().expect("in use");
        }
        assert_eq!(files.iter().filter(|file| is_open(file)).count(), 2);
        assert!(is_open(&files[3]), "the newest stays");
        for file in &files {
            file.write_all_at(&[b"x"], 0).expect("opened again");
        }
    }

    #[test]
    fn a_dirty_file_is_synced_before_it_is_closed() {
        let (disk, pool, dir) = pool(1);
        let file = PooledFile::new(Arc::clone(&pool), Arc::clone(&dir), 0, FileKind::Log);
        file.create().expect("created");
        file.write_all_at(&[b"bytes"], 0).expect("written");
        disk.sync_dir(Path::new("/d")).expect("synced");
        let other = PooledFile::new(pool, dir, 1, FileKind::Log);
        other.create().expect("created");
        assert!(!is_open(&file));
        disk.crash(crate::log::disk::sim::Crash::LoseAll);
        let left = crate::log::disk::read_file(&disk, &file.path()).expect("there");
        assert_eq!(left, b"bytes");
    }

    #[test]
    fn files_that_are_synced_and_closed_for_each_other_do_not_wait_for_each_other() {
        let (_, pool, dir) = pool(1);
        let (done, all_done) = std::sync::mpsc::channel();
        for base in 0..3 {
            let file = PooledFile::new(Arc::clone(&pool), Arc::clone(&dir), base, FileKind::Log);
            file.create().expect("created");
            let done = done.clone();
            std::thread::spawn(move || {
                for _ in 0..30_000 {
                    file.write_all_at(&[b"bytes"], 0).expect("written");
                    file.sync().expect("synced");
                }
                done.send(()).expect("somebody waits");
            });
        }
        for _ in 0..3 {
            all_done.recv_timeout(std::time::Duration::from_secs(20)).expect("no thread is stuck");
        }
    }

    #[test]
    fn a_failed_sync_stays_failed() {
        let (disk, pool, dir) = pool(4);
        let file = PooledFile::new(pool, dir, 0, FileKind::Log);
        file.create().expect("created");
        file.write_all_at(&[b"bytes"], 0).expect("written");
        disk.fail_nth(1, 5);
        assert!(file.sync().is_err());
        assert!(file.sync().is_err(), "the second call must not say that all is well");
    }

    #[test]
    fn a_retired_file_is_neither_opened_nor_synced() {
        let (disk, pool, dir) = pool(4);
        let file = PooledFile::new(pool, dir, 0, FileKind::Log);
        file.create().expect("created");
        file.write_all_at(&[b"bytes"], 0).expect("written");
        let reader = file.get().expect("open");
        file.retire();
        disk.rename(&file.path(), Path::new("/d/gone")).expect("renamed");
        assert!(file.get().is_err() && file.create().is_err());
        file.sync().expect("there is nothing to be synced");
        assert!(!disk.exists(&file.path()).expect("answered"), "it was not created again");
        assert_eq!(reader.len().expect("still open"), 5);
        file.set_dirty();
        file.sync().expect("a write that came too late does not matter");
    }

    #[test]
    fn a_file_is_found_by_its_new_name() {
        let (disk, pool, dir) = pool(4);
        let file = PooledFile::new(pool, dir, 7, FileKind::Log).at_stage(Stage::Cleaned);
        file.create().expect("created");
        file.write_all_at(&[b"bytes"], 0).expect("written");
        let reader = file.get().expect("open");
        for (stage, name) in
            [(Stage::Swap, "00000000000000000007.log.swap"), (Stage::InPlace, "00000000000000000007.log")]
        {
            file.rename(stage).expect("renamed");
            assert!(disk.exists(&Path::new("/d").join(name)).expect("answered"));
            assert_eq!((file.get().expect("open").len(), reader.len()).1.expect("still open"), 5);
        }
        assert_eq!(disk.list_dir(Path::new("/d")).expect("listed").len(), 1);
        disk.fail_nth(1, 5);
        assert!(file.rename(Stage::Swap).is_err());
        assert_eq!(file.get().expect("still there").len().expect("known"), 5);
    }

    #[test]
    fn names_are_kafkas() {
        assert_eq!(FileKind::TimeIndex.file_name(42), "00000000000000000042.timeindex");
        assert_eq!(base_offset_of("00000000000000000042.log.swap"), Some(42));
        assert_eq!(base_offset_of("partition.metadata"), None);
        assert_eq!(base_offset_of(".log"), None);
    }
}
