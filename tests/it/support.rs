//! A broker, and clients for it. Whatever waits, waits for an event and within [`BOUND`].

use std::{
    future::Future,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use ottla::{
    config::{self, Warning, sources::CommandLine},
    protocol::{
        error_code::ErrorCode,
        message::{Message, Request},
        messages::{
            ApiKey, CreateTopicsRequest, FetchRequest, FetchResponse, ProduceRequest, ProduceResponse, RequestHeader,
            ResponseHeader,
            create_topics_request::{CreatableTopic, CreatableTopicConfig},
            fetch_request::{FetchPartition, FetchTopic},
            fetch_response::PartitionData,
            produce_request::{PartitionProduceData, TopicProduceData},
            produce_response::PartitionProduceResponse,
        },
        records::{
            Records,
            batch::RecordBatch,
            builder::{BatchBuilder, NewRecord},
        },
        wire::{Reader, Writer},
    },
    server::Server,
};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, Producer},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use uuid::Uuid;

/// How long anything may take before its test has failed.
pub(crate) const BOUND: Duration = Duration::from_secs(20);
/// A long poll's wait: longer than any test, so that whatever ends it is not the clock.
pub(crate) const LONG_WAIT_MS: i32 = 30_000;
/// What clients call themselves here.
const CLIENT_ID: &str = "test";
/// Bytes that the records of a batch may have here.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// Waits for what must happen.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(BOUND, what).await.expect("it happens in time")
}

/// Runs what blocks, as librdkafka does.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it does not panic")
}

/// The error with this code.
pub(crate) fn error(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).expect("a known error code")
}

/// A broker in this process. Its directory goes with it.
pub(crate) struct TestBroker {
    server: Server,
    command_line: CommandLine,
    directory: TempDir,
}

/// A topic as requests name it.
#[derive(Clone, Debug)]
pub(crate) struct TestTopic {
    pub(crate) name: String,
    pub(crate) id: Uuid,
}

impl TestBroker {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A broker with settings, each as `key=value`.
    pub(crate) async fn with(overrides: &[&str]) -> Self {
        let overrides = overrides.iter().map(|setting| (*setting).to_owned()).collect();
        Self::with_command_line(CommandLine { overrides, ..CommandLine::default() }).await
    }

    /// A broker with settings alone, its listeners among them.
    pub(crate) async fn with_settings(settings: &[&str]) -> Self {
        let overrides = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let directory = TempDir::new().expect("a temporary directory");
        let data_dir = Some(directory.path().to_str().expect("a path in UTF-8").to_owned());
        let command_line = CommandLine { overrides, data_dir, ..CommandLine::default() };
        let server = serve(&command_line).await;
        Self { server, command_line, directory }
    }

    /// A broker as the command line has it; where that says nothing, on a free port of 127.0.0.1.
    pub(crate) async fn with_command_line(mut command_line: CommandLine) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        if command_line.listen.is_empty() {
            command_line.listen.push("127.0.0.1:0".to_owned());
        }
        command_line.data_dir = Some(directory.path().to_str().expect("a path in UTF-8").to_owned());
        let server = serve(&command_line).await;
        Self { server, command_line, directory }
    }

    /// Stops cleanly and starts again on the same directory.
    pub(crate) async fn restarted(self) -> Self {
        self.restarted_after(|_| {}).await
    }

    /// The same with something done to the directory in between.
    pub(crate) async fn restarted_after(self, change: impl FnOnce(&Path)) -> Self {
        let Self { server, command_line, directory } = self;
        within(server.stop()).await.expect("a clean stop");
        change(directory.path());
        let server = serve(&command_line).await;
        Self { server, command_line, directory }
    }

    pub(crate) async fn stop(self) -> TempDir {
        within(self.server.stop()).await.expect("a clean stop");
        self.directory
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where the first listener is reached.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.listeners()[0].address
    }

    pub(crate) async fn client(&self) -> RawClient {
        RawClient::connect(self.address()).await
    }

    pub(crate) async fn create_topic(&self, name: &str, partitions: i32) -> TestTopic {
        self.create_topic_with(name, partitions, &[]).await
    }

    pub(crate) async fn create_topic_with(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> TestTopic {
        self.client().await.create_topic(name, partitions, configs).await
    }
}

async fn serve(command_line: &CommandLine) -> Server {
    let (config, warnings) = config::load(command_line, std::iter::empty()).expect("a valid configuration");
    // Loopback is not the world, but 0.0.0.0 is.
    let mut unexpected = warnings.iter().filter(|warning| !matches!(warning, Warning::Open(_)));
    assert_eq!(unexpected.next(), None);
    within(Server::start(config)).await.expect("the broker starts")
}

