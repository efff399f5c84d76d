//! `partition.metadata`: which topic id a partition's directory belongs to.
//!
//! ```text
//! version: 0
//! topic_id: 2Dv2GF7bQEa1Lg2hXTbwQw
//! ```
//!
//! The metadata log knows it as well, so a damaged file counts as absent.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::{io, path::Path};

use uuid::Uuid;

use super::disk::{Disk, Replacement, read_file};
use crate::protocol::ids::{uuid_from_base64, uuid_to_base64};

/// The file's name.
pub const FILE_NAME: &str = "partition.metadata";

/// Reads the topic id.
pub fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<Uuid>> {
    let bytes = match read_file(disk, path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let id = std::str::from_utf8(&bytes).ok().and_then(parse);
    if id.is_none() {
        tracing::warn!(path = %path.display(), "partition.metadata is damaged and counts as absent");
    }
    Ok(id)
}

/// Writes the topic id. The file is durable once it and the directory are synced.
pub fn write(disk: &dyn Disk, path: &Path, topic_id: Uuid) -> io::Result<()> {
    let text = format!("version: 0\ntopic_id: {}", uuid_to_base64(topic_id));
    Replacement::write(disk, path, text.as_bytes())?.install(disk)
}

/// Whether `found` is what damage made of `meant`: one character of its text is another. Ids are random, so no two topics
/// have such ids.
#[must_use]
pub fn is_misread(found: Uuid, meant: Uuid) -> bool {
    let (found, meant) = (uuid_to_base64(found), uuid_to_base64(meant));
    found.bytes().zip(meant.bytes()).filter(|(found, meant)| found != meant).count() == 1
}

/// Reads the file's content.
pub fn parse(text: &str) -> Option<Uuid> {
    let mut lines = text.lines();
    let version = lines.next()?.strip_prefix("version:")?.trim();
    let id = lines.next()?.strip_prefix("topic_id:")?.trim();
    if version == "0" { uuid_from_base64(id).filter(|id| !id.is_nil()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::disk::{OpenMode, sim::SimDisk};

    #[test]
    fn the_id_survives_its_file() {
        let disk = SimDisk::new(1);
        disk.create_dir(Path::new("/d")).expect("created");
        let path = Path::new("/d/partition.metadata");
        assert_eq!(read(&disk, path).expect("read"), None);
        let id = Uuid::from_u128(0xd83b_f618_5edb_4046_b52e_0da1_5d36_f043);
        write(&disk, path, id).expect("written");
        assert_eq!(read_file(&disk, path).expect("read"), b"version: 0\ntopic_id: 2Dv2GF7bQEa1Lg2hXTbwQw");
        assert_eq!(read(&disk, path).expect("read"), Some(id));
        disk.open(path, OpenMode::Existing).expect("there").set_len(20).expect("cut");
        assert_eq!(read(&disk, path).expect("read"), None);
    }
}
