//! The users that a start brings: of `--users-file`, of `OTTLA_USERS`, and of Kafka's `sasl.jaas.config` lines.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
};

use zeroize::Zeroizing;

use super::{
    ConfigError, Warning,
    jaas::{self, JaasError},
    key::{Secret, Value, one_line},
    listener::Listener,
    listener_keys::ListenerValues,
    listeners::of_key,
    security::SaslMechanism,
    sources::Origin,
};

/// The flag that names a file with users.
const FLAG: &str = "--users-file";
/// The variable with users.
pub(super) const VARIABLE: &str = "OTTLA_USERS";
/// Kafka's class for PLAIN.
const PLAIN_MODULE: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";
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
    warnings: &mut Vec<Warning>,
) -> Result<Vec<FirstUser>, ConfigError> {
    let of_jaas = of_jaas(listeners, of_listeners, warnings)?;
    let mut users = Vec::new();
    let mut places = HashMap::new();
    for user in of_file(file)?.into_iter().chain(of_variable(variable)?).chain(of_jaas) {
        match places.entry(user.name.clone()) {
            Entry::Vacant(place) => {
                place.insert(users.len());
                users.push(user);
            }
            Entry::Occupied(place) => check_same(&users[*place.get()], user)?,
        }
    }
    Ok(users)
}

fn check_same(known: &FirstUser, user: FirstUser) -> Result<(), ConfigError> {
    if known.password == user.password {
        return Ok(());
    }
    let contradiction = UsersError::Contradiction { name: user.name, other: known.origin.clone() };
    Err(ConfigError::Users { origin: user.origin, source: contradiction })
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

/// Those of the lines of a variable. A comma may be part of a password.
fn of_variable(text: Option<&Secret>) -> Result<Vec<FirstUser>, ConfigError> {
    let text = text.map(Secret::expose).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|line| user(line, Origin::Environment(VARIABLE.to_owned()))).collect()
}

fn user(text: &str, origin: Origin) -> Result<FirstUser, ConfigError> {
    match text.split_once(':') {
        Some((name, password)) if !name.trim().is_empty() && !password.is_empty() => {
            Ok(FirstUser { name: name.trim().to_owned(), password: Secret::new(password), origin })
        }
        _ => Err(ConfigError::Users { origin, source: UsersError::Entry }),
    }
}

/// Those of `listener.name.NAME.plain.sasl.jaas.config`, where that listener has PLAIN.
fn of_jaas(
    listeners: &[Listener],
    of_listeners: &ListenerValues,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<FirstUser>, ConfigError> {
    let mut lines: Vec<(&String, Vec<FirstUser>)> = Vec::new();
    for (key, said) in of_listeners.iter().filter(|(_, said)| said.key.makes_users()) {
        let (Value::Password(text), Some(listener)) = (&said.value, of_key(listeners, &said.key)) else { continue };
        if has_plain(listener) {
            lines.push((key, of_line(key, text, &said.origin)?));
        } else if jaas::mentions_users(text.expose()) {
            let reason = format!("PLAIN is not among the mechanisms of listener {}", listener.endpoint.name);
            warnings.push(Warning::UsersNotMade { origin: said.origin.clone(), key: key.clone(), reason });
        }
    }
    warnings.extend(of_all_listeners(&lines));
    Ok(lines.into_iter().flat_map(|(_, users)| users).collect())
}

fn has_plain(listener: &Listener) -> bool {
    listener.security.sasl.as_ref().is_some_and(|sasl| sasl.mechanisms.contains(&SaslMechanism::Plain))
}

/// A warning of listeners that have users of their own in Kafka.
fn of_all_listeners(lines: &[(&String, Vec<FirstUser>)]) -> Option<Warning> {
    let names = |users: &[FirstUser]| users.iter().map(|user| user.name.clone()).collect::<BTreeSet<_>>();
    let (key, users) = lines.first()?;
    let (other, _) = lines.iter().find(|(_, others)| names(others) != names(users))?;
    Some(Warning::UsersOfAllListeners { key: (*key).clone(), other: (*other).clone() })
}

fn of_line(key: &str, text: &Secret, origin: &Origin) -> Result<Vec<FirstUser>, ConfigError> {
    let refuse = |source| ConfigError::Users { origin: origin.clone(), source };
    let read = jaas::users(text.expose(), PLAIN_MODULE)
        .map_err(|source| refuse(UsersError::Jaas { key: key.to_owned(), source }))?;
    let user = |(name, password): (String, Secret)| {
        let is_whole = !name.is_empty() && !password.expose().is_empty();
        let user = FirstUser { name, password, origin: origin.clone() };
        if is_whole { Ok(user) } else { Err(refuse(UsersError::Option(key.to_owned()))) }
    };
    read.into_iter().map(user).collect()
}

/// A warning of a line of JAAS that names users where Kafka reads none, nor do we.
pub(super) fn not_made(key: &str, of: Option<SaslMechanism>, text: &str, origin: &Origin) -> Option<Warning> {
    let reason = match of {
        Some(SaslMechanism::Plain) => return None,
        Some(SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512) => {
            "a line of SCRAM makes none, --users-file FILE and OTTLA_USERS do"
        }
        None => "write it as listener.name.NAME.plain.sasl.jaas.config",
    };
    let warning = || Warning::UsersNotMade { origin: origin.clone(), key: key.to_owned(), reason: reason.to_owned() };
    jaas::mentions_users(text).then(warning)
}
