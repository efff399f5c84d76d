//! Why a coordinator does not answer.

use std::sync::Arc;

use super::seats::Full;
use crate::log::partition_log::AppendError;

/// Why a coordinator did not answer. Only after [`CoordinatorError::Lost`] is it not known whether it has changed
/// something; it has not otherwise.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum CoordinatorError {
    #[error("this broker has no such partition of the coordinator's topic")]
    NotHere,
    #[error("the coordinator still reads its log")]
    Loading,
    #[error("nothing new comes into being: {0}")]
    Full(#[from] Full),
    #[error("a batch of {size} bytes is larger than the coordinator's log takes, {limit}")]
    TooLarge { size: usize, limit: usize },
    #[error("a record cannot be written: {0}")]
    Unwritable(String),
    #[error("the coordinator's log refuses a batch: {0}")]
    Append(Arc<AppendError>),
    #[error("what was written may be lost: {0}")]
    Lost(Arc<AppendError>),
}
