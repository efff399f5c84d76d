//! What is kept back on the file system so that it is never too full for what frees room again.
//!
//! Two things are kept back. Clients leave the last part of the file system alone: below it their appends are refused, and
//! what the broker writes by itself goes on: metadata, checkpoints, deletions. And a few files hold room that other
//! programs cannot take: where one of the broker's own writes finds none, they go and the write is done again
//! (`ReservedDisk`). Clients are served again, by themselves, once there is room above both and the files are back.
//!
//! The file system is looked at once a second, and by an append when those since the last look could have used up half of
//! what was above: between two looks an append costs one subtraction.
//!
//! None of it helps where a file system finds out that it is full when it writes back, in a sync: that is final, as every
//! failed sync. What is kept back for clients keeps away from there those that count what they have promised.

mod levels;
mod reserved_disk;
#[cfg(test)]
mod tests;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use self::levels::Levels;
pub(super) use self::reserved_disk::ReservedDisk;
use super::{
    disk::{Disk, OpenMode, Room, is_full},
    sync::lock,
};

/// The file that holds room for the broker's own writes. Those that hold no more than an inode are numbered. Apache Kafka
/// leaves them alone.
const FILE_NAME: &str = ".ottla-reserve";

/// Whether a file of the data directory only holds room.
#[must_use]
pub fn is_holding_room(name: &str) -> bool {
    name.strip_prefix(FILE_NAME).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// There is no room for a client's batch above what is kept back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BelowReserve;

/// What is kept back on the file system of a data directory.
pub(super) struct Reserve {
    disk: Arc<dyn Disk>,
    /// The data directory.
    path: PathBuf,
    /// Bytes that clients may append before the file system is looked at again.
    admitted: AtomicI64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Held,
    partitions: usize,
    refusal: Option<Refusal>,
}

/// What is held for the broker's own writes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Held {
    /// Nothing yet.
    #[default]
    Nothing,
    /// Files with so many bytes.
    Files { files: u64, bytes: u64 },
    /// They were there, and a write needed their room.
    GivenUp,
    /// They cannot be made here, and that is not for want of room.
    Impossible,
}

/// Clients are refused.
struct Refusal {
    /// The largest batch that was.
    wanted: u64,
}

impl Reserve {
    /// For the data directory at `path`. Nothing is kept back before [`Reserve::watch`].
    pub(super) fn new(disk: Arc<dyn Disk>, path: &Path) -> Arc<Self> {
        let (path, admitted) = (path.to_owned(), AtomicI64::new(i64::MAX));
        Arc::new(Self { disk, path, admitted, state: Mutex::default() })
    }

    /// Notes that an earlier process left so many files that hold room, and so many bytes in them.
    pub(super) fn found(&self, files: u64, bytes: u64) {
        if files > 0 {
            lock(&self.state).held = Held::Files { files, bytes };
        }
    }

    /// Looks how much room there is: makes the files where they are missing, and refuses clients or serves them again. Blocks.
    pub(super) fn watch(&self, partitions: usize) {
        let mut state = lock(&self.state);
        state.partitions = partitions;
        let Some(room) = self.room() else { return self.serve(&mut state, u64::MAX) };
        let levels = Levels::new(&room, partitions);
        let room = if self.hold(&mut state, &levels, &room) { self.room().unwrap_or(room) } else { room };
        match &state.refusal {
            None => self.judge(&mut state, &levels, &room, 0),
            Some(refusal) if state.held.lets_clients_in() && levels.is_enough(&room, refusal.wanted) => {
                tracing::info!("{}: producers are served again, {}", self.path.display(), Left(&room));
                self.serve(&mut state, levels.above(&room).unwrap_or(0) / 2);
            }
            Some(_) => {}
        }
    }

    /// Lets a client's batch of `bytes` in, or not.
    pub(super) fn admit(&self, bytes: usize) -> Result<(), BelowReserve> {
        let bytes = bytes as u64;
        if self.take(bytes) {
            return Ok(());
        }
        let mut state = lock(&self.state);
        if let Some(refusal) = &mut state.refusal {
            refusal.wanted = refusal.wanted.max(bytes);
            return Err(BelowReserve);
        }
        // Somebody else may have looked meanwhile.
        if self.take(bytes) {
            return Ok(());
        }
        match self.room() {
            Some(room) => {
                let levels = Levels::new(&room, state.partitions);
                self.judge(&mut state, &levels, &room, bytes);
            }
            None => self.serve(&mut state, u64::MAX),
        }
        if state.refusal.is_some() { Err(BelowReserve) } else { Ok(()) }
    }

    /// Whether a file of `bytes` could be written besides, and leave what is kept back alone.
    pub(super) fn has_room_for(&self, bytes: u64) -> bool {
        let Some(room) = self.room() else { return true };
        let state = lock(&self.state);
        let above = Levels::new(&room, state.partitions).above(&room);
        state.refusal.is_none() && above.is_some_and(|above| above >= bytes)
    }

