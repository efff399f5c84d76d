//! What the APIs of transactions ask the coordinator of them. Each waits for the answer, which is durable: whatever
//! follows it in a partition can then be ended by the coordinator, whatever happens.

use std::{sync::Arc, time::Duration};

use super::{context::Context, coordinated::until_shutdown, errors};
use crate::{
    clock::monotonic,
    protocol::{error_code::ErrorCode, ids::ProducerIdAndEpoch, transaction_version::TransactionVersion},
    transactions::{transaction::Addition, transaction_metadata::Partitions},
};

/// How long a client that does not say waits at most for its last transaction to end everywhere.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Has partitions take part in a transaction. If the end of the last one is still on its way, it waits for that, but not longer
/// than `patience`.
pub async fn add(
    cx: &Context,
    id: &str,
    producer: ProducerIdAndEpoch,
    partitions: Partitions,
    client_version: TransactionVersion,
    patience: Duration,
) -> Result<(), ErrorCode> {
    let addition = Addition { producer, partitions, client_version, until: monotonic() + patience };
    let added = cx.transactions().runtime().ask(id, |transaction, cx, ticket, out| {
        transaction.add_partitions(cx, ticket, addition, out);
    });
    errors::transaction_answer(until_shutdown(cx, added).await)
}

/// Which of these partitions take part in the producer's transaction, in the order given.
pub async fn verify(
    cx: &Context,
    id: &str,
    producer: ProducerIdAndEpoch,
    partitions: &[(Arc<str>, i32)],
) -> Result<Vec<bool>, ErrorCode> {
    let verified =
        cx.transactions().runtime().run(id, |transaction, _, out| transaction.verify(producer, partitions, out));
    errors::transaction_answer(verified.done().await)
}

/// What to tell a client whose partition does not take part: one that knows of it can abort, for older ones it is the end.
#[must_use]
pub fn not_in_transaction(knows_abortable: bool) -> ErrorCode {
    if knows_abortable { ErrorCode::TransactionAbortable } else { ErrorCode::InvalidTxnState }
}

/// The partition of `__consumer_offsets` that has a group's offsets.
pub async fn offsets_partition(cx: &Context, group: &str) -> Result<i32, ErrorCode> {
    let groups = cx.groups();
    if let Err(error) = groups.ensure_topic().await {
        tracing::warn!(%error, "the topic of the group coordinator could not be created");
        return Err(ErrorCode::CoordinatorNotAvailable);
    }
    groups.runtime().partition_of(group).map_err(|error| errors::coordinator(&error))
}
