//! Records that this broker does not act on and Apache Kafka does: quotas, access control, tokens, controllers. They stay in the image as they were written, the last one of each key, and go into snapshots unchanged.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::protocol::{
    message::Message,
    messages::{
        AccessControlEntryRecord, ClientQuotaRecord, DelegationTokenRecord, RegisterControllerRecord,
        RemoveAccessControlEntryRecord, RemoveDelegationTokenRecord, UnregisterControllerRecord,
        ZkMigrationStateRecord, client_quota_record::EntityData,
    },
    wire::{DecodeError, Reader},
};

/// What a record is about, in the order in which Kafka writes a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeptKind {
    /// The state of a migration from ZooKeeper.
    ZkMigrationState,
    /// A controller's registration.
    Controller,
    /// A quota of a user or client.
    ClientQuota,
    /// An access control entry.
    AccessControlEntry,
    /// A delegation token.
    DelegationToken,
}

impl KeptKind {
    /// Whether it changes what Kafka does for clients, and changes nothing here.
    #[must_use]
    pub fn is_unserved(self) -> bool {
        !matches!(self, Self::ZkMigrationState | Self::Controller)
    }

    /// What is there, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ZkMigrationState => "ZooKeeper migration state",
            Self::Controller => "controller registrations",
            Self::ClientQuota => "client quotas",
            Self::AccessControlEntry => "access control entries",
            Self::DelegationToken => "delegation tokens",
        }
    }
}

/// A record that is kept, or ends the keeping of one.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptRecord {
    /// What it is about.
    pub kind: KeptKind,
    /// What tells it from others of its kind.
    pub key: Vec<u8>,
    /// Whether it removes what is there under its key.
    pub removes: bool,
    /// The record as it was written.
    pub value: Bytes,
}

/// The kept records of an image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    records: BTreeMap<(KeptKind, Vec<u8>), Bytes>,
}

impl Kept {
    /// Takes in a record.
    pub(super) fn apply(&mut self, record: &KeptRecord) {
        let key = (record.kind, record.key.clone());
        if record.removes {
            self.records.remove(&key);
        } else {
            self.records.insert(key, record.value.clone());
        }
    }

    /// The records as they were written, by kind.
    pub fn iter(&self) -> impl Iterator<Item = (KeptKind, &Bytes)> {
        self.records.iter().map(|((kind, _), value)| (*kind, value))
    }

    /// How many there are of each kind.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<KeptKind, usize> {
        let mut counts = BTreeMap::new();
        for (kind, _) in self.iter() {
            *counts.entry(kind).or_default() += 1;
        }
        counts
    }
}

/// Reads a record of the kinds above. `None` for any other type.
pub(super) fn decode(
    r: &mut Reader<'_>,
    record_type: u32,
    version: i16,
    value: &Bytes,
) -> Result<Option<KeptRecord>, DecodeError> {
    use KeptKind::{AccessControlEntry, ClientQuota, Controller, DelegationToken, ZkMigrationState};
    let (kind, key, removes) = match record_type {
        10 => (DelegationToken, text(&DelegationTokenRecord::decode(r, version)?.token_id), false),
        14 => {
            let record = ClientQuotaRecord::decode(r, version)?;
            (ClientQuota, quota(record.entity, &record.key), record.remove)
        }
        18 => (AccessControlEntry, AccessControlEntryRecord::decode(r, version)?.id.as_bytes().to_vec(), false),
        19 => (AccessControlEntry, RemoveAccessControlEntryRecord::decode(r, version)?.id.as_bytes().to_vec(), true),
        21 => {
            ZkMigrationStateRecord::decode(r, version)?;
            (ZkMigrationState, Vec::new(), false)
        }
        26 => (DelegationToken, text(&RemoveDelegationTokenRecord::decode(r, version)?.token_id), true),
        27 => (Controller, id(RegisterControllerRecord::decode(r, version)?.controller_id), false),
        29 => (Controller, id(UnregisterControllerRecord::decode(r, version)?.controller_id), true),
        _ => return Ok(None),
    };
    Ok(Some(KeptRecord { kind, key, removes, value: value.clone() }))
}

fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn id(id: i32) -> Vec<u8> {
    id.to_be_bytes().to_vec()
}

/// The entity is a set: its parts may come in any order.
fn quota(mut entity: Vec<EntityData>, name: &str) -> Vec<u8> {
    entity.sort_by(|a, b| a.entity_type.as_str().cmp(b.entity_type.as_str()));
    let mut key = Vec::new();
    let mut part = |text: Option<&str>| {
        let length = text.map_or(-1, |text| i64::try_from(text.len()).unwrap_or(i64::MAX));
        key.extend(length.to_be_bytes());
        key.extend(text.unwrap_or_default().as_bytes());
    };
    for one in &entity {
        part(Some(one.entity_type.as_str()));
        part(one.entity_name.as_ref().map(|name| name.as_str()));
    }
    part(Some(name));
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{metadata::record::MetadataRecord, protocol::wire::Writer};

    fn written<M: Message>(record_type: u8, record: &M) -> Bytes {
        let mut w = Writer::new();
        [1, record_type, 0].into_iter().for_each(|byte| w.unsigned_varint(u32::from(byte)));
        record.encode(&mut w, 0).expect("fits");
        w.into_bytes()
    }

    fn kept(values: &[Bytes]) -> Kept {
        let mut kept = Kept::default();
        for value in values {
            match MetadataRecord::decode(value).expect("decodes") {
                MetadataRecord::Kept(record) => kept.apply(&record),
                other => panic!("{other:?} is not kept"),
            }
        }
        kept
    }

    fn quota_of(entity: &[(&str, Option<&str>)], value: f64, remove: bool) -> Bytes {
        let entity = entity.iter().map(|(entity_type, name)| EntityData {
            entity_type: (*entity_type).into(),
            entity_name: name.map(Into::into),
            ..EntityData::default()
        });
        let record = ClientQuotaRecord {
            entity: entity.collect(),
            key: "producer_byte_rate".into(),
            value,
            remove,
            ..ClientQuotaRecord::default()
        };
        written(14, &record)
    }

    fn token(id: &str, owner: &str) -> Bytes {
        let (token_id, owner) = (id.into(), owner.into());
        written(10, &DelegationTokenRecord { token_id, owner, ..DelegationTokenRecord::default() })
    }

    #[test]
    fn the_last_of_a_key_stays_as_it_was_written() {
        let second = token("a", "y");
        let kept = kept(&[token("a", "x"), token("b", "x"), second.clone()]);
        assert_eq!(kept.counts(), BTreeMap::from([(KeptKind::DelegationToken, 2)]));
        assert_eq!(kept.iter().next(), Some((KeptKind::DelegationToken, &second)));
    }

    #[test]
    fn what_is_removed_is_gone() {
        let entry = AccessControlEntryRecord::default();
        let controller = RegisterControllerRecord { controller_id: 3, ..Default::default() };
        let values = [
            token("t", "x"),
            written(26, &RemoveDelegationTokenRecord { token_id: "t".into(), ..Default::default() }),
            written(18, &entry),
            written(19, &RemoveAccessControlEntryRecord { id: entry.id, ..Default::default() }),
            written(27, &controller),
            written(29, &UnregisterControllerRecord { controller_id: 3, ..Default::default() }),
            quota_of(&[("user", Some("a")), ("client-id", None)], 1.0, false),
            quota_of(&[("client-id", None), ("user", Some("a"))], 0.0, true),
        ];
        assert_eq!(kept(&values), Kept::default());
    }

    #[test]
    fn the_default_of_an_entity_is_not_one_without_a_name() {
        let kept = kept(&[quota_of(&[("user", Some(""))], 1.0, false), quota_of(&[("user", None)], 2.0, false)]);
        assert_eq!(kept.iter().count(), 2);
    }
}
