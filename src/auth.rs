//! Who a client is, and what it may do.
//!
//! A [`session`](session::Session) is what one connection has proved of itself: nothing yet, or a
//! [`Principal`](principal::Principal). On listeners with SASL it gets there by a
//! [`conversation`](conversation::Conversation) of one mechanism, held against credentials. All of it is pure: bytes and
//! time in, bytes and verdicts out; handlers carry them.

pub mod authorizer;
pub mod certificate;
pub mod conversation;
pub mod failures;
mod plain;
pub mod principal;
pub mod random;
pub mod scram;
pub mod session;
