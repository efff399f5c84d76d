//! `OffsetForLeaderEpoch` (key 23): where an epoch ended, for a consumer that checks whether its log was truncated.

use super::{context::Context, fetch::check_leader_epoch};
use crate::{
    auth::authorizer::{Operation, Resource},
    protocol::{
        error_code::ErrorCode,
        messages::{
            OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
            offset_for_leader_epoch_request::OffsetForLeaderPartition,
            offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult},
        },
    },
};

/// Answers for each partition.
pub async fn offset_for_leader_epoch(
    cx: &Context,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    // Brokers may ask for all of them.
    let sees_all = cx.may(Operation::ClusterAction, Resource::Cluster);
    let topics = request.topics.iter().map(|topic| {
        let is_visible = sees_all || cx.authorize(Operation::Describe, Resource::Topic(&topic.topic)).is_ok();
        let partitions = topic.partitions.iter();
        let partitions = partitions.map(|partition| match end_of_epoch(cx, &topic.topic, is_visible, partition) {
            Ok(end) => end,
            Err(error) => {
                EpochEndOffset { partition: partition.partition, error_code: error.code(), ..EpochEndOffset::default() }
            }
        });
        OffsetForLeaderTopicResult {
            topic: topic.topic.clone(),
            partitions: partitions.collect(),
            ..OffsetForLeaderTopicResult::default()
        }
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..OffsetForLeaderEpochResponse::default() }
}

fn end_of_epoch(
    cx: &Context,
    topic: &str,
    is_visible: bool,
    partition: &OffsetForLeaderPartition,
) -> Result<EpochEndOffset, ErrorCode> {
    if !is_visible {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    let hosted = cx.broker.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let (log, current) = hosted.partition(partition.partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    check_leader_epoch(Some(partition.current_leader_epoch).filter(|epoch| *epoch >= 0), current)?;
    let answer = EpochEndOffset { partition: partition.partition, ..EpochEndOffset::default() };
    // An epoch that is not known has no end: the defaults say so.
    Ok(match log.end_offset_for_epoch(partition.leader_epoch) {
        Some(end) => EpochEndOffset { leader_epoch: end.epoch, end_offset: end.end_offset, ..answer },
        None => answer,
    })
}
