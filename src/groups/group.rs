//! A group: one machine of the coordinator.

use std::{convert::Infallible, sync::Arc, time::Instant};

use uuid::Uuid;

use super::{
    classic::Classic,
    description::{Description, GroupType, Listed},
    error::GroupError,
    foreign::Foreign,
    offsets::{Expiry, Offsets, RetainedFrom},
    records::{GroupRecord, foreign::ForeignRecord},
    settings::GroupSettings,
};
use crate::{
    coordinator::machine::{self, Machine, Outputs, Place, Ticket},
    protocol::{messages::GroupMetadataKey, wire::StrBytes},
};

pub use super::classic::{Join, JoinRefused, Joined, JoinedMember, Leaving, Sync, Synced};
pub use super::offsets::{CommittedOffset, NewOffset, OffsetOf, Topics};

/// The state of a group without members, as Kafka spells it.
const EMPTY: &str = "Empty";

/// What a group is given beside a request.
pub type Cx<'a> = machine::Cx<'a, GroupSettings>;
/// What a group gives out.
pub type Out = Outputs<Group>;

/// The answer to what waits for other members.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To a join.
    Join(Result<Joined, JoinRefused>),
    /// To a sync.
    Sync(Result<Synced, GroupError>),
}

/// A group: its members and its offsets. Without both it is vacant, which is also what a group is that never was.
#[derive(Debug, Default)]
pub struct Group {
    membership: Membership,
    offsets: Offsets,
}

/// Who is in a group.
#[derive(Debug, Default)]
enum Membership {
    /// Nobody, ever. There may be offsets all the same: of a simple consumer.
    #[default]
    None,
    /// Members of the classic protocol.
    Classic(Box<Classic>),
    /// What Kafka left of a group of another kind.
    Foreign(Box<Foreign>),
}

/// Who asks for a group's offsets or commits them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    /// The member; `None` for somebody outside the group.
    pub member_id: Option<Arc<str>>,
    /// Its group instance id, if it is static.
    pub group_instance_id: Option<Arc<str>>,
    /// The generation or member epoch that it believes in; `None` for somebody outside the group.
    pub generation: Option<i32>,
}

/// Members.
impl Group {
    /// A member, old or new, wants to be part of the next generation.
    pub fn join(&mut self, cx: Cx<'_>, ticket: Ticket, join: Join, out: &mut Out) {
        if let Err(refused) = join.check_session_timeout(cx.settings) {
            return out.reply(ticket, Reply::Join(Err(refused)));
        }
        if let Membership::Foreign(foreign) = &self.membership {
            let refused = foreign.answer_join(&join, out);
            return out.reply(ticket, Reply::Join(Err(refused)));
        }
        self.classic_or_new(&join.group_id).join(cx, ticket, &join, out);
    }

    /// A member asks for its assignment; the leader brings everybody's.
    pub fn sync(&mut self, cx: Cx<'_>, ticket: Ticket, sync: Sync, out: &mut Out) {
        match &mut self.membership {
            Membership::Classic(classic) => classic.sync(cx, ticket, &sync, out),
            Membership::None | Membership::Foreign(_) => {
                out.reply(ticket, Reply::Sync(Err(GroupError::UnknownMemberId)));
            }
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
        match &mut self.membership {
            Membership::Classic(classic) => classic.heartbeat(cx, member_id, group_instance_id, generation, out),
            Membership::None | Membership::Foreign(_) => Err(GroupError::UnknownMemberId),
        }
    }

    /// Members leave, or are made to; each has its own outcome.
    pub fn leave(&mut self, cx: Cx<'_>, leaving: &[Leaving], out: &mut Out) -> Vec<Result<(), GroupError>> {
        match &mut self.membership {
            Membership::Classic(classic) => classic.leave(cx, leaving, out),
            Membership::None | Membership::Foreign(_) => vec![Err(GroupError::UnknownMemberId); leaving.len()],
        }
    }
}

/// Offsets.
impl Group {
    /// Commits offsets. The group refuses all of them, or each has its own outcome in the order given.
    pub fn commit_offsets(
        &mut self,
        cx: Cx<'_>,
        id: &str,
        asking: &Asking,
        offsets: &[NewOffset],
        out: &mut Out,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        match &mut self.membership {
            Membership::None => self.check_simple_commit(id, asking)?,
            Membership::Classic(classic) => classic.check_commit(cx, asking)?,
            Membership::Foreign(foreign) => foreign.check_commit(id, asking)?,
        }
        Ok(write_offsets(cx, id, offsets, out))
    }

