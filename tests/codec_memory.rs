//! Hostile bytes: whatever arrives, decoding never panics and never takes more memory than the bytes that arrived
//! account for.
//!
//! What a message may take is `multiple × input + 64 KiB`. The multiple of what can arrive before authentication is 4.
//! That of any other message comes from its arrays, since strings, bytes and records are slices of the input: an array
//! reserves its announced elements at once, of which the rest of the input must be able to hold as many at their least
//! size. So an array adds the size of its element in memory to the least size of one on the wire, and arrays within
//! arrays add up.
//!
//! What was a vulnerability of Apache Kafka has a test with its number:
//!
//! | CVE         | what it was                                             | where                       |
//! |-------------|---------------------------------------------------------|-----------------------------|
//! | 2022-34917  | memory for an announced length, before authentication   | here                        |
//! | 2026-111108 | memory for an announced count of large elements         | here                        |
//! | 2026-111115 | an object for each unknown tagged field                 | here                        |
//! | 2026-111073 | a small payload that decompresses without end           | here                        |
//! | 2026-83525  | an empty array that ends the controller                 | `tests/it/empty_arrays.rs`  |

#![expect(unsafe_code, reason = "an allocator that counts cannot be written without")]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use bytes::Bytes;
use ottla::{
    log::validate::{InvalidBatch, Rules, TargetCompression, TimestampType, ValidateError, validate},
    protocol::{
        message::Message as _,
        records::{
            Records,
            batch::{BatchHeader, RecordBatch},
            compression::{Compression, compress},
            varint::write_varint,
        },
        wire::{DecodeReason, Reader, StrBytes, UnknownTaggedFields},
    },
};
use ottla_codegen::{
    Message, Release, Schemas, Versions,
    layout::least_size,
    model::{Field, Type},
    random::Rng,
};

#[path = "fuzz/allocator.rs"]
mod allocator;
#[path = "codec/hex.rs"]
mod hex;
#[path = "codec/vectors.rs"]
mod vectors;

use allocator::peak_of;
use vectors::{Vector, vectors};

/// A generated message, its type left aside.
struct Codec {
    name: &'static str,
    versions: Versions,
    /// Decodes all of the bytes, and says whether they were a message.
    decode: fn(&Bytes, i16) -> bool,
    /// Decodes within so many bytes of heap, and says whether that failed for want of more.
    decode_within: fn(&Bytes, i16, usize) -> bool,
}

macro_rules! codecs {
    ($($message:ident)*) => {
        vec![$(Codec {
            name: ottla::protocol::messages::$message::NAME,
            versions: Versions::new(
                ottla::protocol::messages::$message::LOWEST_VERSION,
                ottla::protocol::messages::$message::HIGHEST_VERSION,
            ),
            decode: |bytes, version| ottla::protocol::messages::$message::decode_all(bytes, version).is_ok(),
            decode_within: |bytes, version, most| {
                let mut r = Reader::new(bytes);
                r.limit_heap(most);
                let decoded = ottla::protocol::messages::$message::decode(&mut r, version);
                decoded.is_err_and(|error| matches!(error.reason(), DecodeReason::Memory { .. }))
            },
        }),*]
    };
}

/// What any decoding may take, however few bytes there are: errors, bookkeeping of shared bytes.
const ALLOWANCE: usize = 64 * 1024;

/// What arrives before authentication.
const UNAUTHENTICATED: [&str; 4] =
    ["RequestHeader", "ApiVersionsRequest", "SaslHandshakeRequest", "SaslAuthenticateRequest"];

/// A message to be attacked: its codec, its schema and what it may take.
struct Target {
    codec: Codec,
    message: Message,
    /// Bytes of heap per byte of input.
    multiple: usize,
}

fn targets() -> Vec<Target> {
    let release = |name| Release::read(&Path::new("schemas").join(name)).expect("the vendored schemas");
    let schemas = Schemas::load(&release("kafka-4.4.0"), &release("kafka-3.9.1")).expect("all are good");
    let codecs: Vec<Codec> = ottla::for_each_message!(codecs);
    let target = |codec: Codec| {
        let message = schemas.get(codec.name).expect("it was generated from there").restricted(codec.versions);
        let multiple = if UNAUTHENTICATED.contains(&codec.name) { 4 } else { multiple(&message) };
        Target { codec, message, multiple }
    };
    codecs.into_iter().map(target).collect()
}

impl Target {
    fn versions(&self) -> impl Iterator<Item = i16> {
        self.codec.versions.iter()
    }

