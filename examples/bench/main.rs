//! Measures Ottla, and other brokers beside it, on one machine and in one run.
//!
//! ```text
//! cargo build --release
//! cargo run --release --example bench                                       # Ottla alone
//! cargo run --release --example bench -- --kafka-start 'start-kafka $PORT $DIR'
//! cargo run --release --example bench -- --only acks=all --variant ottla.durability=kafka
//! cargo run --release --example bench -- --rounds 1 --mb 20 --requests 2000 --paced-seconds 1 --sweep-mb 20
//! ```
//!
//! Each broker is started on a new directory. A load runs once without being measured, which warms up a JVM and the page
//! cache, then in rounds; within a round the brokers take turns, in an order that changes from round to round. What
//! earlier loads wrote is on the disk before a load begins. Shown are medians, as a Markdown table; what is going on goes
//! to standard error.
//!
//! CPU is the broker's own user and system time; the clients run on the same machine and have to share its cores, so
//! throughput is that of broker and client together. Figures of different runs are not to be compared: machines drift.

mod client;
mod machine;
mod process;
mod table;
mod work;

use std::{
    env,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use tempfile::TempDir;

use crate::{
    process::{Broker, Competitor, Start, directory},
    table::{Figure, Table},
    work::{Load, Sizes, loads},
};

/// How long a broker that has just started is left alone before its memory is looked at.
const IDLE: Duration = Duration::from_secs(2);
/// The topics with 2,000 partitions in all.
const MANY_TOPICS: usize = 20;
const MANY_PARTITIONS: i32 = 100;

/// Measures brokers side by side.
#[derive(Parser)]
#[command(max_term_width = 100)]
struct Arguments {
    /// Ottla's release binary; by default the one that was built beside this program.
    #[arg(long)]
    ottla: Option<PathBuf>,
    /// Another Ottla with this setting, for example `ottla.durability=kafka`. Repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    variant: Vec<String>,
    /// A shell command that starts Apache Kafka on 127.0.0.1:$PORT (its controller may have the port above), with all its
    /// files in $DIR. It is stopped by SIGTERM to the process that listens on the port.
    #[arg(long, value_name = "COMMAND")]
    kafka_start: Option<String>,
    /// Where the brokers' directories are made; by default where temporary files go.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Measured rounds of each load.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only the loads with this in their name.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// After this time no load is begun.
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    minutes_max: u64,
    #[command(flatten)]
    sizes: Sizes,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let competitors = competitors(&arguments)?;
    let mut bench = Bench {
        table: Table::new(competitors.iter().map(|competitor| competitor.name.clone()).collect()),
        competitors,
        until: Instant::now() + Duration::from_secs(arguments.minutes_max * 60),
        arguments,
    };
    bench.run()?;
    let temporary = env::temp_dir();
    println!("{}\n", machine::description(bench.arguments.directory.as_deref().unwrap_or(&temporary)));
    println!("{}", bench.table);
    Ok(())
}

fn competitors(arguments: &Arguments) -> Result<Vec<Competitor>> {
    let binary = arguments.ottla.clone().map_or_else(built_beside, Ok)?;
    ensure!(binary.is_file(), "{} is not there: `cargo build --release` makes it", binary.display());
    let ottla = |name: &str, overrides| Competitor {
        name: name.to_owned(),
        start: Start::Ottla { binary: binary.clone(), overrides },
    };
    let mut competitors = vec![ottla("Ottla", Vec::new())];
    for setting in &arguments.variant {
        competitors.push(ottla(&format!("Ottla, {setting}"), vec![setting.clone()]));
    }
    if let Some(command) = &arguments.kafka_start {
        competitors.push(Competitor { name: "Apache Kafka".to_owned(), start: Start::Command(command.clone()) });
    }
    Ok(competitors)
}

/// Examples are built into a directory of their own within that of the binaries.
fn built_beside() -> Result<PathBuf> {
    let this = env::current_exe()?;
    Ok(this.parent().and_then(Path::parent).context("a directory of binaries")?.join("ottla"))
}

struct Bench {
    arguments: Arguments,
    competitors: Vec<Competitor>,
    until: Instant,
    table: Table,
}

/// A broker with its directory, which goes after it.
struct Running {
    broker: Broker,
    _directory: TempDir,
}

impl Bench {
    fn run(&mut self) -> Result<()> {
        if self.is_wanted("start") {
            for round in 0..self.arguments.rounds {
                for place in self.turns(round) {
                    eprintln!("start, round {}: {}", round + 1, self.competitors[place].name);
                    let figures = self.start_and_stop(place)?;
                    self.table.add(place, figures);
                }
            }
        }
        let brokers = self.competitors.iter().map(|competitor| self.start(competitor)).collect::<Result<Vec<_>>>()?;
        for load in loads() {
            if !self.is_wanted(&load.name) {
                continue;
            }
            if Instant::now() > self.until {
                eprintln!("{}: left out, the time is over", load.name);
                continue;
            }
            self.measure(&load, &brokers).with_context(|| load.name.clone())?;
        }
        if self.is_wanted("2,000 partitions") {
            self.many_partitions(&brokers)?;
        }
        brokers.into_iter().try_for_each(|running| running.broker.stop())
    }

    fn is_wanted(&self, name: &str) -> bool {
        self.arguments.only.as_ref().is_none_or(|only| name.contains(only))
    }

    /// The brokers in the order of this round.
    fn turns(&self, round: usize) -> Vec<usize> {
        let mut turns: Vec<_> = (0..self.competitors.len()).collect();
        turns.rotate_left(round % self.competitors.len());
        turns
    }

    fn start(&self, competitor: &Competitor) -> Result<Running> {
        let directory = directory(self.arguments.directory.as_deref())?;
        Ok(Running { broker: Broker::start(competitor, directory.path())?, _directory: directory })
    }

    /// The second start on a directory, so that formatting it is not among what is measured.
    fn start_and_stop(&self, place: usize) -> Result<Vec<Figure>> {
        let (competitor, directory) = (&self.competitors[place], directory(self.arguments.directory.as_deref())?);
        Broker::start(competitor, directory.path())?.stop()?;
        let broker = Broker::start(competitor, directory.path())?;
        thread::sleep(IDLE);
        let figures = vec![
            Figure::new("start to the first answer", "ms", broker.started_in.as_secs_f64() * 1e3),
            Figure::new("memory, idle", "MB", broker.resident_mb()?),
        ];
        broker.stop()?;
        Ok(figures)
    }

    /// A round that warms up, then those that count.
    fn measure(&mut self, load: &Load, brokers: &[Running]) -> Result<()> {
        for round in 0..=self.arguments.rounds {
            for place in self.turns(round) {
                rustix::fs::sync();
                let figures = load.run(&brokers[place].broker, &self.arguments.sizes)?;
                for Figure { work, unit, value } in &figures {
                    let round = if round == 0 { "warm-up".to_owned() } else { format!("round {round}") };
                    eprintln!("{}, {round}: {work}: {value:.2} {unit}", self.competitors[place].name);
                }
                if round > 0 {
                    self.table.add(place, figures);
                }
            }
        }
        Ok(())
    }

    /// Memory after all of the above, with many partitions.
    fn many_partitions(&mut self, brokers: &[Running]) -> Result<()> {
        for (place, Running { broker, .. }) in brokers.iter().enumerate() {
            let mut client = broker.client()?;
            for number in 0..MANY_TOPICS {
                client.create_topic(&format!("many-{number}"), MANY_PARTITIONS)?;
            }
            let figure =
                Figure::new("memory, after all of this and with 2,000 partitions", "MB", broker.resident_mb()?);
            self.table.add(place, vec![figure]);
        }
        Ok(())
    }
}
