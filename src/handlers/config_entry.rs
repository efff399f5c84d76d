//! The keys of a resource as clients see them: value, where it comes from, and what would count without it.
//!
//! As Kafka's `ConfigHelper` has it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

use crate::{
    config::{
        broker::{BROKER_KEYS, BrokerKey, BrokerValues, UpdateMode, ValueSource, broker_key},
        client_metrics::CLIENT_METRICS_KEYS,
        group::GROUP_KEYS,
        key::{ConfigKey, ConfigType, Effect, Value},
        topic::{Synonym, TOPIC_KEYS, TopicKey},
    },
    protocol::wire::StrBytes,
};

/// Where a value comes from, as responses number it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigSource {
    /// The topic.
    Topic = 1,
    /// Somebody set it for the broker while it ran.
    DynamicBroker = 2,
    /// Somebody set it for all brokers while they ran.
    DynamicDefaultBroker = 3,
    /// Command line, environment or file of the broker.
    StaticBroker = 4,
    /// The table.
    Default = 5,
    /// The loggers of the broker.
    BrokerLogger = 6,
    /// The subscription to clients' metrics.
    ClientMetrics = 7,
    /// The group.
    Group = 8,
}

/// A key with its value.
pub struct ConfigEntry {
    /// Its name: that of the key, but for what is set for one listener.
    pub name: StrBytes,
    /// The key.
    pub key: &'static ConfigKey,
    /// The value that counts; `None` if there is none, or nobody may see it.
    pub value: Option<StrBytes>,
    /// Whether it cannot be changed while the broker runs.
    pub is_read_only: bool,
    /// All values that were set or are defaults, the first of which counts.
    pub synonyms: Vec<ConfigSynonym>,
}

/// A value that a key has, or would have if those before it were not.
pub struct ConfigSynonym {
    /// The key that it was set for.
    pub name: StrBytes,
    /// The value; `None` if nobody may see it.
    pub value: Option<StrBytes>,
    /// Where it comes from.
    pub source: ConfigSource,
}

/// The documentation of keys that lack an effect, by what makes it up: put together once, not for every topic that is described.
static WITHOUT_EFFECT: LazyLock<HashMap<(&'static str, Effect), StrBytes>> = LazyLock::new(|| {
    let topic = TOPIC_KEYS.iter().map(|row| &row.key);
    let group = GROUP_KEYS.iter().map(|row| &row.key);
    let keys = topic.chain(group).chain(BROKER_KEYS.iter().map(|row| &row.key)).chain(CLIENT_METRICS_KEYS);
    keys.map(|key| ((key.doc, key.effect), key.documentation().into())).collect()
});

/// What was set for a resource.
type Overrides = BTreeMap<String, String>;

impl ConfigSource {
    /// Its number.
    #[must_use]
    pub fn code(self) -> i8 {
        self as i8
    }
}

impl From<ValueSource> for ConfigSource {
    fn from(source: ValueSource) -> Self {
        match source {
            ValueSource::Broker => Self::DynamicBroker,
            ValueSource::Cluster => Self::DynamicDefaultBroker,
            ValueSource::Start => Self::StaticBroker,
            ValueSource::Default => Self::Default,
        }
    }
}

impl ConfigEntry {
    /// Where the value comes from.
    #[must_use]
    pub fn source(&self) -> ConfigSource {
        self.synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source)
    }

    /// The number of the key's type, as Kafka's `ConfigType` counts.
    #[must_use]
    pub fn type_code(&self) -> i8 {
        match self.key.config_type {
            ConfigType::Boolean => 1,
            ConfigType::String => 2,
            ConfigType::Int => 3,
            ConfigType::Short => 4,
            ConfigType::Long => 5,
            ConfigType::Double => 6,
            ConfigType::List => 7,
            ConfigType::Class => 8,
            ConfigType::Password => 9,
        }
    }

    /// A key that can be set for a resource: what was set counts before what the broker says.
    fn of_resource(
        key: &'static ConfigKey,
        overrides: &Overrides,
        source: ConfigSource,
        broker: Vec<ConfigSynonym>,
        default: impl FnOnce() -> Option<Value>,
    ) -> Self {
        let set = overrides.get(key.name).map(|text| match key.parse(text) {
            Ok(value) => shown(key, &value),
            Err(_) => (!key.is_sensitive()).then(|| text.as_str().into()),
        });
        let value = match &set {
            Some(value) => value.clone(),
            None => default().and_then(|value| shown(key, &value)),
        };
        let name = StrBytes::from_static(key.name);
        let own = set.map(|value| ConfigSynonym { name: name.clone(), value, source });
        Self { name, key, value, is_read_only: false, synonyms: own.into_iter().chain(broker).collect() }
    }
}

