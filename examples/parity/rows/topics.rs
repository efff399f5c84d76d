//! CreateTopics and DeleteTopics.

use anyhow::Result;
use ottla::protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest,
    create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig},
    delete_topics_request::DeleteTopicState,
};
use uuid::Uuid;

use super::{Row, row};
use crate::probe::Probe;

const VERSION: i16 = 7;
const ONE_REPLICA: &str = "there is one broker, so any replication factor comes to one replica";
const AS_DESCRIBED: &str =
    "the value is shown as DescribeConfigs of either broker shows it; here Kafka has the text as it came";

fn topic(name: &str) -> CreatableTopic {
    CreatableTopic { name: name.into(), num_partitions: 1, replication_factor: 1, ..Default::default() }
}

fn create(p: &mut Probe, version: i16, topics: Vec<CreatableTopic>) -> Result<()> {
    p.ask(version, &CreateTopicsRequest { topics, timeout_ms: 5000, ..Default::default() })?;
    Ok(())
}

/// One topic with a name of its own, changed before it is asked for.
fn create_with(p: &mut Probe, change: impl Fn(&mut CreatableTopic)) -> Result<()> {
    let mut asked = topic(&p.new_name());
    change(&mut asked);
    create(p, VERSION, vec![asked])
}

fn create_named(p: &mut Probe, names: &[&str]) -> Result<()> {
    create(p, VERSION, names.iter().map(|name| topic(name)).collect())
}

fn with_config(p: &mut Probe, configs: &[(&str, Option<&str>)]) -> Result<()> {
    create_with(p, |topic| {
        let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: (*name).into(),
            value: value.map(Into::into),
            ..Default::default()
        });
        topic.configs = configs.collect();
    })
}

/// Partition and brokers.
fn assigned(p: &mut Probe, assignments: &[(i32, &[i32])]) -> Result<()> {
    create_with(p, |topic| {
        (topic.num_partitions, topic.replication_factor) = (-1, -1);
        topic.assignments = assignments_of(assignments);
    })
}

fn assignments_of(assignments: &[(i32, &[i32])]) -> Vec<CreatableReplicaAssignment> {
    let assignments = assignments.iter().map(|&(partition_index, brokers)| CreatableReplicaAssignment {
        partition_index,
        broker_ids: brokers.to_vec(),
        ..Default::default()
    });
    assignments.collect()
}

fn delete(p: &mut Probe, named: &[(Option<&str>, Uuid)]) -> Result<()> {
    let topics = named.iter().map(|(name, topic_id)| DeleteTopicState {
        name: name.map(Into::into),
        topic_id: *topic_id,
        ..Default::default()
    });
    p.ask(6, &DeleteTopicsRequest { topics: topics.collect(), timeout_ms: 5000, ..Default::default() })?;
    Ok(())
}

fn delete_names(p: &mut Probe, version: i16, names: &[&str]) -> Result<()> {
    let topic_names = names.iter().map(|name| (*name).into()).collect();
    p.ask(version, &DeleteTopicsRequest { topic_names, timeout_ms: 5000, ..Default::default() })?;
    Ok(())
}

pub(crate) fn rows() -> Vec<Row> {
    [names(), partitions(), assignments(), configs(), deletions()].into_iter().flatten().collect()
}

fn names() -> Vec<Row> {
    vec![
        row("create: one", |p| create_with(p, |_| ())),
        row("create: version 2", |p| {
            let name = p.new_name();
            create(p, 2, vec![topic(&name)])
        }),
        row("create: version 5", |p| {
            let name = p.new_name();
            create(p, 5, vec![topic(&name)])
        }),
        row("create: invalid names", |p| {
            create_named(p, &["", ".", "..", "not valid", "not/valid", "nön", &"n".repeat(250), "a:b"])
        }),
        row("create: name of 249 characters", |p| {
            let name = p.new_name();
            let long = format!("{name}{}", "n".repeat(249 - name.len()));
            p.ask_quietly(VERSION, &CreateTopicsRequest { topics: vec![topic(&long)], ..Default::default() })?;
            p.await_topic(&long, 1)
        }),
        row("create: existing", |p| {
            let existing = p.topic(1, &[])?;
            create_named(p, &[&existing.name])
        }),
        row("create: name that collides", |p| {
            let name = p.new_name();
            p.topic_named(&format!("{name}.x"), 1, &[])?;
            create_named(p, &[&format!("{name}_x")])
        }),
        row("create: two names that collide", |p| {
            let name = p.new_name();
            create_named(p, &[&format!("{name}.y"), &format!("{name}_y")])
        })
        .differs("metrics take them for one topic; Kafka too refuses the second, unless it comes in the same request"),
        row("create: name twice", |p| {
            let name = p.new_name();
            create_named(p, &[&name, &name])
        }),
        row("create: the metadata log", |p| create_named(p, &["__cluster_metadata"])),
        row("create: none", |p| create_named(p, &[])),
        row("create: only validated", |p| {
            let name = p.new_name();
            let request = CreateTopicsRequest { topics: vec![topic(&name)], validate_only: true, ..Default::default() };
            p.ask(VERSION, &request)?;
            p.ask(VERSION, &request)?;
            Ok(())
        })
        .differs("there is no topic, and so no id; Kafka makes one up"),
        row("create: only validated, refused", |p| {
            let topics = vec![CreatableTopic { num_partitions: 0, ..topic("valid") }, topic("not/valid")];
            p.ask(VERSION, &CreateTopicsRequest { topics, validate_only: true, ..Default::default() })?;
            Ok(())
        }),
    ]
}

