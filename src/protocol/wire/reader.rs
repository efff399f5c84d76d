//! Reading a message out of a frame. Strings, bytes and records are slices of the frame.

use bytes::Bytes;
use uuid::Uuid;

use super::{
    error::{DecodeError, DecodeReason},
    str_bytes::StrBytes,
    tagged_fields::{Gatherer, UnknownTaggedFields},
};
use crate::protocol::records::Records;

/// A position in a frame. Every method reads one value and moves on, or fails and says where.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    frame: &'a Bytes,
    /// What is still to be read: up to the frame's end, or that of the tagged field being read.
    rest: &'a [u8],
    /// Where in the frame that ends.
    end: usize,
    /// Whether text that is not UTF-8 is mended.
    lossy: bool,
    /// Bytes of heap that were taken, and that may be.
    heap: usize,
    heap_max: usize,
    /// Elements of all arrays that were announced, and that may be.
    elements: usize,
    elements_max: usize,
}

type Decoded<T> = Result<T, DecodeError>;

/// Bytes in the longest string, however its length is written: what an `i16` can say.
pub(super) const STRING_MAX: usize = 0x7fff;

impl<'a> Reader<'a> {
    /// Reads from the start of `frame`.
    #[must_use]
    pub fn new(frame: &'a Bytes) -> Self {
        Self {
            frame,
            rest: frame,
            end: frame.len(),
            lossy: false,
            heap: 0,
            heap_max: usize::MAX,
            elements: 0,
            elements_max: usize::MAX,
        }
    }

    /// From here on, whether text that is not UTF-8 is mended with U+FFFD instead of being refused. Only for text that
    /// names nothing: two names could become one.
    pub fn set_lossy(&mut self, lossy: bool) {
        self.lossy = lossy;
    }

    /// What is read from here on may take so many bytes of heap. More fails with [`DecodeReason::Memory`], before it is
    /// taken.
    pub fn limit_heap(&mut self, most: usize) {
        (self.heap, self.heap_max) = (0, most);
    }

    /// What is read from here on may have so many elements in all arrays together. More fails with
    /// [`DecodeReason::Elements`], before they are read.
    pub fn limit_elements(&mut self, most: usize) {
        (self.elements, self.elements_max) = (0, most);
    }

    /// Counts `count` elements as read, if they may be.
    #[inline]
    fn take_elements(&mut self, start: usize, count: usize) -> Decoded<()> {
        let needed = self.elements.saturating_add(count);
        if needed > self.elements_max {
            return Err(DecodeError::new(start, DecodeReason::Elements { needed, allowed: self.elements_max }));
        }
        self.elements = needed;
        Ok(())
    }

    /// Counts `bytes` as taken, if they may be.
    #[inline]
    fn take_heap(&mut self, bytes: usize) -> Decoded<()> {
        let needed = self.heap.saturating_add(bytes);
        if needed > self.heap_max {
            return Err(self.error(DecodeReason::Memory { needed, allowed: self.heap_max }));
        }
        self.heap = needed;
        Ok(())
    }

    /// Bytes read so far.
    #[must_use]
    pub fn position(&self) -> usize {
        self.end.saturating_sub(self.rest.len())
    }

