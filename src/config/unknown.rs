//! Keys that nobody knows: which of them stop the start, and which known keys they were probably meant to be.

use super::{
    ConfigError, Warning,
    broker::{BROKER_KEYS, broker_key},
    listener_keys::{self, JAAS, ListenerKey},
    security::SaslMechanism,
    sources::{Setting, Settings},
    topic::topic_key,
    users,
};

/// How keys begin that are about who gets in. Without what they were to say, anybody might.
const ABOUT_ACCESS: [&str; 3] = ["ssl.", "sasl.", listener_keys::PREFIX];
/// What images of Kafka read from the environment, and what they make of it.
const OF_IMAGES: [(&str, &str); 2] =
    [("ssl.keystore.filename", "ssl.keystore.location"), ("ssl.truststore.filename", "ssl.truststore.location")];

/// An error of a key that is about who gets in, or warnings of the keys. Listeners of controllers are not opened, so that
/// nobody gets in there.
pub(super) fn check(settings: &Settings, controllers: &[String]) -> Result<Vec<Warning>, ConfigError> {
    let (mut warnings, mut ignored) = (Vec::new(), Vec::new());
    for (key, setting) in &settings.unknown {
        if let Some(warning) = users_of_all(key, setting) {
            warnings.push(warning);
        } else if is_about_access(key) && !is_of_controller(key, controllers) {
            return Err(ConfigError::UnknownKey {
                origin: setting.origin.clone(),
                key: key.clone(),
                meant: meant(key),
            });
        } else {
            ignored.push((key.clone(), setting.origin.clone()));
        }
    }
    warnings.extend((!ignored.is_empty()).then_some(Warning::UnknownKeys(ignored)));
    Ok(warnings)
}

/// A warning of users of a mechanism that are of no listener.
fn users_of_all(key: &str, setting: &Setting) -> Option<Warning> {
    let (mechanism, JAAS) = key.split_once('.')? else { return None };
    let is_mechanism = SaslMechanism::ALL.iter().any(|known| known.name().eq_ignore_ascii_case(mechanism));
    users::not_made(key, None, &setting.text, &setting.origin).filter(|_| is_mechanism)
}

fn is_about_access(key: &str) -> bool {
    let key = key.to_lowercase();
    ABOUT_ACCESS.iter().any(|beginning| key.starts_with(beginning))
}

fn is_of_controller(key: &str, controllers: &[String]) -> bool {
    let key = key.to_lowercase();
    let listener = key.strip_prefix(listener_keys::PREFIX).and_then(|rest| rest.split('.').next());
    listener.is_some_and(|listener| controllers.iter().any(|controller| controller.to_lowercase() == listener))
}

/// What to write instead.
pub(super) fn meant(name: &str) -> String {
    let lower = name.to_lowercase();
    let is_known = broker_key(&lower).is_some() || ListenerKey::parse(&lower).is_some();
    match is_known && lower != name {
        true => format!("write it in lower case: {lower}"),
        false => format!("did you mean {}?", nearest_key(&lower)),
    }
}

/// The known key that `name` was probably meant to be.
fn nearest_key(name: &str) -> String {
    if let Some(rest) = name.strip_prefix(listener_keys::PREFIX) {
        let (listener, key) = rest.split_once('.').unwrap_or(("NAME", rest));
        return format!("{}{listener}.{}", listener_keys::PREFIX, nearest(key, listener_keys::all()));
    }
    let of_topic = topic_key(name).and_then(|row| row.synonyms.first()).map(|synonym| synonym.name);
    let of_image = OF_IMAGES.iter().find(|(theirs, _)| *theirs == name).map(|(_, key)| *key);
    let other = || nearest(name, BROKER_KEYS.iter().map(|row| row.key.name.to_owned()));
    of_topic.or(of_image).map_or_else(other, str::to_owned)
}

fn nearest(name: &str, known: impl Iterator<Item = String>) -> String {
    known.min_by_key(|known| edit_distance(name, known)).unwrap_or_default()
}

/// How many characters must be inserted, removed or replaced to make one text the other.
fn edit_distance(from: &str, to: &str) -> usize {
    // One row of the table of distances: from what was read of `from` to each beginning of `to`.
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (read, c) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], read + 1);
        for (at, d) in to.chars().enumerate() {
            let replaced = diagonal + usize::from(c != d);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_suggested() {
        let cases = [
            ("num.partition", "num.partitions"),
            ("nmu.partitions", "num.partitions"),
            ("log.retention.hour", "log.retention.hours"),
            ("auto.create.topic.enable", "auto.create.topics.enable"),
            ("retention.ms", "log.retention.ms"),
            ("max.message.bytes", "message.max.bytes"),
            ("ssl.keystore.filename", "ssl.keystore.location"),
            ("listener.name.a.ssl.client.auht", "listener.name.a.ssl.client.auth"),
            ("listener.name.a.max.connection", "listener.name.a.max.connections"),
            ("listener.name.a.plian.sasl.jaas.config", "listener.name.a.plain.sasl.jaas.config"),
            ("listener.name.ssl.client.auth", "listener.name.ssl.ssl.client.auth"),
        ];
        for (typed, expected) in cases {
            assert_eq!(meant(typed), format!("did you mean {expected}?"), "{typed}");
        }
    }

    #[test]
    fn a_key_that_is_known_in_lower_case_is_told_so() {
        let cases = [
            ("Node.Id", "node.id"),
            ("listener.name.SSL.ssl.client.auth", "listener.name.ssl.ssl.client.auth"),
            ("SSL.client.auth", "ssl.client.auth"),
        ];
        for (typed, expected) in cases {
            assert_eq!(meant(typed), format!("write it in lower case: {expected}"), "{typed}");
        }
    }

    #[test]
    fn the_edit_distance_counts_changes() {
        let cases = [
            ("", "", 0),
            ("abc", "abc", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("abc", "acb", 2),
            ("ä", "a", 1),
        ];
        for (from, to, expected) in cases {
            assert_eq!(edit_distance(from, to), expected, "{from} {to}");
            assert_eq!(edit_distance(to, from), expected, "{to} {from}");
        }
    }
}
