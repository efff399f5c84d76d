use super::{
    super::{
        test_batches::{append_confirmed, batch},
        tests::{append, open, small},
    },
    *,
};
use crate::{
    log::{
        disk::sim::{Crash, SimDisk},
        log_dir::LogDir,
    },
    protocol::records::batch::BatchHeader,
};

const PRODUCER: i64 = 7;
const ENOSPC: i32 = 28;
const VERSIONS: [TransactionVersion; 2] = [TransactionVersion::V1, TransactionVersion::V2];

/// A batch of a transaction, with one record.
fn transactional(epoch: i16, base_sequence: i32) -> AppendBatch {
    let mut batch = batch(1, 1000, 10);
    batch.header =
        BatchHeader { producer_id: PRODUCER, producer_epoch: epoch, base_sequence, attributes: 0x10, ..batch.header };
    assert!(batch.header.seal(&batch.payload));
    batch
}

/// The end of the transaction of epoch 0.
fn end(version: TransactionVersion) -> TransactionEnd {
    let producer_epoch = i16::from(version.bumps_epoch());
    TransactionEnd { producer_id: PRODUCER, producer_epoch, is_commit: false, coordinator_epoch: 3, version }
}

fn expect(log: &Arc<PartitionLog>, epoch: i16, version: TransactionVersion) -> TransactionGuard {
    log.expect_transaction(PRODUCER, epoch, version).expect("not stale").expect("none is open")
}

fn places(log: &PartitionLog) -> usize {
    lock(&log.expected).len()
}

fn refusal<T: fmt::Debug>(result: Result<T, AppendError>) -> ProducerError {
    match result.expect_err("refused") {
        AppendError::Producer(error) => error,
        error => panic!("{error}"),
    }
}

const NO_TRANSACTION: ProducerError = ProducerError::NoTransaction { producer_id: PRODUCER, epoch: 0 };

/// Last stable offset and log end, once all is flushed.
fn ends(log: &Arc<PartitionLog>) -> (i64, i64) {
    log.commit_now().expect("flushed");
    (log.offsets().last_stable(), log.offsets().log_end())
}

fn crashed(disk: &SimDisk, dir: LogDir, log: Arc<PartitionLog>, crash: Crash) -> (LogDir, Arc<PartitionLog>) {
    disk.crash(crash);
    drop((dir, log));
    open(disk, small())
}

/// What two requests with batches of one transaction, and its coordinator, do one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Expect(usize),
    Ask(usize),
    Append(usize),
    /// The coordinator confirms the transaction no more.
    Prepare,
    Mark,
}

/// All orders of steps that keep the order of each party's.
fn orders(parties: &[&[Step]]) -> Vec<Vec<Step>> {
    let mut orders = Vec::new();
    for (at, party) in parties.iter().enumerate() {
        let Some((first, rest)) = party.split_first() else { continue };
        let mut left = parties.to_vec();
        left[at] = rest;
        orders.extend(self::orders(&left).into_iter().map(|order| [&[*first], order.as_slice()].concat()));
    }
    if orders.is_empty() { vec![Vec::new()] } else { orders }
}

