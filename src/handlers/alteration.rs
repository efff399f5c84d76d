//! What `AlterConfigs` and `IncrementalAlterConfigs` have in common: each resource succeeds or fails by itself.
//!
//! The checks that come before the metadata's, and their texts, are those of Kafka's `ConfigAdminManager` and
//! `ControllerConfigurationValidator`.

use std::{collections::BTreeMap, sync::Arc};

use super::{config_resources, context::Context, errors, loggers, refusal::Refusal, repeated::repeated};
use crate::{
    auth::authorizer::{Operation, Resource},
    config::topic_name::{self, TopicNameError},
    metadata::{
        configs::{Alteration, Change, Edit},
        image::ConfigResource,
    },
    protocol::{error_code::ErrorCode, wire::StrBytes},
};

/// What is asked of one resource, as it came.
pub struct Asked {
    /// `ConfigResource` type.
    pub resource_type: i8,
    /// Topic name, node id, or empty for all brokers.
    pub name: StrBytes,
    /// Key, operation, value.
    pub configs: Vec<(StrBytes, Op, Option<StrBytes>)>,
    /// Whether these take the place of all that is set.
    pub replaces: bool,
}

/// What to do with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Code 0.
    Set,
    /// Code 1.
    Delete,
    /// Code 2: add to a list.
    Append,
    /// Code 3: take from a list.
    Subtract,
    /// Any other.
    Unknown(i8),
}

impl From<i8> for Op {
    fn from(code: i8) -> Self {
        match code {
            0 => Self::Set,
            1 => Self::Delete,
            2 => Self::Append,
            3 => Self::Subtract,
            code => Self::Unknown(code),
        }
    }
}

/// What is left to do for a resource that was not refused.
enum Todo {
    /// To be committed.
    Commit(Alteration),
    /// It is done.
    Done,
}

/// What became of each resource that something was asked of.
pub type Answered = Vec<(Asked, Result<(), Refusal>)>;

/// Alters each, or says whether it could be.
pub async fn alter(cx: &Context, asked: Vec<Asked>, validate_only: bool) -> Answered {
    if let Some(refusal) = config_resources::refusal_of_all(asked.len()) {
        return asked.into_iter().map(|asked| (asked, Err(refusal.clone()))).collect();
    }
    let preparing = cx.clone();
    let prepare = move || {
        let prepared = prepare_all(&preparing, &asked, validate_only);
        (asked, prepared)
    };
    let (asked, prepared) = cx.heavy_work().run(prepare).await;
    let mut committed = commit(cx, &prepared, validate_only).await.into_iter();
    let outcomes = prepared.into_iter().map(|prepared| match prepared? {
        Todo::Done => Ok(()),
        Todo::Commit(_) => committed.next().expect("each alteration has an outcome"),
    });
    asked.into_iter().zip(outcomes).collect()
}

/// What is left to do for each.
fn prepare_all(cx: &Context, asked: &[Asked], validate_only: bool) -> Vec<Result<Todo, Refusal>> {
    let twice = repeated(asked.iter().map(|asked| (asked.resource_type, &asked.name)));
    let prepared = asked.iter().map(|asked| {
        if twice.contains(&(asked.resource_type, &asked.name)) {
            return Err(Refusal::new(ErrorCode::InvalidRequest, "Each resource must appear at most once."));
        }
        prepare(cx, asked, validate_only)
    });
    prepared.collect()
}

/// What became of each that is to be committed.
async fn commit(cx: &Context, prepared: &[Result<Todo, Refusal>], validate_only: bool) -> Vec<Result<(), Refusal>> {
    let alterations: Vec<Alteration> = prepared
        .iter()
        .filter_map(|prepared| match prepared {
            Ok(Todo::Commit(alteration)) => Some(alteration.clone()),
            Ok(Todo::Done) | Err(_) => None,
        })
        .collect();
    let count = alterations.len();
    let broker = Arc::clone(&cx.broker);
    let outcomes = if validate_only {
        Ok(cx.heavy_work().run(move || broker.validate_configs(&alterations)).await)
    } else {
        broker.alter_configs(alterations).await
    };
    match outcomes {
        Ok(outcomes) => {
            let refuse = |error| Refusal::new(errors::alter_config(&error), error.to_string());
            outcomes.into_iter().map(|outcome| outcome.map_err(refuse)).collect()
        }
        Err(error) => vec![Err(Refusal::new(errors::commit(&error), error.to_string())); count],
    }
}

