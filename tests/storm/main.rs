//! Hostile clients by the thousand against the real binary, while others are served.
//!
//! `cargo test --test storm -- --nocapture` prints the seed and what was seen; the sizes are
//! `OTTLA_STORM_CONNECTIONS`, `OTTLA_STORM_SECONDS` and `OTTLA_FLOOD_CONNECTIONS`, the seed `OTTLA_STORM_SEED`.

mod attack;
mod broker;
mod canary;
mod wire;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{net::TcpStream, runtime::Runtime, task::JoinSet, time::Instant};

use self::{attack::Attack, broker::BrokerProcess, canary::Canary};

/// How long anything may take before the test has failed.
pub(crate) const BOUND: Duration = Duration::from_secs(60);
/// What the process may hold at most, in bytes.
const MEMORY_MAX: u64 = 256 << 20;
/// What an allocator may keep of what was given back, in bytes.
const RETAINED_MAX: u64 = 64 << 20;
/// What each connection of a flood gets rid of at least, in bytes.
const SENT_MIN: u64 = 8 << 10;
/// The latest that a well-behaved client is answered, on a machine that does all of this at once.
const LATE: Duration = Duration::from_secs(10);

fn size(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

/// Each test has the machine to itself.
fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads")
}

/// Every kind of attack at once, again and again. Nothing that was acknowledged is lost, doubled or late, and what the
/// broker held for the attackers it gives back.
#[test]
fn a_storm_passes_over_those_who_behave() {
    let _alone = alone();
    let (connections, seconds) = (size("OTTLA_STORM_CONNECTIONS", 500), size("OTTLA_STORM_SECONDS", 8));
    let seed = size("OTTLA_STORM_SEED", u64::from(std::process::id()));
    println!("seed {seed}: OTTLA_STORM_SEED={seed} repeats the attackers' part");
    ottla::network::raise_open_file_limit().expect("a limit");
    let broker = BrokerProcess::start_secured();
    assert_eq!(broker.addresses().len(), 3);
    runtime().block_on(async {
        let sockets = broker.open_sockets() + Canary::CONNECTIONS;
        let canary = Canary::start(broker.address()).await;
        let memory = broker.memory();
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut attackers = JoinSet::new();
        for number in 0..connections {
            let place = usize::try_from(number).expect("few");
            let attack = Attack::ALL[place % Attack::ALL.len()];
            // Every kind at every listener.
            let address = broker.addresses()[place / Attack::ALL.len() % broker.addresses().len()];
            attackers.spawn(attack.go_on(address, seed ^ (number << 20), until));
        }
        let mut peak = 0;
        while Instant::now() < until {
            peak = peak.max(broker.memory());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let mut begun = 0;
        while let Some(attacks) = attackers.join_next().await {
            begun += attacks.expect("attackers do not panic");
        }
        broker.until_open_sockets_are(sockets).await;
        let seen = canary.stop().await;
        let after = broker.memory();
        println!(
            "{connections} attackers, {begun} connections in {seconds} s; memory {} MB before, {} MB at most, {} MB after; \
             canary: {seen}",
            memory >> 20,
            peak >> 20,
            after >> 20
        );
        assert!(seen.latest <= LATE, "answers were late: {seen}");
        assert!(peak <= MEMORY_MAX, "{peak} bytes were held");
        assert!(after <= memory + RETAINED_MAX, "{after} bytes are held, {memory} were");
    });
    broker.stop();
}

/// Connections that each announce a hundred megabytes and send until nobody reads any more.
#[test]
fn a_flood_of_large_frames_fills_no_memory() {
    let _alone = alone();
    let wanted = size("OTTLA_FLOOD_CONNECTIONS", 10_000);
    let own = ottla::network::raise_open_file_limit().expect("a limit");
    let broker = BrokerProcess::start(&["--override", "socket.receive.buffer.bytes=16384"]);
    let address = broker.address();
    // Half of the broker's files are for connections; a few are somebody else's.
    let room = (broker.file_limit() / 2).min(own).saturating_sub(200);
    let connections = wanted.min(room);
    if connections < wanted {
        println!("{connections} connections instead of {wanted}: the limit of open files allows no more");
    }
    runtime().block_on(async {
        let sockets = broker.open_sockets() + Canary::CONNECTIONS;
        let canary = Canary::start(address).await;
        let (open, flooding) = attack::flood(address, connections).await;
        let mut peak = 0;
        let until = Instant::now() + Duration::from_secs(size("OTTLA_STORM_SECONDS", 8));
        while Instant::now() < until {
            peak = peak.max(broker.memory());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        TcpStream::connect(address).await.expect("others are still accepted");
        let sent = attack::sent(&open);
        drop(flooding);
        broker.until_open_sockets_are(sockets).await;
        let seen = canary.stop().await;
        println!("{connections} connections sent {} MB; memory {} MB at most; canary: {seen}", sent >> 20, peak >> 20);
        assert!(sent >= connections * SENT_MIN, "{sent} bytes are no flood");
        assert!(peak <= MEMORY_MAX, "{peak} bytes were held");
        assert!(seen.latest <= LATE, "answers were late: {seen}");
    });
    broker.stop();
}
