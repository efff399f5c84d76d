//! The fuzz targets on stable: each is given its corpus, then inputs made of that by a seeded generator, for a while.
//!
//! | variable             | meaning                                                                |
//! |----------------------|------------------------------------------------------------------------|
//! | `OTTLA_FUZZ_SECONDS` | how long for each target, in place of a moment; says how many inputs  |
//! | `OTTLA_FUZZ_SEED`    | where the generator begins                                             |
//! | `OTTLA_FUZZ_INPUT`   | a file: the target is given that and nothing else                      |
//!
//! `cargo test --test fuzz scram` is for one target. An input that fails is written to a file, and the failure says how to
//! run it alone. Of what can come before authentication the heap is measured with every input.

#![expect(unsafe_code, reason = "an allocator that counts cannot be written without")]

mod allocator;
mod corpus;
mod mutation;
mod seeds;
#[path = "../../fuzz/src/targets/mod.rs"]
mod targets;

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    sync::Once,
    time::{Duration, Instant},
};

use ottla_codegen::random::Rng;

use self::{
    mutation::Mutation,
    targets::{HEAP_ALLOWANCE, HEAP_MULTIPLE, TARGETS, Target},
};

/// How long a target runs without `OTTLA_FUZZ_SECONDS`.
const MOMENT: Duration = Duration::from_millis(500);
const SEED: u64 = 0x0774a;

macro_rules! tests {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                survive(stringify!($target));
            }
        )*

        #[test]
        fn every_target_has_a_test() {
            let tests = [$(stringify!($target)),*];
            assert_eq!(tests.map(str::to_owned).to_vec(), TARGETS.iter().map(|target| target.name).collect::<Vec<_>>());
        }
    };
}

tests! {
    frame request_header api_versions sasl_handshake sasl_authenticate scram plain
    request message interpreter
    batch batch_sealed records_compressed codecs stored_batch
    offset_index time_index transaction_index producer_snapshot checkpoints leader_epochs small_files partition_directory
    metadata_records metadata_log metadata_snapshot
    group_records transaction_records group_requests
    certificate principal_rules
    properties broker_config topic_config first_users
    dump pem
}

/// Every target has a file for cargo-fuzz, which calls it.
#[test]
fn every_target_is_known_to_cargo_fuzz() {
    let manifest = fs::read_to_string("fuzz/Cargo.toml").expect("the manifest");
    for Target { name, .. } in TARGETS {
        let text = fs::read_to_string(format!("fuzz/fuzz_targets/{name}.rs")).expect(name);
        assert!(text.contains(&format!("ottla_fuzz::run({name:?}, bytes)")), "{name}: {text}");
        assert!(manifest.contains(&format!("name = {name:?}\npath = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
    assert_eq!(fs::read_dir("fuzz/fuzz_targets").expect("the targets").count(), TARGETS.len());
}

fn survive(name: &str) {
    let target = *TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    let run = Run { target, seed: number("OTTLA_FUZZ_SEED").unwrap_or(SEED) };
    if let Some(path) = env::var_os("OTTLA_FUZZ_INPUT") {
        return run.give(&fs::read(path).expect("the input"));
    }
    let seconds = number("OTTLA_FUZZ_SECONDS");
    let until = Instant::now() + seconds.map_or(MOMENT, Duration::from_secs);
    let (inputs, slowest) = run.for_a_while(until);
    println!("{name}: {inputs} inputs with seed {}, the slowest in {slowest:?}", run.seed);
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}: a number is expected")))
}

/// A target and its inputs.
struct Run {
    target: Target,
    seed: u64,
}

impl Run {
    /// Gives the target its corpus and then what becomes of it, until a time. Says how many inputs that were, and how long
    /// the slowest took.
    fn for_a_while(&self, until: Instant) -> (u64, Duration) {
        quiet();
        let corpus = corpus::of(self.target.name);
        assert!(!corpus.is_empty(), "{} has no corpus", self.target.name);
        // What is made once is not any input's.
        (self.target.run)(&corpus[0]);
        let mut rng = Rng::new(self.seed);
        let mut mutation = Mutation::new(&mut rng, &corpus);
        let (mut inputs, mut slowest) = (0, Duration::ZERO);
        for input in &corpus {
            self.give(input);
            inputs += 1;
        }
        while Instant::now() < until {
            let input = mutation.next_input();
            let begun = Instant::now();
            self.give(&input);
            slowest = slowest.max(begun.elapsed());
            inputs += 1;
        }
        (inputs, slowest)
    }

    /// A failure leaves the input in a file.
    fn give(&self, input: &[u8]) {
        let mut outcome = Ok(());
        let peak = allocator::peak_of(|| outcome = catch_unwind(AssertUnwindSafe(|| (self.target.run)(input))));
        if let Err(panic) = outcome {
            let path = self.keep(input);
            let name = self.target.name;
            eprintln!(
                "{name} failed (seed {}). To run the input alone:\nOTTLA_FUZZ_INPUT={} cargo test --test fuzz -- --exact {name}",
                self.seed,
                path.display()
            );
            resume_unwind(panic);
        }
        let most = HEAP_MULTIPLE * input.len() + HEAP_ALLOWANCE;
        if self.target.before_authentication && peak > most {
            let path = self.keep(input);
            panic!("{}: {peak} bytes of heap for {} of input, more than {most}", path.display(), input.len());
        }
    }

    fn keep(&self, input: &[u8]) -> PathBuf {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
        fs::create_dir_all(&dir).expect("a directory for what fails");
        let path = dir.join(format!("{}-{:08x}", self.target.name, crc32c::crc32c(input)));
        fs::write(&path, input).expect("the input is written");
        path
    }
}

/// No log lines: a target that tells of damage tells of nothing else.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(tracing::subscriber::set_global_default(tracing::subscriber::NoSubscriber::default())));
}
