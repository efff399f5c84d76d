//! Frames: a four-byte big-endian size, then that many bytes. Where one request ends and the next begins, and what a
//! response is made of, is all that this module knows.
//!
//! A size that cannot be right leaves no way to find the next frame, so every [`FrameError`] ends the connection.

use bytes::{Buf, Bytes, BytesMut};

use super::file_range::FileRange;

/// Length of the size that precedes every frame.
pub const SIZE_PREFIX: usize = 4;

/// Why a size prefix was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Four bytes that begin an HTTP request.
    #[error("looks like HTTP (starts with {0:?}), not Kafka's protocol")]
    Http(&'static str),
    /// Bytes that begin a TLS handshake.
    #[error("looks like a TLS handshake on a plain-text listener")]
    Tls,
    /// A frame without content.
    #[error("frame of 0 bytes")]
    Empty,
    /// A size below zero.
    #[error("frame of negative size {0}")]
    Negative(i32),
    /// A size above `socket.request.max.bytes`.
    #[error("frame of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// The size announced.
        size: usize,
        /// The limit in force.
        limit: usize,
    },
}

/// How HTTP requests begin. The last is the preface of HTTP/2.
const HTTP_PREFIXES: [&str; 10] = ["GET ", "POST", "PUT ", "HEAD", "OPTI", "DELE", "PATC", "CONN", "TRAC", "PRI "];

/// Content type and major version of a TLS record that carries a handshake.
const TLS_HANDSHAKE: [u8; 2] = [0x16, 0x03];

/// The size that `prefix` announces, if a frame may have it. HTTP and TLS are refused even where `limit` would let
/// their first bytes pass as a size.
pub fn frame_size(prefix: [u8; SIZE_PREFIX], limit: usize) -> Result<usize, FrameError> {
    if let Some(text) = HTTP_PREFIXES.into_iter().find(|text| text.as_bytes() == prefix) {
        return Err(FrameError::Http(text));
    }
    if prefix.starts_with(&TLS_HANDSHAKE) {
        return Err(FrameError::Tls);
    }
    let announced = i32::from_be_bytes(prefix);
    match usize::try_from(announced) {
        Err(_) => Err(FrameError::Negative(announced)),
        Ok(0) => Err(FrameError::Empty),
        Ok(size) if size > limit => Err(FrameError::TooLarge { size, limit }),
        Ok(size) => Ok(size),
    }
}

/// The size announced at the start of `buffer`; `None` while the prefix is incomplete.
pub fn announced_size(buffer: &[u8], limit: usize) -> Result<Option<usize>, FrameError> {
    buffer.first_chunk().map(|prefix| frame_size(*prefix, limit)).transpose()
}

/// Takes the first frame off `buffer`, without its size prefix and without copying; `None` while it is incomplete.
/// Nothing is reserved: how the buffer grows is the reader's decision.
pub fn next_frame(buffer: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(size) = announced_size(buffer, limit)? else { return Ok(None) };
    if buffer.len() < SIZE_PREFIX.saturating_add(size) {
        return Ok(None);
    }
    buffer.advance(SIZE_PREFIX);
    Ok(Some(buffer.split_to(size).freeze()))
}

/// A piece of a response.
#[derive(Clone, Debug)]
pub enum Part {
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes that go from a file to the socket.
    File(FileRange),
}

impl Part {
    /// How many bytes the piece has.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File(range) => range.length,
        }
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A response, ready to be sent: its size prefix is written. The common case is one piece in memory, which costs no list.
#[derive(Clone, Debug)]
pub struct Frame {
    head: Bytes,
    rest: Vec<Part>,
}

/// A response whose length a size prefix cannot express.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("response of {0} bytes is longer than a frame can be")]
pub struct ResponseTooLarge(pub usize);

impl Frame {
    /// The frame of `buffer` with the pieces of `inserted` put in, each where the buffer had that length. The encoder
    /// leaves the first [`SIZE_PREFIX`] bytes of the buffer free; the size is written there, once it is known.
    ///
    /// # Panics
    /// If the buffer is shorter than the prefix, or a piece stands before the one in front of it.
    pub fn new(mut buffer: Vec<u8>, inserted: Vec<(usize, Part)>) -> Result<Self, ResponseTooLarge> {
        let (prefix, content) = buffer.split_first_chunk_mut().expect("the encoder has left room for the size");
        let content = inserted.iter().map(|(_, part)| part.len()).fold(content.len(), usize::saturating_add);
        *prefix = i32::try_from(content).map_err(|_| ResponseTooLarge(content))?.to_be_bytes();
        let (head, rest) = insert(buffer, inserted);
        Ok(Self { head, rest })
    }

