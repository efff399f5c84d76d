//! What decides who somebody is.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use ottla::{
    auth::{
        certificate::subject,
        conversation::{Conversation, Credentials, Step},
    },
    config::{principal_rules::PrincipalRules as Rules, security::SaslMechanism},
    metadata::{
        image::Image,
        users::{ScramCredential, ScramMechanism},
    },
};

use super::input::Input;

/// The example of RFC 7677: the two nonces, and the one conversation that anybody can have for them and the password.
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const CLIENT_FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const CLIENT_FINAL: &[u8] = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                              p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SALT: &[u8] = b"\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81";
const ITERATIONS: u32 = 4096;

fn credentials(users: &[(&str, ScramMechanism, ScramCredential)]) -> Credentials {
    let mut image = Image::default();
    for (offset, (user, mechanism, credential)) in (0..).zip(users) {
        image.apply(offset, &credential.record(user, *mechanism)).expect("a credential");
    }
    Credentials { image: Arc::new(image), secret: Arc::new([7; 32]) }
}

/// `user` has the password of the RFC for SHA-256, and another for SHA-512.
static OF_THE_RFC: LazyLock<Credentials> = LazyLock::new(|| {
    let with = |mechanism, password: &[u8]| {
        ("user", mechanism, ScramCredential::from_password(mechanism, password, Bytes::from_static(SALT), ITERATIONS))
    };
    credentials(&[with(ScramMechanism::Sha256, b"pencil"), with(ScramMechanism::Sha512, b"nobody knows")])
});

/// Two tokens of a conversation, the first a block, and one that comes too late. Nobody gets in but by the one pair of
/// tokens that proves the password.
pub(super) fn scram(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mechanism = if input.flag() { SaslMechanism::ScramSha512 } else { SaslMechanism::ScramSha256 };
    let mut conversation = Conversation::with_nonce(mechanism, SERVER_NONCE.to_owned());
    let (first, last) = (input.block(), input.rest());
    let Step::Challenge(challenge) = conversation.step(first, &OF_THE_RFC) else {
        return assert!(first != CLIENT_FIRST, "the RFC's own first message is refused");
    };
    assert!(challenge.starts_with(b"r="));
    let is_in = matches!(conversation.step(last, &OF_THE_RFC), Step::Success { .. });
    let is_proved = mechanism == SaslMechanism::ScramSha256 && first == CLIENT_FIRST && last == CLIENT_FINAL;
    assert_eq!(is_in, is_proved, "who gets in is not who knows the password");
    assert!(matches!(conversation.step(last, &OF_THE_RFC), Step::Failure(_)), "a token after the end counts");
}

/// Few iterations: what is told apart does not depend on their number.
static OF_PLAIN: LazyLock<Credentials> = LazyLock::new(|| {
    let credential = ScramCredential::from_password(ScramMechanism::Sha256, b"pencil", Bytes::from_static(SALT), 2);
    credentials(&[("user", ScramMechanism::Sha256, credential)])
});

/// One token. Nobody gets in without name and password.
pub(super) fn plain(bytes: &[u8]) {
    let mut conversation = Conversation::with_nonce(SaslMechanism::Plain, String::new());
    let is_in = matches!(conversation.step(bytes, &OF_PLAIN), Step::Success { .. });
    let is_proved = bytes == b"\0user\0pencil" || bytes == b"user\0user\0pencil";
    assert_eq!(is_in, is_proved, "who gets in is not who knows the password");
    assert!(
        matches!(conversation.step(b"\0user\0pencil", &OF_PLAIN), Step::Failure(_)),
        "a token after the end counts"
    );
}

/// A certificate, whole or cut, and the name of its subject.
pub(super) fn certificate(bytes: &[u8]) {
    if let Ok(name) = subject(bytes) {
        let rules = Rules::parse("RULE:^CN=(.*?),.*$/$1/L,DEFAULT").expect("valid");
        assert!(rules.name_of(&name).is_some());
    }
}

/// Rules, and a subject for them.
pub(super) fn principal_rules(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (rules, subject) = (input.text(), input.text());
    if let Ok(rules) = Rules::parse(&rules) {
        let _ = rules.name_of(&subject);
        let _ = rules.name_of("CN=alice,OU=Dev,O=Acme\\, Inc.,C=DE");
    }
}
