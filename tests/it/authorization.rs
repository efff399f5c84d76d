//! What somebody is answered who may do nothing: at every API, of what there is and of what there is not. The answers are
//! those of Apache Kafka 4.4.0 with its `StandardAuthorizer` and no access control entries; docs/compatibility.md names
//! those that are not.

mod asked;
mod cases;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ottla::{
    config::{key::Secret, sources::Origin, users::FirstUser},
    handlers::api::SUPPORTED,
    protocol::{messages::ApiKey, records::builder::BatchBuilder},
};
use serde_json::{Value as Json, json};

use self::cases::{Case, NOT_TOLD, TOPIC_DENIED, cases, encoded};
use crate::{
    interpreted::{request_body, request_naming, whole_answer},
    secured::Login,
    support::{RawClient, TestBroker, TestTopic, batch, build, header_bytes, record},
};

/// A broker with the topic `tt`, the group `gg`, the transactional id `tx`, the super user `root`, and `alice`.
struct World {
    broker: TestBroker,
    topic: TestTopic,
}

impl World {
    async fn new() -> Self {
        let broker = TestBroker::with_settings(&[
            "listeners=SASL_PLAINTEXT://127.0.0.1:0",
            "sasl.enabled.mechanisms=PLAIN",
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users=User:root",
        ])
        .await;
        let user =
            |name: &str| FirstUser { name: name.to_owned(), password: Secret::new(name), origin: Origin::Override };
        broker.server().broker().add_first_users(vec![user("root"), user("alice")]).await.expect("added");
        let mut root = client(&broker, "root").await;
        let topic = root.create_topic("tt", 1, &[("retention.ms", "1000000")]).await;
        root.append(&topic, 0, &["a", "b"]).await;
        let committed = json!({"groupId": "gg", "generationIdOrMemberEpoch": -1, "topics": [
            {"name": "tt", "partitions": [{"partitionIndex": 0, "committedOffset": 1, "committedMetadata": ""}]}]});
        root.ask(ApiKey::FindCoordinator, 4, &json!({"coordinatorKeys": ["gg"]})).await;
        root.ask(ApiKey::OffsetCommit, 8, &committed).await;
        root.ask(ApiKey::FindCoordinator, 4, &json!({"keyType": 1, "coordinatorKeys": ["tx"]})).await;
        let init =
            json!({"transactionalId": "tx", "transactionTimeoutMs": 60_000, "producerId": -1, "producerEpoch": -1});
        assert_eq!(root.ask(ApiKey::InitProducerId, 4, &init).await["errorCode"], 0);
        Self { broker, topic }
    }

    async fn root(&self) -> RawClient {
        client(&self.broker, "root").await
    }

    async fn alice(&self) -> RawClient {
        client(&self.broker, "alice").await
    }

    /// The topic's id as JSON has it.
    fn id(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.topic.id)
    }
}

async fn client(broker: &TestBroker, name: &str) -> RawClient {
    let mut client = broker.client().await;
    let login = Login { mechanism: "PLAIN", name, password: name };
    assert_eq!(client.authenticate(&login).await.error_code, 0);
    client
}