/// What bytes travel by.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// A connection that speaks the protocol and nothing more.
pub(crate) struct RawClient {
    stream: Box<dyn ByteStream>,
    next_correlation_id: i32,
}

/// Bytes on the wire.
impl RawClient {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = within(TcpStream::connect(address)).await.expect("the broker listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Self::over(stream)
    }

    /// A client over a connection that is open already.
    pub(crate) fn over(stream: impl ByteStream + 'static) -> Self {
        Self { stream: Box::new(stream), next_correlation_id: 1 }
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        within(self.stream.write_all(bytes)).await.expect("the broker reads");
    }

    /// Sends what the broker takes of it.
    pub(crate) async fn try_send_bytes(&mut self, bytes: &[u8]) {
        // An end of the connection is what the broker does to it.
        let _ = within(self.stream.write_all(bytes)).await;
    }

    /// Sends a frame with this content.
    pub(crate) async fn send_frame(&mut self, content: &[u8]) {
        let size = i32::try_from(content.len()).expect("a short frame");
        self.send_bytes(&[&size.to_be_bytes(), content].concat()).await;
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn finish_sending(&mut self) {
        self.stream.shutdown().await.expect("the connection is open");
    }

    /// The content of the next frame.
    pub(crate) async fn receive_frame(&mut self) -> Bytes {
        let size = within(self.stream.read_i32()).await.expect("a response");
        let mut content = vec![0; usize::try_from(size).expect("a size")];
        within(self.stream.read_exact(&mut content)).await.expect("a whole response");
        content.into()
    }

    /// The content of the next frame, unless the connection ends before its first byte.
    pub(crate) async fn try_receive_frame(&mut self) -> Option<Bytes> {
        let size = within(self.stream.read_i32()).await.ok()?;
        let mut content = vec![0; usize::try_from(size).expect("a size")];
        within(self.stream.read_exact(&mut content)).await.expect("a whole response");
        Some(content.into())
    }

    /// Whether a request is answered, or the connection ends instead.
    pub(crate) async fn is_served<R: Request>(&mut self, request: &R, version: i16) -> bool {
        let frame = request_frame(request, version, self.correlation_id());
        if self.stream.write_all(&frame).await.is_err() {
            return false;
        }
        self.try_receive_frame().await.is_some()
    }

    /// Waits until the broker closes the connection, whatever it says before.
    pub(crate) async fn ended(mut self) {
        // A reset is as good: the broker had not read everything.
        let _ = within(self.stream.read_to_end(&mut Vec::new())).await;
    }

    /// Waits until the broker closes the connection, without another byte.
    pub(crate) async fn closed(mut self) {
        // A reset is as good: the broker had not read everything.
        let rest = within(self.stream.read_u8()).await;
        assert!(rest.is_err(), "a byte came: {rest:?}");
    }
}

/// Requests and responses.
impl RawClient {
    /// Sends a request; its answer is to be received in its turn. Returns the correlation id.
    pub(crate) async fn send<R: Request>(&mut self, request: &R, version: i16) -> i32 {
        let correlation_id = self.correlation_id();
        self.send_bytes(&request_frame(request, version, correlation_id)).await;
        correlation_id
    }

    /// Receives the answer to request `correlation_id`.
    pub(crate) async fn receive<R: Request>(&mut self, correlation_id: i32, version: i16) -> R::Response {
        let frame = self.receive_frame().await;
        decode_response::<R>(&frame, correlation_id, version)
    }

    pub(crate) async fn call<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        let correlation_id = self.send(request, version).await;
        self.receive::<R>(correlation_id, version).await
    }

    fn correlation_id(&mut self) -> i32 {
        let id = self.next_correlation_id;
        self.next_correlation_id += 1;
        id
    }

    /// Sends a request of any API with this body, and returns what follows the response header.
    pub(crate) async fn call_bytes(&mut self, key: ApiKey, version: i16, body: &[u8], response_header: i16) -> Bytes {
        let correlation_id = self.correlation_id();
        let header = header_bytes(key, version, correlation_id);
        self.send_frame(&[&header[..], body].concat()).await;
        let frame = self.receive_frame().await;
        let mut r = Reader::new(&frame);
        let header = ResponseHeader::decode(&mut r, response_header).expect("a response header");
        assert_eq!(header.correlation_id, correlation_id);
        frame.slice(r.position()..)
    }
}

