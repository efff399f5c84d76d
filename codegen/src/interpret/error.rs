//! What is wrong with bytes, a value or JSON, and where.

use std::fmt;

use crate::{model::Message, versions::Versions};

/// Bytes, a value or JSON that does not fit the schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct InterpretError {
    /// The message's name.
    pub message: String,
    /// The version.
    pub version: i16,
    /// The field, dotted from the outermost in, with array indexes; empty for the message as a whole.
    pub path: String,
    /// Where in the bytes, when decoding.
    pub offset: Option<usize>,
    /// What is wrong.
    pub reason: Reason,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The message has no such version.
    #[error("no such version, {}", existing(.0))]
    NoSuchVersion(Versions),
    /// The bytes end within a value.
    #[error("{needed} bytes needed, {left} left")]
    Truncated {
        /// What the value takes.
        needed: usize,
        /// What is there.
        left: usize,
    },
    /// An array has more elements than the bytes can hold.
    #[error("{count} elements announced, {left} bytes left")]
    TooManyElements {
        /// Elements announced.
        count: usize,
        /// Bytes left for them.
        left: usize,
    },
    /// Null where the version does not allow it.
    #[error("null, which it cannot be in this version")]
    Null,
    /// A varint of more than 32 bits.
    #[error("a varint of more than 32 bits")]
    VarintTooLong,
    /// A string longer than the protocol allows.
    #[error("a string of {0} bytes, at most 32767 are allowed")]
    StringTooLong(usize),
    /// Bytes or an array longer than the protocol allows.
    #[error("{0} bytes or elements are more than a length can tell")]
    TooLong(usize),
    /// A string that is not UTF-8.
    #[error("not UTF-8 from its byte {valid_len} on")]
    NotUtf8 {
        /// The bytes before the first bad one.
        valid_len: usize,
    },
    /// Tags that do not ascend.
    #[error("tag {tag} comes after tag {previous}")]
    TagOrder {
        /// The tag before.
        previous: u32,
        /// The offending tag.
        tag: u32,
    },
    /// A tag of the schema, but of other versions.
    #[error("tag {0} does not exist in this version")]
    TagNotInVersion(u32),
    /// A tagged field whose content is shorter than its size.
    #[error("tag {tag}: {size} bytes announced, {left} of them not used")]
    TagSize {
        /// The tag.
        tag: u32,
        /// The announced size.
        size: usize,
        /// What the content left over.
        left: usize,
    },
    /// Unknown tagged fields in a version without tagged fields.
    #[error("unknown tagged fields, but this version has no tagged fields")]
    NoTags,
    /// Structs within structs without end.
    #[error("nested more than {} deep", super::DEPTH_MAX)]
    TooDeep,
    /// A value of another type.
    #[error("expected {expected}, got {got}")]
    Mismatch {
        /// The type in the schema.
        expected: &'static str,
        /// What is there.
        got: &'static str,
    },
    /// A struct with too many fields or too few.
    #[error("{got} fields, this version has {expected}")]
    FieldCount {
        /// The fields of the version.
        expected: usize,
        /// The fields of the value.
        got: usize,
    },
    /// A number outside its type's range.
    #[error("{value} does not fit {ty}")]
    OutOfRange {
        /// The number as written.
        value: String,
        /// The type.
        ty: &'static str,
    },
    /// Text that is not of the form that its type asks for.
    #[error("{text:?} is not {expected}")]
    BadText {
        /// The text.
        text: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A field that JSON lacks.
    #[error("is missing and has to be there in this version")]
    Missing,
    /// A field that the schema lacks, or has in other versions only.
    #[error("no such field in this version, {}", alternatives(.0))]
    NoSuchField(Vec<String>),
}

fn existing(versions: &Versions) -> String {
    if versions.is_empty() { "it has none any more".to_owned() } else { format!("it has {versions}") }
}

fn alternatives(names: &[String]) -> String {
    if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) }
}

impl fmt::Display for InterpretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} v{}: ", self.message, self.version)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}", self.reason)?;
        match self.offset {
            Some(offset) => write!(f, ", at byte {offset}"),
            None => Ok(()),
        }
    }
}

/// A reason on its way out: each level puts its own step in front of the path.
#[derive(Debug)]
pub(crate) struct Fault {
    reason: Reason,
    offset: Option<usize>,
    path: String,
}

impl Fault {
    pub(crate) fn new(reason: Reason) -> Self {
        Self { reason, offset: None, path: String::new() }
    }

    pub(super) fn at(offset: usize, reason: Reason) -> Self {
        Self { offset: Some(offset), ..Self::new(reason) }
    }

    pub(super) fn in_field(mut self, name: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{name}{dot}{}", self.path);
        self
    }

    pub(super) fn in_element(mut self, index: usize) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.path = format!("[{index}]{dot}{}", self.path);
        self
    }

    pub(super) fn in_message(self, message: &Message, version: i16) -> InterpretError {
        let Self { reason, offset, path } = self;
        InterpretError { message: message.name.clone(), version, path, offset, reason }
    }
}
