//! One partition of a coordinator's topic: its machines, and the log that only they write.
//!
//! A step of a machine is: decide, append, apply, reply. It is done under one lock, so a machine sees what it has decided
//! before as if it were durable; replies alone wait for the disk.

use std::{
    collections::{BTreeSet, HashMap},
    mem,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use tokio::sync::{Notify, mpsc::UnboundedSender, oneshot};

use super::{
    effect::{DueEffect, Tenure},
    error::CoordinatorError,
    home::Home,
    machine::{Cx, Fit, Machine, Now, Outputs, Place, Record, Ticket},
    pending::{Answer, Pending},
    replay::{self, Machines, ReplayError},
    seats::{Full, Seat, Seats},
    transaction::{Participants, Transaction},
    unflushed::Unflushed,
};
use crate::{
    log::{
        batch_reader::BatchReadError,
        partition_log::{AppendError, Appended, PartitionLog, ReadError, TransactionGuard},
        producer_state::TransactionEnd,
    },
    protocol::{ids::ProducerIdAndEpoch, records::batch::RecordBatch, transaction_version::TransactionVersion},
};

/// How long a flush, or the process, may stand still before time-outs are extended. Much longer than a healthy disk takes.
pub(super) const STALL: Duration = Duration::from_secs(1);

/// Machines that are ticked in one go. Others who want the lock get their turn in between.
const TICKED_AT_ONCE: usize = 10;

/// One partition of a coordinator's topic.
pub(super) struct Shard<M: Machine> {
    home: Home,
    settings: Arc<M::Settings>,
    seats: Arc<Seats>,
    effects: UnboundedSender<DueEffect<M::Effect>>,
    state: Mutex<State<M>>,
    /// There is an earlier deadline than before, or the shard is loaded.
    pub(super) alarm: Notify,
}

enum State<M: Machine> {
    Loading,
    Loaded(Box<Loaded<M>>),
    /// The log cannot be used, or is gone.
    Gone,
}

/// The machines, once they are all there.
pub(super) struct Loaded<M: Machine> {
    machines: HashMap<Arc<str>, Entry<M>>,
    /// When machines are due, those that have a deadline. A machine may be due later than it says here, not earlier.
    deadlines: BTreeSet<(Instant, Arc<str>)>,
    participants: Participants,
    waiting: HashMap<Ticket, oneshot::Sender<Answer<M::Reply>>>,
    next_ticket: u64,
    unflushed: Unflushed,
    /// The offset after the last record with which a machine became vacant. Who asks for one that is not there is told so
    /// once that is durable.
    vacated_below: i64,
    tenure: Tenure,
}

struct Entry<M> {
    machine: M,
    /// Its place in the deadlines.
    armed: Option<Instant>,
    /// Its place among all machines; none before its first step is done.
    seat: Option<Seat>,
}

impl<M: Machine> Entry<M> {
    fn new(machine: M, seat: Option<Seat>) -> Self {
        Self { machine, armed: None, seat }
    }

    /// Sees to it that it has a seat if it is going to stay, or to be in the log.
    fn sit_down(&mut self, seats: &Arc<Seats>, out: &Outputs<M>) -> Result<(), Full> {
        if self.seat.is_none() && !(self.machine.is_vacant() && out.records.is_empty()) {
            self.seat = Some(seats.take()?);
        }
        Ok(())
    }
}

/// What a step is about.
#[derive(Clone, Copy)]
pub(super) struct Step<'a> {
    /// Whose machine it is.
    id: &'a str,
    now: Now,
    /// What its records are part of.
    transaction: Option<Transaction<'a>>,
}

impl<'a> Step<'a> {
    /// One outside any transaction.
    pub(super) fn of(id: &'a str, now: Now) -> Self {
        Self { id, now, transaction: None }
    }

    /// The same within one.
    pub(super) fn within(self, transaction: Transaction<'a>) -> Self {
        Self { transaction: Some(transaction), ..self }
    }
}

/// What the timers of a shard are to do next.
pub(super) enum Next {
    /// Wait, until this time if there is one.
    Wait(Option<Instant>),
    /// Wait until everything below this offset is durable, then extend what ran meanwhile.
    Stalled(i64),
    /// Nothing, ever again.
    End,
}

