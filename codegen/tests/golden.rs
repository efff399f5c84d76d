//! The emitted text of a few telling messages, so that a change of the emitter is reviewed as a diff.
//!
//! After a change that is meant: `OTTLA_REWRITE_GOLDEN=1 cargo test -p ottla-codegen --test golden`.

use std::{env, fs, path::Path};

use ottla_codegen::{
    Message, Release, Schemas, Versions,
    emit::{SourceFile, emit_message},
};

const REWRITE: &str = "OTTLA_REWRITE_GOLDEN";

fn schemas() -> Schemas {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas");
    let release = |name| Release::read(&directory.join(name)).expect("the vendored schemas");
    Schemas::load(&release("kafka-4.4.0"), &release("kafka-3.9.1")).expect("all are good")
}

/// Holds what is emitted for a message, in its versions from `lowest` on, against its file.
fn check(name: &str, lowest: i16) {
    let schemas = schemas();
    let all: Vec<Message> = schemas.iter().cloned().collect();
    let message = schemas.get(name).expect("a message").restricted(Versions::from(lowest));
    let SourceFile { module, text } = emit_message(&message, &all);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{module}.rs"));
    if env::var_os(REWRITE).is_some() {
        fs::write(&path, &text).expect("a writable directory");
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    if let Some((number, (was, is))) = first_difference(&golden, &text) {
        panic!("{} line {number}:\n was {was:?}\n  is {is:?}\n{REWRITE}=1 rewrites it", path.display());
    }
}

fn first_difference<'a>(golden: &'a str, emitted: &'a str) -> Option<(usize, (&'a str, &'a str))> {
    let end = "(end of file)";
    let padded = |text: &'a str| text.lines().chain(std::iter::repeat(end));
    let count = golden.lines().count().max(emitted.lines().count());
    (1..=count).zip(padded(golden).zip(padded(emitted))).find(|(_, (was, is))| was != is)
}

#[test]
fn flexible_versions_with_tagged_fields() {
    check("FetchRequest", 0);
}

#[test]
fn nullable_structs() {
    check("DescribeTopicPartitionsResponse", 0);
}

#[test]
fn versions_that_only_the_older_release_has() {
    check("OffsetCommitRequest", 0);
}

#[test]
fn a_field_that_is_never_compact() {
    check("RequestHeader", 0);
}

#[test]
fn a_metadata_record() {
    check("PartitionRecord", 0);
}

#[test]
fn fields_that_are_not_shown() {
    check("UserScramCredentialRecord", 0);
}

#[test]
fn versions_that_are_not_wanted_leave_no_trace() {
    check("CreateTopicsRequest", 7);
}
