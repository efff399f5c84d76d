//! What a client can see of a directory, and how that may differ from what was there before it was damaged.

use std::{collections::BTreeMap, fmt, path::Path};

use bytes::Bytes;
use ottla::{
    broker::Broker,
    clock,
    log::{
        disk::{Disk, read_file, sim::SimDisk},
        partition_log::{AppendBatch, AppendOrigin, PartitionLog, ReadError},
        segment::Unreadable,
    },
    metadata::image::ConfigResource,
    protocol::{ids::TopicPartition, records::batch::BatchHeader},
};
use uuid::Uuid;

use crate::{
    random::Random,
    world::{DATA, NOW, Stored, World, first_batch, leader_epoch, log, partitions, records, start},
};

/// Look-ups by timestamp, and of aborted transactions, for each partition.
const LOOK_UPS: i64 = 8;
/// Leader epochs that are asked for.
const EPOCHS: i32 = 6;

/// The one batch that was damaged, if it was one.
pub(crate) type Damaged = Option<(TopicPartition, i64)>;

/// What came of damage, from bad to worse.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Nobody can see it.
    Harmless,
    /// The damaged batch cannot be read, and whoever tries is told.
    Contained,
    /// The log was cut after an unclean stop, and what followed was kept aside.
    Aside,
    /// The broker says why it does not start.
    Refused(String),
    /// Somebody gets a wrong answer and no error.
    Silent(String),
    /// Good data is gone, or cannot be read.
    Lost(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Harmless => write!(f, "no difference"),
            Self::Contained => write!(f, "contained in its batch and told"),
            Self::Aside => write!(f, "cut and kept aside"),
            Self::Refused(why) => write!(f, "start refused: {why}"),
            Self::Silent(what) => write!(f, "silently wrong: {what}"),
            Self::Lost(what) => write!(f, "good data lost: {what}"),
        }
    }
}

/// What clients see besides records.
#[derive(Debug, Default)]
pub(crate) struct View {
    partitions: BTreeMap<TopicPartition, PartitionView>,
    /// Name, id, partitions and configuration of each topic.
    topics: Vec<(String, Uuid, usize, Configs)>,
    next_producer_id: i64,
}

#[derive(Debug, PartialEq)]
struct PartitionView {
    start: i64,
    end: i64,
    last_stable: i64,
    /// What OffsetForLeaderEpoch answers, by epoch.
    epoch_ends: Vec<Option<(i32, i64)>>,
    /// What ListOffsets answers, by timestamp; `None` for an error.
    times: Vec<(i64, Option<Answer>)>,
    /// What a reader of committed records leaves out, by range.
    aborted: Vec<(Offsets, Option<Vec<Aborted>>)>,
    /// Where the last batch of an idempotent producer is found when it comes again.
    duplicate: Option<Option<i64>>,
}

/// From one up to another.
type Offsets = (i64, i64);

type Configs = Vec<(String, String)>;

/// Producer id, first offset and offset of the marker of a transaction.
type Aborted = (i64, i64, i64);

/// Timestamp, offset and epoch of the record found.
type Answer = Option<(i64, i64, i32)>;

impl View {
    pub(crate) fn of(broker: &Broker, world: &World) -> Self {
        let image = broker.image();
        let topics = image.topics().map(|topic| {
            let configs = image.config(&ConfigResource::topic(&topic.name)).clone().into_iter().collect();
            (topic.name.to_string(), topic.id, topic.partitions.len(), configs)
        });
        let partitions = partitions().filter_map(|partition| {
            let log = broker.logs().partition(&partition)?;
            let view = PartitionView::of(&log, &world.batches[&partition]);
            Some((partition, view))
        });
        Self { partitions: partitions.collect(), topics: topics.collect(), next_producer_id: image.next_producer_id() }
    }
}

