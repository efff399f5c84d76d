//! How clients of a listener are let in: its protocol, and what TLS and SASL need for it.

use std::{fmt, time::Duration};

pub use self::{error::SecurityError, pem::Pem};
use super::key::Secret;
pub use super::principal_rules::{PrincipalRules, PrincipalRulesError};

mod conversion;
mod error;
mod pem;
pub(super) mod resolve;

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
    /// `ssl.key.password`, of a key that is encrypted.
    pub key_password: Option<Secret>,
    /// The certificates by which those of clients are checked; `None` where none is set.
    pub trusted: Option<Pem>,
    /// `ssl.client.auth`.
    pub client_auth: ClientAuth,
    /// `ssl.enabled.protocols`.
    pub protocols: Vec<TlsVersion>,
    /// `ssl.cipher.suites`; empty for all that there are.
    pub cipher_suites: Vec<CipherSuite>,
    /// `ssl.principal.mapping.rules`.
    pub principal_rules: PrincipalRules,
}

impl TlsConfig {
    /// Where certificates and keys come from.
    pub fn pems(&self) -> impl Iterator<Item = &Pem> {
        let identity = match &self.identity {
            Identity::Store(store) => [Some(store), None],
            Identity::Parts { chain, key } => [Some(chain), Some(key)],
        };
        identity.into_iter().chain([self.trusted.as_ref()]).flatten()
    }
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

/// A cipher suite of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CipherSuite {
    name: &'static str,
    code: u16,
}

/// `sasl.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslConfig {
    /// `sasl.enabled.mechanisms`, in the order set.
    pub mechanisms: Vec<SaslMechanism>,
    /// `connections.max.reauth.ms`; `None` where a client need not authenticate again.
    pub max_reauth: Option<Duration>,
    /// `sasl.server.max.receive.size`: the most bytes of a frame before a client has authenticated itself.
    pub max_receive_size: u32,
}

impl SecurityProtocol {
    /// All that there are.
    pub const ALL: [Self; 4] = [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl];

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

    /// The protocol of this name, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name().eq_ignore_ascii_case(name))
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

    /// The names of all, for an error.
    fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl TlsVersion {
    /// The version of this name, as Java has it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "TLSv1.2" => Some(Self::V12),
            "TLSv1.3" => Some(Self::V13),
            _ => None,
        }
    }
}

impl CipherSuite {
    /// All that there are: those of rustls with ring.
    pub const ALL: [Self; 9] = [
        Self { name: "TLS_AES_128_GCM_SHA256", code: 0x1301 },
        Self { name: "TLS_AES_256_GCM_SHA384", code: 0x1302 },
        Self { name: "TLS_CHACHA20_POLY1305_SHA256", code: 0x1303 },
        Self { name: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", code: 0xc02b },
        Self { name: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", code: 0xc02c },
        Self { name: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", code: 0xcca9 },
        Self { name: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", code: 0xc02f },
        Self { name: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", code: 0xc030 },
        Self { name: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", code: 0xcca8 },
    ];

    /// The suite of this name, as the standards have it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name == name)
    }

    /// Its number, as it travels.
    #[must_use]
    pub fn code(self) -> u16 {
        self.code
    }

    /// The version that it is for: those of TLS 1.3 say nothing of the exchange of keys.
    #[must_use]
    pub fn version(self) -> TlsVersion {
        if self.name.contains("_WITH_") { TlsVersion::V12 } else { TlsVersion::V13 }
    }

    /// The names of all, for an error.
    fn names() -> String {
        Self::ALL.map(|suite| suite.name).join(", ")
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
