//! Metadata, DescribeTopicPartitions and ApiVersions.

use anyhow::Result;
use ottla::protocol::messages::{
    ApiVersionsRequest, DescribeTopicPartitionsRequest, MetadataRequest,
    describe_topic_partitions_request::{Cursor, TopicRequest},
    metadata_request::MetadataRequestTopic,
};
use uuid::Uuid;

use super::{Row, row};
use crate::probe::Probe;

fn named(name: &str) -> MetadataRequestTopic {
    MetadataRequestTopic { name: Some(name.into()), ..Default::default() }
}

fn request(topics: Vec<MetadataRequestTopic>) -> MetadataRequest {
    MetadataRequest { topics: Some(topics), ..Default::default() }
}

fn ask(p: &mut Probe, version: i16, topics: Vec<MetadataRequestTopic>) -> Result<()> {
    // Before version 4 a client could not say that it wants no topics made.
    p.ask(version, &MetadataRequest { allow_auto_topic_creation: version < 4, ..request(topics) })?;
    Ok(())
}

fn existing(p: &mut Probe, version: i16) -> Result<()> {
    let topic = p.topic(3, &[])?;
    ask(p, version, vec![named(&topic.name)])
}

fn creating(p: &mut Probe, name: &str) -> Result<()> {
    p.ask(9, &MetadataRequest { allow_auto_topic_creation: true, ..request(vec![named(name)]) })?;
    Ok(())
}

fn describe(p: &mut Probe, names: &[&str], limit: i32, cursor: Option<(&str, i32)>) -> Result<()> {
    let topics = names.iter().map(|name| TopicRequest { name: (*name).into(), ..Default::default() });
    let cursor = cursor.map(|(topic, partition_index)| Cursor {
        topic_name: topic.into(),
        partition_index,
        ..Default::default()
    });
    let request = DescribeTopicPartitionsRequest {
        topics: topics.collect(),
        response_partition_limit: limit,
        cursor,
        ..Default::default()
    };
    p.ask(0, &request)?;
    Ok(())
}

/// Describes two topics of three partitions each, in the wrong order.
fn describe_two(p: &mut Probe, limit: i32, cursor_partition: Option<(usize, i32)>) -> Result<()> {
    let (a, b) = (p.topic(3, &[])?.name.to_string(), p.topic(3, &[])?.name.to_string());
    let cursor = cursor_partition.map(|(topic, partition)| (if topic == 0 { a.as_str() } else { &b }, partition));
    describe(p, &[&b, &a], limit, cursor)
}

fn versions(p: &mut Probe, version: i16, name: &str, software: &str) -> Result<()> {
    let request = ApiVersionsRequest {
        client_software_name: name.into(),
        client_software_version: software.into(),
        ..Default::default()
    };
    let answer = p.ask_quietly(version, &request)?;
    p.note_text(format!("error {}", answer.response()["errorCode"]));
    Ok(())
}

/// For a cluster and a node (KIP-1242).
fn versions_for(p: &mut Probe, cluster_id: Option<&str>, node_id: i32) -> Result<()> {
    let request = ApiVersionsRequest {
        client_software_name: "parity".into(),
        client_software_version: "1".into(),
        cluster_id: cluster_id.map(Into::into),
        node_id,
        ..Default::default()
    };
    let answer = p.ask_quietly(5, &request)?;
    p.note_text(format!("error {}", answer.response()["errorCode"]));
    Ok(())
}

fn own_cluster(p: &mut Probe) -> Result<String> {
    let answer = p.ask_quietly(9, &request(Vec::new()))?;
    Ok(answer.response()["clusterId"].as_str().unwrap_or_default().to_owned())
}

pub(crate) fn rows() -> Vec<Row> {
    [topics(), pages(), api_versions()].into_iter().flatten().collect()
}