/// What most tests ask.
impl RawClient {
    pub(crate) async fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> TestTopic {
        let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: (*name).into(),
            value: Some((*value).into()),
            ..CreatableTopicConfig::default()
        });
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.collect(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
        let response = self.call(&request, 7).await;
        let created = &response.topics[0];
        assert_eq!(error(created.error_code), ErrorCode::None, "{name}: {:?}", created.error_message);
        TestTopic { name: name.to_owned(), id: created.topic_id }
    }

    /// Produces `records` to a partition and returns its result.
    pub(crate) async fn produce(
        &mut self,
        topic: &TestTopic,
        partition: i32,
        records: impl Into<Option<Bytes>>,
        version: i16,
    ) -> PartitionProduceResponse {
        let request = produce_request(topic, vec![(partition, records.into())]);
        let mut results = results(self.call(&request, version).await);
        assert_eq!(results.len(), 1);
        results.remove(0)
    }

    /// Produces a record for each value, in one batch that must be accepted, and returns the first offset.
    pub(crate) async fn append(&mut self, topic: &TestTopic, partition: i32, values: &[&str]) -> i64 {
        let result = self.produce(topic, partition, batch(values), 9).await;
        assert_eq!(error(result.error_code), ErrorCode::None, "{:?}", result.error_message);
        result.base_offset
    }

    /// Reads what is there from `offset` on, without waiting.
    pub(crate) async fn fetch(&mut self, topic: &TestTopic, partition: i32, offset: i64) -> PartitionData {
        only_partition(self.call(&fetch_request(topic, partition, offset), 16).await)
    }
}

/// The whole frame of a request.
pub(crate) fn request_frame<R: Request>(request: &R, version: i16, correlation_id: i32) -> Bytes {
    request_frame_of(CLIENT_ID, request, version, correlation_id)
}

/// The whole frame of a request by a client that calls itself so.
pub(crate) fn request_frame_of<R: Request>(
    client_id: &'static str,
    request: &R,
    version: i16,
    correlation_id: i32,
) -> Bytes {
    let mut w = Writer::new();
    write_header(&mut w, client_id, R::KEY, version, correlation_id);
    request.encode(&mut w, version).expect("a valid request");
    let content = w.into_bytes();
    let size = u32::try_from(content.len()).expect("a short request");
    [&size.to_be_bytes(), &content[..]].concat().into()
}

pub(crate) fn header_bytes(key: ApiKey, version: i16, correlation_id: i32) -> Bytes {
    let mut w = Writer::new();
    write_header(&mut w, CLIENT_ID, key, version, correlation_id);
    w.into_bytes()
}

fn write_header(w: &mut Writer, client_id: &'static str, key: ApiKey, version: i16, correlation_id: i32) {
    let header = RequestHeader {
        request_api_key: key.code(),
        request_api_version: version,
        correlation_id,
        client_id: Some(client_id.into()),
        ..RequestHeader::default()
    };
    header.encode(w, key.request_header_version(version)).expect("a header");
}

/// Decodes a frame that holds the answer to request `correlation_id` and not a byte more.
pub(crate) fn decode_response<R: Request>(frame: &Bytes, correlation_id: i32, version: i16) -> R::Response {
    let mut r = Reader::new(frame);
    let header = ResponseHeader::decode(&mut r, R::KEY.response_header_version(version)).expect("a response header");
    assert_eq!(header.correlation_id, correlation_id);
    let response = R::Response::decode(&mut r, version).expect("a response");
    r.finish().expect("the whole response");
    response
}

/// Batches for partitions of one topic, to be acknowledged when they are on disk.
pub(crate) fn produce_request(topic: &TestTopic, partitions: Vec<(i32, Option<Bytes>)>) -> ProduceRequest {
    let partition_data = partitions.into_iter().map(|(index, records)| PartitionProduceData {
        index,
        records: records.map(Records::Bytes),
        ..PartitionProduceData::default()
    });
    let topic = TopicProduceData {
        name: topic.name.as_str().into(),
        topic_id: topic.id,
        partition_data: partition_data.collect(),
        ..TopicProduceData::default()
    };
    ProduceRequest { acks: -1, timeout_ms: 10_000, topic_data: vec![topic], ..ProduceRequest::default() }
}

/// The results of all partitions, in the order of the response.
pub(crate) fn results(response: ProduceResponse) -> Vec<PartitionProduceResponse> {
    response.responses.into_iter().flat_map(|topic| topic.partition_responses).collect()
}

