//! The list of messages that a program uses, a line each: an API or a message by name, and the least version wanted.
//!
//! ```text
//! # an API: its request and its response
//! Fetch 4
//! # a message by its own name, in all its versions
//! TopicRecord
//! ```

use std::collections::BTreeMap;

use crate::{error::SchemaError, model::Message, schemas::Schemas, versions::Versions};

/// Which messages to emit, and from which version on.
#[derive(Clone, Debug, Default)]
pub struct Used {
    from: BTreeMap<String, i16>,
    all: bool,
}

impl Used {
    /// Reads a list; `file` names it in errors. Every name must be that of a message.
    pub fn parse(file: &str, text: &str, schemas: &Schemas) -> Result<Self, SchemaError> {
        let mut used = Self::default();
        for (number, line) in text.lines().enumerate() {
            let at = |reason: String| SchemaError::new(&format!("{file}:{}", number + 1), reason);
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(name) = words.next() else { continue };
            let from = match words.next().map(str::parse::<i16>) {
                None => 0,
                Some(Ok(version)) if version >= 0 => version,
                Some(_) => return Err(at(format!("{name}: the least version is a number"))),
            };
            if let Some(word) = words.next() {
                return Err(at(format!("{name}: {word:?} is one word too many")));
            }
            let names: Vec<String> = if schemas.get(name).is_some() {
                vec![name.to_owned()]
            } else {
                vec![format!("{name}Request"), format!("{name}Response")]
            };
            for name in names {
                let Some(message) = schemas.get(&name) else { return Err(at(format!("no message {name}"))) };
                if message.versions.intersect(Versions::from(from)).is_empty() {
                    return Err(at(format!("{name} has versions {}, none from {from} on", message.versions)));
                }
                if used.from.insert(name.clone(), from).is_some() {
                    return Err(at(format!("{name} is listed twice")));
                }
            }
        }
        Ok(used)
    }

    /// The same, and every other message too, in all its versions.
    #[must_use]
    pub fn and_all_others(self) -> Self {
        Self { all: true, ..self }
    }

    /// The messages, without the versions that are not wanted.
    #[must_use]
    pub fn select(&self, schemas: &Schemas) -> Vec<Message> {
        let least = |message: &Message| match self.from.get(&message.name) {
            None if self.all => Some(0),
            from => from.copied(),
        };
        let restricted = schemas.iter().filter_map(|m| Some(m.restricted(Versions::from(least(m)?))));
        restricted.filter(|message| !message.versions.is_empty()).collect()
    }
}
