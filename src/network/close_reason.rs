//! Why connections end, and what is said of it.

use std::{
    io,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use super::{CloseKind, ConnectionContext, Refusal, send::SendError, tls::HandshakeError};
use crate::{address::network_of, clock, complaints::Complaints, protocol::frame::FrameError};

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum CloseReason {
    #[error("the client closed it")]
    Peer,
    #[error("{0}")]
    Lost(io::Error),
    #[error("{0}")]
    Handshake(HandshakeError),
    #[error("the TLS handshake takes too long: the client may not speak TLS at all")]
    SlowHandshake,
    #[error("the client has not authenticated itself in time")]
    Unknown,
    #[error("nothing happened for connections.max.idle.ms")]
    Idle,
    #[error("the server stops")]
    Shutdown,
    #[error("the server stops and a request did not finish in time")]
    ShutdownOverdue,
    #[error("the client closed it {arrived} bytes into a frame")]
    Truncated { arrived: usize },
    #[error("{0}")]
    BadFrame(FrameError),
    #[error("{0}")]
    Refused(Refusal),
    #[error("a frame takes too long: {arrived} bytes arrived of {}", announced.map_or("an unknown number".into(), |n| n.to_string()))]
    SlowRequest { arrived: usize, announced: Option<usize> },
    #[error(
        "a frame comes too slowly while others wait for memory (queued.max.request.bytes): {arrived} bytes arrived of {}",
        announced.map_or("an unknown number".into(), |n| n.to_string())
    )]
    HoldsUpOthers { arrived: usize, announced: Option<usize> },
    #[error("the client does not read its responses: {unsent} wait")]
    SlowReader { unsent: usize },
    #[error(
        "the client does not read its responses while such fill the memory (ottla.requests.memory.max): {unsent} bytes wait"
    )]
    HoldsMemory { unsent: usize },
    #[error("cannot send from a file: {0}")]
    File(io::Error),
}

impl CloseReason {
    pub(super) fn kind(&self) -> CloseKind {
        match self {
            Self::Peer | Self::Lost(_) => CloseKind::Peer,
            Self::Idle => CloseKind::Idle,
            Self::Handshake(_) | Self::SlowHandshake => CloseKind::Handshake,
            Self::Unknown => CloseKind::Unknown,
            Self::Shutdown | Self::ShutdownOverdue => CloseKind::Shutdown,
            Self::Truncated { .. } => CloseKind::Truncated,
            Self::BadFrame(_) => CloseKind::BadFrame,
            Self::Refused(_) => CloseKind::Refused,
            Self::SlowRequest { .. } | Self::HoldsUpOthers { .. } => CloseKind::SlowRequest,
            Self::SlowReader { .. } | Self::HoldsMemory { .. } => CloseKind::SlowReader,
            Self::File(_) => CloseKind::File,
        }
    }

    /// Says it once, aloud only if somebody may have to do something about it, and has not heard it too often.
    pub(super) fn log(&self, context: &ConnectionContext, complaints: &Mutex<Complaints<IpAddr>>) {
        let ConnectionContext { id, listener, peer, .. } = context;
        match self {
            Self::Peer | Self::Lost(_) | Self::Idle | Self::Shutdown => {
                tracing::debug!(id, "connection from {peer} to {listener} closed: {self}");
            }
            Self::File(_) => tracing::error!(id, "connection from {peer} to {listener} closed: {self}"),
            _ => {
                // Written without the lock: whoever reads the log may be slow.
                let of = network_of(peer.ip());
                let aside = complaints.lock().unwrap_or_else(PoisonError::into_inner).add(of, clock::monotonic());
                match aside {
                    Some(aside) => tracing::warn!(id, "connection from {peer} to {listener} closed: {self}{aside}"),
                    None => tracing::debug!(id, "connection from {peer} to {listener} closed: {self}"),
                }
            }
        }
    }
}

impl From<SendError> for CloseReason {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Socket(error) => Self::Lost(error),
            SendError::File(error) => Self::File(error),
        }
    }
}

impl From<HandshakeError> for CloseReason {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Lost(error) => Self::Lost(error),
            error => Self::Handshake(error),
        }
    }
}
