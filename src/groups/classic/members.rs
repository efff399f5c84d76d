//! Who is in a group.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use super::protocols::{self, Protocols};
use crate::{coordinator::machine::Ticket, groups::error::GroupError};

/// A member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: Arc<str>,
    pub(super) group_instance_id: Option<Arc<str>>,
    pub(super) client_id: Arc<str>,
    pub(super) client_host: Arc<str>,
    pub(super) timeouts: Timeouts,
    /// What it got in the present generation.
    pub(super) assignment: Bytes,
    /// Whether it has not seen a generation begin. Its client may have gone without a word while it waits for the first:
    /// its session goes on.
    pub(super) is_new: bool,
    pub(super) protocols: Protocols,
    /// Its request that waits for other members.
    pub(super) parked: Option<Parked>,
    /// The how manieth member of the group it is.
    pub(super) arrival: u64,
}

/// How long a member may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timeouts {
    /// Between two signs of life.
    pub(super) session: Duration,
    /// For joining again, and for the sync that follows.
    pub(super) rebalance: Duration,
}

impl Timeouts {
    /// From what a request or a record says. Those that are too old to know the second have -1 there.
    pub(super) fn from_ms(session_ms: i32, rebalance_ms: i32) -> Self {
        let duration = |ms| Duration::from_millis(u64::try_from(ms).unwrap_or_default());
        let rebalance_ms = if rebalance_ms == -1 { session_ms } else { rebalance_ms };
        Self { session: duration(session_ms), rebalance: duration(rebalance_ms) }
    }
}

/// A request that waits for other members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parked {
    /// A join waits for the next generation.
    Join(Ticket),
    /// A sync waits for the leader's.
    Sync(Ticket),
}

impl Member {
    pub(super) fn awaits_join(&self) -> bool {
        matches!(self.parked, Some(Parked::Join(_)))
    }

    pub(super) fn is_static(&self) -> bool {
        self.group_instance_id.is_some()
    }

    /// Whether it need not be heard of: who waits for an answer cannot ask.
    pub(super) fn is_excused(&self) -> bool {
        self.parked.is_some() && !self.is_new
    }
}

/// The members of a group.
///
/// Invariant: `by_instance` has the static ones, `knowing` how many know a protocol, `awaiting_join` how many have a join
/// parked. So nothing that a single request asks needs a look at all of them.
#[derive(Debug, Default)]
pub(super) struct Members {
    by_id: HashMap<Arc<str>, Member>,
    by_instance: HashMap<Arc<str>, Arc<str>>,
    knowing: HashMap<Arc<str>, usize>,
    awaiting_join: usize,
    arrivals: u64,
}

impl Members {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Member> {
        self.by_id.get(id)
    }

