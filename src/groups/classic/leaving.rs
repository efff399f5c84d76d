//! LeaveGroup: members go, or are made to go by an administrator who names a static one.

use std::sync::Arc;

use super::{Classic, Cx, GroupError, Leaving, Out, State, joining::reason_to_log};

impl Classic {
    /// Members leave; each has its own outcome. There is one rebalance for all of them.
    pub fn leave(&mut self, cx: Cx<'_>, leaving: &[Leaving], out: &mut Out) -> Vec<Result<(), GroupError>> {
        self.depends_on_record(out);
        let outcomes: Vec<_> = leaving.iter().map(|who| self.leave_one(who, out)).collect();
        if outcomes.iter().any(Result::is_ok) && !matches!(self.state, State::Empty) {
            self.rebalance(cx, "members that have left", out);
        }
        outcomes
    }

    fn leave_one(&mut self, leaving: &Leaving, out: &mut Out) -> Result<(), GroupError> {
        let Some(id) = self.who_leaves(leaving)? else { return Ok(()) };
        tracing::info!(
            group = &*self.id,
            member = &*id,
            reason = reason_to_log(leaving.reason.as_deref()),
            "a member leaves"
        );
        self.remove(&id, out);
        Ok(())
    }

    /// The member that is meant; `None` if it was only pending, and that it is no longer.
    fn who_leaves(&mut self, leaving: &Leaving) -> Result<Option<Arc<str>>, GroupError> {
        let instance = leaving.group_instance_id.as_deref();
        let Some(id) = &leaving.member_id else {
            let named = instance.and_then(|instance| self.members.static_id(instance));
            return named.cloned().map(Some).ok_or(GroupError::UnknownMemberId);
        };
        if self.remove_pending(id) {
            return Ok(None);
        }
        self.members.check(id, instance)?;
        Ok(Some(id.clone()))
    }
}
