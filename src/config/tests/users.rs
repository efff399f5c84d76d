//! The users that a start brings.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;
use crate::config::{security::SaslMechanism, users::FirstUser};

const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule required";
const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule required";
/// A listener for users on the loopback interface.
const LISTENER: &str = "listeners=SASL_PLAINTEXT://127.0.0.1:9092\n";

/// The names and passwords, and where they were said.
fn users(config: &BrokerConfig) -> Vec<String> {
    let user = |user: &FirstUser| format!("{} {} {}", user.name, user.password.expose(), user.origin);
    config.first_users.iter().map(user).collect()
}

fn mechanisms(config: &BrokerConfig) -> Vec<&'static str> {
    let sasl = config.listeners[0].security.sasl.as_ref().expect("a listener with SASL");
    sasl.mechanisms.iter().map(|mechanism| mechanism.name()).collect()
}

/// A start with this text in a file of users of this mode, which is called USERS.
fn with_file(text: &str, mode: u32, settings: &str) -> Result<(BrokerConfig, Vec<String>), String> {
    let file = NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), text).expect("it can be written");
    fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).expect("its mode can be set");
    let path = file.path().to_str().expect("a plain path").to_owned();
    let command_line = CommandLine { users_file: Some(path.clone()), ..CommandLine::default() };
    let loaded = Start { command_line, ..Start::file(settings) }.load();
    loaded.map_err(|error| error.replace(&path, "USERS")).map(|(mut config, warnings)| {
        for user in &mut config.first_users {
            if let Origin::File { path, .. } = &mut user.origin {
                *path = "USERS".to_owned();
            }
        }
        (config, warnings)
    })
}

#[test]
fn a_file_has_a_user_in_each_line() {
    let text = "# of the try-out\nalice:secret\n\n bob :a:b, c \r\nalice:secret\n#carol:x\n";
    let (config, warnings) = with_file(text, 0o600, LISTENER).expect("valid");
    assert_eq!(users(&config), ["alice secret USERS:2", "bob a:b, c  USERS:4"]);
    assert_eq!(warnings, owned(&[]));
    assert_eq!(mechanisms(&config), ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]);
    assert!(!format!("{config:?}").contains("secret"));
    let (config, _) = with_file("a:b", 0o400, "listeners=SASL_PLAINTEXT://:9092").expect("valid");
    assert_eq!(mechanisms(&config), ["SCRAM-SHA-256", "SCRAM-SHA-512"], "no passwords in the clear");
}

#[test]
fn a_file_of_users_is_read_by_its_owner_alone_and_never_told() {
    for mode in [0o640, 0o604, 0o620, 0o644] {
        let said = with_file("alice:secret", mode, LISTENER).expect_err("others can open it");
        assert_eq!(said, "--users-file: others than its owner can read it or write to it: chmod 600 USERS");
    }
    for line in ["secret", ":secret", "secret:", " :secret"] {
        let said = with_file(&format!("\n{line}"), 0o600, LISTENER).expect_err("no user");
        assert_eq!(said, "USERS:2: name:password is expected");
    }
    let command_line = CommandLine { users_file: Some("/no/such".to_owned()), ..CommandLine::default() };
    let said = Start { command_line, ..Start::default() }.error();
    assert_eq!(said, "--users-file: /no/such: No such file or directory (os error 2)");
}

#[test]
fn a_variable_has_users_with_newlines_between_them() {
    let load = |text| Start { environment: &[("OTTLA_USERS", text)], ..Start::file(LISTENER) }.load();
    let (config, warnings) = load("alice:secret,bob:b\r\n# of the try-out\nbob:b:c\n\ncarol:d\n").expect("valid");
    let expected = ["alice secret,bob:b OTTLA_USERS", "bob b:c OTTLA_USERS", "carol d OTTLA_USERS"];
    assert_eq!(users(&config), expected, "a comma may be part of a password");
    assert_eq!(warnings, owned(&[]));
    assert_eq!(load("alice:a\nsecret").expect_err("no user"), "OTTLA_USERS: name:password is expected");
    let (config, warnings) =
        Start { environment: &[("OTTLA_USERS", "a:b")], ..Start::default() }.load().expect("valid");
    assert_eq!(users(&config), ["a b OTTLA_USERS"]);
    let unasked = "there are first users, and no listener asks for users: --listen SASL_SSL://HOST:PORT or \
                   SASL_PLAINTEXT://HOST:PORT does";
    assert_eq!(warnings, [unasked]);
}

