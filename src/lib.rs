//! Ottla: a Kafka broker in one binary.
//!
//! The wire protocol is generated from Apache Kafka's own message schemas; the log is written by hand in Apache Kafka's
//! own on-disk format. The modules stand in layer order: each may use those above it, never those below.

mod address;
mod complaints;
mod shell;
mod sys;

pub mod clock;
pub mod logging;
pub mod protocol;

pub mod config;
pub mod log;
pub mod metadata;

pub mod coordinator;

pub mod auth;
pub mod broker;
pub mod groups;
pub mod network;
pub mod transactions;

pub mod handlers;

pub mod server;

pub mod cli;
