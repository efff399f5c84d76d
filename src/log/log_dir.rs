//! The data directory: its lock, its checkpoints, the partitions in it.
//!
//! A stop that flushed everything leaves `.kafka_cleanshutdown`. It is believed once: it is gone, durably, before the
//! first partition is opened, so that a crash from then on counts as one. With it no file is opened that is not needed,
//! and without it each partition is checked above its recovery point only.
//!
//! Directory names are made in one place, of names that [`is_valid_topic_name`] let in: no topic leaves the directory.

mod record_deletion;
mod retention;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use uuid::Uuid;

use self::retention::Doomed;
use super::{
    checkpoints::{self, CLEANER_FILE, HIGH_WATERMARK_FILE, LOG_START_FILE, OffsetsByPartition, RECOVERY_POINT_FILE},
    disk::{Disk, EntryKind, LockError, read_file, replace_file},
    distrust,
    files::{Directory, FilePool},
    group_commit::{Durability, GroupCommit},
    leader_epochs::LeaderEpochs,
    log_config::LogConfig,
    partition_log::{FlushError, PartitionLog, Parts},
    partition_metadata,
    producer_state::ProducerStates,
    recovery::{self, Known, LoadError},
    reserve,
    scrub::ScrubCounters,
    segment::Segment,
    sync::{lock, read, write},
};
use crate::{clock::TimestampMs, protocol::ids::TopicPartition};

/// The file that is locked while a broker uses the directory.
pub const LOCK_FILE: &str = ".lock";
/// What a clean stop leaves.
pub const CLEAN_SHUTDOWN_FILE: &str = ".kafka_cleanshutdown";

const DELETE_SUFFIX: &str = "-delete";
const STRAY_SUFFIX: &str = "-stray";
const FUTURE_SUFFIX: &str = "-future";
/// Kafka's cache of remote indexes: a directory that is no partition.
const REMOTE_INDEX_CACHE: &str = "remote-log-index-cache";
/// What a file system allows for a name.
const NAME_MAX: usize = 255;
/// Kafka's limit for a topic's name.
const TOPIC_NAME_MAX: usize = 249;

/// What part of the open files a round may have: one in so many.
const ROUND_FILES_SHARE: usize = 4;

/// How a data directory is opened.
#[derive(Clone, Copy, Debug)]
pub struct LogDirSettings {
    /// About how many files may be open at once.
    pub open_files_max: usize,
    /// Threads that open partitions (`num.recovery.threads.per.data.dir`).
    pub recovery_threads: NonZeroUsize,
    /// What an acknowledgement means.
    pub durability: Durability,
    /// Settings of every log until [`PartitionLog::set_config`] says otherwise.
    pub config: LogConfig,
}

impl LogDirSettings {
    /// How many of the files a round of the group commit may have open for itself.
    fn round_files_max(&self) -> usize {
        (self.open_files_max / ROUND_FILES_SHARE).max(1)
    }
}

#[cfg(test)]
impl LogDirSettings {
    /// What most tests open a directory with.
    pub(crate) fn for_tests() -> Self {
        Self {
            open_files_max: 100,
            recovery_threads: NonZeroUsize::MIN,
            durability: Durability::Fsync,
            config: LogConfig::default(),
        }
    }
}

/// Why the data directory, or a partition of it, could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LogDirError {
    /// Another process uses the directory.
    #[error("{}: the directory is in use, its lock is {source}", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Who has the lock.
        source: LockError,
    },
    /// A file or directory could not be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else stands where a partition's directory belongs.
    #[error("{}: not a directory; a link to one is not followed, a mount is fine", path.display())]
    NotADirectory {
        /// Where.
        path: PathBuf,
    },
    /// A partition could not be opened.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A topic name that Kafka would not allow.
    #[error("invalid topic name {name:?}")]
    InvalidTopicName {
        /// The name.
        name: String,
    },
    /// The partition is there already.
    #[error("{partition} exists already")]
    Exists {
        /// The partition.
        partition: TopicPartition,
    },
    /// There is no such partition.
    #[error("{partition} does not exist")]
    Unknown {
        /// The partition.
        partition: TopicPartition,
    },
    /// Something could not be flushed.
    #[error(transparent)]
    Flush(#[from] FlushError),
}

