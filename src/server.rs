//! Puts the layers together: starts them from the bottom up, stops them from the top down.

mod compaction;
mod first_users;
mod maintenance;
mod steady_clock;
#[cfg(test)]
mod tests;
mod tls;

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use tokio::task::{JoinError, JoinHandle};

pub use self::tls::{TlsError, check_tls};
use self::{compaction::Cleaners, maintenance::Coordinators, tls::ListenerTls};
use crate::{
    auth::{
        authorizer::{Authorizer, Policy},
        principal::Principal,
    },
    broker::{Broker, CloseError, FirstUsersError, Identity, LoadError},
    clock::wall_clock_ms,
    config::{
        authorizer::{Allowed, AuthorizerConfig},
        broker::BrokerConfig,
        listener::{Advertised, Listener},
        security::{SaslMechanism, SecurityProtocol},
    },
    groups::service::GroupCoordinator,
    handlers::{
        api::{ApiCounters, Dispatcher},
        context::Services,
    },
    log::{
        disk::{Disk, real::RealDisk},
        group_commit::Durability,
        log_config::LogConfig,
        log_dir::{LogDir, LogDirError, LogDirSettings},
        meta_properties::{MetaProperties, MetaPropertiesError},
        producer_state::TransactionEnd,
    },
    logging::LogLevels,
    metadata::users::Users,
    network::{self, BindError, ConnectionLimits, Endpoint, Network, NetworkCounters, NetworkSettings, Shutdown},
    protocol::ids::{random_uuid, uuid_to_base64},
    transactions::service::{DueEnds, TransactionCoordinator},
};

/// Open files assumed where the system does not tell.
const OPEN_FILES_ASSUMED: u64 = 1024;
/// Open files left for everything that is neither a segment nor a connection.
const OPEN_FILES_RESERVED: u64 = 64;
/// Where a wildcard listener binds: IPv6 with IPv4 mapped into it.
const EVERY_INTERFACE: &str = "::";
/// The same where the system has no IPv6.
const EVERY_IPV4_INTERFACE: &str = "0.0.0.0";

/// A broker that runs.
pub struct Server {
    broker: Arc<Broker>,
    shutdown: Shutdown,
    serving: JoinHandle<()>,
    ends: JoinHandle<()>,
    maintenance: JoinHandle<()>,
    flusher: thread::JoinHandle<()>,
    cleaners: Arc<Cleaners>,
    certificates: JoinHandle<()>,
    comparing: JoinHandle<()>,
    network_counters: Arc<NetworkCounters>,
    api_counters: Arc<ApiCounters>,
    listeners: Vec<Bound>,
}

/// A listener and what it got.
#[derive(Clone, Debug)]
pub struct Bound {
    /// Its name.
    pub name: String,
    /// How clients are let in.
    pub protocol: SecurityProtocol,
    /// Where it listens.
    pub address: SocketAddr,
    /// What clients are told.
    pub advertised: String,
}

