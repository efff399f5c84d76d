use super::{
    super::{
        NO_SESSION,
        tests::{asked, key, outcome, request},
    },
    *,
};

fn open(cache: &SessionCache, id: i32, partitions: &[i32], now: Instant) -> Option<i32> {
    let partitions = asked(partitions);
    let outcomes = vec![outcome(10, false); partitions.len()];
    cache.open(|| id, true, &partitions, &outcomes, now)
}

/// The partitions of a full fetch, and whether it opens a session.
fn full(plan: Result<Plan, ErrorCode>) -> (Vec<Asked>, bool) {
    match plan {
        Ok(Plan::Full { partitions, opens_session }) => (partitions, opens_session),
        other => panic!("not full: {other:?}"),
    }
}

fn incremental(plan: Result<Plan, ErrorCode>) -> Vec<i32> {
    match plan {
        Ok(Plan::Incremental { partitions, .. }) => partitions.iter().map(|asked| asked.key.partition).collect(),
        other => panic!("not incremental: {other:?}"),
    }
}

fn refused(plan: Result<Plan, ErrorCode>) -> ErrorCode {
    plan.expect_err("must be refused")
}

fn many(count: usize) -> Vec<i32> {
    (0..).take(count).collect()
}

fn age(more: Duration) -> Duration {
    EVICTION_AGE + more
}

const MOMENT: Duration = Duration::from_millis(1);

#[test]
fn a_session_remembers_what_was_asked_for() {
    let now = Instant::now();
    let cache = SessionCache::new(10);
    assert_eq!(full(cache.begin(request(0, 0, &[0, 1]), now)), (asked(&[0, 1]), true));
    assert_eq!(open(&cache, 7, &[0, 1], now), Some(7));
    assert_eq!(incremental(cache.begin(request(7, 1, &[]), now)), [0, 1]);
    assert_eq!(incremental(cache.begin(request(7, 2, &[2]), now)), [0, 1, 2]);
    let forget = SessionRequest { forgotten: vec![key(0)], ..request(7, 3, &[]) };
    assert_eq!(incremental(cache.begin(forget, now)), [1, 2]);
}

#[test]
fn a_request_out_of_step_is_told_so() {
    let now = Instant::now();
    let cache = SessionCache::new(10);
    open(&cache, 7, &[0], now);
    assert_eq!(refused(cache.begin(request(8, 1, &[]), now)), ErrorCode::FetchSessionIdNotFound);
    assert_eq!(refused(cache.begin(request(7, 2, &[]), now)), ErrorCode::InvalidFetchSessionEpoch);
    let by_name = SessionRequest { uses_topic_ids: false, ..request(7, 1, &[]) };
    assert_eq!(refused(cache.begin(by_name, now)), ErrorCode::FetchSessionTopicIdError);
    assert_eq!(incremental(cache.begin(request(7, 1, &[]), now)), [0]);
}

#[test]
fn a_full_fetch_closes_the_session_that_it_names() {
    let now = Instant::now();
    let cache = SessionCache::new(10);
    open(&cache, 7, &[0], now);
    assert_eq!(full(cache.begin(request(7, FINAL_EPOCH, &[0]), now)), (asked(&[0]), false));
    assert!(cache.is_empty());
}

#[test]
fn a_session_that_forgets_everything_is_closed() {
    let now = Instant::now();
    let cache = SessionCache::new(10);
    open(&cache, 7, &[0], now);
    let forget = SessionRequest { forgotten: vec![key(0)], ..request(7, 1, &[]) };
    assert_eq!(full(cache.begin(forget, now)), (Vec::new(), false));
    assert!(cache.is_empty());
}

#[test]
fn the_cache_never_holds_more_than_its_slots() {
    let start = Instant::now();
    let cache = SessionCache::new(2);
    assert_eq!(open(&cache, 1, &[0], start), Some(1));
    assert_eq!(open(&cache, 2, &[0], start), Some(2));
    assert_eq!(open(&cache, 3, &[0, 1], start), None);
    let later = start + age(MOMENT);
    cache.begin(request(1, 1, &[]), later).expect("in step");
    assert_eq!(open(&cache, 3, &[0], later), Some(3));
    assert_eq!(refused(cache.begin(request(2, 1, &[]), later)), ErrorCode::FetchSessionIdNotFound);
    assert_eq!(open(&cache, 4, &[0], later), None);
    assert_eq!(open(&cache, 4, &[0, 1], later), Some(4), "a bigger session displaces a smaller old one");
    assert_eq!((cache.len(), cache.evictions()), (2, 2));
}

