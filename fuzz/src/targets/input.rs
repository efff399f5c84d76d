//! Several inputs out of one.

use bytes::Bytes;

/// Bytes that are consumed from the front. Where there are none left, numbers are 0 and blocks are empty.
#[derive(Clone, Copy)]
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let taken = self.take(N);
        bytes[..taken.len()].copy_from_slice(taken);
        bytes
    }

    pub(super) fn byte(&mut self) -> u8 {
        u8::from_be_bytes(self.array())
    }

    pub(super) fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    pub(super) fn int16(&mut self) -> i16 {
        i16::from_be_bytes(self.array())
    }

    pub(super) fn int64(&mut self) -> i64 {
        i64::from_be_bytes(self.array())
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::from(u16::from_be_bytes(self.array())) % bound
    }

    /// As many bytes as the two in front of them say.
    pub(super) fn block(&mut self) -> &'a [u8] {
        let len = u16::from_be_bytes(self.array());
        self.take(len.into())
    }

    /// A block as text, whatever it is.
    pub(super) fn text(&mut self) -> String {
        String::from_utf8_lossy(self.block()).into_owned()
    }

    /// What is left.
    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// What is left, as what arrives.
    pub(super) fn rest_bytes(self) -> Bytes {
        Bytes::copy_from_slice(self.0)
    }
}
