//! Responses on their way to the socket, in order.
//!
//! Neighbouring bytes in memory leave together. A range of a file leaves by sendfile(2) if it is in the page cache; if it
//! is not, or there is no file or no sendfile, a piece at a time is read on a blocking thread and sent from memory, which
//! also makes the kernel read ahead. Small ranges in the page cache are read at once: that saves a system call each.

use std::{
    collections::VecDeque,
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::task::{JoinHandle, spawn_blocking};

use super::transport::{Transport, poll_when_writable};
use crate::{
    protocol::{
        file_range::FileRange,
        frame::{Frame, Part},
    },
    sys::{self, Cached},
};

/// Most pieces of memory in one write.
const SLICES_MAX: usize = 64;
/// A range up to this size is copied rather than sent by itself.
const SMALL_RANGE: usize = 16 << 10;
/// Most bytes of one sendfile(2), which may have to wait for the disk if the page cache lost them since they were probed.
const SEND_FILE_MAX: usize = 1 << 20;
/// Most bytes copied from the page cache at once.
const CACHED_PIECE_MAX: usize = 64 << 10;
/// Most bytes read ahead into memory.
const PIECE_MAX: usize = 256 << 10;

/// Why a response could not be sent.
#[derive(Debug)]
pub(super) enum SendError {
    /// The client is gone.
    Socket(io::Error),
    /// A range cannot be read: what is announced can no longer be sent.
    File(io::Error),
}

/// The responses that wait to be sent, or are being sent.
#[derive(Default)]
pub(super) struct Outgoing {
    parts: VecDeque<Queued>,
    frames: usize,
    bytes_in_memory: usize,
    written: u64,
    /// The end of what is known to be cached of the range in front.
    cached_to: u64,
    loading: Option<JoinHandle<io::Result<Bytes>>>,
}

struct Queued {
    part: Part,
    ends_frame: bool,
}

impl Outgoing {
    pub(super) fn push(&mut self, frame: Frame) {
        self.frames += 1;
        self.bytes_in_memory += frame.len_in_memory();
        let parts = frame.into_parts().filter(|part| !part.is_empty());
        self.parts.extend(parts.map(|part| Queued { part, ends_frame: false }));
        if let Some(last) = self.parts.back_mut() {
            last.ends_frame = true;
        }
    }

    /// How many frames are not wholly sent.
    pub(super) fn frames(&self) -> usize {
        self.frames
    }

    /// How many bytes in memory are not sent.
    pub(super) fn bytes_in_memory(&self) -> usize {
        self.bytes_in_memory
    }

    /// How many bytes were sent so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Whether the disk, not the client, is waited for.
    pub(super) fn is_loading(&self) -> bool {
        self.loading.is_some()
    }

    /// Whether it is a file, not memory, from which is sent.
    pub(super) fn is_sending_file(&self) -> bool {
        matches!(self.parts.front(), Some(Queued { part: Part::File(_), .. }))
    }

    /// Sends what the socket takes. Ready when all is sent.
    pub(super) fn poll_send(&mut self, to: &mut Transport, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        loop {
            self.load_small_ranges()?;
            match self.parts.front().map(|front| &front.part) {
                None => return to.poll_flush(cx).map_err(SendError::Socket),
                Some(Part::Bytes(_)) => ready!(self.poll_send_bytes(to, cx))?,
                Some(Part::File(_)) => ready!(self.poll_send_range(to, cx))?,
            }
        }
    }

    /// Turns small ranges at the front into bytes, as far as they are cached.
    fn load_small_ranges(&mut self) -> Result<(), SendError> {
        if self.loading.is_some() {
            return Ok(());
        }
        for queued in self.parts.iter_mut().take(SLICES_MAX) {
            let Part::File(range) = &queued.part else { continue };
            let Some(bytes) = read_if_small_and_cached(range).map_err(SendError::File)? else { break };
            self.bytes_in_memory += bytes.len();
            queued.part = Part::Bytes(bytes);
        }
        Ok(())
    }

    fn poll_send_bytes(&mut self, to: &mut Transport, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        let mut more = false;
        for (slice, queued) in slices.iter_mut().zip(&self.parts) {
            let Part::Bytes(bytes) = &queued.part else {
                more = true;
                break;
            };
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        let sent = ready!(to.poll_write(&slices[..count], more, cx)).map_err(SendError::Socket)?;
        self.advance_bytes(sent);
        Poll::Ready(Ok(()))
    }

    fn advance_bytes(&mut self, sent: usize) {
        self.written += sent as u64;
        self.bytes_in_memory -= sent;
        let mut left = sent;
        while left > 0 {
            let Some(Queued { part: Part::Bytes(bytes), .. }) = self.parts.front_mut() else { return };
            let taken = left.min(bytes.len());
            bytes.advance(taken);
            left -= taken;
            if bytes.is_empty() {
                self.pop_front();
            }
        }
    }

    fn pop_front(&mut self) {
        if self.parts.pop_front().is_some_and(|sent| sent.ends_frame) {
            self.frames -= 1;
        }
        self.cached_to = 0;
    }

    fn poll_send_range(&mut self, to: &Transport, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let Some(Queued { part: Part::File(range), .. }) = self.parts.front_mut() else { return Poll::Ready(Ok(())) };
        if self.loading.is_none() {
            let direct = to.send_file_target().zip(range.source.as_file());
            if let Some((socket, file)) = direct
                && cached(range, &mut self.cached_to).map_err(SendError::File)?
            {
                let length = range.length.min(usize::try_from(self.cached_to - range.position).unwrap_or(usize::MAX));
                let send = |socket: &_| sys::send_file(socket, file, range.position, length);
                let sent = ready!(poll_when_writable(socket, cx, send)).map_err(send_file_error)?;
                self.written += sent as u64;
                return Poll::Ready(self.advance_range(sent).map_err(SendError::File));
            }
            if direct.is_none()
                && let Some(piece) = read_cached_piece(range).map_err(SendError::File)?
            {
                self.put_before_its_range(piece);
                return Poll::Ready(Ok(()));
            }
            self.loading = Some(read_ahead(range));
        }
        self.poll_loading(cx)
    }

    fn advance_range(&mut self, sent: usize) -> io::Result<()> {
        let Some(Queued { part: Part::File(range), .. }) = self.parts.front_mut() else { return Ok(()) };
        if sent == 0 {
            return Err(truncated(range));
        }
        range.position += sent as u64;
        range.length -= sent;
        if range.length == 0 {
            self.pop_front();
        }
        Ok(())
    }

    /// Waits for the piece that is being read, and puts it before what is left of its range.
    fn poll_loading(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let Some(loading) = &mut self.loading else { return Poll::Ready(Ok(())) };
        let read = ready!(Pin::new(loading).poll(cx));
        self.loading = None;
        let piece = read.map_err(io::Error::other).flatten().map_err(SendError::File)?;
        self.put_before_its_range(piece);
        Poll::Ready(Ok(()))
    }

    /// Takes over from the range in front what was read of its beginning.
    fn put_before_its_range(&mut self, piece: Bytes) {
        let Some(mut range) = self.parts.pop_front() else { return };
        let mut ends_frame = range.ends_frame;
        if let Part::File(rest) = &mut range.part
            && rest.length > piece.len()
        {
            rest.position += piece.len() as u64;
            rest.length -= piece.len();
            ends_frame = false;
            self.parts.push_front(range);
        }
        self.bytes_in_memory += piece.len();
        self.parts.push_front(Queued { part: Part::Bytes(piece), ends_frame });
    }
}

/// A read that has not begun when the client is gone need not begin.
impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(loading) = &self.loading {
            loading.abort();
        }
    }
}

