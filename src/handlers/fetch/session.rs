//! Incremental fetch sessions (KIP-227): what a consumer asked for is remembered, so that later requests and responses
//! name only what changed. Pure: requests and the time go in, decisions come out.
//!
//! | request: id, epoch | what happens                                                                        |
//! |--------------------|-------------------------------------------------------------------------------------|
//! | 0, -1              | a full fetch without a session                                                      |
//! | 0, 0               | a full fetch that opens a session if the cache has room; its id is in the response  |
//! | id, -1             | the session is closed; a full fetch without a session                               |
//! | id, 0              | the session is closed; a full fetch that opens another                              |
//! | id, n              | an incremental fetch: the request changes the remembered set, then all of it is read |
//!
//! The epoch counts a session's requests, so that a lost or repeated one is noticed: the client then starts anew.
//! (Apache Kafka: `FetchManager`, `FetchSessionCache`.)

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    sync::Arc,
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::protocol::error_code::ErrorCode;

/// The session id of a request without one.
pub const NO_SESSION: i32 = 0;
/// The epoch of a request that opens a session.
const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that wants none.
const FINAL_EPOCH: i32 = -1;
/// Partitions that all sessions may remember together, for each slot: what one session may hold of memory is not one
/// client's to choose.
const PARTITIONS_PER_SLOT: usize = 1000;
/// A session that was used within this time is not evicted for another of the same size.
const EVICTION_AGE: Duration = Duration::from_mins(2);

/// How a request names a topic: by name below version 13, by id from there on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopicKey {
    /// By name.
    Name(Arc<str>),
    /// By id.
    Id(Uuid),
}

/// A partition as a request names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey {
    /// The topic.
    pub topic: TopicKey,
    /// The partition's index.
    pub partition: i32,
}

/// What is asked of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The first offset wanted.
    pub fetch_offset: i64,
    /// Most bytes from this partition.
    pub max_bytes: i32,
    /// The leader epoch that the client knows.
    pub current_leader_epoch: Option<i32>,
    /// The epoch of the last record that the client has.
    pub last_fetched_epoch: Option<i32>,
}

/// A request as far as sessions are concerned.
#[derive(Clone, Debug)]
pub struct SessionRequest {
    /// The session's id.
    pub id: i32,
    /// The request's number within the session.
    pub epoch: i32,
    /// Whether topics are named by id.
    pub uses_topic_ids: bool,
    /// Partitions to add, or whose position changed.
    pub wanted: Vec<(PartitionKey, Position)>,
    /// Partitions to forget.
    pub forgotten: Vec<PartitionKey>,
}

/// How a request is to be served.
#[derive(Debug, PartialEq, Eq)]
pub enum Plan {
    /// Read these; answer for all of them.
    Full {
        /// The partitions in the order asked for.
        partitions: Vec<(PartitionKey, Position)>,
        /// Whether a session is to be opened with the answer.
        opens_session: bool,
    },
    /// Read these; answer for those that [`SessionCache::changed`] names.
    Incremental {
        /// The session.
        id: i32,
        /// All partitions of the session, those that had no data longest first.
        partitions: Vec<(PartitionKey, Position)>,
    },
}

/// What the last response said of a partition, as far as a change of it is worth a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The error, or none.
    pub error: ErrorCode,
    /// The high watermark.
    pub high_watermark: i64,
    /// The log start offset.
    pub log_start_offset: i64,
    /// Whether there are records.
    pub has_records: bool,
}

#[derive(Debug)]
struct Session {
    epoch: i32,
    uses_topic_ids: bool,
    /// In the order in which they are read.
    partitions: Vec<Cached>,
    created: Instant,
    last_used: Instant,
}

#[derive(Debug)]
struct Cached {
    key: PartitionKey,
    position: Position,
    /// What the client was told last; `None` where the next response has to name the partition.
    told: Option<(i64, i64)>,
}

/// The open sessions, never more than a bound.
#[derive(Debug)]
pub struct SessionCache {
    slots: usize,
    sessions: HashMap<i32, Session>,
    /// Sessions by last use, for eviction.
    by_age: BTreeSet<(Instant, i32)>,
    /// Partitions of all sessions.
    partitions: usize,
    evictions: u64,
}