#[test]
fn no_order_of_batches_and_marker_leaves_a_transaction_open() {
    let request = |n| [Step::Expect(n), Step::Ask(n), Step::Append(n)];
    let orders = orders(&[&request(0), &request(1), &[Step::Prepare, Step::Mark]]);
    assert_eq!(orders.len(), 560);
    for (order, version) in orders.iter().flat_map(|order| VERSIONS.map(|version| (order, version))) {
        let disk = SimDisk::new(1);
        let (_dir, log) = open(&disk, small());
        let mut guards = [None, None];
        let mut is_confirmed = [false, false];
        let (mut is_prepared, mut is_marked, mut appended) = (false, false, 0);
        for step in order {
            match *step {
                // The producer is shut out where the marker of V2 has come.
                Step::Expect(n) => guards[n] = log.expect_transaction(PRODUCER, 0, version).ok().flatten(),
                Step::Ask(n) => is_confirmed[n] = !is_prepared,
                Step::Append(n) => {
                    let batch = transactional(0, appended);
                    let result = match &guards[n] {
                        Some(_) if !is_confirmed[n] => continue,
                        Some(guard) => log.append_verified(&batch, guard, 0, 1),
                        None => log.append(&batch, 0, 1),
                    };
                    assert_eq!(result.is_ok(), !is_marked, "{order:?} in {version:?}: {result:?}");
                    appended += i32::from(result.is_ok());
                }
                Step::Prepare => is_prepared = true,
                Step::Mark => {
                    is_marked = true;
                    assert!(log.end_transaction(&end(version), 0, 1).expect("appended").is_some());
                }
            }
        }
        let log_end = i64::from(appended) + 1;
        assert_eq!(ends(&log), (log_end, log_end), "{order:?} in {version:?}");
        drop(guards);
        assert_eq!(places(&log), 0);
    }
}

#[test]
fn delayed_produce_is_refused_with_the_guard_that_it_had() {
    for version in VERSIONS {
        let disk = SimDisk::new(1);
        let (_dir, log) = open(&disk, small());
        let late = expect(&log, 0, version);
        log.end_transaction(&end(version), 0, 1).expect("appended").expect("the producer was not known");
        let stale = ProducerError::StaleEpoch { producer_id: PRODUCER, epoch: 0, current: 1 };
        let expected = if version.bumps_epoch() { stale } else { NO_TRANSACTION };
        assert_eq!(refusal(log.append_verified(&transactional(0, 0), &late, 0, 1)), expected);
        // The next transaction.
        let epoch = i16::from(version.bumps_epoch());
        let next = expect(&log, epoch, version);
        log.append_verified(&transactional(epoch, 0), &next, 0, 1).expect("appended");
        assert_eq!(
            refusal(log.append_verified(&transactional(0, 1), &late, 0, 1)),
            expected,
            "it does not become part of it"
        );
        assert_eq!(ends(&log), (1, 2));
    }
}

#[test]
fn a_marker_leaves_the_place_of_the_next_transaction_where_its_epoch_tells_them_apart() {
    let disk = SimDisk::new(1);
    let (_dir, log) = open(&disk, small());
    append_confirmed(&log, &transactional(0, 0), 1).expect("appended");
    let next = expect(&log, 1, TransactionVersion::V2);
    log.end_transaction(&end(TransactionVersion::V2), 0, 1).expect("appended").expect("it was open");
    log.append_verified(&transactional(1, 0), &next, 0, 1).expect("it was confirmed after the marker was written");
    assert_eq!(ends(&log), (2, 3));
}

#[test]
fn a_stale_marker_writes_nothing() {
    let disk = SimDisk::new(1);
    let (_dir, log) = open(&disk, small());
    append_confirmed(&log, &transactional(0, 0), 1).expect("appended");
    let end = end(TransactionVersion::V2);
    log.end_transaction(&end, 0, 1).expect("appended").expect("it was open");
    assert_eq!(log.end_transaction(&end, 0, 1).expect("ended before"), None);
    append_confirmed(&log, &transactional(1, 0), 1).expect("appended");
    let stale = ProducerError::StaleEpoch { producer_id: PRODUCER, epoch: 1, current: 1 };
    assert_eq!(refusal(log.end_transaction(&end, 0, 1)), stale);
    assert_eq!(ends(&log), (2, 3), "the next transaction is open");
    let next = TransactionEnd { producer_epoch: 2, ..end };
    log.end_transaction(&next, 0, 1).expect("appended").expect("it was open");
    assert_eq!(ends(&log), (4, 4));
}

