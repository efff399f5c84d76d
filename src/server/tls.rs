//! The certificates of listeners: read at start, and again when their files change.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};
use tokio::time::sleep;

use crate::{
    config::{
        listener::Listener,
        security::{CipherSuite, ClientAuth, Identity, Pem, TlsConfig, TlsVersion},
    },
    network::{Shutdown, TlsSettings},
};

/// How often files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Why TLS cannot be spoken. The texts name the setting that is to be changed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum TlsError {
    #[error("{key}: {}: {source}", path.display())]
    Unreadable { key: &'static str, path: PathBuf, source: io::Error },
    #[error("{key}{}: no certificate in PEM (-----BEGIN CERTIFICATE-----) is there", in_file(.path.as_deref()))]
    NoCertificate { key: &'static str, path: Option<PathBuf> },
    #[error(
        "{key}{}: no private key in PEM is there that can be used: -----BEGIN PRIVATE KEY----- (PKCS#8), RSA PRIVATE KEY or \
         EC PRIVATE KEY",
        in_file(.path.as_deref())
    )]
    NoKey { key: &'static str, path: Option<PathBuf> },
    #[error("{key}{}: not PEM: {reason}", in_file(.path.as_deref()))]
    NotPem { key: &'static str, path: Option<PathBuf>, reason: String },
    #[error("the certificate and key of ssl.keystore.* cannot be used: {0}")]
    Identity(rustls::Error),
    #[error("ssl.enabled.protocols or ssl.cipher.suites leave nothing that can be spoken: {0}")]
    Protocols(rustls::Error),
    #[error("ssl.client.auth asks for certificates, and ssl.truststore.* has none to check them by")]
    NoTrust,
    #[error("the certificates of ssl.truststore.* cannot be used: {0}")]
    Trust(String),
}

/// The TLS of a listener, and what it was made of.
pub(super) struct ListenerTls {
    listener: String,
    config: TlsConfig,
    settings: Arc<TlsSettings>,
    seen: Vec<Stamp>,
}

/// What tells two states of a file apart without reading it.
type Stamp = Option<(SystemTime, u64, u64)>;

impl ListenerTls {
    /// Reads what the listener needs. Blocks. `None` where TLS is not spoken.
    pub(super) fn load(listener: &Listener) -> Result<Option<Self>, TlsError> {
        let Some(config) = listener.security.tls.clone() else { return Ok(None) };
        let seen = stamps(&config);
        let settings = TlsSettings::new(server_config(&config)?);
        Ok(Some(Self { listener: listener.endpoint.name.clone(), config, settings, seen }))
    }

    /// What the network layer goes by.
    pub(super) fn settings(&self) -> &Arc<TlsSettings> {
        &self.settings
    }

    /// Reads the files again if they have changed. What cannot be used is said once and leaves things as they are.
    fn follow(&mut self) {
        let now = stamps(&self.config);
        if now == self.seen {
            return;
        }
        self.seen = now;
        match server_config(&self.config) {
            Ok(settings) => {
                self.settings.replace(settings);
                tracing::info!("listener {}: new certificates, for connections from now on", self.listener);
            }
            Err(error) => {
                tracing::error!(
                    "listener {}: changed certificates are not used, the old ones are: {error}",
                    self.listener
                );
            }
        }
    }
}

/// Follows changes of files until the shutdown begins.
pub(super) async fn follow_files(mut listeners: Vec<ListenerTls>, shutdown: Shutdown) {
    while !listeners.is_empty() {
        tokio::select! {
            () = shutdown.begun() => return,
            () = sleep(LOOK_INTERVAL) => {}
        }
        let looked = tokio::task::spawn_blocking(move || {
            listeners.iter_mut().for_each(ListenerTls::follow);
            listeners
        });
        listeners = looked.await.expect("looking at files does not panic");
    }
}

fn stamps(config: &TlsConfig) -> Vec<Stamp> {
    let files: &[Option<&Pem>] = match &config.identity {
        Identity::Store(store) => &[Some(store), config.trusted.as_ref()],
        Identity::Parts { chain, key } => &[Some(chain), Some(key), config.trusted.as_ref()],
    };
    files.iter().flatten().map(|pem| stamp(pem)).collect()
}

fn stamp(pem: &Pem) -> Stamp {
    use std::os::unix::fs::MetadataExt;
    let Pem::File(path) = pem else { return None };
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

/// What rustls needs, from what the settings say.
pub(super) fn server_config(config: &TlsConfig) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(provider(&config.cipher_suites));
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(&config.protocols))
        .map_err(TlsError::Protocols)?;
    let builder = match verifier(config, &provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let (chain, key) = identity(&config.identity)?;
    let settings = builder.with_single_cert(chain, key).map_err(TlsError::Identity)?;
    Ok(Arc::new(settings))
}

/// Ring, with these cipher suites alone; with all if none is named.
fn provider(suites: &[CipherSuite]) -> CryptoProvider {
    let mut provider = ring::default_provider();
    let is_named = |suite: &SupportedCipherSuite| {
        suites.is_empty() || suites.iter().any(|named| u16::from(suite.suite()) == named.code())
    };
    provider.cipher_suites.retain(is_named);
    provider
}

fn versions(protocols: &[TlsVersion]) -> Vec<&'static SupportedProtocolVersion> {
    let version = |protocol: &TlsVersion| match protocol {
        TlsVersion::V12 => &TLS12,
        TlsVersion::V13 => &TLS13,
    };
    protocols.iter().map(version).collect()
}

