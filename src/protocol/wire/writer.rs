//! Writing a message: small values into one buffer, big byte strings and file ranges as parts of their own.

use bytes::Bytes;
use uuid::Uuid;

use super::{
    error::{EncodeError, EncodeReason},
    reader::STRING_MAX,
    str_bytes::StrBytes,
    tagged_fields::UnknownTaggedFields,
};
use crate::protocol::{
    file_range::FileRange,
    frame::{Frame, Part, ResponseTooLarge, SIZE_PREFIX, insert},
    records::Records,
};

/// From this size on, bytes are sent from where they are instead of being copied.
const SHARE_FROM: usize = 4096;

/// First room for a frame: most responses fit.
const FRAME_CAPACITY: usize = 256;

/// Greatest length of an array or of bytes: one more, which the compact form writes, is an `i32` still.
const LENGTH_MAX: usize = 0x7fff_fffe;

/// Greatest size of a tagged field's content: an `i32` to Kafka.
const TAGGED_SIZE_MAX: usize = 0x7fff_ffff;

/// Collects an encoded message, or only counts its bytes.
#[derive(Debug, Default)]
pub struct Writer {
    /// All that is copied, one after the other.
    buffer: Vec<u8>,
    /// What is not copied, each with the length that the buffer had then.
    shared: Vec<(usize, Part)>,
    /// Bytes written, or counted.
    length: usize,
    counting: bool,
}

