//! What one connection has proved of its client so far, and what it may send next: Kafka's `SaslServerAuthenticator`,
//! with re-authentication (KIP-368). Pure.
//!
//! ```text
//!               ApiVersions, once            a token, Challenge
//!                 ┌──────┐                      ┌──────┐
//!                 │      v    SaslHandshake     │      v      Success
//!  SASL ──────> Unknown ────────────────────> Exchange ──────────────> Known <────── no SASL
//!                                                ^                       │
//!                                                └───────────────────────┘
//!                                                  SaslHandshake, where sessions end
//! ```
//!
//! Everything else ends the connection. What fails is never tried again on the same one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    conversation::{Conversation, SaslFailure, Step},
    principal::Principal,
};
use crate::{
    clock,
    config::security::{SaslConfig, SaslMechanism},
    protocol::messages::ApiKey,
};

/// Sooner after its last one began, a client's wish to authenticate again is a request like any other.
const BETWEEN_REAUTHENTICATIONS: Duration = Duration::from_secs(1);

/// The state of a connection's authentication.
#[derive(Debug)]
pub struct Session {
    /// What the listener asks for; `None` where SASL is not spoken.
    sasl: Option<Arc<SaslConfig>>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The client has said nothing of itself.
    Unknown { has_versions: bool },
    /// The client has chosen a mechanism, and is heard.
    Exchange(Exchange),
    /// The client is who it said.
    Known(Known),
    /// The client has failed.
    Failed,
}

#[derive(Debug)]
struct Exchange {
    framing: Framing,
    /// `None` while a token is looked at.
    conversation: Option<Conversation>,
    /// Who the client was before, if it is known already and authenticates itself again.
    before: Option<Known>,
}

/// How tokens travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// As frames of their own, after version 0 of SaslHandshake.
    Raw,
    /// In SaslAuthenticate.
    Wrapped,
}

#[derive(Clone, Debug)]
struct Known {
    principal: Principal,
    /// By what it is known, if by SASL.
    mechanism: Option<SaslMechanism>,
    /// When it must have authenticated itself again.
    expires_at: Option<Instant>,
    /// When it last began to.
    reauthenticated_at: Option<Instant>,
}

/// A frame that the session does not allow. The connection ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum SessionError {
    #[error("{} before authentication: this listener wants SASL (sasl.mechanism) from its clients", .0.name())]
    NotAuthenticated(ApiKey),
    #[error("{} in the middle of a SASL exchange", .0.name())]
    InExchange(ApiKey),
    #[error(
        "the session of {0} has expired: the client did not authenticate itself again in connections.max.reauth.ms"
    )]
    Expired(Principal),
    #[error("a request after a failed authentication")]
    Failed,
}

/// What comes of a wish to choose a mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// Tokens may come.
    Begun,
    /// There is no such mechanism on this listener. The connection ends.
    NoSuchMechanism,
    /// Not now: an exchange is under way. The connection ends.
    InExchange,
    /// Not now: there is no need to. The connection goes on.
    NotNeeded,
}

/// What comes of a token.
#[derive(Debug)]
pub enum Verdict {
    /// The client gets this and has to say more.
    Challenge(Vec<u8>),
    /// The client is known.
    Success {
        /// The last word of the mechanism.
        response: Vec<u8>,
        /// How long it may go on without authenticating itself again; `None` for ever.
        lifetime: Option<Duration>,
    },
    /// The connection ends.
    Failure(SaslFailure),
}

impl Session {
    /// On a listener without SASL: the client is known from the start.
    #[must_use]
    pub fn established(principal: Principal) -> Self {
        let known = Known { principal, mechanism: None, expires_at: None, reauthenticated_at: None };
        Self { sasl: None, state: State::Known(known) }
    }

    /// On a listener with SASL: the client has to say who it is.
    #[must_use]
    pub fn unauthenticated(sasl: Arc<SaslConfig>) -> Self {
        Self { sasl: Some(sasl), state: State::Unknown { has_versions: false } }
    }

    /// Whether the client has said who it is.
    #[must_use]
    pub fn is_established(&self) -> bool {
        matches!(&self.state, State::Known(_) | State::Exchange(Exchange { before: Some(_), .. }))
    }

    /// The greatest frame that is read while the client has to show who it is, be it anew; `None` once it has.
    #[must_use]
    pub fn frame_max_before_known(&self) -> Option<usize> {
        let sasl = self.sasl.as_ref().filter(|_| !matches!(self.state, State::Known(_)))?;
        usize::try_from(sasl.max_receive_size).ok()
    }

    /// Who the client is; anonymous before it has said so. While it authenticates itself again no request is admitted.
    #[must_use]
    pub fn principal(&self) -> Principal {
        match &self.state {
            State::Known(known) | State::Exchange(Exchange { before: Some(known), .. }) => known.principal.clone(),
            State::Unknown { .. } | State::Exchange(_) | State::Failed => Principal::anonymous(),
        }
    }

    /// Whether the next frame is a token and has no header.
    #[must_use]
    pub fn expects_raw_token(&self) -> bool {
        matches!(self.state, State::Exchange(Exchange { framing: Framing::Raw, .. }))
    }

    /// Whether a token may come in a request.
    #[must_use]
    pub fn expects_token(&self) -> bool {
        matches!(self.state, State::Exchange(Exchange { framing: Framing::Wrapped, .. }))
    }

