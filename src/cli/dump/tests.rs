use ottla_codegen::interpret;
use serde_json::json;

use super::*;
use crate::protocol::{
    records::{
        batch::compute_crc,
        builder::{BatchBuilder, NewRecord},
        compression::Compression,
        control::ControlRecordType,
        record::RecordHeader,
    },
    schemas::schemas,
};

/// Writes files into a partition's directory and dumps them: whether all went well, what was printed, the errors.
fn dump(directory: &str, files: &[(&str, &[u8])], records: bool) -> (bool, Vec<String>, Vec<String>) {
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let dir = temporary.path().join(directory);
    fs::create_dir(&dir).expect("created");
    for (name, content) in files {
        fs::write(dir.join(name), content).expect("written");
    }
    let files = files.iter().map(|(name, _)| dir.join(name)).collect();
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let code = DumpArgs { records, topic: None, files }.run(&mut output, &mut errors).expect("written");
    let lines = |bytes| {
        let text = String::from_utf8(bytes).expect("text").replace(&format!("{}/", dir.display()), "");
        text.lines().map(str::to_owned).collect()
    };
    (code == ExitCode::SUCCESS, lines(output), lines(errors))
}

/// The lines of one sound file, without the first.
fn lines_of(directory: &str, name: &str, content: &[u8]) -> Vec<String> {
    let (well, lines, errors) = dump(directory, &[(name, content)], true);
    assert!(well && errors.is_empty(), "{errors:?}");
    lines[1..].to_vec()
}

fn record<'a>(timestamp: i64, key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> NewRecord<'a> {
    NewRecord { timestamp, key, value, headers: &[] }
}

/// A log with two batches: one compressed, one of an idempotent producer.
fn sample_log() -> Vec<u8> {
    let mut first = BatchBuilder::new(40).leader_epoch(3).compression(Compression::Lz4, None);
    let headers = [
        RecordHeader { key: "trace".into(), value: Some("7".into()) },
        RecordHeader { key: "bare".into(), value: None },
    ];
    first.append(&NewRecord { headers: &headers, ..record(1_000, Some(b"k"), Some(b"two\nlines ")) }).expect("fits");
    first.append(&record(1_001, None, Some(&[0xff, 0x00]))).expect("fits");
    let mut second = BatchBuilder::new(42).leader_epoch(3).producer(9, 1, i32::MAX).log_append_time(5_000);
    second.append(&record(2_000, Some(b"gone"), None)).expect("fits");
    second.append(&record(2_000, None, None)).expect("fits");
    [first, second].map(|batch| batch.build().expect("built").bytes().to_vec()).concat()
}

/// What stands behind `name` in a line.
fn value_of<'a>(line: &'a str, name: &str) -> &'a str {
    line.split_once(&format!(" {name}: ")).expect("is there").1.split(' ').next().expect("a word")
}

#[test]
fn batches_and_records_have_a_line_each() {
    let lines = lines_of("orders-0", "00000000000000000040.log", &sample_log());
    let size: u64 = value_of(&lines[1], "size").parse().expect("a number");
    let crc = value_of(&lines[1], "crc");
    let expected = [
        "Log starting offset: 40".to_owned(),
        format!(
            "baseOffset: 40 lastOffset: 41 count: 2 baseSequence: -1 lastSequence: -1 producerId: -1 producerEpoch: -1 \
             partitionLeaderEpoch: 3 isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty \
             position: 0 CreateTime: 1001 size: {size} magic: 2 compresscodec: lz4 crc: {crc} isvalid: true"
        ),
        "| offset: 40 CreateTime: 1000 keySize: 1 valueSize: 10 sequence: -1 headers: [trace=7,bare] key: k \
         payload: two\\nlines "
            .to_owned(),
        "| offset: 41 CreateTime: 1001 keySize: -1 valueSize: 2 sequence: -1 headers: [] payload: 0xff00".to_owned(),
    ];
    assert_eq!(lines[..4], expected);
    assert_eq!(value_of(&lines[4], "position"), size.to_string());
    assert_eq!((value_of(&lines[4], "baseSequence"), value_of(&lines[4], "lastSequence")), ("2147483647", "0"));
    assert_eq!(
        lines[5..],
        [
            "| offset: 42 LogAppendTime: 5000 keySize: 4 valueSize: -1 sequence: 2147483647 headers: [] key: gone",
            "| offset: 43 LogAppendTime: 5000 keySize: -1 valueSize: -1 sequence: 0 headers: []",
        ]
    );
    let (_, lines, _) = dump("orders-0", &[("00000000000000000040.log", &sample_log())], false);
    assert_eq!(lines.len(), 4, "without --records there are only batches");
}

