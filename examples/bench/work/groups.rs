//! Loads on the group coordinator, by frames made beforehand.

use std::{thread, time::Duration};

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use ottla::protocol::messages::{
    FindCoordinatorRequest, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    OffsetCommitRequest, OffsetCommitResponse, SyncGroupRequest,
    join_group_request::JoinGroupRequestProtocol,
    leave_group_request::MemberIdentity,
    offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    sync_group_request::SyncGroupRequestAssignment,
};

use super::{
    Cost, Sizes, latency, measure, new_topic,
    raw::{CLIENTS, IN_FLIGHT, from_all_clients},
    with_topic,
};
use crate::{
    client::{Client, frame},
    process::Broker,
    table::Figure,
};

/// The versions that requests are made in: those of librdkafka.
const FIND_COORDINATOR: i16 = 2;
const JOIN: i16 = 5;
const SYNC: i16 = 3;
const HEARTBEAT: i16 = 3;
const LEAVE: i16 = 3;
const COMMIT: i16 = 7;

/// What a coordinator answers until it is ready: it loads, is not there yet, does not know yet that it is the one.
const NOT_READY: [i16; 3] = [14, 15, 16];
const MEMBER_ID_REQUIRED: i16 = 79;
/// Between two questions to one that is not.
const PAUSE: Duration = Duration::from_millis(20);
/// Members of the group that rebalances.
const MEMBERS: usize = 500;
/// Groups that commit, and partitions that each commit is about.
const GROUPS: usize = 100;
const PARTITIONS: i32 = 10;

/// Heartbeats of a member each in as many groups as there are clients.
pub(super) fn heartbeats(name: &str, broker: &Broker, sizes: &Sizes) -> Result<Vec<Figure>> {
    await_coordinator(broker)?;
    let members = (0..CLIENTS).map(|_| Member::alone(broker)).collect::<Result<Vec<_>>>()?;
    let frames = members.iter().map(Member::heartbeat).collect::<Result<Vec<_>>>()?;
    let beat = |client: usize, each, connection: &mut Client| {
        let frames = std::slice::from_ref(&frames[client]);
        connection
            .pipeline::<HeartbeatRequest>(HEARTBEAT, frames, each, IN_FLIGHT, |response| fine(response.error_code))
    };
    let figures = requests(name, broker, || from_all_clients(broker, sizes.requests, beat))?;
    members.into_iter().try_for_each(Member::leave)?;
    Ok(figures)
}

/// Commits from outside of groups, of ten partitions each.
pub(super) fn commits(name: &str, broker: &Broker, sizes: &Sizes) -> Result<Vec<Figure>> {
    await_coordinator(broker)?;
    with_topic(broker, PARTITIONS, |topic| {
        let frames = (0..GROUPS).map(|group| commit_frame(&format!("{topic}-{group}"), topic));
        let frames = frames.collect::<Result<Vec<_>>>()?;
        let mut client = broker.client()?;
        frames.iter().try_for_each(|frame| await_commit(&mut client, frame))?;
        let commit = |client: usize, each, connection: &mut Client| {
            let mut frames = frames.clone();
            frames.rotate_left(client * GROUPS / CLIENTS);
            connection.pipeline::<OffsetCommitRequest>(COMMIT, &frames, each, IN_FLIGHT, all_committed)
        };
        requests(name, broker, || from_all_clients(broker, sizes.requests, commit))
    })
}

/// Every member of a large group joins again and gets its assignment.
pub(super) fn rebalance(name: &str, broker: &Broker, _: &Sizes) -> Result<Vec<Figure>> {
    await_coordinator(broker)?;
    let group = new_topic();
    let mut members = (0..MEMBERS).map(|_| Member::connect(broker, &group)).collect::<Result<Vec<_>>>()?;
    generation(&mut members)?;
    let ((), cost) = measure(broker, || generation(&mut members))?;
    members.into_iter().try_for_each(Member::leave)?;
    Ok(vec![Figure::new(name, "ms", cost.time.as_secs_f64() * 1e3), Figure::new(name, "CPU ms", cost.cpu * 1e3)])
}

fn requests(name: &str, broker: &Broker, act: impl FnOnce() -> Result<Vec<f64>>) -> Result<Vec<Figure>> {
    let (latencies, Cost { time, cpu }) = measure(broker, act)?;
    let count = latencies.len() as f64;
    let [p50, p99] = latency(name, latencies);
    let rate = Figure::new(name, "requests/s", count / time.as_secs_f64());
    Ok(vec![rate, p50, p99, Figure::new(name, "CPU µs/request", cpu * 1e6 / count)])
}

/// The coordinator's topic is made for the first who asks.
fn await_coordinator(broker: &Broker) -> Result<()> {
    let request = FindCoordinatorRequest { key: "any".into(), ..FindCoordinatorRequest::default() };
    let mut client = broker.client()?;
    loop {
        match client.call(FIND_COORDINATOR, &request)?.error_code {
            code if NOT_READY.contains(&code) => thread::sleep(PAUSE),
            code => return fine(code),
        }
    }
}

