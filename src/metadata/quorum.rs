//! The quorum of one that this process is: `quorum-state`, and the control records that say who votes.
//!
//! Kafka keeps the file in two formats. Which one a directory has goes with its `kraft.version`, and stays.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::{io, path::Path};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    log::disk::{Disk, read_file, replace_file},
    protocol::{
        ids::uuid_to_base64,
        messages::{
            KRaftVersionRecord, LeaderChangeMessage, VotersRecord, leader_change_message,
            voters_record::{Endpoint, KRaftVersionFeature, Voter},
        },
    },
};

/// The file's name.
pub const FILE_NAME: &str = "quorum-state";
/// The `kraft.version` with voters in the log, which this broker formats a directory with.
pub const KRAFT_VERSION: i16 = 1;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuorumState {
    /// Version 0 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_id: Option<String>,
    leader_id: i32,
    /// The epoch that was begun last.
    pub leader_epoch: i32,
    voted_id: i32,
    /// Version 1 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    voted_directory_id: Option<String>,
    /// Version 0 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    applied_offset: Option<i64>,
    /// Version 0 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_voters: Option<Vec<VoterId>>,
    #[serde(rename = "data_version")]
    data_version: i16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VoterId {
    voter_id: i32,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QuorumStateError {
    /// It could not be read or written.
    #[error("{FILE_NAME}: {0}")]
    Io(#[from] io::Error),
    /// It is not what Kafka writes.
    #[error("{FILE_NAME} is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
    /// A version of a later release.
    #[error("{FILE_NAME} has data_version {0}, only 0 and 1 are supported")]
    Version(i16),
}

impl QuorumState {
    /// That `node` leads in `epoch`, in the format that goes with `kraft_version`.
    #[must_use]
    pub fn led_by(node: i32, epoch: i32, kraft_version: i16) -> Self {
        let is_static = kraft_version == 0;
        Self {
            cluster_id: is_static.then(String::new),
            leader_id: node,
            leader_epoch: epoch,
            voted_id: -1,
            voted_directory_id: (!is_static).then(|| uuid_to_base64(Uuid::nil())),
            applied_offset: is_static.then_some(0),
            current_voters: is_static.then(|| vec![VoterId { voter_id: node }]),
            data_version: i16::from(!is_static),
        }
    }

    /// Reads the file in the metadata log's directory. `None` where there is none.
    pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>, QuorumStateError> {
        let bytes = match read_file(disk, &dir.join(FILE_NAME)) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let state: Self = serde_json::from_slice(&bytes)?;
        match state.data_version {
            0 | 1 => Ok(Some(state)),
            other => Err(QuorumStateError::Version(other)),
        }
    }

    /// Writes the file, durably.
    pub fn write(&self, disk: &dyn Disk, dir: &Path) -> Result<(), QuorumStateError> {
        Ok(replace_file(disk, &dir.join(FILE_NAME), serde_json::to_string(self)?.as_bytes())?)
    }

    /// The voters, where the file has them.
    #[must_use]
    pub fn voters(&self) -> Option<Vec<i32>> {
        Some(self.current_voters.as_ref()?.iter().map(|voter| voter.voter_id).collect())
    }
}

/// What the control records of snapshot and log say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quorum {
    /// `kraft.version`.
    pub kraft_version: i16,
    /// The voters, with a version above 0.
    pub voters: Option<VotersRecord>,
}

impl Quorum {
    /// A new one: this node alone, to be reached at `endpoint`.
    #[must_use]
    pub fn alone(node: i32, directory: Uuid, endpoint: Endpoint) -> Self {
        let feature = KRaftVersionFeature {
            min_supported_version: 0,
            max_supported_version: KRAFT_VERSION,
            ..KRaftVersionFeature::default()
        };
        let voter = Voter {
            voter_id: node,
            voter_directory_id: directory,
            endpoints: vec![endpoint],
            k_raft_version_feature: feature,
            ..Voter::default()
        };
        let voters = VotersRecord { version: 0, voters: vec![voter], ..VotersRecord::default() };
        Self { kraft_version: KRAFT_VERSION, voters: Some(voters) }
    }

    /// The record of the version.
    #[must_use]
    pub fn version_record(&self) -> KRaftVersionRecord {
        KRaftVersionRecord { version: 0, k_raft_version: self.kraft_version, ..KRaftVersionRecord::default() }
    }

    /// The ids of the voters.
    #[must_use]
    pub fn voter_ids(&self) -> Option<Vec<i32>> {
        Some(self.voters.as_ref()?.voters.iter().map(|voter| voter.voter_id).collect())
    }
}

/// That `node` was elected by itself.
#[must_use]
pub fn leader_change(node: i32) -> LeaderChangeMessage {
    let voter = leader_change_message::Voter { voter_id: node, ..leader_change_message::Voter::default() };
    LeaderChangeMessage {
        version: 0,
        leader_id: node,
        voters: vec![voter.clone()],
        granting_voters: vec![voter],
        ..LeaderChangeMessage::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::disk::{OpenMode, sim::SimDisk};

    fn disk_with(text: &str) -> SimDisk {
        let disk = SimDisk::new(1);
        disk.create_dir(Path::new("/d")).expect("created");
        let file = disk.open(Path::new("/d/quorum-state"), OpenMode::Create).expect("created");
        file.write_all_at(&[text.as_bytes()], 0).expect("written");
        disk
    }

    /// The texts are those of Apache Kafka 4.4.0.
    #[test]
    fn the_file_is_kafkas() {
        let with_voters = r#"{"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}"#;
        let without = r#"{"leaderId":1,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#;
        for (kraft_version, text) in [(0, with_voters), (1, without)] {
            let state = QuorumState::led_by(1, 1, kraft_version);
            assert_eq!(serde_json::to_string(&state).expect("fits"), text);
            let disk = disk_with(text);
            assert_eq!(QuorumState::read(&disk, Path::new("/d")).expect("read"), Some(state.clone()));
            state.write(&disk, Path::new("/d")).expect("written");
            assert_eq!(read_file(&disk, Path::new("/d/quorum-state")).expect("read"), text.as_bytes());
        }
    }

    #[test]
    fn a_file_that_is_none_is_refused() {
        let said = |text: &str| QuorumState::read(&disk_with(text), Path::new("/d")).expect_err("refused").to_string();
        assert!(said("").starts_with("quorum-state is damaged"));
        let later = r#"{"leaderId":1,"leaderEpoch":1,"votedId":-1,"data_version":2}"#;
        assert_eq!(said(later), "quorum-state has data_version 2, only 0 and 1 are supported");
    }
}
