//! Who may do what. Every handler asks before it reads state.

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

/// Decides. There is one policy so far: listeners without authentication, on which everybody may do everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Authorizer;

impl Authorizer {
    /// Whether the operation may be done.
    pub fn authorize(self, _operation: Operation, _resource: Resource<'_>) -> Result<(), Denied> {
        Ok(())
    }

    /// The operations that may be done with a resource, as the bit field that responses carry.
    #[must_use]
    pub fn authorized_operations(self, resource: Resource<'_>) -> i32 {
        let allowed = resource.operations().iter().filter(|operation| self.authorize(**operation, resource).is_ok());
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
        assert_eq!(Authorizer.authorized_operations(Resource::Topic("a")), 3576);
        assert_eq!(Authorizer.authorized_operations(Resource::Cluster), 8096);
        assert_eq!(Authorizer.authorized_operations(Resource::Group("a")), 3400);
        assert_eq!(Authorizer.authorized_operations(Resource::TransactionalId("a")), 33_040);
    }
}
