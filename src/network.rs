//! Listeners and connections: moves frames between sockets and a [`Service`]. Knows nothing of what a frame means.
//!
//! A connection is one task and one loop; nothing in it runs beside it. Its requests take effect one after the other in
//! the order sent, and are answered in that order; a response that comes later ([`Reply::Later`]) holds up neither the
//! effects of the requests behind it nor, within bounds, the reading. Every bound is in [`NetworkSettings`]: whoever
//! sends more, sends slower or does not read is not read from, then closed.

mod arrivals;
mod budget;
mod close_reason;
mod connection;
mod connections;
mod counters;
mod deadlines;
mod limits;
mod listener;
mod memory;
mod send;
mod shutdown;
mod tls;
mod transport;

use std::{
    borrow::Cow, collections::HashMap, fmt::Display, future::Future, io, net::SocketAddr, pin::Pin, sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use rustls::pki_types::CertificateDer;

pub use self::{
    counters::{CloseKind, NetworkCounters},
    limits::ConnectionLimits,
    listener::{BindError, Endpoint, Listener, Network, bind},
    memory::RequestMemory,
    shutdown::Shutdown,
    tls::TlsSettings,
};
use crate::protocol::frame::Frame;

/// What answers requests.
pub trait Service: Send + Sync + 'static {
    /// What it keeps of a connection.
    type Session: Session;

    /// What there is to keep of a new connection, or why it is not served.
    fn session(&self, connection: &Arc<ConnectionContext>) -> Result<Self::Session, Refusal>;

    /// Runs until the request has taken effect. Requests of a connection are called one after the other, in order. The
    /// future is not dropped because the client goes away: only when a shutdown runs out of time.
    ///
    /// What the request takes beside its frame is first asked for from `memory`. It is given back when the request has
    /// taken effect; if its response comes later, when that has come.
    fn call(
        &self,
        connection: &Arc<ConnectionContext>,
        session: &mut Self::Session,
        frame: Bytes,
        memory: &mut RequestMemory,
    ) -> impl Future<Output = Result<Reply, Refusal>> + Send;
}

/// What a [`Service`] keeps of a connection.
pub trait Session: Send {
    /// `None` once the client has said who it is, if it has to. Until then, the greatest frame that it may send; and it has
    /// [`NetworkSettings::handshake_deadline`] to say so.
    fn frame_max_before_known(&self) -> Option<usize>;
}

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a request got, once it has taken effect.
pub enum Reply {
    /// No response, ever: produce with `acks=0`.
    None,
    /// The response.
    Ready(Frame),
    /// The response, after which the connection ends for this reason.
    Last(Frame, Refusal),
    /// The response comes later, `None` if there turns out to be none; requests behind this one already take effect. It
    /// is first polled when all responses before it have been handed over, so what it waits for must have been set going
    /// by the call. It is dropped when the client goes away.
    Later(BoxFuture<'static, Result<Option<Frame>, Refusal>>),
}

/// Closes the connection, with one log line that gives the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    reason: Cow<'static, str>,
}

impl Refusal {
    /// A refusal for `reason`, which completes the sentence "connection closed: …".
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: reason.into() }
    }

    /// A refusal whose reason is an error's text.
    pub fn because(error: impl Display) -> Self {
        Self::new(error.to_string())
    }
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct ConnectionContext {
    /// Unique within the process, ascending.
    pub id: u64,
    /// The name of the listener that accepted the connection.
    pub listener: Arc<str>,
    /// The client's address. IPv4 is shown as IPv4, on an IPv6 socket too.
    pub peer: SocketAddr,
    /// The address that the client connected to: one that it can reach.
    pub local: SocketAddr,
    /// What is known of the client by TLS; `None` where bytes travel in the clear.
    pub tls: Option<TlsPeer>,
}

/// What TLS says of a client.
#[derive(Clone, Debug)]
pub struct TlsPeer {
    /// Its certificate in DER, checked; `None` if it showed none.
    pub certificate: Option<CertificateDer<'static>>,
}

/// The bounds of the network layer. The defaults of those that Kafka has are Kafka's.
#[derive(Clone, Debug)]
pub struct NetworkSettings {
    /// `socket.request.max.bytes`: the greatest size of a frame.
    pub request_max_bytes: usize,
    /// How long a client has to say who it is: for the handshakes of TLS and SASL together.
    pub handshake_deadline: Duration,
    /// `connections.max.idle.ms`: a connection with nothing in flight is closed after this.
    pub max_idle: Duration,
    /// `max.connections` and its kin: over them a new connection is closed at once.
    pub limits: ConnectionLimits,
    /// `max.connection.creation.rate`: new connections per second and listener, by listener; accepting waits.
    pub creation_rates: HashMap<String, u32>,
    /// The same of all listeners together.
    pub creation_rate: Option<u32>,
    /// `socket.send.buffer.bytes`; `None` (-1 in Kafka) leaves it to the operating system.
    pub socket_send_buffer: Option<usize>,
    /// `socket.receive.buffer.bytes`; `None` (-1 in Kafka) leaves it to the operating system.
    pub socket_receive_buffer: Option<usize>,
    /// Requests of a connection that may be without a sent response before reading stops.
    pub in_flight_max: usize,
    /// Bytes of responses in memory that may wait to be sent before reading stops.
    pub response_bytes_max: usize,
    /// `ottla.requests.memory.max`: bytes that all connections may hold together, each beyond a first few: requests while
    /// they take effect, what they decode to, and responses that are being sent. At the limit connections wait, all but one, which
    /// goes on so that the others get their turn. Long polls and responses behind them may hold as much again.
    pub memory_max: usize,
    /// `queued.max.request.bytes`: bytes that frames may hold together while they arrive, each beyond a first few; more if
    /// the greatest frame would not fit. Where there is no room, it is not read on.
    pub arrivals_max: usize,
    /// How long the size prefix of a frame may take from its first byte on.
    pub header_deadline: Duration,
    /// How long a frame may take to arrive, beside what its size earns.
    pub frame_deadline: Duration,
    /// How long a client may take for a response that is ready, beside what the bytes that it takes earn; of one from a
    /// file, how long it may take no byte.
    pub write_deadline: Duration,
    /// The slowest acceptable arrival of a frame, and taking of a response in memory, in bytes per second.
    pub rate_min: usize,
    /// How long requests in flight may go on after a shutdown has begun.
    pub shutdown_grace: Duration,
}

impl Default for NetworkSettings {
    fn default() -> Self {
        Self {
            request_max_bytes: 100 << 20,
            handshake_deadline: Duration::from_secs(10),
            max_idle: Duration::from_mins(10),
            limits: ConnectionLimits::default(),
            creation_rates: HashMap::new(),
            creation_rate: None,
            socket_send_buffer: Some(100 << 10),
            socket_receive_buffer: Some(100 << 10),
            in_flight_max: 16,
            response_bytes_max: 1 << 20,
            memory_max: 128 << 20,
            arrivals_max: 128 << 20,
            header_deadline: Duration::from_secs(10),
            frame_deadline: Duration::from_secs(30),
            write_deadline: Duration::from_mins(1),
            rate_min: 64 << 10,
            shutdown_grace: Duration::from_secs(5),
        }
    }
}

/// Raises the soft limit of open files to the hard one and returns what is in force then: sockets and segments both
/// draw on it.
pub fn raise_open_file_limit() -> io::Result<u64> {
    crate::sys::raise_open_file_limit()
}

#[cfg(test)]
mod tests;
