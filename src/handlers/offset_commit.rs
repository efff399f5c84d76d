//! `OffsetCommit` (key 8): how far a group has read.

use std::sync::Arc;

use super::{api::Answer, context::Context, coordinated::answer, errors};
use crate::{
    auth::{Operation, Resource},
    coordinator::error::CoordinatorError,
    groups::{
        error::GroupError,
        group::{Asking, NewOffset},
    },
    metadata::image::Topic,
    protocol::{
        error_code::ErrorCode,
        messages::{
            OffsetCommitRequest, OffsetCommitResponse,
            offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
            offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic},
        },
        wire::StrBytes,
    },
};

/// From this version on a group that is not there is told from one in another generation.
const NOT_FOUND_FROM: i16 = 9;
/// From this version on a topic is named by its id alone.
const TOPIC_IDS_FROM: i16 = 10;
/// Stands for nothing where a number is asked for.
const NONE: i64 = -1;

/// What a group answers: for each partition, or for all.
type Outcome = Result<Result<Vec<Result<(), GroupError>>, GroupError>, CoordinatorError>;

/// Commits what there is a partition for; the rest is refused without asking the group.
pub async fn offset_commit(cx: &Context, request: OffsetCommitRequest) -> Answer<OffsetCommitResponse> {
    let denied = cx.authorize(Operation::Read, Resource::Group(&request.group_id)).is_err();
    let mut offsets = Vec::new();
    let mut metadata = Metadata::default();
    let topics = request.topics.iter().map(|topic| {
        let found = if denied { Err(ErrorCode::GroupAuthorizationFailed) } else { resolve(cx, topic) };
        let partitions = topic.partitions.iter().map(|partition| {
            let offset = found
                .as_ref()
                .map_err(|error| *error)
                .and_then(|topic| new_offset(topic, partition, request.retention_time_ms, &mut metadata));
            let error = offset.map_or_else(
                |error| error,
                |offset| {
                    offsets.push(offset);
                    ErrorCode::None
                },
            );
            partition_response(partition.partition_index, error)
        });
        OffsetCommitResponseTopic {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions: partitions.collect(),
            ..OffsetCommitResponseTopic::default()
        }
    });
    let response = OffsetCommitResponse { topics: topics.collect(), ..OffsetCommitResponse::default() };
    if offsets.is_empty() {
        return response.into();
    }
    let (id, asking) = (request.group_id.as_str(), asking(&request));
    let commit = cx.groups().runtime().run(id, |group, cx, out| group.commit_offsets(cx, id, &asking, &offsets, out));
    let version = cx.version;
    answer(commit, move |outcome| with_outcome(version, response, outcome))
}

