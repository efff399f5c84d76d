//! What else may come over a connection: other protocols, nonsense, pieces, and many requests at once.

use std::sync::atomic::Ordering::Relaxed;

use ottla::{
    network::CloseKind,
    protocol::{
        error_code::ErrorCode,
        messages::{ApiKey, FetchRequest, MetadataRequest, ProduceRequest, metadata_request::MetadataRequestTopic},
    },
};

use crate::support::{
    BOUND, LONG_WAIT_MS, RawClient, TestBroker, TestTopic, batch, decode_response, error, fetch_request, header_bytes,
    only_partition, produce_request, records, request_frame, results,
};

/// A request that can be answered at any time.
fn metadata() -> MetadataRequest {
    MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() }
}

#[tokio::test]
async fn what_is_not_a_frame_ends_its_own_connection_only() {
    let broker = TestBroker::start().await;
    let mut other = broker.client().await;
    let frames: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /topics HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello, is there anybody?\n",
        &(100_i32 << 20 | 1).to_be_bytes(),
        &i32::MAX.to_be_bytes(),
        &0_i32.to_be_bytes(),
        &(-1_i32).to_be_bytes(),
    ];
    for bytes in frames {
        let mut client = broker.client().await;
        client.send_bytes(bytes).await;
        client.closed().await;
        other.call(&metadata(), 12).await;
    }
    assert_eq!(broker.server().network_counters().closed(CloseKind::BadFrame), 8);
}

/// librdkafka's Metadata request for all topics has three bytes behind it.
#[tokio::test]
async fn bytes_behind_a_request_are_left_alone() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let request = [&header_bytes(ApiKey::Metadata, 12, 1)[..], &[0, 0, 0, 0, 0, 0, 0]].concat();
    client.send_frame(&request).await;
    let response = client.receive::<MetadataRequest>(1, 12).await;
    assert_eq!(response.brokers.len(), 1);
}

/// Names of 2,000 topics take more than a request is given at first.
#[tokio::test]
async fn a_request_that_takes_much_memory_is_answered_as_any_other() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let named = |number| MetadataRequestTopic { name: Some(format!("t{number}").into()), ..Default::default() };
    let topics = Some((0..2000).map(named).collect());
    let request = MetadataRequest { topics, allow_auto_topic_creation: false, ..MetadataRequest::default() };
    assert_eq!(client.call(&request, 12).await.topics.len(), 2000);
    client.call(&metadata(), 12).await;
}

#[tokio::test]
async fn a_request_that_cannot_be_read_ends_its_own_connection_only() {
    let broker = TestBroker::start().await;
    let mut other = broker.client().await;
    let header = header_bytes(ApiKey::Metadata, 12, 1);
    let with = |body: &[u8]| [&header[..], body].concat();
    let frames = [
        header[..1].to_vec(),
        header[..7].to_vec(),
        header[..header.len() - 1].to_vec(),
        with(&[]),
        // An array of 2^31 - 2 topics.
        with(&[0xff, 0xff, 0xff, 0xff, 0x07]),
        // A varint that does not end.
        with(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80]),
        // A topic whose name is not UTF-8: no id, a name of one byte.
        with(&[[2].as_slice(), &[0; 16], &[2, 0xff, 0, 0, 0, 0]].concat()),
    ];
    let count = frames.len();
    for content in frames {
        let mut client = broker.client().await;
        client.send_frame(&content).await;
        client.closed().await;
        other.call(&metadata(), 12).await;
    }
    assert_eq!(broker.server().network_counters().closed(CloseKind::Refused), u64::try_from(count).expect("few"));
    let mut client = broker.client().await;
    client.send_frame(&with(&[1, 1, 0, 0])).await;
    client.receive_frame().await;
}