/// Why the broker did not start.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum StartError {
    #[error("{}: {source}", path.display())]
    MetaProperties { path: PathBuf, source: MetaPropertiesError },
    #[error(transparent)]
    Logs(#[from] LogDirError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Users(#[from] FirstUsersError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("listener {listener}: {source}")]
    Tls { listener: String, source: TlsError },
    #[error("the thread that flushes cannot be started: {0}")]
    Flusher(io::Error),
    #[error("a thread of the start failed: {0}")]
    Thread(#[from] JoinError),
}

/// Why the broker did not stop cleanly.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum StopError {
    #[error(transparent)]
    Close(#[from] CloseError),
    #[error("a thread of the broker failed: {0}")]
    Thread(#[from] JoinError),
}

impl Server {
    /// Starts without loggers of its own.
    pub async fn start(config: BrokerConfig) -> Result<Self, StartError> {
        let listeners = config.listeners.clone();
        let endpoints = tokio::task::spawn_blocking(move || endpoints(&listeners)).await??;
        Self::start_with(config, endpoints, LogLevels::detached()).await
    }

    /// Opens the data directory, then the listeners at their [`endpoints`]. Clients are served when this returns.
    pub async fn start_with(
        config: BrokerConfig,
        endpoints: Vec<Endpoint>,
        levels: LogLevels,
    ) -> Result<Self, StartError> {
        let open_files = network::raise_open_file_limit().unwrap_or(OPEN_FILES_ASSUMED);
        let files = FileShares::new(open_files);
        let settings = network_settings(&config, &files);
        let tls = {
            let listeners = config.listeners.clone();
            tokio::task::spawn_blocking(move || load_tls(&listeners)).await??
        };
        let broker = {
            let (config, open_files_max) = (config.clone(), files.segments);
            Arc::new(tokio::task::spawn_blocking(move || open(config, open_files_max)).await??)
        };
        let known_users = match broker.add_first_users(config.first_users.clone()).await {
            Ok(known) => known,
            Err(error) => return Err(close_again(broker, error.into()).await),
        };
        if let Some(text) = nobody_can_log_in(&config.listeners, broker.image().users()) {
            tracing::warn!("{text}");
        }
        let listeners = match bind(&config.listeners, endpoints, &tls, &settings) {
            Ok(listeners) => listeners,
            Err(error) => return Err(close_again(broker, error.into()).await),
        };
        let flusher = spawn_flusher(&broker)?;
        let cleaners = Cleaners::start(&broker);
        let bound = listeners.iter().zip(&config.listeners).map(|(bound, listener)| Bound {
            name: listener.endpoint.name.clone(),
            protocol: listener.security.protocol,
            address: bound.local_addr(),
            advertised: advertised(&listener.advertised, bound.local_addr()),
        });
        let bound = bound.collect();
        let shutdown = Shutdown::default();
        let groups = GroupCoordinator::start(Arc::clone(&broker));
        let (transactions, due_ends) = start_transactions(&broker, &groups);
        let services = Services::new(
            Arc::clone(&broker),
            Arc::clone(&groups),
            Arc::clone(&transactions),
            authorizer(&config),
            levels,
            shutdown.clone(),
        );
        let compared = first_users::compare(
            Arc::clone(&broker),
            known_users,
            services.password_work().clone(),
            shutdown.clone(),
            |text| tracing::warn!("{text}"),
        );
        let comparing = tokio::spawn(compared);
        let services = Arc::new(services);
        let dispatcher = Dispatcher::new(services);
        let api_counters = dispatcher.counters();
        let network = Network::new(Arc::new(dispatcher), settings);
        let network_counters = network.counters();
        let set_limits = network.set_limits();
        broker.watch_config(move |config| set_limits(connection_limits(config, &files)));
        let certificates = tokio::spawn(tls::follow_files(tls.into_iter().flatten().collect(), shutdown.clone()));
        let until = shutdown.clone();
        let serving = tokio::spawn(async move { network.serve(listeners, &until).await });
        let until = shutdown.clone();
        let carried_out = Arc::clone(&transactions).carry_out(due_ends, async move { until.begun().await });
        let ends = tokio::spawn(carried_out);
        let coordinators = Coordinators { groups, transactions };
        let maintenance = tokio::spawn(maintenance::run(Arc::clone(&broker), coordinators, shutdown.clone()));
        Ok(Self {
            broker,
            shutdown,
            serving,
            ends,
            maintenance,
            flusher,
            cleaners,
            certificates,
            comparing,
            network_counters,
            api_counters,
            listeners: bound,
        })
    }

    /// Where it listens, in the order of the settings.
    #[must_use]
    pub fn listeners(&self) -> &[Bound] {
        &self.listeners
    }

    /// The broker's state.
    #[must_use]
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// What the network layer counts.
    #[must_use]
    pub fn network_counters(&self) -> &NetworkCounters {
        &self.network_counters
    }

    /// What came in, by API.
    #[must_use]
    pub fn api_counters(&self) -> &ApiCounters {
        &self.api_counters
    }

    /// Returns why the data directory cannot be trusted any more, once that is so. There is nothing left but to stop.
    pub async fn failed(&self) -> &str {
        self.broker.logs().group_commit().failed().await
    }

    /// Stops: no new connections, what is in flight is finished within a bound, then everything is flushed.
    pub async fn stop(self) -> Result<(), StopError> {
        self.shutdown.begin();
        // Whatever became of them, the data is still to be closed.
        let (served, ended, maintained) = (self.serving.await, self.ends.await, self.maintenance.await);
        let (followed, compared) = (self.certificates.await, self.comparing.await);
        let (broker, flusher, cleaners) = (self.broker, self.flusher, self.cleaners);
        let close = move || {
            let compacted = cleaners.stop();
            broker.logs().group_commit().stop();
            if let Err(panic) = flusher.join() {
                std::panic::resume_unwind(panic);
            }
            let closed = broker.close();
            if let Err(panic) = compacted {
                std::panic::resume_unwind(panic);
            }
            closed
        };
        tokio::task::spawn_blocking(close).await??;
        served?;
        ended?;
        followed?;
        compared?;
        Ok(maintained?)
    }
}

/// Leaves the directory as it was found: without the mark of a clean stop the next start would be slower.
async fn close_again(broker: Arc<Broker>, error: StartError) -> StartError {
    match tokio::task::spawn_blocking(move || broker.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(unclean)) => tracing::warn!(error = %unclean, "the data directory could not be closed"),
        Err(panicked) => return panicked.into(),
    }
    error
}

/// Starts the transaction coordinator. What it ends in `__consumer_offsets` the group coordinator writes.
fn start_transactions(broker: &Arc<Broker>, groups: &Arc<GroupCoordinator>) -> (Arc<TransactionCoordinator>, DueEnds) {
    let groups = Arc::clone(groups);
    let end_offsets =
        Box::new(move |partition: i32, end: &TransactionEnd| groups.runtime().end_transaction(partition, end));
    TransactionCoordinator::start(Arc::clone(broker), end_offsets)
}

/// Starts the thread that makes appends durable.
fn spawn_flusher(broker: &Broker) -> Result<thread::JoinHandle<()>, StartError> {
    let commit = Arc::clone(broker.logs().group_commit());
    thread::Builder::new().name("flusher".to_owned()).spawn(move || commit.run()).map_err(StartError::Flusher)
}

/// The one line of a start.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ready: listening on ")?;
        for (place, bound) in self.listeners.iter().enumerate() {
            let separator = if place == 0 { "" } else { ", " };
            write!(f, "{separator}{bound}")?;
        }
        let directory = self.broker.logs().path();
        let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
        write!(f, "; data in {}; ", directory.display())?;
        write!(f, "cluster {}, node {}", self.broker.cluster_id(), self.broker.node_id())
    }
}

