//! Which known words somebody may have meant.

/// How many words are offered at most.
const OFFERED_MAX: usize = 3;

/// The known words nearest to `word`, nearest first; none where nothing is near.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word = word.to_lowercase();
    let distance_max = word.len() / 3;
    let mut near: Vec<_> = known
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let contained = !word.is_empty() && lower.contains(&word);
            let distance = edit_distance(&word, &lower);
            (contained || distance <= distance_max).then_some((!lower.starts_with(&word), distance, candidate))
        })
        .collect();
    near.sort_unstable();
    near.into_iter().take(OFFERED_MAX).map(|(_, _, candidate)| candidate).collect()
}

/// How many letters have to be added, dropped or changed to get from `a` to `b`.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, distance) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("same", "same", 0)] {
            assert_eq!(edit_distance(a, b), distance);
            assert_eq!(edit_distance(b, a), distance);
        }
    }

    #[test]
    fn near_words_come_nearest_first() {
        let known = ["FetchRequest", "FetchResponse", "FetchSnapshotRequest", "ProduceRequest"];
        assert_eq!(nearest("FetchRequst", known)[0], "FetchRequest");
        assert_eq!(nearest("fetch", known), ["FetchRequest", "FetchResponse", "FetchSnapshotRequest"]);
        assert_eq!(nearest("ProduceRequests", known), ["ProduceRequest"]);
        assert!(nearest("zzz", known).is_empty());
        assert!(nearest("", known).is_empty());
    }
}
