//! Errors of the layers below, in the protocol's vocabulary. The only file that speaks both, and without a `_` arm: a new
//! error does not compile until it is given a code.

use crate::{
    broker::{CreateTopicFailure, DeleteRecordsFailure, DeleteTopicFailure, GrowthFailure, ProducerIdError},
    config::dynamic::DynamicConfigError,
    coordinator::error::CoordinatorError,
    groups::error::GroupError,
    log::{
        partition_log::{AppendError, DeleteRecordsError, ReadError},
        producer_state::ProducerError,
        validate::ValidateError,
    },
    metadata::{
        configs::AlterConfigError, growth::GrowthError, journal::CommitError, topics::CreateTopicError,
        users::UserChangeError,
    },
    protocol::error_code::ErrorCode,
    transactions::{error::TransactionError, service::Unanswered},
};

/// A batch that does not satisfy the rules.
#[must_use]
pub fn validate(error: &ValidateError) -> ErrorCode {
    match error {
        ValidateError::Corrupt(_) => ErrorCode::CorruptMessage,
        ValidateError::InvalidBatch(_) | ValidateError::InvalidRecords(_) => ErrorCode::InvalidRecord,
        ValidateError::InvalidTimestamps(_) | ValidateError::LogAppendTimeByProducer => ErrorCode::InvalidTimestamp,
        ValidateError::MessageTooLarge { .. } | ValidateError::TooManyRecords { .. } => ErrorCode::MessageTooLarge,
        ValidateError::RecordListTooLarge { .. } => ErrorCode::RecordListTooLarge,
        ValidateError::UnknownCodec { .. } | ValidateError::ZstdTooEarly { .. } => {
            ErrorCode::UnsupportedCompressionType
        }
        ValidateError::UnsupportedForMessageFormat { .. } => ErrorCode::UnsupportedForMessageFormat,
        ValidateError::Compress(_) => ErrorCode::UnknownServerError,
    }
}

/// A batch that could not be appended.
#[must_use]
pub fn append(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
        AppendError::Producer(error) => match error {
            ProducerError::StaleEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            ProducerError::OutOfOrder { .. } => ErrorCode::OutOfOrderSequenceNumber,
            ProducerError::NotTransactional { .. } | ProducerError::NoTransaction { .. } => ErrorCode::InvalidTxnState,
            ProducerError::StaleCoordinator { .. } => ErrorCode::TransactionCoordinatorFenced,
        },
        AppendError::OffsetsExhausted { .. } => ErrorCode::UnknownServerError,
        AppendError::DiskFull
        | AppendError::BelowReserve
        | AppendError::Write { .. }
        | AppendError::Segment(_)
        | AppendError::Offline { .. } => ErrorCode::KafkaStorageError,
        AppendError::Closed => ErrorCode::NotLeaderOrFollower,
    }
}

/// A range that could not be read.
#[must_use]
pub fn read(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        ReadError::Corrupt { .. } => ErrorCode::CorruptMessage,
        ReadError::Io { .. } => ErrorCode::KafkaStorageError,
        ReadError::Deleted => ErrorCode::UnknownTopicOrPartition,
    }
}

/// A configuration that was not altered.
#[must_use]
pub fn alter_config(error: &AlterConfigError) -> ErrorCode {
    match error {
        AlterConfigError::UnknownTopic(_) => ErrorCode::UnknownTopicOrPartition,
        AlterConfigError::NotAList { .. } | AlterConfigError::Topic(_) | AlterConfigError::Unused(_) => {
            ErrorCode::InvalidConfig
        }
        AlterConfigError::Broker(error) => match error {
            DynamicConfigError::Unknown(_) | DynamicConfigError::Unhonoured(_) => ErrorCode::InvalidConfig,
            // Kafka has this code for them, though the request is well-formed (KAFKA-13609).
            DynamicConfigError::ReadOnly(_)
            | DynamicConfigError::PerBroker(_)
            | DynamicConfigError::Invalid(_)
            | DynamicConfigError::Inconsistent(_) => ErrorCode::InvalidRequest,
        },
    }
}