/// The data directory.
pub struct LogDir {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    pool: Arc<FilePool>,
    commit: Arc<GroupCommit>,
    partitions: RwLock<BTreeMap<TopicPartition, Arc<PartitionLog>>>,
    /// One creation or deletion at a time; look-ups do not wait for it.
    changing: Mutex<()>,
    /// One writes the checkpoints at a time, and what it found last is what they hold.
    checkpointing: Mutex<()>,
    /// Partitions that could not be created, and whose directories could not be put away either.
    unfinished: Mutex<BTreeSet<TopicPartition>>,
    /// What is deleted and still there.
    doomed: Mutex<Vec<Doomed>>,
    /// Partitions that are gone, and that the checkpoints may have entries of.
    stale: Mutex<HashSet<TopicPartition>>,
    /// There is a checkpoint of what was compacted.
    has_cleaned: AtomicBool,
    was_clean: bool,
    /// The mark that this start has found and removed.
    taken_mark: Option<Vec<u8>>,
    scrub_counters: ScrubCounters,
    _lock: Box<dyn Send + Sync>,
}

/// What a directory's name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirName {
    /// A partition.
    Partition(TopicPartition),
    /// One whose deletion is under way.
    Deleted,
    /// One that the metadata does not know.
    Stray,
    /// Something that Ottla does not use.
    Unknown,
}

/// Opening and closing.
impl LogDir {
    /// Creates or opens the directory, takes its lock, and opens all partitions. Blocks.
    pub fn open(
        disk: Arc<dyn Disk>,
        path: &Path,
        settings: &LogDirSettings,
        now: TimestampMs,
    ) -> Result<Self, LogDirError> {
        let error = |source| LogDirError::Io { path: path.to_owned(), source };
        let round_files_max = settings.round_files_max();
        let pool = FilePool::new(disk, path, settings.open_files_max.saturating_sub(round_files_max));
        let disk = pool.shared_disk();
        disk.create_dir(path).map_err(error)?;
        let commit = GroupCommit::new(Arc::clone(&disk), path, settings.durability, round_files_max).map_err(error)?;
        let commit = Arc::new(commit);
        let lock = disk.lock(&path.join(LOCK_FILE));
        let lock = lock.map_err(|source| LogDirError::Locked { path: path.to_owned(), source })?;
        let has_failed = distrust::heed(&*disk, path).map_err(error)?;
        let taken_mark = take_clean_shutdown(&*disk, path).map_err(error)?.filter(|_| !has_failed);
        let was_clean = taken_mark.is_some();
        let listing = Listing::read(&*disk, path)?;
        pool.reserve().found(listing.holding_room.0, listing.holding_room.1);
        let loader = DirLoader {
            pool: &pool,
            commit: &commit,
            path,
            settings,
            now,
            was_clean,
            recovery_points: checkpoints::read_offsets(&*disk, &path.join(RECOVERY_POINT_FILE)).map_err(error)?,
            log_starts: checkpoints::read_offsets(&*disk, &path.join(LOG_START_FILE)).map_err(error)?,
            cleaned: checkpoints::read_offsets(&*disk, &path.join(CLEANER_FILE)).map_err(error)?,
        };
        let partitions = loader.load_all(listing.partitions)?;
        let is_gone = |partition: &TopicPartition| !partitions.contains_key(partition);
        let known = [&loader.recovery_points, &loader.log_starts, &loader.cleaned];
        let stale = known.iter().flat_map(|offsets| offsets.keys()).filter(|name| is_gone(name)).cloned().collect();
        let has_cleaned = !loader.cleaned.is_empty();
        if !was_clean {
            // What a killed process left in the page cache is not on disk yet: one round for all of it.
            partitions.values().for_each(|log| log.request_flush());
            match commit.commit() {
                // The records are durable; what could not be written is found again in them.
                Err(error @ FlushError::Write { .. }) => tracing::warn!(%error, "a log could not be flushed"),
                flushed => flushed?,
            }
        }
        if has_failed {
            distrust::forget(&*disk, path).map_err(error)?;
        }
        pool.reserve().watch(partitions.len());
        let partitions = RwLock::new(partitions);
        let doomed = listing.doomed.into_iter().map(Doomed::left_over).collect();
        Ok(Self {
            path: path.to_owned(),
            disk,
            pool,
            commit,
            partitions,
            changing: Mutex::default(),
            checkpointing: Mutex::default(),
            unfinished: Mutex::default(),
            doomed: Mutex::new(doomed),
            stale: Mutex::new(stale),
            has_cleaned: AtomicBool::new(has_cleaned),
            was_clean,
            taken_mark,
            scrub_counters: ScrubCounters::default(),
            _lock: lock,
        })
    }

