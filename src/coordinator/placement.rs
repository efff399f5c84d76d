//! Which partition of a coordinator's topic an id belongs to.

/// The partition of `id` among `partitions`, as Kafka computes it: `Utils.abs(id.hashCode()) % partitions`.
#[must_use]
pub fn partition_for(id: &str, partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has partitions");
    let hash = java_hash(id);
    // Kafka's `abs` of the one number that has none is 0.
    hash.checked_abs().unwrap_or(0) % partitions
}

/// `String.hashCode` of Java, over UTF-16 code units.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_java() {
        let hashes = ["", "a", "group", "polygenelubricants", "größe", "😀"].map(java_hash);
        assert_eq!(hashes, [0, 97, 98_629_247, i32::MIN, 98_762_257, 1_772_899]);
    }

    #[test]
    fn every_id_has_a_partition() {
        assert_eq!(partition_for("polygenelubricants", 50), 0);
        assert_eq!(partition_for("group", 50), 47);
        assert_eq!(partition_for("", 1), 0);
    }
}
