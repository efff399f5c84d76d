//! Access control lists, as far as a broker that does not act on them has to know of them.

use crate::{
    config::{authorizer::Allowed, broker::BrokerConfig},
    metadata::{image::Image, kept::KeptKind},
};

const CLASS: &str = "authorizer.class.name";
const ALLOW_EVERYONE: &str = "allow.everyone.if.no.acl.found";

/// Why a broker does not start on lists that its settings want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{ALLOW_EVERYONE}=true, and the metadata has {entries} access control entries: Kafka's authorizer would hold clients \
     to them, and here they would have no effect; set {ALLOW_EVERYONE}=false, and only super.users may do anything, or \
     take {CLASS} away, and whoever got in may do everything"
)]
pub struct AccessListsError {
    entries: usize,
}

/// Refuses to let everybody do everything where entries say otherwise. Where only super users may do anything, entries
/// could but allow more.
pub(super) fn check(config: &BrokerConfig, image: &Image) -> Result<(), AccessListsError> {
    let entries = image.kept().counts().get(&KeptKind::AccessControlEntry).copied().unwrap_or_default();
    if entries > 0 && lets_everybody_by_lists(config) { Err(AccessListsError { entries }) } else { Ok(()) }
}

fn lets_everybody_by_lists(config: &BrokerConfig) -> bool {
    config.authorizer.is_by_lists && config.authorizer.allowed == Allowed::Everybody
}

#[cfg(test)]
mod tests {
    use super::{super::tests, *};
    use crate::{
        broker::LoadError,
        config::authorizer::AuthorizerConfig,
        log::{disk::sim::SimDisk, group_commit::Durability},
        metadata::{journal::CommitError, record::MetadataRecord},
        protocol::{message::Message, messages::AccessControlEntryRecord, wire::Writer},
    };

    fn entry() -> MetadataRecord {
        let mut w = Writer::new();
        // The version of the frame, the type, the version of the record.
        [1, 18, 0].into_iter().for_each(|byte| w.unsigned_varint(byte));
        AccessControlEntryRecord::default().encode(&mut w, 0).expect("fits");
        MetadataRecord::decode(&w.into_bytes()).expect("decodes")
    }

    #[test]
    fn entries_are_not_passed_over_where_everybody_else_would_get_everything() {
        let disk = SimDisk::new(1);
        let start = |is_by_lists: bool, allowed: Allowed| {
            tests::open_with(&disk, Durability::Fsync, |config| {
                config.authorizer = AuthorizerConfig { allowed, is_by_lists, super_users: Vec::new() };
            })
        };
        let broker = start(true, Allowed::Everybody).expect("there is no entry yet");
        broker.journal.change(0, |_| Ok::<_, CommitError>((vec![entry()], ()))).expect("committed");
        broker.close().expect("closed");
        drop(broker);
        let refused = start(true, Allowed::Everybody).err().expect("there is an entry now");
        assert!(matches!(refused, LoadError::AccessLists(AccessListsError { entries: 1 })), "{refused}");
        assert!(refused.to_string().contains("allow.everyone.if.no.acl.found=false"), "{refused}");
        for (is_by_lists, allowed) in [(true, Allowed::SuperUsers), (false, Allowed::Everybody)] {
            start(is_by_lists, allowed).expect("entries change nothing").close().expect("closed");
        }
    }
}
