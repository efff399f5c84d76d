//! Users, as an administrator alters and describes them.
//!
//! The expectations can be held against another broker, as those of [`transactional`](crate::transactional):
//!
//! ```text
//! OTTLA_IT_REFEREE=127.0.0.1:9092 cargo test --test it users
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
};

use ottla::{
    config::{key::Secret, sources::Origin, users::FirstUser},
    metadata::users::{ScramCredential, ScramMechanism},
    protocol::{
        error_code::ErrorCode,
        messages::{
            AlterUserScramCredentialsRequest, DescribeUserScramCredentialsRequest,
            alter_user_scram_credentials_request::{ScramCredentialDeletion, ScramCredentialUpsertion},
            describe_user_scram_credentials_request::UserName,
        },
    },
};

use crate::{
    support::{RawClient, TestBroker, error, metadata_batches},
    transactional::Stage,
};

const SHA_256: i8 = 1;
const SHA_512: i8 = 2;

fn deletion(name: &str, mechanism: i8) -> ScramCredentialDeletion {
    ScramCredentialDeletion { name: name.into(), mechanism, ..ScramCredentialDeletion::default() }
}

fn upsertion(name: &str, mechanism: i8, iterations: i32) -> ScramCredentialUpsertion {
    ScramCredentialUpsertion {
        name: name.into(),
        mechanism,
        iterations,
        salt: vec![1, 2, 3, 4, 5, 6, 7, 8].into(),
        salted_password: vec![0xaa; 32].into(),
        ..ScramCredentialUpsertion::default()
    }
}

fn alter(
    deletions: Vec<ScramCredentialDeletion>,
    upsertions: Vec<ScramCredentialUpsertion>,
) -> AlterUserScramCredentialsRequest {
    AlterUserScramCredentialsRequest { deletions, upsertions, ..AlterUserScramCredentialsRequest::default() }
}

/// Who was refused, in no order, behind who was not.
type Altered = (Vec<String>, BTreeMap<String, (ErrorCode, String)>);

async fn altered(client: &mut RawClient, request: &AlterUserScramCredentialsRequest) -> Altered {
    let response = client.call(request, 0).await;
    let (done, refused): (Vec<_>, Vec<_>) = response.results.iter().partition(|result| result.error_code == 0);
    let is_in_order = response.results.iter().map(|result| result.error_code != 0).is_sorted();
    assert!(is_in_order, "what was refused comes last");
    assert!(done.iter().all(|result| result.error_message.is_none()));
    let refused: BTreeMap<_, _> = refused
        .into_iter()
        .map(|result| {
            let message = result.error_message.as_deref().unwrap_or_default().to_owned();
            (result.user.to_string(), (error(result.error_code), message))
        })
        .collect();
    let done: Vec<_> = done.into_iter().map(|result| result.user.to_string()).collect();
    assert_eq!(done.len() + refused.len(), response.results.len(), "each user is answered once");
    (done, refused)
}

async fn set(client: &mut RawClient, name: &str, mechanism: i8, iterations: i32) {
    let answer = altered(client, &alter(Vec::new(), vec![upsertion(name, mechanism, iterations)])).await;
    assert_eq!(answer, (vec![name.to_owned()], BTreeMap::new()));
}

/// Error, text and credentials by user.
type Described = BTreeMap<String, (ErrorCode, String, BTreeSet<(i8, i32)>)>;

async fn described(client: &mut RawClient, names: Option<&[&str]>) -> Described {
    let named = |name: &&str| UserName { name: (*name).into(), ..UserName::default() };
    let users = names.map(|names| names.iter().map(named).collect());
    let request = DescribeUserScramCredentialsRequest { users, ..DescribeUserScramCredentialsRequest::default() };
    let response = client.call(&request, 0).await;
    assert_eq!((error(response.error_code), response.error_message.as_deref()), (ErrorCode::None, Some("")));
    let count = response.results.len();
    let by_user: BTreeMap<_, _> = response
        .results
        .into_iter()
        .map(|result| {
            let infos = result.credential_infos.iter().map(|info| (info.mechanism, info.iterations)).collect();
            let message = result.error_message.as_deref().expect("never null").to_owned();
            (result.user.to_string(), (error(result.error_code), message, infos))
        })
        .collect();
    assert_eq!(by_user.len(), count, "each user is answered once");
    by_user
}

fn with(infos: &[(i8, i32)]) -> (ErrorCode, String, BTreeSet<(i8, i32)>) {
    (ErrorCode::None, String::new(), infos.iter().copied().collect())
}

