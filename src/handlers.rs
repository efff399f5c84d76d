//! One file an API, or a tight family: from the wire to the domain and back. No I/O of their own.

pub mod api;
pub mod api_versions;
pub mod context;
pub mod create_topics;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_topic_partitions;
pub mod errors;
pub mod fetch;
pub mod heavy_work;
pub mod init_producer_id;
pub mod list_offsets;
pub mod metadata;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod repeated;
pub mod topic_entry;
pub mod unsupported;
