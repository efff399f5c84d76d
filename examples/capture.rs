//! A proxy that keeps samples of what a client and a broker say to each other.
//!
//! `cargo run --example capture -- --listen 127.0.0.1:19092 --upstream 127.0.0.1:29092 --out FILE`
//!
//! Clients follow advertised addresses, so the broker behind the proxy must advertise the proxy's. The file is written
//! at the end, which is SIGINT or SIGTERM: a line for each frame, sorted, gzipped where the name ends in `.gz`.
//!
//! ```text
//! request|response <tab> api key <tab> api version <tab> the frame in hex, without its size
//! ```
//!
//! Of each kind (direction, key, version) it keeps frames of different lengths, up to `--samples` of them: frames of
//! one length nearly always differ in numbers and names only.
//!
//! The proxy knows no message, only the first eight bytes of a request (key, version, correlation id) and the first
//! four of a response (correlation id). Raw SASL frames have neither, so it does not do for those.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result};
use bytes::{Buf, Bytes};
use clap::Parser;
use flate2::{Compression, write::GzEncoder};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    signal::unix::{SignalKind, signal},
};

#[derive(Parser)]
struct Arguments {
    /// Where clients connect.
    #[arg(long)]
    listen: SocketAddr,
    /// The broker.
    #[arg(long)]
    upstream: SocketAddr,
    /// The file to write; gzipped if its name ends in .gz.
    #[arg(long)]
    out: PathBuf,
    /// How many frames to keep of each direction, API key and version.
    #[arg(long, default_value_t = 32)]
    samples: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(arguments.listen).await.with_context(|| arguments.listen.to_string())?;
    let samples = Arc::new(Samples::new(arguments.samples));
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        failed = accept(&listener, arguments.upstream, &samples) => failed?,
        _ = terminated.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    let frames = samples.write(&arguments.out).with_context(|| arguments.out.display().to_string())?;
    eprintln!("{frames} frames in {}", arguments.out.display());
    Ok(())
}

async fn accept(listener: &TcpListener, upstream: SocketAddr, samples: &Arc<Samples>) -> Result<()> {
    loop {
        let (client, _) = listener.accept().await?;
        let broker = TcpStream::connect(upstream).await.with_context(|| upstream.to_string())?;
        tokio::spawn(connection(client, broker, Arc::clone(samples)));
    }
}

async fn connection(client: TcpStream, broker: TcpStream, samples: Arc<Samples>) {
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    let in_flight = Mutex::new(InFlight::default());
    let ended = tokio::try_join!(
        forward(from_client, to_broker, |frame| {
            if let Some(sent) = Sent::parse(frame) {
                samples.keep(Direction::Request, sent, frame);
                lock(&in_flight).0.push_back(sent);
            }
        }),
        forward(from_broker, to_client, |frame| match lock(&in_flight).answered_by(frame) {
            Some(sent) => samples.keep(Direction::Response, sent, frame),
            None => eprintln!("a response of {} bytes answers no request", frame.len()),
        }),
    );
    if let Err(error) = ended
        && error.kind() != io::ErrorKind::UnexpectedEof
    {
        eprintln!("connection: {error}");
    }
}

/// Passes frames on until the sender closes. Each is seen before it is sent, so that a request is known by the time its
/// response arrives.
async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut see: impl FnMut(&Bytes)) -> io::Result<()> {
    loop {
        let size = from.read_u32().await?;
        let mut frame = vec![0; usize::try_from(size).map_err(io::Error::other)?];
        from.read_exact(&mut frame).await?;
        let frame = Bytes::from(frame);
        see(&frame);
        to.write_u32(size).await?;
        to.write_all(&frame).await?;
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Direction {
    Request,
    Response,
}

/// What the start of a request says.
#[derive(Clone, Copy)]
struct Sent {
    key: i16,
    version: i16,
    correlation_id: i32,
}

impl Sent {
    fn parse(mut frame: &[u8]) -> Option<Self> {
        Some(Self {
            key: frame.try_get_i16().ok()?,
            version: frame.try_get_i16().ok()?,
            correlation_id: frame.try_get_i32().ok()?,
        })
    }
}

/// The requests of a connection that are not answered yet, in the order sent.
#[derive(Default)]
struct InFlight(VecDeque<Sent>);

impl InFlight {
    /// The request that a response answers. Those sent before it will not be answered: produced with acks=0.
    fn answered_by(&mut self, mut response: &[u8]) -> Option<Sent> {
        let correlation_id = response.try_get_i32().ok()?;
        let at = self.0.iter().position(|sent| sent.correlation_id == correlation_id)?;
        self.0.drain(..=at).next_back()
    }
}

/// Key, version and direction of a frame.
type Kind = (i16, i16, Direction);

/// The frames kept, by kind and length.
struct Samples {
    most: usize,
    frames: Mutex<BTreeMap<Kind, BTreeMap<usize, Bytes>>>,
}

impl Samples {
    fn new(most: usize) -> Self {
        Self { most, frames: Mutex::default() }
    }

    fn keep(&self, direction: Direction, sent: Sent, frame: &Bytes) {
        let mut frames = lock(&self.frames);
        let kept = frames.entry((sent.key, sent.version, direction)).or_default();
        if kept.len() < self.most {
            kept.entry(frame.len()).or_insert_with(|| frame.clone());
        }
    }

    /// Writes them all and says how many they are.
    fn write(&self, path: &Path) -> io::Result<usize> {
        let lines = self.lines();
        let mut file = File::create(path)?;
        if path.extension().is_some_and(|extension| extension == "gz") {
            let mut gzip = GzEncoder::new(file, Compression::best());
            gzip.write_all(lines.concat().as_bytes())?;
            gzip.finish()?;
        } else {
            file.write_all(lines.concat().as_bytes())?;
        }
        Ok(lines.len())
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (&(key, version, direction), kept) in lock(&self.frames).iter() {
            let direction = match direction {
                Direction::Request => "request",
                Direction::Response => "response",
            };
            lines.extend(kept.values().map(|frame| format!("{direction}\t{key}\t{version}\t{frame:x}\n")));
        }
        lines
    }
}

/// The lock's content, also after a panic of another connection: what that one kept is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
