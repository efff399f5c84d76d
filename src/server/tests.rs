use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use crate::config::sources::CommandLine;

fn config(overrides: &[&str]) -> BrokerConfig {
    let command_line =
        CommandLine { overrides: overrides.iter().map(|text| (*text).to_owned()).collect(), ..CommandLine::default() };
    crate::config::load(&command_line, std::iter::empty()).expect("valid").0
}

fn users(names: &[&str]) -> Users {
    use crate::metadata::users::{ScramCredential, ScramMechanism};

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
