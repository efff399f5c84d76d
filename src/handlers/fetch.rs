//! `Fetch` (key 1): a session says what is read, a plan spends the byte budget, a delay waits for enough of it.

mod delayed;
mod plan;
pub mod session;

pub(super) use self::plan::check_leader_epoch;

use std::{sync::Arc, time::Duration};

use self::{
    delayed::DelayedFetch,
    plan::{Bounds, Isolation, Target},
    session::{PartitionKey, Plan, Position, SessionRequest, TopicKey},
};
use super::{api::Answer, context::Context};
use crate::{
    auth::{Operation, Resource},
    clock,
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
/// Below it a follower says who it is in a field of its own.
const REPLICA_STATE_FROM: i16 = 15;

/// Reads now if there is enough, else as soon as there is.
pub async fn fetch(cx: &Context, request: FetchRequest) -> Answer<FetchResponse> {
    let now = clock::monotonic();
    let plan = match cx.fetch_sessions().begin(session_request(cx, &request), now) {
        Ok(plan) => plan,
        Err(error) => return Answer::Now(FetchResponse { error_code: error.code(), ..FetchResponse::default() }),
    };
    let max_wait = Duration::from_millis(request.max_wait_ms.try_into().unwrap_or(0));
    let is_follower = is_follower(cx, &request);
    let partitions = match &plan {
        Plan::Full { partitions, .. } | Plan::Incremental { partitions, .. } => partitions,
    };
    let targets: Vec<_> = partitions.iter().map(|(key, position)| target(cx, key, *position, is_follower)).collect();
    let delayed = DelayedFetch {
        cx: cx.clone(),
        plan,
        ends: targets.iter().filter_map(Target::unseen_end).collect(),
        targets,
        bounds: bounds(cx, &request),
        min_bytes: request.min_bytes.try_into().unwrap_or(0),
        deadline: now + max_wait,
    };
    match delayed.complete_now(max_wait.is_zero()) {
        Ok(response) => Answer::Now(response),
        Err(delayed) => Answer::Later(Box::pin(delayed.complete())),
    }
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

/// The log behind a partition's key, or why there is none for this client.
fn target(cx: &Context, key: &PartitionKey, position: Position, is_follower: bool) -> Target {
    let source = (|| {
        let topic = match &key.topic {
            TopicKey::Name(name) => {
                let allowed = cx.authorize(Operation::Read, Resource::Topic(name));
                allowed.map_err(|_| ErrorCode::TopicAuthorizationFailed)?;
                cx.broker.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)?
            }
            TopicKey::Id(id) => {
                let topic = cx.broker.topic_by_id(*id).ok_or(ErrorCode::UnknownTopicId)?;
                let allowed = cx.authorize(Operation::Read, Resource::Topic(topic.name()));
                allowed.map_err(|_| ErrorCode::TopicAuthorizationFailed)?;
                topic
            }
        };
        if is_follower {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let (log, leader_epoch) = topic.partition(key.partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        Ok((Arc::clone(log), leader_epoch))
    })();
    Target { position, source }
}
