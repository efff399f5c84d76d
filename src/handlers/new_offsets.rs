//! What the APIs that commit offsets share.

use std::sync::Arc;

use uuid::Uuid;

use super::{context::Context, errors};
use crate::{
    auth::authorizer::{Operation, Resource},
    groups::{
        error::GroupError,
        group::{Asking, NewOffset},
    },
    metadata::image::Topic,
    protocol::{error_code::ErrorCode, wire::StrBytes},
};

/// Stands for nothing where a number is asked for.
const NONE: i64 = -1;

/// The topic that offsets are committed for, by its id or by its name.
pub fn resolve(cx: &Context, id: Option<Uuid>, name: &str) -> Result<Arc<Topic>, ErrorCode> {
    let image = cx.broker.image();
    let found = id.map_or_else(|| image.topic(name), |id| image.topic_by_id(id));
    let name = match found {
        None if id.is_some() => return Err(ErrorCode::UnknownTopicId),
        None => name,
        Some(found) => &found.name,
    };
    let allowed = cx.authorize(Operation::Read, Resource::Topic(name));
    allowed.map_err(|_| ErrorCode::TopicAuthorizationFailed)?;
    found.cloned().ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// What a client says of itself.
pub fn asking(member_id: &StrBytes, group_instance_id: Option<&StrBytes>, generation: i32) -> Asking {
    Asking {
        member_id: Some(member_id).filter(|id| !id.is_empty()).map(Arc::from),
        group_instance_id: group_instance_id.map(Arc::from),
        generation: Some(generation).filter(|generation| *generation >= 0),
    }
}

/// An offset as it stands in a request.
#[expect(missing_docs, reason = "the names are those of the requests")]
pub struct Committed<'a> {
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: Option<&'a StrBytes>,
    pub timestamp: i64,
    pub retention_ms: i64,
}

/// The offsets of a request that there is a partition for.
#[derive(Default)]
pub struct NewOffsets {
    offsets: Vec<NewOffset>,
    /// The text that was copied out of the frame last. One that comes again and again, as the empty one does, is kept once.
    text: Arc<str>,
}

impl NewOffsets {
    /// Takes one in. What it gets now; more if the group refuses it.
    pub fn add(&mut self, topic: &Result<Arc<Topic>, ErrorCode>, committed: &Committed<'_>) -> ErrorCode {
        let topic = match topic {
            Ok(topic) if topic.has_partition(committed.partition) => topic,
            Ok(_) => return ErrorCode::UnknownTopicOrPartition,
            Err(error) => return *error,
        };
        let metadata = self.copied(committed.metadata);
        self.offsets.push(NewOffset {
            topic: Arc::clone(&topic.name),
            topic_id: Some(topic.id),
            partition: committed.partition,
            offset: committed.offset,
            leader_epoch: Some(committed.leader_epoch).filter(|epoch| i64::from(*epoch) != NONE),
            metadata,
            commit_timestamp: Some(committed.timestamp).filter(|timestamp| *timestamp != NONE),
            retention_ms: Some(committed.retention_ms).filter(|retention| *retention != NONE),
        });
        ErrorCode::None
    }

    /// In the order in which they were taken in.
    pub fn as_slice(&self) -> &[NewOffset] {
        &self.offsets
    }

    fn copied(&mut self, text: Option<&StrBytes>) -> Arc<str> {
        let text = text.map(StrBytes::as_str).unwrap_or_default();
        if *self.text != *text {
            self.text = Arc::from(text);
        }
        Arc::clone(&self.text)
    }
}

/// The partitions that have no error yet get the group's: each its own, in order, or all the same.
pub fn fill_in<'a>(
    error_codes: impl Iterator<Item = &'a mut i16>,
    outcome: Result<Vec<Result<(), GroupError>>, ErrorCode>,
) {
    let asked = error_codes.filter(|code| **code == ErrorCode::None.code());
    match outcome {
        Ok(outcomes) => asked.zip(outcomes).for_each(|(code, outcome)| {
            *code = outcome.map_or_else(|error| errors::group(&error), |()| ErrorCode::None).code();
        }),
        Err(error) => asked.for_each(|code| *code = error.code()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_go_to_the_partitions_that_the_group_was_asked_for() {
        let filled = |outcome| {
            let mut codes = [ErrorCode::None, ErrorCode::UnknownTopicOrPartition, ErrorCode::None].map(ErrorCode::code);
            fill_in(codes.iter_mut(), outcome);
            codes
        };
        assert_eq!(filled(Ok(vec![Err(GroupError::OffsetMetadataTooLarge), Ok(())])), [12, 3, 0]);
        assert_eq!(filled(Err(ErrorCode::IllegalGeneration)), [22, 3, 22]);
    }

    #[test]
    fn what_a_member_says_of_itself_may_be_nothing() {
        assert_eq!(asking(&"".into(), None, -1), Asking::default());
        let expected = Asking { member_id: Some("m".into()), group_instance_id: Some("".into()), generation: Some(0) };
        assert_eq!(asking(&"m".into(), Some(&"".into()), 0), expected);
    }

    #[test]
    fn a_text_that_comes_again_is_kept_once() {
        let mut offsets = NewOffsets::default();
        let [a, b] = ["a", "a"].map(|text| offsets.copied(Some(&text.into())));
        assert!(Arc::ptr_eq(&a, &b));
        assert_eq!((&*offsets.copied(None), &*offsets.copied(Some(&"b".into()))), ("", "b"));
    }
}
