//! Clients that do what clients do, and what they should not, for seeds to choose.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};

use super::context::{Answer, Context, ID, LAST, PATIENCE, V0, V2};
use crate::{
    coordinator::machine::{Machine, Ticket},
    protocol::{ids::ProducerIdAndEpoch, transaction_version::TransactionVersion},
    transactions::{
        error::TransactionError,
        state::{
            Outcome::{self, Abort, Commit},
            State,
        },
        transaction::{End, Reply},
        transaction_metadata::TransactionMetadata,
    },
};

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

    fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).expect("an index")
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }
}

/// A program with a producer, as far as it remembers.
#[derive(Clone, Debug)]
struct Client {
    version: TransactionVersion,
    /// What it is now, and whether it has been told that it is shut out.
    producer: Option<ProducerIdAndEpoch>,
    /// What it asked last to end, and how; it has not heard of it.
    ends: Option<(ProducerIdAndEpoch, Outcome)>,
    /// Another has begun since, or the coordinator has aborted its transaction.
    is_shut_out: bool,
}

struct Simulation {
    context: Context,
    random: Random,
    clients: Vec<Client>,
    /// Who asked for what with this ticket.
    asked_by: BTreeMap<Ticket, (usize, ProducerIdAndEpoch)>,
    /// What partitions have been told but the coordinator does not know.
    late: Vec<End>,
    /// What each end decided, by when it was written.
    decided: BTreeMap<usize, End>,
    /// Who was there before somebody else: never again.
    shut_out: BTreeSet<(i64, i16)>,
    /// Who has just shut itself out, with what it had left open: it comes again.
    left_open: Option<ProducerIdAndEpoch>,
    heard: BTreeMap<String, usize>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let version = [V0, TransactionVersion::V1, V2, V2][random.index(4)];
        let epoch = [0, 7, LAST - 6][random.index(3)];
        let (context, _) = Context::at_epoch(version, epoch);
        let client = |version| Client { version, producer: None, ends: None, is_shut_out: false };
        Self {
            context,
            clients: [V0, V2, V2].map(client).to_vec(),
            random,
            asked_by: BTreeMap::new(),
            late: Vec::new(),
            decided: BTreeMap::new(),
            shut_out: BTreeSet::new(),
            left_open: None,
            heard: BTreeMap::new(),
        }
    }

    fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            self.context.refuses = self.random.one_in(6);
            let before = self.context.journal.len();
            self.left_open = None;
            self.act();
            self.context.refuses = false;
            self.hear();
            self.look_at_records(before);
            self.check();
        }
    }

    fn act(&mut self) {
        let nth = self.random.index(self.clients.len());
        match self.random.below(24) {
            0..3 => self.begin(nth),
            3..9 => self.add(nth),
            9..14 => self.end(nth),
            14..18 => self.carry_out(),
            18 => self.say_again(),
            19 => self.pretend(),
            20..22 => self.let_pass(),
            22 => self.restart(),
            _ => self.set_clock(),
        }
    }
}

/// What clients do.
impl Simulation {
    fn begin(&mut self, nth: usize) {
        let expected = self.clients[nth].producer.filter(|_| self.random.one_in(2));
        // Where nothing is known of the id, nobody has shut anybody out.
        let is_shut_out = self.clients[nth].is_shut_out && self.context.transaction.metadata().is_some();
        let Some(answer) = self.context.try_init(expected) else { return };
        self.note("init", answer.map(|_| ()));
        self.left_open = expected;
        let Ok(producer) = answer else { return };
        assert!(expected.is_none() || !is_shut_out, "who was shut out goes on: {expected:?} as {producer:?}");
        self.is_not_shut_out(producer);
        let goes_on = expected.is_some();
        for (other, client) in self.clients.iter_mut().enumerate() {
            client.is_shut_out |= other != nth && !(goes_on && client.producer == Some(producer));
        }
        let client = &mut self.clients[nth];
        (client.is_shut_out, client.ends) = (false, None);
        // It may not hear of it.
        if expected.is_none() || !self.random.one_in(4) {
            client.producer = Some(producer);
        }
    }

    fn add(&mut self, nth: usize) {
        let Client { version, producer: Some(producer), .. } = self.clients[nth] else { return };
        let partition = i32::try_from(self.random.below(3)).expect("few");
        let ticket = self.context.ask(producer, &[("one", partition)], version);
        self.asked_by.insert(ticket, (nth, producer));
    }

    fn end(&mut self, nth: usize) {
        let Client { version, producer: Some(producer), ends, is_shut_out } = self.clients[nth].clone() else { return };
        let outcome = if self.random.one_in(3) { Abort } else { Commit };
        let (asks, outcome) = ends.filter(|_| !self.random.one_in(4)).unwrap_or((producer, outcome));
        let Some(answer) = self.context.try_end(asks, outcome, version) else { return };
        self.note("end", answer.map(|_| ()));
        let client = &mut self.clients[nth];
        match answer {
            Ok(next) => {
                assert!(!is_shut_out, "who was shut out ends a transaction: {asks:?}, {:?}", self.context.metadata());
                let is_again = client.ends == Some((asks, outcome));
                client.ends = self.random.one_in(2).then_some((asks, outcome));
                // Until it hears of it, it goes on asking.
                if client.ends.is_none() || is_again {
                    (client.producer, client.ends) = (Some(next), None);
                }
                self.is_not_shut_out(next);
            }
            Err(TransactionError::ConcurrentTransactions) => {}
            Err(_) => client.ends = None,
        }
    }

