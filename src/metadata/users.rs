//! Users and their SCRAM credentials, as the metadata log has them: salted keys, never a password.

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytes::Bytes;

/// Kafka's `ScramMechanism`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are Kafka's")]
pub enum ScramMechanism {
    Sha256,
    Sha512,
}

/// What proves that somebody knows a user's password, by one mechanism (RFC 5802).
#[derive(Clone, PartialEq, Eq)]
pub struct ScramCredential {
    /// The salt of the password.
    pub salt: Bytes,
    /// The hash of the client's key.
    pub stored_key: Bytes,
    /// The key by which the server proves itself.
    pub server_key: Bytes,
    /// How often the password was hashed, 4,096 to 16,384.
    pub iterations: u32,
}

/// The credentials of all users.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Users {
    by_name: BTreeMap<Arc<str>, BTreeMap<ScramMechanism, Arc<ScramCredential>>>,
}

impl ScramMechanism {
    /// Kafka's number, in records and requests.
    #[must_use]
    pub fn code(self) -> i8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }

    /// The mechanism with this number.
    #[must_use]
    pub fn from_code(code: i8) -> Option<Self> {
        [Self::Sha256, Self::Sha512].into_iter().find(|mechanism| mechanism.code() == code)
    }
}

impl Users {
    /// A user's credential of a mechanism.
    #[must_use]
    pub fn credential(&self, user: &str, mechanism: ScramMechanism) -> Option<&Arc<ScramCredential>> {
        self.by_name.get(user)?.get(&mechanism)
    }

    /// All users by name, each with a credential at least.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &BTreeMap<ScramMechanism, Arc<ScramCredential>>)> {
        self.by_name.iter()
    }
}

/// Without what would let somebody in.
impl fmt::Debug for ScramCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramCredential").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}
