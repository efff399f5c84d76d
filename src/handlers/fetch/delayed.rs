//! A fetch that waits until it has something to say. It is complete when
//!
//! - A: no partition is asked for;
//! - B: a partition has an error or diverges;
//! - C: at least `min.bytes` were read;
//! - D: a partition was read in an older segment than its last one: a read ends with its segment, so waiting would not
//!   bring more of it;
//! - E: the time is up;
//! - F: the broker is stopping.
//!
//! It waits for records to become visible, never polling: it registers with its logs first and reads then, so that
//! nothing is missed. And it sees what was appended before it came: as long as such records are not on disk, it is not
//! answered without any, whatever the time.

use std::{sync::Arc, time::Instant};

use uuid::Uuid;

use super::{
    plan::{Bounds, Isolation, Reading, Target, read_all},
    session::{Asked, NO_SESSION, Outcome, PartitionKey, Plan, TopicKey, cache::lock},
};
use crate::{
    clock,
    handlers::context::Context,
    log::{
        partition_log::{PartitionLog, Registration},
        waiters::Waiter,
    },
    protocol::{
        error_code::ErrorCode,
        messages::{
            FetchResponse,
            fetch_response::{
                AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
                PartitionData,
            },
        },
        records::Records,
    },
};

/// From this version on an error names the leader and its address (KIP-951).
const LEADER_ENDPOINTS_FROM: i16 = 16;

/// A fetch whose partitions are found.
pub(super) struct DelayedFetch {
    pub(super) cx: Context,
    pub(super) plan: Plan,
    /// As the plan's partitions.
    pub(super) targets: Arc<[Target]>,
    pub(super) bounds: Bounds,
    pub(super) min_bytes: usize,
    /// Where logs ended when the request came, of the targets at these places, which it reads at the end.
    pub(super) ends: Vec<(usize, Arc<PartitionLog>, i64)>,
    pub(super) deadline: Instant,
}

impl DelayedFetch {
    /// The response, if there is no need to wait or no wish to: for appends, or for the disk.
    pub(super) fn complete_now(self, expired: bool) -> Result<FetchResponse, Self> {
        if !self.is_at_hand() {
            return Err(self);
        }
        let readings = read_all(&self.targets, self.bounds);
        let is_over = expired || is_complete(&readings, self.min_bytes);
        if is_over && !self.is_behind(&readings) { Ok(self.respond(readings)) } else { Err(self) }
    }

    /// The response, as soon as one of the cases holds.
    pub(super) async fn complete(self) -> Option<FetchResponse> {
        let waiter = Waiter::new();
        // What is at hand was read before; of what is not, the first read mostly ends the waiting.
        let mut registrations = self.is_at_hand().then(|| self.register(&waiter));
        let readings = loop {
            let readings = self.read().await;
            let is_over = clock::monotonic() >= self.deadline || self.cx.shutdown().has_begun();
            if is_over || is_complete(&readings, self.min_bytes) {
                if !self.is_behind(&readings) {
                    break readings;
                }
                self.catch_up().await;
                break self.read().await;
            }
            if registrations.is_none() {
                registrations = Some(self.register(&waiter));
                continue;
            }
            // Whichever comes first: what it means is seen by reading again.
            tokio::select! {
                () = waiter.woken() => {}
                () = tokio::time::sleep_until(self.deadline.into()) => {}
                () = self.cx.shutdown().begun() => {}
            }
        };
        drop(registrations);
        Some(self.respond(readings))
    }

    /// Whether nothing was read although there were records when the request came.
    fn is_behind(&self, readings: &[Reading]) -> bool {
        // By what was read, not by what is there by now.
        let has_seen = |place: usize, end: i64| readings[place].offsets.is_none_or(|seen| seen.high_watermark() >= end);
        readings.iter().all(|reading| reading.error == ErrorCode::None && reading.len() == 0)
            && self.ends.iter().any(|(place, log, end)| !has_seen(*place, *end) && !log.is_deleted())
    }

    /// Waits until what was there is on disk. A disk that fails ends the waiting too, and is somebody else's to report.
    async fn catch_up(&self) {
        for (_, log, end) in &self.ends {
            let _ = log.committed(*end).await;
        }
    }

    fn is_at_hand(&self) -> bool {
        self.targets.iter().all(|target| target.is_at_hand(self.bounds.isolation))
    }

    fn register(&self, waiter: &Arc<Waiter>) -> Vec<Registration> {
        let logs = self.targets.iter().filter_map(|target| target.source.as_ref().ok());
        logs.map(|(log, _)| log.register(waiter)).collect()
    }

