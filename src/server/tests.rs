use std::time::Duration;

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use crate::{
    config::{
        key::Secret,
        sources::{CommandLine, Origin},
        users::FirstUser,
    },
    handlers::heavy_work::HeavyWork,
    metadata::users::{ScramCredential, ScramMechanism, UserChange},
};

fn config(overrides: &[&str]) -> BrokerConfig {
    let command_line =
        CommandLine { overrides: overrides.iter().map(|text| (*text).to_owned()).collect(), ..CommandLine::default() };
    crate::config::load(&command_line, std::iter::empty()).expect("valid").0
}

fn users(names: &[&str]) -> Users {
    let mut users = Users::default();
    for name in names {
        let credential = ScramCredential::from_password(ScramMechanism::Sha256, b"a", "salt".into(), 4096);
        users.set(name, ScramMechanism::Sha256, credential);
    }
    users
}

#[test]
fn the_ready_line_names_each_listener_and_its_protocol() {
    let said = |name: &str, protocol| {
        let address = SocketAddr::from(([127, 0, 0, 1], 9092));
        Bound { name: name.to_owned(), protocol, address, advertised: "broker:9092".to_owned() }.to_string()
    };
    let plaintext = said("PLAINTEXT", SecurityProtocol::Plaintext);
    assert_eq!(plaintext, "127.0.0.1:9092 (PLAINTEXT, advertised as broker:9092)");
    let mutual = said("MUTUAL", SecurityProtocol::Ssl);
    assert_eq!(mutual, "127.0.0.1:9092 (MUTUAL: SSL, advertised as broker:9092)");
}

#[test]
fn who_must_log_in_and_cannot_is_told() {
    let said = |overrides: &[&str], names: &[&str]| nobody_can_log_in(&config(overrides).listeners, &users(names));
    let plain = [
        "listeners=PLAINTEXT://127.0.0.1:1,IN://127.0.0.1:2",
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,IN:SASL_PLAINTEXT",
        "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256",
    ];
    let expected = "no user exists: nobody can log in at IN; --users-file, OTTLA_USERS or \
                    listener.name.in.plain.sasl.jaas.config makes the first";
    assert_eq!(said(&plain, &[]).as_deref(), Some(expected));
    assert_eq!(said(&plain, &["alice"]), None);
    let scram = ["listeners=SASL_PLAINTEXT://127.0.0.1:1", "sasl.enabled.mechanisms=SCRAM-SHA-256"];
    let expected = "no user exists: nobody can log in at SASL_PLAINTEXT; --users-file or OTTLA_USERS makes the first";
    assert_eq!(said(&scram, &[]).as_deref(), Some(expected));
    assert_eq!(said(&["listeners=PLAINTEXT://127.0.0.1:1"], &[]), None);
}

/// Version 0 of ApiVersions, with a correlation id of 7 and without a client id.
const API_VERSIONS: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_with_the_longest_times_serves() {
    for idle in ["-1", "9223372036854775807"] {
        let directory = tempfile::tempdir().expect("a directory");
        let idle = format!("connections.max.idle.ms={idle}");
        let mut config = config(&[
            "listeners=PLAINTEXT://127.0.0.1:0",
            &idle,
            "connections.max.reauth.ms=9223372036854775807",
            "connection.failed.authentication.delay.ms=2147483646",
            "log.cleaner.backoff.ms=9223372036854775807",
            "log.retention.check.interval.ms=9223372036854775807",
            "ottla.handshake.timeout.ms=2147483647",
            "ottla.request.header.timeout.ms=2147483647",
            "ottla.request.timeout.ms=2147483647",
            "ottla.response.timeout.ms=2147483647",
            "ottla.transfer.rate.min=1",
        ]);
        config.data_dir = directory.path().to_owned();
        let server = Server::start(config).await.expect("it starts");
        let mut client = TcpStream::connect(server.listeners()[0].address).await.expect("connected");
        client.write_all(&API_VERSIONS).await.expect("sent");
        let mut answer = [0; 10];
        client.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(answer[4..], [0, 0, 0, 7, 0, 0], "the correlation id and no error");
        server.stop().await.expect("it stops");
    }
}

fn first_user(name: &str, password: &str) -> FirstUser {
    FirstUser { name: name.to_owned(), password: Secret::new(password), origin: Origin::Override }
}

/// What is said of these users.
async fn said_of(broker: &Arc<Broker>, users: Vec<FirstUser>, shutdown: &Shutdown) -> Vec<String> {
    let mut said = Vec::new();
    let room = HeavyWork::of_passwords();
    first_users::compare(Arc::clone(broker), users, room, shutdown.clone(), |text| said.push(text)).await;
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_another_password_than_the_settings_say_is_named_while_the_broker_serves() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = config(&["listeners=PLAINTEXT://127.0.0.1:0"]);
    config.data_dir = directory.path().to_owned();
    let names: Vec<String> = (0..22).map(|n| format!("user{n}")).collect();
    config.first_users = names.iter().map(|name| first_user(name, "kept")).collect();
    let server = Server::start(config).await.expect("it starts");
    let (broker, shutdown) = (Arc::clone(server.broker()), Shutdown::default());
    let users = |password: &str| names.iter().map(|name| first_user(name, password)).collect::<Vec<_>>();
    let known = broker.add_first_users([users("changed"), vec![first_user("new", "kept")]].concat()).await;
    assert_eq!(known.expect("added"), users("changed"));
    let same = vec![first_user("user0", "kept"), first_user("new", "kept"), first_user("deleted", "kept")];
    assert_eq!(said_of(&broker, same, &shutdown).await, [""; 0]);
    let said = said_of(&broker, users("changed"), &shutdown).await;
    assert_eq!(said.len(), 21);
    assert!(said[0].starts_with("user \"user0\" keeps the password that was set since"), "{}", said[0]);
    assert_eq!(said[20], "2 more users keep a password that was set since, not that of the settings");
    shutdown.begin();
    assert_eq!(said_of(&broker, users("changed"), &shutdown).await, [""; 0]);
    server.stop().await.expect("it stops");
}

/// Hashed as often as this one says, a password would take minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_that_exist_cost_a_start_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = config(&["listeners=PLAINTEXT://127.0.0.1:0"]);
    config.data_dir = directory.path().to_owned();
    let server = Server::start(config).await.expect("it starts");
    let key = Bytes::from_static(&[1; 32]);
    let credential =
        ScramCredential { salt: "salt".into(), stored_key: key.clone(), server_key: key, iterations: 200_000_000 };
    let change = UserChange { user: "a".to_owned(), mechanism: ScramMechanism::Sha256, credential: Some(credential) };
    server.broker().alter_users(vec![change]).await.expect("altered");
    let adding = server.broker().add_first_users(vec![first_user("a", "b")]);
    let known = tokio::time::timeout(Duration::from_secs(10), adding).await.expect("at once").expect("added");
    assert_eq!(known.len(), 1);
    server.stop().await.expect("it stops");
}