/// All that requests could have changed, as the super user sees it.
async fn state(root: &mut RawClient) -> Vec<Json> {
    let none = || json!({});
    let questions = [
        (ApiKey::Metadata, 12, json!({"topics": null, "includeTopicAuthorizedOperations": true})),
        (ApiKey::ListOffsets, 7, json!({"topics": [{"name": "tt", "partitions": [{"timestamp": -1}]}]})),
        (ApiKey::ListOffsets, 7, json!({"topics": [{"name": "tt", "partitions": [{"timestamp": -2}]}]})),
        (ApiKey::ListGroups, 4, none()),
        (ApiKey::DescribeGroups, 5, json!({"groups": ["gg"], "includeAuthorizedOperations": true})),
        (ApiKey::OffsetFetch, 8, json!({"groups": [{"groupId": "gg", "topics": null}]})),
        (ApiKey::ListTransactions, 1, json!({"durationFilter": -1})),
        (ApiKey::DescribeTransactions, 0, json!({"transactionalIds": ["tx"]})),
        (ApiKey::DescribeProducers, 0, json!({"topics": [{"name": "tt", "partitionIndexes": [0]}]})),
        (ApiKey::DescribeUserScramCredentials, 0, json!({"users": null})),
        (
            ApiKey::DescribeConfigs,
            4,
            json!({"resources": [{"resourceType": 2, "resourceName": "tt", "configurationKeys": null},
                {"resourceType": 4, "resourceName": "", "configurationKeys": null},
                {"resourceType": 8, "resourceName": "1", "configurationKeys": null}]}),
        ),
    ];
    let mut answers = Vec::new();
    for (key, version, question) in questions {
        answers.push(root.ask(key, version, &question).await);
    }
    answers
}

/// What is told of the cluster to everybody, taken out of an answer.
fn take_cluster(answer: &mut Json) -> Option<Json> {
    let answer = answer.as_object_mut()?;
    let cluster = ["brokers", "clusterId", "controllerId"].map(|name| answer.remove(name));
    Some(json!(cluster))
}

