//! `meta.properties`: which cluster, node and directory a data directory belongs to. Java's properties format.
//!
//! ```text
//! version=1
//! cluster.id=MkU3OEVBNTcwNTJENDM2Qk
//! node.id=1
//! directory.id=2Dv2GF7bQEa1Lg2hXTbwQw
//! ```
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::{collections::HashMap, io, path::Path};

use uuid::Uuid;

use super::disk::{Disk, read_file, replace_file};
use crate::protocol::ids::{uuid_from_base64, uuid_to_base64};

/// The file's name.
pub const FILE_NAME: &str = "meta.properties";

const VERSION: &str = "1";

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    /// The cluster's id.
    pub cluster_id: String,
    /// The node's id.
    pub node_id: i32,
    /// The directory's id. Kafka before 3.7 wrote none.
    pub directory_id: Option<Uuid>,
}

/// Why a directory is not the one that was expected.
#[derive(Debug, thiserror::Error)]
pub enum MetaPropertiesError {
    /// It belongs to another cluster.
    #[error("the directory belongs to cluster {found}, not {expected}")]
    ClusterId {
        /// The cluster in the file.
        found: String,
        /// The one that was asked for.
        expected: String,
    },
    /// It belongs to another node.
    #[error("the directory belongs to node {found}, not {expected}")]
    NodeId {
        /// The node in the file.
        found: i32,
        /// The one that was asked for.
        expected: i32,
    },
    /// A version that this program does not know.
    #[error("meta.properties has version {found}, only {VERSION} is supported")]
    Version {
        /// The version in the file.
        found: String,
    },
    /// A property is missing, or no value that it can have.
    #[error("meta.properties: {property} is {}", value.as_deref().map_or_else(|| "missing".to_owned(), |v| format!("{v:?}")))]
    Property {
        /// Its name.
        property: &'static str,
        /// Its value.
        value: Option<String>,
    },
    /// The file could not be read or written.
    #[error("meta.properties: {0}")]
    Io(#[from] io::Error),
}

impl MetaProperties {
    /// Reads the file of a data directory. `None` where there is none: the directory is new.
    pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>, MetaPropertiesError> {
        match read_file(disk, &dir.join(FILE_NAME)) {
            Ok(bytes) => Self::parse(&String::from_utf8_lossy(&bytes)).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Writes the file, durably.
    pub fn write(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let mut text =
            format!("#\nversion={VERSION}\ncluster.id={}\nnode.id={}\n", escape(&self.cluster_id), self.node_id);
        if let Some(id) = self.directory_id {
            text.push_str(&format!("directory.id={}\n", uuid_to_base64(id)));
        }
        replace_file(disk, &dir.join(FILE_NAME), text.as_bytes())
    }

    /// Holds it against what was asked for.
    pub fn check(&self, cluster_id: Option<&str>, node_id: i32) -> Result<(), MetaPropertiesError> {
        if let Some(expected) = cluster_id.filter(|expected| *expected != self.cluster_id) {
            let (found, expected) = (self.cluster_id.clone(), expected.to_owned());
            return Err(MetaPropertiesError::ClusterId { found, expected });
        }
        if self.node_id != node_id {
            return Err(MetaPropertiesError::NodeId { found: self.node_id, expected: node_id });
        }
        Ok(())
    }

    fn parse(text: &str) -> Result<Self, MetaPropertiesError> {
        let mut properties = parse_properties(text);
        let version = properties.remove("version").unwrap_or_else(|| "0".to_owned());
        if version != VERSION {
            return Err(MetaPropertiesError::Version { found: version });
        }
        let bad = |property, value| MetaPropertiesError::Property { property, value: Some(value) };
        let missing = |property| MetaPropertiesError::Property { property, value: None };
        let cluster_id = properties.remove("cluster.id").ok_or_else(|| missing("cluster.id"))?;
        let node_id = properties.remove("node.id").ok_or_else(|| missing("node.id"))?;
        let node_id = node_id.parse().map_err(|_| bad("node.id", node_id))?;
        let directory_id = properties.remove("directory.id");
        let directory_id = directory_id.map(|text| uuid_from_base64(&text).ok_or_else(|| bad("directory.id", text)));
        let directory_id = directory_id.transpose()?;
        Ok(Self { cluster_id, node_id, directory_id })
    }
}

/// The lines `key=value`. Comments begin with `#` or `!`, and a backslash takes the next character as it is: more of
/// Java's format does not occur in this file.
fn parse_properties(text: &str) -> HashMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', '!']));
    lines
        .filter_map(|line| line.split_once(['=', ':']))
        .map(|(k, v)| (unescape(k.trim()), unescape(v.trim())))
        .collect()
}

fn unescape(text: &str) -> String {
    let mut escaped = false;
    let kept = |c: &char| {
        escaped = *c == '\\' && !escaped;
        !escaped
    };
    text.chars().filter(kept).collect()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '=' | ':' | '#' | '!') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::disk::sim::SimDisk;

    fn sample() -> MetaProperties {
        let directory_id = Some(Uuid::from_u128(0xd83b_f618_5edb_4046_b52e_0da1_5d36_f043));
        MetaProperties { cluster_id: "a=b:c\\d".to_owned(), node_id: 7, directory_id }
    }

    #[test]
    fn they_survive_their_file() {
        let disk = SimDisk::new(1);
        let dir = Path::new("/d");
        disk.create_dir(dir).expect("created");
        assert!(MetaProperties::read(&disk, dir).expect("read").is_none());
        sample().write(&disk, dir).expect("written");
        assert_eq!(MetaProperties::read(&disk, dir).expect("read"), Some(sample()));
    }

    #[test]
    fn kafkas_own_are_read() {
        let text = "#\n#Sun Nov 22 23:00:00 UTC 2026\ncluster.id=MkU3OEVBNTcwNTJENDM2Qk\n\
                    directory.id=2Dv2GF7bQEa1Lg2hXTbwQw\nnode.id=1\nversion=1\n";
        let properties = MetaProperties::parse(text).expect("read");
        assert_eq!((properties.cluster_id.as_str(), properties.node_id), ("MkU3OEVBNTcwNTJENDM2Qk", 1));
        assert_eq!(properties.directory_id, sample().directory_id);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let message = |text: &str| MetaProperties::parse(text).expect_err("refused").to_string();
        assert_eq!(message("broker.id=1\n"), "meta.properties has version 0, only 1 is supported");
        assert_eq!(message("version=1\nnode.id=1"), "meta.properties: cluster.id is missing");
        assert_eq!(message("version=1\ncluster.id=x\nnode.id=one"), "meta.properties: node.id is \"one\"");
        let mismatch = sample().check(Some("other"), 7).expect_err("refused");
        assert!(matches!(mismatch, MetaPropertiesError::ClusterId { .. }));
        let mismatch = sample().check(None, 8).expect_err("refused");
        assert_eq!(mismatch.to_string(), "the directory belongs to node 7, not 8");
        sample().check(Some("a=b:c\\d"), 7).expect("the same");
    }
}
