//! ListOffsets and OffsetForLeaderEpoch.

use anyhow::Result;
use ottla::protocol::{
    messages::{
        ListOffsetsRequest, OffsetForLeaderEpochRequest,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic},
    },
    records::compression::Compression,
};

use super::{
    Row,
    produce::fill,
    records::{FIRST_TIMESTAMP, batch, compressed, of_records},
    row,
};
use crate::probe::Probe;

const VERSION: i16 = 8;

fn list(p: &mut Probe, version: i16, name: &str, partitions: Vec<ListOffsetsPartition>) -> Result<()> {
    let topic = ListOffsetsTopic { name: name.into(), partitions, ..Default::default() };
    p.ask(version, &ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() })?;
    Ok(())
}

fn at_time(partition_index: i32, timestamp: i64) -> ListOffsetsPartition {
    ListOffsetsPartition { partition_index, timestamp, ..Default::default() }
}

/// A topic of two partitions. The first has three records a millisecond apart, then three packed ones a second later,
/// then one from before all others.
fn filled(p: &mut Probe) -> Result<String> {
    let topic = p.topic(2, &[])?;
    fill(p, &topic, batch(3)?)?;
    let records = vec![(None, Some(&b"v"[..])); 3];
    fill(p, &topic, of_records(&records, FIRST_TIMESTAMP + 1000, Compression::Gzip)?)?;
    fill(p, &topic, of_records(&records[..1], FIRST_TIMESTAMP - 1000, Compression::None)?)?;
    Ok(topic.name.to_string())
}

fn find(p: &mut Probe, version: i16, timestamp: i64) -> Result<()> {
    let topic = filled(p)?;
    list(p, version, &topic, vec![at_time(0, timestamp), at_time(1, timestamp)])
}

fn with_epoch(p: &mut Probe, current_leader_epoch: i32) -> Result<()> {
    let topic = filled(p)?;
    list(p, VERSION, &topic, vec![ListOffsetsPartition { current_leader_epoch, ..at_time(0, -1) }])
}

/// Partition, current epoch, epoch asked for.
fn end_of(p: &mut Probe, version: i16, asked: &[(i32, i32, i32)]) -> Result<()> {
    let topic = filled(p)?;
    end_in(p, version, &topic, asked)
}

fn end_in(p: &mut Probe, version: i16, topic: &str, asked: &[(i32, i32, i32)]) -> Result<()> {
    let partitions = asked.iter().map(|&(partition, current_leader_epoch, leader_epoch)| OffsetForLeaderPartition {
        partition,
        current_leader_epoch,
        leader_epoch,
        ..Default::default()
    });
    let topic = OffsetForLeaderTopic { topic: topic.into(), partitions: partitions.collect(), ..Default::default() };
    p.ask(version, &OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![topic], ..Default::default() })?;
    Ok(())
}

pub(crate) fn rows() -> Vec<Row> {
    [special_timestamps(), by_timestamp(), refused(), ends_of_epochs()].into_iter().flatten().collect()
}

fn special_timestamps() -> Vec<Row> {
    vec![
        row("list offsets: latest", |p| find(p, VERSION, -1)),
        row("list offsets: latest, version 1", |p| find(p, 1, -1)),
        row("list offsets: latest, version 11", |p| find(p, 11, -1)),
        row("list offsets: earliest", |p| find(p, VERSION, -2)),
        row("list offsets: earliest, version 1", |p| find(p, 1, -2)),
        row("list offsets: max timestamp", |p| find(p, VERSION, -3)),
        row("list offsets: max timestamp, version 7", |p| find(p, 7, -3)),
        row("list offsets: max timestamp, version 6", |p| find(p, 6, -3)),
        row("list offsets: max timestamp within a packed batch", |p| {
            let topic = p.topic(1, &[])?;
            fill(p, &topic, compressed(5, Compression::Lz4)?)?;
            list(p, VERSION, &topic.name, vec![at_time(0, -3)])
        }),
        row("list offsets: earliest local", |p| find(p, 8, -4)),
        row("list offsets: earliest local, version 7", |p| find(p, 7, -4)),
        row("list offsets: latest tiered", |p| find(p, 9, -5)),
        row("list offsets: latest tiered, version 8", |p| find(p, 8, -5)),
        row("list offsets: earliest pending upload", |p| find(p, 11, -6)),
        row("list offsets: earliest pending upload, version 10", |p| find(p, 10, -6)),
        row("list offsets: timestamp -7", |p| find(p, 11, -7)),
        row("list offsets: timestamp -100", |p| find(p, VERSION, -100)),
    ]
}

