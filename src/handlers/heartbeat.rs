//! `Heartbeat` (key 12): a member of a group says that it lives.

use super::{
    api::Answer,
    context::Context,
    coordinated::{answer, check_group},
    errors,
};
use crate::{
    auth::authorizer::Operation,
    coordinator::error::CoordinatorError,
    groups::error::GroupError,
    protocol::{
        error_code::ErrorCode,
        messages::{HeartbeatRequest, HeartbeatResponse},
    },
};

/// Answers at once, unless the member is part of a generation that is not on disk yet.
pub async fn heartbeat(cx: &Context, request: HeartbeatRequest) -> Answer<HeartbeatResponse> {
    if let Err(error) = check_group(cx, Operation::Read, &request.group_id) {
        return response(error).into();
    }
    let pending = cx.groups().runtime().run(&request.group_id, |group, cx, out| {
        group.heartbeat(cx, &request.member_id, request.group_instance_id.as_deref(), request.generation_id, out)
    });
    answer(pending, |outcome| response(error(outcome)))
}

fn error(outcome: Result<Result<(), GroupError>, CoordinatorError>) -> ErrorCode {
    match outcome {
        // Nobody can know yet; once the group is loaded, its members have their whole session time-outs.
        Err(CoordinatorError::Loading) => ErrorCode::None,
        outcome => errors::group_answer(outcome).err().unwrap_or(ErrorCode::None),
    }
}

fn response(error: ErrorCode) -> HeartbeatResponse {
    HeartbeatResponse { error_code: error.code(), ..HeartbeatResponse::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_the_group_is_loaded_a_member_lives() {
        assert_eq!(error(Err(CoordinatorError::Loading)), ErrorCode::None);
        assert_eq!(error(Err(CoordinatorError::NotHere)), ErrorCode::NotCoordinator);
        assert_eq!(error(Ok(Err(GroupError::RebalanceInProgress))), ErrorCode::RebalanceInProgress);
        assert_eq!(error(Ok(Ok(()))), ErrorCode::None);
    }
}
