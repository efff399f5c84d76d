//! Fetch: positions, limits, epochs and sessions.

use anyhow::Result;
use ottla::protocol::messages::{
    FetchRequest,
    fetch_request::{FetchPartition, FetchTopic, ForgottenTopic, ReplicaState},
};
use uuid::Uuid;

use super::{Row, produce::fill, records::batch, row};
use crate::probe::{Probe, Topic};

/// The last version that names topics, and one that has ids.
const BY_NAME: i16 = 12;
const BELOW_ZERO: &str = "a limit below zero is one of zero, with which the first batch comes whole";
const BY_ID: i16 = 16;

fn at_offset(partition: i32, fetch_offset: i64) -> FetchPartition {
    FetchPartition { partition, fetch_offset, partition_max_bytes: 1 << 20, ..Default::default() }
}

fn request(version: i16, topic: &Topic, partitions: Vec<FetchPartition>) -> FetchRequest {
    let topic = match version {
        ..=BY_NAME => FetchTopic { topic: topic.name.clone(), partitions, ..Default::default() },
        _ => FetchTopic { topic_id: topic.id, partitions, ..Default::default() },
    };
    FetchRequest {
        replica_id: -1,
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    }
}

/// A topic of two partitions with batches of 3 and 2 records in the first.
fn filled(p: &mut Probe) -> Result<Topic> {
    let topic = p.topic(2, &[])?;
    fill(p, &topic, batch(3)?)?;
    fill(p, &topic, batch(2)?)?;
    Ok(topic)
}

fn read(p: &mut Probe, version: i16, partition: FetchPartition) -> Result<()> {
    let topic = filled(p)?;
    p.ask(version, &request(version, &topic, vec![partition]))?;
    Ok(())
}

/// Changes a request for the start of a partition before it is asked.
fn read_with(p: &mut Probe, version: i16, change: impl Fn(&mut FetchRequest)) -> Result<()> {
    let topic = filled(p)?;
    let mut asked = request(version, &topic, vec![at_offset(0, 0)]);
    change(&mut asked);
    p.ask(version, &asked)?;
    Ok(())
}

/// Opens a session on both partitions, and asks again under its id.
fn in_session(p: &mut Probe, version: i16, change: impl Fn(&mut FetchRequest, &Topic)) -> Result<()> {
    let topic = filled(p)?;
    let open = request(version, &topic, vec![at_offset(0, 5), at_offset(1, 0)]);
    let opened = p.ask(version, &FetchRequest { session_epoch: 0, ..open })?;
    let session_id = i32::try_from(opened.response()["sessionId"].as_i64().unwrap_or(0))?;
    let mut next = request(version, &topic, Vec::new());
    next.topics.clear();
    next.session_id = session_id;
    next.session_epoch = 1;
    change(&mut next, &topic);
    p.ask(version, &next)?;
    Ok(())
}

fn by_id(p: &mut Probe, id: Uuid) -> Result<()> {
    p.ask(BY_ID, &request(BY_ID, &Topic { name: "".into(), id }, vec![at_offset(0, 0)]))?;
    Ok(())
}

pub(crate) fn rows() -> Vec<Row> {
    [positions(), limits(), epochs(), sessions()].into_iter().flatten().collect()
}