fn by_timestamp() -> Vec<Row> {
    vec![
        row("list offsets: time 0", |p| find(p, VERSION, 0)),
        row("list offsets: first record's time", |p| find(p, VERSION, FIRST_TIMESTAMP)),
        row("list offsets: second record's time", |p| find(p, VERSION, FIRST_TIMESTAMP + 1)),
        row("list offsets: second record's time, version 1", |p| find(p, 1, FIRST_TIMESTAMP + 1)),
        row("list offsets: between two batches", |p| find(p, VERSION, FIRST_TIMESTAMP + 500)),
        row("list offsets: within the packed batch", |p| find(p, VERSION, FIRST_TIMESTAMP + 1001)),
        row("list offsets: after everything", |p| find(p, VERSION, FIRST_TIMESTAMP + 5000)),
        row("list offsets: the end of time", |p| find(p, VERSION, i64::MAX)),
        row("list offsets: LogAppendTime", |p| {
            let topic = p.topic(1, &[("message.timestamp.type", "LogAppendTime")])?;
            fill(p, &topic, compressed(3, Compression::Gzip)?)?;
            list(p, VERSION, &topic.name, vec![at_time(0, 9_000_000_000_000)])
        }),
    ]
}

fn refused() -> Vec<Row> {
    vec![
        row("list offsets: topic that is not there", |p| list(p, VERSION, "parity-not-there", vec![at_time(0, -1)])),
        row("list offsets: invalid name", |p| list(p, VERSION, "not/valid", vec![at_time(0, -1)])),
        row("list offsets: partition that is not there", |p| {
            let topic = filled(p)?;
            list(p, VERSION, &topic, vec![at_time(2, -1), at_time(-1, -1), at_time(0, -1)])
        }),
        row("list offsets: partition twice", |p| {
            let topic = filled(p)?;
            list(p, VERSION, &topic, vec![at_time(0, -1), at_time(0, -2)])
        })
        .differs("each entry of the request has its own in the answer"),
        row("list offsets: current epoch", |p| with_epoch(p, 0)),
        row("list offsets: epoch to come", |p| with_epoch(p, 5)),
        row("list offsets: read committed", |p| {
            let topic = ListOffsetsTopic {
                name: filled(p)?.into(),
                partitions: vec![at_time(0, -1), at_time(1, -1)],
                ..Default::default()
            };
            let topics = vec![topic];
            p.ask(VERSION, &ListOffsetsRequest { replica_id: -1, isolation_level: 1, topics, ..Default::default() })?;
            Ok(())
        }),
        row("list offsets: no topics", |p| {
            p.ask(VERSION, &ListOffsetsRequest { replica_id: -1, ..Default::default() })?;
            Ok(())
        }),
    ]
}

fn ends_of_epochs() -> Vec<Row> {
    vec![
        row("end of epoch: current", |p| end_of(p, 4, &[(0, -1, 0), (1, -1, 0)])),
        row("end of epoch: version 2", |p| end_of(p, 2, &[(0, -1, 0)])),
        row("end of epoch: version 3", |p| end_of(p, 3, &[(0, 0, 0)])),
        row("end of epoch: one to come", |p| end_of(p, 4, &[(0, -1, 3)])),
        row("end of epoch: -1", |p| end_of(p, 4, &[(0, -1, -1)])),
        row("end of epoch: current epoch to come", |p| end_of(p, 4, &[(0, 3, 0)])),
        row("end of epoch: partition that is not there", |p| end_of(p, 4, &[(7, -1, 0)])),
        row("end of epoch: topic that is not there", |p| end_in(p, 4, "parity-not-there", &[(0, -1, 0)])),
    ]
}
