//! That what is altered takes effect: at once, on partitions that are in use, and after a restart.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use ottla::protocol::{
    error_code::ErrorCode,
    messages::ApiVersionsRequest,
    records::{builder::BatchBuilder, compression::Compression},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    compaction::{COMPACTED, log_bytes},
    configs::{ALL_BROKERS, BROKER, OWN_ID, TOPIC, alter, delete, done, set},
    retention::{OFTEN, append, logs, offset, starts_at, until},
    support::{
        RawClient, TestBroker, TestTopic, batches, blocking, build, error, produce_with_librdkafka, record,
        request_frame, within,
    },
};

const EARLIEST: i64 = -2;
/// What makes the batch of these tests, which has one record without a key, of 2023, with this many bytes.
const VALUE_BYTES: usize = 400;

/// What becomes of a batch that a producer sends without compression.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Refused(ErrorCode),
    Stored { codec: Compression, log_append_time: bool },
}

const AS_SENT: Fate = Fate::Stored { codec: Compression::None, log_append_time: false };

async fn produce(client: &mut RawClient, topic: &TestTopic) -> Fate {
    let value = "v".repeat(VALUE_BYTES);
    let batch: Bytes = build(BatchBuilder::new(0), [record(&value)]).bytes().clone();
    let result = client.produce(topic, 0, batch, 9).await;
    if error(result.error_code) != ErrorCode::None {
        return Fate::Refused(error(result.error_code));
    }
    let fetched = client.fetch(topic, 0, result.base_offset).await;
    let header = *batches(&fetched)[0].header();
    Fate::Stored {
        codec: Compression::from_id(header.compression_id()).expect("a codec"),
        log_append_time: header.is_log_append_time(),
    }
}

/// Sets a topic's key and deletes it: each takes effect at once, and holds after a restart.
async fn takes_effect_on_a_topic(key: &str, value: &str, expected: Fate) {
    let broker = TestBroker::start().await;
    let topic = broker.create_topic("t", 1).await;
    let mut client = broker.client().await;
    assert_eq!(produce(&mut client, &topic).await, AS_SENT);
    assert_eq!(alter(&mut client, TOPIC, "t", &[set(key, value)]).await, done());
    assert_eq!(produce(&mut client, &topic).await, expected);
    let broker = broker.restarted().await;
    let mut client = broker.client().await;
    assert_eq!(produce(&mut client, &topic).await, expected, "after a restart");
    assert_eq!(alter(&mut client, TOPIC, "t", &[delete(key)]).await, done());
    assert_eq!(produce(&mut client, &topic).await, AS_SENT);
    let broker = broker.restarted().await;
    assert_eq!(produce(&mut broker.client().await, &topic).await, AS_SENT, "after another restart");
}

/// Sets a broker key by which topics go, and the key's usual value once more specifically; a topic that sets the topic key
/// itself to the usual value goes by neither.
async fn takes_effect_as_default(key: (&str, &str), value: &str, usual: &str, expected: Fate) {
    let (broker_key, topic_key) = key;
    let broker = TestBroker::start().await;
    let topic = broker.create_topic("t", 1).await;
    let shielded = broker.create_topic_with("shielded", 1, &[(topic_key, usual)]).await;
    let mut client = broker.client().await;
    assert_eq!(alter(&mut client, BROKER, ALL_BROKERS, &[set(broker_key, value)]).await, done());
    assert_eq!(produce(&mut client, &topic).await, expected);
    assert_eq!(produce(&mut client, &shielded).await, AS_SENT);
    let late = broker.create_topic("late", 1).await;
    assert_eq!(produce(&mut client, &late).await, expected, "a topic that is created later");
    assert_eq!(alter(&mut client, BROKER, OWN_ID, &[set(broker_key, usual)]).await, done());
    assert_eq!(produce(&mut client, &topic).await, AS_SENT, "the broker's own goes first");

    let broker = broker.restarted().await;
    let mut client = broker.client().await;
    assert_eq!(produce(&mut client, &topic).await, AS_SENT, "after a restart");
    assert_eq!(alter(&mut client, BROKER, OWN_ID, &[delete(broker_key)]).await, done());
    assert_eq!(produce(&mut client, &topic).await, expected);

    let broker = broker.restarted().await;
    let mut client = broker.client().await;
    assert_eq!(produce(&mut client, &topic).await, expected, "after another restart");
    assert_eq!(produce(&mut client, &shielded).await, AS_SENT);
    assert_eq!(alter(&mut client, BROKER, ALL_BROKERS, &[delete(broker_key)]).await, done());
    assert_eq!(produce(&mut client, &topic).await, AS_SENT);
}

