//! Walks the records of a compressed payload while it is decompressed.
//!
//! What is in memory at one time is a window: no more than the greatest record, and that no more than the limit. The
//! window grows by what the codec really yields, never by the length that a record declares.

use super::{
    compression::{Compression, DecompressError, Decompressor},
    record::{RecordError, RecordMeta, parse_meta, read_length},
    varint::VarintError,
};

/// Why the records of a compressed payload cannot be walked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The payload cannot be decompressed.
    #[error(transparent)]
    Decompress(#[from] DecompressError),
    /// It can, but what comes out is no record.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// The records of a compressed payload. Ends after the first error.
pub struct RecordStream<'a> {
    decompressor: Decompressor<'a>,
    window: Vec<u8>,
    /// Where the next record starts in the window.
    at: usize,
    ended: bool,
}

impl<'a> RecordStream<'a> {
    /// Walks `payload`, decompressing `limit` bytes at most.
    pub fn new(codec: Compression, payload: &'a [u8], limit: usize) -> Result<Self, DecompressError> {
        let decompressor = Decompressor::new(codec, payload, limit)?;
        Ok(Self { decompressor, window: Vec::new(), at: 0, ended: false })
    }

    fn parse_next(&mut self) -> Result<Option<RecordMeta>, StreamError> {
        if self.rest().is_empty() && !self.fill()? {
            return Ok(None);
        }
        let length = self.read_length()?;
        let meta = loop {
            if let Some(body) = self.rest().get(..length) {
                break parse_meta(body)?;
            }
            if !self.fill()? {
                return Err(self.cut_off(length).into());
            }
        };
        self.at = self.at.saturating_add(length);
        Ok(Some(meta))
    }

    /// What the window holds of the records that follow.
    fn rest(&self) -> &[u8] {
        self.window.get(self.at..).unwrap_or_default()
    }

    /// The next record's length, which the bytes that may still come can hold.
    fn read_length(&mut self) -> Result<usize, StreamError> {
        let length = loop {
            let mut rest = self.rest();
            match read_length(&mut rest) {
                Ok(length) => {
                    self.at = self.window.len().saturating_sub(rest.len());
                    break usize::try_from(length).unwrap_or(usize::MAX);
                }
                Err(RecordError::Varint { source: VarintError::Truncated, .. }) if self.fill()? => {}
                Err(error) => return Err(error.into()),
            }
        };
        if length > self.rest().len().saturating_add(self.decompressor.remaining()) {
            return Err(self.decompressor.too_large().into());
        }
        Ok(length)
    }

    /// Brings more bytes into the window; false at the end.
    fn fill(&mut self) -> Result<bool, DecompressError> {
        self.window.drain(..self.at);
        self.at = 0;
        Ok(self.decompressor.read_onto(&mut self.window)? > 0)
    }

    fn cut_off(&self, length: usize) -> RecordError {
        RecordError::Length {
            field: "record length",
            length: i32::try_from(length).unwrap_or(i32::MAX),
            remaining: self.rest().len(),
        }
    }
}

impl Iterator for RecordStream<'_> {
    type Item = Result<RecordMeta, StreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.parse_next().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::protocol::records::{
        builder::{BatchBuilder, NewRecord},
        compression::compress,
    };

    const CODECS: [Compression; 4] = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    fn payload_of(values: &[&[u8]]) -> Bytes {
        let mut builder = BatchBuilder::new(0);
        for value in values {
            builder.append(&NewRecord { value: Some(value), ..Default::default() }).expect("fits");
        }
        builder.build().expect("not empty").payload()
    }

    fn compressed(codec: Compression, payload: &Bytes) -> Bytes {
        compress(codec, None, payload).expect("memory suffices")
    }

    #[test]
    fn records_across_and_beyond_the_window_are_walked() {
        let big = vec![7; 300_000];
        let payload = payload_of(&[b"small", &big, b"", &big[..65_530], b"last"]);
        for codec in CODECS {
            let packed = compressed(codec, &payload);
            let stream = RecordStream::new(codec, &packed, payload.len()).expect("valid");
            let offsets = stream.map(|meta| meta.expect("valid").offset_delta);
            assert_eq!(offsets.collect::<Vec<_>>(), [0, 1, 2, 3, 4], "{codec:?}");
        }
    }

    #[test]
    fn the_window_stays_small_however_much_comes_through() {
        let value = vec![0; 1_000];
        let payload = payload_of(&vec![&value[..]; 10_000]);
        for codec in CODECS {
            let packed = compressed(codec, &payload);
            let mut stream = RecordStream::new(codec, &packed, payload.len()).expect("valid");
            assert_eq!(stream.by_ref().filter(Result::is_ok).count(), 10_000, "{codec:?}");
            assert!(stream.window.capacity() < 256 * 1024, "{codec:?}: {}", stream.window.capacity());
        }
    }

    #[test]
    fn output_ends_at_the_limit() {
        let payload = payload_of(&vec![&[0; 1_000][..]; 1_000]);
        for codec in CODECS {
            let packed = compressed(codec, &payload);
            let limit = payload.len() - 1;
            let last = RecordStream::new(codec, &packed, limit).expect("valid").last();
            assert_eq!(last, Some(Err(DecompressError::TooLarge { limit }.into())), "{codec:?}");
        }
    }

    #[test]
    fn a_declared_length_allocates_nothing() {
        // Says 64 MiB and brings two bytes.
        let lie = Bytes::from_static(&[0x80, 0x80, 0x80, 0x40, 0, 0]);
        for codec in CODECS {
            let packed = compressed(codec, &lie);
            let mut stream = RecordStream::new(codec, &packed, 1 << 30).expect("valid");
            let length = RecordError::Length { field: "record length", length: 1 << 26, remaining: 2 };
            assert_eq!(stream.next(), Some(Err(length.into())), "{codec:?}");
            assert_eq!(stream.next(), None);
            assert!(stream.window.capacity() < 256 * 1024, "{codec:?}");
            let limit = 1 << 20;
            let next = RecordStream::new(codec, &packed, limit).expect("valid").next();
            assert_eq!(next, Some(Err(DecompressError::TooLarge { limit }.into())), "{codec:?}");
        }
    }

    #[test]
    fn a_record_that_is_cut_off_is_refused() {
        let payload = payload_of(&[b"one", b"two"]);
        let packed = compressed(Compression::Lz4, &payload.slice(..payload.len() - 1));
        let last = RecordStream::new(Compression::Lz4, &packed, 1_000).expect("valid").last();
        assert!(matches!(last, Some(Err(StreamError::Record(RecordError::Length { remaining: 8, .. })))), "{last:?}");
    }
}