    /// Has the next append look how much room there is: one found none.
    pub(super) fn doubt(&self) {
        self.admitted.store(0, Ordering::Relaxed);
    }

    /// Whether clients are refused.
    pub(super) fn is_short(&self) -> bool {
        lock(&self.state).refusal.is_some()
    }

    /// Gives up the room that is held: a write needs it. Whether it is given up now, by whomever.
    fn give_up(&self) -> bool {
        let mut state = lock(&self.state);
        if let Held::Files { files, .. } = state.held {
            tracing::warn!("{}: the file system is full: {FILE_NAME} makes room", self.path.display());
            self.remove_files(files);
            state.held = Held::GivenUp;
            if state.refusal.is_none() {
                self.refuse(&mut state, 0, &"there is no room but what was held back");
            }
        }
        state.held == Held::GivenUp
    }

    fn room(&self) -> Option<Room> {
        let room = self.disk.room(&self.path);
        room.inspect_err(|error| tracing::debug!(%error, "it is not known how much room there is")).ok().flatten()
    }

    fn take(&self, bytes: u64) -> bool {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.admitted.fetch_sub(bytes, Ordering::Relaxed) >= bytes
    }

    /// Makes the files that hold room, or completes them, if that leaves enough for clients. Whether it did.
    fn hold(&self, state: &mut State, levels: &Levels, room: &Room) -> bool {
        let (files, bytes) = match state.held {
            Held::Files { files, bytes } => (files, bytes),
            Held::Nothing | Held::GivenUp => (0, 0),
            Held::Impossible => return false,
        };
        let more = levels.own_bytes.saturating_sub(bytes);
        let more_files = levels.own_inodes.saturating_sub(files);
        if (more, more_files) == (0, 0) || !levels.is_enough_after(room, more, more_files) {
            return false;
        }
        match self.make_files(levels) {
            Ok(()) => {
                state.held = Held::Files { files: levels.own_inodes, bytes: levels.own_bytes };
                true
            }
            // What there is stays.
            Err(_) if files > 0 => false,
            Err(error) => {
                self.remove_files(levels.own_inodes);
                if !is_full(&error) {
                    tracing::warn!(%error, "{FILE_NAME} cannot be made: nothing is held for metadata and deletions");
                    state.held = Held::Impossible;
                }
                false
            }
        }
    }

    fn make_files(&self, levels: &Levels) -> io::Result<()> {
        self.disk.open(&self.file(0), OpenMode::Create)?.allocate(levels.own_bytes)?;
        (1..levels.own_inodes).try_for_each(|number| self.disk.open(&self.file(number), OpenMode::Create).map(drop))
    }

    fn remove_files(&self, count: u64) {
        for path in (0..count).map(|number| self.file(number)) {
            match self.disk.remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %error, "a file that only holds room cannot be removed");
                }
                _ => {}
            }
        }
    }

    /// Where the one with this number is. The first has the bytes.
    fn file(&self, number: u64) -> PathBuf {
        match number {
            0 => self.path.join(FILE_NAME),
            _ => self.path.join(format!("{FILE_NAME}-{number}")),
        }
    }

    /// Serves clients or begins to refuse them, one of whom has a batch of `bytes`.
    fn judge(&self, state: &mut State, levels: &Levels, room: &Room, bytes: u64) {
        let above = levels.above(room).and_then(|above| above.checked_sub(bytes));
        match above {
            Some(above) if state.held.lets_clients_in() => self.serve(state, above / 2),
            _ => self.refuse(state, bytes, &Short(levels, room)),
        }
    }

    fn serve(&self, state: &mut State, bytes: u64) {
        state.refusal = None;
        self.admitted.store(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    fn refuse(&self, state: &mut State, wanted: u64, why: &dyn fmt::Display) {
        tracing::warn!("{}: producers are refused until there is room: {why}", self.path.display());
        state.refusal = Some(Refusal { wanted });
        self.admitted.store(0, Ordering::Relaxed);
    }
}

impl Held {
    /// Clients have to wait for it, unless there is nothing to wait for.
    fn lets_clients_in(self) -> bool {
        matches!(self, Self::Files { .. } | Self::Impossible)
    }
}

/// What is left, for the log.
struct Left<'a>(&'a Room);

impl fmt::Display for Left<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.free_bytes)?;
        if let Some(inodes) = self.0.inodes {
            write!(f, " and {} inodes", inodes.free)?;
        }
        f.write_str(" are free")
    }
}

/// What is left, and what is to be left, for the log.
struct Short<'a>(&'a Levels, &'a Room);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(levels, room) = self;
        write!(f, "{}, {} bytes", Left(room), levels.bytes)?;
        if room.inodes.is_some() {
            write!(f, " and {} inodes", levels.inodes)?;
        }
        write!(f, " are kept back, and {} bytes held for metadata and deletions", levels.own_bytes)
    }
}
