//! What a handler knows of a request beside its body, and what it may reach.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    audit::{Asked, Audit},
    fetch::session::cache::SessionCache,
    heavy_work::HeavyWork,
};

use crate::{
    auth::{
        authorizer::{Authorizer, Denied, Operation, Resource},
        certificate,
        failures::Failures,
        principal::Principal,
        session::Session,
    },
    broker::Broker,
    config::{
        key,
        listener::{Advertised, Listener},
        security::{ListenerSecurity, PrincipalRules, SaslConfig},
    },
    groups::service::GroupCoordinator,
    logging::LogLevels,
    network::{ConnectionContext, Refusal, Shutdown},
    protocol::{messages::ApiKey, wire::StrBytes},
    transactions::service::TransactionCoordinator,
};

/// What all requests share.
pub struct Services {
    broker: Arc<Broker>,
    groups: Arc<GroupCoordinator>,
    transactions: Arc<TransactionCoordinator>,
    authorizer: Authorizer,
    /// Where an authorizer decides that is Kafka's, which has a logger.
    audit: Option<Audit>,
    levels: LogLevels,
    fetch_sessions: SessionCache,
    heavy_work: HeavyWork,
    password_work: HeavyWork,
    failures: Mutex<Failures>,
    access: HashMap<String, Access>,
    shutdown: Shutdown,
}

impl Services {
    /// Handlers' services over a broker and its coordinators; what waits gives up when the shutdown begins.
    #[must_use]
    pub fn new(
        broker: Arc<Broker>,
        groups: Arc<GroupCoordinator>,
        transactions: Arc<TransactionCoordinator>,
        authorizer: Authorizer,
        levels: LogLevels,
        shutdown: Shutdown,
    ) -> Self {
        let slots = broker.config().max_incremental_fetch_session_cache_slots;
        let access = Access::of_listeners(&broker.config().listeners);
        let audit = broker.config().authorizer.is_by_lists.then(Audit::default);
        let slots = usize::try_from(slots).unwrap_or(usize::MAX);
        Self {
            broker,
            groups,
            transactions,
            authorizer,
            audit,
            levels,
            fetch_sessions: SessionCache::new(slots),
            heavy_work: HeavyWork::default(),
            password_work: HeavyWork::of_passwords(),
            failures: Mutex::default(),
            access,
            shutdown,
        }
    }
}

/// How a listener lets clients in.
struct Access {
    sasl: Option<Arc<SaslConfig>>,
    rules: PrincipalRules,
}

impl Access {
    fn of_listeners(listeners: &[Listener]) -> HashMap<String, Self> {
        let access = |security: &ListenerSecurity| Self {
            sasl: security.sasl.clone().map(Arc::new),
            rules: security.tls.as_ref().map(|tls| tls.principal_rules.clone()).unwrap_or_default(),
        };
        listeners.iter().map(|listener| (listener.endpoint.name.clone(), access(&listener.security))).collect()
    }
}

impl Services {
    /// `ottla.request.elements.max`.
    pub(super) fn elements_max(&self) -> usize {
        usize::try_from(self.broker.config().clients.request_elements_max).unwrap_or(usize::MAX)
    }

    /// The room for hashing passwords.
    #[must_use]
    pub fn password_work(&self) -> &HeavyWork {
        &self.password_work
    }

    /// What a new connection has proved of its client: nothing where that will be done by SASL, else what its certificate
    /// says.
    pub(super) fn session(&self, connection: &ConnectionContext) -> Result<Session, Refusal> {
        let access =
            self.access.get(&*connection.listener).expect("connections come from the listeners of the settings");
        if let Some(sasl) = &access.sasl {
            return Ok(Session::unauthenticated(Arc::clone(sasl)));
        }
        let certificate = connection.tls.as_ref().and_then(|tls| tls.certificate.as_ref());
        let principal =
            certificate.map_or_else(|| Ok(Principal::anonymous()), |der| principal_of(der, &access.rules))?;
        Ok(Session::established(principal))
    }
}

/// How many characters of a subject a line of the log has.
const SUBJECT_LOGGED_MAX: usize = 500;

