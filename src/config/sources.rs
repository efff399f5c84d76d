//! Where settings come from: command line > environment > properties file > the table's defaults.
//!
//! Each setting remembers its origin, so that an error can name it. A key that nobody knows stops the start when it
//! was typed (`--override`) or is about who gets in, and is reported when it stands in a file or in the environment,
//! where Kafka's other keys and other programs' variables may be.

use std::{collections::BTreeMap, fmt, path::Path};

use super::{
    ConfigError,
    broker::{BrokerKey, broker_key},
    key::Secret,
    listener_keys::ListenerKey,
    properties,
    unknown::meant,
    users,
};

#[cfg(test)]
mod tests;

/// What the command line says. Texts are as they were typed: they are checked with the rest.
#[derive(Clone, Debug, Default)]
pub struct CommandLine {
    /// `--listen`, in order.
    pub listen: Vec<String>,
    /// `--advertise`, in order.
    pub advertise: Vec<String>,
    /// `--tls`.
    pub tls: Option<String>,
    /// `--client-ca`.
    pub client_ca: Option<String>,
    /// `--users-file`.
    pub users_file: Option<String>,
    /// `--data-dir`.
    pub data_dir: Option<String>,
    /// `--node-id`.
    pub node_id: Option<String>,
    /// `--cluster-id`.
    pub cluster_id: Option<String>,
    /// `--config`.
    pub config: Option<String>,
    /// `--override`, in order, as `key=value`.
    pub overrides: Vec<String>,
}

/// Where a setting was made. Later variants go before earlier ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: the table has it.
    Default,
    /// In a properties file.
    File {
        /// The file, as it was named.
        path: String,
        /// The line, from 1.
        line: usize,
    },
    /// In an environment variable.
    Environment(String),
    /// With `--override`.
    Override,
    /// With a flag of its own.
    Flag(&'static str),
}

/// A text for a key, and where it was said.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// The text. It may be a secret.
    pub(super) text: String,
    /// Where it was said.
    pub(super) origin: Origin,
}

/// The settings of all sources, the strongest for each key.
#[derive(Debug, Default)]
pub(super) struct Settings {
    by_key: BTreeMap<&'static str, Setting>,
    /// Those of one listener, by the whole name.
    pub(super) of_listeners: BTreeMap<String, (ListenerKey, Setting)>,
    /// Those of the file and of the environment that nobody knows.
    pub(super) unknown: Vec<(String, Setting)>,
    /// `--cluster-id` or `CLUSTER_ID`: Kafka has it in meta.properties, not among its settings.
    pub(super) cluster_id: Option<Setting>,
    /// `OTTLA_USERS`.
    pub(super) users: Option<Secret>,
    /// Whether there are users by it or by `--users-file`.
    pub(super) has_users: bool,
}

/// Names the file with the broker's certificate and key.
const TLS_FLAG: &str = "--tls";
/// Names the file with the certificates of those who vouch for clients.
const CLIENT_CA_FLAG: &str = "--client-ca";

/// Variables that other programs take for themselves: Kafka's start scripts and images, and our log levels.
const FOREIGN_VARIABLES: [&str; 9] = [
    "KAFKA_DEBUG",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_HEAP_OPTS",
    "KAFKA_HOME",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_OPTS",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_VERSION",
    "OTTLA_LOG",
];
/// How further such variables begin.
const FOREIGN_PREFIXES: [&str; 2] = ["KAFKA_JMX_", "KAFKA_LOG4J_"];
/// What variables have in them by which Kubernetes tells of a service, such as one that is called kafka-ssl.
const OF_SERVICES: [&str; 3] = ["_PORT_", "_SERVICE_HOST", "_SERVICE_PORT"];
/// How the variables of our own keys begin, and the keys.
const OURS: (&str, &str) = ("OTTLA_", "ottla.");

/// Collects the settings, the weakest source first.
pub(super) fn gather(
    command_line: &CommandLine,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    if let Some(path) = &command_line.config {
        settings.add_file(path)?;
    }
    settings.add_environment(environment);
    settings.add_overrides(&command_line.overrides)?;
    settings.add_flags(command_line);
    settings.has_users = command_line.users_file.is_some() || settings.users.is_some();
    Ok(settings)
}

impl Settings {
    /// The setting of a key, if there is one.
    pub(super) fn get(&self, name: &str) -> Option<&Setting> {
        self.by_key.get(name)
    }

    /// Where a key was said.
    pub(super) fn origin(&self, name: &str) -> Origin {
        self.get(name).map_or(Origin::Default, |setting| setting.origin.clone())
    }

    /// The setting of a key or of its other name, whichever was said with more weight; the key's own in a draw.
    pub(super) fn either(&self, name: &'static str, other: &'static str) -> Option<&Setting> {
        match (self.get(name), self.get(other)) {
            (Some(one), Some(two)) if two.origin.weight() > one.origin.weight() => Some(two),
            (one, two) => one.or(two),
        }
    }

