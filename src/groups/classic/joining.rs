//! JoinGroup: who becomes a member, and when that begins a rebalance.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    Classic, Cx, Initial, Join, JoinRefused, Joined, JoinedMember, Out, Preparing, Reply, State,
    members::{Member, Parked, Timeouts},
    protocols::Protocols,
    refuse,
};
use crate::{
    coordinator::machine::Ticket,
    groups::{error::GroupError, settings::GroupSettings},
};

/// How long a new member may wait for its first generation. It does not know its id yet, so it cannot send heartbeats, and
/// a client that is gone and has come back would be in the group twice for good.
pub(super) const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_mins(5);

/// So much of a reason is logged.
const REASON_BYTES_MAX: usize = 255;

impl Join {
    /// Whether the session time-out may be so.
    pub fn check_session_timeout(&self, settings: &GroupSettings) -> Result<(), JoinRefused> {
        let is_allowed = u64::try_from(self.session_timeout_ms).is_ok_and(|ms| {
            let timeout = Duration::from_millis(ms);
            (settings.min_session_timeout..=settings.max_session_timeout).contains(&timeout)
        });
        if is_allowed { Ok(()) } else { Err(self.refused(GroupError::InvalidSessionTimeout)) }
    }

    /// The refusal that leaves a member the id that it has.
    fn refused(&self, error: GroupError) -> JoinRefused {
        JoinRefused { error, member_id: self.member_id.clone() }
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        Timeouts::from_ms(self.session_timeout_ms, self.rebalance_timeout_ms)
    }

    fn generated_member_id(&self) -> Arc<str> {
        let name = self.group_instance_id.as_ref().unwrap_or(&self.client_id);
        format!("{name}-{}", self.fresh_id).into()
    }

    pub(super) fn reason_to_log(&self) -> &str {
        reason_to_log(self.reason.as_deref())
    }
}

impl Classic {
    /// A member, old or new, wants to be part of the next generation. Its session time-out has been checked.
    pub fn join(&mut self, cx: Cx<'_>, ticket: Ticket, join: &Join, out: &mut Out) {
        self.depends_on_record(out);
        if let Err(refused) = self.try_join(cx, ticket, join, out) {
            out.reply(ticket, Reply::Join(Err(refused)));
        }
        if !self.is_vacant() {
            self.write_creation(cx, out);
        }
    }

    fn try_join(&mut self, cx: Cx<'_>, ticket: Ticket, join: &Join, out: &mut Out) -> Result<(), JoinRefused> {
        if self.is_vacant() && join.member_id.is_some() {
            return Err(join.refused(GroupError::UnknownMemberId));
        }
        self.make_room(cx, join, out)?;
        let protocols = Protocols::new(&join.protocols);
        if !self.suits(&join.protocol_type, &protocols) {
            return Err(join.refused(GroupError::InconsistentGroupProtocol));
        }
        match &join.member_id {
            None => self.join_new(cx, ticket, join, protocols, out),
            Some(id) => self.join_known(cx, ticket, join, id, protocols, out),
        }
    }

    /// Whether there is a place for whoever joins. A member that has not joined again loses its own if all are taken: the
    /// group had become too large.
    fn make_room(&mut self, cx: Cx<'_>, join: &Join, out: &mut Out) -> Result<(), JoinRefused> {
        let member = join.member_id.as_ref().and_then(|id| self.members.get(id));
        let has_place = match self.state {
            State::Empty => true,
            State::PreparingRebalance(_) => {
                member.is_some_and(Member::awaits_join) || self.members.awaiting_join() < cx.settings.max_size
            }
            State::CompletingRebalance | State::Stable => member.is_some() || self.members.len() < cx.settings.max_size,
        };
        if has_place {
            return Ok(());
        }
        if let Some(id) = &join.member_id {
            self.remove_pending(id);
            self.remove(id, out);
            if matches!(self.state, State::PreparingRebalance(_)) {
                self.rebalance(cx, "too large a group", out);
            }
        }
        Err(JoinRefused { error: GroupError::GroupMaxSizeReached, member_id: None })
    }

    /// Whether a member with these protocols can be in the group.
    fn suits(&self, protocol_type: &str, protocols: &Protocols) -> bool {
        match self.state {
            State::Empty => !protocol_type.is_empty() && !protocols.is_empty(),
            _ => self.protocol_type.as_deref() == Some(protocol_type) && self.members.all_know_one_of(protocols),
        }
    }

