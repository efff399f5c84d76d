//! Why a transactional id refuses a request.

/// What a transactional id refuses a request for. Each is an error of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum TransactionError {
    #[error("The transactional id is not known.")]
    TransactionalIdNotFound,
    #[error("The producer id is not the one that belongs to the transactional id.")]
    InvalidProducerIdMapping,
    #[error("A newer instance of the producer has taken its place.")]
    ProducerFenced,
    #[error("The last transaction of the producer has not ended everywhere yet.")]
    ConcurrentTransactions,
    #[error("The transaction is not in a state for that.")]
    InvalidTxnState,
}
