//! `OffsetCommit` (key 8): how far a group has read.

use super::{
    api::Answer,
    context::Context,
    coordinated::answer,
    errors,
    new_offsets::{Committed, NewOffsets, asking, fill_in, resolve},
};
use crate::{
    auth::authorizer::{Operation, Resource},
    coordinator::error::CoordinatorError,
    groups::error::GroupError,
    protocol::{
        error_code::ErrorCode,
        messages::{
            OffsetCommitRequest, OffsetCommitResponse,
            offset_commit_request::OffsetCommitRequestTopic,
            offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic},
        },
    },
};

/// From this version on a group that is not there is told from one in another generation.
const NOT_FOUND_FROM: i16 = 9;
/// From this version on a topic is named by its id alone.
const TOPIC_IDS_FROM: i16 = 10;

/// What a group answers: for each partition, or for all.
type Outcome = Result<Result<Vec<Result<(), GroupError>>, GroupError>, CoordinatorError>;

/// Commits what there is a partition for; the rest is refused without asking the group.
pub async fn offset_commit(cx: &Context, request: OffsetCommitRequest) -> Answer<OffsetCommitResponse> {
    let denied = cx.authorize(Operation::Read, Resource::Group(&request.group_id)).is_err();
    let mut offsets = NewOffsets::default();
    let topics = request.topics.iter().map(|topic| add(cx, &mut offsets, topic, denied, request.retention_time_ms));
    let response = OffsetCommitResponse { topics: topics.collect(), ..OffsetCommitResponse::default() };
    let offsets = offsets.as_slice();
    if offsets.is_empty() {
        return response.into();
    }
    let id = request.group_id.as_str();
    let asking = asking(&request.member_id, request.group_instance_id.as_ref(), request.generation_id_or_member_epoch);
    let commit = cx.groups().runtime().run(id, |group, cx, out| group.commit_offsets(cx, id, &asking, offsets, out));
    let version = cx.version;
    answer(commit, move |outcome| with_outcome(version, response, outcome))
}

fn add(
    cx: &Context,
    offsets: &mut NewOffsets,
    topic: &OffsetCommitRequestTopic,
    denied: bool,
    retention_ms: i64,
) -> OffsetCommitResponseTopic {
    let id = (cx.version >= TOPIC_IDS_FROM).then_some(topic.topic_id);
    let found = if denied { Err(ErrorCode::GroupAuthorizationFailed) } else { resolve(cx, id, &topic.name) };
    let partitions = topic.partitions.iter().map(|partition| {
        let committed = Committed {
            partition: partition.partition_index,
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.committed_metadata.as_ref(),
            timestamp: partition.commit_timestamp,
            retention_ms,
        };
        OffsetCommitResponsePartition {
            partition_index: partition.partition_index,
            error_code: offsets.add(&found, &committed).code(),
            ..OffsetCommitResponsePartition::default()
        }
    });
    OffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: partitions.collect(),
        ..OffsetCommitResponseTopic::default()
    }
}

fn with_outcome(version: i16, mut response: OffsetCommitResponse, outcome: Outcome) -> OffsetCommitResponse {
    let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    let outcome = errors::group_answer(outcome).map_err(|error| {
        let is_unknown = error == ErrorCode::GroupIdNotFound && version < NOT_FOUND_FROM;
        if is_unknown { ErrorCode::IllegalGeneration } else { error }
    });
    fill_in(partitions.map(|partition| &mut partition.error_code), outcome);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_clients_are_told_of_another_generation_where_there_is_no_group() {
        let error_of = |version| {
            let partitions = vec![OffsetCommitResponsePartition::default()];
            let topic = OffsetCommitResponseTopic { partitions, ..OffsetCommitResponseTopic::default() };
            let response = OffsetCommitResponse { topics: vec![topic], ..OffsetCommitResponse::default() };
            let outcome = Ok(Err(GroupError::GroupIdNotFound("g".to_owned())));
            with_outcome(version, response, outcome).topics[0].partitions[0].error_code
        };
        assert_eq!([8, 9].map(error_of), [22, 69]);
    }
}
