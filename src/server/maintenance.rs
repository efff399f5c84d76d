//! What is done from time to time, off the threads that serve sockets.

use std::{sync::Arc, time::Duration};

use crate::{broker::Broker, network::Shutdown};

/// How often it is written down up to where the logs are on disk (`log.flush.offset.checkpoint.interval.ms`).
const CHECKPOINT_INTERVAL: Duration = Duration::from_mins(1);

/// Runs until the shutdown begins.
pub(super) async fn run(broker: Arc<Broker>, shutdown: Shutdown) {
    while tokio::time::timeout(CHECKPOINT_INTERVAL, shutdown.begun()).await.is_err() {
        let broker = Arc::clone(&broker);
        let work = tokio::task::spawn_blocking(move || {
            if let Err(error) = broker.logs().checkpoint() {
                tracing::warn!(%error, "checkpoint failed");
            }
            broker.remove_deleted();
        });
        if let Err(error) = work.await {
            tracing::error!(%error, "maintenance failed");
        }
    }
}