#[test]
fn an_empty_variable_is_none() {
    for text in ["", " \n"] {
        let environment = [("OTTLA_USERS", text)];
        let (config, warnings) = Start::environment(&environment).load().expect("valid");
        assert_eq!((users(&config), warnings), (owned(&[]), owned(&[])));
        let said = Start { environment: &environment, ..Start::file(LISTENER) }.error();
        assert!(said.contains("uses SASL: set sasl.enabled.mechanisms="), "{said}");
    }
}

#[test]
fn kafkas_own_lines_make_users() {
    let file = format!(
        "listeners=SASL_PLAINTEXT://127.0.0.1:1\n\
         listener.name.sasl_plaintext.plain.sasl.jaas.config={PLAIN} \\\n  \
         username=\"admin\" password=\"of-brokers\" user_admin=\"secret\" \\\n  user_alice=\"x\";\n"
    );
    let (config, warnings) = Start::file(&file).load().expect("valid");
    assert_eq!(warnings, owned(&[]));
    let told: Vec<_> = users(&config).iter().map(|user| with_file_named(user)).collect();
    assert_eq!(told, ["admin secret FILE:2", "alice x FILE:2"]);
    assert_eq!(mechanisms(&config), ["PLAIN"]);
    let key = "KAFKA_LISTENER_NAME_SASL__PLAINTEXT_PLAIN_SASL_JAAS_CONFIG";
    let (line, rest) = (format!("{PLAIN} user_bob='b';"), "listeners=SASL_PLAINTEXT://127.0.0.1:1");
    let config = Start { environment: &[(key, line.as_str())], ..Start::file(rest) }.config();
    assert_eq!(users(&config), [format!("bob b {key}")]);
}

/// The users that a file comes to, and the warnings.
fn made(file: &str) -> (Vec<String>, Vec<String>) {
    let (config, warnings) = Start::file(file).load().expect("only warnings");
    (config.first_users.into_iter().map(|user| user.name).collect(), warnings)
}

#[test]
fn a_line_of_scram_is_the_brokers_own_login() {
    let key = "listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config";
    let file = format!("{LISTENER}sasl.enabled.mechanisms=SCRAM-SHA-256\n{key}={SCRAM}");
    let expected = format!("FILE:3: {key}=[hidden] has no effect: there is no other broker");
    assert_eq!(made(&format!("{file} username=\"a\" password=\"b\";")), (vec![], vec![expected]));
    let expected = format!(
        "FILE:3: {key}: its users are not made: a line of SCRAM makes none, --users-file FILE and OTTLA_USERS do"
    );
    assert_eq!(made(&format!("{file} user_bob='b';")), (vec![], vec![expected]));
}

