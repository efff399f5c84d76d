//! Groups of other kinds, as Kafka left them: consumer groups (KIP-848), share groups, streams groups.
//!
//! Their protocols are not spoken here, so such a group only lies there: it is listed with its kind and state, its offsets can
//! be read, committed, deleted and expire, it can be deleted. Requests of the classic protocol are answered as Kafka 4.4.0
//! answers them, but for what it would do as the coordinator of the other protocol:
//!
//! - Nobody can say here that a member lives. All sessions begin when the log has been loaded, as in Kafka, and end together
//!   after [`SESSION_TIMEOUT`]: until then members commit and read offsets under their epoch, then they are taken out of the
//!   log. To a classic member of such a group (Kafka lets both protocols be in one while it is moved to the other) a heartbeat
//!   is answered as to one that has left, so it joins anew.
//! - A classic member that joins takes a consumer group over, even if it has members, and a streams group that has none. The
//!   group's records are taken away; once that is durable the member is told to come again, and finds no group. Kafka does
//!   the two at once where there are no members, and where there are, has the new one among them.
//! - A commit under an older epoch is refused. Kafka takes it for partitions that the member has had since then.
//! - A share group is not deleted while it has state in `__share_group_state`: only Kafka's share coordinator can delete that,
//!   and a later group of that name would find it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    classic::CONSUMER,
    description::{GroupType, Listed},
    error::GroupError,
    group::{Asking, Join, JoinRefused, Out},
    records::{
        GroupRecord,
        foreign::{ForeignRecord, ForeignValue, Part},
    },
};
use crate::coordinator::machine::Place;

/// How long members last that Kafka left: its default for all kinds of groups.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(45);

/// What a member's epoch is while it has left.
const LEFT: i32 = -1;

/// What Kafka left of a group that is not of the classic protocol.
#[derive(Debug)]
pub struct Foreign {
    kind: GroupType,
    epoch: i32,
    target_epoch: i32,
    /// Of a streams group.
    topology: Topology,
    members: BTreeMap<Arc<str>, Member>,
    /// The keys of its records, in the order in which they can be taken away.
    keys: BTreeSet<(Part, Bytes)>,
    sessions_end: Option<Instant>,
    written_at: i64,
}

#[derive(Debug, Default)]
struct Topology {
    epoch: Option<i32>,
    validated: Option<i32>,
}

/// A member. One of which only its name is known has the epoch 0, as in Kafka.
#[derive(Debug)]
struct Member {
    topics: Vec<Arc<str>>,
    has_pattern: bool,
    is_classic: bool,
    epoch: i32,
    is_stable: bool,
}

impl Default for Member {
    fn default() -> Self {
        Self { topics: Vec::new(), has_pattern: false, is_classic: false, epoch: 0, is_stable: true }
    }
}

