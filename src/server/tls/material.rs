//! Certificates and keys in PEM, and what can be wrong with them.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use rustls::pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{Error as PemError, PemObject},
};
use x509_parser::{
    certificate::X509Certificate,
    prelude::{FromDer, X509Version},
};
use zeroize::Zeroizing;

use super::encrypted_key::{self, EncryptedKey, OpenError};
use crate::{
    config::{
        key::Secret,
        security::{Identity, Pem},
    },
    shell::shell_word,
};

/// The longest label of a PEM marker that is repeated. A longer one is none, and could be anything.
const LABEL_LENGTH_MAX: usize = 40;

/// Why TLS cannot be spoken. The texts name the setting that is to be changed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum TlsError {
    #[error("{place}: {source}")]
    Unreadable { place: Place, source: io::Error },
    #[error("{0}: no certificate in PEM (-----BEGIN CERTIFICATE-----) is there")]
    NoCertificate(Place),
    #[error(
        "{0}: no private key in PEM is there that can be used: -----BEGIN PRIVATE KEY----- (PKCS#8), RSA PRIVATE KEY or \
         EC PRIVATE KEY"
    )]
    NoKey(Place),
    #[error("{place}: the private key is encrypted: set ssl.key.password, or decrypt it: {}", decryption(.place))]
    EncryptedKey { place: Place },
    #[error(
        "{place}: the private key is encrypted in a way that is not read: PKCS#8 by PBES2 with AES is, but not with SHA-1; \
         decrypt it: {}",
        decryption(.place)
    )]
    KeyEncryption { place: Place },
    #[error(
        "{place}: to open the private key takes too long or too much memory: PBKDF2 may hash 10,000,000 times, scrypt may \
         take 256 MiB; decrypt it: {}",
        decryption(.place)
    )]
    CostlyKey { place: Place },
    #[error("{0}: ssl.key.password does not open the private key: it is wrong, or the key is damaged")]
    KeyPassword(Place),
    #[error("{0}: the private key is not encrypted: leave out ssl.key.password")]
    NeedlessPassword(Place),
    #[error("{place}: not PEM: {reason}")]
    NotPem { place: Place, reason: String },
    #[error(
        "{certificate}: the key in {} does not belong to the certificate in {}; the first one must be the broker's own",
        .key.name(),
        .certificate.name()
    )]
    OtherKey { certificate: Place, key: Place },
    #[error("{place}: certificate {number} cannot be used: {reason}")]
    Certificate { place: Place, number: usize, reason: String },
    #[error("{0}: the private key cannot be used: RSA of 2048 to 4096 bits, ECDSA on P-256 or P-384, and Ed25519 can")]
    Key(Place),
    #[error("ssl.enabled.protocols or ssl.cipher.suites leave nothing that can be spoken: {0}")]
    Protocols(rustls::Error),
    #[error("ssl.client.auth asks for certificates, and ssl.truststore.* has none to check them by")]
    NoTrust,
    #[error("{place}: the certificates cannot be used: {reason}")]
    Trust { place: Place, reason: String },
}

/// Where a text in PEM was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    key: &'static str,
    /// `None` where the text is the value itself.
    path: Option<PathBuf>,
}

impl Place {
    fn new(key: &'static str, pem: &Pem) -> Self {
        Self { key, path: pem.path().cloned() }
    }

    /// What holds the text, in a sentence.
    fn name(&self) -> String {
        self.path.as_ref().map_or_else(|| format!("the value of {}", self.key), |path| path.display().to_string())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key)?;
        self.path.as_ref().map_or(Ok(()), |path| write!(f, ": {}", path.display()))
    }
}

/// The broker's certificates, and its key.
pub(super) struct Material {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) chain_place: Place,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) key_place: Place,
}

impl Material {
    /// Takes the time that an encrypted key was made to take.
    pub(super) fn read(identity: &Identity, password: Option<&Secret>) -> Result<Self, TlsError> {
        let (chain, key) = texts(identity);
        Ok(Self {
            chain: certificates(chain.0, chain.1)?,
            chain_place: Place::new(chain.0, chain.1),
            key: private_key(key.0, key.1, password)?,
            key_place: Place::new(key.0, key.1),
        })
    }
}

/// The texts with the chain and with the key, each with the setting that says it.
fn texts(identity: &Identity) -> ((&'static str, &Pem), (&'static str, &Pem)) {
    const STORE: &str = "ssl.keystore.location";
    match identity {
        Identity::Store(store) => ((STORE, store), (STORE, store)),
        Identity::Parts { chain, key } => (("ssl.keystore.certificate.chain", chain), ("ssl.keystore.key", key)),
    }
}

/// The file with the key, where it is in one.
pub(super) fn key_file(identity: &Identity) -> Option<&PathBuf> {
    let (_, (_, key)) = texts(identity);
    key.path()
}

/// The certificates by which those of clients are checked.
pub(super) fn trusted(pem: &Pem) -> Result<(Vec<CertificateDer<'static>>, Place), TlsError> {
    let key = match pem {
        Pem::File(_) => "ssl.truststore.location",
        Pem::Inline(_) => "ssl.truststore.certificates",
    };
    Ok((certificates(key, pem)?, Place::new(key, pem)))
}

