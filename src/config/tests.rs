use std::{collections::BTreeMap, io::Write, path::Path, time::Duration};

use tempfile::NamedTempFile;

use super::{listener::Listener, topic::TopicConfig, *};

mod security;
mod users;

/// A start: a properties file, variables, and the words of a command line.
#[derive(Default)]
struct Start<'a> {
    file: Option<&'a str>,
    environment: &'a [(&'a str, &'a str)],
    command_line: CommandLine,
}

impl<'a> Start<'a> {
    fn file(text: &'a str) -> Self {
        Self { file: Some(text), ..Self::default() }
    }

    fn environment(environment: &'a [(&'a str, &'a str)]) -> Self {
        Self { environment, ..Self::default() }
    }

    fn overrides(list: &[&str]) -> Self {
        let mut start = Self::default();
        start.command_line.overrides = owned(list);
        start
    }

    /// What it comes to; in errors and warnings the file is called FILE.
    fn load(mut self) -> Result<(BrokerConfig, Vec<String>), String> {
        let file = self.file.map(|text| {
            let mut file = NamedTempFile::new().expect("a temporary file");
            file.write_all(text.as_bytes()).expect("it can be written");
            file
        });
        let path = file.as_ref().map(|file| file.path().to_str().expect("a plain path").to_owned());
        let anonymous = |text: String| path.iter().fold(text, |text, path| text.replace(path, "FILE"));
        self.command_line.config.clone_from(&path);
        let environment = self.environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let loaded = load(&self.command_line, environment);
        loaded
            .map(|(config, warnings)| (config, warnings.iter().map(|w| anonymous(w.to_string())).collect()))
            .map_err(|error| anonymous(error.to_string()))
    }

    fn config(self) -> BrokerConfig {
        self.load().expect("valid").0
    }

