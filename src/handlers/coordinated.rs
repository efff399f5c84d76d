//! Answers of coordinators, made into responses: at once where nothing has to be waited for.

use super::{api::Answer, context::Context};
use crate::{
    auth::authorizer::{Operation, Resource},
    coordinator::{error::CoordinatorError, pending::Pending},
    network::Shutdown,
    protocol::error_code::ErrorCode,
};

/// Whether the client may do this with a group that has an id.
pub fn check_group(cx: &Context, operation: Operation, id: &str) -> Result<(), ErrorCode> {
    let allowed = cx.authorize(operation, Resource::Group(id));
    allowed.map_err(|_| ErrorCode::GroupAuthorizationFailed)?;
    if id.is_empty() { Err(ErrorCode::InvalidGroupId) } else { Ok(()) }
}

/// Whether the client may write as the transactional producer of this id.
pub fn check_transactional_id(cx: &Context, id: &str) -> Result<(), ErrorCode> {
    let allowed = cx.authorize(Operation::Write, Resource::TransactionalId(id));
    allowed.map_err(|_| ErrorCode::TransactionalIdAuthorizationFailed)?;
    if id.is_empty() { Err(ErrorCode::InvalidRequest) } else { Ok(()) }
}

/// Clients of versions before `known_from` do not know the error of a producer that has been shut out.
pub fn fenced_in_version(cx: &Context, known_from: i16, error: ErrorCode) -> ErrorCode {
    let is_unknown = error == ErrorCode::ProducerFenced && cx.version < known_from;
    if is_unknown { ErrorCode::InvalidProducerEpoch } else { error }
}

/// A response of what a coordinator answers.
pub fn answer<T, R>(
    pending: Pending<T>,
    response: impl FnOnce(Result<T, CoordinatorError>) -> R + Send + 'static,
) -> Answer<R>
where
    T: Send + 'static,
    R: 'static,
{
    match pending.now() {
        Ok(outcome) => Answer::Now(response(outcome)),
        Err(pending) => Answer::Later(Box::pin(async move { Some(response(pending.done().await)) })),
    }
}

/// The same for what waits for other members too. It gives up when the shutdown begins: the group is then as gone as with a
/// coordinator that moves, and its members ask for that one.
pub fn answer_of_group<T, R>(
    cx: &Context,
    pending: Pending<T>,
    response: impl FnOnce(Result<T, CoordinatorError>) -> R + Send + 'static,
) -> Answer<R>
where
    T: Send + 'static,
    R: 'static,
{
    match pending.now() {
        Ok(outcome) => Answer::Now(response(outcome)),
        Err(pending) => {
            let shutdown = cx.shutdown().clone();
            Answer::Later(Box::pin(async move { Some(response(until(&shutdown, pending).await)) }))
        }
    }
}

/// The answer, unless the shutdown begins first.
pub async fn until_shutdown<T>(cx: &Context, pending: Pending<T>) -> Result<T, CoordinatorError> {
    until(cx.shutdown(), pending).await
}

async fn until<T>(shutdown: &Shutdown, pending: Pending<T>) -> Result<T, CoordinatorError> {
    tokio::select! {
        biased;
        outcome = pending.done() => outcome,
        () = shutdown.begun() => Err(CoordinatorError::NotHere),
    }
}

/// A response of what coordinators answer to several questions, some of which may not have been asked: in their order.
pub fn answer_all<T, E, R>(
    asked: Vec<Result<Pending<T>, E>>,
    response: impl FnOnce(Vec<Result<Result<T, CoordinatorError>, E>>) -> R + Send + 'static,
) -> Answer<R>
where
    T: Send + 'static,
    E: Send + 'static,
    R: 'static,
{
    let answers: Vec<_> = asked.into_iter().map(|asked| asked.map(Pending::now)).collect();
    if answers.iter().all(|answer| !matches!(answer, Ok(Err(_)))) {
        let outcomes = answers.into_iter().filter_map(|answer| answer.map(Result::ok).transpose());
        return Answer::Now(response(outcomes.collect()));
    }
    Answer::Later(Box::pin(async move {
        let mut outcomes = Vec::with_capacity(answers.len());
        for answer in answers {
            outcomes.push(match answer {
                Err(error) => Err(error),
                Ok(Ok(outcome)) => Ok(outcome),
                Ok(Err(pending)) => Ok(pending.done().await),
            });
        }
        Some(response(outcomes))
    }))
}
