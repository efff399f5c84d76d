//! A regular expression in Java's syntax, on an engine that does not backtrack.
//!
//! What the two engines read alike passes as it is. What they read differently is rewritten where that is simple, and
//! refused where it is not: never is a pattern taken for another one. Lookaround, back references, atomic groups and
//! possessive quantifiers do not exist here.

use std::{iter::Peekable, str::Chars};

use regex::{Captures, Regex};

/// A pattern and what it matches.
#[derive(Clone)]
pub(super) struct Pattern {
    /// Anywhere.
    part: Regex,
    /// All of a text or nothing.
    whole: Regex,
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("has {0}, which is not supported")]
    Unsupported(&'static str),
    #[error("cannot be used: {0}")]
    Syntax(String),
}

impl Pattern {
    pub(super) fn parse(java: &str) -> Result<Self, PatternError> {
        let text = translate(java)?;
        let compile = |text: &str| {
            // The engine draws what is wrong on several lines; the last one says it.
            let said = |error: regex::Error| error.to_string().lines().last().unwrap_or_default().trim().to_owned();
            Regex::new(text).map_err(|error| PatternError::Syntax(said(error)))
        };
        Ok(Self { part: compile(&text)?, whole: compile(&format!(r"\A(?:{text})\z"))? })
    }

    /// How many groups it has, without the whole.
    pub(super) fn group_count(&self) -> usize {
        self.part.captures_len() - 1
    }

    pub(super) fn has_group(&self, name: &str) -> bool {
        self.part.capture_names().flatten().any(|group| group == name)
    }

    pub(super) fn matches_all_of(&self, text: &str) -> bool {
        self.whole.is_match(text)
    }

    /// Java's `replaceAll`: there may be an empty match right behind another one.
    pub(super) fn replace_all(&self, text: &str, append: impl Fn(&Captures<'_>, &mut String)) -> String {
        let mut replaced = String::new();
        let (mut copied, mut from) = (0, 0);
        while let Some(found) = (from <= text.len()).then(|| self.part.captures_at(text, from)).flatten() {
            let whole = found.get_match();
            replaced.push_str(&text[copied..whole.start()]);
            append(&found, &mut replaced);
            copied = whole.end();
            let behind = text[copied..].chars().next().map_or(1, char::len_utf8);
            from = if whole.is_empty() { copied + behind } else { copied };
        }
        replaced.push_str(&text[copied..]);
        replaced
    }
}

/// The pattern in the engine's syntax.
fn translate(java: &str) -> Result<String, PatternError> {
    let mut translation = Translation { out: String::with_capacity(java.len()), class_depth: 0 };
    let mut rest = java.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => translation.escape(&mut rest)?,
            '[' => translation.open_class(&rest)?,
            ']' => {
                translation.class_depth = translation.class_depth.saturating_sub(1);
                translation.out.push(c);
            }
            _ if translation.class_depth > 0 => translation.in_class(c, &rest)?,
            '*' | '+' | '?' | '}' if rest.peek() == Some(&'+') => {
                return Err(PatternError::Unsupported("a possessive quantifier"));
            }
            '(' => {
                check_group(rest.clone())?;
                translation.out.push(c);
            }
            _ => translation.out.push(c),
        }
    }
    Ok(translation.out)
}

struct Translation {
    out: String,
    class_depth: usize,
}

impl Translation {
    /// `\d`, `\w` and `\s` are ASCII to Java, an escaped sign is itself, and the rest is as both have it or unknown here.
    fn escape(&mut self, rest: &mut Peekable<Chars<'_>>) -> Result<(), PatternError> {
        let Some(c) = rest.next() else { return Err(PatternError::Syntax("it ends with a backslash".to_owned())) };
        match c {
            'd' => self.out.push_str("[0-9]"),
            'D' => self.out.push_str("[^0-9]"),
            'w' => self.out.push_str("[0-9A-Za-z_]"),
            'W' => self.out.push_str("[^0-9A-Za-z_]"),
            's' => self.out.push_str(r"[ \t\n\x0B\f\r]"),
            'S' => self.out.push_str(r"[^ \t\n\x0B\f\r]"),
            '<' | '>' => self.out.push(c),
            'p' | 'P' => {
                check_category(rest.clone())?;
                self.out.extend(['\\', c]);
            }
            'b' | 'B' if rest.peek() == Some(&'{') => return Err(PatternError::Unsupported("a boundary with a name")),
            // A class to one of them, a single character or nothing to the other.
            'v' | 'V' | 'h' | 'H' | 'N' | 'U' => {
                return Err(PatternError::Unsupported("an escape that is not read alike everywhere"));
            }
            _ => self.out.extend(['\\', c]),
        }
        Ok(())
    }

