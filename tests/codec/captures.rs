//! Both codecs against what real clients and Apache Kafka said to each other. `tests/captures/README.md` says how it was
//! recorded.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::Read,
    path::Path,
    str::FromStr,
};

use bytes::Bytes;
use flate2::read::GzDecoder;
use ottla::protocol::{
    message::Message,
    messages::{ApiKey, FetchResponse, ProduceRequest, RequestHeader, ResponseHeader},
    records::{Records, batch::RecordBatch},
    wire::Reader,
};
use ottla_codegen::{Release, Schemas, interpret, spec::MessageKind};

use crate::codecs::{codec, codecs};
use crate::hex::unhex;

const FIXTURES: &str = "tests/fixtures/captures";
const README: &str = "tests/captures/README.md";

/// A frame without its size, and what the request said that it is or answers.
struct Frame {
    client: String,
    kind: MessageKind,
    key: i16,
    version: i16,
    bytes: Bytes,
}

impl Frame {
    fn parse(client: &str, line: &str) -> Self {
        let mut columns = line.split('\t');
        let mut column = || columns.next().unwrap_or_else(|| panic!("{client}: four columns in {line}"));
        let kind = match column() {
            "request" => MessageKind::Request,
            "response" => MessageKind::Response,
            other => panic!("{client}: no direction: {other}"),
        };
        let (key, version, bytes) = (number(column()), number(column()), unhex(column()));
        Self { client: client.to_owned(), kind, key, version, bytes }
    }

    fn api(&self) -> ApiKey {
        ApiKey::from_code(self.key).unwrap_or_else(|| panic!("{}: no API has key {}", self.client, self.key))
    }

    fn header(&self) -> (&'static str, i16) {
        match self.kind {
            MessageKind::Request => ("RequestHeader", self.api().request_header_version(self.version)),
            _ => ("ResponseHeader", self.api().response_header_version(self.version)),
        }
    }

    fn message(&self) -> String {
        format!("{}{:?}", self.api().name(), self.kind)
    }

    /// What follows the header.
    fn body(&self) -> Bytes {
        let mut r = Reader::new(&self.bytes);
        let (name, version) = self.header();
        let read = match name {
            "RequestHeader" => RequestHeader::decode(&mut r, version).map(drop),
            _ => ResponseHeader::decode(&mut r, version).map(drop),
        };
        read.unwrap_or_else(|error| panic!("{self}: {error}"));
        self.bytes.slice(r.position()..)
    }
}

impl std::fmt::Display for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} v{}", self.client, self.message(), self.version)
    }
}

fn number<N: FromStr>(text: &str) -> N {
    text.parse().unwrap_or_else(|_| panic!("no number: {text}"))
}

/// Every frame of every fixture; the client is the fixture's name.
fn frames() -> Vec<Frame> {
    let mut frames = Vec::new();
    for entry in fs::read_dir(FIXTURES).expect("the fixtures") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        let client = name.strip_suffix(".tsv.gz").unwrap_or_else(|| panic!("{name} is no capture"));
        let mut text = String::new();
        GzDecoder::new(File::open(&path).expect("a file")).read_to_string(&mut text).expect("gzip");
        frames.extend(text.lines().map(|line| Frame::parse(client, line)));
    }
    assert!(frames.len() >= 1_000, "only {} frames", frames.len());
    frames
}

/// A message's encoding after it was decoded, and how many bytes that took.
type Recoded = (Bytes, usize);

/// Holds a codec to a frame: header and body are read and written alike. Gives the number of bytes behind the message.
fn check_frame(frame: &Frame, recode: impl Fn(&str, i16, &Bytes) -> Recoded) -> usize {
    let (header, header_version) = frame.header();
    let (encoded_header, header_length) = recode(header, header_version, &frame.bytes);
    assert_eq!(encoded_header, frame.bytes[..header_length], "{frame}: header v{header_version}");
    let body = frame.bytes.slice(header_length..);
    let (encoded_body, body_length) = recode(&frame.message(), frame.version, &body);
    assert_eq!(encoded_body, body[..body_length], "{frame}");
    body.len() - body_length
}

/// What clients send behind a message, in all frames recorded; the README says why. A broker that refuses it does not
/// serve these clients.
const TRAILING: &[&str] = &[
    "confluent-sasl: AlterUserScramCredentialsRequest v0: 1 bytes",
    "confluent-sasl: MetadataRequest v13: 3 bytes",
    "confluent: AlterUserScramCredentialsRequest v0: 1 bytes",
    "confluent: MetadataRequest v13: 3 bytes",
    "librdkafka: MetadataRequest v13: 3 bytes",
];

/// Notes the frames that have bytes behind the message.
#[derive(Default)]
struct Trailing(BTreeSet<String>);

impl Trailing {
    fn note(&mut self, frame: &Frame, length: usize) {
        if length > 0 {
            self.0.insert(format!("{frame}: {length} bytes"));
        }
    }

    /// Holds it against what is known of these messages.
    fn assert_known(&self, is_held: impl Fn(&str) -> bool) {
        let known = TRAILING.iter().filter(|line| line.split([' ', ':']).any(&is_held));
        assert!(self.0.iter().eq(known), "behind a message: {:#?}", self.0);
    }
}

