//! What all groups go by.

use std::time::Duration;

use crate::config::broker::GroupConfig;

/// Settings of the group coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout: Duration,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`: the most members of a group.
    pub max_size: usize,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
}

impl From<&GroupConfig> for GroupSettings {
    fn from(config: &GroupConfig) -> Self {
        let to_usize = |count| usize::try_from(count).unwrap_or(usize::MAX);
        Self {
            min_session_timeout: config.min_session_timeout,
            max_session_timeout: config.max_session_timeout,
            initial_rebalance_delay: config.initial_rebalance_delay,
            max_size: to_usize(config.max_size),
            offset_metadata_max_bytes: to_usize(config.offset_metadata_max_bytes),
            offsets_retention_ms: config.offsets_retention_ms,
        }
    }
}

/// Kafka's defaults.
impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            min_session_timeout: Duration::from_secs(6),
            max_session_timeout: Duration::from_mins(30),
            initial_rebalance_delay: Duration::from_secs(3),
            max_size: usize::MAX,
            offset_metadata_max_bytes: 4096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1000,
        }
    }
}