impl PartitionView {
    fn of(log: &std::sync::Arc<PartitionLog>, batches: &[Stored]) -> Self {
        let offsets = log.offsets();
        let answer = |timestamp| {
            let found = log.offset_for_timestamp(timestamp, &|_, _| Err(Unreadable)).ok();
            (timestamp, found.map(|found| found.map(|record| (record.timestamp, record.offset, record.leader_epoch))))
        };
        let times: Vec<i64> = batches.iter().map(|batch| batch.header.max_timestamp).collect();
        let every = times.len().div_ceil(usize::try_from(LOOK_UPS).expect("small"));
        let span = batches.last().map_or(0, Stored::last);
        let ranges = (0..LOOK_UPS).map(|n| (span * n / LOOK_UPS, span * (n + 3) / LOOK_UPS));
        let aborted = |(from, up_to)| {
            let found = log.aborted_transactions(from, up_to).ok();
            let found =
                found.map(|found| found.iter().map(|a| (a.producer_id, a.first_offset, a.last_offset)).collect());
            ((from, up_to), found)
        };
        let produced = batches.iter().rfind(|batch| batch.header.has_producer_id() && !batch.header.is_control());
        let duplicate = produced.map(|batch| {
            let again =
                AppendBatch { header: batch.header, payload: batch.bytes.slice(61..), origin: AppendOrigin::Client };
            let appended = log.append(&again, batch.header.partition_leader_epoch, NOW).ok();
            appended.filter(|appended| appended.is_duplicate).map(|appended| appended.first_offset)
        });
        Self {
            start: offsets.log_start(),
            end: offsets.high_watermark(),
            last_stable: offsets.last_stable(),
            epoch_ends: (0..EPOCHS)
                .map(|epoch| log.end_offset_for_epoch(epoch).map(|end| (end.epoch, end.end_offset)))
                .collect(),
            times: times.iter().step_by(every).flat_map(|time| [*time, time + 1]).map(answer).collect(),
            aborted: ranges.map(aborted).collect(),
            duplicate,
        }
    }
}

impl PartitionView {
    /// The same without what was appended at `end` and later.
    fn up_to(&self, end: i64) -> Self {
        let before = |answer: &Answer| answer.filter(|(_, offset, _)| *offset < end);
        Self {
            start: self.start,
            end: self.end.min(end),
            last_stable: self.last_stable.min(end),
            epoch_ends: self.epoch_ends.iter().map(|found| found.map(|(epoch, at)| (epoch, at.min(end)))).collect(),
            times: self.times.iter().map(|(time, answer)| (*time, answer.as_ref().map(before))).collect(),
            aborted: self.aborted.clone(),
            duplicate: self.duplicate,
        }
    }
}