#[tokio::test]
async fn users_are_set_described_and_taken_away() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let [a, b] = ["a", "b"].map(|name| stage.name(name));
    set(&mut client, &a, SHA_256, 4096).await;
    set(&mut client, &a, SHA_512, 8192).await;
    set(&mut client, &b, SHA_512, 16384).await;
    set(&mut client, &b, SHA_512, 5000).await;
    let expected = [(a.clone(), with(&[(SHA_256, 4096), (SHA_512, 8192)])), (b.clone(), with(&[(SHA_512, 5000)]))];
    let asked = described(&mut client, Some(&[&b, &a])).await;
    assert_eq!(asked, expected.clone().into());
    for all in [described(&mut client, None).await, described(&mut client, Some(&[])).await] {
        assert!(expected.iter().all(|(user, is)| all.get(user) == Some(is)), "{all:?}");
    }
    let answer = altered(&mut client, &alter(vec![deletion(&b, SHA_512), deletion(&a, SHA_256)], Vec::new())).await;
    assert_eq!(answer.0.iter().collect::<BTreeSet<_>>(), BTreeSet::from([&a, &b]));
    assert_eq!(described(&mut client, Some(&[&a])).await[&a], with(&[(SHA_512, 8192)]));
    let gone = format!("Attempt to describe a user credential that does not exist: {b}");
    let expected = (ErrorCode::ResourceNotFound, gone, BTreeSet::new());
    assert_eq!(described(&mut client, Some(&[&b])).await[&b], expected);
}

#[tokio::test]
async fn a_user_that_is_named_twice_is_described_once_as_an_error() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let [a, nobody] = ["twice", "nobody"].map(|name| stage.name(name));
    set(&mut client, &a, SHA_256, 4096).await;
    let asked = described(&mut client, Some(&[&a, &nobody, &a, &nobody, &a])).await;
    for user in [a, nobody] {
        let message = format!("Cannot describe SCRAM credentials for the same user twice in a single request: {user}");
        assert_eq!(asked[&user], (ErrorCode::DuplicateResource, message, BTreeSet::new()));
    }
}

#[tokio::test]
async fn what_cannot_be_done_leaves_the_rest_to_be_done() {
    let stage = Stage::start().await;
    let mut client = stage.client().await;
    let names = ["old", "few", "many", "odd", "none", "twice", "both", "first", "gone", "new"];
    let [old, few, many, odd, none, twice, both, first, gone, new] = names.map(|name| stage.name(name));
    set(&mut client, &old, SHA_256, 4096).await;
    set(&mut client, &both, SHA_256, 4096).await;
    let deletions = vec![deletion(&none, SHA_256), deletion(&both, SHA_256), deletion(&gone, SHA_256)];
    let deletions = [deletions, vec![deletion(&old, SHA_256), deletion("", SHA_256)]].concat();
    let upsertions = vec![
        upsertion(&new, SHA_512, 16384),
        upsertion(&few, SHA_256, 4095),
        upsertion(&many, SHA_512, 16385),
        upsertion(&odd, 3, 4096),
        upsertion(&twice, SHA_256, 4096),
        upsertion(&twice, SHA_512, 4096),
        upsertion(&both, SHA_512, 4096),
        upsertion(&first, SHA_256, 1),
        upsertion(&first, SHA_256, 4096),
        upsertion(&gone, SHA_256, 4096),
    ];
    let (done, refused) = altered(&mut client, &alter(deletions, upsertions)).await;
    assert_eq!(done, [old.clone(), new.clone()]);
    let again = "A user credential cannot be altered twice in the same request";
    let missing = "Attempt to delete a user credential that does not exist";
    let expected = [
        (none, ErrorCode::ResourceNotFound, missing),
        (both.clone(), ErrorCode::DuplicateResource, again),
        (gone, ErrorCode::ResourceNotFound, missing),
        (String::new(), ErrorCode::UnacceptableCredential, "Username must not be empty"),
        (few, ErrorCode::UnacceptableCredential, "Too few iterations"),
        (many, ErrorCode::UnacceptableCredential, "Too many iterations"),
        (odd, ErrorCode::UnsupportedSaslMechanism, "Unknown SCRAM mechanism"),
        (twice.clone(), ErrorCode::DuplicateResource, again),
        (first, ErrorCode::UnacceptableCredential, "Too few iterations"),
    ];
    let expected = expected.into_iter().map(|(user, error, message)| (user, (error, message.to_owned())));
    assert_eq!(refused, expected.collect());
    let after = described(&mut client, Some(&[&old, &new, &both, &twice])).await;
    assert_eq!((after[&old].0, after[&twice].0), (ErrorCode::ResourceNotFound, ErrorCode::ResourceNotFound));
    assert_eq!((&after[&new], &after[&both]), (&with(&[(SHA_512, 16384)]), &with(&[(SHA_256, 4096)])));
    assert_eq!(altered(&mut client, &alter(Vec::new(), Vec::new())).await, (Vec::new(), BTreeMap::new()));
}