    /// Ends appending, flushes, and leaves the mark of a clean stop. `broker_epoch` goes into it, as Kafka has it. Blocks.
    pub fn close(&self, broker_epoch: i64) -> Result<(), LogDirError> {
        let closed = first_error(self.partitions().iter().map(PartitionLog::close));
        // The others are durable all the same, and the next start is quicker for it.
        let flushed = self.commit.commit();
        self.write_checkpoints()?;
        closed.and(flushed)?;
        let path = self.path.join(CLEAN_SHUTDOWN_FILE);
        let content = format!(r#"{{"version":0,"brokerEpoch":{broker_epoch}}}"#);
        self.replace(&path, content.as_bytes())
    }

    /// Puts the mark of a clean stop back that opening has taken: the start is refused, and nothing was written since.
    /// Blocks.
    pub fn leave_as_found(&self) {
        let Some(content) = &self.taken_mark else { return };
        if let Err(error) = self.replace(&self.path.join(CLEAN_SHUTDOWN_FILE), content) {
            tracing::warn!(%error, "the mark of the last stop, a clean one, is lost");
        }
    }

    /// Moves the recovery points, unless flushing is left to the settings, and writes down what a start has to know. Blocks.
    pub fn checkpoint(&self) -> Result<(), LogDirError> {
        let flushed = match self.commit.durability() {
            Durability::Fsync => {
                let logs = self.partitions();
                let is_behind = |log: &&Arc<PartitionLog>| log.recovery_point() < log.offsets().log_end();
                logs.iter().filter(is_behind).for_each(|log| log.request_flush());
                self.commit.commit()
            }
            Durability::Kafka => Ok(()),
        };
        if matches!(flushed, Err(FlushError::Offline { .. })) {
            return Ok(flushed?);
        }
        // What could not be written for one log takes nothing from the others.
        self.write_checkpoints()?;
        Ok(flushed?)
    }

    /// Whether a file of `bytes` could be written besides, and leave alone what is kept back on the file system.
    pub(super) fn has_room_for(&self, bytes: u64) -> bool {
        self.pool.reserve().has_room_for(bytes)
    }

    /// Makes the leader epochs durable that have begun and are not written down yet. Blocks.
    pub fn flush_epochs(&self) -> Result<(), LogDirError> {
        let logs = self.partitions();
        logs.iter().filter(|log| log.has_new_epochs()).for_each(|log| log.request_flush());
        Ok(self.commit.commit()?)
    }

    /// Flushes the logs that have waited for as long as `flush.ms` allows. Blocks.
    pub fn flush_due(&self, now: TimestampMs) -> Result<(), FlushError> {
        if self.commit.durability() == Durability::Fsync {
            // Nothing waits.
            return Ok(());
        }
        self.partitions().iter().for_each(|log| log.flush_if_due(now));
        self.commit.commit()
    }

    /// Looks how much room there is on the file system: producers are refused while there is too little. Blocks.
    pub fn watch_room(&self) {
        let partitions = read(&self.partitions).len();
        self.pool.reserve().watch(partitions);
    }

    /// Writes down up to where each log is on disk, where it starts, and what consumers may read.
    pub(super) fn write_checkpoints(&self) -> Result<(), LogDirError> {
        let _one_at_a_time = lock(&self.checkpointing);
        // They stay until checkpoints without them are on disk: no partition of such a name is created before.
        let stale = lock(&self.stale).clone();
        self.write_all_checkpoints()?;
        lock(&self.stale).retain(|name| !stale.contains(name));
        Ok(())
    }

    fn write_all_checkpoints(&self) -> Result<(), LogDirError> {
        let logs = self.partitions();
        let superseded: Vec<_> = logs.iter().flat_map(|log| log.take_superseded_snapshots()).collect();
        let entries = |offset: &dyn Fn(&PartitionLog) -> Option<i64>| -> Vec<_> {
            logs.iter().filter_map(|log| Some((log.topic_partition().clone(), offset(log)?))).collect()
        };
        let recovery_points = entries(&|log| Some(log.recovery_point()));
        self.write_offsets(RECOVERY_POINT_FILE, &recovery_points)?;
        logs.iter().zip(&recovery_points).for_each(|(log, (_, recovery_point))| log.set_checkpointed(*recovery_point));
        self.write_starts_of(&logs)?;
        self.write_offsets(HIGH_WATERMARK_FILE, &entries(&|log| Some(log.high_watermark())))?;
        let cleaned = entries(&PartitionLog::cleaned);
        if !cleaned.is_empty() || self.has_cleaned.load(Ordering::Acquire) {
            self.write_offsets(CLEANER_FILE, &cleaned)?;
            self.has_cleaned.store(!cleaned.is_empty(), Ordering::Release);
        }
        for path in superseded {
            if let Err(error) = self.disk.remove_file(&path) {
                tracing::debug!(path = %path.display(), %error, "an old snapshot of producers is left");
            }
        }
        Ok(())
    }

    /// Writes down where each log starts.
    fn write_log_starts(&self) -> Result<(), LogDirError> {
        let _one_at_a_time = lock(&self.checkpointing);
        self.write_starts_of(&self.partitions())
    }

    fn write_starts_of(&self, logs: &[Arc<PartitionLog>]) -> Result<(), LogDirError> {
        let starts: Vec<_> = logs.iter().map(|log| log.offsets().log_start()).collect();
        // Also where the first segment begins: a crash may bring those back that were before it.
        let entries = logs.iter().zip(&starts).filter(|(_, log_start)| **log_start > 0);
        let entries: Vec<_> = entries.map(|(log, log_start)| (log.topic_partition().clone(), *log_start)).collect();
        self.write_offsets(LOG_START_FILE, &entries)?;
        logs.iter().zip(starts).for_each(|(log, log_start)| log.set_durable_log_start(log_start));
        Ok(())
    }

    fn write_offsets(&self, name: &str, offsets: &[(TopicPartition, i64)]) -> Result<(), LogDirError> {
        let path = self.path.join(name);
        checkpoints::write_offsets(&*self.disk, &path, offsets).map_err(|source| LogDirError::Io { path, source })
    }

    fn replace(&self, path: &Path, content: &[u8]) -> Result<(), LogDirError> {
        let replaced = replace_file(&*self.disk, path, content);
        replaced.map_err(|source| LogDirError::Io { path: path.to_owned(), source })
    }

    /// An error of a file in it, with its path.
    #[must_use]
    pub fn error(&self, source: io::Error) -> LogDirError {
        LogDirError::Io { path: self.path.clone(), source }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The disk that it is on.
    #[must_use]
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// What makes its logs durable.
    #[must_use]
    pub fn group_commit(&self) -> &Arc<GroupCommit> {
        &self.commit
    }

    /// What [`Scrub`](super::scrub::Scrub) has done since the start.
    #[must_use]
    pub fn scrub_counters(&self) -> &ScrubCounters {
        &self.scrub_counters
    }

    /// Whether the stop before this start was a clean one.
    #[must_use]
    pub fn was_clean(&self) -> bool {
        self.was_clean
    }
}

/// Partitions.
impl LogDir {
    /// The log of a partition.
    #[must_use]
    pub fn partition(&self, partition: &TopicPartition) -> Option<Arc<PartitionLog>> {
        read(&self.partitions).get(partition).cloned()
    }

    /// All logs, in the order of their names.
    #[must_use]
    pub fn partitions(&self) -> Vec<Arc<PartitionLog>> {
        read(&self.partitions).values().cloned().collect()
    }

    /// Creates a partition's directory and its files. A crash may lose an empty partition; the first flush makes it
    /// durable with what it holds.
    pub fn create_partition(
        &self,
        partition: &TopicPartition,
        topic_id: Uuid,
        config: LogConfig,
        leader_epoch: i32,
        now: TimestampMs,
    ) -> Result<Arc<PartitionLog>, LogDirError> {
        let path = self.path.join(dir_name(partition)?);
        let _one_at_a_time = lock(&self.changing);
        if self.partition(partition).is_some() {
            return Err(LogDirError::Exists { partition: partition.clone() });
        }
        // It must not be taken for checked up to where another one of its name was, nor for started there.
        let is_stale = lock(&self.stale).contains(partition);
        if is_stale {
            self.write_checkpoints()?;
        }
        let created = self.create_files(partition, &path, topic_id, config, now);
        let log = match created {
            Ok(log) => Arc::new(log),
            Err(source) => {
                lock(&self.unfinished).insert(partition.clone());
                if let Err(error) = self.put_unfinished_away() {
                    tracing::warn!(%error, "a partition that could not be created is left behind for now");
                }
                return Err(LogDirError::Io { path, source });
            }
        };
        lock(&self.unfinished).remove(partition);
        log.begin_epoch(leader_epoch);
        write(&self.partitions).insert(partition.clone(), Arc::clone(&log));
        Ok(log)
    }

    fn create_files(
        &self,
        partition: &TopicPartition,
        path: &Path,
        topic_id: Uuid,
        config: LogConfig,
        now: TimestampMs,
    ) -> io::Result<PartitionLog> {
        self.disk.create_dir(path)?;
        partition_metadata::write(&*self.disk, &path.join(partition_metadata::FILE_NAME), topic_id)?;
        let dir = Directory::new(path.to_owned());
        let segment = Arc::new(Segment::create(&self.pool, &dir, 0, &config, now)?);
        Ok(PartitionLog::new(Parts {
            topic_partition: partition.clone(),
            topic_id: Some(topic_id),
            pool: Arc::clone(&self.pool),
            dir,
            commit: Arc::clone(&self.commit),
            config,
            segments: vec![segment],
            epochs: LeaderEpochs::default(),
            producers: ProducerStates::default(),
            last_snapshot: None,
            log_start: 0,
            log_end: 0,
            flushed: 0,
            recovery_point: 0,
            checkpointed: 0,
            cleaned: None,
            names_unsynced: true,
        }))
    }

    /// Takes partitions out: each directory gets a name that ends with `-delete`. The files are there until
    /// [`LogDir::remove_deleted`] is called `file.delete.delay.ms` after `at`. After an error with one it goes on with the
    /// others.
    pub fn delete_partitions(&self, partitions: &[TopicPartition], at: Instant) -> Result<(), LogDirError> {
        self.take_out(partitions, |path, delay| Doomed::directory(path, at, delay))
    }

    /// Takes out partitions whose deletion an earlier process did not get to, as [`LogDir::delete_partitions`] does; nobody
    /// has found anything in them.
    pub fn delete_left_over(&self, partitions: &[TopicPartition]) -> Result<(), LogDirError> {
        self.take_out(partitions, |path, _| Doomed::left_over(path))
    }

    fn take_out(
        &self,
        partitions: &[TopicPartition],
        doomed: impl Fn(PathBuf, Duration) -> Doomed,
    ) -> Result<(), LogDirError> {
        first_error(partitions.iter().map(|partition| {
            let (path, delay) = self.retire(partition, DELETE_SUFFIX)?;
            lock(&self.doomed).push(doomed(path, delay));
            Ok(())
        }))
    }

    /// Puts away what is left of partitions that could not be created.
    pub fn delete_unfinished(&self) -> Result<(), LogDirError> {
        let _one_at_a_time = lock(&self.changing);
        self.put_unfinished_away()
    }

    /// The same under the lock that creations take.
    fn put_unfinished_away(&self) -> Result<(), LogDirError> {
        let mut unfinished = lock(&self.unfinished);
        while let Some(partition) = unfinished.first() {
            let from = self.path.join(dir_name(partition)?);
            let to = self.path.join(retired_dir_name(partition, Uuid::new_v4(), DELETE_SUFFIX));
            match self.disk.rename(&from, &to) {
                Ok(()) => lock(&self.doomed).push(Doomed::left_over(to)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(LogDirError::Io { path: from, source }),
            }
            unfinished.pop_first();
        }
        Ok(())
    }

    /// Makes the names of the partitions' directories durable. Blocks.
    pub fn sync_names(&self) -> Result<(), LogDirError> {
        self.disk.sync_dir(&self.path).map_err(|source| self.error(source))
    }

    /// Takes a partition out that the metadata does not know: its directory gets a name that ends with `-stray`, and
    /// stays.
    pub fn set_stray(&self, partition: &TopicPartition) -> Result<(), LogDirError> {
        let (path, _) = self.retire(partition, STRAY_SUFFIX)?;
        tracing::warn!(path = %path.display(), "{partition} is unknown to the metadata and was put aside as stray");
        Ok(())
    }

    /// Renames its directory. Returns where it is now, and for how long it is to be there if it is deleted.
    fn retire(&self, partition: &TopicPartition, suffix: &str) -> Result<(PathBuf, Duration), LogDirError> {
        let _one_at_a_time = lock(&self.changing);
        let Some(log) = self.partition(partition) else {
            return Err(LogDirError::Unknown { partition: partition.clone() });
        };
        let path = self.path.join(retired_dir_name(partition, Uuid::new_v4(), suffix));
        log.retire(path.clone()).map_err(|source| LogDirError::Io { path: path.clone(), source })?;
        write(&self.partitions).remove(partition);
        lock(&self.stale).insert(partition.clone());
        Ok((path, log.file_delete_delay()))
    }
}

/// Goes through all of them, and returns the first error.
fn first_error<E>(results: impl Iterator<Item = Result<(), E>>) -> Result<(), E> {
    let mut first = Ok(());
    for result in results {
        first = first.and(result);
    }
    first
}

/// What is in the mark of a clean stop, if there was one. The mark is removed, durably.
fn take_clean_shutdown(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mark = path.join(CLEAN_SHUTDOWN_FILE);
    match read_file(disk, &mark) {
        Ok(content) => disk.remove_file(&mark).and_then(|()| disk.sync_dir(path)).map(|()| Some(content)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// The directories of the data directory.
#[derive(Default)]
struct Listing {
    partitions: Vec<TopicPartition>,
    doomed: Vec<PathBuf>,
    /// How many files only hold room, and their bytes.
    holding_room: (u64, u64),
}

impl Listing {
    /// A link where a partition belongs is refused: what it leads to would be read and written as if it were ours.
    fn read(disk: &dyn Disk, path: &Path) -> Result<Self, LogDirError> {
        let mut listing = Self::default();
        let entries = disk.list_dir(path).map_err(|source| LogDirError::Io { path: path.to_owned(), source })?;
        for entry in entries {
            match (entry.kind, parse_dir_name(&entry.name)) {
                (EntryKind::File, _) if reserve::is_holding_room(&entry.name) => {
                    listing.holding_room.0 += 1;
                    listing.holding_room.1 += entry.len;
                }
                (EntryKind::File, _) => {}
                (EntryKind::Directory, DirName::Partition(partition)) => listing.partitions.push(partition),
                (EntryKind::Other, DirName::Partition(_)) => {
                    return Err(LogDirError::NotADirectory { path: path.join(entry.name) });
                }
                (EntryKind::Directory, DirName::Deleted) => listing.doomed.push(path.join(entry.name)),
                (EntryKind::Directory, DirName::Unknown) if entry.name == REMOTE_INDEX_CACHE => {}
                (kind, _) => tracing::warn!(name = entry.name, ?kind, "left alone in the data directory"),
            }
        }
        Ok(listing)
    }
}

/// What opening all partitions has in common.
struct DirLoader<'a> {
    pool: &'a Arc<FilePool>,
    commit: &'a Arc<GroupCommit>,
    path: &'a Path,
    settings: &'a LogDirSettings,
    now: TimestampMs,
    was_clean: bool,
    recovery_points: OffsetsByPartition,
    log_starts: OffsetsByPartition,
    cleaned: OffsetsByPartition,
}

impl DirLoader<'_> {
    fn load_all(&self, names: Vec<TopicPartition>) -> Result<BTreeMap<TopicPartition, Arc<PartitionLog>>, LogDirError> {
        let threads = self.settings.recovery_threads.get().min(names.len());
        let next = AtomicUsize::new(0);
        let work = || -> Result<Vec<_>, LogDirError> {
            let mut loaded = Vec::new();
            while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                loaded.push((name.clone(), Arc::new(self.load(name)?)));
            }
            Ok(loaded)
        };
        let results: Vec<_> = thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut results = vec![work()];
            results
                .extend(helpers.into_iter().map(|helper| helper.join().expect("a loader that panics stops the start")));
            results
        });
        let mut partitions = BTreeMap::new();
        for loaded in results {
            partitions.extend(loaded?);
        }
        Ok(partitions)
    }

    fn load(&self, partition: &TopicPartition) -> Result<PartitionLog, LogDirError> {
        let known = Known {
            clean: self.was_clean,
            recovery_point: self.recovery_points.get(partition).copied().unwrap_or(0),
            log_start: self.log_starts.get(partition).copied().unwrap_or(0),
            cleaned: self.cleaned.get(partition).copied(),
            config: self.settings.config,
            now: self.now,
            topic_partition: partition.clone(),
        };
        Ok(recovery::load(self.pool, self.commit, self.path.join(dir_name(partition)?), known)?)
    }
}

/// Whether Kafka allows this name: 1 to 249 of `[a-zA-Z0-9._-]`, and neither `.` nor `..`.
#[must_use]
pub fn is_valid_topic_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=TOPIC_NAME_MAX).contains(&name.len()) && name.bytes().all(allowed) && name != "." && name != ".."
}

