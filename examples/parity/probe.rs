//! One broker under question: a connection, topics of a row's own, and the transcript of its answers.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use ottla::protocol::{
    message::{Message, Request},
    messages::{
        CreateTopicsRequest, ListOffsetsRequest, RequestHeader, ResponseHeader,
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
    },
    wire::{Reader, StrBytes},
};
use serde_json::Value;
use uuid::Uuid;

use crate::answer::{Answer, comparable, to_json};

/// How long an answer is waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How often a new topic is looked at before it must be there, and the pause between.
const TOPIC_ATTEMPTS: usize = 100;
const TOPIC_PAUSE: Duration = Duration::from_millis(50);
const CORRELATION_ID: i32 = 7;

/// A topic that a row made.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    /// Its name: the same on both brokers.
    pub(crate) name: StrBytes,
    /// Its id: each broker's own.
    pub(crate) id: Uuid,
}

/// A broker, as a row sees it.
pub(crate) struct Probe {
    address: String,
    prefix: String,
    topics: usize,
    connection: Option<TcpStream>,
    transcript: Vec<String>,
}

impl Probe {
    /// Asks the broker at `address`. Topics that are made begin with `prefix`.
    pub(crate) fn new(address: &str, prefix: &str) -> Self {
        let (address, prefix) = (address.to_owned(), prefix.to_owned());
        Self { address, prefix, topics: 0, connection: None, transcript: Vec::new() }
    }

    /// All that was answered.
    pub(crate) fn into_transcript(self) -> Vec<String> {
        self.transcript
    }

    /// Asks, and keeps the answer for the comparison.
    pub(crate) fn ask<R: Request>(&mut self, version: i16, request: &R) -> Result<Answer> {
        let answer = self.ask_quietly(version, request)?;
        self.note(&answer);
        Ok(answer)
    }

    /// Asks without keeping the answer.
    pub(crate) fn ask_quietly<R: Request>(&mut self, version: i16, request: &R) -> Result<Answer> {
        self.exchange::<R>(version, &request_frame::<R>(version, &request.to_bytes(version)?)?)
    }

