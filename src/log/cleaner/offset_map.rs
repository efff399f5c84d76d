//! The latest offset of each key, in a table of bounded size.
//!
//! A key is stood for by 128 bits of two keyed hashes (SipHash), whose keys are drawn at random for each table: two keys
//! that share all of them, and would be taken for one, cannot be made on purpose, and do not happen by chance. Kafka's
//! `SkimpyOffsetMap` has an MD5 there.

use std::hash::{BuildHasher, RandomState};

/// Two hashes, and the offset plus one: 0 is a slot that is free.
type Slot = [u64; 3];

/// Bytes of a slot.
const SLOT_SIZE: usize = size_of::<Slot>();

/// The table.
pub(super) struct OffsetMap {
    slots: Vec<Slot>,
    used: usize,
    used_max: usize,
    hashers: [RandomState; 2],
}

impl OffsetMap {
    /// A table for `keys` keys, of which only a part `load_factor` is filled, or for less if that would need more than
    /// `bytes`.
    #[must_use]
    pub(super) fn new(bytes: usize, load_factor: f64, keys: u64) -> Self {
        let slots = slots_for(keys, load_factor).min(bytes / SLOT_SIZE);
        Self {
            slots: vec![[0; 3]; slots],
            used: 0,
            used_max: part_of(slots, load_factor),
            hashers: [RandomState::new(), RandomState::new()],
        }
    }

    /// Notes that a record with this key stands at `offset`, which is above all before. `false` if there is no room for
    /// another key.
    #[must_use]
    pub(super) fn put(&mut self, key: &[u8], offset: i64) -> bool {
        let hashes = self.hashes(key);
        let at = self.find(hashes);
        let Some(slot) = at.and_then(|at| self.slots.get_mut(at)) else { return false };
        if slot[2] == 0 {
            if self.used == self.used_max {
                return false;
            }
            self.used += 1;
        }
        *slot = [hashes[0], hashes[1], offset.cast_unsigned() + 1];
        true
    }

    /// The greatest offset that was noted for the key.
    #[must_use]
    pub(super) fn get(&self, key: &[u8]) -> Option<i64> {
        let slot = self.slots[self.find(self.hashes(key))?];
        Some(slot[2].checked_sub(1)?.cast_signed())
    }

    /// How many keys are in it.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.used
    }

    fn hashes(&self, key: &[u8]) -> [u64; 2] {
        [self.hashers[0].hash_one(key), self.hashers[1].hash_one(key)]
    }

    /// The slot that has these hashes, or the free one where they belong.
    fn find(&self, hashes: [u64; 2]) -> Option<usize> {
        let len = self.slots.len();
        let begin = scale(hashes[0], len);
        (begin..len).chain(0..begin).find(|at| {
            let slot = &self.slots[*at];
            slot[2] == 0 || slot[..2] == hashes
        })
    }
}

/// A place below `len` that is as good a hash as the 64 bits are.
fn scale(hash: u64, len: usize) -> usize {
    let place = (u128::from(hash) * len as u128) >> 64;
    usize::try_from(place).expect("less than len")
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of slots"
)]
fn part_of(slots: usize, load_factor: f64) -> usize {
    ((slots as f64 * load_factor) as usize).min(slots)
}

/// How many slots there have to be for so many keys.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a little more"
)]
fn slots_for(keys: u64, load_factor: f64) -> usize {
    // A number that is too large is cut to the greatest.
    ((keys as f64 / load_factor) as usize).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_offset_of_each_key_is_found() {
        let mut map = OffsetMap::new(10_000 * SLOT_SIZE, 0.9, u64::MAX);
        for offset in 0..20_000_i64 {
            assert!(map.put(&(offset % 7_000).to_be_bytes(), offset), "{offset}");
        }
        assert_eq!(map.len(), 7_000);
        for key in 0..7_000_i64 {
            let latest = if key < 6_000 { key + 14_000 } else { key + 7_000 };
            assert_eq!(map.get(&key.to_be_bytes()), Some(latest));
        }
        assert_eq!(map.get(b"another"), None);
        assert!(map.put(b"", i64::MAX) && map.get(b"") == Some(i64::MAX));
    }

    #[test]
    fn a_full_map_takes_no_other_key() {
        let mut map = OffsetMap::new(10 * SLOT_SIZE, 0.5, u64::MAX);
        let taken = (0..10_u8).filter(|key| map.put(&[*key], i64::from(*key))).count();
        assert_eq!(taken, 5);
        assert!(map.put(&[0], 77), "a key that it has");
        assert_eq!((map.get(&[0]), map.get(&[9])), (Some(77), None));
    }

    #[test]
    fn a_map_is_as_large_as_its_keys_ask_for() {
        let slots = |keys| OffsetMap::new(1_000_000, 0.9, keys).slots.len();
        assert_eq!(slots(u64::MAX), 1_000_000 / SLOT_SIZE);
        assert!((100..120).contains(&slots(100)) && part_of(slots(100), 0.9) >= 100);
        let mut least = OffsetMap::new(SLOT_SIZE, 1.0, 0);
        assert!(least.put(b"k", 0) && !least.put(b"l", 1));
        assert_eq!(least.get(b"l"), None, "the search ends in a map without a free slot");
    }
}
