//! Transactions whose first batch is on its way into a partition while the coordinator is asked whether it knows them.
//!
//! Whoever asks takes a place before, and appends only if it has the place still: the end of the transaction, which may come
//! between question and append, takes it away. So no batch gets in behind the marker that was to end it, and the place is
//! of no use for a later transaction (Kafka's `VerificationStateEntry`). Nothing is kept but the places that are held.

use std::collections::BTreeMap;

use super::TransactionEnd;
use crate::protocol::transaction_version::TransactionVersion;

/// The places of one partition.
#[derive(Debug, Default)]
pub struct ExpectedTransactions {
    /// Producer and number of a place; the epoch.
    places: BTreeMap<(i64, u64), i16>,
    next: u64,
}

/// One of them. No number is given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    producer_id: i64,
    epoch: i16,
    number: u64,
}

/// What is known of the transaction that a batch is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// Nobody was asked: it has to be open here.
    Absent,
    /// The coordinator knows it, and its producer talks like this.
    Given(TransactionVersion),
    /// The coordinator knew it, but has ended it since. If one is open here, it is the next.
    Withdrawn,
}

impl Place {
    /// Whose transaction it is.
    #[must_use]
    pub fn producer_id(&self) -> i64 {
        self.producer_id
    }

    /// The epoch of the transaction.
    #[must_use]
    pub fn epoch(&self) -> i16 {
        self.epoch
    }
}

impl ExpectedTransactions {
    /// Takes a place. A producer may have several.
    pub fn take(&mut self, producer_id: i64, epoch: i16) -> Place {
        let number = self.next;
        self.next += 1;
        self.places.insert((producer_id, number), epoch);
        Place { producer_id, epoch, number }
    }

    /// Whether the place was not taken away.
    #[must_use]
    pub fn holds(&self, place: &Place) -> bool {
        self.places.contains_key(&(place.producer_id, place.number))
    }

    /// Takes away the places of the transaction that ends, and of those before it.
    pub fn revoke(&mut self, end: &TransactionEnd) {
        let all = (end.producer_id, 0)..=(end.producer_id, u64::MAX);
        let ended = self.places.range(all).filter(|(_, epoch)| end.is_of(**epoch));
        for place in ended.map(|(place, _)| *place).collect::<Vec<_>>() {
            self.places.remove(&place);
        }
    }

    /// Gives a place up.
    pub fn give_up(&mut self, place: &Place) {
        self.places.remove(&(place.producer_id, place.number));
    }

    /// How many places are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}
