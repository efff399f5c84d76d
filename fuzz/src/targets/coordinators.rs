//! The machines of groups and transactions: whatever their logs say, and whatever members send.

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use ottla::{
    clock::monotonic,
    coordinator::machine::{Cx, Machine, Now, Outputs, Place, Record, Ticket},
    groups::{
        group::{Asking, Group, Join, Leaving, Sync, Topics},
        records::GroupRecord,
        settings::GroupSettings,
    },
    transactions::{settings::TransactionSettings, transaction::Transaction},
};
use uuid::Uuid;

use super::input::Input;

const WALL: i64 = 1_800_000_000_000;
/// Ticks after which a machine has to be at rest, or at least has had every chance to fail.
const TICKS: usize = 20;
/// Behind all that was replayed.
const SETTLED_AT: i64 = 1_000_000;

/// Machines out of records, as a replay makes them. What a machine writes can be read again.
fn replay<M: Machine>(input: &mut Input<'_>) -> HashMap<String, M>
where
    M::Record: Debug + PartialEq,
{
    let mut machines: HashMap<String, M> = HashMap::new();
    for offset in 0..100 {
        if input.is_empty() {
            break;
        }
        let flags = input.byte();
        if flags == 255 {
            let (producer_id, is_commit) = (i64::from(input.byte() % 4), input.flag());
            machines.values_mut().for_each(|machine| machine.end_transaction(offset, producer_id, is_commit));
            continue;
        }
        let key = Bytes::copy_from_slice(input.block());
        let value = Bytes::copy_from_slice(input.block());
        let value = (flags & 1 == 0).then_some(&value);
        let Ok(Some(record)) = M::Record::decode(&key, value) else { continue };
        check_record(&record);
        let producer_id = (flags & 2 != 0).then_some(i64::from(flags >> 2 & 3));
        machines.entry(record.id().to_owned()).or_default().apply(Place { offset, producer_id }, &record);
    }
    machines
}

fn check_record<R: Record + Debug + PartialEq>(record: &R) {
    let Ok((key, value)) = record.encode() else { return };
    let again =
        R::decode(&key, value.as_ref()).unwrap_or_else(|error| panic!("{record:?} is written as nothing: {error}"));
    assert_eq!(again.map(|again| again.id().to_owned()).as_deref(), Some(record.id()));
}

/// Begins the deadlines of a machine and lets them all pass; what it writes is applied to it, as a coordinator does.
fn live<M: Machine>(machine: &mut M, settings: &M::Settings, start: Instant)
where
    M::Record: Debug + PartialEq,
{
    let cx = |at: Instant| Cx {
        now: Now { monotonic: at, wall: WALL + i64::try_from((at - start).as_millis()).unwrap_or(i64::MAX / 2) },
        settings,
    };
    let mut out = Outputs::default();
    machine.loaded(cx(start), &mut out);
    settle(machine, &mut out);
    for _ in 0..TICKS {
        let Some(due) = machine.next_deadline() else { break };
        machine.tick(cx(due.max(start)), &mut out);
        settle(machine, &mut out);
    }
    machine.after_stall(cx(start));
    machine.tick(cx(start + Duration::from_hours(1)), &mut out);
    machine.refused(cx(start), &out.take_records(), &mut Outputs::default());
    let _ = machine.is_vacant();
}

/// Applies what a step has written.
fn settle<M: Machine>(machine: &mut M, out: &mut Outputs<M>)
where
    M::Record: Debug + PartialEq,
{
    for record in out.take_records() {
        check_record(&record);
        machine.apply(Place { offset: SETTLED_AT, producer_id: None }, &record);
    }
}

pub(super) fn group_records(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let settings = GroupSettings::default();
    let start = monotonic();
    let cx = Cx { now: Now { monotonic: start, wall: WALL }, settings: &settings };
    for (id, mut group) in replay::<Group>(&mut input) {
        live(&mut group, &settings, start);
        let mut out = Outputs::default();
        let _ = (group.describe(&id, &mut out), group.listed());
        let _ = group.fetch_offsets(&Asking::default(), &Topics::All, true, &mut out);
        group.expire_offsets(cx, &id, &mut out);
        group.forget_topics(&id, &|_, topic_id| topic_id.is_none(), &mut out);
        let _ = group.delete(&id, &mut out);
        settle(&mut group, &mut out);
    }
}

pub(super) fn transaction_records(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let settings = TransactionSettings::default();
    let start = monotonic();
    let cx = Cx { now: Now { monotonic: start, wall: WALL }, settings: &settings };
    for mut transaction in replay::<Transaction>(&mut input).into_values() {
        live(&mut transaction, &settings, start);
        let mut out = Outputs::default();
        let _ = (transaction.describe(&mut out), transaction.metadata());
        transaction.expire(cx, &mut out);
        settle(&mut transaction, &mut out);
    }
}

/// Members that send anything, to a group that records have made: their protocols' metadata is read as Kafka reads it.
pub(super) fn group_requests(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let settings = GroupSettings { initial_rebalance_delay: Duration::ZERO, ..GroupSettings::default() };
    let mut group = Group::default();
    let mut now = Now { monotonic: monotonic(), wall: WALL };
    let id: Arc<str> = "g".into();
    for n in 0..40 {
        if input.is_empty() {
            break;
        }
        let ticket = Ticket(n);
        let cx = Cx { now, settings: &settings };
        let mut out = Outputs::default();
        let member = |input: &mut Input<'_>| -> Arc<str> {
            ["", "a-00000000-0000-0000-0000-000000000001", "b", "c"][input.below(4)].into()
        };
        match input.byte() % 7 {
            0 | 1 => {
                let member_id = Some(member(&mut input)).filter(|id| !id.is_empty());
                let instance = Some(member(&mut input)).filter(|id| !id.is_empty());
                let protocols =
                    (0..input.byte() % 3).map(|_| (input.text().into(), Bytes::copy_from_slice(input.block())));
                let protocols = protocols.collect();
                let join = Join {
                    group_id: Arc::clone(&id),
                    member_id,
                    group_instance_id: instance,
                    client_id: "a".into(),
                    client_host: "h".into(),
                    session_timeout_ms: i32::from(input.int16()),
                    rebalance_timeout_ms: i32::from(input.int16()),
                    protocol_type: if input.flag() { "consumer".into() } else { input.text().into() },
                    protocols,
                    requires_member_id: input.flag(),
                    can_skip_assignment: input.flag(),
                    reason: Some(input.text().into()),
                    fresh_id: Uuid::from_u128(n.into()),
                };
                group.join(cx, ticket, join, &mut out);
            }
            2 => {
                let sync = Sync {
                    group_id: Arc::clone(&id),
                    member_id: member(&mut input),
                    group_instance_id: None,
                    generation: i32::from(input.byte()),
                    protocol_type: None,
                    protocol_name: None,
                    assignments: vec![(member(&mut input), Bytes::copy_from_slice(input.block()))],
                };
                group.sync(cx, ticket, sync, &mut out);
            }
            3 => {
                let _ = group.heartbeat(cx, &member(&mut input), None, i32::from(input.byte()), &mut out);
            }
            4 => {
                let leaving = Leaving { member_id: Some(member(&mut input)), group_instance_id: None, reason: None };
                let _ = group.leave(cx, &[leaving], &mut out);
            }
            5 => {
                now.monotonic += Duration::from_millis(u64::from(input.int16().unsigned_abs()));
                group.tick(Cx { now, settings: &settings }, &mut out);
            }
            _ => {
                let record = (Bytes::copy_from_slice(input.block()), Bytes::copy_from_slice(input.block()));
                if let Ok(Some(record)) = GroupRecord::decode(&record.0, Some(&record.1)) {
                    group.apply(Place { offset: i64::try_from(n).unwrap_or(0), producer_id: None }, &record);
                }
            }
        }
        settle(&mut group, &mut out);
        let _ = (group.describe(&id, &mut out), group.next_deadline());
    }
}
