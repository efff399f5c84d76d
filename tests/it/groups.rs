//! The APIs of groups and their members, request by request.

use std::net::SocketAddr;

use bytes::Bytes;
use ottla::protocol::{
    error_code::ErrorCode,
    messages::{
        DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, HeartbeatRequest, JoinGroupRequest,
        JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest, SyncGroupRequest, SyncGroupResponse,
        describe_groups_response::DescribedGroup, find_coordinator_response::Coordinator,
        join_group_request::JoinGroupRequestProtocol, leave_group_request::MemberIdentity,
        sync_group_request::SyncGroupRequestAssignment,
    },
    wire::StrBytes,
};
use tempfile::TempDir;

use crate::support::{BrokerProcess, RawClient, TestBroker, error, within};

/// What every member here asks for.
const SESSION_TIMEOUT_MS: i32 = 30_000;
const GROUP: i8 = 0;
const SHARE: i8 = 2;
/// The bit field of an omitted answer.
const OMITTED: i32 = i32::MIN;

/// New groups do not wait for more members, and their topic has no more partitions than a test has use for.
pub(crate) const GROUP_SETTINGS: [&str; 2] = ["group.initial.rebalance.delay.ms=0", "offsets.topic.num.partitions=3"];

/// A broker for groups.
pub(crate) async fn group_broker() -> TestBroker {
    group_broker_with(&[]).await
}

/// A broker for groups with more settings.
pub(crate) async fn group_broker_with(settings: &[&str]) -> TestBroker {
    TestBroker::with(&[&GROUP_SETTINGS, settings].concat()).await
}

/// A client that has found the coordinator.
pub(crate) async fn group_client(broker: &TestBroker) -> RawClient {
    group_client_at(broker.address()).await
}

pub(crate) async fn group_client_at(address: SocketAddr) -> RawClient {
    let mut client = RawClient::connect(address).await;
    let found = client.call(&find(GROUP, &["any"]), 4).await;
    assert_eq!(error(found.coordinators[0].error_code), ErrorCode::None);
    client
}

fn find(key_type: i8, keys: &[&str]) -> FindCoordinatorRequest {
    let coordinator_keys = keys.iter().map(|key| StrBytes::from(*key)).collect();
    FindCoordinatorRequest { key_type, coordinator_keys, ..FindCoordinatorRequest::default() }
}

/// A member of a group, as its requests name it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) group: String,
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) generation: i32,
}

impl Member {
    pub(crate) fn new(group: &str) -> Self {
        Self { group: group.to_owned(), id: String::new(), instance: None, generation: -1 }
    }

    fn with_instance(group: &str, instance: &str) -> Self {
        Self { instance: Some(instance.to_owned()), ..Self::new(group) }
    }

    /// A join for the protocol `range`.
    pub(crate) fn join(&self) -> JoinGroupRequest {
        JoinGroupRequest {
            group_id: self.group.as_str().into(),
            session_timeout_ms: SESSION_TIMEOUT_MS,
            rebalance_timeout_ms: SESSION_TIMEOUT_MS,
            member_id: self.id.as_str().into(),
            group_instance_id: self.instance.as_deref().map(StrBytes::from),
            protocol_type: "consumer".into(),
            protocols: vec![protocol("range", b"subscription")],
            ..JoinGroupRequest::default()
        }
    }

    fn sync(&self, assignments: &[(&str, &[u8])]) -> SyncGroupRequest {
        let assignments = assignments.iter().map(|(id, assignment)| SyncGroupRequestAssignment {
            member_id: (*id).into(),
            assignment: Bytes::copy_from_slice(assignment),
            ..SyncGroupRequestAssignment::default()
        });
        SyncGroupRequest {
            group_id: self.group.as_str().into(),
            generation_id: self.generation,
            member_id: self.id.as_str().into(),
            group_instance_id: self.instance.as_deref().map(StrBytes::from),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignments: assignments.collect(),
            ..SyncGroupRequest::default()
        }
    }

    fn heartbeat(&self) -> HeartbeatRequest {
        HeartbeatRequest {
            group_id: self.group.as_str().into(),
            generation_id: self.generation,
            member_id: self.id.as_str().into(),
            group_instance_id: self.instance.as_deref().map(StrBytes::from),
            ..HeartbeatRequest::default()
        }
    }

    fn leave(&self) -> LeaveGroupRequest {
        leave(&self.group, &[(&self.id, self.instance.as_deref())])
    }
}

