//! A toy service behind real sockets. What a request wants is its first letter; the tests wait for events, never for time.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs::File,
    os::unix::fs::FileExt,
    sync::{
        Mutex,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
};

use bytes::BufMut;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::{JoinHandle, JoinSet, yield_now},
    time::timeout,
};

use super::{arrivals::Arrivals, budget::Budget, *};
use crate::{
    complaints::Complaints,
    protocol::{
        file_range::{FileRange, RangeSource},
        frame::Part,
    },
};

/// How long a test may take before it has failed.
const BOUND: Duration = Duration::from_secs(20);
const BIG_RESPONSE: usize = 1 << 20;
/// What a request takes that wants memory.
const LARGE: usize = 100_000;

/// Answers by the first byte of a request: `e`cho, echo `l`ater (when the gate opens), echo after a `s`low effect (when
/// the gate opens), `n`othing, a `b`ig response, the `f`ile parts, `r`efusal, `p`anic. An `m` in front takes memory.
struct Toy {
    gate: watch::Sender<bool>,
    /// How many requests were taken up.
    taken: watch::Sender<usize>,
    /// Every request in the order of its effect.
    effects: Mutex<Vec<Bytes>>,
    running: AtomicUsize,
    running_max: AtomicUsize,
    waiting: Arc<AtomicUsize>,
    waiting_max: AtomicUsize,
    parts: Vec<Part>,
}

impl Toy {
    fn new(parts: Vec<Part>) -> Arc<Self> {
        Arc::new(Self {
            gate: watch::Sender::new(false),
            taken: watch::Sender::new(0),
            effects: Mutex::default(),
            running: AtomicUsize::new(0),
            running_max: AtomicUsize::new(0),
            waiting: Arc::default(),
            waiting_max: AtomicUsize::new(0),
            parts,
        })
    }

    fn open_gate(&self) {
        self.gate.send_replace(true);
    }

    async fn until_taken(&self, count: usize) {
        self.taken.subscribe().wait_for(|taken| *taken >= count).await.unwrap();
    }

    fn effects(&self) -> Vec<Bytes> {
        self.effects.lock().unwrap().clone()
    }

    async fn answer(&self, frame: Bytes) -> Result<Reply, Refusal> {
        match frame[0] {
            b'e' => Ok(Reply::Ready(response(&frame))),
            b'b' => Ok(Reply::Ready(response(&[0; BIG_RESPONSE]))),
            b'f' => Ok(Reply::Ready(
                Frame::new(vec![0; 4], self.parts.iter().map(|part| (4, part.clone())).collect()).unwrap(),
            )),
            b'n' => Ok(Reply::None),
            b's' => {
                self.gate.subscribe().wait_for(|open| *open).await.unwrap();
                Ok(Reply::Ready(response(&frame)))
            }
            b'l' => Ok(Reply::Later(self.later(frame))),
            b'r' => Err(Refusal::new("a test wants it")),
            other => panic!("no such request: {other}"),
        }
    }

    fn later(&self, frame: Bytes) -> BoxFuture<'static, Result<Option<Frame>, Refusal>> {
        let waits = Waits::new(&self.waiting);
        self.waiting_max.fetch_max(self.waiting.load(SeqCst), SeqCst);
        let mut gate = self.gate.subscribe();
        Box::pin(async move {
            gate.wait_for(|open| *open).await.unwrap();
            drop(waits);
            Ok(Some(response(&frame)))
        })
    }
}

/// Of somebody who need not say who he is.
struct Anybody;

impl Session for Anybody {
    fn frame_max_before_known(&self) -> Option<usize> {
        None
    }
}

impl Service for Toy {
    type Session = Anybody;

    fn session(&self, _connection: &Arc<ConnectionContext>) -> Result<Anybody, Refusal> {
        Ok(Anybody)
    }