fn partitions() -> Vec<Row> {
    vec![
        row("create: 0 partitions", |p| create_with(p, |topic| topic.num_partitions = 0)),
        row("create: -2 partitions", |p| create_with(p, |topic| topic.num_partitions = -2)),
        row("create: partitions and factor by default", |p| {
            create_with(p, |topic| (topic.num_partitions, topic.replication_factor) = (-1, -1))
        }),
        row("create: 10001 partitions", |p| create_with(p, |topic| topic.num_partitions = 10_001)),
        row("create: 100000 partitions", |p| create_with(p, |topic| topic.num_partitions = 100_000)),
        row("create: replication factor 0", |p| create_with(p, |topic| topic.replication_factor = 0)),
        row("create: replication factor -2", |p| create_with(p, |topic| topic.replication_factor = -2)),
        row("create: replication factor 3", |p| create_with(p, |topic| topic.replication_factor = 3))
            .differs(ONE_REPLICA),
    ]
}

fn assignments() -> Vec<Row> {
    vec![
        row("assignment: two partitions", |p| assigned(p, &[(0, &[1]), (1, &[1])])),
        row("assignment: not from 0 on", |p| assigned(p, &[(1, &[1])])),
        row("assignment: a gap", |p| assigned(p, &[(0, &[1]), (2, &[1])])),
        row("assignment: a partition twice", |p| assigned(p, &[(0, &[1]), (0, &[1])])),
        row("assignment: a broker twice", |p| assigned(p, &[(0, &[1, 1])])),
        row("assignment: no brokers", |p| assigned(p, &[(0, &[])])),
        row("assignment: a broker that is not there", |p| assigned(p, &[(0, &[7])])),
        row("assignment: negative broker", |p| assigned(p, &[(0, &[-1])])),
        row("assignment: partition count too", |p| {
            create_with(p, |topic| {
                topic.replication_factor = -1;
                topic.assignments = assignments_of(&[(0, &[1])]);
            })
        }),
        row("assignment: replication factor too", |p| {
            create_with(p, |topic| {
                topic.num_partitions = -1;
                topic.assignments = assignments_of(&[(0, &[1])]);
            })
        }),
    ]
}

fn configs() -> Vec<Row> {
    vec![
        row("config: some", |p| {
            with_config(p, &[("cleanup.policy", Some("compact,delete")), ("retention.ms", Some("60000"))])
        }),
        row("config: spaces around a number", |p| with_config(p, &[("retention.ms", Some(" 60000 "))]))
            .differs(AS_DESCRIBED),
        row("config: unknown", |p| with_config(p, &[("no.such.key", Some("1"))])),
        row("config: a broker's", |p| with_config(p, &[("num.io.threads", Some("1"))])),
        row("config: not a number", |p| with_config(p, &[("retention.ms", Some("often"))])),
        row("config: below the least", |p| with_config(p, &[("segment.bytes", Some("1"))])),
        row("config: no such choice", |p| with_config(p, &[("cleanup.policy", Some("burn"))])),
        row("config: a choice twice", |p| with_config(p, &[("cleanup.policy", Some("delete,delete"))]))
            .differs(AS_DESCRIBED),
        row("config: null", |p| with_config(p, &[("retention.ms", None)])),
        row("config: empty", |p| with_config(p, &[("retention.ms", Some(""))])),
        row("config: twice", |p| with_config(p, &[("retention.ms", Some("1")), ("retention.ms", Some("2"))])),
        row("config: two that do not go together", |p| {
            with_config(p, &[("min.compaction.lag.ms", Some("2")), ("max.compaction.lag.ms", Some("1"))])
        }),
        row("config: tiered storage without any", |p| with_config(p, &[("remote.storage.enable", Some("true"))])),
    ]
}

fn deletions() -> Vec<Row> {
    vec![
        row("delete: by name", |p| {
            let topic = p.topic(1, &[])?;
            delete_names(p, 5, &[&topic.name])?;
            delete_names(p, 5, &[&topic.name])
        }),
        row("delete: version 1", |p| {
            let topic = p.topic(1, &[])?;
            delete_names(p, 1, &[&topic.name, "parity-not-there"])
        }),
        row("delete: by name, version 6", |p| {
            let topic = p.topic(1, &[])?;
            delete(p, &[(Some(&topic.name), Uuid::nil())])
        }),
        row("delete: by id", |p| {
            let topic = p.topic(1, &[])?;
            delete(p, &[(None, topic.id)])
        }),
        row("delete: by an id that is not there", |p| delete(p, &[(None, Uuid::from_u128(0x77))])),
        row("delete: by a name that is not there", |p| delete(p, &[(Some("parity-not-there"), Uuid::nil())])),
        row("delete: invalid name", |p| delete(p, &[(Some("not/valid"), Uuid::nil())])),
        row("delete: both name and id", |p| {
            let topic = p.topic(1, &[])?;
            delete(p, &[(Some(&topic.name), topic.id)])
        }),
        row("delete: neither name nor id", |p| delete(p, &[(None, Uuid::nil())])),
        row("delete: name twice", |p| {
            let topic = p.topic(1, &[])?;
            delete(p, &[(Some(&topic.name), Uuid::nil()), (Some(&topic.name), Uuid::nil())])
        }),
        row("delete: by name and again by id", |p| {
            let topic = p.topic(1, &[])?;
            delete(p, &[(Some(&topic.name), Uuid::nil()), (None, topic.id)])
        })
        .differs("each entry of the request has its own in the answer"),
        row("delete: none", |p| delete(p, &[])),
    ]
}
