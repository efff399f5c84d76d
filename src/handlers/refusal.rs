//! Why a part of a request is not done, while others are.

use crate::protocol::{error_code::ErrorCode, wire::StrBytes};

/// What clients are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub error: ErrorCode,
    /// The words, where there are some.
    pub message: Option<StrBytes>,
}

impl Refusal {
    /// With words.
    pub fn new(error: ErrorCode, message: impl Into<StrBytes>) -> Self {
        Self { error, message: Some(message.into()) }
    }

    /// Without, as Kafka answers it.
    pub fn wordless(error: ErrorCode) -> Self {
        Self { error, message: None }
    }

    /// Code and words of an outcome.
    pub fn answer(outcome: Result<(), Self>) -> (i16, Option<StrBytes>) {
        match outcome {
            Ok(()) => (ErrorCode::None.code(), None),
            Err(refusal) => (refusal.error.code(), refusal.message),
        }
    }
}
