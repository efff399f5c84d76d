use super::*;
use crate::{auth::conversation::Credentials, clock};

const MECHANISMS: [SaslMechanism; 2] = [SaslMechanism::Plain, SaslMechanism::ScramSha256];
const LIFETIME: Duration = Duration::from_secs(60);

/// The states of a session, and how to get there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    ToldVersions,
    RawTokens,
    WrappedTokens,
    TokenTaken,
    Known,
    KnownForAWhile,
    Expired,
    Again,
    Failed,
    NoSasl,
}

const EVERYWHERE: [At; 11] = [
    At::Start,
    At::ToldVersions,
    At::RawTokens,
    At::WrappedTokens,
    At::TokenTaken,
    At::Known,
    At::KnownForAWhile,
    At::Expired,
    At::Again,
    At::Failed,
    At::NoSasl,
];

fn sasl(max_reauth: Option<Duration>) -> Session {
    Session::unauthenticated(Arc::new(SaslConfig {
        mechanisms: MECHANISMS.to_vec(),
        max_reauth,
        max_receive_size: 65_536,
    }))
}

fn success(name: &str) -> Step {
    Step::Success { principal: Principal::user(name), response: b"ok".to_vec() }
}

fn conclude(session: &mut Session, step: Step, now: Instant) -> Verdict {
    let conversation = session.take_conversation().expect("an exchange is under way");
    session.conclude(conversation, step, now)
}

fn known(max_reauth: Option<Duration>, now: Instant) -> Session {
    let mut session = sasl(max_reauth);
    assert_eq!(session.handshake(1, "PLAIN", now), Handshake::Begun);
    let verdict = conclude(&mut session, success("alice"), now);
    assert!(matches!(verdict, Verdict::Success { lifetime, .. } if lifetime == max_reauth), "{verdict:?}");
    session
}

/// A session in the state, and the time then.
fn session_at(at: At) -> (Session, Instant) {
    let now = clock::monotonic();
    let mut session = match at {
        At::NoSasl => Session::established(Principal::anonymous()),
        At::Known => known(None, now),
        At::KnownForAWhile | At::Expired | At::Again => known(Some(LIFETIME), now),
        _ => sasl(None),
    };
    match at {
        At::ToldVersions => session.told_versions(),
        At::RawTokens => assert_eq!(session.handshake(0, "PLAIN", now), Handshake::Begun),
        At::WrappedTokens | At::Again => assert_eq!(session.handshake(1, "PLAIN", now), Handshake::Begun),
        At::TokenTaken => {
            assert_eq!(session.handshake(1, "SCRAM-SHA-256", now), Handshake::Begun);
            assert!(session.take_conversation().is_some());
        }
        At::Failed => assert_eq!(session.handshake(1, "NOPE", now), Handshake::NoSuchMechanism),
        _ => {}
    }
    let now = if at == At::Expired { now + LIFETIME } else { now };
    (session, now)
}

/// What Kafka 4.4 does, but for what is refused with words here that Kafka refuses with its own error response.
#[test]
fn every_state_admits_what_kafka_admits() {
    use At::{
        Again, Expired, Known, KnownForAWhile, NoSasl, RawTokens, Start, TokenTaken, ToldVersions, WrappedTokens,
    };
    let admitted_at = |key| match key {
        ApiKey::ApiVersions => vec![Start, RawTokens, WrappedTokens, TokenTaken, Known, KnownForAWhile, Again, NoSasl],
        ApiKey::SaslHandshake => vec![
            Start,
            ToldVersions,
            RawTokens,
            WrappedTokens,
            TokenTaken,
            Known,
            KnownForAWhile,
            Expired,
            Again,
            NoSasl,
        ],
        ApiKey::SaslAuthenticate => {
            vec![RawTokens, WrappedTokens, TokenTaken, Known, KnownForAWhile, Again, NoSasl]
        }
        _ => vec![Known, KnownForAWhile, NoSasl],
    };
    for at in EVERYWHERE {
        for key in ApiKey::ALL {
            let (session, now) = session_at(at);
            let admitted = session.admit(*key, now);
            assert_eq!(admitted.is_ok(), admitted_at(*key).contains(&at), "{} at {at:?}: {admitted:?}", key.name());
        }
    }
}

#[test]
fn a_mechanism_is_chosen_where_kafka_lets_one_choose() {
    let expected = |at| match at {
        At::Start | At::ToldVersions | At::KnownForAWhile | At::Expired => Handshake::Begun,
        At::Known | At::NoSasl => Handshake::NotNeeded,
        At::RawTokens | At::WrappedTokens | At::TokenTaken | At::Again | At::Failed => Handshake::InExchange,
    };
    for at in EVERYWHERE {
        let (mut session, now) = session_at(at);
        assert_eq!(session.handshake(1, "PLAIN", now), expected(at), "{at:?}");
        let (mut session, now) = session_at(at);
        let unknown = session.handshake(1, "plain", now);
        match expected(at) {
            Handshake::Begun => {
                assert_eq!(unknown, Handshake::NoSuchMechanism, "{at:?}");
                assert_eq!(session.admit(ApiKey::SaslHandshake, now), Err(SessionError::Failed));
            }
            other => assert_eq!(unknown, other, "{at:?}"),
        }
    }
}

#[test]
fn a_client_is_known_by_its_proof_and_not_before() {
    for at in EVERYWHERE {
        let (session, _) = session_at(at);
        let is_known = matches!(at, At::Known | At::KnownForAWhile | At::Expired | At::Again);
        assert_eq!(session.is_established(), is_known || at == At::NoSasl, "{at:?}");
        let name = if is_known { "alice" } else { "ANONYMOUS" };
        assert_eq!(session.principal().name(), name, "{at:?}");
    }
}