fn prepare(cx: &Context, asked: &Asked, validate_only: bool) -> Result<Todo, Refusal> {
    authorize(cx, asked)?;
    let invalid = |message: String| Refusal::new(ErrorCode::InvalidRequest, message);
    if !repeated(asked.configs.iter().map(|(key, ..)| key)).is_empty() {
        return Err(invalid("Error due to duplicate config keys".to_owned()));
    }
    let valueless = asked.configs.iter().filter(|(_, op, value)| *op != Op::Delete && value.is_none());
    let valueless: Vec<&str> = valueless.map(|(key, ..)| key.as_str()).collect();
    if !valueless.is_empty() {
        return Err(invalid(format!("Null value not supported for : {}", valueless.join(", "))));
    }
    let resource = match asked.resource_type {
        ConfigResource::BROKER_LOGGER if !asked.replaces => {
            own_node(cx, &asked.name)?;
            loggers::alter(cx.log_levels(), &asked.configs, validate_only)?;
            return Ok(Todo::Done);
        }
        ConfigResource::BROKER if asked.name.is_empty() => ConfigResource::brokers(),
        ConfigResource::BROKER => {
            own_node(cx, &asked.name)?;
            ConfigResource::broker(cx.broker.node_id())
        }
        ConfigResource::TOPIC => {
            check_topic_name(&asked.name)?;
            ConfigResource::topic(&asked.name)
        }
        kind @ (ConfigResource::GROUP | ConfigResource::CLIENT_METRICS) => {
            ConfigResource { kind, name: asked.name.to_string() }
        }
        kind => return Err(invalid(format!("Unknown resource type {kind}"))),
    };
    Ok(Todo::Commit(Alteration { resource, change: change(asked)? }))
}

fn authorize(cx: &Context, asked: &Asked) -> Result<(), Refusal> {
    let (resource, denied) = match asked.resource_type {
        ConfigResource::TOPIC => (Resource::Topic(&asked.name), Refusal::of_topic()),
        ConfigResource::GROUP => (Resource::Group(&asked.name), Refusal::of_group()),
        _ => (Resource::Cluster, Refusal::wordless(ErrorCode::ClusterAuthorizationFailed)),
    };
    cx.authorize(Operation::AlterConfigs, resource).map_err(|_| denied)
}

/// The settings of other brokers are not ours to change.
fn own_node(cx: &Context, name: &str) -> Result<(), Refusal> {
    let invalid = |message: String| Refusal::new(ErrorCode::InvalidRequest, message);
    let id: i32 = name.parse().map_err(|_| invalid(format!("Node id must be an integer, but it is: {name}")))?;
    let own = cx.broker.node_id();
    if id == own { Ok(()) } else { Err(invalid(format!("Unexpected broker id, expected {own}, but received {name}"))) }
}

fn check_topic_name(name: &str) -> Result<(), Refusal> {
    if name.is_empty() {
        return Err(Refusal::new(ErrorCode::InvalidRequest, "Default topic resources are not allowed."));
    }
    topic_name::validate(name)
        .map_err(|error: TopicNameError| Refusal::new(ErrorCode::InvalidTopicException, error.to_string()))
}

/// Every value is there, except where a key is deleted.
fn change(asked: &Asked) -> Result<Change, Refusal> {
    let text = |value: &Option<StrBytes>| value.as_ref().map(ToString::to_string).unwrap_or_default();
    if asked.replaces {
        let texts = asked.configs.iter().map(|(key, _, value)| (key.to_string(), text(value)));
        return Ok(Change::Replace(texts.collect()));
    }
    let mut edits = BTreeMap::new();
    for (key, op, value) in &asked.configs {
        let edit = match op {
            Op::Set => Edit::Set(text(value)),
            Op::Delete => Edit::Delete,
            Op::Append => Edit::Append(text(value)),
            Op::Subtract => Edit::Subtract(text(value)),
            Op::Unknown(code) => {
                return Err(Refusal::new(ErrorCode::InvalidRequest, format!("Unknown operations type {code}")));
            }
        };
        edits.insert(key.to_string(), edit);
    }
    Ok(Change::Edit(edits))
}
