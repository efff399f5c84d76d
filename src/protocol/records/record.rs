//! The records of a batch, once its payload is decompressed.
//!
//! | bytes  | field                                                       |
//! |--------|-------------------------------------------------------------|
//! | varint | length of what follows                                      |
//! | 1      | attributes, none defined                                    |
//! | varlong| timestamp less the batch's base timestamp                   |
//! | varint | offset less the batch's base offset                         |
//! | varint | key length, -1 for null; the key                            |
//! | varint | value length, -1 for null; the value                        |
//! | varint | header count; per header key length, key, value length (-1 for null), value |
//!
//! One parser reads them for everybody. No length is believed: each is held against the bytes of its record, nothing is
//! allocated by a number that was read, and a record must fill its length exactly. Whether offsets and timestamps make
//! sense is the caller's to check.

use std::iter::FusedIterator;

use bytes::{Buf, Bytes};

use super::varint::{VarintError, read_varint, read_varlong};

/// Least bytes of a header: two lengths.
const HEADER_SIZE_MIN: usize = 2;

/// What a record says about itself, without its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMeta {
    /// Timestamp less the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Offset less the batch's base offset.
    pub offset_delta: i32,
    /// Whether the key is not null.
    pub has_key: bool,
}

/// A record as it stands in a payload, for whoever copies it: what it is about, and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRecord<'a> {
    /// All of it, length included.
    pub bytes: &'a [u8],
    /// No bit is defined.
    pub attributes: i8,
    /// Timestamp less the batch's base timestamp.
    pub timestamp_delta: i64,
    /// What follows the timestamp delta.
    pub after_timestamp: &'a [u8],
    /// Offset less the batch's base offset.
    pub offset_delta: i32,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// Whether the value is not null.
    pub has_value: bool,
}

/// A record. Its parts are slices of the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// No bit is defined.
    pub attributes: i8,
    /// Timestamp less the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Offset less the batch's base offset.
    pub offset_delta: i32,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; null is a tombstone in a compacted topic.
    pub value: Option<Bytes>,
    /// The headers, in order; keys may repeat.
    pub headers: Vec<RecordHeader>,
}

/// A header of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// The key, meant as UTF-8 but not checked.
    pub key: Bytes,
    /// The value.
    pub value: Option<Bytes>,
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A number cannot be read.
    #[error("{field}: {source}")]
    Varint {
        /// What the number is.
        field: &'static str,
        /// What is wrong with it.
        source: VarintError,
    },
    /// A length that is negative or reaches beyond the bytes.
    #[error("{field} {length} does not fit into the remaining {remaining} bytes")]
    Length {
        /// What the length is of.
        field: &'static str,
        /// The length.
        length: i32,
        /// The bytes that are left.
        remaining: usize,
    },
    /// The record's length is greater than its contents.
    #[error("{bytes} bytes are left over at the end of the record")]
    LeftOver {
        /// The bytes beyond the last header.
        bytes: usize,
    },
}

/// Walks the records of a decompressed payload without allocating. Ends after the first error.
pub fn walk(payload: &[u8]) -> Walk<'_> {
    Walk { rest: payload }
}

/// See [`walk`].
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    rest: &'a [u8],
}

impl Iterator for Walk<'_> {
    type Item = Result<RecordMeta, RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let meta = split_body(&mut self.rest).and_then(parse_meta);
        if meta.is_err() {
            self.rest = &[];
        }
        Some(meta)
    }
}

impl FusedIterator for Walk<'_> {}

/// The records of a decompressed payload in slices of it. Ends after the first error.
#[must_use]
pub fn raw(payload: &[u8]) -> RawRecords<'_> {
    RawRecords { rest: payload }
}

/// See [`raw`].
#[derive(Clone, Debug)]
pub struct RawRecords<'a> {
    rest: &'a [u8],
}

impl<'a> RawRecords<'a> {
    fn parse_next(&mut self) -> Result<RawRecord<'a>, RecordError> {
        let whole = self.rest;
        let parts = split_body(&mut self.rest).and_then(|body| parse_body(body, |_, _| ()))?;
        Ok(RawRecord {
            bytes: whole.split_at(whole.len().saturating_sub(self.rest.len())).0,
            attributes: parts.attributes,
            timestamp_delta: parts.timestamp_delta,
            after_timestamp: parts.after_timestamp,
            offset_delta: parts.offset_delta,
            key: parts.key,
            has_value: parts.value.is_some(),
        })
    }
}

