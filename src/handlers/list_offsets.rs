//! `ListOffsets` (key 2): ends of a log, and offsets by timestamp.

use std::sync::Arc;

use super::{context::Context, errors, fetch::check_leader_epoch, repeated::repeated};
use crate::{
    auth::authorizer::{Operation, Resource},
    broker::HostedTopic,
    clock::TimestampMs,
    log::{
        partition_log::{PartitionLog, ReadError},
        segment::Unreadable,
    },
    protocol::{
        error_code::ErrorCode,
        messages::{
            ListOffsetsRequest, ListOffsetsResponse,
            list_offsets_request::ListOffsetsPartition,
            list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse},
        },
        records::{
            batch::RecordBatch,
            compression::Compression,
            record::{RecordMeta, walk},
            stream::RecordStream,
        },
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
                Err(denied @ ErrorCode::TopicAuthorizationFailed) => Err(*denied),
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
        timestamp => by_timestamp(cx, log, timestamp, end).await,
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
async fn by_timestamp(cx: &Context, log: &Arc<PartitionLog>, timestamp: i64, end: i64) -> Result<Found, ErrorCode> {
    let log = Arc::clone(log);
    let search = move || match timestamp {
        MAX_TIMESTAMP => log.max_timestamp(&first_record),
        timestamp => log.offset_for_timestamp(timestamp, &first_record),
    };
    let found = cx.heavy_work().run(search).await.map_err(|error: ReadError| errors::read(&error))?;
    let visible = found.filter(|found| found.offset < end);
    Ok(visible.map_or_else(Found::default, |found| Found {
        timestamp: Some(found.timestamp),
        offset: Some(found.offset),
        leader_epoch: Some(found.leader_epoch),
    }))
}

/// Offset and timestamp of the first record that is wanted. What follows it is not unpacked.
fn first_record(
    batch: &RecordBatch,
    is_wanted: &dyn Fn(i64, TimestampMs) -> bool,
) -> Result<Option<(i64, TimestampMs)>, Unreadable> {
    let header = batch.header();
    let payload = batch.payload();
    let place = |record: RecordMeta| {
        let offset = header.base_offset.checked_add(record.offset_delta.into());
        Ok((offset.ok_or(Unreadable)?, header.record_timestamp(record.timestamp_delta)))
    };
    let is_wanted = |place: &Result<(i64, TimestampMs), Unreadable>| match place {
        Ok((offset, timestamp)) => is_wanted(*offset, *timestamp),
        Err(Unreadable) => true,
    };
    match Compression::from_id(header.compression_id()).ok_or(Unreadable)? {
        Compression::None => {
            let mut records = walk(&payload).map(|record| record.map_err(|_| Unreadable).and_then(place));
            records.find(is_wanted).transpose()
        }
        codec => {
            let records = RecordStream::new(codec, &payload, BATCH_BYTES_MAX).map_err(|_| Unreadable)?;
            records.map(|record| record.map_err(|_| Unreadable).and_then(place)).find(is_wanted).transpose()
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::records::builder::{BatchBuilder, NewRecord};

    /// A batch with records of these times, each with a value that is as good as incompressible.
    fn batch(codec: Compression, times: &[TimestampMs]) -> RecordBatch {
        let mut builder = BatchBuilder::new(100).compression(codec, None);
        for (seed, timestamp) in (1_u32..).zip(times) {
            let value: Vec<u8> =
                (0..300_000_u32).map(|n| (n.wrapping_mul(n ^ seed).wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let record = NewRecord { timestamp: *timestamp, value: Some(&value), ..NewRecord::default() };
            builder.append(&record).expect("it fits");
        }
        builder.build().expect("a batch")
    }

    #[test]
    fn a_look_up_unpacks_nothing_behind_what_it_finds() {
        // The blocks of an LZ4 frame are counted before it is unpacked: damage at its end is seen at once.
        for codec in [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Zstd] {
            let whole = batch(codec, &[10, 20, 30]);
            let mut damaged = whole.bytes().to_vec();
            let end = damaged.len();
            damaged[end - 20..].fill(0xff);
            let damaged = RecordBatch::split_from(&mut damaged.into()).expect("the header is whole");
            let find = |batch, time| first_record(batch, &|_, timestamp| timestamp >= time);
            assert_eq!(find(&whole, 15), Ok(Some((101, 20))), "{}", codec.name());
            assert_eq!(find(&whole, 31), Ok(None));
            assert_eq!(find(&damaged, 10), Ok(Some((100, 10))), "{}", codec.name());
            assert_eq!(find(&damaged, 31), Err(Unreadable), "{}", codec.name());
        }
    }
}
