//! `LeaveGroup` (key 13): members leave, or are made to; from version 3 on several at once.

use std::sync::Arc;

use super::{
    api::Answer,
    context::Context,
    coordinated::{answer, check_group},
    errors,
};
use crate::{
    auth::authorizer::Operation,
    groups::group::Leaving,
    protocol::{
        error_code::ErrorCode,
        messages::{
            LeaveGroupRequest, LeaveGroupResponse, leave_group_request::MemberIdentity,
            leave_group_response::MemberResponse,
        },
    },
};

/// From this version on there is a list of members, each with its own outcome.
const BATCHED_FROM: i16 = 3;

/// Lets all members go in one step.
pub async fn leave_group(cx: &Context, request: LeaveGroupRequest) -> Answer<LeaveGroupResponse> {
    if let Err(error) = check_group(cx, Operation::Read, &request.group_id) {
        return refused(error).into();
    }
    let version = cx.version;
    let members = if version < BATCHED_FROM {
        vec![MemberIdentity { member_id: request.member_id, ..MemberIdentity::default() }]
    } else {
        request.members
    };
    let leaving: Vec<Leaving> = members.iter().map(leaving).collect();
    let pending = cx.groups().runtime().run(&request.group_id, |group, cx, out| group.leave(cx, &leaving, out));
    answer(pending, move |outcome| match outcome.map_err(|error| errors::coordinator(&error)) {
        Ok(outcomes) => {
            let errors =
                outcomes.iter().map(|outcome| outcome.as_ref().map_or_else(errors::group, |()| ErrorCode::None));
            response(version, members, errors.collect())
        }
        Err(error) => refused(error),
    })
}

fn leaving(member: &MemberIdentity) -> Leaving {
    Leaving {
        member_id: Some(&member.member_id).filter(|id| !id.is_empty()).map(Arc::from),
        group_instance_id: member.group_instance_id.as_ref().map(Arc::from),
        reason: member.reason.as_ref().map(Arc::from),
    }
}

fn response(version: i16, members: Vec<MemberIdentity>, errors: Vec<ErrorCode>) -> LeaveGroupResponse {
    assert_eq!(members.len(), errors.len(), "each member has an outcome");
    if version < BATCHED_FROM {
        return refused(errors.first().copied().unwrap_or(ErrorCode::None));
    }
    let members = members.into_iter().zip(errors).map(|(member, error)| MemberResponse {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        error_code: error.code(),
        ..MemberResponse::default()
    });
    LeaveGroupResponse { members: members.collect(), ..LeaveGroupResponse::default() }
}

fn refused(error: ErrorCode) -> LeaveGroupResponse {
    LeaveGroupResponse { error_code: error.code(), ..LeaveGroupResponse::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_member_of_an_old_request_has_its_error_at_the_top() {
        let member = MemberIdentity { member_id: "m".into(), ..MemberIdentity::default() };
        let old = response(2, vec![member.clone()], vec![ErrorCode::UnknownMemberId]);
        assert_eq!((old.error_code, old.members.len()), (25, 0));
        let new = response(3, vec![member], vec![ErrorCode::UnknownMemberId]);
        assert_eq!((new.error_code, new.members[0].error_code, new.members[0].member_id.as_str()), (0, 25, "m"));
    }

    #[test]
    fn an_empty_member_id_is_none() {
        let member = MemberIdentity { group_instance_id: Some("i".into()), ..MemberIdentity::default() };
        let expected = Leaving { member_id: None, group_instance_id: Some("i".into()), reason: None };
        assert_eq!(leaving(&member), expected);
    }
}