/// Records that were not deleted.
#[must_use]
pub fn delete_records(failure: &DeleteRecordsFailure) -> ErrorCode {
    match failure {
        DeleteRecordsFailure::Refused(refusal) => match refusal {
            DeleteRecordsError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            DeleteRecordsError::Deleted => ErrorCode::UnknownTopicOrPartition,
        },
        DeleteRecordsFailure::Unsettled => ErrorCode::KafkaStorageError,
    }
}

/// A topic that was not created.
#[must_use]
pub fn create_topic(failure: &CreateTopicFailure) -> ErrorCode {
    match failure {
        CreateTopicFailure::Refused(refusal) => match refusal {
            CreateTopicError::Exists(_) => ErrorCode::TopicAlreadyExists,
            CreateTopicError::Name(_) => ErrorCode::InvalidTopicException,
            CreateTopicError::MetadataLog => ErrorCode::InvalidRequest,
            CreateTopicError::Partitions => ErrorCode::InvalidPartitions,
            CreateTopicError::ReplicationFactor => ErrorCode::InvalidReplicationFactor,
            CreateTopicError::TooManyPartitions(_) | CreateTopicError::Limit(_) => ErrorCode::PolicyViolation,
            CreateTopicError::Assignment(_) => ErrorCode::InvalidReplicaAssignment,
        },
        CreateTopicFailure::Config(_) => ErrorCode::InvalidConfig,
        CreateTopicFailure::Commit(error) => commit(error),
        CreateTopicFailure::Logs(_) => ErrorCode::KafkaStorageError,
    }
}

/// A topic that was not deleted.
#[must_use]
pub fn delete_topic(failure: &DeleteTopicFailure) -> ErrorCode {
    match failure {
        DeleteTopicFailure::Unknown => ErrorCode::UnknownTopicId,
        DeleteTopicFailure::Logs(_) => ErrorCode::KafkaStorageError,
    }
}

/// A topic that got no more partitions.
#[must_use]
pub fn growth(error: &GrowthError) -> ErrorCode {
    match error {
        GrowthError::Unknown => ErrorCode::UnknownTopicOrPartition,
        GrowthError::Internal(_) => ErrorCode::InvalidRequest,
        GrowthError::Same(_) | GrowthError::Fewer { .. } => ErrorCode::InvalidPartitions,
        GrowthError::Assignments { .. } | GrowthError::Assignment(_) => ErrorCode::InvalidReplicaAssignment,
        GrowthError::TooMany(_) | GrowthError::Limit(_) => ErrorCode::PolicyViolation,
    }
}

/// The same where it was tried.
#[must_use]
pub fn growth_failure(failure: &GrowthFailure) -> ErrorCode {
    match failure {
        GrowthFailure::Refused(refusal) => growth(refusal),
        GrowthFailure::Logs(_) => ErrorCode::KafkaStorageError,
    }
}

/// A producer that got no id.
#[must_use]
pub fn producer_id(error: &ProducerIdError) -> ErrorCode {
    match error {
        ProducerIdError::Exhausted => ErrorCode::UnknownServerError,
        ProducerIdError::Commit(error) => commit(error),
    }
}

/// A credential that was not changed.
#[must_use]
pub fn user_change(error: &UserChangeError) -> ErrorCode {
    match error {
        UserChangeError::Unknown => ErrorCode::ResourceNotFound,
        UserChangeError::Unsupported => ErrorCode::UnsupportedVersion,
    }
}

/// A change of the metadata that was not made. Kafka's controller has one error for whatever prevented it.
#[must_use]
pub fn commit(error: &CommitError) -> ErrorCode {
    match error {
        CommitError::Batch(_) | CommitError::Append(_) | CommitError::Flush(_) => ErrorCode::UnknownServerError,
    }
}

