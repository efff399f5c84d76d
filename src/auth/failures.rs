//! Failed authentications of late, by address and by user, and what that costs the next attempt: guessing goes slowly however
//! many connections it uses. Pure, and bounded: names are kept as hashes.
//!
//! After a failure the answer comes later with each one of late. An address with several of them waits before it is even
//! listened to, and not more than a few of its attempts wait at a time. Who knows a password and comes from elsewhere gets
//! in at once, whatever others tried under the same name.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    time::{Duration, Instant},
};

use crate::address::network_of;

/// Failures are forgotten when this passed without another one.
const MEMORY: Duration = Duration::from_mins(5);
/// Most addresses, and most users, that are remembered.
const REMEMBERED_MAX: usize = 10_000;
/// The longest wait: clients that give up after five seconds are still told why.
const DELAY_MAX: Duration = Duration::from_secs(2);
/// Failures of an address that are not held against its next attempt: people mistype, and services start with old secrets.
const UNHELD_FAILURES: u32 = 5;
/// Attempts of an address that may wait at a time.
const HELD_MAX: u32 = 100;
/// The longest that an attempt waits before it is listened to: others may come from the same address.
const HOLD_MAX: Duration = Duration::from_secs(1);

/// Who failed of late.
#[derive(Debug, Default)]
pub struct Failures {
    addresses: Counts<IpAddr>,
    users: Counts<u64>,
    hasher: RandomState,
    /// How many attempts of an address wait.
    held: HashMap<IpAddr, u32>,
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

/// What an attempt meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It is looked at.
    Now,
    /// It is looked at after this; [`Failures::release`] must follow.
    Held(Duration),
    /// It is not looked at: too many of its address wait already.
    Refused,
}

impl Failures {
    /// What comes of an attempt from this address.
    pub fn attempt(&mut self, address: IpAddr, base: Duration, now: Instant) -> Attempt {
        let address = network_of(address);
        let failures = self.addresses.recent(&address, now);
        let delay = delay(failures.saturating_sub(UNHELD_FAILURES), base).min(HOLD_MAX);
        if failures <= UNHELD_FAILURES || delay.is_zero() {
            return Attempt::Now;
        }
        let held = self.held.entry(address).or_default();
        if *held >= HELD_MAX {
            return Attempt::Refused;
        }
        *held += 1;
        Attempt::Held(delay)
    }

    /// An attempt that was held is over.
    pub fn release(&mut self, address: IpAddr) {
        let address = network_of(address);
        if let Some(held) = self.held.get_mut(&address) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&address);
            }
        }
    }

    /// Notes a failure and returns how long its answer is held back: `base` for the first one, twice as long for each
    /// that came before.
    pub fn add(&mut self, address: IpAddr, user: Option<&str>, base: Duration, now: Instant) -> Duration {
        let by_address = self.addresses.add(network_of(address), now);
        let by_user = user.map_or(0, |user| self.users.add(self.hasher.hash_one(user), now));
        delay(by_address.max(by_user), base)
    }
}

/// The wait of the n-th failure.
fn delay(failures: u32, base: Duration) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(before) => base.saturating_mul(1 << before.min(10)).min(DELAY_MAX.max(base)),
    }
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self { of: HashMap::new() }
    }
}

impl<K: Clone + Eq + Hash> Counts<K> {
    /// How many there were of late.
    fn recent(&self, key: &K, now: Instant) -> u32 {
        self.of.get(key).filter(|count| count.is_recent(now)).map_or(0, |count| count.failures)
    }

    /// How many there were of late, with this one.
    fn add(&mut self, key: K, now: Instant) -> u32 {
        if self.of.len() >= REMEMBERED_MAX && !self.of.contains_key(&key) {
            self.make_room(now);
        }
        let failures = self.recent(&key, now).saturating_add(1);
        self.of.insert(key, Count { failures, last: now });
        failures
    }

