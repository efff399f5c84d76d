//! What clients need where not everybody is let in: certificates, TLS, and the client's side of SASL.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use ottla::protocol::{
    error_code::ErrorCode,
    messages::{
        AlterUserScramCredentialsRequest, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
        SaslHandshakeResponse, alter_user_scram_credentials_request::ScramCredentialDeletion,
    },
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use sha2::{Digest, Sha256, Sha512};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::{RawClient, error, within};

/// An authority, and a directory with what it has issued.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

/// A certificate with its key, in PEM.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let directory = TempDir::new().expect("a directory");
        let authority = Self { issuer, directory };
        authority.write("ca.pem", &authority.issuer.pem());
        authority.write_server(&authority.server());
        authority
    }

    /// A certificate for the broker on this machine.
    pub(crate) fn server(&self) -> Issued {
        self.issue(CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names"))
    }

    /// A certificate for a client: organisation and common name.
    pub(crate) fn client(&self, organisation: &str, name: &str) -> Issued {
        self.issue(Self::subject(organisation, name))
    }

    /// The same, of the past.
    pub(crate) fn expired_client(&self, name: &str) -> Issued {
        let mut params = Self::subject("Example", name);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        self.issue(params)
    }

    fn subject(organisation: &str, name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, organisation);
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    fn issue(&self, params: CertificateParams) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Puts a certificate where the broker looks for its own.
    pub(crate) fn write_server(&self, issued: &Issued) {
        self.write("server.pem", &format!("{}{}", issued.certificate, issued.key));
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let (path, whole) = (self.path().join(name), self.path().join("new"));
        fs::write(&whole, text).expect("a directory that can be written to");
        fs::rename(&whole, &path).expect("the same directory");
        path
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The settings by which a broker has a certificate.
    pub(crate) fn settings(&self) -> Vec<String> {
        let file = |name| self.path().join(name).display().to_string();
        vec!["ssl.keystore.type=PEM".to_owned(), format!("ssl.keystore.location={}", file("server.pem"))]
    }

    /// The settings by which a broker checks certificates of clients.
    pub(crate) fn trusted(&self) -> Vec<String> {
        let file = self.path().join("ca.pem").display().to_string();
        vec!["ssl.truststore.type=PEM".to_owned(), format!("ssl.truststore.location={file}")]
    }

    /// A client that trusts this authority.
    pub(crate) fn trusting(&self) -> TlsClient {
        let root = CertificateDer::from_pem_slice(self.issuer.pem().as_bytes()).expect("a certificate");
        TlsClient { root, identity: None, only_tls_1_2: false }
    }
}

/// How a client speaks TLS.
#[derive(Clone)]
pub(crate) struct TlsClient {
    root: CertificateDer<'static>,
    identity: Option<Issued>,
    only_tls_1_2: bool,
}

impl TlsClient {
    pub(crate) fn with(mut self, identity: &Issued) -> Self {
        self.identity = Some(identity.clone());
        self
    }

    pub(crate) fn only_tls_1_2(mut self) -> Self {
        self.only_tls_1_2 = true;
        self
    }

    pub(crate) async fn connect(&self, address: SocketAddr) -> RawClient {
        RawClient::over(self.try_connect(address).await.expect("TLS"))
    }

    pub(crate) async fn try_connect(&self, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = within(TcpStream::connect(address)).await.expect("the broker listens");
        let name = ServerName::try_from("localhost").expect("a name");
        within(TlsConnector::from(self.config()).connect(name, stream)).await
    }

    /// A client that says this together with the end of its handshake.
    pub(crate) async fn connect_saying(&self, address: SocketAddr, early: &[u8]) -> RawClient {
        let stream = within(TcpStream::connect(address)).await.expect("the broker listens");
        let name = ServerName::try_from("localhost").expect("a name");
        let say = |session: &mut ClientConnection| session.writer().write_all(early).expect("room for it");
        let connecting = TlsConnector::from(self.config()).connect_with(name, stream, say);
        RawClient::over(within(connecting).await.expect("TLS"))
    }

    fn config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("an authority");
        let versions: &[_] = if self.only_tls_1_2 { &[&TLS12] } else { &[&TLS13, &TLS12] };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        let config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(Issued { certificate, key }) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate")];
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
                builder.with_client_auth_cert(chain, key).expect("an identity")
            }
        };
        Arc::new(config)
    }
}

/// SASL from the client's side.
impl RawClient {
    pub(crate) async fn handshake(&mut self, mechanism: &str, version: i16) -> SaslHandshakeResponse {
        let request = SaslHandshakeRequest { mechanism: mechanism.into() };
        self.call(&request, version).await
    }

    /// Takes a credential of a user away.
    pub(crate) async fn delete_user(&mut self, name: &str, mechanism: i8) -> ErrorCode {
        let deletion = ScramCredentialDeletion { name: name.into(), mechanism, ..ScramCredentialDeletion::default() };
        let request = AlterUserScramCredentialsRequest {
            deletions: vec![deletion],
            ..AlterUserScramCredentialsRequest::default()
        };
        error(self.call(&request, 0).await.results[0].error_code)
    }

    pub(crate) async fn token(&mut self, token: &[u8]) -> SaslAuthenticateResponse {
        self.call(&token_request(token), 2).await
    }

