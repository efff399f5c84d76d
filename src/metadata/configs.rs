//! Altering configurations: what is asked for goes in, records or a refusal come out. Pure.
//!
//! The rules and the texts, which clients see, are those of Kafka's `ConfigurationControlManager`.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    image::{ConfigResource, Image},
    record::MetadataRecord,
};
use crate::{
    config::{
        broker::{BrokerValues, broker_key},
        client_metrics,
        dynamic::{self, DynamicConfigError, Scope},
        group,
        key::{ConfigKey, ConfigType, Value},
        topic::{self, TopicConfig, TopicConfigError, topic_key},
        topic_name,
    },
    protocol::messages::ConfigRecord,
};

/// A change of what is set for a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alteration {
    /// For what.
    pub resource: ConfigResource,
    /// How.
    pub change: Change,
}

/// How settings are changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// These take the place of all that are there.
    Replace(BTreeMap<String, String>),
    /// These are changed, the others stay. No key comes twice.
    Edit(BTreeMap<String, Edit>),
}

/// How one setting is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// It becomes this.
    Set(String),
    /// It is no longer set.
    Delete,
    /// These elements are added to the list, those that it has not.
    Append(String),
    /// These elements are taken out of the list, those that it has.
    Subtract(String),
}

/// Why a configuration is not altered.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AlterConfigError {
    /// There is no such topic.
    #[error("The topic '{0}' does not exist.")]
    UnknownTopic(String),
    /// Only lists have elements.
    #[error("Can't {edit} to key {key} because its type is not LIST.")]
    NotAList {
        /// `APPEND` or `SUBTRACT`.
        edit: &'static str,
        /// The key.
        key: String,
    },
    /// A topic cannot be configured so.
    #[error(transparent)]
    Topic(#[from] TopicConfigError),
    /// A broker cannot.
    #[error(transparent)]
    Broker(#[from] DynamicConfigError),
    /// Nothing goes by it.
    #[error("{0}")]
    Unused(&'static str),
}

/// The records that alter a configuration, on a broker with these values. None for what stays as it is.
pub fn alter(
    image: &Image,
    values: &BrokerValues,
    alteration: &Alteration,
) -> Result<Vec<MetadataRecord>, AlterConfigError> {
    let Alteration { resource, change } = alteration;
    let before = image.config(resource);
    let after = match change {
        Change::Replace(texts) => texts.clone(),
        Change::Edit(edits) => edited(before, edits, |key| list_key(resource, values, key))?,
    };
    let altered = altered(before, &after, change);
    match resource.kind {
        ConfigResource::TOPIC => {
            TopicConfig::check_asked(values, before, &after)?;
            check_coordinator(values, &resource.name, before, &after)?;
            if image.topic(&resource.name).is_none() {
                return Err(AlterConfigError::UnknownTopic(resource.name.clone()));
            }
        }
        ConfigResource::BROKER => {
            let scope = if resource.name.is_empty() { Scope::Cluster } else { Scope::Broker };
            dynamic::check(values, scope, &after, |key| altered.contains(key))?;
        }
        // What Kafka left there may be taken away.
        _ if altered.is_empty() => {}
        ConfigResource::CLIENT_METRICS => return Err(AlterConfigError::Unused(client_metrics::NOT_ALTERABLE)),
        _ => return Err(AlterConfigError::Unused(group::NOT_ALTERABLE)),
    }
    Ok(records(resource, before, &after))
}

/// What a change makes of what is set.
fn edited(
    before: &BTreeMap<String, String>,
    edits: &BTreeMap<String, Edit>,
    list_key: impl Fn(&str) -> Option<Vec<String>>,
) -> Result<BTreeMap<String, String>, AlterConfigError> {
    let mut after = before.clone();
    for (key, edit) in edits {
        let elements = |edit| match (before.get(key), list_key(key)) {
            (_, None) => Err(AlterConfigError::NotAList { edit, key: key.clone() }),
            (Some(text), Some(_)) => Ok(split(text).map(str::to_owned).collect()),
            (None, Some(inherited)) => Ok(inherited),
        };
        match edit {
            Edit::Set(text) => drop(after.insert(key.clone(), text.clone())),
            Edit::Delete => drop(after.remove(key)),
            Edit::Append(more) => {
                let mut list: Vec<String> = elements("APPEND")?;
                let mut known: HashSet<String> = list.iter().cloned().collect();
                // One that is empty is for the key to refuse.
                for element in more.split(',').map(str::trim) {
                    if known.insert(element.to_owned()) {
                        list.push(element.to_owned());
                    }
                }
                after.insert(key.clone(), list.join(","));
            }
            Edit::Subtract(less) => {
                let mut list = elements("SUBTRACT")?;
                let less: BTreeSet<&str> = split(less).collect();
                list.retain(|element| !less.contains(element.as_str()));
                after.insert(key.clone(), list.join(","));
            }
        }
    }
    Ok(after)
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|element| !element.is_empty())
}

/// The elements that a list has which the resource does not set itself; nothing for a key that is no list.
fn list_key(resource: &ConfigResource, values: &BrokerValues, key: &str) -> Option<Vec<String>> {
    let list = |known: &ConfigKey, value: Option<Value>| {
        let elements = value.map(|value| value.as_list().to_vec()).unwrap_or_default();
        (known.config_type == ConfigType::List).then_some(elements)
    };
    match resource.kind {
        ConfigResource::TOPIC => {
            let row = topic_key(key)?;
            list(&row.key, row.default_from(values).map(|(value, _)| value))
        }
        ConfigResource::BROKER => list(&broker_key(key)?.key, values.get(key)),
        _ => None,
    }
}

/// The keys that somebody wants to have another value, or to have the value that they have.
fn altered<'a>(
    before: &BTreeMap<String, String>,
    after: &'a BTreeMap<String, String>,
    change: &Change,
) -> BTreeSet<&'a str> {
    let is_altered = |key: &str, text: &String| match change {
        Change::Replace(_) => before.get(key) != Some(text),
        Change::Edit(edits) => edits.contains_key(key),
    };
    after.iter().filter(|(key, text)| is_altered(key, text)).map(|(key, _)| key.as_str()).collect()
}

