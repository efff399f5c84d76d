//! What Apache Kafka had to mend in who gets in and what they may, by the names under which that is known. The others of
//! that list are about what is decoded and unpacked: `empty_arrays` here, and the corpora of `fuzz/`.

use std::{fs, path::Path};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use ottla::{
    config::{self, key::Secret, sources::CommandLine, sources::Origin, users::FirstUser},
    protocol::{
        error_code::ErrorCode,
        messages::{ApiKey, MetadataRequest},
        records::builder::BatchBuilder,
    },
};
use serde_json::json;

use crate::{
    secured::Login,
    support::{TestBroker, batch, build, error, record},
};

/// A broker that lets in alice and root by their names as passwords.
async fn broker() -> TestBroker {
    let broker = TestBroker::with_settings(&[
        "listeners=SASL_PLAINTEXT://127.0.0.1:0",
        "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "connection.failed.authentication.delay.ms=0",
    ])
    .await;
    let user = |name: &str| FirstUser { name: name.to_owned(), password: Secret::new(name), origin: Origin::Override };
    broker.server().broker().add_first_users(vec![user("alice"), user("root")]).await.expect("added");
    broker
}

fn alice(mechanism: &'static str) -> Login<'static> {
    Login { mechanism, name: "alice", password: "alice" }
}

/// Whoever had authenticated could say to be somebody else in the same breath.
#[tokio::test]
async fn cve_2017_12610_nobody_acts_as_another() {
    let broker = broker().await;
    for token in [&b"root\0alice\0alice"[..], b"User:root\0alice\0alice", b"Alice\0alice\0alice", b" \0alice\0alice"] {
        let mut client = broker.client().await;
        client.handshake("PLAIN", 1).await;
        let refused = client.token(token).await;
        assert_eq!(error(refused.error_code), ErrorCode::SaslAuthenticationFailed);
        client.closed().await;
    }
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        for header in ["n,a=root,", "n,a=Alice,", "y,a=root,"] {
            let mut client = broker.client().await;
            client.handshake(mechanism, 1).await;
            let first = String::from_utf8(alice(mechanism).first()).expect("text").replace("n,,", header);
            let refused = client.token(first.as_bytes()).await;
            assert_eq!(error(refused.error_code), ErrorCode::SaslAuthenticationFailed, "{header}");
            client.closed().await;
        }
    }
}

/// A client that fetched as if it were a replica moved what counts as safe, and records were lost.
#[tokio::test]
async fn cve_2018_1288_a_client_is_no_replica() {
    let broker = TestBroker::start().await;
    let topic = broker.create_topic("tt", 1).await;
    let mut client = broker.client().await;
    assert_eq!(client.append(&topic, 0, &["a", "b"]).await, 0);
    let part = json!({"partition": 0, "fetchOffset": 1, "partitionMaxBytes": 1000});
    for replica in [0, 1, 2, i32::MAX] {
        let state = json!({"replicaId": replica, "replicaEpoch": 1});
        let by_name = json!({"topic": "tt", "partitions": [part]});
        let by_id = json!({"topicId": URL_SAFE_NO_PAD.encode(topic.id), "partitions": [part]});
        for (version, request) in [
            (4, json!({"replicaId": replica, "maxBytes": 1000, "topics": [by_name]})),
            (12, json!({"replicaId": replica, "maxBytes": 1000, "sessionEpoch": -1, "topics": [by_name]})),
            (15, json!({"replicaState": state, "maxBytes": 1000, "sessionEpoch": -1, "topics": [by_id]})),
            (18, json!({"replicaState": state, "maxBytes": 1000, "sessionEpoch": -1, "topics": [by_id]})),
        ] {
            let answer = client.ask(ApiKey::Fetch, version, &request).await;
            let partition = &answer["responses"][0]["partitions"][0];
            let expected = json!(ErrorCode::NotLeaderOrFollower.code());
            assert_eq!((&partition["errorCode"], &partition["highWatermark"]), (&expected, &json!(-1)), "{answer}");
            assert!(["", "null"].contains(&partition["records"].as_str().unwrap_or("null")), "{answer}");
        }
    }
    assert_eq!(client.append(&topic, 0, &["c"]).await, 2);
    let read = client.fetch(&topic, 0, 0).await;
    assert_eq!((read.high_watermark, read.log_start_offset), (3, 0));
}

