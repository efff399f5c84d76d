//! Groups of consumers: who is a member, who has which partitions, and how far they have read.
//!
//! A [`Group`](group::Group) is one machine of the coordinator's runtime: its members ([`classic`]), its committed offsets
//! ([`offsets`]), or what Kafka left of a group of another kind ([`foreign`]). All of it lives in `__consumer_offsets`
//! ([`records`]).

pub mod classic;
pub mod description;
pub mod error;
pub mod foreign;
pub mod group;
pub mod offsets;
pub mod records;
pub mod service;
pub mod settings;
