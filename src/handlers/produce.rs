//! `Produce` (key 0). Each partition has its own result; nothing of a refused batch is written.

mod admission;

use std::{collections::HashSet, sync::Arc};

use uuid::Uuid;

use self::admission::Admission;
use super::{api::Answer, context::Context, errors, repeated::repeated};
use crate::{
    auth::authorizer::{Operation, Resource},
    broker::HostedTopic,
    clock::wall_clock_ms,
    config::topic_name,
    log::{
        partition_log::{AppendBatch, AppendError, AppendOrigin, PartitionLog, TransactionGuard},
        validate::{self, Rules, ValidBatch, ValidateError},
    },
    network::Refusal,
    protocol::{
        error_code::ErrorCode,
        messages::{
            ProduceRequest, ProduceResponse,
            produce_request::{PartitionProduceData, TopicProduceData},
            produce_response::{BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse},
        },
        records::Records,
        wire::StrBytes,
    },
};

/// From this version on topics are named by id.
const TOPIC_IDS_FROM: i16 = 13;
/// `acks` of a producer that wants no response.
const ACKS_NONE: i16 = 0;
/// `acks` of a producer that wants its records to be safe.
const ACKS_ALL: i16 = -1;

/// Partitions and bytes that a request is done with before it lets others on. Each costs a write at least; together they
/// are about a millisecond.
const TURN_PARTITIONS: usize = 64;
const TURN_BYTES: usize = 1 << 20;

/// Where a batch went.
struct Written {
    log: Arc<PartitionLog>,
    base_offset: i64,
    last_offset: i64,
    /// With LogAppendTime, the time that all its records got.
    log_append_time_ms: Option<i64>,
    log_start_offset: i64,
}

