//! Transactions: which producer has a transactional id, which partitions its transaction has, and how it ends.
//!
//! A [`Transaction`](transaction::Transaction) is one machine of the coordinator's runtime. All of it lives in
//! `__transaction_state` ([`record`]); what a decision means for other partitions is carried out by [`service`].

pub mod error;
pub mod record;
pub mod service;
pub mod settings;
pub mod state;
pub mod transaction;
pub mod transaction_metadata;
