//! The reference page of all keys, docs/configuration.md, made of the tables.
//!
//! `OTTLA_UPDATE_DOCS=1 cargo test --lib config::reference` writes it anew.

use std::{env, fs};

use super::{
    broker::{BROKER_KEYS, BrokerKey, UpdateMode},
    client_metrics::CLIENT_METRICS_KEYS,
    group::GROUP_KEYS,
    key::{ConfigKey, ConfigType},
    topic::{TOPIC_KEYS, TopicKey, Unit},
};

/// Where the page is.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
/// Says that it is to be written.
const UPDATE: &str = "OTTLA_UPDATE_DOCS";

const HEAD: &str = "\
<!-- Written by `OTTLA_UPDATE_DOCS=1 cargo test --lib config::reference`, from the tables in src/config. -->

# Configuration

Names, types, defaults and valid values are Apache Kafka 4.4's, so that its files, tools and habits carry over; what is ours
begins with `ottla.`. How the broker is given its settings is in the [README](../README.md#settings). In the environment
`_` stands for `.`, `__` for `_` and `___` for `-`: `KAFKA_NUM_PARTITIONS` is `num.partitions`, and `OTTLA_DURABILITY` is
`ottla.durability`.

Every key that is listed is checked. What one does not do here is said with it:

- **No effect:** it changes nothing, for the reason that is given; it is known so that Kafka's files and tools work as they
  are.
- **Only the default is accepted:** any other value would promise something that is not there. CreateTopics and the APIs that
  alter configurations refuse it with INVALID_CONFIG. What a data directory of Kafka's brings, or a file for a broker of
  Kafka's, is kept, shown, and named in the log at the start.

- **Any other value than the default stops the start:** it would let somebody in, keep somebody out or encrypt, and this broker
  cannot do it.

A key of the broker that is not listed is ignored, and named in the log at the start; with `--override` it stops the start. One
that begins with `ssl.` or `sasl.`, and `connections.max.reauth.ms`, `max.connections` and `max.connection.creation.rate`, can be set
for one listener: `listener.name.NAME.KEY`, with the name in lower case, goes before `KEY`. The `user_NAME` entries of
`listener.name.NAME.plain.sasl.jaas.config` become users, as those of `--users-file` and `OTTLA_USERS` do. A secret cannot be given with
`--override`, for whoever lists processes sees it.
";

const TOPICS: &str = "
## Topics

All can be changed while the broker runs. A topic that does not set one goes by the broker key, the first that is set if there
are several, or else by the default.

| key | type | default | valid values | broker key | what it does |
|---|---|---|---|---|---|
";

const BROKER: &str = "
## Broker

A change takes a *restart*, or can be made while the broker runs: *by broker* for one, *by cluster* for one or for all as their
default.

| key | type | default | valid values | change | what it does |
|---|---|---|---|---|---|
";

const GROUPS: &str = "
## Groups

Shown by DescribeConfigs, with what a data directory of Kafka's brought; they cannot be set.

| key | type | default | valid values | broker key | what it does |
|---|---|---|---|---|---|
";

const CLIENT_METRICS: &str = "
## Clients' metrics

Shown by DescribeConfigs, with what a data directory of Kafka's brought; they cannot be set.

| key | type | default | valid values | broker key | what it does |
|---|---|---|---|---|---|
";

fn page() -> String {
    let topics = TOPIC_KEYS.iter().filter(|row| !row.key.internal).map(|row| line(&row.key, &broker_keys(row)));
    let broker = BROKER_KEYS.iter().map(|row| line(&row.key, change(row)));
    let groups = GROUP_KEYS.iter().filter(|row| !row.key.internal);
    let groups = groups.map(|row| line(&row.key, &row.synonym.map(code).unwrap_or_default()));
    let client_metrics = CLIENT_METRICS_KEYS.iter().map(|key| line(key, ""));
    let mut page = HEAD.to_owned();
    page += TOPICS;
    page.extend(topics);
    page += BROKER;
    page.extend(broker);
    page += GROUPS;
    page.extend(groups);
    page += CLIENT_METRICS;
    page.extend(client_metrics);
    page
}

/// A line of a table.
fn line(key: &ConfigKey, fifth_column: &str) -> String {
    let default = match (key.config_type, key.default) {
        (_, None) => "none".to_owned(),
        (ConfigType::List | ConfigType::String, Some("")) => "empty".to_owned(),
        (_, Some(text)) => code(text),
    };
    let valid = Some(key.valid.to_string()).filter(|valid| !valid.is_empty());
    let valid = valid.map(|valid| code(&valid)).unwrap_or_default();
    let ConfigKey { name, config_type, .. } = key;
    let documentation = key.documentation();
    format!("| `{name}` | {config_type} | {default} | {valid} | {fifth_column} | {documentation} |\n")
}

fn broker_keys(row: &TopicKey) -> String {
    let keys = row.synonyms.iter().map(|synonym| match synonym.unit {
        Unit::Same | Unit::Milliseconds => code(synonym.name),
        Unit::Minutes => format!("{} (minutes)", code(synonym.name)),
        Unit::Hours => format!("{} (hours)", code(synonym.name)),
    });
    keys.collect::<Vec<_>>().join(", ")
}

fn change(row: &BrokerKey) -> &'static str {
    match row.update_mode {
        UpdateMode::ReadOnly if row.restart_only => "restart (Kafka: by broker)",
        UpdateMode::ReadOnly => "restart",
        UpdateMode::PerBroker => "by broker",
        UpdateMode::ClusterWide => "by cluster",
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

#[test]
fn the_page_is_made_of_the_tables() {
    if env::var_os(UPDATE).is_some() {
        fs::write(PAGE, page()).expect("the page can be written");
    }
    let written = fs::read_to_string(PAGE).expect("the page is there");
    let differs =
        written.lines().zip(page().lines()).find(|(written, made)| written != made).map(|(line, _)| line.to_owned());
    assert_eq!(differs, None, "{UPDATE}=1 writes {PAGE} anew");
    assert_eq!(written, page(), "{UPDATE}=1 writes {PAGE} anew");
}

#[test]
fn nothing_breaks_a_line_of_the_page() {
    for line in page().lines().filter(|line| line.starts_with("| `")) {
        assert_eq!(line.matches('|').count(), 7, "{line}");
    }
}
