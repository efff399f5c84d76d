//! `DescribeGroups` (key 15): state and members of groups of the classic protocol.

use super::{api::Answer, context::Context, coordinated::answer_all, errors, refusal::Refusal};
use crate::{
    auth::authorizer::{Operation, Resource},
    groups::description::{DescribedMember, Description},
    protocol::{
        error_code::ErrorCode,
        messages::{
            DescribeGroupsRequest, DescribeGroupsResponse,
            describe_groups_response::{DescribedGroup, DescribedGroupMember},
        },
        wire::StrBytes,
    },
};

/// From this version on a group that is not there is an error (KIP-1043); it was dead before.
const NOT_FOUND_FROM: i16 = 6;
/// The state of a group that is not there.
const DEAD: &str = "Dead";

/// Answers for each group, in the order of the request.
pub async fn describe_groups(cx: &Context, request: DescribeGroupsRequest) -> Answer<DescribeGroupsResponse> {
    let asked = request.groups.iter().map(|id| {
        let allowed = cx.authorize(Operation::Describe, Resource::Group(id));
        allowed.map_err(|_| ErrorCode::GroupAuthorizationFailed)?;
        Ok(cx.groups().runtime().run(id, |group, _, out| group.describe(id, out)))
    });
    let asked = asked.collect();
    let cx = cx.clone();
    answer_all(asked, move |outcomes| {
        let groups = request.groups.iter().zip(outcomes).map(|(id, outcome)| {
            let described = outcome.and_then(errors::group_answer);
            let group = described_group(cx.version, id, described);
            with_operations(&cx, group, request.include_authorized_operations)
        });
        DescribeGroupsResponse { groups: groups.collect(), ..DescribeGroupsResponse::default() }
    })
}

fn described_group(version: i16, id: &StrBytes, described: Result<Description, ErrorCode>) -> DescribedGroup {
    let group = DescribedGroup { group_id: id.clone(), ..DescribedGroup::default() };
    match described {
        Ok(description) => DescribedGroup {
            group_state: StrBytes::from_static(description.state),
            protocol_type: description.protocol_type.as_ref().into(),
            protocol_data: description.protocol_name.as_ref().into(),
            members: description.members.into_iter().map(described_member).collect(),
            ..group
        },
        Err(ErrorCode::GroupIdNotFound) if version < NOT_FOUND_FROM => {
            DescribedGroup { group_state: StrBytes::from_static(DEAD), ..group }
        }
        Err(error @ ErrorCode::GroupIdNotFound) => {
            let refusal = Refusal::new(error, format!("Group {id} not found."));
            let (error_code, error_message) = Refusal::answer(Err(refusal));
            DescribedGroup { error_code, error_message, group_state: StrBytes::from_static(DEAD), ..group }
        }
        Err(error) => DescribedGroup { error_code: error.code(), ..group },
    }
}

fn described_member(member: DescribedMember) -> DescribedGroupMember {
    DescribedGroupMember {
        member_id: member.member_id.as_ref().into(),
        group_instance_id: member.group_instance_id.as_deref().map(StrBytes::from),
        client_id: member.client_id.as_ref().into(),
        client_host: member.client_host.as_ref().into(),
        member_metadata: member.metadata,
        member_assignment: member.assignment,
        ..DescribedGroupMember::default()
    }
}

fn with_operations(cx: &Context, mut group: DescribedGroup, wanted: bool) -> DescribedGroup {
    if wanted && group.error_code == ErrorCode::None.code() {
        group.authorized_operations = cx.authorized_operations(Resource::Group(&group.group_id));
    }
    group
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_is_not_there_is_dead_and_later_an_error_too() {
        let described = |version| {
            let group = described_group(version, &"g".into(), Err(ErrorCode::GroupIdNotFound));
            (group.error_code, group.error_message.as_deref().map(str::to_owned), group.group_state.to_string())
        };
        assert_eq!(described(5), (0, None, "Dead".to_owned()));
        assert_eq!(described(6), (69, Some("Group g not found.".to_owned()), "Dead".to_owned()));
    }

    #[test]
    fn another_error_says_nothing_of_the_state() {
        let group = described_group(6, &"g".into(), Err(ErrorCode::NotCoordinator));
        let expected = DescribedGroup { error_code: 16, group_id: "g".into(), ..DescribedGroup::default() };
        assert_eq!(group, expected);
    }
}
