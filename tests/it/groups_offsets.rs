//! Offsets that groups commit, request by request.

use ottla::protocol::{
    error_code::ErrorCode,
    messages::{
        DeleteTopicsRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, OffsetFetchResponse,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic},
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics},
    },
    wire::StrBytes,
};
use uuid::Uuid;

use crate::{
    groups::{Member, group_broker, group_broker_with, group_client, stable_member},
    support::{RawClient, TestTopic, error, within},
};

const BATCHED_FROM: i16 = 8;
const TOPIC_IDS_FROM: i16 = 10;
const HIGHEST: i16 = 10;

/// An offset of a partition as a response tells it.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    partition: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: String,
    error: ErrorCode,
}

impl Told {
    fn none(partition: i32, error: ErrorCode) -> Self {
        Self { partition, offset: -1, leader_epoch: -1, metadata: String::new(), error }
    }
}

fn unknown_topic() -> TestTopic {
    TestTopic { name: "no-such-topic".to_owned(), id: Uuid::from_u128(7) }
}

fn to_commit(partition_index: i32, committed_offset: i64) -> OffsetCommitRequestPartition {
    OffsetCommitRequestPartition {
        partition_index,
        committed_offset,
        committed_metadata: Some("kept".into()),
        ..OffsetCommitRequestPartition::default()
    }
}

fn commit_topic(topic: &TestTopic, partitions: Vec<OffsetCommitRequestPartition>) -> OffsetCommitRequestTopic {
    let name = topic.name.as_str().into();
    OffsetCommitRequestTopic { name, topic_id: topic.id, partitions, ..OffsetCommitRequestTopic::default() }
}

/// A commit by somebody outside the group.
fn commit_request(group: &str, topics: Vec<OffsetCommitRequestTopic>) -> OffsetCommitRequest {
    OffsetCommitRequest { group_id: group.into(), topics, ..OffsetCommitRequest::default() }
}

/// The error of each partition, in the order of the response.
async fn commit(client: &mut RawClient, request: &OffsetCommitRequest, version: i16) -> Vec<(i32, ErrorCode)> {
    let topics = client.call(request, version).await.topics;
    let partitions = topics.into_iter().flat_map(|topic| topic.partitions);
    partitions.map(|partition| (partition.partition_index, error(partition.error_code))).collect()
}

/// Commits one offset, which must be taken.
async fn committed(client: &mut RawClient, group: &str, topic: &TestTopic, partition: i32, offset: i64) {
    let request = commit_request(group, vec![commit_topic(topic, vec![to_commit(partition, offset)])]);
    assert_eq!(commit(client, &request, HIGHEST).await, [(partition, ErrorCode::None)]);
}

/// Asks for the offsets of a group; without topics, for all.
fn fetch_request(group: &str, topics: Option<&[(&TestTopic, &[i32])]>, version: i16) -> OffsetFetchRequest {
    if version < BATCHED_FROM {
        let topics = topics.map(|topics| {
            let topics = topics.iter().map(|(topic, partitions)| OffsetFetchRequestTopic {
                name: topic.name.as_str().into(),
                partition_indexes: partitions.to_vec(),
                ..OffsetFetchRequestTopic::default()
            });
            topics.collect()
        });
        return OffsetFetchRequest { group_id: group.into(), topics, ..OffsetFetchRequest::default() };
    }
    let topics = topics.map(|topics| {
        let topics = topics.iter().map(|(topic, partitions)| OffsetFetchRequestTopics {
            name: topic.name.as_str().into(),
            topic_id: topic.id,
            partition_indexes: partitions.to_vec(),
            ..OffsetFetchRequestTopics::default()
        });
        topics.collect()
    });
    let group = OffsetFetchRequestGroup { group_id: group.into(), topics, ..OffsetFetchRequestGroup::default() };
    OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() }
}

/// Name or id of each topic, with what is told of its partitions.
fn told(response: OffsetFetchResponse, version: i16) -> Vec<(String, Vec<Told>)> {
    let told = |partition: i32, offset, leader_epoch, metadata: Option<StrBytes>, code| Told {
        partition,
        offset,
        leader_epoch,
        metadata: metadata.expect("never null").to_string(),
        error: error(code),
    };
    if version < BATCHED_FROM {
        assert_eq!(error(response.error_code), ErrorCode::None);
        let topics = response.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.into_iter().map(|p| {
                told(p.partition_index, p.committed_offset, p.committed_leader_epoch, p.metadata, p.error_code)
            });
            (topic.name.to_string(), partitions.collect())
        });
        return topics.collect();
    }
    let [group] = &response.groups[..] else { panic!("{response:?}") };
    assert_eq!(error(group.error_code), ErrorCode::None);
    let topics = group.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| {
            told(p.partition_index, p.committed_offset, p.committed_leader_epoch, p.metadata.clone(), p.error_code)
        });
        let name = if version < TOPIC_IDS_FROM { topic.name.to_string() } else { topic.topic_id.to_string() };
        (name, partitions.collect())
    });
    topics.collect()
}

