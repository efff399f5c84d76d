//! `DeleteRecords` (key 21): has partitions start later.
//!
//! Kafka waits up to the request's time-out until all replicas have followed. Here there is one: what the answer says is
//! on disk, and it comes as soon as it is. The time-out bounds the wait for what was appended before.
//!
//! A partition that is named more than once counts as named once, with the last offset that was asked for.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{context::Context, errors};
use crate::{
    auth::authorizer::{Operation, Resource},
    broker::{Before, HostedTopic},
    clock::monotonic,
    config::topic_name,
    log::partition_log::PartitionLog,
    protocol::{
        error_code::ErrorCode,
        messages::{
            DeleteRecordsRequest, DeleteRecordsResponse,
            delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
            delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult},
        },
        wire::StrBytes,
    },
};

/// Stands for the high watermark.
const HIGH_WATERMARK: i64 = -1;
/// What is answered where there was an error.
const NO_LOW_WATERMARK: i64 = -1;

/// Deletes the records of all partitions in one durable step. One that is refused leaves the others alone.
pub async fn delete_records(cx: &Context, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let deadline = monotonic() + Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let asked = once_each(&request.topics);
    let mut found = Vec::new();
    for (topic, partitions) in &asked {
        let hosted = find(cx, topic);
        for (index, offset) in partitions {
            found.push(match &hosted {
                Ok(hosted) => wanted(hosted, *index, *offset, deadline).await,
                Err(error) => Err(*error),
            });
        }
    }
    let wanted: Vec<_> = found.iter().flatten().cloned().collect();
    let deleted = if wanted.is_empty() { Vec::new() } else { cx.broker.delete_records(wanted).await };
    let mut deleted = deleted.into_iter();
    let mut outcomes = found.into_iter().map(|found| {
        found.and_then(|_| {
            let deleted = deleted.next().expect("each partition that was found has an outcome");
            deleted.map_err(|failure| errors::delete_records(&failure))
        })
    });
    let topics = asked.iter().map(|(name, partitions)| DeleteRecordsTopicResult {
        name: (*name).clone(),
        partitions: partitions
            .iter()
            .zip(outcomes.by_ref())
            .map(|((index, _), outcome)| result(*index, outcome))
            .collect(),
        ..DeleteRecordsTopicResult::default()
    });
    DeleteRecordsResponse { topics: topics.collect(), ..DeleteRecordsResponse::default() }
}

/// A topic, and the offsets that were asked for in its partitions.
type Asked<'a> = (&'a StrBytes, Vec<(i32, i64)>);

/// The topics that partitions are named of, and each partition with the offset that was asked for last.
fn once_each(topics: &[DeleteRecordsTopic]) -> Vec<Asked<'_>> {
    let mut topic_places = HashMap::new();
    let mut partition_places: HashMap<_, usize> = HashMap::new();
    let mut asked: Vec<Asked<'_>> = Vec::new();
    for topic in topics.iter().filter(|topic| !topic.partitions.is_empty()) {
        let place = *topic_places.entry(topic.name.as_str()).or_insert(asked.len());
        if place == asked.len() {
            asked.push((&topic.name, Vec::new()));
        }
        let partitions = &mut asked[place].1;
        for DeleteRecordsPartition { partition_index, offset, .. } in &topic.partitions {
            match partition_places.entry((place, *partition_index)) {
                Entry::Occupied(known) => partitions[*known.get()].1 = *offset,
                Entry::Vacant(first) => {
                    first.insert(partitions.len());
                    partitions.push((*partition_index, *offset));
                }
            }
        }
    }
    asked
}

fn find(cx: &Context, topic: &str) -> Result<Arc<HostedTopic>, ErrorCode> {
    let allowed = cx.authorize(Operation::Delete, Resource::Topic(topic));
    allowed.map_err(|_| ErrorCode::TopicAuthorizationFailed)?;
    cx.broker.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// The log, and where it is to start. What was appended before the request can be deleted: it waits until that is on disk.
async fn wanted(
    topic: &HostedTopic,
    index: i32,
    offset: i64,
    deadline: Instant,
) -> Result<(Arc<PartitionLog>, Before), ErrorCode> {
    let (log, _) = topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if topic_name::is_internal(topic.name()) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let policy = topic.config().cleanup_policy;
    if policy.compact && !policy.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let log_end = log.offsets().log_end();
    let (before, end) = match offset {
        HIGH_WATERMARK => (Before::HighWatermark, log_end),
        offset => (Before::Offset(offset), offset),
    };
    if end <= log_end {
        committed(log, end, deadline).await?;
    }
    Ok((Arc::clone(log), before))
}

async fn committed(log: &PartitionLog, end: i64, deadline: Instant) -> Result<(), ErrorCode> {
    let committed = tokio::time::timeout_at(deadline.into(), log.committed(end)).await;
    committed.map_err(|_| ErrorCode::RequestTimedOut)?.map_err(|error| errors::append(&error))
}

fn result(partition_index: i32, outcome: Result<i64, ErrorCode>) -> DeleteRecordsPartitionResult {
    match outcome {
        Ok(low_watermark) => DeleteRecordsPartitionResult { partition_index, low_watermark, ..Default::default() },
        Err(error) => DeleteRecordsPartitionResult {
            partition_index,
            low_watermark: NO_LOW_WATERMARK,
            error_code: error.code(),
            ..Default::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        log::{
            disk::sim::SimDisk,
            log_config::LogConfig,
            log_dir::{LogDir, LogDirSettings},
            partition_log::test_batches::batch,
        },
        protocol::ids::TopicPartition,
    };

    #[tokio::test]
    async fn what_is_not_on_disk_in_time_is_not_waited_for() {
        let disk = Arc::new(SimDisk::new(1));
        let logs = LogDir::open(disk, Path::new("/data"), &LogDirSettings::for_tests(), 0).expect("opened");
        let partition = TopicPartition::new("a", 0);
        let log = logs.create_partition(&partition, uuid::Uuid::nil(), LogConfig::default(), 0, 0).expect("created");
        log.append(&batch(1, 0, 50), 0, 0).expect("appended");
        // Nobody runs a round.
        let soon = monotonic() + Duration::from_millis(1);
        assert_eq!(committed(&log, 1, soon).await, Err(ErrorCode::RequestTimedOut));
        log.commit_now().expect("flushed");
        assert_eq!(committed(&log, 1, soon).await, Ok(()), "what needs no wait has time enough");
    }
}
