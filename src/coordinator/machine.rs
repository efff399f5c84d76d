//! What a coordinator decides with: a machine without I/O, clock or lock. Time and requests go in, records and replies
//! come out.

use std::time::Instant;

use bytes::Bytes;

use crate::{
    clock::TimestampMs,
    protocol::wire::{DecodeError, EncodeError},
};

/// The time, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For time-outs.
    pub monotonic: Instant,
    /// For what is written.
    pub wall: TimestampMs,
}

/// What a machine is given beside the request.
#[derive(Debug)]
pub struct Cx<'a, S> {
    /// The time.
    pub now: Now,
    /// The settings of all machines.
    pub settings: &'a S,
}

impl<S> Clone for Cx<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Cx<'_, S> {}

/// A reply that is owed. Each is used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A record of a coordinator's log.
pub trait Record: Sized + Send {
    /// Whose it is.
    fn id(&self) -> &str;

    /// Its key and value; no value takes away what was under the key.
    fn encode(&self) -> Result<(Bytes, Option<Bytes>), EncodeError>;

    /// Reads one; `None` for a key that nobody here knows.
    fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Option<Self>, DecodeError>;
}

/// Where a record stands that is applied.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its offset.
    pub offset: i64,
    /// Of a record that is part of a transaction: who writes it. It is pending until that transaction ends.
    pub producer_id: Option<i64>,
}

/// The state of one id.
///
/// What a restart must bring back changes in [`Machine::apply`] and [`Machine::end_transaction`] alone; live traffic and
/// replay both come that way. What else there is (who waits, deadlines) may change anywhere.
pub trait Machine: Default + Send + 'static {
    /// Of all machines.
    type Settings: Send + Sync + 'static;
    /// What it writes.
    type Record: Record;
    /// What is answered later than it is asked.
    type Reply: Send + 'static;
    /// What it has others do.
    type Effect: Send + 'static;

    /// Takes a record in.
    fn apply(&mut self, place: Place, record: &Self::Record);

    /// A producer's transaction has ended, with the marker at this offset: what it had pending counts, or is forgotten.
    fn end_transaction(&mut self, offset: i64, producer_id: i64, is_commit: bool);

    /// All records of the log have been applied: deadlines begin, and what was to be done when the last process ended is
    /// given out again.
    fn loaded(&mut self, cx: Cx<'_, Self::Settings>, out: &mut Outputs<Self>);

    /// When [`Machine::tick`] is due.
    fn next_deadline(&self) -> Option<Instant>;

    /// A deadline may have passed.
    fn tick(&mut self, cx: Cx<'_, Self::Settings>, out: &mut Outputs<Self>);

    /// These records, which the last step gave out, could not be appended; its replies have become errors. What is given out now may have
    /// replies, but neither records nor effects.
    fn refused(&mut self, cx: Cx<'_, Self::Settings>, records: &[Self::Record], out: &mut Outputs<Self>);

    /// Replies were held up by the disk for a while: time-outs of those who may have waited for them begin anew.
    fn after_stall(&mut self, cx: Cx<'_, Self::Settings>);

    /// Whether it is as a new one is: then it need not be kept.
    fn is_vacant(&self) -> bool;
}

/// What becomes of the records of a step where they are more than a batch may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fit {
    /// They are refused.
    #[default]
    Whole,
    /// They come in several batches.
    Divisible,
    /// They come in one that is larger.
    Exempt,
}

/// What a step of a machine gives out.
#[derive(Debug)]
pub struct Outputs<M: Machine> {
    pub(super) records: Vec<M::Record>,
    pub(super) replies: Vec<(Ticket, M::Reply)>,
    pub(super) effects: Vec<M::Effect>,
    pub(super) depends_on: i64,
    pub(super) fit: Fit,
    /// So many records no batch has room for. More are not kept, unless they may be split.
    pub(super) too_many: usize,
}

impl<M: Machine> Default for Outputs<M> {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            replies: Vec::new(),
            effects: Vec::new(),
            depends_on: -1,
            fit: Fit::default(),
            too_many: usize::MAX,
        }
    }
}

impl<M: Machine> Outputs<M> {
    /// Writes a record. Those of a step are appended together or not at all, unless they [may be
    /// split](Self::may_be_split), and what it replies waits for them.
    pub fn write(&mut self, record: M::Record) {
        if self.fit == Fit::Divisible || self.records.len() < self.too_many {
            self.records.push(record);
        }
    }

    /// Those of this step may be appended in several batches, in order, if they are too many for one. Of those before a batch
    /// that is refused each counts; a crash too may come in between.
    pub fn may_be_split(&mut self) {
        self.fit = Fit::Divisible;
    }

    /// Those of this step are appended even if they are larger than the topic's `max.message.bytes`: what they end was
    /// admitted, and would never end without them.
    pub fn must_be_written(&mut self) {
        self.fit = Fit::Exempt;
    }

    /// Answers what was asked with this ticket.
    pub fn reply(&mut self, ticket: Ticket, reply: M::Reply) {
        self.replies.push((ticket, reply));
    }

    /// Has something done, by whoever takes the effects of all machines, once what this step has written is durable. Those
    /// of a machine come in the order given; those of a step that is refused do not come.
    pub fn effect(&mut self, effect: M::Effect) {
        self.effects.push(effect);
    }

    /// Takes the records out, for whoever runs a machine without a log.
    pub fn take_records(&mut self) -> Vec<M::Record> {
        std::mem::take(&mut self.records)
    }

    /// What this step replies, or has done, rests on a record at this offset: it waits until that is durable.
    pub fn depends_on(&mut self, offset: i64) {
        self.depends_on = self.depends_on.max(offset);
    }
}

#[cfg(test)]
impl<M: Machine> Outputs<M> {
    /// The latest record that its replies rest on.
    pub(crate) fn dependency(&self) -> i64 {
        self.depends_on
    }

    /// What was written so far.
    pub(crate) fn records(&self) -> &[M::Record] {
        &self.records
    }

    /// Takes the replies out.
    pub(crate) fn take_replies(&mut self) -> Vec<(Ticket, M::Reply)> {
        std::mem::take(&mut self.replies)
    }

    /// Takes the effects out.
    pub(crate) fn take_effects(&mut self) -> Vec<M::Effect> {
        std::mem::take(&mut self.effects)
    }
}
