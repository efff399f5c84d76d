//! The keys of a subscription to clients' metrics: one table, held against Kafka 4.4's by a test.
//!
//! Clients are not asked for metrics, so that none has an effect: they are shown, with what a directory of Kafka's
//! brought, and cannot be set.

use super::key::{
    ConfigKey, ConfigType,
    ConfigType::{Int, List},
    Effect, Importance, Validator,
};

/// What a client is told that sets one.
pub const NOT_ALTERABLE: &str = "Clients are not asked for metrics: a subscription to them would have no effect.";

/// Why.
pub(super) const NO_CLIENT_METRICS: &str = "clients are not asked for metrics";

/// Every key of a subscription, by name.
pub const CLIENT_METRICS_KEYS: &[ConfigKey] = &[
    subscription("interval.ms", Int, "300000", "How often clients send their metrics."),
    subscription("match", List, "", "Which clients are meant, as client_id=PATTERN and the like; all if it is empty."),
    subscription("metrics", List, "", "How the names of the metrics begin that are asked for; * for all."),
];

/// A row of the table.
const fn subscription(
    name: &'static str,
    config_type: ConfigType,
    default: &'static str,
    doc: &'static str,
) -> ConfigKey {
    let mut key = ConfigKey::new(name, config_type, Some(default), Validator::Any, Importance::Medium);
    key.doc = doc;
    key.effect = Effect::None(NO_CLIENT_METRICS);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kafka 4.4's own table: name, type, default, valid values, importance.
    const KAFKAS_TABLE: &str = include_str!("../../tests/fixtures/client-metrics-configs.tsv");

    #[test]
    fn the_table_is_kafkas() {
        let ours = CLIENT_METRICS_KEYS.iter().map(|key| {
            let default = match (key.config_type, key.default) {
                (List, Some(text)) => format!("[{text}]"),
                (_, default) => default.unwrap_or("null").to_owned(),
            };
            format!("{}\t{}\t{default}\t{}\t{}", key.name, key.config_type, key.valid, key.importance)
        });
        assert_eq!(ours.collect::<Vec<_>>(), KAFKAS_TABLE.lines().skip(1).collect::<Vec<_>>());
        assert!(CLIENT_METRICS_KEYS.iter().all(|key| key.doc.ends_with('.') && key.default_value().is_some()));
    }
}