/// Of several batches the first alone was looked at for whether it is part of a transaction.
#[tokio::test]
async fn cve_2018_17196_no_batch_of_a_transaction_hides_behind_others() {
    let broker = TestBroker::start().await;
    let topic = broker.create_topic("tt", 3).await;
    let mut client = broker.client().await;
    let plain = batch(&["x"]);
    let transactional = build(BatchBuilder::new(0).producer(0, 0, 0).transactional(), [record("x")]).bytes().clone();
    let both = |first: &Bytes, second: &Bytes| Bytes::from([&first[..], second].concat());
    let part = |index: i32, records: &Bytes| json!({"index": index, "records": STANDARD.encode(records)});
    let denied = json!(ErrorCode::TransactionalIdAuthorizationFailed.code());
    let topics = [
        json!([{"name": "tt", "partitionData": [part(0, &plain), part(1, &transactional)]}]),
        json!([{"name": "tt", "partitionData": [part(0, &plain), part(1, &plain), part(2, &transactional)]}]),
        json!([{"name": "tt", "partitionData": [part(0, &transactional), part(1, &plain)]}]),
        json!([{"name": "tt", "partitionData": [part(0, &plain)]},
            {"name": "nope", "partitionData": [part(0, &transactional)]}]),
    ];
    for topics in topics {
        let request = json!({"transactionalId": null, "acks": -1, "timeoutMs": 1000, "topicData": topics});
        for version in [3, 9, 12] {
            let answer = client.ask(ApiKey::Produce, version, &request).await;
            let responses = answer["responses"].as_array().expect("a list");
            let codes = responses.iter().flat_map(|topic| topic["partitionResponses"].as_array().expect("a list"));
            assert!(codes.map(|result| &result["errorCode"]).all(|code| *code == denied), "{answer}");
        }
    }
    // Within a partition there is one batch, whatever comes behind it.
    for records in [both(&plain, &transactional), both(&transactional, &plain)] {
        let topics = json!([{"name": "tt", "partitionData": [part(0, &records)]}]);
        let request = json!({"transactionalId": null, "acks": -1, "timeoutMs": 1000, "topicData": topics});
        let answer = client.ask(ApiKey::Produce, 9, &request).await;
        assert_ne!(answer["responses"][0]["partitionResponses"][0]["errorCode"], 0, "{answer}");
    }
    for partition in 0..3 {
        assert_eq!(client.append(&topic, partition, &["y"]).await, 0, "nothing was written to partition {partition}");
    }
}

/// How long a comparison took told how much of a secret was right. Time cannot be held in a test that runs beside others;
/// what can: whoever compares secrets does it with `subtle`, and never with `==`.
#[test]
fn cve_2021_38153_secrets_are_compared_in_constant_time() {
    let mut lines = Vec::new();
    for path in sources(Path::new("src/auth")).into_iter().chain([Path::new("src/metadata/users.rs").to_owned()]) {
        let text = fs::read_to_string(&path).expect("readable");
        let code = text.split("#[cfg(test)]").next().expect("a first part");
        lines.extend(code.lines().map(|line| (path.display().to_string(), line.trim().to_owned())));
    }
    let names = ["password", "stored_key", "server_key", "client_key", "proof", "salted", "signature"];
    let is_comparison = |line: &str| ["==", "!=", ".eq(", ".ne(", "cmp("].iter().any(|sign| line.contains(sign));
    for (path, line) in lines.iter().filter(|(_, line)| !line.starts_with("//") && is_comparison(line)) {
        let is_of_secret = names.iter().any(|name| line.contains(name)) && !line.contains("len()");
        assert!(!is_of_secret, "{path}: {line}");
    }
    let in_constant_time = lines.iter().filter(|(_, line)| line.contains(".ct_eq(")).count();
    assert!(in_constant_time >= 2, "of stored keys, and of proofs: {in_constant_time}");
}

