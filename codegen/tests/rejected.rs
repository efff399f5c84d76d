//! Every kind of mistake stops the build, and the text says in which file, message and field, and why.

use ottla_codegen::{Release, SchemaError, Schemas, Used};

/// A request of versions 0-2, flexible from 1, with these fields.
fn request(fields: &str) -> String {
    schema(r#""apiKey": 1, "validVersions": "0-2", "flexibleVersions": "1+""#, fields)
}

fn schema(head: &str, fields: &str) -> String {
    format!(r#"{{ "type": "request", "name": "ARequest", {head}, "fields": [{fields}] }}"#)
}

fn field(properties: &str) -> String {
    format!(r#"{{ "name": "F", "versions": "0+", {properties} }}"#)
}

fn release(files: &[(&str, &str)]) -> Release {
    Release::from_texts(files.iter().map(|&(file, text)| (file.to_owned(), text.to_owned())))
}

fn load(newer: &[(&str, &str)], older: &[(&str, &str)]) -> Result<Schemas, SchemaError> {
    Schemas::load(&release(newer), &release(older))
}

#[track_caller]
fn check(newer: &[(&str, &str)], older: &[(&str, &str)], expected: &str) {
    let said = load(newer, older).expect_err("is a mistake").to_string();
    assert_eq!(said, expected);
}

/// A mistake in one field of a request.
#[track_caller]
fn check_field(properties: &str, reason: &str) {
    check_fields(&field(properties), &format!("field F: {reason}"));
}

#[track_caller]
fn check_fields(fields: &str, expected: &str) {
    check(&[("A.json", &request(fields))], &[], &format!("A.json: ARequest: {expected}"));
}

#[track_caller]
fn check_message(head: &str, reason: &str) {
    check(&[("A.json", &schema(head, ""))], &[], &format!("A.json: ARequest: {reason}"));
}

/// A field that two releases tell differently; the newer one has versions 1-2, the older one 0-1.
#[track_caller]
fn check_merge(newer: &str, older: &str, expected: &str) {
    let newer = schema(r#""apiKey": 1, "validVersions": "1-2", "flexibleVersions": "1+""#, newer);
    let older = schema(r#""apiKey": 1, "validVersions": "0-1", "flexibleVersions": "1+""#, older);
    check(&[("new/A.json", &newer)], &[("old/A.json", &older)], &format!("old/A.json: ARequest: {expected}"));
}

#[test]
fn what_all_others_vary_is_good() {
    let text = request(&field(r#""type": "int32""#));
    assert_eq!(load(&[("A.json", &text)], &[]).expect("good").iter().count(), 1);
}

#[test]
fn text_that_is_no_schema() {
    check(&[("A.json", "{")], &[], "A.json: EOF while parsing an object at line 1 column 1");
    check(
        &[("A.json", r#"{ "name": "A", "validVersions": "0" }"#)],
        &[],
        "A.json: A: missing field `type` at line 1 column 37",
    );
}

#[test]
fn unknown_properties() {
    let text = request("{ \"name\": \"F\", \"type\": \"int8\", \"versions\": \"0+\",\n\"colour\": 1 }");
    let said = load(&[("A.json", &text)], &[]).expect_err("is a mistake").to_string();
    assert!(
        said.starts_with("A.json: ARequest: field F: unknown field `colour`, expected one of `name`, `type`,"),
        "{said}"
    );
    assert!(said.ends_with("at line 2 column 8"), "{said}");
}

#[test]
fn unknown_types() {
    check_field(r#""type": "int24""#, "unknown type int24");
    check_field(r#""type": "[]int24""#, "unknown type int24");
    check_field(r#""type": "Nowhere""#, "unknown type Nowhere: no fields here and no common struct of this name");
    check_field(r#""type": "[][]int8""#, "an array of []int8 has no encoding");
    check_field(r#""type": "[]records""#, "an array of records has no encoding");
}

#[test]
fn version_ranges() {
    let message = |versions: &str| schema(&format!(r#""apiKey": 1, "validVersions": "{versions}""#), "");
    check(
        &[("A.json", &message("3-1"))],
        &[],
        r#"A.json: ARequest: bad version range "3-1": 3 is above 1 at line 1 column 76"#,
    );
    check(
        &[("A.json", &message("one"))],
        &[],
        r#"A.json: ARequest: bad version range "one": expected none, N, N-M or N+ at line 1 column 76"#,
    );
    let inner = field(r#""type": "int8", "nullableVersions": "1-""#);
    let nested = format!(r#"{{ "name": "S", "type": "[]S", "versions": "0+", "fields": [{inner}] }}"#);
    check_fields(&nested, r#"field S.F: bad version range "1-": expected none, N, N-M or N+ at line 1 column 249"#);
    check_message(r#""apiKey": 1, "validVersions": "0+""#, "validVersions 0+ has no upper end");
    check_message(
        r#""apiKey": 1, "validVersions": "0-2", "flexibleVersions": "1-2""#,
        "flexibleVersions 1-2 has an upper end",
    );
    check_fields(r#"{ "name": "F", "type": "int8" }"#, "field F: is in no version");
    check_fields(r#"{ "name": "F", "type": "int8", "versions": "none" }"#, "field F: is in no version");
}

#[test]
fn messages() {
    check_message(r#""validVersions": "0""#, "only headers and data go without an apiKey");
    let response = |head: &str| format!(r#"{{ "type": "response", "name": "AResponse", "apiKey": 1, {head} }}"#);
    check(
        &[("A.json", &response(r#""validVersions": "0", "listeners": ["broker"]"#))],
        &[],
        "A.json: AResponse: only requests have listeners",
    );
    check(
        &[("A.json", &response(r#""validVersions": "0", "latestVersionUnstable": true"#))],
        &[],
        "A.json: AResponse: only a request's latest version can be unstable",
    );
}

#[test]
fn names() {
    check_fields(r#"{ "name": "F-1", "type": "int8", "versions": "0+" }"#, r#"field F-1: bad name "F-1""#);
    let int = field(r#""type": "int8""#);
    check_fields(&format!("{int}, {int}"), "field F: a field of this name stands before");
    let nested = format!(r#"{{ "name": "S", "type": "[]S", "versions": "0+", "fields": [{int}, {int}] }}"#);
    check_fields(&nested, "field S.F: a field of this name stands before");
}

#[test]
fn structs() {
    let of = |name: &str| {
        let inner = field(r#""type": "int8""#);
        format!(r#"{{ "name": "{name}", "type": "S", "versions": "0+", "fields": [{inner}] }}"#)
    };
    check_fields(&format!("{}, {}", of("F"), of("G")), "field G: struct S is defined twice");
    check_field(
        r#""type": "int8", "fields": [{ "name": "G", "type": "int8", "versions": "0+" }]"#,
        "type int8 cannot have fields",
    );
    check_field(
        r#""type": "ARequest", "fields": []"#,
        "unknown type ARequest: no fields here and no common struct of this name",
    );
}

#[test]
fn common_structs() {
    let with = |field_type: &str, common: &str| {
        let common = format!(r#""apiKey": 1, "validVersions": "0", "commonStructs": [{common}]"#);
        schema(&common, &field(&format!(r#""type": "{field_type}""#)))
    };
    let common = |field_type: &str| {
        format!(r#"{{ "name": "S", "versions": "0+", "fields": [{}] }}"#, field(&format!(r#""type": "{field_type}""#)))
    };
    let check = |text: &str, reason| check(&[("A.json", text)], &[], &format!("A.json: ARequest: {reason}"));
    check(&with("[]S", &common("[]S")), "field F.F: struct S contains itself");
    check(&with("int8", &common("int8")), "common struct S is not used");
    check(&with("S", &format!("{0}, {0}", common("int8"))), "common struct S is defined twice");
    let redefined = with(
        "S\", \"fields\": [{ \"name\": \"G\", \"type\": \"int8\", \"versions\": \"0+\" }], \"about\": \"",
        &common("int8"),
    );
    check(&redefined, "field F: struct S is defined here and among the common structs");
}

#[test]
fn nesting() {
    let mut text = field(r#""type": "int8""#);
    for depth in 0..20 {
        text = field(&format!(r#""type": "S{depth}", "fields": [{text}]"#));
    }
    check_fields(&text, &format!("field {}: nested more than 16 deep", ["F"; 17].join(".")));
}

#[test]
fn tags() {
    let tagged = |name: &str, tag: &str| {
        format!(r#"{{ "name": "{name}", "type": "int8", "versions": "1+", "taggedVersions": "1+", "tag": {tag} }}"#)
    };
    check_fields(&format!("{}, {}", tagged("F", "0"), tagged("G", "0")), "struct ARequest: tag 0 of F is used twice");
    check_fields(&format!("{}, {}", tagged("F", "0"), tagged("G", "2")), "struct ARequest: tag 2 of G leaves out 1");
    check_fields(&tagged("F", "-1"), "field F: bad tag -1");
    check_field(r#""type": "int8", "tag": 0"#, "tag 0 without taggedVersions");
    check_field(r#""type": "records", "taggedVersions": "1+", "tag": 0"#, "records cannot be tagged");
    check_field(r#""type": "int8", "taggedVersions": "1+""#, "taggedVersions without a tag");
    check_field(r#""type": "int8", "taggedVersions": "0+", "tag": 0"#, "tagged in 0+, but flexible only in 1+");
    check_field(
        r#""type": "string", "taggedVersions": "1+", "tag": 0, "flexibleVersions": "2+""#,
        "tagged in 1+, but flexible only in 2+",
    );
    check_field(r#""type": "int8", "taggedVersions": "1-2", "tag": 0"#, "taggedVersions 1-2 has an upper end");
    check_fields(
        r#"{ "name": "F", "type": "int8", "versions": "2+", "taggedVersions": "1+", "tag": 0 }"#,
        "field F: taggedVersions 1+ is not within versions 2+",
    );
    check_field(
        r#""type": "string", "taggedVersions": "1+", "tag": 0, "nullableVersions": "2+""#,
        "either all tagged versions are nullable or none",
    );
}

#[test]
fn map_keys() {
    check_field(r#""type": "int8", "mapKey": true"#, "a message's own field cannot be a map key");
    let tagged = field(r#""type": "int8", "taggedVersions": "1+", "tag": 0, "mapKey": true"#);
    let nested = format!(r#"{{ "name": "S", "type": "[]S", "versions": "0+", "fields": [{tagged}] }}"#);
    check_fields(&nested, "field S.F: a map key cannot be tagged");
}

#[test]
fn nulls() {
    check_field(r#""type": "int32", "nullableVersions": "0+""#, "type int32 cannot be null");
    check_field(r#""type": "uuid", "nullableVersions": "0+""#, "type uuid cannot be null");
    let reason = "null by default, but not nullable in every version";
    check_field(r#""type": "string", "default": "null""#, reason);
    check_field(r#""type": "[]int8", "default": "null", "nullableVersions": "1+""#, reason);
}

#[test]
fn defaults() {
    for (ty, text) in [
        ("bool", "yes"),
        ("int8", "128"),
        ("int16", "0x8000"),
        ("uint16", "-1"),
        ("uint32", "4294967296"),
        ("int32", "null"),
        ("int64", "1.5"),
        ("float64", "much"),
        ("uuid", "AAAA"),
        ("bytes", "AAAA"),
        ("records", "AAAA"),
        ("[]int8", "[]"),
    ] {
        let reason = format!("bad default {text:?} for type {ty}");
        check_field(&format!(r#""type": "{ty}", "default": "{text}""#), &reason);
    }
    check(
        &[("A.json", &request(&field(r#""type": "int8", "default": []"#)))],
        &[],
        "A.json: ARequest: field F: a default is a string, a number, a boolean or null, not [] at line 1 column 179",
    );
}

#[test]
fn properties_of_some_types_only() {
    check_field(
        r#""type": "[]int8", "flexibleVersions": "1+""#,
        "only strings and bytes can have flexibleVersions of their own",
    );
    check_field(r#""type": "string", "zeroCopy": true"#, "only bytes can be zeroCopy");
    check_field(r#""type": "string", "entityType": "brokerId""#, "entityType brokerId does not go with type string");
    check_field(r#""type": "[]int32", "entityType": "groupId""#, "entityType groupId does not go with type []int32");
    check_field(r#""type": "string", "entityType": "planet""#, "unknown entityType planet");
}

#[test]
fn sets() {
    let one = request("");
    check(&[("A.json", &one), ("B.json", &one)], &[], "B.json: ARequest: the same name is in A.json");
    let two = one.replace("ARequest", "BRequest");
    check(&[("A.json", &one), ("B.json", &two)], &[], "B.json: BRequest: ARequest has the same apiKey");
}

#[test]
fn releases_that_contradict_each_other() {
    check_merge(
        &field(r#""type": "int32""#),
        &field(r#""type": "int64""#),
        r#"field F: type is "int32" in the newer release, "int64" in the older"#,
    );
    check_merge(
        &field(r#""type": "int32", "default": "1""#),
        &field(r#""type": "int32", "default": "-1""#),
        r#"field F: default is Some("1") in the newer release, Some("-1") in the older"#,
    );
    let tagged = |tag: i8| field(&format!(r#""type": "int32", "taggedVersions": "1+", "tag": {tag}"#));
    check_merge(&tagged(0), &tagged(1), "field F: tag is Some(0) in the newer release, Some(1) in the older");
    check_merge(
        r#"{ "name": "F", "type": "int8", "versions": "2+" }"#,
        &field(r#""type": "int8""#),
        "field F: versions is 2+ in the newer release, 0+ in the older",
    );
    check_merge(
        &field(r#""type": "string", "nullableVersions": "1+""#),
        &field(r#""type": "string""#),
        "field F: nullableVersions is 1+ in the newer release, none in the older",
    );
    check_merge(
        &field(r#""type": "string", "flexibleVersions": "1+""#),
        &field(r#""type": "string""#),
        "field F: flexibleVersions in one release only",
    );
}

#[test]
fn releases_with_other_fields_or_another_order() {
    let (f, g) = (field(r#""type": "int8""#), field(r#""type": "int8""#).replace("\"F\"", "\"G\""));
    check_merge(&format!("{f}, {g}"), &format!("{g}, {f}"), "field F: the two releases have it in different places");
    check_merge(&f, "", "field F: version 1 has it in the newer release, not in the older");
    check_merge("", &f, "field F: version 1 has it in the older release, not in the newer");
    let nested = |inner: &str| format!(r#"{{ "name": "S", "type": "[]S", "versions": "0+", "fields": [{inner}] }}"#);
    check_merge(
        &nested(&f),
        &nested(&format!("{f}, {g}")),
        "field S.G: version 1 has it in the older release, not in the newer",
    );
}

#[test]
fn releases_of_other_messages() {
    let versions = |range: &str| schema(&format!(r#""apiKey": 1, "validVersions": "{range}""#), "");
    let check = |newer: &str, older: &str, reason: &str| {
        check(&[("new/A.json", newer)], &[("old/A.json", older)], &format!("old/A.json: ARequest: {reason}"));
    };
    check(&versions("3-4"), &versions("0-1"), "versions 0-1 and 3-4 leave a gap");
    check(
        &versions("1-2"),
        &versions("0-1").replace("\"apiKey\": 1", "\"apiKey\": 2"),
        "apiKey is Some(1) in the newer release, Some(2) in the older",
    );
    check(
        &versions("1-2"),
        &versions("0-1").replace("\"request\"", "\"response\""),
        "type is Request in the newer release, Response in the older",
    );
    let flexible = r#""apiKey": 1, "validVersions": "0-1", "flexibleVersions": "1+""#;
    check(&versions("1-2"), &schema(flexible, ""), "flexibleVersions is none in the newer release, 1+ in the older");
}

#[test]
fn lists_of_used_messages() {
    let text = request("");
    let response = text.replace("request", "response").replace("ARequest", "AResponse");
    let schemas = load(&[("A.json", &text), ("B.json", &response)], &[]).expect("good");
    let check = |list: &str, expected: &str| {
        let said = Used::parse("messages.txt", list, &schemas).expect_err("is a mistake").to_string();
        assert_eq!(said, expected);
    };
    check("# nothing\n\nB", "messages.txt:3: no message BRequest");
    check("A\nARequest", "messages.txt:2: ARequest is listed twice");
    check("A one", "messages.txt:1: A: the least version is a number");
    check("A -1", "messages.txt:1: A: the least version is a number");
    check("A 1 2", r#"messages.txt:1: A: "2" is one word too many"#);
    check("A 3", "messages.txt:1: ARequest has versions 0-2, none from 3 on");
}
