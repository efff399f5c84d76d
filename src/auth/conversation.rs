//! One SASL exchange, from the client's first token to a verdict. Pure, but for the nonce that a new one draws.

use std::{fmt, sync::Arc};

use super::{
    plain,
    principal::Principal,
    random::random_text,
    scram::{Exchange, ScramError},
};
use crate::{
    config::security::SaslMechanism,
    metadata::{image::Image, users::ScramMechanism},
};

/// How many characters of a nonce are the server's: more than 128 random bits.
const NONCE_LEN: usize = 26;

/// An exchange of one mechanism under way.
#[derive(Debug)]
pub struct Conversation {
    mechanism: SaslMechanism,
    /// Whether the client is known already and says who it is once more.
    is_again: bool,
    state: State,
    user: Option<String>,
}

#[derive(Debug)]
enum State {
    /// Nothing was said yet. SCRAM will say this nonce.
    Begun { nonce: String },
    /// SCRAM waits for the proof.
    Challenged(Box<Exchange>),
    /// There is a verdict.
    Over,
}

/// What an exchange holds credentials against.
#[derive(Clone)]
pub struct Credentials {
    /// Whose users count.
    pub image: Arc<Image>,
    /// What the salts of users that do not exist are made of.
    pub secret: Arc<[u8; 32]>,
}

/// What came of a token.
#[derive(Debug)]
pub enum Step {
    /// The client gets this and has to say more.
    Challenge(Vec<u8>),
    /// The client is who it says, and gets this.
    Success {
        /// Who.
        principal: Principal,
        /// The last word of the mechanism.
        response: Vec<u8>,
    },
    /// It is not, or it does not keep to the mechanism.
    Failure(SaslFailure),
}

/// Why an exchange failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslFailure {
    /// What the client is told. It does not say whether there is such a user.
    pub told: String,
    /// What the log is told, if that is more. Never a secret.
    pub logged: Option<String>,
}

impl SaslFailure {
    /// With the same words for client and log.
    #[must_use]
    pub fn told(text: impl Into<String>) -> Self {
        Self { told: text.into(), logged: None }
    }
}

impl Conversation {
    /// An exchange of which nothing is said yet.
    #[must_use]
    pub fn new(mechanism: SaslMechanism) -> Self {
        Self::with_nonce(mechanism, random_text(NONCE_LEN))
    }

    /// The same, of a client that authenticates itself again.
    #[must_use]
    pub fn again(mechanism: SaslMechanism) -> Self {
        Self { is_again: true, ..Self::new(mechanism) }
    }

    /// An exchange in which the server's nonce will be this one.
    #[must_use]
    pub fn with_nonce(mechanism: SaslMechanism, nonce: String) -> Self {
        Self { mechanism, is_again: false, state: State::Begun { nonce }, user: None }
    }

    /// Its mechanism.
    #[must_use]
    pub fn mechanism(&self) -> SaslMechanism {
        self.mechanism
    }

    /// The user that the client claims to be, once it has said so.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Whether a step may take a noticeable time, for a password is to be hashed.
    #[must_use]
    pub fn is_costly(&self) -> bool {
        self.mechanism == SaslMechanism::Plain
    }

    /// Takes what the client says next.
    pub fn step(&mut self, token: &[u8], credentials: &Credentials) -> Step {
        let said = std::mem::replace(&mut self.state, State::Over);
        match (said, self.mechanism) {
            (State::Begun { .. }, SaslMechanism::Plain) => {
                self.user = plain::claimed_name(token).map(str::to_owned);
                plain_step(token, credentials)
            }
            (State::Begun { nonce }, SaslMechanism::ScramSha256) => {
                self.challenge(ScramMechanism::Sha256, token, credentials, &nonce)
            }
            (State::Begun { nonce }, SaslMechanism::ScramSha512) => {
                self.challenge(ScramMechanism::Sha512, token, credentials, &nonce)
            }
            (State::Challenged(exchange), _) => match exchange.finish(token) {
                Ok(response) => Step::Success { principal: Principal::user(exchange.user()), response },
                Err(error) => self.scram_failure(&error),
            },
            (State::Over, _) => Step::Failure(SaslFailure {
                told: self.invalid_credentials(),
                logged: Some("a token after the end of the exchange".to_owned()),
            }),
        }
    }

    fn challenge(&mut self, mechanism: ScramMechanism, token: &[u8], credentials: &Credentials, nonce: &str) -> Step {
        match Exchange::begin(mechanism, token, credentials.image.users(), &credentials.secret, nonce) {
            Ok((exchange, answer)) => {
                self.user = Some(exchange.user().to_owned());
                self.state = State::Challenged(Box::new(exchange));
                Step::Challenge(answer)
            }
            Err(error) => self.scram_failure(&error),
        }
    }

    fn scram_failure(&self, error: &ScramError) -> Step {
        let told = match error {
            ScramError::AuthorizationId => plain::PlainError::AuthorizationId.to_string(),
            ScramError::First(_)
            | ScramError::Final(_)
            | ScramError::NotRepeated(_)
            | ScramError::WrongPassword
            | ScramError::UnknownUser => self.invalid_credentials(),
        };
        Step::Failure(SaslFailure { told, logged: Some(error.to_string()) })
    }

    /// What Kafka says of all but a few failures (`SaslServerAuthenticator`).
    fn invalid_credentials(&self) -> String {
        let (mechanism, again) = (self.mechanism, if self.is_again { "re-" } else { "" });
        format!(
            "Authentication failed during {again}authentication due to invalid credentials with SASL mechanism {mechanism}"
        )
    }
}

fn plain_step(token: &[u8], credentials: &Credentials) -> Step {
    match plain::authenticate(token, credentials.image.users(), &credentials.secret) {
        Ok(name) => Step::Success { principal: Principal::user(name), response: Vec::new() },
        Err(error) => Step::Failure(SaslFailure { told: error.to_string(), logged: None }),
    }
}

/// Without the secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