fn protocol(name: &str, metadata: &[u8]) -> JoinGroupRequestProtocol {
    JoinGroupRequestProtocol {
        name: name.into(),
        metadata: Bytes::copy_from_slice(metadata),
        ..JoinGroupRequestProtocol::default()
    }
}

/// A leave of members by id and instance id, in the form of version 3.
fn leave(group: &str, members: &[(&str, Option<&str>)]) -> LeaveGroupRequest {
    let members = members.iter().map(|(id, instance)| MemberIdentity {
        member_id: (*id).into(),
        group_instance_id: instance.map(StrBytes::from),
        reason: Some("the test says so".into()),
        ..MemberIdentity::default()
    });
    LeaveGroupRequest { group_id: group.into(), members: members.collect(), ..LeaveGroupRequest::default() }
}

/// A request without the fields that `version` lacks and that must not be set there.
fn join_in(member: &Member, version: i16) -> JoinGroupRequest {
    let mut request = member.join();
    request.reason = (version >= 8).then(|| "the test says so".into());
    request
}

fn leave_in(member: &Member, version: i16) -> LeaveGroupRequest {
    if version >= 3 {
        return member.leave();
    }
    LeaveGroupRequest {
        group_id: member.group.as_str().into(),
        member_id: member.id.as_str().into(),
        ..LeaveGroupRequest::default()
    }
}

/// Joins, again with the id that is given if one has to, and notes what the member has become.
async fn joined(client: &mut RawClient, member: &mut Member, version: i16) -> JoinGroupResponse {
    let mut response = client.call(&join_in(member, version), version).await;
    if error(response.error_code) == ErrorCode::MemberIdRequired {
        member.id = response.member_id.to_string();
        response = client.call(&join_in(member, version), version).await;
    }
    assert_eq!(error(response.error_code), ErrorCode::None, "version {version}");
    member.id = response.member_id.to_string();
    member.generation = response.generation_id;
    response
}

/// The only member of a group, with an assignment.
pub(crate) async fn stable_member(client: &mut RawClient, group: &str, subscription: &[u8]) -> Member {
    settled(client, Member::new(group), subscription).await
}

async fn settled(client: &mut RawClient, mut member: Member, subscription: &[u8]) -> Member {
    let with = |member: &Member| JoinGroupRequest { protocols: vec![protocol("range", subscription)], ..member.join() };
    let mut response = client.call(&with(&member), 9).await;
    if error(response.error_code) == ErrorCode::MemberIdRequired {
        member.id = response.member_id.to_string();
        response = client.call(&with(&member), 9).await;
    }
    assert_eq!(error(response.error_code), ErrorCode::None);
    member.id = response.member_id.to_string();
    member.generation = response.generation_id;
    let synced = client.call(&member.sync(&[(&member.id, b"assignment")]), 5).await;
    assert_eq!(error(synced.error_code), ErrorCode::None);
    member
}

pub(crate) async fn heartbeat(client: &mut RawClient, member: &Member) -> ErrorCode {
    error(client.call(&member.heartbeat(), 4).await.error_code)
}

async fn describe(client: &mut RawClient, group: &str, version: i16) -> DescribedGroup {
    let request = DescribeGroupsRequest { groups: vec![group.into()], ..DescribeGroupsRequest::default() };
    client.call(&request, version).await.groups.remove(0)
}

/// The group, once it is loaded.
pub(crate) async fn loaded(client: &mut RawClient, group: &str) -> DescribedGroup {
    let described = within(async {
        loop {
            let described = describe(client, group, 5).await;
            if error(described.error_code) != ErrorCode::CoordinatorLoadInProgress {
                break described;
            }
        }
    });
    described.await
}

async fn state(client: &mut RawClient, group: &str) -> String {
    describe(client, group, 5).await.group_state.to_string()
}

/// Error and message of a coordinator, and whether there is one.
fn refusal(coordinator: &Coordinator) -> (ErrorCode, i32, &str, i32) {
    (error(coordinator.error_code), coordinator.node_id, &coordinator.host, coordinator.port)
}

