//! The generated codec against bytes that Apache Kafka's own classes wrote, and against the interpreting codec.

use std::path::Path;

use bytes::Bytes;
use ottla::protocol::{
    message::Message,
    messages::{FetchRequest, ProduceRequest, RequestHeader},
    records::Records,
};
use ottla_codegen::{Release, Schemas, interpret, random};

use crate::codecs::{Codec, codec, codecs};
use crate::vectors::{Vector, vectors};

/// Decodes and encodes, and holds the result against the input. `hint` says where that came from.
fn check(codec: &Codec, bytes: &Bytes, version: i16, hint: &str) {
    let recoded = (codec.recode)(bytes, version).unwrap_or_else(|error| panic!("{error}{hint}"));
    assert_eq!(recoded.bytes, bytes, "{} v{version}{hint}", codec.name);
    assert_eq!(recoded.read, bytes.len(), "{} v{version}{hint}", codec.name);
    assert_eq!(recoded.promised, bytes.len(), "{} v{version}{hint}", codec.name);
}

#[test]
fn every_used_message_reads_and_writes_what_apache_kafka_wrote() {
    let mut held = 0;
    for Vector { name, version, bytes } in vectors() {
        let Some(codec) = codec(&name).filter(|codec| codec.versions.contains(&version)) else {
            continue;
        };
        check(codec, &bytes, version, "");
        held += 1;
    }
    assert!(held >= 100, "only {held} vectors are of messages in use");
}

#[test]
fn the_generated_codec_agrees_with_the_interpreting_one_on_random_messages() {
    const SEEDS: u64 = 300;
    let release = |name| Release::read(&Path::new("schemas").join(name)).expect("the vendored schemas");
    let schemas = Schemas::load(&release("kafka-4.4.0"), &release("kafka-3.9.1")).expect("all are good");
    for codec in codecs() {
        let message = schemas.get(codec.name).expect("it was generated from there");
        for version in codec.versions.clone() {
            for seed in 0..SEEDS {
                let value = random::value(message, version, seed).expect("the version exists");
                let bytes = interpret::encode(message, version, &value).expect("a valid value");
                check(codec, &bytes.into(), version, &format!(", seed {seed}"));
            }
        }
    }
}

fn error_of<M: Message>(bytes: &[u8], version: i16) -> String {
    M::decode_all(&Bytes::copy_from_slice(bytes), version).expect_err("must be refused").to_string()
}

#[test]
fn decode_errors_name_message_field_and_offset() {
    use ottla::protocol::messages::fetch_request::{FetchPartition, FetchTopic};

    let topic = |name: &str| FetchTopic {
        topic: name.into(),
        partitions: vec![FetchPartition { fetch_offset: 7, ..Default::default() }],
        ..Default::default()
    };
    let request = FetchRequest { topics: vec![topic("ab"), topic("cd")], ..Default::default() };
    let bytes = request.to_bytes(4).expect("version 4 can say this");
    // 17 bytes of numbers, the count of topics, two topics of 24 bytes each. A partition takes 16.
    assert_eq!(
        error_of::<FetchRequest>(&bytes[..60], 4),
        "FetchRequest v4: topics[1].partitions: 1 elements announced, 7 bytes left, at byte 49"
    );
    assert_eq!(
        error_of::<FetchRequest>(&bytes[..26], 4),
        "FetchRequest v4: topics: 2 elements announced, 5 bytes left, at byte 17"
    );
    assert_eq!(
        error_of::<FetchRequest>(&bytes[..3], 4),
        "FetchRequest v4: replicaId: 4 bytes needed, 3 left, at byte 0"
    );
    let mut too_long = bytes.to_vec();
    too_long.push(0);
    assert_eq!(error_of::<FetchRequest>(&too_long, 4), "FetchRequest v4: 1 bytes follow the message, at byte 69");
    assert_eq!(error_of::<FetchRequest>(&bytes, 3), "FetchRequest v3: version 3 is outside 4-18, at byte 0");
}

