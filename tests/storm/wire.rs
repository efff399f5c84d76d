//! Frames of requests, and a client that speaks them.

use std::{io, net::SocketAddr};

use bytes::Bytes;
use ottla::protocol::{
    message::{Message, Request},
    messages::{ApiKey, RequestHeader, ResponseHeader},
    wire::{Reader, Writer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The header of a request.
pub(crate) fn header(key: ApiKey, version: i16, correlation_id: i32) -> Bytes {
    let mut w = Writer::new();
    let header = RequestHeader {
        request_api_key: key.code(),
        request_api_version: version,
        correlation_id,
        client_id: Some("storm".into()),
        ..RequestHeader::default()
    };
    header.encode(&mut w, key.request_header_version(version)).expect("a header");
    w.into_bytes()
}

/// A frame of this content.
pub(crate) fn frame(parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let size = u32::try_from(content.len()).expect("a short frame");
    [&size.to_be_bytes(), &content[..]].concat()
}

/// A connection that asks and waits for the answer.
pub(crate) struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, correlation_id: 0 })
    }

    pub(crate) async fn call<R: Request>(&mut self, request: &R, version: i16) -> io::Result<R::Response> {
        self.correlation_id += 1;
        let mut body = Writer::new();
        request.encode(&mut body, version).expect("a request");
        let header = header(R::KEY, version, self.correlation_id);
        self.stream.write_all(&frame(&[&header, &body.into_bytes()])).await?;
        let size = self.stream.read_i32().await?;
        let mut content = vec![0; usize::try_from(size).expect("a size")];
        self.stream.read_exact(&mut content).await?;
        let content = Bytes::from(content);
        let mut r = Reader::new(&content);
        let header = ResponseHeader::decode(&mut r, R::KEY.response_header_version(version)).expect("a header");
        assert_eq!(header.correlation_id, self.correlation_id);
        Ok(R::Response::decode(&mut r, version).expect("a response"))
    }
}
