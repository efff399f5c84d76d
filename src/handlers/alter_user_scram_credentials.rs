//! `AlterUserScramCredentials` (key 51), after Kafka's `ScramControlManager`.
//!
//! Who reads a salted password on its way can log in with it, so that one is taken only where nobody else reads: over TLS,
//! or from this host. Names and salts have bounds, which Kafka does not set: each goes into the metadata log, and into
//! every snapshot of it.

use std::{
    collections::{HashMap, hash_map::Entry},
    ops::RangeInclusive,
};

use super::{config_resources::refusal_of_all, context::Context, errors, refusal::Refusal};
use crate::{
    auth::authorizer::{Operation, Resource},
    metadata::{
        image::Image,
        users::{self, ScramCredential, ScramMechanism, UserChange},
    },
    network::ConnectionContext,
    protocol::{
        error_code::ErrorCode,
        messages::{
            AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
            alter_user_scram_credentials_request::{ScramCredentialDeletion, ScramCredentialUpsertion},
            alter_user_scram_credentials_response::AlterUserScramCredentialsResult,
        },
        wire::StrBytes,
    },
};

/// How often a password may be hashed.
const ITERATIONS: RangeInclusive<i32> = 4096..=16384;
/// The longest name and the longest salt, in bytes.
const BYTES_MAX: usize = 1024;

/// What is asked for each user, in the order in which users are named first.
#[derive(Default)]
struct Asked {
    users: Vec<(StrBytes, Result<UserChange, Refusal>)>,
    places: HashMap<StrBytes, usize>,
}

/// Changes all credentials in one commit; one that is refused leaves the others alone.
pub async fn alter_user_scram_credentials(
    cx: &Context,
    request: AlterUserScramCredentialsRequest,
) -> AlterUserScramCredentialsResponse {
    let preparing = cx.clone();
    let mut asked = cx.heavy_work().run(move || prepare(&preparing, &request)).await;
    let changes = asked.iter().filter_map(|(_, asked)| asked.as_ref().ok().cloned()).collect();
    let mut outcomes = commit(cx, changes).await.into_iter();
    for (_, asked) in asked.iter_mut().filter(|(_, asked)| asked.is_ok()) {
        if let Err(refusal) = outcomes.next().expect("each change has an outcome") {
            *asked = Err(refusal);
        }
    }
    // Deletions come before upsertions, and all that was refused comes last.
    asked.sort_by_key(|(_, outcome)| outcome.is_err());
    let results = asked.into_iter().map(|(user, outcome)| {
        let (error_code, error_message) = Refusal::answer(outcome.map(drop));
        AlterUserScramCredentialsResult { user, error_code, error_message, ..Default::default() }
    });
    AlterUserScramCredentialsResponse { results: results.collect(), ..AlterUserScramCredentialsResponse::default() }
}

/// What becomes of each user that something is asked for.
fn prepare(cx: &Context, request: &AlterUserScramCredentialsRequest) -> Vec<(StrBytes, Result<UserChange, Refusal>)> {
    let image = cx.broker.image();
    let refusal = refusal_of_request(cx, request.deletions.len() + request.upsertions.len());
    let takes_passwords = takes_passwords(&cx.connection, cx.broker.config().clients.plaintext_passwords);
    let mut asked = Asked::default();
    for deletion in &request.deletions {
        asked.add(&deletion.name, refusal.as_ref(), || validate_deletion(&image, deletion));
    }
    for upsertion in &request.upsertions {
        asked.add(&upsertion.name, refusal.as_ref(), || validate_upsertion(&image, upsertion, takes_passwords));
    }
    asked.users
}

fn refusal_of_request(cx: &Context, count: usize) -> Option<Refusal> {
    match cx.authorize(Operation::Alter, Resource::Cluster) {
        Ok(()) => refusal_of_all(count),
        Err(_) => Some(Refusal::new(ErrorCode::ClusterAuthorizationFailed, "Authorization failed.")),
    }
}

impl Asked {
    /// A user may be named once, whatever for; the first error of a user stays.
    fn add(
        &mut self,
        user: &StrBytes,
        refusal: Option<&Refusal>,
        validate: impl FnOnce() -> Result<UserChange, Refusal>,
    ) {
        match self.places.entry(user.clone()) {
            Entry::Occupied(place) => {
                let (_, before) = &mut self.users[*place.get()];
                if before.is_ok() {
                    let message = "A user credential cannot be altered twice in the same request";
                    *before = Err(Refusal::new(ErrorCode::DuplicateResource, message));
                }
            }
            Entry::Vacant(place) => {
                place.insert(self.users.len());
                self.users.push((user.clone(), refusal.map_or_else(validate, |refusal| Err(refusal.clone()))));
            }
        }
    }
}