/// The name of a partition's directory.
fn dir_name(partition: &TopicPartition) -> Result<String, LogDirError> {
    if is_valid_topic_name(&partition.topic) && partition.partition >= 0 {
        return Ok(partition.to_string());
    }
    Err(LogDirError::InvalidTopicName { name: partition.topic.to_string() })
}

/// `topic-partition.unique<suffix>`, where the topic is cut so that it is a name that the file system takes.
fn retired_dir_name(partition: &TopicPartition, unique: Uuid, suffix: &str) -> String {
    let end = format!("-{}.{}{suffix}", partition.partition, unique.simple());
    let topic_len = partition.topic.len().min(NAME_MAX - end.len());
    // Valid names are ASCII.
    format!("{}{end}", &partition.topic[..topic_len])
}

/// Reads a directory's name as Kafka does (`LocalLog.parseTopicPartitionName`).
#[must_use]
pub fn parse_dir_name(name: &str) -> DirName {
    for (suffix, kind) in [(DELETE_SUFFIX, DirName::Deleted), (STRAY_SUFFIX, DirName::Stray)] {
        if let Some(partition) = name.strip_suffix(suffix).and_then(|rest| rest.rsplit_once('.')) {
            return if parse_partition(partition.0).is_some() { kind } else { DirName::Unknown };
        }
    }
    let reserved = [DELETE_SUFFIX, STRAY_SUFFIX, FUTURE_SUFFIX].iter().any(|suffix| name.ends_with(suffix));
    match parse_partition(name) {
        Some(partition) if !reserved => DirName::Partition(partition),
        _ => DirName::Unknown,
    }
}

fn parse_partition(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    let index: i32 = partition.parse().ok()?;
    // Only one spelling leads back to the directory: "+1" and "01" do not.
    let canonical = index >= 0 && index.to_string() == partition;
    (canonical && is_valid_topic_name(topic)).then(|| TopicPartition::new(topic, index))
}

#[cfg(test)]
mod tests;
