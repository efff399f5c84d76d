//! One random message for every message and version, encoded by Apache Kafka's own classes.

use std::io::Read;

use bytes::Bytes;

use crate::hex::unhex;

pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) version: i16,
    pub(crate) bytes: Bytes,
}

pub(crate) fn vectors() -> Vec<Vector> {
    let packed = std::fs::File::open("tests/fixtures/vectors.tsv.gz").expect("the fixture");
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).expect("gzip");
    text.lines().map(vector).collect()
}

fn vector(line: &str) -> Vector {
    let mut columns = line.split('\t');
    let mut column = || columns.next().expect("four columns");
    Vector { name: column().to_owned(), version: column().parse().expect("a version"), bytes: unhex(column()) }
}