    /// All of them, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &Setting)> {
        self.by_key.iter().map(|(name, setting)| (*name, setting))
    }

    fn add_file(&mut self, path: &str) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(Path::new(path))
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let properties = properties::parse(&text).map_err(|source| ConfigError::Malformed {
            path: path.to_owned(),
            line: source.line,
            source,
        })?;
        for property in properties {
            let origin = Origin::File { path: path.to_owned(), line: property.line };
            let setting = Setting { text: property.value, origin };
            if let Err(setting) = self.set(&property.key, setting) {
                self.unknown.push((property.key, setting));
            }
        }
        Ok(())
    }

    fn add_environment(&mut self, environment: impl Iterator<Item = (String, String)>) {
        // Sorted, because an environment has no order, and a warning should not change from start to start.
        for (variable, text) in environment.collect::<BTreeMap<_, _>>() {
            let origin = Origin::Environment(variable.clone());
            if variable == "CLUSTER_ID" {
                // Compose files often pass it on empty.
                self.cluster_id = (!text.is_empty()).then_some(Setting { text, origin });
            } else if variable == users::VARIABLE {
                self.users = (!text.trim().is_empty()).then(|| Secret::new(&text));
            } else if let Some(name) = key_of_variable(&variable)
                && let Err(setting) = self.set(&name, Setting { text, origin })
            {
                self.unknown.push((name, setting));
            }
        }
    }

    fn add_overrides(&mut self, overrides: &[String]) -> Result<(), ConfigError> {
        for text in overrides {
            let (name, value) =
                text.split_once('=').ok_or_else(|| ConfigError::OverrideSyntax { text: text.clone() })?;
            let name = name.trim();
            if row_meant(name).is_some_and(|row| row.key.is_sensitive()) {
                return Err(ConfigError::SecretOverride(name.to_owned()));
            }
            let setting = Setting { text: value.to_owned(), origin: Origin::Override };
            self.set(name, setting)
                .map_err(|_| ConfigError::UnknownOverride { key: name.to_owned(), meant: meant(name) })?;
        }
        Ok(())
    }

    fn add_flags(&mut self, command_line: &CommandLine) {
        let CommandLine { node_id, data_dir, tls, client_ca, .. } = command_line;
        let is_pem = |text: &Option<String>| text.is_some().then(|| "PEM".to_owned());
        let flags = [
            ("node.id", "--node-id", node_id.clone()),
            ("log.dirs", "--data-dir", data_dir.clone()),
            ("ssl.keystore.location", TLS_FLAG, tls.clone()),
            ("ssl.keystore.type", TLS_FLAG, is_pem(tls)),
            ("ssl.truststore.location", CLIENT_CA_FLAG, client_ca.clone()),
            ("ssl.truststore.type", CLIENT_CA_FLAG, is_pem(client_ca)),
            ("ssl.client.auth", CLIENT_CA_FLAG, client_ca.as_ref().map(|_| "required".to_owned())),
        ];
        for (name, flag, text) in flags {
            if let Some(text) = text {
                self.by_key.insert(name, Setting { text, origin: Origin::Flag(flag) });
            }
        }
        if let Some(text) = command_line.cluster_id.clone() {
            self.cluster_id = Some(Setting { text, origin: Origin::Flag("--cluster-id") });
        }
    }

    /// Takes a setting of the broker or of a listener; gives back any other.
    fn set(&mut self, name: &str, setting: Setting) -> Result<(), Setting> {
        if let Some(row) = broker_key(name) {
            self.by_key.insert(row.key.name, setting);
        } else if let Some(key) = ListenerKey::parse(name) {
            self.of_listeners.insert(name.to_owned(), (key, setting));
        } else {
            return Err(setting);
        }
        Ok(())
    }
}

/// The row that a name of a setting stands for.
fn row_meant(name: &str) -> Option<&'static BrokerKey> {
    broker_key(name).or_else(|| Some(ListenerKey::parse(name)?.row))
}

/// Whether the value of a key of the broker must not be shown: it is secret, or may be, for nobody knows the key.
#[must_use]
pub fn may_be_secret(name: &str) -> bool {
    row_meant(name).is_none_or(|row| row.key.is_sensitive())
}

impl Origin {
    /// Which of two settings counts: the one of more weight.
    fn weight(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Environment(_) => 2,
            Self::Override => 3,
            Self::Flag(_) => 4,
        }
    }
}

/// Whether it tells of a service. No key is spelled so.
fn is_of_service(variable: &str) -> bool {
    variable.ends_with("_PORT") || OF_SERVICES.iter().any(|part| variable.contains(part))
}

/// The key that a variable sets, as Kafka's image spells it: `_` for `.`, `__` for `_`, `___` for `-`. One of ours goes
/// without `KAFKA_`.
fn key_of_variable(variable: &str) -> Option<String> {
    let is_foreign =
        FOREIGN_VARIABLES.contains(&variable) || FOREIGN_PREFIXES.iter().any(|prefix| variable.starts_with(prefix));
    if is_foreign || is_of_service(variable) {
        return None;
    }
    let spelled = |name: &str| name.to_lowercase().replace('_', ".").replace("...", "-").replace("..", "_");
    match variable.strip_prefix(OURS.0) {
        Some(name) => Some(format!("{}{}", OURS.1, spelled(name))),
        None => variable.strip_prefix("KAFKA_").map(spelled),
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setting").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// As it stands at the beginning of an error.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Environment(variable) => f.write_str(variable),
            Self::Override => f.write_str("--override"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}
