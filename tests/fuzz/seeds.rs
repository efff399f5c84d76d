//! Valid inputs for every target, of which the corpora are made.

use std::{collections::BTreeMap, io::Read, path::Path};

use bytes::Bytes;
use ottla::{
    handlers::api::SUPPORTED,
    log::{
        disk::{Disk, OpenMode, read_file, sim::SimDisk},
        producer_state::{ProducerStates, snapshot},
    },
    metadata::{
        image::Image,
        level::MetadataLevel,
        quorum::QuorumState,
        record::MetadataRecord,
        snapshot::{Snapshot, SnapshotId, feature_record, records_of, write},
        users::{ScramCredential, ScramMechanism},
    },
    protocol::{
        message::Message,
        messages::{
            ConfigRecord, PartitionRecord, RegisterBrokerRecord, RemoveTopicRecord, RequestHeader, TopicRecord,
        },
        records::{
            batch::RecordBatch,
            builder::{BatchBuilder, NewRecord},
            compression::{Compression, compress},
            control::ControlRecordType,
            record::RecordHeader,
        },
        schemas::schemas,
    },
};
use uuid::Uuid;

#[path = "../codec/hex.rs"]
mod hex;

use hex::unhex;

const NOW: i64 = 1_800_000_000_000;
const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// Valid inputs by target.
pub(crate) fn all() -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    let mut all = BTreeMap::new();
    wire(&mut all);
    records(&mut all);
    files(&mut all);
    metadata(&mut all);
    coordinators(&mut all);
    auth(&mut all);
    config(&mut all);
    tools(&mut all);
    all
}

type Seeds = BTreeMap<&'static str, Vec<Vec<u8>>>;

/// An input from its parts.
#[derive(Clone, Default)]
struct Input(Vec<u8>);

impl Input {
    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn byte(self, byte: u8) -> Self {
        self.raw(&[byte])
    }

    fn index(self, index: usize) -> Self {
        self.raw(&u16::try_from(index).expect("a small index").to_be_bytes())
    }

    fn block(self, bytes: &[u8]) -> Self {
        self.index(bytes.len()).raw(bytes)
    }
}

/// A message of the fixtures, as Apache Kafka's own classes wrote it.
struct Vector {
    name: String,
    version: i16,
    bytes: Bytes,
}

