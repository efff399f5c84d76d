//! Proves what acknowledgements mean: random runs of a broker's logs on a simulated disk, with crashes and errors at
//! random calls, and after each recovery a comparison with what was answered and shown.
//!
//! `OTTLA_CRASH_SEEDS` says how many seeds, `OTTLA_CRASH_FIRST_SEED` from which on. A seed decides everything but the ids
//! of topics, the times in metadata records, and how long a sync takes, after which the next one may choose otherwise: a
//! seed that fails usually fails alone too.

mod check;
mod model;
mod random;
mod run;

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use self::run::{Run, Tally};

const SEEDS: u64 = 2_000;
const FIRST_SEED: u64 = 1;
const FAILURES_SHOWN: usize = 5;

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
fn what_was_acknowledged_or_shown_survives_every_crash() {
    let (first, count) = (number("OTTLA_CRASH_FIRST_SEED", FIRST_SEED), number("OTTLA_CRASH_SEEDS", SEEDS));
    let begun = Instant::now();
    let next = AtomicU64::new(first);
    let (failures, total) = (Mutex::new(Vec::new()), Mutex::new(Tally::default()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first.saturating_add(count) || failures.lock().expect("whole").len() >= FAILURES_SHOWN {
                return;
            }
            match run(seed) {
                Ok(tally) => total.lock().expect("whole").add(&tally),
                Err(reason) => failures.lock().expect("whole").push((seed, reason)),
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let (failures, total) = (failures.into_inner().expect("whole"), total.into_inner().expect("whole"));
    println!("seeds {first} to {}: {total:?} in {:?}", first.saturating_add(count) - 1, begun.elapsed());
    for (seed, reason) in &failures {
        println!("seed {seed}: {reason}");
        println!("  alone: OTTLA_CRASH_FIRST_SEED={seed} OTTLA_CRASH_SEEDS=1 cargo test --test crash -- --nocapture");
    }
    assert!(failures.is_empty(), "{} seeds failed", failures.len());
    // A run that does nothing proves nothing.
    let busy =
        total.crashes > count && total.acknowledged > 10 * count && total.errors > count && total.duplicates > count;
    assert!(count < 100 || busy, "the runs were too quiet: {total:?}");
}

fn run(seed: u64) -> Result<Tally, String> {
    catch_unwind(AssertUnwindSafe(|| Run::new(seed).go())).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
    })
}