impl<M: Machine> Shard<M> {
    pub(super) fn new(
        home: Home,
        settings: Arc<M::Settings>,
        seats: Arc<Seats>,
        effects: UnboundedSender<DueEffect<M::Effect>>,
    ) -> Self {
        Self { home, settings, seats, effects, state: Mutex::new(State::Loading), alarm: Notify::new() }
    }

    pub(super) fn log(&self) -> &Arc<PartitionLog> {
        &self.home.log
    }

    /// A machine that was in the midst of a change when a thread panicked is not to be trusted: the next start replays.
    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unwrap_or_else(|_| {
            tracing::error!(log = %self.home.log.topic_partition(), "a thread panicked in a coordinator: stopping");
            std::process::abort()
        })
    }

    /// Replays the log; requests are answered from then on. Blocks.
    pub(super) fn load(&self, now: Now) {
        let replayed = replay::replay::<M>(&self.home.log);
        let mut state = self.lock();
        if !matches!(*state, State::Loading) {
            return;
        }
        *state = match replayed {
            Ok(machines) => State::Loaded(Box::new(self.loaded(machines, now))),
            Err(ReplayError::Read(BatchReadError::Read(ReadError::Deleted))) => State::Gone,
            Err(error) => {
                tracing::error!(log = %self.home.log.topic_partition(), %error, "a coordinator's log cannot be used");
                State::Gone
            }
        };
        drop(state);
        self.alarm.notify_one();
    }

    fn loaded(&self, machines: Machines<M>, now: Now) -> Loaded<M> {
        let ids: Vec<_> = machines.by_id.keys().cloned().collect();
        let seated = |(id, machine)| (id, Entry::new(machine, Some(self.seats.take_anyway())));
        let mut loaded = Loaded {
            machines: machines.by_id.into_iter().map(seated).collect(),
            deadlines: BTreeSet::new(),
            participants: machines.participants,
            waiting: HashMap::new(),
            next_ticket: 0,
            unflushed: Unflushed::default(),
            vacated_below: 0,
            tenure: Tenure::default(),
        };
        for id in ids {
            self.step_alone(&mut loaded, Step::of(&id, now), |machine, cx, out| machine.loaded(cx, out));
        }
        loaded
    }

    /// Runs a machine that answers at once.
    pub(super) fn run<T>(
        &self,
        step: Step<'_>,
        work: impl FnOnce(&mut M, Cx<'_, M::Settings>, &mut Outputs<M>) -> T,
    ) -> Pending<T> {
        self.decide(|loaded| self.step(loaded, step, work))
    }

    /// The answer of what is there, if it is there.
    fn decide<T>(&self, decide: impl FnOnce(&mut Loaded<M>) -> Answer<T>) -> Pending<T> {
        let mut state = self.lock();
        match self.usable(&mut state) {
            Ok(loaded) => Pending::decided(decide(loaded), &self.home.log),
            Err(error) => Pending::refused(error),
        }
    }

    /// Runs a machine that answers when it likes.
    pub(super) fn ask(
        &self,
        id: &str,
        now: Now,
        work: impl FnOnce(&mut M, Cx<'_, M::Settings>, Ticket, &mut Outputs<M>),
    ) -> Pending<M::Reply> {
        let mut state = self.lock();
        let loaded = match self.usable(&mut state) {
            Ok(loaded) => loaded,
            Err(error) => return Pending::refused(error),
        };
        let ticket = Ticket(loaded.next_ticket);
        loaded.next_ticket += 1;
        let (sender, receiver) = oneshot::channel();
        loaded.waiting.insert(ticket, sender);
        let step = self.step(loaded, Step::of(id, now), |machine, cx, out| work(machine, cx, ticket, out));
        if let Err(error @ CoordinatorError::Full(_)) = step.result {
            // The machine is gone that would answer.
            loaded.send(ticket, Answer::refused(error));
        }
        Pending::undecided(receiver, &self.home.log)
    }

    /// Runs every machine, each in a step of its own; others get their turn in between.
    pub(super) fn each(
        &self,
        now: Now,
        work: &mut impl FnMut(&Arc<str>, &mut M, Cx<'_, M::Settings>, &mut Outputs<M>),
    ) {
        let ids: Vec<_> = match &*self.lock() {
            State::Loaded(loaded) => loaded.machines.keys().cloned().collect(),
            State::Loading | State::Gone => return,
        };
        for id in ids {
            let mut state = self.lock();
            let Ok(loaded) = self.usable(&mut state) else { return };
            if loaded.machines.contains_key(&id) {
                self.step_alone(loaded, Step::of(&id, now), |machine, cx, out| work(&id, machine, cx, out));
            }
        }
    }

    /// Looks at every machine.
    pub(super) fn visit(&self, look: &mut dyn FnMut(&str, &M)) -> Result<(), CoordinatorError> {
        let mut state = self.lock();
        let loaded = self.usable(&mut state)?;
        loaded.machines.iter().for_each(|(id, entry)| look(id, &entry.machine));
        Ok(())
    }

    /// Runs the machines that are due.
    pub(super) fn tick(&self, now: Now) -> Next {
        let mut state = self.lock();
        let loaded = match self.usable(&mut state) {
            Ok(loaded) => loaded,
            Err(CoordinatorError::Loading) => return Next::Wait(None),
            Err(_) => return Next::End,
        };
        let Some(first) = loaded.first_deadline() else { return Next::Wait(None) };
        if first > now.monotonic {
            return Next::Wait(Some(first));
        }
        let flushed = self.home.log.high_watermark();
        if let Some(end) = loaded.unflushed.stalled_below(now.monotonic, flushed, STALL) {
            return Next::Stalled(end);
        }
        if now.monotonic.duration_since(first) > STALL {
            // The process stood still: what was sent to it meanwhile has not been read yet.
            self.extend(loaded, now);
        }
        for id in loaded.take_due(now.monotonic) {
            self.step_alone(loaded, Step::of(&id, now), |machine, cx, out| machine.tick(cx, out));
        }
        Next::Wait(loaded.first_deadline())
    }

    /// Nobody is served here any more; whoever waits learns it from the channel. Effects that were not taken are void.
    pub(super) fn retire(&self) {
        *self.lock() = State::Gone;
        self.alarm.notify_one();
    }

    /// The disk has come back: what ran meanwhile begins anew.
    pub(super) fn resume(&self, now: Now) {
        if let Ok(loaded) = self.usable(&mut self.lock()) {
            self.extend(loaded, now);
        }
    }

    fn extend(&self, loaded: &mut Loaded<M>, now: Now) {
        let cx = Cx { now, settings: &*self.settings };
        loaded.deadlines.clear();
        for (id, entry) in &mut loaded.machines {
            entry.machine.after_stall(cx);
            entry.armed = entry.machine.next_deadline();
            loaded.deadlines.extend(entry.armed.map(|deadline| (deadline, Arc::clone(id))));
        }
    }

    fn usable<'a>(&self, state: &'a mut State<M>) -> Result<&'a mut Loaded<M>, CoordinatorError> {
        if self.home.log.is_deleted() {
            // Whoever waits learns it from the channel.
            *state = State::Gone;
        }
        match state {
            State::Loaded(loaded) => Ok(loaded),
            State::Loading => Err(CoordinatorError::Loading),
            State::Gone => Err(CoordinatorError::NotHere),
        }
    }
}

