//! Many partitions, and many connections.

use std::sync::atomic::Ordering::Relaxed;

use ottla::protocol::{
    error_code::ErrorCode,
    messages::{CreateTopicsRequest, MetadataRequest, create_topics_request::CreatableTopic},
};

use crate::support::{BOUND, BrokerProcess, RawClient, TestBroker, TestTopic, error};

const PARTITIONS: i32 = 500;

#[tokio::test]
async fn two_thousand_partitions_are_created_listed_and_used() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let mut topics = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: PARTITIONS,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
        let created = client.call(&request, 7).await.topics.remove(0);
        assert_eq!(error(created.error_code), ErrorCode::None);
        topics.push(TestTopic { name: name.to_owned(), id: created.topic_id });
    }
    let all = client.call(&MetadataRequest { topics: None, ..MetadataRequest::default() }, 12).await;
    assert_eq!(all.topics.iter().map(|topic| topic.partitions.len()).sum::<usize>(), 2_000);
    for topic in &topics {
        assert_eq!(client.append(topic, PARTITIONS - 1, &["a"]).await, 0);
    }
    let broker = broker.restarted().await;
    let mut client = broker.client().await;
    for topic in &topics {
        assert_eq!(client.append(topic, PARTITIONS - 1, &["b"]).await, 1);
    }
}

#[tokio::test]
async fn more_partitions_than_open_files_stop_cleanly_and_start_after_a_kill() {
    const FILES: u32 = 400;
    const PARTITIONS: i32 = 600;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut topic = None;
    for (written, is_clean) in (0..).zip([true, false, true]) {
        let process = BrokerProcess::start_with_files(directory.path(), FILES);
        let mut client = RawClient::connect(process.address()).await;
        let topic = match &topic {
            Some(topic) => topic,
            None => topic.insert(client.create_topic("t", PARTITIONS, &[]).await),
        };
        for partition in 0..PARTITIONS {
            assert_eq!(client.append(topic, partition, &["a"]).await, written);
        }
        if is_clean {
            process.terminate();
            let (code, said) = process.wait();
            assert_eq!(code, Some(0), "{said}");
            assert!(directory.path().join(".kafka_cleanshutdown").exists(), "{said}");
        } else {
            process.kill();
        }
    }
}

#[tokio::test]
async fn idle_connections_are_in_nobodys_way() {
    let broker = TestBroker::start().await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(broker.client().await);
    }
    let topic = broker.create_topic("t", 1).await;
    assert_eq!(broker.client().await.append(&topic, 0, &["a"]).await, 0);
    let counters = broker.server().network_counters();
    assert!(counters.active.load(Relaxed) >= 300);
    // The last is as good as the first.
    let last: &mut RawClient = idle.last_mut().expect("300");
    last.append(&topic, 0, &["b"]).await;
    drop(idle);
    let gone = async {
        while counters.active.load(Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, gone).await.expect("they are let go");
}