/// What a key does, without a copy.
pub fn documentation(key: &ConfigKey) -> StrBytes {
    match key.effect {
        Effect::InUse => StrBytes::from_static(key.doc),
        effect @ (Effect::None(_) | Effect::OnlyDefault(_) | Effect::Refused(_)) => {
            WITHOUT_EFFECT.get(&(key.doc, effect)).cloned().unwrap_or_else(|| key.documentation().into())
        }
    }
}

/// The keys of a topic.
pub fn of_topic<'a>(
    values: &'a BrokerValues,
    overrides: &'a Overrides,
    wanted: impl Fn(&str) -> bool + 'a,
) -> impl Iterator<Item = ConfigEntry> + 'a {
    let rows = TOPIC_KEYS.iter().filter(move |row| is_shown(&row.key, overrides) && wanted(row.key.name));
    rows.map(|row| {
        // Kafka leaves out what stands in for the first of them while that is set nowhere, such as a time in hours.
        let first = row.synonyms.first().map(|synonym| synonym.name);
        let stands_in = |synonym: &ConfigSynonym| Some(synonym.name.as_str()) != first;
        let broker = synonyms_of(values, row.synonyms).into_iter().skip_while(stands_in).collect();
        let default = || row.default_from(values).map(|(value, _)| value);
        ConfigEntry::of_resource(&row.key, overrides, ConfigSource::Topic, broker, default)
    })
}

/// The keys of a group.
pub fn of_group<'a>(
    values: &'a BrokerValues,
    overrides: &'a Overrides,
    wanted: impl Fn(&str) -> bool + 'a,
) -> impl Iterator<Item = ConfigEntry> + 'a {
    let rows = GROUP_KEYS.iter().filter(move |row| is_shown(&row.key, overrides) && wanted(row.key.name));
    rows.map(|row| {
        let table = || row.key.default_value().map(|value| ConfigSynonym::new(&row.key, &value, ConfigSource::Default));
        let broker = match row.synonym {
            Some(name) => set_for(values, name),
            None => table().into_iter().collect(),
        };
        let default = || row.default_from(values);
        ConfigEntry::of_resource(&row.key, overrides, ConfigSource::Group, broker, default)
    })
}

/// The keys of a subscription to clients' metrics.
pub fn of_client_metrics<'a>(
    overrides: &'a Overrides,
    wanted: impl Fn(&str) -> bool + 'a,
) -> impl Iterator<Item = ConfigEntry> + 'a {
    let keys = CLIENT_METRICS_KEYS.iter().filter(move |key| wanted(key.name));
    keys.map(|key| {
        let default = || key.default_value();
        ConfigEntry::of_resource(key, overrides, ConfigSource::ClientMetrics, Vec::new(), default)
    })
}

/// The keys of the broker, and those of single listeners where they are set.
pub fn of_broker<'a>(
    values: &'a BrokerValues,
    wanted: impl Fn(&str) -> bool + Copy + 'a,
) -> impl Iterator<Item = ConfigEntry> + 'a {
    let rows = BROKER_KEYS.iter().filter(move |row| wanted(row.key.name));
    let of_listeners = values.of_listeners().filter(move |(name, ..)| wanted(name));
    let of_all = rows.map(|row| ConfigEntry {
        name: StrBytes::from_static(row.key.name),
        key: &row.key,
        value: values.get(row.key.name).and_then(|value| shown(&row.key, &value)),
        is_read_only: is_read_only(row),
        synonyms: synonyms_of_broker_key(values, row.key.name),
    });
    of_all.chain(of_listeners.map(|(name, row, value)| of_listener(name, &row.key, value)))
}

/// A key of one listener. The key of all listeners that it goes before is not shown as what would count without it.
fn of_listener(name: &str, key: &'static ConfigKey, value: &Value) -> ConfigEntry {
    let (name, value) = (StrBytes::from(name), shown(key, value));
    let set = ConfigSynonym { name: name.clone(), value: value.clone(), source: ConfigSource::StaticBroker };
    ConfigEntry { name, key, value, is_read_only: true, synonyms: vec![set] }
}

/// The keys that somebody set for all brokers.
pub fn of_all_brokers<'a>(
    values: &'a BrokerValues,
    wanted: impl Fn(&str) -> bool + 'a,
) -> impl Iterator<Item = ConfigEntry> + 'a {
    let rows = BROKER_KEYS.iter().filter(move |row| wanted(row.key.name));
    rows.filter_map(|row| {
        let mut set = set_for(values, row.key.name);
        set.retain(|synonym| synonym.source == ConfigSource::DynamicDefaultBroker);
        let value = set.first()?.value.clone();
        let name = StrBytes::from_static(row.key.name);
        Some(ConfigEntry { name, key: &row.key, value, is_read_only: is_read_only(row), synonyms: set })
    })
}

