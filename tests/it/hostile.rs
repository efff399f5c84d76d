//! What no good client sends, row by row: each on a connection of its own, with its answer, and with a look at a good client
//! on another connection after each. The answers are those of Apache Kafka 4.4.0, or docs/compatibility.md names them.
//!
//! Rows that stand elsewhere: pieces of frames and pipelines in `connection`, the conversation of SASL in `sasl` and in
//! `auth::session`, records in `produce_fetch` and `log::validate`, slow clients in `network::tests`.

mod lengths;
mod requests;

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use ottla::{
    handlers::api::SUPPORTED,
    network::CloseKind,
    protocol::messages::{ApiKey, MetadataRequest},
};
use serde_json::json;

use crate::{
    interpreted::request_body,
    support::{BrokerProcess, RawClient, TestBroker, header_bytes, within},
};

/// What becomes of the connection that a row came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// It ends, without a byte.
    Ends,
    /// There is one answer, and it stays open.
    Stays,
}
use Then::{Ends, Stays};

/// A row: what it is, its bytes, and what comes of it.
struct Row {
    name: String,
    bytes: Vec<u8>,
    then: Then,
}

fn row(name: impl Into<String>, bytes: impl Into<Vec<u8>>, then: Then) -> Row {
    Row { name: name.into(), bytes: bytes.into(), then }
}

fn framed(content: &[u8]) -> Vec<u8> {
    let size = i32::try_from(content.len()).expect("a short frame");
    [&size.to_be_bytes(), content].concat()
}

fn request(key: ApiKey, version: i16, body: &[u8]) -> Vec<u8> {
    framed(&[&header_bytes(key, version, 1)[..], body].concat())
}

/// A broker, and a client that is served all the while.
struct Scene {
    broker: TestBroker,
    canary: RawClient,
}

impl Scene {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(settings: &[&str]) -> Self {
        let broker = TestBroker::with(settings).await;
        let canary = broker.client().await;
        Self { broker, canary }
    }

