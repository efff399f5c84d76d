//! One seed: several generations of a broker on one disk, each ended by a crash.

use std::{fmt::Display, num::NonZeroUsize, path::Path, sync::Arc};

use ottla::{
    broker::{Broker, CreateTopicFailure, Identity},
    clock,
    config::{broker::BrokerConfig, sources::CommandLine},
    log::{
        disk::{
            Disk,
            sim::{Crash, SimDisk},
        },
        distrust,
        group_commit::Durability,
        log_config::LogConfig,
        log_dir::{LogDir, LogDirSettings},
        partition_log::{AppendError, PartitionLog},
    },
    metadata::topics::{Layout, NewTopic},
    protocol::ids::TopicPartition,
};
use uuid::Uuid;

use crate::{
    check::{self, equal},
    model::{Known, Stored, Topic, Topics, batch},
    random::Random,
};

const DATA: &str = "/data";
const METADATA: &str = "__cluster_metadata";
const NAMES: [&str; 4] = ["a", "b.c", "d-0", "e_long_name"];
/// With more, a round syncs on several threads, in an order that no seed decides.
const PARTITIONS_MAX: usize = 5;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
/// Batches that a producer may send without an answer.
const BATCHES_IN_FLIGHT: u64 = 5;
/// Steps after the disk is gone, in which nothing may be acknowledged.
const LAST_STEPS: u64 = 4;
const TRACE_MAX: usize = 24;

/// What a run has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) crashes: u64,
    pub(crate) clean_stops: u64,
    pub(crate) appended: u64,
    pub(crate) duplicates: u64,
    pub(crate) acknowledged: u64,
    pub(crate) topics: u64,
    /// Answers that said that something failed.
    pub(crate) errors: u64,
    pub(crate) failed_starts: u64,
    pub(crate) calls: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.clean_stops += other.clean_stops;
        self.appended += other.appended;
        self.duplicates += other.duplicates;
        self.acknowledged += other.acknowledged;
        self.topics += other.topics;
        self.errors += other.errors;
        self.failed_starts += other.failed_starts;
        self.calls += other.calls;
    }
}

pub(crate) struct Run {
    random: Random,
    disk: SimDisk,
    durability: Durability,
    config: BrokerConfig,
    logs: LogConfig,
    topics: Topics,
    now: i64,
    /// An error was injected since the last start.
    is_injected: bool,
    /// From some call on every one fails.
    is_gone: bool,
    /// Whether the last stop was a clean one; unknown if it said that it failed.
    was_closed: Option<bool>,
    /// Power was lost since the broker last ran.
    power_lost: bool,
    tally: Tally,
    trace: Vec<String>,
}

type Checked<T = ()> = Result<T, String>;

