//! Records in and out: by librdkafka with every codec, and batch by batch with everything that can be wrong with one.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use bytes::Bytes;
use ottla::{
    handlers::api::SUPPORTED,
    protocol::{
        error_code::ErrorCode,
        messages::{
            ApiKey, MetadataRequest, ProduceRequest,
            produce_response::{PartitionProduceResponse, TopicProduceResponse},
        },
        records::{
            batch::{BatchHeader, HEADER_SIZE, RecordBatch},
            builder::{BatchBuilder, NewRecord},
            compression::Compression,
        },
    },
};
use uuid::Uuid;

use crate::support::{
    BOUND, RawClient, TestBroker, TestTopic, batch, batches, blocking, build, consume_with_librdkafka, error,
    produce_request, produce_with_librdkafka, record, records, request_frame_of, results,
};

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
/// The version that most requests here have: the last that names topics.
const BY_NAME: i16 = 12;

#[tokio::test]
async fn librdkafka_gets_back_what_it_produced_with_every_codec() {
    let broker = TestBroker::start().await;
    let address = broker.address();
    for codec in CODECS {
        // Not created before: librdkafka's metadata request does that.
        let topic = codec.name();
        let sent: Vec<_> = (0..500).map(|n| (format!("key {n}"), format!("value {n} ").repeat(n % 7))).collect();
        let settings = [("compression.codec", topic), ("batch.num.messages", "50"), ("acks", "all")];
        let consumed = blocking(move || {
            produce_with_librdkafka(address, &settings, topic, &sent);
            let consumed = consume_with_librdkafka(address, topic, sent.len());
            let expected: Vec<_> = (0..).zip(sent).map(|(offset, (key, value))| (offset, key, value)).collect();
            assert!(consumed == expected, "{topic}: something is missing, changed or out of order");
            consumed
        });
        assert_eq!(consumed.await.len(), 500);
    }
    let mut client = broker.client().await;
    // librdkafka takes a broker without FindCoordinator for one that is older than lz4.
    let knows_lz4 = SUPPORTED.iter().any(|api| api.key == ApiKey::FindCoordinator);
    for codec in CODECS.into_iter().filter(|codec| knows_lz4 || *codec != Compression::Lz4) {
        let topic = TestTopic { name: codec.name().to_owned(), id: id_of(&mut client, codec.name()).await };
        let stored = batches(&client.fetch(&topic, 0, 0).await);
        assert!(stored.iter().any(|batch| batch.header().compression_id() == codec.id()), "{}", codec.name());
    }
}

async fn id_of(client: &mut RawClient, name: &str) -> Uuid {
    let all = client.call(&MetadataRequest { topics: None, ..MetadataRequest::default() }, 12).await;
    all.topics.iter().find(|topic| topic.name.as_deref() == Some(name)).expect("the topic").topic_id
}

#[tokio::test]
async fn a_batch_is_acknowledged_in_every_version() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    let mut expected = Vec::new();
    for version in 3..=13 {
        let value = format!("v{version}");
        for acks in [1, -1] {
            let offset = i64::try_from(expected.len()).expect("few");
            let request = ProduceRequest { acks, ..produce_request(&topic, vec![(0, Some(batch(&[&value])))]) };
            let result = results(client.call(&request, version).await).remove(0);
            let log_start_offset = if version >= 5 { 0 } else { -1 };
            let answer =
                (error(result.error_code), result.base_offset, result.log_start_offset, result.log_append_time_ms);
            assert_eq!(answer, (ErrorCode::None, offset, log_start_offset, -1), "v{version}");
            expected.push((offset, value.clone()));
        }
    }
    assert_eq!(records(&client.fetch(&topic, 0, 0).await), expected);
}

#[tokio::test]
async fn nothing_is_said_when_no_acknowledgement_is_wanted() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    let unacknowledged = ProduceRequest { acks: 0, ..produce_request(&topic, vec![(0, Some(batch(&["a"])))]) };
    client.send(&unacknowledged, BY_NAME).await;
    // The next answer is that to the next request, and the record is there by then.
    assert_eq!(client.append(&topic, 0, &["b"]).await, 1);
    let unknown = TestTopic { name: "unknown".to_owned(), ..topic };
    let failing = ProduceRequest { acks: 0, ..produce_request(&unknown, vec![(0, Some(batch(&["a"])))]) };
    client.send(&failing, BY_NAME).await;
    client.closed().await;
}

