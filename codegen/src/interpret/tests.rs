#![expect(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::json;

use super::*;
use crate::{model::check, spec::MessageSpec};

/// A message of the versions 0 to 3, flexible from 2 on.
fn message(fields: &str) -> Message {
    let text = format!(
        r#"{{ "name": "Probe", "type": "data", "validVersions": "0-3", "flexibleVersions": "2+", "fields": [{fields}] }}"#
    );
    check("Probe.json", &MessageSpec::parse("Probe.json", &text).unwrap()).unwrap()
}

fn topics() -> Message {
    message(
        r#"{ "name": "Topics", "type": "[]Topic", "versions": "0+", "fields": [
             { "name": "Partitions", "type": "[]int32", "versions": "0+" } ] }"#,
    )
}

/// Two tagged fields and, from version 3 on, a third.
fn tagged() -> Message {
    message(
        r#"{ "name": "Second", "type": "int16", "versions": "2+", "taggedVersions": "2+", "tag": 1, "default": "-1" },
           { "name": "First", "type": "string", "versions": "2+", "taggedVersions": "2+", "tag": 0,
             "nullableVersions": "2+" },
           { "name": "Third", "type": "S", "versions": "3+", "taggedVersions": "3+", "tag": 2,
             "nullableVersions": "3+", "default": "null", "fields": [
             { "name": "A", "type": "int8", "versions": "3+" } ] }"#,
    )
}

fn refusal(message: &Message, version: i16, bytes: &[u8]) -> String {
    decode(message, version, bytes).unwrap_err().to_string()
}

fn bytes_of(message: &Message, version: i16, json: serde_json::Value) -> Vec<u8> {
    encode(message, version, &from_json(message, version, &json).unwrap()).unwrap()
}

fn json_of(message: &Message, version: i16, bytes: &[u8]) -> serde_json::Value {
    to_json(message, version, &decode(message, version, bytes).unwrap().0).unwrap()
}

fn json_refusal(message: &Message, version: i16, json: serde_json::Value) -> String {
    from_json(message, version, &json).unwrap_err().to_string()
}

#[test]
fn an_error_names_message_field_version_and_offset() {
    let bytes = [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 17, 1, 2, 3, 4, 5, 6, 7, 8, 9];
    let error = "Probe v1: topics[1].partitions: 17 elements announced, 9 bytes left, at byte 12";
    assert_eq!(refusal(&topics(), 1, &bytes), error);
}

/// No schema holds itself, but a model need not come from a schema.
#[test]
fn values_nested_too_deep_are_refused_everywhere() {
    let mut message = topics();
    message.structs[1].fields[0].ty = Type::Array(Box::new(Type::Struct(1)));
    // As many elements within elements, the last of them empty.
    let nested = |depth: usize| {
        let mut bytes = [0, 0, 0, 1].repeat(depth);
        bytes.extend([0; 4]);
        bytes
    };
    assert_eq!(decode(&message, 1, &nested(DEPTH_MAX)).unwrap().1, 4 * DEPTH_MAX + 4);
    assert!(refusal(&message, 1, &nested(DEPTH_MAX + 1)).contains("nested more than 32 deep"));

    let value = decode(&message, 1, &nested(DEPTH_MAX)).unwrap().0;
    let json = to_json(&message, 1, &value).unwrap();
    assert_eq!(encode(&message, 1, &value).unwrap(), nested(DEPTH_MAX));
    assert_eq!(bytes_of(&message, 1, json.clone()), nested(DEPTH_MAX));

    let json = json!({ "topics": [{ "partitions": json["topics"] }] });
    assert!(json_refusal(&message, 1, json).contains("nested more than 32 deep"));
    // The topics of the message and the partitions of a topic are the only fields there are.
    let deeper = StructValue { fields: vec![Value::Array(vec![value])], unknown: UnknownTags::default() };
    let error = encode(&message, 1, &Value::Struct(deeper)).unwrap_err();
    assert!(error.to_string().contains("nested more than 32 deep"), "{error}");
}

#[test]
fn a_version_that_does_not_exist_is_refused_everywhere() {
    let message = topics();
    let error = "Probe v4: no such version, it has 0-3";
    assert_eq!(refusal(&message, 4, &[]), error);
    assert_eq!(encode(&message, 4, &Value::Null).unwrap_err().to_string(), error);
    assert_eq!(to_json(&message, 4, &Value::Null).unwrap_err().to_string(), error);
    assert_eq!(json_refusal(&message, 4, json!({})), error);
    assert_eq!(default_value(&message, 4).unwrap_err().to_string(), error);
}

#[test]
fn counts_are_held_against_the_least_size_of_an_element() {
    let two_topics_of_four_bytes = [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0];
    let error = "Probe v0: topics: 2 elements announced, 7 bytes left, at byte 4";
    assert_eq!(refusal(&topics(), 0, &two_topics_of_four_bytes), error);
    let error = "Probe v2: topics: 4294967294 elements announced, 3 bytes left, at byte 5";
    assert_eq!(refusal(&topics(), 2, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0]), error);
    assert_eq!(
        refusal(&topics(), 0, &[0xff; 4]),
        "Probe v0: topics: null, which it cannot be in this version, at byte 0"
    );
}

