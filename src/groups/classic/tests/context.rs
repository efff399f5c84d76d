//! A group with an invented clock and a log that can refuse.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use uuid::Uuid;

use crate::{
    clock,
    coordinator::machine::{Machine, Now, Place, Ticket},
    groups::{
        classic::{Classic, Join, Joined, Leaving, Sync, Synced, protocols::tests::subscription},
        error::GroupError,
        group::{Asking, Cx, Group, Out, Reply},
        records::GroupRecord,
        settings::GroupSettings,
    },
    protocol::messages::GroupMetadataValue,
};

/// What came of a request.
#[derive(Debug)]
pub(super) enum Answer {
    Reply(Reply),
    /// What it would have said rests on records that could not be written.
    NotWritten,
}

pub(super) struct Context {
    pub(super) group: Group,
    pub(super) now: Instant,
    started: Instant,
    pub(super) settings: GroupSettings,
    /// What the records make of a group when they are read.
    pub(super) shadow: Group,
    /// What is on disk.
    pub(super) journal: Vec<GroupRecord>,
    /// Whether the log refuses all that is appended.
    pub(super) refuses: bool,
    /// Whether the last record that was given out was refused.
    pub(super) has_lost_record: bool,
    pub(super) answers: BTreeMap<Ticket, Answer>,
    /// What is asked and not answered, with since when.
    pub(super) open: BTreeMap<Ticket, Instant>,
    tickets: u64,
    /// The record that the last step's replies wait for.
    pub(super) dependency: i64,
}

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A join of a consumer that knows `range` and subscribes to a topic.
pub(super) fn join(client: &str) -> Join {
    Join {
        group_id: "group".into(),
        member_id: None,
        group_instance_id: None,
        client_id: client.into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), subscription(0, &["topic"]))],
        requires_member_id: false,
        can_skip_assignment: true,
        reason: None,
        fresh_id: Uuid::nil(),
    }
}

/// That of a static member.
pub(super) fn static_join(instance: &str) -> Join {
    Join { group_instance_id: Some(instance.into()), ..join("client") }
}

pub(super) fn sync(member_id: &Arc<str>, generation: i32) -> Sync {
    Sync {
        group_id: "group".into(),
        member_id: member_id.clone(),
        group_instance_id: None,
        generation,
        protocol_type: None,
        protocol_name: None,
        assignments: Vec::new(),
    }
}

pub(super) fn by_id(member_id: &Arc<str>) -> Leaving {
    Leaving { member_id: Some(member_id.clone()), group_instance_id: None, reason: None }
}

/// What the leader assigns to a member.
pub(super) fn assignment(generation: i32, member_id: &str) -> Bytes {
    format!("{generation} {member_id}").into()
}

impl Context {
    pub(super) fn new() -> Self {
        let now = clock::monotonic();
        Self {
            group: Group::default(),
            now,
            started: now,
            settings: GroupSettings::default(),
            shadow: Group::default(),
            journal: Vec::new(),
            refuses: false,
            has_lost_record: false,
            answers: BTreeMap::new(),
            open: BTreeMap::new(),
            tickets: 0,
            dependency: -1,
        }
    }

    /// A group that gives nobody time to come.
    pub(super) fn at_once() -> Self {
        let mut context = Self::new();
        context.settings.initial_rebalance_delay = Duration::ZERO;
        context
    }

    fn now(&self) -> Now {
        let since = self.now.duration_since(self.started).as_millis();
        Now { monotonic: self.now, wall: 1_000_000 + i64::try_from(since).expect("not that long") }
    }

