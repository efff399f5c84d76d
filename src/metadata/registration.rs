//! What a start and a stop of this node write about it: its registration, and who leads its partitions. Pure.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    image::Image,
    level::{METADATA_VERSION_FEATURE, MetadataLevel},
    quorum::KRAFT_VERSION,
    record::MetadataRecord,
};
use crate::protocol::{
    messages::{
        BrokerRegistrationChangeRecord, PartitionChangeRecord, RegisterBrokerRecord,
        register_broker_record::{BrokerEndpoint, BrokerFeature},
    },
    transaction_version::{TRANSACTION_VERSION_FEATURE, TransactionVersion},
};

/// A node that starts.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its id.
    pub id: i32,
    /// The id of its data directory.
    pub directory_id: Uuid,
    /// Tells this process from an earlier one.
    pub incarnation_id: Uuid,
    /// Where clients find it: name, host, port.
    pub endpoints: Vec<(String, String, u16)>,
}

/// A partition that this node cannot serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("partition {topic}-{partition} is on brokers {replicas:?}, and not on this node, {node}")]
pub struct NotAReplica {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// Who has it.
    pub replicas: Vec<i32>,
    /// This node.
    pub node: i32,
}

/// Every partition has to be on `node`, the only one there is.
pub fn check_replicas(image: &Image, node: i32) -> Result<(), NotAReplica> {
    for topic in image.topics() {
        for (index, partition) in (0..).zip(&topic.partitions) {
            if !partition.replicas.contains(&node) {
                let (topic, replicas) = (topic.name.clone(), partition.replicas.clone());
                return Err(NotAReplica { topic, partition: index, replicas, node });
            }
        }
    }
    Ok(())
}

/// The registration, whose epoch is its own offset: the next that `image` goes on at.
#[must_use]
pub fn register(image: &Image, node: &Node) -> (MetadataRecord, i64) {
    let level = image.metadata_level().unwrap_or(MetadataLevel::LATEST);
    let epoch = image.offset();
    let endpoints = node.endpoints.iter().map(|(name, host, port)| BrokerEndpoint {
        name: name.as_str().into(),
        host: host.as_str().into(),
        port: *port,
        security_protocol: 0,
        ..BrokerEndpoint::default()
    });
    let feature = |name: &str, min_supported_version, max_supported_version| BrokerFeature {
        name: name.into(),
        min_supported_version,
        max_supported_version,
        ..BrokerFeature::default()
    };
    let record = RegisterBrokerRecord {
        broker_id: node.id,
        incarnation_id: node.incarnation_id,
        broker_epoch: epoch,
        end_points: endpoints.collect(),
        features: vec![
            feature(METADATA_VERSION_FEATURE, MetadataLevel::LOWEST.number(), MetadataLevel::LATEST.number()),
            feature("kraft.version", 0, KRAFT_VERSION),
            feature(TRANSACTION_VERSION_FEATURE, 0, TransactionVersion::LATEST.level()),
        ],
        rack: None,
        fenced: true,
        log_dirs: if level.has_directories() { vec![node.directory_id] } else { Vec::new() },
        ..RegisterBrokerRecord::default()
    };
    (MetadataRecord::RegisterBroker(record), epoch)
}

/// The node serves: it is no longer fenced, and leads every partition alone. With `new_epochs` each gets a new leader
/// epoch, be it led as it should be or not.
#[must_use]
pub fn take_over(image: &Image, node: &Node, broker_epoch: i64, new_epochs: bool) -> Vec<MetadataRecord> {
    let level = image.metadata_level().unwrap_or(MetadataLevel::LATEST);
    let mut records = vec![fenced(node.id, broker_epoch, -1)];
    for topic in image.topics() {
        let changes = (0..).zip(&topic.partitions).filter_map(|(partition_id, partition)| {
            let change = partition.lead_alone(node.id, node.directory_id, new_epochs, level)?;
            let change = PartitionChangeRecord { partition_id, topic_id: topic.id, ..change };
            Some(MetadataRecord::PartitionChange(change))
        });
        records.extend(changes);
    }
    records
}

/// The node stops.
#[must_use]
pub fn fence(node: i32, broker_epoch: i64) -> MetadataRecord {
    fenced(node, broker_epoch, 1)
}

fn fenced(broker_id: i32, broker_epoch: i64, fenced: i8) -> MetadataRecord {
    MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
        broker_id,
        broker_epoch,
        fenced,
        ..BrokerRegistrationChangeRecord::default()
    })
}
