//! Transactions with as many partitions as a record has room for.

use super::{
    client::Client,
    history::History,
    world::{World, live},
};
use crate::{
    config::key::Value,
    log::group_commit::Durability,
    protocol::transaction_version::TransactionVersion,
    transactions::{
        state::{Outcome, State},
        transaction_metadata::Partitions,
    },
};

/// Bytes of a record, at most.
const RECORD_BYTES: i32 = 2000;

/// What says how its client talks takes more room in the record of its end than a partition does.
#[test]
fn a_transaction_ends_whose_record_is_as_large_as_the_topic_takes() {
    let disk = World::furnished();
    live(async {
        let world = World::open_with(&disk, Durability::Fsync, |config| {
            config.values.set("message.max.bytes", Value::Int(RECORD_BYTES));
        });
        let world = world.expect("opened");
        world.loaded().await.expect("loaded");
        let client = Client::begin(&world, "old", TransactionVersion::V0).await.expect("begins");
        let add = async |partitions: Partitions| world.done(client.try_add(partitions)).await.expect("answered");
        let mut next = 0;
        while add(Partitions::from_iter([("gone", next)])).await.is_ok() {
            next += 1;
        }
        assert_eq!((client.state(), next > 300), (Some(State::Ongoing), true));
        world.init("old").await.expect("the transaction before was aborted");
        world.stop(false).await;
    });
}

/// Each alone would have room in its record, and so have all of them in one.
#[test]
fn what_was_added_during_the_markers_is_written_as_one() {
    let disk = World::furnished();
    live(async {
        let world = World::open_with(&disk, Durability::Fsync, |config| {
            config.values.set("message.max.bytes", Value::Int(RECORD_BYTES));
        });
        let world = world.expect("opened");
        world.loaded().await.expect("loaded");
        let mut history = History::default();
        let mut client = Client::begin(&world, "new", TransactionVersion::V2).await.expect("begins");
        client.write(&mut history).await.expect("written");
        client.end(&mut history, Outcome::Commit).await.expect("decided");
        assert_eq!(client.state(), Some(State::PrepareCommit));
        let add = |from: i32| client.try_add((from..from + 150).map(|partition| ("gone", partition)).collect());
        let added = world.done(async { tokio::join!(add(0), add(150), add(300)) }).await;
        assert_eq!(added.expect("answered"), (Ok(()), Ok(()), Ok(())));
        world.stop(false).await;
    });
}
