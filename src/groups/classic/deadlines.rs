//! What happens when somebody does not come in time.

use std::{sync::Arc, time::Instant};

use super::{Classic, Cx, Initial, Out, Preparing, State, Unsynced, joining::NEW_MEMBER_JOIN_TIMEOUT, members::Member};

impl Classic {
    /// When [`Classic::tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let join = match &self.state {
            State::PreparingRebalance(preparing) => Some(preparing.until),
            State::Empty | State::CompletingRebalance | State::Stable => None,
        };
        [self.sessions.next_due(), join, self.unsynced.until].into_iter().flatten().min()
    }

    /// A deadline may have passed.
    pub fn tick(&mut self, cx: Cx<'_>, out: &mut Out) {
        self.depends_on_record(out);
        while let Some(id) = self.sessions.pop_expired(cx.now.monotonic) {
            self.expire(cx, &id, out);
        }
        self.end_join(cx, out);
        self.end_sync(cx, out);
    }

    /// Nothing was heard of somebody.
    fn expire(&mut self, cx: Cx<'_>, id: &Arc<str>, out: &mut Out) {
        if self.pending.remove(id) {
            self.complete_join_if_all_have(cx, out);
            return;
        }
        if self.members.get(id).is_none_or(Member::is_excused) {
            return;
        }
        tracing::info!(group = &*self.id, member = &**id, "a member was not heard of and is removed");
        self.remove(id, out);
        match self.state {
            State::Empty => {}
            State::PreparingRebalance(_) => self.complete_join_if_all_have(cx, out),
            State::CompletingRebalance | State::Stable => {
                self.prepare_rebalance(cx, "a member that was not heard of", out);
            }
        }
    }

    /// Whoever has not joined is late, unless the group is new and still grows.
    fn end_join(&mut self, cx: Cx<'_>, out: &mut Out) {
        let now = cx.now.monotonic;
        let State::PreparingRebalance(Preparing { until, initial }) = &mut self.state else { return };
        if now < *until {
            return;
        }
        match initial {
            Some(Initial { latest, has_grown }) if *has_grown && now < *latest => {
                *has_grown = false;
                *until = (now + cx.settings.initial_rebalance_delay).min(*latest);
            }
            _ => self.complete_join(cx, out),
        }
    }

    /// Whoever has not synced is no member any more.
    fn end_sync(&mut self, cx: Cx<'_>, out: &mut Out) {
        if self.unsynced.until.is_none_or(|until| cx.now.monotonic < until) {
            return;
        }
        let Unsynced { members, .. } = std::mem::take(&mut self.unsynced);
        for id in &members {
            self.remove(id, out);
        }
        tracing::info!(group = &*self.id, members = members.len(), "members have not synced and are removed");
        self.prepare_rebalance(cx, "members that have not synced", out);
    }

    /// The log has been read: members have to be heard of from now on.
    pub fn loaded(&mut self, cx: Cx<'_>, out: &mut Out) {
        self.restart_sessions(cx);
        if self.members.len() > cx.settings.max_size {
            self.prepare_rebalance(cx, "fewer members than there are may be in a group", out);
        }
    }

    /// Replies were held up: nobody is late for that.
    pub fn after_stall(&mut self, cx: Cx<'_>) {
        self.restart_sessions(cx);
        let until = cx.now.monotonic + self.members.rebalance_timeout();
        if let State::PreparingRebalance(preparing @ Preparing { initial: None, .. }) = &mut self.state {
            preparing.until = until;
        }
        if self.unsynced.until.is_some() {
            self.unsynced.until = Some(until);
        }
    }

    fn restart_sessions(&mut self, cx: Cx<'_>) {
        let now = cx.now.monotonic;
        for member in self.members.iter() {
            let timeout = if member.is_new { NEW_MEMBER_JOIN_TIMEOUT } else { member.timeouts.session };
            self.sessions.extend(&member.id, now + timeout);
        }
        for (id, session) in self.pending.iter() {
            self.sessions.extend(id, now + session);
        }
    }
}
