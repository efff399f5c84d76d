//! `<offset>.snapshot`: the producers as of an offset, in Kafka's format. It spares a start from reading what precedes it.
//!
//! Of a producer's batches it has the last one only.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use bytes::Bytes;

use super::{ProducedBatch, Producer, ProducerStates};
use crate::protocol::{
    message::Message,
    stored::{ProducerEntry, ProducerSnapshot},
    wire::{DecodeError, Reader, Writer},
};

/// The version that is written, and the only one that is read.
const VERSION: i16 = 1;
/// Where the bytes begin that the CRC is about: behind version and CRC.
const CRC_FROM: usize = 6;
/// What a snapshot's file name ends with.
pub const SUFFIX: &str = ".snapshot";

/// Why a snapshot cannot be used. The log has what it said.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Another version, or not a snapshot.
    #[error("version {0}, expected {VERSION}")]
    Version(i16),
    /// The bytes are not what was written.
    #[error("CRC {computed:#010x}, expected {stored:#010x}")]
    Crc {
        /// What it should be.
        stored: u32,
        /// What it is.
        computed: u32,
    },
    /// The content does not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// The name of the snapshot as of `offset`.
#[must_use]
pub fn file_name(offset: i64) -> String {
    format!("{offset:020}{SUFFIX}")
}

/// The content of a snapshot.
#[must_use]
pub fn encode(states: &ProducerStates) -> Vec<u8> {
    let mut entries: Vec<_> = states.iter().map(|(id, producer)| entry(id, producer)).collect();
    entries.sort_by_key(|entry| entry.producer_id);
    let snapshot = ProducerSnapshot { crc: 0, producer_entries: entries };
    let mut w = Writer::new();
    w.int16(VERSION).expect("it fits");
    snapshot.encode(&mut w, VERSION).expect("every field has a place in every version");
    let mut bytes = w.into_bytes().to_vec();
    let split = bytes.split_first_chunk_mut::<CRC_FROM>();
    let ([_, _, crc @ ..], covered) = split.expect("version and CRC were written");
    *crc = crc32c::crc32c(covered).to_be_bytes();
    bytes
}

/// The producers in a snapshot's content.
pub fn decode(content: &Bytes) -> Result<ProducerStates, SnapshotError> {
    let mut r = Reader::new(content);
    let version = r.int16()?;
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    let snapshot = ProducerSnapshot::decode(&mut r, version)?;
    r.finish()?;
    let computed = crc32c::crc32c(content.get(CRC_FROM..).unwrap_or_default());
    if computed != snapshot.crc {
        return Err(SnapshotError::Crc { stored: snapshot.crc, computed });
    }
    let mut states = ProducerStates::default();
    for entry in &snapshot.producer_entries {
        states.load(entry.producer_id, producer(entry));
    }
    Ok(states)
}

fn entry(producer_id: i64, producer: &Producer) -> ProducerEntry {
    let last = producer.last_batch();
    ProducerEntry {
        producer_id,
        epoch: producer.epoch,
        last_sequence: last.map_or(-1, |batch| batch.last_sequence),
        last_offset: last.map_or(-1, |batch| batch.last_offset),
        offset_delta: last.map_or(0, |batch| batch.offset_delta),
        timestamp: producer.last_timestamp,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_first_offset: producer.open_transaction.unwrap_or(-1),
    }
}

fn producer(entry: &ProducerEntry) -> Producer {
    let mut producer = Producer::new(entry.epoch);
    if entry.last_offset >= 0 {
        producer.remember(ProducedBatch {
            last_sequence: entry.last_sequence,
            last_offset: entry.last_offset,
            offset_delta: entry.offset_delta,
            timestamp: entry.timestamp,
        });
        producer.is_partly_known = true;
    }
    producer.last_timestamp = entry.timestamp;
    producer.coordinator_epoch = entry.coordinator_epoch;
    producer.open_transaction = Some(entry.current_txn_first_offset).filter(|offset| *offset >= 0);
    producer
}