const TOO_LARGE: Fate = Fate::Refused(ErrorCode::MessageTooLarge);
const TOO_OLD: Fate = Fate::Refused(ErrorCode::InvalidTimestamp);
const WITHOUT_KEY: Fate = Fate::Refused(ErrorCode::InvalidRecord);
const COMPRESSED: Fate = Fate::Stored { codec: Compression::Lz4, log_append_time: false };
const RESTAMPED: Fate = Fate::Stored { codec: Compression::None, log_append_time: true };

#[tokio::test]
async fn a_topics_largest_batch() {
    takes_effect_on_a_topic("max.message.bytes", "300", TOO_LARGE).await;
}

#[tokio::test]
async fn a_topics_clock() {
    takes_effect_on_a_topic("message.timestamp.type", "LogAppendTime", RESTAMPED).await;
}

#[tokio::test]
async fn a_topics_oldest_timestamp() {
    takes_effect_on_a_topic("message.timestamp.before.max.ms", "1000", TOO_OLD).await;
}

#[tokio::test]
async fn a_topics_codec() {
    takes_effect_on_a_topic("compression.type", "lz4", COMPRESSED).await;
}

#[tokio::test]
async fn a_topics_need_of_keys() {
    takes_effect_on_a_topic("cleanup.policy", "compact", WITHOUT_KEY).await;
}

#[tokio::test]
async fn the_default_largest_batch() {
    takes_effect_as_default(("message.max.bytes", "max.message.bytes"), "300", "1048588", TOO_LARGE).await;
}

#[tokio::test]
async fn the_default_clock() {
    let key = ("log.message.timestamp.type", "message.timestamp.type");
    takes_effect_as_default(key, "LogAppendTime", "CreateTime", RESTAMPED).await;
}

#[tokio::test]
async fn the_default_oldest_timestamp() {
    let key = ("log.message.timestamp.before.max.ms", "message.timestamp.before.max.ms");
    takes_effect_as_default(key, "1000", "9223372036854775807", TOO_OLD).await;
}

#[tokio::test]
async fn the_default_codec() {
    takes_effect_as_default(("compression.type", "compression.type"), "lz4", "producer", COMPRESSED).await;
}

#[tokio::test]
async fn the_default_need_of_keys() {
    takes_effect_as_default(("log.cleanup.policy", "cleanup.policy"), "compact", "delete", WITHOUT_KEY).await;
}

/// The first offsets of the segments.
fn bases(directory: &Path, topic: &str) -> Vec<u64> {
    let names = logs(&directory.join(format!("{topic}-0")));
    names.iter().map(|name| name.trim_end_matches(".log").parse().expect("an offset")).collect()
}

/// A mebibyte, of which three records of [`append`] fill one.
const MEBIBYTE: &str = "1048576";
const GIBIBYTE: &str = "1073741824";

#[tokio::test]
async fn a_topics_segment_size() {
    let broker = TestBroker::start().await;
    let topic = broker.create_topic("t", 1).await;
    let mut client = broker.client().await;
    append(&mut client, &topic, 4).await;
    assert_eq!(bases(broker.path(), "t"), [0]);
    assert_eq!(alter(&mut client, TOPIC, "t", &[set("segment.bytes", MEBIBYTE)]).await, done());
    append(&mut client, &topic, 4).await;
    assert_eq!(bases(broker.path(), "t"), [0, 4, 7]);
    let broker = broker.restarted().await;
    let mut client = broker.client().await;
    append(&mut client, &topic, 4).await;
    assert_eq!(bases(broker.path(), "t"), [0, 4, 7, 10]);
    assert_eq!(alter(&mut client, TOPIC, "t", &[delete("segment.bytes")]).await, done());
    append(&mut client, &topic, 4).await;
    assert_eq!(bases(broker.path(), "t"), [0, 4, 7, 10]);
}