impl<'a> Iterator for RawRecords<'a> {
    type Item = Result<RawRecord<'a>, RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.parse_next();
        if record.is_err() {
            self.rest = &[];
        }
        Some(record)
    }
}

impl FusedIterator for RawRecords<'_> {}

/// The records of a decompressed payload. Ends after the first error.
#[derive(Clone, Debug)]
pub struct RecordIter {
    rest: Bytes,
}

impl RecordIter {
    /// Reads `payload`, which is not compressed (any more).
    #[must_use]
    pub fn new(payload: Bytes) -> Self {
        Self { rest: payload }
    }

    fn parse_next(&mut self) -> Result<Record, RecordError> {
        let mut rest = self.rest.as_ref();
        let body = split_body(&mut rest)?;
        let mut headers = Vec::new();
        let parts = parse_body(body, |key, value| {
            headers.push(RecordHeader {
                key: self.rest.slice_ref(key),
                value: value.map(|value| self.rest.slice_ref(value)),
            });
        })?;
        let record = Record {
            attributes: parts.attributes,
            timestamp_delta: parts.timestamp_delta,
            offset_delta: parts.offset_delta,
            key: parts.key.map(|key| self.rest.slice_ref(key)),
            value: parts.value.map(|value| self.rest.slice_ref(value)),
            headers,
        };
        self.rest.advance(self.rest.len().saturating_sub(rest.len()));
        Ok(record)
    }
}

impl Iterator for RecordIter {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.parse_next();
        if record.is_err() {
            self.rest.clear();
        }
        Some(record)
    }
}

impl FusedIterator for RecordIter {}

/// A record's length as it stands at the front of `bytes`, which is taken off. Never negative.
#[inline]
pub(super) fn read_length(bytes: &mut &[u8]) -> Result<i32, RecordError> {
    const FIELD: &str = "record length";
    let length = number(FIELD, read_varint(bytes))?;
    if length < 0 {
        return Err(RecordError::Length { field: FIELD, length, remaining: bytes.len() });
    }
    Ok(length)
}

/// Reads a record without its length; `body` is all of it.
#[inline]
pub(super) fn parse_meta(body: &[u8]) -> Result<RecordMeta, RecordError> {
    let parts = parse_body(body, |_, _| ())?;
    Ok(RecordMeta {
        timestamp_delta: parts.timestamp_delta,
        offset_delta: parts.offset_delta,
        has_key: parts.key.is_some(),
    })
}

#[inline]
fn split_body<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], RecordError> {
    let length = read_length(rest)?;
    take("record length", length, rest)
}

struct Parts<'a> {
    attributes: i8,
    timestamp_delta: i64,
    after_timestamp: &'a [u8],
    offset_delta: i32,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

#[inline]
fn parse_body<'a>(
    mut body: &'a [u8],
    mut on_header: impl FnMut(&'a [u8], Option<&'a [u8]>),
) -> Result<Parts<'a>, RecordError> {
    let rest = &mut body;
    let attributes = take_attributes(rest)?;
    let timestamp_delta = number("timestamp delta", read_varlong(rest))?;
    let after_timestamp = *rest;
    let offset_delta = number("offset delta", read_varint(rest))?;
    let key = take_nullable("key length", rest)?;
    let value = take_nullable("value length", rest)?;
    for _ in 0..read_header_count(rest)? {
        let length = number("header key length", read_varint(rest))?;
        let key = take("header key length", length, rest)?;
        on_header(key, take_nullable("header value length", rest)?);
    }
    if !rest.is_empty() {
        return Err(RecordError::LeftOver { bytes: rest.len() });
    }
    Ok(Parts { attributes, timestamp_delta, after_timestamp, offset_delta, key, value })
}

#[inline]
fn take_attributes(rest: &mut &[u8]) -> Result<i8, RecordError> {
    let length = RecordError::Length { field: "record attributes", length: 1, remaining: rest.len() };
    let (&attributes, left) = rest.split_first().ok_or(length)?;
    *rest = left;
    Ok(attributes.cast_signed())
}

#[inline]
fn read_header_count(rest: &mut &[u8]) -> Result<usize, RecordError> {
    let length = number("header count", read_varint(rest))?;
    usize::try_from(length).ok().filter(|&count| count <= rest.len() / HEADER_SIZE_MIN).ok_or(RecordError::Length {
        field: "header count",
        length,
        remaining: rest.len(),
    })
}

