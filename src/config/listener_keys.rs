//! Settings of one listener: `listener.name.NAME.KEY`, with the name in lower case, goes before `KEY`.
//!
//! As in Kafka that is so for the keys of TLS and SASL and for a few limits. What is said of one SASL mechanism of a
//! listener is `listener.name.NAME.MECHANISM.KEY`.

use std::collections::BTreeMap;

use super::{
    ConfigError,
    broker::{BROKER_KEYS, BrokerKey, BrokerValues, broker_key},
    key::{InvalidValue, Value},
    security::SaslMechanism,
    sources::{Origin, Setting, Settings},
};

/// How they begin.
pub(super) const PREFIX: &str = "listener.name.";
/// Keys of one listener beside those of TLS and SASL.
const OTHERS: [&str; 5] = [
    "connections.max.reauth.ms",
    "max.connection.creation.rate",
    "max.connections",
    "num.network.threads",
    "principal.builder.class",
];
/// Keys of one mechanism of a listener.
const OF_MECHANISM: [&str; 5] = [
    JAAS,
    "connections.max.reauth.ms",
    "sasl.login.callback.handler.class",
    "sasl.login.class",
    "sasl.server.callback.handler.class",
];
/// Who may log in, in Kafka's way of saying it.
pub(super) const JAAS: &str = "sasl.jaas.config";

/// What a key that begins with `listener.name.` is about.
#[derive(Clone, Debug)]
pub(super) struct ListenerKey {
    /// The name of the listener, in lower case.
    pub(super) listener: String,
    /// The mechanism, if it is about one.
    pub(super) mechanism: Option<SaslMechanism>,
    /// The key that it sets.
    pub(super) row: &'static BrokerKey,
}

/// A value of a key of one listener.
#[derive(Clone, Debug)]
pub(super) struct ListenerValue {
    /// What it is about.
    pub(super) key: ListenerKey,
    /// The value.
    pub(super) value: Value,
    /// Where it was said.
    pub(super) origin: Origin,
}

/// All values of keys of listeners, by the whole name.
pub(super) type ListenerValues = BTreeMap<String, ListenerValue>;

/// The settings as one listener has them.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListenerSettings<'a> {
    /// The listener's name, in upper case.
    pub(super) name: &'a str,
    /// What was said for one listener.
    pub(super) own: &'a ListenerValues,
    /// What was said for all.
    pub(super) settings: &'a Settings,
    /// The same, parsed.
    pub(super) values: &'a BrokerValues,
    /// Who is answerable for what nobody said: whoever asked for the listener.
    pub(super) listening: &'a Origin,
}

/// What a key comes to for a listener.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// The key, as it was said.
    pub(super) key: String,
    /// The value; `None` if there is no default either.
    pub(super) value: Option<Value>,
    /// Where it was said; `None` if nowhere.
    pub(super) origin: Option<Origin>,
}

impl ListenerKey {
    /// What a key is about, if there is such a key of a listener.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (listener, key) = name.strip_prefix(PREFIX)?.split_once('.')?;
        let is_name = !listener.is_empty() && listener == listener.to_lowercase();
        let listener = is_name.then(|| listener.to_owned())?;
        if is_of_listener(key) {
            return Some(Self { listener, mechanism: None, row: broker_key(key)? });
        }
        let (mechanism, key) = key.split_once('.')?;
        let mechanism = SaslMechanism::ALL.into_iter().find(|known| known.name().to_lowercase() == mechanism)?;
        let is_known = OF_MECHANISM.contains(&key);
        is_known.then_some(Self { listener, mechanism: Some(mechanism), row: broker_key(key)? })
    }

    /// Whether it is about who may log in, and not about how a broker logs in to another, which is all that a line of
    /// SCRAM can be about.
    pub(super) fn makes_users(&self) -> bool {
        self.mechanism == Some(SaslMechanism::Plain) && self.row.key.name == JAAS
    }
}

fn is_of_listener(key: &str) -> bool {
    key.starts_with("ssl.") || key.starts_with("sasl.") || OTHERS.contains(&key)
}