    /// Commits offsets as part of a transaction, which the step has to be: they count once that is committed, and
    /// who asks for stable offsets is put off until it has ended. Otherwise as [`Group::commit_offsets`].
    pub fn commit_offsets_in_transaction(
        &self,
        cx: Cx<'_>,
        id: &str,
        asking: &Asking,
        offsets: &[NewOffset],
        out: &mut Out,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        match &self.membership {
            Membership::None => self.check_simple_commit(id, asking)?,
            Membership::Classic(classic) => classic.check_transactional_commit(asking)?,
            Membership::Foreign(foreign) => foreign.check_transactional_commit(id, asking)?,
        }
        Ok(write_offsets(cx, id, offsets, out))
    }

    /// The committed offsets of these partitions, in the order given, or of all. With `require_stable` a partition with a
    /// pending offset of a transaction is refused.
    pub fn fetch_offsets(
        &self,
        asking: &Asking,
        topics: &Topics,
        require_stable: bool,
        out: &mut Out,
    ) -> Result<Vec<OffsetOf>, GroupError> {
        out.depends_on(self.offsets.written_at());
        if let Membership::Foreign(foreign) = &self.membership {
            out.depends_on(foreign.written_at());
            if !foreign.has_offsets() {
                return Ok(Offsets::fetch_nothing(topics));
            }
            foreign.check_fetch(asking)?;
        }
        Ok(self.offsets.fetch(topics, require_stable))
    }

    /// Forgets committed offsets, but not of topics that a member subscribes to. Outcomes in the order given.
    pub fn delete_offsets(
        &self,
        id: &str,
        partitions: &[(Arc<str>, i32)],
        out: &mut Out,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        out.depends_on(self.offsets.written_at());
        self.check_delete_offsets(id)?;
        let id = StrBytes::from(id);
        let delete = |(topic, partition): &(Arc<str>, i32)| {
            if self.subscribes_to(topic) {
                return Err(GroupError::GroupSubscribedToTopic);
            }
            self.offsets.deletion(id.clone(), topic, *partition).into_iter().for_each(|record| out.write(record));
            Ok(())
        };
        Ok(partitions.iter().map(delete).collect())
    }

    /// Topics are gone: so are their offsets. What is asked of a topic is its name and the id that an offset was committed for:
    /// a topic with another id is gone even if there is one of its name.
    pub fn forget_topics(&self, id: &str, is_gone: &dyn Fn(&str, Option<Uuid>) -> bool, out: &mut Out) {
        out.may_be_split();
        self.offsets.gone(id, is_gone).into_iter().for_each(|record| out.write(record));
    }

    /// Forgets what has expired: offsets, and the group with the last of them.
    pub fn expire_offsets(&self, cx: Cx<'_>, id: &str, out: &mut Out) {
        let expiry = Expiry {
            now: cx.now.wall,
            retained_from: self.retained_from(),
            retention_ms: cx.settings.offsets_retention_ms,
            is_subscribed: &|topic| self.subscribes_to(topic),
        };
        let (records, is_all) = self.offsets.expired(id, &expiry);
        out.may_be_split();
        records.into_iter().for_each(|record| out.write(record));
        if is_all {
            self.expire(id, out);
        }
    }
}

/// What members mean for offsets.
impl Group {
    /// Without members, offsets are committed from outside the group, the first of which make it; or by one who believes in
    /// members that are not there.
    fn check_simple_commit(&self, id: &str, asking: &Asking) -> Result<(), GroupError> {
        match asking.generation {
            None => Ok(()),
            Some(_) if self.offsets.is_empty() => Err(GroupError::GroupIdNotFound(id.to_owned())),
            Some(_) => Err(GroupError::UnknownMemberId),
        }
    }

    fn check_delete_offsets(&self, id: &str) -> Result<(), GroupError> {
        match &self.membership {
            _ if self.is_vacant() => Err(GroupError::GroupIdNotFound(id.to_owned())),
            Membership::None => Ok(()),
            Membership::Classic(classic) if classic.is_empty() || classic.is_of_consumers() => Ok(()),
            Membership::Classic(_) => Err(GroupError::NonEmptyGroup),
            Membership::Foreign(foreign) if foreign.has_offsets() => Ok(()),
            Membership::Foreign(_) => Err(GroupError::GroupIdNotFound(id.to_owned())),
        }
    }

