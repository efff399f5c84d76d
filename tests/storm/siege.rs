//! Clients that take the broker's room and time, and break no rule at once.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use ottla::protocol::{
    error_code::ErrorCode,
    messages::{ApiVersionsRequest, MetadataRequest},
    records::{
        batch::RecordBatch,
        builder::{BatchBuilder, NewRecord},
        compression::Compression,
    },
};
use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::ring, pki_types::ServerName};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

use crate::{attack, canary::produce_request, wire::Client};

/// What a slow writer waits before its next byte.
const BYTE_PAUSE: Duration = Duration::from_secs(2);
/// The bytes of each record of a bomb.
const BOMB_RECORD: usize = 1 << 20;
/// The records of a bomb: more bytes than the broker unpacks of a batch.
const BOMB_RECORDS: i64 = 100;
/// The records of a bomb that would not fit otherwise, for Snappy makes a twentieth of it at best.
const SNAPPY_RECORDS: i64 = 18;

/// Connections that stay, as long as the broker lets them.
#[derive(Debug)]
pub(crate) struct Siege {
    pub(crate) slow_writers: u64,
    pub(crate) idle: u64,
    pub(crate) non_readers: u64,
}

impl Siege {
    /// In the proportions of a thousand slow writers, five thousand that say nothing and two thousand that do not read.
    pub(crate) fn of(connections: u64) -> Self {
        Self { slow_writers: connections / 8, idle: connections * 5 / 8, non_readers: connections / 4 }
    }

    /// Begins all of it.
    pub(crate) async fn begin(&self, address: SocketAddr) -> JoinSet<()> {
        let mut connections = JoinSet::new();
        for _ in 0..self.idle {
            let client = known(address).await;
            connections.spawn(async move {
                let _open = client;
                std::future::pending().await
            });
        }
        for _ in 0..self.slow_writers {
            stay(&mut connections, write_slowly(connect(address).await));
        }
        for _ in 0..self.non_readers {
            stay(&mut connections, ask_without_reading(connect(address).await));
        }
        connections
    }
}

fn stay(connections: &mut JoinSet<()>, client: impl Future<Output = io::Result<()>> + Send + 'static) {
    connections.spawn(async move {
        // The broker ends it sooner or later.
        let _ended = client.await;
    });
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("the broker accepts")
}

/// A client that has asked what it may ask.
async fn known(address: SocketAddr) -> Client {
    let mut client = Client::connect(address).await.expect("the broker accepts");
    client.call(&ApiVersionsRequest::default(), 0).await.expect("an answer");
    client
}

async fn write_slowly(mut stream: TcpStream) -> io::Result<()> {
    for byte in attack::metadata() {
        stream.write_all(&[byte]).await?;
        sleep(BYTE_PAUSE).await;
    }
    stream.read_to_end(&mut Vec::new()).await.map(drop)
}

async fn ask_without_reading(mut stream: TcpStream) -> io::Result<()> {
    // Small, so that what it asks for waits at the broker and not in this process.
    SockRef::from(&stream).set_recv_buffer_size(4 << 10)?;
    SockRef::from(&stream).set_send_buffer_size(16 << 10)?;
    let request = attack::metadata();
    loop {
        stream.write_all(&request).await?;
    }
}

/// Clients that come all at once, each to be told what there is. Returns how long the last of them waited.
pub(crate) async fn return_at_once(address: SocketAddr, clients: u64) -> Duration {
    let begun = Instant::now();
    let mut returning = JoinSet::new();
    for _ in 0..clients {
        returning.spawn(async move {
            let all = MetadataRequest { topics: None, ..MetadataRequest::default() };
            let found = known(address).await.call(&all, 12).await.expect("an answer");
            assert_eq!(found.topics.len(), 1);
        });
    }
    while let Some(client) = returning.join_next().await {
        client.expect("it is served");
    }
    begun.elapsed()
}

/// A batch for each codec that is small, and unpacks to much more than a broker should take in.
pub(crate) fn bombs() -> Vec<Bytes> {
    [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd].into_iter().map(bomb).collect()
}

fn bomb(codec: Compression) -> Bytes {
    let zeros = vec![0; BOMB_RECORD];
    let mut builder = BatchBuilder::new(0).compression(codec, None);
    let records = if codec == Compression::Snappy { SNAPPY_RECORDS } else { BOMB_RECORDS };
    for _ in 0..records {
        builder.append(&NewRecord { value: Some(&zeros), ..NewRecord::default() }).expect("it fits");
    }
    let batch = builder.build().expect("a batch");
    // One record more than there are, so that all that is unpacked is for nothing.
    let mut header = *batch.header();
    header.record_count += 1;
    header.last_offset_delta += 1;
    let bomb = RecordBatch::assemble(header, &batch.payload()).expect("a batch").bytes().clone();
    assert!(bomb.len() < 1 << 20, "{codec:?}: {} bytes", bomb.len());
    bomb
}

/// Produces one bomb after the other until then; each must be refused. Returns how many there were.
pub(crate) async fn bombard(address: SocketAddr, topic: &str, bombs: &[Bytes], until: Instant) -> u64 {
    let mut client = Client::connect(address).await.expect("the broker accepts");
    let requests: Vec<_> = bombs.iter().map(|bomb| produce_request(topic, bomb.clone())).collect();
    let mut refused = 0;
    for request in requests.iter().cycle() {
        let Ok(response) = timeout_at(until, client.call(request, 9)).await else { break };
        let response = response.expect("the connection stays");
        assert_eq!(response.responses[0].partition_responses[0].error_code, ErrorCode::InvalidRecord.code());
        refused += 1;
    }
    refused
}

/// The first message of a TLS handshake.
pub(crate) fn client_hello() -> Vec<u8> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("a message");
    hello
}

/// Begins handshakes one after the other, lets the broker do its part, and goes. Returns how many were answered.
pub(crate) async fn begin_handshakes(address: SocketAddr, hello: Vec<u8>, until: Instant) -> u64 {
    let mut begun = 0;
    while Instant::now() < until {
        let handshake = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(&hello).await?;
            stream.read_u8().await?;
            // So that the ports of this machine do not run out.
            SockRef::from(&stream).set_linger(Some(Duration::ZERO))
        };
        if let Ok(Ok(())) = timeout_at(until, handshake).await {
            begun += 1;
        }
    }
    begun
}
