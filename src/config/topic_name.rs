//! Which names a topic may have, after Kafka's `Topic` class and with its words, which clients see.
//!
//! The rules also keep a topic inside the data directory: no separator, no `.` or `..`, room for `-partition` and a
//! suffix in a file name of 255 bytes.

/// Where groups keep their offsets and members.
pub const GROUP_METADATA_TOPIC: &str = "__consumer_offsets";
/// Where transactions are kept.
pub const TRANSACTION_STATE_TOPIC: &str = "__transaction_state";
/// Where share groups keep what was delivered.
pub const SHARE_GROUP_STATE_TOPIC: &str = "__share_group_state";
/// The metadata log. Not a topic that clients may see.
pub const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";

/// The most bytes of a name.
pub const MAX_LENGTH: usize = 249;

/// Why a topic cannot have a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicNameError {
    /// No name at all.
    #[error("Topic name is invalid: the empty string is not allowed")]
    Empty,
    /// `.` or `..`.
    #[error("Topic name is invalid: '{0}' is not allowed")]
    Dots(String),
    /// Longer than [`MAX_LENGTH`].
    #[error("Topic name is invalid: the length of '{0}' is longer than the max allowed length {MAX_LENGTH}")]
    TooLong(String),
    /// A character that is not allowed.
    #[error(
        "Topic name is invalid: '{0}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    )]
    Characters(String),
    /// The same name as another but for `.` and `_`.
    #[error("Topic '{name}' collides with existing topic: {existing}")]
    Collision {
        /// The name asked for.
        name: String,
        /// The topic that is there.
        existing: String,
    },
}

/// Whether a topic may have this name, other topics aside.
pub fn validate(name: &str) -> Result<(), TopicNameError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match name {
        "" => Err(TopicNameError::Empty),
        "." | ".." => Err(TopicNameError::Dots(name.to_owned())),
        // Kafka counts UTF-16 units, which differ from bytes only in names that fail the next check.
        _ if name.encode_utf16().count() > MAX_LENGTH => Err(TopicNameError::TooLong(name.to_owned())),
        _ if !name.bytes().all(is_allowed) => Err(TopicNameError::Characters(name.to_owned())),
        _ => Ok(()),
    }
}

/// Whether `name` is free beside `existing` topics, whose metrics must not share a name with its own.
pub fn check_collision<'a>(name: &str, existing: impl IntoIterator<Item = &'a str>) -> Result<(), TopicNameError> {
    if !has_collision_chars(name) {
        return Ok(());
    }
    match existing.into_iter().find(|existing| has_collision(name, existing)) {
        Some(existing) => Err(TopicNameError::Collision { name: name.to_owned(), existing: existing.to_owned() }),
        None => Ok(()),
    }
}

/// Whether a name could collide with another at all.
#[must_use]
pub fn has_collision_chars(name: &str) -> bool {
    name.contains(['.', '_'])
}

/// What two names that collide have in common: an index by it finds collisions without a scan.
#[must_use]
pub fn unify_collision_chars(name: &str) -> String {
    name.replace('.', "_")
}

/// Whether two names are the same but for `.` and `_`.
#[must_use]
pub fn has_collision(one: &str, other: &str) -> bool {
    let unify = |byte: u8| if byte == b'.' { b'_' } else { byte };
    one.len() == other.len() && one.bytes().map(unify).eq(other.bytes().map(unify))
}

/// Whether clients are told that the topic is internal, and may not write to it.
#[must_use]
pub fn is_internal(name: &str) -> bool {
    matches!(name, GROUP_METADATA_TOPIC | TRANSACTION_STATE_TOPIC | SHARE_GROUP_STATE_TOPIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_held_against_kafkas_rules() {
        let longest = "a".repeat(MAX_LENGTH);
        for name in ["a", "...", "._-", "Orders-2.eu_west", longest.as_str(), CLUSTER_METADATA_TOPIC] {
            assert_eq!(validate(name), Ok(()), "{name}");
        }
        let too_long = "a".repeat(MAX_LENGTH + 1);
        let cases = [
            ("", "Topic name is invalid: the empty string is not allowed".to_owned()),
            (".", "Topic name is invalid: '.' is not allowed".to_owned()),
            ("..", "Topic name is invalid: '..' is not allowed".to_owned()),
            (
                &too_long,
                format!("Topic name is invalid: the length of '{too_long}' is longer than the max allowed length 249"),
            ),
        ];
        for (name, expected) in cases {
            assert_eq!(validate(name).expect_err(name).to_string(), expected);
        }
    }

    #[test]
    fn a_name_never_leaves_the_data_directory() {
        for name in ["a/b", "../a", "a\\b", "a\0", "a b", "a:b", "ä", "a\n", "/", "~/*"] {
            assert_eq!(
                validate(name).expect_err(name).to_string(),
                format!(
                    "Topic name is invalid: '{name}' contains one or more characters other than ASCII \
                     alphanumerics, '.', '_' and '-'"
                )
            );
        }
    }

    #[test]
    fn names_that_differ_in_dot_and_underscore_only_collide() {
        let existing = ["plain", "foo_bar", "x-y"];
        assert_eq!(
            check_collision("foo.bar", existing).expect_err("a collision").to_string(),
            "Topic 'foo.bar' collides with existing topic: foo_bar"
        );
        assert_eq!(check_collision("foo.baz", existing), Ok(()));
        assert_eq!(check_collision("x_y", existing), Ok(()));
        assert_eq!(check_collision("plain", existing), Ok(()), "that it exists is somebody else's to say");
        assert_eq!(unify_collision_chars("a.b_c"), "a_b_c");
    }

    #[test]
    fn three_topics_are_internal() {
        assert!([GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC, SHARE_GROUP_STATE_TOPIC].map(is_internal) == [true; 3]);
        assert!(!is_internal(CLUSTER_METADATA_TOPIC) && !is_internal("__consumer_offset"));
    }
}
