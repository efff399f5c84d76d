//! `CreateTopics` (key 19).

use std::{collections::BTreeMap, sync::Arc};

use super::{config_entry, context::Context, errors, refusal::Refusal, repeated::each_once};
use crate::{
    auth::authorizer::{Operation, Resource},
    broker::CreatedTopic,
    metadata::topics::{Layout, NewTopic, PARTITIONS_PER_REQUEST_MAX},
    protocol::{
        error_code::ErrorCode,
        messages::{
            CreateTopicsRequest, CreateTopicsResponse,
            create_topics_request::CreatableTopic,
            create_topics_response::{CreatableTopicConfigs, CreatableTopicResult},
        },
        wire::StrBytes,
    },
};

/// Stands for the default where a number is asked for (KIP-464).
const DEFAULT: i16 = -1;

/// A topic that is asked for.
struct Asked {
    name: StrBytes,
    /// Whether the client may know how it is configured.
    shows_configs: bool,
    /// What is to be created unless it is refused.
    topic: Result<NewTopic, Refusal>,
}

/// Creates all topics in one commit; one that is refused leaves the others alone.
pub async fn create_topics(cx: &Context, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let (asking, answering) = (cx.clone(), cx.clone());
    let validate_only = request.validate_only;
    // However little each of them asks for, a request may name very many.
    let asked = cx.heavy_work().run(move || asked_of(&asking, &request)).await;
    let created = create(cx, &asked, validate_only).await;
    // Each topic is answered with all that it is configured to.
    let topics = cx.heavy_work().run(move || results(&answering, asked, created)).await;
    CreateTopicsResponse { topics, ..CreateTopicsResponse::default() }
}

fn asked_of(cx: &Context, request: &CreateTopicsRequest) -> Vec<Asked> {
    let default = cx.broker.config().num_partitions;
    let partitions = request.topics.iter().map(|topic| partitions_asked(topic, default)).fold(0, usize::saturating_add);
    // One that is named more than once is answered once, for all.
    let named = each_once(&request.topics, |topic| &topic.name).into_iter();
    let asked = named.map(|(topic, is_repeated)| Asked {
        name: topic.name.clone(),
        shows_configs: cx.may(Operation::DescribeConfigs, Resource::Topic(&topic.name)),
        topic: if is_repeated {
            Err(Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned()))
        } else {
            to_create(cx, topic, partitions)
        },
    });
    asked.collect()
}

fn results(cx: &Context, asked: Vec<Asked>, created: Vec<Result<CreatedTopic, Refusal>>) -> Vec<CreatableTopicResult> {
    let mut created = created.into_iter();
    let results = asked.into_iter().map(|Asked { name, shows_configs, topic }| {
        let outcome = topic.and_then(|new_topic| {
            let created = created.next().expect("each topic that was asked for has an outcome")?;
            Ok((created, new_topic))
        });
        match outcome {
            Ok((created, new_topic)) if shows_configs => result(cx, name, &created, &new_topic.configs),
            Ok((created, _)) => without_configs(name, &created),
            Err(refusal) => refused(name, refusal),
        }
    });
    results.collect()
}

/// The topic to create, of a request for so many partitions.
fn to_create(cx: &Context, topic: &CreatableTopic, partitions: usize) -> Result<NewTopic, Refusal> {
    if !may_create(cx, &topic.name) {
        return Err(Refusal::new(ErrorCode::TopicAuthorizationFailed, "Authorization failed.".to_owned()));
    }
    if partitions > PARTITIONS_PER_REQUEST_MAX {
        return Err(Refusal::new(
            ErrorCode::PolicyViolation,
            format!(
                "Excessively large number of partitions per request: {partitions}, {PARTITIONS_PER_REQUEST_MAX} are allowed."
            ),
        ));
    }
    new_topic(topic)
}

/// Whoever may create anything in the cluster, or this topic.
pub(super) fn may_create(cx: &Context, name: &str) -> bool {
    cx.may(Operation::Create, Resource::Cluster) || cx.authorize(Operation::Create, Resource::Topic(name)).is_ok()
}