    /// How many bytes are sent, the size prefix included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rest.iter().map(Part::len).fold(self.head.len(), usize::saturating_add)
    }

    /// Never: there is always a size prefix.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// How many of the bytes are held in memory.
    #[must_use]
    pub fn len_in_memory(&self) -> usize {
        let in_memory = |part: &Part| if let Part::Bytes(bytes) = part { bytes.len() } else { 0 };
        self.rest.iter().map(in_memory).fold(self.head.len(), usize::saturating_add)
    }

    /// The pieces, in the order in which they are sent.
    pub fn into_parts(self) -> impl Iterator<Item = Part> {
        std::iter::once(Part::Bytes(self.head)).chain(self.rest)
    }
}

/// Puts each piece where `buffer` had that length: what stands before the first, and all that follows. From the last to
/// the first, so that none moves another's place.
pub(super) fn insert(buffer: Vec<u8>, pieces: Vec<(usize, Part)>) -> (Bytes, Vec<Part>) {
    let mut head = Bytes::from(buffer);
    let mut rest = Vec::with_capacity(pieces.len().saturating_mul(2));
    for (place, piece) in pieces.into_iter().rev() {
        let behind = head.split_off(place);
        if !behind.is_empty() {
            rest.push(Part::Bytes(behind));
        }
        rest.push(piece);
    }
    rest.reverse();
    (head, rest)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1000;

    fn check(bytes: &[u8], limit: usize, expected: Result<Option<&'static [u8]>, FrameError>) {
        let decoded = next_frame(&mut BytesMut::from(bytes), limit);
        assert_eq!(decoded, expected.map(|frame| frame.map(Bytes::from_static)), "{bytes:?}");
    }

    #[test]
    fn a_frame_is_taken_when_it_is_whole() {
        check(b"", LIMIT, Ok(None));
        check(b"\0\0\0", LIMIT, Ok(None));
        check(b"\0\0\0\x03", LIMIT, Ok(None));
        check(b"\0\0\0\x03ab", LIMIT, Ok(None));
        check(b"\0\0\0\x03abc", LIMIT, Ok(Some(b"abc")));
        check(b"\0\0\0\x03abcd", LIMIT, Ok(Some(b"abc")));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused_before_the_content_arrives() {
        check(b"\0\0\0\0", LIMIT, Err(FrameError::Empty));
        check(b"\xff\xff\xff\xff", LIMIT, Err(FrameError::Negative(-1)));
        check(b"\x80\0\0\0", LIMIT, Err(FrameError::Negative(i32::MIN)));
        check(b"\0\0\x03\xe8", LIMIT, Ok(None));
        check(b"\0\0\x03\xe9", LIMIT, Err(FrameError::TooLarge { size: 1001, limit: LIMIT }));
    }

    #[test]
    fn other_protocols_are_named_whatever_the_limit() {
        for limit in [LIMIT, usize::MAX] {
            for prefix in HTTP_PREFIXES {
                check(prefix.as_bytes(), limit, Err(FrameError::Http(prefix)));
            }
            check(b"\x16\x03\x01\x02", limit, Err(FrameError::Tls));
            check(b"\x16\x03\x03\x00", limit, Err(FrameError::Tls));
        }
        check(b"\x16\x04\0\0", usize::MAX, Ok(None));
    }

    #[test]
    fn a_response_carries_its_own_size() {
        let piece = |text: &'static str| Part::Bytes(Bytes::from_static(text.as_bytes()));
        let inserted = vec![(6, piece("xyz")), (6, piece("-")), (7, piece("+"))];
        let frame = Frame::new(b"????abcd".to_vec(), inserted).unwrap();
        assert_eq!((frame.len(), frame.len_in_memory()), (13, 13));
        let sent: Vec<u8> = frame
            .into_parts()
            .flat_map(|part| match part {
                Part::Bytes(bytes) => bytes.to_vec(),
                Part::File(_) => unreachable!("no file was put in"),
            })
            .collect();
        assert_eq!(sent, b"\0\0\0\x09abxyz-c+d");
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_they_are_cut(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..20),
            cuts in prop::collection::vec(1..40_usize, 1..50),
        ) {
            let sent: Vec<u8> = frames.iter().flat_map(|frame| {
                let size = u32::try_from(frame.len()).unwrap().to_be_bytes();
                size.into_iter().chain(frame.iter().copied())
            }).collect();
            let (mut buffer, mut taken, mut rest) = (BytesMut::new(), Vec::new(), sent.as_slice());
            for cut in cuts.iter().cycle() {
                while let Some(frame) = next_frame(&mut buffer, LIMIT).unwrap() {
                    taken.push(frame.to_vec());
                }
                if rest.is_empty() {
                    break;
                }
                let (arrived, later) = rest.split_at((*cut).min(rest.len()));
                buffer.extend_from_slice(arrived);
                rest = later;
            }
            prop_assert_eq!(taken, frames);
            prop_assert!(buffer.is_empty());
        }
    }
}