#[tokio::test]
async fn the_changes_of_a_request_are_one_commit_that_lasts() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    set(&mut client, "a", SHA_256, 4096).await;
    let before = metadata_batches(broker.path());
    let request =
        alter(vec![deletion("a", SHA_256)], vec![upsertion("b", SHA_256, 4096), upsertion("c", SHA_512, 5000)]);
    assert_eq!(altered(&mut client, &request).await.0, ["a", "b", "c"]);
    assert_eq!(metadata_batches(broker.path()), before + 1);
    altered(&mut client, &alter(vec![deletion("a", SHA_256)], Vec::new())).await;
    assert_eq!(metadata_batches(broker.path()), before + 1, "nothing was to be done");
    let broker = broker.restarted().await;
    let mut client = broker.client().await;
    let all = described(&mut client, None).await;
    assert_eq!(all, [("b".to_owned(), with(&[(SHA_256, 4096)])), ("c".to_owned(), with(&[(SHA_512, 5000)]))].into());
    let expected = ScramCredential::from_salted_password(
        ScramMechanism::Sha256,
        &[0xaa; 32],
        vec![1, 2, 3, 4, 5, 6, 7, 8].into(),
        4096,
    );
    let image = broker.server().broker().image();
    assert!(**image.users().credential("b", ScramMechanism::Sha256).expect("there") == expected);
}

#[tokio::test]
async fn what_has_no_bound_in_kafka_has_one_here() {
    let broker = TestBroker::start().await;
    let mut client = broker.client().await;
    let long = "x".repeat(1025);
    let salty = ScramCredentialUpsertion { salt: vec![0; 1025].into(), ..upsertion("salty", SHA_256, 4096) };
    let empty = ScramCredentialUpsertion { salted_password: Vec::new().into(), ..upsertion("empty", SHA_256, 4096) };
    let (done, refused) =
        altered(&mut client, &alter(Vec::new(), vec![upsertion(&long, SHA_256, 4096), salty, empty])).await;
    assert_eq!((done.len(), refused.len()), (0, 3));
    assert!(refused.values().all(|(error, _)| *error == ErrorCode::UnacceptableCredential), "{refused:?}");
    let most = &long[1..];
    set(&mut client, most, SHA_256, 4096).await;
    let many = (0..10_001).map(|n| deletion(&n.to_string(), SHA_256)).collect();
    let (done, refused) = altered(&mut client, &alter(many, Vec::new())).await;
    assert_eq!((done.len(), refused.len()), (0, 10_001));
    assert!(refused.values().all(|(error, _)| *error == ErrorCode::InvalidRequest));
}

#[tokio::test]
async fn users_of_the_settings_are_added_where_there_are_none() {
    let broker = TestBroker::start().await;
    let first = |name: &str, password: &str| FirstUser {
        name: name.to_owned(),
        password: Secret::new(password),
        origin: Origin::Override,
    };
    let users = vec![first("a", "secret of a"), first("b", "secret of b")];
    let before = metadata_batches(broker.path());
    broker.server().broker().add_first_users(users).await.expect("added");
    assert_eq!(metadata_batches(broker.path()), before + 1);
    let image = broker.server().broker().image();
    for (name, password) in [("a", "secret of a"), ("b", "secret of b")] {
        for mechanism in ScramMechanism::ALL {
            let credential = image.users().credential(name, mechanism).expect("both mechanisms");
            assert!(credential.verifies(mechanism, password.as_bytes()), "{name} {mechanism:?}");
            assert_eq!((credential.iterations, credential.salt.len()), (8192, 26));
        }
    }
    let broker = broker.restarted().await;
    let image = broker.server().broker().image();
    let users = vec![first("a", "secret of a"), first("b", "changed"), first("c", "new")];
    let known = broker.server().broker().add_first_users(users).await.expect("added");
    assert_eq!(known, [first("a", "secret of a"), first("b", "changed")]);
    let after = broker.server().broker().image();
    for name in ["a", "b"] {
        assert_eq!(after.users().credentials(name), image.users().credentials(name), "{name} is as it was");
    }
    assert!(after.users().credentials("c").is_some());
    assert!(!format!("{:?}", first("a", "secret of a")).contains("secret of"));
}

#[tokio::test]
async fn keys_are_for_the_owner_of_the_directory_alone() {
    let broker = TestBroker::start().await;
    let mode = |broker: &TestBroker, name: &str| {
        fs::metadata(broker.path().join(name)).expect("is there").permissions().mode() & 0o777
    };
    let names = ["__cluster_metadata-0", ".ottla-secret"];
    assert_eq!(names.map(|name| mode(&broker, name)), [0o700, 0o600]);
    let secret = *broker.server().broker().secret().clone();
    let widen = |path: &std::path::Path| {
        for (name, wide) in names.iter().zip([0o755, 0o644]) {
            fs::set_permissions(path.join(name), fs::Permissions::from_mode(wide)).expect("set");
        }
    };
    let broker = broker.restarted_after(widen).await;
    assert_eq!(names.map(|name| mode(&broker, name)), [0o700, 0o600]);
    assert_eq!(**broker.server().broker().secret(), secret);
}
