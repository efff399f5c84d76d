//! The operating system's files.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, IoSlice, Write},
    os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, UNIX_EPOCH},
};

use rustix::{
    fs::{Advice, FlockOperation, OFlags},
    process::{Flock, FlockType},
};

use super::{DirEntry, Disk, DiskFile, EntryKind, Filesystem, Inodes, LockError, OpenMode, Room};
use crate::{clock::TimestampMs, protocol::file_range::RangeSource, sys};

/// What a file is created with that only its owner may read.
const PRIVATE: u32 = 0o600;
/// All rights of the group and of everybody else.
const OTHERS: u32 = 0o077;
/// More slices than one append has.
const SLICES_MAX: usize = 8;
/// How much is written at once to take room where the file system does not give it away otherwise.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(mode != OpenMode::ReadOnly).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        match mode {
            OpenMode::ReadOnly | OpenMode::Existing => {}
            OpenMode::Create => drop(options.create(true)),
            OpenMode::CreateEmpty => drop(options.create(true).truncate(true)),
            OpenMode::CreatePrivate => drop(options.create_new(true).mode(PRIVATE)),
        }
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn list_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type()?;
            let (kind, len) = match () {
                () if kind.is_file() => (EntryKind::File, entry.metadata()?.len()),
                () if kind.is_dir() => (EntryKind::Directory, 0),
                () => (EntryKind::Other, 0),
            };
            entries.push(DirEntry { name, kind, len });
        }
        Ok(entries)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn make_private(&self, path: &Path) -> io::Result<bool> {
        let mode = fs::symlink_metadata(path)?.permissions().mode();
        if mode & OTHERS == 0 {
            return Ok(false);
        }
        // A link is not followed: what others can swap for one is not theirs to have narrowed.
        let file = OpenOptions::new().read(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(path)?;
        file.set_permissions(Permissions::from_mode(mode & !OTHERS))?;
        Ok(true)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        match fs::symlink_metadata(path) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn filesystem(&self, path: &Path) -> io::Result<Option<Box<dyn Filesystem>>> {
        let directory = File::open(path)?;
        if !sys::can_sync_filesystem(&directory)? {
            return Ok(None);
        }
        Ok(Some(Box::new(RealFilesystem(directory))))
    }

    fn room(&self, path: &Path) -> io::Result<Option<Room>> {
        let stat = rustix::fs::statvfs(path)?;
        let inodes = Inodes { free: stat.f_favail, total: stat.f_files };
        let room = Room {
            // Not what is kept for root: that is the system's own reserve.
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            inodes: (inodes.total > 0).then_some(inodes),
        };
        Ok((room.total_bytes > 0).then_some(room))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Send + Sync>, LockError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)
            .map_err(LockError::Io)?;
        take_lock(&file, FlockOperation::NonBlockingLockExclusive)?;
        // For the message of the next process only: the lock does not depend on it.
        let _ = file.set_len(0).and_then(|()| write!(&file, "{}", std::process::id()));
        Ok(Box::new(file))
    }

    fn lock_shared(&self, path: &Path) -> Result<Option<Box<dyn Send + Sync>>, LockError> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        let file = match options.open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(LockError::Io(e)),
        };
        take_lock(&file, FlockOperation::NonBlockingLockShared)?;
        Ok(Some(Box::new(file)))
    }
}

/// The file system of an open directory.
struct RealFilesystem(File);

impl Filesystem for RealFilesystem {
    fn sync(&self) -> io::Result<()> {
        sys::sync_filesystem(&self.0)
    }
}

/// How often a lock is tried for that somebody holds, and the pause between two tries. A process that this one has forked
/// holds what this one held until it runs its own program: a lock that was given back may not be free for that moment.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

fn take_lock(file: &File, operation: FlockOperation) -> Result<(), LockError> {
    for _ in 1..LOCK_TRIES {
        match try_lock(file, operation) {
            Err(LockError::Held { .. }) => thread::sleep(LOCK_PAUSE),
            taken => return taken,
        }
    }
    try_lock(file, operation)
}

