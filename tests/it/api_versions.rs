//! Every API and version: those that are served answer, those that are not say so and leave the connection open.

use bytes::Bytes;
use ottla::{
    config::sources::CommandLine,
    handlers::api::SUPPORTED,
    protocol::{
        error_code::ErrorCode,
        message::{Message, Request},
        messages::{
            AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AlterConfigsRequest, AlterUserScramCredentialsRequest,
            ApiKey, ApiVersionsRequest, ApiVersionsResponse, CreatePartitionsRequest, CreateTopicsRequest,
            DeleteGroupsRequest, DeleteRecordsRequest, DeleteTopicsRequest, DescribeClusterRequest,
            DescribeConfigsRequest, DescribeGroupsRequest, DescribeLogDirsRequest, DescribeProducersRequest,
            DescribeTopicPartitionsRequest, DescribeTransactionsRequest, DescribeUserScramCredentialsRequest,
            EndTxnRequest, FetchRequest, FindCoordinatorRequest, HeartbeatRequest, IncrementalAlterConfigsRequest,
            InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, ListOffsetsRequest,
            ListTransactionsRequest, MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
            OffsetForLeaderEpochRequest, ProduceRequest, SaslAuthenticateRequest, SaslHandshakeRequest,
            SyncGroupRequest, TxnOffsetCommitRequest,
        },
        schemas::schemas,
    },
};
use ottla_codegen::{interpret, spec::MessageKind};

use crate::support::{RawClient, TestBroker, decode_response, error, header_bytes};

fn request() -> ApiVersionsRequest {
    ApiVersionsRequest {
        client_software_name: "test".into(),
        client_software_version: "1.0".into(),
        ..ApiVersionsRequest::default()
    }
}

#[tokio::test]
async fn every_advertised_version_is_answered() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let advertised = client.call(&request(), 0).await.api_keys;
    assert_eq!(advertised.len(), SUPPORTED.len());
    for api in advertised {
        let key = ApiKey::from_code(api.api_key).expect("a known key");
        for version in api.min_version..=api.max_version {
            call_minimally(&mut client, key, version).await;
        }
    }
}

/// Sends the least that `version` of an API accepts. The client checks that the answer is in the version's form.
async fn call_minimally(client: &mut RawClient, key: ApiKey, version: i16) {
    match key {
        ApiKey::Produce if version < ProduceRequest::LOWEST_VERSION => {
            refused_with_code_alone(client, key, version).await
        }
        ApiKey::Produce => answers(client, &ProduceRequest { acks: 1, ..ProduceRequest::default() }, version).await,
        ApiKey::Fetch => answers(client, &FetchRequest { session_epoch: -1, ..FetchRequest::default() }, version).await,
        ApiKey::ListOffsets => {
            answers(client, &ListOffsetsRequest { replica_id: -1, ..Default::default() }, version).await
        }
        ApiKey::Metadata => answers(client, &MetadataRequest::default(), version).await,
        ApiKey::ApiVersions => answers(client, &request(), version).await,
        ApiKey::CreateTopics => answers(client, &CreateTopicsRequest::default(), version).await,
        ApiKey::DeleteTopics => answers(client, &DeleteTopicsRequest::default(), version).await,
        ApiKey::OffsetCommit => answers(client, &OffsetCommitRequest::default(), version).await,
        ApiKey::OffsetFetch => answers(client, &OffsetFetchRequest::default(), version).await,
        ApiKey::FindCoordinator => answers(client, &FindCoordinatorRequest::default(), version).await,
        ApiKey::JoinGroup => answers(client, &JoinGroupRequest::default(), version).await,
        ApiKey::Heartbeat => answers(client, &HeartbeatRequest::default(), version).await,
        ApiKey::LeaveGroup => answers(client, &LeaveGroupRequest::default(), version).await,
        ApiKey::SyncGroup => answers(client, &SyncGroupRequest::default(), version).await,
        ApiKey::DescribeGroups => answers(client, &DescribeGroupsRequest::default(), version).await,
        ApiKey::ListGroups => answers(client, &ListGroupsRequest::default(), version).await,
        ApiKey::DeleteGroups => answers(client, &DeleteGroupsRequest::default(), version).await,
        ApiKey::OffsetDelete => answers(client, &OffsetDeleteRequest::default(), version).await,
        ApiKey::InitProducerId => answers(client, &InitProducerIdRequest::default(), version).await,
        ApiKey::OffsetForLeaderEpoch => answers(client, &OffsetForLeaderEpochRequest::default(), version).await,
        ApiKey::AddPartitionsToTxn => answers(client, &AddPartitionsToTxnRequest::default(), version).await,
        ApiKey::AddOffsetsToTxn => answers(client, &AddOffsetsToTxnRequest::default(), version).await,
        ApiKey::EndTxn => answers(client, &EndTxnRequest::default(), version).await,
        ApiKey::TxnOffsetCommit => answers(client, &TxnOffsetCommitRequest::default(), version).await,
        ApiKey::DescribeProducers => answers(client, &DescribeProducersRequest::default(), version).await,
        ApiKey::DescribeTransactions => answers(client, &DescribeTransactionsRequest::default(), version).await,
        ApiKey::ListTransactions => answers(client, &ListTransactionsRequest::default(), version).await,
        ApiKey::DescribeCluster => answers(client, &DescribeClusterRequest::default(), version).await,
        ApiKey::DescribeTopicPartitions => answers(client, &DescribeTopicPartitionsRequest::default(), version).await,
        ApiKey::AlterConfigs => answers(client, &AlterConfigsRequest::default(), version).await,
        ApiKey::CreatePartitions => answers(client, &CreatePartitionsRequest::default(), version).await,
        ApiKey::DeleteRecords => answers(client, &DeleteRecordsRequest::default(), version).await,
        ApiKey::DescribeConfigs => answers(client, &DescribeConfigsRequest::default(), version).await,
        ApiKey::DescribeLogDirs => answers(client, &DescribeLogDirsRequest::default(), version).await,
        ApiKey::IncrementalAlterConfigs => answers(client, &IncrementalAlterConfigsRequest::default(), version).await,
        ApiKey::DescribeUserScramCredentials => {
            answers(client, &DescribeUserScramCredentialsRequest::default(), version).await
        }
        ApiKey::AlterUserScramCredentials => {
            answers(client, &AlterUserScramCredentialsRequest::default(), version).await
        }
        ApiKey::SaslHandshake => answers(client, &SaslHandshakeRequest::default(), version).await,
        ApiKey::SaslAuthenticate => answers(client, &SaslAuthenticateRequest::default(), version).await,
        other => panic!("{} is served: it needs a request here", other.name()),
    }
}

