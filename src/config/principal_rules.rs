//! `ssl.principal.mapping.rules`: from the subject of a certificate to the name of a user, as Kafka's
//! `SslPrincipalMapper` has it.
//!
//! Rules stand behind each other with commas between them: `DEFAULT`, the subject as it is, or
//! `RULE:pattern/replacement/` with `L` or `U` behind it for lower or upper case. The first whose pattern matches the whole
//! subject counts; its name is the subject with every match of the pattern, be it of a part, replaced. Where no rule
//! matches, the client does not get in.

mod pattern;
mod replacement;

use std::{fmt, sync::LazyLock};

use regex::Regex;

use self::{
    pattern::{Pattern, PatternError},
    replacement::{Replacement, ReplacementError},
};

/// Kafka's `RULE_PATTERN`.
const RULE: &str = r"(DEFAULT)|RULE:((?:\\.|[^\\/])*)/((?:\\.|[^\\/])*)/([LU]?).*?|(.*?)";
const DEFAULT: &str = "DEFAULT";

/// The rules of a listener.
#[derive(Clone)]
pub struct PrincipalRules {
    text: String,
    rules: Vec<Rule>,
}

#[derive(Clone)]
enum Rule {
    Default,
    Replace { pattern: Pattern, replacement: Replacement, case: Case },
}

#[derive(Clone, Copy)]
enum Case {
    AsItIs,
    Lower,
    Upper,
}

/// Why rules are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum PrincipalRulesError {
    #[error("Invalid rule: `{rule}`, unmatched substring: `{unmatched}`")]
    Unmatched { rule: String, unmatched: String },
    #[error("Invalid rule: `{rule}`: its pattern {error}")]
    Pattern { rule: String, error: PatternError },
    #[error("Invalid rule: `{rule}`: its replacement {error}")]
    Replacement { rule: String, error: ReplacementError },
}

impl PrincipalRules {
    /// The rules of a text. An empty one has none.
    pub fn parse(text: &str) -> Result<Self, PrincipalRulesError> {
        static SPLITTER: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(&format!(r"\s*({RULE})\s*(,\s*|$)")).expect("a valid pattern"));
        let rules = SPLITTER.captures_iter(text.trim()).filter_map(|found| Rule::parse(&found[1]).transpose());
        Ok(Self { rules: rules.collect::<Result<_, _>>()?, text: text.to_owned() })
    }

    /// The name of the user whose certificate has this subject, in RFC 2253 form; `None` if no rule applies.
    #[must_use]
    pub fn name_of(&self, subject: &str) -> Option<String> {
        self.rules.iter().find_map(|rule| rule.apply(subject))
    }
}

impl Rule {
    /// `None` where there is nothing between two commas.
    fn parse(rule: &str) -> Result<Option<Self>, PrincipalRulesError> {
        static PARSER: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(&format!("^(?:{RULE})")).expect("a valid pattern"));
        let owned = || rule.to_owned();
        let found = PARSER.captures(rule).expect("it matches anything, if need be nothing of it");
        let unmatched = &rule[found[0].len()..];
        if !unmatched.is_empty() {
            return Err(PrincipalRulesError::Unmatched { rule: owned(), unmatched: unmatched.to_owned() });
        }
        if found.get(1).is_some() {
            return Ok(Some(Self::Default));
        }
        let (Some(pattern), Some(replacement)) = (found.get(2), found.get(3)) else { return Ok(None) };
        let pattern =
            Pattern::parse(pattern.as_str()).map_err(|error| PrincipalRulesError::Pattern { rule: owned(), error })?;
        let replacement = Replacement::parse(replacement.as_str(), &pattern)
            .map_err(|error| PrincipalRulesError::Replacement { rule: owned(), error })?;
        let case = match found.get(4).map(|case| case.as_str()) {
            Some("L") => Case::Lower,
            Some("U") => Case::Upper,
            _ => Case::AsItIs,
        };
        Ok(Some(Self::Replace { pattern, replacement, case }))
    }

    fn apply(&self, subject: &str) -> Option<String> {
        let Self::Replace { pattern, replacement, case } = self else { return Some(subject.to_owned()) };
        if !pattern.matches_all_of(subject) {
            return None;
        }
        let name = pattern.replace_all(subject, |found, name| replacement.append(found, name));
        Some(match case {
            Case::AsItIs => name,
            Case::Lower => name.to_lowercase(),
            Case::Upper => name.to_uppercase(),
        })
    }
}

/// The subject is the name.
impl Default for PrincipalRules {
    fn default() -> Self {
        Self { text: DEFAULT.to_owned(), rules: vec![Rule::Default] }
    }
}