/// The address comes first: scripts read it there.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.address, self.name)?;
        if self.name != self.protocol.name() {
            write!(f, ": {}", self.protocol)?;
        }
        write!(f, ", advertised as {})", self.advertised)
    }
}

/// How the process's open files are divided.
struct FileShares {
    segments: usize,
    connections: usize,
}

impl FileShares {
    fn new(limit: u64) -> Self {
        let shared = limit.saturating_sub(OPEN_FILES_RESERVED).max(2);
        let half = usize::try_from(shared / 2).unwrap_or(usize::MAX);
        Self { segments: half, connections: half }
    }
}

fn network_settings(config: &BrokerConfig, files: &FileShares) -> NetworkSettings {
    let (defaults, clients) = (NetworkSettings::default(), &config.clients);
    let rate_of_listener =
        |listener: &Listener| Some((listener.endpoint.name.clone(), listener.limits.connection_creation_rate_max?));
    let request_memory = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
    let request_max_bytes = to_usize(config.socket_request_max_bytes);
    NetworkSettings {
        request_max_bytes,
        max_idle: config.connections_max_idle.unwrap_or(std::time::Duration::MAX),
        limits: connection_limits(config, files),
        socket_send_buffer: config.socket_send_buffer_bytes.map(to_usize),
        socket_receive_buffer: config.socket_receive_buffer_bytes.map(to_usize),
        creation_rates: config.listeners.iter().filter_map(rate_of_listener).collect(),
        creation_rate: Some(clients.connection_creation_rate_max),
        handshake_deadline: clients.handshake_timeout,
        in_flight_max: to_usize(clients.requests_in_flight_max),
        arrivals_max: clients.arrivals_max.map_or(defaults.arrivals_max, request_memory),
        memory_max: clients
            .requests_memory_max
            .map_or_else(|| defaults.memory_max.max(request_max_bytes), request_memory),
        header_deadline: clients.request_header_timeout,
        frame_deadline: clients.request_timeout,
        write_deadline: clients.response_timeout,
        rate_min: to_usize(clients.transfer_rate_min),
        ..defaults
    }
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// What the settings say of who may do what.
fn authorizer(config: &BrokerConfig) -> Authorizer {
    let AuthorizerConfig { allowed, super_users, is_by_lists: _ } = &config.authorizer;
    let policy = match allowed {
        Allowed::Everybody => Policy::Everything,
        Allowed::SuperUsers => Policy::Nothing,
    };
    Authorizer::new(policy, super_users.iter().map(|name| Principal::user(name)).collect())
}

/// What is said where clients must log in, and there is nobody who could.
fn nobody_can_log_in(listeners: &[Listener], users: &Users) -> Option<String> {
    if users.iter().next().is_some() {
        return None;
    }
    let with_sasl = || listeners.iter().filter_map(|listener| Some((listener, listener.security.sasl.as_ref()?)));
    let names: Vec<&str> = with_sasl().map(|(listener, _)| listener.endpoint.name.as_str()).collect();
    if names.is_empty() {
        return None;
    }
    let with_plain = with_sasl().find(|(_, sasl)| sasl.mechanisms.contains(&SaslMechanism::Plain));
    let line_of = |name: &str| format!("--users-file, OTTLA_USERS or listener.name.{name}.plain.sasl.jaas.config");
    let makers = with_plain.map_or_else(
        || "--users-file or OTTLA_USERS".to_owned(),
        |(listener, _)| line_of(&listener.endpoint.name.to_lowercase()),
    );
    Some(format!("no user exists: nobody can log in at {}; {makers} makes the first", names.join(", ")))
}

/// As many as the settings allow, and the system. Where it is the system that sets the limit, the last place is for somebody
/// on this machine.
fn connection_limits(config: &BrokerConfig, files: &FileShares) -> ConnectionLimits {
    let asked = to_usize(config.max_connections);
    let total = asked.min(files.connections);
    let clients = &config.clients;
    let of_address = |(address, limit): (&IpAddr, &u32)| (*address, to_usize(*limit));
    let of_listener =
        |listener: &Listener| Some((listener.endpoint.name.clone(), to_usize(listener.limits.connections_max?)));
    ConnectionLimits {
        total,
        local: usize::from(total < asked),
        per_address: to_usize(clients.connections_per_ip_max),
        of_address: clients.connections_per_ip_overrides.iter().map(of_address).collect(),
        of_listener: config.listeners.iter().filter_map(of_listener).collect(),
    }
}

/// Opens the data directory and everything in it. Blocks.
fn open(config: BrokerConfig, open_files_max: usize) -> Result<Broker, StartError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let path = config.data_dir.clone();
    let at = |source| StartError::MetaProperties { path: path.clone(), source };
    // A directory of another cluster or node is left alone, so this comes before anything is written.
    if let Some(known) = MetaProperties::read(&*disk, &path).map_err(at)? {
        known.check(config.cluster_id.as_deref(), config.node_id).map_err(at)?;
    }
    let settings = LogDirSettings {
        open_files_max,
        recovery_threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        durability: if config.acknowledges_durable { Durability::Fsync } else { Durability::Kafka },
        config: LogConfig::default(),
    };
    let logs = LogDir::open(Arc::clone(&disk), &path, &settings, wall_clock_ms())?;
    let identity = identity(&*disk, &path, &config).map_err(at).inspect_err(|_| logs.leave_as_found())?;
    Ok(Broker::load(config, identity, logs)?)
}

