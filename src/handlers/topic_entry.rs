//! What the APIs that describe topics share.

use crate::metadata::image::{Partition, Topic};

/// The partitions with their indexes.
pub fn partitions(topic: &Topic) -> impl Iterator<Item = (i32, &Partition)> {
    (0..).zip(&topic.partitions)
}