    /// Whether a member subscribes to a topic. Of consumers whose subscriptions are not known each may.
    fn subscribes_to(&self, topic: &str) -> bool {
        match &self.membership {
            Membership::None => false,
            Membership::Classic(classic) => classic.subscribes_to(topic).unwrap_or_else(|| classic.is_of_consumers()),
            Membership::Foreign(foreign) => foreign.subscribes_to(topic),
        }
    }

    /// Offsets are in use as long as there are members, but for those of topics that consumers no longer subscribe to.
    fn retained_from(&self) -> RetainedFrom {
        match &self.membership {
            Membership::None | Membership::Foreign(_) => RetainedFrom::Commit,
            Membership::Classic(classic) if classic.protocol_type().is_none() => RetainedFrom::Commit,
            Membership::Classic(classic) if classic.is_empty() => {
                classic.current_state_timestamp().map_or(RetainedFrom::Commit, RetainedFrom::Emptied)
            }
            Membership::Classic(classic) if classic.is_stable() && classic.is_of_consumers() => RetainedFrom::Commit,
            Membership::Classic(_) => RetainedFrom::Never,
        }
    }

    /// The last offset is gone: so is the group, if nobody is in it.
    fn expire(&self, id: &str, out: &mut Out) {
        match &self.membership {
            Membership::Classic(classic) if classic.is_empty() => out.write(tombstone(id)),
            Membership::Foreign(foreign) if foreign.is_empty() && foreign.may_expire() => foreign.take_away(out),
            Membership::None | Membership::Classic(_) | Membership::Foreign(_) => {}
        }
    }
}

/// Writes offsets whose metadata are not too large.
fn write_offsets(cx: Cx<'_>, id: &str, offsets: &[NewOffset], out: &mut Out) -> Vec<Result<(), GroupError>> {
    let id = StrBytes::from(id);
    let write = |offset: &NewOffset| {
        if offset.has_too_much_metadata(cx.settings.offset_metadata_max_bytes) {
            return Err(GroupError::OffsetMetadataTooLarge);
        }
        out.write(offset.record(id.clone(), cx.now.wall));
        Ok(())
    };
    offsets.iter().map(write).collect()
}

fn tombstone(id: &str) -> GroupRecord {
    GroupRecord::Group(GroupMetadataKey { group: StrBytes::from(id) }, None)
}

/// Administration.
impl Group {
    /// What a list says of it; `None` if it is not there.
    #[must_use]
    pub fn listed(&self) -> Option<Listed> {
        (!self.is_vacant()).then(|| match &self.membership {
            Membership::None => Listed { group_type: GroupType::Classic, state: EMPTY, protocol_type: Arc::default() },
            Membership::Classic(classic) => classic.listed(),
            Membership::Foreign(foreign) => foreign.listed(),
        })
    }

    /// What can be told of it.
    pub fn describe(&self, id: &str, out: &mut Out) -> Result<Description, GroupError> {
        out.depends_on(self.offsets.written_at());
        match &self.membership {
            _ if self.is_vacant() => Err(GroupError::GroupIdNotFound(id.to_owned())),
            Membership::None => Ok(Description {
                state: EMPTY,
                protocol_type: Arc::default(),
                protocol_name: Arc::default(),
                members: Vec::new(),
            }),
            Membership::Classic(classic) => Ok(classic.describe(out)),
            Membership::Foreign(_) => Err(GroupError::GroupIdNotFound(id.to_owned())),
        }
    }

    /// Deletes it, with its offsets. If they are so many that they take several batches, the group goes with the last.
    pub fn delete(&self, id: &str, out: &mut Out) -> Result<(), GroupError> {
        out.depends_on(self.offsets.written_at());
        self.check_delete(id)?;
        out.may_be_split();
        self.offsets.deletions(id).into_iter().for_each(|record| out.write(record));
        match &self.membership {
            Membership::None => {}
            Membership::Classic(_) => out.write(tombstone(id)),
            Membership::Foreign(foreign) => foreign.take_away(out),
        }
        Ok(())
    }