    /// Bytes left to read.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Fails unless everything has been read.
    pub fn finish(&self) -> Decoded<()> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(self.error(DecodeReason::TrailingBytes(left))),
        }
    }

    #[cold]
    fn error(&self, reason: DecodeReason) -> DecodeError {
        DecodeError::new(self.position(), reason)
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        match self.rest.split_first_chunk::<N>() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(*bytes)
            }
            None => Err(self.error(DecodeReason::Truncated { needed: N, available: self.remaining() })),
        }
    }

    /// A byte that stands for false where it is 0, for true otherwise.
    #[inline]
    pub fn bool(&mut self) -> Decoded<bool> {
        Ok(self.fixed::<1>()?[0] != 0)
    }

    /// A signed byte.
    #[inline]
    pub fn int8(&mut self) -> Decoded<i8> {
        self.fixed().map(i8::from_be_bytes)
    }

    /// Two bytes, signed.
    #[inline]
    pub fn int16(&mut self) -> Decoded<i16> {
        self.fixed().map(i16::from_be_bytes)
    }

    /// Two bytes, unsigned.
    #[inline]
    pub fn uint16(&mut self) -> Decoded<u16> {
        self.fixed().map(u16::from_be_bytes)
    }

    /// Four bytes, signed.
    #[inline]
    pub fn int32(&mut self) -> Decoded<i32> {
        self.fixed().map(i32::from_be_bytes)
    }

    /// Four bytes, unsigned.
    #[inline]
    pub fn uint32(&mut self) -> Decoded<u32> {
        self.fixed().map(u32::from_be_bytes)
    }

    /// Eight bytes, signed.
    #[inline]
    pub fn int64(&mut self) -> Decoded<i64> {
        self.fixed().map(i64::from_be_bytes)
    }

    /// Eight bytes, IEEE 754.
    #[inline]
    pub fn float64(&mut self) -> Decoded<f64> {
        self.fixed().map(f64::from_be_bytes)
    }

    /// Sixteen bytes.
    #[inline]
    pub fn uuid(&mut self) -> Decoded<Uuid> {
        self.fixed().map(Uuid::from_bytes)
    }

    /// An unsigned varint of at most 32 bits.
    #[inline]
    pub fn unsigned_varint(&mut self) -> Decoded<u32> {
        if let [short @ ..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u32::from(*short));
        }
        match unsigned_varint(self.rest) {
            Ok((value, rest)) => {
                self.rest = rest;
                Ok(value)
            }
            Err(reason) => Err(self.error(reason)),
        }
    }

    /// The next `length` bytes, as a slice of the frame.
    #[inline]
    pub fn take(&mut self, length: usize) -> Decoded<Bytes> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.error(DecodeReason::Truncated { needed: length, available: self.remaining() }));
        };
        self.rest = rest;
        Ok(self.frame.slice_ref(taken))
    }

    /// A compact length: one more than the length, 0 for null.
    #[inline]
    fn compact_length(&mut self) -> Decoded<Option<usize>> {
        Ok(self.unsigned_varint()?.checked_sub(1).map(in_memory))
    }

    /// A length of four bytes, -1 for null.
    fn length(&mut self) -> Decoded<Option<usize>> {
        let start = self.position();
        match self.int32()? {
            -1 => Ok(None),
            length => usize::try_from(length)
                .map(Some)
                .map_err(|_| DecodeError::new(start, DecodeReason::NegativeLength(length))),
        }
    }

    /// A string or null.
    pub fn nullable_string(&mut self, compact: bool) -> Decoded<Option<StrBytes>> {
        let start = self.position();
        let length = if compact {
            self.compact_length()?
        } else {
            match self.int16()? {
                -1 => None,
                length => Some(
                    usize::try_from(length)
                        .map_err(|_| DecodeError::new(start, DecodeReason::NegativeLength(i32::from(length))))?,
                ),
            }
        };
        let Some(length) = length else { return Ok(None) };
        if length > STRING_MAX {
            return Err(DecodeError::new(start, DecodeReason::StringTooLong { length, most: STRING_MAX }));
        }
        let bytes = self.take(length)?;
        match StrBytes::from_utf8(bytes.clone()) {
            Ok(text) => Ok(Some(text)),
            Err(_) if self.lossy => Ok(Some(String::from_utf8_lossy(&bytes).into_owned().into())),
            Err(_) => Err(DecodeError::new(start, DecodeReason::NotUtf8)),
        }
    }

    /// A string.
    pub fn string(&mut self, compact: bool) -> Decoded<StrBytes> {
        let start = self.position();
        present(start, self.nullable_string(compact)?)
    }

    /// Bytes or null.
    pub fn nullable_bytes(&mut self, compact: bool) -> Decoded<Option<Bytes>> {
        match if compact { self.compact_length()? } else { self.length()? } {
            Some(length) => self.take(length).map(Some),
            None => Ok(None),
        }
    }

    /// Bytes.
    pub fn bytes(&mut self, compact: bool) -> Decoded<Bytes> {
        let start = self.position();
        present(start, self.nullable_bytes(compact)?)
    }

    /// Record batches or null. What is in them is not looked at.
    pub fn nullable_records(&mut self, compact: bool) -> Decoded<Option<Records>> {
        Ok(self.nullable_bytes(compact)?.map(Records::Bytes))
    }

    /// Record batches.
    pub fn records(&mut self, compact: bool) -> Decoded<Records> {
        self.bytes(compact).map(Records::Bytes)
    }

    /// An array or null. No element takes less than `least_size` bytes, so a count that the rest of the input cannot
    /// hold is refused before anything is allocated (CVE-2022-34917, CVE-2026-111108).
    ///
    /// What passes is reserved at once. To grow with the elements would bound nothing better: a vector that doubles
    /// takes one and a half times as much while it moves, and the elements can be sent.
    pub fn nullable_array<T>(
        &mut self,
        compact: bool,
        least_size: usize,
        mut element: impl FnMut(&mut Self) -> Decoded<T>,
    ) -> Decoded<Option<Vec<T>>> {
        let start = self.position();
        let Some(count) = (if compact { self.compact_length()? } else { self.length()? }) else { return Ok(None) };
        let available = self.remaining();
        if count.saturating_mul(least_size.max(1)) > available {
            return Err(DecodeError::new(start, DecodeReason::TooManyElements { count, available }));
        }
        self.take_elements(start, count)?;
        self.take_heap(count.saturating_mul(size_of::<T>()))?;
        let mut elements = Vec::with_capacity(count);
        for index in 0..count {
            elements.push(element(self).map_err(|error| error.in_element(index))?);
        }
        Ok(Some(elements))
    }

    /// An array.
    pub fn array<T>(
        &mut self,
        compact: bool,
        least_size: usize,
        element: impl FnMut(&mut Self) -> Decoded<T>,
    ) -> Decoded<Vec<T>> {
        let start = self.position();
        present(start, self.nullable_array(compact, least_size, element)?)
    }

    /// A struct behind the byte that says whether it is there.
    pub fn nullable_struct<T>(&mut self, content: impl FnOnce(&mut Self) -> Decoded<T>) -> Decoded<Option<T>> {
        let start = self.position();
        match self.int8()? {
            -1 => Ok(None),
            1 => content(self).map(Some),
            marker => Err(DecodeError::new(start, DecodeReason::StructMarker(marker))),
        }
    }

    /// A struct that is a tagged field and may be null: the marker in front of it is a varint, and another one.
    pub fn nullable_tagged_struct<T>(&mut self, content: impl FnOnce(&mut Self) -> Decoded<T>) -> Decoded<Option<T>> {
        let start = self.position();
        match self.unsigned_varint()? {
            0 => Ok(None),
            1 => content(self).map(Some),
            marker => Err(DecodeError::new(start, DecodeReason::TaggedStructMarker(marker))),
        }
    }

    /// The tagged fields of a struct. `known` reads the content of a tag that it knows and says so; of any other it
    /// must not read anything. Tags ascend, each comes once, and a known one's content fills its declared size.
    #[inline]
    pub fn tagged_fields(
        &mut self,
        known: impl FnMut(&mut Self, u32) -> Decoded<bool>,
    ) -> Decoded<UnknownTaggedFields> {
        match self.unsigned_varint()? {
            0 => Ok(UnknownTaggedFields::default()),
            count => self.some_tagged_fields(count, known),
        }
    }

    fn some_tagged_fields(
        &mut self,
        count: u32,
        mut known: impl FnMut(&mut Self, u32) -> Decoded<bool>,
    ) -> Decoded<UnknownTaggedFields> {
        let mut unknown = Gatherer::new(self.frame);
        let mut previous = None;
        for _ in 0..count {
            let start = self.position();
            let tag = self.unsigned_varint()?;
            if let Some(previous) = previous.replace(tag).filter(|&previous| previous >= tag) {
                return Err(DecodeError::new(start, DecodeReason::TagOrder { tag, previous }));
            }
            let declared = in_memory(self.unsigned_varint()?);
            let Some((content, after)) = self.rest.split_at_checked(declared) else {
                return Err(self.error(DecodeReason::Truncated { needed: declared, available: self.remaining() }));
            };
            let content_start = self.position();
            self.rest = after;
            let content_end = self.position();
            let outer_end = std::mem::replace(&mut self.end, content_end);
            self.rest = content;
            let is_known = known(self, tag)?;
            let left = self.remaining();
            (self.rest, self.end) = (after, outer_end);
            if !is_known {
                unknown.push(start..content_end);
            } else if left > 0 {
                let reason = DecodeReason::TagSize { tag, declared, used: declared.saturating_sub(left) };
                return Err(DecodeError::new(content_start, reason));
            }
        }
        self.take_heap(unknown.heap_size())?;
        Ok(unknown.finish())
    }
}

