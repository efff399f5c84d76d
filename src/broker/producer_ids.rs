//! Producer ids: unique for ever. Taken from the metadata log in blocks, so that most producers cost no flush.

use std::ops::Range;

/// Ids in a block (Kafka's `ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`).
const BLOCK_SIZE: i64 = 1000;

/// What is left of the current block. What a stop leaves of it is given to nobody.
#[derive(Debug, Default)]
pub(super) struct ProducerIds(Range<i64>);

impl ProducerIds {
    /// The next id, if there is one left.
    pub(super) fn next(&mut self) -> Option<i64> {
        self.0.next()
    }

    /// Begins a new block, which the metadata log has given away.
    pub(super) fn refill(&mut self, block: Range<i64>) {
        self.0 = block;
    }
}

/// The block that begins with `first`, unless the ids end before it does.
pub(super) fn block_from(first: i64) -> Option<Range<i64>> {
    Some(first..first.checked_add(BLOCK_SIZE)?)
}