/// Transactions.
impl<M: Machine> Shard<M> {
    /// Keeps a place for the first batch of a transaction; `None` if that has begun.
    pub(super) fn expect_transaction(
        &self,
        producer: ProducerIdAndEpoch,
        version: TransactionVersion,
    ) -> Result<Option<TransactionGuard>, CoordinatorError> {
        self.usable(&mut self.lock())?;
        let expected = self.home.log.expect_transaction(producer.id, producer.epoch, version);
        expected.map_err(|error| CoordinatorError::Append(Arc::new(AppendError::Producer(error))))
    }

    /// Ends a transaction: appends its marker, and each machine that has something pending of it learns how it ended.
    pub(super) fn end_transaction(&self, end: &TransactionEnd, now: Now) -> Pending<()> {
        self.decide(|loaded| match self.home.end_transaction(end, now) {
            Ok(appended) => Answer { result: Ok(()), after: self.ended(loaded, end, appended, now) },
            Err(error) => Answer::refused(error),
        })
    }

    /// Returns what has to be durable before anybody may know. Where the marker was there before, nothing is pending: it was
    /// ended here, or by the replay. But it may not be durable yet.
    fn ended(&self, loaded: &mut Loaded<M>, end: &TransactionEnd, appended: Option<Appended>, now: Now) -> i64 {
        let after = match appended {
            Some(appended) => self.appended(loaded, appended, now),
            None => self.home.log.offsets().log_end(),
        };
        for id in loaded.participants.take(end.producer_id) {
            // One that has been deleted meanwhile has nothing pending.
            let Some((key, mut entry)) = loaded.machines.remove_entry(&id) else { continue };
            entry.machine.end_transaction(after - 1, end.producer_id, end.is_commit);
            if entry.machine.is_vacant() {
                loaded.vacated_below = loaded.vacated_below.max(after);
            }
            self.put_back(loaded, Some(key), &id, entry);
        }
        after
    }
}