fn positions() -> Vec<Row> {
    vec![
        row("fetch: version 4", |p| read(p, 4, at_offset(0, 0))),
        row("fetch: version 7", |p| read(p, 7, at_offset(0, 0))),
        row("fetch: version 11", |p| read(p, 11, at_offset(0, 0))),
        row("fetch: version 12", |p| read(p, BY_NAME, at_offset(0, 0))),
        row("fetch: version 13", |p| read(p, 13, at_offset(0, 0))),
        row("fetch: version 16", |p| read(p, BY_ID, at_offset(0, 0))),
        row("fetch: version 17", |p| read(p, 17, at_offset(0, 0))),
        row("fetch: version 18", |p| read(p, 18, at_offset(0, 0))),
        row("fetch: within a batch", |p| read(p, BY_NAME, at_offset(0, 1))),
        row("fetch: second batch", |p| read(p, BY_NAME, at_offset(0, 3))),
        row("fetch: at the end", |p| read(p, BY_NAME, at_offset(0, 5))),
        row("fetch: beyond the end", |p| read(p, BY_NAME, at_offset(0, 6))),
        row("fetch: offset -1", |p| read(p, BY_NAME, at_offset(0, -1))),
        row("fetch: empty partition", |p| read(p, BY_NAME, at_offset(1, 0))),
        row("fetch: partition that is not there", |p| read(p, BY_NAME, at_offset(2, 0))),
        row("fetch: partition that is not there, by id", |p| read(p, BY_ID, at_offset(2, 0))),
        row("fetch: partition -1", |p| read(p, BY_NAME, at_offset(-1, 0))),
        row("fetch: topic that is not there", |p| {
            let nowhere = Topic { name: "parity-not-there".into(), id: Uuid::nil() };
            p.ask(BY_NAME, &request(BY_NAME, &nowhere, vec![at_offset(0, 0)]))?;
            Ok(())
        }),
        row("fetch: id that is not there", |p| by_id(p, Uuid::from_u128(0x77))),
        row("fetch: zero id", |p| by_id(p, Uuid::nil())),
        row("fetch: no topics", |p| read_with(p, BY_NAME, |asked| asked.topics.clear())),
        row("fetch: partition twice", |p| {
            read_with(p, BY_NAME, |asked| asked.topics[0].partitions.push(at_offset(0, 3)))
        }),
        row("fetch: one partition good, one not", |p| {
            read_with(p, BY_NAME, |asked| asked.topics[0].partitions.push(at_offset(7, 0)))
        }),
        row("fetch: read committed", |p| read_with(p, BY_NAME, |asked| asked.isolation_level = 1)),
        row("fetch: isolation level 2", |p| read_with(p, BY_NAME, |asked| asked.isolation_level = 2))
            .differs("what does not ask for committed records gets all; Kafka fails with an unknown server error"),
    ]
}

fn limits() -> Vec<Row> {
    vec![
        row("limit: max bytes 1, first batch whole", |p| read_with(p, BY_NAME, |asked| asked.max_bytes = 1)),
        row("limit: max bytes 0", |p| read_with(p, BY_NAME, |asked| asked.max_bytes = 0)),
        row("limit: partition max bytes 1", |p| {
            read_with(p, BY_NAME, |asked| asked.topics[0].partitions[0].partition_max_bytes = 1)
        }),
        row("limit: partition max bytes 0", |p| {
            read_with(p, BY_NAME, |asked| asked.topics[0].partitions[0].partition_max_bytes = 0)
        }),
        row("limit: partition max bytes within the second batch", |p| {
            read_with(p, BY_NAME, |asked| asked.topics[0].partitions[0].partition_max_bytes = 130)
        }),
        row("limit: partition max bytes -1", |p| {
            read_with(p, BY_NAME, |asked| asked.topics[0].partitions[0].partition_max_bytes = -1)
        })
        .differs(BELOW_ZERO),
        row("limit: max bytes -1", |p| read_with(p, BY_NAME, |asked| asked.max_bytes = -1)).differs(BELOW_ZERO),
        row("limit: min bytes above what is there", |p| {
            read_with(p, BY_NAME, |asked| (asked.min_bytes, asked.max_wait_ms) = (100_000, 200))
        }),
        row("limit: waiting at the end", |p| {
            read_with(p, BY_NAME, |asked| {
                asked.topics[0].partitions[0].fetch_offset = 5;
                asked.max_wait_ms = 200;
            })
        }),
        row("limit: min bytes 0 at the end", |p| {
            read_with(p, BY_NAME, |asked| {
                asked.topics[0].partitions[0].fetch_offset = 5;
                (asked.min_bytes, asked.max_wait_ms) = (0, 60_000);
            })
        }),
        row("limit: an error is not waited for", |p| {
            read_with(p, BY_NAME, |asked| {
                asked.topics[0].partitions[0].fetch_offset = 50;
                asked.max_wait_ms = 60_000;
            })
        }),
        row("limit: max wait -1", |p| {
            read_with(p, BY_NAME, |asked| {
                asked.topics[0].partitions[0].fetch_offset = 5;
                asked.max_wait_ms = -1;
            })
        }),
    ]
}