fn validate_deletion(image: &Image, deletion: &ScramCredentialDeletion) -> Result<UserChange, Refusal> {
    let mechanism = validate_user(&deletion.name, deletion.mechanism)?;
    decided(image, UserChange { user: deletion.name.to_string(), mechanism, credential: None })
}

fn validate_upsertion(
    image: &Image,
    upsertion: &ScramCredentialUpsertion,
    takes_passwords: bool,
) -> Result<UserChange, Refusal> {
    let mechanism = validate_user(&upsertion.name, upsertion.mechanism)?;
    if upsertion.iterations < *ITERATIONS.start() {
        return Err(unacceptable("Too few iterations"));
    }
    if upsertion.iterations > *ITERATIONS.end() {
        return Err(unacceptable("Too many iterations"));
    }
    if upsertion.name.len() > BYTES_MAX || upsertion.salt.len() > BYTES_MAX {
        return Err(unacceptable(&format!("Username and salt must not be longer than {BYTES_MAX} bytes")));
    }
    if upsertion.salted_password.is_empty() {
        return Err(unacceptable("The salted password must not be empty"));
    }
    if !takes_passwords {
        return Err(unacceptable(
            "Passwords are not taken over a network in the clear: use a listener with TLS, or the host of the broker, \
             or set ottla.plaintext.passwords=true",
        ));
    }
    let credential = ScramCredential::from_salted_password(
        mechanism,
        &upsertion.salted_password,
        upsertion.salt.clone(),
        upsertion.iterations.unsigned_abs(),
    );
    decided(image, UserChange { user: upsertion.name.to_string(), mechanism, credential: Some(credential) })
}

fn validate_user(name: &str, mechanism: i8) -> Result<ScramMechanism, Refusal> {
    if name.is_empty() {
        return Err(unacceptable("Username must not be empty"));
    }
    let unknown = || Refusal::new(ErrorCode::UnsupportedSaslMechanism, "Unknown SCRAM mechanism");
    ScramMechanism::from_code(mechanism).ok_or_else(unknown)
}

/// The change, if the metadata as of now allows it.
fn decided(image: &Image, change: UserChange) -> Result<UserChange, Refusal> {
    match users::change(image, &change) {
        Ok(_) => Ok(change),
        Err(error) => Err(Refusal::new(errors::user_change(&error), error.to_string())),
    }
}

fn unacceptable(message: &str) -> Refusal {
    Refusal::new(ErrorCode::UnacceptableCredential, message)
}

/// Whether nobody reads along, or may.
fn takes_passwords(connection: &ConnectionContext, allows_plaintext: bool) -> bool {
    connection.tls.is_some() || connection.peer.ip().to_canonical().is_loopback() || allows_plaintext
}

/// What became of each change.
async fn commit(cx: &Context, changes: Vec<UserChange>) -> Vec<Result<(), Refusal>> {
    let count = changes.len();
    if count == 0 {
        return Vec::new();
    }
    match cx.broker.alter_users(changes).await {
        Ok(outcomes) => {
            let refusal = |error| Refusal::new(errors::user_change(&error), error.to_string());
            outcomes.into_iter().map(|outcome| outcome.map_err(refusal)).collect()
        }
        Err(error) => vec![Err(Refusal::new(errors::commit(&error), error.to_string())); count],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::TlsPeer;

    #[test]
    fn passwords_are_taken_where_nobody_reads_along() {
        let connection = |peer: &str, tls| {
            let peer = peer.parse().expect("an address");
            ConnectionContext { id: 0, listener: "L".into(), peer, local: peer, tls }
        };
        let tls = || Some(TlsPeer { certificate: None });
        for (peer, tls, allowed, taken) in [
            ("127.0.0.1:1", None, false, true),
            ("[::1]:1", None, false, true),
            ("[::ffff:127.0.0.1]:1", None, false, true),
            ("10.0.0.1:1", None, false, false),
            ("[::ffff:10.0.0.1]:1", None, false, false),
            ("10.0.0.1:1", tls(), false, true),
            ("10.0.0.1:1", None, true, true),
        ] {
            assert_eq!(takes_passwords(&connection(peer, tls), allowed), taken, "{peer}");
        }
    }

    #[test]
    fn a_salted_password_is_refused_where_others_read_it() {
        let upsertion = ScramCredentialUpsertion {
            name: "a".into(),
            mechanism: 1,
            iterations: 4096,
            salted_password: vec![1; 32].into(),
            ..ScramCredentialUpsertion::default()
        };
        validate_upsertion(&Image::default(), &upsertion, true).expect("is taken");
        let refusal = validate_upsertion(&Image::default(), &upsertion, false).expect_err("is refused");
        let (_, message) = Refusal::answer(Err(refusal.clone()));
        assert_eq!(refusal.error, ErrorCode::UnacceptableCredential);
        assert!(message.expect("says why").contains("ottla.plaintext.passwords=true"));
    }
}