/// A fetch of one partition that does not wait and opens no session.
pub(crate) fn fetch_request(topic: &TestTopic, partition: i32, offset: i64) -> FetchRequest {
    let partition =
        FetchPartition { partition, fetch_offset: offset, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let topic = FetchTopic {
        topic: topic.name.as_str().into(),
        topic_id: topic.id,
        partitions: vec![partition],
        ..FetchTopic::default()
    };
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 50 << 20,
        session_epoch: -1,
        topics: vec![topic],
        ..FetchRequest::default()
    }
}

/// The one partition of a response that has no error of its own.
pub(crate) fn only_partition(response: FetchResponse) -> PartitionData {
    assert_eq!(error(response.error_code), ErrorCode::None);
    let mut partitions = partitions(response);
    assert_eq!(partitions.len(), 1);
    partitions.remove(0)
}

pub(crate) fn partitions(response: FetchResponse) -> Vec<PartitionData> {
    response.responses.into_iter().flat_map(|topic| topic.partitions).collect()
}

/// One batch, not compressed, with a record for each value.
pub(crate) fn batch(values: &[&str]) -> Bytes {
    build(BatchBuilder::new(0), values.iter().map(|value| record(value))).bytes().clone()
}

/// A record with a value alone, of no special time.
pub(crate) fn record(value: &str) -> NewRecord<'_> {
    NewRecord { timestamp: 1_700_000_000_000, value: Some(value.as_bytes()), ..NewRecord::default() }
}

pub(crate) fn build<'a>(mut builder: BatchBuilder, records: impl IntoIterator<Item = NewRecord<'a>>) -> RecordBatch {
    for record in records {
        builder.append(&record).expect("a record that fits");
    }
    builder.build().expect("a batch")
}

/// The batches of a fetch, each held against its CRC.
pub(crate) fn batches(partition: &PartitionData) -> Vec<RecordBatch> {
    let mut rest = match &partition.records {
        Some(Records::Bytes(bytes)) => bytes.clone(),
        other => panic!("no bytes: {other:?}"),
    };
    let mut batches = Vec::new();
    while !rest.is_empty() {
        let batch = RecordBatch::split_from(&mut rest).expect("whole batches");
        batch.check_crc().expect("a right CRC");
        batches.push(batch);
    }
    batches
}

/// How many batches the metadata log of a broker in this directory has: its commits.
pub(crate) fn metadata_batches(directory: &Path) -> usize {
    let log = directory.join("__cluster_metadata-0/00000000000000000000.log");
    let mut rest = Bytes::from(std::fs::read(log).expect("the first segment"));
    std::iter::from_fn(|| RecordBatch::split_from(&mut rest).ok()).count()
}

/// Offset and value of every record of a fetch.
pub(crate) fn records(partition: &PartitionData) -> Vec<(i64, String)> {
    let mut records = Vec::new();
    for batch in batches(partition) {
        for record in batch.records(BATCH_BYTES_MAX).expect("readable records") {
            let record = record.expect("a readable record");
            let value = String::from_utf8(record.value.unwrap_or_default().to_vec()).expect("text");
            records.push((batch.header().base_offset + i64::from(record.offset_delta), value));
        }
    }
    records
}

/// The settings that every librdkafka client gets.
pub(crate) fn client_config(address: SocketAddr, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address.to_string()).set("message.timeout.ms", "20000");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config
}

/// Produces with librdkafka to partition 0 and waits until every record is acknowledged.
pub(crate) fn produce_with_librdkafka(
    address: SocketAddr,
    settings: &[(&str, &str)],
    topic: &str,
    records: &[(String, String)],
) {
    let producer: BaseProducer = client_config(address, settings).create().expect("a producer");
    for (key, value) in records {
        let record = BaseRecord::to(topic).partition(0).key(key).payload(value);
        producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
    }
    producer.flush(BOUND).expect("everything is acknowledged");
}

/// Offset, key and value of a record that was consumed.
pub(crate) type Consumed = (i64, String, String);

/// Consumes `count` records of partition 0 from its start with librdkafka.
pub(crate) fn consume_with_librdkafka(address: SocketAddr, topic: &str, count: usize) -> Vec<Consumed> {
    consume_while(address, topic, |consumed| consumed.len() < count)
}

/// Consumes the records of partition 0 from its start up to the one at `last` with librdkafka.
pub(crate) fn consume_up_to_with_librdkafka(address: SocketAddr, topic: &str, last: i64) -> Vec<Consumed> {
    consume_while(address, topic, |consumed| consumed.last().is_none_or(|(offset, _, _)| *offset < last))
}