    /// Decodes; a panic or too much memory fails the test. `hint` says how to make the bytes again.
    fn check(&self, bytes: Vec<u8>, version: i16, hint: &str) -> Outcome {
        let bytes = Bytes::from(bytes);
        let mut decoded = None;
        let peak = peak_of(|| {
            decoded = catch_unwind(AssertUnwindSafe(|| (self.codec.decode)(&bytes, version))).ok();
        });
        let what = format!("{} v{version}, {hint}, {} bytes", self.codec.name, bytes.len());
        let is_message = decoded.unwrap_or_else(|| panic!("{what}: a panic"));
        let most = self.multiple * bytes.len() + ALLOWANCE;
        assert!(peak <= most, "{what}: {peak} bytes of heap, more than {most}");
        Outcome { is_message, peak }
    }
}

struct Outcome {
    is_message: bool,
    peak: usize,
}

/// Bytes of heap that a byte of input can become.
fn multiple(message: &Message) -> usize {
    let cost = arrays_cost(message, 0);
    1 + cost.elements + cost.boxes
}

/// What arrays within arrays cost, each in bytes of heap per byte of input.
#[derive(Clone, Copy, Default)]
struct Cost {
    /// The elements' own memory. All arrays on a way down are reserved at the same time.
    elements: usize,
    /// The boxes for their unknown tagged fields, in the worst of the arrays. They are there only with what they hold.
    boxes: usize,
}

/// The size of the box; the fields in it take two bytes at least.
const BOX_SIZE: usize = 40;

/// What the worst way down from a struct costs.
fn arrays_cost(message: &Message, index: usize) -> Cost {
    let costs = message.structs[index].fields.iter().map(|field| field_cost(message, field));
    costs.max_by_key(|cost| cost.elements + cost.boxes).unwrap_or_default()
}

fn field_cost(message: &Message, field: &Field) -> Cost {
    let inner = struct_of(&field.ty).map(|inner| arrays_cost(message, inner)).unwrap_or_default();
    let Some(element) = element_of(&field.ty) else { return inner };
    let least = least_size(message, field, element, message.versions.intersect(field.versions));
    let boxes = boxes(message, element);
    Cost {
        elements: inner.elements + memory_size(message, element).div_ceil(least),
        boxes: inner.boxes.max((boxes * BOX_SIZE).div_ceil(least + boxes * 2)),
    }
}

/// How many structs with unknown tagged fields a value can be, arrays in it left aside.
fn boxes(message: &Message, ty: &Type) -> usize {
    match ty {
        Type::Struct(_) if message.flexible.intersect(message.versions).is_empty() => 0,
        Type::Struct(index) => {
            1 + message.structs[*index].fields.iter().map(|field| boxes(message, &field.ty)).sum::<usize>()
        }
        _ => 0,
    }
}

/// At most what a value takes in the struct or vector that holds it.
fn memory_size(message: &Message, ty: &Type) -> usize {
    match ty {
        Type::Bool | Type::Int8 => 1,
        Type::Int16 | Type::Uint16 => 2,
        Type::Int32 | Type::Uint32 => 4,
        Type::Int64 | Type::Float64 => 8,
        Type::Uuid => 16,
        Type::String => size_of::<StrBytes>(),
        Type::Bytes => size_of::<Bytes>(),
        Type::Records => size_of::<Records>(),
        Type::Array(_) => size_of::<Vec<u8>>(),
        Type::Struct(index) => {
            let fields = message.structs[*index].fields.iter();
            let content: usize = fields.map(|field| memory_size(message, &field.ty)).sum();
            (content + size_of::<UnknownTaggedFields>()).next_multiple_of(8)
        }
    }
}

fn element_of(ty: &Type) -> Option<&Type> {
    match ty {
        Type::Array(element) => Some(element),
        _ => None,
    }
}

/// The struct that a field or its elements are.
fn struct_of(ty: &Type) -> Option<usize> {
    match element_of(ty).unwrap_or(ty) {
        Type::Struct(index) => Some(*index),
        _ => None,
    }
}

/// The size of a bomb: much more than the allowance, once multiplied.
const BOMB_LEN: usize = 64 * 1024;

/// A message with one thing in excess.
///
/// All fields are as short as can be, and all arrays empty but those on the way to the one at the end of `path`. Each
/// of these announces as many elements as the input can hold; at the end of the path they are really there.
struct Bomb<'a> {
    message: &'a Message,
    version: i16,
    /// The indexes of the fields that lead to the array.
    path: &'a [usize],
    excess: Excess,
}

