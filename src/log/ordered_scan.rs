//! A walk over a segment that holds each batch against its neighbours.
//!
//! Base offset and leader epoch of a batch lie outside its CRC, and its length decides where the next one is looked for. All
//! three are found out by what stands before and behind: offsets follow each other without a gap, but where compaction took
//! records out, and epochs grow. Only where something does not fit is a CRC computed: it tells whether a batch's own
//! length and offset delta can be believed.
//!
//! What it cannot know: where compaction left a gap, a base offset that moved within it; an epoch next to a change of
//! epochs, where `leader-epoch-checkpoint` does not know better.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use super::{
    disk::DiskFile,
    scan::{BatchAt, BatchScan, Damage, ScanError, check_crc, find_valid_batch},
};
use crate::protocol::records::batch::BatchHeader;

/// The epoch of a batch from before there were any.
const NO_EPOCH: i32 = -1;

/// What is known of a segment besides its bytes.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Its base offset.
    pub base_offset: i64,
    /// All its offsets are below.
    pub limit: i64,
    /// The offset that should follow its last batch, unless compaction took that.
    pub next_offset: Option<i64>,
    /// The leader epoch that an offset belongs to.
    pub epoch_of: EpochOf<'a>,
}

/// Tells the leader epoch that an offset belongs to, as far as is known.
pub type EpochOf<'a> = &'a dyn Fn(i64) -> Option<i32>;

/// Nothing is known of epochs but what the neighbours have.
pub const NO_EPOCHS: EpochOf<'static> = &|_| None;

/// What stands next in a segment.
#[derive(Debug)]
pub enum Step {
    /// A batch in its place.
    Batch(BatchAt),
    /// Something else.
    Damage(DamagedRange),
}

/// Bytes that are no batch, or one that is not in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamagedRange {
    /// Where it begins.
    pub position: u64,
    /// The offset that should be there.
    pub from: i64,
    /// The next good batch, if there is one.
    pub next: Option<BatchAt>,
    /// What is wrong.
    pub source: Damage,
}

impl DamagedRange {
    /// The damage as an error.
    #[must_use]
    pub fn error(&self) -> ScanError {
        ScanError::Corrupt { position: self.position, source: self.source }
    }

    /// Whether a reader who wants `offset` wants what is damaged.
    #[must_use]
    pub fn has(&self, offset: i64) -> bool {
        offset >= self.from && self.next.is_none_or(|next| offset < next.header.base_offset)
    }
}

/// The walk.
pub struct OrderedScan<'a> {
    file: &'a dyn DiskFile,
    scan: BatchScan<'a>,
    end: u64,
    around: Surroundings<'a>,
    /// The offset after the last good batch.
    expected: i64,
    /// Epoch of the last good batch.
    epoch: Option<i32>,
    /// The next batch, which was looked at already.
    held: Option<BatchAt>,
}

impl<'a> OrderedScan<'a> {
    /// Begins at `position`, where the batch with the offset `expected` begins, and ends at `end`, where the file does.
    #[must_use]
    pub fn new(file: &'a dyn DiskFile, position: u64, end: u64, expected: i64, around: Surroundings<'a>) -> Self {
        let scan = BatchScan::new(file, position, end);
        Self { file, scan, end, around, expected, epoch: None, held: None }
    }

    /// The same, if the first batch is known to be good, and to have this epoch.
    #[must_use]
    pub fn from_epoch(mut self, epoch: Option<i32>) -> Self {
        self.epoch = epoch;
        self
    }

    /// What comes next; `None` at the end. An error is one of the disk.
    pub fn next_step(&mut self) -> Result<Option<Step>, ScanError> {
        let batch = match self.held.take() {
            Some(held) => held,
            None => {
                let position = self.scan.position();
                match self.scan.next_batch() {
                    Ok(None) => return Ok(None),
                    Ok(Some(batch)) => batch,
                    Err(ScanError::Corrupt { source, .. }) => return self.damaged(position, source).map(Some),
                    Err(error) => return Err(error),
                }
            }
        };
        let next = match self.scan.next_batch() {
            Ok(next) => Ok(next),
            Err(ScanError::Corrupt { .. }) => Err(()),
            Err(error) => return Err(error),
        };
        if let Some(damage) = self.damage_of(&batch, &next)? {
            return self.damaged(batch.position, damage).map(Some);
        }
        self.expected = batch.header.last_offset().saturating_add(1);
        self.epoch = Some(batch.header.partition_leader_epoch);
        self.held = next.ok().flatten();
        Ok(Some(Step::Batch(batch)))
    }

