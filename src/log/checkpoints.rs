//! Small text files that Kafka calls checkpoints: a version, a count, then one entry a line.
//!
//! ```text
//! 0
//! 2
//! orders 0 1234
//! orders 1 99
//! ```
//!
//! All of them can be derived or done without, at a price. So one that is damaged counts as absent, and a warning says so.
//! One that is there and cannot be read now does not: the next start may read it.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::{collections::HashMap, io, path::Path};

use super::disk::{Disk, read_file, replace_file};
use crate::protocol::ids::TopicPartition;

/// Up to which offset a partition is known to be on disk.
pub const RECOVERY_POINT_FILE: &str = "recovery-point-offset-checkpoint";
/// Where a partition's log starts, if that is not at 0.
pub const LOG_START_FILE: &str = "log-start-offset-checkpoint";
/// A partition's high watermark.
pub const HIGH_WATERMARK_FILE: &str = "replication-offset-checkpoint";
/// Up to which offset a partition has been compacted.
pub const CLEANER_FILE: &str = "cleaner-offset-checkpoint";

const VERSION: &str = "0";

/// Offsets by partition, as one of these files has them.
pub type OffsetsByPartition = HashMap<TopicPartition, i64>;

/// Reads a file of offsets.
pub fn read_offsets(disk: &dyn Disk, path: &Path) -> io::Result<OffsetsByPartition> {
    Ok(read_entries(disk, path, parse_offset)?.into_iter().collect())
}

/// Writes a file of offsets, durably.
pub fn write_offsets(disk: &dyn Disk, path: &Path, offsets: &[(TopicPartition, i64)]) -> io::Result<()> {
    let lines = offsets.iter().map(|(tp, offset)| format!("{} {} {offset}", tp.topic, tp.partition));
    replace_file(disk, path, format_entries(lines).as_bytes())
}

/// Reads a line of a file of offsets.
pub fn parse_offset(line: &str) -> Option<(TopicPartition, i64)> {
    let mut words = line.split_whitespace();
    let entry = (TopicPartition::new(words.next()?, words.next()?.parse().ok()?), words.next()?.parse().ok()?);
    (words.next().is_none() && entry.1 >= 0).then_some(entry)
}

/// The text of a checkpoint file.
pub fn format_entries(lines: impl ExactSizeIterator<Item = String>) -> String {
    let mut text = format!("{VERSION}\n{}\n", lines.len());
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// The entries of a checkpoint file. None if it is absent, or damaged.
pub fn read_entries<T>(disk: &dyn Disk, path: &Path, parse: impl Fn(&str) -> Option<T>) -> io::Result<Vec<T>> {
    let bytes = match read_file(disk, path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    Ok(parse_entries(&bytes, parse).unwrap_or_else(|error| {
        tracing::warn!(path = %path.display(), %error, "checkpoint is damaged and counts as absent");
        Vec::new()
    }))
}

/// Why text is not a checkpoint file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not even text.
    #[error("not UTF-8 from byte {at} on")]
    Utf8 {
        /// Where it stops being text.
        at: usize,
    },
    /// A line is missing, or is not what its place asks for.
    #[error("line {line}: {} where {expected} should be", text.as_ref().map_or_else(|| "nothing".to_owned(), |text| format!("{text:?}")))]
    Line {
        /// Counted from 1.
        line: usize,
        /// What it says.
        text: Option<String>,
        /// What should be there.
        expected: &'static str,
    },
    /// The second line is not the number of those that follow.
    #[error("line 2: {declared} entries announced, {found} found")]
    Count {
        /// The number on the second line.
        declared: usize,
        /// The entries.
        found: usize,
    },
}

/// Reads the content of a checkpoint file. Kafka creates its checkpoints empty.
pub fn parse_entries<T>(bytes: &[u8], parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, CheckpointError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let text = std::str::from_utf8(bytes).map_err(|error| CheckpointError::Utf8 { at: error.valid_up_to() })?;
    let mut lines = text.lines();
    let error =
        |line, text: Option<&str>, expected| CheckpointError::Line { line, text: text.map(str::to_owned), expected };
    let version = lines.next();
    if version != Some(VERSION) {
        return Err(error(1, version, "version 0"));
    }
    let count = lines.next();
    let declared = count.and_then(|count| count.parse().ok()).ok_or_else(|| error(2, count, "a number of entries"))?;
    let entry = |(number, line)| parse(line).ok_or_else(|| error(number, Some(line), "an entry"));
    let entries: Vec<T> = (3..).zip(lines).map(entry).collect::<Result<_, _>>()?;
    let found = entries.len();
    if found == declared { Ok(entries) } else { Err(CheckpointError::Count { declared, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::disk::{OpenMode, sim::SimDisk};

    fn disk_with(text: &str) -> SimDisk {
        let disk = SimDisk::new(1);
        disk.create_dir(Path::new("/d")).expect("created");
        let file = disk.open(Path::new("/d/f"), OpenMode::Create).expect("created");
        file.write_all_at(&[text.as_bytes()], 0).expect("written");
        disk
    }

    #[test]
    fn offsets_survive_their_file() {
        let disk = disk_with("");
        let path = Path::new("/d/f");
        let offsets = [(TopicPartition::new("a-b", 0), 7), (TopicPartition::new("c", 12), i64::MAX)];
        write_offsets(&disk, path, &offsets).expect("written");
        assert_eq!(read_file(&disk, path).expect("read"), b"0\n2\na-b 0 7\nc 12 9223372036854775807\n");
        assert_eq!(read_offsets(&disk, path).expect("read"), offsets.into_iter().collect());
    }

    #[test]
    fn a_damaged_file_counts_as_absent() {
        for text in ["", "1\n0\n", "0\n2\na 0 1\n", "0\n1\na 0\n", "0\n1\na 0 -5\n", "0\n1\na x 1\n", "0", "\0\0\0"] {
            let offsets = read_offsets(&disk_with(text), Path::new("/d/f")).expect("read");
            assert!(offsets.is_empty(), "{text:?}");
        }
        assert!(read_offsets(&disk_with(""), Path::new("/d/none")).expect("nothing to read").is_empty());
    }

    #[test]
    fn a_file_that_cannot_be_read_now_does_not_count_as_absent() {
        for call in 1..=3 {
            let disk = disk_with("0\n1\na 0 7\n");
            disk.fail_nth(call, 5);
            assert!(read_offsets(&disk, Path::new("/d/f")).is_err(), "call {call}");
            assert_eq!(read_offsets(&disk, Path::new("/d/f")).expect("read").len(), 1);
        }
    }

    #[test]
    fn damage_is_named_with_its_line() {
        for (text, expected) in [
            ("1\n0\n", "line 1: \"1\" where version 0 should be"),
            ("0", "line 2: nothing where a number of entries should be"),
            ("0\n2\na 0 1\n", "line 2: 2 entries announced, 1 found"),
            ("0\n2\na 0 1\nb 0\n", "line 4: \"b 0\" where an entry should be"),
        ] {
            let error = parse_entries(text.as_bytes(), parse_offset).expect_err(text);
            assert_eq!(error.to_string(), expected);
        }
        assert_eq!(parse_entries(b"0\n\xff", parse_offset), Err(CheckpointError::Utf8 { at: 2 }));
        assert_eq!(parse_entries(b"", parse_offset), Ok(Vec::new()));
    }
}
