//! The codecs of a batch's payload, as Kafka's clients write them.
//!
//! | id | codec  | framing                                                                                        |
//! |---:|--------|------------------------------------------------------------------------------------------------|
//! |  0 | none   |                                                                                                |
//! |  1 | gzip   | one member is written, several are read                                                        |
//! |  2 | snappy | snappy-java's ("xerial") chunks are written; bare raw snappy is read too                       |
//! |  3 | lz4    | one LZ4 frame of independent 64 KiB blocks is written; linked blocks are refused, as in Kafka  |
//! |  4 | zstd   | frames; the window is at most 128 MiB, libzstd's own limit                                     |
//!
//! Compressed bytes come from clients, so output is bounded by the caller and never allocated by a size that the input
//! declares. Panics of a codec are caught in one place, [`Decompressor`]: three of the four are Rust crates of some
//! thousand lines of index arithmetic each, and one bad byte must cost one request, not a thread and the locks it holds.
//! Catching costs nothing until it happens, and the decoder that panicked is never used again.

mod lz4;
mod snappy;

use std::{
    io::{self, Read, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;

/// Least and most bytes that are decompressed in one step.
const STEP_SIZE_MIN: usize = 4 * 1024;
const STEP_SIZE_MAX: usize = 64 * 1024;
/// libzstd's default limit: what every Kafka client reads, and what its highest level writes.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// A codec of the record batch format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not compressed.
    None,
    /// gzip.
    Gzip,
    /// Snappy in snappy-java's framing.
    Snappy,
    /// The LZ4 frame format.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// Why a payload cannot be decompressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// The bytes are not what the codec writes.
    #[error("invalid {codec} data: {reason}")]
    Corrupt {
        /// The codec's name.
        codec: &'static str,
        /// What the codec says.
        reason: String,
    },
    /// The output is greater than allowed.
    #[error("more than {limit} bytes when decompressed")]
    TooLarge {
        /// Bytes that are allowed.
        limit: usize,
    },
}

/// A codec failed to compress: not for the input's sake, but for want of memory.
#[derive(Debug, thiserror::Error)]
#[error("cannot compress with {codec}")]
pub struct CompressError {
    codec: &'static str,
    source: io::Error,
}

impl Compression {
    /// The codec with this number in a batch's attributes.
    #[must_use]
    pub fn from_id(id: i16) -> Option<Self> {
        Some(match id {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            _ => return None,
        })
    }

    /// The codec's number in a batch's attributes.
    #[must_use]
    pub fn id(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The codec's name in configurations and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Decompresses `payload`, to `limit` bytes at most. Without compression it is the same bytes, not a copy.
pub fn decompress(codec: Compression, payload: &Bytes, limit: usize) -> Result<Bytes, DecompressError> {
    if codec == Compression::None {
        return if payload.len() <= limit { Ok(payload.clone()) } else { Err(DecompressError::TooLarge { limit }) };
    }
    let mut decompressor = Decompressor::new(codec, payload, limit)?;
    let mut out = Vec::new();
    while decompressor.read_onto(&mut out)? > 0 {}
    Ok(out.into())
}

/// Decompresses step by step, for who does not need the whole output at once.
pub struct Decompressor<'a> {
    codec: Compression,
    reader: Box<dyn Read + 'a>,
    step_size: usize,
    limit: usize,
    remaining: usize,
}

impl<'a> Decompressor<'a> {
    /// Decompresses `payload`, to `limit` bytes at most.
    pub fn new(codec: Compression, payload: &'a [u8], limit: usize) -> Result<Self, DecompressError> {
        let reader = contain_panic(|| open(codec, payload, limit)).map_err(|error| refuse(codec, limit, &error))?;
        let step_size = payload.len().saturating_mul(4).clamp(STEP_SIZE_MIN, STEP_SIZE_MAX);
        Ok(Self { codec, reader, step_size, limit, remaining: limit })
    }

    /// Appends the next bytes to `out` and says how many; 0 is the end. After an error there is nothing more to be had.
    pub fn read_onto(&mut self, out: &mut Vec<u8>) -> Result<usize, DecompressError> {
        let filled = out.len();
        // Twice as much each time, but never much more than may come.
        if out.spare_capacity_mut().len() < self.step_size {
            out.reserve_exact(self.step_size.max(filled.min(self.remaining)));
        }
        out.resize(filled.saturating_add(self.step_size), 0);
        let read = contain_panic(|| self.reader.read(out.get_mut(filled..).unwrap_or_default()));
        out.truncate(filled.saturating_add(read.as_ref().map_or(0, |&read| read)));
        let read = read.map_err(|error| refuse(self.codec, self.limit, &error))?;
        self.remaining = self.remaining.checked_sub(read).ok_or_else(|| self.too_large())?;
        Ok(read)
    }

    /// Bytes that may still come.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.remaining
    }

    /// The error for output that is known to need more than what may still come.
    #[must_use]
    pub fn too_large(&self) -> DecompressError {
        DecompressError::TooLarge { limit: self.limit }
    }
}

fn open<'a>(codec: Compression, payload: &'a [u8], limit: usize) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match codec {
        Compression::None => Box::new(payload),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(payload)),
        Compression::Snappy => Box::new(snappy::Decoder::new(payload, limit)),
        Compression::Lz4 => Box::new(lz4::decoder(payload)?),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(payload)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
    })
}

fn contain_panic<T>(decode: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    // Unwind safe: what a panic leaves half done is the decoder and its output, and both are dropped with the error.
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| Err(io::Error::other("the decoder panicked")))
}

/// Decoders that know an output's size in advance refuse it by this kind.
const TOO_LARGE: io::ErrorKind = io::ErrorKind::FileTooLarge;

fn refuse(codec: Compression, limit: usize, error: &io::Error) -> DecompressError {
    if error.kind() == TOO_LARGE {
        return DecompressError::TooLarge { limit };
    }
    DecompressError::Corrupt { codec: codec.name(), reason: error.to_string() }
}

/// Compresses `bytes` with a level as Kafka's configurations have it, or the codec's default.
///
/// gzip knows 1 to 9 and -1 for its default, zstd -131072 to 22; what lies outside is drawn to the nearest. snappy has no
/// levels. For lz4 all are the same: its crate has the fast compressor only.
pub fn compress(codec: Compression, level: Option<i32>, bytes: &Bytes) -> Result<Bytes, CompressError> {
    let compressed = match codec {
        Compression::None => return Ok(bytes.clone()),
        Compression::Gzip => gzip(level, bytes),
        Compression::Snappy => snappy::encode(bytes),
        Compression::Lz4 => lz4::encode(bytes),
        Compression::Zstd => zstd::bulk::compress(bytes, level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL)),
    };
    compressed.map(Bytes::from).map_err(|source| CompressError { codec: codec.name(), source })
}

fn gzip(level: Option<i32>, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let level = match level.and_then(|level| u32::try_from(level).ok()) {
        Some(level) => flate2::Compression::new(level.clamp(1, 9)),
        None => flate2::Compression::default(),
    };
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests;
