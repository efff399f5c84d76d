//! librdkafka's clients for a run, and their names for its partitions.

use std::{
    process,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use rdkafka::{
    ClientConfig, ClientContext, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, ConsumerContext},
    producer::{DeliveryResult, ProducerContext, ThreadedProducer},
};

use super::{INPUT, LEDGER, OUTPUT, Settings};
use crate::checker::{Key, Record, Value};

const TOPICS: [&str; 3] = [LEDGER, INPUT, OUTPUT];
/// Of a record of which the broker has not said where it is.
const NO_OFFSET: i64 = -1;

/// Where a record that was sent is, once the broker has said so.
#[derive(Clone)]
pub(super) struct Delivery(Arc<AtomicI64>);

impl Delivery {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(NO_OFFSET)))
    }

    pub(super) fn opaque(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.0)
    }

    pub(super) fn offset(&self) -> Option<i64> {
        Some(self.0.load(Ordering::SeqCst)).filter(|offset| *offset != NO_OFFSET)
    }
}

pub(super) struct Deliveries;

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Arc<AtomicI64>;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: Self::DeliveryOpaque) {
        if let Ok(message) = result {
            opaque.store(message.offset(), Ordering::SeqCst);
        }
    }
}

pub(super) type TransactionalProducer = ThreadedProducer<Deliveries>;

/// Isolation of a consumer.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Isolation {
    Committed,
    Uncommitted,
}

pub(super) struct Clients {
    bootstrap: String,
    /// In the names of all that is the run's.
    run: String,
    partitions: i32,
    transaction_timeout_ms: String,
}

impl Clients {
    pub(super) fn new(bootstrap: &str, settings: &Settings) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set").as_millis();
        Self {
            bootstrap: bootstrap.to_owned(),
            run: format!("{}-{}-{now}", settings.seed, process::id()),
            partitions: settings.partitions,
            transaction_timeout_ms: settings.transaction_timeout.as_millis().to_string(),
        }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("reconnect.backoff.max.ms", "500");
        config
    }

    pub(super) fn create_topics(&self) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().expect("an admin client");
        let names: Vec<String> = TOPICS.iter().map(|topic| self.name(topic)).collect();
        let topics: Vec<NewTopic<'_>> =
            names.iter().map(|name| NewTopic::new(name, self.partitions, TopicReplication::Fixed(1))).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let created = runtime.block_on(admin.create_topics(&topics, &AdminOptions::new())).expect("an answer");
        assert!(created.iter().all(Result::is_ok), "{created:?}");
    }

    /// A topic, a group or a transactional id of this run.
    pub(super) fn name(&self, what: &str) -> String {
        format!("{what}.{}", self.run)
    }

    pub(super) fn keys(&self, topic: &'static str) -> Vec<Key> {
        (0..self.partitions).map(|partition| Key { topic, partition }).collect()
    }

    pub(super) fn all_keys(&self) -> Vec<Key> {
        TOPICS.iter().flat_map(|topic| self.keys(topic)).collect()
    }

    fn key(&self, name: &str, partition: i32) -> Key {
        let topic = TOPICS.iter().find(|topic| self.name(topic) == name);
        Key { topic: topic.expect("a topic of this run"), partition }
    }

    pub(super) fn list(&self, offsets: impl IntoIterator<Item = (Key, Offset)>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (Key { topic, partition }, offset) in offsets {
            list.add_partition_offset(&self.name(topic), partition, offset).expect("a valid offset");
        }
        list
    }

    /// A record and where it is from. One that holds nothing that was ever sent has a value of nobody.
    pub(super) fn record(&self, message: &rdkafka::message::BorrowedMessage<'_>) -> (Key, Record) {
        let text = message.payload().and_then(|payload| std::str::from_utf8(payload).ok());
        let value = Value(text.and_then(|text| text.parse().ok()).unwrap_or(u64::MAX));
        (self.key(message.topic(), message.partition()), Record { offset: message.offset(), value })
    }

    pub(super) fn producer(&self, transactional_id: &str) -> TransactionalProducer {
        let mut config = self.config();
        config.set("transactional.id", self.name(transactional_id));
        config.set("transaction.timeout.ms", &self.transaction_timeout_ms);
        // A batch a few records, so that transactions meet in the logs.
        config.set("linger.ms", "0").set("batch.num.messages", "3");
        config.create_with_context(Deliveries).expect("a producer")
    }

    /// A consumer of partitions that it is given. It is told where each one ends.
    pub(super) fn consumer(&self, isolation: Isolation) -> BaseConsumer {
        self.consumer_config("none", isolation).set("enable.partition.eof", "true").create().expect("a consumer")
    }

    /// A member of a group.
    pub(super) fn member<C: ConsumerContext>(&self, group: &str, context: C) -> BaseConsumer<C> {
        let mut config = self.consumer_config(group, Isolation::Committed);
        config.set("session.timeout.ms", "6000").set("heartbeat.interval.ms", "500");
        config.create_with_context(context).expect("a consumer")
    }

    fn consumer_config(&self, group: &str, isolation: Isolation) -> ClientConfig {
        let level = if isolation == Isolation::Committed { "read_committed" } else { "read_uncommitted" };
        let mut config = self.config();
        config.set("group.id", self.name(group)).set("enable.auto.commit", "false").set("isolation.level", level);
        config.set("auto.offset.reset", "earliest").set("fetch.wait.max.ms", "50").set("fetch.error.backoff.ms", "50");
        config
    }
}