/// The user whose certificate this is.
fn principal_of(certificate: &[u8], rules: &PrincipalRules) -> Result<Principal, Refusal> {
    let subject = certificate::subject(certificate).map_err(Refusal::because)?;
    let name = rules.name_of(&subject);
    let no_rule = || {
        Refusal::new(format!(
            "no rule of ssl.principal.mapping.rules applies to the subject {:?}",
            key::line(&subject, SUBJECT_LOGGED_MAX)
        ))
    };
    name.map(|name| Principal::user(&name)).ok_or_else(no_rule)
}

/// One request's surroundings.
#[derive(Clone)]
pub struct Context {
    services: Arc<Services>,
    /// The broker.
    pub broker: Arc<Broker>,
    /// Who sent the request.
    pub connection: Arc<ConnectionContext>,
    /// As whom.
    pub principal: Principal,
    /// What is requested.
    pub api: ApiKey,
    /// The version of the request, and so of the response.
    pub version: i16,
    /// What the client calls itself, if it does.
    pub client_id: Option<StrBytes>,
}

impl Context {
    pub(super) fn new(
        services: &Arc<Services>,
        connection: &Arc<ConnectionContext>,
        session: &Session,
        (api, version): (ApiKey, i16),
        client_id: Option<StrBytes>,
    ) -> Self {
        Self {
            services: Arc::clone(services),
            broker: Arc::clone(&services.broker),
            connection: Arc::clone(connection),
            principal: session.principal(),
            api,
            version,
            client_id,
        }
    }

    /// The groups of consumers.
    pub(super) fn groups(&self) -> &Arc<GroupCoordinator> {
        &self.services.groups
    }

    /// The transactions of producers.
    pub(super) fn transactions(&self) -> &Arc<TransactionCoordinator> {
        &self.services.transactions
    }

    /// How much is logged.
    pub(super) fn log_levels(&self) -> &LogLevels {
        &self.services.levels
    }

    /// The fetch sessions of all clients.
    pub(super) fn fetch_sessions(&self) -> &SessionCache {
        &self.services.fetch_sessions
    }

    /// The room for work that takes long.
    pub(super) fn heavy_work(&self) -> &HeavyWork {
        &self.services.heavy_work
    }

    /// The room for hashing passwords.
    pub(super) fn password_work(&self) -> &HeavyWork {
        self.services.password_work()
    }

    /// Who failed to authenticate of late.
    pub(super) fn failures(&self) -> MutexGuard<'_, Failures> {
        self.services.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The signal that ends all waiting.
    pub(super) fn shutdown(&self) -> &Shutdown {
        &self.services.shutdown
    }

    /// Whether the client may do what it asks for.
    pub fn authorize(&self, operation: Operation, resource: Resource<'_>) -> Result<(), Denied> {
        let outcome = self.services.authorizer.authorize(&self.principal, operation, resource);
        if let Some(audit) = &self.services.audit {
            audit.tell(&Asked { cx: self, operation, resource, is_allowed: outcome.is_ok() });
        }
        outcome
    }

    /// Whether the client may do what it does not ask for by itself: see what is in a list, or have by another right what
    /// this one would give too.
    pub fn may(&self, operation: Operation, resource: Resource<'_>) -> bool {
        let is_allowed = self.services.authorizer.authorize(&self.principal, operation, resource).is_ok();
        if self.services.audit.is_some() {
            Audit::whisper(&Asked { cx: self, operation, resource, is_allowed });
        }
        is_allowed
    }

    /// What the client may do with a resource, as a bit field.
    #[must_use]
    pub fn authorized_operations(&self, resource: Resource<'_>) -> i32 {
        self.services.authorizer.authorized_operations(&self.principal, resource)
    }

    /// Host and port under which this client reaches the broker: those that its listener advertises.
    #[must_use]
    pub fn advertised(&self) -> (StrBytes, i32) {
        let local = self.connection.local;
        match self.broker.advertised(&self.connection.listener) {
            Some(Advertised::Fixed { host, port }) => {
                let port = if port == 0 { local.port() } else { port };
                (host.into(), i32::from(port))
            }
            Some(Advertised::AsConnected) | None => (host_of(local), i32::from(local.port())),
        }
    }
}

fn host_of(address: SocketAddr) -> StrBytes {
    address.ip().to_canonical().to_string().into()
}