impl Run {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let (mut config, _) = ottla::config::load(&CommandLine::default(), std::iter::empty()).expect("the defaults");
        config.metadata_log_max_record_bytes_between_snapshots = 1 + random.below(2_000);
        config.metadata_max_retention_bytes = Some(random.below(10_000));
        let logs = LogConfig {
            segment_bytes: 1_500 + random.below(6_000),
            segment_index_bytes: if random.one_in(3) { 48 + random.below(200) } else { 10_000 },
            index_interval_bytes: random.below(1_500),
            flush_messages: random.between(1, 50),
            ..LogConfig::default()
        };
        Self {
            disk: SimDisk::new(seed),
            durability: if random.one_in(8) { Durability::Kafka } else { Durability::Fsync },
            config,
            logs,
            topics: Topics::new(),
            now: 1_000,
            is_injected: false,
            is_gone: false,
            was_closed: Some(false),
            power_lost: true,
            tally: Tally::default(),
            trace: Vec::new(),
            random,
        }
    }

    pub(crate) fn go(mut self) -> Checked<Tally> {
        let generations = 2 + self.random.below(3);
        let result = (0..generations).try_for_each(|_| self.generation()).and_then(|()| self.finish());
        self.tally.calls = self.disk.calls();
        let durability = self.durability;
        let told = |reason| format!("{reason}\n  {durability:?}, the last steps: {}", self.trace.join("; "));
        result.map_err(told).map(|()| self.tally)
    }

    fn note(&mut self, step: impl Into<String>) {
        if self.trace.len() == TRACE_MAX {
            self.trace.remove(0);
        }
        self.trace.push(step.into());
    }

    fn generation(&mut self) -> Checked {
        let broker = self.start()?;
        self.recovered(&broker)?;
        let mut steps = self.random.below(70);
        if self.random.one_in(2) {
            let n = 1 + self.random.below(300);
            self.note(format!("power goes at call {n}"));
            self.disk.fail_from(n, EIO);
            (self.is_injected, self.is_gone) = (true, true);
        }
        let mut is_last = false;
        while steps > 0 {
            steps -= 1;
            self.step(&broker)?;
            self.observe(&broker)?;
            let is_offline = broker.logs().group_commit().failure().is_some();
            if !is_last && (is_offline || (self.is_injected && self.disk.has_failed())) {
                (is_last, steps) = (is_offline, if is_offline { LAST_STEPS } else { steps.min(20) });
            }
        }
        self.was_closed = Some(false);
        if self.random.one_in(3) {
            self.note("stop");
            let closed = broker.close();
            self.was_closed = closed.is_ok().then_some(true);
            self.tally.clean_stops += u64::from(closed.is_ok());
            self.answered(closed)?;
            self.observe(&broker)?;
        }
        drop(broker);
        self.crash();
        Ok(())
    }

    /// On a disk without faults everything that was left behind goes away.
    fn finish(&mut self) -> Checked {
        let broker = self.open().map_err(|error| format!("does not start: {error}"))?;
        self.is_injected = false;
        self.recovered(&broker)?;
        broker.remove_deleted();
        let entries = self.disk.list_dir(Path::new(DATA)).map_err(|error| error.to_string())?;
        let leaked = entries.iter().find(|entry| entry.name.ends_with("-delete") || entry.name.ends_with("-stray"));
        leaked.map_or(Ok(()), |entry| Err(format!("{} is never removed", entry.name)))
    }

    fn crash(&mut self) {
        // A disk on which nothing works any more comes back without what was in memory.
        let kinds = [Crash::LoseAll, Crash::Tear, Crash::KeepAll];
        let kinds = if self.is_gone { &kinds[..2] } else { &kinds };
        let crash = *self.random.pick(kinds).expect("there are some");
        self.is_gone = false;
        self.note(format!("crash: {crash:?}"));
        self.disk.crash(crash);
        // A sync that failed may lose what was not acknowledged, as a power cut does.
        let has_failed = self.disk.exists(&Path::new(DATA).join(distrust::FILE_NAME)).expect("no call fails");
        self.power_lost |= crash != Crash::KeepAll || has_failed;
        if has_failed {
            // Of a deleted partition's file, which nobody minds, or of one that was closed: a start believes nothing.
            self.was_closed = Some(false);
        }
        self.tally.crashes += 1;
    }

    fn start(&mut self) -> Checked<Arc<Broker>> {
        for attempt in 0.. {
            let has_filesystem = self.random.one_in(2);
            self.disk.set_filesystem(has_filesystem);
            let is_disturbed = attempt < 3 && self.random.one_in(4);
            if is_disturbed {
                let (n, errno) = (1 + self.random.below(80), self.errno());
                self.is_gone = self.random.one_in(2);
                if self.is_gone { self.disk.fail_from(n, errno) } else { self.disk.fail_nth(n, errno) }
            }
            self.note(format!("start {is_disturbed}"));
            let opened = self.open();
            let has_failed = self.disk.has_failed();
            self.disk.heal();
            self.is_gone &= has_failed;
            match opened {
                Ok(broker) => {
                    let was_clean = broker.logs().was_clean();
                    if let Some(was_closed) = self.was_closed.filter(|_| attempt == 0) {
                        equal("clean", &"start", was_clean, was_closed)?;
                    }
                    self.is_injected = has_failed;
                    return Ok(broker);
                }
                Err(error) if !has_failed => return Err(format!("does not start: {error}")),
                Err(error) => {
                    self.note(error);
                    self.tally.failed_starts += 1;
                    self.crash();
                }
            }
        }
        unreachable!("without a fault it starts or the run fails")
    }

    fn open(&self) -> Checked<Arc<Broker>> {
        let settings = LogDirSettings {
            open_files_max: 8 + usize::try_from(self.logs.segment_bytes % 64).expect("small"),
            recovery_threads: NonZeroUsize::MIN,
            durability: self.durability,
            config: self.logs,
        };
        let disk = Arc::new(self.disk.clone());
        let logs = LogDir::open(disk, Path::new(DATA), &settings, self.now).map_err(|error| error.to_string())?;
        let identity = Identity { cluster_id: "c".to_owned(), directory_id: Uuid::from_u128(9) };
        let broker = Broker::load(self.config.clone(), identity, logs).map_err(|error| error.to_string())?;
        Ok(Arc::new(broker))
    }

    fn errno(&mut self) -> i32 {
        if self.random.one_in(2) { EIO } else { ENOSPC }
    }
}

