//! CreatePartitions, DeleteRecords, DescribeConfigs, AlterConfigs, IncrementalAlterConfigs and DescribeLogDirs.

use anyhow::Result;
use ottla::protocol::messages::{
    AlterConfigsRequest, CreatePartitionsRequest, DeleteRecordsRequest, DescribeConfigsRequest, DescribeLogDirsRequest,
    IncrementalAlterConfigsRequest, alter_configs_request, create_partitions_request,
    create_partitions_request::CreatePartitionsTopic,
    delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
    describe_configs_request::DescribeConfigsResource,
    describe_log_dirs_request::DescribableLogDirTopic,
    incremental_alter_configs_request,
};

use super::{Row, produce::fill, records::batch, row};
use crate::probe::Probe;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;
const NOBODY_READS_IT: &str = "nobody reads it yet; what would do nothing is refused";
/// Key, operation, value.
type Change<'a> = (&'a str, i8, Option<&'a str>);
/// The brokers of each new partition.
type Assignments<'a> = Option<&'a [&'a [i32]]>;

pub(crate) fn rows() -> Vec<Row> {
    let parts = [partitions(), records(), described(), topics(), replaced(), brokers(), others(), directories()];
    parts.into_iter().flatten().collect()
}

/// Name, count, assignments.
fn enlarge(p: &mut Probe, topics: &[(&str, i32, Assignments<'_>)], validate_only: bool) -> Result<()> {
    let topics = topics.iter().map(|(name, count, assignments)| CreatePartitionsTopic {
        name: (*name).into(),
        count: *count,
        assignments: assignments.map(|assignments| {
            let assignments = assignments.iter().map(|brokers| create_partitions_request::CreatePartitionsAssignment {
                broker_ids: brokers.to_vec(),
                ..Default::default()
            });
            assignments.collect()
        }),
        ..Default::default()
    });
    let request =
        CreatePartitionsRequest { topics: topics.collect(), timeout_ms: 5000, validate_only, ..Default::default() };
    p.ask(3, &request)?;
    Ok(())
}

/// A topic of two partitions that is to have `count`.
fn enlarge_to(p: &mut Probe, count: i32, assignments: Assignments<'_>) -> Result<()> {
    let topic = p.topic(2, &[])?;
    enlarge(p, &[(&topic.name, count, assignments)], false)
}

fn partitions() -> Vec<Row> {
    vec![
        row("partitions: one more", |p| enlarge_to(p, 3, None)),
        row("partitions: as many", |p| enlarge_to(p, 2, None)),
        row("partitions: fewer", |p| enlarge_to(p, 1, None)),
        row("partitions: none", |p| enlarge_to(p, 0, None)),
        row("partitions: -1", |p| enlarge_to(p, -1, None)),
        row("partitions: too many", |p| enlarge_to(p, i32::MAX, None)),
        row("partitions: 10000 more and one", |p| enlarge_to(p, 10_003, None)),
        row("partitions: assigned", |p| enlarge_to(p, 4, Some(&[&[1], &[1]]))),
        row("partitions: too few assigned", |p| enlarge_to(p, 4, Some(&[&[1]]))),
        row("partitions: too many assigned", |p| enlarge_to(p, 3, Some(&[&[1], &[1]]))),
        row("partitions: none assigned", |p| enlarge_to(p, 3, Some(&[]))),
        row("partitions: assigned to nobody", |p| enlarge_to(p, 3, Some(&[&[]]))),
        row("partitions: assigned to a stranger", |p| enlarge_to(p, 3, Some(&[&[7]]))),
        row("partitions: assigned twice", |p| enlarge_to(p, 3, Some(&[&[1, 1]]))),
        row("partitions: only validated", |p| {
            let topic = p.topic(1, &[])?;
            enlarge(p, &[(&topic.name, 5, None)], true)?;
            enlarge(p, &[(&topic.name, 1, None)], true)?;
            enlarge(p, &[(&topic.name, 2, None)], false)
        }),
        row("partitions: of nothing", |p| {
            enlarge(p, &[("parity-not-there", 2, None), ("", 2, None), ("not/valid", 2, None)], false)
        }),
        row("partitions: a topic twice", |p| {
            let (topic, other) = (p.topic(1, &[])?, p.topic(1, &[])?);
            enlarge(p, &[(&topic.name, 2, None), (&topic.name, 3, None), (&other.name, 2, None)], false)
        }),
        row("partitions: one of two fails", |p| {
            let (topic, other) = (p.topic(1, &[])?, p.topic(1, &[])?);
            enlarge(p, &[(&topic.name, 1, None), (&other.name, 2, None)], false)
        }),
        row("partitions: no topics", |p| enlarge(p, &[], false)),
    ]
}

/// Partitions of a topic, each with an offset.
fn delete_records(p: &mut Probe, topic: &str, partitions: &[(i32, i64)]) -> Result<()> {
    let partitions = partitions.iter().map(|(partition_index, offset)| DeleteRecordsPartition {
        partition_index: *partition_index,
        offset: *offset,
        ..Default::default()
    });
    let topic = DeleteRecordsTopic { name: topic.into(), partitions: partitions.collect(), ..Default::default() };
    p.ask(2, &DeleteRecordsRequest { topics: vec![topic], timeout_ms: 5000, ..Default::default() })?;
    Ok(())
}

fn records() -> Vec<Row> {
    vec![
        row("records: to an offset, below it, to the end, beyond", |p| {
            let topic = p.topic(2, &[])?;
            fill(p, &topic, batch(3)?)?;
            for offset in [2, 1, 0, 3, 4, -1, -2, i64::MIN, i64::MAX] {
                delete_records(p, &topic.name, &[(0, offset)])?;
            }
            delete_records(p, &topic.name, &[(0, -1), (1, 1)])
        }),
        row("records: of nothing", |p| {
            let topic = p.topic(1, &[])?;
            delete_records(p, &topic.name, &[(1, 0), (-1, 0)])?;
            for name in ["parity-not-there", "", "not/valid", "__cluster_metadata"] {
                delete_records(p, name, &[(0, 0)])?;
            }
            Ok(())
        }),
        row("records: of a topic, and none of its partitions", |p| {
            let topic = p.topic(1, &[])?;
            delete_records(p, &topic.name, &[])
        }),
        row("records: where they are compacted", |p| {
            for policy in ["compact", "compact,delete", ""] {
                let topic = p.topic(1, &[("cleanup.policy", policy)])?;
                delete_records(p, &topic.name, &[(0, 0), (1, 0)])?;
            }
            Ok(())
        }),
    ]
}

/// Describes a resource: the named keys, or all.
fn describe(p: &mut Probe, resource_type: i8, name: &str, keys: Option<&[&str]>) -> Result<()> {
    let resource = DescribeConfigsResource {
        resource_type,
        resource_name: name.into(),
        configuration_keys: keys.map(|keys| keys.iter().map(|key| (*key).into()).collect()),
        ..Default::default()
    };
    p.ask(4, &DescribeConfigsRequest { resources: vec![resource], include_synonyms: true, ..Default::default() })?;
    Ok(())
}

fn described() -> Vec<Row> {
    vec![
        row("describe: all of a topic", |p| {
            let topic = p.topic(1, &[("flush.ms", "5"), ("cleanup.policy", " compact , delete")])?;
            describe(p, TOPIC, &topic.name, None)
        }),
        row("describe: keys of a topic, and others", |p| {
            let topic = p.topic(1, &[])?;
            describe(p, TOPIC, &topic.name, Some(&["retention.ms", "no.such.key", "retention.ms", "log.dirs"]))
        }),
        row("describe: no topic", |p| {
            for name in ["parity-not-there", "", ".", "not/valid"] {
                describe(p, TOPIC, name, None)?;
            }
            Ok(())
        }),
        row("describe: keys of the broker", |p| {
            let keys =
                ["log.retention.ms", "log.retention.hours", "log.cleanup.policy", "message.max.bytes", "no.such.key"];
            describe(p, BROKER, "1", Some(&keys))?;
            describe(p, BROKER, "", Some(&keys))
        }),
        row("describe: no broker", |p| {
            for name in ["2", "x", "-1"] {
                describe(p, BROKER, name, Some(&["log.retention.ms"]))?;
                describe(p, BROKER_LOGGER, name, None)?;
            }
            describe(p, BROKER_LOGGER, "", None)
        }),
        row("describe: unknown types", |p| {
            for resource_type in [0, 1, 3, 5, 127, -1] {
                describe(p, resource_type, "any", None)?;
            }
            Ok(())
        }),
        row("describe: a group and a subscription that nobody made", |p| {
            describe(p, GROUP, "parity-not-there", None)?;
            describe(p, GROUP, "", None)?;
            describe(p, CLIENT_METRICS, "parity-not-there", None)?;
            describe(p, CLIENT_METRICS, "", None)
        }),
    ]
}

fn alter_all(p: &mut Probe, resources: &[(i8, &str, &[Change<'_>])], validate_only: bool) -> Result<()> {
    let resources = resources.iter().map(|(resource_type, name, changes)| {
        let configs =
            changes.iter().map(|(key, operation, value)| incremental_alter_configs_request::AlterableConfig {
                name: (*key).into(),
                config_operation: *operation,
                value: value.map(Into::into),
                ..Default::default()
            });
        incremental_alter_configs_request::AlterConfigsResource {
            resource_type: *resource_type,
            resource_name: (*name).into(),
            configs: configs.collect(),
            ..Default::default()
        }
    });
    let request =
        IncrementalAlterConfigsRequest { resources: resources.collect(), validate_only, ..Default::default() };
    p.ask(1, &request)?;
    Ok(())
}

fn alter(p: &mut Probe, resource_type: i8, name: &str, changes: &[Change<'_>]) -> Result<()> {
    alter_all(p, &[(resource_type, name, changes)], false)
}

/// Each change by itself to a topic of the row's own.
fn each(p: &mut Probe, changes: &[Change<'_>]) -> Result<()> {
    let topic = p.topic(1, &[])?;
    for change in changes {
        alter(p, TOPIC, &topic.name, &[*change])?;
    }
    Ok(())
}

fn topics() -> Vec<Row> {
    vec![
        row("alter: set and delete", |p| {
            each(p, &[("flush.ms", SET, Some("5")), ("flush.ms", DELETE, None), ("flush.ms", DELETE, Some("5"))])
        }),
        row("alter: values", |p| {
            let values =
                ["0", "-1", "-2", " 7 ", "", "x", "1.5", "9223372036854775807", "9223372036854775808", "+5", "0x5"];
            let topic = p.topic(1, &[])?;
            for value in values {
                alter_all(p, &[(TOPIC, &topic.name, &[("retention.ms", SET, Some(value))])], true)?;
            }
            Ok(())
        }),
        row("alter: lists", |p| {
            let key = "cleanup.policy";
            each(
                p,
                &[
                    (key, APPEND, Some("compact")),
                    (key, SUBTRACT, Some("delete")),
                    (key, SUBTRACT, Some("delete")),
                    (key, SUBTRACT, Some("compact")),
                    (key, APPEND, Some("")),
                    (key, APPEND, Some("burn")),
                    (key, SET, Some("delete,,compact")),
                    (key, SET, Some(",")),
                    (key, SET, Some("delete,delete")),
                    ("retention.ms", APPEND, Some("5")),
                    ("no.such.key", SUBTRACT, Some("5")),
                    ("leader.replication.throttled.replicas", APPEND, Some("x")),
                ],
            )
        }),
        row("alter: throttled replicas", |p| {
            each(p, &[("leader.replication.throttled.replicas", APPEND, Some("0:1"))])
        })
        .differs("a single broker replicates nothing, so there is nothing to throttle"),
        row("alter: unknown keys", |p| {
            each(p, &[("no.such.key", SET, Some("1")), ("", SET, Some("1")), ("no.such.key", DELETE, None)])
        }),
        row("alter: nulls", |p| {
            each(p, &[("flush.ms", SET, None), ("cleanup.policy", APPEND, None), ("cleanup.policy", SUBTRACT, None)])
        }),
        row("alter: a key twice", |p| {
            let topic = p.topic(1, &[])?;
            alter(p, TOPIC, &topic.name, &[("flush.ms", SET, Some("5")), ("flush.ms", DELETE, None)])
        }),
        row("alter: a topic twice", |p| {
            let (topic, other) = (p.topic(1, &[])?, p.topic(1, &[])?);
            let change: &[Change<'_>] = &[("flush.ms", SET, Some("5"))];
            let resources = [(TOPIC, &*topic.name, change), (TOPIC, &*other.name, change), (TOPIC, &*topic.name, &[])];
            alter_all(p, &resources, false)
        }),
        row("alter: one of several fails", |p| {
            let topic = p.topic(1, &[])?;
            let change: &[Change<'_>] = &[("flush.ms", SET, Some("5"))];
            let resources = [(TOPIC, &*topic.name, change), (TOPIC, "parity-not-there", change), (5, "x", change)];
            alter_all(p, &resources, false)
        }),
        row("alter: no topic", |p| {
            for name in ["parity-not-there", "", ".", "not/valid", &"n".repeat(250)] {
                alter(p, TOPIC, name, &[("flush.ms", SET, Some("5"))])?;
                alter(p, TOPIC, name, &[])?;
            }
            Ok(())
        }),
        row("alter: unknown operation", |p| each(p, &[("flush.ms", 4, Some("5")), ("flush.ms", -1, Some("5"))]))
            .differs("Kafka's controller stumbles over it"),
        row("alter: nothing", |p| alter_all(p, &[], false)),
    ]
}

fn replace(p: &mut Probe, resource_type: i8, name: &str, configs: &[(&str, Option<&str>)]) -> Result<()> {
    let configs = configs.iter().map(|(key, value)| alter_configs_request::AlterableConfig {
        name: (*key).into(),
        value: value.map(Into::into),
        ..Default::default()
    });
    let resource = alter_configs_request::AlterConfigsResource {
        resource_type,
        resource_name: name.into(),
        configs: configs.collect(),
        ..Default::default()
    };
    p.ask(2, &AlterConfigsRequest { resources: vec![resource], ..Default::default() })?;
    Ok(())
}

fn replaced() -> Vec<Row> {
    vec![
        row("replace: all, some, none", |p| {
            let topic = p.topic(1, &[("flush.ms", "5"), ("segment.ms", "5")])?;
            replace(p, TOPIC, &topic.name, &[("flush.ms", Some("6"))])?;
            replace(p, TOPIC, &topic.name, &[("flush.ms", Some("7")), ("no.such.key", Some("1"))])?;
            replace(p, TOPIC, &topic.name, &[("flush.ms", None)])?;
            replace(p, TOPIC, &topic.name, &[("flush.ms", Some("7")), ("flush.ms", Some("8"))])?;
            replace(p, TOPIC, &topic.name, &[])
        }),
        row("replace: no topic", |p| {
            for name in ["parity-not-there", "", "not/valid"] {
                replace(p, TOPIC, name, &[])?;
            }
            Ok(())
        }),
        row("replace: types", |p| {
            for resource_type in [0, 5, BROKER_LOGGER, -1] {
                replace(p, resource_type, "1", &[])?;
            }
            Ok(())
        }),
    ]
}

/// Each change by itself to the broker and to all brokers, and back.
fn each_of_broker(p: &mut Probe, changes: &[Change<'_>]) -> Result<()> {
    for name in ["1", ""] {
        for change in changes {
            alter(p, BROKER, name, &[*change])?;
            alter(p, BROKER, name, &[(change.0, DELETE, None)])?;
        }
    }
    Ok(())
}

fn brokers() -> Vec<Row> {
    vec![
        row("broker: values", |p| {
            each_of_broker(
                p,
                &[
                    ("log.retention.ms", SET, Some("5000")),
                    ("log.retention.ms", SET, Some("x")),
                    ("log.retention.ms", SET, Some("0")),
                    ("log.segment.bytes", SET, Some("5")),
                    ("log.roll.ms", SET, Some("0")),
                    ("message.max.bytes", SET, Some("-1")),
                    ("max.connections", SET, Some("0")),
                    ("log.cleaner.threads", SET, Some("9")),
                    ("log.cleaner.dedupe.buffer.size", SET, Some("5")),
                    ("log.cleanup.policy", SET, Some("burn")),
                    ("log.cleanup.policy", APPEND, Some("compact")),
                    ("log.retention.ms", APPEND, Some("5")),
                    ("no.such.key", SUBTRACT, Some("5")),
                    ("log.retention.ms", SET, None),
                    ("log.retention.ms", 9, Some("5")),
                ],
            )
        }),
        row("broker: a time below -1", |p| each_of_broker(p, &[("log.retention.ms", SET, Some("-2"))])),
        row("broker: a choice twice", |p| each_of_broker(p, &[("log.cleanup.policy", SET, Some("delete,delete"))]))
            .differs("it is no other list than without; Kafka too takes it of a topic"),
        row("broker: what only a start sets", |p| {
            each_of_broker(
                p,
                &[
                    ("node.id", SET, Some("5")),
                    ("log.dirs", SET, Some("/x")),
                    ("num.partitions", SET, Some("x")),
                    ("log.retention.hours", SET, Some("5")),
                    ("advertised.listeners", SET, Some("PLAINTEXT://127.0.0.1:1")),
                ],
            )?;
            alter(p, BROKER, "1", &[("log.retention.ms", SET, Some("5000")), ("node.id", SET, Some("5"))])?;
            describe(p, BROKER, "1", Some(&["log.retention.ms"]))
        }),
        row("broker: unknown key", |p| each_of_broker(p, &[("no.such.key", SET, Some("1"))]))
            .differs("Kafka keeps them for its plugins; here nobody would read them"),
        row("broker: no broker", |p| {
            for name in ["2", "-1", "x", " 1", "99999999999"] {
                alter(p, BROKER, name, &[("log.retention.ms", SET, Some("5"))])?;
                replace(p, BROKER, name, &[])?;
            }
            Ok(())
        }),
    ]
}

fn others() -> Vec<Row> {
    vec![
        row("logger: levels", |p| {
            for level in ["debug", "NONSENSE", "OFF", "", "INFO"] {
                alter(p, BROKER_LOGGER, "1", &[("root", SET, Some(level))])?;
            }
            Ok(())
        }),
        row("logger: operations", |p| {
            for operation in [DELETE, APPEND, SUBTRACT, 9] {
                alter(p, BROKER_LOGGER, "1", &[("root", operation, Some("INFO"))])?;
                alter(p, BROKER_LOGGER, "1", &[("no.such.logger", operation, Some("INFO"))])?;
            }
            alter(p, BROKER_LOGGER, "1", &[("no.such.logger", SET, Some("INFO"))])
        }),
        row("logger: no broker", |p| {
            for name in ["", "x", "2"] {
                alter(p, BROKER_LOGGER, name, &[("root", SET, Some("INFO"))])?;
            }
            Ok(())
        }),
        row("alter: a group", |p| {
            let name = p.new_name();
            alter(p, GROUP, &name, &[("share.session.timeout.ms", SET, Some("45000"))])
        })
        .differs(NOBODY_READS_IT),
        row("alter: a subscription to client metrics", |p| {
            let name = p.new_name();
            alter(p, CLIENT_METRICS, &name, &[("interval.ms", SET, Some("1000"))])
        })
        .differs(NOBODY_READS_IT),
    ]
}

/// Names and partitions.
fn log_dirs(p: &mut Probe, version: i16, topics: &[(&str, &[i32])]) -> Result<()> {
    let topics = topics.iter().map(|(name, partitions)| DescribableLogDirTopic {
        topic: (*name).into(),
        partitions: partitions.to_vec(),
        ..Default::default()
    });
    p.ask(version, &DescribeLogDirsRequest { topics: Some(topics.collect()), ..Default::default() })?;
    Ok(())
}

fn directories() -> Vec<Row> {
    vec![
        row("directories: of a topic", |p| {
            let topic = p.topic(2, &[])?;
            fill(p, &topic, batch(3)?)?;
            for version in 1..=5 {
                log_dirs(p, version, &[(&topic.name, &[0, 1])])?;
            }
            Ok(())
        }),
        row("directories: of what is not there", |p| {
            let topic = p.topic(1, &[])?;
            log_dirs(p, 4, &[])?;
            log_dirs(p, 4, &[(&topic.name, &[]), ("parity-not-there", &[0]), ("__cluster_metadata", &[0])])?;
            log_dirs(p, 4, &[(&topic.name, &[0, 0, 1, -1]), (&topic.name, &[0])])
        }),
    ]
}
