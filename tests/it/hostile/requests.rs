//! Requests that are well-formed, and ask for what cannot be.

use base64::{Engine, engine::general_purpose::STANDARD};
use ottla::protocol::messages::{ApiKey, MetadataRequest, ProduceRequest};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{Ends, Scene, framed, request, row};
use crate::{
    interpreted::request_body,
    support::{TestTopic, batch, header_bytes, produce_request, request_frame_of},
};

/// Holds what is expected within an answer: of objects the fields that are named, all of anything else.
fn holds(given: &Json, expected: &Json) -> bool {
    match (given, expected) {
        (Json::Object(given), Json::Object(expected)) => {
            expected.iter().all(|(name, expected)| given.get(name).is_some_and(|given| holds(given, expected)))
        }
        (Json::Array(given), Json::Array(expected)) => {
            given.len() == expected.len() && given.iter().zip(expected).all(|(given, expected)| holds(given, expected))
        }
        _ => given == expected,
    }
}

fn produce(topics: &Json) -> Json {
    json!({"transactionalId": null, "acks": -1, "timeoutMs": 1000, "topicData": topics})
}

/// A topic's name, and with which error and what words it is not created.
fn bad_names() -> Vec<(String, String)> {
    let characters = |name: &str| {
        format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
    };
    let mut names = vec![
        (String::new(), "the empty string is not allowed".to_owned()),
        (".".to_owned(), "'.' is not allowed".to_owned()),
        ("..".to_owned(), "'..' is not allowed".to_owned()),
        ("x".repeat(250), format!("the length of '{}' is longer than the max allowed length 249", "x".repeat(250))),
    ];
    for name in ["a/b", "../a", "a\\b", "ä", " ", "a b", "a:b", "a*"] {
        names.push((name.to_owned(), characters(name)));
    }
    names
}

#[tokio::test]
async fn names_that_are_none() {
    let mut scene = Scene::new().await;
    let mut client = scene.broker.client().await;
    let records = STANDARD.encode(batch(&["a"]));
    let names = bad_names();
    assert_eq!(names.len(), 12);
    for (name, why) in names {
        let new = json!({"topics": [{"name": name, "numPartitions": 1, "replicationFactor": 1}], "timeoutMs": 1000});
        let created = client.ask(ApiKey::CreateTopics, 7, &new).await;
        let message = format!("Topic name is invalid: {why}");
        let expected = json!({"topics": [{"name": name, "errorCode": 17}]});
        assert!(holds(&created, &expected), "{created}");
        assert_eq!(created["topics"][0]["errorMessage"].as_str(), Some(&*message));
        let wanted = json!({"topics": [{"name": name}], "allowAutoTopicCreation": true});
        let described = client.ask(ApiKey::Metadata, 9, &wanted).await;
        assert!(
            holds(&described, &json!({"topics": [{"name": name, "errorCode": 17, "partitions": []}]})),
            "{described}"
        );
        let written = produce(&json!([{"name": name, "partitionData": [{"index": 0, "records": records}]}]));
        let produced = client.ask(ApiKey::Produce, 9, &written).await;
        let expected = json!({"responses": [{"name": name, "partitionResponses": [{"errorCode": 3}]}]});
        assert!(holds(&produced, &expected), "{produced}");
        scene.is_served(&name).await;
    }
    // What would not stay on a line is written as a program would write it.
    for (name, shown) in
        [("a\u{0}b", "a\\u{0}b"), ("a\nb", "a\\nb"), ("\u{7f}", "\\u{7f}"), ("\u{1b}[2J", "\\u{1b}[2J")]
    {
        let new = json!({"topics": [{"name": name, "numPartitions": 1, "replicationFactor": 1}], "timeoutMs": 1000});
        let created = client.ask(ApiKey::CreateTopics, 7, &new).await;
        assert!(holds(&created, &json!({"topics": [{"errorCode": 17}]})), "{created}");
        let message = created["topics"][0]["errorMessage"].as_str().expect("words");
        assert!(message.starts_with(&format!("Topic name is invalid: '{shown}'")), "{message}");
    }
    let all = client.ask(ApiKey::Metadata, 9, &json!({"topics": null})).await;
    assert_eq!(all["topics"], json!([]));
}

