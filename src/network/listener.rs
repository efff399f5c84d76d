//! Listening sockets, and what accepts on them.

use std::{
    fmt,
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use socket2::{Domain, SockRef, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    select,
    task::JoinSet,
    time::sleep,
};

use super::{
    ConnectionContext, NetworkCounters, NetworkSettings, Service, Shutdown,
    arrivals::Arrivals,
    budget::Budget,
    connection::{self, Shared},
    connections::{Connections, Entry},
    limits::{ConnectionLimits, CreationRate},
    tls::TlsSettings,
};
use crate::{clock, complaints::Complaints, protocol::frame::SIZE_PREFIX};

/// Connections that may wait to be accepted: room for many clients that come back at once after a restart.
const BACKLOG: i32 = 1024;

/// How long accepting rests after it failed for want of something: descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long after that was said it is said again.
const TELL_AGAIN_AFTER: Duration = Duration::from_mins(1);
/// Lines in a minute that say of one address why its connections were closed.
const COMPLAINTS_MAX: u32 = 5;

/// Where to listen.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The listener's name, such as `PLAINTEXT`.
    pub listener: String,
    /// An IPv4 or IPv6 address without brackets, or a name.
    pub host: String,
    /// What the host stands for: of a name, every address is listened on.
    pub addresses: Vec<IpAddr>,
    /// The port; 0 lets the operating system choose.
    pub port: u16,
    /// How TLS is spoken there, if it is.
    pub tls: Option<Arc<TlsSettings>>,
}

impl Endpoint {
    /// Looks the host up, which reads files and asks other machines where it is a name. Blocks.
    pub fn look_up(listener: String, host: String, port: u16) -> Result<Self, BindError> {
        let mut endpoint = Self { listener, host, addresses: Vec::new(), port, tls: None };
        match (endpoint.host.as_str(), port).to_socket_addrs() {
            Ok(found) => {
                for address in found {
                    if !endpoint.addresses.contains(&address.ip()) {
                        endpoint.addresses.push(address.ip());
                    }
                }
                Ok(endpoint)
            }
            Err(source) => Err(BindError::Resolve { endpoint, source }),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listener, host, port, .. } = self;
        if host.contains(':') {
            write!(f, "{listener}://[{host}]:{port}")
        } else {
            write!(f, "{listener}://{host}:{port}")
        }
    }
}