fn consume_while(address: SocketAddr, topic: &str, goes_on: impl Fn(&[Consumed]) -> bool) -> Vec<Consumed> {
    let mut config = client_config(address, &[("group.id", "none"), ("enable.auto.commit", "false")]);
    config.remove("message.timeout.ms");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut assigned = TopicPartitionList::new();
    assigned.add_partition_offset(topic, 0, Offset::Beginning).expect("an offset");
    consumer.assign(&assigned).expect("a partition");
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).expect("text");
    let mut consumed = Vec::new();
    while goes_on(&consumed) {
        let message = consumer.poll(BOUND).expect("a record in time").expect("no error");
        consumed.push((message.offset(), text(message.key()), text(message.payload())));
    }
    consumed
}

/// What the ready line says before the address.
const READY: &str = "ready: listening on ";

/// The binary itself, for what only a process can do.
pub(crate) struct BrokerProcess {
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
}

impl BrokerProcess {
    /// Starts on `directory` and waits for the ready line.
    pub(crate) fn start(directory: &Path) -> Self {
        Self::start_with(directory, &[])
    }

    /// The same with more arguments.
    pub(crate) fn start_with(directory: &Path, args: &[&str]) -> Self {
        let mut process = Self::spawn(directory, &[&["--listen", "127.0.0.1:0"], args].concat());
        assert!(process.listen(), "the broker ended: {}", process.said);
        process
    }

    /// Starts on `directory` where no more than `open_files` may be open, and waits for the ready line.
    pub(crate) fn start_with_files(directory: &Path, open_files: u32) -> Self {
        let mut command = Command::new("/bin/sh");
        let limited = format!(r#"ulimit -n {open_files} && exec "$0" "$@""#);
        command.args(["-c", &limited, env!("CARGO_BIN_EXE_ottla")]);
        let mut process = Self::spawn_command(command, directory, &["--listen", "127.0.0.1:0"]);
        assert!(process.listen(), "the broker ended: {}", process.said);
        process
    }

    /// Starts with nothing of this process's environment that could configure it.
    pub(crate) fn spawn(directory: &Path, args: &[&str]) -> Self {
        Self::spawn_command(Command::new(env!("CARGO_BIN_EXE_ottla")), directory, args)
    }

    fn spawn_command(mut command: Command, directory: &Path, args: &[&str]) -> Self {
        command.env_clear().arg("--data-dir").arg(directory).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        Self { child, stderr, said: String::new() }
    }

    /// Reads what it says up to the ready line; false if it ends without one.
    fn listen(&mut self) -> bool {
        self.hear(READY).is_some()
    }

    /// The rest of what it says up to a line with `text` in it, and that line; `None` if it ends without one.
    pub(crate) fn hear(&mut self, text: &str) -> Option<String> {
        let from = self.said.len();
        while !self.said[from..].contains(text) {
            if self.stderr.read_line(&mut self.said).expect("text") == 0 {
                return None;
            }
        }
        Some(self.said[from..].to_owned())
    }

    /// Waits for its end, which has to come before it is ready: the exit code and what it said.
    pub(crate) fn run_to_failure(mut self) -> (Option<i32>, String) {
        assert!(!self.listen(), "it started: {}", self.said);
        self.wait()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses()[0]
    }

    /// Where it listens, in the order of its arguments.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let (_, after) = self.said.split_once(READY).expect("it is ready");
        let (listeners, _) = after.split_once("; data in ").expect("the rest of the line");
        let addresses = listeners.split("), ").map(|listener| listener.split(' ').next().expect("an address"));
        addresses.map(|address| address.parse().expect("an address")).collect()
    }

    /// How many descriptors it has, and how many KiB of memory are its own.
    pub(crate) fn holdings(&self) -> (usize, usize) {
        let proc = Path::new("/proc").join(self.child.id().to_string());
        let descriptors = std::fs::read_dir(proc.join("fd")).expect("it runs").count();
        let status = std::fs::read_to_string(proc.join("status")).expect("it runs");
        let own = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a number of KiB");
        (descriptors, own.trim().trim_end_matches(" kB").parse().expect("a number"))
    }

    /// As a crash: no signal that it could handle.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it runs");
    }

    /// Waits for its end: the exit code, and what it said.
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        self.stderr.read_to_string(&mut self.said).expect("text");
        (self.child.wait().expect("it ends").code(), std::mem::take(&mut self.said))
    }
}

/// A test that fails leaves no process behind.
impl Drop for BrokerProcess {
    fn drop(&mut self) {
        // Both fail if it has ended, which is well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
