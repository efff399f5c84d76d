//! What the tests of configurations ask.
//!
//! Every expectation of `configs_alter` and `configs_alter_broker` can be held against another broker, such as Apache Kafka 4.4.0
//! with node id 1 and settings of its own for nothing that is asked here:
//!
//! ```text
//! OTTLA_IT_REFEREE=127.0.0.1:9092 cargo test --test it configs_alter
//! ```
//!
//! What this broker answers otherwise on purpose says so by [`Stage::expects`].

use std::{fmt::Debug, time::Duration};

use ottla::protocol::{
    error_code::ErrorCode,
    messages::{
        AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
        alter_configs_request::{AlterConfigsResource as ReplacedResource, AlterableConfig as ReplacingConfig},
        describe_configs_request::DescribeConfigsResource,
        describe_configs_response::DescribeConfigsResourceResult,
        incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
    },
};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    support::{RawClient, error, within},
    transactional::Stage,
};

pub(crate) const TOPIC: i8 = 2;
pub(crate) const BROKER: i8 = 4;
pub(crate) const BROKER_LOGGER: i8 = 8;
pub(crate) const CLIENT_METRICS: i8 = 16;
pub(crate) const GROUP: i8 = 32;

/// Who has set a value, as answers number it.
pub(crate) const BY_TOPIC: i8 = 1;
pub(crate) const BY_BROKER: i8 = 2;
pub(crate) const BY_CLUSTER: i8 = 3;
pub(crate) const BY_DEFAULT: i8 = 5;

/// The newest versions.
pub(crate) const INCREMENTAL: i16 = 1;
pub(crate) const REPLACING: i16 = 2;
pub(crate) const DESCRIBE: i16 = 4;

/// The broker's own number.
pub(crate) const OWN_ID: &str = "1";
/// The name that stands for all brokers.
pub(crate) const ALL_BROKERS: &str = "";
pub(crate) const NULLS: &str = "Null value not supported for : ";
pub(crate) const DUPLICATE_KEYS: &str = "Error due to duplicate config keys";
pub(crate) const DUPLICATE_RESOURCES: &str = "Each resource must appear at most once.";

/// The wait between two questions whether something is shown.
const POLL: Duration = Duration::from_millis(2);

/// Error and message of an answer.
pub(crate) type Outcome = (ErrorCode, String);

pub(crate) fn done() -> Outcome {
    (ErrorCode::None, String::new())
}

pub(crate) fn invalid_config(message: &str) -> Outcome {
    (ErrorCode::InvalidConfig, message.to_owned())
}

pub(crate) fn invalid_request(message: &str) -> Outcome {
    (ErrorCode::InvalidRequest, message.to_owned())
}

/// That a value is not allowed, in the words of all keys.
pub(crate) fn invalid_value(key: &str, value: &str, rule: &str) -> String {
    format!("Invalid value {value} for configuration {key}: {rule}")
}

pub(crate) fn set(key: &str, value: &str) -> AlterableConfig {
    operation(0, key, Some(value))
}

pub(crate) fn delete(key: &str) -> AlterableConfig {
    operation(1, key, None)
}

pub(crate) fn append(key: &str, value: &str) -> AlterableConfig {
    operation(2, key, Some(value))
}

pub(crate) fn subtract(key: &str, value: &str) -> AlterableConfig {
    operation(3, key, Some(value))
}

pub(crate) fn operation(code: i8, key: &str, value: Option<&str>) -> AlterableConfig {
    AlterableConfig {
        name: key.into(),
        config_operation: code,
        value: value.map(Into::into),
        ..AlterableConfig::default()
    }
}

pub(crate) fn resource(resource_type: i8, name: &str, configs: &[AlterableConfig]) -> AlterConfigsResource {
    AlterConfigsResource {
        resource_type,
        resource_name: name.into(),
        configs: configs.to_vec(),
        ..AlterConfigsResource::default()
    }
}

/// Alters several resources: the answers, which are in the order of the request.
pub(crate) async fn alter_all(client: &mut RawClient, resources: &[AlterConfigsResource]) -> Vec<Outcome> {
    call(client, resources, false, INCREMENTAL).await
}

pub(crate) async fn alter(
    client: &mut RawClient,
    resource_type: i8,
    name: &str,
    configs: &[AlterableConfig],
) -> Outcome {
    only(alter_all(client, &[resource(resource_type, name, configs)]).await)
}

/// Asks what altering would do.
pub(crate) async fn validate(
    client: &mut RawClient,
    resource_type: i8,
    name: &str,
    configs: &[AlterableConfig],
) -> Outcome {
    only(call(client, &[resource(resource_type, name, configs)], true, INCREMENTAL).await)
}

