//! What a walk over a log knows of transactions: which records were aborted, and which markers have nothing left to
//! end (Kafka's `CleanedTransactionMetadata`). Pure: batches go in, in the order of their offsets.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
};

use crate::{
    log::{producer_state::EndMarker, transaction_index::AbortedTransaction},
    protocol::records::batch::{BatchHeader, RecordBatch},
};

/// The transactions of the log that is walked over.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// Those that were aborted and have not begun yet, by first offset.
    ahead: BinaryHeap<Reverse<(i64, Aborted)>>,
    /// Those that were aborted and have not ended yet, by producer.
    aborted: HashMap<i64, Aborted>,
    /// Producers of others that have records here.
    committed: HashSet<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Aborted {
    producer_id: i64,
    last_offset: i64,
    last_stable_offset: i64,
    first_offset: i64,
    /// A batch of it has come by.
    has_records: bool,
}

/// What becomes of a control batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// It ends something that has records, or is no marker.
    Needed,
    /// The same, of a transaction that was aborted: the index has to tell of it.
    Aborts(AbortedTransaction),
    /// Nothing is left of what it ended.
    Superfluous,
}

impl Transactions {
    /// Takes in the aborted transactions that have records in what comes next. One may be told of more than once.
    pub(super) fn expect(&mut self, aborted: &[AbortedTransaction]) {
        self.ahead.extend(aborted.iter().map(|transaction| {
            let &AbortedTransaction { producer_id, first_offset, last_offset, last_stable_offset } = transaction;
            let aborted = Aborted { producer_id, last_offset, last_stable_offset, first_offset, has_records: false };
            Reverse((first_offset, aborted))
        }));
    }

    /// Whether the records of this batch, which is no control batch, were aborted.
    pub(super) fn is_aborted(&mut self, header: &BatchHeader) -> bool {
        self.begin_up_to(header.last_offset());
        if !header.is_transactional() {
            return false;
        }
        if let Some(aborted) = self.aborted.get_mut(&header.producer_id) {
            aborted.has_records = true;
            return true;
        }
        self.committed.insert(header.producer_id);
        false
    }

    /// What a control batch is good for.
    pub(super) fn control(&mut self, batch: &RecordBatch) -> Marker {
        let header = batch.header();
        self.begin_up_to(header.last_offset());
        if header.record_count == 0 {
            // Compaction has emptied it before.
            return Marker::Superfluous;
        }
        let is_needed = match EndMarker::in_batch(batch) {
            None => true,
            Some(marker) if marker.is_commit => self.committed.remove(&header.producer_id),
            Some(_) => match self.aborted.remove(&header.producer_id).filter(|aborted| aborted.has_records) {
                Some(aborted) => return Marker::Aborts(aborted.into()),
                None => false,
            },
        };
        if is_needed { Marker::Needed } else { Marker::Superfluous }
    }

    fn begin_up_to(&mut self, offset: i64) {
        while let Some(Reverse((first_offset, _))) = self.ahead.peek()
            && *first_offset <= offset
        {
            let Some(Reverse((_, aborted))) = self.ahead.pop() else { return };
            self.aborted.entry(aborted.producer_id).or_insert(aborted);
        }
    }
}

impl From<Aborted> for AbortedTransaction {
    fn from(aborted: Aborted) -> Self {
        let Aborted { producer_id, last_offset, last_stable_offset, first_offset, .. } = aborted;
        Self { producer_id, first_offset, last_offset, last_stable_offset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::records::{builder::BatchBuilder, control::ControlRecordType};

    fn data(base_offset: i64, producer_id: i64) -> BatchHeader {
        let mut header = *marker(base_offset, producer_id, ControlRecordType::Commit).header();
        header.attributes = 0x10;
        header
    }

    fn marker(base_offset: i64, producer_id: i64, kind: ControlRecordType) -> RecordBatch {
        let mut builder = BatchBuilder::new(base_offset).producer(producer_id, 0, -1).transactional().control();
        builder.append_control(kind, 0, &[0, 0, 0, 0, 0, 0]).expect("fits");
        builder.build().expect("not empty")
    }

    fn aborted(producer_id: i64, first_offset: i64, last_offset: i64) -> AbortedTransaction {
        AbortedTransaction { producer_id, first_offset, last_offset, last_stable_offset: last_offset + 1 }
    }

    #[test]
    fn records_of_an_aborted_transaction_go_and_its_marker_stays_while_there_are_some() {
        let mut transactions = Transactions::default();
        transactions.expect(&[aborted(7, 2, 5), aborted(8, 0, 3), aborted(7, 8, 9)]);
        assert!(transactions.is_aborted(&data(0, 8)));
        assert!(!transactions.is_aborted(&data(1, 7)), "it begins later");
        assert!(!transactions.is_aborted(&BatchHeader { attributes: 0, ..data(2, 7) }), "not of a transaction");
        assert_eq!(transactions.control(&marker(3, 8, ControlRecordType::Abort)), Marker::Aborts(aborted(8, 0, 3)));
        assert!(transactions.is_aborted(&data(4, 7)));
        transactions.expect(&[aborted(7, 2, 5)]);
        assert_eq!(transactions.control(&marker(5, 7, ControlRecordType::Abort)), Marker::Aborts(aborted(7, 2, 5)));
        assert!(!transactions.is_aborted(&data(6, 9)));
        assert_eq!(transactions.control(&marker(9, 7, ControlRecordType::Abort)), Marker::Superfluous, "no records");
    }

    #[test]
    fn a_commit_is_needed_while_there_are_records() {
        let mut transactions = Transactions::default();
        assert!(!transactions.is_aborted(&data(0, 7)));
        let commit = |offset| marker(offset, 7, ControlRecordType::Commit);
        assert_eq!(transactions.control(&commit(1)), Marker::Needed);
        assert_eq!(transactions.control(&commit(2)), Marker::Superfluous);
    }

    #[test]
    fn what_is_no_marker_stays_and_what_was_emptied_goes() {
        let mut transactions = Transactions::default();
        let other = marker(0, 7, ControlRecordType::LeaderChange);
        assert_eq!(transactions.control(&other), Marker::Needed);
        let mut header = *other.header();
        header.record_count = 0;
        let empty = RecordBatch::assemble(header, &[]).expect("short");
        assert_eq!(transactions.control(&empty), Marker::Superfluous);
    }
}