#[tokio::test]
async fn each_partition_has_its_own_result() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 2).await;
    let none = TestTopic { name: "none".to_owned(), id: Uuid::nil() };
    let mut request = produce_request(&topic, vec![(0, Some(batch(&["a"]))), (1, None), (7, Some(batch(&["a"])))]);
    request.topic_data.extend(produce_request(&none, vec![(0, Some(batch(&["a"])))]).topic_data);
    let response = client.call(&request, BY_NAME).await;
    let outcomes: Vec<_> = response
        .responses
        .iter()
        .flat_map(|TopicProduceResponse { name, partition_responses, .. }| {
            partition_responses.iter().map(move |p| (name.as_str(), p.index, error(p.error_code), p.base_offset))
        })
        .collect();
    let expected = [
        ("t", 0, ErrorCode::None, 0),
        ("t", 1, ErrorCode::InvalidRecord, -1),
        ("t", 7, ErrorCode::UnknownTopicOrPartition, -1),
        ("none", 0, ErrorCode::UnknownTopicOrPartition, -1),
    ];
    assert_eq!(outcomes, expected);
}

#[tokio::test]
async fn topics_are_named_by_id_from_version_13_on() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    assert_eq!(error(client.produce(&topic, 0, batch(&["a"]), 13).await.error_code), ErrorCode::None);
    let unknown = TestTopic { id: Uuid::from_u128(5), ..topic };
    assert_eq!(error(client.produce(&unknown, 0, batch(&["a"]), 13).await.error_code), ErrorCode::UnknownTopicId);
}

#[tokio::test]
async fn a_partition_that_is_named_twice_gets_nothing() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 2).await;
    let one = || Some(batch(&["a"]));
    let mut request = produce_request(&topic, vec![(0, one()), (1, one())]);
    request.topic_data.extend(produce_request(&topic, vec![(0, one())]).topic_data);
    let outcomes: Vec<_> =
        results(client.call(&request, BY_NAME).await).iter().map(|p| (p.index, error(p.error_code))).collect();
    let expected = [(0, ErrorCode::InvalidRequest), (1, ErrorCode::None), (0, ErrorCode::InvalidRequest)];
    assert_eq!(outcomes, expected);
    assert_eq!(client.append(&topic, 0, &["b"]).await, 0);
}

#[tokio::test]
async fn many_partitions_that_are_named_twice_are_found_in_time() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    // Looking each up in a list of all would take a minute.
    let mut request = produce_request(&topic, (0..60_000).map(|index| (index, None)).collect());
    request.topic_data.extend(request.topic_data.clone());
    let start = Instant::now();
    let results = results(client.call(&request, BY_NAME).await);
    assert!(start.elapsed() < BOUND, "{:?}", start.elapsed());
    assert_eq!(results.len(), 120_000);
    assert!(results.iter().all(|result| error(result.error_code) == ErrorCode::InvalidRequest));
}

#[tokio::test]
async fn a_long_request_lets_others_have_their_turn() {
    // One thread serves both connections, so without turns the order of the answers is that of the requests.
    let broker = TestBroker::start().await;
    let (mut long, mut short) = (broker.client().await, broker.client().await);
    let topic = broker.create_topic("t", 1).await;
    let request = produce_request(&topic, (0..5_000).map(|index| (index, None)).collect());
    let metadata = MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() };
    short.call(&metadata, 12).await;
    let answered = AtomicUsize::new(0);
    let (long, short) = tokio::join!(
        async {
            long.call(&request, BY_NAME).await;
            answered.fetch_add(1, Ordering::Relaxed)
        },
        async {
            // The long request is being served when this one comes.
            while broker.server().api_counters().requests[0].load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            short.call(&metadata, 12).await;
            answered.fetch_add(1, Ordering::Relaxed)
        }
    );
    assert_eq!((short, long), (0, 1));
}

#[tokio::test]
async fn clients_do_not_write_to_internal_topics() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    for name in ["__consumer_offsets", "__transaction_state", "__share_group_state"] {
        let topic = broker.create_topic_with(name, 1, &[("cleanup.policy", "compact")]).await;
        for version in [BY_NAME, 13] {
            let result = client.produce(&topic, 0, batch(&["a"]), version).await;
            assert_eq!((error(result.error_code), result.error_message), (ErrorCode::InvalidTopicException, None));
        }
        let unknown = client.produce(&topic, 1, batch(&["a"]), BY_NAME).await;
        assert_eq!(error(unknown.error_code), ErrorCode::UnknownTopicOrPartition);
        assert_eq!(client.fetch(&topic, 0, 0).await.high_watermark, 0);
        let request = produce_request(&topic, vec![(0, Some(batch(&["a"])))]);
        client.send_bytes(&request_frame_of("__admin_client", &request, BY_NAME, 1)).await;
        let by_admin = results(client.receive::<ProduceRequest>(1, BY_NAME).await);
        // Kafka lets whoever calls itself so write to them.
        assert_eq!(error(by_admin[0].error_code), ErrorCode::InvalidTopicException);
    }
}

