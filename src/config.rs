//! Settings: one table of keys for the broker and one for topics, where their values come from, and what they come to.
//!
//! [`load`] is pure apart from reading the properties file: the environment is an argument. Names, types, defaults and
//! words are Kafka's, so that its configuration files and habits carry over. Nothing here knows the log, the network or
//! the protocol: whoever assembles the broker hands on what they need.

use std::{io, path::PathBuf};

use self::{
    authorizer::AuthorizerError,
    broker::{BrokerConfig, BrokerKey, BrokerValues, OFFSETS_CODEC, broker_key},
    consistency::Inconsistent,
    key::{InvalidValue, Value, one_line},
    listener::ListenerError,
    listener_keys::{JAAS, ListenerValues},
    properties::MalformedEscape,
    security::{SaslMechanism, SecurityError},
    sources::{CommandLine, Origin, Setting, Settings},
    topic::TopicCompression,
    users::UsersError,
};

pub mod authorizer;
pub mod broker;
pub mod client_metrics;
pub mod clients;
pub mod consistency;
pub mod dynamic;
pub mod group;
mod jaas;
pub mod key;
pub mod listener;
mod listener_keys;
mod listeners;
pub mod principal_rules;
pub mod properties;
pub mod security;
pub mod sources;
pub mod topic;
pub mod topic_name;
mod unknown;
pub mod users;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

/// Why the broker does not start. One line, which names where the setting was made and what is allowed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("--config {path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The file is not in the properties format.
    #[error("{path}:{line}: {source}")]
    Malformed {
        /// The file.
        path: String,
        /// The line.
        line: usize,
        /// What is wrong there.
        source: MalformedEscape,
    },
    /// An override without a value.
    #[error("--override {}: key=value is expected, as in num.partitions=4", one_line(.text))]
    OverrideSyntax {
        /// What was typed.
        text: String,
    },
    /// An override of a key that nobody knows.
    #[error("--override {}: unknown configuration; {}", one_line(.key), one_line(.meant))]
    UnknownOverride {
        /// What was typed.
        key: String,
        /// What to write instead.
        meant: String,
    },
    /// A key about who gets in that nobody knows.
    #[error("{origin}: {}: unknown configuration; {}", one_line(.key), one_line(.meant))]
    UnknownKey {
        /// Where it was said.
        origin: Origin,
        /// The key.
        key: String,
        /// What to write instead.
        meant: String,
    },
    /// A key of a listener that is not there.
    #[error("{origin}: {}: no listener {} is opened, only {opened}", one_line(.key), one_line(.listener))]
    NoSuchListener {
        /// Where it was said.
        origin: Origin,
        /// The key.
        key: String,
        /// The listener that it names.
        listener: String,
        /// The names of those that are there.
        opened: String,
    },
    /// A value that its key does not allow.
    #[error("{origin}: {source} (allowed: {allowed})")]
    Invalid {
        /// Where it was said.
        origin: Origin,
        /// The key and the value.
        source: InvalidValue,
        /// What the key allows.
        allowed: String,
    },
    /// A value that would let somebody in, keep somebody out or encrypt, if there were what it is about.
    #[error("{origin}: {key}={} is refused: {reason}", one_line(.value))]
    Refused {
        /// Where it was said.
        origin: Origin,
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// Why.
        reason: &'static str,
    },
    /// A secret where everybody sees it.
    #[error("--override {0}: whoever lists processes sees it; set it in the file of --config or in the environment")]
    SecretOverride(String),
    /// Listeners that cannot be.
    #[error("{origin}: {source}")]
    Listener {
        /// Where it was said.
        origin: Origin,
        /// What is wrong with them.
        source: ListenerError,
    },
    /// A listener that cannot let clients in.
    #[error("{origin}: {source}")]
    Security {
        /// Where it was said.
        origin: Origin,
        /// What is wrong.
        source: SecurityError,
    },
    /// Users that cannot be.
    #[error("{origin}: {source}")]
    Users {
        /// Where it was said.
        origin: Origin,
        /// What is wrong.
        source: UsersError,
    },
    /// An authorizer that cannot be.
    #[error("{origin}: {source}")]
    Authorizer {
        /// Where it was said.
        origin: Origin,
        /// What is wrong.
        source: AuthorizerError,
    },
    /// Values that do not go together.
    #[error("{origin}: {}", .source.at_start())]
    Inconsistent {
        /// Where one of them was said.
        origin: Origin,
        /// Which.
        source: Inconsistent,
    },
    /// Two ids for one broker.
    #[error("{origin}: `node.id` and `broker.id` must be set to the same value, they are {node_id} and {broker_id}")]
    NodeId {
        /// Where `broker.id` was said.
        origin: Origin,
        /// `node.id`.
        node_id: String,
        /// `broker.id`.
        broker_id: String,
    },
    /// No data directory, or several.
    #[error("{origin}: log.dirs={value} names {count} directories: one data directory is allowed")]
    LogDirs {
        /// Where it was said.
        origin: Origin,
        /// What was said.
        value: String,
        /// How many directories that is.
        count: usize,
    },
    /// An empty cluster id.
    #[error("{origin}: the cluster id must not be empty: 22 characters of base64 are usual, any text is allowed")]
    ClusterId {
        /// Where it was said.
        origin: Origin,
    },
}