/// All keys of a listener, without its name.
pub(super) fn all() -> impl Iterator<Item = String> {
    let of_listener = BROKER_KEYS.iter().map(|row| row.key.name).filter(|name| is_of_listener(name));
    let mechanisms = SaslMechanism::ALL.iter().map(|mechanism| mechanism.name().to_lowercase());
    let of_mechanism = mechanisms.flat_map(|name| OF_MECHANISM.iter().map(move |key| format!("{name}.{key}")));
    of_listener.map(str::to_owned).chain(of_mechanism)
}

/// Parses what was said for one listener.
pub(super) fn parse_all(settings: &Settings) -> Result<ListenerValues, ConfigError> {
    let parse = |(name, (key, setting)): (&String, &(ListenerKey, Setting))| {
        let value = key.row.key.parse(&setting.text).map_err(|source| ConfigError::Invalid {
            origin: setting.origin.clone(),
            source: InvalidValue { key: name.clone(), ..source },
            allowed: key.row.key.allowed(),
        })?;
        Ok((name.clone(), ListenerValue { key: key.clone(), value, origin: setting.origin.clone() }))
    };
    settings.of_listeners.iter().map(parse).collect()
}

impl ListenerSettings<'_> {
    /// What a key comes to.
    pub(super) fn get(&self, key: &str) -> Said {
        if let Some(said) = self.of_listener(key) {
            return said;
        }
        let origin = self.settings.get(key).map(|setting| setting.origin.clone());
        Said { key: key.to_owned(), value: self.values.get(key), origin }
    }

    /// What was said of a key for this listener alone.
    pub(super) fn of_listener(&self, key: &str) -> Option<Said> {
        let name = format!("{PREFIX}{}.{key}", self.name.to_lowercase());
        let ListenerValue { value, origin, .. } = self.own.get(&name)?;
        Some(Said { key: name, value: Some(value.clone()), origin: Some(origin.clone()) })
    }

    /// What was said of its mechanisms.
    pub(super) fn of_mechanisms(&self) -> impl Iterator<Item = (&String, SaslMechanism, &ListenerValue)> {
        let name = self.name.to_lowercase();
        self.own.iter().filter_map(move |(key, value)| {
            let mechanism = value.key.mechanism.filter(|_| value.key.listener == name)?;
            Some((key, mechanism, value))
        })
    }

    /// Who is answerable for what a key came to.
    pub(super) fn origin(&self, said: &Said) -> Origin {
        said.origin.clone().unwrap_or_else(|| self.listening.clone())
    }
}

impl Said {
    /// Whether somebody said it.
    pub(super) fn is_set(&self) -> bool {
        self.origin.is_some()
    }

    /// The text of a STRING.
    pub(super) fn text(&self) -> &str {
        self.value.as_ref().and_then(Value::as_str).unwrap_or_default()
    }

    /// The elements of a LIST.
    pub(super) fn list(&self) -> &[String] {
        self.value.as_ref().map(Value::as_list).unwrap_or_default()
    }

    /// A number.
    pub(super) fn number(&self) -> i64 {
        self.value.as_ref().and_then(Value::as_long).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_listeners_are_those_of_kafka() {
        let cases = [
            ("listener.name.ssl.ssl.keystore.location", Some(("ssl", None, "ssl.keystore.location"))),
            ("listener.name.sasl_ssl.sasl.enabled.mechanisms", Some(("sasl_ssl", None, "sasl.enabled.mechanisms"))),
            ("listener.name.a.max.connections", Some(("a", None, "max.connections"))),
            ("listener.name.a.plain.sasl.jaas.config", Some(("a", Some(SaslMechanism::Plain), JAAS))),
            (
                "listener.name.a.scram-sha-512.sasl.jaas.config",
                Some(("a", Some(SaslMechanism::ScramSha512), "sasl.jaas.config")),
            ),
            ("listener.name.a.num.partitions", None),
            ("listener.name.a.max.connections.per.ip", None),
            ("listener.name.a.plain.ssl.keystore.location", None),
            ("listener.name.a.gssapi.sasl.jaas.config", None),
            ("listener.name.SSL.ssl.keystore.location", None),
            ("listener.name..ssl.keystore.location", None),
            ("listener.name.a.ssl.nothing", None),
            ("listener.name.a", None),
            ("ssl.keystore.location", None),
        ];
        for (name, expected) in cases {
            let found = ListenerKey::parse(name);
            let found = found.as_ref().map(|key| (key.listener.as_str(), key.mechanism, key.row.key.name));
            assert_eq!(found, expected, "{name}");
        }
    }
}