#[test]
fn decode_errors_name_elements_of_arrays_within_arrays() {
    use ottla::protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};

    let partition = PartitionProduceData { records: Some(Records::Bytes(vec![7; 10].into())), ..Default::default() };
    let topic = TopicProduceData {
        name: "ab".into(),
        partition_data: vec![partition.clone(), partition],
        ..Default::default()
    };
    let request = ProduceRequest { topic_data: vec![topic], ..Default::default() };
    let bytes = request.to_bytes(3).expect("version 3 can say this");
    assert_eq!(
        error_of::<ProduceRequest>(&bytes[..bytes.len() - 3], 3),
        "ProduceRequest v3: topicData[0].partitionData[1].records: 10 bytes needed, 7 left, at byte 46"
    );
    let mut not_utf8 = bytes.to_vec();
    not_utf8[14] = 0xff;
    assert_eq!(error_of::<ProduceRequest>(&not_utf8, 3), "ProduceRequest v3: topicData[0].name: not UTF-8, at byte 12");
}

#[test]
fn decode_errors_name_tagged_fields_and_tags() {
    let head = [0; 21];
    // max wait to rack id are zeros and empty compact arrays and strings; then the tags.
    let with_tags = |tags: &[u8]| {
        let mut bytes = head.to_vec();
        bytes.extend_from_slice(&[1, 1, 1]);
        bytes.extend_from_slice(tags);
        bytes
    };
    assert_eq!(
        error_of::<FetchRequest>(&with_tags(&[1, 1, 3, 0, 0, 0]), 15),
        "FetchRequest v15: replicaState.replicaId: 4 bytes needed, 3 left, at byte 27"
    );
    assert_eq!(
        error_of::<FetchRequest>(&with_tags(&[2, 1, 0, 1, 0]), 15),
        "FetchRequest v15: replicaState.replicaId: 4 bytes needed, 0 left, at byte 27"
    );
    assert_eq!(
        error_of::<FetchRequest>(&with_tags(&[2, 9, 0, 9, 0]), 15),
        "FetchRequest v15: tag 9 after tag 9, at byte 27"
    );
    assert_eq!(
        error_of::<RequestHeader>(b"\0\x12\0\x04\0\0\0\x07\xff\xff\x01\x00\x09ab", 2),
        "RequestHeader v2: 9 bytes needed, 2 left, at byte 13"
    );
}

#[test]
fn a_tag_that_only_a_later_version_knows_is_kept_among_the_unknown() {
    // Version 14 knows tag 0 (the cluster's id), version 15 tag 1 too (the replica's state).
    let mut bytes = vec![0; 25];
    bytes.extend_from_slice(&[1, 1, 1]);
    bytes.extend_from_slice(b"\x03\x00\x03\x03id\x01\x01z\x09\x00");
    let bytes = Bytes::from(bytes);
    let request = FetchRequest::decode_all(&bytes, 14).expect("all good");
    assert_eq!(request.cluster_id, Some("id".into()));
    assert_eq!(request.unknown_tagged_fields.count(), 2);
    assert_eq!(request.to_bytes(14).expect("as it came"), bytes);
}

#[test]
fn encode_errors_name_message_version_and_field() {
    use ottla::protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};

    let topic = TopicProduceData {
        name: "a".repeat(32_768).into(),
        partition_data: vec![PartitionProduceData::default()],
        ..Default::default()
    };
    let request = ProduceRequest { topic_data: vec![topic], ..Default::default() };
    let said = request.to_bytes(9).expect_err("the name is too long").to_string();
    assert_eq!(said, "ProduceRequest v9: topicData[0].name: length 32768 is above 32767");

    let request = FetchRequest { forgotten_topics_data: vec![Default::default()], ..Default::default() };
    let said = request.to_bytes(6).expect_err("sessions came with version 7").to_string();
    assert_eq!(said, "FetchRequest v6: forgottenTopicsData: is set, but does not exist in this version");
    let mut tagged = vec![0; 25];
    tagged.extend_from_slice(&[1, 1, 1]);
    tagged.extend_from_slice(b"\x01\x09\x00");
    let tagged = FetchRequest::decode_all(&tagged.into(), 14).expect("an unknown tag");
    let said = tagged.to_bytes(11).expect_err("tagged fields came with version 12").to_string();
    assert_eq!(said, "FetchRequest v11: unknownTaggedFields: is set, but does not exist in this version");
    let said = request.to_bytes(3).expect_err("too old").to_string();
    assert_eq!(said, "FetchRequest v3: version is outside 4-18");
}
