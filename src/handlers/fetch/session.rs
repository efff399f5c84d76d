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
//! (Apache Kafka: `FetchSession`, `FetchManager`; the cache is in [`cache`].)

pub mod cache;

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::{Arc, Mutex},
};

use uuid::Uuid;

use crate::protocol::error_code::ErrorCode;

/// The session id of a request without one.
pub const NO_SESSION: i32 = 0;
/// The epoch of a request that opens a session.
const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that wants none.
const FINAL_EPOCH: i32 = -1;
/// Partitions that one fetch may be about, by what it names or by what its session remembers. All of them are looked at
/// whenever one of them gets a record, so their number is not a client's to choose. It is far beyond what one broker
/// hosts.
pub const PARTITIONS_MAX: usize = 100_000;

/// How a request names a topic: by name below version 13, by id from there on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicKey {
    /// By name.
    Name(Arc<str>),
    /// By id.
    Id(Uuid),
}

/// A partition as a request names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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

/// A partition to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The partition.
    pub key: PartitionKey,
    /// What is asked of it.
    pub position: Position,
    /// The name that the session has learned of a topic that it knows by id.
    pub topic_name: Option<Arc<str>>,
}

/// How a request is to be served.
#[derive(Debug)]
pub enum Plan {
    /// Read these; answer for all of them.
    Full {
        /// The partitions in the order asked for, each once.
        partitions: Vec<Asked>,
        /// Whether a session is to be opened with the answer.
        opens_session: bool,
    },
    /// Read these; answer for those that [`Session::tell`] names.
    Incremental {
        /// The session's id.
        id: i32,
        /// The session.
        session: Arc<Mutex<Session>>,
        /// All partitions of the session, those that had no data longest first.
        partitions: Vec<Asked>,
    },
}

impl Plan {
    /// What is to be read.
    #[must_use]
    pub fn partitions(&self) -> &[Asked] {
        match self {
            Self::Full { partitions, .. } | Self::Incremental { partitions, .. } => partitions,
        }
    }
}

/// What a response says of a partition, as far as a change of it is worth a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The error, or none.
    pub error: ErrorCode,
    /// The high watermark.
    pub high_watermark: i64,
    /// The log start offset.
    pub log_start_offset: i64,
    /// Whether there are records.
    pub has_records: bool,
    /// The name of the topic, where it was found by its id.
    pub topic_name: Option<Arc<str>>,
}

impl Outcome {
    /// What the client knows after this. After an error it is told again, whatever comes.
    fn remembered(&self) -> Option<(i64, i64)> {
        (self.error == ErrorCode::None).then_some((self.high_watermark, self.log_start_offset))
    }
}

/// What one client reads.
#[derive(Debug)]
pub struct Session {
    epoch: i32,
    uses_topic_ids: bool,
    /// By place, which is the order in which they are read.
    partitions: BTreeMap<u64, Cached>,
    places: HashMap<PartitionKey, u64>,
    next_place: u64,
}

#[derive(Debug)]
struct Cached {
    key: PartitionKey,
    position: Position,
    topic_name: Option<Arc<str>>,
    /// What the client was told last; `None` where the next response has to name the partition.
    told: Option<(i64, i64)>,
}

impl Cached {
    fn has_news(&self, outcome: &Outcome) -> bool {
        outcome.has_records || outcome.error != ErrorCode::None || self.told != outcome.remembered()
    }

    fn remember(&mut self, outcome: &Outcome) {
        self.told = outcome.remembered();
        if let Some(name) = &outcome.topic_name {
            self.topic_name = Some(Arc::clone(name));
        }
    }
}

impl Session {
    /// A session over what a full fetch asked for, and was answered with `outcomes`.
    #[must_use]
    pub fn new(uses_topic_ids: bool, partitions: &[Asked], outcomes: &[Outcome]) -> Self {
        let mut session = Self {
            epoch: next_epoch(INITIAL_EPOCH),
            uses_topic_ids,
            partitions: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
        };
        for (asked, outcome) in partitions.iter().zip(outcomes) {
            session.want(asked.key.clone(), asked.position);
            if let Some(cached) = session.cached(&asked.key) {
                cached.remember(outcome);
            }
        }
        session
    }

    /// How many partitions it remembers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.partitions.len()
    }

    /// Whether it remembers none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// Takes in what an incremental request changes.
    pub fn update(&mut self, request: SessionRequest) -> Result<(), ErrorCode> {
        if self.epoch != request.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if self.uses_topic_ids != request.uses_topic_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        for (key, position) in request.wanted {
            self.want(key, position);
        }
        for key in &request.forgotten {
            if let Some(place) = self.places.remove(key) {
                self.partitions.remove(&place);
            }
        }
        self.epoch = next_epoch(self.epoch);
        Ok(())
    }

    /// Everything that it remembers, in the order in which it is to be read.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        let asked = self.partitions.values().map(|cached| Asked {
            key: cached.key.clone(),
            position: cached.position,
            topic_name: cached.topic_name.clone(),
        });
        asked.collect()
    }

    /// Which outcomes the response has to name. They are taken for told: a partition with records goes to the end of the
    /// order, so that the byte limit starves none.
    pub fn tell(&mut self, partitions: &[Asked], outcomes: &[Outcome]) -> Vec<bool> {
        let told = partitions.iter().zip(outcomes).map(|(asked, outcome)| {
            // What another request made it forget meanwhile is told all the same: it was asked for.
            let Some(cached) = self.cached(&asked.key) else { return true };
            let has_news = cached.has_news(outcome);
            cached.remember(outcome);
            if outcome.has_records {
                self.move_to_end(&asked.key);
            }
            has_news
        });
        told.collect()
    }

    fn cached(&mut self, key: &PartitionKey) -> Option<&mut Cached> {
        self.partitions.get_mut(self.places.get(key)?)
    }

    fn want(&mut self, key: PartitionKey, position: Position) {
        match self.places.entry(key) {
            Entry::Occupied(place) => {
                if let Some(cached) = self.partitions.get_mut(place.get()) {
                    cached.position = position;
                }
            }
            Entry::Vacant(vacant) => {
                let cached = Cached { key: vacant.key().clone(), position, topic_name: None, told: None };
                vacant.insert(self.next_place);
                self.partitions.insert(self.next_place, cached);
                self.next_place += 1;
            }
        }
    }

    fn move_to_end(&mut self, key: &PartitionKey) {
        let Some(place) = self.places.get_mut(key) else { return };
        if let Some(cached) = self.partitions.remove(place) {
            *place = self.next_place;
            self.partitions.insert(self.next_place, cached);
            self.next_place += 1;
        }
    }
}

/// Each partition once: where it was named first, with what was said of it last, as in Kafka's `LinkedHashMap`.
fn each_once(wanted: Vec<(PartitionKey, Position)>) -> Vec<Asked> {
    let mut places: HashMap<PartitionKey, usize> = HashMap::with_capacity(wanted.len());
    let mut asked: Vec<Asked> = Vec::with_capacity(wanted.len());
    for (key, position) in wanted {
        match places.entry(key) {
            Entry::Occupied(place) => asked[*place.get()].position = position,
            Entry::Vacant(vacant) => {
                asked.push(Asked { key: vacant.key().clone(), position, topic_name: None });
                vacant.insert(asked.len() - 1);
            }
        }
    }
    asked
}

fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

#[cfg(test)]
mod tests;