fn lines(path: &str) -> Vec<Vec<String>> {
    let file = std::fs::File::open(Path::new("tests/fixtures").join(path)).expect("the fixture");
    let mut text = String::new();
    match path.ends_with(".gz") {
        true => flate2::read::GzDecoder::new(file).read_to_string(&mut text),
        false => std::io::BufReader::new(file).read_to_string(&mut text),
    }
    .expect("text");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn vectors() -> Vec<Vector> {
    let vector = |line: Vec<String>| Vector {
        name: line[0].clone(),
        version: line[1].parse().expect("a version"),
        bytes: unhex(&line[2]),
    };
    lines("vectors.tsv.gz").into_iter().map(vector).collect()
}

macro_rules! messages {
    ($($message:ident)*) => {
        vec![$((
            ottla::protocol::messages::$message::NAME,
            ottla::protocol::messages::$message::LOWEST_VERSION,
            ottla::protocol::messages::$message::HIGHEST_VERSION,
        )),*]
    };
}

fn wire(all: &mut Seeds) {
    let vectors = vectors();
    let found = |name: &str, version: i16| vectors.iter().find(|v| v.name == name && v.version == version);
    for api in SUPPORTED {
        let versions = if api.lowest == api.highest { vec![api.lowest] } else { vec![api.lowest, api.highest] };
        for version in versions {
            let Some(vector) = found(&format!("{}Request", api.key.name()), version) else { continue };
            let header = RequestHeader {
                request_api_key: api.key.code(),
                request_api_version: version,
                correlation_id: 7,
                client_id: Some("fuzz".into()),
                ..RequestHeader::default()
            };
            let header = header.to_bytes(api.key.request_header_version(version)).expect("a header");
            all.entry("request").or_default().push([&header[..], &vector.bytes].concat());
        }
    }
    let captured = lines("captures/librdkafka.tsv.gz");
    let requests = captured.iter().filter(|line| line[0] == "request").map(|line| unhex(line.last().expect("bytes")));
    let requests: Vec<_> =
        requests.filter(|bytes| bytes.len() < 1000).step_by(20).map(|bytes| bytes.to_vec()).collect();
    all.entry("request").or_default().extend(requests.iter().cloned());
    let framed =
        |request: &Vec<u8>| [&i32::try_from(request.len()).expect("short").to_be_bytes()[..], request].concat();
    let stream: Vec<u8> = requests.iter().take(5).flat_map(framed).collect();
    let cuts = [1_u64, 0x0102_0408_0f00_0301];
    all.insert("frame", cuts.iter().map(|cuts| Input::default().raw(&cuts.to_be_bytes()).raw(&stream).0).collect());

    let codecs: Vec<(&str, i16, i16)> = ottla::for_each_message!(messages);
    for (index, (name, lowest, highest)) in codecs.iter().enumerate() {
        let Some(vector) = found(name, *highest).filter(|vector| vector.bytes.len() < 2000) else { continue };
        let version = u8::try_from(highest - lowest).expect("few versions");
        if !name.ends_with("Request") {
            all.entry("message").or_default().push(Input::default().index(index).byte(version).raw(&vector.bytes).0);
        }
        let index = schemas().iter().position(|message| message.name == *name).expect("a message of the schemas");
        if index % 4 == 0 {
            let input = Input::default().index(index).raw(&highest.to_be_bytes()).raw(&vector.bytes);
            all.entry("interpreter").or_default().push(input.0);
        }
    }
    for (target, name) in [
        ("request_header", "RequestHeader"),
        ("api_versions", "ApiVersionsRequest"),
        ("sasl_handshake", "SaslHandshakeRequest"),
        ("sasl_authenticate", "SaslAuthenticateRequest"),
    ] {
        for vector in vectors.iter().filter(|vector| vector.name == name) {
            let mut input = Input::default().byte(u8::try_from(vector.version).expect("small"));
            if target == "request_header" {
                input = input.byte(0);
            }
            all.entry(target).or_default().push(input.raw(&vector.bytes).0);
        }
    }
}

fn builder(base_offset: i64, codec: Compression) -> BatchBuilder {
    let mut builder = BatchBuilder::new(base_offset).compression(codec, None);
    let headers = [RecordHeader { key: "trace".into(), value: Some(Bytes::from_static(b"17")) }];
    for n in 0..3 {
        let value = format!("value {n} {}", "abc".repeat(20));
        let record = NewRecord {
            timestamp: NOW + n,
            key: (n > 0).then_some(b"key"),
            value: Some(value.as_bytes()),
            headers: if n == 1 { &headers } else { &[] },
        };
        builder.append(&record).expect("fits");
    }
    builder
}

fn batch(base_offset: i64, codec: Compression) -> RecordBatch {
    builder(base_offset, codec).build().expect("fits")
}

fn records(all: &mut Seeds) {
    let mut batches: Vec<RecordBatch> = CODECS.iter().map(|codec| batch(0, *codec)).collect();
    batches.push(builder(0, Compression::Zstd).producer(7, 0, 0).build().expect("fits"));
    batches.push(builder(0, Compression::None).producer(7, 0, 5).transactional().build().expect("fits"));
    for (n, batch) in batches.iter().enumerate() {
        // Produce's version 13; stored as it came, or compressed anew.
        for bits in [0x10, 0x0e] {
            let input =
                Input::default().index(4).byte(bits).byte(u8::try_from(n % 5).expect("small")).raw(batch.bytes());
            all.entry("batch").or_default().push(input.0.clone());
            all.entry("batch_sealed").or_default().push(input.0);
        }
        let codec = batch.header().compression_id().to_be_bytes()[1];
        let input = Input::default().byte(codec).index(1000).raw(&batch.payload());
        all.entry("codecs").or_default().push(input.0);
    }
    // Snappy without Java's frames.
    let content = batches[0].payload();
    let raw = snap::raw::Encoder::new().compress_vec(&content).expect("snappy");
    all.entry("codecs").or_default().push(Input::default().byte(2).index(1000).raw(&raw).0);
    let bomb = compress(Compression::Zstd, None, &vec![0; 1 << 20].into()).expect("zstd");
    all.entry("codecs").or_default().push(Input::default().byte(4).index(5).raw(&bomb).0);

    for codec in 0..5 {
        let input = Input::default().index(4).byte(0x10).byte(0).byte(codec).byte(3).raw(&content);
        all.entry("records_compressed").or_default().push(input.0);
    }
    let mut marker = BatchBuilder::new(3).producer(7, 0, -1).transactional().control();
    marker.append_control(ControlRecordType::Commit, NOW, &[0, 0, 0, 0, 0, 1]).expect("fits");
    let marker = marker.build().expect("fits");
    let log = [batches[4].bytes(), marker.bytes()].map(|bytes| bytes.to_vec()).concat();
    all.insert(
        "stored_batch",
        vec![
            Input::default().byte(0).raw(&log).0,
            Input::default().byte(1).raw(marker.bytes()).0,
            Input::default().byte(1).raw(batches[1].bytes()).0,
            Input::default().byte(0).raw(batches[3].bytes()).0,
        ],
    );
}

fn offset_entries(count: u32) -> Vec<u8> {
    (1..=count).flat_map(|n| [(n * 10).to_be_bytes(), (n * 100).to_be_bytes()].concat()).collect()
}

fn time_entries(count: u32) -> Vec<u8> {
    let entry = |n: u32| [&(NOW + i64::from(n)).to_be_bytes()[..], &(n * 10).to_be_bytes()].concat();
    (1..=count).flat_map(entry).collect()
}

/// An aborted transaction of a producer: version, who, first and last offset, last stable offset.
fn aborted(first: i64, last: i64) -> Vec<u8> {
    let numbers = [7, first, last, last + 1].map(i64::to_be_bytes).concat();
    [&[0, 0], &numbers[..]].concat()
}

fn producers() -> Vec<u8> {
    let mut states = ProducerStates::default();
    states.add(builder(0, Compression::None).producer(7, 0, 0).build().expect("fits").header());
    states.add(builder(3, Compression::None).producer(8, 2, 5).transactional().build().expect("fits").header());
    snapshot::encode(&states)
}

fn files(all: &mut Seeds) {
    let two = |a: i64, b: i64| Input::default().raw(&a.to_be_bytes()).raw(&b.to_be_bytes());
    let indexes = [0, 1, 5, 300];
    let input = |entries: Vec<u8>| two(1025, 1040).raw(&entries).0;
    all.insert("offset_index", indexes.map(|count| input(offset_entries(count))).to_vec());
    let input = |entries: Vec<u8>| two(NOW + 3, 1040).raw(&entries).0;
    all.insert("time_index", indexes.map(|count| input(time_entries(count))).to_vec());
    let entries = [aborted(1000, 1010), aborted(1005, 1020), aborted(1030, 1040)].concat();
    all.insert("transaction_index", vec![two(1000, 1030).raw(&1020_i64.to_be_bytes()).raw(&entries).0]);
    let empty = snapshot::encode(&ProducerStates::default());
    let seeds = [producers(), empty];
    let sealed = |flag: u8| seeds.clone().map(|content| Input::default().byte(flag).raw(&content).0).to_vec();
    all.insert("producer_snapshot", [sealed(0), sealed(1)].concat());
    all.insert(
        "checkpoints",
        vec![b"0\n2\na-b 0 7\nc 12 9223372036854775807\n".to_vec(), b"0\n0\n".to_vec(), Vec::new()],
    );
    let epochs = |text: &str| two(12, 0).0[..8].iter().copied().chain([0, 4]).chain(text.bytes()).collect::<Vec<_>>();
    all.insert("leader_epochs", vec![epochs("0\n3\n0 0\n4 10\n7 20\n"), epochs("0\n0\n"), epochs("")]);
    let disk = SimDisk::new(1);
    disk.create_dir(Path::new("/d")).expect("created");
    QuorumState::led_by(1, 3, 1).write(&disk, Path::new("/d")).expect("written");
    let quorum = read_file(&disk, Path::new("/d/quorum-state")).expect("read");
    let small = |kind: u8, content: &[u8]| Input::default().byte(kind).raw(content).0;
    all.insert(
        "small_files",
        vec![
            small(0, b"#\nversion=1\ncluster.id=a\\=b\nnode.id=7\ndirectory.id=2Dv2GF7bQEa1Lg2hXTbwQw\n"),
            small(1, b"version: 0\ntopic_id: 2Dv2GF7bQEa1Lg2hXTbwQw"),
            small(2, &quorum),
            small(3, b"a.topic-17"),
            small(3, b"t-0.0123456789abcdef0123456789abcdef-delete"),
        ],
    );
    all.insert("partition_directory", partition_directories());
}

fn partition_directories() -> Vec<Vec<u8>> {
    let first = [batch(0, Compression::None), builder(3, Compression::Lz4).producer(7, 0, 0).build().expect("fits")];
    let second = [builder(3, Compression::None).producer(7, 0, 3).transactional().build().expect("fits")];
    let bytes = |batches: &[RecordBatch]| batches.iter().flat_map(|batch| batch.bytes().to_vec()).collect::<Vec<_>>();
    let blocks = |batches: &[RecordBatch]| batches.iter().fold(Input::default(), |input, b| input.block(b.bytes())).0;
    let at = u32::try_from(first[0].bytes().len()).expect("small");
    let index = [2_u32.to_be_bytes(), at.to_be_bytes()].concat();
    let time = [&(NOW + 2).to_be_bytes()[..], &2_u32.to_be_bytes()].concat();
    let rest = |input: Input| {
        let epochs = b"0\n1\n0 0\n";
        let input = input.block(&producers()).block(epochs).block(b"version: 0\ntopic_id: 2Dv2GF7bQEa1Lg2hXTbwQw");
        input.block(b"0\n1\nt 0 3\n").block(b"0\n1\nt 0 0\n").block(b"0\n0\n")
    };
    let of = |flags: u8, one: Vec<u8>, two: Vec<u8>| {
        let input =
            Input::default().byte(flags).block(&one).block(&index).block(&time).block(&aborted(0, 5)).block(&two);
        rest(input).block(b"{\"version\":0,\"brokerEpoch\":5}").0
    };
    vec![
        of(0, bytes(&first[..1]), bytes(&second)),
        of(1, blocks(&first[..1]), blocks(&second)),
        of(2, bytes(&first[..1]), bytes(&second)),
        of(1, blocks(&first), Vec::new()),
        of(0, bytes(&first), Vec::new()),
    ]
}

/// Records that make a small cluster.
fn cluster() -> Vec<MetadataRecord> {
    let topic = |name: &str, id: u128| {
        MetadataRecord::Topic(TopicRecord {
            name: name.into(),
            topic_id: Uuid::from_u128(id),
            ..TopicRecord::default()
        })
    };
    let partition = |id: u128, partition_id: i32| {
        MetadataRecord::Partition(PartitionRecord {
            topic_id: Uuid::from_u128(id),
            partition_id,
            replicas: vec![1],
            isr: vec![1],
            leader: 1,
            ..PartitionRecord::default()
        })
    };
    let config = |name: &str, value: Option<&str>| {
        MetadataRecord::Config(ConfigRecord {
            resource_type: 2,
            resource_name: "a.b".into(),
            name: name.into(),
            value: value.map(Into::into),
            ..ConfigRecord::default()
        })
    };
    let credential = ScramCredential::from_password(ScramMechanism::Sha256, b"x", Bytes::from_static(b"salt"), 4096);
    vec![
        feature_record("metadata.version", 29),
        MetadataRecord::RegisterBroker(RegisterBrokerRecord { broker_id: 1, ..RegisterBrokerRecord::default() }),
        topic("a.b", 1),
        partition(1, 0),
        partition(1, 1),
        config("retention.ms", Some("5000")),
        config("cleanup.policy", Some("compact")),
        credential.record("alice", ScramMechanism::Sha256),
        topic("c", 2),
        partition(2, 0),
        config("retention.ms", None),
        MetadataRecord::RemoveTopic(RemoveTopicRecord { topic_id: Uuid::from_u128(2), ..RemoveTopicRecord::default() }),
    ]
}

fn metadata(all: &mut Seeds) {
    let value = |record: &MetadataRecord| record.encode(MetadataLevel::LATEST).expect("it has a version");
    let values: Vec<Bytes> = cluster().iter().map(value).collect();
    let blocks = |values: &[Bytes]| values.iter().fold(Input::default(), |input, value| input.block(value)).0;
    // Every type in its highest version, framed.
    let kinds = schemas().iter().filter(|message| message.name.ends_with("Record")).filter_map(|message| {
        let key = u8::try_from(message.api_key?).ok()?;
        let (_, version) = message.versions.ends()?;
        let vector = vectors().into_iter().find(|v| v.name == message.name && v.version == version)?;
        Some([&[1, key, u8::try_from(version).ok()?], &vector.bytes[..]].concat().into())
    });
    let kinds: Vec<Bytes> = kinds.collect();
    all.insert("metadata_records", vec![blocks(&values), blocks(&values[..5]), blocks(&kinds)]);
    let with_epoch = |values: &[Bytes]| Input::default().byte(3).raw(&blocks(values)).0;
    let single = |at: usize| with_epoch(&values[at..=at]);
    let logs = vec![with_epoch(&values[2..8]), with_epoch(&values[2..]), single(1), single(7), single(8)];
    all.insert("metadata_log", logs);

    let mut image = Image::default();
    for (offset, record) in (0..).zip(&cluster()) {
        image.apply(offset, record).expect("fits");
    }
    let disk = SimDisk::new(1);
    disk.create_dir(Path::new("/d")).expect("created");
    let id = SnapshotId { end_offset: 7, epoch: 1 };
    let snapshot = Snapshot { quorum: Default::default(), last_timestamp: NOW, records: records_of(&image) };
    write(&disk, Path::new("/d"), id, &snapshot, MetadataLevel::LATEST, NOW).expect("written");
    let path = Path::new("/d/00000000000000000007-0000000001.checkpoint");
    let file = disk.open(path, OpenMode::Existing).expect("there");
    let mut bytes = Bytes::from(ottla::log::disk::read_all(&*file).expect("read"));
    let whole = Input::default().byte(0).raw(&bytes).0;
    let mut sealed = Input::default().byte(1);
    while let Ok(batch) = RecordBatch::split_from(&mut bytes) {
        sealed = sealed.block(batch.bytes());
    }
    all.insert("metadata_snapshot", vec![whole, sealed.0]);
}

/// Records of a fixture, so many an input.
fn logged(rows: &[(Bytes, Option<Bytes>, Option<u8>)]) -> Vec<Vec<u8>> {
    let input = |rows: &[(Bytes, Option<Bytes>, Option<u8>)]| {
        let row = |input: Input, (key, value, producer): &(Bytes, Option<Bytes>, Option<u8>)| {
            let flags = u8::from(value.is_none()) | producer.map_or(0, |id| 2 | (id & 3) << 2);
            input.byte(flags).block(key).block(value.as_deref().unwrap_or_default())
        };
        rows.iter().fold(Input::default(), row).byte(255).byte(1).byte(1).0
    };
    rows.chunks(10).map(input).collect()
}

fn coordinators(all: &mut Seeds) {
    let value = |text: &str| (text != "null").then(|| unhex(text));
    let groups = lines("consumer-offsets.tsv").into_iter().filter(|line| line[1] != "C").map(|line| {
        let producer = line[1].parse::<u64>().ok().map(|id| id.to_le_bytes()[0]);
        (unhex(&line[2]), value(&line[3]), producer)
    });
    let groups: Vec<_> = groups.collect();
    all.insert("group_records", logged(&groups));
    let transactions = lines("transaction-state.tsv").into_iter().map(|line| (unhex(&line[2]), value(&line[3]), None));
    all.insert("transaction_records", logged(&transactions.collect::<Vec<_>>()));
    all.insert("group_requests", group_requests(&groups));
}

/// Two members that join, sync, leave; a log that says otherwise; time that passes.
fn group_requests(records: &[(Bytes, Option<Bytes>, Option<u8>)]) -> Vec<Vec<u8>> {
    let subscription = b"\0\x01\0\0\0\x01\0\x03one\0\0\0\0\0\0\0\0";
    let join = |input: Input, member: u8, static_member: u8| {
        let input = input.byte(0).index(member.into()).index(static_member.into()).byte(1);
        let input =
            input.block(b"range").block(subscription).raw(&10_000_i16.to_be_bytes()).raw(&10_000_i16.to_be_bytes());
        input.byte(1).byte(0).byte(1).block(b"because")
    };
    let sync =
        |input: Input, member: u8| input.byte(2).index(member.into()).byte(1).index(1).block(b"\0\0\0\0\0\0\0\0\0\0");
    let tick = |input: Input| input.byte(5).raw(&20_000_i16.to_be_bytes());
    let (key, value, _) = records.iter().find(|(key, value, _)| key[1] == 2 && value.is_some()).expect("a group's");
    let apply = |input: Input| input.byte(6).block(key).block(value.as_deref().unwrap_or_default());
    let of_all = tick(sync(tick(join(join(Input::default(), 0, 0), 0, 2)), 1));
    vec![
        join(Input::default(), 0, 0).0,
        of_all.clone().0,
        tick(join(apply(Input::default()), 0, 2)).0,
        join(tick(of_all.byte(3).index(1).byte(1).byte(4).index(1)), 1, 0).0,
    ]
}

fn auth(all: &mut Seeds) {
    let first = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    let proof =
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    let long = format!("c=biws,r=x,p={}", "A".repeat(86) + "==");
    let scram = |flag: u8, first: &[u8], last: &str| Input::default().byte(flag).block(first).raw(last.as_bytes()).0;
    all.insert(
        "scram",
        vec![
            scram(0, first, proof),
            scram(1, first, &long),
            scram(0, b"n,a=user,n=user,r=fyko+d2lbbFgONRv9qkxdawL,ext=1", "c=bixhPXVzZXIs,r=x,p=AAAA"),
            scram(0, b"n,,n=nobody=2C,r=abc", proof),
        ],
    );
    let plain: [&[u8]; 4] = [b"\0user\0pencil", b"user\0user\0pencil", b"\0user\0wrong", b"\0nobody\0x"];
    all.insert("plain", plain.map(<[u8]>::to_vec).to_vec());
    all.insert("certificate", certificates());
    let rules = |rules: &str, subject: &str| Input::default().block(rules.as_bytes()).block(subject.as_bytes()).0;
    let subject = "CN=alice,OU=Dev,O=Acme\\, Inc.,L=München,ST=Bayern,C=DE";
    all.insert(
        "principal_rules",
        vec![
            rules("DEFAULT", subject),
            rules("RULE:^CN=(.*?),OU=Dev.*$/$1@x/L, DEFAULT", subject),
            rules("RULE:^(?<n>CN=.*?),.*$/${n}/U", subject),
            rules("RULE:^CN=(.*?),.*$/a\\/b$0/,RULE:.*//", "CN=Bob"),
        ],
    );
}

fn certificates() -> Vec<Vec<u8>> {
    let certificate = |attributes: &[(rcgen::DnType, rcgen::DnValue)]| {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("valid");
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in attributes {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        let key = rcgen::KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("signed").der().to_vec()
    };
    let text = |text: &str| rcgen::DnValue::Utf8String(text.to_owned());
    let bmp = rcgen::string::BmpString::try_from("Bérenger").expect("of the plane");
    vec![
        certificate(&[
            (rcgen::DnType::OrganizationName, text("Acme, Inc.")),
            (rcgen::DnType::CommonName, text("alice")),
        ]),
        certificate(&[
            (rcgen::DnType::CommonName, rcgen::DnValue::BmpString(bmp)),
            (rcgen::DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]), text("a@b.example")),
        ]),
        certificate(&[]),
    ]
}

