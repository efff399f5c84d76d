//! `DescribeConfigs` (key 32).

use std::collections::HashSet;

use super::{
    config_entry::{self, ConfigEntry, ConfigSource},
    context::Context,
    refusal::Refusal,
};
use crate::{
    auth::{Operation, Resource},
    config::topic_name,
    metadata::image::{ConfigResource, Image},
    protocol::{
        error_code::ErrorCode,
        messages::{
            DescribeConfigsRequest, DescribeConfigsResponse,
            describe_configs_request::DescribeConfigsResource,
            describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym},
        },
        wire::StrBytes,
    },
};

/// The most keys of one response: those of 10,000 topics. A request of some bytes a resource must not fill the memory.
const ENTRIES_MAX: usize = 400_000;

/// Answers for each resource in the order of the request; one that is refused leaves the others alone.
pub async fn describe_configs(cx: &Context, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let mut describer = Describer {
        cx,
        image: &cx.broker.image(),
        include_synonyms: request.include_synonyms,
        include_documentation: request.include_documentation,
        room: Room(ENTRIES_MAX),
    };
    let results = request.resources.iter().map(|resource| describer.describe(resource)).collect();
    DescribeConfigsResponse { results, ..DescribeConfigsResponse::default() }
}

/// What the resources of a request share.
struct Describer<'a> {
    cx: &'a Context,
    image: &'a Image,
    include_synonyms: bool,
    include_documentation: bool,
    room: Room,
}

/// How many keys the response still has room for.
struct Room(usize);

impl Room {
    fn require(&self) -> Result<(), Refusal> {
        if self.0 > 0 {
            return Ok(());
        }
        let message = format!("One response has room for {ENTRIES_MAX} keys: ask for fewer resources at a time.");
        Err(Refusal::new(ErrorCode::InvalidRequest, message))
    }

    fn take(&mut self, keys: usize) {
        self.0 = self.0.saturating_sub(keys);
    }
}

impl Describer<'_> {
    fn describe(&mut self, resource: &DescribeConfigsResource) -> DescribeConfigsResult {
        let described = authorize(self.cx, resource).and_then(|()| self.entries(resource));
        let (error, message, configs) = match described {
            Ok(configs) => (ErrorCode::None, None, configs),
            Err(Refusal { error, message }) => (error, message, Vec::new()),
        };
        self.room.take(configs.len());
        DescribeConfigsResult {
            error_code: error.code(),
            error_message: message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            configs,
            ..DescribeConfigsResult::default()
        }
    }

    fn entries(&self, resource: &DescribeConfigsResource) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
        self.room.require()?;
        let config = self.cx.broker.config();
        let (name, values) = (resource.resource_name.as_str(), &config.values);
        let keys = wanted_keys(resource);
        let wanted = |key: &str| keys.as_ref().is_none_or(|keys| keys.contains(key));
        let overrides = |kind| self.image.config(&ConfigResource { kind, name: name.to_owned() });
        Ok(match resource.resource_type {
            ConfigResource::TOPIC => {
                self.check_topic(name)?;
                self.results(config_entry::of_topic(values, overrides(ConfigResource::TOPIC), wanted))
            }
            ConfigResource::BROKER if name.is_empty() => self.results(config_entry::of_all_brokers(values, wanted)),
            ConfigResource::BROKER => {
                self.check_broker(name)?;
                self.results(config_entry::of_broker(values, wanted))
            }
            ConfigResource::BROKER_LOGGER => {
                require_name(name, "Broker id must not be empty")?;
                self.check_broker(name)?;
                self.loggers(wanted)
            }
            ConfigResource::CLIENT_METRICS => {
                require_name(name, "Client metrics subscription name must not be empty")?;
                self.results(config_entry::of_client_metrics(overrides(ConfigResource::CLIENT_METRICS), wanted))
            }
            ConfigResource::GROUP => {
                require_name(name, "Group name must not be empty")?;
                self.results(config_entry::of_group(values, overrides(ConfigResource::GROUP), wanted))
            }
            _ => return Err(unknown_type(resource)),
        })
    }

    fn check_topic(&self, name: &str) -> Result<(), Refusal> {
        topic_name::validate(name)
            .map_err(|error| Refusal::new(ErrorCode::InvalidTopicException, error.to_string()))?;
        match self.image.topic(name) {
            Some(_) => Ok(()),
            None => Err(Refusal::wordless(ErrorCode::UnknownTopicOrPartition)),
        }
    }

    fn check_broker(&self, name: &str) -> Result<(), Refusal> {
        let invalid = |message| Err(Refusal::new(ErrorCode::InvalidRequest, message));
        match (name.parse::<i32>(), self.cx.broker.node_id()) {
            (Err(_), _) => invalid(format!("Broker id must be an integer, but it is: {name}")),
            (Ok(id), own) if id != own => {
                invalid(format!("Unexpected broker id, expected {own} or empty string, but received {name}"))
            }
            (Ok(_), _) => Ok(()),
        }
    }

    /// Each logger is a key, and its level the value.
    fn loggers(&self, wanted: impl Fn(&str) -> bool) -> Vec<DescribeConfigsResourceResult> {
        let levels = self.cx.log_levels().all().into_iter().filter(|(logger, _)| wanted(logger));
        let results = levels.map(|(logger, level)| DescribeConfigsResourceResult {
            name: logger.into(),
            value: Some(level.to_string().into()),
            config_source: ConfigSource::BrokerLogger.code(),
            ..DescribeConfigsResourceResult::default()
        });
        results.collect()
    }

    fn results(&self, entries: impl Iterator<Item = ConfigEntry>) -> Vec<DescribeConfigsResourceResult> {
        entries.map(|entry| self.result(entry)).collect()
    }

    fn result(&self, entry: ConfigEntry) -> DescribeConfigsResourceResult {
        let (source, config_type) = (entry.source(), entry.type_code());
        let synonyms = if self.include_synonyms { entry.synonyms } else { Vec::new() };
        let synonyms = synonyms.into_iter().map(|synonym| DescribeConfigsSynonym {
            name: StrBytes::from_static(synonym.name),
            value: synonym.value,
            source: synonym.source.code(),
            ..DescribeConfigsSynonym::default()
        });
        DescribeConfigsResourceResult {
            name: StrBytes::from_static(entry.key.name),
            value: entry.value,
            read_only: entry.is_read_only,
            is_default: self.cx.version == 0 && source == ConfigSource::Default,
            config_source: source.code(),
            is_sensitive: entry.key.is_sensitive(),
            synonyms: synonyms.collect(),
            config_type,
            documentation: self.include_documentation.then(|| entry.key.documentation().into()),
            ..DescribeConfigsResourceResult::default()
        }
    }
}