#[inline]
fn take_nullable<'a>(field: &'static str, rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, RecordError> {
    match number(field, read_varint(rest))? {
        -1 => Ok(None),
        length => take(field, length, rest).map(Some),
    }
}

#[inline]
fn take<'a>(field: &'static str, length: i32, rest: &mut &'a [u8]) -> Result<&'a [u8], RecordError> {
    let taken = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
    let (taken, left) = taken.ok_or(RecordError::Length { field, length, remaining: rest.len() })?;
    *rest = left;
    Ok(taken)
}

#[inline]
fn number<T>(field: &'static str, read: Result<T, VarintError>) -> Result<T, RecordError> {
    read.map_err(|source| RecordError::Varint { field, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One record: no attributes, deltas 0, key "k", no value, one header "h" without a value.
    const RECORD: [u8; 11] = [20, 0, 0, 0, 2, b'k', 1, 2, 2, b'h', 1];

    fn with(at: usize, byte: u8) -> Vec<u8> {
        let mut bytes = RECORD.to_vec();
        bytes[at] = byte;
        bytes
    }

    fn error_of(bytes: Vec<u8>) -> RecordError {
        let walked = walk(&bytes).find_map(Result::err).expect("refused by the walk");
        assert_eq!(Some(walked), raw(&bytes).find_map(Result::err));
        let read = RecordIter::new(bytes.into()).find_map(Result::err).expect("refused by the reader");
        assert_eq!(walked, read);
        walked
    }

    #[test]
    fn a_record_is_read_in_slices_of_its_payload() {
        let payload = Bytes::copy_from_slice(&RECORD);
        let record = RecordIter::new(payload.clone()).next().expect("one").expect("valid");
        let key = record.key.expect("a key");
        assert_eq!((key.as_ref(), key.as_ptr()), (&b"k"[..], payload[5..].as_ptr()));
        assert_eq!(record.value, None);
        assert_eq!(record.headers, [RecordHeader { key: Bytes::from_static(b"h"), value: None }]);
        let meta = RecordMeta { timestamp_delta: 0, offset_delta: 0, has_key: true };
        assert_eq!(walk(&RECORD).collect::<Vec<_>>(), [Ok(meta)]);
        let record = RawRecord {
            bytes: &RECORD,
            attributes: 0,
            timestamp_delta: 0,
            after_timestamp: &RECORD[3..],
            offset_delta: 0,
            key: Some(b"k"),
            has_value: false,
        };
        assert_eq!(raw(&RECORD.repeat(2)).collect::<Vec<_>>(), [Ok(record), Ok(record)]);
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let cases = [
            ("record length beyond the payload", 0, 22, "record length", 11, 10),
            ("negative record length", 0, 1, "record length", -1, 10),
            ("empty record", 0, 0, "record attributes", 1, 0),
            ("key beyond the record", 4, 14, "key length", 7, 6),
            ("negative key length that is not null", 4, 3, "key length", -2, 6),
            ("value beyond the record", 6, 10, "value length", 5, 4),
            ("negative value length that is not null", 6, 5, "value length", -3, 4),
            ("more headers than can be", 7, 4, "header count", 2, 3),
            ("negative header count", 7, 1, "header count", -1, 3),
            ("header key beyond the record", 8, 6, "header key length", 3, 2),
            ("null header key", 8, 1, "header key length", -1, 2),
            ("header value beyond the record", 10, 2, "header value length", 1, 0),
        ];
        for (case, at, byte, field, length, remaining) in cases {
            assert_eq!(error_of(with(at, byte)), RecordError::Length { field, length, remaining }, "{case}");
        }
    }

    #[test]
    fn a_record_fills_its_length() {
        assert_eq!(error_of(with(7, 0)), RecordError::LeftOver { bytes: 3 });
    }

    #[test]
    fn numbers_with_too_many_bits_are_refused() {
        let mut bytes = vec![0x80; 5];
        bytes.push(0);
        let source = VarintError::TooLong { bits: 32 };
        assert_eq!(error_of(bytes), RecordError::Varint { field: "record length", source });
        let source = VarintError::Truncated;
        assert_eq!(error_of(vec![4, 0, 0x80]), RecordError::Varint { field: "timestamp delta", source });
    }

    #[test]
    fn nothing_comes_after_an_error() {
        let bytes = [&RECORD[..], &[1], &RECORD].concat();
        assert_eq!((walk(&bytes).count(), raw(&bytes).count()), (2, 2));
        assert_eq!(RecordIter::new(bytes.into()).count(), 2);
    }
}