#[test]
fn a_varint_has_at_most_five_bytes_and_32_bits() {
    let error = "Probe v2: topics: a varint of more than 32 bits, at byte 0";
    assert_eq!(refusal(&topics(), 2, &[0xff, 0xff, 0xff, 0xff, 0x1f]), error);
    assert_eq!(refusal(&topics(), 2, &[0x80, 0x80, 0x80, 0x80, 0x80, 0]), error);
    assert_eq!(json_of(&topics(), 2, &[0x81, 0x80, 0x80, 0x80, 0x00, 0]), json!({"topics": []}));
}

#[test]
fn strings_are_utf8_and_of_bounded_length() {
    let message = message(r#"{ "name": "Name", "type": "string", "versions": "0+" }"#);
    assert_eq!(
        refusal(&message, 0, &[0, 3, b'a', 0xc3, 0x28]),
        "Probe v0: name: not UTF-8 from its byte 1 on, at byte 2"
    );
    assert_eq!(refusal(&message, 0, &[0, 3, b'a']), "Probe v0: name: 3 bytes needed, 1 left, at byte 2");
    let mut long = vec![0x81, 0x80, 0x02];
    long.resize(40_000, b'a');
    let error = "Probe v2: name: a string of 32768 bytes, at most 32767 are allowed";
    assert_eq!(refusal(&message, 2, &long), format!("{error}, at byte 3"));
    let value = from_json(&message, 2, &json!({"name": "a".repeat(32_768)})).unwrap();
    assert_eq!(encode(&message, 2, &value).unwrap_err().to_string(), error);
}

#[test]
fn tagged_fields_are_written_in_the_order_of_tags_and_only_when_not_default() {
    let message = tagged();
    assert_eq!(bytes_of(&message, 2, json!({})), [0]);
    assert_eq!(bytes_of(&message, 2, json!({"second": 7, "first": "ab"})), [2, 0, 3, 3, b'a', b'b', 1, 2, 0, 7]);
    assert_eq!(json_of(&message, 2, &[0]), json!({}));
    assert_eq!(json_of(&message, 2, &[2, 0, 1, 0, 1, 2, 0, 7]), json!({"second": 7, "first": null}));
}

#[test]
fn a_nullable_struct_has_a_byte_before_it_but_a_varint_where_it_is_tagged() {
    assert_eq!(bytes_of(&tagged(), 3, json!({"third": {"a": 5}})), [1, 2, 3, 1, 5, 0]);
    assert_eq!(json_of(&tagged(), 3, &[1, 2, 1, 0]), json!({}));
    let untagged = message(
        r#"{ "name": "S", "type": "T", "versions": "0+", "nullableVersions": "0+", "fields": [
             { "name": "A", "type": "int8", "versions": "0+" } ] }"#,
    );
    assert_eq!(bytes_of(&untagged, 0, json!({"s": {"a": 5}})), [1, 5]);
    assert_eq!(bytes_of(&untagged, 0, json!({"s": null})), [0xff]);
    assert_eq!(json_of(&untagged, 0, &[0xff]), json!({"s": null}));
}

#[test]
fn tags_ascend_and_fill_their_size() {
    let message = tagged();
    assert_eq!(refusal(&message, 2, &[2, 1, 2, 0, 7, 0, 1, 0]), "Probe v2: tag 0 comes after tag 1, at byte 5");
    assert_eq!(refusal(&message, 2, &[2, 9, 0, 9, 0]), "Probe v2: tag 9 comes after tag 9, at byte 3");
    let error = "Probe v2: second: tag 1: 3 bytes announced, 1 of them not used, at byte 5";
    assert_eq!(refusal(&message, 2, &[1, 1, 3, 0, 7, 9]), error);
    assert_eq!(refusal(&message, 2, &[1, 1, 1, 0, 7]), "Probe v2: second: 2 bytes needed, 1 left, at byte 3");
    assert_eq!(refusal(&message, 2, &[1, 2, 0]), "Probe v2: tag 2 does not exist in this version, at byte 1");
    assert_eq!(refusal(&message, 2, &[1, 9, 200, 1, 0]), "Probe v2: 200 bytes needed, 1 left, at byte 4");
}

#[test]
fn unknown_tagged_fields_stay_one_slice_and_come_back() {
    let bytes = [3, 1, 2, 0, 7, 5, 0, 200, 1, 2, b'x', b'y'];
    let (value, _) = decode(&tagged(), 3, &bytes).unwrap();
    let Value::Struct(root) = &value else { panic!("a message is a struct") };
    assert_eq!(root.unknown, UnknownTags { count: 2, raw: bytes[5..].to_vec() });
    assert_eq!(encode(&tagged(), 3, &value).unwrap(), bytes);
    let error = "Probe v1: unknown tagged fields, but this version has no tagged fields";
    assert_eq!(
        encode(&tagged(), 1, &Value::Struct(StructValue { fields: vec![], ..root.clone() })).unwrap_err().to_string(),
        error
    );
}