/// The whole of `range`, if it is small, in a file and cached.
fn read_if_small_and_cached(range: &FileRange) -> io::Result<Option<Bytes>> {
    let Some(file) = range.source.as_file().filter(|_| range.length <= SMALL_RANGE) else { return Ok(None) };
    let mut buffer = vec![0; range.length];
    let whole = sys::read_cached(file, &mut buffer, range.position)? == Cached::Read(range.length);
    Ok(whole.then(|| buffer.into()))
}

/// The beginning of `range`, if it is in a file and cached: for where bytes pass through the process anyway.
fn read_cached_piece(range: &FileRange) -> io::Result<Option<Bytes>> {
    let Some(file) = range.source.as_file() else { return Ok(None) };
    let mut buffer = vec![0; range.length.min(CACHED_PIECE_MAX)];
    match sys::read_cached(file, &mut buffer, range.position)? {
        Cached::Read(0) => Err(truncated(range)),
        Cached::Read(read) => {
            buffer.truncate(read);
            Ok(Some(buffer.into()))
        }
        Cached::No | Cached::Unknown => Ok(None),
    }
}

/// Whether the first bytes of `range` can be had without waiting for the disk; `cached_to` keeps how far. Its first and
/// last byte stand for a piece: what is cached between is so nearly always. A file system that does not tell is taken
/// to be fast.
fn cached(range: &FileRange, cached_to: &mut u64) -> io::Result<bool> {
    if range.position < *cached_to {
        return Ok(true);
    }
    let Some(file) = range.source.as_file() else { return Ok(false) };
    let end = range.position + range.length.min(SEND_FILE_MAX) as u64;
    for position in [range.position, end - 1] {
        if sys::read_cached(file, &mut [0], position)? == Cached::No {
            return Ok(false);
        }
    }
    *cached_to = end;
    Ok(true)
}

/// Reads the first piece of `range` where waiting for the disk holds up no connection.
fn read_ahead(range: &FileRange) -> JoinHandle<io::Result<Bytes>> {
    let piece = FileRange { length: range.length.min(PIECE_MAX), ..range.clone() };
    spawn_blocking(move || {
        piece.read().map_err(|e| if e.kind() == io::ErrorKind::UnexpectedEof { truncated(&piece) } else { e })
    })
}

fn truncated(range: &FileRange) -> io::Error {
    let text = format!("the file ends before byte {}", range.position + range.length as u64);
    io::Error::new(io::ErrorKind::UnexpectedEof, text)
}

/// Tells the two ends of sendfile(2) apart by what can go wrong only with a socket.
fn send_file_error(error: io::Error) -> SendError {
    use io::ErrorKind::*;
    match error.kind() {
        BrokenPipe | ConnectionReset | ConnectionAborted | NotConnected | TimedOut | HostUnreachable
        | NetworkUnreachable | NetworkDown => SendError::Socket(error),
        _ => SendError::File(error),
    }
}