    /// A step as the runtime takes it. `None` if its records were refused.
    pub(super) fn step<T>(&mut self, work: impl FnOnce(&mut Group, Cx<'_>, &mut Out) -> T) -> Option<T> {
        let settings = self.settings;
        let cx = Cx { now: self.now(), settings: &settings };
        let mut out = Out::default();
        let result = work(&mut self.group, cx, &mut out);
        self.dependency = out.dependency();
        let records = out.take_records();
        let is_refused = self.refuses && !records.is_empty();
        if is_refused {
            self.has_lost_record = true;
            let failed = out.take_replies().into_iter().map(|(ticket, _)| (ticket, Answer::NotWritten)).collect();
            self.deliver(failed);
            self.group.refused(cx, &records, &mut out);
            assert!(out.records().is_empty(), "nothing is written instead");
        }
        for record in records.into_iter().filter(|_| !is_refused) {
            self.has_lost_record = false;
            let offset = i64::try_from(self.journal.len()).expect("few");
            self.group.apply(Place { offset, producer_id: None }, &record);
            self.shadow.apply(Place { offset, producer_id: None }, &record);
            self.journal.push(record);
        }
        let replies = out.take_replies().into_iter().map(|(ticket, reply)| (ticket, Answer::Reply(reply))).collect();
        self.deliver(replies);
        if let Some(classic) = self.group.classic() {
            classic.check_invariants();
        }
        (!is_refused).then_some(result)
    }

    fn deliver(&mut self, answers: Vec<(Ticket, Answer)>) {
        for (ticket, answer) in answers {
            assert!(self.open.remove(&ticket).is_some(), "{ticket:?} is answered twice: {answer:?}");
            self.answers.insert(ticket, answer);
        }
    }

    /// Lets time pass, with all that it brings.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut ticks_at_once = 0;
        while let Some(due) = self.group.next_deadline().filter(|due| *due <= end) {
            ticks_at_once = if due > self.now { 0 } else { ticks_at_once + 1 };
            assert!(ticks_at_once < 10, "a deadline does not go away");
            self.now = self.now.max(due);
            self.step(|group, cx, out| group.tick(cx, out));
        }
        self.now = end;
    }

    /// The broker is killed and started anew. What waits is never answered.
    pub(super) fn restart(&mut self) {
        self.group = self.replayed();
        self.open.clear();
        self.step(|group, cx, out| group.loaded(cx, out));
    }

    /// The group as its log tells it.
    pub(super) fn replayed(&self) -> Group {
        let mut group = Group::default();
        for (offset, record) in (0..).zip(&self.journal) {
            group.apply(Place { offset, producer_id: None }, record);
        }
        group
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        self.open.insert(Ticket(self.tickets), self.now);
        Ticket(self.tickets)
    }

    pub(super) fn join(&mut self, join: Join) -> Ticket {
        let ticket = self.ticket();
        let join = Join { fresh_id: Uuid::from_u128(ticket.0.into()), ..join };
        self.step(|group, cx, out| group.join(cx, ticket, join, out));
        ticket
    }