fn topics() -> Vec<Row> {
    vec![
        row("metadata: version 0", |p| existing(p, 0)),
        row("metadata: version 1", |p| existing(p, 1)),
        row("metadata: version 4", |p| existing(p, 4)),
        row("metadata: version 8", |p| existing(p, 8)),
        row("metadata: version 9", |p| existing(p, 9)),
        row("metadata: version 11", |p| existing(p, 11)),
        row("metadata: version 12", |p| existing(p, 12)),
        row("metadata: version 13", |p| existing(p, 13)),
        row("metadata: no topics", |p| ask(p, 9, Vec::new())),
        row("metadata: topic that is not there", |p| ask(p, 9, vec![named("parity-not-there")])),
        row("metadata: topic that is not there, version 12", |p| ask(p, 12, vec![named("parity-not-there")])),
        row("metadata: invalid names", |p| ask(p, 9, vec![named("not/valid"), named(""), named("."), named("..")])),
        row("metadata: makes a topic", |p| {
            let name = p.new_name();
            creating(p, &name)
        })
        .differs("it is made before the answer, so that the client need not ask again"),
        row("metadata: does not make an invalid one", |p| creating(p, "not/valid")),
        row("metadata: does not make a name that collides", |p| {
            let name = p.new_name();
            p.topic_named(&format!("{name}.x"), 1, &[])?;
            creating(p, &format!("{name}_x"))
        })
        .differs("INVALID_TOPIC_EXCEPTION says that it will never be made; Kafka lets the client ask again and again"),
        row("metadata: topic twice", |p| {
            let topic = p.topic(1, &[])?;
            ask(p, 9, vec![named(&topic.name), named(&topic.name)])
        }),
        row("metadata: by id", |p| {
            let topic = p.topic(1, &[])?;
            ask(p, 12, vec![MetadataRequestTopic { topic_id: topic.id, ..Default::default() }])
        }),
        row("metadata: by id, version 10", |p| {
            let topic = p.topic(1, &[])?;
            ask(p, 10, vec![MetadataRequestTopic { topic_id: topic.id, ..named(&topic.name) }])
        })
        .differs("the topic cannot be asked for like that, but who the controller is is true all the same"),
        row("metadata: id that is not there", |p| {
            ask(p, 12, vec![MetadataRequestTopic { topic_id: Uuid::from_u128(0x77), ..Default::default() }])
        }),
        row("metadata: neither name nor id", |p| ask(p, 12, vec![MetadataRequestTopic::default()])),
        row("metadata: both name and id", |p| {
            let topic = p.topic(1, &[])?;
            ask(p, 12, vec![MetadataRequestTopic { topic_id: topic.id, ..named(&topic.name) }])
        }),
        row("metadata: authorized operations", |p| {
            let topic = p.topic(1, &[])?;
            let operations = MetadataRequest {
                include_topic_authorized_operations: true,
                include_cluster_authorized_operations: true,
                ..request(vec![named(&topic.name)])
            };
            p.ask(9, &operations)?;
            Ok(())
        }),
    ]
}

fn pages() -> Vec<Row> {
    vec![
        row("page: two topics", |p| describe_two(p, 100, None)),
        row("page: limit within the first topic", |p| describe_two(p, 2, None)),
        row("page: limit at the end of the first topic", |p| describe_two(p, 3, None)),
        row("page: limit within the second topic", |p| describe_two(p, 4, None)),
        row("page: limit at the end of all", |p| describe_two(p, 6, None)),
        row("page: limit 0", |p| describe_two(p, 0, None)),
        row("page: limit -1", |p| describe_two(p, -1, None)),
        row("page: from the second partition on", |p| describe_two(p, 100, Some((0, 1)))),
        row("page: from the second topic on", |p| describe_two(p, 100, Some((1, 0)))),
        row("page: from the second topic's last partition on, limit 1", |p| describe_two(p, 1, Some((1, 2)))),
        row("page: from a partition that is not there", |p| describe_two(p, 100, Some((0, 3)))),
        row("page: from partition -1", |p| describe_two(p, 100, Some((0, -1)))),
        row("page: from a topic that was not asked for", |p| {
            let topic = p.topic(1, &[])?;
            describe(p, &[&topic.name], 100, Some(("a", 0)))?;
            describe(p, &[&topic.name], 100, Some(("zzz", 0)))
        }),
        row("page: topic that is not there", |p| describe(p, &["parity-not-there"], 100, None)),
        row("page: invalid name", |p| describe(p, &["not/valid"], 100, None)),
        row("page: topic twice", |p| {
            let topic = p.topic(1, &[])?;
            describe(p, &[&topic.name, &topic.name], 100, None)
        }),
    ]
}

fn api_versions() -> Vec<Row> {
    vec![
        row("versions: 0", |p| versions(p, 0, "", "")),
        row("versions: 3", |p| versions(p, 3, "parity", "1.0")),
        row("versions: 4", |p| versions(p, 4, "parity", "1.0")),
        row("versions: no software name", |p| versions(p, 3, "", "1.0")),
        row("versions: no software version", |p| versions(p, 3, "parity", "")),
        row("versions: software name with a blank", |p| versions(p, 3, "par ity", "1.0")),
        row("versions: software name with a dash in front", |p| versions(p, 3, "-parity", "1.0")),
        row("versions: software version with dots and dashes", |p| versions(p, 3, "p.a-r", "1.0-rc.1")),
        row("versions: 5 for this node", |p| versions_for(p, None, 1)),
        row("versions: 5 for another node", |p| versions_for(p, None, 77)),
        row("versions: 5 for another cluster", |p| versions_for(p, Some("another"), 1)),
        row("versions: 5 for another cluster, whatever its node", |p| versions_for(p, Some("another"), -1)),
        row("versions: 5 for another cluster and node", |p| versions_for(p, Some("another"), 77)),
        row("versions: 5 for this cluster, whatever its node", |p| {
            let cluster = own_cluster(p)?;
            versions_for(p, Some(&cluster), -1)
        }),
        row("versions: 5 for this cluster and node", |p| {
            let cluster = own_cluster(p)?;
            versions_for(p, Some(&cluster), 1)
        }),
        row("versions: 5 for this cluster and another node", |p| {
            let cluster = own_cluster(p)?;
            versions_for(p, Some(&cluster), 77)
        }),
    ]
}