    /// All, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.by_id.values()
    }

    /// All, who came first first.
    pub(super) fn by_arrival(&self) -> Vec<&Member> {
        let mut members: Vec<_> = self.by_id.values().collect();
        members.sort_unstable_by_key(|member| member.arrival);
        members
    }

    /// The id of the static member with this group instance id.
    pub(super) fn static_id(&self, group_instance_id: &str) -> Option<&Arc<str>> {
        self.by_instance.get(group_instance_id)
    }

    /// How many have a join parked.
    pub(super) fn awaiting_join(&self) -> usize {
        self.awaiting_join
    }

    /// Whether somebody who says to be this member, and this static one, is.
    pub(super) fn check(&self, id: &str, group_instance_id: Option<&str>) -> Result<(), GroupError> {
        if let Some(instance) = group_instance_id {
            let present = self.static_id(instance).ok_or(GroupError::UnknownMemberId)?;
            if **present != *id {
                return Err(GroupError::FencedInstanceId);
            }
        }
        if self.by_id.contains_key(id) { Ok(()) } else { Err(GroupError::UnknownMemberId) }
    }

    /// Whether all members know one of these protocols. Without members, whether there are any.
    pub(super) fn all_know_one_of(&self, protocols: &Protocols) -> bool {
        protocols.names().any(|name| self.knowing.get(name).copied().unwrap_or_default() == self.len())
    }

    /// The protocol that they choose. With a replacement, that which they would choose if the member's protocols were these.
    pub(super) fn chosen_protocol(&self, replacement: Option<(&str, &Protocols)>) -> Option<Arc<str>> {
        let members = self.by_arrival();
        let lists: Vec<_> = members
            .iter()
            .map(|member| match replacement {
                Some((id, protocols)) if *member.id == *id => protocols,
                _ => &member.protocols,
            })
            .collect();
        protocols::choose(&lists)
    }

    /// How long the slowest of them may take for a rebalance.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        self.iter().map(|member| member.timeouts.rebalance).max().unwrap_or_default()
    }

    pub(super) fn insert(&mut self, member: Member) {
        self.arrivals += 1;
        self.put(Member { arrival: self.arrivals, ..member });
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Member> {
        let member = self.by_id.remove(id)?;
        if let Some(instance) = &member.group_instance_id {
            self.by_instance.remove(instance);
        }
        self.forget_protocols(&member.protocols);
        self.awaiting_join -= usize::from(member.awaits_join());
        Some(member)
    }

    /// Puts a member in the place of another, which is given back.
    pub(super) fn replace(&mut self, id: &str, member: Member) -> Option<Member> {
        let old = self.remove(id)?;
        self.put(Member { arrival: old.arrival, ..member });
        Some(old)
    }

    fn put(&mut self, member: Member) {
        if let Some(instance) = &member.group_instance_id {
            let other = self.by_instance.insert(instance.clone(), member.id.clone());
            debug_assert!(other.is_none(), "a group instance id has one member");
        }
        self.note_protocols(&member.protocols);
        self.awaiting_join += usize::from(member.awaits_join());
        let other = self.by_id.insert(member.id.clone(), member);
        debug_assert!(other.is_none(), "a member is put in once");
    }

    /// A member joins again with what it says now.
    pub(super) fn update(&mut self, id: &str, protocols: Protocols, timeouts: Timeouts) {
        let Some(member) = self.by_id.get_mut(id) else { return };
        member.timeouts = timeouts;
        let old = std::mem::replace(&mut member.protocols, protocols.clone());
        self.forget_protocols(&old);
        self.note_protocols(&protocols);
    }

    /// Gives a member its assignment.
    pub(super) fn assign(&mut self, id: &str, assignment: Bytes) {
        if let Some(member) = self.by_id.get_mut(id) {
            member.assignment = assignment;
        }
    }

    /// Takes all assignments away.
    pub(super) fn unassign_all(&mut self) {
        self.by_id.values_mut().for_each(|member| member.assignment = Bytes::new());
    }

    /// All of them see a generation begin.
    pub(super) fn welcome_all(&mut self) {
        self.by_id.values_mut().for_each(|member| member.is_new = false);
    }

    /// A request of the member waits. The one that waited before is given back.
    pub(super) fn park(&mut self, id: &str, parked: Parked) -> Option<Parked> {
        self.set_parked(id, Some(parked))
    }

    /// The member's request waits no longer.
    pub(super) fn unpark(&mut self, id: &str) -> Option<Parked> {
        self.set_parked(id, None)
    }

    fn set_parked(&mut self, id: &str, parked: Option<Parked>) -> Option<Parked> {
        let member = self.by_id.get_mut(id)?;
        self.awaiting_join -= usize::from(member.awaits_join());
        let old = std::mem::replace(&mut member.parked, parked);
        self.awaiting_join += usize::from(member.awaits_join());
        old
    }

    fn note_protocols(&mut self, protocols: &Protocols) {
        for name in protocols.names() {
            *self.knowing.entry(name.clone()).or_default() += 1;
        }
    }

    fn forget_protocols(&mut self, protocols: &Protocols) {
        for name in protocols.names() {
            if let Entry::Occupied(mut known) = self.knowing.entry(name.clone()) {
                *known.get_mut() -= 1;
                if *known.get() == 0 {
                    known.remove();
                }
            }
        }
    }

    /// What is counted is what is there.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        assert_eq!(self.awaiting_join, self.iter().filter(|member| member.awaits_join()).count());
        let mut knowing: HashMap<Arc<str>, usize> = HashMap::new();
        for name in self.iter().flat_map(|member| member.protocols.names()) {
            *knowing.entry(name.clone()).or_default() += 1;
        }
        assert_eq!(self.knowing, knowing);
        let instances: HashMap<_, _> =
            self.iter().filter_map(|member| Some((member.group_instance_id.clone()?, member.id.clone()))).collect();
        assert_eq!(self.by_instance, instances);
        assert!(self.by_id.iter().all(|(id, member)| *id == member.id));
    }
}
