//! `Metadata` (key 3): brokers, topics and partitions; creates topics that a client names, where that is wanted.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{context::Context, topic_entry};
use crate::{
    auth::{Operation, Resource},
    broker::CreateTopicFailure,
    config::topic_name::{self, CLUSTER_METADATA_TOPIC},
    metadata::{image::Topic, topics::NewTopic},
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
        response.cluster_authorized_operations = cx.authorized_operations(Resource::Cluster);
    }
    response
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
    let visible = image.topics().filter(|topic| may_describe(cx, &topic.name));
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
    let mut answered = BTreeSet::new();
    let mut responses = Vec::new();
    for name in topics.iter().filter_map(|topic| topic.name.as_ref()) {
        if answered.insert(name.as_str()) {
            responses.push(topic_by_name(cx, name, allow_auto_creation).await);
        }
    }
    responses
}

fn topic_by_id(cx: &Context, id: Uuid) -> MetadataResponseTopic {
    match cx.broker.image().topic_by_id(id) {
        None => failed(None, id, ErrorCode::UnknownTopicId),
        Some(topic) if !may_describe(cx, &topic.name) => failed(None, id, ErrorCode::TopicAuthorizationFailed),
        Some(topic) => described(cx, topic),
    }
}

async fn topic_by_name(cx: &Context, name: &StrBytes, allow_auto_creation: bool) -> MetadataResponseTopic {
    let fail = |error| failed(Some(name.clone()), Uuid::nil(), error);
    if !may_describe(cx, name) {
        return fail(ErrorCode::TopicAuthorizationFailed);
    }
    if let Some(topic) = cx.broker.image().topic(name) {
        return described(cx, topic);
    }
    if topic_name::validate(name).is_err() {
        return fail(ErrorCode::InvalidTopicException);
    }
    let may_create = allow_auto_creation && cx.broker.config().auto_create_topics_enable;
    if !may_create || topic_name::is_internal(name) || name == CLUSTER_METADATA_TOPIC {
        return fail(ErrorCode::UnknownTopicOrPartition);
    }
    if cx.authorize(Operation::Create, Resource::Topic(name)).is_err() {
        return fail(ErrorCode::TopicAuthorizationFailed);
    }
    match auto_create(cx, name).await {
        Ok(()) => match cx.broker.image().topic(name) {
            Some(topic) => described(cx, topic),
            None => fail(ErrorCode::UnknownTopicOrPartition),
        },
        Err(error) => fail(error),
    }
}

async fn auto_create(cx: &Context, name: &str) -> Result<(), ErrorCode> {
    let topic = NewTopic { name: name.to_owned(), ..NewTopic::default() };
    match cx.broker.create_topic(topic).await {
        Ok(_) => Ok(()),
        // Another client was faster.
        Err(CreateTopicFailure::Refused(error)) if error.is_exists() => Ok(()),
        Err(error) => Err(ErrorCode::from(&error)),
    }
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