#[test]
fn the_generated_codec_reads_and_writes_every_frame_of_a_message_in_use() {
    let mut held = BTreeSet::new();
    let mut trailing = Trailing::default();
    for frame in frames() {
        let message = frame.message();
        if codec(&message).is_none() {
            continue;
        }
        let length = check_frame(&frame, |name, version, bytes| {
            let codec = codec(name).expect("headers are in use");
            let recoded = (codec.recode)(bytes, version).unwrap_or_else(|error| panic!("{frame}: {error}"));
            (recoded.bytes, recoded.read)
        });
        trailing.note(&frame, length);
        held.insert(message);
    }
    trailing.assert_known(|name| held.contains(name));
    let unheard: Vec<_> = codecs().iter().map(|codec| codec.name).filter(|n| is_api(n) && !held.contains(*n)).collect();
    let all_messages = cfg!(feature = "all-messages");
    assert!(all_messages || unheard.is_empty(), "no client was recorded with {unheard:?}");
}

fn is_api(message: &str) -> bool {
    message.ends_with("Request") || message.ends_with("Response")
}

#[test]
fn the_interpreting_codec_reads_and_writes_every_frame() {
    let release = |name| Release::read(&Path::new("schemas").join(name)).expect("the schemas");
    let schemas = Schemas::load(&release("kafka-4.4.0"), &release("kafka-3.9.1")).expect("good schemas");
    let mut trailing = Trailing::default();
    for frame in frames() {
        let length = check_frame(&frame, |name, version, bytes| {
            let schema = schemas.get(name).unwrap_or_else(|| panic!("{frame}: no schema describes {name}"));
            let (value, length) =
                interpret::decode(schema, version, bytes).unwrap_or_else(|error| panic!("{frame}: {error}"));
            let encoded = interpret::encode(schema, version, &value).expect("what was read can be written");
            (encoded.into(), length)
        });
        trailing.note(&frame, length);
    }
    trailing.assert_known(|_| true);
}

#[test]
fn every_batch_is_whole_and_its_crc_is_right() {
    let mut produced = BTreeSet::new();
    let mut fetched = BTreeSet::new();
    for frame in frames() {
        match frame.message().as_str() {
            "ProduceRequest" => produced.extend(codecs_of(&frame, &produced_records(&frame))),
            "FetchResponse" => fetched.extend(codecs_of(&frame, &fetched_records(&frame))),
            _ => {}
        }
    }
    for client in ["java", "librdkafka"] {
        let every_codec: Vec<_> = (0..5).map(|codec| (client.to_owned(), codec)).collect();
        assert!(every_codec.iter().all(|codec| produced.contains(codec)), "{produced:?}");
        assert!(every_codec.iter().all(|codec| fetched.contains(codec)), "{fetched:?}");
    }
}

fn produced_records(frame: &Frame) -> Vec<Bytes> {
    let request = ProduceRequest::decode_all(&frame.body(), frame.version).expect("decodes");
    let partitions = request.topic_data.into_iter().flat_map(|topic| topic.partition_data);
    partitions.filter_map(|partition| in_memory(partition.records)).collect()
}

fn fetched_records(frame: &Frame) -> Vec<Bytes> {
    let response = FetchResponse::decode_all(&frame.body(), frame.version).expect("decodes");
    let partitions = response.responses.into_iter().flat_map(|topic| topic.partitions);
    partitions.filter_map(|partition| in_memory(partition.records)).collect()
}

fn in_memory(records: Option<Records>) -> Option<Bytes> {
    records.map(|records| match records {
        Records::Bytes(bytes) => bytes,
        Records::File(_) => unreachable!("decoded from memory"),
    })
}

/// Checks the batches, and gives the numbers of their compression codecs.
fn codecs_of(frame: &Frame, records: &[Bytes]) -> Vec<(String, i16)> {
    let mut codecs = Vec::new();
    for bytes in records {
        let mut rest = bytes.clone();
        while !rest.is_empty() {
            let batch = RecordBatch::split_from(&mut rest).unwrap_or_else(|error| panic!("{frame}: {error}"));
            batch.check_crc().unwrap_or_else(|error| panic!("{frame}: {error}"));
            codecs.push((frame.client.clone(), batch.header().compression_id()));
        }
    }
    codecs
}

#[test]
fn the_readme_says_what_is_recorded() {
    let readme = fs::read_to_string(README).expect("the README");
    let table = table(&frames());
    assert!(readme.contains(&table), "{README} should have this table:\n{table}");
}

/// Versions by API and client.
fn table(frames: &[Frame]) -> String {
    let clients: BTreeSet<_> = frames.iter().map(|frame| frame.client.as_str()).collect();
    let mut versions: BTreeMap<i16, BTreeMap<&str, BTreeSet<i16>>> = BTreeMap::new();
    for frame in frames {
        versions.entry(frame.key).or_default().entry(&frame.client).or_default().insert(frame.version);
    }
    let mut table = format!("| API |{}\n|---|{}\n", row(clients.iter().copied()), row(clients.iter().map(|_| "---")));
    for (key, by_client) in &versions {
        let name = ApiKey::from_code(*key).map_or("?", ApiKey::name);
        let cells = clients.iter().map(|client| by_client.get(client).map(listed).unwrap_or_default());
        table.push_str(&format!("| {name} ({key}) |{}\n", row(cells)));
    }
    table
}

fn row(cells: impl Iterator<Item = impl AsRef<str>>) -> String {
    cells.map(|cell| format!(" {} |", cell.as_ref())).collect()
}

fn listed(versions: &BTreeSet<i16>) -> String {
    versions.iter().map(i16::to_string).collect::<Vec<_>>().join(", ")
}
