//! The primitives of Kafka's protocol: integers, varints, strings, arrays, tagged fields, and every limit on them.
//!
//! The generated messages are written in terms of these and nothing else. No length is trusted: it is held against the
//! bytes that are there before anything is allocated.

mod error;
mod reader;
mod str_bytes;
mod tagged_fields;
mod writer;

pub use error::{DecodeError, DecodeReason, EncodeError, EncodeReason, InField};
pub use reader::Reader;
pub use str_bytes::StrBytes;
pub use tagged_fields::UnknownTaggedFields;
pub use writer::Writer;
