//! What a partition's log needs to know of its topic's configuration.

use std::time::Duration;

use super::{retention::Retention, validate::TimestampType};

/// Settings of one log. Built from topic configs elsewhere; the defaults are Kafka's, but for one: nothing is deleted
/// from a log whose topic's configuration is not known, nor from that of the metadata.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment that would grow beyond it is rolled.
    pub segment_bytes: u64,
    /// `segment.ms`, or `max.compaction.lag.ms` where that is less and the log is compacted: a segment is rolled when a
    /// batch is this much younger than its first.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: at most this much, chosen per segment, is subtracted from `segment_ms`.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: a segment whose index reaches it is rolled.
    pub segment_index_bytes: u64,
    /// `index.interval.bytes`: about how many bytes of log one index entry stands for.
    pub index_interval_bytes: u64,
    /// `flush.messages`: with [`Durability::Kafka`](super::group_commit::Durability::Kafka), a log with as many records that
    /// are not on disk is flushed.
    pub flush_messages: i64,
    /// `flush.ms`: with the same, how long records may be in the log before they are flushed.
    pub flush_ms: i64,
    /// `max.message.bytes`: of the batches that the broker writes itself. Those of clients are held against it before.
    pub max_message_bytes: usize,
    /// `message.timestamp.type`: of the batches that the log writes itself.
    pub timestamp_type: TimestampType,
    /// How much is kept.
    pub retention: Retention,
    /// How the log is compacted; `None` where `cleanup.policy` is without `compact`.
    pub compaction: Option<Compaction>,
    /// `file.delete.delay.ms`: how long files stay under another name before they are removed.
    pub file_delete_delay: Duration,
}

/// When a log is compacted, and what goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compaction {
    /// `min.cleanable.dirty.ratio`: which part of a log, from 0 to 1, has to be dirty.
    pub min_dirty_ratio: f64,
    /// `min.compaction.lag.ms`: how old a segment has to be.
    pub min_lag_ms: i64,
    /// `max.compaction.lag.ms`: how old one may become.
    pub max_lag_ms: i64,
    /// `delete.retention.ms`: how long a tombstone stays when all that it deletes is gone.
    pub delete_retention_ms: i64,
    /// Most bytes that a batch is decompressed to. A larger one is left as it is.
    pub decompressed_bytes_max: usize,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1024 * 1024 * 1024,
            segment_ms: 7 * 24 * 60 * 60 * 1000,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 * 1024 * 1024,
            index_interval_bytes: 4096,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            max_message_bytes: 1024 * 1024 + 12,
            timestamp_type: TimestampType::CreateTime,
            retention: Retention::UNLIMITED,
            compaction: None,
            file_delete_delay: Duration::from_mins(1),
        }
    }
}
