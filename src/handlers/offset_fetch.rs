//! `OffsetFetch` (key 9): how far groups have read; one group, from version 8 on several.
//!
//! One shape of the request, one of the response: that of version 8 and later. Older versions are translated to it and
//! from it.

use std::{collections::BTreeMap, sync::Arc};

use uuid::Uuid;

use super::{api::Answer, context::Context, coordinated::answer_all, errors};
use crate::{
    auth::authorizer::{Operation, Resource},
    groups::group::{Asking, CommittedOffset, OffsetOf, Topics},
    metadata::image::Image,
    protocol::{
        error_code::ErrorCode,
        messages::{
            OffsetFetchRequest, OffsetFetchResponse,
            offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
            offset_fetch_response::{
                OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
                OffsetFetchResponseTopic, OffsetFetchResponseTopics,
            },
        },
        wire::StrBytes,
    },
};

/// From this version on a partition without an offset is no error.
const NO_OFFSET_FROM: i16 = 1;
/// From this version on a group has an error of its own; before, each of its partitions has it.
const GROUP_ERROR_FROM: i16 = 2;
/// From this version on there is a list of groups.
const BATCHED_FROM: i16 = 8;
/// From this version on a topic is named by its id alone.
const TOPIC_IDS_FROM: i16 = 10;
/// Stands for no offset, and for no leader epoch.
const NO_OFFSET: i64 = -1;
const NO_EPOCH: i32 = -1;

/// Answers for each group, in the order of the request.
pub async fn offset_fetch(cx: &Context, request: OffsetFetchRequest) -> Answer<OffsetFetchResponse> {
    let require_stable = request.require_stable;
    let groups: Vec<GroupAsked> = groups(cx.version, request).into_iter().map(|group| asked(cx, group)).collect();
    let questions = groups.iter().map(|group| {
        if !group.is_visible {
            return Err(ErrorCode::GroupAuthorizationFailed);
        }
        let topics = group.question();
        let fetch = cx
            .groups()
            .runtime()
            .run(&group.id, |machine, _, out| machine.fetch_offsets(&group.asking, &topics, require_stable, out));
        Ok(fetch)
    });
    let questions = questions.collect();
    let cx = cx.clone();
    answer_all(questions, move |outcomes| {
        let answered =
            groups.into_iter().zip(outcomes).map(|(group, outcome)| match outcome.and_then(errors::group_answer) {
                Ok(offsets) => group.response(&cx, offsets),
                Err(error) => group.refused(cx.version, error),
            });
        response(cx.version, answered.collect())
    })
}

/// The groups of a request, whatever its version.
fn groups(version: i16, request: OffsetFetchRequest) -> Vec<OffsetFetchRequestGroup> {
    if version >= BATCHED_FROM {
        return request.groups;
    }
    let topics = request.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
            ..OffsetFetchRequestTopics::default()
        });
        topics.collect()
    });
    vec![OffsetFetchRequestGroup { group_id: request.group_id, topics, ..OffsetFetchRequestGroup::default() }]
}

/// A group that is asked for.
struct GroupAsked {
    id: StrBytes,
    /// Whether the client may ask for its offsets.
    is_visible: bool,
    asking: Asking,
    /// All topics that have offsets, or these.
    topics: Option<Vec<TopicAsked>>,
}

/// A topic that is asked for.
struct TopicAsked {
    /// As the request names it.
    name: StrBytes,
    id: Uuid,
    partitions: Vec<i32>,
    /// The name that the group knows it by, with the id of the topic that has it now; or why the group is not asked.
    resolved: Result<(Arc<str>, Option<Uuid>), ErrorCode>,
}

fn asked(cx: &Context, group: OffsetFetchRequestGroup) -> GroupAsked {
    let is_visible = cx.authorize(Operation::Describe, Resource::Group(&group.group_id)).is_ok();
    let topics =
        group.topics.map(|topics| topics.into_iter().map(|topic| topic_asked(cx, topic, is_visible)).collect());
    let asking = Asking {
        member_id: group.member_id.as_ref().map(Arc::from),
        group_instance_id: None,
        generation: Some(group.member_epoch).filter(|epoch| *epoch >= 0),
    };
    GroupAsked { id: group.group_id, is_visible, asking, topics }
}

/// A topic of a group; nothing is asked about it where the group is not to be seen.
fn topic_asked(cx: &Context, topic: OffsetFetchRequestTopics, is_visible: bool) -> TopicAsked {
    let resolved = if is_visible { resolve(cx, &topic) } else { Err(ErrorCode::GroupAuthorizationFailed) };
    let resolved = resolved.and_then(|(name, id)| {
        may_describe(cx, &name).then_some((name, id)).ok_or(ErrorCode::TopicAuthorizationFailed)
    });
    TopicAsked { name: topic.name, id: topic.topic_id, partitions: topic.partition_indexes, resolved }
}

