//! Markers that cannot be written, or need not be.

use std::sync::Arc;

use super::{
    client::Client,
    history::History,
    world::{PARTITIONS, TOPIC, World, live},
};
use crate::{
    clock::monotonic,
    config::topic_name::GROUP_METADATA_TOPIC,
    log::{
        disk::sim::{Crash, SimDisk},
        group_commit::Durability,
        partition_log::PartitionLog,
        producer_state::TransactionEnd,
    },
    protocol::transaction_version::TransactionVersion,
    transactions::state::{Outcome, State},
};

const EIO: i32 = 5;

async fn begin(world: &World, version: TransactionVersion) -> Client<'_> {
    world.loaded().await.expect("loaded");
    Client::begin(world, "id", version).await.expect("begun")
}

/// The partition of the topic that the id's transactions have something in.
fn partition(world: &World, topic: &str) -> i32 {
    if topic == TOPIC { 0 } else { world.groups.runtime().partition_of("id").expect("hosted") }
}

/// A stop closes logs one by one.
#[test]
fn a_log_that_is_closed_has_not_been_told() {
    for topic in [TOPIC, GROUP_METADATA_TOPIC] {
        let furnished = World::furnished();
        live(async {
            let world = World::open(&furnished, Durability::Fsync).expect("opened");
            let mut client = begin(&world, TransactionVersion::V2).await;
            let mut history = History::default();
            client.write(&mut history).await.expect("written");
            world.log(topic, partition(&world, topic)).0.close().expect("closed");
            client.end(&mut history, Outcome::Commit).await.expect("decided");
            world.pass_time().await.expect("passed");
            assert_eq!(client.state(), Some(State::PrepareCommit), "{topic}");
        });
    }
}

/// A coordinator that has come before another must not say that there is nothing left to be done.
#[test]
fn a_log_that_knows_a_later_coordinator_has_not_been_told() {
    let furnished = World::furnished();
    live(async {
        let world = World::open(&furnished, Durability::Fsync).expect("opened");
        let mut client = begin(&world, TransactionVersion::V0).await;
        let mut history = History::default();
        client.write(&mut history).await.expect("written");
        let (log, leader_epoch) = world.log(TOPIC, 0);
        let later = TransactionEnd {
            producer_id: client.producer.id,
            producer_epoch: client.producer.epoch,
            is_commit: false,
            coordinator_epoch: 100,
            version: TransactionVersion::V0,
        };
        log.end_transaction(&later, leader_epoch, 0).expect("appended");
        client.write(&mut history).await.expect("written");
        client.end(&mut history, Outcome::Commit).await.expect("decided");
        world.pass_time().await.expect("passed");
        assert_eq!(client.state(), Some(State::PrepareCommit));
    });
}

#[test]
fn a_topic_that_is_deleted_while_its_markers_are_on_their_way_keeps_nobody_waiting() {
    for topic in [TOPIC, GROUP_METADATA_TOPIC] {
        let furnished = World::furnished();
        live(async {
            let world = World::open(&furnished, Durability::Fsync).expect("opened");
            let mut client = begin(&world, TransactionVersion::V2).await;
            let mut history = History::default();
            client.write(&mut history).await.expect("written");
            client.end(&mut history, Outcome::Commit).await.expect("decided");
            let logs: Vec<_> = (0..PARTITIONS).map(|index| world.log(topic, index).0).collect();
            let is_under_way = |log: &Arc<PartitionLog>| log.offsets().high_watermark() < log.offsets().log_end();
            while !logs.iter().any(is_under_way) {
                tokio::task::yield_now().await;
            }
            // The metadata has been without it for a moment, and whoever has found it before still writes.
            let names: Vec<_> = logs.iter().map(|log| log.topic_partition().clone()).collect();
            world.broker.logs().delete_partitions(&names, monotonic()).expect("deleted");
            assert!(logs.iter().any(is_under_way), "nothing has flushed it");
            world.until(|| world.unfinished() == 0).await.expect("nobody waits");
            assert_eq!(client.state(), Some(State::CompleteCommit), "{topic}");
        });
    }
}

/// Of a log that cannot be read a coordinator knows nothing, neither what is pending there.
#[test]
fn a_coordinator_that_cannot_read_its_log_has_not_been_told() {
    let disk = World::furnished();
    let mut history = History::default();
    live(async {
        let world = World::open(&disk, Durability::Fsync).expect("opened");
        let mut client = begin(&world, TransactionVersion::V2).await;
        client.write(&mut history).await.expect("written");
        client.end(&mut history, Outcome::Commit).await.expect("decided");
        assert_eq!(client.state(), Some(State::PrepareCommit));
    });
    disk.crash(Crash::KeepAll);
    let start = |disk: &SimDisk, n: u64| {
        let before = disk.calls();
        disk.fail_nth(n, EIO);
        let is_finished = live(async {
            let Ok(world) = World::open(disk, Durability::Fsync) else { return false };
            let finished = async {
                world.loaded().await?;
                world.until(|| world.unfinished() == 0).await
            };
            finished.await.is_ok()
        });
        disk.heal();
        (is_finished, disk.calls() - before)
    };
    let (is_finished, calls) = start(&disk.copy(0), u64::MAX / 2);
    assert!(is_finished);
    let mut unfinished = 0;
    for n in 1..=calls {
        let disk = disk.copy(n);
        unfinished += u32::from(!start(&disk, n).0);
        disk.crash(Crash::LoseAll);
        let (is_finished, _) = start(&disk, u64::MAX / 2);
        assert!(is_finished, "call {n}");
        live(async {
            let world = World::open(&disk, Durability::Fsync).expect("opened");
            world.loaded().await.expect("loaded");
            history.check(&world, &format!("call {n}"));
        });
    }
    assert!(unfinished > 3, "starts fail where both coordinators read their logs");
}
