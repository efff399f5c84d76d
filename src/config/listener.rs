//! Where the broker listens, and what it tells clients to connect to: the command line's `HOST:PORT` and Kafka's
//! `NAME://host:port` come to the same [`Listener`].
//!
//! Checks are those of Kafka's `KafkaConfig`, with two differences. A listener on every interface needs no advertised
//! address: each client is told the one that it connected to. And `::` is refused as an advertised address, as
//! `0.0.0.0` is.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use super::{
    key::one_line,
    security::{ListenerSecurity, SecurityProtocol},
};

#[cfg(test)]
mod tests;

/// A name and an address, as `NAME://host:port` says them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener's name, in upper case.
    pub name: String,
    /// An address or a name, without brackets; `None` for every interface.
    pub host: Option<String>,
    /// The port; 0 for any that is free.
    pub port: u16,
}

/// A place to listen, and what clients are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where to listen.
    pub endpoint: Endpoint,
    /// What clients are told.
    pub advertised: Advertised,
    /// How clients are let in.
    pub security: ListenerSecurity,
    /// What its clients may take.
    pub limits: ListenerLimits,
}

/// Bounds of one listener, where it has some of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerLimits {
    /// `listener.name.NAME.max.connections`.
    pub connections_max: Option<u32>,
    /// `listener.name.NAME.max.connection.creation.rate`, in a second.
    pub connection_creation_rate_max: Option<u32>,
}

/// What clients are told to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advertised {
    /// The same for all.
    Fixed {
        /// An address or a name, without brackets.
        host: String,
        /// The port; 0 for the one that the listener got.
        port: u16,
    },
    /// The address that the client itself connected to.
    AsConnected,
}

/// Why listeners cannot be as they are set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenerError {
    /// Not `HOST:PORT`.
    #[error("{} is not HOST:PORT, as in 127.0.0.1:9092, [::1]:9092 or broker.example:9092", one_line(.0))]
    HostPort(String),
    /// Not a protocol.
    #[error(
        "{}: a protocol before :// is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL, as in SSL://127.0.0.1:9093",
        one_line(.0)
    )]
    Protocol(String),
    /// Not `NAME://host:port`.
    #[error(
        "Unable to parse {} to a broker endpoint: it must be NAME://host:port, with a port from 0 to 65535",
        one_line(.0)
    )]
    Endpoint(String),
    /// Two listeners of one name.
    #[error("Each listener must have a different name, listeners: {}", one_line(.0))]
    SameName(String),
    /// Two listeners on one port.
    #[error(
        "Each listener must have a different port unless exactly one listener has an IPv4 address and the other IPv6 \
         address, listeners: {listeners}, port: {port}"
    )]
    SamePort {
        /// All of them.
        listeners: String,
        /// The port.
        port: u16,
    },
    /// An entry of the protocol map that is no pair.
    #[error("{0} in listener.security.protocol.map is not NAME:PROTOCOL")]
    ProtocolEntry(String),
    /// A protocol that Kafka does not know either.
    #[error(
        "Invalid security protocol `{0}` defined in listener.security.protocol.map: allowed are PLAINTEXT, SSL, \
         SASL_PLAINTEXT, SASL_SSL"
    )]
    UnknownProtocol(String),
    /// A listener without a protocol.
    #[error(
        "No security protocol defined for listener {0}: add {0}:PLAINTEXT to listener.security.protocol.map, or another \
         of SSL, SASL_PLAINTEXT, SASL_SSL"
    )]
    NoProtocol(String),
    /// None but a controller's.
    #[error("There must be at least one listener that is not in controller.listener.names")]
    NoListener,
    /// Advertised names that no listener has.
    #[error(
        "advertised.listeners listener names must be equal to or a subset of the ones defined in listeners. Found \
         {found}. The valid options based on the current configuration are {valid}"
    )]
    AdvertisedNames {
        /// The names that are too many.
        found: String,
        /// The listeners' names.
        valid: String,
    },
    /// More advertised addresses than listeners.
    #[error("{advertised} advertised addresses for {listeners} listeners: the first belongs to the first, and so on")]
    TooManyAdvertised {
        /// How many addresses.
        advertised: usize,
        /// How many listeners.
        listeners: usize,
    },
    /// An address that nobody can connect to.
    #[error("advertised.listeners cannot use the nonroutable meta-address {0}. Use a routable IP address.")]
    Wildcard(String),
    /// An advertised port without a host.
    #[error("{0} has no host, and its port is not the listener's: clients need an address to connect to")]
    NoAdvertisedHost(String),
}