/// What meta.properties says, or is made to say.
fn identity(disk: &dyn Disk, path: &Path, config: &BrokerConfig) -> Result<Identity, MetaPropertiesError> {
    let known = MetaProperties::read(disk, path)?;
    let is_complete = known.as_ref().is_some_and(|known| known.directory_id.is_some());
    let cluster_id = known.as_ref().map(|known| known.cluster_id.clone()).or_else(|| config.cluster_id.clone());
    let identity = Identity {
        cluster_id: cluster_id.unwrap_or_else(|| uuid_to_base64(random_uuid())),
        directory_id: known.and_then(|known| known.directory_id).unwrap_or_else(random_uuid),
    };
    if !is_complete {
        let properties = MetaProperties {
            cluster_id: identity.cluster_id.clone(),
            node_id: config.node_id,
            directory_id: Some(identity.directory_id),
        };
        properties.write(disk, path)?;
    }
    Ok(identity)
}

/// What each listener needs to speak TLS. Blocks.
fn load_tls(listeners: &[Listener]) -> Result<Vec<Option<ListenerTls>>, StartError> {
    let load = |listener: &Listener| {
        ListenerTls::load(listener)
            .map_err(|source| StartError::Tls { listener: listener.endpoint.name.clone(), source })
    };
    listeners.iter().map(load).collect()
}

