//! Tagged fields that a message's schema does not know: kept as they came, written back as they were.
//!
//! They are held as slices of the frame, never as a list of objects: two bytes on the wire must not become an object on
//! the heap each (CVE-2026-111115).

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::reader::{in_memory, unsigned_varint};

/// The unknown tagged fields of one struct. Eight bytes where there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownTaggedFields(Option<Box<Raw>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Raw {
    count: u32,
    /// Tag, size and content of each, one after the other, tags ascending.
    fields: Bytes,
}

impl UnknownTaggedFields {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.as_ref().map_or(0, |raw| raw.count)
    }

    /// The bytes that they take.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.raw().len()
    }

    /// The raw fields from tag `from` on.
    pub(super) fn raw_from(&self, from: u32) -> &[u8] {
        split_before(self.raw(), from).1
    }

    /// The raw fields from tag `from` on and below tag `below`.
    pub(super) fn raw_between(&self, from: u32, below: u32) -> &[u8] {
        split_before(self.raw_from(from), below).0
    }

    /// All of them, as they came.
    pub(super) fn raw(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |raw| &raw.fields)
    }
}

/// Gathers the unknown tagged fields of a struct while it is read.
///
/// Neighbours in the frame stay one slice of it. Only where a known field keeps unknown ones apart are they copied
/// together, each once.
#[derive(Debug)]
pub(super) struct Gatherer<'a> {
    frame: &'a Bytes,
    count: u32,
    /// The fields met last, which are neighbours.
    run: Range<usize>,
    /// All those before.
    joined: BytesMut,
}

impl<'a> Gatherer<'a> {
    /// Gathers from a frame.
    pub(super) fn new(frame: &'a Bytes) -> Self {
        Self { frame, count: 0, run: 0..0, joined: BytesMut::new() }
    }

    /// Adds a field: where in the frame its tag, size and content stand.
    pub(super) fn push(&mut self, field: Range<usize>) {
        self.count = self.count.saturating_add(1);
        if self.run.end == field.start {
            self.run.end = field.end;
            return;
        }
        let run = std::mem::replace(&mut self.run, field);
        self.joined.extend_from_slice(&self.frame.slice(run));
    }

    /// What keeping them takes.
    pub(super) fn heap_size(&self) -> usize {
        match (self.count, self.joined.len()) {
            (0, _) => 0,
            (_, 0) => size_of::<Raw>(),
            (_, joined) => size_of::<Raw>().saturating_add(joined).saturating_add(self.run.len()),
        }
    }

    /// What was gathered.
    pub(super) fn finish(mut self) -> UnknownTaggedFields {
        if self.count == 0 {
            return UnknownTaggedFields::default();
        }
        let run = self.frame.slice(self.run);
        let fields = if self.joined.is_empty() {
            run
        } else {
            self.joined.extend_from_slice(&run);
            self.joined.freeze()
        };
        UnknownTaggedFields(Some(Box::new(Raw { count: self.count, fields })))
    }
}

/// Splits raw fields at the first tag that is not below `tag`.
fn split_before(fields: &[u8], tag: u32) -> (&[u8], &[u8]) {
    let mut rest = fields;
    while let Some((next_tag, after)) = skip_field(rest) {
        if next_tag >= tag {
            break;
        }
        rest = after;
    }
    fields.split_at(fields.len().saturating_sub(rest.len()))
}

/// The tag of the field at the head of `fields`, and what follows the field.
fn skip_field(fields: &[u8]) -> Option<(u32, &[u8])> {
    let (tag, rest) = unsigned_varint(fields).ok()?;
    let (size, rest) = unsigned_varint(rest).ok()?;
    let (_, after) = rest.split_at_checked(in_memory(size))?;
    Some((tag, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(frame: &Bytes, fields: &[Range<usize>]) -> UnknownTaggedFields {
        let mut gatherer = Gatherer::new(frame);
        fields.iter().cloned().for_each(|field| gatherer.push(field));
        gatherer.finish()
    }

    #[test]
    fn none_take_no_heap() {
        let none = gathered(&Bytes::from_static(b"\0"), &[]);
        assert_eq!(none, UnknownTaggedFields(None));
        assert_eq!((none.count(), none.raw()), (0, &b""[..]));
        assert_eq!((none.raw_from(3), none.raw_between(0, 3)), (&b""[..], &b""[..]));
    }

    #[test]
    fn neighbours_stay_a_slice_of_the_frame() {
        let frame = Bytes::from_static(b"\x02\x03\x00\x04\x01a");
        let unknown = gathered(&frame, &[1..3, 3..6]);
        assert_eq!((unknown.count(), unknown.raw()), (2, &frame[1..]));
        assert_eq!(unknown.raw().as_ptr(), frame[1..].as_ptr());
    }

    #[test]
    fn what_known_fields_keep_apart_is_joined_in_order() {
        let frame = Bytes::from_static(b"\x05\x01\x00\x02\x00\x03\x00\x04\x00\x05\x01z");
        let unknown = gathered(&frame, &[1..3, 5..7, 7..9, 9..12]);
        assert_eq!((unknown.count(), unknown.raw()), (4, &b"\x01\x00\x03\x00\x04\x00\x05\x01z"[..]));
    }

    #[test]
    fn they_split_at_any_tag() {
        let frame = Bytes::from_static(b"\x02\x00\x05\x02ab\x80\x01\x00");
        let unknown = gathered(&frame, std::slice::from_ref(&(0..9)));
        let splits = [(0, 0), (2, 0), (3, 2), (5, 2), (6, 6), (128, 6), (129, 9), (u32::MAX, 9)];
        for (from, start) in splits {
            assert_eq!(unknown.raw_from(from), &frame[start..], "tag {from}");
            for (below, end) in splits {
                assert_eq!(unknown.raw_between(from, below), &frame[start..end.max(start)], "tags {from}..{below}");
            }
        }
    }
}