    fn check_delete(&self, id: &str) -> Result<(), GroupError> {
        match &self.membership {
            _ if self.is_vacant() => Err(GroupError::GroupIdNotFound(id.to_owned())),
            Membership::None => Ok(()),
            Membership::Classic(classic) if classic.is_empty() => Ok(()),
            Membership::Classic(_) => Err(GroupError::NonEmptyGroup),
            Membership::Foreign(foreign) => foreign.check_delete(),
        }
    }
}

/// Applying.
impl Group {
    /// The members of the classic protocol. There is no group of two kinds: the latest record says which it is.
    fn classic_or_new(&mut self, id: &str) -> &mut Classic {
        if !matches!(self.membership, Membership::Classic(_)) {
            self.membership = Membership::Classic(Box::new(Classic::new(id.into())));
        }
        match &mut self.membership {
            Membership::Classic(classic) => classic,
            Membership::None | Membership::Foreign(_) => unreachable!("it has just been made a classic one"),
        }
    }

    fn apply_foreign(&mut self, place: Place, record: &ForeignRecord) {
        let is_of_kind = matches!(&self.membership, Membership::Foreign(foreign) if foreign.kind() == record.kind());
        if !is_of_kind && record.value().is_none() {
            return;
        }
        if !is_of_kind {
            self.membership = Membership::Foreign(Box::new(Foreign::new(record.kind())));
        }
        let Membership::Foreign(foreign) = &mut self.membership else { unreachable!("it is of the record's kind") };
        if !foreign.apply(place, record) {
            self.membership = Membership::None;
        }
    }
}

impl Machine for Group {
    type Settings = GroupSettings;
    type Record = GroupRecord;
    type Reply = Reply;
    type Effect = Infallible;

    fn apply(&mut self, place: Place, record: &GroupRecord) {
        match record {
            GroupRecord::Offset(key, value) => self.offsets.apply(place, key, value.as_ref()),
            GroupRecord::Group(key, Some(value)) => self.classic_or_new(&key.group).apply(place, value),
            GroupRecord::Group(_, None) if matches!(self.membership, Membership::Classic(_)) => {
                self.membership = Membership::None;
            }
            GroupRecord::Group(_, None) => {}
            GroupRecord::Foreign(record) => self.apply_foreign(place, record),
        }
    }

    fn end_transaction(&mut self, offset: i64, producer_id: i64, is_commit: bool) {
        self.offsets.end_transaction(offset, producer_id, is_commit);
    }

    fn loaded(&mut self, cx: Cx<'_>, out: &mut Out) {
        match &mut self.membership {
            Membership::None => {}
            Membership::Classic(classic) => classic.loaded(cx, out),
            Membership::Foreign(foreign) => foreign.begin_sessions(cx.now.monotonic),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        match &self.membership {
            Membership::None => None,
            Membership::Classic(classic) => classic.next_deadline(),
            Membership::Foreign(foreign) => foreign.next_deadline(),
        }
    }

    fn tick(&mut self, cx: Cx<'_>, out: &mut Out) {
        match &mut self.membership {
            Membership::None => {}
            Membership::Classic(classic) => classic.tick(cx, out),
            Membership::Foreign(foreign) => foreign.end_sessions(cx.now.monotonic, out),
        }
    }

    fn refused(&mut self, cx: Cx<'_>, _: &[GroupRecord], out: &mut Out) {
        if let Membership::Classic(classic) = &mut self.membership {
            classic.refused(cx, out);
        }
    }

    fn after_stall(&mut self, cx: Cx<'_>) {
        match &mut self.membership {
            Membership::None => {}
            Membership::Classic(classic) => classic.after_stall(cx),
            Membership::Foreign(foreign) => foreign.begin_sessions(cx.now.monotonic),
        }
    }

    fn is_vacant(&self) -> bool {
        let is_anybody_there = match &self.membership {
            Membership::None => false,
            Membership::Classic(classic) => !classic.is_vacant(),
            Membership::Foreign(_) => true,
        };
        !is_anybody_there && self.offsets.is_empty()
    }
}

#[cfg(test)]
impl Group {
    /// Its members, if it has or had any.
    pub(super) fn classic(&self) -> Option<&Classic> {
        match &self.membership {
            Membership::Classic(classic) => Some(classic),
            Membership::None | Membership::Foreign(_) => None,
        }
    }

    pub(super) fn classic_mut(&mut self) -> Option<&mut Classic> {
        match &mut self.membership {
            Membership::Classic(classic) => Some(classic),
            Membership::None | Membership::Foreign(_) => None,
        }
    }
}

#[cfg(test)]
mod simple_tests;
#[cfg(test)]
mod transaction_tests;