#[tokio::test]
async fn names_that_collide_or_fill_a_directory() {
    let scene = Scene::new().await;
    let mut client = scene.broker.client().await;
    let longest = "x".repeat(249);
    for name in ["t_2", &longest] {
        client.create_topic(name, 1, &[]).await;
    }
    let new = json!({"topics": [{"name": "t.2", "numPartitions": 1, "replicationFactor": 1}], "timeoutMs": 1000});
    let expected = json!({"topics":
        [{"name": "t.2", "errorCode": 17, "errorMessage": "Topic 't.2' collides with existing topic: t_2"}]});
    let refused = client.ask(ApiKey::CreateTopics, 7, &new).await;
    assert!(holds(&refused, &expected), "{refused}");
    assert!(scene.broker.path().join(format!("{longest}-0")).is_dir());
    let deletion = json!({"topicNames": [longest], "timeoutMs": 1000});
    assert!(holds(&client.ask(ApiKey::DeleteTopics, 5, &deletion).await, &json!({"responses": [{"errorCode": 0}]})));
    let broker = scene.broker.restarted().await;
    let entries = std::fs::read_dir(broker.path()).expect("readable");
    let names = entries.map(|entry| entry.expect("readable").file_name().into_string().expect("text"));
    // The directory is cut to what the file system takes, and goes after `file.delete.delay.ms`.
    let left: Vec<_> = names.filter(|name| name.starts_with('x')).collect();
    assert!(left.iter().all(|name| name.ends_with("-delete") && name.len() <= 255), "{left:?}");
    let all = broker.client().await.ask(ApiKey::Metadata, 9, &json!({"topics": null})).await;
    assert!(holds(&all, &json!({"topics": [{"name": "t_2"}]})), "{all}");
}

/// Whoever names itself as Kafka's tools do may write to the groups' own topic there.
#[tokio::test]
async fn the_topics_of_coordinators_are_nobodys_to_write_to() {
    let mut scene = Scene::new().await;
    let mut client = scene.broker.client().await;
    for kind in [0, 1] {
        client.ask(ApiKey::FindCoordinator, 4, &json!({"keyType": kind, "coordinatorKeys": ["a"]})).await;
    }
    for name in ["__consumer_offsets", "__transaction_state"] {
        let id = client.ask(ApiKey::Metadata, 12, &json!({"topics": [{"name": name}]})).await["topics"][0]["topicId"]
            .clone();
        let part = json!([{"index": 0, "records": STANDARD.encode(batch(&["a"]))}]);
        let named = produce(&json!([{"name": name, "partitionData": part}]));
        let expected = json!({"responses": [{"partitionResponses": [{"errorCode": 17, "baseOffset": -1}]}]});
        for (version, request) in [(9, named), (13, produce(&json!([{"topicId": id, "partitionData": part}])))] {
            let given = client.ask(ApiKey::Produce, version, &request).await;
            assert!(holds(&given, &expected), "{given}");
        }
        let topic = TestTopic { name: name.to_owned(), id: Uuid::nil() };
        let request = produce_request(&topic, vec![(0, Some(batch(&["a"])))]);
        for client_id in ["__admin_client", "admin", ""] {
            let mut client = scene.broker.client().await;
            client.send_bytes(&request_frame_of(client_id, &request, 9, 5)).await;
            let response = client.receive::<ProduceRequest>(5, 9).await;
            assert_eq!(response.responses[0].partition_responses[0].error_code, 17, "{client_id}");
        }
        scene.is_served(name).await;
    }
}

