//! What only Linux offers, each with a stand-in elsewhere, so that callers have one way of working.

use std::{
    fs::File,
    io::{self, IoSlice},
    os::fd::AsFd,
};

/// What is known about bytes of a file without waiting for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cached {
    /// This many are in memory, and were read.
    Read(usize),
    /// They are on the disk.
    No,
    /// The system does not tell.
    Unknown,
}

#[cfg(target_os = "linux")]
mod imp {
    use std::io::IoSliceMut;

    use rustix::{
        fs::FallocateFlags,
        io::{Errno, ReadWriteFlags},
        net::{SendAncillaryBuffer, SendFlags},
    };

    use super::*;

    pub(crate) const HAS_SEND_FILE: bool = true;

    pub(crate) fn send_file(socket: impl AsFd, file: &File, position: u64, length: usize) -> io::Result<usize> {
        let mut position = position;
        Ok(rustix::fs::sendfile(socket, file, Some(&mut position), length)?)
    }

    pub(crate) fn read_cached(file: &File, buffer: &mut [u8], position: u64) -> io::Result<Cached> {
        let slices = &mut [IoSliceMut::new(buffer)];
        match rustix::io::preadv2(file, slices, position, ReadWriteFlags::NOWAIT) {
            Ok(n) => Ok(Cached::Read(n)),
            Err(Errno::AGAIN) => Ok(Cached::No),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(Cached::Unknown),
            Err(e) => Err(e.into()),
        }
    }

    /// Older kernels do not report what failed to be written by `syncfs`.
    const SYNCFS_REPORTS_FROM: (u32, u32) = (5, 8);

    /// Magic numbers of the file systems whose `syncfs` is known to wait for everything and to tell what went wrong:
    /// ext2 to ext4, XFS, Btrfs. Overlay, FUSE and network file systems are known for the contrary.
    const TRUSTED_FILESYSTEMS: [u64; 3] = [0xEF53, 0x5846_5342, 0x9123_683E];

    pub(crate) fn can_sync_filesystem(directory: &File) -> io::Result<bool> {
        let kind = rustix::fs::fstatfs(directory)?.f_type;
        let is_trusted = u64::try_from(kind).is_ok_and(|kind| TRUSTED_FILESYSTEMS.contains(&kind));
        let release = rustix::system::uname();
        let release = parse_release(&release.release().to_string_lossy());
        Ok(is_trusted && release.is_some_and(|release| release >= SYNCFS_REPORTS_FROM))
    }

    /// Major and minor version of a kernel.
    pub(super) fn parse_release(release: &str) -> Option<(u32, u32)> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }

    pub(crate) fn sync_filesystem(directory: &File) -> io::Result<()> {
        Ok(rustix::fs::syncfs(directory)?)
    }

    pub(crate) fn allocate(file: &File, len: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len)?)
    }

    pub(crate) fn send_with_more_to_come(socket: impl AsFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
        Ok(rustix::net::sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), flags)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use super::*;

    pub(crate) const HAS_SEND_FILE: bool = false;

    pub(crate) fn send_file(_socket: impl AsFd, _file: &File, _position: u64, _length: usize) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn read_cached(_file: &File, _buffer: &mut [u8], _position: u64) -> io::Result<Cached> {
        Ok(Cached::Unknown)
    }

    pub(crate) fn can_sync_filesystem(_directory: &File) -> io::Result<bool> {
        Ok(false)
    }

    pub(crate) fn sync_filesystem(_directory: &File) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn allocate(_file: &File, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn send_with_more_to_come(socket: impl AsFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(rustix::io::writev(socket, slices)?)
    }
}

/// Whether [`send_file`] works here.
pub(crate) const HAS_SEND_FILE: bool = imp::HAS_SEND_FILE;

/// Sends up to `length` bytes of `file` from `position` on, without passing them through the process. 0 means that the
/// file ends there.
pub(crate) fn send_file(socket: impl AsFd, file: &File, position: u64, length: usize) -> io::Result<usize> {
    imp::send_file(socket, file, position, length)
}

/// Reads at `position` what can be had without waiting for the disk.
pub(crate) fn read_cached(file: &File, buffer: &mut [u8], position: u64) -> io::Result<Cached> {
    imp::read_cached(file, buffer, position)
}

/// Sends `slices` and tells the kernel that more follows at once, so that it does not fill a packet with them alone.
pub(crate) fn send_with_more_to_come(socket: impl AsFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    imp::send_with_more_to_come(socket, slices)
}

/// Whether [`sync_filesystem`] can be relied on for the file system that a directory is on.
pub(crate) fn can_sync_filesystem(directory: &File) -> io::Result<bool> {
    imp::can_sync_filesystem(directory)
}

/// Makes everything durable that was written to the file system of a directory.
pub(crate) fn sync_filesystem(directory: &File) -> io::Result<()> {
    imp::sync_filesystem(directory)
}

/// Extends a file with zeros that have their place on the disk. [`io::ErrorKind::Unsupported`] where they would have to be
/// written.
pub(crate) fn allocate(file: &File, len: u64) -> io::Result<()> {
    imp::allocate(file, len)
}

/// Raises the soft limit of open files to the hard one and returns what is in force then.
pub(crate) fn raise_open_file_limit() -> io::Result<u64> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit)?;
    }
    Ok(limit.current.unwrap_or(u64::MAX))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn kernel_releases_are_read() {
        assert_eq!(imp::parse_release("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(imp::parse_release("5.8-rc1"), Some((5, 8)));
        assert_eq!(imp::parse_release("garbage"), None);
    }

    #[test]
    fn the_soft_limit_of_open_files_becomes_the_hard_one() {
        let raised = raise_open_file_limit().unwrap();
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert_eq!(limit.current.unwrap_or(u64::MAX), raised);
    }
}