/// The keys that are asked for; `None` for all, as an empty list is.
fn wanted_keys(resource: &DescribeConfigsResource) -> Option<HashSet<&str>> {
    let keys = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty())?;
    Some(keys.iter().map(StrBytes::as_str).collect())
}

fn authorize(cx: &Context, resource: &DescribeConfigsResource) -> Result<(), Refusal> {
    let (asked, error, message) = match resource.resource_type {
        ConfigResource::TOPIC => (
            Resource::Topic(&resource.resource_name),
            ErrorCode::TopicAuthorizationFailed,
            "Topic authorization failed.",
        ),
        ConfigResource::GROUP => (
            Resource::Group(&resource.resource_name),
            ErrorCode::GroupAuthorizationFailed,
            "Group authorization failed.",
        ),
        ConfigResource::BROKER | ConfigResource::BROKER_LOGGER | ConfigResource::CLIENT_METRICS => {
            (Resource::Cluster, ErrorCode::ClusterAuthorizationFailed, "Cluster authorization failed.")
        }
        _ => return Err(unknown_type(resource)),
    };
    cx.authorize(Operation::DescribeConfigs, asked).map_err(|_| Refusal::new(error, message))
}

fn require_name(name: &str, otherwise: &'static str) -> Result<(), Refusal> {
    if name.is_empty() { Err(Refusal::new(ErrorCode::InvalidRequest, otherwise)) } else { Ok(()) }
}

/// Kafka refuses the whole request, without a word about the resource.
fn unknown_type(resource: &DescribeConfigsResource) -> Refusal {
    let DescribeConfigsResource { resource_type, resource_name, .. } = resource;
    let message = format!("Unexpected resource type {resource_type} for resource {resource_name}");
    Refusal::new(ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_response_has_room_for_no_other_resource() {
        let mut room = Room(50);
        for left in [29, 8, 0] {
            assert!(room.require().is_ok());
            room.take(21);
            assert_eq!(room.0, left);
        }
        assert_eq!(room.require().expect_err("full").error, ErrorCode::InvalidRequest);
    }
}
