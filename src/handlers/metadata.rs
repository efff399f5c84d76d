//! `Metadata` (key 3): brokers, topics and partitions; creates topics that a client names, where that is wanted.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::{context::Context, create_topics::may_create, errors, topic_entry};
use crate::{
    auth::authorizer::{Operation, Resource},
    config::topic_name::{self, CLUSTER_METADATA_TOPIC},
    metadata::{
        image::Topic,
        topics::{NewTopic, PARTITIONS_PER_REQUEST_MAX},
    },
    protocol::{
        error_code::ErrorCode,
        messages::{
            MetadataRequest, MetadataResponse,
            metadata_request::MetadataRequestTopic,
            metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic},
        },
        wire::StrBytes,
    },
};

/// From this version on a topic may be named by its id alone.
const TOPIC_IDS_FROM: i16 = 12;

/// Answers for all topics or for the named ones.
pub async fn metadata(cx: &Context, request: MetadataRequest) -> MetadataResponse {
    let topics = match &request.topics {
        None => all_topics(cx),
        Some(topics) if topics.is_empty() && cx.version == 0 => all_topics(cx),
        Some(topics) if cx.version < TOPIC_IDS_FROM && topics.iter().any(uses_id) => {
            // The response has no null name yet either.
            let name = |topic: &MetadataRequestTopic| Some(topic.name.clone().unwrap_or_default());
            topics.iter().map(|topic| failed(name(topic), topic.topic_id, ErrorCode::InvalidRequest)).collect()
        }
        Some(topics) => named_topics(cx, topics, request.allow_auto_topic_creation).await,
    };
    let topics = with_operations(cx, topics, request.include_topic_authorized_operations);
    let mut response = MetadataResponse {
        brokers: vec![this_broker(cx)],
        cluster_id: Some(cx.broker.cluster_id().into()),
        controller_id: cx.broker.node_id(),
        topics,
        ..MetadataResponse::default()
    };
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = cluster_operations(cx);
    }
    response
}

/// What the client may do with the cluster, as a bit field: nothing where it may not even look at it.
pub(super) fn cluster_operations(cx: &Context) -> i32 {
    match cx.authorize(Operation::Describe, Resource::Cluster) {
        Ok(()) => cx.authorized_operations(Resource::Cluster),
        Err(_) => 0,
    }
}

fn this_broker(cx: &Context) -> MetadataResponseBroker {
    let (host, port) = cx.advertised();
    MetadataResponseBroker { node_id: cx.broker.node_id(), host, port, ..MetadataResponseBroker::default() }
}

fn uses_id(topic: &MetadataRequestTopic) -> bool {
    topic.name.is_none() || !topic.topic_id.is_nil()
}

fn all_topics(cx: &Context) -> Vec<MetadataResponseTopic> {
    let image = cx.broker.image();
    let visible = image.topics().filter(|topic| cx.may(Operation::Describe, Resource::Topic(&topic.name)));
    visible.map(|topic| described(cx, topic)).collect()
}

/// The topics by id where any has one, else by name; each once, as Kafka answers.
async fn named_topics(
    cx: &Context,
    topics: &[MetadataRequestTopic],
    allow_auto_creation: bool,
) -> Vec<MetadataResponseTopic> {
    let ids: BTreeSet<Uuid> = topics.iter().map(|topic| topic.topic_id).filter(|id| !id.is_nil()).collect();
    if !ids.is_empty() {
        return ids.into_iter().map(|id| topic_by_id(cx, id)).collect();
    }
    let mut seen = BTreeSet::new();
    let names = topics.iter().filter_map(|topic| topic.name.as_ref()).filter(|name| seen.insert(name.as_str()));
    let names: Vec<_> = names.map(|name| (name, may_describe(cx, name))).collect();
    let may_create = allow_auto_creation && cx.broker.config().auto_create_topics_enable;
    let visible = names.iter().filter(|(_, is_visible)| may_create && *is_visible);
    let missing = visible.map(|(name, _)| *name).filter(|name| is_to_be_created(cx, name)).collect();
    let failures = auto_create(cx, missing).await;
    names.into_iter().map(|(name, is_visible)| topic_by_name(cx, name, is_visible, &failures)).collect()
}

fn topic_by_id(cx: &Context, id: Uuid) -> MetadataResponseTopic {
    match cx.broker.image().topic_by_id(id) {
        None => failed(None, id, ErrorCode::UnknownTopicId),
        Some(topic) if !may_describe(cx, &topic.name) => failed(None, id, ErrorCode::TopicAuthorizationFailed),
        Some(topic) => described(cx, topic),
    }
}