/// What a group refuses.
#[must_use]
pub fn group(error: &GroupError) -> ErrorCode {
    match error {
        GroupError::GroupIdNotFound(_) => ErrorCode::GroupIdNotFound,
        GroupError::NonEmptyGroup => ErrorCode::NonEmptyGroup,
        GroupError::UnknownMemberId => ErrorCode::UnknownMemberId,
        GroupError::MemberIdRequired => ErrorCode::MemberIdRequired,
        GroupError::IllegalGeneration => ErrorCode::IllegalGeneration,
        GroupError::StaleMemberEpoch => ErrorCode::StaleMemberEpoch,
        GroupError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        GroupError::InconsistentGroupProtocol => ErrorCode::InconsistentGroupProtocol,
        GroupError::FencedInstanceId => ErrorCode::FencedInstanceId,
        GroupError::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
        GroupError::GroupMaxSizeReached => ErrorCode::GroupMaxSizeReached,
        GroupError::GroupSubscribedToTopic => ErrorCode::GroupSubscribedToTopic,
        GroupError::OffsetMetadataTooLarge => ErrorCode::OffsetMetadataTooLarge,
        GroupError::UnstableOffsetCommit => ErrorCode::UnstableOffsetCommit,
        GroupError::UnsupportedForGroup => ErrorCode::UnsupportedVersion,
        // Clients come again after a pause.
        GroupError::GivingWay => ErrorCode::CoordinatorLoadInProgress,
    }
}

/// A coordinator that does not answer, as Kafka's `CoordinatorOperationExceptionHelper` has it: clients look for the
/// coordinator anew where its log cannot be written, and take a storage error for final.
#[must_use]
pub fn coordinator(error: &CoordinatorError) -> ErrorCode {
    match error {
        CoordinatorError::NotHere => ErrorCode::NotCoordinator,
        CoordinatorError::Loading => ErrorCode::CoordinatorLoadInProgress,
        CoordinatorError::Full(_) => ErrorCode::PolicyViolation,
        CoordinatorError::TooLarge { .. } | CoordinatorError::Unwritable(_) => ErrorCode::UnknownServerError,
        CoordinatorError::Append(error) | CoordinatorError::Lost(error) => match **error {
            AppendError::LargerThanSegment { .. } | AppendError::OffsetsExhausted { .. } => {
                ErrorCode::UnknownServerError
            }
            AppendError::Producer(_) => append(error),
            AppendError::DiskFull
            | AppendError::BelowReserve
            | AppendError::Write { .. }
            | AppendError::Segment(_)
            | AppendError::Offline { .. }
            | AppendError::Closed => ErrorCode::NotCoordinator,
        },
    }
}

/// What a group answers through its coordinator.
pub fn group_answer<T>(answer: Result<Result<T, GroupError>, CoordinatorError>) -> Result<T, ErrorCode> {
    answer.map_err(|error| coordinator(&error))?.map_err(|error| group(&error))
}

/// What a transactional id refuses.
#[must_use]
pub fn transaction(error: &TransactionError) -> ErrorCode {
    match error {
        TransactionError::TransactionalIdNotFound => ErrorCode::TransactionalIdNotFound,
        TransactionError::InvalidProducerIdMapping => ErrorCode::InvalidProducerIdMapping,
        TransactionError::ProducerFenced => ErrorCode::ProducerFenced,
        TransactionError::ConcurrentTransactions => ErrorCode::ConcurrentTransactions,
        TransactionError::InvalidTxnState => ErrorCode::InvalidTxnState,
    }
}

/// What a transactional id answers through its coordinator.
pub fn transaction_answer<T>(answer: Result<Result<T, TransactionError>, CoordinatorError>) -> Result<T, ErrorCode> {
    answer.map_err(|error| coordinator(&error))?.map_err(|error| transaction(&error))
}

/// The same where a producer id may have been needed.
pub fn producer_answer<T>(answer: Result<Result<T, TransactionError>, Unanswered>) -> Result<T, ErrorCode> {
    let answer = answer.map_err(|error| match error {
        Unanswered::Coordinator(error) => coordinator(&error),
        Unanswered::ProducerId(error) => producer_id(&error),
    });
    answer?.map_err(|error| transaction(&error))
}

/// Why records do not become part of a transaction, in words that a producer of records knows: what passes is to be tried
/// again (`ReplicaManager`, `AddPartitionsToTxnManager`).
#[must_use]
pub fn verification(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::ConcurrentTransactions | ErrorCode::CoordinatorLoadInProgress | ErrorCode::NotCoordinator => {
            ErrorCode::NotEnoughReplicas
        }
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        other => other,
    }
}
