//! Why a part of a request is not done, while others are.

use crate::{
    config::key,
    protocol::{error_code::ErrorCode, wire::StrBytes},
};

/// The most characters of a message. Names and values of the request may be in it, and an answer with a string that is too
/// long could not be sent, though the rest of the request was done.
const MESSAGE_MAX: usize = 1000;

/// What clients are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub error: ErrorCode,
    /// The words, where there are some: a line of a bounded length.
    message: Option<StrBytes>,
}

impl Refusal {
    /// With words.
    pub fn new(error: ErrorCode, message: impl Into<StrBytes>) -> Self {
        let message = message.into();
        let fits = message.len() <= MESSAGE_MAX && !message.chars().any(char::is_control);
        let message = if fits { message } else { key::line(&message, MESSAGE_MAX).into() };
        Self { error, message: Some(message) }
    }

    /// Without, as Kafka answers it.
    pub fn wordless(error: ErrorCode) -> Self {
        Self { error, message: None }
    }

    /// The client may not do this with the topic, in the words of Kafka's error.
    pub fn of_topic() -> Self {
        Self::new(ErrorCode::TopicAuthorizationFailed, StrBytes::from_static("Topic authorization failed."))
    }

    /// The same of a group.
    pub fn of_group() -> Self {
        Self::new(ErrorCode::GroupAuthorizationFailed, StrBytes::from_static("Group authorization failed."))
    }

    /// The same of the cluster.
    pub fn of_cluster() -> Self {
        Self::new(ErrorCode::ClusterAuthorizationFailed, StrBytes::from_static("Cluster authorization failed."))
    }

    /// Code and words of an outcome.
    pub fn answer(outcome: Result<(), Self>) -> (i16, Option<StrBytes>) {
        match outcome {
            Ok(()) => (ErrorCode::None.code(), None),
            Err(refusal) => (refusal.error.code(), refusal.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_line_that_an_answer_has_room_for() {
        let said = |message: &str| Refusal::new(ErrorCode::InvalidRequest, message).message.expect("it was given");
        assert_eq!(said("No such topic: né"), "No such topic: né");
        assert_eq!(said("a\nb\u{1b}"), "a\\nb\\u{1b}");
        for text in ["x", "é", "🦀", "\0"] {
            let message = said(&text.repeat(40_000));
            assert!(message.ends_with('…') && message.chars().count() <= MESSAGE_MAX, "{text:?}: {message}");
        }
    }
}