/// Has all members join, then get their assignments from the leader.
fn generation(members: &mut [Member]) -> Result<()> {
    members.iter_mut().try_for_each(|member| member.send_join())?;
    let mut all = Vec::new();
    for member in members.iter_mut() {
        let response = member.joined()?;
        all.extend(response.members.into_iter().map(|member| member.member_id));
    }
    ensure!(all.len() == members.len(), "{} of {} members are in the generation", all.len(), members.len());
    for member in members.iter_mut() {
        let assignments = all.iter().map(|id| SyncGroupRequestAssignment {
            member_id: id.clone(),
            assignment: Bytes::from_static(&[0; 100]),
            ..SyncGroupRequestAssignment::default()
        });
        member.send_sync(if member.is_leader { assignments.collect() } else { Vec::new() })?;
    }
    members.iter_mut().try_for_each(|member| fine(member.client.receive::<SyncGroupRequest>(SYNC)?.error_code))
}

/// A member of a group, with a connection of its own.
struct Member {
    client: Client,
    group: String,
    id: String,
    generation: i32,
    is_leader: bool,
}

impl Member {
    /// Not in the group yet, but with an id.
    fn connect(broker: &Broker, group: &str) -> Result<Self> {
        let client = broker.client()?;
        let mut member = Self { client, group: group.to_owned(), id: String::new(), generation: -1, is_leader: false };
        let response = loop {
            member.send_join()?;
            let response = member.client.receive::<JoinGroupRequest>(JOIN)?;
            if !NOT_READY.contains(&response.error_code) {
                break response;
            }
            thread::sleep(PAUSE);
        };
        ensure!(response.error_code == MEMBER_ID_REQUIRED, "joined without an id: error {}", response.error_code);
        member.id = response.member_id.to_string();
        Ok(member)
    }

    /// The one member of a new group.
    fn alone(broker: &Broker) -> Result<Self> {
        let mut member = [Self::connect(broker, &new_topic())?];
        generation(&mut member)?;
        let [member] = member;
        Ok(member)
    }

    fn send_join(&mut self) -> Result<()> {
        // One that changes: who joins as before is answered at once, with the generation that there is.
        let metadata = [&self.generation.to_be_bytes()[..], &[0; 50]].concat();
        let protocol = JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: metadata.into(),
            ..JoinGroupRequestProtocol::default()
        };
        let request = JoinGroupRequest {
            group_id: self.group.as_str().into(),
            session_timeout_ms: 60_000,
            rebalance_timeout_ms: 60_000,
            member_id: self.id.as_str().into(),
            protocol_type: "bench".into(),
            protocols: vec![protocol],
            ..JoinGroupRequest::default()
        };
        self.client.send(&frame(JOIN, &request)?)
    }

    fn joined(&mut self) -> Result<JoinGroupResponse> {
        let response = self.client.receive::<JoinGroupRequest>(JOIN)?;
        fine(response.error_code)?;
        self.generation = response.generation_id;
        self.is_leader = response.leader == response.member_id;
        Ok(response)
    }

    fn send_sync(&mut self, assignments: Vec<SyncGroupRequestAssignment>) -> Result<()> {
        let request = SyncGroupRequest {
            group_id: self.group.as_str().into(),
            generation_id: self.generation,
            member_id: self.id.as_str().into(),
            assignments,
            ..SyncGroupRequest::default()
        };
        self.client.send(&frame(SYNC, &request)?)
    }

    fn heartbeat(&self) -> Result<Bytes> {
        let request = HeartbeatRequest {
            group_id: self.group.as_str().into(),
            generation_id: self.generation,
            member_id: self.id.as_str().into(),
            ..HeartbeatRequest::default()
        };
        frame(HEARTBEAT, &request)
    }

    fn leave(mut self) -> Result<()> {
        let member = MemberIdentity { member_id: self.id.as_str().into(), ..MemberIdentity::default() };
        let request = LeaveGroupRequest {
            group_id: self.group.as_str().into(),
            members: vec![member],
            ..LeaveGroupRequest::default()
        };
        fine(self.client.call(LEAVE, &request)?.error_code)
    }
}

/// The coordinator of a group may not be ready though that of another is.
fn await_commit(client: &mut Client, frame: &[u8]) -> Result<()> {
    loop {
        client.send(frame)?;
        let response = client.receive::<OffsetCommitRequest>(COMMIT)?;
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        if !partitions.into_iter().any(|partition| NOT_READY.contains(&partition.error_code)) {
            return all_committed(&response);
        }
        thread::sleep(PAUSE);
    }
}

fn commit_frame(group: &str, topic: &str) -> Result<Bytes> {
    let partition = |partition_index| OffsetCommitRequestPartition {
        partition_index,
        committed_offset: 12_345,
        committed_metadata: Some("".into()),
        ..OffsetCommitRequestPartition::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: topic.into(),
        partitions: (0..PARTITIONS).map(partition).collect(),
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    };
    frame(COMMIT, &request)
}

fn all_committed(response: &OffsetCommitResponse) -> Result<()> {
    response.topics.iter().flat_map(|topic| &topic.partitions).try_for_each(|partition| fine(partition.error_code))
}

fn fine(code: i16) -> Result<()> {
    if code != 0 {
        bail!("error {code}");
    }
    Ok(())
}
