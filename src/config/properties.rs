//! Java's properties format, as `java.util.Properties.load` reads it, with the number of each line.
//!
//! `key=value`, `key: value` or `key value`; `#` and `!` begin comments; a backslash at the end of a line continues
//! it; `\uXXXX`, `\t`, `\n`, `\r` and `\f` are escapes, and any other escaped character stands for itself.
//! Unlike Java, which reads Latin-1, a file is UTF-8, and half of a surrogate pair is refused.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::{iter::Peekable, str::Chars};

/// One setting of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The key, unescaped.
    pub key: String,
    /// The value, unescaped. Space at its end is kept.
    pub value: String,
    /// The line it begins on, from 1.
    pub line: usize,
}

/// An escape that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed \\uXXXX escape: four hexadecimal digits of a character are allowed")]
pub struct MalformedEscape {
    /// The line its setting begins on, from 1.
    pub line: usize,
}

/// The settings of a file, in its order. A key may come more than once: for Java the last one counts.
pub fn parse(text: &str) -> Result<Vec<Property>, MalformedEscape> {
    logical_lines(text).into_iter().map(|(line, text)| parse_line(&text, line)).collect()
}

/// Lines without comments and blanks, continuations joined, each with the number of its first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, natural) in natural_lines(text) {
        let content = natural.trim_start_matches(is_blank);
        let (first, mut joined) = match open.take() {
            Some(begun) => begun,
            None if content.is_empty() || content.starts_with(['#', '!']) => continue,
            None => (number, String::new()),
        };
        let is_continued = trailing_backslashes(content) % 2 == 1;
        joined.push_str(content.strip_suffix('\\').filter(|_| is_continued).unwrap_or(content));
        match is_continued {
            // With nothing before the backslash, the next line is as good as the first.
            true if joined.is_empty() => {}
            true => open = Some((first, joined)),
            false => lines.push((first, joined)),
        }
    }
    lines.extend(open);
    lines
}

/// Lines that end with `\n`, `\r` or `\r\n`, numbered from 1.
fn natural_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = text;
    let lines = std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let (line, tail) = rest.split_at(end);
        rest = tail.strip_prefix("\r\n").or_else(|| tail.get(1..)).unwrap_or_default();
        Some(line)
    });
    (1..).zip(lines)
}

fn trailing_backslashes(line: &str) -> usize {
    line.chars().rev().take_while(|c| *c == '\\').count()
}

/// The format's white space: Java's idea, not Unicode's.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

/// Splits at the first separator that is not escaped.
fn parse_line(text: &str, line: usize) -> Result<Property, MalformedEscape> {
    let mut chars = text.chars().peekable();
    let is_separator = |c: char| is_blank(c) || matches!(c, '=' | ':');
    let key = unescape_until(&mut chars, is_separator).ok_or(MalformedEscape { line })?;
    skip_blanks(&mut chars);
    if chars.next_if(|c| matches!(c, '=' | ':')).is_some() {
        skip_blanks(&mut chars);
    }
    let value = unescape_until(&mut chars, |_| false).ok_or(MalformedEscape { line })?;
    Ok(Property { key, value, line })
}

fn skip_blanks(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|c| is_blank(*c)).is_some() {}
}

/// Takes characters up to one that ends the text; `None` at a malformed escape.
fn unescape_until(chars: &mut Peekable<Chars<'_>>, is_end: impl Fn(char) -> bool) -> Option<String> {
    let mut text = String::new();
    while let Some(c) = chars.next_if(|c| !is_end(*c)) {
        match c {
            '\\' => text.extend(unescape(chars)?),
            _ => text.push(c),
        }
    }
    Some(text)
}

/// The character after a backslash: none at the end of the text. `None` where it is malformed.
fn unescape(chars: &mut Peekable<Chars<'_>>) -> Option<Option<char>> {
    Some(match chars.next() {
        Some('u') => Some(unicode_escape(chars)?),
        Some('t') => Some('\t'),
        Some('n') => Some('\n'),
        Some('r') => Some('\r'),
        Some('f') => Some('\x0c'),
        other => other,
    })
}

