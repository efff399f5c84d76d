//! Snappy as snappy-java ("xerial") frames it, which is what Kafka means by snappy.
//!
//! | bytes | field                                                    |
//! |-------|----------------------------------------------------------|
//! | 8     | 0x82 `SNAPPY` 0                                          |
//! | 4     | version, 1                                               |
//! | 4     | least version that can read it, 1                        |
//! | 4     | size of the chunk that follows, big-endian               |
//! | size  | the chunk: raw snappy. Size and chunk repeat to the end. |
//!
//! Without those eight bytes the whole payload is one chunk.

use std::io::{self, Cursor, Read};

use super::TOO_LARGE;

const HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const MAGIC_SIZE: usize = 8;
/// Uncompressed bytes in a chunk that is written: snappy-java's default.
const CHUNK_SIZE: usize = 32 * 1024;
/// Raw snappy makes at most 64 bytes of three, so a chunk that declares more than this many bytes for one is a lie.
const RATIO_MAX: usize = 22;

pub(super) fn encode(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = snap::raw::Encoder::new();
    let mut out = HEADER.to_vec();
    let mut chunk = vec![0; snap::raw::max_compress_len(bytes.len().min(CHUNK_SIZE))];
    for part in bytes.chunks(CHUNK_SIZE) {
        let size = encoder.compress(part, &mut chunk)?;
        let written = chunk.get(..size).ok_or_else(|| io::Error::other("the encoder says more than it can write"))?;
        let framed_size = u32::try_from(size).map_err(io::Error::other)?;
        out.extend_from_slice(&framed_size.to_be_bytes());
        out.extend_from_slice(written);
    }
    Ok(out)
}

/// Decodes chunk by chunk.
pub(super) struct Decoder<'a> {
    framed: bool,
    rest: &'a [u8],
    chunk: Cursor<Vec<u8>>,
    remaining: usize,
}

impl<'a> Decoder<'a> {
    /// Decodes `payload`; a chunk that would bring the output over `limit` is refused before it is decoded.
    pub(super) fn new(payload: &'a [u8], limit: usize) -> Self {
        let chunks =
            payload.split_at_checked(HEADER.len()).filter(|(header, _)| header.starts_with(&HEADER[..MAGIC_SIZE]));
        let rest = chunks.map_or(payload, |(_, chunks)| chunks);
        Self { framed: chunks.is_some(), rest, chunk: Cursor::default(), remaining: limit }
    }

    fn take_chunk(&mut self) -> io::Result<&'a [u8]> {
        if !self.framed {
            return Ok(std::mem::take(&mut self.rest));
        }
        let (size, left) = self.rest.split_first_chunk().ok_or_else(|| invalid("a chunk's size is cut off"))?;
        let chunk = usize::try_from(i32::from_be_bytes(*size)).ok().and_then(|size| left.split_at_checked(size));
        let (chunk, left) = chunk.ok_or_else(|| invalid("a chunk is cut off"))?;
        self.rest = left;
        Ok(chunk)
    }

    fn decode_chunk(&mut self) -> io::Result<()> {
        let compressed = self.take_chunk()?;
        let size = snap::raw::decompress_len(compressed)?;
        if size / RATIO_MAX > compressed.len() {
            return Err(invalid("a chunk declares more bytes than it can hold"));
        }
        self.remaining = self.remaining.checked_sub(size).ok_or(TOO_LARGE)?;
        self.chunk.set_position(0);
        let chunk = self.chunk.get_mut();
        chunk.resize(size, 0);
        let decoded = snap::raw::Decoder::new().decompress(compressed, chunk)?;
        if decoded == size { Ok(()) } else { Err(invalid("a chunk holds fewer bytes than it declares")) }
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.chunk.read(out)?;
            if read > 0 || out.is_empty() || self.rest.is_empty() {
                return Ok(read);
            }
            self.decode_chunk()?;
        }
    }
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
