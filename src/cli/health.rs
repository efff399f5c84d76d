//! `ottla health`: whether a broker is ready, for containers and scripts.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    process::ExitCode,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use clap::Args;

use self::tls::KnownServer;
use super::broker::{self, BrokerArgs};
use crate::{
    clock::monotonic,
    config::{
        ConfigError,
        listener::{Endpoint, Listener},
    },
    protocol::{
        frame::{FrameError, SIZE_PREFIX, frame_size},
        message::{Message, Request},
        messages::{ApiVersionsRequest, ApiVersionsResponse, RequestHeader, ResponseHeader},
        wire::{DecodeError, EncodeError, Reader, Writer},
    },
};

mod tls;

/// The version that every broker answers, before it knows who asks.
const VERSION: i16 = 0;
/// Ties the answer to the question.
const CORRELATION_ID: i32 = 1;
/// The most bytes that are taken for an answer: a broker's is well below 1 KiB.
const ANSWER_MAX: usize = 64 * 1024;

/// How what TLS says begins: the type of a record, and the version.
const TLS_ALERT: u8 = 0x15;
const TLS_HANDSHAKE: u8 = 0x16;
const TLS_MAJOR: u8 = 3;

/// Arguments of `ottla health`.
#[derive(Args, Clone, Debug)]
#[command(
    about = "Says whether a broker is ready",
    long_about = "Says in one line whether a broker is ready: it accepts connections and answers. The exit status is 0 \
                  if it is and 1 if not. It works before authentication. A listener without TLS is asked if there is \
                  one; of one with TLS, the certificate of the settings is expected.",
    after_help = EXAMPLES
)]
pub struct HealthArgs {
    /// Where the broker is, by a listener without TLS [default: the first listener that the settings below, the
    /// environment and --config name, on this machine]
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["listen", "tls", "config"])]
    connect: Option<String>,

    /// How long it may take to answer
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    timeout: Duration,

    #[command(flatten)]
    broker: BrokerArgs,
}

const EXAMPLES: &str = "\
Examples:
  ottla health
  ottla health --connect broker.example:9092 --timeout 2";

/// Why a broker is not ready.
#[derive(Debug, thiserror::Error)]
enum NotReady {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the port of the first listener is chosen at the start: --connect HOST:PORT says where it is")]
    NoPort,
    #[error("the certificate of the first listener: {0}")]
    Certificate(io::Error),
    #[error("{address}: {source}")]
    Unreachable { address: String, source: io::Error },
    #[error("{address}: no answer within {} seconds", .timeout.as_secs_f64())]
    Silent { address: String, timeout: Duration },
    #[error("{address}: the connection was closed without an answer")]
    Closed { address: String },
    #[error("{address}: what answers is not a Kafka broker ({reason})")]
    Foreign { address: String, reason: String },
    #[error(
        "{address}: it speaks TLS: without --connect, the listener of the broker's own settings is asked, as in --listen \
         SSL://HOST:PORT --tls FILE"
    )]
    SpeaksTls { address: String },
    #[error("{address}: the broker answers with error {code}")]
    Refused { address: String, code: i16 },
}

/// Why a question has no answer, wherever it was asked.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Size(#[from] FrameError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("the answer is to request {0}")]
    OtherRequest(i32),
    #[error("the answer is a record of TLS")]
    SpeaksTls,
}