async fn fetch(
    client: &mut RawClient,
    group: &str,
    topics: Option<&[(&TestTopic, &[i32])]>,
    version: i16,
) -> Vec<(String, Vec<Told>)> {
    let response = client.call(&fetch_request(group, topics, version), version).await;
    told(response, version)
}

/// The offsets of one topic's partitions.
async fn offsets(client: &mut RawClient, group: &str, topic: &TestTopic, partitions: &[i32]) -> Vec<i64> {
    let mut topics = fetch(client, group, Some(&[(topic, partitions)]), HIGHEST).await;
    topics.remove(0).1.iter().map(|told| told.offset).collect()
}

#[tokio::test]
async fn an_offset_is_committed_and_told_in_every_version() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let topic = broker.create_topic("every-version", 2).await;
    for version in 0..=10 {
        let group = format!("every-version-{version}");
        let mut to_commit = to_commit(1, 42);
        to_commit.committed_leader_epoch = if version >= 6 { 3 } else { -1 };
        let request = commit_request(&group, vec![commit_topic(&topic, vec![to_commit])]);
        let response = client.call(&request, version).await;
        let [answered] = &response.topics[..] else { panic!("{response:?}") };
        let (name, id) = if version < TOPIC_IDS_FROM { (&*topic.name, Uuid::nil()) } else { ("", topic.id) };
        assert_eq!((answered.name.as_str(), answered.topic_id), (name, id));
        assert_eq!((answered.partitions[0].partition_index, answered.partitions[0].error_code), (1, 0));

        let epoch = if version >= 6 { 3 } else { -1 };
        let kept =
            Told { partition: 1, offset: 42, leader_epoch: epoch, metadata: "kept".into(), error: ErrorCode::None };
        let name = if version < TOPIC_IDS_FROM { topic.name.clone() } else { topic.id.to_string() };
        let missing = if version == 0 { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::None };
        let told = fetch(&mut client, &group, Some(&[(&topic, &[1, 0])]), version).await;
        assert_eq!(told, [(name.clone(), vec![kept.clone(), Told::none(0, missing)])], "version {version}");
        if version >= 2 {
            assert_eq!(fetch(&mut client, &group, None, version).await, [(name, vec![kept])], "version {version}");
        }
    }
}

#[tokio::test]
async fn a_group_that_nobody_knows_has_no_offsets() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let topic = broker.create_topic("nobody", 1).await;
    for version in 1..=10 {
        let told = fetch(&mut client, "nobody-knows", Some(&[(&topic, &[0, 9])]), version).await;
        assert_eq!(told[0].1, [Told::none(0, ErrorCode::None), Told::none(9, ErrorCode::None)]);
        if version >= 2 {
            assert_eq!(fetch(&mut client, "nobody-knows", None, version).await, []);
        }
    }
    // The id of no group is one, for those who use no group.
    assert_eq!(offsets(&mut client, "", &topic, &[0]).await, [-1]);
    committed(&mut client, "", &topic, 0, 5).await;
    assert_eq!(offsets(&mut client, "", &topic, &[0]).await, [5]);
}

#[tokio::test]
async fn what_does_not_exist_is_refused_by_itself() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let topic = broker.create_topic("exists", 2).await;
    for version in 0..=10 {
        let request = commit_request(
            "by-itself",
            vec![
                commit_topic(&topic, vec![to_commit(2, 1), to_commit(1, 1), to_commit(-1, 1)]),
                commit_topic(&unknown_topic(), vec![to_commit(0, 1)]),
            ],
        );
        let unknown = ErrorCode::UnknownTopicOrPartition;
        let topic_error = if version < TOPIC_IDS_FROM { unknown } else { ErrorCode::UnknownTopicId };
        let mut errors = commit(&mut client, &request, version).await;
        let mut expected = vec![(2, unknown), (1, ErrorCode::None), (-1, unknown), (0, topic_error)];
        // Which of them comes first is our own choice: Kafka sorts by what is wrong.
        errors.sort_by_key(|(partition, _)| *partition);
        expected.sort_by_key(|(partition, _)| *partition);
        assert_eq!(errors, expected, "version {version}");
    }
    let told = fetch(&mut client, "by-itself", Some(&[(&topic, &[0, 1, 2]), (&unknown_topic(), &[0, 1])]), 10).await;
    let told: Vec<_> = told.iter().flat_map(|(_, told)| told).map(|told| (told.offset, told.error)).collect();
    let unknown = (-1, ErrorCode::UnknownTopicId);
    assert_eq!(told, [(-1, ErrorCode::None), (1, ErrorCode::None), (-1, ErrorCode::None), unknown, unknown]);
    let told = fetch(&mut client, "by-itself", Some(&[(&unknown_topic(), &[0])]), 9).await;
    assert_eq!(told[0].1, [Told::none(0, ErrorCode::None)]);
}