/// Holds what is seen of a damaged directory against what was seen of the whole one.
pub(crate) struct Judge<'a> {
    world: &'a World,
    whole: &'a View,
    damaged: &'a Damaged,
    disk: &'a SimDisk,
    random: Random,
    /// Where a log was cut when the broker started first.
    cut_at: BTreeMap<TopicPartition, i64>,
    worst: Outcome,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(world: &'a World, whole: &'a View, damaged: &'a Damaged, disk: &'a SimDisk, seed: u64) -> Self {
        Self {
            world,
            whole,
            damaged,
            disk,
            random: Random::new(seed),
            cut_at: BTreeMap::new(),
            worst: Outcome::Harmless,
        }
    }

    /// Starts a broker on the directory, reads everything, appends, stops, and does it again.
    pub(crate) fn judge(mut self) -> Outcome {
        for round in 0..2 {
            let broker = match start(self.disk) {
                Ok(broker) => broker,
                Err(error) => {
                    self.note(Outcome::Refused(error));
                    return self.worst;
                }
            };
            self.broker(&broker, round);
        }
        self.worst
    }

    fn note(&mut self, outcome: Outcome) {
        if outcome > self.worst {
            self.worst = outcome;
        }
    }

    fn lost(&mut self, what: impl Into<String>) {
        self.note(Outcome::Lost(what.into()));
    }

    fn silent(&mut self, what: impl Into<String>) {
        self.note(Outcome::Silent(what.into()));
    }

    fn broker(&mut self, broker: &std::sync::Arc<Broker>, round: i64) {
        let view = View::of(broker, self.world);
        if view.topics != self.whole.topics {
            return self.lost("a topic, or what it was");
        }
        if view.next_producer_id < self.whole.next_producer_id {
            self.silent("producer ids are given out again");
        }
        broker.logs().enforce_retention(NOW, clock::monotonic()).unwrap_or_else(|_| self.lost("retention fails"));
        broker.remove_deleted();
        for partition in partitions() {
            let log = log(broker, &partition);
            self.partition(&partition, &log, &view.partitions[&partition]);
            self.append(broker, &partition, round);
        }
        if let Err(error) = broker.close() {
            self.lost(format!("does not stop: {error}"));
        }
    }

    fn partition(&mut self, partition: &TopicPartition, log: &PartitionLog, view: &PartitionView) {
        let whole = &self.whole.partitions[partition];
        if view.end < whole.end {
            self.cut_at.entry(partition.clone()).or_insert(view.end);
        }
        let end = self.cut_at.get(partition).copied().unwrap_or(whole.end);
        let view = &view.up_to(end);
        let own_damage = self.damaged.as_ref().filter(|(damaged, _)| damaged == partition).map(|(_, first)| *first);
        self.read(partition, log, own_damage);
        if view.start != whole.start {
            self.silent("the log start");
        }
        let is_cut = end < whole.end;
        if !is_cut && view.last_stable != whole.last_stable && own_damage.is_none() {
            self.silent("the last stable offset");
        }
        if !is_cut && view.epoch_ends != whole.epoch_ends {
            self.silent("the end of a leader epoch");
        }
        let times = view.times.iter().zip(&whole.times);
        if !is_cut
            && times
                .into_iter()
                .any(|(is, should)| is.1.is_some() && is != should && !self.may_be(is, own_damage, partition))
        {
            self.silent("a look-up by timestamp");
        }
        if own_damage.is_none() && view.times.iter().any(|(_, answer)| answer.is_none()) {
            self.lost("a look-up by timestamp fails");
        }
        let differs = |(is, should): (&((i64, i64), Option<Vec<_>>), _)| is.1.is_some() && is != should;
        if !is_cut && own_damage.is_none() && view.aborted.iter().zip(&whole.aborted).any(differs) {
            self.silent("aborted transactions");
        }
        if view.aborted.iter().any(|(_, answer)| answer.is_none()) {
            self.lost("a look-up of aborted transactions fails");
        }
        if !is_cut && own_damage.is_none() && view.duplicate != whole.duplicate {
            self.silent("a duplicate is not known");
        }
    }

    /// Whether the answer is right if the damaged batch is taken for absent.
    fn may_be(&self, is: &(i64, Option<Answer>), damaged: Option<i64>, partition: &TopicPartition) -> bool {
        let Some(damaged) = damaged else { return false };
        let start = self.whole.partitions[partition].start;
        let batches = self.world.batches[partition].iter();
        let mut left = batches.filter(|batch| batch.first() != damaged && batch.last() >= start);
        let expected = left.find(|batch| batch.header.max_timestamp >= is.0);
        let expected = expected
            .map(|batch| (batch.header.max_timestamp, batch.first().max(start), batch.header.partition_leader_epoch));
        is.1 == Some(expected)
    }

    /// Reads as a consumer does: on and on from the start, and then each batch by itself.
    fn read(&mut self, partition: &TopicPartition, log: &PartitionLog, damaged: Option<i64>) {
        let whole = &self.whole.partitions[partition];
        let end = self.cut_at.get(partition).copied().unwrap_or_else(|| log.offsets().high_watermark());
        let batches = &self.world.batches[partition];
        let there = batches.iter().filter(|batch| batch.last() >= whole.start && batch.last() < whole.end);
        let there: Vec<_> = there.collect();
        let cut: Vec<_> = there.iter().filter(|batch| batch.last() >= end).copied().collect();
        if !cut.is_empty() {
            self.cut(partition, &cut, damaged);
        }
        let mut offset = whole.start.max(log.offsets().log_start());
        while offset < end {
            let at = there.partition_point(|batch| batch.last() < offset);
            let Some(current) = there.get(at) else { break };
            let max_bytes = usize::try_from(self.random.below(1_500)).expect("small");
            let next = self.fetch(log, offset, max_bytes, end, &there[at..], damaged);
            offset = next.unwrap_or_else(|| current.last() + 1);
        }
        for (at, batch) in there.iter().enumerate().filter(|(_, batch)| batch.last() < end) {
            let offset = self.random.between(batch.first().max(whole.start), batch.last());
            self.fetch(log, offset, 1, end, &there[at..], damaged);
        }
    }

    /// One fetch. Returns the offset to go on from, if the batch at `offset` could be read.
    fn fetch(
        &mut self,
        log: &PartitionLog,
        offset: i64,
        max_bytes: usize,
        end: i64,
        expected: &[&Stored],
        damaged: Option<i64>,
    ) -> Option<i64> {
        let mut bytes = match log.read(offset, max_bytes, true, end) {
            Ok(slice) => match slice.records.map(|records| records.read()) {
                Some(Ok(bytes)) => bytes,
                Some(Err(error)) => return self.unreadable(expected[0], damaged, &error.to_string()),
                None => return self.unreadable(expected[0], damaged, "there is nothing"),
            },
            Err(ReadError::Corrupt { .. }) => return self.unreadable(expected[0], damaged, "it is called corrupt"),
            Err(error) => return self.unreadable(expected[0], damaged, &error.to_string()),
        };
        let mut next = None;
        for expected in expected {
            let is_first = next.is_none();
            let whole = bytes.clone();
            let Some(batch) = first_batch(&mut bytes) else {
                // Anything may be cut but the first batch.
                let is_torn = whole.len() < expected.bytes.len()
                    && expected.bytes[17..].starts_with(whole.get(17..).unwrap_or_default());
                if is_first || !(is_torn || Some(expected.first()) == damaged) {
                    return self.unreadable(expected, damaged, "it is cut").or(next);
                }
                return next;
            };
            if batch.check_crc().is_err() {
                return self.unreadable(expected, damaged, "its CRC is wrong").or(next);
            }
            self.compare(batch.bytes(), batch.header(), expected);
            next = Some(expected.last() + 1);
            if bytes.is_empty() || expected.last() + 1 >= end {
                break;
            }
        }
        next
    }

    fn unreadable(&mut self, batch: &Stored, damaged: Option<i64>, why: &str) -> Option<i64> {
        if damaged == Some(batch.first()) {
            self.note(Outcome::Contained);
        } else {
            self.lost(format!("a good batch cannot be read: {why}"));
        }
        None
    }

    fn compare(&mut self, bytes: &Bytes, header: &BatchHeader, expected: &Stored) {
        if *bytes == expected.bytes {
            return;
        }
        if bytes.len() != expected.bytes.len() || bytes[21..] != expected.bytes[21..] {
            return self.silent("another batch than the one asked for");
        }
        if header.base_offset != expected.header.base_offset {
            self.silent("a base offset");
        } else if header.partition_leader_epoch != expected.header.partition_leader_epoch {
            self.silent("a leader epoch");
        }
    }

    /// Whether what was cut off is kept aside, but for the damaged batch.
    fn cut(&mut self, partition: &TopicPartition, cut: &[&Stored], damaged: Option<i64>) {
        let dir = Path::new(DATA).join(partition.to_string());
        let entries = self.disk.list_dir(&dir).expect("listed");
        let aside = entries.iter().filter(|entry| entry.name.contains(".log.corrupt"));
        let aside: Vec<Vec<u8>> =
            aside.map(|entry| read_file(self.disk, &dir.join(&entry.name)).expect("read")).collect();
        let is_kept = |batch: &Stored| {
            aside.iter().any(|file| file.windows(batch.bytes.len()).any(|window| window == batch.bytes))
        };
        let is_all = cut.iter().all(|batch| Some(batch.first()) == damaged || is_kept(batch));
        if is_all { self.note(Outcome::Aside) } else { self.lost("what was cut off is not kept") }
    }

    /// What is appended goes to the log's end and can be read.
    fn append(&mut self, broker: &Broker, partition: &TopicPartition, round: i64) {
        let log = log(broker, partition);
        let end = log.offsets().log_end();
        let batch = records(2, NOW + round, 40).build().expect("fits");
        let new = AppendBatch { header: *batch.header(), payload: batch.payload(), origin: AppendOrigin::Client };
        let appended = match log.append(&new, leader_epoch(broker, partition), NOW) {
            Ok(appended) => appended,
            Err(error) => return self.lost(format!("nothing can be appended: {error}")),
        };
        if appended.first_offset != end {
            self.silent("an append went elsewhere");
        }
        if let Err(error) = log.commit_now() {
            return self.lost(format!("nothing can be flushed: {error}"));
        }
        let slice = log.read(end, 10_000, true, appended.last_offset + 1);
        let bytes = slice.ok().and_then(|slice| slice.records?.read().ok()).unwrap_or_default();
        if bytes.get(61..) != Some(&batch.payload()) {
            self.lost("what was appended cannot be read");
        }
    }
}
