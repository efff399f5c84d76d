//! Hostile clients by the thousand against the real binary, while others are served.
//!
//! `cargo test --test storm -- --nocapture` prints the seed and what was seen; the sizes are
//! `OTTLA_STORM_CONNECTIONS`, `OTTLA_STORM_SECONDS`, `OTTLA_FLOOD_CONNECTIONS` and `OTTLA_SIEGE_CONNECTIONS`, the seed
//! `OTTLA_STORM_SEED`.

mod attack;
mod broker;
mod canary;
mod siege;
mod wire;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{net::TcpStream, runtime::Runtime, task::JoinSet, time::Instant};

use self::{
    attack::Attack,
    broker::BrokerProcess,
    canary::{Canary, Seen, create_topic},
    siege::Siege,
    wire::Client,
};

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

/// How long a test goes on.
fn seconds(default: u64) -> Duration {
    Duration::from_secs(size("OTTLA_STORM_SECONDS", default))
}

/// Each test has the machine to itself.
fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads")
}

/// As many connections as the limits of open files allow, and a line where these are not all.
fn as_many_as_fit(wanted: u64, broker: &BrokerProcess) -> u64 {
    let own = ottla::network::raise_open_file_limit().expect("a limit");
    // Half of the broker's files are for connections; a few are somebody else's.
    let room = (broker.file_limit() / 2).min(own).saturating_sub(200);
    if room < wanted {
        println!("{room} connections instead of {wanted}: the limit of open files allows no more");
    }
    wanted.min(room)
}

/// Waits for all, and adds what they have counted.
async fn all_of(mut clients: JoinSet<u64>) -> u64 {
    let mut sum = 0;
    while let Some(counted) = clients.join_next().await {
        sum += counted.expect("clients do not panic");
    }
    sum
}

/// What holds of every attack: it fills no memory, and others are answered.
fn assert_within_bounds(peak: u64, seen: &Seen) {
    assert!(peak <= MEMORY_MAX, "{peak} bytes were held");
    assert!(seen.latest <= LATE, "answers were late: {seen}");
}

/// Every kind of attack at once, again and again. Nothing that was acknowledged is lost, doubled or late, and what the
/// broker held for the attackers it gives back.
#[test]
fn a_storm_passes_over_those_who_behave() {
    let _alone = alone();
    let (connections, seconds) = (size("OTTLA_STORM_CONNECTIONS", 500), seconds(8));
    let seed = size("OTTLA_STORM_SEED", u64::from(std::process::id()));
    println!("seed {seed}: OTTLA_STORM_SEED={seed} repeats the attackers' part");
    ottla::network::raise_open_file_limit().expect("a limit");
    let broker = BrokerProcess::start_secured();
    assert_eq!(broker.addresses().len(), 3);
    runtime().block_on(async {
        let sockets = broker.open_sockets() + Canary::CONNECTIONS;
        let canary = Canary::start(broker.address()).await;
        let memory = broker.memory();
        let until = Instant::now() + seconds;
        let mut attackers = JoinSet::new();
        for number in 0..connections {
            let place = usize::try_from(number).expect("few");
            let attack = Attack::ALL[place % Attack::ALL.len()];
            // Every kind at every listener.
            let address = broker.addresses()[place / Attack::ALL.len() % broker.addresses().len()];
            attackers.spawn(attack.go_on(address, seed ^ (number << 20), until));
        }
        let peak = broker.most_memory_until(until).await;
        let begun = all_of(attackers).await;
        broker.until_open_sockets_are(sockets).await;
        let seen = canary.stop().await;
        let after = broker.memory();
        println!(
            "{connections} attackers, {begun} connections in {seconds:?}; memory {} MB before, {} MB at most, {} MB after; \
             canary: {seen}",
            memory >> 20,
            peak >> 20,
            after >> 20
        );
        assert_within_bounds(peak, &seen);
        assert!(after <= memory + RETAINED_MAX, "{after} bytes are held, {memory} were");
    });
    broker.stop();
}

/// Connections that each announce a hundred megabytes and send until nobody reads any more.
#[test]
fn a_flood_of_large_frames_fills_no_memory() {
    let _alone = alone();
    let broker = BrokerProcess::start(&["--override", "socket.receive.buffer.bytes=16384"]);
    let address = broker.address();
    let connections = as_many_as_fit(size("OTTLA_FLOOD_CONNECTIONS", 10_000), &broker);
    runtime().block_on(async {
        let sockets = broker.open_sockets() + Canary::CONNECTIONS;
        let canary = Canary::start(address).await;
        let (open, flooding) = attack::flood(address, connections).await;
        let peak = broker.most_memory_until(Instant::now() + seconds(8)).await;
        TcpStream::connect(address).await.expect("others are still accepted");
        let sent = attack::sent(&open);
        drop(flooding);
        broker.until_open_sockets_are(sockets).await;
        let seen = canary.stop().await;
        println!("{connections} connections sent {} MB; memory {} MB at most; canary: {seen}", sent >> 20, peak >> 20);
        assert!(sent >= connections * SENT_MIN, "{sent} bytes are no flood");
        assert_within_bounds(peak, &seen);
    });
    broker.stop();
}

