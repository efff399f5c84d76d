//! Record batches, good ones and such as no producer makes.

use anyhow::Result;
use bytes::Bytes;
use ottla::protocol::records::{
    batch::{HEADER_SIZE, compute_crc},
    builder::{BatchBuilder, NewRecord},
    compression::Compression,
};

/// Time of the first record of each batch.
pub(crate) const FIRST_TIMESTAMP: i64 = 1_700_000_000_000;

/// Where fields of a batch stand.
pub(crate) mod at {
    pub(crate) const LENGTH: usize = 8;
    pub(crate) const MAGIC: usize = 16;
    pub(crate) const CRC: usize = 17;
    pub(crate) const ATTRIBUTES: usize = 21;
    pub(crate) const LAST_OFFSET_DELTA: usize = 23;
    pub(crate) const BASE_TIMESTAMP: usize = 27;
    pub(crate) const MAX_TIMESTAMP: usize = 35;
    pub(crate) const PRODUCER_ID: usize = 43;
    pub(crate) const PRODUCER_EPOCH: usize = 51;
    pub(crate) const RECORD_COUNT: usize = 57;
}

/// A batch of records with the key `k` and the value `v`, a millisecond apart.
pub(crate) fn batch(count: usize) -> Result<Bytes> {
    compressed(count, Compression::None)
}

/// The same under a codec.
pub(crate) fn compressed(count: usize, codec: Compression) -> Result<Bytes> {
    let records = vec![(Some(&b"k"[..]), Some(&b"v"[..])); count];
    of_records(&records, FIRST_TIMESTAMP, codec)
}

/// A record's key and its value.
pub(crate) type KeyValue<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// A batch of these keys and values.
pub(crate) fn of_records(records: &[KeyValue<'_>], first_ms: i64, codec: Compression) -> Result<Bytes> {
    let mut builder = BatchBuilder::new(0).compression(codec, None);
    for (timestamp, (key, value)) in (first_ms..).zip(records) {
        builder.append(&NewRecord { timestamp, key: *key, value: *value, headers: &[] })?;
    }
    Ok(builder.build()?.bytes().clone())
}

/// A batch with some bytes overwritten, and a CRC that is right again.
pub(crate) fn patched(batch: &Bytes, patches: &[(usize, &[u8])]) -> Bytes {
    sealed(overwritten(batch, patches))
}

/// A batch with some bytes overwritten, its CRC left alone.
pub(crate) fn overwritten(batch: &Bytes, patches: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = batch.to_vec();
    for (at, patch) in patches {
        bytes[*at..at + patch.len()].copy_from_slice(patch);
    }
    bytes
}

/// A batch with other bytes in place of its records: its header says what it said, but for length and CRC.
pub(crate) fn with_payload(batch: &Bytes, payload: &[u8]) -> Result<Bytes> {
    let mut bytes = batch[..HEADER_SIZE].to_vec();
    bytes.extend_from_slice(payload);
    let length = i32::try_from(bytes.len() - 12)?;
    bytes[at::LENGTH..at::LENGTH + 4].copy_from_slice(&length.to_be_bytes());
    Ok(sealed(bytes))
}

fn sealed(mut bytes: Vec<u8>) -> Bytes {
    let crc = compute_crc(&bytes);
    bytes[at::CRC..at::CRC + 4].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

/// A message set of the format from before record batches, with one message.
pub(crate) fn old_format(magic: u8) -> Bytes {
    let mut message = vec![magic, 0];
    if magic == 1 {
        message.extend_from_slice(&FIRST_TIMESTAMP.to_be_bytes());
    }
    message.extend_from_slice(b"\0\0\0\x01k\0\0\0\x01v");
    let mut crc = flate2::Crc::new();
    crc.update(&message);
    let mut set = vec![0; 8];
    let size = u32::try_from(4 + message.len()).unwrap_or(u32::MAX);
    set.extend_from_slice(&size.to_be_bytes());
    set.extend_from_slice(&crc.sum().to_be_bytes());
    set.extend_from_slice(&message);
    set.into()
}
