//! A log held against what has to be in it.

use ottla::log::{
    partition_log::PartitionLog,
    segment::{FoundRecord, Unreadable},
};

use crate::{
    model::{Partition, Stored},
    random::Random,
};

/// Offset, timestamp and epoch look-ups for each check.
const LOOK_UPS: usize = 4;

/// What consumers can read is what was appended, whichever way they look for it.
pub(crate) fn log(log: &PartitionLog, model: &Partition, random: &mut Random) -> Result<(), String> {
    let offsets = log.offsets();
    let (start, end) = (offsets.log_start(), offsets.high_watermark());
    read_all(log, model, (start, end), random)?;
    if start == end {
        return Ok(());
    }
    for _ in 0..LOOK_UPS {
        let offset = random.between(start, end - 1);
        let stored = at(model, offset)?;
        let found = read(log, offset, 1, end)?;
        equal("the batch found", &offset, found.as_slice(), stored.bytes.as_slice())?;
    }
    // Look-ups by timestamp go to the log's end.
    let all: Vec<_> = model.batches.iter().filter(|batch| batch.last >= start).collect();
    for _ in 0..LOOK_UPS {
        let Some(timestamp) = random.pick(&all).map(|batch| batch.timestamp + random.between(-1, 1)) else { break };
        let found = log.offset_for_timestamp(timestamp, &|_, _| Err(Unreadable)).map_err(|error| error.to_string())?;
        let first = all.iter().find(|batch| batch.timestamp >= timestamp);
        let expected = first.map(|batch| FoundRecord {
            timestamp: batch.timestamp,
            offset: batch.first.max(start),
            leader_epoch: batch.epoch,
        });
        equal("the record found by timestamp", &timestamp, found, expected)?;
    }
    epochs(log, &all, random)
}

/// Each epoch ends where the next one begins.
fn epochs(log: &PartitionLog, batches: &[&Stored], random: &mut Random) -> Result<(), String> {
    for _ in 0..LOOK_UPS {
        let Some(epoch) = random.pick(batches).map(|batch| batch.epoch) else { return Ok(()) };
        let later = batches.iter().find(|later| later.epoch > epoch);
        let expected = later.map_or_else(|| log.offsets().log_end(), |later| later.first);
        let end = log.end_offset_for_epoch(epoch).map(|end| (end.epoch, end.end_offset));
        equal("the end of the epoch", &epoch, end, Some((epoch, expected)))?;
    }
    Ok(())
}

fn read_all(
    log: &PartitionLog,
    model: &Partition,
    (start, end): (i64, i64),
    random: &mut Random,
) -> Result<(), String> {
    let mut offset = start;
    while offset < end {
        let max_bytes = usize::try_from(random.below(4000)).expect("small");
        let bytes = read(log, offset, max_bytes, end)?;
        let mut rest = bytes.as_slice();
        loop {
            let stored = at(model, offset)?;
            let Some((batch, behind)) = rest.split_at_checked(stored.bytes.len()) else { break };
            equal("the batch", &offset, batch, stored.bytes.as_slice())?;
            (offset, rest) = (stored.last + 1, behind);
            if offset >= end || rest.is_empty() {
                break;
            }
        }
    }
    equal("the end of what can be read", &start, offset, end)
}

/// Bytes from `offset` on; at least one whole batch.
fn read(log: &PartitionLog, offset: i64, max_bytes: usize, end: i64) -> Result<Vec<u8>, String> {
    let slice = log.read(offset, max_bytes, true, end).map_err(|error| error.to_string())?;
    let records = slice.records.ok_or_else(|| format!("nothing to be read at {offset} below {end}"))?;
    let bytes = records.read().map_err(|error| error.to_string())?;
    if bytes.len() < slice.first_batch_size || bytes.is_empty() {
        return Err(format!("{} bytes at {offset}, less than a batch", bytes.len()));
    }
    Ok(bytes.to_vec())
}

fn at(model: &Partition, offset: i64) -> Result<&Stored, String> {
    let after = model.batches.partition_point(|batch| batch.last < offset);
    model.batches.get(after).ok_or_else(|| format!("offset {offset} was never appended"))
}

pub(crate) fn equal<T: PartialEq + std::fmt::Debug>(
    what: &str,
    which: &dyn std::fmt::Display,
    is: T,
    should_be: T,
) -> Result<(), String> {
    if is == should_be { Ok(()) } else { Err(format!("{what} ({which}) is {is:?}, not {should_be:?}")) }
}