#[tokio::test]
async fn several_groups_are_asked_at_once() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let topic = broker.create_topic("several", 1).await;
    committed(&mut client, "several-a", &topic, 0, 1).await;
    committed(&mut client, "several-b", &topic, 0, 2).await;
    for version in 8..=10 {
        let ids = ["several-b", "nobody-knows", "several-a", "several-b"];
        let groups = ids.iter().flat_map(|id| fetch_request(id, None, version).groups);
        let request = OffsetFetchRequest { groups: groups.collect(), require_stable: true, ..Default::default() };
        let groups = client.call(&request, version).await.groups;
        let told = groups.iter().map(|group| {
            assert_eq!(error(group.error_code), ErrorCode::None);
            let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
            (group.group_id.to_string(), partitions.map(|partition| partition.committed_offset).collect::<Vec<_>>())
        });
        let expected = [vec![2], vec![], vec![1], vec![2]];
        let expected = ids.iter().zip(expected).map(|(id, offsets)| ((*id).to_owned(), offsets));
        assert_eq!(told.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "version {version}");
    }
}

#[tokio::test]
async fn only_who_is_in_the_generation_commits_for_members() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let topic = broker.create_topic("generation", 1).await;
    let member = stable_member(&mut client, "generation", b"s").await;
    let by = |member: &Member| OffsetCommitRequest {
        member_id: member.id.as_str().into(),
        generation_id_or_member_epoch: member.generation,
        ..commit_request(&member.group, vec![commit_topic(&topic, vec![to_commit(0, 9)])])
    };
    let outcome =
        async |client: &mut RawClient, member: &Member, version| commit(client, &by(member), version).await.remove(0).1;
    let old = Member { generation: member.generation + 1, ..member.clone() };
    let stranger = Member { id: "stranger".to_owned(), ..member.clone() };
    let outside = Member { id: String::new(), generation: -1, ..member.clone() };
    let elsewhere = Member { group: "nobody-knows".to_owned(), ..member.clone() };
    assert_eq!(outcome(&mut client, &old, 9).await, ErrorCode::IllegalGeneration);
    assert_eq!(outcome(&mut client, &stranger, 9).await, ErrorCode::UnknownMemberId);
    assert_eq!(outcome(&mut client, &outside, 9).await, ErrorCode::UnknownMemberId);
    assert_eq!(outcome(&mut client, &elsewhere, 8).await, ErrorCode::IllegalGeneration);
    assert_eq!(outcome(&mut client, &elsewhere, 9).await, ErrorCode::GroupIdNotFound);
    assert_eq!(offsets(&mut client, "generation", &topic, &[0]).await, [-1]);
    assert_eq!(outcome(&mut client, &member, 9).await, ErrorCode::None);
    assert_eq!(offsets(&mut client, "generation", &topic, &[0]).await, [9]);
}

#[tokio::test]
async fn metadata_has_a_limit_of_its_own() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let topic = broker.create_topic("metadata-limit", 4).await;
    let with = |partition, metadata: Option<String>| OffsetCommitRequestPartition {
        committed_metadata: metadata.map(StrBytes::from),
        ..to_commit(partition, 1)
    };
    let partitions = vec![
        with(0, Some("m".repeat(4096))),
        with(1, Some("m".repeat(4097))),
        with(2, None),
        with(3, Some("é".repeat(4096))),
    ];
    let errors =
        commit(&mut client, &commit_request("metadata-limit", vec![commit_topic(&topic, partitions)]), 9).await;
    let too_large = ErrorCode::OffsetMetadataTooLarge;
    assert_eq!(errors, [(0, ErrorCode::None), (1, too_large), (2, ErrorCode::None), (3, ErrorCode::None)]);
    let told = fetch(&mut client, "metadata-limit", Some(&[(&topic, &[0, 1, 2])]), 9).await;
    let lengths: Vec<_> = told[0].1.iter().map(|told| (told.offset, told.metadata.len())).collect();
    assert_eq!(lengths, [(1, 4096), (-1, 0), (1, 0)]);
}

