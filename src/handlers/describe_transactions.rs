//! `DescribeTransactions` (key 65): how the transactions of transactional ids stand.

use super::{api::Answer, context::Context, coordinated::answer_all, errors, repeated::repeated};
use crate::{
    auth::authorizer::{Operation, Resource},
    protocol::{
        error_code::ErrorCode,
        messages::{
            DescribeTransactionsRequest, DescribeTransactionsResponse,
            describe_transactions_response::{TopicData, TransactionState},
        },
        wire::StrBytes,
    },
    transactions::transaction_metadata::TransactionMetadata,
};

/// Stands for a time that is not there.
const NO_TIMESTAMP: i64 = -1;

/// Answers for each id. Of topics that the client may not see nothing is told. An id that is named more than once would
/// make the response many times as large as the request and all that is known.
pub async fn describe_transactions(
    cx: &Context,
    request: DescribeTransactionsRequest,
) -> Answer<DescribeTransactionsResponse> {
    let ids = request.transactional_ids;
    let repeated = repeated(&ids);
    let asked = ids.iter().map(|id| {
        let allowed = cx.authorize(Operation::Describe, Resource::TransactionalId(id));
        allowed.map_err(|_| ErrorCode::TransactionalIdAuthorizationFailed)?;
        if id.is_empty() || repeated.contains(id) {
            return Err(ErrorCode::InvalidRequest);
        }
        Ok(cx.transactions().runtime().run(id, |transaction, _, out| transaction.describe(out)))
    });
    let asked: Vec<_> = asked.collect();
    let cx = cx.clone();
    answer_all(asked, move |outcomes| {
        let states =
            ids.into_iter().zip(outcomes).map(|(id, outcome)| match outcome.and_then(errors::transaction_answer) {
                Ok(metadata) => state(&cx, id, &metadata),
                Err(error) => {
                    TransactionState { error_code: error.code(), transactional_id: id, ..TransactionState::default() }
                }
            });
        DescribeTransactionsResponse { transaction_states: states.collect(), ..DescribeTransactionsResponse::default() }
    })
}

fn state(cx: &Context, id: StrBytes, metadata: &TransactionMetadata) -> TransactionState {
    let is_visible = |topic: &str| cx.authorize(Operation::Describe, Resource::Topic(topic)).is_ok();
    let topics =
        metadata.partitions.topics().filter(|(topic, _)| is_visible(topic)).map(|(topic, partitions)| TopicData {
            topic: StrBytes::from(&**topic),
            partitions: partitions.iter().copied().collect(),
            ..TopicData::default()
        });
    TransactionState {
        transactional_id: id,
        transaction_state: StrBytes::from_static(metadata.state.name()),
        transaction_timeout_ms: metadata.timeout_ms,
        transaction_start_time_ms: metadata.started_at.unwrap_or(NO_TIMESTAMP),
        producer_id: metadata.producer.id,
        producer_epoch: metadata.producer.epoch,
        topics: topics.collect(),
        ..TransactionState::default()
    }
}