/// Where to listen, in the order of the settings. Names are looked up, which blocks.
pub fn endpoints(listeners: &[Listener]) -> Result<Vec<Endpoint>, BindError> {
    let endpoint = |listener: &Listener| {
        let asked = listener.endpoint.clone();
        Endpoint::look_up(asked.name, asked.host.unwrap_or_else(|| EVERY_INTERFACE.to_owned()), asked.port)
    };
    listeners.iter().map(endpoint).collect()
}

fn bind(
    listeners: &[Listener],
    mut endpoints: Vec<Endpoint>,
    tls: &[Option<ListenerTls>],
    settings: &NetworkSettings,
) -> Result<Vec<network::Listener>, BindError> {
    for (endpoint, tls) in endpoints.iter_mut().zip(tls) {
        endpoint.tls = tls.as_ref().map(|tls| Arc::clone(tls.settings()));
    }
    match network::bind(&endpoints, settings) {
        Err(error) if error.is_without_ipv6() && listeners.iter().any(is_wildcard) => {
            let wildcards = endpoints.iter_mut().zip(listeners).filter(|(_, listener)| is_wildcard(listener));
            for (endpoint, _) in wildcards {
                endpoint.host = EVERY_IPV4_INTERFACE.to_owned();
                endpoint.addresses = vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
            }
            network::bind(&endpoints, settings)
        }
        bound => bound,
    }
}

/// Whether it listens on every interface without saying so by an address.
fn is_wildcard(listener: &Listener) -> bool {
    listener.endpoint.host.is_none()
}

fn advertised(advertised: &Advertised, address: SocketAddr) -> String {
    match advertised {
        Advertised::AsConnected => "the address that a client connects to".to_owned(),
        Advertised::Fixed { host, port } => {
            let port = if *port == 0 { address.port() } else { *port };
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
        }
    }
}
