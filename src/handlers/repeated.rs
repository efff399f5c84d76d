//! What a request names more than once.

use std::{collections::HashSet, hash::Hash};

/// The items that come more than once.
pub fn repeated<T: Clone + Eq + Hash>(items: impl IntoIterator<Item = T>) -> HashSet<T> {
    let mut seen = HashSet::new();
    let mut repeated = HashSet::new();
    for item in items {
        if seen.contains(&item) {
            repeated.insert(item);
        } else {
            seen.insert(item);
        }
    }
    repeated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_twice_or_more_is_repeated() {
        assert_eq!(repeated(["a", "b", "a", "c", "a", "b"]), HashSet::from(["a", "b"]));
        assert_eq!(repeated([1, 2, 3]), HashSet::new());
    }
}
