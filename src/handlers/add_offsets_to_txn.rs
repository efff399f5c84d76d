//! `AddOffsetsToTxn` (key 25): the offsets of a group are to be committed with a transaction.

use super::{
    context::Context,
    coordinated::{check_transactional_id, fenced_in_version},
    transactional::{self, PATIENCE},
};
use crate::{
    auth::authorizer::{Operation, Resource},
    config::topic_name::GROUP_METADATA_TOPIC,
    protocol::{
        error_code::ErrorCode,
        ids::ProducerIdAndEpoch,
        messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse},
        transaction_version::TransactionVersion,
    },
    transactions::transaction_metadata::Partitions,
};

/// From this version on clients know that a producer can be shut out.
const FENCED_FROM: i16 = 2;

/// Adds the partition of `__consumer_offsets` that has the group's offsets.
pub async fn add_offsets_to_txn(cx: &Context, request: AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
    let error = match add(cx, &request).await {
        Ok(()) => ErrorCode::None,
        Err(error) => fenced_in_version(cx, FENCED_FROM, error),
    };
    AddOffsetsToTxnResponse { error_code: error.code(), ..AddOffsetsToTxnResponse::default() }
}

async fn add(cx: &Context, request: &AddOffsetsToTxnRequest) -> Result<(), ErrorCode> {
    let id = request.transactional_id.as_str();
    check_transactional_id(cx, id)?;
    // As in Kafka the group may have any id: what commits the offsets refuses an empty one.
    let allowed = cx.authorize(Operation::Read, Resource::Group(&request.group_id));
    allowed.map_err(|_| ErrorCode::GroupAuthorizationFailed)?;
    let partition = transactional::offsets_partition(cx, &request.group_id).await?;
    let producer = ProducerIdAndEpoch { id: request.producer_id, epoch: request.producer_epoch };
    let partitions = Partitions::from_iter([(GROUP_METADATA_TOPIC, partition)]);
    transactional::add(cx, id, producer, partitions, TransactionVersion::V0, PATIENCE).await
}
