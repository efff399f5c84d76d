//! Asks a real Apache Kafka and Ottla the same questions and compares the answers.
//!
//! ```text
//! kafka-server-start.sh server.properties            # an empty, single broker, for example on port 29092
//! cargo run -- --listen 127.0.0.1:19092 --data-dir "$(mktemp -d)"
//! cargo run --example parity -- --ottla 127.0.0.1:19092 --kafka 127.0.0.1:29092
//! ```
//!
//! A row asks one or more requests, most of them ones that a good client never sends. Its answers are compared whole,
//! as JSON: error codes, offsets, records, and whether there is a message. What messages say is each broker's own, and
//! so are addresses and ids. A row is `equal`, a deliberate difference with its reason beside the row, or a
//! `DIFFERENCE`; those, and deliberate differences that are none any more, make the exit status 1.
//!
//! Both brokers keep the topics that it creates: give it brokers whose data may be thrown away.

mod answer;
mod probe;
mod rows;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use crate::{
    probe::Probe,
    rows::{Row, rows},
};

#[derive(Parser)]
struct Arguments {
    /// The address of Ottla.
    #[arg(long)]
    ottla: String,
    /// The address of Apache Kafka.
    #[arg(long)]
    kafka: String,
    /// Only the rows with this in their name.
    #[arg(long)]
    only: Option<String>,
    /// Show the answers of equal rows too.
    #[arg(long)]
    verbose: bool,
}

/// How the answers to a row compare.
enum Verdict {
    Equal,
    Deliberate(&'static str),
    Different,
    /// A difference is listed, and there is none.
    NotDifferent,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let run = std::process::id();
    let mut counts = [0_usize; 4];
    for (number, row) in rows().iter().enumerate() {
        if arguments.only.as_ref().is_some_and(|only| !row.name.contains(only)) {
            continue;
        }
        let prefix = format!("parity-{run}-{number}");
        let kafka = transcript(&arguments.kafka, &prefix, row).with_context(|| format!("Kafka: {}", row.name))?;
        let ottla = transcript(&arguments.ottla, &prefix, row).with_context(|| format!("Ottla: {}", row.name))?;
        let verdict = verdict(row, kafka == ottla);
        print(row, &verdict, &kafka, &ottla, arguments.verbose);
        counts[verdict.place()] += 1;
    }
    let [equal, deliberate, different, not_different] = counts;
    println!(
        "{equal} equal, {deliberate} deliberate differences, {different} differences, {not_different} out of date"
    );
    Ok(if different + not_different == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a broker answers to a row's requests, in their order.
fn transcript(address: &str, prefix: &str, row: &Row) -> Result<Vec<String>> {
    let mut probe = Probe::new(address, prefix);
    (row.ask)(&mut probe)?;
    Ok(probe.into_transcript())
}

fn verdict(row: &Row, is_equal: bool) -> Verdict {
    match (row.differs_because, is_equal) {
        (None, true) => Verdict::Equal,
        (None, false) => Verdict::Different,
        (Some(reason), false) => Verdict::Deliberate(reason),
        (Some(_), true) => Verdict::NotDifferent,
    }
}

impl Verdict {
    fn place(&self) -> usize {
        match self {
            Self::Equal => 0,
            Self::Deliberate(_) => 1,
            Self::Different => 2,
            Self::NotDifferent => 3,
        }
    }
}

fn print(row: &Row, verdict: &Verdict, kafka: &[String], ottla: &[String], verbose: bool) {
    match verdict {
        Verdict::Equal => println!("equal       {}", row.name),
        Verdict::Deliberate(reason) => println!("deliberate  {}: {reason}", row.name),
        Verdict::Different => println!("DIFFERENCE  {}", row.name),
        Verdict::NotDifferent => println!("OUT OF DATE {}: no difference any more", row.name),
    }
    for place in 0..kafka.len().max(ottla.len()) {
        let (of_kafka, of_ottla) = (line(kafka, place), line(ottla, place));
        if of_kafka != of_ottla {
            println!("              Kafka: {of_kafka}\n              Ottla: {of_ottla}");
        } else if verbose {
            println!("              both:  {of_kafka}");
        }
    }
}

fn line(transcript: &[String], place: usize) -> &str {
    transcript.get(place).map_or("nothing", String::as_str)
}
