//! `ListOffsets` (key 2): ends of a log, and offsets by timestamp.

use std::sync::Arc;

use super::{context::Context, errors, fetch::check_leader_epoch, repeated::repeated};
use crate::{
    auth::{Operation, Resource},
    broker::HostedTopic,
    log::partition_log::{PartitionLog, ReadError},
    protocol::{
        error_code::ErrorCode,
        messages::{
            ListOffsetsRequest, ListOffsetsResponse,
            list_offsets_request::ListOffsetsPartition,
            list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse},
        },
        records::batch::RecordBatch,
    },
};

/// Timestamps that stand for something else, and the first version in which each does.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;
const MAX_TIMESTAMP_FROM: i16 = 7;
const EARLIEST_LOCAL_FROM: i16 = 8;
const LATEST_TIERED_FROM: i16 = 9;
const EARLIEST_PENDING_UPLOAD_FROM: i16 = 11;

/// From this version on the answer has room for a leader epoch.
const LEADER_EPOCH_FROM: i16 = 4;
/// Isolation level of a consumer that reads up to the last stable offset.
const READ_COMMITTED: i8 = 1;
/// Bytes of a batch that a look-up by timestamp unpacks at most.
const BATCH_BYTES_MAX: usize = 256 << 20;

/// An offset that was found; the response's defaults stand for none.
#[derive(Default)]
struct Found {
    timestamp: Option<i64>,
    offset: Option<i64>,
    leader_epoch: Option<i32>,
}

/// Answers for each partition.
pub async fn list_offsets(cx: &Context, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let repeated = repeated(request.topics.iter().flat_map(|topic| {
        let name = topic.name.as_str();
        topic.partitions.iter().map(move |partition| (name, partition.partition_index))
    }));
    let read_committed = request.isolation_level == READ_COMMITTED;
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let hosted = find(cx, &topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let key = (topic.name.as_str(), partition.partition_index);
            let found = match &hosted {
                _ if repeated.contains(&key) => Err(ErrorCode::InvalidRequest),
                Err(error) => Err(*error),
                Ok(hosted) => look_up(cx, hosted, partition, read_committed).await,
            };
            partitions.push(partition_response(cx, partition.partition_index, found));
        }
        topics.push(ListOffsetsTopicResponse {
            name: topic.name.clone(),
            partitions,
            ..ListOffsetsTopicResponse::default()
        });
    }
    ListOffsetsResponse { topics, ..ListOffsetsResponse::default() }
}

fn find(cx: &Context, topic: &str) -> Result<Arc<HostedTopic>, ErrorCode> {
    let allowed = cx.authorize(Operation::Describe, Resource::Topic(topic));
    allowed.map_err(|_| ErrorCode::TopicAuthorizationFailed)?;
    cx.broker.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)
}

async fn look_up(
    cx: &Context,
    topic: &HostedTopic,
    partition: &ListOffsetsPartition,
    read_committed: bool,
) -> Result<Found, ErrorCode> {
    let (log, epoch) = topic.partition(partition.partition_index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let given = Some(partition.current_leader_epoch).filter(|epoch| *epoch >= 0);
    check_leader_epoch(given, epoch)?;
    if cx.version < first_version_of(partition.timestamp) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    if asks_for_the_end(partition.timestamp) {
        // Whoever has the answer to a produce finds its records, even if they are not on disk yet.
        log.committed(log.offsets().log_end()).await.map_err(|error| errors::append(&error))?;
    }
    let offsets = log.offsets();
    let end = if read_committed { offsets.last_stable() } else { offsets.high_watermark() };
    match partition.timestamp {
        LATEST => Ok(Found { offset: Some(end), leader_epoch: Some(epoch), timestamp: None }),
        EARLIEST | EARLIEST_LOCAL => {
            let earliest = log.earliest();
            Ok(Found { offset: Some(earliest.offset), leader_epoch: earliest.leader_epoch, timestamp: None })
        }
        // Nothing is tiered, so nothing waits for its upload either.
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok(Found::default()),
        timestamp => by_timestamp(log, timestamp, end).await,
    }
}

/// Whether what was appended just now can be the answer.
fn asks_for_the_end(timestamp: i64) -> bool {
    matches!(timestamp, LATEST | MAX_TIMESTAMP | 0..)
}

fn first_version_of(timestamp: i64) -> i16 {
    match timestamp {
        MAX_TIMESTAMP => MAX_TIMESTAMP_FROM,
        EARLIEST_LOCAL => EARLIEST_LOCAL_FROM,
        LATEST_TIERED => LATEST_TIERED_FROM,
        EARLIEST_PENDING_UPLOAD => EARLIEST_PENDING_UPLOAD_FROM,
        // What a later version may give a meaning to.
        timestamp if timestamp < EARLIEST_PENDING_UPLOAD => i16::MAX,
        _ => 0,
    }
}

/// Reads and unpacks batches, so on a thread that serves no sockets.
async fn by_timestamp(log: &Arc<PartitionLog>, timestamp: i64, end: i64) -> Result<Found, ErrorCode> {
    let log = Arc::clone(log);
    let search = move || match timestamp {
        MAX_TIMESTAMP => log.max_timestamp(&record_times),
        timestamp => log.offset_for_timestamp(timestamp, &record_times),
    };
    let found = match tokio::task::spawn_blocking(search).await {
        Ok(found) => found.map_err(|error: ReadError| errors::read(&error))?,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    let visible = found.filter(|found| found.offset < end);
    Ok(visible.map_or_else(Found::default, |found| Found {
        timestamp: Some(found.timestamp),
        offset: Some(found.offset),
        leader_epoch: Some(found.leader_epoch),
    }))
}

/// Offset and timestamp of every record in a batch.
fn record_times(batch: &RecordBatch) -> Option<Vec<(i64, i64)>> {
    let header = batch.header();
    let times = batch.records(BATCH_BYTES_MAX).ok()?.map(|record| {
        let record = record.ok()?;
        let timestamp = if header.is_log_append_time() {
            header.max_timestamp
        } else {
            header.base_timestamp.checked_add(record.timestamp_delta)?
        };
        Some((header.base_offset.checked_add(record.offset_delta.into())?, timestamp))
    });
    times.collect()
}

fn partition_response(cx: &Context, index: i32, found: Result<Found, ErrorCode>) -> ListOffsetsPartitionResponse {
    let mut response = ListOffsetsPartitionResponse { partition_index: index, ..Default::default() };
    match found {
        Err(error) => response.error_code = error.code(),
        Ok(found) => {
            response.timestamp = found.timestamp.unwrap_or(-1);
            response.offset = found.offset.unwrap_or(-1);
            let leader_epoch = found.leader_epoch.filter(|_| cx.version >= LEADER_EPOCH_FROM);
            response.leader_epoch = leader_epoch.unwrap_or(-1);
        }
    }
    response
}