fn config(all: &mut Seeds) {
    let server = "# a broker\nnode.id=1\nlisteners=PLAINTEXT://:9092,SSL://127.0.0.1:9093\n\
                  advertised.listeners=PLAINTEXT://localhost:9092\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,SSL:SSL\n\
                  log.dirs=/tmp/data\nnum.partitions=3\nlog.retention.hours=168\nssl.principal.mapping.rules=DEFAULT\n\
                  sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256\nmax.connections.per.ip.overrides=127.0.0.1:5,h:6\n";
    let escaped = "a\\=\\:\\ b=c\\\n   d\\u00e4\\uD83D\\uDE00\n! x\nkey : value  \r\nq";
    all.insert("properties", vec![server.into(), escaped.into(), Vec::new()]);
    let flags = Input::default().byte(15).block(b"0.0.0.0:9092").block(b"broker.example:9092").block(b"7");
    let few = "num.partitions=3\nlog.retention.hours=24\ncompression.type=zstd\nauto.create.topics.enable=false\n";
    all.insert(
        "broker_config",
        vec![
            Input::default().byte(0).raw(server.as_bytes()).0,
            Input::default().byte(0).raw(few.as_bytes()).0,
            flags.block(b"num.partitions=4").raw(few.as_bytes()).0,
            Input::default().byte(1).block(b"SASL_SSL://[::1]:9094").0,
        ],
    );
    let topic = "cleanup.policy=compact,delete\nretention.ms=5000\nmin.cleanable.dirty.ratio=0.5\nmax.message.bytes=1000\n\
                 compression.type=gzip\nmessage.timestamp.type=LogAppendTime\nsegment.bytes=1000000\n";
    let broker = "log.cleaner.threads=2\nlog.retention.ms=1000\nmax.connections=7\nnum.io.threads=8\n";
    all.insert("topic_config", vec![topic.into(), broker.into(), "a.b=c_d\n".into()]);
    let module = "org.apache.kafka.common.security.plain.PlainLoginModule";
    let line = format!("{module} required username=\"a\" user_alice=\"planted-password\" user_bob='b\\'c';");
    let users = |line: &str, variable: &str| Input::default().block(line.as_bytes()).block(variable.as_bytes()).0;
    let all_users = vec![
        users(&line, ""),
        users(&format!("{module} sufficient;"), "alice:planted-password,bob:x\n# nobody\ncarol:y:z\r\n"),
        users("", "alice:planted-password"),
    ];
    let in_file = users("", "").into_iter().chain(Input::default().block(b"# a\nalice:planted-password\n\n bob : x").0);
    let all_users = all_users.into_iter().chain([in_file.collect()]).collect();
    all.insert("first_users", all_users);
}

