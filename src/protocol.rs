//! Kafka's protocol: primitives, generated messages, record batches, error codes. Knows neither sockets nor files.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

pub mod error_code;
pub mod file_range;
pub mod fixed;
pub mod frame;
pub mod ids;
pub mod message;
pub mod messages;
pub mod records;
pub mod schemas;
pub mod stored;
pub mod transaction_version;
pub mod wire;
