//! Who may do what, as Kafka's keys say it: `authorizer.class.name`, and what its `StandardAuthorizer` reads.

use super::{
    ConfigError, Warning,
    broker::BrokerValues,
    key::{Value, one_line},
    sources::Settings,
};

/// The authorizer of Kafka that goes by access control lists.
const STANDARD: &str = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
const CLASS: &str = "authorizer.class.name";
const ALLOW_EVERYONE: &str = "allow.everyone.if.no.acl.found";
const SUPER_USERS: &str = "super.users";
/// The type of all principals.
const USER: &str = "User";
/// The name of those who have not said who they are.
const ANONYMOUS: &str = "ANONYMOUS";
/// Why what the authorizer reads has no effect.
const NO_AUTHORIZER: &str = "authorizer.class.name is not set, so whoever got in may do everything";

/// Who may do what, as long as there are no access control lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorizerConfig {
    /// Who may do everything.
    pub allowed: Allowed,
    /// Whether access control lists would say more, if there were any: the authorizer is Kafka's.
    pub is_by_lists: bool,
    /// The names of `super.users`.
    pub super_users: Vec<String>,
}

/// Who may do everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Allowed {
    /// Whoever got in.
    #[default]
    Everybody,
    /// Super users, and nobody else anything.
    SuperUsers,
}

/// What is wrong with who may do what.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizerError {
    /// A class that is not here.
    #[error("authorizer.class.name={}: no such authorizer; allowed are none at all and {STANDARD}", one_line(.0))]
    Class(String),
    /// An entry of `super.users` that is none.
    #[error("super.users: {} is not User:NAME, as in super.users=User:alice;User:bob", one_line(.0))]
    SuperUser(String),
}

impl AuthorizerConfig {
    /// Whether those who have not said who they are may do everything.
    pub(super) fn lets_anonymous(&self) -> bool {
        self.allowed == Allowed::Everybody || self.super_users.iter().any(|name| name == ANONYMOUS)
    }
}

/// What the settings come to.
pub(super) fn authorizer(
    settings: &Settings,
    values: &BrokerValues,
    warnings: &mut Vec<Warning>,
) -> Result<AuthorizerConfig, ConfigError> {
    let refuse = |key, source| ConfigError::Authorizer { origin: settings.origin(key), source };
    let text = |key| values.get(key).map(|value| value.to_string()).unwrap_or_default();
    let super_users = super_users(&text(SUPER_USERS)).map_err(|source| refuse(SUPER_USERS, source))?;
    let everybody = values.get(ALLOW_EVERYONE) == Some(Value::Boolean(true));
    let class = text(CLASS);
    let allowed = match class.as_str() {
        "" => {
            warnings.extend([ALLOW_EVERYONE, SUPER_USERS].iter().filter_map(|key| without_effect(settings, key)));
            Allowed::Everybody
        }
        STANDARD if everybody => Allowed::Everybody,
        STANDARD => Allowed::SuperUsers,
        _ => return Err(refuse(CLASS, AuthorizerError::Class(class))),
    };
    Ok(AuthorizerConfig { allowed, is_by_lists: !class.is_empty(), super_users })
}

/// The names of `User:NAME`, with semicolons between them.
fn super_users(text: &str) -> Result<Vec<String>, AuthorizerError> {
    let entries = text.split(';').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| match entry.split_once(':') {
            Some((USER, name)) if !name.is_empty() => Ok(name.to_owned()),
            _ => Err(AuthorizerError::SuperUser(entry.to_owned())),
        })
        .collect()
}

fn without_effect(settings: &Settings, key: &'static str) -> Option<Warning> {
    let setting = settings.get(key)?;
    let (origin, value) = (setting.origin.clone(), setting.text.clone());
    Some(Warning::Unhonoured { origin, key: key.to_owned(), value, reason: NO_AUTHORIZER })
}
