//! SASL: who gets in by which words, and what everybody else is told.

use std::time::{Duration, Instant};

use ottla::{
    config::{key::Secret, sources::Origin, users::FirstUser},
    network::CloseKind,
    protocol::{
        error_code::ErrorCode,
        messages::{
            ApiKey, ApiVersionsRequest, DescribeLogDirsRequest, MetadataRequest, SaslAuthenticateRequest,
            SaslHandshakeRequest,
        },
    },
};

use crate::{
    secured::{Authority, Login, token_request},
    support::{TestBroker, error, header_bytes, request_frame, within},
};

const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
const ALL: &str = "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512";

fn metadata() -> MetadataRequest {
    MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() }
}

fn versions() -> ApiVersionsRequest {
    ApiVersionsRequest {
        client_software_name: "test".into(),
        client_software_version: "1".into(),
        ..ApiVersionsRequest::default()
    }
}

fn alice(mechanism: &'static str) -> Login<'static> {
    Login { mechanism, name: "alice", password: "open sesame" }
}

/// A broker with one listener that wants SASL, and the user alice.
async fn broker(more: &[&str]) -> TestBroker {
    let settings = [&["listeners=SASL_PLAINTEXT://127.0.0.1:0", ALL], more].concat();
    let broker = TestBroker::with_settings(&settings).await;
    add_alice(&broker).await;
    broker
}

async fn add_alice(broker: &TestBroker) {
    let user = |name: &str, password: &str| FirstUser {
        name: name.to_owned(),
        password: Secret::new(password),
        origin: Origin::Override,
    };
    let users = vec![user("alice", "open sesame"), user("bob", "shut sesame"), user("a,b=c", "commas")];
    broker.server().broker().add_first_users(users).await.expect("added");
}

#[tokio::test]
async fn a_password_lets_in_by_every_mechanism_and_framing() {
    let broker = broker(&[]).await;
    for mechanism in MECHANISMS {
        let mut client = broker.client().await;
        assert_eq!(client.call(&versions(), 3).await.error_code, 0);
        let done = client.authenticate(&alice(mechanism)).await;
        assert_eq!((done.error_code, done.error_message.as_deref(), done.session_lifetime_ms), (0, Some(""), 0));
        assert_eq!(client.call(&metadata(), 12).await.brokers.len(), 1);
        let mut client = broker.client().await;
        client.authenticate_raw(&alice(mechanism)).await;
        assert_eq!(client.call(&metadata(), 12).await.brokers.len(), 1);
    }
    let odd = Login { mechanism: "SCRAM-SHA-512", name: "a,b=c", password: "commas" };
    assert_eq!(broker.client().await.authenticate(&odd).await.error_code, 0);
}

#[tokio::test]
async fn sasl_within_tls_takes_both() {
    let authority = Authority::new();
    let settings = [authority.settings(), vec!["listeners=SASL_SSL://127.0.0.1:0".to_owned(), ALL.to_owned()]].concat();
    let broker = TestBroker::with_settings(&settings.iter().map(String::as_str).collect::<Vec<_>>()).await;
    add_alice(&broker).await;
    let mut client = authority.trusting().connect(broker.address()).await;
    assert_eq!(client.authenticate(&alice("SCRAM-SHA-512")).await.error_code, 0);
    assert_eq!(client.call(&metadata(), 12).await.brokers.len(), 1);
    let mut client = authority.trusting().connect(broker.address()).await;
    client.send(&metadata(), 12).await;
    client.closed().await;
}

#[tokio::test]
async fn who_does_not_know_the_password_learns_nothing() {
    let broker = broker(&["connection.failed.authentication.delay.ms=0"]).await;
    for mechanism in MECHANISMS {
        let mut answers = Vec::new();
        for (name, password) in [("alice", "wrong"), ("nobody", "wrong"), ("nobody", "open sesame")] {
            let mut client = broker.client().await;
            let login = Login { mechanism, name, password };
            let refused = client.authenticate(&login).await;
            assert_eq!(error(refused.error_code), ErrorCode::SaslAuthenticationFailed);
            client.closed().await;
            answers.push(refused);
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0], answers[2]);
        assert!(answers[0].auth_bytes.is_empty());
    }
}

