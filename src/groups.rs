//! Groups of consumers: who is a member, who has which partitions, and how far they have read.
//!
//! All of it lives in `__consumer_offsets` ([`records`]).

pub mod description;
pub mod error;
pub mod offsets;
pub mod records;
