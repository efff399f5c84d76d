//! Topics that get more partitions.
//!
//! The metadata has no record that takes a partition back. So its directory is created first, and the record says what is
//! there: a crash in between leaves an empty partition that the metadata does not know.

use std::sync::{Arc, PoisonError};

use super::{Broker, blocking, topic_config};
use crate::{
    clock::{monotonic, wall_clock_ms},
    log::log_dir::LogDirError,
    metadata::{
        draft::Draft,
        growth::{self, Growth, GrowthError},
        image::{Image, Partition},
        journal::CommitError,
    },
    protocol::{ids::TopicPartition, messages::PartitionRecord},
};

/// Why a topic got no more partitions.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum GrowthFailure {
    #[error(transparent)]
    Refused(#[from] GrowthError),
    #[error(transparent)]
    Logs(#[from] LogDirError),
}

/// What becomes of each topic of a request.
type Outcomes<T> = Vec<Result<T, GrowthFailure>>;

impl Broker {
    /// Adds partitions to topics, all that can be in one commit; they are durable and hosted when this returns. One topic
    /// that is refused leaves the others alone; the outer failure is that of all.
    pub async fn add_partitions(self: &Arc<Self>, growths: Vec<Growth>) -> Result<Outcomes<()>, CommitError> {
        let broker = Arc::clone(self);
        blocking(move || broker.add_partitions_blocking(&growths)).await
    }

    /// Whether topics could be given more partitions.
    #[must_use]
    pub fn validate_growth(&self, growths: &[Growth]) -> Vec<Result<(), GrowthError>> {
        let decided = self.decide_growth(&self.image(), growths).into_iter();
        decided.map(|decided| decided.map(|_| ())).collect()
    }

    /// What [`Broker::add_partitions`] does, on the caller's thread.
    pub fn add_partitions_blocking(&self, growths: &[Growth]) -> Result<Outcomes<()>, CommitError> {
        // Topics and partitions change under this lock alone: what is decided now still holds at the commit.
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let image = self.image();
        let decided = self.decide_growth(&image, growths).into_iter();
        let prepared: Outcomes<_> = decided
            .map(|decided| {
                let partitions = decided?;
                self.create_logs(&image, &partitions)?;
                Ok(partitions)
            })
            .collect();
        drop(image);
        let records = prepared.iter().flatten().flat_map(|partitions| growth::records(partitions.clone())).collect();
        let committed = self.journal.change(wall_clock_ms(), |_| Ok::<_, CommitError>((records, ())));
        let image = self.image();
        if let Err(error) = committed {
            prepared.iter().flatten().for_each(|partitions| self.take_logs_back(&image, partitions));
            return Err(error);
        }
        let hosted = prepared.into_iter().map(|prepared| {
            let partitions = prepared?;
            let grown = partitions.first().and_then(|first| image.topic_by_id(first.topic_id));
            Ok(grown.map_or(Ok(()), |topic| self.host(&image, topic))?)
        });
        Ok(hosted.collect())
    }

    /// The partitions that each topic gets, if it gets any.
    fn decide_growth(&self, image: &Image, growths: &[Growth]) -> Vec<Result<Vec<PartitionRecord>, GrowthError>> {
        let mut draft = Draft::new(image);
        let mut before = 0;
        let decided = growths.iter().map(|growth| {
            let partitions = growth::grow(draft.image(), growth, self.home, before)?;
            before += partitions.len();
            draft.extend(growth::records(partitions.clone()));
            Ok(partitions)
        });
        decided.collect()
    }

    /// Creates the directories of partitions that one topic is to get: all or none.
    fn create_logs(&self, image: &Image, partitions: &[PartitionRecord]) -> Result<(), LogDirError> {
        let Some(topic) = partitions.first().and_then(|first| image.topic_by_id(first.topic_id)) else { return Ok(()) };
        let config = topic_config(&self.config(), image, topic);
        let created = partitions.iter().try_for_each(|record| {
            let partition = Partition::from(record);
            self.open_log(topic, record.partition_id, &partition, super::hosted_topic::log_config(&config)).map(|_| ())
        });
        created.inspect_err(|_| self.take_logs_back(image, partitions))
    }

    /// Partitions that do not come to be leave no directories.
    fn take_logs_back(&self, image: &Image, partitions: &[PartitionRecord]) {
        let Some(topic) = partitions.first().and_then(|first| image.topic_by_id(first.topic_id)) else { return };
        let names = partitions.iter().map(|record| TopicPartition::new(topic.name.clone(), record.partition_id));
        let created: Vec<_> = names.filter(|name| self.logs.partition(name).is_some()).collect();
        if let Err(error) = self.logs.delete_partitions(&created, monotonic()) {
            tracing::warn!(topic = %topic.name, %error, "partitions that could not be added are not wholly removed");
        }
    }
}