fn encode(message: &str, version: i16, json: &serde_json::Value) -> Vec<u8> {
    let message = schemas().get(message).expect("known");
    let value = interpret::from_json(message, version, json).expect("fits");
    interpret::encode(message, version, &value).expect("encoded")
}

/// The last line of a log with one record.
fn only_record(directory: &str, name: &str, key: Option<&[u8]>, value: Option<&[u8]>) -> String {
    let mut batch = BatchBuilder::new(0);
    batch.append(&record(1, key, value)).expect("fits");
    lines_of(directory, name, batch.build().expect("built").bytes()).pop().expect("a line")
}

#[test]
fn records_of_internal_topics_are_shown_by_their_schemas() {
    let log = "00000000000000000000.log";
    let feature = encode("FeatureLevelRecord", 0, &json!({"name": "metadata.version", "featureLevel": 33}));
    let value = [&[1, 12, 0][..], &feature].concat();
    let expected =
        r#" payload: {"type":"FEATURE_LEVEL_RECORD","version":0,"data":{"name":"metadata.version","featureLevel":33}}"#;
    let line = only_record("__cluster_metadata-0", log, None, Some(&value));
    assert!(line.ends_with(expected), "{line}");
    let line = only_record("elsewhere", "00000000000000000007-0000000001.checkpoint", None, Some(&value));
    assert!(line.ends_with(expected), "{line}");

    let key = [&[0, 2][..], &encode("GroupMetadataKey", 0, &json!({"group": "g"}))].concat();
    let line = only_record("__consumer_offsets-7", log, Some(&key), None);
    assert!(line.ends_with(r#" key: {"type":"2","data":{"group":"g"}} payload: <DELETE>"#), "{line}");

    let key = [&[0, 0][..], &encode("TransactionLogKey", 0, &json!({"transactionalId": "t"}))].concat();
    let line = only_record("__transaction_state-7", log, Some(&key), None);
    assert!(line.ends_with(r#" key: {"type":"0","data":{"transactionalId":"t"}} payload: <DELETE>"#), "{line}");
}

#[test]
fn control_records_are_shown_by_their_type() {
    let leader =
        encode("LeaderChangeMessage", 0, &json!({"version": 0, "leaderId": 1, "voters": [], "grantingVoters": []}));
    for (kind, value, expected) in [
        (ControlRecordType::Commit, &[0, 0, 0, 0, 0, 5][..], " endTxnMarker: COMMIT coordinatorEpoch: 5"),
        (
            ControlRecordType::LeaderChange,
            &leader,
            r#" LeaderChange {"version":0,"leaderId":1,"voters":[],"grantingVoters":[]}"#,
        ),
    ] {
        let mut batch = BatchBuilder::new(0).control();
        batch.append_control(kind, 1, value).expect("fits");
        let lines = lines_of("orders-0", "00000000000000000000.log", batch.build().expect("built").bytes());
        assert!(lines[2].ends_with(expected), "{}", lines[2]);
    }
}

#[test]
fn entries_of_the_other_files_have_a_line_each() {
    let producers = json!({"crc": 0, "producerEntries": [{
        "producerId": 9, "epoch": 1, "lastSequence": 4, "lastOffset": 44, "offsetDelta": 2, "timestamp": 77,
        "coordinatorEpoch": -1, "currentTxnFirstOffset": -1
    }]});
    let mut snapshot = [&[0, 1][..], &encode("ProducerSnapshot", 1, &producers)].concat();
    let crc = crc32c::crc32c(&snapshot[6..]);
    snapshot[2..6].copy_from_slice(&crc.to_be_bytes());
    let aborted = [&[0, 0][..], &[9_i64, 40, 42, 43].map(i64::to_be_bytes).concat()].concat();
    let cases: [(&str, &[u8], &str); 10] = [
        ("00000000000000000040.index", &[0, 0, 0, 1, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0, 0], "offset: 41 position: 99"),
        ("00000000000000000040.timeindex", &[0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 2], "timestamp: 8 offset: 42"),
        (
            "00000000000000000040.txnindex",
            &aborted,
            "version: 0 producerId: 9 firstOffset: 40 lastOffset: 42 lastStableOffset: 43",
        ),
        (
            "00000000000000000045.snapshot",
            &snapshot,
            "producerId: 9 producerEpoch: 1 coordinatorEpoch: -1 currentTxnFirstOffset: OptionalLong.empty \
             lastTimestamp: 77 firstSequence: 2 lastSequence: 4 lastOffset: 44 offsetDelta: 2 timestamp: 77",
        ),
        ("recovery-point-offset-checkpoint", b"0\n1\norders 0 45\n", "topic: orders partition: 0 offset: 45"),
        ("leader-epoch-checkpoint", b"0\n1\n3 40\n", "epoch: 3 startOffset: 40"),
        (
            "partition.metadata",
            b"version: 0\ntopic_id: 2Dv2GF7bQEa1Lg2hXTbwQw",
            "version: 0 topicId: 2Dv2GF7bQEa1Lg2hXTbwQw",
        ),
        ("meta.properties", b"#comment\nnode.id=1\n", "node.id=1"),
        ("quorum-state", b"{ \"leaderId\": 1 }", r#"{"leaderId":1}"#),
        (".kafka_cleanshutdown", br#"{"version":0}"#, r#"{"version":0}"#),
    ];
    for (name, content, expected) in cases {
        assert_eq!(lines_of("orders-0", name, content), [expected], "{name}");
    }
}

#[test]
fn errors_name_file_and_position_and_the_rest_is_shown() {
    let mut log = sample_log();
    let first_size = usize::try_from(i32::from_be_bytes([log[8], log[9], log[10], log[11]])).expect("positive") + 12;
    log[first_size - 1] ^= 1;
    let torn = &sample_log()[..first_size + 70];
    let files: [(&str, &[u8]); 5] = [
        ("00000000000000000040.log", &log),
        ("00000000000000000050.log", torn),
        ("00000000000000000040.index", &[0, 0, 0, 1, 0, 0, 0, 99, 7]),
        ("holiday.jpg", b""),
        ("leader-epoch-checkpoint", b"0\n1\n3 40\n"),
    ];
    let (well, lines, errors) = dump("orders-0", &files, true);
    assert!(!well);
    let starts = [
        "error: 00000000000000000040.log: position 0: batch at offset 40: stored CRC".to_owned(),
        format!("error: 00000000000000000050.log: position {first_size}: batch needs"),
        "error: 00000000000000000040.index: position 8: 1 bytes behind the last whole entry".to_owned(),
        "error: holiday.jpg: not a file of a data directory".to_owned(),
    ];
    assert_eq!(errors.len(), starts.len(), "{errors:#?}");
    assert!(errors.iter().zip(&starts).all(|(error, start)| error.starts_with(start)), "{errors:#?}");
    assert!(lines[2].ends_with("isvalid: false") && lines[3].starts_with("baseOffset: 42 "), "{lines:#?}");
    assert_eq!(lines.last().expect("lines"), "epoch: 3 startOffset: 40");
}

/// Records that are not what their topic's are, are shown as they are; but not those of metadata, which could be secrets of
/// a later version.
#[test]
fn a_record_that_no_schema_describes_is_an_error() {
    let mut batch = BatchBuilder::new(5);
    batch.append(&record(1, Some(b"k"), Some(b"\x01\x7f\x00"))).expect("fits");
    let batch = batch.build().expect("built");
    let (well, lines, errors) =
        dump("__cluster_metadata-0", &[("00000000000000000000.log", batch.bytes().as_ref())], true);
    assert!(!well && lines[3].ends_with("key: k payload: (redacted)"), "{lines:?}");
    let expected =
        "error: 00000000000000000000.log: position 0: record at offset 5: no record of this topic has type 127";
    assert_eq!(errors, [expected]);
}

#[test]
fn garbage_is_an_error_at_worst() {
    let names = [
        "00000000000000000000.log",
        "00000000000000000000.index",
        "00000000000000000000.timeindex",
        "00000000000000000000.txnindex",
        "00000000000000000000.snapshot",
        "00000000000000000001-0000000001.checkpoint",
        "x.index",
        "leader-epoch-checkpoint",
        "recovery-point-offset-checkpoint",
        "partition.metadata",
        "meta.properties",
        "quorum-state",
    ];
    let mut seed = 7_u32;
    let mut noise = |len| -> Vec<u8> {
        let next = |_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed.to_be_bytes()[0]
        };
        (0..len).map(next).collect()
    };
    for len in [0, 1, 7, 40, 1_000] {
        let contents = names.map(|_| noise(len));
        let files: Vec<(&str, &[u8])> = names.into_iter().zip(contents.iter().map(Vec::as_slice)).collect();
        dump("__consumer_offsets-0", &files, true);
    }
    // The CRC is right here, so that what is behind it is looked at.
    for topic in ["__cluster_metadata-0", "__consumer_offsets-0", "__transaction_state-0", "orders-0"] {
        for control in [0, 0x20] {
            let mut log = sample_log();
            let first_size =
                usize::try_from(i32::from_be_bytes([log[8], log[9], log[10], log[11]])).expect("positive") + 12;
            log[first_size + 22] |= control;
            for _ in 0..50 {
                let byte = noise(2);
                let at = first_size + 61 + usize::from(byte[0]) % (log.len() - first_size - 61);
                log[at] = byte[1];
                let crc = compute_crc(&log[first_size..]);
                log[first_size + 17..first_size + 21].copy_from_slice(&crc.to_be_bytes());
                dump(topic, &[("00000000000000000000.log", log.as_slice())], true);
            }
        }
    }
}

#[test]
fn names_say_what_files_are() {
    for (name, expected) in [
        ("00000000000000000000.log.deleted", Some(FileType::Log)),
        ("00000000000000000000.index.swap", Some(FileType::OffsetIndex)),
        ("cleaner-offset-checkpoint", Some(FileType::Offsets)),
        ("log", None),
        ("notes.txt", None),
    ] {
        assert_eq!(FileType::of(name), expected, "{name}");
    }
}

/// The line of the only record of a metadata log.
fn metadata_line(message: &str, data: &serde_json::Value) -> String {
    let message = schemas().get(message).expect("a record of metadata");
    let value = interpret::from_json(message, 0, data).expect("fits");
    let record_type = u8::try_from(message.api_key.expect("a record has a type")).expect("small");
    let value = [&[1, record_type, 0][..], &interpret::encode(message, 0, &value).expect("fits")].concat();
    only_record("__cluster_metadata-0", "00000000000000000000.log", None, Some(&value))
}

#[test]
fn what_lets_somebody_in_is_not_shown() {
    let credential = json!({
        "name": "alice", "mechanism": 1, "salt": "c2FsdA==", "storedKey": "c3RvcmVk", "serverKey": "c2VydmVy",
        "iterations": 4096,
    });
    let line = metadata_line("UserScramCredentialRecord", &credential);
    let expected = r#""data":{"name":"alice","mechanism":1,"salt":"(redacted)","storedKey":"(redacted)","#.to_owned()
        + r#""serverKey":"(redacted)","iterations":4096}}"#;
    assert!(line.ends_with(&expected), "{line}");
    for (resource, name, value, shown) in [
        (4, "listener.name.x.ssl.keystore.key", json!("hunter2"), r#""value":"(redacted)""#),
        (4, "listener.name.x.plain.sasl.jaas.config", json!("hunter2"), r#""value":"(redacted)""#),
        (4, "of.another.version", json!("hunter2"), r#""value":"(redacted)""#),
        (4, "ssl.keystore.key", json!(null), r#""value":null"#),
        (4, "log.retention.ms", json!("7"), r#""value":"7""#),
        (2, "retention.ms", json!("7"), r#""value":"7""#),
    ] {
        let config = json!({"resourceType": resource, "resourceName": "1", "name": name, "value": value});
        let line = metadata_line("ConfigRecord", &config);
        assert!(line.contains(shown), "{line}");
    }
}
