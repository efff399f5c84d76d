//! `CreateTopics` (key 19).

use std::collections::{BTreeMap, HashMap};

use super::context::Context;
use crate::{
    auth::{Operation, Resource},
    broker::{CreateTopicFailure, CreatedTopic},
    config::topic::TOPIC_KEYS,
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

/// Where a configuration value comes from, as `ConfigSource` counts.
const SOURCE_TOPIC: i8 = 1;
const SOURCE_STATIC_BROKER: i8 = 4;
const SOURCE_DEFAULT: i8 = 5;

/// A topic that is not created, and why.
struct Refusal(ErrorCode, String);

/// Creates each topic on its own: one that is refused leaves the others alone.
pub async fn create_topics(cx: &Context, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let mut asked = HashMap::new();
    for topic in &request.topics {
        *asked.entry(topic.name.clone()).or_insert(0) += 1;
    }
    let partitions: usize = request.topics.iter().map(|topic| partitions_asked(topic, cx)).sum();
    let mut topics = Vec::new();
    for topic in &request.topics {
        let name = topic.name.clone();
        let result = match asked.remove(&name) {
            // Named before, and answered there for all.
            None => continue,
            Some(count) if count > 1 => Err(Refusal(ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned())),
            Some(_) if partitions > PARTITIONS_PER_REQUEST_MAX => Err(Refusal(
                ErrorCode::PolicyViolation,
                format!(
                    "Excessively large number of partitions per request: {partitions}, {PARTITIONS_PER_REQUEST_MAX} are allowed."
                ),
            )),
            Some(_) => create(cx, topic, request.validate_only).await,
        };
        topics.push(result.unwrap_or_else(|Refusal(error, message)| refused(name, error, message)));
    }
    CreateTopicsResponse { topics, ..CreateTopicsResponse::default() }
}

fn partitions_asked(topic: &CreatableTopic, cx: &Context) -> usize {
    let count = match topic.assignments.len() {
        0 if topic.num_partitions == i32::from(DEFAULT) => cx.broker.config().num_partitions,
        0 => topic.num_partitions,
        assigned => return assigned,
    };
    usize::try_from(count).unwrap_or(0)
}

fn refused(name: StrBytes, error: ErrorCode, message: String) -> CreatableTopicResult {
    CreatableTopicResult {
        name,
        error_code: error.code(),
        error_message: Some(message.into()),
        ..CreatableTopicResult::default()
    }
}

async fn create(cx: &Context, topic: &CreatableTopic, validate_only: bool) -> Result<CreatableTopicResult, Refusal> {
    let denied = |_| Refusal(ErrorCode::TopicAuthorizationFailed, "Authorization failed.".to_owned());
    cx.authorize(Operation::Create, Resource::Topic(&topic.name)).map_err(denied)?;
    let new_topic = new_topic(topic)?;
    let configs = new_topic.configs.clone();
    let created =
        if validate_only { cx.broker.validate_topic(&new_topic) } else { cx.broker.create_topic(new_topic).await };
    let created = created.map_err(|failure| Refusal(ErrorCode::from(&failure), failure.to_string()))?;
    Ok(result(cx, topic.name.clone(), &created, &configs))
}

fn new_topic(topic: &CreatableTopic) -> Result<NewTopic, Refusal> {
    let invalid = |message: &str| Refusal(ErrorCode::InvalidRequest, message.to_owned());
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
            return Err(Refusal(ErrorCode::InvalidConfig, message));
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

/// Every topic key with the value that the topic has, and where that comes from (KIP-525).
fn effective_configs(cx: &Context, overrides: &BTreeMap<String, String>) -> Vec<CreatableTopicConfigs> {
    let values = &cx.broker.config().values;
    let public = TOPIC_KEYS.iter().filter(|row| !row.key.internal);
    let entries = public.map(|row| {
        let (value, config_source) = match overrides.get(row.key.name) {
            Some(value) => (Some(value.clone()), SOURCE_TOPIC),
            None => match row.default_from(values) {
                Some((value, Some(synonym))) if values.is_set(synonym.name) => {
                    (Some(value.to_string()), SOURCE_STATIC_BROKER)
                }
                Some((value, _)) => (Some(value.to_string()), SOURCE_DEFAULT),
                None => (None, SOURCE_DEFAULT),
            },
        };
        CreatableTopicConfigs {
            name: row.key.name.into(),
            value: value.map(Into::into),
            config_source,
            ..CreatableTopicConfigs::default()
        }
    });
    entries.collect()
}

impl From<&CreateTopicFailure> for ErrorCode {
    fn from(failure: &CreateTopicFailure) -> Self {
        super::errors::create_topic(failure)
    }
}