    /// Whether a new member is given an id to join again with, or there are too many. (Invariants are not looked at: there may
    /// be very many members-to-be.)
    pub(super) fn gets_an_id(&mut self, join: &Join) -> bool {
        self.tickets += 1;
        let (ticket, mut out) = (Ticket(self.tickets), Out::default());
        let join = Join { fresh_id: Uuid::from_u128(self.tickets.into()), ..join.clone() };
        self.group.join(Cx { now: self.now(), settings: &self.settings }, ticket, join, &mut out);
        match out.take_replies().remove(0) {
            (_, Reply::Join(Err(refused))) => match refused.error {
                GroupError::MemberIdRequired => true,
                GroupError::GroupMaxSizeReached => false,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn sync(&mut self, sync: Sync) -> Ticket {
        let ticket = self.ticket();
        self.step(|group, cx, out| group.sync(cx, ticket, sync, out));
        ticket
    }

    pub(super) fn heartbeat(&mut self, member_id: &str, generation: i32) -> Result<(), GroupError> {
        let beat = |group: &mut Group, cx: Cx<'_>, out: &mut Out| group.heartbeat(cx, member_id, None, generation, out);
        self.step(beat).expect("a heartbeat writes nothing")
    }

    pub(super) fn leave(&mut self, leaving: &[Leaving]) -> Vec<Result<(), GroupError>> {
        self.step(|group, cx, out| group.leave(cx, leaving, out)).expect("written")
    }

    pub(super) fn check_commit(&mut self, asking: &Asking) -> Result<(), GroupError> {
        let check = |group: &mut Group, cx: Cx<'_>, _: &mut Out| {
            group.classic_mut().expect("a classic group").check_commit(cx, asking)
        };
        self.step(check).expect("nothing is written")
    }

    pub(super) fn check_transactional_commit(&self, asking: &Asking) -> Result<(), GroupError> {
        self.classic().check_transactional_commit(asking)
    }

    #[track_caller]
    pub(super) fn waits(&self, ticket: Ticket) {
        assert!(self.open.contains_key(&ticket), "answered: {:?}", self.answers.get(&ticket));
    }

    #[track_caller]
    fn reply(&mut self, ticket: Ticket) -> Reply {
        match self.answers.remove(&ticket) {
            Some(Answer::Reply(reply)) => reply,
            other => panic!("{ticket:?}: {other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn is_not_written(&mut self, ticket: Ticket) {
        assert!(matches!(self.answers.remove(&ticket), Some(Answer::NotWritten)));
    }

    #[track_caller]
    pub(super) fn joined(&mut self, ticket: Ticket) -> Joined {
        match self.reply(ticket) {
            Reply::Join(Ok(joined)) => joined,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn synced(&mut self, ticket: Ticket) -> Synced {
        match self.reply(ticket) {
            Reply::Sync(Ok(synced)) => synced,
            other => panic!("{other:?}"),
        }
    }

    /// Why a request was refused, with the member id that it was told.
    #[track_caller]
    pub(super) fn refused(&mut self, ticket: Ticket) -> (GroupError, Option<Arc<str>>) {
        match self.reply(ticket) {
            Reply::Join(Err(refused)) => (refused.error, refused.member_id),
            Reply::Sync(Err(error)) => (error, None),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn classic(&self) -> &Classic {
        self.group.classic().expect("a classic group")
    }

    pub(super) fn state(&self) -> &'static str {
        self.group.classic().map_or("Dead", Classic::state_name)
    }

    /// The group's last record.
    pub(super) fn last_record(&self) -> &GroupMetadataValue {
        match self.journal.last() {
            Some(GroupRecord::Group(_, Some(value))) => value,
            other => panic!("{other:?}"),
        }
    }

    /// Members with these joins, in the order of arrival: the first is the leader. All have joined a generation.
    pub(super) fn completing(&mut self, joins: Vec<Join>) -> (Vec<Arc<str>>, i32) {
        let tickets: Vec<_> = joins.into_iter().map(|join| self.join(join)).collect();
        self.pass(self.settings.initial_rebalance_delay * 2);
        let joined: Vec<_> = tickets.into_iter().map(|ticket| self.joined(ticket)).collect();
        assert_eq!(self.state(), "CompletingRebalance");
        assert_eq!(joined[0].leader, joined[0].member_id);
        (joined.iter().map(|joined| joined.member_id.clone()).collect(), joined[0].generation)
    }

    /// The same, and all have synced.
    pub(super) fn stable(&mut self, joins: Vec<Join>) -> (Vec<Arc<str>>, i32) {
        let (ids, generation) = self.completing(joins);
        self.sync_all(&ids, generation);
        (ids, generation)
    }

    /// All members sync; the first is the leader.
    pub(super) fn sync_all(&mut self, ids: &[Arc<str>], generation: i32) {
        let followers: Vec<_> = ids[1..].iter().map(|id| self.sync(sync(id, generation))).collect();
        let leader = self.sync(Sync { assignments: assignments(generation, ids), ..sync(&ids[0], generation) });
        for (id, ticket) in ids.iter().zip([leader].into_iter().chain(followers)) {
            assert_eq!(self.synced(ticket).assignment, assignment(generation, id));
        }
        assert_eq!(self.state(), "Stable");
    }
}

pub(super) fn assignments(generation: i32, ids: &[Arc<str>]) -> Vec<(Arc<str>, Bytes)> {
    ids.iter().map(|id| (id.clone(), assignment(generation, id))).collect()
}
