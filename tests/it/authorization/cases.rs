//! The cases, by what they are about.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ottla::{
    handlers::api::SUPPORTED,
    protocol::{messages::ApiKey, records::builder::BatchBuilder},
};
use serde_json::{Value as Json, json};

use super::World;
use crate::support::{batch, build, record};

pub(super) const TOPIC_DENIED: i16 = 29;
const GROUP_DENIED: i16 = 30;
const CLUSTER_DENIED: i16 = 31;
const TRANSACTION_DENIED: i16 = 53;
const UNKNOWN_ID: i16 = 100;
/// An id that no topic has.
const NO_TOPIC: &str = "34z9fofwTJGSWy7IY7GKKA";
/// Says that authorized operations are not told.
pub(super) const NOT_TOLD: i32 = i32::MIN;

/// What is asked, and what is answered: `None` where the connection ends instead.
pub(super) struct Case {
    pub(super) key: ApiKey,
    pub(super) version: i16,
    pub(super) request: Json,
    pub(super) answer: Option<Json>,
}

fn case(key: ApiKey, version: i16, request: Json, answer: Json) -> Case {
    Case { key, version, request, answer: Some(answer) }
}

pub(super) fn encoded(records: &[u8]) -> String {
    STANDARD.encode(records)
}

pub(super) fn cases(world: &World) -> Vec<Case> {
    [
        producing(world),
        fetching(world),
        describing_topics(world),
        groups(world),
        coordinators(),
        administration(world),
        configurations(),
        transactions(),
        the_rest(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn producing(world: &World) -> Vec<Case> {
    let plain = encoded(&batch(&["x"]));
    let transactional = encoded(build(BatchBuilder::new(0).producer(0, 0, 0).transactional(), [record("x")]).bytes());
    let idempotent = encoded(build(BatchBuilder::new(0).producer(7, 0, 0), [record("x")]).bytes());
    let topic = |name: &str, records: &str| json!({"name": name, "partitionData": [{"index": 0, "records": records}]});
    let refused = |name: &str, code: i16| json!({"name": name, "partitionResponses": [{"index": 0, "errorCode": code, "baseOffset": -1}]});
    let request = |acks: i16, topics: Json| json!({"transactionalId": null, "acks": acks, "timeoutMs": 1000, "topicData": topics});
    let own = |topics: Json| json!({"transactionalId": "tx", "acks": -1, "timeoutMs": 1000, "topicData": topics});
    let denied = |name: &str| json!({"responses": [refused(name, TOPIC_DENIED)]});
    let denied_transaction = || json!({"responses": [refused("tt", TRANSACTION_DENIED)]});
    let named = |name: &str, acks: i16| request(acks, json!([topic(name, &plain)]));
    let mut cases = vec![
        case(
            ApiKey::Produce,
            9,
            request(-1, json!([topic("tt", &plain), topic("nope", &plain)])),
            json!({"responses": [refused("tt", TOPIC_DENIED), refused("nope", TOPIC_DENIED)]}),
        ),
        case(
            ApiKey::Produce,
            13,
            request(
                1,
                json!([{"topicId": world.id(), "partitionData": [{"index": 0, "records": plain}]},
                {"topicId": NO_TOPIC, "partitionData": [{"index": 0, "records": plain}]}]),
            ),
            json!({"responses": [
                {"topicId": world.id(), "partitionResponses": [{"errorCode": TOPIC_DENIED, "baseOffset": -1}]},
                {"topicId": NO_TOPIC, "partitionResponses": [{"errorCode": UNKNOWN_ID, "baseOffset": -1}]}]}),
        ),
        case(ApiKey::Produce, 9, own(json!([topic("tt", &transactional)])), denied_transaction()),
        case(ApiKey::Produce, 9, request(-1, json!([topic("tt", &transactional)])), denied_transaction()),
        case(ApiKey::Produce, 9, request(7, json!([topic("tt", &transactional)])), denied_transaction()),
        case(ApiKey::Produce, 9, request(-1, json!([topic("tt", &idempotent)])), denied("tt")),
        case(ApiKey::Produce, 9, own(json!([topic("tt", &plain)])), denied("tt")),
        case(ApiKey::Produce, 9, named("__consumer_offsets", -1), denied("__consumer_offsets")),
        case(ApiKey::Produce, 9, named("tt", 7), denied("tt")),
        case(
            ApiKey::Produce,
            9,
            request(-1, json!([topic("tt", &plain), topic("tt", &plain)])),
            json!({"responses": [refused("tt", TOPIC_DENIED), refused("tt", TOPIC_DENIED)]}),
        ),
    ];
    cases.extend([3, 5, 8, 12].map(|version| case(ApiKey::Produce, version, named("tt", 1), denied("tt"))));
    cases.push(Case { key: ApiKey::Produce, version: 9, request: named("tt", 0), answer: None });
    cases
}

fn fetching(world: &World) -> Vec<Case> {
    let partitions = || json!([{"partition": 0, "fetchOffset": 0, "partitionMaxBytes": 1000}]);
    let by_name = |name: &str| json!({"topic": name, "partitions": partitions()});
    let by_id = |id: &str| json!({"topicId": id, "partitions": partitions()});
    let request = |topics: Json| json!({"replicaId": -1, "maxBytes": 1000, "sessionEpoch": -1, "topics": topics});
    let partition = |code: i16| json!([{"partitionIndex": 0, "errorCode": code, "highWatermark": -1, "records": ""}]);
    let refused = |name: &str| json!({"topic": name, "partitions": partition(TOPIC_DENIED)});
    let follower = json!({"replicaId": 1, "maxBytes": 1000, "sessionEpoch": -1, "topics": [by_name("tt")]});
    let follower_by_id = json!({"replicaState": {"replicaId": 1, "replicaEpoch": 1}, "maxBytes": 1000,
        "sessionEpoch": -1, "topics": [by_id(&world.id())]});
    let by_ids = json!({"maxBytes": 1000, "sessionEpoch": -1, "topics": [by_id(NO_TOPIC), by_id(&world.id())]});
    let offsets = |name: &str| json!({"name": name, "partitions": [{"partitionIndex": 0, "timestamp": -1}]});
    let epochs = |name: &str| json!({"topic": name, "partitions": [{"partition": 0, "leaderEpoch": 0}]});
    let offsets_refused = |name: &str| json!({"name": name, "partitions": [{"errorCode": TOPIC_DENIED}]});
    let epochs_refused = |name: &str| json!({"topic": name, "partitions": [{"errorCode": TOPIC_DENIED}]});
    vec![
        case(
            ApiKey::Fetch,
            12,
            request(json!([by_name("tt"), by_name("nope")])),
            json!({"responses": [refused("tt"), refused("nope")]}),
        ),
        case(
            ApiKey::Fetch,
            4,
            json!({"replicaId": -1, "maxBytes": 9, "topics": [by_name("tt")]}),
            json!({"responses": [refused("tt")]}),
        ),
        case(
            ApiKey::Fetch,
            16,
            by_ids,
            json!({"responses": [{"topicId": NO_TOPIC, "partitions": partition(UNKNOWN_ID)},
                {"topicId": world.id(), "partitions": partition(TOPIC_DENIED)}]}),
        ),
        case(ApiKey::Fetch, 12, follower, json!({"responses": [refused("tt")]})),
        case(
            ApiKey::Fetch,
            16,
            follower_by_id,
            json!({"responses": [{"topicId": world.id(), "partitions": partition(TOPIC_DENIED)}]}),
        ),
        case(
            ApiKey::ListOffsets,
            7,
            json!({"replicaId": -1, "topics": [offsets("tt"), offsets("nope")]}),
            json!({"topics": [offsets_refused("tt"), offsets_refused("nope")]}),
        ),
        case(
            ApiKey::ListOffsets,
            1,
            json!({"replicaId": -1, "topics": [offsets("tt"), offsets("tt")]}),
            json!({"topics": [offsets_refused("tt"), offsets_refused("tt")]}),
        ),
        case(
            ApiKey::OffsetForLeaderEpoch,
            4,
            json!({"replicaId": -1, "topics": [epochs("tt"), epochs("nope")]}),
            json!({"topics": [epochs_refused("tt"), epochs_refused("nope")]}),
        ),
        case(
            ApiKey::DescribeProducers,
            0,
            json!({"topics": [{"name": "tt", "partitionIndexes": [0, 0]}, {"name": "nope", "partitionIndexes": [0]}]}),
            json!({"topics": [{"name": "tt", "partitions": [producers_refused(), producers_refused()]},
                {"name": "nope", "partitions": [producers_refused()]}]}),
        ),
    ]
}

fn producers_refused() -> Json {
    json!({"errorCode": TOPIC_DENIED, "errorMessage": "Topic authorization failed."})
}

/// Brokers and the name of the cluster are told to everybody: `brokers` stands for them.
fn describing_topics(world: &World) -> Vec<Case> {
    let refused = |name: &str| json!({"errorCode": TOPIC_DENIED, "name": name, "topicAuthorizedOperations": NOT_TOLD});
    let asked = |names: &[&str]| {
        let topics: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
        json!({"topics": topics, "allowAutoTopicCreation": true, "includeTopicAuthorizedOperations": true})
    };
    let mut ids = [(world.id(), TOPIC_DENIED), (NO_TOPIC.to_owned(), UNKNOWN_ID)];
    let bytes = |id: &str| URL_SAFE_NO_PAD.decode(id).expect("an id");
    ids.sort_by_key(|(id, _)| bytes(id));
    let by_id: Vec<_> = ids.iter().map(|(id, code)| json!({"errorCode": code, "name": null, "topicId": id})).collect();
    vec![
        case(ApiKey::Metadata, 12, json!({"topics": null, "allowAutoTopicCreation": true}), json!({"topics": []})),
        case(ApiKey::Metadata, 0, json!({"topics": []}), json!({"topics": []})),
        case(
            ApiKey::Metadata,
            12,
            asked(&["tt", "nope", "a/b", "__consumer_offsets", "__transaction_state"]),
            json!({"topics": [refused("tt"), refused("nope"), refused("a/b"), refused("__consumer_offsets"),
                refused("__transaction_state")]}),
        ),
        case(
            ApiKey::Metadata,
            12,
            json!({"topics": [{"topicId": world.id(), "name": null}, {"topicId": NO_TOPIC, "name": null}]}),
            json!({"topics": by_id}),
        ),
        case(
            ApiKey::Metadata,
            10,
            json!({"topics": [], "includeClusterAuthorizedOperations": true}),
            json!({"topics": [], "clusterAuthorizedOperations": 0}),
        ),
        case(
            ApiKey::DescribeCluster,
            1,
            json!({"includeClusterAuthorizedOperations": true}),
            json!({"clusterAuthorizedOperations": 0}),
        ),
        case(ApiKey::DescribeCluster, 1, json!({}), json!({"clusterAuthorizedOperations": NOT_TOLD})),
        case(
            ApiKey::DescribeTopicPartitions,
            0,
            json!({"topics": [{"name": "__consumer_offsets"}, {"name": "nope"}, {"name": "tt"}], "cursor": null}),
            json!({"topics": [refused("__consumer_offsets"), refused("nope"), refused("tt")], "nextCursor": null}),
        ),
        case(
            ApiKey::DescribeTopicPartitions,
            0,
            json!({"topics": [], "responsePartitionLimit": 1, "cursor": null}),
            json!({"nextCursor": null}),
        ),
    ]
}

fn groups(world: &World) -> Vec<Case> {
    let denied = || json!({"errorCode": GROUP_DENIED});
    let offset = || json!([{"partitionIndex": 0, "committedOffset": 0, "committedMetadata": ""}]);
    let commit = |topic: Json| json!({"groupId": "gg", "generationIdOrMemberEpoch": -1, "topics": [topic]});
    let member = json!({"groupId": "gg", "generationId": 1, "memberId": "m"});
    let sync = json!({"groupId": "gg", "generationId": 1, "memberId": "m", "protocolType": "consumer",
        "protocolName": "range"});
    let described = |id: &str| json!({"errorCode": GROUP_DENIED, "groupId": id, "authorizedOperations": NOT_TOLD});
    let join = |id: &str| {
        json!({"groupId": id, "sessionTimeoutMs": 10_000, "rebalanceTimeoutMs": 10_000, "protocolType": "consumer",
            "protocols": [{"name": "range", "metadata": ""}]})
    };
    let joined = || json!({"errorCode": GROUP_DENIED, "protocolType": null, "protocolName": null});
    vec![
        case(
            ApiKey::OffsetCommit,
            8,
            commit(json!({"name": "tt", "partitions": offset()})),
            json!({"topics": [{"name": "tt", "partitions": [denied()]}]}),
        ),
        case(
            ApiKey::OffsetCommit,
            10,
            commit(json!({"topicId": world.id(), "partitions": offset()})),
            json!({"topics": [{"topicId": world.id(), "partitions": [denied()]}]}),
        ),
        case(
            ApiKey::OffsetCommit,
            10,
            commit(json!({"topicId": NO_TOPIC, "partitions": offset()})),
            json!({"topics": [{"topicId": NO_TOPIC, "partitions": [denied()]}]}),
        ),
        case(
            ApiKey::OffsetFetch,
            1,
            json!({"groupId": "gg", "topics": [{"name": "tt", "partitionIndexes": [0]}]}),
            json!({"topics": [{"name": "tt", "partitions":
                [{"committedOffset": -1, "metadata": "", "errorCode": GROUP_DENIED}]}]}),
        ),
        case(
            ApiKey::OffsetFetch,
            7,
            json!({"groupId": "gg", "topics": [{"name": "tt", "partitionIndexes": [0]}]}),
            denied(),
        ),
        case(
            ApiKey::OffsetFetch,
            8,
            json!({"groups": [{"groupId": "gg", "topics": null},
                {"groupId": "g2", "topics": [{"name": "tt", "partitionIndexes": [0]}]}]}),
            json!({"groups": [{"groupId": "gg", "errorCode": GROUP_DENIED},
                {"groupId": "g2", "errorCode": GROUP_DENIED}]}),
        ),
        case(ApiKey::JoinGroup, 7, join("gg"), joined()),
        case(ApiKey::JoinGroup, 9, join("new"), joined()),
        case(ApiKey::JoinGroup, 5, join(""), json!({"errorCode": GROUP_DENIED})),
        case(ApiKey::Heartbeat, 4, member, denied()),
        case(ApiKey::LeaveGroup, 4, json!({"groupId": "gg", "members": [{"memberId": "m"}]}), denied()),
        case(ApiKey::LeaveGroup, 0, json!({"groupId": "gg", "memberId": "m"}), denied()),
        case(
            ApiKey::SyncGroup,
            5,
            sync,
            json!({"errorCode": GROUP_DENIED, "protocolType": null, "protocolName": null}),
        ),
        case(
            ApiKey::DescribeGroups,
            5,
            json!({"groups": ["gg", "nogroup"], "includeAuthorizedOperations": true}),
            json!({"groups": [described("gg"), described("nogroup")]}),
        ),
        case(ApiKey::ListGroups, 4, json!({}), json!({})),
        case(ApiKey::ListGroups, 5, json!({"statesFilter": ["Empty"], "typesFilter": ["classic"]}), json!({})),
        case(
            ApiKey::DeleteGroups,
            2,
            json!({"groupsNames": ["gg", "nogroup"]}),
            json!({"results": [{"groupId": "gg", "errorCode": GROUP_DENIED},
                {"groupId": "nogroup", "errorCode": GROUP_DENIED}]}),
        ),
        case(
            ApiKey::OffsetDelete,
            0,
            json!({"groupId": "gg", "topics": [{"name": "tt", "partitions": [{"partitionIndex": 0}]}]}),
            denied(),
        ),
    ]
}

fn coordinators() -> Vec<Case> {
    let single = |code: i16, text: &str| json!({"errorCode": code, "errorMessage": text, "nodeId": -1, "port": -1});
    let of = |key: &str, code: i16, text: &str| json!({"key": key, "nodeId": -1, "port": -1, "errorCode": code, "errorMessage": text});
    let invalid = "This most likely occurs because of a request being malformed by the client library or the message \
                   was sent to an incompatible broker. See the broker logs for more details.";
    let find = |kind: i8, keys: &[&str]| json!({"keyType": kind, "coordinatorKeys": keys});
    vec![
        case(
            ApiKey::FindCoordinator,
            3,
            json!({"key": "gg", "keyType": 0}),
            single(GROUP_DENIED, "Group authorization failed."),
        ),
        case(
            ApiKey::FindCoordinator,
            3,
            json!({"key": "tx", "keyType": 1}),
            single(TRANSACTION_DENIED, "Transactional Id authorization failed."),
        ),
        case(
            ApiKey::FindCoordinator,
            4,
            find(0, &["gg", "g2"]),
            json!({"coordinators": [of("gg", GROUP_DENIED, ""), of("g2", GROUP_DENIED, "")]}),
        ),
        case(ApiKey::FindCoordinator, 4, find(1, &["tx"]), json!({"coordinators": [of("tx", TRANSACTION_DENIED, "")]})),
        case(
            ApiKey::FindCoordinator,
            6,
            find(2, &["g:ADWTbcPUQmuY6cHh82Ls6g:0"]),
            json!({"coordinators":
                [of("g:ADWTbcPUQmuY6cHh82Ls6g:0", CLUSTER_DENIED, "Cluster authorization failed.")]}),
        ),
        case(ApiKey::FindCoordinator, 4, find(9, &["x"]), json!({"coordinators": [of("x", 42, invalid)]})),
    ]
}

fn administration(world: &World) -> Vec<Case> {
    let new = |name: &str| json!({"name": name, "numPartitions": 1, "replicationFactor": 1});
    let not_created = |name: &str| json!({"name": name, "errorCode": TOPIC_DENIED, "errorMessage": "Authorization failed.", "configs": []});
    let not_deleted = |name: Json, id: &str, code: i16, text: &str| json!({"name": name, "topicId": id, "errorCode": code, "errorMessage": text});
    let (nil, denied) = ("AAAAAAAAAAAAAAAAAAAAAA", "Topic authorization failed.");
    let by_name = |name: &str| json!({"name": name, "topicId": nil});
    let by_id = |id: &str| json!({"name": null, "topicId": id});
    let deletion = |name: &str| json!({"name": name, "partitions": [{"partitionIndex": 0, "offset": -1}]});
    let kept = |name: &str| json!({"name": name, "partitions": [{"lowWatermark": -1, "errorCode": TOPIC_DENIED}]});
    let more = |name: &str| json!({"name": name, "count": 5, "assignments": null});
    let not_grown = |name: &str| json!({"name": name, "errorCode": TOPIC_DENIED, "errorMessage": null});
    vec![
        case(
            ApiKey::CreateTopics,
            7,
            json!({"topics": [new("tt"), new("n1"), new("a/b")], "timeoutMs": 1000}),
            json!({"topics": [not_created("tt"), not_created("n1"), not_created("a/b")]}),
        ),
        case(
            ApiKey::CreateTopics,
            7,
            json!({"topics": [{"name": "n2", "numPartitions": 1_000_000, "replicationFactor": 1}],
                "timeoutMs": 1000, "validateOnly": true}),
            json!({"topics": [not_created("n2")]}),
        ),
        case(
            ApiKey::DeleteTopics,
            6,
            json!({"topics": [by_name("nope"), by_name("tt"), by_name("__consumer_offsets"),
                by_name("__cluster_metadata")], "timeoutMs": 1000}),
            json!({"responses": [not_deleted(json!("nope"), nil, TOPIC_DENIED, denied),
                not_deleted(json!("tt"), nil, TOPIC_DENIED, denied),
                not_deleted(json!("__consumer_offsets"), nil, TOPIC_DENIED, denied),
                not_deleted(json!("__cluster_metadata"), nil, TOPIC_DENIED, denied)]}),
        ),
        case(
            ApiKey::DeleteTopics,
            6,
            json!({"topics": [by_id(NO_TOPIC), by_id(&world.id())], "timeoutMs": 1000}),
            json!({"responses":
                [not_deleted(json!(null), NO_TOPIC, UNKNOWN_ID, "This server does not host this topic ID."),
                not_deleted(json!(null), &world.id(), TOPIC_DENIED, denied)]}),
        ),
        case(
            ApiKey::DeleteTopics,
            1,
            json!({"topicNames": ["nope", "tt"], "timeoutMs": 1000}),
            json!({"responses": [{"name": "nope", "errorCode": TOPIC_DENIED}, {"name": "tt", "errorCode": TOPIC_DENIED}]}),
        ),
        case(
            ApiKey::DeleteRecords,
            2,
            json!({"topics": [deletion("tt"), deletion("nope"), deletion("__consumer_offsets")], "timeoutMs": 1000}),
            json!({"topics": [kept("tt"), kept("nope"), kept("__consumer_offsets")]}),
        ),
        case(
            ApiKey::CreatePartitions,
            3,
            json!({"topics": [more("tt"), more("nope")], "timeoutMs": 1000}),
            json!({"results": [not_grown("tt"), not_grown("nope")]}),
        ),
        case(ApiKey::DescribeLogDirs, 4, json!({"topics": null}), json!({"errorCode": CLUSTER_DENIED})),
        case(
            ApiKey::DescribeLogDirs,
            4,
            json!({"topics": [{"topic": "tt", "partitions": [0]}]}),
            json!({"errorCode": CLUSTER_DENIED}),
        ),
        case(ApiKey::DescribeLogDirs, 1, json!({"topics": null}), json!({})),
    ]
}

fn configurations() -> Vec<Case> {
    let asked = |kind: i8, name: &str| json!({"resourceType": kind, "resourceName": name, "configurationKeys": null});
    let refused = |kind: i8, name: &str, code: i16, text: &str| json!({"errorCode": code, "errorMessage": text, "resourceType": kind, "resourceName": name});
    let wordless = |kind: i8, name: &str| json!({"errorCode": CLUSTER_DENIED, "errorMessage": null, "resourceType": kind, "resourceName": name});
    let (topic, group) = ("Topic authorization failed.", "Group authorization failed.");
    let cluster = "Cluster authorization failed.";
    let set = |kind: i8, name: &str, key: &str| json!({"resourceType": kind, "resourceName": name, "configs": [{"name": key, "value": "1000"}]});
    let altered = |name: &str, kind: i8, key: &str| set(kind, name, key);
    vec![
        case(
            ApiKey::DescribeConfigs,
            4,
            json!({"resources": [asked(2, "tt"), asked(2, "nope"), asked(4, "1"), asked(4, ""), asked(8, "1"),
                asked(16, "s"), asked(32, "gg")]}),
            json!({"results": [refused(2, "tt", TOPIC_DENIED, topic), refused(2, "nope", TOPIC_DENIED, topic),
                refused(4, "1", CLUSTER_DENIED, cluster), refused(4, "", CLUSTER_DENIED, cluster),
                refused(8, "1", CLUSTER_DENIED, cluster), refused(16, "s", CLUSTER_DENIED, cluster),
                refused(32, "gg", GROUP_DENIED, group)]}),
        ),
        case(
            ApiKey::AlterConfigs,
            2,
            json!({"resources": [altered("tt", 2, "retention.ms"), altered("1", 4, "log.retention.ms")]}),
            json!({"responses": [refused(2, "tt", TOPIC_DENIED, topic), wordless(4, "1")]}),
        ),
        case(
            ApiKey::IncrementalAlterConfigs,
            1,
            json!({"resources": [set(2, "tt", "retention.ms"), set(2, "nope", "retention.ms"),
                set(4, "1", "log.retention.ms"), set(4, "", "log.retention.ms"), set(8, "1", "root"),
                set(32, "gg", "consumer.session.timeout.ms")]}),
            json!({"responses": [refused(2, "tt", TOPIC_DENIED, topic), refused(2, "nope", TOPIC_DENIED, topic),
                wordless(4, "1"), wordless(4, ""), wordless(8, "1"), refused(32, "gg", GROUP_DENIED, group)]}),
        ),
        case(
            ApiKey::DescribeUserScramCredentials,
            0,
            json!({"users": [{"name": "root"}, {"name": "nobody"}]}),
            json!({"errorCode": CLUSTER_DENIED, "errorMessage": null, "results":
                [{"errorCode": CLUSTER_DENIED, "errorMessage": null}, {"errorCode": CLUSTER_DENIED, "errorMessage": null}]}),
        ),
        case(
            ApiKey::DescribeUserScramCredentials,
            0,
            json!({"users": null}),
            json!({"errorCode": CLUSTER_DENIED, "errorMessage": null}),
        ),
        case(
            ApiKey::AlterUserScramCredentials,
            0,
            json!({"deletions": [{"name": "root", "mechanism": 1}], "upsertions": [{"name": "alice", "mechanism": 2,
                "iterations": 4096, "salt": "AAAA", "saltedPassword": "AAAA"}]}),
            json!({"results": [
                {"user": "root", "errorCode": CLUSTER_DENIED, "errorMessage": "Authorization failed."},
                {"user": "alice", "errorCode": CLUSTER_DENIED, "errorMessage": "Authorization failed."}]}),
        ),
    ]
}

fn transactions() -> Vec<Case> {
    let denied = || json!({"errorCode": TRANSACTION_DENIED});
    let init =
        |id: Json| json!({"transactionalId": id, "transactionTimeoutMs": 1000, "producerId": -1, "producerEpoch": -1});
    let not_begun = |code: i16| json!({"errorCode": code, "producerId": -1, "producerEpoch": -1});
    let part = json!([{"name": "tt", "partitions": [0]}]);
    let described = |id: &str| json!({"errorCode": TRANSACTION_DENIED, "transactionalId": id});
    vec![
        case(ApiKey::InitProducerId, 4, init(json!(null)), not_begun(CLUSTER_DENIED)),
        case(ApiKey::InitProducerId, 4, init(json!("tx")), not_begun(TRANSACTION_DENIED)),
        case(
            ApiKey::InitProducerId,
            0,
            json!({"transactionalId": "new", "transactionTimeoutMs": 1000}),
            not_begun(TRANSACTION_DENIED),
        ),
        case(
            ApiKey::AddPartitionsToTxn,
            3,
            json!({"v3AndBelowTransactionalId": "tx", "v3AndBelowTopics": part}),
            json!({"resultsByTopicV3AndBelow": [{"name": "tt",
                "resultsByPartition": [{"partitionErrorCode": TRANSACTION_DENIED}]}]}),
        ),
        case(
            ApiKey::AddPartitionsToTxn,
            4,
            json!({"transactions": [{"transactionalId": "tx", "topics": part}]}),
            json!({"errorCode": CLUSTER_DENIED}),
        ),
        case(ApiKey::AddOffsetsToTxn, 3, json!({"transactionalId": "tx", "groupId": "gg"}), denied()),
        case(ApiKey::EndTxn, 3, json!({"transactionalId": "tx", "committed": true}), denied()),
        case(ApiKey::EndTxn, 5, json!({"transactionalId": "nope", "committed": false}), denied()),
        case(
            ApiKey::TxnOffsetCommit,
            3,
            json!({"transactionalId": "tx", "groupId": "gg", "topics": [{"name": "tt", "partitions":
                [{"partitionIndex": 0, "committedOffset": 0, "committedMetadata": ""}]}]}),
            json!({"topics": [{"name": "tt", "partitions": [denied()]}]}),
        ),
        case(
            ApiKey::DescribeTransactions,
            0,
            json!({"transactionalIds": ["tx", "nope", ""]}),
            json!({"transactionStates": [described("tx"), described("nope"), described("")]}),
        ),
        case(ApiKey::ListTransactions, 1, json!({"durationFilter": -1}), json!({})),
        case(ApiKey::ListTransactions, 2, json!({"durationFilter": -1, "transactionalIdPattern": "t."}), json!({})),
    ]
}

/// What needs no right: how to speak, and who one is.
fn the_rest() -> Vec<Case> {
    let versions = |api: &ottla::handlers::api::SupportedApi| json!({"apiKey": api.key.code(), "minVersion": api.lowest_advertised, "maxVersion": api.highest});
    let keys: Vec<_> = SUPPORTED.iter().map(versions).collect();
    vec![
        case(ApiKey::ApiVersions, 0, json!({}), json!({"apiKeys": keys})),
        case(ApiKey::SaslHandshake, 1, json!({"mechanism": "PLAIN"}), json!({"errorCode": 34})),
        case(
            ApiKey::SaslAuthenticate,
            2,
            json!({"authBytes": encoded(b"\0root\0root")}),
            json!({"errorCode": 34,
                "errorMessage": "SaslAuthenticate request received after successful authentication"}),
        ),
    ]
}