/// Takes two locks: `flock`, which also holds between two opens of one process, and the POSIX record lock, which is the
/// one that the Java virtual machine takes.
fn try_lock(file: &File, operation: FlockOperation) -> Result<(), LockError> {
    let taken = rustix::fs::flock(file, operation).and_then(|()| rustix::fs::fcntl_lock(file, operation));
    match taken.map_err(io::Error::from) {
        Ok(()) => Ok(()),
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::PermissionDenied) => {
            Err(LockError::Held { pid: holder(file) })
        }
        Err(e) => Err(LockError::Io(e)),
    }
}

/// Who holds the lock: the kernel knows for a record lock, else the file says it.
fn holder(file: &File) -> Option<u32> {
    let held = rustix::process::fcntl_getlk(file, &Flock::from(FlockType::WriteLock)).ok().flatten();
    if let Some(pid) = held.and_then(|lock| lock.pid) {
        return u32::try_from(pid.as_raw_nonzero().get()).ok();
    }
    let mut text = [0; 16];
    let len = file.read_at(&mut text, 0).ok()?;
    std::str::from_utf8(&text[..len]).ok()?.trim().parse().ok()
}

/// An open file of the operating system.
#[derive(Debug)]
struct RealFile(File);

impl RangeSource for RealFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at(buffer, position)
    }

    fn as_file(&self) -> Option<&File> {
        Some(&self.0)
    }
}

impl DiskFile for RealFile {
    fn write_all_at(&self, parts: &[&[u8]], position: u64) -> io::Result<()> {
        let [first, rest @ ..] = parts else { return Ok(()) };
        if rest.is_empty() || parts.len() > SLICES_MAX {
            return write_one_by_one(&self.0, parts, position);
        }
        let mut slices = [IoSlice::new(first); SLICES_MAX];
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
        }
        write_vectored(&self.0, &mut slices[..parts.len()], position)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        match sys::allocate(&self.0, len) {
            Err(e) if e.kind() == io::ErrorKind::Unsupported => write_zeros(&self.0, len),
            result => result,
        }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn modified_ms(&self) -> io::Result<TimestampMs> {
        let since_epoch = self.0.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(TimestampMs::try_from(since_epoch.as_millis()).unwrap_or(TimestampMs::MAX))
    }

    fn set_modified_ms(&self, modified_ms: TimestampMs) -> io::Result<()> {
        let since_epoch = Duration::from_millis(u64::try_from(modified_ms).unwrap_or(0));
        self.0.set_modified(UNIX_EPOCH + since_epoch)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn drop_cached(&self) -> io::Result<()> {
        Ok(rustix::fs::fadvise(&self.0, 0, None, Advice::DontNeed)?)
    }
}

fn write_zeros(file: &File, len: u64) -> io::Result<()> {
    let mut position = 0;
    while position < len {
        let rest = usize::try_from(len - position).unwrap_or(usize::MAX);
        let zeros = &ZEROS[..rest.min(ZEROS.len())];
        file.write_all_at(zeros, position)?;
        position += zeros.len() as u64;
    }
    Ok(())
}

fn write_one_by_one(file: &File, parts: &[&[u8]], mut position: u64) -> io::Result<()> {
    for part in parts {
        file.write_all_at(part, position)?;
        position += part.len() as u64;
    }
    Ok(())
}

fn write_vectored(file: &File, mut slices: &mut [IoSlice<'_>], mut position: u64) -> io::Result<()> {
    while slices.iter().any(|slice| !slice.is_empty()) {
        match rustix::io::pwritev(file, slices, position).map_err(io::Error::from) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                IoSlice::advance_slices(&mut slices, written);
                position += written as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::disk::{read_file, replace_file};

    #[test]
    fn parts_are_written_one_after_the_other() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("file");
        let file = RealDisk.open(&path, OpenMode::Create).expect("created");
        file.write_all_at(&[b"abc", b"", b"defg"], 0).expect("written");
        file.write_all_at(&[b"X"], 2).expect("written");
        assert_eq!(read_file(&RealDisk, &path).expect("read"), b"abXdefg");
        file.set_len(4).expect("cut");
        assert_eq!(file.len().expect("stat"), 4);
        let many: Vec<&[u8]> = vec![b"-"; SLICES_MAX + 3];
        file.write_all_at(&many, 1).expect("written");
        assert_eq!(read_file(&RealDisk, &path).expect("read"), b"a-----------");
        let (modified, now) = (file.modified_ms().expect("stat"), crate::clock::wall_clock_ms());
        assert!((now - 60_000..=now + 60_000).contains(&modified), "{modified} is not just before {now}");
        file.set_modified_ms(1_234_567).expect("set");
        assert_eq!(file.modified_ms().expect("stat"), 1_234_567);
    }

    #[test]
    fn room_is_told_and_taken() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let room = RealDisk.room(dir.path()).expect("told").expect("a file system with an end");
        assert!(0 < room.free_bytes && room.free_bytes <= room.total_bytes, "{room:?}");
        assert!(room.inodes.is_none_or(|inodes| inodes.free <= inodes.total), "{room:?}");
        let len = 3 * ZEROS.len() as u64 + 1;
        let file = RealDisk.open(&dir.path().join("allocated"), OpenMode::Create).expect("created");
        file.allocate(len).expect("allocated");
        let (path, zeros) = (dir.path().join("written"), File::create(dir.path().join("written")).expect("created"));
        write_zeros(&zeros, len).expect("written");
        for path in [dir.path().join("allocated"), path] {
            let bytes = read_file(&RealDisk, &path).expect("read");
            assert_eq!((bytes.len() as u64, bytes.iter().any(|byte| *byte != 0)), (len, false));
        }
        assert!(file.allocate(u64::MAX / 4).is_err(), "more than there is");
    }

    #[test]
    fn a_replaced_file_leaves_no_temporary_one() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("file");
        replace_file(&RealDisk, &path, b"old").expect("written");
        replace_file(&RealDisk, &path, b"new").expect("replaced");
        assert_eq!(read_file(&RealDisk, &path).expect("read"), b"new");
        let entries = RealDisk.list_dir(dir.path()).expect("listed");
        assert_eq!(entries, [DirEntry { name: "file".into(), kind: EntryKind::File, len: 3 }]);
    }

