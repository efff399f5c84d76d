//! The classic group protocol: members join, one of them is the leader and assigns the partitions, all fetch what they
//! got. The group only counts generations and passes on what it cannot read.
//!
//! ```text
//!            a member joins                    all have joined, or time is up
//!   Empty ──────────────────► PreparingRebalance ──────────────────► CompletingRebalance
//!     ▲                        │   ▲        ▲                          │        │
//!     └────────────────────────┘   │        └──────────────────────────┘        │ the leader syncs
//!       nobody is left             │          somebody joins, leaves,           ▼
//!                                  │          is silent, does not sync        Stable
//!                                  └────────────────────────────────────────────┘
//! ```
//!
//! Written down are that there is a group, the generation that the leader has synced, a static member that has taken
//! another's place in it, and the group without members. A generation is not written before its assignments are known: what a crash takes of it,
//! members bring back by joining again. So generation, protocol and members may be ahead of the log, and
//! `Writing` (`record.rs`) tells what a record changes that was given out by this group, where a replay builds the
//! group out of the record alone.
//!
//! Joins and syncs wait for others (`Parked` in `members.rs`); a ticket is answered
//!
//! - when the generation begins, or the leader has synced;
//! - `REBALANCE_IN_PROGRESS` when a rebalance begins while a sync waits, and when its member asks again;
//! - `FENCED_INSTANCE_ID` when another takes the static member's place;
//! - `UNKNOWN_MEMBER_ID` when its member leaves, is made to, or has waited for five minutes for its first generation.
//!
//! (Apache Kafka: `ClassicGroup`, `GroupMetadataManager`.)

mod commits;
mod deadlines;
mod description;
mod joining;
mod leaving;
mod members;
mod pending;
mod protocols;
mod rebalance;
mod record;
mod sessions;
mod static_members;
mod syncing;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, sync::Arc, time::Instant};

use bytes::Bytes;
use uuid::Uuid;

pub(super) use self::protocols::CONSUMER;
use self::{
    members::{Members, Parked},
    pending::Pending,
    record::Writing,
    sessions::Sessions,
};
use super::{
    error::GroupError,
    group::{Cx, Out, Reply},
};
use crate::clock::TimestampMs;

/// A member wants to be part of the next generation.
#[derive(Clone, Debug)]
pub struct Join {
    /// The group.
    pub group_id: Arc<str>,
    /// The id that the member has; `None` for a new one.
    pub member_id: Option<Arc<str>>,
    /// Of a static member.
    pub group_instance_id: Option<Arc<str>>,
    /// What its client calls itself.
    pub client_id: Arc<str>,
    /// Where its client is.
    pub client_host: Arc<str>,
    /// How long it may be silent, as it asks for.
    pub session_timeout_ms: i32,
    /// How long the group waits for it in a rebalance, as it asks for.
    pub rebalance_timeout_ms: i32,
    /// What kind of members the group has.
    pub protocol_type: Arc<str>,
    /// The protocols that it knows, the one that it likes best first.
    pub protocols: Vec<(Arc<str>, Bytes)>,
    /// Whether a new dynamic member is to join again with the id that it is given (version 4).
    pub requires_member_id: bool,
    /// Whether a leader may be told that there is nothing to assign (version 9).
    pub can_skip_assignment: bool,
    /// Why it joins, for the log.
    pub reason: Option<Arc<str>>,
    /// What a new member's id is made of.
    pub fresh_id: Uuid,
}

/// A member is part of a generation.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    /// Its id.
    pub member_id: Arc<str>,
    /// The generation.
    pub generation: i32,
    /// The protocol type.
    pub protocol_type: Option<Arc<str>>,
    /// The protocol that was voted for.
    pub protocol_name: Option<Arc<str>>,
    /// The leader's id.
    pub leader: Arc<str>,
    /// Whether the leader is to keep the assignment as it is.
    pub skip_assignment: bool,
    /// For the leader, all members.
    pub members: Vec<JoinedMember>,
}

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinedMember {
    /// Its id.
    pub member_id: Arc<str>,
    /// Of a static member.
    pub group_instance_id: Option<Arc<str>>,
    /// Its metadata under the protocol.
    pub metadata: Bytes,
}