    fn open_class(&mut self, rest: &Peekable<Chars<'_>>) -> Result<(), PatternError> {
        let mut ahead = rest.clone();
        let first = ahead.next();
        let first = if first == Some('^') { ahead.next() } else { first };
        if first == Some(']') {
            return Err(PatternError::Unsupported("a bracket as the first of a class; escape it"));
        }
        if self.class_depth > 0 && first == Some(':') {
            return Err(PatternError::Unsupported("a class that begins with a colon"));
        }
        self.class_depth += 1;
        self.out.push('[');
        Ok(())
    }

    /// `--` and `~~` are operators of the engine, and `&&` is not quite what it is to Java.
    fn in_class(&mut self, c: char, rest: &Peekable<Chars<'_>>) -> Result<(), PatternError> {
        if matches!(c, '-' | '~' | '&') && rest.clone().next() == Some(c) {
            return Err(PatternError::Unsupported("an operator in a class"));
        }
        self.out.push(c);
        Ok(())
    }
}

/// After `(`: plain, `(?:`, a name or flags that both have.
fn check_group(mut rest: Peekable<Chars<'_>>) -> Result<(), PatternError> {
    if rest.next() != Some('?') {
        return Ok(());
    }
    match rest.next() {
        Some('<') if !matches!(rest.peek(), Some('=' | '!')) => Ok(()),
        Some('<' | '=' | '!') => Err(PatternError::Unsupported("lookaround")),
        Some('>') => Err(PatternError::Unsupported("an atomic group")),
        Some(first) => {
            let flags = std::iter::once(first).chain(rest).take_while(|c| !matches!(c, ':' | ')'));
            if flags.into_iter().all(|flag| matches!(flag, 'i' | 'm' | 's' | '-')) {
                Ok(())
            } else {
                Err(PatternError::Unsupported("a flag other than i, m or s"))
            }
        }
        None => Ok(()),
    }
}

/// After `\p`: a general category of Unicode. Java's other names mean ASCII, the engine's do not.
fn check_category(mut rest: Peekable<Chars<'_>>) -> Result<(), PatternError> {
    if rest.next_if_eq(&'{').is_none() {
        return Ok(());
    }
    let len = rest.take_while(|c| *c != '}').count();
    if len <= 2 { Ok(()) } else { Err(PatternError::Unsupported("a class with a long name")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engines_read_differently_is_refused_or_rewritten() {
        for java in [
            "a*+",
            "a++b",
            "a?+",
            "a{2}+",
            "(?=a)",
            "(?!a)",
            "(?<=a)",
            "(?<!a)",
            "(?>a)",
            "(?U)a",
            "(?u)a",
            "(?x) a",
            "(?d)a",
            "(?P<n>a)",
            "[a--b]",
            "[a~~b]",
            "[a&&b]",
            "[]a]",
            "[^]a]",
            "[[:alpha:]]",
            r"\p{Alpha}",
            r"\b{start}",
            r"\v",
            r"\h",
            r"\U0000",
        ] {
            let error = translate(java).expect_err(java);
            assert!(matches!(error, PatternError::Unsupported(_)), "{java}: {error}");
        }
        for java in [r"\Qa\E", r"(a)\1", r"\Z", "(", "a{", r"a\", "[a"] {
            assert!(matches!(Pattern::parse(java).err(), Some(PatternError::Syntax(_))), "{java}");
        }
        let whole = |java: &str, text: &str| Pattern::parse(java).expect(java).matches_all_of(text);
        assert!(whole(r"\d\w\s", "1a ") && !whole(r"\d", "٣") && !whole(r"\w", "é") && whole(r"[\W]", "é"));
        assert!(whole(r"\<a\>", "<a>") && whole(r"[^\]\\]+", "a") && whole(r"\p{L}\pL\p{Lu}", "éaÉ"));
        assert!(whole("a|ab", "ab") && !whole("a|ab", "abc") && whole("(?i:A)(?s).", "a\n"));
        assert!(whole(r"\$\.\*\+\,\/\=\ ", "$.*+,/= ") && whole("a+?b", "aab"));
    }

    #[test]
    fn everything_that_matches_is_replaced() {
        let replaced =
            |java: &str, text: &str| Pattern::parse(java).expect(java).replace_all(text, |_, name| name.push('-'));
        assert_eq!(replaced("b*", "abé"), "-a--é-");
        assert_eq!(replaced("", ""), "-");
        assert_eq!(replaced("^a", "aaa"), "-aa");
        assert_eq!(replaced(".*$", "é"), "--");
    }
}
