//! `ottla health`: whether a broker is ready, for containers and scripts.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    process::ExitCode,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use clap::Args;

use super::broker::{self, BrokerArgs};
use crate::{
    clock::monotonic,
    config::{ConfigError, listener::Endpoint},
    protocol::{
        frame::{FrameError, SIZE_PREFIX, frame_size},
        message::{Message, Request},
        messages::{ApiVersionsRequest, ApiVersionsResponse, RequestHeader, ResponseHeader},
        wire::{DecodeError, EncodeError, Reader, Writer},
    },
};

/// The version that every broker answers, before it knows who asks.
const VERSION: i16 = 0;
/// Ties the answer to the question.
const CORRELATION_ID: i32 = 1;
/// The most bytes that are taken for an answer: a broker's is well below 1 KiB.
const ANSWER_MAX: usize = 64 * 1024;

/// Arguments of `ottla health`.
#[derive(Args, Clone, Debug)]
#[command(
    about = "Says whether a broker is ready",
    long_about = "Says in one line whether a broker is ready: it accepts connections and answers. The exit status is 0 if it \
                  is and 1 if not. It works before authentication.",
    after_help = EXAMPLES
)]
pub struct HealthArgs {
    /// Where the broker is [default: the first listener that the settings below, the environment and --config name, on
    /// this machine]
    #[arg(long, value_name = "HOST:PORT")]
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
    #[error("{address}: {source}")]
    Unreachable { address: String, source: io::Error },
    #[error("{address}: no answer within {} seconds", .timeout.as_secs_f64())]
    Silent { address: String, timeout: Duration },
    #[error("{address}: the connection was closed without an answer")]
    Closed { address: String },
    #[error("{address}: what answers is not a Kafka broker ({reason})")]
    Foreign { address: String, reason: String },
    #[error("{address}: the broker answers with error {code}")]
    Refused { address: String, code: i16 },
}

/// Why a question has no answer, wherever it was asked.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Size(#[from] FrameError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("the answer is to request {0}")]
    OtherRequest(i32),
}

impl HealthArgs {
    /// Asks, and writes the line.
    pub fn run(
        self,
        environment: impl Iterator<Item = (String, String)>,
        mut output: impl Write,
    ) -> anyhow::Result<ExitCode> {
        let asked = self.address(environment).and_then(|address| {
            ask(&address, self.timeout)?;
            Ok(address)
        });
        match &asked {
            Ok(address) => writeln!(output, "ready: {address}")?,
            Err(reason) => writeln!(output, "not ready: {reason}")?,
        }
        output.flush()?;
        Ok(if asked.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn address(&self, environment: impl Iterator<Item = (String, String)>) -> Result<String, NotReady> {
        if let Some(address) = &self.connect {
            return Ok(address.clone());
        }
        let (config, _) = broker::load(self.broker.clone(), environment)?;
        let endpoint = &config.listeners.first().expect("there is always a listener").endpoint;
        if endpoint.port == 0 { Err(NotReady::NoPort) } else { Ok(reachable(endpoint)) }
    }
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

fn ask(address: &str, timeout: Duration) -> Result<(), NotReady> {
    let owned = || address.to_owned();
    let deadline = monotonic() + timeout;
    let stream = connect(address, deadline).map_err(|source| match source.kind() {
        io::ErrorKind::TimedOut => NotReady::Silent { address: owned(), timeout },
        _ => NotReady::Unreachable { address: owned(), source },
    })?;
    let response = exchange(stream, deadline).map_err(|failure| match failure {
        Failure::Io(error) => match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => NotReady::Silent { address: owned(), timeout },
            io::ErrorKind::UnexpectedEof => NotReady::Closed { address: owned() },
            _ => NotReady::Unreachable { address: owned(), source: error },
        },
        other => NotReady::Foreign { address: owned(), reason: other.to_string() },
    })?;
    match response.error_code {
        0 => Ok(()),
        code => Err(NotReady::Refused { address: owned(), code }),
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

fn exchange(mut stream: TcpStream, deadline: Instant) -> Result<ApiVersionsResponse, Failure> {
    stream.set_write_timeout(Some(left(deadline)?))?;
    stream.write_all(&request()?)?;
    let mut prefix = [0; SIZE_PREFIX];
    read_exact(&mut stream, &mut prefix, deadline)?;
    let mut answer = vec![0; frame_size(prefix, ANSWER_MAX)?];
    read_exact(&mut stream, &mut answer, deadline)?;
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

/// Reads by the deadline, however slowly the bytes come.
fn read_exact(stream: &mut TcpStream, mut buffer: &mut [u8], deadline: Instant) -> io::Result<()> {
    while !buffer.is_empty() {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => buffer = &mut buffer[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
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

    use super::*;

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
        let failure = ask(&address, timeout).expect_err("it is no broker").to_string();
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
}