/// The endpoints of `--listen` and their protocols. One is named after its protocol, the next of that protocol PROTOCOL_2,
/// and so on.
pub(super) fn endpoints_of_flags(texts: &[String]) -> Result<Vec<(Endpoint, SecurityProtocol)>, ListenerError> {
    let mut endpoints: Vec<(Endpoint, SecurityProtocol)> = Vec::new();
    for text in texts {
        let (protocol, address) = protocol_and_address(text)?;
        let (host, port) = host_and_port(address).ok_or_else(|| ListenerError::HostPort(text.clone()))?;
        let name = match endpoints.iter().filter(|(_, earlier)| *earlier == protocol).count() {
            0 => protocol.name().to_owned(),
            earlier => format!("{protocol}_{}", earlier + 1),
        };
        endpoints.push((Endpoint { name, host, port }, protocol));
    }
    check_distinct(&endpoints.iter().map(|(endpoint, _)| endpoint.clone()).collect::<Vec<_>>())?;
    Ok(endpoints)
}

/// What stands before `://`, or else PLAINTEXT, and the rest.
fn protocol_and_address(text: &str) -> Result<(SecurityProtocol, &str), ListenerError> {
    match text.split_once("://") {
        None => Ok((SecurityProtocol::Plaintext, text)),
        Some((protocol, address)) => {
            let protocol = SecurityProtocol::from_name(protocol);
            protocol.map(|protocol| (protocol, address)).ok_or_else(|| ListenerError::Protocol(text.to_owned()))
        }
    }
}

/// The endpoints of `listeners`, controllers included: their ports are taken too.
pub(super) fn endpoints_of_key(entries: &[String]) -> Result<Vec<Endpoint>, ListenerError> {
    let endpoints = parse_endpoints(entries)?;
    check_distinct(&endpoints)?;
    Ok(endpoints)
}

/// The endpoints to listen on where only advertised ones are set: the same ports, on every interface.
pub(super) fn endpoints_behind(advertised: &[String]) -> Result<Vec<Endpoint>, ListenerError> {
    let mut endpoints = parse_endpoints(advertised)?;
    endpoints.iter_mut().for_each(|endpoint| endpoint.host = None);
    check_distinct(&endpoints)?;
    Ok(endpoints)
}

/// Leaves out the controllers' endpoints; at least one must be left.
pub(super) fn without_controllers(
    mut endpoints: Vec<Endpoint>,
    controllers: &[String],
) -> Result<Vec<Endpoint>, ListenerError> {
    endpoints.retain(|endpoint| !is_controller(endpoint, controllers));
    if endpoints.is_empty() { Err(ListenerError::NoListener) } else { Ok(endpoints) }
}

/// The first of the controllers' endpoints.
pub(super) fn controller(entries: &[String], controllers: &[String]) -> Option<Endpoint> {
    parse_endpoints(entries).ok()?.into_iter().find(|endpoint| is_controller(endpoint, controllers))
}

/// The protocols of `listener.security.protocol.map`, which may well name some that nobody uses.
pub(super) fn with_protocols(
    endpoints: Vec<Endpoint>,
    map: &str,
) -> Result<Vec<(Endpoint, SecurityProtocol)>, ListenerError> {
    let protocols = parse_protocols(map)?;
    let with_protocol = |endpoint: Endpoint| match protocols.get(&endpoint.name) {
        Some(protocol) => Ok((endpoint, *protocol)),
        None => Err(ListenerError::NoProtocol(endpoint.name)),
    };
    endpoints.into_iter().map(with_protocol).collect()
}