fn epochs() -> Vec<Row> {
    fn current(p: &mut Probe, epoch: i32) -> Result<()> {
        read_with(p, BY_NAME, |asked| asked.topics[0].partitions[0].current_leader_epoch = epoch)
    }
    fn last(p: &mut Probe, epoch: i32, offset: i64) -> Result<()> {
        read(p, BY_NAME, FetchPartition { last_fetched_epoch: epoch, ..at_offset(0, offset) })
    }
    vec![
        row("epoch: the current one", |p| current(p, 0)),
        row("epoch: one to come", |p| current(p, 5)),
        row("epoch: -2", |p| current(p, -2)),
        row("epoch: last fetched, the current one", |p| last(p, 0, 3)),
        row("epoch: last fetched, one to come", |p| last(p, 5, 3)),
        row("epoch: last fetched, beyond the end", |p| last(p, 0, 9)),
        row("epoch: a follower that is none, version 12", |p| read_with(p, BY_NAME, |asked| asked.replica_id = 2)),
        row("epoch: a follower that is none, version 16", |p| {
            read_with(p, BY_ID, |asked| {
                asked.replica_id = -1;
                asked.replica_state = ReplicaState { replica_id: 2, replica_epoch: 1, ..Default::default() };
            })
        }),
        row("epoch: the debugging consumer -2", |p| read_with(p, BY_NAME, |asked| asked.replica_id = -2)),
    ]
}

fn sessions() -> Vec<Row> {
    vec![
        row("session: nothing changed", |p| in_session(p, BY_NAME, |_, _| ())),
        row("session: nothing changed, by id", |p| in_session(p, BY_ID, |_, _| ())),
        row("session: a position that changes", |p| {
            in_session(p, BY_NAME, |asked, topic| {
                asked.topics = request(BY_NAME, topic, vec![at_offset(0, 3)]).topics;
            })
        }),
        row("session: a partition that is not there", |p| {
            in_session(p, BY_NAME, |asked, topic| {
                asked.topics = request(BY_NAME, topic, vec![at_offset(9, 0)]).topics;
            })
        }),
        row("session: an epoch ahead", |p| in_session(p, BY_NAME, |asked, _| asked.session_epoch = 2)),
        row("session: an id that is not there", |p| in_session(p, BY_NAME, |asked, _| asked.session_id += 1)),
        row("session: names in a session with ids", |p| {
            let topic = filled(p)?;
            let open = request(BY_ID, &topic, vec![at_offset(0, 5)]);
            let opened = p.ask(BY_ID, &FetchRequest { session_epoch: 0, ..open })?;
            let session_id = i32::try_from(opened.response()["sessionId"].as_i64().unwrap_or(0))?;
            let next = request(BY_NAME, &topic, vec![at_offset(1, 0)]);
            p.ask(BY_NAME, &FetchRequest { session_id, session_epoch: 1, ..next })?;
            Ok(())
        }),
        row("session: forgets a partition", |p| {
            in_session(p, BY_NAME, |asked, topic| {
                asked.forgotten_topics_data =
                    vec![ForgottenTopic { topic: topic.name.clone(), partitions: vec![0], ..Default::default() }];
            })
        }),
        row("session: forgets everything", |p| {
            in_session(p, BY_NAME, |asked, topic| {
                asked.forgotten_topics_data =
                    vec![ForgottenTopic { topic: topic.name.clone(), partitions: vec![0, 1], ..Default::default() }];
            })
        }),
        row("session: closed", |p| in_session(p, BY_NAME, |asked, _| asked.session_epoch = -1)),
        row("session: opened anew", |p| {
            in_session(p, BY_NAME, |asked, topic| {
                asked.topics = request(BY_NAME, topic, vec![at_offset(0, 3)]).topics;
                asked.session_epoch = 0;
            })
        }),
        row("session: epoch 1 without a session", |p| read_with(p, BY_NAME, |asked| asked.session_epoch = 1)),
        row("session: opened on a topic that is not there", |p| {
            let nowhere = Topic { name: "".into(), id: Uuid::from_u128(0x78) };
            p.ask(BY_ID, &FetchRequest { session_epoch: 0, ..request(BY_ID, &nowhere, vec![at_offset(0, 0)]) })?;
            Ok(())
        }),
    ]
}
