//! Identifiers that cross layers, and how Kafka spells them.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

/// A partition of a topic by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's index, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

/// `topic-partition`, which is also the name of its directory.
impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Kafka's spelling of a UUID: base64 with the URL-safe alphabet, unpadded, 22 characters.
#[must_use]
pub fn uuid_to_base64(id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

/// The reverse of [`uuid_to_base64`]; `None` where the text is not one.
#[must_use]
pub fn uuid_from_base64(text: &str) -> Option<Uuid> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    Uuid::from_slice(&bytes).ok()
}

/// A new random id. Like Kafka's `Uuid.randomUuid`, never one whose text starts with a dash, which a command line would
/// take for a flag.
#[must_use]
pub fn random_uuid() -> Uuid {
    loop {
        let id = Uuid::new_v4();
        if !uuid_to_base64(id).starts_with('-') {
            return id;
        }
    }
}

/// A producer id and the epoch of its instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProducerIdAndEpoch {
    /// The id.
    pub id: i64,
    /// The epoch.
    pub epoch: i16,
}

impl ProducerIdAndEpoch {
    /// The last epoch that a client gets is one below the greatest: that one is left for the marker with which a client is
    /// shut out.
    #[must_use]
    pub const fn is_exhausted(self) -> bool {
        self.epoch >= i16::MAX - 1
    }

    /// The same producer in the next epoch; in the same if there is none.
    #[must_use]
    pub const fn bumped(self) -> Self {
        Self { id: self.id, epoch: self.epoch.saturating_add(1) }
    }

    /// A producer id that is new.
    #[must_use]
    pub const fn first(id: i64) -> Self {
        Self { id, epoch: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_survives_its_spelling() {
        let id = random_uuid();
        let text = uuid_to_base64(id);
        assert_eq!(text.len(), 22);
        assert_eq!(uuid_from_base64(&text), Some(id));
        assert_eq!(uuid_from_base64("short"), None);
        assert_eq!(uuid_to_base64(Uuid::nil()), "AAAAAAAAAAAAAAAAAAAAAA");
    }
}
