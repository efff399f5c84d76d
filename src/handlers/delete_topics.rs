//! `DeleteTopics` (key 20): by name, and from version 6 on by id too.

use std::{collections::HashSet, sync::Arc};

use uuid::Uuid;

use super::{context::Context, errors, refusal::Refusal, repeated::each_once};
use crate::{
    auth::authorizer::{Operation, Resource},
    clock::wall_clock_ms,
    config::topic_name::{self, CLUSTER_METADATA_TOPIC},
    protocol::{
        error_code::ErrorCode,
        messages::{DeleteTopicsRequest, DeleteTopicsResponse, delete_topics_response::DeletableTopicResult},
        wire::StrBytes,
    },
};

/// From this version on there is an error of its own for a broker that deletes no topics.
const DELETION_DISABLED_FROM: i16 = 3;

/// How a request names a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Named {
    name: Option<StrBytes>,
    id: Uuid,
}

/// Deletes all topics in one commit, and forgets what groups have committed of them. One that is refused leaves the others
/// alone.
pub async fn delete_topics(cx: &Context, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let by_name = request.topic_names.iter().map(|name| Named { name: Some(name.clone()), id: Uuid::nil() });
    let by_either = request.topics.iter().map(|topic| Named { name: topic.name.clone(), id: topic.topic_id });
    let named: Vec<_> = by_name.chain(by_either).collect();
    let asked: HashSet<&Named> = named.iter().collect();
    let found: Vec<_> = each_once(&named, |topic| *topic)
        .into_iter()
        .map(|(topic, is_repeated)| match refusal_of_all(cx) {
            Some(refusal) => (topic, Err(refusal)),
            None if is_repeated => {
                (topic, Err(Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned())))
            }
            None => (topic, find(cx, topic, &asked)),
        })
        .collect();
    let ids = found.iter().filter_map(|(_, found)| found.as_ref().ok().map(|(_, id)| *id)).collect();
    let outcomes = delete(cx, ids).await;
    if outcomes.iter().any(Result::is_ok) {
        forget(cx).await;
    }
    let mut outcomes = outcomes.into_iter();
    let responses = found.into_iter().map(|(topic, found)| {
        let deleted = found.and_then(|found| {
            outcomes.next().expect("each topic that was found has an outcome")?;
            Ok(found)
        });
        answer(topic.clone(), deleted)
    });
    DeleteTopicsResponse { responses: responses.collect(), ..DeleteTopicsResponse::default() }
}

/// What becomes of each topic.
async fn delete(cx: &Context, ids: Vec<Uuid>) -> Vec<Result<(), Refusal>> {
    if ids.is_empty() {
        return Vec::new();
    }
    let count = ids.len();
    match cx.broker.delete_topics(ids).await {
        Ok(outcomes) => {
            let refusal = |failure| Refusal::new(errors::delete_topic(&failure), failure.to_string());
            outcomes.into_iter().map(|outcome| outcome.map_err(refusal)).collect()
        }
        Err(error) => (0..count).map(|_| Err(Refusal::new(errors::commit(&error), error.to_string()))).collect(),
    }
}

/// Forgets what groups have committed of them. All groups are looked at, so on a thread that serves no sockets.
async fn forget(cx: &Context) {
    let groups = Arc::clone(cx.groups());
    cx.heavy_work().run(move || groups.forget_gone_topics(wall_clock_ms())).await;
}

/// Why no topic can be deleted, if that is so.
fn refusal_of_all(cx: &Context) -> Option<Refusal> {
    if cx.broker.config().delete_topic_enable {
        return None;
    }
    let is_known = cx.version >= DELETION_DISABLED_FROM;
    let error = if is_known { ErrorCode::TopicDeletionDisabled } else { ErrorCode::InvalidRequest };
    Some(Refusal::new(error, "Topic deletion is disabled.".to_owned()))
}

fn answer(topic: Named, outcome: Result<(StrBytes, Uuid), Refusal>) -> DeletableTopicResult {
    match outcome {
        Ok((name, topic_id)) => DeletableTopicResult { name: Some(name), topic_id, ..DeletableTopicResult::default() },
        Err(refusal) => {
            let (error_code, error_message) = Refusal::answer(Err(refusal));
            let Named { name, id: topic_id } = topic;
            DeletableTopicResult { name, topic_id, error_code, error_message, ..DeletableTopicResult::default() }
        }
    }
}

/// The topic that is to be deleted. Whoever may not look at a topic is told nothing of it, not even its name. Kafka deletes
/// internal topics too, and every group with its offsets and every transaction is gone with them.
fn find(cx: &Context, topic: &Named, asked: &HashSet<&Named>) -> Result<(StrBytes, Uuid), Refusal> {
    if let Some(name) = &topic.name {
        authorize(cx, name)?;
    }
    let (name, id) = resolve(cx, topic)?;
    authorize(cx, &name)?;
    let (by_name, by_id) = (Named { name: Some(name.clone()), id: Uuid::nil() }, Named { name: None, id });
    if asked.contains(&by_name) && asked.contains(&by_id) {
        return Err(Refusal::new(
            ErrorCode::InvalidRequest,
            "The topic is named by its name and by its id.".to_owned(),
        ));
    }
    if topic_name::is_internal(&name) {
        let message = format!("The internal topic {name} cannot be deleted: groups and transactions are kept in it.");
        return Err(Refusal::new(ErrorCode::InvalidRequest, message));
    }
    Ok((name, id))
}

/// Whoever may delete anything in the cluster, or look at this topic and delete it.
fn authorize(cx: &Context, name: &str) -> Result<(), Refusal> {
    if cx.may(Operation::Delete, Resource::Cluster) {
        return Ok(());
    }
    let may = |operation| cx.authorize(operation, Resource::Topic(name)).is_ok();
    let (sees, deletes) = (may(Operation::Describe), may(Operation::Delete));
    if sees && deletes { Ok(()) } else { Err(Refusal::of_topic()) }
}

/// The topic's name and id, whichever of them was given.
fn resolve(cx: &Context, topic: &Named) -> Result<(StrBytes, Uuid), Refusal> {
    let image = cx.broker.image();
    match (&topic.name, topic.id) {
        (Some(_), id) if !id.is_nil() => {
            Err(Refusal::new(ErrorCode::InvalidRequest, "You may not specify both topic name and topic id.".to_owned()))
        }
        (None, id) if id.is_nil() => {
            Err(Refusal::new(ErrorCode::InvalidRequest, "Neither topic name nor id were specified.".to_owned()))
        }
        (Some(name), _) => match image.topic(name) {
            Some(found) => Ok((name.clone(), found.id)),
            None if name == CLUSTER_METADATA_TOPIC => {
                Err(Refusal::new(ErrorCode::InvalidRequest, "The metadata log cannot be deleted.".to_owned()))
            }
            None => Err(Refusal::new(
                ErrorCode::UnknownTopicOrPartition,
                "This server does not host this topic-partition.".to_owned(),
            )),
        },
        (None, id) => match image.topic_by_id(id) {
            Some(found) => Ok((found.name.as_ref().into(), id)),
            None => Err(Refusal::new(ErrorCode::UnknownTopicId, "This server does not host this topic ID.".to_owned())),
        },
    }
}