    async fn call(
        &self,
        _connection: &Arc<ConnectionContext>,
        _session: &mut Anybody,
        frame: Bytes,
        memory: &mut RequestMemory,
    ) -> Result<Reply, Refusal> {
        self.running_max.fetch_max(self.running.fetch_add(1, SeqCst) + 1, SeqCst);
        self.taken.send_modify(|taken| *taken += 1);
        let answer = match frame.strip_prefix(b"m") {
            None => self.answer(frame.clone()).await,
            Some(rest) => match memory.grow(LARGE).await {
                Ok(()) => self.answer(frame.slice_ref(rest)).await,
                Err(refusal) => Err(refusal),
            },
        };
        self.effects.lock().unwrap().push(frame);
        self.running.fetch_sub(1, SeqCst);
        answer
    }
}

/// Counts as waiting until it is dropped.
struct Waits(Arc<AtomicUsize>);

impl Waits {
    fn new(waiting: &Arc<AtomicUsize>) -> Self {
        waiting.fetch_add(1, SeqCst);
        Self(Arc::clone(waiting))
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

fn response(content: &[u8]) -> Frame {
    Frame::new([&[0; 4], content].concat(), Vec::new()).unwrap()
}

fn framed(content: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(content.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes
}

fn framed_all(contents: &[&[u8]]) -> Vec<u8> {
    contents.iter().flat_map(|content| framed(content)).collect()
}

struct Server {
    address: SocketAddr,
    counters: Arc<NetworkCounters>,
    budget: Arc<Budget>,
    shutdown: Shutdown,
    ended: JoinHandle<()>,
}

impl Server {
    async fn start(toy: &Arc<Toy>, settings: NetworkSettings) -> Self {
        let endpoint = Endpoint::look_up("PLAINTEXT".into(), "127.0.0.1".into(), 0).unwrap();
        let listeners = bind(&[endpoint], &settings).unwrap();
        let address = listeners[0].local_addr();
        let network = Network::new(Arc::clone(toy), settings);
        let (counters, budget, shutdown) = (network.counters(), network.budget(), Shutdown::default());
        let signal = shutdown.clone();
        let ended = tokio::spawn(async move { network.serve(listeners, &signal).await });
        Self { address, counters, budget, shutdown, ended }
    }

    async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    async fn until_closed(&self, kind: CloseKind, count: u64) {
        until(|| self.counters.closed(kind) == count).await;
    }
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

struct Client(TcpStream);

impl Client {
    async fn send(&mut self, contents: &[&[u8]]) {
        self.0.write_all(&framed_all(contents)).await.unwrap();
    }

    async fn receive(&mut self) -> Vec<u8> {
        let size = self.0.read_u32().await.unwrap();
        let mut content = vec![0; usize::try_from(size).unwrap()];
        self.0.read_exact(&mut content).await.unwrap();
        content
    }

    async fn receives(&mut self, expected: &[&[u8]]) {
        for content in expected {
            assert_eq!(self.receive().await.as_slice(), *content);
        }
    }

    /// Nothing more comes: the server closed the connection.
    async fn is_closed(&mut self) {
        assert_eq!(self.0.read(&mut [0]).await.unwrap_or(0), 0);
    }
}

/// Runs `test` on a server of its own, within the bound.
fn with_server<F: Future<Output = ()>>(settings: NetworkSettings, test: impl FnOnce(Arc<Toy>, Server) -> F) {
    with_parts(settings, Vec::new(), test);
}

fn with_parts<F>(settings: NetworkSettings, parts: Vec<Part>, test: impl FnOnce(Arc<Toy>, Server) -> F)
where
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let toy = Toy::new(parts);
    runtime.block_on(async {
        let server = Server::start(&toy, settings).await;
        timeout(BOUND, test(toy, server)).await.expect("the test hangs");
    });
}

fn defaults() -> NetworkSettings {
    NetworkSettings::default()
}

#[test]
fn effects_and_responses_keep_the_order_of_the_requests() {
    with_server(defaults(), async |toy, server| {
        let mut client = server.connect().await;
        let requests: [&[u8]; 6] = [b"e1", b"l2", b"e3", b"n4", b"l5", b"e6"];
        client.send(&requests).await;
        toy.until_taken(6).await;
        client.receives(&[b"e1"]).await;
        toy.open_gate();
        client.receives(&[b"l2", b"e3", b"l5", b"e6"]).await;
        assert_eq!(toy.effects(), requests);
        assert_eq!(server.counters.requests.load(Relaxed), 6);
    });
}

#[test]
fn a_request_takes_effect_before_the_next_one_begins() {
    with_server(defaults(), async |toy, server| {
        let mut client = server.connect().await;
        client.send(&[b"e0", b"s1", b"s2", b"e3"]).await;
        toy.until_taken(2).await;
        client.receives(&[b"e0"]).await;
        assert_eq!(*toy.taken.borrow(), 2);
        toy.open_gate();
        client.receives(&[b"s1", b"s2", b"e3"]).await;
        assert_eq!(toy.running_max.load(SeqCst), 1);
    });
}

#[test]
fn so_many_requests_are_in_flight_and_no_more() {
    with_server(defaults(), async |toy, server| {
        let mut client = server.connect().await;
        let requests: Vec<Vec<u8>> = (0..40).map(|n| format!("l{n}").into_bytes()).collect();
        let requests: Vec<&[u8]> = requests.iter().map(Vec::as_slice).collect();
        client.send(&requests).await;
        toy.until_taken(16).await;
        toy.open_gate();
        client.receives(&requests).await;
        assert_eq!(toy.waiting_max.load(SeqCst), 16);
    });
}

#[test]
fn a_client_that_does_not_read_is_not_read_from() {
    with_server(defaults(), async |toy, server| {
        let mut client = server.connect().await;
        // Otherwise the kernel lets it grow to several responses.
        SockRef::from(&client.0).set_recv_buffer_size(64 << 10).unwrap();
        client.send(&[&b"b"[..]; 100]).await;
        for read in 1..=100 {
            assert_eq!(client.receive().await.len(), BIG_RESPONSE);
            // One fills the bound. The socket buffers hold less than two more, and one is between the two.
            assert!(*toy.taken.borrow() <= read + 4, "{} taken, {read} read", *toy.taken.borrow());
        }
    });
}

#[test]
fn a_client_that_never_reads_is_closed() {
    let settings = NetworkSettings { write_deadline: Duration::from_millis(20), ..defaults() };
    with_server(settings, async |_, server| {
        let mut client = server.connect().await;
        client.send(&[&b"b"[..]; 100]).await;
        server.until_closed(CloseKind::SlowReader, 1).await;
    });
}

#[test]
fn a_frame_may_arrive_byte_by_byte() {
    with_server(defaults(), async |_, server| {
        let mut client = server.connect().await;
        client.0.set_nodelay(true).unwrap();
        for byte in framed_all(&[b"e1", b"e23"]) {
            let received = server.counters.bytes_in.load(Relaxed);
            client.0.write_all(&[byte]).await.unwrap();
            until(|| server.counters.bytes_in.load(Relaxed) > received).await;
        }
        client.receives(&[b"e1", b"e23"]).await;
    });
}

#[test]
fn large_requests_pass_a_budget_smaller_than_one_of_them() {
    let settings = NetworkSettings { memory_max: 40 << 10, ..defaults() };
    with_server(settings, async |_, server| {
        let mut clients = JoinSet::new();
        for _ in 0..8 {
            let client = server.connect().await;
            clients.spawn(async move {
                let (mut reading, mut writing) = client.0.into_split();
                let request = framed(&[b'e'; 700_000]);
                let sent = request.repeat(3);
                let sending = tokio::spawn(async move { writing.write_all(&sent).await.map(|()| writing) });
                let mut received = vec![0; request.len() * 3];
                reading.read_exact(&mut received).await.unwrap();
                assert!(received == request.repeat(3));
                sending.await.unwrap().unwrap();
            });
        }
        clients.join_all().await;
    });
}

#[test]
fn what_requests_decode_to_is_charged_while_they_take_effect() {
    let settings = NetworkSettings { memory_max: LARGE, ..defaults() };
    with_server(settings, async |toy, server| {
        let (mut first, mut second, mut third) =
            (server.connect().await, server.connect().await, server.connect().await);
        first.send(&[b"ms1"]).await;
        until(|| server.budget.used() > 0).await;
        let charged = server.budget.used();
        second.send(&[b"ms2"]).await;
        until(|| server.budget.used() > charged).await;
        // It is neither the first within the budget nor the one that may overdraw.
        third.send(&[b"me3"]).await;
        until(|| server.counters.bytes_in.load(Relaxed) == 3 * 7).await;
        assert_eq!((*toy.taken.borrow(), server.budget.used()), (2, 2 * charged));
        toy.open_gate();
        first.receives(&[b"s1"]).await;
        second.receives(&[b"s2"]).await;
        third.receives(&[b"e3"]).await;
        until(|| server.budget.used() == 0).await;
    });
}

#[test]
fn a_request_that_takes_more_than_all_may_is_refused() {
    let settings = NetworkSettings { memory_max: LARGE - 1, ..defaults() };
    with_server(settings, async |_, server| {
        let mut client = server.connect().await;
        client.send(&[b"me"]).await;
        client.is_closed().await;
        server.until_closed(CloseKind::Refused, 1).await;
        assert_eq!(server.budget.used(), 0);
    });
}

#[test]
fn a_request_that_waits_keeps_its_memory_without_holding_up_others() {
    let settings = NetworkSettings { memory_max: LARGE, ..defaults() };
    with_server(settings, async |toy, server| {
        let (mut first, mut second, mut third) =
            (server.connect().await, server.connect().await, server.connect().await);
        first.send(&[b"ml1"]).await;
        until(|| server.budget.parked() > 0).await;
        second.send(&[b"me2"]).await;
        second.receives(&[b"e2"]).await;
        // There is no room for another one that waits.
        third.send(&[b"ml3"]).await;
        third.is_closed().await;
        server.until_closed(CloseKind::Refused, 1).await;
        until(|| server.budget.used() == 0).await;
        assert!(server.budget.parked() > 0);
        toy.open_gate();
        first.receives(&[b"l1"]).await;
        until(|| server.budget.parked() == 0).await;
    });
}

#[test]
fn responses_behind_one_that_waits_are_charged_as_it_is() {
    let settings = NetworkSettings { memory_max: BIG_RESPONSE + 100, ..defaults() };
    with_server(settings, async |toy, server| {
        let (mut first, mut second) = (server.connect().await, server.connect().await);
        first.send(&[b"l", b"b"]).await;
        until(|| server.budget.parked() > BIG_RESPONSE).await;
        second.send(&[b"l", b"b"]).await;
        second.is_closed().await;
        server.until_closed(CloseKind::Refused, 1).await;
        toy.open_gate();
        first.receives(&[b"l", &[0; BIG_RESPONSE]]).await;
        until(|| server.budget.used() + server.budget.parked() == 0).await;
    });
}

#[test]
fn who_does_not_read_gives_way_to_those_who_do() {
    let settings = NetworkSettings { memory_max: BIG_RESPONSE, ..defaults() };
    with_server(settings, async |_, server| {
        let mut silent = server.connect().await;
        SockRef::from(&silent.0).set_recv_buffer_size(4 << 10).unwrap();
        silent.send(&[b"b"]).await;
        until(|| server.budget.used() > BIG_RESPONSE / 2).await;
        // Long before its time for a response is over.
        server.until_closed(CloseKind::SlowReader, 1).await;
        assert_eq!(server.budget.used(), 0);
        let mut other = server.connect().await;
        other.send(&[b"b"]).await;
        assert_eq!(other.receive().await.len(), BIG_RESPONSE);
    });
}

#[test]
fn while_responses_fill_the_budget_few_requests_are_taken_up() {
    const CLIENTS: usize = 16;
    const EACH: usize = 5;
    let settings = NetworkSettings { memory_max: 1 << 10, ..defaults() };
    with_server(settings, async |_, server| {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let mut client = server.connect().await;
            SockRef::from(&client.0).set_recv_buffer_size(64 << 10).unwrap();
            client.send(&[&b"b"[..]; EACH]).await;
            clients.push(client);
        }
        until(|| server.counters.bytes_in.load(Relaxed) == (CLIENTS * EACH * 5) as u64).await;
        let mut reading = JoinSet::new();
        for mut client in clients {
            let budget = Arc::clone(&server.budget);
            reading.spawn(async move {
                for _ in 0..EACH {
                    // One of the connection that fills the budget, one of that which overdraws it, and one for each
                    // thread that was about to take up a request.
                    assert!(budget.used() <= 4 * (BIG_RESPONSE + 4), "{} are held", budget.used());
                    assert_eq!(client.receive().await.len(), BIG_RESPONSE);
                }
            });
        }
        reading.join_all().await;
        until(|| server.budget.used() == 0).await;
    });
}

#[test]
fn a_client_that_takes_its_response_in_drops_is_closed() {
    let settings = NetworkSettings { write_deadline: Duration::from_millis(300), rate_min: usize::MAX, ..defaults() };
    with_server(settings, async |_, server| {
        let mut client = server.connect().await;
        SockRef::from(&client.0).set_recv_buffer_size(64 << 10).unwrap();
        client.send(&[&b"b"[..]; 100]).await;
        let mut drop = [0; 10_000];
        while server.counters.closed(CloseKind::SlowReader) == 0 {
            let taken = client.0.read(&mut drop).await.unwrap_or(0);
            // It never stops for as long as the deadline.
            tokio::time::sleep(Duration::from_millis(u64::from(taken > 0))).await;
        }
    });
}

#[test]
fn what_cannot_be_a_frame_closes_that_connection_only() {
    with_server(defaults(), async |_, server| {
        let mut bystander = server.connect().await;
        let bad: [&[u8]; 6] = [
            b"\0\0\0\0",
            b"\xff\xff\xff\xff",
            b"\x06\x40\x00\x01",
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\0\x01\0",
            &framed(b"r"),
        ];
        for bytes in bad {
            let mut client = server.connect().await;
            client.send(&[b"e1"]).await;
            client.0.write_all(bytes).await.unwrap();
            client.receives(&[b"e1"]).await;
            client.is_closed().await;
        }
        server.until_closed(CloseKind::BadFrame, 5).await;
        server.until_closed(CloseKind::Refused, 1).await;
        bystander.send(&[b"e"]).await;
        bystander.receives(&[b"e"]).await;
    });
}

#[test]
fn a_panic_in_a_request_ends_its_connection_only() {
    with_server(defaults(), async |_, server| {
        let mut client = server.connect().await;
        client.send(&[b"p"]).await;
        client.is_closed().await;
        server.until_closed(CloseKind::Panicked, 1).await;
        until(|| server.counters.active.load(Relaxed) == 0).await;
    });
}

#[test]
fn slow_clients_are_closed() {
    let soon = Duration::from_millis(20);
    let check = |settings, sent: &'static [u8], kind| {
        with_server(settings, async |_, server| {
            let mut client = server.connect().await;
            client.0.write_all(sent).await.unwrap();
            client.is_closed().await;
            server.until_closed(kind, 1).await;
        });
    };
    check(NetworkSettings { max_idle: soon, ..defaults() }, b"", CloseKind::Idle);
    check(NetworkSettings { header_deadline: soon, ..defaults() }, b"\0\0", CloseKind::SlowRequest);
    let settings = NetworkSettings { frame_deadline: soon, ..defaults() };
    check(settings, b"\0\0\0\x09only a", CloseKind::SlowRequest);
    let settings = NetworkSettings { frame_deadline: soon, rate_min: usize::MAX, ..defaults() };
    check(settings, b"\x06\x40\0\0", CloseKind::SlowRequest);
}

#[test]
fn time_outs_may_be_as_long_as_their_type_allows() {
    let (ever, longest) = (Duration::MAX, Duration::from_millis(i64::MAX.unsigned_abs()));
    for long in [ever, longest] {
        let settings = NetworkSettings {
            max_idle: long,
            handshake_deadline: long,
            header_deadline: long,
            frame_deadline: long,
            write_deadline: long,
            rate_min: 1,
            ..defaults()
        };
        with_server(settings, async |toy, server| {
            let mut client = server.connect().await;
            client.send(&[b"l", b"e"]).await;
            toy.until_taken(2).await;
            toy.open_gate();
            client.receives(&[b"l", b"e"]).await;
            // A frame that comes in two pieces has a deadline of its own.
            client.0.write_all(b"\0\0\0\x02e").await.unwrap();
            yield_now().await;
            client.0.write_all(b"!").await.unwrap();
            client.receives(&[b"e!"]).await;
            assert_eq!(server.counters.closed(CloseKind::Panicked), 0);
        });
    }
}

#[test]
fn a_connection_that_waits_for_a_response_is_not_idle() {
    let settings = NetworkSettings { max_idle: Duration::from_millis(20), ..defaults() };
    with_server(settings, async |toy, server| {
        let (mut waiting, mut idle) = (server.connect().await, server.connect().await);
        waiting.send(&[b"l"]).await;
        toy.until_taken(1).await;
        // Both were quiet or waiting for the whole of its time.
        let mut later = server.connect().await;
        idle.is_closed().await;
        later.is_closed().await;
        toy.open_gate();
        waiting.receives(&[b"l"]).await;
    });
}

#[test]
fn what_arrived_before_the_client_closed_takes_effect() {
    with_server(defaults(), async |toy, server| {
        let mut client = server.connect().await;
        client.send(&[b"s", b"n1", b"n2", b"e3"]).await;
        client.0.write_all(b"\0\0\0\x07half").await.unwrap();
        client.0.shutdown().await.unwrap();
        toy.until_taken(1).await;
        toy.open_gate();
        client.receives(&[b"s", b"e3"]).await;
        client.is_closed().await;
        assert_eq!(toy.effects(), [&b"s"[..], b"n1", b"n2", b"e3"]);
        server.until_closed(CloseKind::Truncated, 1).await;
    });
}

#[test]
fn what_waits_is_dropped_when_the_client_goes_away() {
    with_server(defaults(), async |toy, server| {
        let mut client = server.connect().await;
        client.send(&[b"l1", b"l2"]).await;
        toy.until_taken(2).await;
        until(|| toy.waiting.load(SeqCst) == 2).await;
        drop(client);
        until(|| toy.waiting.load(SeqCst) == 0).await;
        server.until_closed(CloseKind::Peer, 1).await;
    });
}

#[test]
fn a_shutdown_finishes_what_is_in_flight() {
    with_server(defaults(), async |toy, server| {
        let (mut busy, mut slow, mut quiet) = (server.connect().await, server.connect().await, server.connect().await);
        busy.send(&[b"l1", b"e2"]).await;
        slow.send(&[b"s"]).await;
        toy.until_taken(3).await;
        until(|| server.counters.accepted.load(Relaxed) == 3).await;
        server.shutdown.begin();
        quiet.is_closed().await;
        assert!(TcpStream::connect(server.address).await.is_err());
        toy.open_gate();
        busy.receives(&[b"l1", b"e2"]).await;
        busy.is_closed().await;
        slow.receives(&[b"s"]).await;
        slow.is_closed().await;
        server.ended.await.unwrap();
        assert_eq!(server.counters.closed(CloseKind::Shutdown), 3);
    });
}

#[test]
fn a_shutdown_does_not_wait_for_ever() {
    let settings = NetworkSettings { shutdown_grace: Duration::from_millis(20), ..defaults() };
    with_server(settings, async |toy, server| {
        let (mut later, mut slow) = (server.connect().await, server.connect().await);
        later.send(&[b"l"]).await;
        slow.send(&[b"s"]).await;
        toy.until_taken(2).await;
        server.shutdown.begin();
        server.ended.await.unwrap();
        assert_eq!(server.counters.closed(CloseKind::Shutdown), 2);
        assert_eq!(toy.waiting.load(SeqCst), 0);
    });
}

#[test]
fn over_the_limit_a_connection_is_closed_at_once() {
    let settings =
        NetworkSettings { limits: ConnectionLimits { total: 1, ..ConnectionLimits::default() }, ..defaults() };
    with_server(settings, async |_, server| {
        let mut first = server.connect().await;
        first.send(&[b"e"]).await;
        first.receives(&[b"e"]).await;
        server.connect().await.is_closed().await;
        assert_eq!(server.counters.over_limit.load(Relaxed), 1);
        drop(first);
        server.until_closed(CloseKind::Peer, 1).await;
        until(|| server.counters.active.load(Relaxed) == 0).await;
    });
}

#[test]
fn a_thousand_quiet_connections_are_served_when_they_speak() {
    raise_open_file_limit().unwrap();
    with_server(defaults(), async |_, server| {
        let mut clients = Vec::new();
        for _ in 0..1000 {
            clients.push(server.connect().await);
        }
        for _ in 0..2 {
            for client in &mut clients {
                client.send(&[b"e"]).await;
                client.receives(&[b"e"]).await;
            }
        }
        assert_eq!(server.counters.active.load(Relaxed), 1000);
    });
}

#[test]
fn a_quiet_connection_costs_little() {
    with_server(defaults(), async |toy, server| {
        let settings = defaults();
        let budget = Budget::new(0);
        let shared = Arc::new(connection::Shared {
            service: toy,
            settings,
            counters: Arc::default(),
            budget,
            arrivals: Arrivals::new(0, 1 << 20),
            creation_rate: Mutex::default(),
            complaints: Mutex::new(Complaints::new("address", 5)),
        });
        let stream = server.connect().await.0;
        let peer = server.address;
        let context = ConnectionContext { id: 0, listener: "PLAINTEXT".into(), peer, local: peer, tls: None };
        let entry =
            connections::Connections::new(ConnectionLimits::default()).enter(peer.ip(), &"PLAINTEXT".into()).unwrap();
        let task = connection::run(shared, stream, None, context, entry);
        assert!(size_of_val(&task) <= 1024, "{} bytes", size_of_val(&task));
    });
}

/// Bytes that no two positions of a range repeat in the same order.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64).flat_map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()).take(length).collect()
}

