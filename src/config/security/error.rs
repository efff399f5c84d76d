//! What can be wrong with how a listener lets clients in.

use super::{CipherSuite, SaslMechanism};
use crate::config::key::one_line;

/// Why a listener cannot let clients in so. Each says what to set instead, and none repeats a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecurityError {
    /// TLS without a certificate.
    #[error(
        "listener {0} uses TLS and has no certificate: --tls FILE gives it one, or ssl.keystore.type=PEM and \
         ssl.keystore.location=FILE; `ottla certs` makes one for a try-out"
    )]
    NoCertificate(String),
    /// A file for TLS, and nobody to use it.
    #[error("no listener uses TLS: --listen SSL://HOST:PORT makes one that does, SASL_SSL://HOST:PORT one with users")]
    NoTlsListener,
    /// A store of Java.
    #[error("{key}={}: a store has to be in PEM; {how}", one_line(.value))]
    StoreType {
        /// The key of the type.
        key: String,
        /// The type.
        value: String,
        /// How it gets there.
        how: String,
    },
    /// The right type in the wrong letters.
    #[error("{key}={}: write it PEM", one_line(.value))]
    StoreTypeCase {
        /// The key of the type.
        key: String,
        /// The type.
        value: String,
    },
    /// A password of what has none.
    #[error("{0}: a store in PEM has no password; leave it out")]
    StorePassword(String),
    /// The same said twice.
    #[error("{one} and {other} are both set; one of them is allowed")]
    Twice {
        /// One key.
        one: String,
        /// The other.
        other: String,
    },
    /// A key without its certificate, or the reverse.
    #[error("{set} is set and {missing} is not: a certificate and its key belong together")]
    Half {
        /// The key that is there.
        set: String,
        /// The key that is not.
        missing: &'static str,
    },
    /// Nothing to check the certificates of clients by.
    #[error(
        "{key}={value} needs the certificates by which those of clients are checked: ssl.truststore.type=PEM and \
         ssl.truststore.location=FILE"
    )]
    NoTrust {
        /// The key.
        key: String,
        /// What it asks for.
        value: String,
    },
    /// No such version of TLS.
    #[error("{key}={}: there is no such version of TLS, allowed are TLSv1.2 and TLSv1.3", one_line(.value))]
    TlsVersion {
        /// The key.
        key: String,
        /// The version.
        value: String,
    },
    /// No such cipher suite.
    #[error("{key}={}: there is no such cipher suite, allowed are {}", one_line(.value), CipherSuite::names())]
    CipherSuite {
        /// The key.
        key: String,
        /// The suite.
        value: String,
    },
    /// Cipher suites of versions that are off.
    #[error("{key}={}: none of them belongs to a version of ssl.enabled.protocols", one_line(.value))]
    NoCipherSuite {
        /// The key.
        key: String,
        /// The suites.
        value: String,
    },
    /// Rules that cannot be read.
    #[error("{key}: {reason}")]
    PrincipalRules {
        /// The key.
        key: String,
        /// What is wrong with them.
        reason: String,
    },
    /// SASL without a mechanism.
    #[error(
        "listener {listener} uses SASL: set sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512 (allowed: {}; its default \
         in Kafka is GSSAPI, which is not among them), or give it users with --users-file FILE",
        SaslMechanism::names()
    )]
    NoMechanism {
        /// The listener.
        listener: String,
    },
    /// A mechanism that is not there.
    #[error("{key}={}: there is no such SASL mechanism, allowed are {}", one_line(.value), SaslMechanism::names())]
    Mechanism {
        /// The key.
        key: String,
        /// The mechanism.
        value: String,
    },
    /// Passwords that everybody on the way can read.
    #[error(
        "listener {0} would send passwords in the clear over a network: use SASL_SSL for it, or SCRAM instead of PLAIN, \
         or a loopback address; ottla.plaintext.passwords=true allows it"
    )]
    PlaintextPasswords(String),
    /// A limit of one mechanism.
    #[error("{0} cannot be set for one mechanism: set it for the listener")]
    OfMechanism(String),
}
