//! The group coordinator of a broker: its runtime, over the partitions of `__consumer_offsets`.

use std::sync::Arc;

use uuid::Uuid;

use super::{group::Group, settings::GroupSettings};
use crate::{
    broker::{Broker, CoordinatorTopic, CreateTopicFailure},
    clock::{TimestampMs, wall_clock_ms},
    config::{broker::GroupConfig, topic_name::GROUP_METADATA_TOPIC},
    coordinator::{runtime::Runtime, seats::Seats},
    metadata::topics::{Layout, NewTopic},
};

/// The group coordinator.
pub struct GroupCoordinator {
    topic: CoordinatorTopic<Group>,
}

impl GroupCoordinator {
    /// Begins to load the groups, if there were any: who asks for one before it is loaded is told to come again. Needs a
    /// tokio runtime.
    #[must_use]
    pub fn start(broker: Arc<Broker>) -> Arc<Self> {
        let config = broker.config().groups;
        // Groups have no effects.
        let seats = Seats::new("ottla.groups.max", config.groups_max);
        let (runtime, _) = Runtime::new(GroupSettings::from(&config), seats);
        let compression = config.offsets_topic_compression;
        let (topic, loading) = CoordinatorTopic::start(broker, runtime, to_create(&config), compression);
        let coordinator = Arc::new(Self { topic });
        if let Some(loading) = loading {
            tokio::spawn(Arc::clone(&coordinator).finish_deletions(loading));
        }
        coordinator
    }

    /// A crash may have come between the deletion of a topic and that of its offsets.
    async fn finish_deletions(self: Arc<Self>, loading: impl Future<Output = ()>) {
        loading.await;
        let forgotten = tokio::task::spawn_blocking(move || self.forget_gone_topics(wall_clock_ms()));
        if let Err(error) = forgotten.await {
            tracing::error!(%error, "the offsets of deleted topics could not be looked for");
        }
    }

    /// What runs the groups.
    #[must_use]
    pub fn runtime(&self) -> &Runtime<Group> {
        self.topic.runtime()
    }

    /// Makes sure that `__consumer_offsets` is there. If it is new, its partitions are ready when this returns.
    pub async fn ensure_topic(&self) -> Result<(), CreateTopicFailure> {
        self.topic.ensure().await
    }

    /// Forgets the offsets of topics that are not there any more, nor those of an earlier topic under the name of a present
    /// one. Blocks for as long as it takes to look at all groups.
    pub fn forget_gone_topics(&self, wall: TimestampMs) {
        self.runtime().each(wall, |id, group, _, out| {
            // As of this step: what the group has committed by now may be of a topic that was created meanwhile.
            let image = self.topic.broker().image();
            let is_gone = |name: &str, id: Option<Uuid>| match image.topic(name) {
                Some(present) => id.is_some_and(|id| id != present.id),
                None => true,
            };
            group.forget_topics(id, &is_gone, out);
        });
    }

    /// Forgets offsets that nobody has used for so long that they have expired. Blocks for as long as it takes to look at
    /// all groups.
    pub fn expire_offsets(&self, wall: TimestampMs) {
        self.runtime().each(wall, |id, group, cx, out| group.expire_offsets(cx, id, out));
    }
}

/// `__consumer_offsets`, with the configuration that Kafka gives it: one that deletes by time would lose what is committed.
fn to_create(config: &GroupConfig) -> NewTopic {
    let configs = [
        ("cleanup.policy", "compact".to_owned()),
        ("compression.type", "producer".to_owned()),
        ("segment.bytes", config.offsets_topic_segment_bytes.to_string()),
    ];
    NewTopic {
        name: GROUP_METADATA_TOPIC.to_owned(),
        layout: Layout::Count(Some(config.offsets_topic_num_partitions)),
        replication_factor: None,
        configs: configs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
    }
}

#[cfg(test)]
mod tests;