fn present<T>(start: usize, value: Option<T>) -> Decoded<T> {
    value.ok_or_else(
        #[cold]
        || DecodeError::new(start, DecodeReason::Null),
    )
}

/// A length as memory counts it. What no memory holds, no input holds either, so the greatest may stand for it.
#[inline]
pub(super) fn in_memory(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// An unsigned varint at the head of `bytes`, and what follows it. Five bytes at most, no bit above the 32nd.
#[inline]
pub(super) fn unsigned_varint(bytes: &[u8]) -> Result<(u32, &[u8]), DecodeReason> {
    let mut value = 0_u32;
    let mut rest = bytes;
    for shift in [0, 7, 14, 21, 28] {
        let Some((&byte, after)) = rest.split_first() else { break };
        if shift == 28 && byte > 0x0f {
            return Err(DecodeReason::Varint { bits: 32 });
        }
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok((value, after));
        }
        rest = after;
    }
    Err(DecodeReason::Truncated { needed: bytes.len().saturating_add(1), available: bytes.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader_fails<T: std::fmt::Debug>(
        bytes: &'static [u8],
        read: impl FnOnce(&mut Reader<'_>) -> Decoded<T>,
    ) -> String {
        let frame = Bytes::from_static(bytes);
        read(&mut Reader::new(&frame)).expect_err("must be refused").to_string()
    }

    #[test]
    fn varints_have_at_most_32_bits() {
        assert_eq!(unsigned_varint(&[0]), Ok((0, &[][..])));
        assert_eq!(unsigned_varint(&[0xac, 0x02, 9]), Ok((300, &[9][..])));
        assert_eq!(unsigned_varint(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok((u32::MAX, &[][..])));
        assert_eq!(unsigned_varint(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(DecodeReason::Varint { bits: 32 }));
        assert_eq!(unsigned_varint(&[0x80; 6]), Err(DecodeReason::Varint { bits: 32 }));
        assert!(matches!(unsigned_varint(&[0x80]), Err(DecodeReason::Truncated { .. })));
        assert!(matches!(unsigned_varint(&[]), Err(DecodeReason::Truncated { .. })));
    }

    #[test]
    fn a_count_that_the_input_cannot_hold_is_refused_before_allocating() {
        let said = reader_fails(b"\x7f\xff\xff\xff\0\0\0\0", |r| r.array(false, 4, Reader::int32));
        assert_eq!(said, "2147483647 elements announced, 4 bytes left, at byte 0");
    }

    #[test]
    fn memory_is_counted_before_it_is_taken() {
        let frame = Bytes::from_static(b"\0\0\0\x02\0\0\0\x01\0\0\0\x02");
        let mut reader = Reader::new(&frame);
        let numbers = |most| {
            let mut reader = reader.clone();
            reader.limit_heap(most);
            reader.array(false, 4, Reader::int32).map_err(|error| error.to_string())
        };
        assert_eq!(numbers(8), Ok(vec![1, 2]));
        assert_eq!(numbers(7), Err("8 bytes of memory needed, 7 allowed, at byte 4".to_owned()));
        reader.limit_heap(15);
        reader.clone().array(false, 4, Reader::int32).expect("8 of 15");
        reader.array(false, 4, Reader::int32).expect("8 of 15");
        reader.rest = &frame;
        reader.array(false, 4, Reader::int32).expect_err("16 of 15");
    }

    #[test]
    fn lengths_are_held_against_the_rest() {
        assert_eq!(reader_fails(b"\x00\x05abc", |r| r.string(false)), "5 bytes needed, 3 left, at byte 2");
        assert_eq!(reader_fails(b"\xff\xfe", |r| r.string(false)), "negative length -2, at byte 0");
        assert_eq!(reader_fails(b"\xff\xff", |r| r.string(false)), "null, which it must not be, at byte 0");
        assert_eq!(reader_fails(b"\x00", |r| r.bytes(true)), "null, which it must not be, at byte 0");
        assert_eq!(reader_fails(b"\x03\xc3\x28", |r| r.string(true)), "not UTF-8, at byte 0");
        assert_eq!(
            reader_fails(b"\x02", |r| r.nullable_struct(Reader::int8)),
            "2 is neither -1 (null) nor 1 (present), at byte 0"
        );
        assert_eq!(
            reader_fails(b"\xff\x01", |r| r.nullable_tagged_struct(Reader::int8)),
            "255 is neither 0 (null) nor 1 (present), at byte 0"
        );
    }

    #[test]
    fn text_that_is_not_utf8_is_mended_where_that_is_wanted() {
        let frame = Bytes::from_static(b"\0\x03a\xffb\0\x01\xff");
        let mut reader = Reader::new(&frame);
        reader.set_lossy(true);
        assert_eq!(reader.string(false).expect("is mended"), "a\u{fffd}b");
        reader.set_lossy(false);
        reader.string(false).expect_err("is refused");
    }

    #[test]
    fn elements_of_all_arrays_are_counted_before_they_are_read() {
        let frame = Bytes::from_static(b"\0\0\0\x02\0\0\0\x01\x07\0\0\0\x02\x08\x09\0\0\0\x01\x0a\xff\xff\xff\xff");
        let read = |most, heap| {
            let mut reader = Reader::new(&frame);
            reader.limit_elements(most);
            reader.limit_heap(heap);
            let inner = |r: &mut Reader<'_>| r.array(false, 1, Reader::int8);
            let nested = reader.array(false, 4, inner).and_then(|nested| Ok((nested, inner(&mut reader)?)));
            let null = nested.and_then(|read| Ok((read, reader.nullable_array(false, 1, Reader::int8)?)));
            null.map_err(|error| error.to_string())
        };
        let all = Ok(((vec![vec![7], vec![8, 9]], vec![10]), None));
        assert_eq!(read(usize::MAX, usize::MAX), all);
        assert_eq!(read(6, usize::MAX), all);
        let refused = |text: &str| Err(text.to_owned());
        assert_eq!(read(5, usize::MAX), refused("6 elements in arrays, 5 allowed, at byte 15"));
        assert_eq!(read(4, usize::MAX), refused("[1]: 5 elements in arrays, 4 allowed, at byte 9"));
        assert_eq!(read(1, 0), refused("2 elements in arrays, 1 allowed, at byte 0"), "nothing is taken for them");
    }

    #[test]
    fn tags_ascend_and_fill_their_size() {
        let none = |_: &mut Reader<'_>, _| Ok(false);
        let byte = |r: &mut Reader<'_>, tag| if tag == 0 { r.int8().map(|_| true) } else { Ok(false) };
        assert_eq!(reader_fails(b"\x02\x01\x00\x01\x00", |r| r.tagged_fields(none)), "tag 1 after tag 1, at byte 3");
        assert_eq!(reader_fails(b"\x02\x03\x00\x01\x00", |r| r.tagged_fields(none)), "tag 1 after tag 3, at byte 3");
        assert_eq!(
            reader_fails(b"\x01\x00\x02\x07\x07", |r| r.tagged_fields(byte)),
            "tag 0 fills 1 of its 2 bytes, at byte 3"
        );
        assert_eq!(reader_fails(b"\x01\x00\x00\x07", |r| r.tagged_fields(byte)), "1 bytes needed, 0 left, at byte 3");
        assert_eq!(reader_fails(b"\x01\x07\x05ab", |r| r.tagged_fields(byte)), "5 bytes needed, 2 left, at byte 3");
    }

    #[test]
    fn unknown_tags_stay_one_slice_where_they_stood_together() {
        let frame = Bytes::from_static(b"\x03\x05\x01a\x06\x00\x07\x02bc");
        let mut reader = Reader::new(&frame);
        let unknown = reader.tagged_fields(|_, _| Ok(false)).expect("good");
        reader.finish().expect("all read");
        assert_eq!(unknown.count(), 3);
        assert_eq!(unknown.raw(), &frame[1..]);
        assert_eq!(unknown.raw().as_ptr(), frame[1..].as_ptr());
        assert_eq!((unknown.raw_between(0, 6), unknown.raw_from(6)), (&frame[1..4], &frame[4..]));
    }
}
