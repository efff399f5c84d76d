//! Flips single bits of a whole data directory, one at a time, and looks at everything that a client could see then.
//!
//! Whatever is damaged, the broker never panics, never serves wrong data without an error where the format lets it know, and
//! loses nothing but the damaged batch. A directory is made in two ways, closed cleanly and killed; what is flipped is
//! chosen by a seed. `OTTLA_FLIPS` says how many (`all` for every bit), `OTTLA_FLIPS_FIRST` from which on.

mod judge;
#[path = "../crash/random.rs"]
#[allow(dead_code, reason = "it is the crash test's, which uses more of it")]
mod random;
mod world;

use std::{
    collections::BTreeMap,
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use ottla::{
    log::disk::sim::SimDisk,
    protocol::{
        ids::TopicPartition,
        records::batch::{BatchHeader, HEADER_SIZE},
    },
};

use self::{
    judge::{Damaged, Judge, Outcome, View},
    random::Random,
    world::{Stop, World, files, start},
};

const FLIPS: u64 = 400;

/// What nobody can know: the kind of thing, how the broker had stopped, and how what is wrong begins.
///
/// Files of text have no checksum, so a digit may become another; and after a kill nothing says where a log ended, nor
/// which epoch its last batch has.
const UNDETECTABLE: [(&str, Option<Stop>, &[&str]); 4] = [
    (
        ".log base offset",
        Some(Stop::Killed),
        &["silently wrong: a base offset", "silently wrong: a look-up by timestamp"],
    ),
    ("leader-epoch-checkpoint", None, &["silently wrong: the end of a leader epoch"]),
    (
        "log-start-offset-checkpoint",
        None,
        &["silently wrong: the log start", "good data lost: a good batch cannot be read: offset"],
    ),
    (
        ".log leader epoch",
        None,
        &[
            "silently wrong: a leader epoch",
            "silently wrong: a look-up by timestamp",
            "silently wrong: the end of a leader epoch",
        ],
    ),
];

/// A directory, and what is known of it.
struct Case {
    stop: Stop,
    world: World,
    files: Vec<(PathBuf, Vec<u8>)>,
    whole: View,
}

impl Case {
    fn new(stop: Stop) -> Self {
        let world = World::new(stop);
        let files = files(&world.disk);
        let broker = start(&world.disk.copy(1)).expect("starts");
        let whole = View::of(&broker, &world);
        let case = Self { stop, world, files, whole };
        let untouched = Judge::new(&case.world, &case.whole, &None, &case.world.disk.copy(1), 1).judge();
        assert_eq!(untouched, Outcome::Harmless, "{stop:?}: without damage");
        case
    }

    fn bits(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| bytes.len() as u64 * 8).sum()
    }

    /// Flips a bit and says what was hit and what came of it.
    fn flip(&self, bit: u64) -> (String, Outcome) {
        let (path, bytes, at, mask) = self.place(bit);
        let disk: SimDisk = self.world.disk.copy(bit);
        disk.corrupt(path, at, &[bytes[at] ^ mask]).expect("flipped");
        let (what, damaged) = target(path, bytes, at);
        let judge = || Judge::new(&self.world, &self.whole, &damaged, &disk, bit).judge();
        let outcome = catch_unwind(AssertUnwindSafe(judge)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Outcome::Lost(format!("panic: {}", text.unwrap_or_default()))
        });
        (format!("{what}, {:?}", self.stop), outcome)
    }

    fn place(&self, mut bit: u64) -> (&Path, &[u8], usize, u8) {
        for (path, bytes) in &self.files {
            let bits = bytes.len() as u64 * 8;
            if bit < bits {
                return (path, bytes, usize::try_from(bit / 8).expect("small"), 1 << (bit % 8));
            }
            bit -= bits;
        }
        panic!("there are not so many bits");
    }
}

/// The kind of file, and the field if it is a batch's; and which batch.
fn target(path: &Path, bytes: &[u8], at: usize) -> (String, Damaged) {
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
    let dir = path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).expect("a name");
    let kind = name.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
    let is_metadata = dir.starts_with("__cluster_metadata");
    let kind = if is_metadata { format!("metadata {kind}") } else { kind.to_owned() };
    if !name.ends_with(".log") {
        return (kind, None);
    }
    let mut begin = 0;
    loop {
        let header = BatchHeader::parse(&bytes[begin..]).expect("whole");
        if at < begin + header.size() {
            let (topic, index) = dir.rsplit_once('-').expect("a partition");
            let partition = TopicPartition::new(topic, index.parse().expect("a number"));
            return (format!("{kind} {}", field(at - begin)), Some((partition, header.base_offset)));
        }
        begin += header.size();
    }
}

fn field(at: usize) -> &'static str {
    match at {
        0..8 => "base offset",
        8..12 => "length",
        12..16 => "leader epoch",
        16 => "magic",
        17..21 => "CRC",
        21..23 => "attributes",
        23..27 => "last offset delta",
        27..HEADER_SIZE => "rest of the header",
        _ => "records",
    }
}

/// How often each outcome came of damage to each kind of thing, and one bit that shows it.
#[derive(Default)]
struct Tally(BTreeMap<(String, String), (u64, (Stop, u64))>);

#[test]
fn a_flipped_bit_is_contained() {
    let cases = [Case::new(Stop::Clean), Case::new(Stop::Killed)];
    let number = |name: &str, default| env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let is_all = env::var("OTTLA_FLIPS").is_ok_and(|flips| flips == "all");
    let bits: u64 = cases.iter().map(Case::bits).sum();
    let (first, count) =
        if is_all { (0, bits) } else { (number("OTTLA_FLIPS_FIRST", 0), number("OTTLA_FLIPS", FLIPS)) };
    let begun = Instant::now();
    let next = AtomicU64::new(first);
    let tally = Mutex::new(Tally::default());
    let work = || {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= first.saturating_add(count) {
                return;
            }
            let mut bit = if is_all { n } else { Random::new(n).below(bits) };
            let case = cases.iter().find(|case| {
                let is_here = bit < case.bits();
                bit -= if is_here { 0 } else { case.bits() };
                is_here
            });
            let case = case.expect("one of them has it");
            let (what, outcome) = case.flip(bit);
            let mut tally = tally.lock().expect("whole");
            // Why it is refused differs from place to place.
            let outcome = match outcome {
                Outcome::Refused(_) => "start refused".to_owned(),
                outcome => outcome.to_string(),
            };
            tally.0.entry((what, outcome)).or_insert((0, (case.stop, n))).0 += 1;
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let tally = tally.into_inner().expect("whole");
    println!("flips {first} to {} of {bits} bits in {:?}", first + count - 1, begun.elapsed());
    for ((what, outcome), (count, (_, n))) in &tally.0 {
        println!("{count:6}  {what}: {outcome}  (such as {n})");
    }
    let is_bad = |outcome: &str| outcome.starts_with("silently") || outcome.starts_with("good data");
    let is_known = |what: &str, outcome: &str| {
        UNDETECTABLE.iter().any(|(thing, stop, outcomes)| {
            let is_it = stop.map_or_else(
                || what.strip_prefix(thing).is_some_and(|rest| rest.starts_with(',')),
                |stop| what == format!("{thing}, {stop:?}"),
            );
            is_it && outcomes.iter().any(|known| outcome.starts_with(known))
        })
    };
    let is_bad = |(what, outcome): &(String, String)| is_bad(outcome) && !is_known(what, outcome);
    let bad: Vec<_> = tally.0.keys().filter(|entry| is_bad(entry)).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}
