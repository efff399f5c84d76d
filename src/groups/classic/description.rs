//! What is told of a group to whom it does not concern.

use bytes::Bytes;

use super::{Classic, GroupError, Out, State, members::Member};
use crate::groups::description::{DescribedMember, Description, GroupType, Listed};

impl Classic {
    /// Whether it is as a new one is.
    #[must_use]
    pub fn is_vacant(&self) -> bool {
        self.is_empty() && self.pending.is_empty() && self.written_at.is_none()
    }

    /// Its state, as Kafka spells it.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        match self.state {
            State::Empty => "Empty",
            State::PreparingRebalance(_) => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }

    /// What a list says of it.
    #[must_use]
    pub fn listed(&self) -> Listed {
        Listed {
            group_type: GroupType::Classic,
            state: self.state_name(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
        }
    }

    /// What can be told of it.
    pub fn describe(&self, out: &mut Out) -> Description {
        self.depends_on_record(out);
        let protocol = self.protocol_name.clone().filter(|_| self.is_stable());
        let members = self.members.by_arrival();
        Description {
            state: self.state_name(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            members: members.into_iter().map(|member| describe(member, protocol.as_deref())).collect(),
            protocol_name: protocol.unwrap_or_default(),
        }
    }

    /// Whether it may be deleted.
    pub fn check_delete(&self) -> Result<(), GroupError> {
        if self.is_empty() { Ok(()) } else { Err(GroupError::NonEmptyGroup) }
    }
}

fn describe(member: &Member, protocol: Option<&str>) -> DescribedMember {
    DescribedMember {
        member_id: member.id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        metadata: protocol.map_or_else(Bytes::new, |protocol| member.protocols.metadata(Some(protocol))),
        assignment: member.assignment.clone(),
    }
}
