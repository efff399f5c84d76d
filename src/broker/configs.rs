//! Altering configurations while the broker runs: what was altered holds when that is answered.

use std::sync::{Arc, PoisonError};

use super::{Broker, HostError, HostedTopic, blocking, hosted_topic, topic_config};
use crate::{
    clock::wall_clock_ms,
    config::{broker::BrokerConfig, dynamic},
    metadata::{
        configs::{self, AlterConfigError, Alteration},
        image::{ConfigResource, Image, Topic},
        journal::CommitError,
    },
};

/// Somebody who goes by settings that can be altered.
pub(super) type Watcher = Box<dyn Fn(&BrokerConfig) + Send + Sync>;

/// Why each alteration was not made, if it was not.
pub type Altered = Vec<Result<(), AlterConfigError>>;

impl Broker {
    /// Alters configurations, all that can be in one commit. One that is refused leaves the others alone. No resource comes
    /// twice.
    pub async fn alter_configs(self: &Arc<Self>, asked: Vec<Alteration>) -> Result<Altered, CommitError> {
        let broker = Arc::clone(self);
        blocking(move || broker.alter_configs_blocking(&asked)).await
    }

    /// Which configurations could be altered so.
    #[must_use]
    pub fn validate_configs(&self, asked: &[Alteration]) -> Altered {
        let (image, config) = (self.image(), self.config());
        asked.iter().map(|alteration| configs::alter(&image, &config.values, alteration).map(drop)).collect()
    }

    /// Has somebody called with the settings now, and whenever they are altered, before that is answered.
    pub fn watch_config(&self, watcher: impl Fn(&BrokerConfig) + Send + Sync + 'static) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        watcher(&self.config());
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(watcher));
    }

    fn alter_configs_blocking(&self, asked: &[Alteration]) -> Result<Altered, CommitError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let config = self.config();
        let altered = self.journal.change(wall_clock_ms(), |image| {
            let mut records = Vec::new();
            let altered: Vec<_> = asked
                .iter()
                .map(|alteration| configs::alter(image, &config.values, alteration).map(|new| records.extend(new)))
                .collect();
            Ok::<_, CommitError>((records, altered))
        })?;
        let done = asked.iter().zip(&altered).filter(|(_, outcome)| outcome.is_ok());
        let resources: Vec<_> = done.map(|(alteration, _)| &alteration.resource).collect();
        self.follow(&resources);
        Ok(altered)
    }

    /// Has everything that runs go by what the metadata now says of these.
    fn follow(&self, altered: &[&ConfigResource]) {
        let image = self.image();
        if altered.iter().any(|resource| resource.kind == ConfigResource::BROKER) {
            let config = effective_config(&self.config(), &image);
            *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
            let config = self.config();
            for watcher in self.watchers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                watcher(&config);
            }
            image.topics().for_each(|topic| self.reconfigure(&image, topic));
        } else {
            let topics = altered.iter().filter(|resource| resource.kind == ConfigResource::TOPIC);
            let topics = topics.filter_map(|resource| image.topic(&resource.name));
            topics.for_each(|topic| self.reconfigure(&image, topic));
        }
    }

    /// Has the logs of a topic, and what checks appends to them, go by its settings.
    fn reconfigure(&self, image: &Image, topic: &Topic) {
        let Some(hosted) = self.topic_by_id(topic.id) else { return };
        match topic_config(&self.config(), image, topic).map_err(HostError::from) {
            Ok(config) if config == *hosted.config() => {}
            Ok(config) => {
                let log_config = hosted_topic::log_config(&config);
                hosted.logs().for_each(|log| log.set_config(log_config));
                self.publish(HostedTopic::reconfigured(&hosted, config));
            }
            Err(error) => tracing::warn!(topic = %topic.name, %error, "its settings stay as they were"),
        }
    }
}

/// The settings of a broker that was started with these, with those that the metadata has. What of them means nothing here
/// is named.
pub(super) fn effective_config(config: &BrokerConfig, image: &Image) -> BrokerConfig {
    let of_cluster = image.config(&ConfigResource::brokers());
    let of_broker = image.config(&ConfigResource::broker(config.node_id));
    let (effective, ignored) = dynamic::effective(config, of_cluster, of_broker);
    for error in ignored {
        tracing::warn!("a setting that was made while the broker ran is ignored: {error}");
    }
    effective
}