    /// What is wrong with a batch, given the one behind it, or that there is none, or something else.
    fn damage_of(&self, batch: &BatchAt, next: &Result<Option<BatchAt>, ()>) -> Result<Option<Damage>, ScanError> {
        let header = &batch.header;
        if !self.is_possible(header) {
            return Ok(Some(self.disorder(header)));
        }
        let after = header.last_offset().saturating_add(1);
        let is_in_place = header.base_offset == self.expected;
        let follows = match next {
            Ok(Some(next)) => next.header.base_offset == after,
            Ok(None) => self.around.next_offset.is_none_or(|next_offset| next_offset == after),
            Err(()) => false,
        };
        if !(is_in_place && follows)
            && let Err(error) = check_crc(self.file, batch)
        {
            return match error {
                ScanError::Corrupt { source, .. } => Ok(Some(source)),
                error => Err(error),
            };
        }
        if !is_in_place && !self.may_stand_there(header, next) {
            return Ok(Some(self.disorder(header)));
        }
        let next_epoch = next.ok().flatten().map(|next| next.header.partition_leader_epoch);
        Ok(self.epoch_damage(header, next_epoch))
    }

    /// Whether the segment could have such a batch at all.
    fn is_possible(&self, header: &BatchHeader) -> bool {
        let last = header.last_offset();
        header.last_offset_delta >= 0
            && header.base_offset >= self.around.base_offset
            && last < self.around.limit
            && last.saturating_sub(self.around.base_offset) <= i64::from(i32::MAX)
    }

    /// Whether a batch that does not follow the one before it, with a good CRC, stands behind a gap.
    fn may_stand_there(&self, header: &BatchHeader, next: &Result<Option<BatchAt>, ()>) -> bool {
        let without_gap = self.expected.saturating_add(i64::from(header.last_offset_delta)).saturating_add(1);
        header.base_offset > self.expected
            && match next {
                Ok(Some(next)) => next.header.base_offset > header.last_offset(),
                Ok(None) => self.around.next_offset.is_none_or(|next_offset| next_offset != without_gap),
                Err(()) => true,
            }
    }

    /// What is wrong with the epoch: it is neither that of a neighbour nor what is known of the offset.
    fn epoch_damage(&self, header: &BatchHeader, next: Option<i32>) -> Option<Damage> {
        let found = header.partition_leader_epoch;
        let known = (self.around.epoch_of)(header.base_offset);
        let is_right = found >= NO_EPOCH
            && ([self.epoch, next].contains(&Some(found))
                || known == Some(found)
                || match (self.epoch, next) {
                    // With a neighbour at one side only it may be that neighbour or the checkpoint that is wrong.
                    (Some(before), None) if before > found => true,
                    (None, Some(next)) if found < next => true,
                    (None, None) => true,
                    (before, next) => {
                        known.is_none()
                            && before.is_none_or(|before| before < found)
                            && next.is_none_or(|next| found < next)
                    }
                });
        (!is_right).then_some(Damage::LeaderEpoch {
            offset: header.base_offset,
            found,
            expected: known.or(self.epoch).or(next).unwrap_or(-1),
        })
    }

    fn disorder(&self, header: &BatchHeader) -> Damage {
        Damage::Disorder { first: header.base_offset, last: header.last_offset(), expected: self.expected }
    }

    /// Goes on behind damage.
    fn damaged(&mut self, position: u64, source: Damage) -> Result<Step, ScanError> {
        let from = self.expected;
        let next = self.find_next(position.saturating_add(1))?;
        let at = next.map_or(self.end, |next| next.position);
        self.scan = BatchScan::new(self.file, at, self.end);
        if let Some(next) = next {
            self.expected = self.expected.max(next.header.base_offset);
        }
        Ok(Step::Damage(DamagedRange { position, from, next, source }))
    }

