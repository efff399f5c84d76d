//! Which operation on which resource each API asks the authorizer for, of who may do nothing and of who may do everything:
//! what `kafka.authorizer.logger` says. With the address and the log of a real Apache Kafka 4.4.0 the same table is held
//! against that:
//!
//! ```text
//! KAFKA_OPTS=-Dorg.slf4j.simpleLogger.log.kafka.authorizer.logger=trace
//! OTTLA_IT_REFEREE=127.0.0.1:9094 OTTLA_IT_REFEREE_LOG=broker.log cargo test --test it authorization::asked
//! ```
//!
//! Its listener there is SASL_PLAINTEXT with PLAIN, for `chief` and `mallory` with their names as passwords; `chief` is a
//! super user, and the authorizer is the StandardAuthorizer. It has to be new: the names are.

use std::{
    collections::BTreeSet,
    env, fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{Mutex, OnceLock},
};

use ottla::protocol::records::builder::BatchBuilder;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt};

use super::*;
use crate::support::within;

/// A request, and what is asked for it: in brackets what is asked to know what to show, and not said aloud.
struct Row {
    key: ApiKey,
    version: i16,
    request: Json,
    of_nobody: &'static [&'static str],
    of_chief: &'static [&'static str],
}

fn row(
    key: ApiKey,
    version: i16,
    request: Json,
    of_nobody: &'static [&'static str],
    of_chief: &'static [&'static str],
) -> Row {
    Row { key, version, request, of_nobody, of_chief }
}

/// The lines of the authorizer's logger in this process.
fn lines_here() -> &'static Mutex<Vec<String>> {
    static LINES: OnceLock<Mutex<Vec<String>>> = OnceLock::new();
    LINES.get_or_init(|| {
        let targets = Targets::new().with_target("kafka.authorizer.logger", tracing::Level::TRACE);
        let subscriber = tracing_subscriber::registry().with(Lines.with_filter(targets));
        tracing::subscriber::set_global_default(subscriber).expect("there is no other in these tests");
        Mutex::default()
    })
}

struct Lines;

impl<S: tracing::Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let mut message = Message(format!("{} ", event.metadata().level()));
        event.record(&mut message);
        lines_here().lock().expect("no panic").push(message.0);
    }
}

struct Message(String);

impl tracing::field::Visit for Message {
    fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!("{value:?}");
    }
}

/// The setting with which access control lists decide.
const STANDARD: &str = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer";

/// A broker of this process that lets in users by their names as passwords, and whose lines are kept.
async fn broker(users: &[&str], more: &[&str]) -> TestBroker {
    lines_here();
    let settings = ["listeners=SASL_PLAINTEXT://127.0.0.1:0", "sasl.enabled.mechanisms=PLAIN"];
    let broker = TestBroker::with_settings(&[&settings, more].concat()).await;
    let user =
        |name: &&str| FirstUser { name: (*name).to_owned(), password: Secret::new(name), origin: Origin::Override };
    broker.server().broker().add_first_users(users.iter().map(user).collect()).await.expect("added");
    broker
}

/// A broker whose log can be read.
struct Stage {
    address: SocketAddr,
    log: Option<PathBuf>,
    read: usize,
    _broker: Option<TestBroker>,
}

impl Stage {
    async fn new() -> Self {
        if let Ok(referee) = env::var("OTTLA_IT_REFEREE") {
            let log = env::var("OTTLA_IT_REFEREE_LOG").expect("its log").into();
            return Self { address: referee.parse().expect("an address"), log: Some(log), read: 0, _broker: None };
        }
        let broker = broker(&["chief", "mallory"], &[STANDARD, "super.users=User:chief"]).await;
        Self { address: broker.address(), log: None, read: 0, _broker: Some(broker) }
    }

    async fn client(&self, name: &str) -> RawClient {
        let mut client = RawClient::connect(self.address).await;
        let login = Login { mechanism: "PLAIN", name, password: name };
        assert_eq!(client.authenticate(&login).await.error_code, 0);
        client
    }