fn resolve(cx: &Context, topic: &OffsetCommitRequestTopic) -> Result<Arc<Topic>, ErrorCode> {
    let image = cx.broker.image();
    let is_named = cx.version < TOPIC_IDS_FROM;
    let found = if is_named { image.topic(&topic.name) } else { image.topic_by_id(topic.topic_id) };
    let name = match found {
        None if !is_named => return Err(ErrorCode::UnknownTopicId),
        None => topic.name.as_str(),
        Some(found) => &found.name,
    };
    let allowed = cx.authorize(Operation::Read, Resource::Topic(name));
    allowed.map_err(|_| ErrorCode::TopicAuthorizationFailed)?;
    found.cloned().ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// The texts that were copied out of the frame. One that comes again and again, as the empty one does, is kept once.
#[derive(Default)]
struct Metadata {
    last: Arc<str>,
}

impl Metadata {
    fn copied(&mut self, text: Option<&StrBytes>) -> Arc<str> {
        let text = text.map(StrBytes::as_str).unwrap_or_default();
        if *self.last != *text {
            self.last = Arc::from(text);
        }
        Arc::clone(&self.last)
    }
}

fn new_offset(
    topic: &Topic,
    partition: &OffsetCommitRequestPartition,
    retention_ms: i64,
    metadata: &mut Metadata,
) -> Result<NewOffset, ErrorCode> {
    if !topic.has_partition(partition.partition_index) {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    Ok(NewOffset {
        topic: Arc::clone(&topic.name),
        topic_id: Some(topic.id),
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: Some(partition.committed_leader_epoch).filter(|epoch| i64::from(*epoch) != NONE),
        metadata: metadata.copied(partition.committed_metadata.as_ref()),
        commit_timestamp: Some(partition.commit_timestamp).filter(|timestamp| *timestamp != NONE),
        retention_ms: Some(retention_ms).filter(|retention| *retention != NONE),
    })
}

fn asking(request: &OffsetCommitRequest) -> Asking {
    Asking {
        member_id: Some(&request.member_id).filter(|id| !id.is_empty()).map(Arc::from),
        group_instance_id: request.group_instance_id.as_ref().map(Arc::from),
        generation: Some(request.generation_id_or_member_epoch).filter(|generation| *generation >= 0),
    }
}

fn partition_response(partition_index: i32, error: ErrorCode) -> OffsetCommitResponsePartition {
    OffsetCommitResponsePartition {
        partition_index,
        error_code: error.code(),
        ..OffsetCommitResponsePartition::default()
    }
}

/// The partitions that have no error yet get the group's.
fn with_outcome(version: i16, mut response: OffsetCommitResponse, outcome: Outcome) -> OffsetCommitResponse {
    let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    let asked = partitions.filter(|partition| partition.error_code == ErrorCode::None.code());
    match errors::group_answer(outcome) {
        Ok(outcomes) => {
            for (partition, outcome) in asked.zip(outcomes) {
                let error = outcome.map_or_else(|error| errors::group(&error), |()| ErrorCode::None);
                partition.error_code = error.code();
            }
        }
        Err(error) => {
            let is_unknown = error == ErrorCode::GroupIdNotFound && version < NOT_FOUND_FROM;
            let error = if is_unknown { ErrorCode::IllegalGeneration } else { error };
            asked.for_each(|partition| partition.error_code = error.code());
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(errors: &[ErrorCode]) -> OffsetCommitResponse {
        let partitions = (0..).zip(errors).map(|(index, error)| partition_response(index, *error));
        let topic =
            OffsetCommitResponseTopic { partitions: partitions.collect(), ..OffsetCommitResponseTopic::default() };
        OffsetCommitResponse { topics: vec![topic], ..OffsetCommitResponse::default() }
    }

    fn errors_of(response: &OffsetCommitResponse) -> Vec<i16> {
        response.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code).collect()
    }

    #[test]
    fn outcomes_go_to_the_partitions_that_the_group_was_asked_for() {
        let asked = response(&[ErrorCode::None, ErrorCode::UnknownTopicOrPartition, ErrorCode::None]);
        let outcome = Ok(Ok(vec![Err(GroupError::OffsetMetadataTooLarge), Ok(())]));
        assert_eq!(errors_of(&with_outcome(9, asked.clone(), outcome)), [12, 3, 0]);
        assert_eq!(errors_of(&with_outcome(9, asked.clone(), Err(CoordinatorError::Loading))), [14, 3, 14]);
        assert_eq!(errors_of(&with_outcome(9, asked, Ok(Err(GroupError::IllegalGeneration)))), [22, 3, 22]);
    }

    #[test]
    fn old_clients_are_told_of_another_generation_where_there_is_no_group() {
        let outcome = || Ok(Err(GroupError::GroupIdNotFound("g".to_owned())));
        let errors = [8, 9].map(|version| errors_of(&with_outcome(version, response(&[ErrorCode::None]), outcome())));
        assert_eq!(errors, [[22], [69]]);
    }

    #[test]
    fn what_a_member_says_of_itself_may_be_nothing() {
        let request = OffsetCommitRequest { generation_id_or_member_epoch: -1, ..OffsetCommitRequest::default() };
        assert_eq!(asking(&request), Asking::default());
        let request = OffsetCommitRequest {
            generation_id_or_member_epoch: 0,
            member_id: "m".into(),
            group_instance_id: Some("".into()),
            ..OffsetCommitRequest::default()
        };
        let expected = Asking { member_id: Some("m".into()), group_instance_id: Some("".into()), generation: Some(0) };
        assert_eq!(asking(&request), expected);
    }

    #[test]
    fn a_text_that_comes_again_is_kept_once() {
        let mut metadata = Metadata::default();
        let [a, b] = ["a", "a"].map(|text| metadata.copied(Some(&text.into())));
        assert!(Arc::ptr_eq(&a, &b));
        assert_eq!((&*metadata.copied(None), &*metadata.copied(Some(&"b".into()))), ("", "b"));
    }
}