#[tokio::test]
async fn the_default_segment_size() {
    let broker = TestBroker::start().await;
    let topic = broker.create_topic("t", 1).await;
    let shielded = broker.create_topic_with("shielded", 1, &[("segment.bytes", GIBIBYTE)]).await;
    let mut client = broker.client().await;
    assert_eq!(alter(&mut client, BROKER, ALL_BROKERS, &[set("log.segment.bytes", MEBIBYTE)]).await, done());
    for topic in [&topic, &shielded] {
        append(&mut client, topic, 4).await;
    }
    assert_eq!((bases(broker.path(), "t"), bases(broker.path(), "shielded")), (vec![0, 3], vec![0]));
    let broker = broker.restarted().await;
    let mut client = broker.client().await;
    append(&mut client, &topic, 4).await;
    assert_eq!(bases(broker.path(), "t"), [0, 3, 6]);
    assert_eq!(alter(&mut client, BROKER, OWN_ID, &[set("log.segment.bytes", GIBIBYTE)]).await, done());
    append(&mut client, &topic, 4).await;
    assert_eq!(bases(broker.path(), "t"), [0, 3, 6], "the broker's own goes first");
}

#[tokio::test]
async fn a_topics_retention_by_time() {
    let broker = TestBroker::with(&[OFTEN, "log.retention.ms=-1"]).await;
    // Records here are of 2023.
    let topic = broker.create_topic("t", 1).await;
    let kept = broker.create_topic("kept", 1).await;
    let mut client = broker.client().await;
    for topic in [&topic, &kept] {
        client.append(topic, 0, &["a", "b"]).await;
    }
    assert_eq!(alter(&mut client, TOPIC, "t", &[set("retention.ms", "1000")]).await, done());
    starts_at(&mut client, &topic, 2).await;
    let broker = broker.restarted().await;
    let mut client = broker.client().await;
    client.append(&topic, 0, &["c"]).await;
    starts_at(&mut client, &topic, 3).await;
    assert_eq!(offset(&mut client, &kept, EARLIEST).await, 0);
}

#[tokio::test]
async fn a_topics_retention_by_size() {
    let broker = TestBroker::with(&[OFTEN]).await;
    let configs = [("segment.bytes", MEBIBYTE), ("retention.ms", "-1")];
    let topic = broker.create_topic_with("t", 1, &configs).await;
    let mut client = broker.client().await;
    append(&mut client, &topic, 10).await;
    assert_eq!(offset(&mut client, &topic, EARLIEST).await, 0);
    assert_eq!(alter(&mut client, TOPIC, "t", &[set("retention.bytes", "1500000")]).await, done());
    // Ten records in segments of three: 3 MB, of which five records have to stay, so seven do.
    starts_at(&mut client, &topic, 3).await;
    let broker = broker.restarted().await;
    let mut client = broker.client().await;
    append(&mut client, &topic, 3).await;
    starts_at(&mut client, &topic, 6).await;
}

#[tokio::test]
async fn a_topics_deletion_of_old_segments() {
    let broker = TestBroker::with(&[OFTEN]).await;
    let configs = [("segment.bytes", MEBIBYTE), ("retention.ms", "1000"), ("cleanup.policy", "")];
    let topic = broker.create_topic_with("t", 1, &configs).await;
    let mut client = broker.client().await;
    append(&mut client, &topic, 4).await;
    assert_eq!(offset(&mut client, &topic, EARLIEST).await, 0);
    assert_eq!(alter(&mut client, TOPIC, "t", &[delete("cleanup.policy")]).await, done());
    starts_at(&mut client, &topic, 4).await;
}