/// Why a listener cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The host is no address and no name that resolves.
    #[error("cannot listen on {endpoint}: the name does not resolve")]
    Resolve {
        /// The listener.
        endpoint: Endpoint,
        /// The resolver's answer.
        source: io::Error,
    },
    /// The address cannot be used.
    #[error("cannot listen on {endpoint} ({address}): {source}")]
    Bind {
        /// The listener.
        endpoint: Endpoint,
        /// The address of it that failed.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

impl BindError {
    /// Whether it is for want of IPv6 on this machine.
    #[must_use]
    pub fn is_without_ipv6(&self) -> bool {
        let Self::Bind { address: SocketAddr::V6(_), source, .. } = self else { return false };
        let unsupported = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
        source.kind() == io::ErrorKind::AddrNotAvailable || source.raw_os_error() == Some(unsupported)
    }
}

/// An open listener, on every address of its endpoint.
#[derive(Debug)]
pub struct Listener {
    name: Arc<str>,
    sockets: Vec<TcpListener>,
    address: SocketAddr,
    tls: Option<Arc<TlsSettings>>,
}

impl Listener {
    /// The listener's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first address listened on, with the port that was chosen if 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

/// Opens all of `endpoints`, or none, within a runtime. From here on clients can connect; they are served by [`Network::serve`].
pub fn bind(endpoints: &[Endpoint], settings: &NetworkSettings) -> Result<Vec<Listener>, BindError> {
    let mut listeners = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints {
        let only_v6 = shares_its_port_with_ipv4(endpoint, endpoints);
        listeners.push(bind_one(endpoint, only_v6, settings)?);
    }
    Ok(listeners)
}

/// `::` listens for IPv4 as well, unless `0.0.0.0` is listened on by itself at the same port.
fn shares_its_port_with_ipv4(endpoint: &Endpoint, all: &[Endpoint]) -> bool {
    let is = |endpoint: &Endpoint, address: IpAddr| endpoint.host.parse() == Ok(address);
    is(endpoint, Ipv6Addr::UNSPECIFIED.into())
        && all.iter().any(|other| is(other, Ipv4Addr::UNSPECIFIED.into()) && other.port == endpoint.port)
}

fn bind_one(endpoint: &Endpoint, only_v6: bool, settings: &NetworkSettings) -> Result<Listener, BindError> {
    let mut sockets: Vec<TcpListener> = Vec::new();
    let mut first = None;
    let mut unavailable = None;
    for address in &endpoint.addresses {
        // All addresses of a name get the port that the first one was given.
        let address = SocketAddr::new(*address, first.map_or(endpoint.port, |first: SocketAddr| first.port()));
        match open(address, only_v6, settings).and_then(|socket| Ok((socket.local_addr()?, socket))) {
            Ok((local, socket)) => {
                first.get_or_insert(local);
                sockets.push(socket);
            }
            Err(source) if address_is_missing(&source) => unavailable = Some((address, source)),
            Err(source) => return Err(BindError::Bind { endpoint: endpoint.clone(), address, source }),
        }
    }
    match (first, unavailable) {
        (Some(address), _) => {
            Ok(Listener { name: endpoint.listener.as_str().into(), sockets, address, tls: endpoint.tls.clone() })
        }
        (None, Some((address, source))) => Err(BindError::Bind { endpoint: endpoint.clone(), address, source }),
        (None, None) => Err(BindError::Resolve { endpoint: endpoint.clone(), source: io::ErrorKind::NotFound.into() }),
    }
}

/// A name may have an address that this machine has not, such as `localhost` where IPv6 is switched off.
fn address_is_missing(error: &io::Error) -> bool {
    let unsupported = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(unsupported)
}

fn open(address: SocketAddr, only_v6: bool, settings: &NetworkSettings) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // Accepted sockets inherit the sizes; the window is negotiated too early to set them later.
    if let Some(bytes) = settings.socket_send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = settings.socket_receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// The network layer of one server.
pub struct Network<S> {
    shared: Arc<Shared<S>>,
    connections: Arc<Connections>,
}

impl<S: Service> Network<S> {
    /// A network layer that hands requests to `service`.
    pub fn new(service: Arc<S>, settings: NetworkSettings) -> Self {
        let connections = Connections::new(settings.limits.clone());
        let budget = Budget::new(settings.memory_max);
        let arrivals = Arrivals::new(settings.arrivals_max, SIZE_PREFIX + settings.request_max_bytes);
        let shared = Arc::new(Shared {
            service,
            settings,
            counters: Arc::default(),
            budget,
            arrivals,
            creation_rate: Mutex::default(),
            complaints: Mutex::new(Complaints::new("address", COMPLAINTS_MAX)),
        });
        Self { shared, connections }
    }

    /// What changes the limits of connections while it serves.
    pub fn set_limits(&self) -> impl Fn(ConnectionLimits) + Send + Sync + 'static + use<S> {
        let connections = Arc::clone(&self.connections);
        move |limits| connections.set_limits(limits)
    }

    /// What is counted.
    #[must_use]
    pub fn counters(&self) -> Arc<NetworkCounters> {
        Arc::clone(&self.shared.counters)
    }

    #[cfg(test)]
    pub(super) fn budget(&self) -> Arc<Budget> {
        Arc::clone(&self.shared.budget)
    }

    /// Serves `listeners` until `shutdown` begins: accepting stops, requests in flight are finished within
    /// [`NetworkSettings::shutdown_grace`], and every connection is closed when this returns.
    pub async fn serve(&self, listeners: Vec<Listener>, shutdown: &Shutdown) {
        let mut accepting = JoinSet::new();
        for listener in listeners {
            let rate = Arc::default();
            for socket in listener.sockets {
                let acceptor = self.acceptor(Arc::clone(&listener.name), listener.tls.clone(), Arc::clone(&rate));
                let shutdown = shutdown.clone();
                accepting.spawn(async move { acceptor.accept_until(socket, shutdown.begun()).await });
            }
        }
        shutdown.begun().await;
        while accepting.join_next().await.is_some() {}
        self.connections.stop(clock::monotonic() + self.shared.settings.shutdown_grace);
        self.connections.all_closed().await;
    }

    fn acceptor(
        &self,
        listener: Arc<str>,
        tls: Option<Arc<TlsSettings>>,
        rate: Arc<Mutex<CreationRate>>,
    ) -> Acceptor<S> {
        let (shared, connections) = (Arc::clone(&self.shared), Arc::clone(&self.connections));
        Acceptor { listener, tls, shared, connections, was_full: AtomicBool::new(false), rate }
    }
}

/// Accepts on one socket.
struct Acceptor<S> {
    listener: Arc<str>,
    tls: Option<Arc<TlsSettings>>,
    shared: Arc<Shared<S>>,
    connections: Arc<Connections>,
    was_full: AtomicBool,
    rate: Arc<Mutex<CreationRate>>,
}

impl<S: Service> Acceptor<S> {
    async fn accept_until(&self, socket: TcpListener, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut told = None;
        loop {
            select! {
                () = &mut stop => return,
                accepted = socket.accept() => match accepted {
                    Ok((stream, peer)) => {
                        self.admit(stream, peer);
                        let pause = self.pause();
                        if !pause.is_zero() {
                            select! {
                                () = &mut stop => return,
                                () = sleep(pause) => {}
                            }
                        }
                    }
                    Err(error) if concerns_one_connection(&error) => {}
                    Err(error) => {
                        self.tell(&error, &mut told);
                        select! {
                            () = &mut stop => return,
                            () = sleep(ACCEPT_PAUSE) => {}
                        }
                    }
                },
            }
        }
    }

    /// Says that accepting fails: clients that keep it failing do not fill the log.
    fn tell(&self, error: &io::Error, told: &mut Option<Instant>) {
        let now = clock::monotonic();
        if told.is_none_or(|at| now.duration_since(at) >= TELL_AGAIN_AFTER) {
            *told = Some(now);
            tracing::warn!("cannot accept on {}, trying again every {ACCEPT_PAUSE:?}: {error}", self.listener);
        }
    }

    /// How long the next connection must wait.
    fn pause(&self) -> Duration {
        let settings = &self.shared.settings;
        let now = clock::monotonic();
        let add = |rate: &Mutex<CreationRate>, per_second| {
            rate.lock().unwrap_or_else(PoisonError::into_inner).add(per_second, now)
        };
        let of_listener = settings.creation_rates.get(&*self.listener).copied();
        add(&self.rate, of_listener).max(add(&self.shared.creation_rate, settings.creation_rate))
    }

    /// Starts serving a connection, or drops it if there are too many. That is said when it begins, not every time.
    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let entry = match self.connections.enter(peer.ip().to_canonical(), &self.listener) {
            Ok(entry) => entry,
            Err(full) => {
                self.shared.counters.over_limit.fetch_add(1, Relaxed);
                if !self.was_full.swap(true, Relaxed) {
                    tracing::warn!("connection from {peer} to {} closed: {full}", self.listener);
                }
                return;
            }
        };
        self.was_full.store(false, Relaxed);
        match self.prepare(&stream, peer, &entry) {
            Ok(context) => {
                self.shared.counters.accepted.fetch_add(1, Relaxed);
                let shared = Arc::clone(&self.shared);
                tokio::spawn(connection::run(shared, stream, self.tls.clone(), context, entry));
            }
            Err(error) => tracing::debug!("connection from {peer} to {} is already gone: {error}", self.listener),
        }
    }

    fn prepare(&self, stream: &TcpStream, peer: SocketAddr, entry: &Entry) -> io::Result<ConnectionContext> {
        stream.set_nodelay(true)?;
        SockRef::from(stream).set_keepalive(true)?;
        let local = canonical(stream.local_addr()?);
        Ok(ConnectionContext {
            id: entry.id,
            listener: Arc::clone(&self.listener),
            peer: canonical(peer),
            local,
            tls: None,
        })
    }
}