/// A member is not part of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRefused {
    /// Why.
    pub error: GroupError,
    /// The id that it has, or is to join again with; `None` if it has none.
    pub member_id: Option<Arc<str>>,
}

/// A member asks for its assignment.
#[derive(Clone, Debug)]
pub struct Sync {
    /// The group.
    pub group_id: Arc<str>,
    /// The member.
    pub member_id: Arc<str>,
    /// Of a static member.
    pub group_instance_id: Option<Arc<str>>,
    /// The generation that it is part of.
    pub generation: i32,
    /// The protocol type that it believes in, if it says so.
    pub protocol_type: Option<Arc<str>>,
    /// The protocol that it believes in, if it says so.
    pub protocol_name: Option<Arc<str>>,
    /// From the leader, what everybody gets.
    pub assignments: Vec<(Arc<str>, Bytes)>,
}

/// A member's assignment.
#[derive(Clone, Debug, PartialEq)]
pub struct Synced {
    /// The protocol type.
    pub protocol_type: Option<Arc<str>>,
    /// The protocol.
    pub protocol_name: Option<Arc<str>>,
    /// What it is assigned.
    pub assignment: Bytes,
}

/// A member that is to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Its id; `None` for a static member that is named by its instance id alone.
    pub member_id: Option<Arc<str>>,
    /// Of a static member.
    pub group_instance_id: Option<Arc<str>>,
    /// Why it leaves, for the log.
    pub reason: Option<Arc<str>>,
}

/// The members of a group, and how far they are with their next generation.
#[derive(Debug)]
pub struct Classic {
    id: Arc<str>,
    state: State,
    /// When the state began; `None` if an old record does not say.
    state_since: Option<TimestampMs>,
    generation: i32,
    /// Of the members, also of those that are gone. A group that never had one is simple: it only keeps offsets.
    protocol_type: Option<Arc<str>>,
    protocol_name: Option<Arc<str>>,
    /// `None` from when the leader is gone until the next generation begins.
    leader: Option<Arc<str>>,
    members: Members,
    /// The ids that were given out and have not joined yet.
    pending: Pending,
    unsynced: Unsynced,
    /// Of members and of pending ids. Not of a member that is excused, nor of anybody before the log is read.
    sessions: Sessions,
    /// What consumers subscribe to, if it can be read.
    subscribed: Option<HashSet<Arc<str>>>,
    /// The offset of the last record of this group.
    written_at: Option<i64>,
    /// What the record is to change that this step has given out.
    writing: Option<Writing>,
}

/// What a group does. A group that is not there is Dead in Kafka's words; it is answered as an Empty one, but for
/// DescribeGroups and DeleteGroups.
#[derive(Debug)]
enum State {
    /// Nobody is a member. Offsets may be there.
    ///
    /// - join: a new member begins a rebalance, a pending id too; any other id is unknown
    /// - sync, heartbeat, leave: the member is unknown
    /// - commit: from anybody who does not say to be of a generation
    Empty,
    /// Members are to join the next generation.
    ///
    /// - join: waits for the others
    /// - sync, heartbeat: `REBALANCE_IN_PROGRESS`, to have the member join again
    /// - leave: one less to wait for
    /// - commit: from members of the generation that ends
    PreparingRebalance(Preparing),
    /// The generation has begun, and the leader computes the assignments.
    ///
    /// - join: as before, if the member's metadata have not changed; else, or if it is a new member, the next rebalance
    /// - sync: waits for that of the leader
    /// - heartbeat: all is well
    /// - leave: the next rebalance
    /// - commit: `REBALANCE_IN_PROGRESS`
    CompletingRebalance,
    /// Members know what they are assigned, or can ask.
    ///
    /// - join: a follower with unchanged metadata learns of its generation, and a static member may take the place of an
    ///   older self; else the next rebalance
    /// - sync: the assignment
    /// - heartbeat: all is well
    /// - leave: the next rebalance
    /// - commit: from members
    Stable,
}