fn resolve(cx: &Context, topic: &OffsetFetchRequestTopics) -> Result<(Arc<str>, Option<Uuid>), ErrorCode> {
    let image = cx.broker.image();
    if cx.version < TOPIC_IDS_FROM {
        let present = image.topic(&topic.name).map(|present| present.id);
        return Ok((Arc::from(&topic.name), present));
    }
    let present = image.topic_by_id(topic.topic_id).ok_or(ErrorCode::UnknownTopicId)?;
    Ok((Arc::clone(&present.name), Some(present.id)))
}

fn may_describe(cx: &Context, topic: &str) -> bool {
    cx.authorize(Operation::Describe, Resource::Topic(topic)).is_ok()
}

impl GroupAsked {
    /// What the group is asked for.
    fn question(&self) -> Topics {
        let Some(topics) = &self.topics else { return Topics::All };
        let asked = topics.iter().filter_map(|topic| {
            let (name, id) = topic.resolved.as_ref().ok()?;
            Some((Arc::clone(name), *id, topic.partitions.clone()))
        });
        Topics::These(asked.collect())
    }

    fn response(self, cx: &Context, offsets: Vec<OffsetOf>) -> OffsetFetchResponseGroup {
        let topics = match self.topics {
            None => all_topics(cx, offsets),
            Some(topics) => {
                let mut offsets = offsets.into_iter();
                topics.into_iter().map(|topic| topic.response(cx.version, &mut offsets)).collect()
            }
        };
        OffsetFetchResponseGroup { group_id: self.id, topics, ..OffsetFetchResponseGroup::default() }
    }

    fn refused(self, version: i16, error: ErrorCode) -> OffsetFetchResponseGroup {
        let group = OffsetFetchResponseGroup { group_id: self.id, ..OffsetFetchResponseGroup::default() };
        if version >= GROUP_ERROR_FROM {
            return OffsetFetchResponseGroup { error_code: error.code(), ..group };
        }
        let topics = self.topics.unwrap_or_default().into_iter().map(|topic| topic.refused(error));
        OffsetFetchResponseGroup { topics: topics.collect(), ..group }
    }
}

impl TopicAsked {
    /// The response, with the next of `offsets`, which has one for each partition that the group was asked for.
    fn response(self, version: i16, offsets: &mut impl Iterator<Item = OffsetOf>) -> OffsetFetchResponseTopics {
        if let Err(error) = self.resolved {
            return self.refused(error);
        }
        let answered = offsets.take(self.partitions.len()).map(|offset| partition_response(version, offset));
        let partitions: Vec<_> = answered.collect();
        assert_eq!(partitions.len(), self.partitions.len(), "every partition has an answer");
        OffsetFetchResponseTopics {
            name: self.name,
            topic_id: self.id,
            partitions,
            ..OffsetFetchResponseTopics::default()
        }
    }

    fn refused(self, error: ErrorCode) -> OffsetFetchResponseTopics {
        let partitions = self.partitions.into_iter().map(|index| failed(index, error));
        OffsetFetchResponseTopics {
            name: self.name,
            topic_id: self.id,
            partitions: partitions.collect(),
            ..OffsetFetchResponseTopics::default()
        }
    }
}

/// The topics that the client may see. Where they are named by id, one that is gone has no name any more.
fn all_topics(cx: &Context, offsets: Vec<OffsetOf>) -> Vec<OffsetFetchResponseTopics> {
    let image = cx.broker.image();
    let mut topics = BTreeMap::<Arc<str>, Vec<_>>::new();
    for offset in offsets.into_iter().filter(|offset| is_of_present_topic(&image, offset)) {
        let partitions = topics.entry(Arc::clone(&offset.topic)).or_default();
        partitions.push(partition_response(cx.version, offset));
    }
    let visible = topics.into_iter().filter(|(name, _)| may_describe(cx, name));
    let topics = visible.filter_map(|(name, partitions)| {
        let topic_id = image.topic(&name).map(|topic| topic.id);
        let topic_id = if cx.version < TOPIC_IDS_FROM { Uuid::nil() } else { topic_id? };
        let name = name.as_ref().into();
        Some(OffsetFetchResponseTopics { name, topic_id, partitions, ..OffsetFetchResponseTopics::default() })
    });
    topics.collect()
}

/// Not one of an earlier topic of the same name.
fn is_of_present_topic(image: &Image, offset: &OffsetOf) -> bool {
    let Ok(Some(committed)) = &offset.committed else { return true };
    committed.is_of(image.topic(&offset.topic).map(|present| present.id))
}

fn partition_response(version: i16, offset: OffsetOf) -> OffsetFetchResponsePartitions {
    match offset.committed {
        Ok(Some(committed)) => committed_response(offset.partition, &committed),
        Ok(None) if version < NO_OFFSET_FROM => failed(offset.partition, ErrorCode::UnknownTopicOrPartition),
        Ok(None) => failed(offset.partition, ErrorCode::None),
        Err(error) => failed(offset.partition, errors::group(&error)),
    }
}

