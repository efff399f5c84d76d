//! Who was let do what: Apache Kafka's `kafka.authorizer.logger`, in the words of its `StandardAuthorizer`.
//!
//! A denial is said aloud, for somebody may have to do something about it: so often of each principal, and more quietly
//! from then on, for whoever is denied can ask again. What was allowed is for who wants to know. Where it was only looked
//! what somebody may see, a denial refuses nothing, and is for who looks for a fault.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use super::context::Context;
use crate::{
    auth::{
        authorizer::{Operation, Resource},
        principal::Principal,
    },
    clock,
    complaints::Complaints,
    config::key::line,
    logging::AUTHORIZER,
};

/// Lines in a minute that say of one principal what it was denied.
const DENIALS_MAX: u32 = 20;
/// How many characters of a name a line has: as many as a topic's can have.
const NAME_LOGGED_MAX: usize = 249;

/// What has been said.
pub(super) struct Audit {
    denials: Mutex<Complaints<Principal>>,
}

/// What somebody wanted to do, and whether that was allowed.
pub(super) struct Asked<'a> {
    pub(super) cx: &'a Context,
    pub(super) operation: Operation,
    pub(super) resource: Resource<'a>,
    pub(super) is_allowed: bool,
}

impl Default for Audit {
    fn default() -> Self {
        Self { denials: Mutex::new(Complaints::new("principal", DENIALS_MAX)) }
    }
}

impl Audit {
    /// Says what was asked for a request that is refused where it is denied.
    pub(super) fn tell(&self, asked: &Asked<'_>) {
        if asked.is_allowed || !tracing::enabled!(target: AUTHORIZER, tracing::Level::INFO) {
            tracing::debug!(target: AUTHORIZER, "{asked}");
            return;
        }
        let of = asked.cx.principal.clone();
        let aside = self.denials.lock().unwrap_or_else(PoisonError::into_inner).add(of, clock::monotonic());
        match aside {
            Some(aside) => tracing::info!(target: AUTHORIZER, "{asked}{aside}"),
            None => tracing::debug!(target: AUTHORIZER, "{asked}"),
        }
    }

    /// Says what was asked although nothing is refused where it is denied.
    pub(super) fn whisper(asked: &Asked<'_>) {
        if asked.is_allowed {
            tracing::debug!(target: AUTHORIZER, "{asked}");
        } else {
            tracing::trace!(target: AUTHORIZER, "{asked}");
        }
    }
}

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cx, operation, resource, is_allowed } = self;
        let (kind, name) = kind_and_name(*resource);
        write!(
            f,
            "Principal = {} is {} operation = {} from host = {} on resource = {kind}:LITERAL:{} for request = {} with \
             resourceRefCount = 1",
            line(&cx.principal.to_string(), NAME_LOGGED_MAX),
            if *is_allowed { "Allowed" } else { "Denied" },
            operation_name(*operation),
            cx.connection.peer.ip(),
            line(name, NAME_LOGGED_MAX),
            cx.api.name(),
        )
    }
}

fn kind_and_name(resource: Resource<'_>) -> (&'static str, &str) {
    match resource {
        Resource::Topic(name) => ("Topic", name),
        Resource::Cluster => ("Cluster", "kafka-cluster"),
        Resource::Group(id) => ("Group", id),
        Resource::TransactionalId(id) => ("TransactionalId", id),
    }
}

fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Read => "READ",
        Operation::Write => "WRITE",
        Operation::Create => "CREATE",
        Operation::Delete => "DELETE",
        Operation::Alter => "ALTER",
        Operation::Describe => "DESCRIBE",
        Operation::ClusterAction => "CLUSTER_ACTION",
        Operation::DescribeConfigs => "DESCRIBE_CONFIGS",
        Operation::AlterConfigs => "ALTER_CONFIGS",
        Operation::IdempotentWrite => "IDEMPOTENT_WRITE",
        Operation::TwoPhaseCommit => "TWO_PHASE_COMMIT",
    }
}
