//! What one connection has proved of its client so far, and what it may send next. Pure.

use std::{sync::Arc, time::Instant};

use super::principal::Principal;
use crate::{config::security::SaslConfig, protocol::messages::ApiKey};

/// The state of a connection's authentication.
#[derive(Debug)]
pub struct Session {
    principal: Option<Principal>,
    _sasl: Option<Arc<SaslConfig>>,
}

/// A request that the session does not allow. The connection ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// What only those may send who have said who they are.
    #[error("{} before authentication: the client must authenticate by SASL, or connect to another listener", .0.name())]
    NotAuthenticated(ApiKey),
}

impl Session {
    /// Of a listener that asks for no authentication by SASL: the client is known from the start.
    #[must_use]
    pub fn established(principal: Principal) -> Self {
        Self { principal: Some(principal), _sasl: None }
    }

    /// Of a listener with SASL: the client has to authenticate itself first.
    #[must_use]
    pub fn unauthenticated(sasl: Arc<SaslConfig>) -> Self {
        Self { principal: None, _sasl: Some(sasl) }
    }

    /// Whether the client has said who it is.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.principal.is_some()
    }

    /// Who the client is; anonymous before it has said so.
    #[must_use]
    pub fn principal(&self) -> Principal {
        self.principal.clone().unwrap_or_else(Principal::anonymous)
    }

    /// Whether a request of this API may be read now.
    pub fn admit(&self, key: ApiKey, _now: Instant) -> Result<(), SessionError> {
        if self.is_established() { Ok(()) } else { Err(SessionError::NotAuthenticated(key)) }
    }
}