    fn join_new(
        &mut self,
        cx: Cx<'_>,
        ticket: Ticket,
        join: &Join,
        protocols: Protocols,
        out: &mut Out,
    ) -> Result<(), JoinRefused> {
        let id = join.generated_member_id();
        if let Some(instance) = &join.group_instance_id {
            match self.members.static_id(instance).cloned() {
                Some(old) => self.replace_static(cx, ticket, join, &old, id, protocols, out),
                None => self.add_member(cx, ticket, join, id, protocols, out),
            }
            return Ok(());
        }
        if join.requires_member_id {
            let session = join.timeouts().session;
            if !self.pending.insert(&id, session) {
                return Err(JoinRefused { error: GroupError::GroupMaxSizeReached, member_id: None });
            }
            self.sessions.extend(&id, cx.now.monotonic + session);
            return Err(JoinRefused { error: GroupError::MemberIdRequired, member_id: Some(id) });
        }
        self.add_member(cx, ticket, join, id, protocols, out);
        Ok(())
    }

    fn add_member(
        &mut self,
        cx: Cx<'_>,
        ticket: Ticket,
        join: &Join,
        id: Arc<str>,
        protocols: Protocols,
        out: &mut Out,
    ) {
        if let State::PreparingRebalance(Preparing { initial: Some(Initial { has_grown, .. }), .. }) = &mut self.state {
            *has_grown = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type.clone());
        }
        self.remove_pending(&id);
        self.sessions.extend(&id, cx.now.monotonic + NEW_MEMBER_JOIN_TIMEOUT);
        self.members.insert(Member {
            id: id.clone(),
            group_instance_id: join.group_instance_id.clone(),
            client_id: join.client_id.clone(),
            client_host: join.client_host.clone(),
            timeouts: join.timeouts(),
            assignment: Bytes::new(),
            is_new: true,
            protocols,
            parked: None,
            arrival: 0,
        });
        self.park(&id, Parked::Join(ticket), out);
        tracing::debug!(group = &*self.id, member = &*id, reason = join.reason_to_log(), "a member joins");
        self.rebalance(cx, "a new member", out);
    }

    fn join_known(
        &mut self,
        cx: Cx<'_>,
        ticket: Ticket,
        join: &Join,
        id: &Arc<str>,
        protocols: Protocols,
        out: &mut Out,
    ) -> Result<(), JoinRefused> {
        let instance = join.group_instance_id.as_deref();
        if instance.is_none() && self.pending.contains(id) {
            self.add_member(cx, ticket, join, id.clone(), protocols, out);
            return Ok(());
        }
        self.members.check(id, instance).map_err(|error| join.refused(error))?;
        let is_unchanged = self.members.get(id).is_some_and(|member| member.protocols == protocols);
        let is_leader = self.is_leader(id);
        let stays = match self.state {
            State::Empty | State::PreparingRebalance(_) => false,
            State::CompletingRebalance => is_unchanged,
            // What the leader sees and its metadata do not tell may have changed, as the partitions of a topic.
            State::Stable => is_unchanged && !is_leader,
        };
        if stays {
            let members = if is_leader { self.joined_members() } else { Vec::new() };
            out.reply(ticket, Reply::Join(Ok(self.joined(id.clone(), members))));
            return Ok(());
        }
        self.members.update(id, protocols, join.timeouts());
        self.park(id, Parked::Join(ticket), out);
        tracing::debug!(group = &*self.id, member = &**id, reason = join.reason_to_log(), "a member joins again");
        self.rebalance(cx, "a member that has joined again", out);
        Ok(())
    }

    /// A request of a member waits. One that waited is answered: its client asks twice, and hears only the second answer.
    pub(super) fn park(&mut self, id: &Arc<str>, parked: Parked, out: &mut Out) {
        if let Some(older) = self.members.park(id, parked) {
            refuse(older, GroupError::RebalanceInProgress, Some(id.clone()), out);
        }
    }

    /// What a member is told that is part of the present generation.
    pub(super) fn joined(&self, member_id: Arc<str>, members: Vec<JoinedMember>) -> Joined {
        Joined {
            member_id,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            members,
        }
    }

    /// What the leader is told of all members.
    pub(super) fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol_name.as_deref();
        let members = self.members.by_arrival();
        members
            .into_iter()
            .map(|member| JoinedMember {
                member_id: member.id.clone(),
                group_instance_id: member.group_instance_id.clone(),
                metadata: member.protocols.metadata(protocol),
            })
            .collect()
    }
}

/// What the log says why a client joins or leaves.
pub(super) fn reason_to_log(reason: Option<&str>) -> &str {
    let reason = reason.unwrap_or("not provided");
    &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]
}
