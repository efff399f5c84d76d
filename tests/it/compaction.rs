//! Topics with `cleanup.policy=compact`, as their consumers see them.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use crate::support::{Consumed, TestBroker, blocking, consume_up_to_with_librdkafka, produce_with_librdkafka, within};

const KEYS: usize = 50;
const RECORDS: usize = 3_000;
const SOON: &str = "log.cleaner.backoff.ms=10";
pub(crate) const COMPACTED: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("internal.segment.bytes", "20000"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("file.delete.delay.ms", "0"),
];

pub(crate) fn log_bytes(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("listed"));
    let logs = entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "log"));
    // One that is just being deleted has no size.
    logs.map(|log| log.metadata().map_or(0, |metadata| metadata.len())).sum()
}

#[tokio::test]
async fn a_consumer_from_the_start_gets_the_last_value_of_every_key() {
    let broker = TestBroker::with(&[SOON]).await;
    broker.create_topic_with("t", 1, &COMPACTED).await;
    let records: Vec<_> =
        (0..RECORDS).map(|n| (format!("key-{}", n % KEYS), format!("value {n} {}", "x".repeat(100)))).collect();
    let latest: BTreeMap<_, _> = records.iter().cloned().collect();
    let address = broker.address();
    for (codec, part) in ["none", "lz4", "zstd"].iter().zip(records.chunks(RECORDS / 3)) {
        let part = part.to_vec();
        let settings = [("compression.type", *codec), ("batch.num.messages", "20"), ("enable.idempotence", "true")];
        blocking(move || produce_with_librdkafka(address, &settings, "t", &part)).await;
    }
    let directory = broker.path().join("t-0");
    within(async {
        // All but the active segment, and a last value of each key, goes.
        while log_bytes(&directory) > 2 * 20_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    // The last record is in the active segment, which stays as it is.
    let last = i64::try_from(RECORDS).expect("small") - 1;
    let consumed = blocking(move || consume_up_to_with_librdkafka(address, "t", last)).await;
    // What was compressed best is still in the active segment.
    assert!(consumed.len() < RECORDS / 2, "{} records are left", consumed.len());
    assert!(consumed.is_sorted_by_key(|(offset, _, _)| *offset));
    let map = |consumed: Vec<Consumed>| -> BTreeMap<_, _> {
        consumed.into_iter().map(|(_, key, value)| (key, value)).collect()
    };
    assert_eq!(map(consumed), latest);

    let broker = broker.restarted().await;
    let address = broker.address();
    assert_eq!(map(blocking(move || consume_up_to_with_librdkafka(address, "t", last)).await), latest);
}

#[tokio::test]
async fn nothing_is_compacted_where_the_cleaner_is_off() {
    let broker = TestBroker::with(&[SOON, "log.cleaner.enable=false"]).await;
    let other = TestBroker::with(&[SOON]).await;
    let records: Vec<_> = (0..500).map(|_| ("key".to_owned(), "x".repeat(200))).collect();
    for broker in [&broker, &other] {
        broker.create_topic_with("t", 1, &COMPACTED).await;
        let (address, records) = (broker.address(), records.clone());
        blocking(move || produce_with_librdkafka(address, &[("batch.num.messages", "20")], "t", &records)).await;
    }
    within(async {
        while log_bytes(&other.path().join("t-0")) > 40_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(log_bytes(&broker.path().join("t-0")) > 100_000);
}
