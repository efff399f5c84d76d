//! Groups of real consumers: librdkafka's, each on a thread of its own.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc::{self, Receiver, Sender},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use ottla::config::sources::CommandLine;
use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewPartitions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance},
    error::{KafkaError, RDKafkaErrorCode},
};

use crate::{
    groups::{GROUP_SETTINGS, group_broker},
    support::{BOUND, TestBroker, blocking, produce_with_librdkafka},
};

/// How long a consumer looks for a record before it looks for what it is told.
const POLL: Duration = Duration::from_millis(20);

/// What happens to a consumer.
#[derive(Clone, Debug, PartialEq)]
enum Event {
    /// All partitions that it has now.
    Assigned(Vec<i32>),
    /// A record: partition, offset, value.
    Record(i32, i64, String),
    /// It has committed as far as it was told to read.
    Committed,
}

/// What a consumer is told.
enum Command {
    /// To commit what it has read.
    Commit,
    /// To leave.
    Close,
}

/// Counts the rebalances.
#[derive(Clone, Default)]
struct Watched(Arc<AtomicUsize>);

impl ClientContext for Watched {}

impl ConsumerContext for Watched {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A consumer that runs.
struct Consumer {
    commands: Sender<Command>,
    events: Receiver<Event>,
    rebalances: Watched,
    running: JoinHandle<()>,
}

impl Consumer {
    fn start(address: SocketAddr, group: &str, topic: &str, settings: &[(&str, &str)]) -> Self {
        let mut config = config(address);
        config.set("group.id", group).set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
        // A rebalance is heard of with a heartbeat.
        config.set("heartbeat.interval.ms", "50").set("session.timeout.ms", "10000");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        let rebalances = Watched::default();
        let consumer: BaseConsumer<Watched> = config.create_with_context(rebalances.clone()).expect("a consumer");
        consumer.subscribe(&[topic]).expect("a topic");
        let (commands, told) = mpsc::channel();
        let (events, seen) = mpsc::channel();
        let running = std::thread::spawn(move || run(&consumer, &told, &events));
        Self { commands, events: seen, rebalances, running }
    }

    /// Waits for what must happen; what happens before is passed over.
    fn wait(&self, is_it: impl Fn(&Event) -> bool) -> Event {
        let deadline = Instant::now() + BOUND;
        loop {
            let event = self.events.recv_timeout(deadline - Instant::now()).expect("it happens in time");
            if is_it(&event) {
                return event;
            }
        }
    }

    /// Waits until it has so many partitions.
    fn has(&self, count: usize) -> Vec<i32> {
        match self.wait(|event| matches!(event, Event::Assigned(partitions) if partitions.len() == count)) {
            Event::Assigned(partitions) => partitions,
            _ => unreachable!("it was waited for"),
        }
    }

    /// The values of the next records.
    fn values(&self, count: usize) -> Vec<String> {
        let value = |event| match event {
            Event::Record(_, _, value) => value,
            _ => unreachable!("it was waited for"),
        };
        (0..count).map(|_| value(self.wait(|event| matches!(event, Event::Record(..))))).collect()
    }

    fn commit(&self) {
        self.commands.send(Command::Commit).expect("it runs");
        self.wait(|event| *event == Event::Committed);
    }

    fn close(self) {
        self.commands.send(Command::Close).expect("it runs");
        self.running.join().expect("no panic");
    }
}

fn config(address: SocketAddr) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address.to_string());
    config.set("reconnect.backoff.ms", "20").set("reconnect.backoff.max.ms", "100");
    config
}

/// Reads, says what happens, and does what it is told.
fn run(consumer: &BaseConsumer<Watched>, told: &Receiver<Command>, events: &Sender<Event>) {
    let say = |event| events.send(event).expect("somebody listens while it runs");
    let mut assigned = Vec::new();
    loop {
        // Errors of the connection are for librdkafka to mend.
        if let Some(Ok(record)) = consumer.poll(POLL) {
            let value = String::from_utf8(record.payload().unwrap_or_default().to_vec()).expect("text");
            say(Event::Record(record.partition(), record.offset(), value));
        }
        let now = partitions(&consumer.assignment().expect("an assignment"));
        if now != assigned {
            assigned = now;
            say(Event::Assigned(assigned.clone()));
        }
        match told.try_recv() {
            Ok(Command::Close) => return,
            Ok(Command::Commit) => {
                while let Err(error) = consumer.commit_consumer_state(CommitMode::Sync) {
                    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::BrokerTransportFailure), "{error}");
                }
                say(Event::Committed);
            }
            Err(_) => {}
        }
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<i32> {
    let mut partitions: Vec<_> = list.elements().iter().map(|element| element.partition()).collect();
    partitions.sort_unstable();
    partitions
}