/// Salt and iterations of a user that does not exist are the same each time, as those of one that does.
#[tokio::test]
async fn a_user_that_does_not_exist_has_a_salt_that_stays() {
    let mut broker = broker(&[]).await;
    let challenge = async |broker: &TestBroker, name: &str| {
        let mut client = broker.client().await;
        client.handshake("SCRAM-SHA-256", 1).await;
        let login = Login { mechanism: "SCRAM-SHA-256", name, password: "" };
        let answer = client.token(&login.first()).await;
        assert_eq!(answer.error_code, 0, "{name}: {:?}", answer.error_message);
        let text = String::from_utf8(answer.auth_bytes.to_vec()).expect("text");
        text.split_once(",s=").expect("a salt").1.to_owned()
    };
    let (nobody, somebody) = (challenge(&broker, "nobody").await, challenge(&broker, "alice").await);
    assert_eq!(nobody.len(), somebody.len());
    assert_ne!(nobody, challenge(&broker, "no one").await);
    broker = broker.restarted().await;
    assert_eq!(challenge(&broker, "nobody").await, nobody);
    assert_eq!(challenge(&broker, "alice").await, somebody);
}

#[tokio::test]
async fn a_failure_is_answered_late_and_later_each_time() {
    let broker = broker(&["connection.failed.authentication.delay.ms=40"]).await;
    for expected in [40, 80, 160] {
        let mut client = broker.client().await;
        let begun = Instant::now();
        let refused = client.authenticate(&Login { password: "wrong", ..alice("PLAIN") }).await;
        assert_eq!(error(refused.error_code), ErrorCode::SaslAuthenticationFailed);
        assert!(begun.elapsed() >= Duration::from_millis(expected), "{:?} of {expected} ms", begun.elapsed());
    }
    assert_eq!(broker.client().await.authenticate(&alice("PLAIN")).await.error_code, 0);
}

#[tokio::test]
async fn before_authentication_nothing_else_is_read() {
    let broker = broker(&["connection.failed.authentication.delay.ms=0"]).await;
    for key in ApiKey::ALL.iter().filter(|key| !matches!(key, ApiKey::ApiVersions | ApiKey::SaslHandshake)) {
        for version in [0, 1, 12] {
            let mut client = broker.client().await;
            client.send_frame(&[&header_bytes(*key, version, 1)[..], &[0; 40]].concat()).await;
            client.closed().await;
        }
    }
    let mut client = broker.client().await;
    client.call(&versions(), 3).await;
    client.send(&versions(), 3).await;
    client.closed().await;
    // A version that there is not may be asked for before one that there is.
    let mut client = broker.client().await;
    let answer = client.call_bytes(ApiKey::ApiVersions, 99, &[], 0).await;
    assert_eq!(answer[..2], 35_i16.to_be_bytes());
    assert_eq!(client.call(&versions(), 3).await.error_code, 0);
    assert_eq!(client.authenticate(&alice("PLAIN")).await.error_code, 0);
}

#[tokio::test]
async fn a_mechanism_that_is_not_enabled_is_refused_with_those_that_are() {
    let broker = broker(&["sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN"]).await;
    for (version, mechanism) in [(0, "SCRAM-SHA-256"), (1, "GSSAPI"), (1, "plain"), (1, "")] {
        let mut client = broker.client().await;
        let answer = client.handshake(mechanism, version).await;
        assert_eq!(error(answer.error_code), ErrorCode::UnsupportedSaslMechanism);
        assert_eq!(answer.mechanisms, ["SCRAM-SHA-512", "PLAIN"]);
        client.closed().await;
    }
}

