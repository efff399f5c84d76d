//! Altering configurations while the broker runs: what was altered holds when that is answered.

use std::{
    borrow::Cow,
    sync::{Arc, PoisonError},
};

use super::{Broker, HostedTopic, blocking, hosted_topic, topic_config};
use crate::{
    clock::wall_clock_ms,
    config::{
        broker::BrokerConfig,
        dynamic::{self, DynamicConfigError},
    },
    metadata::{
        configs::{self, AlterConfigError, Alteration, Change},
        draft::Draft,
        image::{ConfigResource, Image, Topic},
        journal::CommitError,
    },
};

/// How many keys of an alteration the log names.
const KEYS_TOLD_MAX: usize = 10;
/// And how many characters of them.
const KEYS_TOLD_LENGTH: usize = 500;

/// Somebody who goes by settings that can be altered.
pub(super) type Watcher = Box<dyn Fn(&BrokerConfig) + Send + Sync>;

/// Why each alteration was not made, if it was not.
pub type Altered = Vec<Result<(), AlterConfigError>>;

impl Broker {
    /// Alters configurations, all that can be in one commit, each on top of those before it. One that is refused leaves the
    /// others alone.
    pub async fn alter_configs(self: &Arc<Self>, asked: Vec<Alteration>) -> Result<Altered, CommitError> {
        let broker = Arc::clone(self);
        blocking(move || broker.alter_configs_blocking(&asked)).await
    }

    /// Which configurations could be altered so.
    #[must_use]
    pub fn validate_configs(&self, asked: &[Alteration]) -> Altered {
        decide(&self.config(), &mut Draft::new(&self.image()), asked)
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
            let mut draft = Draft::new(image);
            let altered = decide(&config, &mut draft, asked);
            Ok::<_, CommitError>((draft.into_records(), altered))
        })?;
        let done = asked.iter().zip(&altered).filter(|(_, outcome)| outcome.is_ok());
        let done: Vec<_> = done.map(|(alteration, _)| alteration).collect();
        done.iter().for_each(|alteration| tell(alteration));
        self.follow(&done.iter().map(|alteration| &alteration.resource).collect::<Vec<_>>());
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
        let config = topic_config(&self.config(), image, topic);
        if config != *hosted.config() {
            let log_config = hosted_topic::log_config(&config);
            hosted.logs().for_each(|log| log.set_config(log_config));
            self.publish(HostedTopic::reconfigured(&hosted, config));
        }
    }
}

/// Decides each alteration against what those before it make of the metadata.
fn decide(config: &BrokerConfig, draft: &mut Draft<'_>, asked: &[Alteration]) -> Altered {
    let mut config = Cow::Borrowed(config);
    let decided = asked.iter().map(|alteration| {
        let records = configs::alter(draft.image(), &config.values, alteration)?;
        draft.extend(records);
        if alteration.resource.kind == ConfigResource::BROKER {
            config = Cow::Owned(with_dynamic(&config, draft.image()).0);
        }
        Ok(())
    });
    decided.collect()
}

/// One line says what was altered: keys, without their values, which may be secrets.
fn tell(alteration: &Alteration) {
    let Alteration { resource, change } = alteration;
    let keys: Vec<&String> = match change {
        Change::Replace(texts) => texts.keys().collect(),
        Change::Edit(edits) => edits.keys().collect(),
    };
    let keys: String = keys.iter().take(KEYS_TOLD_MAX).map(|key| key.as_str()).collect::<Vec<_>>().join(", ");
    let keys: String = keys.chars().take(KEYS_TOLD_LENGTH).collect();
    tracing::info!(%resource, ?keys, "configuration altered");
}

/// The settings of a broker that was started with these, with those that the metadata has. What of them means nothing here
/// is named.
pub(super) fn effective_config(config: &BrokerConfig, image: &Image) -> BrokerConfig {
    let (effective, ignored) = with_dynamic(config, image);
    for error in ignored {
        tracing::warn!("a setting that was made while the broker ran is ignored: {error}");
    }
    effective
}

fn with_dynamic(config: &BrokerConfig, image: &Image) -> (BrokerConfig, Vec<DynamicConfigError>) {
    let of_cluster = image.config(&ConfigResource::brokers());
    dynamic::effective(config, of_cluster, image.config(&ConfigResource::broker(config.node_id)))
}
