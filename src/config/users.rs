//! The users that a start brings: of `--users-file`, of `OTTLA_USERS`, and of Kafka's `sasl.jaas.config` lines.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
};

use zeroize::Zeroizing;

use super::{
    ConfigError,
    jaas::{self, JaasError},
    key::{Secret, Value, one_line},
    listener::Listener,
    listener_keys::ListenerValues,
    security::SaslMechanism,
    sources::Origin,
};

/// The flag that names a file with users.
const FLAG: &str = "--users-file";
/// The variable with users.
pub(super) const VARIABLE: &str = "OTTLA_USERS";
/// The bits of a mode that let others than the owner do something.
const OTHERS: u32 = 0o077;

/// A user to make at the start, if there is none of that name yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstUser {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Secret,
    /// Where it was said.
    pub origin: Origin,
}

/// What is wrong with users. None repeats a password, or a line that could be one.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// The file cannot be read.
    #[error("{}: {source}", one_line(.path))]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Others could read the passwords.
    #[error("others than its owner can read it or write to it: chmod 600 {}", one_line(.0))]
    Mode(String),
    /// A line or an entry that is no user.
    #[error("name:password is expected")]
    Entry,
    /// An option without a name or a password.
    #[error("{0}: user_NAME=\"password\" is expected")]
    Option(String),
    /// Passwords that contradict each other.
    #[error("user {} has another password in {other}", one_line(.name))]
    Contradiction {
        /// The user.
        name: String,
        /// Where the other is.
        other: Origin,
    },
    /// Not a line of JAAS.
    #[error("{key}: {source}")]
    Jaas {
        /// The key.
        key: String,
        /// What is wrong.
        source: JaasError,
    },
}

/// The first users of all sources, each once.
pub(super) fn first_users(
    file: Option<&str>,
    variable: Option<&Secret>,
    listeners: &[Listener],
    of_listeners: &ListenerValues,
) -> Result<Vec<FirstUser>, ConfigError> {
    let mut users = Vec::new();
    for user in of_file(file)?.into_iter().chain(of_variable(variable)?).chain(of_jaas(listeners, of_listeners)?) {
        add(&mut users, user)?;
    }
    Ok(users)
}

fn add(users: &mut Vec<FirstUser>, user: FirstUser) -> Result<(), ConfigError> {
    match users.iter().find(|known| known.name == user.name) {
        None => users.push(user),
        Some(known) if known.password == user.password => {}
        Some(known) => {
            let contradiction = UsersError::Contradiction { name: user.name, other: known.origin.clone() };
            return Err(ConfigError::Users { origin: user.origin, source: contradiction });
        }
    }
    Ok(())
}

/// Those of the lines of a file, without comments.
fn of_file(path: Option<&str>) -> Result<Vec<FirstUser>, ConfigError> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let text = read_private(path).map_err(|source| ConfigError::Users { origin: Origin::Flag(FLAG), source })?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|(line, text)| user(text, Origin::File { path: path.to_owned(), line })).collect()
}

/// The text of a file that nobody but its owner can open.
fn read_private(path: &str) -> Result<Zeroizing<String>, UsersError> {
    let unreadable = |source| UsersError::Unreadable { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.mode() & OTHERS != 0 {
        return Err(UsersError::Mode(path.to_owned()));
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

/// Those of a variable: lines, or entries with commas between them.
fn of_variable(text: Option<&Secret>) -> Result<Vec<FirstUser>, ConfigError> {
    let text = text.map(Secret::expose).unwrap_or_default();
    let entries = text.split(['\n', ',']).map(|entry| entry.strip_suffix('\r').unwrap_or(entry));
    let entries = entries.filter(|entry| !entry.trim().is_empty() && !entry.starts_with('#'));
    entries.map(|entry| user(entry, Origin::Environment(VARIABLE.to_owned()))).collect()
}

fn user(text: &str, origin: Origin) -> Result<FirstUser, ConfigError> {
    match text.split_once(':') {
        Some((name, password)) if !name.trim().is_empty() && !password.is_empty() => {
            Ok(FirstUser { name: name.trim().to_owned(), password: Secret::new(password), origin })
        }
        _ => Err(ConfigError::Users { origin, source: UsersError::Entry }),
    }
}

/// Those of `listener.name.NAME.MECHANISM.sasl.jaas.config`, where that listener has that mechanism.
fn of_jaas(listeners: &[Listener], of_listeners: &ListenerValues) -> Result<Vec<FirstUser>, ConfigError> {
    let mut users = Vec::new();
    for (key, said) in of_listeners.iter().filter(|(_, said)| said.key.makes_users()) {
        let Value::Password(text) = &said.value else { continue };
        if let Some(mechanism) = said.key.mechanism.filter(|mechanism| has(listeners, &said.key.listener, *mechanism)) {
            users.extend(of_line(key, text, mechanism, &said.origin)?);
        }
    }
    Ok(users)
}

fn has(listeners: &[Listener], name: &str, mechanism: SaslMechanism) -> bool {
    let mut sasl = listeners.iter().filter(|listener| listener.endpoint.name.to_lowercase() == name);
    sasl.any(|listener| listener.security.sasl.as_ref().is_some_and(|sasl| sasl.mechanisms.contains(&mechanism)))
}

fn of_line(key: &str, text: &Secret, mechanism: SaslMechanism, origin: &Origin) -> Result<Vec<FirstUser>, ConfigError> {
    let refuse = |source| ConfigError::Users { origin: origin.clone(), source };
    let read = jaas::users(text.expose(), login_module(mechanism))
        .map_err(|source| refuse(UsersError::Jaas { key: key.to_owned(), source }))?;
    let user = |(name, password): (String, Secret)| {
        let is_whole = !name.is_empty() && !password.expose().is_empty();
        let user = FirstUser { name, password, origin: origin.clone() };
        if is_whole { Ok(user) } else { Err(refuse(UsersError::Option(key.to_owned()))) }
    };
    read.into_iter().map(user).collect()
}

/// Kafka's class for a mechanism.
fn login_module(mechanism: SaslMechanism) -> &'static str {
    match mechanism {
        SaslMechanism::Plain => "org.apache.kafka.common.security.plain.PlainLoginModule",
        SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512 => {
            "org.apache.kafka.common.security.scram.ScramLoginModule"
        }
    }
}
