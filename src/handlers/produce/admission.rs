//! Records that are part of a transaction. They are appended where the transaction is open already, or else once its
//! coordinator has confirmed that the partition takes part: from version 12 on producing to it is enough for that (KIP-890).

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{Key, find, key};
use crate::{
    config::topic_name,
    handlers::{context::Context, coordinated::check_transactional_id, errors, transactional},
    log::partition_log::{AppendError, PartitionLog, TransactionGuard},
    protocol::{
        error_code::ErrorCode,
        ids::ProducerIdAndEpoch,
        messages::{
            ProduceRequest,
            produce_request::{PartitionProduceData, TopicProduceData},
        },
        records::{Records, batch::BatchHeader},
        transaction_version::TransactionVersion,
    },
};

/// From this version on clients can abort a transaction after an error,
const ABORTABLE_FROM: i16 = 11;
/// and from this one a partition takes part when something is produced to it.
const ADDS_FROM: i16 = 12;

/// What may be appended, of the partitions with records of a transaction.
#[derive(Default)]
pub(super) struct Admission(HashMap<Key, Result<Option<TransactionGuard>, ErrorCode>>);

/// A partition with records of a transaction.
struct Part {
    key: Key,
    topic: Arc<str>,
    index: i32,
    log: Arc<PartitionLog>,
}

impl Admission {
    /// Asks the coordinator about all partitions at once. An error concerns the whole request.
    pub(super) async fn of(cx: &Context, request: &ProduceRequest) -> Result<Self, ErrorCode> {
        let Some(id) = transactional_id(cx, request)? else { return Ok(Self::default()) };
        let mut producers = transactional_headers(request).map(|header| producer(&header));
        let producer = producers.next().expect("a request without one has no use for its transactional id");
        if producers.any(|other| other != producer) {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        let mut admission = Self::default();
        let mut asked = Vec::new();
        for part in parts(cx, request) {
            match part.log.expect_transaction(producer.id, producer.epoch, client_version(cx.version)) {
                Ok(Some(guard)) => asked.push((part, guard)),
                Ok(None) => drop(admission.0.insert(part.key, Ok(None))),
                Err(error) => {
                    let error = errors::append(&AppendError::Producer(error));
                    drop(admission.0.insert(part.key, Err(error)));
                }
            }
        }
        if !asked.is_empty() {
            admission.ask(cx, id, producer, asked, patience(request.timeout_ms)).await;
        }
        Ok(admission)
    }

    async fn ask(
        &mut self,
        cx: &Context,
        id: &str,
        producer: ProducerIdAndEpoch,
        parts: Vec<(Part, TransactionGuard)>,
        patience: Duration,
    ) {
        let named: Vec<_> = parts.iter().map(|(part, _)| (Arc::clone(&part.topic), part.index)).collect();
        let answers = if cx.version >= ADDS_FROM {
            let partitions = named.iter().map(|(topic, index)| (&**topic, *index)).collect();
            let added = transactional::add(cx, id, producer, partitions, TransactionVersion::V2, patience).await;
            added.map(|()| vec![true; parts.len()])
        } else {
            transactional::verify(cx, id, producer, &named).await
        };
        let not_in_it = transactional::not_in_transaction(cx.version >= ABORTABLE_FROM);
        for (number, (part, guard)) in parts.into_iter().enumerate() {
            let admitted = match &answers {
                Ok(are_in_it) if are_in_it[number] => Ok(Some(guard)),
                Ok(_) => Err(not_in_it),
                Err(error) => Err(errors::verification(*error)),
            };
            self.0.insert(part.key, admitted);
        }
    }

    /// Whether a partition's records may be appended, and with what. Asked once for each.
    pub(super) fn take(
        &mut self,
        topic: &TopicProduceData,
        partition: &PartitionProduceData,
    ) -> Result<Option<TransactionGuard>, ErrorCode> {
        // Most requests have nothing to do with transactions.
        if self.0.is_empty() {
            return Ok(None);
        }
        self.0.remove(&key(topic, partition)).unwrap_or(Ok(None))
    }
}

/// The transactional id of a request that has records of a transaction, which has to be the client's own (CVE-2018-17196:
/// whether it is must not depend on where those records stand).
pub(super) fn transactional_id<'a>(cx: &Context, request: &'a ProduceRequest) -> Result<Option<&'a str>, ErrorCode> {
    if transactional_headers(request).next().is_none() {
        return Ok(None);
    }
    let id = request.transactional_id.as_deref().ok_or(ErrorCode::TransactionalIdAuthorizationFailed)?;
    check_transactional_id(cx, id)?;
    Ok(Some(id))
}

fn transactional_headers(request: &ProduceRequest) -> impl Iterator<Item = BatchHeader> {
    request.topic_data.iter().flat_map(|topic| &topic.partition_data).filter_map(transactional_header)
}

fn client_version(version: i16) -> TransactionVersion {
    if version >= ADDS_FROM { TransactionVersion::V2 } else { TransactionVersion::V0 }
}

fn patience(timeout_ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0))
}

/// The header of a batch that is part of a transaction. A request has one batch for a partition; of another one that is
/// refused later it does not matter.
fn transactional_header(partition: &PartitionProduceData) -> Option<BatchHeader> {
    let Some(Records::Bytes(bytes)) = &partition.records else { return None };
    BatchHeader::parse(bytes).ok().filter(BatchHeader::is_transactional)
}

fn producer(header: &BatchHeader) -> ProducerIdAndEpoch {
    ProducerIdAndEpoch { id: header.producer_id, epoch: header.producer_epoch }
}

/// The partitions that there are, with records of a transaction. Coordinators' own topics take part in none.
fn parts(cx: &Context, request: &ProduceRequest) -> Vec<Part> {
    let mut parts = Vec::new();
    for topic in &request.topic_data {
        let Ok(hosted) = find(cx, topic) else { continue };
        if topic_name::is_internal(hosted.name()) {
            continue;
        }
        let name: Arc<str> = Arc::from(hosted.name());
        for partition in topic.partition_data.iter().filter(|partition| transactional_header(partition).is_some()) {
            let Some((log, _)) = hosted.partition(partition.index) else { continue };
            let (key, topic, log) = (key(topic, partition), Arc::clone(&name), Arc::clone(log));
            parts.push(Part { key, topic, index: partition.index, log });
        }
    }
    parts
}
