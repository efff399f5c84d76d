//! `Fetch` (key 1): a session says what is read, a plan spends the byte budget, a delay waits for enough of it.

mod delayed;
mod plan;
pub mod session;

pub(super) use self::plan::check_leader_epoch;

use std::{sync::Arc, time::Duration};

use self::{
    delayed::DelayedFetch,
    plan::{Bounds, Isolation, Target, Unreadable},
    session::{Asked, PARTITIONS_MAX, PartitionKey, Position, SessionRequest, TopicKey},
};
use super::{api::Answer, context::Context};
use crate::{
    auth::authorizer::{Operation, Resource},
    broker::HostedTopic,
    clock,
    log::partition_log::PartitionLog,
    network::Refusal,
    protocol::{
        error_code::ErrorCode,
        messages::{
            FetchRequest, FetchResponse,
            fetch_request::{FetchTopic, ForgottenTopic},
        },
    },
};

/// From this version on topics are named by id.
const TOPIC_IDS_FROM: i16 = 13;
/// From this version on a response as a whole can have an error.
const ERROR_FROM: i16 = 7;
/// Below it a follower says who it is in a field of its own.
const REPLICA_STATE_FROM: i16 = 15;

/// Reads now if there is enough, else as soon as there is.
pub async fn fetch(cx: &Context, request: FetchRequest) -> Answer<FetchResponse> {
    if partitions_named(&request) > PARTITIONS_MAX {
        return refused(cx, ErrorCode::InvalidRequest);
    }
    let now = clock::monotonic();
    let plan = match cx.fetch_sessions().begin(session_request(cx, &request), now) {
        Ok(plan) => plan,
        Err(error) => return refused(cx, error),
    };
    let max_wait = Duration::from_millis(request.max_wait_ms.try_into().unwrap_or(0));
    let is_follower = is_follower(cx, &request);
    let targets: Arc<[Target]> = plan.partitions().iter().map(|asked| target(cx, asked, is_follower)).collect();
    let bounds = bounds(cx, &request);
    let delayed = DelayedFetch {
        cx: cx.clone(),
        plan,
        ends: unseen_ends(&targets),
        targets,
        bounds,
        // More than it may get it does not have to wait for.
        min_bytes: bounds.max_bytes.min(request.min_bytes.try_into().unwrap_or(0)),
        deadline: now + max_wait,
    };
    match delayed.complete_now(max_wait.is_zero()) {
        Ok(response) => Answer::Now(response),
        Err(delayed) => Answer::Later(Box::pin(delayed.complete())),
    }
}

fn partitions_named(request: &FetchRequest) -> usize {
    let wanted: usize = request.topics.iter().map(|topic| topic.partitions.len()).sum();
    let forgotten: usize = request.forgotten_topics_data.iter().map(|topic| topic.partitions.len()).sum();
    wanted.saturating_add(forgotten)
}

fn refused(cx: &Context, error: ErrorCode) -> Answer<FetchResponse> {
    if cx.version < ERROR_FROM {
        return Answer::Close(Refusal::new(format!("a fetch request failed with {}", error.name())));
    }
    Answer::Now(FetchResponse { error_code: error.code(), ..FetchResponse::default() })
}

/// The logs that are read at their end and have records there that consumers do not see yet.
fn unseen_ends(targets: &[Target]) -> Vec<(usize, Arc<PartitionLog>, i64)> {
    let ends = targets.iter().enumerate().filter_map(|(place, target)| {
        let (log, end) = target.unseen_end()?;
        Some((place, log, end))
    });
    ends.collect()
}

fn bounds(cx: &Context, request: &FetchRequest) -> Bounds {
    let limit = cx.broker.config().fetch_max_bytes.cast_signed();
    Bounds {
        max_bytes: request.max_bytes.min(limit).try_into().unwrap_or(0),
        isolation: if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted },
    }
}

/// Replicas of this broker's partitions are on this broker alone; whoever says to be another is none
/// (CVE-2018-1288).
fn is_follower(cx: &Context, request: &FetchRequest) -> bool {
    let replica_id =
        if cx.version < REPLICA_STATE_FROM { request.replica_id } else { request.replica_state.replica_id };
    replica_id >= 0
}