/// Errors of accept(2) that are the connection's own: the next one is there to be accepted.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, PermissionDenied};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | PermissionDenied)
}

/// IPv4 as IPv4, where an IPv6 socket shows it as `::ffff:a.b.c.d`.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str, port: u16) -> Endpoint {
        Endpoint::look_up("PLAINTEXT".into(), host.into(), port).expect("an address")
    }

    #[test]
    fn all_of_ipv6_takes_ipv4_too_unless_that_is_listened_on_by_itself() {
        let v6 = endpoint("::", 9092);
        let check = |all: &[Endpoint]| shares_its_port_with_ipv4(&v6, all);
        assert!(!check(std::slice::from_ref(&v6)));
        assert!(!check(&[v6.clone(), endpoint("0.0.0.0", 9093)]));
        assert!(!check(&[v6.clone(), endpoint("127.0.0.1", 9092)]));
        assert!(check(&[v6.clone(), endpoint("0.0.0.0", 9092)]));
    }

    #[test]
    fn accepting_rests_when_descriptors_run_out_and_only_then() {
        use rustix::io::Errno;
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert!(!concerns_one_connection(&errno.into()), "{errno}");
        }
        for errno in [Errno::CONNABORTED, Errno::CONNRESET, Errno::PERM, Errno::INTR] {
            assert!(concerns_one_connection(&errno.into()), "{errno}");
        }
    }

    #[test]
    fn addresses_are_shown_as_they_were_meant() {
        let show = |text: &str| text.parse().map(canonical).map(|address: SocketAddr| address.to_string());
        assert_eq!(show("[::ffff:127.0.0.1]:80").as_deref(), Ok("127.0.0.1:80"));
        assert_eq!(show("[::1]:80").as_deref(), Ok("[::1]:80"));
        assert_eq!(endpoint("::1", 9092).to_string(), "PLAINTEXT://[::1]:9092");
    }
}
