//! Keys and values of coordinators' records: a number, then a message. In front of a key it is the record's type, in front
//! of a value the version.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use bytes::Bytes;

use crate::protocol::{
    message::Message,
    wire::{DecodeError, EncodeError, Reader, Writer},
};

/// The bytes of a key.
pub fn encode_key(record_type: i16, key: &impl Message) -> Result<Bytes, EncodeError> {
    prefixed(record_type, KEY_VERSION, key)
}

/// The bytes of a value, in a version.
pub fn encode_value(version: i16, value: &impl Message) -> Result<Bytes, EncodeError> {
    prefixed(version, version, value)
}

/// The key that follows its type.
pub fn decode_key<K: Message>(r: &mut Reader<'_>) -> Result<K, DecodeError> {
    K::decode(r, KEY_VERSION)
}

/// A value, and its version. What follows the message is left alone, as Kafka leaves it.
pub fn decode_value<V: Message>(value: &Bytes) -> Result<(i16, V), DecodeError> {
    let mut r = Reader::new(value);
    let version = r.int16()?;
    Ok((version, V::decode(&mut r, version)?))
}

/// Every key there is.
const KEY_VERSION: i16 = 0;

fn prefixed(prefix: i16, version: i16, message: &impl Message) -> Result<Bytes, EncodeError> {
    let mut w = Writer::new();
    w.int16(prefix)?;
    message.encode(&mut w, version)?;
    Ok(w.into_bytes())
}