/// What became of each topic that is not refused yet.
async fn create(cx: &Context, asked: &[Asked], validate_only: bool) -> Vec<Result<CreatedTopic, Refusal>> {
    let topics: Vec<NewTopic> = asked.iter().filter_map(|asked| asked.topic.as_ref().ok().cloned()).collect();
    let count = topics.len();
    let broker = Arc::clone(&cx.broker);
    let outcomes = if validate_only {
        let validate = move || topics.iter().map(|topic| broker.validate_topic(topic)).collect();
        Ok(cx.heavy_work().run(validate).await)
    } else {
        broker.create_topics(topics).await
    };
    match outcomes {
        Ok(outcomes) => outcomes
            .into_iter()
            .map(|outcome| outcome.map_err(|failure| Refusal::new(errors::create_topic(&failure), failure.to_string())))
            .collect(),
        Err(error) => (0..count).map(|_| Err(Refusal::new(errors::commit(&error), error.to_string()))).collect(),
    }
}

fn partitions_asked(topic: &CreatableTopic, default: i32) -> usize {
    let count = match topic.assignments.len() {
        0 if topic.num_partitions == i32::from(DEFAULT) => default,
        0 => topic.num_partitions,
        assigned => return assigned,
    };
    usize::try_from(count).unwrap_or(0)
}

fn refused(name: StrBytes, refusal: Refusal) -> CreatableTopicResult {
    let (error_code, error_message) = Refusal::answer(Err(refusal));
    CreatableTopicResult { name, error_code, error_message, ..CreatableTopicResult::default() }
}

fn new_topic(topic: &CreatableTopic) -> Result<NewTopic, Refusal> {
    let invalid = |message: &str| Refusal::new(ErrorCode::InvalidRequest, message.to_owned());
    let layout = if topic.assignments.is_empty() {
        Layout::Count((topic.num_partitions != i32::from(DEFAULT)).then_some(topic.num_partitions))
    } else if topic.num_partitions != i32::from(DEFAULT) {
        return Err(invalid("A manual partition assignment was specified, but numPartitions was not set to -1."));
    } else if topic.replication_factor != DEFAULT {
        return Err(invalid("A manual partition assignment was specified, but replication factor was not set to -1."));
    } else {
        let assigned = topic.assignments.iter();
        Layout::Manual(assigned.map(|partition| (partition.partition_index, partition.broker_ids.clone())).collect())
    };
    Ok(NewTopic {
        name: topic.name.to_string(),
        layout,
        replication_factor: (topic.replication_factor != DEFAULT).then_some(topic.replication_factor),
        configs: configs(topic)?,
    })
}

fn configs(topic: &CreatableTopic) -> Result<BTreeMap<String, String>, Refusal> {
    let mut configs = BTreeMap::new();
    for config in &topic.configs {
        let Some(value) = &config.value else {
            let message = format!("Null value not supported for topic configs: {}", config.name);
            return Err(Refusal::new(ErrorCode::InvalidConfig, message));
        };
        configs.insert(config.name.to_string(), value.to_string());
    }
    Ok(configs)
}

fn result(
    cx: &Context,
    name: StrBytes,
    created: &CreatedTopic,
    overrides: &BTreeMap<String, String>,
) -> CreatableTopicResult {
    CreatableTopicResult {
        name,
        topic_id: created.id,
        error_message: None,
        num_partitions: created.partitions,
        replication_factor: 1,
        configs: Some(effective_configs(cx, overrides)),
        ..CreatableTopicResult::default()
    }
}

/// What is told of a topic to who may not know how it is configured: that it is there.
fn without_configs(name: StrBytes, created: &CreatedTopic) -> CreatableTopicResult {
    CreatableTopicResult {
        name,
        topic_id: created.id,
        error_message: None,
        topic_config_error_code: ErrorCode::TopicAuthorizationFailed.code(),
        ..CreatableTopicResult::default()
    }
}

/// Every topic key with the value that the topic has, and where that comes from (KIP-525).
fn effective_configs(cx: &Context, overrides: &BTreeMap<String, String>) -> Vec<CreatableTopicConfigs> {
    let config = cx.broker.config();
    let entries = config_entry::of_topic(&config.values, overrides, |_| true).map(|entry| CreatableTopicConfigs {
        name: StrBytes::from_static(entry.key.name),
        config_source: entry.source().code(),
        value: entry.value,
        ..CreatableTopicConfigs::default()
    });
    entries.collect()
}