impl SessionCache {
    /// An empty cache with room for `slots` sessions (`max.incremental.fetch.session.cache.slots`).
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self { slots, sessions: HashMap::new(), by_age: BTreeSet::new(), partitions: 0, evictions: 0 }
    }

    /// How many sessions are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether no session is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// How many sessions had to make room for others.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Decides how a request is served, and takes in what it changes.
    pub fn begin(&mut self, request: SessionRequest, now: Instant) -> Result<Plan, ErrorCode> {
        if matches!(request.epoch, INITIAL_EPOCH | FINAL_EPOCH) {
            self.close(request.id);
            let opens_session = request.epoch == INITIAL_EPOCH;
            return Ok(Plan::Full { partitions: request.wanted, opens_session });
        }
        let id = request.id;
        let session = self.sessions.get_mut(&id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != request.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.uses_topic_ids != request.uses_topic_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        let before = session.partitions.len();
        session.update(request.wanted, &request.forgotten);
        self.partitions = self.partitions - before + session.partitions.len();
        session.epoch = next_epoch(session.epoch);
        let partitions: Vec<_> =
            session.partitions.iter().map(|cached| (cached.key.clone(), cached.position)).collect();
        if partitions.is_empty() || self.partitions > self.partitions_max() {
            self.close(id);
            return Ok(Plan::Full { partitions, opens_session: false });
        }
        self.touch(id, now);
        Ok(Plan::Incremental { id, partitions })
    }

    fn touch(&mut self, id: i32, now: Instant) {
        if let Some(session) = self.sessions.get_mut(&id) {
            self.by_age.remove(&(session.last_used, id));
            session.last_used = now;
            self.by_age.insert((now, id));
        }
    }

    fn partitions_max(&self) -> usize {
        self.slots.saturating_mul(PARTITIONS_PER_SLOT)
    }

    /// Opens a session for a full fetch that has been answered with `outcomes`, under `id` if that is free. `None` where
    /// the cache has no room: the client goes on with full fetches.
    pub fn open(
        &mut self,
        id: i32,
        uses_topic_ids: bool,
        partitions: Vec<(PartitionKey, Position)>,
        outcomes: &[Outcome],
        now: Instant,
    ) -> Option<i32> {
        if id <= NO_SESSION || partitions.is_empty() || self.sessions.contains_key(&id) {
            return None;
        }
        if self.sessions.len() >= self.slots && !self.make_room(partitions.len(), now) {
            return None;
        }
        let told: HashMap<PartitionKey, Outcome> =
            partitions.iter().map(|(key, _)| key.clone()).zip(outcomes.iter().copied()).collect();
        let mut session = Session {
            epoch: next_epoch(INITIAL_EPOCH),
            uses_topic_ids,
            partitions: Vec::new(),
            created: now,
            last_used: now,
        };
        session.update(partitions, &[]);
        session.remember(&told.iter().collect());
        if self.partitions + session.partitions.len() > self.partitions_max() {
            return None;
        }
        self.partitions += session.partitions.len();
        self.sessions.insert(id, session);
        self.by_age.insert((now, id));
        Some(id)
    }

    /// Which of an incremental fetch's outcomes the response has to name. They are taken for told: a partition with
    /// records goes to the end of the order, so that the byte limit starves none.
    pub fn changed(&mut self, id: i32, outcomes: &[(PartitionKey, Outcome)]) -> Vec<bool> {
        let Some(session) = self.sessions.get_mut(&id) else {
            // Evicted meanwhile: the client is told everything, and that its session is gone with the next request.
            return vec![true; outcomes.len()];
        };
        let told: HashMap<&PartitionKey, &Outcome> = outcomes.iter().map(|(key, outcome)| (key, outcome)).collect();
        let changed = session.changed(&told);
        let answer = outcomes.iter().map(|(key, _)| changed.contains(key)).collect();
        session.remember(&told);
        answer
    }

    fn close(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.by_age.remove(&(session.last_used, id));
            self.partitions -= session.partitions.len();
        }
    }

    /// Evicts the session that was used least recently, if it was not used for a while, or if the new one is bigger.
    fn make_room(&mut self, size: usize, now: Instant) -> bool {
        let Some(&(last_used, id)) = self.by_age.first() else { return false };
        let unused = now.saturating_duration_since(last_used) > EVICTION_AGE;
        let smaller = self.sessions.get(&id).is_some_and(|session| {
            session.partitions.len() < size && now.saturating_duration_since(session.created) > EVICTION_AGE
        });
        if unused || smaller {
            self.close(id);
            self.evictions += 1;
        }
        unused || smaller
    }
}