fn sources(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).expect("readable").map(|entry| entry.expect("readable").path());
    entries
        .flat_map(|path| {
            let is_test = path.file_name().is_some_and(|name| name == "tests.rs");
            if path.is_dir() { sources(&path) } else { Vec::from_iter((!is_test).then_some(path)) }
        })
        .collect()
}

/// The nonce of the last message was not held against the one that had been agreed on, so what was recorded once could be
/// used again.
#[tokio::test]
async fn cve_2024_56128_the_nonce_is_the_one_that_was_agreed_on() {
    let broker = broker().await;
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let others: [fn(&str, &str) -> String; 8] = [
            |of_client, _| of_client.to_owned(),
            |_, of_server| of_server.to_owned(),
            |_, of_server| format!("other{of_server}"),
            |of_client, _| format!("{of_client}other"),
            |of_client, of_server| format!("{of_client}{of_server}x"),
            |of_client, of_server| format!("x{of_client}{of_server}"),
            |of_client, of_server| format!("{of_server}{of_client}"),
            |of_client, of_server| format!("{of_client}{}", of_server.to_uppercase()),
        ];
        for other in others {
            let mut client = broker.client().await;
            client.handshake(mechanism, 1).await;
            let challenge = client.token(&alice(mechanism).first()).await.auth_bytes;
            let (of_client, of_server) = Login::nonce(&challenge);
            // The proof is right for what is said.
            let (token, _) = alice(mechanism).last_with(&challenge, &other(of_client, of_server));
            let refused = client.token(&token).await;
            assert_eq!(error(refused.error_code), ErrorCode::SaslAuthenticationFailed);
            client.closed().await;
        }
        let mut client = broker.client().await;
        assert_eq!(client.authenticate(&alice(mechanism)).await.error_code, 0);
        // librdkafka before 2.6.1 says its own half twice; all of the broker's is there too.
        let mut client = broker.client().await;
        client.handshake(mechanism, 1).await;
        let challenge = client.token(&alice(mechanism).first()).await.auth_bytes;
        let (of_client, of_server) = Login::nonce(&challenge);
        let (token, _) = alice(mechanism).last_with(&challenge, &format!("{of_client}{of_client}{of_server}"));
        assert_eq!(client.token(&token).await.error_code, 0);
    }
}

/// Tokens whose signature nobody had looked at let in. Here there is no mechanism that takes any, and what is no mechanism
/// neither starts nor lets in.
#[tokio::test]
async fn cve_2026_33557_and_110985_what_is_not_known_lets_nobody_in() {
    let broker = broker().await;
    let unsigned = b"n,,\x01auth=Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290IiwiZXhwIjo5OTk5OTk5OTk5fQ.\x01\x01";
    for name in
        ["OAUTHBEARER", "GSSAPI", "ANONYMOUS", "EXTERNAL", "plain", "PLAIN ", "", "SCRAM-SHA-1", "SCRAM-SHA-256-PLUS"]
    {
        for version in [0, 1] {
            let mut client = broker.client().await;
            let refused = client.handshake(name, version).await;
            assert_eq!(error(refused.error_code), ErrorCode::UnsupportedSaslMechanism, "{name}");
            assert_eq!(refused.mechanisms.len(), 3);
            client.closed().await;
        }
    }
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let mut client = broker.client().await;
        client.handshake(mechanism, 1).await;
        assert_eq!(error(client.token(unsigned).await.error_code), ErrorCode::SaslAuthenticationFailed);
        client.closed().await;
    }
    let mut client = broker.client().await;
    assert!(!client.is_served(&MetadataRequest::default(), 12).await);
    for mechanisms in ["OAUTHBEARER", "GSSAPI", "PLAIN,OAUTHBEARER", "NOPE"] {
        let settings =
            ["listeners=SASL_PLAINTEXT://127.0.0.1:0".to_owned(), format!("sasl.enabled.mechanisms={mechanisms}")];
        let command_line = CommandLine { overrides: settings.into(), ..CommandLine::default() };
        let refused = config::load(&command_line, std::iter::empty());
        assert!(refused.is_err(), "{mechanisms}");
    }
}
