//! What a match is replaced by, in the syntax of Java's `Matcher.appendReplacement`: `$1`, `${name}`, `\` before a sign that
//! is to be itself.
//!
//! Kafka takes a number beyond the last group for the text that it is, unless there is no group at all.

use std::{iter::Peekable, str::Chars};

use regex::Captures;

use super::pattern::Pattern;

/// The parts of a replacement.
#[derive(Clone)]
pub(super) struct Replacement(Vec<Part>);

#[derive(Clone)]
enum Part {
    Text(char),
    Group(usize),
    Named(String),
}

/// Why a replacement cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplacementError {
    #[error("has no group {0} to refer to")]
    NoGroup(String),
    #[error("has a $ that is followed by neither a number nor a name in braces")]
    Reference,
    #[error("ends with a backslash")]
    Backslash,
}

impl Replacement {
    pub(super) fn parse(text: &str, pattern: &Pattern) -> Result<Self, ReplacementError> {
        let mut parts = Vec::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '\\' => parts.push(Part::Text(rest.next().ok_or(ReplacementError::Backslash)?)),
                '$' => reference(&mut rest, pattern, &mut parts)?,
                c => parts.push(Part::Text(c)),
            }
        }
        Ok(Self(parts))
    }

    /// Appends what stands for a match. A group that took no part in it stands for nothing.
    pub(super) fn append(&self, found: &Captures<'_>, name: &mut String) {
        for part in &self.0 {
            match part {
                Part::Text(c) => name.push(*c),
                Part::Group(number) => name.push_str(found.get(*number).map_or("", |group| group.as_str())),
                Part::Named(group) => name.push_str(found.name(group).map_or("", |group| group.as_str())),
            }
        }
    }
}

/// After `$`.
fn reference(rest: &mut Peekable<Chars<'_>>, pattern: &Pattern, parts: &mut Vec<Part>) -> Result<(), ReplacementError> {
    if rest.next_if_eq(&'{').is_some() {
        let mut name = String::new();
        loop {
            match rest.next().ok_or(ReplacementError::Reference)? {
                '}' if pattern.has_group(&name) => break,
                '}' => return Err(ReplacementError::NoGroup(name)),
                c => name.push(c),
            }
        }
        parts.push(Part::Named(name));
        return Ok(());
    }
    let groups = pattern.group_count();
    let mut digit_up_to = |max: usize, before: usize| {
        let value = |c: &char| usize::try_from(c.to_digit(10)?).ok().map(|digit| before * 10 + digit);
        rest.next_if(|c| value(c).is_some_and(|number| number <= max)).as_ref().and_then(value)
    };
    match digit_up_to(9, 0) {
        None => return Err(ReplacementError::Reference),
        Some(first) if first <= groups => {
            let mut number = first;
            while let Some(longer) = digit_up_to(groups, number) {
                number = longer;
            }
            parts.push(Part::Group(number));
        }
        Some(first) if groups == 0 => return Err(ReplacementError::NoGroup(first.to_string())),
        Some(first) => parts.extend(format!("${first}").chars().map(Part::Text)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(pattern: &str, replacement: &str) -> Result<String, ReplacementError> {
        let pattern = Pattern::parse(pattern).expect("valid");
        let replacement = Replacement::parse(replacement, &pattern)?;
        Ok(pattern.replace_all("ab", |found, name| replacement.append(found, name)))
    }

    #[test]
    fn references_are_those_of_java() {
        assert_eq!(replaced("(a)(b)", "$2$1").as_deref(), Ok("ba"));
        assert_eq!(replaced("(a)(b)", "$0-$01-$12-$3-$30").as_deref(), Ok("ab-a-a2-$3-$30"));
        assert_eq!(replaced("(a)(x)?b", "<$2>").as_deref(), Ok("<>"));
        assert_eq!(replaced("(?<n>a)b", r"${n}\$\\\n").as_deref(), Ok(r"a$\n"));
        assert_eq!(replaced("ab", "$0$0").as_deref(), Ok("abab"));
        assert_eq!(replaced("ab", "$1"), Err(ReplacementError::NoGroup("1".to_owned())));
        assert_eq!(replaced("(a)b", "${x}"), Err(ReplacementError::NoGroup("x".to_owned())));
        for broken in ["$", "$x", "${n"] {
            assert_eq!(replaced("(a)b", broken), Err(ReplacementError::Reference), "{broken}");
        }
        assert_eq!(replaced("ab", r"x\"), Err(ReplacementError::Backslash));
    }
}
