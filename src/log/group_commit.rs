//! One flush for every partition that has something to be flushed.
//!
//! An append puts its log into the queue. A round takes everything out of it, makes it durable together, and moves each
//! log's flushed offset; what is appended meanwhile fills the next round. Whoever waits is not kept waiting by a timer or
//! a window: under load a round is as long as the disk takes, without load it has one log. Only where nobody waits,
//! neither a producer with `acks=all` nor a consumer, a few milliseconds are let go by, for a sync costs the processor the same
//! for a kilobyte as for a megabyte. Rounds are run by a thread of their own
//! ([`GroupCommit::run`]) and by whoever cannot wait for it ([`GroupCommit::commit`]), one at a time.
//!
//! The new content of a small file is held open from its writing to its sync. Where there are many of these, a round ends
//! early, and another goes on behind it.
//!
//! The first sync that fails is final: what the kernel lost it will not mention again. Nothing is acknowledged from then
//! on, and nothing is tried again. A file that cannot be opened because too many are is no such failure: the round waits.

mod sync_policy;

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::sync::Notify;

use self::sync_policy::{Method, SyncPolicy};
use super::{
    disk::{Disk, Filesystem, OpenMode, is_out_of_files},
    distrust,
    files::PooledFile,
    partition_log::{FlushError, FlushPlan, PartitionLog},
    sync::lock,
};
use crate::clock;

/// How long a round is put off that nobody waits for.
const UNHURRIED: Duration = Duration::from_millis(5);
/// How long a round waits before it tries again to open a file, where there are too many.
const OUT_OF_FILES_PAUSE: Duration = Duration::from_millis(10);
/// It says so at the first time, and again after so many.
const OUT_OF_FILES_TOLD: u32 = 500;
/// Threads that sync files side by side where the file system cannot be synced as a whole.
const SYNC_THREADS_MAX: usize = 16;
/// Files that make one more thread worth its start.
const FILES_PER_THREAD: usize = 4;

/// What an acknowledgement means (`ottla.durability`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// `acks=all` is answered after the data is on disk, and consumers see nothing that is not.
    #[default]
    Fsync,
    /// Kafka's way: a write into the page cache counts, and the flush settings say when it gets to the disk.
    Kafka,
}

/// What has been flushed since the start.
#[derive(Debug, Default)]
pub struct CommitCounters {
    /// Rounds that had something to do.
    pub rounds: AtomicU64,
    /// Logs that they flushed.
    pub logs: AtomicU64,
    /// Rounds that synced the whole file system instead of file by file.
    pub filesystem_syncs: AtomicU64,
    /// Time spent in system calls that sync, in microseconds.
    pub sync_micros: AtomicU64,
}

/// Makes the logs of a data directory durable.
pub struct GroupCommit {
    durability: Durability,
    /// How many files a round holds open at most.
    files_max: usize,
    disk: Arc<dyn Disk>,
    /// The data directory.
    path: PathBuf,
    /// Where it can be synced as a whole. Opened before the first write: it reports what failed from then on.
    filesystem: Option<Box<dyn Filesystem>>,
    failure: OnceLock<String>,
    queue: Mutex<Queue>,
    some_queued: Condvar,
    /// Held for the length of a round.
    round: Mutex<SyncPolicy>,
    round_ended: Notify,
    counters: CommitCounters,
}

#[derive(Default)]
struct Queue {
    logs: Vec<Arc<PartitionLog>>,
    /// Somebody waits for the next round.
    is_hurried: bool,
    sleep: Sleep,
    is_stopped: bool,
}

/// What the thread of [`GroupCommit::run`] waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sleep {
    /// Nothing: it is at work.
    #[default]
    Awake,
    /// Something to do.
    UntilQueued,
    /// Somebody who waits.
    UntilHurried,
}

