//! What the cluster is: topics, partitions and configurations, a fold over the records of `__cluster_metadata`.

mod batches;
pub mod configs;
pub mod draft;
pub mod growth;
pub mod image;
pub mod journal;
pub mod kept;
pub mod level;
mod partition;
pub mod quorum;
pub mod record;
pub mod registration;
mod replay;
pub mod retention;
pub mod snapshot;
pub mod topics;
pub mod users;
