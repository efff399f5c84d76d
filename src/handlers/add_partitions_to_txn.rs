//! `AddPartitionsToTxn` (key 24): partitions take part in a transaction; from version 4 on those of several transactions,
//! or they are only looked at, which is what brokers ask each other.

use std::sync::Arc;

use super::{
    context::Context,
    coordinated::{check_transactional_id, fenced_in_version},
    transactional::{self, PATIENCE},
};
use crate::{
    auth::authorizer::{Operation, Resource},
    config::topic_name,
    protocol::{
        error_code::ErrorCode,
        ids::ProducerIdAndEpoch,
        messages::{
            AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
            add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction},
            add_partitions_to_txn_response::{
                AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
            },
        },
        transaction_version::TransactionVersion,
    },
};

/// From this version on clients know that a producer can be shut out,
const FENCED_FROM: i16 = 2;
/// and from this one it is brokers who ask, for several transactions at once.
const BATCHED_FROM: i16 = 4;

/// Adds what can be added: of each transaction everything or nothing.
pub async fn add_partitions_to_txn(cx: &Context, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    if cx.version < BATCHED_FROM {
        let transaction = AddPartitionsToTxnTransaction {
            transactional_id: request.v3_and_below_transactional_id,
            producer_id: request.v3_and_below_producer_id,
            producer_epoch: request.v3_and_below_producer_epoch,
            topics: request.v3_and_below_topics,
            ..AddPartitionsToTxnTransaction::default()
        };
        return AddPartitionsToTxnResponse {
            results_by_topic_v3_and_below: result(cx, &transaction).await.topic_results,
            ..AddPartitionsToTxnResponse::default()
        };
    }
    if cx.authorize(Operation::ClusterAction, Resource::Cluster).is_err() {
        let error_code = ErrorCode::ClusterAuthorizationFailed.code();
        return AddPartitionsToTxnResponse { error_code, ..AddPartitionsToTxnResponse::default() };
    }
    let mut results_by_transaction = Vec::with_capacity(request.transactions.len());
    for transaction in &request.transactions {
        results_by_transaction.push(result(cx, transaction).await);
    }
    AddPartitionsToTxnResponse { results_by_transaction, ..AddPartitionsToTxnResponse::default() }
}

/// What becomes of each partition of a transaction.
async fn result(cx: &Context, transaction: &AddPartitionsToTxnTransaction) -> AddPartitionsToTxnResult {
    let mut outcomes = match outcomes(cx, transaction).await {
        Ok(outcomes) => outcomes,
        Err(error) => vec![fenced_in_version(cx, FENCED_FROM, error); partitions(&transaction.topics).count()],
    }
    .into_iter();
    let topic_results = transaction.topics.iter().map(|topic| AddPartitionsToTxnTopicResult {
        name: topic.name.clone(),
        results_by_partition: topic
            .partitions
            .iter()
            .zip(&mut outcomes)
            .map(|(partition, outcome)| AddPartitionsToTxnPartitionResult {
                partition_index: *partition,
                partition_error_code: outcome.code(),
                ..AddPartitionsToTxnPartitionResult::default()
            })
            .collect(),
        ..AddPartitionsToTxnTopicResult::default()
    });
    AddPartitionsToTxnResult {
        transactional_id: transaction.transactional_id.clone(),
        topic_results: topic_results.collect(),
        ..AddPartitionsToTxnResult::default()
    }
}

/// What becomes of each partition, in the order of the request, or of all.
async fn outcomes(cx: &Context, transaction: &AddPartitionsToTxnTransaction) -> Result<Vec<ErrorCode>, ErrorCode> {
    let id = transaction.transactional_id.as_str();
    // Brokers have been authorized as such.
    if cx.version < BATCHED_FROM || id.is_empty() {
        check_transactional_id(cx, id)?;
    }
    let checked: Vec<_> = partitions(&transaction.topics).map(|(topic, index)| check(cx, topic, index)).collect();
    if checked.iter().any(Result::is_err) {
        let not_attempted = |checked: Result<(), ErrorCode>| checked.err().unwrap_or(ErrorCode::OperationNotAttempted);
        return Ok(checked.into_iter().map(not_attempted).collect());
    }
    let producer = ProducerIdAndEpoch { id: transaction.producer_id, epoch: transaction.producer_epoch };
    if transaction.verify_only {
        let named: Vec<_> = partitions(&transaction.topics).map(|(topic, index)| (Arc::from(topic), index)).collect();
        let verified = transactional::verify(cx, id, producer, &named).await?;
        let outcome = |is_in| if is_in { ErrorCode::None } else { ErrorCode::TransactionAbortable };
        return Ok(verified.into_iter().map(outcome).collect());
    }
    let client_version = if cx.version < BATCHED_FROM { TransactionVersion::V0 } else { TransactionVersion::V2 };
    let added = partitions(&transaction.topics).collect();
    transactional::add(cx, id, producer, added, client_version, PATIENCE).await?;
    Ok(vec![ErrorCode::None; checked.len()])
}

/// Whether a partition may take part.
fn check(cx: &Context, topic: &str, partition: i32) -> Result<(), ErrorCode> {
    if cx.version < BATCHED_FROM {
        let is_allowed =
            !topic_name::is_internal(topic) && cx.authorize(Operation::Write, Resource::Topic(topic)).is_ok();
        if !is_allowed {
            return Err(ErrorCode::TopicAuthorizationFailed);
        }
    }
    let image = cx.broker.image();
    let is_there = image.topic(topic).is_some_and(|topic| topic.has_partition(partition));
    if is_there { Ok(()) } else { Err(ErrorCode::UnknownTopicOrPartition) }
}

fn partitions(topics: &[AddPartitionsToTxnTopic]) -> impl Iterator<Item = (&str, i32)> {
    topics.iter().flat_map(|topic| topic.partitions.iter().map(|partition| (topic.name.as_str(), *partition)))
}
