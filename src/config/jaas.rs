//! The one form of JAAS that Kafka's settings have: a login module, its control flag, and options.
//!
//! `org.apache.kafka.common.security.plain.PlainLoginModule required username="a" user_alice="secret";`

use std::{collections::HashSet, iter::Peekable, str::Chars};

use zeroize::Zeroizing;

use super::key::{Secret, one_line};

/// How options begin that make users.
const USER: &str = "user_";
/// What a control flag can be, in any case.
const CONTROL_FLAGS: [&str; 4] = ["required", "requisite", "sufficient", "optional"];

/// What is wrong with a text. None repeats more of it than the name of a module or of an option.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JaasError {
    /// Not in that form at all.
    #[error("{0} is expected, as in {1} required user_alice=\"secret\";")]
    Expected(&'static str, &'static str),
    /// Another module.
    #[error("login module {}: only {expected} is allowed", one_line(.found))]
    Module {
        /// What was found.
        found: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// An option twice.
    #[error("option {} comes twice", one_line(.0))]
    Twice(String),
}

/// Something that a text is made of.
#[derive(Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(Secret),
    Equals,
    Semicolon,
}

/// The users of a text for a login module: the names and passwords of `user_NAME="password"`. What the broker would say of
/// itself to another, `username` and `password`, is passed over.
pub(super) fn users(text: &str, module: &'static str) -> Result<Vec<(String, Secret)>, JaasError> {
    let expected = |what| JaasError::Expected(what, module);
    let tokens = tokens(text).ok_or_else(|| expected("a closing quote"))?;
    let mut tokens = tokens.into_iter();
    match tokens.next() {
        Some(Token::Word(found)) if found == module => {}
        Some(Token::Word(found)) if is_class(&found) => return Err(JaasError::Module { found, expected: module }),
        _ => return Err(expected("a login module")),
    }
    match tokens.next() {
        Some(Token::Word(flag)) if CONTROL_FLAGS.iter().any(|known| known.eq_ignore_ascii_case(&flag)) => {}
        _ => return Err(expected("a control flag such as required")),
    }
    let options = options(&mut tokens).ok_or_else(|| expected("key=\"value\" or a semicolon"))?;
    if tokens.next().is_some() {
        return Err(expected("one login module, which ends with a semicolon,"));
    }
    let mut known = HashSet::new();
    if let Some((name, _)) = options.iter().find(|(name, _)| !known.insert(name)) {
        return Err(JaasError::Twice(name.clone()));
    }
    let users = options.into_iter().filter_map(|(key, value)| Some((key.strip_prefix(USER)?.to_owned(), value)));
    Ok(users.collect())
}

/// Whether a text names users, be it well formed or not.
pub(super) fn mentions_users(text: &str) -> bool {
    text.contains(USER)
}

/// Whether a word is the name of a class. Any other could be a secret in the wrong place.
fn is_class(word: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '$');
    word.contains('.') && word.chars().all(is_allowed)
}

/// Options up to the semicolon; `None` where something else stands.
fn options(tokens: &mut impl Iterator<Item = Token>) -> Option<Vec<(String, Secret)>> {
    let mut options = Vec::new();
    loop {
        let key = match tokens.next()? {
            Token::Semicolon => return Some(options),
            Token::Word(key) => key,
            Token::Quoted(_) | Token::Equals => return None,
        };
        if tokens.next()? != Token::Equals {
            return None;
        }
        match tokens.next()? {
            Token::Word(value) => options.push((key, Secret::new(&value))),
            Token::Quoted(value) => options.push((key, value)),
            Token::Equals | Token::Semicolon => return None,
        }
    }
}

/// The tokens of a text; `None` if a quote does not end.
fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '=' => tokens.push(Token::Equals),
            ';' => tokens.push(Token::Semicolon),
            '"' | '\'' => tokens.push(Token::Quoted(quoted(&mut chars, c)?)),
            c => tokens.push(Token::Word(word(&mut chars, c))),
        }
    }
    Some(tokens)
}

/// The rest of a quoted text. A backslash takes the next character as it is, but for those that Java has letters for.
fn quoted(chars: &mut Peekable<Chars<'_>>, quote: char) -> Option<Secret> {
    let mut text = Zeroizing::new(String::new());
    loop {
        match chars.next()? {
            c if c == quote => return Some(Secret::new(&text)),
            '\n' | '\r' => return None,
            '\\' => text.push(match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'f' => '\x0c',
                other => other,
            }),
            c => text.push(c),
        }
    }
}

fn word(chars: &mut Peekable<Chars<'_>>, first: char) -> String {
    let mut word = String::from(first);
    let is_inside = |c: &char| !c.is_whitespace() && !matches!(c, '=' | ';' | '"' | '\'');
    while let Some(c) = chars.next_if(is_inside) {
        word.push(c);
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";

    fn parsed(text: &str) -> Result<Vec<(String, String)>, String> {
        let users = users(&text.replace("PLAIN", PLAIN), PLAIN).map_err(|error| error.to_string())?;
        Ok(users.into_iter().map(|(name, password)| (name, password.expose().to_owned())).collect())
    }

    #[test]
    fn users_are_read_and_the_rest_is_passed_over() {
        let cases: [(&str, &[(&str, &str)]); 6] = [
            ("PLAIN required user_alice=\"a b\" user_bob='c\"d';", &[("alice", "a b"), ("bob", "c\"d")]),
            ("PLAIN Required username=\"admin\" password=\"x\" user_admin=\"x\";", &[("admin", "x")]),
            ("  PLAIN\n  sufficient\n  user_a = secret ;\n", &[("a", "secret")]),
            ("PLAIN required;", &[]),
            (r#"PLAIN required user_a="\"\\\q;=";"#, &[("a", "\"\\q;=")]),
            ("PLAIN required user_CN.x_y=\"\";", &[("CN.x_y", "")]),
        ];
        for (text, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|(n, p)| ((*n).to_owned(), (*p).to_owned())).collect();
            assert_eq!(parsed(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_malformed_is_told_without_the_secret() {
        let form = format!("is expected, as in {PLAIN} required user_alice=\"secret\";");
        let options = format!("key=\"value\" or a semicolon {form}");
        let cases = [
            ("", format!("a login module {form}")),
            ("\"hunter2\" required;", format!("a login module {form}")),
            ("com.example.Module required;", format!("login module com.example.Module: only {PLAIN} is allowed")),
            ("hunter2 required;", format!("a login module {form}")),
            ("hunter.2! required;", format!("a login module {form}")),
            ("PLAIN user_a=\"hunter2\";", format!("a control flag such as required {form}")),
            ("PLAIN required user_a=\"hunter2\"", options.clone()),
            ("PLAIN required user_a hunter2;", options.clone()),
            ("PLAIN required \"hunter2\";", options.clone()),
            ("PLAIN required user_a==hunter2;", options.clone()),
            ("PLAIN required user_a=;", options),
            ("PLAIN required user_a=\"hunter2;", format!("a closing quote {form}")),
            (
                "PLAIN required user_a=\"hunter2\"; PLAIN required;",
                format!("one login module, which ends with a semicolon, {form}"),
            ),
            ("PLAIN required user_a=hunter2 x=1 user_a=hunter2;", "option user_a comes twice".to_owned()),
        ];
        for (text, expected) in cases {
            assert_eq!(parsed(text), Err(expected), "{text}");
        }
    }
}
