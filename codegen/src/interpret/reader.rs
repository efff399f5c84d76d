//! The wire's primitives, read with every length checked.

use super::error::{Fault, Reason};

/// Bytes and the place in them. Offsets count from the start of the message, in bounded readers too.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// The bytes between `start` and the place reached.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.position).unwrap_or_default()
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let start = self.position;
        let taken = start.checked_add(len).and_then(|end| self.bytes.get(start..end));
        let taken = taken.ok_or_else(|| Fault::at(start, Reason::Truncated { needed: len, left: self.left() }))?;
        self.position += len;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let start = self.position;
        let truncated = Reason::Truncated { needed: N, left: self.left() };
        let bytes = self.bytes[start..].first_chunk().ok_or_else(|| Fault::at(start, truncated))?;
        self.position += N;
        Ok(*bytes)
    }

    /// A reader of the next `len` bytes, which this one passes over.
    pub(super) fn bounded(&mut self, len: usize) -> Result<Self, Fault> {
        let position = self.position;
        self.take(len)?;
        Ok(Self { bytes: &self.bytes[..self.position], position })
    }

    /// An unsigned varint of 32 bits.
    pub(super) fn varint(&mut self) -> Result<u32, Fault> {
        let start = self.position;
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| Fault::at(start, Reason::VarintTooLong));
            }
        }
        Err(Fault::at(start, Reason::VarintTooLong))
    }

    /// A length as it stands before bytes and arrays; `None` is null.
    pub(super) fn length(&mut self, compact: bool) -> Result<Option<usize>, Fault> {
        if compact {
            return self.compact_length();
        }
        Ok(usize::try_from(i32::from_be_bytes(self.array()?)).ok())
    }

    /// A length as it stands before strings; `None` is null.
    pub(super) fn string_length(&mut self, compact: bool) -> Result<Option<usize>, Fault> {
        if compact {
            return self.compact_length();
        }
        Ok(usize::try_from(i16::from_be_bytes(self.array()?)).ok())
    }

    /// One more than the length, as a varint.
    fn compact_length(&mut self) -> Result<Option<usize>, Fault> {
        let start = self.position;
        match self.varint()?.checked_sub(1) {
            None => Ok(None),
            Some(length) => usize::try_from(length).map(Some).map_err(|_| Fault::at(start, Reason::VarintTooLong)),
        }
    }
}