/// What there is too much of at the end of the path.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Excess {
    /// Elements.
    Elements,
    /// Elements, each with an unknown tagged field.
    TaggedElements,
    /// Announced elements: as many as the input has bytes.
    Announced,
}

impl Bomb<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.structure(0, Some(self.path), &mut bytes);
        bytes
    }

    fn is_flexible(&self) -> bool {
        self.message.flexible.contains(self.version)
    }

    fn structure(&self, index: usize, path: Option<&[usize]>, out: &mut Vec<u8>) {
        let fields = self.message.structs[index].fields.iter().enumerate();
        let mut on_path_and_tagged = None;
        for (at, field) in fields.filter(|(_, field)| field.versions.contains(self.version)) {
            let rest = path.and_then(|path| path.split_first()).and_then(|(next, rest)| (*next == at).then_some(rest));
            if !field.tagged_versions().contains(self.version) {
                self.value(field, rest, out);
            } else if let Some(rest) = rest {
                on_path_and_tagged = field.tag.map(|tag| (tag.number, field, rest));
            }
        }
        match on_path_and_tagged {
            _ if !self.is_flexible() => {}
            Some((tag, field, rest)) => {
                let mut content = Vec::new();
                self.value(field, Some(rest), &mut content);
                varint(1, out);
                varint(tag as usize, out);
                varint(content.len(), out);
                out.extend(content);
            }
            None if self.excess == Excess::TaggedElements && path.is_none() => out.extend([1, 100, 0]),
            None => out.push(0),
        }
    }

    fn value(&self, field: &Field, path: Option<&[usize]>, out: &mut Vec<u8>) {
        let compact = field.flexible.contains(self.version);
        match &field.ty {
            Type::Array(element) => match path {
                Some(rest) => self.array(field, element, rest, out),
                None => length(0, compact, out),
            },
            Type::Struct(_) if field.nullable.contains(self.version) && path.is_none() => out.push(0xff),
            Type::Struct(index) => {
                if field.nullable.contains(self.version) {
                    out.push(1);
                }
                self.structure(*index, path, out);
            }
            ty => self.primitive(ty, compact, out),
        }
    }

    fn array(&self, field: &Field, element: &Type, path: &[usize], out: &mut Vec<u8>) {
        let compact = field.flexible.contains(self.version);
        let least = least_size(self.message, field, element, self.message.versions.intersect(field.versions));
        if !path.is_empty() {
            // What stands before and behind takes some of the input too.
            length((BOMB_LEN - 2048) / least, compact, out);
            self.element(element, compact, Some(path), out);
            return;
        }
        let mut one = Vec::new();
        self.element(element, compact, None, &mut one);
        let count = BOMB_LEN / one.len();
        length(if self.excess == Excess::Announced { BOMB_LEN - 2048 } else { count }, compact, out);
        out.extend(one.repeat(count));
    }

    fn element(&self, element: &Type, compact: bool, path: Option<&[usize]>, out: &mut Vec<u8>) {
        match element {
            Type::Struct(index) => self.structure(*index, path, out),
            ty => self.primitive(ty, compact, out),
        }
    }

    fn primitive(&self, ty: &Type, compact: bool, out: &mut Vec<u8>) {
        match ty {
            Type::String if compact => out.push(1),
            Type::String => out.extend([0, 0]),
            Type::Bytes | Type::Records => length(0, compact, out),
            number => out.resize(out.len() + memory_size(self.message, number), 0),
        }
    }
}

fn length(length: usize, compact: bool, out: &mut Vec<u8>) {
    if compact {
        varint(length + 1, out);
    } else {
        out.extend(i32::try_from(length).expect("below 64 KiB").to_be_bytes());
    }
}