    #[test]
    fn a_lock_is_held_once_and_names_its_holder() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join(".lock");
        let held = RealDisk.lock(&path).expect("free");
        match RealDisk.lock(&path).err() {
            Some(LockError::Held { pid }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("the lock was taken twice: {other:?}"),
        }
        drop(held);
        RealDisk.lock(&path).expect("free again");
    }

    #[test]
    fn a_lock_that_is_held_for_a_moment_is_waited_for() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join(".lock");
        let held = RealDisk.lock(&path).expect("free");
        let begun = std::sync::Barrier::new(2);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                begun.wait();
                RealDisk.lock(&path).map(drop).is_ok()
            });
            begun.wait();
            // As long as a child takes at most to run its program.
            thread::sleep(3 * LOCK_PAUSE);
            drop(held);
            assert!(waiting.join().expect("no panic"));
        });
    }

    #[test]
    fn a_shared_lock_keeps_others_out_and_leaves_the_file_alone() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join(".lock");
        assert!(RealDisk.lock_shared(&path).expect("nobody has it").is_none());
        assert!(!path.exists());
        fs::write(&path, "4711").expect("written");
        let shared = RealDisk.lock_shared(&path).expect("free").expect("there");
        let another = RealDisk.lock_shared(&path).expect("readers do not mind each other").expect("there");
        assert!(matches!(RealDisk.lock(&path), Err(LockError::Held { .. })));
        assert_eq!(fs::read(&path).expect("read"), b"4711");
        drop((shared, another));
        let _exclusive = RealDisk.lock(&path).expect("free again");
        assert!(matches!(RealDisk.lock_shared(&path), Err(LockError::Held { .. })));
    }

    #[test]
    fn a_file_that_is_only_read_is_not_written() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("file");
        fs::write(&path, "text").expect("written");
        let file = RealDisk.open(&path, OpenMode::ReadOnly).expect("there");
        assert!(file.write_all_at(&[b"X"], 0).is_err() && file.set_len(0).is_err());
        assert!(RealDisk.open(&dir.path().join("none"), OpenMode::ReadOnly).is_err());
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/etc/hostname", &link).expect("linked");
        assert!(RealDisk.open(&link, OpenMode::Existing).is_err());
        assert_eq!(RealDisk.list_dir(dir.path()).expect("listed")[0].kind, EntryKind::Other);
    }
}
