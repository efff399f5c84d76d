//! Everything that takes bytes which others made: of clients, and of files that a disk has had for a while.
//!
//! A target is a function of bytes. It fails by a panic: one of the code that it calls, or an assertion of its own about
//! what that code said. Only the public interface is used, so that cargo-fuzz (`fuzz/`) and `cargo test` (`tests/fuzz`)
//! share this file. Targets that need several inputs cut them off the front of one, by [`input::Input`].

mod auth;
mod config;
mod coordinators;
mod files;
mod input;
mod metadata;
mod records;
mod scratch;
mod tools;
mod wire;

/// Something that bytes are thrown at.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// Its name: of the cargo-fuzz target, of the test, of the directory with its corpus.
    pub(crate) name: &'static str,
    /// Takes the bytes.
    pub(crate) run: fn(&[u8]),
    /// Whether the bytes can come from somebody who has not said who it is: then what is done with them takes no more than
    /// [`HEAP_MULTIPLE`] and [`HEAP_ALLOWANCE`] allow.
    pub(crate) before_authentication: bool,
}

/// Bytes of heap for each byte of input that arrives before authentication …
pub(crate) const HEAP_MULTIPLE: usize = 4;
/// … and for all of them together.
pub(crate) const HEAP_ALLOWANCE: usize = 64 << 10;

macro_rules! targets {
    (
        before authentication { $($before_module:ident: $($before:ident)*;)* }
        after it { $($module:ident: $($target:ident)*;)* }
    ) => {
        /// All of them.
        pub(crate) const TARGETS: &[Target] = &[
            $($(Target { name: stringify!($before), run: $before_module::$before, before_authentication: true },)*)*
            $($(Target { name: stringify!($target), run: $module::$target, before_authentication: false },)*)*
        ];
    };
}

targets! {
    before authentication {
        wire: frame request_header api_versions sasl_handshake sasl_authenticate;
        auth: scram plain;
    }
    after it {
        wire: request message interpreter;
        records: batch batch_sealed records_compressed codecs stored_batch;
        files: offset_index time_index transaction_index producer_snapshot checkpoints leader_epochs small_files
            partition_directory;
        metadata: metadata_records metadata_log metadata_snapshot;
        coordinators: group_records transaction_records group_requests;
        auth: certificate principal_rules;
        config: properties broker_config topic_config first_users;
        tools: dump pem;
    }
}
