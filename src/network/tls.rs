//! TLS on a listener: the settings that new connections get, the handshake, and what is wrong with one that fails.

use std::{
    fmt, io,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::TlsPeer;

/// The settings by which a listener speaks TLS. They can be replaced while it serves: connections that are open keep
/// theirs.
pub struct TlsSettings {
    current: RwLock<Arc<ServerConfig>>,
}

impl TlsSettings {
    /// Settings to begin with.
    #[must_use]
    pub fn new(settings: Arc<ServerConfig>) -> Arc<Self> {
        Arc::new(Self { current: RwLock::new(settings) })
    }

    /// Gives the connections that are accepted from now on other settings.
    pub fn replace(&self, settings: Arc<ServerConfig>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// What connections get that are accepted now.
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings").finish_non_exhaustive()
    }
}

/// Greets a client. On failure it has been told why, as far as TLS has words for it.
pub(super) async fn handshake(
    settings: &TlsSettings,
    stream: TcpStream,
) -> Result<(TlsStream<TcpStream>, TlsPeer), HandshakeError> {
    let stream = TlsAcceptor::from(settings.current()).accept(stream).await.map_err(HandshakeError::from)?;
    let certificates = stream.get_ref().1.peer_certificates();
    let certificate = certificates.and_then(|chain| chain.first()).map(|first| first.clone().into_owned());
    Ok((stream, TlsPeer { certificate }))
}

/// Why a client was not let in.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// The connection is gone.
    #[error("{0}")]
    Lost(io::Error),
    /// What came is no TLS.
    #[error(
        "TLS handshake failed: the client does not speak TLS; it needs security.protocol=SSL or SASL_SSL, or another \
         listener"
    )]
    NotTls,
    /// The client ended it, and said why.
    #[error("TLS handshake failed: the client refused with alert {alert:?}{}", advice(*.alert))]
    Refused {
        /// The reason that it gave.
        alert: AlertDescription,
    },
    /// The client's certificate is not accepted.
    #[error("TLS handshake failed: the client's certificate is not accepted: {0}")]
    Certificate(String),
    /// Anything else.
    #[error("TLS handshake failed: {0}")]
    Other(String),
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        let Some(error) = error.get_ref().and_then(|source| source.downcast_ref::<Error>()) else {
            return Self::Lost(error);
        };
        match error {
            Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
                Self::NotTls
            }
            Error::AlertReceived(alert) => Self::Refused { alert: *alert },
            Error::NoCertificatesPresented => {
                Self::Certificate("it sent none, and ssl.client.auth=required asks for one".to_owned())
            }
            Error::InvalidCertificate(error) => Self::Certificate(what_is_wrong(error)),
            Error::PeerIncompatible(PeerIncompatible::SupportedVersionsExtensionRequired) => {
                Self::Other("the client speaks TLS 1.2 at most, and ssl.enabled.protocols has TLSv1.3 alone".to_owned())
            }
            Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered | PeerIncompatible::Tls12NotOfferedOrEnabled) => {
                Self::Other("the client offers no version of TLS that ssl.enabled.protocols has".to_owned())
            }
            other => Self::Other(other.to_string()),
        }
    }
}

fn what_is_wrong(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => "no certificate in ssl.truststore.* has issued it".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet, by this machine's clock".to_owned()
        }
        other if other.to_string().contains("UnsupportedCertVersion") => {
            "it is one of X.509 version 1, and version 3 is needed: sign it with an extension, such as basicConstraints"
                .to_owned()
        }
        other => other.to_string(),
    }
}

/// What to do about an alert, where that is known.
fn advice(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::UnknownCA => {
            ": it does not trust the broker's certificate; give it the issuing CA (ssl.ca.location, ssl.truststore)"
        }
        AlertDescription::CertificateExpired => {
            ": the broker's certificate has expired, or the client's clock is wrong"
        }
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            ": it does not accept the broker's certificate; the CA that it trusts, or the host name, may be another"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_to_change() {
        let said = |error: Error| HandshakeError::from(io::Error::new(io::ErrorKind::InvalidData, error)).to_string();
        let not_tls = said(Error::InvalidMessage(InvalidMessage::InvalidContentType));
        assert!(not_tls.contains("security.protocol=SSL"), "{not_tls}");
        let untrusted = said(Error::AlertReceived(AlertDescription::UnknownCA));
        assert!(untrusted.contains("UnknownCA") && untrusted.contains("ssl.ca.location"), "{untrusted}");
        let none = said(Error::NoCertificatesPresented);
        assert!(none.contains("ssl.client.auth"), "{none}");
        let expired = said(Error::InvalidCertificate(CertificateError::Expired));
        assert!(expired.contains("client's certificate") && expired.contains("expired"), "{expired}");
    }
}
