//! `FindCoordinator` (key 10): which broker coordinates a group, or a transactional id. It is always this one. Share groups
//! get INVALID_REQUEST, which is what a Kafka without a coordinator of them says.

use super::context::Context;
use crate::{
    auth::authorizer::{Operation, Resource},
    protocol::{
        error_code::ErrorCode,
        messages::{FindCoordinatorRequest, FindCoordinatorResponse, find_coordinator_response::Coordinator},
        wire::StrBytes,
    },
};

/// What a key can be the key of.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

/// From this version on there is a list of keys.
const BATCHED_FROM: i16 = 4;
/// Stands for no node.
const NO_NODE: i32 = -1;
const NO_PORT: i32 = -1;

/// An error, and what Kafka says of it.
type Refusal = (ErrorCode, &'static str);

/// Of these Kafka says nothing more where there is a list of keys.
const GROUP_DENIED: Refusal = (ErrorCode::GroupAuthorizationFailed, "Group authorization failed.");
const TRANSACTION_DENIED: Refusal =
    (ErrorCode::TransactionalIdAuthorizationFailed, "Transactional Id authorization failed.");
const CLUSTER_DENIED: Refusal = (ErrorCode::ClusterAuthorizationFailed, "Cluster authorization failed.");
const NOT_AVAILABLE: Refusal = (ErrorCode::CoordinatorNotAvailable, "The coordinator is not available.");
const INVALID: Refusal = (
    ErrorCode::InvalidRequest,
    "This most likely occurs because of a request being malformed by the client library or the message was sent to an \
     incompatible broker. See the broker logs for more details.",
);

/// Makes sure that there is the coordinator, and answers for each key.
pub async fn find_coordinator(cx: &Context, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let is_batched = cx.version >= BATCHED_FROM;
    let keys = if is_batched { request.coordinator_keys } else { vec![request.key] };
    let found = find(cx, request.key_type, &keys).await;
    if is_batched {
        let coordinators = keys.into_iter().zip(found).map(|(key, found)| coordinator(cx, key, found));
        return FindCoordinatorResponse { coordinators: coordinators.collect(), ..FindCoordinatorResponse::default() };
    }
    single(cx, found.first().copied().expect("one key has one answer"))
}

/// Whether this broker is the coordinator of each key, or why not.
async fn find(cx: &Context, key_type: i8, keys: &[StrBytes]) -> Vec<Result<(), Refusal>> {
    let allowed: Vec<_> = keys.iter().map(|key| authorize(cx, key_type, key)).collect();
    if !allowed.iter().any(Result::is_ok) {
        return allowed;
    }
    let ensured = match key_type {
        TRANSACTION => cx.transactions().ensure_topic().await,
        _ => cx.groups().ensure_topic().await,
    };
    let available = ensured.map_err(|error| {
        tracing::warn!(%error, "the topic of a coordinator could not be created");
        NOT_AVAILABLE
    });
    allowed.into_iter().map(|allowed| allowed.and(available)).collect()
}

fn authorize(cx: &Context, key_type: i8, key: &str) -> Result<(), Refusal> {
    match key_type {
        GROUP => cx.authorize(Operation::Describe, Resource::Group(key)).map_err(|_| GROUP_DENIED),
        TRANSACTION => {
            cx.authorize(Operation::Describe, Resource::TransactionalId(key)).map_err(|_| TRANSACTION_DENIED)
        }
        SHARE if cx.authorize(Operation::ClusterAction, Resource::Cluster).is_err() => Err(CLUSTER_DENIED),
        _ => Err(INVALID),
    }
}

fn coordinator(cx: &Context, key: StrBytes, found: Result<(), Refusal>) -> Coordinator {
    match found {
        Ok(()) => {
            let (host, port) = cx.advertised();
            Coordinator { key, node_id: cx.broker.node_id(), host, port, ..Coordinator::default() }
        }
        Err((error, message)) => Coordinator {
            key,
            node_id: NO_NODE,
            port: NO_PORT,
            error_code: error.code(),
            error_message: Some(StrBytes::from_static(if is_wordless(error) { "" } else { message })),
            ..Coordinator::default()
        },
    }
}

fn is_wordless(error: ErrorCode) -> bool {
    [GROUP_DENIED, TRANSACTION_DENIED].iter().any(|(denied, _)| *denied == error)
}

fn single(cx: &Context, found: Result<(), Refusal>) -> FindCoordinatorResponse {
    match found {
        Ok(()) => {
            let (host, port) = cx.advertised();
            // Kafka's text for no error.
            let error_message = Some(StrBytes::from_static(ErrorCode::None.name()));
            let node_id = cx.broker.node_id();
            FindCoordinatorResponse { error_message, node_id, host, port, ..FindCoordinatorResponse::default() }
        }
        Err((error, message)) => FindCoordinatorResponse {
            error_code: error.code(),
            error_message: Some(StrBytes::from_static(message)),
            node_id: NO_NODE,
            port: NO_PORT,
            ..FindCoordinatorResponse::default()
        },
    }
}