async fn answers<R: Request>(client: &mut RawClient, request: &R, version: i16) {
    client.call(request, version).await;
}

/// For KAFKA-18659 the versions of Produce below 3 are advertised all the same.
async fn refused_with_code_alone(client: &mut RawClient, key: ApiKey, version: i16) {
    let body = client.call_bytes(key, version, &[], 0).await;
    assert_eq!(body[..], ErrorCode::UnsupportedVersion.code().to_be_bytes(), "{} v{version}", key.name());
}

#[tokio::test]
async fn every_other_version_of_every_api_is_refused_in_its_own_form() {
    let schemas = schemas();
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    for &key in ApiKey::ALL.iter().filter(|key| **key != ApiKey::ApiVersions) {
        let served = SUPPORTED.iter().find(|api| api.key == key);
        let is_served = |version| served.is_some_and(|api| (api.lowest..=api.highest).contains(&version));
        let request = schemas.api(key.code(), MessageKind::Request).expect("every key has a request");
        for version in request.versions.iter().filter(|version| !is_served(*version)) {
            let value = interpret::default_value(request, version).expect("a request");
            let body = interpret::encode(request, version, &value).expect("a request");
            let response = schemas.api(key.code(), MessageKind::Response).expect("and a response");
            let header = key.response_header_version(version);
            let answer = client.call_bytes(key, version, &body, header).await;
            let (value, used) = interpret::decode(response, version, &answer).expect("an answer in its own form");
            assert_eq!(used, answer.len(), "{} v{version}", key.name());
            let json = interpret::to_json(response, version, &value).expect("printable");
            if let Some(code) = json.get("errorCode") {
                assert_eq!(code, 35, "{} v{version}", key.name());
            }
        }
        let beyond = request.versions.iter().last().map_or(0, |highest| highest + 1);
        refused_with_code_alone(&mut client, key, beyond).await;
    }
}