/// The same text means the same.
impl PartialEq for PrincipalRules {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for PrincipalRules {}

impl fmt::Debug for PrincipalRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrincipalRules").field(&self.text).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "CN=alice,OU=Dev,O=Acme\\, Inc.,L=München,ST=Bayern,C=DE";
    const BOB: &str = "CN=Bob";

    /// What `SslPrincipalMapper` of Apache Kafka 4.4.0 makes of the two; `None` where no rule applies.
    const GOLDEN: &[(&str, Option<&str>, Option<&str>)] = &[
        ("DEFAULT", Some(ALICE), Some(BOB)),
        ("", None, None),
        (r"RULE:^CN=(.*?),OU=Dev.*$/$1/", Some("alice"), None),
        (r"RULE:^CN=(.*?),OU=Dev.*$/$1/U", Some("ALICE"), None),
        (r"RULE:^CN=(.*?),OU=Dev.*$/$1/L", Some("alice"), None),
        (r"RULE:^CN=(.*?),OU=Dev.*$/$1@x/L, DEFAULT", Some("alice@x"), Some(BOB)),
        (r"RULE:^CN=(.*?),OU=Nope.*$/$1/", None, None),
        (r"RULE:CN=/x/", None, None),
        (r"RULE:^CN=(.*?),.*$/$1$2/", Some("alice$2"), None),
        (r"RULE:^CN=(.*?),.*$/$0-$1/", Some("CN=alice,OU=Dev,O=Acme\\, Inc.,L=München,ST=Bayern,C=DE-alice"), None),
        (r"RULE:^CN=(.*?),.*$/$12/", Some("alice2"), None),
        (r"RULE:^CN=(.*?),.*$/a\/b/", Some("a/b"), None),
        (r"RULE:^CN=(.*?),.*$/a\$b/", Some("a$b"), None),
        (r"RULE:.*/x/", Some("xx"), Some("xx")),
        (r"RULE:.*//", Some(""), Some("")),
        (r"DEFAULT,RULE:.*/x/", Some(ALICE), Some(BOB)),
        (r" RULE:^CN=([^,]*),.*$/$1/ , DEFAULT ", Some("alice"), Some(BOB)),
        (r"RULE:^CN=(.*?),/x/,DEFAULT", Some(ALICE), Some(BOB)),
        (r"RULE:^CN=([a-z]+),.*$/[$1]/L,RULE:^CN=([A-Za-z]+)$/<$1>/U", Some("[alice]"), Some("<BOB>")),
        (r"DEFAULT,", Some(ALICE), Some(BOB)),
        (r"RULE:(?i)cn=(.*?),.*/$1/", Some("alice"), None),
        (r"RULE:^(?<n>CN=.*?),.*$/${n}/", Some("CN=alice"), None),
    ];

    #[test]
    fn names_are_those_of_kafka() {
        for (text, alice, bob) in GOLDEN {
            let rules = PrincipalRules::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(rules.name_of(ALICE).as_deref(), *alice, "{text}");
            assert_eq!(rules.name_of(BOB).as_deref(), *bob, "{text}");
        }
        assert_eq!(PrincipalRules::default(), PrincipalRules::parse("DEFAULT").expect("valid"));
        assert_eq!(PrincipalRules::default().name_of(BOB).as_deref(), Some(BOB));
    }

    #[test]
    fn what_is_no_rule_is_refused_in_the_words_of_kafka() {
        for (text, rule, unmatched) in [
            ("RULE:.*/x/X", "RULE:.*/x/X", "X"),
            ("RULE:.*/x/LU", "RULE:.*/x/LU", "U"),
            ("RULE:.*/x", "RULE:.*/x", "RULE:.*/x"),
            ("RULE:.*", "RULE:.*", "RULE:.*"),
            ("NOPE", "NOPE", "NOPE"),
            ("default", "default", "default"),
            ("DEFAULT,DEFAULTS", "DEFAULTS", "S"),
        ] {
            let error = PrincipalRules::parse(text).expect_err(text).to_string();
            assert_eq!(error, format!("Invalid rule: `{rule}`, unmatched substring: `{unmatched}`"));
        }
        let error = |text: &str| PrincipalRules::parse(text).expect_err(text).to_string();
        assert_eq!(error("RULE:.*/$1/"), "Invalid rule: `RULE:.*/$1/`: its replacement has no group 1 to refer to");
        assert!(error("RULE:(/x/").starts_with("Invalid rule: `RULE:(/x/`: its pattern cannot be used: "));
    }
}
