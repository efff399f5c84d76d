//! Clients that put transactions through a broker, and the history of what they saw.
//!
//! - Writers: each transaction sends a few values to several partitions of `ledger` and of `input`, and is committed or
//!   aborted, or its producer vanishes, or is fenced by a new one of its id and comes back as a zombie, or takes longer than
//!   the broker allows.
//! - Readers: consumers of `ledger` and `output`, that now and then begin anew somewhere.
//! - Pipelines: a group that reads `input` and makes of each value one in `output`, with the offsets in the transaction.
//!
//! All consumers are READ_COMMITTED. When the writers have ended, nothing may hang; when the pipelines have done all that
//! there is, everything is polled from beginning to end.

mod clients;
mod ending;
mod pipeline;
mod reader;
mod recorder;
mod transaction;
mod writer;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use self::{clients::Clients, pipeline::PipelineWorker, reader::Reader, recorder::Recorder, writer::Writer};
use crate::{checker::History, random::Random};

pub(crate) const LEDGER: &str = "ledger";
pub(crate) const INPUT: &str = "input";
pub(crate) const OUTPUT: &str = "output";

/// How long a client waits for one answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long what failed at once is left alone.
const PAUSE: Duration = Duration::from_millis(50);

const FIRST_READER: u32 = 100;
const FIRST_PIPELINE: u32 = 200;
const FIRST_FINAL: u32 = 300;
const FIRST_ZOMBIE: u32 = 1000;

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    pub(crate) writers: u32,
    pub(crate) readers: u32,
    pub(crate) pipelines: u32,
    /// Of each topic.
    pub(crate) partitions: i32,
    /// `transaction.timeout.ms`.
    pub(crate) transaction_timeout: Duration,
    /// True if transactions are left open until the broker ends them.
    pub(crate) overrun: bool,
}

/// What all clients of a run have in common.
struct Workload {
    settings: Settings,
    clients: Clients,
    recorder: Recorder,
    /// Writers and readers end.
    is_over: AtomicBool,
    /// Pipelines end.
    is_drained: AtomicBool,
}

impl Workload {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    fn is_drained(&self) -> bool {
        self.is_drained.load(Ordering::SeqCst)
    }

    fn random(&self, process: u32) -> Random {
        Random::new(self.settings.seed << 32 | u64::from(process))
    }
}

/// Ends whatever runs, also when something panicked: or the others would never be waited for to the end.
struct Ending<'a>(&'a Workload);

impl Ending<'_> {
    fn end_writers(&self) {
        self.0.is_over.store(true, Ordering::SeqCst);
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.end_writers();
        self.0.is_drained.store(true, Ordering::SeqCst);
    }
}

/// Lets clients loose on the broker at `bootstrap` while `meanwhile` goes on, then ends everything in good order.
pub(crate) fn run(bootstrap: &str, settings: Settings, meanwhile: impl FnOnce()) -> History {
    let workload = &Workload {
        clients: Clients::new(bootstrap, &settings),
        settings,
        recorder: Recorder::default(),
        is_over: AtomicBool::new(false),
        is_drained: AtomicBool::new(false),
    };
    workload.clients.create_topics();
    thread::scope(|scope| {
        let ending = Ending(workload);
        let settings = &workload.settings;
        for worker in 0..settings.pipelines {
            scope.spawn(move || PipelineWorker::new(workload, FIRST_PIPELINE + worker).run());
        }
        let mut clients = Vec::new();
        for process in 0..settings.writers {
            clients.push(scope.spawn(move || Writer::new(workload, process).run()));
        }
        for reader in 0..settings.readers {
            clients.push(scope.spawn(move || Reader::new(workload, FIRST_READER + reader).run()));
        }
        meanwhile();
        ending.end_writers();
        for client in clients {
            client.join().expect("no client panics");
        }
        ending::drain(workload).unwrap_or_else(|reason| panic!("{reason}"));
    });
    ending::await_stability(workload, &workload.clients.all_keys()).unwrap_or_else(|reason| panic!("{reason}"));
    ending::poll_everything(workload);
    workload.recorder.history(workload.clients.keys(INPUT), workload.clients.keys(OUTPUT))
}