#[tokio::test]
async fn a_hundred_thousand_partitions_in_one_commit_are_answered() {
    const COUNT: i32 = 100_000;
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let topic = broker.create_topic("many-partitions", 1).await;
    let partitions = (0..COUNT).map(|index| to_commit(index, 1)).collect();
    let mut errors = commit(&mut client, &commit_request("many", vec![commit_topic(&topic, partitions)]), 9).await;
    errors.sort_by_key(|(partition, _)| *partition);
    assert_eq!(errors.len(), 100_000);
    assert_eq!(errors[0], (0, ErrorCode::None));
    assert!(errors[1..].iter().all(|(_, error)| *error == ErrorCode::UnknownTopicOrPartition));

    // All of them exist: more than a batch of the coordinator's log holds.
    let partitions = (0..COUNT).map(|_| to_commit(0, 2)).collect();
    let errors = commit(&mut client, &commit_request("many", vec![commit_topic(&topic, partitions)]), 9).await;
    assert_eq!(errors.len(), 100_000);
    assert!(errors.iter().all(|(_, error)| *error == ErrorCode::UnknownServerError), "{:?}", errors[0]);
    assert_eq!(offsets(&mut client, "many", &topic, &[0]).await, [1], "it has changed nothing");
}

fn delete_request(group: &str, topics: &[(&TestTopic, &[i32])]) -> OffsetDeleteRequest {
    let topics = topics.iter().map(|(topic, partitions)| OffsetDeleteRequestTopic {
        name: topic.name.as_str().into(),
        partitions: partitions.iter().map(|index| OffsetDeleteRequestPartition { partition_index: *index }).collect(),
    });
    OffsetDeleteRequest { group_id: group.into(), topics: topics.collect() }
}

/// The error of all, and that of each partition.
async fn deleted(client: &mut RawClient, request: &OffsetDeleteRequest) -> (ErrorCode, Vec<(i32, ErrorCode)>) {
    let response = client.call(request, 0).await;
    let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    let mut errors: Vec<_> =
        partitions.map(|partition| (partition.partition_index, error(partition.error_code))).collect();
    errors.sort_by_key(|(partition, _)| *partition);
    (error(response.error_code), errors)
}

/// What a consumer tells of itself that subscribes to this topic: `ConsumerProtocolSubscription` of version 0.
fn subscription_to(topic: &str) -> Vec<u8> {
    let length = u16::try_from(topic.len()).expect("a short name").to_be_bytes();
    [&[0, 0, 0, 0, 0, 1][..], &length, topic.as_bytes(), &(-1_i32).to_be_bytes()].concat()
}

#[tokio::test]
async fn offsets_are_deleted_unless_somebody_subscribes_to_the_topic() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let (read, unread) = (broker.create_topic("still-read", 2).await, broker.create_topic("not-read", 2).await);
    committed(&mut client, "deleting", &read, 0, 1).await;
    committed(&mut client, "deleting", &unread, 0, 1).await;
    let member = stable_member(&mut client, "deleting", &subscription_to("still-read")).await;
    let request = delete_request("deleting", &[(&read, &[0]), (&unread, &[1, 2]), (&unknown_topic(), &[3])]);
    let unknown = ErrorCode::UnknownTopicOrPartition;
    let expected = vec![(0, ErrorCode::GroupSubscribedToTopic), (1, ErrorCode::None), (2, unknown), (3, unknown)];
    assert_eq!(deleted(&mut client, &request).await, (ErrorCode::None, expected));
    let request = delete_request("deleting", &[(&unread, &[0])]);
    assert_eq!(deleted(&mut client, &request).await, (ErrorCode::None, vec![(0, ErrorCode::None)]));
    assert_eq!(offsets(&mut client, "deleting", &read, &[0]).await, [1]);
    assert_eq!(offsets(&mut client, "deleting", &unread, &[0]).await, [-1]);
    assert_eq!(member.group, "deleting");
    let nobody = delete_request("nobody-knows", &[(&unread, &[0])]);
    assert_eq!(deleted(&mut client, &nobody).await, (ErrorCode::GroupIdNotFound, vec![]));
    let nothing = delete_request("nobody-knows", &[]);
    assert_eq!(deleted(&mut client, &nothing).await, (ErrorCode::GroupIdNotFound, vec![]));
    assert_eq!(deleted(&mut client, &delete_request("", &[])).await, (ErrorCode::InvalidGroupId, vec![]));
}

