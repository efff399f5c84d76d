//! Ids that were given out to new members which have not joined with them yet.

use std::{collections::HashMap, sync::Arc, time::Duration};

/// The most ids. Each is given out for no more than a request, so it is here that clients which never join with theirs meet
/// a limit.
const IDS_MAX: usize = 100_000;
/// The most bytes of ids: a client is free to call itself something long.
const BYTES_MAX: usize = 16 << 20;

/// The ids, with the session time-out of each.
#[derive(Debug, Default)]
pub(super) struct Pending {
    sessions: HashMap<Arc<str>, Duration>,
    bytes: usize,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.sessions.contains_key(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, Duration)> {
        self.sessions.iter().map(|(id, session)| (id, *session))
    }

    /// Puts one in; false if there is no room for it.
    #[must_use]
    pub(super) fn insert(&mut self, id: &Arc<str>, session: Duration) -> bool {
        let has_room = self.sessions.len() < IDS_MAX && self.bytes + id.len() <= BYTES_MAX;
        if has_room && self.sessions.insert(id.clone(), session).is_none() {
            self.bytes += id.len();
        }
        has_room
    }

    /// Takes all out.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Arc<str>> + use<> {
        self.bytes = 0;
        std::mem::take(&mut self.sessions).into_keys()
    }

    /// Takes one out. Whether it was there.
    pub(super) fn remove(&mut self, id: &str) -> bool {
        let was_there = self.sessions.remove(id).is_some();
        if was_there {
            self.bytes -= id.len();
        }
        was_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_many_ids_and_no_more() {
        let mut pending = Pending::default();
        let id = |number: usize| Arc::from(format!("consumer-{number}"));
        assert!((0..IDS_MAX).all(|number| pending.insert(&id(number), Duration::ZERO)));
        assert!(!pending.insert(&id(IDS_MAX), Duration::ZERO));
        assert!(pending.remove(&id(7)) && !pending.remove(&id(7)));
        assert!(pending.insert(&id(IDS_MAX), Duration::ZERO));
        assert!((0..=IDS_MAX).filter(|number| pending.remove(&id(*number))).count() == IDS_MAX);
        assert_eq!((pending.is_empty(), pending.bytes), (true, 0));
    }
}