    /// The mechanisms that a client may choose from.
    #[must_use]
    pub fn mechanisms(&self) -> &[SaslMechanism] {
        self.sasl.as_ref().map_or(&[], |sasl| &sasl.mechanisms)
    }

    /// Whether a request of this API may be read now. What is said of SASL out of turn is answered, then the connection
    /// ends.
    pub fn admit(&self, key: ApiKey, now: Instant) -> Result<(), SessionError> {
        use ApiKey::{ApiVersions, SaslAuthenticate, SaslHandshake};
        match (&self.state, key) {
            (State::Unknown { has_versions: false }, ApiVersions) | (State::Unknown { .. }, SaslHandshake) => Ok(()),
            (State::Unknown { .. }, _) => Err(SessionError::NotAuthenticated(key)),
            (State::Exchange(_), SaslAuthenticate | SaslHandshake | ApiVersions) => Ok(()),
            (State::Exchange(_), _) => Err(SessionError::InExchange(key)),
            (State::Known(_), SaslHandshake) => Ok(()),
            (State::Known(Known { expires_at: Some(end), principal, .. }), _) if now >= *end => {
                Err(SessionError::Expired(principal.clone()))
            }
            (State::Known(_), _) => Ok(()),
            (State::Failed, _) => Err(SessionError::Failed),
        }
    }

    /// Notes that the client was told which versions there are: before it has said who it is, it is told once.
    pub fn told_versions(&mut self) {
        if let State::Unknown { has_versions } = &mut self.state {
            *has_versions = true;
        }
    }

    /// The client chooses a mechanism, by this version of SaslHandshake.
    pub fn handshake(&mut self, version: i16, mechanism: &str, now: Instant) -> Handshake {
        let before = match &mut self.state {
            State::Unknown { .. } => None,
            State::Exchange(_) | State::Failed => {
                self.state = State::Failed;
                return Handshake::InExchange;
            }
            State::Known(known) if !known.may_reauthenticate(now) => return Handshake::NotNeeded,
            State::Known(known) => {
                known.reauthenticated_at = Some(now);
                Some(known.clone())
            }
        };
        let mechanism = self.mechanisms().iter().copied().find(|known| known.name() == mechanism);
        let Some(mechanism) = mechanism else {
            self.state = State::Failed;
            return Handshake::NoSuchMechanism;
        };
        let framing = if version == 0 { Framing::Raw } else { Framing::Wrapped };
        let conversation = match before {
            None => Conversation::new(mechanism),
            Some(_) => Conversation::again(mechanism),
        };
        self.state = State::Exchange(Exchange { framing, conversation: Some(conversation), before });
        Handshake::Begun
    }

    /// Takes out the conversation that a token is for. Until [`Self::conclude`] brings it back nothing is admitted.
    pub fn take_conversation(&mut self) -> Option<Conversation> {
        match &mut self.state {
            State::Exchange(exchange) => exchange.conversation.take(),
            State::Unknown { .. } | State::Known(_) | State::Failed => None,
        }
    }

    /// What a step of the conversation comes to.
    pub fn conclude(&mut self, conversation: Conversation, step: Step, now: Instant) -> Verdict {
        let mechanism = conversation.mechanism();
        let State::Exchange(exchange) = &mut self.state else {
            panic!("a conversation is taken out of an exchange, and nothing else happens meanwhile");
        };
        let outcome = match step {
            Step::Challenge(token) => {
                exchange.conversation = Some(conversation);
                return Verdict::Challenge(token);
            }
            Step::Success { principal, response } => {
                exchange.check_unchanged(&principal, mechanism).map(|()| (principal, response))
            }
            Step::Failure(failure) => Err(failure),
        };
        match outcome {
            Ok((principal, response)) => {
                let lifetime = self.sasl.as_ref().and_then(|sasl| sasl.max_reauth);
                let reauthenticated_at = exchange.before.as_ref().and_then(|before| before.reauthenticated_at);
                let expires_at = lifetime.map(|lifetime| clock::after(now, lifetime));
                self.state =
                    State::Known(Known { principal, mechanism: Some(mechanism), expires_at, reauthenticated_at });
                Verdict::Success { response, lifetime }
            }
            Err(failure) => {
                self.state = State::Failed;
                Verdict::Failure(failure)
            }
        }
    }
}

impl Known {
    fn may_reauthenticate(&self, now: Instant) -> bool {
        let is_too_soon = self.reauthenticated_at.is_some_and(|last| now < last + BETWEEN_REAUTHENTICATIONS);
        self.expires_at.is_some() && !is_too_soon
    }
}

impl Exchange {
    /// Who authenticates itself again stays who it is, and does so in the same way.
    fn check_unchanged(&self, principal: &Principal, mechanism: SaslMechanism) -> Result<(), SaslFailure> {
        let Some(before) = &self.before else { return Ok(()) };
        if before.principal != *principal {
            return Err(SaslFailure::told(format!(
                "Cannot change principals during re-authentication from {}: {}",
                dotted(&before.principal),
                dotted(principal),
            )));
        }
        match before.mechanism {
            Some(earlier) if earlier != mechanism => Err(SaslFailure::told(format!(
                "SASL mechanism '{mechanism}' requested by client is not supported for re-authentication of mechanism \
                 '{earlier}'"
            ))),
            _ => Ok(()),
        }
    }
}

/// As Kafka writes a principal in this text alone.
fn dotted(principal: &Principal) -> String {
    principal.to_string().replacen(':', ".", 1)
}

#[cfg(test)]
mod tests;