#[tokio::test]
async fn acks_are_none_one_or_all() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    for acks in [2, -2, i16::MIN, i16::MAX] {
        let request = ProduceRequest { acks, ..produce_request(&topic, vec![(0, Some(batch(&["a"])))]) };
        let result = results(client.call(&request, BY_NAME).await).remove(0);
        assert_eq!(error(result.error_code), ErrorCode::InvalidRequiredAcks, "{acks}");
    }
    assert_eq!(client.append(&topic, 0, &["b"]).await, 0);
}

/// A batch of two records with something else in its header; the CRC is that of the result.
fn altered(alter: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let good = build(BatchBuilder::new(0), [record("a"), record("b")]);
    let mut header = *good.header();
    alter(&mut header);
    RecordBatch::assemble(header, &good.payload()).expect("a short batch").bytes().clone()
}

/// A batch of two records with another byte at `position`; the CRC is that of the original.
fn damaged(position: usize, byte: u8) -> Bytes {
    let mut bytes = batch(&["a", "b"]).to_vec();
    bytes[position] = byte;
    bytes.into()
}

#[tokio::test]
async fn a_batch_that_is_not_right_is_refused_as_kafka_does() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    let good = batch(&["a", "b"]);
    let two = Bytes::from([&good[..], &good[..]].concat());
    let cases: Vec<(&str, Bytes, ErrorCode)> = vec![
        ("empty", Bytes::new(), ErrorCode::InvalidRecord),
        ("cut short", good.slice(..good.len() - 1), ErrorCode::InvalidRecord),
        ("two batches", two, ErrorCode::InvalidRecord),
        ("a bad CRC", damaged(HEADER_SIZE + 5, 0xee), ErrorCode::CorruptMessage),
        ("a length below the least", damaged(11, 48), ErrorCode::CorruptMessage),
        ("magic 3", damaged(16, 3), ErrorCode::CorruptMessage),
        ("magic 1", damaged(16, 1), ErrorCode::UnsupportedForMessageFormat),
        ("magic 0", damaged(16, 0), ErrorCode::UnsupportedForMessageFormat),
        ("a base offset", altered(|header| header.base_offset = 5), ErrorCode::InvalidRecord),
        ("a last offset beyond", altered(|header| header.last_offset_delta = 2), ErrorCode::InvalidRecord),
        ("no record", altered(|header| header.record_count = 0), ErrorCode::InvalidRecord),
        ("a negative count", altered(|header| header.record_count = -1), ErrorCode::InvalidRecord),
        (
            "more records than there are",
            altered(|header| (header.record_count, header.last_offset_delta) = (3, 2)),
            ErrorCode::InvalidRecord,
        ),
        (
            "fewer records than there are",
            altered(|header| (header.record_count, header.last_offset_delta) = (1, 0)),
            ErrorCode::InvalidRecord,
        ),
        ("a control batch", altered(BatchHeader::set_control), ErrorCode::InvalidRecord),
        ("the broker's time", altered(|header| header.set_log_append_time(1)), ErrorCode::InvalidTimestamp),
        ("a delete horizon", altered(|header| header.attributes |= 0x40), ErrorCode::InvalidRecord),
        ("unknown attributes", altered(|header| header.attributes |= 0x100), ErrorCode::InvalidRecord),
        ("an unknown codec", altered(|header| header.set_compression_id(5)), ErrorCode::UnsupportedCompressionType),
        ("plain records as gzip", altered(|header| header.set_compression_id(1)), ErrorCode::CorruptMessage),
        ("a producer without a sequence", altered(|header| header.producer_id = 7), ErrorCode::InvalidRecord),
        ("records that lie about their size", resealed_with(HEADER_SIZE, 0x7e), ErrorCode::InvalidRecord),
        ("offset deltas that are not 0, 1", resealed_with(HEADER_SIZE + 3, 4), ErrorCode::InvalidRecord),
    ];
    for version in [3, 7, 8, BY_NAME] {
        for (what, bytes, expected) in &cases {
            let result = client.produce(&topic, 0, bytes.clone(), version).await;
            assert_eq!(error(result.error_code), *expected, "{what}, v{version}: {:?}", result.error_message);
            assert_eq!((result.base_offset, result.error_message.is_some()), (-1, version >= 8), "{what}, v{version}");
        }
    }
    let null = client.produce(&topic, 0, None, BY_NAME).await;
    assert_eq!(error(null.error_code), ErrorCode::InvalidRecord);
    assert_eq!(client.append(&topic, 0, &["c"]).await, 0, "nothing of all that was written");
}

