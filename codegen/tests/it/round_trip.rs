//! The interpreting codec with random values, and with bytes that were changed on the way.

use ottla_codegen::{
    Message,
    interpret::{decode, encode, from_json, json_text, to_json},
    random::{self, Rng},
};

use crate::fixtures;

/// Every message and version, each with several seeds.
fn for_every_version(seeds: u64, mut check: impl FnMut(&Message, i16, u64)) {
    for message in fixtures::schemas().iter() {
        for version in message.versions.iter() {
            (0..seeds).for_each(|seed| check(message, version, seed));
        }
    }
}

#[test]
fn random_values_come_back_from_their_bytes() {
    for_every_version(16, |message, version, seed| {
        let value = random::value(message, version, seed).expect("the version exists");
        let bytes = encode(message, version, &value).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let (decoded, consumed) =
            decode(message, version, &bytes).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!((decoded, consumed), (value, bytes.len()), "{} v{version} seed {seed}", message.name);
    });
}

/// But for unknown tagged fields, which JSON leaves out: `to_json` of both sides is compared, and then their bytes.
#[test]
fn random_values_come_back_from_their_json() {
    for_every_version(4, |message, version, seed| {
        let value = random::value(message, version, seed).expect("the version exists");
        let text = json_text(&to_json(message, version, &value).expect("has a JSON form"), seed % 2 == 0);
        let json = serde_json::from_str(&text).expect("JSON");
        let read = from_json(message, version, &json).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(to_json(message, version, &read).expect("has a JSON form"), json, "{} v{version}", message.name);
        let bytes = encode(message, version, &read).expect("encodes");
        assert_eq!(decode(message, version, &bytes).expect("decodes").0, read, "{} v{version}", message.name);
    });
}

#[test]
fn a_prefix_is_refused_with_an_offset_within_it() {
    for_every_version(1, |message, version, seed| {
        let value = random::value(message, version, seed).expect("the version exists");
        let bytes = encode(message, version, &value).expect("encodes");
        for len in 0..bytes.len().min(200) {
            let error = decode(message, version, &bytes[..len]).expect_err("bytes are missing");
            assert!(error.offset.is_some_and(|offset| offset <= len), "{error}");
        }
    });
}

#[test]
fn changed_bytes_decode_or_fail_and_never_panic() {
    let mut failures = 0;
    for_every_version(32, |message, version, seed| {
        let mut rng = Rng::new(seed);
        let value = random::value(message, version, seed).expect("the version exists");
        let mut bytes = encode(message, version, &value).expect("encodes");
        for _ in 0..=rng.below(3) {
            mutate(&mut bytes, &mut rng);
        }
        match decode(message, version, &bytes) {
            Ok((value, consumed)) => {
                assert!(consumed <= bytes.len());
                let written = encode(message, version, &value).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                assert_eq!(
                    encode(message, version, &decode(message, version, &written).expect("decodes").0),
                    Ok(written)
                );
            }
            Err(error) => {
                failures += 1;
                assert!(error.offset.is_some_and(|offset| offset <= bytes.len()), "{error}");
            }
        }
    });
    assert!(failures > 1000, "only {failures} of the changed messages were refused");
}

fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let at = rng.below(bytes.len() + 1);
    match rng.below(4) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, *[0, 1, 0x7f, 0x80, 0xff].get(rng.below(5)).expect("one of five")),
        2 => drop(bytes.drain(at..bytes.len().min(at + 4))),
        _ => {
            let noise = rng.bytes(4);
            bytes.iter_mut().skip(at).zip(noise).for_each(|(byte, noise)| *byte = noise);
        }
    }
}
