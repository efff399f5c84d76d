//! An answer on its way: it may have to be decided yet, and then to become durable.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::error::CoordinatorError;
use crate::log::partition_log::PartitionLog;

/// An answer, and what has to be durable before anybody may learn of it.
pub(super) struct Answer<T> {
    pub(super) result: Result<T, CoordinatorError>,
    /// Everything below this offset.
    pub(super) after: i64,
}

impl<T> Answer<T> {
    pub(super) fn refused(error: CoordinatorError) -> Self {
        Self { result: Err(error), after: 0 }
    }
}

/// What will be answered. What is asked for has taken effect already; dropping this only means that nobody listens.
pub struct Pending<T>(State<T>);

enum State<T> {
    Decided(Answer<T>, Option<Arc<PartitionLog>>),
    Undecided(oneshot::Receiver<Answer<T>>, Arc<PartitionLog>),
}

impl<T> Pending<T> {
    pub(super) fn refused(error: CoordinatorError) -> Self {
        Self(State::Decided(Answer::refused(error), None))
    }

    pub(super) fn decided(answer: Answer<T>, log: &Arc<PartitionLog>) -> Self {
        let is_due = answer.result.is_err() || log.high_watermark() >= answer.after;
        if is_due { Self(State::Decided(answer, None)) } else { Self(State::Decided(answer, Some(Arc::clone(log)))) }
    }

    pub(super) fn undecided(answer: oneshot::Receiver<Answer<T>>, log: &Arc<PartitionLog>) -> Self {
        Self(State::Undecided(answer, Arc::clone(log)))
    }

    /// The answer, if nothing has to be waited for.
    pub fn now(self) -> Result<Result<T, CoordinatorError>, Self> {
        match self.0 {
            State::Decided(answer, None) => Ok(answer.result),
            State::Decided(answer, Some(log)) => {
                // It will be waited for.
                log.hurry();
                Err(Self(State::Decided(answer, Some(log))))
            }
            undecided @ State::Undecided(..) => Err(Self(undecided)),
        }
    }

    /// Whether what was asked for was done, for somebody who tells nobody: it may not be durable. `None` while it is not
    /// decided.
    pub fn is_done(self) -> Option<Result<(), CoordinatorError>> {
        match self.0 {
            State::Decided(answer, _) => Some(answer.result.map(drop)),
            State::Undecided(..) => None,
        }
    }

    /// Waits for the answer.
    pub async fn done(self) -> Result<T, CoordinatorError> {
        let (answer, log) = match self.0 {
            State::Decided(answer, None) => return answer.result,
            State::Decided(answer, Some(log)) => (answer, log),
            // It is gone where the coordinator is: its topic was deleted.
            State::Undecided(answer, log) => (answer.await.map_err(|_| CoordinatorError::NotHere)?, log),
        };
        let value = answer.result?;
        log.committed(answer.after).await.map_err(|error| CoordinatorError::Lost(Arc::new(error)))?;
        Ok(value)
    }
}