/// What is there.
impl Foreign {
    /// A group of this kind of which nothing is known yet.
    #[must_use]
    pub fn new(kind: GroupType) -> Self {
        Self {
            kind,
            epoch: 0,
            target_epoch: 0,
            topology: Topology::default(),
            members: BTreeMap::new(),
            keys: BTreeSet::new(),
            sessions_end: None,
            written_at: -1,
        }
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> GroupType {
        self.kind
    }

    /// Whether it has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The offset of its last record.
    #[must_use]
    pub fn written_at(&self) -> i64 {
        self.written_at
    }

    /// What a list says of it.
    #[must_use]
    pub fn listed(&self) -> Listed {
        let protocol_type = match self.kind {
            GroupType::Classic | GroupType::Consumer => CONSUMER,
            GroupType::Share => "share",
            GroupType::Streams => "streams",
        };
        Listed { group_type: self.kind, state: self.state_name(), protocol_type: Arc::from(protocol_type) }
    }

    fn state_name(&self) -> &'static str {
        if self.members.is_empty() {
            "Empty"
        } else if self.kind == GroupType::Share {
            "Stable"
        } else if self.kind == GroupType::Streams && !self.topology.is_ready() {
            "NotReady"
        } else if self.epoch > self.target_epoch {
            "Assigning"
        } else if self.members.values().all(|member| member.is_stable && member.epoch == self.target_epoch) {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    /// Whether a member subscribes to a topic. What a pattern or a topology comes to is not known here, so that may be any.
    #[must_use]
    pub fn subscribes_to(&self, topic: &str) -> bool {
        match self.kind {
            GroupType::Streams => !self.members.is_empty(),
            GroupType::Classic | GroupType::Consumer | GroupType::Share => {
                self.members.values().any(|member| member.subscribes_to(topic))
            }
        }
    }

    /// Whether it is of a kind that has offsets. To requests about offsets, one of another kind is not there.
    #[must_use]
    pub fn has_offsets(&self) -> bool {
        self.kind != GroupType::Share
    }

    /// Whether it goes by itself once it has neither members nor offsets.
    #[must_use]
    pub fn may_expire(&self) -> bool {
        self.kind != GroupType::Share
    }
}

impl Topology {
    fn is_ready(&self) -> bool {
        self.epoch.is_some() && self.epoch == self.validated
    }
}

impl Member {
    fn subscribes_to(&self, topic: &str) -> bool {
        self.has_pattern || self.topics.iter().any(|name| **name == *topic)
    }

    fn check_epoch(&self, epoch: Option<i32>) -> Result<(), GroupError> {
        match epoch {
            Some(epoch) if epoch == self.epoch => Ok(()),
            _ if self.is_classic => Err(GroupError::IllegalGeneration),
            _ => Err(GroupError::StaleMemberEpoch),
        }
    }
}

/// Who may do what.
impl Foreign {
    /// Whether offsets may be committed.
    pub fn check_commit(&self, id: &str, asking: &Asking) -> Result<(), GroupError> {
        if !self.has_offsets() {
            return Err(GroupError::GroupIdNotFound(id.to_owned()));
        }
        if asking.generation.is_none() && self.members.is_empty() {
            return Ok(());
        }
        self.member(asking)?.check_epoch(asking.generation)
    }

    /// Whether offsets may be committed with a transaction. Old clients do not say on whose behalf.
    pub fn check_transactional_commit(&self, id: &str, asking: &Asking) -> Result<(), GroupError> {
        let is_from_outside = self.has_offsets() && *asking == Asking::default();
        if is_from_outside { Ok(()) } else { self.check_commit(id, asking) }
    }

    /// Whether offsets may be read.
    pub fn check_fetch(&self, asking: &Asking) -> Result<(), GroupError> {
        if asking.member_id.is_none() && asking.generation.is_none() {
            return Ok(());
        }
        self.member(asking)?.check_epoch(asking.generation)
    }

    /// Whether it may be deleted.
    pub fn check_delete(&self) -> Result<(), GroupError> {
        if !self.members.is_empty() {
            return Err(GroupError::NonEmptyGroup);
        }
        let has_state = self.keys.iter().any(|(part, _)| *part == Part::ShareState);
        if has_state { Err(GroupError::UnsupportedForGroup) } else { Ok(()) }
    }

    fn member(&self, asking: &Asking) -> Result<&Member, GroupError> {
        let member = asking.member_id.as_deref().and_then(|id| self.members.get(id));
        member.ok_or(GroupError::UnknownMemberId)
    }
}

/// Deciding.
impl Foreign {
    /// A classic member wants to join: it is refused, if only for now because the group gives way to it.
    #[must_use]
    pub fn answer_join(&self, join: &Join, out: &mut Out) -> JoinRefused {
        if !self.can_give_way(join) {
            return JoinRefused { error: GroupError::InconsistentGroupProtocol, member_id: None };
        }
        let member_id = join.member_id.clone();
        if member_id.is_some() {
            return JoinRefused { error: GroupError::UnknownMemberId, member_id };
        }
        self.take_away(out);
        JoinRefused { error: GroupError::GivingWay, member_id: None }
    }

    fn can_give_way(&self, join: &Join) -> bool {
        match self.kind {
            GroupType::Classic | GroupType::Consumer => self.members.is_empty() || &*join.protocol_type == CONSUMER,
            GroupType::Streams => self.members.is_empty(),
            GroupType::Share => false,
        }
    }

    /// Takes all its records away.
    pub fn take_away(&self, out: &mut Out) {
        self.keys.iter().for_each(|(_, key)| out.write(GroupRecord::Foreign(ForeignRecord::tombstone(key))));
    }

    /// Sessions begin, or begin anew.
    pub fn begin_sessions(&mut self, now: Instant) {
        self.sessions_end = Some(now + SESSION_TIMEOUT);
    }

    /// When [`end_sessions`](Self::end_sessions) is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.sessions_end.filter(|_| !self.members.is_empty())
    }

    /// Takes the members away if their sessions have ended. If that cannot be written, they have another.
    pub fn end_sessions(&mut self, now: Instant, out: &mut Out) {
        if self.next_deadline().is_none_or(|end| end > now) {
            return;
        }
        let of_members = self.keys.iter().filter(|(part, _)| part.is_of_member());
        of_members.for_each(|(_, key)| out.write(GroupRecord::Foreign(ForeignRecord::tombstone(key))));
        self.begin_sessions(now);
    }
}

/// Applying.
impl Foreign {
    /// Takes a record in; says whether there is still a group.
    #[must_use]
    pub fn apply(&mut self, place: Place, record: &ForeignRecord) -> bool {
        self.written_at = place.offset;
        let key = (record.part(), Bytes::copy_from_slice(record.key_bytes()));
        if let Some(value) = record.value() {
            self.keys.insert(key);
            self.take_in(record, value);
        } else {
            self.keys.remove(&key);
            self.take_out(record);
        }
        let is_end = record.part() == Part::Group && record.value().is_none();
        !is_end && !self.keys.is_empty()
    }