fn session_request(cx: &Context, request: &FetchRequest) -> SessionRequest {
    let uses_topic_ids = cx.version >= TOPIC_IDS_FROM;
    let mut wanted = Vec::new();
    for topic in &request.topics {
        // A copy: a session must not keep the frame of the request that opened it.
        let key = topic_key(uses_topic_ids, topic);
        wanted.extend(topic.partitions.iter().map(|partition| {
            let position = Position {
                fetch_offset: partition.fetch_offset,
                max_bytes: partition.partition_max_bytes,
                current_leader_epoch: Some(partition.current_leader_epoch).filter(|epoch| *epoch >= 0),
                last_fetched_epoch: Some(partition.last_fetched_epoch).filter(|epoch| *epoch >= 0),
            };
            (PartitionKey { topic: key.clone(), partition: partition.partition }, position)
        }));
    }
    SessionRequest {
        id: request.session_id,
        epoch: request.session_epoch,
        uses_topic_ids,
        wanted,
        forgotten: forgotten(uses_topic_ids, &request.forgotten_topics_data),
    }
}

fn topic_key(uses_topic_ids: bool, topic: &FetchTopic) -> TopicKey {
    if uses_topic_ids { TopicKey::Id(topic.topic_id) } else { TopicKey::Name(topic.topic.as_str().into()) }
}

fn forgotten(uses_topic_ids: bool, topics: &[ForgottenTopic]) -> Vec<PartitionKey> {
    let mut keys = Vec::new();
    for topic in topics {
        let key =
            if uses_topic_ids { TopicKey::Id(topic.topic_id) } else { TopicKey::Name(topic.topic.as_str().into()) };
        let partitions = topic.partitions.iter();
        keys.extend(partitions.map(|&partition| PartitionKey { topic: key.clone(), partition }));
    }
    keys
}

/// The log behind a partition, or why there is none for this client.
fn target(cx: &Context, asked: &Asked, is_follower: bool) -> Target {
    let partition = asked.key.partition;
    let topic = topic(cx, asked, is_follower);
    let topic_name = match (&asked.key.topic, &topic) {
        (TopicKey::Id(_), Ok(topic)) => topic.logs().next().map(|log| Arc::clone(&log.topic_partition().topic)),
        _ => None,
    };
    let source = topic.map_err(Unreadable::from).and_then(|topic| {
        let (log, leader_epoch) = topic.partition(partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if is_follower {
            let (error, leader_epoch) = (ErrorCode::NotLeaderOrFollower, Some(leader_epoch));
            return Err(Unreadable { error, leader_epoch });
        }
        Ok((Arc::clone(log), leader_epoch))
    });
    Target { topic_name, position: asked.position, source }
}

fn topic(cx: &Context, asked: &Asked, is_follower: bool) -> Result<Arc<HostedTopic>, ErrorCode> {
    let allowed = |name: &str| {
        let allowed = match is_follower {
            true => cx.authorize(Operation::ClusterAction, Resource::Cluster),
            false => cx.authorize(Operation::Read, Resource::Topic(name)),
        };
        allowed.map_err(|_| ErrorCode::TopicAuthorizationFailed)
    };
    match (&asked.key.topic, &asked.topic_name) {
        (TopicKey::Name(name), _) => {
            allowed(name)?;
            cx.broker.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)
        }
        (TopicKey::Id(id), known_as) => match (cx.broker.topic_by_id(*id), known_as) {
            (Some(topic), _) => allowed(topic.name()).map(|()| topic),
            (None, Some(name)) => {
                allowed(name)?;
                Err(successor(cx, name, asked.key.partition))
            }
            (None, None) => Err(ErrorCode::UnknownTopicId),
        },
    }
}

/// What is said of a topic that the session knew by id, and that is gone: whether another one took its name.
fn successor(cx: &Context, name: &str, partition: i32) -> ErrorCode {
    match cx.broker.topic(name) {
        Some(topic) if topic.partition(partition).is_some() => ErrorCode::InconsistentTopicId,
        Some(_) | None => ErrorCode::UnknownTopicOrPartition,
    }
}
