//! Users: their credentials altered while the broker runs, and those that the settings have a new directory begin with.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc, thread};

use super::{Broker, blocking};
use crate::{
    auth::scram::credential::random_salt,
    clock::wall_clock_ms,
    config::{key::line, users::FirstUser},
    metadata::{
        journal::CommitError,
        users::{self, ScramCredential, ScramMechanism, UserChange, UserChangeError, Users},
    },
    shell::shell_word,
};

/// How often a password of the settings is hashed: twice the least that there may be.
const ITERATIONS: u32 = 8192;
/// How many characters of names a line of the log has.
const NAMES_TOLD_LENGTH: usize = 500;

/// Why the users of the settings were not added.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum FirstUsersError {
    #[error("users cannot be added: {0}")]
    Refused(#[from] UserChangeError),
    #[error("users cannot be added: {0}")]
    Commit(#[from] CommitError),
}

impl Broker {
    /// Changes credentials, all that can be in one commit. No two changes may be of the same credential. One that is
    /// refused leaves the others alone.
    pub async fn alter_users(
        self: &Arc<Self>,
        changes: Vec<UserChange>,
    ) -> Result<Vec<Result<(), UserChangeError>>, CommitError> {
        let broker = Arc::clone(self);
        blocking(move || broker.alter_users_blocking(&changes)).await
    }

    fn alter_users_blocking(&self, changes: &[UserChange]) -> Result<Vec<Result<(), UserChangeError>>, CommitError> {
        let outcomes: Vec<_> = self.journal.change(wall_clock_ms(), |image| {
            let mut records = Vec::with_capacity(changes.len());
            let outcomes = changes.iter().map(|change| users::change(image, change).map(|record| records.push(record)));
            let outcomes = outcomes.collect();
            Ok::<_, CommitError>((records, outcomes))
        })?;
        let done = changes.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok());
        let done: Vec<&UserChange> = done.map(|(change, _)| change).collect();
        if !done.is_empty() {
            let names: Vec<&str> = done.iter().map(|change| change.user.as_str()).collect();
            let names = line(&names.join(", "), NAMES_TOLD_LENGTH);
            tracing::info!(count = done.len(), "credentials of users are altered: {names}");
        }
        if let Some(left) = left_as_they_were(self.image().users(), &done) {
            tracing::warn!("these credentials were not altered, and let in whoever knows the password of then: {left}");
        }
        Ok(outcomes)
    }

    /// Gives each user that has no credential those of its password, all in one commit. No name may be among them twice.
    /// A user that exists is left as it is, for it was altered since, or belongs to somebody else; these are returned.
    pub async fn add_first_users(self: &Arc<Self>, users: Vec<FirstUser>) -> Result<Vec<FirstUser>, FirstUsersError> {
        let broker = Arc::clone(self);
        blocking(move || broker.add_first_users_blocking(users)).await
    }

    /// Looks for names alone: to hash each password at each start would keep clients waiting for seconds.
    fn add_first_users_blocking(&self, users: Vec<FirstUser>) -> Result<Vec<FirstUser>, FirstUsersError> {
        let image = self.image();
        let (known, new): (Vec<_>, Vec<_>) =
            users.into_iter().partition(|user| image.users().credentials(&user.name).is_some());
        if new.is_empty() {
            return Ok(known);
        }
        let changes = all_first_credentials(&new);
        self.journal.change(wall_clock_ms(), |image| {
            let is_new = |change: &&UserChange| image.users().credentials(&change.user).is_none();
            let records = changes.iter().filter(is_new).map(|change| users::change(image, change));
            Ok::<_, FirstUsersError>((records.collect::<Result<_, _>>()?, ()))
        })?;
        let names: Vec<&str> = new.iter().map(|user| user.name.as_str()).collect();
        tracing::info!(count = names.len(), "users are added: {}", line(&names.join(", "), NAMES_TOLD_LENGTH));
        Ok(known)
    }

    /// What is to be said of a user whose password is not that of the settings. Takes time.
    #[must_use]
    pub fn another_password(&self, user: &FirstUser) -> Option<String> {
        let image = self.image();
        let password = user.password.expose().as_bytes();
        // Who was deleted meanwhile has no password at all.
        let mut credentials = image.users().credentials(&user.name)?.iter();
        let is_another = credentials.any(|(mechanism, one)| !one.verifies(*mechanism, password));
        is_another.then(|| another_password(user))
    }
}

