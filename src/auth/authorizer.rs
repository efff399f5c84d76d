//! Who may do what. Every handler asks before it reads state.

use std::collections::HashSet;

use super::principal::Principal;

/// What somebody wants to do. The numbers are Kafka's `AclOperation` codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are Kafka's")]
pub enum Operation {
    Read = 3,
    Write = 4,
    Create = 5,
    Delete = 6,
    Alter = 7,
    Describe = 8,
    ClusterAction = 9,
    DescribeConfigs = 10,
    AlterConfigs = 11,
    IdempotentWrite = 12,
    TwoPhaseCommit = 15,
}

/// What somebody wants to do it with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// A topic by name.
    Topic(&'a str),
    /// The cluster.
    Cluster,
    /// A group by id.
    Group(&'a str),
    /// A transactional producer by its id.
    TransactionalId(&'a str),
}

/// Somebody's wish was not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not authorized")]
pub struct Denied;

/// Decides. There are no access control lists yet, so there are two policies: everybody who got in may do everything, or
/// nobody may do anything but super users, which is what Kafka's `StandardAuthorizer` says without a list.
#[derive(Clone, Debug, Default)]
pub struct Authorizer {
    policy: Policy,
    super_users: HashSet<Principal>,
}

/// What those may do who are not super users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Everything.
    #[default]
    Everything,
    /// Nothing.
    Nothing,
}

impl Authorizer {
    /// A policy, and those who may do everything whatever it says.
    #[must_use]
    pub fn new(policy: Policy, super_users: HashSet<Principal>) -> Self {
        Self { policy, super_users }
    }

    /// Whether `principal` may do this.
    pub fn authorize(
        &self,
        principal: &Principal,
        _operation: Operation,
        _resource: Resource<'_>,
    ) -> Result<(), Denied> {
        match self.policy {
            Policy::Everything => Ok(()),
            Policy::Nothing if self.super_users.contains(principal) => Ok(()),
            Policy::Nothing => Err(Denied),
        }
    }

    /// What `principal` may do with a resource, as the bit field that responses carry.
    #[must_use]
    pub fn authorized_operations(&self, principal: &Principal, resource: Resource<'_>) -> i32 {
        let is_allowed = |operation: &&Operation| self.authorize(principal, **operation, resource).is_ok();
        let allowed = resource.operations().iter().filter(is_allowed);
        allowed.fold(0, |bits, operation| bits | 1 << (*operation as u8))
    }
}

impl Resource<'_> {
    /// All operations that make sense for the resource.
    fn operations(self) -> &'static [Operation] {
        use Operation::{
            Alter, AlterConfigs, ClusterAction, Create, Delete, Describe, DescribeConfigs, IdempotentWrite, Read,
            TwoPhaseCommit, Write,
        };
        match self {
            Self::Topic(_) => &[Read, Write, Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs],
            Self::Cluster => &[Create, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite, Alter, Describe],
            Self::Group(_) => &[Read, Describe, Delete, DescribeConfigs, AlterConfigs],
            Self::TransactionalId(_) => &[Describe, Write, TwoPhaseCommit],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_fields_are_those_of_apache_kafka() {
        let bits = |resource| Authorizer::default().authorized_operations(&Principal::anonymous(), resource);
        assert_eq!(bits(Resource::Topic("a")), 3576);
        assert_eq!(bits(Resource::Cluster), 8096);
        assert_eq!(bits(Resource::Group("a")), 3400);
        assert_eq!(bits(Resource::TransactionalId("a")), 33_040);
    }

    #[test]
    fn where_nobody_may_do_anything_super_users_may() {
        let (alice, root) = (Principal::user("alice"), Principal::user("root"));
        let authorizer = Authorizer::new(Policy::Nothing, HashSet::from([root.clone()]));
        let may = |principal| authorizer.authorize(principal, Operation::Read, Resource::Topic("t")).is_ok();
        assert!(may(&root) && !may(&alice) && !may(&Principal::anonymous()));
        assert_eq!(authorizer.authorized_operations(&alice, Resource::Cluster), 0);
    }
}