#[tokio::test]
async fn the_default_retention_by_time() {
    let broker = TestBroker::with(&[OFTEN, "log.retention.ms=-1"]).await;
    let topic = broker.create_topic("t", 1).await;
    let shielded = broker.create_topic_with("shielded", 1, &[("retention.ms", "-1")]).await;
    let mut client = broker.client().await;
    for topic in [&topic, &shielded] {
        client.append(topic, 0, &["a", "b"]).await;
    }
    assert_eq!(alter(&mut client, BROKER, ALL_BROKERS, &[set("log.retention.ms", "1000")]).await, done());
    starts_at(&mut client, &topic, 2).await;
    assert_eq!(alter(&mut client, BROKER, ALL_BROKERS, &[delete("log.retention.ms")]).await, done());
    client.append(&topic, 0, &["c"]).await;
    assert_eq!(alter(&mut client, BROKER, OWN_ID, &[set("log.retention.ms", "1000")]).await, done());
    starts_at(&mut client, &topic, 3).await;

    let broker = broker.restarted().await;
    let mut client = broker.client().await;
    client.append(&topic, 0, &["d"]).await;
    starts_at(&mut client, &topic, 4).await;
    assert_eq!(offset(&mut client, &shielded, EARLIEST).await, 0);
}

#[tokio::test]
async fn the_delay_after_which_deleted_segments_go() {
    let broker = TestBroker::with(&[OFTEN]).await;
    let configs = [("retention.ms", "1000"), ("file.delete.delay.ms", "86400000")];
    let topic = broker.create_topic_with("t", 1, &configs).await;
    let mut client = broker.client().await;
    client.append(&topic, 0, &["a"]).await;
    starts_at(&mut client, &topic, 1).await;
    let deleted = broker.path().join(format!("t-0/{:020}.log.deleted", 0));
    until(|| deleted.exists()).await;
    assert_eq!(alter(&mut client, TOPIC, "t", &[set("file.delete.delay.ms", "0")]).await, done());
    client.append(&topic, 0, &["b"]).await;
    starts_at(&mut client, &topic, 2).await;
    let next = broker.path().join("t-0/00000000000000000001.log.deleted");
    let directory = broker.path().join("t-0");
    until(|| logs(&directory) == ["00000000000000000002.log"] && !next.exists()).await;
    assert!(deleted.exists(), "what went before keeps the delay it went with");
}

/// Whether somebody else is served at the same time.
async fn is_served(broker: &TestBroker) -> bool {
    let mut stream = TcpStream::connect(broker.address()).await.expect("the port is open");
    let frame = request_frame(&ApiVersionsRequest::default(), 0, 1);
    // One that is closed at once may refuse this already.
    let sent = stream.write_all(&frame).await;
    let mut answer = [0; 4];
    sent.is_ok() && within(stream.read_exact(&mut answer)).await.is_ok()
}

#[tokio::test]
async fn how_many_connections_there_may_be() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    assert!(is_served(&broker).await);
    assert_eq!(alter(&mut client, BROKER, OWN_ID, &[set("max.connections", "1")]).await, done());
    assert!(!is_served(&broker).await);
    assert_eq!(alter(&mut client, BROKER, OWN_ID, &[delete("max.connections")]).await, done());
    assert!(is_served(&broker).await);
    assert_eq!(alter(&mut client, BROKER, ALL_BROKERS, &[set("max.connections", "1")]).await, done());
    drop(client);
    let broker = broker.restarted().await;
    let mut client = broker.client().await;
    client.call(&ApiVersionsRequest::default(), 0).await;
    assert!(!is_served(&broker).await, "after a restart");
}

#[tokio::test]
async fn the_rest_of_the_cleaners() {
    let broker = TestBroker::with(&["log.cleaner.backoff.ms=3600000"]).await;
    let records: Vec<_> = (0..500).map(|_| ("key".to_owned(), "x".repeat(200))).collect();
    broker.create_topic_with("t", 1, &COMPACTED).await;
    let address = broker.address();
    blocking(move || produce_with_librdkafka(address, &[("batch.num.messages", "20")], "t", &records)).await;
    let size = || log_bytes(&broker.path().join("t-0"));
    assert!(size() > 100_000);
    let mut client = broker.client().await;
    // The threads wait for an hour, but for this.
    let soon = [set("log.cleaner.backoff.ms", "10"), set("log.cleaner.threads", "2")];
    assert_eq!(alter(&mut client, BROKER, ALL_BROKERS, &soon).await, done());
    within(async {
        while size() > 40_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(
        alter(&mut client, BROKER, OWN_ID, &[set("log.cleaner.io.max.bytes.per.second", "1000000")]).await,
        done()
    );
    broker.stop().await;
}