/// What is done.
impl Run {
    fn step(&mut self, broker: &Broker) -> Checked {
        match self.random.below(110) {
            0..50 => self.append(broker),
            50..58 => self.retry(broker),
            58..70 => self.commit(broker),
            70..74 => self.commit_one(broker),
            74..78 => self.checkpoint(broker),
            78..82 => self.advance_start(broker),
            82..88 => self.create(broker),
            88..91 => self.delete(broker),
            91..93 => {
                self.note("remove deleted");
                broker.remove_deleted();
                Ok(())
            }
            93..97 => self.read(broker),
            97..101 => {
                self.note("metadata snapshot");
                let written = broker.snapshot_if_due();
                self.answered(written).map(drop)
            }
            101..104 => {
                self.note("clean metadata");
                let cleaned = broker.clean_metadata(self.now);
                self.answered(cleaned).map(drop)
            }
            104..107 => {
                self.note("retention");
                let enforced = broker.logs().enforce_retention(self.now, clock::monotonic());
                self.answered(enforced).map(drop)
            }
            _ => {
                if !self.is_gone {
                    let (n, errno) = (1 + self.random.below(12), self.errno());
                    self.note(format!("errno {errno} at call {n}"));
                    self.disk.fail_nth(n, errno);
                    self.is_injected = true;
                }
                Ok(())
            }
        }
    }

    /// An error has to have a cause.
    fn answered<T, E: Display>(&mut self, result: Result<T, E>) -> Checked<Option<T>> {
        match result {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if self.is_injected => {
                self.tally.errors += 1;
                self.note(format!("-> {error}"));
                Ok(None)
            }
            Err(error) => Err(format!("an error without a cause: {error}")),
        }
    }

    /// A partition of a topic that is there.
    fn any_partition(&mut self) -> Option<(String, usize)> {
        let there = self.topics.iter().filter_map(|(name, known)| match known {
            Known::There(topic) => Some((name, topic.partitions.len())),
            _ => None,
        });
        let all: Vec<_> = there.flat_map(|(name, count)| (0..count).map(|index| (name.clone(), index))).collect();
        self.random.pick(&all).cloned()
    }