fn verifier(
    config: &TlsConfig,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    if config.client_auth == ClientAuth::None {
        return Ok(None);
    }
    let trusted = config.trusted.as_ref().ok_or(TlsError::NoTrust)?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ssl.truststore", trusted)? {
        roots.add(certificate).map_err(|error| TlsError::Trust(error.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = match config.client_auth {
        ClientAuth::Requested => builder.allow_unauthenticated(),
        ClientAuth::None | ClientAuth::Required => builder,
    };
    builder.build().map(Some).map_err(|error: VerifierBuilderError| TlsError::Trust(error.to_string()))
}

fn identity(identity: &Identity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    match identity {
        Identity::Store(store) => {
            Ok((certificates("ssl.keystore.location", store)?, private_key("ssl.keystore.location", store)?))
        }
        Identity::Parts { chain, key } => {
            Ok((certificates("ssl.keystore.certificate.chain", chain)?, private_key("ssl.keystore.key", key)?))
        }
    }
}

fn certificates(key: &'static str, pem: &Pem) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let (text, path) = read(key, pem)?;
    let not_pem =
        |error: rustls::pki_types::pem::Error| TlsError::NotPem { key, path: path.clone(), reason: error.to_string() };
    let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>().map_err(not_pem)?;
    if certificates.is_empty() { Err(TlsError::NoCertificate { key, path }) } else { Ok(certificates) }
}

fn private_key(key: &'static str, pem: &Pem) -> Result<PrivateKeyDer<'static>, TlsError> {
    let (text, path) = read(key, pem)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| TlsError::NoKey { key, path })
}

/// The text, and the file that it is from.
fn read(key: &'static str, pem: &Pem) -> Result<(Vec<u8>, Option<PathBuf>), TlsError> {
    let path = pem.path().cloned();
    let unreadable = |source| TlsError::Unreadable { key, path: path.clone().unwrap_or_default(), source };
    Ok((pem.read().map_err(unreadable)?, path))
}

fn in_file(path: Option<&Path>) -> String {
    path.map(|path| format!(": {}", path.display())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::config::security::PrincipalRules;

    fn store(path: &Path) -> TlsConfig {
        TlsConfig {
            identity: Identity::Store(Pem::File(path.to_owned())),
            trusted: None,
            client_auth: ClientAuth::None,
            protocols: vec![TlsVersion::V12, TlsVersion::V13],
            cipher_suites: Vec::new(),
            principal_rules: PrincipalRules::default(),
        }
    }

    fn pem() -> String {
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(["a".to_owned()]).expect("a name").self_signed(&key).expect("signed");
        certificate.pem() + &key.serialize_pem()
    }

    #[test]
    fn an_error_names_the_setting_and_the_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("server.pem");
        let said = |text: &str| {
            fs::write(&path, text).expect("written");
            server_config(&store(&path)).expect_err("not usable").to_string()
        };
        let whole = pem();
        let (certificate, key) = whole.split_at(whole.find("-----BEGIN PRIVATE").expect("a key"));
        for (text, expected) in [("", "no certificate"), (key, "no certificate"), (certificate, "no private key")] {
            let said = said(text);
            assert!(said.starts_with("ssl.keystore.location: ") && said.contains(expected), "{said}");
            assert!(said.contains("server.pem"), "{said}");
        }
        let other = pem();
        let said = said(&(certificate.to_owned() + &other[other.find("-----BEGIN PRIVATE").expect("a key")..]));
        assert!(said.contains("ssl.keystore"), "a key of another certificate: {said}");
        let missing = server_config(&store(&directory.path().join("none"))).expect_err("no file").to_string();
        assert!(missing.contains("No such file"), "{missing}");
        let required = TlsConfig { client_auth: ClientAuth::Required, ..store(&path) };
        assert!(matches!(server_config(&required), Err(TlsError::NoTrust)));
    }

    #[test]
    fn a_change_that_cannot_be_used_leaves_things_as_they_are() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("server.pem");
        let write = |text: &str| {
            fs::write(directory.path().join("new"), text).expect("written");
            fs::rename(directory.path().join("new"), &path).expect("renamed");
        };
        write(&pem());
        let config = store(&path);
        let first = server_config(&config).expect("usable");
        let seen = stamps(&config);
        let settings = TlsSettings::new(Arc::clone(&first));
        let mut tls = ListenerTls { listener: "SSL".to_owned(), config, settings, seen };
        let is_first = |tls: &ListenerTls| Arc::ptr_eq(&tls.settings.current(), &first);
        tls.follow();
        assert!(is_first(&tls), "nothing has changed");
        write("not a certificate");
        tls.follow();
        assert!(is_first(&tls));
        write(&pem());
        tls.follow();
        assert!(!is_first(&tls));
    }
}
