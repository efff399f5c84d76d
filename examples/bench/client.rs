//! A connection that sends frames made beforehand: what it costs itself does not show in the figures.

use std::{
    collections::VecDeque,
    io::{BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use ottla::protocol::{
    message::{Message, Request},
    messages::{
        ApiVersionsRequest, CreateTopicsRequest, DeleteTopicsRequest, ListOffsetsRequest, ProduceRequest,
        ProduceResponse, RequestHeader, ResponseHeader,
        create_topics_request::CreatableTopic,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    records::Records,
    wire::Reader,
};

/// How long an answer is waited for.
const BOUND: Duration = Duration::from_mins(1);
/// Between two looks at a topic that is not there yet.
const PAUSE: Duration = Duration::from_millis(20);
/// The version that requests are made in.
const PRODUCE_VERSION: i16 = 9;

/// A connection to a broker.
pub(crate) struct Client {
    writing: TcpStream,
    reading: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let writing = TcpStream::connect(address)?;
        writing.set_nodelay(true)?;
        writing.set_read_timeout(Some(BOUND))?;
        let reading = BufReader::new(writing.try_clone()?);
        Ok(Self { writing, reading })
    }

    pub(crate) fn api_versions(&mut self) -> Result<()> {
        self.call(0, &ApiVersionsRequest::default()).map(drop)
    }

    /// Makes a topic, and waits until all of it can be used.
    pub(crate) fn create_topic(&mut self, name: &str, partitions: i32) -> Result<()> {
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..CreateTopicsRequest::default() };
        let response = self.call(5, &request)?;
        let code = response.topics.first().context("no result")?.error_code;
        ensure!(code == 0, "topic {name}: error {code}");
        self.await_topic(name, partitions)
    }

    /// Kafka's brokers learn of a topic some time after its creation was answered.
    fn await_topic(&mut self, name: &str, partitions: i32) -> Result<()> {
        let latest = |partition_index| ListOffsetsPartition {
            partition_index,
            timestamp: -1,
            ..ListOffsetsPartition::default()
        };
        let topic = ListOffsetsTopic {
            name: name.into(),
            partitions: (0..partitions).map(latest).collect(),
            ..ListOffsetsTopic::default()
        };
        let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
        let began = Instant::now();
        while began.elapsed() < BOUND {
            let response = self.call(5, &request)?;
            let all = response.topics.iter().flat_map(|topic| &topic.partitions);
            if all.map(|partition| partition.error_code).all(|code| code == 0) {
                return Ok(());
            }
            thread::sleep(PAUSE);
        }
        bail!("topic {name} cannot be used after {BOUND:?}")
    }

    pub(crate) fn delete_topic(&mut self, name: &str) -> Result<()> {
        let request = DeleteTopicsRequest {
            topic_names: vec![name.into()],
            timeout_ms: 30_000,
            ..DeleteTopicsRequest::default()
        };
        let response = self.call(5, &request)?;
        let code = response.responses.first().context("no result")?.error_code;
        ensure!(code == 0, "topic {name}: error {code}");
        Ok(())
    }

    pub(crate) fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response> {
        self.send(&frame(version, request)?)?;
        self.receive::<R>(version)
    }

    pub(crate) fn send(&mut self, frame: &[u8]) -> Result<()> {
        Ok(self.writing.write_all(frame)?)
    }

    pub(crate) fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response> {
        let mut size = [0; 4];
        self.reading.read_exact(&mut size)?;
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(size))?];
        self.reading.read_exact(&mut frame)?;
        let frame = Bytes::from(frame);
        let mut r = Reader::new(&frame);
        ResponseHeader::decode(&mut r, R::KEY.response_header_version(version))?;
        Ok(R::Response::decode(&mut r, version)?)
    }

    /// Sends `count` of `frames` in turn, made by [`produce_frame`]; see [`Client::pipeline`].
    pub(crate) fn produce(&mut self, frames: &[Bytes], count: usize, in_flight: usize) -> Result<Vec<f64>> {
        self.pipeline::<ProduceRequest>(PRODUCE_VERSION, frames, count, in_flight, acknowledged)
    }

    /// Sends `count` of `frames` in turn, requests of this version, so many at a time; returns how long each answer took,
    /// in milliseconds.
    pub(crate) fn pipeline<R: Request>(
        &mut self,
        version: i16,
        frames: &[Bytes],
        count: usize,
        in_flight: usize,
        check: impl Fn(&R::Response) -> Result<()>,
    ) -> Result<Vec<f64>> {
        let mut latencies = Vec::with_capacity(count);
        let mut sent = VecDeque::with_capacity(in_flight);
        let mut next = frames.iter().cycle().take(count);
        loop {
            while sent.len() < in_flight
                && let Some(frame) = next.next()
            {
                sent.push_back(Instant::now());
                self.send(frame)?;
            }
            let Some(began) = sent.pop_front() else { return Ok(latencies) };
            check(&self.receive::<R>(version)?)?;
            latencies.push(began.elapsed().as_secs_f64() * 1e3);
        }
    }
}

fn acknowledged(response: &ProduceResponse) -> Result<()> {
    let mut partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    match partitions.find(|partition| partition.error_code != 0) {
        None => Ok(()),
        Some(refused) => bail!("partition {}: error {}", refused.index, refused.error_code),
    }
}

/// A frame that writes a batch to each of these partitions.
pub(crate) fn produce_frame(
    topic: &str,
    acks: i16,
    partitions: impl IntoIterator<Item = i32>,
    batch: &Bytes,
) -> Result<Bytes> {
    let partition_data = partitions.into_iter().map(|index| PartitionProduceData {
        index,
        records: Some(Records::Bytes(batch.clone())),
        ..PartitionProduceData::default()
    });
    let topic = TopicProduceData {
        name: topic.into(),
        partition_data: partition_data.collect(),
        ..TopicProduceData::default()
    };
    let request = ProduceRequest { acks, timeout_ms: 30_000, topic_data: vec![topic], ..ProduceRequest::default() };
    frame(PRODUCE_VERSION, &request)
}

/// A frame with this request.
pub(crate) fn frame<R: Request>(version: i16, request: &R) -> Result<Bytes> {
    let header = RequestHeader {
        request_api_key: R::KEY.code(),
        request_api_version: version,
        client_id: Some("bench".into()),
        ..RequestHeader::default()
    };
    let header = header.to_bytes(R::KEY.request_header_version(version))?;
    let body = request.to_bytes(version)?;
    let size = i32::try_from(header.len() + body.len())?;
    Ok([&size.to_be_bytes(), &header[..], &body[..]].concat().into())
}