    /// The first batch from `position` on that is good and could stand there.
    fn find_next(&self, mut position: u64) -> Result<Option<BatchAt>, ScanError> {
        loop {
            let found = find_valid_batch(self.file, position, self.end, self.around.base_offset)?;
            match found {
                Some(batch) if batch.header.base_offset < self.expected || !self.is_possible(&batch.header) => {
                    position = batch.position.saturating_add(1);
                }
                found => return Ok(found),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::log::{
        disk::{Disk, OpenMode, sim::SimDisk},
        partition_log::test_batches::batch_bytes,
    };

    /// Bytes of each of the batches below: all alike, so that a wrong length may lead to where one begins.
    const SIZE: u64 = 128;

    /// Five batches of two records from offset 10 on, of the epochs 1, 1, 2, 2, 2, with `missing` left out.
    fn file(missing: Option<usize>) -> (SimDisk, Arc<dyn DiskFile>) {
        let disk = SimDisk::new(1);
        disk.create_dir(Path::new("/d")).expect("created");
        let file = disk.open(Path::new("/d/f"), OpenMode::Create).expect("created");
        let mut bytes = Vec::new();
        for (n, epoch) in [1_u8, 1, 2, 2, 2].into_iter().enumerate().filter(|(n, _)| Some(*n) != missing) {
            let mut batch = batch_bytes(10 + 2 * i64::try_from(n).expect("small"), 2, 0, 67);
            batch[15] = epoch;
            bytes.extend(batch);
        }
        file.write_all_at(&[&bytes], 0).expect("written");
        (disk, file)
    }

    /// The base offsets of the batches that a walk meets, each damaged range as the negative of where it begins.
    fn walk(file: &dyn DiskFile, known: &dyn Fn(i64) -> Option<i32>) -> Vec<i64> {
        let around = Surroundings { base_offset: 10, limit: 20, next_offset: Some(20), epoch_of: known };
        let mut scan = OrderedScan::new(file, 0, file.len().expect("known"), 10, around);
        let mut met = Vec::new();
        while let Some(step) = scan.next_step().expect("readable") {
            met.push(match step {
                Step::Batch(batch) => batch.header.base_offset,
                Step::Damage(damage) => -damage.from,
            });
        }
        met
    }

    fn epoch_of(offset: i64) -> Option<i32> {
        Some(if offset < 14 { 1 } else { 2 })
    }

    #[test]
    fn a_batch_with_a_flipped_bit_outside_its_crc_is_passed_over_and_no_other() {
        let whole = [10, 12, 14, 16, 18];
        assert_eq!(walk(&*file(None).1, &epoch_of), whole);
        // What decides where a batch stands, how long it is and what it covers, but for the CRC's range behind that.
        for at in (0..27).filter(|at| !(17..23).contains(at)) {
            for bit in 0..8 {
                for n in 0..5_u64 {
                    let (disk, file) = file(None);
                    let position = n * SIZE + at;
                    let mut byte = [0];
                    file.read_at(&mut byte, position).expect("read");
                    let position = usize::try_from(position).expect("small");
                    disk.corrupt(Path::new("/d/f"), position, &[byte[0] ^ (1 << bit)]).expect("corrupted");
                    let mut expected = whole;
                    expected[usize::try_from(n).expect("small")] *= -1;
                    let met = walk(&*file, &epoch_of);
                    // An epoch that a neighbour has could be right, and the first and the last one may be older.
                    let is_plausible = (12..16).contains(&at) && met == whole;
                    let is_next_to_another = [1, 2].contains(&n) || [0, 4].contains(&n);
                    assert!(
                        met == expected || (is_plausible && is_next_to_another),
                        "batch {n}, byte {at}, bit {bit}: {met:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_gap_that_compaction_left_is_none() {
        for missing in 0..5 {
            let left = (0..5_usize).filter(|n| *n != missing).map(|n| 10 + 2 * i64::try_from(n).expect("small"));
            assert_eq!(walk(&*file(Some(missing)).1, &epoch_of), left.collect::<Vec<_>>());
        }
    }

    #[test]
    fn epochs_that_contradict_the_checkpoint_together_are_believed() {
        assert_eq!(walk(&*file(None).1, &|_| Some(7)), [10, 12, 14, 16, 18], "it is the checkpoint that is damaged");
        assert_eq!(walk(&*file(None).1, NO_EPOCHS), [10, 12, 14, 16, 18]);
    }

    #[test]
    fn bytes_that_are_no_batch_at_the_end_are_told_of() {
        let (disk, file) = file(None);
        disk.corrupt(Path::new("/d/f"), 4 * 128, &[0xff; 128]).expect("corrupted");
        assert_eq!(walk(&*file, &epoch_of), [10, 12, 14, 16, -18]);
    }
}
