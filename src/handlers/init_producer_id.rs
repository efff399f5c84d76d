//! `InitProducerId` (key 22): an id for an idempotent producer, or the one of a transactional id in a new epoch.

use std::time::Duration;

use super::{
    context::Context,
    coordinated::{check_transactional_id, fenced_in_version},
    errors,
};
use crate::{
    auth::authorizer::{Operation, Resource},
    protocol::{
        error_code::ErrorCode,
        ids::ProducerIdAndEpoch,
        messages::{InitProducerIdRequest, InitProducerIdResponse},
        wire::StrBytes,
    },
    transactions::transaction::Initialisation,
};

/// What stands for a producer id or an epoch that a client does not have.
const NO_ID: i64 = -1;
const NO_EPOCH: i16 = -1;
/// From this version on clients know that a producer can be shut out.
const FENCED_FROM: i16 = 4;

/// Answers with a producer id and epoch. With a transactional id every earlier instance is shut out first, and what it left
/// open is aborted: until that is done clients are told to come again.
pub async fn init_producer_id(cx: &Context, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let producer = match &request.transactional_id {
        Some(id) => transactional(cx, id, &request).await,
        None => idempotent(cx).await,
    };
    match producer {
        Ok(ProducerIdAndEpoch { id, epoch }) => {
            InitProducerIdResponse { producer_id: id, producer_epoch: epoch, ..InitProducerIdResponse::default() }
        }
        Err(error) => InitProducerIdResponse {
            error_code: fenced_in_version(cx, FENCED_FROM, error).code(),
            producer_id: NO_ID,
            producer_epoch: NO_EPOCH,
            ..InitProducerIdResponse::default()
        },
    }
}

async fn idempotent(cx: &Context) -> Result<ProducerIdAndEpoch, ErrorCode> {
    let allowed = cx.authorize(Operation::IdempotentWrite, Resource::Cluster);
    allowed.map_err(|_| ErrorCode::ClusterAuthorizationFailed)?;
    let id = cx.broker.new_producer_id().await.map_err(|error| errors::producer_id(&error))?;
    Ok(ProducerIdAndEpoch::first(id))
}

async fn transactional(
    cx: &Context,
    id: &StrBytes,
    request: &InitProducerIdRequest,
) -> Result<ProducerIdAndEpoch, ErrorCode> {
    check_transactional_id(cx, id)?;
    let expected = expected(request)?;
    let max_timeout = cx.transactions().runtime().settings().max_timeout;
    check_timeout(request.transaction_timeout_ms, max_timeout)?;
    let init = Initialisation { timeout_ms: request.transaction_timeout_ms, expected };
    errors::producer_answer(cx.transactions().init_producer(id, init).await)
}

/// What the client was before, which it has to say whole or not at all.
fn expected(request: &InitProducerIdRequest) -> Result<Option<ProducerIdAndEpoch>, ErrorCode> {
    match (request.producer_id, request.producer_epoch) {
        (NO_ID, NO_EPOCH) => Ok(None),
        (NO_ID, _) | (_, NO_EPOCH) => Err(ErrorCode::InvalidRequest),
        (id, epoch) => Ok(Some(ProducerIdAndEpoch { id, epoch })),
    }
}

fn check_timeout(timeout_ms: i32, max: Duration) -> Result<(), ErrorCode> {
    let timeout = u64::try_from(timeout_ms).ok().filter(|timeout| *timeout > 0).map(Duration::from_millis);
    match timeout {
        Some(timeout) if timeout <= max => Ok(()),
        Some(_) | None => Err(ErrorCode::InvalidTransactionTimeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_producer_says_what_it_was_whole_or_not_at_all() {
        let request = |producer_id, producer_epoch| InitProducerIdRequest {
            producer_id,
            producer_epoch,
            ..InitProducerIdRequest::default()
        };
        assert_eq!(expected(&request(-1, -1)), Ok(None));
        assert_eq!(expected(&request(7, 3)), Ok(Some(ProducerIdAndEpoch { id: 7, epoch: 3 })));
        for (id, epoch) in [(7, -1), (-1, 3)] {
            assert_eq!(expected(&request(id, epoch)), Err(ErrorCode::InvalidRequest));
        }
    }

    #[test]
    fn time_outs_are_more_than_nothing_and_no_more_than_the_most() {
        let max = Duration::from_mins(1);
        for good in [1, 60_000] {
            assert_eq!(check_timeout(good, max), Ok(()));
        }
        for bad in [i32::MIN, -1, 0, 60_001, i32::MAX] {
            assert_eq!(check_timeout(bad, max), Err(ErrorCode::InvalidTransactionTimeout));
        }
    }
}
