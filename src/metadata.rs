//! What the cluster is: topics, partitions and configurations, a fold over the records of `__cluster_metadata`.

pub mod image;
pub mod journal;
pub mod record;
pub mod topics;