#[tokio::test]
async fn this_broker_coordinates_every_group() {
    let broker = group_broker().await;
    let mut client = broker.client().await;
    for version in 0..=3 {
        let request = FindCoordinatorRequest { key: "g".into(), ..FindCoordinatorRequest::default() };
        let found = client.call(&request, version).await;
        assert_eq!(error(found.error_code), ErrorCode::None);
        assert_eq!((found.node_id, found.host.as_str()), (1, "127.0.0.1"), "version {version}");
        assert_eq!(found.port, i32::from(broker.address().port()));
        assert_eq!(found.error_message.as_deref(), Some(if version == 0 { "" } else { "NONE" }));
    }
    for version in 4..=6 {
        let found = client.call(&find(GROUP, &["g", "", "g"]), version).await.coordinators;
        let keys: Vec<_> = found.iter().map(|coordinator| coordinator.key.as_str()).collect();
        assert_eq!(keys, ["g", "", "g"]);
        for coordinator in &found {
            let port = i32::from(broker.address().port());
            assert_eq!(refusal(coordinator), (ErrorCode::None, 1, "127.0.0.1", port), "version {version}");
            assert_eq!(coordinator.error_message.as_deref(), Some(""));
        }
    }
}

#[tokio::test]
async fn what_has_no_coordinator_is_refused_for_good() {
    let broker = group_broker().await;
    let mut client = broker.client().await;
    let request = |key_type| FindCoordinatorRequest { key_type, key: "k".into(), ..FindCoordinatorRequest::default() };
    for (key_type, expected) in [(9, ErrorCode::InvalidRequest), (SHARE, ErrorCode::InvalidRequest)] {
        let found = client.call(&request(key_type), 3).await;
        assert_eq!((error(found.error_code), found.node_id, found.host.as_str(), found.port), (expected, -1, "", -1));
        for version in 4..=6 {
            let found = client.call(&find(key_type, &["k", "l"]), version).await.coordinators;
            let refusals: Vec<_> = found.iter().map(refusal).collect();
            assert_eq!(refusals, [(expected, -1, "", -1); 2], "version {version}");
        }
    }
    assert_eq!(client.call(&find(GROUP, &[]), 4).await.coordinators, []);
}

#[tokio::test]
async fn a_member_joins_syncs_lives_and_leaves_in_every_version() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    for version in 0..=9 {
        let mut member = Member::new(&format!("every-version-{version}"));
        let joined = joined(&mut client, &mut member, version).await;
        assert!(member.id.starts_with("test-"), "{}", member.id);
        assert_eq!((joined.generation_id, joined.leader, joined.skip_assignment), (1, joined.member_id, false));
        assert_eq!(joined.protocol_name.as_deref(), Some("range"));
        assert_eq!(joined.protocol_type.as_deref(), (version >= 7).then_some("consumer"));
        let [seen] = &joined.members[..] else { panic!("{:?}", joined.members) };
        assert_eq!((seen.member_id.as_str(), &seen.metadata[..]), (member.id.as_str(), &b"subscription"[..]));

        let sync_version = version.min(5);
        let mut sync = member.sync(&[(&member.id, b"all of it")]);
        if sync_version < 5 {
            (sync.protocol_type, sync.protocol_name) = (None, None);
        }
        let synced = client.call(&sync, sync_version).await;
        assert_eq!((error(synced.error_code), &synced.assignment[..]), (ErrorCode::None, &b"all of it"[..]));
        let protocol = (synced.protocol_type.as_deref(), synced.protocol_name.as_deref());
        assert_eq!(protocol, if sync_version < 5 { (None, None) } else { (Some("consumer"), Some("range")) });

        let beat = client.call(&member.heartbeat(), version.min(4)).await;
        assert_eq!(error(beat.error_code), ErrorCode::None);
        let leave_version = version.min(5);
        let left = client.call(&leave_in(&member, leave_version), leave_version).await;
        assert_eq!(error(left.error_code), ErrorCode::None);
        let errors: Vec<_> = left.members.iter().map(|left| (left.member_id.as_str(), left.error_code)).collect();
        assert_eq!(errors, if leave_version < 3 { vec![] } else { vec![(member.id.as_str(), 0)] });
        assert_eq!(heartbeat(&mut client, &member).await, ErrorCode::UnknownMemberId);
        assert_eq!(state(&mut client, &member.group).await, "Empty");
    }
}

#[tokio::test]
async fn a_new_member_is_given_its_id_before_it_is_one() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let member = Member::new("given-id");
    for version in 4..=9 {
        let response = client.call(&join_in(&member, version), version).await;
        assert_eq!(error(response.error_code), ErrorCode::MemberIdRequired);
        assert!(response.member_id.starts_with("test-"), "{}", response.member_id);
        let protocol = (response.protocol_type, response.protocol_name, response.leader);
        assert_eq!(protocol, (None, (version < 7).then(StrBytes::default), StrBytes::default()));
        assert_eq!((response.generation_id, response.members.len()), (-1, 0));
    }
    let described = describe(&mut client, "given-id", 5).await;
    assert_eq!((described.group_state.as_str(), described.members.len()), ("Empty", 0));
}