    /// Sends bytes as they are, and keeps whether and with how many bytes they are answered.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.send(bytes)?;
        let shown = match self.receive()? {
            Received::Frame(frame) => format!("a frame of {} bytes", frame.len()),
            Received::Closed => "closed".to_owned(),
            Received::Silence => "silence".to_owned(),
        };
        self.transcript.push(shown);
        Ok(())
    }

    /// Sends a frame as it is, and keeps the error code of the answer, which is read in `version`.
    pub(crate) fn send_raw_answered<R: Request>(&mut self, frame: &[u8], version: i16) -> Result<()> {
        let answer = self.exchange::<R>(version, frame)?;
        self.note_text(match &answer {
            Answer::Response(value) => format!("error {}", value["errorCode"]),
            Answer::Closed | Answer::Silence => comparable(&answer),
        });
        Ok(())
    }

    /// Keeps something else for the comparison.
    pub(crate) fn note_text(&mut self, text: impl Into<String>) {
        self.transcript.push(text.into());
    }

    /// A name that no other row uses.
    pub(crate) fn new_name(&mut self) -> String {
        self.topics += 1;
        format!("{}-{}", self.prefix, self.topics)
    }

    /// Makes a topic and waits until it can be used.
    pub(crate) fn topic(&mut self, partitions: i32, configs: &[(&str, &str)]) -> Result<Topic> {
        let name = self.new_name();
        self.topic_named(&name, partitions, configs)
    }

    /// The same with a name of the row's choice.
    pub(crate) fn topic_named(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Result<Topic> {
        let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: (*name).into(),
            value: Some((*value).into()),
            ..Default::default()
        });
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
        let answer = self.ask_quietly(7, &request)?;
        let created = &answer.response()["topics"][0];
        anyhow::ensure!(created["errorCode"] == 0, "topic {name} was not created: {created}");
        self.await_topic(name, partitions)?;
        Ok(Topic { name: name.into(), id: uuid_of(&created["topicId"])? })
    }

    /// Kafka's brokers learn of a topic some time after its creation was answered.
    pub(crate) fn await_topic(&mut self, name: &str, partitions: i32) -> Result<()> {
        let latest = |partition_index| ListOffsetsPartition { partition_index, timestamp: -1, ..Default::default() };
        let topic = ListOffsetsTopic {
            name: name.into(),
            partitions: (0..partitions).map(latest).collect(),
            ..Default::default()
        };
        let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        for _ in 0..TOPIC_ATTEMPTS {
            let answer = self.ask_quietly(7, &request)?;
            let all = answer.response()["topics"][0]["partitions"].as_array().cloned().unwrap_or_default();
            if !all.is_empty() && all.iter().all(|partition| partition["errorCode"] == 0) {
                return Ok(());
            }
            thread::sleep(TOPIC_PAUSE);
        }
        anyhow::bail!("topic {name} cannot be used")
    }

    fn note(&mut self, answer: &Answer) {
        self.transcript.push(comparable(answer).replace(&self.prefix, "T"));
    }

    fn exchange<R: Request>(&mut self, version: i16, frame: &[u8]) -> Result<Answer> {
        self.send(frame)?;
        let frame = match self.receive()? {
            Received::Closed => return Ok(Answer::Closed),
            Received::Silence => return Ok(Answer::Silence),
            Received::Frame(frame) => Bytes::from(frame),
        };
        let mut r = Reader::new(&frame);
        let header = ResponseHeader::decode(&mut r, R::KEY.response_header_version(version))?;
        anyhow::ensure!(header.correlation_id == CORRELATION_ID, "an answer to request {}", header.correlation_id);
        Ok(Answer::Response(to_json::<R::Response>(&frame[r.position()..], version)?))
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let stream = match &mut self.connection {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(&self.address).with_context(|| self.address.clone())?;
                stream.set_read_timeout(Some(ANSWER_WITHIN))?;
                none.insert(stream)
            }
        };
        // The broker may hang up before it has read everything; what it says shows in what is received.
        let _ = stream.write_all(bytes);
        Ok(())
    }

    fn receive(&mut self) -> Result<Received> {
        let stream = self.connection.as_mut().context("nothing was sent")?;
        let received = receive_from(stream)?;
        if !matches!(received, Received::Frame(_)) {
            self.connection = None;
        }
        Ok(received)
    }
}

enum Received {
    Frame(Vec<u8>),
    Closed,
    Silence,
}

fn receive_from(stream: &mut TcpStream) -> Result<Received> {
    let mut size = [0; 4];
    if let Err(error) = stream.read_exact(&mut size) {
        return match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Ok(Received::Closed),
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Ok(Received::Silence),
            _ => Err(error.into()),
        };
    }
    let mut frame = vec![0; usize::try_from(i32::from_be_bytes(size))?];
    stream.read_exact(&mut frame)?;
    Ok(Received::Frame(frame))
}

/// A request with its header and its size.
fn request_frame<R: Request>(version: i16, body: &[u8]) -> Result<Vec<u8>> {
    let header = RequestHeader {
        request_api_key: R::KEY.code(),
        request_api_version: version,
        correlation_id: CORRELATION_ID,
        client_id: Some("parity".into()),
        ..Default::default()
    };
    let header = header.to_bytes(R::KEY.request_header_version(version))?;
    frame(&[&header, body].concat())
}

/// Bytes with their size in front.
pub(crate) fn frame(content: &[u8]) -> Result<Vec<u8>> {
    Ok([&i32::try_from(content.len())?.to_be_bytes(), content].concat())
}

/// Kafka writes UUIDs in base64.
fn uuid_of(text: &Value) -> Result<Uuid> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    let bytes = URL_SAFE_NO_PAD.decode(text.as_str().context("an id")?)?;
    Ok(Uuid::from_slice(&bytes)?)
}
