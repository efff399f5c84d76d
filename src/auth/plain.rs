//! PLAIN (RFC 4616): `[authorization id] NUL name NUL password`, held against the users that SCRAM has.
//!
//! The checks come in the order of Apache Kafka's `PlainSaslServer`, and so do the texts. Where Kafka reads what is no UTF-8
//! with replacement characters, nobody gets in here: two names or passwords would be one.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use subtle::Choice;

use super::scram::password_decoy;
use crate::metadata::users::Users;

/// The longest token that is looked at.
const BYTES_MAX: usize = 64 << 10;
/// The longest name that is told of: no user has a longer one.
const NAME_BYTES_MAX: usize = 1024;
/// Kafka stops counting here.
const TOKENS_COUNTED: usize = 4;

/// Why somebody does not get in: the client is told the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlainError {
    #[error("Invalid SASL/PLAIN response: expected 3 tokens, got {0}")]
    Tokens(usize),
    #[error("Authentication failed: username not specified")]
    NoName,
    #[error("Authentication failed: password not specified")]
    NoPassword,
    #[error("Authentication failed: Invalid username or password")]
    Invalid,
    #[error("Authentication failed: Client requested an authorization id that is different from username")]
    AuthorizationId,
}

/// The name of the user whose name and password these are. Takes time.
pub(super) fn authenticate<'a>(token: &'a [u8], users: &Users, secret: &[u8; 32]) -> Result<&'a str, PlainError> {
    if token.len() > BYTES_MAX {
        return Err(PlainError::Invalid);
    }
    let tokens: Vec<&[u8]> = token.splitn(TOKENS_COUNTED, |byte| *byte == 0).collect();
    let [authorization_id, name, password] = tokens[..] else { return Err(PlainError::Tokens(tokens.len())) };
    if name.is_empty() {
        return Err(PlainError::NoName);
    }
    if password.is_empty() {
        return Err(PlainError::NoPassword);
    }
    let name = std::str::from_utf8(name).map_err(|_| PlainError::Invalid)?;
    std::str::from_utf8(password).map_err(|_| PlainError::Invalid)?;
    if !knows_password(users, secret, name, password) {
        return Err(PlainError::Invalid);
    }
    if !authorization_id.is_empty() && authorization_id != name.as_bytes() {
        return Err(PlainError::AuthorizationId);
    }
    Ok(name)
}

/// The name that is claimed, if there is one.
pub(super) fn claimed_name(token: &[u8]) -> Option<&str> {
    let name = token.split(|byte| *byte == 0).nth(1)?;
    std::str::from_utf8(name).ok().filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX)
}

/// Takes as long for a user that does not exist as for one that does.
fn knows_password(users: &Users, secret: &[u8; 32], name: &str, password: &[u8]) -> bool {
    let decoy = password_decoy(secret, users, name);
    let found = users.credentials(name).and_then(|credentials| credentials.first_key_value());
    let (mechanism, credential) = found.map_or((decoy.0, &decoy.1), |(mechanism, found)| (*mechanism, found));
    let is_user = Choice::from(u8::from(found.is_some()));
    (credential.check_password(mechanism, password) & is_user).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::users::{ScramCredential, ScramMechanism};

    fn authenticated(token: &[u8]) -> Result<&str, PlainError> {
        let mut users = Users::default();
        let credential = |mechanism, password: &str| {
            ScramCredential::from_password(mechanism, password.as_bytes(), "salt".into(), 4096)
        };
        users.set("alice", ScramMechanism::Sha256, credential(ScramMechanism::Sha256, "wonder"));
        users.set("alice", ScramMechanism::Sha512, credential(ScramMechanism::Sha512, "other"));
        users.set("bé", ScramMechanism::Sha512, credential(ScramMechanism::Sha512, "pässword"));
        authenticate(token, &users, &[1; 32])
    }

    #[test]
    fn who_knows_the_password_gets_in() {
        assert_eq!(authenticated(b"\0alice\0wonder"), Ok("alice"));
        assert_eq!(authenticated(b"alice\0alice\0wonder"), Ok("alice"));
        assert_eq!(authenticated("\0bé\0pässword".as_bytes()), Ok("bé"));
    }

    #[test]
    fn nobody_else_does() {
        let error = |token: &[u8]| authenticated(token).expect_err("refused");
        for (token, count) in [(&b""[..], 1), (b"\0a", 2), (b"\0a\0b\0", 4), (b"\0a\0b\0c\0d\0e", 4)] {
            assert_eq!(error(token), PlainError::Tokens(count));
        }
        assert_eq!(error(b"\0\0wonder"), PlainError::NoName);
        assert_eq!(error(b"\0\0"), PlainError::NoName);
        assert_eq!(error(b"\0alice\0"), PlainError::NoPassword);
        for wrong in [&b"\0alice\0Wonder"[..], b"\0alice\0wonder ", b"\0alice\0other", b"\0Alice\0wonder"] {
            assert_eq!(error(wrong), PlainError::Invalid);
        }
        for no_text in [&b"\0alice\xff\0wonder"[..], b"\0alice\0wonder\xff"] {
            assert_eq!(error(no_text), PlainError::Invalid);
        }
        assert_eq!(error(b"bob\0alice\0wonder"), PlainError::AuthorizationId);
        assert_eq!(error(b"\xff\0alice\0wonder"), PlainError::AuthorizationId);
        assert_eq!(error(b"bob\0alice\0wrong"), PlainError::Invalid);
        let long = [&b"\0alice\0"[..], &[b'x'; BYTES_MAX]].concat();
        assert_eq!(error(&long), PlainError::Invalid);
    }
}
