//! `DescribeProducers` (key 61): which producers a partition knows.

use std::{collections::HashSet, sync::Arc};

use super::{context::Context, refusal::Refusal, repeated::repeated};
use crate::{
    auth::authorizer::{Operation, Resource},
    broker::HostedTopic,
    config::topic_name,
    log::producer_state::ProducerDescription,
    protocol::{
        error_code::ErrorCode,
        messages::{
            DescribeProducersRequest, DescribeProducersResponse,
            describe_producers_request::TopicRequest,
            describe_producers_response::{PartitionResponse, ProducerState, TopicResponse},
        },
    },
};

/// What stands for something that is not there.
const NO_OFFSET: i64 = -1;
const NO_SEQUENCE: i32 = -1;
const NO_EPOCH: i32 = -1;

/// A partition as a request names it.
type Named<'a> = (&'a str, i32);

/// Answers for each partition. One that is named more than once would make the response many times as large as the request
/// and all that is known.
pub async fn describe_producers(cx: &Context, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let named =
        request.topics.iter().flat_map(|topic| topic.partition_indexes.iter().map(|index| (&*topic.name, *index)));
    let repeated = repeated(named);
    let topics = request.topics.iter().map(|topic| describe(cx, topic, &repeated));
    DescribeProducersResponse { topics: topics.collect(), ..DescribeProducersResponse::default() }
}

fn describe(cx: &Context, topic: &TopicRequest, repeated: &HashSet<Named<'_>>) -> TopicResponse {
    let found = find(cx, &topic.name);
    let partitions = topic.partition_indexes.iter().map(|index| {
        let described = found.as_ref().map_err(Clone::clone).and_then(|topic| {
            if repeated.contains(&(topic.name(), *index)) {
                return Err(Refusal::wordless(ErrorCode::InvalidRequest));
            }
            let unknown = || Refusal::wordless(ErrorCode::UnknownTopicOrPartition);
            let (log, _) = topic.partition(*index).ok_or_else(unknown)?;
            Ok(log.active_producers().iter().map(state).collect())
        });
        match described {
            Ok(active_producers) => {
                PartitionResponse { partition_index: *index, active_producers, ..PartitionResponse::default() }
            }
            Err(refusal) => refused(*index, refusal),
        }
    });
    TopicResponse { name: topic.name.clone(), partitions: partitions.collect(), ..TopicResponse::default() }
}

fn refused(partition_index: i32, refusal: Refusal) -> PartitionResponse {
    let (error_code, error_message) = Refusal::answer(Err(refusal));
    PartitionResponse { partition_index, error_code, error_message, ..PartitionResponse::default() }
}

/// Somebody who may not read must not learn what is there.
fn find(cx: &Context, name: &str) -> Result<Arc<HostedTopic>, Refusal> {
    topic_name::validate(name).map_err(|_| Refusal::wordless(ErrorCode::InvalidTopicException))?;
    cx.authorize(Operation::Read, Resource::Topic(name)).map_err(|_| Refusal::of_topic())?;
    cx.broker.topic(name).ok_or_else(|| Refusal::wordless(ErrorCode::UnknownTopicOrPartition))
}

fn state(producer: &ProducerDescription) -> ProducerState {
    ProducerState {
        producer_id: producer.producer_id,
        producer_epoch: producer.epoch.into(),
        last_sequence: producer.last_sequence.unwrap_or(NO_SEQUENCE),
        last_timestamp: producer.last_timestamp,
        coordinator_epoch: producer.coordinator_epoch.unwrap_or(NO_EPOCH),
        current_txn_start_offset: producer.open_transaction.unwrap_or(NO_OFFSET),
        ..ProducerState::default()
    }
}
