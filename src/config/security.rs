//! How clients of a listener are let in: its protocol, and what TLS and SASL need for it.

use std::{fmt, path::PathBuf, time::Duration};

use super::key::Secret;
pub use super::principal_rules::{PrincipalRules, PrincipalRulesError};

/// A listener's protocol: Kafka's `SecurityProtocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityProtocol {
    /// In the clear, for anybody.
    Plaintext,
    /// TLS; who has a certificate is known by it.
    Ssl,
    /// In the clear, after authentication.
    SaslPlaintext,
    /// TLS, and authentication in it.
    SaslSsl,
}

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SaslMechanism {
    /// Name and password (RFC 4616).
    Plain,
    /// RFC 5802, with SHA-256 (RFC 7677).
    ScramSha256,
    /// The same with SHA-512.
    ScramSha512,
}

/// All that a listener asks of its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSecurity {
    /// The protocol, which says which of the others are there.
    pub protocol: SecurityProtocol,
    /// `ssl.*`, of SSL and SASL_SSL.
    pub tls: Option<TlsConfig>,
    /// `sasl.*`, of SASL_PLAINTEXT and SASL_SSL.
    pub sasl: Option<SaslConfig>,
}

/// `ssl.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// The broker's certificate chain and key.
    pub identity: Identity,
    /// The certificates by which those of clients are checked; `None` where none is set.
    pub trusted: Option<Pem>,
    /// `ssl.client.auth`.
    pub client_auth: ClientAuth,
    /// `ssl.enabled.protocols`.
    pub protocols: Vec<TlsVersion>,
    /// `ssl.principal.mapping.rules`.
    pub principal_rules: PrincipalRules,
}

/// The broker's certificate chain, the end entity first, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Both in one file: `ssl.keystore.location`.
    Store(Pem),
    /// `ssl.keystore.certificate.chain` and `ssl.keystore.key`.
    Parts {
        /// The chain.
        chain: Pem,
        /// The private key.
        key: Pem,
    },
}

/// A text in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pem {
    /// In a file, which is read again when it changes.
    File(PathBuf),
    /// As the value of a key.
    Inline(Secret),
}

/// `ssl.client.auth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// No certificate is asked for.
    None,
    /// One is asked for; who has none is anonymous.
    Requested,
    /// Who has none does not get in.
    Required,
}

/// A version of TLS that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

/// `sasl.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslConfig {
    /// `sasl.enabled.mechanisms`, in the order set.
    pub mechanisms: Vec<SaslMechanism>,
    /// `connections.max.reauth.ms`; `None` where a client need not authenticate again.
    pub max_reauth: Option<Duration>,
}

impl SecurityProtocol {
    /// Whether bytes are encrypted.
    #[must_use]
    pub fn has_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether clients authenticate themselves by SASL.
    #[must_use]
    pub fn has_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }

    /// Kafka's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }
}

impl SaslMechanism {
    /// All that there are, in the order in which clients are told of them.
    pub const ALL: [Self; 3] = [Self::Plain, Self::ScramSha256, Self::ScramSha512];

    /// The registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }

    /// The mechanism of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }
}

impl ListenerSecurity {
    /// In the clear, for anybody.
    #[must_use]
    pub fn plaintext() -> Self {
        Self { protocol: SecurityProtocol::Plaintext, tls: None, sasl: None }
    }
}

impl fmt::Display for SecurityProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for SaslMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
