//! `EndTxn` (key 26): a transaction commits or aborts.

use super::{
    context::Context,
    coordinated::{check_transactional_id, fenced_in_version},
    errors,
};
use crate::{
    protocol::{
        error_code::ErrorCode,
        ids::ProducerIdAndEpoch,
        messages::{EndTxnRequest, EndTxnResponse},
        transaction_version::TransactionVersion,
    },
    transactions::{state::Outcome, transaction::Ending},
};

/// From this version on clients know that a producer can be shut out,
const FENCED_FROM: i16 = 2;
/// and from this one the producer has a new epoch after each transaction.
const BUMPS_EPOCH_FROM: i16 = 5;

/// Answers once it is decided, and no crash can change that; the partitions learn of it after that.
pub async fn end_txn(cx: &Context, request: EndTxnRequest) -> EndTxnResponse {
    let answer = match check_transactional_id(cx, &request.transactional_id) {
        Ok(()) => errors::producer_answer(
            cx.transactions().end(&request.transactional_id, ending(cx.version, &request)).await,
        ),
        Err(error) => Err(error),
    };
    match answer {
        Ok(producer) if cx.version >= BUMPS_EPOCH_FROM => {
            EndTxnResponse { producer_id: producer.id, producer_epoch: producer.epoch, ..EndTxnResponse::default() }
        }
        Ok(_) => EndTxnResponse::default(),
        Err(error) => refused(fenced_in_version(cx, FENCED_FROM, error)),
    }
}

fn refused(error: ErrorCode) -> EndTxnResponse {
    EndTxnResponse { error_code: error.code(), ..EndTxnResponse::default() }
}

fn ending(version: i16, request: &EndTxnRequest) -> Ending {
    let bumps_epoch = version >= BUMPS_EPOCH_FROM;
    Ending {
        producer: ProducerIdAndEpoch { id: request.producer_id, epoch: request.producer_epoch },
        outcome: if request.committed { Outcome::Commit } else { Outcome::Abort },
        client_version: if bumps_epoch { TransactionVersion::V2 } else { TransactionVersion::V0 },
    }
}