pub(crate) async fn call(
    client: &mut RawClient,
    resources: &[AlterConfigsResource],
    validate_only: bool,
    version: i16,
) -> Vec<Outcome> {
    let request = IncrementalAlterConfigsRequest {
        resources: resources.to_vec(),
        validate_only,
        ..IncrementalAlterConfigsRequest::default()
    };
    let response = client.call(&request, version).await;
    let answered: Vec<_> =
        response.responses.iter().map(|answer| (answer.resource_type, answer.resource_name.clone())).collect();
    let asked: Vec<_> =
        resources.iter().map(|resource| (resource.resource_type, resource.resource_name.clone())).collect();
    assert_eq!(answered, asked);
    let outcomes = response.responses.into_iter();
    outcomes.map(|answer| outcome(answer.error_code, answer.error_message.as_deref())).collect()
}

pub(crate) fn replacement(resource_type: i8, name: &str, configs: &[(&str, Option<&str>)]) -> ReplacedResource {
    let configs = configs.iter().map(|(key, value)| ReplacingConfig {
        name: (*key).into(),
        value: value.map(Into::into),
        ..ReplacingConfig::default()
    });
    ReplacedResource {
        resource_type,
        resource_name: name.into(),
        configs: configs.collect(),
        ..ReplacedResource::default()
    }
}

/// Replaces all that resources have set: the answers, which are in the order of the request.
pub(crate) async fn replace_all(
    client: &mut RawClient,
    resources: &[ReplacedResource],
    validate_only: bool,
    version: i16,
) -> Vec<Outcome> {
    let request =
        AlterConfigsRequest { resources: resources.to_vec(), validate_only, ..AlterConfigsRequest::default() };
    let response = client.call(&request, version).await;
    let answered: Vec<_> = response.responses.iter().map(|answer| answer.resource_name.clone()).collect();
    let asked: Vec<_> = resources.iter().map(|resource| resource.resource_name.clone()).collect();
    assert_eq!(answered, asked);
    let outcomes = response.responses.into_iter();
    outcomes.map(|answer| outcome(answer.error_code, answer.error_message.as_deref())).collect()
}

pub(crate) async fn replace(
    client: &mut RawClient,
    resource_type: i8,
    name: &str,
    configs: &[(&str, Option<&str>)],
) -> Outcome {
    only(replace_all(client, &[replacement(resource_type, name, configs)], false, REPLACING).await)
}

fn outcome(code: i16, message: Option<&str>) -> Outcome {
    (error(code), message.unwrap_or_default().to_owned())
}

fn only<T: Debug>(mut answers: Vec<T>) -> T {
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.remove(0)
}

/// The keys of a resource as they are described, with their synonyms: the named ones, or all.
pub(crate) async fn describe(
    client: &mut RawClient,
    resource_type: i8,
    name: &str,
    keys: Option<&[&str]>,
) -> Vec<DescribeConfigsResourceResult> {
    let resource = DescribeConfigsResource {
        resource_type,
        resource_name: name.into(),
        configuration_keys: keys.map(|keys| keys.iter().map(|key| (*key).into()).collect()),
        ..DescribeConfigsResource::default()
    };
    let request = DescribeConfigsRequest {
        resources: vec![resource],
        include_synonyms: true,
        ..DescribeConfigsRequest::default()
    };
    let result = only(client.call(&request, DESCRIBE).await.results);
    assert_eq!(outcome(result.error_code, result.error_message.as_deref()), done(), "{name:?}");
    result.configs
}

/// Value and source of a key. A null value reads as "null".
pub(crate) async fn shown(client: &mut RawClient, resource_type: i8, name: &str, key: &str) -> (String, i8) {
    let config = only(describe(client, resource_type, name, Some(&[key])).await);
    (config.value.as_deref().unwrap_or("null").to_owned(), config.config_source)
}

/// That a resource shows this value and source: at once here, after a while where the metadata has a way to go.
pub(crate) async fn assert_shown(
    stage: &Stage,
    client: &mut RawClient,
    (resource_type, name): (i8, &str),
    key: &str,
    expected: (&str, i8),
) {
    let expected = (expected.0.to_owned(), expected.1);
    let mut found = shown(client, resource_type, name, key).await;
    if stage.is_referee() {
        within(async {
            while found != expected {
                tokio::time::sleep(POLL).await;
                found = shown(client, resource_type, name, key).await;
            }
        })
        .await;
    }
    assert_eq!(found, expected, "{key} of {name:?}");
}

/// The values that a key gets from those who could give it one, strongest first, each with who that is.
pub(crate) async fn synonyms(
    client: &mut RawClient,
    resource_type: i8,
    name: &str,
    key: &str,
) -> Vec<(String, String, i8)> {
    let config = only(describe(client, resource_type, name, Some(&[key])).await);
    let text = |value: Option<&str>| value.unwrap_or("null").to_owned();
    let synonyms = config.synonyms.iter();
    synonyms.map(|synonym| (synonym.name.to_string(), text(synonym.value.as_deref()), synonym.source)).collect()
}

/// Keeps tests apart that alter, or rest upon, what a referee has only one of: its own settings.
pub(crate) async fn alone(stage: &Stage) -> Option<MutexGuard<'static, ()>> {
    static SETTINGS: Mutex<()> = Mutex::const_new(());
    if stage.is_referee() { Some(SETTINGS.lock().await) } else { None }
}
