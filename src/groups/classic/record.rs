//! What is written down of a group, and what a record changes.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    Classic, Cx, Out, State,
    members::{Member, Timeouts},
    protocols::Protocols,
    static_members::Replacement,
};
use crate::{
    coordinator::machine::Place,
    groups::records::GroupRecord,
    protocol::{
        messages::{GroupMetadataKey, GroupMetadataValue, group_metadata_value::MemberMetadata},
        wire::StrBytes,
    },
};

/// What the record changes that a step has given out. The next thing that happens to the group is that it is applied or
/// refused.
#[derive(Debug)]
pub(super) enum Writing {
    /// There is a group. It has members already, and is called empty until they have synced.
    Creation,
    /// Nobody is left, which is so in any case.
    Emptiness,
    /// The members' assignments: the group is stable.
    Assignments,
    /// A static member takes the place of its older self.
    Replacement(Box<Replacement>),
}

/// Out.
impl Classic {
    /// Notes that there is a group, if that is not known.
    pub(super) fn write_creation(&mut self, cx: Cx<'_>, out: &mut Out) {
        if self.written_at.is_some() || self.writing.is_some() {
            return;
        }
        let since = *self.state_since.get_or_insert(cx.now.wall);
        let value = GroupMetadataValue {
            protocol: None,
            leader: None,
            current_state_timestamp: since,
            ..GroupMetadataValue::default()
        };
        self.write(Writing::Creation, value, out);
    }

    pub(super) fn write_emptiness(&mut self, out: &mut Out) {
        self.write(Writing::Emptiness, self.value(None, Vec::new()), out);
    }

    /// Notes this generation with what each member is assigned in it.
    pub(super) fn write_assignments(&mut self, assigned: impl Fn(&str) -> Bytes, out: &mut Out) {
        let members = self.members.by_arrival();
        let members = members.into_iter().map(|member| self.noted(member, assigned(&member.id))).collect();
        self.write(Writing::Assignments, self.value(self.leader.as_deref(), members), out);
    }

    /// Notes this generation with a static member in the place of its older self.
    pub(super) fn write_replacement(&mut self, replacement: Replacement, out: &mut Out) {
        let Replacement { old_id, member: new } = &replacement;
        let leader = if self.is_leader(old_id) { Some(&*new.id) } else { self.leader.as_deref() };
        let members = self.members.by_arrival();
        let in_place = members.into_iter().map(|member| if member.id == *old_id { new } else { member });
        let members = in_place.map(|member| self.noted(member, member.assignment.clone())).collect();
        let value = self.value(leader, members);
        self.write(Writing::Replacement(Box::new(replacement)), value, out);
    }

    fn write(&mut self, writing: Writing, value: GroupMetadataValue, out: &mut Out) {
        let unfinished = self.writing.replace(writing);
        debug_assert!(unfinished.is_none(), "a step writes one record of a group, and it is applied or refused");
        let key = GroupMetadataKey { group: StrBytes::from(&*self.id) };
        out.write(GroupRecord::Group(key, Some(value)));
    }

    fn value(&self, leader: Option<&str>, members: Vec<MemberMetadata>) -> GroupMetadataValue {
        GroupMetadataValue {
            protocol_type: self.protocol_type.as_deref().unwrap_or_default().into(),
            generation: self.generation,
            protocol: self.protocol_name.as_deref().map(StrBytes::from),
            leader: leader.map(StrBytes::from),
            current_state_timestamp: self.state_since.unwrap_or(-1),
            members,
            ..GroupMetadataValue::default()
        }
    }

    fn noted(&self, member: &Member, assignment: Bytes) -> MemberMetadata {
        MemberMetadata {
            member_id: StrBytes::from(&*member.id),
            group_instance_id: member.group_instance_id.as_deref().map(StrBytes::from),
            client_id: StrBytes::from(&*member.client_id),
            client_host: StrBytes::from(&*member.client_host),
            rebalance_timeout: in_ms(member.timeouts.rebalance),
            session_timeout: in_ms(member.timeouts.session),
            subscription: member.protocols.metadata(self.protocol_name.as_deref()),
            assignment,
            ..MemberMetadata::default()
        }
    }
}

