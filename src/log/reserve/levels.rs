//! How much is kept back, in numbers. No I/O.

use crate::log::disk::Room;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Clients are refused below so many free bytes, or one percent of the file system, whichever is less.
const CLIENTS_BYTES_MAX: u64 = 256 * MIB;
/// The same in files and directories.
const CLIENTS_INODES_MAX: u64 = 256;
const PERCENT: u64 = 100;
/// What is held for the broker's own writes is so much, or a thousandth of the file system, whichever is less.
const OWN_BYTES_MAX: u64 = 8 * MIB;
const PERMILLE: u64 = 1000;
/// But not less than a stop or a start writes: each partition's producers, leader epochs and index entries take a block
/// each, and its lines in the checkpoints a part of one.
const OWN_BYTES_MIN: u64 = 64 * KIB;
const OWN_BYTES_PER_PARTITION: u64 = 16 * KIB;
/// Files are held too, for each is an inode: those of the checkpoints, of a metadata log that rolls, of a topic whose
/// creation is taken back. They are no more than a tenth.
const OWN_INODES_MAX: u64 = 16;
const TENTH: u64 = 10;
/// Clients are served again when there is an eighth more than what they were refused for, so that they are not refused
/// again at once.
const MARGIN: u64 = 8;

/// What is kept back on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Levels {
    /// Free bytes that clients leave alone.
    pub(super) bytes: u64,
    /// Free inodes that clients leave alone.
    pub(super) inodes: u64,
    /// Bytes held for the broker's own writes.
    pub(super) own_bytes: u64,
    /// Files that hold an inode each, one of them with these bytes.
    pub(super) own_inodes: u64,
}

impl Levels {
    /// For a file system with this room, and so many partitions on it.
    pub(super) fn new(room: &Room, partitions: usize) -> Self {
        let bytes = CLIENTS_BYTES_MAX.min(room.total_bytes / PERCENT);
        let inodes = room.inodes.map_or(0, |inodes| CLIENTS_INODES_MAX.min(inodes.total / PERCENT));
        let needed = OWN_BYTES_MIN + OWN_BYTES_PER_PARTITION.saturating_mul(partitions as u64);
        let own_bytes = OWN_BYTES_MAX.min(room.total_bytes / PERMILLE).max(needed).min(bytes.max(OWN_BYTES_MIN));
        let own_inodes = room.inodes.map_or(1, |inodes| OWN_INODES_MAX.min(inodes.total / TENTH).max(1));
        Self { bytes, inodes, own_bytes, own_inodes }
    }

    /// Bytes that clients may write. `None` where there are not even inodes for them.
    pub(super) fn above(&self, room: &Room) -> Option<u64> {
        let has_inodes = room.inodes.is_none_or(|inodes| inodes.free >= self.inodes.max(1));
        if has_inodes { room.free_bytes.checked_sub(self.bytes) } else { None }
    }

    /// Whether there is enough to serve clients again, after `wanted` more bytes.
    pub(super) fn is_enough(&self, room: &Room, wanted: u64) -> bool {
        self.is_enough_after(room, wanted, 0)
    }

    /// The same after files of `wanted` bytes were created.
    pub(super) fn is_enough_after(&self, room: &Room, wanted: u64, files: u64) -> bool {
        let inodes = self.inodes + (self.inodes / MARGIN).max(1) + files;
        let has_inodes = room.inodes.is_none_or(|found| found.free >= inodes);
        has_inodes && room.free_bytes >= self.bytes.saturating_add(self.bytes / MARGIN).saturating_add(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::disk::Inodes;

    const GIB: u64 = 1024 * MIB;

    fn room(free_bytes: u64, total_bytes: u64) -> Room {
        Room { free_bytes, total_bytes, inodes: None }
    }

    fn with_inodes(free: u64, total: u64) -> Room {
        Room { inodes: Some(Inodes { free, total }), ..room(GIB, GIB) }
    }

    #[test]
    fn a_large_file_system_keeps_back_fixed_amounts_and_a_small_one_its_share() {
        let levels = |total, partitions| {
            let levels = Levels::new(&room(0, total), partitions);
            (levels.bytes, levels.own_bytes)
        };
        assert_eq!(levels(1024 * GIB, 10), (256 * MIB, 8 * MIB));
        assert_eq!(levels(1024 * GIB, 2000), (256 * MIB, 64 * KIB + 2000 * 16 * KIB));
        assert_eq!(levels(1024 * GIB, 1_000_000), (256 * MIB, 256 * MIB), "never more than clients leave");
        assert_eq!(levels(1000 * MIB, 10), (10 * MIB, MIB));
        assert_eq!(levels(100 * MIB, 10), (MIB, 224 * KIB));
        assert_eq!(levels(MIB, 10), (MIB / 100, 64 * KIB), "a checkpoint has to fit");
        let inodes = |total| {
            let levels = Levels::new(&with_inodes(0, total), 10);
            (levels.inodes, levels.own_inodes)
        };
        assert_eq!([inodes(1_000_000), inodes(1000), inodes(20), inodes(5)], [(256, 16), (10, 16), (0, 2), (0, 1)]);
        assert_eq!(Levels::new(&room(0, GIB), 10).own_inodes, 1, "they are not counted here");
    }

    #[test]
    fn clients_may_write_what_is_above() {
        let levels = Levels::new(&room(0, 1000 * MIB), 1);
        assert_eq!(levels.above(&room(15 * MIB, 1000 * MIB)), Some(5 * MIB));
        assert_eq!(levels.above(&room(10 * MIB, 1000 * MIB)), Some(0));
        assert_eq!(levels.above(&room(10 * MIB - 1, 1000 * MIB)), None);
        let levels = Levels::new(&with_inodes(0, 1000), 1);
        assert!(levels.above(&with_inodes(10, 1000)).is_some() && levels.above(&with_inodes(9, 1000)).is_none());
        let levels = Levels::new(&with_inodes(0, 20), 1);
        assert!(levels.above(&with_inodes(1, 20)).is_some() && levels.above(&with_inodes(0, 20)).is_none());
    }

    #[test]
    fn they_are_served_again_when_there_is_more() {
        let levels = Levels::new(&room(0, 800 * MIB), 1);
        let at = |free, wanted| levels.is_enough(&room(free, 800 * MIB), wanted);
        assert!(!at(8 * MIB, 0) && !at(9 * MIB - 1, 0) && at(9 * MIB, 0));
        assert!(!at(10 * MIB, 2 * MIB) && at(11 * MIB, 2 * MIB), "a batch that did not fit fits");
        let levels = Levels::new(&with_inodes(0, 1600), 1);
        assert!(!levels.is_enough(&with_inodes(17, 1600), 0) && levels.is_enough(&with_inodes(18, 1600), 0));
        let levels = Levels::new(&with_inodes(0, 20), 1);
        assert!(!levels.is_enough(&with_inodes(0, 20), 0) && levels.is_enough(&with_inodes(1, 20), 0));
    }
}