#[tokio::test]
async fn members_are_held_against_generation_id_and_protocol() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let member = stable_member(&mut client, "held", b"s").await;
    let old = Member { generation: member.generation - 1, ..member.clone() };
    let stranger = Member { id: "stranger".to_owned(), ..member.clone() };
    let elsewhere = Member { group: "nobody-knows".to_owned(), ..member.clone() };
    assert_eq!(heartbeat(&mut client, &old).await, ErrorCode::IllegalGeneration);
    assert_eq!(heartbeat(&mut client, &stranger).await, ErrorCode::UnknownMemberId);
    assert_eq!(heartbeat(&mut client, &elsewhere).await, ErrorCode::UnknownMemberId);
    let sync = async |client: &mut RawClient, request: &SyncGroupRequest| {
        let SyncGroupResponse { error_code, assignment, .. } = client.call(request, 5).await;
        (error(error_code), assignment)
    };
    let none = Bytes::new();
    assert_eq!(sync(&mut client, &old.sync(&[])).await, (ErrorCode::IllegalGeneration, none.clone()));
    assert_eq!(sync(&mut client, &stranger.sync(&[])).await, (ErrorCode::UnknownMemberId, none.clone()));
    assert_eq!(sync(&mut client, &elsewhere.sync(&[])).await, (ErrorCode::UnknownMemberId, none.clone()));
    let other_protocol = SyncGroupRequest { protocol_name: Some("roundrobin".into()), ..member.sync(&[]) };
    assert_eq!(sync(&mut client, &other_protocol).await, (ErrorCode::InconsistentGroupProtocol, none.clone()));
    let no_protocol = SyncGroupRequest { protocol_name: None, ..member.sync(&[]) };
    assert_eq!(sync(&mut client, &no_protocol).await, (ErrorCode::InconsistentGroupProtocol, none));
    assert_eq!(sync(&mut client, &member.sync(&[])).await, (ErrorCode::None, Bytes::from_static(b"assignment")));

    let join =
        async |client: &mut RawClient, request: JoinGroupRequest| error(client.call(&request, 5).await.error_code);
    let newcomer = Member::new("held");
    let of_type = JoinGroupRequest { protocol_type: "connect".into(), ..newcomer.join() };
    assert_eq!(join(&mut client, of_type).await, ErrorCode::InconsistentGroupProtocol);
    let with_protocol = JoinGroupRequest { protocols: vec![protocol("sticky", b"")], ..newcomer.join() };
    assert_eq!(join(&mut client, with_protocol).await, ErrorCode::InconsistentGroupProtocol);
    assert_eq!(join(&mut client, stranger.join()).await, ErrorCode::UnknownMemberId);
    assert_eq!(heartbeat(&mut client, &member).await, ErrorCode::None, "nobody has disturbed it");
}

#[tokio::test]
async fn a_rebalance_waits_for_every_member() {
    let broker = group_broker().await;
    let (mut a, mut b) = (group_client(&broker).await, group_client(&broker).await);
    let mut first = stable_member(&mut a, "rebalance", b"s").await;
    let mut second = Member::new("rebalance");
    second.id = b.call(&second.join(), 9).await.member_id.to_string();
    let joining = b.send(&second.join(), 9).await;
    // The join of the second is answered after this, so it does not matter which of them is read first.
    within(async { while heartbeat(&mut a, &first).await != ErrorCode::RebalanceInProgress {} }).await;
    assert_eq!(state(&mut a, "rebalance").await, "PreparingRebalance");
    let response = joined(&mut a, &mut first, 9).await;
    assert_eq!((response.generation_id, response.leader, response.members.len()), (2, response.member_id, 2));
    let response = b.receive::<JoinGroupRequest>(joining, 9).await;
    assert_eq!((response.generation_id, response.leader.as_str()), (2, first.id.as_str()));
    assert_eq!(response.members, [], "only the leader has them");
    second.generation = 2;
    assert_eq!(state(&mut a, "rebalance").await, "CompletingRebalance");
    let syncing = b.send(&second.sync(&[]), 5).await;
    let synced = a.call(&first.sync(&[(&first.id, b"1"), (&second.id, b"2")]), 5).await;
    assert_eq!(&synced.assignment[..], b"1");
    assert_eq!(&b.receive::<SyncGroupRequest>(syncing, 5).await.assignment[..], b"2");
    assert_eq!(state(&mut a, "rebalance").await, "Stable");

    // The leader goes: the other has to join again.
    assert_eq!(error(a.call(&first.leave(), 5).await.error_code), ErrorCode::None);
    assert_eq!(heartbeat(&mut b, &second).await, ErrorCode::RebalanceInProgress);
    let response = joined(&mut b, &mut second, 9).await;
    assert_eq!((response.generation_id, response.leader), (3, response.member_id));
}

