//! How many connections there may be, and how fast new ones may come. Pure.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// How many connections may be open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// `max.connections`, or what the system has descriptors for.
    pub total: usize,
    /// Of these, how many only clients on this machine may take: for somebody who looks what is going on.
    pub local: usize,
    /// `max.connections.per.ip`.
    pub per_address: usize,
    /// `max.connections.per.ip.overrides`.
    pub of_address: HashMap<IpAddr, usize>,
    /// `listener.name.*.max.connections`.
    pub of_listener: HashMap<String, usize>,
}

/// Why there is no room for another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("max.connections={0} are open")]
    Total(usize),
    #[error("max.connections={0} are open on this listener")]
    Listener(usize),
    #[error("max.connections.per.ip={0} are open from this address")]
    Address(usize),
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        let unlimited = usize::MAX;
        let (of_address, of_listener) = (HashMap::new(), HashMap::new());
        Self { total: unlimited, local: 0, per_address: unlimited, of_address, of_listener }
    }
}

/// The open connections by what limits go by.
#[derive(Debug, Default)]
pub(super) struct Census {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
    by_listener: HashMap<String, usize>,
}

impl Census {
    /// Counts one more connection, if there is room for it.
    pub(super) fn enter(&mut self, address: IpAddr, listener: &str, limits: &ConnectionLimits) -> Result<(), Full> {
        let total = limits.total.saturating_sub(if address.is_loopback() { 0 } else { limits.local });
        if self.total >= total {
            return Err(Full::Total(total));
        }
        let of_listener = limits.of_listener.get(listener).copied().unwrap_or(usize::MAX);
        if self.by_listener.get(listener).copied().unwrap_or(0) >= of_listener {
            return Err(Full::Listener(of_listener));
        }
        let of_address = limits.of_address.get(&address).copied().unwrap_or(limits.per_address);
        if self.by_address.get(&address).copied().unwrap_or(0) >= of_address {
            return Err(Full::Address(of_address));
        }
        self.total += 1;
        *self.by_address.entry(address).or_default() += 1;
        match self.by_listener.get_mut(listener) {
            Some(count) => *count += 1,
            None => drop(self.by_listener.insert(listener.to_owned(), 1)),
        }
        Ok(())
    }

    /// Counts one less.
    pub(super) fn leave(&mut self, address: IpAddr, listener: &str) {
        self.total -= 1;
        let count = self.by_address.get_mut(&address).expect("it was counted");
        *count -= 1;
        if *count == 0 {
            self.by_address.remove(&address);
        }
        *self.by_listener.get_mut(listener).expect("it was counted") -= 1;
    }
}

/// `max.connection.creation.rate`: new connections per second, with a second's worth at once.
#[derive(Debug, Default)]
pub(super) struct CreationRate {
    /// When the connections so far are paid for.
    paid_at: Option<Instant>,
}

impl CreationRate {
    /// Notes a new connection, and returns how long the next one must wait.
    pub(super) fn add(&mut self, per_second: Option<u32>, now: Instant) -> Duration {
        let Some(per_second) = per_second.filter(|rate| *rate > 0) else {
            self.paid_at = None;
            return Duration::ZERO;
        };
        let price = Duration::from_secs(1) / per_second;
        let paid_at = self.paid_at.filter(|paid_at| *paid_at > now).unwrap_or(now) + price;
        self.paid_at = Some(paid_at);
        (paid_at + price).saturating_duration_since(now + Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::clock;

    fn address(n: u32) -> IpAddr {
        Ipv4Addr::from(n).into()
    }

    #[test]
    fn each_limit_stands_by_itself() {
        let limits = ConnectionLimits {
            total: 6,
            per_address: 2,
            of_address: HashMap::from([(address(1), 3)]),
            of_listener: HashMap::from([("A".to_owned(), 4)]),
            ..ConnectionLimits::default()
        };
        let mut census = Census::default();
        let mut enter = |n, listener| census.enter(address(n), listener, &limits);
        for n in [1, 1, 1, 2] {
            assert_eq!(enter(n, "A"), Ok(()));
        }
        assert_eq!(enter(3, "A"), Err(Full::Listener(4)));
        assert_eq!(enter(1, "B"), Err(Full::Address(3)));
        assert_eq!(enter(2, "B"), Ok(()));
        assert_eq!(enter(2, "B"), Err(Full::Address(2)));
        assert_eq!(enter(3, "B"), Ok(()));
        assert_eq!(enter(3, "B"), Err(Full::Total(6)));
        census.leave(address(2), "A");
        assert_eq!(census.enter(address(2), "A", &limits), Ok(()));
    }

    #[test]
    fn the_last_places_are_for_this_machine() {
        let limits = ConnectionLimits { total: 2, local: 1, ..ConnectionLimits::default() };
        let mut census = Census::default();
        assert_eq!(census.enter(address(1), "A", &limits), Ok(()));
        assert_eq!(census.enter(address(1), "A", &limits), Err(Full::Total(1)));
        assert_eq!(census.enter(Ipv4Addr::LOCALHOST.into(), "A", &limits), Ok(()));
        assert_eq!(census.enter(Ipv4Addr::LOCALHOST.into(), "A", &limits), Err(Full::Total(2)));
    }

    #[test]
    fn nothing_is_kept_of_addresses_that_left() {
        let mut census = Census::default();
        for n in 0..100 {
            census.enter(address(n), "A", &ConnectionLimits::default()).expect("unlimited");
            census.leave(address(n), "A");
        }
        assert!(census.by_address.is_empty());
        assert_eq!(census.total, 0);
    }

    #[test]
    fn a_seconds_worth_of_connections_may_come_at_once() {
        let (mut rate, now) = (CreationRate::default(), clock::monotonic());
        for _ in 0..9 {
            assert_eq!(rate.add(Some(10), now), Duration::ZERO);
        }
        assert_eq!(rate.add(Some(10), now), Duration::from_millis(100));
        assert_eq!(rate.add(Some(10), now + Duration::from_millis(100)), Duration::from_millis(100));
        assert_eq!(
            rate.add(Some(10), now + Duration::from_secs(9)),
            Duration::ZERO,
            "what was not used is not saved up"
        );
        assert_eq!(rate.add(None, now), Duration::ZERO);
    }
}
