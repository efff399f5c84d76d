use std::{sync::mpsc, thread};

use super::*;
use crate::{
    broker,
    coordinator::{error::CoordinatorError, placement::partition_for},
    groups::{
        error::GroupError,
        group::{Asking, NewOffset, OffsetOf, Topics},
    },
    log::{disk::sim::SimDisk, producer_state::TransactionEnd},
    protocol::{ids::ProducerIdAndEpoch, transaction_version::TransactionVersion},
};

fn new_offset(topic: &str, id: Uuid) -> NewOffset {
    NewOffset {
        topic: topic.into(),
        topic_id: Some(id),
        partition: 0,
        offset: 42,
        leader_epoch: None,
        metadata: Arc::default(),
        commit_timestamp: None,
        retention_ms: None,
    }
}

/// A group in this partition.
fn group_in(partition: i32) -> String {
    let mut names = (0..).map(|number| format!("group-{number}"));
    names.find(|name| partition_for(name, 50) == partition).expect("there is one")
}

/// What a group has committed.
fn fetch(coordinator: &GroupCoordinator, group: &str, topics: &Topics, require_stable: bool) -> Vec<OffsetOf> {
    let (sender, receiver) = mpsc::channel();
    drop(coordinator.runtime().run(group, |group, _, out| {
        let offsets = group.fetch_offsets(&Asking::default(), topics, require_stable, out).expect("fetched");
        sender.send(offsets).expect("it is waited for");
    }));
    receiver.recv().expect("the group is there")
}

fn count(coordinator: &GroupCoordinator, group: &str) -> usize {
    fetch(coordinator, group, &Topics::All, false).len()
}

/// Nothing else flushes.
fn flush(broker: &Broker, partition: i32) {
    let topic = broker.topic(GROUP_METADATA_TOPIC).expect("there");
    let (log, _) = topic.partition(partition).expect("there");
    log.commit_now().expect("flushed");
}

async fn create(broker: &Arc<Broker>, name: &str) -> Uuid {
    let topic = NewTopic { name: name.to_owned(), layout: Layout::Count(Some(1)), ..NewTopic::default() };
    broker.create_topics(vec![topic]).await.expect("written").remove(0).expect("created");
    broker.topic(name).expect("there").id()
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_of_a_topic_that_is_created_meanwhile_are_not_forgotten() {
    let broker = broker::tests::open(&SimDisk::new(1)).expect("opened");
    let coordinator = GroupCoordinator::start(Arc::clone(&broker));
    coordinator.ensure_topic().await.expect("created");
    let (first, second) = (group_in(0), group_in(1));
    let commit = |group: &str, offset: &NewOffset| {
        drop(coordinator.runtime().run(group, |state, cx, out| {
            state.commit_offsets(cx, group, &Asking::default(), std::slice::from_ref(offset), out)
        }));
    };
    commit(&first, &new_offset("gone", Uuid::from_u128(1)));
    assert_eq!(count(&coordinator, &first), 1);

    let (is_held, held) = mpsc::channel();
    let (create_now, created) = mpsc::channel();
    let holding = {
        let (coordinator, second) = (Arc::clone(&coordinator), second.clone());
        thread::spawn(move || {
            drop(coordinator.runtime().run(&second, |group, cx, out| {
                is_held.send(()).expect("it is waited for");
                let id: Uuid = created.recv().expect("created");
                group.commit_offsets(cx, &second, &Asking::default(), &[new_offset("new", id)], out)
            }));
        })
    };
    held.recv().expect("the second group is busy");
    let forgetting = {
        let coordinator = Arc::clone(&coordinator);
        thread::spawn(move || coordinator.forget_gone_topics(0))
    };
    while count(&coordinator, &first) > 0 {
        thread::yield_now();
    }
    create_now.send(create(&broker, "new").await).expect("it is waited for");
    holding.join().expect("committed");
    forgetting.join().expect("forgotten");
    assert_eq!(count(&coordinator, &second), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transactions_offsets_are_pending_until_its_marker_across_a_restart() {
    let broker = broker::tests::open(&SimDisk::new(1)).expect("opened");
    let id = create(&broker, "topic").await;
    let coordinator = GroupCoordinator::start(Arc::clone(&broker));
    coordinator.ensure_topic().await.expect("created");
    let (group, producer) = (group_in(7), ProducerIdAndEpoch { id: 9, epoch: 0 });
    let runtime = coordinator.runtime();
    let (partition, guard) = runtime.expect_transaction(&group, producer, TransactionVersion::V2).expect("loaded");
    let commit = runtime.run_in_transaction(&group, producer, guard.as_ref(), |state, cx, out| {
        state.commit_offsets_in_transaction(cx, &group, &Asking::default(), &[new_offset("topic", id)], out)
    });
    flush(&broker, partition);
    assert_eq!(commit.done().await.expect("written"), Ok(vec![Ok(())]));

    let topics = Topics::These(vec![("topic".into(), Some(id), vec![0])]);
    let stable = |coordinator: &GroupCoordinator| {
        let committed = fetch(coordinator, &group, &topics, true).remove(0).committed;
        committed.map(|committed| committed.map(|committed| committed.offset))
    };
    assert_eq!(stable(&coordinator), Err(GroupError::UnstableOffsetCommit));
    drop((guard, coordinator));
    let coordinator = GroupCoordinator::start(Arc::clone(&broker));
    let end = TransactionEnd {
        producer_id: 9,
        producer_epoch: 1,
        is_commit: true,
        coordinator_epoch: 0,
        version: TransactionVersion::V2,
    };
    let ended = loop {
        match coordinator.runtime().end_transaction(partition, &end).now() {
            Ok(Err(CoordinatorError::Loading)) => tokio::task::yield_now().await,
            Ok(ended) => panic!("{ended:?}"),
            Err(ended) => break ended,
        }
    };
    flush(&broker, partition);
    ended.done().await.expect("written");
    assert_eq!((partition, stable(&coordinator)), (7, Ok(Some(42))));
}
