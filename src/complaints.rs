//! How often something is said aloud of somebody, an address or a user: nobody fills the log by doing it again and again.
//! Pure, and bounded.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    time::{Duration, Instant},
};

/// After this somebody may be spoken of again.
const PERIOD: Duration = Duration::from_mins(1);
/// Most who are told apart; all beyond are spoken of as one.
const TOLD_APART_MAX: usize = 1024;

/// What was said of late, by whom it was said of.
#[derive(Debug)]
pub(crate) struct Complaints<K> {
    whom: &'static str,
    lines_max: u32,
    of: HashMap<K, Said>,
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
pub(crate) struct Aside {
    whom: &'static str,
    /// Lines that were left out since the one before.
    left_out: u64,
    /// Whether what comes next is left out.
    is_last: bool,
}

impl<K: Eq + Hash> Complaints<K> {
    /// So many lines of each in one [`PERIOD`]; `whom` is what each is.
    pub(crate) fn new(whom: &'static str, lines_max: u32) -> Self {
        Self { whom, lines_max, of: HashMap::new(), of_others: None }
    }

    /// Whether another line about somebody is written now, and what belongs behind it.
    pub(crate) fn add(&mut self, of: K, now: Instant) -> Option<Aside> {
        if self.of.len() >= TOLD_APART_MAX && !self.of.contains_key(&of) {
            self.of.retain(|_, said| said.is_recent(now));
        }
        let first = || Said { since: now, lines: 0, left_out: 0 };
        let said = if self.of.len() < TOLD_APART_MAX || self.of.contains_key(&of) {
            self.of.entry(of).or_insert_with(first)
        } else {
            self.of_others.get_or_insert_with(first)
        };
        let (left_out, is_last) = said.add(self.lines_max, now)?;
        Some(Aside { whom: self.whom, left_out, is_last })
    }
}

impl Said {
    /// How many lines were left out before this one, and whether it is the last; `None` if it is left out too.
    fn add(&mut self, lines_max: u32, now: Instant) -> Option<(u64, bool)> {
        if !self.is_recent(now) {
            (self.since, self.lines) = (now, 0);
        }
        if self.lines >= lines_max {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some((std::mem::take(&mut self.left_out), self.lines == lines_max))
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
            write!(f, " (more of this {} is left out for a minute)", self.whom)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const LINES_MAX: u32 = 5;

    fn complaints() -> Complaints<IpAddr> {
        Complaints::new("address", LINES_MAX)
    }

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from(number).into()
    }

    #[test]
    fn an_address_has_its_lines_and_then_a_count() {
        let (mut complaints, now) = (complaints(), Instant::now());
        let text = |complaints: &mut Complaints<_>, now| complaints.add(address(1), now).map(|aside| aside.to_string());
        let said: Vec<_> = (0..10).map(|_| text(&mut complaints, now)).collect();
        let (plain, last) = (Some(String::new()), Some(" (more of this address is left out for a minute)".to_owned()));
        assert_eq!(said[..4], [plain.clone(), plain.clone(), plain.clone(), plain.clone()]);
        assert_eq!(said[4], last);
        assert!(said[5..].iter().all(Option::is_none));
        assert_eq!(complaints.add(address(2), now).expect("another").to_string(), "");
        let later = now + PERIOD;
        assert_eq!(text(&mut complaints, later).as_deref(), Some(" (5 lines like it were left out)"));
        assert_eq!(text(&mut complaints, later), plain);
    }

    #[test]
    fn however_many_there_are_few_are_remembered() {
        let (mut complaints, now) = (complaints(), Instant::now());
        let mut lines = 0;
        for number in 0..50_000 {
            lines += usize::from(complaints.add(address(number), now).is_some());
        }
        assert_eq!(complaints.of.len(), TOLD_APART_MAX);
        assert_eq!(lines, TOLD_APART_MAX + LINES_MAX as usize);
        let later = now + PERIOD;
        assert!(complaints.add(address(u32::MAX), later).is_some());
        assert_eq!(complaints.of.len(), 1, "what is old makes room");
    }
}
