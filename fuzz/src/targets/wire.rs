//! Frames, headers and messages.

use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use ottla::{
    handlers::{api::SUPPORTED, unsupported},
    protocol::{
        frame::{FrameError, next_frame},
        message::Message,
        messages::{ApiKey, ApiVersionsRequest, RequestHeader, SaslAuthenticateRequest, SaslHandshakeRequest},
        schemas::schemas,
        wire::Reader,
    },
};
use ottla_codegen::interpret;

use super::input::Input;

/// The largest frame here; a limit that inputs can reach.
const FRAME_MAX: usize = 4096;

/// Frames that come out do not depend on how the bytes came in.
pub(super) fn frame(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let cuts = input.int64().unsigned_abs();
    let stream = input.rest();
    assert_eq!(
        frames(stream, |_| 1 + stream.len()),
        frames(stream, |n| 1 + usize::from(cuts.to_be_bytes()[n % 8] % 16))
    );
}

/// All frames of a stream that arrives in pieces, the `n`-th of which has so many bytes; and why there are no more.
fn frames(stream: &[u8], piece: impl Fn(usize) -> usize) -> (Vec<usize>, Option<FrameError>) {
    let (mut buffer, mut lengths, mut rest) = (BytesMut::new(), Vec::new(), stream);
    for n in 0.. {
        if rest.is_empty() {
            break;
        }
        let (arrived, later) = rest.split_at(piece(n).min(rest.len()));
        rest = later;
        buffer.extend_from_slice(arrived);
        loop {
            match next_frame(&mut buffer, FRAME_MAX) {
                Ok(Some(frame)) => lengths.push(frame.len()),
                Ok(None) => break,
                Err(error) => return (lengths, Some(error)),
            }
        }
    }
    (lengths, None)
}

/// A header in any version.
pub(super) fn request_header(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (version, lossy) = (i16::from(input.byte() % 4), input.flag());
    let bytes = input.rest_bytes();
    let mut r = Reader::new(&bytes);
    r.set_lossy(lossy);
    let _ = RequestHeader::decode(&mut r, version);
}

fn body<M: Message>(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let versions = M::HIGHEST_VERSION - M::LOWEST_VERSION + 1;
    let version = M::LOWEST_VERSION + i16::from(input.byte()) % versions;
    let _ = M::decode(&mut Reader::new(&input.rest_bytes()), version);
}

pub(super) fn api_versions(bytes: &[u8]) {
    body::<ApiVersionsRequest>(bytes);
}

pub(super) fn sasl_handshake(bytes: &[u8]) {
    body::<SaslHandshakeRequest>(bytes);
}

pub(super) fn sasl_authenticate(bytes: &[u8]) {
    body::<SaslAuthenticateRequest>(bytes);
}

/// Any message that there is code for.
struct Codec {
    name: &'static str,
    lowest: i16,
    highest: i16,
    /// Decodes, and holds what was read against what it is written as.
    check: fn(&Bytes, i16),
}

macro_rules! codecs {
    ($($message:ident)*) => {
        vec![$(Codec {
            name: ottla::protocol::messages::$message::NAME,
            lowest: ottla::protocol::messages::$message::LOWEST_VERSION,
            highest: ottla::protocol::messages::$message::HIGHEST_VERSION,
            check: check::<ottla::protocol::messages::$message>,
        }),*]
    };
}

static CODECS: LazyLock<Vec<Codec>> = LazyLock::new(|| ottla::for_each_message!(codecs));

/// What is read can be written, and is the same when it is read again.
fn check<M: Message>(bytes: &Bytes, version: i16) {
    let Ok(message) = M::decode(&mut Reader::new(bytes), version) else { return };
    let written =
        message.to_bytes(version).unwrap_or_else(|error| panic!("it was read, but cannot be written: {error}"));
    assert_eq!(message.encoded_len(version).ok(), Some(written.len()), "{} v{version}", M::NAME);
    let again = M::decode_all(&written, version).unwrap_or_else(|error| panic!("written, but not to be read: {error}"));
    // A number that is none is not equal to itself; its bytes are.
    assert_eq!(again.to_bytes(version).ok(), Some(written), "{} v{version}", M::NAME);
}

/// What a connection does with a frame, up to the handler: every API, every version.
pub(super) fn request(bytes: &[u8]) {
    let frame = Bytes::copy_from_slice(bytes);
    let mut r = Reader::new(&frame);
    let (Ok(key), Ok(version)) = (r.int16(), r.int16()) else { return };
    let Some(key) = ApiKey::from_code(key) else { return };
    let mut r = Reader::new(&frame);
    r.set_lossy(true);
    let Ok(header) = RequestHeader::decode(&mut r, key.request_header_version(version)) else { return };
    let body = frame.slice(r.position()..);
    let is_served = SUPPORTED.iter().any(|api| api.key == key && (api.lowest..=api.highest).contains(&version));
    if !is_served {
        let _ = unsupported::reply(header.correlation_id, key, version, &body);
        return;
    }
    let name = format!("{}Request", key.name());
    let codec = CODECS.iter().find(|codec| codec.name == name).expect("what is served can be read");
    assert!(codec.lowest <= version && version <= codec.highest);
    (codec.check)(&body, version);
}

/// Any message in any version: requests, responses, records.
pub(super) fn message(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let codec = &CODECS[input.below(CODECS.len())];
    let versions = codec.highest - codec.lowest + 1;
    let version = codec.lowest + i16::from(input.byte()) % versions;
    (codec.check)(&input.rest_bytes(), version);
}

/// `ottla decode`: any message of the schemas; what it shows can be encoded.
pub(super) fn interpreter(bytes: &[u8]) {
    static COUNT: LazyLock<usize> = LazyLock::new(|| schemas().iter().count());
    let mut input = Input::new(bytes);
    let message = schemas().iter().nth(input.below(*COUNT)).expect("below the count");
    let version = input.int16();
    let Ok((value, read)) = interpret::decode(message, version, input.rest()) else { return };
    assert!(read <= input.rest().len());
    let _ = interpret::to_json(message, version, &value);
    let encoded =
        interpret::encode(message, version, &value).unwrap_or_else(|error| panic!("{}: {error}", message.name));
    assert!(encoded.len() <= read, "{} v{version}: {read} bytes became {}", message.name, encoded.len());
}
