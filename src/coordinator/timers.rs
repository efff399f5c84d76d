//! The timers of a shard: one task, which sleeps until the first machine is due.

use std::sync::Arc;

use super::{
    machine::Machine,
    runtime::now,
    shard::{Next, Shard},
};

/// Ticks machines until the shard is gone.
pub(super) async fn run<M: Machine>(shard: Arc<Shard<M>>) {
    loop {
        match shard.tick(now()) {
            Next::Wait(None) => shard.alarm.notified().await,
            Next::Wait(Some(due)) => {
                // Either the time has come or there is an earlier deadline: both are seen to by the next tick.
                drop(tokio::time::timeout_at(due.into(), shard.alarm.notified()).await);
                // More may be due than was ticked in one go.
                tokio::task::yield_now().await;
            }
            Next::Stalled(end) => match shard.log().committed(end).await {
                Ok(()) => shard.resume(now()),
                Err(_) => return shard.retire(),
            },
            Next::End => return,
        }
    }
}
