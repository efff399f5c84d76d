//! Clients that do what clients do, and what they should not, for seeds to choose.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use super::context::{Answer, Context, assignments, by_id, join, secs, static_join, sync};
use crate::{
    coordinator::machine::{Machine, Ticket},
    groups::{
        classic::{Join, Joined, Leaving, Sync, protocols::tests::subscription},
        error::GroupError,
        group::Reply,
    },
};

/// How long a ticket may be open: the longest rebalance time-out and the time that others have to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }
}

/// A consumer, as far as it remembers.
#[derive(Clone, Debug)]
struct Client {
    name: &'static str,
    is_static: bool,
    protocols: u64,
    member_id: Option<Arc<str>>,
    joined: Option<Joined>,
    is_synced: bool,
    waits_for: Option<Ticket>,
}

struct Simulation {
    context: Context,
    random: Random,
    clients: Vec<Client>,
    /// The less, the more often something else happens than what clients like.
    calm: u64,
    /// Who asked, in which generation.
    asked_by: BTreeMap<Ticket, (usize, i32)>,
    generation: i32,
    last_stable: i32,
    /// So many records have been held against the group.
    compared: usize,
    /// What clients were told, and how often.
    heard: BTreeMap<String, usize>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let client = |(index, name)| Client {
            name,
            is_static: index < 3,
            protocols: 0,
            member_id: None,
            joined: None,
            is_synced: false,
            waits_for: None,
        };
        let mut random = Random(seed);
        let calm = [24, 48, 96][usize::try_from(seed % 3).expect("small")];
        let mut context = Context::new();
        context.settings.initial_rebalance_delay = secs(random.below(4));
        context.settings.max_size = if random.one_in(3) { 5 } else { 7 };
        Self {
            context,
            random,
            calm,
            clients: ["s0", "s1", "s2", "d0", "d1", "d2", "d3"].into_iter().enumerate().map(client).collect(),
            asked_by: BTreeMap::new(),
            generation: 0,
            last_stable: 0,
            compared: 0,
            heard: BTreeMap::new(),
        }
    }

    fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            self.step();
            self.hear_answers();
            self.check();
        }
        self.end();
    }

    fn step(&mut self) {
        self.context.refuses = self.random.one_in(20);
        let index = usize::try_from(self.random.below(7)).expect("small");
        match self.random.below(self.calm) {
            0 => self.leave(index),
            1 => self.forget(index),
            2 => self.forget(self.leader().unwrap_or(index)),
            3 => self.clients[index].protocols = self.random.below(6),
            4 => self.rejoin(index),
            5..7 => self.disturb(index),
            7 if self.random.one_in(4) => self.stall(),
            8 if self.random.one_in(3) => self.restart(),
            9 => self.beat(index),
            _ => self.do_next(index),
        }
        self.context.refuses = false;
    }

    /// Who assigns.
    fn leader(&self) -> Option<usize> {
        let leads = |client: &Client| client.joined.as_ref().is_some_and(|joined| joined.leader == joined.member_id);
        self.clients.iter().position(leads)
    }

    /// What the client's library would do.
    fn do_next(&mut self, index: usize) {
        let client = &self.clients[index];
        match &client.joined {
            _ if client.waits_for.is_some() && !self.random.one_in(20) => self.pass(4_000),
            None => self.rejoin(index),
            Some(_) if client.is_synced => self.pass(1_000),
            Some(joined) => {
                let joined = joined.clone();
                self.sync(index, &joined);
            }
        }
    }

    fn rejoin(&mut self, index: usize) {
        let client = self.clients[index].clone();
        let common = if client.is_static { static_join(client.name) } else { join(client.name) };
        let ticket = self.context.join(Join {
            member_id: client.member_id,
            requires_member_id: !self.random.one_in(3),
            can_skip_assignment: self.random.one_in(2),
            session_timeout_ms: 6_000 + i32::try_from(self.random.below(3)).expect("small") * 2_000,
            rebalance_timeout_ms: 4_000 + i32::try_from(self.random.below(4)).expect("small") * 3_000,
            protocols: protocols(client.protocols),
            ..common
        });
        self.asked(index, ticket);
    }

    fn sync(&mut self, index: usize, joined: &Joined) {
        let mut assigned = Vec::new();
        if joined.leader == joined.member_id {
            let ids: Vec<_> = joined.members.iter().map(|member| member.member_id.clone()).collect();
            assigned = assignments(joined.generation, &ids);
            if self.random.one_in(5) {
                assigned.pop();
            }
        }
        let instance = self.clients[index].is_static.then(|| self.clients[index].name.into());
        let request = sync(&joined.member_id, joined.generation);
        let ticket = self.context.sync(Sync { assignments: assigned, group_instance_id: instance, ..request });
        self.asked(index, ticket);
    }

    fn asked(&mut self, index: usize, ticket: Ticket) {
        let generation = self.context.group.classic().map_or(0, |classic| classic.generation);
        self.asked_by.insert(ticket, (index, generation));
        self.clients[index].waits_for = Some(ticket);
    }

    fn beat(&mut self, index: usize) {
        let Some(joined) = self.clients[index].joined.clone() else { return };
        match self.context.heartbeat(&joined.member_id, joined.generation) {
            Ok(()) => assert_eq!(joined.generation, self.generation, "one generation at a time"),
            Err(error) => self.lose(index, &error),
        }
    }

    /// What a client does with an error.
    fn lose(&mut self, index: usize, error: &GroupError) {
        let client = &mut self.clients[index];
        client.joined = None;
        client.is_synced = false;
        if *error != GroupError::RebalanceInProgress {
            client.member_id = None;
        }
    }

    fn leave(&mut self, index: usize) {
        let client = self.clients[index].clone();
        let who = match &client.member_id {
            Some(id) if !client.is_static || self.random.one_in(2) => by_id(id),
            _ => Leaving { member_id: None, group_instance_id: Some(client.name.into()), reason: None },
        };
        self.context.step(|group, cx, out| group.leave(cx, &[who], out));
        self.forget(index);
    }

    /// The client dies without a word. What it has asked is answered all the same.
    fn forget(&mut self, index: usize) {
        let Client { name, is_static, protocols, .. } = self.clients[index];
        self.clients[index] =
            Client { name, is_static, protocols, member_id: None, joined: None, is_synced: false, waits_for: None };
    }

    /// Requests that make no sense.
    fn disturb(&mut self, index: usize) {
        let id: Arc<str> = self.clients[index].member_id.clone().unwrap_or_else(|| "who".into());
        let generation = self.generation + i32::try_from(self.random.below(3)).expect("small") - 1;
        match self.random.below(3) {
            0 => drop(self.context.heartbeat(&id, generation)),
            1 => {
                let ticket = self.context.sync(Sync { group_instance_id: Some("s0".into()), ..sync(&id, generation) });
                self.asked_by.insert(ticket, (usize::MAX, generation));
            }
            _ => {
                let alien = Join { member_id: Some(id), protocol_type: "connect".into(), ..join("who") };
                let ticket = self.context.join(alien);
                self.asked_by.insert(ticket, (usize::MAX, generation));
            }
        }
    }

    /// Time passes. Clients send heartbeats, but not all of them get through.
    fn pass(&mut self, most_ms: u64) {
        let time = Duration::from_millis(self.random.below(most_ms));
        self.context.pass(time);
        for index in 0..self.clients.len() {
            if !self.random.one_in(10) {
                self.beat(index);
            }
        }
    }

    fn stall(&mut self) {
        self.context.now += secs(30);
        let now = self.context.now;
        self.context.open.values_mut().for_each(|since| *since = now);
        self.context.step(|group, cx, _| group.after_stall(cx));
    }

    fn restart(&mut self) {
        self.context.restart();
        self.asked_by.clear();
        self.clients.iter_mut().for_each(|client| client.waits_for = None);
        self.generation = self.context.group.classic().map_or(0, |classic| classic.generation);
    }

    fn hear_answers(&mut self) {
        for (ticket, answer) in std::mem::take(&mut self.context.answers) {
            let Some((index, asked_in)) = self.asked_by.remove(&ticket) else { panic!("{ticket:?} of nobody") };
            self.check_answer(&answer, asked_in);
            *self.heard.entry(in_a_word(&answer)).or_default() += 1;
            if self.clients.get(index).is_some_and(|client| client.waits_for == Some(ticket)) {
                self.clients[index].waits_for = None;
                self.hear(index, answer);
            }
        }
    }

    /// Nobody is given what belongs to another generation, or to another member.
    fn check_answer(&self, answer: &Answer, asked_in: i32) {
        match answer {
            Answer::Reply(Reply::Join(Ok(joined))) => {
                assert!(joined.generation >= asked_in);
                assert!(joined.members.is_empty() || joined.leader == joined.member_id, "only the leader sees all");
            }
            Answer::Reply(Reply::Sync(Ok(synced))) if !synced.assignment.is_empty() => {
                let generation = format!("{asked_in} ");
                assert!(synced.assignment.starts_with(generation.as_bytes()), "{asked_in}: {:?}", synced.assignment);
            }
            Answer::Reply(_) | Answer::NotWritten => {}
        }
    }

    fn hear(&mut self, index: usize, answer: Answer) {
        let client = &mut self.clients[index];
        match answer {
            Answer::Reply(Reply::Join(Ok(joined))) => {
                client.member_id = Some(joined.member_id.clone());
                client.is_synced = false;
                client.joined = Some(joined);
            }
            Answer::Reply(Reply::Sync(Ok(_))) => client.is_synced = true,
            Answer::Reply(Reply::Join(Err(refused))) if refused.error == GroupError::MemberIdRequired => {
                client.member_id = refused.member_id;
                client.joined = None;
            }
            Answer::Reply(Reply::Join(Err(refused))) => self.lose(index, &refused.error),
            Answer::Reply(Reply::Sync(Err(error))) => self.lose(index, &error),
            Answer::NotWritten => self.lose(index, &GroupError::RebalanceInProgress),
        }
    }

    fn check(&mut self) {
        let Some(classic) = self.context.group.classic() else { return };
        assert!(classic.generation >= self.generation, "generations only grow");
        if classic.is_stable() && classic.generation != self.last_stable {
            self.last_stable = classic.generation;
            *self.heard.entry("a stable generation".into()).or_default() += 1;
        }
        self.generation = classic.generation;
        assert!(classic.members.awaiting_join() <= self.context.settings.max_size);
        if classic.is_stable() {
            assert!(classic.leader.is_some());
            let prefix = format!("{} ", self.generation);
            let is_present = |held: &Bytes| held.is_empty() || held.starts_with(prefix.as_bytes());
            assert!(classic.members.iter().all(|member| is_present(&member.assignment)));
        }
        let is_on_disk = classic.is_stable() || (classic.is_empty() && classic.written_at.is_some());
        let is_compared = self.compared == self.context.journal.len();
        if is_on_disk && !self.context.has_lost_record && !is_compared {
            self.compared = self.context.journal.len();
            let replayed = self.context.shadow.classic().expect("a group");
            assert_eq!(replayed.hard_state(), classic.hard_state());
        }
        for (ticket, since) in &self.context.open {
            assert!(self.context.now.duration_since(*since) <= PATIENCE, "{ticket:?} waits for ever");
        }
    }

    /// All clients die. Nothing is left but the group's name.
    fn end(&mut self) {
        self.context.pass(secs(3_600));
        assert!(self.context.open.is_empty(), "every ticket is answered");
        assert_eq!(self.context.group.next_deadline(), None);
        assert!(matches!(self.context.state(), "Empty" | "Dead"));
    }
}

