//! `DescribeTopicPartitions` (key 75): topics a page at a time (KIP-966).

use std::{collections::BTreeSet, ops::Bound};

use super::{context::Context, topic_entry};
use crate::{
    auth::authorizer::{Operation, Resource},
    config::topic_name,
    metadata::image::{Image, Partition, Topic},
    protocol::{
        error_code::ErrorCode,
        messages::{
            DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
            describe_topic_partitions_response::{
                Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
            },
        },
    },
};

/// Where a page begins: a topic, and the first partition of it.
struct Start {
    topic: String,
    partition: i32,
}

/// Answers for the named topics, or for all, in the order of their names, from the cursor on, up to the limit of
/// partitions; then says where the next page begins.
pub async fn describe_topic_partitions(
    cx: &Context,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    if !is_cursor_valid(&request) {
        let topics = request.topics.iter().map(|topic| failed(&topic.name, ErrorCode::InvalidRequest)).collect();
        return DescribeTopicPartitionsResponse { topics, ..DescribeTopicPartitionsResponse::default() };
    }
    let image = cx.broker.image();
    let limit = request.response_partition_limit.min(cx.broker.config().max_request_partition_size_limit.cast_signed());
    let mut room = usize::try_from(limit).unwrap_or(0).max(1);
    let start = request.cursor.map_or(Start { topic: String::new(), partition: 0 }, |cursor| Start {
        topic: cursor.topic_name.to_string(),
        partition: cursor.partition_index,
    });
    let all = request.topics.is_empty();
    let asked: BTreeSet<&str> = request.topics.iter().map(|topic| topic.name.as_str()).collect();
    // Of many topics a page looks at those alone that are on it.
    let names: Box<dyn Iterator<Item = &str>> = if all {
        let names = image.topics_from(&start.topic).map(|topic| topic.name.as_ref());
        // The cursor tells the name of the next, so what may not be seen is no next one.
        Box::new(names.filter(|name| may_describe(cx, name)))
    } else {
        let from_start = (Bound::Included(start.topic.as_str()), Bound::Unbounded);
        Box::new(asked.range::<str, _>(from_start).copied())
    };
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names {
        if room == 0 {
            response.next_cursor = Some(cursor(name, 0));
            break;
        }
        let first = if name == start.topic { start.partition } else { 0 };
        let (topic, next) = describe(cx, &image, name, first, room);
        room -= topic.partitions.len().min(room);
        response.topics.push(topic);
        if let Some(next) = next {
            response.next_cursor = Some(cursor(name, next));
            break;
        }
    }
    response
}

/// A cursor stands at a partition of a topic that is asked for.
fn is_cursor_valid(request: &DescribeTopicPartitionsRequest) -> bool {
    let Some(cursor) = &request.cursor else { return true };
    let is_asked_for = request.topics.is_empty() || request.topics.iter().any(|topic| topic.name == cursor.topic_name);
    is_asked_for && cursor.partition_index >= 0
}

fn failed(name: &str, error: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        error_code: error.code(),
        name: Some(name.into()),
        is_internal: topic_name::is_internal(name),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn cursor(topic: &str, partition_index: i32) -> Cursor {
    Cursor { topic_name: topic.into(), partition_index, ..Cursor::default() }
}

/// A topic from partition `first` on with at most `room` partitions, and the partition that did not fit any more.
fn describe(
    cx: &Context,
    image: &Image,
    name: &str,
    first: i32,
    room: usize,
) -> (DescribeTopicPartitionsResponseTopic, Option<i32>) {
    if !may_describe(cx, name) {
        // Nothing is said of it, not even what its name says.
        let denied = failed(name, ErrorCode::TopicAuthorizationFailed);
        return (DescribeTopicPartitionsResponseTopic { is_internal: false, ..denied }, None);
    }
    let Some(topic) = image.topic(name) else {
        let is_name = topic_name::validate(name).is_ok();
        let error = if is_name { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::InvalidTopicException };
        let topic_authorized_operations = cx.authorized_operations(Resource::Topic(name));
        let topic = DescribeTopicPartitionsResponseTopic { topic_authorized_operations, ..failed(name, error) };
        return (topic, None);
    };
    let mut rest = topic_entry::partitions(topic).filter(|(index, _)| *index >= first);
    let partitions = rest.by_ref().take(room).map(|(index, partition)| described(cx, index, partition)).collect();
    let next = rest.next().map(|(index, _)| index);
    (entry(cx, topic, partitions), next)
}

fn may_describe(cx: &Context, topic: &str) -> bool {
    cx.authorize(Operation::Describe, Resource::Topic(topic)).is_ok()
}

fn entry(
    cx: &Context,
    topic: &Topic,
    partitions: Vec<DescribeTopicPartitionsResponsePartition>,
) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        name: Some(topic.name.as_ref().into()),
        topic_id: topic.id,
        is_internal: topic_name::is_internal(&topic.name),
        partitions,
        topic_authorized_operations: cx.authorized_operations(Resource::Topic(&topic.name)),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn described(cx: &Context, index: i32, partition: &Partition) -> DescribeTopicPartitionsResponsePartition {
    let node = cx.broker.node_id();
    DescribeTopicPartitionsResponsePartition {
        partition_index: index,
        leader_id: node,
        leader_epoch: partition.leader_epoch,
        replica_nodes: vec![node],
        isr_nodes: vec![node],
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
        ..DescribeTopicPartitionsResponsePartition::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::messages::describe_topic_partitions_request::{self, TopicRequest};

    #[test]
    fn a_page_begins_at_a_topic_that_was_asked_for() {
        let is_valid = |topic: &str, partition, asked: &[&str]| {
            let asked = asked.iter().map(|name| TopicRequest { name: (*name).into(), ..TopicRequest::default() });
            let cursor = Some(request_cursor(topic, partition));
            is_cursor_valid(&DescribeTopicPartitionsRequest { topics: asked.collect(), cursor, ..Default::default() })
        };
        assert!(is_valid("a", 7, &["b", "a"]) && is_valid("a", 0, &[]));
        assert!(!is_valid("a", 0, &["b"]));
        assert!(!is_valid("a", -1, &["a"]) && !is_valid("a", -1, &[]));
    }

    fn request_cursor(topic: &str, partition_index: i32) -> describe_topic_partitions_request::Cursor {
        describe_topic_partitions_request::Cursor { topic_name: topic.into(), partition_index, ..Default::default() }
    }
}