/// The character of `XXXX`, or of `XXXX\uXXXX` where it takes a surrogate pair.
fn unicode_escape(chars: &mut Peekable<Chars<'_>>) -> Option<char> {
    let first = utf16_unit(chars)?;
    if let Some(c) = char::from_u32(u32::from(first)) {
        return Some(c);
    }
    let has_second = chars.next()? == '\\' && chars.next()? == 'u';
    let second = if has_second { utf16_unit(chars)? } else { return None };
    char::decode_utf16([first, second]).next()?.ok()
}

fn utf16_unit(chars: &mut Peekable<Chars<'_>>) -> Option<u16> {
    let mut unit = 0;
    for _ in 0..4 {
        unit = unit << 4 | chars.next()?.to_digit(16)?;
    }
    u16::try_from(unit).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Key, value and line of each setting.
    fn parsed(text: &str) -> Vec<(String, String, usize)> {
        let properties = parse(text).expect("well formed");
        properties.into_iter().map(|property| (property.key, property.value, property.line)).collect()
    }

    #[test]
    fn each_form_of_a_line_is_read_as_java_reads_it() {
        let cases = [
            ("a=b", "a", "b"),
            ("a:b", "a", "b"),
            ("a b", "a", "b"),
            ("  a \t=\x0c b  ", "a", "b  "),
            ("a = = b", "a", "= b"),
            ("a : = b", "a", "= b"),
            ("a", "a", ""),
            ("a=", "a", ""),
            ("=b", "", "b"),
            ("a=b # not a comment", "a", "b # not a comment"),
            (r"a\=\:\ b=c", "a=: b", "c"),
            (r"a=\t\n\r\f\q\\", "a", "\t\n\r\x0cq\\"),
            (r"a=\u00e4\uD83D\uDE00x", "a", "ä😀x"),
            ("a=b\\\n   c\\\r\n\td", "a", "bcd"),
            ("a=b\\\\", "a", "b\\"),
            ("a=b\\", "a", "b"),
            ("a=b\\\n# part of the value", "a", "b# part of the value"),
            ("a=b\\\n\n", "a", "b"),
            ("a\\\n=b", "a", "b"),
            ("a=ä", "a", "ä"),
        ];
        for (text, key, value) in cases {
            assert_eq!(parsed(text), [(key.to_owned(), value.to_owned(), 1)], "{text:?}");
        }
    }

    #[test]
    fn comments_and_blank_lines_count_as_lines_only() {
        let text = "# a=1\n\n  ! b=2\\\r\nc=3\r   \r\\\n# d=4\ne=5\\\n6\nf=7";
        let expected = [("c", "3", 4), ("e", "56", 8), ("f", "7", 10)];
        assert_eq!(parsed(text), expected.map(|(key, value, line)| (key.to_owned(), value.to_owned(), line)));
    }

    #[test]
    fn a_malformed_escape_is_refused_with_its_line() {
        for escape in [r"\u12", r"\uxyzw", r"\uD800", r"\uDC00", r"\uD800\uD800", r"\uD800x", r"\u+123"] {
            let text = format!("fine=1\nbad={escape}");
            assert_eq!(parse(&text), Err(MalformedEscape { line: 2 }), "{escape}");
        }
    }

    /// As `java.util.Properties.store` would: everything that could mean something is escaped.
    fn escape(text: &str) -> String {
        text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect()
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[ab\\\\u0-9=: \t\r\n#!\u{e4}]{0,60}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_escaped_comes_back(settings in prop::collection::vec((any::<String>(), any::<String>()), 0..5)) {
            let lines: Vec<String> =
                settings.iter().map(|(key, value)| format!("{}={}\n", escape(key), escape(value))).collect();
            let read: Vec<_> =
                parsed(&lines.concat()).into_iter().map(|(key, value, _)| (key, value)).collect();
            prop_assert_eq!(read, settings);
        }
    }
}
