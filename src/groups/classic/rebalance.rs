//! How a generation comes to be.

use std::{collections::HashSet, sync::Arc, time::Duration};

use super::{
    Classic, Cx, GroupError, Initial, Out, Preparing, Reply, State, Unsynced,
    members::{Member, Parked},
    protocols, refuse,
};

/// The least time between two looks at a group whose members are all silent. They may have asked for none at all.
const RETRY_INTERVAL_MIN: Duration = Duration::from_secs(1);

impl Classic {
    /// The members have changed: a rebalance begins, or has one less to wait for.
    pub(super) fn rebalance(&mut self, cx: Cx<'_>, because_of: &str, out: &mut Out) {
        match self.state {
            State::PreparingRebalance(_) => self.complete_join_if_all_have(cx, out),
            State::Empty => self.begin_initial_rebalance(cx, out),
            State::CompletingRebalance | State::Stable => self.prepare_rebalance(cx, because_of, out),
        }
    }

    /// The first member has come. Others may follow.
    fn begin_initial_rebalance(&mut self, cx: Cx<'_>, out: &mut Out) {
        let (now, delay) = (cx.now.monotonic, cx.settings.initial_rebalance_delay);
        let latest = now + delay.max(self.members.rebalance_timeout());
        let initial = Some(Initial { latest, has_grown: false });
        self.enter(cx, State::PreparingRebalance(Preparing { until: now + delay, initial }));
        tracing::info!(group = &*self.id, generation = self.generation, "the first rebalance begins");
        if delay.is_zero() {
            self.complete_join(cx, out);
        }
    }

    /// All members have to join again. Who waits for an assignment of this generation gets none.
    pub(super) fn prepare_rebalance(&mut self, cx: Cx<'_>, because_of: &str, out: &mut Out) {
        if matches!(self.state, State::CompletingRebalance) {
            self.members.unassign_all();
            self.refuse_syncs(cx, out);
        }
        self.unsynced = Unsynced::default();
        let until = cx.now.monotonic + self.members.rebalance_timeout();
        self.enter(cx, State::PreparingRebalance(Preparing { until, initial: None }));
        tracing::info!(group = &*self.id, generation = self.generation, because_of, "a rebalance begins");
        self.complete_join_if_all_have(cx, out);
    }

    fn refuse_syncs(&mut self, cx: Cx<'_>, out: &mut Out) {
        for id in self.who_waits(|parked| matches!(parked, Parked::Sync(_))) {
            if let Some(parked) = self.members.unpark(&id) {
                refuse(parked, GroupError::RebalanceInProgress, None, out);
            }
            self.extend_session(cx, &id);
        }
    }

    /// The members that wait so, who came first first.
    pub(super) fn who_waits(&self, so: impl Fn(&Parked) -> bool) -> Vec<Arc<str>> {
        let members = self.members.by_arrival();
        members
            .into_iter()
            .filter(|member| member.parked.as_ref().is_some_and(&so))
            .map(|member| member.id.clone())
            .collect()
    }

    /// The generation begins if nobody has to be waited for: not even those who may yet come to a new group.
    pub(super) fn complete_join_if_all_have(&mut self, cx: Cx<'_>, out: &mut Out) {
        let all_have = self.members.awaiting_join() == self.members.len() && self.pending.is_empty();
        if all_have && matches!(self.state, State::PreparingRebalance(Preparing { initial: None, .. })) {
            self.complete_join(cx, out);
        }
    }

    /// The time to join is over: the next generation is of those who have. Static members may be late: they are expected
    /// back until their session ends.
    pub(super) fn complete_join(&mut self, cx: Cx<'_>, out: &mut Out) {
        let is_absent = |member: &&Member| !member.awaits_join() && !member.is_static();
        let absent: Vec<_> = self.members.iter().filter(is_absent).map(|member| member.id.clone()).collect();
        for id in &absent {
            self.remove(id, out);
        }
        if self.members.is_empty() {
            self.become_empty(cx, out);
        } else if self.elect_leader() {
            self.begin_generation(cx, out);
        } else {
            let until = cx.now.monotonic + self.members.rebalance_timeout().max(RETRY_INTERVAL_MIN);
            self.state = State::PreparingRebalance(Preparing { until, initial: None });
            tracing::warn!(group = &*self.id, "no member has joined again, the rebalance goes on");
        }
    }

    fn become_empty(&mut self, cx: Cx<'_>, out: &mut Out) {
        self.next_generation();
        self.enter(cx, State::Empty);
        tracing::info!(group = &*self.id, generation = self.generation, "the group is empty");
        self.write_emptiness(out);
    }

    /// The leader stays if it has joined again. Whether there is one.
    fn elect_leader(&mut self) -> bool {
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id)).filter(|leader| leader.awaits_join());
        let first_to_come =
            || self.members.iter().filter(|member| member.awaits_join()).min_by_key(|member| member.arrival);
        let Some(elected) = leader.or_else(first_to_come) else { return false };
        self.leader = Some(elected.id.clone());
        true
    }

    fn begin_generation(&mut self, cx: Cx<'_>, out: &mut Out) {
        self.next_generation();
        self.enter(cx, State::CompletingRebalance);
        tracing::info!(
            group = &*self.id,
            generation = self.generation,
            members = self.members.len(),
            "a generation begins"
        );
        self.members.welcome_all();
        self.answer_joins(out);
        let now = cx.now.monotonic;
        for member in self.members.iter() {
            self.sessions.extend(&member.id, now + member.timeouts.session);
        }
        let members = self.members.iter().map(|member| member.id.clone()).collect();
        self.unsynced = Unsynced { members, until: Some(now + self.members.rebalance_timeout()) };
    }

    fn answer_joins(&mut self, out: &mut Out) {
        for id in self.who_waits(|parked| matches!(parked, Parked::Join(_))) {
            let Some(Parked::Join(ticket)) = self.members.unpark(&id) else { continue };
            let members = if self.is_leader(&id) { self.joined_members() } else { Vec::new() };
            out.reply(ticket, Reply::Join(Ok(self.joined(id, members))));
        }
    }

    /// What was assigned belongs to the last generation.
    fn next_generation(&mut self) {
        self.generation = self.generation.checked_add(1).unwrap_or_default();
        self.members.unassign_all();
        self.unsynced = Unsynced::default();
        self.protocol_name = self.members.chosen_protocol(None);
        self.read_subscriptions();
    }

    /// Reads what consumers subscribe to under the chosen protocol.
    pub(super) fn read_subscriptions(&mut self) {
        let protocol = self.protocol_name.as_deref();
        let read = |mut topics: HashSet<Arc<str>>, member: &Member| {
            protocols::add_subscribed_topics(&member.protocols.metadata(protocol), &mut topics).map(|()| topics)
        };
        self.subscribed = match self.protocol_type.as_deref() {
            Some(protocols::CONSUMER) => self.members.iter().try_fold(HashSet::new(), read),
            _ => None,
        };
    }
}
