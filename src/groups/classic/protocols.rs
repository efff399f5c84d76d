//! The protocols that members know, which one they choose, and what topics they subscribe to under it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::{Buf, Bytes};

use crate::protocol::{message::Message, messages::ConsumerProtocolSubscription, wire::Reader};

/// The protocol type of consumers, whose metadata the group can read.
pub(in crate::groups) const CONSUMER: &str = "consumer";

/// Topics and partitions of one subscription. What has more is none: a name takes many times the two bytes that it may
/// come in.
const SUBSCRIBED_MAX: usize = 250_000;

/// The protocols of a member, each with its metadata, the one that it likes best first. No name is there twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Protocols(Arc<[(Arc<str>, Bytes)]>);

impl Protocols {
    /// Takes a copy of what a request says.
    pub(super) fn new(listed: &[(Arc<str>, Bytes)]) -> Self {
        let mut names = HashSet::new();
        let first_of_name = listed.iter().filter(|(name, _)| names.insert(name));
        Self(first_of_name.map(|(name, metadata)| (name.clone(), Bytes::copy_from_slice(metadata))).collect())
    }

    /// What is left of them in a record: the one that was chosen.
    pub(super) fn one(name: &Arc<str>, metadata: &Bytes) -> Self {
        Self::new(&[(name.clone(), metadata.clone())])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().map(|(name, _)| name)
    }

    /// The metadata under this protocol, if the member knows it.
    pub(super) fn metadata(&self, wanted: Option<&str>) -> Bytes {
        let found = self.0.iter().find(|(name, _)| Some(&**name) == wanted);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }
}

/// The protocol that members choose: of those that all of them know, each votes for the one that it likes best. `None` if
/// they have none in common.
pub(super) fn choose(members: &[&Protocols]) -> Option<Arc<str>> {
    let mut known_by: HashMap<&str, usize> = HashMap::new();
    for name in members.iter().flat_map(|protocols| protocols.names()) {
        *known_by.entry(name).or_default() += 1;
    }
    let mut votes: Vec<(&Arc<str>, usize)> = Vec::new();
    for protocols in members {
        let vote = protocols.names().find(|name| known_by.get(&***name) == Some(&members.len()))?;
        match votes.iter_mut().find(|(name, _)| *name == vote) {
            Some((_, count)) => *count += 1,
            None => votes.push((vote, 1)),
        }
    }
    most_voted(&votes)
}

/// The name with the most votes. Of several the first in the order of Kafka's hash map, so that a mixed group does not
/// change its protocol because it has changed its broker.
fn most_voted(votes: &[(&Arc<str>, usize)]) -> Option<Arc<str>> {
    let buckets = (votes.len() * 4).div_ceil(3).next_power_of_two().max(16);
    let most = votes.iter().map(|(_, count)| *count).max()?;
    let tied = votes.iter().filter(|(_, count)| *count == most);
    tied.min_by_key(|(name, _)| bucket(name, buckets)).map(|(name, _)| (*name).clone())
}

/// Where `java.util.HashMap` puts a string.
fn bucket(name: &str, buckets: usize) -> usize {
    let hash = name.encode_utf16().fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
    (hash ^ (hash >> 16)) as usize & (buckets - 1)
}

