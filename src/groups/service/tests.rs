use std::{sync::mpsc, thread};

use super::*;
use crate::{
    broker,
    coordinator::placement::partition_for,
    groups::group::{Asking, NewOffset, Topics},
    log::disk::sim::SimDisk,
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

/// How many offsets a group has.
fn count(coordinator: &GroupCoordinator, group: &str) -> usize {
    let (sender, receiver) = mpsc::channel();
    drop(coordinator.runtime().run(group, |group, _, out| {
        let offsets = group.fetch_offsets(&Asking::default(), &Topics::All, false, out).expect("fetched");
        sender.send(offsets.len()).expect("it is waited for");
    }));
    receiver.recv().expect("the group is there")
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