#[tokio::test]
async fn who_is_silent_for_too_long_is_out() {
    let broker = group_broker_with(&["group.min.session.timeout.ms=1"]).await;
    let mut client = group_client(&broker).await;
    let silent = Member::new("silent");
    let join = |member: &Member| JoinGroupRequest { session_timeout_ms: 50, ..member.join() };
    let id = client.call(&join(&silent), 9).await.member_id.to_string();
    let silent = Member { id, ..silent };
    let response = client.call(&join(&silent), 9).await;
    assert_eq!(error(response.error_code), ErrorCode::None);
    let silent = Member { generation: response.generation_id, ..silent };
    client.call(&silent.sync(&[]), 5).await;
    let mut second = Member::new("silent");
    // It would wait for the rebalance time-out of the first, but that is out before.
    let response = joined(&mut client, &mut second, 9).await;
    assert_eq!((response.leader.as_str(), response.members.len()), (second.id.as_str(), 1));
    assert_eq!(heartbeat(&mut client, &silent).await, ErrorCode::UnknownMemberId);
}

#[tokio::test]
async fn a_static_member_comes_back_without_a_rebalance() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let member = settled(&mut client, Member::with_instance("static", "i"), b"s").await;
    assert!(member.id.starts_with("i-"), "{}", member.id);
    let mut back = Member::with_instance("static", "i");
    let response = joined(&mut client, &mut back, 9).await;
    assert_eq!(back.generation, member.generation);
    assert_ne!(back.id, member.id);
    assert_eq!((response.leader.as_str(), response.skip_assignment), (back.id.as_str(), true));
    let synced = client.call(&back.sync(&[]), 5).await;
    assert_eq!((error(synced.error_code), &synced.assignment[..]), (ErrorCode::None, &b"assignment"[..]));
    assert_eq!(heartbeat(&mut client, &member).await, ErrorCode::FencedInstanceId);
    assert_eq!(heartbeat(&mut client, &back).await, ErrorCode::None);
    let described = describe(&mut client, "static", 5).await;
    let [seen] = &described.members[..] else { panic!("{:?}", described.members) };
    assert_eq!((seen.member_id.as_str(), seen.group_instance_id.as_deref()), (back.id.as_str(), Some("i")));
}

#[tokio::test]
async fn members_leave_together_and_each_has_its_outcome() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let member = settled(&mut client, Member::with_instance("leaving", "i"), b"s").await;
    let asked = [("stranger", None), ("", Some("nobody")), ("other", Some("i")), ("", Some("i")), ("", None)];
    let left = client.call(&leave("leaving", &asked), 5).await;
    assert_eq!(error(left.error_code), ErrorCode::None);
    let outcomes = left
        .members
        .iter()
        .map(|left| (left.member_id.as_str(), left.group_instance_id.as_deref(), error(left.error_code)));
    let expected = [
        ("stranger", None, ErrorCode::UnknownMemberId),
        ("", Some("nobody"), ErrorCode::UnknownMemberId),
        ("other", Some("i"), ErrorCode::FencedInstanceId),
        ("", Some("i"), ErrorCode::None),
        ("", None, ErrorCode::UnknownMemberId),
    ];
    assert_eq!(outcomes.collect::<Vec<_>>(), expected);
    assert_eq!(heartbeat(&mut client, &member).await, ErrorCode::UnknownMemberId);
    let nobody = client.call(&leave("no-such-group", &[("m", None)]), 5).await;
    assert_eq!((nobody.error_code, error(nobody.members[0].error_code)), (0, ErrorCode::UnknownMemberId));
    let old = Member { group: "no-such-group".to_owned(), ..member };
    assert_eq!(error(client.call(&leave_in(&old, 0), 0).await.error_code), ErrorCode::UnknownMemberId);
}