type Encoded = Result<(), EncodeError>;

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer for a frame: room for the size prefix is left, and [`into_frame`](Self::into_frame) fills it in.
    #[must_use]
    pub fn for_frame() -> Self {
        let mut buffer = Vec::with_capacity(FRAME_CAPACITY);
        buffer.extend_from_slice(&[0; SIZE_PREFIX]);
        Self { buffer, ..Self::default() }
    }

    /// A writer that only counts.
    #[must_use]
    pub fn counting() -> Self {
        Self { counting: true, ..Self::default() }
    }

    /// Bytes written or counted so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing has been written or counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Bytes as they are, without a length: a message that another protocol has written.
    pub fn foreign(&mut self, bytes: &[u8]) {
        self.put(bytes);
    }

    /// The frame that was written into a writer [for one](Self::for_frame).
    pub fn into_frame(self) -> Result<Frame, ResponseTooLarge> {
        Frame::new(self.buffer, self.shared)
    }

    /// What was written, as one byte string; file ranges are not part of it, so only messages without them fit.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        if self.shared.is_empty() {
            return self.buffer.into();
        }
        let mut joined = Vec::with_capacity(self.length);
        let (head, rest) = insert(self.buffer, self.shared);
        joined.extend_from_slice(&head);
        for part in &rest {
            match part {
                Part::Bytes(bytes) => joined.extend_from_slice(bytes),
                Part::File(_) => debug_assert!(false, "a file range is sent, not copied"),
            }
        }
        joined.into()
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.length = self.length.saturating_add(bytes.len());
        if !self.counting {
            self.buffer.extend_from_slice(bytes);
        }
    }

    fn put_shared(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARE_FROM || self.counting {
            return self.put(bytes);
        }
        self.length = self.length.saturating_add(bytes.len());
        self.shared.push((self.buffer.len(), Part::Bytes(bytes.clone())));
    }

    fn put_file(&mut self, range: &FileRange) {
        self.length = self.length.saturating_add(range.length);
        if self.counting || range.length == 0 {
            return;
        }
        self.shared.push((self.buffer.len(), Part::File(range.clone())));
    }

    /// One byte, 0 or 1.
    #[inline]
    pub fn bool(&mut self, value: bool) -> Encoded {
        self.put(&[u8::from(value)]);
        Ok(())
    }

    /// A signed byte.
    #[inline]
    pub fn int8(&mut self, value: i8) -> Encoded {
        self.put(&value.to_be_bytes());
        Ok(())
    }

    /// Two bytes, signed.
    #[inline]
    pub fn int16(&mut self, value: i16) -> Encoded {
        self.put(&value.to_be_bytes());
        Ok(())
    }

    /// Two bytes, unsigned.
    #[inline]
    pub fn uint16(&mut self, value: u16) -> Encoded {
        self.put(&value.to_be_bytes());
        Ok(())
    }

    /// Four bytes, signed.
    #[inline]
    pub fn int32(&mut self, value: i32) -> Encoded {
        self.put(&value.to_be_bytes());
        Ok(())
    }

    /// Four bytes, unsigned.
    #[inline]
    pub fn uint32(&mut self, value: u32) -> Encoded {
        self.put(&value.to_be_bytes());
        Ok(())
    }

    /// Eight bytes, signed.
    #[inline]
    pub fn int64(&mut self, value: i64) -> Encoded {
        self.put(&value.to_be_bytes());
        Ok(())
    }

    /// Eight bytes, IEEE 754.
    #[inline]
    pub fn float64(&mut self, value: f64) -> Encoded {
        self.put(&value.to_be_bytes());
        Ok(())
    }

    /// Sixteen bytes.
    #[inline]
    pub fn uuid(&mut self, value: Uuid) -> Encoded {
        self.put(value.as_bytes());
        Ok(())
    }

    /// An unsigned varint.
    #[inline]
    pub fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.put(&[value.to_le_bytes()[0] | 0x80]);
            value >>= 7;
        }
        self.put(&[value.to_le_bytes()[0]]);
    }

    /// A compact length: one more than the length.
    #[inline]
    fn compact_length(&mut self, length: u32) -> Encoded {
        self.unsigned_varint(length.saturating_add(1));
        Ok(())
    }

    /// The length of an array or of bytes.
    fn length(&mut self, length: usize, compact: bool) -> Encoded {
        match i32::try_from(length) {
            Ok(fitting) if length <= LENGTH_MAX => {
                if compact {
                    self.compact_length(fitting.cast_unsigned())
                } else {
                    self.int32(fitting)
                }
            }
            _ => Err(EncodeError::new(EncodeReason::TooLong { length, most: LENGTH_MAX })),
        }
    }

    /// The length that stands for null.
    fn null_length(&mut self, compact: bool) -> Encoded {
        if compact {
            self.unsigned_varint(0);
            return Ok(());
        }
        self.int32(-1)
    }

    /// A string.
    pub fn string(&mut self, value: &StrBytes, compact: bool) -> Encoded {
        let bytes = value.as_bytes();
        let Ok(length) = i16::try_from(bytes.len()) else {
            return Err(EncodeError::new(EncodeReason::TooLong { length: bytes.len(), most: STRING_MAX }));
        };
        if compact {
            self.compact_length(u32::from(length.cast_unsigned()))?
        } else {
            self.int16(length)?
        }
        self.put(bytes);
        Ok(())
    }

    /// A string or null.
    pub fn nullable_string(&mut self, value: Option<&StrBytes>, compact: bool) -> Encoded {
        match value {
            Some(text) => self.string(text, compact),
            None if compact => self.null_length(true),
            None => self.int16(-1),
        }
    }

    /// Bytes.
    pub fn bytes(&mut self, value: &Bytes, compact: bool) -> Encoded {
        self.length(value.len(), compact)?;
        self.put_shared(value);
        Ok(())
    }

    /// Bytes or null.
    pub fn nullable_bytes(&mut self, value: Option<&Bytes>, compact: bool) -> Encoded {
        match value {
            Some(bytes) => self.bytes(bytes, compact),
            None => self.null_length(compact),
        }
    }

    /// Record batches.
    pub fn records(&mut self, value: &Records, compact: bool) -> Encoded {
        self.length(value.len(), compact)?;
        match value {
            Records::Bytes(bytes) => self.put_shared(bytes),
            Records::File(range) => self.put_file(range),
        }
        Ok(())
    }

    /// Record batches or null.
    pub fn nullable_records(&mut self, value: Option<&Records>, compact: bool) -> Encoded {
        match value {
            Some(records) => self.records(records, compact),
            None => self.null_length(compact),
        }
    }

    /// An array.
    pub fn array<T>(
        &mut self,
        elements: &[T],
        compact: bool,
        mut element: impl FnMut(&mut Self, &T) -> Encoded,
    ) -> Encoded {
        self.length(elements.len(), compact)?;
        for (index, value) in elements.iter().enumerate() {
            element(self, value).map_err(|error| error.in_element(index))?;
        }
        Ok(())
    }

    /// An array or null.
    pub fn nullable_array<T>(
        &mut self,
        elements: Option<&Vec<T>>,
        compact: bool,
        element: impl FnMut(&mut Self, &T) -> Encoded,
    ) -> Encoded {
        match elements {
            Some(elements) => self.array(elements, compact, element),
            None => self.null_length(compact),
        }
    }

    /// A struct behind the byte that says whether it is there.
    pub fn nullable_struct<T>(&mut self, value: Option<&T>, content: impl FnOnce(&mut Self, &T) -> Encoded) -> Encoded {
        match value {
            Some(value) => {
                self.int8(1)?;
                content(self, value)
            }
            None => self.int8(-1),
        }
    }

    /// A struct that is a tagged field and may be null: the marker in front of it is a varint, and another one.
    pub fn nullable_tagged_struct<T>(
        &mut self,
        value: Option<&T>,
        content: impl FnOnce(&mut Self, &T) -> Encoded,
    ) -> Encoded {
        self.unsigned_varint(u32::from(value.is_some()));
        value.map_or(Ok(()), |value| content(self, value))
    }

    /// What a version that has no null makes of one.
    #[cold]
    pub fn refuse_null(&mut self) -> Encoded {
        Err(EncodeError::new(EncodeReason::Null))
    }

    /// One tagged field: tag, size, content. The content is gone through twice, first for its size.
    pub fn tagged_field(&mut self, tag: u32, content: impl Fn(&mut Self) -> Encoded) -> Encoded {
        let was_counting = std::mem::replace(&mut self.counting, true);
        let outer_length = std::mem::replace(&mut self.length, 0);
        content(self)?;
        let size = std::mem::replace(&mut self.length, outer_length);
        self.counting = was_counting;
        self.unsigned_varint(tag);
        let Ok(fitting) = i32::try_from(size) else {
            return Err(EncodeError::new(EncodeReason::TooLong { length: size, most: TAGGED_SIZE_MAX }));
        };
        self.unsigned_varint(fitting.cast_unsigned());
        content(self)
    }

    /// How many tagged fields a struct has: the unknown ones, and each known one that is present.
    #[inline]
    pub fn tagged_field_count(&mut self, unknown: &UnknownTaggedFields, present: &[bool]) {
        let present = present.iter().map(|&present| u32::from(present));
        self.unsigned_varint(present.fold(unknown.count(), u32::saturating_add));
    }

    /// All tagged fields of a struct without known ones to write.
    pub fn unknown_tagged_fields(&mut self, unknown: &UnknownTaggedFields) {
        self.unsigned_varint(unknown.count());
        self.put(unknown.raw());
    }

    /// The unknown tagged fields from tag `from` on and below tag `below`: those that stand between two known ones.
    pub fn unknown_tagged_fields_between(&mut self, unknown: &UnknownTaggedFields, from: u32, below: u32) {
        self.put(unknown.raw_between(from, below));
    }

    /// The unknown tagged fields from tag `from` on.
    pub fn unknown_tagged_fields_from(&mut self, unknown: &UnknownTaggedFields, from: u32) {
        self.put(unknown.raw_from(from));
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use super::*;
    use crate::protocol::{file_range::RangeSource, wire::Reader};

    /// What was written, which a writer that counts must have promised.
    fn written(write: impl Fn(&mut Writer) -> Encoded) -> Bytes {
        let (mut counting, mut w) = (Writer::counting(), Writer::new());
        write(&mut counting).expect("can be counted");
        write(&mut w).expect("can be written");
        assert_eq!(counting.len(), w.len());
        let bytes = w.into_bytes();
        assert_eq!(counting.len(), bytes.len());
        bytes
    }

    fn unknown_tagged_fields(wire: &'static [u8]) -> UnknownTaggedFields {
        Reader::new(&Bytes::from_static(wire)).tagged_fields(|_, _| Ok(false)).expect("good fields")
    }

    struct NoFile;

    impl RangeSource for NoFile {
        fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            unreachable!("an encoder does not read files")
        }
    }

    #[test]
    fn varints_are_as_short_as_can_be() {
        for (value, bytes) in [
            (0, &b"\x00"[..]),
            (127, b"\x7f"),
            (128, b"\x80\x01"),
            (16_383, b"\xff\x7f"),
            (u32::MAX, b"\xff\xff\xff\xff\x0f"),
        ] {
            let varint = written(|w| {
                w.unsigned_varint(value);
                Ok(())
            });
            assert_eq!(varint, bytes, "{value}");
        }
    }

    #[test]
    fn lengths_are_four_bytes_or_compact() {
        let bytes = Bytes::from_static(b"ab");
        assert_eq!(written(|w| w.bytes(&bytes, false)), b"\0\0\0\x02ab"[..]);
        assert_eq!(written(|w| w.bytes(&bytes, true)), b"\x03ab"[..]);
        assert_eq!(written(|w| w.nullable_bytes(None, false)), b"\xff\xff\xff\xff"[..]);
        assert_eq!(written(|w| w.nullable_bytes(None, true)), b"\0"[..]);
        assert_eq!(written(|w| w.string(&"é".into(), false)), b"\0\x02\xc3\xa9"[..]);
        assert_eq!(written(|w| w.nullable_string(None, false)), b"\xff\xff"[..]);
        assert_eq!(written(|w| w.nullable_string(None, true)), b"\0"[..]);
        assert_eq!(written(|w| w.array(&[1_i8, 2], true, |w, &e| w.int8(e))), b"\x03\x01\x02"[..]);
        assert_eq!(written(|w| w.nullable_array(None::<&Vec<i8>>, false, |w, &e| w.int8(e))), b"\xff\xff\xff\xff"[..]);
    }

    #[test]
    fn a_nullable_struct_has_another_marker_when_tagged() {
        let int = |w: &mut Writer, &value: &i8| w.int8(value);
        assert_eq!(written(|w| w.nullable_struct(Some(&7), int)), b"\x01\x07"[..]);
        assert_eq!(written(|w| w.nullable_struct(None, int)), b"\xff"[..]);
        assert_eq!(written(|w| w.nullable_tagged_struct(Some(&7), int)), b"\x01\x07"[..]);
        assert_eq!(written(|w| w.nullable_tagged_struct(None, int)), b"\x00"[..]);
    }

    #[test]
    fn the_longest_string_is_the_last_that_can_be_written() {
        for compact in [false, true] {
            let longest = StrBytes::from("x".repeat(32_767));
            assert_eq!(written(|w| w.string(&longest, compact)).len(), 32_767 + if compact { 3 } else { 2 });
            let error = Writer::new().string(&"x".repeat(32_768).into(), compact).expect_err("too long");
            assert_eq!(error.reason(), &EncodeReason::TooLong { length: 32_768, most: 32_767 });
        }
    }

    #[test]
    fn long_bytes_are_shared_and_short_ones_copied() {
        let short = Bytes::from(vec![1; SHARE_FROM - 1]);
        let long = Bytes::from(vec![2; SHARE_FROM]);
        let mut w = Writer::for_frame();
        w.bytes(&short, false).and_then(|()| w.bytes(&long, false)).and_then(|()| w.int8(3)).expect("can be written");
        let length = SIZE_PREFIX + w.len();
        let parts: Vec<Bytes> = w.into_frame().expect("fits").into_parts().map(in_memory).collect();
        let expected = [SIZE_PREFIX + 4 + SHARE_FROM - 1 + 4, SHARE_FROM, 1];
        assert_eq!(parts.iter().map(Bytes::len).collect::<Vec<_>>(), expected);
        assert_eq!(length, parts.iter().map(Bytes::len).sum::<usize>());
        assert_eq!(parts[1].as_ptr(), long.as_ptr());
        assert_eq!(parts[2], b"\x03"[..]);
    }

    fn in_memory(part: Part) -> Bytes {
        match part {
            Part::Bytes(bytes) => bytes,
            Part::File(range) => panic!("{range:?}"),
        }
    }

    #[test]
    fn file_ranges_stay_in_their_files() {
        let range = |length| FileRange { source: Arc::new(NoFile), position: 17, length };
        let mut w = Writer::for_frame();
        w.records(&Records::File(range(1000)), true)
            .and_then(|()| w.records(&Records::File(range(0)), true))
            .expect("can be written");
        assert_eq!(w.len(), 2 + 1000 + 1);
        match &w.into_frame().expect("fits").into_parts().collect::<Vec<_>>()[..] {
            [Part::Bytes(head), Part::File(file), Part::Bytes(tail)] => {
                assert_eq!((&head[SIZE_PREFIX..], &tail[..]), (&b"\xe9\x07"[..], &b"\x01"[..]));
                assert_eq!((file.position, file.length), (17, 1000));
            }
            parts => panic!("{parts:?}"),
        }
    }

    #[test]
    fn a_tagged_field_says_its_size() {
        let bytes = Bytes::from(vec![7; 200]);
        let field = written(|w| w.tagged_field(300, |w| w.bytes(&bytes, true)));
        assert_eq!(field[..6], *b"\xac\x02\xca\x01\xc9\x01");
        assert_eq!(field[6..], bytes);
    }

    #[test]
    fn a_tagged_field_that_cannot_be_written_is_an_error() {
        let error = Writer::new().tagged_field(0, Writer::refuse_null).expect_err("null");
        assert_eq!(error.reason(), &EncodeReason::Null);
    }

    #[test]
    fn unknown_tagged_fields_go_between_the_known_ones() {
        let unknown = unknown_tagged_fields(b"\x03\x01\x01a\x03\x00\x05\x01c");
        let all = written(|w| {
            w.unsigned_varint(unknown.count() + 2);
            w.tagged_field(0, |w| w.int8(8))?;
            w.unknown_tagged_fields_between(&unknown, 1, 2);
            w.tagged_field(2, |w| w.int8(9))?;
            w.unknown_tagged_fields_from(&unknown, 3);
            Ok(())
        });
        assert_eq!(all, b"\x05\x00\x01\x08\x01\x01a\x02\x01\x09\x03\x00\x05\x01c"[..]);
    }

    #[test]
    fn unknown_tagged_fields_alone_are_written_as_they_came() {
        let wire = b"\x02\x01\x01a\x80\x01\x00";
        let unknown = unknown_tagged_fields(wire);
        let all = written(|w| {
            w.unknown_tagged_fields(&unknown);
            Ok(())
        });
        assert_eq!(all, wire[..]);
    }
}
