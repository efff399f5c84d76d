//! What no good client sends, row by row: each on a connection of its own, with its answer, and with a look at a good client
//! on another connection after each. The answers are those of Apache Kafka 4.4.0, or docs/compatibility.md names them.
//!
//! Rows that stand elsewhere: pieces of frames and pipelines in `connection`, the conversation of SASL in `sasl` and in
//! `auth::session`, records in `produce_fetch` and `log::validate`, slow clients in `network::tests`.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use ottla::{
    handlers::api::SUPPORTED,
    network::CloseKind,
    protocol::{
        messages::{ApiKey, MetadataRequest},
        schemas::schemas,
    },
};
use ottla_codegen::{
    model::{Message, Type},
    spec::MessageKind,
};
use serde_json::{Value as Json, json};

use crate::{
    interpreted::request_body,
    support::{BrokerProcess, RawClient, TestBroker, batch, header_bytes, request_frame_of, within},
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
        let broker = TestBroker::start().await;
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

/// A field of a request, by two requests that differ in it alone: empty, and with one thing in it.
struct Place {
    name: String,
    is_text: bool,
    empty: Json,
    filled: Json,
}

/// All places of a message that have a length in front, however deep.
fn places(message: &Message, version: i16, index: usize, name: &str, around: &dyn Fn(Json) -> Json) -> Vec<Place> {
    let mut places = Vec::new();
    let fields = message.structs[index].fields_in(version);
    for field in fields.filter(|field| !field.tagged_versions().contains(version)) {
        let own = field.camel_case_name();
        let with = |value: Json| around(json!({ own.as_str(): value }));
        let name = format!("{name}.{own}");
        let one = match &field.ty {
            Type::String => json!("a"),
            Type::Bytes | Type::Records => json!("AA=="),
            Type::Array(element) => match **element {
                Type::Struct(_) => json!([{}]),
                Type::String => json!(["a"]),
                Type::Uuid => json!(["AAAAAAAAAAAAAAAAAAAAAA"]),
                _ => json!([0]),
            },
            _ => continue,
        };
        let none = if one.is_array() { json!([]) } else { json!("") };
        let is_text = field.ty == Type::String;
        places.push(Place { name: name.clone(), is_text, empty: with(none), filled: with(one) });
        if let Some(element) = field.ty.element_struct() {
            places.extend(self::places(message, version, element, &name, &|inner| with(json!([inner]))));
        }
    }
    places
}

/// Requests in which one length is more than what follows, or one text is no UTF-8.
fn lying(key: ApiKey, version: i16, place: &Place) -> Vec<Row> {
    let [empty, filled] = [&place.empty, &place.filled].map(|json| request_body(key, version, json));
    let at = empty.iter().zip(&filled).position(|(empty, filled)| empty != filled).expect("lengths that differ");
    // A compact length is one more than what it counts; any other stands in as many bytes as it takes, the last of which
    // differs.
    let is_compact = key.request_header_version(version) >= 2;
    let (start, lie): (_, &[u8]) = match (is_compact, place.is_text) {
        (true, _) => (at, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        (false, true) => (at - 1, &[0x7f, 0xff]),
        (false, false) => (at - 3, &[0x7f, 0xff, 0xff, 0xff]),
    };
    let name = format!("{} v{version} {}", key.name(), place.name);
    let body = [&filled[..start], lie, &filled[at + 1..]].concat();
    let mut rows = vec![row(format!("{name} is too long"), request(key, version, &body), Ends)];
    if place.is_text {
        let mut body = filled;
        body[at + 1] = 0xff;
        rows.push(row(format!("{name} is no text"), request(key, version, &body), Ends));
    }
    rows
}

/// Every array, text and blob of every API, in its first version and its last.
#[tokio::test]
async fn every_length_and_text_lies() {
    let mut rows = Vec::new();
    for api in SUPPORTED {
        let message = schemas().api(api.key.code(), MessageKind::Request).expect("it is served");
        for version in [api.lowest, api.highest] {
            let places = places(message, version, 0, "", &|json| json);
            rows.extend(places.iter().flat_map(|place| lying(api.key, version, place)));
        }
    }
    let count = Scene::new().await.plays(rows).await;
    assert!(count >= 350, "{count}");
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
        let topic = crate::support::TestTopic { name: name.to_owned(), id: uuid::Uuid::nil() };
        let request = crate::support::produce_request(&topic, vec![(0, Some(batch(&["a"])))]);
        for client_id in ["__admin_client", "admin", ""] {
            let mut client = scene.broker.client().await;
            client.send_bytes(&request_frame_of(client_id, &request, 9, 5)).await;
            let response = client.receive::<ottla::protocol::messages::ProduceRequest>(5, 9).await;
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