#[test]
fn tokens_travel_as_the_version_of_the_handshake_says() {
    for at in EVERYWHERE {
        let (session, _) = session_at(at);
        assert_eq!(session.expects_raw_token(), at == At::RawTokens, "{at:?}");
        assert_eq!(session.expects_token(), matches!(at, At::WrappedTokens | At::TokenTaken | At::Again), "{at:?}");
    }
}

#[test]
fn an_exchange_goes_on_until_there_is_a_verdict() {
    let now = clock::monotonic();
    let mut session = sasl(None);
    session.handshake(1, "SCRAM-SHA-256", now);
    assert!(matches!(conclude(&mut session, Step::Challenge(vec![1]), now), Verdict::Challenge(token) if token == [1]));
    assert!(session.expects_token() && !session.is_established());
    let verdict = conclude(&mut session, success("bob"), now);
    assert!(matches!(verdict, Verdict::Success { lifetime: None, .. }), "{verdict:?}");
    assert_eq!(session.principal(), Principal::user("bob"));
}

#[test]
fn after_a_failure_nothing_is_admitted() {
    let now = clock::monotonic();
    for mut session in [sasl(None), known(Some(LIFETIME), now)] {
        session.handshake(1, "PLAIN", now);
        let failure = Step::Failure(SaslFailure::told("no"));
        assert!(matches!(conclude(&mut session, failure, now), Verdict::Failure(_)));
        assert!(!session.is_established(), "nothing runs as who the client was");
        assert!(ApiKey::ALL.iter().all(|key| session.admit(*key, now).is_err()));
        assert!(session.take_conversation().is_none());
    }
}

#[test]
fn who_authenticates_itself_again_stays_who_it_is() {
    let now = clock::monotonic();
    let mut session = known(Some(LIFETIME), now);
    session.handshake(1, "PLAIN", now);
    assert!(matches!(conclude(&mut session, success("alice"), now), Verdict::Success { lifetime: Some(_), .. }));
    let later = now + BETWEEN_REAUTHENTICATIONS;
    session.handshake(1, "PLAIN", later);
    let Verdict::Failure(failure) = conclude(&mut session, success("bob"), later) else { panic!("bob is not alice") };
    assert_eq!(failure.told, "Cannot change principals during re-authentication from User.alice: User.bob");

    let mut session = known(Some(LIFETIME), now);
    session.handshake(1, "SCRAM-SHA-256", now);
    let Verdict::Failure(failure) = conclude(&mut session, success("alice"), now) else { panic!("another mechanism") };
    assert!(failure.told.contains("SCRAM-SHA-256") && failure.told.contains("PLAIN"), "{failure:?}");
}

#[test]
fn what_fails_is_told_as_a_first_authentication_or_another() {
    let now = clock::monotonic();
    let credentials = Credentials { image: Arc::default(), secret: Arc::new([0; 32]) };
    let mut first = sasl(None);
    first.handshake(1, "SCRAM-SHA-256", now);
    let mut again = known(Some(LIFETIME), now);
    again.handshake(1, "SCRAM-SHA-256", now);
    for (session, during) in [(&mut first, " during authentication "), (&mut again, " during re-authentication ")] {
        let mut conversation = session.take_conversation().expect("an exchange is under way");
        let step = conversation.step(b"nothing", &credentials);
        let Verdict::Failure(failure) = session.conclude(conversation, step, now) else { panic!("no message") };
        assert!(failure.told.contains(during), "{failure:?}");
    }
}

#[test]
fn a_session_ends_in_time_and_is_renewed() {
    let now = clock::monotonic();
    let mut session = known(Some(LIFETIME), now);
    let end = now + LIFETIME;
    assert_eq!(session.admit(ApiKey::Produce, end - Duration::from_millis(1)), Ok(()));
    assert_eq!(session.admit(ApiKey::Produce, end), Err(SessionError::Expired(Principal::user("alice"))));
    assert_eq!(session.handshake(1, "PLAIN", end), Handshake::Begun, "it may still authenticate itself again");
    assert_eq!(session.admit(ApiKey::Produce, end), Err(SessionError::InExchange(ApiKey::Produce)));
    conclude(&mut session, success("alice"), end);
    assert_eq!(session.admit(ApiKey::Produce, end + LIFETIME / 2), Ok(()));
}

#[test]
fn a_second_wish_to_authenticate_again_within_a_second_is_too_soon() {
    let now = clock::monotonic();
    let mut session = known(Some(LIFETIME), now);
    let again = |session: &mut Session, at| {
        let begun = session.handshake(1, "PLAIN", at);
        if begun == Handshake::Begun {
            conclude(session, success("alice"), at);
        }
        begun
    };
    assert_eq!(again(&mut session, now), Handshake::Begun, "the first may come at once");
    assert_eq!(again(&mut session, now + BETWEEN_REAUTHENTICATIONS / 2), Handshake::NotNeeded);
    assert_eq!(again(&mut session, now + BETWEEN_REAUTHENTICATIONS), Handshake::Begun);
}

#[test]
fn a_session_may_last_as_long_as_its_type_allows() {
    let now = clock::monotonic();
    for longest in [Duration::MAX, Duration::from_millis(i64::MAX.unsigned_abs())] {
        let session = known(Some(longest), now);
        session.admit(ApiKey::Metadata, now + Duration::from_hours(24)).expect("it goes on");
    }
}
