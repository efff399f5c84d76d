//! Transactions as clients see them: many of librdkafka's producers and consumers against a broker, and a checker of what
//! they saw.
//!
//! `cargo test` has a few seconds of it against a broker in this process. The long form has the binary killed and started
//! again all the while:
//!
//! ```text
//! cargo test --release --test transactions -- --ignored --nocapture
//! ```
//!
//! | variable | says | if not set |
//! |---|---|---|
//! | `OTTLA_TRANSACTIONS_SECONDS` | for how long the writers go on | 60 |
//! | `OTTLA_TRANSACTIONS_SEED` | what the clients choose | the time |
//! | `OTTLA_TRANSACTIONS_BOOTSTRAP` | a broker that runs already, also another one, and is left alone | the binary |
//!
//! A seed decides what each client does, not how they meet.

mod broker;
mod checker;
#[path = "../crash/random.rs"]
mod random;
mod workload;

use std::{
    env, thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use self::{
    broker::{InProcess, Process},
    checker::{Class, History, Outcome, check, report, violations},
    random::Random,
    workload::{Settings, run},
};

const SHORT: Duration = Duration::from_secs(5);
const LONG_SECONDS: u64 = 60;
/// How long the binary lives between two kills, in milliseconds.
const LIFE_MS: (i64, i64) = (1_000, 5_000);

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set");
    let seed = number("OTTLA_TRANSACTIONS_SEED").unwrap_or(now.as_secs());
    println!("OTTLA_TRANSACTIONS_SEED={seed}");
    seed
}

#[test]
fn committed_transactions_are_seen_whole_and_once() {
    let settings = Settings {
        seed: seed(),
        writers: 6,
        readers: 2,
        pipelines: 2,
        partitions: 3,
        transaction_timeout: Duration::from_secs(10),
        overrun: false,
    };
    let broker = InProcess::start();
    let history = run(&broker.bootstrap(), settings, || thread::sleep(SHORT));
    broker.stop();
    assert_right(&history, 50);
}

#[test]
#[ignore = "takes a minute and more"]
fn committed_transactions_are_seen_whole_and_once_whatever_dies() {
    let seconds = number("OTTLA_TRANSACTIONS_SECONDS").unwrap_or(LONG_SECONDS);
    let settings = Settings {
        seed: seed(),
        writers: 10,
        readers: 3,
        pipelines: 3,
        partitions: 4,
        transaction_timeout: Duration::from_secs(4),
        overrun: true,
    };
    let lasts = Duration::from_secs(seconds);
    let history = match env::var("OTTLA_TRANSACTIONS_BOOTSTRAP") {
        Ok(bootstrap) => run(&bootstrap, settings, || thread::sleep(lasts)),
        Err(_) => {
            let mut broker = Process::start();
            let bootstrap = broker.bootstrap().to_owned();
            let random = Random::new(settings.seed);
            run(&bootstrap, settings, || kill_and_restart(&mut broker, random, lasts))
        }
    };
    assert_right(&history, seconds);
}

fn kill_and_restart(broker: &mut Process, mut random: Random, lasts: Duration) {
    let end = Instant::now() + lasts;
    let mut kills = 0;
    while Instant::now() < end {
        let life = random.between(LIFE_MS.0, LIFE_MS.1);
        thread::sleep(Duration::from_millis(life.unsigned_abs()));
        broker.restart();
        kills += 1;
    }
    println!("killed {kills} times");
}

/// Fails for anything that a broker may not do, and for a run in which too little happened to tell.
fn assert_right(history: &History, committed_least: u64) {
    let count = |outcome| {
        let transactions = history.operations.iter().filter_map(|operation| operation.action.transaction());
        transactions.filter(|transaction| transaction.outcome == outcome).count() as u64
    };
    let (committed, aborted) = (count(Outcome::Committed), count(Outcome::Aborted));
    let found = check(history);
    let interleaved = found.iter().filter(|anomaly| anomaly.class == Class::IntSendSkip).count();
    println!(
        "{committed} transactions committed, {aborted} aborted, {} unknown, {interleaved} times one within another",
        count(Outcome::Unknown)
    );
    let anomalies = violations(found);
    assert!(anomalies.is_empty(), "{}", report(history, &anomalies));
    assert!(committed >= committed_least && aborted >= committed_least / 10, "the run was too quiet");
}