#[tokio::test]
async fn records_that_are_none_and_partitions_that_come_twice() {
    let mut scene = Scene::new().await;
    let mut client = scene.broker.client().await;
    let topic = client.create_topic("tt", 2, &[]).await;
    let records = STANDARD.encode(batch(&["a"]));
    let part = |index: i32, records: Json| json!({"index": index, "records": records});
    let named = |parts: Json| json!({"name": "tt", "partitionData": parts});
    let result = |codes: &[i16]| codes.iter().map(|code| json!({"errorCode": code})).collect::<Vec<_>>();
    let one = || part(0, json!(records));
    let twice = json!([named(json!([one(), part(1, json!(records)), one()]))]);
    let topic_twice = json!([named(json!([one()])), named(json!([one()]))]);
    let rows = [
        ("null records", json!([named(json!([part(0, json!(null))]))]), vec![result(&[87])]),
        ("empty records", json!([named(json!([part(0, json!(""))]))]), vec![result(&[87])]),
        ("a partition twice", twice, vec![result(&[42, 0, 42])]),
        ("a topic twice", topic_twice, vec![result(&[42]), result(&[42])]),
        ("no partitions", json!([named(json!([]))]), vec![result(&[])]),
        ("no topics", json!([]), vec![]),
        ("a partition that there is not", json!([named(json!([part(7, json!(records))]))]), vec![result(&[3])]),
        ("partition -1", json!([named(json!([part(-1, json!(records))]))]), vec![result(&[3])]),
        ("the greatest partition", json!([named(json!([part(i32::MAX, json!(records))]))]), vec![result(&[3])]),
    ];
    for (name, topics, expected) in rows {
        for version in [3, 9, 12] {
            let given = client.ask(ApiKey::Produce, version, &produce(&topics)).await;
            let expected: Vec<_> =
                expected.iter().map(|results| json!({"name": "tt", "partitionResponses": results})).collect();
            assert!(holds(&given, &json!({"responses": expected})), "{name} in version {version}: {given}");
        }
        scene.is_served(name).await;
    }
    assert_eq!(client.append(&topic, 0, &["b"]).await, 0, "nothing was written");
    for acks in [2, 7, -2, i16::MIN] {
        let mut request = produce(&json!([named(json!([one()]))]));
        request["acks"] = json!(acks);
        let given = client.ask(ApiKey::Produce, 9, &request).await;
        assert!(holds(&given, &json!({"responses": [{"partitionResponses": [{"errorCode": 21}]}]})), "{given}");
    }
}

/// An error of who wants no answers ends the connection.
#[tokio::test]
async fn errors_without_acknowledgement_end_the_connection() {
    let records = STANDARD.encode(batch(&["a"]));
    let without = |topics: Json| {
        let mut request = produce(&topics);
        request["acks"] = json!(0);
        framed(&[&header_bytes(ApiKey::Produce, 9, 1)[..], &request_body(ApiKey::Produce, 9, &request)].concat())
    };
    let part = |index: i32, records: Json| json!([{"index": index, "records": records}]);
    let rows = vec![
        row("an unknown topic", without(json!([{"name": "nope", "partitionData": part(0, json!(records))}])), Ends),
        row("no records", without(json!([{"name": "tt", "partitionData": part(0, json!(null))}])), Ends),
        row("an unknown partition", without(json!([{"name": "tt", "partitionData": part(7, json!(records))}])), Ends),
    ];
    let mut scene = Scene::new().await;
    let topic = scene.broker.create_topic("tt", 1).await;
    assert_eq!(scene.plays(rows).await, 3);
    let mut client = scene.broker.client().await;
    client.send_bytes(&without(json!([{"name": "tt", "partitionData": part(0, json!(records))}]))).await;
    client.call(&MetadataRequest::default(), 12).await;
    assert_eq!(client.append(&topic, 0, &["b"]).await, 1);
}

/// Small requests with large answers, from clients that take none of them.
#[tokio::test]
async fn answers_that_nobody_takes_hold_up_nobody() {
    let mut scene = Scene::new().await;
    let topics: Vec<_> = (0..3000).map(|number| json!({"name": format!("z{number}")})).collect();
    let question = json!({"topics": topics, "cursor": null});
    let mut client = scene.broker.client().await;
    let answer = client.ask(ApiKey::DescribeTopicPartitions, 0, &question).await;
    assert_eq!(answer["topics"].as_array().map(Vec::len), Some(3000));
    let frame =
        request(ApiKey::DescribeTopicPartitions, 0, &request_body(ApiKey::DescribeTopicPartitions, 0, &question));
    let mut silent = Vec::new();
    for _ in 0..20 {
        let mut client = scene.broker.client().await;
        client.send_bytes(&frame).await;
        client.send_bytes(&frame).await;
        silent.push(client);
        scene.is_served("answers that nobody takes").await;
    }
    drop((silent, client));
    scene.is_alone().await;
}
