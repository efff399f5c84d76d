use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;

use super::*;
use crate::metadata::users::ScramCredential;

const PASSWORD: &[u8] = b"pencil";

/// Three exchanges: that of RFC 7677, section 3; the same with SHA-512, computed by Python's hashlib; and an extension.
const EXCHANGES: [(SaslMechanism, &str, [&str; 4]); 3] = [
    (
        SaslMechanism::ScramSha256,
        "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        [
            "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ],
    ),
    (
        SaslMechanism::ScramSha512,
        "9gZhCbtPa2cvxvxDaKnh",
        [
            "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL9gZhCbtPa2cvxvxDaKnh,s=Yin2FuHTt/M0kJWb0t9OI32n2VmOGi3m+JfjOvuDF88=,i=4096",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL9gZhCbtPa2cvxvxDaKnh,p=\
             uMSn4lKNHNMUeJDDNfnEIH7Uosby6l6STk0AWrOhJIVAN/2kbX9mEqw5Z/a+S680/YxVTFBYe6vdxSFk8YlrVQ==",
            "v=qSoFAsPGsNZeyYdXbfAVPTf7YMxxznvNgaY613PWG/hqoxw9AGMClARe6RJw5XTP40oYVWu662o1c/UUKD3XaA==",
        ],
    ),
    (
        SaslMechanism::ScramSha256,
        "SRV",
        [
            "n,a=user,n=user,r=abc,foo=bar,aa=1",
            "r=abcSRV,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=bixhPXVzZXIs,r=abcSRV,x=1,p=zxLpMVEJu0uBl1gPThcBJY68zeGZXiuAFcdF0C1q+RQ=",
            "v=+i2BrZG1xUuW28pw4Nbac6QYIRAa93NEbCsQhzxlRoY=",
        ],
    ),
];

fn credentials() -> Credentials {
    let salts = [
        (ScramMechanism::Sha256, "W22ZaJ0SNY7soEsUEjb6gQ=="),
        (ScramMechanism::Sha512, "Yin2FuHTt/M0kJWb0t9OI32n2VmOGi3m+JfjOvuDF88="),
    ];
    let mut image = Image::default();
    for (mechanism, salt) in salts {
        let salt = Bytes::from(BASE64_STANDARD.decode(salt).expect("base64"));
        let credential = ScramCredential::from_password(mechanism, PASSWORD, salt, 4096);
        image.apply(image.offset(), &credential.record("user", mechanism)).expect("fits");
    }
    Credentials { image: Arc::new(image), secret: Arc::new([3; 32]) }
}

fn challenge(conversation: &mut Conversation, token: &str) -> String {
    match conversation.step(token.as_bytes(), &credentials()) {
        Step::Challenge(challenge) => String::from_utf8(challenge).expect("text"),
        step => panic!("{token}: {step:?}"),
    }
}

fn failure(conversation: &mut Conversation, token: &[u8]) -> SaslFailure {
    match conversation.step(token, &credentials()) {
        Step::Failure(failure) => failure,
        step => panic!("{token:?}: {step:?}"),
    }
}

#[test]
fn exchanges_are_those_of_the_standard() {
    for (mechanism, nonce, [first, challenge_, last, signature]) in EXCHANGES {
        let mut conversation = Conversation::with_nonce(mechanism, nonce.to_owned());
        assert_eq!(challenge(&mut conversation, first), challenge_);
        match conversation.step(last.as_bytes(), &credentials()) {
            Step::Success { principal, response } => {
                assert_eq!(principal, Principal::user("user"));
                assert_eq!(response, signature.as_bytes());
            }
            step => panic!("{step:?}"),
        }
        let again = failure(&mut conversation, last.as_bytes());
        assert!(again.told.ends_with(mechanism.name()), "{again:?}");
    }
}

#[test]
fn every_other_final_message_fails() {
    let (mechanism, nonce, [first, _, last, _]) = EXCHANGES[0];
    let proof = last.split_once(",p=").expect("has a proof").1;
    let full = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let wrong = [
        (last.replace("$k0", "$k1"), "does not repeat the nonce"),
        // CVE-2024-56128: the server's half alone was looked at, or none.
        (format!("c=biws,r={nonce},p={proof}"), "does not repeat the nonce"),
        (format!("c=biws,r=rOprNGfwEbeRWgbNEkqO,p={proof}"), "does not repeat the nonce"),
        (format!("c=biws,r=x{full},p={proof}"), "does not repeat the nonce"),
        (last.replace("biws", "eSws"), "does not repeat the header"),
        (last.replace("biws", ""), "does not repeat the header"),
        (last.replace("p=dH", "p=eH"), "a wrong password"),
        (last.replace(",p=", ",x=1,p="), "a wrong password"),
        (format!("c=biws,r={full},p=AAAA"), "p= is missing or malformed"),
        (format!("c=biws,r={full},p="), "p= is missing or malformed"),
        (format!("c=biws,r={full},p={}", "AAAA".repeat(21) + "AA=="), "p= is missing or malformed"),
        (format!("c=biws,r={full}"), "p= is missing or malformed"),
        (String::new(), "p= is missing or malformed"),
        (first.to_owned(), "p= is missing or malformed"),
    ];
    for (last, why) in wrong {
        let mut conversation = Conversation::with_nonce(mechanism, nonce.to_owned());
        challenge(&mut conversation, first);
        let failure = failure(&mut conversation, last.as_bytes());
        assert_eq!(failure.told, invalid_credentials("authentication", mechanism));
        let logged = failure.logged.expect("says more");
        assert!(logged.contains(why), "{last}: {logged}");
    }
}