struct InFile(File);

impl RangeSource for InFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at(buffer, position)
    }

    fn as_file(&self) -> Option<&File> {
        Some(&self.0)
    }
}

/// A source without a file: everything takes the portable way.
struct InMemory(Vec<u8>, AtomicU64);

impl RangeSource for InMemory {
    fn read_at(&self, mut buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.1.fetch_add(1, Relaxed);
        let rest = self.0.get(usize::try_from(position).unwrap()..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer.put_slice(&rest[..length]);
        Ok(length)
    }
}

fn in_file(content: &[u8]) -> Arc<dyn RangeSource> {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(content, 0).unwrap();
    Arc::new(InFile(file))
}

fn in_memory(content: &[u8]) -> Arc<dyn RangeSource> {
    Arc::new(InMemory(content.to_vec(), AtomicU64::new(0)))
}

#[test]
fn ranges_of_files_arrive_byte_for_byte_whichever_way_they_are_sent() {
    let content = pattern(3_000_000);
    let ranges = [(0, 100), (5, 2_700_000), (2_999_990, 10), (7, 0), (1000, 16 << 10), (1001, 17 << 10), (0, 300_000)];
    for source in [in_file(&content), in_memory(&content)] {
        let (mut parts, mut expected) = (Vec::new(), Vec::new());
        for (position, length) in ranges {
            parts.push(Part::File(FileRange { source: Arc::clone(&source), position, length }));
            parts.push(Part::Bytes(Bytes::from_static(b"between")));
            let start = usize::try_from(position).unwrap();
            expected.extend_from_slice(&content[start..start + length]);
            expected.extend_from_slice(b"between");
        }
        with_parts(defaults(), parts, async |_, server| {
            let mut client = server.connect().await;
            client.send(&[b"e1", b"f", b"f", b"e2"]).await;
            client.receives(&[b"e1"]).await;
            assert!(client.receive().await == expected);
            assert!(client.receive().await == expected);
            client.receives(&[b"e2"]).await;
            let sent = 4 * 4 + 2 * expected.len() + 4;
            until(|| server.counters.bytes_out.load(Relaxed) == sent as u64).await;
        });
    }
}

#[test]
fn a_file_that_ends_before_its_range_closes_the_connection() {
    let content = pattern(100_000);
    for source in [in_file(&content), in_memory(&content)] {
        for (position, length) in [(0, 100_001), (99_999, 2), (200_000, 1), (0, 2_000_000)] {
            let parts = vec![Part::File(FileRange { source: Arc::clone(&source), position, length })];
            with_parts(defaults(), parts, async |_, server| {
                let mut client = server.connect().await;
                client.send(&[b"f"]).await;
                server.until_closed(CloseKind::File, 1).await;
                let mut received = Vec::new();
                client.0.read_to_end(&mut received).await.unwrap();
                assert!(received.len() <= 4 + content.len());
            });
        }
    }
}
