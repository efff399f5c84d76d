//! TLS: who is let in, as whom, and what others are told.

use std::sync::atomic::Ordering::Relaxed;

use ottla::{
    network::CloseKind,
    protocol::{
        error_code::ErrorCode,
        messages::{DescribeLogDirsRequest, MetadataRequest},
    },
};

use crate::{
    secured::Authority,
    support::{RawClient, TestBroker, batches, error, request_frame, within},
};

fn metadata() -> MetadataRequest {
    MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() }
}

/// A broker with this authority's certificate, on one listener.
async fn broker(authority: &Authority, more: &[&str]) -> TestBroker {
    let mut settings = authority.settings();
    settings.push("listeners=SSL://127.0.0.1:0".to_owned());
    if more.iter().any(|setting| setting.starts_with("ssl.client.auth=")) {
        settings.extend(authority.trusted());
    }
    settings.extend(more.iter().map(|setting| (*setting).to_owned()));
    TestBroker::with_settings(&settings.iter().map(String::as_str).collect::<Vec<_>>()).await
}

#[tokio::test]
async fn what_is_produced_over_tls_is_read_over_tls() {
    let authority = Authority::new();
    let broker = broker(&authority, &[]).await;
    for client in [authority.trusting(), authority.trusting().only_tls_1_2()] {
        let mut client = client.connect(broker.address()).await;
        let version = client.call(&metadata(), 12).await.brokers.len();
        assert_eq!(version, 1);
    }
    let mut client = authority.trusting().connect(broker.address()).await;
    let topic = client.create_topic("t", 1, &[]).await;
    let value = "x".repeat(300_000);
    for _ in 0..3 {
        client.append(&topic, 0, &[&value]).await;
    }
    let read = client.fetch(&topic, 0, 0).await;
    assert_eq!(error(read.error_code), ErrorCode::None);
    assert_eq!(batches(&read).len(), 3);
}

/// The last of the handshake and the first request may come in one piece.
#[tokio::test]
async fn what_comes_with_the_end_of_the_handshake_is_answered() {
    let authority = Authority::new();
    let broker = broker(&authority, &[]).await;
    for client in [authority.trusting(), authority.trusting().only_tls_1_2()] {
        let mut client = client.connect_saying(broker.address(), &request_frame(&metadata(), 12, 7)).await;
        assert_eq!(client.receive::<MetadataRequest>(7, 12).await.brokers.len(), 1);
    }
}

#[tokio::test]
async fn who_does_not_speak_tls_is_turned_away_alone() {
    let authority = Authority::new();
    let broker = broker(&authority, &[]).await;
    let mut other = authority.trusting().connect(broker.address()).await;
    let mut plain = RawClient::connect(broker.address()).await;
    plain.send(&metadata(), 12).await;
    // An alert may come before the end.
    plain.ended().await;
    let closed = broker.server().network_counters();
    other.call(&metadata(), 12).await;
    assert_eq!(closed.closed(CloseKind::Handshake), 1);
    assert_eq!(closed.active.load(Relaxed), 1);
}

#[tokio::test]
async fn tls_on_a_listener_without_it_is_no_frame() {
    let authority = Authority::new();
    let broker = TestBroker::start().await;
    assert!(authority.trusting().try_connect(broker.address()).await.is_err());
    assert_eq!(broker.server().network_counters().closed(CloseKind::BadFrame), 1);
}

#[tokio::test]
async fn where_certificates_are_required_nobody_comes_in_without_a_good_one() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let broker = broker(&authority, &["ssl.client.auth=required"]).await;
    let trusting = authority.trusting();
    let own = authority.client("Example", "alice");
    for client in [trusting.clone().with(&own), trusting.clone().with(&own).only_tls_1_2()] {
        client.connect(broker.address()).await.call(&metadata(), 12).await;
    }
    let refused = [
        trusting.clone(),
        trusting.clone().with(&stranger.client("Example", "alice")),
        trusting.clone().with(&authority.expired_client("alice")),
    ];
    let count = u64::try_from(refused.len()).expect("few");
    for client in refused {
        // With TLS 1.3 a client learns it after its own part of the handshake.
        if let Ok(stream) = client.try_connect(broker.address()).await {
            RawClient::over(stream).ended().await;
        }
    }
    assert_eq!(broker.server().network_counters().closed(CloseKind::Handshake), count);
}

#[tokio::test]
async fn the_subject_of_a_certificate_says_who_a_client_is() {
    let authority = Authority::new();
    let settings = [
        "ssl.client.auth=requested",
        "ssl.principal.mapping.rules=RULE:^CN=([^,]+),O=Example$/$1/L,DEFAULT",
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users=User:alice;User:CN=bob,O=Other",
    ];
    let broker = broker(&authority, &settings).await;
    let trusting = authority.trusting();
    let may =
        [("Example", "ALICE", true), ("Other", "bob", true), ("Other", "alice", false), ("Example", "bob", false)];
    for (organisation, name, may) in may {
        let client = trusting.clone().with(&authority.client(organisation, name));
        let mut client = client.connect(broker.address()).await;
        assert_eq!(sees_the_cluster(&mut client).await, may, "{organisation} {name}");
    }
    assert!(!sees_the_cluster(&mut trusting.connect(broker.address()).await).await, "anonymous");
}

#[tokio::test]
async fn a_subject_that_no_rule_maps_is_not_served() {
    let authority = Authority::new();
    let rules = "ssl.principal.mapping.rules=RULE:^CN=(.+),O=Example$/$1/";
    let broker = broker(&authority, &["ssl.client.auth=required", rules]).await;
    let client = |organisation| authority.trusting().with(&authority.client(organisation, "alice"));
    client("Example").connect(broker.address()).await.call(&metadata(), 12).await;
    client("Other").connect(broker.address()).await.ended().await;
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections() {
    let authority = Authority::new();
    let broker = broker(&authority, &[]).await;
    let trusting = authority.trusting();
    let mut before = trusting.connect(broker.address()).await;
    let shown = async || {
        let stream = trusting.try_connect(broker.address()).await.expect("TLS");
        stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone().into_owned()
    };
    let first = shown().await;
    authority.write_server(&authority.server());
    within(async { while shown().await == first {} }).await;
    before.call(&metadata(), 12).await;
}

/// Whether the client may look at directories, for which it needs a right on the cluster.
async fn sees_the_cluster(client: &mut RawClient) -> bool {
    let response = client.call(&DescribeLogDirsRequest::default(), 4).await;
    match error(response.error_code) {
        ErrorCode::None => true,
        ErrorCode::ClusterAuthorizationFailed => false,
        other => panic!("{other:?}"),
    }
}
