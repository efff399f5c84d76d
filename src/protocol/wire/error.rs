//! Why a message could not be read or written: message, field, version, offset and reason.

use std::fmt;

/// A message that could not be read.
#[derive(Clone, PartialEq, Eq)]
pub struct DecodeError(Box<Decode>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Decode {
    at: Place,
    offset: usize,
    reason: DecodeReason,
}

/// What was wrong with the bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum DecodeReason {
    #[error("{needed} bytes needed, {available} left")]
    Truncated { needed: usize, available: usize },
    #[error("{count} elements announced, {available} bytes left")]
    TooManyElements { count: usize, available: usize },
    #[error("{needed} bytes of memory needed, {allowed} allowed")]
    Memory { needed: usize, allowed: usize },
    #[error("{needed} elements in arrays, {allowed} allowed")]
    Elements { needed: usize, allowed: usize },
    #[error("negative length {0}")]
    NegativeLength(i32),
    #[error("length {length} is above {most}")]
    StringTooLong { length: usize, most: usize },
    #[error("null, which it must not be")]
    Null,
    #[error("a varint of more than {bits} bits")]
    Varint { bits: u8 },
    #[error("not UTF-8")]
    NotUtf8,
    #[error("{0} is neither -1 (null) nor 1 (present)")]
    StructMarker(i8),
    #[error("{0} is neither 0 (null) nor 1 (present)")]
    TaggedStructMarker(u32),
    #[error("tag {tag} after tag {previous}")]
    TagOrder { tag: u32, previous: u32 },
    #[error("tag {tag} fills {used} of its {declared} bytes")]
    TagSize { tag: u32, declared: usize, used: usize },
    #[error("{0} bytes follow the message")]
    TrailingBytes(usize),
    #[error("version {version} is outside {lowest}-{highest}")]
    Version { version: i16, lowest: i16, highest: i16 },
    #[error("{0} stands for nothing that is known")]
    Unknown(i64),
}

/// A message that could not be written.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodeError(Box<Encode>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Encode {
    at: Place,
    reason: EncodeReason,
}

/// What cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum EncodeReason {
    #[error("is set, but does not exist in this version")]
    NotInVersion,
    #[error("null, which this version does not know")]
    Null,
    #[error("length {length} is above {most}")]
    TooLong { length: usize, most: usize },
    #[error("version is outside {lowest}-{highest}")]
    Version { lowest: i16, highest: i16 },
}

/// Message, version and field, filled in from the inside out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    message: Option<(&'static str, i16)>,
    field: String,
}

impl Place {
    fn within_field(&mut self, name: &str) {
        let separator = if self.field.is_empty() || self.field.starts_with('[') { "" } else { "." };
        self.field.insert_str(0, separator);
        self.field.insert_str(0, name);
    }

    fn within_element(&mut self, index: usize) {
        let separator = if self.field.is_empty() { "" } else { "." };
        self.field.insert_str(0, &format!("[{index}]{separator}"));
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((message, version)) = self.message {
            write!(f, "{message} v{version}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        Ok(())
    }
}

impl DecodeError {
    /// An error at byte `offset` of the input.
    #[cold]
    #[must_use]
    pub fn new(offset: usize, reason: DecodeReason) -> Self {
        Self(Box::new(Decode { at: Place::default(), offset, reason }))
    }

    /// What was wrong.
    #[must_use]
    pub fn reason(&self) -> &DecodeReason {
        &self.0.reason
    }

    /// Where in the input.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.0.offset
    }

    /// The field, dotted from the outermost in; empty where no field is at fault.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.0.at.field
    }

    #[cold]
    pub(crate) fn in_message(mut self, name: &'static str, version: i16) -> Self {
        self.0.at.message.get_or_insert((name, version));
        self
    }

    #[cold]
    pub(crate) fn in_element(mut self, index: usize) -> Self {
        self.0.at.within_element(index);
        self
    }
}

impl EncodeError {
    /// An error with this reason.
    #[cold]
    #[must_use]
    pub fn new(reason: EncodeReason) -> Self {
        Self(Box::new(Encode { at: Place::default(), reason }))
    }

    /// What cannot be written.
    #[must_use]
    pub fn reason(&self) -> &EncodeReason {
        &self.0.reason
    }

    /// A field that is set but does not exist in the version being written.
    #[cold]
    pub(crate) fn not_in_version(field: &'static str) -> Self {
        let mut error = Self::new(EncodeReason::NotInVersion);
        error.0.at.within_field(field);
        error
    }

    #[cold]
    pub(crate) fn in_message(mut self, name: &'static str, version: i16) -> Self {
        self.0.at.message.get_or_insert((name, version));
        self
    }

    #[cold]
    pub(crate) fn in_element(mut self, index: usize) -> Self {
        self.0.at.within_element(index);
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}, at byte {}", self.0.at, self.0.reason, self.0.offset)
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0.at, self.0.reason)
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecodeError({self})")
    }
}

impl fmt::Debug for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodeError({self})")
    }
}

impl std::error::Error for DecodeError {}
impl std::error::Error for EncodeError {}

/// Adds the field's name to an error on its way out.
pub trait InField {
    /// Says that the error happened in `field`.
    #[must_use]
    fn in_field(self, field: &'static str) -> Self;
}

impl<T> InField for Result<T, DecodeError> {
    #[inline]
    fn in_field(self, field: &'static str) -> Self {
        self.map_err(
            #[cold]
            |mut error| {
                error.0.at.within_field(field);
                error
            },
        )
    }
}

impl<T> InField for Result<T, EncodeError> {
    #[inline]
    fn in_field(self, field: &'static str) -> Self {
        self.map_err(
            #[cold]
            |mut error| {
                error.0.at.within_field(field);
                error
            },
        )
    }
}
