//! `Metadata`: which topics are answered for, which are created, and how the broker is reached.

use std::net::{Ipv4Addr, SocketAddr};

use ottla::{
    config::sources::CommandLine,
    protocol::{
        error_code::ErrorCode,
        messages::{
            MetadataRequest,
            metadata_request::MetadataRequestTopic,
            metadata_response::{MetadataResponse, MetadataResponseTopic},
        },
    },
};
use uuid::Uuid;

use crate::support::{RawClient, TestBroker, error, metadata_batches};

const HIGHEST: i16 = 13;

fn named(names: &[&str]) -> MetadataRequest {
    let topics = names.iter().map(|name| MetadataRequestTopic { name: Some((*name).into()), ..Default::default() });
    MetadataRequest { topics: Some(topics.collect()), ..MetadataRequest::default() }
}

fn by_id(id: Uuid) -> MetadataRequest {
    let topic = MetadataRequestTopic { topic_id: id, name: None, ..MetadataRequestTopic::default() };
    MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() }
}

fn names(response: &MetadataResponse) -> Vec<&str> {
    response.topics.iter().map(|topic| topic.name.as_deref().unwrap_or_default()).collect()
}

async fn topic(client: &mut RawClient, request: &MetadataRequest) -> MetadataResponseTopic {
    let mut response = client.call(request, HIGHEST).await;
    assert_eq!(response.topics.len(), 1);
    response.topics.remove(0)
}

#[tokio::test]
async fn all_topics_none_and_named_ones() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    broker.create_topic("b", 1).await;
    broker.create_topic("a", 2).await;
    for version in 0..=HIGHEST {
        let all = if version == 0 { named(&[]) } else { MetadataRequest { topics: None, ..Default::default() } };
        let mut response = client.call(&all, version).await;
        response.topics.sort_by(|a, b| a.name.as_deref().cmp(&b.name.as_deref()));
        assert_eq!(names(&response), ["a", "b"], "v{version}");
        assert_eq!(response.topics.iter().map(|topic| topic.partitions.len()).collect::<Vec<_>>(), [2, 1]);
        if version > 0 {
            assert_eq!(names(&client.call(&named(&[]), version).await), <[&str; 0]>::default(), "v{version}");
        }
        assert_eq!(names(&client.call(&named(&["b"]), version).await), ["b"], "v{version}");
    }
    assert_eq!(names(&client.call(&named(&["b", "b"]), HIGHEST).await), ["b"], "each once");
}

#[tokio::test]
async fn a_topic_is_described() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let created = broker.create_topic("t", 3).await;
    let topic = topic(&mut client, &named(&["t"])).await;
    assert_eq!((error(topic.error_code), topic.topic_id, topic.is_internal), (ErrorCode::None, created.id, false));
    for (index, partition) in (0..).zip(&topic.partitions) {
        assert_eq!((partition.partition_index, error(partition.error_code)), (index, ErrorCode::None));
        assert_eq!((partition.leader_id, partition.leader_epoch), (1, 0));
        assert_eq!((&partition.replica_nodes[..], &partition.isr_nodes[..]), (&[1][..], &[1][..]));
        assert!(partition.offline_replicas.is_empty());
    }
}

#[tokio::test]
async fn a_topic_is_found_by_its_id() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let created = broker.create_topic("t", 1).await;
    let found = topic(&mut client, &by_id(created.id)).await;
    assert_eq!((error(found.error_code), found.name.as_deref()), (ErrorCode::None, Some("t")));
    let unknown = topic(&mut client, &by_id(Uuid::from_u128(99))).await;
    assert_eq!((error(unknown.error_code), unknown.name.as_deref()), (ErrorCode::UnknownTopicId, None));
    assert_eq!(unknown.topic_id, Uuid::from_u128(99));
    // Versions 10 and 11 have room for an id, but ask by name.
    let early = client.call(&MetadataRequest { topics: by_id(created.id).topics, ..Default::default() }, 11).await;
    assert_eq!(error(early.topics[0].error_code), ErrorCode::InvalidRequest);
}

#[tokio::test]
async fn a_topic_is_created_when_it_is_named() {
    let broker = TestBroker::with(&["num.partitions=4"]).await;
    let mut client = broker.client().await;
    for version in 0..=HIGHEST {
        let name = format!("t{version}");
        let response = client.call(&named(&[&name]), version).await;
        assert_eq!(error(response.topics[0].error_code), ErrorCode::None, "v{version}");
        assert_eq!(response.topics[0].partitions.len(), 4);
    }
}

#[tokio::test]
async fn no_more_topics_are_created_than_one_request_may_create() {
    let broker = TestBroker::with(&["num.partitions=3334"]).await;
    let mut client = broker.client().await;
    let outcomes = |response: &MetadataResponse| -> Vec<_> {
        response.topics.iter().map(|topic| (error(topic.error_code), topic.partitions.len())).collect()
    };
    broker.create_topic("there", 1).await;
    let response = client.call(&named(&["a", "there", "b", "c"]), HIGHEST).await;
    let too_many = (ErrorCode::PolicyViolation, 0);
    assert_eq!(outcomes(&response), [too_many, (ErrorCode::None, 1), too_many, too_many]);
    let all = client.call(&MetadataRequest { topics: None, ..MetadataRequest::default() }, HIGHEST).await;
    assert_eq!(names(&all), ["there"]);
}

