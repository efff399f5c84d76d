//! `DeleteGroups` (key 42): groups without members, and their offsets.

use std::collections::HashSet;

use super::{api::Answer, context::Context, coordinated::answer_all, errors};
use crate::{
    auth::authorizer::{Operation, Resource},
    protocol::{
        error_code::ErrorCode,
        messages::{DeleteGroupsRequest, DeleteGroupsResponse, delete_groups_response::DeletableGroupResult},
        wire::StrBytes,
    },
};

/// Deletes each group on its own; one that is named more than once is deleted and answered once.
pub async fn delete_groups(cx: &Context, request: DeleteGroupsRequest) -> Answer<DeleteGroupsResponse> {
    let mut seen = HashSet::new();
    let ids: Vec<StrBytes> = request.groups_names.into_iter().filter(|id| seen.insert(id.clone())).collect();
    let asked = ids.iter().map(|id| {
        let allowed = cx.authorize(Operation::Delete, Resource::Group(id));
        allowed.map_err(|_| ErrorCode::GroupAuthorizationFailed)?;
        Ok(cx.groups().runtime().run(id, |group, _, out| group.delete(id, out)))
    });
    answer_all(asked.collect(), move |outcomes| {
        let results = ids.into_iter().zip(outcomes).map(|(group_id, outcome)| {
            let error = outcome.and_then(errors::group_answer).err().unwrap_or(ErrorCode::None);
            DeletableGroupResult { group_id, error_code: error.code(), ..DeletableGroupResult::default() }
        });
        DeleteGroupsResponse { results: results.collect(), ..DeleteGroupsResponse::default() }
    })
}
