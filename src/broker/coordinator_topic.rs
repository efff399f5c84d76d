//! The topic of a coordinator: created when it is first asked for, and a shard over each of its partitions.

use std::sync::Arc;

use tokio::sync::Mutex;
use uuid::Uuid;

use super::{Broker, CreateTopicFailure, HostedTopic, codec};
use crate::{
    config::topic::TopicCompression,
    coordinator::{
        machine::Machine,
        runtime::{Home, Runtime},
    },
    log::partition_log::PartitionLog,
    metadata::topics::NewTopic,
    protocol::records::compression::Compression,
};

/// The topic of a coordinator, and the machines that live in it.
pub struct CoordinatorTopic<M: Machine> {
    broker: Arc<Broker>,
    runtime: Runtime<M>,
    new_topic: NewTopic,
    compression: TopicCompression,
    /// The id of the topic that the runtime has the partitions of.
    hosted: Mutex<Option<Uuid>>,
}

impl<M: Machine> CoordinatorTopic<M> {
    /// Begins to load the machines, if the topic is there; else it will be `new_topic`. They are loaded when the second result says
    /// so. Needs a tokio runtime.
    pub fn start(
        broker: Arc<Broker>,
        runtime: Runtime<M>,
        new_topic: NewTopic,
        compression: TopicCompression,
    ) -> (Self, Option<impl Future<Output = ()> + use<M>>) {
        let found = broker.topic(&new_topic.name);
        let loading = found.as_ref().map(|found| runtime.host(homes(found, compression)));
        let hosted = Mutex::new(found.map(|found| found.id()));
        (Self { broker, runtime, new_topic, compression, hosted }, loading)
    }

    /// The broker that has it.
    #[must_use]
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// What runs the machines.
    #[must_use]
    pub fn runtime(&self) -> &Runtime<M> {
        &self.runtime
    }

    /// Makes sure that it is there. If it is new, its partitions are ready when this returns.
    pub async fn ensure(&self) -> Result<(), CreateTopicFailure> {
        let mut hosted = self.hosted.lock().await;
        let topic = self.topic().await?;
        if *hosted != Some(topic.id()) {
            self.runtime.host(homes(&topic, self.compression)).await;
            *hosted = Some(topic.id());
        }
        Ok(())
    }

    /// The topic, which others may create, or delete, at the same time.
    async fn topic(&self) -> Result<Arc<HostedTopic>, CreateTopicFailure> {
        loop {
            if let Some(topic) = self.broker.topic(&self.new_topic.name) {
                return Ok(topic);
            }
            match self.broker.create_topics(vec![self.new_topic.clone()]).await?.pop() {
                Some(Err(failure)) if !failure.is_exists() => return Err(failure),
                Some(_) | None => {}
            }
        }
    }
}

/// What the shards write to.
fn homes(topic: &HostedTopic, compression: TopicCompression) -> Vec<Home> {
    let (codec, level) = codec(compression).unwrap_or((Compression::None, None));
    let home =
        |(log, leader_epoch): (&Arc<PartitionLog>, i32)| Home { log: Arc::clone(log), leader_epoch, codec, level };
    (0..).map_while(|index| topic.partition(index)).map(home).collect()
}
