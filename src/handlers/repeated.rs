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

/// Each item once, by its key, in the order in which they are named first, and whether it comes again.
pub fn each_once<T, K: Clone + Eq + Hash>(
    items: impl IntoIterator<Item = T> + Clone,
    key: impl Fn(&T) -> K,
) -> Vec<(T, bool)> {
    let repeated = repeated(items.clone().into_iter().map(|item| key(&item)));
    let mut seen = HashSet::new();
    let first = items.into_iter().filter(|item| seen.insert(key(item)));
    first
        .map(|item| {
            let is_repeated = repeated.contains(&key(&item));
            (item, is_repeated)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_twice_or_more_is_repeated() {
        assert_eq!(repeated(["a", "b", "a", "c", "a", "b"]), HashSet::from(["a", "b"]));
        assert_eq!(repeated([1, 2, 3]), HashSet::new());
    }

    #[test]
    fn what_comes_twice_stands_where_it_came_first() {
        let named = [("b", 1), ("a", 2), ("b", 3), ("c", 4)];
        assert_eq!(each_once(named, |item| item.0), [(("b", 1), true), (("a", 2), false), (("c", 4), false)]);
    }
}
