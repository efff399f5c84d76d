use super::*;
use crate::config::{key::ConfigType::List, topic::TOPIC_KEYS};

/// Rows of Kafka 4.4's own table: name, type, default, valid values, importance, update mode.
const KAFKAS_TABLE: &str = include_str!("../../../tests/fixtures/broker-configs.tsv");

/// Where the table differs from Kafka's on purpose: key, our default.
const OTHER_DEFAULTS: [(&str, &str); 7] = [
    ("controller.listener.names", "null"),
    ("listeners", "[PLAINTEXT://127.0.0.1:9092]"),
    ("log.dir", "null"),
    ("log.dirs", "[./data]"),
    ("node.id", "1"),
    ("process.roles", "[broker, controller]"),
    ("sasl.server.max.receive.size", "65536"),
];

/// What Kafka's `StandardAuthorizer` reads, and its table lacks.
const READ_BY_THE_AUTHORIZER: [&str; 2] = ["allow.everyone.if.no.acl.found", "super.users"];

/// What Kafka can change while it runs, and this broker cannot, beside the keys that begin so.
const RESTART_ONLY: [&str; 3] = ["listener.security.protocol.map", "listeners", "principal.builder.class"];
const RESTART_ONLY_PREFIXES: [&str; 2] = ["sasl.", "ssl."];

/// Keys of our own begin with this.
const OURS: &str = "ottla.";

/// A row in the fixture's form.
fn row_text(row: &BrokerKey) -> String {
    let BrokerKey { key, update_mode, .. } = row;
    let default = match (key.config_type, key.default) {
        (_, None) => "null".to_owned(),
        (List, Some(text)) => format!("[{}]", text.replace(',', ", ")),
        (_, Some(text)) => text.to_owned(),
    };
    // Kafka's validator of these two says this and lets an empty list pass.
    let valid = match key.name {
        "controller.quorum.bootstrap.servers" | "controller.quorum.voters" => "non-empty list".to_owned(),
        "authorizer.class.name" => "non-null string".to_owned(),
        _ => key.valid.to_string(),
    };
    format!("{}\t{}\t{default}\t{valid}\t{}\t{update_mode}", key.name, key.config_type, key.importance)
}

#[test]
fn the_table_is_kafkas_but_for_what_is_listed() {
    let is_kafkas =
        |row: &&BrokerKey| !row.key.name.starts_with(OURS) && !READ_BY_THE_AUTHORIZER.contains(&row.key.name);
    let ours: Vec<_> = BROKER_KEYS.iter().filter(is_kafkas).map(row_text).collect();
    let expected = KAFKAS_TABLE.lines().skip(1).map(|line| {
        let mut columns: Vec<_> = line.split('\t').collect();
        if let Some((_, default)) = OTHER_DEFAULTS.iter().find(|(name, _)| *name == columns[0]) {
            assert_ne!(columns[2], *default, "{} is no exception", columns[0]);
            columns[2] = default;
        }
        if RESTART_ONLY.contains(&columns[0]) {
            assert_ne!(columns[5], "read-only", "{} is no exception", columns[0]);
        }
        let is_restart_only = broker_key(columns[0]).is_some_and(|row| row.restart_only);
        assert_eq!(is_restart_only, takes_a_restart(columns[0]) && columns[5] != "read-only", "{}", columns[0]);
        if is_restart_only {
            columns[5] = "read-only";
        }
        columns.join("\t")
    });
    assert_eq!(ours, expected.collect::<Vec<_>>());
}

/// Whether no change of the key is taken up before the next start.
fn takes_a_restart(name: &str) -> bool {
    RESTART_ONLY.contains(&name) || RESTART_ONLY_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[test]
fn every_row_is_whole() {
    for BrokerKey { key, .. } in BROKER_KEYS {
        assert!(key.doc.ends_with('.'), "{} is documented", key.name);
        assert_eq!(key.default_value().is_some(), key.default.is_some(), "{}", key.name);
    }
}

#[test]
fn a_topic_keys_default_is_its_synonyms() {
    let broker = BrokerValues::default();
    for row in TOPIC_KEYS {
        let effective = row.default_from(&broker).map(|(value, _)| value);
        assert_eq!(effective, row.key.default_value(), "{}", row.key.name);
    }
}

#[test]
fn every_key_is_found_by_its_name() {
    assert!(BROKER_KEYS.is_sorted_by_key(|row| row.key.name));
    for row in BROKER_KEYS {
        assert_eq!(broker_key(row.key.name).map(|found| found.key.name), Some(row.key.name));
    }
    assert!(broker_key("").is_none() && broker_key("log").is_none());
}

#[test]
fn a_key_without_effect_says_so() {
    let documentation = |name| broker_key(name).expect(name).key.documentation();
    assert_eq!(
        documentation("num.io.threads"),
        "Threads that handle requests. No effect: work is spread over the cores of the machine as it comes."
    );
    assert_eq!(
        documentation("remote.log.storage.system.enable"),
        "Whether there is tiered storage. Only the default is accepted: there is no tiered storage."
    );
    assert_eq!(
        documentation("delegation.token.secret.key"),
        "The secret that delegation tokens are made of. Any other value than the default stops the start: there are no \
         delegation tokens."
    );
    assert_eq!(documentation("delete.topic.enable"), "Whether topics can be deleted.");
}

#[test]
fn what_is_set_goes_before_the_default() {
    let mut values = BrokerValues::default();
    assert_eq!(values.get("num.partitions"), Some(Value::Int(1)));
    assert!(!values.is_set("num.partitions"));
    values.set("num.partitions", Value::Int(4));
    assert_eq!(values.get("num.partitions"), Some(Value::Int(4)));
    assert!(values.is_set("num.partitions"));
    assert_eq!(values.get("log.retention.ms"), None);
    assert_eq!(values.get("no.such.key"), None);
}
