//! Settings: of files, of the environment, of clients that alter them.

use std::{collections::BTreeMap, sync::LazyLock};

use ottla::config::{
    broker::BrokerConfig,
    dynamic,
    properties::parse,
    sources::CommandLine,
    topic::{self, TopicConfig},
    topic_name,
};

use super::{input::Input, scratch::Scratch};

/// A file in Java's format.
pub(super) fn properties(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(properties) = parse(&text) else { return };
    let lines = text.split(['\n', '\r']).count();
    assert!(properties.iter().all(|property| (1..=lines).contains(&property.line)));
}

/// The settings of a text in Java's format.
fn settings(text: &str) -> BTreeMap<String, String> {
    let properties = parse(text).unwrap_or_default();
    properties.into_iter().map(|property| (property.key, property.value)).collect()
}

/// A start's settings, all from the environment, and two flags.
pub(super) fn broker_config(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let flags = input.byte();
    let flag = |bit: u8, input: &mut Input<'_>| (flags & 1 << bit != 0).then(|| input.text());
    let command_line = CommandLine {
        listen: flag(0, &mut input).into_iter().collect(),
        advertise: flag(1, &mut input).into_iter().collect(),
        node_id: flag(2, &mut input),
        overrides: flag(3, &mut input).into_iter().collect(),
        ..CommandLine::default()
    };
    let text = String::from_utf8_lossy(input.rest());
    let environment = settings(&text).into_iter().map(|(key, value)| {
        let variable = format!("KAFKA_{}", key.to_uppercase().replace('_', "__").replace('.', "_"));
        (variable, value)
    });
    match ottla::config::load(&command_line, environment) {
        Ok((config, warnings)) => {
            warnings.iter().for_each(|warning| drop(warning.to_string()));
            config.listeners.iter().for_each(|listener| drop(listener.to_string()));
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "an error of several lines: {error}"),
    }
}

/// First users: a line of JAAS for the one listener, the variable, and the file.
pub(super) fn first_users(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (line, variable, file) = (input.text(), input.text(), input.block());
    let scratch = Scratch::new("first_users");
    let users_file = (!file.is_empty()).then(|| scratch.write("users", file).display().to_string());
    let arguments = CommandLine { users_file, ..CommandLine::default() };
    let environment = [
        ("KAFKA_LISTENERS", "SASL_PLAINTEXT://127.0.0.1:0".to_owned()),
        ("KAFKA_SASL_ENABLED_MECHANISMS", "PLAIN".to_owned()),
        ("KAFKA_LISTENER_NAME_SASL__PLAINTEXT_PLAIN_SASL_JAAS_CONFIG", line),
        ("OTTLA_USERS", variable),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value));
    match ottla::config::load(&arguments, environment.into_iter()) {
        Ok((config, _)) => {
            let is_name = config.first_users.iter().any(|user| user.name.contains(PLANTED));
            assert!(is_name || !format!("{config:?}").contains(PLANTED), "a password is shown");
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "an error of several lines: {error}"),
    }
}

/// The password in the corpus.
const PLANTED: &str = "planted-password";

static DEFAULTS: LazyLock<BrokerConfig> = LazyLock::new(|| {
    let (config, _) = ottla::config::load(&CommandLine::default(), std::iter::empty()).expect("the defaults");
    config
});

/// What clients set for topics and brokers.
pub(super) fn topic_config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let texts = settings(&text);
    for name in texts.keys().chain(texts.values()) {
        if topic_name::validate(name).is_ok() {
            assert!(ottla::log::log_dir::is_valid_topic_name(name), "{name:?} would be no directory's name");
        }
    }
    let _ = TopicConfig::check_asked(&DEFAULTS.values, &BTreeMap::new(), &texts).map_err(|error| error.to_string());
    let _ = TopicConfig::resolve(&DEFAULTS.values, &texts).max_segment_ms();
    let _ = (topic::invalid(&texts), topic::unknown(&texts).count(), topic::unhonoured(&texts).count());
    for scope in [dynamic::Scope::Cluster, dynamic::Scope::Broker] {
        let _ = dynamic::check(&DEFAULTS.values, scope, &texts, |_| true).map_err(|error| error.to_string());
    }
    let _ = dynamic::effective(&DEFAULTS, &texts, &texts);
}
