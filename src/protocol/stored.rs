//! The generated messages that stand in a partition's files: the log knows these, and no requests.

pub use super::messages::{EndTxnMarker, ProducerSnapshot, producer_snapshot::ProducerEntry};
