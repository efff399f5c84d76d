//! What is true of a group between two steps.

use std::collections::BTreeMap;

use crate::groups::classic::{Classic, Preparing, State, members::Parked};

impl Classic {
    /// Panics if something is not as it has to be.
    pub(crate) fn check_invariants(&self) {
        self.members.check_invariants();
        self.check_state();
        self.check_waiting();
        self.check_sessions();
        assert!(self.writing.is_none(), "a record is applied or refused before anything else happens");
    }

    fn check_state(&self) {
        if let Some(leader) = &self.leader {
            assert!(self.members.get(leader).is_some(), "the leader is a member");
        }
        match &self.state {
            State::Empty => assert!(self.members.is_empty(), "an empty group has no members"),
            State::PreparingRebalance(Preparing { initial, .. }) => {
                let waits_for_somebody = !self.members.is_empty() || !self.pending.is_empty();
                assert!(initial.is_some() || waits_for_somebody, "a group without members is empty");
            }
            State::CompletingRebalance => {
                self.check_generation_is_whole();
                assert!(self.leader.is_some(), "a generation has a leader");
                assert!(self.members.iter().all(|member| member.assignment.is_empty()), "nothing is assigned yet");
            }
            State::Stable => self.check_generation_is_whole(),
        }
    }

    fn check_generation_is_whole(&self) {
        let chosen = self.protocol_name.as_ref().expect("a generation has a protocol");
        let all_know_it = self.members.iter().all(|member| member.protocols.names().any(|name| name == chosen));
        assert!(all_know_it, "all members know the protocol");
    }

    fn check_waiting(&self) {
        for member in self.members.iter() {
            let may_wait = match (member.parked, &self.state) {
                (None, _) => true,
                (Some(Parked::Join(_)), state) => matches!(state, State::PreparingRebalance(_)),
                (Some(Parked::Sync(_)), state) => matches!(state, State::CompletingRebalance),
            };
            assert!(may_wait, "{member:?} waits in vain");
            assert!(member.parked.is_none() || self.next_deadline().is_some(), "nobody waits for ever");
        }
        assert_eq!(self.unsynced.until.is_some(), !self.unsynced.members.is_empty());
        assert!(self.unsynced.members.iter().all(|id| self.members.get(id).is_some()), "who has to sync is a member");
        let may_sync = matches!(self.state, State::CompletingRebalance | State::Stable);
        assert!(may_sync || self.unsynced.members.is_empty(), "nobody has to sync in no generation");
    }

    fn check_sessions(&self) {
        for member in self.members.iter().filter(|member| !member.is_excused()) {
            assert!(self.sessions.contains(&member.id), "{member:?} never expires");
        }
        for (id, _) in self.pending.iter() {
            assert!(self.sessions.contains(id) && self.members.get(id).is_none());
        }
        assert!(self.sessions.len() <= self.members.len() + self.pending.iter().count(), "only who is there expires");
    }

    /// What a restart brings back, to be compared.
    pub(crate) fn hard_state(&self) -> String {
        let protocol = self.protocol_name.as_deref();
        let members: BTreeMap<_, _> = self
            .members
            .iter()
            .map(|member| {
                let metadata = member.protocols.metadata(protocol);
                let client = (&member.client_id, &member.client_host, member.timeouts);
                (&member.id, (&member.group_instance_id, client, metadata, &member.assignment))
            })
            .collect();
        let protocol_type = &self.protocol_type;
        let (generation, leader, since) = (self.generation, &self.leader, self.state_since);
        let topics = self.subscribed.as_ref().map(|topics| {
            let mut topics: Vec<_> = topics.iter().collect();
            topics.sort();
            topics
        });
        format!(
            "{} {generation} {protocol_type:?} {protocol:?} {leader:?} {since:?} {topics:?} {members:#?}",
            self.state_name()
        )
    }
}