#[tokio::test]
async fn what_is_out_of_turn_in_an_exchange_is_told_so_and_closed() {
    let broker = broker(&["connection.failed.authentication.delay.ms=0"]).await;
    let begun = async || {
        let mut client = broker.client().await;
        client.handshake("SCRAM-SHA-256", 1).await;
        client.token(&alice("SCRAM-SHA-256").first()).await;
        client
    };
    let illegal = ErrorCode::IllegalSaslState;
    let mut client = begun().await;
    assert_eq!(error(client.call(&versions(), 3).await.error_code), illegal);
    client.closed().await;
    let mut client = begun().await;
    assert_eq!(error(client.handshake("PLAIN", 1).await.error_code), illegal);
    client.closed().await;
    let mut client = begun().await;
    client.send(&metadata(), 12).await;
    client.closed().await;
    let mut client = begun().await;
    assert_eq!(error(client.token(b"").await.error_code), ErrorCode::SaslAuthenticationFailed);
    client.closed().await;
    let mut client = broker.client().await;
    client.handshake("PLAIN", 0).await;
    client.send_bytes(&request_frame(&token_request(&alice("PLAIN").plain()), 2, 1)).await;
    client.closed().await;
}

#[tokio::test]
async fn where_there_is_no_need_sasl_is_answered_and_the_connection_goes_on() {
    let with_sasl = broker(&[]).await;
    let without = TestBroker::start().await;
    let mut known = with_sasl.client().await;
    known.authenticate(&alice("PLAIN")).await;
    for mut client in [known, without.client().await] {
        for version in [0, 1] {
            let answer = client.handshake("PLAIN", version).await;
            assert_eq!(error(answer.error_code), ErrorCode::IllegalSaslState);
            assert_eq!(answer.mechanisms, [""; 0]);
        }
        let answer = client.token(b"\0alice\0open sesame").await;
        assert_eq!(error(answer.error_code), ErrorCode::IllegalSaslState);
        let said = answer.error_message.expect("a message");
        assert_eq!(said, "SaslAuthenticate request received after successful authentication");
        client.call(&metadata(), 12).await;
    }
}

#[tokio::test]
async fn a_session_ends_unless_it_is_renewed() {
    let broker = broker(&["connections.max.reauth.ms=1200"]).await;
    let mut client = broker.client().await;
    let lifetime = Duration::from_millis(1200);
    let first = Instant::now();
    assert_eq!(client.authenticate(&alice("SCRAM-SHA-256")).await.session_lifetime_ms, 1200);
    while first.elapsed() < lifetime / 2 {
        client.call(&metadata(), 12).await;
    }
    let renewed = Instant::now();
    assert_eq!(client.authenticate(&alice("SCRAM-SHA-256")).await.session_lifetime_ms, 1200);
    // Not renewed any more: what it asks is answered until the time is over, then nothing.
    within(async { while client.is_served(&metadata(), 12).await {} }).await;
    assert!(renewed.elapsed() >= lifetime, "{:?}", renewed.elapsed());
}

#[tokio::test]
async fn nobody_becomes_somebody_else() {
    let settings = ["connections.max.reauth.ms=3600000", "connection.failed.authentication.delay.ms=0"];
    let broker = broker(&settings).await;
    let others = [
        Login { mechanism: "PLAIN", name: "bob", password: "shut sesame" },
        alice("SCRAM-SHA-256"),
        Login { password: "wrong", ..alice("PLAIN") },
    ];
    for other in others {
        let mut client = broker.client().await;
        assert_eq!(client.authenticate(&alice("PLAIN")).await.error_code, 0);
        let refused = client.authenticate(&other).await;
        assert_eq!(error(refused.error_code), ErrorCode::SaslAuthenticationFailed, "{other:?}");
        client.closed().await;
    }
    // Nothing is done between a handshake and its end.
    let mut client = broker.client().await;
    client.authenticate(&alice("PLAIN")).await;
    client.handshake("PLAIN", 1).await;
    client.send(&metadata(), 12).await;
    client.closed().await;
}