/// Values from `first` on, to partition 0.
fn produce(address: SocketAddr, topic: &str, values: std::ops::Range<u32>) {
    let records: Vec<_> = values.map(|value| (String::new(), value.to_string())).collect();
    produce_with_librdkafka(address, &[], topic, &records);
}

fn texts(values: std::ops::Range<u32>) -> Vec<String> {
    values.map(|value| value.to_string()).collect()
}

/// Members come and go, and the partitions are always somebody's.
async fn partitions_are_shared(assignor: &'static str) {
    let broker = group_broker().await;
    broker.create_topic(assignor, 4).await;
    let address = broker.address();
    blocking(move || {
        let start = || Consumer::start(address, assignor, assignor, &[("partition.assignment.strategy", assignor)]);
        let first = start();
        assert_eq!(first.has(4), [0, 1, 2, 3]);
        let second = start();
        let mut shared = [second.has(2), first.has(2)].concat();
        shared.sort_unstable();
        assert_eq!(shared, [0, 1, 2, 3]);
        first.close();
        assert_eq!(second.has(4), [0, 1, 2, 3]);
        let third = start();
        let mut shared = [third.has(2), second.has(2)].concat();
        shared.sort_unstable();
        assert_eq!(shared, [0, 1, 2, 3]);
        second.close();
        third.close();
    })
    .await;
    broker.stop().await;
}

#[tokio::test]
async fn range_shares_the_partitions() {
    partitions_are_shared("range").await;
}

#[tokio::test]
async fn round_robin_shares_the_partitions() {
    partitions_are_shared("roundrobin").await;
}

#[tokio::test]
async fn a_cooperative_group_shares_the_partitions() {
    partitions_are_shared("cooperative-sticky").await;
}

#[tokio::test]
async fn members_get_partitions_that_are_added() {
    let broker = group_broker().await;
    broker.create_topic("grown", 2).await;
    let address = broker.address();
    let consumer = blocking(move || {
        let consumer = Consumer::start(address, "grown", "grown", &[("topic.metadata.refresh.interval.ms", "100")]);
        consumer.has(2);
        consumer
    })
    .await;
    let admin: AdminClient<DefaultClientContext> = config(address).create().expect("an admin client");
    let grown = admin.create_partitions(&[NewPartitions::new("grown", 5)], &AdminOptions::new()).await;
    assert_eq!(grown.expect("an answer"), [Ok("grown".to_owned())]);
    blocking(move || {
        assert_eq!(consumer.has(5), [0, 1, 2, 3, 4]);
        consumer.close();
    })
    .await;
}

#[tokio::test]
async fn a_consumer_resumes_where_the_last_one_has_committed() {
    let broker = group_broker().await;
    broker.create_topic("resumed", 1).await;
    let address = broker.address();
    blocking(move || {
        produce(address, "resumed", 0..10);
        let first = Consumer::start(address, "resumed", "resumed", &[]);
        assert_eq!(first.values(10), texts(0..10));
        first.commit();
        produce(address, "resumed", 10..15);
        assert_eq!(first.values(5), texts(10..15));
        first.close();
        let second = Consumer::start(address, "resumed", "resumed", &[]);
        assert_eq!(second.values(5), texts(10..15), "what was read but not committed comes again");
        second.close();
    })
    .await;
}

#[tokio::test]
async fn static_members_restart_one_by_one_without_a_rebalance() {
    let broker = group_broker().await;
    broker.create_topic("rolling", 4).await;
    let address = broker.address();
    blocking(move || {
        let start = |instance| Consumer::start(address, "rolling", "rolling", &[("group.instance.id", instance)]);
        let mut members = BTreeMap::from([("a", start("a"))]);
        members["a"].has(4);
        members.insert("b", start("b"));
        let had = BTreeMap::from([("b", members["b"].has(2)), ("a", members["a"].has(2))]);
        let rebalances = |member: &Consumer| member.rebalances.0.load(SeqCst);
        for (goes, stays) in [("a", "b"), ("b", "a"), ("a", "b")] {
            let before = rebalances(&members[stays]);
            members.remove(goes).expect("it is there").close();
            members.insert(goes, start(goes));
            assert_eq!(members[goes].has(2), had[goes], "{goes} has what it had");
            assert_eq!(rebalances(&members[stays]), before, "{stays} has noticed nothing");
        }
        members.into_values().for_each(Consumer::close);
    })
    .await;
}

