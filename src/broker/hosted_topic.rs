//! A topic whose partitions are open: what Produce and Fetch look up.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use crate::{
    config::topic::{TimestampType, TopicCompression, TopicConfig},
    log::{
        log_config::{Compaction, LogConfig},
        partition_log::PartitionLog,
        retention::Retention,
        validate::{self, Rules, TargetCompression},
    },
    metadata::image::Topic,
    protocol::records::compression::Compression,
};

/// A topic, its settings and its logs.
pub struct HostedTopic {
    name: Arc<str>,
    id: Uuid,
    config: TopicConfig,
    rules: Rules,
    /// By partition, without gaps, each with its leader epoch.
    partitions: Vec<(Arc<PartitionLog>, i32)>,
}

impl HostedTopic {
    /// `logs` are those of the topic's partitions, in order. A batch may have so many records.
    pub(super) fn new(topic: &Topic, config: TopicConfig, max_records: u32, logs: Vec<Arc<PartitionLog>>) -> Self {
        assert_eq!(logs.len(), topic.partitions.len(), "one log for each partition of {}", topic.name);
        let epochs = topic.partitions.iter().map(|partition| partition.leader_epoch);
        Self {
            name: topic.name.clone(),
            id: topic.id,
            rules: rules(&config, to_usize(max_records)),
            config,
            partitions: logs.into_iter().zip(epochs).collect(),
        }
    }

    /// The same topic with other settings.
    pub(super) fn reconfigured(topic: &Self, config: TopicConfig) -> Self {
        Self {
            name: Arc::clone(&topic.name),
            id: topic.id,
            rules: rules(&config, topic.rules.max_records),
            config,
            partitions: topic.partitions.clone(),
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &TopicConfig {
        &self.config
    }

    /// What a batch must satisfy.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The log of a partition, and the epoch of its leader, this broker.
    #[must_use]
    pub fn partition(&self, index: i32) -> Option<(&Arc<PartitionLog>, i32)> {
        let (log, epoch) = self.partitions.get(usize::try_from(index).ok()?)?;
        Some((log, *epoch))
    }

    /// All logs, in order.
    pub fn logs(&self) -> impl Iterator<Item = &Arc<PartitionLog>> {
        self.partitions.iter().map(|(log, _)| log)
    }
}

/// What the log needs of a topic's settings.
pub(super) fn log_config(config: &TopicConfig) -> LogConfig {
    LogConfig {
        segment_bytes: config.segment_bytes.into(),
        segment_ms: config.max_segment_ms(),
        segment_jitter_ms: config.segment_jitter_ms,
        segment_index_bytes: config.segment_index_bytes.into(),
        index_interval_bytes: config.index_interval_bytes.into(),
        flush_messages: config.flush_messages,
        flush_ms: config.flush_ms,
        max_message_bytes: to_usize(config.max_message_bytes),
        timestamp_type: timestamp_type(config),
        retention: retention(config),
        compaction: compaction(config),
        file_delete_delay: Duration::from_millis(u64::try_from(config.file_delete_delay_ms).unwrap_or(0)),
    }
}

/// Where `cleanup.policy` is without `delete`, the limits are of no account.
fn retention(config: &TopicConfig) -> Retention {
    let deletes = config.cleanup_policy.delete;
    Retention {
        bytes: config.retention_bytes.filter(|_| deletes),
        ms: config.retention_ms.filter(|_| deletes),
        timestamp_after_max_ms: config.message_timestamp_after_max_ms,
    }
}

fn compaction(config: &TopicConfig) -> Option<Compaction> {
    config.cleanup_policy.compact.then(|| Compaction {
        min_dirty_ratio: config.min_cleanable_dirty_ratio,
        min_lag_ms: config.min_compaction_lag_ms,
        max_lag_ms: config.max_compaction_lag_ms,
        delete_retention_ms: config.delete_retention_ms,
        decompressed_bytes_max: validate::decompressed_limit(
            to_usize(config.max_message_bytes),
            to_usize(config.max_decompressed_message_bytes),
        ),
    })
}

/// What validation needs of a topic's settings, where a batch may have so many records.
fn rules(config: &TopicConfig, max_records: usize) -> Rules {
    Rules {
        max_records,
        max_message_bytes: to_usize(config.max_message_bytes),
        max_decompressed_bytes: to_usize(config.max_decompressed_message_bytes),
        segment_bytes: to_usize(config.segment_bytes),
        compacted: config.cleanup_policy.compact,
        timestamp_type: timestamp_type(config),
        timestamp_before_max_ms: config.message_timestamp_before_max_ms,
        timestamp_after_max_ms: config.message_timestamp_after_max_ms,
        compression: target(config.compression),
    }
}

fn timestamp_type(config: &TopicConfig) -> validate::TimestampType {
    match config.message_timestamp_type {
        TimestampType::CreateTime => validate::TimestampType::CreateTime,
        TimestampType::LogAppendTime => validate::TimestampType::LogAppendTime,
    }
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn target(compression: TopicCompression) -> TargetCompression {
    codec(compression).map_or(TargetCompression::Producer, |(codec, level)| TargetCompression::Codec { codec, level })
}

/// The codec that a setting names, and its level, or `None` for the codec's own; nothing where a producer's choice stays.
pub(crate) fn codec(compression: TopicCompression) -> Option<(Compression, Option<i32>)> {
    match compression {
        TopicCompression::Producer => None,
        TopicCompression::Uncompressed => Some((Compression::None, None)),
        TopicCompression::Snappy => Some((Compression::Snappy, None)),
        TopicCompression::Gzip(level) => Some((Compression::Gzip, Some(level))),
        TopicCompression::Lz4(level) => Some((Compression::Lz4, Some(level))),
        TopicCompression::Zstd(level) => Some((Compression::Zstd, Some(level))),
    }
}
