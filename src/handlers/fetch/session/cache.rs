//! The open sessions, never more than a bound.
//!
//! Two kinds of locks: one over the cache, held for a few look-ups in ordered maps, and one for each session, held while
//! its partitions are walked. Whoever holds a session's lock never asks for the cache's.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Asked, FINAL_EPOCH, INITIAL_EPOCH, NO_SESSION, Outcome, PARTITIONS_MAX, Plan, Session, SessionRequest, each_once,
};
use crate::protocol::error_code::ErrorCode;

/// Partitions that all sessions may remember together, for each slot: what one session may hold of memory is not one
/// client's to choose.
const PARTITIONS_PER_SLOT: usize = 1000;
/// A session that was not used for this long has to make room for any other; one that is older than this, for a bigger
/// one.
const EVICTION_AGE: Duration = Duration::from_mins(2);
/// How often a random session id is tried that might be taken.
const ID_ATTEMPTS: usize = 4;

/// The sessions of all clients.
#[derive(Debug)]
pub struct SessionCache(Mutex<Slots>);

/// The sessions and the orders in which they are evicted.
///
/// As in Kafka's `FetchSessionCacheShard`, but without its privileged sessions, which are those of followers: no broker
/// follows this one, and who says to be one is not believed.
#[derive(Debug)]
struct Slots {
    slots: usize,
    sessions: HashMap<i32, Slot>,
    /// By last use.
    by_age: BTreeSet<(Instant, i32)>,
    /// By number of partitions, those that are old enough to make room for a bigger one.
    by_size: BTreeSet<(usize, i32)>,
    /// Partitions of all sessions.
    partitions: usize,
    evictions: u64,
}

#[derive(Debug)]
struct Slot {
    session: Arc<Mutex<Session>>,
    size: usize,
    created: Instant,
    last_used: Instant,
}