impl GroupCommit {
    /// For the logs in the data directory at `path`. A round holds at most `files_max` files open.
    pub fn new(disk: Arc<dyn Disk>, path: &Path, durability: Durability, files_max: usize) -> io::Result<Self> {
        let filesystem = disk.filesystem(path)?;
        Ok(Self {
            durability,
            files_max: files_max.max(1),
            disk,
            path: path.to_owned(),
            filesystem,
            failure: OnceLock::new(),
            queue: Mutex::default(),
            some_queued: Condvar::new(),
            round: Mutex::default(),
            round_ended: Notify::new(),
            counters: CommitCounters::default(),
        })
    }

    /// What an acknowledgement means.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// Why nothing can be made durable any more, since the first sync that failed.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// What has been flushed.
    #[must_use]
    pub fn counters(&self) -> &CommitCounters {
        &self.counters
    }

    /// Returns once a sync has failed.
    pub async fn failed(&self) -> &str {
        loop {
            let mut ended = std::pin::pin!(self.round_ended());
            ended.as_mut().enable();
            if let Some(failure) = self.failure() {
                return failure;
            }
            ended.await;
        }
    }

    /// Completes at the end of the next round, with success or without, and when a log is deleted.
    pub(super) fn round_ended(&self) -> tokio::sync::futures::Notified<'_> {
        self.round_ended.notified()
    }

    /// Has everybody look again who waits for a round.
    pub(super) fn wake(&self) {
        self.round_ended.notify_waiters();
    }

    /// Adds a log to the next round. It says itself whether it is in already.
    pub(super) fn add(&self, log: Arc<PartitionLog>) {
        let mut queue = lock(&self.queue);
        queue.logs.push(log);
        let wake = queue.sleep == Sleep::UntilQueued;
        drop(queue);
        if wake {
            self.some_queued.notify_one();
        }
    }

    /// Has the next round begin as soon as it can.
    pub(super) fn hurry(&self) {
        let mut queue = lock(&self.queue);
        let wake = !queue.is_hurried && queue.sleep != Sleep::Awake;
        queue.is_hurried = true;
        drop(queue);
        if wake {
            self.some_queued.notify_one();
        }
    }

    /// Runs round after round until [`GroupCommit::stop`] or the first sync that fails. For a thread of its own.
    pub fn run(&self) {
        while self.wait_until_queued() {
            match self.commit() {
                Ok(()) => {}
                // It is still to be done, and somebody will say so when there is room again.
                Err(error @ FlushError::Write { .. }) => tracing::warn!(%error, "a log could not be flushed"),
                Err(FlushError::Offline { .. }) => return,
            }
        }
    }

    /// Ends [`GroupCommit::run`].
    pub fn stop(&self) {
        lock(&self.queue).is_stopped = true;
        self.some_queued.notify_all();
    }

    fn wait_until_queued(&self) -> bool {
        let mut queue = lock(&self.queue);
        while queue.logs.is_empty() && !queue.is_stopped {
            queue.sleep = Sleep::UntilQueued;
            queue = self.some_queued.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.sleep = Sleep::UntilHurried;
        let may_wait = |queue: &mut Queue| !queue.is_hurried && !queue.is_stopped;
        let waited = self.some_queued.wait_timeout_while(queue, UNHURRIED, may_wait);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.sleep = Sleep::Awake;
        !queue.is_stopped
    }

    /// Runs a round, or several: what was in the queue before the call is durable when it returns. Blocks for as long as
    /// the disk takes. After [`FlushError::Write`] the other logs are durable all the same.
    pub fn commit(&self) -> Result<(), FlushError> {
        let mut policy = lock(&self.round);
        if let Some(reason) = self.failure() {
            return Err(FlushError::Offline { reason: reason.to_owned() });
        }
        let logs = {
            let mut queue = lock(&self.queue);
            queue.is_hurried = false;
            std::mem::take(&mut queue.logs)
        };
        let mut logs = logs.into_iter();
        let mut unwritten = None;
        while logs.len() > 0 {
            let (plans, error) = self.plan_round(&mut logs);
            unwritten = unwritten.or(error);
            if !plans.is_empty() {
                self.carry_out(&mut policy, plans)?;
            }
        }
        unwritten.map_or(Ok(()), Err)
    }

    /// Plans for as many logs as a round can take, and the first error of one that could not be written.
    fn plan_round(&self, logs: &mut impl Iterator<Item = Arc<PartitionLog>>) -> (Vec<FlushPlan>, Option<FlushError>) {
        let (mut plans, mut unwritten) = (Vec::new(), None);
        let mut held = 0;
        while held < self.files_max
            && let Some(log) = logs.next()
        {
            let (plan, error) = PartitionLog::plan_flush(&log);
            held += usize::from(plan.as_ref().is_some_and(|plan| plan.epochs.is_some()));
            plans.extend(plan);
            unwritten = unwritten.or(error);
        }
        (plans, unwritten)
    }

    fn carry_out(&self, policy: &mut SyncPolicy, mut plans: Vec<FlushPlan>) -> Result<(), FlushError> {
        self.sync_all(policy, &mut plans).map_err(|e| self.fail(&e))?;
        self.counters.rounds.fetch_add(1, Ordering::Relaxed);
        self.counters.logs.fetch_add(plans.len() as u64, Ordering::Relaxed);
        plans.into_iter().for_each(FlushPlan::publish);
        self.wake();
        Ok(())
    }

    /// Everything of a round. Files that replace others are renamed when their bytes are on disk, and not before.
    fn sync_all(&self, policy: &mut SyncPolicy, plans: &mut [FlushPlan]) -> Result<(), SyncError> {
        self.sync(policy, plans)?;
        let mut renamed = BTreeSet::new();
        for plan in plans {
            if let Some(replacement) = plan.epochs.take() {
                let path = plan.log.dir_path();
                let installed = replacement.install(&*self.disk);
                plan.forgive(installed.map_err(|source| SyncError { path: path.clone(), source }))?;
                renamed.insert(path);
            }
        }
        if renamed.is_empty() {
            return Ok(());
        }
        match &self.filesystem {
            Some(filesystem) if renamed.len() > 1 => self.sync_filesystem(&**filesystem),
            _ => renamed.iter().try_for_each(|dir| self.sync_dir(dir)),
        }
    }

    fn sync(&self, policy: &mut SyncPolicy, plans: &[FlushPlan]) -> Result<(), SyncError> {
        let files: usize = plans.iter().map(FlushPlan::syncs).sum();
        let method = policy.choose(files, self.filesystem.is_some());
        let begun = clock::monotonic();
        match (method, &self.filesystem) {
            (Method::Filesystem, Some(filesystem)) => {
                for plan in plans {
                    // A write from here on belongs to the next round.
                    plan.forgive(plan.files.iter().try_for_each(|file| file.begin_sync_by_others().map_err(at(file))))?;
                }
                self.sync_filesystem(&**filesystem)?;
                self.counters.filesystem_syncs.fetch_add(1, Ordering::Relaxed);
            }
            _ => self.sync_files(plans)?,
        }
        let took = clock::monotonic().saturating_duration_since(begun);
        policy.measured(method, files, took);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.counters.sync_micros.fetch_add(micros, Ordering::Relaxed);
        Ok(())
    }

    fn sync_filesystem(&self, filesystem: &dyn Filesystem) -> Result<(), SyncError> {
        filesystem.sync().map_err(|source| SyncError { path: PathBuf::from("syncfs"), source })
    }

    /// File by file, then the directories, each once. Many of them side by side.
    fn sync_files(&self, plans: &[FlushPlan]) -> Result<(), SyncError> {
        side_by_side(plans, |plan| plan.forgive(self.sync_plan(plan)))?;
        let mut dirs = BTreeSet::new();
        for plan in plans {
            let dir = plan.log.dir_path();
            if plan.new_names.directory {
                dirs.extend(dir.parent().map(Path::to_owned));
            }
            if plan.new_names.files {
                dirs.insert(dir);
            }
        }
        let dirs: Vec<_> = dirs.into_iter().collect();
        side_by_side(&dirs, |dir| self.sync_dir(dir))
    }

    fn sync_plan(&self, plan: &FlushPlan) -> Result<(), SyncError> {
        plan.files.iter().try_for_each(|file| self.opening(|| file.sync()).map_err(at(file)))?;
        let path = plan.log.dir_path();
        let in_dir = |source| SyncError { path: path.clone(), source };
        if let Some(replacement) = &plan.epochs {
            replacement.sync().map_err(in_dir)?;
        }
        for snapshot in &plan.snapshots {
            self.opening(|| sync_small_file(&*self.disk, snapshot)).map_err(in_dir)?;
        }
        if plan.new_names.directory {
            self.opening(|| sync_small_file(&*self.disk, &plan.log.metadata_path())).map_err(in_dir)?;
        }
        Ok(())
    }

    /// A directory that is not there any more belongs to a deleted partition.
    fn sync_dir(&self, dir: &Path) -> Result<(), SyncError> {
        match self.opening(|| self.disk.sync_dir(dir)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(|source| SyncError { path: dir.to_owned(), source }),
        }
    }

    /// Does what opens a file, and does it again until one can be had. Nothing is lost meanwhile, and nothing acknowledged.
    fn opening<T>(&self, work: impl Fn() -> io::Result<T>) -> io::Result<T> {
        let mut tries = 0_u32;
        loop {
            match work() {
                Err(error) if is_out_of_files(&error) => {
                    if tries.is_multiple_of(OUT_OF_FILES_TOLD) {
                        let path = self.path.display();
                        tracing::error!(%path, %error, "nothing can be made durable until a file can be opened");
                    }
                    tries = tries.wrapping_add(1);
                    thread::sleep(OUT_OF_FILES_PAUSE);
                }
                result => return result,
            }
        }
    }

    /// Notes that a sync outside a round has failed, which is as final.
    pub(super) fn sync_failed(&self, path: &Path, source: io::Error) -> FlushError {
        self.fail(&SyncError { path: path.to_owned(), source })
    }

    fn fail(&self, error: &SyncError) -> FlushError {
        let reason = error.to_string();
        tracing::error!(%reason, "a sync failed: the data directory goes offline");
        distrust::leave(&*self.disk, &self.path);
        let reason = self.failure.get_or_init(|| reason).clone();
        self.wake();
        FlushError::Offline { reason }
    }
}

