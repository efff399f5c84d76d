//! The whole broker as its clients see it: in this process on a free port, with a temporary directory.
//!
//! One binary, since each one more would link the broker and librdkafka anew. A module per API or journey.

mod interpreted;
mod sasl;
mod secrets;
mod secured;
mod support;

mod api_versions;
mod authorization;
mod compaction;
mod configs;
mod configs_alter;
mod configs_alter_broker;
mod configs_describe;
mod configs_effect;
#[cfg(target_os = "linux")]
mod confined;
mod connection;
mod consumer_groups;
mod cves;
mod directories;
mod durability;
mod empty_arrays;
mod fetch;
mod groups;
mod groups_offsets;
mod health;
mod hostile;
mod layering;
mod limits;
mod many;
mod metadata;
mod offsets;
mod partitions_admin;
mod produce_fetch;
mod producers;
mod restart;
mod retention;
mod tls;
mod topics;
mod transactional;
mod transactions;
mod transactions_admin;
mod transactions_offsets;
mod transactions_refused;
mod transactions_restart;
mod transactions_versions;
mod unsafe_code;
mod users;