#[tokio::test]
async fn a_request_that_ends_too_soon_has_no_effect() {
    let broker = TestBroker::start().await;
    let topic = broker.create_topic("t", 1).await;
    let frame = request_frame(&produce_request(&topic, vec![(0, Some(batch(&["a"])))]), 9, 1);
    for cut in [1, 3, 4, 12, frame.len() - 1] {
        let mut client = broker.client().await;
        client.send_bytes(&frame[..cut]).await;
        client.finish_sending().await;
        client.closed().await;
    }
    assert_eq!(broker.server().network_counters().closed(CloseKind::Truncated), 5);
    assert_eq!(broker.client().await.append(&topic, 0, &["b"]).await, 0);
}

#[tokio::test]
async fn a_request_may_come_in_pieces() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let frame = request_frame(&metadata(), 12, 5);
    for byte in &frame[..] {
        client.send_bytes(&[*byte]).await;
    }
    decode_response::<MetadataRequest>(&client.receive_frame().await, 5, 12);
}

/// Twenty clients announce 100 MB each: if that were allocated, or counted against what requests may hold together, the
/// last would not be served.
#[tokio::test]
async fn what_is_announced_costs_nothing() {
    let broker = TestBroker::start().await;
    let mut announcing = Vec::new();
    for _ in 0..20 {
        let mut client = broker.client().await;
        client.send_bytes(&(100_i32 << 20).to_be_bytes()).await;
        announcing.push(client);
    }
    let topic = broker.create_topic("t", 1).await;
    assert_eq!(broker.client().await.append(&topic, 0, &[&"x".repeat(500_000)]).await, 0);
    assert_eq!(broker.server().network_counters().closed(CloseKind::BadFrame), 0);
}

/// Sends a produce request, a fetch that waits for more than that, a metadata request, and a produce request in one go.
async fn pipeline(client: &mut RawClient, topic: &TestTopic) {
    let produce = |value: &str| produce_request(topic, vec![(0, Some(batch(&[value])))]);
    let mut fetch = fetch_request(topic, 0, 1);
    fetch.max_wait_ms = LONG_WAIT_MS;
    let frames = [
        request_frame(&produce("a"), 9, 1),
        request_frame(&fetch, 12, 2),
        request_frame(&metadata(), 12, 3),
        request_frame(&produce("b"), 9, 4),
    ];
    client.send_bytes(&frames.concat()).await;
}

#[tokio::test]
async fn requests_take_effect_and_are_answered_in_their_order() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    pipeline(&mut client, &topic).await;
    let first = results(decode_response::<ProduceRequest>(&client.receive_frame().await, 1, 9)).remove(0);
    assert_eq!((error(first.error_code), first.base_offset), (ErrorCode::None, 0));
    // The fetch waits for the last request, which nobody has to wait for.
    let fetched = decode_response::<FetchRequest>(&client.receive_frame().await, 2, 12);
    assert_eq!(records(&only_partition(fetched)), [(1, "b".to_owned())]);
    decode_response::<MetadataRequest>(&client.receive_frame().await, 3, 12);
    let last = results(decode_response::<ProduceRequest>(&client.receive_frame().await, 4, 9)).remove(0);
    assert_eq!((error(last.error_code), last.base_offset), (ErrorCode::None, 1));
}

#[tokio::test]
async fn many_requests_may_be_in_flight() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    let requests: Vec<_> =
        (0..500).map(|id| request_frame(&produce_request(&topic, vec![(0, Some(batch(&["a"])))]), 9, id)).collect();
    client.send_bytes(&requests.concat()).await;
    for id in 0..500 {
        let result = results(decode_response::<ProduceRequest>(&client.receive_frame().await, id, 9)).remove(0);
        assert_eq!(result.base_offset, i64::from(id));
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_long_poll_along() {
    let broker = TestBroker::start().await;
    let topic = broker.create_topic("t", 1).await;
    let mut fetch = fetch_request(&topic, 0, 0);
    fetch.max_wait_ms = LONG_WAIT_MS;
    let mut client = broker.client().await;
    client.send(&fetch, 12).await;
    drop(client);
    let gone = async {
        while broker.server().network_counters().active.load(Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, gone).await.expect("the connection ends before the poll would");
}
