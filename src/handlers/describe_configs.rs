//! `DescribeConfigs` (key 32).

use std::collections::HashSet;

use super::{
    config_entry::{self, ConfigEntry, ConfigSource},
    config_resources,
    context::Context,
    refusal::Refusal,
};
use crate::{
    auth::authorizer::{Operation, Resource},
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

/// The bytes, as [`size`] counts them, after which a response takes no other resource: more than all keys of 10,000 topics
/// have. A request of some bytes a resource must not fill the memory.
const BYTES_MAX: usize = 96 * 1024 * 1024;

/// Answers for each resource in the order of the request; one that is refused leaves the others alone.
pub async fn describe_configs(cx: &Context, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = match config_resources::refusal_of_all(request.resources.len()) {
        Some(refusal) => request.resources.iter().map(|resource| refused(resource, refusal.clone())).collect(),
        None => {
            let describing = cx.clone();
            cx.heavy_work().run(move || describe_all(&describing, &request)).await
        }
    };
    DescribeConfigsResponse { results, ..DescribeConfigsResponse::default() }
}

fn describe_all(cx: &Context, request: &DescribeConfigsRequest) -> Vec<DescribeConfigsResult> {
    let mut describer = Describer {
        cx,
        image: &cx.broker.image(),
        include_synonyms: request.include_synonyms,
        include_documentation: request.include_documentation,
        room: Room(BYTES_MAX),
    };
    request.resources.iter().map(|resource| describer.describe(resource)).collect()
}

fn refused(resource: &DescribeConfigsResource, refusal: Refusal) -> DescribeConfigsResult {
    let (error_code, error_message) = Refusal::answer(Err(refusal));
    DescribeConfigsResult {
        error_code,
        error_message,
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.clone(),
        ..DescribeConfigsResult::default()
    }
}

/// What the resources of a request share.
struct Describer<'a> {
    cx: &'a Context,
    image: &'a Image,
    include_synonyms: bool,
    include_documentation: bool,
    room: Room,
}

/// How many bytes the response still has room for.
struct Room(usize);

impl Room {
    fn require(&self) -> Result<(), Refusal> {
        let message = StrBytes::from_static("The response has no room for more: ask for fewer resources at a time.");
        if self.0 > 0 { Ok(()) } else { Err(Refusal::new(ErrorCode::InvalidRequest, message)) }
    }

    fn take(&mut self, configs: &[DescribeConfigsResourceResult]) {
        self.0 = self.0.saturating_sub(configs.iter().map(size).sum());
    }
}

/// The bytes that a key takes before it is written, and its texts when it is.
fn size(config: &DescribeConfigsResourceResult) -> usize {
    let texts = |name: &StrBytes, value: &Option<StrBytes>| name.len() + value.as_ref().map_or(0, StrBytes::len);
    let synonym = |synonym: &DescribeConfigsSynonym| size_of_val(synonym) + texts(&synonym.name, &synonym.value);
    let synonyms: usize = config.synonyms.iter().map(synonym).sum();
    let documentation = config.documentation.as_ref().map_or(0, StrBytes::len);
    size_of_val(config) + texts(&config.name, &config.value) + documentation + synonyms
}

impl Describer<'_> {
    fn describe(&mut self, resource: &DescribeConfigsResource) -> DescribeConfigsResult {
        match authorize(self.cx, resource).and_then(|()| self.entries(resource)) {
            Ok(configs) => {
                self.room.take(&configs);
                DescribeConfigsResult {
                    error_message: None,
                    resource_type: resource.resource_type,
                    resource_name: resource.resource_name.clone(),
                    configs,
                    ..DescribeConfigsResult::default()
                }
            }
            Err(refusal) => refused(resource, refusal),
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
                self.results(config_entry::of_broker(values, &wanted))
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
            name: synonym.name,
            value: synonym.value,
            source: synonym.source.code(),
            ..DescribeConfigsSynonym::default()
        });
        DescribeConfigsResourceResult {
            name: entry.name,
            value: entry.value,
            read_only: entry.is_read_only,
            is_default: self.cx.version == 0 && source == ConfigSource::Default,
            config_source: source.code(),
            is_sensitive: entry.key.is_sensitive(),
            synonyms: synonyms.collect(),
            config_type,
            documentation: self.include_documentation.then(|| config_entry::documentation(entry.key)),
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
    let (asked, denied) = match resource.resource_type {
        ConfigResource::TOPIC => (Resource::Topic(&resource.resource_name), Refusal::of_topic()),
        ConfigResource::GROUP => (Resource::Group(&resource.resource_name), Refusal::of_group()),
        ConfigResource::BROKER | ConfigResource::BROKER_LOGGER | ConfigResource::CLIENT_METRICS => {
            (Resource::Cluster, Refusal::of_cluster())
        }
        _ => return Err(unknown_type(resource)),
    };
    cx.authorize(Operation::DescribeConfigs, asked).map_err(|_| denied)
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
    use std::collections::BTreeMap;

    use super::*;
    use crate::{config::broker::BrokerValues, handlers::config_resources::RESOURCES_MAX};

    /// The keys of a topic that sets none, as described without synonyms and documentation.
    fn of_topic() -> Vec<DescribeConfigsResourceResult> {
        let (values, none) = (BrokerValues::default(), BTreeMap::new());
        let results = config_entry::of_topic(&values, &none, |_| true).map(|entry| DescribeConfigsResourceResult {
            name: entry.key.name.into(),
            value: entry.value,
            ..DescribeConfigsResourceResult::default()
        });
        results.collect()
    }

    #[test]
    fn a_response_has_room_for_all_keys_of_all_topics_that_it_may_name() {
        let (mut room, topic) = (Room(BYTES_MAX), of_topic());
        for _ in 0..RESOURCES_MAX {
            assert!(room.require().is_ok());
            room.take(&topic);
        }
    }

    #[test]
    fn a_full_response_has_room_for_no_other_resource() {
        let topic = of_topic();
        let bytes: usize = topic.iter().map(size).sum();
        let mut room = Room(bytes + 1);
        for left in [1, 0] {
            assert!(room.require().is_ok());
            room.take(&topic);
            assert_eq!(room.0, left);
        }
        let (error, _) = Refusal::answer(room.require());
        assert_eq!(error, ErrorCode::InvalidRequest.code());
    }

    #[test]
    fn texts_and_synonyms_take_room() {
        let config = |documentation: Option<StrBytes>, synonyms| DescribeConfigsResourceResult {
            name: "name".into(),
            documentation,
            synonyms,
            ..DescribeConfigsResourceResult::default()
        };
        let synonym = DescribeConfigsSynonym { value: Some("value".into()), ..DescribeConfigsSynonym::default() };
        let bare = size(&config(None, vec![]));
        assert_eq!(size(&config(Some("about".into()), vec![])), bare + 5);
        assert_eq!(size(&config(None, vec![synonym])), bare + size_of::<DescribeConfigsSynonym>() + 5);
    }
}
