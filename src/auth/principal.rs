//! Who somebody is.

use std::{fmt, sync::Arc};

/// The name of those who have not said who they are.
const ANONYMOUS: &str = "ANONYMOUS";
/// Kafka's type of all principals that its own principal builder makes.
const USER: &str = "User";

/// A user by name: Kafka's `KafkaPrincipal` of type `User`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal(Arc<str>);

impl Principal {
    /// The user of this name.
    #[must_use]
    pub fn user(name: &str) -> Self {
        Self(name.into())
    }

    /// Whoever comes without authentication.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::user(ANONYMOUS)
    }

    /// The user of an entry such as `User:alice`, as in `super.users`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.strip_prefix(USER)?.strip_prefix(':').map(Self::user)
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// `User:alice`.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{USER}:{}", self.0)
    }
}