impl SessionCache {
    /// An empty cache with room for `slots` sessions (`max.incremental.fetch.session.cache.slots`).
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self(Mutex::new(Slots {
            slots,
            sessions: HashMap::new(),
            by_age: BTreeSet::new(),
            by_size: BTreeSet::new(),
            partitions: 0,
            evictions: 0,
        }))
    }

    /// How many sessions are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots().sessions.len()
    }

    /// Whether no session is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many sessions had to make room for others.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.slots().evictions
    }

    /// Decides how a request is served, and takes in what it changes.
    pub fn begin(&self, request: SessionRequest, now: Instant) -> Result<Plan, ErrorCode> {
        let (id, epoch) = (request.id, request.epoch);
        if matches!(epoch, INITIAL_EPOCH | FINAL_EPOCH) {
            self.close(id);
            let partitions = each_once(request.wanted);
            return Ok(Plan::Full { partitions, opens_session: epoch == INITIAL_EPOCH });
        }
        let session = self.slots().session(id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        let partitions = {
            let mut session = lock(&session);
            session.update(request)?;
            session.asked()
        };
        if partitions.len() > PARTITIONS_MAX {
            self.close(id);
            return Err(ErrorCode::InvalidRequest);
        }
        if partitions.is_empty() || !self.slots().touch(id, &session, partitions.len(), now) {
            self.close(id);
            return Ok(Plan::Full { partitions, opens_session: false });
        }
        Ok(Plan::Incremental { id, session, partitions })
    }

    /// Opens a session for a full fetch that has been answered with `outcomes`, under the first of `ids` that is free.
    /// `None` where the cache has no room: the client goes on with full fetches.
    pub fn open(
        &self,
        ids: impl FnMut() -> i32,
        uses_topic_ids: bool,
        partitions: &[Asked],
        outcomes: &[Outcome],
        now: Instant,
    ) -> Option<i32> {
        let size = partitions.len();
        if size == 0 {
            return None;
        }
        // What is evicted is dropped after the lock.
        let evicted = self.slots().make_room(size, now)?;
        drop(evicted);
        let session = Arc::new(Mutex::new(Session::new(uses_topic_ids, partitions, outcomes)));
        let mut slots = self.slots();
        let id = std::iter::repeat_with(ids).take(ID_ATTEMPTS).find(|id| slots.is_free(*id))?;
        slots.add(id, session, size, now).then_some(id)
    }

    fn close(&self, id: i32) {
        let closed = self.slots().remove(id);
        drop(closed);
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Locks a session.
pub fn lock(session: &Mutex<Session>) -> MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slots {
    fn session(&self, id: i32) -> Option<Arc<Mutex<Session>>> {
        self.sessions.get(&id).map(|slot| Arc::clone(&slot.session))
    }

    fn is_free(&self, id: i32) -> bool {
        id > NO_SESSION && !self.sessions.contains_key(&id)
    }

    fn partitions_max(&self) -> usize {
        self.slots.saturating_mul(PARTITIONS_PER_SLOT)
    }

    /// Notes that a session is used, and its size. `false` if there is no room for so many partitions. One that was
    /// evicted meanwhile is served this last time.
    fn touch(&mut self, id: i32, session: &Arc<Mutex<Session>>, size: usize, now: Instant) -> bool {
        let Some(slot) = self.sessions.get_mut(&id).filter(|slot| Arc::ptr_eq(&slot.session, session)) else {
            return true;
        };
        self.by_age.remove(&(slot.last_used, id));
        self.by_age.insert((now, id));
        self.by_size.remove(&(slot.size, id));
        if now.saturating_duration_since(slot.created) > EVICTION_AGE {
            self.by_size.insert((size, id));
        }
        self.partitions = self.partitions - slot.size + size;
        (slot.last_used, slot.size) = (now, size);
        self.partitions <= self.partitions_max()
    }

    /// Makes sure that a session of this size has room, and returns those that had to make it: those that were not used
    /// for a while, or one that is smaller.
    fn make_room(&mut self, size: usize, now: Instant) -> Option<Vec<Slot>> {
        if size > self.partitions_max() {
            return None;
        }
        let mut evicted = Vec::new();
        while self.lacks_room(size) {
            let id = self.stale(now).or_else(|| self.smaller_than(size))?;
            evicted.extend(self.remove(id));
            self.evictions += 1;
        }
        Some(evicted)
    }

    fn lacks_room(&self, size: usize) -> bool {
        self.sessions.len() >= self.slots || self.partitions + size > self.partitions_max()
    }

    fn stale(&self, now: Instant) -> Option<i32> {
        let &(last_used, id) = self.by_age.first()?;
        (now.saturating_duration_since(last_used) > EVICTION_AGE).then_some(id)
    }

    /// The smallest session, if it may be displaced by one of this size: if slots are short, not memory, which that one
    /// would take more of.
    fn smaller_than(&self, size: usize) -> Option<i32> {
        let &(smallest, id) = self.by_size.first()?;
        let is_slot_short = self.sessions.len() >= self.slots;
        let fits = self.partitions - smallest + size <= self.partitions_max();
        (is_slot_short && smallest < size && fits).then_some(id)
    }

    /// Adds a session, unless somebody else has taken the room meanwhile.
    fn add(&mut self, id: i32, session: Arc<Mutex<Session>>, size: usize, now: Instant) -> bool {
        if self.lacks_room(size) {
            return false;
        }
        self.partitions += size;
        self.by_age.insert((now, id));
        self.sessions.insert(id, Slot { session, size, created: now, last_used: now });
        true
    }

    fn remove(&mut self, id: i32) -> Option<Slot> {
        let slot = self.sessions.remove(&id)?;
        self.by_age.remove(&(slot.last_used, id));
        self.by_size.remove(&(slot.size, id));
        self.partitions -= slot.size;
        Some(slot)
    }
}

#[cfg(test)]
mod tests;
