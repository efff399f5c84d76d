//! The server's side of SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, RFC 7677).
//!
//! ```text
//! client: n,,n=user,r=<client nonce>
//! server: r=<client nonce><server nonce>,s=<salt>,i=<iterations>
//! client: c=biws,r=<both nonces>,p=<proof>
//! server: v=<signature>
//! ```
//!
//! A user that does not exist is told a salt all the same, and fails at the proof, as whoever does not know the password:
//! the two differ in no byte, and the same is computed for both. Apache Kafka ends the exchange at the first message there,
//! does not hold `c=` against the header, and lets the nonce be the client's alone before CVE-2024-56128 was mended.

pub mod credential;
mod decoy;
mod hashing;
mod message;

use std::{fmt, sync::Arc};

use base64::prelude::{BASE64_STANDARD, Engine};
use subtle::Choice;

pub(super) use self::decoy::password_decoy;
use self::{
    decoy::decoy,
    hashing::len,
    message::{ClientFinal, ClientFirst, MessageError},
};
use crate::metadata::users::{ScramCredential, ScramMechanism, Users};

/// An exchange that waits for the client's proof.
pub(super) struct Exchange {
    mechanism: ScramMechanism,
    user: String,
    credential: Arc<ScramCredential>,
    /// False where the credential is a decoy.
    is_user: bool,
    gs2_header: String,
    nonce: String,
    /// What librdkafka before 2.6.1 repeats instead: its own half once more, then both. No less of it is the server's, so it
    /// is as fresh (confluentinc/librdkafka#4895).
    nonce_of_librdkafka: String,
    /// What both sides sign, up to the client's final message.
    signed: String,
}

/// Why an exchange failed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScramError {
    #[error("the first message: {0}")]
    First(MessageError),
    #[error("the final message: {0}")]
    Final(MessageError),
    #[error("wants to act as another user")]
    AuthorizationId,
    #[error("the final message does not repeat the {0} of the first")]
    NotRepeated(&'static str),
    #[error("a wrong password")]
    WrongPassword,
    #[error("no user of this name has a credential of this mechanism")]
    UnknownUser,
}

impl Exchange {
    /// Takes the first message; the answer is the second of the result.
    pub(super) fn begin(
        mechanism: ScramMechanism,
        token: &[u8],
        users: &Users,
        secret: &[u8; 32],
        server_nonce: &str,
    ) -> Result<(Self, Vec<u8>), ScramError> {
        let first = ClientFirst::parse(token).map_err(ScramError::First)?;
        if first.authorization_id.as_ref().is_some_and(|id| *id != first.user) {
            return Err(ScramError::AuthorizationId);
        }
        let decoy = Arc::new(decoy(secret, users, mechanism, &first.user));
        let found = users.credential(&first.user, mechanism);
        let is_user = found.is_some();
        let credential = found.cloned().unwrap_or(decoy);
        let nonce = format!("{}{server_nonce}", first.nonce);
        let salt = BASE64_STANDARD.encode(&credential.salt);
        let answer = format!("r={nonce},s={salt},i={}", credential.iterations);
        let exchange = Self {
            mechanism,
            credential,
            is_user,
            gs2_header: first.gs2_header.to_owned(),
            nonce_of_librdkafka: format!("{}{nonce}", first.nonce),
            nonce,
            signed: format!("{},{answer},", first.bare),
            user: first.user,
        };
        Ok((exchange, answer.into_bytes()))
    }

    /// Takes the final message; the answer says that the client is who it said.
    pub(super) fn finish(&self, token: &[u8]) -> Result<Vec<u8>, ScramError> {
        let last = ClientFinal::parse(token).map_err(ScramError::Final)?;
        if last.nonce != self.nonce && last.nonce != self.nonce_of_librdkafka {
            return Err(ScramError::NotRepeated("nonce"));
        }
        if last.channel_binding != self.gs2_header.as_bytes() {
            return Err(ScramError::NotRepeated("header"));
        }
        if last.proof.len() != len(self.mechanism) {
            return Err(ScramError::Final(MessageError::Attribute('p')));
        }
        let signed = [self.signed.as_bytes(), last.without_proof.as_bytes()].concat();
        let is_proved = self.credential.check_proof(self.mechanism, &signed, &last.proof);
        let signature = self.credential.server_signature(self.mechanism, &signed);
        if bool::from(is_proved & Choice::from(u8::from(self.is_user))) {
            Ok(format!("v={}", BASE64_STANDARD.encode(signature)).into_bytes())
        } else if self.is_user {
            Err(ScramError::WrongPassword)
        } else {
            Err(ScramError::UnknownUser)
        }
    }

    /// Who the client says it is.
    pub(super) fn user(&self) -> &str {
        &self.user
    }
}

/// Without what is signed.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("user", &self.user).finish_non_exhaustive()
    }
}