    fn append(&mut self, broker: &Broker) -> Checked {
        let Some((name, index)) = self.any_partition() else { return self.create(broker) };
        self.now += self.random.between(0, 40);
        let records = i32::try_from(self.random.between(1, 6)).expect("small");
        let most = if self.random.one_in(8) { 1_400 } else { 200 };
        let filler = u8::try_from(self.random.below(256)).expect("a byte");
        let payload = vec![filler; usize::try_from(self.random.below(most)).expect("small")];
        let timestamp = self.now - self.random.between(0, 60);
        let is_produced = self.random.one_in(2);
        let sequence = is_produced.then(|| self.partition(&name, index).next_sequence());
        let new = batch(records, timestamp, payload, sequence);
        let (log, epoch) = hosted(broker, &name, index)?;
        self.note(format!("append {name}-{index}"));
        let appended = log.append(&new, epoch, self.now);
        let Some(appended) = self.answered(appended)? else { return Ok(()) };
        let partition = self.partition(&name, index);
        equal("the offset appended at", &name, appended.first_offset, partition.end)?;
        partition.push(Stored::new(appended.first_offset, epoch, &new));
        self.tally.appended += 1;
        Ok(())
    }

    /// A producer that has got no answer sends a batch once more. It is not appended again.
    fn retry(&mut self, broker: &Broker) -> Checked {
        let Some((name, index)) = self.any_partition() else { return Ok(()) };
        let back = usize::try_from(self.random.below(BATCHES_IN_FLIGHT)).expect("small");
        let (log, epoch) = hosted(broker, &name, index)?;
        let start = log.offsets().log_start();
        let known = self.partition(&name, index).produced().nth(back).filter(|stored| stored.first >= start);
        let Some((first, sent)) = known.map(|stored| (stored.first, stored.sent.clone())) else { return Ok(()) };
        self.note(format!("retry {name}-{index} at {first}"));
        let appended = log.append(&sent, epoch, self.now);
        if let Err(AppendError::Producer(_)) = &appended
            && back > 0
        {
            // A start may know the last one only: the search for those before it is bounded.
            return Ok(());
        }
        let Some(appended) = self.answered(appended)? else { return Ok(()) };
        equal("a duplicate", &name, appended.is_duplicate, true)?;
        equal("the offset of the duplicate", &name, appended.first_offset, first)?;
        self.tally.duplicates += 1;
        Ok(())
    }

    fn commit(&mut self, broker: &Broker) -> Checked {
        self.note("round");
        let committed = broker.logs().group_commit().commit();
        if self.answered(committed)?.is_some() && self.durability == Durability::Fsync {
            for log in broker.logs().partitions() {
                let log_end = log.offsets().log_end();
                if !log.is_deleted() {
                    equal("flushed", log.topic_partition(), log.flushed(), log_end)?;
                }
            }
        }
        Ok(())
    }

    fn commit_one(&mut self, broker: &Broker) -> Checked {
        let Some((name, index)) = self.any_partition() else { return Ok(()) };
        let log = log(broker, &name, index)?;
        let is_whole = self.random.one_in(2);
        self.note(format!("flush {name}-{index} {is_whole}"));
        let committed = if is_whole { log.flush() } else { log.commit_now() };
        if self.answered(committed)?.is_some() {
            equal("flushed", &name, log.flushed(), log.offsets().log_end())?;
        }
        Ok(())
    }

    fn checkpoint(&mut self, broker: &Broker) -> Checked {
        self.note("checkpoint");
        let written = broker.logs().checkpoint();
        if self.answered(written)?.is_some() {
            for known in self.topics.values_mut() {
                if let Known::There(topic) = known {
                    topic.partitions.iter_mut().for_each(|partition| partition.least_start = partition.start);
                }
            }
        }
        Ok(())
    }

    fn advance_start(&mut self, broker: &Broker) -> Checked {
        let Some((name, index)) = self.any_partition() else { return Ok(()) };
        let log = log(broker, &name, index)?;
        let offsets = log.offsets();
        let most = offsets.high_watermark().min(offsets.log_start() + 40);
        let start = self.random.between(offsets.log_start(), most);
        self.note(format!("log start of {name}-{index} to {start}"));
        log.advance_log_start(start);
        self.partition(&name, index).start = start;
        Ok(())
    }

