//! Bytes that a response sends but never holds: a range of a file.

use std::{fmt, fs::File, io, sync::Arc};

use bytes::Bytes;

/// What a [`FileRange`] reads from. A real file also offers its descriptor, for sendfile(2).
pub trait RangeSource: Send + Sync {
    /// Reads at `position`, as `pread(2)` does: fewer bytes than asked for are possible, none means end of file.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// The operating system's file, where there is one.
    fn as_file(&self) -> Option<&File> {
        None
    }
}

/// `length` bytes of a file from `position` on. Holds the file open.
#[derive(Clone)]
pub struct FileRange {
    /// The file.
    pub source: Arc<dyn RangeSource>,
    /// The first byte.
    pub position: u64,
    /// How many bytes.
    pub length: usize,
}

impl FileRange {
    /// Reads the whole range into memory. An end of file before its end is an error.
    pub fn read(&self) -> io::Result<Bytes> {
        let mut buffer = vec![0; self.length];
        let mut filled = 0_usize;
        while let Some(left @ [_, ..]) = buffer.get_mut(filled..) {
            match self.source.read_at(left, self.position_of(filled)?) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => filled = filled.saturating_add(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(buffer.into())
    }

    /// Where in the file the range's byte `at` stands. No file has one beyond the last position.
    fn position_of(&self, at: usize) -> io::Result<u64> {
        let position = u64::try_from(at).ok().and_then(|at| self.position.checked_add(at));
        position.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl fmt::Debug for FileRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileRange({}+{})", self.position, self.length)
    }
}