/// Steps.
impl<M: Machine> Shard<M> {
    /// A step that nobody waits for.
    fn step_alone(
        &self,
        loaded: &mut Loaded<M>,
        step: Step<'_>,
        work: impl FnOnce(&mut M, Cx<'_, M::Settings>, &mut Outputs<M>),
    ) {
        if let Err(error) = self.step(loaded, step, work).result {
            tracing::warn!(log = %self.home.log.topic_partition(), id = step.id, %error, "a coordinator could not write");
        }
    }

    fn step<T>(
        &self,
        loaded: &mut Loaded<M>,
        step: Step<'_>,
        work: impl FnOnce(&mut M, Cx<'_, M::Settings>, &mut Outputs<M>) -> T,
    ) -> Answer<T> {
        let cx = Cx { now: step.now, settings: &*self.settings };
        let (key, mut entry) = match loaded.machines.remove_entry(step.id) {
            Some((key, entry)) => (Some(key), entry),
            None => (None, Entry::new(M::default(), None)),
        };
        let mut out = Outputs { too_many: self.home.too_many(), ..Outputs::default() };
        if key.is_none() {
            out.depends_on(loaded.vacated_below - 1);
        }
        let value = work(&mut entry.machine, cx, &mut out);
        if let Err(full) = entry.sit_down(&self.seats, &out) {
            self.seats.complain(full, step.now.monotonic);
            return Answer::refused(full.into());
        }
        let has_written = !out.records.is_empty();
        let answer = match self.write(loaded, &mut entry.machine, step, &mut out) {
            Ok(after) => {
                loaded.release(mem::take(&mut out.replies), after);
                self.give_out(loaded, step.id, mem::take(&mut out.effects), after);
                Answer { result: Ok(value), after }
            }
            Err(error) => {
                self.refuse(loaded, &mut entry.machine, cx, mem::take(&mut out), &error);
                Answer::refused(error)
            }
        };
        if entry.machine.is_vacant() && has_written {
            loaded.vacated_below = loaded.vacated_below.max(answer.after);
        }
        self.put_back(loaded, key, step.id, entry);
        answer
    }

    fn put_back(&self, loaded: &mut Loaded<M>, key: Option<Arc<str>>, id: &str, entry: Entry<M>) {
        let is_earlier = loaded.put_back(key, id, entry);
        if is_earlier {
            self.alarm.notify_one();
        }
    }

    /// Gives out what a step has done by others.
    fn give_out(&self, loaded: &Loaded<M>, id: &str, effects: Vec<M::Effect>, after: i64) {
        if effects.is_empty() {
            return;
        }
        let id: Arc<str> = Arc::from(id);
        for effect in effects {
            let due = DueEffect {
                id: Arc::clone(&id),
                effect,
                leader_epoch: self.home.leader_epoch,
                log: Arc::clone(&self.home.log),
                after,
                tenure: Arc::downgrade(&loaded.tenure),
            };
            // Who took them may have stopped before.
            drop(self.effects.send(due));
        }
        if self.home.log.high_watermark() < after {
            self.home.log.hurry();
        }
    }

    /// Appends and applies what a step gave out. Returns what has to be durable before its replies: everything below that.
    /// After an error the records are left that were not written.
    fn write(
        &self,
        loaded: &mut Loaded<M>,
        machine: &mut M,
        step: Step<'_>,
        out: &mut Outputs<M>,
    ) -> Result<i64, CoordinatorError> {
        assert!(step.transaction.is_none() || out.fit == Fit::Whole, "what is part of a transaction is written whole");
        let (mut written, mut after) = (0, out.depends_on + 1);
        while let left @ [_, ..] = &out.records[written..] {
            let batch = self.home.batch(left, out.fit, step.transaction, step.now);
            let appended = batch.and_then(|(batch, count)| {
                let end = self.append(loaded, machine, step, &batch, &left[..count])?;
                Ok((count, end))
            });
            match appended {
                Ok((count, end)) => (written, after) = (written + count, end),
                Err(error) => {
                    drop(out.records.drain(..written));
                    return Err(error);
                }
            }
        }
        Ok(after)
    }

    /// Appends a batch and applies its records. Returns the offset after it.
    fn append(
        &self,
        loaded: &mut Loaded<M>,
        machine: &mut M,
        step: Step<'_>,
        batch: &RecordBatch,
        records: &[M::Record],
    ) -> Result<i64, CoordinatorError> {
        let appended = self.home.append(batch, step.transaction, step.now)?;
        let producer_id = step.transaction.map(|transaction| transaction.producer.id);
        for (offset, record) in (appended.first_offset..).zip(records) {
            assert_eq!(record.id(), step.id, "a machine writes its own records");
            machine.apply(Place { offset, producer_id }, record);
        }
        producer_id.into_iter().for_each(|producer_id| loaded.participants.add(producer_id, step.id));
        Ok(self.appended(loaded, appended, step.now))
    }

    /// Notes what was appended, and says where it ends.
    fn appended(&self, loaded: &mut Loaded<M>, appended: Appended, now: Now) -> i64 {
        let end = appended.last_offset + 1;
        loaded.unflushed.note(end, now.monotonic, self.home.log.high_watermark());
        end
    }

    /// These records of a step were not written: whoever it would have answered learns why.
    fn refuse(
        &self,
        loaded: &mut Loaded<M>,
        machine: &mut M,
        cx: Cx<'_, M::Settings>,
        out: Outputs<M>,
        error: &CoordinatorError,
    ) {
        for (ticket, _) in out.replies {
            loaded.send(ticket, Answer::refused(error.clone()));
        }
        let mut reaction = Outputs::default();
        machine.refused(cx, &out.records, &mut reaction);
        assert!(reaction.records.is_empty(), "a machine whose records were refused writes none");
        assert!(reaction.effects.is_empty(), "a machine whose records were refused has nothing done");
        loaded.release(reaction.replies, reaction.depends_on + 1);
    }
}

impl<M: Machine> Loaded<M> {
    fn release(&mut self, replies: Vec<(Ticket, M::Reply)>, after: i64) {
        for (ticket, reply) in replies {
            self.send(ticket, Answer { result: Ok(reply), after });
        }
    }

    fn send(&mut self, ticket: Ticket, answer: Answer<M::Reply>) {
        let sender = self.waiting.remove(&ticket).expect("a ticket is used once");
        // Whose connection has closed does not listen any more.
        drop(sender.send(answer));
    }

    /// Puts a machine back after a step; true if it is due before every other.
    fn put_back(&mut self, key: Option<Arc<str>>, id: &str, mut entry: Entry<M>) -> bool {
        if entry.machine.is_vacant() {
            if let (Some(armed), Some(key)) = (entry.armed, key) {
                self.deadlines.remove(&(armed, key));
            }
            return false;
        }
        assert!(entry.seat.is_some(), "what stays has a seat");
        let key = key.unwrap_or_else(|| Arc::from(id));
        let first = self.first_deadline();
        let due = entry.machine.next_deadline();
        // A deadline that moves away is looked at when its time comes: most are heartbeats', and move on and on.
        if let Some(due) = due
            && entry.armed.is_none_or(|armed| due < armed)
        {
            if let Some(armed) = entry.armed.replace(due) {
                self.deadlines.remove(&(armed, Arc::clone(&key)));
            }
            self.deadlines.insert((due, Arc::clone(&key)));
        }
        let armed = entry.armed;
        self.machines.insert(key, entry);
        armed.is_some_and(|armed| first.is_none_or(|first| armed < first))
    }

    fn first_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Takes machines off the deadlines whose time has come; the step after this puts each back.
    fn take_due(&mut self, now: Instant) -> Vec<Arc<str>> {
        let mut due = Vec::new();
        while due.len() < TICKED_AT_ONCE
            && self.first_deadline().is_some_and(|first| first <= now)
            && let Some((_, id)) = self.deadlines.pop_first()
        {
            if let Some(entry) = self.machines.get_mut(&id) {
                entry.armed = None;
            }
            due.push(id);
        }
        due
    }
}