    fn create(&mut self, broker: &Broker) -> Checked {
        let partitions = usize::try_from(self.random.between(1, 3)).expect("small");
        let used: usize = self.topics.values().map(Known::partitions).sum();
        let free = |name: &&str| self.topics.get(*name).is_none_or(|known| matches!(known, Known::Gone));
        let free: Vec<_> = NAMES.iter().copied().filter(free).collect();
        let Some(name) = self.random.pick(&free).filter(|_| used + partitions <= PARTITIONS_MAX) else {
            return Ok(());
        };
        let count = i32::try_from(partitions).expect("small");
        let topic = NewTopic { name: (*name).to_owned(), layout: Layout::Count(Some(count)), ..NewTopic::default() };
        self.note(format!("create {name} with {partitions}"));
        let created = broker.create_topics_blocking(std::slice::from_ref(&topic));
        let created = created.map_err(CreateTopicFailure::from).and_then(|mut created| created.remove(0));
        let known = match self.answered(created)? {
            Some(created) => {
                self.tally.topics += 1;
                Known::There(Topic::new(created.id, partitions))
            }
            None => Known::InDoubt { before: None, partitions },
        };
        self.topics.insert((*name).to_owned(), known);
        self.set_configs(broker);
        Ok(())
    }

    fn delete(&mut self, broker: &Broker) -> Checked {
        let Some((name, _)) = self.any_partition() else { return Ok(()) };
        let Some(Known::There(topic)) = self.topics.remove(&name) else { return Ok(()) };
        self.note(format!("delete {name}"));
        let deleted = broker.delete_topics_blocking(&[topic.id]).map_err(|error| error.to_string());
        let deleted = deleted.and_then(|mut deleted| deleted.remove(0).map_err(|error| error.to_string()));
        let known = match self.answered(deleted)? {
            Some(()) => Known::Gone,
            None => Known::InDoubt { partitions: topic.partitions.len(), before: Some(topic) },
        };
        self.topics.insert(name, known);
        Ok(())
    }

    /// While an error is under way it may hit the read.
    fn read(&mut self, broker: &Broker) -> Checked {
        let Some((name, index)) = self.any_partition().filter(|_| !self.is_injected) else { return Ok(()) };
        self.note(format!("read {name}-{index}"));
        let log = log(broker, &name, index)?;
        let Some(Known::There(topic)) = self.topics.get(&name) else { return Ok(()) };
        check::log(&log, &topic.partitions[index], &mut self.random)
    }

    fn partition(&mut self, name: &str, index: usize) -> &mut crate::model::Partition {
        match self.topics.get_mut(name) {
            Some(Known::There(topic)) => &mut topic.partitions[index],
            _ => panic!("{name} is not there"),
        }
    }

    fn set_configs(&self, broker: &Broker) {
        broker.logs().partitions().iter().for_each(|log| log.set_config(self.logs));
    }
}

/// What has to be.
impl Run {
    /// Looks at everything that others could see now.
    fn observe(&mut self, broker: &Broker) -> Checked {
        for (name, known) in &mut self.topics {
            let Known::There(topic) = known else { continue };
            for (index, partition) in topic.partitions.iter_mut().enumerate() {
                let log = log(broker, name, index)?;
                let shown = log.offsets().high_watermark();
                if shown < partition.shown {
                    return Err(format!("{name}-{index}: {} was shown, now {shown}", partition.shown));
                }
                equal("the log's end", name, log.offsets().log_end(), partition.end)?;
                partition.shown = shown;
                let kept = if self.durability == Durability::Fsync { shown } else { log.flushed() };
                let newly = |batch: &&Stored| (partition.kept..kept).contains(&batch.last);
                self.tally.acknowledged += partition.batches.iter().rev().take_while(newly).count() as u64;
                partition.kept = partition.kept.max(kept);
            }
        }
        Ok(())
    }

