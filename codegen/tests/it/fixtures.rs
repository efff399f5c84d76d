//! What several tests need: the vendored schemas and the vectors that Apache Kafka's own classes made.

use std::{fs::File, io::Read, path::Path};

use flate2::read::GzDecoder;
use ottla_codegen::{Schemas, schemas::Release};

/// One message as Apache Kafka 4.4.0 encodes it and as its `JsonConverter` shows it.
pub(crate) struct Vector {
    pub(crate) message: String,
    pub(crate) version: i16,
    pub(crate) bytes: Vec<u8>,
    pub(crate) json: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

pub(crate) fn schemas() -> Schemas {
    let release = |name| Release::read(&root().join("schemas").join(name)).expect("the vendored schemas");
    Schemas::load(&release("kafka-4.4.0"), &release("kafka-3.9.1")).expect("all are good")
}

pub(crate) fn vectors() -> Vec<Vector> {
    let file = File::open(root().join("tests/fixtures/vectors.tsv.gz")).expect("the fixture");
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).expect("gzipped UTF-8");
    text.lines().map(vector).collect()
}

fn vector(line: &str) -> Vector {
    let mut columns = line.splitn(4, '\t').map(str::to_owned);
    let mut next = || columns.next().expect("four columns");
    Vector { message: next(), version: next().parse().expect("a version"), bytes: from_hex(&next()), json: next() }
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).expect("ASCII"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("two digits")).collect()
}