fn check_coordinator(
    values: &BrokerValues,
    topic: &str,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Result<(), TopicConfigError> {
    if !topic_name::is_internal(topic) {
        return Ok(());
    }
    let policy = |overrides| TopicConfig::resolve(values, overrides).cleanup_policy;
    topic::check_coordinator_policy(topic, Some(policy(before)), policy(after))
}

/// What makes one configuration the other.
fn records(
    resource: &ConfigResource,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<MetadataRecord> {
    let changed = after.iter().filter(|(key, text)| before.get(*key) != Some(*text));
    let changed = changed.map(|(key, text)| record(resource, key, Some(text)));
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    changed.chain(gone.map(|key| record(resource, key, None))).collect()
}

/// The record that sets a key, or unsets it.
#[must_use]
pub fn record(resource: &ConfigResource, key: &str, text: Option<&str>) -> MetadataRecord {
    MetadataRecord::Config(ConfigRecord {
        resource_type: resource.kind,
        resource_name: resource.name.as_str().into(),
        name: key.into(),
        value: text.map(Into::into),
        ..ConfigRecord::default()
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::protocol::messages::TopicRecord;

    /// An image with a topic `t` that has these settings.
    fn image(set: &[(&str, &str)]) -> Image {
        let topic = TopicRecord { name: "t".into(), topic_id: Uuid::from_u128(1), ..TopicRecord::default() };
        let resource = ConfigResource::topic("t");
        let records = set.iter().map(|(key, text)| record(&resource, key, Some(text)));
        let mut image = Image::default();
        for (offset, record) in (0..).zip([MetadataRecord::Topic(topic)].into_iter().chain(records)) {
            image.apply(offset, &record).expect("fits");
        }
        image
    }

    fn texts(texts: &[(&str, &str)]) -> BTreeMap<String, String> {
        texts.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
    }

    fn edit(edits: &[(&str, Edit)]) -> Change {
        Change::Edit(edits.iter().map(|(key, edit)| ((*key).to_owned(), edit.clone())).collect())
    }

    /// What topic `t` has afterwards, and how many records that took.
    fn altered(set: &[(&str, &str)], change: Change) -> Result<(BTreeMap<String, String>, usize), AlterConfigError> {
        let mut image = image(set);
        let resource = ConfigResource::topic("t");
        let alteration = Alteration { resource: resource.clone(), change };
        let records = alter(&image, &BrokerValues::default(), &alteration)?;
        for record in &records {
            image.apply(image.offset(), record).expect("fits");
        }
        Ok((image.config(&resource).clone(), records.len()))
    }

    /// What is said of a change of a resource.
    fn said(kind: i8, name: &str, change: Change) -> String {
        let alteration = Alteration { resource: ConfigResource { kind, name: name.to_owned() }, change };
        alter(&image(&[]), &BrokerValues::default(), &alteration).expect_err("must be refused").to_string()
    }

    fn set(text: &str) -> Edit {
        Edit::Set(text.to_owned())
    }

    #[test]
    fn an_edit_changes_what_it_names() {
        let before = [("flush.ms", "1"), ("segment.ms", "2"), ("retention.ms", "3")];
        let edits = edit(&[("flush.ms", set("4")), ("segment.ms", Edit::Delete), ("segment.bytes", Edit::Delete)]);
        assert_eq!(altered(&before, edits), Ok((texts(&[("flush.ms", "4"), ("retention.ms", "3")]), 2)));
    }

    #[test]
    fn a_replacement_leaves_nothing_else() {
        let before = [("flush.ms", "1"), ("segment.ms", "2")];
        let after = texts(&[("flush.ms", "1"), ("retention.ms", "3")]);
        assert_eq!(altered(&before, Change::Replace(after.clone())), Ok((after, 2)));
    }

    #[test]
    fn what_stays_as_it_is_takes_no_record() {
        assert_eq!(
            altered(&[("flush.ms", "1")], edit(&[("flush.ms", set("1"))])),
            Ok((texts(&[("flush.ms", "1")]), 0))
        );
    }

    #[test]
    fn lists_grow_and_shrink_by_elements() {
        let after = |before: &[(&str, &str)], edit_: Edit| {
            let (config, _) = altered(before, edit(&[("cleanup.policy", edit_)])).expect("good");
            config["cleanup.policy"].clone()
        };
        let (append, subtract) = (|text: &str| Edit::Append(text.into()), |text: &str| Edit::Subtract(text.into()));
        assert_eq!(after(&[], append(" compact")), "delete,compact");
        assert_eq!(after(&[("cleanup.policy", "compact , delete")], append("delete,compact")), "compact,delete");
        assert_eq!(after(&[("cleanup.policy", "compact, delete")], subtract("delete")), "compact");
        assert_eq!(after(&[("cleanup.policy", "compact")], subtract("delete")), "compact");
        assert_eq!(after(&[], subtract("delete")), "");
    }

    #[test]
    fn what_keeps_a_coordinators_state_is_not_taken_away() {
        let name = topic_name::GROUP_METADATA_TOPIC;
        let topic = TopicRecord { name: name.into(), topic_id: Uuid::from_u128(1), ..TopicRecord::default() };
        let resource = ConfigResource::topic(name);
        let mut image = Image::default();
        for record in [MetadataRecord::Topic(topic), record(&resource, "cleanup.policy", Some("compact"))] {
            image.apply(image.offset(), &record).expect("fits");
        }
        let altered = |image: &Image, change| {
            alter(image, &BrokerValues::default(), &Alteration { resource: resource.clone(), change })
        };
        for change in [
            edit(&[("cleanup.policy", set("delete"))]),
            edit(&[("cleanup.policy", Edit::Delete)]),
            Change::Replace(BTreeMap::new()),
            edit(&[("cleanup.policy", set("compact,delete")), ("retention.ms", set("1"))]),
        ] {
            let error = altered(&image, change).expect_err("must be refused");
            assert!(matches!(error, AlterConfigError::Topic(TopicConfigError::Uncompacted(_))), "{error}");
        }
        image.apply(image.offset(), &record(&resource, "cleanup.policy", Some("compact,delete"))).expect("fits");
        altered(&image, edit(&[("segment.ms", set("5"))])).expect("it is as Kafka's operator had it");
        altered(&image, edit(&[("cleanup.policy", set("compact"))])).expect("it gets better");
    }

    #[test]
    fn what_a_key_does_not_allow_is_refused() {
        let topic = |key: &str, edit_: Edit| said(ConfigResource::TOPIC, "t", edit(&[(key, edit_)]));
        let no_list = "Can't APPEND to key flush.ms because its type is not LIST.";
        assert_eq!(topic("flush.ms", Edit::Append("1".into())), no_list);
        assert_eq!(
            topic("nope", Edit::Subtract("1".into())),
            "Can't SUBTRACT to key nope because its type is not LIST."
        );
        assert_eq!(topic("nope", set("1")), "Unknown topic config name: nope");
        assert!(topic("cleanup.policy", Edit::Append(String::new())).contains("must not be empty"));
        assert!(topic("flush.ms", set("x")).contains("Not a number of type LONG"));
        let unknown = said(ConfigResource::TOPIC, "u", edit(&[("flush.ms", set("1"))]));
        assert_eq!(unknown, "The topic 'u' does not exist.");
        assert!(said(ConfigResource::BROKER, "", edit(&[("node.id", set("1"))])).contains("dynamically"));
        let some = || edit(&[("interval.ms", set("1"))]);
        assert_eq!(said(ConfigResource::GROUP, "g", some()), group::NOT_ALTERABLE);
        assert_eq!(said(ConfigResource::CLIENT_METRICS, "m", some()), client_metrics::NOT_ALTERABLE);
    }
}
