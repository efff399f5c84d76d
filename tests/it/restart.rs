//! What is there after a stop, after a crash, and when a start is not possible.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
};

use ottla::{
    config::sources::CommandLine,
    protocol::{
        error_code::ErrorCode,
        messages::{FetchRequest, MetadataRequest, ProduceRequest},
    },
};
use tempfile::TempDir;

use crate::support::{
    BrokerProcess, LONG_WAIT_MS, RawClient, TestBroker, TestTopic, batch, blocking, decode_response, error,
    fetch_request, only_partition, produce_request, records, request_frame, results,
};

#[tokio::test]
async fn everything_is_there_after_a_stop() {
    let broker = TestBroker::start().await;
    let cluster_id = broker.server().broker().cluster_id().to_owned();
    let topic = broker.create_topic_with("t", 3, &[("cleanup.policy", "compact")]).await;
    let other = broker.create_topic("u", 1).await;
    let gone = broker.create_topic("gone", 1).await;
    let mut client = broker.client().await;
    client.append(&other, 0, &["a", "b"]).await;
    client.append(&other, 0, &["c"]).await;
    let delete =
        ottla::protocol::messages::DeleteTopicsRequest { topic_names: vec!["gone".into()], ..Default::default() };
    client.call(&delete, 5).await;
    let broker = broker.restarted().await;
    let mut client = broker.client().await;
    let all = client.call(&MetadataRequest { topics: None, ..MetadataRequest::default() }, 12).await;
    let mut topics: Vec<_> = all.topics.iter().map(|t| (t.name.as_deref(), t.topic_id, t.partitions.len())).collect();
    topics.sort();
    assert_eq!(topics, [(Some("t"), topic.id, 3), (Some("u"), other.id, 1)]);
    assert_eq!(all.cluster_id.as_deref(), Some(cluster_id.as_str()));
    let expected = [(0, "a"), (1, "b"), (2, "c")].map(|(offset, value)| (offset, value.to_owned()));
    assert_eq!(records(&client.fetch(&other, 0, 0).await), expected);
    assert_eq!(client.append(&other, 0, &["d"]).await, 3);
    let keyless = client.produce(&topic, 0, batch(&["a"]), 9).await;
    assert_eq!(error(keyless.error_code), ErrorCode::InvalidRecord, "it is still compacted");
    assert_eq!(error(client.fetch(&gone, 0, 0).await.error_code), ErrorCode::UnknownTopicId);
}

#[tokio::test]
async fn segments_are_found_again() {
    let broker = TestBroker::start().await;
    let topic = broker.create_topic_with("t", 1, &[("segment.bytes", "1048576")]).await;
    let mut client = broker.client().await;
    let value = "x".repeat(300_000);
    for _ in 0..10 {
        client.append(&topic, 0, &[&value]).await;
    }
    let count = |directory: &Path| {
        let files =
            fs::read_dir(directory.join("t-0")).expect("the partition").map(|file| file.expect("a file").path());
        files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).count()
    };
    let segments = count(broker.path());
    assert!(segments >= 3, "{segments}");
    let broker = broker.restarted().await;
    let mut client = broker.client().await;
    for offset in 0..10 {
        let fetched = records(&client.fetch(&topic, 0, offset).await);
        assert_eq!(fetched.first().map(|(offset, value)| (*offset, value.len())), Some((offset, 300_000)));
    }
    assert_eq!(count(broker.path()), segments);
}

async fn create(client: &mut RawClient) -> TestTopic {
    client.create_topic("t", 1, &[]).await
}

/// Reads a partition to its end.
async fn read_all(client: &mut RawClient, topic: &TestTopic) -> Vec<(i64, String)> {
    let mut all: Vec<(i64, String)> = Vec::new();
    loop {
        let next = all.last().map_or(0, |(offset, _)| offset + 1);
        let partition = client.fetch(topic, 0, next).await;
        assert_eq!(error(partition.error_code), ErrorCode::None);
        let read = records(&partition);
        if read.is_empty() {
            return all;
        }
        all.extend(read.into_iter().filter(|(offset, _)| *offset >= next));
    }
}