#[test]
fn a_field_may_keep_its_old_lengths_in_flexible_versions() {
    let message = message(r#"{ "name": "ClientId", "type": "string", "versions": "0+", "flexibleVersions": "none" }"#);
    assert_eq!(bytes_of(&message, 2, json!({"clientId": "ab"})), [0, 2, b'a', b'b', 0]);
}

#[test]
fn any_byte_but_0_is_true() {
    let message = message(r#"{ "name": "Flag", "type": "bool", "versions": "0+" }"#);
    assert_eq!(json_of(&message, 0, &[7]), json!({"flag": true}));
    assert_eq!(json_of(&message, 0, &[0]), json!({"flag": false}));
}

#[test]
fn json_errors_name_the_field() {
    let message = topics();
    let refusal = |json| json_refusal(&message, 1, json);
    assert_eq!(refusal(json!({})), "Probe v1: topics: is missing and has to be there in this version");
    assert_eq!(refusal(json!({"topics": null})), "Probe v1: topics: null, which it cannot be in this version");
    assert_eq!(refusal(json!({"topics": {}})), "Probe v1: topics: expected an array, got an object");
    assert_eq!(
        refusal(json!({"topics": [{"partitions": [1, 2_147_483_648_i64]}]})),
        "Probe v1: topics[0].partitions[1]: 2147483648 does not fit int32"
    );
    assert_eq!(
        refusal(json!({"topics": [{"partitions": [], "name": "t"}]})),
        "Probe v1: topics[0].name: no such field in this version, it has partitions"
    );
}

#[test]
fn numbers_may_stand_in_strings() {
    let message = message(r#"{ "name": "N", "type": "int64", "versions": "0+" }"#);
    assert_eq!(bytes_of(&message, 0, json!({"n": "-2"})), (-2i64).to_be_bytes());
    assert_eq!(bytes_of(&message, 0, json!({"n": "0xff"})), 255i64.to_be_bytes());
    assert_eq!(json_refusal(&message, 0, json!({"n": "two"})), "Probe v0: n: \"two\" is not an integer");
    assert_eq!(json_refusal(&message, 0, json!({"n": 1.5})), "Probe v0: n: expected an integer, got a number");
    assert_eq!(
        json_refusal(&message, 0, json!({"n": u64::MAX})),
        "Probe v0: n: 18446744073709551615 does not fit int64"
    );
}

#[test]
fn fields_of_other_versions_pass_where_they_are_ignorable_or_null() {
    let message = message(
        r#"{ "name": "Old", "type": "int8", "versions": "0" },
           { "name": "Hint", "type": "int8", "versions": "1+", "ignorable": true },
           { "name": "Name", "type": "string", "versions": "1+", "nullableVersions": "1+" }"#,
    );
    assert_eq!(bytes_of(&message, 0, json!({"old": 1, "hint": 2, "name": null})), [1]);
    let error = "Probe v0: name: no such field in this version, it has old";
    assert_eq!(json_refusal(&message, 0, json!({"old": 1, "name": "x"})), error);
}

#[test]
fn uuids_bytes_and_odd_floats_have_their_text() {
    let message = message(
        r#"{ "name": "Id", "type": "uuid", "versions": "0+" }, { "name": "Data", "type": "bytes", "versions": "0+" },
           { "name": "Share", "type": "float64", "versions": "0+" }"#,
    );
    for share in [json!("NaN"), json!("-Infinity"), json!(0.25)] {
        let json = json!({"id": "AAAAAAAAAAAAAAAAAAAAAQ", "data": "+/8=", "share": share});
        let bytes = bytes_of(&message, 0, json.clone());
        assert_eq!(bytes[15..22], [1, 0, 0, 0, 2, 0xfb, 0xff]);
        assert_eq!(json_of(&message, 0, &bytes), json);
    }
    let error = "Probe v0: id: \"AQ\" is not 16 bytes in URL-safe base64";
    assert_eq!(json_refusal(&message, 0, json!({"id": "AQ", "data": "", "share": 0.0})), error);
}

#[test]
fn a_value_of_another_shape_is_refused() {
    let message = message(r#"{ "name": "N", "type": "int8", "versions": "0+" }"#);
    let with = |fields| Value::Struct(StructValue { fields, unknown: UnknownTags::default() });
    let refusal = |fields| encode(&message, 0, &with(fields)).unwrap_err().to_string();
    assert_eq!(refusal(vec![]), "Probe v0: 0 fields, this version has 1");
    assert_eq!(refusal(vec![Value::Null]), "Probe v0: n: null, which it cannot be in this version");
    assert_eq!(refusal(vec![Value::Bool(true)]), "Probe v0: n: expected int8, got a boolean");
    assert_eq!(refusal(vec![Value::Int(128)]), "Probe v0: n: 128 does not fit int8");
}

#[test]
fn defaults_are_those_of_the_schema() {
    let value = default_value(&tagged(), 3).unwrap();
    let fields = vec![Value::Int(-1), Value::String(String::new()), Value::Null];
    assert_eq!(value, Value::Struct(StructValue { fields, unknown: UnknownTags::default() }));
}
