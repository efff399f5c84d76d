//! What the network layer counts. Plain numbers that only grow, but for the gauge of open connections.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why a connection ended, as a kind to count by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseKind {
    /// The client closed it.
    Peer,
    /// Nothing happened for `connections.max.idle.ms`.
    Idle,
    /// A TLS handshake failed or took too long.
    Handshake,
    /// The client did not authenticate itself in time.
    Unknown,
    /// The server stops.
    Shutdown,
    /// The client closed it in the middle of a frame.
    Truncated,
    /// A size prefix that cannot be: another protocol, or a hostile client.
    BadFrame,
    /// The service refused a request.
    Refused,
    /// A frame took too long to arrive.
    SlowRequest,
    /// The client did not take its responses.
    SlowReader,
    /// The file behind a response could not be read.
    File,
    /// A request panicked.
    Panicked,
}

impl CloseKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Peer,
        Self::Idle,
        Self::Handshake,
        Self::Unknown,
        Self::Shutdown,
        Self::Truncated,
        Self::BadFrame,
        Self::Refused,
        Self::SlowRequest,
        Self::SlowReader,
        Self::File,
        Self::Panicked,
    ];
}

/// The counters of all listeners together.
#[derive(Debug, Default)]
pub struct NetworkCounters {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections closed at once because `max.connections` was reached; not among the accepted.
    pub over_limit: AtomicU64,
    /// Connections open now.
    pub active: AtomicU64,
    /// Requests handed to the service.
    pub requests: AtomicU64,
    /// Bytes received.
    pub bytes_in: AtomicU64,
    /// Bytes sent.
    pub bytes_out: AtomicU64,
    closed: [AtomicU64; CloseKind::ALL.len()],
}

impl NetworkCounters {
    /// How many connections ended in this way.
    #[must_use]
    pub fn closed(&self, kind: CloseKind) -> u64 {
        self.closed[kind as usize].load(Relaxed)
    }

    pub(super) fn count_closed(&self, kind: CloseKind) {
        self.closed[kind as usize].fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_close_has_a_counter_of_its_own() {
        for (index, kind) in CloseKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
    }
}