/// A key for tests and experiments is where it was set.
fn is_shown(key: &ConfigKey, overrides: &Overrides) -> bool {
    !key.internal || overrides.contains_key(key.name)
}

fn is_read_only(row: &BrokerKey) -> bool {
    row.update_mode == UpdateMode::ReadOnly
}

/// A broker key that stands for another while that is not set has the other's values after its own.
fn synonyms_of_broker_key(values: &BrokerValues, name: &'static str) -> Vec<ConfigSynonym> {
    let place = |row: &TopicKey| row.synonyms.iter().position(|synonym| synonym.name == name);
    let chain = TOPIC_KEYS.iter().find_map(|row| Some(&row.synonyms[place(row)?..]));
    match (set_for(values, name), chain) {
        (set, Some([_, others @ ..])) if !set.is_empty() => {
            set.into_iter().chain(synonyms_of(values, others)).collect()
        }
        (set, _) => set,
    }
}

fn synonyms_of(values: &BrokerValues, synonyms: &[Synonym]) -> Vec<ConfigSynonym> {
    synonyms.iter().flat_map(|synonym| set_for(values, synonym.name)).collect()
}

/// Every value of a broker key, the one that counts first.
fn set_for(values: &BrokerValues, name: &'static str) -> Vec<ConfigSynonym> {
    let Some(row) = broker_key(name) else { return Vec::new() };
    values.in_order(name).map(|(value, source)| ConfigSynonym::new(&row.key, &value, source.into())).collect()
}

impl ConfigSynonym {
    fn new(key: &'static ConfigKey, value: &Value, source: ConfigSource) -> Self {
        Self { name: StrBytes::from_static(key.name), value: shown(key, value), source }
    }
}

/// A value as text, unless it is a secret.
fn shown(key: &ConfigKey, value: &Value) -> Option<StrBytes> {
    (!key.is_sensitive()).then(|| value.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{load, sources::CommandLine};

    /// The entries of a broker that was started with these variables.
    fn of_broker_with(environment: &[(&str, &str)]) -> Vec<ConfigEntry> {
        let environment = environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let (config, _) = load(&CommandLine::default(), environment).expect("good settings");
        of_broker(&config.values, |_| true).collect()
    }

    #[test]
    fn what_is_set_for_one_listener_is_shown_but_for_its_secrets() {
        const PLANTED: &str = "hunter2";
        let jaas = format!("org.apache.kafka.common.security.plain.PlainLoginModule required user_a=\"{PLANTED}\";");
        let entries = of_broker_with(&[
            ("KAFKA_LISTENERS", "SASL_SSL://127.0.0.1:1"),
            ("KAFKA_SSL_KEYSTORE_TYPE", "PEM"),
            ("KAFKA_SSL_KEYSTORE_CERTIFICATE_CHAIN", PLANTED),
            ("KAFKA_LISTENER_NAME_SASL__SSL_SSL_KEYSTORE_KEY", PLANTED),
            ("KAFKA_LISTENER_NAME_SASL__SSL_PLAIN_SASL_JAAS_CONFIG", &jaas),
            ("KAFKA_LISTENER_NAME_SASL__SSL_MAX_CONNECTIONS", "5"),
            ("OTTLA_USERS", "b:hunter2"),
        ]);
        let of_listener = entries.iter().filter(|entry| entry.name.as_str().starts_with("listener.name."));
        let shown = of_listener.map(|entry| {
            assert!(entry.is_read_only);
            assert_eq!((entry.source(), entry.synonyms.len()), (ConfigSource::StaticBroker, 1));
            (entry.name.as_str(), entry.type_code(), entry.value.as_ref().map(StrBytes::as_str))
        });
        let expected = [
            ("listener.name.sasl_ssl.max.connections", 3, Some("5")),
            ("listener.name.sasl_ssl.plain.sasl.jaas.config", 9, None),
            ("listener.name.sasl_ssl.ssl.keystore.key", 9, None),
        ];
        assert_eq!(shown.collect::<Vec<_>>(), expected);
        let values = entries.iter().flat_map(|entry| {
            entry.synonyms.iter().map(|synonym| &synonym.value).chain([&entry.value]).filter_map(Option::as_ref)
        });
        assert!(values.into_iter().all(|value| !value.as_str().contains(PLANTED)));
    }

    #[test]
    fn the_documentation_of_a_key_is_not_put_together_again() {
        for row in BROKER_KEYS {
            let (once, again) = (documentation(&row.key), documentation(&row.key));
            assert_eq!(once, row.key.documentation().as_str());
            assert_eq!(once.as_ptr(), again.as_ptr(), "{}", row.key.name);
        }
    }
}