/// Two commands, because a request may name a user once.
fn another_password(user: &FirstUser) -> String {
    let name = line(&user.name, NAMES_TOLD_LENGTH);
    let commands = ScramMechanism::ALL.map(|mechanism| {
        format!(
            "kafka-configs --bootstrap-server HOST:PORT --alter --entity-type users --entity-name {} --add-config \
             '{}=[password=...]'",
            shell_word(&name),
            mechanism.name(),
        )
    });
    format!(
        "user {name:?} keeps the password that was set since: that of {} does not count. To change it takes both: {}",
        user.origin,
        commands.join("; "),
    )
}

/// The credentials of altered users that were not altered themselves; `None` if there is none. Each mechanism has its
/// own, so who changes one password has left the other.
fn left_as_they_were(users: &Users, altered: &[&UserChange]) -> Option<String> {
    let mut mechanisms_of: BTreeMap<&str, Vec<ScramMechanism>> = BTreeMap::new();
    for change in altered {
        mechanisms_of.entry(&change.user).or_default().push(change.mechanism);
    }
    let left = mechanisms_of.into_iter().filter_map(|(user, altered)| {
        let others = users.credentials(user)?.keys().filter(|mechanism| !altered.contains(mechanism));
        let others: Vec<&str> = others.map(|mechanism| mechanism.name()).collect();
        (!others.is_empty()).then(|| format!("{} of user {user:?}", others.join(" and ")))
    });
    let left: Vec<String> = left.collect();
    (!left.is_empty()).then(|| line(&left.join(", "), NAMES_TOLD_LENGTH))
}

/// The credentials of all, by all cores: each takes milliseconds.
fn all_first_credentials(users: &[FirstUser]) -> Vec<UserChange> {
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let share = users.len().div_ceil(threads).max(1);
    let hash = |users: &[FirstUser]| users.iter().flat_map(first_credentials).collect::<Vec<_>>();
    thread::scope(|scope| {
        let hashing: Vec<_> = users.chunks(share).map(|users| scope.spawn(move || hash(users))).collect();
        hashing.into_iter().flat_map(|thread| thread.join().expect("a panic stops the start")).collect()
    })
}

/// Credentials of both mechanisms.
fn first_credentials(user: &FirstUser) -> [UserChange; 2] {
    ScramMechanism::ALL.map(|mechanism| {
        let password = user.password.expose().as_bytes();
        let credential = ScramCredential::from_password(mechanism, password, random_salt(), ITERATIONS);
        UserChange { user: user.name.clone(), mechanism, credential: Some(credential) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{key::Secret, sources::Origin};

    fn credential(mechanism: ScramMechanism) -> ScramCredential {
        ScramCredential::from_password(mechanism, b"hunter2", random_salt(), 4096)
    }

    #[test]
    fn who_has_another_password_is_told_a_command_for_each_mechanism() {
        let password = Secret::new("hunter2");
        let said = another_password(&FirstUser { name: "it's me".to_owned(), password, origin: Origin::Default });
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let command = format!(r"--entity-name 'it'\''s me' --add-config '{mechanism}=[password=...]'");
            assert!(said.contains(&command), "{said}");
        }
        assert!(!said.contains("hunter2"), "{said}");
    }

    #[test]
    fn a_credential_that_is_left_as_it_was_is_named() {
        let [first, second] = ScramMechanism::ALL;
        let mut users = Users::default();
        for (user, mechanism) in [("both", first), ("both", second), ("one", first)] {
            users.set(user, mechanism, credential(mechanism));
        }
        let change = |user: &str, mechanism| UserChange { user: user.to_owned(), mechanism, credential: None };
        let left = |changes: &[UserChange]| left_as_they_were(&users, &changes.iter().collect::<Vec<_>>());
        assert_eq!(left(&[]), None);
        assert_eq!(left(&[change("both", first), change("both", second), change("one", first)]), None);
        assert_eq!(left(&[change("gone", first)]), None);
        let expected = r#"SCRAM-SHA-512 of user "both""#;
        assert_eq!(left(&[change("one", first), change("both", first)]).as_deref(), Some(expected));
    }
}
