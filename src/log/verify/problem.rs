//! What can be wrong with a data directory.

use std::{fmt, io, path::PathBuf};

use crate::{
    clock::TimestampMs,
    log::{checkpoints::CheckpointError, meta_properties::MetaPropertiesError, scan::ScanError},
    protocol::ids::TopicPartition,
};

/// Something found in a data directory, and where.
#[derive(Debug)]
pub struct Finding {
    /// The file, or the directory.
    pub path: PathBuf,
    /// Where in the file, if it is about a place.
    pub position: Option<u64>,
    /// What it is.
    pub problem: Problem,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        if let Some(position) = self.position {
            write!(f, "position {position}: ")?;
        }
        if self.problem.is_note() {
            f.write_str("note: ")?;
        }
        self.problem.fmt(f)
    }
}

/// What is wrong, or worth a note.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum Problem {
    // Any file.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("is missing")]
    Missing,

    // Logs.
    #[error("{}", .0.reason())]
    Scan(ScanError),
    #[error("offsets {first} to {last} out of order, expected {expected} or later")]
    Disorder { first: i64, last: i64, expected: i64 },
    #[error("offsets {first} to {last} beyond the segment, which ends before {end}")]
    BeyondSegment { first: i64, last: i64, end: i64 },
    #[error("last offset delta {last_offset_delta} with {record_count} records")]
    Counts { last_offset_delta: i32, record_count: i32 },
    #[error("leader epoch {found} at offset {offset}, which belongs to epoch {expected}")]
    LeaderEpoch { offset: i64, found: i32, expected: i32 },
    #[error("leader epoch {found} at offset {offset} after epoch {before}")]
    LeaderEpochOrder { offset: i64, found: i32, before: i32 },
    #[error("no log segment")]
    NoSegment,

    // Indexes.
    #[error("{bytes} bytes behind the last whole entry")]
    OddBytes { bytes: u64 },
    #[error("entry is not greater than the one before it")]
    EntryOrder,
    #[error("offset {offset} is said to be at position {target}, where no batch begins")]
    NoBatchAt { offset: i64, target: u64 },
    #[error("offset {offset} is said to end the batch at position {target}, which ends with {found}")]
    OtherOffset { offset: i64, target: u64, found: i64 },
    #[error("offset {offset} is said to be that of timestamp {timestamp}, but no batch ends with it")]
    NoBatchWith { offset: i64, timestamp: TimestampMs },
    #[error("offset {offset} is said to have the greatest timestamp, {timestamp}, which is {found}")]
    OtherTimestamp { offset: i64, timestamp: TimestampMs, found: TimestampMs },
    #[error("the greatest timestamp of the closed segment, {timestamp}, is missing")]
    NoFinalTimestamp { timestamp: TimestampMs },
    #[error("aborted transaction has version {0}")]
    AbortedVersion(i16),
    #[error("aborted transaction from offset {first} to {last} does not end in the segment")]
    AbortedRange { first: i64, last: i64 },

    // Snapshots.
    #[error("producer snapshot has {0} bytes, too few for its head")]
    ShortSnapshot(usize),
    #[error("producer snapshot has version {0}")]
    SnapshotVersion(i16),
    #[error("producer snapshot: stored CRC {stored:#010x}, computed {computed:#010x}")]
    SnapshotCrc { stored: u32, computed: u32 },
    #[error("snapshot at offset {offset}, but the log ends at {log_end}")]
    SnapshotBeyondLogEnd { offset: i64, log_end: i64 },
    #[error("metadata snapshot does not {0} with a control batch")]
    SnapshotControl(&'static str),

    // Small files.
    #[error("{0}")]
    Checkpoint(CheckpointError),
    #[error("epoch {epoch} from offset {start_offset} on does not follow epoch {before} from {start_before} on")]
    EpochEntries { epoch: i32, start_offset: i64, before: i32, start_before: i64 },
    #[error("epoch {epoch} starts at offset {start_offset}, but the log ends at {log_end}")]
    EpochBeyondLogEnd { epoch: i32, start_offset: i64, log_end: i64 },
    #[error("offset {offset} of {partition} is beyond its log's end, {log_end}")]
    BeyondLogEnd { partition: TopicPartition, offset: i64, log_end: i64 },
    #[error("offset {offset} of {partition} after a clean stop, but its log ends at {log_end}")]
    BeforeLogEnd { partition: TopicPartition, offset: i64, log_end: i64 },
    #[error("holds no topic id")]
    NoTopicId,
    #[error("{0}")]
    MetaProperties(MetaPropertiesError),

    // Notes.
    #[error("{partition} does not exist")]
    NoSuchPartition { partition: TopicPartition },
    #[error("put aside or being deleted, not checked")]
    Retired,
    #[error("not a file of a data directory, not checked")]
    Unknown,
    #[error("index without a log")]
    Orphan,
}

impl Problem {
    /// Whether it is only worth a note: nothing is wrong.
    #[must_use]
    pub fn is_note(&self) -> bool {
        matches!(self, Self::NoSuchPartition { .. } | Self::Retired | Self::Unknown | Self::Orphan)
    }
}

impl From<ScanError> for Problem {
    fn from(error: ScanError) -> Self {
        Self::Scan(error)
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}
