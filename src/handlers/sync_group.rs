//! `SyncGroup` (key 14): the leader brings the assignments of a generation, and every member gets its own.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    api::Answer,
    context::Context,
    coordinated::{answer_of_group, check_group},
    errors,
};
use crate::{
    auth::authorizer::Operation,
    coordinator::error::CoordinatorError,
    groups::group::{Reply, Sync, Synced},
    protocol::{
        error_code::ErrorCode,
        messages::{SyncGroupRequest, SyncGroupResponse},
        wire::StrBytes,
    },
};

/// From this version on a member says which protocol it believes in.
const PROTOCOL_FROM: i16 = 5;

/// Answers once the leader has been here.
pub async fn sync_group(cx: &Context, request: SyncGroupRequest) -> Answer<SyncGroupResponse> {
    if let Err(error) = check(cx, &request) {
        return refused(error).into();
    }
    let sync = sync(&request);
    let pending =
        cx.groups().runtime().ask(&request.group_id, |group, cx, ticket, out| group.sync(cx, ticket, sync, out));
    answer_of_group(cx, pending, |reply| outcome(reply).map_or_else(refused, response))
}

fn check(cx: &Context, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
    let names_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
    if cx.version >= PROTOCOL_FROM && !names_protocol {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    check_group(cx, Operation::Read, &request.group_id)
}

/// What stays in the group is copied out of the frame.
fn sync(request: &SyncGroupRequest) -> Sync {
    let assignments = request.assignments.iter();
    Sync {
        group_id: Arc::from(&request.group_id),
        member_id: Arc::from(&request.member_id),
        group_instance_id: request.group_instance_id.as_ref().map(Arc::from),
        generation: request.generation_id,
        protocol_type: request.protocol_type.as_ref().map(Arc::from),
        protocol_name: request.protocol_name.as_ref().map(Arc::from),
        assignments: assignments
            .map(|member| (Arc::from(&member.member_id), Bytes::copy_from_slice(&member.assignment)))
            .collect(),
    }
}

fn outcome(reply: Result<Reply, CoordinatorError>) -> Result<Synced, ErrorCode> {
    match reply.map_err(|error| errors::coordinator(&error))? {
        Reply::Sync(synced) => synced.map_err(|error| errors::group(&error)),
        Reply::Join(_) => unreachable!("a sync is answered as one"),
    }
}

fn response(synced: Synced) -> SyncGroupResponse {
    SyncGroupResponse {
        protocol_type: synced.protocol_type.as_deref().map(StrBytes::from),
        protocol_name: synced.protocol_name.as_deref().map(StrBytes::from),
        assignment: synced.assignment,
        ..SyncGroupResponse::default()
    }
}

fn refused(error: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse { error_code: error.code(), ..SyncGroupResponse::default() }
}
