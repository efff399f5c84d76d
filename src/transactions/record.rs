//! The records of `__transaction_state` (`TransactionLog`, `TransactionCoordinatorRecordSerde`).
//!
//! | part  | encoding                                                                                |
//! |-------|-----------------------------------------------------------------------------------------|
//! | key   | the record's type (int16, 0), then `TransactionLogKey` version 0                         |
//! | value | its version (int16), then `TransactionLogValue`: 1 under `transaction.version` 1 and 2   |
//!
//! No value takes the id away. A type that no release up to 4.4.0 knows is passed over.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use bytes::Bytes;

use super::state::State;
use crate::{
    coordinator::{machine, versioned},
    protocol::{
        messages::{TransactionLogKey, TransactionLogValue},
        transaction_version::TransactionVersion,
        wire::{DecodeError, DecodeReason, EncodeError, Reader, StrBytes},
    },
};

const TRANSACTION: i16 = 0;

/// A record of `__transaction_state`: what is to be known of a transactional id, or that it is gone.
#[derive(Clone, Debug, PartialEq)]
pub struct TransactionRecord {
    /// The id.
    pub key: TransactionLogKey,
    /// The rest, with the version that it is written in.
    pub value: Option<(i16, TransactionLogValue)>,
}

impl TransactionRecord {
    /// What is known of an id, in a version of the value.
    #[must_use]
    pub fn new(id: &str, version: i16, value: TransactionLogValue) -> Self {
        Self { key: key(id), value: Some((version, value)) }
    }

    /// An id is gone.
    #[must_use]
    pub fn tombstone(id: &str) -> Self {
        Self { key: key(id), value: None }
    }
}

fn key(id: &str) -> TransactionLogKey {
    TransactionLogKey { transactional_id: StrBytes::from(id) }
}

/// The version of values under a level of the feature: later releases can add to 1.
#[must_use]
pub const fn value_version(version: TransactionVersion) -> i16 {
    match version {
        TransactionVersion::V0 => 0,
        TransactionVersion::V1 | TransactionVersion::V2 => 1,
    }
}

impl machine::Record for TransactionRecord {
    fn id(&self) -> &str {
        &self.key.transactional_id
    }

    fn encode(&self) -> Result<(Bytes, Option<Bytes>), EncodeError> {
        let value = self.value.as_ref().map(|(version, value)| versioned::encode_value(*version, value)).transpose()?;
        Ok((versioned::encode_key(TRANSACTION, &self.key)?, value))
    }

    fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Option<Self>, DecodeError> {
        let mut r = Reader::new(key);
        if r.int16()? != TRANSACTION {
            return Ok(None);
        }
        let key = versioned::decode_key(&mut r)?;
        Ok(Some(Self { key, value: value.map(decoded).transpose()? }))
    }
}

fn decoded(value: &Bytes) -> Result<(i16, TransactionLogValue), DecodeError> {
    let (version, value): (i16, TransactionLogValue) = versioned::decode_value(value)?;
    match State::from_code(value.transaction_status).filter(|state| state.is_written()) {
        Some(_) => Ok((version, value)),
        None => Err(DecodeError::new(0, DecodeReason::Unknown(value.transaction_status.into()))),
    }
}

#[cfg(test)]
pub(super) mod tests;
