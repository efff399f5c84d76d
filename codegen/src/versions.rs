//! A contiguous range of message versions, as the schemas write it: `none`, `3`, `0-5` or `2+`.

use std::{fmt, str::FromStr};

/// A range of versions, possibly empty, possibly open-ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Versions(Option<(i16, i16)>);

/// The upper end of an open range.
const OPEN: i16 = i16::MAX;

impl Versions {
    /// No version.
    pub const NONE: Self = Self(None);
    /// Every version.
    pub const ALL: Self = Self(Some((0, OPEN)));

    /// From `lowest` to `highest`, both included; empty where `lowest` is above.
    #[must_use]
    pub fn new(lowest: i16, highest: i16) -> Self {
        Self((lowest <= highest).then_some((lowest, highest)))
    }

    /// From `lowest` on.
    #[must_use]
    pub fn from(lowest: i16) -> Self {
        Self::new(lowest, OPEN)
    }

    /// Both ends, unless the range is empty.
    #[must_use]
    pub fn ends(self) -> Option<(i16, i16)> {
        self.0
    }

    /// Whether it holds no version.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_none()
    }

    /// Whether it has no upper end.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self.0, Some((_, OPEN)))
    }

    /// Whether `version` is in it.
    #[must_use]
    pub fn contains(self, version: i16) -> bool {
        self.0.is_some_and(|(lowest, highest)| (lowest..=highest).contains(&version))
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub fn contains_all(self, other: Self) -> bool {
        self.intersect(other) == other
    }

    /// What both hold.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some((a, b)), Some((c, d))) => Self::new(a.max(c), b.min(d)),
            _ => Self::NONE,
        }
    }

    /// What either holds; `None` where that has a gap.
    #[must_use]
    pub fn union(self, other: Self) -> Option<Self> {
        match (self.0, other.0) {
            (None, _) => Some(other),
            (_, None) => Some(self),
            (Some((a, b)), Some((c, d))) => {
                let gap = i32::from(a.max(c)) - i32::from(b.min(d)) > 1;
                (!gap).then(|| Self::new(a.min(c), b.max(d)))
            }
        }
    }

    /// Every version of a closed range; of an open one, only those up to `i16::MAX`.
    pub fn iter(self) -> impl Iterator<Item = i16> {
        self.0.into_iter().flat_map(|(lowest, highest)| lowest..=highest)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => write!(f, "none"),
            Some((lowest, OPEN)) => write!(f, "{lowest}+"),
            Some((lowest, highest)) if lowest == highest => write!(f, "{lowest}"),
            Some((lowest, highest)) => write!(f, "{lowest}-{highest}"),
        }
    }
}

impl FromStr for Versions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| match part.trim().parse::<i16>() {
            Ok(version) if version >= 0 => Ok(version),
            _ => Err(format!("bad version range {text:?}: expected none, N, N-M or N+")),
        };
        let text = text.trim();
        if text == "none" {
            return Ok(Self::NONE);
        }
        if let Some(lowest) = text.strip_suffix('+') {
            return Ok(Self::from(number(lowest)?));
        }
        let (lowest, highest) = match text.split_once('-') {
            Some((lowest, highest)) => (number(lowest)?, number(highest)?),
            None => (number(text)?, number(text)?),
        };
        if lowest > highest {
            return Err(format!("bad version range {text:?}: {lowest} is above {highest}"));
        }
        Ok(Self::new(lowest, highest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(text: &str) -> Versions {
        text.parse().expect("a range")
    }

    #[test]
    fn every_form_survives_its_text() {
        for text in ["none", "0", "3", "0-5", "2+"] {
            assert_eq!(versions(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["", "x", "5-3", "-1", "1-", "+", "1-2-3", "40000"] {
            assert!(text.parse::<Versions>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn ranges_intersect_and_unite() {
        assert_eq!(versions("0-5").intersect(versions("3+")), versions("3-5"));
        assert_eq!(versions("0-2").intersect(versions("3+")), Versions::NONE);
        assert_eq!(versions("0-2").union(versions("3+")), Some(versions("0+")));
        assert_eq!(versions("0-1").union(versions("3")), None);
        assert!(versions("1+").contains_all(versions("2-4")));
        assert!(!versions("1-3").contains_all(versions("2-4")));
        assert_eq!(versions("2-4").iter().collect::<Vec<_>>(), [2, 3, 4]);
    }
}