/// A broker on a port that it has after a restart too.
async fn broker_that_restarts() -> TestBroker {
    let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port();
    let command_line = CommandLine {
        listen: vec![format!("127.0.0.1:{port}")],
        overrides: GROUP_SETTINGS.map(str::to_owned).to_vec(),
        ..CommandLine::default()
    };
    TestBroker::with_command_line(command_line).await
}

#[tokio::test]
async fn a_group_goes_on_when_the_broker_restarts() {
    let broker = broker_that_restarts().await;
    broker.create_topic("goes-on", 1).await;
    let address = broker.address();
    let consumer = blocking(move || {
        produce(address, "goes-on", 0..10);
        let consumer = Consumer::start(address, "goes-on", "goes-on", &[]);
        assert_eq!(consumer.values(10), texts(0..10));
        consumer.commit();
        consumer
    })
    .await;
    let rebalances = consumer.rebalances.0.load(SeqCst);
    let broker = broker.restarted().await;
    let consumer = blocking(move || {
        produce(address, "goes-on", 10..20);
        assert_eq!(consumer.values(10), texts(10..20), "each once");
        consumer.commit();
        consumer
    })
    .await;
    assert_eq!(consumer.rebalances.0.load(SeqCst), rebalances, "it is the same generation");
    let broker = broker.restarted().await;
    blocking(move || {
        produce(address, "goes-on", 20..21);
        assert_eq!(consumer.values(1), texts(20..21));
        consumer.commit();
        produce(address, "goes-on", 21..23);
        assert_eq!(consumer.values(2), texts(21..23));
        consumer.close();
        let next = Consumer::start(address, "goes-on", "goes-on", &[]);
        assert_eq!(next.values(2), texts(21..23), "only what was not committed comes again");
        next.close();
    })
    .await;
    broker.stop().await;
}

#[tokio::test]
async fn a_consumer_without_a_group_commits_and_resumes() {
    let broker = group_broker().await;
    broker.create_topic("simple", 2).await;
    let address = broker.address();
    blocking(move || {
        let consumer = || -> BaseConsumer { config(address).set("group.id", "simple").create().expect("a consumer") };
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset("simple", 1, Offset::Offset(7)).expect("an offset");
        let first = consumer();
        first.commit(&offsets, CommitMode::Sync).expect("a commit");
        let mut asked = TopicPartitionList::new();
        asked.add_partition("simple", 0);
        asked.add_partition("simple", 1);
        let committed = consumer().committed_offsets(asked, BOUND).expect("offsets");
        let committed: Vec<_> = committed.elements().iter().map(|element| element.offset()).collect();
        assert_eq!(committed, [Offset::Invalid, Offset::Offset(7)]);
    })
    .await;
}

#[tokio::test]
async fn a_group_is_listed_with_its_members_and_deleted_without() {
    let broker = group_broker().await;
    broker.create_topic("administered", 1).await;
    let address = broker.address();
    let consumer = blocking(move || {
        let consumer = Consumer::start(address, "administered", "administered", &[("client.id", "reader")]);
        consumer.has(1);
        let groups = consumer_of_lists(address).fetch_group_list(Some("administered"), BOUND).expect("a list");
        let [group] = groups.groups() else { panic!("one group") };
        assert_eq!((group.state(), group.protocol_type(), group.protocol()), ("Stable", "consumer", "range"));
        let [member] = group.members() else { panic!("one member") };
        assert_eq!((member.client_id(), member.client_host()), ("reader", "/127.0.0.1"));
        assert!(member.assignment().is_some_and(|assignment| !assignment.is_empty()));
        consumer
    })
    .await;
    let admin: AdminClient<DefaultClientContext> = config(address).create().expect("a client");
    let delete =
        async || admin.delete_groups(&["administered"], &AdminOptions::new()).await.expect("an answer").remove(0);
    assert_eq!(delete().await, Err(("administered".to_owned(), RDKafkaErrorCode::NonEmptyGroup)));
    blocking(move || consumer.close()).await;
    assert_eq!(delete().await, Ok("administered".to_owned()));
    assert_eq!(delete().await, Err(("administered".to_owned(), RDKafkaErrorCode::GroupIdNotFound)));
    blocking(move || {
        let groups = consumer_of_lists(address).fetch_group_list(None, BOUND).expect("a list");
        assert!(groups.groups().iter().all(|group| group.name() != "administered"));
    })
    .await;
}

fn consumer_of_lists(address: SocketAddr) -> BaseConsumer {
    let consumer: Result<BaseConsumer, KafkaError> = config(address).create();
    consumer.expect("a consumer")
}
