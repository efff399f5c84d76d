//! How often it is said aloud that a connection was closed for what its client did: nobody fills the log by connecting again
//! and again. Pure, and bounded.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    time::{Duration, Instant},
};

use crate::address::network_of;

/// Lines of one address in one [`PERIOD`].
const LINES_MAX: u32 = 5;
/// After this an address may be spoken of again.
const PERIOD: Duration = Duration::from_mins(1);
/// Most addresses that are told apart; all beyond are spoken of as one.
const ADDRESSES_MAX: usize = 1024;

/// What was said of late, by address.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    of: HashMap<IpAddr, Said>,
    of_others: Option<Said>,
}

#[derive(Debug)]
struct Said {
    since: Instant,
    lines: u32,
    left_out: u64,
}

/// What goes behind a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aside {
    /// Lines that were left out since the one before.
    left_out: u64,
    /// Whether what comes next is left out.
    is_last: bool,
}

impl Complaints {
    /// Whether another line about an address is written now, and what belongs behind it.
    pub(super) fn add(&mut self, address: IpAddr, now: Instant) -> Option<Aside> {
        let address = network_of(address);
        if self.of.len() >= ADDRESSES_MAX && !self.of.contains_key(&address) {
            self.of.retain(|_, said| said.is_recent(now));
        }
        let first = || Said { since: now, lines: 0, left_out: 0 };
        let said = if self.of.len() < ADDRESSES_MAX || self.of.contains_key(&address) {
            self.of.entry(address).or_insert_with(first)
        } else {
            self.of_others.get_or_insert_with(first)
        };
        said.add(now)
    }
}

impl Said {
    fn add(&mut self, now: Instant) -> Option<Aside> {
        if !self.is_recent(now) {
            (self.since, self.lines) = (now, 0);
        }
        if self.lines >= LINES_MAX {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(Aside { left_out: std::mem::take(&mut self.left_out), is_last: self.lines == LINES_MAX })
    }

    fn is_recent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < PERIOD
    }
}

impl fmt::Display for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.left_out > 0 {
            write!(f, " ({} lines like it were left out)", self.left_out)?;
        }
        if self.is_last {
            write!(f, " (more of this address is left out for a minute)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_has_its_lines_and_then_a_count() {
        let (mut complaints, now) = (Complaints::default(), clock::monotonic());
        let text = |complaints: &mut Complaints, now| complaints.add(address("10.0.0.1"), now).map(|a| a.to_string());
        let said: Vec<_> = (0..10).map(|_| text(&mut complaints, now)).collect();
        let (plain, last) = (Some(String::new()), Some(" (more of this address is left out for a minute)".to_owned()));
        assert_eq!(said[..4], [plain.clone(), plain.clone(), plain.clone(), plain.clone()]);
        assert_eq!(said[4], last);
        assert!(said[5..].iter().all(Option::is_none));
        assert_eq!(complaints.add(address("10.0.0.2"), now), Some(Aside { left_out: 0, is_last: false }));
        let later = now + PERIOD;
        assert_eq!(text(&mut complaints, later).as_deref(), Some(" (5 lines like it were left out)"));
        assert_eq!(text(&mut complaints, later), plain);
    }

    #[test]
    fn all_addresses_of_one_network_are_one() {
        let (mut complaints, now) = (Complaints::default(), clock::monotonic());
        for (text, is_said) in [
            ("2001:db8::1", true),
            ("2001:db8::2", true),
            ("2001:db8::3:4:5:6", true),
            ("2001:db8::4", true),
            ("2001:db8::5", true),
            ("2001:db8::6", false),
            ("2001:db8:0:1::1", true),
            ("::ffff:10.0.0.1", true),
        ] {
            assert_eq!(complaints.add(address(text), now).is_some(), is_said, "{text}");
        }
        assert!(complaints.of.contains_key(&address("10.0.0.1")));
    }

    #[test]
    fn however_many_addresses_there_are_few_are_remembered() {
        let (mut complaints, now) = (Complaints::default(), clock::monotonic());
        let mut lines = 0;
        for number in 0..50_000_u32 {
            lines += usize::from(complaints.add(IpAddr::from(number.to_be_bytes()), now).is_some());
        }
        assert_eq!(complaints.of.len(), ADDRESSES_MAX);
        assert_eq!(lines, ADDRESSES_MAX + LINES_MAX as usize);
        let later = now + PERIOD;
        assert!(complaints.add(address("192.168.0.1"), later).is_some());
        assert_eq!(complaints.of.len(), 1, "what is old makes room");
    }
}
