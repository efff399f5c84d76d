//! What of the broker's settings can be changed while it runs (KIP-226): for this broker, or as the default of all.
//!
//! What is changed is kept by the metadata as texts. Rules and words are those of Kafka's `DynamicBrokerConfig`, but for
//! keys that nobody knows: Kafka keeps them for plugins, of which there are none here.

use std::collections::BTreeMap;

use super::{
    broker::{BrokerConfig, BrokerKey, BrokerValues, UpdateMode, Values, broker_key},
    consistency::{self, Inconsistent},
    key::{InvalidValue, Value, one_line},
    listener_keys::ListenerKey,
};

const CLEANER_THREADS: &str = "log.cleaner.threads";
const MAX_CONNECTIONS: &str = "max.connections";

/// For whom a setting is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// This broker.
    Broker,
    /// All brokers that have no value of their own.
    Cluster,
}

/// Why a setting cannot be changed so, in the words that clients see.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DynamicConfigError {
    /// No such key.
    #[error("Unknown broker config name: {}", one_line(.0))]
    Unknown(String),
    /// They stay as they are until the next start.
    #[error("Cannot update these configs dynamically: [{0}]")]
    ReadOnly(String),
    /// They have no default for all brokers.
    #[error("Cannot update these configs at default cluster level, broker id must be specified: [{0}]")]
    PerBroker(String),
    /// A key does not allow its value.
    #[error(transparent)]
    Invalid(#[from] InvalidValue),
    /// It would promise what this broker does not do.
    #[error(transparent)]
    Unhonoured(InvalidValue),
    /// The values do not go together.
    #[error(transparent)]
    Inconsistent(#[from] Inconsistent),
}

/// Whether a broker may run with `texts` instead of what was changed before in that scope. Of keys that are not
/// `altered`, those that mean nothing here are passed over.
pub fn check(
    values: &BrokerValues,
    scope: Scope,
    texts: &BTreeMap<String, String>,
    altered: impl Fn(&str) -> bool,
) -> Result<(), DynamicConfigError> {
    let asked = || texts.iter().filter(|(name, _)| altered(name));
    let of_listeners = asked().filter(|(name, _)| ListenerKey::parse(name).is_some());
    let of_listeners = of_listeners.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    if !of_listeners.is_empty() {
        return Err(DynamicConfigError::ReadOnly(of_listeners));
    }
    if let Some((name, _)) = asked().find(|(name, _)| broker_key(name).is_none()) {
        return Err(DynamicConfigError::Unknown(name.clone()));
    }
    let those = |is_meant: fn(&BrokerKey) -> bool| {
        let names = asked().filter(|(name, _)| broker_key(name).is_some_and(is_meant));
        names.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let fixed = those(|row| row.update_mode == UpdateMode::ReadOnly);
    if !fixed.is_empty() {
        return Err(DynamicConfigError::ReadOnly(fixed));
    }
    let mut parsed = Values::new();
    for (name, text) in texts {
        match parse(scope, name, text) {
            Ok((key, value)) => {
                if let Some(error) = unhonoured(key, &value).filter(|_| altered(key)) {
                    return Err(error);
                }
                parsed.insert(key, value);
            }
            Err(DynamicConfigError::Invalid(error)) if altered(name) => return Err(error.into()),
            Err(_) => {}
        }
    }
    let of_one = those(|row| row.update_mode == UpdateMode::PerBroker);
    if scope == Scope::Cluster && !of_one.is_empty() {
        return Err(DynamicConfigError::PerBroker(of_one));
    }
    let changed = values.with(scope, parsed);
    check_threads(values, &changed)?;
    Ok(consistency::check(&changed)?)
}

/// The number of threads changes in steps.
fn check_threads(before: &BrokerValues, after: &BrokerValues) -> Result<(), InvalidValue> {
    let threads = |values: &BrokerValues| values.get(CLEANER_THREADS).and_then(|value| value.as_long()).unwrap_or(0);
    let (before, after) = (threads(before), threads(after));
    if (before / 2..=before.max(1).saturating_mul(2)).contains(&after) {
        return Ok(());
    }
    let key = &broker_key(CLEANER_THREADS).expect("a key of the table").key;
    let reason = format!("Value must be at least half and at most double the current value {before}");
    Err(key.refuse(&after.to_string(), reason))
}

/// The settings of a broker that was started with `start`, whatever was changed since then, with what is changed now. What
/// it cannot go by is told, and the rest holds.
#[must_use]
pub fn effective(
    start: &BrokerConfig,
    of_cluster: &BTreeMap<String, String>,
    of_broker: &BTreeMap<String, String>,
) -> (BrokerConfig, Vec<DynamicConfigError>) {
    let mut ignored = Vec::new();
    let mut values = start.values.with(Scope::Cluster, Values::new()).with(Scope::Broker, Values::new());
    for (scope, texts) in [(Scope::Cluster, of_cluster), (Scope::Broker, of_broker)] {
        let mut parsed = Values::new();
        for (name, text) in texts {
            match parse(scope, name, text) {
                Ok((name, value)) => drop(parsed.insert(name, value)),
                Err(error) => ignored.push(error),
            }
        }
        let changed = values.with(scope, parsed.clone());
        values = match consistency::check(&changed) {
            Ok(()) => changed,
            Err(_) => consistent(&values, scope, parsed, &mut ignored),
        };
    }
    let config = if values == start.values { start.clone() } else { start.with_values(values) };
    (config, ignored)
}

/// As many of the values as go together, by name.
fn consistent(
    values: &BrokerValues,
    scope: Scope,
    parsed: Values,
    ignored: &mut Vec<DynamicConfigError>,
) -> BrokerValues {
    let mut kept = Values::new();
    for (name, value) in parsed {
        kept.insert(name, value);
        if let Err(error) = consistency::check(&values.with(scope, kept.clone())) {
            kept.remove(name);
            ignored.push(error.into());
        }
    }
    values.with(scope, kept)
}

fn unhonoured(name: &str, value: &Value) -> Option<DynamicConfigError> {
    let key = &broker_key(name)?.key;
    let reason = key.unhonoured(value)?;
    Some(DynamicConfigError::Unhonoured(key.refuse_unhonoured(value, reason)))
}

/// The value that a text means, where the key can be changed in this scope.
fn parse(scope: Scope, name: &str, text: &str) -> Result<(&'static str, Value), DynamicConfigError> {
    let row = broker_key(name).ok_or_else(|| DynamicConfigError::Unknown(name.to_owned()))?;
    match (row.update_mode, scope) {
        (UpdateMode::ReadOnly, _) => Err(DynamicConfigError::ReadOnly(name.to_owned())),
        (UpdateMode::PerBroker, Scope::Cluster) => Err(DynamicConfigError::PerBroker(name.to_owned())),
        (UpdateMode::PerBroker, Scope::Broker) | (UpdateMode::ClusterWide, _) => {
            let value = row.key.parse(text)?;
            if name == MAX_CONNECTIONS && value == Value::Int(0) {
                return Err(row.key.refuse(text, "Value must be at least 1, or nobody could change it again").into());
            }
            Ok((row.key.name, value))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{broker::ValueSource, load, sources::CommandLine, topic::TopicConfig};

    fn started(overrides: &[&str]) -> BrokerConfig {
        let overrides = overrides.iter().map(|text| (*text).to_owned()).collect();
        let (config, _) =
            load(&CommandLine { overrides, ..CommandLine::default() }, std::iter::empty()).expect("good settings");
        config
    }

    fn texts(texts: &[(&str, &str)]) -> BTreeMap<String, String> {
        texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    /// What is said of a change of all of these.
    fn said(scope: Scope, changes: &[(&str, &str)]) -> String {
        let refused = check(&started(&[]).values, scope, &texts(changes), |_| true);
        refused.expect_err("must be refused").to_string()
    }

    #[test]
    fn a_value_of_the_broker_goes_before_that_of_all_and_both_before_the_start() {
        let start = started(&["message.max.bytes=1", "log.retention.hours=1"]);
        let (of_cluster, of_broker) =
            (texts(&[("message.max.bytes", "2"), ("log.retention.ms", "7")]), texts(&[("message.max.bytes", "3")]));
        let (config, ignored) = effective(&start, &of_cluster, &of_broker);
        assert_eq!(ignored, []);
        let in_order: Vec<_> = config.values.in_order("message.max.bytes").collect();
        let expected = [
            (Value::Int(3), ValueSource::Broker),
            (Value::Int(2), ValueSource::Cluster),
            (Value::Int(1), ValueSource::Start),
            (Value::Int(1_048_588), ValueSource::Default),
        ];
        assert_eq!(in_order, expected);
        assert_eq!(config.values.get("log.retention.ms"), Some(Value::Long(7)));
        let (config, _) = effective(&config, &BTreeMap::new(), &BTreeMap::new());
        assert_eq!(config, start);
    }

    #[test]
    fn any_time_below_zero_is_unlimited() {
        let below = texts(&[("log.retention.ms", "-2")]);
        assert_eq!(check(&started(&[]).values, Scope::Cluster, &below, |_| true), Ok(()));
        let (config, _) = effective(&started(&[]), &below, &BTreeMap::new());
        assert_eq!(TopicConfig::resolve(&config.values, &BTreeMap::new()).retention_ms, None);
    }

    #[test]
    fn typed_settings_follow() {
        let (config, _) = effective(&started(&[]), &texts(&[("max.connections", "5")]), &BTreeMap::new());
        assert_eq!(config.max_connections, 5);
    }

    #[test]
    fn what_means_nothing_is_passed_over_at_a_start() {
        let found =
            [("foo", "1"), ("num.partitions", "4"), ("log.retention.ms", "x"), ("log.segment.bytes", "2000000")];
        let (config, ignored) = effective(&started(&[]), &texts(&found), &BTreeMap::new());
        assert_eq!((config.values.get("log.segment.bytes"), ignored.len()), (Some(Value::Int(2_000_000)), 3));
        let together = texts(&[("log.cleaner.threads", "1000"), ("log.retention.ms", "5")]);
        let (config, ignored) = effective(&started(&[]), &together, &BTreeMap::new());
        assert_eq!((config.values.get("log.retention.ms"), ignored.len()), (Some(Value::Long(5)), 1), "the rest holds");
        assert_eq!(config.values.get("log.cleaner.threads"), Some(Value::Int(1)));
    }

    #[test]
    fn what_cannot_be_changed_is_refused() {
        let fixed = said(Scope::Broker, &[("num.partitions", "4"), ("broker.rack", "a"), ("max.connections", "4")]);
        assert_eq!(fixed, "Cannot update these configs dynamically: [broker.rack, num.partitions]");
        assert_eq!(said(Scope::Cluster, &[("foo", "1")]), "Unknown broker config name: foo");
        let number = "Invalid value x for configuration log.retention.ms: Not a number of type LONG";
        assert_eq!(said(Scope::Cluster, &[("log.retention.ms", "x")]), number);
        assert!(said(Scope::Cluster, &[("log.cleaner.threads", "1000")]).contains("log.cleaner.threads"));
        let promise = said(Scope::Cluster, &[("leader.replication.throttled.rate", "5")]);
        assert!(promise.contains("Only the default is accepted"), "{promise}");
        assert!(said(Scope::Broker, &[("max.connections", "0")]).contains("nobody could change it again"));
        assert!(said(Scope::Broker, &[("log.retention.ms", "0")]).ends_with("unlimited (-1) or at least 1"));
    }

    #[test]
    fn the_number_of_cleaner_threads_changes_in_steps() {
        let values = started(&["log.cleaner.threads=8"]).values;
        let said = |changes: &[(&str, &str)]| check(&values, Scope::Broker, &texts(changes), |_| true);
        assert_eq!(said(&[("log.cleaner.threads", "16")]), Ok(()));
        assert!(said(&[("log.cleaner.threads", "17")]).is_err());
        assert!(said(&[("log.cleaner.threads", "3")]).is_err());
        let four = texts(&[("log.cleaner.threads", "4")]);
        let (config, _) = effective(&started(&["log.cleaner.threads=16"]), &BTreeMap::new(), &four);
        assert!(check(&config.values, Scope::Broker, &BTreeMap::new(), |_| false).is_err(), "it would be 16 again");
    }

    #[test]
    fn what_is_set_for_one_listener_takes_a_restart() {
        let changes = [("listener.name.a.max.connections", "1"), ("listener.name.b.ssl.client.auth", "none")];
        assert_eq!(
            said(Scope::Broker, &changes),
            "Cannot update these configs dynamically: [listener.name.a.max.connections, listener.name.b.ssl.client.auth]"
        );
        assert_eq!(said(Scope::Broker, &[("listener.name.a.b", "1")]), "Unknown broker config name: listener.name.a.b");
    }

    #[test]
    fn what_was_there_before_does_not_stand_in_the_way() {
        let found =
            texts(&[("foo", "1"), ("num.partitions", "4"), ("log.retention.ms", "x"), ("max.connections", "1")]);
        let values = started(&[]).values;
        assert_eq!(check(&values, Scope::Broker, &found, |name| name == "max.connections"), Ok(()));
        assert!(check(&values, Scope::Broker, &found, |name| name == "foo").is_err());
    }
}