/// What a start should mention.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// Keys that nobody knows, and where they were set.
    #[error("ignored, because no such configuration is known: {}", list_unknown(.0))]
    UnknownKeys(Vec<(String, Origin)>),
    /// A value that is kept, but not honoured.
    #[error("{origin}: {key}={} has no effect: {reason}", one_line(.value))]
    Unhonoured {
        /// Where it was said.
        origin: Origin,
        /// The key.
        key: String,
        /// What was said.
        value: String,
        /// Why it is not honoured.
        reason: &'static str,
    },
    /// Certificates asked for where users are asked for.
    #[error(
        "{origin}: ssl.client.auth={value} does not hold for listener {listener}, whose clients authenticate themselves by \
         SASL: listener.name.{}.ssl.client.auth does", .listener.to_lowercase()
    )]
    ClientAuthForAll {
        /// Where it was said.
        origin: Origin,
        /// What was said.
        value: String,
        /// The listener.
        listener: String,
    },
    /// Users of a line of JAAS that makes none.
    #[error("{origin}: {}: its users are not made: {reason}", one_line(.key))]
    UsersNotMade {
        /// Where it was said.
        origin: Origin,
        /// The key.
        key: String,
        /// Why not.
        reason: String,
    },
    /// Users of one listener, which Kafka lets in only there.
    #[error("the users of {} and of {} differ: here users are of all listeners", one_line(.key), one_line(.other))]
    UsersOfAllListeners {
        /// The key of one listener.
        key: String,
        /// That of another.
        other: String,
    },
    /// Users, and no listener where they could say who they are.
    #[error(
        "there are first users, and no listener asks for users: --listen SASL_SSL://HOST:PORT or SASL_PLAINTEXT://HOST:PORT \
         does"
    )]
    UsersUnasked,
    /// Certificates to check those of clients by, and no listener that asks for one.
    #[error(
        "there is a trust store, and no listener asks clients for certificates: ssl.client.auth=required does, for a \
         listener with SASL listener.name.NAME.ssl.client.auth=required"
    )]
    TrustUnused,
    /// Listeners that others than this machine reach, and that ask nobody who he is.
    #[error(
        "anybody who reaches {0} may do everything: SASL, or SSL with ssl.client.auth=required, asks who somebody is"
    )]
    Open(String),
}