    /// What was asked of somebody for a request of this API since the last look.
    fn asked(&mut self, name: &str, key: ApiKey) -> BTreeSet<String> {
        let lines: Vec<String> = match &self.log {
            Some(path) => fs::read_to_string(path).expect("readable").lines().map(str::to_owned).collect(),
            None => lines_here().lock().expect("no panic").clone(),
        };
        let new = &lines[self.read..];
        self.read = lines.len();
        let principal = format!("Principal = User:{name} is ");
        let request = format!(" for request = {} with ", key.name());
        let lines = new.iter().filter(|line| line.contains(&principal) && line.contains(&request));
        let asked: BTreeSet<String> = lines.map(|line| asked_in(line)).collect();
        if self.log.is_some() { as_here(asked, name) } else { asked }
    }
}

/// What Kafka asks, without what has no place here.
fn as_here(asked: BTreeSet<String>, name: &str) -> BTreeSet<String> {
    let asked = asked.into_iter().filter(|asked| {
        // The bits of responses, which are not said here.
        let is_bit = name == "chief" && asked.starts_with('(');
        // What stands for any topic, and a topic that there is not.
        !is_bit && !asked.contains("hardcode") && !asked.contains("__share_group_state")
    });
    // Denied, this is a refusal here: no list could say that a topic may be written to.
    let aloud = |asked: String| {
        if asked.contains("IDEMPOTENT_WRITE") { "IDEMPOTENT_WRITE Cluster".to_owned() } else { asked }
    };
    asked.map(aloud).collect()
}

/// `READ Topic:tt` of a line, in brackets if it was said at the lowest level.
fn asked_in(line: &str) -> String {
    let between = |before: &str, after: &str| {
        let (_, rest) = line.split_once(before).expect(before);
        rest.split_once(after).expect(after).0
    };
    let resource =
        between(" on resource = ", " for request = ").replace(":LITERAL:", ":").replace(":kafka-cluster", "");
    let asked = format!("{} {resource}", between(" operation = ", " from host = 127.0.0.1"));
    if line.contains("TRACE ") { format!("({asked})") } else { asked }
}

