//! The codec that needs no generated code: it walks a schema and the bytes side by side.
//!
//! It knows nothing that the schema does not say, so it serves every message of every version, and it is a second
//! opinion on the generated codec. A [`Value`] is positional: a struct holds one value for each field that exists in
//! the version, in the schema's order. Unknown tagged fields stay one slice of the input, never a list.

use uuid::Uuid;

use crate::model::{Message, Type};

mod decode;
mod encode;
mod error;
mod json;
mod layout;
mod reader;
mod text;

pub use error::{InterpretError, Reason};
pub use text::json_text;

pub(crate) use encode::varint;
pub(crate) use layout::Layout;

/// The longest string that the protocol can hold, in bytes of UTF-8.
const STRING_LEN_MAX: usize = 0x7fff;

/// Nested deeper than this, a value is refused. No schema nests as deep without holding itself.
const DEPTH_MAX: usize = 32;

/// A value of some type of a schema.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Null, where the version allows it.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer of any width.
    Int(i64),
    /// A double.
    Float(f64),
    /// A UUID.
    Uuid(Uuid),
    /// A string.
    String(String),
    /// Bytes or records.
    Bytes(Vec<u8>),
    /// The elements of an array.
    Array(Vec<Self>),
    /// A struct.
    Struct(StructValue),
}

/// A struct's fields.
#[derive(Clone, Debug, PartialEq)]
pub struct StructValue {
    /// One value for each field that exists in the version, in the schema's order.
    pub fields: Vec<Value>,
    /// The tagged fields that the schema does not know.
    pub unknown: UnknownTags,
}

/// Tagged fields that the schema does not know, as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownTags {
    /// How many they are.
    pub count: u32,
    /// Tag, size and content of each, one behind the other.
    pub raw: Vec<u8>,
}

/// Reads a message from the start of `bytes`. Also says how many bytes it took.
pub fn decode(message: &Message, version: i16, bytes: &[u8]) -> Result<(Value, usize), InterpretError> {
    Layout::new(message, version)
        .and_then(|layout| decode::decode(layout, bytes))
        .map_err(|fault| fault.in_message(message, version))
}

/// Writes a message.
pub fn encode(message: &Message, version: i16, value: &Value) -> Result<Vec<u8>, InterpretError> {
    Layout::new(message, version)
        .and_then(|layout| encode::encode(layout, value))
        .map_err(|fault| fault.in_message(message, version))
}

/// A message as Kafka's `JsonConverter` shows it. Print it with [`json_text`]. Unknown tagged fields are not in it.
pub fn to_json(message: &Message, version: i16, value: &Value) -> Result<serde_json::Value, InterpretError> {
    Layout::new(message, version)
        .and_then(|layout| json::to_json(layout, value))
        .map_err(|fault| fault.in_message(message, version))
}

/// The reverse of [`to_json`]. A tagged field may be missing and has its default then; every other field of the version
/// must be there.
pub fn from_json(message: &Message, version: i16, json: &serde_json::Value) -> Result<Value, InterpretError> {
    Layout::new(message, version)
        .and_then(|layout| json::from_json(layout, json))
        .map_err(|fault| fault.in_message(message, version))
}

/// A message with every field at its default.
pub fn default_value(message: &Message, version: i16) -> Result<Value, InterpretError> {
    Layout::new(message, version)
        .map(|layout| Value::Struct(layout.default_struct(0)))
        .map_err(|fault| fault.in_message(message, version))
}

/// The message's struct `index` with every field at its default.
pub fn default_struct(message: &Message, version: i16, index: usize) -> Result<StructValue, InterpretError> {
    Layout::new(message, version)
        .map(|layout| layout.default_struct(index))
        .map_err(|fault| fault.in_message(message, version))
}

impl Value {
    /// The value's kind, for errors.
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Uuid(_) => "a uuid",
            Self::String(_) => "a string",
            Self::Bytes(_) => "bytes",
            Self::Array(_) => "an array",
            Self::Struct(_) => "a struct",
        }
    }
}

/// Width in bytes, least and greatest value of an integer type; `None` for other types.
pub(crate) fn integer(ty: &Type) -> Option<(usize, i64, i64)> {
    Some(match ty {
        Type::Int8 => (1, i8::MIN.into(), i8::MAX.into()),
        Type::Int16 => (2, i16::MIN.into(), i16::MAX.into()),
        Type::Uint16 => (2, 0, u16::MAX.into()),
        Type::Int32 => (4, i32::MIN.into(), i32::MAX.into()),
        Type::Uint32 => (4, 0, u32::MAX.into()),
        Type::Int64 => (8, i64::MIN, i64::MAX),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