fn tools(all: &mut Seeds) {
    let of_kind = |directory, file, bytes: &[u8]| Input::default().index(directory).index(file).raw(bytes).0;
    let log = [batch(0, Compression::None), batch(2, Compression::Zstd)].map(|batch| batch.bytes().to_vec()).concat();
    let mut dumps = vec![
        of_kind(0, 0, &log),
        of_kind(2, 2, &offset_entries(3)),
        of_kind(0, 3, &time_entries(3)),
        of_kind(0, 4, &aborted(1, 5)),
        of_kind(0, 5, &producers()),
        of_kind(0, 6, b"0\n1\nt 0 5\n"),
        of_kind(0, 7, b"0\n1\n0 0\n"),
        of_kind(0, 8, b"version: 0\ntopic_id: zfHXeMFGT5uP0v0lXq1Fsg"),
        of_kind(0, 9, b"version=1\ncluster.id=c\nnode.id=1\n"),
        of_kind(0, 10, br#"{"leaderId":1,"leaderEpoch":3,"data_version":1}"#),
    ];
    dumps.push(of_kind(1, 1, &all["metadata_snapshot"][0][1..]));
    let value = |record: &MetadataRecord| record.encode(MetadataLevel::LATEST).expect("it has a version");
    let records = cluster().iter().map(|record| (None, Some(value(record)))).collect();
    dumps.push(of_kind(1, 0, &log_of(records)));
    for (fixture, directory) in [("consumer-offsets.tsv", 2), ("transaction-state.tsv", 3)] {
        let rows = lines(fixture).into_iter().filter(|line| line[1] != "C").map(|line| {
            let value = &line[3];
            (Some(unhex(&line[2])), (value != "null").then(|| unhex(value)))
        });
        dumps.push(of_kind(directory, 0, &log_of(rows.collect())));
    }
    all.insert("dump", dumps);
    all.insert("pem", pems());
}

/// A log with one batch of these keys and values.
fn log_of(records: Vec<(Option<Bytes>, Option<Bytes>)>) -> Vec<u8> {
    let mut builder = BatchBuilder::new(0);
    for (key, value) in &records {
        let record = NewRecord { timestamp: NOW, key: key.as_deref(), value: value.as_deref(), headers: &[] };
        builder.append(&record).expect("fits");
    }
    builder.build().expect("fits").bytes().to_vec()
}

/// A chain, a key and a trust store: of elliptic curves and Ed25519, in files and values, together and apart.
fn pems() -> Vec<Vec<u8>> {
    let made = [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519].map(|algorithm| {
        let key = rcgen::KeyPair::generate_for(algorithm).expect("a key");
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("valid");
        (params.self_signed(&key).expect("signed").pem(), key.serialize_pem())
    });
    let [(first, first_key), (second, second_key)] = &made;
    let pem = |flags: [u8; 2], chain: &str, key: &str, trusted: &str| {
        let flags = Input::default().byte(flags[0]).byte(flags[1]);
        flags.block(chain.as_bytes()).block(key.as_bytes()).block(trusted.as_bytes()).0
    };
    vec![
        pem([1, 1], first, first_key, second),
        pem([1, 0], &format!("{second}{first}"), second_key, &format!("# two\n{first}{second}")),
        pem([0, 0], first, first_key, first),
        pem([0, 1], &second.replace('\n', " "), &second_key.replace('\n', " "), second),
        pem([1, 0], first, second_key, ""),
        pem([1, 1], first, &first_key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), first),
    ]
}