/// A sync that failed.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
struct SyncError {
    path: PathBuf,
    source: io::Error,
}

fn at(file: &PooledFile) -> impl Fn(io::Error) -> SyncError + '_ {
    |source| SyncError { path: file.path(), source }
}

impl FlushPlan {
    /// How many calls it takes one by one.
    fn syncs(&self) -> usize {
        let names = usize::from(self.new_names.files) + 2 * usize::from(self.new_names.directory);
        let small_files = self.snapshots.len() + usize::from(self.epochs.is_some());
        self.files.iter().filter(|file| file.is_dirty()).count() + names + small_files
    }

    /// What goes wrong with the files of a deleted partition does not matter.
    fn forgive(&self, result: Result<(), SyncError>) -> Result<(), SyncError> {
        if self.log.is_deleted() { Ok(()) } else { result }
    }
}

fn sync_small_file(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.open(path, OpenMode::Existing) {
        Ok(file) => file.sync_data(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

/// Does `work` on every item, on several threads if there are many. Returns one of the errors.
fn side_by_side<T: Sync, E: Send>(items: &[T], work: impl Fn(&T) -> Result<(), E> + Sync) -> Result<(), E> {
    let threads = (items.len() / FILES_PER_THREAD).min(SYNC_THREADS_MAX);
    if threads < 2 {
        return items.iter().try_for_each(work);
    }
    let work = &work;
    thread::scope(|scope| {
        let shares = items.chunks(items.len().div_ceil(threads));
        let helpers: Vec<_> = shares.map(|share| scope.spawn(move || share.iter().try_for_each(work))).collect();
        helpers.into_iter().try_for_each(|helper| match helper.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

#[cfg(test)]
mod tests;