    /// Chooses the mechanism and says name and password; the answer to the last token.
    pub(crate) async fn authenticate(&mut self, login: &Login<'_>) -> SaslAuthenticateResponse {
        assert_eq!(self.handshake(login.mechanism, 1).await.error_code, 0);
        if login.mechanism == "PLAIN" {
            return self.token(&login.plain()).await;
        }
        let first = self.token(&login.first()).await;
        if first.error_code != 0 {
            return first;
        }
        let (token, signature) = login.last(&first.auth_bytes);
        let last = self.token(&token).await;
        if last.error_code == 0 {
            assert_eq!(last.auth_bytes, signature, "the broker knows the password too");
        }
        last
    }

    /// The same with tokens as frames of their own.
    pub(crate) async fn authenticate_raw(&mut self, login: &Login<'_>) {
        assert_eq!(self.handshake(login.mechanism, 0).await.error_code, 0);
        if login.mechanism == "PLAIN" {
            self.send_frame(&login.plain()).await;
            assert!(self.receive_frame().await.is_empty());
            return;
        }
        self.send_frame(&login.first()).await;
        let challenge = self.receive_frame().await;
        let (token, signature) = login.last(&challenge);
        self.send_frame(&token).await;
        assert_eq!(self.receive_frame().await, signature);
    }
}

pub(crate) fn token_request(token: &[u8]) -> SaslAuthenticateRequest {
    SaslAuthenticateRequest { auth_bytes: Bytes::copy_from_slice(token), ..SaslAuthenticateRequest::default() }
}

/// Who a client says it is, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Login<'a> {
    pub(crate) mechanism: &'a str,
    pub(crate) name: &'a str,
    pub(crate) password: &'a str,
}

/// The client's nonce.
const NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";

impl Login<'_> {
    pub(crate) fn plain(&self) -> Vec<u8> {
        format!("\0{}\0{}", self.name, self.password).into_bytes()
    }

    pub(crate) fn first(&self) -> Vec<u8> {
        format!("n,,{}", self.first_bare()).into_bytes()
    }

    fn first_bare(&self) -> String {
        format!("n={},r={NONCE}", self.name.replace('=', "=3D").replace(',', "=2C"))
    }

    /// The nonce of a challenge, which has the client's in front.
    pub(crate) fn nonce(challenge: &[u8]) -> (&str, &str) {
        let challenge = std::str::from_utf8(challenge).expect("text");
        let (nonce, _) = challenge.strip_prefix("r=").and_then(|rest| rest.split_once(',')).expect("a nonce");
        assert!(nonce.starts_with(NONCE) && nonce.len() >= NONCE.len() + 20, "{nonce}");
        nonce.split_at(NONCE.len())
    }

    /// The proof that answers a challenge, and what the broker should say to it.
    pub(crate) fn last(&self, challenge: &[u8]) -> (Vec<u8>, Bytes) {
        let (of_client, of_server) = Self::nonce(challenge);
        self.last_with(challenge, &format!("{of_client}{of_server}"))
    }

    /// The same with another nonce, which the proof is about.
    pub(crate) fn last_with(&self, challenge: &[u8], nonce: &str) -> (Vec<u8>, Bytes) {
        let challenge = std::str::from_utf8(challenge).expect("text");
        let part = |prefix| challenge.split(',').find_map(|part| part.strip_prefix(prefix)).expect("a part");
        let salt = STANDARD.decode(part("s=")).expect("base64");
        let iterations = part("i=").parse().expect("a number");
        let unproved = format!("c=biws,r={nonce}");
        let signed = format!("{},{challenge},{unproved}", self.first_bare());
        let (proof, signature) = match self.mechanism {
            "SCRAM-SHA-256" => {
                let mut salted = [0; 32];
                pbkdf2::pbkdf2::<Hmac<Sha256>>(self.password.as_bytes(), &salt, iterations, &mut salted)
                    .expect("a length");
                proof(&salted, &signed, hmac256, |key| Sha256::digest(key).to_vec())
            }
            "SCRAM-SHA-512" => {
                let mut salted = [0; 64];
                pbkdf2::pbkdf2::<Hmac<Sha512>>(self.password.as_bytes(), &salt, iterations, &mut salted)
                    .expect("a length");
                proof(&salted, &signed, hmac512, |key| Sha512::digest(key).to_vec())
            }
            other => panic!("{other} has no proof"),
        };
        let token = format!("{unproved},p={}", STANDARD.encode(proof));
        (token.into_bytes(), format!("v={}", STANDARD.encode(signature)).into())
    }
}

fn proof(
    salted: &[u8],
    signed: &str,
    mac: fn(&[u8], &[u8]) -> Vec<u8>,
    hash: fn(&[u8]) -> Vec<u8>,
) -> (Vec<u8>, Vec<u8>) {
    let client_key = mac(salted, b"Client Key");
    let client_signature = mac(&hash(&client_key), signed.as_bytes());
    let proof = client_key.iter().zip(client_signature).map(|(key, signature)| key ^ signature).collect();
    (proof, mac(&mac(salted, b"Server Key"), signed.as_bytes()))
}

fn hmac256(key: &[u8], text: &[u8]) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).expect("any length").chain_update(text).finalize().into_bytes().to_vec()
}

fn hmac512(key: &[u8], text: &[u8]) -> Vec<u8> {
    Hmac::<Sha512>::new_from_slice(key).expect("any length").chain_update(text).finalize().into_bytes().to_vec()
}