#[tokio::test]
async fn before_authentication_frames_are_small_and_time_is_short() {
    let broker = broker(&["ottla.handshake.timeout.ms=1000"]).await;
    let mut known = broker.client().await;
    assert_eq!(known.authenticate(&alice("SCRAM-SHA-256")).await.error_code, 0);
    let mut client = broker.client().await;
    client.send_bytes(&65_537_i32.to_be_bytes()).await;
    client.closed().await;
    let (silent, mut begun) = (broker.client().await, broker.client().await);
    begun.handshake("SCRAM-SHA-256", 1).await;
    begun.closed().await;
    silent.closed().await;
    let counters = broker.server().network_counters();
    assert_eq!((counters.closed(CloseKind::BadFrame), counters.closed(CloseKind::Unknown)), (1, 2));
    known.call(&metadata(), 12).await;
}

#[tokio::test]
async fn frames_may_come_together() {
    let broker = broker(&[]).await;
    let mut client = broker.client().await;
    let handshake = SaslHandshakeRequest { mechanism: "PLAIN".into() };
    let token = token_request(&alice("PLAIN").plain());
    let frames = [request_frame(&handshake, 1, 1), request_frame(&token, 2, 2), request_frame(&metadata(), 12, 3)];
    client.send_bytes(&frames.concat()).await;
    client.receive::<SaslHandshakeRequest>(1, 1).await;
    assert_eq!(client.receive::<SaslAuthenticateRequest>(2, 2).await.error_code, 0);
    assert_eq!(client.receive::<MetadataRequest>(3, 12).await.brokers.len(), 1);
}

#[tokio::test]
async fn super_users_alone_may_where_lists_decide_and_there_are_none() {
    let settings =
        ["authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:alice"];
    let broker = broker(&settings).await;
    for (login, may) in [
        (alice("PLAIN"), ErrorCode::None),
        (Login { mechanism: "PLAIN", name: "bob", password: "shut sesame" }, ErrorCode::ClusterAuthorizationFailed),
    ] {
        let mut client = broker.client().await;
        client.authenticate(&login).await;
        let answer = client.call(&DescribeLogDirsRequest::default(), 4).await;
        assert_eq!(error(answer.error_code), may, "{login:?}");
    }
}

#[tokio::test]
async fn a_deleted_user_does_not_come_back() {
    let broker = broker(&["connection.failed.authentication.delay.ms=0"]).await;
    let mut before = broker.client().await;
    before.authenticate(&alice("PLAIN")).await;
    for mechanism in [1, 2] {
        assert_eq!(before.delete_user("alice", mechanism).await, ErrorCode::None);
    }
    for mechanism in MECHANISMS {
        let refused = broker.client().await.authenticate(&alice(mechanism)).await;
        assert_eq!(error(refused.error_code), ErrorCode::SaslAuthenticationFailed);
    }
    // As with Kafka: who is in stays in.
    before.call(&metadata(), 12).await;
}

/// Many guesses at once are no more than one after the other: beyond a few, an address waits before it is listened to.
#[tokio::test]
async fn an_address_that_guesses_is_listened_to_late() {
    let broker = broker(&["connection.failed.authentication.delay.ms=10"]).await;
    let wrong = |place: usize| Login { mechanism: MECHANISMS[place % 3], name: "nobody", password: "a guess" };
    let begun = Instant::now();
    for place in 0..9 {
        broker.client().await.authenticate(&wrong(place)).await;
    }
    // 10 + 20 + … + 1,280 ms behind answers, and for those after the sixth 10, 20, 40 ms before.
    assert!(begun.elapsed() >= Duration::from_millis(2550 + 30), "{:?}", begun.elapsed());
    // Who knows the password gets in, if not at once from there.
    assert_eq!(broker.client().await.authenticate(&alice("SCRAM-SHA-256")).await.error_code, 0);
}