#[tokio::test]
async fn a_deleted_topic_takes_its_offsets_along() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let (gone, stays) = (broker.create_topic("gone", 1).await, broker.create_topic("stays", 1).await);
    committed(&mut client, "deleted-topic", &gone, 0, 4).await;
    committed(&mut client, "deleted-topic", &stays, 0, 5).await;
    let request = DeleteTopicsRequest { topic_names: vec!["gone".into()], timeout_ms: 1000, ..Default::default() };
    assert_eq!(client.call(&request, 5).await.responses[0].error_code, 0);
    let kept = Told { partition: 0, offset: 5, leader_epoch: -1, metadata: "kept".into(), error: ErrorCode::None };
    let again = broker.create_topic("gone", 1).await;
    assert_eq!(offsets(&mut client, "deleted-topic", &again, &[0]).await, [-1]);
    assert_eq!(fetch(&mut client, "deleted-topic", None, 9).await, [("stays".to_owned(), vec![kept.clone()])]);
    assert_eq!(fetch(&mut client, "deleted-topic", None, 10).await, [(stays.id.to_string(), vec![kept])]);
    let old = commit_request("deleted-topic", vec![commit_topic(&gone, vec![to_commit(0, 1)])]);
    assert_eq!(commit(&mut client, &old, 10).await, [(0, ErrorCode::UnknownTopicId)]);
}

#[tokio::test]
async fn an_offset_expires_when_its_client_wants_it_to() {
    let broker = group_broker_with(&["offsets.retention.check.interval.ms=10"]).await;
    let mut client = group_client(&broker).await;
    let topic = broker.create_topic("expiring", 2).await;
    for version in 2..=4 {
        let group = format!("expiring-{version}");
        let of = |partition| commit_request(&group, vec![commit_topic(&topic, vec![to_commit(partition, 1)])]);
        let kept = of(0);
        let expiring = OffsetCommitRequest { retention_time_ms: 1, ..of(1) };
        assert_eq!(commit(&mut client, &kept, version).await, [(0, ErrorCode::None)]);
        assert_eq!(commit(&mut client, &expiring, version).await, [(1, ErrorCode::None)]);
        within(async { while offsets(&mut client, &group, &topic, &[1]).await != [-1] {} }).await;
        assert_eq!(offsets(&mut client, &group, &topic, &[0]).await, [1]);
    }
}

#[tokio::test]
async fn offsets_are_there_after_a_restart() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let topic = broker.create_topic("restarted", 2).await;
    committed(&mut client, "restarted", &topic, 0, 4).await;
    committed(&mut client, "restarted", &topic, 0, 5).await;
    committed(&mut client, "restarted", &topic, 1, 6).await;
    client.call(&delete_request("restarted", &[(&topic, &[1])]), 0).await;
    let broker = broker.restarted().await;
    let mut client = group_client(&broker).await;
    let request = fetch_request("restarted", None, 9);
    let response = within(async {
        loop {
            let response = client.call(&request, 9).await;
            if error(response.groups[0].error_code) != ErrorCode::CoordinatorLoadInProgress {
                break response;
            }
        }
    });
    let response = response.await;
    let kept = Told { partition: 0, offset: 5, leader_epoch: -1, metadata: "kept".into(), error: ErrorCode::None };
    assert_eq!(told(response, 9), [("restarted".to_owned(), vec![kept])]);
}

#[tokio::test]
async fn without_the_topic_nobody_keeps_offsets_yet() {
    let broker = group_broker().await;
    let mut client = broker.client().await;
    let topic = broker.create_topic("t", 1).await;
    let request = commit_request("g", vec![commit_topic(&topic, vec![to_commit(0, 1), to_commit(1, 1)])]);
    let expected = [(0, ErrorCode::NotCoordinator), (1, ErrorCode::UnknownTopicOrPartition)];
    assert_eq!(commit(&mut client, &request, 9).await, expected);
    let asked = Some(&[(&topic, &[0, 1][..])][..]);
    let old = client.call(&fetch_request("g", asked, 1), 1).await;
    let errors: Vec<_> = old.topics[0].partitions.iter().map(|partition| error(partition.error_code)).collect();
    assert_eq!(errors, [ErrorCode::NotCoordinator; 2]);
    let newer = client.call(&fetch_request("g", asked, 7), 7).await;
    assert_eq!((error(newer.error_code), newer.topics.len()), (ErrorCode::NotCoordinator, 0));
    let newest = client.call(&fetch_request("g", asked, 10), 10).await;
    assert_eq!((error(newest.groups[0].error_code), newest.groups[0].topics.len()), (ErrorCode::NotCoordinator, 0));
    assert_eq!(deleted(&mut client, &delete_request("g", &[])).await, (ErrorCode::NotCoordinator, vec![]));
}