/// Gives each endpoint the address of its name in `advertised.listeners`, or its own.
pub(super) fn advertise_by_name(
    endpoints: Vec<Endpoint>,
    advertised: &[String],
    controllers: &[String],
) -> Result<Vec<Listener>, ListenerError> {
    let mut advertised = parse_endpoints(advertised)?;
    check_names(&advertised)?;
    advertised.retain(|endpoint| !is_controller(endpoint, controllers));
    check_known(&advertised, &endpoints)?;
    let advertise = |endpoint: Endpoint| {
        let address = advertised.iter().find(|address| address.name == endpoint.name);
        let advertised = address.map_or_else(
            || Ok(own_address(&endpoint)),
            |address| advertised_address(&endpoint, address.host.clone(), address.port, &address.to_string()),
        )?;
        Ok(Listener::plaintext(endpoint, advertised))
    };
    endpoints.into_iter().map(advertise).collect()
}

/// Gives the n-th endpoint the n-th address of `--advertise`; the rest their own.
pub(super) fn advertise_in_order(endpoints: Vec<Endpoint>, texts: &[String]) -> Result<Vec<Listener>, ListenerError> {
    if texts.len() > endpoints.len() {
        return Err(ListenerError::TooManyAdvertised { advertised: texts.len(), listeners: endpoints.len() });
    }
    let texts = texts.iter().map(Some).chain(std::iter::repeat(None));
    let advertise = |(endpoint, text): (Endpoint, Option<&String>)| {
        let advertised = match text {
            None => own_address(&endpoint),
            Some(text) => {
                let (host, port) = host_and_port(text).ok_or_else(|| ListenerError::HostPort(text.clone()))?;
                advertised_address(&endpoint, host, port, text)?
            }
        };
        Ok(Listener::plaintext(endpoint, advertised))
    };
    endpoints.into_iter().zip(texts).map(advertise).collect()
}

fn parse_endpoints(entries: &[String]) -> Result<Vec<Endpoint>, ListenerError> {
    entries.iter().map(|entry| parse_endpoint(entry).ok_or_else(|| ListenerError::Endpoint(entry.clone()))).collect()
}

/// `NAME://host:port`. As Kafka does, an IPv6 address may stand without its brackets.
fn parse_endpoint(text: &str) -> Option<Endpoint> {
    let (name, address) = text.split_once("://")?;
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').map_or(Some(host), |host| host.strip_suffix(']'))?;
    let is_host = host.chars().all(is_host_char);
    let port = parse_port(port)?;
    (is_host && !name.is_empty()).then(|| Endpoint {
        name: name.to_uppercase(),
        host: (!host.is_empty()).then(|| host.to_owned()),
        port,
    })
}

/// `HOST:PORT`, where an IPv6 address needs its brackets: `::1:9092` could be both.
fn host_and_port(text: &str) -> Option<(Option<String>, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']').filter(|address| !address.is_empty())?,
        None if host.contains(':') => return None,
        None => host,
    };
    let host = host.chars().all(is_host_char).then_some(host)?;
    Some(((!host.is_empty()).then(|| host.to_owned()), parse_port(port)?))
}

fn parse_port(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn is_host_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '%' | '.' | '_' | ':')
}

fn parse_protocols(map: &str) -> Result<BTreeMap<String, SecurityProtocol>, ListenerError> {
    let entries = map.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let (name, protocol) =
                entry.rsplit_once(':').ok_or_else(|| ListenerError::ProtocolEntry(entry.to_owned()))?;
            let known = SecurityProtocol::from_name(protocol.trim());
            let known = known.ok_or_else(|| ListenerError::UnknownProtocol(protocol.to_owned()))?;
            Ok((name.trim().to_uppercase(), known))
        })
        .collect()
}

