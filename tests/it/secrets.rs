//! Secrets that were planted, and looked for in all that a broker says and writes while it is used.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use ottla::protocol::messages::{
    AlterUserScramCredentialsRequest, ApiKey, alter_user_scram_credentials_request::ScramCredentialUpsertion,
};
use serde_json::json;

use crate::{
    secured::Login,
    support::{BrokerProcess, RawClient},
};

/// A password of `--users-file`, one of a line of JAAS, one that is wrong, and one salted as clients do it.
const PLANTED: [&str; 4] =
    ["planted-in-a-file", "planted-in-jaas", "planted-as-a-guess", "planted-and-salted-by-a-client-00"];

fn settings(directory: &Path) -> (String, String) {
    let (users, config) = (directory.join("users"), directory.join("server.properties"));
    fs::write(&users, format!("alice:{}\n", PLANTED[0])).expect("written");
    fs::set_permissions(&users, fs::Permissions::from_mode(0o600)).expect("private");
    let module = "org.apache.kafka.common.security.plain.PlainLoginModule";
    let line = format!("{module} required user_bob=\"{}\";", PLANTED[1]);
    fs::write(&config, format!("listener.name.sasl_plaintext.plain.sasl.jaas.config={line}\n")).expect("written");
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    (text(&users), text(&config))
}

/// Logs in by each way, rightly and wrongly.
async fn log_in(broker: &BrokerProcess) {
    let address = broker.addresses()[1];
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        for (name, password) in [("alice", PLANTED[0]), ("bob", PLANTED[1])] {
            let login = Login { mechanism, name, password };
            let mut client = RawClient::connect(address).await;
            assert_eq!(client.authenticate(&login).await.error_code, 0);
            RawClient::connect(address).await.authenticate_raw(&login).await;
        }
        let guess = Login { mechanism, name: "alice", password: PLANTED[2] };
        assert_eq!(RawClient::connect(address).await.authenticate(&guess).await.error_code, 58);
    }
    // A token that is none.
    let mut client = RawClient::connect(address).await;
    client.handshake("PLAIN", 1).await;
    client.token(PLANTED[2].as_bytes()).await;
}

/// Changes a user, and asks for all that there is to tell.
async fn administer(client: &mut RawClient) -> String {
    let upsertion = ScramCredentialUpsertion {
        name: "carol".into(),
        mechanism: 1,
        iterations: 4096,
        salt: Bytes::from_static(b"salt"),
        salted_password: Bytes::from_static(PLANTED[3].as_bytes()),
        ..ScramCredentialUpsertion::default()
    };
    let request = AlterUserScramCredentialsRequest { upsertions: vec![upsertion], ..Default::default() };
    assert_eq!(client.call(&request, 0).await.results[0].error_code, 0);
    let everything = json!({"resources": [{"resourceType": 4, "resourceName": "1", "configurationKeys": null}],
        "includeSynonyms": true, "includeDocumentation": true});
    let described = client.ask(ApiKey::DescribeConfigs, 4, &everything).await;
    assert_eq!(described["results"][0]["errorCode"], 0);
    let users = client.ask(ApiKey::DescribeUserScramCredentials, 0, &json!({"users": null})).await;
    assert_eq!(users["results"].as_array().map(Vec::len), Some(3));
    format!("{described}{users}")
}

/// The bytes of every file.
fn files(directory: &Path) -> Vec<u8> {
    let entries = fs::read_dir(directory).expect("readable").map(|entry| entry.expect("readable").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { fs::read(&path).expect("readable") }).collect()
}

#[tokio::test]
async fn no_secret_is_said_or_written() {
    let (directory, elsewhere) =
        (tempfile::TempDir::new().expect("a directory"), tempfile::TempDir::new().expect("another"));
    let (users, config) = settings(elsewhere.path());
    let args = ["--listen", "SASL_PLAINTEXT://127.0.0.1:0", "--users-file", &users, "--config", &config];
    let broker = BrokerProcess::start_with(directory.path(), &args);
    let mut client = RawClient::connect(broker.address()).await;
    let all = json!({"resources": [{"resourceType": 8, "resourceName": "1", "configs": [{"name": "root", "value": "TRACE"}]}]});
    let altered = client.ask(ApiKey::IncrementalAlterConfigs, 1, &all).await;
    assert_eq!(altered["responses"][0]["errorCode"], 0, "{altered}");
    log_in(&broker).await;
    let answered = administer(&mut client).await;
    drop(client);
    broker.terminate();
    let (code, said) = broker.wait();
    assert_eq!(code, Some(0));
    let written = files(directory.path());
    let written = String::from_utf8_lossy(&written);
    assert!(written.contains("alice"), "users are in the data directory");
    assert!(said.contains("DEBUG") && said.contains("alice"), "the log has what is looked through: {said}");
    for planted in PLANTED {
        for secret in [planted.to_owned(), STANDARD.encode(planted)] {
            assert_eq!(said.lines().find(|line| line.contains(&secret)), None);
            assert!(!answered.contains(&secret), "{secret} is in an answer");
            assert!(!written.contains(&secret), "{secret} is in the data directory");
        }
    }
}
