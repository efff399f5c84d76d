//! What users' credentials look like to whoever only asks for them, counted, so that one can be made up without a walk over
//! all users.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::{ScramCredential, ScramMechanism};

/// What of a credential everybody is told, or can measure. Users have few of them: those of their tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    /// By what the password is hashed.
    pub mechanism: ScramMechanism,
    /// How often.
    pub iterations: u32,
    /// How many bytes the salt has.
    pub salt_len: usize,
    /// Whether the salt is a number in digits and lower-case letters, as Kafka's tools write it.
    pub is_text: bool,
}

/// How many credentials there are of each shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shapes {
    counts: BTreeMap<Shape, usize>,
    by_count: BTreeSet<(Reverse<usize>, Shape)>,
}

impl Shape {
    pub(super) fn of(mechanism: ScramMechanism, credential: &ScramCredential) -> Self {
        let ScramCredential { salt, iterations, .. } = credential;
        let is_digit = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
        Self { mechanism, iterations: *iterations, salt_len: salt.len(), is_text: salt.iter().all(is_digit) }
    }
}

impl Shapes {
    /// At most `limit` shapes, those of the most credentials, each with how many these are.
    pub fn most_frequent(&self, limit: usize) -> impl Iterator<Item = (Shape, usize)> {
        self.by_count.iter().take(limit).map(|(Reverse(count), shape)| (*shape, *count))
    }

    /// One credential looks otherwise than before, is new, or is gone.
    pub(super) fn replace(&mut self, before: Option<Shape>, after: Option<Shape>) {
        if before != after {
            before.into_iter().for_each(|shape| self.count(shape, |count| count - 1));
            after.into_iter().for_each(|shape| self.count(shape, |count| count + 1));
        }
    }

    fn count(&mut self, shape: Shape, change: impl FnOnce(usize) -> usize) {
        let before = self.counts.remove(&shape).unwrap_or(0);
        self.by_count.remove(&(Reverse(before), shape));
        let after = change(before);
        if after > 0 {
            self.counts.insert(shape, after);
            self.by_count.insert((Reverse(after), shape));
        }
    }
}
