//! What all transactions go by.

use std::time::Duration;

use crate::{config::broker::TransactionConfig, protocol::transaction_version::TransactionVersion};

/// Settings of the transaction coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionSettings {
    /// The level of the feature `transaction.version`.
    pub version: TransactionVersion,
    /// `transaction.max.timeout.ms`.
    pub max_timeout: Duration,
    /// `transactional.id.expiration.ms`.
    pub id_expiration_ms: i64,
}

impl TransactionSettings {
    /// Those of a broker, under this level of the feature.
    #[must_use]
    pub fn new(config: &TransactionConfig, version: TransactionVersion) -> Self {
        Self { version, max_timeout: config.max_timeout, id_expiration_ms: config.id_expiration_ms }
    }
}

/// Kafka's defaults.
impl Default for TransactionSettings {
    fn default() -> Self {
        Self {
            version: TransactionVersion::LATEST,
            max_timeout: Duration::from_mins(15),
            id_expiration_ms: 7 * 24 * 60 * 60 * 1000,
        }
    }
}