fn certificates(key: &'static str, pem: &Pem) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let place = Place::new(key, pem);
    let text = read(&place, pem)?;
    let not_pem = |error| TlsError::NotPem { place: place.clone(), reason: pem_reason(&error) };
    let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>().map_err(not_pem)?;
    if certificates.is_empty() { Err(TlsError::NoCertificate(place)) } else { Ok(certificates) }
}

fn private_key(key: &'static str, pem: &Pem, password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, TlsError> {
    let place = Place::new(key, pem);
    let text = Zeroizing::new(read(&place, pem)?);
    match (EncryptedKey::find(&text), password) {
        (Some(encrypted), Some(password)) => open(place, &encrypted, password),
        (None, Some(_)) => plain_key(&place, &text).and(Err(TlsError::NeedlessPassword(place))),
        // One that is not encrypted may stand beside it.
        (Some(EncryptedKey::Legacy), None) => plain_key(&place, &text).map_err(|_| TlsError::KeyEncryption { place }),
        (Some(_), None) => plain_key(&place, &text).map_err(|_| TlsError::EncryptedKey { place }),
        (None, None) => plain_key(&place, &text),
    }
}

fn plain_key(place: &Place, text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        PemError::NoItemsFound => TlsError::NoKey(place.clone()),
        error => TlsError::NotPem { place: place.clone(), reason: pem_reason(&error) },
    })
}

fn open(place: Place, encrypted: &EncryptedKey, password: &Secret) -> Result<PrivateKeyDer<'static>, TlsError> {
    let encrypted = match encrypted {
        EncryptedKey::Pkcs8(encrypted) => encrypted,
        EncryptedKey::NotPem(reason) => return Err(TlsError::NotPem { place, reason: (*reason).to_owned() }),
        EncryptedKey::Legacy => return Err(TlsError::KeyEncryption { place }),
    };
    encrypted_key::open(encrypted, password).map(PrivateKeyDer::from).map_err(|error| match error {
        OpenError::Form => TlsError::KeyEncryption { place },
        OpenError::Cost => TlsError::CostlyKey { place },
        OpenError::Password => TlsError::KeyPassword(place),
    })
}

fn read(place: &Place, pem: &Pem) -> Result<Vec<u8>, TlsError> {
    pem.read().map_err(|source| TlsError::Unreadable { place: place.clone(), source })
}

/// How to get a key that can be used. The certificates of a store go with it.
fn decryption(place: &Place) -> String {
    let Some(path) = &place.path else { return "openssl pkey decrypts it".to_owned() };
    let from = shell_word(&path.display().to_string());
    let to = shell_word(&format!("{}.plain", path.display()));
    if place.key == "ssl.keystore.key" {
        return format!("(umask 077; openssl pkey -in {from} -out {to})");
    }
    format!("(umask 077; openssl pkey -in {from} -out {to} && sed -n '/BEGIN CERT/,/END CERT/p' {from} >> {to})")
}

fn pem_reason(error: &PemError) -> String {
    match error {
        PemError::MissingSectionEnd { end_marker } => match label(end_marker) {
            Some(label) => format!("-----END {label}----- is missing, so the end was cut off"),
            None => "an -----END …----- is missing".to_owned(),
        },
        PemError::IllegalSectionStart { .. } => "a line that begins with -----BEGIN does not end with -----".to_owned(),
        PemError::Base64Decode(_) => "between -----BEGIN …----- and -----END …----- there is no base64".to_owned(),
        PemError::SectionTooLarge => "it is too large".to_owned(),
        error => error.to_string(),
    }
}

/// The label of a marker as it may be repeated.
fn label(marker: &[u8]) -> Option<&str> {
    let is_label = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ';
    let label = std::str::from_utf8(marker).ok()?;
    (label.len() <= LABEL_LENGTH_MAX && marker.iter().all(is_label)).then_some(label)
}

/// Why rustls does not take a certificate and its key.
pub(super) fn unusable(
    chain: Place,
    key: Place,
    first: Option<&CertificateDer<'_>>,
    error: &rustls::Error,
) -> TlsError {
    match error {
        rustls::Error::InconsistentKeys(_) => TlsError::OtherKey { certificate: chain, key },
        rustls::Error::InvalidCertificate(error) => {
            TlsError::Certificate { place: chain, number: 1, reason: certificate_reason(first, error) }
        }
        _ => TlsError::Key(key),
    }
}

/// The same of a certificate alone.
pub(super) fn certificate_reason(certificate: Option<&CertificateDer<'_>>, error: &dyn fmt::Display) -> String {
    match certificate.map(|certificate| X509Certificate::from_der(certificate)) {
        Some(Err(_)) => "it is none of X.509".to_owned(),
        Some(Ok((_, parsed))) if parsed.version() != X509Version::V3 => {
            format!("it is of version {} of X.509, and only version 3 is taken", parsed.version().0.saturating_add(1))
        }
        Some(Ok(_)) | None => error.to_string(),
    }
}

/// The path as a word of a shell.
pub(super) fn path_word(path: &Path) -> String {
    shell_word(&path.display().to_string())
}