/// The value of record `number`: long enough for a batch to be torn.
fn value(number: usize) -> String {
    format!("{number} ").repeat(200)
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_there_and_nothing_is_torn() {
    let directory = TempDir::new().expect("a temporary directory");
    let process = BrokerProcess::start(directory.path());
    let mut client = RawClient::connect(process.address()).await;
    let topic = create(&mut client).await;
    let frames: Vec<_> = (0..400)
        .map(|id| {
            let records = batch(&[&value(id)]);
            request_frame(&produce_request(&topic, vec![(0, Some(records))]), 9, i32::try_from(id).expect("few"))
        })
        .collect();
    client.send_bytes(&frames.concat()).await;
    for id in 0..200 {
        let result = results(decode_response::<ProduceRequest>(&client.receive_frame().await, id, 9)).remove(0);
        assert_eq!((error(result.error_code), result.base_offset), (ErrorCode::None, i64::from(id)));
    }
    // The other half is on its way.
    process.kill();
    let process = BrokerProcess::start(directory.path());
    let mut client = RawClient::connect(process.address()).await;
    let all = read_all(&mut client, &topic).await;
    assert!(all.len() >= 200, "{}", all.len());
    let expected: Vec<_> = (0..).zip((0..all.len()).map(value)).collect();
    assert!(all == expected, "offsets are dense, and every record is what it was");
    assert_eq!(client.append(&topic, 0, &["next"]).await, i64::try_from(all.len()).expect("few"));
}

#[tokio::test]
async fn a_torn_tail_is_cut_off() {
    let directory = TempDir::new().expect("a temporary directory");
    let process = BrokerProcess::start(directory.path());
    let mut client = RawClient::connect(process.address()).await;
    let topic = create(&mut client).await;
    client.append(&topic, 0, &["a", "b"]).await;
    process.kill();
    let torn = batch(&["torn", "off"]);
    let mut log = OpenOptions::new()
        .append(true)
        .open(directory.path().join("t-0/00000000000000000000.log"))
        .expect("the segment");
    log.write_all(&torn[..torn.len() - 3]).expect("room on the disk");
    drop(log);
    let process = BrokerProcess::start(directory.path());
    let mut client = RawClient::connect(process.address()).await;
    assert_eq!(read_all(&mut client, &topic).await, [(0, "a".to_owned()), (1, "b".to_owned())]);
    assert_eq!(client.append(&topic, 0, &["c"]).await, 2);
}

#[tokio::test]
async fn a_signal_lets_the_long_poll_finish() {
    let directory = TempDir::new().expect("a temporary directory");
    let process = BrokerProcess::start(directory.path());
    let mut client = RawClient::connect(process.address()).await;
    let topic = create(&mut client).await;
    client.append(&topic, 0, &["a"]).await;
    let request = FetchRequest { max_wait_ms: LONG_WAIT_MS, ..fetch_request(&topic, 0, 1) };
    let produce = produce_request(&topic, vec![(0, Some(batch(&["b"])))]);
    // Once the produce request has its effect, the fetch before it has been taken up.
    let mut other = RawClient::connect(process.address()).await;
    let waiting = FetchRequest { min_bytes: 1 << 20, ..request };
    let id = client.send(&waiting, 16).await;
    let second = client.send(&produce, 9).await;
    while only_partition(other.call(&fetch_request(&topic, 0, 1), 16).await).high_watermark < 2 {
        tokio::task::yield_now().await;
    }
    process.terminate();
    let answered = only_partition(client.receive::<FetchRequest>(id, 16).await);
    assert_eq!(error(answered.error_code), ErrorCode::None);
    let produced = results(client.receive::<ProduceRequest>(second, 9).await).remove(0);
    assert_eq!((error(produced.error_code), produced.base_offset), (ErrorCode::None, 1));
    client.closed().await;
    let (code, said) = blocking(move || process.wait()).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(directory.path().join(".kafka_cleanshutdown").exists());
}

/// Runs the binary to its end, which is a failure, and returns the one line that it says.
fn refusal(directory: &Path, args: &[&str]) -> String {
    let (code, said) = BrokerProcess::spawn(directory, args).run_to_failure();
    assert_eq!(code, Some(1), "{args:?}: {said}");
    // Of root it is said first that it is root.
    let lines: Vec<_> = said.lines().filter(|line| !line.contains("running as root")).collect();
    assert_eq!(lines.len(), 1, "{args:?}: {said}");
    lines[0].to_owned()
}

#[tokio::test]
async fn a_directory_has_one_broker() {
    let broker = TestBroker::start().await;
    let said = refusal(broker.path(), &["--listen", "127.0.0.1:0"]);
    assert!(said.contains("in use") && said.contains(broker.path().to_str().expect("UTF-8")), "{said}");
    let topic = broker.create_topic("t", 1).await;
    assert_eq!(broker.client().await.append(&topic, 0, &["a"]).await, 0, "the first one does not notice");
}

#[tokio::test]
async fn a_directory_belongs_to_its_cluster_and_node() {
    let line =
        CommandLine { cluster_id: Some("ours".to_owned()), node_id: Some("3".to_owned()), ..CommandLine::default() };
    let directory = TestBroker::with_command_line(line).await.stop().await;
    let path = directory.path();
    let said = refusal(path, &["--listen", "127.0.0.1:0", "--node-id", "3", "--cluster-id", "theirs"]);
    assert!(said.contains("cluster ours, not theirs"), "{said}");
    let said = refusal(path, &["--listen", "127.0.0.1:0", "--node-id", "4"]);
    assert!(said.contains("node 3, not 4"), "{said}");
    assert!(path.join(".kafka_cleanshutdown").exists(), "it was left as it is");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let broker = TestBroker::start().await;
    let directory = TempDir::new().expect("a temporary directory");
    let address = broker.address().to_string();
    for start in 0..2 {
        let said = refusal(directory.path(), &["--listen", &address]);
        assert!(said.contains(&address), "{said}");
        let mark = directory.path().join(".kafka_cleanshutdown");
        assert!(mark.exists(), "start {start} left the directory as one that was closed");
    }
}

#[tokio::test]
async fn partitions_without_their_metadata_are_left_alone() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1).await;
    let directory = broker.stop().await;
    fs::remove_dir_all(directory.path().join("__cluster_metadata-0")).expect("removed");
    let said = refusal(directory.path(), &["--listen", "127.0.0.1:0"]);
    assert!(said.contains("no __cluster_metadata-0"), "{said}");
    assert!(directory.path().join("t-0").exists());
}

#[test]
fn a_setting_that_cannot_be_is_refused_in_one_line() {
    let directory = TempDir::new().expect("a temporary directory");
    for (args, expected) in [
        (&["--override", "num.partitions=many"][..], "num.partitions"),
        (&["--override", "num.partitions=0"], "at least 1"),
        (&["--override", "num.partition=4"], "did you mean num.partitions?"),
        (&["--override", "num.partitions"], "key=value"),
        (&["--node-id", "-1"], "node.id"),
        (&["--listen", "localhost"], "--listen"),
        (&["--listen", "127.0.0.1:99999"], "--listen"),
        (&["--config", "/nowhere/server.properties"], "/nowhere/server.properties"),
    ] {
        let said = refusal(directory.path(), args);
        assert!(said.contains(expected), "{args:?}: {said}");
    }
    assert_eq!(fs::read_dir(directory.path()).expect("readable").count(), 0, "nothing was written");
}