/// Adds the topics that a consumer subscribes to; `None` if its metadata is not a subscription. Every version begins as
/// version 0, so that is how it is read, and topics that later versions know may come after.
pub(super) fn add_subscribed_topics(metadata: &Bytes, topics: &mut HashSet<Arc<str>>) -> Option<()> {
    let mut rest = metadata.clone();
    if rest.try_get_i16().ok()? < 0 {
        return None;
    }
    let mut r = Reader::new(&rest);
    r.limit_elements(SUBSCRIBED_MAX);
    let subscription = ConsumerProtocolSubscription::read(&mut r, 0).ok()?;
    for topic in subscription.topics {
        if !topics.contains(topic.as_str()) {
            topics.insert(topic.as_str().into());
        }
    }
    Some(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A subscription as a consumer writes it.
    pub(in crate::groups) fn subscription(version: i16, topics: &[&str]) -> Bytes {
        let mut bytes = version.to_be_bytes().to_vec();
        bytes.extend(i32::try_from(topics.len()).expect("few").to_be_bytes());
        for topic in topics {
            bytes.extend(i16::try_from(topic.len()).expect("short").to_be_bytes());
            bytes.extend(topic.as_bytes());
        }
        bytes.extend((-1_i32).to_be_bytes());
        if version >= 1 {
            bytes.extend(0_i32.to_be_bytes());
        }
        bytes.into()
    }

    fn protocols(names: &[&str]) -> Protocols {
        let listed: Vec<_> = names.iter().map(|&name| (name.into(), Bytes::new())).collect();
        Protocols::new(&listed)
    }

    #[track_caller]
    fn chosen(members: &[&[&str]], expected: Option<&str>) {
        let lists: Vec<_> = members.iter().map(|names| protocols(names)).collect();
        let lists: Vec<_> = lists.iter().collect();
        assert_eq!(choose(&lists).as_deref(), expected);
    }

    #[test]
    fn the_most_votes_win_among_what_all_know() {
        chosen(&[&["a", "b"]], Some("a"));
        chosen(&[&["a", "b"], &["b", "a"], &["b", "a"]], Some("b"));
        chosen(&[&["a", "b"], &["a", "b"], &["b"]], Some("b"));
        chosen(&[&["x", "b"], &["a", "b"]], Some("b"));
        chosen(&[&["a"], &["b"]], None);
        chosen(&[], None);
    }

    /// The order of a `java.util.HashMap`: of one-letter names that of their letters, which begin anew at p.
    #[test]
    fn a_tie_is_decided_as_kafka_does() {
        chosen(&[&["b", "a"], &["a", "b"]], Some("a"));
        chosen(&[&["o", "p"], &["p", "o"]], Some("p"));
        for [first, second] in [["range", "roundrobin"], ["range", "cooperative-sticky"], ["sticky", "range"]] {
            chosen(&[&[first, second], &[second, first]], Some(first));
            chosen(&[&[second, first], &[first, second]], Some(first));
        }
    }

    /// With more than twelve the map has grown to 32 buckets, where p comes after o.
    #[test]
    fn many_votes_are_decided_as_kafka_does() {
        let names = ["d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];
        let rotated = |by: usize, count: usize| -> Vec<&str> {
            let mut names = names[13 - count..].to_vec();
            names.rotate_left(by);
            names
        };
        for (count, expected) in [(12, "p"), (13, "d")] {
            let lists: Vec<_> = (0..count).map(|by| rotated(by, count)).collect();
            let lists: Vec<&[&str]> = lists.iter().map(Vec::as_slice).collect();
            chosen(&lists, Some(expected));
        }
    }

    #[test]
    fn a_name_that_comes_twice_counts_once() {
        let twice = [("a".into(), Bytes::from_static(b"1")), ("a".into(), Bytes::from_static(b"2"))];
        let protocols = Protocols::new(&twice);
        assert_eq!((protocols.names().count(), protocols.metadata(Some("a"))), (1, Bytes::from_static(b"1")));
        assert_eq!(choose(&[&protocols]).as_deref(), Some("a"));
    }

    #[test]
    fn what_is_kept_does_not_hold_the_frame() {
        let frame = Bytes::from(vec![7; 100]);
        let protocols = Protocols::new(&[("a".into(), frame.slice(10..20))]);
        assert_eq!(protocols.metadata(Some("a")), frame.slice(10..20));
        assert!(frame.is_unique());
    }

    #[test]
    fn topics_are_read_from_any_version() {
        let mut topics = HashSet::new();
        for (version, topic) in [(0, "a"), (1, "b"), (3, "c"), (99, "a")] {
            assert_eq!(add_subscribed_topics(&subscription(version, &[topic]), &mut topics), Some(()));
        }
        assert_eq!(topics, ["a", "b", "c"].map(Arc::from).into());
    }

    #[test]
    fn hostile_metadata_is_no_subscription() {
        let whole = subscription(0, &["topic"]);
        for length in 0..whole.len() {
            assert_eq!(add_subscribed_topics(&whole.slice(..length), &mut HashSet::new()), None, "{length} bytes");
        }
        let many = Bytes::from_static(b"\0\0\x7f\xff\xff\xff\0\x01a");
        let negative_version = subscription(-1, &["topic"]);
        let not_utf8 = Bytes::from_static(b"\0\0\0\0\0\x01\0\x01\xff\xff\xff\xff\xff");
        let bomb = subscription(0, &vec![""; SUBSCRIBED_MAX + 1]);
        for hostile in [many, negative_version, not_utf8, bomb] {
            assert_eq!(add_subscribed_topics(&hostile, &mut HashSet::new()), None);
        }
    }
}
