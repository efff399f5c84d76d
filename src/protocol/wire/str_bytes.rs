//! A string that is a slice of the frame it came in.

use std::{
    borrow::Borrow,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    str,
    sync::Arc,
};

use bytes::Bytes;

/// Immutable UTF-8 text over shared bytes: cloned without copying.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StrBytes(Bytes);

impl StrBytes {
    /// A string without allocation.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// Checks that `bytes` are UTF-8.
    pub fn from_utf8(bytes: Bytes) -> Result<Self, str::Utf8Error> {
        str::from_utf8(&bytes)?;
        Ok(Self(bytes))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Checked when it was made; an empty text here would mean a bug in this file, not bad input.
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// How many bytes it takes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is the empty text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl Deref for StrBytes {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for StrBytes {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for StrBytes {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

/// As `str` hashes, which [`Borrow`] promises.
impl Hash for StrBytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl From<&str> for StrBytes {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for StrBytes {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

/// A copy, which does not keep the frame.
impl From<&StrBytes> for Arc<str> {
    fn from(text: &StrBytes) -> Self {
        Self::from(text.as_str())
    }
}

impl PartialEq<str> for StrBytes {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for StrBytes {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Display for StrBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for StrBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn only_utf8_becomes_a_string() {
        let text = StrBytes::from_utf8(Bytes::from_static("né好🦀".as_bytes())).expect("UTF-8");
        assert_eq!(text, "né好🦀");
        assert!(StrBytes::from_utf8(Bytes::from_static(b"\xc3\x28")).is_err());
        assert!(StrBytes::from_utf8(Bytes::from_static(b"\xed\xa0\x80")).is_err(), "a lone surrogate");
    }

    #[test]
    fn it_shares_the_bytes_it_was_made_of() {
        let bytes = Bytes::from(b"topic".to_vec());
        let text = StrBytes::from_utf8(bytes.clone()).expect("UTF-8");
        assert_eq!(text.as_ptr(), bytes.as_ptr());
        assert_eq!(text.as_ptr(), bytes.as_ptr());
    }

    #[test]
    fn a_map_of_strings_is_asked_with_a_str() {
        let map = HashMap::from([(StrBytes::from("a"), 1), (StrBytes::from("b".to_owned()), 2)]);
        assert_eq!((map.get("a"), map.get("b"), map.get("c")), (Some(&1), Some(&2), None));
    }

    #[test]
    fn it_looks_like_text() {
        let text = StrBytes::from_static("a\"b");
        assert_eq!((text.to_string(), format!("{text:?}")), ("a\"b".to_owned(), "\"a\\\"b\"".to_owned()));
        assert!(StrBytes::from_static("a") < StrBytes::from_static("b"));
        assert_eq!((StrBytes::default().is_empty(), StrBytes::from("é").len()), (true, 2));
        assert!(text == *"a\"b" && text != *"a");
    }
}