/// How long members may take to join.
#[derive(Debug)]
struct Preparing {
    until: Instant,
    /// Of a group that was empty: then the time is for whoever comes, and is not cut short when all who came have joined.
    initial: Option<Initial>,
}

/// The first rebalance of a group, which gives many that are started together the time to come.
#[derive(Debug)]
struct Initial {
    /// When it ends, whoever still comes.
    latest: Instant,
    /// Whether somebody has come since the time was last extended.
    has_grown: bool,
}

/// Who has yet to sync, and by when. Whoever does not is no member any more.
#[derive(Debug, Default)]
struct Unsynced {
    members: HashSet<Arc<str>>,
    until: Option<Instant>,
}

impl Classic {
    /// A group without members that is not written down.
    #[must_use]
    pub fn new(id: Arc<str>) -> Self {
        Self {
            id,
            state: State::Empty,
            state_since: None,
            generation: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: Members::default(),
            pending: Pending::default(),
            unsynced: Unsynced::default(),
            sessions: Sessions::default(),
            subscribed: None,
            written_at: None,
            writing: None,
        }
    }

    /// A member says that it lives.
    pub fn heartbeat(
        &mut self,
        cx: Cx<'_>,
        member_id: &str,
        group_instance_id: Option<&str>,
        generation: i32,
        out: &mut Out,
    ) -> Result<(), GroupError> {
        self.depends_on_record(out);
        self.members.check(member_id, group_instance_id)?;
        self.check_generation(generation)?;
        self.extend_session(cx, member_id);
        match self.state {
            State::PreparingRebalance(_) => Err(GroupError::RebalanceInProgress),
            State::Empty | State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    fn check_generation(&self, generation: i32) -> Result<(), GroupError> {
        if generation == self.generation { Ok(()) } else { Err(GroupError::IllegalGeneration) }
    }

    fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    /// A member was heard of.
    fn extend_session(&mut self, cx: Cx<'_>, member_id: &str) {
        if let Some(member) = self.members.get(member_id) {
            self.sessions.extend(&member.id, cx.now.monotonic + member.timeouts.session);
        }
    }

    /// What is said next about the group rests on its last record.
    fn depends_on_record(&self, out: &mut Out) {
        if let Some(offset) = self.written_at {
            out.depends_on(offset);
        }
    }

    fn enter(&mut self, cx: Cx<'_>, state: State) {
        self.state = state;
        self.state_since = Some(cx.now.wall);
    }

    /// Somebody is no member any more. What it waits for is answered: if its client is still there, it has to join anew.
    fn remove(&mut self, member_id: &str, out: &mut Out) {
        let Some(member) = self.members.remove(member_id) else { return };
        if let Some(parked) = member.parked {
            refuse(parked, GroupError::UnknownMemberId, None, out);
        }
        self.sessions.end(&member.id);
        self.unsynced.remove(&member.id);
        if self.is_leader(&member.id) {
            self.leader = None;
        }
    }

    /// An id that was given out is worth nothing any more. Whether it was.
    fn remove_pending(&mut self, id: &Arc<str>) -> bool {
        let was_pending = self.pending.remove(id);
        if was_pending {
            self.sessions.end(id);
        }
        was_pending
    }
}

impl Unsynced {
    fn remove(&mut self, member_id: &str) {
        self.members.remove(member_id);
        if self.members.is_empty() {
            self.until = None;
        }
    }
}

/// Answers what waits with an error.
fn refuse(parked: Parked, error: GroupError, member_id: Option<Arc<str>>, out: &mut Out) {
    match parked {
        Parked::Join(ticket) => out.reply(ticket, Reply::Join(Err(JoinRefused { error, member_id }))),
        Parked::Sync(ticket) => out.reply(ticket, Reply::Sync(Err(error))),
    }
}
