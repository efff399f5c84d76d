//! Failed authentications of late, by address and by user: each one more makes the answer to the next come later, so that
//! guessing goes slowly however many connections it uses. Pure, and bounded.
//!
//! Only failures wait. Who knows the password gets in at once, whatever others tried under the same name.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    time::{Duration, Instant},
};

/// Failures are forgotten when this passed without another one.
const MEMORY: Duration = Duration::from_mins(5);
/// Most addresses, and most users, that are remembered.
const REMEMBERED_MAX: usize = 10_000;
/// The longest wait.
const DELAY_MAX: Duration = Duration::from_secs(5);

/// Who failed of late.
#[derive(Debug, Default)]
pub struct Failures {
    addresses: Counts<IpAddr>,
    users: Counts<String>,
}

#[derive(Debug)]
struct Counts<K> {
    of: HashMap<K, Count>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    failures: u32,
    last: Instant,
}

impl Failures {
    /// Notes a failure and returns how long its answer is held back: `base` for the first one, twice as long for each
    /// that came before.
    pub fn add(&mut self, address: IpAddr, user: Option<&str>, base: Duration, now: Instant) -> Duration {
        let by_address = self.addresses.add(address, now);
        let by_user = user.map_or(0, |user| self.users.add(user.to_owned(), now));
        let before = by_address.max(by_user).saturating_sub(1);
        base.saturating_mul(1 << before.min(10)).min(DELAY_MAX.max(base))
    }
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self { of: HashMap::new() }
    }
}

impl<K: Eq + Hash> Counts<K> {
    /// How many there were of late, with this one.
    fn add(&mut self, key: K, now: Instant) -> u32 {
        if self.of.len() >= REMEMBERED_MAX {
            self.of.retain(|_, count| count.is_recent(now));
        }
        // Where even the recent ones are too many, an attacker has as many addresses; all begin anew.
        if self.of.len() >= REMEMBERED_MAX {
            self.of.clear();
        }
        let count = self.of.entry(key).or_insert(Count { failures: 0, last: now });
        if !count.is_recent(now) {
            count.failures = 0;
        }
        *count = Count { failures: count.failures.saturating_add(1), last: now };
        count.failures
    }
}

impl Count {
    fn is_recent(self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) < MEMORY
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::clock;

    const BASE: Duration = Duration::from_millis(100);

    fn address(n: u32) -> IpAddr {
        Ipv4Addr::from(n).into()
    }

    #[test]
    fn each_failure_of_an_address_waits_longer_up_to_a_bound() {
        let (mut failures, now) = (Failures::default(), clock::monotonic());
        let waits: Vec<_> = (0..8).map(|_| failures.add(address(1), None, BASE, now).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(failures.add(address(2), None, BASE, now), BASE, "another one begins anew");
        assert_eq!(failures.add(address(1), None, BASE, now + MEMORY), BASE, "so does everybody in time");
    }

    #[test]
    fn a_user_is_guessed_slowly_from_many_addresses_too() {
        let (mut failures, now) = (Failures::default(), clock::monotonic());
        for n in 0..5 {
            failures.add(address(n), Some("alice"), BASE, now);
        }
        assert_eq!(failures.add(address(9), Some("alice"), BASE, now).as_millis(), 3200);
        assert_eq!(failures.add(address(10), Some("bob"), BASE, now), BASE);
    }

    #[test]
    fn no_delay_stays_none_and_a_long_one_as_it_is() {
        let (mut failures, now) = (Failures::default(), clock::monotonic());
        for _ in 0..3 {
            assert_eq!(failures.add(address(1), None, Duration::ZERO, now), Duration::ZERO);
        }
        let long = Duration::from_secs(8);
        assert_eq!(failures.add(address(1), None, long, now), long);
    }

    #[test]
    fn not_more_are_remembered_than_there_is_room_for() {
        let (mut failures, now) = (Failures::default(), clock::monotonic());
        for n in 0..25_000 {
            failures.add(address(n), Some(&n.to_string()), BASE, now);
        }
        assert!(failures.addresses.of.len() <= REMEMBERED_MAX && failures.users.of.len() <= REMEMBERED_MAX);
    }
}
