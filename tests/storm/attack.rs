//! Clients that do not behave.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use ottla::protocol::{
    messages::{ApiKey, MetadataRequest},
    schemas::schemas,
    wire::Writer,
};
use ottla_codegen::{
    interpret::{self, Value},
    spec::MessageKind,
};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, timeout, timeout_at},
};

use crate::wire::{frame, header};

/// What a client may do wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Attack {
    /// Sends bytes that mean nothing.
    Garbage,
    /// Speaks another protocol.
    OtherProtocol,
    /// Ends in the middle of a frame.
    Truncated,
    /// Announces more than it sends, and waits.
    LyingLength,
    /// Sends what looks like a request of any API and version.
    Requests,
    /// Sends whole requests of any API and version, with one byte changed.
    ChangedRequests,
    /// Asks, and does not read.
    SlowReader,
    /// Sends a byte now and then.
    SlowWriter,
    /// Connects, and says nothing.
    Silent,
    /// Connects and resets the connection.
    Reset,
}

impl Attack {
    pub(crate) const ALL: [Self; 10] = [
        Self::Garbage,
        Self::OtherProtocol,
        Self::Truncated,
        Self::LyingLength,
        Self::Requests,
        Self::ChangedRequests,
        Self::SlowReader,
        Self::SlowWriter,
        Self::Silent,
        Self::Reset,
    ];

    /// Attacks until then, by one connection after the other, and returns how many these were.
    pub(crate) async fn go_on(self, address: SocketAddr, seed: u64, until: Instant) -> u64 {
        let mut random = Random::new(seed);
        let mut begun = 0;
        while Instant::now() < until {
            // The broker ends most of it; that is no error here.
            let _ = timeout_at(until, self.once(address, &mut random)).await;
            begun += 1;
            // So that an attacker takes a connection's time and not all of a core.
            sleep(Duration::from_millis(random.below(50))).await;
        }
        begun
    }

    async fn once(self, address: SocketAddr, random: &mut Random) -> io::Result<()> {
        let mut stream = TcpStream::connect(address).await?;
        match self {
            Self::Garbage => {
                let length = 1 + random.below(2000);
                stream.write_all(&random.bytes(length)).await?;
                wait_for_the_end(stream).await
            }
            Self::OtherProtocol => {
                let greetings: [&[u8]; 3] = [
                    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                    b"SSH-2.0-x\r\n",
                ];
                stream.write_all(greetings[random.place(greetings.len())]).await?;
                wait_for_the_end(stream).await
            }
            Self::Truncated => {
                let request = random.request();
                stream.write_all(&request[..random.place(request.len())]).await
            }
            Self::LyingLength => {
                let announced = u32::try_from(1 + random.below(100 << 20)).expect("at most 100 MB");
                stream.write_all(&announced.to_be_bytes()).await?;
                let length = random.below(200_000);
                stream.write_all(&random.bytes(length)).await?;
                wait_for_the_end(stream).await
            }
            Self::Requests => {
                for _ in 0..random.below(20) {
                    let (key, version) = random.api();
                    let length = random.below(300);
                    let body = random.bytes(length);
                    stream.write_all(&frame(&[&header(key, version, 1), &body])).await?;
                }
                wait_for_the_end(stream).await
            }
            Self::ChangedRequests => {
                for _ in 0..random.below(20) {
                    stream.write_all(&random.request()).await?;
                }
                wait_for_the_end(stream).await
            }
            Self::SlowReader => {
                let request = metadata();
                loop {
                    stream.write_all(&request).await?;
                }
            }
            Self::SlowWriter => {
                for byte in metadata() {
                    stream.write_all(&[byte]).await?;
                    sleep(Duration::from_millis(random.below(1000))).await;
                }
                Ok(())
            }
            Self::Silent => wait_for_the_end(stream).await,
            Self::Reset => SockRef::from(&stream).set_linger(Some(Duration::ZERO)),
        }
    }
}

/// Reads until the broker ends the connection, or for a while.
async fn wait_for_the_end(mut stream: TcpStream) -> io::Result<()> {
    let _ = timeout(Duration::from_secs(2), stream.read_to_end(&mut Vec::new())).await;
    Ok(())
}

/// A request for all topics.
pub(crate) fn metadata() -> Vec<u8> {
    let mut w = Writer::new();
    let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
    ottla::protocol::message::Message::encode(&request, &mut w, 12).expect("a request");
    frame(&[&header(ApiKey::Metadata, 12, 1), &w.into_bytes()])
}

/// Opens connections that announce a hundred megabytes each and send as much as is taken. Returns the counts of what they
/// have sent when all are open, and what they go on with.
pub(crate) async fn flood(address: SocketAddr, connections: u64) -> (Vec<Arc<AtomicU64>>, JoinSet<()>) {
    let mut sent = Vec::new();
    let mut flooding = JoinSet::new();
    for _ in 0..connections {
        let mut stream = TcpStream::connect(address).await.expect("the broker accepts");
        SockRef::from(&stream).set_send_buffer_size(16 << 10).expect("a socket");
        let count = Arc::new(AtomicU64::new(0));
        sent.push(Arc::clone(&count));
        flooding.spawn(async move {
            let chunk = [0xff; 8 << 10];
            let mut result = stream.write_all(&(100_u32 << 20).to_be_bytes()).await;
            while result.is_ok() {
                result = stream.write_all(&chunk).await;
                count.fetch_add(chunk.len() as u64, Relaxed);
            }
        });
    }
    (sent, flooding)
}

/// How much was sent in all.
pub(crate) fn sent(counts: &[Arc<AtomicU64>]) -> u64 {
    counts.iter().map(|count| count.load(Relaxed)).sum()
}

/// Numbers from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("below a length")
    }

    fn bytes(&mut self, length: u64) -> Vec<u8> {
        (0..length.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect()
    }

    /// An API, and one of its versions or one beside them.
    fn api(&mut self) -> (ApiKey, i16) {
        let key = ApiKey::ALL[self.place(ApiKey::ALL.len())];
        (key, i16::try_from(self.below(20)).expect("small"))
    }

    /// A whole request of an API with nothing in it, and one byte changed.
    fn request(&mut self) -> Vec<u8> {
        let (key, version) = self.api();
        let body = schemas().api(key.code(), MessageKind::Request).and_then(|message| {
            let value = interpret::default_struct(message, version, 0).ok()?;
            interpret::encode(message, version, &Value::Struct(value)).ok()
        });
        let mut request = frame(&[&header(key, version, 1), &body.unwrap_or_default()]);
        let place = 4 + self.place(request.len() - 4);
        request[place] = u8::try_from(self.below(256)).expect("a byte");
        request
    }
}
