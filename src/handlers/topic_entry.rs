//! What the APIs that name topics and partitions share.

use crate::metadata::image::{Partition, Topic};

/// The partitions with their indexes.
pub fn partitions(topic: &Topic) -> impl Iterator<Item = (i32, &Partition)> {
    (0..).zip(&topic.partitions)
}

/// Whether there is a partition with this index.
pub fn has_partition(topic: &Topic, index: i32) -> bool {
    usize::try_from(index).is_ok_and(|index| index < topic.partitions.len())
}
