//! What is done from time to time, off the threads that serve sockets.

use std::{sync::Arc, time::Duration};

use crate::{broker::Broker, clock, network::Shutdown};

/// How often the clock is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often it is written down up to where the logs are on disk (`log.flush.offset.checkpoint.interval.ms`).
const CHECKPOINT_INTERVAL: Duration = Duration::from_mins(1);

/// Runs until the shutdown begins.
pub(super) async fn run(broker: Arc<Broker>, shutdown: Shutdown) {
    let mut checkpoint_at = clock::monotonic() + CHECKPOINT_INTERVAL;
    while tokio::time::timeout(TICK, shutdown.begun()).await.is_err() {
        let now = clock::monotonic();
        let is_checkpoint_due = now >= checkpoint_at;
        if is_checkpoint_due {
            checkpoint_at = now + CHECKPOINT_INTERVAL;
        }
        let broker = Arc::clone(&broker);
        let work = tokio::task::spawn_blocking(move || {
            flush_due(&broker);
            if is_checkpoint_due {
                checkpoint(&broker);
            }
        });
        if let Err(error) = work.await {
            tracing::error!(%error, "maintenance failed");
        }
    }
}

fn flush_due(broker: &Broker) {
    if let Err(error) = broker.logs().flush_due(clock::wall_clock_ms()) {
        tracing::warn!(%error, "a timed flush failed");
    }
}

fn checkpoint(broker: &Broker) {
    if let Err(error) = broker.logs().checkpoint() {
        tracing::warn!(%error, "checkpoint failed");
    }
    broker.remove_deleted();
    let expiration_ms = broker.config().producer_id_expiration_ms;
    let now = clock::wall_clock_ms();
    broker.logs().partitions().iter().for_each(|log| log.expire_producers(now, expiration_ms));
}