/// A batch of two records with another byte at `position` and a CRC that vouches for it.
fn resealed_with(position: usize, byte: u8) -> Bytes {
    let bytes = damaged(position, byte);
    let header = BatchHeader::parse(&bytes).expect("a header");
    RecordBatch::assemble(header, &bytes[HEADER_SIZE..]).expect("a short batch").bytes().clone()
}

#[tokio::test]
async fn zstd_is_younger_than_the_format() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    let zstd = build(BatchBuilder::new(0).compression(Compression::Zstd, None), [record("a")]).bytes().clone();
    for version in 3..=13 {
        let result = client.produce(&topic, 0, zstd.clone(), version).await;
        let expected = if version < 7 { ErrorCode::UnsupportedCompressionType } else { ErrorCode::None };
        assert_eq!(error(result.error_code), expected, "v{version}");
    }
}

#[tokio::test]
async fn sizes_have_limits() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let small_messages = broker.create_topic_with("a", 1, &[("max.message.bytes", "200")]).await;
    let small_segments = broker.create_topic_with("b", 1, &[("segment.bytes", "1048576")]).await;
    let fits = batch(&[&"x".repeat(100)]);
    let too_large = batch(&[&"x".repeat(200)]);
    let larger_than_a_segment = batch(&[&"x".repeat(1_048_510)]);
    assert_eq!(error(client.produce(&small_messages, 0, fits, BY_NAME).await.error_code), ErrorCode::None);
    let refused = client.produce(&small_messages, 0, too_large, BY_NAME).await;
    assert_eq!(error(refused.error_code), ErrorCode::MessageTooLarge);
    let refused = client.produce(&small_segments, 0, larger_than_a_segment, BY_NAME).await;
    assert_eq!(error(refused.error_code), ErrorCode::RecordListTooLarge);
}

#[tokio::test]
async fn what_unpacks_to_too_much_is_refused() {
    let broker = TestBroker::with(&["max.decompressed.message.bytes=1000000"]).await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    let bomb = "x".repeat(2_000_000);
    for codec in CODECS.into_iter().skip(1) {
        let bytes = build(BatchBuilder::new(0).compression(codec, None), [record(&bomb)]).bytes().clone();
        assert!(bytes.len() < 200_000, "{}", codec.name());
        let result = client.produce(&topic, 0, bytes, BY_NAME).await;
        assert_eq!(error(result.error_code), ErrorCode::InvalidRecord, "{}", codec.name());
    }
}

/// Places of the records that were refused, and whether each came with a reason.
fn record_errors(result: &PartitionProduceResponse) -> Vec<(i32, bool)> {
    result.record_errors.iter().map(|error| (error.batch_index, error.batch_index_error_message.is_some())).collect()
}

#[tokio::test]
async fn a_compacted_topic_wants_keys() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic_with("t", 1, &[("cleanup.policy", "compact,delete")]).await;
    let with_key = |value| NewRecord { key: Some(b"k"), ..record(value) };
    let some = build(BatchBuilder::new(0), [record("a"), with_key("b"), record("c")]).bytes().clone();
    for version in [3, 7, 8, BY_NAME] {
        let result = client.produce(&topic, 0, some.clone(), version).await;
        assert_eq!(error(result.error_code), ErrorCode::InvalidRecord, "v{version}");
        let expected = if version >= 8 { vec![(0, true), (2, true)] } else { vec![] };
        assert_eq!(record_errors(&result), expected, "v{version}");
        assert_eq!(result.error_message.is_some(), version >= 8);
    }
    let all = build(BatchBuilder::new(0), [with_key("a"), with_key("b")]).bytes().clone();
    assert_eq!(error(client.produce(&topic, 0, all, BY_NAME).await.error_code), ErrorCode::None);
}