#[tokio::test]
async fn who_may_do_nothing_does_nothing_and_learns_nothing() {
    let world = World::new().await;
    let mut root = world.root().await;
    let before = state(&mut root).await;
    let cases = cases(&world);
    for api in SUPPORTED {
        assert!(cases.iter().any(|case| case.key == api.key), "{} has no case", api.key.name());
    }
    let mut failures = Vec::new();
    for Case { key, version, request, answer } in &cases {
        let mut alice = world.alice().await;
        let Some(expected) = answer else {
            let body = request_body(*key, *version, request);
            alice.send_frame(&[&header_bytes(*key, *version, 1)[..], &body].concat()).await;
            alice.closed().await;
            continue;
        };
        let mut given = alice.ask(*key, *version, request).await;
        let mut expected = whole_answer(*key, *version, expected);
        if matches!(key, ApiKey::Metadata | ApiKey::DescribeCluster) {
            let question = if *key == ApiKey::Metadata { json!({"topics": []}) } else { json!({}) };
            let mut seen_by_root = root.ask(*key, *version, &question).await;
            assert_eq!(take_cluster(&mut given), take_cluster(&mut seen_by_root), "{}", key.name());
            take_cluster(&mut expected);
        }
        if given != expected {
            failures.push(format!("{} v{version} {request}\n  expected {expected}\n  given    {given}", key.name()));
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
    for (before, after) in before.iter().zip(state(&mut root).await) {
        assert_eq!(*before, after);
    }
}

/// Every version of every API is asked for what there is and for what there is not, under the same name but for its letters,
/// and answers both alike.
#[tokio::test]
async fn names_cannot_be_probed() {
    let world = World::new().await;
    let mut root = world.root().await;
    let mut alice = world.alice().await;
    let before = state(&mut root).await;
    let records = encoded(&batch(&["x"]));
    let transactional = encoded(build(BatchBuilder::new(0).producer(0, 0, 0).transactional(), [record("x")]).bytes());
    let mut asked = 0;
    for api in SUPPORTED {
        for version in api.lowest..=api.highest {
            // A topic, a group, a transactional id and a user, each as what it is where that is said.
            for (name, other, resource, key_type) in
                [("tt", "qq", 2, 0), ("gg", "qq", 32, 0), ("tx", "qq", 16, 1), ("root", "qqqq", 4, 2)]
            {
                for records in [&records, &transactional] {
                    if api.key != ApiKey::Produce && records == &transactional {
                        continue;
                    }
                    let given = json!({"records": records, "acks": -1, "sessionEpoch": -1, "cursor": null,
                        "resourceType": resource, "keyType": key_type});
                    let given = given.as_object().expect("an object");
                    let mut answers = Vec::new();
                    for name in [name, other] {
                        let request = request_naming(api.key, version, name, given);
                        answers.push(alice.try_ask(api.key, version, &request).await);
                        if answers.last().is_some_and(Option::is_none) {
                            alice = world.alice().await;
                        }
                    }
                    let text = |answer: &Option<Json>| answer.as_ref().map(ToString::to_string);
                    let expected = text(&answers[1]).map(|text| text.replace(other, name));
                    assert_eq!(text(&answers[0]), expected, "{} v{version} of {name}", api.key.name());
                    asked += 2;
                }
            }
        }
    }
    assert!(asked > 1000, "{asked}");
    for (before, after) in before.iter().zip(state(&mut root).await) {
        assert_eq!(*before, after);
    }
}

/// The bits of the super user, and those of nobody.
#[tokio::test]
async fn bits_say_what_may_be_done() {
    let world = World::new().await;
    let (mut root, mut alice) = (world.root().await, world.alice().await);
    let cluster = json!({"topics": [], "includeClusterAuthorizedOperations": true});
    let topics = json!({"topics": [{"name": "tt"}], "includeTopicAuthorizedOperations": true});
    let groups = json!({"groups": ["gg"], "includeAuthorizedOperations": true});
    assert_eq!(root.ask(ApiKey::Metadata, 10, &cluster).await["clusterAuthorizedOperations"], 8096);
    assert_eq!(alice.ask(ApiKey::Metadata, 10, &cluster).await["clusterAuthorizedOperations"], 0);
    let bits = |answer: &Json| answer["topics"][0]["topicAuthorizedOperations"].clone();
    assert_eq!(bits(&root.ask(ApiKey::Metadata, 12, &topics).await), 3576);
    assert_eq!(bits(&alice.ask(ApiKey::Metadata, 12, &topics).await), NOT_TOLD);
    let bits = |answer: &Json| answer["groups"][0]["authorizedOperations"].clone();
    assert_eq!(bits(&root.ask(ApiKey::DescribeGroups, 5, &groups).await), 3400);
    assert_eq!(bits(&alice.ask(ApiKey::DescribeGroups, 5, &groups).await), NOT_TOLD);
}

/// A session that names what may not be read is one all the same, as in Kafka, and goes on to refuse it.
#[tokio::test]
async fn a_fetch_session_refuses_each_time() {
    let world = World::new().await;
    let mut alice = world.alice().await;
    let topics = json!([{"topicId": world.id(), "partitions": [{"partition": 0, "partitionMaxBytes": 1000}]}]);
    let opened = alice.ask(ApiKey::Fetch, 16, &json!({"maxBytes": 1000, "sessionEpoch": 0, "topics": topics})).await;
    let refused = |answer: &Json| answer["responses"][0]["partitions"][0]["errorCode"].clone();
    assert_eq!((opened["errorCode"].clone(), refused(&opened)), (json!(0), json!(TOPIC_DENIED)));
    let session = &opened["sessionId"];
    assert_ne!(*session, 0);
    let again = alice.ask(ApiKey::Fetch, 16, &json!({"maxBytes": 1000, "sessionId": session, "sessionEpoch": 1})).await;
    assert_eq!((again["errorCode"].clone(), refused(&again)), (json!(0), json!(TOPIC_DENIED)));
    // Nor does the super user's session serve somebody else.
    let opened = world
        .root()
        .await
        .ask(ApiKey::Fetch, 16, &json!({"maxBytes": 1000, "sessionEpoch": 0, "topics": topics}))
        .await;
    assert_eq!(refused(&opened), 0);
    let stolen = json!({"maxBytes": 1000, "sessionId": opened["sessionId"], "sessionEpoch": 1});
    assert_eq!(refused(&alice.ask(ApiKey::Fetch, 16, &stolen).await), TOPIC_DENIED);
}