    async fn is_served(&mut self, row: &str) {
        let metadata = MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() };
        assert!(self.canary.is_served(&metadata, 12).await, "the other client is not served after {row}");
    }

    /// Plays the rows, and waits until no connection is open but the other client's.
    async fn plays(&mut self, rows: Vec<Row>) -> usize {
        let count = rows.len();
        for Row { name, bytes, then } in rows {
            let mut client = self.broker.client().await;
            client.send_bytes(&bytes).await;
            let given = if client.answers().await { Stays } else { Ends };
            assert_eq!(given, then, "{name}");
            if then == Stays {
                let metadata = MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() };
                assert!(client.is_served(&metadata, 12).await, "{name}: the connection ended after the answer");
            }
            self.is_served(&name).await;
        }
        self.is_alone().await;
        count
    }

    async fn is_alone(&self) {
        let counters = self.broker.server().network_counters();
        within(async {
            while counters.active.load(Relaxed) > 1 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(counters.closed(CloseKind::Panicked), 0);
    }
}

impl RawClient {
    /// Whether a frame comes before the end.
    async fn answers(&mut self) -> bool {
        self.try_receive_frame().await.is_some()
    }
}

#[tokio::test]
async fn other_protocols_and_sizes_that_cannot_be() {
    let mut rows: Vec<_> = [-1, i32::MIN, 0, 104_857_601, i32::MAX]
        .map(|size| row(format!("a frame of {size} bytes"), size.to_be_bytes(), Ends))
        .into();
    for text in ["GET ", "POST", "PUT ", "HEAD", "OPTI", "DELE", "PATC", "CONN", "TRAC", "PRI "] {
        rows.push(row(format!("HTTP {text}"), format!("{text}/ HTTP/1.1\r\nHost: a\r\n\r\n"), Ends));
    }
    for version in 0..=4_u8 {
        rows.push(row("a TLS handshake", [0x16, 3, version, 1, 0, 1, 0, 1, 252, 3, 3], Ends));
    }
    let others: [(&str, &[u8]); 8] = [
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n"),
        ("the PROXY protocol", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"),
        ("the PROXY protocol in binary", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"),
        ("SMTP", b"EHLO example.org\r\n"),
        ("Redis", b"*1\r\n$4\r\nPING\r\n"),
        ("PostgreSQL", b"\0\0\0\x08\x04\xd2\x16\x2f\0\0\0\0"),
        ("AMQP", b"AMQP\0\0\x09\x01"),
        ("MQTT", b"\x10\x10\0\x04MQTT\x04\x02\0\x3c\0\x04test"),
    ];
    rows.extend(others.map(|(name, bytes)| row(name, bytes, Ends)));
    for cut in [1, 2, 3, 4, 6, 8, 9, 13] {
        let header = header_bytes(ApiKey::Metadata, 12, 1);
        rows.push(row(format!("{cut} bytes of a header"), framed(&header[..cut]), Ends));
    }
    assert_eq!(Scene::new().await.plays(rows).await, 36);
}

/// A key that no schema knows ends the connection, as in Kafka; a key or a version that is not served is answered with
/// UNSUPPORTED_VERSION, where Kafka ends it.
#[tokio::test]
async fn apis_and_versions_that_there_are_not() {
    let mut rows = Vec::new();
    for key in [-1, -2, i16::MIN, 95, 96, 1000, 9999, i16::MAX] {
        let content = [&key.to_be_bytes()[..], &[0, 0, 0, 0, 0, 7, 0xff, 0xff, 0, 0]].concat();
        rows.push(row(format!("key {key}"), framed(&content), Ends));
    }
    for key in ApiKey::ALL {
        let served = SUPPORTED.iter().find(|api| api.key == *key);
        let versions = match served {
            None => vec![0, 1, i16::MAX, -1, i16::MIN],
            Some(api) => vec![api.lowest - 1, api.highest + 1, 99, i16::MAX, -1, i16::MIN],
        };
        for version in versions {
            let name = format!("{} v{version}", key.name());
            rows.push(row(name, request(*key, version, &[0; 40]), Stays));
        }
    }
    let count = Scene::new().await.plays(rows).await;
    assert!(count >= SUPPORTED.len() * 6 + 8, "{count}");
}

/// One row is all that Kafka tells a client of another time: which versions of ApiVersions there are.
#[tokio::test]
async fn a_version_of_api_versions_that_there_is_not_is_answered_in_the_oldest() {
    let broker = TestBroker::start().await;
    for (version, body) in [(99, &[][..]), (-1, &[]), (6, &[]), (99, &[0xff; 30]), (i16::MIN, &[1])] {
        let mut client = broker.client().await;
        let answer = client.call_bytes(ApiKey::ApiVersions, version, body, 0).await;
        assert_eq!(answer[..], [0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 5], "version {version}");
        client.call(&MetadataRequest::default(), 12).await;
    }
}

/// A header of Metadata with its client id as it is given.
fn header_with(version: i16, client_id: &[u8], tags: &[u8]) -> Vec<u8> {
    [&[0, 3][..], &version.to_be_bytes(), &[0, 0, 0, 9], client_id, tags].concat()
}

#[tokio::test]
async fn headers_that_lie() {
    let none = &[0, 0, 0, 0, 0][..];
    let old = |client_id: &[u8]| framed(&[&header_with(4, client_id, &[])[..], none].concat());
    // No topics, no creation, no operations, no tags.
    let flexible = |tags: &[u8]| framed(&[&header_with(9, &[0, 1, b'a'], tags)[..], &[1, 0, 0, 0, 0]].concat());
    let many_tags = |count: u16| {
        let tags = (0..count).flat_map(|tag| {
            let tag = tag + 100;
            let low = u8::try_from(tag & 0x7f).expect("seven bits") | 0x80;
            [
                low,
                u8::try_from((tag >> 7) & 0x7f).expect("seven bits") | 0x80,
                u8::try_from(tag >> 14).expect("two bits"),
                0,
            ]
        });
        let head = [u8::try_from(count & 0x7f).expect("seven bits") | 0x80, u8::try_from(count >> 7).expect("few")];
        [&head[..], &tags.collect::<Vec<_>>()].concat()
    };
    let large_tag = |size: u32| {
        let varint =
            [size & 0x7f | 0x80, (size >> 7) & 0x7f | 0x80, size >> 14].map(|byte| u8::try_from(byte).expect("a byte"));
        [&[1, 100][..], &varint, &vec![0; size as usize]].concat()
    };
    let rows = vec![
        row("no client id", old(&[0xff, 0xff]), Stays),
        row("an empty client id", old(&[0, 0]), Stays),
        row("a client id that is not UTF-8", old(&[0, 2, 0xff, 0xc3]), Stays),
        row("a client id with a line and a NUL in it", old(b"\0\x04a\nb\0"), Stays),
        row("a client id of -2 bytes", old(&[0xff, 0xfe]), Ends),
        row("a client id of the least length", old(&[0x80, 0]), Ends),
        row("a client id longer than the frame", old(&[0x7f, 0xff, b'a']), Ends),
        row("no tags", flexible(&[0]), Stays),
        row("an unknown tag", flexible(&[1, 100, 3, 1, 2, 3]), Stays),
        row("two unknown tags", flexible(&[2, 100, 0, 101, 0]), Stays),
        row("a tag twice", flexible(&[2, 100, 0, 100, 0]), Ends),
        row("tags that descend", flexible(&[2, 101, 0, 100, 0]), Ends),
        row("a tag larger than the frame", flexible(&[1, 100, 0x7f]), Ends),
        row("a tag of 2^32 - 1 bytes", flexible(&[1, 100, 0xff, 0xff, 0xff, 0xff, 0x0f]), Ends),
        row("2^32 - 1 tags", flexible(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ends),
        row("a varint of six bytes", flexible(&[0x80, 0x80, 0x80, 0x80, 0x80, 0]), Ends),
        row("a varint of 33 bits", flexible(&[0x80, 0x80, 0x80, 0x80, 0x10]), Ends),
        row("1000 tags", flexible(&many_tags(1000)), Stays),
        row("10000 tags", flexible(&many_tags(10_000)), Stays),
        row("tags of 60 KiB", flexible(&large_tag(60 << 10)), Stays),
        row("tags of 65 KiB", flexible(&large_tag(65 << 10)), Ends),
        row("tags of a mebibyte", flexible(&large_tag(1 << 20)), Ends),
    ];
    assert_eq!(Scene::new().await.plays(rows).await, 22);
}

#[tokio::test]
async fn bodies_that_lie() {
    let old = |body: &[u8]| request(ApiKey::Metadata, 4, body);
    let new = |body: &[u8]| request(ApiKey::Metadata, 9, body);
    let many: &[u8] = &[1_u8, 0x80, 0x89, 0x7a].into_iter().chain([100, 0].repeat(200_000)).collect::<Vec<_>>();
    let rows = vec![
        row("2^31 - 1 topics", old(&[0x7f, 0xff, 0xff, 0xff, 0]), Ends),
        row("ten topics in one byte", old(&[0, 0, 0, 10, 0]), Ends),
        row("all topics", old(&[0xff, 0xff, 0xff, 0xff, 0]), Stays),
        row("-2 topics", old(&[0xff, 0xff, 0xff, 0xfe, 0]), Ends),
        row("the least number of topics", old(&[0x80, 0, 0, 0, 0]), Ends),
        row("a topic without a name", old(&[0, 0, 0, 1, 0xff, 0xff, 0]), Ends),
        row("a name of -2 bytes", old(&[0, 0, 0, 1, 0xff, 0xfe, 0]), Ends),
        row("a name longer than the frame", old(&[0, 0, 0, 1, 0, 9, b'a', 0]), Ends),
        row("a name that is not UTF-8", old(&[0, 0, 0, 1, 0, 2, 0xff, 0xfe, 0]), Ends),
        row("a name with half a surrogate", old(&[0, 0, 0, 1, 0, 3, 0xed, 0xa0, 0x80, 0]), Ends),
        row("a name with an overlong NUL", old(&[0, 0, 0, 1, 0, 2, 0xc0, 0x80, 0]), Ends),
        row("bytes behind", old(&[0, 0, 0, 0, 0, 1, 2, 3, 4, 5]), Stays),
        row("an empty body", old(&[]), Ends),
        row("no topics", new(&[1, 0, 0, 0, 0]), Stays),
        row("bytes behind", new(&[1, 0, 0, 0, 0, 1, 2, 3, 4, 5]), Stays),
        row("a varint of six bytes", new(&[0x80, 0x80, 0x80, 0x80, 0x80, 0, 0, 0, 0]), Ends),
        row("a varint of 35 bits", new(&[0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0]), Ends),
        row("2^32 - 2 topics", new(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0]), Ends),
        row("a boolean of 7", new(&[1, 7, 7, 7, 0]), Stays),
        row("an unknown tag", new(&[1, 0, 0, 0, 1, 100, 3, 1, 2, 3]), Stays),
        row("a tag larger than the frame", new(&[1, 0, 0, 0, 1, 100, 9, 1]), Ends),
        row("a tag twice", new(&[1, 0, 0, 0, 2, 100, 0, 100, 0]), Ends),
        row("tags that descend", new(&[1, 0, 0, 0, 2, 101, 0, 100, 0]), Ends),
        row("2^32 - 1 tags", new(&[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]), Ends),
        row("a million tags", new(many), Ends),
        row("a topic of one byte", new(&[2, 0, 0, 0, 0]), Ends),
    ];
    assert_eq!(Scene::new().await.plays(rows).await, 26);
}

/// The cluster's id, the one known tag of Fetch version 12, whose content has to fill its declared size.
#[tokio::test]
async fn known_tags_that_lie() {
    let whole = request_body(ApiKey::Fetch, 12, &json!({"replicaId": -1, "sessionEpoch": -1}));
    let (body, none) = whole.split_at(whole.len() - 1);
    assert_eq!(none, [0]);
    let with = |tags: &[u8]| request(ApiKey::Fetch, 12, &[body, tags].concat());
    let rows = vec![
        row("null", with(&[1, 0, 1, 0]), Stays),
        row("a name", with(&[1, 0, 2, 2, b'a']), Stays),
        row("a byte more than it needs", with(&[1, 0, 2, 0, 0]), Ends),
        row("a byte less than it needs", with(&[1, 0, 1, 2, b'a']), Ends),
        row("more than there is", with(&[1, 0, 9, 0]), Ends),
        row("twice", with(&[2, 0, 1, 0, 0, 1, 0]), Ends),
        row("behind a greater one", with(&[2, 100, 0, 0, 1, 0]), Ends),
        row("before a greater one", with(&[2, 0, 1, 0, 100, 0]), Stays),
    ];
    assert_eq!(Scene::new().await.plays(rows).await, 8);
}

/// Every API in its latest version: cut by a byte, and with an unknown tag.
#[tokio::test]
async fn every_api_cut_and_prolonged() {
    let mut rows = Vec::new();
    for api in SUPPORTED {
        // Who wants no answer gets none.
        let with_answer =
            if api.key == ApiKey::Produce { json!({"acks": -1, "transactionalId": null}) } else { json!({}) };
        let whole = request_body(api.key, api.highest, &with_answer);
        let name = api.key.name();
        let cut = whole.len().saturating_sub(1);
        rows.push(row(format!("{name} without its last byte"), request(api.key, api.highest, &whole[..cut]), Ends));
        let is_flexible = api.key.request_header_version(api.highest) >= 2;
        if is_flexible && api.key != ApiKey::ApiVersions {
            let tagged = [&whole[..cut], &[1, 0x64, 3, 1, 2, 3]].concat();
            rows.push(row(format!("{name} with an unknown tag"), request(api.key, api.highest, &tagged), Stays));
        }
    }
    assert!(Scene::new().await.plays(rows).await >= 2 * SUPPORTED.len() - 8);
}

/// A request that lists too much is not read, and the line about it says which setting it was.
#[tokio::test]
async fn who_lists_too_much_is_closed_and_the_others_are_served() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let broker = BrokerProcess::start_with(directory.path(), &["--override", "ottla.request.elements.max=100"]);
    let mut canary = RawClient::connect(broker.address()).await;
    let naming = |count: usize| {
        let topics: Vec<_> = (0..count).map(|number| json!({"name": format!("t{number}")})).collect();
        request(ApiKey::Metadata, 12, &request_body(ApiKey::Metadata, 12, &json!({"topics": topics})))
    };
    for (count, then) in [(100, Stays), (101, Ends), (100_000, Ends)] {
        let mut client = RawClient::connect(broker.address()).await;
        client.try_send_bytes(&naming(count)).await;
        assert_eq!(client.answers().await, then == Stays, "{count} topics");
        assert!(canary.is_served(&MetadataRequest::default(), 12).await, "after {count} topics");
    }
    broker.terminate();
    let (_, said) = broker.wait();
    let line = "closed: MetadataRequest v12: topics: 100000 elements in arrays, 100 allowed, at byte ";
    let lines: Vec<_> = said.lines().filter(|said| said.contains("ottla.request.elements.max")).collect();
    assert!(matches!(lines[..], [_, last] if last.contains("WARN") && last.contains(line)), "{said}");
}

/// However often it is tried, descriptors and memory are then what they were.
#[tokio::test]
async fn nothing_stays_of_who_was_hostile() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let broker = BrokerProcess::start(directory.path());
    let mut canary = RawClient::connect(broker.address()).await;
    let topics: Vec<_> = (0..500).map(|number| json!({"name": format!("z{number}")})).collect();
    let large = request_body(ApiKey::DescribeTopicPartitions, 0, &json!({"topics": topics, "cursor": null}));
    let rows = [
        (100_i32 << 20).to_be_bytes().to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        framed(&[&header_bytes(ApiKey::Metadata, 12, 1)[..], &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat()),
        framed(&[&header_bytes(ApiKey::Metadata, 12, 1)[..], &[1, 0, 0, 0xff, 0xff, 0x03]].concat()),
        request(ApiKey::Metadata, 12, &[1, 0, 0, 0])[..9].to_vec(),
        request(ApiKey::DescribeTopicPartitions, 0, &large),
        request(ApiKey::Produce, i16::MAX, &[0; 5000]),
        [i32::MAX.to_be_bytes(); 1000].concat(),
    ];
    canary.call(&MetadataRequest::default(), 12).await;
    let (descriptors, _) = broker.holdings();
    let mut memory = Vec::new();
    for round in 1..=60 {
        for bytes in &rows {
            let mut client = RawClient::connect(broker.address()).await;
            // The broker may have had enough in the middle of it.
            client.try_send_bytes(bytes).await;
        }
        canary.call(&MetadataRequest::default(), 12).await;
        // What is taken once, for the first of them, is not given back.
        if [20, 60].contains(&round) {
            memory.push(settled(&broker, descriptors).await);
        }
    }
    assert!(memory[1] < memory[0] + (16 << 10), "KiB: {memory:?}");
}

/// Waits until the broker has as many descriptors as this again, and returns the KiB that it has then.
async fn settled(broker: &BrokerProcess, descriptors: usize) -> usize {
    within(async {
        loop {
            match broker.holdings() {
                (now, memory) if now == descriptors => return memory,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    })
    .await
}

/// Who has said all gets its answers still.
#[tokio::test]
async fn a_connection_that_is_closed_for_sending_is_answered() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let sent = client.send(&MetadataRequest::default(), 12).await;
    client.finish_sending().await;
    client.receive::<MetadataRequest>(sent, 12).await;
    client.closed().await;
}

/// Whoever knocks again and again with another protocol is named a few times, with what it speaks.
#[tokio::test]
async fn the_log_is_not_filled_by_who_is_refused() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let broker = BrokerProcess::start(directory.path());
    for bytes in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"].into_iter().cycle().take(40)
    {
        let mut client = RawClient::connect(broker.address()).await;
        client.send_bytes(bytes).await;
        client.closed().await;
    }
    broker.terminate();
    let (_, said) = broker.wait();
    let lines: Vec<_> = said.lines().filter(|line| line.contains("looks like")).collect();
    assert_eq!(lines.len(), 5, "{said}");
    assert!(lines[0].contains("looks like HTTP") && lines[1].contains("looks like a TLS handshake"), "{said}");
    assert!(lines[4].contains("more of this address is left out for a minute"), "{said}");
}

/// A link where a partition's directory belongs leads out of the data directory.
#[tokio::test]
async fn a_link_in_place_of_a_partition_is_not_followed() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let elsewhere = tempfile::TempDir::new().expect("a temporary directory");
    let broker = BrokerProcess::start(directory.path());
    let mut client = RawClient::connect(broker.address()).await;
    let topic = client.create_topic("tt", 1, &[]).await;
    client.append(&topic, 0, &["a"]).await;
    broker.terminate();
    assert_eq!(broker.wait().0, Some(0));
    let (inside, outside) = (directory.path().join("tt-0"), elsewhere.path().join("tt-0"));
    std::fs::rename(&inside, &outside).expect("moved");
    std::os::unix::fs::symlink(&outside, &inside).expect("linked");
    let before = std::fs::read_dir(&outside).expect("readable").count();
    let (code, said) = BrokerProcess::spawn(directory.path(), &["--listen", "127.0.0.1:0"]).run_to_failure();
    assert_ne!(code, Some(0));
    assert!(said.contains("tt-0"), "{said}");
    assert_eq!(std::fs::read_dir(&outside).expect("readable").count(), before, "nothing was written there");
}
