//! One SASL exchange, from the client's first token to a verdict. Pure.

use std::sync::Arc;

use super::principal::Principal;
use crate::{config::security::SaslMechanism, metadata::image::Image};

/// An exchange of one mechanism under way.
#[derive(Debug)]
pub struct Conversation {
    mechanism: SaslMechanism,
}

/// What an exchange holds credentials against.
#[derive(Clone, Debug)]
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
        Self { mechanism }
    }

    /// Its mechanism.
    #[must_use]
    pub fn mechanism(&self) -> SaslMechanism {
        self.mechanism
    }

    /// The user that the client claims to be, once it has said so.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        None
    }

    /// Whether a step may take a noticeable time, for a password is to be hashed.
    #[must_use]
    pub fn is_costly(&self) -> bool {
        self.mechanism == SaslMechanism::Plain
    }

    /// Takes what the client says next.
    pub fn step(&mut self, _token: &[u8], _credentials: &Credentials) -> Step {
        unimplemented!("placeholder of the skeleton")
    }
}
