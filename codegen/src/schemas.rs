//! The set of all messages: read from the vendored directories, or from the one text that a binary carries.

use std::{collections::BTreeMap, fs, io, path::Path};

use crate::{
    error::SchemaError,
    merge::merge,
    model::{self, Message},
    spec::{MessageKind, MessageSpec},
};

/// A release's schema files, name and text of each.
#[derive(Clone, Debug, Default)]
pub struct Release {
    files: Vec<(String, String)>,
}

impl Release {
    /// All `.json` files below a directory, in the order of their paths.
    pub fn read(directory: &Path) -> io::Result<Self> {
        let mut release = Self::default();
        release.read_below(directory)?;
        release.files.sort();
        Ok(release)
    }

    /// Files given as text.
    pub fn from_texts(files: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { files: files.into_iter().collect() }
    }

    /// The files, name and text of each.
    #[must_use]
    pub fn files(&self) -> &[(String, String)] {
        &self.files
    }

    fn read_below(&mut self, directory: &Path) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                self.read_below(&path)?;
            } else if path.extension().is_some_and(|extension| extension == "json") {
                self.files.push((path.display().to_string(), fs::read_to_string(&path)?));
            }
        }
        Ok(())
    }
}

/// Every message by name.
#[derive(Clone, Debug)]
pub struct Schemas {
    messages: BTreeMap<String, Message>,
}

impl Schemas {
    /// Reads, merges and checks: `older` supplies the versions that `newer` dropped.
    pub fn load(newer: &Release, older: &Release) -> Result<Self, SchemaError> {
        let mut specs = parse(newer)?;
        for (file, old) in parse(older)? {
            match specs.iter_mut().find(|(_, new)| new.name == old.name) {
                Some((_, new)) => *new = merge(&file, new, &old)?,
                None => specs.push((file, old)),
            }
        }
        let mut checked = Vec::new();
        for (file, spec) in &specs {
            checked.push((file.as_str(), model::check(file, spec)?));
        }
        model::check_set(checked.iter().map(|(file, message)| (*file, message)))?;
        Ok(Self { messages: checked.into_iter().map(|(_, message)| (message.name.clone(), message)).collect() })
    }

    /// A message by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Message> {
        self.messages.get(name)
    }

    /// All messages, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Message> {
        self.messages.values()
    }

    /// The request or response of an API.
    #[must_use]
    pub fn api(&self, key: i16, kind: MessageKind) -> Option<&Message> {
        self.iter().find(|message| message.kind == kind && message.api_key == Some(key))
    }
}

fn parse(release: &Release) -> Result<Vec<(String, MessageSpec)>, SchemaError> {
    release.files().iter().map(|(file, text)| Ok((file.clone(), MessageSpec::parse(file, text)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vendored(release: &str) -> Release {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas").join(release);
        Release::read(&directory).expect("the vendored schemas")
    }

    #[test]
    fn every_vendored_schema_is_understood() {
        let newer = vendored("kafka-4.4.0");
        let older = vendored("kafka-3.9.1");
        assert_eq!((newer.files().len(), older.files().len()), (286, 14));
        let schemas = Schemas::load(&newer, &older).expect("all are good");
        assert_eq!(schemas.iter().count(), 286);
    }

    #[test]
    fn dropped_versions_come_back_from_the_older_release() {
        let schemas = Schemas::load(&vendored("kafka-4.4.0"), &vendored("kafka-3.9.1")).expect("all are good");
        let commit = schemas.get("OffsetCommitRequest").expect("is there");
        assert_eq!(commit.versions.ends(), Some((0, 10)));
        let partition = commit.structs.iter().find(|s| s.name == "OffsetCommitRequestPartition").expect("is there");
        let timestamp = partition.fields.iter().find(|f| f.name == "CommitTimestamp").expect("only the older has it");
        assert_eq!(timestamp.versions.to_string(), "1");
    }
}
