//! SyncGroup: the leader brings the assignments, members fetch theirs.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;

use super::{Classic, Cx, GroupError, Out, Reply, State, Sync, Synced, members::Parked};
use crate::coordinator::machine::Ticket;

impl Classic {
    /// A member asks for its assignment; the leader brings everybody's.
    pub fn sync(&mut self, cx: Cx<'_>, ticket: Ticket, sync: &Sync, out: &mut Out) {
        self.depends_on_record(out);
        if let Err(error) = self.try_sync(cx, ticket, sync, out) {
            out.reply(ticket, Reply::Sync(Err(error)));
        }
    }

    fn try_sync(&mut self, cx: Cx<'_>, ticket: Ticket, sync: &Sync, out: &mut Out) -> Result<(), GroupError> {
        self.check_sync(sync)?;
        match self.state {
            State::Empty => return Err(GroupError::UnknownMemberId),
            State::PreparingRebalance(_) => return Err(GroupError::RebalanceInProgress),
            State::CompletingRebalance => {
                self.unsynced.remove(&sync.member_id);
                self.park(&sync.member_id, Parked::Sync(ticket), out);
                if self.is_leader(&sync.member_id) {
                    self.distribute(cx, &sync.assignments, out);
                }
            }
            State::Stable => {
                self.unsynced.remove(&sync.member_id);
                let assignment = self.members.get(&sync.member_id).map(|member| member.assignment.clone());
                out.reply(ticket, Reply::Sync(Ok(self.synced(assignment.unwrap_or_default()))));
            }
        }
        Ok(())
    }

    fn check_sync(&self, sync: &Sync) -> Result<(), GroupError> {
        self.members.check(&sync.member_id, sync.group_instance_id.as_deref())?;
        self.check_generation(sync.generation)?;
        let differs = |said: &Option<Arc<str>>, is: &Option<Arc<str>>| said.is_some() && said != is;
        if differs(&sync.protocol_type, &self.protocol_type) || differs(&sync.protocol_name, &self.protocol_name) {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    /// Writes the leader's assignments down and hands them out. Members that it has left out get nothing to do.
    fn distribute(&mut self, cx: Cx<'_>, assignments: &[(Arc<str>, Bytes)], out: &mut Out) {
        let assignments: HashMap<&str, &Bytes> =
            assignments.iter().map(|(id, assignment)| (&**id, assignment)).collect();
        let assigned = |id: &str| assignments.get(id).map(|&assignment| assignment.clone()).unwrap_or_default();
        self.write_assignments(assigned, out);
        for id in self.who_waits(|parked| matches!(parked, Parked::Sync(_))) {
            if let Some(Parked::Sync(ticket)) = self.members.unpark(&id) {
                out.reply(ticket, Reply::Sync(Ok(self.synced(assigned(&id)))));
            }
            self.extend_session(cx, &id);
        }
    }

    fn synced(&self, assignment: Bytes) -> Synced {
        Synced { protocol_type: self.protocol_type.clone(), protocol_name: self.protocol_name.clone(), assignment }
    }
}
