//! What a history says of each value and of each log.

use std::collections::{BTreeMap, HashMap};

use super::{
    history::{Action, History, Key, Outcome, Sent, Transaction, Value},
    log::Log,
};

/// Who sent a value, and to where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer {
    pub(super) operation: usize,
    pub(super) sent: Sent,
}

/// Who polled a value, and from where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    pub(super) operation: usize,
    pub(super) key: Key,
    pub(super) offset: i64,
}

pub(super) struct Facts<'a> {
    pub(super) history: &'a History,
    pub(super) writers: BTreeMap<Value, Writer>,
    pub(super) readers: HashMap<Value, Vec<Reader>>,
    pub(super) logs: BTreeMap<Key, Log>,
    /// Each transaction that committed: it says so, or somebody saw of it.
    committed: Vec<bool>,
    /// The final polls of each log.
    final_polls: HashMap<Key, Vec<usize>>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(history: &'a History) -> Self {
        let (writers, readers) = (writers(history), readers(history));
        let mut final_polls: HashMap<Key, Vec<usize>> = HashMap::new();
        for (index, operation) in history.operations.iter().enumerate() {
            if let Action::FinalPoll { key, .. } = &operation.action {
                final_polls.entry(*key).or_default().push(index);
            }
        }
        let committed = committed(history, &readers);
        let mut facts = Self { history, writers, readers, logs: BTreeMap::new(), committed, final_polls };
        facts.logs = facts.fold_logs();
        facts
    }

    fn fold_logs(&self) -> BTreeMap<Key, Log> {
        let mut logs: BTreeMap<Key, Log> = BTreeMap::new();
        for (value, writer) in &self.writers {
            if let Some(offset) = writer.sent.offset {
                logs.entry(writer.sent.key).or_default().sent(offset, *value, self.is_visible(*value));
            }
        }
        for (value, readers) in &self.readers {
            for reader in readers {
                logs.entry(reader.key).or_default().polled(reader.offset, *value, self.is_visible(*value));
            }
        }
        logs
    }

    /// True of what everybody who reads past it has to see.
    fn is_visible(&self, value: Value) -> bool {
        self.writers.get(&value).is_none_or(|writer| self.is_committed(writer.operation))
    }

    pub(super) fn is_committed(&self, operation: usize) -> bool {
        self.committed[operation]
    }

    pub(super) fn is_polled(&self, value: Value) -> bool {
        self.readers.contains_key(&value)
    }

    pub(super) fn readers(&self, value: Value) -> &[Reader] {
        self.readers.get(&value).map_or(&[], Vec::as_slice)
    }

    pub(super) fn final_polls(&self, key: Key) -> &[usize] {
        self.final_polls.get(&key).map_or(&[], Vec::as_slice)
    }

    /// The greatest offset of a log that anybody polled.
    pub(super) fn last_polled(&self, key: Key) -> Option<i64> {
        self.logs.get(&key).and_then(Log::last_polled)
    }

    /// Where a value is: as its producer was told, or else as it was polled.
    pub(super) fn offset(&self, sent: &Sent) -> Option<i64> {
        let polled = || self.readers(sent.value).iter().find(|reader| reader.key == sent.key);
        sent.offset.or_else(|| polled().map(|reader| reader.offset))
    }

    /// An operation in a few words.
    pub(super) fn name(&self, index: usize) -> String {
        let operation = &self.history.operations[index];
        let kind = match &operation.action {
            Action::Transaction(transaction) => match transaction.outcome {
                Outcome::Committed => "committed transaction",
                Outcome::Aborted => "aborted transaction",
                Outcome::Unknown => "transaction of unknown outcome",
            },
            Action::Poll(_) => "poll",
            Action::Assign => "assignment",
            Action::Seek(_) => "seek",
            Action::FinalPoll { .. } => "final poll",
        };
        format!("{kind} {index} of process {}", operation.process)
    }
}

fn writers(history: &History) -> BTreeMap<Value, Writer> {
    let mut writers = BTreeMap::new();
    for (operation, transaction) in transactions(history) {
        for sent in transaction.sends() {
            let former = writers.insert(sent.value, Writer { operation, sent: *sent });
            assert!(former.is_none(), "{} was sent twice, which makes the history useless", sent.value);
        }
    }
    writers
}

fn readers(history: &History) -> HashMap<Value, Vec<Reader>> {
    let mut readers: HashMap<Value, Vec<Reader>> = HashMap::new();
    for (index, operation) in history.operations.iter().enumerate() {
        for (key, record) in operation.action.records() {
            let reader = Reader { operation: index, key, offset: record.offset };
            readers.entry(record.value).or_default().push(reader);
        }
    }
    readers
}

fn committed(history: &History, readers: &HashMap<Value, Vec<Reader>>) -> Vec<bool> {
    let mut committed = vec![false; history.operations.len()];
    for (index, transaction) in transactions(history) {
        committed[index] = match transaction.outcome {
            Outcome::Committed => true,
            Outcome::Aborted => false,
            Outcome::Unknown => transaction.sends().any(|sent| readers.contains_key(&sent.value)),
        };
    }
    committed
}

/// The transactions, each with its index in the history.
pub(super) fn transactions(history: &History) -> impl Iterator<Item = (usize, &Transaction)> {
    let operations = history.operations.iter().enumerate();
    operations.filter_map(|(index, operation)| Some((index, operation.action.transaction()?)))
}
