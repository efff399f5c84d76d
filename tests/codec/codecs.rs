//! The generated codec of every compiled message, by the message's name.

use std::ops::RangeInclusive;

use bytes::Bytes;
use ottla::protocol::{
    message::Message,
    wire::{DecodeError, Reader},
};

/// A generated message, its type left aside.
pub(crate) struct Codec {
    pub(crate) name: &'static str,
    pub(crate) versions: RangeInclusive<i16>,
    pub(crate) recode: fn(&Bytes, i16) -> Result<Recoded, DecodeError>,
}

/// What becomes of bytes that are decoded and encoded again.
pub(crate) struct Recoded {
    pub(crate) bytes: Bytes,
    /// How many bytes the message took of the input.
    pub(crate) read: usize,
    /// How many bytes `encoded_len` promised.
    pub(crate) promised: usize,
}

macro_rules! codecs {
    ($($message:ident)*) => {
        &[$(Codec {
            name: ottla::protocol::messages::$message::NAME,
            versions: ottla::protocol::messages::$message::LOWEST_VERSION
                ..=ottla::protocol::messages::$message::HIGHEST_VERSION,
            recode: recode::<ottla::protocol::messages::$message>,
        }),*]
    };
}

static CODECS: &[Codec] = ottla::for_each_message!(codecs);

/// All of them.
pub(crate) fn codecs() -> &'static [Codec] {
    CODECS
}

/// The codec of a message, if it is compiled.
pub(crate) fn codec(name: &str) -> Option<&'static Codec> {
    CODECS.iter().find(|codec| codec.name == name)
}

fn recode<M: Message>(bytes: &Bytes, version: i16) -> Result<Recoded, DecodeError> {
    let mut r = Reader::new(bytes);
    let message = M::decode(&mut r, version)?;
    let promised = message.encoded_len(version).expect("what was read can be counted");
    Ok(Recoded { bytes: message.to_bytes(version).expect("and written"), read: r.position(), promised })
}
