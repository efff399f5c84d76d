//! A file's bytes: those that programs see, those that a crash leaves.

use std::collections::BTreeSet;

use super::{Crash, random::Random};
use crate::clock::TimestampMs;

/// What a disk writes as a whole.
pub(super) const SECTOR: usize = 512;

#[derive(Clone, Default)]
pub(super) struct Content {
    pub(super) live: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that the next sync would write. After a sync that failed there may be others that differ: the page cache has
    /// them and takes them for written.
    dirty: BTreeSet<usize>,
    /// When it was written last.
    pub(super) modified_ms: TimestampMs,
}

impl Content {
    pub(super) fn write(&mut self, bytes: &[u8], position: usize) {
        if bytes.is_empty() {
            return;
        }
        let (old_len, end) = (self.live.len(), position + bytes.len());
        if old_len < end {
            self.live.resize(end, 0);
        }
        self.live[position..end].copy_from_slice(bytes);
        self.touch(position.min(old_len), end);
    }

    pub(super) fn set_len(&mut self, len: usize) {
        let old_len = self.live.len();
        self.live.resize(len, 0);
        self.touch(old_len.min(len), len);
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.live.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            self.keep(sector);
        }
    }

    /// Some of it is written. The rest is forgotten: the next sync has nothing to do.
    pub(super) fn fail_sync(&mut self, random: &mut Random) {
        self.tear(random);
        self.dirty.clear();
    }

    pub(super) fn drop_cached(&mut self) {
        if self.dirty.is_empty() {
            self.live.clone_from(&self.durable);
        }
    }

    pub(super) fn set_durable(&mut self) {
        self.durable.clone_from(&self.live);
        self.dirty.clear();
    }

    pub(super) fn crash(&mut self, crash: Crash, random: &mut Random) {
        match crash {
            Crash::KeepAll => return,
            Crash::LoseAll => {}
            Crash::Tear => self.tear(random),
        }
        self.live.clone_from(&self.durable);
        self.dirty.clear();
    }

    fn tear(&mut self, random: &mut Random) {
        let (least, most) = (self.durable.len().min(self.live.len()), self.durable.len().max(self.live.len()));
        let len = match random.below(3) {
            0 => self.durable.len(),
            1 => self.live.len(),
            _ => least + random.below(most - least + 1),
        };
        self.durable.resize(len, 0);
        for sector in self.dirty.clone() {
            if random.below(2) == 0 {
                self.keep(sector);
            }
        }
    }

    fn touch(&mut self, from: usize, to: usize) {
        self.dirty.extend(from / SECTOR..to.div_ceil(SECTOR));
    }

    /// Makes a sector durable as far as the file reaches.
    fn keep(&mut self, sector: usize) {
        let begin = sector * SECTOR;
        let end = (begin + SECTOR).min(self.live.len()).min(self.durable.len());
        if begin < end {
            self.durable[begin..end].copy_from_slice(&self.live[begin..end]);
        }
    }
}
