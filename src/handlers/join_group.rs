//! `JoinGroup` (key 11): a member wants to be part of the next generation of a group.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

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
    groups::group::{Join, Joined, Reply},
    protocol::{
        error_code::ErrorCode,
        ids::random_uuid,
        messages::{JoinGroupRequest, JoinGroupResponse, join_group_response::JoinGroupResponseMember},
        wire::StrBytes,
    },
};

/// From this version on there is a rebalance time-out.
const REBALANCE_TIMEOUT_FROM: i16 = 1;
/// From this version on a new member joins twice: it is given its id first (KIP-394).
const MEMBER_ID_REQUIRED_FROM: i16 = 4;
/// From this version on a protocol's name can be null.
const NULL_PROTOCOL_FROM: i16 = 7;
/// From this version on a leader can be told to leave the assignment as it is.
const SKIP_ASSIGNMENT_FROM: i16 = 9;

/// A member that is not part of a generation: why, and the id that it has.
type Refusal = (ErrorCode, StrBytes);

/// Answers once the group has a generation with the member in it.
pub async fn join_group(cx: &Context, request: JoinGroupRequest) -> Answer<JoinGroupResponse> {
    let version = cx.version;
    match check_group(cx, Operation::Read, &request.group_id) {
        Ok(()) => {}
        Err(error @ ErrorCode::InvalidGroupId) => return refused(version, (error, request.member_id)).into(),
        Err(error) => return refused(version, (error, StrBytes::default())).into(),
    }
    let join = join(cx, &request);
    let pending =
        cx.groups().runtime().ask(&request.group_id, |group, cx, ticket, out| group.join(cx, ticket, join, out));
    answer_of_group(cx, pending, move |reply| match outcome(reply) {
        Ok(joined) => response(version, joined),
        Err(refusal) => refused(version, refusal),
    })
}

/// What stays in the group is copied out of the frame.
fn join(cx: &Context, request: &JoinGroupRequest) -> Join {
    let has_rebalance_timeout = cx.version >= REBALANCE_TIMEOUT_FROM;
    let protocols = request.protocols.iter();
    Join {
        group_id: Arc::from(&request.group_id),
        member_id: Some(&request.member_id).filter(|id| !id.is_empty()).map(Arc::from),
        group_instance_id: request.group_instance_id.as_ref().map(Arc::from),
        client_id: Arc::from(cx.client_id.as_deref().unwrap_or_default()),
        client_host: host_text(cx.connection.peer.ip()).into(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: if has_rebalance_timeout {
            request.rebalance_timeout_ms
        } else {
            request.session_timeout_ms
        },
        protocol_type: Arc::from(&request.protocol_type),
        protocols: protocols
            .map(|protocol| (Arc::from(&protocol.name), Bytes::copy_from_slice(&protocol.metadata)))
            .collect(),
        requires_member_id: cx.version >= MEMBER_ID_REQUIRED_FROM,
        can_skip_assignment: cx.version >= SKIP_ASSIGNMENT_FROM,
        reason: request.reason.as_ref().map(Arc::from),
        fresh_id: random_uuid(),
    }
}

/// An address as Java's `InetAddress.toString` has it, which tools show: a slash for the name that was not looked up, and
/// all groups of IPv6.
fn host_text(address: IpAddr) -> String {
    let groups = |address: Ipv6Addr| address.segments().map(|group| format!("{group:x}")).join(":");
    match address.to_canonical() {
        IpAddr::V4(address) => format!("/{address}"),
        IpAddr::V6(address) => format!("/{}", groups(address)),
    }
}

fn outcome(reply: Result<Reply, CoordinatorError>) -> Result<Joined, Refusal> {
    match reply.map_err(|error| (errors::coordinator(&error), StrBytes::default()))? {
        Reply::Join(joined) => joined.map_err(|refused| {
            (errors::group(&refused.error), refused.member_id.as_deref().unwrap_or_default().into())
        }),
        Reply::Sync(_) => unreachable!("a join is answered as one"),
    }
}

fn response(version: i16, joined: Joined) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|member| JoinGroupResponseMember {
        member_id: member.member_id.as_ref().into(),
        group_instance_id: member.group_instance_id.as_deref().map(StrBytes::from),
        metadata: member.metadata,
        ..JoinGroupResponseMember::default()
    });
    JoinGroupResponse {
        generation_id: joined.generation,
        protocol_type: joined.protocol_type.as_deref().map(StrBytes::from),
        protocol_name: protocol_name(version, joined.protocol_name.as_deref()),
        leader: joined.leader.as_ref().into(),
        skip_assignment: joined.skip_assignment,
        member_id: joined.member_id.as_ref().into(),
        members: members.collect(),
        ..JoinGroupResponse::default()
    }
}

fn refused(version: i16, (error, member_id): Refusal) -> JoinGroupResponse {
    JoinGroupResponse {
        error_code: error.code(),
        protocol_name: protocol_name(version, None),
        member_id,
        ..JoinGroupResponse::default()
    }
}

/// No protocol is null, or empty where there is no null yet.
fn protocol_name(version: i16, name: Option<&str>) -> Option<StrBytes> {
    let name = name.filter(|name| !name.is_empty()).map(StrBytes::from);
    if version < NULL_PROTOCOL_FROM { Some(name.unwrap_or_default()) } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::{error::GroupError, group::JoinRefused};

    #[test]
    fn hosts_are_written_as_java_writes_them() {
        let text = |address: &str| host_text(address.parse().expect("an address"));
        assert_eq!(text("127.0.0.1"), "/127.0.0.1");
        assert_eq!(text("::ffff:1.2.3.4"), "/1.2.3.4");
        assert_eq!(text("::1"), "/0:0:0:0:0:0:0:1");
        assert_eq!(text("2001:db8::a:0:1"), "/2001:db8:0:0:0:a:0:1");
    }

    #[test]
    fn no_protocol_is_empty_before_it_can_be_null() {
        assert_eq!(protocol_name(6, None), Some(StrBytes::default()));
        assert_eq!(protocol_name(7, None), None);
        assert_eq!(protocol_name(7, Some("")), None);
        assert_eq!(protocol_name(7, Some("range")), Some("range".into()));
    }

    #[test]
    fn a_refusal_tells_the_id_to_join_again_with() {
        let reply = |member_id: Option<&str>| {
            let refused = JoinRefused { error: GroupError::MemberIdRequired, member_id: member_id.map(Arc::from) };
            refused_of(outcome(Ok(Reply::Join(Err(refused)))))
        };
        assert_eq!(reply(Some("m-1")), (79, "m-1".into(), -1));
        assert_eq!(reply(None), (79, StrBytes::default(), -1));
        assert_eq!(refused_of(outcome(Err(CoordinatorError::Loading))), (14, StrBytes::default(), -1));
    }

    fn refused_of(outcome: Result<Joined, Refusal>) -> (i16, StrBytes, i32) {
        let response = refused(9, outcome.expect_err("a refusal"));
        (response.error_code, response.member_id, response.generation_id)
    }
}