    /// After a start: everything is there that has to be, and nothing that may not.
    fn recovered(&mut self, broker: &Broker) -> Checked {
        self.settle_doubts(broker)?;
        let mut names = vec![format!("{METADATA}-0")];
        for (name, known) in &mut self.topics {
            let Known::There(topic) = known else {
                let is_there = broker.topic(name).is_some() || broker.image().topic(name).is_some();
                equal("a deleted topic", name, is_there, false)?;
                continue;
            };
            let hosted = broker.topic(name).ok_or_else(|| format!("topic {name} is lost"))?;
            equal("the id of", name, hosted.id(), topic.id)?;
            equal("the partitions of", name, hosted.logs().count(), topic.partitions.len())?;
            for (index, partition) in topic.partitions.iter_mut().enumerate() {
                let log = log(broker, name, index)?;
                let told = |reason| format!("{name}-{index}: {reason}");
                settle(&log, partition, self.power_lost).map_err(told)?;
                check::log(&log, partition, &mut self.random).map_err(told)?;
                names.push(format!("{name}-{index}"));
            }
        }
        equal("the topics of the image", &"all", broker.image().topics().count(), self.there())?;
        let mut logs: Vec<_> = broker.logs().partitions().iter().map(|log| log.topic_partition().to_string()).collect();
        logs.sort();
        names.sort();
        equal("the partitions", &"all", logs, names)?;
        self.power_lost = false;
        self.set_configs(broker);
        self.observe(broker)
    }

    fn there(&self) -> usize {
        self.topics.values().filter(|known| matches!(known, Known::There(_))).count()
    }

    fn settle_doubts(&mut self, broker: &Broker) -> Checked {
        for (name, known) in &mut self.topics {
            let Known::InDoubt { before, partitions } = known else { continue };
            *known = match (broker.topic(name), before.take()) {
                (None, _) => Known::Gone,
                (Some(hosted), Some(before)) if before.id == hosted.id() => Known::There(before),
                (Some(_), Some(_)) => return Err(format!("{name}: another topic of that name")),
                (Some(hosted), None) => Known::There(Topic::new(hosted.id(), *partitions)),
            };
        }
        Ok(())
    }
}

impl Known {
    fn partitions(&self) -> usize {
        match self {
            Self::There(topic) => topic.partitions.len(),
            Self::Gone => 0,
            Self::InDoubt { partitions, .. } => *partitions,
        }
    }
}

/// Holds the offsets of a log that was just opened against what they may be, and takes them for what is there.
fn settle(log: &PartitionLog, partition: &mut crate::model::Partition, power_lost: bool) -> Checked {
    let offsets = log.offsets();
    let end = offsets.log_end();
    if end < partition.kept {
        return Err(format!("{} was kept, the log ends at {end}", partition.kept));
    }
    if !power_lost {
        equal("the end after a kill", &"log", end, partition.end)?;
    }
    partition.batches.retain(|batch| batch.last < end);
    // A log that lost all that its start was moved over begins anew there.
    let is_anew = end == offsets.log_start();
    let last = partition.batches.last().map_or(0, |batch| batch.last + 1);
    if !is_anew {
        equal("the end", &"log", end, last)?;
    }
    partition.end = end;
    equal("the high watermark", &"log", (offsets.high_watermark(), log.flushed()), (end, end))?;
    let start = offsets.log_start();
    if !(partition.least_start..=partition.start).contains(&start) {
        let (least, most) = (partition.least_start, partition.start);
        return Err(format!("the log starts at {start}, not between {least} and {most}"));
    }
    (partition.start, partition.shown) = (start, end);
    Ok(())
}

fn log(broker: &Broker, name: &str, index: usize) -> Checked<Arc<PartitionLog>> {
    let index = i32::try_from(index).expect("small");
    let name = TopicPartition::new(name, index);
    broker.logs().partition(&name).ok_or_else(|| format!("{name} is not there"))
}

/// The log that is written to, and with which epoch.
fn hosted(broker: &Broker, name: &str, index: usize) -> Checked<(Arc<PartitionLog>, i32)> {
    let hosted = broker.topic(name).and_then(|topic| {
        let (log, epoch) = topic.partition(i32::try_from(index).expect("small"))?;
        Some((Arc::clone(log), epoch))
    });
    hosted.ok_or_else(|| format!("{name}-{index} is not hosted"))
}
