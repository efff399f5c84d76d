//! The certificates of listeners: read at start, and again when their files change.

mod encrypted_key;
mod lifetime;
mod material;

use std::{
    fs,
    os::unix::fs::MetadataExt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use rustls::{
    RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};
use tokio::time::sleep;

pub use self::material::TlsError;
use self::{
    lifetime::Lifetime,
    material::{Material, certificate_reason, key_file, path_word, trusted, unusable},
};
use crate::{
    clock::{monotonic, wall_clock_ms},
    config::{
        listener::Listener,
        security::{CipherSuite, ClientAuth, Identity, Pem, TlsConfig, TlsVersion},
    },
    network::{Shutdown, TlsSettings},
};

/// How often files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// How often dates are looked at that came nearer without a change of files.
const DATES_INTERVAL: Duration = Duration::from_hours(24);
/// The bits of a mode that let others than the owner do something.
const OTHERS: u32 = 0o077;

/// Whether TLS can be spoken with these settings, and their files as they are now. Blocks.
pub fn check_tls(config: &TlsConfig) -> Result<(), TlsError> {
    Loaded::read(config).map(drop)
}

/// The TLS of a listener, and what it was made of.
pub(super) struct ListenerTls {
    listener: String,
    config: TlsConfig,
    settings: Arc<TlsSettings>,
    seen: Vec<Stamp>,
    lifetimes: Vec<Lifetime>,
    dates_looked_at: Instant,
}

/// What is made of the settings and their files.
struct Loaded {
    settings: Arc<ServerConfig>,
    lifetimes: Vec<Lifetime>,
}

/// What tells two states of a file apart without reading it.
type Stamp = Option<(SystemTime, u64, u64)>;

impl ListenerTls {
    /// Reads what the listener needs. Blocks. `None` where TLS is not spoken.
    pub(super) fn load(listener: &Listener) -> Result<Option<Self>, TlsError> {
        let Some(config) = listener.security.tls.clone() else { return Ok(None) };
        let seen = stamps(&config);
        let Loaded { settings, lifetimes } = Loaded::read(&config)?;
        let (listener, settings) = (listener.endpoint.name.clone(), TlsSettings::new(settings));
        let tls = Self { listener, config, settings, seen, lifetimes, dates_looked_at: monotonic() };
        tls.warn_of_key();
        tls.warn_of_dates();
        Ok(Some(tls))
    }

    /// What the network layer goes by.
    pub(super) fn settings(&self) -> &Arc<TlsSettings> {
        &self.settings
    }

    /// Reads the files again if they have changed, and looks at dates once a day.
    fn follow(&mut self, now: Instant) {
        let stamps = stamps(&self.config);
        if stamps != self.seen {
            self.seen = stamps;
            self.read_again(now);
        } else if now.saturating_duration_since(self.dates_looked_at) >= DATES_INTERVAL {
            self.dates_looked_at = now;
            self.warn_of_dates();
        }
    }

    /// What cannot be used is said once and leaves things as they are.
    fn read_again(&mut self, now: Instant) {
        match Loaded::read(&self.config) {
            Ok(Loaded { settings, lifetimes }) => {
                self.settings.replace(settings);
                (self.lifetimes, self.dates_looked_at) = (lifetimes, now);
                tracing::info!("listener {}: new certificates, for connections from now on", self.listener);
                self.warn_of_key();
                self.warn_of_dates();
            }
            Err(error) => {
                tracing::error!(
                    "listener {}: changed certificates are not used, the old ones are: {error}",
                    self.listener
                );
            }
        }
    }

    fn warn_of_key(&self) {
        if let Some(warning) = others_read_key(&self.config.identity) {
            tracing::warn!("listener {}: {warning}", self.listener);
        }
    }

    fn warn_of_dates(&self) {
        let now = wall_clock_ms() / 1000;
        for warning in self.lifetimes.iter().filter_map(|lifetime| lifetime.warning(now)) {
            tracing::warn!("listener {}: {warning}", self.listener);
        }
    }
}

/// What is said where others than its owner may read the private key.
fn others_read_key(identity: &Identity) -> Option<String> {
    let path = key_file(identity)?;
    let is_open = fs::metadata(path).is_ok_and(|metadata| metadata.mode() & OTHERS != 0);
    is_open.then(|| {
        let path = path_word(path);
        format!("others than its owner may read the private key in {path} or write to it: chmod 600 {path}")
    })
}

/// Follows changes of files until the shutdown begins.
pub(super) async fn follow_files(mut listeners: Vec<ListenerTls>, shutdown: Shutdown) {
    while !listeners.is_empty() {
        tokio::select! {
            () = shutdown.begun() => return,
            () = sleep(LOOK_INTERVAL) => {}
        }
        let looked = tokio::task::spawn_blocking(move || {
            let now = monotonic();
            listeners.iter_mut().for_each(|listener| listener.follow(now));
            listeners
        });
        listeners = looked.await.expect("looking at files does not panic");
    }
}

fn stamps(config: &TlsConfig) -> Vec<Stamp> {
    config.pems().map(stamp).collect()
}

fn stamp(pem: &Pem) -> Stamp {
    let Pem::File(path) = pem else { return None };
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

impl Loaded {
    /// What rustls needs, from what the settings say.
    fn read(config: &TlsConfig) -> Result<Self, TlsError> {
        let provider = Arc::new(provider(&config.cipher_suites));
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions(&config.protocols))
            .map_err(TlsError::Protocols)?;
        let builder = match verifier(config, &provider)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let Material { chain, chain_place, key, key_place } =
            Material::read(&config.identity, config.key_password.as_ref())?;
        let (first, lifetimes) = (chain.first().cloned(), chain.iter().filter_map(Lifetime::of).collect());
        let settings = builder
            .with_single_cert(chain, key)
            .map_err(|error| unusable(chain_place, key_place, first.as_ref(), &error))?;
        Ok(Self { settings: Arc::new(settings), lifetimes })
    }
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
    let (certificates, place) = trusted(config.trusted.as_ref().ok_or(TlsError::NoTrust)?)?;
    let mut roots = RootCertStore::empty();
    for (before, certificate) in certificates.into_iter().enumerate() {
        roots.add(certificate.clone()).map_err(|error| {
            let reason = certificate_reason(Some(&certificate), &error);
            TlsError::Certificate { place: place.clone(), number: before + 1, reason }
        })?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = match config.client_auth {
        ClientAuth::Requested => builder.allow_unauthenticated(),
        ClientAuth::None | ClientAuth::Required => builder,
    };
    builder.build().map(Some).map_err(|error| TlsError::Trust { place, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, path::Path};

    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::config::{key::Secret, security::PrincipalRules};

    /// A key that opens by another password than the one tried.
    const WRONG: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAh9kH1qEIbRVgICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEENW7gkRsTfQFY0Y7Zo9oNkwEgZDG
rQ0gnL7MLp7aA2QKapJZJo7s0ZSnM18GkMK/fPbcQkpZdu6q9irq6BEh6FU5ywpi
att7/w/Eu7SeYMZz5rIf/8xGbrnrPlgYIumlO1mC3mWPmogyGWngq7OgiLA0b6UM
PtzhUBgx4HZQCgTEZ99v1jGDwAx9SvLhiXNh1I+INxr7tGlOEtwp45jG730prWA=
-----END ENCRYPTED PRIVATE KEY-----";

    fn store(path: &Path) -> TlsConfig {
        TlsConfig {
            identity: Identity::Store(Pem::File(path.to_owned())),
            key_password: None,
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
            Loaded::read(&store(&path)).err().expect("not usable").to_string()
        };
        let whole = pem();
        let (certificate, key) = whole.split_at(whole.find("-----BEGIN PRIVATE").expect("a key"));
        for (text, expected) in [("", "no certificate"), (key, "no certificate"), (certificate, "no private key")] {
            let said = said(text);
            assert!(said.starts_with("ssl.keystore.location: ") && said.contains(expected), "{said}");
            assert!(said.contains("server.pem"), "{said}");
        }
        let other = pem();
        let of_another = said(&(certificate.to_owned() + &other[other.find("-----BEGIN PRIVATE").expect("a key")..]));
        let place = path.display();
        assert!(of_another.contains(&format!("the key in {place} does not belong to the certificate in {place}")));
        let cut = |text: &str| text[..text.len() - 30].to_owned();
        for (text, expected) in [
            (cut(&whole), "-----END PRIVATE KEY----- is missing"),
            (cut(certificate), "-----END CERTIFICATE----- is missing"),
            (whole.replace("MII", "M~~"), "there is no base64"),
            (certificate.replace("MII", "AAA") + key, "certificate 1 cannot be used: it is none of X.509"),
            (certificate.to_owned() + &key.replacen("MIG", "AAA", 1), "the private key cannot be used: RSA of 2048"),
            (whole.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), "(umask 077; openssl pkey -in "),
        ] {
            let said = said(&text);
            assert!(said.contains(expected) && said.contains("server.pem"), "{said}");
        }
        let with_password = |text: &str| {
            fs::write(&path, text).expect("written");
            let config = TlsConfig { key_password: Some(Secret::new("hunter2")), ..store(&path) };
            Loaded::read(&config).err().expect("not usable").to_string()
        };
        for (text, expected) in [
            (&*whole, "is not encrypted: leave out ssl.key.password"),
            (certificate, "no private key"),
            (&(certificate.to_owned() + WRONG), "ssl.key.password does not open the private key"),
            (&(certificate.to_owned() + "Proc-Type: 4,ENCRYPTED"), "decrypt it: (umask 077; openssl pkey -in "),
        ] {
            let said = with_password(text);
            assert!(said.starts_with("ssl.keystore.location: ") && said.contains("server.pem"), "{said}");
            assert!(said.contains(expected) && !said.contains("hunter2") && !said.contains('\n'), "{said}");
        }
        let missing = Loaded::read(&store(&directory.path().join("none"))).err().expect("no file").to_string();
        assert!(missing.contains("No such file"), "{missing}");
        let required = TlsConfig { client_auth: ClientAuth::Required, ..store(&path) };
        assert!(matches!(Loaded::read(&required), Err(TlsError::NoTrust)));
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
        let Loaded { settings: first, lifetimes } = Loaded::read(&config).expect("usable");
        let (seen, now) = (stamps(&config), monotonic());
        let settings = TlsSettings::new(Arc::clone(&first));
        let listener = "SSL".to_owned();
        let mut tls = ListenerTls { listener, config, settings, seen, lifetimes, dates_looked_at: now };
        let is_first = |tls: &ListenerTls| Arc::ptr_eq(&tls.settings.current(), &first);
        tls.follow(now);
        assert!(is_first(&tls), "nothing has changed");
        write("not a certificate");
        tls.follow(now);
        assert!(is_first(&tls));
        write(&pem());
        tls.follow(now);
        assert!(!is_first(&tls));
        tls.follow(now + DATES_INTERVAL - Duration::from_secs(1));
        assert_eq!(tls.dates_looked_at, now);
        tls.follow(now + DATES_INTERVAL);
        assert_eq!(tls.dates_looked_at, now + DATES_INTERVAL);
    }

    #[test]
    fn a_key_that_others_may_read_is_told_with_the_command_that_ends_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("the server.pem");
        fs::write(&path, pem()).expect("written");
        let said = |mode| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("the mode is set");
            others_read_key(&store(&path).identity)
        };
        assert_eq!(said(0o600), None);
        assert_eq!(said(0o400), None);
        for mode in [0o640, 0o604, 0o644] {
            let said = said(mode).expect("a warning");
            assert!(said.ends_with(&format!("chmod 600 '{}'", path.display())), "{said}");
        }
    }
}
