//! `OffsetDelete` (key 47): forgets committed offsets of topics that nobody in the group subscribes to any more.

use std::sync::Arc;

use super::{
    api::Answer,
    context::Context,
    coordinated::{answer, check_group},
    errors,
};
use crate::{
    auth::authorizer::{Operation, Resource},
    groups::error::GroupError,
    metadata::image::Topic,
    protocol::{
        error_code::ErrorCode,
        messages::{
            OffsetDeleteRequest, OffsetDeleteResponse,
            offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic},
        },
    },
};

/// Asks the group even if no partition is left to ask for: whether it is there is part of the answer.
pub async fn offset_delete(cx: &Context, request: OffsetDeleteRequest) -> Answer<OffsetDeleteResponse> {
    if let Err(error) = check_group(cx, Operation::Delete, &request.group_id) {
        return refused(error).into();
    }
    let mut asked = Vec::new();
    let topics = request.topics.iter().map(|topic| {
        let found = resolve(cx, &topic.name);
        let partitions = topic.partitions.iter().map(|partition| {
            let index = partition.partition_index;
            let error_code = match &found {
                Ok(topic) if topic.has_partition(index) => {
                    asked.push((Arc::clone(&topic.name), index));
                    ErrorCode::None
                }
                Ok(_) => ErrorCode::UnknownTopicOrPartition,
                Err(error) => *error,
            };
            OffsetDeleteResponsePartition { partition_index: index, error_code: error_code.code() }
        });
        OffsetDeleteResponseTopic { name: topic.name.clone(), partitions: partitions.collect() }
    });
    let response = OffsetDeleteResponse { topics: topics.collect(), ..OffsetDeleteResponse::default() };
    let id = request.group_id.as_str();
    let deletion = cx.groups().runtime().run(id, |group, _, out| group.delete_offsets(id, &asked, out));
    answer(deletion, move |outcome| match errors::group_answer(outcome) {
        Ok(outcomes) => with_outcomes(response, outcomes),
        Err(error) => refused(error),
    })
}

fn resolve(cx: &Context, name: &str) -> Result<Arc<Topic>, ErrorCode> {
    let allowed = cx.authorize(Operation::Read, Resource::Topic(name));
    allowed.map_err(|_| ErrorCode::TopicAuthorizationFailed)?;
    cx.broker.image().topic(name).cloned().ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// The partitions that have no error yet get the group's.
fn with_outcomes(mut response: OffsetDeleteResponse, outcomes: Vec<Result<(), GroupError>>) -> OffsetDeleteResponse {
    let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    let asked = partitions.filter(|partition| partition.error_code == ErrorCode::None.code());
    for (partition, outcome) in asked.zip(outcomes) {
        let error = outcome.map_or_else(|error| errors::group(&error), |()| ErrorCode::None);
        partition.error_code = error.code();
    }
    response
}

fn refused(error: ErrorCode) -> OffsetDeleteResponse {
    OffsetDeleteResponse { error_code: error.code(), ..OffsetDeleteResponse::default() }
}