fn committed_response(partition_index: i32, committed: &CommittedOffset) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: committed.offset,
        committed_leader_epoch: committed.leader_epoch.unwrap_or(NO_EPOCH),
        metadata: Some(committed.metadata.as_ref().into()),
        ..OffsetFetchResponsePartitions::default()
    }
}

/// A partition without an offset.
fn failed(partition_index: i32, error: ErrorCode) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: NO_OFFSET,
        committed_leader_epoch: NO_EPOCH,
        metadata: Some(StrBytes::default()),
        error_code: error.code(),
        ..OffsetFetchResponsePartitions::default()
    }
}

/// The response of a version, of its groups.
fn response(version: i16, mut groups: Vec<OffsetFetchResponseGroup>) -> OffsetFetchResponse {
    if version >= BATCHED_FROM {
        return OffsetFetchResponse { groups, ..OffsetFetchResponse::default() };
    }
    let group = groups.pop().expect("an old request has one group");
    OffsetFetchResponse {
        error_code: group.error_code,
        topics: group.topics.into_iter().map(old_topic).collect(),
        ..OffsetFetchResponse::default()
    }
}

fn old_topic(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.into_iter().map(|partition| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
        ..OffsetFetchResponsePartition::default()
    });
    OffsetFetchResponseTopic {
        name: topic.name,
        partitions: partitions.collect(),
        ..OffsetFetchResponseTopic::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{groups::error::GroupError, protocol::messages::offset_fetch_request::OffsetFetchRequestTopic};

    fn asked_for(resolved: Result<&str, ErrorCode>, partitions: &[i32]) -> TopicAsked {
        TopicAsked {
            name: "t".into(),
            id: Uuid::nil(),
            partitions: partitions.to_vec(),
            resolved: resolved.map(|name| (Arc::from(name), None)),
        }
    }

    fn offset_of(partition: i32, committed: Result<Option<i64>, GroupError>) -> OffsetOf {
        let committed = committed.map(|offset| {
            offset.map(|offset| CommittedOffset {
                offset,
                leader_epoch: None,
                metadata: "kept".into(),
                topic_id: None,
                commit_timestamp: 0,
                expire_timestamp: None,
            })
        });
        OffsetOf { topic: "t".into(), partition, committed }
    }

    #[test]
    fn topics_that_the_group_was_not_asked_for_take_none_of_its_offsets() {
        let mut offsets = vec![
            offset_of(0, Ok(Some(5))),
            offset_of(1, Ok(None)),
            offset_of(0, Err(GroupError::UnstableOffsetCommit)),
        ]
        .into_iter();
        let topics =
            [asked_for(Err(ErrorCode::UnknownTopicId), &[7]), asked_for(Ok("t"), &[0, 1]), asked_for(Ok("t"), &[0])];
        let answered = topics.map(|topic| {
            let partitions = topic.response(10, &mut offsets).partitions;
            let seen = partitions.iter().map(|partition| (partition.committed_offset, partition.error_code));
            seen.collect::<Vec<_>>()
        });
        assert_eq!(answered, [vec![(-1, 100)], vec![(5, 0), (-1, 0)], vec![(-1, 88)]]);
    }

    #[test]
    fn in_the_first_version_a_partition_without_an_offset_is_unknown() {
        let error = |version| partition_response(version, offset_of(0, Ok(None))).error_code;
        assert_eq!([0, 1].map(error), [3, 0]);
    }

    #[test]
    fn a_groups_error_is_its_partitions_before_it_has_a_place_of_its_own() {
        let refused = |version| {
            let asked = GroupAsked {
                is_visible: true,
                id: "g".into(),
                asking: Asking::default(),
                topics: Some(vec![asked_for(Ok("t"), &[0, 1])]),
            };
            let response = response(version, vec![asked.refused(version, ErrorCode::NotCoordinator)]);
            let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            (response.error_code, partitions.map(|partition| partition.error_code).collect::<Vec<_>>())
        };
        assert_eq!(refused(1), (0, vec![16, 16]));
        assert_eq!(refused(2), (16, vec![]));
    }

    #[test]
    fn an_old_request_is_one_group() {
        let topic = OffsetFetchRequestTopic {
            name: "t".into(),
            partition_indexes: vec![1],
            ..OffsetFetchRequestTopic::default()
        };
        let old = |topics| {
            let request = OffsetFetchRequest { group_id: "g".into(), topics, ..OffsetFetchRequest::default() };
            let [group] = groups(7, request).try_into().expect("one group");
            (group.group_id, group.member_epoch, group.topics.map(|topics| topics[0].partition_indexes.clone()))
        };
        assert_eq!(old(Some(vec![topic])), ("g".into(), -1, Some(vec![1])));
        assert_eq!(old(None), ("g".into(), -1, None));
    }
}