    fn take_in(&mut self, record: &ForeignRecord, value: &ForeignValue) {
        let is_member = matches!(record.part(), Part::Member | Part::CurrentAssignment);
        let member = record.member().filter(|_| is_member).map(|id| self.members.entry(Arc::from(id)).or_default());
        match (value, member) {
            (ForeignValue::Group { epoch, validated_topology }, _) => {
                self.epoch = *epoch;
                self.topology.validated = *validated_topology;
            }
            (ForeignValue::TargetEpoch(epoch), _) => self.target_epoch = *epoch,
            (ForeignValue::TopologyEpoch(epoch), _) => self.topology.epoch = Some(*epoch),
            (ForeignValue::Member { topics, has_pattern, is_classic }, Some(member)) => {
                member.topics = topics.iter().map(|topic| Arc::from(topic.as_str())).collect();
                member.has_pattern = *has_pattern;
                member.is_classic = *is_classic;
            }
            (ForeignValue::CurrentAssignment { epoch, is_stable }, Some(member)) => {
                member.epoch = *epoch;
                member.is_stable = *is_stable;
            }
            (ForeignValue::Member { .. } | ForeignValue::CurrentAssignment { .. }, None) => {
                unreachable!("the key of such a record has a member id: without, it is not read")
            }
            (ForeignValue::Other, _) => {}
        }
    }

    fn take_out(&mut self, record: &ForeignRecord) {
        match (record.part(), record.member()) {
            (Part::Member, Some(id)) => {
                self.members.remove(id);
            }
            (Part::CurrentAssignment, Some(id)) => {
                if let Some(member) = self.members.get_mut(id) {
                    member.epoch = LEFT;
                }
            }
            (
                Part::Member
                | Part::CurrentAssignment
                | Part::TargetAssignment
                | Part::TargetEpoch
                | Part::ShareState
                | Part::Other
                | Part::Group,
                _,
            ) => {}
        }
    }
}

#[cfg(test)]
mod tests;