#[tokio::test]
async fn the_topics_of_a_request_are_created_in_one_commit() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let commits = || metadata_batches(broker.path());
    let before = commits();
    let response = client.call(&named(&["a", "no name", "b", "c.d", "c_d"]), HIGHEST).await;
    let errors: Vec<_> = response.topics.iter().map(|topic| error(topic.error_code)).collect();
    let invalid = ErrorCode::InvalidTopicException;
    assert_eq!(errors, [ErrorCode::None, invalid, ErrorCode::None, ErrorCode::None, invalid]);
    assert_eq!(commits(), before + 1);
    client.call(&named(&["a", "b"]), HIGHEST).await;
    assert_eq!(commits(), before + 1, "there is nothing to do");
}

#[tokio::test]
async fn a_topic_is_not_created_against_the_clients_will_or_the_brokers() {
    let (willing, unwilling) =
        tokio::join!(TestBroker::start(), TestBroker::with(&["auto.create.topics.enable=false"]));
    for (broker, allow) in [(&willing, false), (&unwilling, true)] {
        let mut client = broker.client().await;
        for (name, expected) in
            [("t", ErrorCode::UnknownTopicOrPartition), ("no name", ErrorCode::InvalidTopicException)]
        {
            let request = MetadataRequest { allow_auto_topic_creation: allow, ..named(&[name]) };
            assert_eq!(error(topic(&mut client, &request).await.error_code), expected);
        }
        let all = client.call(&MetadataRequest { topics: None, ..MetadataRequest::default() }, HIGHEST).await;
        assert_eq!(all.topics, []);
    }
}

#[tokio::test]
async fn a_topic_that_cannot_be_is_not_created() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    broker.create_topic("a.b", 1).await;
    let too_long = "x".repeat(250);
    for name in ["", ".", "..", "a/b", "a\0b", "ä", &too_long, "a_b"] {
        let topic = topic(&mut client, &named(&[name])).await;
        assert_eq!(error(topic.error_code), ErrorCode::InvalidTopicException, "{name:?}");
        assert_eq!(topic.name.as_deref(), Some(name));
    }
    let internal = topic(&mut client, &named(&["__cluster_metadata"])).await;
    assert_eq!(error(internal.error_code), ErrorCode::UnknownTopicOrPartition);
    let internal = topic(&mut client, &named(&["__consumer_offsets"])).await;
    assert_eq!((error(internal.error_code), internal.is_internal), (ErrorCode::UnknownTopicOrPartition, true));
}

#[tokio::test]
async fn operations_are_told_to_who_asks() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    broker.create_topic("t", 1).await;
    let unasked = client.call(&named(&["t"]), 10).await;
    assert_eq!(
        (unasked.cluster_authorized_operations, unasked.topics[0].topic_authorized_operations),
        (i32::MIN, i32::MIN)
    );
    let asking = MetadataRequest {
        include_cluster_authorized_operations: true,
        include_topic_authorized_operations: true,
        ..named(&["t"])
    };
    let asked = client.call(&asking, 10).await;
    // As Kafka's AclOperation counts: READ 3 to DELETE 6, DESCRIBE 8, the configs' 10 and 11 among a topic's.
    assert_eq!(asked.topics[0].topic_authorized_operations, 0b1101_1111_1000);
    assert!(asked.cluster_authorized_operations > 0);
}

#[tokio::test]
async fn the_broker_is_where_it_advertises_to_be() {
    let line = CommandLine { advertise: vec!["kafka.example:1234".to_owned()], ..CommandLine::default() };
    let broker = TestBroker::with_command_line(line).await;
    let response = broker.client().await.call(&named(&[]), HIGHEST).await;
    let brokers: Vec<_> = response.brokers.iter().map(|b| (b.node_id, b.host.as_str(), b.port)).collect();
    assert_eq!(brokers, [(1, "kafka.example", 1234)]);
    assert_eq!(response.controller_id, 1);
    assert_eq!(response.cluster_id.as_deref(), Some(broker.server().broker().cluster_id()));
}

#[tokio::test]
async fn a_wildcard_listener_is_where_the_client_found_it() {
    let line = CommandLine { listen: vec!["0.0.0.0:0".to_owned()], ..CommandLine::default() };
    let broker = TestBroker::with_command_line(line).await;
    let port = broker.address().port();
    for host in [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)] {
        let mut client = RawClient::connect(SocketAddr::from((host, port))).await;
        let response = client.call(&named(&[]), HIGHEST).await;
        assert_eq!(response.brokers[0].host.as_str(), host.to_string());
        assert_eq!(response.brokers[0].port, i32::from(port));
    }
}
