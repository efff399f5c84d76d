//! Texts in PEM, from files or from values of keys.

use std::{fs, io, path::PathBuf};

use crate::config::key::Secret;

/// A text in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pem {
    /// In a file, which is read again when it changes.
    File(PathBuf),
    /// As the value of a key.
    Inline(Secret),
}

impl Pem {
    /// The text. In a value blanks may stand for the ends of lines, as in Kafka's.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        match self {
            Self::File(path) => fs::read(path),
            Self::Inline(text) => Ok(with_lines(text.expose()).into_bytes()),
        }
    }

    /// The file, if it is one.
    #[must_use]
    pub fn path(&self) -> Option<&PathBuf> {
        match self {
            Self::File(path) => Some(path),
            Self::Inline(_) => None,
        }
    }
}

/// A line for each `-----…-----` and each word between them.
fn with_lines(text: &str) -> String {
    let mut lines = String::with_capacity(text.len());
    for (place, part) in text.split("-----").enumerate() {
        match place % 2 {
            0 => part.split_whitespace().for_each(|word| {
                lines.push_str(word);
                lines.push('\n');
            }),
            _ => {
                lines.push_str("-----");
                lines.push_str(part);
                lines.push_str("-----\n");
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_of_a_value_stand_for_ends_of_lines() {
        let lines = "-----BEGIN CERTIFICATE-----\nAAAA\nBBBB\n-----END CERTIFICATE-----\n";
        for text in [lines, &lines.replace('\n', " "), &lines.replace('\n', "\r\n"), &format!("  {lines}\n")] {
            let read = Pem::Inline(Secret::new(text)).read().expect("no file is read");
            assert_eq!(String::from_utf8_lossy(&read), lines, "{text:?}");
        }
    }
}