#[test]
fn it_is_the_smallest_session_that_a_bigger_one_displaces() {
    let start = Instant::now();
    let cache = SessionCache::new(3);
    let later = start + age(MOMENT);
    // The biggest is the one that was used least recently; none is stale.
    for (id, size) in [(1, 4), (2, 2), (3, 3)] {
        open(&cache, id, &many(size), start);
        cache.begin(request(id, 1, &[]), later).expect("in step");
    }
    assert_eq!(open(&cache, 4, &many(2), later), None, "none is smaller");
    assert_eq!(open(&cache, 4, &many(3), later), Some(4));
    assert_eq!(refused(cache.begin(request(2, 2, &[]), later)), ErrorCode::FetchSessionIdNotFound);
    // One that has grown is not the smallest any more.
    cache.begin(request(3, 2, &many(9)), later).expect("in step");
    cache.begin(request(4, 1, &[]), later + age(MOMENT)).expect("in step");
    cache.begin(request(3, 3, &[]), later + age(MOMENT)).expect("in step");
    cache.begin(request(1, 2, &[]), later + age(MOMENT)).expect("in step");
    assert_eq!(open(&cache, 5, &many(5), later + age(MOMENT)), Some(5));
    assert_eq!(refused(cache.begin(request(4, 2, &[]), later)), ErrorCode::FetchSessionIdNotFound);
}

#[test]
fn a_session_that_is_evicted_while_it_is_served_is_gone_afterwards() {
    let now = Instant::now();
    let cache = SessionCache::new(1);
    open(&cache, 1, &[0], now);
    let Ok(Plan::Incremental { session, partitions, .. }) = cache.begin(request(1, 1, &[]), now) else {
        panic!("not incremental");
    };
    let later = now + age(MOMENT);
    assert_eq!(open(&cache, 2, &[0], later), Some(2));
    assert_eq!(lock(&session).tell(&partitions, &[outcome(11, false)]), [true]);
    assert_eq!(refused(cache.begin(request(1, 2, &[]), later)), ErrorCode::FetchSessionIdNotFound);
}

#[test]
fn sessions_remember_no_more_partitions_than_all_of_them_may() {
    let now = Instant::now();
    let cache = SessionCache::new(1);
    assert_eq!(open(&cache, 1, &many(1001), now), None);
    assert_eq!(open(&cache, 1, &many(1000), now), Some(1));
    assert_eq!(full(cache.begin(request(1, 1, &[1000]), now)), (asked(&many(1001)), false));
    assert!(cache.is_empty());
    assert_eq!(open(&cache, 2, &many(1000), now), Some(2), "what was closed is counted no more");
}

#[test]
fn a_stale_session_gives_back_its_partitions() {
    let start = Instant::now();
    let cache = SessionCache::new(2);
    assert_eq!(open(&cache, 1, &many(1500), start), Some(1));
    assert_eq!(open(&cache, 2, &many(600), start), None);
    assert_eq!(open(&cache, 2, &many(600), start + age(MOMENT)), Some(2));
    assert_eq!((cache.len(), cache.evictions()), (1, 1));
}

#[test]
fn a_session_has_a_limit_of_its_own() {
    let now = Instant::now();
    let cache = SessionCache::new(1000);
    let most = many(PARTITIONS_MAX);
    assert_eq!(open(&cache, 1, &most, now), Some(1));
    assert_eq!(incremental(cache.begin(request(1, 1, &[0]), now)), most);
    let one_more = i32::try_from(PARTITIONS_MAX).expect("not so many");
    assert_eq!(refused(cache.begin(request(1, 2, &[one_more]), now)), ErrorCode::InvalidRequest);
    assert!(cache.is_empty());
}

#[test]
fn a_taken_id_is_not_given_twice() {
    let now = Instant::now();
    let cache = SessionCache::new(10);
    assert_eq!(open(&cache, 7, &[0], now), Some(7));
    assert_eq!(open(&cache, 7, &[0], now), None);
    assert_eq!(open(&cache, NO_SESSION, &[0], now), None);
    let mut ids = [7, 7, 8].into_iter();
    let next = || ids.next().expect("the third is free");
    assert_eq!(cache.open(next, true, &asked(&[0]), &[outcome(0, false)], now), Some(8));
}
