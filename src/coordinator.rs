//! The runtime of coordinators: state machines over a log that they alone write.
//!
//! A coordinator's topic is divided by id: of a group, of a transactional producer. Each partition has a shard with one
//! [`Machine`] an id. A request runs a machine: it decides, and gives records and replies out. The records are appended as
//! one batch and at once applied, by the function that a replay of the log uses too. A reply waits until what it is about
//! is durable, and so does an effect, which is what a machine has others do: nobody learns of what a crash could take back.
//! Who asks about what is durable waits for nothing.
//!
//! A step may write as part of a transaction of some producer: the machine applies that as pending, and learns from the marker
//! what becomes of it. The marker too comes under the shard's lock, so live traffic and a replay see all in one order.
//!
//! An append that is refused has changed nothing: its replies become errors. A flush that fails takes the directory
//! offline, so there is nothing to roll back.
//!
//! [`Machine`]: machine::Machine

pub mod effect;
pub mod error;
mod home;
pub mod machine;
pub mod pending;
pub mod placement;
mod replay;
pub mod runtime;
pub mod seats;
mod shard;
#[cfg(test)]
mod tests;
mod timers;
mod transaction;
mod unflushed;
pub mod versioned;
