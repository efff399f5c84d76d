//! Frames, headers and versions.

use anyhow::Result;
use ottla::protocol::messages::{ApiVersionsRequest, MetadataRequest};

use super::{Row, row};
use crate::probe::{Probe, frame};

const NEGATIVE: &str = "a length of -1 is null; Kafka takes any below zero for that, so that damage passes";
const KEPT_OPEN: &str = "what is not served is answered with UNSUPPORTED_VERSION, and the connection stays open";

/// A header of version 1 with the client id that is given in bytes, and a body.
fn request(key: i16, version: i16, client_id: &[u8], body: &[u8]) -> Result<Vec<u8>> {
    frame(&[&key.to_be_bytes(), &version.to_be_bytes(), &[0, 0, 0, 7][..], client_id, body].concat())
}

/// Sends bytes, then asks something harmless on the same connection if that is still open, else on another.
fn send(p: &mut Probe, bytes: &[u8]) -> Result<()> {
    p.send_raw(bytes)?;
    still_there(p)
}

fn still_there(p: &mut Probe) -> Result<()> {
    p.ask(4, &MetadataRequest { topics: Some(Vec::new()), ..Default::default() })?;
    Ok(())
}

fn send_request(p: &mut Probe, key: i16, version: i16, body: &[u8]) -> Result<()> {
    send(p, &request(key, version, b"\0\x01c", body)?)
}

/// Metadata v4 for no topics, with a client id that is given in bytes.
fn with_client_id(p: &mut Probe, client_id: &[u8]) -> Result<()> {
    send(p, &request(3, 4, client_id, &[0, 0, 0, 0, 0])?)
}

pub(crate) fn rows() -> Vec<Row> {
    [frames(), headers(), versions(), bodies()].into_iter().flatten().collect()
}

fn frames() -> Vec<Row> {
    vec![
        row("frame: 0 bytes", |p| send(p, &[0, 0, 0, 0])),
        row("frame: negative size", |p| send(p, &[0xff; 4])),
        row("frame: least size", |p| send(p, &i32::MIN.to_be_bytes())),
        row("frame: over the limit", |p| send(p, &104_857_601_i32.to_be_bytes())),
        row("frame: HTTP", |p| send(p, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")),
        row("frame: TLS", |p| send(p, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")),
        row("frame: content that does not come", |p| send(p, &[0, 0, 1, 0, 0, 3])),
        row("frame: one byte", |p| send(p, &frame(&[0])?)),
        row("frame: header cut short", |p| send(p, &frame(&[0, 3, 0, 4, 0, 0])?)),
        row("frame: two requests at once", |p| {
            let one = request(3, 4, b"\0\x01c", &[0, 0, 0, 0, 0])?;
            send(p, &one)?;
            p.ask(4, &MetadataRequest { topics: Some(Vec::new()), ..Default::default() })?;
            Ok(())
        }),
    ]
}

fn headers() -> Vec<Row> {
    vec![
        row("header: null client id", |p| with_client_id(p, &[0xff, 0xff])),
        row("header: empty client id", |p| with_client_id(p, &[0, 0])),
        row("header: client id that is not UTF-8", |p| with_client_id(p, &[0, 2, 0xff, 0xfe])),
        row("header: client id of length -2", |p| with_client_id(p, &[0xff, 0xfe])).differs(NEGATIVE),
        row("header: client id beyond the frame", |p| with_client_id(p, &[0x7f, 0xff])),
        row("header: tagged fields", |p| {
            // Metadata v9, the client id, one tag of two bytes, then the body.
            send(p, &request(3, 9, b"\0\x01c\x01\x05\x02ab", &[1, 0, 0, 0, 0])?)
        }),
    ]
}

fn versions() -> Vec<Row> {
    vec![
        row("version: unknown key", |p| send_request(p, 1000, 0, &[])),
        row("version: key -1", |p| send_request(p, -1, 0, &[])),
        row("version: Metadata 99", |p| send_request(p, 3, 99, &[0])).differs(KEPT_OPEN),
        row("version: Metadata -1", |p| send_request(p, 3, -1, &[])).differs(KEPT_OPEN),
        row("version: Fetch 3", |p| send_request(p, 1, 3, &[])).differs(KEPT_OPEN),
        row("version: Produce 2", |p| send_request(p, 0, 2, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0])).differs(KEPT_OPEN),
        row("version: ListOffsets 0", |p| send_request(p, 2, 0, &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]))
            .differs(KEPT_OPEN),
        row("version: LeaderAndIsr", |p| send_request(p, 4, 0, &[])).differs(KEPT_OPEN),
        row("version: ApiVersions 99", |p| {
            let frame = request(18, 99, b"\0\x01c", &[])?;
            p.send_raw_answered::<ApiVersionsRequest>(&frame, 0)?;
            still_there(p)
        }),
    ]
}

fn bodies() -> Vec<Row> {
    vec![
        row("body: missing", |p| send_request(p, 3, 4, &[])),
        row("body: array longer than the frame", |p| send_request(p, 3, 4, &[0x7f, 0xff, 0xff, 0xff, 0])),
        row("body: array of length -2", |p| send_request(p, 3, 4, &[0xff, 0xff, 0xff, 0xfe, 0])).differs(NEGATIVE),
        row("body: string of length -1 that may not be null", |p| send_request(p, 3, 4, &[0, 0, 0, 1, 0xff, 0xff, 0])),
        row("body: varint of six bytes", |p| {
            send(p, &request(3, 9, b"\0\x01c\0", &[0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0, 0, 0, 0])?)
        }),
        row("body: name that is not UTF-8", |p| send_request(p, 3, 4, &[0, 0, 0, 1, 0, 2, 0xff, 0xfe, 0]))
            .differs("Kafka puts other characters in their place, which makes one name of two"),
        row("body: bytes behind it", |p| send_request(p, 3, 4, &[0, 0, 0, 0, 0, 1, 2, 3])),
        row("body: unknown tag", |p| send(p, &request(3, 9, b"\0\x01c\0", &[1, 0, 0, 0, 1, 9, 2, b'a', b'b'])?)),
        row("body: tag beyond the frame", |p| {
            send(p, &request(3, 9, b"\0\x01c\0", &[1, 0, 0, 0, 1, 9, 0x7e, b'a', b'b'])?)
        }),
    ]
}