#[test]
fn stale_epoch_first_and_duplicates_before_it_all() {
    let disk = SimDisk::new(1);
    let (dir, log) = open(&disk, small());
    // Three transactions of one epoch.
    for sequence in 0..3 {
        let late = expect(&log, 0, TransactionVersion::V1);
        append_confirmed(&log, &transactional(0, sequence), 1).expect("appended");
        let again = log.append_verified(&transactional(0, sequence), &late, 0, 1).expect("known");
        assert!(again.is_duplicate);
        if sequence < 2 {
            log.end_transaction(&end(TransactionVersion::V1), 0, 1).expect("appended").expect("it was open");
            let over = ProducerError::NoTransaction { producer_id: PRODUCER, epoch: 0 };
            assert_eq!(refusal(log.append_verified(&transactional(0, sequence), &late, 0, 1)), over);
        }
    }
    log.append(&transactional(0, 3), 0, 1).expect("the third is open");
    dir.close(1).expect("closed");
    drop((dir, log));
    let (_dir, log) = open(&disk, small());
    // A snapshot tells of the last batch alone.
    let again = log.append(&transactional(0, 2), 0, 1).expect("known");
    assert_eq!((again.first_offset, again.max_timestamp, again.is_duplicate), (4, 1000, true));
    log.end_transaction(&end(TransactionVersion::V2), 0, 1).expect("appended").expect("a higher epoch");
    let stale = ProducerError::StaleEpoch { producer_id: PRODUCER, epoch: 0, current: 1 };
    assert_eq!(refusal(log.append(&transactional(0, 4), 0, 1)), stale);
    assert_eq!(log.expect_transaction(PRODUCER, 0, TransactionVersion::V1).expect_err("stale"), stale);
    assert_eq!(places(&log), 0);
}

#[test]
fn mixed_mode_appends_nothing() {
    let disk = SimDisk::new(1);
    let (_dir, log) = open(&disk, small());
    append_confirmed(&log, &transactional(0, 0), 1).expect("appended");
    let plain = |epoch, sequence| {
        let mut batch = transactional(epoch, sequence);
        batch.header.attributes = 0;
        assert!(batch.header.seal(&batch.payload));
        batch
    };
    let refused = ProducerError::NotTransactional { producer_id: PRODUCER, first_offset: 0 };
    assert_eq!(refusal(log.append(&plain(0, 1), 0, 1)), refused);
    assert_eq!(refusal(log.append(&plain(5, 0), 0, 1)), refused, "which would shut the producer out");
    // Where no transaction is open, it can: the coordinator gets done all the same.
    log.end_transaction(&end(TransactionVersion::V1), 0, 1).expect("appended").expect("it was open");
    log.append(&plain(5, 0), 0, 1).expect("appended");
    assert_eq!(log.end_transaction(&end(TransactionVersion::V2), 0, 1).expect("nothing to end"), None);
    assert_eq!(ends(&log), (3, 3));
}

#[test]
fn a_coordinators_batches_are_part_of_transactions_too() {
    let disk = SimDisk::new(1);
    let (_dir, log) = open(&disk, small());
    let batch = AppendBatch { origin: AppendOrigin::Coordinator, ..transactional(0, 0) };
    assert_eq!(refusal(log.append(&batch, 0, 1)), NO_TRANSACTION);
    let guard = expect(&log, 0, TransactionVersion::V2);
    for first_offset in 0..2 {
        let appended = log.append_verified(&batch, &guard, 0, 1).expect("appended");
        assert_eq!((appended.first_offset, appended.is_duplicate), (first_offset, false));
    }
    assert!(log.append(&batch, 0, 1).is_ok(), "it is open");
    assert_eq!(ends(&log), (0, 3));
    log.end_transaction(&end(TransactionVersion::V2), 0, 1).expect("appended").expect("it was open");
    assert_eq!(ends(&log), (4, 4));
    let stale = ProducerError::StaleEpoch { producer_id: PRODUCER, epoch: 0, current: 1 };
    assert_eq!(refusal(log.append_verified(&batch, &guard, 0, 1)), stale);
}