#[tokio::test]
async fn a_group_without_an_id_is_refused() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let member = Member { id: "m".to_owned(), generation: 1, ..Member::new("") };
    let joined = client.call(&member.join(), 9).await;
    assert_eq!((error(joined.error_code), joined.member_id.as_str()), (ErrorCode::InvalidGroupId, "m"));
    assert_eq!(error(client.call(&member.sync(&[]), 5).await.error_code), ErrorCode::InvalidGroupId);
    assert_eq!(heartbeat(&mut client, &member).await, ErrorCode::InvalidGroupId);
    assert_eq!(error(client.call(&member.leave(), 5).await.error_code), ErrorCode::InvalidGroupId);
    assert_eq!(state(&mut client, "").await, "Dead");
}

#[tokio::test]
async fn time_outs_that_the_broker_does_not_allow_are_refused() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let member = Member { id: "m".to_owned(), ..Member::new("time-outs") };
    for session_timeout_ms in [i32::MIN, -1, 0, 5_999, 1_800_001, i32::MAX] {
        let request = JoinGroupRequest { session_timeout_ms, ..member.join() };
        let response = client.call(&request, 9).await;
        let refused = (error(response.error_code), response.member_id.as_str());
        assert_eq!(refused, (ErrorCode::InvalidSessionTimeout, "m"), "{session_timeout_ms}");
    }
    assert_eq!(state(&mut client, "time-outs").await, "Dead");
    // Nobody else is there to be waited for.
    for rebalance_timeout_ms in [i32::MIN, -1, 0, i32::MAX] {
        let member = Member::new(&format!("rebalance-time-out-{rebalance_timeout_ms}"));
        let request = JoinGroupRequest { rebalance_timeout_ms, ..member.join() };
        let response = client.call(&request, 3).await;
        assert_eq!(error(response.error_code), ErrorCode::None, "{rebalance_timeout_ms}");
    }
}

#[tokio::test]
async fn a_join_without_a_protocol_is_refused() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let member = Member::new("no-protocol");
    let without = [
        JoinGroupRequest { protocols: vec![], ..member.join() },
        JoinGroupRequest { protocol_type: StrBytes::default(), ..member.join() },
    ];
    for request in without {
        let response = client.call(&request, 3).await;
        assert_eq!(error(response.error_code), ErrorCode::InconsistentGroupProtocol);
    }
}

#[tokio::test]
async fn thousands_of_protocols_are_a_choice_like_any_other() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let protocols = (0..5_000).map(|n| protocol(&format!("p{n}"), b"m")).collect();
    let request = JoinGroupRequest { protocols, ..Member::new("many-protocols").join() };
    let response = client.call(&request, 3).await;
    assert_eq!(error(response.error_code), ErrorCode::None);
    assert_eq!(response.protocol_name.as_deref(), Some("p0"));
    assert_eq!(&response.members[0].metadata[..], b"m");
}

#[tokio::test]
async fn what_is_too_large_for_the_log_is_not_written_and_harms_nobody() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let mut member = Member::new("too-large");
    let metadata = vec![b'm'; 3 << 20];
    let request = JoinGroupRequest { protocols: vec![protocol("range", &metadata)], ..member.join() };
    let response = client.call(&request, 3).await;
    assert_eq!((error(response.error_code), response.members[0].metadata.len()), (ErrorCode::None, 3 << 20));
    member.id = response.member_id.to_string();
    member.generation = response.generation_id;
    let synced = client.call(&member.sync(&[(&member.id, b"a")]), 5).await;
    assert_eq!(error(synced.error_code), ErrorCode::UnknownServerError);
    assert_eq!(state(&mut client, "too-large").await, "PreparingRebalance");
    let other = stable_member(&mut client, "not-too-large", b"s").await;
    assert_eq!(heartbeat(&mut client, &other).await, ErrorCode::None);
}

