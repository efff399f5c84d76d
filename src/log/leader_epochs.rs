//! Which leader epoch began at which offset: `leader-epoch-checkpoint`, a [checkpoint](super::checkpoints) with lines
//! `epoch start-offset`.
//!
//! Invariant: both numbers grow from entry to entry. What a crash lost is found again in the headers of the batches.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::{io, path::Path};

use super::{
    checkpoints::{format_entries, read_entries},
    disk::{Disk, Replacement},
};

/// The file's name.
pub const FILE_NAME: &str = "leader-epoch-checkpoint";

/// A leader epoch and the first offset that it may have appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    /// The epoch.
    pub epoch: i32,
    /// Its first offset.
    pub start_offset: i64,
}

/// The epochs of a partition, and whether the file has them yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderEpochs {
    entries: Vec<EpochEntry>,
    /// Where the log starts. The entries go further back until that is on disk: a crash may take it back.
    log_start: i64,
    /// What the file has.
    written: Vec<EpochEntry>,
}

impl LeaderEpochs {
    /// Reads the file.
    pub fn read(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let written = read_entries(disk, path, parse)?;
        let mut epochs = Self::default();
        for entry in &written {
            epochs.assign(entry.epoch, entry.start_offset);
        }
        Ok(Self { written, ..epochs })
    }

    /// Whether the file does not have them yet.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.entries != self.written
    }

    /// Writes the new content of the file, if it does not have the epochs yet. It is for the caller to sync and install.
    pub fn write_if_changed(&mut self, disk: &dyn Disk, path: &Path) -> io::Result<Option<Replacement>> {
        if !self.is_changed() {
            return Ok(None);
        }
        let lines = self.entries.iter().map(|entry| format!("{} {}", entry.epoch, entry.start_offset));
        let replacement = Replacement::write(disk, path, format_entries(lines).as_bytes())?;
        self.written.clone_from(&self.entries);
        Ok(Some(replacement))
    }

    /// Notes that `epoch` begins at `start_offset`. Entries that contradict it go.
    pub fn assign(&mut self, epoch: i32, start_offset: i64) {
        if epoch < 0 || start_offset < 0 {
            return;
        }
        if self.latest().is_some_and(|latest| latest.epoch == epoch && latest.start_offset <= start_offset) {
            return;
        }
        self.entries.retain(|entry| entry.epoch < epoch && entry.start_offset < start_offset);
        self.entries.push(EpochEntry { epoch, start_offset });
    }

    /// Notes that `epoch` begins at `start_offset`, if it is later than all that are known.
    pub fn assign_later(&mut self, epoch: i32, start_offset: i64) {
        if self.latest().is_none_or(|latest| latest.epoch < epoch) {
            self.assign(epoch, start_offset);
        }
    }

    /// The entry of the current epoch.
    #[must_use]
    pub fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    /// The oldest entry.
    #[must_use]
    pub fn earliest(&self) -> Option<EpochEntry> {
        let first = self.begun()?;
        Some(EpochEntry { start_offset: first.start_offset.max(self.log_start), ..first })
    }

    /// The epoch that the log starts in, or the first.
    fn begun(&self) -> Option<EpochEntry> {
        let begun = self.entries.partition_point(|entry| entry.start_offset <= self.log_start);
        self.entries.get(begun.saturating_sub(1)).copied()
    }

    /// The epoch that appended `offset`.
    #[must_use]
    pub fn epoch_for(&self, offset: i64) -> Option<i32> {
        let after = self.entries.partition_point(|entry| entry.start_offset <= offset);
        self.entries.get(after.checked_sub(1)?).map(|entry| entry.epoch)
    }

    /// Where the largest epoch up to `epoch` ended, for OffsetForLeaderEpoch. `None` for an epoch that is not known
    /// yet.
    #[must_use]
    pub fn end_offset_for(&self, epoch: i32, log_end: i64) -> Option<EpochEnd> {
        let (earliest, latest) = (self.earliest()?, self.latest()?);
        if epoch == latest.epoch {
            return Some(EpochEnd { epoch, end_offset: log_end });
        }
        if epoch < earliest.epoch {
            // It has been deleted with its records: its end is where the known ones start.
            return (epoch >= 0).then_some(EpochEnd { epoch, end_offset: earliest.start_offset });
        }
        let higher = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let end_offset = self.entries.get(higher)?.start_offset;
        let floor = higher.checked_sub(1).and_then(|floor| self.entries.get(floor));
        let epoch = floor.map_or(epoch, |floor| floor.epoch);
        (epoch >= 0).then_some(EpochEnd { epoch, end_offset })
    }

    /// Forgets epochs that begin at `end_offset` or later.
    pub fn truncate_from_end(&mut self, end_offset: i64) {
        let kept = self.entries.partition_point(|entry| entry.start_offset < end_offset);
        self.entries.truncate(kept);
    }

    /// The log starts at `start_offset` from now on: epochs that ended before it are not told any more, and the one that it
    /// lies in begins there.
    pub fn truncate_from_start(&mut self, start_offset: i64) {
        self.log_start = self.log_start.max(start_offset);
    }

    /// Forgets for good what [`LeaderEpochs::truncate_from_start`] hides, up to a start offset that no crash takes back.
    pub fn forget_before(&mut self, start_offset: i64) {
        let begun = self.entries.partition_point(|entry| entry.start_offset <= start_offset);
        let Some(current) = begun.checked_sub(1) else { return };
        self.entries.drain(..current);
        if let Some(first) = self.entries.first_mut() {
            first.start_offset = start_offset;
        }
    }
}