/// Why a batch was not written.
#[derive(Debug)]
enum NotWritten {
    Refused(ErrorCode, &'static str),
    Invalid(ValidateError),
    Append(AppendError),
}

/// A partition whose records are in the log, and its place in the response.
struct Uncommitted {
    topic: usize,
    partition: usize,
    log: Arc<PartitionLog>,
    /// The offset after its records.
    end: i64,
}

/// Appends each partition's batch. The appends have taken effect when this returns; with `acks=all` the answer waits until
/// they are on disk.
pub async fn produce(cx: &Context, request: ProduceRequest) -> Answer<ProduceResponse> {
    let (refusal, mut admission) = match admit(cx, &request).await {
        Ok(admission) => (None, admission),
        Err(refusal) => (Some(refusal), Admission::default()),
    };
    let repeated = repeated_partitions(&request.topic_data);
    let mut responses = Vec::with_capacity(request.topic_data.len());
    let mut failed = None;
    let mut uncommitted = Vec::new();
    let mut turn = Turn::default();
    for topic in &request.topic_data {
        // Who may not write is told that, whatever else is wrong.
        let hosted = match &refusal {
            Some((error @ ErrorCode::TransactionalIdAuthorizationFailed, _)) => Err(*error),
            _ => find(cx, topic),
        };
        let mut partition_responses = Vec::with_capacity(topic.partition_data.len());
        for partition in &topic.partition_data {
            if turn.is_over(partition) {
                tokio::task::yield_now().await;
            }
            let result = match (&refusal, &hosted) {
                (
                    _,
                    Err(error @ (ErrorCode::TransactionalIdAuthorizationFailed | ErrorCode::TopicAuthorizationFailed)),
                ) => Err(NotWritten::Refused(*error, "")),
                (Some((error, message)), _) => Err(NotWritten::Refused(*error, message)),
                _ if repeated.contains(&key(topic, partition)) => {
                    Err(NotWritten::Refused(ErrorCode::InvalidRequest, "The request names this partition twice."))
                }
                (None, Err(error)) => Err(NotWritten::Refused(*error, "")),
                (None, Ok(hosted)) => match admission.take(topic, partition) {
                    Ok(guard) => write(cx, hosted, partition, guard.as_ref()).await,
                    Err(error) => Err(NotWritten::Refused(error, "")),
                },
            };
            if let Ok(Written { log, last_offset, .. }) = &result
                && request.acks == ACKS_ALL
            {
                let (topic, partition) = (responses.len(), partition_responses.len());
                uncommitted.push(Uncommitted { topic, partition, log: Arc::clone(log), end: last_offset + 1 });
            }
            let response = partition_response(partition.index, result);
            if response.error_code != ErrorCode::None.code() {
                failed = Some(response.error_code);
            }
            partition_responses.push(response);
        }
        responses.push(TopicProduceResponse {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partition_responses,
            ..TopicProduceResponse::default()
        });
    }
    if request.acks == ACKS_NONE {
        return without_response(failed);
    }
    let response = ProduceResponse { responses, ..ProduceResponse::default() };
    uncommitted.retain(|partition| partition.log.high_watermark() < partition.end);
    let Some(first) = uncommitted.first() else { return Answer::Now(response) };
    first.log.hurry();
    Answer::Later(Box::pin(committed(response, uncommitted)))
}

/// The response, once everything is on disk. One round of the disk serves all partitions, so their order does not matter.
async fn committed(mut response: ProduceResponse, uncommitted: Vec<Uncommitted>) -> Option<ProduceResponse> {
    for Uncommitted { topic, partition, log, end } in uncommitted {
        if let Err(error) = log.committed(end).await {
            let place = &mut response.responses[topic].partition_responses[partition];
            *place = partition_response(place.index, Err(NotWritten::Append(error)));
        }
    }
    Some(response)
}

/// What one request does before others on the same thread get their turn.
#[derive(Default)]
struct Turn {
    partitions: usize,
    bytes: usize,
}

impl Turn {
    /// Notes that a partition is written to; true where a new turn begins with it.
    fn is_over(&mut self, partition: &PartitionProduceData) -> bool {
        let is_over = self.partitions >= TURN_PARTITIONS || self.bytes >= TURN_BYTES;
        if is_over {
            *self = Self::default();
        }
        self.partitions += 1;
        self.bytes += partition.records.as_ref().map_or(0, Records::len);
        is_over
    }
}

/// A producer that wants no responses learns of an error by losing its connection, as with Kafka.
fn without_response(failed: Option<i16>) -> Answer<ProduceResponse> {
    match failed {
        None => Answer::None,
        Some(code) => {
            let name = ErrorCode::from_code(code).map_or("unknown error", ErrorCode::name);
            Answer::Close(Refusal::new(format!("a produce request with acks=0 failed with {name}")))
        }
    }
}

/// What may be written of a request that is not refused as a whole.
async fn admit(cx: &Context, request: &ProduceRequest) -> Result<Admission, (ErrorCode, &'static str)> {
    if !(-1..=1).contains(&request.acks) {
        admission::transactional_id(cx, request).map_err(|error| (error, ""))?;
        return Err((ErrorCode::InvalidRequiredAcks, ""));
    }
    Admission::of(cx, request).await.map_err(|error| (error, ""))
}

/// A partition as the request names it.
type Key = (StrBytes, Uuid, i32);

fn key(topic: &TopicProduceData, partition: &PartitionProduceData) -> Key {
    (topic.name.clone(), topic.topic_id, partition.index)
}

fn repeated_partitions(topics: &[TopicProduceData]) -> HashSet<Key> {
    // The common case, without a table.
    if let [topic] = topics
        && topic.partition_data.len() <= 1
    {
        return HashSet::new();
    }
    repeated(topics.iter().flat_map(|topic| topic.partition_data.iter().map(|partition| key(topic, partition))))
}

fn find(cx: &Context, topic: &TopicProduceData) -> Result<Arc<HostedTopic>, ErrorCode> {
    let hosted = if cx.version >= TOPIC_IDS_FROM {
        cx.broker.topic_by_id(topic.topic_id).ok_or(ErrorCode::UnknownTopicId)?
    } else {
        // Somebody who may not write must not learn what is there.
        let allowed = cx.authorize(Operation::Write, Resource::Topic(&topic.name));
        allowed.map_err(|_| ErrorCode::TopicAuthorizationFailed)?;
        return cx.broker.topic(&topic.name).ok_or(ErrorCode::UnknownTopicOrPartition);
    };
    match cx.authorize(Operation::Write, Resource::Topic(hosted.name())) {
        Ok(()) => Ok(hosted),
        Err(_) => Err(ErrorCode::TopicAuthorizationFailed),
    }
}

async fn write(
    cx: &Context,
    topic: &HostedTopic,
    partition: &PartitionProduceData,
    guard: Option<&TransactionGuard>,
) -> Result<Written, NotWritten> {
    let unknown = NotWritten::Refused(ErrorCode::UnknownTopicOrPartition, "");
    let (log, leader_epoch) = topic.partition(partition.index).ok_or(unknown)?;
    if topic_name::is_internal(topic.name()) {
        return Err(NotWritten::Refused(ErrorCode::InvalidTopicException, ""));
    }
    let now = wall_clock_ms();
    let valid = validated(cx, partition.records.as_ref(), topic.rules(), now).await?;
    append(log, leader_epoch, valid, guard, now)
}

/// Validates here where that is quick, on a thread of its own where it is not.
async fn validated(cx: &Context, records: Option<&Records>, rules: &Rules, now: i64) -> Result<ValidBatch, NotWritten> {
    let version = cx.version;
    let bytes = match records {
        Some(Records::Bytes(bytes)) => Some(bytes),
        Some(Records::File(_)) | None => None,
    };
    if let Some(done) = validate::validate_if_light(bytes, version, rules, now) {
        return done.map_err(NotWritten::Invalid);
    }
    let (bytes, rules) = (bytes.cloned(), *rules);
    let work = move || validate::validate(bytes.as_ref(), version, &rules, now);
    cx.heavy_work().run(work).await.map_err(NotWritten::Invalid)
}

fn append(
    log: &Arc<PartitionLog>,
    leader_epoch: i32,
    valid: ValidBatch,
    guard: Option<&TransactionGuard>,
    now: i64,
) -> Result<Written, NotWritten> {
    let by_log = valid.header.is_log_append_time();
    let batch = AppendBatch { header: valid.header, payload: valid.payload, origin: AppendOrigin::Client };
    let appended = match guard {
        Some(guard) => log.append_verified(&batch, guard, leader_epoch, now),
        None => log.append(&batch, leader_epoch, now),
    };
    let appended = appended.map_err(NotWritten::Append)?;
    // A batch that is sent again has the time that it got at first.
    let log_append_time_ms = by_log.then_some(appended.max_timestamp);
    let log_start_offset = log.offsets().log_start();
    Ok(Written {
        log: Arc::clone(log),
        base_offset: appended.first_offset,
        last_offset: appended.last_offset,
        log_append_time_ms,
        log_start_offset,
    })
}

fn partition_response(index: i32, result: Result<Written, NotWritten>) -> PartitionProduceResponse {
    match result {
        Ok(written) => PartitionProduceResponse {
            index,
            base_offset: written.base_offset,
            log_append_time_ms: written.log_append_time_ms.unwrap_or(-1),
            log_start_offset: written.log_start_offset,
            ..PartitionProduceResponse::default()
        },
        Err(error) => PartitionProduceResponse {
            index,
            error_code: error.code().code(),
            base_offset: -1,
            record_errors: error.record_errors(),
            error_message: error.message().map(Into::into),
            ..PartitionProduceResponse::default()
        },
    }
}

impl NotWritten {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(error, _) => *error,
            Self::Invalid(error) => errors::validate(error),
            Self::Append(error) => errors::append(error),
        }
    }

    fn message(&self) -> Option<String> {
        match self {
            Self::Refused(_, "") => None,
            Self::Refused(_, message) => Some((*message).to_owned()),
            Self::Invalid(error) => Some(error.to_string()),
            Self::Append(error) => Some(error.to_string()),
        }
    }

    fn record_errors(&self) -> Vec<BatchIndexAndErrorMessage> {
        let (Self::Invalid(ValidateError::InvalidRecords(rejected))
        | Self::Invalid(ValidateError::InvalidTimestamps(rejected))) = self
        else {
            return Vec::new();
        };
        let errors = rejected.first.iter().map(|rejection| BatchIndexAndErrorMessage {
            batch_index: rejection.batch_index,
            batch_index_error_message: Some(rejection.message.as_str().into()),
            ..BatchIndexAndErrorMessage::default()
        });
        errors.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_with_its_partitions_or_its_bytes() {
        let of = |len| PartitionProduceData {
            records: Some(Records::Bytes(vec![0; len].into())),
            ..PartitionProduceData::default()
        };
        let turns = |len, count| {
            let mut turn = Turn::default();
            (0..count).filter(|_| turn.is_over(&of(len))).count()
        };
        assert_eq!([0, 1, 64, 65, 128, 129].map(|count| turns(10, count)), [0, 0, 0, 1, 1, 2]);
        assert_eq!([1, 2, 3].map(|count| turns(TURN_BYTES, count)), [0, 1, 2]);
    }
}
