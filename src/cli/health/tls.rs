//! TLS with the broker of this machine, whose certificate is known: no authority is asked.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use crate::config::security::{ClientAuth, Identity, TlsConfig};

/// What a listener must show.
#[derive(Debug)]
pub(super) struct KnownServer {
    certificates: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
    /// Whether clients without a certificate are turned away.
    asks_for_certificates: bool,
    /// Whether it has shown that it has the key.
    proved: AtomicBool,
}

impl KnownServer {
    /// The server of these settings.
    pub(super) fn new(config: &TlsConfig) -> io::Result<Self> {
        let pem = match &config.identity {
            Identity::Store(pem) | Identity::Parts { chain: pem, .. } => pem,
        };
        let in_file = |error: io::Error| match pem.path() {
            Some(path) => io::Error::new(error.kind(), format!("{}: {error}", path.display())),
            None => error,
        };
        let text = pem.read().map_err(in_file)?;
        let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
        let certificates =
            certificates.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        Ok(Self {
            certificates,
            provider: Arc::new(ring::default_provider()),
            asks_for_certificates: config.client_auth == ClientAuth::Required,
            proved: AtomicBool::new(false),
        })
    }

    /// A connection that goes on with this server alone.
    pub(super) fn connection(self: &Arc<Self>) -> Result<ClientConnection, Error> {
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::<Self>::clone(self))
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").map_err(|_| Error::General("no name".to_owned()))?;
        ClientConnection::new(Arc::new(config), name)
    }

    /// Whether it is there and turns away whoever has no certificate, as it should.
    pub(super) fn turns_away(&self) -> bool {
        self.asks_for_certificates && self.proved.load(Relaxed)
    }
}

impl ServerCertVerifier for KnownServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.certificates.iter().any(|known| known == end_entity) {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(Error::General("its certificate is not the one of the settings".to_owned())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let valid = verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)?;
        self.proved.store(true, Relaxed);
        Ok(valid)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let valid = verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)?;
        self.proved.store(true, Relaxed);
        Ok(valid)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
