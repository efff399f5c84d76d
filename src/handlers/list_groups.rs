//! `ListGroups` (key 16): the groups of this broker, which are all; from version 4 on by state, from 5 on by type.

use super::{context::Context, errors};
use crate::{
    auth::authorizer::{Operation, Resource},
    groups::description::{GroupType, Listed},
    protocol::{
        messages::{ListGroupsRequest, ListGroupsResponse, list_groups_response::ListedGroup},
        wire::StrBytes,
    },
};

/// Answers with every group that the client may see, or with none while any is still loaded.
pub async fn list_groups(cx: &Context, request: ListGroupsRequest) -> ListGroupsResponse {
    let filter = Filter::new(&request);
    let sees_all = cx.may(Operation::Describe, Resource::Cluster);
    let may_see = |id: &str| sees_all || cx.may(Operation::Describe, Resource::Group(id));
    let mut groups = Vec::new();
    let visited = cx.groups().runtime().visit(|id, group| {
        let listed = group.listed().filter(|listed| filter.has(listed) && may_see(id));
        groups.extend(listed.map(|listed| entry(id, &listed)));
    });
    match visited {
        Ok(()) => ListGroupsResponse { groups, ..ListGroupsResponse::default() },
        Err(error) => {
            ListGroupsResponse { error_code: errors::coordinator(&error).code(), ..ListGroupsResponse::default() }
        }
    }
}

/// Which groups are wanted; an empty list has no say.
struct Filter {
    states: Vec<String>,
    types: Vec<String>,
}

impl Filter {
    /// In any case; a name that nobody knows fits no group. States may have blanks around them, types not, as in Kafka.
    fn new(request: &ListGroupsRequest) -> Self {
        let lower = |text: &StrBytes| text.to_lowercase();
        let trimmed = |text: String| text.trim_matches(|c| c <= ' ').to_owned();
        Self {
            states: request.states_filter.iter().map(lower).map(trimmed).collect(),
            types: request.types_filter.iter().map(lower).collect(),
        }
    }

    fn has(&self, group: &Listed) -> bool {
        let has_state =
            self.states.is_empty() || self.states.iter().any(|state| state.eq_ignore_ascii_case(group.state));
        let type_name = type_name(group.group_type);
        has_state && (self.types.is_empty() || self.types.iter().any(|wanted| wanted == type_name))
    }
}

fn entry(id: &str, listed: &Listed) -> ListedGroup {
    ListedGroup {
        group_id: id.into(),
        protocol_type: listed.protocol_type.as_ref().into(),
        group_state: StrBytes::from_static(listed.state),
        group_type: StrBytes::from_static(type_name(listed.group_type)),
        ..ListedGroup::default()
    }
}

/// As Kafka's `Group.GroupType` prints itself.
fn type_name(group_type: GroupType) -> &'static str {
    match group_type {
        GroupType::Classic => "classic",
        GroupType::Consumer => "consumer",
        GroupType::Share => "share",
        GroupType::Streams => "streams",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_in_any_case_and_unknown_ones_fit_nothing() {
        let group = Listed { group_type: GroupType::Classic, state: "PreparingRebalance", protocol_type: "".into() };
        let has = |states: &[&str], types: &[&str]| {
            let texts = |texts: &[&str]| texts.iter().map(|text| StrBytes::from(*text)).collect();
            let request = ListGroupsRequest {
                states_filter: texts(states),
                types_filter: texts(types),
                ..ListGroupsRequest::default()
            };
            Filter::new(&request).has(&group)
        };
        assert!(has(&[], &[]));
        assert!(has(&["Stable", " preparingREBALANCE "], &[]));
        assert!(!has(&["Stable"], &[]));
        assert!(has(&[], &["Consumer", "CLASSIC"]));
        assert!(!has(&[], &["consumer"]));
        assert!(!has(&[], &["no such type"]));
        assert!(!has(&[""], &[]));
        assert!(!has(&["preparingrebalance"], &["share"]));
    }
}
