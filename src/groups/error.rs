//! Why a group refuses a request.

/// What a group refuses a request for. Each is an error of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum GroupError {
    #[error("The group id {0} was not found.")]
    GroupIdNotFound(String),
    #[error("The group is not empty.")]
    NonEmptyGroup,
    #[error("The member is not part of the group.")]
    UnknownMemberId,
    #[error("A new member has to join with the id that it is given.")]
    MemberIdRequired,
    #[error("The generation is not that of the group.")]
    IllegalGeneration,
    #[error("The member epoch is not that of the member.")]
    StaleMemberEpoch,
    #[error("The group rebalances: its members have to join again.")]
    RebalanceInProgress,
    #[error("The member's protocols have none in common with the group's.")]
    InconsistentGroupProtocol,
    #[error("Another member has taken over the group instance id.")]
    FencedInstanceId,
    #[error("The session time-out is outside what the broker allows.")]
    InvalidSessionTimeout,
    #[error("The group has as many members as it may have.")]
    GroupMaxSizeReached,
    #[error("The group subscribes to the topic.")]
    GroupSubscribedToTopic,
    #[error("The metadata of the offset is too large.")]
    OffsetMetadataTooLarge,
    #[error("There are offsets of a transaction that has not ended.")]
    UnstableOffsetCommit,
    #[error("The group is of a kind that does not do this.")]
    UnsupportedForGroup,
    /// For now: as soon as this is told, the group is gone.
    #[error("The group is of another kind, and gives way: come again.")]
    GivingWay,
}
