//! What clients may take of the network layer, beside what has been there from the start: connections of one address,
//! time, and memory.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use super::{
    broker::BrokerValues,
    consistency::Inconsistent,
    key::{InvalidValue, Value, one_line},
};

const PER_IP: &str = "max.connections.per.ip";
const OVERRIDES: &str = "max.connections.per.ip.overrides";

/// What all requests may hold together while they arrive and afterwards, and the size of one.
pub(super) const ARRIVALS: &str = "queued.max.request.bytes";
pub(super) const MEMORY: &str = "ottla.requests.memory.max";
pub(super) const REQUEST: &str = "socket.request.max.bytes";
/// How long a failed authentication is held back, and a connection without a request is kept.
pub(super) const DELAY: &str = "connection.failed.authentication.delay.ms";
pub(super) const IDLE: &str = "connections.max.idle.ms";

/// Bounds of what clients may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// `connection.failed.authentication.delay.ms`.
    pub failed_authentication_delay: Duration,
    /// `max.connection.creation.rate`, in a second.
    pub connection_creation_rate_max: u32,
    /// `max.connections.per.ip`.
    pub connections_per_ip_max: u32,
    /// `max.connections.per.ip.overrides`.
    pub connections_per_ip_overrides: BTreeMap<IpAddr, u32>,
    /// `queued.max.request.bytes`; `None` leaves it to the network layer.
    pub arrivals_max: Option<u64>,
    /// `ottla.handshake.timeout.ms`.
    pub handshake_timeout: Duration,
    /// `ottla.plaintext.passwords`.
    pub plaintext_passwords: bool,
    /// `ottla.request.elements.max`.
    pub request_elements_max: u32,
    /// `ottla.request.header.timeout.ms`.
    pub request_header_timeout: Duration,
    /// `ottla.request.timeout.ms`.
    pub request_timeout: Duration,
    /// `ottla.requests.in.flight.max`.
    pub requests_in_flight_max: u32,
    /// `ottla.requests.memory.max`; `None` leaves it to the network layer.
    pub requests_memory_max: Option<u64>,
    /// `ottla.response.timeout.ms`.
    pub response_timeout: Duration,
    /// `ottla.transfer.rate.min`, in bytes per second.
    pub transfer_rate_min: u32,
}

impl ClientLimits {
    pub(super) fn new(values: &BrokerValues) -> Self {
        let time = |name| values.duration(name).unwrap_or_default();
        Self {
            failed_authentication_delay: time(DELAY),
            connection_creation_rate_max: values.size("max.connection.creation.rate"),
            connections_per_ip_max: values.size(PER_IP),
            connections_per_ip_overrides: overrides(values).expect("they were checked"),
            arrivals_max: u64::try_from(values.long(ARRIVALS)).ok().filter(|bytes| *bytes > 0),
            handshake_timeout: time("ottla.handshake.timeout.ms"),
            plaintext_passwords: values.boolean("ottla.plaintext.passwords"),
            request_elements_max: values.size("ottla.request.elements.max"),
            request_header_timeout: time("ottla.request.header.timeout.ms"),
            request_timeout: time("ottla.request.timeout.ms"),
            requests_in_flight_max: values.size("ottla.requests.in.flight.max"),
            requests_memory_max: u64::try_from(values.long(MEMORY)).ok(),
            response_timeout: time("ottla.response.timeout.ms"),
            transfer_rate_min: values.size("ottla.transfer.rate.min"),
        }
    }
}

/// Checks the limits of addresses, and those that make sense beside others only.
pub(super) fn check(values: &BrokerValues) -> Result<(), Inconsistent> {
    let request = values.long(REQUEST);
    for key in [ARRIVALS, MEMORY] {
        let memory = values.long(key);
        if memory > 0 && memory < request {
            return Err(Inconsistent::RequestMemory { key, memory, request });
        }
    }
    let (delay, idle) = (values.long(DELAY), values.long(IDLE));
    if idle >= 0 && delay >= idle {
        return Err(Inconsistent::AuthenticationDelay { delay, idle });
    }
    let overrides = overrides(values)?;
    if values.get(PER_IP) == Some(Value::Int(0)) && overrides.is_empty() {
        let reason = format!("it can be set to zero only if {OVERRIDES} is set");
        return Err(Inconsistent::Addresses(refuse(PER_IP, "0", reason), PER_IP));
    }
    Ok(())
}

/// `ADDRESS:LIMIT`, with commas between them. Kafka takes names for addresses too.
fn overrides(values: &BrokerValues) -> Result<BTreeMap<IpAddr, u32>, Inconsistent> {
    let text = values.get(OVERRIDES).map(|value| value.to_string()).unwrap_or_default();
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            limit_of_address(entry).ok_or_else(|| {
                let reason =
                    format!("{} is not ADDRESS:LIMIT, as in 192.0.2.1:100 or [2001:db8::1]:100", one_line(entry));
                Inconsistent::Addresses(refuse(OVERRIDES, &text, reason), OVERRIDES)
            })
        })
        .collect()
}

fn limit_of_address(entry: &str) -> Option<(IpAddr, u32)> {
    let (address, limit) = entry.rsplit_once(':')?;
    let address = address.trim();
    let bare = address.strip_prefix('[').map_or(Some(address), |address| address.strip_suffix(']'))?;
    let limit: i32 = limit.trim().parse().ok()?;
    Some((bare.parse::<IpAddr>().ok()?.to_canonical(), u32::try_from(limit).ok()?))
}

fn refuse(key: &str, value: &str, reason: String) -> InvalidValue {
    InvalidValue { key: key.to_owned(), value: value.to_owned(), reason }
}
