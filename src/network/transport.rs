//! What a connection reads from and writes to.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWrite, Interest},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use crate::sys;

/// A byte stream to a client.
#[derive(Debug)]
pub(super) enum Transport {
    /// TCP in the clear.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    /// Waits until there may be something to read, without needing a buffer for it.
    pub(super) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => stream.poll_read_ready(cx),
            Self::Tls(stream) => {
                let (socket, session) = stream.get_mut();
                // What came with the end of the handshake is in the session, and the socket knows nothing of it. An error is
                // for the read to tell.
                let waits = session.process_new_packets().map_or(true, |state| state.plaintext_bytes_to_read() > 0);
                if waits { Poll::Ready(Ok(())) } else { socket.poll_read_ready(cx) }
            }
        }
    }

    /// Reads into the free room of `buffer`, which there must be. 0 is the end of the stream.
    pub(super) fn poll_read(&mut self, buffer: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        debug_assert!(buffer.capacity() > buffer.len(), "a read without room looks like the end");
        match self {
            Self::Plain(stream) => pin!(stream.read_buf(buffer)).poll(cx),
            Self::Tls(stream) => pin!(stream.read_buf(buffer)).poll(cx).map(end_without_farewell),
        }
    }

    /// Writes what it can of `slices`. `more` says that other bytes follow at once.
    pub(super) fn poll_write(
        &mut self,
        slices: &[IoSlice<'_>],
        more: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) if more => {
                poll_when_writable(stream, cx, |stream| sys::send_with_more_to_come(stream, slices))
            }
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, slices),
        }
    }

    /// Ready when the socket has all that was written.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    /// Says that nothing more comes, as far as the socket takes that at once.
    pub(super) fn say_farewell(&mut self, cx: &mut Context<'_>) {
        if let Self::Tls(stream) = self {
            let _ = Pin::new(stream.as_mut()).poll_shutdown(cx);
        }
    }

    /// The socket, where bytes may go to it without passing through the process.
    pub(super) fn send_file_target(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(stream) => sys::HAS_SEND_FILE.then_some(stream),
            Self::Tls(_) => None,
        }
    }
}

/// Many clients end TLS without saying so. A frame that is cut off by that is noticed as such.
fn end_without_farewell(read: io::Result<usize>) -> io::Result<usize> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        read => read,
    }
}

/// Runs `write` on a socket that can take bytes, until it does.
pub(super) fn poll_when_writable(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(cx))?;
        match stream.try_io(Interest::WRITABLE, || write(stream)) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            done => return Poll::Ready(done),
        }
    }
}