#[tokio::test]
async fn timestamps_have_limits_if_the_topic_says_so() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let limits = [("message.timestamp.before.max.ms", "3600000"), ("message.timestamp.after.max.ms", "3600000")];
    let topic = broker.create_topic_with("t", 1, &limits).await;
    let now = ottla::clock::wall_clock_ms();
    let at = |timestamp| NewRecord { timestamp, ..record("a") };
    let hours = 3_600_000;
    for bad in [now - 2 * hours, now + 2 * hours] {
        let bytes = build(BatchBuilder::new(0), [at(now), at(bad)]).bytes().clone();
        let result = client.produce(&topic, 0, bytes, BY_NAME).await;
        assert_eq!(error(result.error_code), ErrorCode::InvalidTimestamp, "{bad}");
        assert_eq!(record_errors(&result), [(1, true)]);
    }
    let bytes = build(BatchBuilder::new(0), [at(now), at(-1)]).bytes().clone();
    assert_eq!(error(client.produce(&topic, 0, bytes, BY_NAME).await.error_code), ErrorCode::None);
}

#[tokio::test]
async fn the_greatest_timestamp_is_found_not_believed() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    let lying = altered(|header| header.max_timestamp = i64::MAX);
    assert_eq!(error(client.produce(&topic, 0, lying, BY_NAME).await.error_code), ErrorCode::None);
    let stored = batches(&client.fetch(&topic, 0, 0).await);
    assert_eq!(stored[0].header().max_timestamp, record("a").timestamp);
}

#[tokio::test]
async fn the_broker_s_time_takes_the_place_of_the_producer_s() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic_with("t", 1, &[("message.timestamp.type", "LogAppendTime")]).await;
    let before = ottla::clock::wall_clock_ms();
    let result = client.produce(&topic, 0, batch(&["a", "b"]), BY_NAME).await;
    let after = ottla::clock::wall_clock_ms();
    assert!((before..=after).contains(&result.log_append_time_ms));
    let fetched = client.fetch(&topic, 0, 0).await;
    let stored = batches(&fetched);
    assert!(stored[0].header().is_log_append_time());
    assert_eq!(stored[0].header().max_timestamp, result.log_append_time_ms);
    assert_eq!(records(&fetched), [(0, "a".to_owned()), (1, "b".to_owned())]);
}

#[tokio::test]
async fn a_topic_s_codec_is_what_is_stored() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    for stored in ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"] {
        let topic = broker.create_topic_with(stored, 1, &[("compression.type", stored)]).await;
        let mut expected = Vec::new();
        for (offset, sent) in (0..).zip(CODECS) {
            let value = format!("{} ", sent.name()).repeat(50);
            let bytes = build(BatchBuilder::new(0).compression(sent, None), [record(&value)]).bytes().clone();
            let result = client.produce(&topic, 0, bytes, BY_NAME).await;
            assert_eq!((error(result.error_code), result.base_offset), (ErrorCode::None, offset), "{stored}");
            expected.push((offset, value));
        }
        let fetched = client.fetch(&topic, 0, 0).await;
        assert_eq!(records(&fetched), expected, "{stored}");
        for (batch, sent) in batches(&fetched).iter().zip(CODECS) {
            let codec = Compression::from_id(batch.header().compression_id()).expect("a codec");
            let wanted = match stored {
                "producer" => sent.name(),
                "uncompressed" => "none",
                codec => codec,
            };
            assert_eq!(codec.name(), wanted, "{stored} from {}", sent.name());
        }
    }
}

#[tokio::test]
async fn nobody_s_transaction_is_written_to() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 2).await;
    let transactional = build(BatchBuilder::new(0).producer(7, 0, 0).transactional(), [record("a")]).bytes().clone();
    let partitions = vec![(0, Some(transactional.clone())), (1, Some(batch(&["b"])))];
    let anonymous = produce_request(&topic, partitions);
    let errors: Vec<_> = results(client.call(&anonymous, BY_NAME).await).iter().map(|p| error(p.error_code)).collect();
    assert_eq!(errors, [ErrorCode::TransactionalIdAuthorizationFailed; 2], "the whole request");
    let named = ProduceRequest {
        transactional_id: Some("mine".into()),
        ..produce_request(&topic, vec![(0, Some(transactional))])
    };
    let refused = results(client.call(&named, BY_NAME).await)[0].error_code;
    assert_eq!(error(refused), ErrorCode::NotEnoughReplicas, "nobody has asked for a coordinator yet");
    for partition in [0, 1] {
        assert_eq!(client.append(&topic, partition, &["c"]).await, 0);
    }
}
