//! Whether a round syncs its files one by one or the file system as a whole.
//!
//! `fdatasync(2)` costs a journal commit for each file, `syncfs(2)` about one for all of them: from a few files on it
//! wins by far. But it also waits for what other programs have written. A round that took much longer than its files
//! would have one by one shows that, and the next ones leave the file system alone.

use std::time::Duration;

/// Up to this many files are synced one by one.
const ONE_BY_ONE_MAX: usize = 2;
/// What a file is taken to cost before any was measured.
const FILE_COST_ASSUMED: Duration = Duration::from_micros(250);
/// A sync of the file system this much shorter than it would be noticed is never held against it.
const NOTICEABLE: Duration = Duration::from_millis(50);
/// How many times longer than one by one is too long.
const TOO_LONG: u32 = 4;
/// The most rounds that avoid the file system before it is tried again.
const AVOIDED_ROUNDS_MAX: u32 = 1024;

/// How a round is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// File by file.
    Files,
    /// The file system as a whole.
    Filesystem,
}

/// What earlier rounds have taught.
#[derive(Debug)]
pub(super) struct SyncPolicy {
    /// What a file costs, one by one: a moving mean.
    file_cost: Duration,
    /// Rounds that still avoid the file system.
    avoided: u32,
    /// How many they will be next time.
    next_avoided: u32,
}

impl Default for SyncPolicy {
    fn default() -> Self {
        Self { file_cost: FILE_COST_ASSUMED, avoided: 0, next_avoided: 1 }
    }
}

impl SyncPolicy {
    /// For a round with so many files and names.
    pub(super) fn choose(&mut self, files: usize, has_filesystem: bool) -> Method {
        if !has_filesystem || files <= ONE_BY_ONE_MAX {
            return Method::Files;
        }
        if self.avoided > 0 {
            self.avoided -= 1;
            return Method::Files;
        }
        Method::Filesystem
    }

    /// Learns from a round.
    pub(super) fn measured(&mut self, method: Method, files: usize, took: Duration) {
        let files = u32::try_from(files).unwrap_or(u32::MAX).max(1);
        match method {
            Method::Files => self.file_cost = (self.file_cost * 7 + took / files) / 8,
            Method::Filesystem if took > NOTICEABLE.max(self.file_cost.saturating_mul(files) * TOO_LONG) => {
                self.avoided = self.next_avoided;
                self.next_avoided = (self.next_avoided * 2).min(AVOIDED_ROUNDS_MAX);
            }
            Method::Filesystem => self.next_avoided = 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn few_files_are_synced_one_by_one() {
        let mut policy = SyncPolicy::default();
        assert_eq!(policy.choose(ONE_BY_ONE_MAX, true), Method::Files);
        assert_eq!(policy.choose(ONE_BY_ONE_MAX + 1, true), Method::Filesystem);
        assert_eq!(policy.choose(1000, false), Method::Files, "the file system does not allow it");
    }

    #[test]
    fn somebody_elses_writes_are_avoided_for_longer_and_longer() {
        let mut policy = SyncPolicy::default();
        for avoided in [1, 2, 4] {
            assert_eq!(policy.choose(10, true), Method::Filesystem);
            policy.measured(Method::Filesystem, 10, 900 * MS);
            for _ in 0..avoided {
                assert_eq!(policy.choose(10, true), Method::Files);
                policy.measured(Method::Files, 10, 2 * MS);
            }
        }
        assert_eq!(policy.choose(10, true), Method::Filesystem);
        policy.measured(Method::Filesystem, 10, MS);
        policy.measured(Method::Filesystem, 10, 900 * MS);
        policy.choose(10, true);
        assert_eq!(policy.choose(10, true), Method::Filesystem, "a quick one makes up for it");
    }

    #[test]
    fn a_slow_disk_is_nobodys_fault() {
        let mut policy = SyncPolicy::default();
        (0..50).for_each(|_| policy.measured(Method::Files, 1, 20 * MS));
        policy.measured(Method::Filesystem, 10, 300 * MS);
        assert_eq!(policy.choose(10, true), Method::Filesystem);
    }
}
