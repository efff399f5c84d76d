//! Record batches: the format that records have on the wire and on disk alike (magic 2, KIP-98).

pub mod batch;
pub mod builder;
pub mod compression;
pub mod control;
pub mod record;
pub mod stream;
pub mod varint;

use std::sync::Arc;

use bytes::Bytes;

use super::file_range::FileRange;

/// Record batches in a message: received bytes, or a range of a log segment to be sent.
#[derive(Clone, Debug)]
pub enum Records {
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes of a segment, which are never read into memory on their way out.
    File(FileRange),
}

impl Records {
    /// How many bytes they are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File(range) => range.length,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Records {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}

/// The same bytes in memory, or the same range of the same open file. What a file holds is not read to compare it.
impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::File(a), Self::File(b)) => {
                Arc::ptr_eq(&a.source, &b.source) && a.position == b.position && a.length == b.length
            }
            _ => false,
        }
    }
}