#[test]
fn users_that_kafka_would_not_read_are_reported() {
    let line = format!("{PLAIN} user_mallory=\"x\";\n");
    for key in ["sasl.jaas.config", "plain.sasl.jaas.config", "listener.name.sasl_plaintext.sasl.jaas.config"] {
        let file = format!("{LISTENER}sasl.enabled.mechanisms=PLAIN\n{key}={line}");
        let expected =
            format!("FILE:3: {key}: its users are not made: write it as listener.name.NAME.plain.sasl.jaas.config");
        assert_eq!(made(&file), (vec![], vec![expected]));
    }
    let file = format!(
        "listeners=SASL_PLAINTEXT://127.0.0.1:1,OPEN://127.0.0.1:2\n\
         listener.security.protocol.map=SASL_PLAINTEXT:SASL_PLAINTEXT,OPEN:PLAINTEXT\n\
         sasl.enabled.mechanisms=SCRAM-SHA-512\n\
         listener.name.open.plain.sasl.jaas.config={line}listener.name.sasl_plaintext.plain.sasl.jaas.config={line}"
    );
    let expected = [(4, "open"), (5, "sasl_plaintext")].map(|(at, name)| {
        format!(
            "FILE:{at}: listener.name.{name}.plain.sasl.jaas.config: its users are not made: PLAIN is not among the \
             mechanisms of listener {}",
            name.to_uppercase()
        )
    });
    assert_eq!(made(&file), (vec![], expected.to_vec()));
}

#[test]
fn users_are_of_all_listeners() {
    let file = |users: &str| {
        format!(
            "listeners=A://127.0.0.1:1,B://127.0.0.1:2\n\
             listener.security.protocol.map=A:SASL_PLAINTEXT,B:SASL_PLAINTEXT\n\
             listener.name.a.plain.sasl.jaas.config={PLAIN} user_alice=\"x\" user_bob=\"y\";\n\
             listener.name.b.plain.sasl.jaas.config={PLAIN} {users};"
        )
    };
    let both = owned(&["alice", "bob"]);
    assert_eq!(made(&file("user_bob=y user_alice=x")), (both.clone(), vec![]));
    let expected = "the users of listener.name.a.plain.sasl.jaas.config and of \
                    listener.name.b.plain.sasl.jaas.config differ: here users are of all listeners";
    assert_eq!(made(&file("user_bob=y")), (both, owned(&[expected])));
}

/// With FILE for the temporary file.
fn with_file_named(user: &str) -> String {
    match user.rsplit_once(" /") {
        Some((who, origin)) => format!("{who} FILE:{}", origin.rsplit(':').next().unwrap_or_default()),
        None => user.to_owned(),
    }
}

#[test]
fn a_line_of_kafkas_that_is_none_is_refused_without_its_secrets() {
    let key = "listener.name.sasl_plaintext.plain.sasl.jaas.config";
    let refused = |line: &str| Start::file(&format!("{LISTENER}{key}={line}")).error();
    assert_eq!(
        refused("com.example.Module required user_a=\"secret\";"),
        format!(
            "FILE:2: {key}: login module com.example.Module: only \
             org.apache.kafka.common.security.plain.PlainLoginModule is allowed"
        )
    );
    let said = refused(&format!("{PLAIN} user_a=\"secret\""));
    assert!(said.contains("key=\"value\" or a semicolon is expected, as in "), "{said}");
    assert!(!said.replace("user_alice=\"secret\"", "").contains("secret"), "{said}");
    for options in ["user_=\"secret\"", "user_a=\"\""] {
        assert_eq!(
            refused(&format!("{PLAIN} {options};")),
            format!("FILE:2: {key}: user_NAME=\"password\" is expected")
        );
    }
}

#[test]
fn a_user_has_one_password() {
    let said = Start {
        environment: &[("OTTLA_USERS", "alice:one")],
        ..Start::file(&format!(
            "{LISTENER}listener.name.sasl_plaintext.plain.sasl.jaas.config={PLAIN} user_alice=\"two\";"
        ))
    }
    .error();
    assert_eq!(said, "FILE:2: user alice has another password in OTTLA_USERS");
    let said = with_file("a:one\nb:x\na:two", 0o600, LISTENER).expect_err("two passwords");
    assert_eq!(said, "USERS:3: user a has another password in USERS:1");
}

#[test]
fn mechanisms_that_are_named_are_those_that_count() {
    let (config, _) =
        with_file("a:b", 0o600, &format!("{LISTENER}sasl.enabled.mechanisms=SCRAM-SHA-512")).expect("valid");
    assert_eq!(mechanisms(&config), [SaslMechanism::ScramSha512.name()]);
}
