//! What the values of the broker's keys must satisfy together, at the start and whenever one of them is changed.

use std::collections::BTreeMap;

use super::{
    broker::{BrokerValues, broker_key},
    clients,
    key::{ConfigType, InvalidValue, Value},
    topic::{TOPIC_KEYS, TopicConfig, TopicConfigError},
};

/// Bytes that a thread of the log cleaner needs more of for keys: Kafka's bound.
const DEDUPE_BUFFER_MIN: i64 = 1024 * 1024;

/// The most threads that compact logs.
const CLEANER_THREADS_MAX: i64 = 64;

/// Memory for keys, and who shares it.
const DEDUPE_BUFFER: [&str; 2] = ["log.cleaner.dedupe.buffer.size", "log.cleaner.threads"];
const LOAD_FACTOR: &str = "log.cleaner.io.buffer.load.factor";
const COMPACTION_LAGS: [&str; 2] = ["log.cleaner.min.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms"];

/// Values that each key allows, and that cannot be all the same.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Inconsistent {
    /// No topic could have it as its default.
    #[error("{source}")]
    TopicDefault {
        /// The broker's key and its value.
        source: InvalidValue,
        /// The key in the table.
        key: &'static str,
        /// The key's type: what it allows beside that is what the topic key does.
        config_type: ConfigType,
    },
    /// No topic could have them together, in the names of the topic keys.
    #[error(transparent)]
    TopicDefaults(TopicConfigError),
    /// Too little memory for the keys that compaction compares.
    #[error(
        "log.cleaner.dedupe.buffer.size={size} must be more than {DEDUPE_BUFFER_MIN} for each of {threads} \
         log.cleaner.threads"
    )]
    DedupeBuffer {
        /// `log.cleaner.dedupe.buffer.size`.
        size: i64,
        /// `log.cleaner.threads`.
        threads: i64,
    },
    /// More threads than compaction has use for, and than some systems have room for.
    #[error("log.cleaner.threads={0} must be at most {CLEANER_THREADS_MAX}")]
    CleanerThreads(i64),
    /// No request of the largest size would ever be taken.
    #[error("{key}={memory} must not be less than socket.request.max.bytes={request}")]
    RequestMemory {
        /// `queued.max.request.bytes` or `ottla.requests.memory.max`.
        key: &'static str,
        /// Its value.
        memory: i64,
        /// `socket.request.max.bytes`.
        request: i64,
    },
    /// The client would be gone before it is told.
    #[error("connection.failed.authentication.delay.ms={delay} must be less than connections.max.idle.ms={idle}")]
    AuthenticationDelay {
        /// `connection.failed.authentication.delay.ms`.
        delay: i64,
        /// `connections.max.idle.ms`.
        idle: i64,
    },
    /// Limits of addresses that are none.
    #[error("{0}")]
    Addresses(InvalidValue, &'static str),
    /// A share that is none.
    #[error("log.cleaner.io.buffer.load.factor={0} must be more than 0 and at most 1")]
    LoadFactor(f64),
}

impl Inconsistent {
    /// The keys that are to blame, one of them at least.
    #[must_use]
    pub fn keys(&self) -> [&'static str; 2] {
        match self {
            Self::TopicDefault { key, .. } => [key, key],
            Self::TopicDefaults(_) => COMPACTION_LAGS,
            Self::DedupeBuffer { .. } => DEDUPE_BUFFER,
            Self::CleanerThreads(_) => [DEDUPE_BUFFER[1]; 2],
            Self::RequestMemory { key, .. } => [key, clients::REQUEST],
            Self::AuthenticationDelay { .. } => [clients::DELAY, clients::IDLE],
            Self::Addresses(_, key) => [key, key],
            Self::LoadFactor(_) => [LOAD_FACTOR; 2],
        }
    }

    /// As a start says it: to whoever reads a file, the type of a key is news.
    #[must_use]
    pub fn at_start(&self) -> String {
        match self {
            Self::TopicDefault { config_type, .. } => format!("{self} (allowed: {config_type})"),
            Self::TopicDefaults(_)
            | Self::DedupeBuffer { .. }
            | Self::CleanerThreads(_)
            | Self::RequestMemory { .. }
            | Self::AuthenticationDelay { .. }
            | Self::Addresses(..)
            | Self::LoadFactor(_) => self.to_string(),
        }
    }
}

/// Holds the values against each other.
pub fn check(values: &BrokerValues) -> Result<(), Inconsistent> {
    check_topic_defaults(values)?;
    clients::check(values)?;
    check_cleaner(values)
}

/// Topics have these defaults, whether that is found out now or when one is created.
fn check_topic_defaults(values: &BrokerValues) -> Result<(), Inconsistent> {
    for row in TOPIC_KEYS {
        let Some((value, Some(synonym))) = row.default_from(values) else { continue };
        if !values.is_set(synonym.name) {
            continue;
        }
        let key = &broker_key(synonym.name).expect("a test finds every synonym").key;
        let refuse = |source: InvalidValue| Inconsistent::TopicDefault {
            source: InvalidValue { key: synonym.name.to_owned(), ..source },
            key: synonym.name,
            config_type: key.config_type,
        };
        row.key.validate(&value).map_err(refuse)?;
        if row.key.name == "retention.ms" && value == Value::Long(0) {
            return Err(refuse(row.key.refuse("0", "Value must be unlimited (-1) or at least 1")));
        }
    }
    let none = BTreeMap::new();
    TopicConfig::check_asked(values, &none, &none).map_err(Inconsistent::TopicDefaults)
}

/// The log cleaner needs room for some keys.
fn check_cleaner(values: &BrokerValues) -> Result<(), Inconsistent> {
    let [size, threads] =
        DEDUPE_BUFFER.map(|name| values.get(name).and_then(|value| value.as_long()).unwrap_or_default());
    if threads > CLEANER_THREADS_MAX {
        return Err(Inconsistent::CleanerThreads(threads));
    }
    if threads > 0 && size / threads <= DEDUPE_BUFFER_MIN {
        return Err(Inconsistent::DedupeBuffer { size, threads });
    }
    let load_factor = values.get(LOAD_FACTOR).and_then(|value| value.as_double()).unwrap_or_default();
    if load_factor > 0.0 && load_factor <= 1.0 { Ok(()) } else { Err(Inconsistent::LoadFactor(load_factor)) }
}