    /// Reads here what is at hand, on a thread that serves no sockets what is not.
    async fn read(&self) -> Vec<Reading> {
        if self.is_at_hand() {
            return read_all(&self.targets, self.bounds);
        }
        let (targets, bounds) = (Arc::clone(&self.targets), self.bounds);
        match tokio::task::spawn_blocking(move || read_all(&targets, bounds)).await {
            Ok(readings) => readings,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn respond(self, readings: Vec<Reading>) -> FetchResponse {
        let Self { cx, plan, bounds, targets, .. } = self;
        let outcomes: Vec<_> =
            readings.iter().zip(&*targets).map(|(reading, target)| reading.outcome(target)).collect();
        let (session_id, partitions, told) = match plan {
            Plan::Full { partitions, opens_session: false } => (NO_SESSION, partitions, None),
            Plan::Full { partitions, opens_session: true } => {
                (open_session(&cx, &partitions, &outcomes), partitions, None)
            }
            Plan::Incremental { id, session, partitions } => {
                let told = lock(&session).tell(&partitions, &outcomes);
                (id, partitions, Some(told))
            }
        };
        let mut response = FetchResponse { session_id, ..FetchResponse::default() };
        let is_told = |place: usize| told.as_ref().is_none_or(|told| told[place]);
        let told = partitions.into_iter().zip(readings).enumerate().filter(|(place, _)| is_told(*place));
        for (_, (Asked { key, .. }, reading)) in told {
            add(&mut response, &key, partition_data(&cx, key.partition, reading, bounds.isolation));
        }
        add_leader_endpoints(&cx, &mut response);
        response
    }
}

/// Cases A to D.
fn is_complete(readings: &[Reading], min_bytes: usize) -> bool {
    let has_news = |reading: &Reading| reading.error != ErrorCode::None || reading.diverging.is_some();
    readings.is_empty()
        || readings.iter().any(|reading| has_news(reading) || reading.from_older_segment)
        || readings.iter().map(Reading::len).sum::<usize>() >= min_bytes
}

fn open_session(cx: &Context, partitions: &[Asked], outcomes: &[Outcome]) -> i32 {
    let uses_topic_ids = partitions.first().is_some_and(|asked| matches!(asked.key.topic, TopicKey::Id(_)));
    let sessions = cx.fetch_sessions();
    let opened = sessions.open(random_session_id, uses_topic_ids, partitions, outcomes, clock::monotonic());
    opened.unwrap_or(NO_SESSION)
}

/// A positive number that nobody can guess.
fn random_session_id() -> i32 {
    let [a, b, c, d, ..] = Uuid::new_v4().into_bytes();
    i32::from_be_bytes([a & 0x7f, b, c, d]).max(1)
}

/// Adds a partition; neighbours of one topic share an entry.
fn add(response: &mut FetchResponse, key: &PartitionKey, partition: PartitionData) {
    if let Some(last) = response.responses.last_mut().filter(|last| is_of(last, &key.topic)) {
        last.partitions.push(partition);
        return;
    }
    let (topic, topic_id) = match &key.topic {
        TopicKey::Name(name) => (name.as_ref().into(), Uuid::nil()),
        TopicKey::Id(id) => (Default::default(), *id),
    };
    let partitions = vec![partition];
    response.responses.push(FetchableTopicResponse {
        topic,
        topic_id,
        partitions,
        ..FetchableTopicResponse::default()
    });
}

fn is_of(entry: &FetchableTopicResponse, topic: &TopicKey) -> bool {
    match topic {
        TopicKey::Name(name) => entry.topic == name.as_ref(),
        TopicKey::Id(id) => entry.topic_id == *id,
    }
}

fn partition_data(cx: &Context, index: i32, reading: Reading, isolation: Isolation) -> PartitionData {
    let mut data = PartitionData {
        partition_index: index,
        error_code: reading.error.code(),
        high_watermark: reading.offsets.map_or(-1, |offsets| offsets.high_watermark()),
        last_stable_offset: reading.offsets.map_or(-1, |offsets| offsets.last_stable()),
        log_start_offset: reading.offsets.map_or(-1, |offsets| offsets.log_start()),
        aborted_transactions: aborted_transactions(&reading, isolation),
        records: Some(reading.records.map_or_else(Records::default, Records::File)),
        ..PartitionData::default()
    };
    if let Some(end) = reading.diverging {
        data.diverging_epoch =
            EpochEndOffset { epoch: end.epoch, end_offset: end.end_offset, ..EpochEndOffset::default() };
    }
    if cx.version >= LEADER_ENDPOINTS_FROM && names_leader(reading.error) {
        data.current_leader = LeaderIdAndEpoch {
            leader_id: cx.broker.node_id(),
            leader_epoch: reading.leader_epoch.unwrap_or(-1),
            ..LeaderIdAndEpoch::default()
        };
    }
    data
}

/// A list where a consumer needs one, and, as with Kafka, where there is no partition that could be read.
fn aborted_transactions(reading: &Reading, isolation: Isolation) -> Option<Vec<AbortedTransaction>> {
    let is_read_committed = isolation == Isolation::ReadCommitted && reading.error == ErrorCode::None;
    let aborted = reading.aborted.iter().map(|aborted| AbortedTransaction {
        producer_id: aborted.producer_id,
        first_offset: aborted.first_offset,
        ..AbortedTransaction::default()
    });
    (is_read_committed || reading.leader_epoch.is_none()).then(|| aborted.collect())
}

fn names_leader(error: ErrorCode) -> bool {
    matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch)
}

fn add_leader_endpoints(cx: &Context, response: &mut FetchResponse) {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    if partitions.into_iter().any(|partition| partition.current_leader.leader_id >= 0) {
        let (host, port) = cx.advertised();
        let node = NodeEndpoint { node_id: cx.broker.node_id(), host, port, ..NodeEndpoint::default() };
        response.node_endpoints.push(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(error: ErrorCode) -> Reading {
        Reading::failed(error, None)
    }

    #[test]
    fn the_end_of_an_older_segment_is_not_waited_at() {
        let reading = Reading { from_older_segment: true, ..reading(ErrorCode::None) };
        assert!(is_complete(&[reading], 1));
    }

    #[test]
    fn a_fetch_that_asks_for_no_bytes_does_not_wait_for_any() {
        assert!(is_complete(&[reading(ErrorCode::None)], 0));
        assert!(!is_complete(&[reading(ErrorCode::None)], 1));
    }

    #[test]
    fn neither_errors_nor_nothing_to_read_are_waited_for() {
        assert!(is_complete(&[reading(ErrorCode::None), reading(ErrorCode::OffsetOutOfRange)], 1));
        assert!(is_complete(&[], 1));
    }
}