    /// Somebody who says what he is not.
    fn pretend(&mut self) {
        let current = self.context.transaction.metadata().map_or(0, |metadata| metadata.producer.id);
        let epochs = [i16::MIN, -1, 0, 5, LAST, i16::MAX];
        let producer =
            ProducerIdAndEpoch { id: current - 1 + self.random.index(3) as i64, epoch: epochs[self.random.index(6)] };
        let is_real = self.clients.iter().any(|client| client.producer == Some(producer));
        let is_current = self
            .context
            .transaction
            .metadata()
            .is_some_and(|metadata| metadata.producer == producer || metadata.successor() == producer);
        if is_real || (is_current && producer.epoch != i16::MAX) {
            return;
        }
        let version = [V0, V2][self.random.index(2)];
        let answer = self.context.try_end(producer, Abort, version);
        let last = ProducerIdAndEpoch { epoch: producer.epoch.saturating_add(1), ..producer };
        let metadata = self.context.transaction.metadata();
        let is_before =
            metadata.is_some_and(|metadata| metadata.producer == last || metadata.previous_id == Some(producer.id));
        assert!(is_before || !matches!(answer, Some(Ok(_))), "{producer:?} is nobody");
    }
}

/// What becomes of it.
impl Simulation {
    /// The partitions are told of the first that is due, and the coordinator hears of that now, later or not at all.
    fn carry_out(&mut self) {
        if self.context.due.is_empty() {
            return;
        }
        let end = self.context.due[0].clone();
        self.must_be_decided(&end);
        if self.random.one_in(3) {
            self.late.push(end.clone());
        }
        let state = self.context.state();
        self.context.complete(&end);
        if self.context.state() != state {
            self.context.due.remove(0);
        }
    }

    /// The effect is for what the last record of a decision says, and nothing has followed it.
    fn must_be_decided(&self, end: &End) {
        let metadata = self.context.metadata();
        assert_eq!(metadata.outcome(), Some(end.outcome), "{metadata:?}");
        let found = (metadata.producer, &metadata.partitions, metadata.client_version, metadata.updated_at);
        assert_eq!(found, (end.producer, &end.partitions, end.version, end.decided_at));
        assert_eq!(self.decided.last_key_value().map(|(_, last)| last), Some(end), "{:?}", self.context.journal);
    }

    /// The coordinator hears once more of an end that it knows of, or that came before.
    fn say_again(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let nth = self.random.index(self.late.len());
        let end = self.late.swap_remove(nth);
        let written = self.context.journal.len();
        let is_last = self.context.due.first() == Some(&end);
        self.context.complete(&end);
        assert!(is_last || self.context.journal.len() == written, "{end:?} is over");
        if self.context.journal.len() > written {
            self.context.due.remove(0);
        }
    }

    fn let_pass(&mut self) {
        let time = [1, 40, 1_000, 5_000, 20_000, 61_000][self.random.index(6)];
        self.context.pass(Duration::from_millis(time));
        if self.random.one_in(40) {
            self.context.wall += self.context.settings.id_expiration_ms;
            self.context.step(|transaction, cx, out| transaction.expire(cx, out));
        }
    }

    fn restart(&mut self) {
        self.asked_by.retain(|ticket, _| self.context.answers.contains_key(ticket));
        self.context.restart();
    }

    fn set_clock(&mut self) {
        match self.random.below(4) {
            0 => self.context.wall -= 3_000,
            1 => self.context.wall += 3_000,
            2 => self.context.step(|transaction, cx, _| transaction.after_stall(cx)).expect("nothing is written"),
            _ => self.context.tick(),
        }
    }

    fn hear(&mut self) {
        for (ticket, answer) in std::mem::take(&mut self.context.answers) {
            let (nth, asked) = self.asked_by.remove(&ticket).expect("somebody asked");
            let Answer::Reply(reply) = answer else { continue };
            self.note("add", reply);
            let client = &self.clients[nth];
            if reply == Ok(()) && client.producer == Some(asked) {
                assert!(!client.is_shut_out, "who was shut out adds: {asked:?}, {:?}", self.context.metadata());
            }
        }
    }

    fn note(&mut self, what: &str, reply: Reply) {
        let name = match reply {
            Ok(()) => format!("{what}: done"),
            Err(error) => format!("{what}: {error:?}"),
        };
        *self.heard.entry(name).or_default() += 1;
    }

