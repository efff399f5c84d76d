//! What is told of a group: in a list, or all of it.

use std::sync::Arc;

use bytes::Bytes;

/// What kind of group it is, in the words of Kafka's `Group.GroupType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupType {
    /// The classic protocol.
    Classic,
    /// KIP-848.
    Consumer,
    /// KIP-932.
    Share,
    /// KIP-1071.
    Streams,
}

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its kind.
    pub group_type: GroupType,
    /// The state's name, as Kafka spells it.
    pub state: &'static str,
    /// The protocol type; empty for a group that only has offsets.
    pub protocol_type: Arc<str>,
}

/// All that can be told of a group of the classic protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The state's name, as Kafka spells it.
    pub state: &'static str,
    /// The protocol type.
    pub protocol_type: Arc<str>,
    /// The protocol that was voted for; empty unless the group is stable.
    pub protocol_name: Arc<str>,
    /// The members.
    pub members: Vec<DescribedMember>,
}

/// A member as it is described.
#[derive(Clone, Debug, PartialEq)]
pub struct DescribedMember {
    /// Its id.
    pub member_id: Arc<str>,
    /// Its group instance id, if it is static.
    pub group_instance_id: Option<Arc<str>>,
    /// What its client calls itself.
    pub client_id: Arc<str>,
    /// Where its client is.
    pub client_host: Arc<str>,
    /// Its metadata under the group's protocol; empty unless the group is stable.
    pub metadata: Bytes,
    /// What it is assigned; empty unless the group is stable.
    pub assignment: Bytes,
}
