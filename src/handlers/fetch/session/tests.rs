use super::*;

pub(super) const POSITION: Position =
    Position { fetch_offset: 0, max_bytes: 1000, current_leader_epoch: None, last_fetched_epoch: None };

pub(super) fn key(partition: i32) -> PartitionKey {
    PartitionKey { topic: TopicKey::Id(Uuid::from_u128(1)), partition }
}

pub(super) fn wanted(partitions: &[i32]) -> Vec<(PartitionKey, Position)> {
    partitions.iter().map(|&partition| (key(partition), POSITION)).collect()
}

pub(super) fn asked(partitions: &[i32]) -> Vec<Asked> {
    each_once(wanted(partitions))
}

pub(super) fn outcome(high_watermark: i64, has_records: bool) -> Outcome {
    Outcome { error: ErrorCode::None, high_watermark, log_start_offset: 0, has_records, topic_name: None }
}

pub(super) fn request(id: i32, epoch: i32, partitions: &[i32]) -> SessionRequest {
    SessionRequest { id, epoch, uses_topic_ids: true, wanted: wanted(partitions), forgotten: Vec::new() }
}

fn session(partitions: &[i32]) -> Session {
    let partitions = asked(partitions);
    Session::new(true, &partitions, &vec![outcome(10, false); partitions.len()])
}

fn indexes(asked: &[Asked]) -> Vec<i32> {
    asked.iter().map(|asked| asked.key.partition).collect()
}

#[test]
fn only_what_changed_is_told_and_records_go_last() {
    let mut session = session(&[0, 1, 2]);
    let mut tell = |outcomes: [Outcome; 3]| session.tell(&asked(&[0, 1, 2]), &outcomes);
    let same = || outcome(10, false);
    assert_eq!(tell([same(), same(), same()]), [false, false, false]);
    assert_eq!(tell([outcome(12, true), same(), outcome(11, false)]), [true, false, true]);
    assert_eq!(tell([outcome(12, false), same(), outcome(11, false)]), [false, false, false]);
    let error = Outcome { error: ErrorCode::OffsetOutOfRange, ..same() };
    assert_eq!(tell([outcome(12, false), error, outcome(11, false)]), [false, true, false]);
    assert_eq!(tell([outcome(12, false), same(), outcome(11, false)]), [false, true, false]);
    assert_eq!(indexes(&session.asked()), [1, 2, 0]);
}

#[test]
fn those_with_records_keep_their_order_at_the_end() {
    let mut session = session(&[0, 1, 2, 3]);
    let told = session.tell(&asked(&[0, 1, 2, 3]), &[true, false, true, false].map(|records| outcome(10, records)));
    assert_eq!(told, [true, false, true, false]);
    assert_eq!(indexes(&session.asked()), [1, 3, 0, 2]);
}

#[test]
fn what_was_forgotten_meanwhile_is_told_and_not_remembered() {
    let mut session = session(&[0, 1]);
    let before = session.asked();
    let forget = SessionRequest { forgotten: vec![key(0)], ..request(7, 1, &[]) };
    session.update(forget).expect("in step");
    assert_eq!(session.tell(&before, &[outcome(10, true), outcome(10, false)]), [true, false]);
    assert_eq!(indexes(&session.asked()), [1]);
}

#[test]
fn a_partition_that_is_named_twice_is_asked_for_once_as_it_was_named_last() {
    let at = |fetch_offset| Position { fetch_offset, ..POSITION };
    let twice = vec![(key(0), at(1)), (key(1), at(2)), (key(0), at(3))];
    let once = [(key(0), at(3)), (key(1), at(2))].map(|(key, position)| Asked { key, position, topic_name: None });
    assert_eq!(each_once(twice.clone()), once);
    let mut session = session(&[0]);
    session.update(SessionRequest { wanted: twice, ..request(7, 1, &[]) }).expect("in step");
    assert_eq!(session.asked(), once);
}

#[test]
fn the_name_of_a_topic_is_kept_when_the_topic_is_gone() {
    let mut session = session(&[0]);
    let name: Arc<str> = "t".into();
    session.tell(&asked(&[0]), &[Outcome { topic_name: Some(Arc::clone(&name)), ..outcome(10, false) }]);
    let gone = Outcome { error: ErrorCode::UnknownTopicOrPartition, ..outcome(-1, false) };
    session.tell(&asked(&[0]), &[gone]);
    assert_eq!(session.asked()[0].topic_name, Some(name));
}