async fn prepared(stage: &Stage) -> TestTopic {
    let mut chief = stage.client("chief").await;
    let topic = chief.create_topic("tt", 1, &[]).await;
    for (kind, key) in [(0, "gg"), (1, "tx")] {
        let find = json!({"keyType": kind, "coordinatorKeys": [key]});
        within(async {
            while chief.ask(ApiKey::FindCoordinator, 4, &find).await["coordinators"][0]["errorCode"] != 0 {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        })
        .await;
    }
    let init = json!({"transactionalId": "tx", "transactionTimeoutMs": 60_000, "producerId": -1, "producerEpoch": -1});
    within(async {
        while chief.ask(ApiKey::InitProducerId, 4, &init).await["errorCode"] != 0 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    })
    .await;
    let committed = json!({"groupId": "gg", "generationIdOrMemberEpoch": -1, "topics": [
        {"name": "tt", "partitions": [{"partitionIndex": 0, "committedOffset": 1, "committedMetadata": ""}]}]});
    within(async {
        while chief.ask(ApiKey::OffsetCommit, 8, &committed).await["topics"][0]["partitions"][0]["errorCode"] != 0 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    })
    .await;
    topic
}

#[tokio::test]
async fn each_api_asks_for_what_kafka_asks_for() {
    let mut stage = Stage::new().await;
    let topic = prepared(&stage).await;
    let rows = rows(&URL_SAFE_NO_PAD.encode(topic.id));
    for api in SUPPORTED {
        let is_open = matches!(api.key, ApiKey::ApiVersions | ApiKey::SaslHandshake | ApiKey::SaslAuthenticate);
        assert!(is_open || rows.iter().any(|row| row.key == api.key), "{} has no row", api.key.name());
    }
    let mut failures = Vec::new();
    for Row { key, version, request, of_nobody, of_chief } in &rows {
        for (name, expected) in [("mallory", of_nobody), ("chief", of_chief)] {
            let mut client = stage.client(name).await;
            stage.asked(name, *key);
            client.try_ask(*key, *version, request).await;
            let asked = stage.asked(name, *key);
            let expected: BTreeSet<String> = expected.iter().map(|text| (*text).to_owned()).collect();
            if asked != expected {
                failures.push(format!("{} v{version} {request} of {name}:\n  {asked:?}\n  {expected:?}", key.name()));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), rows.len(), failures.join("\n"));
}

/// What the lines say of somebody.
fn said_of(name: &str) -> Vec<String> {
    let principal = format!("Principal = User:{name} is ");
    lines_here().lock().expect("no panic").iter().filter(|line| line.contains(&principal)).cloned().collect()
}

/// Whoever is let in can be denied something as often as they like; it is said aloud so often and no more.
#[tokio::test]
async fn who_is_denied_fills_no_log() {
    let broker = broker(&["trudy"], &[STANDARD]).await;
    let mut trudy = client(&broker, "trudy").await;
    let long = format!("a\n\u{1b}[31m{}", "x".repeat(30_000));
    for key in ["gg", &long].into_iter().chain(["g"; 28]) {
        trudy.ask(ApiKey::FindCoordinator, 4, &json!({"coordinatorKeys": [key]})).await;
    }
    let said = said_of("trudy");
    let expected = "INFO Principal = User:trudy is Denied operation = DESCRIBE from host = 127.0.0.1 on resource = \
                    Group:LITERAL:gg for request = FindCoordinator with resourceRefCount = 1";
    assert_eq!(said[0], expected);
    assert!(said[1].contains("Group:LITERAL:a\\n\\u{1b}[31mxxx") && said[1].chars().count() < 450, "{}", said[1]);
    let aloud: Vec<_> = said.iter().filter(|line| line.starts_with("INFO")).collect();
    assert_eq!((aloud.len(), said.len()), (20, 30));
    assert!(aloud[19].ends_with(" (more of this principal is left out for a minute)"), "{}", aloud[19]);
    assert!(said[20..].iter().all(|line| line.starts_with("DEBUG")));
}

/// Where everybody may do everything nothing was decided.
#[tokio::test]
async fn without_an_authorizer_nothing_is_said() {
    let broker = broker(&["walter"], &[]).await;
    client(&broker, "walter").await.create_topic("tt", 1, &[]).await;
    assert_eq!(said_of("walter"), Vec::<String>::new());
}

fn rows(id: &str) -> Vec<Row> {
    let plain = encoded(&batch(&["x"]));
    let transactional = encoded(build(BatchBuilder::new(0).producer(0, 0, 0).transactional(), [record("x")]).bytes());
    vec![
        row(
            ApiKey::Produce,
            12,
            json!({"transactionalId": null, "acks": -1, "timeoutMs": 9000, "topicData": [{"name": "tt", "partitionData": [{"index": 0, "records": plain}]}, {"name": "qq", "partitionData": [{"index": 0, "records": plain}]}]}),
            &["WRITE Topic:qq", "WRITE Topic:tt"],
            &["WRITE Topic:qq", "WRITE Topic:tt"],
        ),
        row(
            ApiKey::Produce,
            13,
            json!({"transactionalId": null, "acks": -1, "timeoutMs": 9000, "topicData": [{"topicId": id, "partitionData": [{"index": 0, "records": plain}]}]}),
            &["WRITE Topic:tt"],
            &["WRITE Topic:tt"],
        ),
        row(
            ApiKey::Produce,
            12,
            json!({"transactionalId": "tx", "acks": -1, "timeoutMs": 9000, "topicData": [{"name": "tt", "partitionData": [{"index": 0, "records": transactional}]}]}),
            &["WRITE TransactionalId:tx"],
            &["WRITE Topic:tt", "WRITE TransactionalId:tx"],
        ),
        row(
            ApiKey::Fetch,
            12,
            json!({"replicaId": -1, "maxBytes": 1000, "sessionEpoch": -1, "topics": [{"topic": "tt", "partitions": [{"partitionMaxBytes": 1000}]}, {"topic": "qq", "partitions": [{"partitionMaxBytes": 1000}]}]}),
            &["READ Topic:qq", "READ Topic:tt"],
            &["READ Topic:qq", "READ Topic:tt"],
        ),
        row(
            ApiKey::Fetch,
            16,
            json!({"maxBytes": 1000, "sessionEpoch": -1, "topics": [{"topicId": id, "partitions": [{"partitionMaxBytes": 1000}]}]}),
            &["READ Topic:tt"],
            &["READ Topic:tt"],
        ),
        row(
            ApiKey::Fetch,
            16,
            json!({"replicaState": {"replicaId": 1, "replicaEpoch": 1}, "maxBytes": 1000, "sessionEpoch": -1, "topics": [{"topicId": id, "partitions": [{"partitionMaxBytes": 1000}]}]}),
            &["CLUSTER_ACTION Cluster"],
            &["CLUSTER_ACTION Cluster"],
        ),
        row(
            ApiKey::ListOffsets,
            7,
            json!({"replicaId": -1, "topics": [{"name": "tt", "partitions": [{"timestamp": -1}]}, {"name": "qq", "partitions": [{"timestamp": -1}]}]}),
            &["DESCRIBE Topic:qq", "DESCRIBE Topic:tt"],
            &["DESCRIBE Topic:qq", "DESCRIBE Topic:tt"],
        ),
        row(
            ApiKey::Metadata,
            12,
            json!({"topics": null, "allowAutoTopicCreation": true}),
            &["(DESCRIBE Topic:__consumer_offsets)", "(DESCRIBE Topic:__transaction_state)", "(DESCRIBE Topic:tt)"],
            &["DESCRIBE Topic:__consumer_offsets", "DESCRIBE Topic:__transaction_state", "DESCRIBE Topic:tt"],
        ),
        row(
            ApiKey::Metadata,
            12,
            json!({"topics": [{"name": "tt"}, {"name": "q1"}], "allowAutoTopicCreation": false}),
            &["DESCRIBE Topic:q1", "DESCRIBE Topic:tt"],
            &["DESCRIBE Topic:q1", "DESCRIBE Topic:tt"],
        ),
        row(
            ApiKey::Metadata,
            12,
            json!({"topics": [{"name": "q2"}], "allowAutoTopicCreation": true}),
            &["DESCRIBE Topic:q2"],
            &["CREATE Cluster", "DESCRIBE Topic:q2"],
        ),
        row(
            ApiKey::Metadata,
            12,
            json!({"topics": [{"topicId": id, "name": null}]}),
            &["DESCRIBE Topic:tt"],
            &["DESCRIBE Topic:tt"],
        ),
        row(
            ApiKey::Metadata,
            10,
            json!({"topics": [], "includeClusterAuthorizedOperations": true}),
            &["DESCRIBE Cluster"],
            &["DESCRIBE Cluster"],
        ),
        row(
            ApiKey::OffsetCommit,
            8,
            json!({"groupId": "gg", "generationIdOrMemberEpoch": -1, "topics": [{"name": "tt", "partitions": [{"committedOffset": 1, "committedMetadata": ""}]}]}),
            &["READ Group:gg"],
            &["READ Group:gg", "READ Topic:tt"],
        ),
        row(
            ApiKey::OffsetCommit,
            10,
            json!({"groupId": "gg", "generationIdOrMemberEpoch": -1, "topics": [{"topicId": id, "partitions": [{"committedOffset": 1, "committedMetadata": ""}]}]}),
            &["READ Group:gg"],
            &["READ Group:gg", "READ Topic:tt"],
        ),
        row(
            ApiKey::OffsetFetch,
            7,
            json!({"groupId": "gg", "topics": [{"name": "tt", "partitionIndexes": [0]}, {"name": "qq", "partitionIndexes": [0]}]}),
            &["DESCRIBE Group:gg"],
            &["DESCRIBE Group:gg", "DESCRIBE Topic:qq", "DESCRIBE Topic:tt"],
        ),
        row(
            ApiKey::OffsetFetch,
            8,
            json!({"groups": [{"groupId": "gg", "topics": null}]}),
            &["DESCRIBE Group:gg"],
            &["DESCRIBE Group:gg", "DESCRIBE Topic:tt"],
        ),
        row(
            ApiKey::FindCoordinator,
            4,
            json!({"keyType": 0, "coordinatorKeys": ["gg", "g2"]}),
            &["DESCRIBE Group:g2", "DESCRIBE Group:gg"],
            &["DESCRIBE Group:g2", "DESCRIBE Group:gg"],
        ),
        row(
            ApiKey::FindCoordinator,
            4,
            json!({"keyType": 1, "coordinatorKeys": ["tx"]}),
            &["DESCRIBE TransactionalId:tx"],
            &["DESCRIBE TransactionalId:tx"],
        ),
        row(
            ApiKey::FindCoordinator,
            6,
            json!({"keyType": 2, "coordinatorKeys": ["g:ADWTbcPUQmuY6cHh82Ls6g:0"]}),
            &["CLUSTER_ACTION Cluster"],
            &["CLUSTER_ACTION Cluster"],
        ),
        row(
            ApiKey::JoinGroup,
            9,
            json!({"groupId": "g3", "sessionTimeoutMs": 1, "rebalanceTimeoutMs": 1, "protocolType": "consumer", "protocols": [{"name": "range", "metadata": ""}]}),
            &["READ Group:g3"],
            &["READ Group:g3"],
        ),
        row(
            ApiKey::Heartbeat,
            4,
            json!({"groupId": "gg", "generationId": 1, "memberId": "m"}),
            &["READ Group:gg"],
            &["READ Group:gg"],
        ),
        row(
            ApiKey::LeaveGroup,
            4,
            json!({"groupId": "gg", "members": [{"memberId": "m"}]}),
            &["READ Group:gg"],
            &["READ Group:gg"],
        ),
        row(
            ApiKey::SyncGroup,
            5,
            json!({"groupId": "gg", "generationId": 1, "memberId": "m", "protocolType": "consumer", "protocolName": "range"}),
            &["READ Group:gg"],
            &["READ Group:gg"],
        ),
        row(
            ApiKey::DescribeGroups,
            5,
            json!({"groups": ["gg", "g2"]}),
            &["DESCRIBE Group:g2", "DESCRIBE Group:gg"],
            &["DESCRIBE Group:g2", "DESCRIBE Group:gg"],
        ),
        row(ApiKey::ListGroups, 4, json!({}), &["(DESCRIBE Cluster)", "(DESCRIBE Group:gg)"], &["DESCRIBE Cluster"]),
        row(
            ApiKey::CreateTopics,
            7,
            json!({"topics": [{"name": "n1", "numPartitions": 1, "replicationFactor": 1}, {"name": "n2", "numPartitions": 1, "replicationFactor": 1}], "timeoutMs": 9000, "validateOnly": true}),
            &[
                "(CREATE Cluster)",
                "(DESCRIBE_CONFIGS Topic:n1)",
                "(DESCRIBE_CONFIGS Topic:n2)",
                "CREATE Topic:n1",
                "CREATE Topic:n2",
            ],
            &["CREATE Cluster", "DESCRIBE_CONFIGS Topic:n1", "DESCRIBE_CONFIGS Topic:n2"],
        ),
        row(
            ApiKey::DeleteRecords,
            2,
            json!({"topics": [{"name": "tt", "partitions": [{"partitionIndex": 0, "offset": 0}]}, {"name": "qq", "partitions": [{"partitionIndex": 0, "offset": 0}]}], "timeoutMs": 9000}),
            &["DELETE Topic:qq", "DELETE Topic:tt"],
            &["DELETE Topic:qq", "DELETE Topic:tt"],
        ),
        row(
            ApiKey::InitProducerId,
            4,
            json!({"transactionalId": "tx", "transactionTimeoutMs": 60_000, "producerId": -1, "producerEpoch": -1}),
            &["WRITE TransactionalId:tx"],
            &["WRITE TransactionalId:tx"],
        ),
        row(
            ApiKey::InitProducerId,
            4,
            json!({"transactionalId": null, "transactionTimeoutMs": 60_000, "producerId": -1, "producerEpoch": -1}),
            &["IDEMPOTENT_WRITE Cluster"],
            &["IDEMPOTENT_WRITE Cluster"],
        ),
        row(
            ApiKey::OffsetForLeaderEpoch,
            4,
            json!({"replicaId": -1, "topics": [{"topic": "tt", "partitions": [{}]}, {"topic": "qq", "partitions": [{}]}]}),
            &["(CLUSTER_ACTION Cluster)", "DESCRIBE Topic:qq", "DESCRIBE Topic:tt"],
            &["CLUSTER_ACTION Cluster"],
        ),
        row(
            ApiKey::AddPartitionsToTxn,
            3,
            json!({"v3AndBelowTransactionalId": "tx", "v3AndBelowProducerId": 9, "v3AndBelowTopics": [{"name": "tt", "partitions": [0]}]}),
            &["WRITE TransactionalId:tx"],
            &["WRITE Topic:tt", "WRITE TransactionalId:tx"],
        ),
        row(
            ApiKey::AddPartitionsToTxn,
            5,
            json!({"transactions": [{"transactionalId": "tx", "producerId": 9, "topics": [{"name": "tt", "partitions": [0]}]}]}),
            &["CLUSTER_ACTION Cluster"],
            &["CLUSTER_ACTION Cluster"],
        ),
        row(
            ApiKey::AddOffsetsToTxn,
            4,
            json!({"transactionalId": "tx", "producerId": 9, "groupId": "gg"}),
            &["WRITE TransactionalId:tx"],
            &["READ Group:gg", "WRITE TransactionalId:tx"],
        ),
        row(
            ApiKey::EndTxn,
            4,
            json!({"transactionalId": "tx", "producerId": 9}),
            &["WRITE TransactionalId:tx"],
            &["WRITE TransactionalId:tx"],
        ),
        row(
            ApiKey::TxnOffsetCommit,
            4,
            json!({"transactionalId": "tx", "groupId": "gg", "producerId": 9, "topics": [{"name": "tt", "partitions": [{}]}]}),
            &["WRITE TransactionalId:tx"],
            &["READ Group:gg", "READ Topic:tt", "WRITE TransactionalId:tx"],
        ),
        row(
            ApiKey::DescribeConfigs,
            4,
            json!({"resources": [{"resourceType": 2, "resourceName": "tt", "configurationKeys": null}, {"resourceType": 2, "resourceName": "qq", "configurationKeys": null}, {"resourceType": 4, "resourceName": "1", "configurationKeys": null}, {"resourceType": 4, "resourceName": "", "configurationKeys": null}, {"resourceType": 8, "resourceName": "1", "configurationKeys": null}, {"resourceType": 16, "resourceName": "s", "configurationKeys": null}, {"resourceType": 32, "resourceName": "gg", "configurationKeys": null}]}),
            &[
                "DESCRIBE_CONFIGS Cluster",
                "DESCRIBE_CONFIGS Group:gg",
                "DESCRIBE_CONFIGS Topic:qq",
                "DESCRIBE_CONFIGS Topic:tt",
            ],
            &[
                "DESCRIBE_CONFIGS Cluster",
                "DESCRIBE_CONFIGS Group:gg",
                "DESCRIBE_CONFIGS Topic:qq",
                "DESCRIBE_CONFIGS Topic:tt",
            ],
        ),
        row(
            ApiKey::AlterConfigs,
            2,
            json!({"validateOnly": true, "resources": [{"resourceType": 2, "resourceName": "tt", "configs": [{"name": "retention.ms", "value": "1000"}]}, {"resourceType": 4, "resourceName": "1", "configs": [{"name": "log.retention.ms", "value": "1000"}]}]}),
            &["ALTER_CONFIGS Cluster", "ALTER_CONFIGS Topic:tt"],
            &["ALTER_CONFIGS Cluster", "ALTER_CONFIGS Topic:tt"],
        ),
        row(
            ApiKey::IncrementalAlterConfigs,
            1,
            json!({"validateOnly": true, "resources": [{"resourceType": 2, "resourceName": "tt", "configs": [{"name": "retention.ms", "value": "1000"}]}, {"resourceType": 2, "resourceName": "qq", "configs": [{"name": "retention.ms", "value": "1000"}]}, {"resourceType": 4, "resourceName": "1", "configs": [{"name": "log.retention.ms", "value": "1000"}]}, {"resourceType": 8, "resourceName": "1", "configs": [{"name": "root", "value": "1000"}]}, {"resourceType": 32, "resourceName": "gg", "configs": [{"name": "consumer.session.timeout.ms", "value": "1000"}]}]}),
            &["ALTER_CONFIGS Cluster", "ALTER_CONFIGS Group:gg", "ALTER_CONFIGS Topic:qq", "ALTER_CONFIGS Topic:tt"],
            &["ALTER_CONFIGS Cluster", "ALTER_CONFIGS Group:gg", "ALTER_CONFIGS Topic:qq", "ALTER_CONFIGS Topic:tt"],
        ),
        row(ApiKey::DescribeLogDirs, 4, json!({"topics": null}), &["DESCRIBE Cluster"], &["DESCRIBE Cluster"]),
        row(
            ApiKey::CreatePartitions,
            3,
            json!({"topics": [{"name": "tt", "count": 2, "assignments": null}, {"name": "qq", "count": 2, "assignments": null}], "timeoutMs": 9000, "validateOnly": true}),
            &["ALTER Topic:qq", "ALTER Topic:tt"],
            &["ALTER Topic:qq", "ALTER Topic:tt"],
        ),
        row(
            ApiKey::OffsetDelete,
            0,
            json!({"groupId": "gg", "topics": [{"name": "tt", "partitions": [{}]}]}),
            &["DELETE Group:gg"],
            &["DELETE Group:gg", "READ Topic:tt"],
        ),
        row(
            ApiKey::DescribeUserScramCredentials,
            0,
            json!({"users": [{"name": "chief"}]}),
            &["DESCRIBE Cluster"],
            &["DESCRIBE Cluster"],
        ),
        row(
            ApiKey::AlterUserScramCredentials,
            0,
            json!({"deletions": [{"name": "nobody", "mechanism": 1}]}),
            &["ALTER Cluster"],
            &["ALTER Cluster"],
        ),
        row(ApiKey::DescribeCluster, 1, json!({}), &[], &[]),
        row(
            ApiKey::DescribeCluster,
            1,
            json!({"includeClusterAuthorizedOperations": true}),
            &["DESCRIBE Cluster"],
            &["DESCRIBE Cluster"],
        ),
        row(
            ApiKey::DescribeProducers,
            0,
            json!({"topics": [{"name": "tt", "partitionIndexes": [0]}]}),
            &["READ Topic:tt"],
            &["READ Topic:tt"],
        ),
        row(
            ApiKey::DescribeTransactions,
            0,
            json!({"transactionalIds": ["tx", "t2"]}),
            &["DESCRIBE TransactionalId:t2", "DESCRIBE TransactionalId:tx"],
            &["DESCRIBE TransactionalId:t2", "DESCRIBE TransactionalId:tx"],
        ),
        row(
            ApiKey::ListTransactions,
            1,
            json!({"durationFilter": -1}),
            &["DESCRIBE TransactionalId:tx"],
            &["DESCRIBE TransactionalId:tx"],
        ),
        row(
            ApiKey::DescribeTopicPartitions,
            0,
            json!({"topics": [{"name": "qq"}, {"name": "tt"}], "cursor": null}),
            &["DESCRIBE Topic:qq", "DESCRIBE Topic:tt"],
            &["DESCRIBE Topic:qq", "DESCRIBE Topic:tt"],
        ),
        row(
            ApiKey::DescribeTopicPartitions,
            0,
            json!({"topics": [], "cursor": null}),
            &[
                "DESCRIBE Topic:__consumer_offsets",
                "DESCRIBE Topic:__transaction_state",
                "DESCRIBE Topic:q2",
                "DESCRIBE Topic:tt",
            ],
            &[
                "DESCRIBE Topic:__consumer_offsets",
                "DESCRIBE Topic:__transaction_state",
                "DESCRIBE Topic:q2",
                "DESCRIBE Topic:tt",
            ],
        ),
        row(ApiKey::DeleteGroups, 2, json!({"groupsNames": ["g2"]}), &["DELETE Group:g2"], &["DELETE Group:g2"]),
        row(
            ApiKey::DeleteTopics,
            6,
            json!({"topics": [{"name": "qq"}], "timeoutMs": 9000}),
            &["(DELETE Cluster)", "DELETE Topic:qq", "DESCRIBE Topic:qq"],
            &["DELETE Cluster"],
        ),
        row(
            ApiKey::DeleteTopics,
            6,
            json!({"topics": [{"name": null, "topicId": id}], "timeoutMs": 9000}),
            &["(DELETE Cluster)", "DELETE Topic:tt", "DESCRIBE Topic:tt"],
            &["DELETE Cluster"],
        ),
    ]
}
