//! What `decode` and `encode` share: which message is meant, its header, hex, and lines of batches.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

use clap::Args;
use ottla_codegen::{
    Message, Versions,
    interpret::{self, InterpretError, json_text},
    spec::MessageKind,
};
use serde_json::{Value as Json, json};

use super::nearest::nearest;
use crate::protocol::schemas::schemas;

/// Which message the bytes are.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Target {
    /// The message's name in Kafka's schemas, such as ProduceRequest.
    #[arg(long, short, value_name = "NAME")]
    pub(super) message: Option<String>,
    /// The message's version.
    #[arg(long, short, value_name = "N")]
    pub(super) version: Option<i16>,
    /// The request or response header comes first. A request's header says which message follows.
    #[arg(long)]
    pub(super) header: bool,
}

/// Why bytes or JSON could not be turned into the other.
#[derive(Debug, thiserror::Error)]
pub(super) enum CodecError {
    #[error(transparent)]
    Interpret(#[from] InterpretError),
    #[error("{message} v{version}: {left} bytes too many: the message ends before byte {end}")]
    TrailingBytes { message: String, version: i16, end: usize, left: usize },
    #[error("no message is called {name}{}", suggestion(.near))]
    UnknownMessage { name: String, near: Vec<&'static str> },
    #[error("--message is needed (and --version), or --header where a request's header comes first")]
    NoMessage,
    #[error("--version is needed: {message} has {versions}")]
    NoVersion { message: String, versions: Versions },
    #[error("{0} has no header before it, only requests and responses have")]
    NoHeader(String),
    #[error("{0}; the input seems to begin with the frame's size, which has to be left out")]
    FrameSize(Box<Self>),
    #[error("the header's API key is {0}, which no request has")]
    UnknownApiKey(i16),
    #[error("the header says {found}, not {given}")]
    OtherMessage { found: String, given: String },
    #[error("JSON with a header has to be {{\"header\": {{…}}, \"body\": {{…}}}}: {0} is missing")]
    NoPart(&'static str),
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{found:?} at character {at} is not a hex digit")]
    NotHex { found: char, at: usize },
    #[error("an odd number of hex digits: {0}")]
    OddHex(usize),
    #[error("a line of a batch has three columns with tabs between them: name, version, content")]
    Columns,
    #[error("{0:?} is not a version")]
    NotAVersion(String),
}

fn suggestion(near: &[&str]) -> String {
    if near.is_empty() { String::new() } else { format!("; near are {}", near.join(", ")) }
}

/// A message in one version.
#[derive(Clone, Copy)]
struct Versioned {
    message: &'static Message,
    version: i16,
}

impl Target {
    /// Bytes to JSON. Every byte has to be used.
    pub(super) fn decode(&self, bytes: &[u8]) -> Result<Json, CodecError> {
        if !self.header {
            return self.named()?.decode_at(0, bytes);
        }
        self.decode_with_header(bytes).map_err(|error| match bytes.split_first_chunk() {
            Some((size, frame)) if usize::try_from(u32::from_be_bytes(*size)) == Ok(frame.len()) => {
                CodecError::FrameSize(Box::new(error))
            }
            _ => error,
        })
    }

    fn decode_with_header(&self, bytes: &[u8]) -> Result<Json, CodecError> {
        let body = self.in_front_of(|| Versioned::of_request_header(bytes))?;
        let (header, body_start) = body.header()?.decode_start(0, bytes)?;
        Ok(json!({ "header": header, "body": body.decode_at(body_start, bytes)? }))
    }

    /// JSON to bytes.
    pub(super) fn encode(&self, json: &Json) -> Result<Vec<u8>, CodecError> {
        if !self.header {
            return self.named()?.encode(json);
        }
        let header = json.get("header").ok_or(CodecError::NoPart("header"))?;
        let body_json = json.get("body").ok_or(CodecError::NoPart("body"))?;
        let body = self.in_front_of(|| Versioned::of_request_header_json(header))?;
        let mut bytes = body.header()?.encode(header)?;
        bytes.extend(body.encode(body_json)?);
        Ok(bytes)
    }

    /// The message that the arguments name.
    fn named(&self) -> Result<Versioned, CodecError> {
        let message = self.message.as_deref().map(find).transpose()?.ok_or(CodecError::NoMessage)?;
        let version = self
            .version
            .ok_or_else(|| CodecError::NoVersion { message: message.name.clone(), versions: message.versions })?;
        Ok(Versioned { message, version })
    }

    /// The message behind a header: as named where that is not a request, else as the request's header says.
    fn in_front_of(
        &self,
        from_header: impl FnOnce() -> Result<Versioned, CodecError>,
    ) -> Result<Versioned, CodecError> {
        let given = self.message.as_deref().map(find).transpose()?;
        if given.is_some_and(|message| message.kind != MessageKind::Request) {
            return self.named();
        }
        let found = from_header()?;
        let other_message = given.is_some_and(|message| message.name != found.message.name);
        let other_version = self.version.is_some_and(|version| version != found.version);
        if !other_message && !other_version {
            return Ok(found);
        }
        let given =
            Versioned { message: given.unwrap_or(found.message), version: self.version.unwrap_or(found.version) };
        Err(CodecError::OtherMessage { found: found.text(), given: given.text() })
    }
}

impl Versioned {
    /// The request that a header's bytes announce. Later versions of the header only append to the first.
    fn of_request_header(bytes: &[u8]) -> Result<Self, CodecError> {
        let message = find("RequestHeader")?;
        let version = message.versions.ends().map_or(0, |(lowest, _)| lowest);
        let (header, _) = Self { message, version }.decode_start(0, bytes)?;
        Self::of_request_header_json(&header)
    }

    fn of_request_header_json(header: &Json) -> Result<Self, CodecError> {
        let number = |name| header.get(name).and_then(Json::as_i64).and_then(|number| i16::try_from(number).ok());
        let key = number("requestApiKey").ok_or(CodecError::NoPart("header.requestApiKey"))?;
        let version = number("requestApiVersion").ok_or(CodecError::NoPart("header.requestApiVersion"))?;
        let message = schemas().api(key, MessageKind::Request).ok_or(CodecError::UnknownApiKey(key))?;
        Ok(Self { message, version })
    }

    /// The header in front of this request or response.
    fn header(self) -> Result<Self, CodecError> {
        let flexible = self.message.flexible.contains(self.version);
        let (name, version) = match self.message.kind {
            MessageKind::Request => ("RequestHeader", if flexible { 2 } else { 1 }),
            // A client that asks for versions does not know yet whether the broker has flexible ones.
            MessageKind::Response if self.message.name == "ApiVersionsResponse" => ("ResponseHeader", 0),
            MessageKind::Response => ("ResponseHeader", i16::from(flexible)),
            _ => return Err(CodecError::NoHeader(self.message.name.clone())),
        };
        Ok(Self { message: find(name)?, version })
    }

    /// The message from byte `start` to the end.
    fn decode_at(self, start: usize, bytes: &[u8]) -> Result<Json, CodecError> {
        let (json, end) = self.decode_start(start, bytes)?;
        let left = bytes.len() - end;
        if left == 0 {
            return Ok(json);
        }
        Err(CodecError::TrailingBytes { message: self.message.name.clone(), version: self.version, end, left })
    }

    /// The message from byte `start` on, and where it ends. Errors count bytes from the start of the input.
    fn decode_start(self, start: usize, bytes: &[u8]) -> Result<(Json, usize), CodecError> {
        let at_start = |error: InterpretError| InterpretError { offset: error.offset.map(|at| at + start), ..error };
        let bytes = bytes.get(start..).unwrap_or_default();
        let (value, consumed) = interpret::decode(self.message, self.version, bytes).map_err(at_start)?;
        Ok((interpret::to_json(self.message, self.version, &value)?, start + consumed))
    }

    fn encode(self, json: &Json) -> Result<Vec<u8>, CodecError> {
        let value = interpret::from_json(self.message, self.version, json)?;
        Ok(interpret::encode(self.message, self.version, &value)?)
    }

    fn text(self) -> String {
        format!("{} v{}", self.message.name, self.version)
    }
}

fn find(name: &str) -> Result<&'static Message, CodecError> {
    schemas().get(name).ok_or_else(|| CodecError::UnknownMessage {
        name: name.to_owned(),
        near: nearest(name, schemas().iter().map(|message| message.name.as_str())),
    })
}

/// Converts each line's content and writes one line for it, an error as JSON too. Says whether all went well.
pub(super) fn batch(
    input: impl Read,
    output: impl Write,
    header: bool,
    convert: impl Fn(&Target, &str) -> Result<String, CodecError>,
) -> io::Result<bool> {
    let mut output = BufWriter::new(output);
    let mut all_well = true;
    for line in BufReader::new(input).split(b'\n') {
        let line = line?;
        let converted =
            columns(&String::from_utf8_lossy(&line), header).and_then(|(target, content)| convert(&target, &content));
        all_well &= converted.is_ok();
        let text = converted.unwrap_or_else(|error| json_text(&json!({ "error": error.to_string() }), false));
        writeln!(output, "{text}")?;
    }
    output.flush()?;
    Ok(all_well)
}

fn columns(line: &str, header: bool) -> Result<(Target, String), CodecError> {
    let mut columns = line.trim_end_matches('\r').splitn(3, '\t');
    let mut next = || columns.next().ok_or(CodecError::Columns);
    let (name, version, content) = (next()?, next()?, next()?);
    let version = version.trim().parse().map_err(|_| CodecError::NotAVersion(version.to_owned()))?;
    Ok((Target { message: Some(name.to_owned()), version: Some(version), header }, content.to_owned()))
}

/// The bytes that hex digits stand for. White space does not count.
pub(super) fn from_hex(text: &str) -> Result<Vec<u8>, CodecError> {
    let mut digits = Vec::with_capacity(text.len());
    for (at, found) in text.chars().enumerate().filter(|(_, c)| !c.is_whitespace()) {
        let digit = found.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        digits.push(digit.ok_or(CodecError::NotHex { found, at: at + 1 })?);
    }
    if !digits.len().is_multiple_of(2) {
        return Err(CodecError::OddHex(digits.len()));
    }
    Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Bytes as hex digits.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