impl Session {
    fn update(&mut self, wanted: Vec<(PartitionKey, Position)>, forgotten: &[PartitionKey]) {
        if wanted.is_empty() && forgotten.is_empty() {
            return;
        }
        let mut places: HashMap<PartitionKey, usize> =
            self.partitions.iter().enumerate().map(|(place, cached)| (cached.key.clone(), place)).collect();
        for (key, position) in wanted {
            match places.entry(key) {
                Entry::Occupied(place) => self.partitions[*place.get()].position = position,
                Entry::Vacant(place) => {
                    self.partitions.push(Cached { key: place.key().clone(), position, told: None });
                    place.insert(self.partitions.len() - 1);
                }
            }
        }
        if !forgotten.is_empty() {
            let forgotten: BTreeSet<&PartitionKey> = forgotten.iter().collect();
            self.partitions.retain(|cached| !forgotten.contains(&cached.key));
        }
    }

    fn changed(&self, outcomes: &HashMap<&PartitionKey, &Outcome>) -> BTreeSet<PartitionKey> {
        let changed = self.partitions.iter().filter(|cached| {
            outcomes.get(&cached.key).is_some_and(|outcome| {
                outcome.has_records
                    || outcome.error != ErrorCode::None
                    || cached.told != Some((outcome.high_watermark, outcome.log_start_offset))
            })
        });
        changed.map(|cached| cached.key.clone()).collect()
    }

    fn remember(&mut self, outcomes: &HashMap<&PartitionKey, &Outcome>) {
        for cached in &mut self.partitions {
            if let Some(outcome) = outcomes.get(&cached.key) {
                cached.told = outcome.remembered();
            }
        }
        let had_records = |cached: &Cached| outcomes.get(&cached.key).is_some_and(|outcome| outcome.has_records);
        // Stable: those without records keep their order, and come first.
        self.partitions.sort_by_key(had_records);
    }
}

impl Outcome {
    /// What the client knows after this. After an error it is told again, whatever comes.
    fn remembered(self) -> Option<(i64, i64)> {
        (self.error == ErrorCode::None).then_some((self.high_watermark, self.log_start_offset))
    }
}

fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSITION: Position =
        Position { fetch_offset: 0, max_bytes: 1000, current_leader_epoch: None, last_fetched_epoch: None };

    fn key(partition: i32) -> PartitionKey {
        PartitionKey { topic: TopicKey::Id(Uuid::from_u128(1)), partition }
    }

    fn wanted(partitions: &[i32]) -> Vec<(PartitionKey, Position)> {
        partitions.iter().map(|&partition| (key(partition), POSITION)).collect()
    }

    fn request(id: i32, epoch: i32, partitions: &[i32]) -> SessionRequest {
        SessionRequest { id, epoch, uses_topic_ids: true, wanted: wanted(partitions), forgotten: Vec::new() }
    }

    fn outcome(high_watermark: i64, has_records: bool) -> Outcome {
        Outcome { error: ErrorCode::None, high_watermark, log_start_offset: 0, has_records }
    }

    fn open(cache: &mut SessionCache, id: i32, partitions: &[i32], now: Instant) -> Option<i32> {
        let outcomes = vec![outcome(10, false); partitions.len()];
        cache.open(id, true, wanted(partitions), &outcomes, now)
    }

    fn partitions_of(plan: Result<Plan, ErrorCode>) -> Vec<i32> {
        match plan {
            Ok(Plan::Incremental { partitions, .. }) => partitions.iter().map(|(key, _)| key.partition).collect(),
            other => panic!("not incremental: {other:?}"),
        }
    }

    #[test]
    fn a_session_remembers_what_was_asked_for() {
        let now = Instant::now();
        let mut cache = SessionCache::new(10);
        let full = Plan::Full { partitions: wanted(&[0, 1]), opens_session: true };
        assert_eq!(cache.begin(request(0, 0, &[0, 1]), now), Ok(full));
        assert_eq!(open(&mut cache, 7, &[0, 1], now), Some(7));
        assert_eq!(partitions_of(cache.begin(request(7, 1, &[]), now)), [0, 1]);
        assert_eq!(partitions_of(cache.begin(request(7, 2, &[2]), now)), [0, 1, 2]);
        let forget = SessionRequest { forgotten: vec![key(0)], ..request(7, 3, &[]) };
        assert_eq!(partitions_of(cache.begin(forget, now)), [1, 2]);
    }

    #[test]
    fn a_request_out_of_step_is_told_so() {
        let now = Instant::now();
        let mut cache = SessionCache::new(10);
        open(&mut cache, 7, &[0], now);
        assert_eq!(cache.begin(request(8, 1, &[]), now), Err(ErrorCode::FetchSessionIdNotFound));
        assert_eq!(cache.begin(request(7, 2, &[]), now), Err(ErrorCode::InvalidFetchSessionEpoch));
        let by_name = SessionRequest { uses_topic_ids: false, ..request(7, 1, &[]) };
        assert_eq!(cache.begin(by_name, now), Err(ErrorCode::FetchSessionTopicIdError));
        assert_eq!(partitions_of(cache.begin(request(7, 1, &[]), now)), [0]);
    }

    #[test]
    fn a_full_fetch_closes_the_session_that_it_names() {
        let now = Instant::now();
        let mut cache = SessionCache::new(10);
        open(&mut cache, 7, &[0], now);
        let full = Plan::Full { partitions: wanted(&[0]), opens_session: false };
        assert_eq!(cache.begin(request(7, FINAL_EPOCH, &[0]), now), Ok(full));
        assert!(cache.is_empty());
    }

    #[test]
    fn a_session_that_forgets_everything_is_closed() {
        let now = Instant::now();
        let mut cache = SessionCache::new(10);
        open(&mut cache, 7, &[0], now);
        let forget = SessionRequest { forgotten: vec![key(0)], ..request(7, 1, &[]) };
        assert_eq!(cache.begin(forget, now), Ok(Plan::Full { partitions: Vec::new(), opens_session: false }));
        assert!(cache.is_empty());
    }

    #[test]
    fn only_what_changed_is_told_and_records_go_last() {
        let now = Instant::now();
        let mut cache = SessionCache::new(10);
        open(&mut cache, 7, &[0, 1, 2], now);
        let mut tell = |outcomes: [Outcome; 3]| {
            let outcomes: Vec<_> = (0..).map(key).zip(outcomes).collect();
            cache.changed(7, &outcomes)
        };
        let same = outcome(10, false);
        assert_eq!(tell([same, same, same]), [false, false, false]);
        assert_eq!(tell([outcome(12, true), same, outcome(11, false)]), [true, false, true]);
        assert_eq!(tell([outcome(12, false), same, outcome(11, false)]), [false, false, false]);
        let error = Outcome { error: ErrorCode::OffsetOutOfRange, ..same };
        assert_eq!(tell([outcome(12, false), error, outcome(11, false)]), [false, true, false]);
        assert_eq!(tell([outcome(12, false), same, outcome(11, false)]), [false, true, false]);
        assert_eq!(partitions_of(cache.begin(request(7, 1, &[]), now)), [1, 2, 0]);
    }

    #[test]
    fn the_cache_never_holds_more_than_its_slots() {
        let start = Instant::now();
        let mut cache = SessionCache::new(2);
        assert_eq!(open(&mut cache, 1, &[0], start), Some(1));
        assert_eq!(open(&mut cache, 2, &[0], start), Some(2));
        assert_eq!(open(&mut cache, 3, &[0, 1], start), None);
        let later = start + EVICTION_AGE + Duration::from_millis(1);
        cache.begin(request(1, 1, &[]), later).expect("in step");
        assert_eq!(open(&mut cache, 3, &[0], later), Some(3));
        assert_eq!(cache.begin(request(2, 1, &[]), later), Err(ErrorCode::FetchSessionIdNotFound));
        assert_eq!(open(&mut cache, 4, &[0], later), None);
        assert_eq!(open(&mut cache, 4, &[0, 1], later), Some(4), "a bigger session displaces a smaller old one");
        assert_eq!((cache.len(), cache.evictions()), (2, 2));
    }

    #[test]
    fn sessions_remember_no_more_partitions_than_all_of_them_may() {
        let now = Instant::now();
        let mut cache = SessionCache::new(1);
        let many: Vec<i32> = (0..1001).collect();
        assert_eq!(open(&mut cache, 1, &many, now), None);
        assert_eq!(open(&mut cache, 1, &many[..1000], now), Some(1));
        let more = cache.begin(request(1, 1, &[1000]), now).expect("in step");
        assert_eq!(more, Plan::Full { partitions: wanted(&many), opens_session: false });
        assert!(cache.is_empty());
        assert_eq!(open(&mut cache, 2, &many[..1000], now), Some(2), "what was closed is counted no more");
    }

    #[test]
    fn a_partition_that_is_named_twice_is_remembered_once() {
        let now = Instant::now();
        let mut cache = SessionCache::new(10);
        open(&mut cache, 1, &[0, 1, 0], now);
        assert_eq!(partitions_of(cache.begin(request(1, 1, &[2, 2]), now)), [0, 1, 2]);
    }

    #[test]
    fn a_taken_id_is_not_given_twice() {
        let now = Instant::now();
        let mut cache = SessionCache::new(10);
        assert_eq!(open(&mut cache, 7, &[0], now), Some(7));
        assert_eq!(open(&mut cache, 7, &[0], now), None);
        assert_eq!(open(&mut cache, 0, &[0], now), None);
    }
}