#[test]
fn first_messages_that_fail_say_what_kafka_says() {
    for (token, told) in [
        (&b"y,,n=user,r=a"[..], invalid_credentials("authentication", SaslMechanism::ScramSha256)),
        (b"p=tls-unique,,n=user,r=a", invalid_credentials("authentication", SaslMechanism::ScramSha256)),
        (b"n,,n=user,r=a,tokenauth=true", invalid_credentials("authentication", SaslMechanism::ScramSha256)),
        (b"n,,n=us\xffer,r=a", invalid_credentials("authentication", SaslMechanism::ScramSha256)),
        (b"n,a=bob,n=user,r=a", plain::PlainError::AuthorizationId.to_string()),
        (b"n,a=bob,n=nobody,r=a", plain::PlainError::AuthorizationId.to_string()),
    ] {
        assert_eq!(failure(&mut Conversation::new(SaslMechanism::ScramSha256), token).told, told);
    }
}

/// What a client of Kafka is told.
fn invalid_credentials(during: &str, mechanism: SaslMechanism) -> String {
    format!("Authentication failed during {during} due to invalid credentials with SASL mechanism {mechanism}")
}

#[test]
fn who_authenticates_itself_again_is_told_so() {
    let mechanism = SaslMechanism::ScramSha256;
    for token in [&b"nothing"[..], b"n,,n=user,r=a"] {
        let mut conversation = Conversation::again(mechanism);
        let step = conversation.step(token, &credentials());
        let step = if matches!(step, Step::Challenge(_)) { conversation.step(b"", &credentials()) } else { step };
        let Step::Failure(failure) = step else { panic!("{step:?}") };
        assert_eq!(failure.told, invalid_credentials("re-authentication", mechanism));
    }
}

#[test]
fn a_user_that_does_not_exist_fails_like_a_wrong_password() {
    let last = |challenge: &str| {
        let nonce = challenge.split(',').next().expect("a nonce");
        format!("c=biws,{nonce},p={}", BASE64_STANDARD.encode([1; 32]))
    };
    let exchange = |user: &str| {
        let mut conversation = Conversation::with_nonce(SaslMechanism::ScramSha256, "SRV".to_owned());
        let challenge = challenge(&mut conversation, &format!("n,,n={user},r=abc"));
        let failure = failure(&mut conversation, last(&challenge).as_bytes());
        (challenge, failure)
    };
    let (known, unknown) = (exchange("user"), exchange("nobody"));
    assert_eq!(known.1.told, unknown.1.told);
    assert_ne!(known.1.logged, unknown.1.logged);
    assert_eq!(known.0.len(), unknown.0.len());
    assert_ne!(known.0, unknown.0);
    assert_eq!(unknown, exchange("nobody"));
}

#[test]
fn the_server_draws_a_new_nonce_each_time() {
    let drawn = || challenge(&mut Conversation::new(SaslMechanism::ScramSha512), "n,,n=user,r=abc");
    let (one, other) = (drawn(), drawn());
    assert_ne!(one, other);
    let nonce = one.split(',').next().expect("a nonce");
    assert_eq!(nonce.len(), "r=abc".len() + NONCE_LEN);
}

#[test]
fn plain_is_one_token() {
    let mut conversation = Conversation::new(SaslMechanism::Plain);
    assert!(conversation.is_costly());
    match conversation.step(b"\0user\0pencil", &credentials()) {
        Step::Success { principal, response } => {
            assert_eq!((principal, response), (Principal::user("user"), Vec::new()));
        }
        step => panic!("{step:?}"),
    }
    failure(&mut conversation, b"\0user\0pencil");
    let wrong = failure(&mut Conversation::new(SaslMechanism::Plain), b"\0user\0pen");
    let unknown = failure(&mut Conversation::new(SaslMechanism::Plain), b"\0nobody\0pencil");
    assert_eq!(wrong, unknown);
    assert_eq!(wrong.told, "Authentication failed: Invalid username or password");
}

#[test]
fn nothing_secret_is_printed() {
    let credentials = credentials();
    let text = format!("{credentials:?}");
    assert_eq!(text, "Credentials { .. }");
    let mut conversation = Conversation::with_nonce(SaslMechanism::ScramSha256, "SRV".to_owned());
    challenge(&mut conversation, "n,,n=user,r=abc");
    let text = format!("{conversation:?}");
    assert!(text.contains("user") && !text.contains("SRV") && !text.contains("abc"), "{text}");
}
