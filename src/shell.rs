//! Commands that texts tell people to type.

/// `text` as one word of a shell.
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_shell_would_take_apart_is_quoted() {
        for plain in ["alice", "certs/server.pem", "CN=alice,OU=Dev", "bé@example.org"] {
            assert_eq!(shell_word(plain), plain);
        }
        for (text, word) in [("", "''"), ("a b", "'a b'"), ("$(id)", "'$(id)'"), ("it's", r"'it'\''s'"), ("~", "'~'")] {
            assert_eq!(shell_word(text), word);
        }
    }
}