fn protocols(variant: u64) -> Vec<(Arc<str>, Bytes)> {
    let names: &[&str] = match variant % 3 {
        0 => &["range", "sticky"],
        1 => &["sticky", "range"],
        _ => &["range"],
    };
    let topic = if variant < 3 { "x" } else { "y" };
    names.iter().map(|&name| (name.into(), subscription(0, &[topic]))).collect()
}

fn in_a_word(answer: &Answer) -> String {
    match answer {
        Answer::Reply(Reply::Join(Ok(joined))) if joined.skip_assignment => "joined as an old leader".into(),
        Answer::Reply(Reply::Join(Ok(_))) => "joined".into(),
        Answer::Reply(Reply::Sync(Ok(_))) => "synced".into(),
        Answer::Reply(Reply::Join(Err(refused))) => format!("{:?}", refused.error),
        Answer::Reply(Reply::Sync(Err(error))) => format!("{error:?}"),
        Answer::NotWritten => "not written".into(),
    }
}

#[test]
fn whatever_clients_do() {
    let mut heard: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..200 {
        let run = catch_unwind(AssertUnwindSafe(|| {
            let mut simulation = Simulation::new(seed);
            simulation.run(300);
            simulation.heard
        }));
        let one = run.unwrap_or_else(|panic| {
            eprintln!("seed {seed}");
            resume_unwind(panic)
        });
        one.into_iter().for_each(|(what, count)| *heard.entry(what).or_default() += count);
    }
    let told = [
        "a stable generation",
        "joined",
        "joined as an old leader",
        "synced",
        "not written",
        "FencedInstanceId",
        "GroupMaxSizeReached",
        "IllegalGeneration",
        "InconsistentGroupProtocol",
        "MemberIdRequired",
        "RebalanceInProgress",
        "UnknownMemberId",
    ];
    let seldom: Vec<_> = told.iter().filter(|&&what| heard.get(what).is_none_or(|&count| count < 10)).collect();
    assert!(seldom.is_empty(), "clients hardly ever hear {seldom:?}: {heard:?}");
}
