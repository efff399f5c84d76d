//! The listeners, from whichever source names them, and how each lets clients in.

use super::{
    ConfigError, Warning,
    broker::BrokerValues,
    key::Value,
    list,
    listener::{self, Endpoint, Listener, ListenerError, ListenerLimits},
    listener_keys::{ListenerKey, ListenerSettings, ListenerValues},
    security::{
        ClientAuth, SecurityError, SecurityProtocol,
        resolve::{Resolver, is_loopback, lets_anybody_in, shown},
    },
    sources::{CommandLine, Origin, Settings},
};

/// `--listen` and `--advertise`, else Kafka's keys, else the default.
pub(super) fn listeners(
    command_line: &CommandLine,
    settings: &Settings,
    values: &mut BrokerValues,
    own: &ListenerValues,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Listener>, ConfigError> {
    let (listening, endpoints) = listening(command_line, settings, values);
    let endpoints = endpoints.map_err(|source| ConfigError::Listener { origin: listening.clone(), source })?;
    let (endpoints, protocols): (Vec<_>, Vec<_>) = endpoints.into_iter().unzip();
    let (origin, listeners) = advertising(command_line, settings, values, endpoints);
    let mut listeners = listeners.map_err(|source| ConfigError::Listener { origin, source })?;
    check_are_there(values, &listeners, own)?;
    for (listener, protocol) in listeners.iter_mut().zip(protocols) {
        let name = &listener.endpoint.name;
        let said = ListenerSettings { name, own, settings, values, listening: &listening };
        let resolver = Resolver { settings: said, endpoint: &listener.endpoint, protocol, warnings };
        listener.security = resolver.security()?;
        listener.limits = limits(said);
    }
    check_tls_is_used(settings, &listeners)?;
    if !warnings.iter().any(|warning| matches!(warning, Warning::ClientAuthForAll { .. })) {
        warnings.extend(trust_unused(&listeners));
    }
    let as_set = listeners.iter().map(|listener| listener.endpoint.to_string()).collect();
    values.set("listeners", Value::List(as_set));
    Ok(listeners)
}

/// Where to listen, and who said so.
fn listening(
    command_line: &CommandLine,
    settings: &Settings,
    values: &BrokerValues,
) -> (Origin, Result<Vec<(Endpoint, SecurityProtocol)>, ListenerError>) {
    if !command_line.listen.is_empty() {
        return (Origin::Flag("--listen"), listener::endpoints_of_flags(&command_line.listen));
    }
    let advertised = settings.get("advertised.listeners");
    let (origin, endpoints) = match (settings.get("listeners"), advertised) {
        (None, Some(setting)) => {
            (setting.origin.clone(), listener::endpoints_behind(&list(values, "advertised.listeners")))
        }
        (Some(setting), _) => (setting.origin.clone(), listener::endpoints_of_key(&list(values, "listeners"))),
        (None, None) => (Origin::Default, listener::endpoints_of_key(&list(values, "listeners"))),
    };
    let protocols = values.get("listener.security.protocol.map").map(|map| map.to_string()).unwrap_or_default();
    let endpoints = endpoints
        .and_then(|endpoints| listener::without_controllers(endpoints, &list(values, "controller.listener.names")))
        .and_then(|endpoints| listener::with_protocols(endpoints, &protocols));
    (origin, endpoints)
}

/// What clients are told of where we listen, and who said so.
fn advertising(
    command_line: &CommandLine,
    settings: &Settings,
    values: &BrokerValues,
    endpoints: Vec<Endpoint>,
) -> (Origin, Result<Vec<Listener>, ListenerError>) {
    if !command_line.advertise.is_empty() {
        return (Origin::Flag("--advertise"), listener::advertise_in_order(endpoints, &command_line.advertise));
    }
    let origin = settings.origin("advertised.listeners");
    let controllers = list(values, "controller.listener.names");
    (origin, listener::advertise_by_name(endpoints, &list(values, "advertised.listeners"), &controllers))
}

/// What clients of a listener may take, where it has bounds of its own.
fn limits(said: ListenerSettings<'_>) -> ListenerLimits {
    let limit = |key| u32::try_from(said.of_listener(key)?.number()).ok();
    ListenerLimits {
        connections_max: limit("max.connections"),
        connection_creation_rate_max: limit("max.connection.creation.rate"),
    }
}

/// Whoever gives a certificate with a flag means to use it.
fn check_tls_is_used(settings: &Settings, listeners: &[Listener]) -> Result<(), ConfigError> {
    if listeners.iter().any(|listener| listener.security.tls.is_some()) {
        return Ok(());
    }
    let locations = ["ssl.keystore.location", "ssl.truststore.location"];
    let origins = locations.iter().filter_map(|key| Some(&settings.get(key)?.origin));
    match origins.into_iter().find(|origin| matches!(origin, Origin::Flag(_))) {
        Some(flag) => Err(ConfigError::Security { origin: flag.clone(), source: SecurityError::NoTlsListener }),
        None => Ok(()),
    }
}

/// A warning of a trust store where no client is asked for a certificate.
fn trust_unused(listeners: &[Listener]) -> Option<Warning> {
    let tls = || listeners.iter().filter_map(|listener| listener.security.tls.as_ref());
    let asks = tls().any(|tls| tls.client_auth != ClientAuth::None);
    (!asks && tls().any(|tls| tls.trusted.is_some())).then_some(Warning::TrustUnused)
}

/// A warning of users that no listener asks for.
pub(super) fn users_unasked(settings: &Settings, listeners: &[Listener]) -> Option<Warning> {
    let is_asked = listeners.iter().any(|listener| listener.security.sasl.is_some());
    (settings.has_users && !is_asked).then_some(Warning::UsersUnasked)
}

/// Whoever says something of a listener means one that is there. Those of controllers are not opened, but are there.
fn check_are_there(values: &BrokerValues, listeners: &[Listener], own: &ListenerValues) -> Result<(), ConfigError> {
    let controllers = list(values, "controller.listener.names");
    let is_controller = |name: &str| controllers.iter().any(|controller| controller.to_lowercase() == name);
    let mut stray =
        own.iter().filter(|(_, said)| of_key(listeners, &said.key).is_none() && !is_controller(&said.key.listener));
    let opened = || listeners.iter().map(|listener| listener.endpoint.name.as_str()).collect::<Vec<_>>().join(", ");
    stray.next().map_or(Ok(()), |(key, said)| {
        Err(ConfigError::NoSuchListener {
            origin: said.origin.clone(),
            key: key.clone(),
            listener: said.key.listener.to_uppercase(),
            opened: opened(),
        })
    })
}

/// The listener that a key is about, if it is opened.
pub(super) fn of_key<'a>(listeners: &'a [Listener], key: &ListenerKey) -> Option<&'a Listener> {
    listeners.iter().find(|listener| listener.endpoint.name.to_lowercase() == key.listener)
}

/// A warning of the listeners that others than this machine reach and that let anybody in.
pub(super) fn open(listeners: &[Listener]) -> Option<Warning> {
    let open =
        listeners.iter().filter(|listener| lets_anybody_in(&listener.security) && !is_loopback(&listener.endpoint));
    let open: Vec<_> = open.map(|listener| shown(&listener.endpoint, listener.security.protocol)).collect();
    (!open.is_empty()).then(|| Warning::Open(open.join(", ")))
}
