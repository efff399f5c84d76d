//! What the group's offsets ask its members.

use super::{CONSUMER, Classic, Cx, GroupError, State};
use crate::{clock::TimestampMs, groups::group::Asking};

impl Classic {
    /// Whether whoever asks may commit offsets. A member that does is alive.
    pub fn check_commit(&mut self, cx: Cx<'_>, asking: &Asking) -> Result<(), GroupError> {
        // An administrator, or a consumer that does without a group: as long as nobody is in it.
        if asking.generation.is_none() && self.is_empty() {
            return Ok(());
        }
        if *asking == Asking::default() {
            return Err(GroupError::UnknownMemberId);
        }
        let member_id = self.check_member(asking)?;
        match self.state {
            State::CompletingRebalance => Err(GroupError::RebalanceInProgress),
            State::Empty | State::PreparingRebalance(_) | State::Stable => {
                self.extend_session(cx, member_id);
                Ok(())
            }
        }
    }

    /// Whether whoever asks may commit offsets with a transaction. It is a producer that says on whose behalf (KIP-447), which
    /// does not tell that the member is alive; nor does the state matter. Old clients say nothing.
    pub fn check_transactional_commit(&self, asking: &Asking) -> Result<(), GroupError> {
        let is_from_outside = asking.generation.is_none() && self.is_empty() || *asking == Asking::default();
        if is_from_outside { Ok(()) } else { self.check_member(asking).map(drop) }
    }

    /// Whether it is a member of this generation; who.
    fn check_member<'a>(&self, asking: &'a Asking) -> Result<&'a str, GroupError> {
        let member_id = asking.member_id.as_deref().unwrap_or_default();
        self.members.check(member_id, asking.group_instance_id.as_deref())?;
        self.check_generation(asking.generation.ok_or(GroupError::IllegalGeneration)?)?;
        Ok(member_id)
    }

    /// Whether a member subscribes to the topic; `None` if that is not known: the members are no consumers, or say it in
    /// words of their own.
    #[must_use]
    pub fn subscribes_to(&self, topic: &str) -> Option<bool> {
        self.subscribed.as_ref().map(|topics| topics.contains(topic))
    }

    /// Whether it has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.state, State::Empty)
    }

    /// Whether its members know what they are assigned.
    #[must_use]
    pub fn is_stable(&self) -> bool {
        matches!(self.state, State::Stable)
    }

    /// What kind of members it has, or had; `None` if it never had one.
    #[must_use]
    pub fn protocol_type(&self) -> Option<&str> {
        self.protocol_type.as_deref()
    }

    /// Whether its members are, or were, consumers.
    #[must_use]
    pub fn is_of_consumers(&self) -> bool {
        self.protocol_type() == Some(CONSUMER)
    }

    /// When its state began; `None` if an old record does not say.
    #[must_use]
    pub fn current_state_timestamp(&self) -> Option<TimestampMs> {
        self.state_since
    }
}