fn varint(mut value: usize, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// The ways to every array of a struct in a version.
fn array_paths(message: &Message, version: i16, index: usize) -> Vec<Vec<usize>> {
    let fields = message.structs[index].fields.iter().enumerate();
    let mut paths = Vec::new();
    for (at, field) in fields.filter(|(_, field)| field.versions.contains(version)) {
        if element_of(&field.ty).is_some() {
            paths.push(vec![at]);
        }
        for inner in struct_of(&field.ty).map(|inner| array_paths(message, version, inner)).unwrap_or_default() {
            paths.push([vec![at], inner].concat());
        }
    }
    paths
}

/// No message's multiple is above this. The worst, `StreamsGroupDescribeResponse`, has arrays four deep, with an empty
/// string of one byte at the bottom; of what a client can send, `StreamsGroupTopologyDescriptionUpdateRequest` has 85.
const MULTIPLE_MAX: usize = 100;

#[test]
fn array_bombs_take_no_more_than_the_multiple_and_not_much_less() {
    for target in targets() {
        let name = target.codec.name;
        assert!(target.multiple <= MULTIPLE_MAX, "{name} has a multiple of {}", target.multiple);
        if let Some(worst) = target.versions().filter_map(|version| worst_array_bomb(&target, version)).max() {
            // Else the bombs, or the reckoning of the multiple, have missed something.
            assert!(worst / BOMB_LEN + 1 >= target.multiple / 2, "{name}: {worst} bytes from the worst bomb");
        }
    }
}

/// The most heap that an array bomb of this version takes; none where there are no arrays.
fn worst_array_bomb(target: &Target, version: i16) -> Option<usize> {
    let mut worst = None;
    for path in array_paths(&target.message, version, 0) {
        for excess in [Excess::Elements, Excess::TaggedElements, Excess::Announced] {
            let bomb = Bomb { message: &target.message, version, path: &path, excess };
            let hint = format!("array bomb at {path:?}, {excess:?}");
            worst = worst.max(Some(target.check(bomb.bytes(), version, &hint).peak));
        }
    }
    worst
}

/// What a reader counts is what is taken: where it may take little, a bomb takes little.
#[test]
fn no_array_bomb_takes_more_than_the_reader_may() {
    const MOST: usize = 20_000;
    /// The error, and the place in it.
    const ERROR: usize = 1000;
    let mut refused = 0;
    for target in targets() {
        for version in target.versions() {
            for path in array_paths(&target.message, version, 0) {
                for excess in [Excess::Elements, Excess::TaggedElements] {
                    let bytes = Bytes::from(Bomb { message: &target.message, version, path: &path, excess }.bytes());
                    let peak = peak_of(|| refused += usize::from((target.codec.decode_within)(&bytes, version, MOST)));
                    let name = target.codec.name;
                    assert!(peak <= MOST + ERROR, "{name} v{version}, bomb at {path:?}, {excess:?}: {peak} bytes");
                }
            }
        }
    }
    assert!(refused > 0);
}

#[test]
fn damaged_messages_and_noise_neither_panic_nor_take_more_than_the_multiple() {
    const SEEDS_PER_VECTOR: u64 = 100;
    let targets = targets();
    for Vector { name, version, bytes } in vectors() {
        let Some(target) = targets.iter().find(|t| t.codec.name == name && t.codec.versions.contains(version)) else {
            continue;
        };
        for seed in 0..SEEDS_PER_VECTOR {
            let mut rng = Rng::new(seed);
            target.check(damaged(&bytes, &mut rng), version, &format!("damaged by seed {seed}"));
            let length = rng.below(512);
            target.check(rng.bytes(length), version, &format!("noise of seed {seed}"));
        }
    }
}

/// The bytes with a few of them changed, cut out, doubled or cut off.
fn damaged(bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=rng.below(4) {
        let at = rng.below(bytes.len() + 1);
        let length = rng.below(8).min(bytes.len() - at);
        match rng.below(6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..at + length)),
            2 => bytes.extend_from_within(at..at + length),
            3 => bytes[at..at + length].fill(0xff),
            4 => bytes[at..at + length].fill(0),
            _ => bytes[at..at + length].copy_from_slice(&rng.bytes(length)),
        }
    }
    bytes
}

fn target(name: &str) -> Target {
    targets().into_iter().find(|target| target.codec.name == name).expect("is in use")
}

/// CVE-2022-34917: a small message that announces a huge array makes the broker allocate for it.
#[test]
fn cve_2022_34917_a_huge_count_in_a_small_message_takes_nothing() {
    let target = target("MetadataRequest");
    for (version, bytes) in [(1, b"\x7f\xff\xff\xff".to_vec()), (9, b"\xff\xff\xff\xff\x0f\0\0\0\0".to_vec())] {
        let outcome = target.check(bytes, version, "huge count");
        assert!(!outcome.is_message);
        assert!(outcome.peak < 512, "{} bytes for an error", outcome.peak);
    }
}

/// CVE-2022-34917, within SASL: a length that the message does not have.
#[test]
fn cve_2022_34917_a_huge_length_in_a_small_message_takes_nothing() {
    let outcome = target("SaslAuthenticateRequest").check(b"\x7f\xff\xff\xff".to_vec(), 0, "huge length");
    assert!(!outcome.is_message);
    assert!(outcome.peak < 512, "{} bytes for an error", outcome.peak);
}