fn check_distinct(endpoints: &[Endpoint]) -> Result<(), ListenerError> {
    check_names(endpoints)?;
    for Endpoint { port, .. } in endpoints {
        let sharing: Vec<&Endpoint> = endpoints.iter().filter(|endpoint| endpoint.port == *port).collect();
        if *port != 0 && !may_share_port(&sharing) {
            return Err(ListenerError::SamePort { listeners: join(endpoints), port: *port });
        }
    }
    Ok(())
}

fn check_names(endpoints: &[Endpoint]) -> Result<(), ListenerError> {
    let repeats = |at: usize| endpoints[..at].iter().any(|earlier| earlier.name == endpoints[at].name);
    if (0..endpoints.len()).any(repeats) { Err(ListenerError::SameName(join(endpoints))) } else { Ok(()) }
}

/// One may have its port, and so may one of each IP stack.
fn may_share_port(endpoints: &[&Endpoint]) -> bool {
    match endpoints {
        [_] => true,
        [one, other] => match (one.ip(), other.ip()) {
            (Some(one), Some(other)) => one.is_ipv4() != other.is_ipv4(),
            _ => false,
        },
        _ => false,
    }
}

fn check_known(advertised: &[Endpoint], listeners: &[Endpoint]) -> Result<(), ListenerError> {
    let is_known = |endpoint: &&Endpoint| listeners.iter().any(|listener| listener.name == endpoint.name);
    if advertised.iter().all(|endpoint| is_known(&endpoint)) {
        return Ok(());
    }
    let names =
        |endpoints: &[Endpoint]| endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect::<Vec<_>>().join(",");
    Err(ListenerError::AdvertisedNames { found: names(advertised), valid: names(listeners) })
}

/// What clients are told of an endpoint that nothing is said about.
fn own_address(endpoint: &Endpoint) -> Advertised {
    match &endpoint.host {
        Some(host) if !is_wildcard(host) => Advertised::Fixed { host: host.clone(), port: endpoint.port },
        _ => Advertised::AsConnected,
    }
}

/// What clients are told of an endpoint that is advertised as `text`.
fn advertised_address(
    endpoint: &Endpoint,
    host: Option<String>,
    port: u16,
    text: &str,
) -> Result<Advertised, ListenerError> {
    match host {
        Some(host) if is_wildcard(&host) => Err(ListenerError::Wildcard(host)),
        Some(host) => Ok(Advertised::Fixed { host, port }),
        None if port == endpoint.port => Ok(Advertised::AsConnected),
        None => Err(ListenerError::NoAdvertisedHost(text.to_owned())),
    }
}

fn is_controller(endpoint: &Endpoint, controllers: &[String]) -> bool {
    controllers.iter().any(|controller| controller.to_uppercase() == endpoint.name)
}

fn is_wildcard(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
}

fn join(endpoints: &[Endpoint]) -> String {
    endpoints.iter().map(Endpoint::to_string).collect::<Vec<_>>().join(",")
}

impl Listener {
    /// A listener before it is known how it lets clients in.
    fn plaintext(endpoint: Endpoint, advertised: Advertised) -> Self {
        Self { endpoint, advertised, security: ListenerSecurity::plaintext(), limits: ListenerLimits::default() }
    }
}

impl Endpoint {
    /// The address, if the host is one and not a name.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.as_ref()?.parse().ok()
    }
}

/// As `listeners` has it.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.name)?;
        write_address(f, self.host.as_deref().unwrap_or_default(), self.port)
    }
}

impl fmt::Display for Advertised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed { host, port } => write_address(f, host, *port),
            Self::AsConnected => f.write_str("the address that the client connects to"),
        }
    }
}

/// For the line that a start prints.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (advertises {})", self.endpoint, self.advertised)
    }
}

fn write_address(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
}