#[tokio::test]
async fn a_group_is_described_in_every_version() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let member = stable_member(&mut client, "described", b"subscription").await;
    for version in 0..=6 {
        let request = DescribeGroupsRequest {
            groups: vec!["described".into(), "nobody-knows".into(), "described".into()],
            include_authorized_operations: version >= 3,
            ..DescribeGroupsRequest::default()
        };
        let mut groups = client.call(&request, version).await.groups;
        groups.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        let [described, again, unknown] = &groups[..] else { panic!("{groups:?}") };
        assert_eq!((described, error(described.error_code)), (again, ErrorCode::None));
        assert_eq!(described.error_message, None);
        let protocol = (described.protocol_type.as_str(), described.protocol_data.as_str());
        assert_eq!((described.group_state.as_str(), protocol), ("Stable", ("consumer", "range")));
        let [seen] = &described.members[..] else { panic!("{:?}", described.members) };
        assert_eq!((seen.member_id.as_str(), seen.group_instance_id.as_deref()), (member.id.as_str(), None));
        assert_eq!((seen.client_id.as_str(), seen.client_host.as_str()), ("test", "/127.0.0.1"));
        assert_eq!(&seen.member_metadata[..], b"subscription");
        assert_eq!(&seen.member_assignment[..], b"assignment");
        let operations = if version < 3 { OMITTED } else { 3400 };
        assert_eq!(described.authorized_operations, operations);

        assert_eq!((unknown.group_state.as_str(), unknown.protocol_type.as_str()), ("Dead", ""));
        let (expected, message) = match version {
            6 => (ErrorCode::GroupIdNotFound, Some("Group nobody-knows not found.")),
            _ => (ErrorCode::None, None),
        };
        assert_eq!((error(unknown.error_code), unknown.error_message.as_deref()), (expected, message));
        let operations = if version == 6 { OMITTED } else { operations };
        assert_eq!(unknown.authorized_operations, operations, "version {version}");
    }
}

#[tokio::test]
async fn a_group_between_generations_is_described_without_protocol() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let mut member = Member::new("between");
    joined(&mut client, &mut member, 9).await;
    let described = describe(&mut client, "between", 5).await;
    assert_eq!((described.group_state.as_str(), described.protocol_data.as_str()), ("CompletingRebalance", ""));
    let [seen] = &described.members[..] else { panic!("{:?}", described.members) };
    assert_eq!(
        (seen.member_id.as_str(), seen.member_metadata.len(), seen.member_assignment.len()),
        (&*member.id, 0, 0)
    );
}

#[tokio::test]
async fn groups_are_listed_by_state_and_type() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    stable_member(&mut client, "listed-stable", b"s").await;
    let gone = stable_member(&mut client, "listed-empty", b"s").await;
    client.call(&gone.leave(), 5).await;
    let list = async |client: &mut RawClient, states: &[&str], types: &[&str], version: i16| {
        let texts = |texts: &[&str]| texts.iter().map(|text| StrBytes::from(*text)).collect();
        let request = ListGroupsRequest {
            states_filter: texts(states),
            types_filter: texts(types),
            ..ListGroupsRequest::default()
        };
        let response = client.call(&request, version).await;
        assert_eq!(error(response.error_code), ErrorCode::None);
        let ours = response.groups.into_iter().filter(|group| group.group_id.starts_with("listed-"));
        let mut groups: Vec<_> = ours
            .map(|group| {
                [group.group_id, group.protocol_type, group.group_state, group.group_type].map(|text| text.to_string())
            })
            .collect();
        groups.sort();
        groups
    };
    let row = |id: &str, state: &str, kind: &str| [id, "consumer", state, kind].map(str::to_owned);
    for version in 0..=5 {
        let state = |state| if version >= 4 { state } else { "" };
        let kind = if version >= 5 { "classic" } else { "" };
        let expected = [row("listed-empty", state("Empty"), kind), row("listed-stable", state("Stable"), kind)];
        assert_eq!(list(&mut client, &[], &[], version).await, expected, "version {version}");
    }
    let stable = [row("listed-stable", "Stable", "classic")];
    assert_eq!(list(&mut client, &["sTABLE"], &[], 5).await, stable);
    assert_eq!(list(&mut client, &["Stable", "Dead", "no such state"], &["Classic", "no such type"], 5).await, stable);
    assert_eq!(list(&mut client, &["no such state"], &[], 5).await, [] as [[String; 4]; 0]);
    assert_eq!(list(&mut client, &[], &["consumer"], 5).await, [] as [[String; 4]; 0]);
}

