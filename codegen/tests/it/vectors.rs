//! The interpreting codec against Apache Kafka's own classes: one random message for every message and version of 4.4.0.

use ottla_codegen::{
    Message,
    interpret::{decode, encode, from_json, json_text, to_json},
    model::Type,
};
use serde_json::Value;

use crate::fixtures;

#[test]
fn every_vector_decodes_and_encodes_back_to_the_same_bytes() {
    let schemas = fixtures::schemas();
    for vector in fixtures::vectors() {
        let at = format!("{} v{}", vector.message, vector.version);
        let message = schemas.get(&vector.message).unwrap_or_else(|| panic!("{at}: no schema"));
        let (value, consumed) = decode(message, vector.version, &vector.bytes).expect("decodes");
        assert_eq!(consumed, vector.bytes.len(), "{at}");
        assert_eq!(encode(message, vector.version, &value).expect("encodes"), vector.bytes, "{at}");
    }
}

#[test]
fn every_vector_is_shown_letter_for_letter_as_kafka_shows_it() {
    let schemas = fixtures::schemas();
    for vector in fixtures::vectors() {
        let message = schemas.get(&vector.message).expect("is there");
        let (value, _) = decode(message, vector.version, &vector.bytes).expect("decodes");
        let mut json = to_json(message, vector.version, &value).expect("has a JSON form");
        empty_records(message, &mut json);
        assert_eq!(json_text(&json, false), vector.json, "{} v{}", vector.message, vector.version);
    }
}

/// Kafka's converter shows any records as an empty string. Here their bytes are shown, or the way back would lose them.
fn empty_records(message: &Message, json: &mut Value) {
    let is_records = |name: &str| {
        let mut fields = message.structs.iter().flat_map(|structure| &structure.fields);
        fields.any(|field| field.ty == Type::Records && field.camel_case_name() == name)
    };
    match json {
        Value::Object(members) => members.iter_mut().for_each(|(name, value)| match value {
            Value::String(records) if is_records(name) => records.clear(),
            value => empty_records(message, value),
        }),
        Value::Array(elements) => elements.iter_mut().for_each(|element| empty_records(message, element)),
        _ => {}
    }
}

#[test]
fn what_is_shown_of_a_vector_makes_its_bytes_again() {
    let schemas = fixtures::schemas();
    for vector in fixtures::vectors() {
        let at = format!("{} v{}", vector.message, vector.version);
        let message = schemas.get(&vector.message).expect("is there");
        let (value, _) = decode(message, vector.version, &vector.bytes).expect("decodes");
        let text = json_text(&to_json(message, vector.version, &value).expect("has a JSON form"), false);
        let json = serde_json::from_str(&text).expect("JSON");
        let value = from_json(message, vector.version, &json).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(encode(message, vector.version, &value).expect("encodes"), vector.bytes, "{at}");
    }
}

#[test]
fn the_vectors_cover_every_version_of_the_newer_release() {
    let schemas = fixtures::schemas();
    let vectors = fixtures::vectors();
    assert_eq!(vectors.len(), 744);
    for message in schemas.iter() {
        let Some((_, highest)) = message.versions.ends() else { continue };
        let found = vectors.iter().any(|vector| vector.message == message.name && vector.version == highest);
        assert!(found, "{} v{highest}", message.name);
    }
}