/// Clients that write a byte now and then, that say nothing, and that ask and do not read, all at once.
#[test]
fn a_siege_keeps_nobody_waiting() {
    let _alone = alone();
    let broker = BrokerProcess::start(&[]);
    let siege = Siege::of(as_many_as_fit(size("OTTLA_SIEGE_CONNECTIONS", 500), &broker));
    runtime().block_on(async {
        let sockets = broker.open_sockets() + Canary::CONNECTIONS;
        let canary = Canary::start(broker.address()).await;
        // What is asked for and not read is not small.
        let mut client = Client::connect(broker.address()).await.expect("the broker listens");
        create_topic(&mut client, "wide", 200).await;
        drop(client);
        let connections = siege.begin(broker.address()).await;
        let peak = broker.most_memory_until(Instant::now() + seconds(4)).await;
        let held = broker.open_sockets() - sockets;
        drop(connections);
        broker.until_open_sockets_are(sockets).await;
        let seen = canary.stop().await;
        println!("{siege:?}, {held} were open in the end; memory {} MB at most; canary: {seen}", peak >> 20);
        assert_within_bounds(peak, &seen);
    });
    broker.stop();
}

/// Small batches that unpack to large ones are refused, and take neither memory nor the time of others.
#[test]
fn bombs_are_refused() {
    const BOMBERS: usize = 8;
    let _alone = alone();
    let broker = BrokerProcess::start(&[]);
    let bombs: Arc<[_]> = siege::bombs().into();
    runtime().block_on(async {
        let canary = Canary::start(broker.address()).await;
        let mut client = Client::connect(broker.address()).await.expect("the broker listens");
        create_topic(&mut client, "bombed", 1).await;
        let (address, before) = (broker.address(), broker.memory());
        let until = Instant::now() + seconds(4);
        let mut bombers = JoinSet::new();
        for _ in 0..BOMBERS {
            let bombs = Arc::clone(&bombs);
            bombers.spawn(async move { siege::bombard(address, "bombed", &bombs, until).await });
        }
        let peak = broker.most_memory_until(until).await;
        let refused = all_of(bombers).await;
        let seen = canary.stop().await;
        let grown = peak.saturating_sub(before);
        println!(
            "{refused} bombs refused; memory {} MB before, {} MB more at most; canary: {seen}",
            before >> 20,
            grown >> 20
        );
        assert!(refused > 0);
        assert!(grown <= RETAINED_MAX, "{grown} bytes were added");
        assert!(seen.latest <= LATE, "answers were late: {seen}");
    });
    broker.stop();
}

/// Handshakes that are begun and left leave others room and time.
#[test]
fn handshakes_that_are_left_hold_nobody_up() {
    const CLIENTS: usize = 16;
    let _alone = alone();
    let broker = BrokerProcess::start_secured();
    let tls = broker.addresses()[1];
    runtime().block_on(async {
        let sockets = broker.open_sockets() + Canary::CONNECTIONS;
        let canary = Canary::start(broker.address()).await;
        let until = Instant::now() + seconds(4);
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(siege::begin_handshakes(tls, siege::client_hello(), until));
        }
        let peak = broker.most_memory_until(until).await;
        let begun = all_of(clients).await;
        broker.until_open_sockets_are(sockets).await;
        let seen = canary.stop().await;
        println!("{begun} handshakes begun; memory {} MB at most; canary: {seen}", peak >> 20);
        assert!(begun > 0);
        assert_within_bounds(peak, &seen);
    });
    broker.stop();
}

/// After a restart all clients come back at once.
#[test]
fn a_thousand_clients_that_return_at_once_are_served() {
    let _alone = alone();
    let broker = BrokerProcess::start(&[]);
    let clients = as_many_as_fit(1_000, &broker);
    runtime().block_on(async {
        let mut client = Client::connect(broker.address()).await.expect("the broker listens");
        create_topic(&mut client, "theirs", 1).await;
        let waited = siege::return_at_once(broker.address(), clients).await;
        println!("{clients} clients, the last served after {waited:.1?}");
        assert!(waited <= LATE, "{waited:?}");
    });
    broker.stop();
}