    fn is_not_shut_out(&self, producer: ProducerIdAndEpoch) {
        assert!(!self.shut_out.contains(&(producer.id, producer.epoch)), "{producer:?} was shut out");
    }
}

/// What must hold.
impl Simulation {
    /// Who was there before an abort by the coordinator, or before another producer, is shut out; ends are what was decided.
    fn look_at_records(&mut self, from: usize) {
        for nth in from..self.context.journal.len() {
            let at = |nth: usize| -> Option<TransactionMetadata> {
                let record = self.context.journal.get(nth)?;
                record.value.as_ref().map(|(_, value)| TransactionMetadata::of(&record.key, value))
            };
            let (Some(before), after) = (nth.checked_sub(1).and_then(at), at(nth)) else { continue };
            let Some(after) = after else {
                self.clients.iter_mut().for_each(|client| client.is_shut_out = true);
                continue;
            };
            if after.state.is_prepared() {
                self.decided.insert(nth, end_of(&after));
            }
            self.shut_out_old_ones(&before, &after);
        }
    }

    fn shut_out_old_ones(&mut self, before: &TransactionMetadata, after: &TransactionMetadata) {
        let bumped = i32::from(after.producer.epoch) - i32::from(before.producer.epoch);
        let own_bump = i32::from(after.client_version.bumps_epoch() && after.state.is_prepared());
        let is_forced = after.state == State::PrepareAbort
            && before.state == State::Ongoing
            && (bumped > own_bump || (after.producer.epoch == i16::MAX && after.next_id.is_none()));
        if is_forced {
            self.shut_out.insert((before.producer.id, before.producer.epoch));
            let goes_on = self.left_open.filter(|producer| *producer == before.producer);
            for client in &mut self.clients {
                client.is_shut_out |= goes_on.is_none() || client.producer != goes_on;
            }
            *self.heard.entry("shut out".into()).or_default() += 1;
        }
        if after.producer.id != before.producer.id {
            *self.heard.entry("a new id".into()).or_default() += 1;
        }
    }

    fn check(&mut self) {
        let Some(metadata) = self.context.transaction.metadata() else {
            return assert!(self.context.due.is_empty() && self.context.transaction.is_vacant());
        };
        assert_eq!(&*metadata.id, ID);
        assert_eq!(metadata.state.is_prepared(), !self.context.due.is_empty(), "{metadata:?}");
        assert!(self.context.due.len() <= 1, "one end at a time");
        assert!(metadata.state != State::Ongoing || !metadata.partitions.is_empty(), "one begins with a partition");
        assert!(!metadata.state.is_closed() || metadata.partitions.is_empty());
        let deadline = self.context.transaction.next_deadline();
        assert!(metadata.state != State::Ongoing || deadline.is_some(), "an open transaction has an end");
        let waiting = self.asked_by.len();
        assert!(waiting == 0 || metadata.state.is_prepared(), "who waits, waits for an end");
        assert!(waiting == 0 || deadline.is_some_and(|at| at <= self.context.now + PATIENCE));
    }

    /// Whatever there is comes to an end.
    fn end_all(&mut self) {
        self.context.refuses = false;
        self.context.pass(Duration::from_hours(1));
        self.context.complete_all();
        self.context.pass(Duration::from_hours(1));
        self.context.complete_all();
        self.hear();
        assert!(self.asked_by.is_empty(), "every ticket is answered");
        assert_eq!(self.context.transaction.next_deadline(), None);
        assert!(self.context.transaction.metadata().is_none_or(|metadata| metadata.state.is_closed()));
    }
}

fn end_of(prepared: &TransactionMetadata) -> End {
    End {
        producer: prepared.producer,
        outcome: prepared.outcome().expect("it is prepared"),
        version: prepared.client_version,
        partitions: prepared.partitions.clone(),
        decided_at: prepared.updated_at,
    }
}

#[test]
fn whatever_clients_do() {
    let mut heard: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..600 {
        let run = catch_unwind(AssertUnwindSafe(|| {
            let mut simulation = Simulation::new(seed);
            simulation.run(300);
            simulation.end_all();
            simulation.heard
        }));
        let one = run.unwrap_or_else(|panic| {
            eprintln!("seed {seed}");
            resume_unwind(panic)
        });
        one.into_iter().for_each(|(what, count)| *heard.entry(what).or_default() += count);
    }
    let told = [
        "a new id",
        "shut out",
        "init: done",
        "init: ConcurrentTransactions",
        "init: ProducerFenced",
        "add: done",
        "add: ConcurrentTransactions",
        "add: InvalidProducerIdMapping",
        "add: ProducerFenced",
        "end: done",
        "end: ConcurrentTransactions",
        "end: InvalidProducerIdMapping",
        "end: InvalidTxnState",
        "end: ProducerFenced",
    ];
    let seldom: Vec<_> = told.iter().filter(|&&what| heard.get(what).is_none_or(|&count| count < 20)).collect();
    assert!(seldom.is_empty(), "clients hardly ever hear {seldom:?}: {heard:?}");
}
