//! The log: Apache Kafka's on-disk format, byte for byte, and everything that reads or writes it.
//!
//! Synchronous code. Appends and reads of what is in the page cache are quick enough for the threads that serve sockets;
//! opening, flushing, checkpointing and removing are for blocking threads. It keeps no thread, reads no clock but to see
//! how long a sync takes, and knows nothing of requests. All file access goes through [`disk::Disk`].
//!
//! A panic while one of the log's locks is held stops the process; the next start recovers.

mod append_time;
pub mod batch_reader;
pub mod checkpoints;
pub mod cleaner;
pub mod disk;
pub mod distrust;
pub mod files;
pub mod group_commit;
pub mod index_file;
pub mod leader_epochs;
pub mod log_config;
pub mod log_dir;
pub mod meta_properties;
pub mod offset_index;
pub mod ordered_scan;
pub mod partition_log;
pub mod partition_metadata;
pub mod producer_state;
pub mod recovery;
pub mod reserve;
pub mod retention;
pub mod scan;
pub mod scrub;
pub mod secret;
pub mod segment;
mod sync;
pub mod time_index;
pub mod transaction_index;
pub mod validate;
pub mod verify;
pub mod waiters;