/// Where an epoch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch: the one asked for, or the largest before it.
    pub epoch: i32,
    /// The first offset that is not its.
    pub end_offset: i64,
}

/// Reads a line of the file.
pub fn parse(line: &str) -> Option<EpochEntry> {
    let mut words = line.split_whitespace();
    let entry = EpochEntry { epoch: words.next()?.parse().ok()?, start_offset: words.next()?.parse().ok()? };
    words.next().is_none().then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::disk::{read_file, sim::SimDisk};

    fn epochs(entries: &[(i32, i64)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        entries.iter().for_each(|(epoch, start)| epochs.assign(*epoch, *start));
        epochs
    }

    fn entries(epochs: &LeaderEpochs) -> Vec<(i32, i64)> {
        epochs.entries.iter().map(|entry| (entry.epoch, entry.start_offset)).collect()
    }

    #[test]
    fn they_survive_their_file() {
        let disk = SimDisk::new(1);
        disk.create_dir(Path::new("/d")).expect("created");
        let path = Path::new("/d/leader-epoch-checkpoint");
        let mut written = epochs(&[(0, 0), (4, 17)]);
        let replacement = written.write_if_changed(&disk, path).expect("written").expect("changed");
        replacement.install(&disk).expect("renamed");
        assert!(written.write_if_changed(&disk, path).expect("nothing to do").is_none());
        assert_eq!(read_file(&disk, path).expect("read"), b"0\n2\n0 0\n4 17\n");
        assert_eq!(LeaderEpochs::read(&disk, path).expect("read"), written);
    }

    #[test]
    fn contradicting_entries_go() {
        assert_eq!(entries(&epochs(&[(1, 0), (2, 10), (2, 12)])), [(1, 0), (2, 10)]);
        assert_eq!(entries(&epochs(&[(1, 0), (2, 10), (3, 10)])), [(1, 0), (3, 10)]);
        assert_eq!(entries(&epochs(&[(1, 0), (5, 10), (3, 20)])), [(1, 0), (3, 20)]);
        assert_eq!(entries(&epochs(&[(1, 0), (5, 10), (6, 4)])), [(1, 0), (6, 4)]);
        assert_eq!(entries(&epochs(&[(-1, 0), (1, -1)])), []);
    }

    #[test]
    fn end_offsets_are_kafkas() {
        let epochs = epochs(&[(2, 5), (4, 10), (7, 20)]);
        let end = |epoch| epochs.end_offset_for(epoch, 33).map(|end| (end.epoch, end.end_offset));
        assert_eq!(end(7), Some((7, 33)));
        assert_eq!(end(8), None);
        assert_eq!(end(4), Some((4, 20)));
        assert_eq!(end(5), Some((4, 20)));
        assert_eq!(end(2), Some((2, 10)));
        assert_eq!(end(1), Some((1, 5)));
        assert_eq!(end(-1), None);
        assert_eq!(LeaderEpochs::default().end_offset_for(0, 33), None);
    }

    #[test]
    fn offsets_have_their_epoch() {
        let epochs = epochs(&[(2, 5), (4, 10)]);
        assert_eq!(
            [4, 5, 9, 10, 99].map(|offset| epochs.epoch_for(offset)),
            [None, Some(2), Some(2), Some(4), Some(4)]
        );
    }

    #[test]
    fn truncation_keeps_what_still_has_records() {
        let whole = [(2, 5), (4, 10), (7, 20)];
        let cut = |f: &dyn Fn(&mut LeaderEpochs)| {
            let mut epochs = epochs(&whole);
            f(&mut epochs);
            entries(&epochs)
        };
        assert_eq!(cut(&|epochs| epochs.truncate_from_end(20)), [(2, 5), (4, 10)]);
        assert_eq!(cut(&|epochs| epochs.truncate_from_end(21)), whole);
        assert_eq!(cut(&|epochs| epochs.forget_before(12)), [(4, 12), (7, 20)]);
        assert_eq!(cut(&|epochs| epochs.forget_before(5)), whole);
        assert_eq!(cut(&|epochs| epochs.forget_before(4)), whole);
        assert_eq!(cut(&|epochs| epochs.forget_before(20)), [(7, 20)]);
    }

    #[test]
    fn what_lies_before_the_start_is_hidden_before_it_is_forgotten() {
        for log_start in [4, 5, 7, 10, 12, 20, 30] {
            let mut hidden = epochs(&[(2, 5), (4, 10), (7, 20)]);
            let mut forgotten = hidden.clone();
            hidden.truncate_from_start(log_start);
            forgotten.forget_before(log_start);
            assert_eq!(entries(&hidden), [(2, 5), (4, 10), (7, 20)]);
            assert_eq!(hidden.earliest(), forgotten.earliest());
            for epoch in -1..9 {
                assert_eq!(
                    hidden.end_offset_for(epoch, 33),
                    forgotten.end_offset_for(epoch, 33),
                    "{log_start} {epoch}"
                );
            }
        }
    }
}