#[test]
fn a_guard_is_for_one_producer_one_epoch_and_one_log() {
    let (disk, other) = (SimDisk::new(1), SimDisk::new(1));
    let (_dir, log) = open(&disk, small());
    let (_other_dir, other) = open(&other, small());
    for guard in [expect(&log, 1, TransactionVersion::V2), expect(&other, 0, TransactionVersion::V2)] {
        assert_eq!(refusal(log.append_verified(&transactional(0, 0), &guard, 0, 1)), NO_TRANSACTION);
    }
    let guards = [(); 3].map(|()| expect(&log, 0, TransactionVersion::V2));
    assert_eq!(places(&log), 3);
    log.append_verified(&transactional(0, 0), &guards[1], 0, 1).expect("appended");
    log.append_verified(&transactional(0, 1), &guards[0], 0, 1).expect("appended");
    assert!(log.expect_transaction(PRODUCER, 0, TransactionVersion::V2).expect("not stale").is_none());
    drop(guards);
    assert_eq!(places(&log), 0);
}

#[test]
fn lso_advances_even_if_a_marker_could_not_be_written_at_first() {
    let disk = SimDisk::new(1);
    let (_dir, log) = open(&disk, small());
    append_confirmed(&log, &transactional(0, 0), 1).expect("appended");
    let end = end(TransactionVersion::V1);
    disk.fail_nth(1, ENOSPC);
    assert!(matches!(log.end_transaction(&end, 0, 1), Err(AppendError::DiskFull)));
    disk.heal();
    assert_eq!(ends(&log), (0, 1));
    log.end_transaction(&end, 0, 1).expect("appended").expect("it is open still");
    assert_eq!(ends(&log), (2, 2));
}

#[test]
fn an_end_is_written_again_after_a_crash_that_lost_it() {
    for (crash, is_lost) in [(Crash::LoseAll, true), (Crash::KeepAll, false)] {
        for version in VERSIONS {
            let disk = SimDisk::new(1);
            let (dir, log) = open(&disk, small());
            append_confirmed(&log, &transactional(0, 0), 1).expect("appended");
            append(&log, 1, 1, 10);
            assert_eq!(ends(&log), (0, 2));
            log.end_transaction(&end(version), 0, 1).expect("appended").expect("it was open");
            let (_dir, log) = crashed(&disk, dir, log, crash);
            assert_eq!(log.oldest_open_transaction().is_some(), is_lost);
            let again = log.end_transaction(&end(version), 0, 1).expect("appended");
            assert_eq!(again.is_some(), is_lost, "{crash:?} in {version:?}");
            assert_eq!(ends(&log), (3, 3));
            assert_eq!(log.aborted_transactions(0, 3).expect("readable").len(), 1);
        }
    }
}

/// Kafka, too, lets retention take what is undecided: who reads committed records waits at the log's start for the end.
#[test]
fn a_log_start_behind_an_open_transaction_waits_for_its_end() {
    for crash in [None, Some(Crash::LoseAll), Some(Crash::KeepAll)] {
        let disk = SimDisk::new(1);
        let (mut dir, mut log) = open(&disk, small());
        append_confirmed(&log, &transactional(0, 0), 1).expect("appended");
        for n in 0..3 {
            append(&log, 1, n, 10);
        }
        append_confirmed(&log, &transactional(0, 1), 1).expect("appended");
        append(&log, 1, 9, 10);
        log.commit_now().expect("flushed");
        assert!(log.advance_log_start(2));
        assert_eq!(ends(&log), (2, 6));
        dir.checkpoint().expect("written down");
        if let Some(crash) = crash {
            (dir, log) = crashed(&disk, dir, log, crash);
            assert_eq!(ends(&log).1, 6);
            let last_stable = log.offsets().last_stable();
            assert!(last_stable <= 4, "{last_stable} is above a record that is not decided");
        }
        log.expire_producers(i64::MAX, 1);
        assert_eq!(log.producer_count(), 1, "its transaction is open");
        log.end_transaction(&end(TransactionVersion::V2), 0, 1).expect("appended").expect("it was open");
        assert_eq!(ends(&log), (7, 7));
        log.expire_producers(i64::MAX, 1);
        assert_eq!(log.producer_count(), 0);
        drop(dir);
    }
}