/// In.
impl Classic {
    /// Takes a record in: of this group's making, or of a log that is read.
    pub fn apply(&mut self, place: Place, value: &GroupMetadataValue) {
        match self.writing.take() {
            Some(Writing::Creation | Writing::Emptiness) => {}
            Some(Writing::Assignments) => self.take_assignments(value),
            Some(Writing::Replacement(replacement)) => self.take_replacement(*replacement),
            None => self.restore(value),
        }
        self.written_at = Some(place.offset);
    }

    /// The record could not be written that the last step has given out.
    pub fn refused(&mut self, cx: Cx<'_>, out: &mut Out) {
        match self.writing.take() {
            Some(Writing::Assignments) => self.prepare_rebalance(cx, "assignments that could not be written", out),
            // A group with members goes on without the note that it is there, which is tried again with the next join.
            Some(Writing::Creation) => self.forget_pending(),
            // Nobody is left, and whom the log still has expires after a restart; or the older self stays.
            Some(Writing::Emptiness | Writing::Replacement(_)) | None => {}
        }
    }

    /// The ids were given out with the note that could not be written: nobody has got one.
    fn forget_pending(&mut self) {
        for id in self.pending.take_all() {
            self.sessions.end(&id);
        }
    }

    fn take_assignments(&mut self, value: &GroupMetadataValue) {
        self.state = State::Stable;
        for member in &value.members {
            self.members.assign(&member.member_id, Bytes::copy_from_slice(&member.assignment));
        }
    }

    fn take_replacement(&mut self, replacement: Replacement) {
        let parked = self.replace(replacement);
        debug_assert!(parked.is_none(), "in a stable group nobody waits");
        self.read_subscriptions();
    }

    /// The group is what the record says.
    fn restore(&mut self, value: &GroupMetadataValue) {
        let mut restored = Self::new(self.id.clone());
        restored.state = if value.members.is_empty() { State::Empty } else { State::Stable };
        restored.state_since = (value.current_state_timestamp != -1).then_some(value.current_state_timestamp);
        restored.generation = value.generation;
        restored.protocol_type = Some(&*value.protocol_type).filter(|name| !name.is_empty()).map(Arc::from);
        restored.protocol_name = value.protocol.as_deref().map(Arc::from);
        for member in &value.members {
            restored.restore_member(member);
        }
        let leader = value.leader.as_deref().and_then(|leader| restored.members.get(leader));
        restored.leader = leader.map(|leader| leader.id.clone());
        restored.read_subscriptions();
        *self = restored;
    }

    fn restore_member(&mut self, noted: &MemberMetadata) {
        // A log that says something twice was not written by a coordinator; what it says last counts.
        self.members.remove(&noted.member_id);
        let instance: Option<Arc<str>> = noted.group_instance_id.as_deref().map(Arc::from);
        let older = instance.as_ref().and_then(|instance| self.members.static_id(instance)).cloned();
        older.and_then(|older| self.members.remove(&older));
        let protocol = self.protocol_name.clone().unwrap_or_default();
        self.members.insert(Member {
            id: Arc::from(&*noted.member_id),
            group_instance_id: instance,
            client_id: Arc::from(&*noted.client_id),
            client_host: Arc::from(&*noted.client_host),
            timeouts: Timeouts::from_ms(noted.session_timeout, noted.rebalance_timeout),
            assignment: Bytes::copy_from_slice(&noted.assignment),
            is_new: false,
            protocols: Protocols::one(&protocol, &noted.subscription),
            parked: None,
            arrival: 0,
        });
    }
}

fn in_ms(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