    fn error(self) -> String {
        self.load().expect_err("it must not start")
    }
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

/// What is said of listeners that let anybody in.
fn open(listeners: &str) -> String {
    format!(
        "anybody who reaches {listeners} may do everything: SASL, or SSL with ssl.client.auth=required, asks who \
         somebody is"
    )
}

fn listeners(config: &BrokerConfig) -> Vec<String> {
    config.listeners.iter().map(ToString::to_string).collect()
}

#[test]
fn without_any_setting_it_starts_on_the_loopback_interface() {
    let (config, warnings) = Start::default().load().expect("valid");
    assert_eq!(warnings, owned(&[]));
    assert_eq!(listeners(&config), ["PLAINTEXT://127.0.0.1:9092 (advertises 127.0.0.1:9092)"]);
    assert_eq!(config.data_dir, Path::new("./data"));
    assert_eq!((config.node_id, config.cluster_id.as_deref(), config.num_partitions), (1, None, 1));
    assert!(config.auto_create_topics_enable && config.delete_topic_enable);
    assert_eq!(config.connections_max_idle, Some(Duration::from_secs(600)));
    assert_eq!(config.log_retention_check_interval, Duration::from_secs(300));
    assert_eq!((config.fetch_max_bytes, config.socket_request_max_bytes), (57_671_680, 104_857_600));
    assert_eq!((config.max_connections, config.max_incremental_fetch_session_cache_slots), (2_147_483_647, 1000));
    assert_eq!(config.max_request_partition_size_limit, 2000);
    assert_eq!((config.socket_send_buffer_bytes, config.socket_receive_buffer_bytes), (Some(102_400), Some(102_400)));
}

#[test]
fn flags_go_before_overrides_before_the_environment_before_the_file() {
    let file = "node.id=2\nnum.partitions=2\nfetch.max.bytes=2000\ndelete.topic.enable=false\n";
    let environment = [
        ("KAFKA_NODE_ID", "3"),
        ("KAFKA_NUM_PARTITIONS", "3"),
        ("KAFKA_FETCH_MAX_BYTES", "3000"),
        ("CLUSTER_ID", "from-environment"),
    ];
    let command_line = CommandLine {
        node_id: Some("5".to_owned()),
        overrides: owned(&["node.id=4", "num.partitions=4"]),
        ..CommandLine::default()
    };
    let config = Start { file: Some(file), environment: &environment, command_line }.config();
    assert_eq!((config.node_id, config.num_partitions, config.fetch_max_bytes), (5, 4, 3000));
    assert!(!config.delete_topic_enable);
    assert_eq!(config.cluster_id.as_deref(), Some("from-environment"));
}

#[test]
fn minus_one_means_no_limit() {
    let config = Start::overrides(&["connections.max.idle.ms=-1", "socket.send.buffer.bytes=-1"]).config();
    assert_eq!((config.connections_max_idle, config.socket_send_buffer_bytes), (None, None));
}

#[test]
fn a_bad_value_is_told_with_its_source_and_what_is_allowed() {
    let invalid = "Invalid value x for configuration num.partitions: Not a number of type INT (allowed: INT [1,...])";
    assert_eq!(Start::file("# one\n\nnum.partitions=x").error(), format!("FILE:3: {invalid}"));
    assert_eq!(Start::overrides(&["num.partitions=x"]).error(), format!("--override: {invalid}"));
    let environment = [("KAFKA_NUM_PARTITIONS", "x")];
    assert_eq!(Start::environment(&environment).error(), format!("KAFKA_NUM_PARTITIONS: {invalid}"));
    let command_line = CommandLine { node_id: Some("-1".to_owned()), ..CommandLine::default() };
    assert_eq!(
        Start { command_line, ..Start::default() }.error(),
        "--node-id: Invalid value -1 for configuration node.id: Value must be at least 0 (allowed: INT [0,...])"
    );
    assert_eq!(
        Start::overrides(&["compression.type=brotli"]).error(),
        "--override: Invalid value brotli for configuration compression.type: String must be one of: uncompressed, \
         zstd, lz4, snappy, gzip, producer (allowed: STRING [uncompressed, zstd, lz4, snappy, gzip, producer])"
    );
}

#[test]
fn an_unknown_key_stops_the_start_where_it_was_typed_and_is_reported_elsewhere() {
    assert_eq!(
        Start::overrides(&["num.partition=4"]).error(),
        "--override num.partition: unknown configuration; did you mean num.partitions?"
    );
    assert_eq!(
        Start::overrides(&["num.partitions"]).error(),
        "--override num.partitions: key=value is expected, as in num.partitions=4"
    );
    let file = "zookeeper.connect=localhost\nnum.partitions=3\nfoo=secret";
    let start = Start { environment: &[("KAFKA_FOO", "1")], ..Start::file(file) };
    let (config, warnings) = start.load().expect("only a warning");
    assert_eq!(config.num_partitions, 3);
    let expected =
        "ignored, because no such configuration is known: zookeeper.connect (FILE:1), foo (FILE:3), KAFKA_FOO";
    assert_eq!(warnings, [expected]);
}

#[test]
fn a_setting_that_is_not_honoured_is_reported() {
    let file = "log.preallocate=true\nremote.log.storage.system.enable=false\nnum.io.threads=9";
    let environment = [("KAFKA_TRANSACTION_TWO_PHASE_COMMIT_ENABLE", "TRUE")];
    let (config, warnings) = Start { environment: &environment, ..Start::file(file) }.load().expect("only warnings");
    assert_eq!(config.values.get("log.preallocate"), Some(Value::Boolean(true)));
    let expected = [
        "FILE:1: log.preallocate=true has no effect: files grow as they are written",
        "KAFKA_TRANSACTION_TWO_PHASE_COMMIT_ENABLE: transaction.two.phase.commit.enable=true has no effect: every \
         transaction has a time-out",
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn what_would_let_somebody_in_and_cannot_stops_the_start() {
    assert_eq!(
        Start::file("\nprincipal.builder.class=com.example.Builder").error(),
        "FILE:2: principal.builder.class=com.example.Builder is refused: no Java classes are loaded"
    );
    let default = "principal.builder.class=org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder";
    assert_eq!(Start::file(default).load().expect("the default").1, owned(&[]));
}

#[test]
fn a_secret_is_never_told() {
    assert_eq!(
        Start::environment(&[("KAFKA_DELEGATION_TOKEN_SECRET_KEY", "hunter2")]).error(),
        "KAFKA_DELEGATION_TOKEN_SECRET_KEY: delegation.token.secret.key=[hidden] is refused: there are no delegation \
         tokens"
    );
    assert_eq!(
        Start::overrides(&["ssl.keystore.key=hunter2"]).error(),
        "--override ssl.keystore.key: whoever lists processes sees it; set it in the file of --config or in the \
         environment"
    );
    let (config, warnings) = Start::file("sasl.jaas.config=hunter2").load().expect("only a warning");
    let of_brokers = "FILE:1: sasl.jaas.config=[hidden] has no effect: there is no other broker";
    assert_eq!(warnings, [of_brokers]);
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn our_own_keys_are_read_from_the_environment() {
    let (config, warnings) = Start::environment(&[("OTTLA_DURABILITY", "kafka")]).load().expect("valid");
    assert!(!config.acknowledges_durable);
    assert_eq!(warnings, owned(&[]));
    assert_eq!(
        Start::environment(&[("OTTLA_DURABILITY", "none")]).error(),
        "OTTLA_DURABILITY: Invalid value none for configuration ottla.durability: String must be one of: fsync, kafka \
         (allowed: STRING [fsync, kafka])"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let config = Some("/no/such/file".to_owned());
    let start = Start { command_line: CommandLine { config, ..CommandLine::default() }, ..Start::default() };
    let error = load(&start.command_line, std::iter::empty()).expect_err("there is no such file").to_string();
    assert_eq!(error, "--config /no/such/file: No such file or directory (os error 2)");
    assert_eq!(
        Start::file("a=b\nc=\\u12").error(),
        "FILE:2: malformed \\uXXXX escape: four hexadecimal digits of a character are allowed"
    );
}

#[test]
fn kafkas_own_example_file_is_understood() {
    let file = "\
        process.roles=broker,controller\n\
        node.id=1\n\
        controller.quorum.voters=1@localhost:9093\n\
        controller.quorum.bootstrap.servers=localhost:9093\n\
        listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n\
        inter.broker.listener.name=PLAINTEXT\n\
        advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n\
        controller.listener.names=CONTROLLER\n\
        listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT\n\
        num.network.threads=3\n\
        num.io.threads=8\n\
        socket.send.buffer.bytes=102400\n\
        socket.receive.buffer.bytes=102400\n\
        socket.request.max.bytes=104857600\n\
        log.dirs=/tmp/kraft-combined-logs\n\
        num.partitions=1\n\
        num.recovery.threads.per.data.dir=1\n\
        offsets.topic.replication.factor=1\n\
        share.coordinator.state.topic.replication.factor=1\n\
        share.coordinator.state.topic.min.isr=1\n\
        transaction.state.log.replication.factor=1\n\
        transaction.state.log.min.isr=1\n\
        log.retention.hours=168\n\
        log.segment.bytes=1073741824\n\
        log.retention.check.interval.ms=300000\n\
        group.initial.rebalance.delay.ms=0\n";
    let (config, warnings) = Start::file(file).load().expect("valid");
    assert_eq!(warnings, [open("PLAINTEXT://:9092")]);
    assert_eq!(listeners(&config), ["PLAINTEXT://:9092 (advertises localhost:9092)"]);
    assert_eq!(config.data_dir, Path::new("/tmp/kraft-combined-logs"));
}

#[test]
fn the_environment_of_a_test_container_is_understood() {
    let environment = [
        ("CLUSTER_ID", "4L6g3nShT-eMCtK--X86sw"),
        ("KAFKA_LISTENERS", "PLAINTEXT://:9092,BROKER://:9093,CONTROLLER://:9094"),
        ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"),
        ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://localhost:32768,BROKER://172.17.0.2:9093"),
        ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
        ("KAFKA_INTER_BROKER_LISTENER_NAME", "BROKER"),
        ("KAFKA_NODE_ID", "1"),
        ("KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS", "1"),
        ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"),
    ];
    let (config, warnings) = Start::environment(&environment).load().expect("valid");
    assert_eq!(warnings, [open("PLAINTEXT://:9092, BROKER://:9093 (PLAINTEXT)")]);
    assert_eq!(
        listeners(&config),
        ["PLAINTEXT://:9092 (advertises localhost:32768)", "BROKER://:9093 (advertises 172.17.0.2:9093)"]
    );
    assert_eq!(config.cluster_id.as_deref(), Some("4L6g3nShT-eMCtK--X86sw"));
}

#[test]
fn listeners_follow_from_advertised_ones() {
    let config = Start::overrides(&["advertised.listeners=PLAINTEXT://example:9094"]).config();
    assert_eq!(listeners(&config), ["PLAINTEXT://:9094 (advertises example:9094)"]);
    assert_eq!(config.values.get("listeners"), Some(Value::List(owned(&["PLAINTEXT://:9094"]))));
}

#[test]
fn the_listen_flag_replaces_listeners_and_keeps_what_is_advertised_for_its_name() {
    let command_line = CommandLine { listen: owned(&["0.0.0.0:1"]), ..CommandLine::default() };
    let file = Some("listeners=A://:5\nadvertised.listeners=PLAINTEXT://example:9092");
    let config = Start { file, command_line, ..Start::default() }.config();
    assert_eq!(listeners(&config), ["PLAINTEXT://0.0.0.0:1 (advertises example:9092)"]);

    let command_line = CommandLine { advertise: owned(&["example:1"]), ..CommandLine::default() };
    let config = Start { command_line, ..Start::default() }.config();
    assert_eq!(listeners(&config), ["PLAINTEXT://127.0.0.1:9092 (advertises example:1)"]);
}

#[test]
fn bad_listeners_are_told_with_their_source() {
    let command_line = CommandLine { listen: owned(&["9092"]), ..CommandLine::default() };
    assert_eq!(
        Start { command_line, ..Start::default() }.error(),
        "--listen: 9092 is not HOST:PORT, as in 127.0.0.1:9092, [::1]:9092 or broker.example:9092"
    );
    assert_eq!(
        Start::file("num.partitions=1\nlisteners=A://:9092").error(),
        "FILE:2: No security protocol defined for listener A: add A:PLAINTEXT to listener.security.protocol.map, or \
         another of SSL, SASL_PLAINTEXT, SASL_SSL"
    );
    assert_eq!(
        Start::overrides(&["listeners=PLAINTEXT://:1", "advertised.listeners=PLAINTEXT://0.0.0.0:1"]).error(),
        "--override: advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address."
    );
}

#[test]
fn one_data_directory_is_allowed() {
    assert_eq!(Start::file("log.dir=/a").config().data_dir, Path::new("/a"));
    assert_eq!(Start::file("log.dir=/a\nlog.dirs=/b").config().data_dir, Path::new("/b"));
    let command_line = CommandLine { data_dir: Some("/c".to_owned()), ..CommandLine::default() };
    let config = Start { command_line, ..Start::file("log.dir=/a\nlog.dirs=/b") }.config();
    assert_eq!(config.data_dir, Path::new("/c"));
    assert_eq!(
        Start::file("log.dirs=/a,/b").error(),
        "FILE:1: log.dirs=/a,/b names 2 directories: one data directory is allowed"
    );
    assert_eq!(
        Start::file("log.dirs=").error(),
        "FILE:1: log.dirs= names 0 directories: one data directory is allowed"
    );
}

#[test]
fn broker_id_is_the_older_name_of_node_id() {
    assert_eq!(Start::file("broker.id=7").config().node_id, 7);
    assert_eq!(Start::file("broker.id=7\nnode.id=7").config().node_id, 7);
    assert_eq!(Start { environment: &[("KAFKA_NODE_ID", "8")], ..Start::file("broker.id=7") }.config().node_id, 8);
    assert_eq!(Start { environment: &[("KAFKA_BROKER_ID", "8")], ..Start::file("node.id=7") }.config().node_id, 8);
    assert_eq!(
        Start::file("node.id=2\nbroker.id=3").error(),
        "FILE:2: `node.id` and `broker.id` must be set to the same value, they are 2 and 3"
    );
}

#[test]
fn defaults_of_topics_are_checked_at_the_start() {
    assert_eq!(
        Start::file("log.retention.hours=0").error(),
        "FILE:1: Invalid value 0 for configuration log.retention.hours: Value must be unlimited (-1) or at least 1 \
         (allowed: INT)"
    );
    assert_eq!(
        Start::overrides(&["log.roll.ms=0"]).error(),
        "--override: Invalid value 0 for configuration log.roll.ms: Value must be at least 1 (allowed: LONG)"
    );
    assert_eq!(
        Start::overrides(&["log.cleaner.min.compaction.lag.ms=10", "log.cleaner.max.compaction.lag.ms=5"]).error(),
        "--override: conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)"
    );
    let config = Start::overrides(&["log.retention.minutes=5", "message.max.bytes=100"]).config();
    let topic = TopicConfig::resolve(&config.values, &BTreeMap::new());
    assert_eq!((topic.retention_ms, topic.max_message_bytes), (Some(300_000), 100));
}

#[test]
fn a_cluster_id_is_any_text_but_none() {
    let with = |id: &str| Start {
        command_line: CommandLine { cluster_id: Some(id.to_owned()), ..CommandLine::default() },
        environment: &[("CLUSTER_ID", "other")],
        ..Start::default()
    };
    assert_eq!(with(" my cluster ").config().cluster_id.as_deref(), Some("my cluster"));
    assert_eq!(
        with("").error(),
        "--cluster-id: the cluster id must not be empty: 22 characters of base64 are usual, any text is allowed"
    );
}

#[test]
fn the_log_cleaner_needs_room_for_keys() {
    assert_eq!(
        Start::overrides(&["log.cleaner.dedupe.buffer.size=4194304", "log.cleaner.threads=4"]).error(),
        "--override: log.cleaner.dedupe.buffer.size=4194304 must be more than 1048576 for each of 4 log.cleaner.threads"
    );
    for factor in ["0", "1.5"] {
        let error = Start::overrides(&[&format!("log.cleaner.io.buffer.load.factor={factor}")]).error();
        assert!(error.ends_with("must be more than 0 and at most 1"), "{error}");
    }
    let key = "log.cleaner.io.max.bytes.per.second";
    assert_eq!(
        Start::overrides(&[&format!("{key}=NaN")]).error(),
        format!("--override: Invalid value NaN for configuration {key}: Not a number of type DOUBLE (allowed: DOUBLE)")
    );
    let cleaner = |overrides: &[&str]| Start::overrides(overrides).config().log_cleaner;
    let default = cleaner(&[]).expect("logs are compacted");
    assert_eq!((default.threads, default.dedupe_buffer_size, default.io_buffer_size), (1, 134_217_728, 524_288));
    assert_eq!(default.io_max_bytes_per_second, f64::MAX);
    assert_eq!(cleaner(&["log.cleaner.enable=false"]), None);
    assert_eq!(cleaner(&["log.cleaner.threads=0"]), None);
}

#[test]
fn groups_go_by_the_settings_of_kafka() {
    let groups = |overrides: &[&str]| Start::overrides(overrides).config().groups;
    let default = groups(&[]);
    assert_eq!((default.max_size, default.offset_metadata_max_bytes), (2_147_483_647, 4096));
    assert_eq!(default.initial_rebalance_delay, Duration::from_secs(3));
    assert_eq!((default.min_session_timeout.as_secs(), default.max_session_timeout.as_secs()), (6, 1800));
    assert_eq!(default.offsets_retention_ms, 7 * 24 * 60 * 60 * 1000);
    assert_eq!(default.offsets_retention_check_interval, Duration::from_mins(10));
    assert_eq!((default.offsets_topic_num_partitions, default.offsets_topic_segment_bytes), (50, 100 << 20));
    assert_eq!(default.offsets_topic_compression, TopicCompression::Uncompressed);
    let set = groups(&[
        "group.initial.rebalance.delay.ms=-1",
        "offset.metadata.max.bytes=-1",
        "offsets.retention.minutes=2147483647",
        "offsets.topic.compression.codec=4",
    ]);
    assert_eq!((set.initial_rebalance_delay, set.offset_metadata_max_bytes), (Duration::ZERO, 0));
    assert_eq!(set.offsets_retention_ms, 2_147_483_647 * 60 * 1000);
    assert_eq!(set.offsets_topic_compression, TopicCompression::Zstd(3));
    assert_eq!(
        Start::overrides(&["offsets.topic.compression.codec=5"]).error(),
        "--override: Invalid value 5 for configuration offsets.topic.compression.codec: Unknown compression type id \
         (allowed: INT [0,...,4])"
    );
}