impl HealthArgs {
    /// Asks, and writes the line.
    pub fn run(
        self,
        environment: impl Iterator<Item = (String, String)>,
        mut output: impl Write,
    ) -> anyhow::Result<ExitCode> {
        let asked = self.target(environment).and_then(|target| {
            target.ask(self.timeout)?;
            Ok(target.address)
        });
        match &asked {
            Ok(address) => writeln!(output, "ready: {address}")?,
            Err(reason) => writeln!(output, "not ready: {reason}")?,
        }
        output.flush()?;
        Ok(if asked.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn target(&self, environment: impl Iterator<Item = (String, String)>) -> Result<Target, NotReady> {
        if let Some(address) = &self.connect {
            return Ok(Target { address: address.clone(), tls: None });
        }
        let (config, _) = broker::load(self.broker.clone(), environment)?;
        let Listener { endpoint, security, .. } = easiest(&config.listeners);
        if endpoint.port == 0 {
            return Err(NotReady::NoPort);
        }
        let tls = security.tls.as_ref().map(KnownServer::new).transpose().map_err(NotReady::Certificate)?;
        Ok(Target { address: reachable(endpoint), tls: tls.map(Arc::new) })
    }
}

/// The first listener without TLS, or else the first.
fn easiest(listeners: &[Listener]) -> &Listener {
    let plain = listeners.iter().find(|listener| listener.security.tls.is_none());
    plain.or_else(|| listeners.first()).expect("there is always a listener")
}

/// Whom to ask.
struct Target {
    address: String,
    tls: Option<Arc<KnownServer>>,
}

/// Where an endpoint of this machine is reached from this machine.
fn reachable(endpoint: &Endpoint) -> String {
    let host = match endpoint.host.as_deref() {
        None | Some("" | "0.0.0.0") => "127.0.0.1",
        Some("::") => "::1",
        Some(host) => host,
    };
    let port = endpoint.port;
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl Target {
    fn ask(&self, timeout: Duration) -> Result<(), NotReady> {
        let owned = || self.address.clone();
        let deadline = monotonic() + timeout;
        let socket = connect(&self.address, deadline).map_err(|source| match source.kind() {
            io::ErrorKind::TimedOut => NotReady::Silent { address: owned(), timeout },
            _ => NotReady::Unreachable { address: owned(), source },
        })?;
        let response = match self.exchange(Timed { socket: &socket, deadline }) {
            // It will not talk to us, which is how it should be.
            Err(_) if self.tls.as_ref().is_some_and(|tls| tls.turns_away()) => return Ok(()),
            exchanged => exchanged.map_err(|failure| self.not_ready(failure, timeout))?,
        };
        match response.error_code {
            0 => Ok(()),
            code => Err(NotReady::Refused { address: owned(), code }),
        }
    }

    fn exchange(&self, mut socket: Timed<'_>) -> Result<ApiVersionsResponse, Failure> {
        match &self.tls {
            None => exchange(&mut socket),
            Some(tls) => exchange(&mut rustls::Stream::new(&mut tls.connection()?, &mut socket)),
        }
    }

    fn not_ready(&self, failure: Failure, timeout: Duration) -> NotReady {
        let address = self.address.clone();
        match failure {
            Failure::Io(error) => match error.kind() {
                io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => NotReady::Silent { address, timeout },
                io::ErrorKind::UnexpectedEof => NotReady::Closed { address },
                io::ErrorKind::InvalidData => NotReady::Foreign { address, reason: error.to_string() },
                _ => NotReady::Unreachable { address, source: error },
            },
            Failure::SpeaksTls => NotReady::SpeaksTls { address },
            other => NotReady::Foreign { address, reason: other.to_string() },
        }
    }
}

/// Tries every address that the name has.
fn connect(address: &str, deadline: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let name = address.to_owned();
    let addresses = found_by(deadline, move || Ok(name.to_socket_addrs()?.collect()))?;
    for address in addresses {
        match connect_to(&address, deadline) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The addresses that are found by the deadline. The system's resolver knows none, so that the look-up is left to itself then.
fn found_by(
    deadline: Instant,
    look_up: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
) -> io::Result<Vec<SocketAddr>> {
    let (sender, receiver) = mpsc::channel();
    // Nobody receives it after the deadline.
    thread::Builder::new().spawn(move || drop(sender.send(look_up())))?;
    receiver.recv_timeout(left(deadline)?).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn connect_to(address: &SocketAddr, deadline: Instant) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(address, left(deadline)?)
}

fn exchange(stream: &mut (impl Read + Write)) -> Result<ApiVersionsResponse, Failure> {
    stream.write_all(&request()?)?;
    stream.flush()?;
    let mut prefix = [0; SIZE_PREFIX];
    stream.read_exact(&mut prefix)?;
    if let [TLS_ALERT | TLS_HANDSHAKE, TLS_MAJOR, ..] = prefix {
        return Err(Failure::SpeaksTls);
    }
    let mut answer = vec![0; frame_size(prefix, ANSWER_MAX)?];
    stream.read_exact(&mut answer)?;
    let answer = Bytes::from(answer);
    let mut r = Reader::new(&answer);
    let header = ResponseHeader::decode(&mut r, ApiVersionsRequest::KEY.response_header_version(VERSION))?;
    if header.correlation_id != CORRELATION_ID {
        return Err(Failure::OtherRequest(header.correlation_id));
    }
    Ok(ApiVersionsResponse::decode(&mut r, VERSION)?)
}

/// The frame of an ApiVersions request.
fn request() -> Result<Vec<u8>, EncodeError> {
    let key = ApiVersionsRequest::KEY;
    let header = RequestHeader {
        request_api_key: key.code(),
        request_api_version: VERSION,
        correlation_id: CORRELATION_ID,
        client_id: Some("ottla health".into()),
        ..RequestHeader::default()
    };
    let mut w = Writer::new();
    header.encode(&mut w, key.request_header_version(VERSION))?;
    ApiVersionsRequest::default().encode(&mut w, VERSION)?;
    let content = w.into_bytes();
    let size = u32::try_from(content.len()).expect("a request of some bytes");
    Ok([&size.to_be_bytes(), &content[..]].concat())
}

/// A socket that fails at the deadline, however slowly bytes come and go.
struct Timed<'a> {
    socket: &'a TcpStream,
    deadline: Instant,
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(left(self.deadline)?))?;
        self.socket.read(buffer)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(left(self.deadline)?))?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// The time that is left. None is an error, which a time-out of zero would be too.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(monotonic());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// A number of seconds, with a fraction if need be.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let allowed = |timeout: &Duration| !timeout.is_zero() && *timeout <= Duration::from_hours(1);
    seconds.filter(allowed).ok_or_else(|| "more than 0 and up to 3600 seconds are allowed, as in 2 or 0.5".to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use base64::{Engine, engine::general_purpose::STANDARD};

    use super::*;
    use crate::config::{
        key::Secret,
        security::{ClientAuth, Identity, Pem, PrincipalRules, TlsConfig},
    };

    fn endpoint(host: Option<&str>) -> Endpoint {
        Endpoint { name: "PLAINTEXT".to_owned(), host: host.map(str::to_owned), port: 9092 }
    }

    #[test]
    fn every_interface_is_reached_on_the_loopback_one() {
        let cases = [
            (None, "127.0.0.1:9092"),
            (Some("0.0.0.0"), "127.0.0.1:9092"),
            (Some("::"), "[::1]:9092"),
            (Some("fe80::1"), "[fe80::1]:9092"),
            (Some("broker.example"), "broker.example:9092"),
        ];
        for (host, expected) in cases {
            assert_eq!(reachable(&endpoint(host)), expected);
        }
    }

    #[test]
    fn seconds_have_a_fraction_and_an_end() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "-1", "NaN", "inf", "3601", "x", ""] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_is_not_looked_up_for_longer_than_it_may_take() {
        let (found, until_found) = mpsc::channel();
        let look_up = move || {
            until_found.recv().expect("it is found after the deadline");
            Ok(Vec::new())
        };
        let error = found_by(monotonic() + Duration::from_millis(20), look_up).expect_err("not found in time");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        found.send(()).expect("it was still looked up");
        let address = SocketAddr::from(([127, 0, 0, 1], 9092));
        let addresses = found_by(monotonic() + Duration::from_secs(60), move || Ok(vec![address]));
        assert_eq!(addresses.expect("found"), [address]);
    }

    /// What is said of somebody who answers a connection so.
    fn said_of(answer: &'static [u8], timeout: Duration) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.read_exact(&mut [0; 4]).expect("a request");
            stream.write_all(answer).expect("it can be written");
            // Whoever is to wait for more does until it goes away itself.
            if answer.len() > 4 && answer.len() < 8 {
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        let target = Target { address: address.clone(), tls: None };
        let failure = target.ask(timeout).expect_err("it is no broker").to_string();
        server.join().expect("the server ends");
        failure.replace(&address, "ADDRESS")
    }

    #[test]
    fn what_is_no_broker_is_not_ready() {
        let long = Duration::from_secs(20);
        let said = said_of(b"HTTP/1.1 400 Bad Request\r\n\r\n", long);
        assert!(said.starts_with("ADDRESS: what answers is not a Kafka broker ("), "{said}");
        let other = said_of(&[0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0], long);
        assert_eq!(other, "ADDRESS: what answers is not a Kafka broker (the answer is to request 2)");
        let refused = said_of(&[0, 0, 0, 10, 0, 0, 0, 1, 0, 35, 0, 0, 0, 0], long);
        assert_eq!(refused, "ADDRESS: the broker answers with error 35");
        assert_eq!(said_of(&[0, 0, 0, 10, 0], Duration::from_millis(50)), "ADDRESS: no answer within 0.05 seconds");
    }

    #[test]
    fn what_speaks_tls_is_told_from_what_is_no_broker() {
        for record in [&[0x15, 3, 3, 0, 2, 2, 10][..], &[0x16, 3, 1, 0, 200, 1, 0, 0]] {
            let expected = "ADDRESS: it speaks TLS: without --connect, the listener of the broker's own settings is \
                            asked, as in --listen SSL://HOST:PORT --tls FILE";
            assert_eq!(said_of(record, Duration::from_secs(20)), expected);
        }
    }

    #[test]
    fn an_address_goes_without_settings() {
        #[derive(Debug, clap::Parser)]
        struct Program {
            #[command(flatten)]
            health: HealthArgs,
        }
        let parse = |line: &str| <Program as clap::Parser>::try_parse_from(line.split_whitespace());
        for setting in ["--listen 127.0.0.1:2", "--tls /s.pem", "--config /f"] {
            let error = parse(&format!("health --connect 127.0.0.1:1 {setting}")).expect_err("a conflict").to_string();
            assert!(error.contains("cannot be used with"), "{error}");
        }
        let health = parse("health --connect 127.0.0.1:1 --timeout 1").expect("no conflict").health;
        assert_eq!(health.connect.as_deref(), Some("127.0.0.1:1"));
    }

    /// A certificate and its key.
    fn identity() -> (rustls::pki_types::CertificateDer<'static>, rcgen::KeyPair) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        (made.cert.der().clone(), made.signing_key)
    }

    /// What is said of a server with this certificate where that of the settings is expected.
    fn said_of_tls(shows_known: bool, client_auth: ClientAuth) -> Result<(), String> {
        let [(known, known_key), (other, other_key)] = [identity(), identity()];
        let (shown, key) = if shows_known { (known.clone(), known_key) } else { (other, other_key) };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let asks = client_auth == ClientAuth::Required;
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut tls = rustls::ServerConnection::new(server_config(shown, &key, asks)).expect("good settings");
            let mut tls = rustls::Stream::new(&mut tls, &mut stream);
            let answer = [0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            let _ = tls.read_exact(&mut [0; 4]).and_then(|()| tls.write_all(&answer));
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(&known));
        let config = TlsConfig {
            identity: Identity::Store(Pem::Inline(Secret::new(&pem))),
            key_password: None,
            trusted: None,
            client_auth,
            protocols: vec![],
            cipher_suites: vec![],
            principal_rules: PrincipalRules::default(),
        };
        let tls = Some(Arc::new(KnownServer::new(&config).expect("a certificate")));
        let asked = Target { address: address.clone(), tls }.ask(Duration::from_secs(20));
        server.join().expect("the server ends");
        asked.map_err(|error| error.to_string().replace(&address, "ADDRESS"))
    }

    fn server_config(
        certificate: rustls::pki_types::CertificateDer<'static>,
        key: &rcgen::KeyPair,
        asks: bool,
    ) -> Arc<rustls::ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().expect("good versions");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.clone()).expect("a certificate");
        let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = match asks {
            true => builder.with_client_cert_verifier(clients.build().expect("roots")),
            false => builder.with_no_client_auth(),
        };
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
        Arc::new(builder.with_single_cert(vec![certificate], key.into()).expect("they belong together"))
    }

    #[test]
    fn a_listener_with_tls_has_to_show_its_certificate() {
        assert_eq!(said_of_tls(true, ClientAuth::None), Ok(()));
        assert_eq!(said_of_tls(true, ClientAuth::Required), Ok(()), "we are turned away");
        let expected = "ADDRESS: what answers is not a Kafka broker (unexpected error: its certificate is not the one of \
                        the settings)";
        for client_auth in [ClientAuth::None, ClientAuth::Required] {
            assert_eq!(said_of_tls(false, client_auth), Err(expected.to_owned()));
        }
    }

    #[test]
    fn a_listener_without_tls_is_asked_first() {
        let target = |listeners: &str| {
            let environment = [
                ("KAFKA_LISTENERS", listeners),
                ("KAFKA_SASL_ENABLED_MECHANISMS", "SCRAM-SHA-256"),
                ("KAFKA_SSL_KEYSTORE_TYPE", "PEM"),
                ("KAFKA_SSL_KEYSTORE_LOCATION", "/no/such.pem"),
            ];
            let environment = environment.map(|(name, text)| (name.to_owned(), text.to_owned()));
            let args = HealthArgs { connect: None, timeout: Duration::from_secs(1), broker: BrokerArgs::default() };
            args.target(environment.into_iter()).map(|target| target.address).map_err(|error| error.to_string())
        };
        assert_eq!(target("SSL://127.0.0.1:1,SASL_PLAINTEXT://127.0.0.1:2"), Ok("127.0.0.1:2".to_owned()));
        let missing = "the certificate of the first listener: /no/such.pem: No such file or directory (os error 2)";
        assert_eq!(target("SSL://127.0.0.1:1"), Err(missing.to_owned()));
    }
}