/// A topic, or why there is none; `failures` are those of creating it.
fn topic_by_name(
    cx: &Context,
    name: &StrBytes,
    is_visible: bool,
    failures: &HashMap<&str, ErrorCode>,
) -> MetadataResponseTopic {
    let fail = |error| failed(Some(name.clone()), Uuid::nil(), error);
    if !is_visible {
        // Nothing is said of it, not even what its name says.
        return MetadataResponseTopic { is_internal: false, ..fail(ErrorCode::TopicAuthorizationFailed) };
    }
    if let Some(topic) = cx.broker.image().topic(name) {
        return described(cx, topic);
    }
    if topic_name::validate(name).is_err() {
        return fail(ErrorCode::InvalidTopicException);
    }
    fail(failures.get(name.as_str()).copied().unwrap_or(ErrorCode::UnknownTopicOrPartition))
}

fn is_to_be_created(cx: &Context, name: &str) -> bool {
    cx.broker.image().topic(name).is_none()
        && topic_name::validate(name).is_ok()
        && !topic_name::is_internal(name)
        && name != CLUSTER_METADATA_TOPIC
}

/// Creates topics, and says why some were not. As many as CreateTopics takes, or none: a request's length is no reason
/// to create whatever fits into it.
async fn auto_create<'a>(cx: &Context, names: Vec<&'a StrBytes>) -> HashMap<&'a str, ErrorCode> {
    let all = |error| names.iter().map(|name| (name.as_str(), error)).collect();
    let partitions_each = usize::try_from(cx.broker.config().num_partitions).unwrap_or(0);
    if names.len().saturating_mul(partitions_each) > PARTITIONS_PER_REQUEST_MAX {
        return all(ErrorCode::PolicyViolation);
    }
    let (allowed, denied): (Vec<&StrBytes>, Vec<_>) = names.iter().partition(|name| may_create(cx, name));
    let mut failures: HashMap<_, _> =
        denied.into_iter().map(|name| (name.as_str(), ErrorCode::TopicAuthorizationFailed)).collect();
    if allowed.is_empty() {
        return failures;
    }
    let topics = allowed.iter().map(|name| NewTopic { name: name.to_string(), ..NewTopic::default() }).collect();
    match cx.broker.create_topics(topics).await {
        Err(error) => failures.extend(allowed.iter().map(|name| (name.as_str(), errors::commit(&error)))),
        Ok(outcomes) => {
            let failed = allowed.iter().zip(&outcomes).filter_map(|(name, outcome)| match outcome {
                Ok(_) => None,
                // Another client was faster.
                Err(failure) if failure.is_exists() => None,
                Err(failure) => Some((name.as_str(), failure)),
            });
            failures.extend(failed.map(|(name, failure)| (name, errors::create_topic(failure))));
        }
    }
    failures
}

fn may_describe(cx: &Context, topic: &str) -> bool {
    cx.authorize(Operation::Describe, Resource::Topic(topic)).is_ok()
}

fn failed(name: Option<StrBytes>, topic_id: Uuid, error: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: error.code(),
        is_internal: name.as_deref().is_some_and(topic_name::is_internal),
        name,
        topic_id,
        ..MetadataResponseTopic::default()
    }
}

fn described(cx: &Context, topic: &Topic) -> MetadataResponseTopic {
    let node = cx.broker.node_id();
    let partitions = topic_entry::partitions(topic).map(|(index, partition)| MetadataResponsePartition {
        partition_index: index,
        leader_id: node,
        leader_epoch: partition.leader_epoch,
        replica_nodes: vec![node],
        isr_nodes: vec![node],
        ..MetadataResponsePartition::default()
    });
    MetadataResponseTopic {
        name: Some(topic.name.as_ref().into()),
        topic_id: topic.id,
        is_internal: topic_name::is_internal(&topic.name),
        partitions: partitions.collect(),
        ..MetadataResponseTopic::default()
    }
}

fn with_operations(cx: &Context, mut topics: Vec<MetadataResponseTopic>, wanted: bool) -> Vec<MetadataResponseTopic> {
    let good = topics.iter_mut().filter(|topic| wanted && topic.error_code == ErrorCode::None.code());
    for topic in good {
        let name = topic.name.as_deref().unwrap_or_default();
        topic.topic_authorized_operations = cx.authorized_operations(Resource::Topic(name));
    }
    topics
}