    /// Forgets what is old, or else half of those who failed least: who fails most stays remembered.
    fn make_room(&mut self, now: Instant) {
        self.of.retain(|_, count| count.is_recent(now));
        if self.of.len() < REMEMBERED_MAX {
            return;
        }
        let mut by_weight: Vec<(u32, Instant, K)> =
            self.of.iter().map(|(key, count)| (count.failures, count.last, key.clone())).collect();
        by_weight.sort_by_key(|(failures, last, _)| (*failures, *last));
        for (_, _, key) in by_weight.into_iter().take(REMEMBERED_MAX / 2) {
            self.of.remove(&key);
        }
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
        assert_eq!(waits, [100, 200, 400, 800, 1600, 2000, 2000, 2000]);
        assert_eq!(failures.add(address(2), None, BASE, now), BASE, "another one begins anew");
        assert_eq!(failures.add(address(1), None, BASE, now + MEMORY), BASE, "so does everybody in time");
    }

    #[test]
    fn a_user_is_guessed_slowly_from_many_addresses_too() {
        let (mut failures, now) = (Failures::default(), clock::monotonic());
        for n in 0..5 {
            failures.add(address(n), Some("alice"), BASE, now);
        }
        assert_eq!(failures.add(address(9), Some("alice"), BASE, now).as_millis(), 2000);
        assert_eq!(failures.add(address(10), Some("bob"), BASE, now), BASE);
    }

    #[test]
    fn no_delay_stays_none_and_a_long_one_as_it_is() {
        let (mut failures, now) = (Failures::default(), clock::monotonic());
        for _ in 0..30 {
            assert_eq!(failures.add(address(1), None, Duration::ZERO, now), Duration::ZERO);
            assert_eq!(failures.attempt(address(1), Duration::ZERO, now), Attempt::Now);
        }
        let long = Duration::from_secs(8);
        assert_eq!(failures.add(address(1), None, long, now), long);
    }

    #[test]
    fn an_address_that_guesses_waits_before_it_is_listened_to() {
        let (mut failures, now) = (Failures::default(), clock::monotonic());
        for _ in 0..UNHELD_FAILURES {
            assert_eq!(failures.attempt(address(1), BASE, now), Attempt::Now);
            failures.add(address(1), Some("alice"), BASE, now);
        }
        assert_eq!(failures.attempt(address(1), BASE, now), Attempt::Now);
        failures.add(address(1), Some("alice"), BASE, now);
        assert_eq!(failures.attempt(address(1), BASE, now), Attempt::Held(BASE));
        failures.add(address(1), Some("alice"), BASE, now);
        for _ in 1..HELD_MAX {
            assert_eq!(failures.attempt(address(1), BASE, now), Attempt::Held(2 * BASE));
        }
        assert_eq!(failures.attempt(address(1), BASE, now), Attempt::Refused);
        assert_eq!(failures.attempt(address(2), BASE, now), Attempt::Now, "alice may come from elsewhere");
        for _ in 0..HELD_MAX {
            failures.release(address(1));
        }
        assert!(failures.held.is_empty());
        assert_eq!(failures.attempt(address(1), BASE, now + MEMORY), Attempt::Now);
    }

    #[test]
    fn one_network_of_ipv6_is_one_address() {
        let (mut failures, now) = (Failures::default(), clock::monotonic());
        let of = |text: &str| text.parse::<IpAddr>().expect("an address");
        failures.add(of("2001:db8::1"), None, BASE, now);
        assert_eq!(failures.add(of("2001:db8::ffff:2"), None, BASE, now), 2 * BASE);
        assert_eq!(failures.add(of("2001:db8:0:1::1"), None, BASE, now), BASE);
    }

    #[test]
    fn not_more_are_remembered_than_there_is_room_for_and_the_worst_are() {
        let (mut failures, now) = (Failures::default(), clock::monotonic());
        for _ in 0..4 {
            failures.add(address(1), Some("alice"), BASE, now);
        }
        for n in 10..25_000 {
            failures.add(address(n), Some(&n.to_string()), BASE, now);
        }
        assert!(failures.addresses.of.len() <= REMEMBERED_MAX && failures.users.of.len() <= REMEMBERED_MAX);
        assert_eq!(failures.add(address(1), Some("alice"), BASE, now).as_millis(), 1600);
    }
}