/// CVE-2026-111108: a count that passes as a number of bytes, of elements that take many bytes each.
#[test]
fn cve_2026_111108_a_count_is_held_against_the_least_size_of_its_elements() {
    let target = target("OffsetForLeaderEpochRequest");
    let mut bytes = b"\xff\xff\xff\xff".to_vec();
    bytes.extend(20_000_i32.to_be_bytes());
    bytes.resize(30_000, 0);
    let outcome = target.check(bytes, 3, "20,000 topics of 6 bytes at least, in 30,000 bytes");
    assert!(!outcome.is_message);
    assert!(outcome.peak < 512, "{} bytes for an error", outcome.peak);
}

/// CVE-2026-111115: a million tagged fields of two bytes each, which must not become a million objects.
#[test]
fn cve_2026_111115_a_bomb_of_unknown_tagged_fields_stays_one_slice() {
    const COUNT: usize = 1_000_000;
    let heads: [(&str, i16, &[u8]); 3] = [
        ("RequestHeader", 2, b"\0\x12\0\x04\0\0\0\x07\xff\xff"),
        ("ApiVersionsRequest", 3, b"\x01\x01"),
        ("SaslAuthenticateRequest", 2, b"\x01"),
    ];
    for (name, version, head) in heads {
        let mut bytes = head.to_vec();
        varint(COUNT, &mut bytes);
        for tag in 0..COUNT {
            varint(tag, &mut bytes);
            bytes.push(0);
        }
        let outcome = target(name).check(bytes, version, "tag bomb");
        assert!(outcome.is_message, "{name}: the fields are well-formed");
        assert!(outcome.peak < 512, "{name}: {} bytes for one slice", outcome.peak);
    }
}

#[test]
fn cve_2026_111115_a_count_of_tagged_fields_that_are_not_there_is_an_error() {
    let outcome = target("ApiVersionsRequest").check(b"\x01\x01\xff\xff\xff\xff\x0f".to_vec(), 3, "4 billion tags");
    assert!(!outcome.is_message);
}

/// CVE-2026-111073: a payload that is small on the wire and huge in memory.
#[test]
fn cve_2026_111073_a_decompression_bomb_ends_at_the_limit() {
    const LIMIT: usize = 1 << 20;
    /// Of the codecs themselves; zstd has memory that is not counted here.
    const CODEC: usize = 1 << 20;
    // Records of a byte that say they are of none, one that says it is of nearly 2 GiB, and one of what it says.
    let mut announced = Vec::new();
    write_varint(&mut announced, i32::MAX);
    let zeros = |head: &[u8]| [head, &vec![0; 64 * LIMIT - head.len()]].concat();
    let mut honest = Vec::new();
    write_varint(&mut honest, i32::try_from(63 * LIMIT).expect("63 MiB"));
    for head in [&[][..], &announced, &honest] {
        let content = Bytes::from(zeros(head));
        for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
            let bomb = batch_of(codec, &compress(codec, None, &content).expect("memory for it"));
            for compression in [TargetCompression::Producer, TargetCompression::Codec { codec, level: None }] {
                let rules = Rules { compression, ..rules(LIMIT) };
                let mut refused = false;
                let peak = peak_of(|| {
                    let outcome = validate(Some(&bomb), 13, &rules, 0).map(drop);
                    refused = matches!(outcome, Err(ValidateError::InvalidBatch(_)));
                    if head == honest {
                        let limit = InvalidBatch::DecompressedSize { limit: LIMIT };
                        assert!(matches!(outcome, Err(ValidateError::InvalidBatch(why)) if why == limit));
                    }
                });
                assert!(refused, "{codec:?}: a bomb is let in");
                assert!(peak <= 2 * LIMIT + CODEC, "{codec:?} {compression:?}: {peak} bytes of heap");
            }
        }
    }
}

/// A batch of three records, as it says, with this payload.
fn batch_of(codec: Compression, payload: &[u8]) -> Bytes {
    let mut header = BatchHeader {
        base_offset: 0,
        length: 0,
        partition_leader_epoch: -1,
        crc: 0,
        attributes: 0,
        last_offset_delta: 2,
        base_timestamp: 0,
        max_timestamp: 0,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        record_count: 3,
    };
    header.set_compression_id(codec.id());
    RecordBatch::assemble(header, payload).expect("it has a length").bytes().clone()
}

/// What a topic asks that takes anything but what becomes more than `max_decompressed_bytes`.
fn rules(max_decompressed_bytes: usize) -> Rules {
    Rules {
        max_records: usize::MAX,
        max_message_bytes: usize::MAX,
        max_decompressed_bytes,
        segment_bytes: usize::MAX,
        compacted: false,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        compression: TargetCompression::Producer,
    }
}
