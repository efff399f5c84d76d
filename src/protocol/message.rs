//! What every generated message can do, and what ties a request to its answer.

use std::fmt::Debug;

use bytes::Bytes;

use super::{
    messages::ApiKey,
    wire::{DecodeError, DecodeReason, EncodeError, EncodeReason, Reader, Writer},
};

/// A message of the protocol, in the versions that this broker uses.
pub trait Message: Clone + Debug + Default + PartialEq + Send + Sized + 'static {
    /// The schema's name.
    const NAME: &'static str;
    /// The lowest version that this type can hold.
    const LOWEST_VERSION: i16;
    /// The highest.
    const HIGHEST_VERSION: i16;

    /// Reads the fields. The version is one of those above: [`decode`](Self::decode) sees to that.
    fn read(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError>;

    /// Writes the fields. The version is one of those above: [`encode`](Self::encode) sees to that.
    fn write(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError>;

    /// Whether this type can hold `version`.
    #[must_use]
    fn has_version(version: i16) -> bool {
        (Self::LOWEST_VERSION..=Self::HIGHEST_VERSION).contains(&version)
    }

    /// Reads a message; what follows it is left alone.
    fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::has_version(version) {
            let (lowest, highest) = (Self::LOWEST_VERSION, Self::HIGHEST_VERSION);
            let reason = DecodeReason::Version { version, lowest, highest };
            return Err(DecodeError::new(r.position(), reason).in_message(Self::NAME, version));
        }
        Self::read(r, version).map_err(|error| error.in_message(Self::NAME, version))
    }

    /// Reads a message that is all of `bytes`.
    fn decode_all(bytes: &Bytes, version: i16) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let message = Self::decode(&mut r, version)?;
        r.finish().map_err(|error| error.in_message(Self::NAME, version))?;
        Ok(message)
    }

    /// Appends the message to `w`. After an error, what `w` holds is of no use.
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::has_version(version) {
            let reason = EncodeReason::Version { lowest: Self::LOWEST_VERSION, highest: Self::HIGHEST_VERSION };
            return Err(EncodeError::new(reason).in_message(Self::NAME, version));
        }
        self.write(w, version).map_err(|error| error.in_message(Self::NAME, version))
    }

    /// The message's bytes.
    fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut w = Writer::new();
        self.encode(&mut w, version)?;
        Ok(w.into_bytes())
    }

    /// How many bytes [`encode`](Self::encode) writes.
    fn encoded_len(&self, version: i16) -> Result<usize, EncodeError> {
        let mut w = Writer::counting();
        self.encode(&mut w, version)?;
        Ok(w.len())
    }
}

/// A message that a client sends.
pub trait Request: Message {
    /// The API.
    const KEY: ApiKey;
    /// What it is answered with.
    type Response: Message;
}
