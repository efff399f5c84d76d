//! Static members (KIP-345): a client that is started anew takes the place of its older self, and if that changes nothing
//! for the others, they do not notice.

use std::sync::Arc;

use super::{
    Classic, Cx, GroupError, Join, Joined, Out, Reply, State,
    members::{Member, Parked},
    protocols::Protocols,
    refuse,
};
use crate::coordinator::machine::Ticket;

/// A static member that takes the place of its older self.
#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) old_id: Arc<str>,
    pub(super) member: Member,
}

impl Classic {
    /// A static member comes without an id: the one that is there has to go.
    #[expect(clippy::too_many_arguments, reason = "who joins, in whose place, as whom")]
    pub(super) fn replace_static(
        &mut self,
        cx: Cx<'_>,
        ticket: Ticket,
        join: &Join,
        old_id: &Arc<str>,
        id: Arc<str>,
        protocols: Protocols,
        out: &mut Out,
    ) {
        let Some(old) = self.members.get(old_id) else { return };
        tracing::info!(
            group = &*self.id,
            group_instance_id = join.group_instance_id.as_deref(),
            old = &**old_id,
            new = &*id,
            reason = join.reason_to_log(),
            "a static member comes back"
        );
        // Where its client is stays what it was, as in Kafka.
        let member = Member { id, timeouts: join.timeouts(), protocols, parked: None, is_new: false, ..old.clone() };
        let replacement = Replacement { old_id: old_id.clone(), member };
        if matches!(self.state, State::Stable) && self.keeps_protocol(&replacement) {
            self.replace_quietly(cx, ticket, join.can_skip_assignment, replacement, out);
        } else {
            self.replace_and_rebalance(cx, ticket, replacement, out);
        }
    }

    /// Whether the members would choose the same protocol again.
    fn keeps_protocol(&self, replacement: &Replacement) -> bool {
        let with = Some((&*replacement.old_id, &replacement.member.protocols));
        self.members.chosen_protocol(with) == self.protocol_name
    }

    /// Nothing changes for the others. The new id has to be written down, and counts from then on.
    fn replace_quietly(
        &mut self,
        cx: Cx<'_>,
        ticket: Ticket,
        can_skip_assignment: bool,
        replacement: Replacement,
        out: &mut Out,
    ) {
        let (old_id, id) = (replacement.old_id.clone(), replacement.member.id.clone());
        self.sessions.extend(&old_id, cx.now.monotonic + replacement.member.timeouts.session);
        let mut joined = self.joined(id, Vec::new());
        if can_skip_assignment && self.is_leader(&old_id) {
            joined = self.joined_as_leader(&replacement, joined);
        }
        self.write_replacement(replacement, out);
        out.reply(ticket, Reply::Join(Ok(joined)));
    }

    /// A leader that comes back is told of all members, and that they have what they need. Who cannot be told the latter is
    /// told that its older self is the leader: as a follower it assigns nothing.
    fn joined_as_leader(&self, replacement: &Replacement, joined: Joined) -> Joined {
        let Replacement { old_id, member } = replacement;
        let mut members = self.joined_members();
        if let Some(itself) = members.iter_mut().find(|member| member.member_id == *old_id) {
            itself.member_id = member.id.clone();
            itself.metadata = member.protocols.metadata(self.protocol_name.as_deref());
        }
        Joined { leader: member.id.clone(), skip_assignment: true, members, ..joined }
    }

    fn replace_and_rebalance(&mut self, cx: Cx<'_>, ticket: Ticket, replacement: Replacement, out: &mut Out) {
        let (old_id, id) = (replacement.old_id.clone(), replacement.member.id.clone());
        if let Some(parked) = self.replace(replacement) {
            refuse(parked, GroupError::FencedInstanceId, Some(old_id), out);
        }
        self.extend_session(cx, &id);
        self.park(&id, Parked::Join(ticket), out);
        self.rebalance(cx, "a static member that has come back", out);
    }

    /// The older self is gone. What it waits for is given back.
    pub(super) fn replace(&mut self, replacement: Replacement) -> Option<Parked> {
        let Replacement { old_id, member } = replacement;
        let id = member.id.clone();
        let old = self.members.replace(&old_id, member)?;
        self.sessions.rename(&old_id, &id);
        if self.unsynced.members.remove(&old_id) {
            self.unsynced.members.insert(id.clone());
        }
        if self.is_leader(&old_id) {
            self.leader = Some(id);
        }
        old.parked
    }
}