#[tokio::test]
async fn an_api_that_is_not_served_refuses_each_thing_asked_for() {
    let schemas = schemas();
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let request = schemas.get("AlterClientQuotasRequest").expect("a schema");
    let entry = |user: &str| serde_json::json!({"entity": [{"entityType": "user", "entityName": user}], "ops": []});
    let asked = serde_json::json!({"entries": [entry("a"), entry("b")], "validateOnly": true});
    let value = interpret::from_json(request, 1, &asked).expect("a request");
    let body = interpret::encode(request, 1, &value).expect("a request");
    let answer = client.call_bytes(ApiKey::AlterClientQuotas, 1, &body, 1).await;
    let response = schemas.get("AlterClientQuotasResponse").expect("a schema");
    let (value, _) = interpret::decode(response, 1, &answer).expect("an answer in its own form");
    let json = interpret::to_json(response, 1, &value).expect("printable");
    let codes = json["entries"].as_array().expect("entries").iter().map(|entry| &entry["errorCode"]);
    assert_eq!(codes.collect::<Vec<_>>(), [35, 35]);
}

#[tokio::test]
async fn an_unknown_version_of_api_versions_gets_version_0_with_its_own_range() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    for version in [6, 99, i16::MAX, -1] {
        // The body is that of a version nobody knows.
        let header = header_bytes(ApiKey::ApiVersions, version, 77);
        client.send_frame(&[&header[..], &[0xff; 9]].concat()).await;
        let response: ApiVersionsResponse = decode_response::<ApiVersionsRequest>(&client.receive_frame().await, 77, 0);
        assert_eq!(error(response.error_code), ErrorCode::UnsupportedVersion);
        let ranges: Vec<_> =
            response.api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version)).collect();
        assert_eq!(ranges, [(18, 0, 5)]);
    }
    assert_eq!(error(client.call(&request(), 5).await.error_code), ErrorCode::None);
}

#[tokio::test]
async fn features_are_shown_from_version_3_on() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    for version in 3..=5 {
        let response = client.call(&request(), version).await;
        assert!(response.finalized_features_epoch >= 0, "Java ignores the features otherwise");
        let finalized = response.finalized_features.iter().find(|feature| feature.name == "metadata.version");
        let supported = response.supported_features.iter().find(|feature| feature.name == "metadata.version");
        let (finalized, supported) = (finalized.expect("finalized"), supported.expect("supported"));
        assert!((supported.min_version..=supported.max_version).contains(&finalized.max_version_level));
        let from_level_0 = response.supported_features.iter().any(|feature| feature.min_version == 0);
        assert!(version >= 4 || !from_level_0, "KAFKA-17011");
    }
}

#[tokio::test]
async fn software_that_does_not_say_its_name_is_refused() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    for (name, version) in [("", "1.0"), ("a b", "1.0"), ("test", ""), ("test", "-1")] {
        let request = ApiVersionsRequest {
            client_software_name: name.into(),
            client_software_version: version.into(),
            ..ApiVersionsRequest::default()
        };
        let response = client.call(&request, 3).await;
        assert_eq!(error(response.error_code), ErrorCode::InvalidRequest, "{name:?} {version:?}");
        assert_eq!(response.api_keys, []);
    }
    assert_eq!(error(client.call(&ApiVersionsRequest::default(), 2).await.error_code), ErrorCode::None);
}

#[tokio::test]
async fn a_client_of_another_cluster_or_node_is_sent_away() {
    let line =
        CommandLine { cluster_id: Some("here".to_owned()), node_id: Some("7".to_owned()), ..CommandLine::default() };
    let broker = TestBroker::with_command_line(line).await;
    let mut client = broker.client().await;
    for (cluster_id, node_id, expected) in [
        (None, -1, ErrorCode::None),
        (Some("here"), 7, ErrorCode::None),
        (Some("there"), 7, ErrorCode::RebootstrapRequired),
        (Some("here"), 8, ErrorCode::RebootstrapRequired),
        (Some("here"), -1, ErrorCode::InvalidRequest),
        (None, 7, ErrorCode::InvalidRequest),
    ] {
        let request = ApiVersionsRequest { cluster_id: cluster_id.map(Into::into), node_id, ..request() };
        assert_eq!(error(client.call(&request, 5).await.error_code), expected, "{cluster_id:?} {node_id}");
    }
}

#[tokio::test]
async fn a_key_that_no_schema_knows_ends_the_connection() {
    let broker = TestBroker::start().await;
    for key in [i16::MAX, -1, 999] {
        let mut client = broker.client().await;
        let header = Bytes::from([&key.to_be_bytes()[..], &[0, 0, 0, 0, 0, 1, 0xff, 0xff]].concat());
        client.send_frame(&header).await;
        client.closed().await;
    }
}