/// What the command line, the environment and the file come to.
pub fn load(
    command_line: &CommandLine,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<(BrokerConfig, Vec<Warning>), ConfigError> {
    let settings = sources::gather(command_line, environment)?;
    let mut values = parse_all(&settings)?;
    let mut warnings = unknown::check(&settings, &list(&values, "controller.listener.names"))?;
    let of_listeners = listener_keys::parse_all(&settings)?;
    check_together(&settings, &values)?;
    check_offsets_codec(&settings, &values)?;
    warnings.extend(unhonoured(&settings, &values, &of_listeners));
    let id = node_id(&settings)?;
    values.set("node.id", id.clone());
    // Kafka shows the old name too.
    values.set("broker.id", id);
    let data_dir = data_dir(&settings, &mut values)?;
    let authorizer = authorizer::authorizer(&settings, &values, &mut warnings)?;
    let listeners = listeners::listeners(command_line, &settings, &mut values, &of_listeners, &mut warnings)?;
    let users_file = command_line.users_file.as_deref();
    let first_users =
        users::first_users(users_file, settings.users.as_ref(), &listeners, &of_listeners, &mut warnings)?;
    for (name, said) in of_listeners {
        // A controller's listener is not opened.
        if listeners::of_key(&listeners, &said.key).is_some() {
            refuse(said.key.row, &name, &said.value, &said.origin)?;
        }
        values.set_of_listener(name, said.value);
    }
    warnings.extend(listeners::users_unasked(&settings, &listeners));
    if authorizer.lets_anonymous() {
        warnings.extend(listeners::open(&listeners));
    }
    let cluster_id = cluster_id(settings)?;
    let controller = listener::controller(&list(&values, "listeners"), &list(&values, "controller.listener.names"));
    let mut config = BrokerConfig::new(values, cluster_id, data_dir, listeners);
    config.controller = controller;
    config.authorizer = authorizer;
    config.first_users = first_users;
    Ok((config, warnings))
}

/// What was set and promises what is not there. It does not stop a start: Kafka's files should work as they are.
fn unhonoured(settings: &Settings, values: &BrokerValues, of_listeners: &ListenerValues) -> Vec<Warning> {
    let warning = |row: &BrokerKey, name: &str, of: Option<SaslMechanism>, value: &Value, origin: &Origin| {
        if let Value::Password(text) = value
            && row.key.name == JAAS
            && let Some(warning) = users::not_made(name, of, text.expose(), origin)
        {
            return Some(warning);
        }
        let reason = row.key.unhonoured(value)?;
        Some(Warning::Unhonoured { origin: origin.clone(), key: name.to_owned(), value: value.to_string(), reason })
    };
    let of_all = settings
        .iter()
        .filter_map(|(name, setting)| warning(broker_key(name)?, name, None, &values.get(name)?, &setting.origin));
    let of_listeners = of_listeners.iter().filter(|(_, said)| !said.key.makes_users());
    let of_listeners = of_listeners
        .filter_map(|(name, said)| warning(said.key.row, name, said.key.mechanism, &said.value, &said.origin));
    of_all.chain(of_listeners).collect()
}

fn parse_all(settings: &Settings) -> Result<BrokerValues, ConfigError> {
    let mut values = BrokerValues::default();
    for (name, setting) in settings.iter() {
        let value = setting.parse(name)?;
        let row = broker_key(name).expect("only known keys are set");
        refuse(row, name, &value, &setting.origin)?;
        values.set(name, value);
    }
    Ok(values)
}

/// What this broker cannot do stops the start, if it is about who gets in.
fn refuse(row: &BrokerKey, name: &str, value: &Value, origin: &Origin) -> Result<(), ConfigError> {
    let refused = |reason| ConfigError::Refused {
        origin: origin.clone(),
        key: name.to_owned(),
        value: value.to_string(),
        reason,
    };
    row.key.refused(value).map_or(Ok(()), |reason| Err(refused(reason)))
}

/// Later it would be too late to stop the start.
fn check_together(settings: &Settings, values: &BrokerValues) -> Result<(), ConfigError> {
    consistency::check(values).map_err(|source| {
        let [one, other] = source.keys();
        let origin = settings.either(one, other).map_or(Origin::Default, |setting| setting.origin.clone());
        ConfigError::Inconsistent { origin, source }
    })
}

/// Kafka finds out when it starts its coordinator.
fn check_offsets_codec(settings: &Settings, values: &BrokerValues) -> Result<(), ConfigError> {
    let id = values.get(OFFSETS_CODEC).and_then(|value| value.as_long()).expect("the key has a default");
    if TopicCompression::from_codec_id(id).is_some() {
        return Ok(());
    }
    let key = &broker_key(OFFSETS_CODEC).expect("the key is in the table").key;
    Err(ConfigError::Invalid {
        origin: settings.origin(OFFSETS_CODEC),
        source: key.refuse(&id.to_string(), "Unknown compression type id"),
        allowed: "INT [0,...,4]".to_owned(),
    })
}

/// `node.id`, or the older `broker.id`.
fn node_id(settings: &Settings) -> Result<Value, ConfigError> {
    if let (Some(node), Some(broker)) = (settings.get("node.id"), settings.get("broker.id")) {
        let is_same_source = std::mem::discriminant(&node.origin) == std::mem::discriminant(&broker.origin);
        if is_same_source && node.parse("node.id")? != broker.parse("broker.id")? {
            return Err(ConfigError::NodeId {
                origin: broker.origin.clone(),
                node_id: node.text.clone(),
                broker_id: broker.text.clone(),
            });
        }
    }
    match settings.either("node.id", "broker.id") {
        Some(setting) => setting.parse("node.id"),
        None => Ok(BrokerValues::default().get("node.id").expect("the key has a default")),
    }
}

/// `log.dirs`, or `log.dir`.
fn data_dir(settings: &Settings, values: &mut BrokerValues) -> Result<PathBuf, ConfigError> {
    let set = settings.either("log.dirs", "log.dir");
    let value = match set {
        Some(setting) => setting.parse("log.dirs")?,
        None => values.get("log.dirs").expect("the key has a default"),
    };
    let [directory] = value.as_list() else {
        return Err(ConfigError::LogDirs {
            origin: set.map_or(Origin::Default, |setting| setting.origin.clone()),
            value: one_line(&value.to_string()),
            count: value.as_list().len(),
        });
    };
    let directory = PathBuf::from(directory);
    values.set("log.dirs", value);
    Ok(directory)
}

/// Any text, as Kafka takes any.
fn cluster_id(settings: Settings) -> Result<Option<String>, ConfigError> {
    match settings.cluster_id {
        Some(Setting { text, origin }) if text.trim().is_empty() => Err(ConfigError::ClusterId { origin }),
        id => Ok(id.map(|setting| setting.text.trim().to_owned())),
    }
}

fn list(values: &BrokerValues, name: &str) -> Vec<String> {
    values.get(name).map(|value| value.as_list().to_vec()).unwrap_or_default()
}

impl Setting {
    /// The value of this text as that of the key `name`.
    fn parse(&self, name: &str) -> Result<Value, ConfigError> {
        let key = &broker_key(name).expect("only known keys are set").key;
        key.parse(&self.text).map_err(|source| ConfigError::Invalid {
            origin: self.origin.clone(),
            source,
            allowed: key.allowed(),
        })
    }
}

/// Keys by where they were set. An environment variable names itself.
fn list_unknown(keys: &[(String, Origin)]) -> String {
    let describe = |(key, origin): &(String, Origin)| match origin {
        Origin::Environment(variable) => one_line(variable),
        origin => format!("{} ({origin})", one_line(key)),
    };
    keys.iter().map(describe).collect::<Vec<_>>().join(", ")
}
