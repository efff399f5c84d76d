//! `DeleteRecords` (key 21): has partitions start later.
//!
//! Kafka waits up to the request's time-out until all replicas have followed. Here there is one: what the answer says is
//! on disk, and it comes as soon as it is.

use std::sync::Arc;

use super::{context::Context, errors};
use crate::{
    auth::{Operation, Resource},
    broker::{Before, HostedTopic},
    config::topic_name,
    log::partition_log::PartitionLog,
    protocol::{
        error_code::ErrorCode,
        messages::{
            DeleteRecordsRequest, DeleteRecordsResponse,
            delete_records_request::DeleteRecordsPartition,
            delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult},
        },
    },
};

/// Stands for the high watermark.
const HIGH_WATERMARK: i64 = -1;
/// What is answered where there was an error.
const NO_LOW_WATERMARK: i64 = -1;

/// Deletes the records of all partitions in one durable step. One that is refused leaves the others alone.
pub async fn delete_records(cx: &Context, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let mut found = Vec::new();
    for topic in &request.topics {
        let hosted = find(cx, &topic.name);
        for partition in &topic.partitions {
            found.push(match &hosted {
                Ok(hosted) => wanted(hosted, partition).await,
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
    let topics = request.topics.iter().map(|topic| DeleteRecordsTopicResult {
        name: topic.name.clone(),
        partitions: topic
            .partitions
            .iter()
            .zip(outcomes.by_ref())
            .map(|(asked, outcome)| result(asked, outcome))
            .collect(),
        ..DeleteRecordsTopicResult::default()
    });
    DeleteRecordsResponse { topics: topics.collect(), ..DeleteRecordsResponse::default() }
}

fn find(cx: &Context, topic: &str) -> Result<Arc<HostedTopic>, ErrorCode> {
    let allowed = cx.authorize(Operation::Delete, Resource::Topic(topic));
    allowed.map_err(|_| ErrorCode::TopicAuthorizationFailed)?;
    cx.broker.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// The log, and where it is to start. What was appended before the request can be deleted: it waits until that is on disk.
async fn wanted(
    topic: &HostedTopic,
    partition: &DeleteRecordsPartition,
) -> Result<(Arc<PartitionLog>, Before), ErrorCode> {
    let (log, _) = topic.partition(partition.partition_index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if topic_name::is_internal(topic.name()) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let policy = topic.config().cleanup_policy;
    if policy.compact && !policy.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let log_end = log.offsets().log_end();
    let (before, end) = match partition.offset {
        HIGH_WATERMARK => (Before::HighWatermark, log_end),
        offset => (Before::Offset(offset), offset),
    };
    if end <= log_end {
        log.committed(end).await.map_err(|error| errors::append(&error))?;
    }
    Ok((Arc::clone(log), before))
}

fn result(asked: &DeleteRecordsPartition, outcome: Result<i64, ErrorCode>) -> DeleteRecordsPartitionResult {
    let partition_index = asked.partition_index;
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