#[tokio::test]
async fn only_a_group_without_members_is_deleted() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    for version in 0..=3 {
        let (busy, empty) = (format!("busy-{version}"), format!("empty-{version}"));
        stable_member(&mut client, &busy, b"s").await;
        let gone = stable_member(&mut client, &empty, b"s").await;
        client.call(&gone.leave(), 5).await;
        let names = [&*busy, &*empty, "nobody-knows", &*empty, ""];
        let groups_names = names.iter().map(|name| StrBytes::from(*name)).collect();
        let request = DeleteGroupsRequest { groups_names, ..DeleteGroupsRequest::default() };
        let mut results = client.call(&request, version).await.results;
        results.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        let outcomes: Vec<_> =
            results.iter().map(|result| (result.group_id.as_str(), error(result.error_code))).collect();
        let expected = [
            ("", ErrorCode::GroupIdNotFound),
            (&*busy, ErrorCode::NonEmptyGroup),
            (&*empty, ErrorCode::None),
            ("nobody-knows", ErrorCode::GroupIdNotFound),
        ];
        assert_eq!(outcomes, expected, "version {version}");
        assert!(results.iter().all(|result| result.error_message.is_none()));
        assert_eq!(state(&mut client, &empty).await, "Dead");
    }
}

#[tokio::test]
async fn a_full_group_takes_nobody_in() {
    let broker = group_broker_with(&["group.max.size=1"]).await;
    let mut client = group_client(&broker).await;
    let member = stable_member(&mut client, "full", b"s").await;
    let response = client.call(&Member::new("full").join(), 3).await;
    assert_eq!(error(response.error_code), ErrorCode::GroupMaxSizeReached);
    assert_eq!(heartbeat(&mut client, &member).await, ErrorCode::None);
}

#[tokio::test]
async fn members_go_on_after_a_restart() {
    let broker = group_broker().await;
    let mut client = group_client(&broker).await;
    let member = stable_member(&mut client, "restarted", b"s").await;
    let broker = broker.restarted().await;
    let mut client = group_client(&broker).await;
    let described = loaded(&mut client, "restarted").await;
    assert_eq!((described.group_state.as_str(), &described.members[0].member_id[..]), ("Stable", &*member.id));
    assert_eq!(heartbeat(&mut client, &member).await, ErrorCode::None);
    let synced = client.call(&member.sync(&[]), 5).await;
    assert_eq!((error(synced.error_code), &synced.assignment[..]), (ErrorCode::None, &b"assignment"[..]));
}

#[tokio::test]
async fn members_go_on_after_a_crash() {
    let directory = TempDir::new().expect("a temporary directory");
    let settings = GROUP_SETTINGS.map(|setting| ["--override", setting]).concat();
    let start = || BrokerProcess::start_with(directory.path(), &settings);
    let broker = start();
    let member = stable_member(&mut group_client_at(broker.address()).await, "crashed", b"s").await;
    broker.kill();
    let broker = start();
    let mut client = group_client_at(broker.address()).await;
    let described = loaded(&mut client, "crashed").await;
    assert_eq!((described.group_state.as_str(), &described.members[0].member_id[..]), ("Stable", &*member.id));
    assert_eq!(heartbeat(&mut client, &member).await, ErrorCode::None);
}

#[tokio::test]
async fn a_stop_waits_for_no_rebalance() {
    let broker = group_broker().await;
    let (mut a, mut b) = (group_client(&broker).await, group_client(&broker).await);
    let first = stable_member(&mut a, "stopped", b"s").await;
    let joining = b.send(&Member::new("stopped").join(), 3).await;
    within(async { while heartbeat(&mut a, &first).await != ErrorCode::RebalanceInProgress {} }).await;
    let stopping = tokio::spawn(broker.stop());
    assert_eq!(error(b.receive::<JoinGroupRequest>(joining, 3).await.error_code), ErrorCode::NotCoordinator);
    within(stopping).await.expect("no panic");
}

#[tokio::test]
async fn without_the_topic_nobody_coordinates_yet() {
    let broker = group_broker().await;
    let mut client = broker.client().await;
    let member = Member { id: "m".to_owned(), generation: 1, ..Member::new("g") };
    assert_eq!(error(client.call(&member.join(), 9).await.error_code), ErrorCode::NotCoordinator);
    assert_eq!(error(client.call(&member.sync(&[]), 5).await.error_code), ErrorCode::NotCoordinator);
    assert_eq!(heartbeat(&mut client, &member).await, ErrorCode::NotCoordinator);
    assert_eq!(error(client.call(&member.leave(), 5).await.error_code), ErrorCode::NotCoordinator);
    assert_eq!(error(describe(&mut client, "g", 5).await.error_code), ErrorCode::NotCoordinator);
    let listed = client.call(&ListGroupsRequest::default(), 5).await;
    assert_eq!((error(listed.error_code), listed.groups), (ErrorCode::None, vec![]));
}
