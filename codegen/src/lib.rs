//! Reads Apache Kafka's message schemas: read, merge, check, then emit Rust or interpret bytes.
//!
//! ```text
//! schema files ─ spec ─┐
//!                      ├─ merge ─ check ─ model ─┬─ emit       Rust source, at build time
//! older schemas ─ spec ┘                         └─ interpret  bytes to and from JSON, at run time
//! ```

pub mod bundle;
#[cfg(feature = "emit")]
pub mod emit;
pub mod error;
pub mod interpret;
pub mod layout;
mod merge;
pub mod model;
pub mod random;
pub mod schemas;
pub mod sensitive;
pub mod spec;
pub mod used;
pub mod versions;

pub use error::SchemaError;
pub use model::Message;
pub use schemas::{Release, Schemas};
pub use used::Used;
pub use versions::Versions;
