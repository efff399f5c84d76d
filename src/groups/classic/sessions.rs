//! When each member has to have been heard of.
//!
//! A heartbeat is the commonest of all requests, so it moves a number and nothing else. The ordered set keeps an older,
//! earlier entry; once that is due it is put in again where the number says. Whoever is heard of regularly is so moved
//! once a session, not once a heartbeat.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Instant,
};

/// The sessions of members and of those who are yet to join.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    by_id: HashMap<Arc<str>, Session>,
    order: BTreeSet<(Instant, Arc<str>)>,
}

/// Invariant: `noted <= ends`, and `order` has it under `noted`.
#[derive(Debug)]
struct Session {
    ends: Instant,
    noted: Instant,
}

impl Sessions {
    /// A session begins, or goes on until then.
    pub(super) fn extend(&mut self, id: &Arc<str>, ends: Instant) {
        match self.by_id.get_mut(id) {
            Some(session) if session.noted <= ends => session.ends = ends,
            _ => {
                self.end(id);
                self.by_id.insert(id.clone(), Session { ends, noted: ends });
                self.order.insert((ends, id.clone()));
            }
        }
    }

    /// A session is over, or waits for nothing.
    pub(super) fn end(&mut self, id: &Arc<str>) {
        if let Some(session) = self.by_id.remove(id) {
            self.order.remove(&(session.noted, id.clone()));
        }
    }

    /// Whose session it is has another id from now on.
    pub(super) fn rename(&mut self, old: &Arc<str>, new: &Arc<str>) {
        if let Some(ends) = self.by_id.get(old).map(|session| session.ends) {
            self.end(old);
            self.extend(new, ends);
        }
    }

    /// When to look at [`Sessions::pop_expired`]; there may be nothing in it yet.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.order.first().map(|(noted, _)| *noted)
    }

    /// One whose session has ended, which is over with that.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Arc<str>> {
        while self.next_due()? <= now {
            let (_, id) = self.order.pop_first()?;
            let session = self.by_id.get_mut(&id)?;
            if session.ends <= now {
                self.by_id.remove(&id);
                return Some(id);
            }
            session.noted = session.ends;
            self.order.insert((session.ends, id));
        }
        None
    }

    /// Whether there is one.
    #[cfg(test)]
    pub(super) fn contains(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.by_id.len(), self.order.len());
        self.by_id.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn who_is_not_heard_of_expires_in_order() {
        let start = clock::monotonic();
        let ids: [Arc<str>; 3] = ["a".into(), "b".into(), "c".into()];
        let mut sessions = Sessions::default();
        for (id, seconds) in ids.iter().zip([20, 10, 30]) {
            sessions.extend(id, at(start, seconds));
        }
        assert_eq!(sessions.next_due(), Some(at(start, 10)));
        assert_eq!(sessions.pop_expired(at(start, 9)), None);
        assert_eq!(sessions.pop_expired(at(start, 20)).as_deref(), Some("b"));
        assert_eq!(sessions.pop_expired(at(start, 20)).as_deref(), Some("a"));
        assert_eq!(sessions.pop_expired(at(start, 20)), None);
        assert_eq!((sessions.len(), sessions.contains("c")), (1, true));
    }

    #[test]
    fn an_extension_touches_the_order_when_the_old_entry_is_due() {
        let start = clock::monotonic();
        let id: Arc<str> = "a".into();
        let mut sessions = Sessions::default();
        sessions.extend(&id, at(start, 10));
        for second in 1..9 {
            sessions.extend(&id, at(start, second + 10));
        }
        assert_eq!(sessions.next_due(), Some(at(start, 10)), "no heartbeat has moved it");
        assert_eq!(sessions.pop_expired(at(start, 10)), None);
        assert_eq!(sessions.next_due(), Some(at(start, 18)));
        assert_eq!(sessions.pop_expired(at(start, 18)), Some(id));
    }

    #[test]
    fn a_shorter_session_counts_at_once() {
        let start = clock::monotonic();
        let id: Arc<str> = "a".into();
        let mut sessions = Sessions::default();
        sessions.extend(&id, at(start, 300));
        sessions.extend(&id, at(start, 10));
        assert_eq!((sessions.next_due(), sessions.len()), (Some(at(start, 10)), 1));
        sessions.end(&id);
        assert_eq!((sessions.next_due(), sessions.len()), (None, 0));
    }
}
