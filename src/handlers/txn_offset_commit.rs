//! `TxnOffsetCommit` (key 28): how far a group has read, which counts once the transaction commits that says so.

use std::sync::Arc;

use super::{
    api::Answer,
    context::Context,
    coordinated::{answer, check_group, check_transactional_id},
    errors,
    new_offsets::{Committed, NewOffsets, asking, fill_in, resolve},
    transactional::{self, PATIENCE},
};
use crate::{
    auth::authorizer::Operation,
    config::topic_name::GROUP_METADATA_TOPIC,
    groups::error::GroupError,
    log::partition_log::TransactionGuard,
    protocol::{
        error_code::ErrorCode,
        ids::ProducerIdAndEpoch,
        messages::{
            TxnOffsetCommitRequest, TxnOffsetCommitResponse,
            txn_offset_commit_request::TxnOffsetCommitRequestTopic,
            txn_offset_commit_response::{TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic},
        },
        transaction_version::TransactionVersion,
    },
    transactions::transaction_metadata::Partitions,
};

/// From this version on clients survive it that the coordinator still loads (KAFKA-7296),
const LOADING_FROM: i16 = 2;
/// from this one they can abort a transaction after an error,
const ABORTABLE_FROM: i16 = 4;
/// from this one committing offsets makes them part of the transaction,
const ADDS_FROM: i16 = 5;
/// and from this one a topic is named by its id alone,
const TOPIC_IDS_FROM: i16 = 6;
/// and a group that is not there, or a member that is behind, is told from another generation.
const NOT_FOUND_FROM: i16 = 6;
/// Stands for nothing where a number is asked for.
const NONE: i64 = -1;

/// Writes the offsets, which nobody sees before the transaction commits.
pub async fn txn_offset_commit(cx: &Context, request: TxnOffsetCommitRequest) -> Answer<TxnOffsetCommitResponse> {
    let allowed = check(cx, &request);
    let mut offsets = NewOffsets::default();
    let topics = request.topics.iter().map(|topic| add(cx, &mut offsets, topic, allowed));
    let response = TxnOffsetCommitResponse { topics: topics.collect(), ..TxnOffsetCommitResponse::default() };
    let offsets = offsets.as_slice();
    if offsets.is_empty() {
        return response.into();
    }
    let version = cx.version;
    let producer = ProducerIdAndEpoch { id: request.producer_id, epoch: request.producer_epoch };
    let guard = match admit(cx, &request, producer).await {
        Ok(guard) => guard,
        Err(error) => return with_outcome(version, response, Err(error)).into(),
    };
    let id = request.group_id.as_str();
    let asking = asking(&request.member_id, request.group_instance_id.as_ref(), request.generation_id_or_member_epoch);
    let commit = cx.groups().runtime().run_in_transaction(id, producer, guard.as_ref(), |group, cx, out| {
        group.commit_offsets_in_transaction(cx, id, &asking, offsets, out)
    });
    answer(commit, move |outcome| with_outcome(version, response, errors::group_answer(outcome)))
}

fn check(cx: &Context, request: &TxnOffsetCommitRequest) -> Result<(), ErrorCode> {
    check_transactional_id(cx, &request.transactional_id)?;
    check_group(cx, Operation::Read, &request.group_id)
}

fn add(
    cx: &Context,
    offsets: &mut NewOffsets,
    topic: &TxnOffsetCommitRequestTopic,
    allowed: Result<(), ErrorCode>,
) -> TxnOffsetCommitResponseTopic {
    let id = (cx.version >= TOPIC_IDS_FROM).then_some(topic.topic_id);
    let found = allowed.and_then(|()| resolve(cx, id, &topic.name));
    let partitions = topic.partitions.iter().map(|partition| {
        let committed = Committed {
            partition: partition.partition_index,
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.committed_metadata.as_ref(),
            timestamp: NONE,
            retention_ms: NONE,
        };
        TxnOffsetCommitResponsePartition {
            partition_index: partition.partition_index,
            error_code: offsets.add(&found, &committed).code(),
            ..TxnOffsetCommitResponsePartition::default()
        }
    });
    TxnOffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: partitions.collect(),
        ..TxnOffsetCommitResponseTopic::default()
    }
}

/// Has the coordinator confirm that the group's offsets take part in the transaction, unless they are known to.
async fn admit(
    cx: &Context,
    request: &TxnOffsetCommitRequest,
    producer: ProducerIdAndEpoch,
) -> Result<Option<TransactionGuard>, ErrorCode> {
    let adds = cx.version >= ADDS_FROM;
    let version = if adds { TransactionVersion::V2 } else { TransactionVersion::V0 };
    let expected = cx.groups().runtime().expect_transaction(&request.group_id, producer, version);
    let (partition, Some(guard)) = expected.map_err(|error| errors::coordinator(&error))? else { return Ok(None) };
    let id = request.transactional_id.as_str();
    let confirmed = if adds {
        let partitions = Partitions::from_iter([(GROUP_METADATA_TOPIC, partition)]);
        transactional::add(cx, id, producer, partitions, version, PATIENCE).await
    } else {
        let named = [(Arc::from(GROUP_METADATA_TOPIC), partition)];
        let not_in_it = transactional::not_in_transaction(cx.version >= ABORTABLE_FROM);
        let verified = transactional::verify(cx, id, producer, &named).await;
        verified.and_then(|are_in_it| if are_in_it == [true] { Ok(()) } else { Err(not_in_it) })
    };
    confirmed.map_err(verification)?;
    Ok(Some(guard))
}

/// In words that clients of coordinators know.
fn verification(error: ErrorCode) -> ErrorCode {
    match errors::verification(error) {
        ErrorCode::NotEnoughReplicas => ErrorCode::CoordinatorNotAvailable,
        other => other,
    }
}

fn with_outcome(
    version: i16,
    mut response: TxnOffsetCommitResponse,
    outcome: Result<Vec<Result<(), GroupError>>, ErrorCode>,
) -> TxnOffsetCommitResponse {
    let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    let outcome = outcome.map_err(|error| in_version(version, error));
    fill_in(partitions.map(|partition| &mut partition.error_code), outcome);
    response
}

fn in_version(version: i16, error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::CoordinatorLoadInProgress if version < LOADING_FROM => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::GroupIdNotFound | ErrorCode::StaleMemberEpoch if version < NOT_FOUND_FROM => {
            ErrorCode::IllegalGeneration
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_clients_are_told_what_they_know() {
        let errors = [1, 2, 5, 6].map(|version| {
            use ErrorCode::{CoordinatorLoadInProgress, GroupIdNotFound, StaleMemberEpoch};
            [CoordinatorLoadInProgress, GroupIdNotFound, StaleMemberEpoch]
                .map(|error| in_version(version, error).code())
        });
        assert_eq!(errors, [[15, 22, 22], [14, 22, 22], [14, 22, 22], [14, 69, 113]]);
        let not_in_it = |version| transactional::not_in_transaction(version >= ABORTABLE_FROM).code();
        assert_eq!([3, 4].map(not_in_it), [48, 120]);
    }
}
